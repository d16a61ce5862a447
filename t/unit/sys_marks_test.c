/* sys_marks_test.c - what a dead worker had started is known, exactly or not at all. */
#include <sys/wait.h>

#include "sys/marks.h"

#include "tap.h"

static struct id
number(int n)
{
	return (struct id){ .b = { 1, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n } };
}

static int
set(struct marks *m, int table, int n)
{
	struct id id = number(n);

	return marks_set(m, table, &id);
}

int
main(void)
{
	struct marks *m = marks_new();
	struct id ids[MARKS_IDS], one = number(1), three = number(3);
	int table, other, place[MARKS_IDS + 2], tables = 0;
	pid_t pid;

	ok(m != NULL, "made");
	is_int(marks_read(m, 7, ids), -1, "of a worker that never was nothing is known");
	table = marks_take(m, 7);
	other = marks_take(m, 8);
	ok(table >= 0 && other >= 0 && table != other, "two tables");
	is_int(marks_read(m, 7, ids), 0, "nothing is started");
	pid = fork();
	if (pid == 0) {
		place[0] = set(m, table, 1);
		place[1] = set(m, table, 2);
		place[2] = set(m, table, 3);
		marks_clear(m, table, place[1]);
		_exit(place[2] < 0);
	}
	is_int(waitpid(pid, NULL, 0), pid, "its writer is gone");
	is_int(marks_read(m, 7, ids), 2, "what it had started is not");
	ok((id_eq(&ids[0], &one) && id_eq(&ids[1], &three)) || (id_eq(&ids[0], &three) && id_eq(&ids[1], &one)),
	    "by name");
	is_int(marks_read(m, 8, ids), 0, "the other has its own");
	marks_drop(m, 7);
	is_int(marks_read(m, 7, ids), -1, "dropped");
	is_int(marks_take(m, 9), table, "its table is free again");
	is_int(marks_read(m, 9, ids), 0, "and empty");
	for (int i = 0; i < MARKS_IDS + 2; i++)
		place[i] = set(m, other, i);
	is_int(marks_read(m, 8, ids), -1, "more than have a name: not known");
	marks_clear(m, other, place[MARKS_IDS]);
	marks_clear(m, other, place[5]);
	is_int(marks_read(m, 8, ids), -1, "while there is one without");
	marks_clear(m, other, place[MARKS_IDS + 1]);
	is_int(marks_read(m, 8, ids), MARKS_IDS - 1, "known again");
	place[5] = set(m, other, 600);
	is_int(marks_read(m, 8, ids), MARKS_IDS, "the free place is found");
	marks_drop(m, 8);
	marks_drop(m, 9);
	while (tables < 10000 && marks_take(m, 100 + tables) >= 0)
		tables++;
	ok(tables > 160 && tables < 10000, "%d tables", tables);
	marks_drop(m, 105);
	ok(marks_take(m, 20000) >= 0, "one that was dropped is taken again");
	return done();
}
