#!/usr/bin/perl
# What a rush needed is given back when it is over: the memory of an acceptor is soon that of a fresh one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file);
use Test::More;

my $t = Taskq->start(config => "acceptors = 1\nworkers = 1\nhandler echo { kind = builtin builtin = echo }\n");
my ($connections, $length) = (250, 15_000);
my $pid = $t->role_pid('acceptor', 0);

# Private and dirty, MiB.
sub dirty { return ((read_file("/proc/$pid/smaps_rollup") || '') =~ /^Private_Dirty:\s+(\d+)/m ? $1 : 0) / 1024 }
plan skip_all => 'this kernel tells nothing of memory' if !dirty();

# All requests are there but for their last byte before the first is whole.
sub rush {
	my ($round) = @_;
	my @c = map { $t->connect } 1 .. $connections;
	my $text = sprintf '{"task_type":"echo","payload":{"text":"%s"}}', 'x' x $length;
	for my $i (0 .. $#c) {
		$c[$i]->write(sprintf "POST /v1/tasks HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nIdempotency-Key: r%d-%d\r\nContent-Length: %d\r\n\r\n%s",
			$round, $i, length $text, substr $text, 0, -1);
	}
	my $refused = 0;
	for my $c (@c) {
		$c->write('}');
		$refused++ if $c->response->status != 202;
	}
	return $refused;
}

$t->wait_final($t->submit('echo', { text => 'x' }));
my $fresh = dirty();
is(rush(1), 0, 'a rush, and all is taken');
my $most = dirty();
cmp_ok($most - $fresh, '>', 3, 'the acceptor needs memory for it');
ok(eval { wait_for(sub { dirty() - $fresh < 2 }, 60, 'the acceptor to rest') }, 'and gives it back when it is over');
note(sprintf 'MiB: %.1f fresh, %.1f after the rush, %.1f at rest', $fresh, $most, dirty());
is(rush(2), 0, 'another rush goes as the first');
is($t->role_pid('acceptor', 0), $pid, 'in the same process');
is($t->stop, 0, 'drained');
done_testing;
