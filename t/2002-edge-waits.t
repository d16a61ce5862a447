#!/usr/bin/perl
# Every wait of the edge ends: slow heads, slow bodies, idle clients, clients that do not read; and clients that leave.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Taskq::Machine qw(now wait_for);
use Taskq::Toy;
use Test::More;
use Time::HiRes qw(sleep);

my $H = "Host: a\r\n";
my $long = '20s';

subtest 'slow head' => sub {
	my $toy = Taskq::Toy->start(http => { head_timeout => '300ms', idle_timeout => $long, body_timeout => $long });
	my $c = $toy->connect;
	$c->write("GET /hello HTTP/1.1\r\n");
	my $other = $toy->connect;
	my $begin = now();
	my $trickle = 0;
	until ($c->{eof}) { # a byte now and then does not help
		$c->write('x') if $trickle++ < 200;
		$c->fill(now() + 0.02);
		is($other->request('GET', '/hello')->status, 200, 'others are served meanwhile') if $trickle == 3;
		last if now() - $begin > 15;
	}
	cmp_ok(now() - $begin, '>=', 0.25, 'not before the deadline');
	is($c->response->status, 408, 'told so');
	ok($c->{eof} && !$c->{reset}, 'and the end');
	$c = $toy->connect;
	is($c->request('GET', '/hello')->status, 200, 'a request,');
	$c->write("\r");
	is(join(' ', map { $_->status } Taskq::Toy::rest($c)), 408, 'then a byte that nothing follows: 408');
	$c->close;
	wait_for(sub { $toy->count->{open} == 1 }, 20, 'only the other client to be left');
};

subtest 'slow body' => sub {
	my $toy = Taskq::Toy->start(http => { body_timeout => '300ms', idle_timeout => $long, head_timeout => $long });
	for my $body ("Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "Content-Length: 5\r\n\r\n") {
		my $begin = now();
		my ($r, @more) = $toy->answers("PUT /raw HTTP/1.1\r\n$H$body");
		is($r->status, 408, 'told so');
		is($r->json->{code}, 'request_timeout', 'and why');
		cmp_ok(now() - $begin, '>=', 0.25, 'not before the deadline');
		is(@more, 0, 'nothing else');
	}
	is($toy->count->{calls}, 0, 'no handler saw it');
};

subtest 'idle' => sub {
	my $toy = Taskq::Toy->start(http => { idle_timeout => '300ms', head_timeout => $long, body_timeout => $long });
	my $fresh = $toy->connect;
	my $kept = $toy->connect;
	is($kept->request('GET', '/hello')->status, 200, 'a request');
	my $held = $toy->connect;
	$held->send_request('GET', '/hold');
	wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
	my $begin = now();
	ok($kept->closed(15), 'a kept connection is closed without a word');
	ok($fresh->closed(15), 'so is one that never spoke');
	ok(!$fresh->{reset} && !$kept->{reset}, 'not reset');
	sleep 0.05 while now() - $begin < 0.6;
	is($toy->connect->request('POST', '/release')->status, 204, 'a handler may take longer');
	is($held->response->status, 200, 'its client still gets the answer');
};

subtest 'a client that does not read' => sub {
	my $toy = Taskq::Toy->start(http => { write_timeout => '300ms', idle_timeout => $long });
	my $c = $toy->connect;
	setsockopt $c->sock, SOL_SOCKET, SO_RCVBUF, 4096;
	$c->send_request('GET', '/big?n=20000000');
	wait_for(sub { $toy->count->{calls} == 1 }, 20, 'the handler');
	wait_for(sub { $toy->count->{open} == 0 }, 20, 'the connection to be given up');
	my $slow = $toy->connect;
	$slow->send_request('GET', '/big?n=3000000');
	is(length $slow->response->body, 3_000_000, 'one that reads gets all');
};

subtest 'Expect: 100-continue' => sub {
	my $toy = Taskq::Toy->start(http => { max_body => '1kB' });
	my $expect = "Expect: 100-continue\r\n";
	my $c = $toy->connect;
	$c->write("PUT /raw HTTP/1.1\r\n$H${expect}Content-Length: 3\r\n\r\n");
	ok($c->fill(now() + 20), 'something comes before the body');
	is($c->{in}, "HTTP/1.1 100 Continue\r\n\r\n", 'an invitation');
	$c->write('abc');
	my $r = $c->response;
	is($r->body, "3\n", 'then the answer');
	is($r->header('connection'), undef, 'and the connection lives on');
	$c->write("PUT /raw HTTP/1.1\r\n$H${expect}Content-Length: 3\r\n\r\nabc");
	$r = $c->response;
	is_deeply([$r->status, $r->{interim}], [200, []], 'no invitation for a body that is there');
	$c->write("PUT /raw HTTP/1.1\r\n$H${expect}Transfer-Encoding: chunked\r\n\r\n");
	wait_for(sub { $c->fill(now() + 1) && $c->{in} =~ /100 Continue/ }, 20, 'an invitation of chunks');
	$c->write("3\r\nabc\r\n0\r\n\r\n");
	is($c->response->status, 200, 'chunks');
	$c->write("GET /hold HTTP/1.1\r\n$H\r\nPUT /raw HTTP/1.1\r\n$H${expect}Content-Length: 3\r\n\r\n");
	wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
	ok(!$c->fill(now() + 0.1), 'an invitation waits for the answers before it');
	$toy->connect->request('POST', '/release');
	is($c->response->status, 200, 'the first answer');
	wait_for(sub { $c->{in} ne '' || $c->fill(now() + 1) }, 20, 'the invitation');
	is($c->{in}, "HTTP/1.1 100 Continue\r\n\r\n", 'then the invitation');
	$c->write('abc');
	is($c->response->body, "3\n", 'then the second answer');
	for my $case ([413, "PUT /raw HTTP/1.1\r\n${H}Content-Length: 5000\r\n"], [404, "PUT /nope HTTP/1.1\r\n${H}Content-Length: 5\r\n"],
		[405, "PUT /echo HTTP/1.1\r\n${H}Content-Length: 5\r\n"], [415, "POST /echo HTTP/1.1\r\n${H}Content-Length: 5\r\n"]) {
		my ($status, $head) = @$case;
		my ($r, @more) = $toy->answers("$head$expect\r\n");
		is_deeply([$r->status, $r->{interim}, scalar @more], [$status, [], 0], "$status instead of an invitation");
		is($r->header('connection'), 'close', 'and the end');
	}
};

subtest 'a refused body can be sent to its end' => sub {
	my $toy = Taskq::Toy->start(http => { max_body => '1kB' });
	my $c = $toy->connect;
	$c->write("PUT /raw HTTP/1.1\r\n${H}Content-Length: 1500000\r\n\r\n");
	my $sent = 0;
	$sent += $c->write('x' x 100_000) ? 100_000 : 0 for 1 .. 15;
	is($sent, 1_500_000, 'the client sends all before it reads');
	is(join(' ', map { $_->status } Taskq::Toy::rest($c)), 413, 'and reads the answer');
	$c = $toy->connect;
	$c->write("PUT /raw HTTP/1.1\r\n${H}Content-Length: 1500\r\n\r\n");
	is($c->response->status, 413, 'a client that keeps silent afterwards');
	ok($c->closed(20), 'sees the end');
	wait_for(sub { $toy->count->{open} == 0 }, 20, 'the server to forget it');
};

subtest 'clients that leave' => sub {
	my $toy = Taskq::Toy->start;
	my ($r) = do { my $c = $toy->connect; $c->write("GET /hello HTTP/1.1\r\n$H\r\n"); $c->finish; Taskq::Toy::rest($c) };
	is($r->status, 200, 'a half-closed client gets its answer');
	is($r->header('connection'), undef, 'however it came');
	my $c = $toy->connect;
	$c->send_request('GET', '/hold');
	$c->finish;
	wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
	$toy->connect->request('POST', '/release');
	is(join(' ', map { $_->status . lc $_->header('connection') } Taskq::Toy::rest($c)), '200close', 'also when it takes a while');
	for my $part ("GET /he", "PUT /raw HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nabc", "PUT /raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n5\r\nabc") {
		$c = $toy->connect;
		$c->write($part);
		$c->finish;
		is(join(' ', map { $_->status } Taskq::Toy::rest($c)), 400, 'half a request is none');
	}
	my $calls = $toy->count->{calls};
	for my $end (0, 1) { # close; reset
		$c = $toy->connect;
		$c->send_request('GET', "/hold?$end");
		wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
		$end ? $c->reset : $c->close;
		wait_for(sub { $toy->count->{open} == 0 }, 20, 'the client to be missed') if $end;
		is($toy->connect->request('POST', '/release')->status, 204, 'an answer nobody waits for is dropped');
		wait_for(sub { $toy->count->{open} == 0 }, 20, 'the connection to go');
	}
	$c = $toy->connect;
	$c->write("PUT /raw HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nabc");
	$c->reset;
	wait_for(sub { $toy->count->{open} == 0 }, 20, 'the connection to go');
	is($toy->count->{calls}, $calls + 2, 'a body that was cut off reaches no handler');
};

subtest 'drain' => sub {
	my $toy = Taskq::Toy->start(http => { idle_timeout => $long });
	my ($idle, $held, $half, $body) = map { $toy->connect } 1 .. 4;
	is($idle->request('GET', '/hello')->status, 200, 'an idle connection');
	$held->send_request('GET', '/hold?x');
	$held->send_request('GET', '/hold?y');
	wait_for(sub { $toy->count->{held} == 2 }, 20, 'the held requests');
	$half->write("GET /hello HTTP/1.1\r\n");
	$body->write("PUT /raw HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\na");
	my $release = $toy->connect;
	$release->write("POST /release HTTP/1.1\r\n"); # 4 others are open; this one keeps the server alive until it is whole
	wait_for(sub { $toy->count->{open} == 5 }, 20, 'five connections');
	$toy->child->signal('TERM');
	ok($idle->closed(20), 'idle: closed');
	ok(!eval { $toy->connect->request('GET', '/hello', seconds => 1); 1 }, 'nobody new is let in');
	$half->write("$H\r\n");
	my @a = Taskq::Toy::rest($half);
	$half->close;
	is(join(' ', map { $_->status . lc $_->header('connection') } @a), '200close', 'half a head: answered, and the end');
	$body->write('bc');
	@a = Taskq::Toy::rest($body);
	$body->close;
	is(join(' ', map { $_->status . lc $_->header('connection') } @a), '200close', 'half a body: answered, and the end');
	ok($toy->child->alive, 'waits for what is held');
	$release->write("$H\r\n");
	@a = Taskq::Toy::rest($release);
	$release->close;
	is(join(' ', map { $_->status . lc $_->header('connection') } @a), '204close', 'the release');
	@a = Taskq::Toy::rest($held);
	$held->close;
	is(join(' ', map { $_->status . ($_->header('connection') || '') } @a), '200 200close', 'pipelined: all are answered, the last says close');
	is($toy->child->wait(20), 0, 'ends by itself');
	like($toy->out, qr/^drained 0$/m, 'when the last connection is gone');
};

subtest 'drain while clients have just come' => sub {
	my $toy = Taskq::Toy->start(http => { idle_timeout => $long });
	my ($used, $fresh, $silent) = map { $toy->connect } 1 .. 3;
	$used->request('GET', '/hello');
	wait_for(sub { $toy->count->{open} == 3 }, 20, 'three connections');
	$toy->child->signal('TERM');
	ok($used->closed(20), 'one that had an answer is closed at once');
	my $r = $fresh->request('GET', '/hello');
	is($r->status . lc $r->header('connection'), '200close', 'one that has had none may ask once');
	$fresh->close;
	ok($silent->closed(20), 'but not wait for ever');
	is($toy->child->wait(20), 0, 'ends by itself');
};

subtest 'drain with nothing to do' => sub {
	my $toy = Taskq::Toy->start;
	$toy->child->signal('TERM');
	is($toy->child->wait(20), 0, 'ends at once');
};

subtest 'drain while a handler works for a client that left' => sub {
	my $toy = Taskq::Toy->start;
	my $c = $toy->connect;
	$c->send_request('GET', '/hold');
	wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
	$c->reset;
	$toy->child->signal('TERM');
	is($toy->child->wait(20), 0, 'ends; the late answer, after the server is gone, does no harm');
	like($toy->out, qr/^drained 1$/m, 'without waiting for it');
};

subtest 'more clients than descriptors' => sub {
	my $toy = Taskq::Toy->start(nofile => 24, http => { idle_timeout => $long });
	my @c = map { $toy->connect } 1 .. 40; # the backlog takes those that the server cannot
	wait_for(sub { $toy->err =~ /could not accept a connection/ }, 20, 'the server to notice');
	my $ticks = sub { my @f = split ' ', Taskq::Machine::read_file('/proc/' . $toy->pid . '/stat') =~ s/^.*\) //sr; return $f[11] + $f[12] };
	is($c[0]->request('GET', '/hello')->status, 200, 'those who are in are served');
	my $before = $ticks->();
	sleep 0.5;
	cmp_ok($ticks->() - $before, '<=', 10, 'no busy loop meanwhile');
	$_->close for splice @c, 0, 30;
	is($_->request('GET', '/hello')->status, 200, 'those who waited are served') for @c;
};

subtest 'max_connections' => sub {
	my $toy = Taskq::Toy->start(http => { max_connections => 3, idle_timeout => $long });
	my @c = map { $toy->connect } 1 .. 3;
	is($_->request('GET', '/hello')->status, 200, 'within the limit') for @c;
	my $late = $toy->connect;
	$late->send_request('GET', '/hello');
	ok(!$late->fill(now() + 0.2), 'one more waits');
	shift(@c)->close;
	is($late->response->status, 200, 'until somebody leaves');
};

done_testing();
