/* role_node.c - how this node is called among those that share a database.
 *
 * The keeper takes what an earlier start of the same name had claimed for its own, because the lock in run_dir says that nobody of it lives.
 * So run_dir is part of the name that we make ourselves: a second daemon on this machine is another node.
 */
#include <stdio.h>
#include <unistd.h>

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
