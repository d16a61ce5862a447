#!/usr/bin/perl
# SIGTERM: what runs may finish, what ignores the deadline is killed with all its descendants and given back without a spent attempt,
# every answered request is honoured, and the exit is in time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now);
use Test::More;

my $stubborn = "handler stubborn { command = {\"/bin/sh\", \"-c\", \"trap '' TERM; (trap '' TERM; sleep 1000) & setsid sleep 1000 & sleep 1000; wait\"} }\n";
my $rest = "handler nap { kind = builtin builtin = sleep }\n";
my $head = "workers = 2\ndrain_timeout = 1500ms\nkill_grace = 300ms\n";
my $t = Taskq->start(config => $head . $stubborn . $rest);
my $pg = $t->pg;

subtest 'work that ends in time is finished' => sub {
	my @naps = map { $t->submit('nap', { seconds => 0.7 }) } 1 .. 5;
	wait_for(sub { 5 == grep { $t->task($_)->{status} eq 'processing' } @naps }, 20, 'naps to run');
	my $tree = $t->tree;
	is($t->stop, 0, 'exit 0');
	ok($t->gone($tree), 'no process is left');
	is($pg->psql('select count(*) from taskq.done where status = 1'), 5, 'they finished');
	is($pg->psql('select count(*) from taskq.worker'), 0, 'no worker row is left');
	ok(!-e $t->run_dir . '/taskqd.pid', 'nor a pid file');
};

subtest 'work that does not end is given back' => sub {
	$t->launch;
	my @tasks = map { $t->submit('stubborn', {}) } 1 .. 3;
	wait_for(sub { 3 == grep { $t->task($_)->{status} eq 'processing' } @tasks }, 20, 'them to run');
	my $tree = $t->tree;
	my $begin = now();
	my $status = $t->stop(20);
	my $took = now() - $begin;
	is($status, 0, 'exit 0');
	cmp_ok($took, '>=', 1.4, 'they had their time');
	cmp_ok($took, '<', 1.5 + 0.3 + 15, sprintf 'and no more: %.2f s', $took);
	ok($t->gone($tree), 'no process is left, not the detached ones either');
	is($pg->psql('select count(*) from taskq.ready'), $pg->psql('select count(*) from taskq.ready where attempts = 0 and crashes = 0'), 'no attempt was spent');
	is($pg->psql('select count(*) from taskq.lease'), 0, 'no lease is left');
	$t->configure($head . "handler stubborn { command = {\"/bin/echo\", \"{}\"} }\n" . $rest);
	$t->launch;
	is($t->wait_final($_)->{attempts}, 1, 'it runs elsewhere, at its first attempt') for @tasks;
};

subtest 'a second SIGTERM ends it now' => sub {
	$t->configure("workers = 2\ndrain_timeout = 60s\nkill_grace = 60s\n" . $stubborn);
	my $lines = $t->log_lines;
	$t->hup;
	$t->log_wait(qr/generation has ended/, 20, from => $lines); # no worker of the old configuration may take it
	my $task = wait_for(sub { eval { $t->submit('stubborn', {}) } }, 10, 'an answer');
	$t->wait_status($task, qr/processing/);
	my $tree = $t->tree;
	my $begin = now();
	$lines = $t->log_lines;
	$t->signal('TERM');
	$t->log_wait(qr/to=draining/, 20, from => $lines);
	$t->signal('TERM');
	ok(defined $t->wait_exit(20), 'it ended');
	cmp_ok(now() - $begin, '<', 18, 'at once');
	wait_for(sub { $t->gone($tree) }, 5, 'nothing to be left');
};
done_testing;
