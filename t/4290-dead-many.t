#!/usr/bin/perl
# Very many dead letters of a dozen causes beside finished tasks: what the summary and the first page cost does not follow their number.
# TASKQ_FULL=1: 200,000 letters and a million finished tasks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now wait_for);
use Test::More;

my ($letters, $done) = $ENV{TASKQ_FULL} ? (200_000, 1_000_000) : (2_000, 10_000);
my $t = Taskq->start(config => "handler fail { kind = builtin\n builtin = fail }\n");
sub sql { return Taskq->pg->psql($_[0]) }

# Best of some: the machine may be busy with other things.
sub timed {
	my ($path) = @_;
	my ($best, $last);
	for (1 .. 10) {
		my $begin = now();
		$last = $t->get($path);
		my $took = now() - $begin;
		$best = $took if !defined $best || $took < $best;
	}
	is($last->status, 200, $path);
	return ($best, $last->json);
}

# A lane, made as all are.
my $first = $t->wait_final($t->submit('fail', { error_class => 'NON_RETRYABLE', message => 'first' }, max_attempts => 1));
my $lane = sql("select lane from taskq.task where id = '$first->{id}'");
wait_for(sub { sql('select count(*) from taskq.dead where cause is null') == 0 }, 30, 'the first to be filed');
my ($few_summary) = timed('/v1/dead/summary');

# Ids of one millisecond each, some positions in each.
sub fill {
	my ($n, $hours) = @_;
	return "select taskq.at(taskq.floor(now() - interval '$hours h' + (g / 100) * interval '1 ms'), g % 100) id, g from generate_series(1, $n) g";
}
my $begin = now();
sql("insert into taskq.done select f.id, 1, 5, $lane, 1, 1, 1, 0, now(), '{}' from (" . fill($done, 3) . ") f;
	insert into taskq.task select f.id, 1, $lane, 0, 5, now(), null, null, '{}' from (" . fill($done, 3) . ") f");
sql("insert into taskq.task select f.id, 1, $lane, 0, 5, now(), null, null, '{}' from (" . fill($letters, 2) . ") f;
	insert into taskq.tried select f.id, 5, 1, 2, 1, 1, now(), now(), 1, 'C' || f.g % 12, 'row ' || f.g || ' is bad', 256 from (" . fill($letters, 2) . ") f;
	insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, exit, created_at,
		died_at, payload)
	select f.id, 5, 1, $lane, 0, 1, 1, 0, 1, 'RETRY_EXHAUSTED', 1, 'C' || f.g % 12, 'row ' || f.g || ' is bad', 256, now(),
		now() - f.g * interval '1 ms', '{\"a\": 1}' from (" . fill($letters, 2) . ') f');
note(sprintf '%.1f s to fill', now() - $begin);
$begin = now();
wait_for(sub { sql('select exists (select from taskq.dead where cause is null)') eq 'f' }, $ENV{TASKQ_FULL} ? 1800 : 60, 'all to be filed');
note(sprintf '%.1f s to file %d letters: %.0f/s', now() - $begin, $letters, $letters / (now() - $begin));
sql('vacuum analyze');

my ($summary, $sum) = timed('/v1/dead/summary');
is($sum->{open}, $letters + 1, 'all are counted');
is($sum->{causes_known}, 13, 'of thirteen causes');
my ($page, $list) = timed('/v1/dead');
is(scalar @{ $list->{items} }, 20, 'the first page');
my ($second) = timed("/v1/dead?cursor=$list->{next_cursor}");
my ($narrow, $coded) = timed('/v1/dead?code=C7&limit=100');
is(scalar @{ $coded->{items} }, 100, 'of one cause');
my ($rare, $none) = timed('/v1/dead?label=site=nowhere');
is_deeply($none->{items}, [], 'none fits');
ok(defined $none->{next_cursor} || !$ENV{TASKQ_FULL}, 'the look is bounded');
my ($one) = timed("/v1/dead/$list->{items}[5]{id}");
note(sprintf '%d letters, %d finished: summary %.1f ms (of one letter %.1f), first page %.1f, second %.1f, 100 of one code %.1f, a look for a rare label %.1f, a letter %.1f',
	$letters, $done, map { 1000 * $_ } $summary, $few_summary, $page, $second, $narrow, $rare, $one);
# Far from what it takes, and far from what reading the letters would.
cmp_ok($summary, '<', 2, 'the summary does not read them');
cmp_ok($page, '<', 2, 'nor does a page');

is($t->stop, 0, 'taskqd drained');
done_testing;
