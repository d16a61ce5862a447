/* task_schema_fuzz.c - any bytes as a schema, a NUL, and any bytes as a payload.
 *
 * Beyond "does not crash": a schema that is refused says why in one line; a refusal of a payload points into it; what means the
 * same (its canonical text) is judged the same; and "not" of a schema fits exactly what the schema does not.  scripts/fuzz
 * task_schema 60 runs it for a minute.
 */
#include <string.h>

#include "t/fuzz/fuzz.h"
#include "task/task_schema.h"

static bool
judge(const struct task_schema *s, struct span payload, struct task_problem *p)
{
	bool good = task_schema_check(s, payload, p);

	if (!good) {
		ASSERT(p->status == 422 && strcmp(p->code, "invalid_payload") == 0 && p->offset <= payload.len);
		ASSERT(strncmp(p->pointer, "/payload", 8) == 0 && strlen(p->pointer) < sizeof(p->pointer));
		ASSERT(p->detail[0] != '\0' && strlen(p->detail) < sizeof(p->detail));
		ASSERT(p->input.len <= payload.len);
	}
	return good;
}

/* Of a schema that is an object without references: only the top has $defs. */
static void
check_not(struct span text, struct span payload, bool good)
{
	struct buf b = { 0 }, why = { 0 };
	struct task_problem p;
	struct task_schema *s;

	buf_puts(&b, "{\"not\":");
	buf_putspan(&b, text);
	buf_putc(&b, '}');
	s = task_schema_new(buf_span(&b), &why);
	if (s != NULL && (judge(s, payload, &p) || strstr(p.detail, "steps") == NULL))
		ASSERT(judge(s, payload, &p) == !good);
	task_schema_free(&s);
	buf_free(&b);
	buf_free(&why);
}

static void
check_payload(const struct task_schema *s, struct span text, struct span payload)
{
	struct task_problem p;
	struct buf canon = { 0 };
	bool good = judge(s, payload, &p);

	if (task_json_canonical(payload, &canon, &p)) {
		ASSERT(judge(s, buf_span(&canon), &p) == good || strstr(p.detail, "steps") != NULL);
		check_not(text, payload, good);
	} else {
		ASSERT(!good);
	}
	buf_free(&canon);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data, *nul = size > 0 ? memchr(bytes, '\0', size) : NULL;
	struct span text = { bytes, nul != NULL ? (size_t)(nul - bytes) : size }, payload = { "{}", 2 };
	struct buf why = { 0 };
	struct task_schema *s = task_schema_new(text, &why);

	if (nul != NULL)
		payload = (struct span){ nul + 1, size - text.len - 1 };
	ASSERT((s == NULL) == (why.len > 0));
	if (s != NULL)
		check_payload(s, text, payload);
	task_schema_free(&s);
	buf_free(&why);
	return 0;
}
