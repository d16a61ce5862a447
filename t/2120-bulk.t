#!/usr/bin/perl
# Many submissions in one body: a verdict for each, in order, the same as a single submission would have got; arrays and lines, however they
# are cut; and a body that breaks does not hide what was stored before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Test::More;

my $t = Taskq->start(config => "workers = 0\nhttp { max_body = 20kB }");
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/;
my @words = qw(accepted replayed mismatch busy not_unique invalid full failed limited);

sub stored { return Taskq->pg->psql('select count(*) from taskq.task') + 0 }
sub item { my ($key, %o) = @_; return { idempotency_key => $key, task_type => 'mail', %o } }
sub bulk {
	my ($body, %headers) = @_;
	$body = Taskq::HTTP::encode($body) if ref $body;
	return $t->request('POST', '/v1/tasks/batch', body => $body, headers => \%headers, seconds => 60);
}
my %lines = ('Content-Type' => 'application/x-ndjson');
sub as_lines { return join '', map { Taskq::HTTP::encode($_) . "\n" } @_ }
# "2 accepted, 1 invalid"
sub sums { my ($r) = @_; my $j = $r->json; return join ', ', map { "$j->{$_} $_" } grep { $j->{$_} } grep { exists $j->{$_} } @words }
sub verdicts { return join ' ', map { $_->{verdict} } @{ $_[0]->json->{items} } }
sub single { my ($key, $body) = @_; return $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => $key }) }

subtest 'the table' => sub {
	my $known = single('known', { task_type => 'mail', payload => { n => 1 } })->json;
	my $before = stored();
	my $r = bulk([
		item('new'), # 0
		{ task_type => 'mail', payload => { n => 1 }, idempotency_key => 'known' },
		item('known', payload => { n => 2 }),
		item('bad', payload => 7), # 3
		item('bad-too', 'a/b' => 1),
		{ task_type => 'mail' }, # 5
		item(''),
		item('x' x 256),
		item("t\x{e4}b"), # 8
		item(17),
		'mail', # 10
		item(' "quoted" '),
		item('new'), # 12
		item('new', priority => 1),
		item('traced', trace_id => 'mine'), # 14
		item('delayed', delay => 60),
	], traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'X-Request-ID' => 'bulk-1');
	is($r->status, 200, 'answered');
	is($r->header('content-type'), 'application/json', 'as JSON');
	is($r->header('x-request-id'), 'bulk-1', 'with the id of the request');
	my $j = $r->json;
	is(sums($r), '4 accepted, 2 replayed, 2 mismatch, 8 invalid', 'what became of them');
	is(verdicts($r), 'accepted replayed mismatch invalid invalid invalid invalid invalid invalid invalid invalid accepted replayed mismatch accepted accepted',
		'in order');
	my @i = @{ $j->{items} };
	is_deeply([map { $_->{index} } @i], [0 .. $#i], 'each with its index');
	is_deeply([sort keys %{ $i[0] }], [qw(expires_at id index verdict)], 'accepted: members');
	like($i[0]{id}, qr/^$uuid$/, 'an id');
	like($i[0]{expires_at}, qr/^$time$/, 'and how long the key lives');
	is($i[1]{id}, $known->{id}, 'a replay of a single submission: its task');
	is($i[2]{task_id}, $known->{id}, 'mismatch: the task of the first');
	is($i[2]{created_at}, $known->{created_at}, 'and when it was');
	is($i[2]{error}{code}, 'key_mismatch', 'the code of single submissions');
	is($i[12]{id}, $i[0]{id}, 'the same key again in the same body: a replay');
	is($i[13]{task_id}, $i[0]{id}, 'or a mismatch');
	my @want = ([3, 'invalid_field', '#/payload'], [4, 'unknown_field', '#/a~1b'], [5, 'missing_key', '#/idempotency_key'], [6, 'invalid_key', '#/idempotency_key'],
		[7, 'invalid_key', '#/idempotency_key'], [8, 'invalid_key', '#/idempotency_key'], [9, 'invalid_key', '#/idempotency_key'], [10, 'invalid_field', '#']);
	for (@want) {
		my ($n, $code, $pointer) = @$_;
		is("$i[$n]{error}{code} $i[$n]{error}{pointer}", "$code $pointer", "item $n: $code");
		like($i[$n]{error}{detail}, qr/expected/, 'says what was expected');
		ok(!$i[$n]{error}{retryable}, 'and that it never will be good');
	}
	is(stored(), $before + 4, 'stored: what was accepted');
	is($t->task($i[0]{id})->{trace_id}, '0af7651916cd43dd8448eb211c80319c', 'the trace of the request');
	is($t->task($i[14]{id})->{trace_id}, 'mine', 'a task may name its own');
	my $again = single(q("new"), { task_type => 'mail' });
	is($again->header('idempotent-replayed') . ' ' . $again->json->{id}, "true $i[0]{id}", 'a single submission of the same key is a replay');
	is($again->header('idempotency-expires'), $i[0]{expires_at}, 'that expires when the item said');
	is(single(q(" \"quoted\" "), { task_type => 'mail' })->json->{id}, $i[11]{id}, 'also of a key that needs quotes in a header');
	is(single('new', { task_type => 'mail', idempotency_key => 'new' })->json->{code}, 'unknown_field', 'the key is a member of items only');
};

subtest 'forms' => sub {
	my @items = map { item("form-$_") } 1 .. 3;
	is(sums(bulk(as_lines(@items), %lines)), '3 accepted', 'lines');
	is(sums(bulk("\r\n" . as_lines(@items) =~ s/\n/\r\n \t\n/gr, %lines)), '3 replayed', 'CR LF, empty lines');
	is(sums(bulk(as_lines(@items) =~ s/\n\z//r, %lines)), '3 replayed', 'no end of the last line');
	is(sums(bulk(" [ \n" . join(" ,\r\n", map { Taskq::HTTP::encode($_) } @items) . "\t]\n\n")), '3 replayed', 'white space in an array');
	is(verdicts(bulk(as_lines($items[0]) . "{\"idempotency_key\":\n" . as_lines($items[1]), %lines)), 'replayed invalid replayed', 'a bad line is one bad item');
	is(verdicts(bulk('[' . Taskq::HTTP::encode($items[0]) . ',{"a" 1},' . Taskq::HTTP::encode($items[1]) . ']')), 'replayed invalid replayed',
		'a bad item whose end can be told too');
	my $body = Taskq::HTTP::encode(\@items);
	for my $size (1, 2, 7, 100) {
		my $c = $t->connect;
		$c->write("POST /v1/tasks/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
		$c->write(sprintf("%x\r\n%s\r\n", length, $_)) for unpack "(a$size)*", $body;
		$c->write("0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
		is(sums($c->response), '3 replayed', "chunks of $size bytes");
		is($c->response->status, 200, 'and the request behind it');
	}
	my $c = $t->connect;
	$c->write("POST /v1/tasks/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: " . length($body) . "\r\n\r\n");
	wait_for(sub { $c->fill(Taskq::Machine::now() + 0.1); $c->{in} =~ /^HTTP\/1.1 100 / }, 10, 'the invitation');
	$c->write($body);
	is(sums($c->response), '3 replayed', 'invited by 100 Continue');
};

subtest 'many' => sub {
	my $before = stored();
	my @items = map { item("many-$_", payload => { n => $_, text => 'x' x 100 }) } 0 .. 9999;
	my $r = bulk(\@items);
	is(sums($r), '10000 accepted', 'ten thousand');
	my %ids = map { $_->{id} => 1 } @{ $r->json->{items} };
	is(scalar keys %ids, 10000, 'with ids of their own');
	is(stored(), $before + 10000, 'stored');
	is($t->task($r->json->{items}[4711]{id})->{payload}{n}, 4711, 'each in its place');
	my $again = bulk(as_lines(@items), %lines);
	is(sums($again), '10000 replayed', 'and again, as lines');
	is_deeply([map { $_->{id} } @{ $again->json->{items} }], [map { $_->{id} } @{ $r->json->{items} }], 'the same tasks');
	$r = bulk([@items, item('one-more')]);
	is($r->status, 413, 'one more is too many');
	is($r->json->{code}, 'too_many_items', 'it says');
	is($r->json->{index}, 10000, 'and where');
	is(sums($r), '10000 replayed', 'the others have their verdicts');
	is(single('one-more', { task_type => 'mail' })->header('idempotent-replayed'), undef, 'and it was not stored');
	$r = bulk([map { item('same', priority => $_ % 2) } 1 .. 3000]);
	is(sums($r), '1 accepted, 1499 replayed, 1500 mismatch', 'one key three thousand times');
	is($r->json->{items}[0]{verdict}, 'accepted', 'the first is the first');
	is(stored(), $before + 10002, 'one task');
};

subtest 'broken bodies' => sub {
	my ($first, $second) = map { Taskq::HTTP::encode(item("broken-$_")) } 1, 2;
	my $r = bulk("[$first,$second x");
	is($r->status, 400, 'cut in the middle of an item: 400');
	is($r->header('content-type'), 'application/problem+json', 'a problem');
	is($r->json->{code} . ' ' . sums($r), 'invalid_json 1 accepted', 'the item before it is stored, and not hidden');
	is($r->json->{index}, 1, 'which item it was');
	like($r->json->{detail}, qr/sent again with the same keys/, 'and what to do');
	my $l = length $first;
	for (["[$first,]", $l + 2, 1], ["[$first,,$second]", $l + 2, 1], ["[$first}", $l + 1, 1], ["[$first] $second", $l + 3, 1], ["[$first", $l + 1, 0], ['{}', 0, 0], ['[', 1, 0], ["[$first,", $l + 2, 1]) {
		my ($body, $offset, $index) = @$_;
		$r = bulk($body);
		is(join(' ', $r->status, @{ $r->json }{qw(code index offset)}, scalar @{ $r->json->{items} }), "400 invalid_json $index $offset $index",
			substr($body, 0, 3) . ' ... ' . substr($body, -10));
	}
	for my $empty ('[]', ' [ ] ') {
		is(bulk($empty)->status . ' ' . bulk($empty)->json->{code}, '400 no_items', "nothing in it: \"$empty\"");
	}
	is(bulk("\n\n", %lines)->json->{code}, 'no_items', 'nor in empty lines');
	is(bulk('')->status, 400, 'nor in no bytes');
	$r = bulk("[$first," . Taskq::HTTP::encode(item('great', payload => { a => 'x' x 20480 })) . ",$second]");
	is(join(' ', $r->status, $r->json->{code}, $r->json->{index}, sums($r)), '413 item_too_large 1 1 replayed', 'an item beyond max_body');
	like($r->json->{detail}, qr/at most 20480 bytes/, 'which names the limit');
	is(single('great', { task_type => 'mail' })->header('idempotent-replayed'), undef, 'it was not stored');
	my $c = $t->connect;
	$c->write("POST /v1/tasks/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n[$first,$second,");
	$c->finish;
	$r = $c->response;
	is($r->status . ' ' . sums($r), '400 1 accepted, 1 replayed', 'a client that stops in the middle hears what was stored');
	$c = $t->connect;
	$c->write("POST /v1/tasks/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n%s\r\nnonsense", $l + 2, "[$first,"));
	$r = $c->response;
	is($r->status . ' ' . $r->json->{code} . ' ' . sums($r), '400 bad_request 1 replayed', 'so does one whose chunks break');
};

subtest 'the head' => sub {
	for (['GET', 405], ['HEAD', 405], ['PUT', 405], ['DELETE', 405]) {
		my $r = $t->request($_->[0], '/v1/tasks/batch');
		is($r->status . ' ' . $r->header('allow'), "405 POST", "$_->[0]: 405");
	}
	is(bulk('[]', 'Content-Type' => 'text/csv')->status, 415, 'another type');
	is(bulk([item('headed')], 'Idempotency-Key' => 'x')->json->{code}, 'invalid_key', 'a key for all of it is none');
	is(single('headed', { task_type => 'mail' })->header('idempotent-replayed'), undef, 'and nothing was stored');
};

subtest 'refusals of other kinds' => sub {
	my $r = bulk([item('u-1', unique => { key => 'nightly' }), item('u-2', unique => { key => 'nightly' }), item('u-1', unique => { key => 'nightly' }), item('u-2')]);
	is(verdicts($r), 'accepted not_unique replayed accepted', 'unique tasks; a key that was refused so is not used');
	is($r->json->{items}[1]{task_id}, $r->json->{items}[0]{id}, 'the holder is named');
	$t->configure("workers = 0\nlimits { queue_depth = 3 }");
	$t->hup;
	my $n = 0;
	wait_for(sub { single('depth-' . ++$n, { task_type => 'mail', queue => 'short' })->status == 429 }, 20, 'the queue to be full');
	$r = bulk([item('full-1', queue => 'short'), item('full-2'), item('depth-1', queue => 'short')]);
	is(verdicts($r), 'full full replayed', 'a full queue takes no more, and still knows its keys');
	is($r->json->{items}[0]{error}{code}, 'queue_full', 'the code');
	$r = bulk([item('full-1', queue => 'short')]);
	is($r->status . ' ' . $r->json->{code}, '429 queue_full', 'when nothing else came: 429');
};

subtest 'the rate' => sub {
	$t->configure("workers = 0\nlimits { rate = 2 burst = 9 }");
	$t->hup;
	my $n = 0;
	wait_for(sub { single('rate-' . ++$n, { task_type => 'mail' })->header('ratelimit') }, 20, 'the acceptor to know the rate');
	my $r;
	wait_for(sub { $r = bulk([map { item('rate-' . ++$n) } 1 .. 200]); $r->json->{accepted} }, 20, 'some to be allowed');
	is($r->status, 200, 'more than the rate');
	my @i = @{ $r->json->{items} };
	cmp_ok($r->json->{limited}, '>', 100, 'what is too much is not stored');
	is($r->json->{accepted} + $r->json->{limited}, 200, 'the rest is');
	is($i[-1]{error}{code}, 'rate_limited', 'the code');
	cmp_ok($i[-1]{error}{retry_after}, '>', 0, 'when to come again');
	wait_for(sub { $r = bulk([map { item('rate-' . ++$n) } 1 .. 20]); $r->status == 429 }, 20, 'nothing to be allowed: 429');
	is($r->json->{code} . ' ' . sums($r), 'rate_limited 20 limited', 'nothing allowed: 429');
	ok($r->header('retry-after'), 'with Retry-After');
};
is($t->stop, 0, 'drained');
done_testing;
