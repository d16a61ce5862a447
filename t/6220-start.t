#!/usr/bin/perl
# A start that cannot be says why in a line and an exit code, in the background too; a directory where others may write is not used; what
# was planted there is not followed; and a daemon in the background has its pid file, its log, and one life.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Taskq;
use Taskq::Machine qw(now process_start_time read_file slurp_command temp_dir write_file);
use Test::More;

my $root = $> == 0;
my ($other, $other_gid) = $root ? (getpwnam 'nobody')[2, 3] : ();

# A daemon of its own directory, not started; no database is needed to start.
sub fresh { my ($config) = @_; return Taskq->new(pg => undef, config => $config) }
sub taskqd { my ($t, @args) = @_; return slurp_command(command => [$t->program, '-c', $t->config_path, @args]) }
sub daemon_pid { my ($t) = @_; my ($pid) = (read_file($t->run_dir . '/taskqd.pid') // '') =~ /^(\d+)$/m; return $pid }
sub files { my ($t) = @_; return [map { s{.*/}{}r } glob $t->run_dir . '/{.[a-z]*,*}'] }

# Not our child: ended by us all the same.
sub watch {
	my ($t) = @_;
	Taskq::Machine::at_end(sub {
		my $pid = daemon_pid($t) or return;
		my $start = process_start_time($pid);
		return if !defined $start || read_file("/proc/$pid/cmdline") !~ /^taskqd/;
		my $below = Taskq::Machine::descendants($pid);
		kill 'KILL', $pid, grep { defined process_start_time($_) } keys %$below;
	});
	return $t;
}

sub end_daemon {
	my ($t) = @_;
	my $pid = daemon_pid($t);
	my %tree = (%{ $t->tree_of($pid) }, $pid => process_start_time($pid));
	kill 'TERM', $pid;
	return wait_for(sub { $t->gone(\%tree) }, 30, 'the daemon to end');
}

# The exit code and a line, in the foreground and in the background; nothing stays behind.
sub refuses {
	my ($t, $code, $pattern, $what, %o) = @_;
	for my $how ('--foreground', '--daemon') {
		my $begin = now();
		my ($status, $text) = taskqd($t, $how);
		is($status, $code, "$what, $how: $code") or diag($text);
		like($text, $pattern, 'in words');
		cmp_ok(now() - $begin, '<', Taskq::Machine::patience(5), 'at once');
	}
	is_deeply(files($t), $o{left} || [], 'no file is left');
	return;
}

subtest 'an address in use' => sub {
	my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
	my $port = $busy->sockport;
	refuses(fresh("http { listen = \"127.0.0.1:$port\" }"), 69, qr/could not listen on \W+127\.0\.0\.1:$port\W+: Address already in use/, 'a port');
};

subtest 'descriptors' => sub {
	my $t = fresh('');
	my @shell = ('/bin/sh', '-c', 'ulimit $1; shift; exec "$@"', 'sh');
	my ($status, $text) = slurp_command(command => [@shell, '-n 60', $t->program, '-c', $t->config_path]);
	is($status, 71, 'too few: 71') or diag($text);
	like($text, qr/could not make the bells of the processes: Too many open files/, 'in words');
	is_deeply(files($t), [], 'no file is left');
	my $child = Taskq::Machine::spawn(name => 'taskqd', out => $t->log_path, command => [@shell, '-S -n 300', $t->program, '-c', $t->config_path]);
	my ($soft, $hard) = wait_for(sub { (read_file('/proc/' . $child->pid . '/cmdline') // '') =~ /^taskqd: supervisor \(running/
		&& [(read_file('/proc/' . $child->pid . '/limits') // '') =~ /^Max open files +(\d+) +(\d+)/m] }, 20, 'taskqd')->@*;
	is($soft, $hard < 1 << 20 ? $hard : 1 << 20, 'as many as it is allowed');
	$child->signal('TERM');
	is($child->wait(20), 0, 'it drained');
};

subtest 'a bad configuration' => sub {
	refuses(fresh('workers = many'), 78, qr/taskq\.conf:\d+: workers: "many" is not a whole number/, 'a mistake');
	refuses(fresh('user = "no-such-user"'), 78, qr/"no-such-user" is not a user of this machine/, 'an unknown user');
	my $handler = 'handler h { command = {"/bin/true"} user = "%s" }';
	my ($status, $text) = taskqd(fresh(sprintf $handler, 'no-such-user'), '-t');
	is($status, 78, 'an unknown user of a handler');
	like($text, qr/handler "h": user: "no-such-user" is not a user of this machine/, 'in words');
	($status, $text) = taskqd(fresh(sprintf $handler, 'root'), '-t');
	is($status, $root ? 0 : 78, 'a handler as root');
	like($text, qr/handler "h": user: "root" is another user than taskqd's/, 'which only root can start') if !$root;
	is((taskqd(fresh(sprintf $handler, scalar getpwuid $>), '-t'))[0], 0, 'a handler as who we are');
};

subtest 'a log that cannot be' => sub {
	refuses(fresh('log { target = "/nonexistent/log" }'), 73, qr{could not open log "/nonexistent/log": No such file}, 'no directory');
};

subtest 'run_dir cannot be made' => sub {
	my $t = fresh();
	my $dir = $t->run_dir;
	rmdir $dir;
	write_file($dir, '');
	for my $how ('--foreground', '--daemon') {
		my ($status, $text) = taskqd($t, $how);
		is($status, 73, "a file in its place, $how: 73");
		like($text, qr/run_dir \W+\Q$dir\E\W+ is not a directory/, 'in words');
	}
	my $below = fresh("run_dir = \"$dir/below\"");
	refuses($below, 73, qr/could not make run_dir \W+\Q$dir\E.below\W+: Not a directory/, 'a file above it');
	SKIP: {
		skip('root may write everywhere', 1) if $root;
		my $closed = temp_dir('c');
		chmod 0555, $closed;
		refuses(fresh("run_dir = \"$closed/run\""), 73, qr/could not make run_dir .*: Permission denied/, 'no right to');
	}
};

subtest 'run_dir is not ours alone' => sub {
	for my $mode (0777, 01777, 0757) {
		my $t = fresh();
		chmod $mode, $t->run_dir;
		refuses($t, 77, qr/others may write in run_dir .* \(mode \d+\), expected 0755/, sprintf 'mode %04o', $mode);
	}
	SKIP: {
		skip('only root may give files away', 1) if !$root;
		my $t = fresh();
		chown $other, -1, $t->run_dir;
		refuses($t, 77, qr/run_dir .* belongs to user $other, expected user 0/, 'of another user');
		$t = fresh();
		chown -1, $other_gid, $t->run_dir;
		chmod 0775, $t->run_dir;
		refuses($t, 77, qr/others may write in run_dir/, 'a group that may write');
		chmod 0755, $t->run_dir;
		rename $t->run_dir, "$t->{dir}/real" or die;
		symlink "$t->{dir}/real", $t->run_dir or die;
		system('chown', '-h', $other, $t->run_dir) == 0 or die;
		refuses($t, 77, qr/run_dir .* is a link made by user $other/, 'behind a link of another user');
		$t = fresh("user = \"nobody\"");
		chmod 0700, $t->{dir};
		refuses($t, 77, qr/user \W+nobody\W+ may not enter run_dir/, 'where the user cannot go');
		chmod 0711, $t->{dir};
	}
};

subtest 'planted files' => sub {
	my $t = watch(fresh("log { target = \"syslog\" }"));
	my $victim = write_file("$t->{dir}/victim", "precious\n");
	my $pid_file = $t->run_dir . '/taskqd.pid';
	symlink $victim, $pid_file or die;
	refuses($t, 73, qr/could not lock \W+\Q$pid_file\E\W+: Too many levels of symbolic links/, 'a link as pid file', left => ['taskqd.pid']);
	unlink $pid_file;
	link $victim, $pid_file or die;
	refuses($t, 73, qr/could not lock \W+\Q$pid_file\E\W+: Operation not permitted/, 'another name of a file', left => ['taskqd.pid']);
	unlink $pid_file;
	symlink $victim, $t->run_dir . "/$_" or die for qw(stats address roles.json .address.new .roles.json.new launch.1.sock);
	my ($status, $text) = taskqd($t, '--daemon');
	is($status, 0, 'links elsewhere are replaced') or diag($text);
	like($text, qr{nobody listens at /dev/log}, 'a missing syslog is told') if !-e '/dev/log';
	is(read_file($victim), "precious\n", 'nothing is written through them');
	ok(!(grep { -l } map { $t->run_dir . "/$_" } @{ files($t) }), 'none is left');
	is($t->get('/healthz')->{status}, 200, 'it serves');
	ok(end_daemon($t), 'it ends');
	is(read_file($victim), "precious\n", 'and the file is as it was');
};

subtest 'in the background' => sub {
	my $log = temp_dir('l') . '/taskqd.log';
	my $t = watch(fresh("log { target = \"$log\" }\n" . ($root ? "user = \"nobody\"\n" : '')));
	write_file($t->run_dir . '/taskqd.pid', do { my $pid = fork // die; exit 0 if $pid == 0; waitpid $pid, 0; "$pid\n" });
	my ($status, $text) = taskqd($t, '--daemon');
	is($status, 0, 'started, over the pid file of a dead process') or diag($text);
	is($text, '', 'without a word');
	my $pid = daemon_pid($t);
	is(read_file("/proc/$pid/cmdline") =~ s/\0.*//sr, 'taskqd: supervisor (running)', 'the pid file names the supervisor');
	is($t->get('/healthz')->{status}, 200, 'it serves when the command returns');
	my @stat = split ' ', read_file("/proc/$pid/stat") =~ s/^.*\) //sr;
	isnt($stat[3], POSIX::getpgrp(), 'its own session');
	is($stat[4], 0, 'no terminal');
	SKIP: {
		skip('only root may look', 2) if !$root;
		is(readlink "/proc/$pid/cwd", '/', 'in no directory');
		is_deeply([map { readlink "/proc/$pid/fd/$_" } 0 .. 2], [('/dev/null') x 3], 'with no descriptor of the caller');
	}

	for my $how ('--foreground', '--daemon') {
		my $begin = now();
		($status, $text) = taskqd($t, $how);
		is($status, 69, "a second start, $how, is refused");
		like($text, qr/already running as process $pid\b/, 'and told by whom');
		cmp_ok(now() - $begin, '<', Taskq::Machine::patience(5), 'at once');
	}
	is(daemon_pid($t), $pid, 'the pid file is as it was');

	my @pids = ($pid, map { $_->{pid} } $t->roles);
	rename $log, "$log.1" or die;
	kill 'USR1', $pid;
	wait_for(sub { (read_file($log) // '') =~ /msg="log reopened"/ }, 10, 'the log to be reopened');
	is((stat $log)[4], $other, 'the new file is of the user') if $root;
	is((stat $log)[2] & 07, 0, 'not for everybody');
	kill 'TERM', $pid;
	wait_for(sub { !grep { defined process_start_time($_) } @pids }, 30, 'the daemon to end');
	$text = read_file($log);
	like($text, qr/ pid=$_ /, "process $_ writes to the new file") for @pids;
	unlike(read_file("$log.1"), qr/ msg="?draining/, 'and not to the old one');
	is_deeply(files($t), [], 'at the end no file is left');
};

done_testing;
