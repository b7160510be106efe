#!/usr/bin/perl

# Pages of other origins, over time: what is read of a 304 and behind limit_req,
# and what the log tells of pages that are refused. If this fails, a page stops
# seeing data that it has seen, or the log is full of what anybody sends, or
# shows it as it came. Requests one by one are in t/22-cors.t.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $t = Blockcast::Test->new(workers => 1, node => 1, http => <<'CONF', server => <<'CONF2');
    limit_req_zone $binary_remote_addr zone=req:1m rate=1r/m;
    blockcast_stream well { blockcast_interval 100ms; blockcast_always on; blockcast_call c net.stats; }
CONF
    location = /ws { blockcast_websocket; }
    location /named {
        blockcast_origin https://app.test;
        location = /named/rest { blockcast_rest well; }
        location = /named/limited { limit_req zone=req; blockcast_rest well; }
    }
CONF2

my $app = 'https://app.test';

sub ask {
    my ($path, %h) = @_;

    return $t->get($path, timeout => 20, headers => { Origin => $app, %h });
}

sub cors { Blockcast::Test::cors($_[0]{head}) }


# One try to connect; the status.

sub connects {
    my ($origin, $host) = @_;

    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw("GET /ws HTTP/1.1\r\nHost: $host\r\nUpgrade: websocket\r\n"
        . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nOrigin: $origin\r\n\r\n");
    $ws->read_head(20);
    return $ws->status;
}


wait_for(sub { ask('/named/rest')->{status} == 200 }, 30);

subtest 'what a page reads' => sub {
    is(ask('/named/limited')->{status}, 200, 'limit_req: one');
    is(cors(ask('/named/limited')), "503 $app true vary exposed", 'and the 503 of the next is read');

    my $etag = ask('/named/rest')->{headers}{etag};
    ok(wait_for(sub {
        my $r = ask('/named/rest', 'If-None-Match' => $etag);
        $etag = $r->{headers}{etag};
        return cors($r) eq "304 $app true vary exposed";
    }, 20), '304, too');
};


# At warn once a minute, and nothing of the client's own making in a line.

subtest 'what the log tells' => sub {
    is(connects("http://evil.test/\x01\x1b[31m\"\xc2\x9b" . 'x' x 5000, 'chain.test'), 403, 'an ugly Origin');
    is(connects("http://evil$_.test", 'chain.test'), 403, 'and others') for 1 .. 5;

    my @told = grep { /a page of the Origin/ } split /\n/, $t->error_log;
    my @warn = grep { /\[warn\]/ && /evil/ } @told;
    is(scalar @warn, 1, 'at warn once') or diag(join "\n", @warn);
    like($warn[0], qr{the Origin "http://evil\.test/[? ]+\[31m[^x]+x{20}x*" is}, 'is it there');
    unlike($warn[0], qr/[\x00-\x1f\x7f]|\xc2[\x80-\x9f]/, 'in plain letters');
    cmp_ok(length(($warn[0] =~ /the Origin "(.*?)" is not allowed/)[0]), '<=', 128, 'and few of them');
    is(scalar(grep { /\[info\]/ && /"http:\/\/evil\d\.test".*"chain\.test"/ } @told), 5, 'the others at info');
};

$t->stop;

done_testing();
