/* task_schema_int.h - a schema as it is checked against: nodes over the tokens of its text.
 *
 * A node is one (sub)schema.  What several $ref name is one node; none leads back to itself, so the nodes under one are a
 * finite tree.
 */
#ifndef TASK_TASK_SCHEMA_INT_H
#define TASK_TASK_SCHEMA_INT_H

#include "task/task_int.h"
#include "task/task_schema.h"

/* Bits of struct schema_node.types: 1 << enum json_type, and: */
#define SCHEMA_INTEGER (1u << 8)

struct schema_member {
	uint32_t name; /* token */
	const struct schema_node *node;
};

struct schema_list {
	const struct schema_node **nodes;
	uint32_t n;
};

struct schema_values {
	uint32_t *tokens; /* sorted */
	uint32_t n;
};

struct schema_node {
	uint32_t token;                 /* its place in the text */
	int height;                     /* of the tree under it, itself counted; 0: still being read */
	bool never;                     /* false: nothing fits */
	unsigned types;                 /* 0: any */
	struct schema_values values[2]; /* enum, const; n 0: none */
	uint32_t minimum, maximum, exclusive_minimum, exclusive_maximum, multiple; /* tokens; 0: none */
	uint32_t min_length, max_length, min_items, max_items, min_members, max_members;
	struct schema_values required;
	struct schema_member *members; /* sorted by name */
	uint32_t nmembers;
	const struct schema_node *others; /* members that have no schema of their own; null: anything */
	struct schema_list first_items;
	const struct schema_node *items;           /* the rest; null: anything */
	struct schema_list all, any, one, no, ref; /* `no` and `ref`: at most one */
};

struct task_schema {
	char *text;
	struct json_scan scan;
	struct arena *arena;
	const struct schema_node *root;
};

/* --- reading: task_schema_read.c, task_schema_keyword.c ----------------------------------------------------------------------- */

struct schema_reader {
	struct task_schema *s;
	struct schema_node **node_of; /* by token */
	struct buf *why;
	int depth;
};

/* Sets the line and is false, so that a reader can return it. */
bool schema_refuse(struct schema_reader *r, uint32_t token, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Null: refused. */
const struct schema_node *schema_node_read(struct schema_reader *r, uint32_t token) MUSTCHECK;
/* One keyword, by its name's token, into the node. */
bool schema_keyword_read(struct schema_reader *r, struct schema_node *node, uint32_t name) MUSTCHECK;

/* --- checking: task_schema_check.c, task_schema_words.c --------------------------------------------------------------------- */

enum schema_wrong {
	SCHEMA_WRONG_TYPE,
	SCHEMA_WRONG_ENUM,
	SCHEMA_WRONG_CONST,
	SCHEMA_WRONG_MINIMUM,
	SCHEMA_WRONG_MAXIMUM,
	SCHEMA_WRONG_EXCLUSIVE_MINIMUM,
	SCHEMA_WRONG_EXCLUSIVE_MAXIMUM,
	SCHEMA_WRONG_MULTIPLE,
	SCHEMA_WRONG_FEW,
	SCHEMA_WRONG_MANY,
	SCHEMA_WRONG_REQUIRED,
	SCHEMA_WRONG_NEVER,
	SCHEMA_WRONG_ANY,
	SCHEMA_WRONG_ONE,
	SCHEMA_WRONG_NOT
};

struct schema_check {
	const struct json_scan *schema;
	struct json_scan payload;
	int64_t steps; /* left; below 0: given up */
	/* the violation */
	enum schema_wrong wrong;
	const struct schema_node *node;
	uint32_t token; /* of the payload */
	uint32_t more;  /* token of the schema: the bound, the missing name.  Else the count that came */
	uint32_t bound; /* of a count */
};

/* The violation, or that it took too many steps, as a problem. */
void schema_explain(const struct schema_check *c, struct task_problem *p);
/* The scanner's problem with a payload, as one of a submission: its pointer begins at the payload. */
void schema_explain_scan(struct task_problem *p);

#endif
