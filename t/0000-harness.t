#!/usr/bin/perl
# The harness keeps its own promises: servers start, clients tell the truth, waiting ends, and nothing is left behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now process_start_time read_file slurp_command spawn temp_dir write_file);
use Test::More;

subtest 'wait_for' => sub {
	my $n = 0;
	is(wait_for(sub { ++$n == 3 ? 'there' : 0 }, 5, 'three'), 'there', 'returns what the sub returned');
	my $begin = now();
	local $ENV{TASKQ_PATIENCE} = 1;
	ok(!eval { wait_for(sub { 0 }, 0.1, 'the impossible') }, 'dies at its deadline');
	like($@, qr/in vain for the impossible/, 'and says what it waited for');
	cmp_ok(now() - $begin, '<', 5, 'soon');
};

subtest 'processes' => sub {
	my $child = spawn(command => ['/bin/sh', '-c', 'exit 3']);
	is($child->wait(10), 3, 'an exit code');
	$child = spawn(command => ['/bin/sh', '-c', 'kill -9 $$']);
	is($child->wait(10), 137, 'a signal is 128 + n');
	$child = spawn(command => ['/bin/sleep', 1000]);
	is($child->wait(0.05), undef, 'not ended');
	my $start = process_start_time($child->pid);
	ok(defined $start, 'has a start time');
	$child->kill_tree;
	is(process_start_time($child->pid), undef, 'killed');
	my ($status, $text) = slurp_command(command => ['/bin/sh', '-c', 'echo out; echo err >&2; exit 1']);
	is($status, 1, 'status of a command');
	is($text, "out\nerr\n", 'its output');
	is(spawn(command => ['/nonexistent'], err => '/dev/null')->wait(10), 127, 'what cannot be run says 127');
};

subtest 'http client' => sub {
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5) or die "$!";
	my $pid = fork;
	if (!$pid) {
		for my $answer ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-A: 1\r\nx-a: 2\r\n\r\n{\"a\":[1]}HTTP/1.1 404 Not Found\r\n"
				. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
				"HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "HTTP/1.1 204 No Content\r\n\r\n") {
			my $s = $listen->accept;
			sysread $s, my $bytes, 65536;
			syswrite $s, $answer;
		}
		POSIX::_exit(0);
	}
	my $address = '127.0.0.1:' . $listen->sockport;
	my $c = Taskq::HTTP->connect($address);
	my $r = $c->request('GET', '/');
	is($r->status, 200, 'status');
	is_deeply($r->{interim}, [100], 'interim answers are told apart');
	is_deeply($r->json, { a => [1] }, 'body of a length, as JSON');
	is($r->header('X-a'), '1, 2', 'header lines of a name are joined');
	$r = $c->response;
	is($r->status, 404, 'the pipelined answer');
	is($r->body, 'abcdefg', 'a chunked body');
	ok($c->closed, 'the end of the stream');
	is(Taskq::HTTP->connect($address)->request('GET', '/')->body, 'to the end', 'a body without a length');
	ok(!eval { Taskq::HTTP->connect($address)->request('GET', '/') }, 'a short body is an error');
	like($@, qr/closed the connection before body/, 'with the reason');
	is(Taskq::HTTP->connect($address)->request('GET', '/')->body, '', 'no body with 204');
	waitpid $pid, 0;
};

subtest 'postgres' => sub {
	my $pg = Taskq->pg;
	is($pg->psql('select 1, 2'), '1|2', 'answers');
	ok(!eval { $pg->psql('select nonsense') }, 'an error dies');
	like($@, qr/nonsense/, 'and says which');
	plan skip_all => 'TASKQ_PG is not ours to stop' if !$pg->private;
	is($pg->psql('show fsync'), 'on', 'fsync is on unless a test asks otherwise');
	is($pg->psql('select 3', tcp => 1), '3', 'over TCP with a password');
	my $port = $pg->port;
	$pg->psql('create table kept as select 7 as n');
	$pg->kill9->start;
	is($pg->port, $port, 'the same port after a crash');
	is($pg->psql('select n from kept'), '7', 'and the same rows');
	$pg->stop;
	ok(!eval { $pg->psql('select 1') }, 'stopped');
	$pg->start;
	is($pg->psql('select n from kept'), '7', 'started again');
	is($pg->psql('select current_user', db => $pg->createdb('other')), 'taskq', 'another database');
};

subtest 'redis' => sub {
	my $redis = Taskq->redis;
	is($redis->command('PING'), 'PONG', 'answers');
	is($redis->command('SET', 'k', 'v'), 'OK', 'takes');
	is($redis->command('GET', 'k'), 'v', 'and gives');
	is($redis->command('GET', 'none'), undef, 'nothing');
	plan skip_all => 'TASKQ_REDIS is not ours to stop' if !$redis->private;
	$redis->kill9->start;
	is($redis->command('GET', 'k'), undef, 'forgets when it is killed');
};

subtest 'a test that dies leaves nothing' => sub {
	my $dir = temp_dir('h');
	my $script = write_file("$dir/dies.t", <<'END');
use Taskq;
use Taskq::Machine qw(spawn write_file);
my $redis = Taskq::Redis->new(private => 1);
my $tree = spawn(command => ['/bin/sh', '-c', 'trap "" TERM; /bin/sleep 1000 & wait; wait'], grace => 0.1);
wait_for(sub { (keys %{ Taskq::Machine::descendants($tree->pid) })[0] }, 10, 'a grandchild');
write_file($ENV{NOTES}, join ' ', $redis->{dir}, $redis->pid, $tree->pid, keys %{ Taskq::Machine::descendants($tree->pid) });
$ARGV[0] eq 'die' ? die "on purpose\n" : wait_for(sub { 0 }, 100, 'a signal');
END
	for my $way ('die', 'TERM') {
		my $notes = "$dir/notes-$way";
		my $perl = spawn(command => [$^X, "-I$FindBin::Bin/lib", $script, $way], out => "$dir/out", env => { NOTES => $notes, KEEP => undef });
		wait_for(sub { -s $notes }, 30, 'the test to be up');
		my ($temp, @pids) = split / /, read_file($notes);
		is(@pids, 3, "$way: three processes");
		$perl->signal('TERM') if $way eq 'TERM';
		isnt($perl->wait(30), 0, "$way: it failed");
		ok(!defined process_start_time($_), "$way: process $_ is gone") for @pids;
		ok(!-e $temp, "$way: its directory is gone");
	}
};

done_testing;
