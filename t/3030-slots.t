#!/usr/bin/perl
# Slots and limits: no more runs at once than slots, no more of a type than its handler allows, and quick tasks are not kept waiting by slow ones
# of a limited type; more urgent tasks go first.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
# Runs until its file is there; how many run at once is seen by what they leave.
write_file("$dir/gate", "#!/bin/sh\n: > $dir/run.\$\$\nwhile [ ! -e $dir/open ]; do sleep 0.02; done\nrm $dir/run.\$\$\n");
write_file("$dir/note", "#!/bin/sh\nsed 's/.*\"n\":\\([0-9]*\\).*/\\1/' >> $dir/notes\n");
chmod 0755, "$dir/gate", "$dir/note";

my $t = Taskq->start(config => <<"CONF");
handler gate { command = {"$dir/gate"} }
handler pair { command = {"$dir/gate"}
 concurrency = 2 }
handler echo { kind = builtin
 builtin = echo }
handler note { command = {"$dir/note"}
 concurrency = 1 }
work { slots = 3
 prefetch = 0
 poll = 50ms }
CONF

sub running { my @all = glob "$dir/run.*"; return scalar @all }

my @gates = map { $t->submit('gate', {}) } 1 .. 6;
wait_for(sub { running() == 3 }, 20, 'three at once');
is($t->metric('taskq_tasks_running'), 3, 'as many as there are slots');
is($t->metric('taskq_worker_slots'), 3, 'which are counted');
is(running(), 3, 'and no more');
write_file("$dir/open", '');
is($t->wait_final($_)->{status}, 'succeeded', 'through the gate') for @gates;
unlink "$dir/open";

my @pairs = map { $t->submit('pair', {}) } 1 .. 5;
wait_for(sub { running() == 2 }, 20, 'two of the limited type');
my @quick = map { $t->submit('echo', { n => $_ }) } 1 .. 30;
is($t->wait_final($_)->{status}, 'succeeded', 'a quick task beside them') for @quick;
is(running(), 2, 'still two');
write_file("$dir/open", '');
is($t->wait_final($_)->{status}, 'succeeded', 'the limited ones end') for @pairs;

# While three wait in the gates, tasks of several priorities gather; then they run in their order.
unlink "$dir/open";
@gates = map { $t->submit('gate', {}) } 1 .. 3;
wait_for(sub { running() == 3 }, 20, 'the slots are taken');
my @order = ([1, 0], [2, 0], [3, 50], [4, 100], [5, 0]);
my @notes = map { $t->submit('note', { n => $_->[0] }, priority => $_->[1]) } @order;
write_file("$dir/open", '');
$t->wait_final($_) for @gates, @notes;
open my $f, '<', "$dir/notes" or die;
chomp(my @seen = <$f>);
is_deeply(\@seen, [4, 3, 1, 2, 5], 'more urgent ones first, equals in the order of submission');

is($t->stop, 0, 'taskqd drained');
done_testing;
