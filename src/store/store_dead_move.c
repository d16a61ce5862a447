/* store_dead_move.c - dead letters that come from elsewhere: a batch of them is one transaction, with its row of the audit.
 *
 * A letter keeps its id; one whose id belongs to a day that has no partition here gets a fresh one.  Sending a batch twice imports it once.
 * Logs nothing.  Next: http/api_dead_import.c.
 */
#include <stdio.h>
#include <time.h>

#include "base/member.h"

#include "store/store_dead_int.h"

#define MOVE_MAGIC 0x5c0a3043U
#define KEYS_OF "taskq: import" /* the tenant of keys that remember ids; no client can have it, for it is not empty */

struct moving {
	unsigned magic;
	int n;
	store_import_fn *fn;
	void *arg;
};

/* --- what a letter says, as JSON ------------------------------------------------------------------------------------------- */

static void
put_number(struct buf *b, const char *name, bool there, int64_t n)
{
	if (there)
		buf_printf(b, ",\"%s\":%jd", name, (intmax_t)n);
}

/* The words of a failure, as both a letter and an attempt have them. */
static void
put_failure(struct buf *b, enum task_class class, struct span code, struct span message, int exit, struct span tail)
{
	put_number(b, "class", class != TASK_CLASS_NONE, (int64_t) class);
	member_text(b, ",\"code\":", code);
	member_text(b, ",\"message\":", message);
	put_number(b, "exit", exit >= 0, exit);
	member_text(b, ",\"tail\":", tail);
}

static void
put_history(struct buf *b, const struct store_import *in)
{
	buf_puts(b, ",\"history\":[");
	for (int i = 0; i < in->nhistory; i++) {
		const struct store_attempt *a = &in->history[i];

		buf_printf(b, "%s{\"run\":%d,\"why\":%d,\"worker\":0", i > 0 ? "," : "", a->run, (int)a->how);
		member_text(b, ",\"node\":", a->node);
		member_time(b, ",\"started_at\":", a->started_at);
		member_time(b, ",\"at\":", a->ended_at);
		put_failure(b, a->class, a->code, a->message, a->exit, a->tail);
		buf_putc(b, '}');
	}
	buf_puts(b, "]}");
}

static void
put_letter(struct buf *b, const struct store_import *in)
{
	const struct store_letter *l = &in->letter;

	buf_reset(b);
	buf_printf(b, "{\"prio\":%d,\"run\":%d,\"attempts\":%d,\"crashes\":%d,\"max_attempts\":%d", -l->priority,
	    l->run, l->attempts, l->crashes, l->max_attempts);
	member_text(b, ",\"queue\":", l->queue);
	member_text(b, ",\"kind\":", l->task_type);
	buf_puts(b, ",\"grp\":");
	buf_json_string(b, l->group);
	buf_puts(b, ",\"ord\":");
	buf_json_string(b, l->ordering_key);
	member_text(b, ",\"reason\":", l->reason);
	put_failure(b, l->class, l->code, l->message, l->exit, l->tail);
	member_time(b, ",\"created_at\":", l->created_at);
	member_time(b, ",\"died_at\":", l->died_at);
	member_time(b, ",\"run_at\":", l->run_at);
	put_history(b, in);
}

/* --- sending ---------------------------------------------------------------------------------------------------------------- */

static void
bind_names(struct stmt *t, const struct store_import *all, int n, int columns)
{
	for (int column = 0; column < columns; column++) {
		stmt_array(t);
		for (int i = 0; i < n; i++) {
			const struct store_letter *l = &all[i].letter;
			const struct span names[] = { l->queue, l->task_type, l->group, l->ordering_key };

			stmt_text(t, names[column]);
		}
		stmt_array_end(t);
	}
}

static void
bind_days(struct stmt *t, const struct store_import *all, int n)
{
	char day[32];
	struct tm tm;

	stmt_array(t);
	for (int i = 0; i < n; i++) {
		time_t at = (time_t)(task_id_time(&all[i].letter.id) / CLOCK_SECOND);

		if (gmtime_r(&at, &tm) == NULL || strftime(day, sizeof(day), "%Y%m%d", &tm) == 0)
			day[0] = '\0';
		stmt_text(t, span_of(day));
	}
	stmt_array_end(t);
}

static void
bind_ids(struct stmt *t, const struct store_import *all, int n, const struct id *first)
{
	struct id id;
	char text[ID_TEXT];

	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_uuid(t, &all[i].letter.id);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++) {
		id = task_id_at(first, (uint32_t)i);
		stmt_uuid(t, &id);
	}
	stmt_array_end(t);
	bind_days(t, all, n);
	stmt_array(t);
	for (int i = 0; i < n; i++) {
		id_format(&all[i].letter.id, text);
		id = task_key_digest(SPAN(KEYS_OF), span_of(text));
		stmt_uuid(t, &id);
	}
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++) {
		id_format(&all[i].letter.id, text);
		stmt_int2(t, task_key_bucket(SPAN(KEYS_OF), span_of(text)));
	}
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_int2(t, task_id_bucket(&all[i].letter.id) % TASK_BUCKETS);
	stmt_array_end(t);
}

static void
bind_letters(struct stmt *t, const struct store_import *all, int n)
{
	struct buf b = { 0 };

	stmt_array(t);
	for (int i = 0; i < n; i++) {
		put_letter(&b, &all[i]);
		stmt_text(t, buf_span(&b));
	}
	stmt_array_end(t);
	buf_free(&b);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_bytea(t, all[i].options);
	stmt_array_end(t);
	stmt_array(t);
	for (int i = 0; i < n; i++)
		stmt_bytea(t, all[i].letter.payload);
	stmt_array_end(t);
}

static void
on_imported(struct request *r)
{
	struct moving *m = r->arg;
	struct id ids[STORE_IMPORTS] = { 0 };

	MAGIC_CHECK(m, MOVE_MAGIC);
	for (int row = 0; r->status == STORE_OK && row < PQntuples(r->results[2]); row++) {
		int64_t place = col_int(r->results[2], row, SQL_DEAD_IMPORT_PLACE);

		ASSERT(place >= 1 && place <= m->n);
		ids[place - 1] = col_id(r->results[2], row, SQL_DEAD_IMPORT_ID);
	}
	m->fn(m->arg, r->status, ids, m->n);
	m->magic = 0;
	mem_free(&m);
	request_free(&r);
}

void
store_dead_import(struct store *s, const struct store_import *all, int n, const struct store_who *who,
    struct span target, store_import_fn *fn, void *arg)
{
	struct moving *m;
	struct request *r;
	struct stmt *t;
	struct id first;

	ASSERT(n >= 1 && n <= STORE_IMPORTS);
	if (s->submitter == NULL || s->writer == 0 || !order_first_id(s->submitter, &first)) {
		fn(arg, STORE_FAILED, NULL, n);
		return;
	}
	m = mem_zalloc(sizeof(*m));
	*m = (struct moving){ .magic = MOVE_MAGIC, .n = n, .fn = fn, .arg = arg };
	r = read_request(s, on_imported, m);
	bind_names(request_stmt(r, SQL_DEAD_IMPORT_NAMES), all, n, 2);
	bind_names(request_stmt(r, SQL_DEAD_IMPORT_LANES), all, n, 4);
	t = request_stmt(r, SQL_DEAD_IMPORT);
	bind_ids(t, all, n, &first);
	bind_letters(t, all, n);
	stmt_int2(t, task_id_bucket(&first));
	stmt_int8(t, s->o.conf->keys.ttl);
	audit_bind(t, who);
	stmt_text(t, target);
	request_send(s->submit_pool, r);
}
