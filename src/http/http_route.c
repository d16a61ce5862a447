/* http_route.c - who wants a request, and whether its head keeps what that row asks for.
 *
 * Everything that can be refused before the body is refused here: the client may then not have sent it (Expect), and we
 * never read it.
 */
#include <string.h>

#include "http/http_int.h"

/* "/v1/tasks/{id}" against a decoded path; a {name} takes one segment, which is not empty. */
static bool
path_matches(const char *pattern, struct http_request *r)
{
	struct span path = r->path;
	const char *end;
	size_t at = 0, begin;

	r->nparams = 0;
	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '{') {
			if (at == path.len || path.ptr[at++] != *pattern)
				return false;
			continue;
		}
		for (begin = at; at < path.len && path.ptr[at] != '/';)
			at++;
		end = strchr(pattern, '}');
		ASSERT(end != NULL && r->nparams < HTTP_PARAMS);
		r->params[r->nparams++] = (struct http_param){ { pattern + 1, (size_t)(end - pattern) - 1 },
			{ path.ptr + begin, at - begin } };
		if (at == begin)
			return false;
		pattern = end;
	}
	return at == path.len;
}

/* The row for the request; -1: none.  A path that a row names as it is belongs to such rows alone, whatever the method.  *methods_r gets a bit for the method of every row whose path fits, *flags_r their flags. */
static int
route_row(struct http_request *r, unsigned *methods_r, int *flags_r)
{
	const struct http_options *o = &r->s->o;
	enum http_method method = r->method == HTTP_HEAD ? HTTP_GET : r->method;
	bool literal = false;
	int i;

	*methods_r = 0;
	*flags_r = 0;
	for (i = 0; i < o->nroutes; i++) {
		if ((o->routes[i].flags & HTTP_ROUTE_COMPAT) != 0 && !o->conf->http.compat)
			continue;
		if (!path_matches(o->routes[i].path, r) || (literal && r->nparams > 0))
			continue;
		literal = r->nparams == 0;
		if (r->s->methods[i] == method)
			return i;
		*methods_r |= 1u << r->s->methods[i];
		*flags_r |= o->routes[i].flags;
	}
	return -1;
}

static unsigned
all_methods(const struct http_server *s)
{
	unsigned methods = 0;
	int i;

	for (i = 0; i < s->o.nroutes; i++)
		methods |= 1u << s->methods[i];
	return methods;
}

static bool
answer_bad(struct http_request *r, int status, const char *code, const char *detail)
{
	struct http_bad bad = { status, code, detail };

	http_reply_bad(r, &bad);
	return false;
}

/* The answers of the compatible surface have their own form. */
static bool
answer_compat(struct http_request *r, int status, struct span body)
{
	http_reply(r, status, "application/json", body);
	return false;
}

static bool
answer_not_allowed(struct http_request *r, unsigned methods, int flags)
{
	static const struct {
		enum http_method method;
		const char *text;
	} names[] = { { HTTP_GET, ", GET, HEAD" }, { HTTP_POST, ", POST" }, { HTTP_PUT, ", PUT" },
		{ HTTP_DELETE, ", DELETE" }, { HTTP_OPTIONS, ", OPTIONS" } };
	struct buf allow = { 0 };
	struct span list = { "", 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if ((methods & 1u << names[i].method) != 0)
			buf_puts(&allow, names[i].text);
	if (allow.len > 0)
		list = (struct span){ allow.data + 2, allow.len - 2 };
	http_reply_header(r, "Allow", list);
	buf_free(&allow);
	if ((flags & HTTP_ROUTE_COMPAT) != 0)
		return answer_compat(r, 405, SPAN("{\"detail\":\"Method Not Allowed\"}"));
	return answer_bad(r, 405, "method_not_allowed", "the methods of this path are in Allow");
}

/* "/tasks/" where "/tasks" exists on the compatible surface: sent there.  The path fits one of our rows, so that it cannot lead to
 * another host. */
static bool
answer_slash(struct http_request *r)
{
	unsigned methods;
	int flags, row;
	struct buf where = { 0 };

	if (r->path.len < 2 || r->path.ptr[r->path.len - 1] != '/' || r->raw_path.ptr[r->raw_path.len - 1] != '/')
		return false;
	r->path.len--;
	row = route_row(r, &methods, &flags);
	r->path.len++;
	if (row >= 0)
		flags = r->s->o.routes[row].flags;
	if ((flags & HTTP_ROUTE_COMPAT) == 0)
		return false;
	buf_put(&where, r->raw_path.ptr, r->raw_path.len - 1);
	if (r->query.ptr != NULL) {
		buf_putc(&where, '?');
		buf_putspan(&where, r->query);
	}
	http_reply_header(r, "Location", buf_span(&where));
	buf_free(&where);
	http_reply(r, 307, NULL, (struct span){ 0 });
	return true;
}

/* /v1, /v2 ...: ours; other unknown paths answer like the service whose clients we serve. */
static bool
is_versioned(struct span path)
{
	return path.len >= 3 && path.ptr[1] == 'v' && path.ptr[2] >= '0' && path.ptr[2] <= '9' &&
	       (path.len == 3 || path.ptr[3] == '/');
}

static bool
answer_not_found(struct http_request *r)
{
	if (r->s->o.conf->http.compat) {
		if (answer_slash(r))
			return false;
		if (!is_versioned(r->path))
			return answer_compat(r, 404, SPAN("{\"detail\":\"Not Found\"}"));
	}
	return answer_bad(r, 404, "not_found",
	    arena_printf(http_arena(r), "no such path, expected one like %s", r->s->o.routes[0].path));
}

static bool
method_is_known(const struct http_request *r)
{
	static const char *const never[] = { "PATCH", "TRACE", "CONNECT" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(never); i++)
		if (span_is(http_method_name(r), never[i]))
			return true;
	return r->method != HTTP_OTHER;
}

/* --- what a row asks of the body ----------------------------------------------------------------------------------------------- */

/* Takes a parameter ";name=value" off the front; the value may be quoted.  False: that is none. */
static bool
media_parameter(struct span *rest, struct span *name_r, struct span *value_r)
{
	size_t at = 0, begin;
	const char *p = rest->ptr;

#define SKIP_SPACE() \
	while (at < rest->len && (p[at] == ' ' || p[at] == '\t')) \
	at++
	SKIP_SPACE();
	if (at == rest->len || p[at++] != ';')
		return false;
	SKIP_SPACE();
	for (begin = at; at < rest->len && p[at] != '=';)
		at++;
	*name_r = (struct span){ p + begin, at - begin };
	if (at++ == rest->len)
		return false;
	for (begin = at; at < rest->len && p[at] != ';' && p[at] != ' ' && p[at] != '\t';)
		at++;
	*value_r = (struct span){ p + begin, at - begin };
	SKIP_SPACE();
#undef SKIP_SPACE
	*rest = (struct span){ p + at, rest->len - at };
	return http_is_token(*name_r);
}

static bool
charset_is_utf8(struct span value)
{
	if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
		value = (struct span){ value.ptr + 1, value.len - 2 };
	return span_ieq(value, "utf-8") || span_ieq(value, "utf8");
}

/* "application/json" of "application/json; charset=utf-8". */
static struct span
media_type(struct span media)
{
	struct span type = { media.ptr, 0 };

	while (type.len < media.len && media.ptr[type.len] != ';' && media.ptr[type.len] != ' ' &&
	       media.ptr[type.len] != '\t')
		type.len++;
	return type;
}

bool
http_body_is_ndjson(const struct http_request *r)
{
	return span_ieq(media_type(http_header(r, "content-type")), "application/x-ndjson");
}

/* application/json or something/else+json; of parameters only charset=utf-8. */
static bool
media_is_json(struct span media, int flags)
{
	struct span type = media_type(media), sub, name, value;
	const char *slash = type.len != 0 ? memchr(type.ptr, '/', type.len) : NULL;

	if (slash == NULL)
		return false;
	sub = (struct span){ slash + 1, type.len - (size_t)(slash - type.ptr) - 1 };
	if (!http_is_token((struct span){ type.ptr, (size_t)(slash - type.ptr) }) || !http_is_token(sub))
		return false;
	if (!span_ieq(type, "application/json") &&
	    !((flags & HTTP_ROUTE_NDJSON) != 0 && span_ieq(type, "application/x-ndjson")) &&
	    !(sub.len > 5 && span_ieq((struct span){ sub.ptr + sub.len - 5, 5 }, "+json")))
		return false;
	media = (struct span){ media.ptr + type.len, media.len - type.len };
	while (media.len != 0)
		if (!media_parameter(&media, &name, &value) || !span_ieq(name, "charset") || !charset_is_utf8(value))
			return false;
	return true;
}

static bool
body_is_wanted(struct http_request *r, int flags)
{
	struct span coding = http_header(r, "content-encoding");

	if ((flags & HTTP_ROUTE_JSON) != 0 && r->frame.content_length < 0 && !r->frame.chunked)
		return answer_bad(r, 411, "length_required", "a body with Content-Length or chunks was expected");
	if (r->frame.content_length > 0 && (uint64_t)r->frame.content_length > http_body_limit(r))
		return answer_bad(r, 413, "body_too_large", "body is longer than the limit");
	if (!http_request_has_body(r))
		return true;
	if (coding.ptr != NULL && (http_header_count(r, "content-encoding") != 1 || !span_ieq(coding, "identity")))
		return answer_bad(r, 415, "unsupported_media_type", "a body without Content-Encoding was expected");
	if ((flags & (HTTP_ROUTE_JSON | HTTP_ROUTE_JSON_OPTIONAL)) != 0 &&
	    (http_header_count(r, "content-type") != 1 || !media_is_json(http_header(r, "content-type"), flags)))
		return answer_bad(r, 415, "unsupported_media_type",
		    (flags & HTTP_ROUTE_NDJSON) != 0
			? "Content-Type: application/json or application/x-ndjson was expected"
			: "Content-Type: application/json was expected");
	return true;
}

bool
http_route_find(struct http_request *r)
{
	unsigned methods;
	int flags;

	if (!method_is_known(r))
		return answer_bad(r, 501, "not_implemented", "unknown method, expected GET, HEAD or POST");
	if (span_is(r->path, "*")) {
		if (r->method == HTTP_OPTIONS)
			return answer_not_allowed(r, all_methods(r->s), 0);
		return answer_bad(r, 400, "bad_request", "the target * is for OPTIONS only");
	}
	r->route = route_row(r, &methods, &flags);
	if (r->route >= 0)
		return body_is_wanted(r, r->s->o.routes[r->route].flags);
	return methods != 0 ? answer_not_allowed(r, methods, flags) : answer_not_found(r);
}
