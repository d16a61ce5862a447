#!/usr/bin/perl
# The password of the database is in the memory of those who connect, in the file that it came from, and nowhere else: in no log line, no
# message, no answer, no file, no command line, no environment, and not within reach of a handler that runs as the same user.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file slurp_command temp_dir write_file);
use Test::More;

my $word = 'zyzzyvaquuxle'; # nothing else looks like either half
my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
$pg->psql("create role quiet superuser login password '$word'");
my $dir = temp_dir('s');
chmod 0755, $dir;

my $good = 'host=127.0.0.1 port=' . $pg->port . ' user=quiet dbname=taskq';
my $file = write_file("$dir/conninfo", "$good password=$word\n", 0600);
my $user = $> == 0 ? "user = \"nobody\"\n" : '';

# What a handler finds in the processes it may look at, itself included.
write_file("$dir/look", <<"PERL", 0755);
#!/usr/bin/perl
use strict;
use warnings;
my \$task = do { local \$/; <STDIN> };
my (\@found, \$seen);
for my \$path (glob('/proc/[0-9]*/environ'), glob('/proc/[0-9]*/cmdline')) {
	open my \$f, '<', \$path or next;
	local \$/;
	my \$text = <\$f>;
	\$seen++ if defined \$text;
	push \@found, \$path if defined \$text && \$text =~ /$word/;
}
my (\$pid) = \$task =~ /"pid":(\\d+)/;
push \@found, "memory of \$pid" if open my \$memory, '<', "/proc/\$pid/mem";
push \@found, \$_ for grep { \$ENV{\$_} =~ /$word/ || /^PG/ } sort keys %ENV;
print '"', join(' ', \$seen > 2 ? 'looked' : 'blind', \@found), '"';
PERL

my $rest = $user . "work { poll = 100ms }\nlog { level = debug }\nhandler look { command = {\"$dir/look\"} }\n";
sub config { my ($conninfo) = @_; return $rest . "postgres { allow_unsafe = on\n conninfo = '$conninfo' }\n" }

my $t = Taskq->new(pg => $pg, config => config("\@$file"));
sub taskqd { return slurp_command(command => [$t->program, '-c', $t->config_path, @_]) }
sub silent { my ($text, $what) = @_; return unlike($text, qr/zyzzyva|quuxle/, "$what does not tell it") }

subtest 'who may read the file' => sub {
	for my $mode (0604, 0644, 0602, 0666) {
		chmod $mode, $file;
		my ($status, $text) = taskqd('--foreground');
		is($status, 78, sprintf 'a file of mode %04o is refused', $mode);
		like($text, qr/^\S*taskq\.conf:\d+: postgres\.conninfo: "\Q$file\E" can be read by everybody \(mode 0\d+\), expected 0600 or 0640$/m, 'in words');
		silent($text, 'the message');
	}
	for my $mode (0640, 0600) {
		chmod $mode, $file;
		is((taskqd('-t'))[0], 0, sprintf 'mode %04o is good', $mode);
	}
};

my ($status, $text) = taskqd('--migrate');
is($status, 0, 'migrated with the password') or diag($text);
silent($text, '--migrate');
($status, $text) = taskqd('--print-config');
like($text, qr/conninfo = "\@\Q$file\E"/, '--print-config names the file');
silent($text, '--print-config');

$t->launch(env => { PGPASSWORD => $word });

subtest 'who looks on' => sub {
	for my $pid ($t->pid, map { $_->{pid} } $t->roles) {
		my $title = read_file("/proc/$pid/cmdline") =~ s/\0.*//sr;
		silent(read_file("/proc/$pid/cmdline"), $title);
		silent(read_file("/proc/$pid/environ") // '', "$title, its environment,");
	}
	for my $worker ($t->pid, map { $_->{pid} } $t->roles('worker'), $t->roles('acceptor'), $t->roles('keeper')) {
		my $task = $t->wait_final($t->submit('look', { pid => $worker + 0 }));
		is($task->{result}, 'looked', 'a handler does not find it, nor may it look into our memory') or diag explain $task;
	}
	silent(read_file($_), $_) for glob $t->run_dir . '/*';
	silent($t->get($_)->{body}, $_) for '/metrics', '/readyz', '/v1/tasks';
};

subtest 'a wrong password' => sub {
	my $from = () = $t->log_lines;
	write_file($file, "$good password=${word}y\n", 0600);
	$t->signal('HUP');
	$t->log_wait(qr/password authentication failed for user/, 20, from => $from);
	wait_for(sub { $t->get('/readyz')->{status} == 503 }, 20, 'not to be ready');
	silent($t->get('/readyz')->{body}, '/readyz');
	my ($code, $said) = taskqd('--migrate');
	is($code, 69, '--migrate fails');
	like($said, qr/password authentication failed for user/, 'and says why');
	silent($said, 'it');
};

# Each puts a part of the password where libpq takes it for something else, and quotes it.  What it cannot read at all is a mistake of the
# configuration (78), what it misunderstands a server that is not there (69).
my %broken = (
	'a password with a blank' => [78, "$good password=ab $word"],
	'an option without a value' => [78, "$good $word"],
	'a quote that is not closed' => [78, "$good password='$word"],
	'a URI with an @ in the password' => [69, "postgresql://quiet:ab\@$word\@127.0.0.1/taskq"],
	'a URI without a host' => [69, "postgresql://quiet:$word"],
	'a URI with a % in the password' => [78, "postgresql://quiet:ab%$word\@127.0.0.1/taskq"],
	'a URI with a bracket' => [78, "postgresql://quiet:ab\@[$word/taskq"],
	'a URI with a strange option' => [78, "postgresql://quiet:ab\@127.0.0.1/taskq?$word"],
	'a port that is none' => [69, "$good port=$word"],
);
subtest 'strings that cannot be read' => sub {
	for my $what (sort keys %broken) {
		my ($want, $string) = @{ $broken{$what} };
		write_file($file, "$string\n", 0600);
		my ($code, $said) = taskqd('--migrate');
		is($code, $want, "$what: --migrate fails");
		like($said, qr/postgres\.conninfo/, 'and says what to look at');
		silent($said, 'it');
	}
	my $from = () = $t->log_lines;
	$t->signal('HUP');
	$t->log_wait(qr/postgres\.conninfo/, 20, from => $from);
	silent($t->get('/readyz')->{body}, '/readyz');
};

subtest 'mistakes in the configuration' => sub {
	for my $said ("'$good password=$word", "\"password=$word", "host=x password=$word", "{ \"$word\", \"b\" }", "\"\\400$word\"",
		"\"\${NOT_SET_$word") {
		write_file("$dir/bad.conf", "postgres { conninfo = $said\n }\n", 0600);
		my ($code, $words) = slurp_command(command => [$t->program, '-t', '-c', "$dir/bad.conf"]);
		is($code, 78, 'refused');
		silent($words, 'the message');
	}
};

write_file($file, "$good password=$word\n", 0600);
$t->signal('HUP');
wait_for(sub { $t->get('/readyz')->{status} == 200 }, 20, 'to be ready again');
is($t->stop, 0, 'taskqd drained');
silent(read_file($t->log_path), 'the log, with every level,');
done_testing;
