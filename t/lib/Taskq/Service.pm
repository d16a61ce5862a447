# Service.pm - an HTTP service that answers as each task says, well or badly, and remembers what it was asked.
#
#	my $s = Taskq::Service->start;
#	my $t = Taskq->start(config => 'handler x { kind = http url = "' . $s->url('/x') . '" }');
#	my $task = $t->submit('x', { answers => [{ status => 503 }, { status => 200, body => '1' }] });
#	...
#	my @requests = $s->requests($task);        { method, target, headers => { lower case names }, body, connection }
#
# The nth request of a task gets the nth of payload.answers, the last one from then on; without answers it is 200 and no body.
# An answer has status, headers (list of lines), body or `hex` (its bytes), and `how`, one of the words of %ways below (gate: when `file` is there).
#
# Taskq::Service->start(journal => directory) does what payload.acts says and writes a journal there instead (Taskq::Acts).
#
# Taskq::Service->start(cert => path, key => path) speaks TLS by openssl s_server, one connection at a time, and answers 200 with `true`.
#
# It is a process of its own (this file, run as a program), with one more for each connection.
package Taskq::Service;
use strict;
use warnings;
use Fcntl qw(:flock);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER);

my $json = JSON::PP->new->utf8->canonical;

# --- the test's side ------------------------------------------------------------------------------------------------

sub start {
	my ($class, %o) = @_;
	require Taskq::Machine;
	my $dir = Taskq::Machine::temp_dir('sv');
	my $self = bless { dir => $dir, tls => $o{cert} ? 1 : 0 }, $class;
	local $ENV{TASKQ_STORM} = $o{journal} || '';
	my @tls = $o{cert} ? (Taskq::Machine::free_port(), $o{cert}, $o{key}) : ();
	$self->{child} = Taskq::Machine::spawn(name => 'service', out => "$dir/out",
		command => [$^X, $INC{'Taskq/Service.pm'} =~ m{^/} ? $INC{'Taskq/Service.pm'} : POSIX::getcwd() . "/$INC{'Taskq/Service.pm'}",
			$dir, @tls]);
	$self->{port} = Taskq::Machine::wait_for(sub {
		die "the service ended:\n" . Taskq::Machine::read_file("$dir/out") if !$self->{child}->alive;
		my $port = Taskq::Machine::read_file("$dir/port");
		return defined $port && $port =~ /^(\d+)\n/ ? $1 : 0;
	}, 20, 'the service to listen');
	return $self;
}

sub port { return $_[0]{port} }
sub url { my ($self, $path) = @_; return ($self->{tls} ? 'https' : 'http') . "://127.0.0.1:$self->{port}" . ($path || '/') }

# What it was asked so far, in the order of arrival; of one task only when it is given.
sub requests {
	my ($self, $task) = @_;
	my $text = Taskq::Machine::read_file("$self->{dir}/requests");
	my @all = map { $json->decode($_) } grep { /\}$/ } split /\n/, defined $text ? $text : '';
	return grep { !defined $task || ($_->{headers}{'idempotency-key'} || '') eq $task->{id} } @all;
}

# --- the program ----------------------------------------------------------------------------------------------------

my ($dir, $serial) = ('', 0);

# One request: the head, and as much body as Content-Length says.  Undef at the end of the stream.
sub read_request {
	my ($in, $kept) = @_;
	while (1) {
		if ($$kept =~ /^(.*?)\r\n\r\n/s) {
			my ($head, $begin) = ($1, length($1) + 4);
			my ($line, @lines) = split /\r\n/, $head;
			my ($method, $target) = split / /, $line;
			my %headers = map { my ($n, $v) = split /:\s*/, $_, 2; (lc $n => $v) } @lines;
			my $end = $begin + ($headers{'content-length'} || 0);
			if (length $$kept >= $end) {
				my $body = substr $$kept, $begin, $end - $begin;
				substr($$kept, 0, $end) = '';
				return { method => $method, target => $target, headers => \%headers, body => $body, connection => $$, names => \@lines };
			}
		}
		sysread $in, $$kept, 65536, length $$kept or return undef;
		return undef if $$kept =~ /^\x16/; # somebody speaks TLS
	}
}

# Writes it down and says how many of the same task came before.
sub remember {
	my ($r) = @_;
	open my $f, '+>>', "$dir/requests" or die "could not open \"$dir/requests\": $!\n";
	flock $f, LOCK_EX;
	seek $f, 0, 0;
	my $key = $r->{headers}{'idempotency-key'} || '';
	my $before = grep { ($json->decode($_)->{headers}{'idempotency-key'} || '') eq $key } <$f>;
	syswrite $f, $json->encode($r) . "\n";
	close $f;
	return $before;
}

sub put {
	my ($sock, $bytes) = @_;
	while (length $bytes) {
		my $n = syswrite $sock, $bytes;
		return 0 if !defined $n;
		substr($bytes, 0, $n) = '';
	}
	return 1;
}

sub head {
	my ($a, @more) = @_;
	return join "\r\n", "HTTP/1.1 " . ($a->{status} || 200) . " Said", @{ $a->{headers} || [] }, @more, '', '';
}

# Waits for the other side to close; what comes meanwhile is dropped.
sub wait_closed { my ($sock) = @_; 1 while sysread $sock, my ($bytes), 65536; return 0 }

# As fast or slow as the other side lets us; ends when it closes.
sub repeat {
	my ($sock, $bytes, $pause) = @_;
	while (put($sock, $bytes)) {
		return 0 if $pause && IO::Select->new($sock)->can_read($pause) && !sysread $sock, my ($x), 1;
	}
	return 0;
}

# Each writes an answer; true: the connection stays.
my %ways = (
	well => sub {
		my ($sock, $a) = @_;
		my $body = defined $a->{hex} ? pack 'H*', $a->{hex} : defined $a->{body} ? $a->{body} : '';
		utf8::encode($body) if utf8::is_utf8($body);
		return put($sock, head($a, 'Content-Length: ' . length $body) . $body);
	},
	gate => sub {
		my ($sock, $a) = @_;
		select undef, undef, undef, 0.02 until -e $a->{file};
		return put($sock, head($a, 'Content-Length: ' . length $a->{body}) . $a->{body});
	},
	silent => sub { return wait_closed($_[0]) },
	close => sub { return 0 },
	reset => sub {
		my ($sock, $a) = @_;
		put($sock, head($a, 'Content-Length: 1000') . '{"part": ');
		setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
		return 0;
	},
	cut => sub { my ($sock, $a) = @_; put($sock, head($a, 'Content-Length: 1000') . '{"part": '); return 0 },
	garbage => sub { put($_[0], "220 mail.example ESMTP\r\n\r\n"); return 0 },
	no_head => sub { put($_[0], '{"no": "head"}'); return 0 },
	drip => sub {
		my ($sock) = @_;
		for my $c (split //, "HTTP/1.1 200 OK\r\n" . "X-Drip: y\r\n" x 1000) {
			put($sock, $c) or return 0;
			return 0 if IO::Select->new($sock)->can_read(1) && !sysread $sock, my ($x), 1;
		}
		return 0;
	},
	endless => sub {
		my ($sock, $a) = @_;
		return put($sock, head($a, 'Transfer-Encoding: chunked')) && repeat($sock, "1000\r\n" . '1' x 4096 . "\r\n");
	},
	endless_slow => sub {
		my ($sock, $a) = @_;
		return put($sock, head($a, 'Transfer-Encoding: chunked')) && repeat($sock, "1\r\n1\r\n", 0.2);
	},
	gigabyte => sub { my ($sock, $a) = @_; return put($sock, head($a, 'Content-Length: 1073741824')) && repeat($sock, '1' x 65536) },
	long_header => sub { my ($sock) = @_; return put($sock, "HTTP/1.1 200 OK\r\nX-Long: ") && repeat($sock, 'x' x 4096) },
	many_headers => sub { my ($sock) = @_; return put($sock, "HTTP/1.1 200 OK\r\n") && repeat($sock, "X-Many: one more\r\n" x 100) },
	interim => sub {
		my ($sock, $a) = @_;
		put($sock, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" x $a->{times}) or return 0;
		return put($sock, head($a, 'Content-Length: 1') . '1');
	},
);

sub answer_said {
	my ($r) = @_;
	my $n = remember($r);
	my $payload = eval { $json->decode($r->{body})->{payload} } || {};
	my @answers = @{ $payload->{answers} || [{}] };
	return $answers[$n < @answers ? $n : -1];
}

# A crash of a service is an answer that breaks off: what ends before it might be asked again within the same attempt.
sub answer_acted {
	my ($r) = @_;
	my $run = Taskq::Acts::begin($ENV{TASKQ_STORM}, 'http', $r->{body});
	my $act = Taskq::Acts::end($run);
	my %status = (transient => 500, persistent => 500, limited => 429, bad => 400, unknown => 500);
	return { how => 'cut' } if $act eq 'crash';
	return { status => 503, headers => ['Taskq-Snooze: 0.03'] } if $act eq 'snooze';
	return { body => '{"ran":' } if $act eq 'garbage';
	return { body => "{\"ran\":\"$run->{lease}\"}" } if $act eq 'ok';
	return { status => $status{$act}, body => Taskq::Acts::report($act) };
}

sub serve {
	my ($sock) = @_;
	my $kept = '';
	while (my $r = read_request($sock, \$kept)) {
		my $a = $ENV{TASKQ_STORM} ? answer_acted($r) : answer_said($r);
		$ways{ $a->{how} || 'well' }->($sock, $a) or last;
	}
	close $sock;
	return;
}

sub say_port {
	my ($port) = @_;
	open my $f, '>', "$dir/port.new" or die "could not open \"$dir/port.new\": $!\n";
	print $f "$port\n";
	close $f;
	rename "$dir/port.new", "$dir/port";
	return;
}

sub main_plain {
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 64) or die "could not listen: $@\n";
	local $SIG{CHLD} = 'IGNORE';
	say_port($listener->sockport);
	while (1) {
		my $sock = $listener->accept or next;
		my $pid = fork;
		die "could not fork: $!\n" if !defined $pid;
		if ($pid == 0) {
			close $listener;
			serve($sock);
			exit 0;
		}
		close $sock;
	}
}

# What a client sends comes out of openssl, what goes into it is the answer.
sub main_tls {
	my ($port, $cert, $key) = @_;
	require IPC::Open2;
	my $pid = IPC::Open2::open2(my $out, my $in, 'openssl', 's_server', '-quiet', '-accept', "127.0.0.1:$port", '-cert', $cert, '-key', $key);
	local $SIG{TERM} = sub { kill 'TERM', $pid; exit 0 };
	my $kept = '';
	until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp', Timeout => 1)) {
		select undef, undef, undef, 0.02;
		die "openssl ended\n" if !kill 0, $pid;
	}
	say_port($port);
	while (my $r = read_request($out, \$kept)) {
		remember($r);
		put($in, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue");
	}
	return;
}

sub main {
	($dir, my @tls) = @_;
	$SIG{PIPE} = 'IGNORE';
	require(__FILE__ =~ s{Service\.pm$}{Acts.pm}r) if $ENV{TASKQ_STORM};
	@tls ? main_tls(@tls) : main_plain();
	return;
}

main(@ARGV) if !caller;

1;
