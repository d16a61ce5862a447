/* task_render.c - the JSON of a task, one text per surface and version.
 *
 * The answer to a submission is not stored: a replay renders the stored row again and must yield the same bytes for as
 * long as the key lives.  So nothing here reads a clock, a locale or a setting, and a version that has been released is
 * never edited: a change of the text is a new function beside the old one and a new TASK_RENDER_VERSION.
 */
#include "base/member.h"
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
	member_int(b, ",\"progress\":{\"percent\":", row->percent);
	member_text(b, ",\"note\":", row->note);
	member_time(b, ",\"at\":", row->said_at);
	buf_putc(b, '}');
}

static void
render_v1_1(struct buf *b, const struct task_row *row, bool as_submitted)
{
	struct moving m = moving_of(row, as_submitted);

	member_id(b, "{\"id\":", &row->id);
	member_text(b, ",\"task_type\":", row->task_type);
	member_text(b, ",\"queue\":", row->queue);
	member_json(b, ",\"payload\":", row->payload);
	member_text(b, ",\"status\":", span_of(task_status_word(m.state)));
	member_int(b, ",\"priority\":", row->priority);
	member_int(b, ",\"attempts\":", m.attempts);
	member_int(b, ",\"max_attempts\":", row->max_attempts);
	member_time(b, ",\"run_at\":", row->run_at);
	member_time(b, ",\"created_at\":", row->created_at);
	member_time(b, ",\"updated_at\":", m.updated_at);
	member_time(b, ",\"finished_at\":", m.finished_at);
	member_json(b, ",\"result\":", m.result);
	member_text(b, ",\"last_error\":", m.last_error);
	member_text(b, ",\"error_code\":", m.error_code);
	member_text(b, ",\"error_class\":", m.error_class);
	member_text(b, ",\"trace_id\":", row->trace_id);
	member_text(b, ",\"schema_version\":", row->schema_version);
	put_labels(b, ",\"labels\":", row);
	member_text(b, ",\"group\":", row->group);
	if (task_expires_at(row) != 0)
		member_time(b, ",\"expires_at\":", task_expires_at(row));
	if (row->ordering_key.len > 0) /* younger than this version: tasks without one keep their bytes */
		member_text(b, ",\"ordering_key\":", row->ordering_key);
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
	member_id(b, "{\"id\":", &row->id);
	member_text(b, ",\"task_type\":", row->task_type);
	member_json(b, ",\"payload\":", row->payload);
	member_text(b, ",\"status\":", span_of(task_status_word(m.state)));
	member_int(b, ",\"attempts\":", m.attempts);
	member_int(b, ",\"max_attempts\":", row->max_attempts);
	member_text(b, ",\"last_error\":", m.last_error);
	member_json(b, ",\"result\":", m.result);
	member_time(b, ",\"created_at\":", row->created_at);
	member_time(b, ",\"updated_at\":", m.updated_at);
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
	member_id(b, "{\"message_id\":", &row->id);
	member_text(b, ",\"trace_id\":", row->trace_id);
	member_text(b, ",\"task_type\":", row->task_type);
	member_text(b, ",\"queue\":", row->queue);
	member_int(b, ",\"attempt\":", e->attempt);
	member_int(b, ",\"max_attempts\":", row->max_attempts);
	member_time(b, ",\"first_seen_at\":", row->created_at);
	buf_puts(b, ",\"next_retry_at\":null");
	member_time(b, ",\"deadline\":", e->deadline);
	task_lease_format(&row->id, e->lease_id, lease);
	member_text(b, ",\"lease\":", span_of(lease));
	member_text(b, ",\"error_code\":", row->error_code);
	member_text(b, ",\"error_class\":", row->error_class);
	member_text(b, ",\"schema_version\":", row->schema_version);
	if (task_expires_at(row) != 0)
		member_time(b, ",\"expires_at\":", task_expires_at(row));
	if (row->ordering_key.len > 0)
		member_text(b, ",\"ordering_key\":", row->ordering_key);
	member_json(b, ",\"payload\":", row->payload);
	buf_putc(b, '}');
}
