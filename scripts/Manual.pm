# Manual.pm - parts of a manual page that are made from a table: what check-options and check-api share.
package Manual;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(made_part roff slurp spew strings);

sub slurp {
	my ($path) = @_;
	open my $f, '<', $path or die "could not open \"$path\": $!\n";
	local $/;
	return scalar <$f>;
}

sub spew {
	my ($path, $text) = @_;
	open my $f, '>', $path or die "could not open \"$path\": $!\n";
	print $f $text;
	close $f or die "could not write \"$path\": $!\n";
	return;
}

# The text of C strings that stand one behind the other.
sub strings {
	my ($c) = @_;
	my %escape = (n => "\n", t => "\t");
	return join '', map { s/\\(.)/exists $escape{$1} ? $escape{$1} : $1/ger } $c =~ /"((?:[^"\\]|\\.)*)"/g;
}

# Text as mdoc: a sentence a line, nothing that looks like a request.
sub roff {
	my ($text) = @_;
	$text =~ s/\\/\\e/g;
	$text =~ s/`(\w+)`/\\(lq$1\\(rq/g;
	$text =~ s/([.;:]) (?=[A-Z0-9])/$1 eq '.' ? ".\n" : "$1 "/ge;
	$text =~ s/(.{1,76})(?: |$)/$1\n/gm;
	$text =~ s/\n+/\n/g;
	$text =~ s/^([.'])/\\&$1/gm;
	return $text;
}

# Holds the part of a page between its marks against `text`, which is made by the script of that name.  With `write` it is put there.
# Returns what is wrong, or nothing.
sub made_part {
	my (%o) = @_;
	my $have = slurp($o{path});
	my ($begin, $end) = (".\\\" $o{part}: made by scripts/$o{script} --write\n", ".\\\" end of $o{part}\n");
	(my $want = $have) =~ s/(\Q$begin\E).*(\Q$end\E)/$1$o{text}$2/s or return "$o{path} has no place for the $o{part}";
	return if $want eq $have;
	return "$o{path} differs from the table of $o{part}; run scripts/$o{script} --write" if !$o{write};
	spew($o{path}, $want);
	return;
}

1;
