# Interleave.pm - runs two or three transactions in every order of their statements against the real statements of sql/queries,
# and after each order asks the database whether every task is in exactly one place.
#
# An operation is a list of transactions, a transaction a list of [statement name, argument ...]; its steps are `begin` with the
# first statement, the others, and `commit`.  A step that waits for a lock is left waiting while the others go on.  An error ends its
# transaction, as it would for the daemon.
package Taskq::Interleave;
use strict;
use warnings;
use Taskq::Machine qw(now patience);
use Taskq::Session;
use Taskq::Statement;

sub new {
	my ($class, $conninfo) = @_;
	my $self = bless { conninfo => $conninfo, errors => {}, schedules => 0 }, $class;
	$self->{admin} = Taskq::Session->new($conninfo);
	$self->{admin}->run('set jit = off');
	$self->{sessions} = [map { Taskq::Session->new($conninfo) } 1 .. 3];
	for my $name (grep { !/^(?:hello|migrate|session|vacuum)/ } Taskq::Statement::names()) {
		$self->{text}{$name} = Taskq::Statement->new($name)->{text};
	}
	for my $s (@{ $self->{sessions} }) {
		$s->run("set $_") for 'search_path = \'\'', 'enable_seqscan = off', 'enable_hashjoin = off', 'enable_mergejoin = off',
		    'enable_bitmapscan = off', 'jit = off', 'deadlock_timeout = 20';
		$self->prepare($s, $_, $self->{text}{$_}) for sort keys %{ $self->{text} };
	}
	return $self;
}

sub prepare {
	my ($self, $session, $name, $text) = @_;
	my $answer = $session->run(Taskq::Statement->new($name, $text)->prepare);
	die "$name: $answer" if $answer =~ /ERROR/;
	return;
}

# Runs the code with other texts in place of some statements: name => [pattern, replacement] (the pattern must match).
sub mutated {
	my ($self, $mutations, $code) = @_;
	my $swap = sub {
		my ($texts) = @_;
		for my $s (@{ $self->{sessions} }) {
			for my $name (sort keys %$texts) {
				$s->run("deallocate $name");
				$self->prepare($s, $name, $texts->{$name});
			}
		}
	};
	my %texts;
	for my $name (keys %$mutations) {
		my ($pattern, $replacement) = @{ $mutations->{$name} };
		$texts{$name} = $self->{text}{$name};
		$texts{$name} =~ s/$pattern/$replacement/s or die "$name does not match $pattern";
	}
	$swap->(\%texts);
	my $result = eval { $code->() };
	my $error = $@;
	$swap->({ map { $_ => $self->{text}{$_} } keys %texts });
	die $error if $error;
	return $result;
}

sub steps {
	my ($operation) = @_;
	my @steps;
	for my $transaction (@$operation) {
		my $first = 1;
		for my $statement (@$transaction) {
			my ($name, @args) = ref $statement ? @$statement : ($statement);
			my $sql = $name =~ /\s/ ? $name : "execute $name" . (@args ? '(' . join(', ', @args) . ')' : '');
			push @steps, ($first ? "begin; $sql" : $sql);
			$first = 0;
		}
		push @steps, 'commit';
	}
	return \@steps;
}

# All orders of the steps: lists of operation numbers.
sub orders {
	my (@left) = @_;
	return [] unless grep { $_ } @left;
	my @orders;
	for my $i (grep { $left[$_] } 0 .. $#left) {
		my @rest = @left;
		$rest[$i]--;
		push @orders, map { [$i, @$_] } orders(@rest);
	}
	return @orders;
}

# Runs every order (or `most` of them, evenly chosen) and returns the violations as texts.  check => SQL that returns a text for
# each violation, instead of check_places().
sub all {
	my ($self, $setup, $operations, %o) = @_;
	my @programs = map { steps($_) } @$operations;
	my @orders = orders(map { scalar @$_ } @programs);
	if ($o{most} && @orders > $o{most}) {
		my $stride = @orders / $o{most};
		@orders = map { $orders[int($_ * $stride)] } 0 .. $o{most} - 1;
	}
	my @violations;
	for my $order (@orders) {
		my $what = $self->one($setup, \@programs, $order, $o{check} || 'select what from check_places()');
		push @violations, join('', @$order) . ": $what" if $what;
		last if $o{first} && @violations;
	}
	return @violations;
}

sub one {
	my ($self, $setup, $programs, $order, $check) = @_;
	$self->{schedules}++;
	my $answer = $self->{admin}->run("begin; $setup; commit");
	die "setup: $answer" if $answer =~ /ERROR/;
	my @next = map { 0 } @$programs;
	my @waits = map { 0 } @$programs;
	my @queue = @$order;
	my $until = now() + patience(20);
	while (@queue) {
		my $i = shift @queue;
		die "order @$order does not end: next @next, waits @waits, queue @queue\n" . $self->{admin}->run("select pid, state, wait_event_type, wait_event, query from pg_stat_activity where datname = current_database()") if now() > $until;
		if ($waits[$i]) {
			# still waiting for its lock: its turn comes later
			if (!$self->settled($i, 0.005)) { push @queue, $i; next }
			$waits[$i] = 0;
		}
		$self->{sessions}[$i]->send($programs->[$i][$next[$i]++]);
		$waits[$i] = !$self->settled($i);
	}
	for my $i (0 .. $#$programs) {
		next unless $waits[$i];
		defined $self->take($i, 20) or die "order @$order: operation $i waits for ever";
	}
	my $what = $self->{admin}->run($check);
	$what =~ s/\n/; /g;
	return $what;
}

sub take {
	my ($self, $i, $seconds) = @_;
	my $answer = $self->{sessions}[$i]->answer($seconds);
	$self->{errors}{$1}++ while defined $answer && $answer =~ /ERROR:\s+(.*)/g;
	return $answer;
}

# True when the session has answered; false when it waits for a lock.
sub settled {
	my ($self, $i, $patience) = @_;
	for (1 .. 1000) {
		return 1 if defined $self->take($i, $patience || 0.004);
		my $backend = $self->{sessions}[$i]->backend;
		return 0 if $self->{admin}->run("select count(*) from pg_stat_activity where pid = $backend and wait_event_type = 'Lock'") =~ /1/;
	}
	die "session $i neither answers nor waits for a lock";
}

1;
