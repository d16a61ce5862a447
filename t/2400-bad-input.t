#!/usr/bin/perl
# Bad input: each is answered by what was expected, with a pointer into the body; never a 500, and nothing is stored.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => "workers = 0\nhttp { max_body = 64kB }");
my $serial = 0;

sub submit {
	my ($body, %headers) = @_;
	return $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => 'bad-' . ++$serial, %headers });
}

# [what, body, code, pointer]
my @bodies = (
	['nothing', '', 'invalid_json', '#'],
	['half an object', '{"task_type":"x"', 'invalid_json'],
	['something behind', '{"task_type":"x"} {}', 'invalid_json'],
	['a comma too many', '{"task_type":"x",}', 'invalid_json'],
	['a comment', '{"task_type":"x"/* */}', 'invalid_json'],
	['single quotes', "{'task_type':'x'}", 'invalid_json'],
	['NaN', '{"task_type":"x","payload":{"a":NaN}}', 'invalid_json'],
	['a leading zero', '{"task_type":"x","payload":{"a":01}}', 'invalid_json'],
	['a control character', "{\"task_type\":\"x\",\"payload\":{\"a\":\"\x01\"}}", 'invalid_json'],
	['a byte order mark', "\xef\xbb\xbf{\"task_type\":\"x\"}", 'invalid_json'],
	['invalid UTF-8', "{\"task_type\":\"x\",\"payload\":{\"a\":\"\xff\"}}"],
	['an overlong form', "{\"task_type\":\"x\",\"payload\":{\"a\":\"\xc0\xaf\"}}"],
	['a surrogate as bytes', "{\"task_type\":\"x\",\"payload\":{\"a\":\"\xed\xa0\x80\"}}"],
	['a name twice', '{"task_type":"x","task_type":"x"}', 'duplicate_name', '#/task_type'],
	['a name twice, deep', '{"task_type":"x","payload":{"a":[{"b":1,"\u0062":2}]}}', 'duplicate_name', '#/payload/a/0/b'],
	['too deep', '{"task_type":"x","payload":{"a":' . '[' x 70 . ']' x 70 . '}}', 'too_deep'],
	['very deep', '[' x 30000, 'too_deep'],
	['a list', '[]', 'invalid_field', '#'],
	['null', 'null', 'invalid_field', '#'],
	['no type', '{}', 'missing_field', '#/task_type'],
	['a type that is null', '{"task_type":null}', 'invalid_field', '#/task_type'],
	['an empty type', '{"task_type":""}', 'invalid_field', '#/task_type'],
	['a type too long', '{"task_type":"' . 'x' x 65 . '"}', 'invalid_field', '#/task_type'],
	['a type with a space', '{"task_type":"a b"}', 'invalid_field', '#/task_type'],
	['a type with NUL', '{"task_type":"a\u0000b"}', 'invalid_field', '#/task_type'],
	['an unknown field', '{"task_type":"x","colour":"red"}', 'unknown_field', '#/colour'],
	['an unknown field with a slash', '{"task_type":"x","a/b~c d":1}', 'unknown_field', '#/a~1b~0c%20d'],
	['a payload that is a string', '{"task_type":"x","payload":"{}"}', 'invalid_field', '#/payload'],
	['a payload that is null', '{"task_type":"x","payload":null}', 'invalid_field', '#/payload'],
	['attempts as a string', '{"task_type":"x","max_attempts":"3"}', 'invalid_field', '#/max_attempts'],
	['no attempts', '{"task_type":"x","max_attempts":0}', 'invalid_field', '#/max_attempts'],
	['too many attempts', '{"task_type":"x","max_attempts":101}', 'invalid_field', '#/max_attempts'],
	['attempts beyond every integer', '{"task_type":"x","max_attempts":18446744073709551617}', 'invalid_field', '#/max_attempts'],
	['attempts with an exponent', '{"task_type":"x","max_attempts":1e0}', 'invalid_field', '#/max_attempts'],
	['true for a number', '{"task_type":"x","priority":true}', 'invalid_field', '#/priority'],
	['a priority out of range', '{"task_type":"x","priority":-101}', 'invalid_field', '#/priority'],
	['a day that is none', '{"task_type":"x","run_at":"2030-02-30T00:00:00Z"}', 'invalid_field', '#/run_at'],
	['a time without a zone', '{"task_type":"x","run_at":"2030-01-01T00:00:00"}', 'invalid_field', '#/run_at'],
	['a negative delay', '{"task_type":"x","delay":-1}', 'invalid_field', '#/delay'],
	['two times', '{"task_type":"x","delay":1,"run_at":"2030-01-01T00:00:00Z"}', 'invalid_field', '#/delay'],
	['a label that is a number', '{"task_type":"x","labels":{"a":1}}', 'invalid_field', '#/labels/a'],
	['too many labels', '{"task_type":"x","labels":{' . join(',', map { qq("l$_":"v") } 1 .. 17) . '}}', 'invalid_field', '#/labels'],
	['a newline in a trace', '{"task_type":"x","trace_id":"a\nb"}', 'invalid_field', '#/trace_id'],
	['half a character in a group', '{"task_type":"x","group":"\ud800"}', 'invalid_field', '#/group'],
);
for my $case (@bodies) {
	my ($what, $body, $code, $pointer) = @$case;
	subtest $what => sub {
		my $r = submit($body);
		is($r->status, 400, 'status');
		is($r->header('content-type'), 'application/problem+json', 'a problem');
		my $p = $r->json;
		is($p->{code}, $code, 'code') if defined $code;
		is($p->{status}, 400, 'status inside');
		ok(length $p->{detail} && length $p->{title} && length $p->{type}, 'words');
		ok(exists $p->{retryable} && !$p->{retryable}, 'no use to send it again');
		is($p->{request_id}, $r->header('x-request-id'), 'the id of the request');
		is($p->{errors}[0]{pointer}, $pointer, 'the place') if defined $pointer;
	};
}

subtest 'before the body' => sub {
	my %key = ('Idempotency-Key' => 'early');
	my $good = '{"task_type":"x"}';
	for my $case (
		['a body over the limit', 413, POST => '/v1/tasks', { body => '{"task_type":"x","payload":{"a":"' . 'x' x 70000 . '"}}', headers => \%key }],
		['another media type', 415, POST => '/v1/tasks', { body => $good, headers => { %key, 'Content-Type' => 'text/plain' } }],
		['another charset', 415, POST => '/v1/tasks', { body => $good, headers => { %key, 'Content-Type' => 'application/json; charset=latin1' } }],
		['a coding', 415, POST => '/v1/tasks', { body => $good, headers => { %key, 'Content-Encoding' => 'gzip' } }],
		['no length', 411, POST => '/v1/tasks', { headers => { %key, 'Content-Type' => 'application/json' } }],
		['an unknown path', 404, GET => '/v1/nowhere', {}],
		['an unknown method', 405, DELETE => '/v1/tasks', {}],
		['an id that is none', 400, GET => '/v1/tasks/1', {}],
		['an id nobody has', 404, GET => '/v1/tasks/00000000-0000-7000-8000-000000000000', {}],
	) {
		my ($what, $status, $method, $target, $o) = @$case;
		my $r = $t->request($method, $target, %$o);
		is($r->status, $status, $what);
		is($r->header('content-type'), 'application/problem+json', "$what: a problem");
		is($r->json->{status}, $status, "$what: says so inside");
		ok(exists $r->json->{retryable} && !$r->json->{retryable}, "$what: no use to send it again");
		like($r->json->{detail}, qr/expected at most 65536 bytes$/, "$what: what the limit is") if $status == 413;
	}
	is($t->request('DELETE', '/v1/tasks')->header('allow'), 'GET, HEAD, POST', 'which methods there are');
	my $raw = $t->raw("POST /v1/tasks HTTP/3.0\r\nHost: x\r\n\r\n");
	like($raw, qr{^HTTP/1.1 505 .*^Taskq-Outcome: none\r$}ms, 'what the edge refuses with 5xx has no outcome');
	$raw = $t->raw("POST /v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n");
	like($raw, qr{^HTTP/1.1 501 .*^Taskq-Outcome: none\r$}ms, 'nor has this');
};

is(Taskq->pg->psql('select (select count(*) from taskq.task) + (select count(*) from taskq.idem)') + 0, 0, 'nothing is stored');
is(submit('{"task_type":"x","payload":{"nul":"\u0000","big":123456789012345678901234567890,"e":1e400,"half":"\ud800"}}')->status, 202,
	'what is JSON is taken, however odd');
is((grep { /=error|=crit/ } $t->log_lines), 0, 'and the log has no error');

subtest 'postgres away' => sub {
	Taskq->pg->stop;
	my $r = submit('{"task_type":"x"}');
	is($r->status, 503, 'a submission');
	is($r->json->{code}, 'unavailable', 'its code');
	ok($r->json->{retryable}, 'it may be sent again');
	cmp_ok($r->header('retry-after'), '>', 0, 'when to come again');
	like($r->header('taskq-outcome'), qr/^(?:none|unknown)$/, 'and whether anything happened');
	wait_for(sub { $t->get('/readyz')->status == 503 }, 20, '/readyz to say no');
	$r = $t->get('/readyz');
	is($r->json->{code}, 'not_ready', '/readyz');
	is($r->header('taskq-outcome'), 'none', 'which changes nothing either');
	like($r->json->{detail}, qr/postgres/, 'says why');
	is($t->get('/healthz')->status, 200, '/healthz does not care');
	is($t->get('/metrics')->status, 200, 'nor do metrics');
	$r = submit('{"task_type":"x"}');
	is($r->header('taskq-outcome'), 'none', 'what was never sent did not happen');
	$r = $t->get('/v1/tasks');
	is($r->status, 503, 'a list');
	cmp_ok($r->header('retry-after'), '>', 0, 'when to come again');
	is($r->header('taskq-outcome'), 'none', 'and that it changes nothing');
	Taskq->pg->start;
	$t->wait_ready;
	is(submit('{"task_type":"x"}')->status, 202, 'and it comes back by itself');
};

is($t->stop, 0, 'drained');
done_testing;
