#!/usr/bin/perl

# The lock files of the npm packages. If this fails, a package is installed
# with nothing to tell whether it is the one that was chosen, or from one host
# alone.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Test::More;

my $root = Cwd::realpath(dirname(__FILE__) . '/..');

my @files = qw(web/package-lock.json web/bench/package-lock.json t/e2e/package-lock.json t/bench/package-lock.json
    t/e2e/nodes/package-lock.json);


# What is wrong with a lock file, entry by entry.

sub faults {
    my ($text) = @_;

    my $packages = JSON::PP->new->decode($text)->{packages};
    my @faults;

    for my $name (sort grep { length } keys %$packages) {
        my $p = $packages->{$name};
        my ($hash) = ($p->{integrity} // '') =~ m{^sha512-([A-Za-z0-9+/]{86}==)$};

        # a package inside another one's archive is hashed with that
        push @faults, "$name has no sha512" if length(decode_base64($hash // '')) != 64 && !$p->{inBundle};
        push @faults, "$name is bound to a host" if exists $p->{resolved};
    }

    return @faults;
}


sub slurp {
    open my $fh, '<', "$root/$_[0]" or die "$_[0]: $!\n";
    local $/;
    return <$fh>;
}


for my $file (@files) {
    my $text = slurp($file);

    cmp_ok(scalar(() = $text =~ /"node_modules\//g), '>', 0, "$file has packages");
    is_deeply([faults($text)], [], "$file: each has the hash of what is in it, and no host");
    unlike($text =~ s/"(?:url|funding)": (?:"[^"]*"|\[[^\]]*\])//gr, qr{https?://|git\+|file:}, 'nor an address elsewhere');

    (my $npmrc = $file) =~ s/package-lock\.json$/.npmrc/;
    like(slurp($npmrc), qr/^omit-lockfile-registry-resolved=true$/m, 'nor does npm write one');
}

# the test sees what it is there for

is_deeply([faults('{"packages":{"":{},"a":{"version":"1"},"b":{"integrity":"sha1-x","resolved":"x"}}}')],
    ['a has no sha512', 'b has no sha512', 'b is bound to a host'], 'each kind of fault is found');

done_testing();
