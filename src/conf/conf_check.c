/* conf_check.c - what no single option shows: addresses, users, and options that need or exclude each other.
 *
 * Each check looks at one option or one titled section, so that it can be made as soon as that is said: what a later file replaces
 * is checked too.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf/conf_int.h"
#include "sys/sys.h"

#define RUN_DIR_MAX 70 /* bytes: socket paths below it must fit into 108 */
#define QUEUE_MAX 64   /* bytes of the name of a queue */
#define TITLE_MAX 64   /* bytes of a task type */
#define NODE_MAX 64

struct check {
	const struct conf *conf;
	struct conf_problems *problems;
};

static const struct conf_said *
said(const struct check *k, enum conf_section_id section, const char *title, const char *name)
{
	const struct conf_option *o = name == NULL ? NULL : conf_option_find(section, span_of(name));

	return conf_origin_find(k->conf->origin, section, title, o);
}

/* At the line of the option, or else of its section.  Nothing when a syntax error hides the rest of the section: the option may
 * stand there. */
static void
complain(const struct check *k, enum conf_section_id section, const char *title, const char *name, const char *what)
{
	const struct conf_said *begin = title == NULL ? NULL : said(k, section, title, NULL);
	const struct conf_said *s = said(k, section, title, name);
	static const struct conf_source nowhere = { "defaults", 0 };
	struct buf label = { 0 };

	if (s == NULL && begin != NULL && begin->cut)
		return;
	if (s == NULL)
		s = begin;
	conf_option_label(conf_option_find(section, span_of(name)), title, &label);
	if (s == NULL)
		conf_problem(k->problems, &nowhere, 0, "%s: %s", buf_cstr(&label), what);
	else
		conf_problem(k->problems, s->source, s->line, "%s: %s", buf_cstr(&label), what);
	buf_free(&label);
}

static void PRINTF_LIKE(5, 6) complainf(
    const struct check *k, enum conf_section_id section, const char *title, const char *name, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	complain(k, section, title, name, buf_cstr(&text));
	buf_free(&text);
}

static bool
printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static void
check_user(const struct check *k, enum conf_section_id section, const char *title, const char *user)
{
	if (user[0] != '\0' && getpwnam(user) == NULL)
		complainf(k, section, title, "user", "\"%s\" is not a user of this machine, expected one", user);
}

/* Only root may become another. */
static void
check_handler_user(const struct check *k, const struct conf_handler *h)
{
	const struct passwd *pw = h->user[0] != '\0' ? getpwnam(h->user) : NULL;

	if (h->user[0] != '\0' && pw == NULL)
		check_user(k, CONF_SECTION_handler, h->title, h->user);
	else if (pw != NULL && geteuid() != 0 && pw->pw_uid != geteuid())
		complainf(k, CONF_SECTION_handler, h->title, "user",
		    "\"%s\" is another user than taskqd's, expected none unless taskqd is started by root", h->user);
}

static void
check_top(const struct check *k)
{
	const struct conf *c = k->conf;

	check_user(k, CONF_SECTION_top, NULL, c->user);
	if (strlen(c->run_dir) > RUN_DIR_MAX)
		complainf(k, CONF_SECTION_top, NULL, "run_dir", "\"%s\" is too long, expected at most %d bytes",
		    c->run_dir, RUN_DIR_MAX);
	if (strlen(c->node) > NODE_MAX || !printable(c->node))
		complainf(k, CONF_SECTION_top, NULL, "node",
		    "\"%s\" is not a name, expected up to %d characters without blanks", c->node, NODE_MAX);
	if (strcmp(c->log.target, "stderr") != 0 && strcmp(c->log.target, "syslog") != 0 && c->log.target[0] != '/')
		complainf(k, CONF_SECTION_log, NULL, "target",
		    "\"%s\" is not known, expected stderr, syslog or an absolute path", c->log.target);
}

static void
check_listen(const struct check *k)
{
	const struct conf_list *list = &k->conf->http.listen;
	struct sock_addr addr;

	if (list->n == 0)
		complain(k, CONF_SECTION_http, NULL, "listen",
		    "no address, expected at least one such as \"127.0.0.1:8001\"");
	for (int i = 0; i < list->n; i++) {
		const char *wrong = sock_parse(list->items[i], &addr);

		if (wrong != NULL)
			complainf(k, CONF_SECTION_http, NULL, "listen",
			    "\"%s\": %s, expected host:port, [v6]:port or unix:/path", list->items[i], wrong);
		else if (!sock_is_loopback(&addr))
			complainf(k, CONF_SECTION_http, NULL, "listen",
			    "\"%s\" is not a loopback address, expected one: without API keys taskqd listens on "
			    "loopback only",
			    list->items[i]);
		for (int j = 0; j < i; j++)
			if (strcmp(list->items[i], list->items[j]) == 0)
				complainf(k, CONF_SECTION_http, NULL, "listen", "\"%s\" twice, expected it once",
				    list->items[i]);
	}
}

static bool (*conninfo_good)(const char *conninfo);

void
conf_judge_conninfo(bool (*good)(const char *conninfo))
{
	conninfo_good = good;
}

/* The string is not repeated: it may hold a password. */
static void
check_conninfo(const struct check *k)
{
	if (conninfo_good != NULL && !conninfo_good(k->conf->postgres.conninfo))
		complain(k, CONF_SECTION_postgres, NULL, "conninfo",
		    "not a libpq connection string, expected one such as \"host=/run/postgresql dbname=taskq\"");
}

/* Where the kernel would choose one for a server. */
static bool
has_port_0(const char *address, const struct sock_addr *a)
{
	if (strcmp(address, "off") == 0 || a->ss.ss_family == AF_UNIX)
		return false;
	return ((const struct sockaddr_in *)&a->ss)->sin_port == 0; /* a sockaddr_in6 has it in the same place */
}

static void
check_redis(const struct check *k)
{
	struct sock_addr addr;
	const char *address = k->conf->redis.address;
	const char *wrong = strcmp(address, "off") == 0 ? NULL : sock_parse(address, &addr);

	if (wrong != NULL)
		complainf(k, CONF_SECTION_redis, NULL, "address",
		    "\"%s\" is not known, expected off, host:port, [v6]:port or unix:/path, hosts as numeric addresses",
		    address);
	else if (address[0] == '*' || address[0] == ':')
		complainf(k, CONF_SECTION_redis, NULL, "address", "\"%s\" is every address, expected one", address);
	else if (has_port_0(address, &addr))
		complainf(k, CONF_SECTION_redis, NULL, "address", "\"%s\" has no port, expected 1 to 65535", address);
	if (k->conf->redis.user[0] != '\0' && k->conf->redis.password[0] == '\0')
		complain(k, CONF_SECTION_redis, NULL, "user", "without a password, expected one beside it");
}

static void
check_limits(const struct check *k)
{
	if (k->conf->limits.burst > 0 && k->conf->limits.rate == 0)
		complain(k, CONF_SECTION_limits, NULL, "burst", "means nothing without a rate, expected one beside it");
	if (k->conf->http.wait_max > 0 && k->conf->http.wait_max < CLOCK_SECOND)
		complain(k, CONF_SECTION_http, NULL, "wait_max",
		    "less than a second, which nobody can ask for, expected 0 or at least 1s");
}

static void
check_environment(const struct check *k, const struct conf_handler *h)
{
	for (int i = 0; i < h->environment.n; i++) {
		const char *item = h->environment.items[i];
		const char *equal = strchr(item, '=');

		if (equal == NULL || equal == item)
			complainf(k, CONF_SECTION_handler, h->title, "environment",
			    "\"%s\" is not NAME=value, expected that", item);
	}
}

/* An option that another kind of handler has; its default may be said, as taskqd --print-config does. */
static void
check_foreign(const struct check *k, const struct conf_handler *h, const char *name, const char *kind)
{
	if (!conf_value_is_default(conf_option_find(CONF_SECTION_handler, span_of(name)), h))
		complainf(k, CONF_SECTION_handler, h->title, name, "only for kind = %s, expected without it", kind);
}

static struct conf_call_judges judges;

void
conf_judge_calls(const struct conf_call_judges *j)
{
	judges = *j;
}

/* Null: nothing is wrong. */
static const char *
judge(conf_judge_fn *fn, const char *text)
{
	return fn != NULL ? fn(text) : NULL;
}

static void
check_allow(const struct check *k)
{
	const struct conf_list *list = &k->conf->call.allow;

	for (int i = 0; i < list->n; i++) {
		const char *wrong = judge(judges.allow, list->items[i]);

		if (wrong != NULL)
			complainf(k, CONF_SECTION_call, NULL, "allow", "\"%s\" %s", list->items[i], wrong);
	}
}

/* They may be secret, so they are told by number. */
static void
check_hidden(const struct check *k, int section, const char *title, const char *name, const struct conf_list *list,
    conf_judge_fn *fn)
{
	for (int i = 0; i < list->n; i++) {
		const char *wrong = judge(fn, list->items[i]);

		if (wrong != NULL)
			complainf(k, section, title, name, "number %d %s", i + 1, wrong);
	}
}

static void
check_dead(const struct check *k)
{
	const struct conf_dead *d = &k->conf->dead;
	const char *wrong = d->escalate_url[0] != '\0' ? judge(judges.url, d->escalate_url) : NULL;

	if (wrong != NULL)
		complainf(k, CONF_SECTION_dead, NULL, "escalate_url", "\"%s\" %s", d->escalate_url, wrong);
	check_hidden(k, CONF_SECTION_dead, NULL, "escalate_secrets", &d->escalate_secrets, judges.secret);
}

static void
check_http(const struct check *k, const struct conf_handler *h)
{
	const char *wrong = h->url[0] != '\0' ? judge(judges.url, h->url) : NULL;

	if (h->url[0] == '\0')
		complain(k, CONF_SECTION_handler, h->title, "url",
		    "missing, expected one such as \"https://service.example/path\"");
	if (wrong != NULL)
		complainf(k, CONF_SECTION_handler, h->title, "url", "\"%s\" %s", h->url, wrong);
	check_hidden(k, CONF_SECTION_handler, h->title, "secrets", &h->secrets, judges.secret);
	check_hidden(k, CONF_SECTION_handler, h->title, "headers", &h->headers, judges.header);
	if (h->ca_file[0] != '\0' && access(h->ca_file, R_OK) != 0)
		complainf(k, CONF_SECTION_handler, h->title, "ca_file",
		    "could not read \"%s\": %s, expected a file in PEM form", h->ca_file, strerror(errno));
}

static void
check_schema(const struct check *k, const struct conf_handler *h)
{
	struct buf why = { 0 };

	if (h->schema[0] != '\0' && !conf_schema_read(k->conf->origin, h->schema, &why))
		complain(k, CONF_SECTION_handler, h->title, "schema", buf_cstr(&why));
	buf_free(&why);
}

static void
check_lease(const struct check *k, const struct conf_handler *h)
{
	if (h->lease_default > h->lease_max)
		complain(
		    k, CONF_SECTION_handler, h->title, "lease_default", "longer than lease_max, expected at most that");
}

static void
check_rules(const struct check *k, const struct conf_handler *h)
{
	struct buf why = { 0 };

	for (int i = 0; i < h->rules.n; i++) {
		buf_reset(&why);
		if (!conf_rule_good(h->rules.items[i], &why))
			complain(k, CONF_SECTION_handler, h->title, "rules", buf_cstr(&why));
	}
	buf_free(&why);
}

static void
check_exec(const struct check *k, const struct conf_handler *h)
{
	check_handler_user(k, h);
	check_environment(k, h);
	if (h->command.n == 0)
		complain(k, CONF_SECTION_handler, h->title, "command",
		    "missing, expected { \"/path/of/program\", \"argument\" }");
	else if (h->command.items[0][0] != '/')
		complainf(k, CONF_SECTION_handler, h->title, "command", "\"%s\" is not an absolute path, expected one",
		    h->command.items[0]);
}

/* Options that only some kinds have. */
static const struct {
	unsigned kinds;
	const char *words;
	const char *names[16];
} own[] = {
	{ 1u << CONF_HANDLER_EXEC | 1u << CONF_HANDLER_POOL, "exec or pool",
	    { "command", "user", "directory", "environment", "limit_memory", "limit_cpu", "limit_files",
		"limit_processes", "limit_file_size" } },
	{ 1u << CONF_HANDLER_POOL, "pool",
	    { "children", "format", "pipeline", "recycle_tasks", "recycle_after", "recycle_memory" } },
	{ 1u << CONF_HANDLER_HTTP, "http", { "url", "secrets", "headers", "ca_file" } },
	{ 1u << CONF_HANDLER_BUILTIN, "builtin", { "builtin" } },
	{ 1u << CONF_HANDLER_LEASE, "lease", { "lease_default", "lease_max" } },
	{ ~(1u << CONF_HANDLER_LEASE),
	    "exec, pool, http or builtin", /* of a node's workers; how many runs clients hold is the queue's limit */
	    { "concurrency", "adaptive", "adaptive_start", "adaptive_cohorts" } },
};

static void
check_handler(const struct check *k, const struct conf_handler *h)
{
	if (h->title[0] == '\0' || strlen(h->title) > TITLE_MAX)
		complainf(k, CONF_SECTION_handler, h->title, "kind",
		    "a title of %zu bytes, expected a task type of 1 to %d", strlen(h->title), TITLE_MAX);
	if (h->retry_base > h->retry_cap)
		complain(
		    k, CONF_SECTION_handler, h->title, "retry_base", "longer than retry_cap, expected at most that");
	if (h->breaker_pause > h->breaker_pause_max)
		complain(k, CONF_SECTION_handler, h->title, "breaker_pause",
		    "longer than breaker_pause_max, expected at most that");
	check_schema(k, h);
	check_rules(k, h);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		for (const char *const *name = own[i].names; (own[i].kinds & 1u << h->kind) == 0 && *name != NULL;
		     name++)
			check_foreign(k, h, *name, own[i].words);
	if (h->kind == CONF_HANDLER_EXEC || h->kind == CONF_HANDLER_POOL)
		check_exec(k, h);
	else if (h->kind == CONF_HANDLER_HTTP)
		check_http(k, h);
	else if (h->kind == CONF_HANDLER_LEASE)
		check_lease(k, h);
}

/* As submissions write it. */
static bool
is_queue(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= QUEUE_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") == len;
}

static void
check_queue(const struct check *k, const struct conf_queue *q)
{
	if (!is_queue(q->title))
		complainf(k, CONF_SECTION_queue, q->title, "concurrency",
		    "the title is not the name of a queue, expected 1 to %d of A-Z a-z 0-9 _ . : -", QUEUE_MAX);
	if (q->burst > 1 && conf_rate_interval(q->rate) == 0)
		complain(
		    k, CONF_SECTION_queue, q->title, "burst", "means nothing without a rate, expected one beside it");
	if (q->group_burst > 1 && conf_rate_interval(q->group_rate) == 0)
		complain(k, CONF_SECTION_queue, q->title, "group_burst",
		    "means nothing without a group_rate, expected one beside it");
}

void
conf_check_plain(const struct conf *c, struct conf_problems *p)
{
	struct check k = { c, p };

	check_top(&k);
	check_listen(&k);
	check_conninfo(&k);
	check_redis(&k);
	check_limits(&k);
	check_allow(&k);
	check_dead(&k);
}

/* What can be judged only when everything was read. */
void
conf_check_whole(const struct conf *c, struct conf_problems *p)
{
	struct check k = { c, p };
	const struct conf_handler *h = conf_handler_find(c, span_of(c->work.alarm));

	if (c->work.alarm[0] != '\0' && (h == NULL || h->kind != CONF_HANDLER_EXEC))
		complainf(&k, CONF_SECTION_work, NULL, "alarm",
		    "\"%s\" is no handler of kind exec, expected the name of one", c->work.alarm);
}

void
conf_check_titled(const struct conf *c, enum conf_section_id section, int index, struct conf_problems *p)
{
	struct check k = { c, p };

	if (section == CONF_SECTION_handler)
		check_handler(&k, &c->handlers[index]);
	if (section == CONF_SECTION_queue)
		check_queue(&k, &c->queues[index]);
}
