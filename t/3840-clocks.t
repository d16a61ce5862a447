#!/usr/bin/perl
# A node whose clock is wrong by an hour or a year: what has to do with time goes by the clock of the database.  And times that no clock shows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file slurp_command temp_dir write_file);
use Test::More;

my $dir = temp_dir('c');
chmod 0755, $dir;
write_file("$dir/$_", pack('l!', 0), 0644) for qw(wall db);
my $shim = (slurp_command(command => ['cc', '-shared', '-fPIC', '-o', "$dir/wall.so", "$FindBin::Bin/lib/wall.c", '-ldl']))[0] == 0;
# A file that is mapped is changed in its place.
sub set_clock {
	my ($path, $seconds) = @_;
	open my $f, '+<:raw', $path or die "could not open \"$path\": $!";
	syswrite $f, pack 'l!', $seconds;
	return;
}

my $pg = do {
	local @ENV{qw(LD_PRELOAD TASKQ_WALL)} = ("$dir/wall.so", "$dir/db") if $shim && !$ENV{TASKQ_PG};
	Taskq->pg(fsync => 0);
};
my $handlers = "work { poll = 100ms\n lease = 2s\n grace = 2s }\nhandler noop { kind = builtin }\nhandler nap { kind = builtin builtin = sleep }\n" .
	"handler fails { command = {\"/bin/false\"}\n retry_base = 1h\n retry_cap = 1h }\nhandler pull { kind = lease timeout = 1h }\n";

# Seconds from now on, by the clock of the database.
sub ahead { my ($time) = @_; return $pg->psql("select extract(epoch from '$time'::timestamptz - now())") }
sub db_time { my ($seconds) = @_; return $pg->psql("select to_char(now() at time zone 'utc' + interval '$seconds s', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')") }
sub is_about { my ($n, $want, $what) = @_; return ok($n > $want - 60 && $n < $want + 60, $what) || diag("$n, not about $want") }

SKIP: {
	skip('no compiler here', 1) if !$shim;
	for my $hours (1, -1, 24 * 365) {
		subtest sprintf('a node that is %+d hours wrong', $hours) => sub {
			set_clock("$dir/wall", $hours * 3600);
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

SKIP: {
	skip('no compiler here, or a Postgres that is not ours', 1) if !$shim || !$pg->private;
	my $runs = "$dir/runs";
	mkdir $runs;
	chmod 0777, $runs;
	write_file("$dir/gate", "#!/bin/sh\nread -r line\nid=\${line#*\\\"message_id\\\":\\\"}\nid=\${id%%\\\"*}\necho \$\$ >>$runs/\$id\n" .
		"while [ ! -e $runs/open ]; do sleep 0.02; done\necho 1\n", 0755);
	my $t = Taskq->start(migrate => 1, config => $handlers =~ s/lease = 2s/lease = 20s/r . "handler gate { command = {\"$dir/gate\"} }\n");
	my $at = 0;
	for my $hours (1, -1, -2, 2) {
		subtest sprintf('the clock of the database is set by %+d hours', $hours) => sub {
			unlink "$runs/open";
			my @tasks = map { $t->submit('gate', {}) } 1 .. 3;
			wait_for(sub { !grep { !-s "$runs/$_->{id}" } @tasks }, 30, 'them to run');
			my $incs = $pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker");
			my $from = () = $t->log_lines;
			my $worker = $t->role_pid('worker');
			kill 'STOP', $worker; # no heartbeat before the first look
			set_clock("$dir/db", 3600 * ($at += $hours));
			ok($t->log_wait(qr/the clock of the database was set.*by=-?\d+/, 30, from => $from), 'it is noticed');
			kill 'CONT', $worker;
			wait_for(sub { $pg->psql("select count(*) from taskq.worker where seen between now() - interval '1 s' and now() + interval '1 s'") == 1 }, 30, 'a heartbeat');
			ok($t->log_wait(qr/role=worker.*the clock of postgres moved against ours/, 30, from => $from), 'which tells it to the worker');
			is($t->wait_final($t->submit('noop', {}))->{status}, 'succeeded', 'others run');
			write_file("$runs/open", '');
			is_deeply([map { my $end = $t->wait_final($_); "$end->{status} $end->{attempts}" } @tasks], [('succeeded 1') x 3], 'what ran goes on');
			is($pg->psql("select string_agg(inc::text, ' ' order by inc) from taskq.worker"), $incs, 'no worker was declared dead');
			is(scalar(grep { (() = read_file("$runs/$_->{id}") =~ /\n/g) > 1 } @tasks), 0, 'none ran twice');
		};
	}
	set_clock("$dir/db", 0);
	is($t->stop, 0, 'it drains');
}

SKIP: {
	skip('no compiler here', 1) if !$shim;
	my %up = ('400 days' => 400 * 86400, '70 years' => 70 * 365 * 86400, 'no time' => -int Taskq::Machine::now());
	for my $up (sort keys %up) {
		subtest "a machine that was up for $up" => sub {
			my $t = Taskq->start(migrate => 1, config => $handlers, env => { LD_PRELOAD => "$dir/wall.so", TASKQ_UPTIME => $up{$up} });
			my $nap = $t->submit('nap', { seconds => 5 });
			is($t->wait_final($t->submit('noop', {}))->{status}, 'succeeded', 'a task runs');
			is($t->wait_final($t->submit('noop', {}, delay => 1))->{status}, 'succeeded', 'one for later too');
			$t->kill9('worker');
			$nap = $t->wait_final($nap);
			is("$nap->{status} $nap->{attempts}", 'succeeded 1', 'the dead are replaced, and leases renewed');
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
