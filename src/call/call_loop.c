/* call_loop.c - libcurl on our loop: it says which descriptors and which moment it waits for, we tell it when they have come.
 *
 * libcurl is never asked anything from within its own callbacks: those only note what it wants.
 */
#include "base/clock.h"

#include "call/call_int.h"

#define IDLE_MAX 256 /* connections kept */

/* A descriptor of libcurl that we look at for it. */
struct watch {
	struct call_client *client;
	curl_socket_t fd;
	struct loop_fd *seen;
};

/* Who calls back may start and cancel calls, so the list of ends is asked for anew each time. */
static void
harvest(struct call_client *k)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(k->multi, &left)) != NULL) {
		struct call *c = NULL;

		ASSERT(m->msg == CURLMSG_DONE);
		MUST(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c) == CURLE_OK);
		call_finish(c, m->data.result);
	}
}

static void
act(struct call_client *k, curl_socket_t fd, int bits)
{
	int running;

	MAGIC_CHECK(k, CALL_CLIENT_MAGIC);
	MUST(curl_multi_socket_action(k->multi, fd, bits, &running) == CURLM_OK);
	harvest(k);
}

static void
on_time(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* The watch may be gone when libcurl returns. */
static void
on_event(void *arg, int events)
{
	struct watch *w = arg;

	act(w->client, w->fd,
	    (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static int
wants_time(CURLM *multi UNUSED, long ms, void *arg)
{
	struct call_client *k = arg;

	MAGIC_CHECK(k, CALL_CLIENT_MAGIC);
	if (ms < 0)
		loop_timer_clear(k->timer);
	else
		loop_timer_set(k->timer, ms * CLOCK_MS);
	return 0;
}

static void
watch_free(struct call_client *k, struct watch *w)
{
	if (w == NULL)
		return;
	MUST(curl_multi_assign(k->multi, w->fd, NULL) == CURLM_OK);
	loop_fd_free(&w->seen);
	mem_free(&w);
}

static int
wants_events(CURL *easy UNUSED, curl_socket_t fd, int what, void *arg, void *of_fd)
{
	struct call_client *k = arg;
	struct watch *w = of_fd;
	int want = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

	MAGIC_CHECK(k, CALL_CLIENT_MAGIC);
	if (what == CURL_POLL_REMOVE) {
		watch_free(k, w);
	} else if (w != NULL) {
		loop_fd_want(w->seen, want);
	} else {
		w = mem_zalloc(sizeof(*w));
		w->client = k;
		w->fd = fd;
		w->seen = loop_fd_new(k->loop, fd, want, on_event, w);
		MUST(curl_multi_assign(k->multi, fd, w) == CURLM_OK);
	}
	return 0;
}

void
call_loop_open(struct call_client *k)
{
	k->timer = loop_timer_new(k->loop, on_time, k);
	k->multi = curl_multi_init();
	ASSERT(k->multi != NULL);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, wants_events) == CURLM_OK);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k) == CURLM_OK);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, wants_time) == CURLM_OK);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k) == CURLM_OK);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX) == CURLM_OK);
	MUST(curl_multi_setopt(k->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK);
}

void
call_loop_close(struct call_client *k)
{
	MUST(curl_multi_cleanup(k->multi) == CURLM_OK);
	loop_timer_free(&k->timer);
}
