#!/usr/bin/perl

# What nginx says of a configuration. If this fails, an operator's correct
# configuration is refused, or a mistake in it is met at run time, or the
# message does not tell which stream is meant and what is wrong with it.
#
# A block with --- must_die is refused, with one message, which says where. A
# block with --- stream has the stream "sample" with a call and these lines.

use Blockcast::Socket 'no_plan';

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', "blockcast_stream sample {\n"
        . "    blockcast_call c a.method;\n" . $block->stream . "}\n"
        . ($block->http_config // '')) if defined $block->stream;

    $block->set_value('config', (defined $block->no_node ? '' : <<'EOC') . ($block->config // ''));
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }
EOC

    return if defined $block->must_die;

    # a good one: the server starts, says nothing, and serves
    $block->set_value('config', $block->config . 'location = /up { return 200 "up"; }');
    $block->set_value('request', 'GET /up');
    $block->set_value('timeout', 20);
    $block->set_value('response_body', 'up');
    # what follows the start is said of calls to a node that is not there
    $block->set_value('no_error_log',
        [qr/\[(?:warn|error|crit|alert|emerg)\](?!.*(?:call|node|poll of stream) ")/]);
});

run_tests();


# Every directive is in this file and in the README. If this fails, one is
# used by nobody but its author.

my $root = $Blockcast::Socket::ROOT;
my ($self, $readme) = map { Blockcast::Test::slurp("$root/$_") } 't/10-config.t', 'README.md';
my $source = join '', map { Blockcast::Test::slurp($_) }
    grep { !/variables\.c$/ } glob "$root/src/*.c $root/src/*/*.c";

my %names = map { $_ => 1 } $source =~ /(?:ngx_string\(|\{ )"(blockcast_\w+)"/g;
my ($reference) = $readme =~ /^## Directives\n(.*?)^## /ms;
my %headed = map { $_ => 1 } map { /(blockcast_\w+)/g } $reference =~ /^### (.*)/mg;

Test::More::ok(keys %names > 25, 'the directives are found in the source');
Test::More::is(join(' ', grep { $self !~ /\b$_\b/ && $self !~ /\b@{[s|blockcast_||r]}\b/ }
    sort keys %names), '', 'each is tried here');
Test::More::is(join(' ', grep { !$headed{$_} } sort keys %names), '', 'each is in the README');
Test::More::is(join(' ', grep { !$names{$_} } sort keys %headed), '', 'and none there that is none');

__DATA__

=== TEST 1: a stream with one call
--- http_config
    blockcast_stream s { blockcast_call c net.stats; }



=== TEST 2: every directive of a stream
--- http_config
    blockcast_zone main 4m;
    blockcast_stream all.of-them_1 {
        blockcast_node other;
        blockcast_interval 500ms;
        blockcast_stale 1m;
        blockcast_always on;
        blockcast_linger 30s;
        blockcast_max_size 128k;
        blockcast_jq_timeout 2s;
        blockcast_jq_memory 64m;
        blockcast_call a net.stats;
        blockcast_call b net.peers 'params={"limit": 10}' timeout=800ms;
        blockcast_call c first fallback=second fallback=third;
        blockcast_call d light.headers 'params_jq={start: .last.height}';
        blockcast_call e light.header each=256 'params_jq=.results.d[] | [.]';
        blockcast_call f x params=[1];
        blockcast_get  h /eth/v1/node/syncing?x=1 fallback=/y timeout=2s;
        blockcast_get  i 'path_jq=.results.h[] | "/x/\(.)"' each=5;
        blockcast_call g y params=[];
        blockcast_jq '{entries: .results.d}, {at: .time}';
        blockcast_log entries key=id keep=500 size=1m page=50;
    }
--- config
    location /other/ {
        internal;
        blockcast_node other max_reply=64k;
        proxy_pass http://127.0.0.1:1;
    }



=== TEST 3: shortest and longest values
--- stream
    blockcast_interval 50ms;
    blockcast_stale 50ms;
    blockcast_history .height gas=.block.gas "x=.\"any name\"[-1]" 4096s/1s 1h/30m idle=1s;
    blockcast_linger 0;
    blockcast_always off;
    blockcast_max_size 256;
    blockcast_jq_timeout 10ms;
    blockcast_jq_memory 8m;
    blockcast_call least m timeout=1ms each=1 params_jq=.;
    blockcast_jq .;



=== TEST 4: every endpoint, and a stream that is declared later
--- http_config
    blockcast_max_message 32k;
    blockcast_ping_interval 20s;
    blockcast_pong_timeout 5s;
    blockcast_send_timeout 10s;
    blockcast_drain 3s;
    blockcast_access_log start;
    blockcast_state html/../html/feeds interval=500ms;
    blockcast_deflate on;
    blockcast_protocol jsonrpc;
    blockcast_max_frame 16k;
    blockcast_max_queue 1m;
    blockcast_max_fragments 100;
    blockcast_max_subscriptions 5;
    blockcast_message_rate 10 burst=20;
    blockcast_max_connections 100 worker=60;
    blockcast_origin same;
    blockcast_allow_streams $arg_streams;
    blockcast_allow_keys $arg_keys;
    blockcast_max_keys 5;
    blockcast_rpc_cache_size 1m;
    blockcast_rpc_subscription eth_subscribe newHeads stream=later notify=eth_subscription unsubscribe=leave id=hex;
    blockcast_rpc_allow eth_* net_version;
    blockcast_rpc_cache eth_chainId forever;
    blockcast_rpc_cache eth_getBlockByNumber head unless=pending;
    blockcast_rpc_cost eth_getLogs 20;
    blockcast_rpc_limit rate=10 burst=20 bytes=1m calls=2 waiting=10 total=4 node=5 batch=3 answer=2m timeout=3s;

    server {
        listen 127.0.0.1:%%PORT1%%;
        blockcast_max_message 16k;
        blockcast_origin https://example.com https://*.example.com;
        blockcast_message_rate off;
        location / { blockcast_websocket later; blockcast_deflate off; }
    }

    blockcast_stream later { blockcast_call c m; }
    blockcast_stream more { blockcast_call c m; }
    blockcast_stream keyed {
        blockcast_after later;
        blockcast_key address pattern=(?:x:)?([a-z]+) max=2 idle=1s keys=2 lower=on state=on;
        blockcast_call c m 'params_jq=[.keys]';
        blockcast_jq '{}';
    }
--- config
    blockcast_ping_interval 500ms;
    location = /ws { blockcast_websocket; }
    location = /rpc { blockcast_rpc node=default; blockcast_rpc_head more; }
    location /some { blockcast_websocket later more; }
    location /echo { blockcast_echo; blockcast_max_message 16m; }
    location /api/ { blockcast_api; }
    location /few/ { blockcast_api later; }
    location = /one { blockcast_rest later; }
    location = /health { blockcast_health; }
    location = /metrics { blockcast_metrics; }
    location /events { blockcast_sse; }
    location /event { blockcast_sse later; }
    location ~ ^/re/ { blockcast_api; }
    location /cbor { blockcast_websocket; blockcast_protocol cbor; blockcast_origin any; }
    location /closed { blockcast_websocket; blockcast_tokens tokens; }
    location /front { blockcast_websocket; blockcast_origin forwarded null http://*.test:8000; }
    location /passed { blockcast_guard on; proxy_pass http://127.0.0.1:1; }
--- conf_files
>>> tokens
# whose
0123456789abcdef0123456789abcdef somebody later



=== TEST 5: blockcast_echo needs no zone, no node and no stream
--- no_node
--- http_config
    # no blockcast_zone
--- config
    location = /e { blockcast_echo; }



=== TEST 6: a zone that no stream uses yet
--- no_node
--- http_config
    blockcast_zone main 1m;



=== TEST 7: the zone behind the streams
--- http_config
    blockcast_stream s { blockcast_call c m; }
    blockcast_zone z 1m;



=== TEST 8: as many streams as there can be
--- http_config eval
"blockcast_zone z 32m;\n" . CORE::join "\n",
    map { "blockcast_stream s$_ { blockcast_call c m; }" } 1 .. 64



=== TEST 9: streams from files, and the inside of one, and programs beside them
--- http_config
    include streams/*.inc;
    include whole.inc;
--- conf_files
>>> whole.inc
blockcast_stream s {
    blockcast_interval 1s;
    include inside.inc;
    blockcast_jq_file p.jq;
}
>>> inside.inc
blockcast_call c m;
blockcast_call d m params_jq_file=q.jq;
>>> p.jq
# a comment, and several lines
def half: . / 2;

{ h: (.results.c.height | half) }
>>> q.jq
[.last]



=== TEST 10: a program that includes a library that lies beside nginx.conf
--- stream
    blockcast_jq 'include "lib"; # ours
        import "other" as o; .results.c | double | o::triple';
--- conf_files
>>> lib.jq
def double: . * 2;
>>> other.jq
def triple: . * 3;



# The jq programs. If this fails, the operator has to find the error of a
# program without jq's own message, or in text that is not theirs.

=== TEST 11: jq syntax error, with jq's words and the program as it was written
--- stream
    blockcast_jq '.results |';
--- must_die
--- error_log eval
qr/jq program of stream "sample": jq: error: syntax error, unexpected (?:\$end|end of file).* line 1(?:, column \d+)?: +\.results \|[ ^]*;/



=== TEST 12: jq syntax error further down
--- stream
    blockcast_jq '.results
| 1
| 2)';
--- must_die
--- error_log eval
qr/stream "sample": jq: error: syntax error, .* line 3(?:, column \d+)?: +\| 2\)[ ^]*;/



=== TEST 13: jq: a function that does not exist
--- stream
    blockcast_jq '{a: nosuch(1)}';
--- must_die
--- error_log eval
qr/stream "sample": jq: error: nosuch\/1 is not defined.* line 1(?:, column \d+)?: +\{a: nosuch\(1\)\}/



=== TEST 14: jq: a variable that does not exist
--- stream
    blockcast_jq '. as [$a] | $b';
--- must_die
--- error_log
stream "sample": jq: error: $b is not defined



=== TEST 15: jq file with a syntax error names the file too
--- stream
    blockcast_jq_file bad.jq;
--- conf_files
>>> bad.jq
#
.a |
--- must_die
--- error_log eval
qr/jq program ".*\/bad\.jq" of stream "sample": jq: error: .* line 2(?:, column \d+)?: +\.a \|/



=== TEST 16: a program's file that is not there, or a folder
--- each
NAME        | MESSAGE
nope.jq     | \/nope\.jq" of stream "sample" .*No such file
../html     | html" of stream "sample"
--- stream
    blockcast_jq_file %%NAME%%;
--- must_die
--- error_log eval
qr/%%MESSAGE%%/



=== TEST 17: jq library that is not there
--- stream
    blockcast_jq 'include "nolib"; .';
--- must_die
--- error_log eval
qr/jq program of stream "sample": .*nolib/



=== TEST 18: a second program: %%LINES%%
--- each
LINES
blockcast_jq .; blockcast_jq .a;
blockcast_jq_file p.jq; blockcast_jq .;
--- stream
    %%LINES%%
--- conf_files
>>> p.jq
.
--- must_die
--- error_log
stream "sample" has a second jq program



=== TEST 19: params_jq with a syntax error names the call
--- stream
    blockcast_call c2 m 'params_jq=.a |';
    blockcast_jq .;
--- must_die
--- error_log eval
qr/params_jq of call "c2" in stream "sample": jq: error: .*\.a \|/



=== TEST 20: params_jq_file that is not there
--- stream
    blockcast_call c2 m params_jq_file=nope.jq;
    blockcast_jq .;
--- must_die
--- error_log eval
qr/nope\.jq" of stream "sample" .*No such file/



# Calls. If this fails, a call is made with parameters that the node refuses,
# and the dashboard stays empty for a reason that only its log knows.

=== TEST 21: params that are not JSON: %%PARAMS%%
--- each
PARAMS          | MESSAGE
'params={"a":1,}' | are not JSON, see byte 7 of {"a":1,}
'params=[1]]'   | are not JSON, see byte 3 of [1]]
params=         | are not JSON
'params=7'      | must be a JSON object or array: 7 in
'params="text"' | must be a JSON object or array: "text" in
'params=null'   | must be a JSON object or array: null in
'params=true'   | must be a JSON object or array: true in
--- stream
    blockcast_call p m %%PARAMS%%;
    blockcast_jq .;
--- must_die
--- error_log
params of call "p" in stream "sample" %%MESSAGE%%



=== TEST 22: a call with %%PARAMETERS%%
--- each
PARAMETERS              | MESSAGE
params=[] params_jq=.   | call "p" in stream "sample" has both params and params_jq
each=3                  | call "p" in stream "sample" has each=3 but no params_jq
fallback=               | invalid parameter "fallback=" of call "p" in stream "sample"
retries=3               | invalid parameter "retries=3" of call "p" in stream "sample"
--- stream
    blockcast_call p m %%PARAMETERS%%;
    blockcast_jq .;
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 22a: blockcast_get %%PARAMETERS%%
--- each
PARAMETERS               | MESSAGE
x                        | "x" of blockcast_get "p" in stream "sample" must be a path that begins with "/"
/a/../b                  | "/a/../b" of blockcast_get "p" in stream "sample" must be a path
"/a b"                   | "/a b" of blockcast_get "p" in stream "sample" must be a path
/a each=3                | call "p" in stream "sample" has each=3 but no path_jq
/a path_jq=.             | blockcast_get "p" in stream "sample" has path_jq, and a path or fallback= beside it
path_jq=. fallback=/x    | blockcast_get "p" in stream "sample" has path_jq, and a path or fallback= beside it
/a fallback=x            | invalid parameter "fallback=x" of call "p" in stream "sample"
/a params=[]             | invalid parameter "params=[]" of call "p" in stream "sample"
'path_jq=.a +'           | path_jq of call "p" in stream "sample": jq
--- stream
    blockcast_get p %%PARAMETERS%%;
    blockcast_jq .;
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 23: each=%%N%%
--- each
N
0
257
-1
x
(none)
99999999999999999999
--- stream
    blockcast_call p m each=%%N%% params_jq=.;
    blockcast_jq .;
--- must_die
--- error_log
"each=%%N%%" of call "p" in stream "sample" must be a number from 1 to 256



=== TEST 24: timeout=%%TIME%%
--- each
TIME
x
(none)
0
-1s
1.5s
3parsecs
--- stream
    blockcast_call p m timeout=%%TIME%%;
    blockcast_jq .;
--- must_die
--- error_log
invalid parameter "timeout=%%TIME%%" of call "p" in stream "sample"



=== TEST 25: two calls of one name
--- stream
    blockcast_call c other;
    blockcast_jq .;
--- must_die
--- error_log
duplicate call "c" in stream "sample"



=== TEST 26: a call's name "%%NAME%%"
--- each
NAME
a b
(none)
x/y
é
nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
--- stream
    blockcast_call "%%NAME%%" m;
    blockcast_jq .;
--- must_die
--- error_log
call name "%%NAME%%" in stream "sample" must be 1 to 63 of the characters



=== TEST 27: a call without a method
--- stream
    blockcast_call only;
--- must_die
--- error_log
invalid number of arguments in "blockcast_call" of stream "sample"



=== TEST 28: several calls without a program
--- stream
    blockcast_call d m;
--- must_die
--- error_log
stream "sample" has several calls, it needs blockcast_jq



=== TEST 29: a stream without a call: { %%LINES%% }
--- each
LINES
blockcast_interval 1s;
(none)
--- http_config
    blockcast_stream s { %%LINES%% }
--- must_die
--- error_log
stream "s" has no blockcast_call



# Times, sizes, flags. If this fails, a slip of the pen makes a stream that is
# always stale, or polls a node until it bans us.

=== TEST 30: blockcast_%%NAME%% "%%VALUE%%"
--- each
NAME
interval
stale
linger
--- each
VALUE
x
(none)
5 s
-1s
1.5s
99999999999999999999
--- stream
    blockcast_%%NAME%% "%%VALUE%%";
--- must_die
--- error_log
"blockcast_%%NAME%% %%VALUE%%" of stream "sample" is not a time like 2s



=== TEST 31: a stream with %%LINES%%
--- each
LINES                       | MESSAGE
blockcast_interval 49ms;    | "blockcast_interval 49ms" of stream "sample" is shorter than 50 ms
blockcast_stale 0;          | "blockcast_stale 0" of stream "sample" is shorter than 1 ms
blockcast_interval 1s; blockcast_stale 900ms; | stream "sample" would be stale between two polls: blockcast_stale is 900 ms, blockcast_interval 1000 ms
blockcast_always maybe;     | invalid value "maybe" in "blockcast_always" of stream "sample", it must be "on", "off" or a time from 1s to 12h
blockcast_always 999ms;     | invalid value "999ms" in "blockcast_always" of stream "sample", it must be "on", "off" or a time from 1s to 12h
blockcast_always 13h;       | invalid value "13h" in "blockcast_always" of stream "sample", it must be "on", "off" or a time from 1s to 12h
blockcast_intervall 1s;     | unknown directive "blockcast_intervall" in stream "sample"
proxy_pass http://127.0.0.1; | unknown directive "proxy_pass" in stream "sample"
--- stream
    %%LINES%%
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 32: blockcast_max_size "%%VALUE%%"
--- each
VALUE
x
(none)
255
65m
-1
1.5k
99999999999999999999
--- stream
    blockcast_max_size "%%VALUE%%";
--- must_die
--- error_log
"blockcast_max_size %%VALUE%%" of stream "sample" must be a size from 256 to 64m



=== TEST 33: %%NAME%% twice
--- each
NAME                | VALUE
blockcast_interval  | 1s
blockcast_stale     | 20s
blockcast_linger    | 1s
blockcast_max_size  | 1k
blockcast_jq_timeout | 1s
blockcast_jq_memory | 64m
blockcast_always    | on
blockcast_node      | default
blockcast_log       | a key=b
--- stream
    %%NAME%% %%VALUE%%;
    %%NAME%% %%VALUE%%;
--- must_die
--- error_log
"%%NAME%%" directive is duplicate in stream "sample"



=== TEST 34: "%%NAME%% %%ARGUMENTS%%;"
--- each
NAME                | ARGUMENTS
blockcast_interval  | (none)
blockcast_interval  | 1s 2s
blockcast_node      | (none)
blockcast_node      | a b
blockcast_stale     | (none)
blockcast_always    | (none)
blockcast_linger    | 1s 1s
blockcast_max_size  | (none)
blockcast_jq        | (none)
blockcast_jq        | . .
blockcast_jq_file   | (none)
blockcast_log       | (none)
blockcast_log       | receipts
blockcast_history   | (none)
--- stream
    %%NAME%% %%ARGUMENTS%%;
--- must_die
--- error_log
invalid number of arguments in "%%NAME%%" of stream "sample"



=== TEST 35: a mistake in an included file names that file
--- stream
    include part.inc;
--- conf_files
>>> part.inc
#
oops 1;
--- must_die
--- error_log eval
qr/unknown directive "oops" in stream "sample" in .*part\.inc:2/



=== TEST 36: an included file that is not there
--- stream
    include nope.inc;
--- must_die
--- error_log eval
qr/nope\.inc.*No such file/



# Logs. If this fails, entries are delivered twice or never.

=== TEST 37: a log with %%ARGUMENTS%%
--- each
ARGUMENTS               | MESSAGE
receipts keep=3         | log stream "sample" needs key=NAME, the member that tells one entry from another
receipts key=           | invalid parameter "key=" of log stream "sample"
a/b key=id              | the field "a/b" of log stream "sample" must be 1 to 63 of the characters
--- stream
    blockcast_log %%ARGUMENTS%%;
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 38: blockcast_log with %%PARAMETER%%
--- each
PARAMETER
keep=0
keep=x
keep=1000001
keep=
page=0
page=10001
page=-1
kept=1
--- stream
    blockcast_log receipts key=id %%PARAMETER%%;
--- must_die
--- error_log
invalid parameter "%%PARAMETER%%" of log stream "sample"



=== TEST 39: blockcast_log with %%PARAMETER%%
--- each
PARAMETER
size=4095
size=2g
size=x
size=
--- stream
    blockcast_log receipts key=id %%PARAMETER%%;
--- must_die
--- error_log
"%%PARAMETER%%" of log stream "sample" must be a size from 4k to 1g



# Names of streams. If this fails, two streams overwrite each other.

=== TEST 40: two streams of one name
--- http_config
    blockcast_stream twin { blockcast_call c m; }
    blockcast_stream twin { blockcast_call c m; }
--- must_die
--- error_log eval
qr/duplicate blockcast_stream "twin", the first is in .*nginx\.conf:\d+/



=== TEST 41: a stream's name "%%NAME%%"
--- each
NAME
a b
(none)
x/y
é
nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
--- http_config
    blockcast_stream "%%NAME%%" { blockcast_call c m; }
--- must_die
--- error_log
blockcast_stream name "%%NAME%%" must be 1 to 63 of the characters a-z A-Z 0-9 _ - .



=== TEST 42: a stream written as: blockcast_stream %%REST%%
--- each
REST                        | MESSAGE
{ blockcast_call c m; }     | invalid number of arguments in "blockcast_stream"
s;                          | directive "blockcast_stream" has no opening "{"
--- http_config
    blockcast_stream %%REST%%
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 43: one stream more than there can be
--- http_config eval
"blockcast_zone z 32m;\n" . CORE::join "\n",
    map { "blockcast_stream s$_ { blockcast_call c m; }" } 1 .. 65
--- must_die
--- error_log
blockcast_stream "s65" is one more than the 64 streams there can be



=== TEST 44: a stream inside of a server
--- config
    blockcast_stream s { blockcast_call c m; }
--- must_die
--- error_log
"blockcast_stream" directive is not allowed here



# The zone. If this fails, the server starts and cannot keep what it polls.

=== TEST 45: a stream and no zone
--- http_config
    # no blockcast_zone
    blockcast_stream sample { blockcast_call c m; }
--- must_die
--- error_log eval
qr/stream "sample" in .*nginx\.conf:\d+ needs a blockcast_zone, and none is declared/



=== TEST 46: %%ENDPOINT%% and no zone
--- each
ENDPOINT
blockcast_websocket
blockcast_api
blockcast_health
blockcast_sse
blockcast_metrics
--- http_config
    # no blockcast_zone
--- config
    location /e { %%ENDPOINT%%; }
--- must_die
--- error_log eval
qr/"%%ENDPOINT%%" in .*nginx\.conf:\d+ needs a blockcast_zone, and none is declared/



=== TEST 47: a zone too small for the streams, with both numbers
--- http_config
    blockcast_zone z 64k;
    blockcast_stream sample { blockcast_call c m; }
--- must_die
--- error_log eval
qr/: blockcast_zone "z" is 65536 bytes, the 1 streams? declared needs? \d{6,7} in /



=== TEST 48: a zone too small for a log's size=
--- http_config
    blockcast_zone z 1m;
    blockcast_stream l { blockcast_call c m; blockcast_log a key=b size=16m; }
--- must_die
--- error_log eval
qr/: blockcast_zone "z" is 1048576 bytes, the 1 streams? declared needs? 1[0-9]{7} in /



=== TEST 49: a zone like: blockcast_zone %%ARGUMENTS%%
--- each
ARGUMENTS       | MESSAGE
z 4k            | blockcast_zone "z" of 4096 bytes is too small, the least is 32768
z "x"           | blockcast_zone "z" has the invalid size "x"
z "-1"          | blockcast_zone "z" has the invalid size "-1"
z ""            | blockcast_zone "z" has the invalid size ""
z "1.5m"        | blockcast_zone "z" has the invalid size "1.5m"
main            | invalid number of arguments in "blockcast_zone"
--- http_config
    blockcast_zone %%ARGUMENTS%%;
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 50: two zones
--- http_config
    blockcast_zone a 1m;
    blockcast_zone b 1m;
--- must_die
--- error_log
"blockcast_zone" directive is duplicate



=== TEST 51: the name of another module's zone
--- http_config
    limit_req_zone $uri zone=z:1m rate=1r/s;
    blockcast_zone z 1m;
    blockcast_stream sample { blockcast_call c m; }
--- must_die
--- error_log eval
qr/zone "z" is already .*|conflict/



# Nodes. If this fails, a stream asks nobody, or the whole world may ask the
# node through us.

=== TEST 52: a stream and no node
--- no_node
--- http_config
    blockcast_stream sample { blockcast_call c m; }
--- must_die
--- error_log eval
qr/stream "sample" in .*nginx\.conf:\d+ asks node "default", but no location has "blockcast_node default;"/



=== TEST 53: a node that there is not
--- stream
    blockcast_node backup;
--- must_die
--- error_log eval
qr/stream "sample" in .*nginx\.conf:\d+ asks node "backup", but no location has "blockcast_node backup;"/



=== TEST 54: two nodes of one name
--- config
    location /b { blockcast_node; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log eval
qr/duplicate blockcast_node "default", the first is in .*nginx\.conf:\d+/



=== TEST 55: blockcast_node twice in a location
--- no_node
--- config
    location /b { blockcast_node; blockcast_node other; }
--- must_die
--- error_log
"blockcast_node" directive is duplicate



=== TEST 56: a node in location %%LOCATION%%
--- each
LOCATION
~ ^/n$
@n
--- config
    location %%LOCATION%% { blockcast_node n; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log
blockcast_node "n" must be in a prefix or exact location



=== TEST 57: blockcast_node with %%PARAMETER%%
--- each
PARAMETER
max_reply=x
max_reply=1023
max_reply=2g
max_reply=
--- config
    location = /b { blockcast_node b %%PARAMETER%%; }
--- must_die
--- error_log
"%%PARAMETER%%" must be a size from 1k to 1g



=== TEST 58: blockcast_node with two names
--- config
    location = /b { blockcast_node one two; }
--- must_die
--- error_log
invalid parameter "two"



=== TEST 59: blockcast_node in the server
--- config
    blockcast_node n;
--- must_die
--- error_log
"blockcast_node" directive is not allowed here



# Endpoints. If this fails, an address answers with nothing, or with what
# another directive of its location meant.

=== TEST 60: %%ENDPOINT%% with an unknown stream
--- each
ENDPOINT
blockcast_websocket
blockcast_api
blockcast_rest
blockcast_sse
--- stream
--- config
    location /e { %%ENDPOINT%% nope; }
--- must_die
--- error_log eval
qr/"%%ENDPOINT%%" in .*nginx\.conf:\d+ names stream "nope", which is not declared/



=== TEST 61: an unknown stream behind a known one
--- stream
--- config
    location /e { blockcast_websocket sample nope; }
--- must_die
--- error_log
names stream "nope"



=== TEST 62: "%%LINE%%;"
--- each
LINE                            | NAME
blockcast_rest                  | blockcast_rest
blockcast_rest sample sample    | blockcast_rest
blockcast_echo x                | blockcast_echo
blockcast_health x              | blockcast_health
--- stream
--- config
    location /e { %%LINE%%; }
--- must_die
--- error_log
invalid number of arguments in "%%NAME%%"



=== TEST 63: %%FIRST%% and %%SECOND%% in one location
--- each
FIRST               | SECOND
blockcast_websocket | blockcast_api
blockcast_echo      | blockcast_websocket
blockcast_health    | blockcast_health
--- stream
--- config
    location /two { %%FIRST%%; %%SECOND%%; }
--- must_die
--- error_log
"%%SECOND%%" in location "/two", which has another blockcast endpoint



=== TEST 64: an endpoint in the server
--- stream
--- config
    blockcast_websocket;
--- must_die
--- error_log
"blockcast_websocket" directive is not allowed here



# Settings of the connections. If this fails, a limit that was written down
# is not the one that holds.

=== TEST 65: blockcast_%%NAME%% "%%VALUE%%"
--- each
NAME
ping_interval
pong_timeout
send_timeout
--- each
VALUE
x
0
-1
(none)
--- config
    location /e { blockcast_echo; blockcast_%%NAME%% "%%VALUE%%"; }
--- must_die
--- error_log
"blockcast_%%NAME%% %%VALUE%%" is not a time like 30s or 500ms



=== TEST 66: blockcast_%%NAME%% twice
--- each
NAME
ping_interval
pong_timeout
send_timeout
--- config
    blockcast_%%NAME%% 1s;
    blockcast_%%NAME%% 1s;
--- must_die
--- error_log
"blockcast_%%NAME%%" directive is duplicate



=== TEST 67: blockcast_max_message "%%VALUE%%"
--- each
VALUE
x
-1
(none)
--- config
    blockcast_max_message "%%VALUE%%";
--- must_die
--- error_log
"blockcast_max_message" directive invalid value



=== TEST 68: blockcast_max_queue %%VALUE%%
--- each
VALUE
0
127k
1025m
--- config
    location /e { blockcast_echo; blockcast_max_queue %%VALUE%%; }
--- must_die
--- error_log
blockcast_max_queue must be from 128k to 1024m



=== TEST 69: blockcast_max_message %%VALUE%%
--- each
VALUE   | MESSAGE
1025m   | blockcast_max_message must not be larger than 1024m
0       | blockcast_max_message must be larger than 0
--- config
    location /e { blockcast_echo; blockcast_max_message %%VALUE%%; }
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 70: blockcast_%%NAME%% "%%VALUE%%"
--- each
NAME
max_frame
max_fragments
max_subscriptions
--- each
VALUE
x
-1
(none)
--- config
    blockcast_%%NAME%% "%%VALUE%%";
--- must_die
--- error_log eval
qr/"blockcast_%%NAME%%" directive invalid (?:value|number)/



=== TEST 71: blockcast_message_rate %%ARGUMENTS%%
--- each
ARGUMENTS
0
x
-1
""
10 20
10 burst=0
10 burst=
10 bursts=5
on
1000000001
--- config
    blockcast_message_rate %%ARGUMENTS%%;
--- must_die
--- error_log eval
qr/in "blockcast_message_rate" must be (?:burst= and )?a number from 1/



=== TEST 72: blockcast_max_connections %%ARGUMENTS%%
--- each
ARGUMENTS
0
x
10 worker=0
10 worker=
off
--- http_config
    blockcast_max_connections %%ARGUMENTS%%;
--- must_die
--- error_log eval
qr/in "blockcast_max_connections" must be (?:worker= and )?a number from 1/



=== TEST 73: %%LINE%%
--- each
LINE                                | MESSAGE
blockcast_max_connections 5;        | "blockcast_max_connections" directive is not allowed here
blockcast_drain 1s;                 | "blockcast_drain" directive is not allowed here
blockcast_deflate maybe;            | invalid value "maybe" in "blockcast_deflate" directive
blockcast_protocol xml;             | invalid value "xml"
blockcast_guard perhaps;            | invalid value "perhaps" in "blockcast_guard" directive
--- config
    %%LINE%%
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 74: blockcast_origin %%ARGUMENTS%%
--- each
ARGUMENTS       | ORIGIN
example.com     | example.com
none            | none
*               | *
""              | (none)
--- config
    blockcast_origin %%ARGUMENTS%%;
--- must_die
--- error_log
blockcast_origin "%%ORIGIN%%" must be "same", "any" or like https://www.example.com



=== TEST 75: blockcast_origin %%ARGUMENTS%%
--- each
ARGUMENTS                   | ORIGIN
https://www.example.com/    | https://www.example.com/
https://*/app               | https://*/app
same https://a.test/        | https://a.test/
--- config
    blockcast_origin %%ARGUMENTS%%;
--- must_die
--- error_log
blockcast_origin "%%ORIGIN%%" has a path, which no Origin has



=== TEST 76: blockcast_tokens of a file that is not there
--- config
    blockcast_tokens nope;
--- must_die
--- error_log eval
qr/nope".*No such file/



=== TEST 77: a bad line in blockcast_tokens is named and not shown
--- config
    location /e { blockcast_echo; blockcast_tokens t; }
--- conf_files
>>> t
sEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEt "
sEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEtsEcrEt a b c d
--- must_die
--- error_log eval
qr/line \d+ of blockcast_tokens/
--- no_error_log
sEcrEt



=== TEST 78: %%LINE%%
--- each
LINE                                | MESSAGE
blockcast_state;                    | invalid number of arguments
blockcast_state /tmp/;              | "/tmp/" is not the name of a file
blockcast_state x interval=soon;    | "interval=soon" must be interval= and a time
blockcast_state x every=1s;         | "every=1s" must be interval= and a time
blockcast_state x; blockcast_state y; | is duplicate
blockcast_cluster;                  | invalid number of arguments
blockcast_cluster name=x;           | needs the address of a Redis or Valkey: redis://HOST
blockcast_cluster redis://;         | "redis://" must be redis://HOST or redis://HOST:PORT
blockcast_cluster redis://u:p@127.0.0.1; | "redis://u:p@127.0.0.1" must be redis://HOST or redis://HOST:PORT
blockcast_cluster redis://127.0.0.1/3; | "redis://127.0.0.1/3" must be redis://HOST or redis://HOST:PORT
blockcast_cluster redis://127.0.0.1:x; | invalid port in "redis://127.0.0.1:x"
blockcast_cluster sentinel://127.0.0.1; | "sentinel://127.0.0.1" of blockcast_cluster must be redis://
blockcast_cluster redis://127.0.0.1 name=a*b; | the name "a*b" of blockcast_cluster must be
blockcast_cluster redis://127.0.0.1 user=x; | has a user= and no password_file=
blockcast_cluster redis://127.0.0.1 ca=/x; | has a ca= without tls=on
blockcast_cluster redis://127.0.0.1 tls=maybe; | "tls=maybe" of blockcast_cluster must be
blockcast_cluster redis://127.0.0.1 password_file=/nowhere/x; | /nowhere/x
blockcast_cluster redis://127.0.0.1; blockcast_cluster redis://127.0.0.1; | is duplicate
blockcast_drain x;                  | "blockcast_drain" directive invalid value
blockcast_access_log middle;        | invalid value "middle"
--- http_config
    %%LINE%%
--- must_die
--- error_log
%%MESSAGE%%



=== TEST 79: a state file without a zone
--- no_node
--- http_config
    # no blockcast_zone
    blockcast_state x;
--- must_die
--- error_log eval
qr/blockcast_state ".*\/x" in .*nginx\.conf:\d+ needs a blockcast_zone/



=== TEST 80: a cluster without a zone
--- no_node
--- http_config
    # no blockcast_zone
    blockcast_cluster redis://127.0.0.1;
--- must_die
--- error_log eval
qr/blockcast_cluster in .*nginx\.conf:\d+ needs a blockcast_zone/



=== TEST 81: blockcast_head and blockcast_poke; more of them is in 95-head-config.t
--- no_node
--- http_config
    blockcast_stream s {
        blockcast_call c a.method;
        blockcast_head 'message={"id":1,"method":"eth_subscribe","params":["newHeads"]}' result=c apart=1s;
    }
--- config
    location = /_node { blockcast_node; blockcast_head ws://127.0.0.1:1/; proxy_pass http://127.0.0.1:1; }
    location = /poke { blockcast_poke s; }



=== TEST 81: blockcast_head where there is no node
--- config
    location = /x { blockcast_head ws://127.0.0.1:1/; }
--- must_die
--- error_log eval
qr/blockcast_head in .*nginx\.conf:\d+ needs a blockcast_node in the same location/
