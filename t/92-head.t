#!/usr/bin/perl

# The WebSocket that the gateway holds to a node (blockcast_head). If this
# fails, blocks are shown late, a node's WebSocket that misbehaves in some way
# brings a worker down or is never tried again, or there are two connections
# where the node allows one.

use strict;
use warnings;

use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::HeadNode;
use Blockcast::Test;

my $NEW = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}';
my $node = Blockcast::HeadNode->new;

sub frame { Blockcast::HeadNode::frame(@_) }


# A stream that is polled once in ten minutes, unless the head says so.

sub gateway {
    my (%arg) = @_;

    my $head = delete $arg{head} // '';
    my $stream = delete $arg{stream} // "blockcast_head 'message=$NEW';";
    my $url = delete $arg{url} // "ws://127.0.0.1:%%PORT9%%/rpc?key=sekret";

    return Blockcast::Test->new(node => { rate_limit => 1000000 }, ports => [ (undef) x 9, $node->port ],
        http => "    upstream node { server %%NODE%%; keepalive 8; }
    blockcast_stream num { blockcast_interval 10m; blockcast_stale 20m; blockcast_call c x.num; $stream }
    blockcast_stream other { blockcast_interval 10m; blockcast_stale 20m; blockcast_call c x.other; blockcast_head off; }",
        server => "location = /_node { internal; blockcast_node; blockcast_head $url ping=500ms timeout=1500ms $head;
            proxy_pass http://node/; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host localhost; }
        location = /ws { blockcast_websocket; } location /api/ { blockcast_api; } location = /metrics { blockcast_metrics; }
        location = /poke { blockcast_poke; }", %arg);
}

sub head { return ($_[0]->get_json('/api/health')->{nodes}[0] // {})->{head} // {} }

sub state_is {
    my ($t, $state, $name) = @_;

    my $head;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { ($head = head($t))->{state} eq $state }, 30);
    return is($head->{state}, $state, $name);
}

sub lost_is {
    my ($t, $re, $name) = @_;

    my $head;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { (($head = head($t))->{error} // '') =~ $re }, 30);
    return like($head->{error}, $re, $name);
}

sub note_of { my ($sub, $result) = @_; return qq({"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"$sub","result":$result}}) }

my $t = gateway();
$t->set(num => 1);
$t->set(other => 1);


subtest 'what the node is sent, and that it starts a poll' => sub {
    state_is($t, 'connected', 'connected');

    my ($head) = map { $_->{text} } $node->events('head');
    like($head, qr{\AGET /rpc\?key=sekret HTTP/1\.1\r\n}, 'path and query');
    like($head, qr{^Host: 127\.0\.0\.1:\d+\r$}m, 'Host');
    like($head, qr{^Upgrade: websocket\r$}mi, 'Upgrade');
    like($head, qr{^Connection: Upgrade\r$}mi, 'Connection');
    like($head, qr{^Sec-WebSocket-Version: 13\r$}mi, 'version');
    like($head, qr{^Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r$}mi, 'key');
    unlike($head, qr{Extensions|Sec-WebSocket-Protocol|Authorization|Origin}i, 'and nothing that was not asked for');
    is_deeply([ map { $_->{text} } $node->events('text') ], [$NEW], 'the message, once');

    my ($ws, $two) = map { $t->ws('/ws') } 1, 2;
    $ws->subscribe('num');
    $two->subscribe('other');
    is($ws->recv_type('num')->{data}, 1, 'the first data');
    is($two->recv_type('other')->{data}, 1, 'of the other stream, too');
    my $asked = $t->asked('other');

    for my $n (2 .. 4) {
        $t->set(num => $n);
        $node->notify(note_of('0xsub1', '{}'));
        is($ws->recv_type('num', 20)->{data}, $n, "notification $n: the stream is polled");
    }

    $t->set(num => 5);
    $node->send(frame(1, '{"jsonrpc":"2.0","meth', fin => 0) . frame(9, 'mid') . frame(0, 'od":"x","params":{}}'));
    is($ws->recv_type('num', 20)->{data}, 5, 'one in fragments around a ping');
    ok(wait_for(sub { grep { $_->{text} eq 'mid' } $node->events('pong') }, 20), 'and that is answered');

    $t->set(num => 6);
    $node->send(frame(2, "\x00\xff"));
    is($ws->recv_type('num', 20)->{data}, 6, 'any message will do');

    is($t->asked('other'), $asked, 'a stream with "off" is left alone');
    is(scalar $node->events('unmasked'), 0, 'all frames were masked');
    ok(wait_for(sub { $node->events('ping') >= 2 }, 20), 'it pings');

    my $metrics = $t->get('/metrics')->{body};
    like($metrics, qr/^blockcast_head_up\{node="default"\} 1$/m, 'metrics: up');
    like($metrics, qr/^blockcast_head_connects_total\{node="default"\} 1$/m, 'metrics: connects');
    like($metrics, qr/^blockcast_head_messages_total\{node="default"\} 5$/m, 'metrics: messages');
    like($metrics, qr/^blockcast_polls_extra_total\{stream="num"\} [5-9]/m, 'metrics: rounds');
    unlike(Blockcast::Test::slurp($t->prefix . '/error.log'), qr/sekret/, 'the key in the URL is in no log');
};


subtest 'a flood of notifications is folded' => sub {
    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    $ws->recv_type('num');

    my ($asked, $start) = ($t->asked('num'), time);
    $node->notify(note_of('0xsub1', $_)) for 1 .. 500;
    $t->set(num => 7);
    $node->notify(note_of('0xsub1', '7'));
    wait_for(sub { ($ws->recv_type('num', 20) // {})->{data} // 0 == 7 }, 20);
    my $rounds = $t->asked('num') - $asked;
    my $most = 4 + (time - $start) / 0.05;
    cmp_ok($rounds, '<=', $most, "$rounds rounds, one in 50 ms");
    is($t->data('num'), 7, 'the newest is there');
};


# A server that misbehaves: [what, answer to the handshake (undef: a good one),
# bytes behind it, the reason, the code of our Close]

my $good = $Blockcast::HeadNode::GOOD;
(my $wrong_accept = $good) =~ s/%ACCEPT%/s3pPLMBiTxaQ9kYGzzhZRbK+xOo=/;
(my $no_accept = $good) =~ s/Sec-WebSocket-Accept.*?\r\n//;
(my $two_accepts = $good) =~ s/(Sec-WebSocket-Accept.*?\r\n)/$1$1/;
(my $no_upgrade = $good) =~ s/Upgrade: websocket\r\n//;
(my $other_upgrade = $good) =~ s/Upgrade: websocket/Upgrade: h2c/;
(my $no_connection = $good) =~ s/Connection: Upgrade\r\n/Connection: close\r\n/;
(my $extension = $good) =~ s/\r\n\r\n/\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n/;
(my $protocol = $good) =~ s/\r\n\r\n/\r\nSec-WebSocket-Protocol: chat\r\n\r\n/;
(my $bare = $good) =~ s/\r\n/\n/g;
(my $folded = $good) =~ s/\r\n\r\n/\r\n folded: line\r\n\r\n/;

my @cases = (
    ['a wrong accept key', $wrong_accept, '', qr/Sec-WebSocket-Accept is wrong/],
    ['no accept key', $no_accept, '', qr/Sec-WebSocket-Accept is missing/],
    ['two accept keys', $two_accepts, '', qr/Sec-WebSocket-Accept is wrong/],
    ['no Upgrade', $no_upgrade, '', qr/"Upgrade: websocket" is missing/],
    ['another Upgrade', $other_upgrade, '', qr/Upgrade is not "websocket"/],
    ['no Connection: Upgrade', $no_connection, '', qr/"Connection: Upgrade" is missing/],
    ['an extension that was not offered', $extension, '', qr/extension was not offered/],
    ['a subprotocol that was not offered', $protocol, '', qr/subprotocol was not offered/],
    ['200 instead of 101', "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", '', qr/HTTP 200 instead of 101/],
    ['a redirect', "HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", '', qr/HTTP 301 instead of 101, redirects are not followed/],
    ['a 401', "HTTP/1.1 401 No\r\n\r\n", '', qr/HTTP 401 instead of 101, the credentials/],
    ['a 429', "HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\n\r\n", '', qr/HTTP 429 instead of 101/],
    ['no HTTP at all', "SSH-2.0-OpenSSH_9.2\r\n", '', qr/not HTTP/],
    ['HTTP/1.0', "HTTP/1.0 101 Switching Protocols\r\n\r\n", '', qr/not HTTP\/1\.1/],
    ['a status line without a status', "HTTP/1.1 abc\r\n\r\n", '', qr/status line is malformed/],
    ['an endless head', "HTTP/1.1 101 Switching Protocols\r\n" . ("X-A: " . 'a' x 1000 . "\r\n") x 12, '', qr/head of the answer does not end/],
    ['a header without a colon', "HTTP/1.1 101 Switching Protocols\r\nnonsense\r\n\r\n", '', qr/header line is malformed/],
    ['a folded header', $folded, '', qr/header line is malformed/],
    ['a NUL in a header', "HTTP/1.1 101 Switching Protocols\r\nX: a\0b\r\n\r\n", '', qr/control character/],
    ['half an answer', 'HTTP/1.1 101 Swi', '', qr/no answer to the handshake within 1500 ms/],
    ['lines that end with LF alone', $bare, '', qr/no answer to the handshake|malformed/],
    ['a masked frame', undef, frame(1, 'hi', mask => 1), qr/frame from the server is masked/, 1002],
    ['RSV1 without an extension', undef, frame(1, 'hi', rsv => 4), qr/reserved bit/, 1002],
    ['RSV2', undef, frame(1, 'hi', rsv => 2), qr/reserved bit/, 1002],
    ['RSV3 of a ping', undef, frame(9, '', rsv => 1), qr/reserved bit/, 1002],
    ['a reserved opcode', undef, frame(3, 'x'), qr/reserved opcode/, 1002],
    ['a reserved control opcode', undef, frame(11, ''), qr/reserved opcode/, 1002],
    ['a fragmented ping', undef, frame(9, 'x', fin => 0), qr/fragmented control/, 1002],
    ['a ping of 126 bytes', undef, frame(9, 'x' x 126), qr/more than 125 bytes/, 1002],
    ['a continuation of nothing', undef, frame(0, 'x'), qr/no message is open/, 1002],
    ['a message inside of another', undef, frame(1, 'a', fin => 0) . frame(1, 'b'), qr/new message inside/, 1002],
    ['a length that is not the shortest', undef, pack('CCn', 0x81, 126, 5) . 'hello', qr/shortest form/, 1002],
    ['a 64-bit length that is not the shortest', undef, pack('CCQ>', 0x81, 127, 5) . 'hello', qr/shortest form/, 1002],
    ['a length with its highest bit', undef, pack('CCC8', 0x81, 127, 0x80, (0) x 7), qr/highest bit/, 1002],
    ['a message larger than max_reply', undef, pack('CCQ>', 0x81, 127, 1 << 40), qr/too big/, 1009],
    ['one that grows too large', undef, frame(1, 'x' x 60000, fin => 0) . frame(0, 'x' x 60000, fin => 0) x 20, qr/too big/, 1009],
    ['endless fragments', undef, frame(1, 'x', fin => 0) . frame(0, '', fin => 0) x 4200, qr/too many fragments/, 1008],
    ['text that is not UTF-8', undef, frame(1, "\xff\xfe"), qr/UTF-8/, 1007],
    ['UTF-8 cut by the end', undef, frame(1, "\xc3"), qr/UTF-8/, 1007],
    ['bad UTF-8 over two fragments', undef, frame(1, "\xe2\x82", fin => 0) . frame(0, 'x'), qr/UTF-8/, 1007],
    ['a Close of one byte', undef, frame(8, 'x'), qr/half a code/, 1002],
    ['a Close with a code that may not be sent', undef, frame(8, pack 'n', 1005), qr/invalid code/, 1002],
    ['a Close with bad UTF-8', undef, frame(8, pack('n', 1000) . "\xff"), qr/UTF-8/, 1007],
    ['a Close of 1000', undef, frame(8, pack 'n', 1000), qr/closed it with 1000/, 1000],
    ['a Close of 1001 with a reason', undef, frame(8, pack('n', 1001) . "going\naway"), qr/closed it with 1001: going away/, 1001],
    ['a Close of 4444', undef, frame(8, pack 'n', 4444), qr/closed it with 4444/, 4444],
    ['a Close without a code', undef, frame(8, ''), qr/closed it with 1005/, ''],
    ['an error instead of a subscription', undef, frame(1, '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no \u001b[31msuch"}}'),
        qr/refuses the message: -32601 no  \[31msuch/, 1000],
    ['an error that names no id', undef, frame(1, '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'),
        qr/refuses the message: -32700 parse error/, 1000],
);

$t->stop;

# A node for each, in two servers: there are 32 at most.

for my $part (0, 1) {
    my @part = grep { $_ % 2 == $part } 0 .. $#cases;
    my $before = () = $node->events;

    for my $i (@part) {
        my ($what, $answer, $after) = @{ $cases[$i] };
        $node->answer($answer, "/$i");
        $node->after($after, "/$i");
    }

    $node->option(ack => 0);
    my $t = Blockcast::Test->new(
        http => "blockcast_stream s { blockcast_node n$part[0]; blockcast_call c x; }",
        server => join('', map { "location = /_node$_ { blockcast_node n$_; proxy_pass http://127.0.0.1:1/;
            blockcast_head ws://127.0.0.1:" . $node->port . "/$_ 'message=$NEW' ping=500ms timeout=1500ms; }\n" } @part)
            . 'location /api/ { blockcast_api; }');
    my $heads = sub { return { map { $_->{name} => $_->{head} } @{ ($t->get_json('/api/health') // {})->{nodes} // [] } } };

    for my $i (@part) {
        my ($what, undef, undef, $re, $code) = @{ $cases[$i] };
        my $head;

        wait_for(sub { (($head = $heads->()->{"n$i"})->{error} // '') =~ $re }, 30);
        like($head->{error}, $re, "$what: why it is lost");
        is($head->{state}, 'lost', "$what: lost");
        next unless defined $code;

        my ($n) = map { $_->{n} } grep { $_->{text} =~ m{^GET /$i } } $node->events('head');
        my ($close) = grep { $_->{n} == $n } $node->events('close');
        is(!defined $close ? 'none' : length $close->{text} ? unpack('n', $close->{text}) : '', $code, "$what: our Close");
    }

    # they are not given up

    for my $i (@part) {
        $node->answer(undef, "/$i");
        $node->after('', "/$i");
    }

    $node->option(ack => 1);
    my $live;
    wait_for(sub { $live = grep { $_->{state} eq 'connected' } values %{ $heads->() }; $live == @part }, 60);
    is($live, scalar @part, 'all are connected again when the server behaves');
    $t->stop;
}

$t = gateway();
$t->set(num => 1);
state_is($t, 'connected', 'connected');

subtest 'a node that hangs up' => sub {
    $node->option(ack => 0);
    $node->hang_up;
    lost_is($t, qr/closed the connection without a Close/, 'noticed');
    lost_is($t, qr/no answer to the message within 1500 ms/, 'and one that answers pings, but not the message');
    $node->option(ack => 1);
    state_is($t, 'connected', 'connected again');
};

subtest 'a half-open connection: the node is stopped' => sub {
    kill 'STOP', $node->pid;
    lost_is($t, qr/no answer to a ping within 1500 ms/, 'noticed by the ping');
    lost_is($t, qr/no answer to the handshake within 1500 ms/, 'and by the next handshake');
    kill 'CONT', $node->pid;
    state_is($t, 'connected', 'connected again');
};

subtest 'a node that is gone, and comes back' => sub {
    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    is($ws->recv_type('num')->{data}, 1, 'data');
    $node->stop;
    lost_is($t, qr/cannot be reached/, 'refused');
    $t->set(num => 2);
    my $r = $t->request(POST => '/poke', body => '');
    is($ws->recv_type('num', 20)->{data}, 2, 'the streams are polled without it');
    $t->set(num => 3);
    $node->start;
    state_is($t, 'connected', 'connected again');
    is($ws->recv_type('num', 20)->{data}, 3, 'and polled at once, for a block may have been missed');

    my $log = Blockcast::Test::slurp($t->prefix . '/error.log');
    like($log, qr/\[warn\].*the head of node "default" at 127\.0\.0\.1:\d+ is lost: .*; its streams are polled as before/, 'the log says so');
    like($log, qr/\[notice\].*the head of node "default" at \S+ is connected again, after/, 'and when it is over');
    unlike($log, qr/sekret/, 'the key in the URL is in no log');
};

$t->stop;


subtest 'result=: what the node pushes is what the call would bring' => sub {
    my $t = gateway(stream => "blockcast_head 'message=$NEW' result=c;");

    $t->set(num => '"asked"');
    state_is($t, 'connected', 'connected');
    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    is($ws->recv_type('num')->{data}, 'asked', 'the first data is asked for');
    ok(wait_for(sub { $t->asked('num') >= 1 && head($t)->{state} eq 'connected' }, 20), 'settled');
    sleep 0.5;
    my $asked = $t->asked('num');

    for my $n (1 .. 5) {
        $node->notify(note_of('0xsub1', qq({"number":"0x$n","big":18446744073709551615})));
        my $m = $ws->recv_type('num', 20);
        is($m->{data}{number}, "0x$n", "result $n");
        sleep 0.06;
    }

    like($t->data('num'), qr/18446744073709551615/, 'byte for byte');
    is($t->asked('num'), $asked, 'and the node was asked nothing');

    $node->notify('{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0xelse","result":{"number":"0xbad"}}}');
    is($ws->recv_type('num', 20)->{data}, 'asked', 'what is of another subscription is a poke, and no result');
    $node->notify('{"jsonrpc":"2.0","id":1,"result":{"number":"0x9"}}');
    is($ws->recv_type('num', 20)->{data}{number} // '', '0x9', 'an event with the id of the message, as of CometBFT');
    $t->stop;
};

subtest 'a log gets each result, in order' => sub {
    my $t = gateway(stream => "blockcast_log heads key=n; blockcast_jq '{heads:[.results.c]}'; blockcast_head 'message=$NEW' result=c;");

    $t->set(num => '{"n":0}');
    state_is($t, 'connected', 'connected');
    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    my @got = map { $_->{n} } @{ $ws->recv_type('num', 20)->{data}{heads} };
    $node->send(join '', map { frame(1, note_of('0xsub1', qq({"n":$_}))) } 1 .. 20);
    wait_for(sub { push @got, map { $_->{n} } @{ ($ws->recv_type('num', 5) // { data => {} })->{data}{heads} // [] }; $got[-1] == 20 }, 20);
    is_deeply(\@got, [ 0 .. 20 ], 'twenty at once');
    $t->stop;
};

subtest 'who holds the connection' => sub {
    $node->stop;
    $node = Blockcast::HeadNode->new;
    my $t = gateway(workers => 3);

    $t->set(num => 1);
    state_is($t, 'connected', 'three workers');
    is($node->open_now, 1, 'one connection');
    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    is($ws->recv_type('num')->{data}, 1, 'data');

    my $poller = $t->get_json('/api/health')->{poller}{pid};
    my $connects = $node->events('open');
    $t->allow(qr/exited on signal 9/, qr/$poller/);
    kill 'KILL', $poller;
    ok(wait_for(sub { $node->events('open') > $connects }, 20), 'the worker is killed: another one connects');
    state_is($t, 'connected', 'connected');
    isnt($t->get_json('/api/health')->{poller}{pid}, $poller, 'another worker polls');
    is($node->most, 1, 'never two');

    for my $n (2 .. 4) {
        $connects = $node->events('open');
        $t->reload;
        ok(wait_for(sub { $node->events('open') > $connects && $node->open_now == 1 }, 30), "reload: one connection, of the new workers");
        state_is($t, 'connected', 'connected');
        my $new = $t->ws('/ws');
        $new->subscribe('num');
        $t->set(num => $n);
        $node->notify(note_of('0xsub1', '{}'));
        ok(wait_for(sub { ($new->recv_type('num', 5) // {})->{data} == $n }, 20), 'and it is polled');
    }

    is($node->most, 1, 'never two');
    ok(wait_for(sub { $node->events('close') >= 3 }, 20), 'each said goodbye');
    is(unpack('n', ($node->events('close'))[-1]{text}), 1001, 'with 1001');
    $t->stop;
};

subtest 'credentials' => sub {
    my $dir = File::Temp->newdir;
    my $write = sub { open my $fh, '>', "$dir/$_[0]" or die; print $fh $_[1]; close $fh; "$dir/$_[0]" };

    for my $case (['bearer=' . $write->(token => "t0ken-sekret\n"), qr/^Authorization: Bearer t0ken-sekret\r$/m],
        ['basic=' . $write->(user => "user:pass sekret\n"), qr/^Authorization: Basic dXNlcjpwYXNzIHNla3JldA==\r$/m])
    {
        my $t = gateway(head => "$case->[0] host=node.test:99", error_level => 'debug');
        state_is($t, 'connected', 'connected');
        my $head = ($node->events('head'))[-1]{text};
        like($head, $case->[1], 'the header');
        like($head, qr/^Host: node\.test:99\r$/m, 'host=');
        unlike(Blockcast::Test::slurp($t->prefix . '/error.log'), qr/t0ken|dXNlcjp|pass sekret/, 'in no log, not at level debug');
        $t->stop;
    }
};

done_testing();
