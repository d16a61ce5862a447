#!/usr/bin/perl
# The init script by root for a daemon that runs as another user and has a secret: everybody may ask for its status, and it is found and
# stopped also when its configuration has become wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir process_start_time read_file slurp_command temp_dir write_file);
use Test::More;

plan skip_all => 'only root may start a daemon as another user' if $> != 0;
my $build = builddir();
plan skip_all => "\"$build\" has no Makefile" if !-f "$build/Makefile";
my ($user, undef, $uid, $gid) = getpwnam 'nobody';
plan skip_all => 'no user "nobody"' if !defined $uid;

my $dest = temp_dir('dest');
my ($status, $text) = slurp_command(command => ['make', '-C', $build, 'install', "DESTDIR=$dest", 'prefix=/usr', 'sysconfdir=/etc'],
	env => { MAKEFLAGS => undef, MAKELEVEL => undef });
is($status, 0, 'installed') or diag($text);
system('chmod', '-R', 'a+rX', $dest) == 0 or die;

my $pg = Taskq->pg;
my $t = Taskq->new;
my $secret = write_file("$t->{dir}/conninfo", $pg->conninfo(tcp => 1) . "\n", 0600);
my $log = "$t->{dir}/l/taskqd.log";
mkdir "$t->{dir}/l", 0755;
my $config = "user = \"$user\"\nlog { target = \"$log\" }\npostgres { conninfo = '\@$secret' }\n";
sub configure { $t->configure($_[0]); rmdir $t->run_dir; return chmod 0644, $t->config_path }
configure($config);
$t->migrate;
write_file("$dest/etc/default-taskq", "DAEMON=$dest/usr/sbin/taskqd\nCONFIG=" . $t->config_path . "\nSTOP_TIMEOUT=30\n", 0644);

sub script_is {
	my ($action, $expected, $what, %o) = @_;
	my ($got, $said) = slurp_command(command => ["$dest/etc/init.d/taskq", $action], env => { TASKQ_DEFAULTS => "$dest/etc/default-taskq" }, %o);
	is($got, $expected, $what) or diag($said, read_file($log) // '');
	return $said;
}

sub daemon_pid { my ($pid) = (read_file($t->run_dir . '/taskqd.pid') || '') =~ /^(\d+)/; return $pid }
sub uid_of { my ($found) = (read_file("/proc/$_[0]/status") // '') =~ /^Uid:\s+\d+\s+(\d+)/m; return $found }
sub serves {
	my ($what) = @_;
	delete $t->{address};
	ok(eval { wait_for(sub { eval { $t->get('/readyz')->status == 200 } }, 20, '/readyz') }, $what) or diag(read_file($log) // '');
	is(join(' ', map { $_->{role} . ':' . uid_of($_->{pid}) } grep { $_->{role} =~ /^(?:acceptor|launcher)$/ && $_->{ready} } $t->roles),
		"launcher:0 acceptor:$uid", 'as its user');
}

Taskq::Machine::at_end(sub {
	my $pid = daemon_pid() or return;
	my $below = Taskq::Machine::descendants($pid);
	kill 'KILL', $pid;
	eval { wait_for(sub { $t->gone($below) }, 10, 'the processes of taskqd to end') } or kill 'KILL', keys %$below;
});

my %anybody = (user => [$user, $uid, $gid]);
script_is('status', 3, 'status: not running');
script_is('start', 0, 'start makes run_dir');
serves('it serves');
my $pid = daemon_pid();
like(script_is('status', 0, 'anybody may ask for its status', %anybody), qr/\b$pid\b/, 'and learns its pid');
isnt((slurp_command(command => ["$dest/etc/init.d/taskq", 'stop'], env => { TASKQ_DEFAULTS => "$dest/etc/default-taskq" }, %anybody))[0], 0, 'but not stop it');
is(uid_of($pid), 0, 'it is still there');

configure("$config\nhandler echo { kind = builtin builtin = echo }\n");
script_is('reload', 0, 'reload');
wait_for(sub { (eval { $t->wait_final($t->submit('echo', { a => 1 }))->{status} } // '') eq 'succeeded' }, 20, 'the new handler to work');
rename $log, "$log.1";
script_is('rotate', 0, 'rotate');
wait_for(sub { (read_file($log) // '') =~ /log reopened/ }, 10, 'the new log');
is((stat $log)[4], $uid, 'a new log, of its user');
script_is('restart', 0, 'restart');
serves('it serves again');

configure("$config\nworkers = nonsense\n");
$pid = daemon_pid();
my $below = $t->tree_of($pid);
script_is('status', 0, 'its configuration is wrong now: status');
script_is('restart', 6, 'restart is refused');
is(daemon_pid(), $pid, 'and changes nothing');
script_is('stop', 0, 'stop');
ok(!defined process_start_time($pid) && $t->gone($below), 'and it is gone');
script_is('status', 3, 'status: not running');
done_testing;
