# Toy.pm - starts t/unit/http_toy: the edge alone, with toy routes, for tests that speak to it over raw sockets.
package Taskq::Toy;
use strict;
use warnings;
use Taskq::HTTP;
use Taskq::Machine qw(builddir now patience temp_dir read_file write_file spawn wait_for);

# start(http => { head_timeout => '300ms', ... }, nofile => 32)
sub start {
	my ($class, %o) = @_;
	my $dir = temp_dir();
	my $http = $o{http} || {};
	write_file("$dir/toy.conf", "http {\n" . join('', map { "\t$_ = $http->{$_}\n" } sort keys %$http) . "}\n");
	my $self = bless { dir => $dir }, $class;
	$self->{child} = spawn(name => 'http_toy', out => "$dir/out", err => "$dir/err", stop => 'KILL',
		command => [builddir() . '/t/unit/http_toy', "$dir/toy.conf", $o{nofile} ? $o{nofile} : ()]);
	wait_for(sub {
		die 'the toy ended: ' . $self->err . "\n" if !$self->{child}->alive;
		return $self->out =~ /^port (\d+)$/m && ($self->{address} = "127.0.0.1:$1");
	}, 20, 'the toy to listen');
	return $self;
}

sub out { my $text = read_file("$_[0]{dir}/out"); return defined $text ? $text : '' }
sub err { my $text = read_file("$_[0]{dir}/err"); return defined $text ? $text : '' }
sub pid { return $_[0]{child}->pid }
sub child { return $_[0]{child} }
sub address { return $_[0]{address} }
sub connect { my ($self) = @_; return Taskq::HTTP->connect($self->{address}) }

# What GET /count tells; its own connection is not counted in `open`.
sub count {
	my ($self) = @_;
	my $count = $self->connect->request('GET', '/count')->json;
	$count->{open}--;
	return $count;
}

# Sends bytes, in pieces when asked, and returns all answers up to the end of the stream, which must come.
sub answers {
	my ($self, $bytes, $piece) = @_;
	my $c = $self->connect;
	for my $part ($piece ? unpack("(a$piece)*", $bytes) : $bytes) {
		$c->write($part) or last;
	}
	return rest($c);
}

# All answers of a connection up to its end.
sub rest {
	my ($c) = @_;
	my $deadline = now() + patience(20);
	my @answers;
	until ($c->{eof} && $c->{in} eq '') {
		if ($c->{in} eq '') {
			$c->fill($deadline) or die "the connection stays open\n";
		} else {
			push @answers, $c->response;
		}
	}
	die "the connection was reset\n" if $c->{reset};
	return @answers;
}

1;
