/* loop.c - the only owner of an event base.
 *
 * An fd has two libevent events, one for each direction, so that a change of `want` costs one system call.  A callback
 * of libevent calls its owner as the last thing it does; the owner may free the object in it.  libevent takes a deleted event
 * out of its queue of active ones, so nothing is called after its free.  Libevent looks at timers once in a turn, so what a timer of
 * zero is asked for in this turn runs in a later one, after the kernel was asked.
 *
 * The clock is read anew for each timer (no cached time) and is the precise one: a timer never fires before clock_now() says
 * so.
 */
#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/list.h"

#include "sys/loop.h"

#define LOOP_MAGIC 0x1009a55e
#define FD_MAGIC 0x10f0a55e
#define TIMER_MAGIC 0x1071a55e

struct loop {
	unsigned magic;
	struct event_base *base;
	struct list signals;
	bool stop;
	bool closed;   /* by its owner; goes with the last object made on it */
	unsigned live; /* loop_fd and loop_timer objects */
};

struct loop_fd {
	unsigned magic;
	struct loop *loop;
	int want;
	struct event read;
	struct event write;
	loop_fd_fn *fn;
	void *arg;
};

struct loop_timer {
	unsigned magic;
	struct loop *loop;
	struct event event;
	loop_fn *fn;
	void *arg;
};

struct loop_signal {
	struct list node;
	struct event event;
	loop_fn *fn;
	void *arg;
};

/* --- the loop -------------------------------------------------------------------------------------------------------- */

struct loop *
loop_new(void)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	struct event_config *config = event_config_new();

	ASSERT(config != NULL);
	MUST(event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME | EVENT_BASE_FLAG_PRECISE_TIMER |
					       EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0);
	l->magic = LOOP_MAGIC;
	l->base = event_base_new_with_config(config);
	ASSERT(l->base != NULL);
	event_config_free(config);
	list_init(&l->signals);
	return l;
}

static void
loop_destroy(struct loop *l)
{
	struct list *node;

	while ((node = list_first(&l->signals)) != NULL) {
		struct loop_signal *s = container_of(node, struct loop_signal, node);

		event_del(&s->event);
		list_remove(node);
		mem_free(&s);
	}
	event_base_free(l->base);
	l->magic = 0;
	mem_free(&l);
}

void
loop_free(struct loop **l)
{
	if (*l == NULL)
		return;
	MAGIC_CHECK(*l, LOOP_MAGIC);
	(*l)->closed = true;
	if ((*l)->live == 0)
		loop_destroy(*l);
	*l = NULL;
}

static void
loop_hold(struct loop *l)
{
	MAGIC_CHECK(l, LOOP_MAGIC);
	l->live++;
}

static void
loop_let_go(struct loop *l)
{
	ASSERT(l->live > 0);
	if (--l->live == 0 && l->closed)
		loop_destroy(l);
}

void
loop_run(struct loop *l)
{
	MAGIC_CHECK(l, LOOP_MAGIC);
	while (!l->stop)
		MUST(event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
	l->stop = false;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}

static void
on_signal(int signo UNUSED, short what UNUSED, void *arg)
{
	struct loop_signal *s = arg;

	s->fn(s->arg);
}

void
loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct loop_signal *s = mem_alloc(sizeof(*s));

	MAGIC_CHECK(l, LOOP_MAGIC);
	s->fn = fn;
	s->arg = arg;
	MUST(event_assign(&s->event, l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, s) == 0);
	MUST(event_add(&s->event, NULL) == 0);
	list_push(&l->signals, &s->node);
}

/* --- descriptors ----------------------------------------------------------------------------------------------------- */

static void
on_fd(int fd UNUSED, short what, void *arg)
{
	struct loop_fd *f = arg;

	MAGIC_CHECK(f, FD_MAGIC);
	f->fn(f->arg, what & EV_READ ? LOOP_READ : LOOP_WRITE);
}

struct loop_fd *
loop_fd_new(struct loop *l, int fd, int want, loop_fd_fn *fn, void *arg)
{
	struct loop_fd *f = mem_zalloc(sizeof(*f));

	ASSERT(fd >= 0);
	loop_hold(l);
	f->magic = FD_MAGIC;
	f->loop = l;
	f->fn = fn;
	f->arg = arg;
	MUST(event_assign(&f->read, l->base, fd, EV_READ | EV_PERSIST, on_fd, f) == 0);
	MUST(event_assign(&f->write, l->base, fd, EV_WRITE | EV_PERSIST, on_fd, f) == 0);
	loop_fd_want(f, want);
	return f;
}

void
loop_fd_want(struct loop_fd *f, int want)
{
	int change;

	MAGIC_CHECK(f, FD_MAGIC);
	change = f->want ^ want;
	f->want = want;
	if (change & LOOP_READ)
		MUST((want & LOOP_READ ? event_add(&f->read, NULL) : event_del(&f->read)) == 0);
	if (change & LOOP_WRITE)
		MUST((want & LOOP_WRITE ? event_add(&f->write, NULL) : event_del(&f->write)) == 0);
}

void
loop_fd_free(struct loop_fd **f)
{
	struct loop *l;

	if (*f == NULL)
		return;
	loop_fd_want(*f, 0);
	l = (*f)->loop;
	(*f)->magic = 0;
	mem_free(f);
	loop_let_go(l);
}

/* --- timers ---------------------------------------------------------------------------------------------------------- */

static void
on_timer(int fd UNUSED, short what UNUSED, void *arg)
{
	struct loop_timer *t = arg;

	MAGIC_CHECK(t, TIMER_MAGIC);
	t->fn(t->arg);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_timer *t = mem_zalloc(sizeof(*t));

	loop_hold(l);
	t->magic = TIMER_MAGIC;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	MUST(event_assign(&t->event, l->base, -1, 0, on_timer, t) == 0);
	return t;
}

void
loop_timer_set(struct loop_timer *t, int64_t us)
{
	struct timeval tv;

	MAGIC_CHECK(t, TIMER_MAGIC);
	if (us < 0)
		us = 0;
	tv.tv_sec = us / CLOCK_SECOND;
	tv.tv_usec = us % CLOCK_SECOND;
	MUST(event_add(&t->event, &tv) == 0);
}

void
loop_timer_clear(struct loop_timer *t)
{
	MAGIC_CHECK(t, TIMER_MAGIC);
	MUST(event_del(&t->event) == 0);
}

bool
loop_timer_is_set(const struct loop_timer *t)
{
	MAGIC_CHECK(t, TIMER_MAGIC);
	return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
}

void
loop_timer_free(struct loop_timer **t)
{
	struct loop *l;

	if (*t == NULL)
		return;
	loop_timer_clear(*t);
	l = (*t)->loop;
	(*t)->magic = 0;
	mem_free(t);
	loop_let_go(l);
}
