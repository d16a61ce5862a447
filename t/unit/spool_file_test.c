/* spool_file_test.c - the files of a spool: found when nobody holds them, and only those of this node. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>

#include "spool/spool.h"

#include "tap.h"

static char dir[128];

static struct buf
records(int from, int n)
{
	struct buf b = { 0 };

	for (int i = from; i < from + n; i++) {
		struct spool_record r = { .id = { .b = { [15] = (uint8_t)i } }, .ended_at = 1000 + i };

		spool_record_put(&b, &r);
	}
	return b;
}

static int
make(struct spool_file *f, const char *node, int64_t inc, int n)
{
	const struct spool_head h = { inc, 7 };
	struct buf b = records(0, n);
	int error = spool_file_make(f, dir, node, &h, buf_span(&b));

	buf_free(&b);
	return error;
}

static int
add(struct spool_file *f, int from, int n)
{
	struct buf b = records(from, n);
	int error = spool_file_add(f, buf_span(&b));

	buf_free(&b);
	return error;
}

/* How many files there are, whatever their names. */
static int
files(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static int
left(const char *node)
{
	struct spool_left *l;
	int n = spool_list(dir, node, &l);

	mem_free(&l);
	return n;
}

static void
test_living(void)
{
	struct spool_file f = { 0 };
	struct spool_sum sum;

	is_int(left("a"), 0, "no directory, no file");
	is_int(make(&f, "a", 12, 3), 0, "made with its directory");
	is_int(add(&f, 3, 2), 0, "and added to");
	is_int(left("a"), 0, "as long as it is held it is not left");
	spool_survey(dir, "a", &sum);
	is_int(sum.outcomes, 0, "nor counted");
	errno = 0;
	is_int(spool_left_open(dir, f.name), -1, "nor to be had");
	is_int(errno, EWOULDBLOCK, "because of somebody else");
	is_int(spool_file_remove(&f), 0, "removed");
	is_int(files(), 0, "nothing is left of it");
}

static void
test_left(void)
{
	struct spool_file f = { 0 };
	struct spool_left *l;
	struct spool_sum sum;
	struct buf b = { 0 };
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		if (make(&f, "a", 13, 3) == 0 && add(&f, 3, 2) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	is_int(make(&f, "b", 14, 1), 0, "another node in the same directory");
	spool_file_leave(&f);
	is_int(spool_list(dir, "a", &l), 1, "what a killed process had is left");
	is_int(l[0].inc, 13, "and says whose it was");
	fd = spool_left_open(dir, l[0].name);
	ok(fd >= 0, "it can be had");
	is_int(left("a"), 0, "once");
	is_int(spool_left_read(fd, &b), 0, "it is read");
	close(fd);
	spool_survey(dir, "a", &sum);
	ok(sum.files == 1 && sum.outcomes == 5 && sum.bytes == (int64_t)b.len && sum.oldest == 1000 && sum.bad == 0,
	    "one file, five outcomes, its bytes, and the oldest of them");
	is_int(spool_left_set_aside(dir, l[0].name), 0, "set aside");
	is_int(left("a"), 0, "it is not left any more");
	spool_survey(dir, "a", &sum);
	is_int(sum.bad, 1, "but seen");
	is_int(left("b"), 1, "that of the other node is as it was");
	buf_free(&b);
	mem_free(&l);
}

static void
test_refused(void)
{
	struct spool_file f = { 0 };
	char file[256];
	FILE *plain;

	snprintf(file, sizeof(file), "%s/plain", dir);
	plain = fopen(file, "w");
	ok(plain != NULL && fclose(plain) == 0, "a file where the directory should be");
	is_int(spool_file_make(&f, file, "a", &(struct spool_head){ 1, 1 }, SPAN("x")), ENOTDIR, "is told");
	is_int(f.name[0], 0, "and there is no file then");
	unlink(file);
}

int
main(void)
{
	char base[] = "/tmp/spool_file_test.XXXXXX", command[200];

	ok(mkdtemp(base) != NULL, "a place");
	snprintf(dir, sizeof(dir), "%s/spool", base);
	test_living();
	test_left();
	test_refused();
	snprintf(command, sizeof(command), "rm -r %s", base);
	is_int(system(command), 0, "gone again");
	return done();
}
