#!/usr/bin/perl
# Clients that leave before their answer: what they asked for is done all the same, once, and the daemon takes no harm; nor when it is
# told to end meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(spawn);
use Test::More;

my $t = Taskq->start(config => "workers = 0\npostgres { lock_timeout = 60s statement_timeout = 60s deadline = 60s }\nhttp { request_timeout = 60s }");
my $pg = Taskq->pg;
my $holder = q(from pg_stat_activity where state = 'active' and query like 'lock%pg_sleep(600)');

# Holds a lock that every submission, or every read of a list, waits for.
sub hold {
	my ($what) = @_;
	spawn(command => [Taskq::Postgres::psql_program(), '-Xq', '-d', $pg->conninfo, '-c', "lock table $what; select pg_sleep(600)"], out => '/dev/null');
	wait_for(sub { $pg->psql("select count(*) $holder") == 1 }, 20, 'the lock to be held');
}
sub release { $pg->psql("select pg_terminate_backend(pid) $holder"); return }
sub waiting { return $pg->psql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") + 0 }

sub leave {
	my ($method, $target, %o) = @_;
	my $c = $t->connect;
	$c->send_request($method, $target, %o);
	return $c;
}
my %submission = (json => { task_type => 'mail' });

hold('taskq.idem in share mode');
my $c = leave('POST', '/v1/tasks', %submission, headers => { 'Idempotency-Key' => 'gone' });
wait_for(sub { waiting() }, 20, 'the submission to wait');
$c->reset; # one that only says that it has no more to send still gets its answer
wait_for(sub { $t->metric('taskq_http_connections') == 1 }, 20, 'the connection to be gone');
is($t->metric('taskq_http_requests_in_flight'), 2, 'its request is still in flight');
release();
wait_for(sub { $t->metric('taskq_http_requests_in_flight') == 1 }, 20, 'it to be done');
is($pg->psql('select count(*) from taskq.task') + 0, 1, 'the task is stored');
my $r = $t->post('/v1/tasks', $submission{json}, headers => { 'Idempotency-Key' => 'gone' });
is($r->header('idempotent-replayed'), 'true', 'and asking again finds it');

hold('taskq.task in access exclusive mode');
my @c = map { leave('GET', $_) } '/v1/tasks', '/tasks', '/v1/tasks/' . $r->json->{id};
wait_for(sub { waiting() }, 20, 'a read to wait');
$_->reset for @c;
wait_for(sub { $t->metric('taskq_http_connections') == 1 }, 20, 'the connections to be gone');
release();
wait_for(sub { $t->metric('taskq_http_requests_in_flight') == 1 }, 20, 'the reads to be done');
is($t->get('/healthz')->status, 200, 'nothing has happened');

hold('taskq.idem in share mode');
$c = leave('POST', '/v1/tasks', %submission, headers => { 'Idempotency-Key' => 'drain' });
wait_for(sub { waiting() }, 20, 'the submission to wait');
$t->signal('TERM');
$t->log_wait(qr/role=acceptor.*draining/);
release();
$r = $c->response;
is($r->status, 202, 'a drain waits for an answer that is due');
is($r->header('connection'), 'close', 'and says that it is the last');
$c->close;
is($t->wait_exit, 0, 'and ends well');

$t->launch;
hold('taskq.idem in share mode');
$c = leave('POST', '/v1/tasks', %submission, headers => { 'Idempotency-Key' => 'now' });
wait_for(sub { waiting() }, 20, 'the submission to wait');
my $lines = () = $t->log_lines;
$t->signal('TERM');
$t->log_wait(qr/role=acceptor.*draining/, 20, from => $lines);
$t->signal('TERM');
ok(defined $t->wait_exit(20), 'a second signal does not wait');
release();
done_testing;
