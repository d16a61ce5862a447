/* conf_int.h - what the files of this room share.
 *
 * The way of a file: conf_file.c reads it, conf_scan.c walks its grammar (conf_lex.c gives the words) and notes each option with
 * its line, libConfuse evaluates the clean text that the scan leaves, conf_load.c puts the values in place and follows includes,
 * conf_check.c looks at the whole.  conf_table.c is options.def as data; conf_value.c knows types and units.
 *
 * libConfuse does not walk the file itself because it stops at the first error, loses file names and lines, keeps a
 * half-open string for the next file and turns unset variables into nothing (measured with 3.3).
 */
#ifndef CONF_CONF_INT_H
#define CONF_CONF_INT_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"

#define CONF_FILE_MAX (1024 * 1024) /* bytes of one file */
#define CONF_SECRET_MAX (64 * 1024)
#define CONF_DEPTH_MAX 8 /* includes within includes */
#define CONF_FILES_MAX 1000

/* --- conf_table.c ---------------------------------------------------------------------------------------------------- */

enum conf_type {
	CONF_BOOL,
	CONF_INT,
	CONF_COUNT,
	CONF_TIME,
	CONF_SIZE,
	CONF_RATE,
	CONF_WORD,
	CONF_TEXT,
	CONF_PATH,
	CONF_LIST,
	CONF_SECRET,
	CONF_SECRETS
};
enum conf_when { CONF_RELOAD, CONF_RESTART };

enum conf_section_id {
#define TOP(words) CONF_SECTION_top,
#define SECTION(name, words) CONF_SECTION_##name,
#define TITLED(name, words, example) CONF_SECTION_##name,
#include "conf/options.def"
	CONF_SECTIONS
};

struct conf_section {
	const char *name;
	const char *words;
	const char *example; /* titled only */
	bool titled;
	size_t offset;       /* in struct conf: of the members, or of the pointer to the array when titled */
	size_t count_offset; /* titled: in struct conf, of the number of elements */
	size_t size;         /* titled: of an element, which begins with its title */
};

struct conf_option {
	enum conf_section_id section;
	const char *name;
	enum conf_type type;
	const char *value; /* the default, as in a file */
	const char *min;
	const char *max; /* WORD: the words */
	enum conf_when when;
	const char *line;
	const char *paragraph;
	size_t offset; /* in the section's members */
};

extern const struct conf_section conf_sections[CONF_SECTIONS];
extern const struct conf_option conf_options[];
extern const int conf_noptions;

/* All options of a section in the table's order: for (o = first; o; o = next(o)). */
const struct conf_option *conf_option_first(enum conf_section_id section);
const struct conf_option *conf_option_next(const struct conf_option *o);
const struct conf_option *conf_option_find(enum conf_section_id section, struct span name);
int conf_section_find(struct span name); /* -1: none; the top level has no name */
/* The name most like a wrong one, null when none is near: an option of the section, at top level also a section. */
const char *conf_name_near(enum conf_section_id section, struct span wrong);
/* Where the members of the section are; `index` counts the elements of a titled one. */
void *conf_members(const struct conf *c, enum conf_section_id section, int index);
int conf_section_count(const struct conf *c, enum conf_section_id section);        /* 1 when not titled */
const char *conf_members_title(enum conf_section_id section, const void *members); /* null when not titled */
/* "http.listen", "handler \"x\": timeout" */
void conf_option_label(const struct conf_option *o, const char *title, struct buf *out);

/* --- conf_value.c ---------------------------------------------------------------------------------------------------- */

/* Stores the texts as a value of the option; false: `why` says what is wrong and what was expected. */
bool conf_value_set(const struct conf_option *o, void *members, const char *const *texts, int n, struct arena *arena,
    struct buf *why) MUSTCHECK;
void conf_value_default(const struct conf_option *o, void *members, struct arena *arena);
bool conf_value_is_default(const struct conf_option *o, const void *members);
void conf_value_print(const struct conf_option *o, const void *members, struct buf *out); /* as in a file */
void conf_text_quote(const char *text, struct buf *out);
/* The default as in a file, quoted where it must be. */
void conf_default_print(const struct conf_option *o, struct buf *out);

/* --- conf_file.c ----------------------------------------------------------------------------------------------------- */

/* Reads a regular text file of at most `max` bytes.  Null: `why` says what is wrong. */
char *conf_file_read(const char *path, size_t max, size_t *len_r, struct buf *why) MUSTCHECK;
/* The text of a SECRET "@/path": refuses files that everybody can read, cuts the trailing newline. */
char *conf_file_secret(const char *path, struct buf *why) MUSTCHECK;

/* --- conf_origin.c --------------------------------------------------------------------------------------------------- */

struct conf_source {
	const char *name; /* as messages show it */
	int order;        /* of opening */
};

/* Where something was said.  Option null: the beginning of a titled section. */
struct conf_said {
	const struct conf_option *option;
	enum conf_section_id section;
	const char *title;  /* null when the section has none */
	const char *secret; /* "\"@/path\"" of a secret that came from a file, as a configuration says it */
	const struct conf_source *source;
	int line;
	bool cut; /* section: a syntax error hides the rest of it */
};

struct conf_origin {
	struct arena *arena;                   /* all texts of the configuration */
	struct buf said;                       /* struct conf_said */
	struct buf schemas;                    /* struct schema of conf_schema.c */
	const struct task_schema **by_handler; /* in the order of the handlers; null: none has one */
	struct task_rules **rules;             /* likewise */
	int nrules;
};

void conf_origin_say(struct conf_origin *g, const struct conf_said *s);
void conf_origin_forget(
    struct conf_origin *g, enum conf_section_id section, const char *title); /* all of a titled section */
const struct conf_said *conf_origin_find(const struct conf_origin *g, enum conf_section_id section, const char *title,
    const struct conf_option *o); /* null: never said */

struct conf_problems {
	struct buf items; /* struct problem, private */
};
/* The same at the same line is noted once. */
void conf_problem(struct conf_problems *p, const struct conf_source *source, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
int conf_problems_count(const struct conf_problems *p);
/* Writes a line for each, by file and line, and empties the list. */
void conf_problems_flush(struct conf_problems *p, struct buf *errors);

/* --- conf_lex.c ------------------------------------------------------------------------------------------------------- */

enum conf_token_kind { CONF_TOKEN_END, CONF_TOKEN_BAD, CONF_TOKEN_WORD, CONF_TOKEN_STRING, CONF_TOKEN_MARK };

struct conf_token {
	enum conf_token_kind kind;
	struct span raw; /* as in the file, strings with their quotes; MARK: one of { } ( ) = += , */
	int line;
};

struct conf_lex {
	const char *at;
	const char *end;
	int line;
	const struct conf_source *source;
	struct conf_problems *problems;
};
/* BAD: the problem has been noted, and nothing after it can be read. */
struct conf_token conf_lex_next(struct conf_lex *l);

/* --- conf_scan.c ------------------------------------------------------------------------------------------------------ */

enum conf_item_kind { CONF_ITEM_OPTION, CONF_ITEM_INCLUDE, CONF_ITEM_TITLED };

/* A statement of a file, in its order. */
struct conf_item {
	enum conf_item_kind kind;
	const struct conf_option *option;
	enum conf_section_id section;
	int number; /* of the titled section, or of the include, in this file; -1: neither */
	int line;
	bool append; /* += */
	bool braces; /* a list was written */
	bool over;   /* a later line of the same file says it again */
	bool cut;    /* TITLED: a syntax error hides the rest */
};

struct conf_scan {
	struct buf items; /* struct conf_item */
	/* For libConfuse: only known options; includes as `include += text`; titled sections carry their number as title and the
	 * real one as option `title`. */
	struct buf clean;
};
void conf_scan(struct conf_scan *s, struct span text, const struct conf_source *source, struct conf_problems *problems);
void conf_scan_free(struct conf_scan *s);

/* --- conf_eval.c: the only file that includes confuse.h ------------------------------------------------------------------ */

struct conf_eval;

/* Null: `why` holds libConfuse's words. */
struct conf_eval *conf_eval_new(const char *clean, struct buf *why) MUSTCHECK;
void conf_eval_free(struct conf_eval **e);
/* The texts of an item, borrowed until conf_eval_free(); the number of them in *n_r. */
const char *const *conf_eval_texts(struct conf_eval *e, const struct conf_item *item, int *n_r);

/* --- conf_check.c ----------------------------------------------------------------------------------------------------- */

/* Checks what is in force now, with each problem at the line that said it. */
void conf_check_plain(const struct conf *c, struct conf_problems *p); /* all but the titled sections */
void conf_check_whole(const struct conf *c, struct conf_problems *p); /* after both, once */
void conf_check_titled(const struct conf *c, enum conf_section_id section, int index, struct conf_problems *p);

/* --- conf_schema.c ---------------------------------------------------------------------------------------------------- */

bool conf_schema_read(struct conf_origin *g, const char *path, struct buf *why) MUSTCHECK; /* each file once */
void conf_schema_settle(struct conf *c); /* the handlers are in their order */
void conf_schema_free(struct conf_origin *g);

/* --- conf_rules.c ----------------------------------------------------------------------------------------------------- */

bool conf_rule_good(const char *text, struct buf *why) MUSTCHECK;
void conf_rules_settle(struct conf *c); /* the handlers are in their order */
void conf_rules_free(struct conf_origin *g);

#endif
