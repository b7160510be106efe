#!/usr/bin/perl

# The metrics as a page, and what a log at level debug tells of a poll. If this
# fails, Prometheus does not take the page for what it is, or nobody can follow
# what happens. The numbers are in t/62-metrics.t.

use Blockcast::Socket 'no_plan';

share(
    node => "x.good 1\nx.bad fault {\"fault\":\"http_500\"}\n",
    http_config => <<'EOC',
    blockcast_stream good { blockcast_interval 200ms; blockcast_call c x.good; }
    blockcast_stream bad { blockcast_interval 200ms; blockcast_call c x.bad; }
EOC
    config => <<'EOC',
    location = /metrics { blockcast_metrics; }
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
EOC
);

run_tests();

__DATA__

=== TEST 1: the page, in the format that it names
--- request
GET /metrics
--- response_headers
Content-Type: text/plain; version=0.0.4
--- response_body_like eval
qr/\A(?:# (?:HELP|TYPE) blockcast_\w+ .+\n|blockcast_\w+(?:\{[^\n]*\})? \S+\n)+\z/



=== TEST 2: HEAD
--- request
HEAD /metrics
--- response_headers
Content-Type: text/plain; version=0.0.4
--- body_if_get



=== TEST 3: %%METRIC%% of a stream that nobody asked for
--- each
METRIC
blockcast_seq{stream="good"} 0
blockcast_updates_total{stream="good"} 0
blockcast_polls_total{stream="good"} 0
blockcast_subscribers{stream="good"} 0
blockcast_connections 0
blockcast_workers 1
blockcast_configurations_total 1
blockcast_interval_seconds{stream="good"} 0.200
--- request
GET /metrics
--- response_body_like eval
my $line = quotemeta '%%METRIC%%';
qr/^$line$/m



=== TEST 4: each step of a poll, at level debug
--- log_level: debug
--- no_error_log eval
[]
--- request
GET /ws
--- websocket
--- ws_send
{"type":"subscribe","stream":"good"}
{"type":"subscribe","stream":"bad"}
--- ws_like
"type":"good".*"seq":1\}
--- after_log
\[debug\].*blockcast: poll of stream "good", 1 calls
\[debug\].*blockcast: call \d+ "x\.good"
\[debug\].*blockcast: call \d+ "x\.good" done after \d+ ms: a result
\[debug\].*blockcast: call \d+ "x\.bad" done after \d+ ms: HTTP 500
\[debug\].*blockcast: stream "good" is at seq 1, polled in \d+ ms, published in \d+ us
\[debug\].*blockcast: seq 1 of stream "good" is copied, \d+ bytes
\[debug\].*blockcast: seq 1 of stream "good" went to 1 clients within \d+ us
\[debug\].*blockcast: handshake done, protocol 0, deflate 0, streams allowed 0x3
