/* recent.c - a table in shared memory that forgets; see recent.h.
 *
 * A key belongs to a set of eight records.  It takes the record that it has already, else an empty one, else the next of
 * the set in turn.  Words are copied with
 * relaxed atomics and in any order: the checksum over key and value tells whether they belong together.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/digest.h"

#include "sys/recent.h"

#define SET 8
#define WORDS (RECENT_RECORD / sizeof(uint64_t))

struct record {
	uint64_t sum;
	struct id key;
	uint8_t value[RECENT_VALUE];
};
_Static_assert(sizeof(struct record) == RECENT_RECORD, "no holes, whole words");

struct recent {
	size_t sets;
	size_t size; /* bytes of the mapping */
	_Atomic unsigned turn;
	_Alignas(RECENT_RECORD) _Atomic uint64_t words[];
};

struct recent *
recent_new(int64_t bytes)
{
	size_t sets = (size_t)bytes / (RECENT_RECORD * SET), size;
	struct recent *r;

	sets += sets == 0;
	size = sizeof(*r) + sets * SET * RECENT_RECORD;
	r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED)
		return NULL;
	r->sets = sets;
	r->size = size;
	return r;
}

void
recent_free(struct recent **r)
{
	if (*r != NULL)
		(void)munmap(*r, (*r)->size);
	*r = NULL;
}

static uint64_t
sum_of(const struct record *record)
{
	return digest_fnv64(&record->key, sizeof(record->key) + sizeof(record->value));
}

static size_t
set_of(const struct recent *r, const struct id *key)
{
	uint64_t hash;

	memcpy(&hash, key->b, sizeof(hash)); /* keys are digests */
	return hash % r->sets * SET * WORDS;
}

static void
read_record(const struct recent *r, size_t at, struct record *out)
{
	uint64_t words[WORDS];
	size_t i;

	for (i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&r->words[at + i], memory_order_relaxed);
	memcpy(out, words, sizeof(*out));
}

static bool
has_key(const struct recent *r, size_t at, const struct id *key)
{
	struct id there;
	uint64_t words[2];

	words[0] = atomic_load_explicit(&r->words[at + 1], memory_order_relaxed);
	words[1] = atomic_load_explicit(&r->words[at + 2], memory_order_relaxed);
	memcpy(&there, words, sizeof(there));
	return id_eq(&there, key);
}

/* Where a key goes: to its own record, an empty one, the next in turn. */
static size_t
place_for(struct recent *r, const struct id *key)
{
	static const struct id nobody;
	size_t set = set_of(r, key), at = set, empty = SIZE_MAX;
	int i;

	for (i = 0; i < SET; i++, at += WORDS) {
		if (has_key(r, at, key))
			return at;
		if (empty == SIZE_MAX && has_key(r, at, &nobody))
			empty = at;
	}
	if (empty != SIZE_MAX)
		return empty;
	return set + atomic_fetch_add_explicit(&r->turn, 1, memory_order_relaxed) % SET * WORDS;
}

void
recent_put(struct recent *r, const struct id *key, const void *value)
{
	size_t at = place_for(r, key), i;
	struct record record = { .key = *key };
	uint64_t words[WORDS];

	memcpy(record.value, value, sizeof(record.value));
	record.sum = sum_of(&record);
	memcpy(words, &record, sizeof(words));
	for (i = 0; i < WORDS; i++)
		atomic_store_explicit(&r->words[at + i], words[i], memory_order_relaxed);
}

bool
recent_get(const struct recent *r, const struct id *key, void *value_r)
{
	size_t at = set_of(r, key);
	struct record record;
	int i;

	for (i = 0; i < SET; i++, at += WORDS) {
		if (!has_key(r, at, key))
			continue;
		read_record(r, at, &record);
		if (!id_eq(&record.key, key) || record.sum != sum_of(&record))
			continue;
		memcpy(value_r, record.value, sizeof(record.value));
		return true;
	}
	return false;
}
