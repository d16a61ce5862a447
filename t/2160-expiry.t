#!/usr/bin/perl
# A key goes after its time, but never before its task is final; and however many have expired, they go in small batches that those who
# submit do not feel.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now);
use Taskq::Postgres;
use Test::More;

my $many = 20_000;
my $pg = Taskq::Postgres->new(private => 1, fsync => 0, settings => { log_min_duration_statement => 0 });
my $t = Taskq->start(pg => $pg, config => 'workers = 0 keys { recent = 0 }');

sub submit {
	my ($key) = @_;
	return $t->post('/v1/tasks', '{"task_type":"mail"}', headers => { 'Idempotency-Key' => $key });
}
sub keys_left { return $pg->psql("select count(*) from taskq.idem where $_[0]") + 0 }
sub expire { $pg->psql("update taskq.idem set expires_at = now() - interval '1 minute' where task_id = '$_[0]'") }

my ($open, $final) = map { submit($_) } 'open', 'final';
my ($open_id, $final_id) = map { $_->json->{id} } $open, $final;
is($t->post("/v1/tasks/$final_id/cancel", '')->status, 200, 'one of two tasks ends');
my $lived = submit('lives');
$t->post('/v1/tasks/' . $lived->json->{id} . '/cancel', '');

my @before = map { my $begin = now(); submit("before-$_"); now() - $begin } 1 .. 100;

# Keys of tasks that have ended, all expired at once.
$pg->psql(qq{
	create temporary table made as
	select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid id, n from generate_series(1, $many) n;
	insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, payload)
	select m.id, 0, t.lane, 0, 1, now() - interval '2 days', '{}' from made m, (select lane from taskq.task limit 1) t;
	insert into taskq.done (id, bucket, lane, status, run, attempts, crashes, finished_at)
	select m.id, 0, t.lane, 3, 1, 1, 0, now() from made m, (select lane from taskq.task limit 1) t;
	insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at)
	select md5(n::text)::uuid, 0, decode(repeat('00', 32), 'hex'), id, 1, 1, now() - interval '1 hour' from made;
});
expire($_) for $open_id, $final_id;
my $begin = now();
my (@during, $n);
while (keys_left("expires_at < now()") > 1 && now() < $begin + Taskq::Machine::patience(40)) {
	for (1 .. 10) {
		my $sent = now();
		my $r = submit('during-' . ++$n);
		push @during, now() - $sent;
		die "a submission was answered with $r->{status}\n" if $r->status != 202;
	}
}
my $took = now() - $begin;
is(keys_left('expires_at < now()'), 1, "$many expired keys are gone, and one is left");
is(keys_left("task_id = '$open_id'"), 1, 'that of the task that has not ended');
is(submit('open')->body, $open->body, 'it is still a replay');
is(submit('lives')->body, $lived->body, 'as is a key whose time is not over, of a task that has ended');
my $again = submit('final');
is($again->header('idempotent-replayed'), undef, 'a key that is gone is free');
isnt($again->json->{id}, $final_id, 'for a new task');

# The statements of the purge as Postgres saw them: how long each held its rows.
my @purges = $pg->log =~ /duration: ([\d.]+) ms  execute purge_keys/g;
my @sorted = sort { $a <=> $b } @purges;
my ($median_before, $median) = map { (sort { $a <=> $b } @$_)[$#$_ / 2] } \@before, \@during;
diag(sprintf '%d keys in %.1f s, %d batches, half of them below %.0f ms, all below %.0f ms; a submission took %.1f ms before, %.1f ms beside it (all below %.0f ms)',
	$many, $took, scalar @purges, $sorted[ @sorted / 2 ], $sorted[-1], 1000 * $median_before, 1000 * $median, 1000 * (sort { $b <=> $a } @during)[0]);
cmp_ok(scalar @purges, '>=', $many / 500, 'in small batches');
cmp_ok($sorted[ @sorted / 2 ], '<', 250, 'each of which is short');
cmp_ok($median, '<', 3 * $median_before + 0.02, 'beside which submissions go on as before');

$t->post("/v1/tasks/$open_id/cancel", '');
wait_for(sub { keys_left('expires_at < now()') == 0 }, 90, 'the last key to go with its task');
is(keys_left("task_id = '$open_id'"), 0, 'when its task has ended, the key goes');
is($t->stop, 0, 'drained');
done_testing;
