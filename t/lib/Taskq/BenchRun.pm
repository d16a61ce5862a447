# BenchRun.pm - the scenarios of scripts/bench in which tasks are run: one function each.
#
# A function is one round: it gets the bench (Bench.pm) and returns figures by name.
package Taskq::BenchRun;
use strict;
use warnings;
use Taskq::Machine qw(read_file wait_for);
use Time::HiRes qw(sleep time);

my $batch = 1000; # tasks whose ids are neighbours, as of one submission

sub queue { my ($bench, $act) = @_; return $bench->{daemon}->post("/v1/queues/default/$act", { by => 'bench', why => 'a backlog is made' }) }

# One task is submitted and run, so that its lane is there and its row can be the model of the others.
sub model {
	my ($bench) = @_;
	my $task = $bench->{daemon}->submit('bench', { a => 'x' x ($bench->{o}{payload} - 8) });
	$bench->{daemon}->wait_final($task);
	$bench->{pg}->psql("create schema if not exists bench; drop table if exists bench.model; create table bench.model as select * from taskq.task where id = '$task->{id}'");
	return;
}

# $n tasks are ready, as if they had been submitted a thousand at a time; their queue is paused.
sub backlog {
	my ($bench, $n) = @_;
	queue($bench, 'pause');
	$bench->empty;
	my ($batches, $last) = (int(($n + $batch - 1) / $batch), $batch - 1);
	$bench->{pg}->psql(<<"END");
insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, options, payload)
select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + b), 12, '0') || '70008000' || lpad(to_hex(b), 8, '0') || lpad(to_hex(i), 4, '0'))::uuid,
	m.bucket, m.lane, m.prio, m.max_attempts, now(), m.options, m.payload
from bench.model m, generate_series(1, $batches) b, generate_series(0, $last) i
where (b - 1) * $batch + i < $n;
insert into taskq.ready (lane, prio, start, bucket, lo, hi, n)
select lane, prio, min(id::text)::uuid, bucket, min(id::text)::uuid, max(id::text)::uuid, count(*)
from taskq.task group by lane, prio, bucket, taskq.batch(id), taskq.pos(id) / 100;
END
	$bench->{pg}->psql("vacuum analyze taskq.$_") for qw(task ready lease done);
	$bench->{pg}->psql('checkpoint');
	return;
}

sub nothing_left { my ($bench) = @_; return $bench->{pg}->psql('select not exists (select from taskq.ready) and not exists (select from taskq.lease)') eq 't' }

# The tasks and the seconds from the first end to the last, by the clock of the database.
sub ended {
	my ($bench, $from) = @_;
	return split /\|/, $bench->{pg}->psql("select count(*), extract(epoch from max(finished_at) - $from), count(distinct finished_at) from taskq.done");
}

# Reads of a database in which every third task is done, dead, ready.
sub reads {
	my ($bench, $path) = @_;
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
	my %cpu = $bench->cpu;
	my $load = $bench->load(qw(--mode get --connections 50 --path), ref $path ? $path->() : $path);
	my %now = $bench->cpu;
	$bench->problem(map { "$load->{status}{$_} answers were $_" } grep { $_ != 200 } sort keys %{ $load->{status} });
	$bench->empty;
	queue($bench, 'resume');
	return (rate => $load->{requests_per_s}, (map { $_ => $load->{$_} } qw(p50_ms p99_ms max_ms)),
		map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / ($load->{answered} || 1)) } keys %now);
}

sub list { return reads($_[0], '/v1/tasks?limit=20') }

sub get { my ($bench) = @_; return reads($bench, sub { '/v1/tasks/' . $bench->{pg}->psql('select id from taskq.task order by id offset 5 limit 1') }) }

# No-op tasks from a backlog; the limit has its leases in memory.
sub drain {
	my ($bench) = @_;
	my $n = $bench->{o}{tasks};
	my $limit = $bench->limit(mode => 'drain', tasks => $n);
	model($bench);
	backlog($bench, $n);
	my ($lsn, %cpu) = ($bench->lsn, $bench->cpu);
	queue($bench, 'resume');
	wait_for(sub { sleep 0.3; nothing_left($bench) }, 600, 'the backlog to be gone');
	my %now = $bench->cpu;
	my ($done, $seconds, $commits) = ended($bench, 'min(finished_at)');
	$bench->problem("$done tasks ended, $n were expected") if $done != $n;
	my $rate = $seconds > 0 ? $n / $seconds : 0;
	return (rate => $rate, limit => $limit->{tasks_per_s}, cpu_limit => $limit->{cpu_postgres}, ratio => $rate / $limit->{tasks_per_s}, batch => $done / $commits,
		wal => $bench->lsn($lsn) / $n, map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / $n) } keys %now);
}

# Bulk submissions and their runs together: from the first submission to the last end.
sub mix {
	my ($bench) = @_;
	my $limit = $bench->limit(mode => 'mix');
	$bench->empty;
	my ($lsn, %cpu) = ($bench->lsn, $bench->cpu);
	my $load = $bench->load(qw(--mode batch --connections 4));
	wait_for(sub { sleep 0.2; nothing_left($bench) }, 600, 'all to be run');
	my %now = $bench->cpu;
	my ($done, $seconds) = ended($bench, '(select min(created_at) from taskq.task)');
	$bench->problem("$done tasks ended, $load->{tasks} were accepted") if $done != $load->{tasks};
	my $rate = $done / $seconds;
	return (rate => $rate, limit => $limit->{tasks_per_s}, cpu_limit => $limit->{cpu_postgres}, ratio => $rate / $limit->{tasks_per_s}, wal => $bench->lsn($lsn) / $done,
		map { ("cpu_$_" => 1e6 * ($now{$_} - $cpu{$_}) / $done) } keys %now);
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
	return map { my $name = $_; $text =~ /^$name:\s+(\d+)/m ? $1 : 0 } qw(Private_Dirty Pss);
}

# A node with nothing to do: transactions a minute, milliseconds of CPU a minute, memory of the largest process.
sub rest {
	my ($bench) = @_;
	my $count = sub { $bench->{pg}->psql('select xact_commit + xact_rollback from pg_stat_database where datname = current_database()') };
	sleep $bench->{o}{settle};
	my ($before, $began, %cpu) = ($count->(), time, $bench->cpu);
	sleep $bench->{o}{rest};
	my %now = $bench->cpu;
	my $minutes = (time - $began) / 60;
	my @memory = map { [memory($_->{pid})] } $bench->{daemon}->roles;
	my ($dirty, $pss) = map { my $i = $_; (sort { $b <=> $a } map { $_->[$i] } @memory)[0] / 1024 } 0, 1;
	return (queries => ($count->() - $before - 1) / $minutes, dirty_mib => $dirty, pss_mib => $pss, cpu_ms => 1000 * ($now{taskqd} - $cpu{taskqd}) / $minutes);
}

1;
