/* super_dir.c - the run directory: whose it is, its lock, its small files; and the directory of the spool.
 *
 *	taskqd.pid       two locks: flock() is inherited by every child, so that a new start cannot meet old workers; the record lock
 *	                 (fcntl) is ours alone and tells a living supervisor from the children of a dead one
 *	address          a line per listener with its real port
 *	roles.json       the child table (super_child.c)
 *	stats            shared counters
 *	launch.N.sock    the launcher of generation N (super_reload.c)
 *
 * The directory belongs to whoever starts the daemon, not to conf->user: root must not write where another user can place links.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"
#include "sys/proc.h"
#include "sys/sys.h"

#include "super/super_int.h"

#define SUPER_LOCK_LOOK (50 * CLOCK_MS) /* between two tries for a lock that is held */

bool
super_write_file(const char *dir, const char *name, const struct buf *text)
{
	struct buf fresh = { 0 }, path = { 0 };
	bool ok = false;
	int fd;

	buf_printf(&fresh, "%s/.%s.new", dir, name);
	buf_printf(&path, "%s/%s", dir, name);
	(void)unlink(buf_cstr(&fresh));
	fd = open(buf_cstr(&fresh), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd >= 0) {
		ok = write(fd, text->data, text->len) == (ssize_t)text->len;
		ok = close(fd) == 0 && ok;
		ok = ok && rename(buf_cstr(&fresh), buf_cstr(&path)) == 0;
	}
	buf_free(&fresh);
	buf_free(&path);
	return ok;
}

void
super_remove_file(const char *dir, const char *name)
{
	struct buf path = { 0 };

	buf_printf(&path, "%s/%s", dir, name);
	(void)unlink(buf_cstr(&path));
	buf_free(&path);
}

/* --- the lock ------------------------------------------------------------------------------------------------------- */

/* A living supervisor holds the record lock of the file; 0: none does. */
static pid_t
super_lock_owner(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool ok;

	if (fd < 0)
		return 0;
	ok = fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
	MUST(close(fd) == 0);
	return ok ? l.l_pid : 0;
}

static void
super_lock_wait(struct super *s, pid_t holder, int64_t *until)
{
	const struct timespec look = { 0, SUPER_LOCK_LOOK * 1000 };
	const struct conf *c = s->o->conf;
	pid_t owner = super_lock_owner(s->pid_path);

	if (owner != 0)
		super_fatal(
		    s, EX_UNAVAILABLE, "taskqd is already running as process %d (\"%s\")", (int)owner, s->pid_path);
	if (*until == 0) {
		int64_t patience = c->drain_timeout + c->kill_grace + SUPER_TAKEOVER_EXTRA;

		*until = clock_now() + patience;
		log_warning("waiting for the children of a dead supervisor to end", log_int("supervisor", holder),
		    log_seconds("at_most", patience), log_str("file", s->pid_path));
	} else if (clock_now() >= *until) {
		super_fatal(s, EX_UNAVAILABLE, "children of the dead supervisor %d still hold \"%s\"", (int)holder,
		    s->pid_path);
	}
	(void)nanosleep(&look, NULL);
}

static void
super_setup_lock(struct super *s)
{
	const struct flock mine = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int64_t until = 0;
	pid_t holder = 0;

	if (snprintf(s->pid_path, sizeof(s->pid_path), "%s/taskqd.pid", s->o->conf->run_dir) >=
	    (int)sizeof(s->pid_path))
		super_fatal(s, EX_CONFIG, "the name of run_dir is too long");
	while ((s->pid_fd = pidfile_lock(s->pid_path, &holder)) < 0) {
		if (errno != EWOULDBLOCK)
			super_fatal(s, EX_CANTCREAT, "could not lock \"%s\": %s", s->pid_path, strerror(errno));
		super_lock_wait(s, holder, &until);
	}
	if (fcntl(s->pid_fd, F_SETLK, &mine) != 0)
		super_fatal(s, EX_OSERR, "could not lock \"%s\": %s", s->pid_path, strerror(errno));
	pidfile_write(s->pid_fd, s->pid);
}

/* --- the spool -------------------------------------------------------------------------------------------------------- */

/* The one above it too, for a machine that has not seen us. */
static bool
make_spool(const char *dir)
{
	struct buf above = { 0 };
	const char *slash = strrchr(dir, '/');

	if (mkdir(dir, 0700) == 0)
		return true;
	if (errno == ENOENT && slash != dir) {
		buf_put(&above, dir, (size_t)(slash - dir));
		if (mkdir(buf_cstr(&above), 0755) == 0)
			MUST(chmod(buf_cstr(&above), 0755) == 0);
		buf_free(&above);
		return mkdir(dir, 0700) == 0;
	}
	return false;
}

/* It belongs to whoever the workers are.  Without it outcomes are in memory only while postgres is away, which is no reason not to start. */
void
super_setup_spool(struct super *s)
{
	const struct conf *c = s->o->conf;
	uid_t owner = s->drops ? s->uid : geteuid();
	struct stat st;

	if (c->work.spool_max == 0)
		return;
	if (make_spool(c->work.spool_dir)) {
		if (s->drops && lchown(c->work.spool_dir, s->uid, s->gid) != 0)
			log_warning(
			    "could not give spool_dir away", log_str("directory", c->work.spool_dir), log_errno(errno));
		return;
	}
	if (errno != EEXIST)
		log_warning("could not make spool_dir: outcomes are in memory only while postgres is away",
		    log_str("directory", c->work.spool_dir), log_errno(errno));
	else if (lstat(c->work.spool_dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != owner)
		log_warning("spool_dir is not a directory of the user of the workers: outcomes are in memory only "
			    "while postgres is away",
		    log_str("directory", c->work.spool_dir));
}

/* --- the directory --------------------------------------------------------------------------------------------------- */

/* Nobody else may place or replace files where we write: not the owner, not a group, not everybody, not through a link. */
static void
super_check_dir(struct super *s, const char *dir)
{
	uid_t me = geteuid();
	struct stat st;

	if (lstat(dir, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != me && st.st_uid != 0)
		super_fatal(s, EX_NOPERM, "run_dir \"%s\" is a link made by user %d, expected a directory", dir,
		    (int)st.st_uid);
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
		super_fatal(s, EX_CANTCREAT, "run_dir \"%s\" is not a directory", dir);
	if (st.st_uid != me)
		super_fatal(s, EX_NOPERM, "run_dir \"%s\" belongs to user %d, expected user %d, who starts taskqd", dir,
		    (int)st.st_uid, (int)me);
	if ((st.st_mode & S_IWOTH) != 0 || ((st.st_mode & S_IWGRP) != 0 && st.st_gid != getegid()))
		super_fatal(s, EX_NOPERM, "others may write in run_dir \"%s\" (mode %04o), expected 0755", dir,
		    (unsigned)(st.st_mode & 07777));
}

/* Workers reach the launcher by a path below it. */
static bool
super_may_enter(const char *user, const char *dir)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return true; /* what a worker then cannot do, it says */
	if (pid == 0)
		_exit(!proc_drop_to(user) || access(dir, X_OK) != 0);
	MUST(waitpid(pid, &status, 0) == pid);
	return status == 0;
}

void
super_setup_dir(struct super *s)
{
	const char *dir = s->o->conf->run_dir;

	if (mkdir(dir, 0755) == 0)
		MUST(chmod(dir, 0755) == 0); /* whatever the umask */
	else if (errno != EEXIST)
		super_fatal(s, EX_CANTCREAT, "could not make run_dir \"%s\": %s", dir, strerror(errno));
	super_check_dir(s, dir);
	if (s->drops && !super_may_enter(s->o->conf->user, dir))
		super_fatal(
		    s, EX_NOPERM, "user \"%s\" may not enter run_dir \"%s\" or one above it", s->o->conf->user, dir);
	super_setup_lock(s);
}
