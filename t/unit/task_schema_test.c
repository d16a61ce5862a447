/* task_schema_test.c - schemas of payloads: what fits, what is refused where and in which words, what is no schema. */
#include "t/unit/tap.h"
#include "task/task_schema.h"

#define X10 "xxxxxxxxxx"
#define X64 X10 X10 X10 X10 X10 X10 "xxxx"

static struct task_schema *
schema(const char *text)
{
	struct buf why = { 0 };
	struct task_schema *s = task_schema_new(span_of(text), &why);

	if (s == NULL)
		ok(false, "%s is refused: %s", text, buf_cstr(&why));
	buf_free(&why);
	return s;
}

struct row {
	const char *schema;
	const char *payload;
	const char *pointer; /* null: fits */
	const char *detail;
};

static void
test_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		struct task_schema *s = schema(r->schema);
		struct task_problem p = { 0 };

		if (s == NULL)
			continue;
		if (task_schema_check(s, span_of(r->payload), &p)) {
			ok(r->pointer == NULL, "%s fits %s", r->payload, r->schema);
		} else if (r->pointer == NULL) {
			ok(false, "%s fits %s: %s %s", r->payload, r->schema, p.pointer, p.detail);
		} else {
			is_str(p.pointer, r->pointer, "%s does not fit %s", r->payload, r->schema);
			is_str(p.detail, r->detail, "and why");
			ok(strlen(p.detail) <= TASK_SCHEMA_DETAIL_MAX, "in the room there is");
		}
		task_schema_free(&s);
	}
}
#define TEST(rows) test_rows(rows, ARRAY_LEN(rows))

static void
test_types(void)
{
	static const struct row rows[] = {
		{ "true", "{}", NULL, NULL },
		{ "{}", "[1,null]", NULL, NULL },
		{ "false", "{}", "/payload", "expected nothing here, got object" },
		{ "{\"type\":\"object\"}", "{}", NULL, NULL },
		{ "{\"type\":\"object\"}", "[]", "/payload", "expected object, got array" },
		{ "{\"type\":\"string\"}", "\"a\"", NULL, NULL },
		{ "{\"type\":\"string\"}", "1", "/payload", "expected string, got number" },
		{ "{\"type\":\"boolean\"}", "true", NULL, NULL },
		{ "{\"type\":\"boolean\"}", "false", NULL, NULL },
		{ "{\"type\":\"boolean\"}", "0", "/payload", "expected boolean, got number" },
		{ "{\"type\":\"null\"}", "null", NULL, NULL },
		{ "{\"type\":\"null\"}", "false", "/payload", "expected null, got boolean" },
		{ "{\"type\":\"array\"}", "{}", "/payload", "expected array, got object" },
		{ "{\"type\":\"number\"}", "1.5", NULL, NULL },
		{ "{\"type\":\"number\"}", "7", NULL, NULL },
		{ "{\"type\":\"number\"}", "\"7\"", "/payload", "expected number, got string" },
		{ "{\"type\":\"integer\"}", "7", NULL, NULL },
		{ "{\"type\":\"integer\"}", "1.0", NULL, NULL },
		{ "{\"type\":\"integer\"}", "-0.00", NULL, NULL },
		{ "{\"type\":\"integer\"}", "15e-1", "/payload", "expected integer, got 15e-1" },
		{ "{\"type\":\"integer\"}", "150e-1", NULL, NULL },
		{ "{\"type\":\"integer\"}", "1.25e2", NULL, NULL },
		{ "{\"type\":\"integer\"}", "1.25e1", "/payload", "expected integer, got 1.25e1" },
		{ "{\"type\":\"integer\"}", "1e999999999999999999999", NULL, NULL },
		{ "{\"type\":\"integer\"}", "1e-999999999999999999999", "/payload",
		    "expected integer, got 1e-999999999999999999999" },
		{ "{\"type\":\"integer\"}", "\"7\"", "/payload", "expected integer, got string" },
		{ "{\"type\":[\"integer\",\"null\"]}", "null", NULL, NULL },
		{ "{\"type\":[\"string\",\"integer\",\"null\"]}", "2.5", "/payload",
		    "expected null or integer or string, got 2.5" },
		{ "{\"type\":[\"integer\",\"number\"]}", "2.5", NULL, NULL },
	};

	TEST(rows);
}

static void
test_values(void)
{
	static const struct row rows[] = {
		{ "{\"enum\":[\"b\",1,null,{\"x\":[1,\"\\u00e9\"],\"y\":2},\"a\"]}", "\"a\"", NULL, NULL },
		{ "{\"enum\":[\"b\",1,null,\"a\"]}", "1.0", NULL, NULL },
		{ "{\"enum\":[\"b\",1,null,\"a\"]}", "null", NULL, NULL },
		{ "{\"enum\":[\"b\",1,null,{\"x\":[1,\"\\u00e9\"],\"y\":2}]}", "{\"y\":2.0,\"x\":[10e-1,\"\xc3\xa9\"]}",
		    NULL, NULL },
		{ "{\"enum\":[{\"x\":[1,2]}]}", "{\"x\":[1,2,3]}", "/payload", "expected {\"x\":[1,2]}, got object" },
		{ "{\"enum\":[{\"x\":1}]}", "{\"x\":1,\"y\":1}", "/payload", "expected {\"x\":1}, got object" },
		{ "{\"enum\":[\"b\",1,\"a\"]}", "\"secret\"", "/payload",
		    "expected one of 1, \"a\", \"b\", got string" },
		{ "{\"enum\":[\"b\",1,\"a\"]}", "2", "/payload", "expected one of 1, \"a\", \"b\", got 2" },
		{ "{\"enum\":[false]}", "0", "/payload", "expected false, got 0" },
		{ "{\"enum\":[\"" X64 "\"]}", "0", "/payload", "expected 1 value of the schema, got 0" },
		{ "{\"enum\":[\"a\",\"" X64 "\",\"y\"]}", "0", "/payload", "expected one of \"a\" and 2 more, got 0" },
		{ "{\"const\":null}", "null", NULL, NULL },
		{ "{\"const\":null}", "{}", "/payload", "expected null, got object" },
		{ "{\"const\":12345678901234567890.5}", "12345678901234567890.50", NULL, NULL },
		{ "{\"const\":9007199254740993}", "9007199254740992", "/payload",
		    "expected 9007199254740993, got 9007199254740992" },
		{ "{\"const\":\"a\\u002fb\"}", "\"a/b\"", NULL, NULL },
		{ "{\"const\":\"ab\"}", "\"abc\"", "/payload", "expected \"ab\", got string" },
		{ "{\"const\":[]}", "[[]]", "/payload", "expected [], got array" },
		{ "{\"enum\":[1,2],\"const\":2}", "1", "/payload", "expected 2, got 1" },
	};

	TEST(rows);
}

static void
test_numbers(void)
{
	static const struct row rows[] = {
		{ "{\"minimum\":1}", "1", NULL, NULL },
		{ "{\"minimum\":1}", "1.00", NULL, NULL },
		{ "{\"minimum\":1}", "0.999999999999999999999", "/payload",
		    "expected at least 1, got 0.999999999999999999999" },
		{ "{\"minimum\":1}", "\"0\"", NULL, NULL },
		{ "{\"minimum\":-5}", "-5.0000000000000000000001", "/payload",
		    "expected at least -5, got -5.0000000000000000000001" },
		{ "{\"minimum\":0}", "-0", NULL, NULL },
		{ "{\"minimum\":-0.0}", "0e5", NULL, NULL },
		{ "{\"minimum\":0}", "-1e-400", "/payload", "expected at least 0, got -1e-400" },
		{ "{\"maximum\":9007199254740992}", "9007199254740993", "/payload",
		    "expected at most 9007199254740992, got 9007199254740993" },
		{ "{\"maximum\":9007199254740993}", "9007199254740993", NULL, NULL },
		{ "{\"maximum\":340282366920938463463374607431768211456}", "340282366920938463463374607431768211457",
		    "/payload",
		    "expected at most 340282366920938463463374607431768211456, got "
		    "340282366920938463463374607431768211457" },
		{ "{\"maximum\":1e400}", "1e401", "/payload", "expected at most 1e400, got 1e401" },
		{ "{\"maximum\":1e400}", "10e399", NULL, NULL },
		{ "{\"maximum\":1e400}", "99999999999999999999999999999", NULL, NULL },
		{ "{\"maximum\":1e400}", "1e99999999999999999999999", "/payload",
		    "expected at most 1e400, got 1e99999999999999999999999" },
		{ "{\"maximum\":-1e400}", "-1e99999999999999999999999", NULL, NULL },
		{ "{\"minimum\":1e-400}", "1e-99999999999999999999999", "/payload",
		    "expected at least 1e-400, got 1e-99999999999999999999999" },
		{ "{\"maximum\":0.1}", "0.10000000000000000555", "/payload",
		    "expected at most 0.1, got 0.10000000000000000555" },
		{ "{\"exclusiveMinimum\":0}", "1e-30", NULL, NULL },
		{ "{\"exclusiveMinimum\":0}", "-0.0", "/payload", "expected more than 0, got -0.0" },
		{ "{\"exclusiveMaximum\":100}", "99.9999999999999999999999", NULL, NULL },
		{ "{\"exclusiveMaximum\":100}", "1.000e2", "/payload", "expected less than 100, got 1.000e2" },
		{ "{\"multipleOf\":0.01}", "19.99", NULL, NULL },
		{ "{\"multipleOf\":0.01}", "4.35", NULL, NULL },
		{ "{\"multipleOf\":0.01}", "0", NULL, NULL },
		{ "{\"multipleOf\":0.01}", "-1e3", NULL, NULL },
		{ "{\"multipleOf\":0.01}", "0.075", "/payload", "expected a multiple of 0.01, got 0.075" },
		{ "{\"multipleOf\":3}", "9007199254740993000000000000000000000003", NULL, NULL },
		{ "{\"multipleOf\":3}", "9007199254740993000000000000000000000004", "/payload",
		    "expected a multiple of 3, got 9007199254740993000000000000000000000004" },
		{ "{\"multipleOf\":1024}", "1e10", NULL, NULL },
		{ "{\"multipleOf\":1024}", "1e9", "/payload", "expected a multiple of 1024, got 1e9" },
		{ "{\"multipleOf\":7}", "1e99999999999999999999", "/payload",
		    "expected a multiple of 7, got 1e99999999999999999999" },
		{ "{\"multipleOf\":999999999999999999}", "1999999999999999998", NULL, NULL },
		{ "{\"multipleOf\":20}", "1e1", "/payload", "expected a multiple of 20, got 1e1" },
		{ "{\"multipleOf\":2.5}", "7.5", NULL, NULL },
	};

	TEST(rows);
}

static void
test_strings(void)
{
	static const struct row rows[] = {
		{ "{\"minLength\":2}", "\"ab\"", NULL, NULL },
		{ "{\"minLength\":2}", "\"a\"", "/payload", "expected at least 2 characters, got 1" },
		{ "{\"minLength\":2}", "1", NULL, NULL },
		{ "{\"maxLength\":1}", "\"\xc3\xa9\"", NULL, NULL },
		{ "{\"maxLength\":1}", "\"\xf0\x9f\x98\x80\"", NULL, NULL },
		{ "{\"maxLength\":1}", "\"\\ud83d\\ude00\"", NULL, NULL },
		{ "{\"maxLength\":1}", "\"\\u00e9\"", NULL, NULL },
		{ "{\"maxLength\":1}", "\"\\ud83d\"", NULL, NULL },
		{ "{\"maxLength\":1}", "\"e\xcc\x81\"", "/payload", "expected at most 1 character, got 2" },
		{ "{\"maxLength\":0}", "\"\\n\"", "/payload", "expected at most 0 characters, got 1" },
		{ "{\"maxLength\":0}", "\"\"", NULL, NULL },
	};

	TEST(rows);
}

static void
test_objects(void)
{
	static const struct row rows[] = {
		{ "{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"b\":1}", NULL, NULL },
		{ "{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":\"x\"}", "/payload/a",
		    "expected integer, got string" },
		{ "{\"properties\":{\"a\":{\"properties\":{\"b\":false}}}}", "{\"a\":{\"b\":null}}", "/payload/a/b",
		    "expected nothing here, got null" },
		{ "{\"properties\":{\"a/b\":{\"properties\":{\"~\":{\"type\":\"null\"}}}}}", "{\"a\\/b\":{\"~\":1}}",
		    "/payload/a~1b/~0", "expected null, got number" },
		{ "{\"properties\":{\"\\u0061\":{\"type\":\"null\"}}}", "{\"a\":1}", "/payload/a",
		    "expected null, got number" },
		{ "{\"properties\":{\"\":{\"type\":\"null\"}}}", "{\"\":1}", "/payload/", "expected null, got number" },
		{ "{\"properties\":{\"d\":true,\"b\":{\"type\":\"null\"},\"c\":{\"type\":\"null\"},\"a\":true}}",
		    "{\"d\":1,\"c\":1,\"a\":1,\"b\":1}", "/payload/c", "expected null, got number" },
		{ "{\"required\":[\"b\",\"a\"]}", "{\"a\":1,\"b\":2,\"0\":3}", NULL, NULL },
		{ "{\"required\":[\"b\",\"a\"]}", "{\"b\":1}", "/payload/a",
		    "expected a member of this name, got none" },
		{ "{\"required\":[\"b/~\"]}", "{}", "/payload/b~1~0", "expected a member of this name, got none" },
		{ "{\"required\":[]}", "{}", NULL, NULL },
		{ "{\"required\":[\"a\"]}", "[]", NULL, NULL },
		{ "{\"additionalProperties\":false}", "{}", NULL, NULL },
		{ "{\"additionalProperties\":false,\"properties\":{\"a\":true}}", "{\"a\":1}", NULL, NULL },
		{ "{\"additionalProperties\":false,\"properties\":{\"a\":true}}", "{\"a\":1,\"aa\":2}", "/payload/aa",
		    "expected nothing here, got 2" },
		{ "{\"additionalProperties\":{\"type\":\"string\"},\"properties\":{\"a\":true}}",
		    "{\"a\":1,\"b\":\"x\",\"c\":2}", "/payload/c", "expected string, got number" },
		{ "{\"additionalProperties\":true}", "{\"a\":1}", NULL, NULL },
		{ "{\"minProperties\":1}", "{}", "/payload", "expected at least 1 member, got 0" },
		{ "{\"maxProperties\":1}", "{\"a\":1,\"b\":[2,{\"c\":3}]}", "/payload",
		    "expected at most 1 member, got 2" },
		{ "{\"maxProperties\":1}", "{\"a\":{\"b\":1,\"c\":2}}", NULL, NULL },
	};

	TEST(rows);
}

static void
test_arrays(void)
{
	static const struct row rows[] = {
		{ "{\"items\":{\"type\":\"integer\"}}", "[]", NULL, NULL },
		{ "{\"items\":{\"type\":\"integer\"}}", "[1,[2],3]", "/payload/1", "expected integer, got array" },
		{ "{\"items\":{\"type\":\"integer\"}}", "{\"0\":\"x\"}", NULL, NULL },
		{ "{\"items\":{\"items\":{\"type\":\"null\"}}}", "[[],[null,null,1]]", "/payload/1/2",
		    "expected null, got number" },
		{ "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}", "[1]", NULL, NULL },
		{ "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}", "[1,2]", NULL, NULL },
		{ "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}", "[1,1]", "/payload/1",
		    "expected 2, got 1" },
		{ "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}", "[1,2,3]", "/payload/2",
		    "expected nothing here, got 3" },
		{ "{\"prefixItems\":[{\"const\":1}]}", "[1,\"x\"]", NULL, NULL },
		{ "{\"minItems\":2}", "[[1,2]]", "/payload", "expected at least 2 items, got 1" },
		{ "{\"maxItems\":1}", "[[1,2,3]]", NULL, NULL },
		{ "{\"maxItems\":1}", "[1,2]", "/payload", "expected at most 1 item, got 2" },
	};

	TEST(rows);
}

static void
test_combined(void)
{
	static const struct row rows[] = {
		{ "{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "2", NULL, NULL },
		{ "{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4", "/payload", "expected at most 3, got 4" },
		{ "{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5,\"type\":\"number\"}]}", "5", NULL, NULL },
		{ "{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5,\"type\":\"number\"}]}", "4", "/payload",
		    "expected to fit one of the 2 schemas of anyOf, got 4" },
		{ "{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "4", NULL, NULL },
		{ "{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "6", "/payload",
		    "expected to fit exactly one of the 2 schemas of oneOf, got 6, which fits several" },
		{ "{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "5", "/payload",
		    "expected to fit exactly one of the 2 schemas of oneOf, got 5, which fits none" },
		{ "{\"not\":{\"required\":[\"a\"]}}", "{}", NULL, NULL },
		{ "{\"not\":{\"required\":[\"a\"]}}", "{\"a\":1}", "/payload",
		    "expected not to fit the schema of not, got object" },
		{ "{\"$defs\":{\"n\":{\"type\":\"integer\",\"minimum\":0}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/"
		  "n\"},\"b\":{\"$ref\":\"#/$defs/n\",\"maximum\":9}}}",
		    "{\"a\":12,\"b\":7}", NULL, NULL },
		{ "{\"$defs\":{\"n\":{\"type\":\"integer\",\"minimum\":0}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/"
		  "n\"},\"b\":{\"$ref\":\"#/$defs/n\",\"maximum\":9}}}",
		    "{\"a\":12,\"b\":12}", "/payload/b", "expected at most 9, got 12" },
		{ "{\"$defs\":{\"n\":{\"type\":\"integer\",\"minimum\":0}},\"items\":{\"$ref\":\"#/$defs/n\"}}",
		    "[0,-1]", "/payload/1", "expected at least 0, got -1" },
		{ "{\"$ref\":\"#/$defs/a~1b~0c\",\"$defs\":{\"a/b~c\":{\"$ref\":\"#/$defs/last\"},\"last\":{\"const\":"
		  "1}}}",
		    "2", "/payload", "expected 1, got 2" },
		{ "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"x\",\"title\":\"t\","
		  "\"description\":\"d\",\"default\":{\"pattern\":1},\"examples\":[1],\"$comment\":\"c\","
		  "\"deprecated\":true,\"readOnly\":true,\"writeOnly\":true,\"format\":\"date\"}",
		    "\"no date\"", NULL, NULL },
	};

	TEST(rows);
}

static void
test_refused(void)
{
	static const struct {
		const char *schema;
		const char *why; /* its beginning */
	} rows[] = {
		{ "", "not JSON at byte 0: expected more, the text ends here" },
		{ "{\"type\":\"string\",}", "not JSON at byte 17: expected a name in quotes" },
		{ "{\"type\":\"string\",\"type\":\"null\"}",
		    "not JSON at byte 17: expected each name once in an object" },
		{ "[]", "at \"\": expected a schema: an object, true or false" },
		{ "{\"pattern\":\"x\"}", "at \"/pattern\": not supported, expected only $schema, $id" },
		{ "{\"properties\":{\"a/b\":{\"items\":{\"uniqueItems\":true}}}}",
		    "at \"/properties/a~1b/items/uniqueItems\": not supported" },
		{ "{\"allOf\":[{},{\"if\":{}}]}", "at \"/allOf/1/if\": not supported" },
		{ "{\"$defs\":{\"unused\":{\"Type\":\"string\"}}}", "at \"/$defs/unused/Type\": not supported" },
		{ "{\"type\":\"text\"}",
		    "at \"/type\": expected null, boolean, number, integer, string, array or object" },
		{ "{\"type\":[]}", "at \"/type\": expected null" },
		{ "{\"type\":[\"null\",1]}", "at \"/type/1\": expected null" },
		{ "{\"enum\":[]}", "at \"/enum\": expected an array of at least one value" },
		{ "{\"enum\":{}}", "at \"/enum\": expected an array" },
		{ "{\"enum\":[[1e1000001]]}",
		    "at \"/enum/0/0\": expected a number with an exponent of at most 1000000" },
		{ "{\"const\":1e-99999999999999999999}", "at \"/const\": expected a number with an exponent" },
		{ "{\"minimum\":\"1\"}", "at \"/minimum\": expected a number" },
		{ "{\"maximum\":1e9999999}", "at \"/maximum\": expected a number with an exponent" },
		{ "{\"exclusiveMinimum\":true}", "at \"/exclusiveMinimum\": expected a number" },
		{ "{\"multipleOf\":0}", "at \"/multipleOf\": expected a number greater than 0 of at most 18 digits" },
		{ "{\"multipleOf\":-1}", "at \"/multipleOf\": expected a number greater than 0" },
		{ "{\"multipleOf\":1000000000000000001}", "at \"/multipleOf\": expected a number greater than 0" },
		{ "{\"minLength\":-1}", "at \"/minLength\": expected an integer from 0 to 999999999" },
		{ "{\"maxItems\":1.0}", "at \"/maxItems\": expected an integer from 0" },
		{ "{\"maxItems\":1000000000}", "at \"/maxItems\": expected an integer from 0" },
		{ "{\"required\":\"a\"}", "at \"/required\": expected an array of names" },
		{ "{\"required\":[1]}", "at \"/required/0\": expected a name, a string" },
		{ "{\"required\":[\"b\",\"a\",\"\\u0062\"]}", "at \"/required/" },
		{ "{\"properties\":[]}", "at \"/properties\": expected an object of schemas" },
		{ "{\"properties\":{\"a\":1}}", "at \"/properties/a\": expected a schema" },
		{ "{\"additionalProperties\":null}", "at \"/additionalProperties\": expected a schema" },
		{ "{\"items\":[true]}", "at \"/items\": expected a schema" },
		{ "{\"prefixItems\":[]}", "at \"/prefixItems\": expected an array of at least one schema" },
		{ "{\"anyOf\":true}", "at \"/anyOf\": expected an array of at least one schema" },
		{ "{\"not\":[]}", "at \"/not\": expected a schema" },
		{ "{\"$ref\":\"other.json\"}", "at \"/$ref\": expected \"#/$defs/NAME\"" },
		{ "{\"$ref\":\"#/$defs/a/b\",\"$defs\":{\"a\":{}}}", "at \"/$ref\": expected \"#/$defs/NAME\"" },
		{ "{\"$ref\":\"#/$defs/%61\",\"$defs\":{\"a\":{}}}", "at \"/$ref\": expected \"#/$defs/NAME\"" },
		{ "{\"$ref\":\"#/$defs/b\",\"$defs\":{\"a\":{}}}", "at \"/$ref\": there is no such schema in $defs" },
		{ "{\"$ref\":\"#/$defs/a\"}", "at \"/$ref\": there is no such schema in $defs" },
		{ "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"not\":{\"$ref\":\"#/$defs/"
		  "b\"}},\"b\":{\"items\":{\"$ref\":"
		  "\"#/$defs/a\"}}}}",
		    "at \"/$defs/b/items/$ref\": leads back to itself, which is not supported" },
		{ "{\"items\":{\"$defs\":{}}}", "at \"/items/$defs\": expected $defs at the top of the schema only" },
		{ "{\"items\":{\"$id\":\"x\"}}", "at \"/items/$id\": expected $id at the top of the schema only" },
		{ "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}",
		    "at \"/$schema\": expected \"https://json-schema.org/draft/2020-12/schema\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf why = { 0 };
		struct task_schema *s = task_schema_new(span_of(rows[i].schema), &why);

		ok(s == NULL && strncmp(buf_cstr(&why), rows[i].why, strlen(rows[i].why)) == 0, "%s: %s",
		    rows[i].schema, buf_cstr(&why));
		task_schema_free(&s);
		buf_free(&why);
	}
}

/* a0 leads twice to a1, that twice to a2, ...: few nodes, a great tree. */
static void
put_doubling(struct buf *b, int n)
{
	buf_puts(b, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{");
	for (int i = 0; i < n; i++)
		buf_printf(b,
		    "\"a%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/a%d\"},{\"$ref\":\"#/$defs/a%d\",\"maximum\":9}]},", i,
		    i + 1, i + 1);
	buf_printf(b, "\"a%d\":{\"minimum\":5}}}", n);
}

static void
test_bounds(void)
{
	struct buf b = { 0 }, why = { 0 };
	struct task_problem p = { 0 };
	struct task_schema *s;

	put_doubling(&b, 28);
	s = schema(buf_cstr(&b));
	ok(task_schema_check(s, SPAN("5"), &p), "what fits at once fits");
	ok(!task_schema_check(s, SPAN("4"), &p), "work has an end");
	is_str(p.detail, "expected a payload that is checked in fewer than 1000000 steps", "and says so");
	is_str(p.pointer, "/payload", "of the whole");
	task_schema_free(&s);

	buf_reset(&b);
	put_doubling(&b, 60);
	s = task_schema_new(buf_span(&b), &why);
	ok(s == NULL && strstr(buf_cstr(&why), "expected at most 100 schemas in each other") != NULL,
	    "a chain of references is bounded: %s", buf_cstr(&why));

	buf_reset(&b);
	buf_reset(&why);
	buf_puts(&b, "{\"title\":\"");
	while (b.len <= TASK_SCHEMA_BYTES_MAX)
		buf_puts(&b, X64);
	buf_puts(&b, "\"}");
	s = task_schema_new(buf_span(&b), &why);
	ok(s == NULL && strcmp(buf_cstr(&why), "expected at most 64 kB") == 0, "a long one is refused");
	buf_free(&b);
	buf_free(&why);
}

static void
test_problem(void)
{
	static const char payload[] = "{\"l\": [{\"a\": \"x\"}, {\"a\": \"yz\"}]}";
	struct task_schema *s =
	    schema("{\"properties\":{\"l\":{\"items\":{\"properties\":{\"a\":{\"maxLength\":1}}}}}}");
	struct task_problem p = { 0 };
	struct buf b = { 0 };

	ok(!task_schema_check(s, span_of(payload), &p), "does not fit");
	is_int(p.status, 422, "status");
	is_str(p.code, "invalid_payload", "code");
	is_str(p.pointer, "/payload/l/1/a", "pointer");
	ok(span_is(p.input, "\"yz\""), "the value: %.*s", (int)p.input.len, p.input.ptr);
	is_int(p.offset, p.input.ptr - payload, "its place");

	ok(!task_schema_check(s, SPAN("{\"l\":[1],\"l\":2}"), &p), "a payload that is stored but not ours");
	is_int(p.status, 422, "is refused");
	is_str(p.pointer, "/payload/l", "with its place");
	is_str(p.detail, "expected each name once in an object", "and words");
	task_schema_free(&s);

	buf_puts(&b, "{\"enum\":[");
	for (int i = 0; i < 30; i++)
		buf_printf(&b, "%s\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9%02d\"", i > 0 ? "," : "", i);
	buf_puts(&b, "]}");
	s = schema(buf_cstr(&b));
	ok(!task_schema_check(s, SPAN("0"), &p), "many values");
	ok(strstr(p.detail, " more, got 0") != NULL, "are told in part: %s", p.detail);
	task_schema_free(&s);
	buf_free(&b);
}

int
main(void)
{
	test_types();
	test_values();
	test_numbers();
	test_strings();
	test_objects();
	test_arrays();
	test_combined();
	test_refused();
	test_bounds();
	test_problem();
	return done();
}
