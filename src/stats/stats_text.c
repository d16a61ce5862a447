/* stats_text.c - Prometheus text format 0.0.4.
 *
 * Each row of counters.def, and each alias, is a family here: HELP and TYPE once, then its series.  Everything comes from one
 * snapshot, so a histogram's +Inf always equals its _count.  Series whose labels are equal are added up.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/proc.h"

#include "stats/stats_int.h"

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };
static const char *const kind_words[] = { "counter", "gauge", "histogram" };

typedef bool label_fn(const struct stats *s, size_t i, struct buf *b);

struct family {
	const char *prom;
	enum kind kind;
	const char *words;
	size_t at;    /* first cell */
	size_t width; /* cells of a series */
	size_t series;
	const char *labels; /* fixed ones, when there is no function */
	label_fn *label;
	const double *bounds;
	size_t nbounds;
};

#define BUCKETS(name, ...) static const double bounds_##name[] = { __VA_ARGS__ };
#include "stats/counters.def"

enum family_name {
#define COUNTER(name, ...) FAMILY_##name,
#define COUNTER_AS(name, ...) FAMILY_##name,
#define GAUGE(name, ...) FAMILY_##name,
#define COUNTER_BY(name, ...) FAMILY_##name,
#define HISTOGRAM(name, ...) FAMILY_##name,
#define HISTOGRAM_BY(name, ...) FAMILY_##name,
#include "stats/counters.def"
	FAMILIES
};

static const struct family families[FAMILIES] = {
#define COUNTER(name, prom, words) { prom, KIND_COUNTER, words, STATS_CELL(name), 1, 1, "", NULL, NULL, 0 },
#define COUNTER_AS(name, prom, labels, words) \
	{ prom, KIND_COUNTER, words, STATS_CELL(name), 1, 1, labels, NULL, NULL, 0 },
#define GAUGE(name, prom, words) { prom, KIND_GAUGE, words, STATS_CELL(name), 1, 1, "", NULL, NULL, 0 },
#define COUNTER_BY(name, prom, set, words) \
	{ prom, KIND_COUNTER, words, STATS_CELL(name), 1, SET_##set, NULL, label_##set, NULL, 0 },
#define HISTOGRAM(name, prom, words, buckets) \
	{ prom, KIND_HISTOGRAM, words, STATS_CELL(name), HISTOGRAM_CELLS(buckets), 1, "", NULL, bounds_##buckets, \
		BUCKETS_##buckets },
#define HISTOGRAM_BY(name, prom, set, words, buckets) \
	{ prom, KIND_HISTOGRAM, words, STATS_CELL(name), HISTOGRAM_CELLS(buckets), SET_##set, NULL, label_##set, \
		bounds_##buckets, BUCKETS_##buckets },
#include "stats/counters.def"
};

/* The same cells under another name, with other labels. */
static const struct alias {
	const char *prom;
	enum family_name of;
	const char *labels;
	label_fn *label;
} aliases[] = {
#define ALIAS(prom, name, set) { prom, FAMILY_##name, NULL, label_##set },
#define ALIAS_AS(prom, name, labels) { prom, FAMILY_##name, labels, NULL },
#include "stats/counters.def"
};

/* --- families -------------------------------------------------------------------------------------------------------- */

/* What printing needs: the region, its sums, the output, and a place to build labels in. */
struct printer {
	const struct stats *s;
	int64_t *sums;
	struct buf *out;
	const char *last_family; /* HELP and TYPE are printed when the name changes */
	struct buf labels;       /* of all series of a family, one behind the other */
};

static void
put_head(struct printer *p, const char *prom, enum kind kind, const char *words)
{
	if (p->last_family != NULL && strcmp(p->last_family, prom) == 0)
		return;
	buf_printf(p->out, "# HELP %s %s\n# TYPE %s %s\n", prom, words, prom, kind_words[kind]);
	p->last_family = prom;
}

static void
put_sample(struct buf *out, const char *prom, const char *suffix, struct span labels, const char *extra)
{
	buf_puts(out, prom);
	buf_puts(out, suffix);
	if (labels.len != 0 || extra[0] != '\0') {
		buf_putc(out, '{');
		buf_putspan(out, labels);
		if (labels.len != 0 && extra[0] != '\0')
			buf_putc(out, ',');
		buf_puts(out, extra);
		buf_putc(out, '}');
	}
	buf_putc(out, ' ');
}

static void
put_int(struct buf *out, int64_t n)
{
	buf_printf(out, "%jd\n", (intmax_t)n);
}

static void
put_histogram(struct buf *out, const char *prom, const struct family *f, struct span labels, const int64_t *cells)
{
	int64_t total = 0;
	char le[40];
	size_t i;

	for (i = 0; i <= f->nbounds; i++) {
		total += cells[i];
		if (i < f->nbounds)
			snprintf(le, sizeof(le), "le=\"%g\"", f->bounds[i]);
		else
			snprintf(le, sizeof(le), "le=\"+Inf\"");
		put_sample(out, prom, "_bucket", labels, le);
		put_int(out, total);
	}
	put_sample(out, prom, "_sum", labels, "");
	buf_printf(out, "%.6f\n", (double)cells[f->nbounds + 1] / 1e6);
	put_sample(out, prom, "_count", labels, "");
	put_int(out, total);
}

static void
put_series(struct printer *p, const char *prom, const struct family *f, struct span labels, const int64_t *cells)
{
	if (f->kind == KIND_HISTOGRAM) {
		put_histogram(p->out, prom, f, labels, cells);
		return;
	}
	put_sample(p->out, prom, "", labels, "");
	put_int(p->out, cells[0]);
}

#define MOST_SERIES 512
_Static_assert(SET_OUTCOME <= MOST_SERIES && SET_ANSWER <= MOST_SERIES, "the table of labels below");
#define MOST_CELLS 32
_Static_assert(
    HISTOGRAM_CELLS(RUN) <= MOST_CELLS && HISTOGRAM_CELLS(HTTP) <= MOST_CELLS && HISTOGRAM_CELLS(BATCH) <= MOST_CELLS,
    "a series fits");

/* Collects the labels of all series of the set; those that do not exist are empty. */
static void
collect_labels(struct printer *p, const struct family *f, label_fn *label, struct span *texts)
{
	size_t ends[MOST_SERIES], i;

	buf_reset(&p->labels);
	for (i = 0; i < f->series; i++) {
		buf_putc(&p->labels, '\n'); /* ends the one before: no label text contains it */
		if (!label(p->s, i, &p->labels))
			while (p->labels.data[p->labels.len - 1] != '\n')
				p->labels.len--;
		ends[i] = p->labels.len;
	}
	for (i = 0; i < f->series; i++) {
		size_t begin = (i != 0 ? ends[i - 1] : 0) + 1;

		texts[i] = (struct span){ p->labels.data + begin, ends[i] - begin };
	}
}

static void
put_set(struct printer *p, const char *prom, const struct family *f, label_fn *label)
{
	struct span texts[MOST_SERIES];
	int64_t cells[MOST_CELLS];
	size_t i, j, c;

	collect_labels(p, f, label, texts);
	for (i = 0; i < f->series; i++) {
		if (texts[i].len == 0)
			continue;
		memset(cells, 0, sizeof(cells));
		for (j = i; j < f->series; j++) {
			if (!span_eq(texts[i], texts[j]))
				continue;
			for (c = 0; c < f->width; c++)
				cells[c] += p->sums[f->at + j * f->width + c];
			if (j != i)
				texts[j].len = 0; /* counted here */
		}
		put_series(p, prom, f, texts[i], cells);
	}
}

static void
put_family(struct printer *p, const char *prom, const struct family *f, const char *labels, label_fn *label)
{
	put_head(p, prom, f->kind, f->words);
	if (label != NULL)
		put_set(p, prom, f, label);
	else
		put_series(p, prom, f, span_of(labels), &p->sums[f->at]);
}

/* --- processes ------------------------------------------------------------------------------------------------------- */

static void
put_value(struct printer *p, const char *prom, enum kind kind, const char *words, double value)
{
	put_head(p, prom, kind, words);
	buf_printf(p->out, "%s %.17g\n", prom, value);
}

/* One line for each role and index: two generations may have the same ones for a moment. */
static void
put_up(struct printer *p, const struct stats_process *all, int n)
{
	int i, j;

	put_head(p, "taskq_process_up", KIND_GAUGE, "1 for each process that the supervisor has");
	for (i = 0; i < n; i++) {
		for (j = 0; j < i && (all[j].index != all[i].index || strcmp(all[j].role, all[i].role) != 0); j++)
			;
		if (j == i)
			buf_printf(p->out, "taskq_process_up{role=\"%s\",index=\"%d\"} 1\n", all[i].role, all[i].index);
	}
}

static void
put_processes(struct printer *p)
{
	struct stats_process all[STATS_SLOTS];
	struct proc_usage u;
	int n, i;
	double cpu = 0, resident = 0;

	(void)stats_supervisor(p->s, &all[0]);
	n = 1 + stats_processes(p->s, all + 1, STATS_SLOTS - 1);
	put_up(p, all, n);
	for (i = 0; i < n; i++)
		if (all[i].pid > 0 && proc_usage(all[i].pid, &u)) {
			cpu += (double)u.cpu / 1e6;
			resident += (double)u.resident;
		}
	put_value(p, "process_cpu_seconds_total", KIND_COUNTER,
	    "user and system time of all processes and of handlers that have ended", cpu);
	put_value(p, "process_resident_memory_bytes", KIND_GAUGE,
	    "resident memory of all processes; what they share counts for each", resident);
	put_value(p, "process_start_time_seconds", KIND_GAUGE, "start of the supervisor since the epoch",
	    (double)p->s->started_at / 1e6);
}

/* Only about oneself: others' tables are not everybody's to read. */
static void
put_descriptors(struct printer *p)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit lim;
	int n = 0;

	if (dir == NULL)
		return;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	put_value(p, "process_open_fds", KIND_GAUGE, "open descriptors of the process that answers",
	    n - 3); /* ".", "..", and dir */
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		put_value(p, "process_max_fds", KIND_GAUGE, "how many it may have", (double)lim.rlim_cur);
}

/* --- the page -------------------------------------------------------------------------------------------------------- */

static void
put_all(struct printer *p)
{
	size_t i;

	put_head(p, "taskq_build_info", KIND_GAUGE, "1, with the version");
	buf_puts(p->out, "taskq_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	for (i = 0; i < FAMILIES; i++)
		put_family(p, families[i].prom, &families[i], families[i].labels, families[i].label);
	for (i = 0; i < ARRAY_LEN(aliases); i++)
		put_family(p, aliases[i].prom, &families[aliases[i].of], aliases[i].labels, aliases[i].label);
	put_processes(p);
}

/* Moments become the seconds since. */
static void
put_ages(int64_t *sums)
{
	static const size_t at[] = {
#define GAUGE_OLDEST(name, prom, words) STATS_CELL(name),
#include "stats/counters.def"
	};
	int64_t now = clock_wall();

	for (size_t k = 0; k < ARRAY_LEN(at); k++)
		sums[at[k]] = sums[at[k]] == 0 || sums[at[k]] > now ? 0 : (now - sums[at[k]]) / CLOCK_SECOND;
}

static void
print_page(const struct stats *s, struct buf *out, bool mine)
{
	struct printer p = { .s = s, .out = out, .sums = mem_alloc(STATS_CELLS * sizeof(int64_t)) };

	stats_snapshot(s, p.sums);
	put_ages(p.sums);
	put_all(&p);
	if (mine)
		put_descriptors(&p);
	buf_free(&p.labels);
	mem_free(&p.sums);
}

void
stats_metrics(const struct stats *s, struct buf *out)
{
	print_page(s, out, false);
}

void
stats_metrics_mine(struct buf *out)
{
	if (stats_mine != NULL)
		print_page(stats_mine, out, true);
}
