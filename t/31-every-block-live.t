#!/usr/bin/perl

# Nodes in every kind of block of nginx, and what is left when endpoints of all
# kinds have been asked. If this fails, an "if" or a limit_except beside a node
# keeps its streams from their data, or a connection is counted for ever.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $server = "        rewrite_log off;\n        set \$x 0;\n";

# Nodes: each has a stream, and a location of another kind.

my %node = (
    exact    => 'location = /n-exact { NODE }',
    prefix   => 'location /n-prefix { NODE }',
    caret    => 'location ^~ /n-caret { NODE }',
    nested   => 'location /n { location = /n/nested { NODE } }',
    if       => 'location = /n-if { if ($request_method = POST) { set $x 1; } NODE }',
    except   => 'location = /n-except { blockcast_node except; proxy_pass http://node/; proxy_set_header Host localhost; limit_except GET { allow all; } }',
    named    => 'location = /n-named { blockcast_node named; error_page 418 = @n; return 418; } location @n { PASS }',
    if_pass  => 'location = /n-if-pass { blockcast_node if_pass; proxy_set_header Host localhost; if ($request_method = POST) { rewrite ^ / break; proxy_pass http://node; } }',
);

my $pass = 'rewrite ^ / break; proxy_pass http://node; proxy_set_header Host localhost; proxy_http_version 1.1; proxy_set_header Connection "";';
my $streams = '';

for my $name (sort keys %node) {
    (my $text = $node{$name}) =~ s/NODE/blockcast_node $name; PASS/;
    $text =~ s/PASS/$pass/;
    $server .= "        $text\n";
    $streams .= "    blockcast_stream at_$name { blockcast_node $name; blockcast_interval 200ms; blockcast_call c net.stats; }\n";
}

my $t = Blockcast::Test->new(workers => 1, node => { rate_limit => 1000000 }, http => <<"HTTP", server => $server . <<'SERVER');
    blockcast_zone main 16m;
    upstream node { server %%NODE%%; keepalive 8; }
    blockcast_stream alpha { blockcast_node exact; blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
$streams
HTTP
        location /api/ { blockcast_api; }
        location = /fresh { blockcast_rest at_if; if ($http_x_try) { set $x 1; } }
        location = /health { blockcast_health; if ($http_x_try) { set $x 1; } }
        location = /ws { blockcast_websocket; if ($http_x_try) { set $x 1; } limit_except POST { allow all; } }
        location = /events { blockcast_sse; if ($http_x_try) { set $x 1; } limit_except POST { allow all; } }
SERVER

ok(wait_for(sub { $t->get('/api/streams/alpha')->{status} == 200 }, 20), 'the stream has data');

my ($pid) = $t->worker_pids;

# the first poll of a stream that nobody wanted

$t->first_asker('/fresh', 'an idle stream in a location with an "if"', headers => { 'X-Try' => 1 });

subtest 'nodes in every kind of block' => sub {
    for my $name (sort keys %node) {
        ok(wait_for(sub { $t->get("/api/streams/at_$name")->{status} == 200 }, 20), "blockcast_node: $name");
    }
};

subtest 'no connection is counted for ever' => sub {
    my @clients;
    for (1 .. 4) {
        push @clients, $t->ws('/ws', headers => [['X-Try', 1]]);
        my $sse = $t->ws('', handshake => 0);
        $sse->send_raw("GET /events HTTP/1.1\r\nHost: localhost\r\nX-Try: 1\r\n\r\n");
        $sse->read_head;
        push @clients, $sse;
    }
    is(join(' ', map { $_->status } @clients), join(' ', (101, 200) x 4), 'clients of locations with an "if"');
    my $count = sub { $t->get_json('/health', headers => { 'X-Try' => 1 })->{workers}[0]{connections} // -1 };
    ok(wait_for(sub { $count->() == 8 }, 30), 'are counted') or diag($count->());
    $clients[$_]->drop(reset => $_ % 3 == 0) for 0 .. $#clients;
    ok(wait_for(sub { $count->() == 0 }, 30), 'until they go') or diag($count->());
};

is_deeply([$t->worker_pids], [$pid], 'the worker is the one of the start');
unlike($t->error_log, qr/exited on signal/, 'none was killed');
$t->stop;

done_testing();
