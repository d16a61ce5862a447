#!/usr/bin/perl
# SIGTERM under load while runs of every kind take longer than they may: commands and pool children that ignore SIGTERM and have children in
# sessions of their own, a service that does not answer, a builtin, a client that holds a lease.  The exit is in time, no process is left,
# what ran runs elsewhere at its first attempt, and every request that was answered is honoured.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now read_file temp_dir write_file);
use Taskq::Service;
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
my $mark = "77$$"; # seconds that nobody else sleeps
my $children = "(trap '' TERM; exec sleep $mark) &\nsetsid sleep $mark &\n( ( setsid sh -c \"trap '' TERM; sleep $mark; :\" & ) & )\n";
write_file("$dir/exec", "#!/bin/sh\ntrap '' TERM\nread -r line\n${children}echo \$\$ >>$dir/exec.pids\nwhile :; do sleep $mark; done\n", 0755);
write_file("$dir/pool", "#!/bin/sh\ntrap '' TERM\nwhile read -r line; do\n${children}echo \$\$ >>$dir/pool.pids\nwhile :; do sleep $mark; done\ndone\n", 0755);
write_file("$dir/good", "#!/bin/sh\nwhile read -r line; do\nlease=\${line#*\\\"lease\\\":\\\"}\necho \"{\\\"lease\\\":\\\"\${lease%%\\\"*}\\\",\\\"result\\\":2}\"\ndone\n", 0755);

my $service = Taskq::Service->start;
my $common = "workers = 2\ncall { allow = {\"127.0.0.0/8\"} }\ndrain_timeout = 1500ms\nkill_grace = 300ms\nwork { poll = 200ms }\n" .
	"handler quick { command = {\"/bin/true\"} }\nhandler noop { kind = builtin }\nhandler lease { kind = lease timeout = 1h }\n" .
	'handler http { kind = http url = "' . $service->url('/x') . "\" }\n";
my $pg = Taskq->pg;
my $here = Taskq->start(config => $common . "handler exec { command = {\"$dir/exec\"} }\nhandler builtin { kind = builtin builtin = sleep }\n" .
	"handler pool { kind = pool command = {\"$dir/pool\"} children = 2 }\n");

sub count_lines { my ($path) = @_; return scalar(() = (read_file($path) // '') =~ /\n/g) }
sub sleepers { return grep { (read_file($_) // '') =~ /\bsleep\0?[ ]?\Q$mark\E/ } glob '/proc/[0-9]*/cmdline' }

# What runs.
my %tasks = map { $_ => [] } qw(exec pool http builtin lease);
push @{ $tasks{exec} }, $here->submit('exec', {}) for 1 .. 3;
push @{ $tasks{pool} }, $here->submit('pool', {}) for 1 .. 2;
push @{ $tasks{http} }, $here->submit('http', { answers => [{ how => 'silent' }, { status => 200, body => '2' }] }) for 1 .. 3;
push @{ $tasks{builtin} }, $here->submit('builtin', { seconds => 1000 }) for 1 .. 3;
push @{ $tasks{lease} }, $here->submit('lease', {}, queue => 'leased') for 1 .. 3;
my @leases = @{ $here->post('/v1/queues/leased/lease', { max => 10, wait => 20 })->json->{leases} };
push @leases, @{ $here->post('/v1/queues/leased/lease', { max => 10, wait => 20 })->json->{leases} } while @leases < 3;
wait_for(sub { count_lines("$dir/exec.pids") == 3 }, 30, 'the commands to run');
wait_for(sub { count_lines("$dir/pool.pids") == 2 }, 30, 'the pool children to work');
wait_for(sub { $service->requests == 3 }, 30, 'the service to be asked');
$here->wait_status($_, qr/processing/) for @{ $tasks{builtin} };
ok(wait_for(sub { sleepers() >= 5 * 4 }, 30, 'their children'), 'commands and pool children have children');

# The other daemon has better handlers; it gets a part of the load too.
my $there = Taskq->start(migrate => 0, config => $common . "handler exec { command = {\"/bin/echo\", \"2\"} }\nhandler builtin { kind = builtin }\n" .
	"handler pool { kind = pool command = {\"$dir/good\"} children = 1 }\n");

# A client that writes down what was answered, until nobody listens any more.
my $client = fork // die;
if ($client == 0) {
	open my $out, '>', "$dir/answers" or POSIX::_exit(1);
	$out->autoflush(1);
	for my $n (1 .. 1_000_000) {
		my $c = eval { $here->connect } or POSIX::_exit(0);
		my $r = eval { $c->request('POST', '/v1/tasks', close => 1, json => { task_type => $n % 2 ? 'quick' : 'noop' }, headers => { 'Idempotency-Key' => "load-$n" }) };
		print $out $r && $r->status == 202 ? $r->json->{id} : $r ? 'refused' : 'broken', "\n";
	}
	POSIX::_exit(1);
}
Taskq::Machine::at_end(sub { kill 'KILL', $client if $client });
wait_for(sub { count_lines("$dir/answers") > 30 }, 60, 'load');

my $tree = $here->tree;
my $begin = now();
my $status = $here->stop(60);
my $took = now() - $begin;
is($status, 0, 'the drain ended well');
cmp_ok($took, '>=', 1.4, 'what ran had its time');
cmp_ok($took, '<', 1.5 + 0.3 + 20, sprintf 'and no more: %.2f s', $took);
ok($here->gone($tree), 'no process of it is left');
is(scalar sleepers(), 0, 'nor one that hid in a session of its own');
waitpid $client, 0;
is($?, 0, 'the client found nobody in the end');
$client = 0;

# Elsewhere.
for my $lease (@leases) {
	my $r = $there->post("/v1/leases/$lease->{lease}/complete", { result => 2 });
	is($r->status, 200, 'a client that holds a lease completes it elsewhere') or diag($r->body);
}
for my $kind (sort keys %tasks) {
	my @ends = map { $there->wait_final($_, 60) } @{ $tasks{$kind} };
	is_deeply([map { "$_->{status} $_->{attempts}" } @ends], [('succeeded 1') x @ends], "tasks of kind $kind end elsewhere, at their first attempt");
}
is($pg->psql("select count(*) from taskq.tried where why <> 5"), 0, 'no run was charged');

# Promises.
my @answers = split /\n/, read_file("$dir/answers");
my @ids = grep { /-/ } @answers;
my $broken = grep { $_ eq 'broken' } @answers;
is(scalar(grep { $there->wait_final($_, 60)->{status} ne 'succeeded' } @ids), 0, 'each of ' . @ids . ' answered requests is honoured');
my $more = $pg->psql("select count(*) from taskq.task") - @ids - map { @$_ } values %tasks;
ok($more >= 0 && $more <= $broken, 'and there is no task that nobody asked for') or diag("$more more, $broken without an answer");
is($pg->psql('select count(*) from taskq.done where status = 1'), $pg->psql('select count(*) from taskq.task'), 'each task ended once');
is($there->stop, 0, 'the other daemon drains');
done_testing;
