# Proxy.pm - a TCP proxy that understands the frontend half of the protocol of Postgres and cuts where it is told to.
#
#	my $pg = Taskq::Postgres->new(private => 1);
#	my $proxy = Taskq::Proxy->new($pg->port);
#	my $t = Taskq->start(pg => $pg, proxy => $proxy);
#	$proxy->rule(on => '\bsubmit\b', how => 'reply');          once, at the next request that has a statement "submit"
#	...
#	is($proxy->fired, 1, 'the answer was cut');
#
# What a client sends up to and including a Sync is one request; it is forwarded whole.  Its name is the names of the statements that
# it binds, joined by spaces ("claim worker_look finish"); statements without a name are "?", and the first message of a
# connection is "startup".  A rule is a pattern on that name.  How it cuts:
#
#	before     both sides are closed, the request goes nowhere
#	forward    the request is forwarded, then both sides are closed at once: it may or may not commit
#	reply      the request is forwarded and answered to its end; the answer is dropped and the client cut: it did commit
#	partial    the same, but the client gets the first half of the answer
#	halfopen   nothing of it is forwarded, the sockets stay open for `seconds`
#	unsynced   all of it but the Sync is forwarded: a transaction stays open with its locks for `seconds`, then it is rolled back
#	late       the client is cut at once, the request reaches the server after `seconds`, when the client may have sent it again
#	commit     the same, but only the Sync is late: the statements run now and hold their locks, the commit comes after `seconds`
#	delay      the request is held for `seconds`, then everything goes on
#
# It is a process of its own (this file, run as a program), told what to do over a unix socket, one line in each direction, and is
# killed at the end of the test like every other.  No encryption: the connection string has to say sslmode=disable.
package Taskq::Proxy;
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $json = JSON::PP->new->utf8->canonical;

# --- the test's side ------------------------------------------------------------------------------------------------

sub new {
	my ($class, $upstream) = @_;
	require Taskq::Machine;
	my $dir = Taskq::Machine::temp_dir('px');
	my $self = bless { dir => $dir, upstream => $upstream }, $class;
	$self->{child} = Taskq::Machine::spawn(name => 'proxy', out => "$dir/log",
		command => [$^X, $INC{'Taskq/Proxy.pm'} =~ m{^/} ? $INC{'Taskq/Proxy.pm'} : POSIX::getcwd() . "/$INC{'Taskq/Proxy.pm'}",
			"$dir/control", $upstream]);
	my $ready = Taskq::Machine::wait_for(sub {
		die "the proxy ended:\n" . Taskq::Machine::read_file("$dir/log") if !$self->{child}->alive;
		return IO::Socket::UNIX->new(Peer => "$dir/control");
	}, 20, 'the proxy to listen');
	$self->{control} = $ready;
	$self->{port} = $self->ask({ do => 'port' })->{port};
	return $self;
}

sub port { return $_[0]{port} }

# Each process needs a line of its own.
sub ask {
	my ($self, $question) = @_;
	my $line = $json->encode($question) . "\n";
	syswrite $self->{control}, $line or die "the proxy is gone\n";
	my $answer = readline $self->{control};
	die 'the proxy is gone: ' . Taskq::Machine::read_file("$self->{dir}/log") . "\n" if !defined $answer;
	return $json->decode($answer);
}

# rule(on => pattern, how => word, after => n: not the first n that fit, times => n, seconds => s): instead of the rules before.
sub rule { my ($self, %rule) = @_; return $self->ask({ do => 'rules', rules => [\%rule] }) }
sub rules { my ($self, @rules) = @_; return $self->ask({ do => 'rules', rules => \@rules }) }

# Each request that fits is cut with the probability `p`, in one of the ways of `how`, by the dice of `seed`.
sub random { my ($self, %rule) = @_; return $self->ask({ do => 'random', %rule }) }

# From now on nothing is cut; what is held stays held.
sub pass { my ($self) = @_; return $self->ask({ do => 'rules', rules => [] }) }

# How often was cut since the rules were given; names of the requests that were.
sub fired { my ($self) = @_; return $self->ask({ do => 'fired' })->{fired} }
sub cuts { my ($self) = @_; return @{ $self->ask({ do => 'fired' })->{names} } }

# --- the program: one loop ------------------------------------------------------------------------------------------

my (%flow, @rules, @timers, $random, $fired, @names, $read, $write);

sub now { return clock_gettime(CLOCK_MONOTONIC) }
sub later { my ($seconds, $sub) = @_; push @timers, [now() + $seconds, $sub]; return }

sub watch {
	my ($sock) = @_;
	$sock->blocking(0);
	$read->add($sock);
}

sub forget {
	my ($sock) = @_;
	return if !$sock;
	$read->remove($sock);
	$write->remove($sock);
	delete $flow{$sock};
	close $sock;
}

# A pair: { client, server, in => what the client sent and is not a whole request yet, to_server, to_client, ... }
sub shut_client { my ($f) = @_; forget(delete $f->{client}) }
sub shut_server { my ($f) = @_; forget(delete $f->{server}) }
sub shut { my ($f) = @_; shut_client($f); shut_server($f); $f->{gone} = 1 }

sub accept_client {
	my ($listener, $upstream) = @_;
	my $client = $listener->accept or return;
	my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $upstream, Proto => 'tcp', Timeout => 5);
	if (!$server) {
		close $client;
		return;
	}
	setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1 for $client, $server;
	my $f = { client => $client, server => $server, in => '', begun => 0, to_server => '', to_client => '', request => '', answer => '' };
	for my $sock ($client, $server) {
		watch($sock);
		$flow{$sock} = $f;
	}
}

sub put {
	my ($f, $side, $bytes) = @_;
	$f->{"to_$side"} .= $bytes;
	drain($f, $side);
}

sub drain {
	my ($f, $side) = @_;
	my $sock = $f->{$side} or return;
	while (length $f->{"to_$side"}) {
		my $n = syswrite $sock, $f->{"to_$side"}, 65536;
		if (!defined $n) {
			return $write->add($sock) if $!{EAGAIN};
			return shut($f);
		}
		substr($f->{"to_$side"}, 0, $n) = '';
	}
	$write->remove($sock);
}

# --- requests -------------------------------------------------------------------------------------------------------

# The next message of the client; undef: not whole yet.
sub message {
	my ($f) = @_;
	my $head = $f->{begun} ? 1 : 0; # the first has no type
	return undef if length $f->{in} < $head + 4;
	my $length = unpack 'N', substr $f->{in}, $head, 4;
	return undef if length $f->{in} < $head + $length;
	return substr $f->{in}, 0, $head + $length, '';
}

sub client_sent {
	my ($f) = @_;
	while (!$f->{gone} && !$f->{mute} && defined(my $m = message($f))) {
		if (!$f->{begun}) {
			my $code = unpack 'N', substr $m, 4, 4;
			$f->{begun} = $code == 196608;
			$f->{request} = $m;
			$f->{name} = 'startup';
			whole($f) if $f->{begun};
			put($f, 'server', $m) if !$f->{begun};
			next;
		}
		my $type = substr $m, 0, 1;
		if ($type eq 'B') {
			my ($statement) = substr($m, 5) =~ /^[^\0]*\0([^\0]*)\0/;
			push @{ $f->{names} }, length $statement ? $statement =~ s/\.[0-9a-f]{8}$//r : '?'; # without the digest of its text
		}
		$f->{request} .= $m;
		next if $type =~ /[PBDECHFdc]/;
		$f->{name} = join ' ', $type eq 'S' || $type eq 'Q' ? @{ $f->{names} || [] } : '';
		$f->{names} = [];
		whole($f);
	}
}

sub whole {
	my ($f) = @_;
	my $how = choose($f->{name});
	my $request = $f->{request};
	$f->{request} = '';
	$f->{answer} = '';
	return put($f, 'server', $request) if !defined $how;
	$fired++;
	push @names, "$how->{how}: $f->{name}";
	act($f, $how, $request);
}

sub choose {
	my ($name) = @_;
	if ($random) {
		return undef if $name !~ $random->{on} || dice() >= $random->{p};
		my @how = @{ $random->{how} };
		return { how => $how[int(dice() * @how)], seconds => $random->{seconds} };
	}
	for my $r (@rules) {
		next if $name !~ $r->{on} || $r->{after}-- > 0;
		next if $r->{times}-- <= 0;
		return $r;
	}
	return undef;
}

# Our own, so that a seed means the same everywhere.
sub dice {
	$random->{seed} = ($random->{seed} * 1103515245 + 12345) % 2147483648;
	return $random->{seed} / 2147483648;
}

# The Sync, five bytes, replaced by a Flush.
sub unsynced { my ($request) = @_; return substr($request, 0, -5) . "H\0\0\0\4" }

sub act {
	my ($f, $r, $request) = @_;
	my ($how, $seconds) = ($r->{how}, $r->{seconds} || 1);
	if ($how eq 'before') {
		shut($f);
	} elsif ($how eq 'forward') {
		put($f, 'server', $request);
		shut($f);
	} elsif ($how eq 'reply' || $how eq 'partial') {
		$f->{drop} = $how;
		put($f, 'server', $request);
	} elsif ($how eq 'halfopen') {
		$f->{mute} = 1;
		later($seconds, sub { shut($f) });
	} elsif ($how eq 'unsynced') {
		$f->{mute} = 1;
		put($f, 'server', unsynced($request));
		later($seconds, sub { shut($f) });
	} elsif ($how eq 'late' || $how eq 'commit') {
		my $rest = $how eq 'late' ? $request : substr $request, -5;
		$f->{mute} = 1;
		put($f, 'server', unsynced($request)) if $how eq 'commit';
		shut_client($f);
		later($seconds, sub { $f->{drop} = $how; put($f, 'server', $rest) if !$f->{gone} });
	} elsif ($how eq 'delay') {
		$f->{mute} = 1;
		later($seconds, sub { $f->{mute} = 0; put($f, 'server', $request) if !$f->{gone}; client_sent($f) });
	} else {
		die "no way to cut: \"$how\"\n";
	}
}

# --- answers --------------------------------------------------------------------------------------------------------

# Whole messages up to ReadyForQuery?
sub answered {
	my ($bytes) = @_;
	my $at = 0;
	while (length($bytes) - $at >= 5) {
		my $type = substr $bytes, $at, 1;
		$at += 1 + unpack 'N', substr $bytes, $at + 1, 4;
		return 1 if $type eq 'Z' && $at <= length $bytes;
	}
	return 0;
}

sub server_sent {
	my ($f, $bytes) = @_;
	if (!$f->{drop}) {
		put($f, 'client', $bytes) if !$f->{mute};
		return;
	}
	$f->{answer} .= $bytes;
	return if !answered($f->{answer});
	put($f, 'client', substr $f->{answer}, 0, length($f->{answer}) / 2) if $f->{drop} eq 'partial';
	shut($f);
}

# --- the loop -------------------------------------------------------------------------------------------------------

sub readable {
	my ($sock) = @_;
	my $f = $flow{$sock} or return forget($sock);
	my $n = sysread $sock, my $bytes, 65536;
	return if !defined $n && $!{EAGAIN};
	my $from_client = $f->{client} && $sock == $f->{client};
	if (!$n) {
		# a client that goes while its request is held: the server may get it still
		return $f->{mute} && $from_client ? shut_client($f) : shut($f);
	}
	if ($from_client) {
		$f->{in} .= $bytes;
		client_sent($f);
	} else {
		server_sent($f, $bytes);
	}
}

sub command {
	my ($sock) = @_;
	my $line = readline $sock;
	return forget($sock) if !defined $line;
	my ($q, $a) = ($json->decode($line), {});
	if ($q->{do} eq 'rules') {
		@rules = map { { after => 0, times => 1, %$_, on => qr/$_->{on}/ } } @{ $q->{rules} };
		($random, $fired, @names) = (undef, 0);
	} elsif ($q->{do} eq 'random') {
		$random = { %$q, on => qr/$q->{on}/ };
		($fired, @names) = (0);
	} elsif ($q->{do} eq 'fired') {
		$a = { fired => $fired, names => \@names };
	} elsif ($q->{do} eq 'port') {
		$a = { port => $Taskq::Proxy::port };
	}
	syswrite $sock, $json->encode($a) . "\n";
}

sub serve {
	my ($path, $upstream) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 64)
		or die "could not listen: $!\n";
	$Taskq::Proxy::port = $listener->sockport;
	my $control = IO::Socket::UNIX->new(Local => $path, Listen => 8) or die "could not listen at \"$path\": $!\n";
	local $SIG{PIPE} = 'IGNORE';
	($read, $write, $fired) = (IO::Select->new($listener, $control), IO::Select->new, 0);
	my %lines;
	while (1) {
		my $wait = 60;
		for (@timers) {
			$wait = $_->[0] - now() if $_->[0] - now() < $wait;
		}
		my ($r, $w) = IO::Select->select($read, $write, undef, $wait < 0 ? 0 : $wait);
		for my $sock (@{ $w || [] }) {
			my $f = $flow{$sock} or next;
			drain($f, $f->{client} && $f->{client} == $sock ? 'client' : 'server');
		}
		for my $sock (@{ $r || [] }) {
			if ($sock == $listener) {
				accept_client($listener, $upstream);
			} elsif ($sock == $control) {
				my $line = $control->accept or next;
				$lines{$line} = 1;
				$read->add($line);
			} elsif ($lines{$sock}) {
				command($sock);
			} elsif ($read->exists($sock)) {
				readable($sock);
			}
		}
		my @due = grep { $_->[0] <= now() } @timers;
		@timers = grep { my $timer = $_; !grep { $_ == $timer } @due } @timers;
		$_->[1]->() for @due;
	}
}

serve(@ARGV) if !caller;

1;
