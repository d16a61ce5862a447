#!/usr/bin/perl
# Who reads while others read shares their statements: a list that many ask for at once is read once or twice, tasks that are asked for
# one by one come many in a statement; each answer shows everything that was there before it was asked for.  A list that goes back
# over midnight, where another stretch of partitions is opened, misses nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

my $t = Taskq->start(config => qq(workers = 0\nacceptors = 1\npostgres { read_connections = 1\n lock_timeout = 1min\n statement_timeout = 1min\n deadline = 2min }));
my @all = reverse map { $t->submit('shared', { n => $_ }, key => "shared-$_")->{id} } 1 .. 5;

sub ids { return [map { $_->{id} } @{ $_[0]->json->{items} }] }

# A session that keeps tasks from being read: none gets past the lock of an index, which comes after the snapshot was taken.
sub lock_index {
	my $conninfo = Taskq->pg->conninfo;
	open(my $session, '|-', Taskq::Postgres::psql_program(), '-Xq', '-o', '/dev/null', '-d', $conninfo) or die "psql: $!\n";
	$session->autoflush(1);
	print $session "begin; reindex index taskq.amend_pkey;\n";
	return $session;
}

sub locks { return Taskq->pg->psql("select count(*) from pg_locks where relation = 'taskq.amend_pkey'::regclass and mode = 'AccessExclusiveLock' and $_[0]") }

sub hold {
	my $session = lock_index();
	wait_for(sub { locks('granted') > 0 }, 30, 'the lock');
	return $session;
}

# Lists that wait for it; the keeper may wait too.
sub stuck { return Taskq->pg->psql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'taskq (?:get|page) '}) }

sub ask_many {
	my ($n, $target) = @_;
	return map { my $c = $t->connect; $c->send_request('GET', $target); $c } 1 .. $n;
}

for my $target ('/v1/tasks', '/v1/tasks?task_type=shared&status=pending', '/tasks?limit=50') {
	subtest $target => sub {
		is_deeply(ids($t->get($target)), \@all, 'as it is now');
		my $session = hold();
		my ($first) = ask_many(1, $target);
		wait_for(sub { stuck() >= 1 }, 30, 'the first is on its way');
		my $before = $t->metric('taskq_postgres_statements_total');
		unshift @all, $t->submit('shared', {}, key => "while $target")->{id};
		my @more = ask_many(40, $target);
		print $session "commit;\n";
		close $session;
		my $r = $first->response;
		is($r->status, 200, 'the first is answered') or diag($r->body, $t->log_tail);
		is_deeply([grep { "@{ ids($_->response) }" ne "@all" } @more], [], 'all who asked after a task was stored see it');
		my $statements = $t->metric('taskq_postgres_statements_total') - $before;
		note("$statements statements");
		cmp_ok($statements, '<', 40, 'they were not read for one by one');
	};
}

subtest 'one by one' => sub {
	is($t->task($all[0])->{id}, $all[0], 'as it is now');
	my $missing = '0190d3f2-7c1e-7000-8000-000000000000';
	my $session = hold();
	my ($first) = ask_many(1, "/v1/tasks/$all[0]");
	wait_for(sub { stuck() >= 1 }, 30, 'the first is on its way');
	my $before = $t->metric('taskq_postgres_statements_total');
	unshift @all, $t->submit('shared', {}, key => 'while one')->{id};
	my @ids = map { (@all, $missing, $all[0], $all[-1]) } 1 .. 5;
	my @got = map { ask_many(1, "/v1/tasks/$_") } @ids;
	print $session "commit;\n";
	close $session;
	is($first->response->json->{id}, $all[1], 'the first is answered');
	is_deeply([map { my $r = $_->response; $r->status == 404 ? $missing : $r->json->{id} } @got], \@ids, 'each has the task that it asked for');
	my $statements = $t->metric('taskq_postgres_statements_total') - $before;
	note("$statements statements for " . @ids);
	cmp_ok($statements, '<', 40, 'they were not read one by one');
	my ($listed) = @{ $t->get('/v1/tasks?limit=1')->json->{items} };
	is_deeply($t->task($all[0]), $listed, 'and it is the same as in a list');
};

# A page goes on with older days behind a task that somebody asked for, and a second lock holds that.
subtest 'what has read something is joined by nobody' => sub {
	my $one = hold();
	my ($begun) = ask_many(1, '/v1/tasks');
	wait_for(sub { stuck() >= 1 }, 30, 'the page is on its way');
	my ($between) = ask_many(1, "/v1/tasks/$all[0]");
	$t->metric('taskq_postgres_statements_total') for 1 .. 2; # it was read when these are answered
	my $two = lock_index();
	wait_for(sub { locks('not granted') > 0 }, 30, 'the second lock to wait');
	print $one "commit;\n";
	close $one;
	wait_for(sub { Taskq->pg->psql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'taskq get '}) > 0 }, 30, 'the task to be looked for');
	my @before = @all;
	unshift @all, $t->submit('shared', {}, key => 'between two days')->{id};
	my ($late) = ask_many(1, '/v1/tasks');
	$t->metric('taskq_postgres_statements_total') for 1 .. 2;
	print $two "commit;\n";
	close $two;
	is($between->response->status, 200, 'the task is answered');
	is_deeply(ids($begun->response), \@before, 'the page shows what was there when it was asked for');
	is_deeply(ids($late->response), \@all, 'and who asked later sees what came meanwhile');
};

subtest 'another question is another answer' => sub {
	my $session = hold();
	my @targets = ('/v1/tasks?limit=2', '/v1/tasks?limit=3', '/v1/tasks?limit=2&task_type=none', '/v1/tasks?limit=2&queue=none', '/v1/tasks?limit=2&status=failed',
		'/v1/tasks?idempotency_key=shared-1', '/v1/tasks?idempotency_key=shared-2');
	my @got = map { ask_many(3, $_) } @targets;
	print $session "commit;\n";
	close $session;
	my @want = map { ($_) x 3 } [@all[0, 1]], [@all[0 .. 2]], [], [], [], [$all[-1]], [$all[-2]];
	is_deeply([map { ids($_->response) } @got], \@want, 'each has its own');
};

subtest 'over midnight' => sub {
	Taskq->pg->psql(q{
		insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, options, payload)
		select (left(taskq.floor((date_trunc('day', now() at time zone 'UTC') at time zone 'UTC') - interval '1 second')::text, 24) || lpad(to_hex(n), 12, '0'))::uuid,
			o.bucket, o.lane, o.prio, 3, o.created_at, o.options, '{}'
		from (select * from taskq.task order by id limit 1) o, generate_series(1, 30) n});
	my @days = split /\n/, Taskq->pg->psql('select id from taskq.task order by id desc');
	is(scalar(@days), @all + 30, 'tasks of two days');
	is_deeply(ids($t->get('/v1/tasks?limit=1000')), \@days, 'one page');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&status=pending')), \@days, 'by status');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&task_type=shared')), \@days, 'by type');
	is_deeply(ids($t->get('/tasks?limit=10&offset=' . (@all + 5))), [@days[@all + 5 .. @all + 14]], 'beyond an offset');
	for my $limit (3, scalar(@all), @all + 1, 30) {
		my ($target, @got) = ("/v1/tasks?limit=$limit");
		while ($target) {
			my $r = $t->get($target);
			push @got, @{ ids($r) };
			($target) = ($r->header('link') || '') =~ /^<([^>]+)>/;
		}
		is_deeply(\@got, \@days, "pages of $limit");
	}
};

is($t->stop, 0, 'drained');
done_testing;
