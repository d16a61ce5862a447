#!/usr/bin/perl
# Bytes of requests in flight: a body that would pass the limit is 503 at its head; what was held is free again after its answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => "workers = 0\nlimits { in_flight = 1MB }\nhandler noop { kind = builtin }");

sub head {
	my ($length, $key) = @_;
	my $how = defined $length ? "Content-Length: $length" : 'Transfer-Encoding: chunked';
	return "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: $key\r\n$how\r\n\r\n";
}
sub body { my ($length) = @_; my $open = '{"task_type":"noop","payload":{"x":"'; return $open . 'x' x ($length - length($open) - 3) . '"}}' }
sub held { return $t->metric('taskq_http_held_bytes') }

my @slow = map { $t->connect } 1 .. 3;
$slow[$_]->write(head(300_000, "slow$_") . '{"task_type"') for 0 .. 2;
wait_for(sub { held() == 3 * 304_096 }, 10, 'three bodies to be held from their heads');
pass('a body counts from its head on, and 4 kB for the request');

my $c = $t->connect;
$c->write(head(300_000, 'refused'));
my $r = $c->response;
is($r->status, 503, 'the fourth is refused at its head');
is($r->json->{code}, 'overloaded', 'the code');
is($r->header('taskq-outcome'), 'none', 'nothing was done');
ok($r->header('retry-after'), 'Retry-After');
is($r->header('connection'), 'close', 'its body is not read');
is($t->post('/v1/tasks', { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'small' })->status, 202, 'a small one still fits');
is($t->get('/healthz')->status, 200, 'and a request without a body always does');

# Chunks are counted as they come.
$c = $t->connect;
$c->write(head(undef, 'chunks') . sprintf("%x\r\n%s\r\n", 50_000, substr body(200_000), 0, 50_000));
wait_for(sub { held() == 3 * 304_096 + 4096 + 50_000 }, 10, 'the first chunk to be held');
pass('chunks count as they come');
$c->write(sprintf("%x\r\n%s\r\n", 150_000, substr body(200_000), 50_000));
is($c->response->status, 503, 'a chunk too many is refused');
wait_for(sub { held() == 3 * 304_096 }, 10, 'its memory to be free');
pass('and what it held is free');

close $slow[2]->sock;
wait_for(sub { held() == 2 * 304_096 }, 10, 'the memory of a client that left');
pass('a client that leaves holds nothing');
my $again = $t->connect;
$again->write(head(300_000, 'refused') . body(300_000));
is($again->response->status, 202, 'the refused one is taken now');
for (0 .. 1) {
	$slow[$_]->write(substr body(300_000), length '{"task_type"');
	is($slow[$_]->response->status, 202, 'a slow one ends well');
}
wait_for(sub { held() == 0 }, 10, 'nothing to be held');
is(Taskq->pg->psql('select count(*) from taskq.task'), 4, 'and every 202 is a task');
is($t->metric('taskq_refused_total', reason => 'in_flight'), 2, 'the refused are counted');

# One is always taken, whatever the limit.
$t->configure("workers = 0\nlimits { in_flight = 64kB }\nhandler noop { kind = builtin }");
my ($old) = map { $_->{pid} } $t->roles('acceptor');
$t->hup;
wait_for(sub { my @now = $t->roles('acceptor'); @now == 1 && $now[0]{pid} != $old }, 30, 'another acceptor');
$c = $t->connect;
$c->write(head(300_000, 'alone') . body(300_000));
is($c->response->status, 202, 'a body longer than the limit, alone');
is($t->stop, 0, 'taskqd drained');
done_testing;
