#!/usr/bin/perl

# Pages of other origins. If this fails, a page that the operator has named
# cannot read what it may, or only as long as all is well (and sees "failed to
# fetch" where a token is missing); one that nobody has named can; or nobody
# finds out why a page is refused behind a proxy. What is logged of it, and 304,
# are in t/22-cors-log.t.

use Blockcast::Socket 'no_plan';

share(
    node => '',
    conf_files => <<'EOC',
>>> tokens
0123456789abcdef0123 x well
>>> htpasswd
a:{PLAIN}b
EOC
    http_config => <<'EOC',
    blockcast_stream well { blockcast_interval 100ms; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream none { blockcast_interval 100ms; blockcast_always on; blockcast_call c no.such; }

    upstream front { server $TEST_NGINX_SERVER_PORT; }

    # proxies in front: as nginx.org shows it, with the Host, with its own name
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / {
            proxy_pass http://front;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }
        location /host/ {
            proxy_pass http://front/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
        }
        location /forwarded/ {
            proxy_pass http://front/forwarded/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-Host $http_host;
        }
    }
EOC
    config => <<'EOC',
    location = /ws { blockcast_websocket; }
    location /same/api/ { blockcast_api; }
    location /same/events { blockcast_sse; }

    location /named {
        blockcast_origin https://app.test https://*.many.test http://a.test:8080;
        location = /named/ws { blockcast_websocket; }
        location /named/api/ { blockcast_api; }
        location /named/events { blockcast_sse; }
        location = /named/rest { blockcast_rest well; }
        location = /named/health { blockcast_health; }
        location = /named/metrics { blockcast_metrics; }

        location /named/tokens {
            blockcast_tokens tokens;
            location /named/tokens/api/ { blockcast_api; }
            location /named/tokens/events { blockcast_sse; }
            location = /named/tokens/rest { blockcast_rest well; }
        }

        location = /named/basic { auth_basic "x"; auth_basic_user_file htpasswd; blockcast_rest well; }
        location = /named/denied { deny all; blockcast_rest well; }
        location = /named/any-of { satisfy any; allow all; deny all; auth_basic "x"; auth_basic_user_file htpasswd; blockcast_rest well; }
        location = /named/returned { if ($arg_no) { return 410; } blockcast_rest well; }
        location = /named/idiom {
            add_header Access-Control-Allow-Origin https://idiom.test;
            blockcast_rest well;
        }
        location = /named/idiom-404 {
            add_header Access-Control-Allow-Origin https://idiom.test;
            blockcast_rest none;
        }
        location = /named/gzip { gzip on; gzip_vary on; gzip_min_length 1; gzip_types application/json; blockcast_rest well; }
    }

    location /any { blockcast_origin any; location /any/api/ { blockcast_api; } location = /any/events { blockcast_sse; } }
    location /null { blockcast_origin null; location /null/api/ { blockcast_api; } location = /null/ws { blockcast_websocket; } }
    location /forwarded {
        blockcast_origin forwarded;
        location = /forwarded/ws { blockcast_websocket; }
        location /forwarded/api/ { blockcast_api; }
    }
    location = /plain { return 200 plain; }

    location /guarded/ {
        blockcast_guard on;
        proxy_pass http://front/plain;
        location = /guarded/any-of { satisfy any; allow all; auth_basic "x"; auth_basic_user_file htpasswd; proxy_pass http://front/plain; }
        location = /guarded/if { if ($arg_x) { set $y 1; } proxy_pass http://front/plain; }
        location = /guarded/named { blockcast_origin https://app.test; proxy_pass http://front/plain; }
        location = /guarded/off { blockcast_guard off; proxy_pass http://front/plain; }
        location = /guarded/error { error_page 404 = /guarded/page; proxy_intercept_errors on; proxy_pass http://front/nope; }
        location = /guarded/page { proxy_pass http://front/plain; }
        location = /guarded/rest { blockcast_rest well; }
        location = /guarded/echo { blockcast_echo; }
    }
    location = /unguarded { error_page 404 = /guarded/page; proxy_intercept_errors on; proxy_pass http://front/nope; }
EOC
);

run_tests();

__DATA__

=== TEST 1: all is well
--- until: /named/rest \{
--- request
GET /named/rest



# Every endpoint and status.

=== TEST 2: an allowed page reads the %%STATUS%% of %%PATH%%, who is no page is told nothing of that, another page does not read it
--- each
PATH                                | STATUS    | OTHERS
/named/api/streams                  | 200       | 200
/named/api/streams/well             | 200       | 200
/named/rest                         | 200       | 200
/named/api/nope                     | 404       | 404
/named/api/streams/nope             | 404       | 404
/named/api/streams/none             | 503       | 503
/named/api/streams/well?wait=x      | 400       | 400
/named/api/health                   | 503       | 503
/named/health                       | 503       | 503
/named/tokens/api/streams           | 401       | 401
/named/tokens/rest                  | 401       | 401
/named/tokens/events                | 401       | 403
/named/events/nope                  | 404       | 403
/named/events/well                  | 200       | 403
/named/basic                        | 401       | 401
/named/denied                       | 403       | 403
/named/returned?no=1                | 410       | 410
/named/ws                           | 426       | 426
/named/gzip                         | 200       | 200
--- each
ORIGIN              | SEEN
https://app.test    | %%STATUS%% https://app.test true vary exposed
(none)              | %%STATUS%% - - vary -
https://evil.test   | %%OTHERS%% - - vary -
--- request
GET %%PATH%%
--- origin: %%ORIGIN%%
--- cors: %%SEEN%%



=== TEST 3: %%METHOD%%
--- each
METHOD  | STATUS
HEAD    | 200
POST    | 405
--- request
%%METHOD%% /named/rest
--- origin: https://app.test
--- more_headers
Content-Length: 0
--- cors: %%STATUS%% https://app.test true vary exposed



=== TEST 4: what is for no page: %%PATH%%
--- each
PATH
/named/metrics
/plain
--- request
GET %%PATH%%
--- origin: https://app.test
--- cors: 200 - - - -
--- raw_response_headers_unlike: (?i)Access-Control|Vary



# Who is allowed.

=== TEST 5: %%PATH%%, Origin "%%ORIGIN%%" is allowed
--- each
PATH        | ORIGIN
/named      | https://x.many.test
/named      | http://a.test:8080
/named      | HTTPS://APP.TEST
/same       | http://localhost
/same       | http://localhost:3000
/same       | https://localhost
/null       | null
/null       | NULL
--- request
GET %%PATH%%/api/streams
--- origin: %%ORIGIN%%
--- cors: 200 %%ORIGIN%% true vary exposed



=== TEST 6: %%PATH%%, Origin "%%ORIGIN%%" is not
--- each
PATH        | ORIGIN
/named      | http://app.test
/named      | https://app.test:444
/named      | https://app.test.evil.test
/named      | https://many.test
/named      | null
/named      | (empty)
/named      | http://localhost
/same       | http://evil.test
/same       | null
/same       | http://localhost.evil.test
/same       | http://evil.test@localhost
/same       | http://localhost:80@evil.test
/same       | http://localhost/
/null       | http://localhost
/null       | nullx
--- request
GET %%PATH%%/api/streams
--- origin: %%ORIGIN%%
--- cors: 200 - - vary -



=== TEST 7: any: everybody, without cookies, a page without an Origin of its own, too
--- each
PATH                | ORIGIN
/any/api/streams    | https://evil.test
/any/events         | null
--- request
GET %%PATH%%
--- origin: %%ORIGIN%%
--- cors: 200 * - vary exposed



=== TEST 8: two Origins: the second is not hidden behind the first
--- each
PATH            | FIRST             | STATUS
/named/rest     | https://app.test  | 200
/same/events    | http://localhost  | 403
--- request
GET %%PATH%%
--- more_headers
Origin: %%FIRST%%
Origin: https://evil.test
--- cors: %%STATUS%% - - vary -



# Preflight: without token or password, before whatever asks for one.

=== TEST 9: preflight of %%PATH%%
--- each
PATH
/named/api/streams
/named/api/nope
/named/rest
/named/health
/named/events
/named/tokens/api/streams
/named/tokens/events
/named/tokens/rest
/named/basic
/named/any-of
--- request
OPTIONS %%PATH%%
--- origin: https://app.test
--- more_headers
Access-Control-Request-Method: GET
Access-Control-Request-Headers: authorization,x-forwarded-host
--- cors: 204 https://app.test true vary -
--- response_headers
Access-Control-Allow-Methods: GET, HEAD
--- raw_response_headers_like: ^Access-Control-Allow-Headers: .*\bAuthorization\b
--- raw_response_headers_unlike: (?i)forwarded



=== TEST 10: preflight of %%PATH%% by another page: refused, without a word of it
--- each
PATH                        | STATUS
/named/api/streams          | 405
/named/api/nope             | 405
/named/rest                 | 405
/named/health               | 405
/named/events               | 405
/named/tokens/api/streams   | 401
/named/tokens/events        | 401
/named/tokens/rest          | 401
/named/basic                | 401
/named/any-of               | 405
--- request
OPTIONS %%PATH%%
--- more_headers
Origin: https://evil.test
Access-Control-Request-Method: GET
Access-Control-Request-Headers: authorization,x-forwarded-host
--- error_code_like: ^(?:405|401)$
--- response_headers
!Access-Control-Allow-Origin
!Access-Control-Allow-Methods
!Access-Control-Allow-Headers
!Access-Control-Allow-Credentials
!Access-Control-Max-Age



=== TEST 11: OPTIONS that is no preflight: %%HEADER%%
--- each
HEADER
Origin: https://app.test
Access-Control-Request-Method: GET
--- request
OPTIONS /named/rest
--- more_headers
%%HEADER%%
--- error_code: 405



# The operator's own add_header comes first: two of them are read by nobody.

=== TEST 12: add_header is left alone; where it says nothing, we do
--- each
PATH                | SEEN
/named/idiom        | 200 https://idiom.test - - -
/named/idiom-404    | 503 https://app.test true vary exposed
--- request
GET %%PATH%%
--- origin: https://app.test
--- cors: %%SEEN%%



# WebSocket: who may connect. [::1] and names by their Host.

=== TEST 13: a page of the Origin %%ORIGIN%% connects to the Host %%HOST%%
--- each
ORIGIN                      | HOST
http://chain.test           | chain.test
https://chain.test:8443     | chain.test:8000
http://CHAIN.test           | chain.TEST
http://chain.test.          | chain.test.
http://chain.test           | chain.test.
http://[::1]:3000           | [::1]:8000
http://[::1]                | [::1]
http://[FE80::1]            | [fe80::1]:80
--- handshake
GET /ws HTTP/1.1
Host: %%HOST%%
Origin: %%ORIGIN%%



=== TEST 14: no Origin at all
--- handshake
GET /ws HTTP/1.1
Host: chain.test



=== TEST 15: a page of the Origin %%ORIGIN%% does not connect to the Host %%HOST%%
--- each
ORIGIN                          | HOST
http://www.chain.test           | chain.test
http://chain.test               | www.chain.test
http://xchain.test              | chain.test
http://[::2]                    | [::1]
http://[::1                     | [::1]
http://[::1]x                   | [::1]
null                            | null
http://                         | chain.test
chain.test                      | chain.test
http://chain.test:80:80         | chain.test
http://chain.test:x             | chain.test
http://chain.test@evil.test     | chain.test
http://evil.test#@chain.test    | chain.test
--- handshake
GET /ws HTTP/1.1
Host: %%HOST%%
Origin: %%ORIGIN%%
--- error_code: 403
--- response_body_like: ^Pages of this Origin may not connect here



=== TEST 16: an empty Origin, and one with a tab
--- each
ORIGIN
(none)
http://chain.test\tx
--- handshake eval
"GET /ws HTTP/1.1\nHost: chain.test\nOrigin: %%ORIGIN%%\n"
--- error_code: 403
--- response_body_like: ^Pages of this Origin may not connect here



=== TEST 17: null is named: connects
--- handshake
GET /null/ws HTTP/1.1
Host: x
Origin: null



=== TEST 18: and nothing else
--- handshake
GET /null/ws HTTP/1.1
Host: x
Origin: http://x
--- error_code: 403
--- response_body_like: Origin



# Behind another proxy.

=== TEST 19: a proxy that does not pass the Host on: the log names both
--- handshake
GET /ws HTTP/1.1
Host: chain.test
Origin: https://chain.test
--- port: %%PORT1%%
--- error_code: 403
--- response_body_like: Origin
--- error_log eval
qr/\[warn\].*a page of the Origin "https:\/\/chain\.test" is not allowed here, the Host it was compared with is "front"|\[info\].*Origin "https:\/\/chain\.test".*"front"/



=== TEST 20: a proxy that passes it on: %%WHAT%%
--- each
WHAT                            | PATH          | HOST
as Host                         | /host/ws      | chain.test
as X-Forwarded-Host, when told  | /forwarded/ws | chain.test:443
--- handshake
GET %%PATH%% HTTP/1.1
Host: %%HOST%%
Origin: https://chain.test
--- port: %%PORT1%%



=== TEST 21: of the page of the Host only
--- handshake
GET /forwarded/ws HTTP/1.1
Host: chain.test
Origin: https://evil.test
--- port: %%PORT1%%
--- error_code: 403
--- response_body_like: Origin



=== TEST 22: forwarded: Origin %%ORIGIN%%, X-Forwarded-Host %%FORWARDED%%
--- each
ORIGIN              | FORWARDED
https://chain.test  | chain.test
https://chain.test  | chain.test:8443
https://chain.test  | Chain.Test
https://chain.test  | chain.test, inner
http://[::1]        | [::1]:80
--- handshake
GET /forwarded/ws HTTP/1.1
Host: inner
Origin: %%ORIGIN%%
X-Forwarded-Host: %%FORWARDED%%



=== TEST 23: forwarded: blanks around the name
--- handshake eval
"GET /forwarded/ws HTTP/1.1\nHost: inner\nOrigin: https://chain.test\nX-Forwarded-Host:  Chain.Test  \n"



=== TEST 24: forwarded: nothing was, the Host counts
--- handshake
GET /forwarded/ws HTTP/1.1
Host: inner
Origin: http://inner



=== TEST 25: forwarded and refused: Origin %%ORIGIN%%, Host %%HOST%%, X-Forwarded-Host %%FORWARDED%%
--- each
ORIGIN              | HOST          | FORWARDED
https://chain.test  | inner         | other.test, chain.test
http://inner        | inner         | chain.test
https://chain.test  | chain.test    | chain.test@x
null                | inner         | null
--- handshake
GET /forwarded/ws HTTP/1.1
Host: %%HOST%%
Origin: %%ORIGIN%%
X-Forwarded-Host: %%FORWARDED%%
--- error_code: 403
--- response_body_like: Origin



=== TEST 26: X-Forwarded-Host counts for nothing where it was not told
--- handshake
GET /ws HTTP/1.1
Host: inner
Origin: https://chain.test
X-Forwarded-Host: chain.test
--- error_code: 403
--- response_body_like: Origin



=== TEST 27: the same over plain HTTP
--- request
GET /forwarded/api/streams
--- origin: https://chain.test
--- more_headers
X-Forwarded-Host: chain.test
--- cors: 200 https://chain.test true vary exposed



# blockcast_guard, in front of anything.

=== TEST 28: guarded, another page is refused: %%METHOD%% %%PATH%%
--- each
METHOD
GET
POST
--- each
PATH
/guarded/
/guarded/any-of
/guarded/if?x=1
/guarded/error
/guarded/page
/guarded/rest
/guarded/echo
/unguarded
--- request
%%METHOD%% %%PATH%%
--- more_headers
Origin: http://evil.test
Content-Length: 0
--- error_code: 403
--- response_body_like: ^Pages of this Origin may not connect here



=== TEST 29: guarded, a page of the same host is not refused, nor who is no page: %%PATH%% %%HEADER%%
--- each
PATH                | STATUS
/guarded/           | 200
/guarded/any-of     | 200
/guarded/if?x=1     | 200
/guarded/off        | 200
/guarded/error      | 200
/guarded/page       | 200
/guarded/rest       | 200
/guarded/echo       | 426
/unguarded          | 200
--- each
HEADER
Origin: http://localhost:1
X-None: 1
--- request
GET %%PATH%%
--- more_headers
%%HEADER%%
--- error_code: %%STATUS%%



=== TEST 30: blockcast_guard off: another page is not refused
--- request
GET /guarded/off
--- more_headers
Origin: http://evil.test



=== TEST 31: the pages are those of blockcast_origin, and no other: %%ORIGIN%%
--- each
ORIGIN              | STATUS
https://app.test    | 200
http://localhost    | 403
--- request
GET /guarded/named
--- more_headers
Origin: %%ORIGIN%%
--- error_code: %%STATUS%%
