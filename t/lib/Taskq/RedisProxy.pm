# RedisProxy.pm - a TCP proxy before Redis that gives its replies late, twice, in another order, or in the place of others.
#
#	my $proxy = Taskq::RedisProxy->new($redis->port);
#	$proxy->mode('swap');
#
# It parses what the server says into whole replies and treats each by the mode of the moment:
#
#	pass         as it is
#	delay S      after S seconds, in order
#	swap         two by two, the second first; the first waits for a second one
#	shift        the first as it is, from then on the reply to the question before
#	twice        each reply twice
#	before       a reply that nobody asked for, then the reply
#	array        the head of an array of two thousand million elements
#	endless      the head of a string of 500 MB, and its bytes for as long as somebody takes them
#	noise        bytes that are no reply at all
#	error        an error in its place
#	half         its first half, then the end of the line
#	never        nothing
#
# It is a process of its own (this file, run as a program); the mode is a file.
package Taskq::RedisProxy;
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

sub new {
	my ($class, $upstream) = @_;
	require Taskq::Machine;
	my $dir = Taskq::Machine::temp_dir('rpx');
	my $self = bless { dir => $dir }, $class;
	$self->mode('pass');
	my $path = $INC{'Taskq/RedisProxy.pm'};
	$path = POSIX::getcwd() . "/$path" if $path !~ m{^/};
	$self->{child} = Taskq::Machine::spawn(name => 'redis proxy', out => "$dir/log", command => [$^X, $path, $dir, $upstream]);
	$self->{port} = Taskq::Machine::wait_for(sub {
		die "the proxy ended:\n" . Taskq::Machine::read_file("$dir/log") if !$self->{child}->alive;
		my $text = Taskq::Machine::read_file("$dir/port");
		return defined $text && $text =~ /^(\d+)\n/ ? $1 : 0;
	}, 20, 'the proxy to listen');
	return $self;
}

sub address { return "127.0.0.1:$_[0]{port}" }

# How many lines have been made so far.
sub accepted { return -s "$_[0]{dir}/accepted" || 0 }

sub mode {
	my ($self, $mode) = @_;
	Taskq::Machine::write_file("$self->{dir}/mode.new", "$mode\n");
	rename "$self->{dir}/mode.new", "$self->{dir}/mode" or die "could not set the mode: $!\n";
	return $self;
}

# --- the program ----------------------------------------------------------------------------------------------------

my (%pair, @timers, $select);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub current_mode {
	my ($dir) = @_;
	open my $f, '<', "$dir/mode" or die "no mode: $!\n";
	my ($mode, $number) = split ' ', scalar <$f>;
	return ($mode, $number);
}

sub close_pair {
	my ($p) = @_;
	for my $sock (@$p{qw(client server)}) {
		next if !$sock;
		$select->remove($sock);
		delete $pair{$sock};
		close $sock;
	}
	$p->{gone} = 1;
}

sub give {
	my ($p, $bytes) = @_;
	while (!$p->{gone} && length $bytes) {
		my $n = syswrite $p->{client}, $bytes;
		return close_pair($p) if !defined $n && !$!{EAGAIN};
		substr($bytes, 0, $n) = '' if defined $n;
		IO::Select->new($p->{client})->can_write(0.05) if !defined $n;
	}
}

# One whole reply of what the server sent; undef: not there yet.
sub take_reply {
	my ($p) = @_;
	return undef if $p->{out} !~ /^([^\r]*)\r\n/;
	my $head = $1;
	my $len = length($head) + 2;
	$len += $1 + 2 if $head =~ /^\$(\d+)$/;
	return undef if length $p->{out} < $len;
	return substr $p->{out}, 0, $len, '';
}

my %way = (
	pass => sub { give(@_) },
	delay => sub { my ($p, $reply, $s) = @_; push @timers, [now() + $s, sub { give($p, $reply) }] },
	swap => sub {
		my ($p, $reply) = @_;
		return $p->{held} = $reply if !defined $p->{held};
		give($p, $reply . delete $p->{held});
	},
	shift => sub {
		my ($p, $reply) = @_;
		give($p, defined $p->{held} ? $p->{held} : $reply);
		$p->{held} = $reply;
	},
	twice => sub { my ($p, $reply) = @_; give($p, $reply . $reply) },
	before => sub { my ($p, $reply) = @_; give($p, "+OK\r\n$reply") },
	array => sub { give($_[0], "*2000000000\r\n") },
	endless => sub {
		my ($p) = @_;
		give($p, "\$500000000\r\n");
		give($p, 'x' x 65536) for 1 .. 200;
	},
	noise => sub { give($_[0], "\0\1\2 hello\r\n") },
	error => sub { give($_[0], "-ERR on purpose\r\n") },
	half => sub { my ($p, $reply) = @_; give($p, substr $reply, 0, length($reply) / 2); close_pair($p) },
	never => sub { },
);

sub readable {
	my ($sock, $dir) = @_;
	my $p = $pair{$sock} or return;
	my $n = sysread $sock, my $bytes, 65536;
	return if !defined $n && $!{EAGAIN};
	return close_pair($p) if !$n;
	if ($sock == $p->{client}) {
		$p->{server}->blocking(1);
		print { $p->{server} } $bytes;
		$p->{server}->flush;
		$p->{server}->blocking(0);
		return;
	}
	$p->{out} .= $bytes;
	my ($mode, $number) = current_mode($dir);
	while (!$p->{gone} && defined(my $reply = take_reply($p))) {
		$way{$mode}->($p, $reply, $number);
	}
}

sub accept_client {
	my ($listener, $upstream, $dir) = @_;
	my $client = $listener->accept or return;
	open my $f, '>>', "$dir/accepted" or die "could not count: $!\n";
	print $f '.';
	close $f;
	my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $upstream, Proto => 'tcp', Timeout => 5);
	return close $client if !$server;
	my $p = { client => $client, server => $server, out => '' };
	for my $sock ($client, $server) {
		$sock->blocking(0);
		$select->add($sock);
		$pair{$sock} = $p;
	}
}

sub serve {
	my ($dir, $upstream) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 64)
		or die "could not listen: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	open my $f, '>', "$dir/port" or die "could not say the port: $!\n";
	print $f $listener->sockport . "\n";
	close $f;
	$select = IO::Select->new($listener);
	while (1) {
		my ($wait) = sort { $a <=> $b } 60, map { $_->[0] - now() } @timers;
		for my $sock ($select->can_read($wait < 0 ? 0 : $wait)) {
			$sock == $listener ? accept_client($listener, $upstream, $dir) : readable($sock, $dir);
		}
		my @due = grep { $_->[0] <= now() } @timers;
		@timers = grep { my $timer = $_; !grep { $_ == $timer } @due } @timers;
		$_->[1]->() for @due;
	}
}

serve(@ARGV) if !caller;

1;
