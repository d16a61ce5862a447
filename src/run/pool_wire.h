/* pool_wire.h - the words between us and a child of a pool: frames and answers.  Pure: bytes in, spans out.
 *
 * Both directions carry the same JSON objects, as lines of text or as msgpack (which needs nothing between two objects).  We send
 * envelopes; the child sends answers, which are described for those who write children in taskq-handler(7).
 */
#ifndef RUN_POOL_WIRE_H
#define RUN_POOL_WIRE_H

#include "base/buf.h"

#define POOL_FRAME_EXTRA 4096 /* bytes that an answer may be longer than the result in it */

/* Bytes on their way in.  All zero but `msgpack` and `max` is the beginning. */
struct pool_frames {
	bool msgpack;
	size_t max; /* of one frame */
	struct buf in;
	size_t begin;  /* of the next frame, in `in` */
	size_t looked; /* from there on nothing has been looked at; may be behind what has come */
	uint64_t open; /* msgpack: values that the frame still needs */
	struct buf text;
};

enum pool_frame {
	POOL_FRAME_MORE,    /* nothing whole is here */
	POOL_FRAME_WHOLE,   /* one frame as JSON text, valid until the next call */
	POOL_FRAME_GARBLED, /* one frame that is not what it should be; the next may be */
	POOL_FRAME_LONG     /* longer than max, or not msgpack: what follows cannot be told apart; say no more */
};

void pool_frames_free(struct pool_frames *f);
char *pool_frames_room(struct pool_frames *f, size_t size); /* where the next bytes go */
void pool_frames_came(struct pool_frames *f, size_t len);   /* so many were put there */
enum pool_frame pool_frames_next(struct pool_frames *f, struct span *json_r) MUSTCHECK;
struct span pool_frames_part(const struct pool_frames *f); /* what is here and not taken */

enum pool_word {
	POOL_WRONG,   /* no answer at all: `wrong` says what was expected */
	POOL_RESULT,  /* `result` */
	POOL_FAILURE, /* it is for exec_report() */
	POOL_SNOOZE,  /* `number`: seconds */
	POOL_PROGRESS /* `number`: 0 to 100; `note` */
};

struct pool_answer {
	enum pool_word word;
	struct span lease;
	struct span result; /* JSON; empty when it is null */
	double number;
	struct span note; /* text, in `room` */
	const char *wrong;
};

/* The spans point into the frame, that of the note into `room`. */
void pool_answer_read(struct span frame, struct buf *room, struct pool_answer *a_r);

/* Makes the envelope that begins at `from` in b fit to be a line: white space of the payload that would end it, and separators that
 * some readers of lines take for an end, are written otherwise.  Adds the end of the line. */
void pool_envelope_line(struct buf *b, size_t from);

#endif
