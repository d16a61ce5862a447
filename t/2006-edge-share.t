#!/usr/bin/perl
# The acceptors of a node share its connections about evenly, so that submissions share commits; one that stands still keeps nobody waiting.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now wait_for);
use Test::More;

my $config = "acceptors = 2\nworkers = 0\nlog { level = debug }\n";
my $t = Taskq->start(config => $config);
my @acceptors = map { $t->role_pid('acceptor', $_) } 0, 1;

# What each holds of `n` new connections that are all answered; they come one after the other.  Who answered is read in the log: the
# descriptors of a process that cannot be traced are root's to see.
my $rounds = 0;
sub held {
	my ($n, $all) = @_;
	my $round = 'round' . ++$rounds;
	for my $i (1 .. $n) {
		my $c = $t->connect;
		$c->request('GET', '/healthz', headers => { 'X-Request-ID' => "$round-$i" })->status == 200 or die "not answered\n";
		push @$all, $c;
	}
	my @told;
	wait_for(sub { @told = grep { /request answered.*request_id=$round-/ } $t->log_lines; @told == $n }, 20, 'the log of them');
	return map { my $pid = $_; scalar grep { /\bpid=$pid\b/ } @told } @acceptors;
}

sub shares {
	my ($when) = @_;
	wait_for(sub { $t->get('/readyz')->status == 200 }, 30, 'both to be ready') for 1 .. 4;
	my @share = held(60, \my @open);
	note("of 60 connections: @share");
	cmp_ok($share[$_], '>=', 22, "acceptor $_ has its share $when") for 0, 1;
	return \@open;
}

my $open = shares('at first');
my @left;
{
	kill 'STOP', $acceptors[0];
	my $begin = now();
	@left = held(10, \my @more);
	note(sprintf '10 connections beside one that stands still: %.0f ms', 1000 * (now() - $begin));
	kill 'CONT', $acceptors[0];
}
is($left[1], 10, 'what a frozen one does not take is taken by the other');

# Those that come after a reload have other indices.
$t->hup("$config# again\n");
my %old = map { $_ => 1 } @acceptors;
wait_for(sub { @acceptors = grep { !$old{$_} } map { $_->{pid} } $t->roles('acceptor'); @acceptors == 2 && $t->roles('acceptor') == 2 }, 60, 'the reload');
shares('after a reload');

is($t->stop, 0, 'a clean end');
done_testing();
