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
	is_int(seats_fewer(s, 2, 0), false, "all have none");
	seats_set(s, 0, 1);
	is_int(seats_fewer(s, 2, 0), false, "one more is not clearly more");
	seats_set(s, 0, 2);
	is_int(seats_fewer(s, 2, 0), true, "two are");
	is_int(seats_fewer(s, 2, 1), false, "the other has nobody to leave anything to");
	is_int(seats_fewer(s, 1, 0), false, "one that is not of this generation does not count");
	seats_set(s, 0, 200);
	seats_set(s, 1, 190);
	is_int(seats_fewer(s, 2, 0), false, "of many some are few");
	seats_set(s, 1, 180);
	is_int(seats_fewer(s, 2, 0), true, "... but not these");
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
	is_int(seats_fewer(s, 2, 1), true, "what another process wrote is seen");
}

int
main(void)
{
	test_fewer();
	test_shared();
	return done();
}
