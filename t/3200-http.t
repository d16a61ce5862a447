#!/usr/bin/perl
# Services: the request, what each status means, when to come again, the signature, who may be called, and a drain.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX qw(strftime);
use Taskq;
use Taskq::HTTP;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Taskq::Service;
use Test::More;

my $dir = temp_dir('c');
my $s = Taskq::Service->start;
my @secrets = ('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=');
write_file("$dir/secret", "$secrets[0]\n");
write_file("$dir/token", "Authorization: Bearer hidden-token\n");
chmod 0600, "$dir/secret", "$dir/token";

# Each kind of failure has a handler of its own: what one of them does is not the other's fault.
my @failing = map { [split] } grep { !/^#/ } split /\n/, <<'END';
301 NON_RETRYABLE
304 NON_RETRYABLE
400 NON_RETRYABLE
404 NON_RETRYABLE
408 TRANSIENT
409 TRANSIENT
410 NON_RETRYABLE
422 NON_RETRYABLE
423 TRANSIENT
425 TRANSIENT
500 TRANSIENT
501 TRANSIENT
503 TRANSIENT
599 TRANSIENT
401 AUTH
403 AUTH
429 RATE_LIMITED
END

sub handler { my ($type, $more) = @_; return "handler \"$type\" { kind = http\n url = \"" . $s->url("/$type?x=1") . "\"\n " . ($more || '') . " }\n" }
my $handlers = join '', map({ handler($_) } qw(ok empty text report word away wait date snooze drain)),
	handler('again', 'retry_base = 1ms'),
	handler('signed', "secrets = {\"\@$dir/secret\", \"$secrets[1]\"}\n headers = {\"\@$dir/token\", \"X-Plain: yes\"}"),
	handler('ruled', 'rules = {"status 404 = TRANSIENT NOT_YET"}'),
	map({ handler("s$_->[0]") } @failing);
my $config = "work { poll = 100ms\n output_max = 64kB }\ncall { allow = {\"127.0.0.0/8\"}\n connect_timeout = 20s }\ndrain_timeout = 300ms\n$handlers";
my $t = Taskq->start(config => $config);

sub run { my ($type, $answers, %o) = @_; return $t->wait_final($t->submit($type, { answers => $answers }, %o)) }

# --- the request ---------------------------------------------------------------------------------------------------------

my $task = run('ok', [{ body => ' {"n": [1.0, "\u20ac"]} ' }], max_attempts => 7, trace_id => '0af7651916cd43dd8448eb211c80319c');
is($task->{status}, 'succeeded', 'a service was called');
is_deeply($task->{result}, { n => [1, "\x{20ac}"] }, 'its answer is the result');
my ($r) = $s->requests($task);
is("$r->{method} $r->{target}", 'POST /ok?x=1', 'by a POST');
my $h = $r->{headers};
is($h->{'content-type'}, 'application/json', 'of JSON');
is($h->{'idempotency-key'}, $task->{id}, 'under the id of the task');
is("$h->{'taskq-attempt'} of $h->{'taskq-max-attempts'}", '1 of 7', 'at its first attempt');
like($h->{traceparent}, qr/^00-0af7651916cd43dd8448eb211c80319c-(?!0{16})[0-9a-f]{16}-01$/, 'in its trace');
like($h->{'user-agent'}, qr{^taskq/\d}, 'from us');
ok(!exists $h->{'webhook-signature'} && !exists $h->{expect}, 'not signed without a secret, not asked for leave');
my $e = JSON::PP->new->utf8->decode($r->{body});
is("$e->{message_id} $e->{task_type} $e->{attempt}", "$task->{id} ok 1", 'the body is the envelope');
like($e->{lease}, qr/^[0-9a-f]{48}$/, 'with the lease');

is(run('empty', [{ status => 204 }])->{result}, undef, 'no body, no result');
$task = run('empty', [{ status => 201 }], trace_id => 'some words');
is($task->{status}, 'succeeded', 'any 2xx is a success');
is(($s->requests($task))[0]{headers}{traceparent}, undef, 'a trace that is none is not told');
my $parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
$task = run('empty', [{}], trace_id => $parent);
is(($s->requests($task))[0]{headers}{traceparent}, $parent, 'a whole traceparent goes on as it is');
my %connections = map { $_->{connection} => 1 } grep { $_->{target} =~ /^\/empty/ } $s->requests;
is(scalar keys %connections, 1, 'a connection is used again');

# --- what comes back -----------------------------------------------------------------------------------------------------

$task = run('text', [{ body => 'thank you' }], max_attempts => 1);
is("$task->{error_class} $task->{error_code}", 'TRANSIENT BAD_OUTPUT', 'a success that is not JSON is a failure');
like($task->{last_error}, qr/thank you/, 'which shows it');

for (@failing) {
	my ($status, $class) = @$_;
	my $one = $t->submit("s$status", { answers => [{ status => $status, body => "sorry, $status", headers => ["Location: /moved"] }] }, max_attempts => 1);
	$one = wait_for(sub { my $now = $t->task($one); return defined $now->{error_code} && $now->{status} ne 'processing' ? $now : 0 }, 30, "the end of $status");
	is("$one->{error_class} $one->{error_code}", "$class HTTP_$status", "$status is $class");
	is($one->{attempts}, 1, "$status is dead at once") if $class eq 'NON_RETRYABLE';
	like($one->{last_error}, $status =~ /^3/ ? qr{not followed: /moved} : qr/sorry, $status|answered $status/, "$status in words");
}

$task = run('report', [{ status => 500, body => '{"error_class": "NON_RETRYABLE", "error_code": "GONE", "message": "spoken"}' }]);
is_deeply([@$task{qw(error_class error_code last_error)}], [qw(NON_RETRYABLE GONE spoken)], 'a service may speak for itself');
$task = run('word', [{ status => 500, body => '{"error_class": "WHATEVER"}' }]);
is($task->{status}, 'dead_letter', 'a class that nobody knows is dead');

$task = run('ruled', [{ status => 404 }], max_attempts => 1);
is("$task->{error_class} $task->{error_code}", 'TRANSIENT NOT_YET', 'a rule of the handler decides otherwise');

$task = run('away', [{ status => 302, headers => ['Location: http://169.254.169.254/latest/meta-data/'] }]);
is("$task->{status} $task->{error_code}", 'dead_letter HTTP_302', 'a redirect is a failure');
is(scalar $s->requests($task), 1, 'asked once');

# --- when to come again --------------------------------------------------------------------------------------------------

sub is_put_off {
	my ($one, $least, $most, $what) = @_;
	my $seconds = wait_for(sub { Taskq->pg->psql("select extract(epoch from w.due_at - now()) from taskq.waiting w where w.id = '$one->{id}'") }, 30, $what);
	ok($seconds > $least && $seconds < $most, $what) or diag "$seconds s";
}
is_put_off($t->submit('wait', { answers => [{ status => 503, headers => ['Retry-After: 7200'] }] }), 7000, 10000, 'Retry-After in seconds');
my $date = strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time + 7200);
is_put_off($t->submit('date', { answers => [{ status => 503, headers => ["Retry-After: $date"] }] }), 7000, 10000, 'Retry-After as a date');

$task = run('again', [{ status => 503 }, { how => 'close' }, { status => 409, body => '{}' }, { body => '4' }], max_attempts => 5);
is($task->{result}, 4, 'tried again until it works');
my @requests = $s->requests($task);
# libcurl itself repeats a request whose kept connection was closed without a word
cmp_ok(scalar @requests, '>=', 4, 'each attempt is a request');
is_deeply({ map { $_->{headers}{'idempotency-key'} => 1 } @requests }, { $task->{id} => 1 }, 'under one key');
is($requests[-1]{headers}{'taskq-attempt'}, $task->{attempts}, 'and the number of the attempt');

# --- the signature -------------------------------------------------------------------------------------------------------

my $before = time;
$task = run('signed', [{}]);
($r) = $s->requests($task);
$h = $r->{headers};
is($h->{'webhook-id'}, $task->{id}, 'signed: the id');
cmp_ok($h->{'webhook-timestamp'}, '>=', $before, 'the time');
cmp_ok($h->{'webhook-timestamp'}, '<=', time, 'which is now');
my @want = map { my ($key) = /^whsec_(.*)/; my $mac = hmac_sha256_base64("$h->{'webhook-id'}.$h->{'webhook-timestamp'}.$r->{body}", decode_base64($key)); "v1,$mac=" } @secrets;
is($h->{'webhook-signature'}, join(' ', @want), 'a signature for each secret');
is($h->{authorization}, 'Bearer hidden-token', 'a header line from a file');
is($h->{'x-plain'}, 'yes', 'and one from the configuration');
my ($status, $printed) = slurp_command(command => [Taskq->program, '-c', $t->config_path, '--print-config']);
is($status, 0, 'the configuration is printed');
unlike($printed, qr/whsec_|hidden-token/, 'without its secrets');

# --- one run is one request ---------------------------------------------------------------------------------------------------

# Libraries send again what met the end of a connection that was kept; but the service may have begun.
for my $how (qw(close reset)) {
	run('again', [{ body => '1' }]);
	$task = run('again', [{ how => $how }, { body => '2' }]);
	my @runs = @{ $t->get("/v1/tasks/$task->{id}/attempts")->json->{attempts} || [] };
	is("$task->{result} $task->{attempts} " . $s->requests($task), '2 2 2', "$how: two requests are two attempts");
	is($runs[0]{error_code}, 'CONNECTION_LOST', 'of which the first was lost') or diag(Taskq::HTTP::encode(\@runs));
}

# --- drain ---------------------------------------------------------------------------------------------------------------

$task = $t->submit('drain', { answers => [{ how => 'silent' }, { body => '2' }] });
wait_for(sub { scalar $s->requests($task) }, 30, 'a call that is not answered');
is($t->stop, 0, 'a drain does not wait for it');
is(Taskq->pg->psql("select count(*), max(attempts) from taskq.ready where '$task->{id}' between lo and hi"), '1|0', 'it was given back without an attempt')
	or diag(Taskq->pg->psql('select * from taskq.ready'));
$t->launch;
$task = $t->wait_final($task);
is("$task->{result} $task->{attempts}", '2 1', 'the next start calls again');
is($t->stop, 0, 'taskqd drained');

# --- what a configuration may say ----------------------------------------------------------------------------------------

my @wrong = (
	['handler x { kind = http }', qr/handler "x": url: missing, expected one such as/],
	['handler x { kind = http url = "ftp://x/" }', qr/url: "ftp:\/\/x\/" is not one, expected http:/],
	['handler x { kind = http url = "http://u:p@x/" }', qr/names a user, expected none/],
	['handler x { kind = http url = "http://x/" secrets = {"hunter2"} }', qr/secrets: number 1 is not one, expected whsec_/],
	['handler x { kind = http url = "http://x/" headers = {"Host: y"} }', qr/headers: number 1 is a header line that taskqd writes itself/],
	['handler x { kind = http url = "http://x/" ca_file = "/nowhere/ca.pem" }', qr{ca_file: could not read "/nowhere/ca.pem"}],
	['handler x { kind = http url = "http://x/" command = {"/bin/true"} }', qr/command: only for kind = exec/],
	['handler x { command = {"/bin/true"} url = "http://x/" }', qr/url: only for kind = http/],
	['call { allow = {"10.0.0.1/8"} }', qr{call.allow: "10.0.0.1/8" is not known, expected an address}],
);
for (@wrong) {
	my ($text, $words) = @$_;
	write_file("$dir/wrong.conf", "$text\n");
	($status, my $said) = slurp_command(command => [Taskq->program, '-c', "$dir/wrong.conf", '-t']);
	is($status, 78, "refused: $text");
	like($said, $words, 'in clear words');
	unlike($said, qr/hunter2/, 'without the secret');
}
done_testing;
