#!/usr/bin/perl
# The init script as installed: start, status, reload, restart, stop, with the exit codes of LSB.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir process_start_time read_file slurp_command temp_dir write_file);
use Test::More;

my $build = builddir();
plan skip_all => "\"$build\" has no Makefile" if !-f "$build/Makefile";
my $dest = temp_dir('dest');
my ($status, $text) = slurp_command(command => ['make', '-C', $build, 'install', "DESTDIR=$dest", 'prefix=/usr', 'sysconfdir=/etc'],
	env => { MAKEFLAGS => undef, MAKELEVEL => undef });
is($status, 0, 'installed') or diag($text);

my $t = Taskq->new;
my $log = "log { target = \"$t->{dir}/log\" }\n";
$t->configure($log);
$t->migrate;
write_file("$dest/etc/default-taskq", "DAEMON=$dest/usr/sbin/taskqd\nCONFIG=" . $t->config_path . "\nSTOP_TIMEOUT=30\n");

sub script {
	my ($action) = @_;
	return slurp_command(command => ["$dest/etc/init.d/taskq", $action], env => { TASKQ_DEFAULTS => "$dest/etc/default-taskq" }, seconds => 60);
}

sub script_is {
	my ($action, $expected, $what) = @_;
	my ($got, $said) = script($action);
	is($got, $expected, $what) or diag($said, $t->log_tail);
	return $said;
}

sub daemon_pid { my ($pid) = (read_file($t->run_dir . '/taskqd.pid') || '') =~ /^(\d+)/; return $pid }

# Not our child: to be ended by us all the same.
Taskq::Machine::at_end(sub {
	my $pid = daemon_pid() or return;
	my $below = Taskq::Machine::descendants($pid);
	kill 'KILL', $pid;
	eval { wait_for(sub { $t->gone($below) }, 10, 'the processes of taskqd to end') } or kill 'KILL', keys %$below;
});

# start returns when the processes are up; Postgres is met a moment later.
sub serves {
	my ($what) = @_;
	delete $t->{address};
	ok(eval { wait_for(sub { eval { $t->get('/readyz')->status == 200 } }, 10, '/readyz') }, $what) or diag($t->log_tail);
}

script_is('status', 3, 'status: not running');
script_is('start', 0, 'start');
serves('it serves');
my $pid = daemon_pid();
like(script_is('status', 0, 'status: running'), qr/\b$pid\b/, 'with its pid');
script_is('start', 0, 'starting again changes nothing');
is(daemon_pid(), $pid, 'the same process');

$t->configure($log . "handler echo { kind = builtin builtin = echo }\n");
script_is('reload', 0, 'reload');
wait_for(sub { $t->wait_final($t->submit('echo', { a => 1 }))->{status} eq 'succeeded' }, 20, 'the new handler to work');
is(daemon_pid(), $pid, 'still the same process');

$t->configure($log . "no such option\n");
script_is('configtest', 6, 'configtest tells a wrong configuration');
script_is($_, 6, "$_ refuses it") for 'reload', 'restart';
serves('and it still serves');
$t->configure($log);
script_is('rotate', 0, 'rotate');

script_is('restart', 0, 'restart');
serves('it serves again');
my $next = daemon_pid();
isnt($next, $pid, 'another process');
ok(!defined process_start_time($pid), 'the earlier one is gone');

my $below = $t->tree_of($next);
script_is('stop', 0, 'stop');
ok(!defined process_start_time($next) && $t->gone($below), 'no process is left when stop returns');
script_is('status', 3, 'status: not running');
script_is('stop', 0, 'stopping again is no error');
script_is('reload', 7, 'there is nothing to reload');

script_is('start', 0, 'start');
$below = $t->tree_of(daemon_pid());
kill 'KILL', daemon_pid();
wait_for(sub { $t->gone($below) }, 20, 'the children of a killed supervisor to end');
script_is('status', 1, 'status: dead, and its pid file is left');
script_is('start', 0, 'start after a crash');
serves('it serves');
script_is('stop', 0, 'stop');
script_is('nonsense', 2, 'what it does not know');
write_file("$dest/etc/default-taskq", "DAEMON=$dest/none\n");
script_is('start', 5, 'not installed');

done_testing;
