/* super_child.c - the table of living children: the supervisor's own truth, in private memory.
 *
 * super_proc_add() takes a slot of the stats region and the lowest index that no living process of the role has, whatever its
 * generation: the index names the worker's bell.  super_proc_remove() gives both back.  super_procs_write() tells the table to tests and
 * administrators as RUN_DIR/roles.json:
 *
 *	{"supervisor": {"pid": 1, "start": 2}, "state": "run", "generation": 1, "children":
 *	 [{"role": "worker", "index": 0, "pid": 3, "start": 4, "generation": 1, "ready": true}]}
 *
 * "start" is the start time of the process in clock ticks since boot: with the pid it names a process for ever.  Next:
 * super_spawn.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "sys/proc.h"
#include "sys/wake.h"

#include "super/super_int.h"

static struct super_proc *
super_proc_at(struct list *node)
{
	return container_of(node, struct super_proc, node);
}

/* The lowest index that is free in the role, or -1. */
static int
super_index_free(struct super *s, const struct super_role *role)
{
	bool used[WAKE_WORKERS] = { false };
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = super_proc_at(at);

		if (p->role == role)
			used[p->index] = true;
	}
	for (int i = 0; i < WAKE_WORKERS; i++)
		if (!used[i])
			return i;
	return -1;
}

struct super_proc *
super_proc_add(struct super *s, struct super_generation *g, const struct super_role *role)
{
	struct super_proc *p;
	int index = super_index_free(s, role);
	int slot = index < 0 ? -1 : stats_slot_take(s->stats, role->name, index, g->number);

	if (slot < 0)
		return NULL;
	p = mem_zalloc(sizeof(*p));
	p->role = role;
	p->generation = g;
	p->index = index;
	p->slot = slot;
	list_push(&s->procs, &p->node);
	s->procs_changed = true;
	return p;
}

_Static_assert(GUARD_SLOTS >= STATS_SLOTS, "the guard has every slot");

void
super_proc_remove(struct super *s, struct super_proc **p)
{
	guard_slot_clear(s->guard, (*p)->slot);
	if ((*p)->role->listens)
		seats_leave(s->seats, (*p)->index);
	stats_slot_release(s->stats, (*p)->slot);
	list_remove(&(*p)->node);
	mem_free(p);
	s->procs_changed = true;
}

struct super_proc *
super_proc_find(struct super *s, pid_t pid)
{
	struct list *at, *next;

	LIST_FOREACH_SAFE (at, next, &s->procs)
		if (super_proc_at(at)->pid == pid)
			return super_proc_at(at);
	return NULL;
}

int
super_proc_count(struct super *s, const struct super_generation *g, const struct super_role *role)
{
	struct list *at, *next;
	int n = 0;

	LIST_FOREACH_SAFE (at, next, &s->procs) {
		struct super_proc *p = super_proc_at(at);

		n += (g == NULL || p->generation == g) && (role == NULL || p->role == role);
	}
	return n;
}

static void
super_proc_json(const struct super_proc *p, struct buf *b)
{
	buf_printf(b, "%s\n {\"role\": ", b->data[b->len - 1] == '[' ? "" : ",");
	buf_json_string(b, span_of(p->role->name));
	buf_printf(b, ", \"index\": %d, \"pid\": %d, \"start\": %" PRIu64 ", \"generation\": %u, \"ready\": %s}",
	    p->index, (int)p->pid, p->start_time, p->generation->number, p->ready ? "true" : "false");
}

void
super_procs_write(struct super *s)
{
	static const char *const words[] = { "start", "run", "reload", "drain", "stop" };
	struct buf b = { 0 };
	struct list *at, *next;

	buf_printf(&b,
	    "{\"supervisor\": {\"pid\": %d, \"start\": %" PRIu64
	    "}, \"state\": \"%s\", \"generation\": %u, \"children\": [",
	    (int)getpid(), proc_start_time(getpid()), words[s->state], s->serving->number);
	LIST_FOREACH_SAFE (at, next, &s->procs)
		super_proc_json(super_proc_at(at), &b);
	buf_puts(&b, "]}\n");
	if (!super_write_file(s->serving->conf->run_dir, "roles.json", &b))
		log_warning("could not write roles.json", log_errno(errno));
	buf_free(&b);
	s->procs_changed = false;
}
