/* api_dead_line.h - one line of an export, read: api_dead_line.c. */
#ifndef HTTP_API_DEAD_LINE_H
#define HTTP_API_DEAD_LINE_H

#include "http/api_dead.h"
#include "task/task_json.h"

#define API_HISTORY_MAX STORE_ATTEMPTS

struct api_dead_line {
	bool end;        /* the last line of an export */
	int64_t letters; /* that it says were before it */
	struct store_import in;
	/* why it is none: */
	const char *code;
	struct task_problem problem; /* its pointer and detail */
};
/* What it points to is in the arena or in the line.  False: it says why. */
bool api_dead_line_read(struct span line, struct arena *arena, struct api_dead_line *l_r) MUSTCHECK;

#endif
