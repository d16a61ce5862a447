#!/usr/bin/perl
# Handlers in trouble are spared: the breaker opens, tasks wait without spending attempts, probes close it, also when a prober is killed; a reset
# closes it by hand; a wave of retries is held back by the budget; an adaptive window grows and falls.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;

# Fails while NAME.down is there; waits while NAME.hold is there.
write_file("$dir/moody", <<"SH");
#!/bin/sh
echo >> $dir/\$1.starts
[ ! -e $dir/\$1.down ] || exit 1
while [ -e $dir/\$1.hold ]; do : > $dir/\$1.held.\$\$; sleep 0.02; done
SH
# Runs until go.N is there; fails when bad.N is.
write_file("$dir/gate", <<"SH");
#!/bin/sh
n=\$(sed 's/.*"n":\\([0-9]*\\).*/\\1/')
: > $dir/run.\$n
while [ ! -e $dir/go.\$n ] && [ ! -e $dir/open ]; do sleep 0.02; done
rm $dir/run.\$n
[ ! -e $dir/bad.\$n ]
SH
chmod 0755, "$dir/moody", "$dir/gate";

my $quick = "retry_base = 10ms\n retry_cap = 20ms\n retry_window = 0\n breaker_min = 5\n breaker_share = 80\n timeout = 10min\n";
my $t = Taskq->start(config => <<"CONF");
workers = 2
work { slots = 2
 poll = 50ms }
handler shut { command = {"$dir/moody", "shut"}
 $quick breaker_pause = 1h
 breaker_pause_max = 1h }
handler probed { command = {"$dir/moody", "probed"}
 $quick breaker_pause = 50ms
 breaker_pause_max = 1s
 breaker_probes = 2 }
handler killed { command = {"$dir/moody", "killed"}
 $quick breaker_pause = 1s
 breaker_pause_max = 1s
 breaker_probes = 1 }
handler lasting { kind = builtin
 builtin = fail
 breaker_pause = 20min
 breaker_pause_max = 7d }
handler careless { kind = builtin
 builtin = fail
 $quick breaker = off }
handler wave { kind = builtin
 builtin = fail
 breaker = off
 retry_base = 10ms
 retry_cap = 20ms
 retry_window = 1h
 retry_floor = 5
 retry_share = 0 }
handler adapt { command = {"$dir/gate"}
 timeout = 10min
 retry_base = 1h
 retry_cap = 1h
 breaker_min = 1000
 breaker_window = 1h
 breaker_pause = 1h
 breaker_pause_max = 1h
 adaptive = on
 adaptive_start = 1
 concurrency = 2 }
handler echo { kind = builtin
 builtin = echo }
CONF

sub handler {
	my ($name) = @_;
	my ($h) = grep { $_->{name} eq $name } @{ Taskq::HTTP::decode($t->get('/v1/handlers')->body)->{items} };
	return $h;
}
sub state_of { return handler($_[0])->{breaker}{state} }
sub starts { my $text = read_file("$dir/$_[0].starts"); return defined $text ? length $text : 0 }
sub sql { return Taskq->pg->psql($_[0]) }
sub reset_of { return Taskq::HTTP::decode($t->post("/v1/handlers/$_[0]/reset", undef)->body) }
sub no_leases { return sql('select count(*) from taskq.lease') == 0 }
sub all_end { my @tasks = @_; is(scalar(grep { $t->wait_final($_)->{status} ne 'succeeded' } @tasks), 0, 'all tasks succeed in the end'); return }

subtest 'it opens, and tasks wait' => sub {
	my $new = handler('shut');
	is($new->{kind}, 'exec', 'the list tells its kind');
	is_deeply($new->{breaker}, { state => 'closed', until => undef, runs => 0, failures => 0, opened => 0 }, 'and that nothing happened');
	is($new->{retry_budget}, undef, 'it has no retry budget');
	write_file("$dir/shut.down", '');
	my @tasks = map { $t->submit('shut', { n => $_ }, max_attempts => 50) } 1 .. 12;
	wait_for(sub { state_of('shut') eq 'open' }, 20, 'the breaker to open');
	wait_for(sub { no_leases() && handler('shut')->{concurrency}{running} == 0 }, 20, 'what was claimed to go back');
	my $starts = starts('shut');
	cmp_ok($starts, '>=', 5, 'not before enough has failed');
	my $late = $t->submit('shut', { n => 13 });
	is($t->wait_final($t->submit('echo', { n => $_ }))->{status}, 'succeeded', 'others go on') for 1 .. 3;
	is(starts('shut'), $starts, 'nothing of it starts');
	is($t->task($late)->{status}, 'pending', 'a task waits');
	is($t->task($late)->{attempts}, 0, 'and keeps its attempts');
	my $spent = 0;
	$spent += $t->task($_)->{attempts} for @tasks;
	is($spent, $starts, 'an attempt is spent for each start and for nothing else');
	my $breaker = handler('shut')->{breaker};
	cmp_ok($breaker->{failures}, '>=', 5, 'the list tells the failures');
	cmp_ok($breaker->{until}, 'gt', $tasks[0]{created_at}, 'and until when');
	is($t->metric('taskq_breaker_state', handler => 'shut'), 1, 'the metric is open');
	is($t->metric('taskq_breaker_state', handler => 'echo'), 0, 'that of another is not');
	is($t->metric('taskq_breaker_opened_total', handler => 'shut'), 1, 'it opened once');

	is(reset_of('shut')->{breaker}{state}, 'closed', 'a reset closes it');
	wait_for(sub { handler('shut')->{breaker}{opened} == 2 }, 20, 'the next failures to open it');
	cmp_ok(starts('shut') - $starts, '>=', 5, 'after as many as before');
	unlink "$dir/shut.down";
	reset_of('shut');
	all_end(@tasks, $late);
	is(state_of('shut'), 'closed', 'it stays closed');
	is($t->metric('taskq_breaker_state', handler => 'shut'), 0, 'the metric too');
	my $r = $t->post('/v1/handlers/nobody/reset', undef);
	is($r->status, 404, 'a handler that is not there');
	is(Taskq::HTTP::decode($r->body)->{code}, 'unknown_handler', 'is said so');
	is($t->post('/v1/handlers/shut/reset', { now => 1 })->json->{code}, 'unknown_field', 'nothing is to be said with it');
};

subtest 'probes' => sub {
	write_file("$dir/probed.down", '');
	my @tasks = map { $t->submit('probed', { n => $_ }, max_attempts => 100) } 1 .. 12;
	wait_for(sub { handler('probed')->{breaker}{opened} >= 4 }, 20, 'probes to fail');
	my $starts = starts('probed');
	my $opened = handler('probed')->{breaker}{opened};
	# Five open it; three more may run by then; each later opening takes two probes at most, and two may be under way.
	cmp_ok($starts, '<=', 5 + 3 + 2 * $opened, "few runs for $opened openings");
	unlink "$dir/probed.down";
	all_end(@tasks);
	is(state_of('probed'), 'closed', 'probes closed it');
};

subtest 'a prober is killed' => sub {
	write_file("$dir/killed.down", '');
	my @tasks = map { $t->submit('killed', { n => $_ }, max_attempts => 100) } 1 .. 8;
	# What was under way when it opened is no probe, and has to be over first.
	wait_for(sub { my $h = handler('killed'); $h->{breaker}{opened} >= 1 && $h->{concurrency}{running} == 0 }, 20, 'the breaker to open');
	write_file("$dir/killed.hold", '');
	unlink "$dir/killed.down";
	wait_for(sub { my @held = glob "$dir/killed.held.*"; @held == 1 }, 20, 'the probe');
	wait_for(sub { state_of('killed') eq 'half_open' }, 20, 'half open');
	$t->kill9('worker', $_) for 0, 1;
	wait_for(sub { my @held = glob "$dir/killed.held.*"; @held == 2 }, 20, 'another probe in its place');
	ok(wait_for(sub { handler('killed')->{concurrency}{running} == 1 }, 20, 'one run to be counted'), 'the run of the dead worker is not counted');
	unlink "$dir/killed.hold";
	all_end(@tasks);
	is(state_of('killed'), 'closed', 'closed');
};

subtest 'a lasting failure' => sub {
	$t->submit('lasting', { error_class => 'PERSISTENT' });
	wait_for(sub { state_of('lasting') eq 'open' }, 20, 'one to open it');
	is(handler('lasting')->{breaker}{failures}, 1, 'one failure was enough');
	my $late = $t->submit('lasting', {});
	is($t->wait_final($t->submit('echo', { m => 1 }))->{status}, 'succeeded', 'others go on');
	is($t->task($late)->{attempts}, 0, 'the next task waits for the canary');
	my $task = $t->submit('careless', { error_class => 'PERSISTENT' }, max_attempts => 6);
	is($t->wait_final($task)->{attempts}, 6, 'without a breaker nothing is held up');
	is(handler('careless')->{breaker}, undef, 'and none is told of');
};

subtest 'the retry budget' => sub {
	is_deeply(handler('wave')->{retry_budget}, { left => 5, window => 3600, refused => 0 }, 'a full budget');
	my @tasks = map { $t->submit('wave', { n => $_ }, max_attempts => 50) } 1 .. 40;
	wait_for(sub { handler('wave')->{retry_budget}{refused} == 40 }, 20, 'all retries but the first five to be held back');
	wait_for(sub { no_leases() }, 20, 'everything to be written');
	my ($attempts, $dead) = (0, 0);
	for my $task (map { $t->task($_) } @tasks) {
		$attempts += $task->{attempts};
		$dead += $task->{status} ne 'pending';
	}
	is($attempts, 45, 'forty first runs and five retries');
	is($dead, 0, 'nothing is lost');
	my $ids = join ',', map { "'$_->{id}'" } @tasks;
	is(sql("select count(*) from taskq.waiting where id in ($ids) and due_at > now() + interval '7 hours 6 minutes'"), 5,
		'they come back one by one, every twelve minutes');
	is($t->metric('taskq_retry_budget_refused_total', handler => 'wave'), 40, 'they are counted');
	is(handler('wave')->{retry_budget}{left}, 0, 'nothing is left');
	is(reset_of('wave')->{retry_budget}{left}, 5, 'a reset refills it');
};

sub running { my @n = sort { $a <=> $b } map { /run\.(\d+)$/ } glob "$dir/run.*"; return @n }
sub window { return handler('adapt')->{concurrency}{window} }

# Waits until the window is full, lets the oldest end, and returns the window after that.
my %failed;
sub let_go {
	my ($bad) = @_;
	my ($window, $runs) = (window(), handler('adapt')->{breaker}{runs});
	wait_for(sub { my @n = running(); @n == $window && handler('adapt')->{concurrency}{running} == $window }, 20, "$window to run");
	my ($n) = running();
	write_file("$dir/bad.$n", '') if $bad;
	$failed{$n} = 1 if $bad;
	write_file("$dir/go.$n", '');
	wait_for(sub { handler('adapt')->{breaker}{runs} == $runs + 1 }, 20, "the end of $n");
	return window();
}

subtest 'the adaptive window' => sub {
	my @tasks = map { $t->submit('adapt', { n => $_ }, max_attempts => 50) } 1 .. 30;
	is(window(), 1, 'it begins small');
	my @windows = map { let_go(0) } 1 .. 9;
	is_deeply(\@windows, [2, 2, 2, 3, 3, 3, 4, 4, 4], 'it grows by one with each windowful, up to concurrency times workers');
	is($t->metric('taskq_concurrency_window', handler => 'adapt'), 4, 'the metric');
	is_deeply([map { let_go(1) } 1 .. 2], [3, 2], 'it falls with each failure');
	is(let_go(0), 2, 'a success is a sign of life');
	let_go(1) for 1 .. 3;
	is(state_of('adapt'), 'closed', 'windows of failures');
	let_go(1);
	is(state_of('adapt'), 'open', 'then it is dead, long before its breaker would have counted enough');
	is(window(), 1, 'and begins anew');
	write_file("$dir/open", '');
	reset_of('adapt');
	all_end(map { $tasks[$_ - 1] } grep { !$failed{$_} } 1 .. 30);
};

is($t->stop, 0, 'taskqd drained');
done_testing;
