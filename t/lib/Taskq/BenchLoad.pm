# BenchLoad.pm - the scenarios of scripts/bench that are one run of t/bench/load: what it asked, what came of it, whether that was right.
package Taskq::BenchLoad;
use strict;
use warnings;

# Whether the limit is run, too.
sub limited { return $_[0]{ratio} || $_[0]{limit} }

sub mode { return $_[0]{load}[1] }

# Why it cannot be run; undef: it can.
sub skip {
	my ($bench, $s) = @_;
	return undef if !$s->{probe};
	my $status = $bench->daemon($s)->post($s->{probe}, '')->{status};
	return $status == 404 || $status == 405 ? "POST $s->{probe} is answered with $status" : undef;
}

sub count_tasks { return $_[0]{pg}->psql('select count(*) from taskq.task') }

# Group commits so far, and the tasks in them.
sub commits { my ($bench) = @_; return map { $bench->{daemon}->metric("taskq_submit_batch_tasks_$_") || 0 } qw(count sum) }

# What makes a figure worthless.
sub check {
	my ($bench, $s, $got, $stored, $expected) = @_;
	my %right = map { $_ => 1 } mode($s) eq 'get' ? 200 : mode($s) eq 'batch' ? (200, 202) : 202;
	my @bad = map { "$got->{status}{$_} answers were $_" } grep { !$right{$_} } sort keys %{ $got->{status} };
	push @bad, 'nothing was answered in the measured time' if !$got->{requests};
	push @bad, ($got->{sent} - $got->{answered}) . ' requests were not answered' if $got->{sent} != $got->{answered};
	push @bad, "$got->{wrong} answers had Idempotent-Replayed wrong" if $got->{wrong};
	push @bad, "$got->{broken} connections broke" if $got->{broken};
	push @bad, "$stored tasks came into the database, $expected were expected" if $stored != $expected;
	$bench->problem(@bad);
	return;
}

# One run of the load; `expected` tasks are stored by it, or those that it tells.
sub load {
	my ($bench, $s, %l) = @_;
	my $tasks = mode($s) ne 'get';
	my $unit = sub { limited($s) ? $_[0]{tasks} : $_[0]{answered} };
	my $before = $tasks && count_tasks($bench);
	my @commits = commits($bench);
	my $got = $bench->with_cpu($unit, sub { $bench->load(@{ $s->{load} }, @{ $l{args} || [] }) }, taskqd => $bench->{daemon}->pid,
		postgres => $bench->{pg}->pid, $s->{from} && $s->{from} eq 'redis' ? (redis => $bench->{redis}->pid) : ());
	my @now = commits($bench);
	$got->{batch} = $now[0] > $commits[0] ? ($now[1] - $commits[1]) / ($now[0] - $commits[0]) : 0;
	$got->{cpu_load} = 1e6 * $got->{cpu_s} / ($unit->($got) || 1);
	my $stored = $tasks ? count_tasks($bench) - $before : 0;
	check($bench, $s, $got, $stored, defined $l{expected} ? $l{expected} : $tasks ? $got->{tasks} : 0);
	return $got;
}

# What is done once before the rounds; returns what each of them then is told.
sub prepare {
	my ($bench, $s) = @_;
	$bench->limit_create if limited($s);
	$bench->{pg}->psql('checkpoint');
	return () if mode($s) ne 'replay';
	my @prefix = ('--prefix', "bench-$$-$s->{name}");
	load($bench, $s, args => [@prefix, '--seconds', 0.05, '--warm', 0], expected => $bench->{o}{keys});
	return (args => [@prefix, '--primed'], expected => 0);
}

# The figures of a round by name: the limit and then taskq.
sub round {
	my ($bench, $s, %l) = @_;
	my $limit = limited($s) && $bench->run_limit;
	my $load = load($bench, $s, %l);
	my %figures = map { $_ => $load->{$_} } grep { exists $load->{$_} } qw(p50_ms p99_ms max_ms batch cpu_taskqd cpu_postgres cpu_redis cpu_load);
	$figures{rate} = $load->{ limited($s) ? 'tasks_per_s' : 'requests_per_s' };
	return %figures if !$limit;
	return (%figures, limit => $limit->{tasks_per_s}, cpu_limit => $limit->{cpu_postgres},
		ratio => $limit->{tasks_per_s} ? $figures{rate} / $limit->{tasks_per_s} : 0);
}

1;
