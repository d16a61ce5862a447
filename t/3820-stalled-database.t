#!/usr/bin/perl
# A database that stands still for longer than a lease and the grace: what runs goes on, outcomes wait, and when it moves again they are
# written; nobody is declared dead for what nobody could say.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(descendants now temp_dir write_file);
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my $pg = Taskq->pg(fsync => 0);
plan skip_all => 'needs a Postgres of its own' if !$pg->private;

my $dir = temp_dir('s');
chmod 0777, $dir;
shell_command($dir, gate => "read -r line\n" . note_run($dir) . <<"SH");
while [ ! -e $dir/open ]; do sleep 0.02; done
echo 1
: >$dir/ended.\$id
SH

my $t = Taskq->start(config => "workers = 2\nwork { lease = 1s\n grace = 100ms\n slots = 4\n poll = 100ms }\n" .
	"handler gate { command = {\"$dir/gate\"} }\nhandler pull { kind = lease timeout = 1h }\n");

sub runs { return noted_runs($dir, @_) }
sub all_of_it { return ($pg->pid, keys %{ descendants($pg->pid) }) }

for my $round (1 .. 2) {
	unlink "$dir/open";
	my @tasks = map { $t->submit('gate', {}) } 1 .. 6;
	wait_for(sub { !grep { runs($_) != 1 } @tasks }, 30, 'all to run');
	my $incs = $pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker");
	my $from = () = $t->log_lines;
	my @frozen = all_of_it();
	kill 'STOP', @frozen;
	my $begin = now();
	write_file("$dir/open", '') if $round == 1;
	wait_for(sub { !grep { !-e "$dir/ended.$_->{id}" } @tasks }, 30, 'them to end') if $round == 1;
	wait_for(sub { now() - $begin > 2.5 }, 10, 'the leases to be over'); # the length of the stall is what is tested
	kill 'CONT', @frozen;
	write_file("$dir/open", '');
	my @ends = map { $t->wait_final($_, 60) } @tasks;
	is_deeply([map { "$_->{status} $_->{attempts}" } @ends], [('succeeded 1') x 6], $round == 1 ? 'outcomes wait for the database' : 'runs go on meanwhile');
	is_deeply([map { scalar runs($_) } @tasks], [(1) x 6], 'none ran twice');
	is($pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker"), $incs, 'no worker was declared dead');
}
is($pg->psql('select count(*) from taskq.done where status = 1'), 12, 'each task ended once');
is($t->stop, 0, 'taskqd drained');
done_testing;
