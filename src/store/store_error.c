/* store_error.c - SQLSTATE -> what to do, said once.
 *
 * The first row that fits decides; a row of two characters is a whole class.  A lost line has no SQLSTATE and is not asked here: before the
 * Sync was sent it is certain that nothing happened, after it nothing is certain.  Next: store_pool.c, which acts on it.
 */
#include <string.h>

#include "store/store_int.h"

static const struct {
	const char *state;
	enum store_action action;
} actions[] = {
	{ "40001", ACTION_RESEND },    /* serialization failure; also a shard that moved */
	{ "40P01", ACTION_RESEND },    /* deadlock: the same ids again */
	{ "55P03", ACTION_SPLIT },     /* lock_timeout: somebody holds a key of the batch */
	{ "57014", ACTION_SPLIT },     /* statement_timeout: too much at once */
	{ "22", ACTION_SPLIT },        /* data: one row is poison */
	{ "23", ACTION_SPLIT },        /* constraint: the same */
	{ "26000", ACTION_REPREPARE }, /* a pooler gave us a server connection that never saw our names */
	{ "42P05", ACTION_REPREPARE }, /* or one that has them already */
	{ "0A000", ACTION_REPREPARE }, /* cached plan must not change result type */
	{ "25006", ACTION_RECONNECT }, /* read-only: this was the primary once */
	{ "25P03", ACTION_RECONNECT }, /* idle in transaction */
	{ "57P", ACTION_RECONNECT },   /* shutdown, crash, starting up, dropped */
	{ "08", ACTION_RECONNECT },    /* the line */
	{ "53300", ACTION_RECONNECT }, /* too many connections */
	{ "53", ACTION_SHED },         /* disk full, out of memory */
	{ "58", ACTION_SHED },         /* the server's machine */
};

enum store_action
store_error_action(const char *sqlstate)
{
	size_t i;

	if (sqlstate == NULL || sqlstate[0] == '\0')
		return ACTION_RECONNECT;
	for (i = 0; i < ARRAY_LEN(actions); i++)
		if (strncmp(sqlstate, actions[i].state, strlen(actions[i].state)) == 0)
			return actions[i].action;
	return ACTION_GIVE_UP;
}

bool
store_error_is_lock(const char *sqlstate)
{
	return strcmp(sqlstate, "55P03") == 0;
}

bool
store_error_is_data(const char *sqlstate)
{
	return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0;
}

bool
store_error_is_final(const char *sqlstate, const char *constraint)
{
	return store_error_is_data(sqlstate) && (strncmp(sqlstate, "23514", 5) != 0 || constraint != NULL);
}
