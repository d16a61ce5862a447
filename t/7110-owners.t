#!/usr/bin/perl
# Dead letters have an owner, a due time and somebody who sees to them; what is overdue is told once for each due time, until the service
# that is told has understood.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(decode_base64);
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

# Somebody who is told: the first two times he does not understand.
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "could not listen: $!\n";
my $url = 'http://127.0.0.1:' . $listen->sockport . '/told';
my $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my $book = Taskq->new(pg => Taskq->pg(fsync => 0))->{dir} . '/told';
my $service = fork() // die "could not fork: $!\n";
if ($service == 0) {
	my $n = 0;
	while (my $c = $listen->accept) {
		my ($head, $body) = ('', '');
		while (my $line = <$c>) { last if $line eq "\r\n"; $head .= $line }
		my ($length) = $head =~ /^Content-Length: (\d+)/mi;
		read $c, $body, $length // 0;
		open my $f, '>>', $book or die "could not open \"$book\": $!\n";
		$head =~ s/\r\n/\t/g;
		print $f "$head|$body\n";
		close $f;
		my $status = ++$n <= 2 ? '500 No' : '204 Yes';
		print $c "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		close $c;
	}
	exit 0;
}
END { if ($service) { my $s = $?; kill 'KILL', $service; waitpid $service, 0; $? = $s } }

sub told {
	open my $f, '<', $book or return ();
	return map { my ($head, $body) = split /\|/, $_, 2; { head => { map { my ($k, $v) = split /: /, $_, 2; (lc $k => $v // '') } split /\t/, $head }, body => $body, event => Taskq::HTTP::decode($body) } } <$f>;
}


my $t = Taskq->start(config => <<"CONF");
handler fail { kind = builtin builtin = fail }
call { allow = 127.0.0.1 }
dead { escalate_url = "$url" escalate_secrets = "$secret" }
CONF
my $pg = Taskq->pg;
my %who = (by => 'eve', why => 'a trial');
my $here = '/v1/dead/owners';

sub ask { my ($method, $body, $path) = @_; return $t->request($method, $path // $here, json => $body) }
sub owner_of { return $pg->psql(sprintf q{select owner from taskq.owner_of('%s', '%s', '%s')}, @_) }
sub audit { my ($n) = @_; return [map { [@$_{qw(act by why target n)}] } @{ $t->get("/v1/audit?limit=$n")->json->{items} }] }
sub fp { return sprintf '%08d-0000-0000-0000-000000000000', $_[0] }

# A cause with letters of the given ages in seconds.
sub cause {
	my ($queue, $type, $fp, @ages) = @_;
	my $id = $pg->psql(<<"SQL");
with q as (insert into taskq.queue (name) values ('$queue') on conflict (name) do update set name = excluded.name returning id),
k as (insert into taskq.kind (name) values ('$type') on conflict (name) do update set name = excluded.name returning id)
insert into taskq.cause (queue_id, kind_id, reason, class, code, fingerprint, schema_version, sample, first_at, last_at, filed, open)
select q.id, k.id, 'NON_RETRYABLE', 3, 'NO_USE', '$fp', '', 'no use', now(), now(), 0, 0 from q, k returning id
SQL
	letter($id, $_) for @ages;
	return $id + 0;
}

sub letter {
	my ($cause, $age) = @_;
	$pg->psql(<<"SQL");
insert into taskq.dead (id, lease_id, bucket, lane, prio, run, attempts, crashes, max_attempts, reason, created_at, died_at, payload, cause, history)
values (gen_random_uuid(), 1, 1, 1, 0, 1, 1, 0, 5, 'NON_RETRYABLE', now(), now() - $age * interval '1 s', '{}', $cause, '[]');
update taskq.cause set open = open + 1, filed = filed + 1, changed_at = now() where id = $cause
SQL
	return;
}
sub resolve { my ($cause) = @_; return $pg->psql("with r as (update taskq.dead set resolution = 2, resolved_at = now() where cause = $cause and resolution is null returning 1)
	insert into taskq.cause_delta (cause, n) select $cause, -count(*) from r") }
sub acked { my ($cause) = @_; return $pg->psql("select coalesce(seen_by, '-') || ' ' || coalesce(note, '-') || ' ' || (due_at is not null) from taskq.cause where id = $cause") }
sub told_of { my ($cause) = @_; return grep { $_->{event}{data}{cause} == $cause } told() }

subtest 'the routing table' => sub {
	is_deeply($t->get($here)->json->{items}, [], 'nobody has anything');
	my @rows = (
		{ owner => 'all', sla_seconds => 86400 },
		{ owner => 'queue', sla_seconds => 86400, queue => 'mail' },
		{ owner => 'type', sla_seconds => 86400, task_type => 'send' },
		{ owner => 'both', sla_seconds => 86400, queue => 'mail', task_type => 'send' },
		{ owner => 'print', sla_seconds => 0.5, fingerprint => fp(1) },
		{ owner => 'print of mail', sla_seconds => 86400, fingerprint => fp(1), queue => 'mail' },
	);
	for (@rows) {
		my $r = ask('PUT', { %$_, %who });
		is($r->status, 200, "$_->{owner}: set");
		is_deeply($r->json, { queue => undef, task_type => undef, fingerprint => undef, %$_, changed => JSON::PP::true() }, 'as it stands now');
	}
	is_deeply([sort map { $_->{owner} } @{ $t->get($here)->json->{items} }], [sort map { $_->{owner} } @rows], 'all are listed');
	is_deeply(audit(1), [['owner.set', 'eve', 'a trial', { queue => 'mail', task_type => undef, fingerprint => fp(1), owner => 'print of mail', sla_seconds => 86400 }, 1]],
		'and told');
	my @want = (['mail', 'send', fp(1), 'print of mail'], ['other', 'send', fp(1), 'print'], ['mail', 'send', fp(2), 'both'],
		['other', 'send', fp(2), 'type'], ['mail', 'other', fp(2), 'queue'], ['other', 'other', fp(2), 'all']);
	is(owner_of(@$_[0 .. 2]), $_->[3], "$_->[0], $_->[1], $_->[2]: what says most wins") for @want;
	ok(!ask('PUT', { %{ $rows[0] }, %who })->json->{changed}, 'the same once more changes nothing');
	is(scalar @{ audit(100) }, scalar @rows, 'and is no act');
	is(ask('DELETE', { fingerprint => fp(1), queue => 'mail', %who })->json->{changed}, JSON::PP::true(), 'one goes');
	is(owner_of('mail', 'send', fp(1)), 'print', 'then the next one has it');
	ok(!ask('DELETE', { fingerprint => fp(1), queue => 'mail', %who })->json->{changed}, 'once');
	is_deeply([map { $_->[0] } @{ audit(2) }], ['owner.drop', 'owner.set'], 'told once');
	for ({ owner => 'x', sla_seconds => 60, by => 'eve' }, { owner => 'x', sla_seconds => 60, why => 'x' }, { owner => 'x', %who }, { sla_seconds => 60, %who }) {
		is(ask('PUT', $_)->json->{code}, 'missing_field', 'missing_field: ' . join ' ', sort keys %$_);
	}
	for ({ owner => '' }, { owner => 'x' x 101 }, { sla_seconds => 0 }, { sla_seconds => 1e9 }, { sla_seconds => '1h' }, { queue => '' }, { fingerprint => 'x' }, { fingerprint => fp(0) }) {
		is(ask('PUT', { owner => 'x', sla_seconds => 60, %who, %$_ })->json->{code}, 'invalid_field', join ' ', 'invalid_field:', map { substr $_, 0, 20 } %$_);
	}
	is(ask('PUT', { owner => 'x', sla_seconds => 60, %who, type => 'send' })->json->{code}, 'unknown_field', 'a misspelled member makes no owner of all');
	is(ask('DELETE', { owner => 'all', %who })->json->{code}, 'invalid_field', 'a row goes by what it is of');
	$pg->psql(q{insert into taskq.owner (queue, owner, sla) select 'q' || g, 'x', 1000000 from generate_series(1, 995) g});
	is(ask('PUT', { queue => 'one more', owner => 'x', sla_seconds => 60, %who })->json->{code}, 'too_many_owners', 'it has an end');
	is(ask('PUT', { owner => 'all', sla_seconds => 3600, %who })->status, 200, 'what is there can be changed');
	$pg->psql(q{delete from taskq.owner where owner = 'x'});
};

subtest 'acknowledged' => sub {
	my $path = '/v1/dead/acknowledge';
	my @causes = map { cause('ack', 'send', fp(10 + $_), 100) } 1 .. 3;
	my $r = ask('POST', { cause => $causes[0], note => 'the relay', due_in => 3600, %who }, $path);
	is($r->status, 200, 'one cause');
	is($r->json->{acknowledged}, 1, 'is acknowledged');
	is_deeply([@{ $r->json->{items}[0] }{qw(cause owner)}], [$causes[0], 'type'], 'whose it is');
	is(acked($causes[0]), 'eve the relay true', 'with its note and its time');
	is_deeply(audit(1), [['acknowledge', 'eve', 'a trial', { filter => { cause => $causes[0] }, causes => [$causes[0]] }, 1]], 'and told');
	is(ask('POST', { filter => { queue => 'ack' }, due_at => '2100-01-01T00:00:00Z', %who }, $path)->json->{acknowledged}, 3, 'by a filter: all of a queue');
	is(acked($_), 'eve - true', 'each') for @causes;
	is(audit(1)->[0][4], 3, 'told as one act on three');
	wait_for(sub { $t->metric('taskq_dead_acknowledged') == 3 }, 30, 'the metric');
	letter($causes[0], 0);
	resolve($causes[1]);
	wait_for(sub { acked($causes[1]) eq '- - false' }, 30, 'the end of an acknowledgement');
	is(acked($causes[0]), 'eve - true', 'one with a new letter stays');
	is(ask('POST', { cause => $causes[1], %who }, $path)->json->{code}, 'unknown_cause', 'what has no letter is not acknowledged');
	is(ask('POST', { filter => { queue => 'nowhere' }, %who }, $path)->status, 404, 'nor is what is not there');
	my %bad = (
		missing_field => [{ %who }, { cause => $causes[0], by => 'eve' }, { cause => $causes[0], why => 'x' }],
		invalid_field => [{ cause => 0, %who }, { cause => 'x', %who }, { cause => $causes[0], filter => { queue => 'ack' }, %who }, { cause => $causes[0], due_in => 0, %who },
			{ cause => $causes[0], due_at => '2000-01-01T00:00:00Z', %who }, { cause => $causes[0], due_in => 5, due_at => '2100-01-01T00:00:00Z', %who }, { cause => $causes[0], note => 'x' x 1001, %who }],
		empty_filter => [{ filter => {}, %who }],
		invalid_filter => [{ filter => { ids => [fp(1)] }, %who }, { filter => { died_before => '2100-01-01T00:00:00Z' }, %who }, { filter => { color => 'red' }, %who }],
		unknown_field => [{ cause => $causes[0], color => 'red', %who }],
	);
	for my $code (sort keys %bad) {
		is(ask('POST', $_, $path)->json->{code}, $code, "$code: " . substr Taskq::HTTP::encode($_), 0, 60) for @{ $bad{$code} };
	}
	is(acked($causes[0]), 'eve - true', 'what is refused changes nothing');
	resolve($_) for @causes;
};

subtest 'letters of tasks' => sub {
	my %fatal = (error_class => 'NON_RETRYABLE', error_code => 'NO_USE', message => 'it cannot work');
	my @dead = map { $t->wait_final($t->submit('fail', { %fatal })) } 1 .. 2;
	my $of = sub { (grep { $_->{task_type} eq 'fail' } @{ $t->get('/v1/dead/summary')->json->{causes} })[0] };
	wait_for(sub { ($of->() // { open => 0 })->{open} == 2 }, 30, 'the letters to be filed');
	my $cause = $of->();
	is($cause->{owner}, 'all', 'the summary tells whose they are');
	like($cause->{due_at}, qr/^\d{4}-/, 'and until when');
	my $letter = $t->get("/v1/dead/$dead[0]{id}")->json;
	is_deeply([@$letter{qw(owner due_at acknowledged_by)}], ['all', $cause->{due_at}, undef], 'so does the letter');
	is(ask('POST', { cause => $cause->{cause}, note => 'mine', due_at => '2100-01-01T00:00:00Z', %who }, '/v1/dead/acknowledge')->status, 200, 'acknowledged');
	is_deeply([@{ $of->() }{qw(acknowledged_by note)}], ['eve', 'mine'], 'the summary tells by whom');
	is_deeply([@{ $t->get("/v1/dead/$dead[0]{id}")->json }{qw(acknowledged_by note)}], ['eve', 'mine'], 'and the letter');
	like($of->()->{due_at}, qr/^2100-01-01T00:00:00/, 'with the new time');
	is($t->post("/v1/tasks/$dead[0]{id}/retry", { %who })->status, 200, 'one is retried');
	$t->wait_final($dead[0]);
	wait_for(sub { ($of->() // { open => 0 })->{open} == 2 }, 30, 'its new letter to be filed');
	is($of->()->{acknowledged_by}, 'eve', 'it is acknowledged as the others are');
	like($t->post('/v1/dead/discards', { filter => { cause => $cause->{cause} }, %who })->status, qr/^20[12]$/, 'all are discarded');
	wait_for(sub { acked($cause->{cause}) eq '- - false' }, 60, 'the end of the acknowledgement');
};

subtest 'overdue' => sub {
	my $before = $t->metric('taskq_dead_escalations_total');
	my $late = cause('late', 'other', fp(1), 3, 2);
	my $calm = cause('late', 'other', fp(99), 3);
	wait_for(sub { $t->metric('taskq_dead_overdue') == 1 }, 30, 'the metric');
	# the service did not understand twice
	wait_for(sub { told_of($late) >= 3 && $pg->psql("select escalated_at is not null from taskq.cause where id = $late") eq 't' }, 60, 'the event to be understood');
	my @events = told_of($late);
	is(scalar @events, 3, 'then it is not told again');
	my ($first, $last) = @events[0, -1];
	is($first->{head}{'webhook-id'}, $last->{head}{'webhook-id'}, 'it is one event, however often it is sent');
	my $mac = hmac_sha256_base64("$last->{head}{'webhook-id'}.$last->{head}{'webhook-timestamp'}." . $last->{body} =~ s/\n\z//r, decode_base64($secret =~ s/^whsec_//r));
	is($last->{head}{'webhook-signature'}, "v1,$mac=", 'signed');
	is($last->{event}{type}, 'taskq.dead.overdue', 'of its type');
	is_deeply([@{ $last->{event}{data} }{qw(cause owner queue task_type reason class code fingerprint open)}],
		[$late, 'print', 'late', 'other', 'NON_RETRYABLE', 'NON_RETRYABLE', 'NO_USE', fp(1), 2], 'of what');
	is($t->metric('taskq_dead_escalations_total') - $before, 1, 'counted once');
	is($t->metric('taskq_dead_escalation_failures_total'), 2, 'its failures too');
	my @lines = grep { /dead letters are overdue/ } $t->log_lines;
	is(scalar @lines, 1, 'one line of the log');
	like($lines[0], qr/level=crit.*cause=$late.*owner=print/, 'at crit');
	is(scalar told_of($calm), 0, 'what is not overdue is not told');
	# another due time is another event
	is(ask('POST', { cause => $late, due_in => 0.5, note => 'soon', %who }, '/v1/dead/acknowledge')->status, 200, 'acknowledged, with a time');
	wait_for(sub { told_of($late) >= 4 }, 60, 'that it is overdue again');
	@events = told_of($late);
	isnt($events[3]{head}{'webhook-id'}, $last->{head}{'webhook-id'}, 'that is another event');
	is_deeply([@{ $events[3]{event}{data} }{qw(acknowledged_by note)}], ['eve', 'soon'], 'and says who saw to it');
	resolve($_) for $late, $calm;
	wait_for(sub { $t->metric('taskq_dead_overdue') == 0 }, 30, 'nothing to be overdue');
	is(ask('DELETE', { %who })->status, 200, 'no owner of all');
	my $nobody = cause('nowhere', 'nothing', fp(98), 1e6);
	wait_for(sub { $t->metric('taskq_dead_unowned') == 1 }, 30, 'the metric of what has no owner');
	is($t->metric('taskq_dead_overdue'), 0, 'without an owner nothing is overdue');
};

is($t->stop, 0, 'taskqd drained');
done_testing;
