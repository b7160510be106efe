#!/usr/bin/perl

# Prints what failed in a suite, for the end of t/run's output:
#   failures.pl NAME LOG [REASON]
# Each failed assertion is one line, `NAME: subtest > message`, and at most five
# lines of what its suite says of it (where, got, expected). Understands what
# tally.pl does. REASON is tally.pl's own (broke off, took too long); with it, or
# when no assertion is found, the end of the log is shown.

use strict;
use warnings;

my $LINES = 5;          # of one assertion
my $WIDTH = 200;        # of a line
my $MOST = 25;          # assertions of a suite

my ($name, $log, $why) = @ARGV;

open my $fh, '<', $log or do { print "$name: there is no log\n"; exit };

my @lines = map { s/\e\[[0-9;]*m//g; s/\s+$//; $_ } <$fh>;
my @failed;             # [message, line, ...]


# Lines of a YAML block (node's test runner) that do not say what went wrong.

my $runners = qr/^(?:(?:duration_ms|type|failureType|code|stack|operator|name):|\.\.\.$|---$)/;


# TAP, with subtests by their indentation. A subtest that fails because of an
# assertion in it is not reported again.

my (@path, @within, $last, $plan);

for my $i (0 .. $#lines) {
    my ($indent, $text) = $lines[$i] =~ /^( *)(.*)$/;
    my $level = length($indent) / 4;

    if ($level == int $level && $text =~ /^# Subtest: (.*)/) {
        $#path = $level - 1 if $level < @path;
        $path[$level] = $1;
        $within[$level] = 0;
        undef $last;

    } elsif ($level == int $level && $text =~ /^not ok\b(?: \d+)?(?: - )?(.*)/) {
        my $message = $1;
        undef $last;
        next if $message =~ /# ?TODO\b/i;

        # this line ends the subtest of the same name
        my $ends = defined $path[$level] && $message =~ /^\Q$path[$level]\E/;
        my $told = $ends && $within[$level];
        $#path = $level - 1 if $level < @path;
        $_++ for @within[0 .. $level - 1];
        next if $told;

        $last = [join(' > ', (map { $_ // () } @path), length $message ? $message : 'a test without a name'),
            $plan // ()];
        push @failed, $last;
        undef $plan;

    } elsif ($text =~ /^(?:ok\b|Bail out!|1\.\.\d)/) {
        undef $last;

    } elsif ($text =~ /^# (Looks like you planned .*|No tests run.*)/) {
        $plan = $1;         # of the subtest whose line comes next

    } elsif ($last && ($text =~ s/^#\s*// || $lines[$i] =~ /^\s/)) {
        next if $text =~ /^\s*$/ || $text =~ /^Failed (?:TODO )?test\b/ && $text !~ /\bat \S+ line/;
        next if $text =~ /^Looks like you|$runners/;
        push @$last, $text;
    }
}


# Python's unittest, Vitest, and those that print "FAIL message": what follows,
# up to an empty line or the next result. Of a traceback the end is of use.

for my $i (@failed ? () : 0 .. $#lines) {
    my ($message) = $lines[$i] =~ /^ *(?:FAIL|ERROR):? +(\S.*)/ or next;
    my $python = $lines[$i] =~ /^(?:FAIL|ERROR): /;
    my @more;

    for my $line (@lines[$i + 1 .. $#lines]) {
        last if $line =~ /^={10}|^ *(?:FAIL|ERROR|ok)\b|^\d+ passed/ || !$python && $line eq '' && @more;
        next if $line =~ /^-{10}|^\s*$|^Traceback|^⎯+/;
        last if $line =~ /^Ran \d+ tests? in/;
        push @more, $line =~ s/^\s+//r;
    }

    @more = @more[-$LINES .. -1] if $python && @more > $LINES;
    push @failed, [$message, @more];
}


sub show {
    my ($head, @more) = @_;

    printf "%s: %s\n", $name, substr $head, 0, $WIDTH;
    splice @more, $LINES;
    printf "    %s\n", substr $_, 0, $WIDTH for @more;
}


# Vitest names a failed test at the place of it, and in its list at the end
my %seen;
@failed = grep { !$seen{$_->[0]}++ || @$_ > 1 } @failed;

show(@$_) for @failed[0 .. ($#failed < $MOST ? $#failed : $MOST - 1)];
printf "%s: %d more failed\n", $name, @failed - $MOST if @failed > $MOST;

if (length($why // '') || !@failed) {
    my @end = grep { length && !/^\s*ok\b|^# Looks like you/ } @lines;
    my $most = @failed ? 3 : $LINES;

    show(length($why // '') ? $why : 'the end of its log',
        @end > $most ? @end[-$most .. -1] : @end);
}
