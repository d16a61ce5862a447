#!/usr/bin/perl
# What the database refuses by itself, whatever a program sends: the walls behind the rules of the store.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Session;
use Taskq::Statement;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('constraints');
my $s = Taskq::Session->new($pg->conninfo(db => $db));
my $rid = 0;

chomp(my $base = $pg->psql('select taskq.floor(now())', db => $db));
chomp(my $next = $pg->psql("select taskq.floor(now() + interval '1 ms')", db => $db));
sub id { return "taskq.at('$base', $_[0])" }
sub ready { my ($lo, $hi, %o) = @_; my $start = $o{start} || $lo;
	return "insert into taskq.ready (lane, prio, start, rid, bucket, lo, hi, n, amended) values (1, 0, $start, @{[ ++$rid ]}, 1, $lo, $hi, 1, " . ($o{amended} || 'false') . ')' }
sub lease { my ($lo, $hi, $id) = @_; return "insert into taskq.lease values ($lo, $id, 1, $hi, 1, 0, 7, 0, 0, 0, 0, false)" }
sub done { my ($n, $status, $lease) = @_; return "insert into taskq.done values (@{[id($n)]}, 1, $lease, 1, $status, 1, 1, 0, now())" }
sub tried { my ($n, $lease, $why) = @_; return "insert into taskq.tried (id, lease_id, bucket, why, run, worker) values (@{[id($n)]}, $lease, 1, $why, 1, 7)" }
sub dead { my ($n, $lease) = @_; return "insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, payload)
	values (@{[id($n)]}, $lease, 1, 1, 0, 1, 1, 0, 5, 'X', now(), '{}')" }
sub task { my ($n, $max) = @_; return "insert into taskq.task values (@{[id($n)]}, 1, 1, 0, $max, now(), null, null, '{}')" }

sub taken { my ($sql, $name) = @_; is($s->run($sql), '', $name); return }
sub refused { my ($constraint, $sql, $name) = @_; like($s->run($sql), qr/$constraint/, $name); return }

taken(ready(id(0), id(9)), 'a range of one batch');
refused('ready_range', ready(id(0), "'$next'"), 'a range over two batches would cover foreign tasks');
refused('ready_range', ready(id(5), id(4)), 'a range that ends before it begins');
refused('ready_range', ready(id(1), id(4), start => id(2)), 'a range that begins before its key');
refused('ready_range', ready(id(1), id(4), start => "'00000000-0000-0000-0000-000000000000'"), 'a key of another batch');
refused('ready_range', ready(id(0), id(1), amended => 'true'), 'an amended task in company');
taken(ready(id(3), id(3), amended => 'true'), 'an amended task alone');

taken(lease(id(0), id(3), 100), 'a lease');
refused('lease_pkey', lease(id(0), id(3), 100), 'the same lease twice');
taken(lease(id(0), id(0), 101), 'a new lease of a task that left the old one, which lives on');
refused('lease_range', lease(id(0), "'$next'", 102), 'a lease over two batches');
refused('lease_range', lease(id(3), id(0), 103), 'a lease that ends before it begins');

taken(done(0, 1, 100), 'an end');
refused('pkey', done(0, 3, 'null'), 'a second end');
refused('done_status', done(1, 4, 100), 'an end that no state has');
refused('done_fenced', done(1, 1, 'null'), 'success without a lease');
taken(done(1, 3, 'null'), 'cancelled without a lease');
refused('no partition', "insert into taskq.done values ('ffffffff-0000-7000-8000-000000000000', 1, 1, 1, 1, 1, 1, 0, now())", 'an id of a day that has no partition');

taken(tried(2, 100, 1), 'a task leaves its lease');
refused('pkey', tried(2, 100, 2), 'the same task leaves the same lease twice');
taken(tried(2, 101, 1), 'and a later one');
refused('tried_why', tried(3, 100, 9), 'a reason that is not in the table');

taken(dead(2, 101), 'a letter');
refused('dead_open', dead(2, 102), 'a second open letter of one task');
refused('dead_resolution', 'update taskq.dead set resolution = 9, resolved_at = now()', 'a resolution that is not in the table');
refused('dead_resolved', 'update taskq.dead set resolution = 1', 'a resolution without its time');
taken('update taskq.dead set resolution = 1, resolved_at = now()', 'a resolved letter');
taken(dead(2, 103), 'makes room for the next death');

refused('waiting_why', "insert into taskq.waiting values (@{[id(0)]}, 1, now(), 1, 0, 0, 0, 0, 0, false, 9)", 'a wait without a reason');
like($s->run("select increment_by, cycle, max_value from pg_sequences where sequencename = 'writer'"), qr/^1\|f\|1073741823$/m,
	'identities of processes are never reused');

# A claim takes from the lanes it asks for, and a task of another lane that lies in the range is not taken along.
$s->run("delete from taskq.$_") for qw(ready lease task done tried worker);
$s->run("insert into taskq.worker (inc, node, boot) values (7, 'n', '$base')");
$s->run(task(0, 5));
$s->run(task(1, 5) =~ s/, 1, 1, 0, 5/, 1, 2, 0, 5/r);
$s->run(ready(id(0), id(1)));
$s->run(Taskq::Statement->new('claim')->prepare);
my @from = ("array[-100::int2]", "array['00000000-0000-0000-0000-000000000000'::uuid]", 'array[32768]', 'array[1]', 'array[1]', 'array[9]', 'array[16]');
is($s->run('execute claim(7, 1, 500, ' . join(', ', 'array[2]', @from) . ')'), '', 'nothing in a lane that has nothing');
my @rows = split /\n/, $s->run('execute claim(7, 2, 501, ' . join(', ', 'array[1]', @from) . ')');
is(scalar @rows, 1, 'a range of one lane brings the tasks of that lane');
like($rows[0], qr/^\Q$base\E/, 'and no foreign one');
done_testing;
