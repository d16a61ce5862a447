/* task_id_test.c - layout and order of ids, the clock that goes back, the batch that overflows. */
#include "base/clock.h"
#include "t/unit/tap.h"
#include "task/task.h"

#define T0 INT64_C(1700000000123000) /* us */

static void
is_text(const struct id *id, const char *want, const char *name)
{
	char text[ID_TEXT];

	id_format(id, text);
	is_str(text, want, "%s", name);
}

static void
test_layout(void)
{
	struct task_id_maker m;
	struct id a, b, least;

	clock_set(0, T0);
	task_id_maker_init(&m, 0x3fffffff, 1023, 0);
	ok(task_id_batch(&m, &a), "a batch begins");
	is_text(&a, "018bcfe5-687b-73ff-bfff-ffff00000000", "all fields are in their place");
	b = task_id_at(&a, 65534);
	is_text(&b, "018bcfe5-687b-73ff-bfff-ffff0000fffe", "the last position");
	is_int(task_id_pos(&b), 65534, "position is read back");
	is_int(task_id_bucket(&b), 1023, "bucket is read back");
	is_int(task_id_time(&b), T0, "time is read back");
	is_int(task_id_writer(&b), 0x3fffffff, "the writer too");
	least = task_id_least(T0 + 999);
	ok(id_cmp(&least, &a) < 0 && task_id_time(&least) == T0, "no id of a millisecond is less than its least");
	b = task_id_at(&b, 7);
	is_int(task_id_pos(&b), 7, "a position counts from the batch, not from the id that was given");
	ok(task_id_same_batch(&a, &b), "same batch");
	task_id_maker_init(&m, 1, 0, 1500 * CLOCK_MS);
	ok(task_id_batch(&m, &a), "another maker");
	is_text(&a, "018bcfe5-6e57-7000-8000-000100000000", "the database's clock counts");
}

static void
test_order(void)
{
	struct task_id_maker m;
	struct id before, id;
	bool grows = true, same = false;

	clock_set(0, T0);
	task_id_maker_init(&m, 5, 9, 0);
	ok(task_id_batch(&m, &before), "first batch");
	for (int i = 1; i < 65536; i++) {
		if (!task_id_batch(&m, &id))
			break;
		grows = grows && id_cmp(&before, &id) < 0;
		same = same || task_id_same_batch(&before, &id);
		before = task_id_at(&id, 65534);
	}
	ok(grows, "65,536 batches of one millisecond are in order, with all their positions");
	ok(!same, "no two batches are the same");
	is_int(task_id_time(&before), T0, "and all in that millisecond");
	ok(task_id_batch(&m, &id), "one more");
	is_int(task_id_time(&id), T0 + CLOCK_MS, "goes into the next millisecond");
	ok(id_cmp(&before, &id) < 0, "and is greater");
	ok(task_id_batch(&m, &before), "and another");
	ok(id_cmp(&id, &before) < 0 && task_id_time(&before) == T0 + CLOCK_MS, "stays there, ahead of the clock");
}

static void
test_not_before(void)
{
	struct task_id_maker m;
	struct id a, b;

	clock_set(0, T0);
	task_id_maker_init(&m, 5, 9, 0);
	task_id_not_before(&m, T0 / CLOCK_MS + 3);
	ok(task_id_batch(&m, &a) && task_id_time(&a) == T0 + 3 * CLOCK_MS, "not before a time that is to come");
	task_id_not_before(&m, T0 / CLOCK_MS + 1);
	ok(task_id_batch(&m, &b) && task_id_time(&b) == T0 + 3 * CLOCK_MS, "it does not go back");
	ok(id_cmp(&a, &b) < 0, "and no id comes twice");
	clock_set(0, T0 + CLOCK_SECOND);
	ok(task_id_batch(&m, &b) && task_id_time(&b) == T0 + CLOCK_SECOND, "the clock counts again when it is there");
}

static void
test_clock_back(void)
{
	struct task_id_maker m;
	struct id a, b;

	clock_set(0, T0);
	task_id_maker_init(&m, 5, 9, 0);
	ok(task_id_batch(&m, &a), "at noon");
	clock_set(0, T0 - 10 * CLOCK_SECOND);
	ok(task_id_batch(&m, &b), "ten seconds back is borne");
	ok(id_cmp(&a, &b) < 0 && task_id_time(&b) == T0, "on the last millisecond");
	clock_set(0, T0 - 10 * CLOCK_SECOND - CLOCK_MS);
	ok(!task_id_batch(&m, &b), "a millisecond more is refused");
	clock_set(0, T0 + CLOCK_SECOND);
	ok(task_id_batch(&m, &b), "the clock comes back");
	is_int(task_id_time(&b), T0 + CLOCK_SECOND, "and counts again");
}

static void
test_writers(void)
{
	struct task_id_maker m1, m2;
	struct id a, b;

	clock_set(0, T0);
	task_id_maker_init(&m1, 1, 4, 0);
	task_id_maker_init(&m2, 2, 4, 0);
	ok(task_id_batch(&m1, &a) && task_id_batch(&m2, &b), "two writers in one millisecond");
	ok(!task_id_same_batch(&a, &b), "do not share a batch");
	a = task_id_at(&a, 65534);
	ok(id_cmp(&a, &b) < 0, "nor does a range of one reach into the other");
}

int
main(void)
{
	test_layout();
	test_order();
	test_not_before();
	test_clock_back();
	test_writers();
	clock_unset();
	return done();
}
