#!/usr/bin/perl
# Limits of time: a handler that takes too long is asked and then killed, with all its descendants; a running task can be cancelled.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir);
use Taskq::Shell qw(shell_handler);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;

sub sh { return shell_handler($dir, @_) }

my $t = Taskq->start(config => join '',
	"kill_grace = 300ms\nwork { poll = 100ms }\n",
	sh(polite => "trap 'echo asked > $dir/asked; exit 0' TERM; while :; do sleep 0.05; done", 'timeout = 200ms'),
	sh(stubborn => "trap '' TERM; sleep 300 & echo \$! > $dir/pid; setsid sleep 300 & echo \$! >> $dir/pid; wait; while :; do sleep 300; done",
		'timeout = 500ms'),
	sh(long => "echo \$\$ > $dir/long.pid; exec sleep 300"),
	"handler nap { kind = builtin\n builtin = sleep\n timeout = 100ms }\n");

sub run { my ($type, $payload, %o) = @_; return $t->wait_final($t->submit($type, $payload, %o)) }

my $task = run('polite', {}, max_attempts => 1);
is($task->{error_code}, 'TIMEOUT', 'a handler that takes too long fails, whatever it says at its end');
is($task->{error_class}, 'TRANSIENT', 'and may be tried again');
is($task->{last_error}, 'timed out after 0.2 s', 'after its limit');
is(read_file("$dir/asked"), "asked\n", 'it was asked first');

$task = run('stubborn', {}, max_attempts => 1);
is($task->{error_code}, 'TIMEOUT', 'one that ignores SIGTERM ends too');
my @pids = split ' ', read_file("$dir/pid");
is(scalar @pids, 2, 'it had children, one in a session of its own');
wait_for(sub { !grep { kill 0, $_ } @pids }, 10, 'the end of its children');
pass('its children are gone');

is(run('nap', { seconds => 60 }, max_attempts => 1)->{error_code}, 'TIMEOUT', 'the limit holds for builtin handlers');

$task = $t->submit('long', {});
wait_for(sub { (read_file("$dir/long.pid") || '') =~ /\d+\n/ }, 20, 'the handler');
my ($pid) = read_file("$dir/long.pid") =~ /(\d+)/;
is($t->task($task)->{status}, 'processing', 'a running task');
is($t->post("/v1/tasks/$task->{id}/cancel", '')->{status}, 200, 'is cancelled');
is($t->wait_final($task)->{status}, 'cancelled', 'its status');
wait_for(sub { !kill 0, $pid }, 10, 'the end of its handler');
pass('its handler is stopped');
is($t->task($task)->{status}, 'cancelled', 'and its end changes nothing');
wait_for(sub { Taskq->pg->psql('select count(*) from taskq.lease') == 0 }, 10, 'the end of its lease');

is($t->stop, 0, 'taskqd drained');
done_testing;
