#!/usr/bin/perl

# Pages of another origin in a real browser. If this fails, what t/22-cors.t
# finds right in the headers is not what a browser wants to see.
#
# needs: npm-web,chromium

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $token = '0123456789abcdef0123';
my $root = $Blockcast::Test::ROOT;

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0, http => <<'EOF', server => <<'EOS');
    blockcast_origin http://localhost:%%PORT1%%;

    blockcast_stream well { blockcast_interval 100ms; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream none { blockcast_interval 100ms; blockcast_always on; blockcast_call c no.such; }

    server {
        listen 127.0.0.1:%%PORT1%%;
        listen 127.0.0.1:%%PORT2%%;
        location / { default_type text/html; return 200 "<!doctype html><link rel=icon href=data:,><title>page</title>"; }
    }
EOF
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
    location /events { blockcast_sse; }
    location = /health { blockcast_health; }
    location /tokens { blockcast_tokens tokens; location /tokens/api/ { blockcast_api; } }
EOS

open my $fh, '>', $t->prefix . '/tokens' or die;
print $fh "$token page\n";
close $fh;

$t->start;
wait_for { $t->get('/api/streams/well')->{status} == 200 } 30;

my @pages = map { 'http://localhost:' . $t->port($_) . '/' } 1, 2;
my $pid = open(my $out, '-|', 'timeout', '180', 'node', "$root/t/lib/cors-pages.mjs",
    'http://127.0.0.1:' . $t->port, $token, @pages) // die "node: $!\n";
my $text = do { local $/; <$out> };
close $out;

my $got = eval { JSON::PP->new->decode($text) } // [];
my ($named, $other) = @$got;

is_deeply($named, { snapshot => '200 well etag', cookies => '200 well etag', missing => '404 not_found',
    waiting => '503 waiting retry', anonymous => '401 unauthorized', bearer => '200 well etag', forwarded => 'refused',
    post => '405 method_not_allowed', health => '503', events => 'well', websocket => 'welcome' },
    'a page that is named: all that there is, errors too, but no header of proxies') or diag(explain($named));

is_deeply($other, { map { $_ => 'refused' } qw(snapshot cookies missing waiting anonymous bearer forwarded post health
    events websocket) }, 'one that is not: nothing') or diag(explain($other));

$t->stop;
done_testing();
