/* cache_line.c - one connection to Redis: commands out, replies in the same order.
 *
 * hiredis writes the commands and reads the replies; the socket and the order of who waits are ours.  Its asynchronous interface is not
 * used because it ends the process on a reply that nobody asked for, and because it builds whatever reply the server claims to send: here
 * a reply without a command, an array, and more bytes than any value of ours has each end the line instead.  A line is greeted
 * with AUTH, SELECT and PING, and the answer to PING has to come within redis.timeout, because the answers to questions will have to.
 *
 * Commands of one turn leave in one write.  Nothing is sent twice.  Logs nothing: `lost` says why.  Next: cache.c.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/sys.h"

#include "cache/cache_int.h"

#define LINE_MAGIC 0xcac4e11eu
#define WAITING_MAX 4096 /* commands without a reply; a power of two */
#define WORDS_MAX 8
#define READ_SIZE 16384
#define READS_AT_ONCE 16                 /* then others of the loop have their turn */
#define REPLY_SLACK (64 * 1024)          /* a reply is at most so much longer than redis.value_max */
#define GREETING_TIME (1 * CLOCK_SECOND) /* to connect and to be greeted; nobody waits for it */

#if HIREDIS_MAJOR >= 1
typedef size_t elements_count;
#else
typedef int elements_count;
#endif

struct waiting {
	line_fn *fn;
	void *arg;
	int64_t since;
};

struct line {
	unsigned magic;
	struct line_options o;
	struct sock_addr address;
	int fd;    /* -1: closed */
	int error; /* why it could not even begin to connect */
	bool up;
	bool connecting;
	struct loop_fd *watch;
	struct loop_timer *flush_timer;
	struct loop_timer *greeting_timer;
	struct buf out;
	redisReader *reader;
	struct line_reply reply; /* the one that the reader has just made */
	struct buf text;         /* of it */
	struct waiting waiting[WAITING_MAX];
	unsigned first, end; /* of the waiting, modulo WAITING_MAX */
	char token[40];      /* what PING has to bring back */
	int64_t pinged_at;
};

/* --- replies as the reader makes them: one at a time, in place -------------------------------------------------------------- */

static void *
make(const redisReadTask *task, enum line_kind kind, const char *text, size_t len)
{
	struct line *l = task->privdata;

	MAGIC_CHECK(l, LINE_MAGIC);
	buf_reset(&l->text);
	buf_put(&l->text, text, len);
	l->reply = (struct line_reply){ kind, buf_span(&l->text) };
	return &l->reply;
}

static void *
make_string(const redisReadTask *task, char *text, size_t len)
{
	enum line_kind kind = task->type == REDIS_REPLY_STATUS  ? LINE_STATUS
			      : task->type == REDIS_REPLY_ERROR ? LINE_ERROR
								: LINE_TEXT;

	return make(task, kind, text, len);
}

/* None of our commands is answered so; null stops the reader before it makes room for the elements. */
static void *
make_array(const redisReadTask *task UNUSED, elements_count n UNUSED)
{
	return NULL;
}

static void *
make_integer(const redisReadTask *task, long long n UNUSED)
{
	return make(task, LINE_INTEGER, "", 0);
}

static void *
make_nil(const redisReadTask *task)
{
	return make(task, LINE_NIL, "", 0);
}

static void
unmake(void *reply UNUSED)
{
}

static redisReplyObjectFunctions makers = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
	.createNil = make_nil,
	.freeObject = unmake,
};

/* --- the end of a line ------------------------------------------------------------------------------------------------------ */

void
line_close(struct line *l)
{
	unsigned end = l->end;
	struct waiting w;

	if (l->fd < 0)
		return;
	loop_fd_free(&l->watch);
	MUST(close(l->fd) == 0);
	l->fd = -1;
	l->up = l->connecting = false;
	loop_timer_clear(l->flush_timer);
	loop_timer_clear(l->greeting_timer);
	redisReaderFree(l->reader);
	l->reader = NULL;
	buf_free(&l->out);
	buf_free(&l->text);
	while (l->first != end) {
		w = l->waiting[l->first++ % WAITING_MAX];
		w.fn(w.arg, NULL);
	}
}

static void
lose(struct line *l, const char *why)
{
	char text[160]; /* may point into what is closed */

	snprintf(text, sizeof(text), "%s", why);
	line_close(l);
	l->o.lost(l->o.arg, text);
}

/* --- sending ------------------------------------------------------------------------------------------------------------------ */

static void
flush(void *arg)
{
	struct line *l = arg;
	ssize_t n = 1;

	MAGIC_CHECK(l, LINE_MAGIC);
	if (l->fd < 0 || l->connecting)
		return;
	while (l->out.len > 0 && (n = send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL)) > 0)
		buf_consume(&l->out, (size_t)n);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lose(l, strerror(errno));
		return;
	}
	loop_fd_want(l->watch, l->out.len > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void
put_command(struct line *l, const struct span *words, int n)
{
	const char *argv[WORDS_MAX];
	size_t lens[WORDS_MAX];
	char *text = NULL;
	int len;

	ASSERT(n <= WORDS_MAX);
	for (int i = 0; i < n; i++) {
		argv[i] = words[i].ptr;
		lens[i] = words[i].len;
	}
	len = redisFormatCommandArgv(&text, n, argv, lens);
	ASSERT(len > 0 && text != NULL);
	buf_put(&l->out, text, (size_t)len);
	redisFreeCommand(text);
}

bool
line_send(struct line *l, const struct span *words, int n, line_fn *fn, void *arg)
{
	ASSERT(l->fd >= 0);
	if (l->end - l->first == WAITING_MAX)
		return false;
	put_command(l, words, n);
	l->waiting[l->end++ % WAITING_MAX] = (struct waiting){ fn, arg, clock_now() };
	if (!loop_timer_is_set(l->flush_timer))
		loop_timer_set(l->flush_timer, 0);
	return true;
}

/* --- the greeting --------------------------------------------------------------------------------------------------------------- */

/* Of an error only its first word is told: some servers repeat the command, which may be AUTH. */
static void
lose_greeting(struct line *l, const char *command, const struct line_reply *reply)
{
	char why[160];

	if (reply->kind == LINE_ERROR)
		snprintf(why, sizeof(why), "%s was answered with the error %.*s", command,
		    (int)strcspn(buf_cstr(&l->text), " "), buf_cstr(&l->text));
	else
		snprintf(why, sizeof(why), "%s was answered with something that is no answer to it", command);
	lose(l, why);
}

static void
on_auth(void *arg, const struct line_reply *reply)
{
	if (reply != NULL && reply->kind != LINE_STATUS)
		lose_greeting(arg, "AUTH", reply);
}

static void
on_select(void *arg, const struct line_reply *reply)
{
	if (reply != NULL && reply->kind != LINE_STATUS)
		lose_greeting(arg, "SELECT", reply);
}

static void
on_ping(void *arg, const struct line_reply *reply)
{
	struct line *l = arg;

	MAGIC_CHECK(l, LINE_MAGIC);
	if (reply == NULL)
		return;
	if (reply->kind != LINE_TEXT || !span_is(reply->text, l->token)) {
		lose_greeting(l, "PING", reply);
		return;
	}
	if (clock_now() - l->pinged_at > l->o.conf->redis.timeout) {
		lose(l, "the answer to PING took longer than redis.timeout");
		return;
	}
	loop_timer_clear(l->greeting_timer);
	l->up = true;
	l->o.up(l->o.arg);
}

static void
greet(struct line *l)
{
	const char *user = l->o.conf->redis.user, *password = l->o.conf->redis.password;
	struct span auth[] = { SPAN("AUTH"), span_of(user), span_of(password) };
	struct span ping[] = { SPAN("PING"), span_of(l->token) };
	char number[16];
	bool sent = true;

	if (user[0] == '\0')
		auth[1] = auth[2];
	if (password[0] != '\0')
		sent = line_send(l, auth, user[0] == '\0' ? 2 : 3, on_auth, l);
	snprintf(number, sizeof(number), "%d", l->o.conf->redis.database);
	if (l->o.conf->redis.database != 0)
		sent = sent && line_send(l, (struct span[]){ SPAN("SELECT"), span_of(number) }, 2, on_select, l);
	l->pinged_at = clock_now();
	sent = sent && line_send(l, ping, 2, on_ping, l);
	ASSERT(sent); /* nothing was on the way */
	flush(l);
}

/* --- receiving -------------------------------------------------------------------------------------------------------------------- */

/* A callback may close the line. */
static void
take_replies(struct line *l)
{
	void *made = NULL;
	struct waiting w;

	while (l->fd >= 0) {
		if (redisReaderGetReply(l->reader, &made) != REDIS_OK) {
			lose(l, "what came is no reply to a command of ours");
			return;
		}
		if (made == NULL)
			return;
		if (l->first == l->end) {
			lose(
			    l, l->reply.kind == LINE_ERROR ? buf_cstr(&l->text) : "a reply came that nobody asked for");
			return;
		}
		w = l->waiting[l->first++ % WAITING_MAX];
		w.fn(w.arg, &l->reply);
	}
}

static void
receive(struct line *l)
{
	char bytes[READ_SIZE];
	ssize_t n;

	for (int i = 0; i < READS_AT_ONCE && l->fd >= 0; i++) {
		n = recv(l->fd, bytes, sizeof(bytes), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lose(l, n == 0 ? "redis closed the connection" : strerror(errno));
			return;
		}
		if (redisReaderFeed(l->reader, bytes, (size_t)n) != REDIS_OK) {
			lose(l, "out of memory for a reply");
			return;
		}
		take_replies(l);
		if (l->fd >= 0 && l->reader->len - l->reader->pos > (size_t)l->o.conf->redis.value_max + REPLY_SLACK) {
			lose(l, "a reply is longer than any value of ours");
			return;
		}
		if (n < READ_SIZE)
			return;
	}
}

static void
connected(struct line *l)
{
	int error = 0;
	socklen_t len = sizeof(error);

	MUST(getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	if (error != 0) {
		lose(l, strerror(error));
		return;
	}
	l->connecting = false;
	greet(l);
}

static void
on_socket(void *arg, int events)
{
	struct line *l = arg;

	MAGIC_CHECK(l, LINE_MAGIC);
	if (l->connecting) {
		connected(l);
		return;
	}
	if (events & LOOP_READ)
		receive(l);
	if (l->fd >= 0 && (events & LOOP_WRITE))
		flush(l);
}

/* --- birth -------------------------------------------------------------------------------------------------------------------------- */

static void
on_greeting_late(void *arg)
{
	struct line *l = arg;

	MAGIC_CHECK(l, LINE_MAGIC);
	lose(l, l->fd < 0 ? strerror(l->error) : "no greeting within a second");
}

/* A connection that fails at once is told on a later turn too. */
void
line_connect(struct line *l)
{
	struct id dice = id_random();
	char text[ID_TEXT];

	ASSERT(l->fd < 0);
	id_format(&dice, text);
	snprintf(l->token, sizeof(l->token), "%s", text);
	l->fd = sock_connect(&l->address);
	if (l->fd < 0) {
		l->error = errno;
		loop_timer_set(l->greeting_timer, 0);
		return;
	}
	l->connecting = true;
	l->reader = redisReaderCreateWithFunctions(&makers);
	ASSERT(l->reader != NULL);
	l->reader->privdata = l;
	l->watch = loop_fd_new(l->o.loop, l->fd, LOOP_WRITE, on_socket, l);
	loop_timer_set(l->greeting_timer, GREETING_TIME);
}

struct line *
line_new(const struct line_options *o)
{
	struct line *l = mem_zalloc(sizeof(*l));

	l->magic = LINE_MAGIC;
	l->o = *o;
	l->fd = -1;
	MUST(sock_parse(o->conf->redis.address, &l->address) == NULL); /* checked with the configuration */
	l->flush_timer = loop_timer_new(o->loop, flush, l);
	l->greeting_timer = loop_timer_new(o->loop, on_greeting_late, l);
	return l;
}

void
line_free(struct line **l)
{
	line_close(*l);
	loop_timer_free(&(*l)->flush_timer);
	loop_timer_free(&(*l)->greeting_timer);
	(*l)->magic = 0;
	mem_free(l);
}

bool
line_is_up(const struct line *l)
{
	return l->up;
}

size_t
line_unsent(const struct line *l)
{
	return l->out.len;
}

int64_t
line_waiting_since(const struct line *l)
{
	return l->first == l->end ? 0 : l->waiting[l->first % WAITING_MAX].since;
}
