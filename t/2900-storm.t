#!/usr/bin/perl
# Fifty clients send the same thousand keys at once, each key with three bodies, while acceptors are killed and sessions of Postgres are cut under
# what they are doing.  Each client goes on until it has a definite answer for each of its requests.  Then there is one task for a key,
# one body has won it, all who sent that body have the same bytes, and all others were told the winner's id.
# SEED=n repeats the order of things as far as the machine does.  STORM=cached: the same with the memory of recent answers and with Redis.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::MD5 qw(md5_hex);
use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Taskq;
use Taskq::Machine qw(now patience read_file temp_dir);
use Taskq::Postgres;
use Taskq::Proxy;
use Test::More;
use Time::HiRes qw(sleep);

my ($clients, $processes, $keys, $bodies, $deep) = (50, 5, 1000, 3, 8);
my $seed = $ENV{SEED} || int(rand(2 ** 31));
srand $seed;
my $cached = ($ENV{STORM} || '') eq 'cached';
my $remembers = $cached ? 'redis { address = "' . Taskq->redis->address . "\" fill = new }\n" : "keys { recent = 0 }\n";
my $dir = temp_dir('s');
my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => "acceptors = 2\nworkers = 1\nhttp { request_timeout = 2s }\n$remembers" .
	"postgres { deadline = 900ms\n connect_timeout = 1s\n statement_timeout = 800ms\n lock_timeout = 200ms }\n" .
	"work { poll = 200ms }\nhandler echo { kind = builtin builtin = echo }\n");
my $address = $t->address;

# --- a process of clients: one loop, each client has a connection and up to $deep requests on it ------------------------------------

sub body_of { my ($key, $body) = @_; return qq({"task_type":"echo","payload":{"body":$body,"key":$key}}) }

sub request_of {
	my ($key, $body) = @_;
	my $json = body_of($key, $body);
	return "POST /v1/tasks HTTP/1.1\r\nHost: storm\r\nContent-Type: application/json\r\nIdempotency-Key: storm-$key\r\nContent-Length: " .
		length($json) . "\r\n\r\n$json";
}

# { left => [[key, body], ...], sent => the same in flight, in, sock, told => lines }
sub client_new {
	my ($number) = @_;
	my @order = sort { $a->[2] <=> $b->[2] } map { [$_, ($_ + $number) % $bodies, int($_ / 50) + rand 3] } 1 .. $keys;
	return { number => $number, left => \@order, sent => [], in => '', told => '', again => 0 };
}

# What was in flight is not known: it is sent again.
sub client_cut {
	my ($c, $count) = @_;
	$count->{'cut in flight'} += @{ $c->{sent} };
	$count->{'connections lost in flight'}++ if @{ $c->{sent} };
	unshift @{ $c->{left} }, splice @{ $c->{sent} };
	close $c->{sock} if $c->{sock};
	@$c{qw(sock in again)} = (undef, '', now() + 0.01 + rand 0.05);
}

sub client_send {
	my ($c, $count) = @_;
	if (!$c->{sock}) {
		my ($host, $port) = split /:/, $address;
		$c->{sock} = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => 5);
		return client_cut($c, $count) if !$c->{sock};
		setsockopt $c->{sock}, IPPROTO_TCP, TCP_NODELAY, 1;
		$c->{sock}->blocking(0);
	}
	my $bytes = '';
	while (@{ $c->{sent} } < $deep && @{ $c->{left} }) {
		my $next = shift @{ $c->{left} };
		push @{ $c->{sent} }, $next;
		$bytes .= request_of(@$next);
	}
	$c->{until} = now() + patience(6);
	return if $bytes eq '';
	my $n = syswrite $c->{sock}, $bytes;
	client_cut($c, $count) if !defined $n || $n < length $bytes;
}

sub client_answer {
	my ($c, $count, $head, $body) = @_;
	my $request = shift @{ $c->{sent} };
	my ($key, $variant) = @$request;
	my ($status) = $head =~ /^HTTP\/1\.1 (\d+)/;
	my %h = map { /^([^:]+): (.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $head;
	my $outcome = $h{'taskq-outcome'} || '';
	$count->{ $status . ($status >= 500 ? " $outcome" : $status == 202 ? $h{'idempotent-replayed'} ? ' again' : ' first' : '') }++;
	if ($status == 202) {
		my ($id) = ($h{location} || '') =~ m{^/v1/tasks/([0-9a-f-]{36})$};
		$c->{told} .= "$key $variant 202 " . ($id || '-') . ' ' . md5_hex(join '|', $status, map({ $h{$_} || '' } qw(content-type location idempotency-key idempotency-expires)), $body) . "\n";
	} elsif ($status == 422) {
		$c->{told} .= "$key $variant 422 " . ($body =~ /"code":"key_mismatch"/ && $body =~ /"task_id":"([0-9a-f-]{36})"/ ? $1 : '-') . "\n";
	} else {
		$c->{told} .= "wrong: $key $variant $status $outcome $body\n"
			if !($status == 409 && $h{'retry-after'}) && !($status == 503 && $outcome =~ /^(?:none|unknown)$/);
		push @{ $c->{left} }, $request;
		$c->{again} = now() + rand 0.05;
	}
	return ($h{connection} || '') !~ /close/i;
}

sub client_read {
	my ($c, $count) = @_;
	my $n = sysread $c->{sock}, $c->{in}, 65536, length $c->{in};
	return if !defined $n && ($! == EAGAIN || $! == EINTR);
	while ($c->{in} =~ /\A(.*?)\r\n\r\n/s) {
		my ($head, $at) = ($1, $+[0]);
		my ($length) = $head =~ /\r\nContent-Length: (\d+)/i or die "no length: $head\n";
		last if length $c->{in} < $at + $length;
		my $body = substr $c->{in}, $at, $length;
		substr($c->{in}, 0, $at + $length) = '';
		return client_cut($c, $count) if !client_answer($c, $count, $head, $body);
	}
	client_cut($c, $count) if !$n;
}

sub clients_run {
	my (@clients) = @_;
	my (%count, $deadline);
	$deadline = now() + patience(45);
	while (now() < $deadline && (my @busy = grep { @{ $_->{left} } || @{ $_->{sent} } } @clients)) {
		for my $c (@busy) {
			client_cut($c, \%count) if @{ $c->{sent} } && now() > $c->{until};
			client_send($c, \%count) if @{ $c->{left} } && @{ $c->{sent} } <= $deep / 2 && now() >= $c->{again};
		}
		my %by = map { ($_->{sock} => $_) } grep { $_->{sock} } @busy;
		client_read($by{$_}, \%count) for IO::Select->new(map { $_->{sock} } values %by)->can_read(0.02);
	}
	return join '', map({ $_->{told} } @clients), map({ my $c = $_; map { "unanswered $c->{number} $_->[0]\n" } @{ $c->{left} }, @{ $c->{sent} } } @clients),
		map { "count $count{$_} $_\n" } sort keys %count;
}

# --- the storm ------------------------------------------------------------------------------------------------------

my $begin = now();
my %running;
for my $process (1 .. $processes) {
	my $pid = fork;
	die "could not fork: $!\n" if !defined $pid;
	if ($pid == 0) {
		local $SIG{PIPE} = 'IGNORE';
		srand $seed + $process;
		my $told = eval { clients_run(map { client_new($_) } grep { $_ % $processes == $process - 1 } 1 .. $clients) } || "wrong: $@";
		open my $out, '>', "$dir/$process" or die "$!\n";
		print $out $told;
		close $out;
		POSIX::_exit(0);
	}
	$running{$pid} = 1;
}
sub all_ended {
	for my $pid (keys %running) { delete $running{$pid} if waitpid($pid, POSIX::WNOHANG()) != 0 }
	return !%running;
}

# Those that are in the middle of a statement; the next to be, when nobody is.
$pg->psql(q{create function public.cut_sessions() returns int language plpgsql as $$
	declare
		n int := 0;
	begin
		for i in 1 .. 100 loop
			perform pg_stat_clear_snapshot();
			select count(*) filter (where pg_terminate_backend(pid)) into n from pg_stat_activity
			where application_name like 'taskqd%' and state <> 'idle' and pid <> pg_backend_pid();
			exit when n > 0;
			perform pg_sleep(0.002);
		end loop;
		return n;
	end $$});
sub cut_sessions { return 0 + $pg->psql('select public.cut_sessions()') }

$proxy->random(on => '\b(?:submit|idem_read)\b', p => $cached ? 0.1 : 0.02, how => [qw(before forward reply partial late commit)], seconds => 0.3, seed => $seed);
my %done = ('acceptors killed' => 0, 'sessions cut' => 0);
for (my $n = 0; !all_ended() && $n < 400; $n++) {
	sleep 0.02 + rand 0.04;
	$done{'sessions cut'} += eval { cut_sessions() } || 0 if $n % 8 == 0;
	$done{'acceptors killed'} += eval { $t->kill9('acceptor', int rand 2) && 1 } || 0 if $n % 10 == 5;
}
$done{'requests to postgres cut'} = $proxy->cuts;
$proxy->pass;
wait_for(\&all_ended, 60, 'the clients');
$done{seconds} = sprintf '%.1f', now() - $begin;

# --- what is true at the end ------------------------------------------------------------------------------------------

my (%answer, %won, %id, %named, %count, @wrong, $definite);
for my $process (1 .. $processes) {
	for my $line (split /\n/, read_file("$dir/$process") || "nothing was written by $process") {
		if ($line =~ /^count (\d+) (.*)/) {
			$count{$2} += $1;
		} elsif ($line =~ /^(\d+) (\d) 202 (\S+) (\S+)$/) {
			$answer{$1}{$4} = $won{$1}{$2} = $id{$1}{$3} = 1;
			$definite++;
		} elsif ($line =~ /^(\d+) (\d) 422 (\S+)$/) {
			$named{$1}{$3}{$2} = 1;
			$definite++;
		} else {
			push @wrong, $line;
		}
	}
}
diag("seed $seed; ", join ', ', map { "$done{$_} $_" } sort keys %done);
diag(join ', ', map { "$_: $count{$_}" } sort keys %count);
cmp_ok($done{'acceptors killed'}, '>=', $cached ? 1 : 3, 'acceptors were killed');
cmp_ok($count{'connections lost in flight'} || 0, '>=', $cached ? 1 : 3, 'with requests of clients in flight');
# what is remembered is not asked for: then there is less to cut
my $cuts = $cached ? 0 : 3;
cmp_ok($done{'sessions cut'}, '>=', $cuts, 'sessions were cut in the middle of a statement');
cmp_ok($done{'requests to postgres cut'}, '>=', $cuts, 'and on the line, with a submission in flight');
cmp_ok($t->metric('taskq_idempotency_recent_total') || 0, $cached ? '>' : '==', 0, 'what is remembered answers only when it may');
is_deeply(\@wrong, [], 'there are no other answers than those that may be');
is($definite, $clients * $keys, 'every client has a definite answer for each of its keys');
is(scalar(keys %answer), $keys, 'every key was accepted');
is(scalar(grep { keys %{ $answer{$_} } != 1 } keys %answer), 0, 'every 2xx of a key is the same, to the byte');
is(scalar(grep { keys %{ $won{$_} } != 1 } keys %won), 0, 'one body of each won');
is(scalar(grep { my $key = $_; keys %{ $named{$key} } != 1 || !grep { $named{$key}{$_} } keys %{ $id{$key} } } 1 .. $keys), 0,
	'every refusal names the winner');
is(scalar(grep { my $key = $_; my ($v) = keys %{ $won{$key} }; grep { $_->{$v} } values %{ $named{$key} } } keys %won), 0, 'who won is not refused');

is($pg->psql('select count(*) from taskq.task'), $keys, 'a task for each key');
is($pg->psql('select count(*) from taskq.idem'), $keys, 'and a key for each task');
my %payload = map { split / /, $_, 2 } split /\n/, $pg->psql(q{select id || ' ' || convert_from(payload, 'UTF8') from taskq.task});
is(scalar(grep { my ($v) = keys %{ $won{$_} }; my ($id) = keys %{ $id{$_} }; qq({"task_type":"echo","payload":$payload{$id}}) ne body_of($_, $v) } keys %won), 0,
	'with the body that won');
wait_for(sub { $pg->psql('select count(*) from taskq.done where status = 1') == $keys }, 40, 'all tasks to succeed');
is($pg->psql('select count(*) from taskq.dead'), 0, 'each ran to its end');
is($t->stop, 0, 'taskqd drained');
is_deeply([grep { /msg="process ended"/ && !/how="(?:killed by SIGKILL|exit 0)"/ } $t->log_lines], [], 'no process failed by itself');
done_testing;
