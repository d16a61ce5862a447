#!/usr/bin/perl
# Clients that lease have the same limits, order and guard as workers: over two nodes on one database, and beside workers in the same queue.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $dir = temp_dir('ll');
chmod 0777, $dir;
write_file("$dir/gate", "#!/bin/sh\n: > $dir/runs\nwhile [ ! -e $dir/open ]; do sleep 0.02; done\n", 0755);
my $pg = Taskq->pg(fsync => 0);
my $config = <<"CONF";
acceptors = 2
work { poll = 100ms }
http { wait_max = 60s }
queue three { concurrency = 3 }
queue pairs { group_concurrency = 1 }
queue hours { rate = 1/h }
queue ticks { rate = 2/s
 burst = 1 }
handler gate { command = {"$dir/gate"} }
handler echo { kind = builtin
 builtin = echo }
handler pull { kind = lease
 timeout = 1h
 retry_base = 10ms
 retry_cap = 20ms }
handler shut { kind = lease
 retry_base = 10ms
 retry_cap = 20ms
 breaker_min = 4
 breaker_window = 1h
 breaker_share = 80
 breaker_pause = 1h
 breaker_pause_max = 1h }
handler probed { kind = lease
 retry_base = 10ms
 retry_cap = 20ms
 breaker_min = 4
 breaker_window = 1h
 breaker_share = 80
 breaker_pause = 200ms
 breaker_pause_max = 1s
 breaker_probes = 1 }
handler silent { kind = lease
 breaker_min = 1000
 breaker_window = 1h }
handler wave { kind = lease
 breaker = off
 retry_base = 10ms
 retry_cap = 20ms
 retry_window = 1h
 retry_floor = 2
 retry_share = 0 }
CONF
my ($t, $u) = map { Taskq->start(pg => $pg, config => "node = \"n$_\"\n$config", migrate => $_ == 1) } 1, 2;

# The payload tells the group, which the envelope does not.
sub submit { my ($queue, %o) = @_; return $t->submit($o{type} // 'pull', { group => $o{more}{group} }, queue => $queue, %{ $o{more} // {} }) }
sub leases_of { my ($r) = @_; is($r->status, 200, 'answered') or diag($r->body); return @{ $r->json->{leases} } }
sub lease { my ($node, $queue, %o) = @_; return leases_of($node->post("/v1/queues/$queue/lease", { wait => 0, %o })) }
sub say_of { my ($lease, $verb, $body) = @_; my $r = $t->post("/v1/leases/$lease->{lease}/$verb", $body // ''); is($r->status, 200, $verb) or diag($r->body); return $r }
sub counted {
	my ($queue) = @_;
	return $pg->psql("select count(*) from taskq.lease x join taskq.lane l on l.id = x.lane join taskq.queue q on q.id = l.queue_id
		where x.counted and q.name = '$queue' and not exists (select from taskq.done d where d.id = x.lo)");
}
# A client that waits on a node; the answer comes when it may.
sub ask {
	my ($node, $queue) = @_;
	my $c = $node->connect;
	$c->send_request('POST', "/v1/queues/$queue/lease", json => { wait => 60, max => 10 });
	wait_for(sub { $node->metric('taskq_http_requests_waiting') == 1 }, 30, 'a client to wait');
	return sub { return leases_of($c->response(seconds => 90)) };
}
sub finished { my ($id) = @_; return $pg->psql("select extract(epoch from finished_at) from taskq.done where id = '$id'") }

subtest 'of a queue, with a worker' => sub {
	submit('three', type => 'gate');
	wait_for(sub { -e "$dir/runs" }, 30, 'a worker to run one of three');
	my @tasks = map { submit('three') } 1 .. 4;
	my ($first, $second, @more) = lease($t, 'three', max => 10);
	ok($second, 'a client gets two');
	is(@more, 0, 'and no more');
	is_deeply([lease($_, 'three')], [], 'another gets none') for $t, $u;
	is(counted('three'), 3, 'three are counted');
	my $answer = ask($u, 'three');
	say_of($first, 'complete');
	my @third = $answer->();
	is(@third, 1, 'who waits on the other node gets the one that there is room for');
	is(counted('three'), 3, 'three again');
	$answer = ask($u, 'three');
	write_file("$dir/open", '');
	my @fourth = $answer->();
	is(@fourth, 1, 'the end of what a worker ran makes room too');
	my $echo = submit('three', type => 'echo');
	is($t->task($echo)->{status}, 'pending', 'a worker waits for clients');
	say_of($second, 'complete');
	is($t->wait_final($echo)->{status}, 'succeeded', 'until one of them has done');
	cmp_ok(finished($echo->{id}), '>=', finished($second->{message_id}), 'not before');
	say_of($_, 'complete') for @third, @fourth;
	is($t->task($_)->{status}, 'succeeded', 'all are done') for @tasks;
	is(counted('three'), 0, 'nothing is counted in the end');
};

subtest 'of groups, and rates' => sub {
	submit('pairs', more => { group => $_ }) for qw(x x x y y);
	my @got = lease($t, 'pairs', max => 10);
	is_deeply([sort map { $_->{payload}{group} } @got], ['x', 'y'], 'one of each group');
	is_deeply([lease($u, 'pairs')], [], 'and no more');
	say_of((grep { $_->{payload}{group} eq 'x' } @got)[0], 'complete');
	is_deeply([map { $_->{payload}{group} } lease($u, 'pairs', wait => 30, max => 10)], ['x'], 'then the next of that one');
	submit('hours') for 1 .. 2;
	is(scalar(lease($t, 'hours', max => 10)), 1, 'one in an hour');
	is_deeply([lease($_, 'hours')], [], 'is one for all') for $t, $u;
	submit('ticks') for 1 .. 3;
	my @ticks = map { lease($_, 'ticks', wait => 60, max => 10) } $t, $u, $t;
	is(@ticks, 3, 'who waits for a rate gets its task');
	cmp_ok($pg->psql("select extract(epoch from max(x.at) - min(x.at)) from taskq.lease x join taskq.lane l on l.id = x.lane
		join taskq.queue q on q.id = l.queue_id where q.name = 'ticks'"), '>=', 0.9, 'when it is time');
};

subtest 'of a key' => sub {
	# In the order of their ids: each process gives its own.
	my @a = sort { $a->{id} cmp $b->{id} } map { submit('keys', more => { ordering_key => 'a', priority => $_ == 4 ? 90 : 0 }) } 1 .. 4;
	my $other = submit('keys', more => { ordering_key => 'b' });
	my %first = map { $_->{message_id} => $_ } lease($t, 'keys', max => 10);
	is_deeply([sort keys %first], [sort $a[0]{id}, $other->{id}], 'the first of each key');
	is_deeply([lease($_, 'keys')], [], 'and nothing behind them') for $t, $u;
	say_of($first{ $a[0]{id} }, 'fail');
	for my $n (0 .. 3) {
		my ($lease, @more) = lease($n % 2 ? $t : $u, 'keys', wait => 30, max => 10);
		is($lease->{message_id}, $a[$n]{id}, "number $n comes next");
		is($lease->{attempt}, $n == 0 ? 2 : 1, 'the one that failed before all others') if $n == 0;
		is(@more, 0, 'alone');
		is_deeply([lease($_, 'keys')], [], 'while it runs none follows') for $t, $u;
		say_of($lease, 'complete', { result => $n });
	}
	say_of($first{ $other->{id} }, 'complete');
};

subtest 'turns of groups' => sub {
	my $key = 0;
	my $r = $t->post('/v1/tasks/batch', [map { +{ task_type => 'pull', queue => 'fair', group => 'big', payload => { group => 'big' }, priority => 100, idempotency_key => 'f' . $key++ } } 1 .. 300]);
	is($r->status, 200, 'one floods') or diag($r->body);
	submit('fair', more => { group => 'small' }) for 1 .. 5;
	my @some = lease($t, 'fair', max => 4);
	is(scalar(grep { $_->{payload}{group} eq 'small' } @some), 2, 'the other has half of what is given out');
	my $c = $u->connect;
	my @one = map { $c->request(POST => '/v1/queues/fair/lease', json => { max => 1 })->json->{leases}[0]{payload}{group} } 1 .. 8;
	is(scalar(grep { $_ eq 'small' } @one[0 .. 5]), 3, 'also one by one') or diag("@one");
};

sub breaker { my ($node, $name) = @_; my ($h) = grep { $_->{name} eq $name } @{ $node->get('/v1/handlers')->json->{items} }; return $h->{breaker} }

# The breaker of a node hears what clients say to any of its processes.
subtest 'a handler in trouble' => sub {
	my @tasks = map { submit('shut', type => 'shut') } 1 .. 5;
	say_of($_, 'fail') for lease($t, 'shut', max => 4);
	is(breaker($t, 'shut')->{state}, 'open', 'its breaker opens');
	is_deeply([lease($t, 'shut', max => 10)], [], 'nothing is given out') for 1 .. 3;
	my $spent = 0;
	$spent += $t->task($_)->{attempts} for @tasks;
	is($spent, 4, 'no more attempts are spent');
	is($t->post('/v1/handlers/shut/reset', '')->status, 200, 'it is reset by hand');
	my %got;
	while (keys %got < 5) {
		$got{ $_->{message_id} } = $_ for lease($t, 'shut', wait => 30, max => 10);
	}
	is_deeply([sort keys %got], [sort map { $_->{id} } @tasks], 'then all are given out');
	say_of($_, 'complete') for values %got;
};

subtest 'a probe' => sub {
	my @tasks = map { submit('probed', type => 'probed') } 1 .. 6;
	say_of($_, 'fail') for lease($t, 'probed', max => 4);
	isnt(breaker($t, 'probed')->{state}, 'closed', 'the breaker opens');
	my @probe = lease($t, 'probed', wait => 60, max => 10);
	is(@probe, 1, 'after its pause who waits gets one task of many');
	is_deeply([lease($t, 'probed', max => 10)], [], 'and nobody another') for 1 .. 3;
	say_of($probe[0], 'fail');
	is(breaker($t, 'probed')->{opened}, 2, 'it fails: open again');
	@probe = lease($t, 'probed', wait => 60, max => 10);
	is(@probe, 1, 'one more');
	say_of($probe[0], 'complete');
	is(breaker($t, 'probed')->{state}, 'closed', 'which closes the breaker');
	my %got;
	while (keys %got < 5) {
		$got{ $_->{message_id} } = $_ for lease($t, 'probed', wait => 30, max => 10);
	}
	say_of($_, 'complete') for values %got;
	is($t->task($_)->{status}, 'succeeded', 'all are done') for @tasks;
};

subtest 'silence, and retries' => sub {
	submit('silent', type => 'silent');
	my ($lease) = lease($t, 'silent');
	$pg->psql("update taskq.lease set until = now() - interval '1 s' where lo = '$lease->{message_id}'");
	wait_for(sub { breaker($t, 'silent')->{failures} + breaker($u, 'silent')->{failures} == 1 }, 30, 'the node that takes the task back to count it');
	submit('wave', type => 'wave') for 1 .. 4;
	say_of($_, 'fail') for lease($t, 'wave', max => 4);
	is($pg->psql("select count(*) from taskq.waiting w join taskq.lane l on l.id = w.lane join taskq.queue q on q.id = l.queue_id
		where q.name = 'wave' and w.due_at > now() + interval '10 min'"), 2, 'retries beyond the budget wait for their turn');
};

is($_->stop, 0, 'stopped') for $t, $u;
done_testing;
