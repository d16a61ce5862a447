/* load.c - sends requests to taskqd as fast as it answers, with as little work of its own as can be.
 *
 *	load --address HOST:PORT --mode submit|replay|get|batch [--connections 50] [--seconds 3] [--warm 0.5]
 *	     [--path TARGET] [--paths FILE] [--type bench] [--prefix WORD] [--payload 200] [--keys 10000] [--primed]
 *	     [--items 1000] [--ndjson] [--rate PER_SECOND]
 *
 * One thread, one epoll, one request in flight on each kept connection.  The request is written once; per request only the sixteen
 * digits of a counter change in place, in the key and in the payload.  submit: each key is new.  replay: `keys` keys are submitted
 * once, then again and again; primed: an earlier run with this prefix submitted them.  batch: `items` tasks in a request.  get: the target as it is;
 * or those of a file, a line each, one request after the other, so that connections ask for different things at any moment.
 *
 * With a rate the load is open: requests fall due evenly in time, each is sent on a connection that is idle, and its latency counts from
 * when it was due, also when it had to wait for a connection.  late: requests that were due and never sent.
 *
 * Prints one line of JSON.  What is measured is what was answered in `seconds` after `warm`; statuses, accepted tasks and trouble are
 * counted from the first request to the last, because then nothing is in flight: the rows in the database must agree.  wrong: a replay
 * without its header, or a first answer with it.  cpu_s: seconds of CPU that it
 * used itself.  Its mate is
 * limit.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PLACE "@@@@@@@@@@@@@@@@" /* where a counter goes */
#define DIGITS 16
#define LAST_ANSWERS 15.0 /* seconds that answers may take after the last request was sent */
#define WARM_MAX 60.0
#define TROUBLE_MAX 1000
#define PACE 0.0002 /* seconds between looks at what is due, at least */

enum mode { SUBMIT, REPLAY, GET, BATCH };
static const char *const mode_words[] = { "submit", "replay", "get", "batch" };

/* Log histogram of nanoseconds: 32 steps for each doubling. */
#define STEPS 5
static uint64_t histogram[64 << STEPS];

struct conn {
	int fd;
	bool writing;    /* epoll tells when there is room */
	bool flying;     /* a request waits for its answer */
	bool resting;    /* it is among the idle */
	uint64_t serial; /* of the request in flight */
	double sent_at;
	char *out; /* a copy of the request, with its own counters; of a file the request itself */
	size_t out_len, out_done;
	char *in;
	size_t in_have, in_room, in_need; /* need: head and body together, 0 while the head is not there */
};

static struct options {
	const char *address, *path, *paths, *type, *prefix;
	enum mode mode;
	int connections, payload, keys, items;
	double seconds, warm, rate;
	bool ndjson, primed;
} opt = { .type = "bench",
	.prefix = "k",
	.connections = 50,
	.payload = 200,
	.keys = 10000,
	.items = 1000,
	.seconds = 3,
	.warm = 0.5 };

/* the request, and where its counters are: two for each task, key and payload */
static char *request;
static size_t request_len, *places, n_places;
static char **requests; /* of the targets in a file */
static size_t n_requests;

static int poller;
static struct sockaddr_in server;
static double began, ends; /* of the measured time; 0: not yet known */
static uint64_t next_serial, flying;
static struct conn **idle; /* those that may send what is due */
static int n_idle;
static uint64_t counted, counted_good; /* in the measured time */
static uint64_t answered, good, wrong, broken, slowest, statuses[1000];

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void __attribute__((format(printf, 1, 2), noreturn)) quit(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "load: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		quit("out of memory");
	return p;
}

/* --- the request ---------------------------------------------------------------------------------------------------- */

/* A task; in a batch it carries its key. */
static void
print_task(FILE *f)
{
	char pad[4096];
	int n = opt.payload - (int)sizeof("{'n':'" PLACE "','pad':''}") + 1;

	memset(pad, 'x', sizeof(pad));
	fprintf(f, "{\"task_type\":\"%s\",", opt.type);
	if (opt.mode == BATCH)
		fprintf(f, "\"idempotency_key\":\"%s-%s\",", opt.prefix, PLACE);
	fprintf(f, "\"payload\":{\"n\":\"%s\",\"pad\":\"%.*s\"}}", PLACE, n < 0 ? 0 : n, pad);
}

static char *
make_body(size_t *len_r)
{
	char *body;
	FILE *f = open_memstream(&body, len_r);
	int i;

	if (f == NULL)
		quit("out of memory");
	if (opt.mode != BATCH)
		print_task(f);
	else {
		for (i = 0; i < opt.items; i++) {
			fputs(opt.ndjson ? "" : i == 0 ? "[" : ",", f);
			print_task(f);
			fputs(opt.ndjson ? "\n" : "", f);
		}
		fputs(opt.ndjson ? "" : "]", f);
	}
	fclose(f);
	return body;
}

static void
make_request(void)
{
	FILE *f = open_memstream(&request, &request_len);
	size_t len;
	char *body, *at;

	if (f == NULL)
		quit("out of memory");
	if (opt.mode == GET)
		fprintf(f, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", opt.path);
	else {
		body = make_body(&len);
		fprintf(f, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\n", opt.path,
		    opt.mode == BATCH && opt.ndjson ? "application/x-ndjson" : "application/json");
		if (opt.mode != BATCH)
			fprintf(f, "Idempotency-Key: %s-%s\r\n", opt.prefix, PLACE);
		fprintf(f, "Content-Length: %zu\r\n\r\n%s", len, body);
		free(body);
	}
	fclose(f);
	places = allocate((size_t)opt.items * 2 + 2, sizeof(*places));
	for (at = request; (at = strstr(at, PLACE)) != NULL; at += DIGITS)
		places[n_places++] = (size_t)(at - request);
}

static void
read_paths(void)
{
	FILE *f = fopen(opt.paths, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (f == NULL)
		quit("could not open \"%s\": %s", opt.paths, strerror(errno));
	while ((len = getline(&line, &room, f)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		requests = realloc(requests, (n_requests + 1) * sizeof(*requests));
		if (requests == NULL ||
		    asprintf(&requests[n_requests++], "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", line) < 0)
			quit("out of memory");
	}
	if (n_requests == 0)
		quit("no target in \"%s\"", opt.paths);
	free(line);
	fclose(f);
}

static void
write_counters(struct conn *c)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t first = opt.mode == REPLAY  ? c->serial % (uint64_t)opt.keys
			 : opt.mode == BATCH ? c->serial * (uint64_t)opt.items
					     : c->serial;
	uint64_t n;
	size_t i;
	int d;

	if (n_requests > 0) {
		c->out = requests[c->serial % n_requests];
		c->out_len = strlen(c->out);
		return;
	}
	for (i = 0; i < n_places; i++)
		for (d = DIGITS - 1, n = first + i / 2; d >= 0; d--, n >>= 4)
			c->out[places[i] + (size_t)d] = hex[n & 15];
}

/* --- one connection ------------------------------------------------------------------------------------------------- */

static void
conn_open(struct conn *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof(server)) != 0)
		quit("could not connect to %s: %s", opt.address, strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) != 0)
		quit("could not watch a connection: %s", strerror(errno));
	c->writing = c->flying = false;
	c->in_have = c->in_need = 0;
}

static void
conn_reopen(struct conn *c)
{
	if (c->flying)
		flying--;
	close(c->fd);
	conn_open(c);
}

/* The server closed without a word, or what it said was no answer. */
static void
conn_broken(struct conn *c)
{
	if (++broken > TROUBLE_MAX)
		quit("%d connections broke, giving up", TROUBLE_MAX);
	conn_reopen(c);
}

static void
conn_write(struct conn *c)
{
	struct epoll_event e = { .data.ptr = c };
	ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);
	bool more;

	if (n < 0 && errno != EAGAIN)
		return; /* reading will tell */
	if (n > 0)
		c->out_done += (size_t)n;
	more = c->out_done < c->out_len;
	if (more == c->writing)
		return;
	c->writing = more;
	e.events = more ? EPOLLIN | EPOLLOUT : EPOLLIN;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e) != 0)
		quit("could not watch a connection: %s", strerror(errno));
}

/* Each key has been sent once, but not all are answered: one that came again now might be stored first. */
static bool
keys_pending(void)
{
	return opt.mode == REPLAY && ends == 0 && next_serial >= (uint64_t)opt.keys;
}

static void
conn_send(struct conn *c, double t)
{
	c->serial = next_serial++;
	c->flying = true;
	flying++;
	c->sent_at = t;
	c->in_have = c->in_need = c->out_done = 0;
	write_counters(c);
	conn_write(c);
}

static void
conn_ask(struct conn *c, double t)
{
	if ((ends > 0 && t >= ends) || keys_pending())
		return;
	if (opt.rate == 0)
		conn_send(c, t);
	else if (!c->resting) {
		c->resting = true;
		idle[n_idle++] = c;
	}
}

/* --- an open load --------------------------------------------------------------------------------------------------- */

/* When a request is due: the first at the begin of the time to become warm. */
static double
due(uint64_t serial)
{
	return began - opt.warm + (double)serial / opt.rate;
}

static void
send_due(double t)
{
	struct conn *c;

	while (n_idle > 0 && due(next_serial) <= t && due(next_serial) < ends) {
		c = idle[--n_idle];
		c->resting = false;
		conn_send(c, due(next_serial));
	}
}

/* Waits for an answer, or until the next request is due. */
static void
pace(double t)
{
	struct pollfd p = { .fd = poller, .events = POLLIN };
	double wait = n_idle == 0 || due(next_serial) >= ends ? 0.1 : due(next_serial) - t;
	struct timespec limit;

	if (wait < PACE)
		wait = PACE;
	limit = (struct timespec){ .tv_nsec = (long)((wait < 0.1 ? wait : 0.1) * 1e9) };
	ppoll(&p, 1, &limit, NULL);
}

static uint64_t
late(void)
{
	uint64_t n = opt.rate > 0 ? (uint64_t)((opt.warm + opt.seconds) * opt.rate) : 0;

	return n > next_serial ? n - next_serial : 0;
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

/* The measured time begins: with the first request, or when the keys to be replayed are all there. */
static void
begin(double t)
{
	began = t + opt.warm;
	ends = began + opt.seconds;
}

static void
observe(double seconds)
{
	uint64_t ns = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
	int top;

	if (ns > slowest)
		slowest = ns;
	ns |= 1 << STEPS;
	top = 63 - __builtin_clzll(ns);
	histogram[(top << STEPS) | (int)((ns >> (top - STEPS)) & ((1 << STEPS) - 1))]++;
}

static void
take_answer(struct conn *c, size_t head, double t)
{
	int status = atoi(c->in + 9);
	bool success = status >= 200 && status < 300;

	c->flying = false;
	flying--;
	answered++;
	good += success;
	statuses[status > 0 && status < 1000 ? status : 0]++;
	if (opt.mode == REPLAY && success &&
	    (memmem(c->in, head, "\nIdempotent-Replayed: true", 26) != NULL) !=
		(opt.primed || c->serial >= (uint64_t)opt.keys))
		wrong++;
	if (opt.mode == REPLAY && ends == 0 && answered >= (uint64_t)opt.keys)
		begin(t);
	if (ends == 0 || t < began || t >= ends)
		return;
	counted++;
	counted_good += success;
	observe(t - c->sent_at);
}

/* Length of the whole answer; 0: the head is not complete. */
static size_t
answer_length(const struct conn *c, size_t *head_r)
{
	static const char name[] = "\ncontent-length:";
	const char *end = memmem(c->in, c->in_have, "\r\n\r\n", 4), *at = c->in;

	if (end == NULL)
		return 0;
	*head_r = (size_t)(end - c->in) + 4;
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (strncasecmp(at, name, sizeof(name) - 1) == 0)
			return *head_r + (size_t)atol(at + sizeof(name) - 1);
		at++;
	}
	quit("an answer without Content-Length:\n%.*s", (int)*head_r, c->in);
}

static void
conn_read(struct conn *c)
{
	ssize_t n;
	size_t head = 0;
	double t;

	if (c->in_have + 1 >= c->in_room) {
		c->in_room *= 2;
		c->in = realloc(c->in, c->in_room);
		if (c->in == NULL)
			quit("out of memory");
	}
	n = recv(c->fd, c->in + c->in_have, c->in_room - c->in_have - 1, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	t = now();
	if (n <= 0 || !c->flying) {
		conn_broken(c);
		conn_ask(c, t);
		return;
	}
	c->in_have += (size_t)n;
	c->in[c->in_have] = '\0';
	if (c->in_need == 0 || c->in_have >= c->in_need)
		c->in_need = answer_length(c, &head);
	if (c->in_need == 0 || c->in_have < c->in_need)
		return;
	take_answer(c, head, t);
	if (c->in_have > c->in_need || c->out_done < c->out_len)
		conn_broken(c);
	else if (memmem(c->in, head, "\r\nConnection: close\r\n", 21) != NULL)
		conn_reopen(c);
	conn_ask(c, t);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static void
ask_all(struct conn *conns, double t)
{
	int i;

	for (i = 0; i < opt.connections; i++)
		if (!conns[i].flying)
			conn_ask(&conns[i], t);
}

static void
run(struct conn *conns)
{
	struct epoll_event events[256];
	double t = now(), give_up = t + WARM_MAX;
	bool pending;
	int i, n;

	if (opt.mode != REPLAY || opt.primed)
		begin(t);
	ask_all(conns, t);
	while (flying > 0 || (opt.rate > 0 && t < ends)) {
		pending = keys_pending();
		if (opt.rate > 0) {
			send_due(t);
			pace(t);
		}
		n = epoll_wait(poller, events, 256, opt.rate > 0 ? 0 : 100);
		for (i = 0; i < n; i++) {
			if (events[i].events & EPOLLOUT)
				conn_write(events[i].data.ptr);
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				conn_read(events[i].data.ptr);
		}
		t = now();
		if (pending && !keys_pending())
			ask_all(conns, t);
		if (t > (ends > 0 ? ends + LAST_ANSWERS : give_up))
			break;
	}
	if (ends == 0)
		quit("the keys to be replayed were not there after %.0f s", WARM_MAX);
}

static double
percentile(double share)
{
	uint64_t want = (uint64_t)((double)counted * share), seen = 0;
	size_t i;

	for (i = 0; i < sizeof(histogram) / sizeof(histogram[0]); i++) {
		seen += histogram[i];
		if (seen > want)
			return (double)((1ULL << STEPS | (i & ((1 << STEPS) - 1))) << (i >> STEPS) >> STEPS) / 1e6;
	}
	return 0;
}

static void
report(void)
{
	uint64_t items = opt.mode == BATCH ? (uint64_t)opt.items : 1;
	const char *comma = "";
	struct rusage u;
	double cpu;
	int i;

	getrusage(RUSAGE_SELF, &u);
	cpu =
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
	printf("{\"mode\":\"%s\",\"connections\":%d,\"seconds\":%.3f,\"requests\":%llu,\"requests_per_s\":%.0f,\"tasks_"
	       "per_s\":%.0f,",
	    mode_words[opt.mode], opt.connections, opt.seconds, (unsigned long long)counted,
	    (double)counted / opt.seconds, opt.mode == GET ? 0 : (double)(counted_good * items) / opt.seconds);
	printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_s\":%.3f,", percentile(0.5), percentile(0.99),
	    (double)slowest / 1e6, cpu);
	printf(
	    "\"sent\":%llu,\"answered\":%llu,\"tasks\":%llu,\"wrong\":%llu,\"broken\":%llu,\"late\":%llu,\"status\":{",
	    (unsigned long long)next_serial, (unsigned long long)answered, (unsigned long long)(good * items),
	    (unsigned long long)wrong, (unsigned long long)broken, (unsigned long long)late());
	for (i = 0; i < 1000; i++) {
		if (statuses[i] == 0)
			continue;
		printf("%s\"%d\":%llu", comma, i, (unsigned long long)statuses[i]);
		comma = ",";
	}
	printf("}}\n");
}

static void
read_address(void)
{
	const char *colon = opt.address == NULL ? NULL : strrchr(opt.address, ':');
	char host[64];

	if (colon == NULL || (size_t)(colon - opt.address) >= sizeof(host))
		quit("--address must be HOST:PORT, the host a number");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - opt.address), opt.address);
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &server.sin_addr) != 1)
		quit("--address must be HOST:PORT, the host a number");
}

static enum mode
read_mode(const char *word)
{
	int i;

	for (i = 0; i < 4; i++)
		if (strcmp(word, mode_words[i]) == 0)
			return (enum mode)i;
	quit("no mode \"%s\"", word);
}

static void
check_options(void)
{
	if (opt.connections < 1 || opt.payload < 0 || opt.payload > 4096 || opt.items < 1 ||
	    (opt.mode == REPLAY && opt.keys < 2 * opt.connections) || opt.seconds <= 0 || opt.warm < 0 || opt.rate < 0)
		quit("expected positive numbers, --payload up to 4096, --keys from twice the connections");
	if (opt.rate > 0 && opt.mode == REPLAY)
		quit("--rate is for submit, batch and get");
	if (opt.paths != NULL && opt.mode != GET)
		quit("--paths is for --mode get");
	if (opt.path == NULL)
		opt.path = opt.mode == GET ? "/healthz" : opt.mode == BATCH ? "/v1/tasks/batch" : "/v1/tasks";
	read_address();
}

static void
read_options(int argc, char **argv)
{
	static const struct option words[] = { { "address", 1, NULL, 'a' }, { "mode", 1, NULL, 'm' },
		{ "connections", 1, NULL, 'c' }, { "seconds", 1, NULL, 's' }, { "warm", 1, NULL, 'w' },
		{ "path", 1, NULL, 'P' }, { "paths", 1, NULL, 'F' }, { "type", 1, NULL, 't' },
		{ "prefix", 1, NULL, 'x' }, { "payload", 1, NULL, 'p' }, { "keys", 1, NULL, 'k' },
		{ "items", 1, NULL, 'i' }, { "rate", 1, NULL, 'R' }, { "ndjson", 0, NULL, 'n' },
		{ "primed", 0, NULL, 'r' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", words, NULL)) != -1) {
		switch (c) {
		case 'a':
			opt.address = optarg;
			break;
		case 'm':
			opt.mode = read_mode(optarg);
			break;
		case 'c':
			opt.connections = atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'w':
			opt.warm = atof(optarg);
			break;
		case 'P':
			opt.path = optarg;
			break;
		case 'F':
			opt.paths = optarg;
			break;
		case 't':
			opt.type = optarg;
			break;
		case 'x':
			opt.prefix = optarg;
			break;
		case 'p':
			opt.payload = atoi(optarg);
			break;
		case 'k':
			opt.keys = atoi(optarg);
			break;
		case 'i':
			opt.items = atoi(optarg);
			break;
		case 'R':
			opt.rate = atof(optarg);
			break;
		case 'n':
			opt.ndjson = true;
			break;
		case 'r':
			opt.primed = true;
			break;
		default:
			exit(64);
		}
	}
	check_options();
}

/* Each connection is a file. */
static void
allow_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur >= (rlim_t)opt.connections + 16)
		return;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur < (rlim_t)opt.connections + 16)
		quit("%d connections are more than the hard limit of open files allows (ulimit -Hn)", opt.connections);
}

int
main(int argc, char **argv)
{
	struct conn *conns;
	int i;

	read_options(argc, argv);
	make_request();
	if (opt.paths != NULL)
		read_paths();
	allow_files();
	poller = epoll_create1(EPOLL_CLOEXEC);
	conns = allocate((size_t)opt.connections, sizeof(*conns));
	idle = allocate((size_t)opt.connections, sizeof(*idle));
	for (i = 0; i < opt.connections; i++) {
		conns[i].out = allocate(1, request_len);
		memcpy(conns[i].out, request, request_len);
		conns[i].out_len = request_len;
		conns[i].in_room = 16384;
		conns[i].in = allocate(1, conns[i].in_room);
		conn_open(&conns[i]);
	}
	run(conns);
	report();
	return 0;
}
