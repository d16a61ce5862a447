#!/usr/bin/perl
# Every event in every state: the moves of src/task/states.def happen, all others change nothing.  The statements are the daemon's;
# each case is tried with the task alone and, where that can be, under a lease that still lives because neighbours run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Interleave;
use Taskq::Machine qw(srcdir read_file);
use Taskq::Statement;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('transitions');

my %legal;
my $def = read_file(srcdir() . '/src/task/states.def');
$legal{"$1 $2"} = $3 while $def =~ /^TRANSITION\((\w+), (\w+), (\w+)\)/mg;
cmp_ok(scalar keys %legal, '>=', 16, 'the table has moves');
my @number = qw(NEW READY WAITING LEASED SUCCEEDED FAILED CANCELLED DEAD);

# Two tasks of a batch: 0 is the one that is moved; 1 keeps the lease alive where there is one.
my $base = $pg->psql('select taskq.floor(now())', db => $db);
chomp $base;
my $id = "taskq.at('$base', 0)";
my $other = "taskq.at('$base', 1)";
my $lease = "insert into taskq.lease values ($id, 100, 1, $other, 1, 0, 7, 0, 0, 0, 0, false)";
my $tried = "insert into taskq.tried (id, lease_id, bucket, why, run, worker) values ($id, 100, 1, 1, 1, 7)";
my @common = (
	'delete from taskq.' . join('; delete from taskq.', qw(done tried task ready lease waiting dead amend worker expiry)),
	'insert into taskq.queue (name) values (\'q\') on conflict do nothing',
	'insert into taskq.kind (name) values (\'k\') on conflict do nothing',
	'insert into taskq.lane overriding system value values (1, (select id from taskq.queue), (select id from taskq.kind)) on conflict do nothing',
	"insert into taskq.task select taskq.at('$base', n), 1, 1, 0, 5, now(), null, null, '{}' from generate_series(0, 1) n",
	"insert into taskq.worker (inc, node, boot, seq) values (7, 'a', '$base', 1)");
sub done { return "insert into taskq.done values ($id, 1, 100, 1, $_[0], 1, 1, 0, now())" }
my %rows = (
	READY => ["insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) values (1, 0, $id, 1, $id, $other, 2)"],
	WAITING => [$tried, "insert into taskq.waiting values ($id, 1, now(), 1, 0, 1, 1, 0, 0, false, 2)"],
	LEASED => [$lease],
	SUCCEEDED => [done(1)],
	FAILED => [done(2)],
	CANCELLED => [done(3)],
	DEAD => [$tried, "insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, payload)
		values ($id, 100, 1, 1, 0, 1, 1, 0, 5, 'X', now(), '{}')"],
);

my @left = ("array[$id]", "array[$id]", "array[100::int8]");
my @failure = ('array[1::int2]', 'array[0::int2]', 'array[1::int2]', "array['C']", "array['m']", 'array[1]', 'array[now()]', "array['']");
my @by = ("'me'", "'why'");
my $zero = "'00000000-0000-0000-0000-000000000000'";
my %events = (
	CLAIM => [['claim', 7, 2, 200, 'array[1]', 'array[-100::int2]', "array[$zero]::uuid[]", 'array[32768]', 'array[1]', 'array[1]', 'array[1]', 'array[16]']],
	SUCCEED => [['finish', "array[$id]", "array['1'::bytea]", @left[1, 2], 'array[1]', 'array[1]', 'array[false]']],
	RETRY => [['lease_share', @left[1, 2]], ['retry', @left, 'array[0::int8]', @failure]],
	RELEASE => [['lease_lock', @left[1, 2]], ['giveback', @left[1, 2], "array[$id]", 'array[1::int2]', 8000]],
	REAP => [['worker_delete', 7], ['worker_leases_lock', 7], ['reap', 7, 9000, 'null']],
	BURY => [['lease_share', @left[1, 2]], ['bury', @left, "array['X']", @failure]],
	CANCEL => [['cancel_waiting', $id, @by], ['cancel_ready', $id, 1, '0::int2', 900, @by], ['lease_cover_lock', $id], ['cancel_leased', $id, @by]],
	EXPIRE => [['expire_ready', 200, 9500], ['expire_waiting', 200, 9500], ['expire_rest', 200, 1000]],
	PROMOTE => [['promote', 7000]],
	REPLAY => [['retry_dead', $id, 3, 'false', 6000, 1, @by, "'k'", "''"]],
	HAND_RETRY => [['lease_cover_lock', $id], ['retry_mark', $id, 1], ['retry_failed', $id, 3, 'false', 6000, 1, @by]],
);
# A worker writes one outcome for a task of its lease and forgets it: that rule is run/'s, and the finish that is repeated after a
# lost line looks at tried.  The first, fast one does not.
my %by_code = map { $_ => 1 } 'WAITING SUCCEED', 'DEAD SUCCEED';

# It is late, and never started.
my @late = ("insert into taskq.expiry values ($id, 1, now() - interval '1 s', 1)", 'update taskq.waiting set run = 0');

my $run = Taskq::Interleave->new($pg->conninfo(db => $db));
my $moves = 0;
for my $state (sort keys %rows) {
	for my $living (0, 1) {
		next if $living && ($state eq 'READY' || $state eq 'LEASED');
		for my $event (sort keys %events) {
			next if $living && $by_code{"$state $event"};
			my $to = $legal{"$state $event"} || $state;
			$moves++ if $to ne $state;
			my $setup = join '; ', @common, @{ $rows{$state} }, $living ? $lease : (), $event eq 'EXPIRE' ? @late : ();
			my $get = Taskq::Statement->new('get')->with("array[$id]", $id, $id, 8000000, "array[taskq.at($id, 0)]");
			my ($seen) = $run->all($setup, [[$events{$event}]], first => 1, check => "select state from ($get) x");
			$seen =~ s{.*: |;.*}{}gs;
			is($number[$seen], $to, "$state $event" . ($living ? ', its lease lives' : ''));
		}
	}
}
cmp_ok($moves, '>=', 16, 'moves were made');
done_testing;
