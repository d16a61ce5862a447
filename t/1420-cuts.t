#!/usr/bin/perl
# The line to Postgres is cut at every verb in every way: before the request, after it, in the answer, half open, with a transaction
# left open, late.  No acknowledged task is lost, a key has one task and one answer, a task ends once, a run whose outcome was
# cut is not run again, and an answer that says "nothing was stored" is true.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now temp_dir);
use Taskq::Postgres;
use Taskq::Proxy;
use Taskq::Shell qw(note_run noted_runs shell_handler);
use Test::More;

my $dir = temp_dir('c');
chmod 0777, $dir;

my $note = note_run($dir);
sub handler { my ($type, $text) = @_; return shell_handler($dir, $type, "read -r line\n$note$text", 'retry_base = 10ms retry_cap = 20ms') }
sub runs { return scalar noted_runs($dir, @_) }

my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => join '',
	"workers = 2\nkeys { recent = 0 }\nhttp { request_timeout = 700ms }\n",
	"postgres { deadline = 350ms\n connect_timeout = 1s\n statement_timeout = 300ms\n lock_timeout = 100ms }\n",
	"work { poll = 100ms\n slots = 4\n lease = 2s }\n",
	handler(good => 'echo "{}"'),
	handler(second => "[ \$(wc -l <$dir/runs.\$id) -gt 1 ] && echo 2"),
	handler(bad => 'exit 64'),
	handler(slow => 'exec sleep 60'),
	handler(lost => "[ \$(wc -l <$dir/runs.\$id) -gt 1 ] || exec sleep 60; echo 3"));

my (%answer, $sent); # key => the first 2xx, as bytes
sub kept { my ($r) = @_; return join "\n", $r->{status}, $r->header('location'), $r->header('idempotency-expires'), $r->{body} }

# One try.  An answer says the truth, and an accepted key says the same for ever.
sub try_submit {
	my ($type, $key) = @_;
	my $r = $t->post('/v1/tasks', { task_type => $type, payload => { key => $key } }, headers => { 'Idempotency-Key' => $key });
	if ($r->{status} == 503) {
		my $outcome = $r->header('taskq-outcome') || '';
		die "a 503 without an outcome for $key: $r->{head}\n" if $outcome !~ /^(?:none|unknown)$/;
		die "none, but there is a task of $key\n" if $outcome eq 'none' && stored($key);
		return $r;
	}
	die "$key was answered with $r->{status}: $r->{body}\n" if $r->{status} != 202 && $r->{status} != 409;
	return $r if $r->{status} == 409;
	$answer{$key} ||= kept($r);
	die "another answer for $key:\n$answer{$key}\nthen:\n" . kept($r) . "\n" if $answer{$key} ne kept($r);
	return $r;
}

sub stored { my ($key) = @_; return $pg->psql("select count(*) from taskq.task where payload = '{\"key\":\"$key\"}'") }

sub submit {
	my ($type) = @_;
	my $key = "$type-" . ++$sent;
	my $r = wait_for(sub { my $r = try_submit($type, $key); $r->{status} == 202 && $r }, 20, "an answer for $key");
	return $r->json;
}

sub incs { return $pg->psql('select string_agg(inc::text, chr(32) order by inc) from taskq.worker') }

# A read may be cut too.
sub final {
	my ($task) = @_;
	return wait_for(sub {
		my $r = $t->get("/v1/tasks/$task->{id}");
		die "task $task->{id}: $r->{status}: $r->{body}\n" if $r->{status} != 200 && $r->{status} != 503;
		return $r->{status} == 200 && $r->json->{status} !~ /^(?:pending|processing)$/ && $r->json;
	}, 20, "the end of $task->{task_type} $task->{id}");
}

my %want = (good => ['succeeded', 1, 1], second => ['succeeded', 2, 2], bad => ['dead_letter', 1, 1], lost => ['succeeded', 1, 2]);
sub expect {
	my ($type, $task) = @_;
	my $end = final($task);
	my $got = join ' ', $end->{status}, $end->{attempts}, runs($task);
	return "@{ $want{$type} }" eq $got ? () : "$type $task->{id}: $got";
}

# Whatever the client hears, it asks again.  After a 503 the first try may have done it; a retry is done once for each answer at most.
my $asked; # how often, by the last by_hand()
sub by_hand {
	my ($verb, $task) = @_;
	my $r;
	$asked = 0;
	wait_for(sub { $asked++; $r = $t->post("/v1/tasks/$task->{id}/$verb", ''); $r->{status} != 503 }, 20, "an answer to $verb");
	return $r->{status} == 200 || ($asked > 1 && $r->{status} == 409) ? () : "$verb $task->{id}: $r->{status}";
}

sub cancelled {
	my $task = submit('slow');
	wait_for(sub { runs($task) }, 20, 'the slow handler');
	my @wrong = by_hand('cancel', $task);
	my $end = final($task);
	return @wrong, $end->{status} eq 'cancelled' && runs($task) == 1 ? () : "slow $task->{id}: $end->{status}, runs " . runs($task);
}

sub replayed {
	my ($task) = @_;
	my @wrong = by_hand('retry', $task);
	wait_for(sub { runs($task) >= 2 }, 20, 'the second run');
	no_lease();
	my $end = final($task);
	return @wrong, $end->{status} eq 'dead_letter' && runs($task) <= 1 + $asked ? () : "bad $task->{id}: $end->{status}, runs " . runs($task);
}

sub no_lease { wait_for(sub { $pg->psql('select count(*) from taskq.lease') == 0 }, 20, 'no lease to be left') }

my @verbs = ('\bsubmit\b', '\bidem_read\b', '^claim worker_look$', '\bfinish\b', '\bretry\b', '\bbury\b', '\bgiveback\b', '\bpromote\b',
	'\bcancel_leased\b', '\bretry_dead\b', '\bworker_beat\b', '\bget\b', '\blane_heads\b');
my @lives = ('\bworker_delete\b', '\bwriter_new\b', '\bworker_new\b', '\bworker_silent\b');

# Those of the verbs that were not cut.
sub missed {
	my @names = map { s/^\w+: //r } $proxy->cuts;
	return grep { my $verb = $_; !grep { $_ =~ $verb } @names } @_;
}

wait_for(sub { incs() =~ /^\d+ \d+$/ }, 20, 'two workers');

# Each verb is cut once, and what repeats a cut step once more.
for my $how (qw(before forward reply partial halfopen unsynced late commit)) {
	my ($inc, $begin) = (incs(), now());
	$proxy->rules((map { { on => $_, how => $how, seconds => 0.5 } } @verbs, '\b(?:finish|claim)_again\b'));
	my @round = map { my $type = $_; map { [$type, submit($type)] } 1 .. 3 } qw(good second bad);
	my @wrong = map { expect(@$_) } @round;
	wait_for(sub { try_submit($round[0][0], $round[0][1]{payload}{key})->{status} == 202 }, 20, 'a replay');
	push @wrong, cancelled(), replayed($round[-1][1]);
	no_lease();
	wait_for(sub { !missed(@verbs) }, 10, 'cuts: ' . join ' ', missed(@verbs));
	is_deeply(\@wrong, [], sprintf '%s: every task ended as it should, without a run too many (%.1f s)', $how, now() - $begin);
	is(incs(), $inc, '... and the workers are who they were');

	$begin = now();
	my $lost = submit('lost');
	wait_for(sub { runs($lost) }, 20, 'the run that will be lost');
	$proxy->rules(map { { on => $_, how => $how, seconds => 0.5 } } @lives);
	$t->kill9('worker', $_) for 0, 1;
	is_deeply([expect(lost => $lost)], [], sprintf '%s: a dead worker is released, once (%.1f s)', $how, now() - $begin);
	wait_for(sub { incs() =~ /^\d+ \d+$/ && incs() ne $inc }, 20, 'two new workers');
	$proxy->pass;
}

# A retry by hand whose answer is cut, looked for only when the task ran and died again: once is enough.  It is asked for once: on a
# slow machine the look may not come in time, and whoever repeats a request whose outcome is unknown asks for a second run.
my $dead = submit('bad');
final($dead);
no_lease();
$proxy->rules({ on => '\bretry_dead\b', how => 'reply' }, { on => '\bget\b', how => 'delay', seconds => 0.3, after => 1 });
my $answer = $t->post("/v1/tasks/$dead->{id}/retry", '');
like($answer->{status} . ($answer->header('taskq-outcome') || ''), qr/^(?:200|503unknown)$/, 'a retry by hand that was cut is answered');
$proxy->pass;
wait_for(sub { runs($dead) >= 2 }, 20, 'the second run');
no_lease();
is(final($dead)->{status} . runs($dead), 'dead_letter2', '... and is not done twice');

# Answers in doubt.  Every try is cut until the client's time is over; then the same key, again and again.
my %told;
sub doubted {
	my ($what, $type, @rules) = @_;
	my $key = "doubt-" . ++$sent;
	$proxy->rules(@rules);
	my $r = try_submit($type, $key);
	$told{$key} = { what => $what, status => $r->{status}, outcome => $r->header('taskq-outcome') || '', type => $type };
	return $told{$key};
}
for my $how (qw(before forward reply partial halfopen unsynced late commit)) {
	my $told = doubted($how, 'good', { on => '\bsubmit\b', how => $how, times => 1000, seconds => 0.5 });
	is("$told->{status} $told->{outcome}", '503 unknown', "$how, each time: the outcome is unknown");
	$proxy->pass;
	wait_for(sub { $t->get('/readyz')->{status} == 200 }, 20, 'the daemon to be ready');
}
my $told = doubted('once, then nobody', 'good', { on => '\bsubmit\b', how => 'reply' }, { on => '^startup$', how => 'before', times => 1000 },
	{ on => '\bsubmit\b', how => 'before', times => 1000 });
is("$told->{status} $told->{outcome}", '503 unknown', 'stored, but the answer cut and no connection since: unknown');
$pg->psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'taskqd submit%'");
$told = doubted('nobody', 'good', { on => '^startup$', how => 'before', times => 1000 });
is("$told->{status} $told->{outcome}", '503 none', 'no connection: certainly not stored');
$proxy->pass;
wait_for(sub { $t->get('/readyz')->{status} == 200 }, 20, 'the daemon to be ready');
for my $key (sort keys %told) {
	my $told = $told{$key};
	next if $told->{outcome} ne 'none';
	is(stored($key), 0, "$told->{what}: what was not stored then is not there now");
}
my @late = map { my $key = $_; wait_for(sub { my $r = try_submit($told{$key}{type}, $key); $r->{status} == 202 && $r }, 20, $key)->json } sort keys %told;
is(join(' ', map { try_submit($told{$_}{type}, $_)->{status} } sort keys %told), join(' ', (202) x keys %told), 'sent again, each is accepted, and told the same twice');
is(join(' ', map { stored($_) } sort keys %told), join(' ', (1) x keys %told), 'one task each');
is_deeply([map { expect($_->{task_type}, $_) } @late], [], 'and each ran once');

is($pg->psql('select count(*) from taskq.task'), scalar keys %answer, 'as many tasks as keys');
is($pg->psql('select count(*) from taskq.idem'), scalar keys %answer, 'and as many keys');
no_lease();
is($t->stop, 0, 'taskqd drained');

# Two submissions in one batch, its first try still running when the second one gives up: halved, both stay in doubt.
$t = Taskq->start(pg => $pg, proxy => $proxy, db => $pg->createdb('halves'), config => "http { request_timeout = 2s }\nhandler noop { kind = builtin }\n" .
	"postgres { deadline = 500ms\n statement_timeout = 150ms\n lock_timeout = 5s\n submit_connections = 1 }\n");
$t->submit('noop', {});
$proxy->rules({ on => '^startup$', how => 'delay', seconds => 0.6 }, { on => '\bsubmit\b', how => 'commit', seconds => 3 });
$pg->psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'taskqd submit'");
wait_for(sub { $t->get('/readyz')->{status} == 503 }, 10, 'the loss of the session');
my @both = map { $t->connect } 1, 2;
$both[$_]->send_request('POST', '/v1/tasks', json => { task_type => 'noop' }, headers => { 'Idempotency-Key' => "half-$_" }) for 0, 1;
my @answers = map { $_->response } @both;
is_deeply([grep { /\bsubmit\b/ } $proxy->cuts], ['commit: submit'], 'one batch was cut');
is(join(' ', map { $_->{status} . ' ' . ($_->header('taskq-outcome') || '') } @answers), '503 unknown 503 unknown', 'both halves of it are in doubt');
wait_for(sub { $pg->psql('select count(*) from taskq.task', db => 'halves') == 3 }, 20, 'the late commit');
pass('and rightly so');
is($t->stop, 0, 'taskqd drained');
done_testing;
