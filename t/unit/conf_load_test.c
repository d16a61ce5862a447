/* conf_load_test.c - whole configurations: defaults, order, titles, includes, reload, and text that must not hurt. */
#include <sys/stat.h>

#include "conf/conf_int.h"
#include "t/unit/tap.h"

static char dir[] = "/tmp/taskq-conf-XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	MUST(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static struct conf *
load(const char *text, struct buf *errors)
{
	put("taskq.conf", text);
	buf_reset(errors);
	return conf_load(in_dir("taskq.conf"), errors);
}

static struct conf *
load_good(const char *text)
{
	struct buf errors = { 0 };
	struct conf *c = load(text, &errors);

	if (c == NULL) {
		printf("Bail out! %s\n", buf_cstr(&errors));
		exit(1);
	}
	buf_free(&errors);
	return c;
}

static void
defaults(void)
{
	struct buf errors = { 0 };
	struct conf *c = conf_load(NULL, &errors);

	ok(c != NULL && errors.len == 0, "the defaults alone are good");
	ok(c->workers >= 1 && c->acceptors >= 1, "auto is a number of cores");
	is_int(c->drain_timeout, 30 * 1000000, "times are microseconds");
	is_int(c->http.max_body, 1024 * 1024, "sizes are bytes");
	is_str(c->http.listen.items[0], "127.0.0.1:8001", "a list has its default");
	ok(c->http.listen.items[1] == NULL, "and ends by null");
	is_int(c->nhandlers, 0, "no handlers");
	ok(conf_handler_find(c, SPAN("x")) == NULL, "none is found");
	conf_free(&c);
	ok(c == NULL, "free leaves null");
	buf_free(&errors);
}

static void
order(void)
{
	struct conf *c;

	put("inc-b", "workers = 3\nhandler m { kind = builtin builtin = echo }\n");
	put("inc-a", "workers = 2\nhttp { listen += 'unix:/a' }\nhandler k { command = /bin/false timeout = 9s }\n");
	c = load_good("workers = 1\nhttp { listen = '[::1]:0' max_headers = 9 }\nhandler k { command = /bin/true "
		      "concurrency = 7 }\n"
		      "include \"inc-*\"\nkeys { ttl = 60s }\nhandler z { command = { /bin/sh, '-c', \"a\\tb\", } }\n"
		      "http { max_headers = 10 }");
	is_int(c->workers, 3, "files of a pattern are read in order, the last wins");
	is_int(c->http.listen.n, 2, "+= adds to what an earlier file said");
	is_str(c->http.listen.items[1], "unix:/a", "at the end");
	is_int(c->http.max_headers, 10, "later in the file wins");
	is_int(c->keys.ttl, 60 * 1000000, "the file goes on behind an include");
	is_int(c->nhandlers, 3, "three titles");
	is_str(c->handlers[0].command.items[0], "/bin/false", "a later file replaces the section");
	is_int(c->handlers[0].concurrency, 0, "as a whole");
	is_int(conf_handler_find(c, SPAN("m"))->builtin, CONF_BUILTIN_ECHO, "a handler is found by its type");
	is_str(conf_handler_find(c, SPAN("z"))->command.items[2], "a\tb", "with escapes");
	is_int(conf_handler_find(c, SPAN("z"))->command.n, 3, "and a comma at the end of the list");
	ok(conf_handler_find(c, SPAN("mm")) == NULL && conf_handler_find(c, (struct span){ NULL, 0 }) == NULL,
	    "others are not");
	conf_free(&c);
	c = load_good("include \"inc-a\"\nworkers = 9\n");
	is_int(c->workers, 9, "a line behind the include wins over it");
	conf_free(&c);
}

/* The text of conf_print() without the lines that tell where each was said. */
static char *
printed(const struct conf *c)
{
	struct buf out = { 0 };
	char *text, *line;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(c, f);
	MUST(fclose(f) == 0);
	for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (line[strspn(line, "\t")] != '#')
			buf_printf(&out, "%s\n", line);
	free(text);
	return buf_take(&out, NULL);
}

/* What conf_print() writes is read as the same. */
static void
round_trip(void)
{
	struct conf *c =
	    load_good("node = 'n\"\\1'\nhandler \"a b\" { command = { '/x y', \"\\$HOME\", 'it\\'s', \"\\n\" } }\n"
		      "handler e { kind = builtin builtin = sleep timeout = 90s }\nworkers = 5 http { compat = no }");
	char *first = printed(c), *second;

	conf_free(&c);
	c = load_good(first);
	second = printed(c);
	is_str(second, first, "print, load, print gives the same");
	is_str(c->handlers[0].command.items[1], "$HOME", "a dollar survives");
	is_str(c->handlers[0].command.items[2], "it's", "and a quote");
	is_str(c->handlers[0].command.items[3], "\n", "and a newline");
	is_str(c->node, "n\"\\1", "and a backslash");
	is_int(c->handlers[1].timeout, 90 * 1000000, "values survive");
	conf_free(&c);
	mem_free(&first);
	mem_free(&second);
}

static void
sample(void)
{
	struct conf *c;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_sample(f);
	MUST(fclose(f) == 0);
	c = load_good(text);
	ok(c != NULL, "the sample is good");
	conf_free(&c);
	for (int i = 0; i < conf_noptions; i++) {
		char line[64];

		snprintf(line, sizeof(line), "#%s = ", conf_options[i].name);
		ok(strstr(text, line) != NULL, "%s stands in the sample", conf_options[i].name);
	}
	free(text);
}

static void
reload(void)
{
	struct conf *old = load_good("run_dir = /a http { listen = 'unix:/a' } workers = 2");
	struct conf *fresh = load_good("run_dir = /b http { listen = { 'unix:/b', 'unix:/c' } } workers = 3");
	struct buf notes = { 0 };

	conf_keep_restart_options(fresh, old, &notes);
	conf_free(&old);
	is_str(fresh->run_dir, "/a", "what needs a restart stays");
	is_str(fresh->http.listen.items[0], "unix:/a", "lists too, as copies");
	is_int(fresh->workers, 3, "the rest changes");
	is_str(buf_cstr(&notes),
	    "run_dir stays \"/a\", the change to \"/b\" needs a restart\n"
	    "http.listen stays { \"unix:/a\" }, the change to { \"unix:/b\", \"unix:/c\" } needs a restart\n",
	    "each is noted");
	conf_free(&fresh);
	buf_free(&notes);
}

/* Every beginning of a file that has everything, and every such file with one character changed. */
static void
mangled(void)
{
	static const char whole[] =
	    "workers = 1 /* c */ http { listen = { \"127.0.0.1:0\", '[::1]:0' } // x\n} include \"inc-?\"\n"
	    "handler \"a\\\"b\" { command = { /bin/true, \"${HOME:-x}\" } timeout += 1s }\nfoo 'x' { y { z = 1 } }";
	static const char odd[] = "{}\"'\\=+,()#*$/\n x";
	struct buf errors = { 0 };
	char text[sizeof(whole)];
	struct conf *c;
	int good = 0;

	for (size_t i = 0; i < sizeof(whole); i++) {
		memcpy(text, whole, sizeof(whole));
		text[i] = '\0';
		c = load(text, &errors);
		good += (c == NULL) == (errors.len > 0);
		conf_free(&c);
		for (size_t k = 0; k < sizeof(odd) - 1 && i + 1 < sizeof(whole); k++) {
			memcpy(text, whole, sizeof(whole));
			text[i] = odd[k];
			c = load(text, &errors);
			good += (c == NULL) == (errors.len > 0);
			conf_free(&c);
		}
	}
	is_int(good, sizeof(whole) + (sizeof(whole) - 1) * (sizeof(odd) - 1), "each is either good or has an error");
	c = load("workers = 1\n", &errors);
	ok(c != NULL, "and nothing of it stays for the next file");
	conf_free(&c);
	buf_free(&errors);
}

static void
bounded(void)
{
	struct buf errors = { 0 }, big = { 0 };
	struct conf *c;

	MUST(mkfifo(in_dir("fifo"), 0600) == 0);
	ok(conf_load(in_dir("fifo"), &errors) == NULL && strstr(buf_cstr(&errors), "is not a regular file") != NULL,
	    "a FIFO is refused at once");
	buf_reset(&errors);
	ok(conf_load(dir, &errors) == NULL && strstr(buf_cstr(&errors), "is a directory") != NULL,
	    "a directory is refused");
	while (big.len <= CONF_FILE_MAX)
		buf_puts(&big, "# nothing\n");
	c = load(buf_cstr(&big), &errors);
	ok(c == NULL && strstr(buf_cstr(&errors), "is too long, expected at most 1024 kB") != NULL,
	    "a long file is refused");
	put("loop", "include \"loop\"\n");
	c = load("include \"loop\"", &errors);
	ok(c == NULL && strstr(buf_cstr(&errors), "loop:1: ") != NULL &&
		strstr(buf_cstr(&errors), "includes itself") != NULL,
	    "a circle is refused");
	for (int i = 0; i < 10; i++) {
		char name[16], text[32];

		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(text, sizeof(text), "include deep%d\n", i + 1);
		put(name, text);
	}
	c = load("include deep0", &errors);
	ok(c == NULL &&
		strstr(buf_cstr(&errors), "deep7:1: includes are nested too deeply, expected at most 8") != NULL,
	    "so is too much depth");
	buf_free(&errors);
	buf_free(&big);
}

static void
remove_dir(void)
{
	static const char *const names[] = { "taskq.conf", "inc-a", "inc-b", "fifo", "loop", "deep0", "deep1", "deep2",
		"deep3", "deep4", "deep5", "deep6", "deep7", "deep8", "deep9" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		MUST(unlink(in_dir(names[i])) == 0);
	MUST(rmdir(dir) == 0);
}

int
main(void)
{
	MUST(mkdtemp(dir) != NULL);
	defaults();
	order();
	round_trip();
	sample();
	reload();
	mangled();
	bounded();
	remove_dir();
	return done();
}
