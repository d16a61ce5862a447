#!/usr/bin/perl
# A worker that is stopped for longer than its lease and the grace while it runs a pool child, calls a service and sleeps, and then goes on:
# others have ended its tasks, what came meanwhile from child and service changes nothing, and it works on as somebody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(process_start_time temp_dir write_file);
use Taskq::Service;
use Taskq::Shell qw(note_run noted_runs shell_command);
use Test::More;

my $dir = temp_dir('z');
chmod 0777, $dir;
# The first run of a task answers when the file `open` is there, each other at once; the result is the number of the run.
my $note = note_run($dir);
shell_command($dir, pool => <<"SH");
while read -r line; do
	$note
	lease=\${line#*\\"lease\\":\\"}
	lease=\${lease%%\\"*}
	n=\$(wc -l <$dir/runs.\$id)
	[ \$n -gt 1 ] || while [ ! -e $dir/open ]; do sleep 0.02; done
	printf '{"lease":"%s","result":%d}\\n' \$lease \$n
	[ \$n -gt 1 ] || : >$dir/answered.\$id
done
SH

my $service = Taskq::Service->start;
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(config => "workers = 2\nwork { lease = 2s\n grace = 500ms\n slots = 8\n poll = 100ms }\ncall { allow = {\"127.0.0.0/8\"} }\n" .
	"handler pool { kind = pool command = {\"$dir/pool\"} children = 2 }\n" .
	'handler http { kind = http url = "' . $service->url('/x') . "\" }\nhandler noop { kind = builtin }\n");

sub runs { return noted_runs($dir, @_) }
sub incs { return split / /, $pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker") || '' }

# Worker 1 rests while worker 0 takes everything.
wait_for(sub { incs() == 2 }, 20, 'two workers');
my ($frozen, $other) = map { $t->role_pid('worker', $_) } 0, 1;
kill 'STOP', $other;
my @pool = map { $t->submit('pool', {}) } 1 .. 2;
my @http = map { $t->submit('http', { answers => [{ how => 'gate', file => "$dir/open", body => '1' }, { status => 200, body => '2' }] }) } 1 .. 2;
wait_for(sub { !grep { runs($_) != 1 } @pool }, 30, 'the children to work');
wait_for(sub { !grep { $service->requests($_) != 1 } @http }, 30, 'the service to be asked');
my @children = map { runs($_) } @pool;
my ($inc) = $pg->psql('select distinct worker from taskq.lease');
like($inc, qr/^\d+$/, 'one worker has all tasks');
kill 'STOP', $frozen;
kill 'CONT', $other;

# There are answers that nobody reads.
write_file("$dir/open", '');
wait_for(sub { !grep { !-e "$dir/answered.$_->{id}" } @pool }, 30, 'answers');
for my $task (@pool, @http) {
	my $end = $t->wait_final($task, 60);
	is("$end->{status} $end->{attempts}", 'succeeded 1', "$end->{task_type}: somebody else ran it, at its first attempt");
	cmp_ok($end->{result}, '>', 1, 'the result is not that of the first run');
}
ok(!grep({ $_ == $inc } incs()), 'the frozen worker is declared dead');
my %before = map { $_->{id} => $t->get("/v1/tasks/$_->{id}")->{body} } @pool, @http;
my $asked = $service->requests;

my $from = () = $t->log_lines;
kill 'CONT', $frozen;
$t->log_wait(qr/declared dead/, 30, from => $from);
wait_for(sub { !grep { defined process_start_time($_) } @children }, 30, 'the pool children of the old identity to be gone');
pass('the pool children of the old identity are gone');
$t->log_wait(qr/registered as a worker/, 30, from => $from);
is($t->role_pid('worker', 0), $frozen, 'it is the same process under a new identity');
is($pg->psql('select count(*) from taskq.done where status = 1'), 4, 'each task ended once');
is($service->requests, $asked, 'the service is asked no more');

# It works: the other one is stopped.
kill 'STOP', $other;
my @more = ($t->submit('pool', {}), $t->submit('http', { answers => [{ status => 200, body => '1' }] }));
is($t->wait_final($_, 60)->{result}, 1, 'its new self runs a task') for @more;
kill 'CONT', $other;
is_deeply({ map { $_->{id} => $t->get("/v1/tasks/$_->{id}")->{body} } @pool, @http }, \%before, 'its late outcomes changed nothing');
wait_for(sub { $pg->psql('select count(*) from taskq.lease') == 0 }, 30, 'no lease to be left');
is($t->stop, 0, 'taskqd drained');
done_testing;
