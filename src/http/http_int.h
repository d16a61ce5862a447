/* http_int.h - what the files of this room share.
 *
 * Bytes become a request in four pure steps, none of which knows a socket: http_parse.c finds the lines of a head,
 * http_target.c takes the target apart, http_frame.c decides where the body ends, http_chunk.c takes chunks off a body.
 * http_route.c then says who wants the request and what that costs, http_request.c holds it, http_conn.c moves it through a
 * connection, http_server.c owns listeners and deadlines, http_answer.c and http_reply.c write the answer.
 */
#ifndef HTTP_HTTP_INT_H
#define HTTP_HTTP_INT_H

#include "base/list.h"
#include "http/http.h"

/* Why a request is refused.  `detail` says what was expected; both words live for ever. */
struct http_bad {
	int status; /* 0: nothing is wrong */
	const char *code;
	const char *detail;
};
/* Fills `bad` and returns false, so that a check can say: return http_refuse(bad, 400, ...). */
bool http_refuse(struct http_bad *bad, int status, const char *code, const char *detail);

/* --- http_parse.c: the lines of a head -------------------------------------------------------------------------------- */

struct http_limits {
	size_t line; /* bytes of the request line, without its end */
	size_t head; /* bytes of the header lines, with their ends */
	int fields;  /* header lines */
};

/* A header line; places count from the first byte of the head. */
struct http_field {
	uint32_t name, name_len;
	uint32_t value, value_len; /* without the white space around it */
};

/* A head, however far it is read.  All zero is the beginning; `fields` belongs to the head and survives http_head_reset(). */
struct http_head {
	int state;
	size_t at;    /* bytes looked at; once DONE, the length of the head */
	size_t start; /* of the request line: one empty line may stand before it */
	size_t lines; /* where the header lines begin */
	uint32_t method_len;
	uint32_t target, target_len;
	int minor;          /* HTTP/1.minor */
	unsigned char high; /* OR of the bytes of the value that is being read */
	struct http_field *fields;
	int nfields, cap;
	struct http_bad bad;
};

enum http_parse { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_BAD };

/* Reads on.  `bytes` always begins with the head's first byte and holds at least what it held before.  The verdict on given
 * bytes does not depend on the pieces in which they came. */
enum http_parse http_head_parse(
    struct http_head *h, const struct http_limits *lim, const char *bytes, size_t len) MUSTCHECK;
void http_head_reset(struct http_head *h);
void http_head_free(struct http_head *h);
struct span http_field_name(const struct http_field *f, const char *bytes);
struct span http_field_value(const struct http_field *f, const char *bytes);

bool http_is_token(struct span s);
bool http_is_utf8(struct span s);

/* --- http_target.c: the target of a request ------------------------------------------------------------------------------ */

struct http_target {
	struct span authority; /* absolute form only; else ptr null */
	struct span path;      /* as sent; "*" for the server as a whole */
	struct span query;     /* as sent, without the question mark */
};
bool http_target_split(struct span target, struct http_target *t_r, struct http_bad *bad) MUSTCHECK;
/* Writes at most raw.len bytes to `out`.  False: a bad escape, NUL, or not UTF-8. */
bool http_percent_decode(struct span raw, bool plus_is_space, char *out, size_t *len_r) MUSTCHECK;
/* The same for a path: no control characters, and no escaped slash, which would read as a segment's end after routing. */
bool http_path_decode(struct span raw, char *out, size_t *len_r, struct http_bad *bad) MUSTCHECK;
/* uri-host [ ":" port ], not empty. */
bool http_host_valid(struct span host) MUSTCHECK;

/* --- http_frame.c: where the body ends ------------------------------------------------------------------------------------ */

struct http_frame {
	struct span host;       /* ptr null: none (HTTP/1.0) */
	int64_t content_length; /* -1: not given */
	bool chunked;
	bool expects; /* 100-continue */
	bool close;   /* the client's last request on this connection */
};
/* True when a comma-separated list of words holds this one, in any case. */
bool http_list_has(struct span list, const char *word);
bool http_frame_read(
    const struct http_head *h, const char *bytes, struct http_frame *f_r, struct http_bad *bad) MUSTCHECK;

/* --- http_chunk.c: a chunked body ------------------------------------------------------------------------------------------- */

struct http_chunks {
	int state;
	int digits;
	uint64_t left; /* of the chunk that is being read */
	struct http_bad bad;
};
/* Appends data to `body` and tells how many bytes it took; more than `max` data bytes is 413. */
enum http_parse http_chunks_read(
    struct http_chunks *c, const char *bytes, size_t len, size_t max, struct buf *body, size_t *used_r) MUSTCHECK;

#endif
