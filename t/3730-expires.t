#!/usr/bin/perl
# A task that was not started in time is dead with the code EXPIRED, wherever it waited, and is never silently gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

my $t = Taskq->start(config => <<'CONF');
workers = 1
handler echo { kind = builtin builtin = echo }
handler nap { kind = builtin builtin = sleep }
handler fail { kind = builtin builtin = fail retry_base = 100ms }
work { slots = 1 poll = 100ms }
CONF
my $past = '2001-02-03T04:05:06Z';
my $far = '2999-01-01T00:00:00Z';

sub is_expired {
	my ($task, $what) = @_;
	my $is = $t->wait_final($task);
	is($is->{status}, 'dead_letter', "$what: dead");
	is($is->{error_code}, 'EXPIRED', "$what: with its code");
	is($is->{error_class}, 'NON_RETRYABLE', "$what: for good");
	is($is->{last_error}, 'not started in time', "$what: in words");
	is($is->{attempts}, 0, "$what: no attempt is spent");
	return $is;
}
sub sql { my ($sql) = @_; chomp(my $said = Taskq->pg->psql($sql, db => $t->{db})); return $said }
sub rows { my ($where) = @_; return sql("select count(*) from taskq.expiry $where") }

subtest 'in time' => sub {
	my $task = $t->submit('echo', { a => 1 }, expires_at => $far);
	is($task->{expires_at}, '2999-01-01T00:00:00.000000Z', 'the answer shows the time');
	is($t->wait_final($task)->{status}, 'succeeded', 'it runs');
	is($t->task($task)->{expires_at}, '2999-01-01T00:00:00.000000Z', 'and shows it still');
	$task = $t->submit('echo', {}, expires_in => 3600);
	my $seconds = sql("select extract(epoch from at - (select created_at from taskq.task t where t.id = x.id))::int from taskq.expiry x where id = '$task->{id}'");
	is($seconds + 0, 3600, 'seconds count from the acceptance');
	like($t->wait_final($task)->{expires_at}, qr/^\d{4}-/, 'and are shown as a time');
	ok(!exists $t->wait_final($t->submit('echo', {}))->{expires_at}, 'a task that does not expire has no such member');
};

subtest 'late already' => sub {
	my $task = $t->submit('echo', {}, expires_at => $past, key => 'late');
	my $is = is_expired($task, 'ready');
	is($is->{expires_at}, '2001-02-03T04:05:06.000000Z', 'with its time');
	my $again = $t->post('/v1/tasks', { task_type => 'echo', payload => {}, expires_at => '2001-02-03T05:05:06+01:00' }, headers => { 'Idempotency-Key' => 'late' });
	is($again->status, 202, 'the same time in other words is the same request');
	is($again->json->{id}, $task->{id}, 'of the same task');
	is($t->post('/v1/tasks', { task_type => 'echo', payload => {} }, headers => { 'Idempotency-Key' => 'late' })->status, 422, 'without it, another');
	is($t->post('/v1/tasks', { task_type => 'echo', payload => {}, expires_at => $far }, headers => { 'Idempotency-Key' => 'late' })->status, 422, 'and with another time');
};

subtest 'where it waits' => sub {
	my @in = (expires_in => 1);
	is($t->post('/v1/queues/shut/pause', '')->status, 200, 'a queue is paused');
	my @paused = map { $t->submit('echo', { n => $_ }, queue => 'shut', @in) } 1 .. 3;
	my $kept = $t->submit('echo', {}, queue => 'shut', expires_in => 3600);
	my $delayed = $t->submit('echo', {}, run_at => $far, @in);
	my $unique = $t->submit('echo', {}, queue => 'shut', unique => { key => 'one' }, @in);
	is_expired($_, 'paused') for @paused;
	is_expired($delayed, 'delayed');
	is_expired($unique, 'unique');
	my $waited = $t->get("/v1/tasks/$delayed->{id}", headers => { Prefer => 'wait=20' });
	is($waited->json->{error_code}, 'EXPIRED', 'who waits for one is told');
	is($t->task($kept)->{status}, 'pending', 'one that has time still waits');
	is($t->post('/v1/queues/shut/resume', '')->status, 200, 'resumed');
	is($t->wait_final($kept)->{status}, 'succeeded', 'and runs');
};

subtest 'of a range' => sub {
	$t->post('/v1/queues/range/pause', '');
	my @items = map { { idempotency_key => "r$_", task_type => 'echo', queue => 'range', payload => { n => $_ }, $_ % 3 == 0 ? (expires_at => $past) : () } } 0 .. 29;
	my $items = $t->post('/v1/tasks/batch', \@items)->json->{items};
	is(scalar(grep { $_->{verdict} eq 'accepted' } @$items), 30, 'thirty in one commit');
	is($t->wait_final($items->[$_]{id})->{error_code}, 'EXPIRED', "$_ is dead") for grep { $_ % 3 == 0 } 0 .. 29;
	is(sql('select coalesce(sum(n), 0) from taskq.ready') + 0, 20, 'the others are ready, each once');
	$t->post('/v1/queues/range/resume', '');
	is($t->wait_final($items->[$_]{id})->{result}{n}, $_, "$_ ran") for grep { $_ % 3 } 0 .. 29;
};

subtest 'behind a long one' => sub {
	my $long = $t->submit('nap', { seconds => 600 });
	$t->wait_status($long, qr/^processing$/);
	my $task = $t->submit('echo', {}, expires_in => 1);
	is_expired($task, 'behind it');
	is($t->task($long)->{status}, 'processing', 'the long one goes on');
	$t->post("/v1/tasks/$long->{id}/cancel", '');
};

subtest 'what started once does not expire' => sub {
	my $task = $t->submit('fail', {}, expires_in => 3600, max_attempts => 5);
	wait_for(sub { $t->task($task)->{attempts} >= 1 }, 20, 'a first attempt');
	sql("update taskq.expiry set at = now() where id = '$task->{id}'");
	wait_for(sub { rows("where id = '$task->{id}'") == 0 }, 20, 'the keeper to have looked');
	is($t->wait_final($task, 60)->{error_code}, 'HANDLER_FAILED', 'it uses up its attempts');
	is($t->task($task)->{attempts}, 5, 'all of them');
};

subtest 'by hand' => sub {
	my $task = is_expired($t->submit('echo', { n => 1 }, expires_at => $past), 'late');
	is($t->post("/v1/tasks/$task->{id}/retry", '')->status, 200, 'run it all the same');
	is($t->wait_final($task)->{status}, 'succeeded', 'it runs');
};

subtest 'what is refused' => sub {
	for (
		['both', { expires_at => $far, expires_in => 1 }, 'expires_in', qr/not both/],
		['before run_at', { expires_at => '2998-01-01T00:00:00Z', run_at => $far }, 'expires_at', qr/after run_at/],
		['with the delay', { expires_in => 60, delay => 60 }, 'expires_in', qr/more seconds than delay/],
		['none', { expires_in => 0 }, 'expires_in', qr/from 1 to/],
		['no time', { expires_at => 'tomorrow' }, 'expires_at', qr/RFC 3339/],
	) {
		my ($what, $members, $at, $words) = @$_;
		my $r = $t->post('/v1/tasks', { task_type => 'echo', %$members }, headers => { 'Idempotency-Key' => "bad $what" });
		is($r->status, 400, $what);
		is($r->json->{errors}[0]{pointer}, "#/$at", "$what: where");
		like($r->json->{detail}, $words, "$what: what was expected");
	}
};

my $due = "where at < now() + interval '10 minutes'";
wait_for(sub { rows($due) == 0 }, 60, 'the rows of tasks that started or are dead to be gone');
is(rows($due), 0, 'nothing is left of them');
cmp_ok($t->metric('taskq_tasks_expired_total'), '>=', 16, 'they were counted');
is($t->stop, 0, 'drained');
done_testing;
