#!/usr/bin/perl

# What an operator's server says to its clients is not for the calls to the
# node. If this fails, a line that many have in their nginx.conf ("no
# User-Agent: 403", "no TLS: 301") stops all streams, and the log blames the
# node or the wrong place.
#
# needs: lua

use strict;
use warnings;

use Blockcast::Socket 'no_plan';

# Debian's Lua module fits Debian's nginx alone
our $lua = ($ENV{BLOCKCAST_NGINX} // '/usr/sbin/nginx') eq '/usr/sbin/nginx'
           && -f '/usr/lib/nginx/modules/ngx_http_lua_module.so';

# Returns main_config that loads these, ours where it says "blockcast".
sub modules(@) {
    return join '', map {
        "load_module " . ($_ eq 'blockcast' ? $Blockcast::Socket::MODULE
                                            : "/usr/lib/nginx/modules/$_.so") . ";\n"
    } @_;
}

# the node is asked through a server of its own, which has the habits
share(node => "x.num 7\n");

add_block_preprocessor(sub {
    my ($block) = @_;
    my %part = (location => '= /_node', pass => '%%NODE%%', map { defined $block->$_ ? ($_ => $block->$_ =~ s/\s+\z//r) : () }
                qw(http habit location pass own more));

    $block->set_value(config => 'location /api/ { blockcast_api; }')
        if !defined $block->config;

    $block->set_value(http_config => Blockcast::Socket::_fill(<<"EOC"));
    blockcast_zone main 4m;
    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_call c x.num;
    }
    limit_req_zone \$request_method zone=req:1m rate=1r/m;
    limit_conn_zone \$request_method zone=conn:1m;
    @{[ $part{http} // '' ]}

    server {
        listen 127.0.0.1:%%PORT1%%;
        @{[ $part{habit} // '' ]}

        location $part{location} {
            blockcast_node;
            proxy_pass http://$part{pass}/;
            @{[ $part{own} // '' ]}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
        }

        @{[ $part{more} // '' ]}
    }
EOC
});

run_tests();

__DATA__

=== TEST 1: the server has %%HABIT%%
--- each
HABIT
if ($http_user_agent = "") { return 403; }
if ($http_user_agent ~ "blockcast") { return 403; }
if ($scheme = http) { return 301 https://$host$request_uri; }
return 301 https://$host$request_uri;
return 444;
return 200 "{}";
if ($request_method !~ ^(GET|HEAD)$) { return 405; }
if ($host !~ ^www\.example\.com$) { return 444; }
if ($request_uri ~ "^/_") { return 404; }
rewrite ^/_ /nowhere last;
rewrite ^/(.*)$ https://www.example.com/$1 permanent;
rewrite ^ /nowhere break;
break;
limit_req zone=req;
limit_conn conn 1; limit_req zone=req burst=1 nodelay;
auth_basic closed; auth_basic_user_file /dev/null;
deny all;
satisfy any; deny all; auth_basic closed; auth_basic_user_file /dev/null;
auth_request /auth;
client_max_body_size 1;
error_page 404 500 502 =200 /nowhere;
valid_referers www.example.com; if ($invalid_referer) { return 403; }
--- habit: %%HABIT%%
--- more
location = /auth { return 403; }
location = /nowhere { return 200 "{\"no\":\"node\"}"; }
--- request
GET /api/streams
--- data
num 7
--- error_code: 200
--- no_error_log
[error]
[alert]
a client request body



=== TEST 2: http {} has %%HTTP%%
--- each
HTTP
error_page 500 502 =200 /nowhere;
client_max_body_size 1;
limit_conn conn 1;
deny all; satisfy all;
proxy_intercept_errors on;
--- http: %%HTTP%%
--- config
allow all;
location /api/ { limit_conn conn 100; client_max_body_size 1m; blockcast_api; }
--- request
GET /api/streams
--- data
num 7
--- error_code: 200



=== TEST 3: another location takes what begins as the node's name: %%MORE%%
--- each
MORE
location ~ ^/_ { return 404; }
location ~ node { deny all; return 403; }
location /_node/x { return 404; }
--- more: %%MORE%%
--- location: /_node
--- request
GET /api/streams
--- data
num 7
--- error_code: 200



=== TEST 4: a variable that the server sets is used in the location: %%HABIT%%
--- each
HABIT
set $address %%NODE%%;
if ($http_user_agent = "") { return 403; } set $address %%NODE%%;
return 301 https://$host; set $address %%NODE%%;
set $address 127.0.0.1:1; if ($request_method = POST) { set $address %%NODE%%; }
set $address 127.0.0.1:1; if ($scheme != https) { set $address %%NODE%%; return 403; }
rewrite ^/_(.*)$ /nowhere; set $address %%NODE%%;
set $a %%NODE%%; if ($http_user_agent ~ "^(b)lockcast") { set $b $1; } if ($b = b) { set $address $a; }
--- habit: %%HABIT%%
--- pass: $address
--- request
GET /api/streams
--- data
num 7
--- error_code: 200



=== TEST 5: the location itself has %%OWN%%: that holds, and the error says it
--- each
OWN || WHY
return 403; || failed in nginx with 403, see location "/_node": a "rewrite" or "return" there
if ($request_method = POST) { return 405; } || failed in nginx with 405, see location "/_node": a "rewrite" or "return" there
limit_req zone=req; || failed in nginx with 503, see location "/_node": a limit there
--- own: %%OWN%%
--- request
GET /api/streams
--- stream_error
num %%WHY%%
--- error_code: 200



=== TEST 6: the location's own limit_req, where the server has one, holds
--- habit: limit_conn conn 1; limit_req zone=req;
--- own: limit_req zone=req nodelay;
--- request
GET /api/streams
--- stream_error
num failed in nginx with 503, see location "/_node": a limit there
--- error_code: 200



=== TEST 7: a node that is not there, and an error page for clients: the error is the node's
--- http: error_page 502 =200 /nowhere;
--- habit: error_page 502 504 =200 /nowhere;
--- pass: $address
--- more
set $address 127.0.0.1:%%PORT2%%;
location = /nowhere { return 200 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}"; }
--- request
GET /api/streams
--- stream_error
num the node cannot be reached
--- error_code: 200



=== TEST 8: Lua (loaded %%ORDER%%) in the server: %%HABIT%%
--- each
ORDER | MODULES
first | 'ndk_http_module', 'ngx_http_lua_module', 'blockcast'
last  | 'blockcast', 'ndk_http_module', 'ngx_http_lua_module'
--- each
HABIT
header_filter_by_lua_block { ngx.status = 403 ngx.header.content_length = nil }
header_filter_by_lua_block { ngx.exit(403) }
header_filter_by_lua_block { local x = ngx.req.get_headers()["x"]:lower() }
body_filter_by_lua_block { ngx.arg[1] = "<html>" }
access_by_lua_block { ngx.exit(403) }
log_by_lua_block { ngx.log(ngx.ALERT, "logged") }
--- skip_eval: 4: !$main::lua
--- main_config eval: main::modules(%%MODULES%%)
--- habit: %%HABIT%%
--- request
GET /api/streams
--- data
num 7
--- error_code: 200
--- no_error_log
[error]
[alert]



=== TEST 9: Lua that rewrites in the server: the error names it
--- skip_eval: 4: !$main::lua
--- main_config eval: main::modules('blockcast', 'ndk_http_module', 'ngx_http_lua_module')
--- habit: rewrite_by_lua_block { ngx.exit(403) }
--- request
GET /api/streams
--- stream_error
num failed in nginx with 403, see location "/_node": a "rewrite" or "return" there \(ngx_http_lua_module.so\)
--- error_code: 200
