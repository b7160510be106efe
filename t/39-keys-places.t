#!/usr/bin/perl

# What a client counts for whose key has to be brought into its one form first.
# If this fails, the last place of blockcast_max_connections is refused to a
# client that is entitled to it, and the connections that are counted are more
# than there are.

use strict;
use warnings;

use Test::More;

use Blockcast::KeyNode;
use Blockcast::Test;

my $node = Blockcast::KeyNode->new;
$node->set(abc => 7);

my $t = Blockcast::Test->new(http => <<'HTTP', server => <<"SERVER");
    blockcast_zone main 4m;
    blockcast_max_connections 1;
    blockcast_stream one {
        blockcast_interval 200ms;
        blockcast_key account pattern=[A-Za-z]+ form=ascii_downcase;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
HTTP
        location /api/ { blockcast_api; }
        location /one { blockcast_rest one; }
        location /events { blockcast_sse; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
SERVER

sub connections {
    my $n = 0;
    $n += $_->{connections} for @{ $t->get_json('/api/health')->{workers} };
    return $n;
}

# the form of none of these is known when its client comes
for my $key (qw(Abc aBc abC)) {
    my $sse = $t->ws('', handshake => 0);
    $sse->send_raw("GET /events/one/$key HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $sse->read_head;
    is($sse->{status}, 200, "$key: the event stream has the one place");
    is(connections(), 1, "$key: ... and counts once");
    $sse->drop;
    ok((wait_for { connections() == 0 } 20), "$key: ... until it goes");
}

$t->stop;
$node->stop;
done_testing();
