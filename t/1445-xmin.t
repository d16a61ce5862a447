#!/usr/bin/perl
# Whoever keeps dead rows in the database, because he holds the oldest xmin for long, is named.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Taskq::Postgres;
use Taskq::Session;
use Taskq::Standby;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1, fsync => 0, settings => { autovacuum => 'off', max_prepared_transactions => 5 });
my $t = Taskq->start(pg => $pg, config => 'postgres { xmin_warn = 1s }');
sub lines { my ($like) = @_; return scalar grep { /$like/ } $t->log_lines }

my $session = Taskq::Session->new($pg->conninfo);
$session->run("set application_name = 'forgotten'; begin isolation level repeatable read; select count(*) from taskq.queue");
my $backend = $session->backend;
my $named = qr/oldest xmin is held.* what=session .*holder_pid=$backend user=taskq application=forgotten .*state="idle in transaction"/;
ok($t->log_wait($named, 30), 'a session is named');
ok(wait_for(sub { ($t->metric('taskq_oldest_xmin_seconds') // 0) >= 1 }, 30, 'the metric to tell'), 'how long is a metric');
ok(!lines(qr/pg_monitor/), 'all of it can be seen');
$session->run("commit; begin; select pg_current_xact_id(); prepare transaction 'stuck'");
ok($t->log_wait(qr/oldest xmin is held.* what="prepared transaction" .*name=stuck .*user=taskq/, 30), 'a prepared transaction is named');
is(lines($named), 1, 'each is named once');
$session->run("rollback prepared 'stuck'");
ok($t->log_wait(qr/holds it no more.* what="prepared transaction"/, 30), 'its end is told');

my $standby = Taskq::Standby->new($pg, name => 'reporting');
$standby->holds($pg->psql('select pg_current_xact_id()'));
ok($t->log_wait(qr/oldest xmin is held.* what=standby .*user=taskq application=reporting .*state=active/, 30), 'a standby is named');
$standby->close;
$pg->psql("select pg_create_physical_replication_slot('replica')");
$standby = Taskq::Standby->new($pg, slot => 'replica');
$standby->holds($pg->psql('select pg_current_xact_id()'));
ok($t->log_wait(qr/oldest xmin is held.* what="replication slot" .*name=replica .*state=active/, 30), 'a replication slot is named');
$standby->close;
ok(wait_for(sub { $pg->psql("select not active from pg_replication_slots") eq 't' }, 30, 'the slot to be inactive'), 'it is left behind');
ok(wait_for(sub { $t->metric('taskq_oldest_xmin_seconds') >= 3 }, 30, 'further looks'), 'and looks go on');
is(lines(qr/oldest xmin is held.* name=replica /), 1, 'but it is the same one');
$pg->psql("select pg_drop_replication_slot('replica')");
ok($t->log_wait(qr/holds it no more.* what="replication slot"/, 30), 'its end is told');
is($t->stop, 0, 'drained');
done_testing;
