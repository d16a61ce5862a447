/* super_spawn.c - birth and death of a child: how.
 *
 * super_spawn() forks one process for a role; in the child it closes what is not the child's and calls the role.  super_reap() takes in
 * every dead child, gives its slot back and says how it ended.
 *
 * The supervisor is a child subreaper.  When a launcher dies, its handlers get SIGKILL by their parent-death signal and the processes
 * they had started become our children: strangers, not in the table.  super_strangers_kill() ends them, so no work of a
 * dead launcher goes on unseen.  Children that we had before we forked anything (started by a shell that became us) are left alone.  Whether and
 * when a child is started: super_policy.c.
 */
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "sys/proc.h"

#include "super/super_int.h"

void
super_child_ready(const struct super_child *me)
{
	pid_t pid = getpid();

	/* Less than PIPE_BUF, so whole or not at all; when the supervisor is gone nobody needs to know. */
	if (me->ready_fd > 0 && write(me->ready_fd, &pid, sizeof(pid)) < 0)
		log_debug("could not tell the supervisor that the process is ready", log_errno(errno));
}

/* What the supervisor keeps for itself, and what belongs to other roles and generations, is closed; the lock of the pid file is kept on
 * purpose: a new start cannot meet us. */
static void
super_child_close(struct super *s, const struct super_role *role, const struct super_generation *mine)
{
	struct list *at, *next;

	MUST(close(s->signal_fd) == 0);
	MUST(close(s->ready_pipe[0]) == 0);
	if (s->up_fd >= 0) {
		MUST(close(s->up_fd) == 0);
		super_daemon_hush(s, mine->conf);
	}
	for (int i = 0; !role->listens && i < s->nlisteners; i++)
		MUST(close(s->listeners[i]) == 0);
	LIST_FOREACH_SAFE (at, next, &s->generations) {
		struct super_generation *g = container_of(at, struct super_generation, node);

		if (g != mine)
			MUST(close(g->launch_listener) == 0);
	}
}

static int
super_child_run(struct super *s, const struct super_proc *p)
{
	const struct super_generation *g = p->generation;
	struct super_child me = {
		.conf = g->conf,
		.conf_path = s->conf_path,
		.stats = s->stats,
		.slot = p->slot,
		.index = p->index,
		.generation = g->number,
		.keeps_root = p->role->keeps_root,
		.boot = s->boot,
		.boot_at = s->boot_at,
		.supervisor = s->pid,
		.listeners = s->listeners,
		.nlisteners = p->role->listens ? s->nlisteners : 0,
		.wake = s->wake,
		.ration = s->ration,
		.turn = s->turn,
		.seats = s->seats,
		.guard = s->guard,
		.marks = s->marks,
		.recent = s->recent,
		.launch_listener = g->launch_listener,
		.gone_pipe = { s->gone_pipe[0], s->gone_pipe[1] },
		.ready_fd = s->ready_pipe[1],
	};

	memcpy(me.launch_path, g->launch_path, sizeof(me.launch_path));
	super_child_close(s, p->role, g);
	return p->role->run(&me);
}

bool
super_spawn(struct super *s, struct super_generation *g, const struct super_role *role)
{
	struct super_throttle *t = &s->throttle[role - s->o->roles];
	struct super_proc *p = super_proc_add(s, g, role);

	if (p == NULL)
		return false;
	fflush(NULL);
	p->pid = fork();
	if (p->pid < 0) {
		log_error("could not start a process, trying again", log_str("name", role->name), log_errno(errno));
		super_proc_remove(s, &p);
		super_throttle_died_early(t, clock_now());
		return false;
	}
	if (p->pid == 0)
		exit(super_child_run(s, p));
	p->started_at = clock_now();
	p->start_time = proc_start_time(p->pid);
	stats_slot_pid(s->stats, p->slot, p->pid);
	super_throttle_started(t, p->started_at);
	log_info("process started", log_str("name", role->name), log_int("index", p->index), log_int("child", p->pid),
	    log_uint("generation", g->number));
	return true;
}

void
super_proc_signal(struct super_proc *p, int sig)
{
	/* A dead child stays a zombie, and its pid ours, until super_reap(). */
	MUST(kill(p->pid, sig) == 0 || errno == EPERM);
	if (sig == SIGTERM)
		p->told = true;
	if (sig == SIGKILL)
		p->killed = true;
}

static void
super_proc_ended(struct super *s, struct super_proc *p, int status)
{
	struct super_throttle *t = &s->throttle[p->role - s->o->roles];
	int64_t lived = clock_now() - p->started_at;
	char how[64];

	proc_status_text(status, how, sizeof(how));
	log_at(p->told && status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "process ended",
	    log_str("name", p->role->name), log_int("index", p->index), log_int("child", p->pid), log_str("how", how),
	    log_seconds("lived", lived), log_uint("generation", p->generation->number));
	if (!p->told && (!p->ready || lived < SUPER_PROVEN)) {
		super_throttle_died_early(t, clock_now());
		if (super_throttle_delay(t->early) > 0)
			log_warning("process ends before useful work, its next start is delayed",
			    log_str("name", p->role->name), log_int("times", t->early),
			    log_seconds("delay", super_throttle_delay(t->early)));
	}
	if (s->state >= SUPER_DRAIN && status != 0)
		s->unclean = true;
	super_proc_remove(s, &p);
}

void
super_reap(struct super *s)
{
	int status;
	pid_t pid;

	s->want_reap = false;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct super_proc *p = super_proc_find(s, pid);

		if (p != NULL)
			super_proc_ended(s, p, status);
	}
	(void)super_strangers_kill(s);
}

static bool
super_is_forgiven(const struct super *s, pid_t pid)
{
	const pid_t *old = (const pid_t *)(const void *)s->forgiven.data;

	for (size_t i = 0; i < s->forgiven.len / sizeof(*old); i++)
		if (old[i] == pid)
			return true;
	return false;
}

int
super_strangers_kill(struct super *s)
{
	struct buf pids = { 0 };
	const pid_t *child;
	int n = 0;

	proc_children(getpid(), &pids);
	child = (const pid_t *)(const void *)pids.data;
	for (size_t i = 0; i < pids.len / sizeof(*child); i++) {
		if (super_proc_find(s, child[i]) != NULL || super_is_forgiven(s, child[i]))
			continue;
		(void)kill(child[i], SIGKILL);
		n++;
	}
	buf_free(&pids);
	if (n > 0)
		log_notice("killed processes that a dead launcher left behind", log_int("count", n));
	return n;
}
