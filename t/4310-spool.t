#!/usr/bin/perl
# Tasks die while Postgres is away, and then everything is killed: what had finished is in the spool, and is delivered at the next start before the
# leases of the dead workers are taken back, so no handler runs again that had finished, and every task has one letter, with its own message.
#
# The handlers are requests to a service in this process, which holds them until Postgres is gone, then answers most of them with a failure
# for good.  The others are still running when everything is killed: they run again.
use strict;
use warnings;
use FindBin;
use IO::Select;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(now patience);
use Test::More;

my ($tasks, $finishing, $workers) = $ENV{TASKQ_FULL} ? (1004, 1000, 2) : (400, 300, 2);
my $slots = $tasks / $workers;

# --- the handlers ---------------------------------------------------------------------------------------------------

my $service = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1', ReuseAddr => 1, Blocking => 0) or die "no service: $@";
my $select = IO::Select->new($service);
my (%bytes, %open, %runs); # by connection: what was read; by task: the connection that waits, how often it was begun

sub hear {
	my ($s) = @_;
	if (!sysread $s, $bytes{$s}, 65536, length $bytes{$s}) {
		$select->remove($s);
		delete $bytes{$s};
		delete @open{ grep { $open{$_} == $s } keys %open };
		return close $s;
	}
	return if $bytes{$s} !~ /^(.*?\r\n\r\n)/s;
	my $head = $1;
	my ($length) = $head =~ /^content-length: (\d+)/mi;
	return if length $bytes{$s} < length($head) + ($length || 0);
	my ($id) = $head =~ /^idempotency-key: (\S+)/mi;
	$bytes{$s} = '';
	$runs{$id}++;
	$open{$id} = $s;
}

# Serves until the condition holds.
sub serve {
	my ($until, $what, $seconds) = @_;
	my $deadline = now() + patience($seconds || 60);
	while (!$until->()) {
		die "waited in vain for $what\n" if now() > $deadline;
		for my $s ($select->can_read(0.05)) {
			if ($s != $service) { hear($s); next }
			while (my $new = $service->accept) { $bytes{$new} = ''; $select->add($new) }
		}
	}
}

sub fail_for_good {
	my ($id) = @_;
	my $body = qq({"error_class": "NON_RETRYABLE", "error_code": "NO_SUCH_ACCOUNT", "message": "no account for $id"});
	my $s = delete $open{$id};
	syswrite $s, "HTTP/1.1 422 Said\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

# --- the story --------------------------------------------------------------------------------------------------------

my $t = Taskq->start(config => <<"END");
workers = $workers
work { slots = $slots prefetch = 0 }
call { allow = {"127.0.0.0/8"} }
handler x { kind = http url = "http://127.0.0.1:${\ $service->sockport}/x" timeout = 10min concurrency = $slots }
END
my $r = $t->post('/v1/tasks/batch', [map { { idempotency_key => "spool-$_", task_type => 'x', payload => { n => $_ }, max_attempts => 5 } } 1 .. $tasks]);
is($r->{status}, 200, 'submitted') or diag $r->{body};
serve(sub { keys %open == $tasks }, "$tasks requests at once");
Taskq->pg->stop('immediate');
my @finished = (sort keys %open)[0 .. $finishing - 1];
fail_for_good($_) for @finished;
serve(sub { $t->metric('taskq_spool_outcomes') == $finishing }, "$finishing outcomes in the spool");
pass('the outcomes of all that finished are on disk');
cmp_ok($t->metric('taskq_spool_bytes'), '>', 100 * $finishing, 'as bytes of files');
my @said = grep { /level=crit/ } $t->log_lines;
like($said[0], qr/outcomes cannot be written: they are kept on disk/, 'somebody was told');
cmp_ok(scalar @said, '<=', $workers, 'once for each worker');

$t->{child}->kill_tree;
$t->{child}->wait(20);
serve(sub { !keys %open }, 'the runs to be cut');
my $from = () = $t->log_lines;
Taskq->pg->start;
$t->launch;
serve(sub { keys %open == $tasks - $finishing }, 'the others to run again');
$t->log_wait(qr/delivered outcomes that were kept on disk/, 20, from => $from);
fail_for_good($_) for keys %open;
serve(sub { Taskq->pg->psql('select count(*) from taskq.dead') == $tasks }, "$tasks letters");

is(Taskq->pg->psql(q{select count(*) from taskq.dead where message = 'no account for ' || id and code = 'NO_SUCH_ACCOUNT' and reason = 'NON_RETRYABLE'}), $tasks,
	'each task is one letter, with its own message');
is(Taskq->pg->psql('select count(*) from taskq.done'), 0, 'and nothing else');
is(Taskq->pg->psql('select count(*) from (select id from taskq.tried group by id having count(*) > 1) x'), 0, 'no run left its lease twice');
is((grep { $runs{$_} != 1 } @finished), 0, 'no handler ran again that had finished');
is($t->metric('taskq_spool_delivered_total'), $finishing, 'the keeper counted what it delivered');
is($t->metric('taskq_spool_stale_total'), 0, 'none came too late');
is($t->metric('taskq_tasks_finished_total', outcome => 'dead_letter'), $tasks, 'and they count as ended');
is_deeply([glob "$t->{dir}/spool/*"], [], 'no file is left');
is($t->stop, 0, 'drained');
done_testing;
