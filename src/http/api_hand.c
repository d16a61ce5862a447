/* api_hand.c - a task retried or cancelled by hand.
 *
 * Both may be sent again: a task that is cancelled already is answered as it is; a retry of one that runs again is refused by its state.
 */
#include "http/api_int.h"

#define EXTRA_MAX TASK_ATTEMPTS_MAX

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
take_members(struct api_call *c, json_t *body, struct store_retry *how)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value)
	{
		struct span s = span_of(name);

		if (span_is(s, "extra_attempts")) {
			if (!take_extra(c, value, how))
				return false;
		} else if (span_is(s, "reset_attempts")) {
			if (!take_reset(c, value, how))
				return false;
		} else {
			return api_refuse(c, "unknown_field", arena_printf(http_arena(c->r), "/%.200s", name),
			    "expected only extra_attempts, reset_attempts");
		}
	}
	return true;
}

/* False: answered. */
static bool
read_body(struct api_call *c, struct store_retry *how)
{
	json_t *body;
	bool good;

	if (!api_call_body(c, &body))
		return false;
	good = body == NULL || take_members(c, body, how);
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

void
api_task_retry(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	struct store_retry how = { .extra_attempts = 0, .reset_attempts = true };

	c->verb = "retry";
	if (!api_call_id(c) || !read_body(c, &how))
		return;
	store_retry(c->api->store, &c->id, &how, on_done, c);
}

/* The earlier service took no body, kept the count and allowed three more. */
void
api_task_retry_compat(void *app, struct http_request *r)
{
	struct api_call *c = api_call_new(app, r);
	static const struct store_retry how = { .extra_attempts = 3, .reset_attempts = false };

	c->verb = "retry";
	if (api_call_id(c))
		store_retry(c->api->store, &c->id, &how, on_done, c);
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

	c->verb = "cancel";
	if (api_call_id(c) && api_call_no_members(c))
		store_cancel(c->api->store, &c->id, on_cancelled, c);
}
