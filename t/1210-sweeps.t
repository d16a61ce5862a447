#!/usr/bin/perl
# Replays and discards of many letters, statement by statement: which letters a step takes, what it waits for, how it ends; and that each
# letter is taken once whatever else goes on, in every order of the statements.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Interleave;
use Taskq::Statement;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('sweeps');
my $run = Taskq::Interleave->new($pg->conninfo(db => $db));
my $s = $run->{sessions}[0];

# Twelve letters: 0-5 of task type a, 6-9 of b, 10 and 11 of version 2 of a.  Causes 1, 2, 3.
my $base = $pg->psql("select taskq.at(taskq.floor(now() - interval '1 h'), 0)", db => $db);
chomp $base;
my $zero = '00000000-0000-0000-0000-000000000000';
sub id { return "taskq.at('$base'::uuid, $_[0])" }
$pg->psql(<<'SQL', db => $db);
insert into taskq.queue (name) values ('q');
insert into taskq.kind (name) values ('a'), ('b');
insert into taskq.lane (queue_id, kind_id) values (1, 1), (1, 2);
SQL
my $fresh = join '; ', map({ "delete from taskq.$_" } qw(done tried task ready lease waiting dead amend worker sweep swept cause cause_delta block pause)),
    "insert into taskq.task select taskq.at('$base', n), 1, case when n between 6 and 9 then 2 else 1 end, 0, 5, now(), null, null, '{}' from generate_series(0, 11) n",
    "insert into taskq.cause (id, queue_id, kind_id, reason, class, code, fingerprint, schema_version, sample, first_at, last_at, filed, open)
	overriding system value values
	(1, 1, 1, 'RETRY_EXHAUSTED', 1, 'C', '$zero', '', 's', now(), now(), 6, 6), (2, 1, 2, 'RETRY_EXHAUSTED', 1, 'C', '$zero', '', 's', now(), now(), 4, 4),
	(3, 1, 1, 'NON_RETRYABLE', 2, 'D', '$zero', '2', 's', now(), now(), 2, 2)",
    "insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, died_at, payload, labels, cause, history)
	select taskq.at('$base', n), 100, 1, case when n between 6 and 9 then 2 else 1 end, 0, 5, 5, 0, 5, 'X', now(), now() - interval '1 min' + n * interval '1 s', '{}',
		jsonb_build_object('even', (n % 2 = 0)::text), case when n < 6 then 1 when n < 10 then 2 else 3 end, '[]' from generate_series(0, 11) n";

sub ask { my ($sql) = @_; my $answer = $pg->psql($sql, db => $db, ordinary => 1); $answer =~ s/\s+\z//; return $answer }
sub do_it { my ($sql) = @_; my $answer = $s->run($sql); die "$sql: $answer" if $answer =~ /ERROR/; $answer =~ s/\s+\z//; return $answer }

# A sweep of the filter; more columns of it as pairs.
my $sweeps = 0;
sub sweep {
	my ($filter, %column) = @_;
	my %all = (token => "'t" . ++$sweeps . "'", fp => "''", act => 1, filter => "'$filter'", asked => "'{}'", by => "'me'", why => "'so'", rate => 0, %column);
	my @names = sort keys %all;
	return "insert into taskq.sweep (id, @{[join ', ', @names]}) overriding system value values ($sweeps, @{[join ', ', @all{@names}]})";
}
my $rid = 1000;
our $most = 500;
sub step { my ($kinds, $rooms) = @_; return [[['sweep_lock'], ['sweep_settle', 500], ['sweep_take', $most, $rid++, $kinds || "'{}'", $rooms || "'{}'"]]] }
# Steps until nothing is due; time is taken out of the way.
sub steps {
	my ($n, @room) = @_;
	for (1 .. $n) {
		do_it('update taskq.sweep set due_at = now() - interval \'1 h\'');
		do_it($_) for 'begin', map { my ($name, @args) = @$_; "execute $name" . (@args ? '(' . join(', ', @args) . ')' : '') } @{ step(@room)->[0] };
		do_it('commit');
	}
	return;
}
sub fresh { my (@more) = @_; $sweeps = 0 if !@more; do_it("begin; $fresh; " . join('; ', @more) . '; commit'); return }
# What is ready, what was discarded, what is open: positions.
sub ready { return do_it("select coalesce(string_agg(taskq.pos(lo)::text, ' ' order by lo), '') from taskq.ready") }
sub failed { return do_it("select coalesce(string_agg(taskq.pos(id)::text, ' ' order by id), '') from taskq.done where status = 2") }
sub open_letters { return do_it("select coalesce(string_agg(taskq.pos(id)::text, ' ' order by id), '') from taskq.dead where resolution is null") }
sub state { return do_it("select concat_ws(' ', state, moved, blocked, in_flight, succeeded, failed, cancelled, held, ended_why) from taskq.sweep where id = $sweeps") }
# The task of a position ends: 1 succeeded, 3 cancelled; or dies again.
sub ends { my ($status, @n) = @_; do_it("delete from taskq.ready where taskq.pos(lo) = $_; insert into taskq.done values (@{[id($_)]}, 1, 200, 1, $status, 6, 1, 0, now(), null)") for @n; return }
sub dies {
	my (@n) = @_;
	do_it("delete from taskq.ready where taskq.pos(lo) = $_; insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason,
		created_at, payload, cause, history) values (@{[id($_)]}, 300, 1, 1, 0, 6, 1, 0, 5, 'X', now(), '{}', 1, '[]')") for @n;
	return;
}

# --- which letters ----------------------------------------------------------------------------------------------------------

sub takes {
	my ($name, $filter, $wanted, %column) = @_;
	fresh(sweep($filter, %column));
	steps(3);
	is(ready(), $wanted, $name);
	return;
}
takes('all', '{}', '0 1 2 3 4 5 6 7 8 9 10 11');
takes('of a task type', '{"task_type": "b"}', '6 7 8 9');
takes('of a queue that is not there', '{"queue": "x"}', '');
takes('of a reason', '{"reason": "NON_RETRYABLE"}', '10 11');
takes('of a class and a code', '{"class": 1, "code": "C"}', '0 1 2 3 4 5 6 7 8 9');
takes('of a cause', '{"cause": 2}', '6 7 8 9');
takes('of a schema version', '{"schema_version": "2"}', '10 11');
takes('without a schema version', '{"schema_version": "", "task_type": "a"}', '0 1 2 3 4 5');
takes('of a label', '{"label": {"even": "true"}, "task_type": "b"}', '6 8');
takes('by id', "{\"ids\": [\"" . join('", "', map { ask("select @{[id($_)]}") } 7, 1, 11) . "\"]}", '1 7 11');
takes('by id and type', "{\"task_type\": \"b\", \"ids\": [\"" . join('", "', map { ask("select @{[id($_)]}") } 7, 1, 11) . "\"]}", '7');
takes('not those that died later', '{}', '0 1 2 3', at => "now() - interval '57 s' + interval '0.5 s'");
takes('not more than asked for', '{}', '0 1 2 3 4 5 6', most => 7);
{
	my ($after, $before) = map { my $n = $_; ask("select to_char((select died_at from taskq.dead where taskq.pos(id) = $n) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')") } 3, 7;
	fresh(sweep("{\"died_after\": \"$after\", \"died_before\": \"$before\"}"), 'select 1');
	do_it("update taskq.dead set died_at = '$after'::timestamptz + (taskq.pos(id) - 3) * interval '1 s'");
	steps(3);
	is(ready(), '3 4 5 6', 'of a time: from, and before');
}
fresh(sweep('{}'), "update taskq.dead set cause = null, history = null where taskq.pos(id) = 4");
steps(2);
is(state(), '1 0 0 0 0 0 0 filing', 'it begins when the letters of before are filed');
do_it("update taskq.dead set cause = 1, history = '[]' where cause is null");
steps(2);
is(state(), '1 12 0 12 0 0 0', 'and then takes all');
is(do_it('select sum(n) from taskq.cause_delta'), -12, 'the causes are told');
is(do_it('select count(*) from taskq.dead where resolution = 1 and sweep = ' . $sweeps . " and by = 'me' and why = 'so'"), 12, 'the letters say by whom, and why');

# --- how it goes on and ends ---------------------------------------------------------------------------------------------------

ends(1, 0 .. 8);
ends(3, 9);
dies(10);
steps(1);
is(state(), '1 12 0 1 9 1 1', 'what became of them is counted');
is(do_it('select count(*) from taskq.swept'), 1, 'and forgotten');
ends(1, 11);
steps(1);
is(state(), '3 12 0 0 10 1 1', 'done when all is known');
steps(1);
is(open_letters(), '10', 'the task that died again is not its business');
is(do_it("select act || ' ' || n from taskq.audit order by id desc limit 1"), 'replay.end 12', 'the end is in the audit');

fresh(sweep('{"task_type": "a"}'));
steps(1);
dies(0);
do_it("update taskq.dead set died_at = now() - interval '1 h' where resolution is null; update taskq.sweep set walked = false, seen_cause = 0, seen_at = '-infinity'");
steps(1);
is(do_it('select count(*) from taskq.swept'), 7, 'nor when the clock has gone back since');

fresh(sweep('{"task_type": "b"}', act => 2));
steps(2);
is(failed(), '6 7 8 9', 'a discard: they end as failed');
is(ready(), '', 'and do not run');
is(state(), '3 4 0 0 0 0 0', 'it is done at once');
is(do_it('select string_agg(distinct resolution::text, \' \') from taskq.dead where resolution is not null'), '2', 'they say so');
fresh(sweep('{"task_type": "b"}', act => 3));
steps(2);
is(do_it('select string_agg(distinct resolution::text, \' \') from taskq.dead where resolution is not null'), '3', 'as those that were fixed by hand');

fresh(sweep('{}', canary => 2));
steps(2);
is(ready(), '0 1', 'canaries go first');
is(state(), '1 2 0 2 0 0 0 canary', 'and are waited for');
ends(1, 0, 1);
steps(2);
is(ready(), '2 3 4 5 6 7 8 9 10 11', 'when they all succeeded the rest follows');
fresh(sweep('{}', canary => 2));
steps(1);
ends(1, 0);
dies(1);
steps(2);
is(ready(), '', 'nothing follows a canary that failed');
is(state(), '5 2 0 0 1 1 0 1 of the first 2 did not succeed', 'it stops and says why');

fresh(sweep('{}', concurrency => 4));
steps(2);
is(ready(), '0 1 2 3', 'no more in flight than asked for');
ends(1, 2);
steps(1);
is(ready(), '0 1 3 4', 'one ended, one follows');
fresh(sweep('{}', concurrency => 4, stop_share => 50, stop_least => 4));
steps(1);
dies(0, 1, 2);
steps(1);
is(state(), '1 7 0 4 0 3 0', 'too few have ended to stop');
dies(3);
steps(1);
is(state(), '5 7 0 3 0 4 0 4 of 4 failed, more than 50 per cent', 'too many failed: it stops');
ends(1, 4, 5, 6);
steps(1);
is(state(), '5 7 0 0 3 4 0 4 of 4 failed, more than 50 per cent', 'what was in flight is counted still');

# --- what holds it ------------------------------------------------------------------------------------------------------------------

fresh(sweep('{}'), "insert into taskq.block values ('a', '2', 'w', 'me')");
steps(3);
is(ready(), '0 1 2 3 4 5 6 7 8 9', 'what is blocked stays');
is(state(), '1 10 2 10 0 0 0', 'and is counted');
fresh(sweep('{}'), "insert into taskq.block values ('a', '', 'w', 'me')");
steps(3);
is(ready(), '6 7 8 9', 'a whole task type is blocked');
fresh(sweep('{}', act => 2), "insert into taskq.block values ('a', '', 'w', 'me')");
steps(3);
is(open_letters(), '', 'a discard does not mind');
fresh(sweep('{}'), "insert into taskq.pause values (2, 'b', '', '', now())");
steps(3);
is(ready(), '0 1 2 3 4 5', 'it stops before what is paused');
is(state(), '1 6 0 6 0 0 0 paused', 'and says so');
do_it('delete from taskq.pause');
steps(2);
is(ready(), '0 1 2 3 4 5 6 7 8 9 10 11', 'and goes on afterwards');
fresh(sweep('{}'));
steps(1, "'{a,b}'", "'{3,0}'");
is(ready(), '0 1 2', 'no more than the handler has room for');
is(state(), '1 3 0 3 0 0 0 handler', 'which it says');
steps(1, "'{b}'", "'{0}'");
is(ready(), '0 1 2 3 4 5', 'and none of another one');

# --- pace -----------------------------------------------------------------------------------------------------------------------

fresh(sweep('{}', rate => 20_000));
steps(1);
is(ready(), '', 'a rate begins with nothing');
do_it("update taskq.sweep set tat = clock_timestamp() - interval '0.16 s'");
steps(1);
like(ready(), qr/^0 1 2( 3 4 5)?( 6)?$|^0 1 2 3( 4)?( 5)?$/, '20 a second: three or a few in 0.16 s');
do_it("update taskq.sweep set tat = clock_timestamp() - interval '10 s', moved = 0, in_flight = 0; delete from taskq.swept");
my $before = do_it('select count(*) from taskq.ready');
steps(1);
is(do_it('select count(*) from taskq.ready') - $before, 6, 'a rest is not caught up with: no more than that of 0.3 s');
fresh(sweep('{}', rate => 20_000, slow => 3_600_000_000, begun_at => 'now()', tat => "now() - interval '10 s'"));
steps(1);
is(ready(), '0', 'and less while it begins slowly');
fresh(sweep('{}', rate => 500, tat => "now() - interval '10 s'"));
steps(1);
is(ready(), '0', 'a slow one moves one at a time');

{
	local $most = 2;
	fresh(sweep('{"label": {"even": "neither"}}', rate => 100, tat => "now() - interval '1 min'"));
	steps(1);
	is(do_it("select state || ' ' || walked || ' ' || (due_at <= clock_timestamp()) from taskq.sweep"), '1 false true', 'a step that only passed letters is followed at once');
}

# --- payloads -------------------------------------------------------------------------------------------------------------------

fresh(sweep('{"task_type": "b"}', payload => q('{"n": 1}')));
steps(1);
is(do_it("select string_agg(taskq.pos(id) || convert_from(payload, 'UTF8'), ' ' order by id) from taskq.amend"), join(' ', map { "$_\{\"n\": 1}" } 6 .. 9), 'the new payload stands beside');
is(do_it('select bool_and(amended) from taskq.ready'), 't', 'and is looked at');
fresh(sweep('{"task_type": "b"}'), "insert into taskq.amend values (@{[id(7)]}, 1, 1, 9, null)");
steps(1);
is(do_it("select string_agg(taskq.pos(lo)::text, ' ') from taskq.ready where amended"), '7', 'and so is one of before, and no other');

# --- a new one --------------------------------------------------------------------------------------------------------------------

sub makes {
	my ($token, $filter, $fp, $idle) = @_;
	do_it('begin');
	do_it('execute sweep_gate');
	my $answer = do_it("execute sweep_new('$token', '@{[$fp || '']}', 1, '$filter', 0, 0, 0, 0, null, 0, null, null, 'me', 'so', 5, '{}', @{[$idle || 'false']})");
	do_it('commit');
	return $answer;
}
sub apart {
	my ($name, $one, $two, $apart) = @_;
	for ([$one, $two], [$two, $one]) {
		fresh();
		makes('one', $_->[0]);
		my $made = makes('two', $_->[1]);
		$apart ? like($made, qr/^\d+\|/, "apart: $name") : like($made, qr/^\|\|\|\d+\|1/, "not apart: $name");
	}
	return;
}
apart('the same', '{}', '{}', 0);
apart('two task types', '{"task_type": "a"}', '{"task_type": "b"}', 1);
apart('a task type and a queue', '{"task_type": "a"}', '{"queue": "b"}', 0);
apart('two codes of one type', '{"task_type": "a", "code": "A"}', '{"task_type": "a", "code": "B"}', 1);
apart('two causes', '{"cause": 1}', '{"cause": 2}', 1);
apart('one has no schema version', '{"schema_version": ""}', '{"schema_version": "1"}', 1);
apart('two values of a label', '{"label": {"a": "1"}}', '{"label": {"a": "2"}}', 1);
apart('two labels', '{"label": {"a": "1"}}', '{"label": {"b": "2"}}', 0);
apart('times', '{"died_before": "2020-01-01T00:00:00Z"}', '{"died_after": "2020-01-01T00:00:00Z"}', 1);
apart('times that overlap', '{"died_before": "2020-01-01T00:00:01Z"}', '{"died_after": "2020-01-01T00:00:00Z"}', 0);
apart('ids', "{\"ids\": [\"$base\"]}", "{\"ids\": [\"$zero\"]}", 1);
apart('an id of both', "{\"ids\": [\"$base\", \"$zero\"]}", "{\"ids\": [\"$zero\"]}", 0);
fresh();
makes('one', '{}');
like(makes('two', '{"died_after": "2999-01-01T00:00:00Z"}'), qr/^\d+\|/, 'apart: letters that die later');
fresh();
my ($made) = makes('one', '{}', 'f') =~ /^(\d+)/;
like(makes('one', '{}', 'f'), qr/^\|$made\|t\|\|/, 'the same token finds what it made');
like(makes('one', '{"queue": "x"}', 'g'), qr/^\|$made\|f\|\|/, 'and is told when it asks for something else');
like(makes('one', '{}', 'f', 'true'), qr/^\|$made\|t\|\|/, 'also when no letter is left that it means');
like(makes('two', '{}', 'f', 'true'), qr/^\|\|\|$made\|1$/, 'one that means no letter is told what is in its way');
do_it("update taskq.sweep set state = 4, ended_at = now()");
is(makes('two', '{}', 'f', 'true'), '||||', 'what means no letter is not made');
like(makes('two', '{}'), qr/^\d+\|/, 'what is over is in nobody\'s way');

sub sets { my ($to) = @_; return do_it("execute sweep_set($made, $to, 'you', 'yes')") ? 1 : 0 }
fresh();
($made) = makes('one', '{}') =~ /^(\d+)/;
is(join('', map { sets($_) } 1, 2, 2, 1, 2, 4, 1, 2), '01011100', 'it can be paused, goes on, is cancelled once');
is(do_it("select string_agg(act || n, ' ' order by id) from taskq.audit where by = 'you'"), 'replay.pause0 replay.resume0 replay.pause0 replay.cancel0', 'and who did it is known');

# --- a preview ------------------------------------------------------------------------------------------------------------------

sub counts { my ($filter, $bound) = @_; return do_it("select concat_ws(' ', n, blocked, whole, estimate, unfiled, count(id)) from (" . counted($filter, $bound || 20) . ") x group by n, blocked, whole, estimate, unfiled") }
sub counted {
	my ($filter, $bound) = @_;
	return 'select y.* from (' . Taskq::Statement->new('sweep_count')->with("'$filter'", $bound, 3) . ") y (n, blocked, whole, estimate, unfiled, id)";
}
fresh("insert into taskq.block values ('a', '2', 'w', 'me')", 'insert into taskq.cause_delta (cause, n) values (1, -2)');
is(counts('{}'), '12 2 t 10 f 3', 'a count of all, and a few');
is(counts('{"task_type": "b"}'), '4 0 t 4 f 3', 'of some');
is(counts('{"label": {"even": "true"}}'), '6 1 t 10 f 3', 'of a label');
is(counts('{}', 5), '5 0 f 10 f 3', 'no further than the bound');
is(counts("{\"ids\": [\"$base\"]}"), '1 0 t 4 f 1', 'by id');

# --- in every order -----------------------------------------------------------------------------------------------------------------

# Each letter is open, or resolved once and its task in exactly one place; the counters agree with the letters.
my $once = <<'SQL';
select format('task %s: %s ready, %s done, %s open, %s resolved', taskq.pos(d.id), r, f, o, n) from (
	select d.id, count(*) filter (where d.resolution is null) o, count(*) filter (where d.resolution is not null) n,
		(select count(*) from taskq.ready r where r.lo <= d.id and r.hi >= d.id) r, (select count(*) from taskq.done f where f.id = d.id) f
	from taskq.dead d group by d.id
) d where r + f + o <> 1 or n > 1
union all
select format('sweep %s says it moved %s', s.id, s.moved) from taskq.sweep s where s.moved <> (select count(*) from taskq.dead d where d.sweep = s.id)
union all
select format('sweep %s says %s are in flight', s.id, s.in_flight) from taskq.sweep s where s.act = 1 and s.in_flight <> (select count(*) from taskq.swept w where w.sweep = s.id)
SQL

sub clean {
	my ($name, $setup, @operations) = @_;
	my @violations = $run->all("$fresh; $setup", \@operations, most => 40, check => $once);
	is(scalar @violations, 0, $name) or diag(join "\n", @violations[0 .. (@violations > 5 ? 4 : $#violations)]);
	return;
}
sub revive { my ($n) = @_; return [[['retry_dead', id($n), 3, 'false', 6000 + $n, 5, "'me'", "'w'", "'a'", "''"]]] }
sub block { return [[['block_set', "'a'", "''", "'me'", "'w'"]]] }
$sweeps = 0;
my $all = sweep('{}');
my $two = sweep('{}');
my $discard = sweep('{}', act => 2);
clean('two keepers, one sweep', $all, step(), step());
clean('two sweeps of the same letters', "$all; $two", step(), step());
clean('a replay and a discard of the same', "$all; $discard", step(), step());
clean('a sweep, a retry by hand', $all, step(), revive(3));
clean('a sweep, retries by hand', $all, step(), revive(0), revive(11));
clean('a discard, a retry by hand', $discard, step(), revive(3));
clean('a retry by hand, a block', $all, revive(3), block());
clean('a sweep, a block', $all, step(), block());
clean('a sweep, its end by hand', $all, step(), [[['sweep_set', 1, 4, "'me'", "'w'"]]]);
clean('a sweep, its pause by hand, two keepers', $all, step(), step(), [[['sweep_set', 1, 2, "'me'", "'w'"]]]);

sub seen {
	my ($rule, $mutations, $setup, @operations) = @_;
	my $violations = $run->mutated($mutations, sub { [$run->all("$fresh; $setup", \@operations, first => 1, most => 60, check => $once)] });
	ok(@$violations, "without it a violation shows: $rule");
	return;
}
seen('a letter is resolved once', { sweep_take => ['where g.goes\)\) and d.resolution is null\n', "where g.goes))\n"] }, "$all; $two", step(), step());

note(sprintf '%d orders run; errors on the way: %s', $run->{schedules},
    join(', ', map { "$_ x $run->{errors}{$_}" } sort keys %{ $run->{errors} }) || 'none');
done_testing;
