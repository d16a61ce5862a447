# Figures.pm - what measurements become: medians, tables for the terminal, curves and bars as SVG.
package Taskq::Figures;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(spread thousands table curves bars);

# Of the values of several rounds.
sub spread {
	my @sorted = sort { $a <=> $b } @_;
	my $n = @sorted;
	return { median => $n % 2 ? $sorted[$n / 2] : ($sorted[$n / 2 - 1] + $sorted[$n / 2]) / 2, min => $sorted[0], max => $sorted[-1] };
}

sub thousands { my $n = sprintf '%.0f', $_[0]; 1 while $n =~ s/^(-?\d+)(\d{3})/$1,$2/; return $n }

# Rows of cells, the first is the head; columns are as wide as their widest cell.
sub table {
	my @rows = @_;
	my @width;
	for my $row (@rows) {
		for my $i (0 .. $#$row) {
			my $len = length(defined $row->[$i] ? $row->[$i] : '');
			$width[$i] = $len if !defined $width[$i] || $width[$i] < $len;
		}
	}
	return join '', map {
		my $row = $_;
		join('  ', map { sprintf "%-$width[$_]s", defined $row->[$_] ? $row->[$_] : '' } 0 .. $#$row) =~ s/\s+$//r . "\n"
	} @rows;
}

# --- curves -----------------------------------------------------------------------------------------------------------

my @colours = ('#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df', '#57606a', '#bf3989');

sub escape { my ($t) = @_; $t =~ s/&/&amp;/g; $t =~ s/</&lt;/g; $t =~ s/>/&gt;/g; return $t }

sub short {
	my ($n) = @_;
	return '0' if $n == 0;
	for my $unit ([1e9, 'G'], [1e6, 'M'], [1e3, 'k']) {
		return sprintf('%.3g', $n / $unit->[0]) . $unit->[1] if $n >= $unit->[0];
	}
	return sprintf '%.3g', $n;
}

# A round number that is not less: 1, 2 or 5 times a power of ten.
sub round_up {
	my ($n) = @_;
	my $ten = 1;
	$ten *= 10 while $ten * 10 <= $n;
	$ten /= 10 while $ten > $n;
	return $ten * ($n <= $ten ? 1 : $n <= 2 * $ten ? 2 : $n <= 5 * $ten ? 5 : 10);
}

# One picture: { title, x => words, y => words, lines => [{ name, points => [[x, y], ...] }] }.  The axis of x is a row of the values
# that occur, evenly spaced, for they grow by powers of ten; that of y begins at 0.
sub curves {
	my ($p) = @_;
	my ($width, $height, $left, $right, $top, $bottom) = (720, 360, 70, 190, 46, 50);
	my (%x, $most);
	for my $point (map { @{ $_->{points} } } @{ $p->{lines} }) {
		$x{ $point->[0] } = 1;
		$most = $point->[1] if !defined $most || $most < $point->[1];
	}
	my @x = sort { $a <=> $b } keys %x;
	my $roof = round_up($most || 1);
	my %at = map { $x[$_] => $left + ($width - $left - $right) * (@x > 1 ? $_ / $#x : 0.5) } 0 .. $#x;
	my $y_of = sub { return $height - $bottom - ($height - $top - $bottom) * $_[0] / $roof };
	my @out = qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" font-family="sans-serif" font-size="12">};
	push @out, qq{<rect width="$width" height="$height" fill="white"/>};
	push @out, sprintf '<text x="%d" y="24" font-size="15">%s</text>', $left, escape($p->{title});
	for my $i (0 .. 4) {
		my ($value, $y) = ($roof * $i / 4, $y_of->($roof * $i / 4));
		push @out, sprintf '<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d0d7de"/>', $left, $width - $right, $y, $y;
		push @out, sprintf '<text x="%d" y="%.1f" text-anchor="end">%s</text>', $left - 8, $y + 4, short($value);
	}
	push @out, map { sprintf '<text x="%.1f" y="%d" text-anchor="middle">%s</text>', $at{$_}, $height - $bottom + 18, short($_) } @x;
	push @out, sprintf '<text x="%d" y="%d" text-anchor="middle">%s</text>', ($left + $width - $right) / 2, $height - 10, escape($p->{x});
	push @out, sprintf '<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>', ($height - $bottom + $top) / 2,
		($height - $bottom + $top) / 2, escape($p->{y});
	my $n = 0;
	for my $line (@{ $p->{lines} }) {
		my $colour = $colours[$n % @colours];
		my @points = map { sprintf '%.1f,%.1f', $at{ $_->[0] }, $y_of->($_->[1]) } sort { $a->[0] <=> $b->[0] } @{ $line->{points} };
		push @out, qq{<polyline fill="none" stroke="$colour" stroke-width="2" points="@points"/>};
		push @out, map { my ($cx, $cy) = split /,/; qq{<circle cx="$cx" cy="$cy" r="3" fill="$colour"/>} } @points;
		push @out, sprintf '<text x="%d" y="%d" fill="%s">%s</text>', $width - $right + 14, $top + 8 + 18 * $n, $colour, escape($line->{name});
		$n++;
	}
	return join "\n", @out, "</svg>\n";
}

# --- bars -------------------------------------------------------------------------------------------------------------

# One picture: { title, bars => [{ name, value, least, greatest, goal }] }; a goal is a mark across its bar, red when it was not reached, a thin line
# goes from the least to the greatest.
sub bars {
	my ($p) = @_;
	my ($width, $left, $right, $top, $row) = (720, 130, 110, 46, 24);
	my $height = $top + $row * @{ $p->{bars} } + 34;
	my $roof = round_up((sort { $b <=> $a } map { ($_->{value}, $_->{goal} || 0, $_->{greatest} || 0) } @{ $p->{bars} })[0] || 1);
	my $x_of = sub { return $left + ($width - $left - $right) * $_[0] / $roof };
	my @out = qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" font-family="sans-serif" font-size="12">};
	push @out, qq{<rect width="$width" height="$height" fill="white"/>}, sprintf '<text x="20" y="24" font-size="15">%s</text>', escape($p->{title});
	for my $i (0 .. 4) {
		my $x = $x_of->($roof * $i / 4);
		push @out, sprintf '<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#d0d7de"/>', $x, $x, $top, $height - 30;
		push @out, sprintf '<text x="%.1f" y="%d" text-anchor="middle">%s</text>', $x, $height - 12, short($roof * $i / 4);
	}
	my $y = $top;
	for my $bar (@{ $p->{bars} }) {
		push @out, bar($bar, $left, $y + 4, $row - 8, $x_of);
		push @out, sprintf '<text x="%d" y="%d">%.2f%s</text>', $width - $right + 10, $y + 16, $bar->{value}, defined $bar->{goal} ? sprintf(', goal %.2f', $bar->{goal}) : '';
		$y += $row;
	}
	return join "\n", @out, "</svg>\n";
}

sub bar {
	my ($bar, $left, $y, $high, $x_of) = @_;
	my $reached = !defined $bar->{goal} || $bar->{value} >= $bar->{goal};
	my @out = sprintf '<text x="%d" y="%.1f" text-anchor="end">%s</text>', $left - 8, $y + $high - 4, escape($bar->{name});
	push @out, sprintf '<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>', $left, $y, $x_of->($bar->{value}) - $left, $high, $reached ? $colours[0] : $colours[5];
	push @out, sprintf '<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="black"/>', $x_of->($bar->{least}), $x_of->($bar->{greatest}), $y + $high / 2, $y + $high / 2
		if defined $bar->{least};
	push @out, sprintf '<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="3"/>', $x_of->($bar->{goal}), $x_of->($bar->{goal}), $y - 2, $y + $high + 2,
		$reached ? $colours[2] : $colours[1]
		if defined $bar->{goal};
	return @out;
}

1;
