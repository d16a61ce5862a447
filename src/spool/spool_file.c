/* spool_file.c - the files of a spool; names and locks are told in spool.h.
 *
 * A file gets its name when its first records are on disk, and is locked before: so whoever finds a name that he can lock has found all
 * that a dead worker has promised.  A write that fails is cut off again.  The directory is made by the supervisor, or by whoever starts
 * a worker; here it is made when its parent lets us.
 *
 * Every function may block for as long as the disk does.  Logs nothing.  Next: run/run_spool.c, keep/keep_spool.c.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"

#include "spool/spool.h"

#define PREFIX 17 /* "0123456789abcdef-" */
#define PIECE 65536
#define FRESH 60 /* s: a file may be made and not yet locked */

/* --- names --------------------------------------------------------------------------------------------------------------------- */

static void
put_prefix(char prefix[PREFIX + 1], const char *node)
{
	snprintf(prefix, PREFIX + 1, "%016llx-", (unsigned long long)digest_fnv64(node, strlen(node)));
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

/* The same name with another end; `name` has one. */
static void
rename_end(char to[SPOOL_NAME], const char *name, const char *end)
{
	const char *dot = strrchr(name, '.');

	ASSERT(dot != NULL);
	snprintf(to, SPOOL_NAME, "%.*s%s", (int)(dot - name), name, end);
}

static int
dir_open(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
dir_sync(int dirfd)
{
	return fsync(dirfd) == 0 || errno == EINVAL ? 0 : errno; /* some file systems have nothing to sync */
}

/* --- of a living worker ------------------------------------------------------------------------------------------------------------ */

static int
write_all(int fd, int64_t at, struct span s)
{
	while (s.len > 0) {
		ssize_t n = pwrite(fd, s.ptr, s.len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		s.ptr += n;
		s.len -= (size_t)n;
		at += n;
	}
	return 0;
}

int
spool_file_add(struct spool_file *f, struct span records)
{
	int error = write_all(f->fd, f->size, records);

	if (error == 0 && fdatasync(f->fd) != 0)
		error = errno;
	if (error == 0)
		f->size += (int64_t)records.len;
	else
		(void)!ftruncate(f->fd, (off_t)f->size); /* else the next write goes over it */
	return error;
}

void
spool_file_leave(struct spool_file *f)
{
	if (f->name[0] != '\0')
		MUST(close(f->fd) == 0 || errno != EBADF);
	f->name[0] = '\0';
	f->size = 0;
}

/* Locked, with its head, under the name that promises nothing. */
static int
file_begin(struct spool_file *f, int dirfd, const char *fresh, const struct spool_head *h)
{
	struct buf head = { 0 };
	int error;

	f->fd = openat(dirfd, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return errno;
	f->size = 0;
	if (flock(f->fd, LOCK_EX) != 0) /* who looks whether it is held holds it for a moment */
		return errno;
	spool_head_put(&head, h);
	error = write_all(f->fd, 0, buf_span(&head));
	f->size = (int64_t)head.len;
	buf_free(&head);
	return error;
}

static int
file_fill(struct spool_file *f, int dirfd, const char *fresh, const struct spool_head *h, struct span records)
{
	int error = file_begin(f, dirfd, fresh, h);

	if (error == 0)
		error = spool_file_add(f, records);
	if (error == 0 && renameat(dirfd, fresh, dirfd, f->name) != 0)
		error = errno;
	if (error == 0)
		error = dir_sync(dirfd);
	return error;
}

int
spool_file_make(
    struct spool_file *f, const char *dir, const char *node, const struct spool_head *h, struct span records)
{
	char prefix[PREFIX + 1], fresh[SPOOL_NAME];
	int dirfd, error;

	if (strlen(dir) >= sizeof(f->dir))
		return ENAMETOOLONG;
	(void)!mkdir(dir, 0700);
	dirfd = dir_open(dir);
	if (dirfd < 0)
		return errno;
	put_prefix(prefix, node);
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	snprintf(
	    f->name, sizeof(f->name), "%s%lld-%llx.spool", prefix, (long long)h->inc, (unsigned long long)clock_wall());
	rename_end(fresh, f->name, ".new");
	f->inc = h->inc;
	error = file_fill(f, dirfd, fresh, h, records);
	if (error != 0) {
		(void)unlinkat(dirfd, fresh, 0);
		(void)unlinkat(dirfd, f->name, 0);
		if (f->fd >= 0)
			spool_file_leave(f);
		f->name[0] = '\0';
	}
	MUST(close(dirfd) == 0);
	return error;
}

static int
remove_at(const char *dir, const char *name)
{
	int dirfd = dir_open(dir), error = 0;

	if (dirfd < 0)
		return errno;
	if (unlinkat(dirfd, name, 0) != 0 && errno != ENOENT)
		error = errno;
	MUST(close(dirfd) == 0);
	return error;
}

int
spool_file_remove(struct spool_file *f)
{
	int error = remove_at(f->dir, f->name);

	if (error != 0) /* then it tells what is known already */
		(void)!ftruncate(f->fd, SPOOL_HEAD);
	spool_file_leave(f);
	return error;
}

/* --- what is left ------------------------------------------------------------------------------------------------------------------- */

static int
left_cmp(const void *a, const void *b)
{
	return strcmp(((const struct spool_left *)a)->name, ((const struct spool_left *)b)->name);
}

static bool
is_held(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		MUST(close(fd) == 0);
	return held;
}

/* Whoever began it did not live to give it its name. */
static bool
is_old(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_held(dirfd, name) &&
	       st.st_mtime < clock_wall() / CLOCK_SECOND - FRESH;
}

/* The next name of ours; null at the end. */
static const char *
next_name(DIR *d, const char *prefix)
{
	const struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, prefix, PREFIX) == 0 && strlen(e->d_name) < SPOOL_NAME)
			return e->d_name;
	return NULL;
}

int
spool_list(const char *dir, const char *node, struct spool_left **left_r)
{
	char prefix[PREFIX + 1];
	struct buf all = { 0 };
	const char *name;
	DIR *d = opendir(dir);
	int n;

	*left_r = NULL;
	if (d == NULL)
		return errno == ENOENT ? 0 : -1;
	put_prefix(prefix, node);
	while ((name = next_name(d, prefix)) != NULL) {
		struct spool_left left = { .inc = strtoll(name + PREFIX, NULL, 10) };

		if (ends_with(name, ".new") && is_old(dirfd(d), name))
			(void)unlinkat(dirfd(d), name, 0);
		if (!ends_with(name, ".spool") || is_held(dirfd(d), name))
			continue;
		snprintf(left.name, sizeof(left.name), "%s", name);
		buf_put(&all, &left, sizeof(left));
	}
	MUST(closedir(d) == 0);
	n = (int)(all.len / sizeof(struct spool_left));
	*left_r = (struct spool_left *)(void *)buf_take(&all, NULL);
	if (n > 1)
		qsort(*left_r, (size_t)n, sizeof(**left_r), left_cmp);
	return n;
}

int
spool_left_open(const char *dir, const char *name)
{
	int dirfd = dir_open(dir), fd, error;

	if (dirfd < 0)
		return -1;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	error = errno;
	MUST(close(dirfd) == 0);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		error = errno;
		MUST(close(fd) == 0);
		fd = -1;
	}
	errno = error;
	return fd;
}

int
spool_left_read(int fd, struct buf *bytes)
{
	ssize_t n;

	do {
		buf_reserve(bytes, PIECE);
		n = pread(fd, bytes->data + bytes->len, PIECE, (off_t)bytes->len);
		if (n > 0)
			bytes->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? 0 : errno;
}

int
spool_left_remove(const char *dir, const char *name)
{
	return remove_at(dir, name);
}

int
spool_left_set_aside(const char *dir, const char *name)
{
	char bad[SPOOL_NAME];
	int dirfd = dir_open(dir), error = 0;

	if (dirfd < 0)
		return errno;
	rename_end(bad, name, ".bad");
	if (renameat(dirfd, name, dirfd, bad) != 0)
		error = errno;
	MUST(close(dirfd) == 0);
	return error;
}

/* --- how much is left -------------------------------------------------------------------------------------------------------------- */

static void
survey_one(struct spool_sum *sum, const char *dir, const char *name)
{
	struct buf bytes = { 0 };
	struct spool_record r;
	struct spool_head h;
	enum spool_took took;
	struct span rest;
	int fd = spool_left_open(dir, name);

	if (fd < 0)
		return;
	sum->files++;
	if (spool_left_read(fd, &bytes) == 0) {
		rest = buf_span(&bytes);
		took = spool_head_take(&rest, &h);
		while (took == SPOOL_TOOK && (took = spool_record_take(&rest, &r)) != SPOOL_END && took != SPOOL_TORN) {
			sum->outcomes++;
			if (took == SPOOL_TOOK && (sum->oldest == 0 || r.ended_at < sum->oldest))
				sum->oldest = r.ended_at;
			took = SPOOL_TOOK;
		}
	}
	sum->bytes += (int64_t)bytes.len;
	buf_free(&bytes);
	MUST(close(fd) == 0);
}

static int
count_bad(const char *dir, const char *node)
{
	char prefix[PREFIX + 1];
	const char *name;
	DIR *d = opendir(dir);
	int n = 0;

	if (d == NULL)
		return 0;
	put_prefix(prefix, node);
	while ((name = next_name(d, prefix)) != NULL)
		n += ends_with(name, ".bad");
	MUST(closedir(d) == 0);
	return n;
}

void
spool_survey(const char *dir, const char *node, struct spool_sum *sum_r)
{
	struct spool_left *left;
	int n = spool_list(dir, node, &left);

	*sum_r = (struct spool_sum){ 0 };
	for (int i = 0; i < n; i++)
		survey_one(sum_r, dir, left[i].name);
	mem_free(&left);
	sum_r->bad = count_bad(dir, node);
}
