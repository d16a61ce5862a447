/* replay.c - runs a fuzz target over its stored corpus, each file whole and cut short at every length.
 *
 * The corpus is t/fuzz/corpus/CORPUS, a name the build gives.  A broken promise aborts, and prove sees it.
 */
#include <dirent.h>
#include <errno.h>

#include "base/buf.h"
#include "t/fuzz/fuzz.h"
#include "t/unit/tap.h"

#define CUT_MAX 4096 /* bytes of a file that is also tried in parts */

static bool
read_whole(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "rb");
	char chunk[4096];
	size_t n;

	if (f == NULL)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(b, chunk, n);
	return fclose(f) == 0;
}

/* On memory of exactly that size, so that a sanitizer sees a read past the end. */
static void
run(const char *bytes, size_t len)
{
	uint8_t *exact = mem_alloc(len);

	if (len > 0)
		memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	mem_free(&exact);
}

static void
replay(const char *dir, const char *name)
{
	struct buf b = { 0 };
	char path[4096 + 1 + 256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!ok(read_whole(path, &b), "%s is read", name))
		return;
	run(b.data, b.len);
	for (size_t len = 0; b.len <= CUT_MAX && len < b.len; len++)
		run(b.data, len);
	buf_free(&b);
}

int
main(void)
{
	const char *top = getenv("TASKQ_SRCDIR");
	char path[4096];
	DIR *dir;
	int files = 0;

	snprintf(path, sizeof(path), "%s/t/fuzz/corpus/%s", top != NULL ? top : ".", CORPUS);
	dir = opendir(path);
	if (!ok(dir != NULL, "corpus %s", path)) {
		diag(strerror(errno));
		return done();
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.') {
			replay(path, e->d_name);
			files++;
		}
	closedir(dir);
	ok(files > 0, "%d files", files);
	return done();
}
