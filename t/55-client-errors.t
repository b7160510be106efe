#!/usr/bin/perl

# What a client does wrong is answered with a sentence, counted against it, and
# none of the operator's business. If this fails, clients are cut off without a
# reason, fill the error log, or hold places and time that nobody has counted.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Ledger;
use Blockcast::Test;

my $node = Blockcast::Ledger->new(rate => 20, page => 50, big => 500);

my $t = Blockcast::Test->new(workers => 1, http => <<"EOF" . <<'EOF', server => <<'EOS');
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
EOF
    blockcast_zone main 8m;
    blockcast_max_connections 4;

    blockcast_stream still { blockcast_interval 200ms; blockcast_call c big; blockcast_jq '{a: 1}'; }
    blockcast_stream moving { blockcast_interval 200ms; blockcast_call c count; }
    blockcast_stream entries {
        blockcast_interval 200ms;
        blockcast_call c ledger;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id;
    }
    blockcast_stream never { blockcast_interval 60s; blockcast_call c hang; }
EOF
    location /ws { blockcast_websocket; }
    location /cbor { blockcast_websocket; blockcast_protocol cbor; }
    location /rpc { blockcast_websocket; blockcast_protocol jsonrpc; }
    location /rate { blockcast_websocket; blockcast_message_rate 1 burst=16; }
    location /slow { blockcast_websocket; blockcast_message_rate 1 burst=30; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location /metrics { blockcast_metrics; }
    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS


sub client {
    my ($path, %opt) = @_;

    my $ws = $t->ws($path, %opt);
    $ws->recv_message unless $path eq '/rpc';
    return $ws;
}


sub metric {
    my ($name) = @_;
    return ($t->get('/metrics')->{body} =~ /^blockcast_\Q$name\E (\d+)/m)[0] // 0;
}


sub gone { wait_for(sub { metric('connections') == 0 }, 20) }


my $ws;

# CBOR: {"id": "xxx...", "type": "ping"}

sub cbor_ping { return "\xa2\x62id\x78" . chr($_[0]) . 'x' x $_[0] . "\x64type\x64ping" }


subtest 'the id' => sub {
    my $id = '"' . 'x' x 126 . '"';
    my $long = '"' . 'x' x 127 . '"';

    $ws = client('/ws');
    $ws->send_text(qq({"type":"ping","id":$id}));
    like($ws->recv_message, qr/"type":"pong".*"id":\Q$id\E\}\z/, 'an id of 128 bytes comes back');

    for my $type ('"ping"', '"subscribe","stream":"still"', '"subscribe","streams":["still","moving"]',
        '"unsubscribe","stream":"still"', '"nonsense"', '7')
    {
        $ws->send_text(qq({"type":$type,"id":$long}));
        my $m = $ws->recv_json;
        is(join('|', map { "$_ $m->{$_}" } grep { $_ ne 'timestamp' } sort keys %$m),
            'code bad_request|message "id" is longer than 128 bytes of JSON|type error',
            "one of 129 is refused, once: $type");
    }

    $ws->send_text('{"type":"ping","id":[' . '1,' x 100 . '1]}');
    like($ws->recv_message, qr/"code":"bad_request"/, 'a long list is as long');
    $ws->send_text('{"\u0069d":' . $long . ',"type":"ping"}');
    like($ws->recv_message, qr/"code":"bad_request"/, 'an escaped name makes no difference');
    $ws->send_text('{"type":"ping","id":1,"id":' . $long . '}');
    like($ws->recv_message, qr/"type":"pong".*"id":1\}\z/, 'the first of two counts');
    $ws->drop;

    $ws = client('/rpc');
    $ws->send_text(qq({"jsonrpc":"2.0","method":"eth_ping","id":$id}));
    is($ws->recv_message, qq({"jsonrpc":"2.0","result":"pong","id":$id}), 'JSON-RPC: an id of 128 bytes');
    $ws->send_text(qq({"jsonrpc":"2.0","method":"eth_ping","id":$long}));
    is($ws->recv_message, '{"jsonrpc":"2.0","error":{"code":-32600,"message":"\"id\" is longer than '
        . '128 bytes of JSON"},"id":null}', 'JSON-RPC: one of 129');
    $ws->drop;

    $ws = client('/cbor');
    $ws->send_binary(cbor_ping(126));
    like($ws->recv_message, qr/\x64pong.*\x62id\x78\x7ex{126}\z/s, 'CBOR: an id of 128 bytes as JSON');
    $ws->send_binary(cbor_ping(127));
    like($ws->recv_message, qr/\x64code\x6bbad_request/, 'CBOR: one of 129');
};


# What CBOR cannot represent. A JSON text is taken there, too.

subtest 'what CBOR cannot represent' => sub {
    for my $n ('1e99999999999999999999', '-1e88888888888888888888', '[1e99999999999999999999]', '{"a":1e99999999999999999999}') {
        $ws->send_text(qq({"type":"ping","id":$n}));
        my $text = $ws->recv_message // '';
        like($text, qr/"id" has a number that CBOR cannot represent/, "CBOR: an id of $n is answered");
        like($text, qr/\x64code\x6bbad_request/, 'with its code');
    }

    $ws->send_text('{"type":"subscribe","stream":"still","id":1e99999999999999999999}');
    like($ws->recv_message, qr/CBOR cannot represent/, 'a subscribe, too');
    $ws->send_text('{"type":"ping","id":1e300}');
    like($ws->recv_message, qr/\x64pong.*\x62id\xfb/s, 'and what it can say comes back');
    $ws->send_text('{"type":"ping","id":1e999}');
    like($ws->recv_message, qr/\x64pong.*\x62id\xc4\x82\x19\x03\xe7\x01/s, 'beyond the doubles as a decimal fraction');
    $ws->drop;
    gone();
};


subtest 'long messages count as several' => sub {
    $ws = client('/rate');
    $ws->send_text('{"type":"ping","pad":"' . 'x' x 50000 . '"}');
    ok($ws->recv_type('pong'), 'a message of 50k counts as 13 of burst 16');
    $ws->send_text('{"type":"ping","pad":"' . 'x' x 50000 . '"}');
    is(($ws->recv_close)[0], 1008, 'a second one is too many');
    $ws->drop;
    gone();
};


subtest 'A resume is made for one client alone: not again and again' => sub {
    $ws = client('/slow');
    $ws->send_json({ type => 'subscribe', stream => 'entries', since => 0 });
    ok($ws->recv_type('entries'), 'a log from its beginning');

    for (1 .. 2) {
        $ws->send_json({ type => 'unsubscribe', stream => 'entries' });
        $ws->send_json({ type => 'subscribe', stream => 'entries' });
        ok($ws->recv_type('subscribed'), 'left and taken again without since');
    }

    $ws->send_json({ type => 'unsubscribe', stream => 'entries' });
    $ws->send_json({ type => 'subscribe', stream => 'entries', since => 0 });
    ok($ws->recv_type('subscribed'), 'once more with since');

    for (1 .. 4) {
        $ws->send_json({ type => 'unsubscribe', stream => 'entries' });
        $ws->send_json({ type => 'subscribe', stream => 'entries', since => 0 });
    }

    is(($ws->recv_close)[0], 1008, 'and four times more is too often, at this rate');
    $ws->drop;
    gone();
};


my ($path, $r);

sub poll {
    my ($path) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Proto => 'tcp')
        // die "connect: $!\n";
    syswrite $s, "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    return $s;
}


subtest 'long polls have places, as all others' => sub {
    $ws = client('/ws');
    $ws->subscribe('still');
    ok($ws->recv_type('still'), 'still has data');

    my $seq = $t->get_json('/api/streams/still')->{seq};
    $path = "/api/streams/still?wait=50s&after=$seq";
    my $accepted = metric('accepted_total');
    my @polls = map { poll($path) } 1 .. 3;
    ok(wait_for(sub { metric('connections') == 4 }, 20), 'three long polls and a WebSocket are four');
    is(metric('accepted_total'), $accepted + 3, 'and they are counted as accepted');

    my $refused = metric('refused_total');
    $r = $t->get($path);
    is($r->{status}, 503, 'a fourth one has no place');
    like($r->{headers}{'retry-after'}, qr/\A\d+\z/, 'with Retry-After');
    is($Blockcast::Test::JSON->decode($r->{body})->{error}, 'too_many_connections', 'and says why');
    is($t->ws('/ws', may_fail => 1)->status, 503, 'nor has a WebSocket');
    is($t->get('/events')->{status}, 503, 'nor server-sent events');
    is(metric('refused_total'), $refused + 3, 'all three are counted');
    is($t->get('/api/streams/still')->{status}, 200, 'who does not wait is answered');
    is($t->get('/api/streams/still?wait=50s&after=0')->{status}, 200, 'and who need not wait');
    is($t->get('/api/streams/never')->{status}, 503, 'the first poll of an idle stream is not waited for');

    close shift @polls;
    ok(wait_for(sub { metric('connections') == 3 }, 20), 'one that goes away gives its place back');
    is($t->get('/api/streams/still?wait=100ms&after=' . $seq)->{status}, 204, 'which another one takes');
    ok(wait_for(sub { metric('connections') == 3 }, 20), 'and gives back at its end');
    is($t->get('/api/streams/moving?wait=20s&after=' . ($t->get_json('/api/streams/moving')->{seq} // 0))
        ->{status}, 200, 'one with data, too');
    ok(wait_for(sub { metric('connections') == 3 }, 20), 'when that is sent');
    close $_ for @polls;
    $ws->drop;
    ok(gone(), 'none is left');
};


subtest 'lists in headers and arguments' => sub {
    my $many = join '', map { "Sec-WebSocket-Protocol: p$_\r\n" } 1 .. 300;
    $r = $t->raw_request("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n$many"
        . "Sec-WebSocket-Protocol: blockcast.v1.cbor\r\n\r\n", timeout => 2);
    like($r->{head} || $r->{body}, qr/^Sec-WebSocket-Protocol: blockcast\.v1\.cbor\r?$/m,
        'the last of 301 lines of subprotocols is found');

    $r = $t->raw_request('GET /events?streams=' . join(',', ('entries') x 900) . " HTTP/1.1\r\nHost: a\r\n"
        . 'Last-Event-ID: ' . $t->get_json('/api/streams')->{epoch} . (';entriesx=1' x 500)
        . ";entries=0\r\n\r\n", timeout => 2);
    like($r->{body}, qr/"entries":\[/, 'a stream that is named 900 times is sent');
    like($r->{body}, qr/"id":1,/, 'from where the id says');
    gone();
};


subtest 'none of this is an error of ours' => sub {
    for my $path ('/ws', '/cbor', '/rpc') {
        for my $bytes ("\xff", '{', '[]', '7', '{"type":7}', '{"type":"subscribe"}', '{"jsonrpc":"2.0"}',
            '{"type":"subscribe","stream":"still","since":1e999}', '{"type":"subscribe","streams":[7,null]}',
            '{"type":"subscribe","stream":"' . 'x' x 5000 . '","id":"\ud800"}')
        {
            $ws = client($path);
            $ws->send_text($bytes);
            $ws->send_binary($bytes);
            $ws->send_frame(opcode => 3);
            $ws->recv_close;
            $ws->drop;
        }
    }

    for my $path ('/api/entries?limit=1e9', '/api/entries?offset=-1', '/api/streams/%00', '/api/streams/still?wait=x',
        '/api/streams/still?wait=1s&after=99999999999999999999', '/events?streams=%ff,,', '/events/' . 'x' x 3000)
    {
        ok($t->get($path)->{status} =~ /^40[04]$/, "refused: " . substr $path, 0, 60);
    }

    gone();
    is(join("\n", grep { /\[(?:error|crit|alert|emerg|warn)\]/ && !/never/ }
        split /\n/, $t->error_log), '', 'no line of level warn or above');
};

$node->stop;
$t->stop;
done_testing();
