/* shm.c - mappings of files that several processes share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"

/* Gives the open file its size, every block reserved, and maps it.  Null + errno. */
static void *
reserve_and_map(int fd, size_t size)
{
	int e = posix_fallocate(fd, 0, (off_t)size);
	void *p;

	if (e != 0) {
		errno = e;
		return NULL;
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p != MAP_FAILED ? p : NULL;
}

/* Under another name first: a reader of the path sees the old file or the new one, never half of one. */
void *
shm_create(const char *path, size_t size)
{
	char temp[4096];
	void *p = NULL;
	int fd, e;

	if (snprintf(temp, sizeof(temp), "%s.%d.new", path, (int)getpid()) >= (int)sizeof(temp)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	unlink(temp);
	fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return NULL;
	p = reserve_and_map(fd, size);
	if (p != NULL && rename(temp, path) != 0) {
		e = errno;
		munmap(p, size);
		p = NULL;
		errno = e;
	}
	e = errno;
	close(fd);
	if (p == NULL)
		unlink(temp);
	errno = e;
	return p;
}

const void *
shm_open_read(const char *path, size_t *size_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;
	int e;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		if (st.st_size > 0)
			p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		else
			errno = EINVAL;
	}
	e = errno;
	close(fd);
	errno = e;
	if (p == MAP_FAILED)
		return NULL;
	*size_r = (size_t)st.st_size;
	return p;
}
