/* task_split_fuzz.c - any bytes as a bulk body; the first byte says how they are cut.
 *
 * Beyond "does not crash": the items and the verdict are those of the body in one piece; an array whose items are all taken is one that
 * the scanner takes when it takes each of them, and the other way round; an item that is read as a submission has a key and a payload,
 * and is JSON; else a problem points into it.
 */
#include <string.h>

#include "t/fuzz/fuzz.h"
#include "task/task_json.h"

struct outcome {
	struct buf items; /* each with a length before it */
	uint64_t n, offset;
	bool bad, valid; /* valid: the scanner takes each item */
};

static void
read_item(struct span item)
{
	struct arena *arena = arena_new(1024);
	struct task_request r;
	struct task_problem p = { 0 };
	struct span key = { 0 };

	if (task_item_read(item, arena, &r, &key, &p)) {
		ASSERT(task_json_valid(item) && task_json_valid(r.payload) && r.task_type.len > 0);
		ASSERT(key.ptr == NULL || key.len < item.len);
	} else {
		ASSERT(p.code != NULL && p.offset <= item.len && p.detail[0] != '\0');
	}
	arena_free(&arena);
}

static void
end_item(struct outcome *o, struct buf *item)
{
	uint64_t len = item->len;

	ASSERT(len > 0);
	buf_put(&o->items, &len, sizeof(len));
	buf_putspan(&o->items, buf_span(item));
	read_item(buf_span(item));
	o->valid = o->valid && task_json_valid(buf_span(item));
	o->n++;
	buf_reset(item);
}

static void
run(struct span body, bool lines, size_t size, struct outcome *o)
{
	struct json_split s = { .lines = lines };
	struct buf item = { 0 };
	struct span piece, part;
	enum json_split_event e = JSON_SPLIT_MORE;

	*o = (struct outcome){ .valid = true };
	while (body.len > 0 && e != JSON_SPLIT_BAD) {
		piece = (struct span){ body.ptr, size < body.len ? size : body.len };
		body = (struct span){ body.ptr + piece.len, body.len - piece.len };
		while ((e = json_split(&s, &piece, &part)) == JSON_SPLIT_ITEM || e == JSON_SPLIT_PART) {
			buf_putspan(&item, part);
			if (e == JSON_SPLIT_PART)
				break;
			end_item(o, &item);
		}
		ASSERT(e == JSON_SPLIT_BAD || piece.len == 0);
	}
	if (e != JSON_SPLIT_BAD && (e = json_split_end(&s)) == JSON_SPLIT_ITEM) {
		end_item(o, &item);
		e = json_split_end(&s);
	}
	o->bad = e == JSON_SPLIT_BAD;
	o->offset = s.offset;
	ASSERT(o->bad == (s.wrong != NULL) && s.items - o->n <= 1);
	buf_free(&item);
}

static bool
begins_array(struct span body)
{
	size_t i = 0;

	while (i < body.len && strchr(" \t\r\n", body.ptr[i]) != NULL)
		i++;
	return i < body.len && body.ptr[i] == '[';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body;
	struct outcome whole, cut;

	if (size == 0)
		return 0;
	body = (struct span){ (const char *)data + 1, size - 1 };
	run(body, data[0] & 1, body.len, &whole);
	run(body, data[0] & 1, 1u + (data[0] >> 1), &cut);
	ASSERT(whole.bad == cut.bad && whole.n == cut.n && whole.offset == cut.offset);
	ASSERT(span_eq(buf_span(&whole.items), buf_span(&cut.items)));
	if ((data[0] & 1) == 0 && task_json_valid(body))
		ASSERT(begins_array(body) ? !whole.bad && whole.valid : whole.bad);
	if ((data[0] & 1) == 0 && !whole.bad && whole.valid && size < TASK_DEPTH_MAX) /* not too deep */
		ASSERT(task_json_valid(body));
	buf_free(&whole.items);
	buf_free(&cut.items);
	return 0;
}
