/* run_alarm.h - a command that calls somebody, when Postgres is away: the handler that work.alarm names. */
#ifndef RUN_RUN_ALARM_H
#define RUN_RUN_ALARM_H

#include "base/base.h"

struct exec_env;
struct run_alarm;

struct run_alarm *run_alarm_new(const struct exec_env *env) MUSTCHECK; /* the environment outlives it */
void run_alarm_free(struct run_alarm **a);
/* Starts the command with {"event", "why", "outcomes"} on its stdin; nothing where no alarm is configured, or one is running. */
void run_alarm_ring(struct run_alarm *a, const char *event, const char *why, int64_t outcomes);

#endif
