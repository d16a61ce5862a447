# Taskq.pm - the test harness: a real taskqd on a free port, with its own database, spoken to over HTTP.
#
#	use FindBin;
#	use lib "$FindBin::Bin/lib";
#	use Taskq;
#	use Test::More;
#
#	my $t = Taskq->start(config => 'handler echo { kind = builtin builtin = echo }');
#	my $task = $t->submit('echo', { a => 1 }, key => 'k1');
#	is($t->wait_final($task)->{status}, 'succeeded', 'it ran');
#	is($t->stop, 0, 'taskqd drained');
#	done_testing;
#
# Everything is core Perl.  Where things live: Taskq::Machine (directories, processes, waiting), Taskq::HTTP (client),
# Taskq::Postgres, Taskq::Redis.  Environment: t/README.
package Taskq;
use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Taskq::HTTP;
use Taskq::Machine qw(bail builddir descendants now process_start_time read_file slurp_command spawn temp_dir wait_for write_file);
use Taskq::Postgres;
use Taskq::Redis;
use Test::More ();

our @EXPORT = qw(wait_for);

my ($shared_pg, $shared_redis);

# One private Postgres for the test; options as in Taskq::Postgres->new, honoured at the first call.
sub pg { my ($class, %o) = @_; return $shared_pg ||= Taskq::Postgres->new(%o) }
sub redis { my ($class, %o) = @_; return $shared_redis ||= Taskq::Redis->new(%o) }

sub program {
	my (undef, $name) = @_;
	my $path = builddir() . '/' . ($name || 'taskqd');
	-x $path or bail("\"$path\" is not there; run make, or set TASKQ_BUILDDIR");
	return $path;
}

# --- start ----------------------------------------------------------------------------------------------------------

# start(config => text after the harness' own, pg => object, db => name of a database, args => [...], env => {...},
#   tcp => 1: reach Postgres by TCP, proxy => Taskq::Proxy: through that, dir => an earlier instance's directory, migrate => 0, ready => 0: do not wait for /readyz,
#   seconds => how long to wait)
sub start {
	my ($class, %o) = @_;
	my $self = $class->new(%o);
	$self->migrate if !exists $o{migrate} || $o{migrate};
	$self->launch(%o);
	return $self;
}

# The same, not yet started: ->migrate, ->launch.
sub new {
	my ($class, %o) = @_;
	my $self = bless { pg => $o{pg}, db => $o{db}, dir => $o{dir} || temp_dir('d'), proxy => $o{proxy}, seen => 0 }, $class;
	$self->{pg} ||= $class->pg if !exists $o{pg};
	mkdir "$self->{dir}/run", 0755;
	$self->configure($o{config}, %o);
	return $self;
}

# Writes the configuration anew; ->hup makes a running daemon read it.
sub configure {
	my ($self, $text, %o) = @_;
	my $base = "run_dir = \"$self->{dir}/run\"\n";
	$base .= "acceptors = 1\nworkers = 1\ndrain_timeout = 10s\n";
	$base .= "http { listen = {\"127.0.0.1:0\"} }\n";
	$base .= "work { spool_dir = \"$self->{dir}/spool\" }\n";
	if ($self->{pg}) {
		my $conninfo = $self->{pg}->conninfo(db => $self->{db}, tcp => $o{tcp}, port => $self->{proxy} && $self->{proxy}->port);
		$base .= "postgres { conninfo = \"$conninfo\" }\n";
		$base .= "postgres { allow_unsafe = on }\n" if $self->{pg}->private && !$self->{pg}{fsync};
	}
	write_file($self->config_path, $base . (defined $text ? $text : '') . "\n");
	return $self;
}

sub config_path { return "$_[0]{dir}/taskq.conf" }
sub log_path { return "$_[0]{dir}/log" }
sub run_dir { return "$_[0]{dir}/run" }

sub migrate {
	my ($self) = @_;
	my ($status, $text) = slurp_command(command => [$self->program, '-c', $self->config_path, '--migrate']);
	die "taskqd --migrate ended with status $status:\n$text" if $status != 0;
	return $text;
}

sub launch {
	my ($self, %o) = @_;
	delete $self->{$_} for qw(address child);
	unlink $self->run_dir . '/address';
	$self->{child} = spawn(name => 'taskqd', out => $self->log_path, env => $o{env},
		command => [$self->program, '-c', $self->config_path, '--foreground', @{ $o{args} || [] }]);
	$self->{child}{early} = 1;
	$self->wait_ready($o{seconds}) if !exists $o{ready} || $o{ready};
	return $self;
}

# Waits for /readyz to say 200; dies with the log when taskqd ends first.
sub wait_ready {
	my ($self, $seconds) = @_;
	my $ok = eval {
		wait_for(sub {
			die 'taskqd ended with status ' . $self->{child}->status . "\n" if !$self->{child}->alive;
			return $self->has_address && eval { $self->get('/readyz')->{status} == 200 };
		}, $seconds || 20, '/readyz to say 200');
	};
	die "$@" . $self->log_tail if !$ok;
	return $self;
}

sub log_tail { my ($self) = @_; return join '', map { "| $_\n" } grep { defined } ($self->log_lines)[-40 .. -1] }

# --- what it is -----------------------------------------------------------------------------------------------------

sub pid { return $_[0]{child}->pid }
sub alive { return $_[0]{child}->alive }

sub has_address {
	my ($self) = @_;
	my $text = read_file($self->run_dir . '/address');
	return defined $text && $text =~ /\n/;
}

# All real listening addresses; the first.
sub addresses {
	my ($self) = @_;
	wait_for(sub { $self->has_address }, 20, 'the address of taskqd');
	return split /\n/, read_file($self->run_dir . '/address');
}
sub address { my ($self) = @_; return $self->{address} ||= ($self->addresses)[0] }

# Processes now, as roles.json tells: list of { role, index, pid, ... }; roles('worker') only those.
sub roles {
	my ($self, $role) = @_;
	my $text = read_file($self->run_dir . '/roles.json');
	return () if !defined $text || $text eq '';
	my @found;
	my @queue = (Taskq::HTTP::decode($text));
	while (@queue) {
		my $x = shift @queue;
		if (ref $x eq 'HASH') {
			push @found, $x if exists $x->{role} && exists $x->{pid};
			push @queue, map { $x->{$_} } sort keys %$x;
		} elsif (ref $x eq 'ARRAY') {
			push @queue, @$x;
		}
	}
	return grep { !defined $role || $_->{role} eq $role } @found;
}

# The pid of a role's process, without an index the newest of the role; dies when there is none within the time.
sub role_pid {
	my ($self, $role, $index) = @_;
	return $self->pid if $role eq 'supervisor';
	my $it = wait_for(sub {
		my @all = sort { $b->{generation} <=> $a->{generation} || $a->{index} <=> $b->{index} } $self->roles($role);
		return (grep { !defined $index || $_->{index} == $index } @all)[0];
	}, 10, "a $role in roles.json");
	return $it->{pid};
}

# { pid => start time } of all processes below the supervisor; gone(that) is true when none of them lives.
sub tree { my ($self) = @_; return descendants($self->pid) }
sub tree_of { my (undef, $pid) = @_; return descendants($pid) }

sub gone {
	my (undef, $tree) = @_;
	return !grep { my $start = process_start_time($_); defined $start && $start == $tree->{$_} } keys %$tree;
}

# --- signals --------------------------------------------------------------------------------------------------------

sub signal { my ($self, $signal) = @_; return $self->{child}->signal($signal) }

# SIGTERM and the exit status; undef when it did not end in time.
sub stop {
	my ($self, $seconds) = @_;
	$self->signal('TERM');
	return $self->{child}->wait($seconds || 30);
}

sub wait_exit { my ($self, $seconds) = @_; return $self->{child}->wait($seconds || 30) }

# kill9('worker', 1); kill9('supervisor').  Returns the pid.
sub kill9 {
	my ($self, $role, $index) = @_;
	my $pid = $self->role_pid($role, $index);
	kill 'KILL', $pid or die "could not kill $role $pid: $!\n";
	$self->{child}->wait(10) if $role eq 'supervisor';
	return $pid;
}

# Reload: optionally writes a new configuration first.
sub hup {
	my ($self, $text, %o) = @_;
	$self->configure($text, %o) if defined $text;
	return $self->signal('HUP');
}

# --- log ------------------------------------------------------------------------------------------------------------

sub log_lines {
	my ($self) = @_;
	my $text = read_file($self->log_path);
	return defined $text ? split /\n/, $text : ();
}

# The first line that matches, among all lines so far or yet to come; with from => n, only after the first n lines.
sub log_wait {
	my ($self, $pattern, $seconds, %o) = @_;
	my $found = eval {
		wait_for(sub {
			my @lines = $self->log_lines;
			my ($line) = grep { $_ =~ $pattern } @lines[($o{from} || 0) .. $#lines];
			return defined $line ? \$line : 0;
		}, $seconds || 20, "a log line like $pattern");
	};
	die "$@" . $self->log_tail if !$found;
	return $$found;
}

# --- HTTP -----------------------------------------------------------------------------------------------------------

sub connect { my ($self, $address) = @_; return Taskq::HTTP->connect($address || $self->address) }

# request(method, target, body => bytes | json => data, headers => {...}) on a connection of its own.
sub request {
	my ($self, $method, $target, %o) = @_;
	return $self->connect->request($method, $target, close => 1, %o);
}

sub get { my ($self, $target, %o) = @_; return $self->request('GET', $target, %o) }

# post(target, body, ...): a reference is encoded as JSON.
sub post {
	my ($self, $target, $body, %o) = @_;
	return $self->request('POST', $target, (ref $body ? (json => $body) : (body => $body)), %o);
}

# Sends bytes as they are and reads until the server closes.
sub raw {
	my ($self, $bytes, $seconds) = @_;
	my $c = $self->connect;
	$c->write($bytes);
	return $c->read_all($seconds);
}

my $serial = 0;

# submit(type, payload, key => ..., any other member of the body): the task as the answer shows it; dies unless 202.
sub submit {
	my ($self, $type, $payload, %o) = @_;
	my $key = delete $o{key};
	$key = "key-$$-" . ++$serial if !defined $key;
	my $r = $self->post('/v1/tasks', { task_type => $type, defined $payload ? (payload => $payload) : (), %o },
		headers => { 'Idempotency-Key' => $key });
	die "submit was answered with $r->{status}: $r->{body}\n" if $r->{status} != 202;
	return $r->json;
}

# The task now; takes an id or a task.
sub task {
	my ($self, $task) = @_;
	my $id = ref $task ? $task->{id} : $task;
	my $r = $self->get("/v1/tasks/$id");
	die "task $id: $r->{status}: $r->{body}\n" if $r->{status} != 200;
	return $r->json;
}

sub wait_status {
	my ($self, $task, $pattern, $seconds) = @_;
	my $last;
	my $it = eval { wait_for(sub { $last = $self->task($task); $last->{status} =~ $pattern ? $last : 0 }, $seconds || 30, "status $pattern") };
	die "$@" . ($last ? 'last seen: ' . Taskq::HTTP::encode($last) . "\n" : '') . $self->log_tail if !$it;
	return $it;
}

# Waits until the task is succeeded, failed, dead_letter or cancelled, and returns it.
sub wait_final { my ($self, $task, $seconds) = @_; return $self->wait_status($task, qr/^(?:succeeded|failed|dead_letter|cancelled)$/, $seconds) }

# --- metrics --------------------------------------------------------------------------------------------------------

# { 'name{label="value"}' => number }
sub metrics {
	my ($self) = @_;
	my $r = $self->get('/metrics');
	die "/metrics: $r->{status}\n" if $r->{status} != 200;
	my %m;
	for my $line (grep { !/^#/ && /\S/ } split /\n/, $r->{body}) {
		$line =~ /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$/ or die "no sample: $line\n";
		$m{$1} = $2;
	}
	return \%m;
}

# The sum over all samples of the name that carry these labels; undef when there is none.
sub metric {
	my ($self, $name, %labels) = @_;
	my ($m, $sum) = ($self->metrics);
	for my $key (keys %$m) {
		my ($n, $l) = $key =~ /^([^{]+)(?:\{(.*)\})?$/;
		next if $n ne $name;
		next if grep { (defined $l ? $l : '') !~ /(?:^|,)\Q$_="$labels{$_}"\E(?:,|$)/ } keys %labels;
		$sum = ($sum || 0) + $m->{$key};
	}
	return $sum;
}

1;
