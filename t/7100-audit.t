#!/usr/bin/perl
# Every act of an operator is one row of the audit, written with what it did, and nothing takes a row out again: who, why, on what, how many.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Test::More;

my $t = Taskq->start(config => <<'CONF');
handler fail { kind = builtin builtin = fail }
handler noop { kind = builtin builtin = noop }
CONF
my $pg = Taskq->pg;

sub acts { my ($query) = @_; return $t->get('/v1/audit' . ($query // ''))->json->{items} }
sub told { return [map { [@$_{qw(act by why target n)}] } @{ acts(@_) }] }

is_deeply(acts(), [], 'nobody did anything yet');

subtest 'what is done to one task' => sub {
	my $dead = $t->wait_final($t->submit('fail', { error_class => 'NON_RETRYABLE', error_code => 'NO_USE', message => 'no' }));
	my %who = (by => 'eve', why => 'the relay is back');
	is($t->post("/v1/tasks/$dead->{id}/retry", { %who })->status, 200, 'a dead letter is retried');
	is_deeply(told(), [['retry', 'eve', 'the relay is back', { task => $dead->{id} }, 1]], 'and that is told');
	$t->wait_final($dead);
	my $late = $t->submit('noop', {}, delay => 3600);
	is($t->post("/v1/tasks/$late->{id}/cancel", '')->status, 200, 'a task is cancelled');
	is_deeply(told('?limit=1'), [['cancel', undef, undef, { task => $late->{id} }, 1]], 'told too, by nobody who said so');
	is($t->post("/v1/tasks/$late->{id}/cancel", { %who })->status, 200, 'cancelled again');
	is($t->post("/v1/tasks/$late->{id}/retry", { %who })->status, 409, 'what is refused');
	is(scalar @{ acts() }, 2, 'is no act: nothing was done');
	is($t->post("/tasks/$dead->{id}/retry", '')->status, 200, 'old clients');
	is_deeply(told('?limit=1'), [['retry', undef, undef, { task => $dead->{id} }, 1]], 'are told of as well');
};

subtest 'queues, types, handlers' => sub {
	my %who = (by => 'bob', why => 'disk');
	my %name = (queues => 'queue', types => 'type', handlers => 'handler');
	for my $path (qw(queues types handlers)) {
		for my $verb (qw(pause pause resume resume)) {
			is($t->post("/v1/$path/noop/$verb", { %who })->status, 200, "$verb");
		}
		is_deeply(told('?limit=2'), [map { [$_, 'bob', 'disk', { $name{$path} => 'noop' }, 1] } qw(resume pause)],
			"once each of $path, however often it was said");
	}
	is($t->post('/v1/handlers/noop/reset', { %who })->status, 200, 'a handler is reset');
	is_deeply(told('?limit=1'), [['handler.reset', 'bob', 'disk', { handler => 'noop' }, 1]], 'and that is told');
	is($t->post('/v1/handlers/none/reset', { %who })->status, 404, 'one that is not there is not');
	is(acts('?limit=1')->[0]{target}{handler}, 'noop', 'told');
};

subtest 'pages and filters' => sub {
	my $all = told();
	my (@seen, $cursor);
	for (1 .. 20) {
		my $page = $t->get('/v1/audit?limit=2' . (defined $cursor ? "&cursor=$cursor" : ''))->json;
		push @seen, map { [@$_{qw(act by why target n)}] } @{ $page->{items} };
		$cursor = $page->{next_cursor};
		last if !defined $cursor;
	}
	is_deeply(\@seen, $all, 'page by page it is the same');
	is_deeply([map { $_->{act} } @{ acts('?act=pause') }], [('pause') x 3], 'one act');
	is_deeply([map { $_->{act} } @{ acts('?by=eve') }], ['retry'], 'one operator');
	is(scalar @{ acts('?since=2000-01-01T00:00:00Z') }, scalar @$all, 'since long ago');
	is_deeply(acts('?since=2100-01-01T00:00:00Z'), [], 'since a time to come');
	# older than any page looks at in one go
	$pg->psql(q{insert into taskq.audit (act, by, why, target, n) select 'import', 'x', 'y', '{}', 1 from generate_series(1, 10050)});
	my $page = $t->get('/v1/audit?by=eve')->json;
	is_deeply($page->{items}, [], 'a look is bounded');
	is($t->get("/v1/audit?by=eve&cursor=$page->{next_cursor}")->json->{items}[0]{act}, 'retry', 'and goes on where it ended');
	my %bad = ('limit=0' => 'invalid_parameter', 'limit=1001' => 'invalid_parameter', 'cursor=x' => 'invalid_parameter',
		'since=yesterday' => 'invalid_parameter', 'act=' => 'invalid_parameter', 'who=eve' => 'unknown_parameter',
		'by=a&by=b' => 'repeated_parameter', 'cursor=9999999999999999999' => 'invalid_parameter');
	is($t->get("/v1/audit?$_")->json->{code}, $bad{$_}, "$_ is refused") for sort keys %bad;
};

subtest 'bad members' => sub {
	my $task = $t->submit('noop', {}, delay => 3600);
	my $before = acts('?limit=1')->[0]{id};
	for ({ by => 7 }, { why => 'x' x 501 }, { by => 'x' x 101 }, { who => 'eve' }) {
		like($t->post("/v1/tasks/$task->{id}/cancel", $_)->json->{code}, qr/^(?:invalid|unknown)_field$/, join ' ', %$_);
	}
	is($t->task($task)->{status}, 'pending', 'and nothing was done');
	is(acts('?limit=1')->[0]{id}, $before, 'or told');
};

subtest 'it is only appended to' => sub {
	my $n = $pg->psql('select count(*) from taskq.audit');
	for my $sql (q{update taskq.audit set by = 'nobody'}, 'delete from taskq.audit', 'truncate taskq.audit') {
		ok(!eval { $pg->psql($sql); 1 }, "$sql is refused");
		like($@, qr/only appended to/, 'with the reason');
	}
	is($pg->psql('select count(*) from taskq.audit'), $n, 'every row is there');
};

is($t->stop, 0, 'taskqd drained');
done_testing;
