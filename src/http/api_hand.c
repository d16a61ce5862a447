/* api_hand.c - a task retried or cancelled by hand.
 *
 * Both may be sent again: a task that is cancelled already is answered as it is; a retry of one that runs again is refused by its state.
 */
#include "http/api_int.h"

#define EXTRA_MAX TASK_ATTEMPTS_MAX

/* In the arena of the request. */
struct hand {
	struct store_retry how;
	struct store_who who;
};

/* --- the body ---------------------------------------------------------------------------------------------------------------- */

static bool
take_extra(struct api_call *c, const json_t *value, struct store_retry *how)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || n > EXTRA_MAX)
		return api_refuse(c, "invalid_field", "/extra_attempts", "expected an integer from 0 to 100");
	how->extra_attempts = (int)n;
	return true;
}

static bool
take_reset(struct api_call *c, const json_t *value, struct store_retry *how)
{
	if (!json_is_boolean(value))
		return api_refuse(c, "invalid_field", "/reset_attempts", "expected true or false");
	how->reset_attempts = json_is_true(value);
	return true;
}

static bool
take_member(struct api_call *c, const char *name, const json_t *value, struct hand *h)
{
	struct span s = span_of(name);

	if (span_is(s, "extra_attempts"))
		return take_extra(c, value, &h->how);
	if (span_is(s, "reset_attempts"))
		return take_reset(c, value, &h->how);
	return api_who_member(c, name, value, &h->who, "expected only extra_attempts, reset_attempts, by, why");
}

static bool
take_members(struct api_call *c, json_t *body, struct hand *h)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		if (!take_member(c, name, value, h))
			return false;
	}
	return true;
}

/* False: answered. */
static bool
read_body(struct api_call *c, struct hand *h)
{
	json_t *body;
	bool good;

	if (!api_call_body(c, &body))
		return false;
	good = body == NULL || take_members(c, body, h);
	json_decref(body);
	return good;
}

/* --- the deeds ------------------------------------------------------------------------------------------------------------- */

static void
on_done(void *arg, enum store_status status, const struct task_row *row)
{
	struct api_call *c = api_call_of(arg);

	if (status == STORE_FAILED || status == STORE_UNSURE)
		api_reply_later(c->r, status == STORE_UNSURE);
	else if (row == NULL)
		c->surface->not_found(c);
	else if (status == STORE_REFUSED)
		c->surface->wrong_state(c, row);
	else
		api_reply_task(c, row);
}

/* Every letter may be revived, but for what is blocked. */
static void
on_retried(void *arg, enum store_status status, const struct task_row *row)
{
	struct api_call *c = api_call_of(arg);
	struct http_problem p = { .status = 409,
		.code = "replay_blocked",
		.detail = "dead letters of this task type or schema version "
			  "must not be replayed; nothing was changed" };

	if (status != STORE_REFUSED || row == NULL || row->state != TASK_DEAD) {
		on_done(arg, status, row);
		return;
	}
	p.task_id = api_id(c->r, &c->id);
	http_reply_problem(c->r, &p);
}

void
api_task_retry(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	struct hand *h = arena_alloc(http_arena(r), sizeof(*h));

	*h = (struct hand){ .how.reset_attempts = true };
	c->verb = "retry";
	if (api_call_id(c) && read_body(c, h))
		store_retry(c->api->store, &c->id, &h->how, &h->who, on_retried, c);
}

/* The earlier service took no body, kept the count and allowed three more. */
void
api_task_retry_compat(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	static const struct store_retry how = { .extra_attempts = 3, .reset_attempts = false };
	static const struct store_who nobody;

	c->verb = "retry";
	if (api_call_id(c))
		store_retry(c->api->store, &c->id, &how, &nobody, on_done, c);
}

static void
on_cancelled(void *arg, enum store_status status, const struct task_row *row)
{
	struct api_call *c = api_call_of(arg);

	if (status == STORE_REFUSED && row != NULL && row->state == TASK_CANCELLED)
		api_reply_task(c, row);
	else
		on_done(arg, status, row);
}

void
api_task_cancel(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);

	struct store_who *who = arena_alloc(http_arena(r), sizeof(*who));

	*who = (struct store_who){ 0 };
	c->verb = "cancel";
	if (api_call_id(c) && api_who_body(c, who))
		store_cancel(c->api->store, &c->id, who, on_cancelled, c);
}
