/* task_render.c - the JSON of a task, one text per surface and version.
 *
 * The answer to a submission is not stored: a replay renders the stored row again and must yield the same bytes for as
 * long as the key lives.  So nothing here reads a clock, a locale or a setting, and a version that has been released is
 * never edited: a change of the text is a new function beside the old one and a new TASK_RENDER_VERSION.
 */
#include "base/clock.h"
#include "task/task.h"

/* What moves while a task lives, or its first value. */
struct moving {
	enum task_state state;
	int attempts;
	int64_t updated_at;
	int64_t finished_at;
	struct span result, last_error, error_code, error_class;
};

static struct moving
moving_of(const struct task_row *row, bool as_submitted)
{
	if (as_submitted)
		return (struct moving){ .state = TASK_READY, .updated_at = row->created_at };
	return (struct moving){
		.state = row->state,
		.attempts = row->attempts,
		.updated_at = row->updated_at,
		.finished_at = row->finished_at,
		.result = row->result,
		.last_error = row->last_error,
		.error_code = row->error_code,
		.error_class = row->error_class,
	};
}

/* Each writer takes the text that comes before its value: `,"queue":` */

static void
put_text(struct buf *b, const char *before, struct span s)
{
	buf_puts(b, before);
	if (s.len == 0)
		buf_puts(b, "null");
	else
		buf_json_string(b, s);
}

static void
put_json(struct buf *b, const char *before, struct span json)
{
	buf_puts(b, before);
	buf_putspan(b, json.len > 0 ? json : SPAN("null"));
}

static void
put_int(struct buf *b, const char *before, int64_t n)
{
	buf_puts(b, before);
	if (n < 0)
		buf_putc(b, '-');
	buf_putu64(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

/* 0 is no time. */
static void
put_time(struct buf *b, const char *before, int64_t wall)
{
	char text[CLOCK_TEXT];

	buf_puts(b, before);
	if (wall == 0) {
		buf_puts(b, "null");
		return;
	}
	clock_format(wall, text);
	buf_putc(b, '"');
	buf_puts(b, text);
	buf_putc(b, '"');
}

static void
put_id(struct buf *b, const char *before, const struct id *id)
{
	char text[ID_TEXT];

	id_format(id, text);
	buf_puts(b, before);
	buf_putc(b, '"');
	buf_puts(b, text);
	buf_putc(b, '"');
}

static void
put_labels(struct buf *b, const char *before, const struct task_row *row)
{
	buf_puts(b, before);
	buf_putc(b, '{');
	for (int i = 0; i < row->nlabels; i++) {
		if (i > 0)
			buf_putc(b, ',');
		buf_json_string(b, row->labels[i].name);
		buf_putc(b, ':');
		buf_json_string(b, row->labels[i].value);
	}
	buf_putc(b, '}');
}

/* Of a task that runs and has said something. */
static void
put_progress(struct buf *b, const struct task_row *row)
{
	put_int(b, ",\"progress\":{\"percent\":", row->percent);
	put_text(b, ",\"note\":", row->note);
	put_time(b, ",\"at\":", row->said_at);
	buf_putc(b, '}');
}

static void
render_v1_1(struct buf *b, const struct task_row *row, bool as_submitted)
{
	struct moving m = moving_of(row, as_submitted);

	put_id(b, "{\"id\":", &row->id);
	put_text(b, ",\"task_type\":", row->task_type);
	put_text(b, ",\"queue\":", row->queue);
	put_json(b, ",\"payload\":", row->payload);
	put_text(b, ",\"status\":", span_of(task_status_word(m.state)));
	put_int(b, ",\"priority\":", row->priority);
	put_int(b, ",\"attempts\":", m.attempts);
	put_int(b, ",\"max_attempts\":", row->max_attempts);
	put_time(b, ",\"run_at\":", row->run_at);
	put_time(b, ",\"created_at\":", row->created_at);
	put_time(b, ",\"updated_at\":", m.updated_at);
	put_time(b, ",\"finished_at\":", m.finished_at);
	put_json(b, ",\"result\":", m.result);
	put_text(b, ",\"last_error\":", m.last_error);
	put_text(b, ",\"error_code\":", m.error_code);
	put_text(b, ",\"error_class\":", m.error_class);
	put_text(b, ",\"trace_id\":", row->trace_id);
	put_text(b, ",\"schema_version\":", row->schema_version);
	put_labels(b, ",\"labels\":", row);
	put_text(b, ",\"group\":", row->group);
	if (task_expires_at(row) != 0)
		put_time(b, ",\"expires_at\":", task_expires_at(row));
	if (row->ordering_key.len > 0) /* younger than this version: tasks without one keep their bytes */
		put_text(b, ",\"ordering_key\":", row->ordering_key);
	if (m.state == TASK_LEASED && row->said_at != 0)
		put_progress(b, row);
	buf_putc(b, '}');
}

/* Its clients may know five statuses only: a cancelled task is a failed one to them. */
static void
render_compat_1(struct buf *b, const struct task_row *row, bool as_submitted)
{
	struct moving m = moving_of(row, as_submitted);

	if (m.state == TASK_CANCELLED)
		m.state = TASK_FAILED;
	put_id(b, "{\"id\":", &row->id);
	put_text(b, ",\"task_type\":", row->task_type);
	put_json(b, ",\"payload\":", row->payload);
	put_text(b, ",\"status\":", span_of(task_status_word(m.state)));
	put_int(b, ",\"attempts\":", m.attempts);
	put_int(b, ",\"max_attempts\":", row->max_attempts);
	put_text(b, ",\"last_error\":", m.last_error);
	put_json(b, ",\"result\":", m.result);
	put_time(b, ",\"created_at\":", row->created_at);
	put_time(b, ",\"updated_at\":", m.updated_at);
	buf_putc(b, '}');
}

void
task_render(struct buf *b, const struct task_row *row, enum task_surface surface, int version, bool as_submitted)
{
	ASSERT(version == 1);
	ASSERT(surface == TASK_SURFACE_V1 || surface == TASK_SURFACE_COMPAT);
	buf_reserve(b, row->payload.len + row->result.len + row->last_error.len + 768);
	if (surface == TASK_SURFACE_V1)
		render_v1_1(b, row, as_submitted);
	else
		render_compat_1(b, row, as_submitted);
}

void
task_envelope_json(struct buf *b, const struct task_envelope *e)
{
	const struct task_row *row = e->row;
	char lease[TASK_LEASE_TEXT];

	buf_reserve(b, row->payload.len + 768);
	put_id(b, "{\"message_id\":", &row->id);
	put_text(b, ",\"trace_id\":", row->trace_id);
	put_text(b, ",\"task_type\":", row->task_type);
	put_text(b, ",\"queue\":", row->queue);
	put_int(b, ",\"attempt\":", e->attempt);
	put_int(b, ",\"max_attempts\":", row->max_attempts);
	put_time(b, ",\"first_seen_at\":", row->created_at);
	buf_puts(b, ",\"next_retry_at\":null");
	put_time(b, ",\"deadline\":", e->deadline);
	task_lease_format(&row->id, e->lease_id, lease);
	put_text(b, ",\"lease\":", span_of(lease));
	put_text(b, ",\"error_code\":", row->error_code);
	put_text(b, ",\"error_class\":", row->error_class);
	put_text(b, ",\"schema_version\":", row->schema_version);
	if (task_expires_at(row) != 0)
		put_time(b, ",\"expires_at\":", task_expires_at(row));
	if (row->ordering_key.len > 0)
		put_text(b, ",\"ordering_key\":", row->ordering_key);
	put_json(b, ",\"payload\":", row->payload);
	buf_putc(b, '}');
}
