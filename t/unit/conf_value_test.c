/* conf_value_test.c - types, units and bounds, and that the table itself is sound. */
#include "conf/conf_int.h"
#include "t/unit/tap.h"

struct row {
	const char *section, *option, *text;
	const char *printed; /* null: refused */
	const char *why;
};

static const struct row rows[] = {
	{ "", "drain_timeout", "30s", "30s", NULL },
	{ "", "drain_timeout", "1.5s", "1500ms", NULL },
	{ "", "drain_timeout", "0.25min", "15s", NULL },
	{ "", "drain_timeout", "120000ms", "2min", NULL },
	{ "", "drain_timeout", "5m", "5min", NULL },
	{ "", "drain_timeout", "100000us", "100ms", NULL },
	{ "", "drain_timeout", "30 s", "30s", NULL },
	{ "", "drain_timeout", "30", NULL, "\"30\" has no unit, say 30s (units: us ms s min h d w)" },
	{ "", "drain_timeout", "1.5", NULL, "\"1.5\" has no unit, say 1.5s" },
	{ "", "drain_timeout", "30S", NULL, "\"30S\" is not a time, expected a number and a unit such as 30s" },
	{ "", "drain_timeout", "-3s", NULL, "\"-3s\" is not a time" },
	{ "", "drain_timeout", "", NULL, "\"\" is not a time" },
	{ "", "drain_timeout", "9223372036854775807w", NULL, "\"9223372036854775807w\" is not a time" },
	{ "", "drain_timeout", "99999999999999999999s", NULL, "is not a time" },
	{ "", "drain_timeout", "99ms", NULL, "\"99ms\" is out of bounds, expected 100ms to 1h" },
	{ "", "drain_timeout", "61min", NULL, "\"61min\" is out of bounds, expected 100ms to 1h" },
	{ "keys", "ttl", "1w", "1w", NULL },
	{ "keys", "ttl", "48h", "2d", NULL },
	{ "http", "max_body", "64kB", "64kB", NULL },
	{ "http", "max_body", "2048kB", "2MB", NULL },
	{ "http", "max_body", "1.5MB", "1536kB", NULL },
	{ "http", "max_body", "1025B", "1025B", NULL },
	{ "http", "max_body", "5", NULL, "\"5\" has no unit, say 5kB (units: B kB MB GB TB)" },
	{ "http", "max_body", "5KB", NULL, "\"5KB\" is not a size, expected a number and a unit such as 64kB" },
	{ "http", "max_body", "65MB", NULL, "\"65MB\" is out of bounds, expected 1kB to 64MB" },
	{ "handler", "limit_memory", "0", "0B", NULL },
	{ "handler", "limit_cpu", "0", "0us", NULL },
	{ "handler", "limit_memory", "1TB", "1TB", NULL },
	{ "queue", "rate", "10/min", "10/min", NULL },
	{ "queue", "rate", "0.5/s", "0.5/s", NULL },
	{ "queue", "rate", "60/min", "1/s", NULL },
	{ "queue", "rate", "0.125/h", "0.125/h", NULL },
	{ "queue", "rate", "24/d", "1/h", NULL },
	{ "queue", "rate", "10000/s", "10000/s", NULL },
	{ "queue", "rate", "0", "0", NULL },
	{ "queue", "rate", "0/s", "0", NULL },
	{ "queue", "rate", "10001/s", NULL, "\"10001/s\" is out of bounds, expected 0 to 10000/s" },
	{ "queue", "rate", "10", NULL,
	    "\"10\" is not a rate, expected 0 or a number and a unit such as 10/min or 0.5/s (units: /s /min /h /d)" },
	{ "queue", "rate", "0.0005/s", NULL, "is not a rate" },
	{ "queue", "rate", "10/m", NULL, "is not a rate" },
	{ "queue", "rate", "-1/s", NULL, "is not a rate" },
	{ "queue", "rate", "99999999999999999999/s", NULL, "is not a rate" },
	{ "", "workers", "0", "0", NULL },
	{ "", "workers", "65", NULL, "\"65\" is out of bounds, expected 0 to 64" },
	{ "", "workers", "-1", NULL, "\"-1\" is out of bounds, expected 0 to 64" },
	{ "", "workers", "1e1", NULL, "\"1e1\" is not a whole number, expected auto or 0 to 64" },
	{ "work", "slots", "auto", NULL, "\"auto\" is not a whole number, expected 1 to 10000" },
	{ "http", "compat", "yes", "on", NULL },
	{ "http", "compat", "false", "off", NULL },
	{ "http", "compat", "1", NULL, "\"1\" is not a switch, expected on or off" },
	{ "log", "level", "crit", "crit", NULL },
	{ "log", "level", "info;", NULL, "lines do not end with \";\"" },
	{ "log", "level", "debug info", NULL, "\"debug info\" is not known, expected one of: debug info" },
	{ "log", "level", "", NULL, "\"\" is not known" },
	{ "", "run_dir", "/x y", "\"/x y\"", NULL },
	{ "", "run_dir", "x", NULL, "\"x\" is not an absolute path, expected one that begins with \"/\"" },
	{ "", "node", "a\"b\\c'd", "'a\"b\\\\c\\'d'", NULL },
	{ "", "node", "${HOME}", "'${HOME}'", NULL },
	{ "postgres", "conninfo", "@x", NULL, "\"@x\" is not an absolute path, expected \"@/path\" of a file" },
};

static const struct conf_option *
find(const char *section, const char *option)
{
	int id = section[0] == '\0' ? (int)CONF_SECTION_top : conf_section_find(span_of(section));

	return conf_option_find((enum conf_section_id)id, span_of(option));
}

static void
try_row(const struct row *r, void *members, struct arena *arena)
{
	const struct conf_option *o = find(r->section, r->option);
	struct buf why = { 0 }, printed = { 0 };
	bool good = conf_value_set(o, members, &r->text, 1, arena, &why);

	if (r->printed != NULL) {
		if (good)
			conf_value_print(o, members, &printed);
		is_str(buf_cstr(&printed), r->printed, "%s = %s", r->option, r->text);
	} else if (!ok(!good && strstr(buf_cstr(&why), r->why) != NULL, "%s = %s is refused", r->option, r->text)) {
		printf("#   got \"%s\"\n", buf_cstr(&why));
	}
	buf_free(&why);
	buf_free(&printed);
}

/* Defaults pass their own bounds (conf_value_default() aborts otherwise), and every row has words. */
static void
table_is_sound(void *members, struct arena *arena)
{
	for (int i = 0; i < conf_noptions; i++) {
		const struct conf_option *o = &conf_options[i];

		conf_value_default(o, members, arena);
		ok(o->line[0] != '\0' && o->paragraph[0] != '\0', "%s.%s has its words", conf_sections[o->section].name,
		    o->name);
		ok(!conf_sections[o->section].titled || o->when == CONF_RELOAD,
		    "%s: options of titled sections may be reloaded", o->name);
	}
}

static void
near_names(void)
{
	is_str(conf_name_near(CONF_SECTION_top, SPAN("wrokers")), "workers", "a swap is near");
	is_str(conf_name_near(CONF_SECTION_http, SPAN("max_bdy")), "max_body", "a hole is near");
	is_str(conf_name_near(CONF_SECTION_top, SPAN("htpp")), "http", "sections are names of the top level");
	ok(conf_name_near(CONF_SECTION_top, SPAN("zzz")) == NULL, "nothing is near");
	ok(conf_name_near(CONF_SECTION_http, SPAN("http_listen_addresses_of_the_whole_daemon")) == NULL,
	    "long names are near nothing");
}

static void
intervals(void)
{
	ok(conf_rate_interval(0) == 0, "no rate has no interval");
	ok(conf_rate_interval(INT64_C(86400000) / 2) == 2000000, "0.5/s: two seconds from one to the next");
	ok(conf_rate_interval(INT64_C(86400000) * 3) == 333334, "3/s: rounded up, so that it is never exceeded");
}

int
main(void)
{
	struct arena *arena = arena_new(4096);
	char *members = mem_zalloc(sizeof(struct conf) + sizeof(struct conf_handler));
	const char *two[] = { "1", "2" };
	struct buf why = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		try_row(&rows[i], members, arena);
	table_is_sound(members, arena);
	near_names();
	intervals();
	ok(!conf_value_set(find("", "workers"), members, two, 2, arena, &why), "two values for one are refused");
	is_str(buf_cstr(&why), "2 values, expected one", "and counted");
	buf_free(&why);
	mem_free(&members);
	arena_free(&arena);
	return done();
}
