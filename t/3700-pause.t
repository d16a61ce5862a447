#!/usr/bin/perl
# What is paused is not started, from the answer on; what runs goes on; resumed, it is started again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

# One place to run: a task that could start before another has its place before it.
my $t = Taskq->start(config => <<'CONF');
workers = 1
acceptors = 2
handler echo { kind = builtin builtin = echo }
handler nap { kind = builtin builtin = sleep }
queue busy { concurrency = 7 rate = 10/s results = 1d }
work { slots = 1 poll = 10s }
CONF

sub pause { my ($path, @body) = @_; return $t->post("/v1/$path/pause", @body ? $body[0] : '') }
sub resume { my ($path) = @_; return $t->post("/v1/$path/resume", '') }

my %in = (queue => ['queues/slow', 'echo', 'slow'], type => ['types/echo', 'echo', 'default'], handler => ['handlers/echo', 'echo', 'default']);
for my $what (sort keys %in) {
	my ($path, $type, $queue) = @{ $in{$what} };
	my ($name) = $path =~ m{/(.*)};
	subtest "a $what" => sub {
		$t->wait_final($t->submit($type, {}, queue => $queue));
		my $r = pause($path, { why => 'a look at the disk', by => 'eve' });
		is_deeply([map { my %p = %$_; delete $p{at}; \%p } @{ $t->get('/v1/pauses')->json->{items} }],
			[{ what => $what, name => $name, why => 'a look at the disk', by => 'eve' }], 'it stands in the list of pauses');
		is($r->status, 200, 'paused');
		my $said = $r->json;
		is_deeply([@$said{qw(what name why by)}], [$what, $name, 'a look at the disk', 'eve'], 'as was said');
		ok($said->{paused} && $said->{changed}, 'now');
		like($said->{at}, qr/^\d{4}-\d\d-\d\dT/, 'with the time');
		# the urgent one is older and more urgent than what runs to its end after it
		my $task = $t->submit($type, { n => 1 }, queue => $queue, priority => 100);
		$t->wait_final($t->submit('nap', { seconds => 0 }, queue => 'other', priority => -100)) for 1 .. 3;
		is($t->task($task)->{status}, 'pending', 'what is paused is not started');
		$r = pause($path, { why => 'again' })->json;
		ok($r->{paused} && !$r->{changed}, 'paused once more is the same pause');
		is($r->{why}, 'a look at the disk', 'of whoever came first');
		$r = resume($path)->json;
		ok(!$r->{paused} && $r->{changed}, 'resumed');
		is($r->{by}, 'eve', 'whose pause it was');
		is($t->wait_final($task)->{status}, 'succeeded', 'then it runs');
		is($t->task($task)->{attempts}, 1, 'in one attempt');
		$r = resume($path);
		is($r->status, 200, 'resumed once more');
		ok(!$r->json->{changed}, 'is no change');
	};
}

subtest 'what runs goes on' => sub {
	my $task = $t->submit('nap', { seconds => 1 });
	$t->wait_status($task, qr/^processing$/);
	pause('queues/default');
	my $next = $t->submit('nap', { seconds => 0 });
	is($t->wait_final($task)->{status}, 'succeeded', 'to its end');
	$t->wait_final($t->submit('nap', { seconds => 0 }, queue => 'other', priority => -100));
	is($t->task($next)->{status}, 'pending', 'and nothing behind it starts');
	is($t->post("/v1/tasks/$next->{id}/cancel", '')->status, 200, 'what waits can be cancelled');
	resume('queues/default');
	is($t->wait_final($t->submit('nap', { seconds => 0 }))->{status}, 'succeeded', 'resumed');
};

subtest 'a pause outlives the daemon' => sub {
	pause('types/echo', { by => 'night' });
	$t->kill9('worker', 0);
	my $task = $t->submit('echo', {}, priority => 100);
	is($t->wait_final($t->submit('nap', { seconds => 0 }, priority => -100), 60)->{status}, 'succeeded', 'a new worker runs the rest');
	is($t->task($task)->{status}, 'pending', 'but not that');
	resume('types/echo');
	is($t->wait_final($task)->{status}, 'succeeded', 'until it is resumed');
};

sub queue { my ($name) = @_; return (grep { $_->{name} eq $name } @{ $t->get('/v1/queues')->json->{items} })[0] }

subtest 'the queues' => sub {
	pause('queues/full', { why => 'later', by => 'eve' });
	my $q = queue('full');
	is($q->{paused}{why}, 'later', 'a queue that is paused before its first task is listed');
	is($q->{limits}, undef, 'the configuration says nothing of it');
	$t->submit('echo', { n => $_ }, queue => 'full') for 1 .. 3;
	$t->submit('echo', {}, queue => 'full', delay => 3600) for 1 .. 2;
	my $nap = $t->submit('nap', { seconds => 600 }, queue => 'busy');
	$t->wait_status($nap, qr/^processing$/);
	$q = queue('full');
	is_deeply([@$q{qw(ready waiting processing)}], [3, 2, 0], 'what is ready, waits and runs');
	ok(!$q->{at_least}, 'exactly');
	is($q->{paused}{by}, 'eve', 'who paused it');
	like($q->{paused}{at}, qr/^\d{4}-/, 'and when');
	cmp_ok($q->{oldest_ready_seconds}, '>=', 0, 'how long the oldest is ready');
	like($q->{next_due_at}, qr/^\d{4}-/, 'when the next is due');
	$q = queue('busy');
	is_deeply([@$q{qw(ready waiting processing paused oldest_ready_seconds next_due_at)}], [0, 0, 1, undef, undef, undef], 'one that runs');
	is_deeply([@{ $q->{limits} }{qw(concurrency rate results)}], [7, '10/s', '1d'], 'the limits of the configuration') or diag explain $q->{limits};
	my @names = map { $_->{name} } @{ $t->get('/v1/queues')->json->{items} };
	is_deeply(\@names, [sort @names], 'by name');
	# the keeper of a node tells all its processes, some seconds later
	wait_for(sub { $t->metric('taskq_paused', what => 'queue', name => 'full') }, 20, 'the metric');
	is($t->metric('taskq_paused', what => 'queue', name => 'full'), 1, 'the metric tells what is paused');
	resume('queues/full');
	wait_for(sub { !defined $t->metric('taskq_paused', what => 'queue', name => 'full') }, 20, 'the metric to be gone');
	$t->post("/v1/tasks/$nap->{id}/cancel", '');
	wait_for(sub { my $all = queue('full'); $all->{ready} + $all->{processing} == 0 }, 20, 'the queue to be worked off');
	is(queue('full')->{waiting}, 2, 'what is not due waits on');
};

subtest 'what is refused' => sub {
	my $r = pause('handlers/eccho');
	is($r->status, 404, 'a handler that is not there');
	is($r->json->{code}, 'unknown_handler', 'by its code');
	like($r->json->{detail}, qr/no handler of this node is called "eccho"/, 'with a reason');
	is(pause('queues/not.yet')->status, 200, 'but a queue may come yet');
	ok(resume('queues/not.yet')->json->{changed}, 'or go');
	for (
		['not an object', '[]', 'invalid_field'],
		['nothing at all', 'null', 'invalid_field'],
		['a number', { why => 7 }, 'invalid_field'],
		['a long story', { why => 'x' x 501 }, 'invalid_field'],
		['a member', { because => 'x' }, 'unknown_field'],
		['no JSON', '{', 'invalid_json']
	) {
		my ($what, $body, $code) = @$_;
		$r = pause('queues/default', $body);
		is($r->status, 400, $what);
		is($r->json->{code}, $code, "$what: $code");
	}
	is(pause('queues/' . 'q' x 65)->status, 400, 'a long name');
	is($t->wait_final($t->submit('echo', {}))->{status}, 'succeeded', 'none of them paused anything');
};
is($t->stop, 0, 'drained');
done_testing;
