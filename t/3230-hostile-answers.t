#!/usr/bin/perl
# Answers of handlers that mean harm, of every kind: what comes to the database and out of the API again is JSON in UTF-8, in bounds and without
# control characters; a result is passed on byte for byte; and services that must not be called hear nothing, however their address is written.
use strict;
use warnings;
use Encode ();
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Taskq::Service;
use Test::More;

use constant POOLS => 12; # so that none waits for another whose children were killed

my $s = Taskq::Service->start;
my $pools = 0;
my $dir = temp_dir('h');
chmod 0755, $dir;

# Says what the payload tells, with the lease where L stands; as a command, or as a child that stays.
write_file("$dir/parrot", <<'EOT');
#!/usr/bin/perl
use strict; use warnings; use JSON::PP ();
$| = 1;
while (my $line = <STDIN>) {
	my $e = JSON::PP->new->utf8->decode($line);
	my $lease = $e->{payload}{lease} // $e->{lease};
	my $out = defined $e->{payload}{hex} ? pack 'H*', $e->{payload}{hex} : $e->{payload}{say};
	$out =~ s/"L"/"$lease"/g;
	$out =~ s/<(\d+)>/'y' x $1/ge;
	print "$out\n";
	exit($e->{payload}{exit} || 0) if $ARGV[0] eq 'exec';
}
EOT
chmod 0755, "$dir/parrot";

# By these ways the service must not be reached.
my $port = $s->port;
my @hidden = map { "http://$_/" } map { "$_:$port" } qw(127.0.0.1 localhost localhost. LOCALHOST 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 127.1 127.0.1 0 0.0.0.0 [::1] [::] [::ffff:127.0.0.1]
	[::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [2002:7f00:1::1]);

my $parrot = "\"$dir/parrot\", ";
my $t = Taskq->start(config => "work { poll = 100ms\n slots = 64 }\ncall { allow = {\"127.0.0.1\"}\n connect_timeout = 20s }\n"
	. "handler http { kind = http\n url = \"" . $s->url . "\" }\n"
	. "handler exec { command = { $parrot \"exec\" }\n concurrency = 4 }\n"
	. join('', map { "handler pool$_ { kind = pool\n command = { $parrot \"pool\" }\n children = 1 }\n" } 1 .. POOLS)
	. "handler lease { kind = lease }\nhandler nap { kind = builtin\n builtin = sleep }\n");
my $other = $t->submit('nap', { seconds => 3600 });
$t->wait_status($other, qr/processing/);
my $others = Taskq->pg->psql("select replace('$other->{id}', '-', '') || lpad(to_hex(lease_id), 16, '0') from taskq.lease where lo <= '$other->{id}' and hi >= '$other->{id}'");

# --- each kind says the same ----------------------------------------------------------------------------------------

my %say = (
	result => {
		http => sub { return { answers => [{ status => 200, body => $_[0] }] } },
		exec => sub { return { say => $_[0] } },
		pool => sub { return { say => "{\"lease\":\"L\",\"result\":$_[0]}" } },
		lease => sub { return ['complete', "{\"result\":$_[0]}"] },
	},
	report => {
		http => sub { return { answers => [{ status => 500, body => Encode::decode('UTF-8', $_[0]) }] } },
		exec => sub { return { say => $_[0], exit => 1 } },
		pool => sub { return { say => '{"lease":"L",' . substr $_[0], 1 } },
		lease => sub { return ['fail', $_[0]] },
	},
);
my @kinds = qw(exec http lease pool);
my $half = qr/(?<!\\)(?:\\\\)*\K\\u[dD][89a-fA-F][0-9a-fA-F]{2}/; # of a character, escaped

sub pool { return 'pool' . (1 + $pools++ % POOLS) }
sub shown { my ($text) = @_; $text =~ s/[^ -~]/?/g; return length $text > 60 ? substr($text, 0, 57) . '...' : $text }

# Begins a task of the kind that says this; finish() is its end, or undef when a client was told that it cannot say so.
sub begin {
	my ($what, $kind, $text) = @_;
	my $says = $say{$what}{$kind}->($text);
	return { kind => $kind, task => $t->submit($kind eq 'pool' ? pool() : $kind, $says, max_attempts => 1) } if $kind ne 'lease';
	my $one = { kind => $kind, task => $t->submit($kind, {}, max_attempts => 1, queue => $kind) };
	my ($lease) = @{ $t->post("/v1/queues/$kind/lease", { wait => 20 })->json->{leases} };
	my $path = "/v1/leases/$lease->{lease}";
	$one->{refused} = $t->post("$path/$says->[0]", $says->[1])->status;
	$t->post("$path/complete", '') if $one->{refused} != 200;
	return $one;
}
# A task, by a reader for whom halves of characters are hidden.
sub look {
	my ($task, $seconds) = @_;
	my $it;
	wait_for(sub {
		my $bytes = $t->get("/v1/tasks/$task->{id}")->body;
		$bytes =~ s/$half/half/g;
		$it = Taskq::HTTP::decode($bytes);
		return $it->{finished_at};
	}, $seconds || 60, "the end of $task->{id}");
	return $it;
}
sub finish { my ($one) = @_; my $it = look($one->{task}); return $one->{kind} eq 'lease' && $one->{refused} != 200 ? undef : $it }

# What comes out, by its bytes.
sub strict {
	my ($target, $what) = @_;
	my $bytes = $t->get($target)->body;
	my $good = eval { Encode::decode('UTF-8', my $copy = $bytes, Encode::FB_CROAK); 1 };
	$bytes =~ s/$half/half/g;
	$good &&= eval { JSON::PP->new->utf8->decode($bytes) };
	ok($good, "$what is JSON in UTF-8") or diag($@ || $bytes);
	return $good;
}

subtest 'results' => sub {
	my @good = ('"\ud800"', '{"\udc00":["\u0000","\u001b[1m"]}', '1e999', '-0', '123456789012345678901234567890', '[' x 60 . ']' x 60, '{"":{"":null}}', '"\ufffe\uffff"', '{"a":[1 , 2]}');
	my @bad = ('{"a":1,"a":2}', '{"a":1,"\u0061":2}', '[' x 70 . ']' x 70, 'NaN', '[1,]', '"\x"', "\"\t\"", '1 2');
	my %runs = map { my $text = $_; ($text => [map { begin('result', $_, $text) } @kinds]) } @good, @bad;
	for my $text (@good) {
		for my $one (@{ $runs{$text} }) {
			finish($one);
			like($t->get("/v1/tasks/$one->{task}{id}")->body, qr/"result":\Q$text\E[,}]/, "$one->{kind}: as it is: " . shown($text));
		}
	}
	my %code = (http => 'TRANSIENT BAD_OUTPUT', exec => 'TRANSIENT BAD_OUTPUT', pool => 'TRANSIENT PROTOCOL_ERROR');
	for my $text (@bad) {
		for my $one (@{ $runs{$text} }) {
			my $it = finish($one);
			is($it ? "$it->{error_class} $it->{error_code}" : $one->{refused}, $code{ $one->{kind} } // 400, "$one->{kind}: no result: " . shown($text));
		}
	}
};

subtest 'reports' => sub {
	my $long = "\xc3\xa9" x 20_000;
	my @reports = (
		['{"error_class":"NON_RETRYABLE","error_code":"x\u001b[31m","message":"\u001b[31mred\u0007\u0000\r\u007f"}', 'NON_RETRYABLE', 'X__31M', qr/^\x{fffd}\[31mred\x{fffd}+$/],
		["{\"error_class\":\"AUTH\\u0000\",\"message\":\"m\"}", 'NON_RETRYABLE', undef, qr/error_class "AUTH\x{fffd}"/],
		['{"error_class":"' . 'z' x 30_000 . '","error_code":"' . 'q' x 30_000 . '","message":"m"}', 'NON_RETRYABLE', 'Q' x 63, qr/error_class "z+": m$/],
		["{\"error_class\":\"NON_RETRYABLE\",\"message\":\"$long\"}", 'NON_RETRYABLE', undef, qr/^\x{e9}{900,1000}$/],
		['{"error_class":"NON_RETRYABLE","error_code":"\u0000"}', 'NON_RETRYABLE', '_', qr/./],
		['{"error_class":"NON_RETRYABLE","retry_after":1e999}', 'NON_RETRYABLE', undef, qr/./],
		['{"error_class":"NON_RETRYABLE","retry_after":1e300,"message":"\u2028\ufeff\u202e"}', 'NON_RETRYABLE', undef, qr/^\x{2028}\x{feff}\x{202e}$/],
		['{"error_class":"NON_RETRYABLE","error_code":"' . "\xc3\x9f" . '"}', 'NON_RETRYABLE', '__', qr/./],
	);
	my @runs = map { my $text = $_->[0]; [map { begin('report', $_, $text) } @kinds] } @reports;
	# half a character: a client is told, of the others the rest counts
	my $halves = [map { begin('report', $_, '{"error_class":"NON_RETRYABLE","message":"a\ud800b\udc00"}') } @kinds];
	for my $i (0 .. $#reports) {
		my ($text, $class, $code, $message) = @{ $reports[$i] };
		for my $one (@{ $runs[$i] }) {
			my $it = finish($one) or fail("$one->{kind}: refused: " . shown($text)), next;
			is("$it->{error_class} " . (defined $code ? $it->{error_code} : ''), "$class " . ($code // ''), "$one->{kind}: " . shown($text));
			like($it->{last_error}, $message, "$one->{kind}: in words that can be read") or diag(explain $it);
		}
	}
	for my $one (@$halves) {
		my $it = finish($one);
		is($it ? "$it->{error_class} $it->{last_error}" : $one->{refused}, $one->{kind} eq 'lease' ? 400 : "NON_RETRYABLE a\x{fffd}b\x{fffd}", "$one->{kind}: half a character");
	}
};

subtest 'services' => sub {
	my $run = sub { return $t->submit('http', { answers => [$_[0]] }, max_attempts => 1) };
	my @rows = (
		[{ status => 500, body => '{"error_class":"NON_RETRYABLE","error_class":"TRANSIENT"}' }, 'TRANSIENT', 'HTTP_500', qr/^answered 500: \{"error_class":"NON/],
		[{ status => 404, hex => 'ff00fe1b5b31' }, 'NON_RETRYABLE', 'HTTP_404', qr/^answered 404: \x{fffd}{4}\[1$/],
		[{ status => 200, hex => '22eda08022' }, 'TRANSIENT', 'BAD_OUTPUT', qr/begins "\x{fffd}|begins ""?\x{fffd}/],
		[{ status => 200, hex => 'efbbbf31' }, 'TRANSIENT', 'BAD_OUTPUT', qr/begins "\x{feff}1"/],
		[{ status => 200, hex => '3100' }, 'TRANSIENT', 'BAD_OUTPUT', qr/begins/],
		[{ status => 422, body => '{"error_code":"' . 'x' x 1_000_000 . '"}' }, 'NON_RETRYABLE', 'HTTP_422', qr/^answered 422: \{"error_code":"x+$/],
		[{ status => 302, headers => ["Location: http://a/\xc2\x80?<script>"] }, 'NON_RETRYABLE', 'HTTP_302', qr/not followed/],
		[{ status => 200, headers => ['Taskq-Snooze: nan'], body => '1' }, 'TRANSIENT', 'BAD_OUTPUT', qr/Taskq-Snooze/],
		[{ status => 200, headers => ['Taskq-Snooze: -1'], body => '1' }, 'TRANSIENT', 'BAD_OUTPUT', qr/Taskq-Snooze/],
	);
	$_->[4] = $run->($_->[0]) for @rows;
	my $later = $run->({ status => 503, headers => ['Taskq-Snooze: 1e300'] });
	for (@rows) {
		my ($answer, $class, $code, $message, $task) = @$_;
		my $it = look($task);
		is("$it->{error_class} $it->{error_code}", "$class $code", shown(Taskq::HTTP::encode($answer)));
		like($it->{last_error}, $message, 'in words');
		cmp_ok(length $it->{last_error}, '<=', 2000, 'in bounds');
	}
	wait_for(sub { Taskq->pg->psql("select count(*) from taskq.waiting where id = '$later->{id}' and why = 3") == 1 }, 30, 'the one that is put off');
	is(Taskq->pg->psql("select due_at < now() + interval '366 days' from taskq.waiting where id = '$later->{id}'"), 't', 'for a year at most');
};

subtest 'children' => sub {
	my @rows = (
		['twice' => { say => '{"lease":"L","lease":"L","result":1}' }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value/],
		['twice, in other letters' => { say => '{"lease":"L","result":1,"r\u0065sult":2}' }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value/],
		['the lease of another task' => { say => '{"lease":"L","result":1}', lease => $others }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/"lease" of the task/],
		['the lease in capitals' => { say => '{"lease":"L","result":1}', lease => uc $others }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/"lease" of the task/],
		['a note of 10 MB' => { say => '{"lease":"L","progress":1,"note":"<10000000>"}' }, 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/more than/],
		(map { ["snooze $_" => { say => "{\"lease\":\"L\",\"snooze\":$_}" }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/./] } qw(NaN -1 1e999 "1" null)),
		['no UTF-8' => { hex => '7b226c65617365223a224c222c226d657373616765223a22ff227d' }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value/],
		['NUL' => { hex => '7b226c65617365223a224c222c22726573756c74223a317d00' }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/one JSON value/],
		['a line of ANSI' => { hex => '1b5b326a1b5d303b7469746c6507' }, 'TRANSIENT', 'PROTOCOL_ERROR', qr/\x{fffd}\[2j/],
	);
	$_->[5] = $t->submit(pool(), $_->[1], max_attempts => 1) for @rows;
	my $noted = $t->submit(pool(), { say => "{\"lease\":\"L\",\"progress\":1e0,\"note\":\"\\u0000\\ud800\\u001b<60000>\"}\n{\"lease\":\"L\",\"progress\":99.9,\"note\":7}\n{\"lease\":\"L\",\"result\":\"noted\"}" });
	my $later = $t->submit(pool(), { say => '{"lease":"L","snooze":1e300}' }, max_attempts => 1);
	for (@rows) {
		my ($what, undef, $class, $code, $message, $task) = @$_;
		my $it = look($task, 90);
		is("$it->{error_class} $it->{error_code}", "$class $code", $what);
		like($it->{last_error}, $message, 'in words');
	}
	is(look($noted, 90)->{result}, 'noted', 'odd notes do no harm');
	wait_for(sub { Taskq->pg->psql("select count(*) from taskq.waiting where id = '$later->{id}' and why = 3") == 1 }, 60, 'the one that is put off');
	is($t->task($other)->{status}, 'processing', 'the task whose lease was abused has not noticed');
};

subtest 'what comes out' => sub {
	my $list = strict('/v1/tasks?limit=1000', 'the list');
	cmp_ok(scalar @{ $list->{items} }, '>', 100, 'with all of them');
	strict('/tasks?limit=1000', 'the compatible list');
	strict('/v1/handlers', 'the list of handlers');
	for my $it (@{ $list->{items} }) {
		my $one = strict("/v1/tasks/$it->{id}", "a $it->{task_type}") or next;
		strict("/v1/tasks/$it->{id}/attempts", 'its attempts');
		unlike(join('', map { $one->{$_} // '' } qw(last_error error_code error_class)), qr/[\0-\x08\x0b-\x1f\x7f]/, 'no control characters');
	}
	ok(eval { Encode::decode('UTF-8', my $copy = $t->get('/metrics')->body, Encode::FB_CROAK); 1 }, '/metrics is UTF-8');
	unlike(join("\n", $t->log_lines), qr/[\0-\x08\x0b-\x1f\x7f]/, 'nor are there any in the log');
	is(join("\n", grep { /=error|=crit/ } $t->log_lines), '', 'which has no error');
};
is($t->post("/v1/tasks/$other->{id}/cancel", '')->status, 200, 'a cancel');
is($t->stop, 0, 'taskqd drained');

subtest 'who must not be called' => sub {
	my $heard = $s->requests;
	my $handlers = join '', map { "handler h$_ { kind = http\n url = \"$hidden[$_]\" }\n" } 0 .. $#hidden;
	my $c = Taskq->start(config => "work { poll = 100ms\n slots = 64 }\ncall { connect_timeout = 20s }\n$handlers");
	my @tasks = map { $c->submit("h$_", {}, max_attempts => 1) } 0 .. $#hidden;
	for (0 .. $#hidden) {
		my $it = $c->wait_final($tasks[$_], 60);
		like($it->{error_code}, $hidden[$_] =~ /\.:/ ? qr/^(?:ADDRESS_REFUSED|NAME_NOT_FOUND)$/ : qr/^ADDRESS_REFUSED$/, "$hidden[$_]") or diag($it->{last_error});
	}
	is(scalar($s->requests), $heard, 'the service heard nothing');
	is($c->stop, 0, 'drained');
	my $configured = sub {
		write_file("$dir/bad.conf", Taskq::Machine::read_file($c->config_path) . "handler x { kind = http\n url = '$_[0]' }\n");
		return slurp_command(command => [$c->program, '-c', "$dir/bad.conf", '-t']);
	};
	is(($configured->("http://127.0.0.1:$port/"))[0], 0, 'what is an address may be configured');
	for my $url ("http://public.example\@127.0.0.1:$port/", "http://a:b\@127.0.0.1/", 'http://127.0.0.1:0/', 'http://127.0.0.1:65536/', 'http://127.0.0.1:+80/', 'http://[fe80::1%25lo]/', 'http://127.0.0.1\@a/', 'file:///etc/passwd',
		'gopher://127.0.0.1/', 'http:127.0.0.1/', 'http:///x', "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", 'http://127.0.0.1#@a/', 'http://127%2e0.0.1/', 'http://a b/', "http://a\tb/") {
		my ($status, $out) = $configured->($url);
		is($status, 78, 'not even configured: ' . shown($url)) or diag($out);
		like($out, qr/url/, 'and why');
	}
};
done_testing;
