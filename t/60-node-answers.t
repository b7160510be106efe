#!/usr/bin/perl

# Answers of a node that are unusual and no outage. If this fails, "telemetry
# disabled" is taken for one, or a node can write lines of its own into our log
# or break the JSON that we send. Faults and recoveries are in
# t/60-node-faults.t.

use Blockcast::Socket 'no_plan';

share(
    node => qq(x.bad "good"\n),
    http_config => <<'EOC',
    blockcast_stream bad {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.bad;
    }
    blockcast_stream nowhere {
        blockcast_node none;
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.bad;
    }
EOC
    config => <<'EOC',
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node;
        proxy_pass http://%%NODE%%/;
        proxy_set_header Host localhost;
    }
    location = /_none { blockcast_node none; }
EOC
);

run_tests();

__DATA__

=== TEST 1: the world cannot ask the node through us: %%METHOD%%
--- each
METHOD
GET
POST
--- request
%%METHOD%% /_node
{"jsonrpc":"2.0","id":1,"method":"x.bad"}
--- error_code: 404



=== TEST 2: a result of another kind is a result: %%RESULT%%
--- each
RESULT
"good"
"telemetry disabled"
null
{"status":"unavailable"}
5
--- node
x.bad %%RESULT%%
--- data
bad %%RESULT%%
--- request
GET /api/streams
--- body_json
streams.name=bad.error      null
streams.name=bad.state      "live"



=== TEST 3: an error in several lines becomes one, of bounded length
--- node eval
'x.bad error {"code":-1,"message":"first\r\nsecond [forged] \"alert\"\t\u007f\u001b[31m\u20ac' . ('z' x 400) . '"}'
--- stream_error
bad \Ax\.bad: first  second \[forged\] "alert"   \[31m\x{20ac}z+\z
--- until_log
^\d\d\d\d[^\n]*first  second
--- no_error_log eval
["\nsecond", "\x1b", "[emerg]"]



=== TEST 4: and it is not longer than 255 bytes
--- node eval
'x.bad error {"code":-1,"message":"' . ('z' x 400) . '"}'
--- stream_error
bad \Ax\.bad: z{200,248}\z



=== TEST 5: a location that asks nobody: the error names it
--- stream_error
nowhere \Ax\.bad: the request to the node failed in nginx with 40\d, see location "\/_none": it is answered there, not passed on(?: \(asked again in \d+ s\))?\z
