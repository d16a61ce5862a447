#!/usr/bin/perl
# Services by TLS: a certificate of a known authority for this host, now; any other one is refused before a byte of the task is sent.
# stranger: good, but by an authority that its handler does not know.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(slurp_command temp_dir write_file);
use Taskq::Service;
use Test::More;

my $dir = temp_dir('k');
my @key = qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes);

sub openssl { my ($status, $text) = slurp_command(command => ['openssl', @_]); $status == 0 or die "openssl @_:\n$text" }

sub certificate {
	my ($name, $names, @days) = @_;
	openssl('req', @key, '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr", '-subj', '/CN=service');
	write_file("$dir/$name.ext", "subjectAltName=$names\n");
	openssl(qw(x509 -req -CA), "$dir/ca.pem", '-CAkey', "$dir/ca.key", '-set_serial', int rand 1e9, '-in', "$dir/$name.csr", '-out', "$dir/$name.pem",
		'-extfile', "$dir/$name.ext", @days);
	return Taskq::Service->start(cert => "$dir/$name.pem", key => "$dir/$name.key");
}

openssl(qw(req -x509), @key, '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem", qw(-subj /CN=authority -days 30));
my %service = (
	good => certificate('good', 'IP:127.0.0.1', '-days', 30),
	other_host => certificate('other_host', 'DNS:other.example', '-days', 30),
	expired => certificate('expired', 'IP:127.0.0.1', '-days', -1),
	stranger => certificate('stranger', 'IP:127.0.0.1', '-days', 30),
);
my $t = Taskq->start(config => "work { poll = 100ms }\ncall { allow = {\"127.0.0.1\"}\n connect_timeout = 20s }\n"
	. join('', map { "handler $_ { kind = http\n url = \"" . $service{$_}->url . "\"\n" . ($_ eq 'stranger' ? '' : "ca_file = \"$dir/ca.pem\"\n") . "}\n" } sort keys %service));

my $task = $t->wait_final($t->submit('good', { secret => 1 }));
is($task->{status}, 'succeeded', 'a good certificate') or diag $task->{last_error};
ok($task->{result}, 'an answer');
is(scalar $service{good}->requests($task), 1, 'and a request');
for (qw(other_host expired stranger)) {
	$task = $t->wait_final($t->submit($_, { secret => 1 }, max_attempts => 1));
	is("$task->{error_class} $task->{error_code}", 'TRANSIENT TLS_FAILED', "$_ is refused") or diag $task->{last_error};
	is(scalar($service{$_}->requests($task)), 0, 'and told nothing');
}
is($t->stop, 0, 'taskqd drained');
done_testing;
