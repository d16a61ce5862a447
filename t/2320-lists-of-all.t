#!/usr/bin/perl
# A task looks in a list as it does alone, wherever it is: a list that shows everything reads it by another statement.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => 'workers = 0');
$t->submit('first', {}, key => 'first', queue => 'q', group => 'g');
my $pg = Taskq->pg;

# Ranges that are shared by tasks, and one task of a batch after the other in a place of its own.  The leases are
# nobody's, so that nobody takes them away.
my $long = 20_000;
$pg->psql(<<"END");
create table public.of (n int primary key, id uuid, lane int);
insert into public.of select n, taskq.at(taskq.floor(now() - interval '10 s' + n / 20 * interval '1 ms'), 3 * (n % 20)), l.id
	from generate_series(0, 99) n, (select id from taskq.lane) l;
insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, payload)
	select id, 1, lane, -(n % 3), 5, now() - interval '10 s', convert_to(format('{"n":%s}', n), 'UTF8') from public.of;
update taskq.task t set payload = convert_to(to_json(repeat('a', $long))::text, 'UTF8') from public.of o where o.id = t.id and o.n in (13, 33, 34, 45);
END

sub id { return "(select id from public.of where n = $_[0])" }
sub tried { my ($n, $lease, $why, $ago, $message) = @_; $pg->psql("insert into taskq.tried (id, lease_id, bucket, why, run, worker, at, class, code, message) values
	(${\ id($n) }, $lease, 1, $why, 1, 7, now() - interval '$ago s', 1, 'C$n', '$message')") }
sub done { my ($n, $status, $result) = @_; $pg->psql("insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at, result)
	select id, 1, 5, lane, $status, 3, 2, 1, now(), $result from public.of where n = $n") }
sub waiting { my ($n) = @_; $pg->psql("insert into taskq.waiting (id, bucket, due_at, lane, prio, run, attempts, crashes, lost, why)
	select id, 1, now() + interval '1 day', lane, -(n % 3), 3, 2, 1, 1, 2 from public.of where n = $n") }
sub letter { my ($n, $lease, $resolved) = @_; $pg->psql("insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, died_at,
	payload, resolution, resolved_at) select id, $lease, 1, lane, 0, 4, 3, 2, 5, 'X', now(), now() - interval '5 s', '{}', " . ($resolved ? "$resolved, now() - interval '4 s'" : 'null, null') .
	" from public.of where n = $n") }
# Of `from` to `to`, which are of one batch.
sub lease { my ($from, $to, $lease) = @_; $pg->psql("insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended, at)
	select ${\ id($from) }, $lease, 1, ${\ id($to) }, lane, 0, 0, 2, 1, 1, 1, false, now() - interval '2 s' from public.of where n = $from") }
sub ready { my ($start, $from, $to, $run, $rid) = @_; $pg->psql("insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, run, attempts, crashes, lost)
	select lane, -(n % 3), ${\ id($start) }, $rid, 1, id, ${\ id($to) }, 1, $run, $run, $run, 1 from public.of where n = $from") }
sub amend { my ($n, $most, $payload) = @_; $pg->psql("insert into taskq.amend values (${\ id($n) }, 1, 1, $most, $payload)") }

# Batch 0: every second task is done.
done(2 * $_, 1 + $_ % 3, $_ % 2 ? "'{\"ok\":true}'" : 'null') for 0 .. 9;
tried($_, 5, 4, 3, 'tried once') for 2, 4, 6;
tried(2, 6, 1, 9, 'tried before');
done(13, 1, "convert_to('[1]', 'UTF8')");
done(15, 1, "convert_to(to_json(repeat('b', $long))::text, 'UTF8')");
waiting(17);
done(17, 3, 'null');
# Batch 1: leases; what left one of them is elsewhere.
lease(20, 26, 100);
lease(28, 30, 101);
tried(22, 100, 1, 1, 'left');
waiting(22);
tried(24, 100, 2, 1, 'dead');
letter(24, 100);
tried(25, 100, 1, 1, 'again');
lease(25, 25, 102);
done(26, 1, 'null');
tried(29, 99, 3, 1, 'by hand');
waiting(35);
tried(35, 98, 5, 1, 'put off');
# Batch 2: letters, some of them replayed; what was changed for the next try.
letter(40, 1);
tried(40, 1, 2, 5, 'it died');
letter(41, 2, 1);
tried(41, 2, 2, 6, 'before it was replayed');
letter(42, 3, 1);
tried(42, 3, 2, 6, 'before');
tried(42, 4, 1, 1, 'and after');
waiting(42);
letter(43, 3, 2);
amend(44, 9, 'null');
amend(45, 'null', "'{\"short\":1}'");
amend(46, 7, "convert_to(to_json(repeat('c', $long))::text, 'UTF8')");
# Batch 3: ready again, and a range that began below others.
ready(60, 72, 78, 0, 0);
ready(63, 63, 66, 2, 1);
ready(67, 67, 67, 3, 2);
tried(67, 50, 1, 2, 'ready again');

my %seen;
for my $limit (1000, 100, 20, 7, 1) {
	my ($target, @items) = ("/v1/tasks?limit=$limit");
	while ($target) {
		my $r = $t->get($target);
		is($r->status, 200, $target) or last;
		push @items, @{ $r->json->{items} };
		($target) = ($r->header('link') || '') =~ /^<([^>]+)>/;
	}
	is(scalar(@items), 101, "limit $limit: all of them");
	my @alone = map { $t->task($_->{id}) } @items;
	is_deeply(\@items, \@alone, "limit $limit: as each is alone");
	$seen{ $_->{status} }++ for @items;
	last if $limit == 1;
}
is_deeply([sort keys %seen], [qw(cancelled dead_letter failed pending processing succeeded)], 'all states were there');
is($t->stop, 0, 'drained');
done_testing;
