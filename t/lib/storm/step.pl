# step.pl - a command for a storm: perl -I LIB step.pl DIRECTORY (Taskq::Acts).
use strict;
use warnings;
use Taskq::Acts;

my $envelope = do { local $/; <STDIN> };
my $run = Taskq::Acts::begin($ARGV[0], 'exec', $envelope);
my $act = Taskq::Acts::end($run);
kill 'SEGV', $$ if $act eq 'crash';
if ($act eq 'ok') {
	print "{\"ran\":\"$run->{lease}\"}\n";
} elsif ($act eq 'garbage') {
	print "{\"ran\":\n";
} elsif ($act eq 'snooze') {
	print '{"snooze":0.03}';
	exit 75;
} else {
	print Taskq::Acts::report($act);
	exit 1;
}
