#!/usr/bin/perl
# A rate of submissions: kept over all acceptors, told in header fields, and Retry-After is the truth.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now);
use Test::More;

my $limits = 'limits { rate = 50 burst = 30 }';
my $handlers = 'handler noop { kind = builtin }';
my $t = Taskq->start(config => "acceptors = 2\nworkers = 0\n$limits\n$handlers");
my $n = 0;

sub post {
	my ($c, $path, %headers) = @_;
	return $c->request('POST', $path || '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'k' . ++$n, %headers });
}
# Takes what may be taken, at once, so that the next one is some time away; the refusal.
sub drained {
	my ($c) = @_;
	my $r;
	do {
		$c->send_request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'k' . ++$n }) for 1 .. 4;
		$r = $c->response for 1 .. 4;
	} while $r->status == 202;
	return $r;
}
# A new configuration, once the processes of the old one are gone.
sub reconfigure {
	my ($text) = @_;
	$t->configure("acceptors = 2\nworkers = 0\n$text\n$handlers");
	my %old = map { $_->{pid} => 1 } $t->roles('acceptor');
	$t->hup;
	wait_for(sub { my @now = $t->roles('acceptor'); @now == 2 && !grep { $old{ $_->{pid} } } @now }, 30, 'other acceptors');
	return $t->connect;
}
sub stored { return Taskq->pg->psql('select count(*) from taskq.task') }

# Connections until both acceptors have one: each counts its own requests, and the totals must be one rate.
my @conns = map { $t->connect } 1 .. 12;
my ($begin, %got) = now();
my ($first, $empty, $took) = (0, 0, 0); # the first answer, the beginning of the last round that met an empty bucket
while (($took = now() - $begin) < 3) {
	my $refused = $got{429} || 0;
	$_->send_request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'k' . ++$n }) for @conns;
	for my $c (@conns) {
		my $r = $c->response;
		$first ||= now() - $begin;
		$got{ $r->status }++;
		is($r->header('retry-after'), 1, 'Retry-After') if $r->status == 429 && $got{429} <= 1;
	}
	$empty = $took if ($got{429} || 0) > $refused;
}
is_deeply([sort keys %got], [202, 429], 'some are taken, some refused, on connections that stay open');
cmp_ok($got{202}, '<=', 30 + 50 * $took + 1, "no more than burst and rate in $took s");
cmp_ok($got{202}, '>=', 30 + 50 * ($empty - $first) - 1, "and no less, for the $empty s until the last refusal");
is(stored(), $got{202}, 'what was refused was not stored');
is($t->metric('taskq_refused_total', reason => 'rate'), $got{429}, 'and counted');

# One a second, so that what is refused stays refused for a while.
my ($c, $r) = (reconfigure('limits { rate = 1 burst = 2 }'));

subtest 'refused' => sub {
	$r = drained($c);
	is($r->status, 429, 'status');
	is($r->header('content-type'), 'application/problem+json', 'a problem');
	is($r->json->{code}, 'rate_limited', 'its code');
	is($r->json->{retryable}, JSON::PP::true(), 'worth another try');
	is($r->header('ratelimit-policy'), '"submit";q=2;w=2', 'the policy');
	is($r->header('ratelimit'), '"submit";r=0;t=1', 'nothing is left');
	like($r->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
	cmp_ok($r->header('retry-after'), '>=', 1, 'not before t');
	$r = post($c, '/tasks');
	is($r->status, 429, 'the other surface shares the rate');
};

subtest 'told' => sub {
	my $wait = $r->header('retry-after');
	select undef, undef, undef, $wait;
	$r = post($c);
	is($r->status, 202, "taken after $wait s");
	like($r->header('ratelimit'), qr/^"submit";r=[01];t=[12]$/, 'with what is left');
	is($r->header('ratelimit-policy'), '"submit";q=2;w=2', 'and the policy');
	wait_for(sub { ($r = $c->request('POST', '/v1/tasks', body => '{', headers => { 'Idempotency-Key' => 'bad' }))->status != 429 }, 10, 'the next one');
	is($r->status, 400, 'a body that is no JSON');
	ok($r->header('ratelimit'), 'counts and is told too');
	$r = $c->request('GET', '/v1/tasks');
	ok(!$r->header('ratelimit'), 'a read is no submission');
};

# A long body is refused by its head.
subtest 'before the body' => sub {
	$r = drained($c);
	my $long = $t->connect;
	$long->write("POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: long\r\nContent-Length: 500000\r\n\r\n");
	$r = $long->response;
	is($r->status, 429, 'refused without a byte of it');
	is($r->header('connection'), 'close', 'and nothing can follow');
	my $asks = $t->connect;
	$asks->write("POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: asks\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n");
	$r = $asks->response;
	is($r->status, 429, 'who asks first hears it first') or diag($r->body);
	is_deeply($r->{interim}, [], 'without 100 Continue');
};

# Another rate, then none.
$c = reconfigure('limits { rate = 1000 burst = 5000 }');
$r = post($c);
is($r->header('ratelimit-policy'), '"submit";q=5000;w=5', 'a reload brings another policy');
$c = reconfigure('');
$r = post($c);
ok(!$r->header('ratelimit-policy'), 'or none');
is(scalar(grep { post($c)->status != 202 } 1 .. 200), 0, 'and then everything is taken');
is($t->stop, 0, 'taskqd drained');
done_testing;
