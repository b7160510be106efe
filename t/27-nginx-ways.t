#!/usr/bin/perl

# What a user of nginx writes around an endpoint: error_page, limit_except,
# lists in arguments. If this fails, a page of theirs is not shown where nginx
# would, or a part of what was asked for is left out in silence.

use strict;
use warnings;

use Blockcast::Socket 'no_plan';

share(
    node        => "x.num 7\nx.log [{\"id\":1,\"of\":\"a\"},{\"id\":2,\"of\":\"b\"},{\"id\":3,\"of\":\"c\"}]\n",
    conf_files  => ">>> tokens\n0123456789abcdef\n",
    http_config => <<'EOH',
    blockcast_stream one { blockcast_always on; blockcast_call c x.num; }
    blockcast_stream two { blockcast_always on; blockcast_call c x.num; }
    blockcast_stream three { blockcast_always on; blockcast_call c x.num; }
    blockcast_stream never { blockcast_call c x.nope; }
    blockcast_stream log {
        blockcast_always on;
        blockcast_call c x.log;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id;
    }
EOH
    config      => <<'EOC',
    error_page 403 426 503 /own;
    error_page 404 /own;
    location = /own { return 200 "own page\n"; }
    location @named { return 200 "named page\n"; }

    location = /ws          { blockcast_websocket; }
    location = /ws-200      { error_page 426 =200 /own; blockcast_websocket; }
    location = /ws-named    { error_page 426 = @named; blockcast_websocket; }
    location = /ws-302      { error_page 426 =302 https://example.com/how; blockcast_websocket; }
    location /events-401    { error_page 401 =401 /own; blockcast_tokens tokens; blockcast_sse; }
    location = /ws-405      { error_page 405 = @named; blockcast_websocket; }
    location = /ws-other    { error_page 500 /own; blockcast_websocket; }
    location = /echo        { error_page 426 = @named; blockcast_echo; }
    location /events        { blockcast_sse; }
    location /events-own    { error_page 404 = @named; blockcast_sse; }
    location = /guarded     { blockcast_guard on; blockcast_health; }

    location /api/          { blockcast_api; }
    location /api-own/      { error_page 404 503 = @named; blockcast_api; }
    location /api-401/      { error_page 401 =200 /own; blockcast_tokens tokens; blockcast_api; }
    location = /health      { blockcast_health; }
    location = /rest-own    { error_page 503 = @named; blockcast_rest never; }

    location /except-get/   { blockcast_api; limit_except GET { deny all; } }
    location = /except-ws   { blockcast_websocket; limit_except GET { deny all; } }
    location /except-sse    { blockcast_sse; limit_except GET { deny all; } }
    location /except-post/  { blockcast_api; limit_except POST { deny all; } }
    location /except-allow/ { blockcast_api; limit_except GET { allow all; } }
EOC
);

run_tests();

__DATA__

=== TEST 1: error_page, %%METHOD%% %%PATH%% with %%HEADER%%: %%STATUS%% %%BODY%%
--- each
METHOD | PATH | HEADER | STATUS | BODY
GET  | /ws              | Accept: */*          | 426 | own page
GET  | /ws-200          | Accept: */*          | 200 | own page
GET  | /ws-named        | Accept: */*          | 200 | named page
GET  | /ws-302          | Accept: */*          | 302 | 302 Found
GET  | /events-401/one          | Accept: */*          | 401 | own page
POST | /ws-405          | Accept: */*          | 200 | named page
GET  | /ws-other        | Accept: */*          | 426 | WebSocket
GET  | /echo            | Accept: */*          | 200 | named page
GET  | /ws              | Origin: http://a.example | 426 | own page
GET  | /guarded         | Origin: http://a.example | 403 | own page
GET  | /events/one      | Origin: http://a.example | 403 | own page
GET  | /events/nope     | Accept: */*          | 404 | own page
GET  | /events-own/nope | Accept: */*          | 200 | named page
GET  | /api/streams/nope     | Accept: */*     | 404 | "unknown_stream"
GET  | /api/streams/never    | Accept: */*     | 503 | "waiting"
GET  | /api-own/streams/nope | Accept: */*     | 200 | named page
GET  | /api-own/streams/never | Accept: */*    | 200 | named page
GET  | /api-own/streams/one  | Accept: */*     | 200 | "data":7
GET  | /api-401/streams      | Accept: */*     | 200 | own page
GET  | /rest-own             | Accept: */*     | 200 | named page
--- until
/api/streams/one "data":7
--- more_headers
%%HEADER%%
--- request
%%METHOD%% %%PATH%%
--- error_code: %%STATUS%%
--- response_body_like: %%BODY%%



=== TEST 2: the headers of a refusal stay with an error page
--- request
GET /ws
--- error_code: 426
--- response_headers
Upgrade: websocket
Sec-WebSocket-Version: 13
--- response_body
own page



=== TEST 3: a WebSocket from a page that may not: %%PATH%%
--- each
PATH | BODY
/ws  | own page
--- websocket
--- origin: http://a.example
--- request
GET %%PATH%%
--- error_code: 403
--- response_body_like: %%BODY%%



=== TEST 4: limit_except: %%METHOD%% %%PATH%%
--- each
METHOD  | PATH                      | STATUS
GET     | /except-get/streams/one   | 200
HEAD    | /except-get/streams/one   | 200
POST    | /except-get/streams/one   | 403
DELETE  | /except-get/streams/one   | 403
GET     | /except-ws                | 426
POST    | /except-ws                | 403
POST    | /except-sse/one           | 403
GET     | /except-post/streams/one  | 403
POST    | /except-post/streams/one  | 405
GET     | /except-allow/streams/one | 200
POST    | /except-allow/streams/one | 405
--- until
/api/streams/one "data":7
--- request
%%METHOD%% %%PATH%%
--- error_code: %%STATUS%%



=== TEST 5: a list in the arguments: %%ARGS%%
--- each
ARGS
streams=one,two
streams=one&streams=two
streams[]=one&streams[]=two
streams%5B%5D=one&streams%5B%5D=two
streams[0]=one&streams[1]=two
streams=one&x=y&streams[]=two
streams=one%2Ctwo
streams=&streams=one&streams=two&streams=one
a&streams&streams=one&=&streams=two
STREAMS=one&streams=two
--- request
GET /events?%%ARGS%%
--- timeout: 1
--- abort
--- ignore_response
--- events_like
"type":"one"
"type":"two"
--- until
/api/streams "name":"one"



=== TEST 6: what is in such a list and not there: %%ARGS%%
--- each
ARGS
streams=one&streams=nope
streams[]=one&streams[]=nope
streams=nope&streams=one
--- request
GET /events?%%ARGS%%
--- error_code: 404



=== TEST 7: what is no list of ours: %%ARGS%%
--- each
ARGS
streams2=one
streams]=one
streams[x]=one
[]=one
xstreams=one
--- request
GET /events?%%ARGS%%
--- events_like
"type":"three"



=== TEST 8: a filter of REST as a list: %%ARGS%%
--- each
ARGS
of=a&of=c
of[]=a&of[]=c
of%5B%5D=a&of%5B%5D=c
of[0]=a&of[1]=c
--- until
/api/log "of":"c"
--- request
GET /api/log?%%ARGS%%
--- error_code: 200
--- body_json
entries.*.of ["c","a"]
total 2
