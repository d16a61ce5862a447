#!/usr/bin/perl
# What a service manager hears over NOTIFY_SOCKET: ready when it serves, each reload begun and ended, also a refused one, stopping, and
# signs of life as often as it asked.  A manager that does not listen disturbs nobody.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket;
use Taskq;
use Taskq::Machine qw(now patience temp_dir);
use Test::More;

my $dir = temp_dir('n');

# A datagram socket at the address, as NOTIFY_SOCKET writes it.
sub manager {
	my ($address) = @_;
	socket my $s, AF_UNIX, SOCK_DGRAM, 0 or die "$!";
	bind $s, pack_sockaddr_un($address =~ s/^@/\0/r) or die "$address: $!";
	return { socket => $s, heard => [] };
}

# Takes messages until one matches; returns those before it and it.
sub hear {
	my ($m, $pattern) = @_;
	my ($deadline, @all) = now() + patience(20);
	while (now() < $deadline) {
		vec(my $r = '', fileno $m->{socket}, 1) = 1;
		next if !select $r, undef, undef, 0.2;
		recv $m->{socket}, my $text, 4096, 0;
		push @all, $text;
		return @all if $text =~ $pattern;
	}
	die "waited in vain for $pattern; heard: @all\n";
}

sub daemon { return Taskq->new(pg => undef, config => $_[0]) }
sub monotonic { return int(1e6 * now()) }

for my $address ("$dir/notify", "\@taskq-test-$$") {
	subtest $address =~ /^@/ ? 'an abstract address' : 'a path' => sub {
		my $m = manager($address);
		my $t = daemon();
		$t->launch(ready => 0, env => { NOTIFY_SOCKET => $address });
		my @heard = hear($m, qr/^READY=1$/m);
		is($t->get('/healthz')->{status}, 200, 'READY=1 when it serves');
		is(scalar(grep { /^STATUS=starting$/ } @heard), 1, 'its state before');
		is(scalar(grep { /^STATUS=running$/ } @heard), 1, 'and then');

		my $before = monotonic();
		$t->signal('HUP');
		@heard = hear($m, qr/^READY=1$/m);
		my ($begun) = map { /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/ ? $1 : () } @heard;
		ok(defined $begun, 'RELOADING=1 with the time, then READY=1') or diag(explain \@heard);
		cmp_ok($begun // 0, '>=', $before, 'a time after the request');
		cmp_ok($begun // 0, '<=', monotonic(), 'and before now');

		$before = monotonic();
		$t->hup("workers = nonsense\n");
		@heard = hear($m, qr/^READY=1$/m);
		($begun) = map { /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/ ? $1 : () } @heard;
		cmp_ok($begun // 0, '>=', $before, 'a refused reload begins and ends as well');
		ok(!(grep { /^STATUS=reloading/ } @heard), 'without a change of state');

		$t->signal('TERM');
		hear($m, qr/^STOPPING=1$/m);
		is($t->wait_exit, 0, 'STOPPING=1, and it ends');
		ok(!(grep { /WATCHDOG/ } @heard), 'no sign of life was wanted');
	};
}

subtest 'signs of life' => sub {
	my $m = manager("$dir/watchdog");
	my $t = daemon();
	my %env = (NOTIFY_SOCKET => "$dir/watchdog", WATCHDOG_USEC => 1_000_000);
	$t->launch(ready => 0, env => { %env });
	hear($m, qr/^READY=1$/m);
	hear($m, qr/^WATCHDOG=1$/m);
	my $taken;
	for (1 .. 5) { # unless the machine stood still
		my $begin = now();
		hear($m, qr/^WATCHDOG=1$/m) for 1 .. 3;
		$taken = (now() - $begin) / 3;
		last if $taken < 1;
	}
	cmp_ok($taken, '<', 1, 'come in time');
	cmp_ok($taken, '>', 0.3, 'and not without pause');
	$t->signal('TERM');
	hear($m, qr/^STOPPING=1$/m);
	is($t->wait_exit, 0, 'it ends');

	$m = manager($env{NOTIFY_SOCKET} .= 2);
	$t->launch(ready => 0, env => { %env, WATCHDOG_USEC => 1000, WATCHDOG_PID => 1 });
	my @heard = hear($m, qr/^READY=1$/m);
	ok(!(grep { /WATCHDOG/ } @heard), 'those meant for another process are not sent');
	is($t->stop, 0, 'it ends');
};

subtest 'a manager that does not listen' => sub {
	my $m = manager("$dir/deaf");
	for my $address ("$dir/deaf", "$dir/none", '@taskq-test-none', 'nonsense', '@', '') {
		my $t = daemon();
		$t->launch(ready => 0, env => { NOTIFY_SOCKET => $address, WATCHDOG_USEC => 2000 });
		wait_for(sub { $t->has_address && eval { $t->get('/healthz')->{status} == 200 } }, 20, 'an answer');
		is($t->stop, 0, "\"$address\": it serves and ends") or diag($t->log_tail);
	}
};

done_testing;
