#!/usr/bin/perl

# Limits of what one client says, each at its bound and one past it. If this
# fails, an honest client is cut off for nothing, or one client takes the memory
# and the time of all others. t/43-limits.t has frames and crowds.

use Blockcast::Socket 'no_plan';

# a ping of that many bytes

sub ping { my $m = '{"type":"ping","pad":"'; $m . 'x' x ($_[0] - 2 - length $m) . '"}' }

share(
    node => '',
    http_config => join('', map { "blockcast_stream s$_ { blockcast_interval 200ms; blockcast_call c net.stats; }\n" } 1 .. 6),
    config => <<'EOC',
    location /subs { blockcast_websocket; blockcast_max_subscriptions 3; }
    location /rpc { blockcast_websocket; blockcast_max_subscriptions 1; }
    location /free { blockcast_websocket; blockcast_message_rate off; }
    location /message { blockcast_websocket; blockcast_max_message 200; }
    location /frame { blockcast_websocket; blockcast_max_message 1k; blockcast_max_frame 100; }
EOC
);

run_tests();

__DATA__

=== TEST 1: three subscriptions, and a fourth, which is refused with the id of its request
--- websocket
--- request
GET /subs
--- ws_send
{"type":"subscribe","stream":"s1","id":"one"}
{"type":"subscribe","stream":"s2","id":"two"}
{"type":"subscribe","stream":"s3","id":"three"}
{"type":"subscribe","stream":"s4","id":"four"}
{"type":"subscribe","stream":"s2","id":"again"}
--- ws_like
^(?=.*"type":"subscribed").*"id":"one"
^(?=.*"type":"subscribed").*"id":"two"
^(?=.*"type":"subscribed").*"id":"three"
^(?=.*"type":"error")(?=.*"code":"too_many_subscriptions").*"id":"four"
^(?=.*"type":"subscribed").*"id":"again"



=== TEST 2: after an unsubscribe there is a place; of a list each is refused but the one it has
--- websocket
--- request
GET /subs
--- ws_send
{"type":"subscribe","streams":["s1","s2","s3"]}
{"type":"unsubscribe","stream":"s2"}
{"type":"subscribe","stream":"s4"}
{"type":"subscribe","streams":["s5","s6","s1"]}
--- ws_like
"type":"unsubscribed"
^(?=.*"type":"subscribed").*"stream":"s4"
^(?=.*"code":"too_many_subscriptions").*s5
^(?=.*"code":"too_many_subscriptions").*s6
^(?=.*"type":"subscribed").*"stream":"s1"



=== TEST 3: JSON-RPC: the second subscription is refused
--- websocket
--- request
GET /rpc
--- more_headers
Sec-WebSocket-Protocol: jsonrpc
--- ws_send
{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["s1"]}
{"jsonrpc":"2.0","id":2,"method":"subscribe","params":["s2"]}
--- ws_like
^(?=.*"id":1\b).*"result":[^n]
^(?=.*"id":2\b).*"code":-32000\b



=== TEST 4: blockcast_message_rate off: 2000 messages at once are answered
--- websocket
--- request
GET /free
--- ws_send eval: join "\n", map { qq({"type":"ping","id":$_}) } 1 .. 2000
--- ws_like
"type":"pong".*"id":1\b
"type":"pong".*"id":2000\b



=== TEST 5: a message of %%BYTES%% bytes at %%PATH%%, and one byte more
--- each
PATH        | BYTES
/message    | 200
/frame      | 100
--- websocket
--- request
GET %%PATH%%
--- ws_send eval: main::ping(%%BYTES%%) . "\n" . main::ping(%%BYTES%% + 1)
--- ws_like: "type":"pong"
--- ws_close: 1009
