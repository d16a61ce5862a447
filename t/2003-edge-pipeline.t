#!/usr/bin/perl
# Pipelined requests: answered in their order, each once, whatever the order in which handlers finish; nothing after an error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq::Machine qw(now wait_for);
use Taskq::Toy;
use Test::More;

my $H = "Host: a\r\n";
my $toy = Taskq::Toy->start(http => { idle_timeout => '20s' });
sub get { my ($target, $more) = @_; return "GET $target HTTP/1.1\r\n$H" . ($more || '') . "\r\n" }
sub put { my ($body) = @_; return "PUT /raw HTTP/1.1\r\n${H}Content-Length: " . length($body) . "\r\n\r\n$body" }
sub chunked { my ($body) = @_; return "PUT /raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n", length $body) . "$body\r\n0\r\n\r\n" }

subtest 'a hundred of mixed sizes' => sub {
	for my $piece (0, 7, 1000) {
		my ($bytes, @want) = ('');
		for my $i (1 .. 100) {
			my $kind = $i % 5;
			my $size = ($i * 7919) % 3000 + 1;
			$bytes .= $kind == 0 ? get("/things/$i/x/y") : $kind == 1 ? put('x' x $size) : $kind == 2 ? chunked('x' x $size) : $kind == 3 ? get("/big?n=$size") : get("/nope/$i");
			push @want, $kind == 0 ? "200 id=$i n=y\n" : $kind < 3 ? "200 $size\n" : $kind == 3 ? '200 ' . 'x' x $size : "404 {\"detail\":\"Not Found\"}";
		}
		my @got = map { $_->status . ' ' . $_->body } $toy->answers($bytes . get('/hello', "Connection: close\r\n"), $piece);
		is(pop @got, "200 hello\n", "the last one, pieces of $piece");
		is_deeply(\@got, \@want, 'all in order');
	}
};

subtest 'handlers that finish in another order' => sub {
	my $c = $toy->connect;
	$c->write(join '', map { get("/hold?n$_") } 0 .. 9);
	$c->write(get('/hello'));
	wait_for(sub { $toy->count->{held} == 10 }, 20, 'ten held requests');
	ok(!$c->fill(now() + 0.1), 'the quick one waits for its turn');
	is($toy->connect->request('POST', '/release')->status, 204, 'released, the youngest first');
	is($c->response->body, "held $_ n$_\n", "answer $_") for 0 .. 9;
	is($c->response->body, "hello\n", 'then the quick one');
};

subtest 'no more than the pipeline holds' => sub {
	my $c = $toy->connect;
	$c->write(join '', map { get("/hold?n$_") } 0 .. 49);
	my @bodies;
	for my $batch (16, 16, 16, 2) {
		wait_for(sub { $toy->count->{held} == $batch }, 20, "$batch held requests");
		is($toy->count->{held}, $batch, "$batch at a time");
		$toy->connect->request('POST', '/release');
		push @bodies, $c->response->body =~ /(n\d+)/ for 1 .. $batch;
	}
	is("@bodies", join(' ', map { "n$_" } 0 .. 49), 'all in order');
};

subtest 'an error in the middle' => sub {
	my $mark = $toy->count->{mark};
	for my $bad ("GET /mark HTTP/1.1\r\nX: y\r\n\r\n", "POST /mark HTTP/1.1\r\n${H}Content-Length: x\r\n\r\n", "\0", "GET /mark HTTP/3.0\r\n\r\n") {
		my @a = $toy->answers(get('/hello') x 3 . $bad . get('/mark') x 5);
		is(join(' ', map { $_->status } @a[0 .. 2]), '200 200 200', 'those before it are answered');
		is(@a, 4, 'it is the last');
		cmp_ok($a[3]->status, '>=', 400, 'refused');
	}
	my $c = $toy->connect;
	$c->write(get('/hold?one') . "GET /mark\r\n" . get('/mark') x 5);
	wait_for(sub { $toy->count->{held} == 1 }, 20, 'the held request');
	ok(!$c->fill(now() + 0.1), 'the refusal waits for the answers before it');
	$toy->connect->request('POST', '/release');
	is(join(' ', map { $_->status } Taskq::Toy::rest($c)), '200 400', 'then it comes, and the end');
	is($toy->count->{mark}, $mark, 'nothing behind an error ran');
};

subtest 'a client that reads late' => sub {
	my $c = $toy->connect;
	my $before = $toy->count->{calls};
	$c->write(join '', map { get("/big?n=300000") } 1 .. 60);
	wait_for(sub { $toy->count->{calls} > $before }, 20, 'the first');
	my $calls = sub { $toy->count->{calls} - $before };
	my $seen = -1;
	wait_for(sub { my $now = $calls->(); my $same = $now == $seen; $seen = $now; return $same }, 20, 'the server to pause');
	cmp_ok($seen, '<', 60, 'requests wait while answers are not read');
	my $good = 0;
	$good += length $c->response->body == 300_000 for 1 .. 60;
	is($good, 60, 'all come in the end');
};

subtest 'a kept connection' => sub {
	my $c = $toy->connect;
	my $good = 0;
	$good += $c->request('GET', '/hello')->body eq "hello\n" && $c->request('PUT', '/raw', body => 'x' x $_)->body eq "$_\n" for 1 .. 500;
	is($good, 500, 'a thousand requests');
	is($toy->count->{open}, 1, 'one connection');
};

is($toy->child->status, undef, 'the server lives');
done_testing();
