#!/usr/bin/perl
# The supervisor: names, kills, reloads under requests, stale files, and its own death.  No database is needed: /healthz never asks one.
use strict;
use warnings;
use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now read_file write_file);
use Test::More;

my $t = Taskq->new(pg => undef, config => "acceptors = 2\n");
$t->launch(ready => 0);

sub roles_ready { my ($role) = @_; return scalar grep { $_->{ready} } $t->roles($role) }
sub title { my ($pid) = @_; my $text = read_file("/proc/$pid/cmdline") // ''; $text =~ s/\0+$//; return $text }
sub descriptors { my ($pid) = @_; return scalar(() = glob "/proc/$pid/fd/*") }

wait_for(sub { roles_ready('acceptor') == 2 }, 20, 'two acceptors');

subtest 'every process says what it is and does' => sub {
	is(title($t->pid), 'taskqd: supervisor (running)', 'the supervisor');
	for my $it ($t->roles) {
		is(title($it->{pid}), "taskqd: $it->{role} $it->{index} (running)", "$it->{role} $it->{index}");
	}
};

subtest 'no queued connection is lost with an acceptor' => sub {
	my @pids = map { $_->{pid} } $t->roles('acceptor');
	kill 'STOP', @pids;
	wait_for(sub { 2 == grep { (read_file("/proc/$_/stat") // '') =~ /\) T / } @pids }, 10, 'stopped acceptors');
	my @queued = map { $t->connect } 1 .. 100;
	$_->write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for @queued;
	kill 'KILL', @pids;
	is(scalar(grep { $_->read_all =~ m{^HTTP/1.1 200 } } @queued), 100, 'all hundred are answered by the next ones');
	wait_for(sub { roles_ready('acceptor') == 2 }, 10, 'two acceptors');
};

subtest 'a storm of reloads disturbs nobody' => sub {
	my $before = descriptors($t->pid);
	my ($generation) = map { $_->{generation} } $t->roles('acceptor');
	my ($asked, $good, $until) = (0, 0, now() + 2.5);
	while (now() < $until) {
		$t->signal('HUP');
		$asked++;
		$good++ if eval { $t->get('/healthz')->{status} == 200 };
	}
	is($good, $asked, "all of $asked requests are answered");
	my $newest;
	wait_for(sub {
		my %seen = map { $_->{generation} => 1 } $t->roles;
		($newest) = keys %seen;
		return 1 == keys %seen && $newest > $generation && roles_ready('acceptor') == 2;
	}, 20, 'one generation');
	cmp_ok($newest - $generation, '<=', 5, 'many signals make few reloads');
	wait_for(sub { descriptors($t->pid) <= $before }, 10, 'no descriptor more than before');
};

subtest 'one start, one daemon' => sub {
	my $second = Taskq->new(pg => undef, dir => $t->{dir}, config => "acceptors = 2\n");
	my ($status, $text) = Taskq::Machine::slurp_command(command => [$t->program, '-c', $t->config_path, '--foreground']);
	is($status, 69, 'a second start is refused');
	like($text, qr/already running as process @{[$t->pid]}\b/, 'and says by whom');
};

subtest 'kill -9 of the supervisor' => sub {
	my $tree = $t->tree;
	$t->kill9('supervisor');
	wait_for(sub { $t->gone($tree) }, 10, 'its children to end');
	pass('no child outlives it');
	ok(-e $t->run_dir . '/taskqd.pid', 'its pid file is left');
	# the pid may be somebody else's by now
	write_file($t->run_dir . '/taskqd.pid', "$$\n");
	$t->launch(ready => 0);
	wait_for(sub { roles_ready('acceptor') == 2 }, 20, 'two acceptors');
	is($t->get('/healthz')->{status}, 200, 'the next start serves');
};

is($t->stop, 0, 'it drains');
is_deeply([glob $t->run_dir . '/*'], [], 'and leaves no file');

subtest 'a unix socket' => sub {
	my $path = "$t->{dir}/http";
	$t->configure("http { listen = {\"unix:$path\"} }\n");
	for my $end ('KILL', 'TERM') {
		$t->launch(ready => 0);
		is_deeply([$t->addresses], ["unix:$path"], 'is listened on') or return;
		my $s = IO::Socket::UNIX->new(Peer => $path) or die "could not connect: $!";
		print $s "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
		like(join('', <$s>), qr/^HTTP\/1.1 200 /, 'and answers');
		$t->signal($end);
		$t->wait_exit;
		is(-S $path ? 'there' : 'gone', $end eq 'KILL' ? 'there' : 'gone', "its file after SIG$end");
	}
};
done_testing;
