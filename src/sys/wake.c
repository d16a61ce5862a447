/* wake.c - wake-ups between the processes of one node.
 *
 * The order that keeps a wake-up from being lost between two processes: an acceptor marks the lane and then looks who is hungry; a worker says that it is
 * hungry and then looks at the lanes once more.  All atomics are sequentially consistent, so at least one sees the other.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/wake.h"

#define BELLS (WAKE_WORKERS + WAKE_ACCEPTORS) /* those of acceptors come last */
#define READ_TRIES 1000                       /* then what is being written is taken as it is */
#define HUNGRY_WORDS (BELLS / 64)

struct shared {
	_Atomic uint64_t hungry[HUNGRY_WORDS]; /* a bit for each bell */
	_Atomic uint32_t ready[WAKE_LANES];
	_Atomic uint32_t lower[WAKE_LANES];
	_Atomic uint32_t pauses;
	_Atomic bool namesake;
	_Atomic int64_t looked_at;
	_Atomic uint32_t sweeps;
	_Atomic uint32_t paused_turn; /* odd while it is being written */
	struct wake_paused paused[WAKE_PAUSED];
	int npaused;
	atomic_bool letter;         /* one was written */
	_Atomic uint32_t dead_turn; /* as paused_turn */
	struct wake_dead dead;
};

struct wake {
	struct shared *shared;
	int bells[BELLS];
	int keeper_fd;
};

static int
bell_new(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void
bell_ring(int fd)
{
	uint64_t one = 1;

	/* EAGAIN means that it has rung 2^64-2 times and nobody came: it is readable anyway. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

struct wake *
wake_new(void)
{
	struct wake *w = mem_alloc(sizeof(*w));
	bool good;
	int i;

	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	good = w->shared != MAP_FAILED;
	for (i = 0; good && i < BELLS; i++)
		good = (w->bells[i] = bell_new()) >= 0;
	w->keeper_fd = good ? bell_new() : -1;
	if (w->keeper_fd < 0)
		mem_free(&w);
	return w;
}

int
wake_worker_fd(const struct wake *w, int worker)
{
	ASSERT(worker >= 0 && worker < WAKE_WORKERS);
	return w->bells[worker];
}

int
wake_acceptor_fd(const struct wake *w, int acceptor)
{
	ASSERT(acceptor >= 0 && acceptor < WAKE_ACCEPTORS);
	return w->bells[WAKE_WORKERS + acceptor];
}

static void
bell_hungry(struct wake *w, int bell, bool hungry)
{
	uint64_t bit = UINT64_C(1) << ((unsigned)bell % 64);

	if (hungry)
		atomic_fetch_or(&w->shared->hungry[bell / 64], bit);
	else
		atomic_fetch_and(&w->shared->hungry[bell / 64], ~bit);
}

void
wake_worker_hungry(struct wake *w, int worker, bool hungry)
{
	ASSERT(worker >= 0 && worker < WAKE_WORKERS);
	bell_hungry(w, worker, hungry);
}

void
wake_acceptor_hungry(struct wake *w, int acceptor, bool hungry)
{
	ASSERT(acceptor >= 0 && acceptor < WAKE_ACCEPTORS);
	bell_hungry(w, WAKE_WORKERS + acceptor, hungry);
}

bool
wake_workers_waiting(const struct wake *w)
{
	for (int i = 0; i < WAKE_WORKERS / 64; i++)
		if (atomic_load(&w->shared->hungry[i]) != 0)
			return true;
	return false;
}

void
wake_workers_ring(struct wake *w)
{
	int i;

	for (i = 0; i < HUNGRY_WORDS; i++) {
		uint64_t hungry = atomic_load(&w->shared->hungry[i]);

		/* Of several acceptors the one that takes the bits away rings. */
		if (hungry != 0)
			hungry &= atomic_fetch_and(&w->shared->hungry[i], ~hungry);
		for (; hungry != 0; hungry &= hungry - 1)
			bell_ring(w->bells[i * 64 + __builtin_ctzll(hungry)]);
	}
}

int
wake_keeper_fd(const struct wake *w)
{
	return w->keeper_fd;
}

void
wake_keeper_ring(struct wake *w)
{
	bell_ring(w->keeper_fd);
}

void
wake_hush(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* nobody rang */
}

static uint32_t
place(int32_t lane)
{
	return (uint32_t)lane % WAKE_LANES;
}

void
wake_lane_ready(struct wake *w, int32_t lane)
{
	atomic_fetch_add(&w->shared->ready[place(lane)], 1);
}

void
wake_lane_lower(struct wake *w, int32_t lane)
{
	atomic_fetch_add(&w->shared->lower[place(lane)], 1);
}

void
wake_pauses_changed(struct wake *w)
{
	int i;

	atomic_fetch_add(&w->shared->pauses, 1);
	for (i = 0; i < BELLS; i++)
		bell_ring(w->bells[i]);
}

void
wake_sweeps_changed(struct wake *w)
{
	atomic_fetch_add(&w->shared->sweeps, 1);
	wake_keeper_ring(w);
}

uint32_t
wake_sweeps_count(const struct wake *w)
{
	return atomic_load(&w->shared->sweeps);
}

uint32_t
wake_pauses_count(const struct wake *w)
{
	return atomic_load(&w->shared->pauses);
}

void
wake_looked(struct wake *w, int64_t at)
{
	atomic_store(&w->shared->looked_at, at);
}

int64_t
wake_looked_at(const struct wake *w)
{
	return atomic_load(&w->shared->looked_at);
}

/* A keeper that died while it wrote left an odd turn: the next one goes on from there. */
void
wake_paused_set(struct wake *w, const struct wake_paused *all, int n)
{
	struct shared *s = w->shared;

	atomic_store(&s->paused_turn, atomic_load(&s->paused_turn) | 1);
	s->npaused = n < WAKE_PAUSED ? n : WAKE_PAUSED;
	memcpy(s->paused, all, sizeof(*all) * (size_t)s->npaused);
	atomic_fetch_add(&s->paused_turn, 1);
}

int
wake_paused(const struct wake *w, struct wake_paused all_r[WAKE_PAUSED])
{
	const struct shared *s = w->shared;
	uint32_t turn = 1;
	int n = 0;

	for (int tries = 0; tries < READ_TRIES && ((turn & 1) != 0 || turn != atomic_load(&s->paused_turn)); tries++) {
		turn = atomic_load(&s->paused_turn);
		n = s->npaused;
		memcpy(all_r, s->paused, sizeof(s->paused));
	}
	return n;
}

void
wake_namesake_set(struct wake *w, bool lives)
{
	atomic_store(&w->shared->namesake, lives);
}

bool
wake_namesake(const struct wake *w)
{
	return atomic_load(&w->shared->namesake);
}

void
wake_letter(struct wake *w)
{
	if (!atomic_exchange(&w->shared->letter, true))
		wake_keeper_ring(w);
}

bool
wake_letter_take(struct wake *w)
{
	return atomic_exchange(&w->shared->letter, false);
}

void
wake_dead_set(struct wake *w, const struct wake_dead *all)
{
	struct shared *s = w->shared;

	atomic_store(&s->dead_turn, atomic_load(&s->dead_turn) | 1);
	s->dead = *all;
	atomic_fetch_add(&s->dead_turn, 1);
}

void
wake_dead(const struct wake *w, struct wake_dead *all_r)
{
	const struct shared *s = w->shared;
	uint32_t turn = 1;

	*all_r = (struct wake_dead){ 0 };
	for (int tries = 0; tries < READ_TRIES && ((turn & 1) != 0 || turn != atomic_load(&s->dead_turn)); tries++) {
		turn = atomic_load(&s->dead_turn);
		*all_r = s->dead;
	}
}

uint32_t
wake_lane_ready_count(const struct wake *w, int32_t lane)
{
	return atomic_load(&w->shared->ready[place(lane)]);
}

uint32_t
wake_lane_lower_count(const struct wake *w, int32_t lane)
{
	return atomic_load(&w->shared->lower[place(lane)]);
}
