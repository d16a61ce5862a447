/* role_node.c - how this machine is called among those that share a database. */
#include <unistd.h>

#include "role/role.h"

const char *
role_node(const struct conf *c)
{
	static char host[256];

	if (c->node[0] != '\0')
		return c->node;
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		return "localhost";
	return host;
}
