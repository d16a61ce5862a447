#!/usr/bin/perl
# The plan of every statement on a filled schema: key look-ups only, no hot table is read whole.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Session;
use Taskq::Statement;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('plans');
# 200 batches of 100 tasks: done, ready, leased, waiting, dead; most of them with keys, some tried, some amended.
$pg->psql(<<'SQL', db => $db);
insert into taskq.queue (name) select 'q' || g from generate_series(1, 20) g;
insert into taskq.kind (name) select 'k' || g from generate_series(1, 5) g;
insert into taskq.lane (queue_id, kind_id) select q.id, k.id from taskq.queue q, taskq.kind k;
insert into taskq.worker (inc, node, boot) select g, 'n', gen_random_uuid() from generate_series(1, 20) g;
create temp table ids as
	select taskq.at(taskq.floor(now() - interval '100 s' + b * interval '1 ms'), p) id, b, p, 1 + b % 100 lane
	from generate_series(1, 200) b, generate_series(0, 99) p;
insert into taskq.task select id, 1, lane, 0, 5, now(), null, null, '{}' from ids;
insert into taskq.idem select gen_random_uuid(), 1, sha256(id::text::bytea), id, 1, 1, now() from ids;
insert into taskq.done select id, 1, 5, lane, 1, 1, 1, 0, now(), '{}' from ids where b < 100;
insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
	select lane, 0, min(id::text)::uuid, 1, min(id::text)::uuid, max(id::text)::uuid, 100 from ids where b between 100 and 140 group by b, lane;
insert into taskq.lease
	select min(id::text)::uuid, b, 1, max(id::text)::uuid, lane, 0, 1 + b % 20, 0, 0, 0, 0, false from ids where b between 141 and 160 group by b, lane;
insert into taskq.waiting select id, 1, now(), lane, 0, 1, 1, 0, 0, false, 2 from ids where b between 161 and 180;
insert into taskq.tried select id, 3, 1, 1, 1, 7 from ids where b > 160;
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, payload)
	select id, 3, 1, lane, 0, 1, 1, 0, 5, 'X', now(), '{}' from ids where b > 180;
insert into taskq.uniq select gen_random_uuid(), 1, id, 1 + p % 3, case p % 3 when 2 then now() end from ids;
insert into taskq.amend select id, 1, 1, 5 from ids where b > 195;
vacuum analyze;
SQL

my %hot = map { $_ => 1 } qw(task ready lease waiting done tried dead idem amend uniq);
my $hot = '(?:' . join('|', sort keys %hot) . ')';
my $s = Taskq::Session->new($pg->conninfo(db => $db));
$s->run(Taskq::Statement->session);
is($s->run('show enable_hashjoin'), "off\n", 'the session is the daemon\'s');

my @names = Taskq::Statement::names();
cmp_ok(scalar @names, '>', 30, 'there are statements');
for my $name (@names) {
	my $statement = Taskq::Statement->new($name);
	my @types = @{ $statement->{types} };
	next unless $statement->{sql} =~ /^(?:with|select|insert|update|delete)\b/i && $statement->{text} =~ /^-- tables: .*\b$hot\b/m;
	is($s->run($statement->prepare), '', "$name can be prepared");
	my $plan = $s->run("explain (costs off) execute $name" . (@types ? '(' . join(', ', ('null') x @types) . ')' : ''));
	my @read = grep { my ($table) = /^([a-z]+)/; $hot{$table} } $plan =~ /Seq Scan on (\w+)/g;
	is("@read", '', "$name reads no hot table whole") or diag($plan);
	like($plan, qr/Tid Range Scan on idem x\w*\n.*\n\s+Filter: .*(?s:.*)Tid Scan on idem i\n/, 'the purge reads its stretch of pages, and finds again what goes by its place') or diag($plan) if $name eq 'purge_keys';
	my @blind = grep { my ($table) = / on ([a-z]+)/; $hot{$table} && $name ne 'list' } $plan =~ /^\s*(?:->\s+)?(Index(?: Only)? Scan(?: Backward)? using \w+ on \w+.*\n(?!.*Cond))/mg;
	# the oldest due row, the letters that nobody filed yet, the newest tasks, the owners of leases and all that is counted are found by walking an index from its end
	is("@blind", '', "$name walks no index of a hot table without a condition") or diag($plan)
	    unless $name =~ /^(?:promote_next|list|list_live|list_done|list_dead|worker_silent|watch|claim_exact|dead_unfiled|dead_queues)$/;
}
# A plan is made once, perhaps while its tables are empty, and may serve when they are not: it walks no index then either.
$s->run('delete from taskq.lease; delete from taskq.ready');
$pg->psql('vacuum analyze taskq.lease, taskq.ready', db => $db);
for my $name (qw(finish finish_again claim)) {
	my @types = @{ Taskq::Statement->new($name)->{types} };
	my $plan = $s->run("explain (costs off) execute $name(" . join(', ', ('null') x @types) . ')');
	unlike($plan, qr/Index(?: Only)? Scan(?: Backward)? using \w+ on (?:lease|ready).*\n(?!.*Cond)/, "$name looks up its rows where there were none") or diag($plan);
}
done_testing;
