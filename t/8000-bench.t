#!/usr/bin/perl
# scripts/bench gives figures for every scenario, and fails when what it measured was not what it should be: a fast error is no result.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command spawn srcdir temp_dir wait_for write_file);
use Test::More;

plan skip_all => 'a build is needed' if !-f builddir() . '/Makefile';
my $json = temp_dir('bench') . '/figures.json';

sub bench {
	my ($expected, @args) = @_;
	my ($status, $text) = slurp_command(command => [srcdir() . '/scripts/bench', '--self-test', '--build', builddir(), @args], seconds => 300);
	is($status, $expected, "bench --self-test @args") or diag($text);
	return $text;
}

# TASKQ_FULL=1: every scenario; otherwise one of each sort, those that share a taskqd side by side.
my @some = qw(submit-50 submit-1000 bulk replay replay-redis drain mix mix-held latency-50 wake rest list-differ-2 exec http lease);
my @chosen = $ENV{TASKQ_FULL} ? map { /^(\S+)/ ? $1 : () } split /\n/, bench(0, '--list') : @some;
my $pictures = temp_dir('pictures');
my $text = bench(0, '--json', $json, '--svg', $pictures, @chosen);
my $all = Taskq::HTTP::decode(read_file($json));
is($all->{postgres}{$_}, 'on', "$_ is on") for qw(fsync synchronous_commit full_page_writes);
my @mix = qw(rate self plain wal);
my @list = qw(rate p50_ms p99_ms);
my @times = qw(rate offered p50_ms p90_ms p99_ms worst_ms submit_p99_ms);
my %own = (list => \@list, get => \@list, map({ ("list-differ-$_" => [@list, 'wait_ms']) } 1, 2, 4, 10), drain => [qw(rate limit ratio wal batch)], map({ ("drain-$_" => [qw(rate limit ratio self wal batch)]) } qw(2m 10m)),
	mix => [qw(rate limit ratio wal)], 'mix-held' => \@mix, 'mix-beside' => \@mix, map({ ("latency-$_" => \@times) } 10, 50, 90), wake => [qw(p50_ms p99_ms)], rest => [qw(queries dirty_mib pss_mib)], 'rest-loaded' => [qw(dirty_mib pss_mib loaded_mib)],
	map({ ($_ => [qw(rate batch)]) } qw(pool pool-python exec http lease)));
for my $s (@{ $all->{scenarios} }) {
	next if $s->{skipped};
	my @has = $own{ $s->{name} } ? @{ $own{ $s->{name} } } : $s->{cpu_load} ? (qw(rate p50_ms p99_ms cpu_taskqd), $s->{limit} ? qw(limit ratio cpu_limit) : ()) : 'rate';
	my @nothing = grep { !$s->{$_} || !($s->{$_}{median} > 0) } @has;
	is("@nothing", '', "$s->{name} has its figures");
	like($text, qr/^\Q$s->{name}\E\b.*\d/m, 'and they are in the table');
}
my %ran = map { $_->{name} => $_ } grep { !$_->{skipped} } @{ $all->{scenarios} };
ok($ran{$_}, "$_ was run") for @some;
cmp_ok($ran{'latency-50'}{sent}{median}, '<=', 0.4 * $ran{'latency-50'}{offered}{median} + 1, 'an open load sends no more than its rate in 0.4 s');
my $counted = 0;
$counted += $_ for values %{ $ran{'latency-50'}{histogram} };
cmp_ok($counted, '>', 0, 'its histogram has tasks');
for my $picture (qw(ratios self connections-rate connections-latency)) {
	like(read_file("$pictures/$picture.svg") || '', qr{\A<svg .*</svg>\n\z}s, "$picture.svg is a picture");
}
like(read_file("$pictures/ratios.svg"), qr/submit-50/, 'with the scenarios in it');

# A run that is cut goes on where it was.
my $kept = temp_dir('results');
my $cut = spawn(name => 'bench', out => "$kept/log", command => [$^X, srcdir() . '/scripts/bench', '--self-test', '--build', builddir(), '--results', $kept, 'health', 'rest']);
wait_for(sub { -f "$kept/health.json" || !$cut->alive }, 60, 'the first result');
$cut->signal('TERM');
defined $cut->wait(60) or fail('a bench that is told to stop does');
my $first = read_file("$kept/health.json");
write_file("$kept/rest.json", $first =~ s/"payload" : \K\d+/999/r);
$text = bench(0, '--results', $kept, '--resume', '--json', $json, 'health', 'rest');
is(read_file("$kept/health.json"), $first, 'what was there is not run again');
like($text, qr/^bench: rest is run again: its result was made with another payload$/m, 'a result of other options is not taken');
$all = Taskq::HTTP::decode(read_file($json));
is(join(' ', map { $_->{name} } @{ $all->{scenarios} }), 'health rest', 'all are told');
ok($all->{scenarios}[0]{kept} && !$all->{scenarios}[1]{kept}, 'of which the first was kept and the last is new');
is_deeply($all->{scenarios}[0]{rate}, Taskq::HTTP::decode($first)->{result}{rate}, 'with the figures of the first run');
is(Taskq::HTTP::decode(read_file("$kept/rest.json"))->{made}{payload}, 200, 'and the rest is kept, too');

$text = bench(1, '--config', 'http { max_body = 1kB }', '--payload', 2000, 'submit-50');
like($text, qr/^bench: submit-50: \d+ answers were 413$/m, 'refused requests are no result');

done_testing;
