/* api_call.c - what the handlers share: a request on its way through the store, and the usual answers. */
#include "base/clock.h"

#include "http/api_int.h"

struct api_call *
api_call_new(void *app, struct http_request *r)
{
	struct api_call *c = arena_alloc(http_arena(r), sizeof(*c));

	c->magic = API_CALL_MAGIC;
	c->api = api_of(app);
	c->r = r;
	c->surface = (http_flags(r) & HTTP_ROUTE_COMPAT) != 0 ? &api_surface_compat : &api_surface_v1;
	return c;
}

struct api_call *
api_call_of(void *arg)
{
	struct api_call *c = arg;

	MAGIC_CHECK(c, API_CALL_MAGIC);
	return c;
}

bool
api_call_id(struct api_call *c)
{
	struct span text = http_param(c->r, "id");

	if (id_parse(text, &c->id))
		return true;
	c->surface->bad_id(c, text);
	return false;
}

void
api_reply_task(struct api_call *c, const struct task_row *row)
{
	struct buf b = { 0 };

	task_render(&b, row, c->surface->number, TASK_RENDER_VERSION, false);
	api_reply_json(c->r, &b);
}

void
api_reply_later(struct http_request *r, bool unknown)
{
	struct http_problem p = { .status = 503, .code = "unavailable", .retry_after = API_RETRY_AFTER };

	p.detail = unknown ? "the database did not answer in time; what was asked may still take effect"
			   : "the database cannot be used now; nothing was changed";
	if (http_method(r) != HTTP_GET && http_method(r) != HTTP_HEAD)
		p.outcome = unknown ? "unknown" : "none";
	http_reply_problem(r, &p);
}

/* --- the body: none, or an object ------------------------------------------------------------------------------------------ */

bool
api_refuse(struct api_call *c, const char *code, const char *pointer, const char *detail)
{
	struct http_problem p = { .status = 400, .code = code, .pointer = pointer, .detail = detail };

	http_reply_problem(c->r, &p);
	return false;
}

bool
api_call_body(struct api_call *c, json_t **body_r)
{
	struct span body = http_body(c->r);
	json_error_t error;

	*body_r = NULL;
	if (body.len == 0)
		return true;
	*body_r = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (*body_r == NULL)
		return api_refuse(c, "invalid_json", "",
		    arena_printf(http_arena(c->r), "at byte %d: %s", error.position, error.text));
	if (json_is_object(*body_r))
		return true;
	json_decref(*body_r);
	*body_r = NULL;
	return api_refuse(c, "invalid_field", "", "expected an object");
}

/* --- text ------------------------------------------------------------------------------------------------------------------ */

const char *
api_time(struct http_request *r, int64_t wall)
{
	char *text = arena_alloc(http_arena(r), CLOCK_TEXT);

	clock_format(wall, text);
	return text;
}

const char *
api_id(struct http_request *r, const struct id *id)
{
	char *text = arena_alloc(http_arena(r), ID_TEXT);

	id_format(id, text);
	return text;
}

bool
api_number(struct span text, int min, int max, int *n_r)
{
	int64_t n = 0;
	size_t i;

	if (text.len == 0 || text.len > 9)
		return false;
	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		n = 10 * n + (text.ptr[i] - '0');
	}
	*n_r = (int)n;
	return n >= min && n <= max;
}

bool
api_seconds(const json_t *value, int max, int64_t *us_r)
{
	double seconds = json_number_value(value);

	if (!json_is_number(value) || !(seconds > 0 && seconds <= max))
		return false;
	*us_r = (int64_t)(seconds * (double)CLOCK_SECOND + .5);
	return *us_r > 0;
}

bool
api_cursor_number(struct span text, int64_t *n_r)
{
	*n_r = 0;
	for (size_t i = 0; i < text.len && text.len <= 18; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		*n_r = 10 * *n_r + (text.ptr[i] - '0');
	}
	return *n_r > 0;
}

void
api_reply_json(struct http_request *r, struct buf *b)
{
	http_reply_header(r, "Cache-Control", SPAN("no-store"));
	http_reply(r, 200, "application/json", buf_span(b));
	buf_free(b);
}

bool
api_items_begin(struct api_call *c, enum store_status status, struct buf *b)
{
	if (status == STORE_OK)
		buf_puts(b, "{\"items\":[");
	else
		api_reply_later(c->r, false);
	return status == STORE_OK;
}

void
api_items_end(struct api_call *c, struct buf *b)
{
	buf_puts(b, "]}");
	api_reply_json(c->r, b);
}

void
api_page_end(struct api_call *c, struct buf *b, const char *next)
{
	member_text(b, "],\"next_cursor\":", span_of(next));
	buf_putc(b, '}');
	api_reply_json(c->r, b);
}
