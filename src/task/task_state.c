/* task_state.c - the states of a task and the moves between them, from states.def.
 *
 * Owns the transition table and the words for it.  Nothing else in the program decides whether a move is legal; the SQL
 * checks are made from the same rows.  The diagram is in README beside this file.
 */
#include "task/task.h"

static const char *const state_names[TASK_STATES] = {
	[TASK_NEW] = "new",
	[TASK_READY] = "ready",
	[TASK_WAITING] = "waiting",
	[TASK_LEASED] = "leased",
	[TASK_SUCCEEDED] = "succeeded",
	[TASK_FAILED] = "failed",
	[TASK_CANCELLED] = "cancelled",
	[TASK_DEAD] = "dead",
};

/* The API does not tell ready from waiting: run_at says when.  A new task is pending once it
 * can be asked for. */
static const char *const status_words[TASK_STATES] = {
	[TASK_NEW] = "pending",
	[TASK_READY] = "pending",
	[TASK_WAITING] = "pending",
	[TASK_LEASED] = "processing",
	[TASK_SUCCEEDED] = "succeeded",
	[TASK_FAILED] = "failed",
	[TASK_CANCELLED] = "cancelled",
	[TASK_DEAD] = "dead_letter",
};

static const char *const event_names[TASK_EVENTS] = {
#define TRANSITION_EVENT(name, text) [TASK_EV_##name] = text,
#define TRANSITION(from, event, to)
#include "task/states.def"
#undef TRANSITION_EVENT
#undef TRANSITION
};

/* The target plus one, so that an entry nobody wrote means illegal. */
static const uint8_t moves[TASK_STATES][TASK_EVENTS] = {
#define TRANSITION_EVENT(name, text)
#define TRANSITION(from, event, to) [TASK_##from][TASK_EV_##event] = TASK_##to + 1,
#include "task/states.def"
#undef TRANSITION_EVENT
#undef TRANSITION
};

const char *
task_state_name(enum task_state s)
{
	ASSERT((unsigned)s < TASK_STATES);
	return state_names[s];
}

const char *
task_event_name(enum task_event e)
{
	ASSERT((unsigned)e < TASK_EVENTS);
	return event_names[e];
}

const char *
task_status_word(enum task_state s)
{
	ASSERT((unsigned)s < TASK_STATES);
	return status_words[s];
}

bool
task_status_parse(struct span word, enum task_state *s_r)
{
	static const enum task_state by_word[] = { TASK_READY, TASK_LEASED, TASK_SUCCEEDED, TASK_FAILED, TASK_CANCELLED,
		TASK_DEAD };

	for (size_t i = 0; i < ARRAY_LEN(by_word); i++)
		if (span_is(word, status_words[by_word[i]])) {
			*s_r = by_word[i];
			return true;
		}
	return false;
}

enum task_state
task_state_next(enum task_state from, enum task_event why)
{
	ASSERT((unsigned)from < TASK_STATES && (unsigned)why < TASK_EVENTS);
	if (moves[from][why] == 0)
		return TASK_STATES;
	return (enum task_state)(moves[from][why] - 1);
}

bool
task_state_is_final(enum task_state s)
{
	return s == TASK_SUCCEEDED || s == TASK_FAILED || s == TASK_CANCELLED || s == TASK_DEAD;
}
