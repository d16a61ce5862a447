/* limit.h - what the parts of the program limit share: options, parameters in the binary format, connections; see limit.c. */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { OID_BYTEA = 17, OID_INT2 = 21, OID_INT4 = 23, OID_UUID = 2950 };

enum limit_mode { MODE_SUBMIT, MODE_DRAIN, MODE_MIX };

struct limit_options {
	const char *db;
	enum limit_mode mode;
	int batch, connections, depth, payload, tasks;
	double seconds, warm;
	bool create;
};
extern struct limit_options opt;

struct bytes {
	char *at;
	uint64_t len, room;
};

/* limit_line.c */
double now(void);
void quit(const char *what, const char *why);
void add(struct bytes *b, const void *data, uint64_t len);
void add_element(struct bytes *b, const void *data, uint64_t len);
void array_begin(struct bytes *b, uint32_t element, int n); /* of one dimension, without nulls */
PGconn *connect_db(void);
void command(PGconn *pg, const char *sql);
void prepare(PGconn *pg, const char *name, const char *sql);
PGconn *line_connect(void); /* with the settings of a session that only looks up keys */
void send_params(PGconn *pg, const char *name, int n, const struct bytes *params); /* binary */
void send_sync(PGconn *pg);
int read_rows(PGconn *pg); /* of all statements up to the next Sync */

/* limit.c */
#define SUBMIT_COLUMNS 6
struct submitter {
	uint64_t base; /* its keys begin here */
	uint64_t made; /* keys used */
	struct bytes column[SUBMIT_COLUMNS];
	char *payload;
};
void submitter_open(struct submitter *s, int number);
void submitter_free(struct submitter *s);
void submit_prepare(PGconn *pg);
void submit_send(struct submitter *s, PGconn *pg); /* a batch; its ids are in column[SUBMIT_ID] */
#define SUBMIT_ID 3

/* limit_run.c */
void drain_create(PGconn *pg);
void drain_measure(void);
void mix_measure(void);

#endif
