/* task_int.h - what the files of the scanner share: tokens of a checked JSON text.
 *
 * The scanner leaves one token per value and per name, in the order of the text, in one array.  A name is followed by
 * its value; the names of an object are also linked in the order of their bytes, for canonical text.
 */
#ifndef TASK_TASK_INT_H
#define TASK_TASK_INT_H

#include "task/task_json.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

#define JSON_ESCAPED 1u   /* string: has a backslash, so its text is not its bytes */
#define JSON_SURROGATE 2u /* string: an escaped surrogate without its other half, which UTF-8 cannot say */
#define JSON_INTEGER 4u   /* number: without fraction and exponent */

struct json_token {
	uint32_t start; /* string: after the opening quote */
	uint32_t len;   /* string: without the quotes */
	uint32_t next;  /* the token after this one and all inside it */
	uint32_t link;  /* object: its least name; name: the next greater one; 0: none */
	uint8_t type;
	uint8_t flags;
};

/* An object or array that is still open. */
struct json_frame {
	uint32_t token;
	uint32_t count; /* members begun */
	uint32_t name;  /* object: token of the newest name */
};

#define JSON_INLINE 64 /* tokens that need no memory: most submissions */
#define JSON_FEW 32    /* names of an object that need none */

struct json_scan {
	struct span text;
	struct json_token *tokens;
	uint32_t ntokens, cap;
	uint32_t nvalues;
	uint32_t *order; /* for sorting names: room for `order_cap` and a copy of them */
	size_t order_cap;
	uint32_t few[2 * JSON_FEW]; /* the first room */
	int depth;
	struct json_frame stack[TASK_DEPTH_MAX];
	struct json_token fixed[JSON_INLINE];
};

/* task_json_scan.c.  Fills `s` (also on false: free it either way); token 0 is the document. */
bool json_scan(struct json_scan *s, struct span text, struct task_problem *problem_r) MUSTCHECK;
void json_scan_free(struct json_scan *s);

/* task_json_text.c: strings of the text.  A cursor runs over the bytes between the quotes. */
uint32_t json_char(const unsigned char **at);  /* the next code point, escapes undone; a lone surrogate as itself */
size_t json_char_put(uint32_t c, char out[4]); /* as UTF-8; a surrogate by the same scheme */
struct span json_raw(const struct json_scan *s, uint32_t token);                /* of a string: between the quotes */
struct span json_whole(const struct json_scan *s, uint32_t token);              /* of a string: with them */
bool json_text_is(const struct json_scan *s, uint32_t token, const char *text); /* ASCII text; escapes undone */
int json_text_cmp(const struct json_scan *s, uint32_t a, uint32_t b);           /* by bytes, escapes undone */
int json_texts_cmp(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b); /* of two texts */
size_t json_text_chars(const struct json_scan *s, uint32_t token); /* code points, escapes undone */
/* Escapes undone; copied into the arena only where there were any. */
struct span json_text(const struct json_scan *s, uint32_t token, struct arena *arena);
/* Links the names of a whole object.  0, or the token of a name that was there before. */
uint32_t json_names_link(struct json_scan *s, uint32_t object, uint32_t count);

/* task_json_canon.c.  Frozen: stored fingerprints depend on it. */
void json_canon(struct buf *b, const struct json_scan *s, uint32_t token);
void json_canon_text(struct buf *b, struct span text); /* a string that is UTF-8 already */

/* task_json_value.c: what values mean, whatever text they stand in. */
struct json_decimal {
	const char *first, *last; /* digits that are not 0, a point may be between them; null: the number is 0 */
	int64_t high, low;        /* their powers of ten */
	bool negative;
};
struct json_decimal json_decimal(struct span number); /* exact while its exponent is below 10^15 */
int json_decimal_cmp(const struct json_decimal *a, const struct json_decimal *b);
bool json_decimal_is_integer(const struct json_decimal *d);                                 /* 1.0 is one */
bool json_decimal_is_multiple(const struct json_decimal *d, const struct json_decimal *of); /* `of`: > 0, 18 digits */
int json_decimal_digits(const struct json_decimal *d); /* from the first to the last; of one with a small exponent */
/* One order of all values: equal when they mean the same. */
int json_value_cmp(const struct json_scan *sa, uint32_t a, const struct json_scan *sb, uint32_t b);

/* task_json_problem.c */
void problem_set(struct task_problem *p, const char *code, size_t offset, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Each appends one step to the pointer, escaped. */
void problem_point_name(struct task_problem *p, const struct json_scan *s, uint32_t name);
void problem_point_text(struct task_problem *p, const char *name);
void problem_point_index(struct task_problem *p, uint32_t index);
/* Appends all steps from the document to the value `token`. */
void problem_point_token(struct task_problem *p, const struct json_scan *s, uint32_t token);

/* task_request.c.  Text of an envelope: no control characters (it goes into logs, headers, environments), no half of a character,
 * min to max bytes; copied into the arena only where it was escaped. */
bool request_text(const struct json_scan *s, struct arena *arena, uint32_t token, int min, int max, struct span *text_r)
    MUSTCHECK;

/* task_unique.c: the member `unique` of a submission; `value` is its token.  Canonical text of one that is there: in fingerprints. */
bool unique_read(const struct json_scan *s, struct arena *arena, uint32_t value, struct task_unique *u_r,
    struct task_problem *p) MUSTCHECK;
void unique_canon(struct buf *b, const struct task_unique *u);

/* task_request_compat.c */
bool request_read_compat(
    const struct json_scan *s, struct arena *arena, struct task_request *r, struct task_problem *p) MUSTCHECK;
/* Turns a problem of the scanner into the surface's words: one for a body that is absent, one for all that is not JSON;
 * ours goes into the ctx. */
void problem_compat(struct task_problem *p, bool empty);

#endif
