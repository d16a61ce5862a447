/* task_split_test.c - bulk bodies: their items, and that the pieces in which they come change nothing. */
#include "t/unit/tap.h"
#include "task/task_json.h"

static struct buf said;

/* Items between brackets, then what became of the rest; in pieces of `size` bytes after a first of `first`. */
static const char *
split(struct span body, bool lines, size_t first, size_t size)
{
	struct json_split s = { .lines = lines };
	struct span piece, part;
	enum json_split_event e = JSON_SPLIT_MORE;
	bool open = false;
	size_t n;

	buf_reset(&said);
	for (n = first; e != JSON_SPLIT_BAD && body.len > 0; n = size) {
		piece = (struct span){ body.ptr, n < body.len ? n : body.len };
		body = (struct span){ body.ptr + piece.len, body.len - piece.len };
		while ((e = json_split(&s, &piece, &part)) != JSON_SPLIT_BAD && e != JSON_SPLIT_MORE) {
			if (!open)
				buf_puts(&said, "<");
			buf_putspan(&said, part);
			open = e == JSON_SPLIT_PART;
			if (open)
				break;
			buf_puts(&said, ">");
		}
	}
	if (e != JSON_SPLIT_BAD && (e = json_split_end(&s)) == JSON_SPLIT_ITEM) {
		buf_puts(&said, ">");
		e = json_split_end(&s);
	}
	buf_printf(&said, " %d", (int)s.items);
	if (e == JSON_SPLIT_BAD)
		buf_printf(&said, " bad at %d: %s", (int)s.offset, s.wrong);
	return buf_cstr(&said);
}

static void
check(const char *body, bool lines, const char *want)
{
	size_t len = strlen(body), first;
	bool same = true;

	is_str(split(span_of(body), lines, len, 1), want, "%zu bytes", len);
	for (first = 0; first <= len; first++)
		same = same && strcmp(split(span_of(body), lines, first, len + 1), want) == 0;
	for (first = 1; first <= 9; first++)
		same = same && strcmp(split(span_of(body), lines, first, first), want) == 0;
	ok(same, "cut anywhere: the same");
}

static void
test_array(void)
{
	check("[]", false, " 0");
	check(" [ ] \r\n", false, " 0");
	check("[{}]", false, "<{}> 1");
	check(" [ {\"a\":1} , {\"b\":[1,2]}\n]\n", false, "<{\"a\":1} ><{\"b\":[1,2]}\n> 2");
	check("[1,null,\"x\",[2,[3]]]", false, "<1><null><\"x\"><[2,[3]]> 4");
	check("[{\"a\":\"],}\\\"\\\\\"},{}]", false, "<{\"a\":\"],}\\\"\\\\\"}><{}> 2");
	check("[{\"abcdefghijklmnopqrstuvw\\\"xyz]\":\"\\\\\"},2]", false,
	    "<{\"abcdefghijklmnopqrstuvw\\\"xyz]\":\"\\\\\"}><2> 2");
	check("[{\"a\":1]]", false, "<{\"a\":1]> 1");
	check("[{\"a\" 1},tru]", false, "<{\"a\" 1}><tru> 2");
	check("[\xff\xfe,\"\xc3\"]", false, "<\xff\xfe><\"\xc3\"> 2");
}

static void
test_array_broken(void)
{
	check("", false, " 0 bad at 0: expected an array, the body is empty");
	check("  ", false, " 0 bad at 2: expected an array, the body is empty");
	check(" {}", false, " 0 bad at 1: expected an array: an opening bracket");
	check("[", false, " 0 bad at 1: expected more, the body ends here");
	check("[{}", false, "<{} 1 bad at 3: expected more, the body ends here");
	check("[{},", false, "<{}> 1 bad at 4: expected more, the body ends here");
	check("[{},]", false, "<{}> 1 bad at 4: expected an item");
	check("[,{}]", false, " 0 bad at 1: expected an item or a closing bracket");
	check("[{},,{}]", false, "<{}> 1 bad at 4: expected an item");
	check("[{}}", false, "<{}> 1 bad at 3: expected a comma or a closing bracket");
	check("[}", false, " 0 bad at 1: expected an item or a closing bracket");
	check("[{}] []", false, "<{}> 1 bad at 5: expected nothing after the array");
	check("[\"abc", false, "<\"abc 1 bad at 5: expected more, the body ends here");
	check("[1]x", false, "<1> 1 bad at 3: expected nothing after the array");
}

static void
test_lines(void)
{
	check("", true, " 0");
	check("\n \r\n\t\n", true, " 0");
	check("{}", true, "<{}> 1");
	check("{}\n", true, "<{}> 1");
	check("{\"a\":1}\r\n\r\n  {\"b\":2} \n{\"c\":3}", true, "<{\"a\":1}\r><{\"b\":2} ><{\"c\":3}> 3");
	check("{\"a\":\"x\n],[\n", true, "<{\"a\":\"x><],[> 2");
	check("[{},{}]\n", true, "<[{},{}]> 1");
}

int
main(void)
{
	test_array();
	test_array_broken();
	test_lines();
	buf_free(&said);
	return done();
}
