# BenchWords.pm - what scripts/bench tells: the exact configuration, the table and what is said below it.
package Taskq::BenchWords;
use strict;
use warnings;
use POSIX ();
use Taskq::Bench;
use Taskq::Figures qw(table thousands);
use Taskq::Machine qw(builddir read_file slurp_command);

my $whole = \&thousands;
my $part = sub { sprintf '%.2f', $_[0] };
my $tenth = sub { sprintf '%.1f', $_[0] };

# Figures that are no column of the table: name, how it is printed, words.
my @more = (
	[self => $part, 'of the same without it'],
	[wal => $tenth, 'bytes of WAL a task'],
	[queries => $tenth, 'transactions a minute'],
	[cpu_ms => $tenth, 'ms of CPU a minute'],
	[cpu_worker => $tenth, 'us of the worker'],
	[cpu_launcher => $tenth, 'us of the launcher'],
	[cpu_commands => $tenth, 'us of the commands'],
	[cpu_service => $tenth, 'us of the service'],
	[dirty_mib => $tenth, 'MiB private and dirty in the largest process'],
	[pss_mib => $tenth, 'MiB of its share'],
	[loaded_mib => $tenth, 'MiB private and dirty just after the load'],
	[worst_ms => $tenth, 'ms at most'],
	[p90_ms => $part, 'ms p90'],
	[offered => $whole, 'tasks/s offered'],
	[submit_p99_ms => $part, 'ms p99 of the submissions'],
	[wait_ms => $part, 'ms mean wait for a connection'],
	[wait_p99_ms => $part, 'ms p99 of that wait at most'],
);

# --- the configuration ------------------------------------------------------------------------------------------------

# Of the directory where the servers keep their data.
sub machine {
	my ($dir) = @_;
	my $cpuinfo = read_file('/proc/cpuinfo') || '';
	my ($cpu) = $cpuinfo =~ /^model name\s*:\s*(.*)/m;
	my $cores = () = $cpuinfo =~ /^processor\s*:/mg;
	my ($cflags) = (read_file(builddir() . '/Makefile') || '') =~ /^CFLAGS = (.*)/m;
	my ($status, $fs) = slurp_command(command => ['stat', '-f', '-c', '%T', $dir]);
	chomp $fs;
	return { cpu => $cpu || 'unknown', cores => $cores, memory_mb => Taskq::Bench::megabytes_of_memory(), kernel => (POSIX::uname())[2], file_system => $fs,
		cflags => $cflags || '', failpoints => (read_file(builddir() . '/config.h') || '') =~ /^#define TASKQ_FAILPOINTS/m ? 'yes' : 'no' };
}

sub lines { return map { "           $_\n" } grep { /\S/ } split /\n/, $_[0] }

sub print_settings {
	my ($all) = @_;
	my ($m, $s, $o) = @{$all}{qw(machine postgres made)};
	print "command    $all->{command}\ndate       $all->{date}\n";
	print "machine    $m->{cores} x $m->{cpu}, $m->{memory_mb} MB, Linux $m->{kernel}, data on $m->{file_system}\n";
	print "           on $m->{file_system} a commit costs no disk: these figures say nothing about durability\n" if $m->{file_system} =~ /^(?:tmpfs|ramfs)$/;
	print "postgres   $s->{server_version}: ", join(', ', map { "$_ $s->{$_}" } grep { $_ ne 'server_version' } sort keys %$s), "\n";
	print "taskqd     $all->{version}; CFLAGS $m->{cflags}, failpoints $m->{failpoints}\n", lines($all->{config});
	print "           $_->[0]: $_->[1]\n" for @{ $all->{own} };
	print "rounds     $o->{rounds} of $o->{seconds} s after $o->{warm} s each; limit: batches of $o->{batch}, 2 connections, 2 batches in flight each\n\n";
	return;
}

# --- the table --------------------------------------------------------------------------------------------------------

# "median (min-max)"
sub with_spread {
	my ($v, $print) = @_;
	return '' if !$v;
	return $print->($v->{median}) . ' (' . $print->($v->{min}) . '-' . $print->($v->{max}) . ')';
}

sub verdict {
	my ($r) = @_;
	my @v;
	for my $what (sort keys %{ $r->{goal} || {} }) {
		my ($got, $goal) = ($r->{$what}{median}, $r->{goal}{$what});
		push @v, ($got >= $goal ? 'yes' : 'no') . ' >= ' . ($what eq 'rate' ? thousands($goal) . '/s' : sprintf '%.2f', $goal) . ($what eq 'self' ? ' of itself' : '');
	}
	push @v, ($r->{ $r->{most}[0] }{median} <= $r->{most}[1] ? 'yes' : 'no') . " <= $r->{most}[1]" if $r->{most};
	return join ', ', @v;
}

sub row {
	my ($r) = @_;
	return [$r->{name}, with_spread($r->{rate}, $whole), with_spread($r->{limit}, $whole), with_spread($r->{ratio}, $part), verdict($r),
		map({ $r->{$_} ? $part->($r->{$_}{median}) : '' } qw(p50_ms p99_ms)), $r->{batch}{median} ? $tenth->($r->{batch}{median}) : '',
		map({ $r->{"cpu_$_"} ? $tenth->($r->{"cpu_$_"}{median}) : '' } qw(taskqd postgres load limit))];
}

sub print_table {
	my ($all) = @_;
	my @ran = grep { !$_->{skipped} } @{ $all->{scenarios} };
	print table(['scenario', 'rate/s', 'limit/s', 'ratio', 'goal', 'p50 ms', 'p99 ms', 'batch', 'us taskqd', 'postgres', 'load', 'limit'], map { row($_) } @ran);
	print "$_->{name}: skipped: $_->{skipped}\n" for grep { $_->{skipped} } @{ $all->{scenarios} };
	print "\nmedian (least-greatest) of the rounds; rates are of tasks where there is a limit, otherwise of requests\n",
		"batch: tasks in a group commit; us: CPU time a task or request took of taskqd, of Postgres, of the load; the last column: of Postgres in the limit\n";
	for my $r (@ran) {
		my @has = grep { $r->{ $_->[0] } } @more;
		print "$r->{name}: ", join(', ', map { with_spread($r->{ $_->[0] }, $_->[1]) . " $_->[2]" } @has), "\n" if @has;
	}
	print 'limit with one task a statement, 8 connections: ', with_spread($all->{single_limit}, $whole), "/s\n" if $all->{single_limit};
	return;
}

1;
