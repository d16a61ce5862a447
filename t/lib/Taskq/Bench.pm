# Bench.pm - what scripts/bench measures with: a private Postgres, a private Redis where one is needed, taskqd, and the programs
# that ask (t/bench/load) and that do only the needed rows (t/bench/limit).
#
#	my $bench = Taskq::Bench->new(%options);
#	$bench->start;
#	my $daemon = $bench->daemon($scenario);      # as the row of the scenario wants it; those that differ in nothing share one
#
# A function of a round (BenchRun.pm, BenchHistory.pm, ...) gets it and returns figures by name.  It has {pg}, {daemon}, {o}: the options, and
#
#	$bench->load(@arguments)                     one run of load, as it tells
#	$bench->limit(mode => 'mix', tasks => N)     the limit, in tables of its own that are made anew
#	$bench->cpu                                  (taskqd => s, postgres => s): CPU so far
#	$bench->problem('3 tasks are missing')       what makes the figures worthless; the whole run fails
package Taskq::Bench;
use strict;
use warnings;
use JSON::PP ();
use POSIX ();
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command);

sub fail { print STDERR "bench: $_[0]\n"; exit 1 }

sub new {
	my ($class, %o) = @_;
	return bless { o => \%o, problems => [], runs => 0 }, $class;
}

sub problem { my ($self, @words) = @_; push @{ $self->{problems} }, @words; return }

# --- programs ---------------------------------------------------------------------------------------------------------

sub build_programs {
	my $dir = builddir();
	-f "$dir/Makefile" or fail("\"$dir\" has no Makefile; give --build the directory where taskqd was built");
	my %quiet = map { $_ => undef } qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR);
	my ($status, $text) = slurp_command(command => ['make', '-s', '-C', $dir, map { "t/bench/$_" } qw(load limit child answer lease)], env => \%quiet, seconds => 120);
	fail("could not build the programs:\n$text") if $status != 0;
	return;
}

# A program that prints one line of JSON.
sub run_program {
	my ($self, $name, @args) = @_;
	my ($status, $text) = slurp_command(command => [builddir() . "/t/bench/$name", @args], seconds => 1200);
	fail("$name @args ended with status $status: $text") if $status != 0;
	return JSON::PP::decode_json($text);
}

# Later words win over those that come from the options.
sub load {
	my ($self, @args) = @_;
	my $o = $self->{o};
	my $prefix = sprintf 'bench-%d-%d', $$, ++$self->{runs};
	return $self->run_program('load', '--address', $self->{daemon}->address, '--seconds', $o->{seconds}, '--warm', $o->{warm}, '--payload', $o->{payload},
		'--keys', $o->{keys}, '--items', $o->{items}, '--prefix', $prefix, @args);
}

sub limit_create {
	my ($self, @more) = @_;
	my ($status, $text) = slurp_command(command => [builddir() . '/t/bench/limit', '--db', $self->{pg}->conninfo, '--create', @more], seconds => 1200);
	fail("limit --create: $text") if $status != 0;
	return;
}

# The limit in the tables that are there.
sub run_limit {
	my ($self, %l) = @_;
	my $o = $self->{o};
	my %args = (seconds => $o->{seconds}, warm => $o->{warm}, payload => $o->{payload}, batch => $o->{batch}, connections => 2, %l);
	return $self->with_cpu(sub { $_[0]{stored} },
		sub { $self->run_program('limit', '--db', $self->{pg}->conninfo, map { ("--$_", $args{$_}) } sort keys %args) }, postgres => $self->{pg}->pid);
}

sub limit {
	my ($self, %l) = @_;
	$self->limit_create('--payload', $self->{o}{payload}, map { ("--$_", $l{$_}) } sort keys %l);
	$self->{pg}->psql('checkpoint', seconds => 600);
	return $self->run_limit(%l);
}

# One task a statement: what the disk allows somebody who does not group commits.
sub single_limit {
	my ($self) = @_;
	$self->limit_create;
	return map { $self->run_limit(batch => 1, connections => 8)->{tasks_per_s} } 1 .. $self->{o}{rounds};
}

# --- CPU time ---------------------------------------------------------------------------------------------------------

# Seconds of CPU that a process and its children have used, also those that ended, reaped or not.
sub cpu_seconds {
	my ($pid) = @_;
	my $ticks = 0;
	for my $path (glob '/proc/[0-9]*/stat') {
		my ($process, $parent, @used) = (read_file($path) || '') =~ /^(\d+) .*\) \S (\d+)(?: \S+){9} (\d+) (\d+) (\d+) (\d+)/s or next;
		next if $process != $pid && $parent != $pid;
		$ticks += $_ for @used;
	}
	return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub cpu { my ($self) = @_; return (taskqd => cpu_seconds($self->{daemon}->pid), postgres => cpu_seconds($self->{pg}->pid)) }

# Runs the sub and adds to what it returned the microseconds of CPU that a unit of its work cost each server.
sub with_cpu {
	my ($self, $unit, $sub, %pids) = @_;
	my %before = map { $_ => cpu_seconds($pids{$_}) } keys %pids;
	my $got = $sub->();
	my $units = $unit->($got) || 1;
	$got->{"cpu_$_"} = 1e6 * (cpu_seconds($pids{$_}) - $before{$_}) / $units for keys %pids;
	return $got;
}

# --- servers ----------------------------------------------------------------------------------------------------------

sub megabytes_of_memory {
	my ($kb) = (read_file('/proc/meminfo') || '') =~ /^MemTotal:\s+(\d+)/m;
	return defined $kb ? int($kb / 1024) : 1024;
}

sub pg_settings {
	my $buffers = int(megabytes_of_memory() / 4);
	return (fsync => 'on', synchronous_commit => 'on', full_page_writes => 'on', max_connections => 100, max_wal_size => "'8GB'",
		checkpoint_timeout => "'15min'", min_wal_size => "'2GB'", shared_buffers => "'" . ($buffers > 1024 ? 1024 : $buffers) . "MB'");
}

# A server that has worked for a while writes into files of its log that are there already.
sub make_wal {
	my ($self) = @_;
	return $self->{pg}->psql("select pg_logical_emit_message(false, '', ''), pg_switch_wal();\n" x 100 . 'checkpoint');
}

sub start {
	my ($self) = @_;
	$self->{pg} = Taskq::Postgres->new(private => 1, settings => { pg_settings() });
	$self->make_wal if !$self->{o}{'self-test'};
	return;
}

# What is in force, by name.
sub postgres_now {
	my ($self) = @_;
	my %s = pg_settings();
	my $names = join ', ', map { "'$_'" } keys %s, 'server_version';
	return { map { split /\|/, $_, 2 } split /\n/, $self->{pg}->psql("select name, current_setting(name) from pg_settings where name in ($names)") };
}

# taskq.conf for a scenario: `from` says where known keys are answered when it is not the memory of the node.
sub config {
	my ($self, $s) = @_;
	my $word = sub { my ($w) = @_; return ref $w ? $w->($self) : defined $w ? $w : '' };
	my $from = $s->{from} || '';
	my $workers = defined $s->{workers} ? $s->{workers} : $s->{round} ? 'auto' : 0;
	my $text = "acceptors = $self->{o}{acceptors}\nworkers = $workers\n" . ($s->{handler} ? $word->($s->{handler}) : 'handler bench { kind = builtin builtin = noop }') . "\n";
	$text .= "keys { recent = 0 }\n" if $from;
	if ($from eq 'redis') {
		$self->{redis} ||= Taskq::Redis->new(private => 1);
		$text .= 'redis { address = "' . $self->{redis}->address . "\" }\n";
	}
	return $text . ($s->{config} ? $word->($s->{config}) . "\n" : '') . "$self->{o}{config}\n";
}

# A taskqd for the scenario, the only one.
sub daemon {
	my ($self, $s) = @_;
	my $config = $self->config($s);
	return $self->{daemon} if $self->{daemon} && $self->{configured} eq $config;
	$self->{daemon}->stop if $self->{daemon};
	$self->{configured} = $config;
	return $self->{daemon} = Taskq->start(pg => $self->{pg}, config => $config);
}

sub lsn { my ($self, $since) = @_; return $self->{pg}->psql(defined $since ? "select pg_current_wal_lsn() - '$since'" : 'select pg_current_wal_lsn()') }

# Everything but names.
sub empty {
	my ($self) = @_;
	$self->{pg}->psql('truncate taskq.idem, taskq.task, taskq.ready, taskq.lease, taskq.waiting, taskq.done, taskq.tried, taskq.dead');
	return;
}

1;
