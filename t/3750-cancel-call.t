#!/usr/bin/perl
# A task is cancelled while a service works on it: the call is closed, and whoever waits for the task is told.  Commands, children and
# builtin handlers are cancelled in t/3020, t/3110 and t/2500, leases of clients in t/3600.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Taskq;
use Taskq::Machine qw(patience wait_for);
use Test::More;

my $service = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => 0) or die "could not listen: $!\n";
my $port = $service->sockport;
my $t = Taskq->start(config => <<"CONF");
handler slow { kind = http url = "http://127.0.0.1:$port/slow" timeout = 1h }
call { allow = {"127.0.0.0/8"} }
work { poll = 100ms }
CONF

sub ready { my ($handle) = @_; return IO::Select->new($handle)->can_read(patience(20)) }

my $task = $t->submit('slow', { n => 1 });
ok(ready($service), 'the service is called') or BAIL_OUT('nobody calls');
my $call = $service->accept;
my $request = '';
while ($request !~ /"payload"/) { ready($call) && sysread($call, $request, 65536, length $request) or last }
like($request, qr/\Q$task->{id}\E/, 'with the task');
$t->wait_status($task, qr/^processing$/);

my $r = $t->post("/v1/tasks/$task->{id}/cancel", '');
is($r->status, 200, 'it is cancelled');
is($r->json->{status}, 'cancelled', 'at once');
my $closed = 0;
while (!$closed && ready($call)) { $closed = !sysread $call, my $rest, 65536 }
ok($closed, 'the call is closed');
wait_for(sub { $t->metric('taskq_tasks_running') == 0 }, 20, 'the run to be over');
wait_for(sub { $t->metric('taskq_tasks_finished_total', outcome => 'cancelled') }, 20, 'it to be counted');
is($t->task($task)->{status}, 'cancelled', 'and it stays so');
is($t->metric('taskq_tasks_finished_total', outcome => 'retry') || 0, 0, 'it is not tried again');
my $waited = $t->get("/v1/tasks/$task->{id}", headers => { Prefer => 'wait=20' });
is($waited->json->{status}, 'cancelled', 'who waits for it is told');
is($t->stop, 0, 'drained');
done_testing;
