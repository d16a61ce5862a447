# BenchFill.pm - many rows at once for the benches: SQL text that writes what taskq would have written, without taskq.
#
# Rows are told by two numbers, from and to, of hundreds of tasks: a bench may add to what it has.  The tasks were submitted an hour ago in
# batches of a hundred, and lie in the order of their ids; the ids of two calls differ when their rows do.  A lane is SQL: a number, or an
# expression of b, the number of the batch.
package Taskq::BenchFill;
use strict;
use warnings;

our $any_lane = '(select min(id) from taskq.lane)';
my $an_hour_ago = int((time - 3600) * 1000);
my $payload = "convert_to('{\"text\":\"' || repeat('x', 180) || '\"}', 'UTF8')";

# The id at a position of batch b.
sub id { my ($pos) = @_; return "(lpad(to_hex(($an_hour_ago)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(b), 8, '0') || lpad(to_hex($pos), 4, '0'))::uuid" }

sub batches { my ($from, $to) = @_; return sprintf 'generate_series(%d, %d) b', $from / 100, $to / 100 - 1 }

sub tasks {
	my ($from, $to, $lane) = @_;
	return 'insert into taskq.task (id, bucket, lane, prio, max_attempts, created_at, payload) select ' . id('p')
		. ", 1, $lane, 0, 5, now() - interval '1 hour', $payload from " . batches($from, $to) . ', generate_series(0, 99) p order by b, p;';
}

sub ready {
	my ($from, $to, $lane) = @_;
	my ($lo, $hi) = (id('0'), id('99'));
	return tasks($from, $to, $lane || $any_lane) . 'insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) select '
		. ($lane || $any_lane) . ", 0, $lo, 1, $lo, $hi, 100 from " . batches($from, $to) . ';';
}

# A row for each task, of a table and columns whose first is the id.
sub one_each {
	my ($from, $to, $into, $values) = @_;
	return tasks($from, $to, $any_lane) . "insert into taskq.$into select " . id('p') . ", $values from " . batches($from, $to) . ', generate_series(0, 99) p;';
}

sub finished { return tasks(@_, $any_lane) . final(@_) }

sub scheduled { return one_each(@_, 'waiting (id, bucket, due_at, lane, prio, why)', "1, now() + interval '1 year', $any_lane, 0, 1") }

sub dead {
	return "insert into taskq.cause (queue_id, kind_id, reason, class, code, fingerprint, schema_version, sample, first_at, last_at, filed, open)"
		. " select queue_id, kind_id, 'NON_RETRYABLE', 3, 'BAD', md5('c')::uuid, '', 'bad', now(), now(), 0, 0 from taskq.lane limit 1 on conflict do nothing;"
		. one_each(@_, 'dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, class, code, message, created_at, payload, cause, history)',
		"1, 1, $any_lane, 0, 1, 1, 0, 5, 'NON_RETRYABLE', 3, 'BAD', 'bad', now(), $payload, (select min(id) from taskq.cause), '[]'");
}

# Keys that live a day from now; their tasks are not there.
sub keys_live {
	my ($from, $to) = @_;
	return "insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at) select md5(g::text)::uuid, 1, sha256('x'),"
		. sprintf(" gen_random_uuid(), 1, 1, now() + interval '1 day' from generate_series(%d, %d) g;", $from, $to - 1);
}

# Keys that expired an hour ago, and their tasks, which are not final; final(from, to) makes them so.
sub keys_expired {
	my ($from, $to) = @_;
	return tasks($from, $to, $any_lane) . 'insert into taskq.idem (digest, bucket, fp, task_id, surface, version, expires_at) select md5(' . id('p')
		. "::text)::uuid, 1, sha256('x'), " . id('p') . ", 1, 1, now() - interval '1 hour' from " . batches($from, $to) . ', generate_series(0, 99) p;';
}

sub final {
	my ($from, $to) = @_;
	return 'insert into taskq.done (id, bucket, lease_id, lane, status, run, attempts, crashes, finished_at) select ' . id('p')
		. ", 1, 1, $any_lane, 1, 1, 1, 0, now() from " . batches($from, $to) . ', generate_series(0, 99) p;';
}

1;
