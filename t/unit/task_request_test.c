/* task_request_test.c - submitted bodies: what is read, what is refused and in which words, which ones are the same. */
#include "t/unit/tap.h"
#include "task/task_json.h"

#define X10 "xxxxxxxxxx"
#define X64 X10 X10 X10 X10 X10 X10 "xxxx"
#define X128 X64 X64

static struct arena *arena;

static bool
read_body(const char *body, enum task_surface surface, struct task_request *r, struct task_problem *p)
{
	*p = (struct task_problem){ 0 };
	return task_request_read(span_of(body), surface, arena, r, p);
}

static void
is_span(struct span got, const char *want, const char *name)
{
	is_str(arena_spandup(arena, got), want, "%s", name);
}

static void
test_v1_read(void)
{
	struct task_request r;
	struct task_problem p;

	ok(read_body("{\"task_type\":\"a\"}", TASK_SURFACE_V1, &r, &p), "the least: %s", p.detail);
	is_span(r.task_type, "a", "task type");
	is_span(r.queue, "default", "default queue");
	is_span(r.payload, "{}", "default payload");
	is_int(r.max_attempts, 5, "default attempts");
	ok(r.priority == 0 && r.run_at == 0 && r.delay == 0 && r.nlabels == 0, "the other defaults are nothing");
	ok(r.group.len == 0 && r.trace_id.len == 0 && r.schema_version.len == 0, "and no texts");

	ok(read_body(" {\"labels\":{\"b\":\"2\",\"a\":\"\\u00e9\"},\"group\":\"g "
		     "\xc3\xa9\",\"trace_id\":\"t\",\"schema_version\":\"2\","
		     "\"delay\":31536000,\"priority\":-100,\"max_attempts\":100,\"payload\": {\"x\" : "
		     "[\"\\u0000\\ud800\", 1e5]},"
		     "\"queue\":\"mail.eu-1\",\"t\\u0061sk_type\":\"send\\u003awelcome_2\"} ",
	       TASK_SURFACE_V1, &r, &p),
	    "everything at once: %s", p.detail);
	is_span(r.task_type, "send:welcome_2", "escaped text is undone, and names too");
	is_span(r.queue, "mail.eu-1", "queue");
	is_span(r.payload, "{\"x\" : [\"\\u0000\\ud800\", 1e5]}", "the payload stays as sent");
	is_int(r.max_attempts, 100, "attempts");
	is_int(r.priority, -100, "priority");
	ok(r.delay == INT64_C(31536000000000) && r.run_at == 0, "delay is not resolved");
	is_span(r.schema_version, "2", "schema version");
	is_span(r.trace_id, "t", "trace id");
	is_span(r.group, "g \xc3\xa9", "group");
	is_int(r.nlabels, 2, "labels");
	is_span(r.labels[0].name, "a", "sorted by name");
	is_span(r.labels[0].value, "\xc3\xa9", "with their values");
	ok(read_body("{\"task_type\":\"a\",\"run_at\":\"2030-01-31T10:00:00.5+02:00\",\"priority\":-0}",
	       TASK_SURFACE_V1, &r, &p),
	    "a time: %s", p.detail);
	is_int(r.run_at, INT64_C(1896076800500000), "in microseconds");
	ok(r.unique.name.len == 0 && r.unique.hold == TASK_HOLD_NONE, "no unique name");
	ok(read_body("{\"task_type\":\"a\",\"unique\":{\"key\":\"n\\u0061me \xc3\xa9\"}}", TASK_SURFACE_V1, &r, &p),
	    "one: %s", p.detail);
	is_span(r.unique.name, "name \xc3\xa9", "with its text");
	ok(r.unique.hold == TASK_HOLD_LIVE && r.unique.window == 0, "for as long as the task lives");
	ok(read_body("{\"task_type\":\"a\",\"unique\":{\"for\":\"queued\",\"key\":\"k\"}}", TASK_SURFACE_V1, &r, &p) &&
		r.unique.hold == TASK_HOLD_QUEUED,
	    "until it starts: %s", p.detail);
	ok(read_body("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":2678400}}", TASK_SURFACE_V1, &r, &p) &&
		r.unique.hold == TASK_HOLD_WINDOW && r.unique.window == INT64_C(2678400000000),
	    "for seconds: %s", p.detail);
	ok(read_body("{\"task_type\":\"a\",\"unique\":{}}", TASK_SURFACE_COMPAT, &r, &p) && r.unique.name.len == 0,
	    "the compatible surface does not know it: %s", p.detail);
}

static void
test_v1_refused(void)
{
	static const struct {
		const char *body;
		const char *code;
		const char *pointer;
		size_t offset;
	} rows[] = {
		{ "", "invalid_json", "", 0 },
		{ "{\"task_type\":\"a\"", "invalid_json", "/task_type", 16 },
		{ "{\"task_type\":\"a\"}x", "invalid_json", "", 17 },
		{ "{\"task_type\":\"a\",\"task_type\":\"a\"}", "duplicate_name", "/task_type", 17 },
		{ "{\"task_type\":\"a\",\"t\\u0061sk_type\":\"a\"}", "duplicate_name", "/task_type", 17 },
		{ "{\"task_type\":\"a\",\"payload\":{\"k\":[{\"n\":1,\"n\":2}]}}", "duplicate_name", "/payload/k/0/n",
		    40 },
		{ "[]", "invalid_field", "", 0 },
		{ "\"a\"", "invalid_field", "", 1 },
		{ "{}", "missing_field", "/task_type", 0 },
		{ "{\"payload\":{}}", "missing_field", "/task_type", 0 },
		{ "{\"task_type\":\"\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":null}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":7}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"a b\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"a/b\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"\xc3\xa9\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"a\\u0000\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"" X64 "x\"}", "invalid_field", "/task_type", 13 },
		{ "{\"task_type\":\"a\",\"queue\":\"\"}", "invalid_field", "/queue", 25 },
		{ "{\"task_type\":\"a\",\"queue\":\"q q\"}", "invalid_field", "/queue", 25 },
		{ "{\"task_type\":\"a\",\"payload\":[]}", "invalid_field", "/payload", 27 },
		{ "{\"task_type\":\"a\",\"payload\":null}", "invalid_field", "/payload", 27 },
		{ "{\"task_type\":\"a\",\"max_attempts\":0}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":101}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":-1}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":\"3\"}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":3.0}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":1e1}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":true}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":4294967297}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"max_attempts\":18446744073709551617}", "invalid_field", "/max_attempts", 32 },
		{ "{\"task_type\":\"a\",\"priority\":101}", "invalid_field", "/priority", 28 },
		{ "{\"task_type\":\"a\",\"priority\":-101}", "invalid_field", "/priority", 28 },
		{ "{\"task_type\":\"a\",\"run_at\":1700000000}", "invalid_field", "/run_at", 26 },
		{ "{\"task_type\":\"a\",\"run_at\":\"tomorrow\"}", "invalid_field", "/run_at", 26 },
		{ "{\"task_type\":\"a\",\"run_at\":\"2030-02-30T00:00:00Z\"}", "invalid_field", "/run_at", 26 },
		{ "{\"task_type\":\"a\",\"run_at\":\"2030-01-31T00:00:00\"}", "invalid_field", "/run_at", 26 },
		{ "{\"task_type\":\"a\",\"run_at\":\"1969-12-31T23:59:59Z\"}", "invalid_field", "/run_at", 26 },
		{ "{\"task_type\":\"a\",\"expires_in\":0}", "invalid_field", "/expires_in", 30 },
		{ "{\"task_type\":\"a\",\"expires_in\":9,\"delay\":9}", "invalid_field", "/expires_in", 17 },
		{ "{\"task_type\":\"a\",\"expires_in\":9,\"expires_at\":\"2030-01-31T00:00:00Z\"}", "invalid_field",
		    "/expires_in", 17 },
		{ "{\"expires_at\":\"2030-01-31T00:00:00Z\",\"task_type\":\"a\",\"run_at\":\"2030-01-31T00:00:00Z\"}",
		    "invalid_field", "/expires_at", 1 },
		{ "{\"task_type\":\"a\",\"delay\":-1}", "invalid_field", "/delay", 25 },
		{ "{\"task_type\":\"a\",\"delay\":31536001}", "invalid_field", "/delay", 25 },
		{ "{\"task_type\":\"a\",\"delay\":1,\"run_at\":\"2030-01-31T00:00:00Z\"}", "invalid_field", "/delay",
		    17 },
		{ "{\"task_type\":\"a\",\"schema_version\":2}", "invalid_field", "/schema_version", 34 },
		{ "{\"task_type\":\"a\",\"schema_version\":\"\"}", "invalid_field", "/schema_version", 34 },
		{ "{\"task_type\":\"a\",\"trace_id\":\"" X128 "x\"}", "invalid_field", "/trace_id", 28 },
		{ "{\"task_type\":\"a\",\"trace_id\":\"a\\nb\"}", "invalid_field", "/trace_id", 28 },
		{ "{\"task_type\":\"a\",\"group\":\"\\ud800\"}", "invalid_field", "/group", 25 },
		{ "{\"task_type\":\"a\",\"group\":\"\\u0000\"}", "invalid_field", "/group", 25 },
		{ "{\"task_type\":\"a\",\"labels\":[]}", "invalid_field", "/labels", 26 },
		{ "{\"task_type\":\"a\",\"labels\":{\"a\":1}}", "invalid_field", "/labels/a", 31 },
		{ "{\"task_type\":\"a\",\"labels\":{\"a/~\":\"\"}}", "invalid_field", "/labels/a~1~0", 33 },
		{ "{\"task_type\":\"a\",\"labels\":{\"\":\"x\"}}", "invalid_field", "/labels/", 27 },
		{ "{\"task_type\":\"a\",\"labels\":{\"a\":\"" X64 "x\"}}", "invalid_field", "/labels/a", 31 },
		{ "{\"task_type\":\"a\",\"labels\":{\"" X64 "x\":\"a\"}}", "invalid_field", "/labels/" X64 "x", 27 },
		{ "{\"task_type\":\"a\",\"labels\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\",\"e\":\"1\",\"f\":"
		  "\"1\",\"g\":\"1\","
		  "\"h\":\"1\",\"i\":\"1\",\"j\":\"1\",\"k\":\"1\",\"l\":\"1\",\"m\":\"1\",\"n\":\"1\",\"o\":\"1\","
		  "\"p\":\"1\",\"q\":\"1\"}}",
		    "invalid_field", "/labels", 26 },
		{ "{\"task_type\":\"a\",\"unique\":\"k\"}", "invalid_field", "/unique", 26 },
		{ "{\"task_type\":\"a\",\"unique\":{}}", "missing_field", "/unique/key", 26 },
		{ "{\"task_type\":\"a\",\"unique\":{\"for\":\"live\"}}", "missing_field", "/unique/key", 26 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":7}}", "invalid_field", "/unique/key", 33 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"\"}}", "invalid_field", "/unique/key", 33 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"a\\tb\"}}", "invalid_field", "/unique/key", 33 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"" X128 X128 "\"}}", "invalid_field", "/unique/key", 33 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":\"ever\"}}", "invalid_field", "/unique/for",
		    43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":null}}", "invalid_field", "/unique/for", 43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":0}}", "invalid_field", "/unique/for", 43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":-1}}", "invalid_field", "/unique/for", 43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":60.0}}", "invalid_field", "/unique/for", 43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":2678401}}", "invalid_field", "/unique/for",
		    43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":18446744073709551617}}", "invalid_field",
		    "/unique/for", 43 },
		{ "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"until/\":1}}", "unknown_field", "/unique/until~1",
		    37 },
		{ "{\"task_type\":\"a\",\"idempotency_key\":\"k\"}", "unknown_field", "/idempotency_key", 17 },
		{ "{\"task_type\":\"a\",\"Queue\":\"q\"}", "unknown_field", "/Queue", 17 },
		{ "{\"task_type\":\"a\",\"x/y~\":1}", "unknown_field", "/x~1y~0", 17 },
		{ "{\"task_type\":\"a\",\"queue\\u0000\":\"q\"}", "unknown_field", "/queue\xef\xbf\xbd", 17 },
		{ "{\"task_type\":\"a\",\"queu\":\"q\"}", "unknown_field", "/queu", 17 },
		{ "{\"task_type\":\"\xff\"}", "invalid_utf8", "/task_type", 14 },
	};
	struct task_request r;
	struct task_problem p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool good = read_body(rows[i].body, TASK_SURFACE_V1, &r, &p);

		ok(!good && p.status == 400 && strncmp(p.detail, "expected ", 9) == 0, "refused: %.60s: %s",
		    rows[i].body, p.detail);
		is_str(p.code, rows[i].code, "its code");
		is_str(p.pointer, rows[i].pointer, "its pointer");
		is_int(p.offset, rows[i].offset, "its offset");
	}
	ok(!read_body("{\"task_type\":\"a\",\"queue\":\"\\u0020\"}", TASK_SURFACE_V1, &r, &p),
	    "the value that was wrong");
	is_span(p.input, "\"\\u0020\"", "is pointed at");
	is_str(p.detail, "expected a string of 1 to 64 characters of A-Z a-z 0-9 _ . : -", "words for a queue");
	ok(!read_body("{\"task_type\":\"a\",\"max_attempts\":0}", TASK_SURFACE_V1, &r, &p), "a number out of range");
	is_str(p.detail, "expected an integer from 1 to 100", "words for a number");
	ok(p.compat_type == NULL && p.compat_ctx[0] == '\0', "no words of the other surface");
}

static void
test_compat_read(void)
{
	static const struct {
		const char *value;
		int attempts;
	} rows[] = { { "1", 1 }, { "10", 10 }, { "\"3\"", 3 }, { "3.0", 3 }, { "30e-1", 3 }, { "\" +3 \"", 3 },
		{ "\"03\"", 3 }, { "\"1_0\"", 10 }, { "\"3.00\"", 3 }, { "\"\\u0033\"", 3 }, { "0.1e1", 1 },
		{ "\"00_3\"", 3 }, { "\"\\t3\\n\"", 3 }, { "\"1_0.0\"", 10 } };
	char body[200];
	struct task_request r;
	struct task_problem p;

	ok(read_body("{\"task_type\":\"a b/\xc3\xa9\",\"payload\":{\"a\": 1},\"queue\":7,\"x\":[{}]}",
	       TASK_SURFACE_COMPAT, &r, &p),
	    "unknown fields are ignored: %s", p.detail);
	is_span(r.task_type, "a b/\xc3\xa9", "a task type may hold more than on /v1");
	is_span(r.payload, "{\"a\": 1}", "payload");
	is_span(r.queue, "default", "queue is not a field here");
	is_int(r.max_attempts, 3, "default attempts");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(body, sizeof(body), "{\"task_type\":\"a\",\"max_attempts\":%s}", rows[i].value);
		ok(read_body(body, TASK_SURFACE_COMPAT, &r, &p), "taken: %s %s", rows[i].value, p.detail);
		is_int(r.max_attempts, rows[i].attempts, "attempts");
	}
}

#define ATTEMPTS(value) "{\"task_type\":\"a\",\"max_attempts\":" value "}"
#define PARSING \
	"int_parsing", "/max_attempts", "Input should be a valid integer, unable to parse string as an integer", ""
#define GE1 "greater_than_equal", "/max_attempts", "Input should be greater than or equal to 1", "{\"ge\":1}"
#define LE10 "less_than_equal", "/max_attempts", "Input should be less than or equal to 10", "{\"le\":10}"

static void
test_compat_refused(void)
{
	static const struct {
		const char *body;
		const char *type;
		const char *pointer;
		const char *msg;
		const char *ctx;
	} rows[] = {
		{ "", "missing", "", "Field required", "" },
		{ "{}", "missing", "/task_type", "Field required", "" },
		{ "{\"task_type\":7}", "string_type", "/task_type", "Input should be a valid string", "" },
		{ "{\"task_type\":null}", "string_type", "/task_type", "Input should be a valid string", "" },
		{ "{\"task_type\":\"\"}", "string_too_short", "/task_type", "String should have at least 1 character",
		    "{\"min_length\":1}" },
		{ "{\"task_type\":\"" X64 "x\"}", "string_too_long", "/task_type",
		    "String should have at most 64 characters", "{\"max_length\":64}" },
		{ "{\"task_type\":\"\\ud800\"}", "string_unicode", "/task_type",
		    "Input should be a valid string, unable to parse raw data as a unicode string", "" },
		{ "{\"task_type\":\"a\\u0000\"}", "string_pattern_mismatch", "/task_type",
		    "String should match pattern '^[^\\x00-\\x1f\\x7f]+$'",
		    "{\"pattern\":\"^[^\\\\x00-\\\\x1f\\\\x7f]+$\"}" },
		{ "{\"task_type\":\"a\",\"payload\":[]}", "dict_type", "/payload", "Input should be a valid dictionary",
		    "" },
		{ "{\"task_type\":\"a\",\"payload\":null}", "dict_type", "/payload",
		    "Input should be a valid dictionary", "" },
		{ "[]", "model_attributes_type", "",
		    "Input should be a valid dictionary or object to extract fields from", "" },
		{ ATTEMPTS("0"), GE1 },
		{ ATTEMPTS("-0.0"), GE1 },
		{ ATTEMPTS("\"-3\""), GE1 },
		{ ATTEMPTS("\"000\""), GE1 },
		{ ATTEMPTS("11"), LE10 },
		{ ATTEMPTS("99999999999999999999"), LE10 },
		{ ATTEMPTS("\"99999999999999999999999\""), LE10 },
		{ ATTEMPTS("\"abc\""), PARSING },
		{ ATTEMPTS("\"\""), PARSING },
		{ ATTEMPTS("\" \""), PARSING },
		{ ATTEMPTS("\"0x3\""), PARSING },
		{ ATTEMPTS("\"1__0\""), PARSING },
		{ ATTEMPTS("\"_3\""), PARSING },
		{ ATTEMPTS("\"3_\""), PARSING },
		{ ATTEMPTS("\"3_.0\""), PARSING },
		{ ATTEMPTS("\"3.\""), PARSING },
		{ ATTEMPTS("\".0\""), PARSING },
		{ ATTEMPTS("\"3.5\""), PARSING },
		{ ATTEMPTS("\"3e0\""), PARSING },
		{ ATTEMPTS("\"+ 3\""), PARSING },
		{ ATTEMPTS("\"--3\""), PARSING },
		{ ATTEMPTS("\"3 3\""), PARSING },
		{ ATTEMPTS("\"3.0_0\""), PARSING },
		{ ATTEMPTS("3.5"), "int_from_float", "/max_attempts",
		    "Input should be a valid integer, got a number with a fractional part", "" },
		{ ATTEMPTS("-3.5"), "int_from_float", "/max_attempts",
		    "Input should be a valid integer, got a number with a fractional part", "" },
		{ ATTEMPTS("1e400"), "finite_number", "/max_attempts", "Input should be a finite number", "" },
		{ ATTEMPTS("true"), "int_type", "/max_attempts", "Input should be a valid integer", "" },
		{ ATTEMPTS("null"), "int_type", "/max_attempts", "Input should be a valid integer", "" },
		{ ATTEMPTS("[1]"), "int_type", "/max_attempts", "Input should be a valid integer", "" },
		{ "{\"task_type\":\"a\",}", "json_invalid", "/task_type", "JSON decode error",
		    "{\"error\":\"expected a name in quotes\"}" },
		{ "{\"task_type\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "json_invalid", "/x/y", "JSON decode error",
		    "{\"error\":\"expected each name once in an object\"}" },
	};
	struct task_request r;
	struct task_problem p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ok(!read_body(rows[i].body, TASK_SURFACE_COMPAT, &r, &p) && p.status == 422, "refused: %.60s",
		    rows[i].body);
		is_str(p.compat_type, rows[i].type, "its type");
		is_str(p.pointer, rows[i].pointer, "its pointer");
		is_str(p.detail, rows[i].msg, "its msg");
		is_str(p.compat_ctx, rows[i].ctx, "its ctx");
	}
}

/* --- fingerprints -------------------------------------------------------------------------------------------------- */

enum { V1 = TASK_SURFACE_V1, COMPAT = TASK_SURFACE_COMPAT };

static const char *
fingerprint(const char *body, int surface)
{
	struct task_request r;
	struct task_problem p;
	char *hex = arena_alloc(arena, 2 * DIGEST_LEN + 1);

	if (!read_body(body, (enum task_surface)surface, &r, &p))
		return arena_strdup(arena, p.detail);
	for (int i = 0; i < DIGEST_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", r.fingerprint[i]);
	return hex;
}

static void
test_fingerprint(void)
{
	static const struct {
		const char *a;
		int surface_a;
		const char *b;
		int surface_b;
		bool same;
	} rows[] = {
#define SAME(a, sa, b, sb) { a, sa, b, sb, true }
#define OTHER(a, sa, b, sb) \
	{ \
		a, sa, b, sb, false \
	}
		SAME("{\"task_type\":\"a\"}", V1, " { \"task_type\" : \"\\u0061\" } ", V1),
		SAME("{\"task_type\":\"a\"}", V1,
		    "{\"labels\":{},\"delay\":0,\"priority\":0,\"max_attempts\":5,\"payload\":{},\"queue\":\"default\","
		    "\"task_type\":\"a\"}",
		    V1),
		SAME("{\"task_type\":\"a\"}", COMPAT, "{\"max_attempts\":3,\"task_type\":\"a\"}", V1),
		SAME("{\"task_type\":\"a\",\"max_attempts\":\"5\",\"queue\":\"x\"}", COMPAT, "{\"task_type\":\"a\"}",
		    V1),
		OTHER("{\"task_type\":\"a\"}", COMPAT, "{\"task_type\":\"a\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"b\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"queue\":\"q\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"priority\":1}", V1),
		OTHER("{\"task_type\":\"a\",\"priority\":-1}", V1, "{\"task_type\":\"a\",\"priority\":1}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"delay\":1}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"expires_in\":1}", V1),
		OTHER(
		    "{\"task_type\":\"a\",\"delay\":1}", V1, "{\"task_type\":\"a\",\"delay\":1,\"expires_in\":2}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"expires_at\":\"2030-01-31T00:00:00Z\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"group\":\"null\"}", V1),
		OTHER("{\"task_type\":\"a\",\"group\":\"g\"}", V1, "{\"task_type\":\"a\",\"trace_id\":\"g\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"schema_version\":\"1\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"labels\":{\"a\":\"b\"}}", V1),
		SAME("{\"task_type\":\"a\",\"labels\":{\"a\":\"b\",\"c\":\"d\"}}", V1,
		    "{\"task_type\":\"a\",\"labels\":{\"c\":\"\\u0064\",\"a\":\"b\"}}", V1),
		SAME("{\"task_type\":\"a\",\"run_at\":\"2030-01-31T08:00:00Z\"}", V1,
		    "{\"task_type\":\"a\",\"run_at\":\"2030-01-31T10:00:00.000+02:00\"}", V1),
		OTHER("{\"task_type\":\"a\"}", V1, "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\"}}", V1),
		SAME("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\"}}", V1,
		    "{\"unique\":{\"for\":\"l\\u0069ve\",\"key\" : \"\\u006b\"},\"task_type\":\"a\"}", V1),
		OTHER("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\"}}", V1,
		    "{\"task_type\":\"a\",\"unique\":{\"key\":\"l\"}}", V1),
		OTHER("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\"}}", V1,
		    "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":\"queued\"}}", V1),
		OTHER("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":1}}", V1,
		    "{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":2}}", V1),
		SAME("{\"task_type\":\"a\",\"max_attempts\":5,\"unique\":{\"key\":\"k\"}}", COMPAT,
		    "{\"task_type\":\"a\"}", V1),
		OTHER("{\"task_type\":\"a\",\"run_at\":\"2030-01-31T08:00:00Z\"}", V1, "{\"task_type\":\"a\"}", V1),
		SAME("{\"task_type\":\"a\",\"payload\":{\"x\":1,\"y\":[1, {\"b\":2,\"a\":\"\\u00e9\\/\"}]}}", V1,
		    "{\"payload\":{\"y\":[1,{\"\\u0061\":\"\xc3\xa9/\",\"b\":2}],\"x\" :1},\"task_type\":\"a\"}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":1}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":1.0}}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":1}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":\"1\"}}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":null}}", V1, "{\"task_type\":\"a\",\"payload\":{}}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":[1,2]}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":[2,1]}}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":9007199254740993}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":9007199254740992}}", V1),
		OTHER("{\"task_type\":\"a\",\"payload\":{\"x\":\"\\ud800\"}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":\"\\\\ud800\"}}", V1),
		SAME("{\"task_type\":\"a\",\"payload\":{\"x\":\"\\uD800\"}}", V1,
		    "{\"task_type\":\"a\",\"payload\":{\"x\":\"\\ud800\"}}", V1),
	};
	struct task_request r;
	struct task_problem p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *a = fingerprint(rows[i].a, rows[i].surface_a),
			   *b = fingerprint(rows[i].b, rows[i].surface_b);

		ok(strlen(a) == 64 && strlen(b) == 64 && (strcmp(a, b) == 0) == rows[i].same, "%s: %.90s | %.90s",
		    rows[i].same ? "same" : "not the same", rows[i].a, rows[i].b);
	}
	/* Frozen: stored keys hold these. */
	is_str(fingerprint("{\"task_type\":\"a\"}", V1),
	    "26c7bdc24c727cf4b52183d45e9137441f4d21b97c826d9492c1cb9c4fa161a7", "fingerprint of the least task");
	is_str(fingerprint("{\"task_type\":\"t\",\"queue\":\"q\",\"payload\":{\"b\":[1.0,\"\\u0001\"],\"a\":{}},\"max_"
			   "attempts\":7,"
			   "\"priority\":-3,\"run_at\":\"2030-01-31T08:00:00Z\",\"schema_version\":\"s\",\"trace_id\":"
			   "\"\xc3\xa9\\\"\","
			   "\"group\":\"g\",\"labels\":{\"z\":\"1\",\"y\":\"2\"}}",
		   V1),
	    "8d8d07bca7057ae9e2a8e89f1bcbf5bf45ad45dd347f2df4b9e8ddc5cf5563ae", "fingerprint of a full task");
	is_str(fingerprint("{\"task_type\":\"a\",\"unique\":{\"key\":\"k\",\"for\":60}}", V1),
	    "a3ebea368b4f7924d29d1e466d760e89011334737f12d8f3cb78b94da6676dcf",
	    "fingerprint of one with a unique name");
	ok(!read_body("{}", TASK_SURFACE_V1, &r, &p) && r.fingerprint[0] == 0, "what is refused has none");
}

static bool
read_item(const char *item, struct task_request *r, struct span *key, struct task_problem *p)
{
	*p = (struct task_problem){ 0 };
	return task_item_read(span_of(item), arena, r, key, p);
}

static void
test_item(void)
{
	struct task_request r, same;
	struct task_problem p;
	struct span key;

	ok(read_item("{\"idempotency_key\":\"k\\u0031\",\"task_type\":\"a\",\"payload\":{\"x\":1}}", &r, &key, &p),
	    "an item: %s", p.detail);
	is_span(key, "k1", "its key, escapes undone");
	is_span(r.payload, "{\"x\":1}", "its payload");
	ok(read_body("{\"task_type\":\"a\",\"payload\":{\"x\":1}}", TASK_SURFACE_V1, &same, &p), "the same as a body");
	ok(memcmp(r.fingerprint, same.fingerprint, DIGEST_LEN) == 0, "the key is no part of the fingerprint");
	ok(read_item("{\"task_type\":\"a\"}", &r, &key, &p) && key.ptr == NULL, "without a key: the reader's concern");
	ok(!read_item("{\"idempotency_key\":1,\"task_type\":\"a\"}", &r, &key, &p), "a number is no key");
	is_str(p.code, "invalid_key", "its code");
	is_str(p.pointer, "/idempotency_key", "its place");
	ok(!read_item("{\"idempotency_key\":\"a\",\"idempotency_key\":\"a\",\"task_type\":\"a\"}", &r, &key, &p),
	    "two keys");
	is_str(p.code, "duplicate_name", "its code");
	ok(!read_body("{\"idempotency_key\":\"a\",\"task_type\":\"a\"}", TASK_SURFACE_V1, &r, &p), "not in a body");
	is_str(p.code, "unknown_field", "its code");
	ok(task_key_check(SPAN(" \"a\" ")) == NULL, "a key is any printable ASCII");
	ok(task_key_check(SPAN("")) != NULL && task_key_check(SPAN("\x7f")) != NULL &&
		task_key_check(SPAN("\xc3\xa9")) != NULL && task_key_check(SPAN(X128 X128)) != NULL,
	    "and nothing else");
}

int
main(void)
{
	arena = arena_new(4096);
	test_v1_read();
	test_v1_refused();
	test_compat_read();
	test_compat_refused();
	test_fingerprint();
	test_item();
	arena_free(&arena);
	return done();
}
