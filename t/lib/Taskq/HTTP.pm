# HTTP.pm - a small HTTP/1.1 client that hides nothing: what the server sent is what the test sees.
package Taskq::HTTP;
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Taskq::Machine qw(now patience);

# A connection to "host:port" or "unix:/path".
sub connect {
	my ($class, $address) = @_;
	my $sock;
	if ($address =~ m{^unix:(.*)}) {
		$sock = IO::Socket::UNIX->new(Peer => $1) or die "could not connect to \"$address\": $!\n";
	} else {
		my ($host, $port) = $address =~ m{^(.*):(\d+)$} or die "no address: \"$address\"\n";
		$sock = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => patience(10))
			or die "could not connect to \"$address\": $@\n";
		setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
	}
	$sock->blocking(0);
	return bless { sock => $sock, address => $address, in => '', eof => 0 }, $class;
}

sub sock { return $_[0]{sock} }

# Sends all the bytes; false when the peer closed before it took them.
sub write {
	my ($self, $bytes, $seconds) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $deadline = now() + patience($seconds || 20);
	while (length $bytes) {
		my $n = syswrite $self->{sock}, $bytes;
		if (defined $n) {
			substr($bytes, 0, $n) = '';
		} elsif ($!{EAGAIN} || $!{EINTR}) {
			die "could not send in time to $self->{address}\n" if now() > $deadline;
			IO::Select->new($self->{sock})->can_write(0.1);
		} else {
			return 0;
		}
	}
	return 1;
}

# No more bytes from us; the peer sees the end of the stream.
sub finish { my ($self) = @_; shutdown $self->{sock}, 1; return $self }

sub close { my ($self) = @_; close $self->{sock}; return }

# Away at once: the peer gets a reset.
sub reset { my ($self) = @_; setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); return $self->close }

# Reads once, up to the deadline.  True when bytes or the end of the stream came.
sub fill {
	my ($self, $deadline) = @_;
	return 0 if $self->{eof};
	my $left = $deadline - now();
	return 0 if $left <= 0 || !IO::Select->new($self->{sock})->can_read($left);
	my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
	return 1 if $n;
	if (defined $n || !($!{EAGAIN} || $!{EINTR})) {
		$self->{eof} = 1;
		$self->{reset} = 1 if !defined $n && $!{ECONNRESET};
	}
	return 1;
}

sub need {
	my ($self, $test, $deadline, $what) = @_;
	while (!$test->()) {
		die "$self->{address} closed the connection before $what; it had sent: " . substr($self->{in}, 0, 300) . "\n" if $self->{eof};
		$self->fill($deadline) or die "no $what from $self->{address} in time; it had sent: " . substr($self->{in}, 0, 300) . "\n";
	}
}

# All bytes until the peer closes (dies when it does not in time).
sub read_all {
	my ($self, $seconds) = @_;
	my $deadline = now() + patience($seconds || 20);
	$self->need(sub { $self->{eof} }, $deadline, 'end of the stream');
	my $bytes = $self->{in};
	$self->{in} = '';
	return $bytes;
}

# True when the peer closed (and sent nothing more) within the time.
sub closed {
	my ($self, $seconds) = @_;
	my $deadline = now() + patience($seconds || 5);
	1 while !$self->{eof} && $self->fill($deadline);
	return $self->{eof} && $self->{in} eq '';
}

# One answer.  no_body: it answers a HEAD.  Interim answers (1xx) are gathered in ->{interim}.
sub response {
	my ($self, %o) = @_;
	my $deadline = now() + patience($o{seconds} || 20);
	my @interim;
	while (1) {
		$self->need(sub { $self->{in} =~ /\r\n\r\n/ }, $deadline, 'answer');
		$self->{in} =~ s/^(.*?)\r\n\r\n//s;
		my $r = Taskq::Response->parse($1);
		if ($r->{status} < 200 && $r->{status} != 101) {
			push @interim, $r->{status};
			next;
		}
		$r->{interim} = \@interim;
		$r->{body} = $o{no_body} || $r->{status} == 204 || $r->{status} == 304 ? '' : $self->body($r, $deadline);
		return $r;
	}
}

sub body {
	my ($self, $r, $deadline) = @_;
	my $coding = $r->header('transfer-encoding');
	return $self->chunked($deadline) if defined $coding && lc $coding eq 'chunked';
	my $length = $r->header('content-length');
	$self->need(defined $length ? sub { length $self->{in} >= $length } : sub { $self->{eof} }, $deadline, 'body');
	return substr $self->{in}, 0, defined $length ? $length : length $self->{in}, '';
}

sub chunked {
	my ($self, $deadline) = @_;
	my $body = '';
	while (1) {
		$self->need(sub { $self->{in} =~ /\r\n/ }, $deadline, 'chunk');
		$self->{in} =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n// or die 'no chunk: ' . substr($self->{in}, 0, 100) . "\n";
		my $size = hex $1;
		$self->need(sub { length $self->{in} >= $size + 2 }, $deadline, 'chunk');
		$body .= substr $self->{in}, 0, $size, '';
		$self->{in} =~ s/^\r\n// or die "a chunk without an end\n";
		return $body if $size == 0;
	}
}

# request(method, target, body => bytes, json => data, headers => { } or [name, value, ...], close => 1, seconds => n)
sub send_request {
	my ($self, $method, $target, %o) = @_;
	my @headers = ref $o{headers} eq 'HASH' ? %{ $o{headers} } : @{ $o{headers} || [] };
	my %has = map { lc $headers[ 2 * $_ ] => 1 } 0 .. @headers / 2 - 1;
	my $body = exists $o{json} ? Taskq::HTTP::encode($o{json}) : $o{body};
	unshift @headers, Host => $self->{address} =~ /^unix:/ ? 'localhost' : $self->{address} if !$has{host};
	push @headers, 'Content-Type' => 'application/json' if defined $body && !$has{'content-type'};
	push @headers, 'Content-Length' => length $body if defined $body && !$has{'content-length'} && !$has{'transfer-encoding'};
	push @headers, Connection => 'close' if $o{close};
	my $head = "$method $target HTTP/1.1\r\n";
	$head .= "$headers[2 * $_]: $headers[2 * $_ + 1]\r\n" for 0 .. @headers / 2 - 1;
	return $self->write("$head\r\n" . (defined $body ? $body : ''));
}

sub request {
	my ($self, $method, $target, %o) = @_;
	$self->send_request($method, $target, %o);
	return $self->response(no_body => $method eq 'HEAD', seconds => $o{seconds});
}

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
sub encode { return $json->encode($_[0]) }
sub decode { return $json->decode($_[0]) }

package Taskq::Response;

sub parse {
	my ($class, $head) = @_;
	my ($first, @lines) = split /\r\n/, $head;
	$first =~ m{^HTTP/(1\.[01]) (\d{3})(?: (.*))?$} or die "no status line: $first\n";
	my $r = bless { version => $1, status => $2 + 0, reason => $3, headers => [], head => $head }, $class;
	for my $line (@lines) {
		$line =~ /^([^:\s]+):[ \t]*(.*?)[ \t]*$/ or die "no header line: $line\n";
		push @{ $r->{headers} }, [lc $1, $2];
	}
	return $r;
}

sub status { return $_[0]{status} }
sub body { return $_[0]{body} }

# The value, lines of the same name joined by ", "; undef when absent.
sub header {
	my ($self, $name) = @_;
	my @values = map { $_->[1] } grep { $_->[0] eq lc $name } @{ $self->{headers} };
	return @values ? join ', ', @values : undef;
}

sub json {
	my ($self) = @_;
	my $data = eval { Taskq::HTTP::decode($self->{body}) };
	die "the body is not JSON: $@ in: $self->{body}\n" if $@;
	return $data;
}

1;
