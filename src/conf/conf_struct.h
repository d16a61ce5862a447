/* conf_struct.h - struct conf, spelled out of options.def: one nested struct per section, an array per titled section.
 *
 * The names conf_http, conf_handler ... are visible at file scope, as C has it for structs declared inside a struct.
 */
#ifndef CONF_CONF_STRUCT_H
#define CONF_CONF_STRUCT_H

#include <stdbool.h>
#include <stdint.h>

struct conf_list {
	const char **items; /* terminated by null as well */
	int n;
};

#define CONF_C_BOOL bool
#define CONF_C_INT int
#define CONF_C_COUNT int
#define CONF_C_TIME int64_t
#define CONF_C_SIZE int64_t
#define CONF_C_RATE int64_t
#define CONF_C_WORD int
#define CONF_C_TEXT const char *
#define CONF_C_PATH const char *
#define CONF_C_SECRET const char *
#define CONF_C_LIST struct conf_list
#define CONF_C_SECRETS struct conf_list

struct conf_origin; /* where the values were said; private to the room */

struct conf {
#define SECTION(name, words) struct conf_##name {
#define TITLED(name, words, example) \
	struct conf_##name { \
		const char *title;
#define OPTION(section, name, TYPE, value, min, max, when, line, paragraph) CONF_C_##TYPE name;
#define END(name) \
	} \
	name;
#define END_TITLED(name) \
	} \
	*name##s; \
	int n##name##s;
#include "conf/options.def"
	struct conf_origin *origin;
};

#endif
