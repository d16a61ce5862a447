# Standby.pm - what a standby with hot_standby_feedback says to its primary, and nothing else: it keeps no data.
#
#	my $standby = Taskq::Standby->new($pg, slot => 'replica');    # without slot: none is used
#	$standby->holds($xid);                                        # the xmin of its oldest query
#	$standby->close;
package Taskq::Standby;
use strict;
use warnings;
use IO::Socket::UNIX;

sub new {
	my ($class, $pg, %o) = @_;
	my $path = $pg->socket_dir . '/.s.PGSQL.' . $pg->port;
	my $socket = IO::Socket::UNIX->new(Peer => $path) or die "could not connect to \"$path\": $!\n";
	my $self = bless { socket => $socket }, $class;
	my $options = "user\0taskq\0replication\0true\0application_name\0" . ($o{name} || 'standby') . "\0\0";
	$self->put(pack('N', 196608) . $options);
	$self->wait_for('Z');
	my $slot = defined $o{slot} ? "SLOT $o{slot}" : '';
	$self->put('Q', "START_REPLICATION $slot PHYSICAL " . $pg->psql('select pg_current_wal_flush_lsn()') . "\0");
	$self->wait_for('W');
	return $self;
}

sub put {
	my ($self, @parts) = @_;
	my $body = pop @parts;
	my $message = join('', @parts) . pack('N', 4 + length $body) . $body;
	(syswrite($self->{socket}, $message) || 0) == length $message or die "the server does not listen\n";
	return;
}

sub bytes {
	my ($self, $n) = @_;
	my $text = '';
	while (length $text < $n) {
		sysread($self->{socket}, $text, $n - length $text, length $text) or die "the server ended the connection\n";
	}
	return $text;
}

sub wait_for {
	my ($self, $kind) = @_;
	for (;;) {
		my ($got, $length) = unpack 'aN', $self->bytes(5);
		my $body = $self->bytes($length - 4);
		die "the server said: $body\n" if $got eq 'E';
		return if $got eq $kind;
	}
}

# The time is not looked at.
sub holds {
	my ($self, $xid) = @_;
	return $self->put('d', pack('aNNNNNN', 'h', 0, 0, $xid % 2**32, int($xid / 2**32), 0, 0));
}

sub close { my ($self) = @_; return $self->{socket}->close }

1;
