#!/usr/bin/perl
# Crashes: a handler killed by a signal, a killed worker, a killed launcher and a killed keeper cost no attempt; every task still ends, and
# a task that kills its process each time is dead in the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Taskq::Shell qw(shell_handler);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;

sub sh { my ($type, $text) = @_; return shell_handler($dir, $type, $text, 'retry_base = 10ms retry_cap = 20ms') }

my $t = Taskq->start(config => join '',
	"workers = 2\nwork { poll = 100ms\n slots = 4\n crash_max = 3 }\n",
	sh(segv => 'kill -SEGV $$'),
	sh(once => "[ -e $dir/was ] || { : > $dir/was; kill -9 \$\$; }; echo true"),
	sh(gate => "echo \$\$ >> $dir/gates; while [ ! -e $dir/open ]; do sleep 0.02; done; echo 1"));

sub gates { return split ' ', read_file("$dir/gates") || '' }
# Runs that were started and still wait at the gate.
sub waiting { return grep { kill 0, $_ } gates() }

my $task = $t->wait_final($t->submit('segv', {}, max_attempts => 1));
is($task->{status}, 'dead_letter', 'a task that kills its process each time is dead in the end');
is($task->{attempts}, 0, 'without an attempt');
is($task->{error_class}, 'CRASH', 'its class');
is($task->{error_code}, 'SIGSEGV', 'its code');
is(Taskq->pg->psql("select reason || ' ' || crashes from taskq.dead where id = '$task->{id}'"), 'QUARANTINED 3', 'in quarantine');

$task = $t->wait_final($t->submit('once', {}, max_attempts => 1));
is($task->{status}, 'succeeded', 'one that is killed once succeeds then');
is($task->{attempts}, 1, 'at its first attempt');

for my $role (qw(worker launcher keeper)) {
	unlink "$dir/open", "$dir/gates";
	my @tasks = map { $t->submit('gate', {}, max_attempts => 1) } 1 .. 4;
	wait_for(sub { waiting() == 4 }, 20, 'four running');
	my @before = gates();
	$t->kill9('worker', $_) for $role eq 'worker' ? (0, 1) : ();
	$t->kill9($role) if $role ne 'worker';
	if ($role ne 'keeper') {
		wait_for(sub { !grep { kill 0, $_ } @before }, 10, 'the end of the handlers');
		pass("the handlers of a killed $role are killed");
		wait_for(sub { waiting() == 4 }, 30, 'the next start');
	}
	write_file("$dir/open", '');
	is_deeply([map { $t->wait_final($_)->{status} } @tasks], [('succeeded') x 4], "after a killed $role every task succeeds");
	is_deeply([map { $t->task($_)->{attempts} } @tasks], [(1) x 4], 'at its first attempt');
}

# The keeper is back: a delayed retry is promoted.
unlink "$dir/was";
is($t->wait_final($t->submit('once', {}))->{status}, 'succeeded', 'the next keeper promotes');

is($t->stop, 0, 'taskqd drained');
is(Taskq->pg->psql('select count(*) from taskq.lease'), 0, 'no lease is left');
is(Taskq->pg->psql('select count(*) from (select id from taskq.done group by id having count(*) > 1) x'), 0, 'nothing finished twice');
done_testing;
