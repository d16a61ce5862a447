/* api_compat.c - how the compatible surface says no: in the words of the service whose clients it serves.
 *
 * They look into `detail`: an array of {type, loc, msg, input, ctx} when something did not validate (422), else a string.
 */
#include <string.h>

#include "http/api_int.h"

/* --- validation ------------------------------------------------------------------------------------------------------------ */

void
api_compat_error(struct buf *b, const struct api_compat_error *e)
{
	buf_puts(b, b->len == 0 ? "{\"detail\":[" : ",");
	buf_puts(b, "{\"type\":");
	buf_json_string(b, span_of(e->type));
	buf_puts(b, ",\"loc\":[");
	buf_json_string(b, span_of(e->place));
	buf_puts(b, e->loc);
	buf_puts(b, "],\"msg\":");
	buf_json_string(b, span_of(e->msg));
	buf_puts(b, ",\"input\":");
	if (e->text.ptr != NULL)
		buf_json_string(b, e->text);
	else
		buf_putspan(b, e->json.len != 0 ? e->json : SPAN("null"));
	if (e->ctx[0] != '\0') {
		buf_puts(b, ",\"ctx\":");
		buf_puts(b, e->ctx);
	}
	buf_putc(b, '}');
}

void
api_compat_refuse(struct http_request *r, struct buf *b)
{
	buf_puts(b, "]}");
	http_reply(r, 422, "application/json", buf_span(b));
	buf_free(b);
}

static void
refuse_one(struct http_request *r, const struct api_compat_error *e)
{
	struct buf b = { 0 };

	api_compat_error(&b, e);
	api_compat_refuse(r, &b);
}

/* One step of a JSON Pointer as one of a loc.  Digits are an index: a name of digits looks the same. */
static void
put_step(struct buf *b, struct span step)
{
	struct buf name = { 0 };

	buf_putc(b, ',');
	if (step.len > 0 && strspn(step.ptr, "0123456789") >= step.len && (step.len == 1 || step.ptr[0] != '0')) {
		buf_putspan(b, step);
		return;
	}
	for (size_t i = 0; i < step.len; i++)
		if (step.ptr[i] == '~' && i + 1 < step.len)
			buf_putc(&name, step.ptr[++i] == '0' ? '~' : '/');
		else
			buf_putc(&name, step.ptr[i]);
	buf_json_string(b, buf_span(&name));
	buf_free(&name);
}

/* The way of the pointer; broken JSON has the place of its byte instead. */
static const char *
loc_of(struct http_request *r, const struct task_problem *p)
{
	struct buf steps = { 0 };
	const char *loc, *at = p->pointer;

	if (strcmp(p->compat_type, "json_invalid") == 0)
		return arena_printf(http_arena(r), ",%zu", p->offset);
	while (*at == '/') {
		size_t len = strcspn(++at, "/");

		put_step(&steps, (struct span){ at, len });
		at += len;
	}
	loc = arena_spandup(http_arena(r), buf_span(&steps));
	buf_free(&steps);
	return loc;
}

static void
compat_invalid(struct api_call *c, const struct admit_answer *a)
{
	const struct task_problem *p = a->problem;
	struct api_compat_error e = { .type = p->compat_type, .msg = p->detail, .ctx = p->compat_ctx };

	if (a->bad_key) {
		e.place = "header";
		e.loc = ",\"Idempotency-Key\"";
		e.text = p->input;
	} else {
		e.place = "body";
		e.loc = loc_of(c->r, p);
		e.json = strcmp(p->compat_type, "json_invalid") == 0 ? SPAN("{}") : p->input;
	}
	refuse_one(c->r, &e);
}

static void
compat_bad_id(struct api_call *c, struct span text)
{
	struct api_compat_error e = {
		.type = "uuid_parsing",
		.place = "path",
		.loc = ",\"task_id\"",
		.msg = "Input should be a valid UUID, expected 8-4-4-4-12 hexadecimal digits",
		.text = text,
		.ctx = "{\"error\":\"expected 8-4-4-4-12 hexadecimal digits\"}",
	};

	refuse_one(c->r, &e);
}

/* --- a string -------------------------------------------------------------------------------------------------------------- */

static void
reply_detail(struct api_call *c, int status, const char *detail)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"detail\":");
	buf_json_string(&b, span_of(detail));
	buf_putc(&b, '}');
	http_reply(c->r, status, "application/json", buf_span(&b));
	buf_free(&b);
}

static void
compat_conflict(struct api_call *c, const struct admit_answer *a UNUSED)
{
	reply_detail(c, 422, "idempotency key was previously used with a different request body");
}

static void
compat_not_found(struct api_call *c)
{
	reply_detail(c, 404, arena_printf(http_arena(c->r), "task %s not found", api_id(c->r, &c->id)));
}

static void
compat_wrong_state(struct api_call *c, const struct task_row *row)
{
	reply_detail(c, 409,
	    arena_printf(http_arena(c->r),
		"cannot retry task in status=%s; only FAILED or DEAD_LETTER tasks can be retried",
		task_status_word(row->state)));
}

const struct api_surface api_surface_compat = {
	.number = TASK_SURFACE_COMPAT,
	.tasks = "/tasks",
	.invalid = compat_invalid,
	.conflict = compat_conflict,
	.bad_id = compat_bad_id,
	.not_found = compat_not_found,
	.wrong_state = compat_wrong_state,
};
