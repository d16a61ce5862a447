/* task_lease.c - the name of a lease outside: task.h says what it looks like. */
#include <string.h>

#include "task/task.h"

#define HEX "0123456789abcdef"
#define LEASE_BYTES 24

void
task_lease_format(const struct id *task, int64_t lease_id, char text[TASK_LEASE_TEXT])
{
	for (int i = 0; i < LEASE_BYTES; i++) {
		unsigned byte =
		    i < 16 ? task->b[i] : (unsigned)((uint64_t)lease_id >> (8 * (LEASE_BYTES - 1 - i))) & 0xff;

		*text++ = HEX[byte >> 4];
		*text++ = HEX[byte & 15];
	}
	*text = '\0';
}

/* Of one lease there is one text: capitals are no digits of it. */
static int
digit(char c)
{
	return c >= 'A' && c <= 'F' ? -1 : base_hex(c);
}

bool
task_lease_parse(struct span text, struct id *task_r, int64_t *lease_id_r)
{
	uint8_t bytes[LEASE_BYTES];
	uint64_t lease_id = 0;

	if (text.len != TASK_LEASE_TEXT - 1)
		return false;
	for (int i = 0; i < LEASE_BYTES; i++) {
		int high = digit(text.ptr[2 * i]), low = digit(text.ptr[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(task_r->b, bytes, sizeof(task_r->b));
	for (int i = 16; i < LEASE_BYTES; i++)
		lease_id = lease_id << 8 | bytes[i];
	*lease_id_r = (int64_t)lease_id;
	return true;
}
