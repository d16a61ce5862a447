#!/usr/bin/perl
# Failure classes: what an exit, a signal, a reported class and a reported code mean without rules, and what the rules of a handler make of them;
# a word that nobody knows is a dead letter; retry_after is heard within its limits; a crash is counted apart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
# Does what its payload says: {"do": shell text}, with ~ for a double quote.
write_file("$dir/do", <<'SH');
#!/bin/sh
eval "$(sed 's/.*"do": *"\([^"]*\)".*/\1/' | tr '~' '"')"
SH
chmod 0755, "$dir/do";

my $t = Taskq->start(config => <<CONF);
work { poll = 100ms
	crash_max = 2 }
handler plain { command = { "$dir/do" }
	breaker = off
	retry_base = 1h
	retry_cap = 1d }
handler quick { command = { "$dir/do" }
	retry_base = 10ms
	retry_cap = 10ms
	rules = { "exit 137 = CRASH", "signal USR1 = TRANSIENT STOPPED" } }
handler ruled { command = { "$dir/do" }
	breaker = off
	retry_base = 1h
	retry_cap = 1d
	retry_after_max = 2h
	rules = { "code CARD_EXPIRED = NON_RETRYABLE",
		"code TIMEOUT = PERSISTENT",
		"class FLAKY = TRANSIENT",
		"exit 3 = PERSISTENT",
		"exit 10-19 = NON_RETRYABLE BAD_INPUT",
		"exit 12 = TRANSIENT NEVER",
		"exit 64 = TRANSIENT",
		"code START_FAILED = NON_RETRYABLE",
		"signal SEGV = NON_RETRYABLE" }
	timeout = 1s }
handler lasting { command = { "$dir/do" }
	retry_base = 1h
	retry_cap = 1d
	retry_persistent = 7
	rules = "exit 3 = PERSISTENT" }
handler absent { command = { "$dir/no-such-program" }
	rules = "code START_FAILED = NON_RETRYABLE NOT_INSTALLED" }
CONF

# The task after its first failure: dead, or waiting.
sub failed {
	my ($type, $do, %o) = @_;
	my $task = $t->submit($type, { do => $do }, %o);
	return wait_for(sub {
		my $now = $t->task($task);
		return $now->{error_class} && $now->{status} ne 'processing' && $now;
	}, 30, "the failure of $type: $do");
}

sub is_failed {
	my ($type, $do, @want) = @_;
	my $task = failed($type, $do);
	is_deeply([@$task{qw(status error_class error_code)}], \@want, "$type: $do") or diag explain $task;
	return $task;
}

sub delay {
	my ($task) = @_;
	return Taskq->pg->psql("select coalesce(round(extract(epoch from due_at - now())), -1) from taskq.waiting where id = '$task->{id}'");
}

sub reason { return Taskq->pg->psql("select reason from taskq.dead where id = '$_[0]{id}'") }

# A report on stdout.
sub report {
	my ($exit, %o) = @_;
	my $json = join ', ', map { "~$_~: $o{$_}" } sort keys %o;
	$json =~ s/'/~/g;
	return "printf '{$json}'; exit $exit";
}

# Every exit without rules: those of sysexits, the shell's, the first and the last.
is_failed('plain', "exit $_", 'pending', 'TRANSIENT', 'HANDLER_FAILED') for 1, 75, 126, 127, 255;
is_failed('plain', "exit $_->[0]", 'dead_letter', 'NON_RETRYABLE', $_->[1])
	for [64, 'EX_USAGE'], [65, 'EX_DATAERR'], [66, 'EX_NOINPUT'], [78, 'EX_CONFIG'];

# What a handler says itself.
is_failed('plain', report(1, error_class => "'NON_RETRYABLE'", error_code => "'no use'"), 'dead_letter', 'NON_RETRYABLE', 'NO_USE');
is_failed('plain', report(65, error_class => "'TRANSIENT'", error_code => "'LATER'"), 'pending', 'TRANSIENT', 'LATER');
my $task = is_failed('plain', report(1, error_class => "'ODD'", message => "'so it is'"), 'dead_letter', 'NON_RETRYABLE', 'HANDLER_FAILED');
is(reason($task), 'UNKNOWN_CLASS', 'a class that nobody knows is no silent loop');
is($task->{last_error}, 'no rule knows the error_class "ODD": so it is', 'and is named');
$task = is_failed('plain', report(1, error_code => "'ODD'", message => "'so it is'"), 'dead_letter', 'NON_RETRYABLE', 'ODD');
is(reason($task), 'UNKNOWN_CODE', 'nor is a code');
is($task->{last_error}, 'no rule knows the error_code "ODD": so it is', 'which is named too');
is_failed('plain', report(66, error_code => "'NO_FILE'"), 'dead_letter', 'NON_RETRYABLE', 'NO_FILE');
is_failed('plain', report(1, message => "'only words'"), 'pending', 'TRANSIENT', 'HANDLER_FAILED');

# Rules: the first that fits wins, before what was said and before what holds without them.
$task = is_failed('lasting', 'exit 3', 'pending', 'PERSISTENT', 'HANDLER_FAILED');
my $delay = delay($task);
ok($delay > 7 * 3600 && $delay <= 7 * 3600 * 1.3, "PERSISTENT is slower: $delay s");
is_failed('ruled', 'exit 9', 'pending', 'TRANSIENT', 'HANDLER_FAILED');
is_failed('ruled', "exit $_", 'dead_letter', 'NON_RETRYABLE', 'BAD_INPUT') for 10, 12, 19;
is_failed('ruled', 'exit 64', 'pending', 'TRANSIENT', 'EX_USAGE');
is_failed('ruled', report(3, error_class => "'TRANSIENT'", error_code => "'CARD_EXPIRED'"), 'dead_letter', 'NON_RETRYABLE', 'CARD_EXPIRED');
is_failed('ruled', report(1, error_class => "'FLAKY'"), 'pending', 'TRANSIENT', 'HANDLER_FAILED');
is_failed('ruled', 'kill -SEGV $$', 'dead_letter', 'NON_RETRYABLE', 'SIGSEGV');
is_failed('absent', 'x', 'dead_letter', 'NON_RETRYABLE', 'NOT_INSTALLED');

# As long as it asks, within limits.
for ([60, 50, 60], [0.5, 0, 1], [7200, 7000, 7200], ['99999999999', 7000, 7200], ['1e300', 7000, 7200], [-5, 3600, 4700], ["'soon'", 3600, 4700]) {
	my ($asked, $least, $most) = @$_;
	my $type = 'ruled';
	$task = $t->submit($type, { do => report(1, error_class => "'RATE_LIMITED'", retry_after => $asked) }, max_attempts => 50);
	wait_for(sub { ($t->task($task)->{error_class} || '') eq 'RATE_LIMITED' }, 30, 'the failure');
	next if $asked eq '0.5';
	$delay = delay($task);
	ok($delay >= $least && $delay <= $most, "asked for $asked, waits $delay s");
}

# Crashes: not attempts.
for my $sig (qw(HUP INT QUIT ILL TRAP ABRT BUS FPE KILL SEGV PIPE ALRM TERM)) {
	$task = failed('plain', "kill -$sig \$\$; sleep 60", max_attempts => 1);
	is_deeply([@$task{qw(status attempts error_class error_code)}], ['pending', 0, 'CRASH', "SIG$sig"], "SIG$sig is a crash");
}
$task = $t->wait_final($t->submit('quick', { do => 'kill -BUS $$' }, max_attempts => 1));
is(reason($task), 'QUARANTINED', 'crashes end in quarantine');
is($task->{attempts}, 0, 'and spend no attempt');
$task = $t->wait_final($t->submit('quick', { do => 'exit 137' }, max_attempts => 1));
is(reason($task), 'QUARANTINED', 'so does an exit that a rule calls a crash');
$task = $t->wait_final($t->submit('quick', { do => 'kill -USR1 $$' }, max_attempts => 1));
is_deeply([@$task{qw(status attempts error_class error_code)}], ['dead_letter', 1, 'TRANSIENT', 'STOPPED'], 'a signal may be an ordinary failure');

is($t->stop, 0, 'taskqd drained');
done_testing;
