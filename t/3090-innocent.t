#!/usr/bin/perl
# A task that kills its worker, or its launcher, each time ends in quarantine; the tasks that waited beside it in that worker are not charged
# with a start, an attempt or a crash, and all succeed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
# Kills what its payload says, the first time that is asked of it or always; else it is harmless.  Its parent is the launcher, the
# worker a child of the parent of that.
write_file("$dir/mixed", <<'PERL');
#!/usr/bin/perl
use strict;
use warnings;
my ($whom) = (do { local $/; <STDIN> }) =~ /"kill":\s*"(\w+)"/;
sub parent { open my $f, '<', "/proc/$_[0]/stat" or return 0; return (<$f> =~ /^.*\) \S (\d+)/)[0] }
sub words { open my $f, '<', "/proc/$_[0]/cmdline" or return ''; return <$f> // '' }
if (defined $whom) {
	my $launcher = getppid;
	my $supervisor = parent($launcher);
	for my $pid ($whom eq 'launcher' ? $launcher : grep { parent($_) == $supervisor && words($_) =~ /worker/ } map { m{(\d+)} } glob '/proc/[0-9]*') {
		kill KILL => $pid;
	}
	sleep 60;
}
print "true\n";
PERL
chmod 0755, "$dir/mixed";

my $t = Taskq->start(config => <<CONF);
workers = 1
work { poll = 100ms
	slots = 1
	prefetch = 50
	crash_max = 3 }
handler mixed { command = { "$dir/mixed" }
	breaker = off
	retry_base = 10ms
	retry_cap = 10ms }
handler echo { kind = builtin
	builtin = echo }
CONF

for my $whom (qw(worker launcher)) {
	# The pace of the first tasks lets the worker take the others in advance, and the poison comes before them.
	$t->post('/v1/queues/default/pause', '');
	$t->submit('echo', { n => $_ }, priority => 20) for 1 .. 100;
	my $poison = $t->submit('mixed', { kill => $whom }, max_attempts => 1, priority => 10);
	my @innocent = map { $t->submit('mixed', { n => $_ }, max_attempts => 1) } 1 .. 10;
	$t->post('/v1/queues/default/resume', '');
	my $end = $t->wait_final($poison, 120);
	is($end->{status}, 'dead_letter', "a task that kills its $whom is dead in the end");
	is($end->{error_class}, 'CRASH', 'by its crashes');
	is($end->{attempts}, 0, 'which are no attempts');
	is(Taskq->pg->psql("select reason from taskq.dead where id = '$poison->{id}'"), 'QUARANTINED', 'in quarantine');
	my @ends = map { $t->wait_final($_, 60) } @innocent;
	is_deeply([map { "$_->{status} $_->{attempts}" } @ends], [('succeeded 1') x 10], 'the others succeed');
	my $ids = join ',', map { "'$_->{id}'" } @innocent;
	is(Taskq->pg->psql("select max(run) || ' ' || max(crashes) from taskq.done where id in ($ids)"), '1 0', 'at their first start, without a crash');
}
is($t->stop, 0, 'taskqd drained');
done_testing;
