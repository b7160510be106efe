#!/usr/bin/perl

# Who sees what. If this fails, a visitor learns which streams there are that
# are not for him, how they do and who listens to them, by an address that was
# forgotten; or a load balancer without a token takes the gateway for dead.
# That hidden streams are like those that do not exist is in t/21-hidden.t.

use Blockcast::Socket 'no_plan';

# What belongs to the streams that one may see. one-alpha is well; two-beta asks
# a node that is not there; three-gamma is a log. Their names, those of their
# nodes and calls occur nowhere else.

my %streams = (all => [qw(one-alpha two-beta three-gamma)], a => ['one-alpha'],
    b => [qw(two-beta three-gamma)], none => []);
my %nodes = (all => [qw(node_one node_two)], a => ['node_one'], b => [qw(node_one node_two)], none => []);
my %calls = (all => [qw(call-alpha call-beta call-gamma)], a => ['call-alpha'],
    b => [qw(call-beta call-gamma)], none => []);
my %methods = (all => [qw(net.stats secret.method receipt.audit node_idle)], a => ['net.stats'],
    b => [qw(secret.method receipt.audit)], none => []);

our $streams = sub { join ' ', @{ $streams{$_[0]} } };
our $nodes = sub { join ' ', map { @{ $_->{$_[0]} } } \%streams, \%nodes };
our $calls = sub { join ' ', map { @{ $_->{$_[0]} } } \%streams, \%nodes, \%calls };

our $hidden = sub {
    my ($sees) = @_;
    my %may = map { $_ => 1 } map { @{ $_->{$sees} } } \%streams, \%nodes, \%calls, \%methods;
    return join ' ', grep { !$may{$_} } map { @{ $_->{all} } } \%streams, \%nodes, \%calls, \%methods;
};

our $events = sub { join '', map { qq("(?:type|stream)":"$_"\n) } @{ $streams{$_[0]} } };

my %tables = (

    # who is answered: the token, the variable, what he sees, the status of a
    # health: two-beta has no data, and who sees no stream hears of all of them

    askers => <<'EOC',
WAY     | TOKEN                   | VAR     | SEES  | HEALTH
open    | none                    | none    | all   | 503
token   | a-0123456789abcdef      | none    | a     | 200
token   | b-0123456789abcdef      | none    | b     | 503
token   | all-0123456789abcdef    | none    | all   | 503
token   | gone-0123456789abcdef   | none    | none  | 503
var     | none                    | none    | none  | 503
var     | none                    | a       | a     | 200
var     | none                    | b       | b     | 503
var     | none                    | all     | all   | 503
var     | none                    | typo    | none  | 503
var     | a-0123456789abcdef      | b       | b     | 503
both    | a-0123456789abcdef      | all     | a     | 200
both    | all-0123456789abcdef    | b       | b     | 503
both    | a-0123456789abcdef      | b       | none  | 503
both    | b-0123456789abcdef      | none    | none  | 503
EOC

    # who is refused

    strangers => <<'EOC',
WAY     | TOKEN                   | VAR
token   | none                    | none
token   | wrong-0123456789abcdef  | none
both    | none                    | all
both    | wrong-0123456789abcdef  | all
EOC
);

$tables{lists} = $tables{askers} . "some    | none                    | none    | a     | 200\n";
$tables{viewers} = join '', grep { !/\| none  \|/ } split /^/, $tables{lists};
$tables{blind} = join '', grep { /^WAY|\| none  \|/ } split /^/, $tables{lists};

share(
    tables => \%tables,
    node => '',
    conf_files => <<'EOC',
>>> tokens
all-0123456789abcdef all
a-0123456789abcdef a one-alpha
b-0123456789abcdef b two-beta,three-gamma
gone-0123456789abcdef g one-alpah
EOC
    http_config => <<'EOC',
    map $arg_who $granted {
        a       one-alpha;
        b       "two-beta three-gamma";
        all     "*";
        default "";
    }

    upstream node { server %%NODE%%; keepalive 8; }

    blockcast_stream one-alpha {
        blockcast_interval 200ms;
        blockcast_stale 60s;
        blockcast_always on;
        blockcast_node node_one;
        blockcast_call call-alpha net.stats;
    }
    blockcast_stream two-beta {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_node node_two;
        blockcast_call call-beta secret.method;
    }
    blockcast_stream three-gamma {
        blockcast_interval 200ms;
        blockcast_stale 60s;
        blockcast_always on;
        blockcast_node node_one;
        blockcast_call call-gamma receipt.audit;
        blockcast_jq '{receipts: [{id: 1}, {id: 2}]}';
        blockcast_log receipts key=id;
    }
EOC
    config => <<'EOC',
    location = /_one {
        blockcast_node node_one;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
    }
    location = /_two { blockcast_node node_two; proxy_pass http://127.0.0.1:1/; }
    location = /_idle { blockcast_node node_idle; proxy_pass http://127.0.0.1:1/; }

    # all
    location = /open/ws { blockcast_websocket; }
    location /open/api/ { blockcast_api; }
    location /open/events { blockcast_sse; }
    location = /open/health { blockcast_health; }
    location = /open/metrics { blockcast_metrics; }

    # what the location offers
    location = /some/ws { blockcast_websocket one-alpha; }
    location /some/api/ { blockcast_api one-alpha; }
    location /some/events { blockcast_sse one-alpha; }

    # what the token opens
    location /token {
        blockcast_tokens tokens;
        location = /token/ws { blockcast_websocket; }
        location /token/api/ { blockcast_api; }
        location /token/events { blockcast_sse; }
        location = /token/health { blockcast_health; }
        location = /token/metrics { blockcast_metrics; }
        location = /token/rest { blockcast_rest three-gamma; }
    }

    # what a variable grants
    location /var {
        blockcast_allow_streams $granted;
        location = /var/ws { blockcast_websocket; }
        location /var/api/ { blockcast_api; }
        location /var/events { blockcast_sse; }
        location = /var/health { blockcast_health; }
        location = /var/metrics { blockcast_metrics; }
        location = /var/rest { blockcast_rest three-gamma; }
    }

    # both
    location /both {
        blockcast_tokens tokens;
        blockcast_allow_streams $granted;
        location = /both/ws { blockcast_websocket; }
        location /both/api/ { blockcast_api; }
        location /both/events { blockcast_sse; }
        location = /both/health { blockcast_health; }
        location = /both/metrics { blockcast_metrics; }
        location = /both/rest { blockcast_rest three-gamma; }
    }
EOC
);

run_tests();

__DATA__

=== TEST 1: two streams are live, one has an error and its node is down; all of it is shown without limits
--- until: /open/health ^(?=.*"one-alpha"[^}]*"state":"live")(?=.*"three-gamma"[^}]*"state":"live")(?=.*"node_two","state":"down")
--- request
GET /open/health
--- error_code: 503
--- body_json
streams.length              3
nodes.length                3
streams.name=two-beta.error /^secret\.method/
nodes.name=node_two.state   "down"



=== TEST 2: /%%WAY%%/%%PATH%% lists what is seen: token %%TOKEN%%, variable %%VAR%%
--- each: lists
--- each
PATH
api/streams
api/
--- request
GET /%%WAY%%/%%PATH%%?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- shows eval: $main::streams->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 3: /%%WAY%%/api/health, also of its nodes: token %%TOKEN%%, variable %%VAR%%
--- each: lists
--- request
GET /%%WAY%%/api/health?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- error_code: %%HEALTH%%
--- shows eval: $main::nodes->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 4: /%%WAY%%/health: token %%TOKEN%%, variable %%VAR%%
--- each: askers
--- request
GET /%%WAY%%/health?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- error_code: %%HEALTH%%
--- shows eval: $main::nodes->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 5: /%%WAY%%/metrics, also of its calls: token %%TOKEN%%, variable %%VAR%%
--- each: askers
--- request
GET /%%WAY%%/metrics?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- shows eval: $main::calls->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 6: the events of /%%WAY%%/events: token %%TOKEN%%, variable %%VAR%%
--- each: viewers
--- request
GET /%%WAY%%/events?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- events_like eval: $main::events->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 7: no events at /%%WAY%%/events: token %%TOKEN%%, variable %%VAR%%
--- each: blind
--- request
GET /%%WAY%%/events?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- events_like: retry:
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 8: the welcome of /%%WAY%%/ws, %%PROTOCOL%%: token %%TOKEN%%, variable %%VAR%%
--- each: lists
--- each
PROTOCOL
blockcast.v1.json
blockcast.v1.cbor
--- websocket
--- request
GET /%%WAY%%/ws?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
Sec-WebSocket-Protocol: %%PROTOCOL%%
--- ws_like: welcome
--- shows eval: $main::streams->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 9: JSON-RPC's list at /%%WAY%%/ws: token %%TOKEN%%, variable %%VAR%%
--- each: lists
--- websocket
--- request
GET /%%WAY%%/ws?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
Sec-WebSocket-Protocol: jsonrpc
--- ws_send
{"jsonrpc":"2.0","id":1,"method":"streams"}
--- ws_like: "id":1\b
--- shows eval: $main::streams->('%%SEES%%')
--- hides eval: $main::hidden->('%%SEES%%')



=== TEST 10: /%%WAY%%/%%PATH%% is refused: token %%TOKEN%%, variable %%VAR%%
--- each: strangers
--- each
PATH
api/streams
api/
api/health
metrics
events
--- request
GET /%%WAY%%/%%PATH%%?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- error_code: 401
--- hides eval: $main::hidden->('none')



=== TEST 11: a WebSocket at /%%WAY%%/ws, %%PROTOCOL%%, is refused: token %%TOKEN%%, variable %%VAR%%
--- each: strangers
--- each
PROTOCOL
blockcast.v1.json
blockcast.v1.cbor
jsonrpc
--- websocket
--- request
GET /%%WAY%%/ws?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
Sec-WebSocket-Protocol: %%PROTOCOL%%
--- error_code: 401
--- hides eval: $main::hidden->('none')



=== TEST 12: a health tells a balancer, which has no token, the status of all streams and nothing else: /%%WAY%%
--- each
WAY
token
both
--- request
GET /%%WAY%%/health?who=all
--- error_code: 503
--- response_body_like: ^\{"status":"failing","timestamp":\d+\}$
--- hides eval: $main::hidden->('none')



=== TEST 13: a health with a wrong token is refused: /%%WAY%%
--- each
WAY
token
both
--- request
GET /%%WAY%%/health?who=all
--- more_headers
Authorization: Bearer wrong-0123456789abcdef
--- error_code: 401
--- hides eval: $main::hidden->('none')



=== TEST 14: with a token, the status, the nodes and the error are those of its streams
--- request
GET /token/health
--- more_headers
Authorization: Bearer a-0123456789abcdef
--- body_json
status              "ok"
nodes.*.name        ["node_one"]
node.error          null
workers.0.pid       /^\d+$/



=== TEST 15: POST of %%PATH%%
--- each
PATH
/token/health
/token/metrics
--- request
POST %%PATH%%
x
--- more_headers
Authorization: Bearer a-0123456789abcdef
--- error_code: 405



=== TEST 16: a location of one stream is there for all to see, but not its name: %%PATH%%
--- each
PATH            | TOKEN               | VAR
/token/rest     | a-0123456789abcdef  | none
/var/rest       | none                | a
/both/rest      | a-0123456789abcdef  | all
--- request
GET %%PATH%%?who=%%VAR%%
--- more_headers
Authorization: Bearer %%TOKEN%%
--- error_code: 403
--- hides: three-gamma



=== TEST 17: and with the right token it has the stream
--- request
GET /token/rest
--- more_headers
Authorization: Bearer b-0123456789abcdef
--- shows: receipts
