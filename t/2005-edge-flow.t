#!/usr/bin/perl
# An answer whose length nobody knows: in chunks, at the pace of who reads it, in its turn, and never taken for whole when it is not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq::Machine qw(wait_for);
use Taskq::Toy;
use Test::More;

use constant PIECE => 65536;
my $toy = Taskq::Toy->start(http => { write_timeout => '1s' });
my $hello = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
sub get { my ($target, $version) = @_; return "GET $target HTTP/" . ($version || '1.1') . "\r\nHost: a\r\n\r\n" }
sub flow { my ($n) = @_; return join '', map { chr(ord('a') + $_ % 26) x PIECE } reverse 1 .. $n }
sub quiet { wait_for(sub { $toy->count->{flows} == 0 }, 20, 'all answers to end') }

# whole
my ($flow, $behind) = $toy->answers(get('/flow?n=5') . $hello);
is($flow->header('transfer-encoding'), 'chunked', 'no length is told');
is($flow->header('content-length'), undef, 'really none');
ok($flow->body eq flow(5), 'all pieces, in order');
is($behind->body, "hello\n", 'the request behind it is answered');
my @all = $toy->answers(get('/hello') . get('/flow?n=2') . get('/flow?n=3') . $hello);
is(join(' ', map { $_->status . ':' . length $_->body } @all), '200:6 200:' . 2 * PIECE . ' 200:' . 3 * PIECE . ' 200:6', 'several in a pipeline');
is(($toy->answers(get('/flow?n=0') . $hello))[0]->body, '', 'none at all');
my $old = ($toy->answers(get('/flow?n=3', '1.0')))[0];
is($old->header('transfer-encoding'), undef, 'HTTP/1.0: no chunks');
is(length($old->body) . ' ' . $old->header('connection'), 3 * PIECE . ' close', 'but all of it, up to the end of the connection');
my $c = $toy->connect;
$c->write("HEAD /flow?n=100 HTTP/1.1\r\nHost: a\r\n\r\n");
my $made = $toy->count->{pieces};
is($c->response(no_body => 1)->header('transfer-encoding'), 'chunked', 'HEAD: the head');
is($c->request('GET', '/hello')->body, "hello\n", 'and nothing behind it');
is($toy->count->{pieces}, $made, 'for which nothing is made');

# its turn: an earlier request has no answer yet
$c = $toy->connect;
$c->write("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" . get('/flow?n=4') . $hello);
wait_for(sub { my $n = $toy->count; $n->{held} == 1 && $n->{flows} == 1 }, 20, 'both requests to be there');
is($toy->count->{pieces}, $made, 'before its turn nothing is made');
$toy->connect->request('POST', '/release');
is(join(' ', map { length $_->body } Taskq::Toy::rest($c)), length("held 0 \n") . ' ' . 4 * PIECE . ' 6', 'then all of it');

# a client that is slow: pieces are made when it has taken those before
$made = $toy->count->{pieces};
$c = $toy->connect;
$c->write(get('/flow?n=1000'));
wait_for(sub { $toy->count->{pieces} > $made }, 20, 'the first pieces');
my ($before, $same) = (-1, 0);
wait_for(sub { my $n = $toy->count->{pieces}; $same = $n == $before ? $same + 1 : 0; $before = $n; return $same >= 5 }, 20, 'the socket to be full');
cmp_ok($toy->count->{pieces} - $made, '<', 500, 'who does not read gets what the sockets hold, and no more is made');
wait_for(sub { $toy->count->{flows} == 0 }, 20, 'write_timeout to pass');
cmp_ok($toy->count->{pieces} - $made, '<', 500, 'who reads nothing for that long loses the connection');
$c->close;

# a client that is gone: while the next piece is waited for, and while it waits for the socket
$c = $toy->connect;
$c->write(get('/flow?n=3&hold'));
wait_for(sub { $toy->count->{held_flow} }, 20, 'the handler to be asked');
$c->close;
wait_for(sub { $toy->count->{open} == 0 }, 20, 'the connection to go');
$toy->connect->request('POST', '/flow');
quiet();
pass('gone while the handler worked: its next piece tells');
$c = $toy->connect;
$c->write(get('/flow?n=1000'));
wait_for(sub { $toy->count->{flows} == 1 }, 20, 'it to begin');
$c->close;
quiet();
pass('gone in the middle: the handler is told');

# not whole
$c = $toy->connect;
$c->write(get('/flow?n=2&cut') . $hello);
my $answer = eval { $c->response };
like($@, qr/\S/, 'an answer that could not be finished has no last chunk') or diag explain $answer;
unlike($c->{in}, qr/hello/, 'and nothing follows it');
quiet();

# draining: the one that holds it up is gone
$c = $toy->connect;
$c->write(get('/flow?n=3&hold'));
wait_for(sub { $toy->count->{held_flow} }, 20, 'the handler to be asked');
kill 'TERM', $toy->pid;
$c->close;
wait_for(sub { $toy->out =~ /^drained \d+$/m }, 20, 'the toy to drain');
unlike($toy->err, qr/panic|assert/i, 'no complaint');
done_testing;
