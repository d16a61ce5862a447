#!/usr/bin/perl
# The launcher of processes that are on their way out is killed: they get another one, for what they had begun to start would wait for it until the
# deadline of the drain.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $config = "drain_timeout = 10min\nhandler nap { kind = builtin builtin = sleep timeout = 1h }\nhandler true { command = {\"/bin/true\"} }\n";
my $t = Taskq->start(config => $config);

sub launcher { my ($generation) = @_; return (grep { $_->{generation} == $generation } $t->roles('launcher'))[0] }

# What runs keeps the old generation.
my $nap = $t->submit('nap', { seconds => 3600 });
$t->wait_status($nap, qr/processing/);
$t->hup($config);
$t->log_wait(qr/generation is told to end.*generation=1/, 60);
my $first = launcher(1)->{pid};
kill 'KILL', $first;
wait_for(sub { my $l = launcher(1); $l && $l->{pid} != $first }, 60, 'another launcher of the generation that ends');
pass('a generation that ends gets another launcher');
is($t->wait_final($t->submit('true', {}), 60)->{status}, 'succeeded', 'the new generation is not disturbed');

# With nothing left to wait for, it goes too.
$t->post("/v1/tasks/$nap->{id}/cancel", '');
$t->log_wait(qr/generation has ended.*generation=1/, 60);
ok(wait_for(sub { !launcher(1) }, 60, 'its launcher to go with it'), 'its launcher went with it');

# The same while everything ends.
$nap = $t->submit('nap', { seconds => 3600 });
$t->wait_status($nap, qr/processing/);
my $second = launcher(2)->{pid};
my @before = $t->log_lines;
$t->signal('TERM');
$t->log_wait(qr/role=worker.*draining/, 60, from => scalar @before);
kill 'KILL', $second;
$t->log_wait(qr/process ended.*name=launcher.*child=$second /, 60);
$t->log_wait(qr/process started.*name=launcher index=\d+ child=(?!$second )\d+ generation=2/, 60);
pass('a launcher that dies while all ends is replaced');
$t->signal('TERM');
defined $t->wait_exit(60) or fail('it ends');
done_testing;
