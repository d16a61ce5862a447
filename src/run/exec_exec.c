/* exec_exec.c - a command, one process per run, started by the launcher.
 *
 * The envelope goes to its stdin, its stdout is the result, its stderr is kept (the last work.stderr_max bytes) for the message of
 * a failure.  EXITED decides, not the end of a pipe: a handler may close its outputs early, and a stray descendant may hold them open.
 * Our ends of the pipes do not block; a handler that never reads its stdin harms nobody (EPIPE and a full pipe are fine).
 * The loop hears of the pipes of a command only when it has lived for COMMAND_YOUNG: most say less than a pipe holds and are gone before,
 * and to watch two pipes costs more than to read them.
 * What ends may be is said in exec.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "log/log.h"
#include "sys/proc.h"
#include "task/task_json.h"

#include "run/exec.h"
#include "run/launch_client.h"

#define CHUNK 16384
#define STDERR_PIECE 900 /* bytes of stderr in one line of the log */
#define CHUNKS 16        /* read from one pipe in one turn */
#define COMMAND_YOUNG (25 * CLOCK_MS)

/* The last `size` bytes of what was put in. */
struct tail {
	char *bytes;
	size_t size;
	size_t at; /* where the next byte goes */
	bool full;
};

/* Those of a worker. */
struct commands {
	unsigned magic;
	struct list young; /* not watched yet, the oldest first */
	struct loop_timer *grown;
};
#define COMMANDS_MAGIC 0x636d6473u

struct command {
	unsigned magic;
	struct list of_young;
	int64_t born_at; /* clock_now() */
	struct exec_run *x;
	struct launch_run line;
	int fd[3]; /* our ends: its stdin, stdout, stderr; -1 closed */
	struct loop_fd *watch[3];
	struct buf envelope; /* what stdin has not taken yet */
	struct buf output;
	bool too_much; /* more than work.output_max */
	struct tail err;
};
#define COMMAND_MAGIC 0x636d6421u

static void
tail_put(struct tail *t, const char *p, size_t len)
{
	if (len >= t->size) {
		p += len - t->size;
		len = t->size;
		t->at = 0;
		t->full = true;
	}
	while (len > 0) {
		size_t room = t->size - t->at, n = len < room ? len : room;

		memcpy(t->bytes + t->at, p, n);
		p += n;
		len -= n;
		t->at += n;
		if (t->at == t->size) {
			t->at = 0;
			t->full = true;
		}
	}
}

static struct span
tail_text(const struct tail *t, struct buf *room)
{
	buf_reset(room);
	if (t->full)
		buf_put(room, t->bytes + t->at, t->size - t->at);
	buf_put(room, t->bytes, t->at);
	return buf_span(room);
}

/* --- pipes -------------------------------------------------------------------------------------------------------------------- */

static void
pipe_close(struct command *c, int which)
{
	loop_fd_free(&c->watch[which]);
	if (c->fd[which] >= 0)
		MUST(close(c->fd[which]) == 0);
	c->fd[which] = -1;
}

static void
command_free(struct command *c)
{
	list_remove(&c->of_young);
	for (int i = 0; i < 3; i++)
		pipe_close(c, i);
	buf_free(&c->envelope);
	buf_free(&c->output);
	mem_free(&c->err.bytes);
	c->magic = 0;
	c->x->state = NULL; /* the command itself lives in the arena of the run */
}

/* A command that does not want to read need not: its right. */
static void
stdin_write(struct command *c)
{
	if (c->fd[0] < 0 || (launch_pour(c->fd[0], &c->envelope) && c->envelope.len > 0))
		return;
	pipe_close(c, 0);
}

static void
stdout_take(struct command *c, const char *p, size_t len)
{
	size_t max = (size_t)c->x->env->conf->work.output_max;

	if (c->too_much)
		return;
	if (c->output.len + len <= max) {
		buf_put(&c->output, p, len);
		return;
	}
	c->too_much = true;
	buf_free(&c->output);
	launch_kill(c->x->env->launch, &c->line, SIGKILL);
}

/* Reads what is there, bounded; closes the pipe at its end. */
static void
output_read(struct command *c, int which, int chunks)
{
	char chunk[CHUNK];

	while (chunks-- > 0 && c->fd[which] >= 0) {
		ssize_t n = read(c->fd[which], chunk, sizeof(chunk));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			pipe_close(c, which);
			return;
		}
		if (which == STDOUT_FILENO)
			stdout_take(c, chunk, (size_t)n);
		else
			tail_put(&c->err, chunk, (size_t)n);
	}
}

static void
stdin_event(void *arg, int events)
{
	struct command *c = arg;

	(void)events;
	MAGIC_CHECK(c, COMMAND_MAGIC);
	stdin_write(c);
}

static void
stdout_event(void *arg, int events)
{
	struct command *c = arg;

	(void)events;
	MAGIC_CHECK(c, COMMAND_MAGIC);
	output_read(c, STDOUT_FILENO, CHUNKS);
}

static void
stderr_event(void *arg, int events)
{
	struct command *c = arg;

	(void)events;
	MAGIC_CHECK(c, COMMAND_MAGIC);
	output_read(c, STDERR_FILENO, CHUNKS);
}

/* --- the end ------------------------------------------------------------------------------------------------------------------ */

static void
end_exit_zero(struct command *c)
{
	struct span out = exec_text_trim(buf_span(&c->output));
	char message[128];

	if (out.len == 0 || task_json_valid(out)) {
		exec_succeed(c->x, out);
		return;
	}
	snprintf(message, sizeof(message), "standard output is not one JSON value but begins \"%.*s\"",
	    (int)(out.len < 60 ? out.len : 60), out.ptr);
	(void)exec_fail(c->x, TASK_TRANSIENT, "BAD_OUTPUT", span_of(message));
}

static void
end_by_status(struct command *c, int status)
{
	struct exec_run *x = c->x;
	struct task_failure f = { .exit = status };
	struct buf room = { 0 };
	struct span said = exec_text_last_line(tail_text(&c->err, &room)), out = exec_text_trim(buf_span(&c->output));
	char text[64];

	proc_status_text(status, text, sizeof(text));
	if (said.len == 0)
		said = span_of(text);
	task_class_of_exit(status, &f);
	if (f.class == TASK_CRASH) {
		exec_crash(x, f.code, status, span_of(text));
	} else {
		exec_fail(x, f.class, f.code, said)->exit = status;
		if (WEXITSTATUS(status) != EX_TEMPFAIL || !exec_snooze_said(x, out))
			(void)exec_report(x, out);
	}
	buf_free(&room);
}

/* What a failed run wrote, for whoever mends the handler: its last line is the message of the failure, so more than that is worth
 * lines of the log.  Of a run that succeeded only the debug log tells. */
static void
log_stderr(const struct command *c, bool failed)
{
	struct buf room = { 0 };
	struct span said = exec_text_trim(tail_text(&c->err, &room)), piece;
	enum log_level level = failed && exec_text_last_line(said).len < said.len ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	char text[3 * STDERR_PIECE + 1]; /* a bad byte becomes three */
	int part = 0;

	while (said.len > 0 && level >= log_level()) {
		piece = exec_text_take(&said, STDERR_PIECE);
		(void)exec_text_clean(text, sizeof(text), piece);
		log_at(level, "handler wrote to stderr", log_id("task_id", &c->x->row->id),
		    log_span("trace_id", c->x->row->trace_id), log_int("attempt", c->x->attempt),
		    log_int("part", ++part), log_str("stderr", text));
	}
	buf_free(&room);
}

static void
keep_stderr(struct command *c)
{
	struct buf room = { 0 };

	exec_tail(c->x, tail_text(&c->err, &room));
	buf_free(&room);
}

static void
end_by_exit(struct command *c, int status)
{
	char message[64];

	/* What it wrote last is in the pipes still. */
	output_read(c, STDOUT_FILENO, 1 << 10);
	output_read(c, STDERR_FILENO, 1 << 10);
	log_stderr(c, status != 0 || c->too_much);
	if (c->too_much) {
		snprintf(message, sizeof(message), "wrote more than %lld bytes to standard output",
		    (long long)c->x->env->conf->work.output_max);
		(void)exec_fail(
		    c->x, TASK_NON_RETRYABLE, "OUTPUT_TOO_LARGE", span_of(message)); /* the signal was ours */
	} else if (status == 0) {
		end_exit_zero(c);
	} else {
		end_by_status(c, status);
	}
	keep_stderr(c);
}

static void
end_refused(struct command *c, const struct launch_msg *m)
{
	char message[256];

	snprintf(message, sizeof(message), "%s: %s", m->text[0] != '\0' ? m->text : "could not start the command",
	    strerror(m->value));
	(void)exec_fail(c->x, TASK_TRANSIENT, "START_FAILED", span_of(message));
}

static void
command_heard(struct launch_run *line, const struct launch_msg *m)
{
	struct command *c = container_of(line, struct command, line);
	struct exec_run *x;

	MAGIC_CHECK(c, COMMAND_MAGIC);
	x = c->x;
	if (m == NULL) {
		exec_crash(x, "LAUNCHER_LOST", -1, SPAN("the launcher of the command is gone"));
	} else if (m->verb == LAUNCH_EXITED) {
		end_by_exit(c, m->value);
	} else if (m->verb == LAUNCH_REFUSED) {
		end_refused(c, m);
	} else {
		return;
	}
	command_free(c);
	x->ended(x);
}

/* --- the kind ------------------------------------------------------------------------------------------------------------------- */

static void
envelope_write(struct command *c)
{
	struct exec_run *x = c->x;
	struct task_envelope e = {
		.row = x->row, .attempt = x->attempt, .lease_id = x->lease_id, .deadline = x->deadline
	};

	task_envelope_json(&c->envelope, &e);
	buf_putc(&c->envelope, '\n');
	stdin_write(c);
}

static void
command_watch(struct command *c)
{
	static loop_fd_fn *const events[3] = { stdin_event, stdout_event, stderr_event };

	list_remove(&c->of_young);
	for (int i = 0; i < 3; i++)
		if (c->fd[i] >= 0)
			c->watch[i] =
			    loop_fd_new(c->x->env->loop, c->fd[i], i == 0 ? LOOP_WRITE : LOOP_READ, events[i], c);
}

static void
commands_grow(void *arg)
{
	struct commands *all = arg;
	struct list *pos;

	MAGIC_CHECK(all, COMMANDS_MAGIC);
	while ((pos = list_first(&all->young)) != NULL) {
		struct command *c = container_of(pos, struct command, of_young);
		int64_t left = c->born_at + COMMAND_YOUNG - clock_now();

		if (left > 0) {
			loop_timer_set(all->grown, left);
			return;
		}
		command_watch(c);
	}
}

static struct command *
command_new(struct exec_run *x)
{
	struct command *c = arena_alloc(x->arena, sizeof(*c));

	c->magic = COMMAND_MAGIC;
	c->x = x;
	c->line.heard = command_heard;
	c->line.quiet = true;
	list_init(&c->line.node);
	list_init(&c->of_young);
	c->born_at = clock_now();
	for (int i = 0; i < 3; i++)
		c->fd[i] = -1;
	c->err.size = (size_t)x->env->conf->work.stderr_max;
	c->err.bytes = mem_alloc(c->err.size);
	x->state = c;
	return c;
}

static bool
command_ready(const struct exec_env *env, const struct conf_handler *h UNUSED)
{
	return env->launch != NULL && launch_ready(env->launch);
}

static enum exec_begin
exec_begin_command(struct exec_run *x)
{
	struct commands *all = x->env->commands;
	struct command *c;
	int theirs[3];

	if (!command_ready(x->env, x->handler))
		return EXEC_LATER;
	c = command_new(x);
	if (!launch_pipes(c->fd, theirs)) {
		command_free(c);
		return EXEC_LATER;
	}
	launch_start(x->env->launch, &c->line, (int)(x->handler - x->env->conf->handlers), theirs);
	envelope_write(c);
	if (c->fd[0] >= 0) {
		command_watch(c); /* its stdin has not taken all */
		return EXEC_BEGUN;
	}
	list_push(&all->young, &c->of_young);
	if (!loop_timer_is_set(all->grown))
		loop_timer_set(all->grown, COMMAND_YOUNG);
	return EXEC_BEGUN;
}

static void
exec_stop_command(struct exec_run *x, int sig)
{
	struct command *c = x->state;

	MAGIC_CHECK(c, COMMAND_MAGIC);
	launch_kill(x->env->launch, &c->line, sig);
}

static void
exec_drop_command(struct exec_run *x)
{
	struct command *c = x->state;

	MAGIC_CHECK(c, COMMAND_MAGIC);
	launch_forget(x->env->launch, &c->line);
	command_free(c);
}

static void
commands_open(struct exec_env *env)
{
	struct commands *all = env->commands = mem_zalloc(sizeof(*all));

	all->magic = COMMANDS_MAGIC;
	list_init(&all->young);
	all->grown = loop_timer_new(env->loop, commands_grow, all);
}

static void
commands_close(struct exec_env *env)
{
	loop_timer_free(&env->commands->grown);
	env->commands->magic = 0;
	mem_free(&env->commands);
}

const struct exec_kind exec_exec = {
	.name = "exec",
	.ready = command_ready,
	.start = exec_begin_command,
	.stop = exec_stop_command,
	.drop = exec_drop_command,
	.open = commands_open,
	.close = commands_close,
};
