/* http_target.c - the target of a request (RFC 9112 §3.2, RFC 3986), split and decoded, never normalised.
 *
 * Origin form, or absolute form for http://; "*" is let through for OPTIONS.  Escapes must be whole, decode to UTF-8 and not to
 * NUL.  "//" and "/./" are not repaired: no route has them, so they are not found.
 */
#include <string.h>
#include <strings.h>

#include "base/base.h"

#include "http/http_int.h"

enum { IN_PATH = 1, IN_QUERY = 2, IN_HOST = 4 };

#define ANYWHERE (IN_PATH | IN_QUERY | IN_HOST)
static const unsigned char place[256] = {
	['!'] = ANYWHERE,
	['$'] = ANYWHERE,
	['&' ... '.'] = ANYWHERE,
	['/'] = IN_PATH | IN_QUERY,
	['0' ... '9'] = ANYWHERE,
	[':'] = IN_PATH | IN_QUERY,
	[';'] = ANYWHERE,
	['='] = ANYWHERE,
	['?'] = IN_QUERY,
	['@'] = IN_PATH | IN_QUERY,
	['A' ... 'Z'] = ANYWHERE,
	['_'] = ANYWHERE,
	['a' ... 'z'] = ANYWHERE,
	['~'] = ANYWHERE,
	['%'] = ANYWHERE, /* with two digits */
};

static bool
chars_allowed(struct span s, int where)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((place[(unsigned char)s.ptr[i]] & where) == 0)
			return false;
	return true;
}

bool
http_percent_decode(struct span raw, bool plus_is_space, char *out, size_t *len_r)
{
	size_t i, n = 0;
	unsigned char high = 0;

	for (i = 0; i < raw.len; i++, n++) {
		out[n] = raw.ptr[i];
		if (raw.ptr[i] == '+' && plus_is_space)
			out[n] = ' ';
		if (raw.ptr[i] == '%') {
			if (raw.len - i < 3 || base_hex(raw.ptr[i + 1]) < 0 || base_hex(raw.ptr[i + 2]) < 0)
				return false;
			out[n] = (char)(base_hex(raw.ptr[i + 1]) << 4 | base_hex(raw.ptr[i + 2]));
			i += 2;
		}
		if (out[n] == '\0')
			return false;
		high |= (unsigned char)out[n];
	}
	*len_r = n;
	return high < 0x80 || http_is_utf8((struct span){ out, n });
}

bool
http_path_decode(struct span raw, char *out, size_t *len_r, struct http_bad *bad)
{
	size_t i;

	if (memchr(raw.ptr, '%', raw.len) == NULL) {
		memcpy(out, raw.ptr, raw.len);
		*len_r = raw.len;
		return true;
	}
	for (i = 0; i + 2 < raw.len; i++)
		if (strncasecmp(raw.ptr + i, "%2f", 3) == 0)
			return http_refuse(bad, 400, "bad_request", "escaped slash in the path");
	if (!http_percent_decode(raw, false, out, len_r))
		return http_refuse(bad, 400, "bad_request", "an escape in the path is malformed, NUL or not UTF-8");
	for (i = 0; i < *len_r; i++)
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			return http_refuse(bad, 400, "bad_request", "control character in the path");
	return true;
}

static bool
port_valid(struct span port)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < port.len; i++) {
		if (port.ptr[i] < '0' || port.ptr[i] > '9' || i == 5)
			return false;
		n = n * 10 + (unsigned)(port.ptr[i] - '0');
	}
	return n <= 65535;
}

/* Length of the "[...]" of an IPv6 address at the beginning; 0 when it is none. */
static size_t
bracket_length(struct span host)
{
	size_t i;

	for (i = 1; i < host.len; i++) {
		if (host.ptr[i] == ']')
			return i > 2 ? i + 1 : 0;
		if (base_hex(host.ptr[i]) < 0 && host.ptr[i] != ':' && host.ptr[i] != '.')
			return 0;
	}
	return 0;
}

bool
http_host_valid(struct span host)
{
	size_t n = 0, i;

	if (host.len == 0)
		return false;
	if (host.ptr[0] == '[') {
		n = bracket_length(host);
	} else {
		while (n < host.len && host.ptr[n] != ':')
			n++;
		if (!chars_allowed((struct span){ host.ptr, n }, IN_HOST))
			return false;
		for (i = 0; i < n; i++)
			if (host.ptr[i] == '%' &&
			    (n - i < 3 || base_hex(host.ptr[i + 1]) < 0 || base_hex(host.ptr[i + 2]) < 0))
				return false;
	}
	if (n == 0)
		return false;
	return n == host.len || (host.ptr[n] == ':' && port_valid((struct span){ host.ptr + n + 1, host.len - n - 1 }));
}

/* "http://authority" is taken off the front of `rest`; an empty path is "/". */
static bool
split_absolute(struct span *rest, struct http_target *t_r)
{
	static const char scheme[] = "http://";
	size_t n = sizeof(scheme) - 1, end;

	if (rest->len < n || strncasecmp(rest->ptr, scheme, n) != 0)
		return false;
	for (end = n; end < rest->len && rest->ptr[end] != '/' && rest->ptr[end] != '?';)
		end++;
	t_r->authority = (struct span){ rest->ptr + n, end - n };
	*rest = (struct span){ rest->ptr + end, rest->len - end };
	return true;
}

bool
http_target_split(struct span target, struct http_target *t_r, struct http_bad *bad)
{
	const char *mark;

	*t_r = (struct http_target){ 0 };
	if (span_is(target, "*")) {
		t_r->path = target;
		return true;
	}
	if ((target.len == 0 || target.ptr[0] != '/') && !split_absolute(&target, t_r))
		return http_refuse(bad, 400, "bad_request", "request target must begin with a slash");
	mark = target.len != 0 ? memchr(target.ptr, '?', target.len) : NULL;
	t_r->path = (struct span){ target.ptr, mark != NULL ? (size_t)(mark - target.ptr) : target.len };
	if (mark != NULL)
		t_r->query = (struct span){ mark + 1, (size_t)(target.ptr + target.len - mark) - 1 };
	if (t_r->path.len == 0)
		t_r->path = SPAN("/");
	if (!chars_allowed(t_r->path, IN_PATH) || !chars_allowed(t_r->query, IN_QUERY))
		return http_refuse(bad, 400, "bad_request", "character in the request target that must be escaped");
	return true;
}
