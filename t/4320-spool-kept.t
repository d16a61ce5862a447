#!/usr/bin/perl
# What is kept on disk while Postgres is away outlives the end of its worker, whichever end that is: killed alone, or drained in time with the
# whole daemon.  No task runs twice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('x');
chmod 01777, $dir;
write_file("$dir/handler", <<"SH", 0755);
#!/bin/sh
echo run >> $dir/runs
until [ -e $dir/gate ]; do sleep 0.05; done
echo '"done"'
SH
my $t = Taskq->start(config => <<"END");
drain_timeout = 1s
kill_grace = 1s
work { slots = 5 prefetch = 0 spool_after = 100ms alarm = "call somebody" }
handler "call somebody" { command = {"/bin/sh", "-c", "cat >> $dir/alarm"} }
handler x { command = {"$dir/handler"} timeout = 10min }
END

sub runs { my $text = read_file("$dir/runs"); return defined $text ? ($text =~ tr/\n//) : 0 }

# Five tasks end while Postgres is away, and are on disk.
sub end_without_postgres {
	unlink "$dir/gate", "$dir/runs";
	my @tasks = map { $t->submit('x', {}) } 1 .. 5;
	wait_for(sub { runs() == 5 }, 60, 'five runs');
	Taskq->pg->stop('immediate');
	write_file("$dir/gate", '');
	wait_for(sub { $t->metric('taskq_spool_outcomes') == 5 }, 60, 'five outcomes on disk');
	return @tasks;
}

subtest 'a worker is killed' => sub {
	my @tasks = end_without_postgres();
	$t->log_wait(qr/the alarm was given/);
	like(read_file("$dir/alarm"), qr/^\{"event":"outcomes are kept on disk","why":".+","outcomes":\d+\}\n(?:\{.*\}\n)*\z/, 'somebody is called');
	$t->kill9('worker');
	wait_for(sub { ($t->roles('worker')) && $t->metric('taskq_spool_outcomes') == 5 }, 60, 'somebody else to know of them');
	Taskq->pg->start;
	is($t->wait_final($_, 60)->{result}, 'done', 'a task has its result') for @tasks;
	is(runs(), 5, 'none ran twice');
	is($t->metric('taskq_spool_delivered_total'), 5, 'the keeper delivered them');
	wait_for(sub { $t->metric('taskq_spool_outcomes') == 0 }, 60, 'nothing to be left');
	is_deeply([glob "$t->{dir}/spool/*"], [], 'no file is left');
};

subtest 'a drain' => sub {
	my @tasks = end_without_postgres();
	is($t->stop(60), 75, 'ends in time, and says that something is left');
	my @files = glob "$t->{dir}/spool/*.spool";
	is(scalar @files, 1, 'in a file');
	is((stat $files[0])[2] & 07777, 0600, 'that is ours alone');
	open my $f, '>>', $files[0] or die;
	print $f "TqO1\0\0\1";
	close $f;
	Taskq->pg->start;
	my $from = () = $t->log_lines;
	$t->launch;
	is($t->wait_final($_, 60)->{result}, 'done', 'a task has its result') for @tasks;
	is(runs(), 5, 'none ran twice');
	$t->log_wait(qr/level=warning .*the last write to a file of kept outcomes was cut short/, 20, from => $from);
	wait_for(sub { !glob "$t->{dir}/spool/*" }, 20, 'the file to go');
};

subtest 'what nobody can read' => sub {
	is($t->stop, 0, 'drained');
	mkdir "$t->{dir}/spool";
	my ($name) = (join '', $t->log_lines) =~ /file="?([0-9a-f]{16}-)/;
	write_file("$t->{dir}/spool/${name}1-1.spool", 'taskqspl' . "\0\0\0\2" . 'x' x 100);
	$t->launch;
	$t->log_wait(qr/level=crit .*a file of kept outcomes is damaged: set aside/);
	ok(-e "$t->{dir}/spool/${name}1-1.bad", 'is set aside');
	is($t->wait_final($t->submit('x', {}))->{result}, 'done', 'and keeps nobody from working');
	wait_for(sub { $t->metric('taskq_spool_bad_files') == 1 }, 20, 'the metric to tell');
};

is($t->stop, 0, 'drained');
done_testing;
