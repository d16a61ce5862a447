/* store_block.c - what must not be replayed; see store_sweep.h.
 *
 * Both acts may be repeated after a cut; then `changed` tells only of the last try.  Logs them.  Next: store_hand.c, which asks.
 */
#include "log/log.h"

#include "store/store_dead_int.h"
#include "store/store_sweep.h"

struct blocking {
	store_block_fn *fn;
	void *arg;
};

static void
on_block(struct request *r)
{
	struct blocking *g = r->arg;
	bool changed = r->status == STORE_OK && PQntuples(r->results[0]) > 0;

	if (changed)
		log_notice(
		    r->stmts[0].sql == SQL_BLOCK_SET ? "blocked for replays" : "not blocked for replays any more",
		    log_span("task_type", col_span(r->results[0], 0, SQL_BLOCK_SET_KIND)));
	g->fn(g->arg, act_status(r), changed);
	mem_free(&g);
	request_free(&r);
}

static void
act(struct store *s, enum store_sql sql, const struct store_block *b, store_block_fn *fn, void *arg)
{
	struct blocking *g = mem_zalloc(sizeof(*g));
	struct request *r = read_request(s, on_block, g);
	struct stmt *t = request_stmt(r, sql);

	*g = (struct blocking){ .fn = fn, .arg = arg };
	stmt_text(t, b->task_type);
	stmt_text(t, b->schema_version);
	audit_bind(t, &b->who);
	request_send(store_any_pool(s), r);
}

void
store_block(struct store *s, const struct store_block *b, store_block_fn *fn, void *arg)
{
	act(s, SQL_BLOCK_SET, b, fn, arg);
}

void
store_unblock(struct store *s, const struct store_block *b, store_block_fn *fn, void *arg)
{
	act(s, SQL_BLOCK_DROP, b, fn, arg);
}

struct listing {
	store_blocks_fn *fn;
	void *arg;
};

static void
on_list(struct request *r)
{
	struct listing *l = r->arg;
	int n = read_rows(r);
	struct store_block *blocks = mem_zalloc(sizeof(*blocks) * (size_t)(n + 1));

	for (int i = 0; i < n; i++)
		blocks[i] = (struct store_block){
			.task_type = col_span(r->results[0], i, SQL_BLOCK_LIST_KIND),
			.schema_version = col_span(r->results[0], i, SQL_BLOCK_LIST_SCHEMA_VERSION),
			.who.by = col_span(r->results[0], i, SQL_BLOCK_LIST_BY),
			.who.why = col_span(r->results[0], i, SQL_BLOCK_LIST_WHY),
			.at = col_time(r->results[0], i, SQL_BLOCK_LIST_AT),
		};
	l->fn(l->arg, read_status(r), blocks, n);
	mem_free(&blocks);
	mem_free(&l);
	request_free(&r);
}

void
store_blocks(struct store *s, store_blocks_fn *fn, void *arg)
{
	struct listing *l = mem_zalloc(sizeof(*l));
	struct request *r = read_request(s, on_list, l);

	*l = (struct listing){ .fn = fn, .arg = arg };
	stmt_int4(request_stmt(r, SQL_BLOCK_LIST), STORE_BLOCKS);
	request_send(store_any_pool(s), r);
}
