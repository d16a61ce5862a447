/* store_watch.c - when something is due: what the keeper asks while there is nothing to do.
 *
 * What it finds is a hint: the duty itself looks again, with its own locks and fences.  It is also the pulse by which silence of others is
 * told from silence of the database, see store_keep.c.
 */
#include "store/store_int.h"

#define REAP_OFTEN (5 * CLOCK_SECOND) /* a shorter quarter of a lease asks for more than the usual pace */

struct watching {
	struct store *store;
	store_count_fn *fn;
	void *arg;
};

static void
due_in(struct store *s, enum store_due what, const PGresult *res, int column, int64_t now)
{
	s->due[what] = col_null(res, 0, column) ? INT64_MAX : now + col_int(res, 0, column);
}

/* What is paused is read once, and again when it is not what it was; then the workers, who may have relied on one another, look too. */
static void
due_pauses(struct store *s, int64_t paused, int64_t now)
{
	bool changed = !s->paused_known || s->paused != paused;

	s->due[STORE_DUE_PAUSES] = changed ? now : INT64_MAX;
	if (changed && s->paused_known && s->o.wake != NULL)
		wake_pauses_changed(s->o.wake);
	s->paused = paused;
	s->paused_known = true;
}

/* Letters that wait are counted, too, as often as anybody looks, and once more when none waits. */
static void
due_letters(struct store *s, bool waiting, int64_t causes, int64_t now)
{
	bool changed = !s->causes_known || s->causes != causes || waiting || s->letters_waited;

	s->due[STORE_DUE_LETTERS] = waiting ? now : INT64_MAX;
	s->due[STORE_DUE_CAUSES] = changed ? now : INT64_MAX;
	s->letters_waited = waiting;
	s->causes = causes;
	s->causes_known = true;
}

static int64_t
due_take(struct store *s, const PGresult *res)
{
	int64_t now = clock_now(), count = 0;
	bool heard = silence_counts(s, col_int(res, 0, SQL_WATCH_CLOCK));

	due_in(s, STORE_DUE_PROMOTE, res, SQL_WATCH_PROMOTE, now);
	due_in(s, STORE_DUE_LAPSE, res, SQL_WATCH_LAPSE, now);
	due_in(s, STORE_DUE_EXPIRE, res, SQL_WATCH_EXPIRE, now);
	due_in(s, STORE_DUE_SWEEP, res, SQL_WATCH_SWEEP, now);
	s->due[STORE_DUE_REAP] = heard && col_bool(res, 0, SQL_WATCH_SILENT) ? now : INT64_MAX;
	due_letters(s, col_bool(res, 0, SQL_WATCH_LETTERS), col_int(res, 0, SQL_WATCH_CAUSES), now);
	due_pauses(s, col_int(res, 0, SQL_WATCH_PAUSED), now);
	for (int i = STORE_DUE_NONE + 1; i < STORE_DUES; i++)
		count += s->due[i] <= now;
	return count;
}

static void
on_watch(struct request *r)
{
	struct watching *g = r->arg;
	int64_t often = g->store->o.conf->work.lease / 4, count = 0;

	if (r->status == STORE_OK)
		count = due_take(g->store, r->results[0]);
	g->fn(g->arg, r->status, count, often < REAP_OFTEN ? often : -1);
	mem_free(&g);
	request_free(&r);
}

void
store_watch(struct store *s, store_count_fn *fn, void *arg)
{
	struct watching *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_watch, g);

	*g = (struct watching){ .store = s, .fn = fn, .arg = arg };
	stmt_int8(request_stmt(r, SQL_WATCH), s->o.conf->work.lease + s->o.conf->work.grace);
	request_send(keep_pool(s), r);
}

int64_t
store_due(const struct store *s, enum store_due what)
{
	return s->due[what];
}
