#!/usr/bin/perl
# What a queue says of results: how long they may be, for how long they are shown, and whether they are stored at all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

my $t = Taskq->start(config => <<'CONF');
handler echo { kind = builtin builtin = echo }
handler pull { kind = lease }
work { poll = 100ms }
queue small { result_max = 20B }
queue silent { results = 0 }
queue brief { results = 1s }
CONF
sub run { my ($queue, $payload, %o) = @_; return $t->wait_final($t->submit('echo', $payload, queue => $queue, %o)) }
sub stored { my ($task) = @_; chomp(my $said = Taskq->pg->psql("select coalesce(convert_from(result, 'UTF8'), 'null') from taskq.done where id = '$task->{id}'", db => $t->{db})); return $said }

# A task of a client, from its lease to the answer to its completion.
sub pull {
	my ($queue, $result) = @_;
	my $task = $t->submit('pull', {}, queue => $queue);
	my $leases = $t->post("/v1/queues/$queue/lease", { wait => 20 })->json->{leases};
	my $r = $t->post("/v1/leases/$leases->[0]{lease}/complete", { result => $result });
	is($r->status, 200, "$queue: a client completes a task");
	return $t->wait_final($task);
}

is_deeply(run('small', { a => 1 })->{result}, { a => 1 }, 'a result that is short enough');
my $task = run('small', { a => 'x' x 30 });
is($task->{status}, 'dead_letter', 'a longer one');
is($task->{error_code}, 'OUTPUT_TOO_LARGE', 'is a failure');
is($task->{error_class}, 'NON_RETRYABLE', 'for good');
like($task->{last_error}, qr/longer than 20 bytes/, 'which says what was expected');
is($task->{result}, undef, 'without a result');
is(run('other', { a => 'x' x 30 })->{status}, 'succeeded', 'but not of another queue');

$task = run('silent', { a => 1 });
is($task->{status}, 'succeeded', 'a task whose result nobody wants');
is($task->{result}, undef, 'has none');
is(stored($task), 'null', 'nor has the database');
my $waited = $t->post('/v1/tasks', { task_type => 'echo', queue => 'silent', payload => { a => 1 } },
	headers => { 'Idempotency-Key' => 'w', Prefer => 'wait=20' });
is($waited->status, 200, 'who waits for it');
is($waited->json->{status}, 'succeeded', 'learns that it succeeded');
is($waited->json->{result}, undef, 'but not with what');

$task = $t->submit('echo', { a => 1 }, queue => 'brief');
$t->wait_final($task);
wait_for(sub { !defined $t->task($task)->{result} }, 20, 'a result to be old');
is($t->task($task)->{status}, 'succeeded', 'a result that is old is not shown, the task is');
my ($listed) = grep { $_->{id} eq $task->{id} } @{ $t->get('/v1/tasks?queue=brief')->json->{items} };
is($listed->{result}, undef, 'nor in a list');
is($t->get("/tasks/$task->{id}")->json->{result}, undef, 'nor to old clients');
is(stored($task), '{"a":1}', 'its bytes stay where they are');

is_deeply(pull('other', { b => 1 })->{result}, { b => 1 }, 'the result of a client');
is(pull('silent', { b => 1 })->{result}, undef, 'is not stored either');
is(pull('small', { b => 'x' x 30 })->{error_code}, 'OUTPUT_TOO_LARGE', 'nor longer than the queue takes');
$t->submit('pull', {}, queue => 'small');
my $lease = $t->post('/v1/queues/small/lease', { wait => 20 })->json->{leases}[0]{lease};
for my $time (qw(first second)) {
	my $r = $t->post("/v1/leases/$lease/complete", { result => 'x' x 30 });
	is($r->json->{status}, 'dead_letter', "which the client is told, the $time time");
}
is($t->stop, 0, 'drained');
done_testing;
