/* proc_tree.c - who is whose child, and what it uses, read from /proc.
 *
 * One pass over /proc notes pid and parent of every process, then the children are picked in memory.  Processes come and go
 * meanwhile: whoever wants a tree dead stops or kills, looks again, and repeats until nothing is left.  Zombies are not living.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include "sys/proc.h"

#define FIELDS_5_TO_13 " %*s %*s %*s %*s %*s %*s %*s %*s %*s "

struct stat_line {
	pid_t parent;
	char state;
	uint64_t ticks; /* user, system, and those of children that were waited for */
	uint64_t start;
	int64_t pages;
};

/* The name in parentheses may hold anything, also parentheses: the fields begin after the last one. */
static bool
stat_read(pid_t pid, struct stat_line *st_r)
{
	char path[32], text[1024], *fields;
	unsigned long long tick[4], start;
	long pages;
	int fd, parent;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	fields = strrchr(text, ')');
	/* fields 3 state, 4 parent, 14 to 17 ticks, 22 start time, 24 resident pages */
	if (fields == NULL ||
	    sscanf(fields + 1, " %c %d" FIELDS_5_TO_13 "%llu %llu %llu %llu %*s %*s %*s %*s %llu %*s %ld", &st_r->state,
		&parent, &tick[0], &tick[1], &tick[2], &tick[3], &start, &pages) != 8)
		return false;
	st_r->ticks = tick[0] + tick[1] + tick[2] + tick[3];
	st_r->pages = pages;
	st_r->parent = parent;
	st_r->start = start;
	return true;
}

uint64_t
proc_start_time(pid_t pid)
{
	struct stat_line st;

	return stat_read(pid, &st) ? st.start : 0;
}

pid_t
proc_parent(pid_t pid)
{
	struct stat_line st;

	return stat_read(pid, &st) ? st.parent : 0;
}

bool
proc_usage(pid_t pid, struct proc_usage *u_r)
{
	struct stat_line st;

	if (!stat_read(pid, &st))
		return false;
	u_r->cpu = (int64_t)(st.ticks * (uint64_t)CLOCK_SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
	u_r->resident = st.pages * sysconf(_SC_PAGESIZE);
	return true;
}

struct pair {
	pid_t pid;
	pid_t parent;
};

static void
living_pairs(struct buf *pairs)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct stat_line st;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		struct pair p = { .pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0 };

		if (p.pid == 0 || !stat_read(p.pid, &st) || st.state == 'Z' || st.state == 'X')
			continue;
		p.parent = st.parent;
		buf_put(pairs, &p, sizeof(p));
	}
	closedir(dir);
}

static void
children_of(const struct buf *pairs, pid_t parent, struct buf *pids)
{
	struct pair p;
	size_t at;

	for (at = 0; at < pairs->len; at += sizeof(p)) {
		memcpy(&p, pairs->data + at, sizeof(p));
		if (p.parent == parent)
			buf_put(pids, &p.pid, sizeof(p.pid));
	}
}

void
proc_children(pid_t root, struct buf *pids)
{
	struct buf pairs = { 0 };

	living_pairs(&pairs);
	children_of(&pairs, root, pids);
	buf_free(&pairs);
}

void
proc_own_children(struct buf *pids)
{
	char path[64];
	FILE *f;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	if (f == NULL) {
		proc_children(getpid(), pids);
		return;
	}
	while (fscanf(f, "%d", &pid) == 1)
		buf_put(pids, &pid, sizeof(pid));
	fclose(f);
}
