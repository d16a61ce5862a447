/* pool_hear.c - what a child of a pool writes: answers on stdout, lines for the log on stderr.
 *
 * What a child does wrong is never forgiven: it is killed, and the task that it was about fails with PROTOCOL_ERROR.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"

#include "run/pool.h"

#define CHUNK 16384
#define STDERR_LINE 900  /* bytes of stderr in one line of the log */
#define STDERR_LINES 100 /* logged of one child in STDERR_WINDOW */
#define STDERR_WINDOW (10 * CLOCK_SECOND)
#define TAIL_MOST (4 * TASK_TAIL_MAX) /* so that it is cut now and then only */

/* --- stderr ---------------------------------------------------------------------------------------------------------------------- */

static void
stderr_line(struct pool_child *c, struct span line)
{
	const struct pool_job *j = pool_job_oldest(c);
	int64_t now = clock_now();
	char text[3 * STDERR_LINE + 1]; /* a bad byte becomes three */

	line = exec_text_trim(line);
	if (line.len == 0)
		return;
	(void)exec_text_clean(c->said, sizeof(c->said), line);
	if (now - c->lines_since > STDERR_WINDOW) {
		c->lines_since = now;
		c->lines = 0;
	}
	if (c->lines++ >= STDERR_LINES)
		return;
	if (c->lines == STDERR_LINES) {
		log_info("pool child writes much to stderr, more of it is left out",
		    log_str("handler", c->pool->handler->title), log_int("child", c->pid));
		return;
	}
	(void)exec_text_clean(text, sizeof(text), line);
	if (j != NULL)
		log_info("pool child wrote to stderr", log_str("handler", c->pool->handler->title),
		    log_int("child", c->pid), log_id("task_id", &j->x->row->id),
		    log_span("trace_id", j->x->row->trace_id), log_str("stderr", text));
	else
		log_info("pool child wrote to stderr", log_str("handler", c->pool->handler->title),
		    log_int("child", c->pid), log_str("stderr", text));
}

static void
tail_came(struct pool_child *c, const char *p, size_t len)
{
	buf_put(&c->tail, p, len);
	if (c->tail.len > TAIL_MOST)
		buf_consume(&c->tail, c->tail.len - TASK_TAIL_MAX);
}

/* A line that is too long is logged in pieces. */
static void
stderr_came(struct pool_child *c, const char *p, size_t len)
{
	struct span rest;
	const char *end;

	tail_came(c, p, len);
	buf_put(&c->err, p, len);
	rest = buf_span(&c->err);
	while ((end = memchr(rest.ptr, '\n', rest.len)) != NULL || rest.len >= STDERR_LINE) {
		size_t n =
		    end != NULL && (size_t)(end - rest.ptr) < STDERR_LINE ? (size_t)(end - rest.ptr) + 1 : STDERR_LINE;

		stderr_line(c, (struct span){ rest.ptr, n });
		rest = (struct span){ rest.ptr + n, rest.len - n };
		if (rest.len == 0)
			break;
	}
	buf_consume(&c->err, c->err.len - rest.len);
}

/* --- answers --------------------------------------------------------------------------------------------------------------------- */

void
pool_hear_wrong(struct pool_child *c, struct pool_job *j, const char *what, struct span shown)
{
	char message[256], text[128];

	(void)exec_text_clean(text, sizeof(text), shown);
	if (text[0] != '\0')
		snprintf(message, sizeof(message), "%s, but it wrote \"%s\"", what, text);
	else
		snprintf(message, sizeof(message), "%s", what);
	log_warning("pool child broke the protocol and is killed", log_str("handler", c->pool->handler->title),
	    log_int("child", c->pid), log_str("what", what));
	pool_job_wrong(c, j, TASK_TRANSIENT, "PROTOCOL_ERROR", message);
	pool_child_doom(c, SIGKILL);
}

/* False when what it says of its failure cannot be read. */
static bool
answer_fill(struct exec_run *x, const struct pool_answer *a, struct span frame)
{
	char message[80];

	if (a->word == POOL_FAILURE) {
		(void)exec_fail(x, TASK_TRANSIENT, "HANDLER_FAILED", SPAN("the handler reported a failure"));
		return exec_report(x, frame);
	}
	if (a->word == POOL_SNOOZE)
		return exec_snooze(x, a->number);
	if (a->result.len > (size_t)x->env->conf->work.output_max) {
		snprintf(message, sizeof(message), "the result has more than %lld bytes",
		    (long long)x->env->conf->work.output_max);
		(void)exec_fail(x, TASK_NON_RETRYABLE, "OUTPUT_TOO_LARGE", span_of(message));
	} else {
		exec_succeed(x, a->result);
	}
	return true;
}

static void
answer_take(struct pool_child *c, struct pool_job *j, const struct pool_answer *a, struct span frame)
{
	if (a->word == POOL_PROGRESS) {
		pool_job_begin(j, clock_now());
		if (j->x->progress != NULL)
			j->x->progress(j->x, (int)a->number, a->note);
	} else if (!answer_fill(j->x, a, frame)) {
		pool_hear_wrong(c, j, "expected a failure as an object", frame);
	} else {
		pool_job_answered(j);
	}
}

static void
frame_came(struct pool_child *c, struct span frame)
{
	struct pool_answer a;
	struct pool_job *j;

	if (c->state != POOL_BUSY) {
		pool_hear_wrong(c, NULL, "expected nothing from a child without a task", frame);
		return;
	}
	pool_answer_read(frame, &c->room, &a);
	j = pool_job_find(c, a.lease);
	if (a.word == POOL_WRONG)
		pool_hear_wrong(c, j, a.wrong, frame);
	else if (j == NULL)
		pool_hear_wrong(c, NULL, "expected the \"lease\" of the task that it runs", frame);
	else
		answer_take(c, j, &a, frame);
}

static void
frame_long(struct pool_child *c)
{
	char message[96];

	snprintf(
	    message, sizeof(message), "wrote an answer of more than %zu bytes, or what is no answer at all", c->in.max);
	if (c->state == POOL_BUSY && !c->in.msgpack)
		pool_job_wrong(c, NULL, TASK_NON_RETRYABLE, "OUTPUT_TOO_LARGE", message);
	pool_hear_wrong(c, NULL, message, (struct span){ 0 });
}

/* A doomed child has no say any more, a leaving one neither. */
static bool
child_is_heard(const struct pool_child *c)
{
	return c->state == POOL_BUSY || c->state == POOL_IDLE || c->state == POOL_STARTING;
}

static void
frames_read(struct pool_child *c)
{
	struct span frame;

	while (child_is_heard(c))
		switch (pool_frames_next(&c->in, &frame)) {
		case POOL_FRAME_MORE:
			if (c->state != POOL_BUSY && pool_frames_part(&c->in).len > 0)
				frame_came(c, pool_frames_part(&c->in)); /* a part is too much already */
			return;
		case POOL_FRAME_WHOLE:
			frame_came(c, frame);
			break;
		case POOL_FRAME_GARBLED:
			if (c->in.msgpack)
				pool_hear_wrong(c, NULL, "expected msgpack that can be JSON", (struct span){ 0 });
			else
				pool_hear_wrong(c, NULL, "expected one JSON value a line", frame);
			break;
		case POOL_FRAME_LONG:
			frame_long(c);
			break;
		}
}

/* --- reading -------------------------------------------------------------------------------------------------------------------- */

/* Returns how much came; 0: nothing is there now, or the pipe is closed. */
static size_t
pipe_read(struct pool_child *c, int which, char *to)
{
	ssize_t n = read(c->fd[which], to, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		pool_child_close(c, which);
	return n > 0 ? (size_t)n : 0;
}

void
pool_hear_answers(struct pool_child *c, int chunks)
{
	size_t n = CHUNK;

	while (chunks-- > 0 && n == CHUNK && c->fd[STDOUT_FILENO] >= 0) {
		n = pipe_read(c, STDOUT_FILENO, pool_frames_room(&c->in, CHUNK));
		pool_frames_came(&c->in, n);
		if (n > 0)
			frames_read(c);
		if (!child_is_heard(c))
			pool_frames_free(&c->in); /* nobody wants to know */
	}
}

void
pool_hear_stderr(struct pool_child *c, int chunks)
{
	char chunk[CHUNK];
	size_t n = CHUNK;

	while (chunks-- > 0 && n == CHUNK && c->fd[STDERR_FILENO] >= 0)
		if ((n = pipe_read(c, STDERR_FILENO, chunk)) > 0)
			stderr_came(c, chunk, n);
}

void
pool_hear_tail(struct pool_child *c, struct exec_run *x)
{
	pool_hear_stderr(c, 1);
	exec_tail(x, buf_span(&c->tail));
}
