/* keep_duty.c - the table of the keeper's duties; a new one is a word in keep_duty.h, a row here, a line in the head of keep.h.
 *
 * A duty that would look every few seconds belongs to those that the watch tells of: store/store_watch.h.
 */
#include "base/clock.h"
#include "stats/stats.h"
#include "store/store_dead.h"
#include "store/store_sweep.h"
#include "store/store_upkeep.h"

#include "keep/keep_duty.h"

#define MINUTE (60 * CLOCK_SECOND)

const struct duty_row duty_rows[DUTIES] = {
	[DUTY_BOOT] = { "boot", store_release_boot, 0, -1, S_REAPED },
	[DUTY_WATCH] = { "watch", store_watch, CLOCK_SECOND, 5 * CLOCK_SECOND, -1 },
	[DUTY_PROMOTE] = { "promote", store_promote, 0, 5 * CLOCK_SECOND, S_PROMOTED },
	[DUTY_REAP] = { "reap", store_reap, CLOCK_SECOND, 5 * CLOCK_SECOND, S_REAPED },
	[DUTY_LAPSE] = { "lapse", store_lapse, CLOCK_SECOND, 5 * CLOCK_SECOND, S_REAPED },
	[DUTY_PARTITIONS] = { "partitions", store_partitions, 60 * MINUTE, 60 * MINUTE, -1 },
	[DUTY_PURGE] = { "purge", store_purge_keys, CLOCK_SECOND, MINUTE, -1 },
	[DUTY_DEPTH] = { "depth", store_depth, CLOCK_SECOND, 10 * MINUTE, -1 },
	[DUTY_NAMES] = { "names", store_purge_names, CLOCK_SECOND, MINUTE, -1 },
	[DUTY_PROGRESS] = { "progress", store_purge_progress, CLOCK_SECOND, MINUTE, -1 },
	[DUTY_PAUSES] = { "pauses", store_watch_pauses, 5 * CLOCK_SECOND, 5 * CLOCK_SECOND, -1 },
	[DUTY_SPOOL] = { "spool", NULL, CLOCK_SECOND, MINUTE, -1 },
	[DUTY_ESCALATE] = { "escalate", NULL, CLOCK_SECOND, 60 * MINUTE, -1 },
	[DUTY_SWEEP] = { "sweep", store_sweep, 100 * CLOCK_MS, 5 * CLOCK_SECOND, -1 },
	[DUTY_FILE] = { "file", store_file_letters, 0, CLOCK_SECOND, -1 },
	[DUTY_LETTERS] = { "letters", store_watch_letters, 5 * CLOCK_SECOND, 5 * CLOCK_SECOND, -1 },
	[DUTY_PURGE_LETTERS] = { "purge letters", store_purge_letters, CLOCK_SECOND, MINUTE, S_LETTERS_PURGED },
	[DUTY_UPKEEP] = { "upkeep", store_upkeep, MINUTE, MINUTE, -1 },
	[DUTY_EXPIRE] = { "expire", store_expire, 0, 5 * CLOCK_SECOND, S_EXPIRED },
};

const enum store_due duty_told_of[DUTIES] = {
	[DUTY_PROMOTE] = STORE_DUE_PROMOTE,
	[DUTY_REAP] = STORE_DUE_REAP,
	[DUTY_LAPSE] = STORE_DUE_LAPSE,
	[DUTY_PAUSES] = STORE_DUE_PAUSES,
	[DUTY_EXPIRE] = STORE_DUE_EXPIRE,
	[DUTY_SWEEP] = STORE_DUE_SWEEP,
	[DUTY_FILE] = STORE_DUE_LETTERS,
	[DUTY_LETTERS] = STORE_DUE_CAUSES,
	[DUTY_ESCALATE] = STORE_DUE_CAUSES,
};

/* Of causes the watch tells that they have changed, and not that time has passed. */
bool
duty_is_told(int kind, int64_t count, int64_t next)
{
	enum store_due told = duty_told_of[kind];

	if (told == STORE_DUE_NONE || count != 0)
		return false;
	return next < 0 || (next >= duty_rows[kind].idle && told != STORE_DUE_CAUSES);
}
