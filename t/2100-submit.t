#!/usr/bin/perl
# One key, one task: the same submission again gives the same bytes, another one under the same key is refused, and nothing else is stored.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(spawn);
use Test::More;

my $t = Taskq->start(config => 'workers = 0 keys { recent = 0 }');
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;

sub submit {
	my ($key, $body, %headers) = @_;
	return $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => $key, %headers });
}
sub stored { return Taskq->pg->psql('select count(*) from taskq.task') + 0 }

subtest 'a task is stored' => sub {
	my $r = submit('create-1', { task_type => 'mail', payload => { to => 'a' }, priority => 7, labels => { b => '2', a => '1' } });
	is($r->status, 202, 'accepted');
	is($r->header('content-type'), 'application/json', 'as JSON');
	my $task = $r->json;
	like($task->{id}, qr/^$uuid$/, 'an id');
	is($r->header('location'), "/v1/tasks/$task->{id}", 'where it is');
	is($r->header('idempotency-key'), 'create-1', 'the key comes back');
	like($r->header('idempotency-expires'), qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'and says how long it lives at least');
	is($r->header('idempotent-replayed'), undef, 'not a replay');
	my %want = (task_type => 'mail', queue => 'default', status => 'pending', priority => 7, attempts => 0, max_attempts => 5,
		result => undef, last_error => undef, group => undef);
	is_deeply({ map { $_ => $task->{$_} } keys %want }, \%want, 'fields and defaults');
	is_deeply($task->{payload}, { to => 'a' }, 'the payload');
	is_deeply($task->{labels}, { a => '1', b => '2' }, 'the labels');
	is($task->{updated_at}, $task->{created_at}, 'not changed since');
	is_deeply($t->task($task), $task, 'and can be read back');
};

subtest 'a replay' => sub {
	my $before = stored();
	my $first = submit('replay-1', '{"task_type":"mail","payload":{"n":1,"m":[1,2]}}');
	my $again = submit('replay-1', '{"task_type":"mail","payload":{"n":1,"m":[1,2]}}');
	is($again->status, 202, 'the same status');
	is($again->body, $first->body, 'the same bytes');
	is($again->header($_), $first->header($_), "the same $_") for qw(location content-type idempotency-expires);
	is($again->header('idempotent-replayed'), 'true', 'and says that it is one');
	my $other = submit('replay-1', qq({ "payload" : {"m":[1, 2],\n"n":1}, "max_attempts":5, "task_type":"m\\u0061il" }));
	is($other->body, $first->body, 'order, white space, spelling and defaults do not matter');
	is(submit('"replay-1"', '{"task_type":"mail","payload":{"n":1,"m":[1,2]}}')->body, $first->body, 'nor quotes around the key');
	is(stored(), $before + 1, 'one task');
};

subtest 'a replay of a delayed task' => sub {
	my ($first, $again) = map { submit('delay-1', { task_type => 'mail', delay => 3600 }) } 1 .. 2;
	is($again->body, $first->body, 'the same bytes');
	like($first->json->{run_at}, qr/Z$/, 'it says when it will run');
	is($first->json->{status}, 'pending', 'and waits');
	my $at = submit('at-1', { task_type => 'mail', run_at => '2099-01-02T03:04:05+01:00' })->json;
	is($at->{run_at}, '2099-01-02T02:04:05.000000Z', 'a time of another zone');
	is($t->task($at)->{run_at}, $at->{run_at}, 'and read back');
};

subtest 'the same key, another body' => sub {
	my $before = stored();
	my $first = submit('mismatch-1', { task_type => 'mail', payload => { secret => 'xyzzy' } })->json;
	for my $body ('{"task_type":"mail"}', '{"task_type":"mail","payload":{"secret":"xyzzy"},"priority":1}',
		'{"task_type":"mail","payload":{"secret":"xyzzy","n":1.0}}') {
		my $r = submit('mismatch-1', $body);
		is($r->status, 422, 'refused');
		is($r->header('content-type'), 'application/problem+json', 'as a problem');
		my $p = $r->json;
		is($p->{code}, 'key_mismatch', 'by its name');
		is($p->{task_id}, $first->{id}, 'with the first task');
		like($p->{detail}, qr/different request body/, 'in words');
		like($p->{detail}, qr/\Q$first->{created_at}\E/, 'and when that was');
		unlike($r->body, qr/xyzzy/, 'but not with its payload');
	}
	is(stored(), $before + 1, 'nothing more is stored');
	is(submit('mismatch-2', '{"task_type":"mail","payload":{"n":1}}')->status, 202, 'a number');
	is(submit('mismatch-2', '{"task_type":"mail","payload":{"n":1.0}}')->status, 422, '1 is not 1.0');
};

subtest 'many at once with one key' => sub {
	my @c = map { $t->connect } 1 .. 12;
	my $before = stored();
	$_->send_request('POST', '/v1/tasks', json => { task_type => 'mail' }, headers => { 'Idempotency-Key' => 'race-1' }) for @c;
	my @r = map { $_->response } @c;
	is_deeply([map { $_->status } @r], [(202) x 12], 'all are accepted');
	my %bodies = map { $_->body => 1 } @r;
	is(keys %bodies, 1, 'with the same bytes');
	is(scalar(grep { !defined $_->header('idempotent-replayed') } @r), 1, 'one of them is the first');
	is(stored(), $before + 1, 'one task');
	for my $n (1 .. 12) {
		$c[$n - 1]->send_request('POST', '/v1/tasks', json => { task_type => 'mail', priority => $n }, headers => { 'Idempotency-Key' => 'race-2' });
	}
	my %status;
	$status{ $_->response->status }++ for @c;
	is_deeply(\%status, { 202 => 1, 422 => 11 }, 'of different bodies one wins');
	is(stored(), $before + 2, 'and one task');
};

subtest 'a key that somebody else holds' => sub {
	my $first = submit('held-1', { task_type => 'mail' });
	my $pg = Taskq->pg;
	my $held = q(from pg_stat_activity where state = 'active' and query like 'delete%pg_sleep(600)');
	spawn(command => [Taskq::Postgres::psql_program(), '-Xq', '-d', $pg->conninfo, '-c',
		"delete from taskq.idem where task_id = '" . $first->json->{id} . "'; select pg_sleep(600)"], out => '/dev/null');
	wait_for(sub { $pg->psql("select count(*) $held") == 1 }, 20, 'the lock to be held');
	my $r = submit('held-1', { task_type => 'mail' });
	is($r->status, 409, 'is in use');
	is($r->json->{code}, 'key_in_use', 'by its name');
	is($r->header('retry-after'), 1, 'and may be tried again');
	is(submit('held-2', { task_type => 'mail' })->status, 202, 'others are not held up');
	$pg->psql("select pg_terminate_backend(pid) $held");
	wait_for(sub { $r = submit('held-1', { task_type => 'mail' }); $r->status != 409 }, 20, 'the key to be free');
	is($r->body, $first->body, 'then it is a replay');
	cmp_ok($t->metric('taskq_idempotency_total', outcome => 'in_flight'), '>=', 1, 'counted');
};

subtest 'the trace' => sub {
	my $id = '4bf92f3577b34da6a3ce929d0e0e4736';
	my $parent = "00-$id-00f067aa0ba902b7-01";
	my $r = submit('trace-1', { task_type => 'mail' }, traceparent => $parent);
	is($r->json->{trace_id}, $id, 'comes from traceparent');
	is($t->task($r->json)->{trace_id}, $id, 'and is kept');
	is(submit('trace-1', { task_type => 'mail' }, traceparent => '00-' . '1' x 32 . '-00f067aa0ba902b7-01')->body, $r->body,
		'another trace is still the same request');
	is(submit('trace-2', { task_type => 'mail', trace_id => 'mine' }, traceparent => $parent)->json->{trace_id}, 'mine',
		'the body goes before the header');
	for my $bad ("ff-$id-00f067aa0ba902b7-01", '00-' . '0' x 32 . '-00f067aa0ba902b7-01', "00-$id-" . '0' x 16 . '-01', uc $parent,
		"$parent-x", 'x') {
		is(submit("trace-$bad", { task_type => 'mail' }, traceparent => $bad)->json->{trace_id}, undef, "not from $bad");
	}
	is(submit('trace-cc', { task_type => 'mail' }, traceparent => "cc-$id-00f067aa0ba902b7-01-later")->json->{trace_id}, $id,
		'a later version may say more');
};

subtest 'keys' => sub {
	my $before = stored();
	my $body = { task_type => 'mail' };
	my $r = $t->post('/v1/tasks', $body);
	is($r->status, 400, 'none');
	is($r->json->{code}, 'missing_key', 'is missing');
	like($r->json->{detail}, qr/Idempotency-Key/, 'and is named');
	for my $bad (['' => 'empty'], ['k' x 256 => 'too long'], ["k\xc3\xa9" => 'not ASCII'], ['"k' => 'no closing quote'], ['"k"x' => 'a tail']) {
		$r = submit($bad->[0], $body);
		is($r->status, 400, $bad->[1]);
		is($r->json->{code}, 'invalid_key', "$bad->[1] is invalid");
	}
	$r = $t->post('/v1/tasks', $body, headers => ['Idempotency-Key' => 'a', 'Idempotency-Key' => 'a']);
	is($r->json->{code}, 'invalid_key', 'two lines are too many');
	is(stored(), $before, 'nothing is stored');
	is(submit('k' x 255, $body)->status, 202, '255 characters are fine');
	is(submit('with space', $body)->header('idempotency-key'), 'with space', 'so is a space inside');
};

subtest 'what is counted' => sub {
	my $m = $t->metrics;
	is($t->metric('taskq_tasks_submitted_total', task_type => 'mail', queue => 'default'), stored(), 'a submission per task');
	is($t->metric('taskq_idempotency_total', outcome => 'new'), stored(), 'a new key per task');
	cmp_ok($t->metric('taskq_idempotency_total', outcome => 'replay'), '>=', 15, 'replays');
	is($t->metric('taskq_idempotency_total', outcome => 'mismatch'), 15, 'mismatches');
	cmp_ok($t->metric('taskq_http_requests_total', method => 'POST', route => '/v1/tasks', code => 202), '>=', stored(), 'answers by route');
	is($t->metric('taskq_http_requests_in_flight'), 1, 'only this one is in flight');
};

is($t->stop, 0, 'drained');
done_testing;
