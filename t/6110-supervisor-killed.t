#!/usr/bin/perl
# kill -9 of the supervisor: no child and no handler outlives the drain deadline, and the next start finishes every accepted task.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now);
use Test::More;

my $config = "workers = 2\ndrain_timeout = 1s\nkill_grace = 200ms\nhandler nap { kind = builtin builtin = sleep }\n" .
    "handler stubborn { command = {\"/bin/sh\", \"-c\", \"trap '' TERM; sleep 1000 & sleep 2; wait; echo {}\"} timeout = 3s }\n" .
    "handler quick { command = {\"/bin/true\"} }\n";
my $t = Taskq->start(config => $config);
my @quick = map { $t->submit($_ % 2 ? 'quick' : 'nap', $_ % 2 ? {} : { seconds => 0.5 }) } 1 .. 60;
my @stubborn = map { $t->submit('stubborn', {}) } 1 .. 3;
wait_for(sub { 3 == grep { $t->task($_)->{status} eq 'processing' } @stubborn }, 20, 'the stubborn ones to run');

# A leased task is "processing" before its process is there.
my $tree;
wait_for(sub { keys %{ $tree = $t->tree } >= 9 }, 20, 'roles and handlers to live');
my $begin = now();
$t->kill9('supervisor');
wait_for(sub { $t->gone($tree) }, 15, 'every process to be gone');
my $gone = now() - $begin;
cmp_ok($gone, '<', 1 + 0.2 + 14, sprintf 'all are gone %.3f s after kill -9 of the supervisor', $gone);

# The next start meets the pid file, the sockets and the leases of the dead one.
$t->configure($config =~ s/sleep 2; wait; //r =~ s/sleep 1000 & //r);
$t->launch;
is(scalar(grep { $t->wait_final($_, 60)->{status} ne 'succeeded' } @quick, @stubborn), 0, 'every accepted task succeeded');
is($t->pg->psql('select count(*) from taskq.done where status = 1'), 63, 'all accepted tasks succeeded, once each');
is($t->stop, 0, 'taskqd drained');
done_testing;
