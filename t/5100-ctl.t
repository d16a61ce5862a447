#!/usr/bin/perl
# taskqctl decides about dead letters of a real daemon: every verb, its exit status, what it shows; and the runbook knows every reason.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Taskq;
use Taskq::Machine qw(free_port read_file slurp_command srcdir temp_dir wait_for write_file);
use Taskq::Postgres;
use Test::More;

my $dir = temp_dir('h');
chmod 0777, $dir;
write_file("$dir/dies", "#!/bin/sh\ncat >/dev/null\ntest -e $dir/works && exit 0\necho 'no disk' >&2\nexit 65\n");
chmod 0755, "$dir/dies";
my $config = "handler dies { command = {\"$dir/dies\"} }\nhandler other { command = {\"$dir/dies\"} }\nwork { poll = 100ms }\n";
my $t = Taskq->start(config => $config);
my $ctl = Taskq->program('taskqctl');
my ($status, $err);

# Runs it; returns what it printed, sets $status and $err.
sub ctl_of {
	my ($daemon, @words) = @_;
	($status, my $out) = slurp_command(command => ['/bin/sh', '-c', 'exec "$0" "$@" 2>' . "$dir/err", $ctl, '-d', $daemon->run_dir, @words]);
	$status >>= 8 if $status > 255;
	$err = read_file("$dir/err");
	return $out;
}
sub ctl { return ctl_of($t, @_) }
sub json_of { my $out = ctl(@_, '--json'); return eval { JSON::PP->new->utf8->decode($out) } || { no_json => $out, err => $err, status => $status } }
sub shows { my ($pattern, $what, @words) = @_; like(ctl(@words), $pattern, $what) or diag "status $status: $err"; is($status, 0, "$words[0] " . ($words[1] || '') . ': 0') }
sub refuses { my ($code, $pattern, $what, @words) = @_; ctl(@words); is($status, $code, "$what: $code") or diag $err; like($err, $pattern, 'in words') }
my @why = ('--by', 'ann', '--why', 'a test');

my @ids = map { $t->submit('dies', { i => $_ }, queue => 'disks', schema_version => '2', labels => { n => "n$_" })->{id} } 1 .. 4;
push @ids, $t->submit('other', {}, queue => 'mail')->{id};
$t->wait_final($_) for @ids;
wait_for(sub { Taskq->pg->psql('select count(*) from taskq.dead where cause is not null') == 5 }, 30, 'the letters to be filed');

# looking
shows(qr/^5 open letters\n.*\bdisks\b.*\bmail\b/s, 'summary', qw(dead summary));
my $sum = json_of(qw(dead summary));
is($sum->{open}, 5, 'the same for programs') or diag explain $sum;
my ($cause) = map { $_->{cause} } grep { $_->{queue} eq 'disks' } @{ $sum->{causes} };
shows(qr/^CAUSE .*^ *$cause +4 /ms, 'a row for each cause', qw(dead summary --queue disks));
shows(qr/^ID .*\n(?:[0-9a-f-]{36} .*EX_DATAERR.*\n){4}\z/, 'list', qw(dead list --cause), $cause);
shows(qr/--cursor \S+/, 'a page tells of the next', qw(dead list --page 2));
is(@{ json_of(qw(dead list --label n=n2))->{items} }, 1, 'by label');
is(@{ json_of(qw(dead list --died-after 1h))->{items} }, 5, 'of the last hour');
is(@{ json_of('dead', 'list', '--id', $ids[0], "--id=$ids[1]")->{items} }, 2, 'by ids');
shows(qr/^id +$ids[0]\n.*^stderr +no disk\n.*^history\nrun /ms, 'show', qw(dead show), $ids[0]);
shows(qr/^QUEUE +STATE +T .*^disks +dead +4 /ms, 'qshape', 'qshape');
shows(qr/^disks +dies +dead +4 /m, 'by type', qw(qshape --per type));

# whose
shows(qr/owner +north/, 'own', qw(dead own north --of-queue disks --sla 4h), @why);
shows(qr/^disks .* north +14400/m, 'owners', qw(dead owners));
shows(qr/^acknowledged +1$/m, 'acknowledge', qw(dead acknowledge --cause), $cause, qw(--note looking --due-in 2h), @why);
shows(qr/\bnorth\b.*\bann\b/, 'the summary knows both', qw(dead summary --queue disks));
shows(qr/changed +yes/, 'disown', qw(dead disown --of-queue disks), @why);

# blocks
shows(qr/dies/, 'block', qw(dead block dies --of-version 2), @why);
shows(qr/^dies +2 .*\bann +a test$/m, 'blocks', qw(dead blocks));
is(json_of(qw(dead replay --queue disks --dry-run), @why)->{blocked}, 4, 'a replay would be blocked');
shows(qr/changed +yes/, 'unblock', qw(dead unblock dies --of-version 2), @why);

# acting
is(json_of(qw(dead replay --queue disks --dry-run), @why)->{count}, 4, 'a dry run counts');
is(Taskq->pg->psql('select count(*) from taskq.sweep'), 0, 'and does nothing');
write_file("$dir/works", '');
my $replay = json_of(qw(dead replay --queue disks --rate 50 --slow-start 0s --canary 1 --stop-share 50 --concurrency 3), @why);
my $number = $replay->{id};
ok($number, 'replay') or diag explain $replay;
wait_for(sub { (json_of(qw(dead progress), $number)->{state} || '') eq 'done' }, 60, 'the replay to end');
shows(qr/^moved +4$/m, 'progress', qw(dead progress), $number);
shows(qr/^ *$number +replay +done +.*\bann +a test$/m, 'replays', qw(dead replays));
refuses(65, qr/\S/, 'what has ended cannot be paused', qw(dead pause), $number, @why);
unlink "$dir/works";
my @more = map { $t->submit('other', {}, queue => 'mail')->{id} } 1 .. 3;
$t->wait_final($_) for @more;
wait_for(sub { Taskq->pg->psql('select count(*) from taskq.dead where cause is null') == 0 }, 30, 'more letters to be filed');
my $slow = json_of(qw(dead replay --queue mail --rate 0.001 --canary 0 --stop-share 100), @why)->{id};
for (['pause', 'paused'], ['resume', 'running'], ['cancel', 'cancelled']) {
	my ($verb, $state) = @$_;
	ctl('dead', $verb, $slow, @why);
	is($status, 0, "$verb: 0") or diag $err;
	is(json_of(qw(dead progress), $slow)->{state}, $state, "it is $state");
}
# one of them may have run again
wait_for(sub { Taskq->pg->psql('select count(*) from taskq.dead where resolution is null and cause is not null') == 4 }, 30, 'all to be letters again');

# moved elsewhere
ctl(qw(dead export --queue mail));
is($status, 0, 'export: 0');
my $lines = ctl(qw(dead export));
my $n = () = $lines =~ /^\{"id"/mg;
like($lines, qr/\n\{"end":true,"letters":$n\}\n\z/, 'export, whole');
write_file("$dir/lines", $lines);
my $u = Taskq->start(config => $config, pg => Taskq::Postgres->new(fsync => 0));
like(ctl_of($u, qw(dead import --file), "$dir/lines", @why), qr/^imported +$n$/m, 'import elsewhere') or diag $err;
is("$status $err", '0 ', 'import: 0, without a word');
like(ctl_of($u, qw(dead import --file), "$dir/lines", @why), qr/^exists +$n$/m, 'a second time nothing happens');
write_file("$dir/broken", "{\"id\":1}\n");
like(ctl_of($u, qw(dead import --file), "$dir/broken", @why), qr/^ *1 +invalid .*#\/id/m, 'a broken line is shown');
is($status, 65, 'and is an error');
like($err, qr/may have been cut/, 'which also says that the end is missing');
refuses(66, qr/could not open/, 'no such file', qw(dead import --file), "$dir/nothing", @why);
$u->stop;

# the end of letters
is(json_of(qw(dead fix --id), $more[0], @why)->{act}, 'fix', 'fix');
wait_for(sub { $t->task($more[0])->{status} eq 'failed' }, 30, 'the fix');
is(json_of(qw(dead discard --queue mail), @why)->{act}, 'discard', 'discard');
wait_for(sub { json_of(qw(dead summary))->{open} == 0 }, 30, 'nothing to be left');
my %acts = map { $_->{act} => $_ } @{ json_of(qw(audit --page 100))->{items} };
is_deeply([grep { !$acts{$_} } qw(owner.set owner.drop acknowledge block.set block.drop replay replay.pause replay.resume replay.cancel fix discard)], [],
	'the audit has them all');
shows(qr/^AT .*\n(?:.* owner\.set +ann .*a test\n)\z/, 'audit', qw(audit --act owner.set --actor ann --since 1h));

# exit statuses
refuses(64, qr/is no option of this verb/, 'a wrong option', qw(dead list --colour red));
refuses(64, qr/needs a value/, 'no value', qw(dead list --queue));
refuses(64, qr/no such verb: "dead bury"/, 'a wrong verb', qw(dead bury));
refuses(64, qr/usage: taskqctl dead show ID/, 'no argument', qw(dead show));
refuses(64, qr/expected a time/, 'no time', qw(dead list --died-after soon));
refuses(65, qr/empty_filter/, 'a filter that narrows nothing, in the words of the daemon', qw(dead discard), @why);
refuses(65, qr/invalid_filter.*"reason"/, 'an unknown reason', qw(dead list --reason BORED));
refuses(65, qr/missing_field.*why/, 'no reason why', qw(dead discard --queue mail --by ann));
refuses(65, qr/not_found/, 'no such letter', qw(dead show 01890000-0000-7000-8000-000000000000));
($status) = slurp_command(command => [$ctl, '-u', 'http://127.0.0.1:' . free_port(), 'dead', 'summary']);
$status >>= 8 if $status > 255;
is($status, 69, 'nobody there: 69');
shows(qr/^  --rate +letters per second$/m, 'help of a verb', qw(dead replay --help));

# the runbook
my $book = read_file(srcdir() . '/src/ctl/taskq-operations.7');
my $dead = read_file(srcdir() . '/src/task/task_dead.c');
my ($list) = $dead =~ /task_dead_reasons\[\] = \{(.*?)\};/s;
my @reasons = $list =~ /"([A-Z_]+)"/g;
cmp_ok(scalar @reasons, '>=', 8, 'reasons are known');
my ($told) = read_file(srcdir() . '/src/http/taskq-api.7') =~ /^\.It Li reason\n(.*?)^\.It/ms;
is_deeply([grep { my $word = $_; $book !~ /^\.It (?:[A-Z_]+ , )*$word\b/m } @reasons], [], 'the runbook explains each');
is_deeply([grep { $told !~ /\b$_\b/ } @reasons], [], 'and taskq-api(7) names each');
is_deeply([grep { my $word = $_; !grep { $_ eq $word } @reasons } $told =~ /\b([A-Z]+_[A-Z_]+)\b/g], [], 'and no other');
done_testing;
