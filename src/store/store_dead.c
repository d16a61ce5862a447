/* store_dead.c - filters of dead letters: as parameters of statements, and copied.  Next: store_dead_file.c, store_dead_read.c. */
#include <string.h>

#include "store/store_dead_int.h"

bool
store_dead_filter_is_empty(const struct store_dead_filter *f)
{
	return f->queue.len == 0 && f->task_type.len == 0 && f->reason.len == 0 && f->code.len == 0 &&
	       f->class == TASK_CLASS_NONE && id_is_zero(&f->fingerprint) && f->cause == 0 &&
	       f->schema_version.ptr == NULL && f->label_name.len == 0 && f->died_after == 0 && f->died_before == 0 &&
	       f->nids == 0;
}

void
dead_bind_text(struct stmt *t, struct span s)
{
	if (s.len > 0)
		stmt_text(t, s);
	else
		stmt_null(t);
}

void
dead_bind_causes(struct stmt *t, const struct store_dead_filter *f)
{
	dead_bind_text(t, f->queue);
	dead_bind_text(t, f->task_type);
	dead_bind_text(t, f->reason);
	if (f->class != TASK_CLASS_NONE)
		stmt_int2(t, (int)f->class);
	else
		stmt_null(t);
	dead_bind_text(t, f->code);
	if (!id_is_zero(&f->fingerprint))
		stmt_uuid(t, &f->fingerprint);
	else
		stmt_null(t);
	if (f->cause != 0)
		stmt_int4(t, f->cause);
	else
		stmt_null(t);
	if (f->schema_version.ptr != NULL)
		stmt_text(t, f->schema_version);
	else
		stmt_null(t);
}

void
dead_bind_letters(struct stmt *t, const struct store_dead_filter *f)
{
	dead_bind_text(t, f->label_name);
	if (f->label_name.len > 0)
		stmt_text(t, f->label_value);
	else
		stmt_null(t);
	stmt_time(t, f->died_after);
	stmt_time(t, f->died_before);
}
