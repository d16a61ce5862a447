# Truth.pm - what must be true when everything is over, read from the tables, from the history of leases and from the journal of runs.
#
#	Taskq::Truth::witness($pg);                   after the migration, before the first task: leases leave a history
#	my $truth = Taskq::Truth->read($pg, $dir);    when nothing is left to do; the journal of Taskq::Acts is in $dir
#	my @wrong = $truth->lost(\%sent);             each question is answered by what speaks against it, as lines; empty: it holds
#
# A run is named by its lease (48 hexadecimal digits, as in the envelope).  A verdict is what the store accepted of a lease: its row of
# done, tried or dead.
package Taskq::Truth;
use strict;
use warnings;
use Taskq::Machine qw(read_file);

my @classes = qw(NONE TRANSIENT PERSISTENT NON_RETRYABLE AUTH RATE_LIMITED CRASH);
my $token = q{replace(id::text, '-', '') || lpad(to_hex(lease_id), 16, '0')};

# n is the order of what happened: within one task each step locks what the step before wrote.
sub witness {
	my ($pg) = @_;
	$pg->psql(<<'SQL');
create table public.held (n bigserial, what text, lo uuid, hi uuid, lease text, at float8);
create function public.held() returns trigger language plpgsql as $$
begin
	insert into public.held (what, lo, hi, lease, at) select lower(left(tg_op, 1)), x.lo, x.hi, lpad(to_hex(x.lease_id), 16, '0'),
		extract(epoch from clock_timestamp()) from (select (case when tg_op = 'DELETE' then old else new end).*) x;
	return null;
end $$;
create trigger held after insert or delete or update of hi on taskq.lease for each row execute function public.held();
SQL
	return;
}

# Rows as hashes.
sub rows {
	my ($pg, $names, $sql) = @_;
	return map { my %r; @r{@$names} = split /\|/, $_, -1; \%r } split /\n/, $pg->psql($sql);
}

sub read {
	my ($class, $pg, $dir) = @_;
	my $self = bless { pg => $pg, run => {}, runs => [], verdict => {}, tried => {} }, $class;
	$self->{task} = { map { $_->{id} => $_ } rows($pg, [qw(id max type queue ord)], q{select t.id, t.max_attempts, k.name, q.name, l.ord from taskq.task t
		join taskq.lane l on l.id = t.lane join taskq.kind k on k.id = l.kind_id join taskq.queue q on q.id = l.queue_id}) };
	$self->{done} = [rows($pg, [qw(id lease attempts crashes status result)],
		"select id, $token, attempts, crashes, status, convert_from(result, 'UTF8') from taskq.done")];
	$self->{dead} = [rows($pg, [qw(id lease attempts crashes max reason class code)],
		"select id, $token, attempts, crashes, max_attempts, reason, class, code from taskq.dead where resolution is null")];
	for my $r (rows($pg, [qw(id lease why run class code)], "select id, $token, why, run, coalesce(class, 0), code from taskq.tried order by id, run")) {
		$r->{class} = $classes[$r->{class}];
		$self->{verdict}{ $r->{lease} } = $r;
		push @{ $self->{tried}{ $r->{id} } }, $r;
	}
	$self->{verdict}{ $_->{lease} } = { %$_, why => 0 } for grep { $_->{status} != 3 } @{ $self->{done} };
	push @{ $self->{held}{ $_->{lease} } }, $_ for rows($pg, [qw(n what lo hi lease at)], 'select n, what, lo, hi, lease, at from public.held order by n');
	$self->read_journal($dir);
	return $self;
}

sub read_journal {
	my ($self, $dir) = @_;
	for my $line (split /\n/, read_file("$dir/journal") || '') {
		my ($sign, $time, $lease, @more) = split / /, $line;
		if ($sign eq '-') {
			$self->{run}{$lease}{end} = $time;
			next;
		}
		my ($id) = join '-', $lease =~ /^(.{8})(.{4})(.{4})(.{4})(.{12})/;
		push @{ $self->{twice} }, $line if $self->{run}{$lease};
		my $run = $self->{run}{$lease} = { lease => $lease, id => $id, begin => $time };
		@$run{qw(kind attempt max act)} = @more;
		push @{ $self->{runs} }, $run;
		push @{ $self->{of}{$id} }, $run;
	}
	return;
}

# From when to when a lease covered its task, as places in the history; and the time of the first.
sub span {
	my ($self, $run) = @_;
	my ($from, $to, $at, $lo);
	for my $e (@{ $self->{held}{ substr $run->{lease}, 32 } || [] }) {
		if ($e->{what} eq 'i' && $e->{lo} le $run->{id} && $run->{id} le $e->{hi}) {
			($from, $at, $lo) = @$e{qw(n at lo)};
		} elsif (defined $lo && !defined $to && $e->{lo} eq $lo && ($e->{what} eq 'd' || $e->{hi} lt $run->{id})) {
			$to = $e->{n};
		}
	}
	return ($from, $to, $at);
}

sub runs { return @{ $_[0]{runs} } }
sub said { my ($self, $run) = @_; return $self->{verdict}{ $run->{lease} } }
sub text { my ($run) = @_; return join ' ', map { "$_=" . (defined $run->{$_} ? $run->{$_} : '-') } qw(id lease kind act begin end) }

# --- each task is somewhere, once -----------------------------------------------------------------------------------

sub lost {
	my ($self, $sent) = @_;
	my %places;
	$places{ $_->{id} }++ for @{ $self->{done} }, @{ $self->{dead} };
	return (map({ "$_ was accepted and is " . ($places{$_} ? "in $places{$_} places" : 'in no final place') } grep { ($places{$_} || 0) != 1 } keys %$sent),
		map({ "nobody submitted $_" } grep { !$sent->{$_} } keys %{ $self->{task} }));
}

sub done_twice { my ($self) = @_; my %n; $n{ $_->{id} }++ for @{ $self->{done} }; return grep { $n{$_} > 1 } keys %n }

# What is still in the tables where work waits or lives.
sub leftovers {
	my ($pg) = @_;
	my %n = map { ($_ => $pg->psql("select count(*) from taskq.$_")) } qw(ready waiting lease progress expiry);
	return map { "$n{$_} rows of $_" } grep { $n{$_} } sort keys %n;
}

# --- attempts and crashes -------------------------------------------------------------------------------------------

sub ends { my ($self) = @_; return (@{ $self->{done} }, @{ $self->{dead} }) }
# A task whose workers were lost too often, or that was not started in time, was judged without a run.
sub judged { my ($self, $id) = @_; return grep { ($_->{code} || '') !~ /^(?:EXPIRED|WORKER_LOST)$/ } @{ $self->{tried}{$id} || [] } }

sub too_many_attempts { my ($self) = @_; return map { "$_->{id}: $_->{attempts} attempts" } grep { $_->{attempts} > $self->{task}{ $_->{id} }{max} } $self->ends }

sub too_many_seen {
	my ($self) = @_;
	return map { text($_) . " attempt $_->{attempt} of $_->{max}" } grep { $_->{attempt} < 1 || $_->{attempt} > $_->{max} || $_->{max} != $self->{task}{ $_->{id} }{max} } $self->runs;
}

# Attempts are what was charged: a success, and every failure that is neither a crash nor a put-off.
sub attempts_wrong {
	my ($self) = @_;
	my @wrong;
	for my $end (grep { !$_->{status} || $_->{status} == 1 } $self->ends) {
		my $charged = grep { $_->{why} != 5 && $_->{class} !~ /^(?:CRASH|AUTH)$/ } $self->judged($end->{id});
		$charged++ if $end->{status};
		push @wrong, "$end->{id}: $end->{attempts} attempts, $charged charged" if $charged != $end->{attempts};
	}
	return @wrong;
}

sub crashes_wrong {
	my ($self) = @_;
	my @wrong;
	for my $end ($self->ends) {
		my $crashes = grep { $_->{class} eq 'CRASH' } $self->judged($end->{id});
		push @wrong, "$end->{id}: $end->{crashes} crashes, $crashes told" if $crashes != $end->{crashes};
	}
	return @wrong;
}

# The run after one that was put off, or that crashed, is the same attempt; after any other it is the next.
sub attempts_seen_wrong {
	my ($self, $why) = @_;
	my @wrong;
	for my $id (keys %{ $self->{of} }) {
		my @runs = grep { $self->said($_) } sort { $a->{begin} <=> $b->{begin} } @{ $self->{of}{$id} };
		for my $i (0 .. $#runs - 1) {
			my $said = $self->said($runs[$i]);
			my $was = $said->{why} == 5 ? 'snooze' : $said->{class} && $said->{class} eq 'CRASH' ? 'crash' : 'failure';
			next if $was ne $why;
			my $next = $runs[$i]{attempt} + ($why eq 'failure');
			push @wrong, text($runs[$i]) . " was attempt $runs[$i]{attempt}, the next run $runs[$i + 1]{attempt}" if $runs[$i + 1]{attempt} != $next;
		}
	}
	return @wrong;
}

# --- runs and their leases ------------------------------------------------------------------------------------------

sub started_twice { my ($self) = @_; return @{ $self->{twice} || [] } }

# Two runs of a task are at the same time only when the lease of the earlier one was lost, or the earlier one was killed.
sub overlaps {
	my ($self) = @_;
	my @wrong;
	for my $id (keys %{ $self->{of} }) {
		my @runs = sort { $a->{begin} <=> $b->{begin} } @{ $self->{of}{$id} };
		for my $i (0 .. $#runs - 1) {
			my ($a, $b) = @runs[$i, $i + 1];
			my ($said, $to, $from) = ($self->said($a), ($self->span($a))[1], ($self->span($b))[0]);
			my $alive = $said && ($said->{class} || '') ne 'CRASH' && defined $a->{end} && $a->{end} > $b->{begin};
			push @wrong, text($a) . ' and ' . text($b) if $alive || (!$said && defined $from && (!defined $to || $to > $from));
		}
	}
	return @wrong;
}

# The verdict of each run that the store heard is what the run did; a run that was killed is a crash, or was put off before it was read.
sub misheard {
	my ($self) = @_;
	my %expected = (ok => qr/^0 - -/, transient => qr/^[12] TRANSIENT STORM/, persistent => qr/^[12] PERSISTENT STORM/, limited => qr/^[12] RATE_LIMITED STORM/,
		bad => qr/^2 NON_RETRYABLE BAD/, unknown => qr/^2 NON_RETRYABLE/, snooze => qr/^5 /,
		garbage => qr/^[12] TRANSIENT (?:BAD_OUTPUT|PROTOCOL_ERROR)/, crash => qr/^[12] (?:CRASH|TRANSIENT)/);
	my @wrong;
	for my $run ($self->runs) {
		my $said = $self->said($run) or next;
		my $is = join ' ', $said->{why}, map { !defined $_ || $_ eq '' || $_ eq 'NONE' ? '-' : $_ } @$said{qw(class code)};
		push @wrong, text($run) . " was taken for: $is" if $is !~ $expected{ $run->{act} } && $is !~ /^[12] CRASH/;
		push @wrong, text($run) . " has no end, and counts as: $is" if !defined $run->{end} && $is !~ /CRASH/;
	}
	return @wrong;
}

# A success has the result of the run that has its lease.
sub results_wrong {
	my ($self) = @_;
	my @wrong;
	for my $end (grep { $_->{status} == 1 && $self->{of}{ $_->{id} } } @{ $self->{done} }) {
		my ($ran) = ($end->{result} || '') =~ /^\{"ran": ?"(\w+)"\}$/;
		push @wrong, "$end->{id} of $end->{lease}: $end->{result}" if ($ran || '') ne $end->{lease};
	}
	return @wrong;
}

# --- what must not start --------------------------------------------------------------------------------------------

# { id => time of day of the answer to its cancel }
sub started_cancelled {
	my ($self, $cancelled) = @_;
	my %end = map { ($_->{id} => $_) } @{ $self->{done} };
	my @wrong = map { "$_ was cancelled, and is not" } grep { !$end{$_} || $end{$_}{status} != 3 } keys %$cancelled;
	for my $run (grep { $cancelled->{ $_->{id} } } $self->runs) {
		my $at = ($self->span($run))[2];
		push @wrong, text($run) . " was leased after the cancel of $cancelled->{$run->{id}}" if !defined $at || $at > $cancelled->{ $run->{id} };
	}
	return @wrong;
}

sub started_expired {
	my ($self) = @_;
	my %expired = map { ($_->{id} => 1) } grep { ($_->{code} || '') eq 'EXPIRED' } @{ $self->{dead} };
	return map { text($_) } grep { $expired{ $_->{id} } } $self->runs;
}

# Those that were late already.  A lease that was lost counts as a start, for nobody knows: what comes after it is not held against them.
sub started_late {
	my ($self, $late) = @_;
	my %end = map { ($_->{id} => $_) } $self->ends;
	my @wrong;
	for my $id (grep { !$end{$_} || !(($end{$_}{code} || '') eq 'EXPIRED' || ($end{$_}{status} || 0) == 3) } @$late) {
		my @leases = sort { $a->{n} <=> $b->{n} } grep { $_->{what} eq 'i' && $_->{lo} le $id && $id le $_->{hi} } map { @$_ } values %{ $self->{held} };
		my $first = @leases ? $id =~ s/-//gr . $leases[0]{lease} : '';
		my $said = $self->{verdict}{$first};
		push @wrong, "$id, under $first: " . join ' ', map { defined $_ ? $_ : '-' } @{ $end{$id} || {} }{qw(status reason code)}
			if $self->{run}{$first} || ($said && $said->{class} ne 'CRASH');
	}
	return @wrong;
}

# --- order and limits -----------------------------------------------------------------------------------------------

# No run of a task of an ordering key begins before the last run of each older one: { key => ids as they were submitted }, each after
# the answer to the one before and to the same node: then the order is that of their ids too, whichever acceptor it was.
sub disordered {
	my ($self, $order) = @_;
	my @wrong;
	for my $key (sort keys %$order) {
		my @before;
		my $ids = $order->{$key};
		push @wrong, map { "$key: $ids->[$_] has a lower id than $ids->[$_ - 1]" } grep { $ids->[$_] lt $ids->[$_ - 1] } 1 .. $#$ids;
		for my $id (@$ids) {
			my @runs = sort { $a->{begin} <=> $b->{begin} } @{ $self->{of}{$id} || [] } or next;
			push @wrong, map { "$key: " . text($runs[0]) . ' before ' . text($_) } grep { $runs[0]{begin} < $_->{begin} } @before;
			my ($latest) = grep { $self->said($_) } reverse @runs;
			push @before, $latest if $latest;
		}
	}
	return @wrong;
}

# The most of a list of [begin, end] at the same time.
sub most {
	my ($n, $most) = (0, 0);
	for my $e (sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } map { ([$_->[0], 1], [$_->[1], -1]) } @_) {
		$n += $e->[1];
		$most = $n if $n > $most;
	}
	return $most;
}

# Of a queue: runs that ended themselves, by the journal; and tasks under leases.
sub most_running {
	my ($self, $queue) = @_;
	return most(map { [@$_{qw(begin end)}] } grep { my $s = $self->said($_); defined $_->{end} && $s && (($s->{class} || '') ne 'CRASH' || $_->{act} eq 'crash') }
		grep { $self->{task}{ $_->{id} }{queue} eq $queue } $self->runs);
}
sub most_leased {
	my ($self, $queue) = @_;
	my %begin;
	my @spans;
	for my $e (sort { $a->{n} <=> $b->{n} } map { @$_ } values %{ $self->{held} }) {
		next if ($self->{task}{ $e->{lo} }{queue} || '') ne $queue;
		if ($e->{what} eq 'i') {
			$begin{"$e->{lo} $e->{lease}"} = $e->{n};
		} elsif ($e->{what} eq 'd') {
			push @spans, [$begin{"$e->{lo} $e->{lease}"}, $e->{n}];
		}
	}
	return most(@spans);
}

1;
