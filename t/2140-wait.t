#!/usr/bin/perl
# Prefer: wait=N (RFC 7240): a submission and a read are answered when the task is final, or after N seconds, with the state of that moment;
# the answer that a key keeps is the plain one all the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now);
use Taskq::Postgres;
use Taskq::Proxy;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $config = "work { poll = 100ms }\nhandler echo { kind = builtin builtin = echo }\nhandler fail { kind = builtin builtin = fail }\n";
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => $config);

my $serial = 0;
sub submit {
	my ($prefer, $body, $key) = @_;
	$key = 'w-' . ++$serial if !defined $key;
	return $t->post('/v1/tasks', $body, headers => ['Idempotency-Key' => $key, map { (Prefer => $_) } ref $prefer ? @$prefer : defined $prefer ? $prefer : ()]);
}
sub get { my ($task, $prefer) = @_; return $t->get("/v1/tasks/$task->{id}", headers => defined $prefer ? { Prefer => $prefer } : {}) }
sub waiting { return $t->metric('taskq_http_requests_waiting') }
sub took { my ($sub) = @_; my $begin = now(); my $r = $sub->(); return ($r, now() - $begin) }
my $later = { task_type => 'echo', delay => 3600 };

subtest 'a submission waits for its task' => sub {
	my ($r, $took) = took(sub { submit('wait=30', { task_type => 'echo', payload => { n => 1 } }, 'first') });
	is($r->status, 200, 'answered as a read is');
	is($r->json->{status}, 'succeeded', 'with the end');
	is_deeply($r->json->{result}, { n => 1 }, 'and the result');
	is($r->header('preference-applied'), 'wait=30', 'it says that it waited');
	is($r->header('location'), "/v1/tasks/" . $r->json->{id}, 'where the task is');
	is($r->header('idempotency-key'), 'first', 'and the key');
	is($r->header('idempotent-replayed'), undef, 'it is no replay');
	cmp_ok($took, '<', 25, 'not for the whole time');
	my $plain = submit(undef, { task_type => 'echo', payload => { n => 1 } }, 'first');
	is($plain->status, 202, 'the kept answer is the plain one');
	is($plain->json->{status}, 'pending', 'of the moment of submission');
	is($plain->header('idempotent-replayed'), 'true', 'as a replay');
	is($plain->header('preference-applied'), undef, 'that did not wait');
	my $again = submit('wait=30', { task_type => 'echo', payload => { n => 1 } }, 'first');
	is($again->status, 200, 'a replay may wait too');
	is_deeply($again->json, $r->json, 'for the same end');
	is($again->header('idempotent-replayed'), 'true', 'and says what it is');
	is(submit('wait=30', { task_type => 'echo' }, 'first')->status, 422, 'another body does not');
	is(submit('wait=30', { task_type => 'fail', max_attempts => 1 })->json->{status}, 'dead_letter', 'death is an end');
};

subtest 'not for ever' => sub {
	my ($r, $took) = took(sub { submit('wait=1', $later, 'long') });
	is($r->status, 200, 'answered as a read is');
	is($r->json->{status}, 'pending', 'with the state as it is');
	cmp_ok($took, '>=', 1, 'after the time');
	my ($get, $get_took) = took(sub { get($r->json, 'wait=1') });
	is_deeply([$get->status, $get->json->{status}, $get->header('preference-applied')], [200, 'pending', 'wait=1'], 'a read does the same');
	cmp_ok($get_took, '>=', 1, 'in the same time');
	is(submit('wait=0', $later)->status, 200, 'no time at all is a time');
};

subtest 'a read waits' => sub {
	my $task = submit(undef, $later)->json;
	my $c = $t->connect;
	$c->send_request('GET', "/v1/tasks/$task->{id}", headers => { Prefer => 'wait=30' });
	wait_for(sub { waiting() == 1 }, 20, 'the read to wait');
	is($t->post("/v1/tasks/$task->{id}/cancel", '')->status, 200, 'until somebody cancels it');
	my $r = $c->response;
	is_deeply([$r->status, $r->json->{status}, $r->header('preference-applied')], [200, 'cancelled', 'wait=30'], 'which is an end');
	is(get($task, 'wait=30')->json->{status}, 'cancelled', 'what is final is told at once');
	is(get($task)->header('preference-applied'), undef, 'who does not ask does not wait');
	is(get({ id => '0190d3f2-7c1e-7000-8000-000000000000' }, 'wait=30')->status, 404, 'nor for what is not there');
	is(waiting(), 0, 'nobody waits any more');
};

subtest 'what is said' => sub {
	for my $prefer ('wait', 'wait=', 'wait=-1', 'wait=1.5', 'wait=x', 'wait="5', 'respond-async', '', 'x="wait=5"', 'x=";,wait=5"', 'x; wait=5', 'await=5',
		'wait=x, wait=0', ['wait=x', 'wait=0']) {
		my $r = submit($prefer, $later);
		is_deeply([$r->status, $r->header('preference-applied')], [202, undef], 'not understood: ' . (ref $prefer ? "@$prefer" : $prefer));
	}
	for my $prefer ('wait=0', 'WAIT=0', 'wait="0"', 'wait = 0', 'wait=0; x=y', 'respond-async, wait=0', 'x="a\\", wait=9", wait=0', ',,wait=0', 'wait=0, wait=9',
		['respond-async', 'wait=0'], ['wait=0', 'wait=9']) {
		my $r = submit($prefer, $later);
		is_deeply([$r->status, $r->header('preference-applied')], [200, 'wait=0'], 'understood: ' . (ref $prefer ? "@$prefer" : $prefer));
	}
	is(submit('wait=99999999999999999999', { task_type => 'echo' })->header('preference-applied'), 'wait=60', 'most is a minute');
	is($t->post('/tasks', { task_type => 'echo', payload => {} }, headers => { 'Idempotency-Key' => 'old', Prefer => 'wait=9' })->status, 202,
		'the compatible surface does not know it');
};

subtest 'a client that goes' => sub {
	my $task = submit(undef, $later)->json;
	my ($gone, $half) = map { $t->connect } 1 .. 2;
	$_->send_request('GET', "/v1/tasks/$task->{id}", headers => { Prefer => 'wait=30' }) for $gone, $half;
	wait_for(sub { waiting() == 2 }, 20, 'both to wait');
	$gone->close;
	wait_for(sub { waiting() == 1 }, 20, 'one to be forgotten');
	$half->finish;
	is($half->response->json->{status}, 'pending', 'who has said his last word is answered');
	wait_for(sub { waiting() == 0 }, 20, 'nobody to wait');
};

subtest 'a thousand may wait' => sub {
	my $task = submit(undef, $later)->json;
	my @c = map { $t->connect } 1 .. 64;
	my $request = "GET /v1/tasks/$task->{id} HTTP/1.1\r\nHost: x\r\nPrefer: wait=50\r\n\r\n";
	for my $n (1 .. 64) { # little by little: the database is asked for each of them first
		$c[$n - 1]->write($request x 16);
		wait_for(sub { waiting() == (16 * $n < 1000 ? 16 * $n : 1000) }, 20, "request $n to wait") if $n % 4 == 0;
	}
	is(submit('wait=50', $later)->status, 202, 'the next one does not wait');
	$t->post("/v1/tasks/$task->{id}/cancel", '');
	my %status;
	for my $c (@c) { $status{ $c->response->json->{status} }++ for 1 .. 16 }
	is($status{cancelled} + ($status{pending} || 0), 1024, 'all are answered');
	cmp_ok($status{cancelled}, '>=', 1000, 'those that waited with the end');
};

subtest 'a state that cannot be read' => sub {
	my $patient = $t;
	$t = Taskq->start(pg => $pg, proxy => $proxy, migrate => 0, config =>
		"workers = 0\nhttp { request_timeout = 3s }\npostgres { deadline = 2s\n statement_timeout = 1s\n lock_timeout = 100ms }\n$config");
	$proxy->random(on => '\b(?:get|settled)\b', p => 1, how => ['before'], seed => 1);
	my $r = submit('wait=1', $later, 'unread');
	is($r->status, 202, 'then a submission has its plain answer');
	is($r->header('preference-applied'), undef, 'which did not wait');
	my $get = get($r->json, 'wait=1');
	is($get->status, 503, 'and a read has none');
	cmp_ok($proxy->fired, '>', 0, 'the line was cut');
	$proxy->pass;
	is(submit(undef, $later, 'unread')->body, $r->body, 'the same as ever');
	is($t->stop, 0, 'drained');
	$t = $patient;
};

subtest 'a shorter patience' => sub {
	$t->hup("http { wait_max = 1s }\n$config", proxy => $proxy);
	my $task = submit(undef, $later)->json;
	ok(wait_for(sub { (get($task, 'wait=9')->header('preference-applied') || '') eq 'wait=1' }, 30, 'the new limit'), 'the new limit');
	$t->hup("http { wait_max = 0 }\n$config", proxy => $proxy);
	ok(wait_for(sub { !defined get($task, 'wait=1')->header('preference-applied') }, 30, 'no waiting at all'), 'no waiting at all');
	$t->hup($config);
	ok(wait_for(sub { (get($task, 'wait=0')->header('preference-applied') || '') eq 'wait=0' }, 30, 'the old one'), 'the old one');
};

subtest 'a drain' => sub {
	my $task = submit(undef, $later)->json;
	my ($read, $write) = map { $t->connect } 1 .. 2;
	$read->send_request('GET', "/v1/tasks/$task->{id}", headers => { Prefer => 'wait=50' });
	$write->send_request('POST', '/v1/tasks', json => $later, headers => { 'Idempotency-Key' => 'drain', Prefer => 'wait=50' });
	wait_for(sub { waiting() == 2 }, 20, 'both to wait');
	my ($status, $took) = took(sub { $t->stop });
	is($status, 0, 'ends');
	cmp_ok($took, '<', 20, 'without them');
	for my $c ($read, $write) {
		my $r = $c->response;
		is_deeply([$r->status, $r->json->{status}, $r->header('connection')], [200, 'pending', 'close'], 'who had an answer each');
	}
};

done_testing;
