#!/usr/bin/perl
# A cached answer does not outlive what a failover lost: another timeline, another secret, or a cluster that does not say who it is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Cache;
use Taskq::Machine qw(write_file);
use Test::More;

plan skip_all => 'TASKQ_PG is not ours to promote' if $ENV{TASKQ_PG};
my $redis = Taskq::Redis->new(private => 1);
my $c = Taskq::Cache->new(address => $redis->address);
my $pg = Taskq->pg;
my $body = { task_type => 'mail', payload => { a => 1 } };
my $serial = 0;

sub cached {
	my ($key, $before) = ("k$$-" . ++$serial, $c->put('stored'));
	my $r = $c->first($key, $body);
	wait_for(sub { $c->put('stored') > $before }, 10, 'the answer to be put');
	return ($key, $r->json->{id});
}
# Its commit was lost, as a standby that was behind would have lost it.
sub lose { my ($id) = @_; $pg->psql("delete from taskq.idem where task_id = '$id'") }

subtest 'Postgres goes away' => sub {
	my ($key) = cached();
	$pg->stop('immediate');
	wait_for(sub { $c->on->get('/readyz')->status == 503 }, 20, 'it to be missed');
	my $hits = $c->result('hit');
	is($c->post('on', $key, $body)->status, 503, 'what is cached is not told meanwhile');
	is($c->result('hit'), $hits, 'nor asked for');
	$pg->start;
	$c->on->wait_ready;
	$c->off->wait_ready;
	$c->same($key, $body, 'back');
	cmp_ok($c->result('hit'), '>', $hits, 'the same life of the cluster: a hit');
};

subtest 'another timeline' => sub {
	my ($kept) = cached();
	my ($lost, $id) = cached();
	is($c->post('on', $lost, $body)->json->{id}, $id, 'it is cached');
	lose($id);
	$pg->stop('fast');
	write_file("$pg->{dir}/data/recovery.signal", '');
	my $auto = "$pg->{dir}/data/postgresql.auto.conf";
	write_file($auto, Taskq::Machine::read_file($auto) . "restore_command = 'false'\n");
	chown $pg->{user}[1], $pg->{user}[2], "$pg->{dir}/data/recovery.signal", $auto if $pg->{user};
	$pg->start;
	wait_for(sub { eval { $pg->psql('select pg_is_in_recovery()') } // '' eq 'f' }, 30, 'the promotion');
	like($pg->psql('select pg_walfile_name(pg_current_wal_lsn())'), qr/^00000002/, 'the second timeline');
	$_->wait_ready for $c->on, $c->off;
	my $hits = $c->result('hit');
	my $r = $c->post('on', $lost, $body);
	is($r->status, 202, 'what was lost is accepted');
	isnt($r->json->{id}, $id, 'as a new task');
	is($r->header('idempotent-replayed'), undef, 'not a replay of what is no more');
	$c->same($lost, $body, 'lost');
	my $misses = $c->result('miss');
	is($c->result('hit') - $hits, 2, 'put in the new life');
	$c->same($kept, $body, 'kept');
	cmp_ok($c->result('miss'), '>', $misses, 'what was not lost is asked of Postgres once');
	is(scalar(grep { /^taskq:\d+-2-/ } $redis->names), 2, 'names say the timeline');
};

subtest 'another secret' => sub {
	my ($key, $id) = cached();
	lose($id);
	$pg->psql(q(update taskq.meta set value = sha256('another') where name = 'cache_key'));
	my $old = $c->on->kill9('acceptor');
	wait_for(sub { my ($new) = $c->on->roles('acceptor'); $new && $new->{pid} != $old && $new->{ready} }, 20, 'another acceptor');
	$c->on->wait_ready;
	$c->wait_used;
	my $r = $c->post('on', $key, $body);
	isnt($r->json->{id}, $id, 'a new task');
	$c->same($key, $body, 'signed anew');
};

subtest 'it may not be known' => sub {
	$pg->psql('create role plain login; grant all on schema taskq to plain; grant all on all tables in schema taskq to plain;'
		. ' grant all on all sequences in schema taskq to plain; grant execute on all functions in schema taskq to plain;'
		. ' revoke execute on function pg_control_system() from public');
	my $before = scalar(() = $redis->names);
	my $conninfo = $pg->conninfo =~ s/user=\S+/user=plain/r;
	my $mute = Taskq::Cache->new(address => $redis->address, off => $c->off, config => "postgres { conninfo = \"$conninfo\" }", migrate => 0);
	my $key = "k$$-" . ++$serial;
	$mute->first($key, $body);
	$mute->same($key, $body, 'not known');
	is($mute->result('hit'), 0, 'nothing is asked');
	is(scalar(() = $redis->names), $before, 'nothing is put');
	my @said = grep { /postgres does not permit to ask which cluster it is/ } $mute->on->log_lines;
	is(scalar @said, 1, 'it is said once');
	is($mute->on->stop, 0, 'drained');
};

is($c->on->stop, 0, 'drained');
is($c->off->stop, 0, 'drained');
done_testing;
