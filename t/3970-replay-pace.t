#!/usr/bin/perl
# The pace of a replay: 6,000 letters at 100 a second, while the keeper and then the supervisor are killed with SIGKILL.  No window of ten
# seconds has more than 105 per cent of the rate, those in which nobody died have 95 at least, and each letter is replayed once.
#
# A soak, so it runs only when TASKQ_FULL=1 (scripts/test --full).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

plan skip_all => 'a soak: set TASKQ_FULL=1' if !$ENV{TASKQ_FULL};
my ($letters, $rate, $window) = (6000, 100, 10);

sub config { my ($builtin) = @_; return "drain_timeout = 2s\nkill_grace = 200ms\nhandler a { kind = builtin builtin = $builtin breaker = off retry_window = 0 }\n" }
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => config('fail'));
sub value { my $answer = $pg->psql($_[0]); chomp $answer; return $answer }
for my $batch (1 .. $letters / 1000) {
	my $r = $t->post('/v1/tasks/batch', [map { { task_type => 'a', max_attempts => 1, idempotency_key => "$batch-$_" } } 1 .. 1000]);
	die $r->body if $r->status != 200;
}
wait_for(sub { value('select count(*) from taskq.dead where cause is not null') == $letters }, 120, 'the letters to be filed');
my $old = $t->role_pid('worker');
$t->hup(config('noop'));
wait_for(sub { !kill 0, $old }, 60, 'the worker of before to be gone');

my $r = $t->post('/v1/dead/replays', { filter => { task_type => 'a' }, rate => $rate, slow_start => 0, concurrency => 1000, by => 'me', why => 'soak' });
is($r->status, 201, 'a replay is made');
my $id = $r->json->{id};
sub moved { return value("select moved from taskq.sweep where id = $id") }
sub clock { return value('select extract(epoch from clock_timestamp())') }

# What dies in the middle, and from when until when the pace may suffer.
my @disturbed;
sub disturb {
	my ($what, $at, $back) = @_;
	wait_for(sub { moved() >= $at }, 120, "letter $at");
	my $begin = clock();
	my $before = moved();
	$back->();
	wait_for(sub { moved() > $before + $rate }, 120, 'the replay to go on');
	push @disturbed, [$begin - 1, clock() + 1];
	note(sprintf '%s: back after %.1f s', $what, $disturbed[-1][1] - $begin - 1);
	return;
}
disturb('the keeper', $letters * 0.3, sub { $t->kill9('keeper') });
disturb('the supervisor', $letters * 0.6, sub {
	my $tree = $t->tree;
	$t->kill9('supervisor');
	wait_for(sub { $t->gone($tree) }, 60, 'every process to be gone');
	$t->launch;
});
my $end = wait_for(sub { my $s = $t->get("/v1/dead/replays/$id")->json; $s->{state} eq 'done' && $s }, 180, 'the end of the replay');
is(join(' ', @$end{qw(moved succeeded failed cancelled in_flight)}), "$letters $letters 0 0 0", 'all were replayed and succeeded');
is(value("select count(*) || ' ' || count(distinct id) from taskq.dead where sweep = $id and resolution = 1"), "$letters $letters", 'each letter once');
is(value('select count(*) from taskq.dead'), $letters, 'none died again');
is(value('select count(*) from taskq.done where status = 1'), $letters, 'each task ended once');
is(value('select count(*) from taskq.cause where open + (select coalesce(sum(n), 0) from taskq.cause_delta where cause = cause.id) <> 0'), 0, 'no cause has an open one');

my @at = split /\n/, $pg->psql("select extract(epoch from resolved_at) from taskq.dead where sweep = $id order by resolved_at");
my ($most, $last) = (0, 0);
for my $first (0 .. $#at) {
	$last++ while $last < @at && $at[$last] < $at[$first] + $window;
	$most = $last - $first if $last - $first > $most;
}
cmp_ok($most, '<=', 1.05 * $rate * $window, sprintf 'no window of %d s has more than 105 per cent: %d letters at most', $window, $most);
my ($least, $windows) = (1e9, 0);
for (my $begin = $at[0]; $begin + $window <= $at[-1]; $begin += 0.5) {
	next if grep { $begin < $_->[1] && $begin + $window > $_->[0] } @disturbed;
	my $n = grep { $_ >= $begin && $_ < $begin + $window } @at;
	$windows++;
	$least = $n if $n < $least;
}
cmp_ok($windows, '>', 10, 'there are windows in which nobody died');
cmp_ok($least, '>=', 0.95 * $rate * $window, sprintf 'those have 95 per cent at least: %d letters', $least);
is($t->stop, 0, 'taskqd drained');
done_testing;
