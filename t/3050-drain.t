#!/usr/bin/perl
# Drain: running tasks finish, the others stay ready for the next start; at the deadline and at a second signal the running are stopped
# and given back without an attempt.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/gate", "#!/bin/sh\necho \$\$ >> $dir/gates\nwhile [ ! -e $dir/open ]; do sleep 0.02; done\necho 1\n");
chmod 0755, "$dir/gate";

sub gates { return split ' ', read_file("$dir/gates") || '' }
sub waiting { return grep { kill 0, $_ } gates() }

my $handlers = "handler gate { command = {\"$dir/gate\"} }\nwork { slots = 2\n poll = 100ms }\nkill_grace = 300ms\n";
my $t = Taskq->start(config => $handlers);

my @tasks = map { $t->submit('gate', {}) } 1 .. 5;
wait_for(sub { waiting() == 2 }, 20, 'two running');
$t->signal('TERM');
$t->log_wait(qr/worker.*draining/);
write_file("$dir/open", '');
is($t->wait_exit, 0, 'the running finish, and it ends');
is(Taskq->pg->psql('select count(*) from taskq.done'), 2, 'two are done');
is(Taskq->pg->psql('select count(*) from taskq.lease'), 0, 'nothing is held');
is(Taskq->pg->psql('select sum(n) from taskq.ready'), 3, 'three are ready');

unlink "$dir/open", "$dir/gates";
$t->configure($handlers . "drain_timeout = 500ms\n")->launch;
wait_for(sub { waiting() == 2 }, 20, 'the next start takes them up');
is($t->stop, 0, 'at the deadline it ends');
is(scalar waiting(), 0, 'its handlers are gone');
is(Taskq->pg->psql('select sum(n), max(attempts), max(crashes) from taskq.ready'), '3|0|0', 'they were given back without an attempt');

unlink "$dir/gates";
$t->configure($handlers)->launch;
wait_for(sub { waiting() == 2 }, 20, 'again');
my $lines = $t->log_lines;
$t->signal('TERM');
$t->log_wait(qr/worker.*draining/, 20, from => $lines);
$t->signal('TERM');
ok(defined $t->wait_exit(8), 'a second signal ends it at once');
is(scalar waiting(), 0, 'its handlers are gone');

write_file("$dir/open", '');
$t->launch;
is($t->wait_final($_)->{status}, 'succeeded', 'in the end each succeeds') for @tasks;
is($t->task($_)->{attempts}, 1, 'at its first attempt') for @tasks;
is($t->stop, 0, 'taskqd drained');
done_testing;
