#!/usr/bin/perl
# An attack on leases over HTTP: each odd word has a clear answer and changes nothing, thousands who wait hold up nobody, who leaves in
# the middle loses no task, and an answer is bounded however heavy the tasks are.
use strict;
use warnings;
use Encode ();
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(memory_of now patience read_file);
use Test::More;

use constant MB => 1024 * 1024;

my $t = Taskq->start(config => <<'EOT');
acceptors = 1
work { poll = 200ms crash_max = 100 }
http { wait_max = 600s max_connections = 2000 }
handler noop { kind = builtin builtin = noop }
handler bad { kind = builtin builtin = fail }
handler nap { kind = builtin builtin = sleep timeout = 1h }
handler pull { kind = lease breaker = off retry_window = 0 timeout = 1h retry_base = 10ms retry_cap = 20ms }
EOT
my ($acceptor) = map { $_->{pid} } $t->roles('acceptor');
my $sanitized = read_file($t->program) =~ /__asan_init/; # its allocator keeps what is freed
my $H = "Host: a\r\nContent-Type: application/json\r\n";
my ($queues, $keys) = (0, 0);

sub sql { return Taskq->pg->psql($_[0]) }
sub queue { return 'q' . ++$queues }
sub submit { my ($queue, %o) = @_; return $t->submit($o{type} // 'pull', $o{payload} // {}, queue => $queue, %{ $o{more} // {} }) }
sub leases { my ($queue, %o) = @_; my $r = $t->post("/v1/queues/$queue/lease", { wait => 20, %o }); return $r->status == 200 ? @{ $r->json->{leases} } : die $r->body }
sub say_of { my ($lease, $verb, $body) = @_; return $t->post('/v1/leases/' . (ref $lease ? $lease->{lease} : $lease) . "/$verb", $body // '') }
sub told { my ($r) = @_; return $r->status . ' ' . (eval { $r->json->{code} } // 'no code') }
sub shown { my ($text) = @_; $text =~ s/[^ -~]/?/g; return length $text > 60 ? substr($text, 0, 57) . '...' : $text }
sub waiting { return $t->metric('taskq_http_requests_waiting') }
sub memory { return memory_of($acceptor, @_) }

# Refused, in the words of an answer that any reader of JSON reads, with the place.
sub refused {
	my ($r, $what, $pointer) = @_;
	my $good = $r->status == 400 && eval { Encode::decode('UTF-8', my $copy = $r->body, Encode::FB_CROAK); $r->json->{code} }
		&& ($r->header('content-type') // '') eq 'application/problem+json' && exists $r->json->{retryable} && !$r->json->{retryable};
	$good &&= $r->json->{errors}[0]{pointer} eq $pointer if defined $pointer;
	ok($good, $what) or diag($r->status . ' ' . $r->body);
	return;
}

# One leased task, to which nothing must happen.
my $kept = queue();
my $task = submit($kept);
my ($lease) = leases($kept);
my $one = "/v1/leases/$lease->{lease}";
my $take = "/v1/queues/$kept/lease";

subtest 'bytes that are no JSON' => sub {
	my @bodies = ("\xff", "{\"a\xc3\":1}", "\0", "{}\0", '{"max":1', '{max:1}', "{'max':1}", '{"max":1,}', '{} {}', "\xef\xbb\xbf{}", '[' x 100_000, '{"items":' x 70 . '1' . '}' x 70,
		'NaN', '{"max":NaN}', '{"wait":Infinity}', '{"wait":-Infinity}', '{"max":+1}', '{"max":01}', '{"max":.5}', '{"max":0x1}', "{\"a\":\"\x01\"}", '{"a":"\x"}', '{"a":"\u12"}',
		'{"a":1,"a":2}', '{"a":1,"\u0061":2}', '[' . '0,' x 100_001 . '0]', 'x' x 65536);
	for my $path ($take, map({ "$one/$_" } qw(heartbeat complete fail release)), map { "/v1/leases/$_" } qw(heartbeat complete fail release)) {
		my @wrong = grep { my $r = $t->post($path, $_); !($r->status == 400 && eval { $r->json->{errors} }) } @bodies;
		is(@wrong, 0, "$path: each of " . @bodies . ' is refused') or diag(join "\n", map { shown($_) } @wrong);
	}
	for my $how (['too long', "${H}Content-Length: 99999999999\r\n\r\n", 413], ['compressed', "${H}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415],
		['no JSON', "Host: a\r\nContent-Type: text/csv\r\nContent-Length: 2\r\n\r\n{}", 415], ['a form', "Host: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\nmax=1", 415],
		['lines', "Host: a\r\nContent-Type: application/x-ndjson\r\nContent-Length: 2\r\n\r\n{}", 415], ['cut off', "${H}Content-Length: 20\r\n\r\n{\"max\":", 400]) {
		my ($what, $rest, $status) = @$how;
		for my $path ($take, "$one/complete", '/v1/leases/complete') {
			my $c = $t->connect;
			$c->write("POST $path HTTP/1.1\r\n$rest");
			$c->finish;
			like($c->read_all, qr{^HTTP/1\.1 $status .*\r\n\r\n(?!.*HTTP/1\.1)}s, "$path: $what is $status");
		}
	}
	for my $path ($take, "$one/complete", '/v1/leases/complete') {
		for my $method (qw(GET HEAD PUT DELETE PATCH)) {
			my $r = $t->request($method, $path);
			is($r->status . ' ' . ($r->header('allow') // ''), '405 POST', "$method $path");
		}
	}
	refused($t->post("/v1/leases/$_", ''), "no body for many: $_") for qw(heartbeat complete fail release);
};

subtest 'numbers' => sub {
	my @odd = qw(-1 -0 1.0 1e0 50.5 1e308 1e999 -1e999 2147483648 4294967297 9223372036854775808 18446744073709551617 "1" "\u0031" null true [] {});
	push @odd, '1' . '0' x 5000;
	for (['max', $take], ['wait', $take], ['lease_seconds', $take], ['progress', "$one/heartbeat"], ['lease_seconds', "$one/heartbeat"], ['delay', "$one/release"]) {
		my ($member, $path) = @$_;
		my @taken = grep { my $r = $t->post($path, "{\"$member\":$_}"); !($r->status == 400 && $r->json->{errors}[0]{pointer} eq "#/$member") } @odd;
		is(join(' ', map { shown($_) } @taken), '', "$member takes none of " . @odd);
	}
	refused($t->post($take, $_->[0]), $_->[0], $_->[1]) for ['{"max":1001}', '#/max'], ['{"max":0}', '#/max'], ['{"wait":86401}', '#/wait'], ['{"lease_seconds":0}', '#/lease_seconds'], ['{"lease_seconds":604801}', '#/lease_seconds'];
	refused($t->post("$one/heartbeat", "{\"progress\":$_}"), "progress $_", '#/progress') for 101, -1, 50.5;
	refused($t->post("$one/fail", "{\"retry_after\":$_}"), "retry_after $_", '#/retry_after') for '-1', '-0.5', '-1e999', '"1"', 'null', '[1]';
};

subtest 'many' => sub {
	my $items = sub { return '{"items":[' . join(',', @_) . ']}' };
	my @gone = map { sprintf '{"lease":"%048x"}', $_ } 1 .. 1001;
	refused($t->post('/v1/leases/complete', $items->(@gone)), '1001 items', '#/items');
	my $r = $t->post('/v1/leases/complete', $items->(@gone[0 .. 999]));
	is(join(' ', $r->status, scalar @{ $r->json->{results} }, scalar grep { $_->{verdict} ne 'gone' } @{ $r->json->{results} }), '200 1000 0', 'a thousand that nobody holds');
	refused($t->post('/v1/leases/complete', $items->(@gone[0 .. 9], $gone[4])), 'one of them twice', '#/items/10/lease');
	refused($t->post('/v1/leases/complete', $items->($gone[0], '{"lease":"' . 'A' x 48 . '"}')), 'in capitals', '#/items/1/lease');
	refused($t->post('/v1/leases/complete', $items->($gone[0], "{\"lease\":\"$lease->{lease}\",\"lease\":\"$lease->{lease}\"}")), 'a name twice');
	refused($t->post('/v1/leases/complete', $items->('{"lease":"\u0030' . '0' x 47 . '"}')), 'a lease with escapes', '#/items/0/lease');
	refused($t->post('/v1/leases/complete', '{"items":[{}],"items":[]}'), 'items twice');
	refused($t->post('/v1/leases/complete', $items->(map { "[$_]" } 1 .. 100)), 'arrays', '#/items/0');
	refused($t->post($take, '{"task_types":[' . join(',', ('"pull"') x 101) . ']}'), '101 task types', '#/task_types');
	refused($t->post($take, '{"task_types":["pull\u0000"]}'), 'NUL in a task type', '#/task_types/0');
	is($t->post("/v1/queues/$kept/lease", '{"task_types":[' . join(',', ('"pull"') x 100) . ']}')->status, 200, 'one a hundred times is one');
};

subtest 'texts' => sub {
	for my $note ('\u0000', 'a\u001bb', '\ud800', '\udc00x', '\ud800\u0041', "\x7f", "\xff", "\xed\xa0\x80", '\u009f' x 251, 'x' x 501, "\xc3\xa9" x 251, 'x' x 1_000_000) {
		refused($t->post("$one/heartbeat", "{\"progress\":1,\"note\":\"$note\"}"), 'a note like ' . shown($note)) unless $note =~ /\\u009f|\x7f/ && $note !~ /9f.*9f/;
		refused($t->post($take, "{\"worker\":\"$note\"}"), 'a worker like ' . shown($note)) unless $note =~ /\\u009f|\x7f/ && $note !~ /9f.*9f/;
	}
	for my $note ('', ' ', '\ud83d\ude00', "\xf0\x9f\x98\x80", '\u202e', '\ufeff', '\uffff', "'; delete from taskq.lease; --", '%s%n', '\\\\', '\"', '<b>', "\xc3\xa9" x 250) {
		my $r = $t->post("$one/heartbeat", "{\"progress\":7,\"note\":\"$note\"}");
		is($r->status, 200, 'a note like ' . shown($note)) or diag($r->body);
		my $now = $t->get("/v1/tasks/$task->{id}");
		is(Taskq::HTTP::encode($now->json->{progress}{note} // ''), Taskq::HTTP::encode(Taskq::HTTP::decode("\"$note\"")), 'is shown as it is');
	}
	for my $part ('error_class', 'error_code', 'message') {
		refused($t->post("$one/fail", "{\"$part\":$_}"), "$part: $_", "#/$part") for '"\ud800"', '1', 'null', '{}';
	}
	for my $name ('%00', '%ff', '%2f', 'x' x 65, 'x' x 4000, '%0d%0aX-Evil:%201', '..%2f..', '%') {
		my $r = $t->post("/v1/queues/$name/lease", '{"wait":600}');
		like($r->status, qr/^40[04]$/, 'no queue: ' . shown($name)) or diag($r->body);
		is($r->header('x-evil'), undef, 'and no line of it');
	}
	is($t->post("/v1/queues/$_/lease", '{"wait":0}')->body, '{"leases":[]}', 'nothing is in: ' . shown($_)) for 'a%20b', "'", '%25', '%f0%9f%98%80', 'x' x 64, '$1';
};

subtest 'leases of others' => sub {
	my $queue = queue();
	my ($own, $theirs) = map { submit($queue) } 1, 2;
	my ($a) = leases($queue);
	my ($b) = leases($queue);
	my ($ta, $tb) = ($a->{lease}, $b->{lease});
	for my $token (uc $ta, "0x$ta", " $ta", "$ta%20", substr($ta, 0, 47), "${ta}0", 'g' x 48, '-' x 48, "$ta/$tb", '%00' . substr($ta, 1), "\xc3\xa9" x 24, substr($ta, 0, 46) . '%6', '') {
		my $r = say_of($token, 'complete');
		like(told($r), qr/^(?:400 (?:invalid_lease|bad_request)|404 not_found)$/, 'no lease: ' . shown($token)) or diag($r->body);
	}
	my @false = (substr($ta, 0, 32) . substr($tb, 32), substr($tb, 0, 32) . substr($ta, 32), substr($ta, 32) . substr($ta, 0, 32), substr($ta, 0, 32) . '0' x 16, substr($ta, 0, 32) . 'f' x 16, 'f' x 48, '0' x 48,
		substr($ta, 0, 32) . sprintf('%016x', hex(substr $ta, 40) + 1), substr($ta, 0, 32) . '7' . 'f' x 15, substr($ta, 0, 32) . '8' . '0' x 15);
	for my $token (@false) {
		for my $verb (qw(heartbeat complete fail release)) {
			is(told(say_of($token, $verb)), '409 lease_gone', "$verb with " . substr($token, 0, 8) . '...' . substr($token, 32));
		}
	}
	my $r = $t->post('/v1/leases/complete', { items => [map { +{ lease => $_ } } @false] });
	is_deeply([grep { $_->{verdict} ne 'gone' } @{ $r->json->{results} }], [], 'nor all at once');
	is($t->task($_)->{status}, 'processing', 'the tasks have not noticed') for $own, $theirs;
	my ($misfit, $n) = ($t->submit('noop', {}), 0);
	$t->wait_final($misfit);
	my $dead = $t->wait_final($t->submit('bad', { error_class => 'NON_RETRYABLE' }));
	my $waits = submit($queue, more => { delay => 3600 });
	my $cancelled = submit($queue, more => { delay => 3600 });
	$t->post("/v1/tasks/$cancelled->{id}/cancel", '');
	for (['succeeded', $misfit], ['dead', $dead], ['waits', $waits], ['cancelled', $cancelled]) {
		my ($what, $it) = @$_;
		my $before = $t->get("/v1/tasks/$it->{id}")->body;
		(my $id = $it->{id}) =~ s/-//g;
		is(told(say_of($id . substr($ta, 32), $_)), '409 lease_gone', "$what: $_") for qw(heartbeat complete fail release);
		is($t->get("/v1/tasks/$it->{id}")->body, $before, "$what: nothing changed");
	}
	is(say_of($a, 'complete')->status, 200, 'who holds it completes it');
	is(say_of($b, 'fail', { error_class => 'NON_RETRYABLE' })->json->{status}, 'dead_letter', 'or fails');
	is(told(say_of($a, $_)), '409 lease_gone', "then there is no $_") for qw(heartbeat fail release);
	is(told(say_of($b, $_)), '409 lease_gone', "nor a $_ of the dead") for qw(heartbeat complete release);
	is($t->post("/v1/tasks/$b->{message_id}/retry", '')->status, 200, 'the dead one by hand');
	my ($again) = leases($queue);
	is($again->{message_id}, $b->{message_id}, 'is leased again');
	is(told(say_of($b, $_)), '409 lease_gone', "and its old lease does not $_") for qw(heartbeat complete release);
	is(say_of($again, 'complete')->status, 200, 'but the new one does');
};

subtest 'leases of workers' => sub {
	my $nap = $t->submit('nap', { seconds => 3600 });
	$t->wait_status($nap, qr/processing/);
	my $token = sql("select replace('$nap->{id}', '-', '') || lpad(to_hex(lease_id), 16, '0') from taskq.lease where lo <= '$nap->{id}' and hi >= '$nap->{id}' and worker <> 0");
	is(told(say_of($token, $_)), '409 not_a_client', "$_ is not for clients") for qw(complete fail release);
	is(say_of($token, 'heartbeat', { progress => 5 })->status, 200, 'a heartbeat is');
	is(say_of($token, 'heartbeat', { lease_seconds => 1 })->json->{lease_until}, undef, 'and takes no time away');
	is($t->task($nap)->{status}, 'processing', 'it runs');
	is($t->post("/v1/tasks/$nap->{id}/cancel", '')->status, 200, 'until it is cancelled');
};

subtest 'results' => sub {
	my $queue = queue();
	for my $sent ('"\ud800"', '{"\udc00":"\u0000"}', '1e999', '-0', '123456789012345678901234567890', '[' x 60 . ']' x 60, '"' . "\xf0\x9f\x98\x80" . '"', '{"":{"":null}}', ' [ 1 , 2 ] ') {
		my ($it, $result) = (submit($queue), $sent);
		my ($l) = leases($queue);
		is(say_of($l, 'complete', "{\"result\":$result}")->status, 200, 'a result like ' . shown($result));
		$result =~ s/^ | $//g;
		like($t->get("/v1/tasks/$it->{id}")->body, qr/"result":\Q$result\E[,}]/, 'is passed on byte for byte');
	}
	submit($queue);
	my ($l) = leases($queue);
	for my $result ("\"\xed\xa0\x80\"", '{"a":1,"a":1}', '[' x 70 . ']' x 70, 'NaN', "\"\0\"", '"' . 'x' x 65536 . '"') {
		my $r = say_of($l, 'complete', "{\"result\":$result}");
		like($r->status, qr/^4(?:00|13)$/, 'no result: ' . shown($result)) or diag($r->body);
	}
	is(say_of($l, 'complete', { result => 'x' x 65534 })->status, 200, 'the longest');
	for (['{"error_class":"NON_RETRYABLE","retry_after":1e999}', 'NON_RETRYABLE', 'HANDLER_FAILED'], ['{"error_class":"AUTH\u0000","message":"a\u0000\u001b[1m"}', 'NON_RETRYABLE', 'HANDLER_FAILED'],
		['{"error_class":"NON_RETRYABLE","error_code":"\u0000"}', 'NON_RETRYABLE', '_'], ['{"error_class":"' . 'x' x 200_000 . '"}', 'NON_RETRYABLE', 'HANDLER_FAILED'],
		['{"error_class":"NON_RETRYABLE","error_code":"' . 'y' x 200_000 . '","message":"' . "\xc3\xa9" x 200_000 . '"}', 'NON_RETRYABLE', 'Y' x 63]) {
		my ($report, $class, $code) = @$_;
		my $it = submit($queue);
		($l) = leases($queue);
		is(say_of($l, 'fail', $report)->json->{status}, 'dead_letter', 'a report like ' . shown($report));
		my $dead = $t->task($it);
		is("$dead->{error_class} $dead->{error_code}", "$class $code", 'counts as far as it can be read');
		unlike($dead->{last_error}, qr/[\0-\x08\x0b-\x1f\x7f]/, 'without control characters');
		cmp_ok(length $dead->{last_error}, '<=', 2000, 'and in bounds');
	}
};

is($t->task($task)->{status}, 'processing', 'the task that all of it was said about is where it was');
is(say_of($lease, 'complete')->status, 200, 'and can be completed');

# Read by eye: a reader in Perl needs a second for a megabyte.
subtest 'heavy tasks' => sub {
	my ($queue, %got, @some) = (queue());
	my $heavy = sub { my ($n, $size) = @_; my $body = "{\"task_type\":\"pull\",\"queue\":\"$queue\",\"payload\":{\"x\":\"" . 'x' x $size . '"}}'; return $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => "heavy-$n" })->body =~ /"id":"([^"]+)"/ ? $1 : die 'no task' };
	my $ask = sub { my $r = $t->post("/v1/queues/$queue/lease", { max => $_[0], wait => 20 }, seconds => 60); cmp_ok(length $r->body, '<', 9 * MB, 'an answer in bounds'); return $r->body =~ /"message_id":"([^"]+)"/g };
	my @tasks = map { $heavy->($_, 600_000) } 1 .. 20;
	while (keys %got < @tasks && (@some = $ask->(1000))) {
		cmp_ok(scalar @some, '>=', 7, 'with ' . @some);
		$got{$_}++ for @some;
	}
	is_deeply([sort keys %got], [sort @tasks], 'all are given out');
	is_deeply([grep { $_ != 1 } values %got], [], 'once');
	is(sql('select count(*) from taskq.tried where id in (' . join(',', map { "'$_'" } @tasks) . ')'), 0, 'and no run was counted for those that went back');
	$heavy->("few-$_", 1_000_000) for 1 .. 3;
	is(scalar(my @few = $ask->(2)), 2, 'what is not too much is given out at once');
};

subtest 'thousands who wait' => sub {
	my $queue = queue();
	submit($queue);
	leases($queue, lease_seconds => 3600); # the queue is known
	my $memory = memory('VmHWM');
	my $ask = sub { my $body = sprintf '{"wait":600,"lease_seconds":3600,"worker":"%s"}', 'w' x 100; return "POST /v1/queues/$_[0]/lease HTTP/1.1\r\n${H}Content-Length: " . length($body) . "\r\n\r\n$body" };
	my @c = map { $t->connect } 1 .. 200;
	$_->write($ask->($queue) x 16) for @c; # 3,200
	wait_for(sub { waiting() >= 1000 }, 60, 'a thousand to wait');
	is(waiting(), 1000, 'not one more');
	is($t->get($_)->status, 200, "$_ answers beside them") for qw(/healthz /readyz /metrics);
	is($t->post("/v1/queues/$queue/lease", { wait => 600 })->json->{leases}[0], undef, 'who comes now is answered at once, with nothing');
	my $other = queue();
	my @mine = map { submit($other)->{id} } 1 .. 20;
	is_deeply([sort map { $_->{message_id} } leases($other, max => 100, wait => 0)], [sort @mine], 'and other queues are served');
	my @tasks = map { submit($queue)->{id} } 1 .. 50;
	my (%got, $answers);
	wait_for(sub {
		for my $c (@c) {
			1 while $c->fill(now() + 0.001) && !$c->{eof};
			while ($c->{in} =~ /\r\n\r\n\{"leases":\[.*?\]\}/s) {
				my $r = $c->response;
				$answers++;
				$got{ $_->{message_id} }++ for @{ $r->json->{leases} };
			}
		}
		return keys %got == @tasks;
	}, 60, 'the tasks to be leased');
	is_deeply([sort keys %got], [sort @tasks], 'each task that comes goes to one of them');
	is_deeply([grep { $_ != 1 } values %got], [], 'and to one only') or diag(explain([map { $t->get("/v1/tasks/$_/attempts")->body } grep { $got{$_} != 1 } keys %got]));
	$_->reset for @c;
	wait_for(sub { waiting() == 0 }, 60, 'all to be forgotten');
	my $peak = memory('VmHWM');
	diag(sprintf 'memory: %.1f MB before, %.1f MB at most', $memory, $peak);
	SKIP: {
		skip 'the allocator of the sanitizers keeps what is freed', 1 if $sanitized;
		cmp_ok($peak - $memory, '<', 64, 'memory is bounded');
	}
};

subtest 'one connection, many requests' => sub {
	my $queue = queue();
	my @tasks = map { submit($queue)->{id} } 1 .. 16;
	my $c = $t->connect;
	my $ask = "POST /v1/queues/$queue/lease HTTP/1.1\r\n${H}Content-Length: 9\r\n\r\n{\"max\":1}";
	$c->write($ask x 16);
	my @leases = map { @{ $c->response(seconds => 60)->json->{leases} } } 1 .. 16; # in their order, each when it has been claimed
	is_deeply([sort map { $_->{message_id} } @leases], [sort @tasks], 'sixteen at once have one each');
	$c->write(join '', map { "POST /v1/leases/$_->{lease}/complete HTTP/1.1\r\n${H}Content-Length: 0\r\n\r\n" } @leases);
	is_deeply([map { $c->response(seconds => 60)->status } 1 .. 16], [(200) x 16], 'and complete them the same way');

	# Behind a request that waits there is no way for an answer.
	my ($other, $body) = (queue(), '{"wait":600}');
	$c->write(join '', map { "POST /v1/queues/$_/lease HTTP/1.1\r\n${H}Content-Length: " . length($body) . "\r\n\r\n$body" } $queue, $other);
	wait_for(sub { waiting() == 2 }, 30, 'two to wait');
	my $alone = $t->connect;
	$alone->send_request('POST', "/v1/queues/$other/lease", json => { wait => 600 });
	wait_for(sub { waiting() == 3 }, 30, 'one more, who came later');
	my $it = submit($other);
	my $r = eval { $alone->response(seconds => 60) };
	is($r && $r->json->{leases}[0]{message_id}, $it->{id}, 'who could not be told of a task is not given it');
	submit($queue);
	my $second = submit($other);
	is(scalar @{ $c->response(seconds => 60)->json->{leases} }, 1, 'the first of a connection is served');
	is($c->response(seconds => 60)->json->{leases}[0]{message_id}, $second->{id}, 'and then the second');
};

subtest 'half-closed' => sub {
	my $queue = queue();
	my $it = submit($queue);
	for my $wait (0, 30) {
		my $c = $t->connect;
		$c->send_request('POST', "/v1/queues/$queue/lease", json => { wait => $wait, lease_seconds => 3600 });
		$c->finish;
		my $r = $c->response(seconds => 60);
		is($r->status, 200, "wait $wait: who will say nothing more has an answer");
		say_of($_, 'release') for @{ $r->json->{leases} };
	}
	my ($l) = leases($queue);
	is($l->{message_id}, $it->{id}, 'and the task is there for the next');
	is($l->{attempt}, 1, 'with no attempt spent');
	say_of($l, 'complete');
};

# Who closes while tasks come may have been given some: these come back when their leases end.
subtest 'who leaves while tasks come' => sub {
	my $queue = queue();
	my (@open, %want, %done);
	my $ask = sub { my $c = $t->connect; $c->send_request('POST', "/v1/queues/$queue/lease", json => { wait => 600, max => 3, lease_seconds => 1 }); return $c };
	push @open, $ask->() for 1 .. 40;
	for my $n (1 .. 120) {
		$want{ submit($queue)->{id} } = 1;
		my $c = splice @open, $n * 7 % @open, 1;
		$n % 3 ? $n % 2 ? $c->close : $c->reset : $c->finish->close;
		push @open, $ask->();
	}
	$_->reset for @open;
	wait_for(sub { waiting() == 0 }, 60, 'all to be forgotten');
	my $end = now() + patience(120);
	while (keys %done < keys %want && now() < $end) {
		for my $l (leases($queue, max => 50, wait => 2)) {
			is($want{ $l->{message_id} }, 1, 'a task of ours') if !$want{ $l->{message_id} };
			$done{ $l->{message_id} }++ if say_of($l, 'complete')->status == 200;
		}
	}
	is_deeply([sort keys %done], [sort keys %want], 'every task is leased and completed in the end');
	is_deeply([grep { $_ != 1 } values %done], [], 'once');
	is(sql("select count(*) from taskq.lease l join taskq.lane n on n.id = l.lane join taskq.queue q on q.id = n.queue_id where q.name = '$queue'"), 0, 'no lease is left');
};

is(join(' ', map { $_->{pid} } $t->roles('acceptor')), $acceptor, 'the same acceptor serves');
is(join("\n", grep { /=error|=crit/ } $t->log_lines), '', 'its log has no error');
is($t->stop, 0, 'drained');
done_testing;
