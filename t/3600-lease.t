#!/usr/bin/perl
# Tasks that clients lease over HTTP: they hold them, say how far they are and how they ended; and what happens when they do not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $schema = temp_dir('lease') . '/schema.json';
write_file($schema, '{}');
my $handlers = <<"EOT";
acceptors = 2
work { poll = 200ms crash_max = 2 }
http { wait_max = 30s }
handler noop { kind = builtin builtin = noop }
handler pull { kind = lease breaker = off retry_window = 0 timeout = 1h retry_base = 10ms retry_cap = 20ms }
handler other { kind = lease breaker = off timeout = 1h }
handler strict { kind = lease schema = "$schema" }
handler brief { kind = lease breaker = off timeout = 1500ms retry_base = 10ms retry_cap = 20ms }
EOT
my $t = Taskq->start(config => $handlers);
my $gone = '0' x 48;
my $queues = 0;

# Each part has a queue of its own.
sub sql { return Taskq->pg->psql($_[0]) }
sub queue { return 'q' . ++$queues }
sub submit { my ($queue, %o) = @_; return $t->submit($o{type} // 'pull', $o{payload} // {}, queue => $queue, %{ $o{more} // {} }) }

sub lease {
	my ($queue, %o) = @_;
	my $r = $t->post("/v1/queues/$queue/lease", { wait => 20, %o });
	is($r->status, 200, 'a client asks') or diag($r->body);
	return @{ $r->json->{leases} };
}
sub say_of { my ($lease, $verb, $body) = @_; return $t->post('/v1/leases/' . (ref $lease ? $lease->{lease} : $lease) . "/$verb", $body // '') }
sub refused { my ($r, $code, $what) = @_; is($r->status, 409, "$what: refused"); is($r->json->{code}, $code, "$what: $code"); return }

# Ends a lease by its time: no test waits for a clock.
sub expire {
	my ($lease) = @_;
	my ($hex) = $lease->{lease} =~ /^(.{32})/;
	sql("update taskq.lease set until = now() - interval '1 s' where lo = '$hex'::uuid and worker = 0");
	return;
}

subtest 'one task' => sub {
	my $queue = queue();
	my $task = submit($queue, payload => { n => 1 }, more => { max_attempts => 7, trace_id => 'trace' });
	my ($lease, @more) = lease($queue, max => 10, lease_seconds => 100, worker => 'me');
	is(@more, 0, 'gets it');
	like($lease->{lease}, qr/^[0-9a-f]{48}$/, 'with a lease');
	is($lease->{message_id}, $task->{id}, 'its id');
	is_deeply($lease->{payload}, { n => 1 }, 'its payload');
	is_deeply([@$lease{qw(task_type queue attempt max_attempts trace_id)}], ['pull', $queue, 1, 7, 'trace'], 'the usual envelope');
	ok($lease->{lease_until} lt $lease->{deadline}, 'until when');
	is($t->task($task)->{status}, 'processing', 'it is processed');
	is_deeply([lease($queue, wait => 0)], [], 'nobody else gets it');
	my $r = say_of($lease, 'heartbeat', { lease_seconds => 1000, progress => 40, note => 'half "way"' });
	is($r->status, 200, 'a heartbeat') or diag($r->body);
	ok($r->json->{lease_until} gt $lease->{lease_until}, 'extends it');
	ok(!$r->json->{cancelled}, 'it is not cancelled');
	is(sql("select percent || note from taskq.progress where id = '$task->{id}'"), '40half "way"', 'the progress is kept');
	$r = say_of($lease, 'heartbeat', { lease_seconds => 86400 });
	ok($r->json->{lease_until} le $lease->{deadline}, 'no heartbeat leads beyond the life of a run');
	for my $time (1, 2) {
		$r = say_of($lease, 'complete', '{"result":{"big":9007199254740993.10}}');
		is($r->status, 200, "completed, time $time") or diag($r->body);
		is($r->json->{status}, 'succeeded', 'succeeded');
	}
	my $done = $t->get("/v1/tasks/$task->{id}");
	is($done->json->{status}, 'succeeded', 'for all');
	like($done->body, qr/"big":9007199254740993\.10/, 'the result is byte for byte');
	refused(say_of($lease, $_), 'lease_gone', $_) for qw(heartbeat fail release);
};

subtest 'fail' => sub {
	my $queue = queue();
	for my $case (
		[{}, 'pending', undef, 'TRANSIENT', 'HANDLER_FAILED'],
		[{ error_class => 'TRANSIENT', error_code => 'busy', message => 'no luck', retry_after => 600 }, 'pending', 'no luck', 'TRANSIENT', 'BUSY'],
		[{ error_class => 'RATE_LIMITED', retry_after => 600 }, 'pending', undef, 'RATE_LIMITED', 'HANDLER_FAILED'],
		[{ error_class => 'PERSISTENT' }, 'pending', undef, 'PERSISTENT', 'HANDLER_FAILED'],
		[{ error_class => 'NON_RETRYABLE', error_code => 'BAD', message => 'never' }, 'dead_letter', 'never', 'NON_RETRYABLE', 'BAD'],
		[{ error_class => 'COLOURFUL' }, 'dead_letter', undef, 'NON_RETRYABLE', undef],
	) {
		my ($report, $status, $message, $class, $code) = @$case;
		my $what = $report->{error_class} // 'no class';
		my $task = submit($queue);
		my ($lease) = grep { $_->{message_id} eq $task->{id} } lease($queue, max => 10);
		my $r = say_of($lease, 'fail', $report);
		is($r->status, 200, $what) or diag($r->body);
		is($r->json->{status}, $status, "$what: $status");
		is(say_of($lease, 'fail', $report)->status, 200, "$what: may be said again");
		my $now = $t->task($task);
		is($now->{attempts}, 1, "$what: an attempt");
		is($now->{last_error}, $message, "$what: its message") if defined $message;
		is($now->{error_class}, $class, "$what: its class");
		is($now->{error_code}, $code, "$what: its code") if defined $code;
		$t->post("/v1/tasks/$task->{id}/cancel", '');
	}
};

subtest 'not let in' => sub {
	my $queue = queue();
	my $task = submit($queue, type => 'other');
	my ($lease) = lease($queue);
	is(say_of($lease, 'fail', { error_class => 'AUTH', message => 'wrong password' })->status, 200, 'a client is not let in');
	wait_for(sub { sql("select name || ' ' || by from taskq.pause where what = 3") eq 'other taskq' }, 20, 'its handler to be paused');
	is($t->task($task)->{attempts}, 0, 'no attempt');
	my $second = submit($queue, type => 'other');
	is_deeply([lease($queue, wait => 0)], [], 'nobody gets a task of it');
	my $c = $t->connect;
	$c->send_request('POST', "/v1/queues/$queue/lease", json => { wait => 30, max => 2 });
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 1 }, 20, 'a client to wait');
	is($t->post('/v1/handlers/other/resume', '')->status, 200, 'until it is resumed');
	my $ids = $c->response(seconds => 60)->json->{leases};
	cmp_ok(scalar @$ids, '>=', 1, 'then who waits is served');
};

subtest 'attempts end' => sub {
	my $queue = queue();
	my $task = submit($queue, more => { max_attempts => 2 });
	for my $attempt (1, 2) {
		my ($lease) = lease($queue);
		is($lease->{attempt}, $attempt, "attempt $attempt");
		is(say_of($lease, 'fail')->json->{status}, $attempt == 2 ? 'dead_letter' : 'pending', 'what becomes of it');
	}
	is($t->task($task)->{attempts}, 2, 'no more than allowed');
};

subtest 'release' => sub {
	my $queue = queue();
	my $task = submit($queue);
	my ($first) = lease($queue);
	my $r = say_of($first, 'release');
	is($r->status, 200, 'released') or diag($r->body);
	is($r->json->{status}, 'pending', 'pending');
	my ($second) = lease($queue);
	is($second->{message_id}, $task->{id}, 'the next gets it');
	is($second->{attempt}, 1, 'no attempt was spent');
	refused(say_of($first, 'complete'), 'lease_gone', 'the first');
	is(say_of($second, 'release', { delay => 3600 })->status, 200, 'put off');
	is(say_of($second, 'release', { delay => 3600 })->status, 200, 'twice is once');
	is($t->task($task)->{status}, 'pending', 'it waits');
	is_deeply([lease($queue, wait => 0)], [], 'for its time');
	is(sql("select attempts || '/' || why from taskq.waiting where id = '$task->{id}'"), '0/3', 'as put off, with no attempt');
};

subtest 'cancelled while it is leased' => sub {
	my $queue = queue();
	my @tasks = map { submit($queue) } 1 .. 4;
	my @leases = lease($queue, max => 4);
	$t->post("/v1/tasks/$_->{id}/cancel", '') for @tasks;
	my $r = say_of($leases[0], 'heartbeat', { progress => 1 });
	is($r->status, 200, 'the heartbeat');
	ok($r->json->{cancelled}, 'tells it');
	is(sql("select count(*) from taskq.progress where id = '$leases[0]{message_id}'"), 0, 'and writes nothing');
	my @verbs = qw(complete fail release);
	refused(say_of($leases[$_], $verbs[$_]), 'task_cancelled', $verbs[$_]) for 0 .. 2;
	is($t->task($_)->{status}, 'cancelled', 'it stays so') for @tasks;
};

subtest 'a lease that ended' => sub {
	my $queue = queue();
	my $task = submit($queue);
	my ($late) = lease($queue);
	expire($late);
	refused(say_of($late, 'heartbeat'), 'lease_gone', 'it is not begun again');
	my ($second) = lease($queue);
	is($second->{message_id}, $task->{id}, 'somebody else gets the task');
	is($second->{attempt}, 1, 'the silence was no attempt');
	is($second->{error_class}, 'CRASH', 'but a crash');
	is($second->{error_code}, 'LEASE_EXPIRED', 'with its code');
	refused(say_of($late, $_), 'lease_gone', "late $_") for qw(heartbeat complete fail release);
	is(say_of($second, 'complete', { result => 'second' })->status, 200, 'the second completes');
	is($t->task($task)->{result}, 'second', 'and is who counts');
	is($t->task($task)->{attempts}, 1, 'one attempt in all');
};

subtest 'a client that is killed' => sub {
	my $queue = queue();
	my $task = submit($queue);
	my $out = temp_dir('client') . '/out';
	my $code = '$| = 1; print Taskq::HTTP->connect(shift)->request(POST => shift, json => { wait => 20, lease_seconds => 1 })->body; sleep 600';
	my $client = Taskq::Machine::spawn(command => [$^X, "-I$FindBin::Bin/lib", '-MTaskq::HTTP', '-e', $code, $t->address, "/v1/queues/$queue/lease"], out => $out);
	wait_for(sub { (Taskq::Machine::read_file($out) // '') =~ /\Q$task->{id}\E/ }, 30, 'it to hold the task');
	$client->signal('KILL');
	my ($lease) = lease($queue, wait => 30);
	is($lease->{message_id}, $task->{id}, 'and after a second somebody else does');
	is($lease->{attempt}, 1, 'for the first attempt');
	say_of($lease, 'complete');
	is($t->task($task)->{status}, 'succeeded', 'which is the end of it');
};

subtest 'quarantine' => sub {
	my $queue = queue();
	my $task = submit($queue);
	expire($_) for lease($queue);
	expire($_) for lease($queue);
	my $dead = $t->wait_final($task);
	is($dead->{status}, 'dead_letter', 'after two crashes it is dead');
	is($dead->{attempts}, 0, 'without an attempt');
	is(sql("select reason || crashes from taskq.dead where id = '$task->{id}'"), 'QUARANTINED2', 'quarantined');
};

subtest 'a run that takes too long' => sub {
	my $queue = queue();
	my $task = submit($queue, type => 'brief', more => { max_attempts => 1 });
	my ($lease) = lease($queue, lease_seconds => 600);
	ok($lease->{lease_until} le $lease->{deadline}, 'no lease is longer than a run may be');
	my $dead = $t->wait_final($task);
	is($dead->{status}, 'dead_letter', 'it is over');
	is($dead->{attempts}, 1, 'an attempt');
	is($dead->{error_code}, 'TIMEOUT', 'as in a worker');
};

subtest 'order and choice' => sub {
	my $queue = queue();
	my @want = map { my ($type, $priority, $group) = @$_; submit($queue, type => $type, more => { priority => $priority, (group => $group) x !!$group })->{id} }
	    (['pull', 0], ['other', 9], ['pull', 5, 'g'], ['pull', -5], ['other', 1]);
	my ($none) = lease(queue(), wait => 0);
	is($none, undef, 'a queue that nobody knows has nothing');
	is_deeply([map { $_->{message_id} } lease($queue, max => 2, task_types => ['other'])], [@want[1, 4]], 'of one type, best first');
	is_deeply([map { $_->{message_id} } lease($queue, max => 10)], [@want[2, 0, 3]], 'of all, over lanes');
};

subtest 'what is not given out' => sub {
	my $queue = queue();
	my $misfit = submit($queue, type => 'strict', payload => { n => 1 });
	my $late = submit($queue, more => { expires_in => 3600 });
	my $good = submit($queue);
	write_file($schema, '{"type":"object","properties":{"n":{"type":"string"}}}');
	my $from = () = $t->log_lines;
	$t->hup($handlers);
	$t->log_wait(qr/generation has ended/, 60, from => $from);
	is_deeply([sort map { $_->{message_id} } lease($queue, max => 10)], [sort $late->{id}, $good->{id}], 'the others are');
	my $dead = $t->wait_final($misfit);
	is($dead->{error_code}, 'INVALID_PAYLOAD', 'one that does not fit is dead');
	is($dead->{status}, 'dead_letter', 'as in a worker');
};

subtest 'many' => sub {
	my $queue = queue();
	my $key = 0;
	my $r = $t->post('/v1/tasks/batch', [map { +{ task_type => 'pull', queue => $queue, idempotency_key => 'many' . $key++ } } 1 .. 300]);
	is($r->status, 200, '300 at once') or diag($r->body);
	my @leases;
	push @leases, lease($queue, max => 100) while @leases < 300;
	my %ids = map { $_->{message_id} => 1 } @leases;
	is(keys %ids, 300, 'each once');
	my @part = @leases[0 .. 9];
	$r = $t->post('/v1/leases/heartbeat', { items => [map { +{ lease => $_->{lease}, progress => 7 } } @part] });
	is($r->status, 200, 'heartbeats') or diag($r->body);
	is_deeply([map { $_->{verdict} } @{ $r->json->{results} }], [('ok') x 10], 'of all');
	is(sql("select count(*) from taskq.progress p where percent = 7"), 10, 'with progress');
	expire($leases[3]);
	wait_for(sub { sql("select count(*) from taskq.lease where lo = '$leases[3]{message_id}'") == 0 }, 30, 'one to lapse');
	$t->post("/v1/tasks/$leases[5]{message_id}/cancel", '');
	my %items = (items => [map { +{ lease => $_->{lease}, result => { id => $_->{message_id} } } } @part]);
	$r = $t->post('/v1/leases/complete', \%items);
	is_deeply([map { $_->{verdict} } @{ $r->json->{results} }], [('ok') x 3, 'gone', 'ok', 'cancelled', ('ok') x 4], 'a verdict each');
	is($r->json->{results}[9]{lease}, $part[9]{lease}, 'in their order');
	is_deeply($t->task($part[9]{message_id})->{result}, { id => $part[9]{message_id} }, 'each with its result');
	$r = $t->post('/v1/leases/complete', \%items);
	is_deeply([map { $_->{verdict} } @{ $r->json->{results} }], [('ok') x 3, 'gone', 'ok', 'gone', ('ok') x 4], 'again the same, but the cancelled one has gone');
	$r = $t->post('/v1/leases/fail', { items => [map { +{ lease => $_->{lease}, error_class => 'NON_RETRYABLE' } } @leases[10 .. 19]] });
	is_deeply([map { "$_->{verdict} $_->{status}" } @{ $r->json->{results} }], [('ok dead_letter') x 10], 'ten fail');
	$r = $t->post('/v1/leases/release', { items => [map { +{ lease => $leases[$_]{lease}, delay => $_ % 2 } } 20 .. 299] });
	is_deeply([map { $_->{verdict} } grep { $_->{verdict} ne 'ok' } @{ $r->json->{results} }], [], 'the others are released, some for a second');
	my @again;
	push @again, lease($queue, max => 1000) while @again < 281;
	is(scalar(@again), 281, 'and leased again, with the one that lapsed');
	$t->post('/v1/leases/complete', { items => [map { +{ lease => $_->{lease} } } @again] });
	is(sql('select count(*) from taskq.lease where worker = 0 and lane in (select l.id from taskq.lane l join taskq.queue q on q.id = l.queue_id' .
	    " where q.name = '$queue')"), 0, 'no lease is left');
};

subtest 'waiting' => sub {
	my $queue = queue();
	my @c = map { $t->connect } 1 .. 3;
	$c[$_]->send_request('POST', "/v1/queues/$queue/lease", json => { wait => 30, max => 5, task_types => [$_ == 2 ? 'other' : 'pull'] }) for 0 .. 2;
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 3 }, 20, 'three clients to wait');
	my $task = submit($queue);
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 2 }, 20, 'one to be served');
	my $other = submit($queue, type => 'other');
	my $r = $c[2]->response;
	is_deeply([map { $_->{message_id} } @{ $r->json->{leases} }], [$other->{id}], 'the other type wakes who asked for it');
	my $second = submit($queue);
	my %got = map { $_->{message_id} => 1 } map { @{ $_->response->json->{leases} } } @c[0, 1];
	is_deeply([sort keys %got], [sort $task->{id}, $second->{id}], 'the two others have one each');
	is_deeply([lease($queue, wait => 1)], [], 'the end of the wait is an empty answer');
};

subtest 'who has gone' => sub {
	my $queue = queue();
	my $c = $t->connect;
	$c->send_request('POST', "/v1/queues/$queue/lease", json => { wait => 30 });
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 1 }, 20, 'a client to wait');
	$c->close;
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 0 }, 20, 'it to be missed');
	my $task = submit($queue);
	my ($lease) = lease($queue);
	is($lease->{message_id}, $task->{id}, 'a task that comes then is for others');
	is(sql("select count(*) from taskq.tried where id = '$task->{id}'"), 0, 'and was leased to nobody before');
	say_of($lease, 'complete');
};

subtest 'workers' => sub {
	my $queue = queue();
	my $task = submit($queue, type => 'noop');
	is($t->wait_final($task)->{status}, 'succeeded', 'run the tasks of their handlers beside');
	my $pull = submit($queue);
	$t->wait_final(submit($queue, type => 'noop'));
	is($t->task($pull)->{status}, 'pending', 'and leave ours alone');
	is($t->task($pull)->{attempts}, 0, 'with no attempt');
};

subtest 'bad input' => sub {
	my $queue = queue();
	my $take = "/v1/queues/$queue/lease";
	for my $case (
		[$take, '{"max":0}', '#/max'], [$take, '{"max":1001}', '#/max'], [$take, '{"max":"1"}', '#/max'], [$take, '{"max":1.5}', '#/max'],
		[$take, '{"wait":-1}', '#/wait'], [$take, '{"lease_seconds":0}', '#/lease_seconds'], [$take, '{"lease":5}', '#/lease'],
		[$take, '{"task_types":[]}', '#/task_types'], [$take, '{"task_types":["pull",3]}', '#/task_types/1'],
		[$take, '{"task_types":["pull","noop"]}', '#/task_types/1'], [$take, '{"task_types":["nobody"]}', '#/task_types/0'],
		[$take, '{"worker":""}', '#/worker'], [$take, '[]', '#'], [$take, '{', '#'], [$take, '{"max":1,"max":2}', '#/max'],
		['heartbeat', '{"progress":101}', '#/progress'], ['heartbeat', '{"progress":-1}', '#/progress'], ['heartbeat', '{"note":"x"}', '#/progress'],
		['heartbeat', '{"progress":1,"note":5}', '#/note'], ['heartbeat', '{"result":1}', '#/result'], ['heartbeat', '{"lease_seconds":604801}', '#/lease_seconds'],
		['complete', '{"results":1}', '#/results'], ['complete', '5', '#'], ['fail', '{"error_class":5}', '#/error_class'], ['fail', '{"retry_after":-1}', '#/retry_after'],
		['fail', '{"retry_after":"1"}', '#/retry_after'], ['fail', '{"message":{}}', '#/message'], ['release', '{"delay":31536001}', '#/delay'], ['release', '{"delay":null}', '#/delay'],
		['/v1/leases/complete', '{}', '#/items'], ['/v1/leases/complete', '{"items":[]}', '#/items'], ['/v1/leases/complete', '{"items":{}}', '#/items'],
		['/v1/leases/complete', '{"items":[{}]}', '#/items/0/lease'], ['/v1/leases/complete', '{"items":[{"lease":"x"}]}', '#/items/0/lease'],
		['/v1/leases/complete', "{\"items\":[{\"lease\":\"$gone\"},{\"lease\":\"$gone\"}]}", '#/items/1/lease'],
		['/v1/leases/complete', "{\"items\":[{\"lease\":\"$gone\",\"delay\":1}]}", '#/items/0/delay'], ['/v1/leases/complete', '{"leases":[]}', '#/leases'],
		['/v1/leases/heartbeat', "{\"items\":[{\"lease\":\"$gone\"},5]}", '#/items/1'],
	) {
		my ($path, $body, $pointer) = @$case;
		my $r = $t->post($path =~ m{^/} ? $path : "/v1/leases/$gone/$path", $body);
		is($r->status, 400, "$path $body") or diag($r->body);
		is($r->json->{errors}[0]{pointer}, $pointer, "$path $body: the place");
	}
	my $long = 'x' x 70_000;
	for my $case ([say_of($gone, 'complete', { result => $long }), '#/result'],
		[$t->post('/v1/leases/complete', { items => [{ lease => '1' x 48 }, { lease => $gone, result => $long }] }), '#/items/1/result']) {
		is($case->[0]->status, 413, 'a result that is too long');
		is($case->[0]->json->{errors}[0]{pointer}, $case->[1], 'and its place');
	}
	my ($pull) = grep { $_->{name} eq 'pull' } @{ $t->get('/v1/handlers')->json->{items} };
	is_deeply([@$pull{qw(kind breaker retry_budget)}], ['lease', undef, undef], 'nobody watches the handler of clients when that is off');
	is($t->post('/v1/queues/' . 'q' x 65 . '/lease', '')->json->{code}, 'invalid_parameter', 'a name that no queue has');
	for my $lease ('x', '0' x 47, 'g' x 48, "${gone}0") {
		my $r = say_of($lease, 'complete');
		is($r->status, 400, "no lease: $lease");
		is($r->json->{code}, 'invalid_lease', 'and says so');
	}
	refused(say_of($gone, $_), 'lease_gone', "nobody's $_") for qw(heartbeat complete fail release);
	is($t->get($take)->status, 405, 'it is a POST');
};

subtest 'a drain' => sub {
	my $c = $t->connect;
	$c->send_request('POST', '/v1/queues/drained/lease', json => { wait => 30 });
	wait_for(sub { $t->metric('taskq_http_requests_waiting') == 1 }, 20, 'a client to wait');
	$t->signal('TERM');
	my $r = $c->response;
	is($r->status, 200, 'who waits is answered');
	is_deeply($r->json, { leases => [] }, 'with nothing');
	is($t->wait_exit, 0, 'and the daemon ends');
};
done_testing;
