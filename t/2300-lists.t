#!/usr/bin/perl
# Lists: newest first, filtered, page by page, on both surfaces; and what a list refuses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => 'workers = 0');

sub ids { return [map { $_->{id} } @{ $_[0]->json->{items} }] }

is_deeply($t->get('/v1/tasks')->json, { items => [], next_cursor => undef }, 'nothing yet');
is_deeply($t->get('/tasks')->json, { items => [], count => 0 }, 'nothing yet on the compatible surface');

my (@all, %by);
for my $n (0 .. 29) {
	my ($type, $queue) = ($n % 3 ? 'often' : 'seldom', $n % 5 ? 'default' : 'other');
	my $task = $t->submit($type, { n => $n }, key => "list-$n", queue => $queue);
	unshift @all, $task->{id};
	unshift @{ $by{$_} }, $task->{id} for $type, $queue, "$type $queue";
}

subtest 'filters' => sub {
	is_deeply(ids($t->get('/v1/tasks?limit=1000')), \@all, 'newest first');
	is_deeply(ids($t->get('/v1/tasks')), [@all[0 .. 19]], 'twenty by default');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&task_type=seldom')), $by{seldom}, 'by type');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&queue=other')), $by{other}, 'by queue');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&queue=other&task_type=often')), $by{'often other'}, 'by both');
	is_deeply(ids($t->get('/v1/tasks?limit=1000&status=pending')), \@all, 'by status');
	is_deeply(ids($t->get("/v1/tasks?status=$_")), [], "none is $_") for qw(processing succeeded failed dead_letter cancelled);
	is_deeply(ids($t->get('/v1/tasks?task_type=unknown')), [], 'a type that never was');
	is_deeply(ids($t->get('/v1/tasks?idempotency_key=list-7')), [$all[22]], 'by key');
	is_deeply(ids($t->get('/v1/tasks?idempotency_key=%22list-7%22')), [$all[22]], 'also when it is quoted');
	is_deeply(ids($t->get('/v1/tasks?idempotency_key=list-7&task_type=seldom')), [], 'with another filter that does not fit');
	is_deeply(ids($t->get('/v1/tasks?idempotency_key=none')), [], 'a key that never was');
	is_deeply($t->get('/v1/tasks?limit=1')->json->{items}[0], $t->task($all[0]), 'an item is the task as it is read alone');
};

subtest 'pages' => sub {
	for my $query ('limit=7', 'limit=7&status=pending', 'limit=4&task_type=often', 'limit=10', 'limit=30') {
		my @want = $query =~ /often/ ? @{ $by{often} } : @all;
		my ($target, @got, $pages) = ("/v1/tasks?$query");
		while ($target && ++$pages < 40) {
			my $r = $t->get($target);
			my $page = $r->json;
			push @got, @{ ids($r) };
			my ($link) = ($r->header('link') || '') =~ /^<([^>]+)>; rel="next"$/;
			is(defined $link, defined $page->{next_cursor}, 'a link when there is a cursor');
			like($link, qr/cursor=\Q$page->{next_cursor}\E$/, 'and it has it') if defined $link;
			$target = $link;
		}
		is_deeply(\@got, \@want, "$query: every task once, in order");
	}
	my $first = $t->get('/v1/tasks?limit=5')->json;
	my $new = $t->submit('later', {}, key => 'between pages');
	is_deeply(ids($t->get("/v1/tasks?limit=5&cursor=$first->{next_cursor}")), [@all[5 .. 9]], 'a new task does not shift the pages');
	unshift @all, $new->{id};
};

subtest 'what is refused' => sub {
	for my $case (
		['colour=red', 'unknown_parameter', 'colour'],
		['offset=1', 'unknown_parameter', 'offset'],
		['Status=pending', 'unknown_parameter', 'Status'],
		['status=pending&status=failed', 'repeated_parameter', 'status'],
		['status=bogus', 'invalid_parameter', 'status'],
		['status=', 'invalid_parameter', 'status'],
		['task_type=', 'invalid_parameter', 'task_type'],
		['task_type=' . 'x' x 65, 'invalid_parameter', 'task_type'],
		['queue=' . 'x' x 65, 'invalid_parameter', 'queue'],
		['idempotency_key=', 'invalid_parameter', 'idempotency_key'],
		['idempotency_key=' . 'k' x 256, 'invalid_parameter', 'idempotency_key'],
		(map { ["limit=$_", 'invalid_parameter', 'limit'] } 0, 1001, -1, 'x', '', '1.0', '99999999999999999999'),
		(map { ["cursor=$_", 'invalid_parameter', 'cursor'] } '', 'x', 'A' x 22, 'A' x 21 . 'B', '*' x 22, 'A' x 23),
	) {
		my ($query, $code, $name) = @$case;
		my $r = $t->get("/v1/tasks?$query");
		is($r->status, 400, $query);
		is($r->json->{code}, $code, "$query: $code");
		like($r->json->{detail}, qr/\b\Q$name\E\b/, "$query: by name");
	}
	is($t->get('/v1/tasks?limit=%zz')->status, 400, 'a broken escape');
};

subtest 'the compatible surface' => sub {
	my $r = $t->get('/tasks?limit=100');
	is_deeply(ids($r), \@all, 'newest first');
	is($r->json->{count}, 31, 'count is that of the page');
	is_deeply(ids($t->get('/tasks')), [@all[0 .. 19]], 'twenty by default');
	is_deeply(ids($t->get('/tasks?limit=5&offset=10')), [@all[10 .. 14]], 'limit and offset');
	is_deeply(ids($t->get('/tasks?offset=1000')), [], 'beyond the end');
	is_deeply($t->get('/tasks?offset=2147483647')->json, { items => [], count => 0 }, 'far beyond the end');
	is_deeply(ids($t->get('/tasks?limit=3&offset=2&task_type=seldom')), [@{ $by{seldom} }[2 .. 4]], 'within a filter');
	is_deeply(ids($t->get('/tasks?status=pending&limit=2')), [@all[0, 1]], 'by status');
	is_deeply(ids($t->get('/tasks?status=succeeded')), [], 'by another status');
	is_deeply(ids($t->get('/tasks?limit=50&limit=2&colour=red')), [@all[0, 1]], 'the last one counts, what is unknown does not');
	for my $case (
		['limit=0', 'limit', 'greater_than_equal', { ge => 1 }], ['limit=101', 'limit', 'less_than_equal', { le => 100 }],
		['limit=x', 'limit', 'int_parsing'], ['limit=', 'limit', 'int_parsing'], ['offset=-1', 'offset', 'greater_than_equal', { ge => 0 }],
		['status=bogus', 'status', 'enum'], ['status=cancelled', 'status', 'enum'],
		['task_type=', 'task_type', 'string_too_short', { min_length => 1 }],
		['task_type=' . 'x' x 65, 'task_type', 'string_too_long', { max_length => 64 }],
	) {
		my ($query, $name, $type, $ctx) = @$case;
		$r = $t->get("/tasks?$query");
		is($r->status, 422, $query);
		my $e = $r->json->{detail}[0];
		is_deeply($e->{loc}, ['query', $name], "$query: the place");
		is($e->{type}, $type, "$query: the kind");
		is_deeply($e->{ctx}, $ctx, "$query: the bound") if $ctx;
	}
	is(@{ $t->get('/tasks?limit=0&offset=-1&status=x')->json->{detail} }, 3, 'all that is wrong is told at once');
};

subtest 'large payloads' => sub {
	my $large = '{"a":"' . 'x' x 900_000 . '"}';
	my @large = map { $t->post('/v1/tasks', qq({"task_type":"large","payload":$large}), headers => { 'Idempotency-Key' => "large-$_" })->json->{id} } 1 .. 21;
	unshift @all, $_ for @large;
	my ($target, @got, @pages) = ('/v1/tasks?limit=1000&task_type=large');
	while ($target) {
		my $r = $t->get($target);
		push @got, $r->body =~ /"id":"([^"]+)"/g;
		push @pages, length $r->body;
		($target) = ($r->header('link') || '') =~ /^<([^>]+)>/;
	}
	is_deeply(\@got, [reverse @large], 'all are listed, in order');
	is(scalar(@pages), 3, 'in pages of some megabytes');
	cmp_ok((sort { $b <=> $a } @pages)[0], '<', 10_000_000, 'none is larger than that');
	my $r = $t->get('/tasks?limit=21&task_type=large');
	is(scalar(() = $r->body =~ /"id":"/g), 21, 'the compatible list has no cursor and shows all');
	is_deeply(ids($t->get('/tasks?limit=1&offset=20&task_type=large')), [$large[0]], 'and counts through them');
};

subtest 'far back' => sub {
	# 12,000 older tasks, with the ids of an earlier writer
	Taskq->pg->psql(q{
		insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, options, payload)
		select (left(o.id::text, 24) || '0000' || lpad(to_hex(n), 8, '0'))::uuid, o.bucket, o.lane, o.prio, 3, o.created_at, o.options, '{}'
		from (select * from taskq.task order by id limit 1) o, generate_series(1, 12000) n});
	my $r = $t->get('/tasks?limit=2&offset=' . (@all + 11_998));
	is($r->json->{count}, 2, 'the compatible list goes back to the last one');
	is_deeply(ids($t->get('/tasks?offset=' . (@all + 12_000))), [], 'and not further');
	is_deeply(ids($t->get('/tasks?task_type=often&limit=100&offset=15')), [@{ $by{often} }[15 .. 19]], 'also to the end of a filter');
	my ($target, $n) = ('/v1/tasks?limit=1000', 0);
	while ($target) {
		$r = $t->get($target);
		$n += () = $r->body =~ /"id":"/g;
		($target) = ($r->header('link') || '') =~ /^<([^>]+)>/;
	}
	is($n, @all + 12_000, 'all pages have all tasks');
};

is($t->stop, 0, 'drained');
done_testing;
