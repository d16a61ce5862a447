#!/usr/bin/perl
# What is sent after the answer to another submission of its ordering key comes after it, whichever acceptor of the node takes it: also when one of them
# takes the clock of the database for later than it is, and when what one stored is told by another.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Test::More;

my (undef, $version) = slurp_command(command => [Taskq->program, '-V']);
plan skip_all => 'taskqd was configured without --enable-failpoints' if $version !~ /failpoints on/;

my $ahead = 3000; # ms
my $fuses = temp_dir('f');
chmod 0777, $fuses;
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(pg => $pg, config => "acceptors = 2\nworkers = 0\nkeys { recent = 0 }\nhandler noop { kind = builtin }\n",
	env => { TASKQ_FP => "ids.ahead=err:$ahead;sql.submit.answered=kill9", TASKQ_FP_FUSES => $fuses });

# A connection to the acceptor of that number: while all others stand still nobody else takes it.
sub to {
	my ($index) = @_;
	my @others = map { $_->{pid} } grep { $_->{index} != $index } $t->roles('acceptor');
	kill 'STOP', @others;
	my $c = $t->connect;
	my $r = eval { $c->request('GET', '/healthz') };
	kill 'CONT', @others;
	die "no answer of acceptor $index\n" if !$r || $r->{status} != 200;
	return $c;
}

my $serial = 0;
sub submit {
	my ($c, %o) = @_;
	my $key = delete $o{key} || 'key-' . ++$serial;
	my $r = $c->request('POST', '/v1/tasks', json => { task_type => 'noop', ordering_key => 'k', %o }, headers => { 'Idempotency-Key' => $key });
	die "$r->{status}: $r->{body}\n" if $r->{status} !~ /^20[02]$/;
	return $r->json->{id};
}
sub bulk {
	my ($c) = @_;
	my $body = join '', map { Taskq::HTTP::encode({ task_type => 'noop', ordering_key => 'k', idempotency_key => 'key-' . ++$serial }) . "\n" } 1 .. 3;
	my $r = $c->request('POST', '/v1/tasks/batch', body => $body, headers => { 'Content-Type' => 'application/x-ndjson' });
	die "$r->{status}: $r->{body}\n" if $r->{status} != 200;
	return map { $_->{id} // die "not accepted: $r->{body}\n" } @{ $r->json->{items} };
}
# The next batch that is made gets ids that are ahead; its maker stays there until the clock has come so far.
sub skew { write_file("$fuses/ids.ahead", ''); return }
sub in_order {
	my ($what, @ids) = @_;
	my @wrong = grep { $ids[$_ - 1] ge $ids[$_] } 1 .. $#ids;
	ok(!@wrong, $what) or diag(map { "$_: $ids[$_ - 1], then $ids[$_]\n" } @wrong);
	return;
}

wait_for(sub { 2 == grep { $_->{ready} } $t->roles('acceptor') }, 30, 'both acceptors');
for my $first (0, 1) {
	my @c = map { to($_) } $first, 1 - $first;
	my @ids = submit($c[0]);
	skew();
	push @ids, submit($c[0]);
	ok(!-e "$fuses/ids.ahead", "acceptor $first has a clock of its own");
	push @ids, submit($c[$_ % 2]) for 1 .. 20;
	in_order("one after the other, the first of acceptor $first", @ids);
}

# Bulk, names and times make no difference.
my @c = map { to($_) } 0, 1;
my @ids;
for my $n (0 .. 5) {
	skew();
	push @ids, submit($c[0]), bulk($c[1]), submit($c[0], unique => { key => "u$n" }), submit($c[1], delay => 60), submit($c[0], priority => 90 - $n),
		submit($c[1], unique => { key => "v$n" }), bulk($c[0]);
}
in_order('bulk, unique, delayed and urgent tasks too', @ids);

# Stored by an acceptor that died before it could say so.
@c = map { to($_) } 0, 1;
skew();
write_file("$fuses/sql.submit.answered", '');
ok(!eval { submit($c[0], key => 'dead') }, 'an acceptor is killed before it answers');
ok(!-e "$fuses/$_", "... at $_") for qw(ids.ahead sql.submit.answered);
@ids = (submit($c[1], key => 'dead'), submit($c[1]));
is($pg->psql('select count(*) from taskq.idem where task_id = ' . "'$ids[0]'"), 1, 'the other one tells what became of it');
in_order('and the next comes after that', @ids);
push @ids, submit(to(0)), submit($c[1]);
in_order('so do those of its successor', @ids);
is($t->stop, 0, 'it drains');
done_testing;
