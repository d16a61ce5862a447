#!/usr/bin/perl
# A worker that is stopped for longer than its lease and the grace, and then goes on: others have its tasks, what it says late
# changes nothing, what it still runs is killed, and it works on as somebody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now process_start_time read_file temp_dir write_file);
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my $dir = temp_dir('z');
chmod 0777, $dir;
my $note = note_run($dir);
# Each run leaves its pid and that of a child; all but the first of a task end soon.
shell_command($dir, slow => "read -r line\n$note" . <<"SH");
[ \$(wc -l <$dir/runs.\$id) -gt 1 ] || { sleep 1000 & echo \$! >$dir/child.\$id; wait; }
echo 2
SH
# The first ends while its worker is frozen, and has a result.
shell_command($dir, late => "read -r line\n$note" . <<"SH");
n=\$(wc -l <$dir/runs.\$id)
[ \$n -gt 1 ] || while [ ! -e $dir/open ]; do sleep 0.02; done
echo \$n
SH

my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => "workers = 2\nwork { lease = 1s\n grace = 200ms\n slots = 8\n poll = 100ms }\n" .
	"handler nap { kind = builtin builtin = sleep }\nhandler noop { kind = builtin }\n" .
	"handler slow { command = {\"$dir/slow\"} }\nhandler late { command = {\"$dir/late\"} }\n");

sub runs { return noted_runs($dir, @_) }
sub incs { return split / /, $pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker") || '' }
# Which workers have something, and how many tasks.
sub owners { return $pg->psql('select distinct worker from taskq.lease') . '/' . $pg->psql('select sum(taskq.pos(hi) - taskq.pos(lo) + 1) from taskq.lease') }

# Worker 1 rests while worker 0 takes everything.
wait_for(sub { incs() == 2 }, 20, 'two workers');
my ($frozen, $other) = map { $t->role_pid('worker', $_) } 0, 1;
kill 'STOP', $other;
my @naps = map { $t->submit('nap', { seconds => 2 }) } 1 .. 2;
my @slow = map { $t->submit('slow', {}) } 1 .. 2;
my @late = map { $t->submit('late', {}) } 1 .. 2;
wait_for(sub { !grep { runs($_) != 1 } @slow, @late }, 20, 'all to run');
my ($first) = map { runs($_) } $slow[0];
my ($inc, $many) = split m{/}, owners();
ok($inc =~ /^\d+$/ && $many == 6, 'one worker has all tasks') or diag("$many of $inc");
kill 'STOP', $frozen;
kill 'CONT', $other;
write_file("$dir/open", '');
my $begin = now();

# The other one takes over, without a word from the first.
wait_for(sub { !grep { runs($_) < 2 } @slow, @late }, 30, 'the second runs');
my $took = now() - $begin;
for my $task (@naps, @slow, @late) {
	my $end = $t->wait_final($task);
	is("$end->{status} $end->{attempts}", 'succeeded 1', "$end->{task_type} was taken over, and is no attempt dearer");
}
cmp_ok($took, '>=', 0.5, sprintf 'taken over after %.1f s, not before the lease was over', $took);
ok(!grep({ $_ == $inc } incs()), 'the frozen worker is declared dead');
my %before = map { $_->{id} => $t->get("/v1/tasks/$_->{id}")->{body} } @naps, @slow, @late;
is(scalar(grep { $t->task($_)->{result} != 2 } @slow, @late), 0, 'the result is that of the second run');
ok(defined process_start_time($first), 'what it runs still runs');

# It goes on.
my $from = () = $t->log_lines;
my @orphans = map { (runs($_))[0], read_file("$dir/child.$_->{id}") + 0 } @slow;
kill 'CONT', $frozen;
$t->log_wait(qr/declared dead/, 10, from => $from);
wait_for(sub { !grep { defined process_start_time($_) } @orphans }, 10, 'the handlers of the old identity to be gone');
pass('what ran under the old identity is killed, children too');
$t->log_wait(qr/registered as a worker/, 10, from => $from);
is(scalar(wait_for(sub { my @now = incs(); @now == 2 && \@now }, 10, 'two workers again')->@*), 2, 'it has a new identity');
is($t->role_pid('worker', 0), $frozen, '... and is the same process');
is_deeply({ map { $_->{id} => $t->get("/v1/tasks/$_->{id}")->{body} } @naps, @slow, @late }, \%before, 'its late outcomes changed nothing');
is($pg->psql('select count(*) from taskq.done where status = 1'), 6, 'each task ended once');
is(scalar(grep { runs($_) != 2 } @slow, @late), 0, 'and ran twice');

# It works: the other one is stopped.
kill 'STOP', $other;
my $task = $t->submit('late', {});
is($t->wait_final($task, 20)->{status}, 'succeeded', 'it runs a task as its new self');
kill 'CONT', $other;
wait_for(sub { $pg->psql('select count(*) from taskq.lease') == 0 }, 20, 'no lease to be left');
is($t->stop, 0, 'taskqd drained');
done_testing;
