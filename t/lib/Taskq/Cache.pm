# Cache.pm - two taskqd on one database, one with Redis and one without: whatever Redis does, both answer the same bytes.
#
#	my $c = Taskq::Cache->new(address => $redis->address, config => 'redis { timeout = 5ms }');     else it is patient
#	$c->same('k1', { task_type => 'a' }, 'absent');       a replay and a mismatch, asked of both, compared
#	is($c->result('hit'), 1, 'redis gave it');
package Taskq::Cache;
use strict;
use warnings;
use Taskq;
use Test::More ();

my $asked = "keys { recent = 0 }\n"; # or nobody would be asked

sub new {
	my ($class, %o) = @_;
	my $self = bless { off => $o{off} || Taskq->start(config => "workers = 0\n$asked") }, $class;
	$self->{on} = Taskq->start(config => "workers = 0\n${asked}redis { address = \"$o{address}\" fill = new timeout = 1s }\n" . ($o{config} || ''),
		map { exists $o{$_} ? ($_ => $o{$_}) : () } 'migrate');
	$self->wait_used if !exists $o{used} || $o{used};
	return $self;
}

sub on { return $_[0]{on} }
sub off { return $_[0]{off} }
sub wait_used { my ($self) = @_; wait_for(sub { $self->{on}->metric('taskq_redis_connections_ready') }, 20, 'redis to be used'); return $self }
sub wait_left { my ($self) = @_; wait_for(sub { $self->{on}->metric('taskq_redis_breakers_open') }, 20, 'redis to be left alone'); return $self }
sub result { my ($self, $result) = @_; return $self->{on}->metric('taskq_idempotency_cache_total', result => $result) }
sub put { my ($self, $result) = @_; return $self->{on}->metric('taskq_idempotency_cache_puts_total', result => $result) }

# What the answer says, without what is of this very request.
sub text {
	my ($r) = @_;
	my $head = join "\n", grep { !/^(?:date|x-request-id|request-id):/i } split /\r\n/, $r->{head};
	my $id = $r->header('x-request-id') // $r->header('request-id');
	my $text = "$head\n\n$r->{body}";
	$text =~ s/\Q$id\E/REQUEST/g if defined $id;
	return $text;
}

sub post {
	my ($self, $which, $key, $body) = @_;
	return $self->{$which}->post('/v1/tasks', $body, headers => { 'Idempotency-Key' => $key });
}

# A new task by the daemon with Redis; its answer.
sub first {
	my ($self, $key, $body) = @_;
	my $r = $self->post('on', $key, $body);
	die "a first submission was answered with $r->{status}: $r->{body}\n" if $r->{status} != 202 || defined $r->header('idempotent-replayed');
	return $r;
}

# The same again and another body under the same key, of both.  True when both said the same.
sub same {
	my ($self, $key, $body, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $good = 1;
	for my $b ($body, { %$body, payload => { another => 'body' } }) {
		my ($on, $off) = map { $self->post($_, $key, $b) } 'on', 'off';
		my $status = $b == $body ? 202 : 422;
		$good &= Test::More::is($off->status, $status, "$what: $key: without redis $status");
		$good &= Test::More::is(text($on), text($off), "$what: $key: with redis the same bytes");
	}
	return $good;
}

# As many tasks as keys.
sub count_is {
	my ($self, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is(Taskq->pg->psql('select count(*) = count(distinct i.digest) and count(*) = (select count(*) from taskq.task) from taskq.idem i'),
		't', $what);
}

1;
