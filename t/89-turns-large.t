#!/usr/bin/perl

# What is large, in the forms that only some clients take: CBOR, a history that
# is compressed, merge patches, and what a chain library has missed. If this
# fails, all clients of a worker wait, pings included, while one of these is made.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;
use Blockcast::Turns;
use Blockcast::WebSocket;

# of a sanitizer's nginx the time says nothing
my $measured = !$ENV{BLOCKCAST_SANITIZE};

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;

$node->set(nums => '[0]');
$node->set(object => '{"n":0}');
$node->set(num => 1);
$node->set(log => '[{"id":0}]');

my $t = Blockcast::Test->new(%{ $turns->test_options }, workers => 1, http => <<"EOF", server => <<'EOS');
    blockcast_zone main 320m;
    blockcast_message_rate off;
    blockcast_max_queue 64m;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream nums { blockcast_interval 200ms; blockcast_max_size 8m; blockcast_call c nums; }
    blockcast_stream object { blockcast_interval 100ms; blockcast_max_size 4m; blockcast_call c object; }
    blockcast_stream num {
        blockcast_interval 60s;
        blockcast_call c num;
        # it does not change while it is compressed, however long that takes
        blockcast_history @{[map { "n$_=." } 1 .. 16]} 4000m/60s;
    }
    blockcast_stream log {
        blockcast_interval 50ms;
        blockcast_always on;
        blockcast_max_size 4m;
        blockcast_call c log;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=30000 size=64m page=20;
    }
    blockcast_rpc_subscription eth_subscribe all stream=log notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex;
    blockcast_rpc_subscription eth_subscribe some stream=log notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex result=member;
EOF
    location /ws { blockcast_websocket; }
    location /rpc { blockcast_rpc; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node max_reply=8m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS


# the next message that is wanted, decompressed; of CBOR the bytes
sub message { $_[0]->message_like($_[1]) }


subtest 'CBOR of a million numbers' => sub {
    my @ws = map { $t->ws('/ws', subprotocol => 'blockcast.v1.cbor',
        headers => $_ ? [['Sec-WebSocket-Extensions', 'permessage-deflate']] : []) } 0, 0, 1;
    $_->send_binary("\xa2dtypeisubscribefstreamdnums") for @ws;
    ok(message($_, qr/\AA?.dtypednumsddata\x81\0/s), 'there is one') for @ws;

    my @n = map { $_ % 9 + 0.7 } 1 .. 1_000_000;
    $turns->reset;
    $node->set(nums => '[' . join(',', @n) . ']');
    my $want = join '', map { "\xfb" . pack 'd>', $_ } @n;
    for (@ws) {
        my $m = message($_, qr/ddata\x9a/);
        is(index($m, "ddata\x9a" . pack('N', scalar @n) . $want), 11, 'and then all of them');
        like(substr($m, 21 + length $want), qr/\Aitimestamp\x1a....cseq/s, 'and what comes behind');
    }
    is($ws[2]{packed}, 1, 'compressed for who takes that');

    SKIP: {
        skip 'time under a sanitizer', 1 unless $measured;
        my $longest = $turns->get->{longest} / 1e6;
        diag("the longest turn took $longest ms");
        cmp_ok($longest, '<', 50, 'ms of CPU time: not in one turn');
    }

    # one that comes while the one before is being converted
    for my $i (1 .. 5) {
        $node->set(nums => '[' . join(',', $i, @n) . ']');
        sleep 0.25;
    }
    ok(message($_, qr/ddata\x9a....\x05\xfb/s), 'the newest comes in the end') for @ws;

    # what cannot be said is told
    $node->set(nums => '[' . join(',', @n, '1e' . 9 x 16) . ']');
    ok(message($_, qr/not_representable/), 'a number that CBOR cannot represent') for @ws;
    $t->allow(qr/holds a number that CBOR cannot represent/);
    $node->set(nums => '[6]');
    ok(message($_, qr/ddata\x81\x06/), 'and it goes on') for @ws;
    $_->drop(reset => 1) for @ws;
};


subtest 'merge patches' => sub {
    my $ws = $t->ws('/ws');
    $ws->send_json({ type => 'subscribe', stream => 'object', delta => JSON::PP::true });
    ok(message($ws, qr/"data":\{"n":0\}/), 'there is one');

    for my $case ([400_000, 'delta'], [600_000, 'data']) {
        my ($size, $what) = @$case;
        my $text = sprintf '"text":"%s"', 'x' x $size;
        $node->set(object => "{\"n\":1,$text}");
        ok(message($ws, qr/"data":\{"n":1,/), "$size bytes");
        sleep 0.3;
        $node->set(object => "{\"n\":2,$text}");
        like(substr(message($ws, qr/"n":2/), 0, 60), qr/\A\{"type":"object","$what":\{"n":2/,
            "and then the $what");
    }
    $ws->drop(reset => 1);
};


subtest 'a history of a megabyte' => sub {
    my @deflate = [['Sec-WebSocket-Extensions', 'permessage-deflate']];
    my @ws = map { $t->ws('/ws', headers => @deflate) } 1 .. 10;
    $turns->reset;
    $_->send_json({ type => 'subscribe', stream => 'num', history => JSON::PP::true }) for @ws;

    my ($size, $first, $packed) = (0, 0, 0);
    for my $ws (@ws) {
        my $m = message($ws, qr/\A\{"type":"(?:history|num)"/);
        $first += $m =~ /\A\{"type":"history"/;
        $size = length $m;
        # (JSON::PP would need seconds for each)
        my ($count) = $m =~ /"n16":\{[^{}]*"count":\[([^\]]*)\]/;
        is(scalar(() = ($count // '') =~ /\d+/g), 4000, 'all points');
        $packed += $ws->{packed} // 0;
        ok(message($ws, qr/\A\{"type":"num"/), 'and then the newest');
    }
    is($first, 10, 'it comes first');
    cmp_ok($packed, '>', 0, 'compressed');
    my $all = $turns->get;
    cmp_ok($all->{most_deflated}, '<', $size / 2, "in several turns: $all->{most_deflated} of $size bytes");

    # for who has the newest already, too
    $turns->reset;
    $_->send_json({ type => 'subscribe', stream => 'num', history => JSON::PP::true }) for @ws;
    ok(message($_, qr/\A\{"type":"history"/), 'once more') for @ws;
    $_->drop(reset => 1) for @ws;

    my $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $ws->send_binary("\xa3dtypeisubscribefstreamcnumghistory\xf5");
    ok(length(message($ws, qr/dtypeghistory/)) > 200_000, 'as CBOR');
    $ws->drop(reset => 1);
};


# A client that does not read has missed a log, of which one of its subscriptions
# has no entry at all.

subtest 'entries without the member' => sub {
    my $size = 0;
    my $publish = sub {
        my ($id) = @_;
        my $entry = sprintf '{"id":%d,"data":"%s"}', $id, 'some data ' x 150_000;
        $size += length $entry;
        $node->set(log => "[$entry]");
        wait_for(sub { $t->get_json('/api/log?limit=1')->{entries}[0]{id} == $id }, 30);
    };

    # all of these entries are small
    my $small = sub {
        my ($from, $to) = @_;
        $node->set(log => '[' . join(',', map { sprintf '{"id":%d,"a":[%s]}', $_,
            join ',', ('"x"') x 400 } $from .. $to) . ']');
        wait_for(sub { $t->get_json('/api/log?limit=1')->{entries}[0]{id} == $to }, 30);
    };

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Proto => 'tcp',
        Sockopts => [[Socket::SO_RCVBUF(), 4096]]) or die;
    my $ws = $t->ws('/rpc', socket => $socket, auto_pong => 0);
    $ws->send_json({ jsonrpc => '2.0', id => $_, method => 'eth_subscribe', params => [$_] }) for qw(all some);
    ok(message($ws, qr/"id":"some"/), 'subscribed');

    # the first one fills its socket
    $publish->($_) for 1 .. 3;
    $small->(4 + 1000 * $_, 1003 + 1000 * $_) for 0 .. 19;
    my $last = 20_003;

    $turns->reset;
    my $m = message($ws, qr/"id":$last,/);
    ok($m, 'all came to it in the end');
    my $longest = $turns->get->{longest} / 1e6;

    # and it goes on
    $node->set(log => qq([{"id":99999,"member":"here"}]));
    ok(message($ws, qr/"result":"here"/), 'what it waits for, too');

    SKIP: {
        skip 'time under a sanitizer', 1 unless $measured;
        diag("the longest turn took $longest ms");
        cmp_ok($longest, '<', 35, 'ms of CPU time: not in one turn');
    }
    $ws->drop(reset => 1);
};


$t->stop;
$node->stop;
done_testing();
