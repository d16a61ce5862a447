#!/usr/bin/perl
# The compatible surface: clients of the earlier service work unchanged.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => 'workers = 0');
my $body = { task_type => 'send_email', payload => { to => 'user@example.com' } };

sub submit {
	my ($key, $body) = @_;
	return $t->post('/tasks', $body, headers => { 'Idempotency-Key' => $key });
}

subtest 'create' => sub {
	my $r = submit('create', $body);
	is($r->status, 202, 'accepted');
	my $task = $r->json;
	is_deeply([sort keys %$task], [qw(attempts created_at id last_error max_attempts payload result status task_type updated_at)], 'the fields of old');
	is($task->{status}, 'pending', 'pending');
	is($task->{attempts}, 0, 'not tried');
	is($task->{max_attempts}, 3, 'three attempts');
	is($task->{last_error}, undef, 'no error');
	like($task->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/, 'times of UTC');
	is_deeply($t->get("/tasks/$task->{id}")->json, $task, 'read back');
	my $native = $t->task($task);
	is($native->{id}, $task->{id}, 'and on /v1');
	is($native->{queue}, 'default', 'in the default queue');
};

subtest 'replay' => sub {
	my ($first, $again) = map { submit('replay', $body) } 1 .. 2;
	is($again->status, 202, 'accepted again');
	is($again->json->{id}, $first->json->{id}, 'the same task');
	is($again->body, $first->body, 'the same bytes');
	is(submit('replay', { %$body, max_attempts => 3 })->body, $first->body, 'a default may be said');
	is(submit('replay', { %$body, unknown => 1 })->body, $first->body, 'what is unknown does not count');
	is(submit('replay', { %$body, max_attempts => '3' })->body, $first->body, 'nor how a number is written');
	my $v1 = $t->post('/v1/tasks', { %$body, max_attempts => 3 }, headers => { 'Idempotency-Key' => 'replay' });
	is($v1->status, 202, 'the key means the same on /v1');
	is($v1->body, $first->body, 'and gives the first answer in the form of its surface');
	is($v1->header('location'), $first->header('location'), 'and place');
};

subtest 'another body' => sub {
	submit('other', $body);
	my $r = submit('other', { %$body, payload => {} });
	is($r->status, 422, 'refused');
	is_deeply($r->json, { detail => 'idempotency key was previously used with a different request body' }, 'in the words of old');
};

# [what, key, body, loc, type, more]
my @invalid = (
	['no key', undef, $body, ['header', 'Idempotency-Key'], 'missing', { msg => 'Field required', input => undef }],
	['a long key', 'k' x 256, $body, ['header', 'Idempotency-Key'], 'string_too_long', { ctx => { max_length => 255 } }],
	['no task type', 'i', {}, ['body', 'task_type'], 'missing', { msg => 'Field required', input => {} }],
	['an empty task type', 'i', { task_type => '' }, ['body', 'task_type'], 'string_too_short', { ctx => { min_length => 1 } }],
	['a long task type', 'i', { task_type => 'x' x 65 }, ['body', 'task_type'], 'string_too_long', { ctx => { max_length => 64 } }],
	['a task type that is a number', 'i', { task_type => 1 }, ['body', 'task_type'], 'string_type', { input => 1 }],
	['a payload that is a list', 'i', { task_type => 'x', payload => [] }, ['body', 'payload'], 'dict_type', { input => [] }],
	['no attempts', 'i', { task_type => 'x', max_attempts => 0 }, ['body', 'max_attempts'], 'greater_than_equal', { ctx => { ge => 1 } }],
	['too many attempts', 'i', { task_type => 'x', max_attempts => 11 }, ['body', 'max_attempts'], 'less_than_equal', { ctx => { le => 10 } }],
	['half an attempt', 'i', '{"task_type":"x","max_attempts":1.5}', ['body', 'max_attempts'], 'int_from_float', {}],
	['attempts in words', 'i', { task_type => 'x', max_attempts => 'many' }, ['body', 'max_attempts'], 'int_parsing', { input => 'many' }],
	['broken JSON', 'i', '{"task_type":', ['body', 13], 'json_invalid', { msg => 'JSON decode error', input => {} }],
	['a list', 'i', '[]', ['body'], 'model_attributes_type', {}],
	['nothing', 'i', '', ['body'], 'missing', { msg => 'Field required' }],
);
for my $case (@invalid) {
	my ($what, $key, $sent, $loc, $type, $more) = @$case;
	subtest $what => sub {
		my $r = $t->post('/tasks', $sent, headers => { defined $key ? ('Idempotency-Key' => $key) : () });
		is($r->status, 422, 'status');
		is($r->header('content-type'), 'application/json', 'plain JSON');
		my $detail = $r->json->{detail};
		is(ref $detail, 'ARRAY', 'an array');
		is_deeply($detail->[0]{loc}, $loc, 'the place');
		is($detail->[0]{type}, $type, 'the kind');
		ok(exists $detail->[0]{msg} && exists $detail->[0]{input}, 'words and input');
		is_deeply($detail->[0]{$_}, $more->{$_}, $_) for sort keys %$more;
	};
}

subtest 'get' => sub {
	my $id = '00000000-0000-4000-8000-000000000000';
	my $r = $t->get("/tasks/$id");
	is($r->status, 404, 'unknown');
	is_deeply($r->json, { detail => "task $id not found" }, 'in the words of old');
	$r = $t->get('/tasks/not-a-uuid');
	is($r->status, 422, 'not a UUID');
	is_deeply($r->json->{detail}[0]{loc}, ['path', 'task_id'], 'the place');
	is($r->json->{detail}[0]{type}, 'uuid_parsing', 'the kind');
};

subtest 'other paths' => sub {
	my $r = $t->get('/health');
	is($r->status, 200, 'health');
	is($r->body, '{"status":"ok"}', 'exactly');
	$r = $t->get('/metrics');
	like($r->header('content-type'), qr{^text/plain; version=0\.0\.4}, 'metrics are Prometheus text');
	like($r->body, qr/^http_requests_total\{.*path="\/tasks".*\} \d+$/m, 'with the names of old');
	$r = $t->get('/nowhere');
	is($r->status, 404, 'an unknown path');
	is_deeply($r->json, { detail => 'Not Found' }, 'in the words of old');
	$r = $t->request('DELETE', '/tasks');
	is($r->status, 405, 'an unknown method');
	is_deeply($r->json, { detail => 'Method Not Allowed' }, 'in the words of old');
	$r = $t->get('/tasks/?limit=1');
	is($r->status, 307, 'a trailing slash');
	is($r->header('location'), '/tasks?limit=1', 'is sent where it belongs');
	is($t->get('/health', headers => { 'X-Request-ID' => 'abc-123' })->header('x-request-id'), 'abc-123', 'the request id comes back');
	like($t->get('/health')->header('x-request-id'), qr/^[0-9a-f-]{36}$/, 'or is made');
};

is($t->stop, 0, 'drained');

$t = Taskq->start(config => "workers = 0\nhttp { compat = off }");
is($t->post('/tasks', $body, headers => { 'Idempotency-Key' => 'off' })->status, 404, 'switched off there is no /tasks');
is($t->get('/health')->status, 404, 'and no /health');
is($t->get('/v1/tasks')->status, 200, 'but /v1');
is($t->stop, 0, 'drained');
done_testing;
