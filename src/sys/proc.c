/* proc.c - processes: titles, parents, users, ends.  Trees of processes are in proc_tree.c. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/proc.h"

#define FILES_MAX ((rlim_t)1 << 20)

extern char **environ;

/* The bytes of argv and environ as the kernel laid them out: one piece, strings in order. */
static struct {
	char *start;
	size_t size;
} title;

/* Replaces each string by a copy and returns the end of the piece that begins or continues at `end`. */
static char *
strings_move(char **strings, char *end)
{
	int i;

	for (i = 0; strings[i] != NULL; i++) {
		if (strings[i] == end)
			end += strlen(strings[i]) + 1;
		strings[i] = mem_strdup(strings[i]);
	}
	return end;
}

void
proc_title_init(int argc, char **argv)
{
	static char **env; /* setenv() may replace it without freeing it */
	size_t n = 0;
	char *end;

	if (argc < 1 || title.start != NULL)
		return;
	title.start = argv[0];
	end = strings_move(argv, argv[0]);
	while (environ != NULL && environ[n] != NULL)
		n++;
	env = mem_zalloc((n + 1) * sizeof(*env));
	if (n != 0)
		memcpy(env, environ, n * sizeof(*env));
	end = strings_move(env, end);
	environ = env;
	title.size = (size_t)(end - title.start);
}

void
proc_title_set(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (title.size == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(title.start, title.size, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	if ((size_t)n < title.size)
		memset(title.start + n, 0, title.size - (size_t)n);
}

bool
proc_parent_death(int sig, pid_t parent)
{
	MUST(prctl(PR_SET_PDEATHSIG, (unsigned long)sig) == 0);
	/* It may have died before the line above. */
	return getppid() == parent;
}

void
proc_become_subreaper(void)
{
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1UL) == 0);
}

bool
proc_drop_to(const char *user)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL) {
		if (errno == 0 || errno == ENOENT)
			errno = EINVAL; /* no such user; ENOENT would read as a missing file */
		return false;
	}
	if (geteuid() != 0) {
		errno = EPERM;
		return pw->pw_uid == geteuid();
	}
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return false;
	ASSERT(pw->pw_uid == 0 || setuid(0) != 0);
	return true;
}

void
proc_hide(void)
{
#ifndef __SANITIZE_ADDRESS__
	MUST(prctl(PR_SET_DUMPABLE, 0UL) == 0);
#endif
}

const char *
proc_signal_name(int sig)
{
	static char text[32];
	const char *word = sig > 0 ? sigabbrev_np(sig) : NULL;

	if (word != NULL)
		snprintf(text, sizeof(text), "SIG%s", word);
	else
		snprintf(text, sizeof(text), "signal %d", sig);
	return text;
}

void
proc_status_text(int wait_status, char *text, size_t size)
{
	if (WIFEXITED(wait_status))
		snprintf(text, size, "exit %d", WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status))
		snprintf(text, size, "killed by %s%s", proc_signal_name(WTERMSIG(wait_status)),
		    WCOREDUMP(wait_status) ? " (core dumped)" : "");
	else
		snprintf(text, size, "wait status 0x%x", (unsigned)wait_status);
}

void
proc_raise_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max < FILES_MAX ? lim.rlim_max : FILES_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
}

void
proc_signals_reset(void)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;
	int sig;

	/* SIGKILL, SIGSTOP and the two that libc keeps for itself refuse, and need nothing. */
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &act, NULL);
	sigemptyset(&none);
	MUST(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
}
