#!/usr/bin/perl
# Two daemons on one machine and one database, each with a run_dir of its own and no name: the start of one leaves the other's tasks alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir);
use Test::More;

my $dir = temp_dir('n');
chmod 0777, $dir or die "could not chmod \"$dir\": $!";
my $config = "handler wait { command = {\"/bin/sh\", \"-c\", \"echo ran >>$dir/runs; while [ ! -e $dir/go ]; do sleep 0.05; done\"} }\n";

# The first has a place for one task only, so that the second task is the second's.
my $first = Taskq->start(config => "workers = 1\nwork { slots = 1 prefetch = 0 }\n$config");
my $task = $first->submit('wait', {});
$first->wait_status($task, qr/^processing$/);
wait_for(sub { read_file("$dir/runs") }, 10, 'the command to run');
my $second = Taskq->start(config => "workers = 1\n$config");
is($second->wait_status($task, qr/./)->{status}, 'processing', 'both see it run');
my $other = $second->submit('wait', {});
wait_for(sub { (read_file("$dir/runs") =~ tr/\n//) == 2 }, 20, 'a second task to run');
$second->kill9('worker', 0);
wait_for(sub { (read_file("$dir/runs") =~ tr/\n//) == 3 }, 20, 'what a dead worker had to run again');
open my $go, '>', "$dir/go" or die "could not write \"$dir/go\": $!";
is($first->wait_final($_)->{status}, 'succeeded', 'a task ends') for $task, $other;
is(read_file("$dir/runs"), "ran\n" x 3, 'the first one was run once, by whoever had it');
is($_->stop, 0, 'drained') for $second, $first;
done_testing;
