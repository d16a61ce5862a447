#!/usr/bin/perl
# The store against a real server: each C test of the room gets a database of its own on one private Postgres.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir slurp_command);
use Taskq::Postgres;
use Test::More;

my @tests = grep { -x } glob builddir() . '/t/unit/store_*_test';
plan skip_all => 'the C tests are not built; run make check' if !@tests;

my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
for my $test (@tests) {
	my ($name) = $test =~ m{([^/]+)$};
	my ($status, $said) = slurp_command(command => [$test], env => { TASKQ_TEST_PG => $pg->conninfo }, seconds => 120);
	my @failed = $said =~ /^(not ok .*(?:\n#.*)*)/mg;
	ok($status == 0 && !@failed && $said =~ /^1\.\.[1-9]/m, $name) or diag(@failed ? join "\n", @failed : "exit $status\n$said");
}
done_testing;
