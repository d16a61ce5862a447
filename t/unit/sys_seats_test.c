/* sys_seats_test.c - who has clearly more connections than another process. */
#include <sys/wait.h>
#include <unistd.h>

#include "sys/seats.h"

#include "tap.h"

static void
test_fewer(void)
{
	struct seats *s = seats_new();

	ok(s != NULL, "seats");
	is_int(seats_fewer(s, 0, 100), false, "one that takes connections alone leaves them to nobody");
	seats_set(s, 1, 0);
	is_int(seats_fewer(s, 0, 2), false, "two more are not clearly more");
	is_int(seats_fewer(s, 0, 3), true, "three are");
	is_int(seats_fewer(s, 1, 3), false, "nobody has fewer than himself");
	seats_set(s, 1, 190);
	is_int(seats_fewer(s, 0, 200), false, "of many some are few");
	seats_set(s, 1, 180);
	is_int(seats_fewer(s, 0, 200), true, "... but not these");
	seats_leave(s, 1);
	is_int(seats_fewer(s, 0, 200), false, "to one that takes none nothing is left");
	seats_set(s, SEATS_MAX - 1, 0);
	is_int(seats_fewer(s, 0, 200), true, "whatever its index");
}

static void
test_shared(void)
{
	struct seats *s = seats_new();
	pid_t pid = fork();

	if (pid == 0) {
		seats_set(s, 1, 10);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	is_int(seats_fewer(s, 0, 20), true, "what another process wrote is seen");
}

int
main(void)
{
	test_fewer();
	test_shared();
	return done();
}
