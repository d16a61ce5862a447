#!/usr/bin/perl
# Deaths on the way in, a supervisor that stands still, and workers that die at their start: what was promised holds, and the rest of the daemon
# goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Test::More;

my (undef, $version) = slurp_command(command => [Taskq->program, '-V']);
plan skip_all => 'taskqd was configured without --enable-failpoints' if $version !~ /failpoints on/;

my $fuses = temp_dir('f');
chmod 0777, $fuses;
my @points = map { "sql.submit.$_" } qw(before sent answered);
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => "handler noop { kind = builtin }\n",
	env => { TASKQ_FP => join(';', map { "$_=kill9" } @points, 'sql.worker_new.before'), TASKQ_FP_FUSES => $fuses });

sub many { my ($n) = @_; return $pg->psql("select count(*) from taskq.task") == $n }
sub request { my ($key) = @_; return "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: $key\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" }

my $tasks = 0;
subtest 'an acceptor dies before the body is there' => sub {
	my $pid = $t->role_pid('acceptor');
	my $c = $t->connect;
	$c->write(request('half') . '{"task_ty');
	wait_for(sub { $t->metric('taskq_http_connections') >= 2 }, 20, 'it to be read');
	kill 'KILL', $pid;
	is(eval { $c->read_all } // '', '', 'the client hears nothing');
	is($t->submit('noop', undef, key => 'half')->{attempts}, 0, 'and asks again');
	ok(many(++$tasks), 'there is one task');
};

for my $point (@points) {
	subtest "an acceptor dies at $point" => sub {
		write_file("$fuses/$point", '');
		my $r = eval { $t->post('/v1/tasks', '{"task_type":"noop"}', headers => { 'Idempotency-Key' => $point }) };
		ok(!$r, 'the client hears nothing') or diag($r->status);
		ok(!-e "$fuses/$point", 'it died there');
		ok(many($tasks + ($point =~ /answered/ ? 1 : 0)), 'what was written is written') if $point !~ /sent/;
		my $task = wait_for(sub { eval { $t->submit('noop', undef, key => $point) } }, 30, 'an answer');
		is($t->wait_final($task)->{status}, 'succeeded', 'asked again it is taken, and runs');
		ok(many(++$tasks), 'there is one task');
	};
}

subtest 'a supervisor that stands still' => sub {
	kill 'STOP', $t->pid;
	my $task = $t->submit('noop', {}, key => 'stopped');
	is($t->wait_final($task)->{status}, 'succeeded', 'the others go on');
	my $worker = $t->role_pid('worker');
	kill 'KILL', $worker;
	$task = $t->submit('noop', {}, key => 'orphan');
	$tasks += 2;
	kill 'CONT', $t->pid;
	is($t->wait_final($task)->{status}, 'succeeded', 'when it goes on, the dead are replaced');
};

subtest 'workers that die at their start' => sub {
	my $from = () = $t->log_lines;
	my $deaths = 0;
	$t->kill9('worker');
	while ($deaths < 4) {
		write_file("$fuses/sql.worker_new.before", '');
		wait_for(sub { !-e "$fuses/sql.worker_new.before" }, 60, 'a worker to die');
		$deaths++;
	}
	ok($t->log_wait(qr/its next start is delayed.*name=worker/, 20, from => $from), 'the next ones come slower');
	my $task = $t->submit('noop', {}, key => 'later');
	ok(defined $task->{id}, 'requests are served meanwhile');
	is($t->wait_final($task, 60)->{status}, 'succeeded', 'the first that lives does the work');
	ok(many(++$tasks), 'there is one task for each key');
};
is($pg->psql('select count(*) from taskq.done where status = 1'), $tasks, 'each ended once');
is($t->stop, 0, 'taskqd drained');
done_testing;
