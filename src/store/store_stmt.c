/* store_stmt.c - parameters into the binary format, columns out of it.
 *
 * Every value is checked against the type that the statement's head (parameters) or the server (columns) tells; a difference is a
 * mistake of ours and ends the process.  Instants are us since the Unix epoch here and since 2000-01-01 on the wire.  Aborts
 * on mistakes only; logs nothing.  Next: store_conn.c.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#include "store/store_int.h"

#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_NAME 19
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_TEXT 25
#define OID_TIMESTAMPTZ 1184
#define OID_UUID 2950

#define PG_EPOCH INT64_C(946684800000000) /* 2000-01-01 in us since 1970 */
#define ARRAY_HEAD 20

static const struct {
	unsigned array;
	unsigned element;
} array_types[] = {
	{ 1000, OID_BOOL },
	{ 1001, OID_BYTEA },
	{ 1005, OID_INT2 },
	{ 1007, OID_INT4 },
	{ 1009, OID_TEXT },
	{ 1016, OID_INT8 },
	{ 1185, OID_TIMESTAMPTZ },
	{ 2951, OID_UUID },
};

void
stmt_begin(struct stmt *t, enum store_sql sql)
{
	ASSERT(sql < SQL_STATEMENTS);
	t->sql = sql;
	t->nparams = 0;
	t->in_array = false;
	buf_reset(&t->bytes);
}

void
stmt_free(struct stmt *t)
{
	buf_free(&t->bytes);
}

bool
stmt_is_whole(const struct stmt *t)
{
	return !t->in_array && t->nparams == store_sql_texts[t->sql].nparams;
}

static void
put_int4(struct buf *b, int32_t value)
{
	uint32_t net = htonl((uint32_t)value);

	buf_put(b, &net, sizeof(net));
}

/* The type that the next parameter must have. */
static unsigned
next_type(const struct stmt *t)
{
	const struct store_sql_text *text = &store_sql_texts[t->sql];

	ASSERT(t->nparams < text->nparams);
	return text->types[t->nparams];
}

/* One value: an element of the open array, or the next parameter. */
static void
put_value(struct stmt *t, unsigned type, const void *bytes, size_t len)
{
	ASSERT(len <= INT32_MAX);
	if (t->in_array) {
		ASSERT(t->element == type);
		put_int4(&t->bytes, (int32_t)len);
		buf_put(&t->bytes, bytes, len);
		t->count++;
		return;
	}
	ASSERT(next_type(t) == type);
	t->at[t->nparams] = (int)t->bytes.len;
	t->len[t->nparams] = (int)len;
	t->nparams++;
	buf_put(&t->bytes, bytes, len);
}

void
stmt_null(struct stmt *t)
{
	if (t->in_array) {
		put_int4(&t->bytes, -1);
		t->count++;
		return;
	}
	(void)next_type(t);
	t->at[t->nparams] = -1;
	t->len[t->nparams] = 0;
	t->nparams++;
}

void
stmt_array(struct stmt *t)
{
	unsigned type = next_type(t);
	size_t i;

	ASSERT(!t->in_array);
	for (i = 0; i < ARRAY_LEN(array_types) && array_types[i].array != type; i++)
		;
	ASSERT(i < ARRAY_LEN(array_types));
	t->in_array = true;
	t->element = array_types[i].element;
	t->count = 0;
	t->at[t->nparams] = (int)t->bytes.len;
	put_int4(&t->bytes, 1);
	put_int4(&t->bytes, 1); /* may hold nulls */
	put_int4(&t->bytes, (int32_t)t->element);
	put_int4(&t->bytes, 0); /* how many: at the end */
	put_int4(&t->bytes, 1);
}

void
stmt_array_end(struct stmt *t)
{
	size_t at = (size_t)t->at[t->nparams];
	uint32_t count = htonl((uint32_t)t->count);

	ASSERT(t->in_array && t->bytes.len - at <= INT32_MAX);
	t->in_array = false;
	if (t->count == 0) { /* an empty array has no dimension */
		memset(t->bytes.data + at, 0, 4);
		t->bytes.len = at + ARRAY_HEAD - 8;
	} else {
		memcpy(t->bytes.data + at + 12, &count, sizeof(count));
	}
	t->len[t->nparams] = (int)(t->bytes.len - at);
	t->nparams++;
}

void
stmt_bool(struct stmt *t, bool value)
{
	char byte = value;

	put_value(t, OID_BOOL, &byte, 1);
}

void
stmt_int2(struct stmt *t, int value)
{
	uint16_t net = htons((uint16_t)value);

	ASSERT(value >= INT16_MIN && value <= INT16_MAX);
	put_value(t, OID_INT2, &net, sizeof(net));
}

void
stmt_int4(struct stmt *t, int32_t value)
{
	uint32_t net = htonl((uint32_t)value);

	put_value(t, OID_INT4, &net, sizeof(net));
}

void
stmt_int8(struct stmt *t, int64_t value)
{
	uint64_t net = htobe64((uint64_t)value);

	put_value(t, OID_INT8, &net, sizeof(net));
}

void
stmt_uuid(struct stmt *t, const struct id *value)
{
	put_value(t, OID_UUID, value->b, sizeof(value->b));
}

void
stmt_home(struct stmt *t, const struct store *s)
{
	if (id_is_zero(&s->o.home))
		stmt_null(t);
	else
		stmt_uuid(t, &s->o.home);
}

void
stmt_text(struct stmt *t, struct span value)
{
	put_value(t, OID_TEXT, value.ptr, value.len);
}

void
stmt_bytea(struct stmt *t, struct span value)
{
	put_value(t, OID_BYTEA, value.ptr, value.len);
}

void
stmt_time(struct stmt *t, int64_t unix_us)
{
	uint64_t net = htobe64((uint64_t)(unix_us - PG_EPOCH));

	if (unix_us == 0)
		stmt_null(t);
	else
		put_value(t, OID_TIMESTAMPTZ, &net, sizeof(net));
}

/* --- columns ------------------------------------------------------------------------------------------------------- */

bool
col_null(const PGresult *res, int row, int col)
{
	ASSERT(row >= 0 && row < PQntuples(res) && col >= 0 && col < PQnfields(res));
	return PQgetisnull(res, row, col) != 0;
}

/* The bytes of a value of a fixed length. */
static const char *
fixed(const PGresult *res, int row, int col, int len)
{
	ASSERT(PQfformat(res, col) == 1 && PQgetlength(res, row, col) == len);
	return PQgetvalue(res, row, col);
}

bool
col_bool(const PGresult *res, int row, int col)
{
	if (col_null(res, row, col))
		return false;
	ASSERT(PQftype(res, col) == OID_BOOL);
	return fixed(res, row, col, 1)[0] != 0;
}

static int64_t
int8_at(const char *bytes)
{
	uint64_t net;

	memcpy(&net, bytes, sizeof(net));
	return (int64_t)be64toh(net);
}

int64_t
col_int(const PGresult *res, int row, int col)
{
	uint16_t net2;
	uint32_t net4;

	if (col_null(res, row, col))
		return 0;
	switch (PQftype(res, col)) {
	case OID_INT2:
		memcpy(&net2, fixed(res, row, col, 2), sizeof(net2));
		return (int16_t)ntohs(net2);
	case OID_INT4:
		memcpy(&net4, fixed(res, row, col, 4), sizeof(net4));
		return (int32_t)ntohl(net4);
	case OID_INT8:
		return int8_at(fixed(res, row, col, 8));
	default:
		UNREACHABLE("column is not an integer");
	}
}

int64_t
col_int_or(const PGresult *res, int row, int col, int64_t null)
{
	return col_null(res, row, col) ? null : col_int(res, row, col);
}

struct id
col_id(const PGresult *res, int row, int col)
{
	struct id id = { { 0 } };

	if (col_null(res, row, col))
		return id;
	ASSERT(PQftype(res, col) == OID_UUID);
	memcpy(id.b, fixed(res, row, col, sizeof(id.b)), sizeof(id.b));
	return id;
}

int64_t
col_time(const PGresult *res, int row, int col)
{
	if (col_null(res, row, col))
		return 0;
	ASSERT(PQftype(res, col) == OID_TIMESTAMPTZ);
	return int8_at(fixed(res, row, col, 8)) + PG_EPOCH;
}

struct span
col_span(const PGresult *res, int row, int col)
{
	Oid type = PQftype(res, col);

	if (col_null(res, row, col))
		return (struct span){ NULL, 0 };
	ASSERT(type == OID_TEXT || type == OID_BYTEA || type == OID_NAME);
	return (struct span){ PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col) };
}
