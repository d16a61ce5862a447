/* store_look.c - where something is ready, and the names of lanes.
 *
 * A look is one plain statement over the heads of lanes; a stretch of them when there are many.  Names are kept for the claims, whose rows
 * tell only numbers.  They are bounded: when there are too many, those that the last look did not show are forgotten, and
 * their lanes cannot be claimed from until a look shows them again; but none is forgotten while a step is under way.
 * Logs nothing.  Next: store_claim.c.
 */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

#define NAMES_MOST 16384

struct looking {
	struct store *store;
	store_look_fn *fn;
	void *arg;
	int32_t after;
	uint32_t lower[WAKE_LANES]; /* as it was before the read: what is lowered meanwhile counts */
};

/* --- names ------------------------------------------------------------------------------------------------------------------- */

static int
compare_info(const void *a, const void *b)
{
	const struct lane_info *x = a, *y = b;

	return (x->lane > y->lane) - (x->lane < y->lane);
}

struct lane_info *
worker_lane(struct store_worker *w, int32_t lane)
{
	struct lane_info key = { .lane = lane };

	if (w->nlanes == 0)
		return NULL;
	return bsearch(&key, w->lanes, (size_t)w->nlanes, sizeof(key), compare_info);
}

static void
names_room(struct store_worker *w, int more)
{
	struct lane_info *all;

	if (w->nlanes + more <= w->lanes_room)
		return;
	w->lanes_room = 2 * (w->nlanes + more);
	all = mem_zalloc(sizeof(*all) * (size_t)w->lanes_room);
	if (w->nlanes > 0)
		memcpy(all, w->lanes, sizeof(*all) * (size_t)w->nlanes);
	mem_free(&w->lanes);
	w->lanes = all;
}

/* Names never change.  Marks begin with a look at the lane, whether or not that found a head. */
static void
names_keep(struct store_worker *w, const struct looking *g, const struct store_look *look)
{
	const struct store_lane *lanes = look->lanes;
	struct lane_info *l;
	int known, i, n = look->nlanes;

	if (w->nlanes > NAMES_MOST && w->step.in == NULL) {
		arena_reset(w->names);
		w->nlanes = 0;
	}
	names_room(w, n);
	known = w->nlanes;
	for (i = 0; i < n; i++) {
		if (i > 0 && lanes[i].lane == lanes[i - 1].lane)
			continue;
		l = known == 0 ? NULL
			       : bsearch(&(struct lane_info){ .lane = lanes[i].lane }, w->lanes, (size_t)known,
				     sizeof(*l), compare_info);
		if (l == NULL) {
			l = &w->lanes[w->nlanes++];
			l->lane = lanes[i].lane;
			l->queue = arena_span(w->names, lanes[i].queue);
			l->task_type = arena_span(w->names, lanes[i].task_type);
			l->group = arena_span(w->names, lanes[i].group);
			l->ordering_key = arena_span(w->names, lanes[i].ordering_key);
		}
		if (lanes[i].lane > g->after && lanes[i].lane <= look->last)
			l->lower = g->lower[(uint32_t)l->lane % WAKE_LANES];
	}
	if (w->nlanes > known)
		qsort(w->lanes, (size_t)w->nlanes, sizeof(*w->lanes), compare_info);
}

/* --- the answer ---------------------------------------------------------------------------------------------------------------- */

/* By (lane, prio); what only tells a name stands last. */
static int
compare_head(const void *a, const void *b)
{
	const struct store_lane *x = a, *y = b;

	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	if (x->ready != y->ready)
		return x->ready ? -1 : 1;
	return (x->prio > y->prio) - (x->prio < y->prio);
}

static int
heads_read(const PGresult *res, struct store_lane *lanes)
{
	int i, n = PQntuples(res), heads = 0;

	for (i = 0; i < n; i++) {
		lanes[i].lane = (int32_t)col_int(res, i, SQL_LANE_HEADS_LANE);
		lanes[i].queue = col_span(res, i, SQL_LANE_HEADS_QUEUE);
		lanes[i].task_type = col_span(res, i, SQL_LANE_HEADS_KIND);
		lanes[i].group = col_span(res, i, SQL_LANE_HEADS_GRP);
		lanes[i].ordering_key = col_span(res, i, SQL_LANE_HEADS_ORD);
		lanes[i].paused = col_bool(res, i, SQL_LANE_HEADS_PAUSED);
		lanes[i].served = col_bool(res, i, SQL_LANE_HEADS_SERVED);
		lanes[i].ready = !col_null(res, i, SQL_LANE_HEADS_PRIO);
		lanes[i].prio = (int)col_int(res, i, SQL_LANE_HEADS_PRIO);
		lanes[i].head = col_id(res, i, SQL_LANE_HEADS_START);
		heads += lanes[i].ready;
	}
	qsort(lanes, (size_t)n, sizeof(*lanes), compare_head);
	return heads;
}

/* Of a known lane with heads the name alone says nothing; of the last lane of a look that was cut some heads may be missing. */
static int
heads_tidy(struct store_lane *lanes, int n, int heads, int32_t *last_r)
{
	int32_t cut = INT32_MAX;
	int i, kept = 0;

	*last_r = INT32_MAX;
	if (heads >= STORE_LOOK_MOST) {
		for (i = n - 1; !lanes[i].ready; i--)
			;
		cut = lanes[i].lane;
		*last_r = cut - 1;
	}
	for (i = 0; i < n; i++)
		if ((lanes[i].ready && lanes[i].lane != cut) ||
		    (!lanes[i].ready && (i == 0 || lanes[i].lane != lanes[i - 1].lane)))
			lanes[kept++] = lanes[i];
	return kept;
}

static void
on_look(struct request *r)
{
	struct looking *g = r->arg;
	struct store_look look = { .status = STORE_FAILED };
	struct store_lane *lanes = NULL;
	int heads;

	if (r->status == STORE_OK) {
		lanes = mem_zalloc(sizeof(*lanes) * (size_t)(PQntuples(r->results[0]) + 1));
		heads = heads_read(r->results[0], lanes);
		look.nlanes = heads_tidy(lanes, PQntuples(r->results[0]), heads, &look.last);
		look.lanes = lanes;
		look.status = STORE_OK;
		if (g->store->worker != NULL)
			names_keep(g->store->worker, g, &look);
	}
	g->fn(g->arg, &look);
	mem_free(&lanes);
	mem_free(&g);
	request_free(&r);
}

void
store_look(struct store *s, int32_t after, const int32_t *known, int nknown, store_look_fn *fn, void *arg)
{
	struct looking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_look, g);
	struct stmt *t;
	int i;

	g->store = s;
	g->fn = fn;
	g->arg = arg;
	g->after = after;
	for (i = 0; s->o.wake != NULL && i < WAKE_LANES; i++)
		g->lower[i] = wake_lane_lower_count(s->o.wake, i);
	t = request_stmt(r, SQL_LANE_HEADS);
	stmt_int4(t, after);
	stmt_int4(t, STORE_LOOK_MOST);
	stmt_array(t);
	for (i = 0; i < nknown; i++)
		stmt_int4(t, known[i]);
	stmt_array_end(t);
	request_send(store_any_pool(s), r);
}
