#!/usr/bin/perl
# Bulk requests in bad times: clients that leave, acceptors that die, a Postgres that is cut, frozen or away; one task for each key in the
# end, an honest verdict for each item, and memory that does not grow with the body.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(memory_of now patience read_file);
use Taskq::Postgres;
use Taskq::Proxy;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1);
my $proxy = Taskq::Proxy->new($pg->port);
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => "workers = 0\nhttp { request_timeout = 3s max_batch = 200MB }\npostgres { deadline = 2s }");

sub item { my ($key) = @_; return Taskq::HTTP::encode({ idempotency_key => $key, task_type => 'mail', payload => { name => $key } }) }
sub items { my ($name, $n) = @_; return '[' . join(',', map { item("$name-$_") } 1 .. $n) . ']' }
sub head { my ($length) = @_; return "POST /v1/tasks/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: $length\r\n\r\n" }
sub bulk { my ($body) = @_; return $t->request('POST', '/v1/tasks/batch', body => $body, seconds => 60) }
sub sums { my ($r) = @_; my $j = $r->json; return join ', ', map { "$j->{$_} $_" } grep { $j->{$_} } qw(accepted replayed mismatch busy invalid failed limited) }
sub tasks { my ($like) = @_; return $pg->psql("select count(*) || ' ' || count(distinct convert_from(payload, 'utf8')) from taskq.task where convert_from(payload, 'utf8') like '%$like-%'") }

is(sums(bulk(items('warm', 10))), '10 accepted', 'all is well');

# the client leaves in the middle
my $body = items('gone', 500);
my $c = $t->connect;
$c->write(head(length $body) . substr $body, 0, length($body) / 2);
wait_for(sub { tasks('gone') =~ /^(\d+)/ && $1 > 100 }, 20, 'items to be stored while the body is still coming');
$c->close;
wait_for(sub { $t->metric('taskq_http_requests_in_flight') == 1 }, 20, 'the request to end');
my $r = bulk($body);
is($r->json->{accepted} + $r->json->{replayed}, 500, 'all of it again: every item has its task');
cmp_ok($r->json->{replayed}, '>', 100, 'some of them from the first time');
is(tasks('gone'), '500 500', 'one for each key');

# the acceptor dies in the middle
$body = items('killed', 3000);
$c = $t->connect;
$c->write(head(length $body) . substr $body, 0, length($body) / 2);
wait_for(sub { tasks('killed') =~ /^(\d+)/ && $1 > 100 }, 20, 'items to be stored');
$t->kill9('acceptor', 0);
$t->wait_ready;
$r = bulk($body);
is($r->json->{accepted} + $r->json->{replayed}, 3000, 'acceptor killed: all of it again');
is(tasks('killed'), '3000 3000', 'one for each key');

# the answer of Postgres is lost
for my $how (qw(reply forward before late)) {
	$proxy->rule(on => '\bsubmit\b', how => $how, seconds => 1);
	$r = bulk(items("cut-$how", 3000));
	is($proxy->fired, 1, "cut: $how");
	is(sums($r), '3000 accepted', 'the batch is sent again, and every item is accepted');
	is(tasks("cut-$how"), '3000 3000', 'one for each key');
	$proxy->pass;
}

# Postgres frozen in the middle: an answer in time, and true
$body = items('frozen', 6000);
$c = $t->connect;
$c->write(head(length $body) . substr $body, 0, length($body) / 3);
wait_for(sub { tasks('frozen') =~ /^(\d+)/ && $1 > 100 }, 20, 'items to be stored');
my @frozen = ($pg->pid, keys %{ Taskq->tree_of($pg->pid) });
kill 'STOP', @frozen;
my $began = now();
$c->write(substr $body, length($body) / 3);
$r = $c->response(seconds => 60);
kill 'CONT', @frozen;
is($r->status, 200, 'frozen: what was decided before is told');
my @i = @{ $r->json->{items} };
is(scalar @i, 6000, 'every item has a verdict');
is_deeply([grep { !/^(?:accepted|failed)$/ } map { $_->{verdict} } @i], [], 'accepted or failed');
cmp_ok(scalar(grep { $_->{verdict} eq 'failed' } @i), '>', 1000, 'most of them failed');
my @failed = grep { $_->{verdict} eq 'failed' } @i;
is_deeply([grep { $_->{outcome} !~ /^(?:none|unknown)$/ || !$_->{error}{retryable} } @failed], [], 'each says its outcome, and to come again');
cmp_ok(now() - $began, '<', patience(30), 'it did not wait for each window');
$t->wait_ready(30);
$r = wait_for(sub { my $r = bulk($body); ($r->json->{accepted} || 0) + ($r->json->{replayed} || 0) == 6000 && $r }, 30, 'all of it to go through');
is(tasks('frozen'), '6000 6000', 'one for each key');

# nobody there
$pg->stop;
wait_for(sub { $t->get('/readyz')->status == 503 }, 20, 'the daemon to notice');
$r = bulk(items('away', 3000));
is($r->status, 503, 'no item could be decided: 503');
is($r->header('taskq-outcome'), 'none', 'nothing was stored, and it says so');
ok($r->header('retry-after'), 'with Retry-After');
is(sums($r), '3000 failed', 'with a verdict for each item all the same');
$pg->start;
$t->wait_ready(30);
is(sums(bulk(items('away', 3000))), '3000 accepted', 'and again, when it is back');
is(scalar(grep { /bulk request could not be stored/ } $t->log_lines), 2, 'one line of the log for each such request');

# memory
sub rss { return memory_of($t->role_pid('acceptor', 0), @_) }
my $before = rss('VmRSS');
my $pad = 'x' x 10000;
my $length = length(my $one = sprintf '{"idempotency_key":"great-%05d","task_type":"mail","payload":{"name":"great-%05d","pad":"%s"}},', 0, 0, $pad);
$c = $t->connect;
$c->write(head(10000 * $length + 1));
$c->write('[', 60);
for my $n (1 .. 10000) {
	my $text = sprintf '{"idempotency_key":"great-%05d","task_type":"mail","payload":{"name":"great-%05d","pad":"%s"}}%s', $n, $n, $pad, $n == 10000 ? ']' : ',';
	$c->write($text, 60);
}
$r = $c->response(seconds => 60);
is(sums($r), '10000 accepted', 'ten thousand of ten kilobytes');
SKIP: {
	skip 'the allocator of the sanitizers keeps what is freed', 1 if read_file($t->program) =~ /__asan_init/;
	cmp_ok(rss('VmHWM') - $before, '<', 60, 'a hundred megabytes need less than sixty of memory');
}
diag(sprintf '%.0f MB before, %.0f MB at most', $before, rss('VmHWM'));
is($t->stop, 0, 'drained');
done_testing;
