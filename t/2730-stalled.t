#!/usr/bin/perl
# Postgres stands still under full load: memory stays bounded and comes back, every answer is truthful, and afterwards every key has one task.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(descendants memory_of now);
use Test::More;

use constant { MB => 1024 * 1024, IN_FLIGHT => 16, CONNS => 250, PIPELINED => 4, BODY => 100_000, ROUNDS => 3 };

my $pg = Taskq->pg;
my $t = Taskq->start(config => 'workers = 0
limits { in_flight = ' . IN_FLIGHT . "MB }
http { request_timeout = 2s }
handler noop { kind = builtin }");
my ($acceptor) = map { $_->{pid} } $t->roles('acceptor');

sub memory { return memory_of($acceptor, @_) }
sub server { my ($signal) = @_; kill $signal, $_ for $pg->pid, keys %{ descendants($pg->pid) } }
sub body { return '{"task_type":"noop","payload":{"x":"' . 'x' x (BODY - 40) . '"}}' }
sub put {
	my ($c, $key) = @_;
	my $body = $key =~ /^small/ ? '{"task_type":"noop"}' : body();
	return $c->send_request('POST', '/v1/tasks', body => $body, headers => { 'Idempotency-Key' => $key });
}

# What a load without trouble takes, first.
my @first = map { my $c = $t->connect; put($c, "before$_"); $c } 1 .. 50;
is(scalar(grep { $_->response->status == 202 } @first), 50, 'fifty without trouble');
my $before = memory('VmRSS');

server('STOP');
my (%answer, @bad, $offered);
# Two small ones reach the two connections to the server, whole; what is long after that does not.
my @small = map { $t->connect } 1 .. 2;
for (0 .. 1) {
	put($small[$_], "small$_");
	wait_for(sub { $t->metric('taskq_http_requests_in_flight') > $_ + 1 }, 10, 'a small one to be on its way');
}
my $slowest = 0;
$answer{"small$_"} = $small[$_]->response(seconds => 30) for 0 .. 1;
for my $round (1 .. ROUNDS) {
	my $begin = now();
	my @conns;
	for my $i (1 .. CONNS) {
		my $c = eval { $t->connect } or next;
		for my $p (1 .. PIPELINED) {
			my $key = "stalled-$round-$i-$p";
			last if !eval { put($c, $key) };
			$offered += BODY;
		}
		push @conns, [$c, "stalled-$round-$i"];
	}
	for (@conns) {
		my ($c, $keys) = @$_;
		for my $p (1 .. PIPELINED) {
			my $r = eval { $c->response(seconds => 30) } or last;
			$answer{"$keys-$p"} = $r;
			push @bad, $r->{head} if $r->status != 503 || ($r->header('taskq-outcome') || '') !~ /^(?:none|unknown)$/ || !$r->header('retry-after');
			last if ($r->header('connection') || '') eq 'close';
		}
	}
	my $took = now() - $begin;
	$slowest = $took if $took > $slowest;
}
my $peak = memory('VmHWM');
my %outcome;
$outcome{ $_->header('taskq-outcome') . ' ' . $_->json->{code} }++ for values %answer;
diag(sprintf 'offered %d MB, %d answers: %s; memory %.1f MB before, %.1f MB at most', $offered / MB, scalar keys %answer,
	join(', ', map { "$outcome{$_} $_" } sort keys %outcome), $before, $peak);
cmp_ok($offered, '>', 10 * IN_FLIGHT * MB, 'much more was offered than may be held');
is_deeply(\@bad, [], 'every answer is 503 with an outcome and Retry-After');
ok($outcome{'unknown unavailable'}, 'what was sent is unknown');
ok($outcome{'none overloaded'}, 'what was beyond the limit is refused');
cmp_ok($peak - $before, '<', 3 * IN_FLIGHT + 10, 'memory is bounded by in_flight');
cmp_ok($slowest, '<', 25, 'and every client has his answer in time');

server('CONT');
$t->wait_ready(60);
wait_for(sub { memory('VmRSS') - $before < 12 }, 30, 'the memory to come back') or diag(memory('VmRSS'));
pass(sprintf 'memory comes back: %.1f MB', memory('VmRSS'));

# What was "none" is not there; then every key is sent until it is taken, and each has one task.
my @none = grep { $answer{$_}->header('taskq-outcome') eq 'none' } sort keys %answer;
my @there = grep { @{ $t->get("/v1/tasks?idempotency_key=$_")->json->{items} } } @none[0 .. ($#none < 40 ? $#none : 40)];
is("@there", '', 'nothing that was said not to be stored is stored');
my @keys = sort keys %answer;
my $c = $t->connect;
for my $key (@keys) {
	wait_for(sub {
		my $r = eval { put($c, $key); $c->response };
		$c = $t->connect if !$r || ($r->header('connection') || '') eq 'close';
		return $r && $r->status == 202;
	}, 30, "$key to be taken");
}
is($pg->psql("select count(*) from taskq.idem") - 50, scalar @keys, 'every key is there');
is($pg->psql("select count(*) from taskq.task") - 50, scalar @keys, 'and has one task');

# A server that is known to be away is waited for by some; whoever comes then is told at once.
$pg->stop;
wait_for(sub { $t->get('/readyz')->status == 503 }, 30, '/readyz to say that postgres is away');
my @many = map { $t->connect } 1 .. 40;
for my $i (0 .. $#many) { put($many[$i], "small-away-$i-$_") for 1 .. 10 }
wait_for(sub { $t->metric('taskq_refused_total', reason => 'database') > 0 }, 10, 'some to be refused at once');
my %away;
for my $conn (@many) { for (1 .. 10) { my $r = $conn->response; $away{ $r->status . ' ' . $r->header('taskq-outcome') }++ } }
is_deeply(\%away, { '503 none' => 400 }, 'all four hundred are told that nothing was stored');
is($t->metric('taskq_refused_total', reason => 'database'), 400 - 256, 'those beyond the first 256 without waiting');
$pg->start;
is($t->stop, 0, 'taskqd drained');
END { local $?; server('CONT') if $pg && $pg->{child} && $pg->{child}->alive }
done_testing;
