/* log_log_test.c - lines as read back from a file and a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "log/log.h"
#include "t/unit/tap.h"

static char path[64];

static void
open_log(enum log_format format, enum log_level level)
{
	struct log_settings s = { .target = path, .level = level, .format = format };

	MUST(log_open(&s) == 0);
	MUST(truncate(path, 0) == 0);
}

/* The whole file, with this process' id as PID. */
static const char *
lines(void)
{
	static char text[65536];
	char pid[32], *at;
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	while ((at = strstr(text, pid)) != NULL) {
		memcpy(at, "PID", 3);
		memmove(at + 3, at + strlen(pid), strlen(at + strlen(pid)) + 1);
	}
	return text;
}

static void
one_of_each(void)
{
	struct id id = { { 1, 2, 3 } };

	errno = EIO;
	log_info("task finished", log_id("task_id", &id), log_int("attempt", -2), log_uint("n", UINT64_MAX),
	    log_str("outcome", "succeeded"), log_str("left_out", NULL), log_span("span", SPAN("a \"b\"")),
	    log_seconds("took", 1500000), log_span("empty", SPAN("")));
	is_int(errno, EIO, "errno is kept");
}

static void
test_forms(void)
{
	open_log(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_set_role("worker", 2);
	one_of_each();
	log_debug("not heard");
	is_str(lines(),
	    "ts=2001-09-09T01:46:40.000000Z level=info role=worker slot=2 pid=PID msg=\"task finished\" "
	    "task_id=01020300-0000-0000-0000-000000000000 attempt=-2 n=18446744073709551615 outcome=succeeded "
	    "span=\"a \\\"b\\\"\" took=1.500000\n",
	    "logfmt");
	open_log(LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
	log_set_role("keeper", -1);
	one_of_each();
	is_str(lines(),
	    "{\"ts\":\"2001-09-09T01:46:40.000000Z\",\"level\":\"info\",\"role\":\"keeper\",\"pid\":PID,"
	    "\"msg\":\"task finished\",\"task_id\":\"01020300-0000-0000-0000-000000000000\",\"attempt\":-2,"
	    "\"n\":18446744073709551615,\"outcome\":\"succeeded\",\"span\":\"a \\\"b\\\"\",\"took\":1.500000}\n",
	    "json");
	open_log(LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
	log_warning("below the level");
	is_str(lines(), "", "levels below the setting are silent");
	is_int(log_level(), LOG_LEVEL_ERROR, "the level is told");
}

static int
count(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

static void
test_limit(void)
{
	int i;

	open_log(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	for (i = 0; i < 20; i++) {
		log_warning("postgres is down");
		log_warning("redis is down", log_int("i", i));
		log_info("task finished");
	}
	is_int(count(lines(), "postgres is down"), LOG_BURST, "a burst passes");
	is_int(count(lines(), "redis is down"), LOG_BURST, "each message has its own");
	is_int(count(lines(), "task finished"), 20, "below warning nothing is held back");
	clock_set(11 * CLOCK_SECOND, clock_wall());
	log_warning("postgres is down");
	log_warning("postgres is down");
	is_int(count(lines(), "suppressed=15"), 1, "the next one tells how many were held back, once");
}

static void
test_size(void)
{
	static char big[9000];
	const char *text;

	memset(big, 'x', sizeof(big) - 1);
	open_log(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info("big", log_str("a", big), log_int("after", 1));
	text = lines();
	ok(strlen(text) < 1300 && strstr(text, " after=1\n") != NULL, "a long value is cut, the rest stays");
	open_log(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info("big", log_str("a", big), log_str("b", big), log_str("c", big), log_str("d", big), log_str("e", big));
	text = lines();
	ok(strlen(text) <= 4096 && strstr(text, " fields_cut=2\n") != NULL,
	    "a long line loses whole fields and says so");
}

static void
test_reopen(void)
{
	char moved[80];

	open_log(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	snprintf(moved, sizeof(moved), "%s.1", path);
	MUST(rename(path, moved) == 0);
	log_info("to the old file");
	is_int(log_reopen(), 0, "reopened");
	log_info("to the new file");
	ok(strstr(lines(), "new file") != NULL && strstr(lines(), "old file") == NULL, "the name has a new file");
	MUST(unlink(moved) == 0);
	is_int(log_open(&(struct log_settings){ .target = "/nonexistent/x" }), ENOENT,
	    "a target that cannot be opened is told");
	log_info("still here");
	ok(strstr(lines(), "still here") != NULL, "and the earlier one stays");
}

static void
test_links(void)
{
	char own[80], link[96]; /* in /tmp itself the kernel may refuse first */

	snprintf(own, sizeof(own), "%s.d", path);
	snprintf(link, sizeof(link), "%s/link", own);
	MUST(mkdir(own, 0700) == 0 && symlink(path, link) == 0);
	is_int(
	    log_open(&(struct log_settings){ .target = link, .level = LOG_LEVEL_INFO }), 0, "our own link is followed");
	if (geteuid() == 0) {
		MUST(lchown(link, 65534, 65534) == 0);
		is_int(log_reopen(), ELOOP, "that of somebody else is not");
	}
	log_info("through the link");
	ok(strstr(lines(), "through the link") != NULL, "the file is written to");
	MUST(unlink(link) == 0 && rmdir(own) == 0);
}

/* Whether anybody listens at /dev/log or not. */
static void
test_syslog(void)
{
	is_int(log_open(&(struct log_settings){ .target = "syslog", .level = LOG_LEVEL_ERROR }), 0, "syslog is taken");
	log_info("below its level");
	is_int(log_reopen(), 0, "and taken again");
}

static void
test_full_pipe(void)
{
	uint64_t before = log_dropped();
	char page[4096] = { 0 };
	char target[64];
	int p[2];

	MUST(pipe(p) == 0);
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	while (write(p[1], page, sizeof(page)) > 0)
		;
	fcntl(p[1], F_SETFL, 0);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", p[1]);
	MUST(log_open(&(struct log_settings){ .target = target, .level = LOG_LEVEL_INFO }) == 0);
	alarm(20);
	log_info("nobody reads");
	is_int(log_dropped() - before, 1, "a full pipe drops the line and does not wait");
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	snprintf(path, sizeof(path), "/tmp/taskq-log-XXXXXX");
	MUST(close(mkstemp(path)) == 0);
	clock_set(CLOCK_SECOND, INT64_C(1000000000) * CLOCK_SECOND);
	test_forms();
	test_limit();
	test_size();
	test_reopen();
	test_links();
	test_syslog();
	test_full_pipe();
	unlink(path);
	return done();
}
