/* task_codec.c - the options of a task as bytes.
 *
 * A msgpack array: version 1, schema_version, trace_id (nil where there is none), then a map of the labels.  Version 2, of tasks that
 * expire only, goes on with expires_at and expires_in (us; 0 where it is the other).  Readers refuse a version they do not
 * know; a new field is a new version beside these, because stored rows outlive the program that wrote them.
 */
#include <msgpack.h>

#include "task/task.h"

#define OPTIONS_VERSION 1
#define OPTIONS_FIELDS 4
#define EXPIRY_VERSION 2
#define EXPIRY_FIELDS 6
#define OPTIONS_BEGIN '\x94' /* msgpack's array of four: what does not begin so, or ... */
#define EXPIRY_BEGIN '\x96'  /* ... as an array of six, is not worth unpacking */

static int
write_buf(void *arg, const char *bytes, size_t len)
{
	buf_put(arg, bytes, len);
	return 0;
}

static void
pack_text(msgpack_packer *pk, struct span s)
{
	msgpack_pack_str(pk, s.len);
	if (s.len > 0)
		msgpack_pack_str_body(pk, s.ptr, s.len);
}

static void
pack_text_or_nil(msgpack_packer *pk, struct span s)
{
	if (s.len == 0)
		msgpack_pack_nil(pk);
	else
		pack_text(pk, s);
}

void
task_options_pack(struct buf *b, const struct task_request *r)
{
	bool expires = r->expires_at != 0 || r->expires_in != 0;
	msgpack_packer pk;

	if (r->schema_version.len == 0 && r->trace_id.len == 0 && r->nlabels == 0 && !expires)
		return;
	msgpack_packer_init(&pk, b, write_buf);
	msgpack_pack_array(&pk, expires ? EXPIRY_FIELDS : OPTIONS_FIELDS);
	msgpack_pack_int(&pk, expires ? EXPIRY_VERSION : OPTIONS_VERSION);
	pack_text_or_nil(&pk, r->schema_version);
	pack_text_or_nil(&pk, r->trace_id);
	msgpack_pack_map(&pk, (size_t)r->nlabels);
	for (int i = 0; i < r->nlabels; i++) {
		pack_text(&pk, r->labels[i].name);
		pack_text(&pk, r->labels[i].value);
	}
	if (!expires)
		return;
	msgpack_pack_int64(&pk, r->expires_at);
	msgpack_pack_int64(&pk, r->expires_in);
}

static bool
take_text(const msgpack_object *o, struct span *s_r)
{
	if (o->type != MSGPACK_OBJECT_STR)
		return false;
	*s_r = (struct span){ o->via.str.ptr, o->via.str.size };
	return true;
}

static bool
take_text_or_nil(const msgpack_object *o, struct span *s_r)
{
	return o->type == MSGPACK_OBJECT_NIL || take_text(o, s_r);
}

static bool
take_labels(const msgpack_object *o, struct task_row *row)
{
	const msgpack_object_map *map = &o->via.map;

	if (o->type != MSGPACK_OBJECT_MAP || map->size > TASK_LABELS_MAX)
		return false;
	for (uint32_t i = 0; i < map->size; i++)
		if (!take_text(&map->ptr[i].key, &row->labels[i].name) ||
		    !take_text(&map->ptr[i].val, &row->labels[i].value))
			return false;
	row->nlabels = (int)map->size;
	return true;
}

static bool
take_time(const msgpack_object *o, int64_t *us_r)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > INT64_MAX)
		return false;
	*us_r = (int64_t)o->via.u64;
	return true;
}

static bool
take_options(const msgpack_object *o, struct task_row *row)
{
	const msgpack_object *field = o->via.array.ptr;
	bool expires = o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == EXPIRY_FIELDS;

	if (o->type != MSGPACK_OBJECT_ARRAY || (!expires && o->via.array.size != OPTIONS_FIELDS))
		return false;
	if (field[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
	    field[0].via.u64 != (expires ? EXPIRY_VERSION : OPTIONS_VERSION))
		return false;
	if (expires && (!take_time(&field[4], &row->expires_at) || !take_time(&field[5], &row->expires_in)))
		return false;
	return take_text_or_nil(&field[1], &row->schema_version) && take_text_or_nil(&field[2], &row->trace_id) &&
	       take_labels(&field[3], row);
}

static void
forget_options(struct task_row *row)
{
	row->schema_version = row->trace_id = (struct span){ 0 };
	row->nlabels = 0;
	row->expires_at = row->expires_in = 0;
}

bool
task_options_unpack(struct span packed, struct task_row *row)
{
	msgpack_unpacked u;
	size_t used = 0;
	bool good;

	forget_options(row);
	if (packed.len == 0)
		return true;
	if (packed.ptr[0] != OPTIONS_BEGIN && packed.ptr[0] != EXPIRY_BEGIN)
		return false;
	msgpack_unpacked_init(&u);
	good = msgpack_unpack_next(&u, packed.ptr, packed.len, &used) == MSGPACK_UNPACK_SUCCESS && used == packed.len &&
	       take_options(&u.data, row);
	msgpack_unpacked_destroy(&u);
	if (!good)
		forget_options(row);
	return good;
}

void
task_row_of_request(const struct task_request *r, struct task_row *row)
{
	row->queue = r->queue;
	row->task_type = r->task_type;
	row->group = r->group;
	row->ordering_key = r->ordering_key;
	row->priority = r->priority;
	row->max_attempts = r->max_attempts;
	row->expires_at = r->expires_at;
	row->expires_in = r->expires_in;
	row->payload = r->payload;
	row->schema_version = r->schema_version;
	row->trace_id = r->trace_id;
	memcpy(row->labels, r->labels, sizeof(row->labels));
	row->nlabels = r->nlabels;
}

int64_t
task_expires_at(const struct task_row *row)
{
	return row->expires_in != 0 ? row->created_at + row->expires_in : row->expires_at;
}

bool
task_is_expired(const struct task_row *row, int64_t now)
{
	int64_t at = task_expires_at(row);

	return at != 0 && row->run == 0 && now >= at;
}
