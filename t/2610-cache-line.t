#!/usr/bin/perl
# A line to Redis that is slow, cut, out of step, or talks nonsense: the answers are the same bytes as without Redis, and the process lives.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Cache;
use Taskq::Machine qw(now slurp_command temp_dir write_file);
use Taskq::RedisProxy;
use Test::More;

my $redis = Taskq::Redis->new(private => 1);
my $proxy = Taskq::RedisProxy->new($redis->{port});
my $c = Taskq::Cache->new(address => $proxy->address, config => 'redis { timeout = 300ms }'); # the proxy takes its time too
my $acceptor = $c->on->role_pid('acceptor');
my $body = { task_type => 'mail', payload => { to => 'a', n => [1, 2.50] } };
my $serial = 0;
sub key { return "k$$-" . ++$serial }

# Keys whose answers are in Redis, while it behaves.
sub cached {
	my ($n) = @_;
	my $lines = $proxy->accepted;
	$proxy->mode('pass');
	$redis->command('CLIENT', 'KILL', 'TYPE', 'normal'); # a line of the mode before may owe an answer
	wait_for(sub { $proxy->accepted > $lines }, 20, 'a new line');
	$c->wait_used;
	wait_for(sub { !$c->on->metric('taskq_redis_breakers_open') }, 20, 'redis to be asked');
	my ($before, @keys) = ($c->put('stored'), map { key() } 1 .. $n);
	$c->first($_, $body) for @keys;
	wait_for(sub { $c->put('stored') >= $before + $n }, 10, 'the answers to be put');
	return @keys;
}

# The same keys on several lines at once: questions travel together.
sub together {
	my ($what, @keys) = @_;
	my %off = map { $_ => Taskq::Cache::text($c->post('off', $_, $body)) } @keys;
	my @lines = map { $c->on->connect } @keys;
	for my $i (0 .. $#keys) {
		$lines[$i]->send_request('POST', '/v1/tasks', json => $body, headers => { 'Idempotency-Key' => $keys[$i] }, close => 1);
	}
	my @wrong = grep { Taskq::Cache::text($lines[$_]->response) ne $off{ $keys[$_] } } 0 .. $#keys;
	is_deeply(\@wrong, [], "$what: " . @keys . ' at once: the same bytes');
}

subtest 'together' => sub {
	my @keys = cached(8);
	my $hits = $c->result('hit');
	together('pass', @keys);
	is($c->result('hit'), $hits + 8, 'all were hits');
};

# mode => [what it leads to, does the line end?]
my %trouble = (
	'delay 1' => ['timeout', 1],
	never => ['timeout', 1],
	error => ['error', 1],
	half => ['error', 1],
	noise => ['error', 1],
	array => ['error', 1],
	endless => ['error', 1],
	twice => ['hit', 1],
	before => ['error', 1],
	swap => ['refused', 0],
	shift => ['refused', 1],
);
for my $mode (sort keys %trouble) {
	subtest $mode => sub {
		my @keys = cached(8);
		my ($result, $ends) = @{ $trouble{$mode} };
		my %before = map { $_ => $c->result($_) } 'hit', 'miss', 'error', 'timeout', 'refused';
		my $lines = $proxy->accepted;
		$proxy->mode($mode);
		together($mode, @keys);
		$c->same($_, $body, $mode) for @keys[0, 7];
		my %grown = map { $_ => $c->result($_) - $before{$_} } keys %before;
		cmp_ok($grown{$result}, '>', 0, "$result") or diag(explain(\%grown));
		wait_for(sub { $proxy->accepted > $lines }, 30, 'another line to be made') if $ends;
		is($c->on->role_pid('acceptor'), $acceptor, 'the process lives');
	};
}

subtest 'a slow Redis is left alone' => sub {
	my ($key) = cached(1);
	$proxy->mode('delay 30'); # no line is made meanwhile
	my $begin = now();
	$c->post('on', $key, $body) for 1 .. 5;
	cmp_ok(now() - $begin, '<', 5 * 3, 'five questions cost about their budget');
	$c->wait_left;
	my $timeouts = $c->result('timeout');
	$c->same($key, $body, 'left alone');
	is($c->result('timeout'), $timeouts, 'nobody waits');
};

subtest 'memory' => sub {
	my $rss = Taskq::Machine::memory_of($acceptor, 'VmRSS');
	cmp_ok($rss, '<', 195, sprintf '%.1f MB after all that', $rss);
};

subtest 'what the configuration may say' => sub {
	my $dir = temp_dir('conf');
	my $check = sub {
		write_file("$dir/taskq.conf", "redis { $_[0] }\n");
		my ($status, $text) = slurp_command(command => [Taskq->program, '-c', "$dir/taskq.conf", '-t']);
		return "$status $text";
	};
	for my $good ('address = off', 'address = "127.0.0.1:6379"', 'address = "[::1]:6379"', 'address = "unix:/run/redis.sock" password = x', 'user = a password = b') {
		like($check->($good), qr/^0 /, $good);
	}
	my %wrong = (
		'address = on' => qr/redis\.address: "on" is not known, expected off, host:port/,
		'address = "localhost:6379"' => qr/redis\.address: "localhost:6379" is not known.*numeric/,
		'address = "127.0.0.1"' => qr/redis\.address/,
		'address = "*:6379"' => qr/redis\.address: "\*:6379" is every address, expected one/,
		'address = "unix:redis.sock"' => qr/redis\.address/,
		'user = a' => qr/redis\.user: without a password, expected one beside it/,
		'timeout = 2s' => qr/redis\.timeout/,
		'fill = all' => qr/redis\.fill/,
		'database = -1' => qr/redis\.database/,
		'value_max = 2MB' => qr/redis\.value_max/,
	);
	for my $bad (sort keys %wrong) {
		my $said = $check->($bad);
		unlike($said, qr/^0 /, "$bad is refused");
		like($said, $wrong{$bad}, 'in words');
	}
};

$proxy->mode('pass');
$c->count_is('as many tasks as keys');
is($c->on->stop, 0, 'drained');
is($c->off->stop, 0, 'drained');
done_testing;
