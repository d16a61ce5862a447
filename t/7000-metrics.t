#!/usr/bin/perl
# /metrics is text that Prometheus takes, has every row of counters.def, tells what happened, and never goes back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file srcdir);
use Test::More;

my $t = Taskq->start(config => <<'CONF');
handler echo { kind = builtin builtin = echo }
handler fail { kind = builtin builtin = fail }
CONF

subtest 'the text' => sub {
	my $r = $t->get('/metrics');
	is($r->status, 200, 'status');
	is($r->header('content-type'), 'text/plain; version=0.0.4; charset=utf-8', 'the type that Prometheus asks for');
	my (%type, %help, %done, %last, $current, @bad);
	like($r->body, qr/\n\z/, 'the last line ends');
	for my $line (split /\n/, $r->body) {
		if ($line =~ /^# (HELP|TYPE) (\w+) (.+)$/) {
			push @bad, "a second family: $line" if $done{$2};
			$done{$current} = 1 if defined $current && $current ne $2;
			$current = $2;
			($1 eq 'TYPE' ? \%type : \%help)->{$2} = $3;
			next;
		}
		my ($name, $labels, $value) = $line =~ /^([a-z_:][\w:]*)(?:\{((?:[a-z_]\w*="(?:[^"\\]|\\["\\n])*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\+Inf|NaN)$/i;
		push @bad, "no sample: $line" if !defined $name;
		next if !defined $name;
		my $family = $name =~ /^(.*)_(?:bucket|sum|count)$/ && ($type{$1} || '') eq 'histogram' ? $1 : $name;
		push @bad, "outside its family: $line" if !defined $current || $family ne $current;
		push @bad, "no TYPE or HELP: $line" if !$type{$family} || !$help{$family};
		push @bad, "a counter without _total: $line" if ($type{$family} || '') eq 'counter' && $family !~ /_total$/;
	}
	is_deeply(\@bad, [], 'every line is a sample of its family');
	my $def = read_file(srcdir() . '/src/stats/counters.def');
	my @rows = $def =~ /^(?:COUNTER|GAUGE|HISTOGRAM|COUNTER_BY|HISTOGRAM_BY|COUNTER_AS|ALIAS|ALIAS_AS)\(\s*\w*,?\s*"(\w+)"/mg;
	cmp_ok(scalar @rows, '>', 20, 'counters.def can be read');
	my @missing = grep { !$type{$_} } @rows;
	is_deeply(\@missing, [], 'every row of counters.def is there');
};

subtest 'what happened' => sub {
	my $task = $t->submit('echo', { a => 1 }, key => 'm1');
	$t->submit('echo', { a => 1 }, key => 'm1');
	is($t->post('/v1/tasks', { task_type => 'echo', payload => { a => 2 } }, headers => { 'Idempotency-Key' => 'm1' })->status, 422, 'another body');
	$t->wait_final($task);
	my $dead = $t->submit('fail', { error_class => 'NON_RETRYABLE', error_code => 'X', message => 'on purpose' });
	is($t->wait_final($dead)->{status}, 'dead_letter', 'a failure');
	$t->get('/nowhere');
	$t->get('/v1/tasks/' . $task->{id});
	wait_for(sub { ($t->metric('taskq_tasks_finished_total', task_type => 'fail') || 0) == 1 }, 10, 'the failure to be counted');
	my %expected = (
		'submitted echo' => [1, 'taskq_tasks_submitted_total', queue => 'default', task_type => 'echo'],
		'submitted fail' => [1, 'taskq_tasks_submitted_total', task_type => 'fail'],
		'new keys' => [2, 'taskq_idempotency_total', outcome => 'new'],
		'replays' => [1, 'taskq_idempotency_total', outcome => 'replay'],
		'mismatches' => [1, 'taskq_idempotency_total', outcome => 'mismatch'],
		'succeeded' => [1, 'taskq_tasks_finished_total', task_type => 'echo', outcome => 'succeeded'],
		'dead letters' => [1, 'taskq_tasks_finished_total', task_type => 'fail', outcome => 'dead_letter'],
		'runs of echo' => [1, 'taskq_task_run_duration_seconds_count', task_type => 'echo'],
		'waits of echo' => [1, 'taskq_task_queue_wait_seconds_count', task_type => 'echo'],
		'their bucket +Inf' => [1, 'taskq_task_run_duration_seconds_bucket', task_type => 'echo', le => '+Inf'],
		'202 to submissions' => [3, 'taskq_http_requests_total', method => 'POST', route => '/v1/tasks', code => 202],
		'422 to submissions' => [1, 'taskq_http_requests_total', method => 'POST', route => '/v1/tasks', code => 422],
		'slots' => [16, 'taskq_worker_slots'],
		'running' => [0, 'taskq_tasks_running'],
	);
	for my $what (sort keys %expected) {
		my ($value, @sample) = @{ $expected{$what} };
		is($t->metric(@sample), $value, $what);
	}
	is($t->metric('taskq_http_requests_total', code => 404), 1, 'one unknown path');
	cmp_ok($t->metric('taskq_http_requests_total', route => '/v1/tasks/{id}'), '>', 0, 'routes are counted by their pattern');
	cmp_ok($t->metric('taskq_postgres_read_wait_seconds_count'), '>', 0, 'a task that was read has waited for its connection');
	cmp_ok($t->metric('taskq_postgres_read_wait_seconds_count'), '<', $t->metric('taskq_postgres_wait_seconds_count'), 'those that store wait elsewhere');
};

subtest 'a dead process takes no numbers with it' => sub {
	my $before = $t->metrics;
	for my $role ('worker', 'acceptor') {
		my $old = $t->kill9($role);
		wait_for(sub { my ($new) = $t->roles($role); $new && $new->{pid} != $old && $new->{ready} }, 20, "another $role");
	}
	my $after = $t->metrics;
	my @back = grep { /_(?:total|count|sum|bucket)(?:\{|$)/ && ($after->{$_} // -1) < $before->{$_} } sort keys %$before;
	is_deeply(\@back, [], 'no counter went back');
	is($after->{'taskq_http_connections'}, 1, 'gauges of the dead are gone: this scrape is the only connection');
};

is($t->stop, 0, 'taskqd drained');
done_testing;
