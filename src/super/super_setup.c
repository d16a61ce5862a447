/* super_setup.c - everything before the first fork, and after the last child.
 *
 * Made once and inherited by every child: the run directory and its lock (super_dir.c), the listening sockets, the stats region, the
 * bells, the pipes.  A machine that is not right is one line on stderr and an exit.
 */
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "log/log.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "super/super_int.h"

#define SUPER_BACKLOG 4096

/* The files of a daemon that is no more; the last one is what others look for first. */
static void
super_setup_forget(const struct super *s, const char *dir)
{
	super_remove_file(dir, "address");
	super_remove_file(dir, "roles.json");
	super_remove_file(dir, "stats");
	pidfile_remove(s->pid_path);
}

void
super_fatal(struct super *s, int code, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (s->pid_fd >= 0)
		super_setup_forget(s, s->o->conf->run_dir);
	super_daemon_failed(s, code);
	log_fatal(code, "%s", buf_cstr(&text));
}

void
super_own(const struct super *s, const char *path)
{
	if (s->drops && lchown(path, s->uid, s->gid) != 0)
		log_warning("could not change the owner of a file", log_str("file", path), log_errno(errno));
}

/* The children open the log again as their user.  Its directory may be that user's: what is given away is the file that was looked at, and
 * only one without a second name. */
static void
super_log_own(const struct super *s, const struct conf *c)
{
	struct stat st;
	int fd;

	if (!s->drops || c->log.target[0] != '/')
		return;
	fd = open(c->log.target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid != s->uid &&
	    fchownat(fd, "", s->uid, s->gid, AT_EMPTY_PATH) != 0)
		log_warning("could not change the owner of a file", log_str("file", c->log.target), log_errno(errno));
	MUST(close(fd) == 0);
}

void
super_log_open(struct super *s, const struct conf *c)
{
	struct log_settings settings = { c->log.target, (enum log_level)c->log.level, (enum log_format)c->log.format };
	int err = log_open(&settings);

	if (err != 0)
		log_error(
		    "could not open the log, writing to the old one", log_str("file", c->log.target), log_errno(err));
	else
		super_log_own(s, c);
}

void
super_log_reopen(struct super *s)
{
	int err = log_reopen();

	if (err != 0)
		log_error("could not reopen the log, writing to the old one", log_errno(err));
	else
		super_log_own(s, s->serving->conf);
}

/* --- the steps ------------------------------------------------------------------------------------------------------ */

/* A process started without them would otherwise get a socket as its stderr. */
static void
super_setup_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		MUST(close(fd) == 0);
}

static void
super_setup_user(struct super *s)
{
	const char *user = s->o->conf->user;
	struct passwd *pw;

	if (geteuid() != 0)
		return;
	if (user[0] == '\0') {
		log_warning("all processes run as root, and so do handlers without a user: the option user is not set");
		return;
	}
	pw = getpwnam(user);
	if (pw == NULL)
		super_fatal(s, EX_NOUSER, "user \"%s\" is not known", user);
	s->drops = true;
	s->uid = pw->pw_uid;
	s->gid = pw->pw_gid;
}

/* From here on nothing but super_wait() hears signals. */
static void
super_setup_signals(struct super *s)
{
	static const int heard[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD };
	sigset_t set;

	proc_signals_reset();
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(heard); i++)
		sigaddset(&set, heard[i]);
	MUST(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signal_fd < 0)
		super_fatal(s, EX_OSERR, "could not make a signal descriptor: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
}

static void
super_setup_listeners(struct super *s)
{
	const struct conf_list *l = &s->o->conf->http.listen;
	struct buf names = { 0 };

	s->listeners = mem_zalloc(sizeof(*s->listeners) * (size_t)(l->n + 1));
	for (int i = 0; i < l->n; i++) {
		struct sock_addr a;
		char name[128];
		const char *wrong = sock_parse(l->items[i], &a);

		if (wrong != NULL)
			super_fatal(s, EX_CONFIG, "could not listen on \"%s\": %s", l->items[i], wrong);
		s->listeners[i] = sock_listen(&a, SUPER_BACKLOG);
		if (s->listeners[i] < 0)
			super_fatal(s, EX_UNAVAILABLE, "could not listen on \"%s\": %s", l->items[i], strerror(errno));
		s->nlisteners++;
		sock_name(s->listeners[i], name, sizeof(name));
		buf_printf(&names, "%s\n", name);
		log_notice("listening", log_str("address", name));
	}
	if (!super_write_file(s->o->conf->run_dir, "address", &names))
		super_fatal(
		    s, EX_CANTCREAT, "could not write \"%s/address\": %s", s->o->conf->run_dir, strerror(errno));
	buf_free(&names);
}

static void
super_setup_routes(struct super *s)
{
	for (int i = 0; s->o->routes != NULL && s->o->routes[i] != NULL; i++) {
		const char *path = strchr(s->o->routes[i], ' ');
		char method[16];

		ASSERT(path != NULL && (size_t)(path - s->o->routes[i]) < sizeof(method));
		snprintf(method, sizeof(method), "%.*s", (int)(path - s->o->routes[i]), s->o->routes[i]);
		stats_route_name(s->stats, i, method, path + 1);
	}
}

static void
super_setup_shared(struct super *s)
{
	struct buf path = { 0 };

	buf_printf(&path, "%s/stats", s->o->conf->run_dir);
	s->stats = stats_create(buf_cstr(&path));
	if (s->stats == NULL)
		super_fatal(s, EX_CANTCREAT, "could not make \"%s\": %s", buf_cstr(&path), strerror(errno));
	buf_free(&path);
	stats_attach(s->stats, 0);
	super_setup_routes(s);
	s->wake = wake_new();
	if (s->wake == NULL)
		super_fatal(s, EX_OSERR, "could not make the bells of the processes: %s", strerror(errno));
	s->ration = ration_new();
	s->turn = turn_new();
	s->seats = seats_new();
	s->guard = guard_new();
	s->marks = marks_new();
	if (s->o->conf->keys.recent > 0)
		s->recent = recent_new(s->o->conf->keys.recent);
	if (s->ration == NULL || s->turn == NULL || s->seats == NULL || s->guard == NULL || s->marks == NULL ||
	    (s->o->conf->keys.recent > 0 && s->recent == NULL))
		super_fatal(s, EX_OSERR, "could not share memory between the processes: %s", strerror(errno));
	if (pipe2(s->gone_pipe, O_NONBLOCK | O_CLOEXEC) != 0 || pipe2(s->ready_pipe, O_NONBLOCK | O_CLOEXEC) != 0)
		super_fatal(s, EX_OSERR, "could not make a pipe: %s", strerror(errno));
}

/* The lock is ours: sockets that are there belong to nobody. */
static void
super_setup_generation(struct super *s)
{
	struct buf pattern = { 0 };
	glob_t old = { 0 };
	char text[256];

	buf_printf(&pattern, "%s/launch.*.sock", s->o->conf->run_dir);
	if (glob(buf_cstr(&pattern), 0, NULL, &old) == 0)
		for (size_t i = 0; i < old.gl_pathc; i++)
			(void)unlink(old.gl_pathv[i]);
	globfree(&old);
	buf_free(&pattern);
	s->serving = super_generation_new(s, s->o->conf, text, sizeof(text));
	if (s->serving == NULL)
		super_fatal(s, EX_CANTCREAT, "%s", text);
}

void
super_setup(struct super *s)
{
	list_init(&s->generations);
	list_init(&s->procs);
	s->pid_fd = s->up_fd = -1;
	s->pid = getpid();
	if (s->o->conf_path != NULL) {
		s->conf_path = realpath(s->o->conf_path, NULL);
		if (s->conf_path == NULL)
			s->conf_path = mem_strdup(s->o->conf_path);
	}
	super_setup_fds();
	proc_raise_files();
	if (s->o->daemonize) {
		super_daemon_begin(s);
		s->pid = getpid();
		s->up_until = clock_now() + SUPER_UP_PATIENCE;
	}
	log_set_role("supervisor", -1);
	proc_hide();
	super_setup_user(s);
	super_setup_dir(s);
	super_setup_spool(s);
	super_setup_signals(s);
	super_log_own(s, s->o->conf);
	super_setup_listeners(s);
	super_setup_shared(s);
	proc_become_subreaper();
	proc_children(s->pid, &s->forgiven);
	s->boot = id_random();
	s->boot_at = clock_now();
	super_setup_generation(s);
	s->watchdog_every = notify_watchdog() / 2;
}

void
super_cleanup(struct super *s)
{
	const char *dir = s->serving->conf->run_dir;
	struct list *at, *next;

	super_setup_forget(s, dir);
	LIST_FOREACH_SAFE (at, next, &s->generations)
		(void)unlink(container_of(at, struct super_generation, node)->launch_path);
}
