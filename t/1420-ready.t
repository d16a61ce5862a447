#!/usr/bin/perl
# What must hold of a server before a node is ready, looked at while connections last: it writes what it acknowledges, has partitions for
# a week ahead, and has the schema of this program.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command);
use Taskq::Postgres;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1);
my $t = Taskq->new(pg => $pg, config => "handler noop { kind = builtin }\n");
my $keys = 0;

sub post { return $t->post('/v1/tasks', { task_type => 'noop' }, headers => { 'Idempotency-Key' => 'k' . ++$keys }) }
sub readyz_says { my ($words) = @_; return wait_for(sub { my $r = $t->get('/readyz'); return $r->{status} == 503 && $r->json->{detail} =~ $words }, 20, "/readyz to say $words") }
sub setting { my ($name, $value) = @_; $pg->psql("alter system set $name = $value"); $pg->psql('select pg_reload_conf()') }

subtest 'two nodes migrate at once' => sub {
	my @each = map { Taskq::Machine::spawn(name => "migrate $_", out => "$t->{dir}/migrate.$_",
		command => [$t->program, '-c', $t->config_path, '--migrate']) } 1 .. 4;
	is_deeply([map { $_->wait(30) } @each], [0, 0, 0, 0], 'all are content');
	is($pg->psql('select count(*), max(number) from taskq.migration'), $pg->psql('select max(number), max(number) from taskq.migration'), 'each number was applied once');
};

subtest 'partitions run out' => sub {
	my ($part, $bound) = split /\|/, $pg->psql(q{select c.oid::regclass, pg_get_expr(c.relpartbound, c.oid) from pg_class c
		where c.relname = 'task_' || to_char((now() at time zone 'UTC')::date + 3, 'YYYYMMDD')});
	$pg->psql("alter table taskq.task detach partition $part");
	$t->launch(ready => 0);
	ok(readyz_says(qr/^partitions are ready for 2 days ahead, expected 7$/), '/readyz counts the days');
	is(post()->{status}, 202, 'submissions are taken while there is a partition for them');
	setting(fsync => 'off');
	ok(readyz_says(qr/^postgres runs with fsync = off$/), 'a setting is noticed by connections that last');
	$pg->psql("alter table taskq.task attach partition $part $bound");
	setting(fsync => 'on');
	ok($t->wait_ready, 'and all of it when it is mended');
};

subtest 'a server that does not write' => sub {
	setting(full_page_writes => 'off');
	$t->hup;
	ok(readyz_says(qr/^postgres runs with full_page_writes = off$/), '/readyz says so');
	my $before = $pg->psql('select count(*) from taskq.task');
	my $r = post();
	is($r->{status}, 503, 'nothing is acknowledged that may be lost');
	is($r->header('Taskq-Outcome'), 'none', 'and the client knows it');
	is($pg->psql('select count(*) from taskq.task'), $before, 'nothing was stored');
	$t->hup("postgres { allow_unsafe = on }\nhandler noop { kind = builtin }\n");
	$t->wait_ready;
	is(post()->{status}, 202, 'unless the configuration allows it');
	setting(full_page_writes => 'on');
	is($t->stop, 0, 'taskqd drained');
};

subtest 'a schema from the future' => sub {
	$pg->psql("insert into taskq.migration (number, name) values (99, 'tomorrow')");
	my ($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '--migrate']);
	is($status, 78, '--migrate refuses it') or diag($text);
	like($text, qr/newer than this program/, 'and says why');
	$t->launch(ready => 0);
	ok(readyz_says(qr/schema is version 99, this program needs \d+$/), '/readyz names both');
	$pg->psql('delete from taskq.migration where number = 99');
	ok($t->wait_ready, 'the daemon did not give up');
	is($t->stop, 0, 'taskqd drained');
};

done_testing;
