#!/usr/bin/perl
# What the migrations make is what sql/snapshot.sql says, so that a reader sees the whole schema in one place and a change shows in a
# diff.  UPDATE=1 t/1310-snapshot.t writes it anew.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command srcdir read_file write_file);
use Taskq::Postgres;
use Test::More;

my $pg = Taskq->pg(fsync => 0);
my $t = Taskq->new(pg => $pg);
$t->migrate;

# The partitions of the days are left out: they change with the date.
sub dump_schema {
	my ($status, $dump) = slurp_command(command => [Taskq::Postgres::bindir() . '/pg_dump', '--schema-only', '--schema=taskq', '--no-owner',
		'--exclude-table=taskq.*_20[0-9][0-9]*', '-d', $pg->conninfo]);
	is($status, 0, 'pg_dump') or diag($dump);
	$dump =~ s/^--.*\n//mg;
	$dump =~ s/^(?:SET|SELECT pg_catalog|\\(?:un)?restrict).*\n//mg;
	$dump =~ s/\n{2,}/\n\n/g;
	$dump =~ s/\A\n+//;
	return $dump;
}
my $dump = dump_schema();
my $path = srcdir() . '/sql/snapshot.sql';
my $head = "-- snapshot.sql: the schema that the migrations make; t/1310-snapshot.t compares and, with UPDATE=1, writes it.\n\n";
write_file($path, $head . $dump) if $ENV{UPDATE};
is($head . $dump, read_file($path), 'the migrated schema is the committed one');

$t->migrate;
is(dump_schema(), $dump, 'migrating again changes nothing');
done_testing;
