/* call_end.c - how a call ended, and what its header lines say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "call/call_int.h"

static const char *const codes[CALL_ENDINGS] = {
	[CALL_NO_NAME] = "NAME_NOT_FOUND",
	[CALL_NO_CONNECTION] = "CONNECT_FAILED",
	[CALL_FORBIDDEN] = "ADDRESS_REFUSED",
	[CALL_NO_TLS] = "TLS_FAILED",
	[CALL_TIMED_OUT] = "TIMEOUT",
	[CALL_LOST] = "CONNECTION_LOST",
	[CALL_BAD_ANSWER] = "BAD_ANSWER",
	[CALL_TOO_LARGE] = "TOO_LARGE",
};

const char *
call_ending_code(enum call_ending e)
{
	ASSERT((unsigned)e < CALL_ENDINGS);
	return codes[e];
}

/* --- the end -------------------------------------------------------------------------------------------------------------------- */

/* Time ran out before the request was on its way. */
static bool
was_connecting(const struct call *c)
{
	curl_off_t began = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &began);
	return began == 0;
}

static enum call_ending
ending_of(const struct call *c, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return CALL_ANSWERED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return CALL_NO_NAME;
	case CURLE_COULDNT_CONNECT:
		return c->forbidden[0] != '\0' ? CALL_FORBIDDEN : CALL_NO_CONNECTION;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return CALL_NO_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return was_connecting(c) ? CALL_NO_CONNECTION : CALL_TIMED_OUT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_ABORTED_BY_CALLBACK: /* on_send() */
		return CALL_LOST;
	case CURLE_WRITE_ERROR:
		return c->too_large ? CALL_TOO_LARGE : CALL_BAD_ANSWER;
	default:
		return CALL_BAD_ANSWER;
	}
}

/* In the words of whoever knows best: the guard, we, libcurl. */
static const char *
why_of(struct call *c, enum call_ending ending, CURLcode code)
{
	char address[sizeof(c->forbidden)];

	if (ending == CALL_ANSWERED)
		return "";
	if (ending == CALL_FORBIDDEN) {
		memcpy(address, c->forbidden, sizeof(address));
		snprintf(c->error, sizeof(c->error),
		    "address %s is not public, and call.allow names neither it nor the host", address);
		return c->error;
	}
	if (c->too_large)
		return "the body of the answer is longer than work.output_max";
	if (c->wrong != NULL)
		return c->wrong;
	if (c->sent > 1)
		return "the connection ended without an answer";
	if (code ==
	    CURLE_OUT_OF_MEMORY) /* memory is there: this is what libcurl says of a line longer than its buffer */
		return "a header line of the answer is too long";
	return c->error[0] != '\0' ? c->error : curl_easy_strerror(code);
}

void
call_judge(struct call *c, CURLcode code, struct call_answer *a)
{
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	a->ending = ending_of(c, code);
	a->status = (int)status;
	a->head = buf_span(&c->head);
	a->body = buf_span(&c->body);
	a->retry_after = call_retry_after(call_header(a->head, "retry-after"), clock_wall());
	a->why = why_of(c, a->ending, code);
}

/* --- header lines --------------------------------------------------------------------------------------------------------------- */

static struct span
trim(struct span s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]) != NULL)
		s.len--;
	return s;
}

struct span
call_header(struct span head, const char *name)
{
	size_t n = strlen(name);

	while (head.len > 0) {
		const char *end = memchr(head.ptr, '\n', head.len);
		size_t len = end != NULL ? (size_t)(end - head.ptr) : head.len;

		if (len > n && head.ptr[n] == ':' && span_ieq((struct span){ head.ptr, n }, name))
			return trim((struct span){ head.ptr + n + 1, len - n - 1 });
		head.ptr += len + (end != NULL);
		head.len -= len + (end != NULL);
	}
	return (struct span){ "", 0 };
}

static int64_t
clamp_seconds(double seconds)
{
	const double most = (double)(CALL_RETRY_AFTER_MAX / CLOCK_SECOND);

	return seconds <= 0 ? 0 : seconds < most ? (int64_t)seconds * CLOCK_SECOND : CALL_RETRY_AFTER_MAX;
}

int64_t
call_retry_after(struct span value, int64_t now)
{
	char text[64];
	size_t sign, digits;
	time_t date;

	if (value.len == 0 || value.len >= sizeof(text))
		return -1;
	memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	sign = text[0] == '-';
	digits = strspn(text + sign, "0123456789");
	if (digits > 0 && text[sign + digits] == '\0')
		return sign ? 0 : clamp_seconds(strtod(text, NULL));
	if (strstr(text, "GMT") == NULL)
		return -1;
	date = curl_getdate(text, NULL);
	return date < 0 ? -1 : clamp_seconds((double)date - (double)(now / CLOCK_SECOND));
}
