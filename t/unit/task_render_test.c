/* task_render_test.c - the JSON of tasks and envelopes, the packed options.
 *
 * The texts of version 1 are frozen: answers that clients hold are rendered again from stored rows.
 */
#include "t/unit/tap.h"
#include "task/task.h"

#define T0 INT64_C(1700000000123456)

static struct task_row
sample(void)
{
	struct task_row row = {
		.queue = SPAN("mail"),
		.task_type = SPAN("send:welcome"),
		.group = SPAN("tenant-7"),
		.priority = -5,
		.max_attempts = 5,
		.created_at = T0,
		.run_at = T0 + 60000000,
		.payload = SPAN("{\"to\": \"\\u00e9\", \"n\": 18446744073709551616}"),
		.schema_version = SPAN("2"),
		.trace_id = SPAN("t\"1"),
		.labels = { { SPAN("env"), SPAN("prod") }, { SPAN("q\n"), SPAN("\xc3\xa9") } },
		.nlabels = 2,
		.state = TASK_DEAD,
		.run = 4,
		.attempts = 3,
		.updated_at = T0 + 1000000,
		.finished_at = T0 + 2000000,
		.result = SPAN("[1, 2]"),
		.last_error = SPAN("broke\t\xff"),
		.error_code = SPAN("HANDLER_FAILED"),
		.error_class = SPAN("TRANSIENT"),
	};

	MUST(id_parse(SPAN("018bcfe5-687b-73ff-bfff-ffff00000001"), &row.id));
	return row;
}

static void
is_render(const struct task_row *row, enum task_surface surface, bool as_submitted, const char *want, const char *name)
{
	struct buf b = { 0 };

	task_render(&b, row, surface, 1, as_submitted);
	is_str(buf_cstr(&b), want, "%s", name);
	buf_free(&b);
}

static void
test_v1(void)
{
	struct task_row row = sample();
	struct task_row bare = { .queue = SPAN("default"),
		.task_type = SPAN("x"),
		.payload = SPAN("{}"),
		.created_at = T0,
		.updated_at = T0,
		.max_attempts = 1,
		.priority = INT32_MIN };

	is_render(&row, TASK_SURFACE_V1, false,
	    "{\"id\":\"018bcfe5-687b-73ff-bfff-ffff00000001\",\"task_type\":\"send:welcome\",\"queue\":\"mail\","
	    "\"payload\":{\"to\": \"\\u00e9\", \"n\": 18446744073709551616},\"status\":\"dead_letter\",\"priority\":-5,"
	    "\"attempts\":3,\"max_attempts\":5,\"run_at\":\"2023-11-14T22:14:20.123456Z\","
	    "\"created_at\":\"2023-11-14T22:13:20.123456Z\",\"updated_at\":\"2023-11-14T22:13:21.123456Z\","
	    "\"finished_at\":\"2023-11-14T22:13:22.123456Z\",\"result\":[1, 2],\"last_error\":\"broke\\t\xef\xbf\xbd\","
	    "\"error_code\":\"HANDLER_FAILED\",\"error_class\":\"TRANSIENT\",\"trace_id\":\"t\\\"1\",\"schema_"
	    "version\":\"2\","
	    "\"labels\":{\"env\":\"prod\",\"q\\n\":\"\xc3\xa9\"},\"group\":\"tenant-7\"}",
	    "v1, everything there");
	is_render(&bare, TASK_SURFACE_V1, false,
	    "{\"id\":\"00000000-0000-0000-0000-000000000000\",\"task_type\":\"x\",\"queue\":\"default\",\"payload\":{},"
	    "\"status\":\"pending\",\"priority\":-2147483648,\"attempts\":0,\"max_attempts\":1,\"run_at\":null,"
	    "\"created_at\":\"2023-11-14T22:13:20.123456Z\",\"updated_at\":\"2023-11-14T22:13:20.123456Z\","
	    "\"finished_at\":null,\"result\":null,\"last_error\":null,\"error_code\":null,\"error_class\":null,"
	    "\"trace_id\":null,\"schema_version\":null,\"labels\":{},\"group\":null}",
	    "v1, nothing there");
	is_render(&row, TASK_SURFACE_V1, true,
	    "{\"id\":\"018bcfe5-687b-73ff-bfff-ffff00000001\",\"task_type\":\"send:welcome\",\"queue\":\"mail\","
	    "\"payload\":{\"to\": \"\\u00e9\", \"n\": 18446744073709551616},\"status\":\"pending\",\"priority\":-5,"
	    "\"attempts\":0,\"max_attempts\":5,\"run_at\":\"2023-11-14T22:14:20.123456Z\","
	    "\"created_at\":\"2023-11-14T22:13:20.123456Z\",\"updated_at\":\"2023-11-14T22:13:20.123456Z\","
	    "\"finished_at\":null,\"result\":null,\"last_error\":null,\"error_code\":null,\"error_class\":null,"
	    "\"trace_id\":\"t\\\"1\",\"schema_version\":\"2\",\"labels\":{\"env\":\"prod\",\"q\\n\":\"\xc3\xa9\"},"
	    "\"group\":\"tenant-7\"}",
	    "v1, as submitted: nothing moving shows");
}

static void
test_compat(void)
{
	struct task_row row = sample();

	is_render(&row, TASK_SURFACE_COMPAT, true,
	    "{\"id\":\"018bcfe5-687b-73ff-bfff-ffff00000001\",\"task_type\":\"send:welcome\","
	    "\"payload\":{\"to\": \"\\u00e9\", \"n\": 18446744073709551616},\"status\":\"pending\",\"attempts\":0,"
	    "\"max_attempts\":5,\"last_error\":null,\"result\":null,\"created_at\":\"2023-11-14T22:13:20.123456Z\","
	    "\"updated_at\":\"2023-11-14T22:13:20.123456Z\"}",
	    "compatible surface, as submitted");
	row.state = TASK_CANCELLED;
	is_render(&row, TASK_SURFACE_COMPAT, false,
	    "{\"id\":\"018bcfe5-687b-73ff-bfff-ffff00000001\",\"task_type\":\"send:welcome\","
	    "\"payload\":{\"to\": \"\\u00e9\", \"n\": 18446744073709551616},\"status\":\"failed\",\"attempts\":3,"
	    "\"max_attempts\":5,\"last_error\":\"broke\\t\xef\xbf\xbd\",\"result\":[1, 2],"
	    "\"created_at\":\"2023-11-14T22:13:20.123456Z\",\"updated_at\":\"2023-11-14T22:13:21.123456Z\"}",
	    "compatible surface, cancelled shows as failed");
}

static void
test_envelope(void)
{
	struct task_row row = sample();
	struct task_envelope e = { .row = &row, .attempt = 4, .deadline = T0 + 30000000 };
	struct buf b = { 0 };

	e.lease_id = 0x0123456789abcdef;
	task_envelope_json(&b, &e);
	is_str(buf_cstr(&b),
	    "{\"message_id\":\"018bcfe5-687b-73ff-bfff-ffff00000001\",\"trace_id\":\"t\\\"1\","
	    "\"task_type\":\"send:welcome\",\"queue\":\"mail\",\"attempt\":4,\"max_attempts\":5,"
	    "\"first_seen_at\":\"2023-11-14T22:13:20.123456Z\",\"next_retry_at\":null,"
	    "\"deadline\":\"2023-11-14T22:13:50.123456Z\",\"lease\":"
	    "\"018bcfe5687b73ffbfffffff000000010123456789abcdef\","
	    "\"error_code\":\"HANDLER_FAILED\",\"error_class\":\"TRANSIENT\",\"schema_version\":\"2\","
	    "\"payload\":{\"to\": \"\\u00e9\", \"n\": 18446744073709551616}}",
	    "the envelope of a handler");
	buf_free(&b);
}

static void
test_lease(void)
{
	struct task_row row = sample();
	struct id task;
	int64_t lease_id;
	char text[TASK_LEASE_TEXT];

	task_lease_format(&row.id, -2, text);
	is_str(text, "018bcfe5687b73ffbfffffff00000001fffffffffffffffe", "a lease as text");
	ok(task_lease_parse(span_of(text), &task, &lease_id) && id_eq(&task, &row.id) && lease_id == -2, "and back");
	for (const char *bad = "gE/:@G \xff"; *bad != '\0'; bad++) {
		text[47] = *bad;
		ok(!task_lease_parse(span_of(text), &task, &lease_id), "no digit of it: \\x%02x", (unsigned char)*bad);
	}
	ok(!task_lease_parse(SPAN("018bcfe5687b73ffbfffffff00000001ffffffffffffff"), &task, &lease_id), "too short");
}

static void
test_expiry(void)
{
	struct task_request r = { .trace_id = SPAN("abc"), .expires_at = 5000000 };
	struct task_row row = { .created_at = 1000000 };
	struct buf b = { 0 };
	bool same = true;

	task_options_pack(&b, &r);
	ok(task_options_unpack(buf_span(&b), &row) && span_is(row.trace_id, "abc"), "options of a task that expires");
	is_int(task_expires_at(&row), 5000000, "at a time");
	ok(!task_is_expired(&row, 4999999), "not before it");
	ok(task_is_expired(&row, 5000000), "but then");
	row.run = 1;
	ok(!task_is_expired(&row, 5000000), "not when it has started once");
	for (size_t len = 1; len < b.len; len++)
		same = same && !task_options_unpack((struct span){ b.data, len }, &row);
	ok(same && task_expires_at(&row) == 0, "no part of the bytes is taken for the whole");
	buf_reset(&b);
	r.expires_at = 0;
	r.expires_in = 3000000;
	task_options_pack(&b, &r);
	ok(task_options_unpack(buf_span(&b), &row), "seconds from the acceptance");
	is_int(task_expires_at(&row), 4000000, "which is known when it is read");
	b.data[1] = 1;
	ok(!task_options_unpack(buf_span(&b), &row) && task_expires_at(&row) == 0, "six fields are of version 2");
	buf_free(&b);
	row.run = 0;
	ok(!task_is_expired(&row, INT64_MAX), "a task without a time never expires");
}

static void
test_options(void)
{
	struct task_request r = { .schema_version = SPAN("2"), .trace_id = SPAN("abc"), .nlabels = TASK_LABELS_MAX };
	struct task_row row = { 0 };
	struct buf b = { 0 };
	bool same = true;

	task_options_pack(&b, &(struct task_request){ 0 });
	is_int(b.len, 0, "no options, no bytes");
	row.nlabels = 3;
	ok(task_options_unpack(buf_span(&b), &row) && row.nlabels == 0 && row.trace_id.len == 0, "and back");

	for (int i = 0; i < TASK_LABELS_MAX; i++)
		r.labels[i] = (struct task_label){ SPAN("name-of-a-label"), SPAN("") };
	task_options_pack(&b, &r);
	ok(task_options_unpack(buf_span(&b), &row), "options come back");
	ok(span_is(row.schema_version, "2") && span_is(row.trace_id, "abc"), "schema version and trace id");
	is_int(row.nlabels, TASK_LABELS_MAX, "all labels");
	for (int i = 0; i < row.nlabels; i++)
		same = same && span_is(row.labels[i].name, "name-of-a-label") && row.labels[i].value.len == 0;
	ok(same, "with their texts");
	ok(row.trace_id.ptr > b.data && row.trace_id.ptr < b.data + b.len, "nothing was copied");

	for (size_t len = 1; len < b.len; len++)
		same = same && !task_options_unpack((struct span){ b.data, len }, &row);
	ok(same, "no part of the bytes is taken for the whole");
	buf_putc(&b, 0);
	ok(!task_options_unpack(buf_span(&b), &row), "a byte too many is refused");
	b.len--;
	b.data[1] = 2;
	ok(!task_options_unpack(buf_span(&b), &row) && row.nlabels == 0, "another version is refused");
	ok(!task_options_unpack(SPAN("\x94\x01\x02\xc0\x80"), &row), "a number is no schema version");
	ok(!task_options_unpack(SPAN("\x94\x01\xc0\xc0\x90"), &row), "a list is no map of labels");
	ok(!task_options_unpack(SPAN("\x94\x01\xc0\xc0\xde\x00\x11"), &row), "seventeen labels that are not there");
	ok(!task_options_unpack(SPAN("\xdd\xff\xff\xff\xff"), &row), "four billion fields that are not there");
	ok(!task_options_unpack(SPAN("{}"), &row), "JSON is not msgpack");
	buf_free(&b);
}

int
main(void)
{
	test_v1();
	test_compat();
	test_envelope();
	test_lease();
	test_options();
	test_expiry();
	return done();
}
