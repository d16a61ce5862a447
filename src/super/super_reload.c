/* super_reload.c - generations: the processes that share one configuration.
 *
 * A reload reads and checks a whole new configuration; a bad one changes nothing.  A good one makes a fresh generation, which comes up
 * beside the serving one.  When all of its processes are ready it serves, and the old one is retired; when it is not ready in
 * time it is retired itself and the old one goes on.  A retired generation is told to drain; its launcher, last of the stop order, when
 * the others are gone, and should it die before them it is replaced.  At its deadline SIGKILL.  It is freed, with its socket and its configuration, when its last process is
 * gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "log/log.h"
#include "sys/sys.h"

#include "super/super_int.h"

struct super_generation *
super_generation_new(struct super *s, struct conf *conf, char *text, size_t size)
{
	struct super_generation *g = mem_zalloc(sizeof(*g));
	int len;

	g->number = ++s->last_generation;
	g->conf = conf;
	g->made_at = clock_now();
	len = snprintf(g->launch_path, sizeof(g->launch_path), "%s/launch.%u.sock", conf->run_dir, g->number);
	if (len < 0 || (size_t)len >= sizeof(g->launch_path)) {
		snprintf(text, size, "the name of run_dir is too long for a socket in it");
		mem_free(&g);
		return NULL;
	}
	g->launch_listener = sock_seqpacket_listen(g->launch_path);
	if (g->launch_listener < 0) {
		snprintf(text, size, "could not listen on \"%s\": %s", g->launch_path, strerror(errno));
		mem_free(&g);
		return NULL;
	}
	super_own(s, g->launch_path);
	list_push(&s->generations, &g->node);
	return g;
}

static void
super_generation_free(struct super_generation **g)
{
	list_remove(&(*g)->node);
	MUST(close((*g)->launch_listener) == 0);
	(void)unlink((*g)->launch_path);
	conf_free(&(*g)->conf);
	mem_free(g);
}

void
super_generation_retire(struct super *s, struct super_generation *g)
{
	if (g->retiring)
		return;
	g->retiring = true;
	g->deadline = clock_now() + g->conf->drain_timeout + g->conf->kill_grace + SUPER_STOP_EXTRA;
	log_info("generation is told to end", log_uint("generation", g->number),
	    log_int("count", super_proc_count(s, g, NULL)));
}

/* Processes in all. */
static int
generation_wants(struct super *s, const struct super_generation *g)
{
	int n = 0;

	for (int i = 0; i < s->o->nroles; i++)
		n += s->o->roles[i].count(g->conf);
	return n;
}

bool
super_generation_ready(struct super *s, const struct super_generation *g)
{
	struct list *at, *next;
	int ready = 0;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		const struct super_proc *p = container_of(at, struct super_proc, node);

		ready += p->generation == g && p->ready;
	}
	return ready >= generation_wants(s, g);
}

static int
super_last_order(const struct super *s)
{
	int last = 0;

	for (int i = 0; i < s->o->nroles; i++)
		if (s->o->roles[i].stop_order > last)
			last = s->o->roles[i].stop_order;
	return last;
}

/* What is told last is there for the others: one that dies before them is replaced.  The listener of a launcher that is gone takes what workers
 * say and nobody answers, so what they had started would hang until the deadline. */
static void
super_generation_mend(struct super *s, struct super_generation *g)
{
	int last = super_last_order(s), others = super_proc_count(s, g, NULL);

	for (int i = 0; i < s->o->nroles; i++)
		if (s->o->roles[i].stop_order == last)
			others -= super_proc_count(s, g, &s->o->roles[i]);
	if (others > 0)
		super_fill(s, g, last);
}

/* The stop order up to which processes of the generation are told now: all but the last when others took over, one after the other when
 * nobody did. */
static int
super_generation_order(struct super *s, const struct super_generation *g)
{
	struct list *at, *next;
	int lowest = INT32_MAX, last = super_last_order(s);

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		const struct super_proc *p = container_of(at, struct super_proc, node);

		if (p->generation == g && p->role->stop_order < lowest)
			lowest = p->role->stop_order;
	}
	return s->state < SUPER_DRAIN && lowest < last ? last - 1 : lowest;
}

static void
super_generation_tell(struct super *s, const struct super_generation *g)
{
	int order = super_generation_order(s, g);
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = container_of(at, struct super_proc, node);

		if (p->generation == g && !p->told && p->role->stop_order <= order)
			super_proc_signal(p, SIGTERM);
	}
}

static void
super_generation_kill(struct super *s, const struct super_generation *g)
{
	struct buf names = { 0 };
	struct list *at, *next;
	int n = 0;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = container_of(at, struct super_proc, node);

		if (p->generation != g || p->killed)
			continue;
		buf_printf(&names, "%s%s %d", n > 0 ? ", " : "", p->role->name, p->index);
		super_proc_signal(p, SIGKILL);
		n++;
	}
	if (n > 0) {
		log_error("killed processes that did not end in time", log_int("count", n),
		    log_str("names", buf_cstr(&names)));
		s->unclean = s->unclean || s->state >= SUPER_DRAIN;
	}
	buf_free(&names);
}

void
super_generations_step(struct super *s)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->generations) {
		struct super_generation *g = container_of(at, struct super_generation, node);

		if (!g->retiring)
			continue;
		if (s->state < SUPER_STOP && clock_now() < g->deadline)
			super_generation_mend(s, g);
		super_generation_tell(s, g);
		if (clock_now() >= g->deadline)
			super_generation_kill(s, g);
		if (g != s->serving && super_proc_count(s, g, NULL) == 0) {
			log_info("generation has ended", log_uint("generation", g->number));
			super_generation_free(&g);
		}
	}
}

/* --- the reload ----------------------------------------------------------------------------------------------------- */

static void
super_log_lines(enum log_level level, const char *msg, struct buf *lines)
{
	char *save = NULL;

	buf_putc(lines, '\0');
	for (char *line = strtok_r(lines->data, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		log_at(level, msg, log_str("line", line));
}

/* Null: the old configuration stays, and the log says why. */
static struct conf *
super_reload_read(struct super *s)
{
	struct buf errors = { 0 }, notes = { 0 };
	struct conf *conf = conf_load(s->conf_path, &errors);

	if (conf == NULL) {
		super_log_lines(LOG_LEVEL_ERROR, "bad configuration", &errors);
		log_error("reload refused, the old configuration stays", log_str("file", s->conf_path));
	} else {
		conf_keep_restart_options(conf, s->serving->conf, &notes);
		super_log_lines(LOG_LEVEL_WARNING, "takes effect at the next restart", &notes);
	}
	buf_free(&errors);
	buf_free(&notes);
	return conf;
}

/* Who asked for the reload waits for READY=1 after RELOADING=1, also when nothing has changed. */
static void
super_reload_over(struct super *s)
{
	if (s->was_ready)
		notify_send("READY=1");
}

static void
super_reload_refuse(struct super *s, struct conf **conf, const char *why)
{
	log_error("reload refused, the old configuration stays", log_str("error", why), log_str("file", s->conf_path));
	conf_free(conf);
	super_reload_over(s);
}

void
super_reload_begin(struct super *s)
{
	struct super_generation *g;
	char text[256];
	struct conf *conf;

	notify_reloading();
	conf = super_reload_read(s);
	s->want_reload = false;
	s->reload_at = clock_now() + SUPER_RELOAD_PACE;
	if (conf == NULL) {
		super_reload_over(s);
		return;
	}
	g = super_generation_new(s, conf, text, sizeof(text));
	if (g == NULL) {
		super_reload_refuse(s, &conf, text);
		return;
	}
	switch (super_room_for(
	    generation_wants(s, g), generation_wants(s, s->serving), super_proc_count(s, NULL, NULL))) {
	case SUPER_ROOM_NEVER:
		g->conf = NULL;
		super_generation_free(&g);
		super_reload_refuse(s, &conf, "no room for two such generations at once, restart instead");
		return;
	case SUPER_ROOM_LATER:
		log_notice("reload waits for processes of earlier ones to end");
		super_generation_free(&g);
		s->want_reload = true;
		return;
	case SUPER_ROOM_NOW:
		break;
	}
	super_log_open(s, conf);
	memset(s->throttle, 0, sizeof(s->throttle));
	s->fresh = g;
	super_set_state(s, SUPER_RELOAD, "SIGHUP: a new generation comes up");
}

static void
super_reload_end(struct super *s, const char *why)
{
	s->fresh = NULL;
	super_set_state(s, s->was_ready ? SUPER_RUN : SUPER_START, why);
	super_reload_over(s);
}

void
super_reload_step(struct super *s)
{
	struct super_generation *old = s->serving;

	if (super_generation_ready(s, s->fresh)) {
		s->serving = s->fresh;
		super_reload_end(s, "the new generation serves");
		super_generation_retire(s, old);
	} else if (clock_now() >= s->fresh->made_at + SUPER_RELOAD_PATIENCE) {
		log_error("reload undone: the new generation did not come up, the old configuration stays",
		    log_str("file", s->conf_path));
		super_log_open(s, old->conf);
		super_generation_retire(s, s->fresh);
		super_reload_end(s, "the old generation goes on");
	}
}
