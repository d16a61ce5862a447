/* super.c - the supervisor: forks, counts, signals, waits.
 *
 *	START --all ready--> RUN <--> RELOAD
 *	   \__________________|__________/
 *	                  TERM or INT
 *	                      v
 *	                    DRAIN --again--> STOP
 *
 * Each turn of the loop hears signals, takes in the dead, and then compares what should be with what is.  Signals come through a
 * descriptor, so their meaning is here and nowhere else: TERM and INT drain, again end now, a third time kill; HUP reloads; USR1 reopens
 * the logs of all.  There is no event base, no libpq and no hiredis in this process: the children make their own after the fork.
 *
 * Before the first fork: super_setup.c.  Generations: super_reload.c.  Births and deaths: super_spawn.c.
 */
#include <sys/signalfd.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "log/log.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "super/super_int.h"

static const char *const super_words[] = {
	[SUPER_START] = "starting",
	[SUPER_RUN] = "running",
	[SUPER_RELOAD] = "reloading",
	[SUPER_DRAIN] = "draining",
	[SUPER_STOP] = "stopping",
};

void
super_set_state(struct super *s, enum super_state state, const char *why)
{
	if (s->state != state)
		log_notice("the daemon changes state", log_str("from", super_words[s->state]),
		    log_str("to", super_words[state]), log_str("why", why));
	s->state = state;
	s->procs_changed = true;
	proc_title_set("taskqd: supervisor (%s)", super_words[state]);
	notify_send("STATUS=%s", super_words[state]);
	stats_doing(super_words[state]);
}

/* --- wait ------------------------------------------------------------------------------------------------------------ */

static void
super_sooner(int64_t *at, int64_t t)
{
	if (t != 0 && t < *at)
		*at = t;
}

/* How long nothing can become due, in ms. */
static int
super_sleep(struct super *s)
{
	int64_t now = clock_now(), at = now + SUPER_TICK;
	struct list *node, *next;

	for (int i = 0; i < s->o->nroles; i++)
		if (s->throttle[i].next_at > now)
			super_sooner(&at, s->throttle[i].next_at);
	LIST_FOREACH_SAFE (node, next, &s->generations) {
		struct super_generation *g = container_of(node, struct super_generation, node);

		if (g->retiring && g->deadline > now)
			super_sooner(&at, g->deadline);
	}
	if (s->want_reload && s->state <= SUPER_RUN)
		super_sooner(&at, s->reload_at);
	super_sooner(&at, s->watchdog_at);
	super_sooner(&at, s->gone_until);
	return at <= now ? 0 : (int)((at - now) / CLOCK_MS) + 1;
}

static void
super_hear(struct super *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			s->want_stop++;
			break;
		case SIGHUP:
			s->want_reload = s->want_reopen = true;
			break;
		case SIGUSR1:
			s->want_reopen = true;
			break;
		case SIGCHLD:
			s->want_reap = true;
			break;
		}
	}
}

static void
super_hear_ready(struct super *s)
{
	pid_t pid;

	while (read(s->ready_pipe[0], &pid, sizeof(pid)) == (ssize_t)sizeof(pid)) {
		struct super_proc *p = super_proc_find(s, pid);

		if (p == NULL)
			continue;
		p->ready = true;
		s->procs_changed = true;
	}
}

static void
super_wait(struct super *s)
{
	struct pollfd fds[] = { { s->signal_fd, POLLIN, 0 }, { s->ready_pipe[0], POLLIN, 0 } };

	if (poll(fds, ARRAY_LEN(fds), super_sleep(s)) < 0)
		ASSERT(errno == EINTR);
	super_hear_ready(s);
	super_hear(s);
}

/* --- one turn -------------------------------------------------------------------------------------------------------- */

/* A child that is ready and old enough lifts the delay of its role. */
static void
super_prove(struct super *s)
{
	int64_t now = clock_now();
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = container_of(at, struct super_proc, node);

		if (p->proven || !p->ready || now - p->started_at < SUPER_PROVEN)
			continue;
		p->proven = true;
		super_throttle_proven(&s->throttle[p->role - s->o->roles]);
	}
}

static void
super_reopen(struct super *s)
{
	struct list *at, *next;

	s->want_reopen = false;
	super_log_reopen(s);
	log_notice("log reopened");
	LIST_FOREACH_SAFE (at, next, &s->procs)
		super_proc_signal(container_of(at, struct super_proc, node), SIGUSR1);
}

static void
super_drain(struct super *s)
{
	struct list *at, *next;

	super_set_state(s, SUPER_DRAIN, "signal: all processes are told to finish");
	notify_send("STOPPING=1");
	/* Nobody accepts any more: a new connection is refused, not left waiting. */
	for (int i = 0; i < s->nlisteners; i++)
		sock_unlisten(s->listeners[i]);
	s->nlisteners = 0;
	s->fresh = NULL;
	LIST_FOREACH_SAFE (at, next, &s->generations)
		super_generation_retire(s, container_of(at, struct super_generation, node));
}

/* What was told is told again, which means "now"; what waits for others still waits, but not long. */
static void
super_stop(struct super *s, int64_t allowed)
{
	struct list *at, *next;

	super_set_state(s, SUPER_STOP, "second signal: all processes are told to end now");
	LIST_FOREACH_SAFE (at, next, &s->generations) {
		struct super_generation *g = container_of(at, struct super_generation, node);

		super_sooner(&g->deadline, clock_now() + allowed);
	}
	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = container_of(at, struct super_proc, node);

		if (p->told)
			super_proc_signal(p, SIGTERM);
	}
}

static void
super_obey_stop(struct super *s)
{
	for (; s->want_stop > 0; s->want_stop--) {
		if (s->state < SUPER_DRAIN)
			super_drain(s);
		else if (s->state == SUPER_DRAIN)
			super_stop(s, SUPER_STOP_NOW);
		else
			super_stop(s, 0);
	}
}

static void
super_obey(struct super *s)
{
	super_obey_stop(s);
	if (s->want_reopen)
		super_reopen(s);
	if (s->want_reload && s->state <= SUPER_RUN && clock_now() >= s->reload_at)
		super_reload_begin(s);
	if (s->state == SUPER_RELOAD)
		super_reload_step(s);
}

void
super_fill(struct super *s, struct super_generation *g, int order)
{
	for (int i = 0; i < s->o->nroles; i++) {
		const struct super_role *role = &s->o->roles[i];
		int missing = role->count(g->conf) - super_proc_count(s, g, role);

		while (role->stop_order >= order && missing-- > 0 && super_throttle_open(&s->throttle[i], clock_now()))
			if (!super_spawn(s, g, role))
				break;
	}
}

static void
super_maintain(struct super *s)
{
	if (s->state >= SUPER_DRAIN)
		return;
	super_fill(s, s->serving, 0);
	if (s->fresh != NULL)
		super_fill(s, s->fresh, 0);
}

/* Whoever waits for us finds the files as they should be. */
static void
super_came_up(struct super *s)
{
	super_set_state(s, SUPER_RUN, "all processes are ready");
	s->was_ready = true;
	super_procs_write(s);
	notify_send("READY=1");
	super_daemon_up(s, 0);
	super_daemon_hush(s, s->serving->conf);
}

static void
super_report(struct super *s)
{
	int64_t now = clock_now();

	if (s->state == SUPER_START && super_generation_ready(s, s->serving))
		super_came_up(s);
	if (s->up_until != 0 && now >= s->up_until) {
		log_error("not all processes came up in time, still trying");
		super_daemon_up(s, EX_TEMPFAIL);
	}
	if (s->watchdog_every > 0 && now >= s->watchdog_at) {
		s->watchdog_at = now + s->watchdog_every;
		notify_send("WATCHDOG=1");
	}
	if (s->procs_changed)
		super_procs_write(s);
	stats_heartbeat();
}

static bool
super_all_killed(struct super *s)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->procs)
		if (!container_of(at, struct super_proc, node)->killed)
			return false;
	return true;
}

/* Nothing of ours is left; what was killed and does not die (a disk that does not answer) is not waited for without end. */
static bool
super_is_over(struct super *s)
{
	if (s->state < SUPER_DRAIN || !super_all_killed(s))
		return false;
	if (super_strangers_kill(s) == 0 && list_empty(&s->procs))
		return true;
	if (s->gone_until == 0)
		s->gone_until = clock_now() + SUPER_KILL_PATIENCE;
	if (clock_now() < s->gone_until)
		return false;
	log_error("leaving although killed processes are still there");
	return s->unclean = true;
}

static void
super_turn(struct super *s)
{
	super_wait(s);
	if (s->want_reap)
		super_reap(s);
	super_prove(s);
	super_obey(s);
	super_generations_step(s);
	super_maintain(s);
	super_report(s);
}

int
super_run(const struct super_options *o)
{
	static struct super s; /* one per process, and as long as it lives */
	int code;

	ASSERT(s.o == NULL && o->nroles <= SUPER_ROLES);
	s.o = o;
	super_setup(&s);
	super_set_state(&s, SUPER_START, NULL);
	log_notice("taskqd starts", log_id("boot", &s.boot), log_str("conf", s.conf_path));
	super_maintain(&s);
	while (!super_is_over(&s))
		super_turn(&s);
	code = s.unclean ? EX_TEMPFAIL : EX_OK;
	super_cleanup(&s);
	super_daemon_up(&s, EX_TEMPFAIL);
	log_notice("taskqd ends", log_int("code", code));
	return code;
}
