#!/usr/bin/perl
# Every pair of transitions in every order of their statements: each task ends in exactly one place, none is lost, none doubled, none
# runs after it was cancelled.  Then the same with one rule of the store taken out at a time: a violation must show, or the
# test could not have seen the rule.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Interleave;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('interleavings');
# A task must be in exactly one place: done, an open letter, waiting, a ready range, or a lease that it has not left.  What waits beside
# a done row is dropped at its promotion and does not count.
$pg->psql(<<'SQL', db => $db);
create function check_places() returns table (what text) language sql as $$
	select format('task %s is in %s places (%s)', taskq.pos(t.id), n, p)
	from taskq.task t
	cross join lateral (
		select count(*) n, string_agg(x.place, ' ') p from (
			select 'done' place from taskq.done d where d.id = t.id
			union all select 'dead' from taskq.dead d where d.id = t.id and d.resolution is null
			union all select 'waiting' from taskq.waiting w where w.id = t.id
				and not exists (select from taskq.done d where d.id = t.id)
			union all select 'ready' from taskq.ready r where r.lo <= t.id and r.hi >= t.id
			union all select 'lease ' || l.lease_id from taskq.lease l where l.lo <= t.id and l.hi >= t.id
				and not exists (select from taskq.done d where d.id = t.id)
				and not exists (select from taskq.tried r where r.id = t.id and r.lease_id = l.lease_id)
		) x
	) y
	where n <> 1
	union all
	select format('lease %s belongs to nobody', l.lease_id) from taskq.lease l
	where not exists (select from taskq.worker w where w.inc = l.worker)
$$;
SQL

# Six tasks of one batch: 0-3 leased by worker 7 under lease 100, 4 and 5 ready.  Worker 8 has nothing.
my $base = $pg->psql("select taskq.at(taskq.floor(now()), 0)", db => $db);
chomp $base;
sub id { return "taskq.at('$base'::uuid, $_[0])" }
sub ids { return 'array[' . join(', ', map { id($_) } @_) . ']' }
sub each_of { my ($n, $value) = @_; return 'array[' . join(', ', ($value) x $n) . ']' }
my $empty = 'delete from taskq.' . join('; delete from taskq.', qw(done tried task ready lease waiting dead amend worker expiry));
my $tasks = "insert into taskq.task select taskq.at('$base', n), 1, 1, 0, 5, now(), null, null, '{}' from generate_series(0, 5) n";
my $workers = "insert into taskq.worker (inc, node, boot, seq) values (7, 'a', '$base', 1), (8, 'a', '$base', 1)";
my $lease = "insert into taskq.lease values (@{[id(0)]}, 100, 1, @{[id(3)]}, 1, 0, 7, 0, 0, 0, 0, false)";
my $ready = "insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) values (1, 0, @{[id(4)]}, 1, @{[id(4)]}, @{[id(5)]}, 2)";
my $leased = join '; ', $empty, $tasks, $workers, $lease, $ready;
my $all_ready = join '; ', $empty, $tasks, $workers,
    "insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) values (1, 0, @{[id(0)]}, 1, @{[id(0)]}, @{[id(5)]}, 6)";
# 2 has been retried out of the lease and is due; 3 is dead, its letter open
my $moved = join '; ', $leased,
    "insert into taskq.tried (id, lease_id, bucket, why, run, worker) values (@{[id(2)]}, 100, 1, 1, 1, 7), (@{[id(3)]}, 100, 1, 2, 1, 7)",
    "insert into taskq.waiting values (@{[id(2)]}, 1, now() - interval '1 s', 1, 0, 1, 1, 0, 0, false, 2)",
    "insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, payload)
	values (@{[id(3)]}, 100, 1, 1, 0, 1, 1, 0, 5, 'X', now(), '{}')";

sub lanes {
	return ('array[1, 1]', "array[-32768, 0]::int2[]", "array['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000']::uuid[]",
	    'array[0, 32768]', 'array[1]', 'array[2]');
}
my @by = ("'me'", "'why'");
sub claim { my ($worker, $lease_id, $k) = @_; return [[['claim', $worker, 2, $lease_id, lanes(), "array[$k]", 'array[16]']]] }
sub finish {
	my ($last, @n) = @_;
	my $n = @n;
	return [[['finish', ids(@n), each_of($n, "'\"r\"'::bytea"), ids(0), 'array[100::int8]', 'array[1]', "array[$n]", $last ? 'array[true]' : 'array[false]']]];
}
sub left { return (ids(@_), ids((0) x @_), each_of(scalar @_, '100::int8')) }
sub failure { my ($n) = @_; return (each_of($n, '1::int2'), each_of($n, '0::int2'), each_of($n, '1::int2'), each_of($n, "'C'"), each_of($n, "'m'"), each_of($n, '1'), each_of($n, 'now()'), each_of($n, "''")) }
sub hold { return ['lease_share', ids(0), 'array[100::int8]'] }
sub retry { my (@n) = @_; return [[hold(), ['retry', left(@n), each_of(scalar @n, '0::int8'), failure(scalar @n)]]] }
sub bury { my (@n) = @_; return [[hold(), ['bury', left(@n), each_of(scalar @n, "'X'"), failure(scalar @n)]]] }
sub cancel {
	my ($n) = @_;
	return [[['cancel_waiting', id($n), @by], ['cancel_ready', id($n), 1, '0::int2', 900 + $n, @by], ['lease_cover_lock', id($n)], ['cancel_leased', id($n), @by]]];
}
sub release { return [[['worker_delete', 7], ['worker_leases_lock', 7], ['reap', 7, 9000, 'null']]] }
sub giveback {
	my ($from) = @_;
	return [[['lease_lock', ids(0), 'array[100::int8]'], ['giveback', ids(0), 'array[100::int8]', ids($from), 'array[0::int2]', 8000]]];
}
sub promote { return [[['promote', 7000]]] }
sub revive { my ($n, $rid) = @_; return [[['retry_dead', id($n), 3, 'false', $rid || 6000, 1, @by, "'k'", "''"]]] }

# These had to start a second ago.
sub late { my ($setup, @n) = @_; return join '; ', $setup, map { "insert into taskq.expiry values (@{[id($_)]}, 1, now() - interval '1 s', 1)" } @n }
sub expire { my ($rid) = @_; return [[['expire_ready', 200, $rid], ['expire_waiting', 200, $rid], ['expire_rest', 200, 1000]]] }
my $delayed = join '; ', $empty, $tasks, $workers,
    map({ "insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) values (1, 0, @{[id($_->[0])]}, 1, @{[id($_->[0])]}, @{[id($_->[1])]}, 2)" } [0, 1], [3, 5]),
    "insert into taskq.waiting values (@{[id(2)]}, 1, now() - interval '1 s', 1, 0, 0, 0, 0, 0, false, 1)";

my $run = Taskq::Interleave->new($pg->conninfo(db => $db));

sub clean {
	my ($name, $setup, @operations) = @_;
	my @violations = $run->all($setup, \@operations, most => 60);
	is(scalar @violations, 0, $name) or diag(join "\n", @violations[0 .. (@violations > 5 ? 4 : $#violations)]);
	return;
}

clean('two claims', $all_ready, claim(7, 200, 2), claim(8, 300, 3));
clean('two claims of everything', $all_ready, claim(7, 200, 9), claim(8, 300, 9));
clean('claim, cancel of a ready task', $all_ready, claim(8, 300, 2), cancel($_)) for 0, 1, 2, 5;
clean('claim, expiry', late($all_ready, 1, 3, 4), claim(8, 300, 3), expire(9500));
clean('claim of all, expiry of all', late($all_ready, 0 .. 5), claim(8, 300, 9), expire(9500));
clean('cancel, expiry of it', late($all_ready, 3), cancel(3), expire(9500));
clean('cancel, expiry beside it', late($all_ready, 2, 4), cancel(3), expire(9500));
clean('two keepers, one expiry', late($all_ready, 0, 2, 5), expire(9500), expire(9600));
clean('promotion, expiry of it', late($delayed, 2), promote(), expire(9500));
clean('cancel of what waits, expiry of it', late($delayed, 2), cancel(2), expire(9500));
clean('give-back, expiry of what comes back', late($leased, 1, 4), giveback(0), expire(9500));
clean('claim, death of the claimer', $leased, claim(7, 200, 2), release());
clean('finish, cancel of one of it', $leased, finish(0, 0, 1), cancel(1));
clean('last finish, cancel of one of it', $leased, finish(1, 0, 1, 2, 3), cancel(2));
clean('finish, release of the worker', $leased, finish(0, 0, 1), release());
clean('last finish, release of the worker', $leased, finish(1, 0, 1, 2, 3), release());
clean('retry, cancel of it', $leased, retry(1), cancel(1));
clean('retry, cancel of it, promotion', $leased, retry(1), cancel(1), promote());
clean('retry, release of the worker', $leased, retry(1, 2), release());
clean('bury, cancel of it', $leased, bury(1), cancel(1));
clean('bury, release of the worker', $leased, bury(1), release());
clean('give-back, cancel', $leased, giveback(2), cancel($_)) for 1, 2, 3;
clean('give-back of all, cancel', $leased, giveback(0), cancel(1));
clean('give-back, release of the worker', $leased, giveback(2), release());
clean('give-back, claim', $leased, giveback(2), claim(8, 300, 9));
clean('release, claim by another', $leased, release(), claim(8, 300, 9));
clean('two releases of one worker', $leased, release(), release());
clean('release, cancel', $leased, release(), cancel(1));
clean('promotion, cancel', $moved, promote(), cancel(2));
clean('promotion, release', $moved, promote(), release());
clean('promotion, promotion', $moved, promote(), promote());
clean('promotion, claim', $moved, promote(), claim(8, 300, 9));
clean('retry by hand twice', $moved, revive(3), revive(3));
clean('retry by hand, release', $moved, revive(3), release());
clean('retry by hand, claim, release', $moved, revive(3), claim(8, 300, 9), release());
clean('two cancels', $leased, cancel(1), cancel(1));

# --- the rules, taken out one at a time --------------------------------------------------------------------------------

sub seen {
	my ($rule, $mutations, $setup, @operations) = @_;
	my @violations = $run->mutated($mutations, sub { [$run->all($setup, \@operations, first => 1)] });
	ok(@{ $violations[0] }, "without it a violation shows: $rule");
	return;
}

seen('a claim needs a living worker', { claim => ['where inc = \$1 and seq = \$2 - 1 returning inc', "where seq = \$2 - 1 returning inc"] },
    $leased, release(), [[['claim', 7, 2, 300, lanes(), 'array[9]', 'array[16]']]]);
{
	# the same claim sent again after a lost answer, while the first is still on its way
	my @twice = ($all_ready, [claim(7, 200, 2), claim(7, 200, 2)]);
	my $count = "select format('%s tasks leased', sum(taskq.pos(hi) - taskq.pos(lo) + 1)) from taskq.lease having sum(taskq.pos(hi) - taskq.pos(lo) + 1) <> 2";
	is(scalar $run->all(@twice, check => $count), 0, 'a repeated claim takes nothing');
	my $violations = $run->mutated({ claim => ['and seq = \$2 - 1 ', 'and $2 > 0 '] }, sub { [$run->all(@twice, check => $count)] });
	ok(@$violations, 'without it a violation shows: a claim steps the seq');
}
seen('expiry splits a range that it has locked', { expire_ready => ['y.run = 0\s+for update skip locked', 'y.run = 0'] },
    late($all_ready, 1, 3, 4), claim(8, 300, 3), expire(9500));
seen('reap after the lock', { worker_leases_lock => ['.*', "-- \$1 inc int4\nselect \$1"] }, $leased, finish(0, 0, 1), release());
seen('reap subtracts the tried of this lease', { reap => ['and not exists \(select from taskq.tried.*?\)', ''] }, $moved, release(), promote());
seen('reap subtracts what is done', { reap => ['where not exists \(select from taskq.done.*?\)\n\tand', 'where'] }, $leased, finish(0, 0, 1), release());
seen('give-back after the lock', { lease_lock => ['for update of l', ''] }, $leased, giveback(0), cancel(1));
seen('give-back subtracts what is done', { giveback => ['where not exists \(select from taskq.done.*?\)\n\tand', 'where'] }, $leased, giveback(0), cancel(1));
seen('cancel locks the lease', { lease_cover_lock => ['for update', ''] }, $leased, bury(1), cancel(1));
seen('outcomes hold the lease', { lease_share => ['for key share of l', ''], bury => ['for key share of l', ''] }, $leased, bury(1), cancel(1));
seen('cancel looks at tried', { cancel_leased => ['and not exists \(select from taskq.tried.*?\)', ''] }, $moved, cancel(3), revive(3));
seen('promotion drops what is done', { promote => ['where not exists \(select from taskq.done.*?\)', '' ], lease_share => ['for key share of l', ''] },
    $leased, retry(1), cancel(1), promote());
seen('finish is fenced by the lease', { finish => ['with x as.*cross join lateral unnest.*?a.hi',
	"insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at, result) " .
	"select u.id, 1, (\$4)[1], 1, 1, 1, 1, 0, now(), u.result from unnest(\$1, \$2) u(id, result) " .
	"where 0 <= cardinality(\$3) + cardinality(\$5) + cardinality(\$6) + cardinality(\$7)"] }, $leased, release(), finish(0, 0, 1));
seen('claims lock what they take', { claim => ['for update skip locked', ''] }, $all_ready, claim(7, 200, 2), claim(8, 300, 3));
seen('a letter is revived once', { retry_dead => ['and resolution is null\n', "\n"] }, $moved, revive(3), revive(3, 6001));

# --- submission: one task per key, whatever meets ----------------------------------------------------------------------------

# Two batches with the same two keys in opposite order; their tasks are 6,7 and 8,9.
sub submit {
	my ($first, @keys) = @_;
	my @digests = map { "md5('$_')::uuid" } @keys;
	my $n = @keys;
	return [[['submit', 'array[' . join(', ', @digests) . ']', each_of($n, '1::int2'), each_of($n, "sha256('x')"), ids($first .. $first + $n - 1),
		each_of($n, '1::int2'), each_of($n, 1), each_of($n, '0::int2'), each_of($n, '5::int2'), q('{}'), q('{}'),
		each_of($n, 'null::bytea'), each_of($n, "'{}'::bytea"), '1::int2', '86400000000', '1::int2',
		'array[1]', 'array[0::int2]', ids($first), ids($first + $n - 1), q('5000')]]];
}
my $keys = "select format('%s keys, %s tasks', (select count(*) from taskq.idem), (select count(*) from taskq.task))
	where (select count(*) from taskq.idem) <> 2 or (select count(*) from taskq.task) <> 2
	or exists (select from taskq.idem i where not exists (select from taskq.task t where t.id = i.task_id))";
my @meeting = ("$empty; delete from taskq.idem", [submit(6, 'a', 'b'), submit(8, 'b', 'a')]);
is(scalar $run->all(@meeting, check => $keys), 0, 'two submissions of the same keys: one task a key');
is((grep { /deadlock/ } keys %{ $run->{errors} }), 0, 'and they never wait for each other crosswise');
my $one_cte = $run->mutated({ submit => ['on conflict do nothing', ''] }, sub { [$run->all(@meeting, check => $keys)] });
is(@$one_cte, 0, 'a batch that meets a known key without ON CONFLICT fails whole, and stores nothing by halves');

# Task n, due at once; a line that was cut makes the same batch go twice.
sub later {
	my ($n) = @_;
	my @submit = @{submit($n, 'a')->[0][0]};
	@submit[9, 16 .. 19] = ("array[now() - interval '1 s']", (q('{}')) x 4);
	return [[\@submit, ['submit_later', ids($n)]]];
}
my @twice = ("$empty; delete from taskq.idem", later(6), later(6), promote());
clean('a delayed batch that goes twice, and its promotion', @twice);
seen('what waits is stored by who stored the task', { submit_later => ['and t.xmin = \S+', ''] }, @twice);

# --- unique names: one task that holds it, whatever meets -----------------------------------------------------------------------

# Task n wants the name under a key of its own.
sub unique {
	my ($n, $hold) = @_;
	my $name = "md5('name')::uuid, 1";
	return [[['unique_lock', $name, id($n), "'0'"], ['submit_unique', $name, $hold, 'null', "md5('key $n')::uuid", 1, "sha256('x')", id($n), 1, 0, 5,
		'null', 'null', 'false', 'null', "'{}'", 1, 1, '86400000000', 1]]];
}
sub holder { my ($n, $hold) = @_; return "delete from taskq.idem; delete from taskq.uniq; insert into taskq.uniq values (md5('name')::uuid, 1, @{[id($n)]}, $hold, null)" }
my $wanted = "select taskq.pos(t.id) n from taskq.task t where t.id >= @{[id(6)]}";
# Exactly so many of those that asked are stored, with their keys; the last of them has the name.
sub stored_names {
	my ($n) = @_;
	return "select format('%s stored, %s keys, %s has the name', (select count(*) from ($wanted) w), (select count(*) from taskq.idem),
			(select taskq.pos(u.id) from taskq.uniq u))
		where (select count(*) from ($wanted) w) <> $n or (select count(*) from taskq.idem) <> $n
		or ($n = 1 and not exists (select from taskq.uniq u where taskq.pos(u.id) in ($wanted)))";
}
my $at_most_one = "select format('%s queued', count(*)) from taskq.task t join taskq.ready r on t.id between r.lo and r.hi
	where taskq.pos(t.id) in (4, 6, 7) having count(*) > 1";
sub names {
	my ($name, $check, $setup, @operations) = @_;
	my @violations = $run->all($setup, \@operations, most => 40, check => $check);
	is(scalar @violations, 0, $name) or diag(join "\n", @violations[0 .. (@violations > 5 ? 4 : $#violations)]);
	return;
}
sub names_seen {
	my ($rule, $mutations, $check, $setup, @operations) = @_;
	my $violations = $run->mutated($mutations, sub { [$run->all($setup, \@operations, check => $check, first => 1)] });
	ok(@$violations, "without it a violation shows: $rule");
	return;
}
my @two = (unique(6, 2), unique(7, 2));
my $new = "$leased; delete from taskq.idem; delete from taskq.uniq";
my $live = "$leased; " . holder(0, 2);
my $queued = "$leased; " . holder(4, 1);
my $over = "$leased; " . holder(0, 2) . "; insert into taskq.done values (@{[id(0)]}, 1, 100, 1, 1, 1, 1, 0, now(), null)";
my @purge = [[['purge_names', "'00000000-0000-0000-0000-000000000000'", 10]]];
names('two want a new name', stored_names(1), $new, @two);
names('two want the name of a task that has ended', stored_names(1), $over, @two);
names('while the holder ends', "select 'both' where (select count(*) from ($wanted) w) > 1", $live, @two, finish(0, 0));
names('while the holder goes from place to place', stored_names(0), $live, unique(6, 2), $_) for retry(0), release(), giveback(0), finish(0, 1);
names('while the holder is promoted', stored_names(0), "$moved; " . holder(2, 2), unique(6, 2), promote());
names('while the queued holder starts', $at_most_one, $queued, unique(6, 1), unique(7, 1), claim(8, 300, 1));
names('while the neighbour of the queued holder is cancelled', stored_names(0), $queued, unique(6, 1), cancel(5));
names('while the name is purged', stored_names(1), $over, @two, @purge);
names('while a name is purged that somebody has', stored_names(0), $live, unique(6, 2), @purge);
names('a dead letter lets go for good', stored_names(1), "$moved; " . holder(3, 2), unique(6, 2), revive(3));

my $unlocked = { unique_lock => ['do update set id = excluded.id where false', 'do nothing'] };
names_seen('the row of the name is locked first', $unlocked, stored_names(1), $over, @two);
names_seen('and so while the holder starts', $unlocked, $at_most_one, $queued, unique(6, 1), unique(7, 1), claim(8, 300, 1));
names_seen('the holder is asked', { submit_unique => ['where not exists \(select from h\)', ''] }, stored_names(0), $live, unique(6, 2), retry(0));
names_seen('a task in a retry is live', { submit_unique => ['f.why in \(2, 4\)', 'f.why > 0'] }, stored_names(0), $live, unique(6, 2), retry(0));
names_seen('a letter that was revived has let go', { submit_unique => ['where x.id = u.id\).*?f.why in \(2, 4\)\)', 'where x.id = u.id and x.resolution is null)'] },
    stored_names(1), "$moved; " . holder(3, 2), unique(6, 2), revive(3));
# A purge that waits for the lock sees by the id that somebody took the name meanwhile.
my $waiting = ['for update skip locked', 'for update'];
is(scalar @{ $run->mutated({ purge_names => $waiting }, sub { [$run->all($over, [@two, @purge], check => stored_names(1), most => 40)] }) }, 0,
    'a purge that waits lets a name stay that was taken meanwhile');
names_seen('a purge means the holder that it saw', { purge_names => ['and u.id = o.id\s+for update skip locked', 'for update'] },
    stored_names(1), $over, @two, @purge);

note(sprintf '%d orders run; errors on the way: %s', $run->{schedules},
    join(', ', map { "$_ x $run->{errors}{$_}" } sort keys %{ $run->{errors} }) || 'none');
done_testing;
