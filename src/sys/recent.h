/* recent.h - what the processes of one node remember together for a while: records of a fixed size under 16-byte keys.
 *
 * Made by the supervisor before the first fork.  Nothing is promised but that what is found is what was put: a record may be forgotten at any
 * time for another, and one that is half written, by a process that was killed or by two at once, is not found.  No lock: each record
 * carries a checksum of its bytes.
 */
#ifndef SYS_RECENT_H
#define SYS_RECENT_H

#include "base/base.h"
#include "base/id.h"

#define RECENT_VALUE 104 /* bytes of a value, its unused end included */
#define RECENT_RECORD 128

struct recent;
struct recent *recent_new(int64_t bytes) MUSTCHECK; /* for at least one record; null + errno */
void recent_free(struct recent **r);
void recent_put(struct recent *r, const struct id *key, const void *value);
bool recent_get(const struct recent *r, const struct id *key, void *value_r) MUSTCHECK;

#endif
