#!/usr/bin/perl
# Behind PgBouncer in transaction mode every transaction may run on another server connection, which others use before and after.  Everything
# works there as elsewhere: with named statements where the pooler carries them, without where it cannot; our settings hold for each of
# our transactions and are nobody else's; and whatever is cut, each task ends once and each key has one answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Bouncer;
use Taskq::HTTP;
use Taskq::Machine qw(read_file slurp_command temp_dir write_file);
use Taskq::Postgres;
use Taskq::Truth;
use Test::More;

plan skip_all => Taskq::Bouncer->missing if Taskq::Bouncer->missing;
my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};
defined $python or plan skip_all => 'python3 is needed; scripts/packages test installs it';

# A handler may run as somebody who cannot enter the source tree.
my $dir = temp_dir('m');
chmod 0777, $dir;
write_file("$dir/pool.py", read_file("$FindBin::Bin/lib/storm/pool.py"), 0644);
write_file("$dir/journal", '', 0666);

my $pg = Taskq::Postgres->new(private => 1, fsync => 0, settings => { autovacuum => 'off' });
my $handlers = "acceptors = 2\nworkers = 2\nwork { poll = 100ms }\nkeys { recent = 0 }\npostgres { deadline = 1min }\nhandler work { kind = pool\n command = {\"$python\", \"$dir/pool.py\", \"$dir\"}\n" .
	" children = 2\n retry_base = 10ms\n retry_cap = 50ms }\n";
my ($bouncer, $t, %sent);
my $without = qr/named statements do not work through this pooler/;

# The excerpt of the manual is what is tried here.
my ($excerpt) = read_file("$FindBin::Bin/../src/conf/taskq.conf.5") =~ /example: pgbouncer\.ini\n.*?^\[pgbouncer\]\n(.*?)^\.Ed/ms;
my %manual = $excerpt =~ /^(\w+) = (\S+)$/mg;
delete $manual{max_prepared_statements} if !Taskq::Bouncer->carries_names;

# Few server connections for many of ours: each gets whatever is free.
sub behind {
	my ($config, %settings) = @_;
	$bouncer = Taskq::Bouncer->new($pg, %manual, default_pool_size => 4, %settings);
	$t = Taskq->new(pg => $pg, proxy => $bouncer, config => $handlers . ($config || ''));
	return;
}
sub post {
	my ($key, $body) = @_;
	my $r = $t->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => $key });
	$sent{ $r->json->{id} } = 1 if $r->{status} == 202;
	return $r;
}
sub work { my ($acts, %o) = @_; return { task_type => 'work', payload => { acts => $acts }, %o } }
my $serial = 0;
sub keys_of { my ($n) = @_; return map { 'k' . ++$serial } 1 .. $n }
sub open_tasks { return $pg->psql('select (select count(*) from taskq.task) - (select count(*) from taskq.done) - (select count(*) from taskq.dead where resolution is null)') }
sub all_end { return wait_for(sub { open_tasks() == 0 }, 60, 'all tasks to end') }

# What each transaction of ours runs under, and what others find.
sub watch_settings {
	$pg->psql(<<'SQL');
create table public.seen (what text primary key);
create function public.seen() returns trigger language plpgsql as $$
begin
	insert into public.seen values (concat_ws(' ', tg_table_name, current_setting('enable_seqscan'), current_setting('plan_cache_mode'),
		current_setting('statement_timeout'), quote_literal(current_setting('search_path')))) on conflict do nothing;
	return null;
end $$;
create trigger seen after insert on taskq.task execute function public.seen();
create trigger seen after insert on taskq.lease execute function public.seen();
create trigger seen after insert on taskq.done execute function public.seen();
SQL
	return;
}
sub settings_hold {
	is_deeply([split /\n/, $pg->psql('select what from public.seen order by what')], [map { "$_ off force_generic_plan 5s ''" } qw(done lease task)],
		'each transaction has our settings');
	my %found = map { $bouncer->psql('select pg_backend_pid(), current_setting(\'enable_seqscan\'), current_setting(\'statement_timeout\'), ' .
		'current_setting(\'search_path\')') => 1 } 1 .. 8;
	is_deeply([grep { !/^\d+\|on\|0\|"\$user", public$/ } keys %found], [], 'and nobody else: ' . keys(%found) . ' server connections');
	return;
}

# --- all that there is to do ------------------------------------------------------------------------------------------

sub submit_all {
	my ($key, $other) = keys_of(2);
	my $first = post($key, work('ok:1'));
	is($first->{status}, 202, 'a task is accepted');
	my @again = map { post($key, work('ok:1')) } 1 .. 4;
	is_deeply([map { "$_->{status} $_->{body}" } @again], [("202 $first->{body}") x 4], 'replays are the same bytes');
	is(post($key, work('ok:2'))->{status}, 422, 'another body is not');
	my @items = map { { idempotency_key => $_, %{ work('ok:1') } } } keys_of(30), $other, $other;
	my $r = $t->post('/v1/tasks/batch', \@items);
	is_deeply([@{ $r->json }{qw(accepted replayed)}], [31, 1], 'many in one body') or diag($r->{body});
	$sent{ $_->{id} } = 1 for @{ $r->json->{items} };
	return $first->json;
}

sub run_all {
	my ($first) = @_;
	my $retried = post(keys_of(1), work('transient:1 ok:1'))->json;
	my $later = post(keys_of(1), work('ok:1', delay => 1))->json;
	my $dead = post(keys_of(1), work('bad:1 ok:1'))->json;
	is($t->wait_final($first)->{status}, 'succeeded', 'a pool runs it');
	is($t->wait_final($retried)->{attempts}, 2, 'a second attempt');
	is($t->wait_final($later)->{status}, 'succeeded', 'one that was due later');
	is($t->wait_final($dead)->{status}, 'dead_letter', 'a dead letter');
	wait_for(sub { $pg->psql('select count(*) from taskq.dead where cause is null and resolution is null') == 0 }, 30, 'it to be filed');
	is($t->get("/v1/dead/$dead->{id}")->{status}, 200, 'is filed');
	my $sweep = $t->post('/v1/dead/replays', { filter => { task_type => 'work' }, by => 'test', why => 'mended' });
	is($sweep->{status}, 201, 'letters are replayed') or diag($sweep->{body});
	is($t->wait_status($dead, qr/^succeeded$/)->{status}, 'succeeded', 'and run');
	my $gone = post(keys_of(1), work('ok:1', delay => 3600))->json;
	is($t->post("/v1/tasks/$gone->{id}/cancel", {})->json->{status}, 'cancelled', 'a cancel');
	return;
}

sub look_all {
	my (@pages, $cursor) = ();
	do {
		push @pages, $t->get('/v1/tasks?limit=10' . ($cursor ? "&cursor=$cursor" : ''))->json;
		$cursor = $pages[-1]{next_cursor};
	} while (defined $cursor && @pages < 50);
	is_deeply([sort map { $_->{id} } map { @{ $_->{items} } } @pages], [sort keys %sent], 'the list has them all, page by page');
	return;
}

sub whole {
	$pg->psql('truncate public.seen');
	$t->launch;
	run_all(submit_all());
	all_end();
	look_all();
	settings_hold();
	like($t->log_wait(qr/msg=postgres .*through=/), qr/a pooler/, 'the log names the pooler');
	return;
}

# --- cuts -----------------------------------------------------------------------------------------------------------------

sub say { my ($r) = @_; return $r->{status} < 500 ? "$r->{status} $r->{body}" : undef }

# Each key on a connection of its own, all at once, and something happens meanwhile; what has no answer is asked again.  Then all once more.
sub round {
	my ($cut, $said) = @_;
	my ($unsure, %body) = (0, map { ($_ => work('ok:2')) } keys_of(10));
	$body{ (sort keys %body)[0] } = work('transient:1 ok:1');
	my %line = map { ($_ => $t->connect) } keys %body;
	$line{$_}->send_request('POST', '/v1/tasks', json => $body{$_}, headers => { 'Idempotency-Key' => $_ }, close => 1) for keys %line;
	$cut->();
	for my $key (sort keys %body) {
		my $first = eval { say($line{$key}->response) };
		$said->{$key}{$first}++ if defined $first;
		$unsure++ if !defined $first;
		my $again = wait_for(sub { my $r = eval { post($key, $body{$key}) }; $r && say($r) }, 30, "an answer for $key");
		$said->{$key}{$again}++;
	}
	return $unsure;
}

# No line of ours is cut.
sub restart { $bouncer->admin('PAUSE taskq'); $pg->restart('fast'); $bouncer->admin('RESUME taskq'); return }

# A process that connected anew just then learned it at the greeting.
sub noticed {
	for (1 .. 5) {
		return 1 if eval { $t->log_wait(qr/the pooler leads to a server that was started anew/, 5) };
		restart();
	}
	return 0;
}

sub storm {
	my @cuts = (sub { $bouncer->admin('RECONNECT') }, sub { $bouncer->admin('KILL taskq'); $bouncer->admin('RESUME taskq') },
		sub { $pg->psql('select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = \'taskq\' and pid <> pg_backend_pid()') },
		sub { $bouncer->kill9->start }, sub { $bouncer->admin('RELOAD') }, 
		\&restart);
	my %said;
	note('without an answer: ' . join ' ', map { round($_, \%said) } @cuts);
	is_deeply([grep { keys %{ $said{$_} } != 1 || (keys %{ $said{$_} })[0] !~ /^202 / } keys %said], [], 'each key has one answer');
	cmp_ok($t->metric('taskq_postgres_cuts_total'), '>', 0, 'lines were cut');
	ok(noticed(), 'what was remembered of a server is not believed of the next');
	all_end();
	my $truth = Taskq::Truth->read($pg, $dir);
	is_deeply([$truth->lost(\%sent)], [], 'each task is in one place at the end');
	is_deeply([$truth->done_twice, $truth->started_twice, $truth->overlaps], [], 'and ran under one lease at a time');
	is_deeply([$truth->results_wrong], [], 'with the result of that run');
	is_deeply([grep { !/progress/ } Taskq::Truth::leftovers($pg)], [], 'nothing is left behind');
	return;
}

# A table with dead rows: a vacuum cannot be in a transaction with settings.
sub die_in_ready {
	$pg->psql('begin; insert into taskq.ready (lane, prio, start, bucket, lo, hi, n) select 0, 0, u, 0, u, u, 1 from generate_series(1, 20000) g,' .
		' lateral (select gen_random_uuid() u where g > 0) x; delete from taskq.ready where lane = 0; commit');
	return;
}
sub vacuumed { return wait_for(sub { $pg->psql("select vacuum_count from pg_stat_user_tables where relid = 'taskq.ready'::regclass") }, 30, 'a vacuum') }

sub ended { is($t->stop, 0, 'taskqd drained'); $bouncer->kill9; return }

# --- which poolers ----------------------------------------------------------------------------------------------------------

my @cannot = Taskq::Bouncer->carries_names ? (max_prepared_statements => 0) : ();

subtest 'a pooler without named statements' => sub {
	behind("postgres { vacuum_late = 1s }\n", @cannot);
	$t->migrate;
	watch_settings();
	Taskq::Truth::witness($pg);
	die_in_ready();
	whole();
	wait_for(sub { post(keys_of(1), work('ok:1')); grep { $_ =~ $without } $t->log_lines }, 20, 'names to be given up');
	ok(vacuumed(), 'a table is vacuumed');
	storm();
	ended();
};

subtest 'the same, told before' => sub {
	behind("postgres { prepare = off }\n", @cannot);
	$t->launch;
	is($t->wait_final(submit_all())->{status}, 'succeeded', 'a task runs');
	all_end();
	is(scalar(grep { $_ =~ $without } $t->log_lines), 0, 'nothing had to be found out');
	ended();
};

subtest 'a pooler that carries named statements' => sub {
	plan skip_all => 'this pgbouncer is older than 1.21' if !Taskq::Bouncer->carries_names;
	behind();
	whole();
	storm();
	is(scalar(grep { $_ =~ $without } $t->log_lines), 0, 'they were kept');
	ended();
};

subtest 'a pooler in session mode' => sub {
	behind('', pool_mode => 'session', default_pool_size => 30);
	$t->launch;
	is($t->wait_final(post(keys_of(1), work('ok:1'))->json)->{status}, 'succeeded', 'a task runs');
	is(scalar(grep { $_ =~ $without } $t->log_lines), 0, 'with named statements');
	ended();
};

subtest 'a parameter that the pooler refuses' => sub {
	behind();
	my $options = $bouncer->conninfo('taskq') . " options='-c work_mem=8MB'";
	write_file($t->config_path, read_file($t->config_path) . "postgres { conninfo = \"$options\" }\n");
	my ($status, $text) = slurp_command(command => [$t->program, '-c', $t->config_path, '--migrate']);
	is($status, 69, 'taskqd --migrate does not go on');
	like($text, qr/unsupported startup parameter.*options/, 'and says which');
	$bouncer->kill9;
};

done_testing;
