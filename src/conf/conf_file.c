/* conf_file.c - bounded reading: a configuration must not hang on a FIFO or swallow a disk. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_int.h"

static bool
regular(int fd, const char *path, size_t max, struct stat *st, struct buf *why)
{
	if (fstat(fd, st) != 0)
		buf_printf(why, "could not examine \"%s\": %s", path, strerror(errno));
	else if (S_ISDIR(st->st_mode))
		buf_printf(why, "\"%s\" is a directory, expected a regular file", path);
	else if (!S_ISREG(st->st_mode))
		buf_printf(why, "\"%s\" is not a regular file", path);
	else if (st->st_size > (off_t)max)
		buf_printf(why, "\"%s\" is too long, expected at most %zu kB", path, max / 1024);
	else
		return true;
	return false;
}

/* Reads at most max + 1 bytes; the file may grow meanwhile. */
static char *
slurp(int fd, const char *path, size_t max, size_t *len_r, struct buf *why)
{
	struct buf b = { 0 };
	ssize_t n;

	do {
		buf_reserve(&b, 16384);
		n = read(fd, b.data + b.len, 16384);
		if (n > 0)
			b.len += (size_t)n;
	} while ((n > 0 && b.len <= max) || (n < 0 && errno == EINTR));
	if (n < 0)
		buf_printf(why, "could not read \"%s\": %s", path, strerror(errno));
	else if (b.len > max)
		buf_printf(why, "\"%s\" is too long, expected at most %zu kB", path, max / 1024);
	else if (b.len > 0 && memchr(b.data, '\0', b.len) != NULL)
		buf_printf(why, "\"%s\" contains a NUL byte, expected text", path);
	else
		return buf_take(&b, len_r);
	buf_free(&b);
	return NULL;
}

static char *
read_checked(const char *path, size_t max, mode_t forbidden, size_t *len_r, struct buf *why)
{
	struct stat st;
	char *text = NULL;
	/* O_NONBLOCK: opening a FIFO does not wait for its writer */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		buf_printf(why, "could not open \"%s\": %s", path, strerror(errno));
		return NULL;
	}
	if (regular(fd, path, max, &st, why)) {
		if ((st.st_mode & forbidden) != 0)
			buf_printf(why, "\"%s\" can be read by everybody (mode %04o), expected 0600 or 0640", path,
			    (unsigned)(st.st_mode & 07777));
		else
			text = slurp(fd, path, max, len_r, why);
	}
	MUST(close(fd) == 0);
	return text;
}

char *
conf_file_read(const char *path, size_t max, size_t *len_r, struct buf *why)
{
	return read_checked(path, max, 0, len_r, why);
}

char *
conf_file_secret(const char *path, struct buf *why)
{
	size_t len;
	char *text = read_checked(path, CONF_SECRET_MAX, S_IROTH | S_IWOTH, &len, why);

	if (text == NULL)
		return NULL;
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len > 0 && text[len - 1] == '\r')
		text[--len] = '\0';
	if (len == 0) {
		buf_printf(why, "\"%s\" is empty, expected a secret", path);
		mem_free(&text);
	}
	return text;
}
