/* recent.c - a table in shared memory that forgets; see recent.h.
 *
 * A key belongs to a set of eight records.  It takes the record that it has already, else an empty one, else the next of
 * the set in turn.  The tags of its records, half of each key, are a line of memory at the front of the set: most look-ups find nothing,
 * and read no more than that.  Words are copied with relaxed atomics and in any order: tags are hints, and the checksum over key and
 * value tells whether they belong together.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/digest.h"

#include "sys/recent.h"

#define SET 8
#define WORDS (RECENT_RECORD / sizeof(uint64_t))
#define SET_WORDS (SET + SET * WORDS) /* tags, records */

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
	_Alignas(64) _Atomic uint64_t words[];
};

struct recent *
recent_new(int64_t bytes)
{
	size_t sets = (size_t)bytes / (SET_WORDS * sizeof(uint64_t)), size;
	struct recent *r;

	sets += sets == 0;
	size = sizeof(*r) + sets * SET_WORDS * sizeof(uint64_t);
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
	return digest_quick64(&record->key, sizeof(record->key) + sizeof(record->value));
}

/* Where the set of a key begins. */
static size_t
set_of(const struct recent *r, const struct id *key)
{
	uint64_t hash;

	memcpy(&hash, key->b, sizeof(hash)); /* keys are digests */
	return hash % r->sets * SET_WORDS;
}

static size_t
record_at(size_t set, unsigned i)
{
	return set + SET + i * WORDS;
}

/* The half that did not choose the set; 0 is an empty record. */
static uint64_t
tag_of(const struct id *key)
{
	uint64_t tag;

	memcpy(&tag, key->b + sizeof(tag), sizeof(tag));
	return tag | 1;
}

/* The first record of the set, from number `i` on, that has this tag; SET: none. */
static unsigned
find_tag(const struct recent *r, size_t set, unsigned i, uint64_t tag)
{
	while (i < SET && atomic_load_explicit(&r->words[set + i], memory_order_relaxed) != tag)
		i++;
	return i;
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

/* Which record a key takes: its own, an empty one, the next in turn. */
static unsigned
place_for(struct recent *r, size_t set, uint64_t tag)
{
	unsigned i = find_tag(r, set, 0, tag);

	if (i == SET)
		i = find_tag(r, set, 0, 0);
	return i < SET ? i : atomic_fetch_add_explicit(&r->turn, 1, memory_order_relaxed) % SET;
}

void
recent_put(struct recent *r, const struct id *key, const void *value)
{
	size_t set = set_of(r, key), at, i;
	uint64_t tag = tag_of(key), words[WORDS];
	unsigned place = place_for(r, set, tag);
	struct record record = { .key = *key };

	memcpy(record.value, value, sizeof(record.value));
	record.sum = sum_of(&record);
	memcpy(words, &record, sizeof(words));
	for (i = 0, at = record_at(set, place); i < WORDS; i++)
		atomic_store_explicit(&r->words[at + i], words[i], memory_order_relaxed);
	atomic_store_explicit(&r->words[set + place], tag, memory_order_relaxed);
}

bool
recent_get(const struct recent *r, const struct id *key, void *value_r)
{
	size_t set = set_of(r, key);
	uint64_t tag = tag_of(key);
	struct record record;
	unsigned i;

	for (i = find_tag(r, set, 0, tag); i < SET; i = find_tag(r, set, i + 1, tag)) {
		read_record(r, record_at(set, i), &record);
		if (!id_eq(&record.key, key) || record.sum != sum_of(&record))
			continue;
		memcpy(value_r, record.value, sizeof(record.value));
		return true;
	}
	return false;
}
