/* task_msgpack.c - JSON to msgpack and back; see task_msgpack.h.
 *
 * A frame is known to be whole before it is unpacked, so that no length in it can ask for more memory than a few times its bytes.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "task/task_json.h"
#include "task/task_msgpack.h"

#define NUMBER_MAX 400 /* bytes of a number; what is longer is cut, far behind what a double can hold */

/* --- to msgpack ------------------------------------------------------------------------------------------------------------------ */

static int
write_buf(void *arg, const char *bytes, size_t len)
{
	buf_put(arg, bytes, len);
	return 0;
}

static void
pack_string(msgpack_packer *pk, struct span json)
{
	struct buf text = { 0 };

	task_json_text(&text, json);
	msgpack_pack_str(pk, text.len);
	if (text.len > 0)
		msgpack_pack_str_body(pk, text.data, text.len);
	buf_free(&text);
}

static void
pack_number(msgpack_packer *pk, struct span json)
{
	char text[NUMBER_MAX + 1];
	char *end;

	snprintf(text, sizeof(text), "%.*s", (int)(json.len < NUMBER_MAX ? json.len : NUMBER_MAX), json.ptr);
	errno = 0;
	if (text[0] == '-') {
		long long n = strtoll(text, &end, 10);

		if (*end == '\0' && errno == 0 && n != 0) {
			msgpack_pack_int64(pk, n);
			return;
		}
	} else {
		unsigned long long n = strtoull(text, &end, 10);

		if (*end == '\0' && errno == 0) {
			msgpack_pack_uint64(pk, n);
			return;
		}
	}
	msgpack_pack_double(pk, strtod(text, NULL));
}

static size_t
members(struct span rest, bool named)
{
	struct span name, value;
	size_t n = 0;

	while (task_json_next(&rest, named ? &name : NULL, &value))
		n++;
	return n;
}

static void pack_value(msgpack_packer *pk, struct span json);

static void
pack_inside(msgpack_packer *pk, struct span json, bool named)
{
	struct span rest = task_json_inside(json), name, value;

	if (named)
		msgpack_pack_map(pk, members(rest, true));
	else
		msgpack_pack_array(pk, members(rest, false));
	while (task_json_next(&rest, named ? &name : NULL, &value)) {
		if (named)
			pack_string(pk, name);
		pack_value(pk, value);
	}
}

/* As deep as JSON may be nested here. */
static void
pack_value(msgpack_packer *pk, struct span json)
{
	switch (json.len > 0 ? json.ptr[0] : 'n') {
	case '{':
	case '[':
		pack_inside(pk, json, json.ptr[0] == '{');
		return;
	case '"':
		pack_string(pk, json);
		return;
	case 't':
		msgpack_pack_true(pk);
		return;
	case 'f':
		msgpack_pack_false(pk);
		return;
	case 'n':
		msgpack_pack_nil(pk);
		return;
	default:
		pack_number(pk, json);
	}
}

void
task_msgpack_put(struct buf *b, struct span json)
{
	struct span rest = json, value;
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, write_buf);
	if (task_json_next(&rest, NULL, &value))
		pack_value(&pk, value);
}

/* --- to JSON --------------------------------------------------------------------------------------------------------------------- */

static bool json_put(struct buf *b, const msgpack_object *o);

static bool
json_string(struct buf *b, const msgpack_object *o)
{
	struct span s;

	if (o->type != MSGPACK_OBJECT_STR)
		return false;
	s = (struct span){ o->via.str.ptr, o->via.str.size };
	for (size_t i = 0, n; i < s.len; i += n)
		if ((n = utf8_length((const unsigned char *)s.ptr + i, s.len - i)) == 0)
			return false;
	buf_json_string(b, s);
	return true;
}

static bool
json_double(struct buf *b, double d)
{
	size_t from = b->len;

	if (!isfinite(d))
		return false;
	buf_printf(b, "%.17g", d);
	if (strpbrk(buf_cstr(b) + from, ".e") == NULL)
		buf_puts(b, ".0");
	return true;
}

static bool
json_array(struct buf *b, const msgpack_object_array *a)
{
	buf_putc(b, '[');
	for (uint32_t i = 0; i < a->size; i++) {
		if (i > 0)
			buf_putc(b, ',');
		if (!json_put(b, &a->ptr[i]))
			return false;
	}
	buf_putc(b, ']');
	return true;
}

static bool
json_map(struct buf *b, const msgpack_object_map *m)
{
	buf_putc(b, '{');
	for (uint32_t i = 0; i < m->size; i++) {
		if (i > 0)
			buf_putc(b, ',');
		if (!json_string(b, &m->ptr[i].key))
			return false;
		buf_putc(b, ':');
		if (!json_put(b, &m->ptr[i].val))
			return false;
	}
	buf_putc(b, '}');
	return true;
}

static bool
json_put(struct buf *b, const msgpack_object *o)
{
	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		buf_puts(b, "null");
		return true;
	case MSGPACK_OBJECT_BOOLEAN:
		buf_puts(b, o->via.boolean ? "true" : "false");
		return true;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		buf_putu64(b, o->via.u64);
		return true;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		buf_printf(b, "%lld", (long long)o->via.i64);
		return true;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_double(b, o->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_string(b, o);
	case MSGPACK_OBJECT_ARRAY:
		return json_array(b, &o->via.array);
	case MSGPACK_OBJECT_MAP:
		return json_map(b, &o->via.map);
	default:
		return false;
	}
}

bool
task_msgpack_json(struct span msgpack, struct buf *b)
{
	msgpack_zone zone;
	msgpack_object o;
	size_t at = 0;
	bool good;

	ASSERT(msgpack_zone_init(&zone, 2048));
	good = msgpack_unpack(msgpack.ptr, msgpack.len, &at, &zone, &o) == MSGPACK_UNPACK_SUCCESS && json_put(b, &o);
	msgpack_zone_destroy(&zone);
	return good;
}

/* --- heads ----------------------------------------------------------------------------------------------------------------------- */

static uint64_t
be(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* From 0xC0 to 0xDF: how many bytes a count has behind the first, how many follow anyhow, and what is counted. */
static const struct {
	uint8_t count, more;
	char what; /* b: bytes, v: values, p: pairs of them, 0: nothing, x: not msgpack */
} shapes[32] = {
	{ 0, 0, 0 }, { 0, 0, 'x' }, { 0, 0, 0 }, { 0, 0, 0 },             /* nil, never used, false, true */
	{ 1, 0, 'b' }, { 2, 0, 'b' }, { 4, 0, 'b' },                      /* bin */
	{ 1, 1, 'b' }, { 2, 1, 'b' }, { 4, 1, 'b' },                      /* ext: a type before the bytes */
	{ 0, 4, 0 }, { 0, 8, 0 },                                         /* float */
	{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },               /* uint */
	{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },               /* int */
	{ 0, 2, 0 }, { 0, 3, 0 }, { 0, 5, 0 }, { 0, 9, 0 }, { 0, 17, 0 }, /* fixext */
	{ 1, 0, 'b' }, { 2, 0, 'b' }, { 4, 0, 'b' },                      /* str */
	{ 2, 0, 'v' }, { 4, 0, 'v' },                                     /* array */
	{ 2, 0, 'p' }, { 4, 0, 'p' },                                     /* map */
};

int64_t
task_msgpack_head(const char *bytes, size_t len, uint64_t *inside_r)
{
	const unsigned char *p = (const unsigned char *)bytes;
	uint64_t n;
	size_t i;

	*inside_r = 0;
	if (len == 0)
		return 0;
	if (p[0] < 0x80 || p[0] >= 0xE0)
		return 1;
	if (p[0] < 0xA0) {
		*inside_r = (p[0] & 0x0Fu) * (p[0] < 0x90 ? 2u : 1u);
		return 1;
	}
	if (p[0] < 0xC0)
		return 1 + (p[0] & 0x1F);
	i = p[0] - 0xC0u;
	if (shapes[i].what == 'x')
		return -1;
	if (len < 1u + shapes[i].count)
		return 0;
	n = be(p + 1, shapes[i].count);
	if (shapes[i].what == 'v' || shapes[i].what == 'p')
		*inside_r = n * (shapes[i].what == 'p' ? 2 : 1);
	return 1 + (int64_t)shapes[i].count + shapes[i].more + (shapes[i].what == 'b' ? (int64_t)n : 0);
}
