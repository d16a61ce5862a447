/* api.c - the endpoints as a table.  Read next: routes.def, api_call.c, api_task.c. */
#include "stats/stats.h"

#include "http/api_int.h"

/* --- the table ------------------------------------------------------------------------------------------------------------- */

const struct http_route api_routes[] = {
#define ROUTE(method, path, function, flags) { #method, path, function, flags },
#include "http/routes.def"
};
const int api_nroutes = ARRAY_LEN(api_routes);

const char *const *
api_route_names(void)
{
	static const char *const names[] = {
#define ROUTE(method, path, function, flags) #method " " path,
#include "http/routes.def"
		NULL
	};

	_Static_assert(
	    ARRAY_LEN(names) <= STATS_ROUTES, "the stats region has a place for every route and one for none");
	return names;
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

struct api *
api_new(const struct api_options *o)
{
	struct api *a = mem_zalloc(sizeof(*a));

	a->magic = API_MAGIC;
	a->loop = o->loop;
	a->conf = o->conf;
	a->store = o->store;
	a->admit = o->admit;
	a->draining = o->draining;
	a->guard = o->guard;
	a->wake = o->wake;
	a->index = o->index;
	a->waits = api_waits_new(a);
	a->pulls = api_pulls_new(a);
	a->pull_queues = api_pull_queues_new(a);
	return a;
}

void
api_free(struct api **a)
{
	if (*a == NULL)
		return;
	MAGIC_CHECK(*a, API_MAGIC);
	api_waits_free(&(*a)->waits);
	api_pull_queues_free(&(*a)->pull_queues);
	api_pulls_free(&(*a)->pulls);
	(*a)->magic = 0;
	mem_free(a);
}

struct api *
api_of(void *app)
{
	struct api *a = app;

	MAGIC_CHECK(a, API_MAGIC);
	return a;
}
