#!/usr/bin/perl

# The history of a stream's numbers: what is configured, asked for and answered.
# If this fails, a mistake in blockcast_history is met at run time, a chart or a
# spreadsheet gets what it cannot read, or who may not have a stream has its
# history. What becomes of it while nginx lives and dies is in
# t/69-history-live.t.

use Blockcast::Socket 'no_plan';

add_block_preprocessor(sub {
    my ($block) = @_;

    # --- line: that of blockcast_history in a stream that is refused
    $block->set_value('http_config', <<"EOC"), return if defined $block->line;
blockcast_zone main 4m;
blockcast_stream sample { blockcast_call c a.method; @{[$block->line]} }
EOC
});

share(
    node        => qq(x.num {"height":7,"gas":"0x1f","list":[1,{"price":0.5}],"text":"no"}\nx.log {"l":[]}\n),
    http_config => <<'EOC',
        blockcast_stream num {
            blockcast_interval 100ms;
            blockcast_always on;
            blockcast_call c x.num;
            blockcast_history height=.height gas=.gas price=.list[-1].price text=.text none=.none;
        }
        blockcast_stream own {
            blockcast_call c x.num;
            blockcast_history .height 10s/1s 1m/10s;
        }
        blockcast_stream bare { blockcast_call c x.num; }
        blockcast_stream history {
            blockcast_call c x.log; blockcast_log l key=id;
        }
EOC
    config      => <<'EOC',
        location /api/ { blockcast_api; }
        location ~ ^/v1/ { blockcast_api; }
        location /few/ { blockcast_api own; }
        location /open/ { blockcast_origin any; blockcast_api; }
EOC
);

run_tests();

__DATA__

=== TEST 1: the course of the numbers
--- until: /api/streams/num/history "height".*"last":\[[^]]*7
--- request
GET /api/streams/num/history
--- error_code: 200
--- response_headers
Content-Type: application/json
Cache-Control: no-cache
Vary: Accept, Origin
Blockcast-State: live
--- raw_response_headers_unlike: (?s)\nVary:.*\nVary:
--- response_headers_like
ETag: "[0-9a-f]{16}"
--- body_json
type            "history"
stream          "num"
range           "1h"
ranges          ["1h","24h"]
step            5
epoch           /^\d+$/
now             /^\d{10,}$/
from            /^\d{10,}$/
series.height.min.length    720
series.gas.mean.length      720
series.price.max.length     720
series.text.last.length     720
series.height.min.0         null
series.height.count.0       0


=== TEST 2: numbers, a quantity, an element from the end; and none: %%SERIES%%
--- each
SERIES  | TEXT
height  | "min":[^]]*[,\[]7,?(null)?\],"mean":[^]]*[,\[]7,?(null)?\],"max":[^]]*[,\[]7,?(null)?\]
gas     | "min":[^]]*[,\[]31,?(null)?\],"mean":[^]]*[,\[]31,?(null)?\]
price   | "min":[^]]*[,\[]0\.5,?(null)?\],"mean":[^]]*[,\[]0\.5,?(null)?\]
text    | "min":\[(null,?){720}\],"mean":\[(null,?){720}\],"max"
none    | "min":\[(null,?){720}\],"mean":\[(null,?){720}\],"max"
--- until: /api/streams/num/history "height".*"last":\[[^]]*7
--- request
GET /api/streams/num/history
--- response_body_like: "%%SERIES%%":\{%%TEXT%%


=== TEST 3: range and points: %%QUERY%%
--- each
QUERY                   | RANGE | STEP | N
?range=1h               | 1h    | 5    | 720
?range=24h              | 24h   | 120  | 720
?range=24h&points=10    | 24h   | 8640 | 10
?points=720             | 1h    | 5    | 720
?points=719             | 1h    | 10   | 360
?points=300             | 1h    | 15   | 240
?points=4096            | 1h    | 5    | 720
?points=1               | 1h    | 3600 | 1
?format=json            | 1h    | 5    | 720
--- request
GET /api/streams/num/history%%QUERY%%
--- error_code: 200
--- body_json
range                   "%%RANGE%%"
step                    %%STEP%%
series.height.min.length    %%N%%
series.none.count.length    %%N%%


=== TEST 4: rings of one's own, at every address: %%PATH%%
--- each
PATH
/api/streams/own/history
/v1/streams/own/history
/few/streams/own/history
--- request
GET %%PATH%%
--- error_code: 200
--- body_json
stream                      "own"
ranges                      ["10s","1m"]
step                        1
series.height.min.length    10


=== TEST 5: a stream that is called history: %%PATH%%
--- each
PATH
/api/streams/history
/v1/streams/history
/api/history
/v1/history
--- request
GET %%PATH%%
--- error_code: 200
--- response_body_like: "l":\[\]


=== TEST 6: CSV by %%HOW%%
--- each
HOW                     | QUERY         | ACCEPT
format                  | ?format=csv   | */*
Accept                  | (none)        | text/csv
Accept among others     | (none)        | text/html, TEXT/CSV;q=0.5
format over Accept      | ?format=csv   | application/json
--- until: /api/streams/num/history "height".*"last":\[[^]]*7
--- request
GET /api/streams/num/history%%QUERY%%
--- more_headers
Accept: %%ACCEPT%%
--- error_code: 200
--- response_headers
Content-Type: text/csv
Vary: Accept, Origin
--- response_body_like
^time,height_min,height_mean,height_max,height_last,height_count,gas_min.*,none_last,none_count\r
(\d{10,},,,,,,,,,,,,,,,,,,,,,,,,,\r
)+\d{10,},7,7,7,7,\d+,31,31,31,31,\d+,0\.5,0\.5,0\.5,0\.5,\d+,,,,,,,,,,\r


=== TEST 7: refused: %%PATH%%
--- each
PATH                                    | STATUS | ERROR           | MESSAGE
/api/streams/num/history?range=7d       | 404    | unknown_range   | the history of stream num has no range \"7d\"; there are 1h, 24h
/api/streams/own/history?range=1h       | 404    | unknown_range   | the history of stream own has no range \"1h\"; there are 10s, 1m
/api/streams/bare/history               | 404    | no_history      | no history is kept of stream bare
/api/streams/history/history            | 404    | no_history      | no history is kept of stream history
/api/streams/nope/history               | 404    | unknown_stream  | unknown stream: nope
/few/streams/num/history                | 404    | unknown_stream  | unknown stream: num
/api/streams/num/history?points=0       | 400    | bad_parameter   | the parameter points must be a number from 1 to 4096, it is \"0\"
/api/streams/num/history?points=5000    | 400    | bad_parameter   | the parameter points must be a number from 0 to 4096, it is \"5000\"
/api/streams/num/history?points=x       | 400    | bad_parameter   | the parameter points must be a number from 0 to 4096, it is \"x\"
/api/streams/num/history?format=xml     | 400    | bad_parameter   | the parameter format must be json or csv, it is \"xml\"
--- request
GET %%PATH%%
--- error_code: %%STATUS%%
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- body_json
error       "%%ERROR%%"
message     "%%MESSAGE%%"


=== TEST 8: HEAD has the same head and no body
--- request
HEAD /api/streams/num/history
--- error_code: 200
--- response_headers
Content-Type: application/json
--- body_if_get


=== TEST 9: POST is refused
--- request
POST /api/streams/num/history
--- error_code: 405
--- response_headers
Allow: GET, HEAD


=== TEST 10: a page of another origin may read it
--- request
GET /open/streams/num/history?range=24h
--- more_headers
Origin: https://grafana.example
--- error_code: 200
--- response_headers
Access-Control-Allow-Origin: *


=== TEST 11: what has not changed is not sent again
--- http_config
    blockcast_stream still {
        blockcast_interval 60s;
        blockcast_call c x.num;
        blockcast_history .height 10h/1h idle=off;
    }
--- config
    location /api/ { blockcast_api; }
--- until: /api/streams/still/history "height".*"last":\[[^]]*7
--- request
GET /api/streams/still/history
--- more_headers
If-None-Match: %%ETAG /api/streams/still/history%%
--- error_code: 304


=== TEST 12: only who has the token
--- http_config
    blockcast_stream num { blockcast_call c x.num; blockcast_history .height; }
--- conf_files
>>> tokens
0123456789abcdef num
--- config
    location /api/ { blockcast_api; blockcast_tokens tokens; }
--- request
GET /api/streams/num/history
--- error_code: 401


=== TEST 13: several lines add up, a name is the last of its path
--- http_config
    blockcast_stream num {
        blockcast_call c x.num;
        blockcast_history .height 1m/1s;
        blockcast_history p=.list[1].price "q=.\"any name\"" idle=off;
        blockcast_history .list[1].price 2m/1s;
    }
--- config
    location /api/ { blockcast_api; }
--- request
GET /api/streams/num/history?range=2m
--- error_code: 200
--- body_json
ranges                      ["1m","2m"]
series.height.min.length    120
series.p.min.length         120
series.q.min.length         120
series.price.min.length     120


=== TEST 14: refused, and why: %%LINE%%
--- each
LINE || TEXT
blockcast_history; || invalid number of arguments in "blockcast_history" of stream "sample"
blockcast_history 1h/5s; || blockcast_history of stream "sample" has no number to keep, like height=.block.height
blockcast_history height; || blockcast_history of stream "sample": "height" is neither a number like height=.block.height, nor a range like 1h/5s, nor idle=30s
blockcast_history h=height; || "h=height" is neither a number like
blockcast_history h=; || "h=" is neither a number like
blockcast_history =.h; || "=.h" is neither a number like
blockcast_history h=.a..b; || blockcast_history of stream "sample": the path ".a..b" is wrong at "..b", steps are like .name, ."any name", \[0\] or \[-1\]
blockcast_history h=.a[x]; || the path ".a\[x\]" is wrong at "\[x\]"
blockcast_history 'h=.a|length'; || the path ".a\|length" is wrong at "\|length"
blockcast_history .a[0]; || the name "" of the number at ".a\[0\]" must be 1 to 63 of the characters a-z A-Z 0-9 _ - ., as in NAME=PATH
blockcast_history 'a b=.a'; || the name "a b" of the number at ".a" must be
blockcast_history .a a=.b; || blockcast_history of stream "sample" has two numbers "a"
blockcast_history .a 1h/7s; || "1h/7s" must be two times like 1h/5s, the second from 1s to 1d, the first 2 to 4096 times as long
blockcast_history .a 1h/0s; || "1h/0s" must be two times
blockcast_history .a 1h/500ms; || "1h/500ms" must be two times
blockcast_history .a 5s/5s; || "5s/5s" must be two times
blockcast_history .a 1d/5s; || "1d/5s" must be two times
blockcast_history .a 1h/x; || "1h/x" must be two times
blockcast_history .a /5s; || "/5s" must be two times
blockcast_history .a 1h/5s 1h/10s; || blockcast_history of stream "sample" has two ranges "1h"
blockcast_history .a idle=500ms; || "idle=500ms" must be "off" or a time from 1s to 12h
blockcast_history .a idle=1d; || "idle=1d" must be "off" or a time
blockcast_history .a idle=; || "idle=" must be "off" or a time
blockcast_history .a idle=5s idle=6s; || blockcast_history of stream "sample" has a second idle=
blockcast_history .a; blockcast_log l key=id; || stream "sample" is a log, blockcast_history keeps the numbers of snapshots
blockcast_history .a 4096s/1s 4095s/1s 4094s/1s 4093s/1s 4092s/1s 4091s/1s 4090s/1s 4089s/1s 4088s/1s; || blockcast_history of stream "sample" has more than 8 ranges
blockcast_history .a 4096s/1s 4095s/1s 4094s/1s 4093s/1s 4092s/1s 4091s/1s 4090s/1s 4089s/1s; blockcast_history .b .c .d .e; || blockcast_zone "main" is 4194304 bytes, the 1 streams declared need \d+ in
--- line: %%LINE%%
--- config
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log eval
qr{%%TEXT%%}


=== TEST 15: outside of a stream
--- http_config
    blockcast_history h=.h;
--- must_die
--- error_log
"blockcast_history"
