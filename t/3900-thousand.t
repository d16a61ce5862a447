#!/usr/bin/perl
# A thousand real commands on real files: the sha256 of documentation files, each compared with what Perl computes.
use strict;
use warnings;
use Digest::SHA;
use File::Find;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(temp_dir write_file);
use Test::More;

my @files;
find({ no_chdir => 1, wanted => sub {
	push @files, $_ if @files < 1000 && -f $_ && !-l $_ && -r _ && -s _ < 1_000_000 && m{^[\w./+-]+$};
} }, '/usr/share/doc', '/usr/include', '/usr/share/perl5');
@files = (@files) x (1 + int(1000 / @files)) if @files < 1000;
@files = @files[0 .. 999];

my $dir = temp_dir('x');
my $script = "$dir/sha256";
write_file($script, <<'SH');
#!/bin/sh
path=$(sed -n 's/.*"payload":{"path":"\([^"]*\)"}.*/\1/p')
set -- $(sha256sum "$path") && printf '{"sha256":"%s"}' "$1"
SH
chmod 0755, $script;
my $t = Taskq->start(config => "workers = 2\nhandler sha256 { command = {\"$script\"} }");

my $c = $t->connect;
my @ids;
for my $n (0 .. $#files) {
	my $r = $c->request('POST', '/v1/tasks', json => { task_type => 'sha256', payload => { path => $files[$n] } },
		headers => { 'Idempotency-Key' => "file-$n" });
	is($r->{status}, 202, 'accepted') or BAIL_OUT($r->{body}) if $r->{status} != 202;
	push @ids, $r->json->{id};
}
is(scalar @ids, 1000, 'a thousand tasks were accepted');
wait_for(sub { $t->pg->psql('select count(*) from taskq.done where status = 1') == 1000 }, 120, 'a thousand tasks to succeed');

my $wrong = 0;
for my $n (0 .. $#files) {
	my $task = $c->request('GET', "/v1/tasks/$ids[$n]")->json;
	my $want = Digest::SHA->new(256)->addfile($files[$n])->hexdigest;
	next if $task->{status} eq 'succeeded' && $task->{result}{sha256} eq $want && $task->{attempts} == 1;
	diag("$files[$n]: " . explain($task)) if !$wrong++;
}
is($wrong, 0, 'each with the right result, at the first attempt');
is($t->stop, 0, 'taskqd drained');
done_testing;
