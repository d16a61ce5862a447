/* super_run_test.c - a whole supervisor with roles that sleep, crash, ignore SIGTERM or never get ready.
 *
 * The supervisor runs in a child of this program; what its roles do is said in a page that all share, and what they did is read
 * there and in roles.json.  Each wait is for a condition, with a deadline.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "log/log.h"
#include "super/super.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "tap.h"

#define PATIENCE (15 * CLOCK_SECOND)

enum { ACCEPTOR, WORKER, KEEPER, LAUNCHER, ROLES };
enum mode { SERVE, CRASH, STUBBORN, SLOW, DEAF };

/* What roles shall do and what they did. */
static struct page {
	_Atomic int mode[ROLES];
	_Atomic int starts[ROLES];
	_Atomic int told[ROLES]; /* position in the order of the first SIGTERMs */
	_Atomic int order;
	_Atomic int listeners[ROLES];
	_Atomic int reopened;
	_Atomic int stray; /* pid of a process that the launcher left behind */
} * page;

static char dir[] = "/tmp/taskq-super-XXXXXX";
static pid_t supervisor;

/* --- the roles ------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t terms, hups;

static void
on_signal(int sig)
{
	if (sig == SIGTERM)
		terms++;
	else
		hups++;
}

static void
role_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/* Leaves a process behind that is neither in its group nor waits for it. */
static void
launcher_stray(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		alarm(60);
		for (;;)
			pause();
	}
	page->stray = pid;
}

static int
role_leave(int role)
{
	int wanted = page->mode[role] == SLOW ? 2 : page->mode[role] == STUBBORN ? 1000 : 1;
	sigset_t none;

	sigemptyset(&none);
	while (terms < wanted) {
		if (hups > 0) {
			page->reopened++;
			hups = 0;
		}
		if (terms > 0 && page->told[role] == 0)
			page->told[role] = ++page->order;
		sigsuspend(&none);
	}
	if (page->told[role] == 0)
		page->told[role] = ++page->order;
	return terms > 1 ? 75 : 0;
}

static int
role_play(const struct super_child *me, int role)
{
	page->starts[role]++;
	if (page->mode[role] == CRASH)
		return 3;
	alarm(120);
	role_signals();
	stats_attach(me->stats, me->slot);
	stats_add(S_CLAIMS, 1);
	page->listeners[role] = me->nlisteners;
	if (!proc_parent_death(SIGTERM, me->supervisor))
		return 75;
	if (role == LAUNCHER)
		launcher_stray();
	if (page->mode[role] != DEAF)
		super_child_ready(me);
	return role_leave(role);
}

static int
acceptor(const struct super_child *me)
{
	return role_play(me, ACCEPTOR);
}

static int
worker(const struct super_child *me)
{
	return role_play(me, WORKER);
}

static int
keeper(const struct super_child *me)
{
	return role_play(me, KEEPER);
}

static int
launcher(const struct super_child *me)
{
	return role_play(me, LAUNCHER);
}

static int
count_acceptors(const struct conf *c)
{
	return c->acceptors;
}

static int
count_workers(const struct conf *c)
{
	return c->workers;
}

static int
count_one(const struct conf *c)
{
	return c != NULL;
}

static const struct super_role roles[ROLES] = {
	[ACCEPTOR] = { "acceptor", acceptor, count_acceptors, 1, false, true },
	[WORKER] = { "worker", worker, count_workers, 1, false, false },
	[KEEPER] = { "keeper", keeper, count_one, 2, false, false },
	[LAUNCHER] = { "launcher", launcher, count_one, 3, true, false },
};

/* --- the supervisor as seen from outside ----------------------------------------------------------------------------- */

static const char *
path_of(const char *name)
{
	static char path[4][256];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static char *
slurp(const char *name)
{
	static char text[65536];
	FILE *f = fopen(path_of(name), "re");
	size_t n = 0;

	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

static void
write_conf_at(const char *listen_at, int workers, const char *more)
{
	FILE *f = fopen(path_of("conf"), "we");

	fprintf(f, "run_dir = \"%s/run\"\nacceptors = 1\nworkers = %d\ndrain_timeout = 200ms\nkill_grace = 10ms\n", dir,
	    workers);
	fprintf(f, "log {\n target = \"%s/log\"\n}\nhttp {\n listen = {\"%s\"}\n}\n%s", dir, listen_at, more);
	fclose(f);
}

static void
write_conf(int workers, const char *more)
{
	write_conf_at("127.0.0.1:0", workers, more);
}

static int
supervise(bool daemonize)
{
	static const char *const routes[] = { "GET /healthz", "POST /v1/tasks", NULL };
	struct buf errors = { 0 };
	struct super_options o = {
		.conf_path = path_of("conf"), .roles = roles, .nroles = ROLES, .daemonize = daemonize, .routes = routes
	};
	struct log_settings log = { path_of("log"), LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT };

	o.conf = conf_load(o.conf_path, &errors);
	if (o.conf == NULL || log_open(&log) != 0)
		return 78;
	return super_run(&o);
}

static pid_t
supervisor_fork(bool daemonize)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(supervise(daemonize));
	return pid;
}

static void
play(int role, enum mode mode)
{
	page->mode[role] = (int)mode;
}

static void
play_anew(void)
{
	memset(page, 0, sizeof(*page));
}

/* One look at roles.json. */
struct seen {
	char state[16];
	int generation;
	int count;
	int ready;
	pid_t pid[ROLES]; /* the last of each role */
	int of[ROLES];
	int supervisor;
};

static bool
look(struct seen *s)
{
	json_t *top = json_load_file(path_of("run/roles.json"), 0, NULL), *child;
	size_t i;

	memset(s, 0, sizeof(*s));
	if (top == NULL)
		return false;
	snprintf(s->state, sizeof(s->state), "%s", json_string_value(json_object_get(top, "state")));
	s->generation = (int)json_integer_value(json_object_get(top, "generation"));
	s->supervisor = (int)json_integer_value(json_object_get(json_object_get(top, "supervisor"), "pid"));
	json_array_foreach(json_object_get(top, "children"), i, child)
	{
		const char *name = json_string_value(json_object_get(child, "role"));
		pid_t pid = (pid_t)json_integer_value(json_object_get(child, "pid"));

		s->count++;
		s->ready += json_is_true(json_object_get(child, "ready"));
		for (int r = 0; r < ROLES; r++)
			if (strcmp(name, roles[r].name) == 0) {
				s->pid[r] = pid;
				s->of[r]++;
			}
		if ((uint64_t)json_integer_value(json_object_get(child, "start")) != proc_start_time(pid))
			s->count += 1000;
	}
	json_decref(top);
	return true;
}

/* Until so many children of the generation are there, all ready. */
static bool
settle(struct seen *s, int generation, int count)
{
	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 5))
		if (look(s) && s->generation == generation && s->count == count && s->ready == count &&
		    strcmp(s->state, "run") == 0)
			return true;
	printf("# state %s generation %d count %d ready %d\n", s->state, s->generation, s->count, s->ready);
	return false;
}

static bool
log_has(const char *text)
{
	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 5))
		if (strstr(slurp("log"), text) != NULL)
			return true;
	return false;
}

static int
wait_code(pid_t pid)
{
	int status = -1;

	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 5))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	kill(pid, SIGKILL);
	return -1;
}

static bool
dies(pid_t pid)
{
	for (int64_t until = clock_now() + PATIENCE; clock_now() < until; poll(NULL, 0, 5)) {
		(void)waitpid(pid, NULL, WNOHANG);
		if (kill(pid, 0) != 0)
			return true;
	}
	return false;
}

static int
start_with(struct seen *s, int workers, const char *more)
{
	write_conf(workers, more);
	(void)unlink(path_of("log"));
	supervisor = supervisor_fork(false);
	return settle(s, 1, workers + 3);
}

static int
start(struct seen *s, int workers)
{
	return start_with(s, workers, "");
}

static bool
exists(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

/* --- the tests ------------------------------------------------------------------------------------------------------- */

static bool
connects(const char *address)
{
	struct sock_addr a;
	char text[128];
	int fd;
	bool yes;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(address, "\n"), address);
	if (sock_parse(text, &a) != NULL)
		return false;
	fd = socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	yes = connect(fd, (struct sockaddr *)&a.ss, a.len) == 0;
	close(fd);
	return yes;
}

static void
test_start(void)
{
	struct seen s;
	char pid[32], address[128];
	struct stats *stats;

	ok(start(&s, 2), "starts");
	is_int(s.of[WORKER], 2, "as many workers as wanted");
	is_int(s.supervisor, supervisor, "roles.json names the supervisor");
	snprintf(pid, sizeof(pid), "%d\n", (int)supervisor);
	is_str(slurp("run/taskqd.pid"), pid, "so does the pid file");
	snprintf(address, sizeof(address), "%s", slurp("run/address"));
	ok(connects(address), "something listens at the address in the file");
	is_int(page->listeners[ACCEPTOR], 1, "acceptors listen");
	is_int(page->listeners[WORKER], 0, "others do not");
	ok(exists("run/launch.1.sock"), "the launcher's socket is there");
	is_int(wait_code(supervisor_fork(false)), 69, "a second supervisor is refused at once");
	stats = stats_map(path_of("run/stats"));
	ok(stats != NULL && stats_sum(stats, S_CLAIMS) == 5, "five children count");
	kill(s.pid[WORKER], SIGKILL);
	ok(dies(s.pid[WORKER]) && settle(&s, 1, 5), "a killed worker is replaced");
	is_int(stats_sum(stats, S_CLAIMS), 6, "what the dead one counted is kept");
	kill(s.pid[LAUNCHER], SIGKILL);
	ok(dies(page->stray), "what a dead launcher left behind is killed");
	ok(settle(&s, 1, 5), "and the launcher replaced");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
	ok(page->told[WORKER] < page->told[KEEPER] && page->told[KEEPER] < page->told[LAUNCHER] &&
		page->told[WORKER] > 0,
	    "acceptors and workers first, then the keeper, the launcher last");
	ok(!connects(address), "nobody listens any more");
	ok(!exists("run/taskqd.pid") && !exists("run/address") && !exists("run/roles.json") && !exists("run/stats") &&
		!exists("run/launch.1.sock"),
	    "and no file is left");
}

static void
test_throttle(void)
{
	struct seen s, later;
	int before, n;

	play_anew();
	ok(start(&s, 1), "starts");
	before = page->starts[WORKER];
	play(WORKER, CRASH);
	kill(s.pid[WORKER], SIGKILL);
	ok(log_has("delay=0.8"), "a worker that dies at once is started later each time");
	n = page->starts[WORKER] - before;
	ok(n >= 4 && n <= 6, "that was %d starts", n);
	look(&later);
	is_int(later.pid[ACCEPTOR], s.pid[ACCEPTOR], "the acceptor is not touched by it");
	play(WORKER, SERVE);
	ok(settle(&s, 1, 4), "and it comes back when it can");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
}

static void
test_reload(void)
{
	struct seen s, old;

	play_anew();
	ok(start(&old, 1), "starts");
	write_conf(2, "nonsense = 1\n");
	kill(supervisor, SIGHUP);
	ok(log_has("the old configuration stays"), "a bad file is refused");
	ok(strstr(slurp("log"), "nonsense") != NULL, "with the reason");
	ok(settle(&s, 1, 4) && s.pid[WORKER] == old.pid[WORKER], "nothing has changed");
	(void)unlink(path_of("conf"));
	kill(supervisor, SIGHUP);
	kill(supervisor, SIGUSR1);
	for (int64_t until = clock_now() + PATIENCE; page->reopened < 8 && clock_now() < until; poll(NULL, 0, 5))
		;
	ok(settle(&s, 1, 4) && s.pid[WORKER] == old.pid[WORKER], "nor does it with a missing file");
	write_conf(2, "");
	for (int i = 0; i < 20; i++)
		kill(supervisor, SIGHUP);
	ok(settle(&s, 2, 5), "a good one makes a new generation, with two workers");
	ok(s.pid[ACCEPTOR] != old.pid[ACCEPTOR] && s.pid[KEEPER] != old.pid[KEEPER], "of new processes");
	ok(kill(old.pid[WORKER], 0) != 0 && kill(old.pid[LAUNCHER], 0) != 0, "the old ones are gone");
	ok(page->told[LAUNCHER] > page->told[WORKER], "their launcher last");
	ok(exists("run/launch.2.sock") && !exists("run/launch.1.sock"), "the sockets changed with them");
	rename(path_of("log"), path_of("log.old"));
	kill(supervisor, SIGUSR1);
	ok(log_has("log reopened"), "SIGUSR1 makes a new log");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
}

static void
test_reload_then_stop(void)
{
	struct seen s;

	play_anew();
	ok(start(&s, 1), "starts");
	play(WORKER, DEAF);
	kill(supervisor, SIGHUP);
	ok(log_has("to=reloading"), "a generation that is not ready does not serve yet");
	while (look(&s) && s.count < 8)
		poll(NULL, 0, 5);
	is_int(s.generation, 1, "the old one does");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "SIGTERM ends both");
}

/* Takes as long as a new generation may. */
static void
test_reload_undone(void)
{
	struct seen s, old;

	play_anew();
	ok(start(&old, 1), "starts");
	play(WORKER, DEAF);
	kill(supervisor, SIGHUP);
	for (int i = 0; i < 2 && !log_has("the old generation goes on"); i++)
		;
	ok(settle(&s, 1, 4), "a generation that does not come up in time is taken back");
	is_int(s.pid[WORKER], old.pid[WORKER], "the old one has served all the time");
	ok(!exists("run/launch.2.sock"), "nothing is left of the other");
	play(WORKER, SERVE);
	kill(supervisor, SIGHUP);
	ok(settle(&s, 3, 4), "the next may succeed");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
}

static void
test_stubborn(void)
{
	struct seen s;
	int64_t begun;

	play_anew();
	play(WORKER, STUBBORN);
	ok(start(&s, 2), "starts");
	begun = clock_now();
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 75, "workers that do not end make 75");
	ok(clock_now() - begun > 3 * CLOCK_SECOND, "not before the deadline");
	ok(strstr(slurp("log"), "count=") != NULL && strstr(slurp("log"), "worker 0, worker 1") != NULL,
	    "the log counts and names them");
	ok(kill(s.pid[WORKER], 0) != 0, "they were killed");
}

static void
test_second_term(void)
{
	struct seen s;
	int64_t begun;

	play_anew();
	play(WORKER, SLOW);
	ok(start_with(&s, 1, "drain_timeout = 60s\n"), "starts");
	begun = clock_now();
	kill(supervisor, SIGTERM);
	ok(log_has("to=draining"), "drains");
	kill(supervisor, SIGINT);
	is_int(wait_code(supervisor), 75, "a second signal: the worker leaves its work, so 75");
	ok(clock_now() - begun < 30 * CLOCK_SECOND, "long before the deadline");
}

static void
test_takeover(void)
{
	struct seen s;
	pid_t old;

	play_anew();
	play(WORKER, SLOW);
	ok(start(&s, 1), "starts");
	old = s.pid[WORKER];
	kill(page->stray, SIGKILL); /* forked, not executed, it would hold the lock too */
	kill(supervisor, SIGKILL);
	is_int(wait_code(supervisor), 1009, "the supervisor is killed");
	ok(dies(s.pid[ACCEPTOR]) && dies(s.pid[KEEPER]), "its children hear of it and end");
	supervisor = supervisor_fork(false);
	ok(log_has("waiting for the children of a dead supervisor"), "a new one waits for the last of them");
	is_int(kill(old, SIGTERM), 0, "which is still there");
	play(WORKER, SERVE);
	ok(settle(&s, 1, 4), "and then starts");
	ok(dies(old), "when it is gone");
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
}

static void
test_notify(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char text[512], all[4096] = "";
	struct seen s;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ssize_t n;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path_of("notify"));
	ok(bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0, "a service manager");
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	setenv("WATCHDOG_USEC", "200000", 1);
	play_anew();
	ok(start(&s, 1), "starts");
	poll(NULL, 0, 250);
	kill(supervisor, SIGTERM);
	is_int(wait_code(supervisor), 0, "drains with 0");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0 && strlen(all) + (size_t)n + 2 < sizeof(all)) {
		text[n] = '\0';
		strcat(strcat(all, text), "\n");
	}
	ok(strstr(all, "READY=1") != NULL && strstr(all, "WATCHDOG=1") != NULL && strstr(all, "STOPPING=1") != NULL,
	    "is told of start, life and end");
	close(fd);
}

static void
test_daemon(void)
{
	struct pollfd p = { .events = POLLIN };
	struct seen s;
	pid_t pid;
	int ours[2];

	play_anew();
	write_conf(1, "");
	ok(pipe(ours) == 0, "a pipe that is not close-on-exec");
	is_int(wait_code(supervisor_fork(true)), 0, "--daemon returns 0");
	p.fd = ours[0];
	close(ours[1]);
	ok(poll(&p, 1, 1000) == 1 && p.revents == POLLHUP, "the daemon does not hold it");
	close(ours[0]);
	ok(look(&s) && s.ready == 4, "when all are ready");
	pid = s.supervisor;
	ok(pid > 1 && getsid(pid) != getsid(0) && getsid(pid) != pid, "it has left the session and leads none");
	is_int(wait_code(supervisor_fork(true)), 69, "a second one returns 69");
	kill(pid, SIGTERM);
	ok(dies(pid), "and it ends by signal");
	ok(!exists("run/taskqd.pid"), "with its files");
	write_conf_at("unix:/nonexistent/socket", 1, "");
	is_int(wait_code(supervisor_fork(true)), 69, "one that cannot listen returns 69");
}

int
main(void)
{
	char cmd[64];

	alarm(300);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ok(page != MAP_FAILED && mkdtemp(dir) != NULL, "a place to work");
	proc_become_subreaper();
	test_start();
	test_throttle();
	test_reload();
	test_reload_then_stop();
	if (getenv("TASKQ_FULL") != NULL)
		test_reload_undone();
	test_stubborn();
	test_second_term();
	test_takeover();
	test_notify();
	test_daemon();
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ok(system(cmd) == 0, "cleaned up");
	return done();
}
