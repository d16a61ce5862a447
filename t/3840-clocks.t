#!/usr/bin/perl
# A node whose clock is wrong by an hour or a year: what has to do with time goes by the clock of the database.  And times that no clock shows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command temp_dir write_file);
use Test::More;

my $dir = temp_dir('c');
chmod 0755, $dir;
my $pg = Taskq->pg(fsync => 0);
my $handlers = "work { poll = 100ms\n lease = 2s\n grace = 2s }\nhandler noop { kind = builtin }\nhandler nap { kind = builtin builtin = sleep }\n" .
	"handler fails { command = {\"/bin/false\"}\n retry_base = 1h\n retry_cap = 1h }\nhandler pull { kind = lease timeout = 1h }\n";

# Seconds from now on, by the clock of the database.
sub ahead { my ($time) = @_; return $pg->psql("select extract(epoch from '$time'::timestamptz - now())") }
sub db_time { my ($seconds) = @_; return $pg->psql("select to_char(now() at time zone 'utc' + interval '$seconds s', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')") }
sub is_about { my ($n, $want, $what) = @_; return ok($n > $want - 60 && $n < $want + 60, $what) || diag("$n, not about $want") }

SKIP: {
	my ($status, $said) = slurp_command(command => ['cc', '-shared', '-fPIC', '-o', "$dir/wall.so", "$FindBin::Bin/lib/wall.c", '-ldl']);
	skip("no compiler here: $said", 1) if $status != 0;
	for my $hours (1, -1, 24 * 365) {
		subtest sprintf('a node that is %+d hours wrong', $hours) => sub {
			write_file("$dir/wall", pack('l!', $hours * 3600), 0644);
			my $t = Taskq->start(migrate => $hours == 1, config => $handlers, env => { LD_PRELOAD => "$dir/wall.so", TASKQ_WALL => "$dir/wall" });
			my ($ts) = ($t->log_lines)[0] =~ /ts=(\S+)/;
			is_about(ahead($ts), $hours * 3600, 'its log shows its own clock');
			my $nap = $t->submit('nap', { seconds => 5 });
			my $task = $t->submit('noop', {}, key => "replay$hours");
			is_about(ahead($task->{created_at}), 0, 'a task is dated by the database');
			is($t->wait_final($task)->{status}, 'succeeded', 'it runs');
			is($t->post('/v1/tasks', { task_type => 'noop', payload => {} }, headers => { 'Idempotency-Key' => "replay$hours" })->json->{id}, $task->{id},
				'its key is known');
			is($t->wait_final($t->submit('noop', {}, delay => 1))->{status}, 'succeeded', 'a delay is not an hour longer');
			my $later = $t->submit('noop', {}, run_at => db_time(1800));
			is_about(ahead($later->{run_at}), 1800, 'what is for later');
			is($t->wait_final($t->submit('noop', {}, run_at => db_time(1)))->{status}, 'succeeded', 'what is for soon runs');
			is($t->task($later)->{status}, 'pending', 'and what is for later waits');
			is($t->wait_final($t->submit('noop', {}, expires_in => 600))->{status}, 'succeeded', 'what need not start yet has not expired');
			$nap = $t->wait_final($nap);
			is("$nap->{status} $nap->{attempts}", 'succeeded 1', 'a lease is renewed');
			my $failed = $t->submit('fails', {});
			wait_for(sub { $t->task($failed)->{attempts} == 1 }, 30, 'a failure');
			my $in = $pg->psql("select extract(epoch from due_at - now()) from taskq.waiting where id = '$failed->{id}'");
			ok($in > 1800 && $in < 2 * 3600, 'a retry is in an hour') or diag($in);
			$t->submit('pull', {}, queue => "pull$hours");
			my ($lease) = @{ $t->post("/v1/queues/pull$hours/lease", { wait => 20, lease_seconds => 600 })->json->{leases} };
			is_about(ahead($lease->{lease_until}), 600, 'a client has its time');
			is($t->post("/v1/leases/$lease->{lease}/complete", '')->status, 200, 'and completes');
			ok(!grep({ /declared dead|silent/ } $t->log_lines), 'nobody was declared dead');
			is($t->stop, 0, 'it drains');
		};
	}
}

subtest 'times that no clock shows' => sub {
	my $t = Taskq->start(migrate => 1, config => $handlers);
	my $n = 0;
	for my $case (
		['"run_at":"0001-01-01T00:00:00Z"', 400], ['"run_at":"1969-12-31T23:59:59Z"', 400], ['"run_at":"10000-01-01T00:00:00Z"', 400],
		['"run_at":-1', 400], ['"run_at":9223372036854775807', 400], ['"run_at":"NaN"', 400], ['"run_at":"infinity"', 400], ['"run_at":""', 400],
		['"delay":-1', 400], ['"delay":-0.001', 400], ['"delay":NaN', 400], ['"delay":1e400', 400], ['"delay":9223372036854775808', 400],
		['"delay":1e18', 400], ['"delay":"1"', 400], ['"expires_in":-1', 400], ['"expires_in":1e300', 400],
		['"run_at":"1970-01-01T00:00:00Z"', 202], ['"run_at":"9999-12-31T23:59:59Z"', qr/202|400/], ['"delay":0', 202], ['"delay":31536000', 202],
	) {
		my ($member, $want) = @$case;
		my $r = $t->post('/v1/tasks', "{\"task_type\":\"noop\",$member}", headers => { 'Idempotency-Key' => 'extreme' . $n++ });
		like($r->status, ref $want ? $want : qr/^$want$/, "$member: $want") or diag($r->body);
		is($r->status == 400 ? 1 : $t->task($r->json)->{id} eq $r->json->{id}, 1, 'and told, or kept');
	}
	is($t->wait_final($t->submit('noop', {}))->{status}, 'succeeded', 'nobody was harmed');
	is($t->stop, 0, 'it drains');
};
done_testing;
