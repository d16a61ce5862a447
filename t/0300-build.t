#!/usr/bin/perl
# What is installed is what should be, uninstalling leaves nothing, and configure tells which package is missing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Find;
use Taskq;
use Taskq::Machine qw(builddir read_file slurp_command srcdir temp_dir write_file);
use Test::More;

my $build = builddir();
plan skip_all => "\"$build\" has no Makefile" if !-f "$build/Makefile";
my %quiet = map { $_ => undef } qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR);

sub make {
	my ($status, $text) = slurp_command(command => ['make', '-C', $build, @_], env => {%quiet}, seconds => 120);
	is($status, 0, "make @_[0 .. 0]") or diag($text);
	return $text;
}

sub files {
	my ($dir) = @_;
	my @found;
	find({ no_chdir => 1, wanted => sub { push @found, substr $_, length $dir if !-d } }, $dir);
	return sort @found;
}

subtest 'install and uninstall' => sub {
	my $dir = temp_dir('dest');
	make('install', "DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc');
	my %got = map { $_ => 1 } files($dir);
	ok($got{$_}, "$_ is installed") for '/usr/share/doc/taskq/examples/taskq-alerts.yml', '/usr/sbin/taskqd', '/usr/bin/taskqctl', '/etc/init.d/taskq', '/etc/taskq.conf';
	ok(-x "$dir/etc/init.d/taskq", 'the init script can be run');
	my ($status, $text) = slurp_command(command => ["$dir/usr/sbin/taskqd", '-c', "$dir/etc/taskq.conf", '-t']);
	is($status, 0, 'the installed configuration is right') or diag($text);
	write_file("$dir/etc/taskq.conf", "acceptors = 3\n");
	make('install', "DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc');
	is(read_file("$dir/etc/taskq.conf"), "acceptors = 3\n", 'an edited configuration is not overwritten');
	make('uninstall', "DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc');
	is_deeply([files($dir)], ['/etc/taskq.conf'], 'uninstall leaves what was edited');
	$dir = temp_dir('dest');
	make($_, "DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc') for 'install', 'uninstall';
	is_deeply([files($dir)], [], 'and nothing else');
};

subtest 'the tarball' => sub {
	my $src = srcdir();
	my ($status, $text) = slurp_command(command => ['git', '-C', $src, 'ls-files']);
	plan skip_all => 'the source tree is no repository' if $status != 0;
	my $dir = temp_dir('dist') . '/taskq';
	make('distdir', "distdir=$dir");
	my @lost = grep { !-e "$dir/$_" && $_ ne '.gitignore' && -e "$src/$_" } split /\n/, $text;
	is_deeply(\@lost, [], 'it carries every file of the repository');
	ok(-x "$dir/configure", 'and configure');
};

subtest 'configure names what is missing' => sub {
	my $dir = temp_dir('conf');
	my ($status, $text) = slurp_command(command => [srcdir() . '/configure', '--cache-file=' . "$dir/cache"], dir => $dir,
		env => { %quiet, PKG_CONFIG_LIBDIR => "$dir/none", PKG_CONFIG_PATH => undef }, seconds => 120);
	isnt($status, 0, 'it fails');
	like($text, qr/libevent_core >= 2.1 not found; Debian: libevent-dev/, 'the library and its package');
	like($text, qr/libpq.*not found; Debian: libpq-dev/, 'all of them at once');
};

done_testing;
