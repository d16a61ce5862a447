#!/usr/bin/perl
# Dead letters: filed under their causes, listed by filter and cursor, shown whole, summed up, counted, and deleted when they are resolved and old.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir wait_for write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/dies", "#!/bin/sh\nprintf 'first line\\nno disk /dev/sd%s left\\n' \$\$ >&2\nexit 65\n");
chmod 0755, "$dir/dies";
my $t = Taskq->start(config => <<"CONF");
handler dies { command = {"$dir/dies"} }
handler fail { kind = builtin
 builtin = fail
 retry_base = 10ms
 retry_cap = 10ms }
work { poll = 100ms }
dead { keep = 5min }
CONF
sub sql { return Taskq->pg->psql($_[0]) }
sub list { my ($query) = @_; return $t->get("/v1/dead$query")->json }
sub ids { return [map { $_->{id} } @{ $_[0]{items} }] }
sub filed { my ($n) = @_; return wait_for(sub { sql('select count(*) from taskq.dead where cause is not null') == $n }, 30, "$n letters to be filed") }

is_deeply(list(''), { items => [], next_cursor => undef }, 'no letters yet');
my $none = $t->get('/v1/dead/summary')->json;
is($none->{open}, 0, 'a summary of nothing');
is_deeply($none->{causes}, [], 'has no causes');

# One with everything.
my $task = $t->wait_final($t->submit('dies', { a => 1 }, queue => 'disks', schema_version => '7', trace_id => 'tr-1',
	labels => { site => 'north' }, priority => 5, group => 'g'));
is($task->{status}, 'dead_letter', 'a task dies');
filed(1);
my $letter = $t->get("/v1/dead/$task->{id}")->json;
is_deeply([@$letter{qw(id queue task_type reason error_class error_code exit signal schema_version trace_id priority group resolution)}],
	[$task->{id}, 'disks', 'dies', 'NON_RETRYABLE', 'NON_RETRYABLE', 'EX_DATAERR', 65, undef, '7', 'tr-1', 5, 'g', 'open'], 'its letter')
	or diag explain $letter;
is_deeply($letter->{payload}, { a => 1 }, 'with the payload');
is_deeply($letter->{labels}, { site => 'north' }, 'and the labels');
like($letter->{stderr}, qr{\Afirst line\nno disk /dev/sd\d+ left\z}, 'and the end of what it wrote');
is(scalar @{ $letter->{history} }, 1, 'one attempt');
my $attempt = $letter->{history}[0];
is_deeply([@$attempt{qw(run outcome exit error_code stderr)}], [1, 'dead_letter', 65, 'EX_DATAERR', $letter->{stderr}], 'tells how it ended');
ok($attempt->{node} && $attempt->{worker} > 0 && $attempt->{started_at} le $attempt->{ended_at}, 'where and when') or diag explain $attempt;
is($letter->{first_seen}, $letter->{died_at}, 'the first of its cause');

# Alike but for a number: one cause.  Others: others.
my @alike = map { $t->wait_final($t->submit('dies', {}, queue => 'disks', schema_version => '7', labels => { site => "s$_" })) } 1 .. 3;
my @other = map { $t->wait_final($t->submit('fail', { message => "row $_ of 17 is bad" }, max_attempts => 2)) } 1 .. 3;
filed(7);
is(sql('select count(*) from taskq.cause'), 2, 'seven letters, two causes');
is($t->get("/v1/dead/$alike[2]{id}")->json->{fingerprint}, $letter->{fingerprint}, 'of the same fingerprint');
my $exhausted = $t->get("/v1/dead/$other[0]{id}")->json;
is($exhausted->{reason}, 'RETRY_EXHAUSTED', 'the others used up their attempts');
is_deeply([map { $_->{outcome} } @{ $exhausted->{history} }], ['retry', 'dead_letter'], 'both are kept');
sql("delete from taskq.tried where id = '$other[0]{id}'");
is(scalar @{ $t->get("/v1/dead/$other[0]{id}")->json->{history} }, 2, 'with the letter, whatever becomes of their rows');

# Pages.
my $all = list('?limit=1000');
is(scalar @{ $all->{items} }, 7, 'all of them in a page');
is_deeply([map { $_->{died_at} } @{ $all->{items} }], [reverse sort map { $_->{died_at} } @{ $all->{items} }], 'newest first');
my ($cursor, @walked) = ('');
for (1 .. 8) {
	my $page = list("?limit=2$cursor");
	push @walked, @{ ids($page) };
	last if !defined $page->{next_cursor};
	$cursor = "&cursor=$page->{next_cursor}";
}
is_deeply(\@walked, ids($all), 'the same page by page');

# Filters.
my %expect = ('queue=disks' => 4, 'task_type=fail' => 3, 'reason=RETRY_EXHAUSTED' => 3, 'class=NON_RETRYABLE' => 4, 'code=EX_DATAERR' => 4,
	"fingerprint=$letter->{fingerprint}" => 4, "cause=$letter->{cause}" => 4, 'schema_version=7' => 4, 'schema_version=' => 3,
	'label=site=north' => 1, 'label=site=x' => 0, 'label=other=north' => 0, "died_after=$letter->{died_at}" => 7,
	"died_before=$letter->{died_at}" => 0, "ids=$task->{id},$other[1]{id}" => 2, "ids=$task->{id},$other[1]{id}&queue=disks" => 1,
	'queue=nowhere' => 0, 'queue=disks&task_type=fail' => 0, 'queue=disks&label=site=s2' => 1);
is(scalar @{ list("?$_")->{items} }, $expect{$_}, "?$_") for sort keys %expect;
for (['reason=ODD', 422, 'invalid_filter'], ['class=x', 422, 'invalid_filter'], ['code=lower', 422, 'invalid_filter'],
	['fingerprint=x', 422, 'invalid_filter'], ['cause=0', 422, 'invalid_filter'], ['label=x', 422, 'invalid_filter'],
	['died_after=yesterday', 422, 'invalid_filter'], ['queue=a&queue=b', 422, 'invalid_filter'], ['ids=x', 422, 'invalid_filter'],
	['died_after=2026-01-02T00:00:00Z&died_before=2026-01-01T00:00:00Z', 422, 'invalid_filter'],
	['limit=0', 400, 'invalid_parameter'], ['cursor=1', 400, 'invalid_parameter'], ['x=1', 400, 'unknown_parameter'],
	['limit=1&limit=1', 400, 'repeated_parameter']) {
	my ($query, $status, $code) = @$_;
	my $r = $t->get("/v1/dead?$query");
	is($r->status . ' ' . $r->json->{code}, "$status $code", "refused: $query");
}
is($t->get('/v1/dead/01a2034b-17b1-7255-8000-000300000000')->status, 404, 'no such letter');
is($t->get('/v1/dead/summary?label=a=b')->status, 422, 'a summary is not of labels');

# A label that rarely fits: a look is bounded, and goes on.
my $lane = sql("select lane from taskq.dead where id = '$task->{id}'");
sql("insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, created_at,
	died_at, payload, cause, history, labels) select gen_random_uuid(), 1, 1, $lane, 0, 1, 1, 0, 1, 'NON_RETRYABLE', 3, 'EX_DATAERR', 'x', now(),
	now() - g * interval '1 second', '{}', $letter->{cause}, '[]', case g when 2900 then '{\"site\": \"far\"}'::jsonb end
	from generate_series(1, 3000) g; update taskq.cause set open = open + 3000, filed = filed + 3000 where id = $letter->{cause}");
my ($found, $pages) = (0, 0);
$cursor = '';
while ($pages < 20) {
	my $page = list("?label=site=far$cursor");
	$pages++;
	$found += @{ $page->{items} };
	last if !defined $page->{next_cursor};
	$cursor = "&cursor=$page->{next_cursor}";
}
is($found, 1, 'it is found');
cmp_ok($pages, '>', 1, 'and a short page has a next one');
sql("delete from taskq.dead where history = '[]'; update taskq.cause set open = open - 3000, filed = filed - 3000 where id = $letter->{cause}");

# Summary.
my $sum = $t->get('/v1/dead/summary')->json;
is_deeply([@$sum{qw(open retry_exhausted non_retryable causes_known)}], [7, 3, 4, 2], 'the summary counts') or diag explain $sum;
is($sum->{non_retryable_share}, '0.571', 'their share');
is_deeply([map { "$_->{name} $_->{open}" } @{ $sum->{queues} }], ['disks 4', 'default 3'], 'by queue');
is_deeply([map { "$_->{name} $_->{open}" } @{ $sum->{codes} }[0]], ['EX_DATAERR 4'], 'by code');
is_deeply([map { "$_->{name} $_->{open}" } @{ $sum->{fingerprints} }[0]], ["$letter->{fingerprint} 4"], 'by fingerprint');
is($sum->{oldest_at}, $letter->{died_at}, 'the oldest');
like($sum->{causes}[1]{message}, qr/^row \d of 17 is bad/, 'a cause has a sample');
cmp_ok($sum->{last_hour}, '>=', 6, 'of the last hour') or diag explain $sum;

# Resolved: it leaves the lists, the counts, and at last the table.
is($t->post("/v1/tasks/$task->{id}/retry", { by => 'anna', why => 'new disk' })->status, 200, 'one is run again');
$sum = $t->get('/v1/dead/summary?queue=disks')->json;
ok($sum->{open} <= 4, 'the count follows');
wait_for(sub { sql("select count(*) from taskq.dead where id = '$task->{id}' and cause is not null") == 2 }, 30, 'its second death');
is(sql("select resolution || by || why from taskq.dead where id = '$task->{id}' and resolution is not null"), '1annanew disk', 'who did it stands there');
is($t->get('/v1/dead/summary?queue=disks')->json->{open}, 4, 'dead again: counted once');
is(scalar @{ list('?queue=disks')->{items} }, 4, 'and listed once');
wait_for(sub { sql('select count(*) from taskq.cause_delta') == 0 }, 30, 'what was taken out to be folded in');
is(sql("select filed || ' ' || open from taskq.cause where id = $letter->{cause}"), '5 4', 'with the same sums');
wait_for(sub { ($t->metric('taskq_dead_letters', queue => 'disks') // 0) == 4 }, 30, 'the gauge');
wait_for(sub { ($t->metric('taskq_dead_letters_resolved_total') // 0) == 1 }, 30, 'the count of resolved ones');
is($t->metric('taskq_dead_letters_filed_total'), 8, 'all were filed');
is($t->metric('taskq_dead_letters_unfiled'), 0, 'and none waits');
cmp_ok($t->metric('taskq_dead_letters_oldest_timestamp_seconds', queue => 'default'), '>', 1.6e9, 'the oldest has a time');
sql("insert into taskq.sweep (token, fp, act, state, filter, asked, by, why, ended_at) select age::text, '', 2, 3, '{}', '{}', 'anna', 'old', now() - age
	from unnest('{1 day, 2 days}'::interval[]) age");
sql("update taskq.dead set resolved_at = now() - interval '2 h' where resolution is not null");
wait_for(sub { sql("select count(*) from taskq.dead where resolution is not null") == 0 }, 90, 'an old resolved letter to go');
wait_for(sub { sql('select count(*) from taskq.sweep') < 2 }, 90, 'an old sweep to go');
is(sql('select token from taskq.sweep'), '1 day', 'one of whose letters some may be left stays');
is(sql('select count(*) from taskq.dead'), 7, 'open ones stay');

# However many kinds of failures a handler makes up, there are so many causes.
sql("insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, created_at, payload)
	select gen_random_uuid(), 1, 1, $lane, 0, 1, 1, 0, 1, 'NON_RETRYABLE', 3, 'C' || g, 'x', now(), '{}' from generate_series(1, 700) g");
filed(707);
is(sql('select count(*) from taskq.cause'), 500 + 1 + 1, 'causes are bounded');
is(sql("select open from taskq.cause where fingerprint = 'ffffffff-ffff-ffff-ffff-ffffffffffff'"), 201, 'the rest has one');
is(sql('select sum(open) from taskq.cause'), sql('select count(*) from taskq.dead where resolution is null'), 'nothing is lost');

is($t->stop, 0, 'taskqd drained');
done_testing;
