#!/usr/bin/perl

# Streams with a key. If this fails, a visitor who watches an address sees that
# of somebody else, an old one, or nothing.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Blockcast::KeyNode;
use Blockcast::Test qw(wait_for);

my $node = Blockcast::KeyNode->new;

my $t = Blockcast::Test->new(workers => 2, http => <<'EOS', server => <<"EOS2");
    blockcast_zone main 8m;
    blockcast_stream head { blockcast_interval 100ms; blockcast_call c k.head; }
    blockcast_stream one {
        blockcast_interval 200ms;
        blockcast_key account pattern=0x[0-9a-f]+ lower=on max=50;
        blockcast_call b k.get 'params_jq=[.key]';
        blockcast_jq '{key, n: .results.b.n, more: [range(40)]}';
    }
    blockcast_stream many {
        blockcast_interval 200ms;
        blockcast_key account pattern=(?:acct:)?([a-z]+) max=50 keys=10;
        blockcast_call b k.many 'params_jq=[.keys]';
        blockcast_jq '[.keys, .results.b] | transpose | map(select(.[1] != null) | {(.[0]): {n: .[1]}}) | add // {}';
    }
    blockcast_stream each {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z]+ max=50 keys=10;
        blockcast_call b k.get 'params_jq=.keys[] | [.]' each=10;
        blockcast_jq '[.keys, .results.b] | transpose | map(select(.[1]) | {(.[0]): .[1].n}) | add // {}';
    }
    blockcast_stream raw {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z]+ max=50;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream previous {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z]+ max=50;
        blockcast_call b k.raw 'params_jq=[.key]';
        blockcast_jq '[(.previous // 0) + 1, 3] | min';
    }
    blockcast_stream followed {
        blockcast_after head;
        blockcast_key account pattern=[a-z]+ max=50;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream plain {
        blockcast_after head;
        blockcast_call b k.get params=["plain"];
    }
EOS
        location /ws { blockcast_websocket; }
        location /api/ { blockcast_api; }
        location /one { blockcast_rest one; }
        location /events { blockcast_sse; }
        location = /health { blockcast_health; }
        location = /metrics { blockcast_metrics; }
        location /rpc {
            blockcast_rpc;
            blockcast_rpc_subscription sub balance stream=one key=1 notify=note unsubscribe=unsub first=on;
            blockcast_rpc_subscription watch stream=raw key=who notify=seen unsubscribe=unwatch first=on;
        }
        location = /n { blockcast_node batch=20; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS2


# The next message of a type with this key.

sub of {
    my ($ws, $type, $key) = @_;

    while (my $m = $ws->recv_type($type)) {
        return $m if ($m->{key} // '') eq $key;
    }

    return {};
}


# A key in any form is one and the same: its clients share it.

my $ws = $t->ws;
is_deeply $ws->recv_type('welcome')->{keyed}, { map { $_ => 'account' } qw(one many each raw previous followed) },
    'welcome has which streams have a key, and of what kind';
$ws->send_json({ type => 'subscribe', stream => 'one', key => '0xAB', id => 7 });

my $m = $ws->recv_type('subscribed');
is "$m->{stream} $m->{key} $m->{id}", 'one 0xab 7', 'the answer has the key in its one form';

$m = of($ws, 'one', '0xab');
is "$m->{data}{key} $m->{data}{n}", '0xab 0', '... and so has the data, which is that of the key';
my $seq = $m->{seq};

my $second = $t->ws;
$second->send_json({ type => 'subscribe', stream => 'one', keys => ['0xab', '0xCD', '0xdead', 'nonsense', 5] });

my %got;
for (1 .. 12) {
    my $x = $second->recv_json(5) or last;
    $got{ $x->{type} . ' ' . ($x->{key} // '') } = $x;
    last if $got{'one 0xab'} && $got{'one 0xcd'} && grep { /^error/ } keys %got;
}

ok $got{'subscribed 0xab'} && $got{'subscribed 0xcd'} && $got{'subscribed 0xdead'}, 'several keys in one message';
is $got{'one 0xab'}{seq}, $seq, 'a second client has what is there, at once and with the same seq';
like $got{'error nonsense'}{message}, qr/^"nonsense" is no account of stream one$/, 'a key that does not match is refused with a sentence';
is $got{'error nonsense'}{code}, 'bad_key', '... and a code';
like $got{'error '}{message}, qr/a key must be a string/, 'so is one that is no string';

$node->set('0xab' => 5);

for my $c ($ws, $second) {
    $m = of($c, 'one', '0xab');
    is "$m->{seq} $m->{data}{n}", $seq + 1 . ' 5', 'a change comes once, with the next seq';
}

# An error of one key is that key's own.

my $r;
ok((wait_for { $r = $t->get('/api/streams/one/0xdead'); $r->{body} =~ /no such account/ }), 'a key that fails says why');
is $r->{status}, 503, '... and has no data';
is $t->get('/api/streams/one/0xab')->{status}, 200, '... and the others have theirs';
my $third = $t->ws;
$third->send_json({ type => 'subscribe', stream => 'one', key => '0xDEAD' });
wait_for { $m = of($third, 'status', '0xdead'); $m->{error} };
like $m->{error}, qr/no such account/, '... also to its subscribers';

# Unsubscribing: one key, and all of a stream.

$ws->send_json({ type => 'unsubscribe', stream => 'one', key => '0XAB' });
is $ws->recv_type('unsubscribed')->{key}, '0xab', 'unsubscribed by key, in any form';
$node->set('0xab' => 6);
is of($second, 'one', '0xab')->{data}{n}, 6, 'the other client still has it';
$ws->send_json({ type => 'ping' });
ok $ws->recv_type('pong'), 'pong';
is_deeply [grep { $_->{type} eq 'one' } $ws->skipped], [], '... and the first one does not';

$second->send_json({ type => 'unsubscribe', stream => 'one' });
ok !exists $second->recv_type('unsubscribed')->{key}, 'without a key it leaves all keys of the stream';

$ws->send_json({ type => 'subscribe', stream => 'one' });
like $ws->recv_type('error')->{message}, qr/needs a "key"/, 'a stream with keys needs one';
$ws->send_json({ type => 'subscribe', stream => 'head', key => 'x' });
ok $ws->recv_type('subscribed'), 'a stream without keys ignores it';

# The seq of a key goes on when it comes back.

$node->set('0xab' => 7);
$ws->send_json({ type => 'subscribe', stream => 'one', key => '0xab' });
wait_for { ($m = of($ws, 'one', '0xab'))->{data}{n} == 7 };
cmp_ok $m->{seq}, '>', $seq + 2, 'the seq goes on when a key comes back';


# Several keys in one call; a capture is the key.

my $many = $t->ws;
$many->send_json({ type => 'subscribe', stream => 'many', keys => ['acct:one', 'one', 'two', 'odead', map { "k$_" } 'a' .. 'z'] });
my %have;
wait_for {
    my $x = $many->recv_json(5) or return 0;
    $have{ $x->{key} } = $x->{data}{n} if $x->{type} eq 'many';
    return keys %have == 28;
};
is join(' ', map { "$_=" . ($have{$_} // 'none') } 'one', 'two', 'ka', 'kz'), 'one=0 two=0 ka=0 kz=0', 'many: all have data';
$node->set(two => 22);
is of($many, 'many', 'two')->{data}{n}, 22, 'many: a change of one';
my @asked = $node->asked('k.many');
cmp_ok 0 + (grep { @{ $_->[1] } == 10 } @asked), '>', 0, 'calls are full: 10 keys each';
is_deeply [grep { @{ $_->[1] } > 10 } @asked], [], '... and never more';
is_deeply [grep { my %seen; grep { $seen{$_}++ } @{ $_->[1] } } @asked], [], '... with no key twice';
$many->send_json({ type => 'subscribe', stream => 'many', key => 'odead' });
$many->recv_type('subscribed');
$many->send_json({ type => 'ping' });
my $said = '';
wait_for { my $s = $t->get('/api/streams/many/odead'); $said = $s->{body}; $s->{status} == 503 && $said =~ /no answer for this key/ };
like $said, qr/no answer for this key/, 'a key that the answer lacks says so';

my $each = $t->ws;
$each->send_json({ type => 'subscribe', stream => 'each', keys => ['good', 'xdead', 'fine'] });
is of($each, 'each', $_)->{data}, 0, "a batch in which one fails: $_" for 'good', 'fine';


# The same data at every endpoint.

$node->set('0xe1' => 18, rawkey => 99);

for my $path ('/api/streams/one/0xE1', '/api/streams/one?key=0xe1', '/api/streams/one/0xe%31') {
    my $r;
    wait_for { $r = $t->get($path); $r->{status} == 200 };
    my $j = eval { JSON::PP::decode_json($r->{body}) } // {};
    is "$j->{type} $j->{key} $j->{data}{n}", 'one 0xe1 18', "REST: $path";
    ok $j->{epoch} && $r->{headers}{etag}, '... with an epoch and an ETag';
    is $t->get($path, headers => { 'If-None-Match' => $r->{headers}{etag} })->{status}, 304, '... which is good for 304';
}

for my $path ('/one/0xe1', '/one?key=0xE1') {
    my $j = $t->get_json($path);
    is $j->{n}, 18, "blockcast_rest: $path";
}

is $t->get('/api/streams/one/zzz')->{status}, 400, 'REST: a key that does not match';
like $t->get('/api/streams/one')->{body}, qr/has a key/, 'REST: no key';
is $t->get('/api/streams/head/x')->{status}, 404, 'REST: a key of a stream without keys';
is $t->get('/events?streams=head/x')->{status}, 404, 'SSE: the same';
is $t->get('/events?streams=one/zzz')->{status}, 400, 'SSE: a key that does not match';
is $t->get('/events?streams=one')->{status}, 400, 'SSE: no key';

my $j = $t->get_json('/api/streams/one/0xe1');
my $after = $t->get('/api/streams/one/0xe1?wait=1ms&after=' . $j->{seq});
is $after->{status}, 204, 'long poll: nothing new';
$node->set('0xe1' => 19);
$j = $t->get_json('/api/streams/one/0xe1?wait=10s&after=' . $j->{seq}, timeout => 15);
is $j->{data}{n}, 19, 'long poll: the change';

for my $path ('/events?streams=one/0xE1,raw/rawkey', '/events/raw/rawkey') {
    my $r = $t->request(GET => $path, timeout => 2);
    like $r->{body}, qr/^data: \{"type":"raw","key":"rawkey","data":99,/m, "SSE: $path";
}


# Encodings: CBOR, JSON-RPC, deltas, deflate.

my $cbor = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
$cbor->send_json({ type => 'subscribe', stream => 'raw', key => 'rawkey' });
my $frame = '';
wait_for { my $f = $cbor->recv(2); $frame = $f ? $f->{payload} : ''; $frame =~ /ctyperaw|dtypecraw/ || $frame =~ /dtypecrawckey/ };
like $frame, qr/dtypecraw.*ckeyfrawkey.*ddata\x18\x63/s, 'CBOR has the key';

my $rpc = $t->ws('/ws', subprotocol => 'jsonrpc');
$rpc->send_json({ jsonrpc => '2.0', id => 1, method => 'subscribe', params => ['raw', { key => 'rawkey' }] });
$rpc->send_json({ jsonrpc => '2.0', id => 2, method => 'subscribe', params => { stream => 'raw', key => 'other' } });
my (%id, %note);
for (1 .. 8) {
    my $x = $rpc->recv_json(5) or last;
    $id{ $x->{id} } = $x->{result} if $x->{id};
    $note{ $x->{params}{subscription} } = $x->{params}{result} if $x->{params} && $x->{params}{result}{type} eq 'raw';
    last if keys %note == 2 && keys %id == 2;
}
isnt $id{1}, $id{2}, 'JSON-RPC: each key has a subscription of its own';
is $note{ $id{1} }{data}, 99, '... with its data';
is $note{ $id{2} }{key}, 'other', '... and the other its own';
$rpc->send_json({ jsonrpc => '2.0', id => 3, method => 'unsubscribe', params => [$id{2}] });
wait_for { my $x = $rpc->recv_json(5) // {}; ($x->{id} // 0) == 3 && ($m = $x) };
ok $m->{result}, '... and is left by its id';

my $lib = $t->ws('/rpc');
$lib->send_json({ jsonrpc => '2.0', id => 1, method => 'sub', params => ['balance', '0xE1'] });
$lib->send_json({ jsonrpc => '2.0', id => 2, method => 'watch', params => { who => 'rawkey' } });
$lib->send_json({ jsonrpc => '2.0', id => 3, method => 'watch', params => [1] });
$lib->send_json({ jsonrpc => '2.0', id => 4, method => 'sub', params => ['balance'] });
my (%res, %seen);
for (1 .. 8) {
    my $x = $lib->recv_json(5) or last;
    $x->{id} ? ($res{ $x->{id} } = $x) : ($seen{ $x->{method} } = $x->{params});
    last if keys %res == 4 && keys %seen == 2;
}
is $seen{note}{result}{n}, 19, 'blockcast_rpc: the key is a param of an array';
is $seen{note}{subscription}, $res{1}{result}, '... the notification has its id';
is $seen{seen}{result}, 99, 'blockcast_rpc: the key is a member of the params';
like $res{4}{error}{message}, qr/must have the account, a string/, 'blockcast_rpc: without it there is an error';
$node->set('0xe1' => 20, rawkey => 100);
%seen = ();
wait_for { my $x = $lib->recv_json(3) or return 0; $seen{ $x->{method} // '' } = $x->{params}; $seen{note} && $seen{seen} };
is "$seen{note}{result}{n} $seen{seen}{result}", '20 100', '... and changes come';

my $delta = $t->ws;
$delta->send_json({ type => 'subscribe', stream => 'one', key => '0xe1', delta => JSON::PP::true });
$m = of($delta, 'one', '0xe1');
my $n = 30;
wait_for { $node->set('0xe1' => ++$n); $m = of($delta, 'one', '0xe1'); $m->{delta} };
is "$m->{delta}{n} $m->{base}", "$n " . ($m->{seq} - 1), 'a delta of a key, with its base';

my $z = $t->ws('/ws', headers => [['Sec-WebSocket-Extensions', 'permessage-deflate']]);
$z->send_json({ type => 'subscribe', stream => 'one', key => '0xe1' });
my $packed;
wait_for { my $f = $z->recv(2) or return 0; $packed = $f if $f->{rsv} && $f->{payload} !~ /welcome/; $packed };
ok $packed, 'deflate';


# Polled after another stream, and not otherwise.

$node->set(afterone => 1);
my $f = $t->ws;
$f->send_json({ type => 'subscribe', stream => 'followed', key => 'afterone' });
$f->send_json({ type => 'subscribe', stream => 'plain' });
my %after;
my $both = sub {
    %after = ();
    wait_for { my $x = $f->recv_json(3) or return 0; $after{ $x->{type} } = $x; $after{followed} && $after{plain} };
};
$both->();
is $after{followed}{data}, 1, 'blockcast_after: the first data comes at once';
$node->set(afterone => 2, plain => 5);
$f->send_json({ type => 'ping' });
$f->recv_type('pong');
select undef, undef, undef, 0.7;
my $before = grep { $_->[1] eq 'afterone' } $node->asked('k.raw');
$node->set(head => 2);
$both->();
is $after{followed}{data}, 2, '... and what is new when the other one changes';
is $after{plain}{data}{n}, 5, '... so it is with a plain stream';
is 0 + (grep { $_->[1] eq 'afterone' } $node->asked('k.raw')), $before + 1, '... for which the node is asked once';
cmp_ok $before, '<=', 2, '... and not between two heads';


# The program sees the key's own data of before.

ok((wait_for { ($t->get_json('/api/streams/previous/x')->{data} // 0) == 3 }), '.previous is the data of the key');

# What is said about them.

my $row;
($row) = grep { $_->{name} eq 'one' } @{ $t->get_json('/api/streams')->{streams} };
is "$row->{keys}{name} $row->{keys}{max}", 'account 50', '/api/streams: the keys';
cmp_ok $row->{keys}{listened}, '>=', 1, '... how many are listened to';
is $t->get('/health')->{status}, 200, 'health';
like $t->get('/metrics')->{body}, qr/^blockcast_keys_listened\{stream="one"\} [1-9]/m, 'metrics';

# A node that is down: the keys are stale, and live again when it is back.

$node->set(down => 1);
wait_for { $m = of($delta, 'status', '0xe1'); $m->{state} eq 'stale' };
is $m->{state}, 'stale', 'a node that is down makes keys stale';
ok $m->{error}, '... and they say why';
$node->set(down => 0, '0xe1' => 77);
wait_for { $m = $delta->recv_json(5) // {}; ($m->{key} // '') eq '0xe1' && ($m->{state} // '') eq 'live' };
is $m->{state}, 'live', '... and live when it is back';

$t->allow(qr/\[error\]/);
$t->stop;
done_testing;
