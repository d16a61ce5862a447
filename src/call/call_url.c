/* call_url.c - what a configuration may say about a call.
 *
 * Stricter than libcurl, which reads many things that merely look like a URL: what is let through here means the same to both.
 */
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "call/call_int.h"

#define URL_MAX 2000
#define HOST_MAX 253

/* Header lines that are ours to say, or that change what a message is. */
static const char *const our_headers[] = { "connection", "content-length", "content-type", "expect", "host",
	"idempotency-key", "taskq-attempt", "taskq-max-attempts", "taskq-task-id", "te", "traceparent", "trailer",
	"transfer-encoding", "upgrade", "webhook-id", "webhook-signature", "webhook-timestamp" };

/* Behind "http://" or "https://"; null: it begins otherwise. */
static const char *
after_scheme(const char *url)
{
	if (strncasecmp(url, "http://", 7) == 0)
		return url + 7;
	return strncasecmp(url, "https://", 8) == 0 ? url + 8 : NULL;
}

static bool
is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

/* The name at `p`, or what stands in brackets; *end_r is behind it.  Empty when it is neither. */
static struct span
host_at(const char *p, const char **end_r)
{
	const char *begin = p;

	if (*p == '[') {
		p += 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		*end_r = p + (*p == ']');
		return *p == ']' ? (struct span){ begin + 1, (size_t)(p - begin - 1) } : (struct span){ begin, 0 };
	}
	while (is_host_char(*p))
		p++;
	*end_r = p;
	return (struct span){ begin, (size_t)(p - begin) };
}

struct span
call_url_host(const char *url)
{
	const char *p = after_scheme(url), *end;
	struct span host = host_at(p != NULL ? p : "", &end);

	if (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	return host;
}

static const char *
port_wrong(const char *p, const char **end_r)
{
	char *end;
	long n;

	*end_r = p;
	if (*p != ':')
		return NULL;
	n = isdigit((unsigned char)p[1]) ? strtol(p + 1, &end, 10) : 0;
	if (n < 1 || n > 65535)
		return "has no good port, expected 1 to 65535 or none";
	*end_r = end;
	return NULL;
}

const char *
call_url_wrong(const char *url)
{
	const char *p = after_scheme(url), *wrong, *end;
	size_t host;

	if (p == NULL)
		return "is not one, expected http://host/path or https://host/path";
	if (strlen(url) > URL_MAX)
		return "is too long, expected at most 2000 bytes";
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '\\' || *c == '#')
			return "has a character that does not belong there, expected printable ASCII without blank, "
			       "\"\\\" "
			       "and \"#\"";
	if (memchr(p, '@', strcspn(p, "/?")) != NULL)
		return "names a user, expected none: put what authenticates into headers";
	host = host_at(p, &end).len;
	if (host == 0 || host > HOST_MAX)
		return "names no good host, expected a name, an IPv4 address or [IPv6 address]";
	wrong = port_wrong(end, &end);
	if (wrong == NULL && *end != '\0' && *end != '/' && *end != '?')
		wrong = "has something behind its host, expected :port, /path or nothing";
	return wrong;
}

const char *
call_header_wrong(const char *line)
{
	size_t n = strspn(line, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	const char *value = line + n + 1;

	if (n == 0 || line[n] != ':')
		return "is not a header line, expected \"Name: value\"";
	for (size_t i = 0; i < ARRAY_LEN(our_headers); i++)
		if (span_ieq((struct span){ line, n }, our_headers[i]))
			return "is a header line that taskqd writes itself, expected another";
	value += strspn(value, " ");
	if (*value == '\0')
		return "is a header line without a value, expected \"Name: value\"";
	for (; *value != '\0'; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
			return "is a header line with control characters, expected none";
	return NULL;
}

const char *
call_secret_wrong(const char *secret)
{
	uint8_t bytes[CALL_SECRET_MAX];

	return call_secret_bytes(secret, bytes) > 0 ? NULL : "is not one, expected whsec_ and 24 to 64 bytes as base64";
}

const char *
call_allow_wrong(const char *item)
{
	struct call_net net;
	const char *end;

	if (call_net_parse(item, &net))
		return NULL;
	/* what looks like an address and is not one would never match */
	if (item[strspn(item, "0123456789./")] != '\0' && strpbrk(item, ":/") == NULL && host_at(item, &end).len > 0 &&
	    *end == '\0' && end[-1] != '.' && strlen(item) <= HOST_MAX)
		return NULL;
	return "is not known, expected an address, a network such as 10.1.0.0/16 without bits behind its own, or the "
	       "name of a "
	       "host";
}
