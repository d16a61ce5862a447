# Redis.pm - a private Redis for a test, or an existing one named by TASKQ_REDIS ("host:port" or "unix:/path").
package Taskq::Redis;
use strict;
use warnings;
use Taskq::HTTP;
use Taskq::Machine qw(bail free_port now patience read_file spawn temp_dir wait_for);

sub new {
	my ($class, %o) = @_;
	return bless { address => $ENV{TASKQ_REDIS}, external => 1 }, $class if $ENV{TASKQ_REDIS} && !$o{private};
	my ($program) = grep { -x } map { "$_/redis-server" } split /:/, $ENV{PATH};
	bail('redis-server not found; Debian: redis-server') if !$program;
	my $self = bless { program => $program, dir => temp_dir('redis') }, $class;
	$self->start;
	return $self;
}

sub private { return !$_[0]{external} }
sub address { return $_[0]{address} }
sub socket { return "$_[0]{dir}/redis.sock" }
sub pid { return $_[0]{child}->pid }
sub log { return read_file("$_[0]{dir}/log") }

sub start {
	my ($self) = @_;
	for my $try (1 .. 5) {
		my $port = $self->{port} || free_port();
		$self->{address} = "127.0.0.1:$port";
		$self->{child} = spawn(name => 'redis-server', out => "$self->{dir}/log", dir => $self->{dir},
			command => [$self->{program}, '--port', $port, '--bind', '127.0.0.1', '--unixsocket', $self->socket, '--unixsocketperm', 700,
				'--dir', $self->{dir}, '--save', '', '--appendonly', 'no', '--daemonize', 'no']);
		my $up = wait_for(sub { !$self->{child}->alive ? -1 : eval { $self->command('PING') eq 'PONG' } }, 20, 'redis to start');
		if ($up != -1) {
			$self->{port} = $port;
			return $self;
		}
		last if $self->{port};
	}
	die "redis-server did not start:\n" . $self->log;
}

sub stop {
	my ($self) = @_;
	$self->{child}->signal('TERM');
	defined $self->{child}->wait(20) or die "redis-server did not stop\n";
	return $self;
}

sub kill9 { my ($self) = @_; $self->{child}->signal('KILL'); $self->{child}->wait(10); return $self }
sub restart { return $_[0]->stop->start }

# One command on a connection of its own; text, undef, or for an array a reference to a list.
sub command {
	my ($self, @words) = @_;
	my $c = Taskq::HTTP->connect($self->{address});
	$c->write('*' . @words . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @words);
	return reply($c, now() + patience(10));
}

sub reply {
	my ($c, $deadline) = @_;
	$c->need(sub { $c->{in} =~ /\r\n/ }, $deadline, 'reply');
	$c->{in} =~ s/^(.)([^\r]*)\r\n//;
	my ($kind, $value) = ($1, $2);
	die "redis: $value\n" if $kind eq '-';
	return $value if $kind eq '+' || $kind eq ':';
	return undef if $value < 0;
	return [map { reply($c, $deadline) } 1 .. $value] if $kind eq '*';
	die "redis: unexpected reply $kind$value\n" if $kind ne '$';
	$c->need(sub { length $c->{in} >= $value + 2 }, $deadline, 'reply');
	my $text = substr $c->{in}, 0, $value;
	substr($c->{in}, 0, $value + 2) = '';
	return $text;
}

# Names of what taskq has put.
sub names { my ($self) = @_; return sort @{ $self->command('KEYS', 'taskq:*') } }

1;
