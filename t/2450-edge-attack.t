#!/usr/bin/perl
# An attack on the admission, over the wire: each blow has a clear answer or a closed connection, memory and descriptors stay
# bounded, what is held is free again, and at the end the same acceptor serves and its log has no error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(memory_of now read_file slurp_command temp_dir write_file);
use Test::More;

use constant { MB => 1024 * 1024, ITEM => 65536, HALF_OPEN => 300 };

my $dir = temp_dir('attack');
my $handlers = 'handler mail { kind = builtin }';
my $t = Taskq->start(config => "workers = 0\nlimits { in_flight = 16MB }\nhttp { max_body = 64kB max_connections = 350 }\n$handlers");
my ($acceptor) = map { $_->{pid} } $t->roles('acceptor');
my $sanitized = read_file($t->program) =~ /__asan_init/; # its allocator keeps what is freed
my $H = "Host: a\r\nContent-Type: application/json\r\n";
my $N = "Host: a\r\nContent-Type: application/x-ndjson\r\n";

sub memory { return memory_of($acceptor, @_) }
sub descriptors { my @all = glob "/proc/$acceptor/fd/*"; return scalar @all }
sub stored { return Taskq->pg->psql('select count(*) from taskq.task') + 0 }
sub held { return $t->metric('taskq_http_held_bytes') }
sub item { my ($key, %o) = @_; return Taskq::HTTP::encode({ idempotency_key => $key, task_type => 'mail', %o }) }
sub batch { my ($lines, $bytes) = @_; return "POST /v1/tasks/batch HTTP/1.1\r\n$lines\r\n$bytes" }
sub bulk { my ($body, %o) = @_; return $t->request('POST', '/v1/tasks/batch', body => $body, headers => { 'Content-Type' => 'application/x-ndjson' }, seconds => 60, %o) }
# Status and counts, of an answer that is too long for a slow reader of JSON.
sub told { my ($r, @words) = @_; return join ' ', $r->status, map { $r->body =~ /"$_":(\d+)/ ? $1 : 'none' } @words }
sub submit { my ($key, $body, %o) = @_; return $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => $key, %o }) }
# All answers up to the end of the stream: their status codes, in order.
sub statuses { my ($bytes) = @_; return join ' ', map { $_ + 0 } $bytes =~ m{^HTTP/1\.1 (\d{3}) }mg }
# Sends all of it, also when the other side has heard enough, and returns what was said.
sub shout { my ($bytes) = @_; my $c = $t->connect; $c->write($bytes, 60); $c->finish; return $c->read_all(60) }

# What an honest load takes, first; then the bounds.
is(bulk(join '', map { item("first-$_", payload => { x => 'x' x 1000 }) . "\n" } 1 .. 5000)->status, 200, 'an honest bulk request');
my ($memory, $descriptors) = (memory('VmHWM'), descriptors());

subtest 'chunks that lie' => sub {
	my $before = stored();
	my $smuggled = "POST /v1/tasks HTTP/1.1\r\n${H}Idempotency-Key: smuggled\r\nContent-Length: 20\r\n\r\n{\"task_type\":\"mail\"}";
	for my $path ('/v1/tasks/batch', '/v1/tasks') {
		for my $size ('FFFFFFFFFFFFFFFF', '10000000000000000', '7FFFFFFFFFFFFFFF', '-1', '+5', '0x5', ' 5', '5 ', '', '5;a=b', '5;' . 'x' x 20000, "5\n", "\0", '5;a="\r\n"',
			'00000000000000005', "5\r\n1") {
			my $raw = shout("POST $path HTTP/1.1\r\n${H}Idempotency-Key: lie\r\nTransfer-Encoding: chunked\r\n\r\n" =~ s/Idempotency-Key: lie\r\n(?=.*)/$path =~ m{batch} ? '' : $&/er .
				"$size\r\n[\"a\",\r\n0\r\n\r\n$smuggled");
			like(statuses($raw), qr/^4\d\d$/, "$path: a chunk of size \"" . substr($size =~ s/[^!-~]/?/gr, 0, 20) . '": one answer, and nothing behind it');
		}
	}
	for my $lines ("Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: -1\r\n",
		"Content-Length: 99999999999999999999\r\n", "Content-Length: 9223372036854775807\r\n", "Content-Length: 0x5\r\n", "Content-Length: \r\n", "Content-Length : 5\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") {
		like(statuses(shout(batch($H . $lines, "0\r\n\r\n$smuggled"))), qr/^(?:4\d\d|501)$/, ($lines =~ s/\r\n/ | /gr) . 'refused, and nothing behind it');
	}
	my $first = item('short');
	like(statuses(shout(batch("${H}Content-Length: " . (length($first) + 2) . "\r\n", "[$first]tail\r\n\r\n$smuggled"))), qr/^200 4\d\d$/, 'a length that is too short: the tail is no request');
	like(statuses(shout(batch("${H}Content-Length: 9999\r\n", "[$first]"))), qr/^4\d\d$/, 'a length that is too long');
	is(stored(), $before + 1, 'nothing that was hidden in a body became a task');
};

subtest 'refused streams, and what stands behind them' => sub {
	my $before = stored();
	my $behind = "POST /v1/tasks HTTP/1.1\r\n${H}Idempotency-Key: behind\r\nContent-Length: 20\r\n\r\n{\"task_type\":\"mail\"}";
	for (['a key for all', "${H}Idempotency-Key: x\r\nContent-Length: 400\r\n", 400], ['another type', "Host: a\r\nContent-Type: text/csv\r\nContent-Length: 400\r\n", 415],
		['too long', "${H}Content-Length: 99999999999\r\n", 413], ['an expectation', "${H}Expect: magic\r\nContent-Length: 400\r\n", 417]) {
		my ($what, $lines, $status) = @$_;
		is(statuses(shout(batch($lines, $behind x 20))), $status, "$what: $status, and the bytes behind are nobody's requests");
	}
	is(stored(), $before, 'none of them was read as one');
};

subtest 'bodies that weigh' => sub {
	my $r = bulk("x\n" x 10000);
	is(told($r, 'invalid'), '200 10000', 'ten thousand items of one byte, a verdict for each');
	is(() = $r->body =~ /"code":"invalid_json"/g, 10000, 'with its error');
	cmp_ok(length $r->body, '<', 4 * MB, 'in an answer of bounded length');
	$r = bulk('{"' . 'n' x 60000 . "\":1}\n" . ('{"' . "\\u0000" x 40 . "\":1}\n") x 9999);
	is(told($r, 'invalid'), '200 10000', 'ten thousand long names in pointers');
	cmp_ok(length $r->body, '<', 10 * MB, 'also bounded');
	for (['one line of 64 MB', '[' x (64 * MB), '413 item_too_large'], ['64 MB of empty lines', "\n" x (64 * MB), '400 no_items'], ['64 MB of a string', '"' . '\\' x (64 * MB - 1), '413 item_too_large']) {
		my ($what, $body, $want) = @$_;
		$r = bulk($body);
		is($r->status . ' ' . $r->json->{code}, $want, $what);
	}
	for (['an array of 64 MB of spaces', '[' . ' ' x (64 * MB - 1), '400 invalid_json'], ['an array of 64 MB of brackets', '[' x (64 * MB), '413 item_too_large']) {
		my ($what, $body, $want) = @$_;
		$r = bulk($body, headers => { 'Content-Type' => 'application/json' });
		is($r->status . ' ' . $r->json->{code}, $want, $what);
	}
	$r = bulk(('[' x 30000) . "\n" . ('{"a":' x 10000) . "\n");
	is(join(' ', map { $_->{error}{code} } @{ $r->json->{items} }), 'too_deep too_deep', 'nesting bombs');
	my $exact = item('exact', payload => { x => '' });
	$exact =~ s/"x":""/'"x":"' . 'x' x (ITEM - length $exact) . '"'/e;
	is(length $exact, ITEM, 'an item of exactly max_body');
	is(bulk("$exact\n")->json->{accepted}, 1, 'is taken');
	is(bulk($exact =~ s/xx/xxx/r)->json->{code}, 'item_too_large', 'and one byte more is not');
	$r = bulk(join '', map { item('one', priority => $_ % 2) . "\n" } 1 .. 10000);
	is(told($r, qw(accepted replayed mismatch)), '200 1 4999 5000', 'one key ten thousand times');
	$r = bulk(join '', map { item("n-$_", unique => { key => 'the one' }) . "\n" } 1 .. 300);
	is(told($r, qw(accepted not_unique)), '200 1 299', 'one unique name three hundred times, one after the other');
};

subtest 'gone at each stage' => sub {
	my $before = stored();
	my @some = map { item("gone-$_") } 1 .. 3000;
	my $body = '[' . join(',', @some) . ']';
	my $head = "POST /v1/tasks/batch HTTP/1.1\r\n${H}Content-Length: " . length($body) . "\r\n\r\n";
	for my $way (sub { $_[0]->reset }, sub { $_[0]->close }) {
		for my $sent ('POST /v1/ta', $head, $head . substr($body, 0, 7), $head . substr($body, 0, 30_000), $head . substr($body, 0, length($body) - 1), $head . $body, ($head . $body) x 2) {
			my @c = map { $t->connect } 1 .. 3;
			$_->write($sent) for @c;
			$way->($_) for @c;
		}
	}
	my $slow = $t->connect; # takes nothing of its answer
	$slow->write($head . $body . $head . $body);
	$slow->reset;
	wait_for(sub { held() == 0 }, 30, 'nothing to be held');
	wait_for(sub { descriptors() <= $descriptors }, 30, 'the descriptors to be closed');
	pass('nothing is held, no descriptor is left');
	my (undef, $accepted, $replayed) = split / /, told(bulk(join "\n", @some), qw(accepted replayed));
	is($accepted + $replayed, 3000, 'the same items are taken or known');
	is(stored(), $before + 3000, 'once each');
};

subtest 'half-open bulk requests' => sub {
	my (@open, %status);
	for my $n (1 .. HALF_OPEN) {
		push @open, my $c = $t->connect;
		$c->write(batch(($n % 2 ? $H : $N) . "Transfer-Encoding: chunked\r\n", $n % 2 ? "1\r\n[\r\n" : "9\r\n{\"a\":\"bcd\r\n"));
	}
	my $waiting = sub { return $t->metric('taskq_http_requests_in_flight') - 1 }; # /metrics is one
	wait_for(sub { $_->fill(now() + 0.001) for grep { $_->{in} eq '' } @open; HALF_OPEN == $waiting->() + grep { $_->{in} ne '' } @open }, 20, 'all to be heard');
	$status{ $_->response->status }++ for grep { $_->{in} ne '' } @open;
	diag(sprintf '%d of %d bulk requests wait, %d MB held', $waiting->(), HALF_OPEN, held() / MB);
	is_deeply([keys %status], [503], 'those beyond limits.in_flight are refused by their heads');
	cmp_ok($waiting->(), '>=', 1, 'some are let in');
	cmp_ok(held(), '<=', 16 * MB * 3 / 4, 'and hold three quarters of it at most');
	my $single = submit('beside', '{"task_type":"mail","payload":{"x":"' . 'x' x 60000 . '"}}');
	is($single->status, 202, 'single submissions go on beside them');
	is(scalar(grep { submit("beside-$_", { task_type => 'mail' })->status != 202 } 1 .. 20), 0, 'all of them');
	$_->reset for @open;
	wait_for(sub { held() == 0 && descriptors() <= $descriptors }, 30, 'all to be let go');
	pass('what they held is free');
};

subtest 'more connections than may be' => sub {
	my @c = map { eval { $t->connect } } 1 .. 500;
	$_ && $_->write('POST /v1/tasks/batch HTTP/1.1' . "\r\n") for @c;
	cmp_ok(descriptors(), '<=', $descriptors + 350 + 8, 'descriptors are bounded');
	$_->reset for grep { $_ } @c;
	wait_for(sub { eval { descriptors() <= $descriptors && submit('after-rush', { task_type => 'mail' })->status == 202 } }, 30, 'room again');
	pass('and room comes back');
};

subtest 'a flood of waiters' => sub {
	my $task = submit('slept', { task_type => 'mail', delay => 3600 })->json;
	my @c = map { $t->connect } 1 .. 100;
	my $get = "GET /v1/tasks/$task->{id} HTTP/1.1\r\nHost: a\r\nPrefer: wait=60\r\n\r\n";
	$_->write($get x 16) for @c;
	my $waiting = sub { return $t->metric('taskq_http_requests_waiting') };
	# Where the database is slow some are told so instead, and others must take their places.
	my $next = 0;
	my $top_up = sub { my $n = $waiting->(); return 1 if $n >= 1000; $c[$next++ % @c]->write($get) for 1 .. 20; return 0 };
	wait_for($top_up, 50, 'a thousand to wait');
	is($waiting->(), 1000, 'not one more');
	is(submit('beside-waiters', { task_type => 'mail' }, Prefer => 'wait=60')->status, 202, 'who comes now is answered at once');
	$_->reset for @c;
	wait_for(sub { $waiting->() == 0 && descriptors() <= $descriptors }, 30, 'all to be forgotten');
	pass('who left is forgotten');
};

subtest 'what is said again' => sub {
	my $plain = join ' ', sort map { $_->[0] } @{ submit('said', { task_type => 'mail' })->{headers} };
	for my $key ('"a\\"b\\\\c"', '"Set-Cookie: x"', '"a,b"', '"a;b=c"', '"%0d%0aX: y"', '\\r\\nX: y', "'; drop table taskq.task --", '"' . 'k' x 255 . '"', '<script>', '{"$ne":1}') {
		my $r = submit($key, { task_type => 'mail' });
		is($r->status, 202, "a key like " . substr $key, 0, 30);
		is(join(' ', sort map { $_->[0] } @{ $r->{headers} }), $plain, 'no line more than another answer has');
		is(submit($key, { task_type => 'mail' })->header('idempotent-replayed'), 'true', 'and it is itself again');
	}
	for my $key ('"a\\nb"', '"open', '"a"b', "a\tb", "a\x7fb", "t\xc3\xa4", '"\\', '""', '', 'k' x 256, '"a"x') {
		like(submit($key, { task_type => 'mail' })->json->{code}, qr/^(?:invalid_key|missing_key|bad_request)$/, 'no key: ' . substr($key =~ s/[^ -~]/?/gr, 0, 30));
	}
	for my $raw ("a\r b", "a\nX-Evil: 1", "a\0b", "a\r\n X-Evil: 1") {
		my $answer = shout("POST /v1/tasks HTTP/1.1\r\n${H}Idempotency-Key: $raw\r\nContent-Length: 20\r\n\r\n{\"task_type\":\"mail\"}");
		like($answer, qr/^HTTP\/1\.1 400 /, 'raw line ends and NUL in a key: 400');
		unlike($answer, qr/^X-Evil/mi, 'and no line of theirs');
	}
	my $r = bulk(join '', map { "{\"task_type\":\"mail\",\"idempotency_key\":\"$_\"}\n" } 'a\\r\\nX-Evil: 1', 'a\\u0000', '\\ud800', '\\u007f');
	is($r->json->{invalid}, 4, 'keys of items have the same letters');
	for my $query ('%0d%0aX-Evil:%201', '%00', '%ff', 'a%22%20or%201=1', '%', '%2') {
		$r = $t->get("/v1/tasks?idempotency_key=$query");
		ok($r->status == 400 || ($r->status == 200 && !@{ $r->json->{items} }), "a key asked for as $query finds nothing");
		is($r->header('x-evil'), undef, 'and adds nothing');
	}
	for my $id ("a b", 'a"b', '<x>', 'x' x 500, "a\tb", 'a%0d%0a') {
		isnt($t->get('/healthz', headers => { 'X-Request-ID' => $id })->header('x-request-id'), $id, 'an odd request id is not repeated');
	}
};

subtest 'names' => sub {
	my ($taken, %code) = (0);
	for my $name ('', ' ', "'; delete from taskq.uniq; --", '%s%n', '../../x', '\\u0000', '\\ud83d\\ude00', '\\ud800', '\\u202e', 'x' x 255, 'x' x 256, 'x' x 60000, '\\"', '\\\\', "\\n\\r\\t", "\xff", '$1', '{}') {
		my @r = map { submit("name-$_-" . ++$taken, "{\"task_type\":\"mail\",\"unique\":{\"key\":\"$name\"}}") } 1, 2;
		my $got = join ' ', map { $_->status } @r;
		like($got, qr/^(?:202 409|400 400)$/, 'a unique name like ' . substr($name =~ s/[^ -~]/?/gr, 0, 30) . ": $got");
		$code{$got}++;
	}
	cmp_ok($code{$_} || 0, '>', 3, "some are $_") for '202 409', '400 400';
	for my $name ('a"} 1\\nevil{x=\\"', 'a\\nevil 1', 'a\\\\', '\\u0000', "\xff", 'a b', '{', 'x' x 65) {
		for my $member (qw(task_type queue)) {
			my %o = (task_type => '"mail"', $member => "\"$name\"");
			is(submit('label-' . ++$taken, '{' . join(',', map { "\"$_\":$o{$_}" } sort keys %o) . '}')->status, 400, "$member " . substr($name =~ s/[^ -~]/?/gr, 0, 20));
		}
	}
	is(told(bulk(join '', map { item("many-$_", queue => "q$_", task_type => "t$_") . "\n" } 1 .. 200), 'accepted'), '200 200', 'two hundred queues and types');
	my $r = $t->get('/metrics');
	unlike($r->body, qr/evil/, '/metrics has no line of theirs');
	my $lines = () = $r->body =~ /^taskq_tasks_submitted_total\{queue="q/mg;
	ok($lines > 50 && $lines < 64, "$lines of them have numbers of their own");
	cmp_ok($t->metric('taskq_tasks_submitted_total'), '>=', 5200, 'the others together');
};

subtest 'problem pages' => sub {
	is($t->get('/problems/rate-limited')->status, 200, 'one that is');
	for my $path ('../../etc/passwd', '..%2f..%2fetc%2fpasswd', '%2e%2e/%2e%2e/etc/passwd', '%00', 'rate-limited%00', 'rate-limited/', 'rate_limited', 'RATE-LIMITED', '<script>alert(1)</script>',
		'%3Cscript%3E', 'x' x 4000, '', '.', '%', '%s%s%n', "\xff", 'rate-limited%20') {
		my $r = $t->get("/problems/$path");
		like($r->status, qr/^40[04]$/, 'no page: ' . substr($path =~ s/[^ -~]/?/gr, 0, 30));
		unlike($r->body, qr/<script|root:/, 'and nothing said back');
	}
};

subtest 'around the rate' => sub {
	my ($rate, $burst, %got, %refused) = (5, 20);
	my $limited = Taskq->start(migrate => 0, config => "acceptors = 2\nworkers = 0\nlimits { rate = $rate burst = $burst }\n$handlers");
	my ($begin, $n) = (now(), 0);
	my @disguises = ({}, { 'X-Forwarded-For' => '1.2.3.4' }, { Forwarded => 'for=5.6.7.8' }, { 'X-Tenant' => 'other' }, { Host => 'other' }, { 'X-Real-IP' => '::1' }, { Authorization => 'Bearer x' }, { Expect => '100-continue' });
	for my $round (1 .. 3) {
		for my $path ('/v1/tasks', '/tasks', '/v1/tasks?x=1', '/v1/%74asks', '//v1/tasks', '/v1/./tasks', '/V1/tasks') {
			for my $headers (@disguises) {
				my $r = $limited->post($path, { task_type => 'mail', payload => {} }, headers => { 'Idempotency-Key' => 'round-' . ++$n, %$headers });
				$got{ $r->status }++;
			}
		}
		my $r = $limited->post('/v1/tasks/batch', join('', map { item("round-$round-$_") . "\n" } 1 .. 500), headers => { 'Content-Type' => 'application/x-ndjson' });
		$got{202} += (split / /, told($r, 'accepted'))[1];
		my $c = $limited->connect;
		$c->write(join '', map { "POST /v1/tasks HTTP/1.1\r\n${H}Idempotency-Key: pipe-$round-$_\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"task_type\":\"mail\"}\r\n0\r\n\r\n" } 1 .. 16);
		$c->finish;
		$got{$_}++ for split / /, statuses($c->read_all);
	}
	my $most = $burst + $rate * (now() - $begin) + 1;
	diag(join ', ', map { "$got{$_} $_" } sort keys %got);
	cmp_ok($got{202}, '<=', $most, 'by no path and no header more than the rate');
	cmp_ok($got{202}, '>=', $burst, 'which was given');
	is((grep { /=error|=crit/ } $limited->log_lines), 0, 'and no error');
	is($limited->stop, 0, 'drained');
};

subtest 'schemas that explode' => sub {
	my $of = sub { my ($word, $depth, $leaf) = @_; return "{\"$word\":[" x $depth . $leaf . ']}' x $depth };
	my $laughs = sub {
		my ($word, $depth) = @_;
		my @defs = map { sprintf '"d%d":{"%s":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}', $_, $word, $_ + 1, $_ + 1 } 1 .. $depth;
		return '{"$ref":"#/$defs/d1","$defs":{' . join(',', @defs, '"d' . ($depth + 1) . '":{"required":["x"]}') . '}}';
	};
	my @schemas = (['a thousand deep', $of->('allOf', 1000, '{}'), 0], ['itself', '{"$ref":"#"}', undef], ['a circle', '{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}', undef],
		['itself, twice at each level', '{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}', undef], ['anyOf that doubles', $laughs->('anyOf', 40), undef], ['allOf that doubles', $laughs->('allOf', 40), undef], ['oneOf that doubles', $laughs->('oneOf', 40), undef],
		['brackets', '[' x 30000, 0], ['more than 64 kB', '{"enum":["' . 'x' x 70000 . '"]}', 0], ['a great number', '{"multipleOf":1e-999999999}', 0], ['a file that is not there', '{"$ref":"file:///etc/passwd"}', 0]);
	for (@schemas) {
		my ($what, $text, $loads) = @$_;
		write_file("$dir/schema.json", $text);
		write_file("$dir/schema.conf", read_file($t->config_path) . "handler charge { kind = builtin schema = \"$dir/schema.json\" }\n");
		my $begin = now();
		my ($status, $out) = slurp_command(command => [$t->program, '-c', "$dir/schema.conf", '-t'], seconds => 20);
		ok($status == 78 || (!defined $loads && $status == 0), "$what: " . ($status ? 'refused' : 'loads')) or diag("$status: $out");
		cmp_ok(now() - $begin, '<', Taskq::Machine::patience(5), 'soon');
		like($out, qr/schema/, 'with words') if $status;
	}
	write_file("$dir/schema.json", $laughs->('anyOf', 40));
	my $c = eval { Taskq->start(migrate => 0, config => "workers = 0\nhandler charge { kind = builtin schema = \"$dir/schema.json\" }") } or return;
	my $begin = now();
	my $r = $c->post('/v1/tasks', { task_type => 'charge', payload => { a => [1 .. 1000] } }, headers => { 'Idempotency-Key' => 'bomb' });
	is($r->status . ' ' . $r->json->{code}, '422 invalid_payload', 'a check that would never end is given up') or diag($r->body);
	like($r->json->{detail}, qr/fewer than \d+ steps/, 'and says so');
	cmp_ok(now() - $begin, '<', Taskq::Machine::patience(3), 'soon');
	is($c->stop, 0, 'drained');
};

my $peak = memory('VmHWM');
diag(sprintf 'memory: %.1f MB after an honest load, %.1f MB at most, %.1f MB now; %d descriptors then, %d now', $memory, $peak, memory('VmRSS'), $descriptors, descriptors());
SKIP: {
	skip 'the allocator of the sanitizers keeps what is freed', 1 if $sanitized;
	cmp_ok($peak - $memory, '<', 48, 'memory is bounded by limits.in_flight, not by what was sent');
}
is(held(), 0, 'nothing is held');
is(join(' ', map { $_->{pid} } $t->roles('acceptor')), $acceptor, 'the same acceptor serves');
is(submit('last', { task_type => 'mail' })->status, 202, 'and takes tasks');
is(join("\n", grep { /=error|=crit/ } $t->log_lines), '', 'its log has no error');
is($t->stop, 0, 'drained');
done_testing;
