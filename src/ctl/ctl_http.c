/* ctl_http.c - one request to the daemon, one answer, by libcurl.
 *
 * The daemon is found by --url, else by the first line of the file "address" in its run_dir, which holds what it really listens on.  A
 * problem that it answers with is told in its own words, and the exit status says whether a repetition may help: 65 the request was
 * wrong, 69 no daemon there, 75 try later, 77 not allowed, 70 anything else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <curl/curl.h>

#include "ctl/ctl.h"

#define TIMEOUT 60 /* seconds without a byte */

struct exchange {
	CURL *curl;
	struct curl_slist *headers;
	struct buf answer; /* all of it, or when it is streamed what came with a bad status */
	struct buf url;
	FILE *out; /* streamed to; null: it is not */
	char error[CURL_ERROR_SIZE];
};

/* --- where ------------------------------------------------------------------------------------------------------------------ */

/* "127.0.0.1:8001" or "unix:/path" */
static void
address_read(const struct ctl *c, char *line, size_t size)
{
	char *dir = ctl_run_dir(c);
	struct buf path = { 0 };
	FILE *f;

	buf_printf(&path, "%s/address", dir);
	f = fopen(buf_cstr(&path), "r");
	if (f == NULL && errno != ENOENT)
		ctl_fail(errno == EACCES ? EX_NOPERM : EX_IOERR, "could not open \"%s\": %s", buf_cstr(&path),
		    strerror(errno));
	if (f == NULL || fgets(line, (int)size, f) == NULL)
		ctl_fail(EX_UNAVAILABLE, "no daemon runs: \"%s\" does not tell its address (another one: --url)",
		    buf_cstr(&path));
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	buf_free(&path);
	mem_free(&dir);
}

static void
url_set(const struct ctl *c, struct exchange *x, const char *target)
{
	char line[512];

	if (c->url != NULL) {
		if (strncmp(c->url, "http://", 7) != 0 && strncmp(c->url, "https://", 8) != 0)
			ctl_fail(EX_USAGE, "--url: expected http://host:port, not \"%s\"", c->url);
		buf_printf(&x->url, "%s%s", c->url, target);
	} else {
		address_read(c, line, sizeof(line));
		if (strncmp(line, "unix:", 5) == 0)
			curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, line + 5);
		buf_printf(&x->url, "http://%s%s", strncmp(line, "unix:", 5) == 0 ? "localhost" : line, target);
	}
	curl_easy_setopt(x->curl, CURLOPT_URL, buf_cstr(&x->url));
}

/* --- the exchange ------------------------------------------------------------------------------------------------------------- */

static size_t
take(char *data, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->out != NULL && status < 400)
		return fwrite(data, one, n, x->out);
	buf_put(&x->answer, data, one * n);
	return n;
}

static void
begin(const struct ctl *c, struct exchange *x, const char *method, const char *target)
{
	*x = (struct exchange){ .curl = curl_easy_init() };
	MUST(x->curl != NULL);
	url_set(c, x, target);
	curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, (long)TIMEOUT);
	curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
	x->headers = curl_slist_append(NULL, "Expect:");
}

static void
end(struct exchange *x)
{
	curl_slist_free_all(x->headers);
	curl_easy_cleanup(x->curl);
	buf_free(&x->answer);
	buf_free(&x->url);
}

static int
code_of(long status)
{
	if (status == 401 || status == 403)
		return EX_NOPERM;
	if (status == 429 || status == 502 || status == 503 || status == 504)
		return EX_TEMPFAIL;
	return status >= 400 && status < 500 ? EX_DATAERR : EX_SOFTWARE;
}

NORETURN static void
refused(const struct exchange *x, long status)
{
	json_t *p = json_loadb(x->answer.data != NULL ? (const char *)x->answer.data : "", x->answer.len, 0, NULL);
	const char *code = json_string_value(json_object_get(p, "code")),
		   *detail = json_string_value(json_object_get(p, "detail"));
	const char *pointer = json_string_value(json_object_get(p, "pointer"));

	ctl_fail(code_of(status), "%s%s%s%s%s (status %ld)", code != NULL ? code : "the daemon refused",
	    pointer != NULL ? " at " : "", pointer != NULL ? pointer : "", detail != NULL ? ": " : "",
	    detail != NULL ? detail : "", status);
}

static void
perform(struct exchange *x)
{
	CURLcode code;
	long status = 0;

	curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
	code = curl_easy_perform(x->curl);
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		ctl_fail(EX_UNAVAILABLE, "could not reach the daemon at %s: %s", buf_cstr(&x->url), x->error);
	if (code != CURLE_OK)
		ctl_fail(
		    EX_IOERR, "%s: %s", buf_cstr(&x->url), x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400)
		refused(x, status);
}

static json_t *
answer_of(struct exchange *x)
{
	const char *text = x->answer.data != NULL ? (const char *)x->answer.data : "";
	json_t *answer = json_loadb(text, x->answer.len, JSON_ALLOW_NUL, NULL);

	if (answer ==
	    NULL) { /* a payload is kept as it was sent: with half a character in it nobody else need be able to read it */
		fwrite(text, 1, x->answer.len, stdout);
		ctl_fail(EX_PROTOCOL, "what %s answered is not JSON that can be shown as a table", buf_cstr(&x->url));
	}
	return answer;
}

json_t *
ctl_ask(const struct ctl *c, const char *method, const char *target, const json_t *body)
{
	struct exchange x;
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_t *answer;

	begin(c, &x, method, target);
	if (text != NULL) {
		curl_easy_setopt(x.curl, CURLOPT_POSTFIELDS, text);
		x.headers = curl_slist_append(x.headers, "Content-Type: application/json");
	}
	perform(&x);
	answer = answer_of(&x);
	free(text);
	end(&x);
	return answer;
}

static size_t
give(char *data, size_t one, size_t n, void *arg)
{
	return fread(data, one, n, arg);
}

void
ctl_download(const struct ctl *c, const char *target, FILE *out)
{
	struct exchange x;

	begin(c, &x, "GET", target);
	x.out = out;
	perform(&x);
	end(&x);
}

json_t *
ctl_upload(const struct ctl *c, const char *target, FILE *in)
{
	struct exchange x;
	json_t *answer;

	begin(c, &x, "POST", target);
	curl_easy_setopt(x.curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(x.curl, CURLOPT_CUSTOMREQUEST, "POST");
	curl_easy_setopt(x.curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(x.curl, CURLOPT_READDATA, in);
	x.headers = curl_slist_append(x.headers, "Content-Type: application/x-ndjson");
	perform(&x);
	answer = answer_of(&x);
	end(&x);
	return answer;
}
