#!/usr/bin/perl
# Postgres away: at the start the daemon waits and says so; later every answer is honest, and it comes back by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $pg = Taskq->pg;
my $t = Taskq->new(config => "http { request_timeout = 2s }\nhandler noop { kind = builtin }\nhandler nap { kind = builtin builtin = sleep }");
$t->migrate;
$pg->stop;
$t->launch(ready => 0);
my $r = wait_for(sub { $t->has_address && eval { $t->get('/readyz') } }, 20, '/readyz to answer');
is($r->{status}, 503, 'not ready without Postgres');
like($r->{body}, qr/postgres/i, 'and says why');
is($t->get('/healthz')->{status}, 200, 'but the process is healthy');
$t->log_wait(qr/postgres/i);
$r = $t->post('/v1/tasks', { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'early' });
is($r->{status}, 503, 'a submission is refused');
is($r->header('taskq-outcome'), 'none', 'nothing was stored, and it says so');
ok($r->header('retry-after'), 'with Retry-After');
$pg->start;
$t->wait_ready(30);
pass('ready by itself when Postgres is there');

my @before = map { $t->submit('nap', { seconds => 0.3 }) } 1 .. 10;
$pg->kill9;
$r = $t->post('/v1/tasks', { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'later' });
is($r->{status}, 503, 'a submission while it is down');
like($r->header('taskq-outcome'), qr/^(?:none|unknown)$/, 'tells the outcome');
is($t->get("/v1/tasks/$before[0]{id}")->{status}, 503, 'so does a read');
wait_for(sub { $t->get('/readyz')->{status} == 503 }, 10, '/readyz to say so');
$pg->start;
$t->wait_ready(30);
is($t->wait_final($_, 60)->{status}, 'succeeded', 'accepted before the crash, finished after it') for @before;
my $again = $t->submit('noop', undef, key => 'later');
is($t->wait_final($again)->{status}, 'succeeded', 'the refused one goes through with the same key');
is($pg->psql("select count(*) from taskq.task"), 11, 'and there is one of it');

# Sessions killed one by one under load: the clients repeat, no key makes two tasks.
my $n = 0;
for my $round (1 .. 8) {
	$pg->psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'taskq%' and pid <> pg_backend_pid()");
	for (1 .. 5) {
		my $key = 'cut-' . ++$n;
		wait_for(sub { eval { $t->submit('noop', undef, key => $key) } }, 20, "an answer for $key");
	}
}
is($pg->psql('select count(*) from taskq.task'), 11 + $n, 'one task a key');
wait_for(sub { $pg->psql('select count(*) from taskq.done where status = 1') == 11 + $n }, 60, 'all to succeed');
pass('all succeeded');
is($t->stop, 0, 'taskqd drained');
done_testing;
