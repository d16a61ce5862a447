/* fake_launcher.h - a launcher of a few lines for tests of those who talk to one: it runs commands[handler] for START, signals their
 * group for KILL and says EXITED.  A process of its own, so that nothing depends on turns. */
#ifndef T_UNIT_FAKE_LAUNCHER_H
#define T_UNIT_FAKE_LAUNCHER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/launch.h"
#include "sys/sys.h"

static char fake_launcher_path[108];
static const char *const *fake_launcher_commands; /* of the shell */

static struct {
	pid_t pid;
	uint64_t token;
} fake_runs[256];

static inline void
fake_start(int line, const struct launch_msg *m, const int fds[3])
{
	struct launch_msg answer = { .verb = LAUNCH_STARTED, .token = m->token };
	const char *command = fake_launcher_commands[m->handler];
	pid_t pid;

	if (command[0] == '!') {
		answer.verb = LAUNCH_REFUSED;
		answer.value = ENOENT;
		snprintf(answer.text, sizeof(answer.text), "could not execute \"%s\"", command + 1);
	} else if ((pid = fork()) == 0) {
		sigset_t none;

		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		for (int i = 0; i < 3; i++)
			dup2(fds[i], i);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	} else {
		setpgid(pid, pid); /* the child does it too: whoever is first */
		for (size_t i = 0; i < ARRAY_LEN(fake_runs); i++)
			if (fake_runs[i].pid == 0) {
				fake_runs[i].pid = pid;
				fake_runs[i].token = m->token;
				break;
			}
		answer.pid = pid;
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	MUST(sock_send_fds(line, &answer, sizeof(answer), NULL, 0));
}

static inline void
fake_reap(int line)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < ARRAY_LEN(fake_runs); i++)
			if (fake_runs[i].pid == pid) {
				struct launch_msg m = {
					.verb = LAUNCH_EXITED, .token = fake_runs[i].token, .value = status
				};

				fake_runs[i].pid = 0;
				if (!sock_send_fds(line, &m, sizeof(m), NULL, 0))
					return;
			}
}

static inline void
fake_kill_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(fake_runs); i++)
		if (fake_runs[i].pid != 0)
			kill(-fake_runs[i].pid, SIGKILL);
}

/* One line after the other, until it ends. */
static inline void
fake_line(int line, int signals)
{
	struct pollfd p[2] = { { line, POLLIN, 0 }, { signals, POLLIN, 0 } };
	struct signalfd_siginfo info;
	struct launch_msg m;

	for (;;) {
		int fds[4], nfds = 4;

		poll(p, 2, -1);
		while (read(signals, &info, sizeof(info)) > 0)
			;
		fake_reap(line);
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		ssize_t n = sock_recv_fds(line, &m, sizeof(m), fds, &nfds);

		if (n <= 0 && errno != EAGAIN)
			break;
		if (n <= 0)
			continue;
		if (m.verb == LAUNCH_START)
			fake_start(line, &m, fds);
		for (size_t i = 0; m.verb == LAUNCH_KILL && i < ARRAY_LEN(fake_runs); i++)
			if (fake_runs[i].pid != 0 && fake_runs[i].token == m.token)
				kill(-fake_runs[i].pid, m.value);
	}
	fake_kill_all();
	close(line);
}

/* Returns its pid; it dies with us. */
static inline pid_t
fake_launcher(const char *const *commands)
{
	int listener, signals;
	sigset_t set;
	pid_t pid;

	snprintf(fake_launcher_path, sizeof(fake_launcher_path), "/tmp/taskq-fake-launcher.%d", (int)getpid());
	fake_launcher_commands = commands;
	listener = sock_seqpacket_listen(fake_launcher_path);
	MUST(listener >= 0);
	if ((pid = fork()) != 0) {
		close(listener);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	for (;;) {
		struct pollfd p = { listener, POLLIN, 0 };
		int line;

		poll(&p, 1, -1);
		line = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (line >= 0)
			fake_line(line, signals);
	}
}

#endif
