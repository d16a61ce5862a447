/* run_alarm.c - a command that calls somebody: see run_alarm.h.
 *
 * It is a handler of kind exec that takes no task: it has that handler's command, user, limits and timeout, and on its stdin one line
 * of JSON.  What it writes is thrown away.  One runs at a time; what happens meanwhile is in the log and in the metrics alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/log.h"

#include "run/exec.h"
#include "run/launch_client.h"
#include "run/run_alarm.h"

#define RUN_ALARM_MAGIC 0x616c726du

struct run_alarm {
	unsigned magic;
	const struct exec_env *env;
	struct launch_run line;
	struct loop_timer *timer; /* its timeout */
	bool up;
};

static void
alarm_over(struct run_alarm *a)
{
	a->up = false;
	loop_timer_clear(a->timer);
}

static void
alarm_heard(struct launch_run *line, const struct launch_msg *m)
{
	struct run_alarm *a = container_of(line, struct run_alarm, line);
	const char *name;

	MAGIC_CHECK(a, RUN_ALARM_MAGIC);
	name = a->env->conf->work.alarm;
	if (m != NULL && m->verb == LAUNCH_STARTED)
		return;
	alarm_over(a);
	if (m == NULL)
		log_error("the alarm was lost with the launcher", log_str("handler", name));
	else if (m->verb == LAUNCH_REFUSED)
		log_error("the alarm could not be started", log_str("handler", name), log_str("why", m->text),
		    log_errno(m->value));
	else if (m->value != 0)
		log_error("the alarm failed", log_str("handler", name), log_int("status", m->value));
	else
		log_notice("the alarm was given", log_str("handler", name));
}

static void
alarm_late(void *arg)
{
	struct run_alarm *a = arg;

	MAGIC_CHECK(a, RUN_ALARM_MAGIC);
	if (a->up)
		launch_kill(a->env->launch, &a->line, SIGKILL);
}

/* Its stdin holds what is told; its stdout and stderr lead nowhere. */
static bool
alarm_pipes(struct span told, int theirs[3])
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	theirs[0] = ends[0];
	theirs[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	theirs[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	/* a pipe takes a page without anybody reading */
	if (theirs[1] < 0 || theirs[2] < 0 || write(ends[1], told.ptr, told.len) != (ssize_t)told.len) {
		for (int i = 0; i < 3; i++)
			if (theirs[i] >= 0)
				(void)close(theirs[i]);
		(void)close(ends[1]);
		return false;
	}
	(void)close(ends[1]);
	return true;
}

static void
alarm_begin(struct run_alarm *a, const struct conf_handler *h, struct span told)
{
	int theirs[3] = { -1, -1, -1 };

	if (!alarm_pipes(told, theirs)) {
		log_error("the alarm could not be started", log_str("handler", h->title), log_errno(errno));
		return;
	}
	a->line = (struct launch_run){ .heard = alarm_heard };
	a->up = true;
	loop_timer_set(a->timer, h->timeout);
	launch_start(a->env->launch, &a->line, (int)(h - a->env->conf->handlers), theirs);
}

void
run_alarm_ring(struct run_alarm *a, const char *event, const char *why, int64_t outcomes)
{
	const char *name = a->env->conf->work.alarm;
	const struct conf_handler *h = name[0] != '\0' ? conf_handler_find(a->env->conf, span_of(name)) : NULL;
	struct buf told = { 0 };

	if (h == NULL || a->up)
		return;
	if (a->env->launch == NULL || !launch_ready(a->env->launch)) {
		log_error("the alarm could not be started: there is no launcher", log_str("handler", name));
		return;
	}
	buf_puts(&told, "{\"event\":");
	buf_json_string(&told, span_of(event));
	buf_puts(&told, ",\"why\":");
	buf_json_string(&told, span_of(why));
	buf_printf(&told, ",\"outcomes\":%jd}\n", (intmax_t)outcomes);
	alarm_begin(a, h, buf_span(&told));
	buf_free(&told);
}

struct run_alarm *
run_alarm_new(const struct exec_env *env)
{
	struct run_alarm *a = mem_zalloc(sizeof(*a));

	a->magic = RUN_ALARM_MAGIC;
	a->env = env;
	a->timer = loop_timer_new(env->loop, alarm_late, a);
	return a;
}

void
run_alarm_free(struct run_alarm **ap)
{
	struct run_alarm *a = *ap;

	if (a == NULL)
		return;
	MAGIC_CHECK(a, RUN_ALARM_MAGIC);
	if (a->up)
		launch_forget(a->env->launch, &a->line);
	loop_timer_free(&a->timer);
	a->magic = 0;
	mem_free(ap);
}
