#!/usr/bin/perl
# kill -9 of a worker and of the keeper at the places where a task is between two hands: before a statement was sent, when it is on its way,
# when it is answered and nobody has read the answer.  Each task ends once, none spends an attempt, and none runs twice that need not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my (undef, $version) = slurp_command(command => [Taskq->program, '-V']);
plan skip_all => 'taskqd was configured without --enable-failpoints' if $version !~ /failpoints on/;

my $dir = temp_dir('k');
my $fuses = temp_dir('f');
chmod 0777, $_ for $dir, $fuses;
# Each run leaves a line; the first of one that is to fail does.
shell_command($dir, mark => "read -r line\n" . note_run($dir) . <<"SH");
case \$line in *'"fail":true'*) [ "\$(wc -l <$dir/runs.\$id)" -gt 1 ] || exit 1 ;; esac
echo 1
SH

# tasks: how many; runs and attempts: least and most of each; fail: its first run does.
my @points = (
	['sql.claim.before', 'nothing was claimed', tasks => 5],
	['sql.claim.sent', 'all of a claim or nothing', tasks => 5],
	['sql.claim.answered', 'claimed and not started', tasks => 5],
	['sql.finish.before', 'an outcome that was not sent', runs => [2, 2]],
	['sql.finish.sent', 'an outcome that may be written or not', runs => [1, 2]],
	['sql.finish.answered', 'an outcome that is written'],
	['sql.retry.before', 'a failure that was not sent', fail => 1, runs => [2, 2]],
	['sql.retry.sent', 'a failure that may be written or not', fail => 1, runs => [2, 2], attempts => [1, 2]],
	['sql.retry.answered', 'a failure that is written', fail => 1, runs => [2, 2], attempts => [2, 2]],
	['sql.worker_beat.sent', 'a heartbeat', tasks => 5, runs => [1, 2]],
	['sql.lane_heads.sent', 'a look at the lanes', tasks => 5, runs => [1, 2]],
	['sql.promote.before', 'a promotion that was not sent', tasks => 5, fail => 1, runs => [2, 2], attempts => [2, 2]],
	['sql.promote.sent', 'a promotion', tasks => 5, fail => 1, runs => [2, 2], attempts => [2, 2]],
	['sql.promote.answered', 'a promotion that is done', tasks => 5, fail => 1, runs => [2, 2], attempts => [2, 2]],
	['sql.reap.before', 'the release of a dead worker, not begun', tasks => 5, runs => [1, 2]],
	['sql.reap.sent', 'the release of a dead worker, in its middle', tasks => 5, runs => [1, 2]],
	['sql.reap.answered', 'the release of a dead worker, done', tasks => 5, runs => [1, 2]],
);

my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(
	config => "work { poll = 500ms\n slots = 8\n crash_max = 20\n lease = 10min }\n" . # nothing is left to the end of a lease
		"handler mark { command = {\"$dir/mark\"}\n retry_base = 10ms\n retry_cap = 20ms }\n",
	env => { TASKQ_FP => join(';', map { "$_->[0]=kill9" } @points), TASKQ_FP_FUSES => $fuses });

sub runs { return scalar noted_runs($dir, @_) }
sub beyond { my ($range, @n) = @_; return scalar grep { $_ < $range->[0] || $_ > $range->[1] } @n }
sub busy { return $pg->psql("select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and backend_type = 'client backend'") }

# So that one claim finds all: the worker rests, with nothing under way, until they are there.
sub submit_all {
	my ($point, $n, $fail) = @_;
	my $worker = $point =~ /claim/ ? $t->role_pid('worker') : undef;
	if (defined $worker) {
		kill 'STOP', $worker;
		wait_for(sub { busy() == 0 }, 20, 'the sessions to rest');
	}
	write_file("$fuses/$point", '');
	my @tasks = map { $t->submit('mark', { fail => $fail ? \1 : \0 }) } 1 .. $n;
	kill 'CONT', $worker if defined $worker;
	return @tasks;
}

my $all = 0;
for my $row (@points) {
	my ($point, $what, %o) = @$row;
	subtest "$point: $what" => sub {
		my ($n, $runs, $attempts) = ($o{tasks} || 1, $o{runs} || [1, 1], $o{attempts} || [1, 1]);
		my $dead = $point =~ /promote|reap/ ? 'keeper' : 'worker';
		my $pid = $t->role_pid($dead);
		my @tasks = submit_all($point, $n, $o{fail});
		$all += $n;
		$t->kill9('worker') if $point =~ /reap/;
		wait_for(sub { !-e "$fuses/$point" }, 60, "a process to be killed at $point");
		ok(wait_for(sub { $t->role_pid($dead) != $pid }, 60, "the next $dead"), "the $dead was killed there");
		my @ends = map { $t->wait_final($_, 60) } @tasks;
		is_deeply([map { $_->{status} } @ends], [('succeeded') x $n], 'it succeeds');
		is(beyond($attempts, map { $_->{attempts} } @ends), 0, "at attempt @$attempts") or diag(join ' ', map { $_->{attempts} } @ends);
		is(beyond($runs, map { runs($_) } @tasks), 0, "after @$runs runs") or diag(join ' ', map { runs($_) } @tasks);
	};
}

is($pg->psql('select count(*) from taskq.task'), $all, 'no task more than were sent');
is($pg->psql('select count(*) from taskq.done where status = 1'), $all, 'each ended once');
is($pg->psql('select (select count(*) from taskq.ready) + (select count(*) from taskq.waiting)'), 0, 'nothing is left to do');
wait_for(sub { $pg->psql('select count(*) from taskq.lease') == 0 }, 30, 'no lease to be left');
is($t->stop, 0, 'taskqd drained');
done_testing;
