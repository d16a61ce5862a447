# Machine.pm - what the tests need from the machine: temporary directories, processes, waiting, free ports.
#
# Everything started here is killed, by pid, when the test ends, also when it dies or is interrupted; temporary directories
# are removed unless KEEP=1.  A process whose test is killed with SIGKILL gets a signal from the kernel.
package Taskq::Machine;
use strict;
use warnings;
use Exporter 'import';
use Fcntl qw(:flock);
use File::Path qw(remove_tree);
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

our @EXPORT_OK = qw(bail builddir descendants free_port memory_of now patience process_start_time read_file run_as_user slurp_command
	spawn srcdir temp_dir unprivileged_user wait_for write_file);

my $owner = $$;
my @children; # in order of birth
my @cleanups; # each run once at the end, last first
my @dirs;

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Deadlines are generous and may be stretched for slow builds (sanitizers, valgrind).
sub patience { return $_[0] * ($ENV{TASKQ_PATIENCE} || 1) }

sub bail { my ($why) = @_; Test::More::BAIL_OUT($why); die "$why\n" }

sub srcdir {
	return $ENV{TASKQ_SRCDIR} if $ENV{TASKQ_SRCDIR};
	my ($here) = __FILE__ =~ m{^(.*)/t/lib/Taskq/Machine\.pm$};
	$here = '.' if !defined $here;
	return POSIX::getcwd() . ($here eq '.' ? '' : "/$here") if $here !~ m{^/};
	return $here;
}

# Where taskqd was built: TASKQ_BUILDDIR, else the current directory when it holds one, else the source tree.
sub builddir {
	return $ENV{TASKQ_BUILDDIR} if $ENV{TASKQ_BUILDDIR};
	return -x 'taskqd' ? POSIX::getcwd() : srcdir();
}

# --- files ----------------------------------------------------------------------------------------------------------

# Short, because the path of a unix socket has 107 bytes, and open to traversal, because Postgres may run as another user.
sub temp_dir {
	my ($name) = @_;
	my $base = $ENV{TMPDIR} || '/tmp';
	$base = '/tmp' if length($base) > 60 || !-d $base || ($> == 0 && !reachable_by_all($base));
	my $dir = File::Temp::tempdir('tq-' . ($name || 't') . '-XXXXXX', DIR => $base, CLEANUP => 0);
	chmod 0711, $dir or die "could not chmod \"$dir\": $!";
	push @dirs, $dir;
	return $dir;
}

sub reachable_by_all {
	my ($dir) = @_;
	while ($dir =~ m{[^/]}) {
		my $mode = (stat $dir)[2];
		return 0 if !defined $mode || !($mode & 01);
		$dir =~ s{/*[^/]*/*$}{};
	}
	return 1;
}

sub read_file {
	my ($path) = @_;
	open my $f, '<:raw', $path or return undef;
	local $/;
	my $text = <$f>;
	return defined $text ? $text : '';
}

sub write_file {
	my ($path, $text, $mode) = @_;
	open my $f, '>:raw', $path or die "could not write \"$path\": $!";
	print $f $text;
	close $f or die "could not write \"$path\": $!";
	chmod $mode, $path if defined $mode;
	return $path;
}

sub free_port {
	my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 1)
		or die "could not find a free port: $!";
	return $s->sockport;
}

# --- waiting --------------------------------------------------------------------------------------------------------

# Calls the sub until it returns something true, and returns that; dies after `seconds` naming what was waited for.
sub wait_for {
	my ($sub, $seconds, $what) = @_;
	my $deadline = now() + patience($seconds || 20);
	while (1) {
		my $result = $sub->();
		return $result if $result;
		die 'waited ' . patience($seconds || 20) . ' s in vain for ' . ($what || 'a condition') . "\n" if now() > $deadline;
		sleep 0.02;
	}
}

# --- users ----------------------------------------------------------------------------------------------------------

# [name, uid, gid] of somebody who may run a database when we are root (which may not); undef when we are not root.
sub unprivileged_user {
	return undef if $> != 0;
	for my $name ('postgres', 'nobody') {
		my (undef, undef, $uid, $gid) = getpwnam $name;
		return [$name, $uid, $gid] if defined $uid;
	}
	die "neither user \"postgres\" nor user \"nobody\" exists\n";
}

sub become {
	my ($user) = @_;
	my (undef, $uid, $gid) = @$user;
	$) = "$gid $gid";
	POSIX::setgid($gid) && POSIX::setuid($uid) && $> == $uid && $< == $uid or die "could not become $user->[0]: $!";
	$ENV{HOME} = '/';
	$ENV{USER} = $ENV{LOGNAME} = $user->[0];
}

# --- processes ------------------------------------------------------------------------------------------------------

# The kernel sends `signal` to the caller when its parent dies: prctl(PR_SET_PDEATHSIG), which Perl has no word for.
sub die_with_parent {
	my ($signal) = @_;
	my %prctl = (x86_64 => 157, aarch64 => 167, riscv64 => 167);
	my $number = $prctl{ (POSIX::uname())[4] };
	syscall $number, 1, $signal, 0, 0, 0 if defined $number;
}

# spawn(command => [...], name, out => file, err => file, in => file, env => {}, dir, user => [name, uid, gid], stop => 'TERM',
# grace => seconds between that signal and SIGKILL at the end of the test) starts a process and returns a Taskq::Child.
sub spawn {
	my (%o) = @_;
	my $pid = fork;
	die "could not fork: $!" if !defined $pid;
	if ($pid == 0) {
		eval { exec_child(\%o); 1 } or print STDERR "could not run $o{command}[0]: $@";
		POSIX::_exit(127);
	}
	my $child = bless { pid => $pid, name => $o{name} || $o{command}[0], stop => $o{stop} || 'TERM',
		grace => $o{grace} || 5 }, 'Taskq::Child';
	push @children, $child;
	return $child;
}

sub exec_child {
	my ($o) = @_;
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
	POSIX::setpgid(0, 0);
	open STDIN, '<', $o->{in} || '/dev/null' or die "$!\n";
	open STDOUT, '>>', $o->{out} or die "$o->{out}: $!\n" if $o->{out};
	open STDERR, '>>', $o->{err} || $o->{out} or die "$!\n" if $o->{err} || $o->{out};
	become($o->{user}) if $o->{user};
	die_with_parent(POSIX->can('SIG' . ($o->{stop} || 'TERM'))->());
	chdir($o->{dir} || '/') or die "$o->{dir}: $!\n";
	my $env = $o->{env} || {};
	defined $env->{$_} ? ($ENV{$_} = $env->{$_}) : delete $ENV{$_} for keys %$env;
	no warnings 'exec';
	exec { $o->{command}[0] } @{ $o->{command} } or die "$!\n";
}

# Runs a command to its end: (exit status, output of both).  128 + signal when it was killed.
sub slurp_command {
	my (%o) = @_;
	my $out = File::Temp->new(TEMPLATE => 'tq-out-XXXXXX', TMPDIR => 1);
	my $child = spawn(%o, out => $out->filename);
	my $status = $child->wait($o{seconds} || 60);
	if (!defined $status) {
		$child->kill_tree;
		die "\"@{ $o{command} }\" did not end in time; it said:\n" . read_file($out->filename);
	}
	return ($status, read_file($out->filename));
}

# As slurp_command(), but dies unless the status is 0; returns the output.
sub run_as_user {
	my ($user, @command) = @_;
	my ($status, $text) = slurp_command(command => \@command, user => $user);
	die "\"@command\" ended with status $status:\n$text" if $status != 0;
	return $text;
}

# Start time in ticks: pid and start time together name a process for ever.  Undef: there is none (or only a zombie).
sub process_start_time {
	my ($pid) = @_;
	my $stat = read_file("/proc/$pid/stat");
	return undef if !defined $stat || $stat !~ /^\d+ \(.*\) (\S) (.*)/s || $1 eq 'Z' || $1 eq 'X';
	return (split ' ', $2)[18];
}

# MB of a process: VmRSS now, VmHWM at most.
sub memory_of {
	my ($pid, $what) = @_;
	return (read_file("/proc/$pid/status") // '') =~ /^$what:\s+(\d+) kB/m ? $1 / 1024 : die "no $what of $pid\n";
}

# { pid => start time } of all living descendants.
sub descendants {
	my ($root) = @_;
	my %children;
	for my $path (glob '/proc/[0-9]*/stat') {
		my $stat = read_file($path);
		next if !defined $stat || $stat !~ /^(\d+) \(.*\) \S (\d+)/s;
		push @{ $children{$2} }, $1;
	}
	my (%found, @queue);
	@queue = @{ $children{$root} || [] };
	while (defined(my $pid = shift @queue)) {
		my $start = process_start_time($pid);
		$found{$pid} = $start if defined $start;
		push @queue, @{ $children{$pid} || [] };
	}
	return \%found;
}

# --- the end --------------------------------------------------------------------------------------------------------

# Runs the sub at the end of the test, before temporary directories go and after processes have gone.
sub at_end { push @cleanups, $_[0] }

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

END {
	if ($$ == $owner) {
		local $?;
		$_->end for grep { $_->{early} } @children;
		$_->() for reverse splice @cleanups;
		$_->end for reverse @children;
		if ($ENV{KEEP}) {
			Test::More::diag("kept $_") for @dirs;
		} else {
			remove_tree($_, { error => \my $ignored }) for @dirs;
		}
	}
}

# --- a child --------------------------------------------------------------------------------------------------------

package Taskq::Child;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep);

sub pid { return $_[0]{pid} }

# Exit code, or 128 + signal; undef while it runs.
sub status {
	my ($self) = @_;
	return $self->{status} if defined $self->{status};
	my $got = waitpid $self->{pid}, WNOHANG;
	return undef if $got == 0;
	my $raw = $?;
	$self->{status} = $got < 0 ? -1 : WIFSIGNALED($raw) ? 128 + WTERMSIG($raw) : WEXITSTATUS($raw);
	return $self->{status};
}

sub alive { return !defined $_[0]->status }

sub signal {
	my ($self, $signal) = @_;
	return $self->alive && kill $signal, $self->{pid};
}

# The status, or undef when it did not end in time.
sub wait {
	my ($self, $seconds) = @_;
	my $deadline = Taskq::Machine::now() + Taskq::Machine::patience($seconds || 20);
	while ($self->alive) {
		return undef if Taskq::Machine::now() > $deadline;
		sleep 0.01;
	}
	return $self->{status};
}

# The process, then whatever of its descendants did not go with it: killed, each by its own pid.
sub kill_tree {
	my ($self) = @_;
	my $below = Taskq::Machine::descendants($self->{pid});
	$self->signal('KILL');
	$self->wait(10);
	for my $pid (keys %$below) {
		my $start = Taskq::Machine::process_start_time($pid);
		kill 'KILL', $pid if defined $start && $start == $below->{$pid};
	}
}

# At the end of the test: asked politely, then not.
sub end {
	my ($self) = @_;
	return if !$self->alive;
	my $below = Taskq::Machine::descendants($self->{pid});
	$self->signal($self->{stop});
	$self->wait($self->{grace});
	$self->kill_tree if $self->alive;
	for my $pid (keys %$below) {
		my $start = Taskq::Machine::process_start_time($pid);
		kill 'KILL', $pid if defined $start && $start == $below->{$pid};
	}
}

1;
