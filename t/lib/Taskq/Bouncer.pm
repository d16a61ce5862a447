# Bouncer.pm - a private PgBouncer before a private Postgres, on a port of its own.
#
#	plan skip_all => Taskq::Bouncer->missing if Taskq::Bouncer->missing;
#	my $bouncer = Taskq::Bouncer->new($pg, pool_mode => 'transaction', default_pool_size => 3);      any setting of pgbouncer.ini
#	my $t = Taskq->start(pg => $pg, proxy => $bouncer);
#	$bouncer->admin('RECONNECT');
#
# TASKQ_PGBOUNCER is the program, when it is not the one of the system.
package Taskq::Bouncer;
use strict;
use warnings;
use IO::Socket::INET;
use Taskq::Machine qw(free_port read_file slurp_command spawn temp_dir unprivileged_user wait_for write_file);
use Taskq::Postgres;

sub program { return (grep { defined && -x } $ENV{TASKQ_PGBOUNCER}, map { "$_/pgbouncer" } (split /:/, $ENV{PATH}), '/usr/sbin')[0] }

# Why there is none, or undef.
sub missing { return program() ? undef : 'pgbouncer is needed; scripts/packages test installs it' }

# Whether this one can carry named statements from one server connection to the next: from 1.21 on.
sub carries_names {
	my (undef, $text) = slurp_command(command => [program(), '--version']);
	my ($major, $minor) = $text =~ /PgBouncer (\d+)\.(\d+)/ or die "no version: $text";
	return $major > 1 || $minor >= 21;
}

sub new {
	my ($class, $pg, %settings) = @_;
	my $self = bless { pg => $pg, user => unprivileged_user(), dir => temp_dir('pb'), port => undef, settings => \%settings }, $class;
	# its user's, and nobody else's: it has the password
	write_file("$self->{dir}/users", "\"taskq\" \"taskq\"\n", 0600);
	write_file("$self->{dir}/log", '', 0644);
	chown $self->{user}[1], $self->{user}[2], "$self->{dir}/users", "$self->{dir}/log" if $self->{user};
	return $self->start;
}

sub configure {
	my ($self, %more) = @_;
	my %o = (listen_addr => '127.0.0.1', listen_port => $self->{port}, unix_socket_dir => '', auth_type => 'plain', auth_file => "$self->{dir}/users",
		admin_users => 'taskq', server_login_retry => 1, pool_mode => 'transaction', server_round_robin => 1, %{ $self->{settings} }, %more);
	my $text = sprintf "[databases]\ntaskq = host=%s port=%d dbname=taskq\n\n[pgbouncer]\n", $self->{pg}->socket_dir, $self->{pg}->port;
	write_file("$self->{dir}/ini", $text . join('', map { "$_ = $o{$_}\n" } sort keys %o), 0644);
	return $self;
}

sub port { return $_[0]{port} }
sub pid { return $_[0]{child}->pid }
sub log { return read_file("$_[0]{dir}/log") }

# Starts it on the port it had, so that clients find it again; a first start looks for a free one.
sub start {
	my ($self) = @_;
	my $fixed = $self->{port};
	for my $try (1 .. 5) {
		$self->{port} = $fixed || free_port();
		$self->configure;
		$self->{child} = spawn(name => 'pgbouncer', user => $self->{user}, stop => 'INT', out => "$self->{dir}/log", dir => '/',
			command => [program(), "$self->{dir}/ini"]);
		my $up = wait_for(sub { !$self->{child}->alive ? -1 : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) }, 20,
			'pgbouncer to start');
		return $self if $up != -1;
		last if $fixed;
	}
	die "pgbouncer did not start:\n" . $self->log;
}

sub kill9 { my ($self) = @_; $self->{child}->signal('KILL'); $self->{child}->wait(10); return $self }

# A word to its console; lines.
sub admin { my ($self, $sql) = @_; return Taskq::Postgres::psql_at($self->conninfo('pgbouncer'), $sql) }

# As any other client of the same pool.
sub psql { my ($self, $sql) = @_; return Taskq::Postgres::psql_at($self->conninfo('taskq'), $sql) }
sub conninfo { my ($self, $db) = @_; return $self->{pg}->conninfo(db => $db, port => $self->{port}) }

1;
