#!/usr/bin/perl

# A node behind something that compresses, and damages what it compresses. If
# this fails, the operator is told to raise max_reply although the reply is
# broken, or the other way round, and looks for the fault in the wrong place.

use strict;
use warnings;

use IO::Compress::Gzip qw(gzip $GzipError);
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

# What a method's name says of the reply: how it is damaged, how large its
# result is, and whether its length is told.

# hardly compressible, as hashes are; made once, for it takes long
my $letters = join '', map { chr(97 + int rand 26) } 1 .. 400000;

sub reply {
    my ($body) = @_;

    my ($id, $method) = map { $body =~ /"$_":"?([^",}]+)/ } qw(id method);
    my ($how, $size, $framing) = split /-/, $method;

    my $text = qq({"jsonrpc":"2.0","id":$id,"result":") . substr($letters, 0, $size) . '"}';
    my $gz = '';
    $how eq 'plain' or gzip(\$text => \$gz, -Level => 1) or die $GzipError;

    $gz = $how eq 'good' ? $gz
        : $how eq 'plain' ? $text
        : $how eq 'trailer' ? substr($gz, 0, -8)
        : $how eq 'half' ? substr($gz, 0, length($gz) / 2)
        : $how eq 'crc' ? substr($gz, 0, -8) . "\1\2\3\4" . substr($gz, -4)
        : $how eq 'length' ? substr($gz, 0, -4) . "\1\2\3\4"
        : $how eq 'middle' ? substr($gz, 0, length($gz) / 2) . "\xff" x 40 . substr($gz, length($gz) / 2 + 40)
        : $how eq 'none' ? 'not compressed at all'
        : die "$how\n";

    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        . ($how eq 'plain' ? '' : "Content-Encoding: gzip\r\n")
        . ($framing eq 'len' ? 'Content-Length: ' . length($gz) . "\r\n\r\n$gz"
            : sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $gz, $gz);
}

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1) // die "listen: $!\n";
my $server = fork // die "fork: $!\n";

if (!$server) {
    $SIG{TERM} = 'DEFAULT';
    $SIG{PIPE} = $SIG{CHLD} = 'IGNORE';
    alarm 300;
    while (1) {
        my $c = $listen->accept // next;

        # who does not read on holds up nobody else
        if (fork) { close $c; next }
        alarm 60;
        my ($in, $len) = ('');
        while (1) {
            my ($head, $got) = split /\r\n\r\n/, $in, 2;
            my ($want) = ($head // '') =~ /^Content-Length: (\d+)/mi;
            last if defined $got && defined $want && length($got) >= $want;
            sysread($c, $in, 65536, length $in) or last;
        }
        my $out = reply($in =~ s/.*?\r\n\r\n//sr);
        while (length $out) { my $n = syswrite($c, $out) or last; substr $out, 0, $n, '' }
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

# max_reply is 64k; where it matters, what is around it
my @cases = map { my $how = $_; map { my $size = $_; map { "$how-$size-$_" } qw(len chunked) } 1000, 60000 }
    qw(good trailer half crc length middle);
push @cases, map { my $size = $_; map { "$_-$size-chunked" } qw(good crc) } 65000, 66000, 100000, 131000, 140000, 400000;
push @cases, 'none-10-len', map { my $size = $_; map { "plain-$size-$_" } qw(len chunked) } 1000, 100000, 400000;

my %node = (on => '', off => 'proxy_buffering off;', large => 'proxy_buffers 4 256k; proxy_busy_buffers_size 256k;');
my $streams = '';
my $locations = '';


for my $node (sort keys %node) {
    $locations .= <<"EOF";
    location = /_$node {
        blockcast_node $node max_reply=64k backoff=100ms;
        proxy_pass http://127.0.0.1:@{[ $listen->sockport ]}/;
        proxy_http_version 1.1;
        proxy_set_header Host localhost;
        gunzip on;
        $node{$node}
    }
EOF
}


# one stream at a time, for a node that fails is asked less often

for my $node (sort keys %node) {

    my @mine = $node eq 'on' ? @cases : grep { /^(?:good|plain|crc|half|trailer)-(?:1000|60000|100000|400000)-/ } @cases;
    my $n = 0;
    my $t = Blockcast::Test->new(workers => 1, server => "location /api/ { blockcast_api; }\n$locations",
        http => "blockcast_zone main 32m;\n" . join '', map { $n++; <<"EOF" } @mine);
    blockcast_stream s$n {
        blockcast_interval 1s;
        blockcast_always on;
        blockcast_node $node;
        blockcast_call c $_ timeout=10s;
        blockcast_jq '.results.c | length';
    }
EOF

    # a good one as often as it takes, a bad one at least once
    my %seen;
    wait_for {
        $n = 0;
        my %row = map { $_->{name} => $_ } @{ ($t->get_json('/api/streams') // {})->{streams} };
        for my $method (@mine) {
            my $r = $row{'s' . ++$n} // next;
            $seen{$method} //= 'data' if $r->{seq};
            $seen{$method} //= $r->{error} if $r->{error} && $r->{error} !~ /: the node (?:is|has)|not asked|asked again/;
            $seen{$method} //= $r->{error} if $r->{error} && $r->{error} =~ /larger|bad reply|cut short/;
        }
        return keys %seen == @mine;
    } 60;

    for my $method (@mine) {
        my ($how, $size) = split /-/, $method;
        my $large = $size + 40 > 65536;

        my $want = $how eq 'good' || $how eq 'plain' ? $large ? qr/^\Q$method\E: the reply is larger than max_reply=65536/ : qr/^data$/
            # it is both, and which is found first depends on the buffers
            : $how eq 'crc' && $large
                ? qr/^\Q$method\E: (?:the reply is larger than max_reply=65536|bad reply: nginx|the reply was cut short)/
            # what is there may be all of it, and how an end looks that is none is zlib's matter
            : $how eq 'trailer' || $how eq 'half'
                ? qr/^data$|^\Q$method\E: (?:bad reply: |the reply was cut short)/
            : $node eq 'off' ? qr/^\Q$method\E: the reply was cut short after \d+ bytes/
            : qr/^\Q$method\E: bad reply: nginx cannot read it on after \d+ bytes \(is its compression damaged\?\)/;

        like($seen{$method} // 'nothing', $want, "buffers $node: $method");
    }

    $t->stop;
}

kill 'TERM', $server;
waitpid $server, 0;

done_testing();
