#!/usr/bin/perl
# Limits of queues over two nodes on one database: never more at once than allowed, of a queue and of each group; other work goes on
# beside what is held back; starts keep to their rate.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('l');
chmod 0777, $dir;
# Each run notes how many there are, itself included, and ends when the file is there.
for my $name (qw(gate pair)) {
	write_file("$dir/$name", <<"SH", 0755);
#!/bin/sh
mkdir $dir/$name.run.\$\$
ls -d $dir/$name.run.* | wc -l >>$dir/$name.seen
while [ ! -e $dir/$name.open ]; do sleep 0.02; done
sleep 0.03
rmdir $dir/$name.run.\$\$
SH
}
my $pg = Taskq->pg(fsync => 0);
my $config = <<"CONF";
workers = 2
handler gate { command = {"$dir/gate"} }
handler pair { command = {"$dir/pair"} }
handler echo { kind = builtin
 builtin = echo }
queue three { concurrency = 3 }
queue pairs { group_concurrency = 2 }
queue ticks { rate = 10/s
 burst = 2 }
queue groups { group_rate = 1/h }
work { slots = 6
 poll = 100ms }
CONF
my @nodes = map { Taskq->start(pg => $pg, config => "node = \"n$_\"\n$config", migrate => $_ == 1) } 1, 2;
my ($t, $u) = @nodes;

sub running { my ($name) = @_; my @all = glob "$dir/$name.run.*"; return scalar @all }
sub seen { my ($name) = @_; my @n = sort { $a <=> $b } split ' ', read_file("$dir/$name.seen") || ''; return @n }
my $most = 0;
sub counted {
	my ($queue) = @_;
	my $n = $pg->psql("select count(*) from taskq.lease x join taskq.lane l on l.id = x.lane join taskq.queue q on q.id = l.queue_id
		where x.counted and q.name = '$queue'");
	$most = $n if $n > $most;
	return $n;
}

# Three of twelve run, and stay three while other queues are served by both nodes.
my @held = map { $nodes[$_ % 2]->submit('gate', { n => $_ }, queue => 'three', priority => 100) } 1 .. 12;
wait_for(sub { running('gate') == 3 }, 30, 'three to run');
my @quick = map { $nodes[$_ % 2]->submit('echo', { n => $_ }, $_ % 3 ? () : (priority => -50)) } 1 .. 20;
is($t->wait_final($_)->{status}, 'succeeded', 'a task of another queue beside them') for @quick;
is(counted('three'), 3, 'three leases are counted');
is(running('gate'), 3, 'three run');
is($pg->psql("select count(*) from taskq.lease x join taskq.lane l on l.id = x.lane join taskq.queue q on q.id = l.queue_id
	where q.name = 'three' and not x.counted"), 0, 'and none beside them');
write_file("$dir/gate.open", '');
wait_for(sub { counted('three'); !grep { $t->task($_)->{status} ne 'succeeded' } @held }, 60, 'all to succeed');
is($most, 3, 'never were more than three leased');
is((seen('gate'))[-1], 3, '... nor run');
is(scalar(seen('gate')), 12, 'each ran once');

# Two of each group, and all of what has none.
my @pairs = map { $nodes[$_ % 2]->submit('pair', { n => $_ }, queue => 'pairs', group => $_ % 2 ? 'x' : 'y') } 1 .. 10;
push @pairs, map { $t->submit('pair', { n => $_ }, queue => 'pairs') } 1 .. 3;
wait_for(sub { running('pair') == 7 }, 30, 'two of each group and three without');
$most = 0;
is(counted('pairs'), 7, 'as many are counted');
is($pg->psql("select string_agg(n::text, ' ' order by grp) from (select l.grp, count(*) n from taskq.lease x join taskq.lane l on l.id = x.lane
	where x.counted group by l.grp) s"), '3 2 2', 'by group');
write_file("$dir/pair.open", '');
is($t->wait_final($_)->{status}, 'succeeded', 'through') for @pairs;
cmp_ok((seen('pair'))[-1], '<=', 7, 'never more');

# Twelve starts at ten a second after a burst of two take a second at least; what counts is the database's clock.
my @ticks = map { $nodes[$_ % 2]->submit('echo', { n => $_ }, queue => 'ticks') } 1 .. 12;
is($t->wait_final($_, 40)->{status}, 'succeeded', 'in time') for @ticks;
my $took = $pg->psql("select extract(epoch from max(d.finished_at) - min(t.created_at)) from taskq.done d join taskq.task t on t.id = d.id
	join taskq.lane l on l.id = t.lane join taskq.queue q on q.id = l.queue_id where q.name = 'ticks'");
cmp_ok($took, '>=', 1, "twelve starts took $took s");

# One of each group in an hour: the second of one does not hold up the first of another.
my ($first, $second) = map { $t->submit('echo', {}, queue => 'groups', group => 'x') } 1, 2;
is($t->wait_final($first)->{status}, 'succeeded', 'the first of a group');
is($u->wait_final($u->submit('echo', {}, queue => 'groups', group => 'y'))->{status}, 'succeeded', 'the first of another');
is($t->task($second)->{status}, 'pending', 'the second waits');
$pg->psql("update taskq.gate set tat = now() where grp = 'x'");
is($t->wait_final($second)->{status}, 'succeeded', 'until its time has come');

is($_->stop, 0, 'taskqd drained') for @nodes;
done_testing;
