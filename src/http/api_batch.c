/* api_batch.c - POST /v1/tasks/batch: many submissions in one body, a verdict for each.
 *
 * The body goes to admit/ as it comes; when all verdicts are there they become one answer.  That is 200 when the body was whole, however the
 * items fared; a problem with the same members when something ended the body early, or when no item could be decided.  What was
 * stored is never hidden: a client may send all of it again with the same keys.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#include "http/api_int.h"

#define BULK_MAGIC 0x41704232u

struct bulk {
	unsigned magic;
	struct api *api;
	struct http_request *r;
	struct admit_batch *batch;
	struct http_bad cut; /* why the body is not whole */
};

/* The word of each verdict, and what to say of those that are refusals. */
static const struct words {
	const char *word;
	const char *error; /* the members of `error`, but those that differ from item to item */
} words[] = {
	[ADMIT_ACCEPT] = { "accepted", NULL },
	[ADMIT_REPLAY] = { "replayed", NULL },
	[ADMIT_CONFLICT] = { "mismatch", "\"code\":\"key_mismatch\",\"detail\":\"this key was used with a different "
					 "task; do not send this again with the "
					 "same key\",\"retryable\":false" },
	[ADMIT_BUSY] = { "busy",
	    "\"code\":\"key_in_use\",\"detail\":\"a request with this key is being answered; send yours again in a "
	    "moment\",\"retryable\":true,\"retry_after\":1" },
	[ADMIT_NOT_UNIQUE] = { "not_unique", "\"code\":\"not_unique\",\"detail\":\"another task has this unique key; "
					     "nothing was stored, the same may be sent "
					     "again when it is let go\",\"retryable\":true" },
	[ADMIT_UNSTORABLE] = { "unstorable",
	    "\"code\":\"unstorable\",\"detail\":\"the database refuses this task and would refuse it again; "
	    "nothing was stored\",\"retryable\":false" },
	[ADMIT_FULL] = { "full", "\"code\":\"queue_full\",\"detail\":\"the queue is full; nothing was stored, send "
				 "this again later with the same "
				 "key\",\"retryable\":true" },
	[ADMIT_INVALID] = { "invalid", "\"retryable\":false" },
	[ADMIT_LATER] = { "failed",
	    "\"code\":\"unavailable\",\"detail\":\"the database cannot be used now; send this again with the same "
	    "key\",\"retryable\":true" },
	[ADMIT_LIMITED] = { "limited", "\"code\":\"rate_limited\",\"detail\":\"more submissions than the rate allows; "
				       "send this again later with the "
				       "same key\",\"retryable\":true" },
};
_Static_assert(ARRAY_LEN(words) == ADMIT_VERDICTS, "every verdict has its words");

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

static void
put_id(struct buf *b, const char *before, const struct id *id)
{
	char text[ID_TEXT];

	id_format(id, text);
	buf_puts(b, before);
	buf_put(b, text, ID_TEXT - 1);
	buf_putc(b, '"');
}

/* Items of one commit have the same times. */
struct time_text {
	int64_t wall;
	char text[CLOCK_TEXT];
};

static void
put_time(struct buf *b, const char *before, int64_t wall, struct time_text *t)
{
	if (t->wall != wall)
		clock_format(wall, t->text);
	t->wall = wall;
	buf_puts(b, before);
	buf_puts(b, t->text);
	buf_putc(b, '"');
}

static void
put_error(struct buf *b, const struct admit_item *it, const char *texts)
{
	buf_puts(b, ",\"error\":{");
	if (it->verdict == ADMIT_INVALID) {
		const char *pointer = texts + it->text, *detail = pointer + strlen(pointer) + 1;

		buf_printf(b, "\"code\":\"%s\",\"detail\":", it->code);
		buf_json_string(b, span_of(detail));
		buf_puts(b, ",\"pointer\":");
		http_put_pointer(b, pointer);
		buf_putc(b, ',');
	}
	buf_puts(b, words[it->verdict].error);
	if (it->verdict == ADMIT_LIMITED || it->verdict == ADMIT_FULL)
		buf_printf(b, ",\"retry_after\":%d", it->again > 0 ? (int)it->again : API_RETRY_AFTER);
	buf_putc(b, '}');
}

static void
put_item(struct buf *b, int index, const struct admit_item *it, const char *texts, struct time_text *t)
{
	buf_puts(b, index == 0 ? "{\"index\":" : ",\n{\"index\":");
	buf_putu64(b, (uint64_t)index);
	buf_puts(b, ",\"verdict\":\"");
	buf_puts(b, words[it->verdict].word);
	buf_putc(b, '"');
	if (words[it->verdict].error == NULL) {
		put_id(b, ",\"id\":\"", &it->id);
		put_time(b, ",\"expires_at\":\"", it->at, t);
	} else {
		if (it->verdict == ADMIT_CONFLICT || it->verdict == ADMIT_NOT_UNIQUE)
			put_id(b, ",\"task_id\":\"", &it->id);
		if (it->verdict == ADMIT_CONFLICT)
			put_time(b, ",\"created_at\":\"", it->at, t);
		if (it->verdict == ADMIT_NOT_UNIQUE && it->at != 0)
			put_time(b, ",\"held_until\":\"", it->at, t);
		if (it->verdict == ADMIT_LATER)
			buf_puts(b, it->outcome_unknown ? ",\"outcome\":\"unknown\"" : ",\"outcome\":\"none\"");
		put_error(b, it, texts);
	}
	buf_putc(b, '}');
}

/* Members, each with a comma before it: how many of each verdict, and the items. */
static void
put_result(struct buf *b, const struct admit_batch_result *res)
{
	struct time_text t = { 0 };
	int i;

	buf_reserve(b, 256 + (size_t)res->n * 128);
	for (i = 0; i < ADMIT_VERDICTS; i++)
		buf_printf(b, ",\"%s\":%d", words[i].word, res->count[i]);
	buf_puts(b, ",\"items\":[");
	for (i = 0; i < res->n; i++)
		put_item(b, i, &res->items[i], res->texts, &t);
	buf_putc(b, ']');
}

/* --- what the answer is --------------------------------------------------------------------------------------------------- */

#define SAFE "the items before it have their verdicts here, and all may be sent again with the same keys"

/* Something is wrong with the body. */
static bool
judge_body(const struct bulk *k, const struct admit_batch_result *res, struct http_problem *p, struct buf *more)
{
	const struct admit_batch_trouble *t = res->trouble;
	struct arena *a = http_arena(k->r);

	if (t->status != 0) {
		p->status = t->status;
		p->code = t->code;
		p->detail = arena_printf(a, "item %llu, at byte %llu of the body: %s; " SAFE,
		    (unsigned long long)t->index, (unsigned long long)t->offset, t->detail);
		buf_printf(more, ",\"index\":%llu,\"offset\":%llu", (unsigned long long)t->index,
		    (unsigned long long)t->offset);
		return true;
	}
	if (k->cut.status == 0)
		return false;
	p->status = k->cut.status;
	p->code = k->cut.code;
	p->detail = arena_printf(a, "item %d: %s; " SAFE, res->n, k->cut.detail);
	buf_printf(more, ",\"index\":%d", res->n);
	return true;
}

/* No item could be decided, for no reason of its own. */
static bool
judge_items(const struct admit_batch_result *res, struct http_problem *p)
{
	int i, again = API_RETRY_AFTER, unknown = 0;

	if (res->count[ADMIT_LATER] + res->count[ADMIT_LIMITED] + res->count[ADMIT_FULL] < res->n)
		return false;
	for (i = 0; i < res->n; i++) {
		unknown += res->items[i].outcome_unknown;
		if (res->items[i].again > again)
			again = res->items[i].again;
	}
	if (res->count[ADMIT_LATER] == 0) {
		*p = (struct http_problem){ .status = 429, .code = "queue_full", .retry_after = again };
		p->detail = "the queue is full; nothing was stored";
		if (res->count[ADMIT_LIMITED] > 0) {
			p->code = "rate_limited";
			p->detail = "more submissions than the rate allows; nothing was stored";
		}
		return true;
	}
	*p = (struct http_problem){ .status = 503, .code = "unavailable", .retry_after = API_RETRY_AFTER };
	p->outcome = unknown > 0 ? "unknown" : "none";
	p->detail = unknown > 0 ? "the database did not answer in time; items may still be stored, and all may be sent "
				  "again with the same keys"
				: "the database cannot be used now; nothing was stored";
	return true;
}

static void
on_done(void *arg, const struct admit_batch_result *res)
{
	struct bulk *k = arg;
	struct http_problem p = { 0 };
	struct buf more = { 0 };
	bool wrong;

	MAGIC_CHECK(k, BULK_MAGIC);
	k->magic = 0;
	wrong = judge_body(k, res, &p, &more) || judge_items(res, &p);
	put_result(&more, res);
	if (wrong) {
		p.more = buf_span(&more);
		http_reply_problem(k->r, &p);
	} else {
		buf_puts(&more, "}\n");
		more.data[0] = '{'; /* was the comma of the first member */
		http_reply(k->r, 200, "application/json", buf_span(&more));
	}
	buf_free(&more);
}

/* --- the body --------------------------------------------------------------------------------------------------------------- */

static void
on_room(void *arg)
{
	struct bulk *k = arg;

	MAGIC_CHECK(k, BULK_MAGIC);
	http_stream_resume(k->r);
}

static void
on_data(void *arg, struct span piece)
{
	struct bulk *k = arg;

	MAGIC_CHECK(k, BULK_MAGIC);
	admit_batch_data(k->batch, piece);
	if (admit_batch_full(k->batch))
		http_stream_pause(k->r);
}

static void
on_end(void *arg, const struct http_bad *why)
{
	struct bulk *k = arg;

	MAGIC_CHECK(k, BULK_MAGIC);
	if (why != NULL)
		k->cut = *why;
	admit_batch_end(k->batch, why == NULL);
}

void
api_batch_submit(void *app, struct http_request *r)
{
	static const struct http_stream to = { on_data, on_end };
	static const struct http_problem no_key = {
		.status = 400,
		.code = "invalid_key",
		.detail = "expected no header Idempotency-Key: each item of a bulk request has its own idempotency_key",
	};
	struct api *api = api_of(app);
	struct bulk *k = arena_alloc(http_arena(r), sizeof(*k));
	struct admit_batch_request in = {
		.trace_id = api_trace(r),
		.request_id = http_request_id(r),
		.lines = http_body_is_ndjson(r),
		.item_max = (size_t)api->conf->http.max_body,
		.patience = api->conf->http.request_timeout,
		.room = on_room,
		.done = on_done,
		.arg = k,
	};

	if (http_header_count(r, "idempotency-key") > 0) {
		http_reply_problem(r, &no_key);
		return;
	}
	k->magic = BULK_MAGIC;
	k->api = api;
	k->r = r;
	k->batch = admit_batch_new(api->admit, &in);
	http_stream(r, &to, k);
}
