/* task_id.c - ids of tasks: made in batches, neighbours in order, never twice.
 *
 *      byte 0..5   milliseconds since the epoch
 *      byte 6..7   version 7 (4 bits), bucket (12 bits)
 *      byte 8..11  variant 2 (2 bits), writer (30 bits)
 *      byte 12..13 number of the batch within its millisecond
 *      byte 14..15 position in the batch
 *
 * The writer's number comes from the database and is never reused, so two makers cannot make the same id, and a range
 * of one batch cannot cover a task of another.
 */
#include <string.h>

#include "base/clock.h"
#include "task/task.h"

#define BATCH_BYTES 14 /* what the ids of one batch share */
#define BACK_MAX_MS 10000

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

void
task_id_maker_init(struct task_id_maker *m, uint32_t writer, uint16_t bucket, int64_t db_offset)
{
	ASSERT(writer < UINT32_C(1) << 30 && bucket < TASK_BUCKETS);
	*m = (struct task_id_maker){ .writer = writer, .bucket = bucket, .db_offset = db_offset };
}

/* Moves the maker to a (millisecond, batch) that it has never used; false when the clock is too far behind. */
static bool
advance(struct task_id_maker *m)
{
	int64_t ms = (clock_wall() + m->db_offset) / CLOCK_MS;

	if (ms + BACK_MAX_MS < m->last_ms)
		return false;
	if (ms > m->last_ms) {
		m->last_ms = ms;
		m->seq = 0;
	} else if (m->seq < UINT16_MAX) {
		m->seq++;
	} else {
		m->last_ms++;
		m->seq = 0;
	}
	return true;
}

void
task_id_not_before(struct task_id_maker *m, int64_t ms)
{
	if (ms <= m->last_ms)
		return;
	m->last_ms = ms;
	m->seq = 0;
}

bool
task_id_batch(struct task_id_maker *m, struct id *first_r)
{
	uint8_t *b = first_r->b;

	if (!advance(m))
		return false;
	ASSERT(m->last_ms > 0 && m->last_ms < INT64_C(1) << 48);
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(m->last_ms >> (40 - 8 * i));
	put16(b + 6, 0x7000u | m->bucket);
	put16(b + 8, 0x8000u | m->writer >> 16);
	put16(b + 10, m->writer & 0xffff);
	put16(b + 12, m->seq);
	put16(b + 14, 0);
	return true;
}

struct id
task_id_at(const struct id *first, uint32_t pos)
{
	struct id id = *first;

	ASSERT(pos < UINT16_MAX);
	put16(id.b + BATCH_BYTES, pos);
	return id;
}

uint32_t
task_id_pos(const struct id *id)
{
	return get16(id->b + BATCH_BYTES);
}

uint16_t
task_id_bucket(const struct id *id)
{
	return get16(id->b + 6) & 0xfff;
}

uint32_t
task_id_writer(const struct id *id)
{
	return (uint32_t)(get16(id->b + 8) & 0x3fff) << 16 | get16(id->b + 10);
}

int64_t
task_id_time(const struct id *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->b[i];
	return ms * CLOCK_MS;
}

struct id
task_id_least(int64_t us)
{
	struct id id = { { 0 } };

	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(us / CLOCK_MS >> (40 - 8 * i));
	return id;
}

bool
task_id_same_batch(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, BATCH_BYTES) == 0;
}
