/* launch_reap.c - runs: which processes belong to one, and when the last of them is gone.
 *
 * The launcher is a child subreaper, so a process that loses its parent becomes our child.  Hence, when the first process of a run is
 * dead and we have no child that belongs to the run, no process of it is left anywhere.  A child that is not the first process of a run is a
 * stray.  Its run is known by its session (the id is the run's pid), or, when it made its own session, by the mark in its
 * environment.  One that hides from both is killed after LAUNCH_HIDDEN (a process in the middle of execve has no environment for
 * a moment), and ended runs wait for it.
 *
 * The way of a run: alive -> its first process dies (its group is killed while the zombie still keeps the pid) -> ended: strays are killed
 * as they appear, each death may bring up new ones -> none left: gone() is called.  Looks happen at SIGCHLD and, while something is waited
 * for, each LAUNCH_LOOK.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "log/log.h"
#include "sys/proc.h"

#include "role/launch_int.h"

#define LAUNCH_LOOK (10 * CLOCK_MS)
#define LAUNCH_HIDDEN (100 * CLOCK_MS) /* a stray may hide so long */
#define LAUNCH_HELD CLOCK_SECOND       /* a killed stray without a run holds up ended runs at most so long */
#define LAUNCH_BUCKETS 1024
#define LAUNCH_ENVIRON (256 * 1024)
#define LAUNCH_RUNS_MAGIC 0x72756e73u

struct launch_stray {
	pid_t pid;
	struct launch_run *run; /* null: hidden so far */
	int64_t seen_at;
	bool there; /* in this look */
};

struct launch_runs {
	unsigned magic;
	struct list buckets[LAUNCH_BUCKETS];
	struct list alive;
	struct list ended;
	int count;
	struct buf strays; /* of struct launch_stray */
	struct loop_timer *look;
	uint64_t boot; /* makes marks unlike those of other launchers */
	uint64_t last_mark;
	void (*gone)(void *arg, struct launch_run *run);
	void *arg;
};

/* --- runs ----------------------------------------------------------------------------------------------------------- */

static struct list *
launch_bucket(struct launch_runs *r, pid_t pid)
{
	return &r->buckets[(unsigned)pid % LAUNCH_BUCKETS];
}

/* A pid may be used again while an ended run still has strays in other sessions: the living run is meant. */
static struct launch_run *
launch_run_of_pid(struct launch_runs *r, pid_t pid)
{
	struct list *at, *next, *bucket = launch_bucket(r, pid);
	struct launch_run *ended = NULL;

	LIST_FOREACH_SAFE (at, next, bucket) {
		struct launch_run *run = container_of(at, struct launch_run, of_pid);

		if (run->pid == pid && !run->ended)
			return run;
		if (run->pid == pid)
			ended = run;
	}
	return ended;
}

static struct launch_run *
launch_run_of_mark(struct list *runs, const char *mark)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, runs) {
		struct launch_run *run = container_of(at, struct launch_run, of_state);

		if (strcmp(run->mark, mark) == 0)
			return run;
	}
	return NULL;
}

void
launch_mark_next(struct launch_runs *r, char mark[LAUNCH_MARK])
{
	snprintf(mark, LAUNCH_MARK, "TASKQ_RUN=%016" PRIx64 "-%" PRIx64, r->boot, ++r->last_mark);
}

struct launch_run *
launch_run_add(struct launch_runs *r, void *peer, uint64_t token, pid_t pid, const char *mark)
{
	struct launch_run *run = mem_zalloc(sizeof(*run));

	run->peer = peer;
	run->token = token;
	run->pid = pid;
	memcpy(run->mark, mark, LAUNCH_MARK);
	list_push(launch_bucket(r, pid), &run->of_pid);
	list_push(&r->alive, &run->of_state);
	list_init(&run->of_peer);
	r->count++;
	return run;
}

static void
launch_run_over(struct launch_runs *r, struct launch_run *run)
{
	list_remove(&run->of_pid);
	list_remove(&run->of_state);
	r->count--;
	r->gone(r->arg, run);
	list_remove(&run->of_peer);
	mem_free(&run);
}

void
launch_run_kill(struct launch_run *run, int sig)
{
	/* Until its first process is taken in, the pid and the group are surely the run's; after that it is being killed anyway. */
	if (!run->ended)
		MUST(kill(-run->pid, sig) == 0 || errno == EPERM);
}

int
launch_runs_count(const struct launch_runs *r)
{
	return r->count;
}

/* --- strays --------------------------------------------------------------------------------------------------------- */

/* The mark in the environment of a process, or the empty text. */
static void
launch_mark_read(pid_t pid, char mark[LAUNCH_MARK])
{
	static const char name[] = "TASKQ_RUN=";
	struct buf env = { 0 };
	char path[32];
	ssize_t n = 1;
	int fd;

	mark[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (n > 0 && env.len < LAUNCH_ENVIRON) {
		buf_reserve(&env, 4096);
		n = read(fd, env.data + env.len, 4096);
		env.len += n > 0 ? (size_t)n : 0;
	}
	MUST(close(fd) == 0);
	(void)buf_cstr(&env);
	for (size_t at = 0; at < env.len; at += strlen(env.data + at) + 1)
		if (strncmp(env.data + at, name, sizeof(name) - 1) == 0)
			snprintf(mark, LAUNCH_MARK, "%s", env.data + at);
	buf_free(&env);
}

static struct launch_run *
launch_run_of_stray(struct launch_runs *r, pid_t pid)
{
	char mark[LAUNCH_MARK];
	pid_t session = getsid(pid);
	struct launch_run *run = session > 0 ? launch_run_of_pid(r, session) : NULL;

	if (run != NULL)
		return run;
	launch_mark_read(pid, mark);
	if (mark[0] == '\0')
		return NULL;
	run = launch_run_of_mark(&r->ended, mark);
	return run != NULL ? run : launch_run_of_mark(&r->alive, mark);
}

static struct launch_stray *
launch_stray_at(struct launch_runs *r, size_t i)
{
	return (struct launch_stray *)(void *)r->strays.data + i;
}

static size_t
launch_strays_count(const struct launch_runs *r)
{
	return r->strays.len / sizeof(struct launch_stray);
}

static struct launch_stray *
launch_stray_see(struct launch_runs *r, pid_t pid)
{
	struct launch_stray fresh = { .pid = pid, .seen_at = clock_now() };

	for (size_t i = 0; i < launch_strays_count(r); i++)
		if (launch_stray_at(r, i)->pid == pid)
			return launch_stray_at(r, i);
	buf_put(&r->strays, &fresh, sizeof(fresh));
	return launch_stray_at(r, launch_strays_count(r) - 1);
}

static void
launch_strays_forget_absent(struct launch_runs *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < launch_strays_count(r); i++)
		if (launch_stray_at(r, i)->there)
			*launch_stray_at(r, kept++) = *launch_stray_at(r, i);
	r->strays.len = kept * sizeof(struct launch_stray);
}

static void
launch_strays_mark_absent(struct launch_runs *r)
{
	struct list *at, *next;

	for (size_t i = 0; i < launch_strays_count(r); i++)
		launch_stray_at(r, i)->there = false;
	LIST_FOREACH_SAFE (at, next, &r->ended)
		container_of(at, struct launch_run, of_state)->left = 0;
}

static void
launch_stray_kill(const struct launch_stray *stray)
{
	/* It is our child and not taken in, so the pid is its. */
	(void)kill(stray->pid, SIGKILL);
}

/* True when ended runs wait for it because nobody knows whose it is. */
static bool
launch_stray_judge(struct launch_runs *r, struct launch_stray *stray)
{
	int64_t age = clock_now() - stray->seen_at;

	stray->there = true;
	if (stray->run == NULL)
		stray->run = launch_run_of_stray(r, stray->pid);
	if (stray->run != NULL) {
		if (stray->run->ended) {
			stray->run->left++;
			launch_stray_kill(stray);
		}
		return false;
	}
	if (age >= LAUNCH_HIDDEN)
		launch_stray_kill(stray);
	return age < LAUNCH_HELD;
}

/* --- looks ---------------------------------------------------------------------------------------------------------- */

/* Judges every stray; returns how many are there that hide. */
static int
launch_strays_look(struct launch_runs *r)
{
	struct buf pids = { 0 };
	int hidden = 0;

	launch_strays_mark_absent(r);
	proc_own_children(&pids);
	for (size_t i = 0; i < pids.len / sizeof(pid_t); i++) {
		pid_t pid = ((const pid_t *)(const void *)pids.data)[i];
		struct launch_run *run = launch_run_of_pid(r, pid);

		if (run == NULL || run->ended)
			hidden += launch_stray_judge(r, launch_stray_see(r, pid));
	}
	buf_free(&pids);
	launch_strays_forget_absent(r);
	return hidden;
}

static void
launch_look(void *arg)
{
	struct launch_runs *r = arg;
	struct list *at, *next;
	int hidden;

	MAGIC_CHECK(r, LAUNCH_RUNS_MAGIC);
	hidden = launch_strays_look(r);
	LIST_FOREACH_SAFE (at, next, &r->ended) {
		struct launch_run *run = container_of(at, struct launch_run, of_state);

		if (run->left == 0 && hidden == 0)
			launch_run_over(r, run);
	}
	if (!list_empty(&r->ended) || hidden > 0)
		loop_timer_set(r->look, LAUNCH_LOOK);
}

static void
launch_stray_forget(struct launch_runs *r, pid_t pid)
{
	for (size_t i = 0; i < launch_strays_count(r); i++)
		launch_stray_at(r, i)->there = launch_stray_at(r, i)->pid != pid;
	launch_strays_forget_absent(r);
}

/* Takes in one dead child; false when there is none. */
static bool
launch_reap_one(struct launch_runs *r)
{
	siginfo_t info = { 0 };
	struct launch_run *run;
	int status;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
		return false;
	run = launch_run_of_pid(r, info.si_pid);
	if (run != NULL && run->ended)
		run = NULL;
	/* While the zombie is there nobody else can get its pid, nor its group. */
	if (run != NULL)
		launch_run_kill(run, SIGKILL);
	MUST(waitpid(info.si_pid, &status, 0) == info.si_pid);
	if (run == NULL) {
		launch_stray_forget(r, info.si_pid);
		return true;
	}
	run->ended = true;
	run->status = status;
	list_remove(&run->of_state);
	list_push(&r->ended, &run->of_state);
	return true;
}

static void
launch_on_child(void *arg)
{
	struct launch_runs *r = arg;
	bool any = false;

	MAGIC_CHECK(r, LAUNCH_RUNS_MAGIC);
	while (launch_reap_one(r))
		any = true;
	if (any)
		launch_look(r);
}

struct launch_runs *
launch_runs_new(struct loop *l, void (*gone)(void *arg, struct launch_run *run), void *arg)
{
	struct launch_runs *r = mem_zalloc(sizeof(*r));
	struct id random = id_random();

	r->magic = LAUNCH_RUNS_MAGIC;
	for (size_t i = 0; i < LAUNCH_BUCKETS; i++)
		list_init(&r->buckets[i]);
	list_init(&r->alive);
	list_init(&r->ended);
	memcpy(&r->boot, random.b, sizeof(r->boot));
	r->gone = gone;
	r->arg = arg;
	r->look = loop_timer_new(l, launch_look, r);
	proc_become_subreaper();
	loop_signal(l, SIGCHLD, launch_on_child, r);
	return r;
}

void
launch_runs_free(struct launch_runs **r)
{
	ASSERT((*r)->count == 0);
	loop_timer_free(&(*r)->look);
	buf_free(&(*r)->strays);
	mem_free(r);
}
