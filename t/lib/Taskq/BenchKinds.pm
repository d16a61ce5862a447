# BenchKinds.pm - the scenarios of scripts/bench that tell what each kind of handler costs: a backlog of tasks that do nothing is run.
#
#	rows()      the scenarios
#
# One worker runs them; for `lease` it is t/bench/lease, and for `http` t/bench/answer answers.  The rate is that of the middle 80 % by
# the clock of the database; CPU time is microseconds a task, of the worker, the launcher, the commands, the client and the service.
# TASKQ_BENCH_BESIDE is a command of the shell that is started when the backlog begins to run, with $WORKER, $LAUNCHER, $ACCEPTOR, $POSTGRES and $DB: for perf and strace.
package Taskq::BenchKinds;
use strict;
use warnings;
use POSIX ();
use Taskq::BenchRun;
use Taskq::Machine qw(builddir read_file temp_dir wait_for write_file);
use Time::HiRes qw(sleep);

my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};

# --- handlers ---------------------------------------------------------------------------------------------------------

# A program that the user of the handlers can execute.
sub program {
	my ($bench, $from) = @_;
	my $to = ($bench->{kinds_dir} ||= temp_dir('kinds')) . '/' . $from;
	chmod 0755, $bench->{kinds_dir};
	if ($from eq 'child.py') {
		write_file($to, <<'END');
import json, sys
for line in sys.stdin:
    print(json.dumps({"lease": json.loads(line)["lease"], "result": None}), flush=True)
END
	} elsif (!-x $to) {
		system('cp', builddir() . "/t/bench/$from", $to) == 0 or die "could not copy $from\n";
	}
	chmod 0755, $to;
	return $to;
}

sub pool_handler { my ($bench, @command) = @_; return 'handler bench { kind = pool command = {' . join(', ', map { "\"$_\"" } @command) . '} children = 2 pipeline = 128 timeout = 1min }' }

# The service ends with the bench, whatever ends that: its standard input is a pipe from here.
sub http_handler {
	my ($bench) = @_;
	if (!$bench->{answer}) {
		pipe(my $input, my $life) && pipe(my $port, my $told) or die "could not make a pipe: $!\n";
		my $pid = fork // die "could not fork: $!\n";
		if (!$pid) {
			POSIX::dup2(fileno $input, 0);
			POSIX::dup2(fileno $told, 1);
			exec builddir() . '/t/bench/answer' or POSIX::_exit(1);
		}
		close $told;
		$bench->{answer} = { pid => $pid, life => $life, port => 0 + <$port> };
	}
	return "call { allow = {\"127.0.0.1\"}\n }\nhandler bench { kind = http url = \"http://127.0.0.1:$bench->{answer}{port}/\" timeout = 1min }";
}

# --- CPU time ---------------------------------------------------------------------------------------------------------

# Seconds of a process: itself; of its children, living and reaped.
sub seconds_of {
	my ($pid) = @_;
	my ($own, $children) = (0, 0);
	for my $path (glob '/proc/[0-9]*/stat') {
		my ($process, $parent, @used) = (read_file($path) || '') =~ /^(\d+) .*\) \S (\d+)(?: \S+){9} (\d+) (\d+) (\d+) (\d+)/s or next;
		$own += $used[0] + $used[1] if $process == $pid;
		$children += $process == $pid ? $used[2] + $used[3] : $used[0] + $used[1] if $process == $pid || $parent == $pid;
	}
	return map { $_ / POSIX::sysconf(POSIX::_SC_CLK_TCK()) } $own, $children;
}

sub cpu {
	my ($bench) = @_;
	my %cpu = $bench->cpu;
	for my $role ($bench->{daemon}->roles) {
		my ($own, $children) = seconds_of($role->{pid});
		$cpu{ $role->{role} } += $own;
		$cpu{commands} += $children if $role->{role} eq 'launcher';
	}
	($cpu{service}) = seconds_of($bench->{answer}{pid}) if $bench->{configured} =~ m{kind = http};
	return %cpu;
}

# --- a round ----------------------------------------------------------------------------------------------------------

sub beside {
	my ($bench) = @_;
	my $command = $ENV{TASKQ_BENCH_BESIDE} or return;
	my $pid = fork // die "could not fork: $!\n";
	return $pid if $pid;
	my %pids = map { ($_->{role} => $_->{pid}) } $bench->{daemon}->roles;
	@ENV{qw(WORKER LAUNCHER ACCEPTOR POSTGRES DB)} = (map({ $_ || '' } @pids{qw(worker launcher acceptor)}), $bench->{pg}->pid, $bench->{pg}->conninfo);
	exec 'sh', '-c', $command or POSIX::_exit(1);
}

sub lease { my ($bench, $n) = @_; return $bench->run_program('lease', '--address', $bench->{daemon}->address, '--tasks', $n, '--connections', 8) }

# As the daemon counts; to ask the database again and again would be a load.
sub finished { my ($bench) = @_; return $bench->{daemon}->metric('taskq_tasks_finished_total') || 0 }

# Tasks that ended, commits that ended them, the rate of the middle.
sub ended {
	my ($bench) = @_;
	return split /\|/, $bench->{pg}->psql(<<'END');
select count(*), count(distinct finished_at), 0.8 * count(*) / greatest(0.001, extract(epoch from
	percentile_disc(0.9) within group (order by finished_at) - percentile_disc(0.1) within group (order by finished_at)))
from taskq.done where status = 1
END
}

sub run {
	my ($bench, $n, $client) = @_;
	Taskq::BenchRun::model($bench, $client ? sub { lease($bench, 1) } : sub { });
	Taskq::BenchRun::backlog($bench, $n);
	my ($before, %cpu) = (finished($bench), cpu($bench));
	Taskq::BenchRun::queue($bench, 'resume');
	my $beside = beside($bench);
	my $told = $client ? lease($bench, $n) : {};
	wait_for(sub { sleep 0.2; finished($bench) - $before >= $n }, 600, 'the backlog to be gone');
	my %now = cpu($bench);
	waitpid $beside, 0 if $beside;
	my ($done, $commits, $rate) = ended($bench);
	$bench->problem("$done tasks succeeded, $n were expected") if $done != $n;
	$bench->problem("$told->{refused} completions were refused") if $told->{refused};
	return (rate => $rate, batch => $commits ? $done / $commits : 0, $client ? (cpu_load => 1e6 * $told->{cpu_s} / $n) : (),
		map { ("cpu_$_" => 1e6 * ($now{$_} - ($cpu{$_} || 0)) / $n) } grep { $now{$_} > 0 } keys %now);
}

# --- the rows ---------------------------------------------------------------------------------------------------------

my $busy = "work { slots = 256\n prefetch = 1024\n }";

# `share`: tasks, as a part of those of drain.
sub row {
	my ($name, $share, %more) = @_;
	my $client = delete $more{client};
	return { name => $name, workers => 1, config => $busy, round => sub { my ($bench) = @_; return run($bench, int($bench->{o}{tasks} * $share) || 1, $client) }, %more };
}

sub rows {
	return (
		row('pool', 1, rate => 20_000, what => 'no-op tasks by two children in C, 128 written ahead; one worker', handler => sub { pool_handler($_[0], program($_[0], 'child')) }),
		row('exec', 0.06, rate => 1_500, what => '/bin/true, one process a task, 16 at once; one worker', config => "work { slots = 16\n prefetch = 64\n }",
			handler => 'handler bench { kind = exec command = {"/bin/true"} timeout = 1min }'),
		row('http', 0.2, what => 'POSTs to a service on this machine that answers at once, 256 at once; one worker', handler => \&http_handler),
		row('lease', 1, what => 'a client leases 100 tasks a request and completes them in another, 8 connections', client => 1, workers => 0,
			handler => 'handler bench { kind = lease timeout = 1min }'),
		$python ? row('pool-python', 0.5, full => 1, what => 'no-op tasks by two children in Python, 128 written ahead; one worker',
			handler => sub { pool_handler($_[0], $python, program($_[0], 'child.py')) }) : (),
	);
}

1;
