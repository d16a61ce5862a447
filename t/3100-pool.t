#!/usr/bin/perl
# Children that stay: real ones in Python and Node, lines and msgpack; recycled between tasks, replaced by a reload, let go by a drain.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir);
use Test::More;

my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : (grep { -x } map { "$_/python3" } split /:/, $ENV{PATH})[0];
my $node = (grep { -x } map { "$_/node" } split /:/, $ENV{PATH})[0];
defined $python && defined $node or plan skip_all => 'python3 and node are needed; scripts/packages test installs them';

# A handler may run as somebody who cannot enter the source tree.
my $dir = temp_dir('h');
chmod 0755, $dir;
for my $name (qw(child.py child.js packed.py)) {
	my $text = Taskq::Machine::read_file("$FindBin::Bin/lib/pool/$name");
	Taskq::Machine::write_file("$dir/$name", $text);
	chmod 0644, "$dir/$name";
}

# The examples of the manual are programs.
my $page = Taskq::Machine::read_file("$FindBin::Bin/../src/run/taskq-handler.7");
my %examples = $page =~ /^\.\\" example: (\S+)\n\.Bd [^\n]*\n(.*?)^\.Ed$/gms;
for my $name (keys %examples) {
	$examples{$name} =~ s/\\e/\\/g;
	Taskq::Machine::write_file("$dir/example-$name", $examples{$name});
	chmod 0644, "$dir/example-$name";
}

sub handler {
	my ($type, $file, $more) = @_;
	my $program = $file =~ /js$/ ? $node : $python;
	return "handler $type { kind = pool\n command = {\"$program\", \"$dir/$file\"}\n $more }\n";
}

my $config = "kill_grace = 1s\nwork { poll = 100ms }\n" . join '',
	handler(py => 'child.py', "children = 2\n directory = \"$dir\"\n environment = {\"WORD=said\"}"),
	handler(js => 'child.js', 'children = 1'),
	map({ handler("example_$_" => "example-child.$_", 'children = 1') } qw(py js)),
	handler(packed => 'packed.py', "children = 1\n format = msgpack"),
	handler(few => 'child.py', "children = 1\n recycle_tasks = 3"),
	handler(old => 'child.py', "children = 1\n recycle_after = 300ms"),
	handler(big => 'child.py', "children = 1\n recycle_memory = 80MB");

my $t = Taskq->start(config => $config, env => { TASKQ_TEST_SECRET => 'ours' });
sub run { my ($type, $payload, %o) = @_; return $t->wait_final($t->submit($type, $payload, %o)) }

my $task = run('py', { n => [1, 2.5, "\x{2028}\x{e9}\n"] }, max_attempts => 7);
is($task->{status}, 'succeeded', 'a Python child ran a task') or diag explain $task;
my $r = $task->{result};
is_deeply($r->{payload}, { n => [1, 2.5, "\x{2028}\x{e9}\n"] }, 'with its payload');
like($r->{lease}, qr/^[0-9a-f]{48}$/, 'under a lease');
is($r->{cwd}, $dir, 'in its directory');
is($r->{env}{WORD}, 'said', 'with what the configuration adds to its environment');
ok(!exists $r->{env}{TASKQ_TEST_SECRET}, 'and nothing of ours');
is_deeply($r->{fds}, [0, 1, 2], 'no descriptor of ours is inherited');
is($r->{session}, $r->{pid}, 'in a session of its own');

my %pids;
$pids{ run('py', { i => $_ })->{result}{pid} }++ for 1 .. 12;
ok(keys(%pids) <= 2, 'its children stay') or diag explain \%pids;
my @many = map { $t->submit('py', { i => $_ }) } 1 .. 40;
is_deeply([map { $t->wait_final($_)->{result}{payload}{i} } @many], [1 .. 40], 'forty tasks, each with its own answer');

my $raw = $t->post('/v1/tasks', "{\"task_type\": \"py\",\r\n \"payload\": {\n\"a\":\r\n[1,\n2]}}", headers => { 'Idempotency-Key' => 'lines' })->json;
is_deeply($t->wait_final($raw)->{result}{payload}, { a => [1, 2] }, 'a payload of many lines arrives as one');
my $wide = 'x' x 40_000;
is(run('py', { x => $wide })->{result}{payload}{x}, $wide, 'a big payload goes in and out whole');
is(run('py', { x => 'x' x 900_000, do => 'fail', class => 'NON_RETRYABLE', code => 'BIG', message => 'm' })->{error_code}, 'BIG', 'a bigger one goes in');

$task = run('py', { do => 'fail', class => 'NON_RETRYABLE', code => 'GONE', message => 'spoken' });
is_deeply([@$task{qw(status error_class error_code last_error)}], [qw(dead_letter NON_RETRYABLE GONE spoken)], 'a child may say how it failed');
is(run('py', { do => 'steps' })->{status}, 'succeeded', 'and how far it is');
my $later = $t->submit('py', { do => 'snooze', seconds => 3600 }, max_attempts => 1);
wait_for(sub { grep { $_->{outcome} eq 'put_off' } @{ $t->get("/v1/tasks/$later->{id}/attempts")->json->{attempts} } }, 20, 'the task to be put off');
is($t->task($later)->{attempts}, 0, 'or that it wants the task later, which costs no attempt');

$task = run('js', { word => "caf\x{e9}" });
is($task->{result}{payload}{word}, "caf\x{e9}", 'a Node child ran a task') or diag explain $task;
my $js = $task->{result}{pid};
is(run('js', {})->{result}{pid}, $js, 'and another');
$task = run('js', { fail => 1 }, max_attempts => 1);
is_deeply([@$task{qw(error_class error_code last_error)}], ['RATE_LIMITED', 'SLOW', 'not so fast'], 'a Node child says how it failed');

is_deeply([sort keys %examples], ['child.js', 'child.py'], 'the manual has two examples');
is_deeply(run("example_$_", { name => "\x{263a} $_\x{2028}" })->{result}, { hello => "\x{263a} $_\x{2028}" }, "that for $_ works") for qw(py js);

my $value = { text => "\x{1F600}\x{e9}", list => [0, -1, 255, 65536, 4294967296, -9000000000, 1.5, undef, []], deep => [[[{ a => {} }]]] };
is_deeply(run('packed', $value)->{result}, $value, 'msgpack carries the same') or diag explain run('packed', $value);
is(run('packed', { list => [map { "item $_" } 1 .. 3000] })->{result}{list}[2999], 'item 3000', 'also when it is long');
$task = run('packed', { raw => \1 }, max_attempts => 1);
is($task->{error_code}, 'PROTOCOL_ERROR', 'what JSON cannot say is no answer') or diag explain $task;
is(run('packed', { a => 1 })->{status}, 'succeeded', 'the next child serves on');

my @few = map { run('few', { i => $_ })->{result}{pid} } 1 .. 7;
is_deeply([map { $few[$_] == $few[0] ? 1 : 0 } 0 .. 3], [1, 1, 1, 0], 'a child is replaced after three tasks') or diag "@few";
is_deeply([map { $few[$_] == $few[3] ? 1 : 0 } 3 .. 6], [1, 1, 1, 0], 'and its successor too');
like($t->log_wait(qr/stderr="no more tasks"/), qr/pool child wrote to stderr/, 'it was let go by the end of its input, and the log has what it says');

my $first = run('old', {})->{result}{pid};
wait_for(sub { run('old', {})->{result}{pid} != $first }, 30, 'another child');
pass('a child is replaced when it is old');
$first = run('big', {})->{result}{pid};
is(run('big', {})->{result}{pid}, $first, 'a small child stays');
is(run('big', { do => 'grow', megabytes => 120 })->{result}{pid}, $first, 'it may grow');
wait_for(sub { run('big', {})->{result}{pid} != $first }, 30, 'another child');
pass('and is replaced then');

# A reload: a task that runs is not disturbed, the next one meets the new configuration.
$first = run('py', {})->{result}{pid};
my $long = $t->submit('py', { do => 'sleep', seconds => 2 });
$t->wait_status($long, qr/processing/);
(my $changed = $config) =~ s/WORD=said/WORD=new/;
$t->hup($changed);
wait_for(sub { run('py', {})->{result}{env}{WORD} eq 'new' }, 30, 'a child with the new environment');
pass('a reload brings new children');
$task = $t->wait_final($long);
is($task->{result}{env}{WORD}, 'said', 'what ran before ended where it began') or diag explain $task;
is($task->{attempts}, 1, 'in its first attempt');

my $tree = $t->tree;
is($t->stop, 0, 'taskqd drained');
ok($t->gone($tree), 'no child is left');
done_testing;
