# BenchRun.pm - the scenarios of scripts/bench in which tasks are run: one function each.
#
# A function is one round: it gets the bench (Bench.pm) and returns figures by name.
package Taskq::BenchRun;
use strict;
use warnings;
use Taskq::BenchFill;
use Taskq::Machine qw(read_file temp_dir wait_for write_file);
use Taskq::Session;
use Time::HiRes qw(sleep time);

my $batch = 1000; # tasks whose ids are neighbours, as of one submission

sub queue { my ($bench, $act) = @_; return $bench->{daemon}->post("/v1/queues/default/$act", { by => 'bench', why => 'a backlog is made' }) }

# One task is submitted and run (by $run, unless a worker does), so that its lane is there and its row can be the model of the others.
sub model {
	my ($bench, $run) = @_;
	my $task = $bench->{daemon}->submit('bench', { a => 'x' x ($bench->{o}{payload} - 8) });
	$run->() if $run;
	$bench->{daemon}->wait_final($task);
	$bench->{pg}->psql("create schema if not exists bench; drop table if exists bench.model; create table bench.model as select * from taskq.task where id = '$task->{id}'");
	return;
}

# $n tasks are ready, as if they had been submitted a thousand at a time, in the order of their ids; their queue is paused.
sub backlog {
	my ($bench, $n) = @_;
	queue($bench, 'pause');
	$bench->empty;
	my ($batches, $last) = (int(($n + $batch - 1) / $batch), $batch - 1);
	$bench->{pg}->psql(<<"END", seconds => 1800);
insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, options, payload)
select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + b), 12, '0') || '70008000' || lpad(to_hex(b), 8, '0') || lpad(to_hex(i), 4, '0'))::uuid,
	m.bucket, m.lane, m.prio, m.max_attempts, now(), m.options, m.payload
from bench.model m, generate_series(1, $batches) b, generate_series(0, $last) i
where (b - 1) * $batch + i < $n
order by b, i;
insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
select lane, prio, min(id::text)::uuid, bucket, min(id::text)::uuid, max(id::text)::uuid, count(*)
from taskq.task group by lane, prio, bucket, taskq.batch(id), taskq.pos(id) / 100
order by min(id::text);
END
	$bench->{pg}->psql("vacuum analyze taskq.$_", seconds => 600) for qw(task ready lease done);
	$bench->{pg}->psql('checkpoint', seconds => 600);
	return;
}

sub nothing_left { my ($bench) = @_; return $bench->{pg}->psql('select not exists (select from taskq.ready) and not exists (select from taskq.lease)') eq 't' }

# The tasks and the seconds from the first end to the last, by the clock of the database.
sub ended {
	my ($bench, $from) = @_;
	return split /\|/, $bench->{pg}->psql("select count(*), extract(epoch from max(finished_at) - $from), count(distinct finished_at) from taskq.done", seconds => 600);
}

# Where the pages of 200 lists begin, a line each, in a file.
sub differing_lists {
	my ($bench) = @_;
	my ($cursor, @paths) = (undef, '/v1/tasks?limit=20');
	my ($connection, $step) = ($bench->{daemon}->connect, $bench->{o}{tasks} / 200);
	$step = $step < 10 ? 10 : $step > 1000 ? 1000 : int $step;
	while (@paths < 200) {
		my $page = $connection->request('GET', "/v1/tasks?limit=$step" . (defined $cursor ? "&cursor=$cursor" : ''));
		($cursor) = $page->{body} =~ /"next_cursor":"([^"]*)"/; # to decode a long page takes Perl longer than taskqd to make it
		last if !defined $cursor;
		push @paths, "/v1/tasks?limit=20&cursor=$cursor";
	}
	$bench->problem('there are only ' . @paths . ' lists that differ') if @paths < 100;
	my $file = temp_dir('lists') . '/paths';
	write_file($file, join '', map { "$_\n" } @paths);
	return ('--paths', $file);
}

# Reads of a database in which every third task is done, dead, ready.
sub reads {
	my ($bench, $asked) = @_;
	model($bench);
	backlog($bench, $bench->{o}{tasks});
	$bench->{pg}->psql(<<"END");
insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at, result)
select id, bucket, 1, lane, 1, 1, 1, 0, now(), '{"ok":true}' from taskq.task where taskq.pos(id) % 3 = 0;
insert into taskq.tried (id, lease_id, bucket, why, run, worker, class, code, message)
select id, 1, bucket, 2, 1, 1, 1, 'EXIT', 'exit status 1' from taskq.task where taskq.pos(id) % 3 = 1;
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, payload)
select id, 1, bucket, lane, prio, 1, 1, 0, 1, 'RETRY_EXHAUSTED', created_at, payload from taskq.task where taskq.pos(id) % 3 = 1;
END
	$bench->{pg}->psql("vacuum analyze taskq.$_") for qw(done tried dead);
	my @asked = $asked->();
	my %cpu = $bench->cpu;
	my $waits = read_waits($bench);
	my $load = $bench->load(qw(--mode get --connections 50), @asked);
	my %now = $bench->cpu;
	my %waited = waited($waits, read_waits($bench));
	$bench->problem(map { "$load->{status}{$_} answers were $_" } grep { $_ != 200 } sort keys %{ $load->{status} });
	$bench->problem('nothing was answered in the measured time') if !$load->{requests};
	$bench->empty;
	queue($bench, 'resume');
	return (rate => $load->{requests_per_s}, (map { $_ => $load->{$_} } qw(p50_ms p99_ms max_ms)), %waited,
		map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / ($load->{answered} || 1)) } keys %now);
}

# How often something waited how long for a connection to read with, as taskqd counts: { bound in s => number }, sum and count.
sub read_waits {
	my ($bench) = @_;
	my $all = $bench->{daemon}->metrics;
	my %w;
	for my $name (keys %$all) {
		$w{$1} += $all->{$name} if $name =~ /^taskq_postgres_read_wait_seconds_(sum|count)\b/;
		$w{bucket}{$1} += $all->{$name} if $name =~ /^taskq_postgres_read_wait_seconds_bucket\{.*le="([^"]+)"/;
	}
	return \%w;
}

# The mean, and the bound under which 99 of 100 are.
sub waited {
	my ($was, $is) = @_;
	my $n = ($is->{count} || 0) - ($was->{count} || 0);
	return () if $n <= 0;
	my ($bound) = grep { $is->{bucket}{$_} - ($was->{bucket}{$_} || 0) >= 0.99 * $n } sort { $a <=> $b } grep { $_ ne '+Inf' } keys %{ $is->{bucket} };
	return (wait_ms => 1000 * ($is->{sum} - ($was->{sum} || 0)) / $n, defined $bound ? (wait_p99_ms => 1000 * $bound) : ());
}

sub list { return reads($_[0], sub { return ('--path', '/v1/tasks?limit=20') }) }

sub list_differ { my ($bench) = @_; return reads($bench, sub { return differing_lists($bench) }) }

sub get { my ($bench) = @_; return reads($bench, sub { return ('--path', '/v1/tasks/' . $bench->{pg}->psql('select id from taskq.task order by id offset 5 limit 1')) }) }

# $n no-op tasks from a backlog.
sub run_backlog {
	my ($bench, $n) = @_;
	model($bench);
	backlog($bench, $n);
	my ($lsn, %cpu) = ($bench->lsn, $bench->cpu);
	queue($bench, 'resume');
	wait_for(sub { sleep 0.3; nothing_left($bench) }, 1200, 'the backlog to be gone');
	my %now = $bench->cpu;
	my ($done, $seconds, $commits) = ended($bench, 'min(finished_at)');
	$bench->problem("$done tasks ended, $n were expected") if $done != $n;
	return (rate => $seconds > 0 ? $n / $seconds : 0, batch => $done / ($commits || 1), wal => $bench->lsn($lsn) / $n, map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / $n) } keys %now);
}

# The limit has its leases in memory.
sub drain_of {
	my ($bench, $n) = @_;
	my $limit = $bench->limit(mode => 'drain', tasks => $n);
	my %got = run_backlog($bench, $n);
	return (%got, limit => $limit->{tasks_per_s}, cpu_limit => $limit->{cpu_postgres}, ratio => $got{rate} / $limit->{tasks_per_s});
}

sub drain { my ($bench) = @_; return drain_of($bench, $bench->{o}{tasks}) }

# A great backlog, beside the usual one before it and after it.
sub drain_great {
	my ($bench, $times) = @_;
	my $n = $bench->{o}{tasks};
	my %before = run_backlog($bench, $n);
	my %got = drain_of($bench, $n * $times);
	my %after = run_backlog($bench, $n);
	return (%got, self => 2 * $got{rate} / ($before{rate} + $after{rate}));
}

sub drain_2m { return drain_great($_[0], 20) }

sub drain_10m { return drain_great($_[0], 100) }

# Bulk submissions and their runs together: from the first submission to the last end.  What is there already stays.
sub run_mix {
	my ($bench, @args) = @_;
	my ($lsn, $begin, %cpu) = ($bench->lsn, $bench->{pg}->psql("select quote_literal(clock_timestamp()) || '::timestamptz'"), $bench->cpu);
	my $load = $bench->load(qw(--mode batch --connections 4), @args);
	wait_for(sub { sleep 0.2; nothing_left($bench) }, 600, 'all to be run');
	my %now = $bench->cpu;
	my ($done, $seconds) = ended($bench, "(select min(created_at) from taskq.task where created_at >= $begin)");
	$bench->problem("$done tasks ended, $load->{tasks} were accepted") if $done != $load->{tasks};
	return (rate => $done / $seconds, wal => $bench->lsn($lsn) / $done, map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / $done) } keys %now);
}

sub mix {
	my ($bench) = @_;
	my $limit = $bench->limit(mode => 'mix');
	$bench->empty;
	my %got = run_mix($bench);
	return (%got, limit => $limit->{tasks_per_s}, cpu_limit => $limit->{cpu_postgres}, ratio => $got{rate} / $limit->{tasks_per_s});
}

# The mix as it is and with something beside it, which `set` brings and `unset` takes away; every other round begins with the latter.
sub mix_with {
	my ($bench, $set, $unset) = @_;
	my @long = ('--seconds', 5 * $bench->{o}{seconds});
	my %rate;
	my %got;
	for my $with ($bench->{turns}++ % 2 ? (1, 0) : (0, 1)) {
		$bench->empty;
		model($bench);
		$bench->empty;
		$set->() if $with;
		$bench->{pg}->psql('vacuum analyze', seconds => 600);
		$bench->{pg}->psql('checkpoint', seconds => 600);
		my %r = run_mix($bench, @long);
		$rate{$with} = $r{rate};
		%got = %r if $with;
		$unset->() if $with;
	}
	$bench->empty;
	return (%got, plain => $rate{0}, self => $rate{1} / $rate{0});
}

# A session that began something and forgot it: it has an id of a transaction, and a snapshot.
sub mix_held {
	my ($bench) = @_;
	my $session;
	return mix_with($bench, sub {
		$session = Taskq::Session->new($bench->{pg}->conninfo);
		$session->run('begin isolation level repeatable read; select txid_current(); select count(*) from pg_class');
	}, sub {
		$session->run('rollback');
		$session->close;
	});
}

# Ten times the backlog of drain of tasks that wait for next year, and as many dead letters.
sub mix_beside {
	my ($bench) = @_;
	my $n = 10 * $bench->{o}{tasks};
	return mix_with($bench, sub {
		$bench->{pg}->psql("set synchronous_commit = off; $_", seconds => 600) for Taskq::BenchFill::scheduled(0, $n), Taskq::BenchFill::dead($n, 2 * $n);
	}, sub { });
}

sub part { my ($sorted, $share) = @_; return $sorted->[int($share * $#$sorted + 0.5)] }

# Milliseconds from the answer of a POST until the end of its no-op task is on its way to the database, which is later than its start.
sub wake {
	my ($bench) = @_;
	my (%answered, @ms);
	$bench->empty;
	my $connection = $bench->{daemon}->connect;
	for my $i (1 .. $bench->{o}{wakes}) {
		sleep 0.01 + rand 0.02;
		my $r = $connection->request('POST', '/v1/tasks', headers => { 'Idempotency-Key' => sprintf 'wake-%d-%d-%.6f', $$, $i, time }, json => { task_type => 'bench', payload => { a => 'b' } });
		my $now = time;
		$bench->problem('an answer was ' . $r->status) if $r->status != 202;
		$answered{ $r->json->{id} } = $now if $r->status == 202;
	}
	wait_for(sub { sleep 0.2; nothing_left($bench) }, 60, 'all to be run');
	for my $row (split /\n/, $bench->{pg}->psql('select id, extract(epoch from finished_at) from taskq.done')) {
		my ($id, $at) = split /\|/, $row;
		push @ms, 1000 * ($at - $answered{$id}) if $answered{$id};
	}
	@ms = sort { $a <=> $b } @ms;
	return (p50_ms => part(\@ms, 0.5), p99_ms => part(\@ms, 0.99), max_ms => $ms[-1]);
}

# KiB of a process that nobody shares with it, and its share of all.
sub memory {
	my ($pid) = @_;
	my $text = read_file("/proc/$pid/smaps_rollup") || '';
	return map { my $name = $_; $text =~ /^$name:\s+(\d+)/m ? $1 / 1024 : 0 } qw(Private_Dirty Pss);
}

# Of the largest process, MiB.
sub largest {
	my ($bench) = @_;
	my @memory = map { [memory($_->{pid})] } $bench->{daemon}->roles;
	my ($dirty, $pss) = map { my $i = $_; (sort { $b <=> $a } map { $_->[$i] } @memory)[0] } 0, 1;
	return (dirty_mib => $dirty, pss_mib => $pss);
}

# A node with nothing to do: transactions a minute, milliseconds of CPU a minute, memory of the largest process.
# What autovacuum does is not of taskq.
sub rest {
	my ($bench) = @_;
	my $autovacuum = sub { $bench->{pg}->psql("alter system set autovacuum = $_[0]"); $bench->{pg}->psql('select pg_reload_conf()') };
	$autovacuum->('off');
	my $count = sub { $bench->{pg}->psql('select xact_commit + xact_rollback from pg_stat_database where datname = current_database()') };
	sleep $bench->{o}{settle};
	my ($before, $began, %cpu) = ($count->(), time, $bench->cpu);
	sleep $bench->{o}{rest};
	my $transactions = $count->() - $before - 1;
	my %now = $bench->cpu;
	my $minutes = (time - $began) / 60;
	$autovacuum->('on');
	return (queries => $transactions / $minutes, largest($bench), cpu_ms => 1000 * ($now{taskqd} - $cpu{taskqd}) / $minutes);
}

# The memory of a node that did everything for `rest` seconds and then nothing for `settle`.
sub rest_loaded {
	my ($bench) = @_;
	my @loads = ([qw(--mode submit --connections 200)], [qw(--mode batch --connections 4)], [qw(--mode get --connections 50 --path /v1/tasks?limit=20)], [qw(--mode replay --connections 50)]);
	my $most = 0;
	for my $load (@loads) {
		$bench->load('--seconds', $bench->{o}{rest} / @loads, @$load);
		my %now = largest($bench);
		$most = $now{dirty_mib} if $now{dirty_mib} > $most;
	}
	wait_for(sub { sleep 0.3; nothing_left($bench) }, 1200, 'all tasks to end');
	sleep $bench->{o}{settle};
	return (largest($bench), loaded_mib => $most);
}

1;
