#!/usr/bin/perl
# A handler that is not let in (AUTH) is paused, with an alarm, and spends no attempts; resumed, all its tasks run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/mail", "#!/bin/sh\necho run >> $dir/runs\n[ -e $dir/key ] || { echo 'no key' >&2; exit 77; }\necho true\n");
chmod 0755, "$dir/mail";

my $t = Taskq->start(config => <<CONF);
workers = 2
work { poll = 100ms
	slots = 2 }
handler mail { command = { "$dir/mail" }
	retry_base = 10ms
	retry_cap = 10ms }
handler echo { kind = builtin
	builtin = echo }
CONF
sub runs { my @lines = split /\n/, read_file("$dir/runs") || ''; return scalar @lines }
sub paused { return Taskq->pg->psql("select what || ' ' || name || ' ' || by || ' ' || why from taskq.pause") }

my @tasks = map { $t->submit('mail', {}, max_attempts => 1) } 1 .. 20;
wait_for(sub { paused() }, 30, 'the pause');
is(paused(), '3 mail taskq EX_NOPERM: no key', 'the handler is paused, with the reason');
like($t->log_wait(qr/handler paused: it was not let in/), qr/crit.*handler=mail.*EX_NOPERM/, 'an alarm is in the log');
wait_for(sub { Taskq->pg->psql('select count(*) from taskq.lease') == 0 }, 30, 'what was claimed goes back');

# What was running in either worker when the pause came has ended by now; then nothing more starts.
my $runs = runs();
ok($runs <= 8, "few were tried: $runs");
$t->wait_final($t->submit('echo', { n => $_ })) for 1 .. 5;
is(runs(), $runs, 'and none after it');
my %seen;
$seen{"$_->{status} $_->{attempts}"}++ for map { $t->task($_) } @tasks;
is_deeply(\%seen, { 'pending 0' => 20 }, 'all wait, and no attempt is spent') or diag explain \%seen;
is(scalar(grep { /handler paused/ } $t->log_lines), 1, 'one alarm');
is($t->metric('taskq_handler_auth_failures_total', task_type => 'mail'), $runs, 'each failure is counted');

write_file("$dir/key", '');
is($t->post('/v1/handlers/mail/resume', '')->status, 200, 'somebody mends it, and resumes the handler');
is_deeply([map { $t->wait_final($_)->{status} } @tasks], [('succeeded') x 20], 'all succeed');
is_deeply([map { $t->task($_)->{attempts} } @tasks], [(1) x 20], 'at their only attempt');

is($t->stop, 0, 'taskqd drained');
done_testing;
