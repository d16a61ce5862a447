#!/usr/bin/perl
# A node that has no handler for a task leaves it to those that have one; when nobody has one it is a dead letter.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(wait_for);
use Test::More;

my $pg = Taskq::Postgres->new(private => 1);
my $has = Taskq->start(pg => $pg, config => "node = has\nhandler here { kind = builtin }\nhandler leased { kind = lease }");
wait_for(sub { $pg->psql("select count(*) from taskq.serves where name = 'here'") > 0 }, 30, 'its workers to say what they have');
my $lacks = Taskq->start(pg => $pg, config => "node = lacks\nwork { poll = 50ms }", migrate => 0);

# Their lanes are new to both, and the node that lacks the handler hears of them first.
my @tasks = map { $lacks->submit('here', {}, group => "g$_") } 1 .. 60;
is(scalar(grep { $lacks->wait_final($_, 60)->{status} eq 'succeeded' } @tasks), 60, 'all run where there is a handler');
my $leased = $lacks->submit('leased', {});
my $nobody = $lacks->submit('nobody', {});
is($lacks->wait_final($nobody, 60)->{error_code}, 'NO_HANDLER', 'what nobody has a handler for is a dead letter');
is($lacks->task($leased)->{status}, 'pending', 'what clients lease from another node waits for them');

is($has->stop, 0, 'the node with the handler ends');
is($pg->psql("select count(*) from taskq.serves where name = 'here'") + 0, 0, 'and takes with it what it said');
is($lacks->wait_final($lacks->submit('here', {}), 60)->{error_code}, 'NO_HANDLER', 'then nobody has it');
is($lacks->wait_final($leased, 60)->{error_code}, 'NO_HANDLER', 'nor the other');
is($lacks->stop, 0, 'drained');
done_testing;
