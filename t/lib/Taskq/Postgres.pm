# Postgres.pm - a private database server for a test, or an existing one named by TASKQ_PG (a libpq connection string).
#
# initdb runs once for a build directory, version and user; each test gets a copy.  It listens on a unix socket that only its
# owner and root can reach (no password), and on 127.0.0.1 (with one).
package Taskq::Postgres;
use strict;
use warnings;
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use Taskq::Machine qw(bail builddir free_port read_file run_as_user slurp_command spawn srcdir temp_dir unprivileged_user wait_for
	write_file);

my $password = 'taskq';

# The directory of the server's programs; Debian keeps it out of PATH.
sub bindir {
	my @found = map { $_->[1] } sort { $b->[0] <=> $a->[0] }
		map { m{/(\d+)/bin/postgres$} ? [$1, s{/postgres$}{}r] : () } glob '/usr/lib/postgresql/*/bin/postgres';
	unshift @found, $ENV{TASKQ_PG_BINDIR} if $ENV{TASKQ_PG_BINDIR};
	push @found, grep { -x "$_/postgres" } split /:/, $ENV{PATH};
	bail('postgres not found; Debian: postgresql') if !@found || !-x "$found[0]/initdb";
	return $found[0];
}

# new(private => 1: never the one of TASKQ_PG, fsync => 0: fast, settings => { name => value })
sub new {
	my ($class, %o) = @_;
	return bless { external => $ENV{TASKQ_PG}, databases => 0 }, $class if $ENV{TASKQ_PG} && !$o{private};
	my $self = bless { bindir => bindir(), user => unprivileged_user(), dir => temp_dir('pg') }, $class;
	$self->{fsync} = !exists $o{fsync} || $o{fsync};
	run('cp', '-a', '--reflink=auto', $self->template, "$self->{dir}/data");
	mkdir "$self->{dir}/s", 0700;
	chown $self->{user}[1], $self->{user}[2], "$self->{dir}/s" if $self->{user};
	my %settings = (shared_buffers => '32MB', max_connections => 100, max_wal_size => '256MB', log_line_prefix => "'%m [%p] '",
		%{ $o{settings} || {} });
	@settings{qw(fsync full_page_writes)} = ('off', 'off') if !$self->{fsync};
	my $text = join '', map { "$_ = $settings{$_}\n" } sort keys %settings;
	write_file("$self->{dir}/data/postgresql.auto.conf", $text);
	chown $self->{user}[1], $self->{user}[2], "$self->{dir}/data/postgresql.auto.conf" if $self->{user};
	$self->start;
	return $self;
}

sub run { my (@command) = @_; system(@command) == 0 or die "\"@command\" failed\n" }

# An initialised cluster with an empty database "taskq", made once and kept in the build directory.
sub template {
	my ($self) = @_;
	my ($version) = run_as_user(undef, "$self->{bindir}/postgres", '--version') =~ /(\d+[.\d]*)/;
	my $cache = builddir() . '/t/pgcache';
	make_path($cache);
	my $name = "$cache/$version-" . ($self->{user} ? $self->{user}[0] : $>);
	open my $lock, '>', "$name.lock" or die "could not open \"$name.lock\": $!";
	flock $lock, LOCK_EX;
	return $name if -f "$name/PG_VERSION";
	my $fresh = temp_dir('init');
	chown $self->{user}[1], $self->{user}[2], $fresh if $self->{user};
	write_file("$fresh/pw", "$password\n", 0644);
	run_as_user($self->{user}, "$self->{bindir}/initdb", '-D', "$fresh/data", '-U', 'taskq', '--pwfile', "$fresh/pw",
		'--auth-local=trust', '--auth-host=scram-sha-256', '--no-locale', '-E', 'UTF8', '--no-sync');
	write_file("$fresh/sql", "create database taskq\n", 0644);
	my ($status, $said) = slurp_command(user => $self->{user}, in => "$fresh/sql",
		command => ["$self->{bindir}/postgres", '--single', '-D', "$fresh/data", 'template1']);
	die "could not create the database:\n$said" if $status != 0;
	remove_tree("$name.new");
	run('cp', '-a', "$fresh/data", "$name.new");
	rename "$name.new", $name or die "could not rename \"$name.new\": $!";
	return $name;
}

# --- life -----------------------------------------------------------------------------------------------------------

sub private { return !$_[0]{external} }
sub pid { return $_[0]{child}->pid }
sub log { return read_file("$_[0]{dir}/log") }
sub port { return $_[0]{port} }
sub socket_dir { return "$_[0]{dir}/s" }

# Starts it on the port it had, so that clients find it again; a first start looks for a free one.
sub start {
	my ($self) = @_;
	my $fixed = $self->{port};
	for my $try (1 .. 5) {
		my $port = $fixed || free_port();
		unlink "$self->{dir}/data/postmaster.pid" if !$fixed;
		$self->{child} = spawn(name => 'postgres', user => $self->{user}, stop => 'QUIT', out => "$self->{dir}/log", dir => '/',
			command => ["$self->{bindir}/postgres", '-D', "$self->{dir}/data", '-k', $self->socket_dir, '-h', '127.0.0.1', '-p', $port]);
		$self->{port} = $port;
		return $self if $self->answers;
		last if $fixed || $self->log !~ /could not bind/;
	}
	die "postgres did not start:\n" . $self->log;
}

# True when it accepts connections; false when it ended first.
sub answers {
	my ($self) = @_;
	return wait_for(sub {
		return -1 if !$self->{child}->alive;
		my $status = read_file("$self->{dir}/data/postmaster.pid");
		return 0 if !defined $status || $status !~ /^\Q$self->{child}{pid}\E\n/;
		return $status =~ /^ready\s*$/m;
	}, 30, 'postgres to start') != -1;
}

# stop('fast' | 'immediate' | 'smart')
sub stop {
	my ($self, $mode) = @_;
	my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');
	$self->{child}->signal($signal{ $mode || 'fast' });
	defined $self->{child}->wait(30) or die "postgres did not stop\n";
	return $self;
}

sub restart { my ($self, $mode) = @_; return $self->stop($mode)->start }

# The postmaster; its children leave by themselves, and only then may a new one start.
sub kill9 {
	my ($self) = @_;
	my $below = Taskq::Machine::descendants($self->pid);
	$self->{child}->signal('KILL');
	$self->{child}->wait(10);
	for my $pid (keys %$below) {
		wait_for(sub {
			my $start = Taskq::Machine::process_start_time($pid);
			return !defined $start || $start != $below->{$pid};
		}, 20, "process $pid of postgres to leave");
	}
	return $self;
}

# --- use ------------------------------------------------------------------------------------------------------------

# conninfo(db => name, tcp => 1): over TCP for a daemon that runs as another user; port => of a proxy before it.
sub conninfo {
	my ($self, %o) = @_;
	my $db = $o{db} || 'taskq';
	if ($self->{external}) {
		return $self->{external} . ' dbname=' . ($o{db} || $self->own_database);
	}
	return "host=127.0.0.1 port=$o{port} sslmode=disable gssencmode=disable user=taskq password=$password dbname=$db" if $o{port};
	return "host=127.0.0.1 port=$self->{port} user=taskq password=$password dbname=$db" if $o{tcp};
	return 'host=' . $self->socket_dir . " port=$self->{port} user=taskq dbname=$db";
}

# On a server that is not ours the test works in a database of its own, dropped at the end.
sub own_database {
	my ($self) = @_;
	return $self->{own} ||= $self->createdb('taskq_t_' . $$);
}

sub createdb {
	my ($self, $name) = @_;
	my $admin = $self->{external} || $self->conninfo(db => 'postgres');
	psql_at($admin, "create database $name");
	Taskq::Machine::at_end(sub { eval { psql_at($admin, "drop database if exists $name with (force)") } }) if $self->{external};
	return $name;
}

# A database with the schema of this tree, made without the daemon.
sub create_schema {
	my ($self, $name) = @_;
	$self->createdb($name);
	$self->psql('create schema taskq', db => $name);
	$self->psql(read_file($_), db => $name) for sort glob srcdir() . '/sql/schema/*.sql';
	return $name;
}

# Rows as lines, columns separated by "|".  psql(sql, db => name, seconds => how long it may take)
sub psql {
	my ($self, $sql, %o) = @_;
	return psql_at($self->conninfo(%o), $sql, seconds => $o{seconds});
}

sub psql_at {
	my ($conninfo, $sql, %o) = @_;
	my $in = File::Temp->new(TEMPLATE => 'tq-sql-XXXXXX', TMPDIR => 1);
	print $in $sql;
	$in->flush;
	my ($status, $text) = slurp_command(command => [psql_program(), '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $conninfo, '-f', $in->filename],
		%o);
	die "psql: $text in: $sql\n" if $status != 0;
	chomp $text;
	return $text;
}

sub psql_program {
	for my $dir (split /:/, $ENV{PATH}) {
		return "$dir/psql" if -x "$dir/psql";
	}
	bail('psql not found; Debian: postgresql-client');
}

1;
