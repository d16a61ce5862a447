/* role.c - the skeleton of every process but the supervisor.
 *
 * role_begin() makes a child of the supervisor into a named process of its own: slot, prefix of its log lines, user, parent-death
 * signal, loop, signals.  role_run() is its life.  Between a SIGTERM and the end the skeleton only counts time: what draining means is
 * said by the role's two functions.
 *
 *	RUNNING --TERM--> DRAINING --TERM or deadline--> LEAVING --too late--> exit(EX_TEMPFAIL)
 *	    \_________________\______________________________\___role_done()---> the code
 *
 * The parent-death signal is set after the last change of uid, which clears it.  Handlers may run as the same user: the process hides its
 * memory from them.  Aborts when the role has no slot or no loop; exits
 * at once when it may not become conf->user or when the supervisor is already gone.  Next: role_launcher.c, role_worker.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "sys/proc.h"

#include "role/role.h"

#define ROLE_BEAT CLOCK_SECOND        /* between heartbeats */
#define ROLE_LEAVE (2 * CLOCK_SECOND) /* for the role's now() to take effect */
#define ROLE_RUSH (10 * CLOCK_MS)     /* of CPU between two heartbeats: that needs memory */
#define ROLE_WORK (5 * CLOCK_MS)      /* that is no rest */
#define ROLE_QUIET 3                  /* heartbeats of rest */

enum role_phase { ROLE_RUNNING, ROLE_DRAINING, ROLE_LEAVING, ROLE_DONE };

#define ROLE_MAGIC 0x726f6c65u

struct role {
	unsigned magic;
	const struct super_child *me;
	const struct role_ops *ops;
	void *arg;
	struct loop *loop;
	struct loop_timer *beat;
	struct loop_timer *deadline;
	int64_t cpu; /* used up to the last heartbeat, us */
	bool rushed; /* since it came to rest */
	int quiet;   /* heartbeats of rest */
	enum role_phase phase;
	int exit_code;
};

static void
role_panic(const char *text)
{
	stats_panic(text);
	log_crit("we are wrong", log_str("what", text));
}

static int64_t
cpu_used(void)
{
	struct timespec t;

	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
	return (int64_t)t.tv_sec * CLOCK_SECOND + t.tv_nsec / 1000;
}

/* What a rush needed stays with the allocator, and with those who keep things for the next one, until somebody asks for it.  A light load never
 * gets here: it would only make room again each time. */
static void
role_rest(struct role *r)
{
	int64_t cpu = cpu_used(), used = cpu - r->cpu;

	r->cpu = cpu;
	r->rushed = r->rushed || used >= ROLE_RUSH;
	r->quiet = used >= ROLE_WORK ? 0 : r->quiet + 1;
	if (!r->rushed || r->quiet < ROLE_QUIET)
		return;
	r->rushed = false;
	if (r->ops->rest != NULL && r->phase == ROLE_RUNNING)
		r->ops->rest(r->arg);
	mem_trim();
	log_debug("at rest");
}

static void
role_beat(void *arg)
{
	struct role *r = arg;

	MAGIC_CHECK(r, ROLE_MAGIC);
	stats_heartbeat();
	role_rest(r);
	loop_timer_set(r->beat, ROLE_BEAT);
}

/* Title and slot: "running", "draining". */
static void
role_state(struct role *r, const char *word)
{
	stats_doing(word);
	proc_title_set("taskqd: %s %d (%s)", r->ops->name, r->me->index, word);
}

/* The last resort: the role did not leave in time. */
static void
role_overdue(struct role *r)
{
	log_error("work was left behind: the process did not end in time", log_str("name", r->ops->name));
	role_state(r, "overdue");
	exit(EX_TEMPFAIL);
}

static void
role_leave(struct role *r, int64_t allowed)
{
	r->phase = ROLE_LEAVING;
	role_state(r, "leaving");
	loop_timer_set(r->deadline, allowed);
	r->ops->now(r->arg);
}

static void
role_drain(struct role *r)
{
	int64_t allowed = r->me->conf->drain_timeout + r->ops->patience;

	log_info("draining: no new work, what runs may finish", log_seconds("at_most", allowed));
	r->phase = ROLE_DRAINING;
	role_state(r, "draining");
	loop_timer_set(r->deadline, allowed);
	r->ops->drain(r->arg);
}

static void
role_on_deadline(void *arg)
{
	struct role *r = arg;

	MAGIC_CHECK(r, ROLE_MAGIC);
	switch (r->phase) {
	case ROLE_DRAINING:
		log_warning("drain deadline: what still runs is stopped and given back");
		role_leave(r, r->me->conf->kill_grace + ROLE_LEAVE);
		return;
	case ROLE_LEAVING:
		role_overdue(r);
		return;
	case ROLE_RUNNING:
	case ROLE_DONE:
		return;
	}
}

static void
role_on_term(void *arg)
{
	struct role *r = arg;

	MAGIC_CHECK(r, ROLE_MAGIC);
	if (r->phase == ROLE_RUNNING) {
		role_drain(r);
	} else if (r->phase == ROLE_DRAINING) {
		log_notice("second signal: leaving now");
		role_leave(r, ROLE_LEAVE);
	}
}

static void
role_on_reopen(void *arg UNUSED)
{
	int err = log_reopen();

	if (err != 0)
		log_error("could not reopen the log, writing to the old one", log_errno(err));
}

static void
role_drop(const struct super_child *me)
{
	const char *user = me->conf->user;

	if (me->keeps_root || geteuid() != 0 || user[0] == '\0')
		return;
	if (!proc_drop_to(user))
		log_fatal(EX_NOPERM, "could not become user \"%s\": %s", user, strerror(errno));
}

static void
role_signals(struct role *r)
{
	sigset_t none;

	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	loop_signal(r->loop, SIGTERM, role_on_term, r);
	loop_signal(r->loop, SIGUSR1, role_on_reopen, r);
	sigemptyset(&none);
	MUST(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
}

struct role *
role_begin(const struct super_child *me, const struct role_ops *ops, void *arg)
{
	struct role *r = mem_zalloc(sizeof(*r));

	r->magic = ROLE_MAGIC;
	r->me = me;
	r->ops = ops;
	r->arg = arg;
	log_set_role(ops->name, me->index);
	base_on_panic(role_panic);
	stats_attach(me->stats, me->slot);
	role_state(r, "starting");
	role_drop(me);
	proc_hide();
	if (!proc_parent_death(SIGTERM, me->supervisor)) {
		log_notice("the supervisor is gone, leaving");
		exit(EX_TEMPFAIL);
	}
	r->loop = loop_new();
	role_signals(r);
	r->deadline = loop_timer_new(r->loop, role_on_deadline, r);
	r->beat = loop_timer_new(r->loop, role_beat, r);
	role_beat(r);
	return r;
}

struct loop *
role_loop(struct role *r)
{
	return r->loop;
}

bool
role_draining(const struct role *r)
{
	return r->phase != ROLE_RUNNING;
}

void
role_done(struct role *r, int exit_code)
{
	if (r->phase == ROLE_DONE)
		return;
	r->phase = ROLE_DONE;
	r->exit_code = exit_code;
	loop_stop(r->loop);
}

int
role_run(struct role *r)
{
	int code;

	if (r->phase == ROLE_RUNNING) {
		role_state(r, "running");
		super_child_ready(r->me);
	}
	if (r->phase != ROLE_DONE)
		loop_run(r->loop);
	code = r->exit_code;
	role_state(r, "ended");
	loop_timer_free(&r->beat);
	loop_timer_free(&r->deadline);
	loop_free(&r->loop);
	mem_free(&r);
	return code;
}
