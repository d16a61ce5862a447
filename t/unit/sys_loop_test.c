/* sys_loop_test.c - the loop: order, lifetimes, timers, signals; and the bells between processes. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "sys/loop.h"
#include "sys/wake.h"
#include "t/unit/tap.h"

static struct loop *loop;
static char trace[256];
static char signalled[] = "s";

static void
note(const char *word)
{
	strncat(trace, word, sizeof(trace) - strlen(trace) - 1);
}

static void
stop(void *arg UNUSED)
{
	loop_stop(loop);
}

static struct loop_timer *stopper;

static void
stop_later(void)
{
	loop_timer_set(stopper, 0);
}

/* --- a timer of zero --- */

static struct loop_timer *again;

static void
on_again(void *arg)
{
	int *times = arg;

	note("a");
	if (++*times < 3)
		loop_timer_set(again, 0);
	else
		stop_later();
	note("!");
}

static void
test_zero(void)
{
	int times = 0;

	trace[0] = '\0';
	again = loop_timer_new(loop, on_again, &times);
	loop_timer_set(again, 0);
	is_str(trace, "", "nothing runs inside the call");
	loop_run(loop);
	is_str(trace, "a!a!a!", "what is asked in a turn runs in a later one");
	loop_timer_free(&again);
}

/* --- a pair of descriptors --- */

struct pair {
	int fd[2];
	struct loop_fd *watch[2];
};

static void
on_read_free_both(void *arg, int events)
{
	struct pair *p = arg;

	note(events & LOOP_READ ? "r" : "w");
	loop_fd_free(&p->watch[0]);
	loop_fd_free(&p->watch[1]);
	stop_later();
}

static void
test_free_in_callback(void)
{
	struct pair p;

	trace[0] = '\0';
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd) == 0);
	MUST(write(p.fd[0], "x", 1) == 1 && write(p.fd[1], "x", 1) == 1);
	p.watch[0] = loop_fd_new(loop, p.fd[0], LOOP_READ | LOOP_WRITE, on_read_free_both, &p);
	p.watch[1] = loop_fd_new(loop, p.fd[1], LOOP_READ | LOOP_WRITE, on_read_free_both, &p);
	loop_run(loop);
	is_int(strlen(trace), 1, "of four ready events one is told: its callback freed both objects");
	ok(p.watch[0] == NULL && p.watch[1] == NULL, "free leaves null");
	close(p.fd[0]);
	close(p.fd[1]);
}

static void
on_event_change(void *arg, int events)
{
	struct pair *p = arg;
	char c;

	if (events & LOOP_WRITE) {
		note("w");
		loop_fd_want(p->watch[0], LOOP_READ);
		MUST(write(p->fd[1], "x", 1) == 1);
	}
	if (events & LOOP_READ) {
		note("r");
		MUST(read(p->fd[0], &c, 1) == 1);
		loop_fd_want(p->watch[0], 0);
		MUST(write(p->fd[1], "x", 1) == 1);
		stop_later();
	}
}

static void
test_want(void)
{
	struct pair p;

	trace[0] = '\0';
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd) == 0);
	p.watch[0] = loop_fd_new(loop, p.fd[0], LOOP_WRITE, on_event_change, &p);
	loop_run(loop);
	is_str(trace, "wr", "what is wanted may change in the callback; nothing wanted, nothing told");
	loop_fd_free(&p.watch[0]);
	close(p.fd[0]);
	close(p.fd[1]);
}

/* --- timers --- */

static struct loop_timer *timers[3];
static int64_t fired_at;

static void
on_first(void *arg UNUSED)
{
	note("1");
	fired_at = clock_now();
	ok(!loop_timer_is_set(timers[0]), "a timer that fires is not set");
	loop_timer_clear(timers[1]);
	loop_timer_set(timers[2], 1500); /* later than the cleared one would have been */
	loop_timer_free(&timers[0]);
}

static void
on_second(void *arg UNUSED)
{
	note("2");
}

static void
on_third(void *arg UNUSED)
{
	note("3");
	loop_stop(loop);
}

static void
test_timers(void)
{
	int64_t start = clock_now();

	trace[0] = '\0';
	timers[0] = loop_timer_new(loop, on_first, NULL);
	timers[1] = loop_timer_new(loop, on_second, NULL);
	timers[2] = loop_timer_new(loop, on_third, NULL);
	loop_timer_set(timers[0], 60 * CLOCK_SECOND);
	loop_timer_set(timers[0], 700);
	loop_timer_set(timers[1], 1400);
	ok(loop_timer_is_set(timers[0]), "is set");
	loop_run(loop);
	is_str(trace, "13", "the set-again time counts; a cleared timer is silent");
	ok(fired_at - start >= 700, "never early");
	loop_timer_free(&timers[1]);
	loop_timer_free(&timers[2]);
}

static void
on_signal(void *arg)
{
	note(arg);
	loop_stop(loop);
}

static void
test_signal(void)
{
	trace[0] = '\0';
	loop_signal(loop, SIGUSR2, on_signal, signalled);
	raise(SIGUSR2);
	is_str(trace, "", "a signal only marks");
	loop_run(loop);
	is_str(trace, "s", "the loop tells");
}

static void
test_wake(void)
{
	static struct wake *w; /* lives as long as the process, as in the daemon */
	uint32_t ready;
	uint64_t n;
	pid_t child;

	w = wake_new();
	ready = wake_lane_ready_count(w, 7);
	wake_worker_hungry(w, 3, true);
	wake_worker_hungry(w, 100, true);
	wake_worker_hungry(w, 4, true);
	wake_worker_hungry(w, 4, false);
	child = fork();
	if (child == 0) {
		wake_lane_ready(w, 7);
		wake_lane_lower(w, -1);
		wake_workers_ring(w);
		wake_workers_ring(w);
		wake_keeper_ring(w);
		_exit(0);
	}
	MUST(waitpid(child, NULL, 0) == child);
	is_int(wake_lane_ready_count(w, 7), ready + 1, "a mark of another process is seen");
	is_int(wake_lane_lower_count(w, -1), 1, "also of a lane with a negative id");
	ok(read(wake_worker_fd(w, 3), &n, sizeof(n)) == sizeof(n) && n == 1, "a hungry worker is rung once");
	ok(read(wake_worker_fd(w, 100), &n, sizeof(n)) == sizeof(n), "every hungry one");
	ok(read(wake_worker_fd(w, 4), &n, sizeof(n)) < 0, "one that is not hungry is not");
	wake_hush(wake_keeper_fd(w));
	ok(read(wake_keeper_fd(w), &n, sizeof(n)) < 0, "hush drains");
}

static void
on_never(void *arg UNUSED)
{
}

static void
test_end(void)
{
	struct loop_timer *t = loop_timer_new(loop, on_never, NULL);

	loop_timer_set(t, CLOCK_SECOND);
	loop_free(&loop);
	loop_timer_free(&t);
	loop_timer_free(&stopper);
	ok(loop == NULL && t == NULL, "a loop may be freed before what was made on it");
}

int
main(void)
{
	loop = loop_new();
	stopper = loop_timer_new(loop, stop, NULL);
	test_zero();
	test_free_in_callback();
	test_want();
	test_timers();
	test_signal();
	test_wake();
	test_end();
	return done();
}
