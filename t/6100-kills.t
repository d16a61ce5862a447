#!/usr/bin/perl
# kill -9 of each role but the supervisor while tasks run: the service goes on, every accepted task succeeds exactly once, and a
# handler does not outlive its worker or its launcher.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('k');
chmod 0777, $dir;
write_file("$dir/slow", <<"SH");
#!/bin/sh
# leaves its pid and that of a child, and takes its time at the first run only
n=\$(sed -n 's/.*"payload":{"n":\\([0-9]*\\)}.*/\\1/p')
sleep 1000 &
echo "\$\$ \$!" >>"$dir/pids.\$n"
[ "\$(wc -l <"$dir/pids.\$n")" -gt 1 ] || sleep 1000
kill \$!
echo '{}'
SH
chmod 0755, "$dir/slow";
my $t = Taskq->start(config => "acceptors = 2\nworkers = 2\nhandler slow { command = {\"$dir/slow\"} }\n" .
    "handler quick { command = {\"/bin/sh\", \"-c\", \"sleep 0.02; echo {}\"} }\nhandler nap { kind = builtin builtin = sleep }\n");

# Every client repeats with the same key until it has an answer: that is what keys are for.
my ($sent, @ids) = (0);
sub submit {
	my ($type, $payload) = @_;
	my $key = "k-" . ++$sent;
	my $task = wait_for(sub { eval { $t->submit($type, $payload, key => $key) } }, 20, "an answer for $key");
	push @ids, $task->{id};
	return $task;
}
sub some { submit($_ % 2 ? 'quick' : 'nap', $_ % 2 ? {} : { seconds => 0.03 }) for 1 .. $_[0]; return }
sub pids { return map { [split ' '] } split /\n/, read_file("$dir/pids.$_[0]") || '' }
sub lives { my ($pid) = @_; my $stat = read_file("/proc/$pid/stat"); return defined $stat && $stat !~ /\) Z / }

for my $role (qw(acceptor worker keeper launcher)) {
	for my $round (0, 1) {
		some(15);
		my $killed = $t->kill9($role, $role =~ /acceptor|worker/ ? $round : undef);
		some(15);
		wait_for(sub { my @now = $t->roles($role); @now && !grep { $_->{pid} == $killed } @now }, 15, "another $role");
	}
	pass("$role was killed twice under load, and came back");
}

# Kills what runs it and tells how long it took until the handler was gone, and until it ran again.
my $slow = 0;
sub kill_under {
	my ($role) = @_;
	my $n = ++$slow;
	my $task = submit('slow', { n => $n });
	my ($first) = wait_for(sub { (pids($n))[0] }, 20, 'the handler to run');
	my @worker = map { $_->{pid} } $t->roles($role);
	my $begin = now();
	kill 'KILL', @worker;
	wait_for(sub { !grep { lives($_) } @$first }, 10, 'the handler and its child to be gone');
	my $gone = now() - $begin;
	wait_for(sub { (pids($n))[1] }, 20, 'the second run');
	my $again = now() - $begin;
	my $end = $t->wait_final($task);
	is($end->{status}, 'succeeded', "kill -9 of the $role: the task of its handler succeeds");
	is($end->{attempts}, 1, '... without a spent attempt');
	return ($gone, $again);
}

# The machine may stand still for longer than that: what it can do is what it did once in three times.
for my $role (qw(worker launcher)) {
	my ($gone, $again, $most) = (1e9, 1e9, $role eq 'worker' ? 1.5 : 5);
	for (1 .. 3) {
		my @took = kill_under($role);
		$gone = $took[0] if $took[0] < $gone;
		$again = $took[1] if $took[1] < $again;
		last if $gone <= 1.0 && $again <= $most;
	}
	cmp_ok($gone, '<=', 1.0, sprintf 'kill -9 of the %s: the handler and its child are gone after %.3f s', $role, $gone);
	cmp_ok($again, '<=', $most, sprintf '... and the task runs again after %.3f s', $again);
}

is(scalar(grep { $t->wait_final($_, 60)->{status} ne 'succeeded' } @ids), 0, 'every accepted task succeeded');
my $pg = $t->pg;
is($pg->psql('select count(*) from taskq.task'), $sent, 'one task for each key');
is($pg->psql('select count(*) from taskq.done where status = 1'), $sent, 'each succeeded once');
is($pg->psql('select count(*) from taskq.ready') + $pg->psql('select count(*) from taskq.waiting'), 0, 'nothing is left to do');
wait_for(sub { $pg->psql('select count(*) from taskq.lease') == 0 }, 10, 'no lease to be left');
is($t->stop, 0, 'taskqd drained');
done_testing;
