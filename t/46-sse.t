#!/usr/bin/perl

# Server-sent events and long polling: requests and the heads of their answers.
# If this fails, a page behind a proxy that lets no WebSocket through sees
# nothing, or an error it cannot read. What comes while the data changes is in
# t/46-sse-live.t.

use Blockcast::Socket 'no_plan';

share(
    node => <<'EOC',
x.fast 1
x.still 2
x.never error {"code":-5,"message":"none yet"}
EOC
    http_config => <<'EOC',
    blockcast_stream fast { blockcast_interval 50ms; blockcast_call c x.fast; }
    blockcast_stream still { blockcast_interval 50ms; blockcast_call c x.still; }
    blockcast_stream never { blockcast_interval 50ms; blockcast_call c x.never; }
EOC
    config => <<'EOC',
    location /events { blockcast_sse; }
    location /some { blockcast_sse fast; }
    location /api/ { blockcast_api; }
    location /packed {
        blockcast_sse;
        gzip on;
        gzip_types text/event-stream;
        gzip_min_length 0;
    }
EOC
);

run_tests();

__DATA__

=== TEST 1: an event stream: a hint when to come back, then events with an id
--- request
GET /events?streams=fast
--- response_headers
Content-Type: text/event-stream
Cache-Control: no-store
X-Accel-Buffering: no
--- events_like
\Aretry: [23]\d\d\d$
^id: \d+\S*\ndata: \{"type":"fast","data":1,"timestamp":\d+,"seq":1\}\n\n



=== TEST 2: streams named in the address: %%PATH%%
--- each
PATH                            | WHAT
/events/fast                    | as the last part of the path
/events?streams=fast,still      | several
/events?streams=fast%2Cstill    | as a browser writes it
/some                           | those the location offers
--- request
GET %%PATH%%
--- events_like
^data: \{"type":"fast","data":1,



=== TEST 3: several streams: events of each
--- request
GET /events?streams=fast,still
--- events_like
(?s)"type":"(?:fast|still)".*"type":"(?:fast|still)"



=== TEST 4: a stream without data says so
--- request
GET /events/never
--- events_like
^data: \{"type":"status",.*"state":"waiting"



=== TEST 5: gzip in front
--- request
GET /packed/fast
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
--- events_like



=== TEST 6: %%PATH%%, which is not there
--- each
PATH            | WHAT
/events/nosuch  | an unknown stream
/some/still     | one that the location does not offer
--- request
GET %%PATH%%
--- error_code: 404



=== TEST 7: POST
--- request
POST /events/fast
x
--- error_code: 405



# Long polling.

=== TEST 8: an old seq is answered at once: %%QUERY%%
--- each
QUERY
wait=10s&after=0
wait=10s&after=1001
wait=0&after=1
--- request
GET /api/streams/still?%%QUERY%%
--- response_body_like: "data":2



=== TEST 9: the newest: 204 when the time is over, without a body
--- request
GET /api/streams/still?wait=300ms%%MORE%%
--- each
MORE
&after=1
(none)
--- error_code: 204
--- response_body



=== TEST 10: ?%%QUERY%% is refused, with the name of the parameter
--- each
QUERY
wait=x
wait=
wait=-1s
wait=61s
wait=10s&after=x
wait=10s&after=-1
wait=10s&after=99999999999999999999
wait=10s&after=
wait=10%20s
--- request
GET /api/streams/still?%%QUERY%%
--- error_code: 400
--- body_json
message         /^the parameter (wait|after) must be/
