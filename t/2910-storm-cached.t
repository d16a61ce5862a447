#!/usr/bin/perl
# The storm of 2900 once more, with the memory of recent answers and with Redis.
use strict;
use warnings;
use FindBin;

$ENV{STORM} = 'cached';
exec $^X, "$FindBin::Bin/2900-storm.t" or die "could not start 2900-storm.t: $!\n";
