#!/usr/bin/perl

# JSON-RPC for chain libraries: what blockcast_rpc answers over WebSocket and
# by POST, and what its directives are told that are wrong. If this fails, a
# wallet gets another answer than the node would give it.

use strict;
use warnings;

use Blockcast::Socket 'no_plan';

share(
    node => <<'EON',
chain_getHeader {"number":"0x7","n":18446744073709551615,"a":1.50}
eth_chainId "0x7a69"
eth_call {"b":[ 1,2 ],"c":"\u00e9\/"}
eth_fails error {"code":3,"message":"execution reverted","data":"0x08c379a0"}
eth_null null
debug_x 1
EON
    http_config => <<'EOC',
    blockcast_stream heads { blockcast_interval 100ms; blockcast_call c chain_getHeader; }
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id;
    }
    blockcast_rpc_subscription chain_subscribeNewHeads stream=heads notify=chain_newHead
                               unsubscribe=chain_unsubscribeNewHeads id=string first=on;
    blockcast_rpc_subscription slotSubscribe stream=heads notify=slotNotification unsubscribe=slotUnsubscribe
                               id=number first=on;
    blockcast_rpc_subscription eth_subscribe newHeads stream=heads notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex first=on;
    blockcast_rpc_subscription subscribe "tm.event='NewBlock'" member=query stream=heads unsubscribe=unsubscribe
                               id=request first=on;
    blockcast_rpc_subscription eth_subscribe logs stream=list filter=logs notify=eth_subscription
                               unsubscribe=eth_unsubscribe;
    blockcast_rpc_allow eth_*;
EOC
    config => <<'EOC',
    location = /rpc { blockcast_rpc; }
    location = /any { blockcast_rpc; blockcast_rpc_allow any; }
    location = /debug { blockcast_rpc; blockcast_rpc_allow debug_*; }
    location = /few { blockcast_rpc; blockcast_rpc_limit batch=2 rate=1 burst=3; }
    location = /small { blockcast_rpc; blockcast_max_message 100; }
    location = /page { blockcast_rpc; blockcast_origin https://ok.example; }
EOC
);

run_tests();

__DATA__

=== TEST 1: a request by POST, and its answer: %%BODY%%
--- each
BODY || ANSWER
{"jsonrpc":"2.0","id":1,"method":"eth_chainId"} || {"jsonrpc":"2.0","id":1,"result":"0x7a69"}
{"id":"\u0041","method":"eth_call","params":[{"to":"0x1"}]} || {"jsonrpc":"2.0","id":"\u0041","result":{"b":[ 1,2 ],"c":"\u00e9\/"}}
{"id":18446744073709551615,"method":"eth_call"} || {"jsonrpc":"2.0","id":18446744073709551615,"result":{"b":[ 1,2 ],"c":"\u00e9\/"}}
{"id":1.50,"method":"eth_null","params":null} || {"jsonrpc":"2.0","id":1.50,"result":null}
{"id":null,"method":"eth_null"} || {"jsonrpc":"2.0","id":null,"result":null}
{"id":1,"method":"eth_fails"} || {"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}
[{"id":1,"method":"eth_fails"},{"method":"eth_call"},{"id":2,"method":"eth_null"}] || [{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}},{"jsonrpc":"2.0","id":2,"result":null}]
[{"id":7,"method":"net_version"},5] || [{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"the method net_version does not exist/is not available"}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request is a JSON object"}}]
[] || {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the batch is empty"}}
{"id":1 || {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not valid JSON"}}
{"id":1,"method":"eth_x","jsonrpc":"1.0"} || {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\""}}
{"id":[1],"method":"eth_x"} || {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"id\" must be a number, a string or null"}}
{"id":1,"method":"eth_x","params":5} || {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"\"params\" must be an array or an object"}}
{"id":1,"method":"eth_subscribe","params":["newHeads"]} || {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"notifications not supported: subscribe over WebSocket, at the same address"}}
--- request eval
'POST /rpc
%%BODY%%'
--- error_code: 200
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- response_body chomp
%%ANSWER%%

=== TEST 2: notifications have no answer
--- request
POST /rpc
[{"method":"eth_call"},{"jsonrpc":"2.0","method":"eth_null"}]
--- error_code: 204
--- response_body:

=== TEST 3: the operator's own methods are never passed on unless they are named: %%PATH%%
--- each
PATH    | ANSWER
/any    | {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method debug_x does not exist/is not available"}}
/rpc    | {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method debug_x does not exist/is not available"}}
/debug  | {"jsonrpc":"2.0","id":1,"result":1}
--- request
POST %%PATH%%
{"id":1,"method":"debug_x"}
--- response_body chomp
%%ANSWER%%

=== TEST 4: other methods of HTTP: %%METHOD%%
--- each
METHOD | STATUS
GET    | 426
HEAD   | 426
PUT    | 405
DELETE | 405
--- request
%%METHOD%% /rpc
--- error_code: %%STATUS%%

=== TEST 5: a batch that is too large, calls that cost too much
--- request
POST /few
[1,2,3]
--- response_body chomp
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the batch is larger than 2 requests"}}

=== TEST 6: a request that is too large
--- request eval
'POST /small
' . '[' x 101
--- error_code: 413

=== TEST 7: a page of elsewhere: %%ORIGIN%%
--- each
ORIGIN             | STATUS
https://ok.example | 200
https://no.example | 403
--- request
POST /page
{"id":1,"method":"eth_null"}
--- more_headers
Origin: %%ORIGIN%%
--- error_code: %%STATUS%%

=== TEST 8: what a browser asks first
--- request
OPTIONS /page
--- more_headers
Origin: https://ok.example
Access-Control-Request-Method: POST
--- error_code: 204
--- response_headers
Access-Control-Allow-Methods: GET, HEAD, POST
Access-Control-Allow-Origin: https://ok.example

=== TEST 9: subscriptions, each with the id of its chain, byte for byte what the node says
--- request
GET /rpc
--- websocket
--- ws_send
{"id":1,"method":"chain_subscribeNewHeads"}
{"id":2,"method":"chain_subscribeNewHeads","params":[]}
{"id":3,"method":"slotSubscribe"}
{"id":4,"method":"eth_subscribe","params":["newHeads"]}
{"id":"c","method":"subscribe","params":{"query":"tm.event='NewBlock'"}}
--- ws_any
^\{"jsonrpc":"2.0","id":1,"result":"1"\}$
^\{"jsonrpc":"2.0","id":2,"result":"2"\}$
^\{"jsonrpc":"2.0","id":3,"result":3\}$
^\{"jsonrpc":"2.0","id":4,"result":"0x4"\}$
^\{"jsonrpc":"2.0","id":"c","result":\{\}\}$
^\{"jsonrpc":"2.0","method":"chain_newHead","params":\{"subscription":"1","result":\{"number":"0x7","n":18446744073709551615,"a":1.50\}\}\}$
^\{"jsonrpc":"2.0","method":"chain_newHead","params":\{"subscription":"2","result":\{"number":"0x7",
^\{"jsonrpc":"2.0","method":"slotNotification","params":\{"subscription":3,"result":\{"number":"0x7",
^\{"jsonrpc":"2.0","method":"eth_subscription","params":\{"subscription":"0x4","result":\{"number":"0x7",
^\{"jsonrpc":"2.0","id":"c","result":\{"number":"0x7",

=== TEST 10: leaving, and wrong subscriptions
--- request
GET /rpc
--- websocket
--- ws_send
{"id":1,"method":"chain_subscribeNewHeads"}
{"id":2,"method":"chain_unsubscribeNewHeads","params":["1"]}
{"id":3,"method":"chain_unsubscribeNewHeads","params":["1"]}
{"id":4,"method":"chain_unsubscribeNewHeads"}
{"id":5,"method":"slotSubscribe"}
{"id":6,"method":"eth_unsubscribe","params":[2]}
{"id":7,"method":"slotUnsubscribe","params":[2]}
{"id":8,"method":"eth_subscribe","params":["syncing"]}
{"id":9,"method":"eth_subscribe","params":["logs",[]]}
{"id":10,"method":"unsubscribe","params":{"query":"x"}}
--- ws_like
"id":1,"result":"1"\}
"id":2,"result":true\}
"id":3,"result":false\}
"id":4,"error":\{"code":-32602,"message":"params must be \[SUBSCRIPTION\]"\}
"id":5,"result":2\}
"id":6,"result":false\}
"id":7,"result":true\}
"id":8,"error":\{"code":-32602,"message":"there is no such subscription here: eth_subscribe"\}
"id":9,"error":\{"code":-32602,"message":"the filter of logs is an object
"id":10,"error":\{"code":-32000,"message":"there is no such subscription"\}

=== TEST 11: what costs too much is refused, and the connection stays open
--- request
GET /few
--- websocket
--- ws_send
{"id":1,"method":"eth_null"}
{"id":2,"method":"eth_null"}
{"id":3,"method":"eth_null"}
{"id":4,"method":"eth_null"}
{"id":5,"method":"eth_null"}
{"id":6,"method":"eth_null"}
--- ws_like
"id":[56],"error":\{"code":-32005,"message":"these calls cost more than 1 per second, try again later"\}

=== TEST 12: a wrong configuration: %%LINE%%
--- each
LINE || MESSAGE
blockcast_rpc_subscription a stream=heads notify=b; || "blockcast_rpc_subscription a" needs stream=, unsubscribe= and notify=
blockcast_rpc_subscription a stream=nope notify=b unsubscribe=c; || names stream "nope", which is not declared
blockcast_rpc_subscription a stream=heads notify=b unsubscribe=c id=x; || "x" in "blockcast_rpc_subscription" must be hex, number, string or request
blockcast_rpc_subscription a stream=heads notify=b unsubscribe=c filter=logs; || has a filter, and stream "heads" is no blockcast_log
blockcast_rpc_cache a b; || "b" in "blockcast_rpc_cache" must be METHOD... and head, forever, off or clear
blockcast_rpc_cost a b; || "b" in "blockcast_rpc_cost" must be METHOD... and a number
blockcast_rpc_limit calls=0; || "calls=0" in "blockcast_rpc_limit" is none of
blockcast_rpc_head nope; || "blockcast_rpc_head" in
--- http_config
blockcast_stream heads { blockcast_call c x.h; }
%%LINE%%
--- config
location = /rpc { blockcast_rpc; }
--- must_die
--- nowhere
--- error_log
%%MESSAGE%%
