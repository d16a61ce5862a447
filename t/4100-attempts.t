#!/usr/bin/perl
# The history of a task: every run that ended, the newest last, with its time, class, code, message and exit.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Encode ();
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;

# Each run does the next line of what it finds there.
sub script {
	my ($type, @lines) = @_;
	write_file("$dir/$type.$_", $lines[$_ - 1] . "\n") for 1 .. @lines;
	write_file("$dir/$type", "#!/bin/sh\nn=\$(cat $dir/$type.n 2>/dev/null || echo 0)\nn=\$((n+1))\necho \$n > $dir/$type.n\n. $dir/$type.\$n\n");
	chmod 0755, "$dir/$type";
	return "handler $type { command = { \"$dir/$type\" }\n retry_base = 10ms\n retry_cap = 10ms\n retry_persistent = 1 }\n";
}

my $t = Taskq->start(config => join '', "work { poll = 100ms }\n",
	script(mixed => 'printf "%05000d\nb\303\nfirst words\n" 7 >&2; exit 3', 'kill -SEGV $$',
		'echo \'{"error_class": "RATE_LIMITED", "error_code": "QUOTA", "message": "w\303\251\\u0001", "retry_after": 0}\'; exit 9', 'echo 4'),
	script(dies => 'exit 3', 'exit 65'),
	script(child => 'while read -r line; do
		lease=$(printf "%s" "$line" | sed \'s/.*"lease": *"\([^"]*\)".*/\1/\')
		case $line in
		*loud*) printf "%05000d\nthe last words\n" 7 >&2; printf "{\"lease\":\"%s\",\"error_class\":\"NON_RETRYABLE\"}\n" "$lease" ;;
		*leave*) echo "going away" >&2; exit 65 ;;
		*) printf "{\"lease\":\"%s\",\"error_class\":\"NON_RETRYABLE\"}\n" "$lease" ;;
		esac
	done', 'cat > /dev/null') =~ s/ command/ kind = pool children = 1 command/r,
	"handler nap { kind = builtin\n builtin = sleep }\n");

sub attempts { my ($task) = @_; return $t->get("/v1/tasks/$task->{id}/attempts")->json->{attempts} }

my $task = $t->submit('mixed', {}, max_attempts => 3);
is($t->wait_final($task)->{status}, 'succeeded', 'a task fails in several ways, and succeeds');
my $all = attempts($task);
is(scalar @$all, 4, 'four runs') or diag explain $all;
is_deeply([map { $_->{run} } @$all], [1 .. 4], 'in order');
is_deeply([map { $_->{outcome} } @$all], [qw(retry retry retry succeeded)], 'how each ended');
is_deeply([map { $_->{error_class} } @$all], ['TRANSIENT', 'CRASH', 'RATE_LIMITED', undef], 'classes');
is_deeply([map { $_->{error_code} } @$all], ['HANDLER_FAILED', 'SIGSEGV', 'QUOTA', undef], 'codes');
is($all->[0]{message}, 'first words', 'its words');
is(length(Encode::encode('UTF-8', $all->[0]{stderr})), 4096, 'the end of its standard error is kept');
like($all->[0]{stderr}, qr/^0+7\nb\x{fffd}\nfirst words\z/, 'as text');
is($all->[1]{stderr}, undef, 'of one that wrote nothing there is none');
is($all->[2]{message}, "w\x{e9}\x{fffd}", 'those of the report');
is_deeply([map { $_->{exit} } @$all], [3, undef, 9, undef], 'exits');
is_deeply([map { $_->{signal} } @$all], [undef, 'SIGSEGV', undef, undef], 'signals');
is_deeply([grep { defined $_->{http_status} } @$all], [], 'and no status of HTTP');
ok(!(grep { $_->{worker} < 1 } @$all[0 .. 2]), 'the worker is named');
ok(!(grep { $_->{started_at} gt $_->{ended_at} } @$all[0 .. 2]), 'no run ends before it starts');
is(join(' ', sort map { $_->{ended_at} } @$all), join(' ', map { $_->{ended_at} } @$all), 'and none before the one before it');
is($all->[3]{ended_at}, $t->task($task)->{finished_at}, 'the last ends when the task does');
Taskq->pg->psql("update taskq.tried set started_at = at + interval '2 ms' where id = '$task->{id}' and run = 1");
is(attempts($task)->[0]{started_at}, $all->[0]{ended_at}, 'nor by a clock of the worker that is a little ahead');

$task = $t->submit('dies', {});
$t->wait_final($task);
$all = attempts($task);
is_deeply([map { "$_->{outcome} $_->{exit}" } @$all], ['retry 3', 'dead_letter 65'], 'a dead letter has its history');

$task = $t->submit('nap', { seconds => 0 }, delay => 3600);
is_deeply(attempts($task), [], 'a task that has not run has none');
is($t->post("/v1/tasks/$task->{id}/cancel", '')->status, 200, 'cancelled');
is_deeply([map { $_->{outcome} } @{ attempts($task) }], ['cancelled'], 'which stands there');

is($t->get('/v1/tasks/01a2034b-17b1-7255-8000-000300000000/attempts')->status, 404, 'no such task');
is($t->get('/v1/tasks/x/attempts')->status, $t->get('/v1/tasks/x')->status, 'no id');

# A child of a pool: what it wrote since its last answer goes with its failure, and with no other.
my @said = map { my $it = $t->wait_final($t->submit('child', { do => $_ })); attempts($it)->[-1]{stderr} } qw(quiet loud quiet leave);
is(length($said[1] // ''), 4096, 'the end of what a child wrote is kept');
like($said[1], qr/^0+7\nthe last words\z/, 'also what came before its answer at once');
is($said[$_], undef, 'of a task about which it wrote nothing there is none') for 0, 2;
is($said[3], 'going away', 'and that of one that went away');

is($t->stop, 0, 'taskqd drained');
done_testing;
