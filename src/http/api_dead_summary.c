/* api_dead_summary.c - GET /v1/dead/summary: what the open dead letters died of, as a few causes and in groups.
 *
 * The store gives causes, of which there are few; everything else is added up here.  Next: store/store_dead_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_dead.h"

#define SHOWN_DEFAULT 50
#define GROUPS_SHOWN 50

struct summing {
	struct api_call *c;
	struct api_dead_filter g;
	int shown; /* causes */
};

/* --- sums --------------------------------------------------------------------------------------------------------------------- */

struct group {
	struct span name;
	int64_t open, lately, oldest_at;
	int64_t exhausted, refused; /* of the open ones: RETRY_EXHAUSTED; of class NON_RETRYABLE */
};

static void
group_add(struct group *to, const struct store_cause *c)
{
	to->open += c->open;
	to->lately += c->lately;
	if (span_is(c->reason, "RETRY_EXHAUSTED"))
		to->exhausted += c->open;
	else if (c->class == TASK_NON_RETRYABLE)
		to->refused += c->open;
	if (c->oldest_at != 0 && (to->oldest_at == 0 || c->oldest_at < to->oldest_at))
		to->oldest_at = c->oldest_at;
}

struct member {
	struct span name;
	const struct store_cause *cause;
};

static int
span_cmp(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

	return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int
by_name(const void *a, const void *b)
{
	return span_cmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* Most open ones first, then by name. */
static int
by_open(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->open != y->open ? (x->open < y->open ? 1 : -1) : span_cmp(x->name, y->name);
}

static struct span
queue_of(const struct store_cause *c)
{
	return c->queue;
}

static struct span
type_of(const struct store_cause *c)
{
	return c->task_type;
}

static struct span
reason_of(const struct store_cause *c)
{
	return c->reason;
}

static struct span
class_of(const struct store_cause *c)
{
	return span_of(task_class_name(c->class));
}

static struct span
code_of(const struct store_cause *c)
{
	return c->code;
}

static struct span
fingerprint_of(const struct store_cause *c)
{
	return (struct span){ (const char *)c->fingerprint.b, sizeof(c->fingerprint.b) };
}

/* Returns how many groups there are. */
static int
sum_by(const struct store_causes *all, struct span (*name_of)(const struct store_cause *c), struct group *groups)
{
	struct member *members = mem_alloc(sizeof(*members) * (size_t)(all->n + 1));
	int n = 0;

	for (int i = 0; i < all->n; i++)
		members[i] = (struct member){ name_of(&all->causes[i]), &all->causes[i] };
	qsort(members, (size_t)all->n, sizeof(*members), by_name);
	for (int i = 0; i < all->n; i++) {
		if (n == 0 || !span_eq(groups[n - 1].name, members[i].name))
			groups[n++] = (struct group){ .name = members[i].name };
		group_add(&groups[n - 1], members[i].cause);
	}
	mem_free(&members);
	qsort(groups, (size_t)n, sizeof(*groups), by_open);
	return n;
}

/* --- the answer ----------------------------------------------------------------------------------------------------------------- */

static void
put_counts(struct buf *b, const struct group *g, int64_t now)
{
	int64_t both = g->exhausted + g->refused,
		age = g->oldest_at != 0 && now > g->oldest_at ? now - g->oldest_at : 0;

	buf_printf(b, "\"open\":%jd,\"last_hour\":%jd,\"retry_exhausted\":%jd,\"non_retryable\":%jd", (intmax_t)g->open,
	    (intmax_t)g->lately, (intmax_t)g->exhausted, (intmax_t)g->refused);
	if (both > 0)
		buf_printf(b, ",\"non_retryable_share\":%.3f", (double)g->refused / (double)both);
	else
		buf_puts(b, ",\"non_retryable_share\":null");
	member_time(b, ",\"oldest_at\":", g->oldest_at);
	if (g->oldest_at != 0)
		buf_printf(b, ",\"oldest_seconds\":%.3f", (double)age / (double)CLOCK_SECOND);
	else
		buf_puts(b, ",\"oldest_seconds\":null");
}

static void
put_cause(struct buf *b, const struct store_cause *c, int64_t now)
{
	struct group g = { 0 };

	group_add(&g, c);
	buf_printf(b, "{\"cause\":%d,", (int)c->id);
	put_counts(b, &g, now);
	member_text(b, ",\"queue\":", c->queue);
	member_text(b, ",\"task_type\":", c->task_type);
	member_text(b, ",\"reason\":", c->reason);
	member_text(b, ",\"error_class\":", span_of(task_class_name(c->class)));
	member_text(b, ",\"error_code\":", c->code);
	member_id(b, ",\"fingerprint\":", &c->fingerprint);
	member_text(b, ",\"schema_version\":", c->schema_version);
	member_text(b, ",\"message\":", c->sample);
	member_time(b, ",\"first_seen\":", c->first_at);
	member_time(b, ",\"last_seen\":", c->last_at);
	buf_printf(b, ",\"filed\":%jd", (intmax_t)c->filed);
	member_text(b, ",\"owner\":", c->owner);
	member_text(b, ",\"acknowledged_by\":", c->seen_by);
	member_text(b, ",\"note\":", c->note);
	member_time(b, ",\"due_at\":", c->due_at);
	buf_putc(b, '}');
}

static const struct {
	const char *member;
	struct span (*name_of)(const struct store_cause *c);
	bool is_id; /* its name is a fingerprint */
} groupings[] = {
	{ "queues", queue_of, false },
	{ "task_types", type_of, false },
	{ "reasons", reason_of, false },
	{ "classes", class_of, false },
	{ "codes", code_of, false },
	{ "fingerprints", fingerprint_of, true },
};

static void
put_groups(struct summing *s, struct buf *b, const struct store_causes *all, size_t which, struct group *groups)
{
	int n = sum_by(all, groupings[which].name_of, groups);
	struct id id;

	buf_printf(b, ",\"%s\":[", groupings[which].member);
	for (int i = 0; i < n && i < GROUPS_SHOWN; i++) {
		struct span name = groups[i].name;

		if (groupings[which].is_id) {
			memcpy(id.b, name.ptr, sizeof(id.b));
			name = span_of(api_id(s->c->r, &id));
		}
		member_text(b, i > 0 ? ",{\"name\":" : "{\"name\":", name);
		buf_putc(b, ',');
		put_counts(b, &groups[i], all->now);
		buf_putc(b, '}');
	}
	buf_putc(b, ']');
}

static void
put_summary(struct summing *s, struct buf *b, const struct store_causes *all)
{
	struct group *groups = mem_zalloc(sizeof(*groups) * (size_t)(all->n + 1)), total = { 0 };

	for (int i = 0; i < all->n; i++)
		group_add(&total, &all->causes[i]);
	buf_putc(b, '{');
	put_counts(b, &total, all->now);
	buf_printf(b, ",\"causes_known\":%d,\"at_least\":%s", all->n, all->more ? "true" : "false");
	for (size_t i = 0; i < ARRAY_LEN(groupings); i++)
		put_groups(s, b, all, i, groups);
	buf_puts(b, ",\"causes\":[");
	for (int i = 0; i < all->n && i < s->shown; i++) {
		if (i > 0)
			buf_putc(b, ',');
		put_cause(b, &all->causes[i], all->now);
	}
	buf_puts(b, "]}");
	mem_free(&groups);
}

static void
on_causes(void *arg, const struct store_causes *all)
{
	struct summing *s = arg;
	struct buf b = { 0 };

	if (all->status != STORE_OK) {
		api_reply_later(s->c->r, false);
		return;
	}
	put_summary(s, &b, all);
	api_reply_json(s->c->r, &b);
}

/* --- the question ----------------------------------------------------------------------------------------------------------------- */

static bool
take_parameter(struct summing *s, struct span name, struct span value)
{
	const struct store_dead_filter *f = &s->g.f;

	if (span_is(name, "limit"))
		return api_number(value, 1, 1000, &s->shown) ||
		       api_refuse(
			   s->c, "invalid_parameter", NULL, "parameter \"limit\": expected a number from 1 to 1000");
	switch (api_dead_filter_parameter(&s->g, name, value)) {
	case API_DEAD_TAKEN:
		if (f->label_name.len == 0 && f->died_after == 0 && f->died_before == 0 && f->nids == 0)
			return true;
		return api_dead_refuse(
		    s->c, NULL, "a summary is of whole causes: expected no label, died_after, died_before or ids");
	case API_DEAD_REFUSED:
		return false;
	case API_DEAD_UNKNOWN:
		break;
	}
	return api_refuse(s->c, "unknown_parameter", NULL,
	    "unknown parameter; expected queue, task_type, reason, class, code, fingerprint, cause, schema_version or "
	    "limit");
}

void
api_dead_summary(void *app, struct http_request *r)
{
	struct summing *s = arena_alloc(http_arena(r), sizeof(*s));
	struct http_query q = http_query_begin(r);
	struct span name, value;

	*s = (struct summing){ .c = api_call_new(app, r), .shown = SHOWN_DEFAULT };
	s->g.c = s->c;
	while (http_query_next(&q, &name, &value))
		if (!take_parameter(s, name, value))
			return;
	store_dead_summary(s->c->api->store, &s->g.f, on_causes, s);
}
