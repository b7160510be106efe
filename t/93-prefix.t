#!/usr/bin/perl

# The dashboard below a prefix: behind a proxy that has it at /chain/, and in
# one's own nginx. If this fails, it is a blank page there, or one without data.
#
# needs: web,npm-web,chromium

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Blockcast::Test;

my $root = $Blockcast::Test::ROOT;

my $t = Blockcast::Test->new(workers => 1, start => 0, node => { dialect => 'both', rate_limit => 1000000 },
    http => <<"EOH", server => <<"EOS");
    blockcast_zone main 32m;
    include $root/conf/presets/the-block-seed.conf;

    # a proxy before the dashboard of the other server
    server {
        listen 127.0.0.1:%%PORT1%%;

        location /chain/ {
            proxy_pass         http://127.0.0.1:%%PORT0%%/;
            proxy_http_version 1.1;
            proxy_set_header   Upgrade \$http_upgrade;
            proxy_set_header   Connection "upgrade";
            proxy_set_header   Host \$http_host;
            proxy_read_timeout 2m;
        }

        location /deep/er/ {
            proxy_pass         http://127.0.0.1:%%PORT0%%/own/;
            proxy_http_version 1.1;
            proxy_set_header   Upgrade \$http_upgrade;
            proxy_set_header   Connection "upgrade";
            proxy_set_header   Host \$http_host;
        }
    }
EOH
    root $root/web/dist;
    types { text/html html; text/css css; text/javascript js; image/svg+xml svg; }

    location / { add_header Cache-Control no-cache; }
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }

    location /own/ { alias $root/web/dist/; }
    location = /own/ws { blockcast_websocket; }
    location /own/api/ { blockcast_api; }
EOS

symlink "$root/conf/presets", $t->prefix . '/presets';
$t->start;

my ($own, $proxy) = ($t->port, $t->port(1));

for ([$own, '/'], [$own, '/own/'], [$proxy, '/chain/'], [$proxy, '/deep/er/']) {
    my ($port, $prefix) = @$_;
    my $page = $t->get($prefix, port => $port);

    is($page->{status}, 200, "$prefix: the page");

    my @names = $page->{body} =~ /(?:src|href)="([^"]+)"/g;
    cmp_ok(scalar @names, '>=', 4, '... names files');
    is_deeply([grep { m{^/} } @names], [], '... none from the root of the host');

    for (grep { !m{^api/} } @names) {
        is($t->get($prefix . s{^\./}{}r, port => $port)->{status}, 200, "... $_ is there");
    }
}

is($t->get('/chain', port => $proxy)->{status}, 301, 'without the slash: it is led there');

my @pages = ("http://127.0.0.1:$own/", "http://127.0.0.1:$own/own/", "http://127.0.0.1:$proxy/chain/",
    "http://127.0.0.1:$proxy/deep/er/");
open(my $out, '-|', 'timeout', '400', 'node', "$root/t/lib/prefix-page.mjs", @pages) // die "node: $!\n";
my $text = do { local $/; <$out> };
close $out;

my $got = eval { decode_json($text) } // [];

for my $i (0 .. $#pages) {
    my ($prefix) = $pages[$i] =~ m{//[^/]+(/.*)};
    is_deeply($got->[$i], { live => 'figures', failed => [], at => $prefix, sockets => ["${prefix}ws"],
        links => ["${prefix}api/streams", "${prefix}api/health"] }, "$pages[$i] in a browser")
        or diag(explain($got->[$i]));
}

$t->stop;
done_testing();
