#!/usr/bin/perl

# Who may connect, and to what. If this fails, a foreign page reads a visitor's
# streams, a token opens more than it should, or nginx's own guards do not guard
# a WebSocket. TLS, limits and the access log are in t/44-access-log.t.

use Blockcast::Socket 'no_plan';
use Digest::MD5 ();
use MIME::Base64 ();

# of nginx's secure_link

our $md5 = sub {
    MIME::Base64::encode_base64(Digest::MD5::md5("$_[0]/link secret"), '') =~ tr{+/=}{-_}dr;
};

share(
    node => '',
    conf_files => <<'EOC',
>>> tokens
# what the operator keeps
all-0123456789abcdef  operator
one-0123456789abcdef  partner   alpha
two-0123456789abcdef  dashboard alpha,gamma
odd/0123456789+abcde==
>>> htpasswd
ann:{PLAIN}open sesame
EOC
    http_config => <<'EOC',
    blockcast_stream alpha { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream gamma {
        blockcast_interval 100ms;
        blockcast_call c receipt.audit;
        blockcast_jq '{receipts: .results.c}';
        blockcast_log receipts key=id;
    }

    map $arg_who $granted {
        ann      "alpha,beta";
        bob      " beta ,, gamma ";
        everyone "*";
        typo     "alpah";
        default  "";
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        location = /auth {
            if ($http_x_user = "") { return 401; }
            add_header X-Streams $arg_streams;
            return 204;
        }
        location = /auth-ann { add_header X-Streams "alpha gamma"; return 204; }
        location = /auth-none { return 204; }
        location = /auth-no { return 403; }
    }
EOC
    config => <<'EOC',
    location = /ws { blockcast_websocket; }
    location = /some { blockcast_websocket alpha gamma; }
    location = /echo { blockcast_echo; }
    location = /any { blockcast_websocket; blockcast_origin any; }
    location = /list {
        blockcast_websocket;
        blockcast_origin https://www.example.com http://*.example.net https://a.test:8443;
    }
    location = /both { blockcast_websocket; blockcast_origin same https://www.example.com; }
    location = /echo-same { blockcast_echo; blockcast_origin same; }
    location /list-events { blockcast_sse; blockcast_origin https://www.example.com; }

    location /tokens {
        blockcast_tokens tokens;
        location = /tokens/ws { blockcast_websocket; }
        location /tokens/api/ { blockcast_api; }
        location = /tokens/alpha { blockcast_rest alpha; }
        location /tokens/events { blockcast_sse; }
        location = /tokens/health { blockcast_health; }
        location = /tokens/map { blockcast_websocket; blockcast_allow_streams "$granted"; }
    }

    location = /granted { blockcast_websocket; blockcast_allow_streams $granted; }
    location /granted-events { blockcast_sse; blockcast_allow_streams $granted; }
    location /granted-api/ { blockcast_api; blockcast_allow_streams $granted; }
    location = /granted-some { blockcast_websocket alpha gamma; blockcast_allow_streams $granted; }

    location = /_ann { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-ann; }
    location = /_none { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-none; }
    location = /_no { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-no; }
    location = /auth-ann {
        auth_request /_ann;
        auth_request_set $streams $upstream_http_x_streams;
        blockcast_websocket;
        blockcast_allow_streams $streams;
    }
    location = /auth-none {
        auth_request /_none;
        auth_request_set $streams $upstream_http_x_streams;
        blockcast_websocket;
        blockcast_allow_streams $streams;
    }
    location = /auth-no { auth_request /_no; blockcast_websocket; }

    location = /basic {
        auth_basic "streams";
        auth_basic_user_file htpasswd;
        blockcast_websocket;
    }
    location = /allowed { allow 127.0.0.1; deny all; blockcast_websocket; }
    location = /denied { deny 127.0.0.1; allow all; blockcast_websocket; }
    location = /link {
        secure_link $arg_md5,$arg_expires;
        secure_link_md5 "$secure_link_expires$uri secret";
        if ($secure_link = "") { return 403; }
        if ($secure_link = "0") { return 410; }
        blockcast_websocket;
    }
    location = /rewritten { rewrite ^ /ws last; }
EOC
);

run_tests();

__DATA__

# The Host of the handshake is 127.0.0.1.

=== TEST 1: %%PATH%%, Origin: %%ORIGIN%%
--- each
PATH        | ORIGIN                                | STATUS
/ws         | (none)                                | 101
/ws         | http://127.0.0.1:3000                 | 101
/ws         | https://127.0.0.1                     | 101
/ws         | http://evil.example                   | 403
/ws         | http://127.0.0.1.evil.example         | 403
/ws         | http://evil.example/127.0.0.1         | 403
/ws         | null                                  | 403
/ws         | (empty)                               | 403
/ws         | http://evil127.0.0.1                  | 403
/ws         | 127.0.0.1                             | 403
/ws         | http://127.0.0.2                      | 403
/any        | http://evil.example                   | 101
/any        | null                                  | 101
/any        | (none)                                | 101
/list       | (none)                                | 101
/list       | https://www.example.com               | 101
/list       | HTTPS://WWW.EXAMPLE.COM               | 101
/list       | http://www.example.com                | 403
/list       | https://www.example.com:444           | 403
/list       | https://www.example.com.evil.test     | 403
/list       | http://a.example.net                  | 101
/list       | http://a.b.example.net                | 101
/list       | http://example.net                    | 403
/list       | http://.example.net                   | 403
/list       | https://a.example.net                 | 403
/list       | http://evilexample.net                | 403
/list       | http://evil.test/.example.net         | 403
/list       | http://a.example.net.evil.test        | 403
/list       | https://a.test:8443                   | 101
/list       | https://a.test                        | 403
/list       | http://127.0.0.1                      | 403
/list       | null                                  | 403
/both       | http://127.0.0.1                      | 101
/both       | https://www.example.com               | 101
/both       | https://example.com                   | 403
/echo       | http://evil.example                   | 101
/echo-same  | http://evil.example                   | 403
/echo-same  | http://127.0.0.1                      | 101
--- request
GET %%PATH%%
--- websocket
--- origin: %%ORIGIN%%
--- error_code: %%STATUS%%



=== TEST 2: the refusal of an Origin says why
--- request
GET /ws
--- websocket
--- origin: http://evil.example
--- error_code: 403
--- response_body_like: ^Pages of this Origin may not connect here \(blockcast_origin\)\.$



=== TEST 3: event streams check the Origin, too
--- request
GET /list-events?streams=alpha
--- more_headers
Origin: http://evil.example
--- error_code: 403



# Tokens, in each of the three places.

=== TEST 4: no token
--- request
GET /tokens/ws
--- websocket
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer
--- response_body_like: ^A bearer token is needed here\.$



=== TEST 5: a wrong token: %%HEADER%%
--- each
HEADER
Authorization: Bearer all-0123456789abcdeF
Authorization: Bearer all-0123456789abcde
Authorization: Bearer all-0123456789abcdefx
Authorization: Bearer
Authorization: Basic all-0123456789abcdef
--- request
GET /tokens/ws
--- websocket
--- more_headers
%%HEADER%%
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer



=== TEST 6: a token: %%HEADER%%
--- each
HEADER                                          | STREAMS
Authorization: Bearer all-0123456789abcdef      | "alpha","beta","gamma"
Authorization: bearer   all-0123456789abcdef    | "alpha","beta","gamma"
Authorization: Bearer odd/0123456789+abcde==    | "alpha","beta","gamma"
Sec-WebSocket-Protocol: blockcast.v1.json, bearer.two-0123456789abcdef | "alpha","gamma"
Sec-WebSocket-Protocol: bearer.two-0123456789abcdef, blockcast.v1.json | "alpha","gamma"
--- request
GET /tokens/ws
--- websocket
--- more_headers
%%HEADER%%
--- ws_like
"type":"welcome".*"available_streams":\[%%STREAMS%%\]



=== TEST 7: a token as an argument: ?%%QUERY%%
--- each
QUERY                                   | STREAMS
token=all-0123456789abcdef              | "alpha","beta","gamma"
a=1&token=one-0123456789abcdef          | "alpha"
token=odd%2F0123456789%2Babcde%3D%3D    | "alpha","beta","gamma"
--- request
GET /tokens/ws?%%QUERY%%
--- websocket
--- ws_like
"type":"welcome".*"available_streams":\[%%STREAMS%%\]



=== TEST 8: the answer names the other subprotocol
--- request
GET /tokens/ws
--- websocket
--- more_headers
Sec-WebSocket-Protocol: bearer.two-0123456789abcdef, blockcast.v1.json
--- response_headers
Sec-WebSocket-Protocol: blockcast.v1.json



=== TEST 9: and never the token
--- request
GET /tokens/ws
--- websocket
--- more_headers
Sec-WebSocket-Protocol: bearer.two-0123456789abcdef
--- response_headers
!Sec-WebSocket-Protocol



=== TEST 10: the header comes first
--- request
GET /tokens/ws
--- websocket
--- more_headers
Authorization: Bearer wrong-0123456789abc
Sec-WebSocket-Protocol: bearer.two-0123456789abcdef
--- error_code: 401



=== TEST 11: streams that the token opens, and that it does not
--- request
GET /tokens/ws
--- websocket
--- more_headers
Authorization: Bearer one-0123456789abcdef
--- ws_send
{"type":"subscribe","stream":"alpha"}
{"type":"subscribe","stream":"beta"}
{"type":"subscribe","stream":"alpha\u0000beta"}
--- ws_like
"type":"subscribed","stream":"alpha"
"type":"error".*"code":"unknown_stream"
"type":"error".*"code":"unknown_stream"



=== TEST 12: the same over JSON-RPC
--- request
GET /tokens/ws
--- websocket
--- more_headers
Authorization: Bearer one-0123456789abcdef
Sec-WebSocket-Protocol: jsonrpc
--- ws_send
{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["beta"]}
{"jsonrpc":"2.0","id":2,"method":"streams"}
--- ws_like
"error":\{"code":-32602,.*"id":1|"id":1,.*"code":-32602
"result":\["alpha"\]



=== TEST 13: token and variable: what both open
--- request
GET /tokens/map?who=ann
--- websocket
--- more_headers
Authorization: Bearer two-0123456789abcdef
--- ws_like
"available_streams":\["alpha"\]



# The same data over plain HTTP is behind the same tokens.

=== TEST 14: %%PATH%% without a token
--- each
PATH
/tokens/api/streams
/tokens/api/streams/alpha
/tokens/api/gamma
/tokens/api/health
/tokens/alpha
/tokens/events?streams=alpha
--- request
GET %%PATH%%
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer



=== TEST 15: %%PATH%% with one
--- each
PATH                                                    | STATUS
/tokens/api/streams/alpha                               | 200
/tokens/alpha                                           | 200
/tokens/api/streams/beta                                | 404
/tokens/api/gamma                                       | 404
/tokens/events?streams=beta                             | 404
--- request
GET %%PATH%%
--- more_headers
Authorization: Bearer one-0123456789abcdef
--- error_code: %%STATUS%%



=== TEST 16: as an argument, too
--- request
GET /tokens/api/streams/alpha?token=one-0123456789abcdef



=== TEST 17: the list has those of the token
--- request
GET /tokens/api/streams
--- more_headers
Authorization: Bearer two-0123456789abcdef
--- body_json
streams.*.name      ["alpha", "gamma"]



=== TEST 18: health has an answer for a balancer
--- request
GET /tokens/health
--- error_code_like: ^(?:200|503)$



# Streams granted by a variable.

=== TEST 19: granted: %%PATH%%
--- each
PATH                    | STREAMS
/granted?who=ann        | "alpha","beta"
/granted?who=bob        | "beta","gamma"
/granted?who=everyone   | "alpha","beta","gamma"
/granted?who=typo       | (none)
/granted                | (none)
/granted-some?who=bob   | "gamma"
/auth-ann               | "alpha","gamma"
/auth-none              | (none)
--- request
GET %%PATH%%
--- websocket
--- ws_like
"available_streams":\[%%STREAMS%%\]



=== TEST 20: auth_request refuses
--- request
GET /auth-no
--- websocket
--- error_code: 403



=== TEST 21: without a grant: %%PATH%%
--- each
PATH
/granted-api/streams/alpha
/granted-events?streams=gamma&who=ann
--- request
GET %%PATH%%
--- error_code: 404



=== TEST 22: REST with a grant
--- request
GET /granted-api/streams/alpha?who=ann
--- error_code_like: ^(?:200|503)$



=== TEST 23: no stream without a grant
--- request
GET /granted
--- websocket
--- ws_send
{"type":"subscribe","stream":"alpha"}
--- ws_like
"type":"error".*"code":"unknown_stream"



# nginx's own guards.

=== TEST 24: %%PATH%%
--- each
PATH        | STATUS
/basic      | 401
/allowed    | 101
/denied     | 403
/rewritten  | 101
--- request
GET %%PATH%%
--- websocket
--- error_code: %%STATUS%%



=== TEST 25: auth_basic: accepted
--- request
GET /basic
--- websocket
--- more_headers
Authorization: Basic YW5uOm9wZW4gc2VzYW1l



=== TEST 26: secure_link: good
--- request eval
my $expires = time + 100;
"GET /link?md5=" . $main::md5->($expires) . "&expires=$expires"
--- websocket



=== TEST 27: secure_link: forged
--- request eval
my $expires = time + 100;
"GET /link?md5=" . $main::md5->($expires + 1) . "&expires=$expires"
--- websocket
--- error_code: 403



=== TEST 28: secure_link: over
--- request eval
"GET /link?md5=" . $main::md5->(1000) . "&expires=1000"
--- websocket
--- error_code: 410
