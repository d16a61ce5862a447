#!/usr/bin/perl
# Tasks of one ordering key run one at a time and in their order: through retries, priorities, a bulk and the death of a worker; those of different
# keys run beside each other.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file);
use Test::More;

my $dir = temp_dir('o');
chmod 0777, $dir;
# Notes begin and end of n under the key; where n fails once it does at its first run.
write_file("$dir/step", <<"SH", 0755);
#!/bin/sh
read -r line
n=\${line##*\\"n\\":}; n=\${n%%[,\\}]*}
key=\${line##*\\"key\\":\\"}; key=\${key%%\\"*}
echo "+\$n" >>$dir/\$key
if [ -e $dir/fail.\$key.\$n ]; then rm $dir/fail.\$key.\$n; echo "!\$n" >>$dir/\$key; exit 1; fi
while [ -e $dir/shut.\$key ]; do sleep 0.02; done
sleep 0.01
echo "-\$n" >>$dir/\$key
SH
my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->start(pg => $pg, config => <<"CONF");
workers = 2
handler step { command = {"$dir/step"}
 retry_base = 50ms
 retry_cap = 100ms }
work { slots = 4
 poll = 100ms }
CONF

sub submit { my ($key, $n, %o) = @_; return $t->submit('step', { key => $key, n => $n }, ordering_key => $key, %o) }
sub story { my ($key) = @_; return join ' ', split ' ', read_file("$dir/$key") || '' }
sub ran { return join ' ', map { "+$_ -$_" } @_ }

# Three keys at the same time; the second of each fails once, the fourth is urgent, the fifth waits for its time.
my %tasks;
for my $key (qw(a b c)) {
	write_file("$dir/fail.$key.2", '');
	chmod 0666, "$dir/fail.$key.2";
}
for my $n (1 .. 6) {
	push @{ $tasks{$_} }, submit($_, $n, $n == 4 ? (priority => 90) : (), $n == 5 ? (delay => 1) : ()) for qw(a b c);
}
is($tasks{a}[0]{ordering_key}, 'a', 'the key is shown');
for my $key (qw(a b c)) {
	is($t->wait_final($_, 60)->{status}, 'succeeded', "$key: $_->{payload}{n}") for @{ $tasks{$key} };
	is(story($key), '+1 -1 +2 !2 +2 -2 ' . ran(3 .. 6), "$key ran in its order, one at a time");
}

# Different keys run beside each other, the same one does not.
write_file("$dir/shut.$_", '') for qw(d e);
my @shut = map { my $n = $_; map { submit($_, $n) } qw(d e) } 1 .. 3;
wait_for(sub { story('d') eq '+1' && story('e') eq '+1' }, 30, 'both keys to run');
is($pg->psql('select count(*) from taskq.lease where counted'), 2, 'one of each');

# The worker that has d dies; what it ran is run again before its successors.
my $inc = $pg->psql("select x.worker from taskq.lease x join taskq.lane l on l.id = x.lane where l.ord = 'd'");
my @lines = grep { /registered as a worker/ && /\binc=$inc\b/ } $t->log_lines;
my ($pid) = map { /\bpid=(\d+)/ ? $1 : () } @lines;
ok(defined $pid && kill('KILL', $pid), 'the worker is killed');
wait_for(sub { story('d') eq '+1 +1' }, 30, 'its task to run again');
unlike(story($_), qr/\+2/, "$_: nothing has passed it") for qw(d e);
unlink "$dir/shut.$_" for qw(d e);
is($t->wait_final($_, 60)->{status}, 'succeeded', "$_->{payload}{key}: $_->{payload}{n}") for @shut;
like(story($_), qr/^\+1 (?:\+1 )*-1 \+2 -2 \+3 -3$/, "$_ in its order") for qw(d e);

# A dead letter lets its successors go; a bulk is in its order.
write_file("$dir/fail.f.1", '');
chmod 0666, "$dir/fail.f.1";
my $dead = submit('f', 1, max_attempts => 1);
my $next = submit('f', 2);
is($t->wait_final($dead)->{status}, 'dead_letter', 'a dead letter');
is($t->wait_final($next)->{status}, 'succeeded', 'holds nobody up');
is(story('f'), '+1 !1 +2 -2', 'in their order');

# Retried by hand it is the oldest of its key again.
write_file("$dir/shut.f", '');
my @later = map { submit('f', $_) } 3, 4;
wait_for(sub { story('f') =~ /\+3$/ }, 30, 'one to run');
is($t->post("/v1/tasks/$dead->{id}/retry", '')->status, 200, 'the dead letter is retried by hand');
unlink "$dir/shut.f";
is($t->wait_final($_)->{status}, 'succeeded', "f: $_->{payload}{n}") for $dead, @later;
is(story('f'), '+1 !1 +2 -2 +3 -3 +1 -1 +4 -4', 'it runs before those that wait');
my $bulk = join '', map { qq({"task_type":"step","ordering_key":"g","idempotency_key":"g$_","payload":{"key":"g","n":$_}}\n) } 1 .. 60;
is($t->post('/v1/tasks/batch', $bulk, headers => { 'Content-Type' => 'application/x-ndjson' })->{status}, 200, 'a bulk');
wait_for(sub { story('g') =~ /-60$/ }, 60, 'the bulk to run');
is(story('g'), ran(1 .. 60), 'the bulk ran in its order');

is($t->stop, 0, 'taskqd drained');
done_testing;
