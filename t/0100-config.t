#!/usr/bin/perl
# 0100-config.t - taskqd -t names every mistake with file and line; includes, secrets, --print-config and exit codes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Taskq;
use Taskq::Machine qw(srcdir temp_dir write_file);
use Test::More;

my $taskqd = Taskq->program;
my $dir = temp_dir('conf');
my $units = '(units: us ms s min h d w)';
delete $ENV{NOT_SET};
$ENV{IS_SET} = 'unix:/from/env';

# Runs taskqd in the directory; (exit code, stdout, stderr).
sub run_in_dir {
	my (@args) = @_;
	my $pid = fork();
	die "could not fork: $!" if !defined $pid;
	if ($pid == 0) {
		chdir $dir or die;
		open STDIN, '<', '/dev/null' or die;
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		exec $taskqd, @args or exit 127;
	}
	waitpid $pid, 0;
	my $code = $? & 127 ? "signal $?" : $? >> 8;
	return ($code, map { open my $f, '<', "$dir/$_" or die; local $/; my $text = <$f>; defined $text ? $text : '' } qw(out err));
}

sub file { my ($name, $text) = @_; write_file("$dir/$name", $text) }

# The mistakes of a configuration as taskqd -t tells them, and nothing else.
sub refuses {
	my ($text, @want) = @_;
	my $name = $text =~ s/\n/ | /gr;
	file('t.conf', "$text\n");
	my ($code, undef, $err) = run_in_dir('-t', '-c', 't.conf');
	is($err, join('', map { "$_\n" } @want, 'taskqd: the configuration is not usable'), "refused: $name");
	is($code, 78, '... with exit code 78') if $code ne '78';
}

sub accepts {
	my ($text, $what) = @_;
	file('t.conf', "$text\n");
	my ($code, $out, $err) = run_in_dir('-t', '-q', '-c', 't.conf');
	is("$code$out$err", '0', "accepted: $what");
}

# --- one mistake each ----------------------------------------------------------------------------------------------------

my @rows = (
	['workers = many', '1: workers: "many" is not a whole number, expected auto or 0 to 64'],
	['workers = 65', '1: workers: "65" is out of bounds, expected 0 to 64'],
	['workers = {}', '1: workers: 0 values, expected one'],
	['workers = { 1, 2 }', '1: workers: 2 values, expected one'],
	['workers += 1', '1: "workers" is not a list, expected "="'],
	['drain_timeout = 30', "1: drain_timeout: \"30\" has no unit, say 30s $units"],
	['drain_timeout = soon', "1: drain_timeout: \"soon\" is not a time, expected a number and a unit such as 30s $units"],
	['drain_timeout = 2h', '1: drain_timeout: "2h" is out of bounds, expected 100ms to 1h'],
	['kill_grace = 5s;', "1: kill_grace: \"5s;\" is not a time, expected a number and a unit such as 30s $units; lines do not end with \";\""],
	['run_dir = tmp', '1: run_dir: "tmp" is not an absolute path, expected one that begins with "/"'],
	['run_dir = /' . 'x' x 80, '1: run_dir: "/' . 'x' x 80 . '" is too long, expected at most 70 bytes'],
	['user = no-such-user', '1: user: "no-such-user" is not a user of this machine, expected one'],
	["postgres { conninfo = 'password=hush nonsense' }", '1: postgres.conninfo: not a libpq connection string, expected one such as "host=/run/postgresql dbname=taskq"'],
	['node = "a b"', '1: node: "a b" is not a name, expected up to 64 characters without blanks'],
	['log { level = loud }', '1: log.level: "loud" is not known, expected one of: debug info notice warning error crit'],
	['log { target = file }', '1: log.target: "file" is not known, expected stderr, syslog or an absolute path'],
	["http {\n\tmax_body = 5\n}", '2: http.max_body: "5" has no unit, say 5kB (units: B kB MB GB TB)'],
	['http { max_body = 1GB }', '1: http.max_body: "1GB" is out of bounds, expected 1kB to 64MB'],
	['http { compat = 2 }', '1: http.compat: "2" is not a switch, expected on or off'],
	['http { wait_max = 500ms }', '1: http.wait_max: less than a second, which nobody can ask for, expected 0 or at least 1s'],
	['queue q { concurrency = 2 burst = 5 }', '1: queue "q": burst: means nothing without a rate, expected one beside it'],
	['queue q { rate = 1/s group_burst = 5 }', '1: queue "q": group_burst: means nothing without a group_rate, expected one beside it'],
	['queue "q q" { concurrency = 2 }', '1: queue "q q": concurrency: the title is not the name of a queue, expected 1 to 64 of A-Z a-z 0-9 _ . : -'],
	['limits { burst = 5 }', '1: limits.burst: means nothing without a rate, expected one beside it'],
	['http { listen = {} }', '1: http.listen: no address, expected at least one such as "127.0.0.1:8001"'],
	['http { listen = "0.0.0.0:80" }', '1: http.listen: "0.0.0.0:80" is not a loopback address, expected one: without API keys taskqd listens on loopback only'],
	['http { listen = "[::]:80" }', '1: http.listen: "[::]:80" is not a loopback address, expected one: without API keys taskqd listens on loopback only'],
	['http { listen = { unix:/a, unix:/a } }', '1: http.listen: "unix:/a" twice, expected it once'],
	['handler x { }', '1: handler "x": command: missing, expected { "/path/of/program", "argument" }'],
	['handler x { command = sh }', '1: handler "x": command: "sh" is not an absolute path, expected one'],
	["handler x {\ncommand = /bin/sh\nenvironment = { A=b, PATH }\n}", '3: unexpected "=", expected "," or "}" in the list; quotes around a text with blanks or "="'],
	["handler x {\ncommand = /bin/sh\nenvironment = { 'A=b', PATH }\n}", '3: handler "x": environment: "PATH" is not NAME=value, expected that'],
	["handler x {\ncommand = /bin/sh\nrules = { 'exit 3 = PERSISTENT', 'exit 0 = AUTH' }\n}",
		'3: handler "x": rules: rule "exit 0 = AUTH": "0" after exit, expected an exit status from 1 to 255, or two as in 10-19'],
	["handler x {\ncommand = /bin/sh\nrules = 'class ODD = OFTEN'\n}", '3: handler "x": rules: rule "class ODD = OFTEN": '
		. '"OFTEN" is not a class, expected TRANSIENT, PERSISTENT, NON_RETRYABLE, AUTH, RATE_LIMITED or CRASH'],
	["handler x {\ncommand = /bin/sh\nuser = no-such-user\n}", '3: handler "x": user: "no-such-user" is not a user of this machine, expected one'],
	['handler x { command = /bin/sh retry_base = 3min }', '1: handler "x": retry_base: longer than retry_cap, expected at most that'],
	['work { alarm = nobody }', '1: work.alarm: "nobody" is no handler of kind exec, expected the name of one'],
	['work { alarm = x } handler x { kind = builtin builtin = noop }', '1: work.alarm: "x" is no handler of kind exec, expected the name of one'],
	['handler x { command = /bin/sh breaker_pause = 6min }', '1: handler "x": breaker_pause: longer than breaker_pause_max, expected at most that'],
	['handler x { kind = lease concurrency = 3 }', '1: handler "x": concurrency: only for kind = exec, pool, http or builtin, expected without it'],
	['handler x { kind = lease adaptive = on }', '1: handler "x": adaptive: only for kind = exec, pool, http or builtin, expected without it'],
	['handler x { kind = builtin command = /bin/sh }', '1: handler "x": command: only for kind = exec or pool, expected without it'],
	['handler x { command = /bin/sh builtin = echo }', '1: handler "x": builtin: only for kind = builtin, expected without it'],
	["handler x { command = /bin/sh }\nhandler 'x' { command = /bin/sh }", '2: section handler "x" again, expected it once in a file (see line 1)'],
	['wrokers = 1', '1: unknown option "wrokers", expected "workers"?'],
	['http { slots = 1 }', '1: unknown option "slots" in section http, expected it in section work'],
	['http { user = x }', '1: unknown option "user" in section http, expected it outside of any section'],
	['http { listen = { , } }', '1: unexpected ",", expected a text or "}" in the list'],
	['redis = off', '1: "redis" is a section, expected redis { option = value }'],
	['redis { address = "127.0.0.1:0" }', '1: redis.address: "127.0.0.1:0" has no port, expected 1 to 65535'],
	['zzz = 1', '1: unknown option "zzz", expected one of taskq.conf(5)'],
	['htpp { listen = x y { z } }', '1: unknown section "htpp", expected "http"?'],
	['workers 5', '1: unexpected "5", expected "=" after "workers"'],
	['workers: 5', '1: unexpected "5", expected "=" after "workers:"'],
	['workers =', '2: unexpected end of the file, expected a value after "="'],
	["http {\n", '3: unexpected end of the file, expected an option or "}" in section "http" of line 1'],
	["http {\n\nlog { }", '3: section "log" within section "http" of line 1, expected "}" before it'],
	['}', '1: unexpected "}", expected an option, a section or include; quotes around a text with blanks, "=" or ","'],
	['http "x" { }', '1: unexpected "x", expected "{" after section "http"'],
	['handler { }', '1: unexpected "{", expected a title, as in handler "name" { ... }'],
	['http { include "x" }', '1: include within section "http", expected outside of sections'],
	["# '\nworkers = 'a\n\n", "2: the text that begins here is not closed, expected '"],
	["\n/* x", '2: the comment that begins here is not closed, expected "*/"'],
	['include *.conf', '1: unexpected "*", expected quotes around a text that contains it'],
	['node = "\400"', '1: "\400" stands for no character, expected "\001" to "\377"'],
	['node = "${NOT_SET}"', '1: environment variable "NOT_SET" is not set, expected a set one, ${NOT_SET:-default} or text in single quotes'],
	['node = "${NOT', '1: "${" is not closed, expected ${NAME} or ${NAME:-default}'],
	['postgres { conninfo = "@secret" }', '1: postgres.conninfo: "@secret" is not an absolute path, expected "@/path" of a file'],
	['postgres { conninfo = "@/nowhere" }', '1: postgres.conninfo: could not open "/nowhere": No such file or directory'],
	['include "nowhere"', '1: could not open "nowhere": No such file or directory'],
	['include "t.conf"', '1: "t.conf" includes itself, expected no circle'],
	['include ""', '1: include "", expected a path'],
	['include "."', '1: "." is a directory, expected a regular file'],
);
refuses($_->[0], "t.conf:$_->[1]") for @rows;

# --- all mistakes at once ------------------------------------------------------------------------------------------------

make_path("$dir/d");
file('d/20-b.conf', "http { max_headers = 1\nlog { level = info }\nworkers = x\n");
file('d/10-a.conf', "workers = x\nkeys { ttl = 1 } /* c\n */ keys { tll = 1d }\nhandler h { }\nworkers 3\nworkers = y\n");
file('d/30-c.txt', "workers = z\n");
refuses("acceptors = 0\nhandler h { command = x }\ninclude \"d/*.conf\"\nacceptors = 100\ninclude('d/10-a.conf')\nlog { level = all }",
	't.conf:2: handler "h": command: "x" is not an absolute path, expected one',
	't.conf:4: acceptors: "100" is out of bounds, expected 1 to 64',
	't.conf:6: log.level: "all" is not known, expected one of: debug info notice warning error crit',
	'd/10-a.conf:1: workers: "x" is not a whole number, expected auto or 0 to 64',
	"d/10-a.conf:2: keys.ttl: \"1\" has no unit, say 1s $units",
	'd/10-a.conf:3: unknown option "tll" in section keys, expected "ttl"?',
	'd/10-a.conf:4: handler "h": command: missing, expected { "/path/of/program", "argument" }',
	'd/10-a.conf:5: unexpected "3", expected "=" after "workers"',
	'd/20-b.conf:1: http.max_headers: "1" is out of bounds, expected 8 to 1000',
	'd/20-b.conf:2: section "log" within section "http" of line 1, expected "}" before it');

# --- what is good ----------------------------------------------------------------------------------------------------------

accepts('', 'an empty file');
accepts("postgres { conninfo = '$_' }", "conninfo $_") for 'dbname=x', 'postgresql://u:p\@h:1/d?application_name=x', '';
accepts("workers = 2\r\nlog {\r\n}\r\n", 'lines that end as on other systems');
accepts('include "none-of-these-*.conf"', 'a pattern without files');
accepts('http { listen = { "127.0.0.1:0", "[::1]:0", "unix:/tmp/x", "${IS_SET}", "${NOT_SET:-127.0.0.2:1}" } }', 'addresses, variables');
accepts('handler "a" { command = { /bin/sh, "-c", "exit 0" } } handler b { kind = builtin }', 'handlers');

unlink glob("$dir/d/*");
file('d/a.conf', "handler x { command = /bin/a timeout = 9s }\nworkers = 2\ninclude \"sub/more.conf\"\n");
make_path("$dir/d/sub");
file('d/sub/more.conf', "acceptors = 3\n");
file('d/b.conf', "handler x { command = /bin/b }\nworkers = 3\n");
file('t.conf', "workers = 1\ninclude \"d/*.conf\"\n");
my ($code, $out, $err) = run_in_dir('--print-config', '-c', 't.conf');
is("$code$err", '0', '--print-config');
like($out, qr{^# d/b\.conf:2\nworkers = 3$}m, 'the later file wins, and is named');
like($out, qr{^# d/sub/more\.conf:1\nacceptors = 3$}m, 'a path is relative to the including file');
like($out, qr{^handler "x" \{\n.*command = \{ "/bin/b" \}\n.*^\ttimeout = 1min$}ms, 'a section replaces that of an earlier file as a whole');
unlike($out, qr{/bin/a}, 'nothing of that is left');
file('again.conf', $out);
my (undef, $again) = run_in_dir('--print-config', '-c', 'again.conf');
is($again =~ s/^\s*#.*\n//gmr, $out =~ s/^\s*#.*\n//gmr, 'the printed configuration is read as the same');

# --- secrets ------------------------------------------------------------------------------------------------------------------

file('secret', "dbname=x password=hush\n");
chmod 0644, "$dir/secret";
refuses("postgres { conninfo = '\@$dir/secret' }",
	"t.conf:1: postgres.conninfo: \"$dir/secret\" can be read by everybody (mode 0644), expected 0600 or 0640");
chmod 0600, "$dir/secret";
accepts("postgres { conninfo = '\@$dir/secret' }", 'a secret in a file');
($code, $out, $err) = run_in_dir('--print-config', '-c', 't.conf');
like($out, qr{conninfo = "\@\Q$dir\E/secret"$}m, '--print-config names the file of a secret');
unlike("$out$err", qr/hush/, 'and does not tell it');
file('t.conf', "postgres { conninfo = 'dbname=x password=hush' }\n");
($code, $out, $err) = run_in_dir('--print-config', '-c', 't.conf');
like($out, qr{^\t# conninfo is a secret$}m, 'nor one that stands in the configuration');
unlike("$out$err", qr/hush/, 'it is not told');

# --- the command line -----------------------------------------------------------------------------------------------------------

file('good.conf', "workers = 1\n");
is_deeply([run_in_dir('-t', '-c', 'good.conf')], [0, '', "taskqd: the configuration good.conf is good\n"], '-t says that it is good');
is_deeply([run_in_dir('-t', '-c', 'missing.conf')], [66, '', "taskqd: could not open \"missing.conf\": No such file or directory\n"],
	'a named file that is missing: 66');
is((run_in_dir(@$_))[0], 64, "64: taskqd @$_") for ['--nonsense'], ['-c'], ['word'], ['-t', '--print-config'];
for my $verb (['-h'], ['-v'], ['-V'], ['--print-sample']) {
	my ($status, $text, $noise) = run_in_dir(@$verb);
	is("$status$noise", '0', "@$verb");
	isnt($text, '', '... says something');
}
($code, $out) = run_in_dir('--print-sample');
file('sample.conf', $out);
is_deeply([run_in_dir('-t', '-q', '-c', 'sample.conf')], [0, '', ''], 'the sample is a good configuration');
is($out, do { local (@ARGV, $/) = srcdir() . '/etc/taskq.conf'; <> }, 'etc/taskq.conf is the sample');
SKIP: {
	skip('no /dev/full', 1) if !-w '/dev/full';
	is(system("$taskqd --print-sample >/dev/full 2>/dev/null") >> 8, 74, 'a full disk is noticed');
}
done_testing;
