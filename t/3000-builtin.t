#!/usr/bin/perl
# Builtin handlers: what they return and how they fail, seen over HTTP; a type without a handler is dead at once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => <<'CONF');
handler noop { kind = builtin builtin = noop }
handler echo { kind = builtin builtin = echo }
handler nap { kind = builtin builtin = sleep }
handler fail { kind = builtin builtin = fail }
work { poll = 100ms }
CONF

sub run { my ($type, $payload, %o) = @_; return $t->wait_final($t->submit($type, $payload, %o)) }

my $task = run('noop', {});
is($task->{status}, 'succeeded', 'noop succeeds');
is($task->{result}, undef, 'without a result');
is($task->{attempts}, 1, 'in one attempt');

my $payload = { list => [1, 2, { three => undef }], text => "w\x{e9}lt \x{1f600}" };
$task = run('echo', $payload);
is($task->{status}, 'succeeded', 'echo succeeds');
is_deeply($task->{result}, $payload, 'its payload is its result');
is($task->{last_error}, undef, 'no error');

is(run('nap', { seconds => 0.05 })->{status}, 'succeeded', 'sleep wakes up');
$task = run('nap', { seconds => 'long' });
is($task->{status}, 'dead_letter', 'sleep refuses another payload');
is($task->{error_code}, 'INVALID_PAYLOAD', 'and says so');
is($task->{error_class}, 'NON_RETRYABLE', 'for good');

$task = run('fail', {}, max_attempts => 1);
is($task->{status}, 'dead_letter', 'a failure of the only attempt is death');
is($task->{error_code}, 'HANDLER_FAILED', 'with its code');
is($task->{error_class}, 'TRANSIENT', 'its class');
is($task->{last_error}, 'failed as asked', 'its message');

$task = run('fail', { error_class => 'NON_RETRYABLE', error_code => 'NO_SUCH_THING', message => 'it is gone' });
is($task->{status}, 'dead_letter', 'what cannot be retried is dead at once');
is($task->{attempts}, 1, 'after one attempt');
is($task->{error_code}, 'NO_SUCH_THING', 'with the code of the handler');
is($task->{last_error}, 'it is gone', 'and its message');

is(run('fail', { error_class => 'ODD' })->{status}, 'dead_letter', 'a class that nobody knows is no silent loop');

$task = run('no.such_type', {});
is($task->{status}, 'dead_letter', 'an unknown type is dead at once');
is($task->{last_error}, "no handler registered for task_type='no.such_type'", 'and says why');
is($task->{error_code}, 'NO_HANDLER', 'in one word');

my @many = map { $t->submit('echo', { n => $_ }) } 1 .. 200;
is_deeply([map { $t->wait_final($_)->{result}{n} } @many], [1 .. 200], 'two hundred tasks, each with its own result');

# a task is final a moment before its worker has counted it
my $counted = sub { $t->metric('taskq_tasks_finished_total', task_type => 'echo', outcome => 'succeeded') };
wait_for(sub { $counted->() >= 201 }, 10, 'the count of all');
is($counted->(), 201, 'counted');
wait_for(sub { $t->metric('taskq_tasks_running') == 0 }, 10, 'nothing to run any more');
is($t->stop, 0, 'taskqd drained');
is(Taskq->pg->psql('select count(*) from taskq.lease'), 0, 'no lease is left');
is(Taskq->pg->psql('select count(*) from taskq.ready'), 0, 'nothing is left to do');
done_testing;
