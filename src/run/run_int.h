/* run_int.h - what the files of the machine share; see run.h for the map. */
#ifndef RUN_RUN_INT_H
#define RUN_RUN_INT_H

#include "base/clock.h"
#include "base/list.h"
#include "log/log.h"
#include "stats/stats.h"

#include "run/exec.h"
#include "run/launch_client.h"
#include "run/run.h"
#include "run/run_order.h"
#include "run/run_outcome.h"

/* A lease as far as this process knows it. */
struct run_lease {
	struct list node;
	struct store_lease lease;
	int tasks;      /* of it that are still here, in any state */
	bool give_back; /* wanted: from `from` on */
	struct id from;
	bool started; /* tasks among those were started and stopped */
	bool untidy;  /* cut or cancelled: when its last task leaves, the rest is given back whole, which removes it */
	bool sent;    /* a give-back of it is under way */
};

enum run_task_state { RUN_QUEUED, RUN_RUNNING, RUN_ENDED, RUN_SENT, RUN_TASK_STATES };

/* Why a running task is being stopped. */
enum run_stop { RUN_STOP_NONE, RUN_STOP_TIMEOUT, RUN_STOP_CANCELLED, RUN_STOP_LOST, RUN_STOP_DRAIN };

struct run_task {
	unsigned magic;
	struct run *run;
	struct list node; /* of run->tasks[state] */
	enum run_task_state state;
	struct run_lease *lease;
	struct task_row row; /* spans in the arena */
	struct run_history history;
	int handler; /* index in conf->handlers; -1: none */
	struct exec_run exec;
	struct arena *arena;
	bool waits;               /* running, but its handler has something else to do first */
	struct list of_limit;     /* of its handler, while its time runs */
	int64_t due_at;           /* clock_now(): its time is over */
	struct loop_timer *timer; /* patience, of what was asked to stop */
	enum run_stop stop;
	bool killed;        /* SIGKILL is sent */
	int64_t queued_at;  /* clock_now() */
	int64_t started_at; /* begun */
	int64_t ended_at;
	int64_t started_db; /* the database's clock */
	struct run_verdict verdict;
	int64_t mark_of; /* identity that it is marked under as started; 0: not */
	int mark;
	struct run_progress *progress; /* null: it said nothing */
	struct guard_pass pass;        /* while running */
	uint32_t spooled;              /* its outcome goes to disk with this batch, or went; 0: no */
};
#define RUN_TASK_MAGIC 0x7461736bu

/* --- lanes: run_lane.c and run_claim.c ------------------------------------------------------------------------------------------ */

#define RUN_HEADS 8    /* of a lane, the best; more of them show when these are gone */
#define RUN_PROBES 128 /* of a claim */
#define RUN_TURNS 64

struct run_head {
	int prio;
	bool hot;        /* may hold something: seen, or its last claim was full */
	struct id mark;  /* as a look saw it; zero: none did */
	struct id first; /* its oldest task, as far as known */
};

struct run_lane {
	int32_t lane;
	int handler; /* index in conf->handlers; -1: none, its tasks are claimed to be buried when nobody else has one */
	bool paused;
	bool news;     /* its bell rang: it may hold what no look saw */
	uint32_t rung; /* count of its bell when last heard */
	int prio;      /* of what it held last */
	int64_t used;  /* clock_now(): asked, or rung for */
	int64_t seen;  /* database clock: what its heads tell is of then or later; 0: no look told of it */
	uint64_t queue_key, group_key;
	int exact;    /* its queue, index in exact.all; -1: without exact limits */
	int64_t rest; /* clock_now(): not asked before, for what it holds cannot start */
	int taker;    /* its group, index in lanes.takers */
	int nheads;
	struct run_head heads[RUN_HEADS]; /* by prio */
};

struct run_lanes {
	struct run_lane *all; /* sorted by number */
	int n;
	struct run_takers takers;   /* sorted by key */
	uint32_t heard[WAKE_LANES]; /* every bell, to notice lanes that are not known yet */
	uint8_t known[WAKE_LANES];
	uint32_t own[WAKE_LANES]; /* of what the bells rang, what claims of this worker did, but for exact ones */
	struct loop_fd *bell;
	struct loop_timer *look; /* when to read the lanes again */
	int32_t look_after;      /* where the next look begins: 0, unless the last one could not show all */
	int64_t pause;           /* until the look after the next */
	int64_t rest;            /* least time from the end of the last look to the next that nobody rang for */
	int64_t looked_at;
	int64_t looked_db; /* the same by the database's clock */
	bool looking;
	bool look_shared; /* the next is one of those at rest, of which one for the node is enough */
	bool look_due;    /* put off while there is no room */
	uint32_t pauses,
	    pauses_asked; /* changes of pauses that the lanes know of, and those that the look under way will */
	int npaused;
	/* of the claim under way */
	struct store_probe probes[RUN_PROBES];
	bool were_hot[RUN_PROBES]; /* their heads, before they were asked */
	int nprobes;
	int turns[RUN_TURNS];
	int nturns;
};

/* --- exact limits: run_exact.c -------------------------------------------------------------------------------------------------- */

struct run_exact_queue {
	char *name;
	struct store_limits limits; /* none: it has lanes in order */
	int64_t asked_at;
	int64_t rest; /* clock_now(): not asked before */
	bool rated;   /* a rate says so: nothing that ends makes it sooner */
	bool left;    /* the last claim left something */
	int ended;    /* tasks of it in the step under way, the last of this lane */
	int32_t ended_lane;
};

struct run_exact {
	struct run_exact_queue *all;
	int n;
	int asked; /* by the claim under way; -1: that is of lanes without limits */
	struct store_exact claim;
	struct loop_timer *timer; /* a rest is over */
};

/* --- a step under way: run_step.c ------------------------------------------------------------------------------------------------ */

struct run_step {
	bool flying;
	bool resting; /* the next waits for more to carry */
	bool urgent;  /* what ended holds up others: it is counted, or in an order */
	struct loop_timer *rest;
	int64_t answered_at;  /* clock_now(), of the last one */
	int64_t inc;          /* whose step it is */
	struct buf outcomes;  /* struct store_outcome */
	struct buf tasks;     /* struct run_task *, in the same order */
	struct buf givebacks; /* struct store_giveback */
	struct buf leases;    /* struct run_lease *, in the same order */
};

struct run_handler {
	int busy; /* tasks of it queued and running */
	int queued;
	int limit;   /* 0: none of its own */
	int room;    /* tasks of it that could start beside those that are here, when that was asked last;
				        INT_MAX: nothing but the slots limits them */
	bool barred; /* it was not let in, and its pause is being written: nothing of it is started */
	struct guard_handler *guard; /* null: nobody guards */
	struct guard_rule rule;
	struct list limits; /* struct run_task, those whose time runs; the first is due first */
	struct loop_timer *limit_timer;
};

enum run_phase { RUN_WORKING, RUN_DRAINING, RUN_STOPPING, RUN_DRAINED };

struct run {
	unsigned magic;
	struct run_options o;
	const struct conf *conf;
	struct exec_env env;
	enum run_phase phase;
	struct loop_timer *turn;
	struct loop_timer *last_call; /* after run_now(): then it is over, clean or not */
	int64_t grace;                /* between SIGTERM and SIGKILL */
	struct list tasks[RUN_TASK_STATES];
	int count[RUN_TASK_STATES];
	int waiting; /* of those running */
	struct list leases;
	struct run_handler *handlers;
	struct loop_timer *guarded; /* a handler that holds its tasks back may let some go */
	struct loop_timer *queue;   /* the oldest queued task has waited long enough */
	int64_t lately_since;       /* ends are counted in windows: the prefetch grows with the pace */
	int lately, before;
	double bytes_each; /* payload of a task, on average */
	struct run_step step;
	struct run_lanes lanes;
	struct run_exact exact;
	struct loop_timer *beat;
	bool beating;
	int64_t beat_period; /* that the timer was set for */
	uint64_t dice;
	struct {
		int64_t inc; /* whose; 0: none yet */
		int table;   /* -1: there is no room */
	} marks;
	struct loop_timer *tell; /* when progress is told to the store */
	struct run_spool *spool; /* null: nothing is kept on disk */
	bool telling;            /* it is, now */
	int64_t told_at;
};
#define RUN_MAGIC 0x72756e21u

/* run.c */
void run_turn_soon(struct run *r);           /* something changed: look at everything on the next turn */
int run_room(const struct run *r);           /* tasks that may be claimed now */
int run_prefetch(const struct run *r);       /* tasks that may wait here beside those in slots */
void run_pace(struct run *r, int64_t now);   /* counts an end */
int run_each_second(const struct run *r);    /* tasks that end in a second, at the pace of late */
void run_weigh(struct run *r, size_t bytes); /* counts an arrival */
double run_dice(struct run *r);
int run_limit(const struct run *r, int handler); /* tasks of it that may be here; 0: no limit of its own */

/* run_task.c */
void run_task_claimed(struct run *r, const struct store_claimed *c); /* into the queue, or ended at once */
void run_task_fill(struct run *r);                                   /* starts what there are slots for */
void run_task_move(struct run_task *t, enum run_task_state to);
void run_task_leave(struct run_task *t); /* out of the machine; its lease hears of it */
void run_task_drop(struct run_task *t);  /* the same for a running one at the end of the process */
struct run_task *run_task_find(struct run *r, enum run_task_state state, const struct id *id);

/* run_time.c */
void run_time_open(struct run *r);
void run_time_close(struct run *r);
void run_time_begin(struct run_task *t); /* its time runs */
void run_time_leave(struct run_task *t);
void run_task_stop(struct run_task *t, enum run_stop why);

/* run_mark.c */
void run_mark(struct run_task *t); /* before its start */
void run_unmark(struct run_task *t);
void run_mark_leave(struct run *r);

/* run_auth.c */
void run_auth_failed(struct run_task *t); /* pauses its handler for all */

/* run_lease.c */
struct run_lease *run_lease_take(struct run *r, const struct store_lease *lease);
void run_lease_release(struct run *r, struct run_lease *l); /* one task less */
void run_lease_give_back(struct run_lease *l, const struct id *from, bool started);
bool run_lease_due(
    struct run *r, struct run_lease *l, struct store_giveback *g_r); /* fills what can be given back now */
void run_lease_given(struct run *r, struct run_lease *l);
void run_lease_queue(struct run *r); /* gives back what waits too long, or all when draining */
void run_lease_beat(struct run *r);  /* sets the timer */
void run_lease_on_beat(void *arg);
void run_lease_lose(struct run *r); /* identity lost */

/* run_step.c */
void run_step_open(struct run *r);
void run_step_send(struct run *r);
struct store_outcome run_step_outcome(const struct run_task *t) MUSTCHECK; /* of one that has ended */
bool run_step_only_claims(const struct run *r); /* nothing of ours depends on the step under way */
void run_step_free(struct run *r);

/* run_exact.c */
bool run_exact_limits(const struct conf *c, struct span queue, struct store_limits *limits_r); /* false: it has none */
int run_exact_of(struct run *r, struct span queue, struct span ordering_key); /* -1: a lane without exact limits */
int run_exact_room(const struct run *r,
    const struct run_lane *lane); /* tasks of it that may be claimed now; INT_MAX: of any other lane */
void run_exact_rung(struct run *r, struct run_lane *lane);
void run_exact_ended(struct run *r); /* of the tasks whose outcomes the step takes along, before run_choose() */
void run_exact_chosen(struct run *r, int queue, int room); /* what was chosen is of one such queue; -1: it is not */
void run_exact_answered(struct run *r, const struct store_stepped *s);
void run_exact_open(struct run *r);
void run_exact_close(struct run *r);
/* run_guard.c */
void run_guard_open(struct run *r);
int run_guard_room(const struct run *r, int handler);   /* tasks of it that are worth claiming; INT_MAX: no limit */
bool run_guard_holds(const struct run *r, int handler); /* its breaker lets none start now */
void run_guard_rest(struct run *r);                     /* when to look again */
bool run_guard_start(struct run_task *t) MUSTCHECK;     /* false: not now */
void run_guard_forget(struct run_task *t);              /* its run tells nothing: it did not start, or we stopped it */
enum guard_result run_guard_result(const struct exec_end *end); /* what an end tells of the handler */
/* A handler that is guarded, and who is told of it: for runs of workers and of clients. */
struct run_guarded {
	const struct conf_handler *handler;
	struct guard_handler *guard;
	const struct guard_rule *rule;
	struct wake *wake;
};
void run_guard_tell(const struct run_guarded *g, enum guard_event event, int64_t now);
void run_guard_ended(struct run_task *t); /* after its verdict, which may have to wait longer */

/* run_lane.c */
void run_lane_merge(struct run *r, const struct store_look *look, int32_t after);
struct run_lane *run_lane_find(const struct run *r, int32_t number);
struct run_head *run_lane_head(struct run_lane *lane, int prio); /* null: not known */
void run_lane_took(
    struct run *r, struct run_lane *lane, const struct store_claimed *c, bool more); /* its head moves on */
int run_lane_known(const struct run *r, int32_t *known_r, int most);                 /* those that were used last */
uint32_t run_lane_bells(const struct run *r, int32_t number);
bool run_lane_hot(const struct run_lane *lane);
int64_t run_lane_head_rank(const struct run *r, const struct run_head *h);
/* The best of it, as run_order_rank(); what only its bell told is as old as now. */
int64_t run_lane_rank(const struct run *r, const struct run_lane *lane, int64_t now);

/* run_choose.c */
void run_choose(struct run *r); /* fills lanes.probes and turns; none: nothing to ask for */

/* run_claim.c */
void run_claim_open(struct run *r);
void run_claim_close(struct run *r);
void run_claim_stop(struct run *r);   /* draining: deaf and not hungry */
void run_claim_listen(struct run *r); /* hears the bells of known lanes */
void run_claim_rooms(struct run *r);  /* before those of lanes: what each handler has */
int run_claim_lane_room(const struct run *r, const struct run_lane *lane); /* 0: not to be asked; INT_MAX: no limit */
void run_claim_answered(struct run *r, const struct store_stepped *s);
void run_claim_rest(struct run *r); /* hungry or not; looks when it is due */
bool run_claim_paused(struct run *r, int32_t lane);

/* run_progress.c */
void run_progress_open(struct run *r);
void run_progress_close(struct run *r);
void run_progress_heard(struct exec_run *x, int percent, struct span note);

/* run_spool.c */
void run_spool_open(struct run *r);
void run_spool_turn(struct run *r);           /* something may have to be written, or nothing any more */
void run_spool_left(struct run_task *t);      /* its outcome was answered, or is forgotten */
int run_spool_flush(struct run *r) MUSTCHECK; /* blocks; outcomes that are on disk now */
void run_spool_close(struct run *r);          /* before the tasks go: what waits stays on disk */

/* run_result.c */
void run_result_check(struct run_task *t); /* a result that its queue does not take is a failure */
bool run_result_kept(const struct run_task *t);

/* run_pause.c */
bool run_pause_unseen(const struct run *r);    /* they changed, and no look knows of it yet: start nothing */
bool run_pause_changed(const struct run *r);   /* the look that answers now knows of more */
bool run_pause_must_look(const struct run *r); /* nor will the one under way */
void run_pause_look(struct run *r);            /* a look begins, */
void run_pause_looked(struct run *r);          /* and ended */
void run_pause_give_back(struct run *r);       /* what has not started of what is paused */

#endif
