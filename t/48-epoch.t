#!/usr/bin/perl

# A client of a log that comes back to a gateway which has lost its state, or to
# another one behind a balancer. If this fails, it misses entries and nothing
# tells it: the numbers it knows are those of another count.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Blockcast::Test;

my $node = Blockcast::Test->new(start => 0, node => { rate_limit => 1000000 });

sub gateway {
    return Blockcast::Test->new(node_addr => $node->{node_addr}, http => <<'EOH', server => <<'EOS');
    blockcast_zone main 8m;
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call e x.list;
        blockcast_jq '{entries: .results.e}';
        blockcast_log entries key=id keep=100 page=5;
    }
    blockcast_stream still {
        blockcast_interval 100ms;
        blockcast_call e x.list;
        blockcast_jq '.results.e | length';
    }
EOH
    location = /ws { blockcast_websocket; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location = /metrics { blockcast_metrics; }
    location = /_node {
        internal;
        blockcast_node;
        proxy_pass http://%%NODE%%/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
    }
EOS
}

sub entries { join ',', map { qq({"id":$_}) } @_ }
sub ids { join ' ', map { $_->{id} } @{ $_[0]{data}{entries} } }

# CBOR of a message: a hash of strings and numbers

sub cbor {
    my ($v) = @_;
    my $head = sub {
        my ($major, $n) = @_;
        return $n < 24 ? chr($major << 5 | $n) : $n < 256 ? pack('CC', $major << 5 | 24, $n)
            : pack('CQ>', $major << 5 | 27, $n);
    };

    return $head->(5, scalar keys %$v) . join '', map { cbor($_), cbor($v->{$_}) } sort keys %$v
        if ref $v;
    return $v =~ /^\d+$/ ? $head->(0, $v) : $head->(3, length $v) . $v;
}

my ($first, $seq, $epoch, $t);

$node->set(list => '[' . entries(1) . ']');
$t = gateway();

for my $n (2 .. 20) {
    wait_for { ($t->row('list')->{seq} // 0) >= $n - 1 };
    $node->set(list => '[' . entries(1 .. $n) . ']');
}
wait_for { $t->row('list')->{seq} == 20 };

my $welcome = $t->ws('/ws')->recv_type('welcome');
$epoch = $welcome->{epoch};
my $other = $epoch - 1;

sub gaps { ($t->get('/metrics')->{body} =~ /^blockcast_gaps_total (\d+)/m)[0] }


subtest 'WebSocket' => sub {
    my $before = gaps();

    for (
        [$epoch, 17, '18 19 20', undef, 'its own epoch'],
        [qq("$epoch"), 17, '18 19 20', undef, 'its own, as a string'],
        ['null', 17, '18 19 20', undef, 'null'],
        [$other, 17, '16 17 18 19 20', 16, 'another epoch'],
        [qq("$other"), 17, '16 17 18 19 20', 16, 'another, as a string'],
        ['"of another kind of gateway"', 17, '16 17 18 19 20', 16, 'another text'],
        ['0', 17, '16 17 18 19 20', 16, '0'],
        ['18446744073709551615', 17, '16 17 18 19 20', 16, 'the largest number'],
        [$other, 20, '16 17 18 19 20', 16, 'another, with the newest seq'],
        [$other, 0, '16 17 18 19 20', 16, 'another, since 0'],
        [$other, 1000, '16 17 18 19 20', 16, 'another, with a seq that is not reached'],
        [$epoch, 1000, '16 17 18 19 20', 16, 'its own, with a seq that is not reached'],
    ) {
        my ($text, $since, $want, $oldest, $name) = @$_;
        my $ws = $t->ws('/ws');

        $ws->send_text(qq({"type":"subscribe","stream":"list","since":$since,"epoch":$text}));
        my $m = $ws->recv_type('list');
        is(ids($m), $want, "$name: the entries");
        is_deeply($m->{gap}, defined $oldest ? { since => $since, oldest => $oldest } : undef,
            '... the gap');
        is($m->{seq}, 20, '... the seq');

        $ws->send_text('{"type":"ping"}');
        $ws->recv_type('pong');
        is_deeply([grep { $_->{type} eq 'list' } $ws->skipped], [], '... once');
        $ws->drop;
    }

    is(gaps() - $before, 9, 'the counter of gaps');

    my $ws = $t->ws('/ws');
    for ('-1', '1.5', 'true', '[]', '{}', '1e30') {
        $ws->send_text(qq({"type":"subscribe","stream":"list","since":1,"epoch":$_}));
        my $m = $ws->recv_type('error');
        is($m->{code}, 'bad_request', "epoch $_ is none");
        like($m->{message}, qr/"epoch" must be/, '... which it is told');
    }

    # without since it has no meaning, and for a snapshot neither
    $ws->send_text(qq({"type":"subscribe","streams":["still","list"],"epoch":$other}));
    my $m = $ws->recv_type('list');
    is(ids($m) . (exists $m->{gap} ? ' gap' : ''), '16 17 18 19 20', 'no since: no gap');
    $ws->drop;

    $ws = $t->ws('/ws');
    $ws->send_text(qq({"type":"subscribe","stream":"still","since":3,"epoch":$other,"delta":true}));
    is($ws->recv_type('still')->{data}, 20, 'a snapshot stream: its data');
    $ws->drop;
};


subtest 'CBOR and JSON-RPC' => sub {
    for ([$epoch, 3, 0, 'its own epoch'], [$other, 5, 1, 'another epoch'], ["x$other", 5, 1, 'a text']) {
        my ($e, $count, $gap, $name) = @$_;
        my $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
        $ws->send_binary(cbor({ type => 'subscribe', stream => 'list', since => 17, epoch => $e }));

        my $text = '';
        wait_for { ($text = $ws->recv_message(5) // '') =~ /entries/ };
        is(() = $text =~ /bid/g, $count, "CBOR, $name: the entries");
        is($text =~ /cgap/ ? 1 : 0, $gap, '... the gap');
        $ws->drop;

        my $json = $e =~ /^\d/ ? $e : qq("$e");
        for my $params (qq(["list",{"since":17,"epoch":$json}]), qq({"stream":"list","since":17,"epoch":$json})) {
            $ws = $t->ws('/ws', subprotocol => 'jsonrpc');
            $ws->send_text(qq({"jsonrpc":"2.0","id":1,"method":"subscribe","params":$params}));
            wait_for { ($text = $ws->recv_message(5) // '') =~ /entries/ };
            is(() = $text =~ /"id":\d+\}/g, $count, "JSON-RPC, $name: the entries");
            is($text =~ /"gap"/ ? 1 : 0, $gap, '... the gap');
            $ws->drop;
        }
    }

    my $ws = $t->ws('/ws', subprotocol => 'jsonrpc');
    $ws->send_text('{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["list",{"since":1,"epoch":-1}]}');
    like($ws->recv_message, qr/"code":-32602,"message":"\\"epoch\\" must be/, 'JSON-RPC: an epoch that is none');
    $ws->drop;
};


subtest 'server-sent events' => sub {
    for (["$epoch;list=17", '18 19 20', 0], ["$other;list=17", '16 17 18 19 20', 1],
         ["$other;still=3", '16 17 18 19 20', 0], ["x;list=20", '16 17 18 19 20', 1])
    {
        my ($id, $want, $gap) = @$_;
        my $body = '';
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Timeout => 5) or die;
        print $s "GET /events/list HTTP/1.1\r\nHost: a\r\nLast-Event-ID: $id\r\n\r\n";
        $s->blocking(0);
        wait_for { sysread $s, $body, 65536, length $body; $body =~ /^data: .*entries.*\n\n/m };

        my ($got, $data) = $body =~ /^id: (.*)\r?\ndata: (.*entries.*)$/m;
        my $m = decode_json($data // '{}');
        is(ids($m), $want, "Last-Event-ID: $id");
        is(exists $m->{gap} ? 1 : 0, $gap, '... the gap');
        is($got, "$epoch;list=20", '... the id to go on with');
        close $s;
    }
};


subtest 'REST' => sub {
    for ('/api/streams', '/api/streams/list', '/api/streams/still', '/api/list', '/api/list?limit=0',
        '/api/health', '/api/streams/list?wait=5s&after=1')
    {
        wait_for { $t->get($_)->{status} == 200 };
        is($t->get_json($_)->{epoch}, $epoch, "$_ has the epoch");
    }

    my $r = $t->get('/api/streams/still');
    like($r->{body}, qr/\A\{"type":"still","data":20,"timestamp":\d+,"seq":\d+,"epoch":$epoch\}\z/,
        'behind the others');
    like($r->{head}, qr/^Content-Length: @{[ length $r->{body} ]}\r?$/m, 'with its length');

    my $length = length $r->{body};
    $r = $t->request(HEAD => '/api/streams/still');
    like($r->{head}, qr/^Content-Length: $length\r?$/m, '... for HEAD, too');

    my $begun = time;
    is($t->get("/api/streams/list?wait=50s&after=20&epoch=$other")->{status}, 200,
        'waiting after a seq of another epoch');
    cmp_ok(time - $begun, '<', 30, '... is answered at once');
    is($t->get("/api/streams/list?wait=100ms&after=20&epoch=$epoch")->{status}, 204, 'its own: it waits');

    $r = $t->get('/api/streams/list?wait=1s&after=20&epoch=x');
    is($r->{status}, 400, 'an epoch that is none');
    like($r->{body}, qr/parameter epoch must be/, '... is named');
};


# Two gateways of one node, behind a balancer: each counts for itself.

subtest 'two gateways' => sub {
    $node->set(list => '[' . entries(1 .. 3) . ']');
    my $b = gateway();
    wait_for { ($b->row('list')->{seq} // 0) == 1 };
    $node->set(list => '[' . entries(1 .. 22) . ']');
    wait_for { $b->row('list')->{seq} == 2 && $t->row('list')->{seq} == 21 };

    # it has all up to 3, which was number 1 there, and goes to the one that is at 21
    my $there = $b->ws('/ws')->recv_type('welcome')->{epoch};
    isnt($there, $epoch, 'two epochs');

    my $ws = $t->ws('/ws');
    $ws->send_text(qq({"type":"subscribe","stream":"list","since":1,"epoch":$there}));
    my $m = $ws->recv_type('list');
    ok($m->{gap}, 'who comes from the other one is told of a gap');
    is(ids($m), '18 19 20 21 22', '... and gets the newest page');
    $ws->drop;

    $ws = $b->ws('/ws');
    $ws->send_text(qq({"type":"subscribe","stream":"list","since":2,"epoch":$there}));
    $node->set(list => '[' . entries(1 .. 23) . ']');
    $m = $ws->recv_type('list');
    is(ids($m) . ($m->{gap} ? ' gap' : ''), '23', 'who comes back to the same one is not');
    $ws->drop;

    $b->stop;
};


subtest 'before the first data' => sub {
    $node->fault(list => 'hang');
    my $c = gateway();
    my $ws = $c->ws('/ws');
    $ws->send_text(qq({"type":"subscribe","stream":"list","since":1,"epoch":$other}));
    is($ws->recv_type('status')->{state}, 'waiting', 'it is told to wait');
    $node->set(list => '[' . entries(7) . ']');
    $node->heal;
    my $m = $ws->recv_type('list', 30);
    is(ids($m), '7', 'the first data');
    is_deeply($m->{gap}, { since => 1, oldest => 1 }, '... comes with the gap, though the seq is its own');
    $ws->drop;
    $c->stop;
};

$t->stop;
done_testing();
