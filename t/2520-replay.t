#!/usr/bin/perl
# Many dead letters at once: replayed by a filter, with a preview and at a rate; paused, resumed, cancelled; discarded; blocked.  Each is
# taken once, although the keeper is killed before a step, while it is under way and when nobody has read its answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir wait_for write_file);
use Test::More;

my (undef, $version) = slurp_command(command => [Taskq->program, '-V']);
my $kills = $version =~ /failpoints on/;
my @points = ('sql.sweep_take.before', 'sql.sweep_take.sent', 'sql.sweep_take.answered');
my $fuses = temp_dir('f');
chmod 0777, $fuses;

# A handler that fails, and the same when it was repaired.
sub config {
	my ($builtin, $window) = @_;
	my %more = (a => 'breaker = off retry_window = 0', b => 'breaker = off retry_window = 0',
		broken => 'breaker_min = 5 breaker_share = 50 breaker_pause = 1h breaker_pause_max = 1h retry_window = 0',
		tight => 'breaker = off retry_floor = 5 retry_share = 0 retry_window = ' . ($window // '1h'));
	return "work { poll = 200ms }\ndead { replay_slow_start = 0 replay_rate = 10000 replay_concurrency = 100000 }\n" .
	    join "\n", map { "handler $_ { kind = builtin builtin = $builtin $more{$_} }" } sort keys %more;
}
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => config('fail'), env => { TASKQ_FP => join(';', map { "$_=kill9" } @points), TASKQ_FP_FUSES => $fuses });
sub value { my $answer = $pg->psql($_[0]); chomp $answer; return $answer }

# So many letters of a type, filed.
sub letters {
	my ($type, $n, %o) = @_;
	my @items = map { { task_type => $type, max_attempts => 1, idempotency_key => "$type-$$-$_-" . rand, %o } } 1 .. $n;
	my $r = $t->post('/v1/tasks/batch', \@items);
	die $r->body if $r->status != 200;
	wait_for(sub { value("select count(*) from taskq.dead d where d.resolution is null and d.cause is not null
		and d.lane in (select l.id from taskq.lane l join taskq.kind k on k.id = l.kind_id where k.name = '$type')") >= $n }, 60, 'the letters to be filed');
	return map { $_->{id} || $_->{task}{id} } @{ $r->json->{items} || [] };
}
my @who = (by => 'me', why => 'repaired');
sub act { my ($what, $filter, %o) = @_; return $t->post("/v1/dead/$what", { filter => $filter, @who, %o }) }
sub look { my ($id) = @_; return $t->get("/v1/dead/replays/$id")->json }
sub wait_state { my ($id, $state) = @_; my $s; return eval { wait_for(sub { $s = look($id); $s->{state} eq $state && $s }, 60, "act $id to be $state") } || die $@ . explain($s) }
# Whoever ran tasks before is gone afterwards.
sub repair {
	my $old = $t->role_pid('worker');
	$t->hup(config(@_));
	wait_for(sub { !kill 0, $old }, 60, 'the worker of before to be gone');
	return;
}
sub refused {
	my ($name, $r, $status, $code) = @_;
	is($r->status . ' ' . ($r->json->{code} // ''), "$status $code", $name) or diag($r->body);
	return;
}

# --- asked badly ----------------------------------------------------------------------------------------------------------------

refused('an empty filter', act('replays', {}), 422, 'empty_filter');
refused('no filter', $t->post('/v1/dead/replays', { @who }), 422, 'invalid_filter');
refused('a rate of 0', act('replays', { task_type => 'a' }, rate => 0), 400, 'invalid_field');
refused('a rate that is no number', act('replays', { task_type => 'a' }, rate => '5'), 400, 'invalid_field');
refused('too much of a share', act('replays', { task_type => 'a' }, stop_share => 101), 400, 'invalid_field');
refused('a discard with canaries', act('discards', { task_type => 'a' }, canary => 1), 400, 'unknown_field');
refused('nobody', $t->post('/v1/dead/discards', { filter => { task_type => 'a' }, why => 'x' }), 400, 'missing_field');
refused('no reason', $t->post('/v1/dead/discards', { filter => { task_type => 'a' }, by => 'x' }), 400, 'missing_field');
refused('a payload for any type', act('replays', { queue => 'default' }, payload => {}), 422, 'invalid_filter');
refused('no such replay', $t->get('/v1/dead/replays/999'), 404, 'not_found');
refused('nor can it be paused', $t->post('/v1/dead/replays/999/pause', { @who }), 404, 'not_found');
is(value('select count(*) from taskq.sweep'), 0, 'nothing was stored');

# --- a preview, and the whole -----------------------------------------------------------------------------------------------------

letters('a', 200);
letters('b', 30);
letters('tight', 12);
letters('broken', 5);
my $dry = $t->post('/v1/dead/replays', { filter => { task_type => 'a' }, dry_run => \1 })->json;
is("$dry->{count} $dry->{exact}", '200 1', 'a dry run counts');
is(scalar @{ $dry->{sample} }, 10, 'and shows a few');
is(value('select count(*) from taskq.sweep') + value('select count(*) from taskq.ready'), 0, 'and does nothing');

repair('noop');
my %key = (headers => { 'Idempotency-Key' => "replay-$$" });
my $body = { filter => { task_type => 'a' }, rate => 50, @who };
my $r = $t->post('/v1/dead/replays', $body, %key);
is($r->status, 201, 'a replay is made');
my $id = $r->json->{id};
is($r->header('Location'), "/v1/dead/replays/$id", 'and has a place');
is($r->json->{total}, 200, 'with its total');
$r = $t->post('/v1/dead/replays', $body, %key);
is($r->status . ' ' . $r->json->{id} . ' ' . $r->header('Idempotent-Replayed'), "200 $id true", 'the same request finds it');
$r = $t->post('/v1/dead/replays', { %$body, rate => 1 }, %key);
refused('the same key with another body', $r, 422, 'key_mismatch');
SKIP: {
	skip 'taskqd was configured without --enable-failpoints', scalar @points if !$kills;
	my $moved = 0;
	for my $point (@points) {
		my $keeper = $t->role_pid('keeper');
		$moved = wait_for(sub { my $s = look($id); $s->{moved} > $moved && $s->{moved} }, 60, 'the replay to go on');
		write_file("$fuses/$point", '');
		wait_for(sub { !-e "$fuses/$point" }, 60, "the keeper to be killed at $point");
		ok(wait_for(sub { $t->role_pid('keeper') != $keeper }, 60, 'the next keeper'), "the keeper was killed at $point");
	}
}
my $end = wait_state($id, 'done');
is(join(' ', @$end{qw(moved succeeded failed in_flight)}), '200 200 0 0', 'all were replayed and succeeded');
is(value("select count(*) || ' ' || min(run) || ' ' || max(run) from taskq.done where status = 1"), '200 2 2', 'each once');
is(value("select count(*) || ' ' || count(distinct id) from taskq.dead where resolution = 1 and sweep = $id"), '200 200', 'each letter says by what');
is(value('select count(*) from taskq.swept'), 0, 'nothing is left to look after');
is(value("select string_agg(act || ' ' || n, ', ' order by id) from taskq.audit where (target->>'sweep')::int = $id"), 'replay 200, replay.end 200', 'it is in the audit');
refused('letters that were replayed cannot be replayed', act('replays', { task_type => 'a' }), 409, 'no_letters');
refused('nor by id', act('replays', { ids => [value("select id from taskq.dead where sweep = $id limit 1")] }), 409, 'no_letters');
refused('nor are there any of a code that nobody has', act('discards', { code => 'NO_SUCH' }), 409, 'no_letters');
is(value('select count(*) from taskq.sweep'), 1, 'nothing was made');
$r = $t->post('/v1/dead/replays', $body, %key);
is($r->status . ' ' . $r->json->{id}, "200 $id", 'the request that made one finds it still');
refused('a discard with its key and its body is another act', $t->post('/v1/dead/discards', $body, %key), 422, 'key_mismatch');
refused('what is over cannot be paused', $t->post("/v1/dead/replays/$id/pause", { @who }), 409, 'replay_over');

# --- a handler that does not bear it ---------------------------------------------------------------------------------------------

sub wait_held { my ($id) = @_; return wait_for(sub { my $s = look($id); ($s->{held} // '') eq 'handler' && $s }, 60, "act $id to be held by the handler") }
$id = act('replays', { task_type => 'broken' })->json->{id};
is(wait_held($id)->{moved}, 0, 'nothing moves while the circuit breaker is open');
is($t->post('/v1/handlers/broken/reset', {})->status, 200, 'it is closed');
is(wait_state($id, 'done')->{succeeded}, 5, 'and all go on');
$id = act('replays', { task_type => 'tight' })->json->{id};
is(wait_held($id)->{moved}, 5, 'no more move than the retry budget has');
repair('noop', '0');
is(wait_state($id, 'done')->{succeeded}, 12, 'without one the rest follows');

# --- by hand --------------------------------------------------------------------------------------------------------------------

$id = act('replays', { task_type => 'b' }, rate => 0.1)->json->{id};
refused('another one of the same letters', act('discards', { all => \1 }), 409, 'overlaps');
is(act('discards', { all => \1 })->json->{replay}, $id, 'is told which is in its way');
refused('one of others is not in its way', act('discards', { task_type => 'c' }), 409, 'no_letters');
is($t->post("/v1/dead/replays/$id/pause", { @who })->json->{state}, 'paused', 'it is paused');
is($t->post("/v1/dead/replays/$id/pause", { @who })->json->{state}, 'paused', 'twice is the same');
is($t->post("/v1/dead/replays/$id/resume", { @who })->json->{state}, 'running', 'it goes on');
is($t->post("/v1/dead/replays/$id/cancel", { @who })->json->{state}, 'cancelled', 'it is cancelled');
refused('and stays so', $t->post("/v1/dead/replays/$id/resume", { @who }), 409, 'replay_over');
is($t->get('/v1/dead/replays?limit=2')->json->{items}[0]{id}, $id, 'the list has the newest first');

# --- blocked ----------------------------------------------------------------------------------------------------------------------

my $letter = value("select d.id from taskq.dead d join taskq.cause c on c.id = d.cause join taskq.kind k on k.id = c.kind_id
	where k.name = 'b' and d.resolution is null limit 1");
is($t->request('PUT', '/v1/dead/blocks', json => { task_type => 'b', @who })->json->{changed}, 1, 'a task type is blocked');
is($t->get('/v1/dead/blocks')->json->{items}[0]{task_type}, 'b', 'the list says so');
refused('a retry by hand is refused', $t->post("/v1/tasks/$letter/retry", {}), 409, 'replay_blocked');
$id = act('replays', { task_type => 'b' })->json->{id};
$end = wait_state($id, 'done');
is("$end->{moved} $end->{blocked}", '0 ' . $end->{total}, 'a replay leaves what is blocked, and counts it');
is($t->request('DELETE', '/v1/dead/blocks', json => { task_type => 'b', @who })->json->{changed}, 1, 'it is not blocked any more');
is($t->post("/v1/tasks/$letter/retry", {})->status, 200, 'a retry by hand works');

# --- discarded, fixed, with a new payload -------------------------------------------------------------------------------------------

$end = wait_state(act('discards', { task_type => 'b' }, limit => 20)->json->{id}, 'done');
is($end->{moved}, 20, 'as many are discarded as were asked for');
$letter = value('select id from taskq.dead where resolution = 2 limit 1');
my $task = $t->task($letter);
is($task->{status}, 'failed', 'they have failed');
is($task->{error_code}, 'HANDLER_FAILED', 'as they had died');
$id = act('fixes', { task_type => 'b' })->json->{id};
$end = wait_state($id, 'done');
is($end->{moved}, value("select count(*) from taskq.dead where resolution = 3"), 'the others are fixed');
repair('fail', '0');
letters('b', 5, payload => { old => 1 });
repair('echo', '0');
wait_state(act('replays', { task_type => 'b' }, payload => { new => [1, 2.5, 'x'] })->json->{id}, 'done');
is(value(q(select count(*) from taskq.done where convert_from(result, 'UTF8') = '{"new":[1,2.5,"x"]}')), 5, 'a new payload is what runs');
is($t->stop, 0, 'taskqd drained');
done_testing;
