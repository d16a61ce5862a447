#!/usr/bin/perl
# The rules for Prometheus ask for metrics that there are: an alert on a name that nobody tells is silent for ever.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq;
use Taskq::Machine qw(read_file slurp_command srcdir wait_for);
use Test::More;

my $path = srcdir() . '/etc/taskq-alerts.yml';
my @rules = split /^      - /m, read_file($path);
shift @rules;
cmp_ok(scalar @rules, '>', 10, 'there are rules');

my $t = Taskq->start(config => <<'CONF');
handler fail { kind = builtin builtin = fail }
handler noop { kind = builtin builtin = noop }
CONF
is($t->wait_final($t->submit('fail', { error_class => 'NON_RETRYABLE', error_code => 'NO_USE', message => 'no' }))->{status}, 'dead_letter', 'a task died');

sub families { return map { $_ => 1 } $t->get('/metrics')->body =~ /^# TYPE (\w+) /mg }
sub labels {
	my ($name) = @_;
	return map { map { $_ => 1 } /(\w+)="/g } grep { /^\Q$name\E[{ ]/ } split /\n/, $t->get('/metrics')->body;
}

my %seen;
for my $rule (@rules) {
	my ($name) = $rule =~ /^alert: (\w+)$/m;
	ok(!$seen{$name // ''}++, 'a name of its own: ' . ($name // $rule));
	my ($expr) = $rule =~ /^ {8}expr: (.+)$/m;
	like($rule, qr/^ {8}labels: \{ severity: (?:page|ticket) \}$/m, "$name: how urgent");
	like($rule, qr/^ {10}summary: .+\n {10}description: .+[.?]$/m, "$name: in words");
	my %known = families();
	for my $metric ($expr =~ /\b(taskq_\w+)/g) {
		(my $family = $metric) =~ s/_(?:bucket|sum|count)$//;
		ok($known{$metric} || $known{$family}, "$name: $metric is told");
	}
	ok($expr =~ /\btaskq_/ || $name eq 'TaskqDown', "$name asks for one of ours");
}

wait_for(sub { ($t->metric('taskq_tasks_finished_total', queue => 'default', outcome => 'dead_letter') || 0) == 1 }, 20, 'the rule of growth to have its labels and its value');
wait_for(sub { +{ labels('taskq_task_queue_wait_seconds_bucket') }->{queue} }, 20, 'the label that the rule of waiting asks for');

subtest 'promtool' => sub {
	my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
	plan skip_all => 'promtool not found; Debian: prometheus' if !$promtool;
	my ($status, $said) = slurp_command(command => [$promtool, 'check', 'rules', $path]);
	is($status, 0, 'the rules can be read') or diag($said);
};

is($t->stop, 0, 'taskqd drained');
done_testing;
