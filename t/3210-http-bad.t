#!/usr/bin/perl
# Services that answer badly, or not at all, or must not be called: each has its outcome, and the worker goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Taskq;
use Taskq::Machine qw(free_port);
use Taskq::Service;
use Test::More;

my $s = Taskq::Service->start;
my $closed = free_port();
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 1) or die "could not listen: $@";

# name, what the service does, class, code, words
my @cases = (
	[drip => { how => 'drip' }, 'TRANSIENT', 'TIMEOUT', qr/timed out after 1\.5 s/],
	[silent => { how => 'silent' }, 'TRANSIENT', 'TIMEOUT', qr/timed out after 1\.5 s/],
	[endless_slow => { how => 'endless_slow' }, 'TRANSIENT', 'TIMEOUT', qr/timed out after 1\.5 s/],
	[endless => { how => 'endless' }, 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/longer than work\.output_max/],
	[gigabyte => { how => 'gigabyte' }, 'NON_RETRYABLE', 'OUTPUT_TOO_LARGE', qr/longer than work\.output_max/],
	[gigabyte_503 => { how => 'gigabyte', status => 503 }, 'TRANSIENT', 'HTTP_503', qr/answered 503: 111/],
	[close => { how => 'close' }, 'TRANSIENT', 'CONNECTION_LOST', qr/./],
	[reset => { how => 'reset' }, 'TRANSIENT', 'CONNECTION_LOST', qr/./],
	[cut => { how => 'cut' }, 'TRANSIENT', 'CONNECTION_LOST', qr/./],
	[cut_404 => { how => 'cut', status => 404 }, 'TRANSIENT', 'CONNECTION_LOST', qr/./],
	[garbage => { how => 'garbage' }, 'TRANSIENT', 'BAD_ANSWER', qr/./],
	[no_head => { how => 'no_head' }, 'TRANSIENT', 'BAD_ANSWER', qr/./],
	[long_header => { how => 'long_header' }, 'TRANSIENT', 'BAD_ANSWER', qr/header line/],
	[many_headers => { how => 'many_headers' }, 'TRANSIENT', 'BAD_ANSWER', qr/longer than 64 kB/],
	[many_interim => { how => 'interim', times => 9 }, 'TRANSIENT', 'BAD_ANSWER', qr/more than 8 interim/],
);
# a name with a label of 64 bytes is none, so that no name server need be asked
my %elsewhere = (
	closed => ["http://127.0.0.1:$closed/", 'CONNECT_FAILED'],
	no_name => ['http://' . 'x' x 64 . '.invalid/', 'NAME_NOT_FOUND'],
	no_tls => ['https://127.0.0.1:' . $s->port . '/', 'TLS_FAILED'],
);
my @refused = map { "http://$_/" } 'localhost:1', '127.0.0.2:1', '[::1]:1', '[::ffff:127.0.0.2]:1', '0.0.0.0:1', '169.254.169.254', '10.0.0.1', '2130706434:1', '0x7f.2:1';

sub handler { my ($type, $url, $more) = @_; return "handler \"$type\" { kind = http\n url = \"$url\"\n " . ($more || '') . " }\n" }
my $handlers = join '', map({ handler($_->[0], $s->url, $_->[3] eq 'TIMEOUT' ? 'timeout = 1500ms' : '') } @cases),
	map({ handler($_, $elsewhere{$_}[0]) } sort keys %elsewhere),
	map({ handler("r$_", $refused[$_]) } 0 .. $#refused),
	handler('good', $s->url);
my $t = Taskq->start(config => "work { poll = 100ms\n output_max = 64kB\n slots = 64 }\n"
	. "call { allow = {\"127.0.0.1\"}\n connect_timeout = 20s }\n$handlers", env => { http_proxy => "http://127.0.0.1:$closed", ALL_PROXY => "http://127.0.0.1:$closed" });

my %task;
$task{ $_->[0] } = $t->submit($_->[0], { answers => [$_->[1]] }, max_attempts => 1) for @cases;
$task{$_} = $t->submit($_, {}, max_attempts => 1) for sort keys %elsewhere;
$task{"r$_"} = $t->submit("r$_", {}, max_attempts => 1) for 0 .. $#refused;

is($t->wait_final($t->submit('good', { answers => [{ body => '1' }] }))->{result}, 1, 'a good one among them is answered');
is($t->wait_final($t->submit('good', { answers => [{ how => 'interim', times => 8 }] }))->{result}, 1, 'eight interim answers are read over');
is($t->wait_final($t->submit('good', { answers => [{ body => '"' . 'x' x 65534 . '"' }] }))->{status}, 'succeeded', 'the longest result');

for (@cases) {
	my ($type, undef, $class, $code, $words) = @$_;
	my $one = $t->wait_final($task{$type});
	is("$one->{error_class} $one->{error_code}", "$class $code", $type);
	like($one->{last_error}, $words, "$type in words");
	is($one->{attempts}, 1, "$type is an attempt");
}
for (sort keys %elsewhere) {
	my $one = $t->wait_final($task{$_});
	is("$one->{error_class} $one->{error_code}", "TRANSIENT $elsewhere{$_}[1]", $_);
}
for (0 .. $#refused) {
	my $one = $t->wait_final($task{"r$_"});
	is("$one->{error_class} $one->{error_code}", 'TRANSIENT ADDRESS_REFUSED', "$refused[$_] is refused") or diag $one->{last_error};
	like($one->{last_error}, qr/call\.allow/, 'and says how to allow it');
}

my ($worker) = map { $_->{pid} } $t->roles('worker');
is($t->hup("work { poll = 100ms }\ncall { allow = {\"localhost\"} }\n" . handler('by_name', 'http://localhost:' . $s->port . '/') . handler('by_address', $s->url))
	? 1 : 0, 1, 'now a host is allowed, not its address');
wait_for(sub { my @w = $t->roles('worker'); @w == 1 && $w[0]{pid} != $worker }, 30, 'a worker with the new configuration');
is($t->wait_final($t->submit('by_name', { answers => [{ body => '3' }] }))->{result}, 3, 'by its name it is called');
is($t->wait_final($t->submit('by_address', {}, max_attempts => 1))->{error_code}, 'ADDRESS_REFUSED', 'by its address it is not');

($worker) = map { $_->{pid} } $t->roles('worker');
$t->hup("work { poll = 100ms }\ncall { allow = {\"127.0.0.1\"}\n connect_timeout = 200ms }\n" . handler('deaf', 'https://127.0.0.1:' . $deaf->sockport . '/'));
wait_for(sub { my @w = $t->roles('worker'); @w == 1 && $w[0]{pid} != $worker }, 30, 'a worker with a short patience');
is($t->wait_final($t->submit('deaf', {}, max_attempts => 1))->{error_code}, 'CONNECT_FAILED', 'a handshake that nobody answers');

is($t->stop, 0, 'taskqd drained');
done_testing;
