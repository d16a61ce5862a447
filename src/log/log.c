/* log.c - one line per event, written with one write(2), never waiting.
 *
 * A line is at most PIPE_BUF bytes, so lines of several processes on one pipe never mix, and a pipe that poll(2) calls writable
 * takes the whole of it at once.  What does not fit is left out field by field, and the line says so.  A line that cannot be
 * written is counted, not retried.  log_write() keeps errno.  After fork a child shares the descriptor; log_reopen() is each
 * process' own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"

#include "log/log.h"

#define VALUE_MOST 1024 /* bytes of one text value; the rest is cut */
#define LINE_MOST (PIPE_BUF - 32)
#define WINDOW (10 * CLOCK_SECOND)
#define LIMITER_SIZE 64

static const char *const level_words[] = { "debug", "info", "notice", "warning", "error", "crit" };
static const int level_syslog[] = { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERR, LOG_CRIT };

enum sink { SINK_FD, SINK_SYSLOG };

/* What was logged lately under one message.  Two messages that fall on one place share it in turn: the later one starts anew. */
struct limiter {
	uint64_t message; /* hash */
	int64_t since;
	unsigned passed;
	uint64_t suppressed;
};

static struct {
	enum sink sink;
	int fd;
	char *target; /* null: stderr by default */
	enum log_level level;
	enum log_format format;
	char role[16];
	int slot;
	bool torn; /* the last line was cut by the file system: begin on a new line */
	uint64_t dropped;
	struct limiter limiters[LIMITER_SIZE];
	struct buf line;
} logger = { .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .slot = -1 };

enum log_level
log_level(void)
{
	return logger.level;
}

uint64_t
log_dropped(void)
{
	return logger.dropped;
}

void
log_set_role(const char *role, int slot)
{
	snprintf(logger.role, sizeof(logger.role), "%s", role != NULL ? role : "");
	logger.slot = slot;
}

/* --- sinks ----------------------------------------------------------------------------------------------------------- */

/* A log that does not listen yet is no reason not to serve: each line tries again. */
static int
syslog_connect(bool *heard_r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*heard_r = fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
	return fd;
}

/* The directory may belong to the user of the daemon while we are still root: a link is followed only when root or we made it. */
static int
file_open(const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC;
	int fd = open(path, flags | O_NOFOLLOW, 0640);
	struct stat st;

	if (fd >= 0 || errno != ELOOP)
		return fd;
	if (lstat(path, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()))
		return open(path, flags, 0640);
	errno = ELOOP;
	return -1;
}

/* Returns a descriptor for the target, or -1 and errno. */
static int
target_open(const char *target, enum sink *sink_r)
{
	*sink_r = strcmp(target, "syslog") == 0 ? SINK_SYSLOG : SINK_FD;
	if (*sink_r == SINK_SYSLOG) {
		bool heard;
		int fd = syslog_connect(&heard);

		if (fd >= 0 && !heard)
			fprintf(stderr, "taskqd: nobody listens at /dev/log, lines are lost until somebody does\n");
		return fd;
	}
	if (strcmp(target, "stderr") == 0)
		return STDERR_FILENO;
	return file_open(target);
}

static int
target_switch(const char *target)
{
	enum sink sink;
	int fd = target_open(target, &sink);

	if (fd < 0)
		return errno;
	if (logger.fd != STDERR_FILENO)
		close(logger.fd);
	logger.fd = fd;
	logger.sink = sink;
	logger.torn = false;
	return 0;
}

int
log_open(const struct log_settings *s)
{
	const char *target = s->target != NULL ? s->target : "stderr";
	int e = target_switch(target);

	if (e != 0)
		return e;
	if (logger.target != target) {
		char *copy = mem_strdup(target);

		mem_free(&logger.target);
		logger.target = copy;
	}
	logger.level = s->level;
	logger.format = s->format;
	return 0;
}

int
log_reopen(void)
{
	return logger.target != NULL ? target_switch(logger.target) : 0;
}

/* A pipe or terminal that nobody empties must not stop us; a regular file is always writable for poll(2). */
static bool
writable_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static void
sink_fd(struct span line)
{
	ssize_t n;

	if (logger.torn && write(logger.fd, "\n", 1) == 1)
		logger.torn = false;
	n = writable_now(logger.fd) ? write(logger.fd, line.ptr, line.len) : -1;
	if (n == (ssize_t)line.len)
		return;
	logger.dropped++;
	if (n > 0)
		logger.torn = true;
}

static void
sink_syslog(enum log_level level, struct span line)
{
	char head[64];
	struct iovec iov[2] = { { .iov_base = head },
		{ .iov_base = (void *)(uintptr_t)line.ptr, .iov_len = line.len - 1 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	iov[0].iov_len =
	    (size_t)snprintf(head, sizeof(head), "<%d>taskqd[%d]: ", LOG_DAEMON | level_syslog[level], (int)getpid());
	if (sendmsg(logger.fd, &msg, MSG_NOSIGNAL) >= 0)
		return;
	/* The daemon of the log may have been started again: one new connection, one more try. */
	if (errno == ECONNREFUSED || errno == ENOTCONN) {
		bool heard;
		int fd = syslog_connect(&heard);

		if (fd >= 0) {
			close(logger.fd);
			logger.fd = fd;
			if (heard && sendmsg(logger.fd, &msg, MSG_NOSIGNAL) >= 0)
				return;
		}
	}
	logger.dropped++;
}

/* --- the line -------------------------------------------------------------------------------------------------------- */

static void
put_key(struct buf *b, const char *key)
{
	if (logger.format == LOG_FORMAT_JSON) {
		buf_putc(b, b->len == 0 ? '{' : ',');
		buf_json_string(b, span_of(key));
		buf_putc(b, ':');
		return;
	}
	if (b->len != 0)
		buf_putc(b, ' ');
	buf_puts(b, key);
	buf_putc(b, '=');
}

/* In logfmt a word of plain characters needs no quotes. */
static bool
is_plain_word(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '=' || s.ptr[i] == '\\')
			return false;
	return s.len != 0;
}

static void
put_text(struct buf *b, const char *key, struct span s)
{
	if (s.len > VALUE_MOST) {
		s.len = VALUE_MOST;
		/* never in the middle of a character */
		while (s.len > VALUE_MOST - 4 && (s.ptr[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	put_key(b, key);
	if (logger.format == LOG_FORMAT_LOGFMT && is_plain_word(s))
		buf_putspan(b, s);
	else
		buf_json_string(b, s);
}

static void
put_id(struct buf *b, const char *key, const struct id *id)
{
	char text[ID_TEXT];

	if (id == NULL)
		return;
	id_format(id, text);
	put_text(b, key, span_of(text));
}

static void
put_field(struct buf *b, const struct log_field *f)
{
	switch (f->kind) {
	case LOG_KIND_NONE:
		break;
	case LOG_KIND_STR:
		if (f->as.str != NULL)
			put_text(b, f->key, span_of(f->as.str));
		break;
	case LOG_KIND_SPAN:
		if (f->as.span.len != 0)
			put_text(b, f->key, f->as.span);
		break;
	case LOG_KIND_INT:
		put_key(b, f->key);
		buf_printf(b, "%jd", (intmax_t)f->as.num);
		break;
	case LOG_KIND_UINT:
		put_key(b, f->key);
		buf_putu64(b, f->as.unum);
		break;
	case LOG_KIND_SECONDS:
		put_key(b, f->key);
		buf_printf(b, "%.6f", f->as.seconds);
		break;
	case LOG_KIND_ID:
		put_id(b, f->key, f->as.id);
		break;
	}
}

static void
put_prefix(struct buf *b, enum log_level level, const char *msg)
{
	char ts[CLOCK_TEXT];

	clock_format(clock_wall(), ts);
	put_text(b, "ts", span_of(ts));
	put_text(b, "level", span_of(level_words[level]));
	if (logger.role[0] != '\0')
		put_text(b, "role", span_of(logger.role));
	if (logger.slot >= 0)
		put_field(b, &log_int("slot", logger.slot));
	put_field(b, &log_int("pid", getpid()));
	put_text(b, "msg", span_of(msg));
}

static void
line_build(
    struct buf *b, enum log_level level, const char *msg, const struct log_field *fields, size_t n, uint64_t suppressed)
{
	size_t i, before;

	buf_reset(b);
	put_prefix(b, level, msg);
	if (suppressed != 0)
		put_field(b, &log_uint("suppressed", suppressed));
	for (i = 0; i < n; i++) {
		before = b->len;
		put_field(b, &fields[i]);
		if (b->len > LINE_MOST) {
			b->len = before;
			put_field(b, &log_int("fields_cut", (int64_t)(n - i)));
			break;
		}
	}
	buf_puts(b, logger.format == LOG_FORMAT_JSON ? "}\n" : "\n");
}

/* True when a line with this message may pass now; how many did not since the last one is in *suppressed_r. */
static bool
limiter_pass(const char *msg, uint64_t *suppressed_r)
{
	uint64_t hash = digest_fnv64(msg, strlen(msg));
	struct limiter *lim = &logger.limiters[hash % LIMITER_SIZE];
	int64_t now = clock_now();

	if (lim->message != hash)
		*lim = (struct limiter){ .message = hash, .since = now };
	if (now - lim->since >= WINDOW) {
		lim->since = now;
		lim->passed = 0;
	}
	if (lim->passed >= LOG_BURST) {
		lim->suppressed++;
		return false;
	}
	lim->passed++;
	*suppressed_r = lim->suppressed;
	lim->suppressed = 0;
	return true;
}

void
log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
	int saved = errno;
	uint64_t suppressed = 0;

	if (level < logger.level)
		return;
	if (level >= LOG_LEVEL_WARNING && !limiter_pass(msg, &suppressed))
		return;
	line_build(&logger.line, level, msg, fields, n, suppressed);
	if (logger.sink == SINK_SYSLOG)
		sink_syslog(level, buf_span(&logger.line));
	else
		sink_fd(buf_span(&logger.line));
	errno = saved;
}

void
log_fatal(int exit_code, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	log_write(LOG_LEVEL_CRIT, buf_cstr(&text), NULL, 0);
	if (logger.fd != STDERR_FILENO)
		fprintf(stderr, "taskqd: %s\n", buf_cstr(&text));
	exit(exit_code);
}
