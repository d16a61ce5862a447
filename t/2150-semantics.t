#!/usr/bin/perl
# What an idempotency key promises, as a table: each row says what is sent, to which of two daemons over one database, and what must come back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now temp_dir write_file);
use Taskq::Postgres;
use Taskq::Proxy;
use Taskq::Session;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $config = "keys { recent = 0 }\nhttp { request_timeout = 2s }\npostgres { deadline = 900ms\n statement_timeout = 800ms\n lock_timeout = 700ms }\n" .
	"handler echo { kind = builtin builtin = echo }\nhandler fail { kind = builtin builtin = fail }\nwork { poll = 100ms }\n";
my $schema = temp_dir('schema') . '/strict.json';
write_file($schema, '{"type":"object","properties":{"n":{"type":"integer"}}}');
$config .= "handler strict { kind = builtin builtin = echo schema = \"$schema\" }\n";
my $a = Taskq->start(pg => $pg, config => $config);
my $b = Taskq->start(pg => $pg, config => "workers = 0\n$config", migrate => 0, proxy => $proxy); # its line can be cut
my %daemon = (a => $a, b => $b);

# --- how a row is told --------------------------------------------------------------------------------------------------

my $serial = 0;
sub key { return 'sem-' . ++$serial }
sub post { my ($where, $path, $body, @headers) = @_; return $daemon{$where}->post($path, $body, headers => \@headers) }
sub submit { my ($where, $key, $body, @headers) = @_; return post($where, '/v1/tasks', $body, 'Idempotency-Key' => $key, @headers) }
sub kept { my ($r) = @_; return join "\n", $r->status, map({ "$_: " . (defined $r->header($_) ? $r->header($_) : '') } qw(content-type location idempotency-expires)), $r->body }
sub stored { return $pg->psql('select count(*) from taskq.task') + 0 }

# An answer in a few words; a replay is one only when its bytes are those of the first answer.
sub words {
	my ($r, $first) = @_;
	my $outcome = $r->header('taskq-outcome');
	my $again = defined $r->header('retry-after') ? ', retry later' : '';
	if ($r->status == 202) {
		my $replayed = $r->header('idempotent-replayed');
		return 'first' if !defined $replayed;
		return $replayed ne 'true' ? "replay \"$replayed\"" : !$first || kept($r) eq kept($first) ? 'replay' : 'a replay of other bytes: ' . kept($r);
	}
	my $code = eval { $r->json->{code} } || '';
	$code .= ' of another task' if $code eq 'key_mismatch' && $r->json->{task_id} ne $first->json->{id};
	return join ' ', $r->status, $code . (defined $outcome ? ", outcome $outcome" : '') . $again;
}

# --- keys ------------------------------------------------------------------------------------------------------------------

my $echo = '{"task_type":"echo","delay":3600}';
my $long = 'x' x 251;
for my $row (
	# sent first        then                   what comes back, and how many tasks there are
	['plain',           'plain',               'first, replay, 1', 'a bare key'],
	['"quoted"',        'quoted',              'first, replay, 1', 'a structured string is the same key'],
	['"param";a=1',     'param',               'first, replay, 1', 'its parameters mean nothing'],
	['"a \\"b\\" \\\\"', '"a \\"b\\" \\\\"',   'first, replay, 1', 'escapes in it'],
	['with space',      '"with space"',        'first, replay, 1', 'a space inside'],
	['Case',            'case',                'first, first, 2',  'case matters'],
	["1234$long",       "\"1234$long\"",       'first, replay, 1', '255 characters'],
	['!#$%&\'*+-./:<=>?@[]^_`{|}~', '"!#$%&\'*+-./:<=>?@[]^_`{|}~"', 'first, replay, 1', 'every printable sign'],
	["12345$long",      '""',                  '400 invalid_key, 400 invalid_key, 0', 'neither longer nor empty'],
	["k\xc3\xa9",       "k\x01",               '400 invalid_key, 400 bad_request, 0', 'neither beyond ASCII nor a control character'],
	['"open',           '"k"tail',             '400 invalid_key, 400 invalid_key, 0', 'nor a string that does not end where the line does'],
	['"\\n"',           ' ',                   '400 invalid_key, 400 invalid_key, 0', 'nor any other escape, nor nothing'],
) {
	my ($one, $two, $want, $name) = @$row;
	my $before = stored();
	my $first = submit('a', $one, $echo);
	my $second = submit('b', $two, $echo);
	is(words($first) . ', ' . words($second, $first) . ', ' . (stored() - $before), $want, "key: $name");
}
is(words(post('a', '/v1/tasks', $echo)), '400 missing_key', 'key: none');
is(words(post('a', '/v1/tasks', $echo, 'Idempotency-Key' => 'x', 'Idempotency-Key' => 'x')), '400 invalid_key', 'key: two lines');
is(submit('a', ' "quoted" ', $echo)->header('idempotency-key'), '"quoted"', 'key: comes back as it was sent');
is(submit('a', 'quoted', $echo)->header('idempotency-key'), 'quoted', 'key: each time');
{
	my $r = submit('b', 'quoted', $echo);
	is(words(post('b', '/tasks', '{"task_type":"echo","payload":{}}', 'Idempotency-Key' => 'quoted')), '422 ', 'key: one space of names for both surfaces');
	my $list = $a->get('/v1/tasks?idempotency_key=quoted')->json->{items};
	is_deeply([map { $_->{id} } @$list], [$r->json->{id}], 'key: finds its task');
	is_deeply($a->get('/v1/tasks?idempotency_key=nobody')->json->{items}, [], 'key: or none');
}

# --- what is the same request ------------------------------------------------------------------------------------------------

sub body { my ($payload, $more) = @_; return qq({"task_type":"echo","delay":3600,"payload":{$payload}) . ($more || '') . '}' }
for my $row (
	[body('"a":1,"b":[1,2]'), qq( {\n"payload" : {"b":[ 1,\t2 ],"a":1} ,\r\n "delay":3600, "task_type":"echo" } ), 'replay', 'order of names and white space'],
	[body('"a":{"x":1,"y":{"p":1,"q":2}}'), body('"a":{"y":{"q":2,"p":1},"x":1}'), 'replay', 'order of names, deeper'],
	[body('"a":"\\u00e9\\/\\n"'), body("\"a\":\"\xc3\xa9/\\u000a\""), 'replay', 'how a string is spelt'],
	[body('', ',"max_attempts":5,"priority":0,"queue":"default"'), body(''), 'replay', 'defaults written out'],
	[body(''), '{"task_type":"echo","delay":3600}', 'replay', 'an empty payload'],
	[body('', ',"labels":{"a":"1","b":"2"}'), body('', ',"labels":{"b":"2","a":"1"}'), 'replay', 'order of labels'],
	[body('"n":1'), body('"n":1.0'), '422 key_mismatch', '1 is not 1.0'],
	[body('"n":1.0'), body('"n":1.00'), '422 key_mismatch', 'nor 1.0 1.00'],
	[body('"n":1e2'), body('"n":100'), '422 key_mismatch', 'nor 1e2 100'],
	[body('"n":9007199254740993'), body('"n":9007199254740992'), '422 key_mismatch', 'big integers are exact'],
	[body('"n":123456789012345678901234567890'), body('"n":123456789012345678901234567890'), 'replay', 'and as big as you like'],
	[body('"n":123456789012345678901234567890'), body('"n":123456789012345678901234567891'), '422 key_mismatch', 'to the last digit'],
	[body('"n":0'), body('"n":-0'), '422 key_mismatch', '0 is not -0'],
	[body('"n":null'), body(''), '422 key_mismatch', 'null is not nothing'],
	[body('"n":"1"'), body('"n":1'), '422 key_mismatch', 'a string is no number'],
	[body('"n":[1,2]'), body('"n":[2,1]'), '422 key_mismatch', 'order in a list matters'],
	[body(qq("n":"\xc3\xa9")), body(qq("n":"e\xcc\x81")), '422 key_mismatch', 'characters are not normalised'],
	[body(''), body('', ',"priority":1'), '422 key_mismatch', 'another priority'],
	[body(''), body('', ',"queue":"other"'), '422 key_mismatch', 'another queue'],
	[body(''), body('', ',"labels":{"a":"1"}'), '422 key_mismatch', 'another label'],
	[body(''), body('', ',"schema_version":"2"'), '422 key_mismatch', 'another schema version'],
	[body(''), body('', ',"trace_id":"t"'), '422 key_mismatch', 'another trace in the body'],
	[body(''), '{"task_type":"echo","delay":3601}', '422 key_mismatch', 'another delay'],
	[body(''), '{"task_type":"other","delay":3600}', '422 key_mismatch', 'another type'],
) {
	my ($one, $two, $want, $name) = @$row;
	my ($key, $before) = (key(), stored());
	my $first = submit('a', $key, $one);
	my @told = map { words(submit($_, $key, $two), $first) } qw(b a);
	is(join(', ', words($first), @told, words(submit('b', $key, $one), $first), stored() - $before), "first, $want, $want, replay, 1", "body: $name");
}
{
	my $key = key();
	my $first = submit('a', $key, $echo, traceparent => '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
	is(words(submit('b', $key, $echo, traceparent => '00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'), $first), 'replay', 'body: another trace in the header is the same request');
	my $told = submit('a', key(), body('', ',"schema_version":"v2","labels":{"team":"mail"},"trace_id":"trace-1"'))->json;
	for my $task ($told, $b->task($told)) {
		is_deeply([@$task{qw(schema_version trace_id labels)}], ['v2', 'trace-1', { team => 'mail' }], 'body: schema_version, trace_id and labels come back');
	}
}

# --- however far it has moved --------------------------------------------------------------------------------------------------

sub end { my ($task, $status) = @_; return $a->wait_status($task, qr/^$status$/) }
for my $row (
	['waiting',                    $echo,                                      sub { }],
	['succeeded',                  '{"task_type":"echo","payload":{"n":1}}',   sub { end($_[0], 'succeeded') }],
	['dead',                       '{"task_type":"fail","max_attempts":1}',    sub { end($_[0], 'dead_letter') }],
	['dead, and told to try again', '{"task_type":"fail","max_attempts":1}',   sub { end($_[0], 'dead_letter'); post('a', "/v1/tasks/$_[0]{id}/retry", '{"extra_attempts":2}') }],
	['cancelled',                  $echo,                                      sub { post('b', "/v1/tasks/$_[0]{id}/cancel", '') }],
) {
	my ($name, $body, $move) = @$row;
	my $key = key();
	my $first = submit('a', $key, $body);
	$move->($first->json);
	is(join(', ', map { words(submit($_, $key, $body), $first) } qw(a b)), 'replay, replay', "replay: of a task that is $name");
	is(words(submit('b', $key, '{"task_type":"else"}'), $first), '422 key_mismatch', "replay: not of another body of a task that is $name");
}
{
	my $key = key();
	my $waited = submit('a', $key, '{"task_type":"echo"}', Prefer => 'wait=20');
	my ($one, $two) = map { submit($_, $key, '{"task_type":"echo"}') } qw(a b);
	is(join(', ', $waited->status, $waited->json->{status}, words($one), words($two, $one), $one->json->{status}), '200, succeeded, replay, replay, pending',
		'replay: of one that was waited for is the plain answer');
	my $compat = post('a', '/tasks', '{"task_type":"echo","payload":{}}', 'Idempotency-Key' => key());
	is(words(post('b', '/tasks', '{"task_type":"echo","payload":{}}', 'Idempotency-Key' => $compat->header('idempotency-key')), $compat), 'replay',
		'replay: on the compatible surface');
}

# --- what leaves a key free ------------------------------------------------------------------------------------------------------

my $only = '{"task_type":"echo","delay":3600,"unique":{"key":"one","for":"live"}}';
submit('a', key(), $only);
for my $row (
	['409 not_unique',     $only],
	['422 invalid_payload', '{"task_type":"strict","payload":{"n":"1"}}'],
	['400 invalid_json',   '{"task_type":'],
	['400 missing_field',  '{}'],
	['400 invalid_field',  '{"task_type":"echo","priority":"high"}'],
	['400 unknown_field',  '{"task_type":"echo","typo":1}'],
	['400 duplicate_name', '{"task_type":"echo","task_type":"echo"}'],
	['413 body_too_large', '{"task_type":"echo","payload":{"x":"' . ('x' x 1_100_000) . '"}}'],
) {
	my ($want, $body) = @$row;
	my ($key, $before) = (key(), stored());
	is(join(', ', words(submit('a', $key, $body)), words(submit('b', $key, $echo)), stored() - $before), "$want, first, 1", "free: after $want");
}
my $gone = key();
{
	my $before = stored();
	$proxy->random(on => '.', p => 1, how => ['before'], seed => 1);
	is(words(submit('b', key(), $echo)), '503 unavailable, outcome unknown, retry later', 'free: the line is cut under a submission');
	wait_for(sub { words(submit('b', key(), $echo)) =~ /none/ }, 20, 'its connections to be gone');
	is(words(submit('b', $gone, $echo)), '503 unavailable, outcome none, retry later', 'free: then Postgres is away, and nothing was done');
	$proxy->pass;
	is(join(', ', words(submit('a', $gone, $echo)), stored() - $before), 'first, 1', 'free: after 503');
}

{
	my $c = $daemon{c} = Taskq->start(pg => $pg, config => "workers = 0\nlimits { rate = 1\n burst = 1 }\n$config", migrate => 0);
	my ($key, $before) = ('', stored());
	wait_for(sub { $before = stored(); words(submit('c', $key = key(), $echo)) =~ /^429/ }, 20, 'too many submissions');
	is(words(submit('c', $key, $echo)), '429 rate_limited, retry later', 'free: more than the rate allows');
	is(join(', ', words(submit('a', $key, $echo)), stored() - $before), 'first, 1', 'free: after 429');
	is($c->stop, 0, 'drained');
}

# --- a key in flight elsewhere -----------------------------------------------------------------------------------------------------

# The key's row as another transaction has just written it, which has not yet committed.
sub in_flight {
	my ($key) = @_;
	my $first = submit('a', $key, $echo);
	my $s = Taskq::Session->new($pg->conninfo);
	my $columns = 'digest, bucket, fp, task_id, surface, version, expires_at';
	$s->run("create temporary table held as select $columns from taskq.idem where task_id = '" . $first->json->{id} . "'");
	$s->run('delete from taskq.idem where digest in (select digest from held)');
	$s->run('begin');
	$s->run("insert into taskq.idem ($columns) select $columns from held");
	return ($first, $s);
}
{
	my $key = key();
	my ($first, $s) = in_flight($key);
	my $begin = now();
	is(words(submit('a', $key, $echo)), '409 key_in_use, retry later', 'in flight: the duplicate is told to come again');
	cmp_ok(now() - $begin, '>=', 0.3, 'in flight: after it has waited for a moment');
	is(words(submit('a', key(), $echo)), 'first', 'in flight: others are not held up');
	$s->run('rollback');
	my $again = wait_for(sub { my $r = submit('a', $key, $echo); $r->status == 202 && $r }, 20, 'the key');
	is(words($again), 'first', 'in flight: and if the other gave up, the key is free');
	isnt($again->json->{id}, $first->json->{id}, 'in flight: for a new task');
}
{
	my $key = key();
	my ($first, $s) = in_flight($key);
	my ($c, $other) = ($a->connect, Taskq::Session->new($pg->conninfo)); # it waits for less than a second
	$c->send_request('POST', '/v1/tasks', body => $echo, headers => { 'Idempotency-Key' => $key });
	my $waits = q{select count(*) from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'taskqd%'};
	wait_for(sub { $other->run($waits) > 0 }, 20, 'the duplicate to wait');
	$s->run('commit');
	is(words($c->response, $first), 'replay', 'in flight: if the other commits in time, the duplicate is a replay');
}

# --- every 5xx of a POST says what became of it --------------------------------------------------------------------------------------

{
	my ($key, $before) = (key(), stored());
	$proxy->rules(map { { on => $_, how => 'reply', times => 100 } } '\bsubmit\b', '\bidem_read\b');
	my $r = submit('b', $key, $echo);
	is(words($r), '503 unavailable, outcome unknown, retry later', 'outcome: it committed, and the answer was lost');
	$proxy->pass;
	is(join(', ', words(submit('a', $key, $echo)), stored() - $before), 'replay, 1', 'outcome: so the key has its task');
	my $task = submit('a', key(), $echo)->json;
	$proxy->rules({ on => '\bcancel_', how => 'reply', times => 100 }, { on => '\bget\b', how => 'before', times => 100, after => 1 });
	$r = post('b', "/v1/tasks/$task->{id}/cancel", '');
	is(words($r), '503 unavailable, outcome unknown, retry later', 'outcome: a cancel that was cut may have been done');
	is($a->task($task)->{status}, 'cancelled', 'outcome: and was');
	$proxy->random(on => '.', p => 1, how => ['before'], seed => 1);
	for my $row (["/v1/tasks/$task->{id}/cancel", 'cancel'], ["/v1/tasks/$task->{id}/retry", 'retry'], ["/tasks/$task->{id}/retry", 'compatible retry']) {
		is(words(post('b', $row->[0], '')), '503 unavailable, outcome none, retry later', "outcome: a $row->[1] that found nobody");
	}
	wait_for(sub { words(submit('b', key(), $echo)) =~ /none/ }, 20, 'its connections to be gone');
	is(words(post('b', '/tasks', '{"task_type":"echo","payload":{}}', 'Idempotency-Key' => key())), '503 unavailable, outcome none, retry later',
		'outcome: on the compatible surface');
	$proxy->pass;
	is(words($a->request('MOVE', '/v1/tasks', body => $echo)), '501 not_implemented, outcome none', 'outcome: of what the edge refuses');
	like($a->raw("POST /v1/tasks HTTP/3.0\r\nHost: x\r\n\r\n"), qr/^HTTP\/1.1 505 .*\r\nTaskq-Outcome: none\r\n/s, 'outcome: also of what it cannot read');
}

# --- how long a key lives -----------------------------------------------------------------------------------------------------------

{
	my $r = submit('a', key(), $echo);
	my ($life) = $pg->psql("select extract(epoch from i.expires_at - t.created_at)::int from taskq.idem i join taskq.task t on t.id = i.task_id where t.id = '" . $r->json->{id} . "'");
	is($life, 86400, 'life: a day, unless it is said otherwise');
	my $expires = $pg->psql("select to_char(i.expires_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from taskq.idem i where task_id = '" . $r->json->{id} . "'");
	is($r->header('idempotency-expires'), $expires =~ s/\s+\z//r, 'life: announced in the answer');
}
for my $row (['59s', 1], ['60s', 0], ['31d', 0], ['32d', 1]) {
	my $new = Taskq->new(pg => $pg, config => "keys { ttl = $row->[0] }");
	my ($status) = Taskq::Machine::slurp_command(command => [$new->program, '-c', $new->config_path, '-t']);
	is($status != 0 ? 1 : 0, $row->[1], "life: $row->[0] is " . ($row->[1] ? 'refused' : 'accepted'));
}

# --- what the database itself refuses ---------------------------------------------------------------------------------------------------

{
	$pg->psql('alter table taskq.task add constraint test_refuses check (octet_length(payload) <> 31) not valid');
	my ($key, $bad, $before) = (key(), '{"task_type":"echo","payload":{"x":"' . 'x' x 23 . '"}}', stored());
	my $r = submit('a', $key, $bad);
	is(words($r), '500 unstorable, outcome none', 'refused by the database: said once, and not to be repeated');
	ok(!$r->json->{retryable}, 'refused by the database: nothing to try again');
	my $bulk = post('a', '/v1/tasks/batch', "[$bad,$echo]" =~ s/\{"task_type"/{"idempotency_key":"$key-i","task_type"/r =~ s/,\{"task_type"/,{"idempotency_key":"$key-j","task_type"/r);
	is(join(' ', map { $_->{verdict} } @{ $bulk->json->{items} }), 'unstorable accepted', 'refused by the database: its neighbour is not');
	is(stored(), $before + 1, 'refused by the database: one stored');
	$pg->psql('alter table taskq.task drop constraint test_refuses');
	is(words(submit('a', $key, $bad)), 'first', 'refused by the database: the key was left free');
}

# --- each problem has its page --------------------------------------------------------------------------------------------------------

for my $r (submit('a', '""', $echo), submit('a', key(), '{}'), $a->get('/v1/tasks/nothing'), post('a', '/v1/tasks', $echo)) {
	my $page = $a->get($r->json->{type});
	is(join(', ', $page->status, $page->header('content-type'), $page->body =~ /^\Q@{[$r->json->{code}]}\E \(\d+ / ? 'told' : $page->body), '200, text/plain; charset=utf-8, told',
		"problem: " . $r->json->{type});
}
is($a->get('/problems/none-such')->status, 404, 'problem: or none');

is($_->stop, 0, 'drained') for $b, $a;
done_testing;
