/* admit_batch.c - a bulk request: its body comes in pieces, each item of it goes the way of a single submission.
 *
 * An item is copied once, into a slot, and lives there until its verdict; verdicts are kept, forty bytes each, until all are there.  At most WINDOW
 * items or WINDOW_BYTES are in flight, a little more when a piece held many; then the caller is asked to wait, so memory does not depend
 * on the length of the body.  A task that wants a unique name has a transaction of its own and counts as UNIQUE_LOAD items, so that the
 * last of those in flight still has its turn in time, and nobody else waits long behind them.
 *
 * Items of one key are decided in the order of the body: an item whose key is in flight here waits for the first.  Once that is stored
 * they all may go, for nothing can change what the key means; else the next one is the first.
 *
 * A store that did not answer in time is not asked again for the rest of the body: those items fail at once, with certainty, and the request ends
 * soon.  Trouble with the body itself ends the items, but not the reading: a client that is still sending would miss the answer.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "log/log.h"

#include "admit/admit_int.h"

#define BATCH_MAGIC 0x41644221u
#define SLOT_MAGIC 0x41645321u
#define WINDOW 2000
#define UNIQUE_LOAD 16
#define WINDOW_BYTES (4 * 1024 * 1024)
#define KEYS 1024
#define SLOT_KEEP 2048 /* a slot that is free keeps no greater buffer */
#define SLOT_ARENA 3072

/* An item in flight. */
struct slot {
	unsigned magic;
	struct admit_batch *b;
	struct list node;  /* in keys, in the twins of the first, or free */
	struct list twins; /* items of the same key that wait for this one */
	uint64_t hash;     /* of the key */
	uint32_t index;
	int load; /* of the window */
	int64_t deadline;
	struct buf text;
	struct arena *arena;
	struct admission *admission;
};

struct admit_batch {
	unsigned magic;
	struct admit *admit;
	struct admit_batch_request r;
	struct json_split split;
	struct slot *current; /* the item that is being read */
	struct buf items;     /* struct admit_item */
	struct buf texts;
	struct admit_batch_trouble trouble;
	int n, count[ADMIT_VERDICTS];
	struct list keys[KEYS]; /* items in flight, the first of each key */
	struct list free;
	int in_flight, load;
	size_t bytes; /* of items in flight */
	int nested;   /* in a function of ours: not the place to end */
	bool waiting; /* the caller was told that it is full */
	bool given_up, ended;
	char why[200]; /* an item failed */
};

/* --- slots ------------------------------------------------------------------------------------------------------------- */

static struct slot *
slot_take(struct admit_batch *b)
{
	struct list *node = list_first(&b->free);
	struct slot *s;

	if (node != NULL) {
		list_remove(node);
		return container_of(node, struct slot, node);
	}
	s = mem_zalloc(sizeof(*s));
	s->magic = SLOT_MAGIC;
	s->b = b;
	s->arena = arena_new(SLOT_ARENA);
	list_init(&s->node);
	list_init(&s->twins);
	return s;
}

static void
slot_release(struct slot *s)
{
	ASSERT(list_empty(&s->twins));
	list_remove(&s->node);
	if (s->text.cap > SLOT_KEEP)
		buf_free(&s->text);
	buf_reset(&s->text);
	arena_reset(s->arena);
	s->admission = NULL;
	list_unshift(&s->b->free, &s->node);
}

static void
slots_free(struct admit_batch *b)
{
	struct list *node;

	while ((node = list_first(&b->free)) != NULL) {
		struct slot *s = container_of(node, struct slot, node);

		list_remove(node);
		buf_free(&s->text);
		arena_free(&s->arena);
		s->magic = 0;
		mem_free(&s);
	}
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void
finish(struct admit_batch *b)
{
	struct admit_batch_result result = {
		.items = (const struct admit_item *)(const void *)b->items.data,
		.n = b->n,
		.texts = b->texts.data,
		.trouble = &b->trouble,
	};

	memcpy(result.count, b->count, sizeof(result.count));
	if (b->count[ADMIT_LATER] > 0)
		log_warning("items of a bulk request could not be stored", log_int("items", b->count[ADMIT_LATER]),
		    log_str("error", b->why), log_span("request_id", b->r.request_id));
	b->r.done(b->r.arg, &result);
	slots_free(b);
	buf_free(&b->items);
	buf_free(&b->texts);
	b->magic = 0;
	mem_free(&b);
}

/* The last act of whatever happened. */
static void
leave(struct admit_batch *b)
{
	if (--b->nested > 0)
		return;
	if (b->ended && b->in_flight == 0) {
		finish(b);
	} else if (b->waiting && b->load <= WINDOW / 2 && b->bytes <= WINDOW_BYTES / 2) {
		b->waiting = false;
		b->r.room(b->r.arg);
	}
}

/* --- verdicts ------------------------------------------------------------------------------------------------------------- */

static struct admit_item *
item_at(struct admit_batch *b, uint32_t index)
{
	return (struct admit_item *)(void *)b->items.data + index;
}

static void
decide(struct admit_batch *b, uint32_t index, enum admit_verdict verdict)
{
	struct admit_item *it = item_at(b, index);

	ASSERT(it->verdict == ADMIT_VERDICTS);
	it->verdict = (uint8_t)verdict;
	b->count[verdict]++;
}

static void
keep_problem(struct admit_batch *b, struct admit_item *it, const struct task_problem *p)
{
	it->code = p->code;
	it->text = (uint32_t)b->texts.len;
	buf_put(&b->texts, p->pointer, strlen(p->pointer) + 1);
	buf_put(&b->texts, p->detail, strlen(p->detail) + 1);
}

static void
keep(struct admit_batch *b, uint32_t index, const struct admit_answer *a)
{
	struct admit_item *it = item_at(b, index);

	decide(b, index, a->verdict);
	it->outcome_unknown = a->outcome_unknown;
	if (a->verdict == ADMIT_INVALID)
		keep_problem(b, it, a->problem);
	if (a->row != NULL) {
		it->id = a->row->id;
		it->at = a->verdict == ADMIT_CONFLICT     ? a->row->created_at
			 : a->verdict == ADMIT_NOT_UNIQUE ? a->held_until
							  : a->expires_at;
	}
}

static void
keep_why(struct admit_batch *b, const char *why)
{
	if (b->why[0] == '\0' && why != NULL)
		(void)snprintf(b->why, sizeof(b->why), "%s", why);
}

/* Poison is the item's own trouble; the store's is everybody's. */
static void
doubt_store(struct admit_batch *b, const struct slot *s, const struct admit_answer *a)
{
	const char *trouble = store_not_ready(b->admit->store);

	keep_why(b, a->why);
	b->given_up = b->given_up || a->outcome_unknown || trouble != NULL || clock_now() >= s->deadline;
}

static bool
key_is_known(enum admit_verdict v)
{
	return v == ADMIT_ACCEPT || v == ADMIT_REPLAY || v == ADMIT_CONFLICT;
}

static void
landed(struct slot *s)
{
	s->b->in_flight--;
	s->b->load -= s->load;
	s->b->bytes -= s->text.len;
	slot_release(s);
}

static void
send_slot(struct slot *s)
{
	s->deadline = clock_now() + s->b->r.patience;
	admission_send(s->admission, s->deadline);
}

/* Those that waited for a key: all may go, or the first of them is the first now, or none need try. */
static void
twins_go(struct admit_batch *b, struct list *twins, bool known)
{
	struct list *node;
	struct slot *s;

	while ((node = list_first(twins)) != NULL) {
		list_remove(node);
		s = container_of(node, struct slot, node);
		if (b->given_up) {
			decide(b, s->index, ADMIT_LATER);
			landed(s);
		} else if (known) {
			send_slot(s);
		} else {
			list_append_all(&s->twins, twins);
			list_push(&b->keys[s->hash % KEYS], &s->node);
			send_slot(s);
		}
	}
}

static void
on_verdict(void *arg, const struct admit_answer *a)
{
	struct slot *s = arg;
	struct admit_batch *b;
	struct list twins;

	MAGIC_CHECK(s, SLOT_MAGIC);
	b = s->b;
	b->nested++;
	keep(b, s->index, a);
	if (a->verdict == ADMIT_LATER)
		doubt_store(b, s, a);
	list_init(&twins);
	list_append_all(&twins, &s->twins);
	landed(s);
	twins_go(b, &twins, key_is_known(a->verdict));
	leave(b);
}

/* --- items ------------------------------------------------------------------------------------------------------------------ */

static struct slot *
first_of_key(struct admit_batch *b, uint64_t hash, struct span key)
{
	struct list *head = &b->keys[hash % KEYS], *pos;

	for (pos = head->next; pos != head; pos = pos->next) {
		struct slot *s = container_of(pos, struct slot, node);

		if (s->hash == hash && span_eq(admission_key(s->admission), key))
			return s;
	}
	return NULL;
}

/* False: the item has its verdict. */
static bool
may_try(struct admit_batch *b, uint32_t index)
{
	struct admit_limited l;

	if (b->given_up) {
		decide(b, index, ADMIT_LATER);
		return false;
	}
	/* ahead of everything else: it costs least */
	l = admit_limit_take(b->admit, b->r.tenant, 1);
	if (l.by == ADMIT_LIMIT_NONE)
		return true;
	if (l.by == ADMIT_LIMIT_AWAY) {
		keep_why(b, store_not_ready(b->admit->store));
		decide(b, index, ADMIT_LATER);
	} else {
		decide(b, index, ADMIT_LIMITED);
		item_at(b, index)->again = l.again > 0 ? l.again : 1;
	}
	return false;
}

static void
submit(struct admit_batch *b, struct slot *s)
{
	struct admit_request in = {
		.surface = TASK_SURFACE_V1,
		.tenant = b->r.tenant,
		.item = true,
		.body = buf_span(&s->text),
		.trace_id = b->r.trace_id,
		.request_id = b->r.request_id,
		.arena = s->arena,
	};
	struct slot *first;
	struct span key;

	s->admission = admission_new(b->admit, &in, on_verdict, s);
	if (s->admission == NULL) /* invalid: s is gone */
		return;
	if (admission_is_unique(s->admission)) {
		b->load += UNIQUE_LOAD - s->load;
		s->load = UNIQUE_LOAD;
	}
	key = admission_key(s->admission);
	s->hash = digest_fnv64(key.ptr, key.len);
	first = first_of_key(b, s->hash, key);
	if (first != NULL) {
		list_push(&first->twins, &s->node);
		return;
	}
	list_push(&b->keys[s->hash % KEYS], &s->node);
	send_slot(s);
}

static void
item_whole(struct admit_batch *b)
{
	static const struct admit_item blank = { .verdict = ADMIT_VERDICTS };
	struct slot *s = b->current;

	b->current = NULL;
	s->index = (uint32_t)b->n++;
	buf_put(&b->items, &blank, sizeof(blank));
	b->in_flight++;
	b->load += s->load = 1;
	b->bytes += s->text.len;
	if (may_try(b, s->index))
		submit(b, s);
	else
		landed(s);
}

/* --- the body ----------------------------------------------------------------------------------------------------------------- */

static void
drop_current(struct admit_batch *b)
{
	if (b->current != NULL)
		slot_release(b->current);
	b->current = NULL;
}

static void
trouble(struct admit_batch *b, int status, const char *code, uint64_t offset, const char *what)
{
	struct admit_batch_trouble *t = &b->trouble;

	*t = (struct admit_batch_trouble){ .status = status, .code = code, .offset = offset };
	t->index = (uint64_t)b->n;
	(void)snprintf(t->detail, sizeof(t->detail), "%s", what);
	drop_current(b);
}

/* Bytes of the item that is being read.  False: it cannot be taken. */
static bool
item_grow(struct admit_batch *b, struct span part)
{
	char what[120];

	if (b->current == NULL && b->n == ADMIT_BATCH_MAX) {
		(void)snprintf(what, sizeof(what), "expected at most %d items", ADMIT_BATCH_MAX);
		trouble(b, 413, "too_many_items", b->split.begin, what);
		return false;
	}
	if (b->current == NULL)
		b->current = slot_take(b);
	if (b->current->text.len + part.len > b->r.item_max) {
		(void)snprintf(what, sizeof(what), "expected an item of at most %zu bytes", b->r.item_max);
		trouble(b, 413, "item_too_large", b->split.begin, what);
		return false;
	}
	buf_putspan(&b->current->text, part);
	return true;
}

void
admit_batch_data(struct admit_batch *b, struct span piece)
{
	enum json_split_event e = JSON_SPLIT_ITEM;
	struct span part;

	MAGIC_CHECK(b, BATCH_MAGIC);
	ASSERT(!b->ended);
	b->nested++;
	while (e == JSON_SPLIT_ITEM && b->trouble.status == 0) {
		e = json_split(&b->split, &piece, &part);
		if (e == JSON_SPLIT_BAD)
			trouble(b, 400, "invalid_json", b->split.offset, b->split.wrong);
		else if (e != JSON_SPLIT_MORE && item_grow(b, part) && e == JSON_SPLIT_ITEM)
			item_whole(b);
	}
	b->waiting = b->load >= WINDOW || b->bytes >= WINDOW_BYTES;
	leave(b);
}

bool
admit_batch_full(const struct admit_batch *b)
{
	return b->waiting;
}

void
admit_batch_end(struct admit_batch *b, bool whole)
{
	enum json_split_event e = JSON_SPLIT_MORE;

	MAGIC_CHECK(b, BATCH_MAGIC);
	ASSERT(!b->ended);
	b->nested++;
	if (whole && b->trouble.status == 0)
		e = json_split_end(&b->split);
	if (e == JSON_SPLIT_BAD)
		trouble(b, 400, "invalid_json", b->split.offset, b->split.wrong);
	else if (e == JSON_SPLIT_ITEM)
		item_whole(b);
	drop_current(b);
	if (whole && b->n == 0 && b->trouble.status == 0)
		trouble(b, 400, "no_items", b->split.offset, "expected at least one item");
	b->ended = true;
	leave(b);
}

struct admit_batch *
admit_batch_new(struct admit *a, const struct admit_batch_request *r)
{
	struct admit_batch *b = mem_zalloc(sizeof(*b));
	int i;

	b->magic = BATCH_MAGIC;
	b->admit = a;
	b->r = *r;
	b->split.lines = r->lines;
	list_init(&b->free);
	for (i = 0; i < KEYS; i++)
		list_init(&b->keys[i]);
	return b;
}
