# Statement.pm - a statement of sql/queries, for tests that run it without the daemon.
#
#	my $claim = Taskq::Statement->new('claim');
#	$session->run($claim->prepare);                 # with the types that its head tells; then: execute claim(...)
#	$session->run($claim->with(7, 1, ...));         # values in place of $1, $2, ...
package Taskq::Statement;
use strict;
use warnings;
use Taskq::Machine qw(read_file srcdir);

sub names { return map { m{(\w+)\.sql$} } sort glob srcdir() . '/sql/queries/*.sql' }

# new(name, text in place of that of the file): { name, text, sql => without its head, types => [...] }
sub new {
	my ($class, $name, $text) = @_;
	$text = read_file(srcdir() . "/sql/queries/$name.sql") if !defined $text;
	my @types;
	$types[$1 - 1] = $2 while $text =~ /^-- \$(\d+) \w+ ([\w\[\]]+)/mg;
	return bless { name => $name, text => $text, sql => $text =~ s/^--.*\n//mgr, types => \@types }, $class;
}

sub prepare {
	my ($self) = @_;
	my @types = @{ $self->{types} };
	return "prepare $self->{name}" . (@types ? '(' . join(', ', @types) . ')' : '') . " as $self->{sql}";
}

sub with {
	my ($self, @values) = @_;
	@values == @{ $self->{types} } or die "$self->{name} has " . @{ $self->{types} } . " parameters\n";
	return $self->{sql} =~ s/\$(\d+)/$values[$1 - 1]/gr;
}

# The settings of a session of the daemon.
sub session { my ($class) = @_; my $it = $class->new('session'); return $it->with(5000, 5000, 'pg_backend_pid()') }

1;
