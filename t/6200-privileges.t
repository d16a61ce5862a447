#!/usr/bin/perl
# A daemon started by root: the supervisor and the launcher stay root, the others become the configured user for good, and a command
# gets the user, limits and surroundings that its handler names, and nothing else of ours.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file slurp_command temp_dir write_file);
use Test::More;

plan skip_all => 'only root may become others' if $> != 0;
my ($ours, $theirs) = grep { defined getpwnam $_ } qw(nobody daemon bin www-data games);
plan skip_all => 'two unprivileged users are needed' if !defined $theirs;
my ($our_uid, $our_gid) = (getpwnam $ours)[2, 3];

my $dir = temp_dir('h');
chmod 0755, $dir;

# What a process is and sees, as JSON; as a task it gets words to evaluate in its payload.
write_file("$dir/probe", <<'PERL', 0755);
#!/usr/bin/perl
use strict;
use warnings;
use Cwd;
use JSON::PP;
use POSIX;
use Socket;
my $envelope = do { local $/; <STDIN> };
my $task = decode_json($envelope);
my %seen = (env => { %ENV }, cwd => getcwd(), pid => $$, parent => getppid, session => POSIX::getpgrp() == $$);
open my $status, '<', '/proc/self/status' or die;
/^(\w+):\s*(.*?)\s*$/ and $seen{status}{$1} = $2 while <$status>;
close $status;
open my $limits, '<', '/proc/self/limits' or die;
/^(Max .*?)  +(\S+) +(\S+)/ and $seen{limits}{$1} = $2 while <$limits>;
close $limits;
open my $stat, '<', '/proc/self/stat' or die;
$seen{session} = (split ' ', <$stat> =~ s/^.*\) //sr)[3];
close $stat;
opendir my $fds, '/proc/self/fd' or die;
my @fds = grep { /\d/ && $_ != fileno $fds } readdir $fds;
$seen{fds} = [sort grep { defined readlink "/proc/self/fd/$_" } @fds];
$seen{answer} = eval($task->{payload}{code} || '""');
$seen{answer} = "$@" if $@;
print encode_json(\%seen);
PERL

sub probe { my ($name, $more) = @_; return "handler $name { command = {\"$dir/probe\"}\n " . ($more || '') . " }\n" }

my %secrets = (PGPASSWORD => 'hush-in-the-environment', TASKQ_TEST_SECRET => 'hush-too');
my $t = Taskq->new(tcp => 1, config => "user = \"$ours\"\nworkers = 2\nwork { poll = 100ms }\n" .
	"postgres { conninfo = \"@{[ Taskq->pg->conninfo(tcp => 1) ]}\" }\n" .
	probe('plain') . probe('other', "user = \"$theirs\"") . probe('root', 'user = "root"') .
	probe('bounded', "user = \"$theirs\"\n directory = \"$dir\"\n environment = {\"WORD=said\", \"PATH=/bin:/usr/bin\"}\n limit_files = 99\n" .
		" limit_memory = 512MB\n limit_cpu = 7s\n limit_file_size = 64kB\n limit_processes = 5000") .
	"handler sleeper { command = {\"/bin/sleep\", \"1000\"}\n user = \"$theirs\" }\n");
$t->migrate;
$t->launch(env => \%secrets);

sub run { my ($type, $code) = @_; my $task = $t->wait_final($t->submit($type, { code => $code }, max_attempts => 1));
	is($task->{status}, 'succeeded', "$type ran") or diag explain $task; return $task->{result} }
sub status_of { my ($pid) = @_; return { map { /^(\w+):\s*(.*?)\s*$/ ? ($1 => $2) : () } split /\n/, read_file("/proc/$pid/status") // '' } }
sub words { return join ' ', sort { $a <=> $b } split ' ', $_[0] }
sub four { return join "\t", ($_[0]) x 4 }
sub groups { return words(scalar qx(id -G $_[0])) }
sub as { my ($user, @command) = @_; return slurp_command(user => [(getpwnam $user)[0, 2, 3]], command => \@command) }

subtest 'who is who' => sub {
	is(status_of($t->role_pid($_))->{Uid}, four(0), "the $_ stays root") for 'supervisor', 'launcher';
	for my $it (grep { $_->{role} ne 'launcher' } $t->roles) {
		my ($name, $s) = ("$it->{role} $it->{index}", status_of($it->{pid}));
		is($s->{Uid}, four($our_uid), "$name runs as $ours, and has no way back");
		is($s->{Gid}, four($our_gid), "$name: its group");
		is(words($s->{Groups}), groups($ours), "$name: no other groups than the user has");
		is_deeply([@$s{qw(CapInh CapPrm CapEff CapAmb)}], [('0' x 16) x 4], "$name: no capability");
		is((as($ours, 'cat', "/proc/$it->{pid}/environ"))[0], 1, "$name: others of the same user cannot look into it");
	}
};

subtest 'a handler without a user runs as the daemon\'s' => sub {
	my $seen = run('plain');
	is($seen->{status}{Uid}, four($our_uid), 'the uid');
	is($seen->{status}{Gid}, four($our_gid), 'the gid');
	is(words($seen->{status}{Groups}), groups($ours), 'the groups');
	is($seen->{env}{USER}, $ours, 'USER tells it');
};

subtest 'a handler with a user' => sub {
	my (undef, undef, $uid, $gid, undef, undef, undef, $home) = getpwnam $theirs;
	my $seen = run('other');
	is($seen->{status}{Uid}, four($uid), 'the uid');
	is($seen->{status}{Gid}, four($gid), 'the gid');
	is(words($seen->{status}{Groups}), groups($theirs), 'the groups');
	is($seen->{status}{NoNewPrivs}, 1, 'nothing it starts gets more');
	is_deeply([@{ $seen->{status} }{qw(CapInh CapPrm CapEff CapAmb)}], [('0' x 16) x 4], 'no capability');
	is($seen->{session}, $seen->{pid}, 'its own session');
	is($seen->{parent}, $t->role_pid('launcher'), 'the launcher is its parent');
	is_deeply($seen->{fds}, [0, 1, 2], 'no descriptor but stdin, stdout and stderr');
	is($seen->{cwd}, '/', 'its directory');
	is($seen->{limits}{'Max core file size'}, 0, 'no core');
	is($seen->{limits}{'Max open files'}, 256, 'the usual open files');
	is($seen->{status}{SigBlk}, '0' x 16, 'no signal is blocked');
	my $mark = delete $seen->{env}{TASKQ_RUN};
	like($mark, qr/^[0-9a-f]{16}-[0-9a-f]+$/, 'its mark');
	is_deeply($seen->{env}, { HOME => $home, USER => $theirs, LOGNAME => $theirs, LANG => 'C.UTF-8',
		PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }, 'and a clean environment') or diag explain $seen->{env};
};

subtest 'limits, directory, environment' => sub {
	my $seen = run('bounded', 'open my $f, ">", "/dev/shm/tq-$$" or die; unlink "/dev/shm/tq-$$"; $SIG{XFSZ} = "IGNORE"; ' .
		'$f->autoflush; print $f "x" x 70000; -s $f');
	my $l = $seen->{limits};
	is($l->{'Max open files'}, 99, 'open files');
	is($l->{'Max address space'}, 512 << 20, 'memory');
	is($l->{'Max cpu time'}, 7, 'cpu');
	is($l->{'Max file size'}, 64 << 10, 'size of files');
	is($l->{'Max processes'}, 5000, 'processes');
	is($seen->{answer}, 64 << 10, 'and it cannot write more');
	is($seen->{cwd}, $dir, 'the directory');
	is($seen->{env}{WORD}, 'said', 'a word of the handler');
	is($seen->{env}{PATH}, '/bin:/usr/bin', 'instead of one of ours');
	is(run('root')->{status}{Uid}, four(0), 'root only for the handler that says so');
};

subtest 'the user of the daemon cannot harm it' => sub {
	my ($socket) = glob $t->run_dir . '/launch.*.sock';
	# a greeting as a worker with the number of another: 2 is alive
	my $connect = 'sub { socket(my $s, AF_UNIX, 5, 0) or die; connect($s, pack_sockaddr_un("' . $socket . '")) or return "$!"; ' .
		'send($s, pack("L l Q q l l a160", 0, 0, 0, 2, 0, 0, ""), MSG_NOSIGNAL); vec(my $r = "", fileno $s, 1) = 1; ' .
		'select($r, undef, undef, 5) or return "taken"; defined sysread($s, my $b, 1000) ? "ended" : "$!" }->()';
	is(run('other', $connect)->{answer}, 'Permission denied', 'another user cannot connect to the launcher');
	like(run('plain', $connect)->{answer}, qr/^ended$|reset by peer/, 'a handler of its user is sent away');
	$t->log_wait(qr/connection refused: not a worker of ours/);
	my $pid = $t->role_pid('worker');
	is(run('plain', "open(my \$f, '<', '/proc/$pid/mem') ? 'open' : \"\$!\"")->{answer}, 'Permission denied', 'nor look into a worker');
	for my $user ($ours, $theirs) {
		is((as($user, 'touch', $t->run_dir . '/planted'))[0], 1, "$user cannot plant files in run_dir");
		is((as($user, 'rm', '-f', $t->run_dir . '/roles.json'))[0], 1, "$user cannot remove any");
	}
};

subtest 'nothing outlives the death of its parent' => sub {
	my $task = $t->submit('sleeper', {});
	$t->wait_status($task, qr/^processing$/);
	my $launcher = $t->role_pid('launcher');
	my $below = wait_for(sub { my $b = $t->tree_of($launcher); %$b ? $b : undef }, 10, 'the sleeper to be there');
	is(status_of((keys %$below)[0])->{Uid}, four((getpwnam $theirs)[2]), 'it runs as another user');
	$t->kill9('launcher');
	ok(wait_for(sub { $t->gone($below) }, 10, 'the sleeper to be gone'), 'a handler of another user goes with the launcher');
	$t->post("/v1/tasks/$task->{id}/cancel", {});
	wait_for(sub { my ($l) = $t->roles('launcher'); $l && $l->{ready} && $l->{pid} != $launcher }, 10, 'the next launcher');
	my $tree = $t->tree;
	$t->kill9('supervisor');
	ok(wait_for(sub { $t->gone($tree) }, 20, 'the children to be gone'), 'and all processes of the user with the supervisor');
	$t->launch(env => \%secrets);
};

subtest 'a reload keeps all of that' => sub {
	my ($before) = sort { $b <=> $a } map { $_->{generation} } $t->roles;
	$t->signal('HUP');
	wait_for(sub { my @r = $t->roles; @r && !grep { $_->{generation} <= $before || !$_->{ready} } @r }, 30, 'a new generation');
	is(status_of($_->{pid})->{Uid}, four($_->{role} eq 'launcher' ? 0 : $our_uid), "$_->{role} $_->{index}") for $t->roles;
	is(run('plain')->{status}{Uid}, four($our_uid), 'and of the handlers');
};

is($t->stop, 0, 'taskqd drained');
done_testing;
