# Shell.pm - handlers whose command is a piece of shell, and what their runs leave behind.
#
#	my $dir = temp_dir('h');                                       # where the commands may write: chmod 0777
#	my $note = note_run($dir);
#	my $config = shell_handler($dir, once => "read -r line\n${note}echo 1", 'timeout = 5s');
#	noted_runs($dir, $task)                                        # the pids of its runs; as a number: how many
package Taskq::Shell;
use strict;
use warnings;
use Exporter 'import';
use Taskq::Machine qw(read_file write_file);

our @EXPORT_OK = qw(note_run noted_runs shell_command shell_handler);

# The path of a new command.
sub shell_command { my ($dir, $name, $text) = @_; return write_file("$dir/$name", "#!/bin/sh\n$text\n", 0755) }

# The text of the configuration for a handler of that type, with more options if any.
sub shell_handler {
	my ($dir, $type, $text, $more) = @_;
	my $command = shell_command($dir, $type, $text);
	return "handler $type { command = {\"$command\"}\n " . ($more || '') . " }\n";
}

# Shell: takes the id of the task, $id, out of its envelope, $line, and notes this run.
sub note_run {
	my ($dir) = @_;
	return <<"SH";
id=\${line#*\\"message_id\\":\\"}
id=\${id%%\\"*}
echo \$\$ >>$dir/runs.\$id
SH
}

sub noted_runs { my ($dir, $task) = @_; return my @pids = split ' ', read_file("$dir/runs.$task->{id}") || '' }

1;
