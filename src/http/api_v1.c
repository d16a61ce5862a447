/* api_v1.c - how /v1 says no: application/problem+json with a stable code. */
#include "base/clock.h"

#include "http/api_int.h"

static void
v1_invalid(struct api_call *c, const struct admit_answer *a)
{
	const struct task_problem *t = a->problem;
	struct http_problem p = { .status = t->status, .code = t->code, .detail = t->detail };

	if (!a->bad_key)
		p.pointer = t->pointer;
	http_reply_problem(c->r, &p);
}

/* Never the other body: whoever asks may be somebody else. */
static void
v1_conflict(struct api_call *c, const struct admit_answer *a)
{
	struct http_problem p = { .status = 422, .code = "key_mismatch" };
	const char *first = api_time(c->r, a->row->created_at);

	p.task_id = api_id(c->r, &a->row->id);
	p.detail = arena_printf(http_arena(c->r),
	    "this key was used at %s for task %s with a different request body; do not send this again with the same "
	    "key",
	    first, p.task_id);
	http_reply_problem(c->r, &p);
}

/* Seconds until then, at least one. */
static int
seconds_until(struct api_call *c, int64_t wall)
{
	int64_t left = wall - store_db_now(c->api->store);

	return left > CLOCK_SECOND ? (int)((left + CLOCK_SECOND - 1) / CLOCK_SECOND) : 1;
}

/* The key is free: the same request, with the same key, is the one to send again. */
static void
v1_not_unique(struct api_call *c, const struct admit_answer *a)
{
	struct http_problem p = { .status = 409, .code = "not_unique", .retryable = true };
	const char *until = "it has ended";

	if (a->hold == TASK_HOLD_QUEUED)
		until = "it starts";
	if (a->hold == TASK_HOLD_WINDOW) {
		until = api_time(c->r, a->held_until);
		p.retry_after = seconds_until(c, a->held_until);
	}
	p.task_id = api_id(c->r, &a->row->id);
	p.detail = arena_printf(http_arena(c->r),
	    "task %s has this unique key until %s; nothing was stored, the same request may be sent again then",
	    p.task_id, until);
	http_reply_problem(c->r, &p);
}

static void
v1_bad_id(struct api_call *c, struct span text UNUSED)
{
	struct http_problem p = { .status = 400, .code = "invalid_id" };

	p.detail = "expected the id of a task, a UUID like 0190d3f2-7c1e-7000-8000-000000000000";
	http_reply_problem(c->r, &p);
}

static void
v1_not_found(struct api_call *c)
{
	struct http_problem p = { .status = 404, .code = "not_found" };

	p.task_id = api_id(c->r, &c->id);
	p.detail = arena_printf(http_arena(c->r), "there is no task %s", p.task_id);
	http_reply_problem(c->r, &p);
}

static void
v1_wrong_state(struct api_call *c, const struct task_row *row)
{
	struct http_problem p = { .status = 409, .code = "wrong_state" };

	p.task_id = api_id(c->r, &c->id);
	p.detail =
	    arena_printf(http_arena(c->r), "cannot %s a task in status %s", c->verb, task_status_word(row->state));
	http_reply_problem(c->r, &p);
}

const struct api_surface api_surface_v1 = {
	.number = TASK_SURFACE_V1,
	.tasks = "/v1/tasks",
	.invalid = v1_invalid,
	.conflict = v1_conflict,
	.not_unique = v1_not_unique,
	.bad_id = v1_bad_id,
	.not_found = v1_not_found,
	.wrong_state = v1_wrong_state,
};
