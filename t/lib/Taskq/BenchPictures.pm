# BenchPictures.pm - the figures of scripts/bench as pictures: ratios beside their goals, and curves against connections and load.
package Taskq::BenchPictures;
use strict;
use warnings;
use Taskq::Figures qw(bars curves);

my @of_connections = map { [$_, "submit-$_"] } 1, 50, 200, 1000;
my @of_load = map { [$_, "latency-$_"] } 10, 50, 90;

# A line through the scenarios that were run.
sub line {
	my ($by, $name, $figure, @points) = @_;
	return { name => $name, points => [map { $by->{ $_->[1] } && $by->{ $_->[1] }{$figure} ? [$_->[0], $by->{ $_->[1] }{$figure}{median}] : () } @points] };
}

sub curve {
	my ($title, $x, $y, @lines) = @_;
	@lines = grep { @{ $_->{points} } > 1 } @lines;
	return @lines ? curves({ title => $title, x => $x, y => $y, lines => \@lines }) : undef;
}

sub ratios {
	my ($ran, $figure, $title) = @_;
	my @bars = map { { name => $_->{name}, value => $_->{$figure}{median}, least => $_->{$figure}{min}, greatest => $_->{$figure}{max}, goal => $_->{goal}{$figure} } }
		grep { $_->{$figure} } @$ran;
	return @bars ? bars({ title => $title, bars => \@bars }) : undef;
}

# { file => SVG } of what the scenarios that were run have to show.
sub all {
	my ($scenarios) = @_;
	my @ran = grep { !$_->{skipped} } @$scenarios;
	my %by = map { $_->{name} => $_ } @ran;
	my %p = (
		ratios => ratios(\@ran, 'ratio', 'taskq beside what Postgres can do with the same rows (1.0); the mark is the goal'),
		self => ratios(\@ran, 'self', 'taskq beside itself without what the scenario adds (1.0); the mark is the goal'),
		'connections-rate' => curve('single submissions', 'connections', 'tasks/s', line(\%by, 'taskq', 'rate', @of_connections), line(\%by, 'limit', 'limit', @of_connections)),
		'connections-latency' => curve('single submissions: until the answer', 'connections', 'ms', map { line(\%by, $_, "${_}_ms", @of_connections) } qw(p50 p99)),
		latency => curve('submitted and run: from created_at to finished_at', '% of the greatest rate', 'ms', map { line(\%by, $_, "${_}_ms", @of_load) } qw(p50 p90 p99)),
	);
	return { map { defined $p{$_} ? ("$_.svg" => $p{$_}) : () } keys %p };
}

1;
