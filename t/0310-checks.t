#!/usr/bin/perl
# The rules of the tree that a program can check: scripts/check-*, and scripts without findings.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command srcdir);
use Test::More;

my $src = srcdir();
for my $path (sort glob "$src/scripts/check-*") {
	my ($name) = $path =~ m{([^/]+)$};
	my ($status, $text) = slurp_command(command => [$path], dir => $src, env => { TASKQ_SRCDIR => $src, TASKQ_BUILDDIR => builddir() }, seconds => 120);
	is($status, 0, $name) or diag($text);
}

subtest 'shell scripts' => sub {
	my ($shellcheck) = grep { -x } map { "$_/shellcheck" } split /:/, $ENV{PATH};
	plan skip_all => 'shellcheck not found; Debian: shellcheck' if !$shellcheck;
	for my $path (sort glob("$src/scripts/*"), "$src/etc/taskq.init.in", "$src/.ci/run") {
		my $text = read_file($path);
		next if !defined $text || $text !~ m{^#!/bin/(?:ba)?sh\n};
		my ($status, $said) = slurp_command(command => [$shellcheck, $path]);
		is($status, 0, $path =~ s{^\Q$src\E/}{}r) or diag($said);
	}
};

subtest 'manual pages' => sub {
	my ($mandoc) = grep { -x } map { "$_/mandoc" } split /:/, $ENV{PATH};
	plan skip_all => 'mandoc not found; Debian: mandoc' if !$mandoc;
	for my $path (grep { m{\.[1-8]$} } glob("$src/src/*"), glob("$src/src/*/*")) {
		my ($status, $said) = slurp_command(command => [$mandoc, qw(-T lint -W warning), $path]);
		is($status, 0, $path =~ s{^\Q$src\E/}{}r) or diag($said);
	}
};

done_testing;
