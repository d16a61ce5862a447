#!/usr/bin/perl
# scripts/quickstart: starts everything under one directory, shows a real job, reuses what is there, and leaves nothing behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir process_start_time read_file slurp_command spawn srcdir temp_dir write_file);
use Taskq::Redis;
use Test::More;

plan skip_all => 'a build is needed' if !-x builddir() . '/taskqd';
my $dir = temp_dir('quick') . '/q';
my $mine = write_file(temp_dir('conf') . '/mine.conf', <<'END');
handler gzip { kind = builtin builtin = echo }
handler mine { kind = builtin builtin = echo }
handler who { kind = exec command = {'/usr/bin/id', '-u'} }
END
my @command = (srcdir() . '/scripts/quickstart', '--dir', $dir);
my %env = (TASKQ_BUILDDIR => builddir(), TASKQ_PG => undef, TASKQ_REDIS => undef, MAKEFLAGS => undef);

sub quickstart {
	my ($expected, @args) = @_;
	my ($status, $text) = slurp_command(command => [@command, @args], env => {%env}, seconds => 120);
	is($status, $expected, "quickstart @args") or diag($text, grep { defined } read_file("$dir/log"));
	return $text;
}

# Every process that quickstart started, as pid => start time, each found by what it left in the directory.
sub processes {
	my %found;
	for my $file ("$dir/run/taskqd.pid", "$dir/waiter.pid", "$dir/run/redis/pid", "$dir/pg/data/postmaster.pid") {
		my ($pid) = (read_file($file) || '') =~ /^(\d+)/ or next;
		my $start = process_start_time($pid);
		%found = (%found, $pid => $start, %{ Taskq->tree_of($pid) }) if defined $start;
	}
	return \%found;
}

Taskq::Machine::at_end(sub {
	my $left = processes();
	kill 'KILL', $_ for keys %$left;
});

my $serving = bless { dir => $dir }, 'Taskq'; # the client of a daemon that somebody else started
sub address_of { my ($text) = @_; my ($address) = $text =~ m{serving at http://(\S+)}; return $serving->{address} = $address }

# A connection is ready when it has been greeted, with the password if there is one.
sub uses_redis {
	my ($name) = @_;
	my $ready = eval { wait_for(sub { $serving->metric('taskq_redis_connections_ready') }, 30, 'a connection to Redis') };
	ok($ready, $name) or diag(grep { /redis/ } split /^/m, read_file("$dir/log"));
}

subtest 'the demonstration' => sub {
	my $text = quickstart(0, '--detach', '--port', Taskq::Machine::free_port());
	ok(address_of($text), 'prints its address') or return;
	like($text, qr/all 20 tasks succeeded/, 'twenty tasks succeeded');
	like($text, qr/sent again: the same task/, 'a key means one task');
	is($serving->get('/readyz')->status, 200, 'it serves');
	uses_redis('its Redis is used');
	unlike(read_file("$dir/log"), qr/NOAUTH|WRONGPASS/, 'which asks for a password, and is given it');
	my ($curl) = $text =~ /^  (curl -i .*?\n.*?)\n/m;
	my ($status, $said) = slurp_command(command => ['/bin/sh', '-c', $curl]);
	like($said, qr{^HTTP/1.1 202 }m, 'its first example works as printed') or diag($curl);
	is($serving->wait_final((split /\r\n\r\n/, $said)[1] =~ /"id":"([^"]+)"/ ? $1 : '')->{status}, 'succeeded', 'and its task succeeds');
	my $misfit = $serving->post('/v1/tasks', { task_type => 'sha256', payload => { path => 7 } }, headers => { 'Idempotency-Key' => 'misfit' });
	is($misfit->status, 422, 'what does not fit examples/sha256.schema.json is refused');
};

my $task = $serving->get('/v1/tasks?limit=1')->json->{items}[0];
my $before = processes();

subtest 'again, with a configuration of our own' => sub {
	my $text = quickstart(0, '--detach', '--config', $mine);
	like($text, qr/already running/, 'it finds itself');
	my %same = map { $_ => 1 } grep { exists $before->{$_} } keys %{ processes() };
	my ($supervisor) = read_file("$dir/run/taskqd.pid") =~ /(\d+)/;
	ok($same{$supervisor}, 'the same supervisor goes on');
	is($serving->wait_final($serving->submit('mine', { a => 1 }))->{status}, 'succeeded', 'a handler is added');
	is_deeply($serving->wait_final($serving->submit('gzip', { a => 1 }))->{result}, { a => 1 }, 'one of the same title is replaced');
	my $uid = $serving->wait_final($serving->submit('who', {}))->{result};
	ok(defined $uid && $uid > 0, 'tasks do not run as root') or diag(explain($uid));
};

subtest 'stop' => sub {
	my $all = processes();
	cmp_ok(scalar keys %$all, '>', 8, 'many processes');
	like(quickstart(0, '--stop'), qr/nothing is left running/, 'it says so');
	is_deeply([grep { my $s = process_start_time($_); defined $s && $s == $all->{$_} } keys %$all], [], 'and it is true');
	is(read_file("$dir/exit"), "0\n", 'the exit status of taskqd is kept');
	quickstart(0, '--stop');
};

subtest 'in the foreground' => sub {
	my ($out, $redis) = (temp_dir('out') . '/text', Taskq::Redis->new(private => 1));
	my $child = spawn(command => [@command, '--no-demo', '--config', $mine], env => { %env, TASKQ_REDIS => $redis->address }, out => $out);
	wait_for(sub { (read_file($out) || '') =~ /Ctrl-C/ || !$child->alive }, 60, 'quickstart to serve');
	address_of(read_file($out)) or diag(read_file($out));
	is_deeply($serving->task($task), $task, 'what was there before is still there');
	uses_redis('the Redis of TASKQ_REDIS is used');
	my $all = processes();
	$child->signal('INT');
	is($child->wait(60), 0, 'Ctrl-C: exit status 0') or diag(read_file($out), read_file("$dir/log"));
	is_deeply([grep { my $s = process_start_time($_); defined $s && $s == $all->{$_} } keys %$all], [], 'nothing is left');
};

subtest 'mistakes' => sub {
	like(quickstart(64, '--nonsense'), qr{"--nonsense" is not known.*usage}s, 'an unknown option');
	like(quickstart(1, '--port', '65536'), qr{--port "65536": expected a number from 1 to 65535}, 'a port that is none');
	write_file($mine, "nonsense = 1\n");
	like(quickstart(1, '--detach', '--config', $mine), qr/mine\.conf:1: /, 'a wrong configuration is shown with its place');
	is_deeply(processes(), {}, 'and what was started for it is stopped');
};

done_testing;
