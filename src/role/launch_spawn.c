/* launch_spawn.c - starting a handler: all that can be prepared is prepared once, the rest happens between clone and execve.
 *
 * The child borrows our memory until it executes (CLONE_VM | CLONE_VFORK, its own stack): no page is copied, and when a step fails it
 * leaves errno and the step in the struct we share.  It calls nothing but thin system calls.  The order matters: the limits while
 * we may still set them, the user before the directory, the parent-death signal after the user (a change of uid clears
 * it), then a look whether the parent died meanwhile.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "role/launch_int.h"

#define LAUNCH_STACK (64 * 1024)
#define LAUNCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- ready to start ------------------------------------------------------------------------------------------------- */

static void
launch_env_set(struct launch_kind *k, int *n, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (int i = 1; i < *n; i++)
		if (strncmp(k->env[i], entry, name) == 0) {
			mem_free(&k->env[i]);
			k->env[i] = mem_strdup(entry);
			return;
		}
	k->env[(*n)++] = mem_strdup(entry);
}

static void
launch_env_setf(struct launch_kind *k, int *n, const char *name, const char *value)
{
	struct buf entry = { 0 };

	buf_printf(&entry, "%s=%s", name, value);
	launch_env_set(k, n, buf_cstr(&entry));
	buf_free(&entry);
}

/* A clean environment, then what the handler asks for. */
static void
launch_kind_env(struct launch_kind *k, const struct passwd *pw)
{
	const struct conf_list *more = &k->handler->environment;
	int n = 1;

	k->env = mem_zalloc(sizeof(*k->env) * (size_t)(more->n + 8));
	launch_env_set(k, &n, LAUNCH_PATH);
	launch_env_set(k, &n, "LANG=C.UTF-8");
	launch_env_setf(k, &n, "HOME", pw != NULL ? pw->pw_dir : "/");
	if (pw != NULL) {
		launch_env_setf(k, &n, "USER", pw->pw_name);
		launch_env_setf(k, &n, "LOGNAME", pw->pw_name);
	}
	for (int i = 0; i < more->n; i++)
		launch_env_set(k, &n, more->items[i]);
}

static void
launch_kind_refuse(struct launch_kind *k, int error, const char *fmt, const char *name)
{
	k->error = error;
	snprintf(k->what, sizeof(k->what), "%s \"%s\"", fmt, name);
}

static void
launch_kind_drop(struct launch_kind *k, const struct passwd *pw)
{
	int room = 32;

	k->drops = true;
	k->uid = pw->pw_uid;
	k->gid = pw->pw_gid;
	do {
		room *= 2;
		k->groups = mem_resize(k->groups, sizeof(gid_t) * (size_t)room);
		k->ngroups = room;
	} while (getgrouplist(pw->pw_name, pw->pw_gid, k->groups, &k->ngroups) < 0 && room < NGROUPS_MAX);
}

/* The user of the handler, else of the configuration when we are root, else ours. */
static void
launch_kind_init(struct launch_kind *k, const struct conf_handler *h, const struct conf *c)
{
	bool root = geteuid() == 0;
	const char *user = h->user[0] != '\0' || !root ? h->user : c->user;
	struct passwd *pw = user[0] != '\0' ? getpwnam(user) : getpwuid(geteuid());

	k->handler = h;
	k->argv = (char *const *)(uintptr_t)h->command.items;
	if ((h->kind != CONF_HANDLER_EXEC && h->kind != CONF_HANDLER_POOL) || h->command.n == 0)
		launch_kind_refuse(k, EINVAL, "no command in handler", h->title);
	else if (pw == NULL && user[0] != '\0')
		launch_kind_refuse(k, EINVAL, "no such user", user);
	else if (!root && pw != NULL && pw->pw_uid != geteuid())
		launch_kind_refuse(k, EPERM, "could not become user", user);
	if (k->error != 0)
		return;
	launch_kind_env(k, pw);
	if (root && pw != NULL)
		launch_kind_drop(k, pw);
}

struct launch_kind *
launch_kinds_new(const struct conf *c)
{
	struct launch_kind *kinds = mem_zalloc(sizeof(*kinds) * (size_t)(c->nhandlers + 1));

	for (int i = 0; i < c->nhandlers; i++)
		launch_kind_init(&kinds[i], &c->handlers[i], c);
	return kinds;
}

void
launch_kinds_free(struct launch_kind **kinds, int n)
{
	for (int i = 0; i < n; i++) {
		struct launch_kind *k = &(*kinds)[i];

		for (int j = 1; k->env != NULL && k->env[j] != NULL; j++)
			mem_free(&k->env[j]);
		mem_free(&k->env);
		mem_free(&k->groups);
	}
	mem_free(kinds);
}

/* --- in the child --------------------------------------------------------------------------------------------------- */

struct launch_birth {
	const struct launch_kind *kind;
	const int *fds;
	pid_t launcher;
	int error; /* by the child: errno of the step that failed */
	const char *step;
};

/* Never above what we are allowed ourselves. */
static bool
launch_limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	if (getrlimit(resource, &now) != 0)
		return false;
	if (geteuid() != 0 && hard > now.rlim_max)
		hard = now.rlim_max;
	now.rlim_max = hard;
	now.rlim_cur = soft < hard ? soft : hard;
	return setrlimit(resource, &now) == 0;
}

static bool
launch_limits(const struct conf_handler *h)
{
	rlim_t memory = (rlim_t)h->limit_memory, size = (rlim_t)h->limit_file_size, procs = (rlim_t)h->limit_processes;
	rlim_t cpu = (rlim_t)((h->limit_cpu + CLOCK_SECOND - 1) / CLOCK_SECOND);

	return launch_limit(RLIMIT_CORE, 0, 0) &&
	       launch_limit(RLIMIT_NOFILE, (rlim_t)h->limit_files, (rlim_t)h->limit_files) &&
	       (memory == 0 || launch_limit(RLIMIT_AS, memory, memory)) &&
	       (cpu == 0 || launch_limit(RLIMIT_CPU, cpu, cpu + 1)) &&
	       (size == 0 || launch_limit(RLIMIT_FSIZE, size, size)) &&
	       (procs == 0 || launch_limit(RLIMIT_NPROC, procs, procs));
}

static bool
launch_descriptors(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return false;
	/* All of ours are close-on-exec; this is for what a library may have opened without. */
	return close_range(3, ~0U, 0) == 0 || errno == ENOSYS;
}

static bool
launch_user(const struct launch_kind *k)
{
	return !k->drops || (setgroups((size_t)k->ngroups, k->groups) == 0 && setresgid(k->gid, k->gid, k->gid) == 0 &&
				setresuid(k->uid, k->uid, k->uid) == 0);
}

static const char *
launch_become(struct launch_birth *b)
{
	const struct launch_kind *k = b->kind;

	if (setsid() < 0)
		return "could not make a session for";
	if (!launch_limits(k->handler))
		return "could not set the limits of";
	if (!launch_descriptors(b->fds))
		return "could not set the descriptors of";
	if (!launch_user(k))
		return "could not change the user of";
	if (chdir(k->handler->directory) != 0)
		return "could not enter the directory of";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
		return "could not bind";
	if (getppid() != b->launcher)
		_exit(127);
	proc_signals_reset();
	execve(k->argv[0], k->argv, k->env);
	return "could not execute";
}

static int
launch_child(void *arg)
{
	struct launch_birth *b = arg;

	b->step = launch_become(b);
	b->error = errno;
	_exit(127);
}

/* --- in the launcher ------------------------------------------------------------------------------------------------ */

static char *
launch_stack(void)
{
	static char *base;

	if (base == NULL) {
		base = mmap(NULL, LAUNCH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		ASSERT(base != MAP_FAILED);
	}
	return base + LAUNCH_STACK;
}

/* No handler of ours may run in the child while it uses our memory, so all signals wait. */
static pid_t
launch_clone(struct launch_birth *b)
{
	sigset_t all, old;
	int err = failpoint("launch.spawn");
	pid_t pid = -1;

	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, &old) == 0);
	if (err == 0) {
		pid = clone(launch_child, launch_stack(), CLONE_VM | CLONE_VFORK | SIGCHLD, b);
		err = errno;
	}
	MUST(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	if (pid < 0) {
		b->step = "could not start a process for";
		b->error = err;
	}
	return pid;
}

pid_t
launch_spawn(const struct launch_kind *k, char mark[LAUNCH_MARK], const int fds[3], struct launch_msg *refused)
{
	struct launch_birth b = { .kind = k, .fds = fds, .launcher = getpid() };
	pid_t pid;

	if (k->error != 0) {
		refused->value = k->error;
		memcpy(refused->text, k->what, sizeof(refused->text));
		return 0;
	}
	k->env[0] = mark;
	pid = launch_clone(&b);
	if (b.error == 0)
		return pid;
	if (pid > 0)
		MUST(waitpid(pid, NULL, 0) == pid);
	refused->value = b.error;
	snprintf(refused->text, sizeof(refused->text), "%s \"%s\"", b.step, k->argv[0]);
	return 0;
}
