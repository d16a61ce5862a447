#!/usr/bin/perl
# Where autovacuum does not come the keeper vacuums by itself, late for nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command wait_for);
use Taskq::Postgres;
use Taskq::Proxy;
use Taskq::Session;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1, fsync => 0, settings => { autovacuum => 'off' });
my $proxy = Taskq::Proxy->new($pg->port);
my $config = "postgres { xmin_warn = 1s\n vacuum_late = 1s }\nwork { poll = 100ms }\nhandler echo { kind = builtin builtin = echo }\n" .
	"handler sleep { kind = builtin builtin = sleep }\n";
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => $config);
my ($dead, $few) = (25000, 3000); # autovacuum leaves 5,000 in either table

# Rows that nobody ever saw.
sub die_in {
	my ($table, $n) = @_;
	my %columns = (ready => 'lane, prio, start, bucket, lo, hi, n', lease => 'lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended');
	my %values = (ready => '0, 0, u, 0, u, u, 1', lease => 'u, 1, 0, u, 0, 0, 0, 0, 0, 0, 0, false');
	$pg->psql("begin; insert into taskq.$table ($columns{$table}) select $values{$table} from generate_series(1, $n) g, lateral (select gen_random_uuid() u where g > 0) x;"
		. " delete from taskq.$table where lane = 0; commit");
	return;
}
sub vacuums { return $pg->psql("select string_agg(relname || ' ' || vacuum_count, ', ' order by relname) from pg_stat_user_tables where schemaname = 'taskq' and vacuum_count > 0") }
sub dead_in { return $pg->psql("select n_dead_tup from pg_stat_user_tables where relid = 'taskq.$_[0]'::regclass") }
sub lines { my ($like) = @_; return scalar grep { /$like/ } $t->log_lines }

# vacuum
is(vacuums(), '', 'nothing is vacuumed without a reason');
die_in(lease => $few);
die_in(ready => $dead);
ok(wait_for(sub { vacuums() =~ /ready/ && dead_in('ready') < $dead }, 30, 'a vacuum'), 'a table that autovacuum leaves alone is vacuumed');
is(vacuums(), 'ready 1', 'no other one is, and none twice');
ok($t->log_wait(qr/autovacuum does not come.* table=ready dead_rows=\d+/, 30), 'that is told');
ok(wait_for(sub { ($t->metric('taskq_vacuums_total') // 0) == 1 }, 30, 'the counter'), 'and counted');

# a vacuum that takes long
$proxy->rule(on => '\bvacuum_ready\b', how => 'halfopen', seconds => 600);
die_in(ready => $dead);
ok(wait_for(sub { $proxy->fired }, 30, 'the next vacuum'), 'another vacuum, which does not end');
my $task = $t->submit('sleep', { seconds => 600 });
$t->wait_status($task, qr/^processing$/);
$t->kill9('worker', 0);
ok($t->log_wait(qr/took back tasks of a dead worker.* tasks=1/, 30), 'tasks of a dead worker come back meanwhile');
is(vacuums(), 'ready 1', 'it has not ended by then');
ok(!lines(qr/could not vacuum/), 'nor failed');
$t->post("/v1/tasks/$task->{id}/cancel", {});
is($t->stop, 0, 'and the end of taskqd does not wait for it');

# a role that neither sees nor may
$pg->psql("create role weak login password 'taskq'; grant usage on schema taskq to weak; grant select, insert, update, delete on all tables in schema taskq to weak;"
	. " grant usage on all sequences in schema taskq to weak");
my $conninfo = $pg->conninfo =~ s/user=\S+/user=weak/r;
my $session = Taskq::Session->new($pg->conninfo);
$session->run("set application_name = 'forgotten'; begin isolation level repeatable read; select count(*) from taskq.queue");
$t = Taskq->start(pg => $pg, migrate => 0, config => "$config\npostgres { conninfo = \"$conninfo\" }\n");
ok($t->log_wait(qr/oldest xmin is held.*holder_pid=@{[$session->backend]} user=taskq application=forgotten hint=.*pg_monitor/, 30), 'what is hidden is asked for');
ok($t->log_wait(qr/may not vacuum in its place.* table=ready role=weak/, 30), 'that it may not vacuum is told');
ok(wait_for(sub { $t->metric('taskq_oldest_xmin_seconds') >= 4 }, 30, 'further looks'), 'and looks go on');
is(lines(qr/may not vacuum/), 1, 'once');
is(vacuums(), 'ready 1', 'nothing was tried');
$session->close;
is($t->stop, 0, 'drained');

# a migration does not wait for a vacuum, nor for the next one
$pg->psql('alter system set vacuum_cost_limit = 1');
$pg->psql('select pg_reload_conf()');
die_in(ready => 3 * $dead);
die_in(lease => $dead);
$t = Taskq->start(pg => $pg, migrate => 0, config => $config);
ok(wait_for(sub { $pg->psql('select count(*) from pg_stat_progress_vacuum') }, 30, 'a vacuum'), 'a vacuum that takes long');
my ($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '--migrate']);
is($status, 0, 'a migration meanwhile') or diag($text);
ok($t->log_wait(qr/could not vacuum a table.* table=ready error=".*user request" put_off=1/, 30), 'ends it, and the next one does not begin');
is(vacuums(), 'ready 1', 'it had not ended by itself');
is($t->stop, 0, 'drained');
done_testing;
