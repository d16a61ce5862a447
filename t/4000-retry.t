#!/usr/bin/perl
# Retries: a failing task is tried again after its back-off, up to max_attempts, and then dead; AUTH is not charged; a handler may say when.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/third", "#!/bin/sh\nn=\$(cat $dir/n 2>/dev/null || echo 0)\nn=\$((n+1))\necho \$n > $dir/n\n"
	. "[ \$n -ge 3 ] || { echo \"not yet, \$n\" >&2; exit 1; }\ncat\n");
chmod 0755, "$dir/third";

my $t = Taskq->start(config => <<"CONF");
handler third { command = {"$dir/third"}
 retry_base = 30ms
 retry_cap = 60ms }
handler fail { kind = builtin
 builtin = fail
 retry_base = 30ms
 retry_cap = 60ms }
handler slow { kind = builtin
 builtin = fail
 retry_base = 1h
 retry_cap = 1h }
work { poll = 100ms }
CONF

my $task = $t->wait_final($t->submit('third', { a => 1 }, max_attempts => 5));
is($task->{status}, 'succeeded', 'the third attempt succeeds');
is($task->{attempts}, 3, 'three attempts');
is($task->{last_error}, undef, 'no error any more');
is($task->{result}{attempt}, 3, 'the envelope counts them');
is($task->{result}{error_code}, 'HANDLER_FAILED', 'and tells what went wrong before');

$task = $t->wait_final($t->submit('fail', { message => 'again' }, max_attempts => 3));
is($task->{status}, 'dead_letter', 'after its last attempt it is dead');
is($task->{attempts}, 3, 'three attempts');
is($task->{last_error}, 'again', 'its last words');
is(Taskq->pg->psql("select reason from taskq.dead where id = '$task->{id}'"), 'RETRY_EXHAUSTED', 'for that reason');
is(Taskq->pg->psql("select count(*) from taskq.tried where id = '$task->{id}'"), 3, 'three rows tell its history');

$task = $t->submit('slow', {});
my $seen = wait_for(sub { my $now = $t->task($task); $now->{attempts} == 1 && $now->{status} ne 'processing' && $now }, 20,
	'the end of the first attempt');
is($seen->{status}, 'pending', 'a task that waits for its next attempt is pending');
is($seen->{last_error}, 'failed as asked', 'and tells why');
my $wait = Taskq->pg->psql("select extract(epoch from due_at - now()) from taskq.waiting where id = '$task->{id}'");
ok($wait > 3600 && $wait < 1.31 * 3600, "its back-off grows by 10 to 30 per cent: $wait");

$task = $t->submit('slow', { error_class => 'RATE_LIMITED', retry_after => 77 });
wait_for(sub { ($t->task($task)->{error_class} || '') eq 'RATE_LIMITED' }, 20, 'the limit');
$wait = Taskq->pg->psql("select extract(epoch from due_at - now()) from taskq.waiting where id = '$task->{id}'");
ok($wait > 60 && $wait <= 77, "as long as it asked: $wait");

# Last of this handler: it is paused then.
$task = $t->submit('slow', { error_class => 'AUTH' }, max_attempts => 1);
wait_for(sub { ($t->task($task)->{error_class} || '') eq 'AUTH' }, 20, 'the failure');
is($t->task($task)->{attempts}, 0, 'a lack of rights costs no attempt');
is($t->task($task)->{status}, 'pending', 'and waits');

is($t->metric('taskq_tasks_finished_total', task_type => 'fail', outcome => 'retry'), 2, 'retries are counted');
is($t->metric('taskq_tasks_finished_total', task_type => 'fail', outcome => 'dead_letter'), 1, 'deaths too');
is($t->stop, 0, 'taskqd drained');
done_testing;
