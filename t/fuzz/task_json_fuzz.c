/* task_json_fuzz.c - any bytes as a submitted body.
 *
 * Beyond "does not crash": canonical text is its own canonical text; a body and its canonical text ask for the same
 * task, so their fingerprints are equal; a problem points into the body.  scripts/fuzz task_json 60 runs it for a
 * minute.
 */
#include <string.h>

#include "t/fuzz/fuzz.h"
#include "task/task_json.h"

static void
check_problem(const struct task_problem *p, size_t len, bool compat)
{
	ASSERT(p->status == (compat ? 422 : 400) && p->code != NULL && p->offset <= len);
	ASSERT(strlen(p->pointer) < sizeof(p->pointer) && p->detail[0] != '\0');
	ASSERT(compat == (p->compat_type != NULL));
}

/* The canonical text of the body asks for the same task. */
static void
check_same(struct span canon, enum task_surface surface, const struct task_request *first)
{
	struct arena *arena = arena_new(1024);
	struct task_request r;
	struct task_problem p;

	ASSERT(task_request_read(canon, surface, arena, &r, &p));
	ASSERT(memcmp(r.fingerprint, first->fingerprint, DIGEST_LEN) == 0);
	arena_free(&arena);
}

static void
try_surface(struct span body, const struct buf *canon, enum task_surface surface)
{
	struct arena *arena = arena_new(1024);
	struct task_request r;
	struct task_problem p;

	if (task_request_read(body, surface, arena, &r, &p)) {
		ASSERT(r.task_type.len > 0 && r.task_type.len <= TASK_TYPE_MAX && r.nlabels <= TASK_LABELS_MAX);
		ASSERT(r.max_attempts >= 1 && r.max_attempts <= TASK_ATTEMPTS_MAX);
		ASSERT(r.run_at == 0 || r.delay == 0);
		ASSERT(task_json_valid(r.payload) && r.payload.ptr[0] == '{');
		check_same(buf_span(canon), surface, &r);
	} else {
		check_problem(&p, body.len, surface == TASK_SURFACE_COMPAT);
	}
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = { (const char *)data, size };
	struct buf canon = { 0 };
	struct buf again = { 0 };
	struct task_problem p;
	bool valid = task_json_canonical(body, &canon, &p);

	ASSERT(valid == task_json_valid(body));
	if (valid) {
		ASSERT(task_json_canonical(buf_span(&canon), &again, &p));
		ASSERT(span_eq(buf_span(&canon), buf_span(&again)));
	} else {
		check_problem(&p, size, false);
	}
	try_surface(body, &canon, TASK_SURFACE_V1);
	try_surface(body, &canon, TASK_SURFACE_COMPAT);
	buf_free(&canon);
	buf_free(&again);
	return 0;
}
