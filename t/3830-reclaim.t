#!/usr/bin/perl
# Whose death is learnt how soon: a worker's at once, whatever it ran; that of a whole daemon when it starts again; that of a host after lease
# and grace.  None of them costs an attempt.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now temp_dir);
use Taskq::Service;
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my $dir = temp_dir('r');
chmod 0777, $dir;
# The first run of a task does not end, the others do.
my $first = note_run($dir) . "[ \$(wc -l <$dir/runs.\$id) -gt 1 ] || sleep 1000\n";
shell_command($dir, exec => "read -r line\n${first}echo 2");
shell_command($dir, pool => "while read -r line; do\n${first}lease=\${line#*\\\"lease\\\":\\\"}\necho \"{\\\"lease\\\":\\\"\${lease%%\\\"*}\\\",\\\"result\\\":2}\"\ndone");

my $service = Taskq::Service->start;
my $handlers = "call { allow = {\"127.0.0.0/8\"} }\nhandler exec { command = {\"$dir/exec\"} }\nhandler pool { kind = pool command = {\"$dir/pool\"} children = 2 }\n" .
	'handler http { kind = http url = "' . $service->url('/x') . "\" }\n";
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => "workers = 2\nwork { poll = 100ms\n lease = 10min\n crash_max = 20 }\n$handlers");

sub submit {
	my ($kind) = @_;
	return $t->submit($kind, $kind eq 'http' ? { answers => [{ how => 'silent' }, { status => 200, body => '2' }] } : {});
}
sub runs { my ($kind, $task) = @_; return $kind eq 'http' ? scalar $service->requests($task) : scalar noted_runs($dir, $task) }
# Called: how long until each runs again.
sub again { my ($begin, %tasks) = @_; wait_for(sub { !grep { runs($_, $tasks{$_}) < 2 } keys %tasks }, 60, 'the second run'); return now() - $begin }
sub start_all {
	my %tasks = map { $_ => submit($_) } qw(exec pool http);
	wait_for(sub { !grep { runs($_, $tasks{$_}) != 1 } keys %tasks }, 30, 'all to run');
	return %tasks;
}
sub check {
	my ($daemon, $what, %tasks) = @_;
	my @ends = map { $daemon->wait_final($tasks{$_}, 60) } sort keys %tasks;
	is_deeply([map { "$_->{status} $_->{attempts}" } @ends], [('succeeded 1') x 3], "$what: each succeeds at its first attempt");
	is(scalar(grep { runs($_, $tasks{$_}) > 2 } keys %tasks), 0, "$what: in its second run");
	return;
}

# kill -9 of everything at once: nobody is left to say anything.
sub kill_host {
	my ($daemon) = @_;
	my %tree = (%{ $daemon->tree }, $daemon->pid => Taskq::Machine::process_start_time($daemon->pid));
	kill 'STOP', $daemon->pid, keys %tree; # or a command whose sleep is killed first goes on, and tells its result
	kill 'KILL', $daemon->pid, keys %tree;
	wait_for(sub { !$daemon->alive && $daemon->gone(\%tree) }, 30, 'everything to be dead');
	return;
}

subtest 'a worker' => sub {
	my $best = 1e9;
	for (1 .. 3) { # the machine may stand still: what it can do is what it did once
		my %tasks = start_all();
		my $begin = now();
		kill 'KILL', map { $_->{pid} } $t->roles('worker');
		my $took = again($begin, %tasks);
		$best = $took if $took < $best;
		check($t, 'a worker', %tasks);
		last if $best <= 1;
	}
	cmp_ok($best, '<=', 1.5, sprintf 'its tasks run again after %.2f s', $best);
};

subtest 'a daemon that starts again' => sub {
	my %tasks = start_all();
	kill_host($t);
	my $begin = now();
	$t->launch;
	my $took = again($begin, %tasks);
	check($t, 'a daemon', %tasks);
	cmp_ok($took, '<', 60, sprintf 'its tasks run again %.2f s after its start, long before the end of a lease', $took);
};
is($t->stop, 0, 'it drained');

subtest 'a host that does not come back' => sub {
	my $work = "workers = 2\nwork { poll = 100ms\n lease = 3s\n grace = 1s\n crash_max = 20 }\n";
	$t = Taskq->start(migrate => 0, config => $work . $handlers);
	my %tasks = start_all();
	my $other = Taskq->start(migrate => 0, config => $work . $handlers);
	wait_for(sub { $pg->psql('select count(*) from taskq.worker') == 4 }, 30, 'the workers of both');
	is($pg->psql('select count(distinct node) from taskq.worker'), 2, 'they are of two nodes');
	kill_host($t);
	my $begin = now();
	my $took = again($begin, %tasks);
	check($other, 'a host', %tasks);
	cmp_ok($took, '>=', 2, 'its leases were respected');
	cmp_ok($took, '<', 3 + 1 + 20, sprintf 'its tasks run elsewhere after %.2f s (lease 3 s, grace 1 s)', $took);
	# (a worker that held nothing may fall silent a heartbeat after the others)
	ok(wait_for(sub { $pg->psql('select count(distinct node) from taskq.worker') == 1 }, 30, 'the other one to be gone'), 'one node is left');
	is($other->stop, 0, 'the other daemon drains');
};
is($pg->psql('select count(*) from (select id from taskq.done group by id having count(*) > 1) x'), 0, 'no task ended twice');
is($pg->psql('select count(*) from taskq.lease'), 0, 'no lease is left');
done_testing;
