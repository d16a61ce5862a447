# Session.pm - one psql that is talked to statement by statement, and may be left waiting for a lock.
#
#	my $s = Taskq::Session->new($conninfo);
#	$s->send('update ...');                # returns at once
#	my $text = $s->answer($seconds);       # undef: not yet
#	$s->run('select 1');                   # both; dies when it takes too long
package Taskq::Session;
use strict;
use warnings;
use IO::Select;
use IPC::Open2;
use Taskq::Machine qw(now);
use Taskq::Postgres;

sub new {
	my ($class, $conninfo) = @_;
	my $self = bless { buffer => '', n => 0 }, $class;
	my $psql = Taskq::Postgres::psql_program();
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';
	$self->{pid} = open2($self->{out}, $self->{in}, "exec '$psql' -XqAt -d '$conninfo' 2>&1");
	$self->{select} = IO::Select->new($self->{out});
	$self->{in}->autoflush(1);
	$self->{backend} = $self->run('select pg_backend_pid()');
	chomp $self->{backend};
	return $self;
}

sub backend { return $_[0]{backend} }

sub send {
	my ($self, $sql) = @_;
	$self->{n}++;
	print { $self->{in} } "$sql\n;\n\\echo ---$self->{n}\n";
	return $self;
}

sub answer {
	my ($self, $seconds) = @_;
	my $until = now() + $seconds;
	for (;;) {
		return $1 if $self->{buffer} =~ s/\A(.*?)^---$self->{n}\n//ms;
		my $left = $until - now();
		return undef if $left < 0 || !$self->{select}->can_read($left);
		sysread($self->{out}, $self->{buffer}, 65536, length $self->{buffer}) or die "psql ended: $self->{buffer}";
	}
}

sub run {
	my ($self, $sql, $seconds) = @_;
	my $text = $self->send($sql)->answer($seconds || 30);
	die "no answer to: $sql" unless defined $text;
	return $text;
}

sub close {
	my ($self) = @_;
	return unless $self->{pid};
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return;
}

sub DESTROY { my ($self) = @_; local $?; $self->close }

1;
