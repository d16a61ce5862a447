#!/usr/bin/perl
# What a rush needed is given back when it is over: the memory of an acceptor, and of a worker, is soon that of a fresh one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(memory_of read_file write_file);
use Taskq::Postgres;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1);
my $t = Taskq->start(pg => $pg, config => "acceptors = 1\nworkers = 1\nwork { slots = 500 }\nhandler echo { kind = builtin builtin = echo }\n");
my ($connections, $length) = (250, 28_000);
my %pid = map { $_ => $t->role_pid($_, 0) } qw(acceptor worker);

# MiB that no file stands behind.  Whoever is not root may not read the maps of a process that cannot be traced, but its status.
sub dirty { return memory_of($pid{$_[0]}, 'RssAnon') }
plan skip_all => 'this kernel tells nothing of memory' if !eval { dirty('acceptor') };

# All requests are there but for their last byte before the first is whole; then all are, and all tasks are run together.
sub rush {
	my ($round) = @_;
	$t->post('/v1/queues/default/pause', {});
	my @c = map { $t->connect } 1 .. $connections;
	my $text = sprintf '{"task_type":"echo","payload":{"text":"%s"}}', 'x' x $length;
	for my $i (0 .. $#c) {
		$c[$i]->write(sprintf "POST /v1/tasks HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nIdempotency-Key: r%d-%d\r\nContent-Length: %d\r\n\r\n%s",
			$round, $i, length $text, substr $text, 0, -1);
	}
	$_->write('}') for @c;
	my $refused = grep { $_->response->status != 202 } @c;
	$t->post('/v1/queues/default/resume', {});
	wait_for(sub { $t->metric('taskq_tasks_finished_total', outcome => 'succeeded') == 1 + $round * $connections }, 60, 'all tasks to end');
	return $refused;
}

$t->wait_final($t->submit('echo', { text => 'x' }));
my %fresh = map { $_ => dirty($_) } keys %pid;
is(rush(1), 0, 'a rush, and all is taken');
my %most = map { $_ => dirty($_) } keys %pid;
for my $role (sort keys %pid) {
	cmp_ok($most{$role} - $fresh{$role}, '>', 2.5, "the $role needs memory for it");
	ok(eval { wait_for(sub { dirty($role) - $fresh{$role} < 2.5 }, 60, "the $role to rest") }, 'and gives it back when it is over');
	note(sprintf 'MiB: %.1f fresh, %.1f after the rush, %.1f at rest', $fresh{$role}, $most{$role}, dirty($role));
}
ok(!grep({ /lost the connection|could not connect/ } $t->log_lines), 'no connection was missing meanwhile');

# a connection that is to be renewed, and the server takes no new ones
my $hba = "$pg->{dir}/data/pg_hba.conf";
my $kept = read_file($hba);
write_file($hba, "local all all reject\nhost all all all reject\n");
kill 'HUP', $pg->pid;
is(rush(2), 0, 'another rush goes as the first');
ok($t->log_wait(qr/role=worker.*could not connect to postgres/, 60), 'a worker whose connection cannot be renewed');
write_file($hba, $kept);
kill 'HUP', $pg->pid;
is($t->wait_final($t->submit('echo', { text => 'y' }))->{status}, 'succeeded', 'works with the one it has');
ok(!grep({ /lost the connection/ } $t->log_lines), 'which it kept');
is($t->role_pid($_, 0), $pid{$_}, "it is the same $_") for sort keys %pid;
is($t->stop, 0, 'drained');
done_testing;
