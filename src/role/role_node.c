/* role_node.c - how this node is called among those that share a database, and where it lives.
 *
 * The keeper takes what earlier starts of the same home had claimed for its own, because the lock in run_dir says that nobody of them lives.
 * A home is a boot of a kernel and the lock file there: the same name says nothing, for machines are cloned and pods are moved.  run_dir is
 * part of the name that we make ourselves: a second daemon on this machine is another node.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"

#include "role/role.h"

const char *
role_node(const struct conf *c)
{
	static struct buf name;
	char host[256] = "";

	if (c->node[0] != '\0')
		return c->node;
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		snprintf(host, sizeof(host), "localhost");
	buf_reset(&name);
	buf_printf(&name, "%s:%s", host, c->run_dir);
	return buf_cstr(&name);
}

/* Of the kernel; false where we may not read it. */
static bool
put_boot(struct buf *b)
{
	char text[64];
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

	if (fd >= 0)
		MUST(close(fd) == 0);
	if (n <= 0)
		return false;
	buf_put(b, text, (size_t)n);
	return true;
}

struct id
role_home(const struct conf *c)
{
	struct id home = { { 0 } };
	struct buf b = { 0 };
	uint8_t digest[DIGEST_LEN];
	struct stat st;

	buf_printf(&b, "%s/taskqd.pid", c->run_dir);
	if (stat(buf_cstr(&b), &st) == 0 && put_boot(&b)) {
		buf_printf(&b, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
		digest_sha256(b.data, b.len, digest);
		memcpy(home.b, digest, sizeof(home.b));
	}
	buf_free(&b);
	return home;
}
