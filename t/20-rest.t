#!/usr/bin/perl

# The streams over plain HTTP: requests and their answers. If this fails,
# monitoring, caches and scripts that read them get wrong statuses, stale
# copies, or text where they expect JSON. t/26-rest-live.t has what changes
# while they are polled.

use Blockcast::Socket 'no_plan';
use Compress::Zlib ();

my @markets = qw(energy storage);

# the entry N of the log, as the node writes it

our $entry = sub { qq({"id":$_[0],"market":"$markets[$_[0] % 2]","amount":18446744073709551615}) };

share(
    node => qq(x.num {"big": 18446744073709551615, "d":1.10}\nx.other "o"\nx.list [)
        . CORE::join(',', map { $entry->($_) } 1 .. 120) . "]\n",

    http_config => <<'EOC',
    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_stale 500ms;
        blockcast_call c x.num;
    }
    blockcast_stream other {
        blockcast_interval 1500ms;
        blockcast_call c x.other;
    }
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=200;
    }
EOC
    config => <<'EOC',
    location /api/ { blockcast_api; }
    location /few/ { blockcast_api other; }
    location = /health { blockcast_health; }
    location = /rest/num { blockcast_rest num; }
    location = /rest/list { blockcast_rest list; }
    location ~ ^/v[0-9]+/feeds/ { blockcast_api; }
    location /zip/ {
        gzip on;
        gzip_types application/json;
        gzip_min_length 1;
        blockcast_api;
    }
EOC
);

run_tests();

__DATA__

=== TEST 1: the list of the streams, as they are declared, before anybody asked for data
--- request
GET /api/streams
--- response_headers
Content-Type: application/json
Cache-Control: no-cache
--- body_json
streams.*.name          ["num", "other", "list"]
streams.0.kind          "snapshot"
streams.0.interval      0.1
streams.0.seq           0
streams.0.age           null
streams.0.state         "idle"
streams.0.subscribers   0
streams.0.error         null
streams.2.kind          "log"
epoch                   /^\d+$/



=== TEST 2: the list at its other addresses: %%PATH%%
--- each
PATH            | NAMES
/api/           | ["num", "other", "list"]
/api/streams/   | ["num", "other", "list"]
/few/streams    | ["other"]
--- request
GET %%PATH%%
--- body_json
streams.*.name          %%NAMES%%



=== TEST 3: who asks first makes it be polled: %%PATH%%
--- each
PATH
/api/list
/rest/num
/api/streams/list
--- request
GET %%PATH%%



# A snapshot. If this fails, caches and browsers fetch all of it each time, or
# never see the next one.

=== TEST 4: a snapshot is the WebSocket message, with the node's own bytes
--- request
GET /api/streams/num
--- response_headers_like
Content-Type: application/json
Content-Length: \d\d\d
Cache-Control: no-cache
ETag: "[^"]+"
--- response_body_like chomp
\A\{"type":"num","data":\{"big": 18446744073709551615, "d":1\.10\},"timestamp":\d{10},"seq":1,"epoch":\d+\}\z



=== TEST 5: %%METHOD%% with If-None-Match: %%VALUE%%
--- each
METHOD
GET
HEAD
--- each
VALUE                           | STATUS
%%ETAG /api/streams/num%%       | 304
W/%%ETAG /api/streams/num%%     | 304
*                               | 304
"x", %%ETAG /api/streams/num%%, "y" | 304
"x"                             | 200
%%ETAGPART /api/streams/num%%   | 200
--- request
%%METHOD%% /api/streams/num
--- more_headers
If-None-Match: %%VALUE%%
--- error_code: %%STATUS%%
--- response_headers
ETag: %%ETAG /api/streams/num%%
--- body_if_get



=== TEST 6: If-Modified-Since is not used
--- request
GET /api/streams/num
--- more_headers
If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT
--- response_body_like: "big"



=== TEST 7: HEAD has the headers of GET and no body
--- request
HEAD /api/streams/num
--- response_headers_like
Content-Type: application/json
Content-Length: \d\d\d
Cache-Control: no-cache
ETag: "[^"]+"
--- body_if_get



=== TEST 8: what changes nothing: %%REQUEST%%
--- each
REQUEST
/api/streams/num?x=1&y
/api//streams/num
/api/streams/num HTTP/1.0
/v2/feeds/streams/num
--- request
GET %%REQUEST%%
--- response_body_like: "big"



# What is not there. If this fails, a typing error looks like an empty stream.

=== TEST 9: 404 for %%PATH%%
--- each
PATH                        | ERROR             | MESSAGE
/api/streams/nope           | unknown_stream    | unknown stream: nope$
/api/streams/NUM            | unknown_stream    | unknown stream: NUM$
/api/streams/num/           | unknown_stream    | unknown stream: num\/$
/api/streams/num/x          | unknown_stream    | unknown stream: num\/x$
/api/streams/%22%5C%0a      | unknown_stream    | unknown stream: "
/api/streams/%F0%9F%98%80   | unknown_stream    | unknown stream: .
/api/streams/%ff%fe         | unknown_stream    | unknown stream: .
/few/streams/num            | unknown_stream    | unknown stream: num$
/few/list                   | not_found         | no such resource: list
/api/nope                   | not_found         | no such resource: nope.*streams
/api/num                    | not_found         | no such resource: num
/api/streamsx               | not_found         | no such resource: streamsx
/api/health/x               | not_found         | no such resource
/v2/feeds/nope              | not_found         | nope
--- request
GET %%PATH%%
--- error_code: 404
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "%%ERROR%%"
message     /%%MESSAGE%%/



=== TEST 10: 404 for a name of 2000 characters
--- request eval
'GET /api/streams/' . 'x' x 2000
--- error_code: 404
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "unknown_stream"
message     /unknown stream: xxx/



=== TEST 11: HEAD of what is not there
--- request
HEAD /api/streams/nope
--- error_code: 404



=== TEST 12: an API in a regex location: %%PATH%%
--- each
PATH
/v2/feeds/streams
/v2/feeds/list?limit=1
--- request
GET %%PATH%%



# Other methods. If this fails, who tries to write learns nothing, or the rest
# of the request is taken for the next one.

=== TEST 13: %%METHOD%% %%PATH%% is not allowed
--- each
METHOD
POST
PUT
DELETE
PATCH
OPTIONS
--- each
PATH
/api/streams
/api/streams/num
/api/list
/api/health
/health
/rest/num
/api/nope
--- request
%%METHOD%% %%PATH%%
{"a":1}
--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "method_not_allowed"
message     /%%METHOD%% is not allowed here, GET and HEAD are/



=== TEST 14: three requests on one connection, the first with a body
--- pipelined_requests eval
["POST /api/streams\nhello", "GET /rest/num", "GET /api/nope"]
--- error_code eval
[405, 200, 404]
--- no_error_log
header already sent
[alert]



# The list of a log. If this fails, a table of receipts has wrong pages.

=== TEST 15: the newest entries first, byte for byte
--- request
GET /api/list?limit=3
--- response_headers_like
Cache-Control: no-cache
ETag: ".*"
--- response_body_like eval
my $entries = CORE::join ',', map { $main::entry->($_) } 120, 119, 118;
qr/\A\{"entries":\[\Q$entries\E\],"count":3,"total":120,"limit":3,"offset":0,"seq":\d+,"timestamp":\d+,"epoch":\d+\}\z/



=== TEST 16: a page that was seen
--- request
GET /api/list?limit=3
--- more_headers
If-None-Match: %%ETAG /api/list?limit=3%%
--- error_code: 304



=== TEST 17: 50 entries unless told, from the newest
--- request
GET /api/list
--- body_json
count           50
entries.0.id    120



=== TEST 18: the page ?%%QUERY%%
--- each
QUERY                               | IDS                   | COUNT | TOTAL
limit=2&offset=1                    | [119,118]             | 2     | 120
offset=118                          | [2,1]                 | 2     | 120
offset=120                          | []                    | 0     | 120
offset=1000000000                   | []                    | 0     | 120
limit=0                             | []                    | 0     | 120
market=energy&limit=3               | [120,118,116]         | 3     | 60
market=storage&limit=2&offset=58    | [3,1]                 | 2     | 60
market=%65nergy&limit=1             | [120]                 | 1     | 60
market=nope                         | []                    | 0     | 0
market=Energy                       | []                    | 0     | 0
market=&limit=1                     | [120]                 | 1     | 120
market=nope&market=storage&limit=2  | [119,117]             | 2     | 60
market=energy&market=storage&limit=2 | [120,119]             | 2     | 120
market=energy&id=119                | []                    | 0     | 0
market=storage&id=119               | [119]                 | 1     | 1
id=1.19e2                           | [119]                 | 1     | 1
id=120&id=7&id="8"                  | [120,7]               | 2     | 2
%69d=7                              | [7]                   | 1     | 1
id=07                               | []                    | 0     | 0
id=%37                              | [7]                   | 1     | 1
amount=18446744073709551615&limit=1 | [120]                 | 1     | 120
amount=18446744073709551616         | []                    | 0     | 0
amount=18446744073709552000         | []                    | 0     | 0
market=energy%00                    | []                    | 0     | 0
id&limit=1                          | [120]                 | 1     | 120
_=7&limit=1                         | [120]                 | 1     | 120
unknown=x&market=storage&limit=1    | [119]                 | 1     | 60
=7&limit=1                          | [120]                 | 1     | 120
limit=1&unknown=x&                  | [120]                 | 1     | 120
limit=007                           | [120,119,118,117,116,115,114] | 7 | 120
--- request
GET /api/list?%%QUERY%%
--- body_json
entries.*.id    %%IDS%%
count           %%COUNT%%
total           %%TOTAL%%



=== TEST 18.1: a filter by nine members
--- request eval
'GET /api/list?' . join '&', map { "m$_=1" } 1 .. 9
--- error_code: 400
--- response_body_like: "bad_parameter".*up to 8 members



=== TEST 18.2: a filter by 257 values
--- request eval
'GET /api/list?' . join '&', ('id=1') x 257
--- error_code: 400
--- response_body_like: "bad_parameter".*up to 8 members and 256 values



=== TEST 18.3: a filter by 256 values
--- request eval
'GET /api/list?' . join '&', map { "id=$_" } 1 .. 256
--- body_json
total           120



=== TEST 18.4: a filter by a long value
--- request eval
'GET /api/list?market=' . 'x' x 5000
--- body_json
total           0



=== TEST 19: limit=10000 is the largest
--- request
GET /api/list?limit=10000
--- body_json
count           120



=== TEST 20: limit=%%VALUE%% is refused
--- each
VALUE
x
-1
+1
1.5
1e3
0x10
(none)
%201
1%20
10001
4294967297
99999999999999999999
18446744073709551616
%22%3E%0d%0aX:
--- request
GET /api/list?limit=%%VALUE%%
--- error_code: 400
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "bad_parameter"
message     /the parameter limit must be a number from 0 to 10000, it is "/



=== TEST 21: offset=%%VALUE%% is refused
--- each
VALUE
x
-1
(none)
1000000001
--- request
GET /api/list?limit=1&offset=%%VALUE%%
--- error_code: 400
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "bad_parameter"
message     /the parameter offset must be a number from 0 to/



=== TEST 22: HEAD of a list has a length and no body
--- request
HEAD /api/list?limit=3
--- response_headers_like
Content-Length: \d\d\d
--- body_if_get



=== TEST 23: the log as a message is the page of a new client
--- request
GET /api/streams/list
--- body_json
data.count      20



# blockcast_rest. If this fails, the design document's addresses break.

=== TEST 24: just the data, byte for byte
--- request
GET /rest/num
--- response_headers_like
ETag: ".*"
--- response_body chomp
{"big": 18446744073709551615, "d":1.10}



=== TEST 25: the data that was seen
--- request
GET /rest/num
--- more_headers
If-None-Match: *
--- error_code: 304



=== TEST 26: the list of a log
--- request
GET /rest/list?limit=2
--- body_json
entries.*.id    [120,119]



=== TEST 27: a list with its errors
--- request
GET /rest/list?limit=a
--- error_code: 400
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "bad_parameter"
message     /limit/



# nginx's own filters. If this fails, `gzip on` for the site breaks the API.

=== TEST 28: gzip works in front of it
--- request
GET /zip/list?limit=50
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
--- response_body_filters eval
sub { Compress::Zlib::memGunzip($_[0]) }
--- body_json
entries.length  50
