#!/usr/bin/perl
# scripts/bench gives figures for every scenario, and fails when what it measured was not what it should be: a fast error is no result.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command srcdir temp_dir);
use Test::More;

plan skip_all => 'a build is needed' if !-f builddir() . '/Makefile';
my $json = temp_dir('bench') . '/figures.json';

sub bench {
	my ($expected, @args) = @_;
	my ($status, $text) = slurp_command(command => [srcdir() . '/scripts/bench', '--self-test', '--build', builddir(), @args], seconds => 120);
	is($status, $expected, "bench --self-test @args") or diag($text);
	return $text;
}

my $text = bench(0, '--json', $json);
my $all = Taskq::HTTP::decode(read_file($json));
is($all->{postgres}{$_}, 'on', "$_ is on") for qw(fsync synchronous_commit full_page_writes);
my %own = (list => [qw(rate p50_ms p99_ms)], get => [qw(rate p50_ms p99_ms)], drain => [qw(rate limit ratio wal batch)], mix => [qw(rate limit ratio wal)], wake => [qw(p50_ms p99_ms)], rest => [qw(queries dirty_mib pss_mib)]);
for my $s (@{ $all->{scenarios} }) {
	next if $s->{skipped};
	my @has = $own{ $s->{name} } ? @{ $own{ $s->{name} } } : (qw(rate p50_ms p99_ms cpu_taskqd), $s->{goal} && $s->{goal}{ratio} ? qw(limit ratio cpu_limit) : ());
	my @nothing = grep { !$s->{$_} || !($s->{$_}{median} > 0) } @has;
	is("@nothing", '', "$s->{name} has its figures");
	like($text, qr/^\Q$s->{name}\E\b.*\d/m, 'and they are in the table');
}
my %ran = map { $_->{name} => 1 } grep { !$_->{skipped} } @{ $all->{scenarios} };
ok($ran{$_}, "$_ was run") for qw(submit-50 submit-200 bulk replay replay-redis replay-postgres health list get drain mix wake rest);

$text = bench(1, '--config', 'http { max_body = 1kB }', '--payload', 2000, 'submit-50');
like($text, qr/^bench: submit-50: \d+ answers were 413$/m, 'refused requests are no result');

done_testing;
