/* api_dead.h - what the endpoints of dead letters share.
 */
#ifndef HTTP_API_DEAD_H
#define HTTP_API_DEAD_H

#include "store/store_dead.h"

#include "http/api_int.h"

/* A letter as one object, with all that it keeps: api_dead.c. */
void api_dead_put(struct buf *b, const struct store_letter *l, const struct store_attempt *all, int n);

/* --- filters: api_dead_filter.c ------------------------------------------------------------------------------------------------ */

#define API_DEAD_NAMES \
	"queue, task_type, reason, class, code, fingerprint, cause, schema_version, label, died_after, died_before, " \
	"ids"

/* A filter that is being read; begins as { .c = c }.  What it points to is in the arena of the request. */
struct api_dead_filter {
	struct api_call *c;
	struct store_dead_filter f;
	unsigned seen; /* members that were given, each once */
};

/* One parameter of a query.  A list asks with its own parameters first. */
enum api_dead_taken { API_DEAD_TAKEN, API_DEAD_REFUSED, API_DEAD_UNKNOWN };
enum api_dead_taken api_dead_filter_parameter(struct api_dead_filter *g, struct span name, struct span value) MUSTCHECK;
/* An object that stands at `pointer` ("/filter") in the body of an act: it must narrow something, or say all: true.  False: answered. */
bool api_dead_filter_object(struct api_dead_filter *g, const char *pointer, json_t *object) MUSTCHECK;
/* The same as a JSON object: what api_dead_filter_object() reads. */
void api_dead_filter_put(struct http_request *r, struct buf *b, const struct store_dead_filter *f);
/* 422 invalid_filter, at the pointer (null: none); false. */
bool api_dead_refuse(struct api_call *c, const char *pointer, const char *detail);

#endif
