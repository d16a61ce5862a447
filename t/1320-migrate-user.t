#!/usr/bin/perl
# taskqd --migrate connects as the daemon will: started by root, as the configured user, whom a database with peer
# authentication knows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command unprivileged_user write_file);
use Test::More;

my $user = unprivileged_user() or plan skip_all => 'only root can become somebody else';
my $pg = Taskq::Postgres->new(private => 1);
write_file("$pg->{dir}/data/pg_hba.conf", "local all all peer map=tq\n");
write_file("$pg->{dir}/data/pg_ident.conf", "tq $user->[0] taskq\n");
$pg->restart;

my $t = Taskq->new(pg => $pg);
my @migrate = ($t->program, '-c', $t->config_path, '--migrate');
my ($status, $text) = slurp_command(command => \@migrate);
isnt($status, 0, 'root is nobody to this database');
like($text, qr/[Pp]eer authentication failed/, 'and it says so');
$t->configure("user = \"$user->[0]\"\n");
($status, $text) = slurp_command(command => \@migrate);
is($status, 0, "$user->[0] may") or diag($text);

done_testing;
