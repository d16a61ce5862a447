#!/usr/bin/perl
# Children that misbehave: each way of it has a known end, the child is replaced, and nobody else is harmed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};
defined $python or plan skip_all => 'python3 is needed; scripts/packages test installs it';

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/bad.py", read_file("$FindBin::Bin/lib/pool/bad.py"));
chmod 0644, "$dir/bad.py";

sub bad {
	my ($kind, $more) = @_;
	return "handler $kind { kind = pool\n command = {\"$python\", \"$dir/bad.py\", \"$kind\", \"$dir\"}\n children = 1\n" .
		" retry_base = 10ms\n " . ($more || '') . " }\n";
}

my $t = Taskq->start(config => join '', "kill_grace = 300ms\nwork { poll = 100ms\n slots = 40\n output_max = 64kB }\n",
	bad('good'), bad('early'), bad('deaf'), bad('silent', 'timeout = 500ms'), bad('stubborn'),
	map({ bad($_) } qw(gigabyte babble utf8 large lease both nothing percent mute twice unasked fork exit signal loud)),
	bad('slow', 'timeout = 60s'),
	"handler missing { kind = pool\n command = {\"$dir/no-such-program\"}\n children = 1 }\n");

sub run { my ($type, %o) = @_; return $t->wait_final($t->submit($type, {}, %o), 60) }
sub starts { my $n = () = (read_file("$dir/$_[0].starts") || '') =~ /\n/g; return $n }
sub lines_of { my ($pattern) = @_; return scalar grep { /$pattern/ } $t->log_lines }

# These wait, and spend nothing, for as long as it takes.
my $early = $t->submit('early', {}, max_attempts => 1);
my $deaf = $t->submit('deaf', {}, max_attempts => 1);
my $missing = $t->submit('missing', {}, max_attempts => 1);

my $first = run('good')->{result}{pid};
is(run('slow')->{status}, 'succeeded', 'a slow start is waited for');

# What was wrong with the answer.
my @wrong = (
	[gigabyte => 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/more than/],
	[large => 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/more than 65536 bytes/],
	[babble => 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value a line, but it wrote "something else"/],
	[utf8 => 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value a line, .*\x{fffd}/],
	[lease => 'TRANSIENT', 'PROTOCOL_ERROR', qr/"lease" of the task/],
	[both => 'TRANSIENT', 'PROTOCOL_ERROR', qr/one of "result"/],
	[nothing => 'TRANSIENT', 'PROTOCOL_ERROR', qr/one of "result"/],
	[percent => 'TRANSIENT', 'PROTOCOL_ERROR', qr/"progress" to be a number from 0 to 100/],
	[mute => 'TRANSIENT', 'PROTOCOL_ERROR', qr/standard output open/],
	[unasked => 'TRANSIENT', 'PROTOCOL_ERROR', qr/lease|without a task/],
	[silent => 'TRANSIENT', 'TIMEOUT', qr/timed out after 0\.5 s/],
	[fork => 'TRANSIENT', 'HANDLER_FAILED', qr/ended without an answer/],
	[exit => 'NON_RETRYABLE', 'EX_DATAERR', qr/^the data is bad$/],
);
for my $row (@wrong) {
	my ($kind, $class, $code, $message) = @$row;
	my $task = run($kind, max_attempts => 1);
	is_deeply([@$task{qw(status error_class error_code attempts)}], ['dead_letter', $class, $code, 1], "$kind: $class, $code")
		or diag explain $task;
	like($task->{last_error}, $message, "$kind: the message says what was expected");
}
my ($stray) = read_file("$dir/fork.pid") =~ /(\d+)/;
wait_for(sub { !kill 0, $stray }, 20, 'the end of the forked process');
pass('what it forked is gone');

my $task = run('twice');
is($task->{result}, 1, 'of two answers the first counts');
wait_for(sub { starts('twice') >= 2 }, 20, 'another child');
pass('and the second ends the child');

$task = run('signal', max_attempts => 5);
is_deeply([@$task{qw(status error_class error_code)}], ['dead_letter', 'CRASH', 'SIGSEGV'], 'a child that crashes with its task each time') or diag explain $task;
is($task->{attempts}, 0, 'costs no attempts');
like($t->log_wait(qr/task dead.*task_id=$task->{id}/), qr/reason=QUARANTINED/, 'but is quarantined');

is(run('loud')->{result}, 'done', 'much stderr does no harm');
$t->log_wait(qr/pool child wrote to stderr.*handler=loud.*line 1 /);
cmp_ok(lines_of(qr/handler=loud.*line \d/), '<', 1000, 'and is not all logged');

# Cancelled while it runs, by one that does not listen.
$task = $t->submit('stubborn', {});
wait_for(sub { (read_file("$dir/stubborn.pid") || '') =~ /\d+\n/ }, 20, 'the child');
my ($pid) = read_file("$dir/stubborn.pid") =~ /(\d+)/;
is($t->post("/v1/tasks/$task->{id}/cancel", '')->{status}, 200, 'a running task is cancelled');
wait_for(sub { !kill 0, $pid }, 20, 'the end of its child');
is($t->task($task)->{status}, 'cancelled', 'although its child ignores SIGTERM');

# Nothing was spent on those that could not start.
wait_for(sub { starts($_) >= 3 }, 30, "three children of $_") for qw(early deaf);
is($t->task($early)->{attempts}, 0, 'a child that dies before it reads costs no attempt');
is($t->task($deaf)->{attempts}, 0, 'nor one that closes its input');
like($t->log_wait(qr/pool child ended.*handler=(?:early|missing)/), qr/why=".*pause=/, 'the log says why, and how long the pause is');
like($t->log_wait(qr/pool child wrote to stderr.*handler=early/), qr/no module named work/, 'and what the child said');
is($t->task($missing)->{attempts}, 0, 'nor a program that is not there');
like($t->log_wait(qr/pool child ended.*no-such-program/), qr/could not execute/, 'which the log names');
write_file("$dir/mended", '');
$task = $t->wait_final($early, 90);
is($task->{status}, 'succeeded', 'once it is mended the task is done');
is($task->{attempts}, 1, 'in its only attempt');
is($t->post("/v1/tasks/$_->{id}/cancel", '')->{status}, 200, 'what waits can be cancelled') for $deaf, $missing;

is(run('good')->{result}{pid}, $first, 'a good child has not noticed');

# Its worker is gone, and with it all children.
kill 'STOP', $first;
$task = $t->submit('good', {});
$t->wait_status($task, qr/processing/);
my $tree = $t->tree_of($t->role_pid('launcher'));
$t->kill9('worker', 0);
wait_for(sub { $t->gone($tree) }, 20, 'the end of all children');
$task = $t->wait_final($task, 60);
is($task->{status}, 'succeeded', 'its task runs on a new one');
isnt($task->{result}{pid}, $first, 'another child');

$tree = $t->tree;
is($t->stop, 0, 'taskqd drained');
ok($t->gone($tree), 'no child is left');
done_testing;
