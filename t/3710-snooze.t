#!/usr/bin/perl
# A handler puts its task off: no attempt is spent, and it comes back not before that time; its history tells.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file wait_for);
use Test::More;

my $dir = temp_dir('s');
chmod 0777, $dir;
# Puts the task off as often as the payload says, a mark for each time, and then does its work.
write_file("$dir/later", <<"EOT");
#!/usr/bin/perl
use strict;
local \$/;
my \$envelope = <STDIN>;
my (\$mark, \$times, \$seconds) = map { \$envelope =~ /"\$_":"([^"]+)"/ ? \$1 : exit 65 } qw(mark times seconds);
my \$n = -s "$dir/\$mark" || 0;
if (\$n == \$times) {
	my (\$attempt) = \$envelope =~ /"attempt":(\\d+)/;
	print "\$attempt";
	exit 0;
}
open my \$f, '>>', "$dir/\$mark" or exit 1;
print \$f 'x';
close \$f;
print "{\\"snooze\\": \$seconds}";
exit 75;
EOT
chmod 0755, "$dir/later";
my $t = Taskq->start(config => <<"CONF");
handler later { command = {"$dir/later"} retry_base = 100ms }
work { poll = 100ms }
CONF
sub later { my ($mark, $times, $seconds, %o) = @_; return $t->submit('later', { mark => $mark, times => "$times", seconds => "$seconds" }, %o) }
sub sql { my ($sql) = @_; chomp(my $said = Taskq->pg->psql($sql, db => $t->{db})); return $said }

my $task = later('three', 3, 0.5, max_attempts => 1);
my $is = $t->wait_final($task);
is($is->{status}, 'succeeded', 'put off three times, then done');
is($is->{result}, 1, 'in its first attempt');
is($is->{attempts}, 1, 'the only one');
my $history = $t->get("/v1/tasks/$task->{id}/attempts")->json->{attempts};
is_deeply([map { $_->{outcome} } @$history], ['put_off', 'put_off', 'put_off', 'succeeded'], 'the history tells');
is(sql("select count(*) from taskq.tried r where id = '$task->{id}' and why = 5 and not exists
	(select from taskq.tried n where n.id = r.id and n.run = r.run + 1 and n.started_at < r.at + interval '0.4 s')"), 3, 'none began before its time');
wait_for(sub { ($t->metric('taskq_tasks_finished_total', task_type => 'later', outcome => 'put_off') || 0) == 3 }, 20, 'the counters');
is($t->metric('taskq_tasks_finished_total', task_type => 'later', outcome => 'retry') || 0, 0, 'it was no retry');

# so far away that it waits until it is cancelled
$task = later('long', 1, 1e12);
wait_for(sub { sql("select count(*) from taskq.waiting where id = '$task->{id}' and why = 3") == 1 }, 20, 'it waits');
$is = $t->task($task);
is($is->{status}, 'pending', 'a task that is put off is pending');
is($is->{attempts}, 0, 'without an attempt');
is($is->{error_code}, undef, 'it is no error');
is(sql("select abs(extract(epoch from due_at - now()) - 365 * 86400) < 3600 from taskq.waiting where id = '$task->{id}'"), 't', 'a year at most');
is($t->post("/v1/tasks/$task->{id}/cancel", '')->json->{status}, 'cancelled', 'it can be cancelled');
is($t->stop, 0, 'drained');
done_testing;
