#!/usr/bin/perl
# Beside a transaction that was forgotten every version of a worker's row stays, and every lease it had; the statements of each step and
# beat, and the keeper's looks, read the last ones only.  Counted are pages, not time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(sum);
use Taskq;
use Taskq::Session;
use Taskq::Statement;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $db = $pg->create_schema('forgotten');
my $s = Taskq::Session->new($pg->conninfo(db => $db));
$s->run(Taskq::Statement->session);

my %types;
for my $name (qw(worker_new claim worker_look worker_beat watch)) {
	my $statement = Taskq::Statement->new($name);
	is($s->run($statement->prepare), '', "$name can be prepared");
	$types{$name} = $statement->{types};
}
my @nothing = map { "'{}'::$_" } grep { /\[/ } @{ $types{claim} };
sub step { my ($seq) = @_; return 'execute claim(' . join(', ', 7, $seq, 100 + $seq, @nothing) . ')' }

# Pages that a statement touches.
sub pages {
	my ($execute) = @_;
	my ($plan) = split /^Planning:/m, $s->run("explain (analyze, buffers, costs off, timing off, summary off) $execute");
	my ($buffers) = $plan =~ /^\s*Buffers: (.*)/m;
	return sum(0, defined $buffers ? $buffers =~ /(?:hit|read)=(\d+)/g : ());
}
sub cost {
	my ($seq) = @_;
	return { claim => pages(step($seq + 1)), worker_look => pages("execute worker_look(7, $seq)"), worker_beat => pages("execute worker_beat(7, $seq, '{}', '{}')"),
		watch => pages('execute watch(5000000)') };
}

# Leases of the worker.
sub lease {
	my ($n) = @_;
	$s->run("insert into taskq.lease (lo, lease_id, bucket, hi, lane, prio, worker, run, attempts, crashes, lost, amended)"
		. " select u, 1, 0, u, 0, 0, 7, 0, 0, 0, 0, false from (select gen_random_uuid() u from generate_series(1, $n)) x");
	return;
}

$s->run("execute worker_new(7, 'n', gen_random_uuid(), '{x}', null)");
$s->run(step(1));
lease(1);
my $few = cost(1);
my $forgotten = Taskq::Session->new($pg->conninfo(db => $db));
$forgotten->run('begin isolation level repeatable read; select count(*) from taskq.queue');
my $steps = 5000;
$s->run(join(';', map { step($_) } 3 .. $steps), 60);
lease($steps);
$s->run('delete from taskq.lease');
lease(1);
is($s->run('select seq from taskq.worker'), "$steps\n", 'each step was taken');
$s->run("execute worker_new(7, 'n', gen_random_uuid(), '{x}', null)");
is($s->run('select count(*) from taskq.worker'), "1\n", 'a worker that says again that it is there has one row');
my $many = cost($steps);
cmp_ok($pg->psql("select pg_relation_size('taskq.worker') / 8192", db => $db), '>', 30, 'its versions fill pages');
cmp_ok($many->{$_}, '<', $few->{$_} + 15, "$_ touches no more of them") or diag("$many->{$_} pages, at first $few->{$_}") for sort keys %$many;
note("pages of $_: $few->{$_}, then $many->{$_}") for sort keys %$many;
$forgotten->close;
done_testing;
