#!/usr/bin/perl
# A running task shows how far it is, as it said last and only while it runs; what its runs said is gone afterwards.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file temp_dir write_file wait_for);
use Test::More;

my $dir = temp_dir('p');
chmod 0755, $dir;
# Says what its payload has it say, then waits until a file is there.
write_file("$dir/child", <<'EOT');
#!/usr/bin/perl
use strict;
$| = 1;
while (my $line = <STDIN>) {
	my %said = map { my $name = $_; $name => $line =~ /"$name":"([^"]*)"/ ? $1 : '' } qw(percent note file);
	my ($lease) = $line =~ /"lease":"(\w+)"/;
	for my $n (split / /, $said{percent}) {
		print "{\"lease\":\"$lease\",\"progress\":$n,\"note\":\"$said{note} $n\"}\n";
	}
	select undef, undef, undef, 0.02 until -e $said{file};
	print "{\"lease\":\"$lease\",\"result\":\"$lease\"}\n";
}
EOT
chmod 0755, "$dir/child";
my $t = Taskq->start(config => <<"CONF");
handler say { kind = pool command = {"$dir/child"} children = 3 }
handler echo { kind = builtin builtin = echo }
handler once { command = { "/bin/sh", "-c", "cat >$dir/envelope; mv $dir/envelope $dir/told; while [ ! -e $dir/enough ]; do sleep 0.02; done" } }
work { poll = 100ms }
CONF
my $gates = 0;
sub say_it { my ($percent, $note) = @_; my $gate = "$dir/gate" . ++$gates; return ($t->submit('say', { percent => $percent, note => $note, file => $gate }), $gate) }
sub open_gate { my ($gate) = @_; write_file($gate, ''); return }
sub progress { my ($task) = @_; return $t->task($task)->{progress} }
sub rows { chomp(my $n = Taskq->pg->psql('select count(*) from taskq.progress', db => $t->{db})); return $n }

my ($task, $gate) = say_it('10 20 42.7', 'page');
my $p = wait_for(sub { my $p = progress($task); $p && $p->{percent} == 42 && $p }, 20, 'its last word');
is($p->{note}, 'page 42.7', 'with its note');
like($p->{at}, qr/^\d{4}-\d\d-\d\dT/, 'and its time');
is($t->task($task)->{status}, 'processing', 'it is running');

my ($other, $gate2) = say_it('7', 'x' x 800);
$p = wait_for(sub { progress($other) }, 20, 'progress of another');
is($p->{percent}, 7, 'each has its own');
is(length $p->{note}, 500, 'a long note is cut');
is(progress($task)->{percent}, 42, 'the first is where it was');
my ($silent, $gate3) = say_it('', '');
$t->wait_status($silent, qr/^processing$/);
ok(!exists $t->task($silent)->{progress}, 'who says nothing shows nothing');
is_deeply([grep { exists $_->{progress} } @{ $t->get('/v1/tasks')->json->{items} }], [], 'a list shows none');

open_gate($_) for $gate, $gate2, $gate3;
my $lease = $t->wait_final($task)->{result};
ok(!exists $t->task($task)->{progress}, 'a task that is over shows none');
is($t->wait_final($other)->{status}, 'succeeded', 'the other one too');

# A command tells it by the lease of its envelope.
chmod 0777, $dir;
my $once = $t->submit('once', {});
wait_for(sub { -e "$dir/told" }, 20, 'a command to have its envelope');
my ($token) = read_file("$dir/told") =~ /"lease":"(\w+)"/;
is($t->post("/v1/leases/$token/heartbeat", { progress => 61, note => 'by hand' })->status, 200, 'a command may say how far it is');
is_deeply([@{ progress($once) }{qw(percent note)}], [61, 'by hand'], 'which is shown');
write_file("$dir/enough", '');
is($t->wait_final($once)->{status}, 'succeeded', 'it ends as ever');
is($t->post("/v1/leases/$token/heartbeat", { progress => 62 })->json->{code}, 'lease_gone', 'and has no more to say');

# What was left behind goes; the keeper's walk is a slow one, so it gets another beginning.
cmp_ok(rows(), '<=', 3, 'a row at most for each');
$t->kill9('keeper', 0);
wait_for(sub { rows() == 0 }, 60, 'the rows to be taken away');
pass('nothing is left behind');
is($t->stop, 0, 'drained');
done_testing;
