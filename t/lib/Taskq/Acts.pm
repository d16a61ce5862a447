# Acts.pm - what a handler of a storm does with a task, and the journal that it keeps.  Light: a command loads it at every start.
#
# The payload has a member "acts": words with milliseconds, one for each start of the task, the last one from then on:
#
#	{"acts": "transient:20 snooze:5 ok:30"}
#
# A run is begin() (a line "+" in the journal), a nap, end() (a line "-"), and then the answer, in the way of its kind of handler.
# So what the journal says lies within the lease; a run that was killed has no "-".  Lines are written by O_APPEND, whole:
#
#	+ time lease kind attempt max_attempts act
#	- time lease
#
# storm/pool.py writes the same.
package Taskq::Acts;
use strict;
use warnings;
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

sub append {
	my ($path, $bytes) = @_;
	open my $f, '>>', $path or die "could not open \"$path\": $!\n";
	syswrite $f, $bytes;
	my $size = -s $f;
	close $f;
	return $size;
}

sub note { my ($dir, $sign, @words) = @_; return append("$dir/journal", join(' ', $sign, sprintf('%.6f', clock_gettime(CLOCK_MONOTONIC)), @words) . "\n") }

# begin(directory, kind of handler, envelope as text)
sub begin {
	my ($dir, $kind, $envelope) = @_;
	my %e = $envelope =~ /"(lease|message_id|acts|attempt|max_attempts)":\s*"?([^",}]*)/g;
	my $n = append("$dir/starts.$e{message_id}", '.');
	my @acts = split ' ', $e{acts};
	my ($act, $ms) = split /:/, $acts[$n <= @acts ? $n - 1 : -1];
	my $run = { dir => $dir, lease => $e{lease}, act => $act, ms => $ms };
	note($dir, '+', $e{lease}, $kind, $e{attempt}, $e{max_attempts}, $act);
	return $run;
}

sub end {
	my ($run) = @_;
	sleep $run->{ms} / 1000;
	note($run->{dir}, '-', $run->{lease});
	return $run->{act};
}

# What a failure says of itself; undef for the other acts.
sub report {
	my ($act) = @_;
	my %said = (
		transient => '{"error_class":"TRANSIENT","error_code":"STORM","message":"once more"}',
		persistent => '{"error_class":"PERSISTENT","error_code":"STORM"}',
		limited => '{"error_class":"RATE_LIMITED","error_code":"STORM","retry_after":0.05}',
		bad => '{"error_class":"NON_RETRYABLE","error_code":"BAD","message":"never"}',
		unknown => '{"error_class":"COLOURFUL","message":"what is that"}',
	);
	return $said{$act};
}

1;
