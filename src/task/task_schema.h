/* task_schema.h - the JSON Schema that a handler has for payloads.
 *
 * A subset of draft 2020-12, the one that taskq.conf(5) states.  Whatever is not in it is refused when the schema is read, so a
 * schema never says less than its author thinks.  A schema is made once and then only read; a check takes memory for the
 * tokens of a large payload and for nothing else.
 */
#ifndef TASK_TASK_SCHEMA_H
#define TASK_TASK_SCHEMA_H

#include "task/task_json.h"

#define TASK_SCHEMA_BYTES_MAX (64 * 1024) /* of its text */
#define TASK_SCHEMA_NESTING_MAX 100       /* of schemas in schemas, each $ref counted with what it leads to */
#define TASK_SCHEMA_STEPS 1000000  /* one value against one schema; a payload has one more for each of its bytes */
#define TASK_SCHEMA_DETAIL_MAX 168 /* bytes of a problem's detail: the name of a handler fits beside it */

struct task_schema;

/* Null: `why` gets one line, with a JSON Pointer into the schema where that helps. */
struct task_schema *task_schema_new(struct span text, struct buf *why) MUSTCHECK;
void task_schema_free(struct task_schema **s);

/* False: the problem is the first violation in the order of the payload's text; its pointer begins with "/payload", its offset
 * counts from there.  Status 422, code "invalid_payload"; detail "expected integer, got string". */
bool task_schema_check(const struct task_schema *s, struct span payload, struct task_problem *problem_r) MUSTCHECK;

#endif
