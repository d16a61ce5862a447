/* http_parse_test.c - the readers of a request: what is accepted, with its exact parts, and what is refused, with its status. */
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "base/buf.h"

#include "t/unit/http_read.h"
#include "t/unit/tap.h"

struct sample {
	const char *name;
	struct span bytes;
	const char *verdict;
};

#define H "Host: a\r\n"
#define GET(rest) SPAN("GET /x HTTP/1.1\r\n" rest "\r\n")
#define HEAD1(line) SPAN(line "\r\n" H "\r\n")
#define POST(rest) SPAN("POST /x HTTP/1.1\r\n" H rest)
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct sample accepted[] = {
	{ "plain GET", HEAD1("GET /x HTTP/1.1"), "GET /x host=a left=0" },
	{ "one empty line before", SPAN("\r\nGET /x HTTP/1.1\r\n" H "\r\n"), "GET /x host=a left=0" },
	{ "any token is a method", HEAD1("br!w-1 /x HTTP/1.1"), "br!w-1 /x host=a left=0" },
	{ "methods are case-sensitive", HEAD1("get /x HTTP/1.1"), "get /x host=a left=0" },
	{ "query", HEAD1("GET /x?a=1&b=%20 HTTP/1.1"), "GET /x query=a=1&b=%20 host=a left=0" },
	{ "empty query", HEAD1("GET /x? HTTP/1.1"), "GET /x query= host=a left=0" },
	{ "second question mark", HEAD1("GET /x?? HTTP/1.1"), "GET /x query=? host=a left=0" },
	{ "root", HEAD1("GET / HTTP/1.1"), "GET / host=a left=0" },
	{ "escapes are decoded", HEAD1("GET /%74%c3%a4 HTTP/1.1"), "GET /t\xc3\xa4 host=a left=0" },
	{ "nothing is normalised", HEAD1("GET //a/./b/../c HTTP/1.1"), "GET //a/./b/../c host=a left=0" },
	{ "all characters of a path", HEAD1("GET /-._~!$&'()*+,;=:@ HTTP/1.1"),
	    "GET /-._~!$&'()*+,;=:@ host=a left=0" },
	{ "a plus in a path is a plus", HEAD1("GET /a+b HTTP/1.1"), "GET /a+b host=a left=0" },
	{ "asterisk", HEAD1("OPTIONS * HTTP/1.1"), "OPTIONS * host=a left=0" },
	{ "absolute form", HEAD1("GET http://a/x?q HTTP/1.1"), "GET /x query=q host=a left=0" },
	{ "absolute form, any case", HEAD1("GET HTTP://A/x HTTP/1.1"), "GET /x host=a left=0" },
	{ "absolute form without a path", HEAD1("GET http://a HTTP/1.1"), "GET / host=a left=0" },
	{ "absolute form, query only", HEAD1("GET http://a?q HTTP/1.1"), "GET / query=q host=a left=0" },
	{ "HTTP/1.0 closes", HEAD1("GET /x HTTP/1.0"), "GET /x host=a close left=0" },
	{ "HTTP/1.0 needs no Host", SPAN("GET /x HTTP/1.0\r\n\r\n"), "GET /x host= close left=0" },
	{ "HTTP/1.0 ignores keep-alive", SPAN("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
	    "GET /x host= close left=0" },
	{ "no space after the colon", GET("Host:a\r\n"), "GET /x host=a left=0" },
	{ "white space around a value", GET("Host: \t a \t \r\n"), "GET /x host=a left=0" },
	{ "empty value", GET(H "X:\r\n"), "GET /x host=a left=0" },
	{ "value of spaces", GET(H "X:   \r\n"), "GET /x host=a left=0" },
	{ "UTF-8 in a value", GET(H "X: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\r\n"), "GET /x host=a left=0" },
	{ "all characters of a token", GET(H "!#$%&'*+-.^_`|~09azAZ: 1\r\n"), "GET /x host=a left=0" },
	{ "names in any case", GET("hOST: a\r\n"), "GET /x host=a left=0" },
	{ "Host with a port", GET("Host: a.example:8001\r\n"), "GET /x host=a.example:8001 left=0" },
	{ "Host with an empty port", GET("Host: a:\r\n"), "GET /x host=a: left=0" },
	{ "Host in brackets", GET("Host: [::1]:80\r\n"), "GET /x host=[::1]:80 left=0" },
	{ "Host with an escape", GET("Host: a%20b\r\n"), "GET /x host=a%20b left=0" },
	{ "Connection: close", GET(H "Connection: close\r\n"), "GET /x host=a close left=0" },
	{ "close in a list", GET(H "Connection: keep-alive ,\tCLOSE \r\n"), "GET /x host=a close left=0" },
	{ "close in a second line", GET(H "Connection: x\r\nConnection: close\r\n"), "GET /x host=a close left=0" },
	{ "closed is not close", GET(H "Connection: closed, xclose\r\n"), "GET /x host=a left=0" },
	{ "eight header lines", GET(H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n"), "GET /x host=a left=0" },
	{ "Content-Length", POST("Content-Length: 3\r\n\r\nabc"), "POST /x host=a body=abc left=0" },
	{ "Content-Length 0", POST("Content-Length: 0\r\n\r\n"), "POST /x host=a body= left=0" },
	{ "leading zeros", POST("Content-Length: 0003\r\n\r\nabc"), "POST /x host=a body=abc left=0" },
	{ "body of a GET", SPAN("GET /x HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\na"), "GET /x host=a body=a left=0" },
	{ "Expect", POST("Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na"),
	    "POST /x host=a expects body=a left=0" },
	{ "Expect without a body", POST("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
	    "POST /x host=a body= left=0" },
	{ "Expect in HTTP/1.0", SPAN("POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"),
	    "POST /x host= close body=a left=0" },
	{ "chunked", POST("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body=abc left=0" },
	{ "chunked, any case", POST("Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body= left=0" },
	{ "two chunks", POST("Transfer-Encoding:chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body=abc left=0" },
	{ "chunk size in hexadecimal", POST("Transfer-Encoding: chunked\r\n\r\n0B\r\nabcdefghijk\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body=abcdefghijk left=0" },
	{ "chunk size of 16 digits",
	    POST("Transfer-Encoding: chunked\r\n\r\n000000000000000a\r\nabcdefghij\r\n000\r\n\r\n"),
	    "POST /x host=a chunked body=abcdefghij left=0" },
	{ "CR LF within a chunk", POST("Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n0\r\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body=\r\n0\r left=0" },
	{ "greatest body in chunks",
	    POST("Transfer-Encoding: chunked\r\n\r\n3c\r\n" X10 X10 X10 X10 X10 X10 "\r\n4\r\nxxxx\r\n0\r\n\r\n"),
	    "POST /x host=a chunked body=" X10 X10 X10 X10 X10 X10 "xxxx left=0" },
};

static const struct sample refused[] = {
	{ "only LF", SPAN("GET /x HTTP/1.1\nHost: a\n\n"), "400 bad_request" },
	{ "LF after a field", SPAN("GET /x HTTP/1.1\r\nHost: a\n\r\n"), "400 bad_request" },
	{ "LF at the end", SPAN("GET /x HTTP/1.1\r\n" H "\n"), "400 bad_request" },
	{ "CR at the end", SPAN("GET /x HTTP/1.1\r\n" H "\r\r\n"), "400 bad_request" },
	{ "CR CR LF", SPAN("GET /x HTTP/1.1\r\r\n" H "\r\n"), "400 bad_request" },
	{ "bare CR in a value", GET("Host: a\rb\r\n"), "400 bad_request" },
	{ "two empty lines before", SPAN("\r\n\r\nGET /x HTTP/1.1\r\n" H "\r\n"), "400 bad_request" },
	{ "LF before", SPAN("\nGET /x HTTP/1.1\r\n" H "\r\n"), "400 bad_request" },
	{ "space before", SPAN(" GET /x HTTP/1.1\r\n" H "\r\n"), "400 bad_request" },
	{ "HTTP/0.9", SPAN("GET /x\r\n"), "400 bad_request" },
	{ "HTTP/2 preface", SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505 version_not_supported" },
	{ "HTTP/1.2", HEAD1("GET /x HTTP/1.2"), "505 version_not_supported" },
	{ "HTTP/3.1", HEAD1("GET /x HTTP/3.1"), "505 version_not_supported" },
	{ "HTTP/0.9 in words", HEAD1("GET /x HTTP/0.9"), "505 version_not_supported" },
	{ "HTTP/1.10", HEAD1("GET /x HTTP/1.10"), "400 bad_request" },
	{ "HTTP/01.1", HEAD1("GET /x HTTP/01.1"), "400 bad_request" },
	{ "http/1.1", HEAD1("GET /x http/1.1"), "400 bad_request" },
	{ "HTTP/1,1", HEAD1("GET /x HTTP/1,1"), "400 bad_request" },
	{ "HTTP/1.", HEAD1("GET /x HTTP/1."), "400 bad_request" },
	{ "another protocol", HEAD1("GET /x ICAP/1.0"), "400 bad_request" },
	{ "space after the version", HEAD1("GET /x HTTP/1.1 "), "400 bad_request" },
	{ "two spaces", HEAD1("GET  /x HTTP/1.1"), "400 bad_request" },
	{ "two spaces before the version", HEAD1("GET /x  HTTP/1.1"), "400 bad_request" },
	{ "tab for a space", HEAD1("GET\t/x HTTP/1.1"), "400 bad_request" },
	{ "space in the target", HEAD1("GET /x y HTTP/1.1"), "400 bad_request" },
	{ "no target", HEAD1("GET HTTP/1.1"), "400 bad_request" },
	{ "method is no token", HEAD1("G(T /x HTTP/1.1"), "400 bad_request" },
	{ "no method", SPAN("/x HTTP/1.1\r\n\r\n"), "400 bad_request" },
	{ "TLS hello", SPAN("\x16\x03\x01\x02"), "400 bad_request" },
	{ "PROXY line", SPAN("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"), "400 bad_request" },
	{ "PROXY v2", SPAN("\r\n\r\n\0\r\nQUIT\n"), "400 bad_request" },
	{ "NUL in the method", SPAN("G\0T /x HTTP/1.1\r\n"), "400 bad_request" },
	{ "NUL in the target", SPAN("GET /\0 HTTP/1.1\r\n"), "400 bad_request" },
	{ "8 bit in the target", HEAD1("GET /\xc3\xa4 HTTP/1.1"), "400 bad_request" },
	{ "DEL in the target", HEAD1("GET /\x7f HTTP/1.1"), "400 bad_request" },
	{ "fragment", HEAD1("GET /x#y HTTP/1.1"), "400 bad_request" },
	{ "backslash", HEAD1("GET /x\\y HTTP/1.1"), "400 bad_request" },
	{ "angle bracket", HEAD1("GET /x?<y> HTTP/1.1"), "400 bad_request" },
	{ "square bracket", HEAD1("GET /x?a[1]=2 HTTP/1.1"), "400 bad_request" },
	{ "quotation mark", HEAD1("GET /x?\"y HTTP/1.1"), "400 bad_request" },
	{ "target without a slash", HEAD1("GET x HTTP/1.1"), "400 bad_request" },
	{ "authority form", HEAD1("CONNECT a:80 HTTP/1.1"), "400 bad_request" },
	{ "https in absolute form", HEAD1("GET https://a/x HTTP/1.1"), "400 bad_request" },
	{ "absolute form, another host", HEAD1("GET http://b/x HTTP/1.1"), "400 bad_request" },
	{ "absolute form with a user", HEAD1("GET http://u@a/x HTTP/1.1"), "400 bad_request" },
	{ "absolute form without Host", SPAN("GET http://a/x HTTP/1.0\r\n\r\n"), "400 bad_request" },
	{ "percent at the end", HEAD1("GET /% HTTP/1.1"), "400 bad_request" },
	{ "percent and one digit", HEAD1("GET /%4 HTTP/1.1"), "400 bad_request" },
	{ "percent, no digits", HEAD1("GET /%zz HTTP/1.1"), "400 bad_request" },
	{ "percent, bad second digit", HEAD1("GET /%4g HTTP/1.1"), "400 bad_request" },
	{ "escaped NUL", HEAD1("GET /%00 HTTP/1.1"), "400 bad_request" },
	{ "escaped LF", HEAD1("GET /%0a HTTP/1.1"), "400 bad_request" },
	{ "escaped DEL", HEAD1("GET /%7f HTTP/1.1"), "400 bad_request" },
	{ "escaped slash", HEAD1("GET /a%2fb HTTP/1.1"), "400 bad_request" },
	{ "escaped slash after dots", HEAD1("GET /..%2F HTTP/1.1"), "400 bad_request" },
	{ "overlong slash", HEAD1("GET /%c0%af HTTP/1.1"), "400 bad_request" },
	{ "overlong in three bytes", HEAD1("GET /%e0%80%af HTTP/1.1"), "400 bad_request" },
	{ "surrogate", HEAD1("GET /%ed%a0%80 HTTP/1.1"), "400 bad_request" },
	{ "above U+10FFFF", HEAD1("GET /%f4%90%80%80 HTTP/1.1"), "400 bad_request" },
	{ "continuation alone", HEAD1("GET /%80 HTTP/1.1"), "400 bad_request" },
	{ "cut sequence", HEAD1("GET /%c3 HTTP/1.1"), "400 bad_request" },
	{ "bad escape in the query", HEAD1("GET /?%zz HTTP/1.1"), "400 bad_request" },
	{ "NUL in the query", HEAD1("GET /?%00 HTTP/1.1"), "400 bad_request" },
	{ "query is not UTF-8", HEAD1("GET /?%ff HTTP/1.1"), "400 bad_request" },
	{ "request line too long", SPAN("GET /" X100 X100 X100), "414 uri_too_long" },
	{ "method too long", SPAN(X100 X100 X100), "414 uri_too_long" },
	{ "obs-fold", GET(H "X: a\r\n b\r\n"), "400 bad_request" },
	{ "obs-fold with a tab", GET(H "X: a\r\n\tb\r\n"), "400 bad_request" },
	{ "folded first line", GET(" X: a\r\n" H), "400 bad_request" },
	{ "space before the colon", GET("Host : a\r\n"), "400 bad_request" },
	{ "tab before the colon", GET("Host\t: a\r\n"), "400 bad_request" },
	{ "space in a name", GET(H "X Y: a\r\n"), "400 bad_request" },
	{ "no name", GET(H ": a\r\n"), "400 bad_request" },
	{ "no colon", GET(H "X\r\n"), "400 bad_request" },
	{ "8 bit in a name", GET(H "X\xc3\xa4: a\r\n"), "400 bad_request" },
	{ "NUL in a name", GET(H "X\0: a\r\n"), "400 bad_request" },
	{ "control in a name", GET(H "X\x0b: a\r\n"), "400 bad_request" },
	{ "NUL in a value", GET(H "X: a\0b\r\n"), "400 bad_request" },
	{ "VT in a value", GET(H "X: a\x0b\r\n"), "400 bad_request" },
	{ "ESC in a value", GET(H "X: \x1b[1m\r\n"), "400 bad_request" },
	{ "DEL in a value", GET(H "X: \x7f\r\n"), "400 bad_request" },
	{ "Latin-1 in a value", GET(H "X: \xe4 \r\n"), "400 bad_request" },
	{ "overlong in a value", GET(H "X: \xc0\xaf\r\n"), "400 bad_request" },
	{ "too many lines", GET(H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n"), "431 headers_too_large" },
	{ "value too long", GET(H "X: " X100 X100 X100 X100 X100 X100), "431 headers_too_large" },
	{ "name too long", GET(H X100 X100 X100 X100 X100 X100), "431 headers_too_large" },

	{ "no Host", GET(""), "400 bad_request" },
	{ "two Hosts", GET(H H), "400 bad_request" },
	{ "two Hosts in HTTP/1.0", SPAN("GET /x HTTP/1.0\r\n" H H "\r\n"), "400 bad_request" },
	{ "empty Host", GET("Host:\r\n"), "400 bad_request" },
	{ "Host with a user", GET("Host: u@a\r\n"), "400 bad_request" },
	{ "Host with a path", GET("Host: a/b\r\n"), "400 bad_request" },
	{ "Host with a space", GET("Host: a b\r\n"), "400 bad_request" },
	{ "Host list", GET("Host: a,b:1:2\r\n"), "400 bad_request" },
	{ "Host is a port", GET("Host: :80\r\n"), "400 bad_request" },
	{ "Host with a word as port", GET("Host: a:b\r\n"), "400 bad_request" },
	{ "Host with a great port", GET("Host: a:65536\r\n"), "400 bad_request" },
	{ "Host with a long port", GET("Host: a:000080\r\n"), "400 bad_request" },
	{ "Host with an open bracket", GET("Host: [::1\r\n"), "400 bad_request" },
	{ "Host with an empty bracket", GET("Host: []\r\n"), "400 bad_request" },
	{ "Host behind a bracket", GET("Host: [::1]x\r\n"), "400 bad_request" },
	{ "Host with half an escape", GET("Host: a%2\r\n"), "400 bad_request" },
	{ "CL and TE", POST("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400 bad_request" },
	{ "TE and CL", POST("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), "400 bad_request" },
	{ "another coding and CL", POST("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), "400 bad_request" },
	{ "TE in HTTP/1.0", SPAN("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	    "400 bad_request" },
	{ "two TE", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "400 bad_request" },
	{ "two different TE", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
	    "400 bad_request" },
	{ "gzip, chunked", POST("Transfer-Encoding: gzip, chunked\r\n\r\n"), "501 not_implemented" },
	{ "chunked, identity", POST("Transfer-Encoding: chunked, identity\r\n\r\n"), "501 not_implemented" },
	{ "chunked twice", POST("Transfer-Encoding: chunked, chunked\r\n\r\n"), "501 not_implemented" },
	{ "identity", POST("Transfer-Encoding: identity\r\n\r\n"), "501 not_implemented" },
	{ "xchunked", POST("Transfer-Encoding: xchunked\r\n\r\n"), "501 not_implemented" },
	{ "chunked with a parameter", POST("Transfer-Encoding: chunked;q=1\r\n\r\n"), "501 not_implemented" },
	{ "quoted chunked", POST("Transfer-Encoding: \"chunked\"\r\n\r\n"), "501 not_implemented" },
	{ "empty TE", POST("Transfer-Encoding: \r\n\r\n"), "501 not_implemented" },
	{ "tab before chunked", POST("Transfer-Encoding:\tchunked\r\n\r\n"), "400 bad_request" },
	{ "two spaces before chunked", POST("Transfer-Encoding:  chunked\r\n\r\n"), "400 bad_request" },
	{ "space behind chunked", POST("Transfer-Encoding: chunked \r\n\r\n"), "400 bad_request" },
	{ "VT behind chunked", POST("Transfer-Encoding: chunked\x0b\r\n\r\n"), "400 bad_request" },
	{ "space before the colon of TE", POST("Transfer-Encoding : chunked\r\n\r\n"), "400 bad_request" },
	{ "two equal CL", POST("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), "400 bad_request" },
	{ "two CL", POST("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), "400 bad_request" },
	{ "list of CL", POST("Content-Length: 3, 3\r\n\r\nabc"), "400 bad_request" },
	{ "plus", POST("Content-Length: +3\r\n\r\nabc"), "400 bad_request" },
	{ "minus", POST("Content-Length: -3\r\n\r\nabc"), "400 bad_request" },
	{ "hexadecimal CL", POST("Content-Length: 0x3\r\n\r\nabc"), "400 bad_request" },
	{ "underscore", POST("Content-Length: 1_0\r\n\r\n"), "400 bad_request" },
	{ "two spaces before CL", POST("Content-Length:  3\r\n\r\nabc"), "400 bad_request" },
	{ "space behind CL", POST("Content-Length: 3 \r\n\r\nabc"), "400 bad_request" },
	{ "empty CL", POST("Content-Length:\r\n\r\n"), "400 bad_request" },
	{ "NUL behind CL", POST("Content-Length: 5\0\r\n\r\n"), "400 bad_request" },
	{ "fraction", POST("Content-Length: 3.0\r\n\r\nabc"), "400 bad_request" },
	{ "2^63", POST("Content-Length: 9223372036854775808\r\n\r\n"), "400 bad_request" },
	{ "2^64", POST("Content-Length: 18446744073709551616\r\n\r\n"), "400 bad_request" },
	{ "2^64 + 3", POST("Content-Length: 18446744073709551619\r\n\r\nabc"), "400 bad_request" },
	{ "2^63 - 1", POST("Content-Length: 9223372036854775807\r\n\r\n"), "413 body_too_large" },
	{ "body over the limit", POST("Content-Length: 65\r\n\r\n"), "413 body_too_large" },
	{ "another expectation", POST("Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"), "417 expectation_failed" },
	{ "two expectations", POST("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
	    "417 expectation_failed" },
	{ "list of expectations", POST("Expect: 100-continue, x\r\nContent-Length: 1\r\n\r\n"),
	    "417 expectation_failed" },
};

#define CHUNKED(body) POST("Transfer-Encoding: chunked\r\n\r\n" body)
static const struct sample refused_chunks[] = {
	{ "no size", CHUNKED("\r\nabc\r\n"), "400 bad_request" },
	{ "size with 0x", CHUNKED("0x3\r\nabc\r\n"), "400 bad_request" },
	{ "size with a plus", CHUNKED("+3\r\nabc\r\n"), "400 bad_request" },
	{ "size with a minus", CHUNKED("-1\r\nabc\r\n"), "400 bad_request" },
	{ "size with an underscore", CHUNKED("1_0\r\nabc\r\n"), "400 bad_request" },
	{ "space before a size", CHUNKED(" 3\r\nabc\r\n"), "400 bad_request" },
	{ "space behind a size", CHUNKED("3 \r\nabc\r\n"), "400 bad_request" },
	{ "2^64 as a size", CHUNKED("10000000000000000\r\n"), "400 bad_request" },
	{ "2^64 - 1 as a size", CHUNKED("ffffffffffffffff\r\n"), "413 body_too_large" },
	{ "17 zeros", CHUNKED("00000000000000003\r\nabc\r\n"), "400 bad_request" },
	{ "chunk over the limit", CHUNKED("41\r\n"), "413 body_too_large" },
	{ "chunks over the limit", CHUNKED("4\r\nabcd\r\n3d\r\n"), "413 body_too_large" },
	{ "extension", CHUNKED("3;a=b\r\nabc\r\n"), "400 bad_request" },
	{ "quoted extension with LF", CHUNKED("3;a=\"\n\"\r\nabc\r\n"), "400 bad_request" },
	{ "extension of the last chunk", CHUNKED("0;a\r\n\r\n"), "400 bad_request" },
	{ "LF behind a size", CHUNKED("3\nabc\r\n"), "400 bad_request" },
	{ "CR CR behind a size", CHUNKED("3\r\rabc\r\n"), "400 bad_request" },
	{ "chunk too long", CHUNKED("3\r\nabcd\r\n"), "400 bad_request" },
	{ "LF behind a chunk", CHUNKED("3\r\nabc\n0\r\n\r\n"), "400 bad_request" },
	{ "CR X behind a chunk", CHUNKED("3\r\nabc\rX0\r\n\r\n"), "400 bad_request" },
	{ "size directly behind a chunk", CHUNKED("3\r\nabc0\r\n\r\n"), "400 bad_request" },
	{ "trailer", CHUNKED("0\r\nX: y\r\n\r\n"), "400 bad_request" },
	{ "trailer of a length", CHUNKED("0\r\nContent-Length: 3\r\n\r\n"), "400 bad_request" },
	{ "LF as the end", CHUNKED("0\r\n\n"), "400 bad_request" },
	{ "CR CR as the end", CHUNKED("0\r\n\r\r"), "400 bad_request" },
	{ "letter as a size", CHUNKED("g\r\n"), "400 bad_request" },
	{ "NUL in a size", CHUNKED("3\0\r\nabc\r\n"), "400 bad_request" },
};

/* The bytes in pieces of every size up to 9, and whole. */
static bool
same_in_pieces(const struct sample *s, struct buf *out)
{
	size_t piece;

	for (piece = 1; piece <= 10; piece++) {
		(void)read_pieces(s->bytes.ptr, s->bytes.len, piece == 10 ? s->bytes.len : piece, out);
		if (strcmp(buf_cstr(out), s->verdict) != 0)
			return false;
	}
	return true;
}

static void
test_samples(const struct sample *s, size_t n, struct buf *out)
{
	for (; n > 0; n--, s++) {
		(void)same_in_pieces(s, out);
		is_str(buf_cstr(out), s->verdict, "%s", s->name);
	}
}

/* No prefix of a good request is a request, and what follows it is left alone. */
static void
test_boundaries(struct buf *out)
{
	size_t i, n, early = 0, behind = 0;
	char more[2048];

	for (i = 0; i < ARRAY_LEN(accepted); i++) {
		struct span b = accepted[i].bytes;

		for (n = 1; n < b.len; n++)
			early += read_pieces(b.ptr, n, n, out) != HTTP_PARSE_MORE;
		memcpy(more, b.ptr, b.len);
		memcpy(more + b.len, "\x16?!", 3);
		ok(read_pieces(more, b.len + 3, b.len + 3, out) == HTTP_PARSE_DONE, "%s, and more", accepted[i].name);
		behind += strstr(buf_cstr(out), " left=3") == NULL;
	}
	is_int(early, 0, "no request is done before its last byte");
	is_int(behind, 0, "no request takes a byte of what follows");
}

/* Limits are exact: the greatest allowed passes, one byte more does not. */
static void
test_limits(struct buf *out)
{
	char text[1024];
	int n;

	n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n", (int)read_limits.line - 14, 0);
	is_int(read_pieces(text, (size_t)n, (size_t)n, out), HTTP_PARSE_DONE, "longest request line");
	n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n", (int)read_limits.line - 13, 0);
	is_int(read_pieces(text, (size_t)n, 1, out), HTTP_PARSE_BAD, "request line with a byte more");
	is_str(buf_cstr(out), "414 uri_too_long", "its status");
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "X:%0*d\r\n\r\n", (int)read_limits.head - 13, 0);
	is_int(read_pieces(text, (size_t)n, (size_t)n, out), HTTP_PARSE_DONE, "longest header block");
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "X:%0*d\r\n\r\n", (int)read_limits.head - 12, 0);
	is_int(read_pieces(text, (size_t)n, 1, out), HTTP_PARSE_BAD, "header block with a byte more");
	is_str(buf_cstr(out), "431 headers_too_large", "its status");
}

int
main(void)
{
	struct buf out = { 0 };

	test_samples(accepted, ARRAY_LEN(accepted), &out);
	test_samples(refused, ARRAY_LEN(refused), &out);
	test_samples(refused_chunks, ARRAY_LEN(refused_chunks), &out);
	test_boundaries(&out);
	test_limits(&out);
	buf_free(&out);
	return done();
}
