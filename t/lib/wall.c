/* wall.c - for LD_PRELOAD: a process whose wall clock is wrong by as many seconds as the file TASKQ_WALL says, from moment to moment, and whose
 * machine seems to be up for TASKQ_UPTIME seconds more than it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The file holds one native long; it is mapped, so a change holds at once and for all. */
static long
wrong_by(void)
{
	static const volatile long *shift;
	static const long none = 0;
	const char *path = getenv("TASKQ_WALL");
	int fd;

	if (shift == NULL && path != NULL && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		void *p = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);

		close(fd);
		if (p != MAP_FAILED)
			shift = p;
	}
	return shift != NULL ? *shift : none;
}

static long
older_by(void)
{
	const char *more = getenv("TASKQ_UPTIME");

	return more != NULL ? atol(more) : 0;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	int result;

	if (real == NULL)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	result = real(id, ts);
	if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += wrong_by();
	if (result == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW))
		ts->tv_sec += older_by();
	return result;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;
	int result = clock_gettime(CLOCK_REALTIME, &ts);

	(void)zone;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *t_r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t_r != NULL)
		*t_r = ts.tv_sec;
	return ts.tv_sec;
}
