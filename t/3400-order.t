#!/usr/bin/perl
# Order: waiting counts against priority, so that nothing waits for ever; groups and queues take turns, so that one that floods delays
# itself; and a look at the lanes costs what it shows, however many lanes there are.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Session;
use Taskq::Statement;
use Test::More;

# One place to run and no prefetch: tasks end in the order in which they were taken, each in a commit of its own.
Taskq->pg(fsync => 0);
my $t = Taskq->start(config => <<'CONF');
handler noop { kind = builtin builtin = noop }
work { slots = 1 prefetch = 0 aging = 2ms }
CONF
my $c = $t->connect;

sub pause { is($c->request('POST', '/v1/types/noop/pause', body => '')->{status}, 200, 'paused') }
sub resume { is($c->request('POST', '/v1/types/noop/resume', body => '')->{status}, 200, 'resumed') }

my $serial = 0;
sub submit {
	my (%o) = @_;
	my $r = $c->request('POST', '/v1/tasks', json => { task_type => 'noop', %o }, headers => { 'Idempotency-Key' => 'one-' . ++$serial });
	$r->{status} == 202 or die "$r->{status}: $r->{body}\n";
	return $r->json->{id};
}
sub submit_many {
	my (@items) = @_;
	while (my @some = splice @items, 0, 1000) {
		my $r = $t->request('POST', '/v1/tasks/batch', seconds => 120,
			body => Taskq::HTTP::encode([map { { task_type => 'noop', idempotency_key => 'many-' . ++$serial, %$_ } } @some]));
		is($r->json->{accepted}, scalar @some, 'accepted') or die "$r->{status}: $r->{body}\n";
	}
	return;
}
# Milliseconds since the epoch, which a task's id begins with.
sub ms { my ($id) = @_; return hex(substr $id, 0, 8) * 65536 + hex(substr $id, 9, 4) }
sub all_done {
	my ($n, $seconds) = @_;
	wait_for(sub { $t->pg->psql('select count(*) from taskq.done') == $n }, $seconds || 60, "$n tasks to end");
	return;
}
# [id, queue, group] in the order of ends, from the one after the first so many.
sub order {
	my ($from) = @_;
	return map { [split /\|/, $_, -1] } split /\n/, $t->pg->psql("select d.id, q.name, l.grp from taskq.done d join taskq.lane l on l.id = d.lane
		join taskq.queue q on q.id = l.queue_id order by d.finished_at, d.id offset $from");
}
my $before = 0;

# The bound: 200 times work.aging between the least and the most urgent.
{
	pause();
	my @urgent = map { submit(priority => 100) } 1 .. 10;
	my $low = submit(priority => -100);
	my $start = ms($low);
	push @urgent, submit(priority => 100) while ms($urgent[-1]) <= $start + 200 * 2 + 100;
	push @urgent, map { submit(priority => 100) } 1 .. 20;
	resume();
	all_done(@urgent + 1);
	my @order = map { $_->[0] } order(0);
	my ($place) = grep { $order[$_] eq $low } 0 .. $#order;
	my @first = @order[0 .. $place - 1];
	my @then = @order[$place + 1 .. $#order];
	cmp_ok(scalar(grep { ms($_) > $start + 200 * 2 } @first), '<=', 1,
		'what came more than 200 times work.aging after a task of the least priority does not run before it, but for the one that was next');
	is(scalar(grep { ms($_) < $start + 200 * 2 } @then), 0, 'what is more urgent and came before that time does');
	cmp_ok(scalar @first, '>', 10, 'and there is some');
	cmp_ok(scalar @then, '>=', 20, 'as there is of the other');
	is_deeply([@first, @then], [sort @first, @then], 'the urgent ones ran in the order of submission');
	$before = @order;
}

# One to a thousand: of two tenants in a queue, and a queue beside them.  The one who floods says that all of it is urgent.
{
	pause();
	submit_many(map { { group => 'big', priority => 100 } } 1 .. 1000);
	submit(group => 'small') for 1 .. 5;
	submit(queue => 'other') for 1 .. 5;
	resume();
	all_done($before + 1010);
	my @order = order($before);
	my @small = grep { $order[$_][2] eq 'small' } 0 .. $#order;
	my @other = grep { $order[$_][1] eq 'other' } 0 .. $#order;
	note("places of the small tenant's tasks behind the flood of another: @small; of the other queue's: @other");
	is(scalar @small, 5, 'five of the small tenant');
	is(scalar @other, 5, 'five of the other queue');
	is(scalar(grep { $other[$_] > 2 * $_ + 1 } 0 .. 4), 0, 'the queues took turns') or diag("@other");
	is(scalar(grep { $small[$_] > 4 * $_ + 6 } 0 .. 4), 0, 'and the tenants of the one') or diag("@small");
	$before += 1010;
}

# Many groups with a task each: more than one look shows.
submit_many(map { { group => "g$_" } } 1 .. 2000);
all_done($before + 2000, 120);
is($t->pg->psql('select count(*) from taskq.ready') + $t->pg->psql('select count(*) from taskq.lease'), 0, 'two thousand groups are drained');
my $late = submit(group => 'g77');
is($t->wait_final($late)->{status}, 'succeeded', 'and one of them that comes back is served');
is($t->stop, 0, 'taskqd drained');

# What a look reads: rows of each table, by the plan that the daemon has.
my $s = Taskq::Session->new($t->pg->conninfo);
$s->run(Taskq::Statement->session);
is($s->run(Taskq::Statement->new('lane_heads')->prepare), '', 'a look can be prepared');
sub rows_read {
	my ($known) = @_;
	my %rows;
	my $plan = $s->run("explain (analyze, timing off, costs off) execute lane_heads(0, 512, '$known')");
	while ($plan =~ / on (lane|ready) \S+ \(actual rows=(\d+)(?:\.\d+)? loops=(\d+)\)\n((?:(?!->).)*\n)*/g) {
		$rows{$1} += $2 * $3;
	}
	$rows{removed} = () = $plan =~ /Rows Removed/g;
	return \%rows;
}
$s->run("insert into taskq.lane (queue_id, kind_id, grp) select 1, 1, 'empty' || g from generate_series(1, 10000) g");
my $ready = sub {
	my ($from, $to) = @_;
	$s->run("insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
		select l.id, 0, '$late', 1, '$late', '$late', 1 from taskq.lane l where case when l.grp like 'empty%' then substr(l.grp, 6)::int between $from and $to end");
};
$ready->(5000, 5002);
$s->run('vacuum analyze taskq.ready');
my $few = rows_read('{1,2}');
is($few->{lane}, 5, 'among ten thousand empty lanes a look reads three that are not, and two it knows');
cmp_ok($few->{ready}, '<=', 4, 'with their heads');
$ready->(1, 4999);
my $many = rows_read('{}');
is($many->{lane}, 512, 'and of thousands no more than it shows');
cmp_ok($many->{ready}, '<=', 513, 'with their heads');
is($few->{removed} + $many->{removed}, 0, 'nothing is read to be thrown away');
done_testing;
