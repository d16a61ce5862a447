/* call_pure_test.c - what outgoing HTTP decides without a network: whom it may call, what a configuration may say, when to come again,
 * and the signature. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "call/call.h"
#include "t/unit/tap.h"

#define NOW INT64_C(784111777000000) /* Sun, 06 Nov 1994 08:49:37 GMT, in us */

static struct conf_list
list_of(const char **items)
{
	struct conf_list list = { items, 0 };

	while (items[list.n] != NULL)
		list.n++;
	return list;
}

static bool
permits(const char *address, const char *host, const char **items)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct conf_list allow = list_of(items);

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return call_guard_permits(&allow, span_of(host), (const struct sockaddr *)(const void *)&v4);
	if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		abort();
	return call_guard_permits(&allow, span_of(host), (const struct sockaddr *)(const void *)&v6);
}

static void
test_guard(void)
{
	static const char *const refused[] = { "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1",
		"100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
		"203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1",
		"64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
		"fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1" };
	static const char *const permitted[] = { "1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255",
		"100.128.0.0", "126.255.255.255", "128.0.0.1", "172.15.255.255", "172.32.0.1", "192.167.255.255",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
		"2606:4700::1111", "2a00::1" };
	const char *none[] = { NULL };
	const char *some[] = { "10.1.0.0/16", "127.0.0.1", "fd00::/8", "hooks.internal", NULL };

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		ok(!permits(refused[i], "x", none), "%s is refused", refused[i]);
	for (size_t i = 0; i < ARRAY_LEN(permitted); i++)
		ok(permits(permitted[i], "x", none), "%s may be called", permitted[i]);
	ok(permits("10.1.255.1", "x", some), "in a network that is allowed");
	ok(permits("::ffff:10.1.2.3", "x", some), "the same, v4-mapped");
	ok(permits("64:ff9b::10.1.2.3", "x", some), "the same, by NAT64");
	ok(!permits("10.2.0.1", "x", some), "beside it");
	ok(permits("127.0.0.1", "x", some), "an address that is allowed");
	ok(!permits("127.0.0.2", "x", some), "its neighbour");
	ok(permits("fd12::1", "x", some), "IPv6");
	ok(permits("192.168.0.1", "Hooks.Internal", some), "a host that is allowed, wherever it is");
	ok(!permits("192.168.0.1", "other.internal", some), "another host");
}

static void
test_words(void)
{
	static const struct {
		const char *(*judge)(const char *);
		const char *text;
		bool good;
	} rows[] = {
		{ call_url_wrong, "http://a", true },
		{ call_url_wrong, "HTTPS://a.b-c.example:8443/x/y?z=1", true },
		{ call_url_wrong, "http://127.0.0.1:1/", true },
		{ call_url_wrong, "http://[::1]:80/", true },
		{ call_url_wrong, "", false },
		{ call_url_wrong, "a/b", false },
		{ call_url_wrong, "ftp://a/", false },
		{ call_url_wrong, "file:///etc/passwd", false },
		{ call_url_wrong, "http:///x", false },
		{ call_url_wrong, "http://u:p@a/", false },
		{ call_url_wrong, "http://a@b", false },
		{ call_url_wrong, "http://a/@b", true },
		{ call_url_wrong, "http://a:0/", false },
		{ call_url_wrong, "http://a:65536/", false },
		{ call_url_wrong, "http://a:/", false },
		{ call_url_wrong, "http://a:80x/", false },
		{ call_url_wrong, "http://[::1/", false },
		{ call_url_wrong, "http://[x]/", false },
		{ call_url_wrong, "http://a b/", false },
		{ call_url_wrong, "http://a/\n", false },
		{ call_url_wrong, "http://a\\b/", false },
		{ call_url_wrong, "http://a/#f", false },
		{ call_url_wrong, "http://\xC3\xA9/", false },
		{ call_allow_wrong, "127.0.0.1", true },
		{ call_allow_wrong, "10.0.0.0/8", true },
		{ call_allow_wrong, "0.0.0.0/0", true },
		{ call_allow_wrong, "::/0", true },
		{ call_allow_wrong, "fd00::/8", true },
		{ call_allow_wrong, "hooks.internal", true },
		{ call_allow_wrong, "10.0.0.1/8", false },
		{ call_allow_wrong, "10.0.0.0/33", false },
		{ call_allow_wrong, "10.0.0.0/", false },
		{ call_allow_wrong, "10.0.0.0/-1", false },
		{ call_allow_wrong, "10.0.0", false },
		{ call_allow_wrong, "fd00::1/8", false },
		{ call_allow_wrong, "host:80", false },
		{ call_allow_wrong, "a b", false },
		{ call_allow_wrong, "", false },
		{ call_header_wrong, "Authorization: Bearer x", true },
		{ call_header_wrong, "X: y: z", true },
		{ call_header_wrong, "X:", false },
		{ call_header_wrong, "X", false },
		{ call_header_wrong, ": y", false },
		{ call_header_wrong, "X : y", false },
		{ call_header_wrong, "X: y\r\nZ: a", false },
		{ call_header_wrong, "Content-length: 1", false },
		{ call_header_wrong, "Idempotency-Key: 1", false },
		{ call_secret_wrong, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true },
		{ call_secret_wrong, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true },
		{ call_secret_wrong, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true },
		{ call_secret_wrong, "whsec_short", false },
		{ call_secret_wrong, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false },
		{ call_secret_wrong, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w", false },
		{ call_secret_wrong, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", false },
		{ call_secret_wrong, "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *wrong = rows[i].judge(rows[i].text);

		ok((wrong == NULL) == rows[i].good, "words %zu: %s", i, wrong != NULL ? wrong : "good");
	}
}

static void
test_retry_after(void)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: it says nothing */
	} rows[] = {
		{ "120", 120 },
		{ "0", 0 },
		{ "-5", 0 },
		{ "Sun, 06 Nov 1994 08:51:37 GMT", 120 },
		{ "Sunday, 06-Nov-94 08:51:37 GMT", 120 },
		{ "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
		{ "Mon, 06 Nov 2034 08:49:37 GMT", CALL_RETRY_AFTER_MAX / 1000000 },
		{ "99999999999999999999999999", CALL_RETRY_AFTER_MAX / 1000000 },
		{ "", -1 },
		{ "-", -1 },
		{ "1.5", -1 },
		{ "12 s", -1 },
		{ "soon", -1 },
		{ "soon GMT", -1 },
		{ "1994", 1994 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		is_int(call_retry_after(span_of(rows[i].text), NOW),
		    rows[i].seconds < 0 ? -1 : rows[i].seconds * 1000000, "Retry-After: %s", rows[i].text);
}

static void
test_header(void)
{
	struct span head =
	    SPAN("Server: x\r\nretry-after: 1\r\nRetry-After: 2\r\nTaskq-Snooze:\t 3 \r\nEmpty:\r\nLast: end");

	ok(span_is(call_header(head, "retry-after"), "1"), "the first of a name, in any case");
	ok(span_is(call_header(head, "taskq-snooze"), "3"), "trimmed");
	is_int(call_header(head, "empty").len, 0, "an empty value");
	ok(span_is(call_header(head, "last"), "end"), "a last line without end");
	is_int(call_header(head, "erver").len, 0, "not within a name");
	is_int(call_header((struct span){ 0 }, "x").len, 0, "no head");
}

/* The vector that the libraries of Standard Webhooks are tested with. */
static void
test_sign(void)
{
	const char *items[] = { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", NULL };
	struct conf_list both = list_of(items), one = { items, 1 };
	struct buf b = { 0 };

	call_sign(&b, &one, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SPAN("{\"test\": 2432232314}"));
	is_str(buf_cstr(&b), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "the published signature");
	buf_reset(&b);
	call_sign(&b, &both, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SPAN("{\"test\": 2432232314}"));
	ok(strncmp(buf_cstr(&b), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,", 51) == 0 && b.len == 47 * 2 + 1,
	    "one for each secret: %s", buf_cstr(&b));
	buf_free(&b);
}

int
main(void)
{
	test_guard();
	test_words();
	test_retry_after();
	test_header();
	test_sign();
	return done();
}
