/* log.h - one line per event: who, which, what, why.
 *
 * A line has a level, a fixed message and typed fields, written as logfmt or JSON with one write(2).  The prefix says
 * ts, level, role and pid.  The message is lower case, without a full stop, and says what was attempted.  Expected trouble is
 * not an error.  Identical lines (same message) of level warning and above are limited to LOG_BURST in ten seconds; the next
 * one that passes carries suppressed=N.
 *
 *	log_info("task finished", log_id("task_id", &id), log_int("attempt", 2), log_str("outcome", "succeeded"));
 *
 * Never logged: payloads, results, keys, secrets.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/base.h"
#include "base/id.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_CRIT };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
#define LOG_BURST 5

enum log_kind { LOG_KIND_NONE, LOG_KIND_STR, LOG_KIND_SPAN, LOG_KIND_INT, LOG_KIND_UINT, LOG_KIND_SECONDS, LOG_KIND_ID };

struct log_field {
	const char *key;
	enum log_kind kind;
	union {
		const char *str;
		struct span span;
		int64_t num;
		uint64_t unum;
		double seconds;
		const struct id *id;
	} as;
};

#define log_str(k, v) ((struct log_field){ (k), LOG_KIND_STR, { .str = (v) } })     /* null is left out */
#define log_span(k, v) ((struct log_field){ (k), LOG_KIND_SPAN, { .span = (v) } })  /* empty is left out */
#define log_int(k, v) ((struct log_field){ (k), LOG_KIND_INT, { .num = (v) } })
#define log_uint(k, v) ((struct log_field){ (k), LOG_KIND_UINT, { .unum = (v) } })
#define log_seconds(k, us) ((struct log_field){ (k), LOG_KIND_SECONDS, { .seconds = (double)(us) / 1e6 } })
#define log_id(k, v) ((struct log_field){ (k), LOG_KIND_ID, { .id = (v) } })
#define log_errno(e) log_str("error", strerror(e))

#define LOG_FIELDS(...) (struct log_field[]){ { 0 }, ##__VA_ARGS__ }
#define log_at(level, msg, ...) \
	log_write((level), (msg), LOG_FIELDS(__VA_ARGS__), ARRAY_LEN((LOG_FIELDS(__VA_ARGS__))))
#define log_debug(msg, ...) log_at(LOG_LEVEL_DEBUG, msg, ##__VA_ARGS__)
#define log_info(msg, ...) log_at(LOG_LEVEL_INFO, msg, ##__VA_ARGS__)
#define log_notice(msg, ...) log_at(LOG_LEVEL_NOTICE, msg, ##__VA_ARGS__)
#define log_warning(msg, ...) log_at(LOG_LEVEL_WARNING, msg, ##__VA_ARGS__)
#define log_error(msg, ...) log_at(LOG_LEVEL_ERROR, msg, ##__VA_ARGS__)
#define log_crit(msg, ...) log_at(LOG_LEVEL_CRIT, msg, ##__VA_ARGS__)

struct log_settings {
	const char *target; /* "stderr", "syslog" or a path */
	enum log_level level;
	enum log_format format;
};

/* Returns 0, or an errno value when the file cannot be opened (then the earlier target stays); ELOOP: it is a link that neither root nor
 * we have made. */
int log_open(const struct log_settings *s) MUSTCHECK;
int log_reopen(void) MUSTCHECK; /* same path, new file; for USR1.  0 or errno */
void log_set_role(const char *role, int slot); /* prefix of every later line; slot < 0: none */
enum log_level log_level(void);
void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n);
uint64_t log_dropped(void); /* lines that could not be written (disk full, pipe full); never blocks */
/* One line at crit on stderr and the target, then exit(code).  For trouble at start only. */
NORETURN void log_fatal(int exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
