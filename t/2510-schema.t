#!/usr/bin/perl
# A handler names a JSON Schema: what does not fit is refused with its place and nothing is stored; what is stored already and does not fit is dead
# before it starts; and what was accepted before the schema came keeps its answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Test::More;

my $dir = temp_dir('schema');
my $file = "$dir/charge.json";
my $strict = <<'JSON';
{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {
		"amount": { "$ref": "#/$defs/cents" },
		"to/from": { "type": "array", "items": { "type": "string", "maxLength": 3 } }
	},
	"required": ["amount"],
	"additionalProperties": false,
	"$defs": { "cents": { "type": "integer", "minimum": 1, "maximum": 9007199254740992 } }
}
JSON
my $open = 'handler charge { kind = builtin builtin = echo }' . "\n" . 'handler free { kind = builtin builtin = echo }';
my $closed = "handler charge { kind = builtin builtin = echo schema = \"$file\" }\nhandler free { kind = builtin builtin = echo }";
write_file($file, $strict);

my $t = Taskq->start(config => $closed);

sub submit {
	my ($key, $body, $path) = @_;
	return $t->post($path || '/v1/tasks', $body, headers => { 'Idempotency-Key' => $key });
}
sub stored { return Taskq->pg->psql('select (select count(*) from taskq.task) || \' \' || (select count(*) from taskq.idem)') }

# Another generation serves with that configuration, and the earlier one, which takes requests until it hears of it, has gone.
sub reload {
	my ($text) = @_;
	my $from = () = $t->log_lines;
	$t->hup($text);
	my $line = $t->log_wait(qr/the new generation serves|the old configuration stays/, 20, from => $from);
	$t->log_wait(qr/generation has ended/, 20, from => $from) if $line =~ /serves/;
	return $line;
}

# [what, payload, pointer, detail, loc of the compatible surface]
my @wrong = (
	['a wrong type', '{"amount":"7"}', '#/payload/amount', 'expected integer, got string', ['amount']],
	['a fraction', '{"amount":1.5}', '#/payload/amount', 'expected integer, got 1.5', ['amount']],
	['too much by one', '{"amount":9007199254740993}', '#/payload/amount',
		'expected at most 9007199254740992, got 9007199254740993', ['amount']],
	['a member too few', '{}', '#/payload/amount', 'expected a member of this name, got none', ['amount']],
	['a member too many', '{"amount":1,"x":2}', '#/payload/x', 'expected nothing here, got 2', ['x']],
	['an item', '{"amount":1,"to/from":["abc","abcd"]}', '#/payload/to~1from/1', 'expected at most 3 characters, got 4', ['to/from', 1]],
);
for my $case (@wrong) {
	my ($what, $payload, $pointer, $detail, $loc) = @$case;
	subtest $what => sub {
		my $before = stored();
		my $r = submit('wrong', qq({"task_type":"charge","payload":$payload}));
		is($r->status, 422, 'refused');
		is($r->header('content-type'), 'application/problem+json', 'as a problem');
		my $p = $r->json;
		is($p->{code}, 'invalid_payload', 'code');
		is($p->{errors}[0]{pointer}, $pointer, 'place');
		is($p->{detail}, qq(schema of handler "charge": $detail), 'detail');
		ok(!$p->{retryable}, 'not to be sent again');
		$r = submit('wrong', qq({"task_type":"charge","payload":$payload}), '/tasks');
		is($r->status, 422, 'and on the compatible surface');
		my $e = $r->json->{detail}[0];
		is_deeply($e->{loc}, ['body', 'payload', @$loc], 'place');
		is($e->{msg}, qq(schema of handler "charge": $detail), 'words');
		is($e->{type}, 'value_error', 'type');
		is(stored(), $before, 'nothing is stored, no key is used up');
	};
}

subtest 'what fits' => sub {
	my $r = submit('wrong', '{"task_type":"charge","payload":{"amount":1e2,"to/from":["\ud83d\ude00\u00e9x"]}}');
	is($r->status, 202, 'under a key that was refused');
	is($t->wait_final($r->json)->{status}, 'succeeded', 'runs');
	is(submit('free', '{"task_type":"free","payload":{"x":[]}}')->status, 202, 'other handlers take anything');
	is(submit('nobody', '{"task_type":"nobody","payload":{"x":[]}}')->status, 202, 'and so does no handler');
	is(submit('no payload', '{"task_type":"charge"}')->status, 422, 'a payload that is left out is {}');
};

subtest 'what was accepted before the schema' => sub {
	like(reload("$open\nwork { slots = 1 }\n"), qr/serves/, 'without a schema');
	my ($old, $late) = ('{"task_type":"charge","payload":{"amount":0}}', '{"task_type":"charge","payload":{"amount":-1},"delay":3600}');
	my $first = submit('old', $old);
	is($first->status, 202, 'accepted');
	is($t->wait_final($first->json)->{status}, 'succeeded', 'and done');
	my $waits = submit('late', $late);
	is($waits->status, 202, 'another one waits');

	like(reload($closed), qr/serves/, 'with the schema');
	for (1 .. 2) {
		my $again = submit('old', $old);
		is($again->status, 202, 'its repetition is answered');
		is($again->body, $first->body, 'with the same bytes');
		is($again->header('idempotent-replayed'), 'true', 'as a replay');
	}
	my $r = submit('old', '{"task_type":"charge","payload":{"amount":-5}}');
	is($r->status, 422, 'another body');
	is($r->json->{code}, 'key_mismatch', 'is one for its key first');
	is(submit('new', $old)->json->{code}, 'invalid_payload', 'and under a new key it does not fit');

	my $id = $waits->json->{id};
	Taskq->pg->psql("update taskq.waiting set due_at = now() where id = '$id'");
	my $dead = $t->wait_final($id);
	is($dead->{status}, 'dead_letter', 'what waited is dead');
	is($dead->{error_code}, 'INVALID_PAYLOAD', 'by its code');
	is($dead->{error_class}, 'NON_RETRYABLE', 'class');
	is($dead->{last_error}, 'payload does not fit the schema of its handler: /payload/amount: expected at least 1, got -1', 'in words');
	is($dead->{attempts}, 1, 'it cost its attempt');
	is(Taskq->pg->psql("select reason from taskq.dead where id = '$id'"), 'INVALID_PAYLOAD', 'and is found under that reason');

	like(reload($open), qr/serves/, 'without a schema');
	is($t->post("/v1/tasks/$id/retry", '')->status, 200, 'a retry by hand');
	is($t->wait_final($id)->{status}, 'succeeded', 'succeeds then');
};

subtest 'the schema belongs to the configuration' => sub {
	like(reload($closed), qr/serves/, 'with the schema');
	write_file($file, '{"type":"object","properties":{"a":{"pattern":"^x"}}}');
	like(reload($closed), qr/the old configuration stays/, 'a reload refuses what is not supported');
	ok((grep { m{\Q$file\E.*at \\*"/properties/a/pattern\\*": not supported, expected only} } $t->log_lines), 'and says what and where');
	$t->kill9('acceptor', 0);
	my $r;
	wait_for(sub { $r = eval { submit('after', '{"task_type":"charge","payload":{"amount":0}}') }; $r && $r->status == 422 }, 20, 'the next acceptor');
	is($r->json->{errors}[0]{pointer}, '#/payload/amount', 'a process that starts later has the old one');

	my ($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '-t']);
	is($status, 78, 'taskqd -t refuses it too');
	like($text, qr{^\S+taskq\.conf:\d+: handler "charge": schema: "\Q$file\E" is not a schema that taskqd knows: at "/properties/a/pattern": not supported},
		'with file and line');
	unlink $file;
	($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '-t']);
	is($status, 78, 'a file that is gone');
	like($text, qr/could not open "\Q$file\E": No such file/, 'is said');
	like(reload($closed), qr/the old configuration stays/, 'and changes nothing');
	is(submit('gone', '{"task_type":"charge","payload":{"amount":0}}')->status, 422, 'the old one holds');

	write_file($file, $strict);
	$t->configure("handler charge { kind = builtin builtin = echo schema = \"charge.json\" }");
	($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '-t']);
	like($text, qr/"charge\.json" is not an absolute path/, 'the path is absolute');
	$t->configure($closed);
	($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '--print-config']);
	like($text, qr/schema = "?\Q$file\E/, '--print-config names it');
	($status, $text) = slurp_command(command => [$t->program, '-c', write_file("$dir/again.conf", $text), '-t']);
	is($status, 0, 'and what it prints can be read') or diag($text);
};

subtest 'the example' => sub {
	my $srcdir = Taskq::Machine::srcdir();
	my ($status, $text) = slurp_command(command => [$t->program, '-t', '-c',
		write_file("$dir/example.conf", "handler sha256 { command = \"$srcdir/examples/sha256\" schema = \"$srcdir/examples/sha256.schema.json\" }\n")]);
	is($status, 0, 'is a schema') or diag($text);
};

is($t->stop, 0, 'taskqd drained');
done_testing;
