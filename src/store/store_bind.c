/* store_bind.c - a batch as the parameters of its statements.
 *
 * The batch is sorted and numbered: ids ascend, each lane and priority is a run of neighbours, and what waits for its time comes last.
 * Most have nothing that waits, so its times and its own statement go only where there is something.  Pure; no I/O.
 * Next: store_verdict.c.
 */
#include <stdio.h>

#include "store/store_int.h"

static void
bind_keys(struct stmt *t, const struct batch *b)
{
	int i;

	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_uuid(t, &b->items[i]->digest);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_int2(t, b->items[i]->bucket);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_bytea(t, (struct span){ (const char *)b->items[i]->fp, DIGEST_LEN });
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_uuid(t, &b->items[i]->id);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_int2(t, (int)b->items[i]->in.surface);
	stmt_array_end(t);
}

static void
bind_numbers(struct stmt *t, const struct batch *b)
{
	int i;

	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_int4(t, b->items[i]->lane);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_int2(t, -b->items[i]->in.request->priority);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_int2(t, b->items[i]->in.request->max_attempts);
	stmt_array_end(t);
}

/* Of how many: to the last that says when it wants to run. */
static int
timed(const struct batch *b)
{
	int n = b->n;

	while (n > 0 && b->items[n - 1]->in.request->run_at == 0 && b->items[n - 1]->in.request->delay == 0)
		n--;
	return n;
}

static void
bind_times(struct stmt *t, const struct batch *b)
{
	int i, n = timed(b);

	stmt_array(t);
	for (i = 0; i < n; i++)
		stmt_time(t, b->items[i]->in.request->run_at);
	stmt_array_end(t);
	stmt_array(t);
	for (i = 0; i < n; i++)
		if (b->items[i]->in.request->delay > 0)
			stmt_int8(t, b->items[i]->in.request->delay);
		else
			stmt_null(t);
	stmt_array_end(t);
}

static void
bind_bodies(struct stmt *t, const struct batch *b)
{
	struct buf options = { 0 };
	int i;

	stmt_array(t);
	for (i = 0; i < b->n; i++) {
		buf_reset(&options);
		task_options_pack(&options, b->items[i]->in.request);
		stmt_bytea(t, buf_span(&options));
	}
	stmt_array_end(t);
	buf_free(&options);
	stmt_array(t);
	for (i = 0; i < b->n; i++)
		stmt_bytea(t, b->items[i]->in.request->payload);
	stmt_array_end(t);
}

static bool
same_range(const struct item *first, const struct item *it)
{
	return !it->later && it->lane == first->lane && it->in.request->priority == first->in.request->priority &&
	       task_id_pos(&it->id) - task_id_pos(&first->id) < RANGE_WIDTH;
}

/* Ends of the range that begins at items[i]: the index after its last. */
static int
range_end(const struct batch *b, int i)
{
	int j = i + 1;

	while (j < b->n && same_range(b->items[i], b->items[j]))
		j++;
	return j;
}

/* Four arrays, a range for each run of one lane and priority. */
static void
bind_ranges(struct stmt *t, const struct batch *b)
{
	int column, i;
	const struct item *it;

	for (column = 0; column < 4; column++) {
		stmt_array(t);
		for (i = 0; i < b->n && !b->items[i]->later; i = range_end(b, i)) {
			it = b->items[i];
			if (column == 0)
				stmt_int4(t, it->lane);
			else if (column == 1)
				stmt_int2(t, -it->in.request->priority);
			else if (column == 2)
				stmt_uuid(t, &it->id);
			else
				stmt_uuid(t, &b->items[range_end(b, i) - 1]->id);
		}
		stmt_array_end(t);
	}
}

/* The sorted batch ends with those that wait for their time. */
static void
later_add(struct request *r, const struct batch *b)
{
	struct stmt *t;
	int i;

	if (!b->items[b->n - 1]->later)
		return;
	t = request_stmt(r, SQL_SUBMIT_LATER);
	stmt_array(t);
	for (i = b->n; i > 0 && b->items[i - 1]->later; i--)
		stmt_uuid(t, &b->items[i - 1]->id);
	stmt_array_end(t);
}

void
bind_patience(struct stmt *t, const struct store *s, int64_t patience)
{
	int64_t most = s->o.conf->postgres.lock_timeout;
	char text[32];

	if (patience != 0 && patience < most)
		most = patience;
	snprintf(text, sizeof(text), "%lld", (long long)(most / CLOCK_MS));
	stmt_text(t, span_of(text));
}

void
batch_bind(struct request *r, const struct batch *b)
{
	struct stmt *t = request_stmt(r, SQL_SUBMIT);

	bind_keys(t, b);
	bind_numbers(t, b);
	bind_times(t, b);
	bind_bodies(t, b);
	stmt_int2(t, TASK_RENDER_VERSION);
	stmt_int8(t, b->owner->store->o.conf->keys.ttl);
	stmt_int2(t, task_id_bucket(&b->items[0]->id));
	bind_ranges(t, b);
	bind_patience(t, b->owner->store, b->patience);
	later_add(r, b);
	expiry_add(r, b->items, b->n);
}
