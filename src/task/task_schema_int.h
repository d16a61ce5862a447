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

#endif
