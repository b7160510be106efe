#!/usr/bin/perl

# What becomes of the node's results: streams without a program, and jq programs
# by their results and errors. If this fails, a stream that somebody wrote in
# nginx.conf shows wrong numbers, or text where numbers were. What programs do
# over time is in t/50-shaping-live.t.

use Blockcast::Socket 'no_plan';

# a block with --- program: the stream "p" with it

add_block_preprocessor(sub {
    my ($block) = @_;

    my $program = $block->program // return;
    $program =~ s/\n\z//;
    $block->set_value('http_config', <<"EOC");
    blockcast_stream p {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '$program';
    }
EOC
    $block->set_value('config', 'location /api/ { blockcast_api; }');
});

share(
    node => '',
    http_config => <<'EOC',
    blockcast_stream plain { blockcast_interval 100ms; blockcast_call c x.plain; }
    blockcast_stream same {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '.results.v';
    }
    blockcast_stream member {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '{a: .results.v, b: {c: [.results.v]}}';
    }
    blockcast_stream text {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '.results.v | [tostring, "\(.)", @text, "n=\(.)", (tostring | type), (tostring | length)]';
    }
    blockcast_stream nolist {
        blockcast_interval 100ms;
        blockcast_call c x.nolist;
        blockcast_jq '.results.c';
        blockcast_log rows key=id;
    }
    blockcast_stream small {
        blockcast_interval 100ms;
        blockcast_max_size 1k;
        blockcast_call c x.small;
    }
    blockcast_stream small_jq {
        blockcast_interval 100ms;
        blockcast_max_size 1k;
        blockcast_call c x.small;
        blockcast_jq '.results.c';
    }
EOC
    config => <<'EOC',
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
EOC
);

run_tests();

__DATA__

# Without a program: byte for byte. If this fails, amounts of chains lose their
# last digits, or text changes.

=== TEST 1: byte for byte: %%VALUE%%
--- each
VALUE
18446744073709551615
1.10
1e400
-0
-0.0
1E+2
9007199254740993
-18446744073709551615
123456789012345678901234567890
0.1000000000000000055511151231257827
"text"
"\u0041\u00e9\ud83d\ude00\/\"\\"
"é"
"\u0000"
"\ud800"
null
true
false
{}
[]
{"a" : 1 , "a":2}
[ 1,  2 ]
{"b":1,"a":2}
{"n":18446744073709551615,"l":[1.10,{"x":1e400}]}
""
[[[[[[[[[[1]]]]]]]]]]
--- node
x.plain %%VALUE%%
--- data
plain %%VALUE%%



=== TEST 2: byte for byte: a text of 60000 characters
--- node eval
'x.plain "' . 'x' x 60000 . '"'
--- data eval
'plain "' . 'x' x 60000 . '"'



=== TEST 3: byte for byte over WebSocket, too
--- node
x.plain {"amount": 18446744073709551615}
--- request
GET /ws
--- websocket
--- ws_send
{"type":"subscribe","stream":"plain"}
--- ws_like
"data":\{"amount": 18446744073709551615\},



# Large integers through a program. If this fails, what a program passes on is
# rounded, or becomes text.

=== TEST 4: 18446744073709551615 in: %%PROGRAM%%
--- each
PROGRAM || RESULT
.results.v || 18446744073709551615
[.results.v, .results.v] || [18446744073709551615,18446744073709551615]
{a: .results.v, b: {c: [.results.v]}} || {"a":18446744073709551615,"b":{"c":[18446744073709551615]}}
.results.v | [tostring, "\(.)", @text, "n=\(.)", (tostring | type), (tostring | length)] || ["18446744073709551615","18446744073709551615","18446744073709551615","n=18446744073709551615","string",20]
.results.v | [type, (numbers | "a number"), ([strings] | length), (tonumber | type)] || ["number","a number",0,"number"]
.results.v | [([.] | tostring), tojson, (tojson | fromjson | type)] || ["[18446744073709551615]","18446744073709551615","number"]
.results.v | [@json, @uri, @base64, @html, ([.] | @csv), "\([.])"] || ["18446744073709551615","18446744073709551615","MTg0NDY3NDQwNzM3MDk1NTE2MTU=","18446744073709551615","18446744073709551615","[18446744073709551615]"]
[.results.v + 1, 1 + .results.v, ([.results.v, 5] | add), null + .results.v, -.results.v] | map(type) || ["number","number","number","number","number"]
[(.results.v - .results.v), (.results.v / .results.v), (.results.v * 0), (.results.v | length | type)] || [0,1,0,"number"]
.results.v as $v | [$v == $v, $v != $v, $v == 5, $v > 5, $v >= 5, 5 < $v, $v < 5, $v <= $v, $v > "a"] || [true,false,false,true,true,true,false,true,false]
{(.results.v | tostring): 1} || {"18446744073709551615":1}
[.results.v, 9007199254740993, 3, 10] | length || 4
reduce (.results.v, .results.v) as $x ([]; . + [$x]) || [18446744073709551615,18446744073709551615]
{n: .results.v} | .n += 0 | .n | type || "number"
.results.v | [floor, ceil, round] || [18446744073709552000,18446744073709552000,18446744073709552000]
--- program
%%PROGRAM%%
--- node
x.v 18446744073709551615
--- data
p %%RESULT%%



=== TEST 5: 18446744073709551615 in the error of: %%PROGRAM%%
--- each
PROGRAM || ERROR
error("too big: \(.results.v)") || \Atoo big: 18446744073709551615\z
.results.v | {} - . || \Aobject \(\{\}\) and number \(18446744073(?:\.\.\.|709551615)\) cannot be subtracted\z
--- program
%%PROGRAM%%
--- node
x.v 18446744073709551615
--- stream_error
p %%ERROR%%



=== TEST 6: %%VALUE%% as it is, in objects and arrays, as text
--- each
VALUE                           | LENGTH
-18446744073709551615           | 21
9007199254740993                | 16
-9007199254740993               | 17
123456789012345678901234567890  | 30
9007199254740992                | 16
9007199254740991                | 16
12345678901234567               | 17
0                               | 1
-1                              | 2
1.5                             | 3
--- node
x.v %%VALUE%%
--- data
same %%VALUE%%
member {"a":%%VALUE%%,"b":{"c":[%%VALUE%%]}}
text ["%%VALUE%%","%%VALUE%%","%%VALUE%%","n=%%VALUE%%","string",%%LENGTH%%]



=== TEST 7: %%WHAT%%
--- each
WHAT || VALUE || RESULT
large integers anywhere in a result, and text that looks like them || {"a":[18446744073709551615,{"b":18446744073709551615,"18446744073709551615":"18446744073709551615","s":"x18446744073709551615"}],"c":1.5} || {"a":[18446744073709551615,{"b":18446744073709551615,"18446744073709551615":"18446744073709551615","s":"x18446744073709551615"}],"c":1.5}
strings with escapes || "a\"b\\c\u0001\ud83d\ude00" || "a\"b\\c\u0001😀"
--- node
x.v %%VALUE%%
--- data
same %%RESULT%%



# Programs that fail. If this fails, one odd reply of the node blanks a page, or
# nobody learns of it.

=== TEST 8: the error of: %%PROGRAM%%
--- each
PROGRAM || ERROR
empty || \Athe jq program has no output\z
.results.v | keys + 1 || cannot be added
error({code: 7}) || \A\{"code":7\}\z
error("one\ntwo\t\r\u0007three") || \Aone two   three\z
--- program
%%PROGRAM%%
--- node
x.v {"n":1}
--- stream_error
p %%ERROR%%
--- no_error_log eval
[qr/^two/, qr/\xee\x80|bc_int/, '[alert]', '[emerg]']



=== TEST 9: a call that fails is told with its words
--- program
.results.v
--- node
x.v error {"code":-32001,"message":"not \"today\""}
--- stream_error
p \Ax\.v: not "today"\z



# Logs whose program is wrong. If this fails, the log stays empty without a word.

=== TEST 10: a log with %%VALUE%%
--- each
VALUE
[]
{"other":[]}
{"rows":{}}
{"rows":null}
"x"
null
--- node
x.nolist %%VALUE%%
--- stream_error
nolist \Athe data of a log stream has to be an object with the array "rows"\z



=== TEST 11: a log with its field
--- node
x.nolist {"rows":[{"id":1}],"other":5}
--- data
nolist {"rows":[{"id":1}],"count":1}



# Too much data. If this fails, a stream stops without a word, or overwrites
# another one's memory.

=== TEST 12: data of max_size bytes
--- node eval
'x.small "' . 'x' x 1022 . '"'
--- data eval
'small "' . 'x' x 1022 . "\"\nsmall_jq \"" . 'x' x 1022 . '"'



=== TEST 13: one byte more: both numbers, and the last good data
--- node eval
'x.small "' . 'y' x 1023 . '"'
--- stream_error
small \Athe data is 1025 bytes, blockcast_max_size is 1024\z
small_jq \Athe data is 1025 bytes, blockcast_max_size is 1024\z
--- data eval
'small "' . 'x' x 1022 . "\"\nsmall_jq \"" . 'x' x 1022 . '"'



=== TEST 14: it goes on when it fits
--- node
x.small "ok"
--- data
small "ok"
