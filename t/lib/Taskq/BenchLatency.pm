# BenchLatency.pm - submit and run together in steady state: how long a task takes from its submission to its end, at a share of the
# greatest rate that taskqd keeps up with.
#
# The load is open: requests fall due at a rate, however long answers take.  The times are those of the database, created_at and finished_at,
# so both ends are of one clock; what the answer of the submission took stands beside them.
package Taskq::BenchLatency;
use strict;
use warnings;
use Taskq::BenchRun;
use Taskq::Machine qw(wait_for);
use Time::HiRes qw(sleep);

# One run; the tasks of the time to become warm do not count.
sub run {
	my ($bench, @args) = @_;
	my $o = $bench->{o};
	$bench->empty;
	$bench->{pg}->psql('checkpoint', seconds => 600);
	my %cpu = $bench->cpu;
	my $load = $bench->load(qw(--mode submit), @args);
	wait_for(sub { sleep 0.1; Taskq::BenchRun::nothing_left($bench) }, 600, 'all to be run');
	my %now = $bench->cpu;
	my $times = "select extract(epoch from d.finished_at - t.created_at) * 1000 ms, d.finished_at, t.created_at from taskq.task t join taskq.done d using (id)"
		. " where t.created_at >= (select min(created_at) from taskq.task) + interval '$o->{warm} s'";
	my ($n, $seconds, @ms) = split /\|/, $bench->{pg}->psql("select count(*), extract(epoch from max(finished_at) - min(created_at)), "
		. join(', ', map { "percentile_disc($_) within group (order by ms)" } 0.5, 0.9, 0.99, 1) . " from ($times) m");
	my %histogram = map { split /\|/ } split /\n/, $bench->{pg}->psql("select power(2, ceil(log(2, greatest(ms, 0.001)))), count(*) from ($times) m group by 1 order by 1");
	my $done = $bench->{pg}->psql('select count(*) from taskq.done');
	$bench->problem("$done tasks ended, $load->{tasks} were accepted") if $done != $load->{tasks};
	$bench->problem(map { "$load->{status}{$_} answers were $_" } grep { $_ != 202 } sort keys %{ $load->{status} });
	$bench->problem('no task ended in the measured time') if !$n;
	my %figures = (rate => $seconds > 0 ? $n / $seconds : 0, submit_p99_ms => $load->{p99_ms}, histogram => \%histogram,
		map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / ($done || 1)) } keys %now);
	@figures{qw(p50_ms p90_ms p99_ms worst_ms)} = @ms;
	return (\%figures, $load);
}

# Tasks a second that are submitted and run when 200 connections ask as fast as they are answered; measured once.
sub greatest {
	my ($bench) = @_;
	return $bench->{greatest} ||= do { my ($r) = run($bench, qw(--connections 200)); $r->{rate} };
}

sub at {
	my ($bench, $share) = @_;
	my $rate = sprintf '%.0f', $share * greatest($bench);
	my ($figures, $load) = run($bench, qw(--connections 200 --rate), $rate);
	return (%$figures, offered => $rate, late => $load->{late}, sent => $load->{sent});
}

sub at_10 { return at($_[0], 0.1) }
sub at_50 { return at($_[0], 0.5) }
sub at_90 { return at($_[0], 0.9) }

1;
