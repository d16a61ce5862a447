#!/usr/bin/perl
# What a node asks of the database at rest does not grow with what is stored: neither open dead letters, nor an owner of them, nor a pause, nor workers
# and queues that were, are looked at again and again when nothing has changed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Postgres;
use Test::More;

# The watch comes often here, so that a few seconds tell; all else has the pace of every node.
my $pg = Taskq::Postgres->new(private => 1, fsync => 0, settings => { log_statement => "'all'" });
my $t = Taskq->start(pg => $pg, config => <<'CONF');
acceptors = 1
workers = 1
work { lease = 1s grace = 1min }
handler echo { kind = builtin builtin = echo }
handler fail { kind = builtin builtin = fail }
CONF
my $watches = 32;

# What was asked from here on, by name.
sub asked {
	my ($from) = @_;
	my ($log, %n) = (substr $pg->log, $from);
	$n{$1}++ while $log =~ /LOG:  execute (\w+)[.:]/g;
	return \%n;
}

# The looks of a few seconds that others than the beats do, and what is told of a watch.
sub looks {
	my ($what) = @_;
	my $from = length $pg->log;
	wait_for(sub { (asked($from)->{watch} || 0) >= $watches }, 120, 'the watches');
	my $n = asked($from);
	note("$what: ", join ', ', map { "$_ $n->{$_}" } sort keys %$n);
	my $beats = join '|', qw(watch worker_beat lane_heads);
	my $sum = 0;
	$sum += $n->{$_} for grep { !/^(?:$beats|hello\w*|purge_\w+|\w+_purge|upkeep)$/ } keys %$n;
	return $sum;
}

# Nothing was told of letters for a while.
sub settle {
	my ($letters) = @_;
	wait_for(sub { ($t->metric('taskq_dead_letters', queue => 'default') // 0) == $letters }, 60, 'the letters to be counted');
	wait_for(sub { my $from = length $pg->log; wait_for(sub { (asked($from)->{watch} || 0) >= 10 }, 60, 'some watches'); my $n = asked($from); !$n->{escalate} && !$n->{dead_queues} },
		60, 'rest');
}

$t->wait_final($t->submit('echo', { n => $_ }, queue => "q$_")) for 1 .. 5;
is($t->request('PUT', '/v1/dead/owners', json => { queue => 'default', owner => 'eve', sla_seconds => 86400, by => 'eve', why => 'a trial' })->status, 200, 'an owner');
$t->wait_final($t->submit('fail', { n => $_ }, max_attempts => 1)) for 1 .. 3;
settle(3);
is($t->metric('taskq_dead_unowned'), 0, 'they have an owner');
$t->post('/v1/queues/q1/pause', {});
$t->kill9('worker', 0);
$t->log_wait(qr/worker released/);
settle(3);
my $used = looks('with letters, an owner, a pause and a worker that died');
cmp_ok($used, '<=', 2, "$watches watches of a node at rest find nothing to look at");

# what changes is seen all the same
$pg->psql("update taskq.cause set seen_by = 'adam', seen_at = now() where open > 0");
ok(eval { wait_for(sub { ($t->metric('taskq_dead_acknowledged') // 0) == 1 }, 60, 'the gauge') }, 'an acknowledgement that another node took is counted');
$pg->psql("update taskq.cause set due_at = now() + interval '2 s' where open > 0");
ok(eval { wait_for(sub { ($t->metric('taskq_dead_overdue') // 0) == 1 }, 60, 'the gauge') }, 'and is told when it is overdue');
ok($t->log_wait(qr/dead letters are overdue/, 60), 'in the log, too');
is($t->stop, 0, 'drained');
done_testing;
