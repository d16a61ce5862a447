#!/usr/bin/perl
# Every kind of handler at once on two nodes, tasks that end in every way, and a storm: processes are killed, sessions cut, options changed, a
# queue is paused, tasks are cancelled.  When it is over, what is promised holds for every task; each promise is a point.
# A soak, so it runs only when TASKQ_FULL=1 (scripts/test --full) or TASKQ_SEED is set; TASKQ_SEED=n repeats the order of things as far as
# the machine does and takes a third of the time, TASKQ_SEED=0 takes a new one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(shuffle);
use POSIX qw(strftime);
use Taskq;
use Taskq::Acts;
use Taskq::HTTP;
use Taskq::Machine qw(now patience read_file temp_dir write_file);
use Taskq::Service;
use Taskq::Truth;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'a soak: set TASKQ_FULL=1 or TASKQ_SEED=0' if !$ENV{TASKQ_FULL} && !defined $ENV{TASKQ_SEED};
my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};
defined $python or plan skip_all => 'python3 is needed; scripts/packages test installs it';

my $seed = $ENV{TASKQ_SEED} || int rand 2 ** 31;
srand $seed;
my ($tasks, $seconds, $limit) = ($ENV{TASKQ_FULL} ? 2400 : 800, $ENV{TASKQ_FULL} ? 75 : 25, 3);

# A handler may run as somebody who cannot enter the source tree.
my $dir = temp_dir('m');
chmod 0777, $dir;
mkdir "$dir/Taskq", 0755;
for my $name (qw(Taskq/Acts.pm storm/step.pl storm/pool.py)) {
	my ($to) = $name =~ m{(Taskq/.*|[^/]+)$};
	write_file("$dir/$to", read_file("$FindBin::Bin/lib/$name"), 0644);
}
write_file("$dir/journal", '', 0666);
my $service = Taskq::Service->start(journal => $dir);
my $pg = Taskq::Postgres->new(private => 1, fsync => 0);

# --- the nodes: what may change at a reload does ----------------------------------------------------------------------

sub one { return $_[rand @_] }

sub config {
	my ($node, $change) = @_;
	my %o = (workers => 2, slots => 8, prefetch => 8, poll => '100ms', children => 1, recycle => 0, breaker => 'on', concurrency => 0, adaptive => 'off');
	%o = (workers => one(1, 2, 2, 3), slots => one(3, 8, 12), prefetch => one(0, 4, 16), poll => one('50ms', '200ms'), children => one(1, 1, 2),
		recycle => one(0, 5), breaker => one('on', 'off'), concurrency => one(0, 2), adaptive => one('on', 'off')) if $change;
	my $often = "retry_base = 10ms\n retry_cap = 100ms\n retry_persistent = 2\n retry_floor = 10000\n timeout = 120s\n " .
		"breaker_pause = 20ms\n breaker_pause_max = 200ms\n breaker_window = 1s\n";
	return <<"CONF";
node = "node$node"
acceptors = 2
workers = $o{workers}
kill_grace = 2s
http { wait_max = 30s }
postgres { connect_timeout = 5s }
work { slots = $o{slots} prefetch = $o{prefetch} poll = $o{poll} crash_max = 5 }
call { allow = {"127.0.0.0/8"} }
queue exact { concurrency = $limit }
handler step { command = {"$^X", "-I", "$dir", "$dir/step.pl", "$dir"}
 concurrency = $o{concurrency}
 $often }
handler pooled { kind = pool
 command = {"$python", "$dir/pool.py", "$dir"}
 children = $o{children}
 recycle_tasks = $o{recycle}
 $often }
handler served { kind = http
 url = "@{[$service->url('/storm')]}"
 adaptive = $o{adaptive}
 breaker = $o{breaker}
 $often }
handler pulled { kind = lease
 $often }
handler echo { kind = builtin
 builtin = echo }
handler nap { kind = builtin
 builtin = sleep }
handler fail { kind = builtin
 builtin = fail
 $often }
CONF
}

my @nodes = map { Taskq->new(pg => $pg, config => config($_)) } 1, 2;
$nodes[0]->migrate;
Taskq::Truth::witness($pg);
$_->launch for @nodes;

# --- clients that lease ---------------------------------------------------------------------------------------------

# Says it until it was heard, or is known to be too late.
sub client_say {
	my ($address, $lease, $verb, $json) = @_;
	for (1 .. 50) {
		my $r = eval { Taskq::HTTP->connect($address)->request('POST', "/v1/leases/$lease/$verb", body => $json, close => 1) };
		return if $r && $r->{status} =~ /^(?:200|409)$/;
		die "$verb of a lease: $r->{body}\n" if $r && $r->{status} < 500;
		sleep 0.1;
	}
	return;
}

sub client_task {
	my ($address, $envelope) = @_;
	my $run = Taskq::Acts::begin($dir, 'lease', Taskq::HTTP::encode($envelope));
	client_say($address, $run->{lease}, 'heartbeat', '{"progress":10,"note":"begun","lease_seconds":8}');
	my $act = Taskq::Acts::end($run);
	return client_say($address, $run->{lease}, 'heartbeat', '{"lease_seconds":1}') if $act eq 'crash';
	return client_say($address, $run->{lease}, 'release', '{"delay":0}') if $act eq 'snooze';
	return client_say($address, $run->{lease}, 'complete', "{\"result\":{\"ran\":\"$run->{lease}\"}}") if $act eq 'ok';
	return client_say($address, $run->{lease}, 'fail', Taskq::Acts::report($act));
}

sub client {
	my ($address) = @_;
	while (!-e "$dir/end") {
		my $r = eval { Taskq::HTTP->connect($address)->request('POST', '/v1/queues/pull/lease', json => { wait => 1, max => 2, lease_seconds => 8 }, close => 1) };
		if (!$r || $r->{status} != 200) {
			sleep 0.1;
			next;
		}
		client_task($address, $_) for @{ $r->json->{leases} };
	}
	return;
}

my @clients;
for my $address (map { ($_->address) x 2 } @nodes) {
	my $pid = fork;
	die "could not fork: $!\n" if !defined $pid;
	if ($pid == 0) {
		$SIG{TERM} = 'DEFAULT';
		Taskq::Machine::die_with_parent(15);
		eval { client($address); 1 } or print STDERR "a client failed: $@";
		POSIX::_exit(0);
	}
	push @clients, $pid;
}

# --- what is submitted ----------------------------------------------------------------------------------------------

my (%sent, @late, $serial);

sub acts {
	my ($type) = @_;
	my @ways = (qw(transient transient limited snooze snooze crash), $type eq 'pulled' ? () : 'garbage', rand() < 0.1 ? 'persistent' : ());
	my @acts = map { one(@ways) } 1 .. one(0, 0, 1, 1, 2, 3);
	push @acts, one((qw(ok)) x 8, qw(bad unknown transient));
	return join ' ', map { "$_:" . int rand 60 } @acts;
}

sub rfc3339 { my ($t) = @_; return strftime('%Y-%m-%dT%H:%M:%S', gmtime $t) . sprintf('.%06dZ', ($t - int $t) * 1e6) }

# A random task, with its idempotency key; `late` beside it when it is late already.
sub draw {
	my $type = one(qw(step step step pooled pooled pooled served served pulled pulled echo nap fail));
	my %t = (idempotency_key => 'storm-' . ++$serial, task_type => $type, max_attempts => 1 + int rand 6);
	$t{payload} = { acts => acts($type) } if $type !~ /^(?:echo|nap|fail)$/;
	$t{payload} = { seconds => rand 0.05 } if $type eq 'nap';
	$t{payload} = { error_class => one(qw(TRANSIENT NON_RETRYABLE)), error_code => 'BUILTIN' } if $type eq 'fail';
	$t{queue} = $type eq 'pulled' ? 'pull' : one(qw(default mixed exact exact paused));
	$t{priority} = int(rand 201) - 100 if rand() < 0.3;
	$t{group} = one(qw(a b c)) if rand() < 0.3;
	my $delay = rand() < 0.1 ? 0.1 + rand 2 : 0;
	$t{run_at} = rfc3339(time + $delay) if $delay;
	my $late = !$delay && rand() < 0.04;
	$t{expires_at} = rfc3339($late ? time - 1 : time + $delay + 0.1 + rand 2) if $late || rand() < 0.08;
	return (\%t, $late);
}

sub bulk {
	my ($node, $n) = @_;
	my @drawn = map { [draw()] } 1 .. $n;
	my $body = join '', map { Taskq::HTTP::encode($_->[0]) . "\n" } @drawn;
	my $items = wait_for(sub {
		my $r = eval { $node->post('/v1/tasks/batch', $body, headers => { 'Content-Type' => 'application/x-ndjson' }) };
		return 0 if !$r || $r->{status} != 200;
		my @items = @{ $r->json->{items} };
		die "refused: $r->{body}\n" if grep { $_->{verdict} =~ /^(?:invalid|mismatch)$/ } @items;
		return (grep { $_->{verdict} !~ /^(?:accepted|replayed)$/ } @items) ? 0 : \@items;
	}, 120, 'all of a bulk to be accepted');
	for my $i (0 .. $#drawn) {
		$sent{ $items->[$i]{id} } = $drawn[$i][0];
		push @late, $items->[$i]{id} if $drawn[$i][1];
	}
	return;
}

# Each key has its node, and each submission follows the answer to the one before.
my %order;
sub ordered {
	my ($n) = @_;
	my $key = 1 + int rand 4;
	my ($node, $type) = ($nodes[$key % 2], $key <= 2 ? 'step' : 'pooled');
	for (1 .. $n) {
		my %t = (payload => { acts => acts($type) }, queue => 'mixed', ordering_key => "k$key", max_attempts => 1 + int rand 4, rand() < 0.1 ? (run_at => rfc3339(time + rand 1)) : ());
		my $name = 'order-' . ++$serial;
		my $task = wait_for(sub { eval { $node->submit($type, $t{payload}, key => $name, %t) } }, 120, 'a task in order to be accepted');
		$sent{ $task->{id} } = \%t;
		push @{ $order{$key} }, $task->{id};
	}
	return;
}

# --- the storm ------------------------------------------------------------------------------------------------------

my (%did, %cancelled);

# One of the role, of whatever generation.
sub kill_role {
	my ($node, $role) = @_;
	my @found = map { $_->{pid} } $node->roles($role);
	return @found && kill 'KILL', one(@found);
}

# A child of the pool, or a command.
sub kill_child {
	my ($node) = @_;
	my @found = grep { (read_file("/proc/$_/cmdline") || '') =~ m{\Q$dir\E/(?:pool\.py|step\.pl)} } keys %{ $node->tree };
	return @found ? kill('KILL', one(@found)) : 0;
}

sub cancel_some {
	my ($node) = @_;
	my @ids = sort keys %sent;
	my $n = 0;
	for my $id (map { $ids[-1 - int rand(@ids < 60 ? @ids : 60)] } 1 .. 8) {
		my $r = eval { $node->post("/v1/tasks/$id/cancel", '') };
		next if !$r || $r->{status} != 200;
		$cancelled{$id} ||= time;
		$n++;
	}
	return $n;
}

my $paused = 0;
my %storm = (
	'workers killed' => sub { kill_role($_[0], 'worker') },
	'launchers killed' => sub { kill_role($_[0], 'launcher') },
	'keepers killed' => sub { kill_role($_[0], 'keeper') },
	'acceptors killed' => sub { kill_role($_[0], 'acceptor') },
	'children killed' => \&kill_child,
	'sessions cut' => sub {
		return $pg->psql("select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity where application_name like 'taskqd%' order by random() limit 3) s");
	},
	'reloads' => sub { my ($node) = @_; return $node->hup(config($node == $nodes[0] ? 1 : 2, 1)) },
	'pauses and resumes' => sub {
		my $r = $_[0]->post('/v1/queues/paused/' . ($paused ? 'resume' : 'pause'), '');
		$paused = !$paused if $r->{status} == 200;
		return $r->{status} == 200;
	},
	'tasks cancelled' => \&cancel_some,
);

my $begin = now();
my @deck;
while (keys %sent < $tasks && now() < $begin + patience($seconds) || keys %did < keys %storm) {
	bulk(one(@nodes), 10 + int rand 40);
	ordered(1 + int rand 3);
	for (1, 2) {
		@deck = shuffle(sort keys %storm) if !@deck;
		my $what = shift @deck;
		my $n = eval { $storm{$what}->(one(@nodes)) };
		$did{$what} += $what =~ /killed/ ? 1 : $n if $n;
		sleep rand 0.2;
	}
	die "the storm does not end\n" if now() > $begin + patience(240);
}
my $stormed = now() - $begin;
wait_for(sub { my $r = eval { $nodes[0]->post('/v1/queues/paused/resume', '') }; $r && $r->{status} == 200 }, 60, 'the queue to be resumed');

# Late enough for all that waits; what never comes is told below.  A keeper walks over what runs said of themselves once a minute, and first at its start.
my $calm = eval {
	wait_for(sub { !grep { !/progress/ } Taskq::Truth::leftovers($pg) }, 120, 'nothing to be left');
	kill_role($_, 'keeper') for @nodes;
	wait_for(sub { !Taskq::Truth::leftovers($pg) }, 120, 'nothing at all');
};
if (!$calm) {
	diag("left: $_\n" . $pg->psql("select row_to_json(x) from taskq.$_ x limit 5")) for qw(ready waiting lease worker pause);
	diag($pg->psql('select count(*), q.name, k.name, l.grp, l.ord from taskq.ready r join taskq.lane l on l.id = r.lane
		join taskq.queue q on q.id = l.queue_id join taskq.kind k on k.id = l.kind_id group by 2, 3, 4, 5'));
	diag($_->get('/v1/handlers')->{body}) for @nodes;
}
write_file("$dir/end", '');
waitpid $_, 0 for @clients;
diag(sprintf 'TASKQ_SEED=%d: %d tasks, %.1f s of storm, %.1f s in all; %s', $seed, scalar keys %sent, $stormed, now() - $begin,
	join ', ', map { ($did{$_} || 0) . " $_" } sort keys %storm);

# --- what is true at the end ------------------------------------------------------------------------------------------

my $truth = Taskq::Truth->read($pg, $dir);
my %ran;
$ran{ $_->{kind} }++ for $truth->runs;
diag(sprintf '%d done, %d dead; runs: %s', scalar @{ $truth->{done} }, scalar @{ $truth->{dead} }, join ', ', map { "$ran{$_} $_" } sort keys %ran);

sub none {
	my ($what, @wrong) = @_;
	ok(!@wrong, $what) or diag(join "\n", (@wrong > 10 ? @wrong[0 .. 9] : @wrong), 'in all: ' . @wrong);
	return;
}

is(scalar(grep { $did{$_} } keys %storm), scalar keys %storm, 'there was a storm of everything');
is(join(' ', sort keys %ran), 'exec http lease pool', 'tasks ran in every way');
none('every task that was accepted is in one final place', $truth->lost(\%sent));
none('nothing is left: no ready, waiting, leased, no progress, nothing that may expire', Taskq::Truth::leftovers($pg));
none('no task has two ends', $truth->done_twice);
none('no task has more attempts than it may have', $truth->too_many_attempts);
none('and no handler was told of more', $truth->too_many_seen);
none('attempts are what was charged', $truth->attempts_wrong);
none('crashes are counted apart', $truth->crashes_wrong);
none('a snooze costs no attempt', $truth->attempts_seen_wrong('snooze'));
none('nor does a crash', $truth->attempts_seen_wrong('crash'));
none('any other failure costs one', $truth->attempts_seen_wrong('failure'));
none('no lease starts its task twice', $truth->started_twice);
none('no task runs twice at the same time while its lease lives', $truth->overlaps);
none('what a run said is what became of it', $truth->misheard);
none('a success has the result of its own run', $truth->results_wrong);
none('a cancelled task is not started by anybody who did not hold it', $truth->started_cancelled(\%cancelled));
none('what expired has never started', $truth->started_expired);
none('what was late when it came has expired', $truth->started_late(\@late));
none('the tasks of an ordering key started in order', $truth->disordered(\%order));
cmp_ok($truth->most_running('exact'), '<=', $limit, 'never more tasks of the limited queue ran than it allows');
cmp_ok($truth->most_leased('exact'), '<=', $limit, '... nor were leased');

is($_->stop(60), 0, 'taskqd drained') for @nodes;
none('no process failed by itself', map { grep { /msg="process ended"/ && !/how="(?:killed by SIGKILL|exit 0)"/ } $_->log_lines } @nodes);
done_testing;
