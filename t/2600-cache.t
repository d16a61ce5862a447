#!/usr/bin/perl
# Redis gives answers in the place of Postgres, and whatever becomes of it - absent, empty, killed, frozen, evicting, full, lying, closed by a
# password - the answers are the same bytes as without it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256);
use List::Util qw(min);
use Taskq;
use Taskq::Cache;
use Taskq::Machine qw(now temp_dir write_file);
use Test::More;

my $redis = Taskq::Redis->new(private => 1);
my $c = Taskq::Cache->new(address => $redis->address);
my $body = { task_type => 'mail', payload => { to => 'a', n => [1, 2.50, "\x{e9}"] }, labels => { a => '1' } };
my $serial = 0;
sub key { return "k$$-" . ++$serial }
# A key whose answer is in Redis.
sub cached {
	my ($cache) = @_;
	my ($key, $before) = (key(), $cache->put('stored'));
	$cache->first($key, $body);
	wait_for(sub { $cache->put('stored') > $before }, 10, 'the answer to be put');
	return $key;
}

subtest 'it gives' => sub {
	my $key = key();
	my $first = $c->first($key, $body);
	wait_for(sub { $c->put('stored') == 1 }, 10, 'the answer to be put');
	is($c->result('miss'), 1, 'a new key is a miss');
	$c->same($key, $body, 'warm');
	is($c->result('hit'), 2, 'a replay and a mismatch were hits');
	my $again = $c->post('on', $key, $body);
	is($again->body, $first->body, 'the body is that of the first answer');
	is($again->header($_), $first->header($_), $_) for qw(location idempotency-key idempotency-expires);
	is($again->header('idempotent-replayed'), 'true', 'and it says that it is a replay');
	is($c->on->metric('taskq_idempotency_total', outcome => 'replay'), 2, 'replays are counted as before');
	is($c->on->metric('taskq_idempotency_total', outcome => 'mismatch'), 1, 'and mismatches');
	my ($name) = $redis->names;
	like($name, qr/^taskq:\d+-1-[0-9a-f]{8}:[0-9a-f]{32}$/, 'its name says cluster and timeline');
	my $left = $redis->command('PTTL', $name);
	cmp_ok($left, '<=', 86400_000 - 1000, 'it ends before the key does');
	cmp_ok($left, '>', 86400_000 - 60_000, 'and not much before');
};

subtest 'the unversioned surface' => sub {
	my $key = key();
	my $post = sub { $c->{ $_[0] }->post('/tasks', { task_type => 'mail', payload => { a => 1 } }, headers => { 'Idempotency-Key' => $key }) };
	my $first = $post->('on');
	is($first->status, 202, 'accepted') or diag($first->body);
	my $hits = $c->result('hit');
	wait_for(sub { $c->put('stored') == 2 }, 10, 'the answer to be put');
	is(Taskq::Cache::text($post->('on')), Taskq::Cache::text($post->('off')), 'a replay');
	is($c->result('hit'), $hits + 1, 'was a hit');
	is(Taskq::Cache::text($c->post('on', $key, { task_type => 'mail', payload => { a => 1 }, max_attempts => 3 })),
		Taskq::Cache::text($c->post('off', $key, { task_type => 'mail', payload => { a => 1 }, max_attempts => 3 })),
		'asked for through the other surface: the answer keeps the form of the first');
};

subtest 'empty' => sub {
	my $key = cached($c);
	$redis->command('FLUSHALL');
	my $misses = $c->result('miss');
	$c->same($key, $body, 'empty');
	cmp_ok($c->result('miss'), '>', $misses, 'it was a miss');
	$c->same($key, $body, 'filled again by the replay that Postgres answered');
};

subtest 'lying' => sub {
	my ($key, $other) = (cached($c), cached($c));
	my $name = sub {
		my ($k) = @_;
		my $hex = unpack 'H32', sha256("\0$k");
		return (grep { /:\Q$hex\E$/ } $redis->names)[0];
	};
	my ($mine, $foreign) = map { $redis->command('GET', $name->($_)) } $key, $other;
	ok(defined $mine && defined $foreign, 'the values are there');
	my $flip = sub { my ($v, $at) = @_; substr($v, $at, 1) = chr(ord(substr $v, $at, 1) ^ 1); return $v };
	my %lies = (
		'the value of another key' => $foreign,
		'another fingerprint' => $flip->($mine, 6),
		'another id' => $flip->($mine, 40),
		'another body' => $flip->($mine, length($mine) - 40),
		'another signature' => $flip->($mine, -1),
		'cut short' => substr($mine, 0, -1),
		'half' => substr($mine, 0, length($mine) / 2),
		'the signature alone' => substr($mine, -32),
		'longer' => $mine . 'x',
		'random' => join('', map { chr int rand 256 } 1 .. 500),
		'nothing' => '',
		'JSON' => '{"status":202}',
		'too long' => 'x' x 100_000,
	);
	for my $what (sort keys %lies) {
		my $refused = $c->result('refused');
		$redis->command('SET', $name->($key), $lies{$what});
		my $r = $c->post('on', $key, $body);
		is(Taskq::Cache::text($r), Taskq::Cache::text($c->post('off', $key, $body)), "$what: the same bytes");
		is($c->result('refused'), $refused + 1, "$what: refused");
	}
	$redis->command('DEL', $name->($key));
	$c->on->log_wait(qr/not ours for this key/, 5);
	is($c->on->metric('taskq_redis_breakers_open'), 0, 'the line stays');
	$c->same($key, $body, 'put right');
};

subtest 'a name that holds something else' => sub {
	my $key = cached($c);
	my $hex = unpack 'H32', sha256("\0$key");
	my ($name) = grep { /:\Q$hex\E$/ } $redis->names;
	$redis->command('DEL', $name);
	$redis->command('RPUSH', $name, 'a');
	my $errors = $c->result('error');
	$c->same($key, $body, 'a list');
	cmp_ok($c->result('error'), '>', $errors, 'it was an error');
};

subtest 'no longer than Postgres keeps the key' => sub {
	my $key = key();
	my $first = $c->post('off', $key, $body);
	$redis->command('FLUSHALL');
	Taskq->pg->psql("update taskq.idem set expires_at = clock_timestamp() + interval '3 s' where task_id = '" . $first->json->{id} . "'");
	my $before = $c->put('stored');
	$c->post('on', $key, $body);
	wait_for(sub { $c->put('stored') > $before }, 10, 'the answer to be put');
	my ($name) = $redis->names;
	my $left = $redis->command('PTTL', $name);
	cmp_ok($left, '<=', 2000, 'its time is that of the key');
	SKIP: {
		skip 'the machine was too slow', 2 if !$redis->command('PERSIST', $name);
		my $refused = $c->result('refused');
		wait_for(sub { $c->post('on', $key, $body); $c->result('refused') > $refused }, 10, 'the value to be refused');
		pass('what should be gone by the clock of the database is not believed');
		$c->same($key, $body, 'expired');
	}
};

subtest 'restarted in the middle' => sub {
	my $key = cached($c);
	$redis->kill9;
	$c->same($key, $body, 'killed');
	$c->wait_left;
	my $bypassed = $c->result('bypassed');
	$c->same($key, $body, 'away');
	cmp_ok($c->result('bypassed'), '>', $bypassed, 'nobody is asked');
	$redis->start;
	$c->wait_used;
	$c->same($key, $body, 'back and empty');
	my $hits = $c->result('hit');
	wait_for(sub { $c->post('on', $key, $body); $c->result('hit') > $hits }, 10, 'a hit again');
	$c->same($key, $body, 'back');
};

subtest 'frozen' => sub {
	my $quick = Taskq::Cache->new(address => $redis->address, off => $c->off, config => 'redis { timeout = 200ms }');
	my $key = cached($quick);
	my $timeouts = $quick->result('timeout');
	kill 'STOP', $redis->pid;
	my @took;
	for my $n (1 .. 5) {
		my $begin = now();
		my $r = $quick->post('on', $key, $body);
		push @took, now() - $begin;
		is($r->status, 202, "question $n");
	}
	is($quick->result('timeout'), $timeouts + 5, 'five questions had no answer in time');
	cmp_ok(min(@took), '>=', 0.2, 'each waited for 200 ms');
	cmp_ok(min(@took), '<', 0.5, 'and hardly longer');
	diag(sprintf 'while frozen: %s ms', join ' ', map { sprintf '%.1f', 1000 * $_ } @took);
	is($quick->on->metric('taskq_redis_breakers_open'), 1, 'then Redis is left alone');
	$quick->same($key, $body, 'left alone');
	is($quick->result('timeout'), $timeouts + 5, 'nobody waits any more');
	kill 'CONT', $redis->pid;
	$quick->wait_used;
	$quick->same($key, $body, 'thawed');
	is($quick->on->stop, 0, 'drained');
};

subtest 'a frozen Redis does not hold the others up' => sub {
	my $slow = Taskq::Cache->new(address => $redis->address, off => $c->off);
	my $key = cached($slow);
	my ($line, $probe) = ($slow->on->connect, $slow->on->connect);
	kill 'STOP', $redis->pid;
	$line->send_request('POST', '/v1/tasks', json => $body, headers => { 'Idempotency-Key' => $key });
	my $begin = now();
	my $healthy = 0;
	while (now() - $begin < 0.3) {
		$healthy += $probe->request('GET', '/healthz')->status == 200;
	}
	cmp_ok($healthy, '>', 5, 'the process answers others');
	$line->fill(now());
	is($line->{in}, '', 'while the one waits');
	is($line->response->status, 202, 'and has its answer');
	cmp_ok(now() - $begin, '>=', 1, 'after the time it was given');
	kill 'CONT', $redis->pid;
	$slow->wait_used;
	is($slow->on->stop, 0, 'drained');
};

subtest 'evicting' => sub {
	$redis->command('FLUSHALL');
	my ($used) = $redis->command('INFO', 'memory') =~ /used_memory:(\d+)/;
	$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
	$redis->command('CONFIG', 'SET', 'maxmemory', $used + 20_000);
	my @keys = map { key() } 1 .. 60;
	$c->first($_, { %$body, payload => { text => 'x' x 2000 } }) for @keys;
	cmp_ok(scalar(() = $redis->names), '<', 60, 'some are gone');
	$c->same($_, { %$body, payload => { text => 'x' x 2000 } }, 'evicting') for @keys[0, 20, 40, 59];
};

subtest 'full' => sub {
	$redis->command('FLUSHALL');
	$redis->command('CONFIG', 'SET', 'maxmemory', 1);
	$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
	my ($key, $failed) = (key(), $c->put('failed'));
	$c->first($key, $body);
	wait_for(sub { $c->put('failed') > $failed }, 10, 'the put to fail');
	$c->same($key, $body, 'full');
	$c->on->log_wait(qr/redis did not take an answer.*OOM/, 5);
	$redis->command('CONFIG', 'SET', 'maxmemory', 0);
	$c->same($key, $body, 'room again');
};

subtest 'too long to be cached' => sub {
	my $small = Taskq::Cache->new(address => $redis->address, off => $c->off, config => 'redis { value_max = 1kB }');
	my ($key, $dropped, $long) = (key(), $small->put('dropped'), { %$body, payload => { text => 'x' x 1000 } });
	$small->first($key, $long);
	is($small->put('dropped'), $dropped + 1, 'not put');
	$small->same($key, $long, 'long');
	is($small->on->stop, 0, 'drained');
};

subtest 'of keys that came again' => sub {
	my $again = Taskq::Cache->new(address => $redis->address, off => $c->off, config => 'redis { fill = replayed }');
	my $key = key();
	$again->first($key, $body);
	$again->post('on', $key, $body);
	wait_for(sub { $again->put('stored') == 1 }, 10, 'the answer to be put');
	is($again->result('miss'), 2, 'the first and the second were misses');
	$again->same($key, $body, 'replayed');
	is($again->result('hit'), 2, 'from then on it is a hit');
	is($again->on->stop, 0, 'drained');
};

subtest 'asked only when it is worth it' => sub {
	my $lazy = Taskq::Cache->new(address => $redis->address, off => $c->off);
	my $line = $lazy->on->connect;
	my @keys = map { key() } 1 .. 320;
	# one after the other: what is on the way when the 256th is answered was asked already
	my $stored = grep { $line->request('POST', '/v1/tasks', json => $body, headers => { 'Idempotency-Key' => $_ })->status == 202 } @keys;
	is($stored, 320, 'as many new keys');
	is($lazy->result('miss'), 256 + 4, 'after 256 misses each sixteenth is asked');
	is($lazy->result('bypassed'), 60, 'the others are not');
	my $n = 0;
	while ($lazy->result('hit') == 0 && $n < 16) {
		$lazy->post('on', $keys[319], $body);
		$n++;
	}
	is($lazy->result('hit'), 1, 'a key that is repeated is asked for in the end');
	$lazy->same($keys[319], $body, 'lazy');
	is($lazy->result('hit'), 3, 'and then every one is asked again');
	is($lazy->on->stop, 0, 'drained');
};

subtest 'absent' => sub {
	my $dir = temp_dir('none');
	my $alone = Taskq::Cache->new(address => "unix:$dir/none", off => $c->off, used => 0);
	my $key = key();
	$alone->first($key, $body);
	$alone->same($key, $body, 'never started');
	$alone->on->log_wait(qr/redis is not used.*No such file/, 5);
	is($alone->result('hit') + $alone->result('miss'), 0, 'nobody was asked');
	is($alone->on->stop, 0, 'drained');
};

subtest 'a password' => sub {
	my $dir = temp_dir('pw');
	write_file("$dir/good", "se cret\n", 0600);
	write_file("$dir/bad", "hunter2\n", 0600);
	$redis->command('ACL', 'SETUSER', 'taskq', 'on', '>se cret', '~taskq:*', '+get', '+set', '+ping', '+select');
	my $conf = sub { "redis { user = taskq password = \"\@$dir/$_[0]\" database = 3 }" };
	my $good = Taskq::Cache->new(address => 'unix:' . $redis->socket, off => $c->off, config => $conf->('good'));
	my $key = cached($good);
	$good->same($key, $body, 'user, password, database, socket');
	is($good->result('hit'), 2, 'hits');
	is($good->on->stop, 0, 'drained');
	my $bad = Taskq::Cache->new(address => $redis->address, off => $c->off, config => $conf->('bad'), used => 0);
	$bad->on->log_wait(qr/redis is not used.*AUTH.*WRONGPASS/, 10);
	$key = key();
	$bad->first($key, $body);
	$bad->same($key, $body, 'wrong password');
	is(scalar(grep { /hunter2/ } $bad->on->log_lines), 0, 'which the log does not tell');
	is($bad->on->stop, 0, 'drained');
};

$c->count_is('as many tasks as keys');
is($c->on->stop, 0, 'drained');
is($c->off->stop, 0, 'drained');
done_testing;
