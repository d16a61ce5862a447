#!/usr/bin/perl
# By hand: a task is cancelled or run again, when its state allows it, on both surfaces.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $handlers = <<'EOT';
handler fail { kind = builtin builtin = fail }
handler sleep { kind = builtin builtin = sleep }
handler noop { kind = builtin builtin = noop }
EOT
my $t = Taskq->start(config => $handlers);
my %fatal = (error_class => 'NON_RETRYABLE', error_code => 'NO_USE', message => 'it cannot work');
my $nobody = '00000000-0000-7000-8000-000000000000';

my $done = $t->wait_final($t->submit('noop', {}));
is($done->{status}, 'succeeded', 'one succeeded');
my $dead = $t->wait_final($t->submit('fail', \%fatal));
is($dead->{status}, 'dead_letter', 'one is dead');
is($dead->{last_error}, 'it cannot work', 'with its reason');
my $old = $t->wait_final($t->post('/tasks', { task_type => 'nobody' }, headers => { 'Idempotency-Key' => 'old' })->json);
is($old->{status}, 'dead_letter', 'one has no handler');
like($old->{last_error}, qr/no handler registered for task_type='nobody'/, 'and says so');

subtest 'cancel what waits' => sub {
	my $task = $t->submit('noop', {}, delay => 3600);
	my $r = $t->post("/v1/tasks/$task->{id}/cancel", '');
	is($r->status, 200, 'done');
	is($r->json->{status}, 'cancelled', 'it is cancelled');
	is($t->task($task)->{status}, 'cancelled', 'and stays so');
	is($t->post("/v1/tasks/$task->{id}/cancel", {})->status, 200, 'once more is the same');
	is($t->get("/tasks/$task->{id}")->json->{status}, 'failed', 'old clients know no such word');
	is_deeply([map { $_->{id} } @{ $t->get('/tasks?status=failed')->json->{items} }], [$task->{id}], 'and find it under theirs');
	is_deeply([map { $_->{id} } @{ $t->get('/v1/tasks?status=cancelled')->json->{items} }], [$task->{id}], 'new ones under ours');
	is_deeply($t->get('/v1/tasks?status=failed')->json->{items}, [], 'only');
};

subtest 'cancel what runs' => sub {
	my $task = $t->submit('sleep', { seconds => 600 });
	$t->wait_status($task, qr/^processing$/);
	is($t->post("/v1/tasks/$task->{id}/cancel", '')->json->{status}, 'cancelled', 'at once');
	is($t->task($task)->{status}, 'cancelled', 'and stays so');
	wait_for(sub { $t->metric('taskq_tasks_running') == 0 }, 20, 'the handler to be stopped');
	pass('its handler ends');
};

# From here on nothing runs, so that what was made ready stays so.
$t->hup("$handlers\nworkers = 0");
wait_for(sub { !$t->roles('worker') }, 30, 'the workers to be gone');

subtest 'cancel what is ready' => sub {
	my @tasks = map { $t->submit('noop', { n => $_ }) } 1 .. 3;
	is($t->post("/v1/tasks/$tasks[1]{id}/cancel", '')->json->{status}, 'cancelled', 'the one in the middle');
	is($t->task($_)->{status}, 'pending', 'not the others') for @tasks[0, 2];
	is($t->post("/v1/tasks/$_->{id}/cancel", '')->status, 200, 'then them') for @tasks[0, 2];
};

subtest 'cancel what is over' => sub {
	for my $task ($done, $dead) {
		my $r = $t->post("/v1/tasks/$task->{id}/cancel", '');
		is($r->status, 409, 'refused');
		is($r->json->{code}, 'wrong_state', 'by its state');
		like($r->json->{detail}, qr/cannot cancel a task in status $task->{status}/, 'in words');
		is_deeply($t->task($task), $task, 'nothing changed');
	}
};

subtest 'retry' => sub {
	my $r = $t->post("/v1/tasks/$dead->{id}/retry", '');
	is($r->status, 200, 'done');
	my $task = $r->json;
	is($task->{status}, 'pending', 'pending again');
	is($task->{attempts}, 0, 'from the first attempt');
	is($task->{max_attempts}, $dead->{max_attempts}, 'with as many as before');
	is($task->{last_error}, undef, 'without the old error');
	is_deeply($task->{payload}, $dead->{payload}, 'and the same payload');
	$r = $t->post("/v1/tasks/$dead->{id}/retry", '');
	is($r->status, 409, 'not twice');
	is($r->json->{code}, 'wrong_state', 'for it is pending');
	is($t->post("/v1/tasks/$done->{id}/retry", '')->status, 409, 'nor what succeeded');
};

subtest 'retry on the compatible surface' => sub {
	my $r = $t->post("/tasks/$old->{id}/retry", '');
	is($r->status, 200, 'done');
	my $task = $r->json;
	is($task->{status}, 'pending', 'pending again');
	is($task->{attempts}, $old->{attempts}, 'attempts are kept');
	is($task->{max_attempts}, $old->{max_attempts} + 3, 'three more are allowed');
	is($task->{last_error}, undef, 'without the old error');
	$r = $t->post("/tasks/$old->{id}/retry", '');
	is($r->status, 409, 'not twice');
	is_deeply($r->json, { detail => 'cannot retry task in status=pending; only FAILED or DEAD_LETTER tasks can be retried' }, 'in the words of old');
	$r = $t->post("/tasks/$nobody/retry", '');
	is($r->status, 404, 'unknown');
	is_deeply($r->json, { detail => "task $nobody not found" }, 'in the words of old');
	is($t->post('/tasks/x/retry', '')->status, 422, 'not a UUID');
	is($t->post('/tasks', { task_type => 'nobody' }, headers => { 'Idempotency-Key' => 'old' })->json->{max_attempts}, 3, 'the kept answer has not changed');
};

subtest 'retry with a body' => sub {
	for my $case (
		['{"extra_attempts":-1}', '#/extra_attempts'], ['{"extra_attempts":101}', '#/extra_attempts'], ['{"extra_attempts":"1"}', '#/extra_attempts'],
		['{"reset_attempts":1}', '#/reset_attempts'], ['{"colour":1}', '#/colour'], ['[]', '#'], ['{', '#'], ['{"extra_attempts":1,"extra_attempts":1}', '#'],
	) {
		my $r = $t->post("/v1/tasks/$done->{id}/retry", $case->[0]);
		is($r->status, 400, $case->[0]);
		is($r->json->{errors}[0]{pointer}, $case->[1], "$case->[0]: the place");
	}
	is($t->post("/v1/tasks/$done->{id}/cancel", '{"force":true}')->status, 400, 'cancel takes nothing');
	is($t->post("/v1/tasks/$dead->{id}/cancel", '{}')->status, 200, 'or an empty object');
};

subtest 'nobody' => sub {
	for my $verb (qw(retry cancel)) {
		my $r = $t->post("/v1/tasks/$nobody/$verb", '');
		is($r->status, 404, "$verb of an unknown task");
		is($r->json->{code}, 'not_found', 'is not found');
		is($t->post("/v1/tasks/nobody/$verb", '')->status, 400, "$verb of no id");
	}
	is($t->post("/tasks/$nobody/cancel", '')->status, 404, 'the compatible surface cannot cancel');
};

# The workers come back: what was made ready again runs again.
$t->hup($handlers);
is($t->wait_final($old)->{status}, 'dead_letter', 'the retried task ran and died again');
is($t->task($old)->{max_attempts}, $old->{max_attempts} + 3, 'with its new limit');
is($t->stop, 0, 'drained');
done_testing;
