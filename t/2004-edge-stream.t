#!/usr/bin/perl
# A body that its handler gets in pieces: whole, cut, paused, too long, too slow; and what is behind it in the connection.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq::Machine qw(wait_for);
use Taskq::Toy;
use Test::More;

my $toy = Taskq::Toy->start(http => { max_body => '1kB', max_batch => '1MB', body_timeout => '2s', batch_timeout => '1s' });
my $H = "Host: a\r\nContent-Type: application/json\r\n";
my $body = join ',', map { "piece $_" } 1 .. 2000; # beyond max_body
my $length = 'Content-Length: ' . length($body) . "\r\n";

sub chunks {
	my ($bytes, $size) = @_;
	return join('', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack "(a$size)*", $bytes) . "0\r\n\r\n";
}
sub stream { my ($lines, $bytes, $query) = @_; return 'POST /stream' . ($query ? "?$query" : '') . " HTTP/1.1\r\n$H$lines\r\n$bytes" }
my $hello = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
sub all_of { my (@answers) = @_; return join ' ', map { $_->status . ($_->body eq $body ? ' whole' : $_->body eq "hello\n" ? ' hello' : ' ' . length $_->body) } @answers }

is(all_of($toy->answers(stream($length, $body) . $hello)), '200 whole 200 hello', 'Content-Length: all of it, and the request behind it is answered');
is(all_of($toy->answers(stream("Transfer-Encoding: chunked\r\n", chunks($body, 700)) . $hello)), '200 whole 200 hello', 'chunked: the same');
is(all_of($toy->answers(stream("Transfer-Encoding: chunked\r\n", chunks(substr($body, 0, 300), 7)) . $hello, 1)), '200 300 200 hello', 'byte by byte');
is(all_of($toy->answers(stream("Content-Length: 0\r\n", '') . $hello)), '200 0 200 hello', 'an empty body is whole');
is(all_of($toy->answers($hello =~ s/Connection: close\r\n//r . stream($length . "Connection: close\r\n", $body))), '200 hello 200 whole', 'behind another request');

for my $type (['application/x-ndjson', 200], ['application/x-ndjson; charset=utf-8', 200], ['application/x-ndjsonx', 415], ['text/plain', 415]) {
	my $r = $toy->connect->request('POST', '/stream', body => '{}', headers => { 'Content-Type' => $type->[0] });
	is($r->status, $type->[1], "Content-Type: $type->[0]");
}
is($toy->connect->request('POST', '/echo', body => '{}', headers => { 'Content-Type' => 'application/x-ndjson' })->status, 415, 'lines are for rows that take them');
is($toy->connect->request('POST', '/stream', body => '')->status, 200, 'no bytes');
is($toy->connect->request('POST', '/stream')->status, 411, 'no length: 411');

# limits
my $c = $toy->connect;
$c->write("POST /stream HTTP/1.1\r\n${H}Content-Length: 1048577\r\n\r\n");
my $r = $c->response;
is($r->status, 413, 'longer than max_batch: refused by its head');
like($r->json->{detail}, qr/at most 1048576 bytes/, 'which names its limit');
my $calls = $toy->count->{calls};
$c = $toy->connect;
$c->write("POST /stream HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n" . chunks('x' x 1048576, 65536) =~ s/0\r\n\r\n\z//r);
$c->write("1\r\ny\r\n0\r\n\r\n");
$r = $c->response;
is($r->status . ' ' . length $r->body, '413 1048576', 'chunks beyond max_batch: what came before is given, then the end');
is($toy->count->{calls}, $calls + 1, 'one call');

# cut
my $cut = $toy->count->{cut};
$c = $toy->connect;
$c->write(stream($length, substr $body, 0, 5000));
$c->finish;
is(all_of(Taskq::Toy::rest($c)), '400 5000', 'half a body and the end of the stream: a cut, answered');
$c = $toy->connect;
$c->write(stream("Transfer-Encoding: chunked\r\n", "5\r\nhelloX" . $hello));
is(all_of(Taskq::Toy::rest($c)), '400 5', 'a bad chunk: a cut, and nothing behind it is read');
$c = $toy->connect;
$c->write(stream($length, substr $body, 0, 5000));
wait_for(sub { $toy->count->{open} >= 1 }, 10, 'the connection');
$c->close;
wait_for(sub { $toy->count->{cut} == $cut + 3 }, 10, 'the handler to hear that the client is gone');
pass('a client that is gone is a cut');

# early answers
is(all_of($toy->answers(stream($length, $body . $hello, 'refuse'))), '429 8', 'answered before the body: the connection ends');
$r = ($toy->answers(stream($length, $body . $hello, 'early')))[0];
is($r->status . ' ' . $r->header('connection'), '200 close', 'answered in the middle: the connection ends');

# Expect: the handler is called first, the invitation follows
$c = $toy->connect;
$c->write("POST /stream HTTP/1.1\r\n${H}Expect: 100-continue\r\n$length\r\n");
wait_for(sub { $c->fill(Taskq::Machine::now() + 0.1); $c->{in} =~ /^HTTP\/1.1 100 Continue\r\n\r\n$/ }, 10, 'the invitation');
$c->write($body);
is(all_of($c->response), '200 whole', 'invited, and then answered');
$c = $toy->connect;
$c->write("POST /stream?refuse HTTP/1.1\r\n${H}Expect: 100-continue\r\n$length\r\n");
$r = $c->response;
is($r->status . ' ' . scalar @{ $r->{interim} }, '429 0', 'refused, and not invited');

# paused: nothing is lost, the client waits, and goes on
my $patient = Taskq::Toy->start;
my $long = join '', map { sprintf "%08d", $_ } 1 .. 40000;
$c = $patient->connect;
$c->write("POST /stream?pause HTTP/1.1\r\n${H}Content-Length: 320000\r\n\r\n" . substr $long, 0, 10000);
wait_for(sub { $patient->count->{paused} }, 10, 'the pause');
$c->write(substr $long, 10000);
my $rounds = 0;
until ($c->{in} =~ /\r\n\r\n/) {
	die "no end in sight\n" if $rounds++ > 200;
	$patient->connect->request('POST', '/resume');
	$c->fill(Taskq::Machine::now() + 0.1);
}
is($c->response->body, $long, 'paused after each piece, all of it came');
cmp_ok($rounds, '>', 2, 'several times');

# slow: total, and silence
my $began = Taskq::Machine::now();
$c = $toy->connect;
$c->write(stream($length, ''));
my $sent = 0;
until ($c->{in} =~ /\r\n\r\n/ || $sent > 200) {
	$c->write('x');
	$sent++;
	$c->fill(Taskq::Machine::now() + 0.05);
}
$r = $c->response;
is($r->status, 408, 'a byte now and then: batch_timeout');
is($r->header('connection'), 'close', 'and the connection ends');
$toy = Taskq::Toy->start(http => { body_timeout => '200ms' });
$c = $toy->connect;
$c->write(stream($length, 'abc'));
is(all_of(Taskq::Toy::rest($c)), '408 3', 'silence: body_timeout');

# drain: it is heard to its end
$toy = $patient;
my $before = $toy->count->{calls};
$c = $toy->connect;
$c->write(stream($length, substr $body, 0, 5000));
wait_for(sub { $toy->count->{calls} == $before + 1 }, 10, 'the handler');
my $idle = $toy->connect;
is($idle->request('GET', '/hello')->status, 200, 'another connection');
kill 'TERM', $toy->pid;
ok($idle->closed(20), 'is closed when the drain begins');
$c->write(substr $body, 5000);
$r = $c->response;
is(all_of($r), '200 whole', 'while draining the rest is still taken');
is($r->header('connection'), 'close', 'and the connection ends');
wait_for(sub { $toy->out =~ /^drained 0$/m }, 10, 'the drain');
is($toy->err, '', 'nothing to complain about');
done_testing;
