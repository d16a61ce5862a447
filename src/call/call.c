/* call.c - one call: prepared, started, read within its limits, ended; the promises are in call.h. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"

#include "call/call_int.h"

#define SET(c, option, value) MUST(curl_easy_setopt((c)->easy, (option), (value)) == CURLE_OK)

/* --- what libcurl asks during a call ------------------------------------------------------------------------------------------ */

static curl_socket_t
on_socket(void *arg, curlsocktype purpose UNUSED, struct curl_sockaddr *a)
{
	struct call *c = arg;
	const void *where = a->family == AF_INET6
				? (const void *)&((const struct sockaddr_in6 *)(const void *)&a->addr)->sin6_addr
				: (const void *)&((const struct sockaddr_in *)(const void *)&a->addr)->sin_addr;

	MAGIC_CHECK(c, CALL_MAGIC);
	if (call_guard_permits(&c->client->conf->call.allow, c->host, &a->addr))
		return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (inet_ntop(a->family, where, c->forbidden, sizeof(c->forbidden)) == NULL)
		memcpy(c->forbidden, "?", 2);
	return CURL_SOCKET_BAD;
}

/* The request is about to be sent.  libcurl would send it again when a connection that was kept ends without an answer; the first may have been
 * heard, and one run is one request. */
#if LIBCURL_VERSION_NUM >= 0x075000
static int
on_send(void *arg, char *ip UNUSED, char *own_ip UNUSED, int port UNUSED, int own_port UNUSED)
{
	struct call *c = arg;

	MAGIC_CHECK(c, CALL_MAGIC);
	return c->sent++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}
#endif

/* What is returned makes libcurl give up. */
static size_t
give_up(struct call *c, const char *why)
{
	c->wrong = why;
	return 0;
}

/* A line of the head of an answer, interim ones and its trailer too. */
static size_t
on_head(char *line, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t len = size * n;

	MAGIC_CHECK(c, CALL_MAGIC);
	c->head_bytes += len;
	if (c->head_bytes > CALL_HEAD_MAX)
		return give_up(c, "the header lines of the answer are longer than 64 kB");
	if (len < 5 || memcmp(line, "HTTP/", 5) != 0) {
		buf_put(&c->head, line, len);
		return len;
	}
	buf_reset(&c->head);
	if (c->answers++ > CALL_INTERIM_MAX)
		return give_up(c, "more than 8 interim (1xx) answers");
	return len;
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t len = size * n, room;

	MAGIC_CHECK(c, CALL_MAGIC);
	room = c->max_body - c->body.len;
	buf_put(&c->body, bytes, len < room ? len : room);
	if (len <= room)
		return len;
	c->too_large = true;
	return 0;
}

/* --- a call ------------------------------------------------------------------------------------------------------------------- */

static void
set_transport(struct call *c, const struct call_request *r)
{
	SET(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(c, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(c, CURLOPT_SSL_VERIFYHOST, 2L);
	if (r->ca_file != NULL && r->ca_file[0] != '\0')
		SET(c, CURLOPT_CAINFO, r->ca_file);
	SET(c, CURLOPT_PROXY, ""); /* and none from the environment */
	SET(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(c, CURLOPT_FOLLOWLOCATION, 0L);
	SET(c, CURLOPT_NOSIGNAL, 1L);
	SET(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->client->conf->call.connect_timeout / CLOCK_MS));
	if (r->timeout > 0)
		SET(c, CURLOPT_TIMEOUT_MS, (long)(r->timeout / CLOCK_MS) + 1);
	SET(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(c, CURLOPT_OPENSOCKETDATA, c);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(c, CURLOPT_QUICK_EXIT, 1L); /* a cancelled call does not wait for a name server */
#endif
}

/* A connection is not kept for longer than services keep it, which is 5 s for many: who sends when the other side closes has lost an attempt. */
static void
set_once(struct call *c)
{
	SET(c, CURLOPT_MAXAGE_CONN, 3L);
#if LIBCURL_VERSION_NUM >= 0x075000
	SET(c, CURLOPT_PREREQFUNCTION, on_send);
	SET(c, CURLOPT_PREREQDATA, c);
#else
	SET(c, CURLOPT_FRESH_CONNECT, 1L);
#endif
}

static void
add_header(struct call *c, const char *line)
{
	struct curl_slist *more = curl_slist_append(c->headers, line);

	ASSERT(more != NULL);
	c->headers = more;
}

static void
set_message(struct call *c, const struct call_request *r)
{
	add_header(c, "Expect:"); /* no 100-continue: the body is small, the answer soon */
	for (const char *const *h = r->headers; *h != NULL; h++)
		add_header(c, *h);
	SET(c, CURLOPT_HTTPHEADER, c->headers);
	SET(c, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	SET(c, CURLOPT_POSTFIELDS, r->body.len > 0 ? r->body.ptr : "");
	SET(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
	SET(c, CURLOPT_CUSTOMREQUEST, r->method);
	SET(c, CURLOPT_HEADERFUNCTION, on_head);
	SET(c, CURLOPT_HEADERDATA, c);
	SET(c, CURLOPT_WRITEFUNCTION, on_body);
	SET(c, CURLOPT_WRITEDATA, c);
	SET(c, CURLOPT_ERRORBUFFER, c->error);
}

struct call *
call_start(struct call_client *k, const struct call_request *r, call_fn *fn, void *arg)
{
	struct call *c = mem_zalloc(sizeof(*c));

	MAGIC_CHECK(k, CALL_CLIENT_MAGIC);
	c->magic = CALL_MAGIC;
	c->client = k;
	c->url = mem_strdup(r->url);
	c->host = call_url_host(c->url);
	c->max_body = r->max_body;
	c->fn = fn;
	c->arg = arg;
	c->easy = curl_easy_init();
	ASSERT(c->easy != NULL);
	SET(c, CURLOPT_PRIVATE, c);
	SET(c, CURLOPT_URL, c->url);
	set_transport(c, r);
	set_once(c);
	set_message(c, r);
	list_push(&k->calls, &c->node);
	MUST(curl_multi_add_handle(k->multi, c->easy) == CURLM_OK);
	return c;
}

static void
call_free(struct call *c)
{
	list_remove(&c->node);
	MUST(curl_multi_remove_handle(c->client->multi, c->easy) == CURLM_OK);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	mem_free(&c->url);
	buf_free(&c->head);
	buf_free(&c->body);
	c->magic = 0;
	mem_free(&c);
}

void
call_cancel(struct call **c)
{
	if (*c == NULL)
		return;
	MAGIC_CHECK(*c, CALL_MAGIC);
	call_free(*c);
	*c = NULL;
}

/* Whoever is called back has no call to cancel any more. */
void
call_finish(struct call *c, CURLcode code)
{
	struct call_answer a;

	MAGIC_CHECK(c, CALL_MAGIC);
	call_judge(c, code, &a);
	c->fn(c->arg, &a);
	call_free(c);
}

/* --- the client ----------------------------------------------------------------------------------------------------------------- */

struct call_client *
call_client_new(struct loop *loop, const struct conf *conf)
{
	static bool ready;
	struct call_client *k = mem_zalloc(sizeof(*k));

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		log_fatal(EX_UNAVAILABLE, "could not make libcurl ready");
	ready = true;
	k->magic = CALL_CLIENT_MAGIC;
	k->loop = loop;
	k->conf = conf;
	list_init(&k->calls);
	call_loop_open(k);
	return k;
}

void
call_client_free(struct call_client **kp)
{
	struct call_client *k = *kp;
	struct list *pos;

	if (k == NULL)
		return;
	MAGIC_CHECK(k, CALL_CLIENT_MAGIC);
	while ((pos = list_first(&k->calls)) != NULL)
		call_free(container_of(pos, struct call, node));
	call_loop_close(k);
	k->magic = 0;
	mem_free(kp);
}
