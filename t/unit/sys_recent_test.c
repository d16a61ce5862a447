/* sys_recent_test.c - what is found is what was put, whoever else writes or dies meanwhile. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/recent.h"

#include "tap.h"

#define KEYS 64
#define READS 2000000

static struct id
key_of(int n)
{
	struct id key = { { 0 } };

	key.b[0] = (uint8_t)n;
	key.b[15] = (uint8_t)n;
	return key;
}

/* Every byte of a value is of one kind. */
static bool
is_whole(const uint8_t *value, int n)
{
	for (int i = 1; i < RECENT_VALUE - 1; i++)
		if (value[i] != value[0])
			return false;
	return value[RECENT_VALUE - 1] == n;
}

static void
put(struct recent *r, int n, int fill)
{
	uint8_t value[RECENT_VALUE];
	struct id key = key_of(n);

	memset(value, fill, sizeof(value));
	value[RECENT_VALUE - 1] = (uint8_t)n;
	recent_put(r, &key, value);
}

static bool
get(const struct recent *r, int n, uint8_t *value)
{
	struct id key = key_of(n);

	return recent_get(r, &key, value);
}

static void
test_plain(void)
{
	struct recent *r = recent_new(64 * 1024);
	uint8_t value[RECENT_VALUE];
	int found = 0;

	ok(r != NULL, "a table");
	ok(!get(r, 1, value), "nothing is there");
	put(r, 1, 'a');
	ok(get(r, 1, value) && value[0] == 'a', "what was put is found");
	put(r, 1, 'b');
	ok(get(r, 1, value) && value[0] == 'b', "and put again replaces it");
	ok(!get(r, 2, value), "another key is not found");
	recent_free(&r);
	r = recent_new(1);
	for (int n = 1; n <= 9; n++)
		put(r, n, 'c');
	for (int n = 1; n <= 9; n++)
		found += get(r, n, value);
	is_int(found, 8, "the smallest table remembers eight and forgets one for the ninth");
	recent_free(&r);
}

/* Writers on the same few keys, killed and replaced all the time. */
static pid_t
writer(struct recent *r, int fill)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(60); /* should the test die */
		for (int n = 0;; n = (n + 1) % KEYS)
			put(r, n, fill);
	}
	return pid;
}

static void
test_writers(void)
{
	struct recent *r = recent_new(KEYS * RECENT_RECORD / 2);
	uint8_t value[RECENT_VALUE];
	pid_t pids[2] = { writer(r, 'x'), writer(r, 'y') };
	int found = 0, torn = 0;

	for (int i = 0; i < READS; i++) {
		if (get(r, i % KEYS, value)) {
			found++;
			torn += !is_whole(value, i % KEYS);
		}
		if (i % (READS / 20) == 0) {
			kill(pids[0], SIGKILL);
			waitpid(pids[0], NULL, 0);
			pids[0] = writer(r, 'a' + i % 20);
		}
	}
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	ok(found > READS / 100, "%d of %d look-ups beside two writers found something", found, READS);
	is_int(torn, 0, "and nothing that was half of one and half of another");
	recent_free(&r);
}

int
main(void)
{
	test_plain();
	test_writers();
	return done();
}
