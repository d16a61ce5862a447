/* aside.c - a job in a thread of its own; see aside.h.
 *
 * The end of the thread is told by an eventfd; the join that follows is what orders its memory before ours.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "sys/aside.h"

#define ASIDE_MAGIC 0x61736964u
#define STACK (256 << 10)

struct aside {
	unsigned magic;
	int fd;
	struct loop_fd *heard;
	pthread_t thread;
	bool busy;
	bool threaded;
	loop_fn *work, *done;
	void *arg;
};

static void
ring(struct aside *a)
{
	const uint64_t one = 1;

	MUST(write(a->fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

static void *
body(void *arg)
{
	struct aside *a = arg;

	a->work(a->arg);
	ring(a);
	return NULL;
}

/* It has rung before it can be joined. */
static void
over(struct aside *a)
{
	uint64_t count;

	if (a->threaded)
		MUST(pthread_join(a->thread, NULL) == 0);
	MUST(read(a->fd, &count, sizeof(count)) == (ssize_t)sizeof(count));
	a->busy = a->threaded = false;
}

static void
heard(void *arg, int events UNUSED)
{
	struct aside *a = arg;

	MAGIC_CHECK(a, ASIDE_MAGIC);
	if (!a->busy) /* somebody waited for it in this turn */
		return;
	over(a);
	a->done(a->arg);
}

struct aside *
aside_new(struct loop *l)
{
	struct aside *a = mem_zalloc(sizeof(*a));

	a->magic = ASIDE_MAGIC;
	a->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	MUST(a->fd >= 0);
	a->heard = loop_fd_new(l, a->fd, LOOP_READ, heard, a);
	return a;
}

void
aside_run(struct aside *a, loop_fn *work, loop_fn *done, void *arg)
{
	pthread_attr_t attr;
	sigset_t all, before;

	ASSERT(!a->busy);
	a->busy = true;
	a->work = work;
	a->done = done;
	a->arg = arg;
	MUST(sigfillset(&all) == 0 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	MUST(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK) == 0);
	a->threaded = pthread_create(&a->thread, &attr, body, a) == 0;
	MUST(pthread_attr_destroy(&attr) == 0);
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (!a->threaded)
		body(a);
}

bool
aside_busy(const struct aside *a)
{
	return a->busy;
}

void
aside_wait(struct aside *a)
{
	while (a->busy) {
		over(a);
		a->done(a->arg); /* may begin another */
	}
}

void
aside_free(struct aside **ap)
{
	struct aside *a = *ap;

	if (a == NULL)
		return;
	MAGIC_CHECK(a, ASIDE_MAGIC);
	if (a->busy)
		over(a);
	loop_fd_free(&a->heard);
	MUST(close(a->fd) == 0);
	a->magic = 0;
	mem_free(ap);
}
