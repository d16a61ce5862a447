#!/usr/bin/perl
# Commands: the envelope on stdin, the result on stdout, the meaning of an exit; endless and strange output does no harm.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir);
use Taskq::Shell qw(shell_handler);
use Test::More;

my $dir = temp_dir('h');
chmod 0755, $dir;

sub sh { return shell_handler($dir, @_) }

my $config = join '',
	sh(envelope => 'cat'),
	sh(where => 'printf \'["%s", "%s", "%s"]\' "$PWD" "$WORD" "$TASKQ_TEST_SECRET"', "directory = \"$dir\"\n environment = {\"WORD=said\"}"),
	sh(empty => ':'),
	sh(text => 'echo hello world'),
	sh(three => 'echo first >&2; echo "the last words" >&2; exit 3'),
	sh(silent => 'exit 4'),
	sh(data => 'echo bad data >&2; exit 65'),
	sh(spoken => 'echo \'{"error_class": "NON_RETRYABLE", "error_code": "GONE", "message": "spoken"}\'; echo noise >&2; exit 1'),
	sh(binary => 'printf "a\\377b\\000c\\n" >&2; exit 1'),
	sh(endless => 'yes'),
	sh(loud => 'head -c 300000 /dev/zero | tr "\\0" x >&2; echo " end" >&2; echo 1'),
	sh(deaf => 'exec <&-; echo true'),
	sh(early => 'echo 7; exec >&- 2>&-; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'),
	sh(fds => 'ls /proc/self/fd | tr "\\n" " " | sed "s/.*/\"&\"/"'),
	"handler missing { command = {\"$dir/no-such-program\"} }\n",
	"work { poll = 100ms\n output_max = 64kB }\n";

my $t = Taskq->start(config => $config, env => { TASKQ_TEST_SECRET => 'ours' });
sub run { my ($type, $payload, %o) = @_; return $t->wait_final($t->submit($type, $payload, %o)) }

my $task = run('envelope', { n => [1, 2] }, max_attempts => 7, trace_id => '0af7651916cd43dd8448eb211c80319c');
is($task->{status}, 'succeeded', 'a command ran');
my $e = $task->{result};
is($e->{message_id}, $task->{id}, 'the envelope tells the id');
is($e->{task_type}, 'envelope', 'the type');
is($e->{attempt}, 1, 'the attempt');
is($e->{max_attempts}, 7, 'of how many');
is_deeply($e->{payload}, { n => [1, 2] }, 'the payload');
is($e->{trace_id}, '0af7651916cd43dd8448eb211c80319c', 'the trace');
ok(defined $e->{lease} && defined $e->{deadline}, 'lease and deadline');

my $big = 'x' x 60_000;
is(run('envelope', { x => $big })->{result}{payload}{x}, $big, 'a big payload goes in and out whole');
is(run('deaf', { x => 'x' x 900_000 })->{status}, 'succeeded', 'who does not read a bigger one harms nobody');

$task = run('where', {});
is_deeply($task->{result}, [$dir, 'said', ''], 'its directory and environment, nothing of ours') or diag explain $task;
is(run('empty', {})->{result}, undef, 'no output, no result');
is(run('early', {})->{result}, 7, 'outputs closed early: the exit decides');
is(run('loud', {})->{result}, 1, 'much stderr does no harm');
is_deeply([sort grep { $_ > 3 } split ' ', run('fds', {})->{result}], [], 'no descriptor of ours is inherited');

$task = run('text', {}, max_attempts => 1);
is($task->{error_code}, 'BAD_OUTPUT', 'output that is not JSON is a failure');
like($task->{last_error}, qr/hello world/, 'which shows it');

$task = run('three', {}, max_attempts => 1);
is($task->{error_class}, 'TRANSIENT', 'an exit with another status than 0 is a failure');
is($task->{error_code}, 'HANDLER_FAILED', 'with the general code');
is($task->{last_error}, 'the last words', 'and the last line of stderr');
like($t->log_wait(qr/handler wrote to stderr/), qr/task_id=$task->{id} .*stderr="first\\nthe last words"/, 'the log has all of it');
ok(!(grep { /handler wrote to stderr.*xxxx/ } $t->log_lines), 'but not of a success');
is(run('silent', {}, max_attempts => 1)->{last_error}, 'exit 4', 'a silent one shows its status');

$task = run('data', {});
is($task->{status}, 'dead_letter', '65 is dead at once');
is($task->{error_class}, 'NON_RETRYABLE', 'by its class');
is($task->{attempts}, 1, 'after one attempt');

$task = run('spoken', {});
is_deeply([@$task{qw(error_class error_code last_error)}], [qw(NON_RETRYABLE GONE spoken)], 'a handler may speak for itself');

$task = run('binary', {}, max_attempts => 1);
is($task->{last_error}, "a\x{fffd}b\x{fffd}c", 'bytes that are no text are replaced');

$task = run('endless', {});
is($task->{status}, 'dead_letter', 'endless output is dead');
is($task->{error_code}, 'OUTPUT_TOO_LARGE', 'as such');

$task = run('missing', {}, max_attempts => 1);
is($task->{error_code}, 'START_FAILED', 'a program that is not there');
like($task->{last_error}, qr/no-such-program/, 'is named');

is($t->stop, 0, 'taskqd drained');
done_testing;
