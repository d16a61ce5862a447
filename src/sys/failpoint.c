/* failpoint.c - named places where a test may stop, kill or fail us.
 *
 * TASKQ_FP is read at the first pass of any failpoint, in each process anew after fork (counts start at zero there).  A word
 * that is not understood is a panic: a test with a misspelt action must not pass.
 *
 * With TASKQ_FP_FUSES a point acts only by removing the file of its name in that directory, so once each time a test puts one there: what
 * is killed is started again with the same environment.
 */
#include "sys/sys.h"

#ifdef TASKQ_FAILPOINTS

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 64

enum action { ACT_KILL9, ACT_ABORT, ACT_SLEEP, ACT_STOP, ACT_ERR };

struct point {
	struct span name;
	enum action action;
	long value;  /* ms or errno */
	unsigned at; /* 0: every pass */
	unsigned seen;
};

static struct {
	pid_t pid; /* whose counts these are */
	struct point points[MOST];
	size_t n;
} table;

static long
errno_value(const char *word)
{
	int e;

	for (e = 1; e < 256; e++)
		if (strerrorname_np(e) != NULL && strcmp(strerrorname_np(e), word) == 0)
			return e;
	return strtol(word, NULL, 10);
}

/* One "name=action[:value][@pass]". */
static void
parse_one(char *text)
{
	static const char *const words[] = { "kill9", "abort", "sleep", "stop", "err" };
	struct point p = { 0 };
	char *action = strchr(text, '='), *at, *value;
	size_t i;

	ASSERT(action != NULL && "TASKQ_FP: name=action");
	*action++ = '\0';
	if ((at = strchr(action, '@')) != NULL) {
		*at++ = '\0';
		p.at = (unsigned)strtoul(at, NULL, 10);
	}
	if ((value = strchr(action, ':')) != NULL)
		*value++ = '\0';
	for (i = 0; i < ARRAY_LEN(words) && strcmp(words[i], action) != 0; i++)
		;
	ASSERT(i < ARRAY_LEN(words) && "TASKQ_FP: kill9, abort, sleep:ms, stop:ms, err:errno");
	p.action = (enum action)i;
	if (value != NULL)
		p.value = p.action == ACT_ERR ? errno_value(value) : strtol(value, NULL, 10);
	p.name = span_of(mem_strdup(text));
	ASSERT(table.n < MOST);
	table.points[table.n++] = p;
}

static void
table_load(void)
{
	const char *env = getenv("TASKQ_FP");
	char *copy, *rest, *word;

	table.pid = getpid();
	table.n = 0;
	if (env == NULL)
		return;
	copy = rest = mem_strdup(env);
	while ((word = strsep(&rest, ";")) != NULL)
		if (*word != '\0')
			parse_one(word);
	mem_free(&copy);
}

static void
sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

/* SIGSTOP, as an operator or a frozen machine would; a grandchild continues us after the time. */
static void
stop_ms(long ms)
{
	pid_t me = getpid(), child = fork();

	if (child == 0) {
		if (fork() == 0) {
			sleep_ms(ms);
			kill(me, SIGCONT);
		}
		_exit(0);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	raise(SIGSTOP);
}

static int
point_act(const struct point *p)
{
	switch (p->action) {
	case ACT_KILL9:
		raise(SIGKILL);
		break;
	case ACT_ABORT:
		abort();
	case ACT_SLEEP:
		sleep_ms(p->value);
		break;
	case ACT_STOP:
		stop_ms(p->value);
		break;
	case ACT_ERR:
		return (int)p->value;
	}
	return 0;
}

/* Of several processes that pass at once, one acts. */
static bool
fuse_burns(const char *name)
{
	const char *dir = getenv("TASKQ_FP_FUSES");
	char path[512];

	if (dir == NULL)
		return true;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return unlink(path) == 0;
}

int
failpoint(const char *name)
{
	size_t i;
	int e;

	if (table.pid != getpid())
		table_load();
	for (i = 0; i < table.n; i++) {
		struct point *p = &table.points[i];

		if (!span_is(p->name, name))
			continue;
		p->seen++;
		if ((p->at == 0 || p->at == p->seen) && fuse_burns(name) && (e = point_act(p)) != 0)
			return e;
	}
	return 0;
}

#endif
