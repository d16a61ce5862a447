#!/usr/bin/perl
# Age against queue on one screen: what is ready, waits, runs and is dead stands in its span of age, also when there is more than is looked at.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => <<'CONF');
handler noop { kind = builtin builtin = noop }
handler nap { kind = builtin builtin = sleep }
CONF
my $pg = Taskq->pg;

sub shape {
	my ($query) = @_;
	my $s = $t->get('/v1/queues/shape' . ($query // ''))->json;
	return { map { (join(' ', grep { defined } @$_{qw(queue task_type state)}) => $_) } @{ $s->{items} } };
}
sub ages { my (%n) = @_; return [map { $n{$_} // 0 } 0 .. 9] }

is_deeply($t->get('/v1/queues/shape')->json, { minutes => [5, 10, 20, 40, 80, 160, 320, 640, 1280], at_least => JSON::PP::false(), items => [] }, 'nothing is there');

subtest 'young' => sub {
	$t->submit('noop', {}, delay => 3600, queue => 'mail') for 1 .. 3;
	my $run = $t->submit('nap', { seconds => 600 }, queue => 'mail');
	$t->wait_status($run, qr/^processing$/);
	is($t->post('/v1/queues/held/pause', '')->status, 200, 'a queue is held');
	$t->submit('noop', {}, queue => 'held') for 1 .. 2;
	my $s = shape();
	is_deeply([sort keys %$s], ['held ready', 'mail processing', 'mail waiting'], 'what is there is shown');
	is_deeply($s->{'mail waiting'}{ages}, ages(0 => 3), 'waiting');
	is_deeply($s->{'mail processing'}{ages}, ages(0 => 1), 'processing');
	is_deeply($s->{'held ready'}{ages}, ages(0 => 2), 'ready');
	is($s->{'held ready'}{total}, 2, 'and their sum');
	is_deeply([sort keys %{ shape('?queue=held') }], ['held ready'], 'one queue');
	is_deeply([sort keys %{ shape('?by=type') }], ['held noop ready', 'mail nap processing', 'mail noop waiting'], 'by type');
	is($t->post("/v1/tasks/$run->{id}/cancel", '')->status, 200, 'the running one is cancelled');
};

# Tasks of a time gone by: nobody runs them, for their queue is paused.
sub old {
	my ($lane, $minutes, $n) = @_;
	$pg->psql(<<"SQL");
insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n)
select $lane, 0, taskq.at(taskq.floor(now() - interval '$minutes min' + g * interval '1 ms'), 0), 1, 1, taskq.at(taskq.floor(now() - interval '$minutes min' + g * interval '1 ms'), 0),
	taskq.at(taskq.floor(now() - interval '$minutes min' + g * interval '1 ms'), 1), 2 from generate_series(1, $n) g
SQL
	return;
}

subtest 'old' => sub {
	my $lane = $pg->psql(q{select l.id from taskq.lane l join taskq.queue q on q.id = l.queue_id where q.name = 'held'});
	old($lane, 7, 1);
	old($lane, 30, 2);
	old($lane, 100_000, 1);
	my $cause = $pg->psql(<<"SQL");
insert into taskq.cause (queue_id, kind_id, reason, class, code, fingerprint, schema_version, sample, first_at, last_at, filed, open)
select l.queue_id, l.kind_id, 'NON_RETRYABLE', 3, 'X', gen_random_uuid(), '', '', now(), now(), 5, 5 from taskq.lane l where l.id = $lane returning id
SQL
	my $letters = sub {
		my ($minutes, $n) = @_;
		$pg->psql(<<"SQL");
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, died_at, payload, cause, history)
select gen_random_uuid(), 1, 1, $lane, 0, 1, 1, 0, 5, 'NON_RETRYABLE', now(), now() - interval '$minutes min', '{}', $cause, '[]' from generate_series(1, $n)
SQL
	};
	$letters->(@$_) for [1, 2], [15, 3], [5000, 1];
	my $s = shape();
	is_deeply($s->{'held ready'}{ages}, ages(0 => 2, 1 => 2, 3 => 4, 9 => 2), 'ranges stand in the span of their age');
	is_deeply($s->{'held dead'}{ages}, ages(0 => 2, 2 => 3, 9 => 1), 'letters too');
	is_deeply(shape('?queue=held&by=type')->{'held noop dead'}{ages}, ages(0 => 2, 2 => 3, 9 => 1), 'by type as well');
	is($t->get('/v1/queues/shape')->json->{at_least}, JSON::PP::false(), 'that is all there is');
	$letters->(3, 1100);
	$s = shape();
	is($s->{'held dead'}{total}, 1000, 'of many letters the oldest are looked at');
	is($s->{'held dead'}{ages}[9], 1, 'the oldest ones');
	is($t->get('/v1/queues/shape')->json->{at_least}, JSON::PP::true(), 'and that is said');
};

my %bad = ('by=age' => 'invalid_parameter', 'queue=' => 'invalid_parameter', 'type=x' => 'unknown_parameter', 'by=type&by=type' => 'repeated_parameter');
is($t->get("/v1/queues/shape?$_")->json->{code}, $bad{$_}, "$_ is refused") for sort keys %bad;

is($t->stop, 0, 'taskqd drained');
done_testing;
