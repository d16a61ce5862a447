/* stats_label.c - the label sets of counters.def: what series there are now, and their labels as text. */
#include <stdio.h>

#include "stats/stats_int.h"

static const char *const outcome_words[STATS_OUTCOMES] = { "succeeded", "retry", "dead_letter", "failed", "cancelled",
	"released", "put_off" };
/* In the words of the compatible service, which knows three. */
static const char *const processed_words[STATS_OUTCOMES] = { "succeeded", "will_retry", "dead_letter" };

/* name="value", escaped as the text format wants it; a comma before all but the first. */
static void
put_label(struct buf *b, const char *name, const char *value)
{
	if (b->len != 0 && b->data[b->len - 1] == '"')
		buf_putc(b, ',');
	buf_puts(b, name);
	buf_puts(b, "=\"");
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			buf_putc(b, '\\');
		buf_putc(b, *value == '\n' ? 'n' : *value);
	}
	buf_putc(b, '"');
}

/* --- HTTP ------------------------------------------------------------------------------------------------------------ */

static bool
put_route(const struct stats *s, size_t i, const char *path_label, struct buf *b)
{
	const struct stats_route *r = &s->routes[i];

	if (r->method[0] == '\0')
		return false;
	put_label(b, "method", r->method);
	put_label(b, path_label, r->path);
	return true;
}

bool
label_ROUTE(const struct stats *s, size_t i, struct buf *b)
{
	return put_route(s, i, "route", b);
}

bool
label_PATH(const struct stats *s, size_t i, struct buf *b)
{
	return !span_is(SPAN("/metrics"), s->routes[i].path) && put_route(s, i, "path", b);
}

static bool
put_answer(const struct stats *s, size_t i, const char *status_label, struct buf *b,
    bool (*route)(const struct stats *, size_t, struct buf *))
{
	uint32_t answer = atomic_load(&s->answers[i]);
	char status[16];

	/* Place 0 is for what found no place of its own: there only when something fell on it, which a full table tells. */
	if (answer == 0 || (i == 0 && atomic_load(&s->answers[STATS_ANSWERS - 1]) == 0))
		return false;
	if (!route(s, STATS_ANSWER_ROUTE(answer), b))
		return false;
	snprintf(status, sizeof(status), "%u", (unsigned)STATS_ANSWER_STATUS(answer));
	put_label(b, status_label, i == 0 ? "other" : status);
	return true;
}

bool
label_ANSWER(const struct stats *s, size_t i, struct buf *b)
{
	return put_answer(s, i, "code", b, label_ROUTE);
}

bool
label_STATUS(const struct stats *s, size_t i, struct buf *b)
{
	return put_answer(s, i, "status", b, label_PATH);
}

/* --- tasks ----------------------------------------------------------------------------------------------------------- */

static bool
series_exists(const struct stats *s, size_t i)
{
	return i == 0 ? atomic_load(&s->other_series) != 0 : atomic_load(&s->series[i].naming) == NAMING_DONE;
}

bool
label_SERIES(const struct stats *s, size_t i, struct buf *b)
{
	if (!series_exists(s, i))
		return false;
	put_label(b, "queue", s->series[i].queue);
	put_label(b, "task_type", s->series[i].type);
	return true;
}

bool
label_OUTCOME(const struct stats *s, size_t i, struct buf *b)
{
	if (!label_SERIES(s, i / STATS_OUTCOMES, b))
		return false;
	put_label(b, "outcome", outcome_words[i % STATS_OUTCOMES]);
	return true;
}

bool
label_TYPE(const struct stats *s, size_t i, struct buf *b)
{
	if (!series_exists(s, i))
		return false;
	put_label(b, "task_type", s->series[i].type);
	return true;
}

bool
label_PROCESSED(const struct stats *s, size_t i, struct buf *b)
{
	if (processed_words[i % STATS_OUTCOMES] == NULL || !label_TYPE(s, i / STATS_OUTCOMES, b))
		return false;
	put_label(b, "outcome", processed_words[i % STATS_OUTCOMES]);
	return true;
}
