#!/usr/bin/perl

# The benchmark of t/bench: if this fails, nobody can repeat the figures that
# README shows. Each server gets 50 clients for a moment; no figure is judged.

use strict;
use warnings;

# needs: bench

use FindBin ();
use Test::More;

# nchan is a module for Debian's own nginx alone
my $own = ($ENV{BLOCKCAST_NGINX} // '/usr/sbin/nginx') eq '/usr/sbin/nginx'
    && !$ENV{BLOCKCAST_SANITIZE};
my @peers = ('floor', 'blockcast', 'ws', 'websockets', $own ? 'nchan' : ());

my $peers = join ',', @peers;
my $out = `$FindBin::Bin/bench/run smoke --peers=$peers 2>&1`;

is($?, 0, 'the benchmark ends well') or diag($out);

for my $peer (@peers) {
    like($out, qr/^$peer 50 clients, [1-9]\d* messages$/m,
        "$peer: all clients are there and get messages");
}

like($out, qr/^pongs [1-9]\d*, [1-9]\d* calls$/m,
    'two workers answer pings while the node is asked');
unlike($out, qr/t\/bench\/run: (?!smoke|turns|ways|ready|installing|building)/,
    'nothing was out of order') or diag($out);

done_testing;
