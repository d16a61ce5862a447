#!/usr/bin/perl
# A child that is written ahead to: answers in any order, and when it ends, only what it had begun is charged; the rest runs as if nothing
# had been.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};
defined $python or plan skip_all => 'python3 is needed; scripts/packages test installs it';

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/ahead.py", read_file("$FindBin::Bin/lib/pool/ahead.py"));
chmod 0644, "$dir/ahead.py";

sub handler {
	my ($kind, $more) = @_;
	return "handler $kind { kind = pool\n command = {\"$python\", \"$dir/ahead.py\", \"$kind\", \"$dir\"}\n children = 1\n" .
		" pipeline = 8\n retry_base = 10ms\n timeout = 60s\n " . ($more || '') . " }\n";
}

# As many as the greatest batch below: what waits counts until the worker knows that tasks are short.
my $config = join '', "kill_grace = 300ms\nwork { poll = 100ms\n slots = 16\n prefetch = 64 }\n",
	map({ handler($_) } qw(reverse exit signal stray percent told cancel drain)),
	handler('hang', 'timeout = 5s'), handler('patient', 'timeout = 5s'), handler('few', 'recycle_tasks = 3'),
	handler('one', 'pipeline = 1');
my $t = Taskq->start(config => $config);

sub give { my ($kind, $count, %payload) = @_; return map { $t->submit($kind, { n => $_, %payload }) } 0 .. $count - 1 }
sub starts { my $n = () = (read_file("$dir/$_[0].starts") || '') =~ /\n/g; return $n }
sub outcomes { my ($task) = @_; return join ' ', map { $_->{error_code} || $_->{outcome} } @{ $t->get("/v1/tasks/$task->{id}/attempts")->json->{attempts} } }

# The child has them all, in the order in which they came.
sub in_hand {
	my ($kind, $count) = @_;
	wait_for(sub { (read_file("$dir/$kind.has") || '') =~ /\n/ }, 30, "$kind: a child with $count tasks");
	is(read_file("$dir/$kind.has"), join(' ', 0 .. $count - 1) . "\n", "$kind: it has $count tasks in order");
}

# How the runs of each task ended.
sub ends_are {
	my ($kind, $tasks, @want) = @_;
	is_deeply([map { $t->wait_final($_, 60)->{result}{n} } @$tasks], [0 .. $#$tasks], "$kind: each task has its own result");
	is_deeply([map { outcomes($_) } @$tasks], \@want, "$kind: only what was begun is charged");
}

my @patient = give('patient', 3, seconds => 2);
my @hang = give('hang', 4);

my @tasks = give('reverse', 6);
in_hand('reverse', 6);
ends_are('reverse', \@tasks, ('succeeded') x 6);
is(starts('reverse'), 1, 'answers in any order are fine');

@tasks = give('exit', 6);
in_hand('exit', 6);
ends_are('exit', \@tasks, 'succeeded', 'succeeded', 'HANDLER_FAILED succeeded', ('succeeded') x 3);
is($t->task($tasks[3])->{attempts}, 1, 'those behind it are in their first attempt');

@tasks = give('signal', 6);
ends_are('signal', \@tasks, 'succeeded', 'succeeded', 'SIGSEGV succeeded', ('succeeded') x 3);

@tasks = give('stray', 4);
ends_are('stray', \@tasks, 'PROTOCOL_ERROR succeeded', ('succeeded') x 3);

@tasks = give('percent', 4);
ends_are('percent', \@tasks, 'succeeded', 'succeeded', 'PROTOCOL_ERROR succeeded', 'succeeded');

@tasks = give('told', 4);
ends_are('told', \@tasks, 'HANDLER_FAILED succeeded', 'HANDLER_FAILED succeeded', 'succeeded', 'succeeded');

# The second is cancelled while the child works at the first: which ends well, and the third runs elsewhere.
@tasks = give('cancel', 3);
in_hand('cancel', 3);
is($t->post("/v1/tasks/$tasks[1]{id}/cancel", '')->{status}, 200, 'a task that waits in its child is cancelled');
$t->log_wait(qr/task cancelled while running.*task_id=$tasks[1]{id}/);
write_file("$dir/cancel.go", '');
my @done = map { $t->wait_final($_, 60) } @tasks;
is_deeply([map { $_->{status} } @done], [qw(succeeded cancelled succeeded)], 'it alone');
is($done[0]{result}{pid} . "\n", (read_file("$dir/cancel.starts") =~ /^(\d+\n)/)[0], 'what ran before it was not disturbed');
isnt($done[2]{result}{pid}, $done[0]{result}{pid}, 'its child was ended when its turn came');
is_deeply([map { $_->{attempts} } @done[0, 2]], [1, 1], 'and the one behind it is in its first attempt');

my %pids;
$pids{ $t->wait_final($_, 60)->{result}{pid} }++ for give('few', 8);
is_deeply([grep { $_ > 3 } values %pids], [], 'a child gets no more than recycle_tasks') or diag explain \%pids;

my @one = give('one', 5);
ends_are('one', \@one, ('succeeded') x 5);

in_hand('hang', 4);
ends_are('hang', \@hang, 'TIMEOUT succeeded', ('succeeded') x 3);
is_deeply([map { $t->wait_final($_, 60)->{attempts} } @patient], [1, 1, 1], 'the time of a task begins when those before it are done');

# What is in the child when its worker drains is finished.
@tasks = give('drain', 4);
in_hand('drain', 4);
my $worker = $t->role_pid('worker');
$t->hup("$config\n# another\n");
wait_for(sub { grep { $_ != $worker } ($t->role_pid('worker')) }, 30, 'a new worker');
write_file("$dir/drain.go", '');
ends_are('drain', \@tasks, ('succeeded') x 4);
my ($old) = (read_file("$dir/drain.starts") || '') =~ /^(\d+)\n/;
is_deeply([map { $t->task($_)->{result}{pid} } @tasks], [($old) x 4], 'a drain lets a child finish what it has');

my $tree = $t->tree;
is($t->stop, 0, 'taskqd drained');
ok($t->gone($tree), 'no child is left');
done_testing;
