#!/usr/bin/perl
# What the acceptors of a node remember of the last submissions is told at once and without Postgres, in the very bytes in which Postgres
# would tell it; whatever is not certain is left to Postgres.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Cache;
use Test::More;

my $pg = Taskq::Postgres->new(private => 1);
# One acceptor, so that what one answer shows holds for the next: each learns by itself which Postgres it has, and is certain of nothing before.
my $t = Taskq->start(pg => $pg, config => "acceptors = 1\nworkers = 0");
my $without = Taskq->start(pg => $pg, config => "workers = 0\nkeys { recent = 0 }", migrate => 0);
my $serial = 0;
sub key { return "k$$-" . ++$serial }
sub post {
	my ($daemon, $key, $text, %o) = @_;
	return $daemon->post($o{path} || '/v1/tasks', $text, headers => { 'Idempotency-Key' => $key, 'Content-Type' => 'application/json', %{ $o{headers} || {} } });
}
sub told { return $t->metric('taskq_idempotency_recent_total') || 0 }
# True when the answer came from memory.
sub from_memory { my ($ask) = @_; my $before = told(); my $r = $ask->(); return ($r, told() > $before) }
sub same_as { my ($r, $key, $text, $what, %o) = @_; return is(Taskq::Cache::text($r), Taskq::Cache::text(post($without, $key, $text, %o)), "$what: the bytes of Postgres") }

my $text = '{"task_type":"mail","payload":{"to":"\u00e9","n":[1, 2.50]},"labels":{"b":"2","a":"1"},"group":"g","delay":86400}';

subtest 'word for word' => sub {
	my $key = key();
	my $first = post($t, $key, $text);
	is($first->status, 202, 'accepted');
	for my $n (1 .. 8) {
		my ($r, $memory) = from_memory(sub { post($t, $key, $text) });
		ok($memory, "repetition $n is told from memory");
		same_as($r, $key, $text, "repetition $n");
	}
	my ($r, $memory) = from_memory(sub { post($t, $key, '{"task_type":"other"}') });
	ok($memory, 'a mismatch is, too');
	is($r->status, 422, 'refused');
	same_as($r, $key, '{"task_type":"other"}', 'mismatch');
	is($t->metric('taskq_idempotency_total', outcome => 'replay'), 8, 'replays are counted as ever');
	is($t->metric('taskq_idempotency_total', outcome => 'mismatch'), 1, 'and mismatches');
	is($without->metric('taskq_idempotency_recent_total') || 0, 0, 'keys.recent = 0 remembers nothing');
};

subtest 'the same task in other words is left to Postgres' => sub {
	my $key = key();
	my $trace = sub { { traceparent => '00-' . $_[0] x 32 . '-' . 'b' x 16 . '-01' } };
	my $first = post($t, $key, $text, headers => $trace->('a'));
	(my $spaced = $text) =~ s/\[1, 2.50\]/[1,2.50]/;
	my ($r, $memory) = from_memory(sub { post($t, $key, $spaced, headers => $trace->('a')) });
	ok(!$memory, 'white space in the payload');
	is($r->body, $first->body, 'and the first answer comes');
	($r, $memory) = from_memory(sub { post($t, $key, $text, headers => $trace->('c')) });
	ok(!$memory, 'another trace');
	is($r->body, $first->body, 'and the first answer comes');
	($r, $memory) = from_memory(sub { post($t, $key, $text, headers => $trace->('a')) });
	ok($memory, 'the first words again are told from memory');
	is($r->body, $first->body, 'and the first answer comes');
};

subtest 'the other surface' => sub {
	my $key = key();
	my $first = post($t, $key, '{"task_type":"a","payload":{"x": 1}}', path => '/tasks');
	my ($r, $memory) = from_memory(sub { post($t, $key, '{"task_type":"a","payload":{"x": 1},"max_attempts":3}') });
	ok($memory, 'asked through /v1');
	is($r->body, $first->body, 'the answer keeps the form of the first');
	is($r->header('location'), $first->header('location'), 'and its Location');
};

subtest 'not longer than the key' => sub {
	my $key = key();
	my $first = post($t, $key, $text);
	(my $spaced = $text) =~ s/1, 2/1,2/;
	$pg->psql("update taskq.idem set expires_at = clock_timestamp() + interval '12 s' where task_id = '" . $first->json->{id} . "'");
	is(post($t, $key, $spaced)->body, $first->body, 'Postgres is asked, and tells that the key may end soon');
	my ($r, $memory) = from_memory(sub { post($t, $key, $text) });
	ok($memory, 'until then the memory answers');
	wait_for(sub { !(from_memory(sub { post($t, $key, $text) }))[1] }, 60, 'the memory to end with the key');
	is(post($t, $key, $text)->body, $first->body, 'and then Postgres does');
};

subtest 'a killed acceptor' => sub {
	my @keys = map { key() } 1 .. 200;
	my %first = map { $_ => post($t, $_, $text) } @keys;
	my @old = map { $_->{pid} } $t->roles('acceptor');
	kill KILL => @old;
	wait_for(sub { my %old = map { $_ => 1 } @old; grep { !$old{ $_->{pid} } && $_->{ready} } $t->roles('acceptor') }, 30, 'a new acceptor');
	# One that does not know yet which Postgres it has is certain of nothing; and a key that was asked for is learned again, so each try has its own.
	my $r = wait_for(sub { my $key = shift @keys or die "nothing is remembered\n"; my ($r, $memory) = from_memory(sub { post($t, $key, $text) }); $memory && [$r, $key] },
		20, 'its successor to remember');
	is($r->[0]->body, $first{ $r->[1] }->body, 'its successor remembers what it never did itself');
};

subtest 'Postgres away' => sub {
	my $key = key();
	my $first = post($t, $key, $text);
	$pg->stop('immediate');
	wait_for(sub { post($t, $key, $text)->status == 503 }, 20, 'the loss to be noticed');
	my $before = told(); # until then the memory may tell
	is(post($t, $key, $text)->status, 503, 'what a failover may have lost is not told');
	$pg->start;
	$t->wait_ready;
	my $again = wait_for(sub { my $r = post($t, $key, $text); $r->status == 202 && $r }, 20, 'an answer');
	is($again->body, $first->body, 'Postgres is asked what it has after its restart, and has it');
	is(told(), $before, 'nothing was told from memory');
	($again, my $memory) = from_memory(sub { post($t, $key, $text) });
	ok($memory, 'until it was learned again');
};

done_testing;
