#!/usr/bin/perl
# Dead letters as lines: exported whole, imported elsewhere, replayed there.  A cut export is recognised, a broken line stops nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Taskq;
use Taskq::Machine qw(temp_dir wait_for write_file);
use Taskq::Postgres;
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/dies", "#!/bin/sh\ncat >/dev/null\ntest -e $dir/works && exit 0\necho 'no disk' >&2\nexit 65\n");
chmod 0755, "$dir/dies";
my $config = <<"CONF";
handler dies { command = {"$dir/dies"} }
handler fail { kind = builtin
 builtin = fail
 retry_base = 10ms
 retry_cap = 10ms }
work { poll = 100ms }
CONF
my $json = JSON::PP->new->utf8->canonical;
my $t = Taskq->start(config => $config);
my $pg2 = Taskq::Postgres->new(fsync => 0);
my $u = Taskq->start(config => $config, pg => $pg2);
sub export { my ($from, $query) = @_; return $from->get('/v1/dead/export' . ($query || '')) }
sub lines { my ($r) = @_; return map { $json->decode($_) } split /\n/, $r->body }
sub import_into {
	my ($to, $body, %o) = @_;
	return $to->connect->request('POST', '/v1/dead/import?' . (defined $o{query} ? $o{query} : 'by=ann&why=a+move'), body => $body,
		headers => { 'Content-Type' => $o{type} || 'application/x-ndjson' });
}
sub filed { my ($pg, $n) = @_; wait_for(sub { $pg->psql('select count(*) from taskq.dead where cause is not null') == $n }, 30, "$n letters to be filed") }

# nothing
is_deeply([lines(export($t))], [{ end => JSON::PP::true, letters => 0 }], 'an export of nothing is whole');

# letters
my $payload = qq({"b": [1,\n 2.50], "a": "\\u00e9 \xc3\xa9", "n": 123456789012345678901234567890});
my $made = $t->request('POST', '/v1/tasks', body => qq({"task_type":"dies","queue":"disks","payload":$payload,"priority":7,"group":"g","ordering_key":"k",)
	. qq("max_attempts":4,"schema_version":"3","trace_id":"tr","labels":{"site":"north"},"expires_in":3600}),
	headers => { 'Content-Type' => 'application/json', 'Idempotency-Key' => 'one' })->json;
my $failed = $t->submit('fail', { message => 'row 1' }, max_attempts => 2)->{id};
$t->wait_final($_) for $made->{id}, $failed;
filed(Taskq->pg, 2);
# more of them than a page holds
my $fresh = 0;
sub fresh_id { return sprintf '%s%012x', substr($made->{id}, 0, 24), 0xf0000 + $fresh++ }
my ($model) = grep { ($_->{id} || '') eq $failed } lines(export($t));
my $copies = import_into($t, join '', map { $json->encode({ %$model, id => fresh_id(), message => "row $_" }) . "\n" } 1 .. 249)->json;
is($copies->{imported}, 249, 'letters can be written by hand') or diag explain $copies;
my @ids = ($made->{id}, $failed, map { $_->{id} } @{ $copies->{items} });
filed(Taskq->pg, 251);
my $answer = export($t);
is($answer->status . ' ' . $answer->header('content-type'), '200 application/x-ndjson', 'an export');
my @out = lines($answer);
my $end = pop @out;
is_deeply($end, { end => JSON::PP::true, letters => 251 }, 'its last line tells how many');
is_deeply([sort map { $_->{id} } @out], [sort @ids], 'each letter once, over several pages');
my ($one) = grep { $_->{id} eq $made->{id} } @out;
is($one->{payload_text}, do { my $text = $payload; utf8::decode($text); $text }, 'a payload with line ends is there byte for byte');
my $shown = $t->get("/v1/dead/$made->{id}")->json;
delete $one->{payload_text};
is_deeply($one, $shown, 'else a line is what GET of the letter shows');
is(scalar(lines(export($t, '?queue=disks'))), 2, 'with a filter');
is(export($t, '?queu=disks')->status, 400, 'a wrong word is refused');
is(export($t, '?reason=NONE')->status, 422, 'a wrong value too');

# elsewhere
is(import_into($u, '', query => 'by=ann')->json->{code}, 'missing_field', 'an import says why');
my $in = import_into($u, $answer->body);
my $r = $in->json;
is_deeply([@$r{qw(lines imported exists invalid failed)}], [251, 251, 0, 0, 0], 'imported') or diag substr $in->body, 0, 800;
ok($r->{whole}, 'and whole');
filed($pg2, 251);
my $there = $u->get("/v1/dead/$made->{id}")->json;
my @same = qw(id queue task_type reason error_class error_code message exit signal http_status stderr schema_version trace_id labels run attempts max_attempts
	crashes created_at died_at group ordering_key priority payload fingerprint expires_at);
is_deeply({ map { $_ => $there->{$_} } @same }, { map { $_ => $shown->{$_} } @same }, 'a letter there is what it was here');
sub attempts { return [map { my %a = %$_; delete $a{worker}; \%a } @{ $_[0]{history} }] }
is_deeply(attempts($there), attempts($shown), 'with its attempts');
is($pg2->psql("select convert_from(payload, 'UTF8') from taskq.task where id = '$made->{id}'"), do { my $text = $payload; $text }, 'and its payload byte for byte');
is($pg2->psql('select sum(open) from taskq.cause'), 251, 'its causes count it');
is($pg2->psql("select sum(n) || ' ' || min(by) || ' ' || min(why) from taskq.audit where act = 'import'"), '251 ann a move', 'the audit tells of all');
is($u->task($made->{id})->{status}, 'dead_letter', 'it is a task there');
my @again = lines(export($u));
pop @again;
is_deeply([sort map { $_->{id} } @again], [sort @ids], 'which can be exported again');

$r = import_into($u, $answer->body)->json;
is_deeply([@$r{qw(imported exists invalid)}], [0, 251, 0], 'a second time nothing happens');
is($pg2->psql("select count(*) from taskq.audit where act = 'import' and n = 0"), 0, 'and nothing is told of it');
my ($line) = split /\n/, $answer->body;
$r = import_into($u, $line)->json;
ok(!$r->{whole}, 'without the last line it may have been cut');
like($r->{detail}, qr/may have been cut/, 'which is told');

# replayed there
write_file("$dir/works", '');
is($u->post("/v1/tasks/$made->{id}/retry")->status, 200, 'it can be retried there');
is($u->wait_final($made->{id})->{status}, 'succeeded', 'and runs');
is($u->post('/v1/dead/discards', { filter => { task_type => 'fail' }, by => 'bob', why => 'old' })->status =~ /^20[012]$/ ? 1 : 0, 1, 'others are discarded');

# lines that are none
sub letter { my (%with) = @_; my %l = (%$one, id => $ids[1], %with); delete $l{$_} for grep { !defined $with{$_} } keys %with; return $json->encode(\%l) . "\n" }
my @bad = (
	["{\"id\":\n", 'invalid_json', undef, 'cut JSON'],
	["[1]\n", 'invalid_field', '#', 'no object'],
	[letter(id => 'x'), 'invalid_field', '#/id', 'no id'],
	[letter(id => undef), 'missing_field', '#/id', 'none'],
	[letter(payload => undef), 'missing_field', '#/payload', 'no payload'],
	[letter(reason => 'BORED'), 'invalid_field', '#/reason', 'an unknown reason'],
	[letter(died_at => 'today'), 'invalid_field', '#/died_at', 'no time'],
	[letter(run => -1), 'invalid_field', '#/run', 'no number'],
	[letter(queue => 'a b'), 'invalid_field', '#/queue', 'no queue'],
	[letter(error_code => "A\0B"), 'invalid_field', '#/error_code', 'a NUL'],
	[letter(labels => { a => 1 }), 'invalid_field', '#/labels/a', 'no label'],
	[letter(histry => []), 'unknown_field', '#/histry', 'an unknown member'],
	[letter(history => [{ run => 1, outcome => 'bored', ended_at => $one->{died_at} }]), 'invalid_field', '#/history/0/outcome', 'no outcome'],
	[letter(signal => 'SIGNOT'), 'invalid_field', '#/signal', 'no signal'],
);
my ($first, $last) = (fresh_id(), fresh_id());
$r = import_into($u, letter(id => $first) . join('', map { $_->[0] } @bad) . letter(id => $last))->json;
is_deeply([@$r{qw(lines imported invalid)}], [@bad + 2, 2, scalar @bad], 'broken lines stop nothing before or after them') or diag explain $r;
my %of = map { $_->{line} => $_ } @{ $r->{items} };
for my $i (0 .. $#bad) {
	my ($e, $want) = ($of{ $i + 2 }{error}, $bad[$i]);
	is($e->{code}, $want->[1], "$want->[3]: $want->[1]") or diag explain $of{ $i + 2 };
	is($e->{pointer}, $want->[2], "at $want->[2]") if defined $want->[2];
	like($e->{detail}, qr/\S/, 'in words');
}
is_deeply([$of{1}{id}, $of{ @bad + 2 }{id}], [$first, $last], 'both are there');

# an id of a day that has no place here
my $old = '01700000-0000-7001-8001-000000000001';
$r = import_into($u, letter(id => $old))->json;
is($r->{items}[0]{verdict} . ' ' . ($r->{items}[0]{was} || ''), "imported $old", 'a very old letter gets another id, and the old one is told') or diag explain $r;
is($u->get("/v1/dead/$r->{items}[0]{id}")->status, 200, 'under which it is found');
is(import_into($u, letter(id => $old))->json->{exists}, 1, 'a second time it is known');

# a body that is cut
my $c = $u->connect;
my $third = fresh_id();
my $body = letter(id => $third) . substr letter(id => fresh_id()), 0, 100;
$c->write("POST /v1/dead/import?by=a&why=b HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n$body");
$c->finish;
my $cut = $c->response;
is($cut->status, 400, 'a body that ends early is refused');
is($cut->json->{imported}, 1, 'with the verdict of what was whole') or diag $cut->body;
is($u->get("/v1/dead/$third")->status, 200, 'which is there');
done_testing;
