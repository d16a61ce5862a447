#!/usr/bin/perl
# Bad commands: each has a stated outcome (FAILURES in taskq.conf(5)), and none harms its worker or its neighbours.  Where each kind is tried:
#
#	ignores TERM                             t/3020 (timeout), t/3050 (drain)
#	double fork and setsid, environment wiped  here; with its environment t/3020
#	fork bomb under limit_processes          here
#	thousands of zombies                     here
#	endless output                           t/3010 (yes), here (1 GB on stdout, 200 MB on stderr)
#	never reads stdin, payload of 1 MB       here (open and unread); closed: t/3010
#	no UTF-8, NUL, ANSI, one 100 MB line     here
#	closes its outputs and runs on           t/3010, here with a stray that holds them open
#	ends after its lease                     t/3500
#	exit codes, every signal                 t/3060, here SIGSTOP and real-time signals
#	cannot be executed                       here
#	inherited descriptors                    t/3010, t/6200
#	environment, argv, /proc of others       t/3010, t/6200, t/6210, here argv
#	memory, CPU and file limits              here what happens at them; that they are set: t/6200
#	poison: kills its worker each time       t/3090; itself: t/3040
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Errno ();
use Fcntl qw(O_RDWR);
use Taskq;
use Taskq::Machine qw(memory_of read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
# As root the bomb has a user of its own; else it shares ours, and its limit is what we have and some more.
my ($bomber) = $> == 0 ? grep { defined getpwnam $_ } qw(games news uucp daemon nobody) : ();
my $mine = grep { ((stat)[4] // -1) == $> } glob '/proc/[0-9]*/task/*';
my $crowd = $bomber ? 60 : $mine + 100;

sub program {
	my ($type, $text, $more) = @_;
	write_file("$dir/$type", $text);
	chmod 0755, "$dir/$type";
	return handler($type, "$dir/$type", $more);
}
sub handler { my ($type, $command, $more) = @_; return "handler $type { command = {\"$command\"}\n " . ($more || '') . " }\n" }
sub sh { my ($type, $text, $more) = @_; return program($type, "#!/bin/sh\n$text\n", $more) }
sub perl { my ($type, $text, $more) = @_; return program($type, "#!/usr/bin/perl\nuse strict; use warnings; use POSIX ();\n$text", $more) }

write_file("$dir/not_executable", "#!/bin/sh\necho 1\n");
chmod 0644, "$dir/not_executable";
write_file("$dir/garbage", "\0\1\2 not a program");
chmod 0755, "$dir/garbage";
system("cp", "/bin/true", "$dir/busy") == 0 or die "could not copy /bin/true";
chmod 0755, "$dir/busy";

my $t = Taskq->start(config => join '',
	"kill_grace = 200ms\nworkers = 1\nwork { poll = 100ms\n crash_max = 1\n slots = 8 }\n",
	perl(daemon => <<'PERL'),
exit POSIX::_exit(0) if !defined(my $pid = fork);
if ($pid == 0) {
	POSIX::setsid();
	POSIX::_exit(0) if fork;
	close STDIN; close STDOUT; close STDERR;
	exec '/usr/bin/env', '-i', '/bin/sh', '-c', 'echo $$ > ' . ($0 =~ s/daemon$/stray/r) . '; exec sleep 1000';
}
waitpid $pid, 0;
my $file = $0 =~ s/daemon$/stray/r;
select undef, undef, undef, 0.01 while !-s $file;
print "1\n";
PERL
	perl(clings => "if (!fork) { POSIX::setsid(); exec 'sleep', '1000' }\nprint \"2\\n\";"),
	sh(bomb => 'b() { b | b & }; b; while :; do sleep 1; done',
		"timeout = 1s\n limit_processes = $crowd\n" . ($bomber ? "user = \"$bomber\"" : '')),
	perl(zombies => 'my $n = 0; for (1 .. ' . ($ENV{TASKQ_FULL} ? 5000 : 1000) . ') { my $pid = fork; last if !defined $pid; exit 0 if !$pid; $n++ } print $n > 100 ? "true" : $n;'),
	sh(gigabyte => 'head -c 1000000000 /dev/zero'),
	sh(torrent => 'head -c 200000000 /dev/zero >&2; echo "the end" >&2; echo 1'),
	sh(line => 'head -c 100000000 /dev/zero | tr "\\0" y >&2; exit 1'),
	sh(unread => 'sleep 0.3; echo 3'),
	sh(unreading => 'sleep 1000', 'timeout = 300ms'),
	sh(latin => 'printf "\\351t\\351"'),
	sh(nul => 'printf "[1]\\000"'),
	sh(ansi => 'printf "\\033[31mred\\033[0m\\007 a\\302" >&2; exit 1'),
	sh(two => 'echo 1; echo 2'),
	sh(stops => 'kill -STOP $$', 'timeout = 300ms'),
	sh(realtime => 'kill -34 $$'),
	sh(argv => 'tr "\\000" " " < /proc/self/cmdline > /dev/null; printf \'"%s %s"\' "$#" "$(tr "\\000" " " < /proc/$$/cmdline)"'),
	perl(memory => 'my $x = "x" x 900_000_000; print "1";', 'limit_memory = 100MB'),
	sh(cpu => 'while :; do :; done', 'limit_cpu = 1s'),
	sh(files => "exec head -c 1000000 /dev/zero > $dir/large", 'limit_file_size = 64kB'),
	handler(absent => "$dir/no/such"), handler(forbidden => "$dir/not_executable"), handler(garbage => "$dir/garbage"),
	handler(directory => $dir), handler(busy => "$dir/busy"),
	program(interpreter => "#!/no/such/interpreter\n"),
	handler(nowhere => '/bin/true', "directory = \"$dir/nowhere\""),
	"handler echo { kind = builtin\n builtin = echo }\n");

sub run { my ($type, $payload, %o) = @_; return $t->wait_final($t->submit($type, $payload || {}, max_attempts => 1, %o), 60) }
sub is_end {
	my ($type, $class, $code, $message, $payload) = @_;
	my $task = run($type, $payload);
	is_deeply([@$task{qw(status error_class error_code)}], ['dead_letter', $class, $code], "$type: $class, $code") or diag explain $task;
	like($task->{last_error}, $message, "$type: its message") if defined $message;
	return $task;
}
sub alive { my ($pid) = @_; return kill(0, $pid) && (read_file("/proc/$pid/stat") || ') Z') !~ /\) [ZX]/ }
sub memory { return memory_of($t->role_pid('worker', 0), 'VmHWM') }

my $worker = $t->role_pid('worker', 0);
my $before = memory();

# Processes that stay behind.
is(run('daemon')->{result}, 1, 'a daemon in the making: the exit of the command decides');
my ($stray) = (read_file("$dir/stray") || '') =~ /(\d+)/;
wait_for(sub { !alive($stray) }, 30, 'the end of the daemon');
pass('the daemon, without a trace of us in its environment, is gone');
is(run('clings')->{result}, 2, 'who holds the output open holds up nothing');
is(run('zombies')->{result}, 1, 'children that nobody waits for');
my $launcher = $t->role_pid('launcher');
wait_for(sub { !grep { /^(\d+) \(.*\) Z \Q$launcher\E /s } map { read_file($_) || '' } glob '/proc/[0-9]*/stat' }, 30, 'the end of zombies');
pass('are reaped');
is_end('bomb', 'TRANSIENT', 'TIMEOUT', qr/timed out after 1 s/);
wait_for(sub { !grep { (read_file($_) || '') =~ m{\Q$dir\E/bomb} } glob '/proc/[0-9]*/cmdline' }, 60, 'the end of the bomb');
pass('nothing is left of a fork bomb');
is(run('echo', { n => 1 })->{result}{n}, 1, 'and others run');

# Output.
is_end('gigabyte', 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/more than 65536 bytes/);
is(run('torrent')->{result}, 1, '200 MB on stderr are read and forgotten');
is(length is_end('line', 'TRANSIENT', 'HANDLER_FAILED', qr/^y+$/)->{last_error}, 2000, 'a line of 100 MB is cut');
is_end('latin', 'TRANSIENT', 'BAD_OUTPUT', qr/begins "\x{fffd}t\x{fffd}"/);
is_end('nul', 'TRANSIENT', 'BAD_OUTPUT');
is_end('two', 'TRANSIENT', 'BAD_OUTPUT');
is_end('ansi', 'TRANSIENT', 'HANDLER_FAILED', qr/^\x{fffd}\[31mred\x{fffd}\[0m\x{fffd} a\x{fffd}$/);

# Input.
my $big = { x => 'x' x 1_000_000 };
is(run('unread', $big)->{result}, 3, 'who never reads 1 MB harms nobody');
is_end('unreading', 'TRANSIENT', 'TIMEOUT', undef, $big);
like(run('argv', { secret => 'hush' })->{result}, qr{^0 /bin/sh \Q$dir\E/argv $}, 'the payload is not among the arguments');

# Signals.
is_end('stops', 'TRANSIENT', 'TIMEOUT');
is_end('realtime', 'CRASH', 'SIGNAL_34');

# Limits.
is_end('memory', 'TRANSIENT', 'HANDLER_FAILED', qr/memory/i);
is_end('cpu', 'CRASH', 'SIGXCPU');
is_end('files', 'CRASH', 'SIGXFSZ');
is(-s "$dir/large", 65536, 'not a byte more');

# What cannot be executed.
is_end('absent', 'TRANSIENT', 'START_FAILED', qr{^could not execute "\Q$dir\E/no/such": No such file or directory$});
is_end('forbidden', 'TRANSIENT', 'START_FAILED', qr{^could not execute .*: Permission denied$});
is_end('directory', 'TRANSIENT', 'START_FAILED', qr{^could not execute .*: Permission denied$});
is_end('garbage', 'TRANSIENT', 'START_FAILED', qr{^could not execute .*: Exec format error$});
is_end('interpreter', 'TRANSIENT', 'START_FAILED', qr{^could not execute .*: No such file or directory$});
is_end('nowhere', 'TRANSIENT', 'START_FAILED', qr{^could not enter the directory of .*: No such file or directory$});
SKIP: {
	sysopen my $writer, "$dir/busy", O_RDWR or skip("could not open a copy of /bin/true: $!", 2);
	no warnings 'exec';
	my $lets = system { "$dir/busy" } 'busy';
	skip('this kernel executes what somebody writes', 2) if $lets != -1 || !$!{ETXTBSY};
	is_end('busy', 'TRANSIENT', 'START_FAILED', qr{^could not execute .*: Text file busy$});
}

is($t->role_pid('worker', 0), $worker, 'the worker lived through all of it');
my $grown = memory() - $before;
cmp_ok($grown, '<', 64, "and has not grown by what was thrown at it: $grown MB");
is($t->stop, 0, 'taskqd drained');
done_testing;
