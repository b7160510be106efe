#!/usr/bin/perl

# Our directives in every kind of block of nginx. If this fails, an "if" for a
# CORS header or a limit_except beside an endpoint kills the worker with all its
# clients, or answers as if the endpoint were not there. t/31-every-block-live.t
# has what lasts longer than a request.

use Blockcast::Socket 'no_plan';

# What each endpoint answers to a plain GET.

my $endpoints = <<'EOC';
ENDPOINT    || STATUS   || LIKE                             || DIRECTIVE
websocket   || 426      || WebSocket address                || blockcast_websocket;
echo        || 426      || WebSocket address                || blockcast_echo;
api         || 200      || "name":"alpha".*"name":"beta"    || blockcast_api;
rest        || 200      || "tps"                            || blockcast_rest alpha;
health      || 200      || "status":"ok"                    || blockcast_health;
metrics     || 200      || (?m)^blockcast_info\{            || blockcast_metrics;
poke        || 405      || POST is                          || blockcast_poke;
EOC

my $sse = "sse         || 200      || \"type\":\"alpha\"                   || blockcast_sse alpha beta;\n";

# The kinds of block: a configuration in which PATH answers as the endpoint
# DIRECTIVE does when the request has "X-Try: 1". OTHER is another address. Some
# add a header to the answer.

my $kinds = <<'EOC';
KIND                    || HEADER    || BLOCK
exact                   || (none)    || location = PATH { DIRECTIVE }
prefix                  || (none)    || location PATH { DIRECTIVE }
caret                   || (none)    || location ^~ PATH { DIRECTIVE }
regex                   || (none)    || location ~ ^PATH$ { DIRECTIVE }
nocase                  || (none)    || location ~* ^PATH$ { DIRECTIVE }
nested                  || (none)    || location PATH { location = PATH { DIRECTIVE } }
nested_deep             || (none)    || location ^~ PATH { location ~ ^PATH { location ~ PATH$ { DIRECTIVE } } }
nested_regex            || (none)    || location PATH { location ~ ^PATH$ { DIRECTIVE } }
nested_other            || (none)    || location PATH { blockcast_health; location = PATH { DIRECTIVE } }
nested_in_echo          || (none)    || location PATH { blockcast_echo; location = PATH { DIRECTIVE } }
nested_bare             || (none)    || location PATH { DIRECTIVE location = PATH/inside { return 204; } }
if_origin               || X-If: 1   || location = PATH { if ($http_origin) { add_header X-If 1; } DIRECTIVE }
if_before               || X-If: 1   || location = PATH { if ($http_x_try) { add_header X-If 1; } DIRECTIVE }
if_after                || X-If: 1   || location = PATH { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }
if_empty                || (none)    || location = PATH { DIRECTIVE if ($http_x_try) { } }
if_set                  || (none)    || location = PATH { DIRECTIVE if ($http_x_try) { set $x 1; } }
if_no                   || (none)    || location = PATH { DIRECTIVE if ($http_x_no) { return 403; } }
if_twice                || X-If: 1   || location = PATH { if ($http_x_try) { set $x 1; } if ($http_x_try) { add_header X-If 1; } DIRECTIVE }
if_regex                || X-If: 1   || location ~ ^PATH$ { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }
if_break                || (none)    || location = PATH { DIRECTIVE if ($http_x_try) { break; } }
if_rewrite_break        || (none)    || location = PATH { DIRECTIVE if ($http_x_try) { rewrite ^ /streams break; } }
if_gzip                 || (none)    || location = PATH { DIRECTIVE if ($http_x_try) { gzip on; } }
inside_if               || (none)    || location = PATH { if ($http_x_try) { DIRECTIVE } }
inside_if_bare          || (none)    || location = PATH { if ($http_x_try) { DIRECTIVE } if ($http_x_try) { add_header X-If 1; } }
inside_if_other         || (none)    || location = PATH { blockcast_health; if ($http_x_try) { DIRECTIVE } }
inside_if_other_bare    || (none)    || location = PATH { blockcast_metrics; if ($http_x_try) { DIRECTIVE } if ($http_x_try) { add_header X-If 1; } }
inside_if_echo_bare     || (none)    || location = PATH { blockcast_echo; if ($http_x_try) { DIRECTIVE } if ($http_x_try) { set $x 1; } }
inside_if_two           || (none)    || location = PATH { if ($http_x_no) { ANOTHER } if ($http_x_try) { DIRECTIVE } if ($http_x_try) { set $x 1; } }
inside_if_proxy         || (none)    || location = PATH { proxy_pass http://127.0.0.1:1; if ($http_x_try) { DIRECTIVE } }
except_get              || (none)    || location = PATH { DIRECTIVE limit_except GET { deny all; } }
except_post             || (none)    || location = PATH { DIRECTIVE limit_except POST { allow all; } }
except_empty            || (none)    || location = PATH { limit_except POST { } DIRECTIVE }
except_regex            || (none)    || location ~ ^PATH$ { limit_except POST PUT { allow all; } DIRECTIVE }
except_if               || (none)    || location = PATH { DIRECTIVE limit_except POST { allow all; } if ($http_x_try) { add_header X-If 1; } }
error_named             || (none)    || location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE }
error_uri               || (none)    || location = PATH { error_page 418 = OTHER; return 418; } location = OTHER { internal; DIRECTIVE }
error_named_if          || X-If: 1   || location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }
error_named_except      || (none)    || location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE limit_except POST { allow all; } }
try_named               || (none)    || location = PATH { try_files /none @NAME; } location @NAME { DIRECTIVE }
try_uri                 || (none)    || location = PATH { try_files /none OTHER; } location = OTHER { internal; DIRECTIVE }
rewrite_last            || (none)    || location = PATH { rewrite ^ OTHER last; } location = OTHER { DIRECTIVE }
rewrite_internal        || (none)    || location = PATH { rewrite ^ OTHER last; } location = OTHER { internal; DIRECTIVE }
rewrite_break           || (none)    || location = PATH { rewrite ^ /streams break; DIRECTIVE }
rewrite_if_last         || X-If: 1   || location = PATH { if ($http_x_try) { rewrite ^ OTHER last; } } location = OTHER { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }
server_if               || (none)    || if ($uri = PATH) { rewrite ^ OTHER last; } location = OTHER { DIRECTIVE }
server_rewrite          || (none)    || rewrite ^PATH$ OTHER last; location = OTHER { DIRECTIVE }
EOC

# Blocks with an answer of their own.

my $own = <<'EOC';
KIND            || OWN    || BLOCK
denied          || 403    || location = PATH { DIRECTIVE limit_except POST { deny all; } }
internal        || 404    || location = PATH { internal; DIRECTIVE }
nested_none     || 404    || location PATH { DIRECTIVE location = PATH { } }
if_return       || 410    || location = PATH { DIRECTIVE if ($http_x_try) { return 410; } }
if_proxy        || 203    || location = PATH { DIRECTIVE if ($http_x_try) { proxy_pass http://127.0.0.1:%%PORT1%%; } }
except_proxy    || 203    || location = PATH { DIRECTIVE limit_except POST { proxy_pass http://127.0.0.1:%%PORT1%%; } }
unclear         || 500    || location = PATH { if ($http_x_try) { DIRECTIVE } if ($http_x_no) { DIRECTIVE } if ($http_x_try) { set $x 1; } }
EOC

# Where each directive is refused.

my $places = <<'EOC';
PLACE       || BLOCK
http        || DIRECTIVE
server      || server { DIRECTIVE }
server if   || server { if ($http_origin) { DIRECTIVE } }
except      || server { location = /x { limit_except GET { DIRECTIVE } } }
EOC

# in a regex or a named location an API goes by the end of the path

sub path { "/$_[0]/$_[1]" . ($_[1] eq 'api' ? '/streams' : '') }

sub rows { my (undef, @rows) = split /\n/, $_[0]; map { [split /\s*\|\|\s*/] } @rows }

my @endpoints = rows($endpoints . $sse);
my $server = "rewrite_log off;\nset \$x 0;\n";

for my $k (rows($kinds), rows($own)) {
    my ($kind, undef, $text) = @$k;

    for my $e (@endpoints) {
        my ($name, undef, undef, $directive) = @$e;
        my $another = $name eq 'health' ? 'blockcast_metrics;' : 'blockcast_health;';

        $server .= $text =~ s/ANOTHER/$another/gr =~ s/DIRECTIVE/$directive/gr
            =~ s{PATH}{path($kind, $name)}ger =~ s{OTHER}{path("$kind-other", $name)}ger
            =~ s/NAME/$kind\_$name/gr . "\n";
    }
}

share(
    tables => { endpoints => $endpoints, all => $endpoints . $sse, kinds => $kinds, own => $own, places => $places },
    node => '',
    http_config => <<'EOC',
    variables_hash_max_size 4096;
    server { listen 127.0.0.1:%%PORT1%%; location / { return 203 "another server\n"; } }
    blockcast_stream alpha { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
EOC
    config => $server . <<'EOC',
    location ~ ^/regex-sse/ { blockcast_sse alpha beta; }
    location = /error-page { error_page 418 /error-page-ws; return 418; }
    location = /error-page-ws { blockcast_websocket; }
    location = /error-page2 { error_page 418 /error-page-sse; return 418; }
    location = /error-page-sse { blockcast_sse; }
    location /echo-in-ws { blockcast_websocket; location = /echo-in-ws { blockcast_echo; } }
    location = /post-action { post_action /post-action-ws; return 200 "before"; }
    location = /post-action-ws { blockcast_websocket; }
    location = /post-action2 { post_action /post-action-sse; return 200 "before"; }
    location = /post-action-sse { blockcast_sse; }
EOC
);

run_tests();

__DATA__

=== TEST 1: GET of %%ENDPOINT%%, %%KIND%%
--- until: /exact/rest "tps"
--- each: endpoints
--- each: kinds
--- request eval: 'GET ' . main::path('%%KIND%%', '%%ENDPOINT%%')
--- more_headers
Origin: http://localhost
X-Try: 1
--- error_code: %%STATUS%%
--- response_body_like: %%LIKE%%
--- response_headers eval: '%%STATUS%%' eq '200' ? '%%HEADER%%' : ''



=== TEST 2: an upgrade of %%ENDPOINT%%, which is no WebSocket, %%KIND%%
--- each
ENDPOINT    || STATUS   || LIKE
api         || 200      || "name":"alpha".*"name":"beta"
rest        || 200      || "tps"
health      || 200      || "status":"ok"
metrics     || 200      || (?m)^blockcast_info\{
poke        || 405      || POST is
--- each: kinds
--- request eval: 'GET ' . main::path('%%KIND%%', '%%ENDPOINT%%')
--- more_headers
X-Try: 1
Connection: Upgrade, close
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: %%STATUS%%
--- response_body_like: %%LIKE%%



=== TEST 3: an event stream, %%MORE%%, %%KIND%%
--- each
MORE
X-More: none
Upgrade: websocket
--- each: kinds
--- request eval: 'GET ' . main::path('%%KIND%%', 'sse')
--- more_headers
Origin: http://localhost
X-Try: 1
%%MORE%%
--- response_headers
%%HEADER%%
--- events_like
"type":"alpha"
"type":"beta"



=== TEST 4: a WebSocket, %%KIND%%
--- each: kinds
--- websocket
--- request
GET /%%KIND%%/websocket
--- more_headers
X-Try: 1
--- ws_send
{"type":"subscribe","stream":"alpha"}
--- ws_like
"type":"welcome"
"type":"alpha".*"tps"



=== TEST 5: an echo, %%KIND%%
--- each: kinds
--- websocket
--- request
GET /%%KIND%%/echo
--- more_headers
X-Try: 1
--- ws_send
hello
--- ws_like: ^hello$



=== TEST 6: %%KIND%% answers %%OWN%% in place of %%ENDPOINT%%
--- each: all
--- each: own
--- request eval: 'GET ' . main::path('%%KIND%%', '%%ENDPOINT%%')
--- more_headers
X-Try: 1
--- error_code: %%OWN%%



=== TEST 7: %%KIND%% answers %%OWN%% to a handshake in place of %%ENDPOINT%%
--- each: all
--- each: own
--- request eval: 'GET ' . main::path('%%KIND%%', '%%ENDPOINT%%')
--- more_headers
X-Try: 1
Connection: Upgrade, close
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: %%OWN%%



=== TEST 8: the log says what cannot be told
--- request
GET /unclear/health
--- more_headers
X-Try: 1
--- error_code: 500
--- error_log
more than one "if" has matched



=== TEST 9: limit_except guards an endpoint, and lets through what it names: %%KIND%%
--- each
KIND            | STATUS
except_get      | 403
except_post     | 405
--- request
POST /%%KIND%%/api/streams
{}
--- error_code: %%STATUS%%



=== TEST 10: a stream in a regex location, by its name or as an argument: %%PATH%%
--- each
PATH
beta
?streams=beta
--- request
GET /regex-sse/%%PATH%%
--- events_like: "type":"beta"
--- hides: "type":"alpha"



=== TEST 11: no WebSocket with the status of an error
--- websocket
--- request
GET /error-page
--- error_code: 418



=== TEST 12: and no event stream, which keeps its status
--- request
GET /error-page2
--- error_code: 418
--- response_body_like: error_page without "="



=== TEST 13: nothing opens behind the end of a response: %%PATH%%
--- each
PATH
/post-action
/post-action2
--- request
GET %%PATH%%
--- more_headers
Origin: http://localhost
Connection: Upgrade, close
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- response_body chomp
before



=== TEST 14: what a WebSocket location does by itself is not for an echo in it
--- websocket
--- request
GET /echo-in-ws
--- origin: http://elsewhere.test
--- ws_send
hello
--- ws_like: ^hello$



=== TEST 15: no worker was killed
--- request
GET /exact/health
--- error_code: 200
--- no_error_log
exited on signal



=== TEST 16: %%DIRECTIVE%% is refused in %%PLACE%%
--- each: all
--- each: places
--- http_config eval: '%%BLOCK%%' =~ s/DIRECTIVE/%%DIRECTIVE%%/r
--- config
--- must_die
--- error_log eval: ('%%DIRECTIVE%%' =~ /(\w+)/)[0] . '" directive is not allowed here'



=== TEST 17: blockcast_node is refused in %%PLACE%%
--- each: places
--- http_config eval: '%%BLOCK%%' =~ s/DIRECTIVE/blockcast_node;/r
--- config
--- must_die
--- error_log
"blockcast_node" directive is not allowed here



=== TEST 18: blockcast_node is refused in the "if" of a location
--- config
location = /x { if ($http_origin) { blockcast_node; } }
--- must_die
--- error_log
"blockcast_node" directive is not allowed here



=== TEST 19: location %%WHERE%% has no node
--- each
WHERE
~ ^/x
@x
--- http_config
--- config
location %%WHERE%% { blockcast_node; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log
blockcast_node "default" must be in a prefix or exact location
