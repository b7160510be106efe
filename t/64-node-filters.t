#!/usr/bin/perl

# Filters of nginx and of other modules in the way of a node's replies. If this
# fails, an operator who edits replies, or has a filter for all of his site, has
# streams that get no data.

use strict;
use warnings;

use Test::More;
use Blockcast::Dialects;
use Blockcast::Test;

my $node = Blockcast::Dialects->new;
my $origin = "127.0.0.1:$node->{port}";

$node->document(num => '{"x": 1.10, "y": 1e400, "z": 0.1234567890123456789, "n": 18446744073709551615}');

my @lua = grep { -f } map { "/usr/lib/nginx/modules/$_" } qw(ndk_http_module.so ngx_http_lua_module.so);
my $own = Blockcast::Test::nginx_binary() eq '/usr/sbin/nginx';
my $lua = @lua == 2 && $own;

my %place = (
    sub => 'sub_filter needle thread; sub_filter_once off; sub_filter_types *;',
    sub_grow => 'sub_filter needle "much longer thread than that"; sub_filter_once off; sub_filter_types *;',
    sub_grow_one => 'sub_filter needle "much longer thread than that"; sub_filter_once on; sub_filter_last_modified on; sub_filter_types application/json;',
    sub_shrink => 'sub_filter needle ""; sub_filter_once off; sub_filter_types *; proxy_buffering off;',
    sub_same => 'sub_filter needle needle; sub_filter_once on; sub_filter_types application/json;',
    sub_none => 'sub_filter nothing-of-it x; sub_filter_types *; proxy_buffering off;',
    gzip => 'gzip on; gzip_types *; gzip_min_length 1; gunzip on;',
    small => 'proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; sub_filter needle thread; sub_filter_once off; sub_filter_types *;',
);

$place{lua} = 'body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] and ngx.arg[1]:gsub("needle", "thread") }' if $lua;

my ($streams, $places) = ('', '');

for my $name (sort keys %place) {
    $places .= "        location = /n-$name { blockcast_node $name; proxy_pass http://$origin/two/; $place{$name} }\n";
    $streams .= <<"EOS";
    blockcast_stream $name {
        blockcast_node $name; blockcast_interval 300ms; blockcast_always on; blockcast_max_size 512k;
        blockcast_call c d.ok 'params=["needle and needle","\xc3\xa9"]' timeout=10s;
    }
    blockcast_stream l-$name {
        blockcast_node $name; blockcast_interval 1s; blockcast_always on; blockcast_max_size 1m;
        blockcast_call c d.ok 'params_jq=[range(5000) | "a needle in the hay \\(.)"]' timeout=20s;
        blockcast_jq '[(.results.c | length), .results.c[4999]]';
    }
EOS
}

my $t = Blockcast::Test->new(workers => 1, main => join('', map { "load_module $_;\n" } $lua ? @lua : ()),
    http => <<"EOS", server => <<"EOS2");
    blockcast_zone main 128m;
    @{[ $lua ? 'header_filter_by_lua_block { ngx.header["X-Site"] = "yes" }' : '' ]}
$streams
    blockcast_stream plain { blockcast_node docs; blockcast_interval 1s; blockcast_always on; blockcast_get d /doc/num timeout=10s; }
    blockcast_stream shaped { blockcast_node docs; blockcast_interval 1s; blockcast_always on; blockcast_get d /doc/num timeout=10s; blockcast_jq .results.d; }
EOS
        location /api/ { blockcast_api; }
        location = /nothing { return 200 ''; }
        location /n-docs/ { blockcast_node docs; proxy_pass http://$origin/two/; }
$places
EOS2

diag('libnginx-mod-http-lua is not there, or another nginx: its filters are not tried') unless $lua;

subtest 'replies that filters would change' => sub {
    for my $name (sort keys %place) {
        # those of other modules are for clients, and have no part in a call
        my $word = $name =~ /^(sub|small)$/ ? 'thread' : $name =~ /grow/ ? 'much longer thread than that'
            : $name =~ /shrink/ ? '' : 'needle';
        my $next = $name =~ /_one/ ? 'needle' : $word;

        $t->becomes($name => qq(["$word and $next","\xc3\xa9"]), "$name: a reply");
        $t->becomes("l-$name" => qq([5000,"a $next in the hay 4999"]), "$name: a large one");
        is($t->row($name)->{error}, undef, "$name: no error");
    }

    unlike($t->error_log, qr/larger than max_reply/, 'none is taken for one that is too large');

    if ($lua) {
        is($t->get('/api/streams')->{headers}{'x-site'}, 'yes', 'the filter of the whole site is there');
    }
};

# decimals: as they are without a program, what a double has of them with one

subtest 'decimals: as they are without a program, what a double has of them with one' => sub {
    $t->becomes(plain => '{"x": 1.10, "y": 1e400, "z": 0.1234567890123456789, "n": 18446744073709551615}', 'without a program, all is as the node wrote it');
    my $shaped;
    ok(wait_for(sub { $shaped = $t->data('shaped') }, 20), 'with one');
    like($shaped, qr/"n":18446744073709551615\b/, 'an integer is');
    diag("decimals through this libjq: $shaped");
};

$t->stop;
done_testing();
