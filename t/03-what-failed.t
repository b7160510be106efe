#!/usr/bin/perl

# What t/run counts in the logs of suites, and shows at its end. If this fails,
# a suite that failed counts as passed, or the end of a long log does not say
# what failed.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();
use Test::More;

my $lib = Cwd::realpath(dirname(__FILE__) . '/lib');
my $dir = File::Temp::tempdir(CLEANUP => 1);


sub tool {
    my ($tool, $text, @arg) = @_;

    open my $fh, '>', "$dir/log" or die "log: $!\n";
    print $fh $text;
    close $fh or die "log: $!\n";

    open my $out, '-|', 'perl', "$lib/$tool", @arg or die "$tool: $!\n";
    local $/;
    return scalar <$out>;
}


sub tally { my ($text, $code) = @_; return tool('tally.pl', $text, "$dir/log", $code) }
sub failures { my ($text, $why) = @_; return tool('failures.pl', $text, 't/x.t', "$dir/log", $why // ()) }


# A real log of Test::More.

sub log_of {
    my ($code) = @_;

    open my $fh, '>', "$dir/x.pl" or die "x.pl: $!\n";
    print $fh "use Test::More;\n$code\ndone_testing();\n";
    close $fh;

    my $log = `$^X $dir/x.pl 2>&1`;
    $log =~ s/\Q$dir\E/DIR/g;
    return $log;
}


subtest 'Test::More' => sub {
    my $log = log_of(<<'EOC');
ok(1, 'well');
is('a', 'b', 'a letter');
subtest outer => sub {
    ok(1, 'well');
    subtest inner => sub { is_deeply([1], [2], 'a list'); done_testing() };
    done_testing();
};
TODO: { local $TODO = 'later'; ok(0, 'not yet'); }
EOC

    is(tally($log, 2), "2 2 0 \n", 'counted');
    is(failures($log), <<'EOT', 'shown once, where they are');
t/x.t: a letter
    at DIR/x.pl line 3.
    got: 'a'
    expected: 'b'
t/x.t: outer > inner > a list
    at DIR/x.pl line 6.
    Structures begin differing at:
    $got->[0] = '1'
    $expected->[0] = '2'
EOT
};


subtest 'a subtest that ends too early' => sub {
    like(failures(log_of('subtest short => sub { plan tests => 2; ok(1) };')),
        qr/\At\/x\.t: short\n    Looks like you planned 2 tests but ran 1/, 'is the failure itself');
};


subtest 'a suite that dies' => sub {
    my $log = log_of("ok(1); die qq(nginx does not start\\n);");

    like(tally($log, 2), qr/^1 1 0 /, 'has failed');
    like(failures($log, 'no plan'), qr/\At\/x\.t: no plan\n(?:    .*\n)*    nginx does not start\n/,
        'with its last words');
};


subtest "node's test runner" => sub {
    my $log = <<'EOL';
TAP version 13
# Subtest: top
    # Subtest: nested
    not ok 1 - nested
      ---
      duration_ms: 17.7
      location: '/x.mjs:2:36'
      failureType: 'testCodeFailure'
      error: 'one is two'
      code: 'ERR_ASSERTION'
      name: 'AssertionError'
      expected: 2
      actual: 1
      operator: '=='
      ...
    1..1
not ok 1 - top
  ---
  duration_ms: 19.1
  error: '1 subtest failed'
  ...
1..1
# tests 2
# pass 0
# fail 2
EOL

    is(tally($log, 1), "0 2 0 \n", 'counted');
    is(failures($log), <<'EOT', 'shown');
t/x.t: top > nested
    location: '/x.mjs:2:36'
    error: 'one is two'
    expected: 2
    actual: 1
EOT
};


subtest "Python's unittest, Vitest, the browser" => sub {
    is(failures(<<'EOL'), <<'EOT', 'unittest');
..F
======================================================================
FAIL: test_one (x.Clients)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "x.py", line 5, in test_one
    self.assertEqual(1, 2)
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 3 tests in 0.1s

FAILED (failures=1)
EOL
t/x.t: test_one (x.Clients)
    File "x.py", line 5, in test_one
    self.assertEqual(1, 2)
    AssertionError: 1 != 2
EOT

    is(failures(<<'EOL'), <<'EOT', 'Vitest');
 ✓ src/a.test.ts (3 tests)
⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯

 FAIL  src/b.test.ts > slots > fill
AssertionError: expected 1 to be 2
 ❯ src/b.test.ts:7:3

      Tests  1 failed | 3 passed (4)
EOL
t/x.t: src/b.test.ts > slots > fill
    AssertionError: expected 1 to be 2
    ❯ src/b.test.ts:7:3
EOT

    is(failures(<<'EOL'), <<'EOT', 'a browser');
ok   stays light over time (36.3 s)
FAIL stands still while it loads
     expected a layout shift below 0.02, not 0.0201
ok   shows blocks as they come

2 passed, 1 failed
EOL
t/x.t: stands still while it loads
    expected a layout shift below 0.02, not 0.0201
EOT
};


subtest 'much of it' => sub {
    my $shown = failures(log_of('ok(0, "number $_") for 1 .. 40; is("x" x 1000, 1, "long");'));

    is(scalar(() = $shown =~ /^t\/x\.t: number/mg), 25, 'the first 25 of a suite');
    like($shown, qr/^t\/x\.t: 16 more failed$/m, 'and how many more');
    unlike($shown, qr/^.{205}/m, 'in lines that are not too long');
};

done_testing();
