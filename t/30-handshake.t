#!/usr/bin/perl

# The opening handshake (RFC 6455, 4.2; RFC 7692). If this fails, some browser,
# library or proxy cannot connect, or what is no WebSocket client gets an
# answer that nobody understands. What follows a handshake on its connection is
# in t/34-handshake-after.t.

use Blockcast::Socket 'no_plan';

our $pmd = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

share(
    node => '',
    http_config => <<'EOC',
    blockcast_stream s { blockcast_call c net.stats; blockcast_interval 200ms; }
EOC
    config => <<'EOC',
    location = / { blockcast_websocket; }
    location = /ws { blockcast_websocket; }
    location = /echo { blockcast_echo; }
    location = /page { return 200 "page"; }
EOC
);

run_tests();

__DATA__

# Good handshakes. If this fails, a client that keeps to the RFC is refused.

=== TEST 1: the example of the RFC
--- handshake
GET /echo HTTP/1.1



=== TEST 2: another key
--- handshake
Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==
--- accept
HSmrc0sMlYUkAGmm5OPpG2HaGWk=



=== TEST 3: the key of the RFC whose last bits are not zero
--- handshake
Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==
--- accept
OfS0wDaT5NoxF2gqm7Zj2YtetzM=



=== TEST 4: names and tokens in any case
--- handshake
raw
Host: (none)
HOST: localhost
uPGRADE: WebSocket
connection: uPgRaDe
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==
SEC-WEBSOCKET-VERSION: 13



=== TEST 5: %%WHAT%%
--- each
WHAT                                | LINE
Firefox: keep-alive beside Upgrade  | Connection: keep-alive, Upgrade
Upgrade and no space                | Connection: close,upgrade
a list in Upgrade                   | Upgrade: h2c, websocket
empty list elements                 | Upgrade: ,, websocket ,
Content-Length: 0                   | Content-Length: 0
--- handshake
%%LINE%%



=== TEST 6: Connection in two lines
--- handshake
Connection: keep-alive
+Connection: Upgrade



=== TEST 7: Upgrade in two lines
--- handshake
Upgrade: h2c
+Upgrade: websocket



=== TEST 8: spaces around values
--- handshake eval
"Sec-WebSocket-Key:   dGhlIHNhbXBsZSBub25jZQ== \nSec-WebSocket-Version:  13 \n"



=== TEST 9: a query, an Origin, a subprotocol nobody asked us for
--- handshake
GET /echo?a=1&b HTTP/1.1
Origin: https://example.org
Sec-WebSocket-Protocol: chat, superchat
Sec-WebSocket-Extensions: x-unknown; a=b
Cookie: a=b



=== TEST 10: a head of more than nginx's first buffer
--- handshake eval
CORE::join '', map { "X-Long-$_: " . 'y' x 500 . "\n" } 1 .. 8



# Plain HTTP on a WebSocket address. If this fails, who opens it in a browser,
# or a health check that was pointed at it, does not learn what it is.

=== TEST 11: plain GET %%PATH%%
--- each
PATH
/
/ws
/echo
--- handshake
GET %%PATH%% HTTP/1.1
raw
--- error_code: 426
--- response_body_like: WebSocket



=== TEST 12: other locations are not touched
--- request
GET /page
--- response_body chomp
page



=== TEST 13: a plain HEAD
--- handshake
HEAD / HTTP/1.1
raw
--- error_code: 426



=== TEST 14: no Upgrade to a WebSocket: "%%VALUE%%"
--- each
VALUE
h2c
websocket2
--- handshake
Upgrade: %%VALUE%%
--- error_code: 426
--- response_body_like: WebSocket



=== TEST 15: an Upgrade with nothing
--- handshake eval
"Upgrade: \n"
--- error_code: 426
--- response_body_like: WebSocket



=== TEST 16: HTTP/1.0 without Upgrade
--- handshake
GET / HTTP/1.0
raw
--- error_code: 426
--- response_body_like: WebSocket



# Wrong handshakes. If this fails, who writes a client, or runs a proxy that
# removes headers, has to guess what is missing.

=== TEST 17: %%LINE%%
--- each
LINE
Sec-WebSocket-Version: 8
Sec-WebSocket-Version: 0
Sec-WebSocket-Version: 14
Sec-WebSocket-Version: 013
Sec-WebSocket-Version: 13x
Sec-WebSocket-Version: 13, 8
Sec-WebSocket-Version: (none)
+Sec-WebSocket-Version: 8
--- handshake
%%LINE%%
--- error_code: 426
--- response_body_like: version 13.*Sec-WebSocket-Version



=== TEST 18: an empty version
--- handshake eval
"Sec-WebSocket-Version: \n"
--- error_code: 426
--- response_body_like: version 13.*Sec-WebSocket-Version



=== TEST 19: %%LINE%%
--- each
LINE                        | MESSAGE
Connection: (none)          | "Connection: Upgrade" is missing.*proxy
Connection: keep-alive      | "Connection: Upgrade" is missing
Connection: upgraded        | "Connection: Upgrade" is missing
Sec-WebSocket-Key: (none)   | Sec-WebSocket-Key is missing
+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== | more than one Sec-WebSocket-Key
--- handshake
%%LINE%%
--- error_code: 400
--- response_body_like: %%MESSAGE%%



=== TEST 20: the key "%%KEY%%"
--- each
KEY
short==
dGhlIHNhbXBsZSBub25jZQ=
dGhlIHNhbXBsZSBub25jZQ===
dGhlIHNhbXBsZSBub25jZXM=
dGhlIHNhbXBsZSBub25jZQAA
dGhlIHNhbXBsZSBub25j!Q==
dGhlIHNhbXBséBub25jZQ==
dGhlIHNhbXBsZSBub25jZ===
--- handshake
Sec-WebSocket-Key: %%KEY%%
--- error_code: 400
--- response_body_like: Sec-WebSocket-Key is not the base64 of 16 bytes



=== TEST 21: an empty key
--- handshake eval
"Sec-WebSocket-Key: \n"
--- error_code: 400
--- response_body_like: Sec-WebSocket-Key is not the base64 of 16 bytes



=== TEST 22: a key of 4000 characters
--- handshake eval
'Sec-WebSocket-Key: ' . 'x' x 4000
--- error_code: 400
--- response_body_like: Sec-WebSocket-Key is not the base64 of 16 bytes



=== TEST 23: HTTP/1.0
--- handshake
GET /echo HTTP/1.0
--- error_code: 400
--- response_body_like: HTTP\/1\.1



=== TEST 24: HEAD with everything else right
--- handshake
HEAD /echo HTTP/1.1
--- error_code: 400



=== TEST 25: a body
--- handshake
Content-Length: 5

hello
--- error_code: 400
--- response_body_like: has no body



=== TEST 26: a body in chunks
--- handshake
Transfer-Encoding: chunked

5\r\nhello\r\n0\r\n\r\n
--- error_code: 400
--- response_body_like: has no body



=== TEST 27: %%METHOD%%
--- each
METHOD
POST
PUT
DELETE
OPTIONS
PATCH
PROPFIND
--- handshake
%%METHOD%% /echo HTTP/1.1
--- error_code: 405
--- response_body_like: takes only GET



=== TEST 28: %%METHOD%% with a body
--- each
METHOD
POST
PUT
DELETE
OPTIONS
PATCH
PROPFIND
--- handshake
%%METHOD%% /echo HTTP/1.1
Upgrade: (none)
Connection: (none)
Content-Length: 5

hello
--- error_code: 405
--- response_body_like: takes only GET



=== TEST 29: a refusal has a line in the log, with the client
--- handshake
Connection: close
--- error_code: 400
--- response_body_like: Connection
--- error_log eval
qr/\[info\].*WebSocket handshake refused with 400: .*Connection: Upgrade.*client: 127/



# permessage-deflate (RFC 7692). If this fails, a client that offers it is
# refused, or takes an answer for an agreement that it did not offer.

=== TEST 30: agreed to: %%OFFER%%
--- each
OFFER                                                       | MORE
permessage-deflate                                          | (none)
permessage-deflate; client_max_window_bits                  | (none)
permessage-deflate; server_no_context_takeover              | (none)
permessage-deflate; client_no_context_takeover; server_no_context_takeover | (none)
permessage-deflate; server_max_window_bits=10               | ; server_max_window_bits=10
permessage-deflate;server_max_window_bits="12"              | ; server_max_window_bits=12
permessage-deflate; server_max_window_bits=8                | ; server_max_window_bits=8
permessage-deflate; client_max_window_bits=9                | ; client_max_window_bits=9
permessage-deflate; server_max_window_bits=15; client_max_window_bits=15 | ; server_max_window_bits=15; client_max_window_bits=15
permessage-deflate; server_max_window_bits=7, permessage-deflate | (none)
x-unknown; a="permessage-deflate, b", permessage-deflate    | (none)
permessage-deflate; mux, permessage-deflate; server_max_window_bits=11 | ; server_max_window_bits=11
--- handshake
Sec-WebSocket-Extensions: %%OFFER%%
--- extensions eval
"$main::pmd%%MORE%%"



=== TEST 31: accepted without: %%OFFER%%
--- each
OFFER
x-webkit-deflate-frame
permessage-deflatex
x-unknown; a=b
permessage-deflate; unknown
permessage-deflate; unknown=1
permessage-deflate; server_max_window_bits
permessage-deflate; server_max_window_bits=
permessage-deflate; server_max_window_bits=7
permessage-deflate; server_max_window_bits=16
permessage-deflate; server_max_window_bits=08
permessage-deflate; server_max_window_bits=1e1
permessage-deflate; client_max_window_bits=0
permessage-deflate; client_max_window_bits=100
permessage-deflate; server_no_context_takeover=1
permessage-deflate; server_no_context_takeover; server_no_context_takeover
permessage-deflate; server_max_window_bits=10; server_max_window_bits=10
permessage-deflate;
permessage-deflate; ;
; permessage-deflate
permessage-deflate "
,,,
--- handshake
Sec-WebSocket-Extensions: %%OFFER%%
--- extensions: none



=== TEST 32: an empty offer
--- handshake eval
"Sec-WebSocket-Extensions: \n"
--- extensions: none



=== TEST 33: offers in two header lines
--- handshake
Sec-WebSocket-Extensions: x-unknown
+Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9
--- extensions eval
"$main::pmd; server_max_window_bits=9"



=== TEST 34: a hundred bad offers before a good one
--- handshake eval
'Sec-WebSocket-Extensions: '
    . CORE::join ', ', ('permessage-deflate; bad=1') x 100, 'permessage-deflate'
--- extensions eval
$main::pmd



# Safari 15.0 to 15.3 offers compression and then loses the connection: the
# dashboard would stay empty there.

=== TEST 35: Safari %%VERSION%%
--- each
VERSION | AGREED
15.0    | none
15.3    | none
15.3.1  | none
15.4    | permessage-deflate; server_no_context_takeover; client_no_context_takeover
15.30   | permessage-deflate; server_no_context_takeover; client_no_context_takeover
14.1.2  | permessage-deflate; server_no_context_takeover; client_no_context_takeover
16.1    | permessage-deflate; server_no_context_takeover; client_no_context_takeover
--- handshake
GET / HTTP/1.1
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%%VERSION%% Safari/605.1.15
--- extensions: %%AGREED%%
