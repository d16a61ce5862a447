# BenchResults.pm - the results of scripts/bench in a directory, a file of JSON for each scenario, so that a run that was cut goes on.
#
# A result is taken again only when it was made by the same taskqd, on the same machine, with the same options: `made` says which.
package Taskq::BenchResults;
use strict;
use warnings;
use Digest::SHA ();
use JSON::PP ();
use Taskq::Machine qw(read_file slurp_command write_file);

my @options = qw(rounds seconds warm acceptors batch payload keys items tasks wakes settle rest config);

# What a result depends on, besides its scenario.
sub made {
	my ($o, $machine) = @_;
	my ($status, $version) = slurp_command(command => [Taskq->program, '--version']);
	chomp $version;
	return { version => $version, program => Digest::SHA->new(256)->addfile(Taskq->program)->hexdigest, machine => $machine, map { $_ => $o->{$_} } @options };
}

# new(directory or undef, made)
sub new {
	my ($class, $dir, $made) = @_;
	mkdir $dir if defined $dir;
	die "could not make \"$dir\": $!\n" if defined $dir && !-d $dir;
	return bless { dir => $dir, made => $made }, $class;
}

sub text { return JSON::PP->new->canonical->pretty->encode($_[0]) }

# The result of an earlier run; undef and why not, undef alone: there is none.
sub earlier {
	my ($self, $name) = @_;
	my $text = defined $self->{dir} ? read_file("$self->{dir}/$name.json") : undef;
	return undef if !defined $text;
	my $kept = eval { JSON::PP::decode_json($text) } or return (undef, 'its result is not JSON');
	my ($was, $is) = ($kept->{made} || {}, $self->{made});
	my @other = grep { text([$was->{$_}]) ne text([$is->{$_}]) } sort keys %$is;
	return $kept->{result} if !@other;
	return (undef, "its result was made with another @{[join ', ', @other]}");
}

# The file is there whole or not at all.
sub keep {
	my ($self, $result) = @_;
	return if !defined $self->{dir};
	my $path = "$self->{dir}/$result->{name}.json";
	write_file("$path.new", text({ made => $self->{made}, result => $result }), 0644);
	rename "$path.new", $path or die "could not rename \"$path.new\": $!\n";
	return;
}

1;
