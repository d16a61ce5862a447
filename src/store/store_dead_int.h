/* store_dead_int.h - what the files of dead letters share inside this room.
 */
#ifndef STORE_STORE_DEAD_INT_H
#define STORE_STORE_DEAD_INT_H

#include "store/store_dead.h"
#include "store/store_int.h"

/* The parameters by which a statement narrows causes, eight in this order: queue text, task type text, reason text, class int2, code text,
 * fingerprint uuid, cause int4, schema_version text; null: any.  store_dead.c */
void dead_bind_causes(struct stmt *t, const struct store_dead_filter *f);
/* And letters, four: label name text, label value text, died_after timestamptz, died_before timestamptz; null: any. */
void dead_bind_letters(struct stmt *t, const struct store_dead_filter *f);
void dead_bind_text(struct stmt *t, struct span s); /* empty: null */

#endif
