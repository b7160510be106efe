#!/usr/bin/perl

# Counts what a suite reported: tally.pl LOG EXIT-CODE prints
#   PASSED FAILED SKIPPED [what is wrong]
# Understands TAP, node's test runner, Python's unittest, Vitest, and a closing
# line "N passed, N failed". A suite that reports nothing, breaks off before the
# end of its plan, or ends with a code that its tests do not explain, has failed.

use strict;
use warnings;

my ($log, $code) = @ARGV;
my ($pass, $fail, $skip, $why) = (0, 0, 0, '');

open my $fh, '<', $log or do { print "0 1 0 no output\n"; exit };

my (@lines) = map { s/\e\[[0-9;]*m//g; s/\s+$//; $_ } <$fh>;

my ($plan, $ran, %node, @plain, $unittest, $vitest) = (undef, 0);

for (@lines) {
    if (/^1\.\.(\d+)(\s*# ?skip.*)?/i) {
        $plan += $1;
        $skip++ if $1 == 0;

    } elsif (/^(not )?ok\b(.*)/) {
        my ($not, $rest) = ($1, $2);
        $ran++;
        if ($rest =~ /# ?skip/i) { $skip++ }
        elsif ($not && $rest !~ /# ?todo/i) { $fail++ }
        else { $pass++ }

    } elsif (/^# (tests|pass|fail|cancelled|skipped) (\d+)$/) {
        $node{$1} += $2;

    } elsif (/^Bail out!(.*)/) {
        $why = "bailed out:$1";

    } elsif (/^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/) {
        push @plain, [$1, $2, $3 // 0];

    } elsif (/^Ran (\d+) tests? in /) {
        $unittest->{ran} += $1;

    } elsif ($unittest && /^(?:OK|FAILED)\b(?: \((.*)\))?/) {
        my %n = map { /(\w[\w ]*)=(\d+)/ ? ($1 => $2) : () }
            split /, /, $1 // '';
        $unittest->{bad} += $_ for grep { $_ } @n{'failures', 'errors',
            'unexpected successes'};
        $unittest->{skip} += $n{skipped} // 0;

    } elsif (/^\s*Tests\s+(.*)\(\d+\)$/) {
        $vitest->{$2} += $1 while /(\d+) (passed|failed|skipped|todo)/g;

    } elsif (/^\s*Test Files\s.*?(\d+) failed/) {
        $vitest->{files} = $1;
    }
}

if (defined $node{tests}) {
    $pass = $node{pass} // 0;
    $fail = ($node{fail} // 0) + ($node{cancelled} // 0);
    $skip = $node{skipped} // 0;

} elsif ($vitest) {
    ($pass, $fail, $skip) = map { $_ // 0 } @$vitest{qw(passed failed skipped)};
    $fail ||= $vitest->{files} // 0;

} elsif ($unittest) {
    $skip = $unittest->{skip} // 0;
    $fail = $unittest->{bad} // 0;
    $pass = $unittest->{ran} - $fail - $skip;

} elsif (@plain && !defined $plan) {
    ($pass, $fail, $skip) = @{ $plain[-1] };

} elsif ($ran || defined $plan) {
    if (!defined $plan) {
        $why ||= 'no plan: broke off after ' . $ran . ' tests';
    } elsif ($plan != $ran) {
        $why ||= "planned $plan tests and ran $ran";
    }
}

$why ||= 'ran no test' if $pass + $fail + $skip == 0;
$why ||= 'all tests were skipped' if $pass + $fail == 0;

if ($code != 0 && $fail == 0) {
    $why = ($code == 124 || $code == 137 ? 'took too long and was ended'
        : "ended with code $code") . ($why ? " ($why)" : '');
}

$fail++ if $why && $fail == 0;

print "$pass $fail $skip $why\n";
