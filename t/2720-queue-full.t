#!/usr/bin/perl
# The depth of a queue: what is beyond the limit is refused, a known key is answered as ever, and room is found again when tasks run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $conf = "handler noop { kind = builtin }\nhandler nap { kind = builtin builtin = sleep }";
my $t = Taskq->start(config => "acceptors = 2\nworkers = 0\nkeys { recent = 0 }\nlimits { queue_depth = 20 }\n$conf");

sub post {
	my ($key, %o) = @_;
	return $t->post('/v1/tasks', { task_type => 'noop', %o }, headers => { 'Idempotency-Key' => $key });
}
sub stored { return Taskq->pg->psql('select count(*) from taskq.task') }

# A burst between two measurements, over connections to both acceptors, stops at the limit.
my @conns = map { $t->connect } 1 .. 12;
my (%got, %first, $r);
my ($round, $sent) = (0, 0);
sub round {
	$round++;
	$sent += @conns;
	$conns[$_]->send_request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => "k$round-$_" }) for 0 .. $#conns;
	for (0 .. $#conns) {
		$r = $conns[$_]->response;
		$got{ $r->status }++;
		$first{"k$round-$_"} = $r if $r->status == 202;
	}
}
round() for 1 .. 5;
# What is in flight while a measurement is made is not seen by it, and counts when it is stored; or is seen, and counts twice until
# the next one.
wait_for(sub { round(); $got{202} >= 20 }, 20, 'twenty to be taken') if $got{202} < 20;
my $taken = $got{202};
cmp_ok($taken, '<=', 20 + @conns, 'and no more than are in flight beside them');
is($taken + $got{429}, $sent, 'the others are refused');
is(stored(), $taken, 'and not stored');

subtest 'refused' => sub {
	$r = post('new');
	is($r->status, 429, 'status');
	is($r->json->{code}, 'queue_full', 'code');
	like($r->json->{detail}, qr/^in the queue "default" [23]\d tasks wait and 20 may$/, 'queue, depth and limit');
	ok($r->header('retry-after'), 'Retry-After');
	is(post('new', queue => 'other')->status, 202, 'another queue has room');
	is($t->metric('taskq_refused_total', reason => 'queue_full'), $got{429} + 1, 'counted');
};

subtest 'known keys' => sub {
	for my $key ((sort keys %first)[0, 7, -1]) {
		$r = post($key);
		is($r->status, 202, "$key again");
		is($r->header('idempotent-replayed'), 'true', 'is a replay');
		is($r->body, $first{$key}->body, 'of the same bytes');
	}
	$r = post((sort keys %first)[0], payload => { other => 1 });
	is($r->status, 422, 'another body');
	my @again = map { $t->connect } 1 .. 20;
	my @keys = sort keys %first;
	$again[$_]->send_request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => $keys[$_] }) for 0 .. 19;
	is(scalar(grep { ($_->response->header('idempotent-replayed') || '') eq 'true' } @again), 20, 'twenty at once');
	$r = $t->post('/v1/tasks/batch', [map({ { idempotency_key => $_, task_type => 'noop' } } @keys, 'fresh'), { idempotency_key => $keys[5], task_type => 'nap' }]);
	my $of = $r->json;
	is($of->{replayed}, scalar(@keys), 'and all of them in bulk') or diag($r->body);
	is_deeply([@$of{qw(full mismatch accepted)}], [1, 1, 0], 'beside one that is new and one that is another task');
	is_deeply([map { $_->{id} } grep { $_->{verdict} eq 'replayed' } @{ $of->{items} }], [map { $first{$_}->json->{id} } @keys], 'each with its task');
	is(stored(), $taken + 1, 'and nothing was stored');
};

subtest 'measured' => sub {
	# What others do is seen, by the measurement that comes next.
	Taskq->pg->psql('delete from taskq.ready');
	wait_for(sub { post('after')->status == 202 }, 20, 'the keeper to see that there is room');
	pass('room that somebody else made is found');
	my ($later, $delayed) = (0, 0);
	wait_for(sub {
		post('later' . ++$later, run_at => '2099-01-01T00:00:00Z') for 1 .. 10;
		return ($delayed = Taskq->pg->psql('select count(*) from taskq.waiting')) >= 19;
	}, 20, 'delayed tasks up to the limit');
	is(post('later', run_at => '2099-01-01T00:00:00Z')->json->{code}, 'queue_full', 'delayed tasks count');
	cmp_ok($delayed, '<=', 20, 'up to the limit');
	Taskq->pg->psql("insert into taskq.waiting (id, bucket, due_at, lane, prio, why)
		select gen_random_uuid(), bucket, due_at, (select l.id from taskq.lane l join taskq.queue q on q.id = l.queue_id where q.name = 'other'), prio, why from taskq.waiting");
	my $i = 0;
	wait_for(sub { post('theirs' . ++$i, queue => 'other', run_at => '2099-01-01T00:00:00Z')->status == 429 }, 20, 'what another node stored');
	pass('what another node stored is found');
	is(post('still')->status, 429, 'and this queue is still full after a measurement');
};

subtest 'with workers' => sub {
	Taskq->pg->psql('delete from taskq.waiting');
	my %old = map { $_->{pid} => 1 } $t->roles('acceptor');
	$t->configure("acceptors = 2\nworkers = 1\nlimits { queue_depth = 20 }\n$conf");
	$t->hup;
	wait_for(sub { my @now = $t->roles('acceptor'); @now == 2 && !grep { $old{ $_->{pid} } } @now }, 30, 'other processes');
	# Ten times the limit goes through while tasks run: started ones make room at once.
	my $c = $t->connect;
	my $tries = 0;
	for my $i (1 .. 200) {
		wait_for(sub { $tries++; $c->request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => "run$i" })->status == 202 }, 20, "room for $i");
	}
	pass("two hundred of twenty in $tries tries");
	wait_for(sub { Taskq->pg->psql("select count(*) from taskq.done") >= 200 }, 30, 'all to run');
	is($t->stop, 0, 'taskqd drained');
};
done_testing;
