#!/usr/bin/perl
# Twenty clients send the same keys at once, each with two bodies, in any order, until they are answered, while acceptors, workers and
# sessions are killed and the line to Postgres is cut at random; after a while it ends.  One body wins a key, for everybody; its task runs to one end.
# SEED=n repeats the order of things as far as the machine does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now patience read_file temp_dir);
use Taskq::Postgres;
use Taskq::Proxy;
use Test::More;
use Time::HiRes qw(sleep);

my ($clients, $keys) = (20, 300);
my $seed = $ENV{SEED} || int(rand(2 ** 31));
srand $seed;
my $dir = temp_dir('s');
my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => "acceptors = 2\nworkers = 2\nhttp { request_timeout = 1500ms }\n" .
	"postgres { deadline = 500ms\n connect_timeout = 1s\n statement_timeout = 400ms\n lock_timeout = 100ms }\n" .
	"work { poll = 100ms }\nhandler echo { kind = builtin builtin = echo }\n");
my $address = $t->address;

# --- a client -------------------------------------------------------------------------------------------------------

# One line for each answer: key, body, status, and of a 2xx the rest that is kept, of a 422 the task it names.
sub told {
	my ($key, $body, $r) = @_;
	my $more = $r->{status} == 202 ? join '|', $r->header('location'), $r->header('idempotency-expires'), $r->{body} :
		$r->{status} == 422 ? $r->json->{task_id} : $r->header('taskq-outcome') || '';
	return "$key $body $r->{status} $more\n";
}

sub client {
	my ($number) = @_;
	srand $seed + $number;
	open my $out, '>', "$dir/$number" or die "$!\n";
	my @left = sort { $a->[2] <=> $b->[2] } map { my $key = $_; map { [$key, $_, rand] } 'a', 'b' } 1 .. $keys;
	my ($c, $deadline) = (undef, now() + patience(55));
	while (@left && now() < $deadline) {
		my ($key, $body) = @{ $left[0] };
		my $r = eval {
			$c ||= Taskq::HTTP->connect($address);
			$c->request('POST', '/v1/tasks', json => { task_type => 'echo', payload => { key => $key, body => $body } }, headers => { 'Idempotency-Key' => "storm-$key" });
		};
		undef $c if !$r || ($r->header('connection') || '') =~ /close/i;
		print $out told($key, $body, $r) if $r;
		shift @left if $r && $r->{status} =~ /^(?:202|422)$/;
		push @left, shift @left if $r && $r->{status} !~ /^(?:202|422)$/;
		sleep rand 0.05 if !$r || $r->{status} =~ /^(?:409|5)/;
	}
	print $out "unanswered $_->[0]\n" for @left;
	close $out;
}

# --- the storm ------------------------------------------------------------------------------------------------------

my $begin = now();
$proxy->random(on => '.', p => 0.05, how => [qw(before forward reply partial halfopen unsynced late commit delay)], seconds => 0.3, seed => $seed);
my %running;
for my $number (1 .. $clients) {
	my $pid = fork;
	die "could not fork: $!\n" if !defined $pid;
	if ($pid == 0) {
		eval { client($number); 1 } or print STDERR "client $number: $@";
		POSIX::_exit(0);
	}
	$running{$pid} = 1;
}
sub all_ended {
	for my $pid (keys %running) { delete $running{$pid} if waitpid($pid, POSIX::WNOHANG()) != 0 }
	return !%running;
}
my %killed = map { $_ => 0 } qw(acceptor worker session);
while (!all_ended() && now() < $begin + patience(15)) {
	sleep 0.2 + rand 0.4;
	my $what = (qw(acceptor acceptor session session worker))[rand 5];
	$killed{$what} += eval { $what eq 'session' ?
		$pg->psql("select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity where application_name like 'taskqd%' order by random() limit 2) s") =~ /(\d+)\z/ && $1 :
		$t->kill9($what, int rand 2) && 1 } || 0;
}
my @cuts = $proxy->cuts;
$proxy->pass;
wait_for(\&all_ended, 50, 'the clients');
diag(sprintf 'seed %d: %.1f s, %d cuts, killed %s', $seed, now() - $begin, scalar @cuts, join ', ', map { "$killed{$_} ${_}s" } sort keys %killed);

# --- what is true at the end ------------------------------------------------------------------------------------------

my (%kept, %won, %named, %status, @wrong);
for my $number (1 .. $clients) {
	for my $line (split /\n/, read_file("$dir/$number") || "nothing was written by $number") {
		if ($line !~ /^(\d+) ([ab]) (\d+) ?(.*)/) {
			push @wrong, $line;
			next;
		}
		my ($key, $body, $status, $more) = ($1, $2, $3, $4);
		$status{$status}++;
		$kept{$key}{$more} = $won{$key}{$body} = 1 if $status == 202;
		$named{$key}{$more} = 1 if $status == 422;
		push @wrong, $line if $status !~ /^(?:202|422|409|503)$/ || ($status == 503 && $more !~ /^(?:none|unknown)$/);
	}
}
diag(join ', ', map { "$_: $status{$_}" } sort keys %status);
is_deeply(\@wrong, [], 'every client has an answer for each of its bodies, and only answers that there are');
ok($status{202} >= $keys * $clients && $status{422} >= $keys * $clients, 'as often yes as no');
is(scalar(keys %kept), $keys, 'every key was accepted');
is(scalar(grep { keys %{ $kept{$_} } != 1 || keys %{ $won{$_} } != 1 } keys %kept), 0, 'one body of each, and one answer, to the byte');
my %id = map { my ($answer) = keys %{ $kept{$_} }; $_ => $answer =~ m{/v1/tasks/([0-9a-f-]{36})} } keys %kept;
is(scalar(grep { keys %{ $named{$_} } != 1 || !$named{$_}{ $id{$_} } } keys %kept), 0, 'the other body is refused, in the name of that task');

my $all = wait_for(sub { $pg->psql('select count(*) from taskq.done') == $keys }, 40, 'all tasks to end');
is($pg->psql('select count(*) from taskq.task'), $keys, 'a task for each key');
is($pg->psql('select count(*) from taskq.idem'), $keys, 'and no other key');
is($pg->psql('select count(*) from taskq.done where status = 1'), $keys, 'each succeeded');
is($pg->psql('select count(*) from taskq.done d join taskq.task t using (id) where d.result <> t.payload or d.attempts <> 1'), 0, 'at its first attempt, with its own payload');
my %payload = map { split / /, $_, 2 } split /\n/, $pg->psql(q{select id || ' ' || convert_from(payload, 'UTF8') from taskq.task});
is(scalar(grep { my ($body) = keys %{ $won{$_} }; ($payload{ $id{$_} } || '') ne qq({"body":"$body","key":$_}) } keys %kept), 0, 'with the body that won');
wait_for(sub { $pg->psql('select (select count(*) from taskq.lease) + (select count(*) from taskq.ready) + (select count(*) from taskq.waiting)') == 0 }, 20,
	'nothing to be left');
is($pg->psql('select count(*) from taskq.dead'), 0, 'nobody died');
is($t->stop, 0, 'taskqd drained');
is_deeply([grep { /msg="process ended"/ && !/how="(?:killed by SIGKILL|exit 0)"/ } $t->log_lines], [], 'no process failed by itself');
done_testing;
