/* api_query.c - the parameters of a query, from a table of them.
 *
 * One that is unknown, given twice or malformed is refused by name: a filter that were ignored would show, or do, what nobody asked for.
 */
#include "http/api_int.h"

static const char *
names(struct api_call *c, const struct api_parameter *table, int n)
{
	const char *all = table[0].name;

	for (int i = 1; i < n; i++)
		all = arena_printf(http_arena(c->r), "%s%s%s", all, i + 1 < n ? ", " : " or ", table[i].name);
	return all;
}

static bool
take(struct api_call *c, const struct api_parameter *table, int n, struct span name, struct span value, unsigned *seen)
{
	struct arena *arena = http_arena(c->r);
	int i;

	for (i = 0; i < n; i++)
		if (span_is(name, table[i].name))
			break;
	if (i == n)
		return api_refuse(c, "unknown_parameter", NULL,
		    arena_printf(arena, "unknown parameter \"%.*s\"; expected %s", (int)(name.len < 64 ? name.len : 64),
			name.ptr, names(c, table, n)));
	if ((*seen & 1u << i) != 0)
		return api_refuse(c, "repeated_parameter", NULL,
		    arena_printf(arena, "parameter \"%s\" was given twice", table[i].name));
	*seen |= 1u << i;
	return table[i].take(c, value) ||
	       api_refuse(c, "invalid_parameter", NULL,
		   arena_printf(arena, "parameter \"%s\": expected %s", table[i].name, table[i].expected));
}

bool
api_query(struct api_call *c, const struct api_parameter *table, int n)
{
	struct http_query q = http_query_begin(c->r);
	struct span name, value;
	unsigned seen = 0;

	ASSERT(n > 0 && n <= 32);
	while (http_query_next(&q, &name, &value))
		if (!take(c, table, n, name, value, &seen))
			return false;
	return true;
}
