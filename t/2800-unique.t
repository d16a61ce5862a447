#!/usr/bin/perl
# One such task at a time: of all that want the same unique key one is stored, the others are told who has it, and it is free again
# when the holder starts, when it has ended, or when its time is over, whatever is cut or killed in between.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Taskq::Postgres;
use Taskq::Proxy;
use Test::More;

my $dir = temp_dir('u');
chmod 0777, $dir;
# Runs as long as there is no file of the name in its payload.
write_file("$dir/gate", <<"SH", 0755);
#!/bin/sh
read -r line
name=\${line#*\\"gate\\":\\"}
name=\${name%%\\"*}
while [ ! -e "$dir/open.\$name" ]; do sleep 0.02; done
[ ! -s "$dir/open.\$name" ] || exit "\$(cat "$dir/open.\$name")"
echo '{}'
SH
my $pg = Taskq::Postgres->new(private => 1, fsync => 0);
my $proxy = Taskq::Proxy->new($pg->port);
my $t = Taskq->start(pg => $pg, proxy => $proxy, config => join '', "acceptors = 2\nworkers = 1\nwork { poll = 100ms\n slots = 32 }\n",
	"handler gate { command = {\"$dir/gate\"}\n retry_base = 10s\n retry_cap = 10s }\nhandler echo { kind = builtin builtin = echo }\n");

my $sent = 0;
# want(name, for, more members): the answer, under a key of its own unless it brings one.
sub want {
	my ($name, $for, %o) = @_;
	my $key = delete $o{key} || 'k' . ++$sent;
	return $t->post('/v1/tasks', { task_type => 'gate', payload => { gate => $name }, unique => { key => $name, $for ? (for => $for) : () }, %o },
		headers => { 'Idempotency-Key' => $key });
}
sub got { my ($r) = @_; die "$r->{status}: $r->{body}\n" if $r->status != 202; return $r->json }
sub open_gate { # at once: who looks meanwhile must not find it empty
	my ($name, $exit) = @_;
	rename write_file("$dir/opening.$name", defined $exit ? $exit : ''), "$dir/open.$name" or die "could not open the gate: $!\n";
}
sub is_held {
	my ($r, $holder, $what) = @_;
	return is_deeply([$r->status, $r->status == 409 ? @{ $r->json }{qw(code task_id)} : $r->body], [409, 'not_unique', $holder->{id}], $what);
}
sub stored { my ($name) = @_; return 0 + $pg->psql("select count(*) from taskq.task where convert_from(payload, 'UTF8') like '%\"$name\"%'") }

subtest 'as long as it lives' => sub {
	my $first = got(want('live', 'live', key => 'live-1'));
	my $r = want('live', 'live', key => 'live-2');
	is_held($r, $first, 'the second is refused');
	is($r->header('content-type'), 'application/problem+json', 'as a problem');
	like($r->json->{detail}, qr/\Q$first->{id}\E has this unique key until it has ended; nothing was stored/, 'in words');
	ok($r->json->{retryable}, 'that may pass');
	is($r->header('retry-after'), undef, 'nobody knows when');
	is(stored('live'), 1, 'one task');
	$t->wait_status($first, qr/^processing$/);
	is_held(want('live', 'queued', key => 'live-2'), $first, 'while it runs too; the holder says for how long');
	my $again = want('live', 'live', key => 'live-1');
	is_deeply([$again->status, $again->header('idempotent-replayed'), $again->json], [202, 'true', $first], 'the first again is a replay');
	is(want('live', 'queued', key => 'live-1')->status, 422, 'and with another body a mismatch');
	open_gate('live');
	is($t->wait_final($first)->{status}, 'succeeded', 'it ends');
	is(want('live', 'live', key => 'live-1')->json->{id}, $first->{id}, 'a replay still');
	my $second = got(want('live', 'live', key => 'live-2'));
	isnt($second->{id}, $first->{id}, 'then the second is stored, with the key that was refused');
	is(got(want('another', undef))->{status}, 'pending', 'another name is free');
	open_gate('another');
};

subtest 'until it starts' => sub {
	my $first = got(want('queued', 'queued', delay => 3600));
	is_held(want('queued', 'queued'), $first, 'while it waits for its time');
	is($t->post("/v1/tasks/$first->{id}/cancel", '')->status, 200, 'cancelled');
	my $second = got(want('queued', 'queued'));
	$t->wait_status($second, qr/^processing$/);
	my $third = got(want('queued', 'queued', run_at => '2099-01-01T00:00:00Z'));
	is($third->{status}, 'pending', 'one runs, the next is queued');
	like(want('queued', 'queued')->json->{detail}, qr/\Q$third->{id}\E has this unique key until it starts/, 'and has the name');
	open_gate('queued');
	$t->wait_final($second);
};

subtest 'for seconds' => sub {
	my $first = got(want('window', 3600));
	open_gate('window');
	$t->wait_final($first);
	my $r = want('window', 'live');
	is_held($r, $first, 'also when it has ended');
	cmp_ok($r->header('retry-after'), '>', 3500, 'until a time that is known');
	cmp_ok($r->header('retry-after'), '<=', 3600, 'from its acceptance');
	$pg->psql("update taskq.uniq set until = until - interval '1 hour' where hold = 3");
	got(want('window', 'live'));
	my $short = got(want('short', 1, task_type => 'echo'));
	wait_for(sub { my $s = want('short', 1, task_type => 'echo'); $s->status == 202 && $s->json->{created_at} gt $short->{created_at} }, 20, 'a second to pass');
	is(stored('short'), 2, 'a second later there are two');
};

subtest 'retries and ends' => sub {
	my $first = got(want('retry', 'live'));
	open_gate('retry', 75);
	wait_for(sub { my $now = $t->task($first); $now->{status} eq 'pending' && $now->{attempts} == 1 }, 20, 'the first run to fail');
	is_held(want('retry', 'live'), $first, 'held while a retry is waited for');
	is($t->post("/v1/tasks/$first->{id}/cancel", '')->status, 200, 'cancelled');
	unlink "$dir/open.retry";
	my $second = got(want('retry', 'live'));
	is_held(want('retry', 'live'), $second, 'free, and taken again');
	open_gate('retry', 64);
	is($t->wait_final($second)->{status}, 'dead_letter', 'dead');
	unlink "$dir/open.retry";
	is($t->post("/v1/tasks/$second->{id}/retry", '')->status, 200, 'run again by hand');
	my $third = got(want('retry', 'live'));
	is_held(want('retry', 'live'), $third, 'what was dead once does not take the name back');
	open_gate('retry');
	is($t->wait_final($_)->{status}, 'succeeded', 'both end') for $second, $third;
};

subtest 'twenty at once' => sub {
	my %body = (task_type => 'gate', payload => { gate => 'twenty' }, unique => { key => 'twenty' });
	my @c = map { $t->connect } 1 .. 20;
	$c[$_]->send_request('POST', '/v1/tasks', json => \%body, headers => { 'Idempotency-Key' => "twenty-$_" }) for 0 .. 19;
	my @r = map { $_->response } @c;
	my ($one) = my @won = grep { $_->status == 202 } @r;
	is(scalar @won, 1, 'one is stored');
	is_held($_, $one->json, 'another is told') for grep { $_->status == 409 && $_->json->{code} ne 'key_in_use' } @r;
	is(scalar(grep { $_->status !~ /^(?:202|409)$/ } @r), 0, 'nobody hears anything else');
	is(stored('twenty'), 1, 'one task');
	open_gate('twenty');
};

subtest 'what is wrong is said' => sub {
	for my $bad (['{}', 'missing_field', '#/unique/key'], ['{"key":"a","for":"ever"}', 'invalid_field', '#/unique/for'],
		['{"key":"a","for":0}', 'invalid_field', '#/unique/for'], ['{"key":"a","in":1}', 'unknown_field', '#/unique/in']) {
		my $r = $t->post('/v1/tasks', "{\"task_type\":\"echo\",\"unique\":$bad->[0]}", headers => { 'Idempotency-Key' => 'bad' });
		is_deeply([$r->status, $r->json->{code}, $r->json->{errors}[0]{pointer}], [400, $bad->[1], $bad->[2]], $bad->[0]);
	}
	my $r = $t->post('/tasks', { task_type => 'echo', unique => { key => 'compat' } }, headers => { 'Idempotency-Key' => "compat-$_" }) for 1, 2;
	is(0 + $pg->psql("select count(*) from taskq.idem where surface = 2"), 2, 'the compatible surface does not know it');
};

# The client asks again with the same key until it hears something certain.
sub certain {
	my (@want) = @_;
	my ($r, @said);
	wait_for(sub { $r = want(@want); push @said, $r->status; $r->status != 503 }, 30, 'a certain answer');
	return ($r, @said);
}

for my $how (qw(before forward reply partial unsynced late commit)) {
	$proxy->rules({ on => '\bsubmit_unique\b', how => $how, seconds => 0.3 });
	my ($r) = certain("cut-$how", 'live', key => "cut-$how-1");
	is($proxy->fired, 1, "$how: cut");
	is($r->status, 202, '... and stored');
	is(stored("cut-$how"), 1, '... once');
	$proxy->rules({ on => '\bsubmit_unique\b', how => $how, seconds => 0.3 });
	my ($other, @said) = certain("cut-$how", 'live', key => "cut-$how-2");
	is_held($other, $r->json, "... another one is refused (@said)");
	is(stored("cut-$how"), 1, '... and not stored');
	$proxy->pass;
}

subtest 'acceptors are killed' => sub {
	for my $round (1 .. 4) {
		my @c = map { $t->connect } 1 .. 6;
		$c[$_]->send_request('POST', '/v1/tasks', json => { task_type => 'gate', payload => { gate => "kill-$round" }, unique => { key => "kill-$round" } },
			headers => { 'Idempotency-Key' => "kill-$round-$_" }) for 0 .. 5;
		$t->kill9('acceptor', $round % 2);
		$_->close for @c;
		my %status;
		for my $n (0 .. 5) {
			my $r;
			wait_for(sub { $r = eval { want("kill-$round", undef, key => "kill-$round-$n") }; $r && $r->status != 503 && ($r->status != 409 || $r->json->{code} eq 'not_unique') },
				30, 'an answer');
			$status{ $r->status }++;
		}
		is_deeply(\%status, { 202 => 1, 409 => 5 }, 'one has the name');
		is(stored("kill-$round"), 1, 'one task');
		wait_for(sub { 2 == grep { $_->{ready} } $t->roles('acceptor') }, 20, 'two acceptors');
	}
};

subtest 'counted, and cleared away' => sub {
	cmp_ok($t->metric('taskq_unique_total', outcome => $_), '>', 0, $_) for qw(stored held);
	open_gate($_) for grep { !-e "$dir/open.$_" } split /\n/, $pg->psql("select distinct convert_from(payload, 'UTF8')::json->>'gate' from taskq.task");
	$pg->psql('update taskq.waiting set due_at = now()');
	wait_for(sub { $pg->psql('select (select count(*) from taskq.ready) + (select count(*) from taskq.waiting) + (select count(*) from taskq.lease)') == 0 },
		30, 'all tasks to end');
	$pg->psql("update taskq.uniq set until = now() where hold = 3");
	cmp_ok($pg->psql('select count(*) from taskq.uniq'), '>', 10, 'names of ended tasks');
	$t->kill9('keeper'); # the next one begins a walk at once
	wait_for(sub { $pg->psql('select count(*) from taskq.uniq') == 0 }, 30, 'the names to go');
	pass('go by themselves');
};

is($t->stop, 0, 'drained');
done_testing;
