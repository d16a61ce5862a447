#!/usr/bin/perl
# Two daemons under one name of a node: who came last takes nothing from the other, is not ready and says why, until the other is gone.  One that is
# started again where it was takes back its own at once, though another one of its name lives.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now temp_dir write_file);
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my $dir = temp_dir('n');
chmod 0777, $dir;
shell_command($dir, step => "read -r line\n" . note_run($dir) . "while [ ! -e $dir/open ]; do sleep 0.02; done\necho 1");
my $pg = Taskq->pg(fsync => 0);
my $config = "node = twin\nwork { poll = 100ms\n lease = 10min }\nhandler step { command = {\"$dir/step\"} }\n";
my $first = Taskq->start(pg => $pg, config => $config);

sub runs { return scalar noted_runs($dir, @_) }
sub readyz { my ($t) = @_; my $r = eval { $t->get('/readyz') }; return $r ? "$r->{status} $r->{body}" : '' }
sub kill_all {
	my ($t) = @_;
	my %tree = (%{ $t->tree }, $t->pid => Taskq::Machine::process_start_time($t->pid));
	kill 'KILL', $t->pid, keys %tree;
	wait_for(sub { !$t->alive && $t->gone(\%tree) }, 30, 'everything to be dead');
	return;
}

my @tasks = map { $first->submit('step', {}) } 1 .. 3;
wait_for(sub { 3 == grep { runs($_) == 1 } @tasks }, 30, 'them to run');
my $second = Taskq->new(pg => $pg, config => $config);
$second->launch(ready => 0);
like($second->log_wait(qr/level=error.*another taskqd runs under the name of this node/, 60), qr/option node.*twin/, 'the second says what to do');
wait_for(sub { readyz($second) =~ /^503 / }, 30, 'it not to be ready');
like(readyz($second), qr/another taskqd runs under the name of this node.*option node/, '/readyz says why');
like(readyz($first), qr/^200 /, 'the first is ready');
is(scalar(grep { /another taskqd/ } $first->log_lines), 0, 'and has nothing to say');
is(scalar(grep { runs($_) != 1 } @tasks), 0, 'its tasks go on, once');
ok(!grep({ /declared dead|took back/ } $first->log_lines, $second->log_lines), 'nobody took anything back');

# The keeper of the first one starts again: it was there before.
my $keeper = $first->kill9('keeper');
wait_for(sub { grep { $_->{ready} && $_->{pid} != $keeper } $first->roles('keeper') }, 30, 'another keeper');
like(readyz($first), qr/^200 /, 'with another keeper, too');

kill_all($first);
my $begin = now();
$first->launch(ready => 0);
wait_for(sub { !grep { runs($_) < 2 } @tasks }, 60, 'the second runs');
cmp_ok(now() - $begin, '<', 60, sprintf 'started again, the first takes back its own after %.2f s, long before the end of a lease', now() - $begin);
write_file("$dir/open", '');
is_deeply([map { my $end = $first->wait_final($_, 60); "$end->{status} $end->{attempts}" } @tasks], [('succeeded 1') x 3], 'at their first attempt');
is(scalar(grep { runs($_) > 2 } @tasks), 0, 'each ran twice');

# Who came last goes.
wait_for(sub { readyz($second) =~ /^200 / }, 60, 'the second to be ready');
$second->log_wait(qr/the other taskqd of this name has ended/, 30);
$first->log_wait(qr/another taskqd runs under the name of this node/, 60);
wait_for(sub { readyz($first) =~ /^503 / }, 30, 'the first not to be ready');
is($second->stop, 0, 'the second drains');
wait_for(sub { readyz($first) =~ /^200 / }, 60, 'the first to be ready');
is($first->stop, 0, 'and drains, too');
done_testing;
