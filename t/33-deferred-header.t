#!/usr/bin/perl

# Refusals behind a filter of another module that keeps a response's header
# back. If this fails, who has no token gets the data, or a WebSocket is opened
# to a page that may not connect.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $module = Blockcast::Test::module_path();
my $src = ($ENV{BLOCKCAST_SOURCE} || '/usr/share/nginx/src') . '/src';
(my $built = $module) =~ s{/[^/]+$}{};

my $server = <<'SERVER';
    location /open {
        location = /open/websocket { blockcast_websocket; }
        location = /open/echo { blockcast_echo; }
        location /open/sse { blockcast_sse; }
        location /open/api/ { blockcast_api; }
        location = /open/rest { blockcast_rest alpha; }
        location = /open/health { blockcast_health; }
        location = /open/metrics { blockcast_metrics; }
    }
    location /token {
        blockcast_tokens tokens;
        location = /token/websocket { blockcast_websocket; }
        location = /token/echo { blockcast_echo; }
        location /token/sse { blockcast_sse; }
        location /token/api/ { blockcast_api; }
        location = /token/rest { blockcast_rest alpha; }
    }
    location /granted {
        blockcast_allow_streams $granted;
        location = /granted/websocket { blockcast_websocket; }
        location /granted/sse { blockcast_sse; }
        location /granted/api/ { blockcast_api; }
        location = /granted/rest { blockcast_rest alpha; }
    }
    location /last {
        defer_header last;
        location = /last/websocket { blockcast_websocket; }
        location = /last/echo { blockcast_echo; }
        location = /last/rest { blockcast_rest alpha; blockcast_tokens tokens; }
    }
SERVER

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0, http => <<'HTTP' . "    server { listen 127.0.0.1:%%PORT1%%; defer_header later; $server }\n", server => "defer_header on; $server", main => "load_module %%PREFIX%%/defer.so;\n");
    blockcast_zone main 4m;
    blockcast_stream alpha { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    map $arg_who $granted { one alpha; default ""; }
HTTP

my @inc = map { "-I$src/$_" } qw(core event event/modules event/quic os/unix http http/modules http/v2 http/v3);
my $out = do {
    my $command = join ' ', 'cc -shared -fPIC -O1 -g -Wall -I', $built, @inc, '-o', $t->prefix . '/defer.so',
        "$Blockcast::Test::ROOT/t/lib/defer_header.c", '2>&1';
    `$command`;
};

is($?, 0, 'the filter is built') or BAIL_OUT($out);
chmod 0755, $t->prefix . '/defer.so';

open my $fh, '>', $t->prefix . '/tokens' or die "tokens: $!\n";
print $fh "all-0123456789abcdef\n";
close $fh;

$t->start;

my %token = (headers => { Authorization => 'Bearer all-0123456789abcdef' });

ok(wait_for(sub { $t->get('/open/rest')->{status} == 200 }, 20), 'what is open is served');

my %upgrade = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');

# an event stream up to its first event, which has no end to wait for

sub events {
    my ($port) = @_;
    my $body = '';

    wait_for(sub {
        ($body = $t->get('/open/sse/alpha', timeout => 2, port => $port)->{body}) =~ /data: /;
    }, 20);
    return $body;
}


# by either kind of filter: the header comes with the body, or both come later

sub refused {
    my ($status, $like, $method, $path, %h) = @_;
    my $r;

    for my $port (0, 1) {
        $r = $t->request($method, $path, port => $t->port($port), headers => \%h, $method eq 'POST' ? (body => '{}') : ());

        my $what = "$method $path, " . ($port ? 'later' : 'with the body');
        is($r->{status}, $status, "$what: $status");
        like($r->{body}, $like, "$what: says why");
        unlike($r->{body}, qr/tps|"type"|blockcast_info|"streams":\[/, "$what: and has no data");
    }

    return $r;
}

# nobody is let in without a token

subtest 'nobody is let in without a token' => sub {
    for my $p (qw(sse sse/alpha api/ api/streams api/streams/alpha rest)) {
        my $r = refused(401, qr/bearer token is needed/, GET => "/token/$p");
        is($r->{headers}{'www-authenticate'}, 'Bearer', "GET /token/$p: with what is needed");
        refused(401, qr/not known/, GET => "/token/$p", Authorization => 'Bearer none');
    }
};

subtest 'a WebSocket address refuses what is no handshake' => sub {
    for my $p (qw(websocket echo)) {
        refused(401, qr/bearer token is needed/, GET => "/token/$p", %upgrade);
        refused(426, qr/WebSocket address/, GET => "/token/$p");
        refused(405, qr/only GET/, POST => "/token/$p", %upgrade);
        refused(405, qr/only GET/, POST => "/open/$p", %upgrade);
        refused(426, qr/WebSocket address/, GET => "/open/$p");
        refused(400, qr/Sec-WebSocket-Key/, GET => "/open/$p", %upgrade, 'Sec-WebSocket-Key' => 'x');
        refused(426, qr/version 13/, GET => "/open/$p", %upgrade, 'Sec-WebSocket-Version' => 8);
    }
};

# nor from a foreign page, nor to what is not granted

subtest 'nor from a foreign page, nor to what is not granted' => sub {
    refused(403, qr/Pages of this Origin/, GET => '/open/websocket', %upgrade, Origin => 'http://evil.test');
    refused(403, qr/Pages of this Origin/, GET => '/open/sse', Origin => 'http://evil.test');
    refused(403, qr/may not have/, GET => '/granted/rest');
    refused(404, qr/unknown stream/, GET => '/granted/api/streams/alpha');
    refused(404, qr/not there for this client/, GET => '/granted/sse/beta?who=one');
    is($t->get('/granted/rest?who=one')->{status}, 200, 'what is granted is served');
};

# other refusals

subtest 'other refusals' => sub {
    refused(405, qr/not allowed|GET/, POST => "/open/$_") for qw(sse api/streams rest health);
    refused(404, qr/unknown stream/, GET => '/open/api/streams/none');
    refused(404, qr/no such resource/, GET => '/open/api/none');
    refused(404, qr/not there/, GET => '/open/sse/none');
    refused(400, qr/parameter wait/, GET => '/open/api/streams/alpha?wait=x');
};

# what is let in is served as without the filter

subtest 'what is let in is served as without the filter' => sub {
    like($t->get('/token/rest', %token)->{body}, qr/"tps"/, 'with the token');
    like($t->get('/open/api/streams')->{body}, qr/"alpha".*"beta"/, 'the list');
    like($t->get('/open/health')->{body}, qr/"status":"ok"/, 'health');
    like($t->get('/open/metrics')->{body}, qr/blockcast_info/, 'metrics');
    like($t->get('/open/api/streams/alpha?wait=5s')->{body}, qr/"tps"/, 'a long poll');

    like($t->get('/open/rest', port => $t->port(1))->{body}, qr/"tps"/, 'data that comes later');
    like($t->get('/open/api/streams/alpha?wait=5s', port => $t->port(1))->{body}, qr/"tps"/, 'and that of a long poll');
    like(events($t->port(1)), qr/data: \{"type":"alpha"/, 'an event stream that begins later');

    like(events($t->port), qr/data: \{"type":"alpha"/, 'an event stream');
};

subtest 'WebSockets open as without the filter' => sub {
    {
        my $ws = $t->ws('/open/websocket');
        ok($ws->recv_json, 'a WebSocket: welcome');
        $ws->send_json({ type => 'subscribe', stream => 'alpha' });
        ok(defined(($ws->recv_type('alpha') // {})->{data}{tps}), 'and data');
        $ws->close(1000);
        my $echo = $t->ws('/open/echo');
        $echo->send_text('hello');
        is(($echo->recv // {})->{payload}, 'hello', 'an echo');
    }

    for my $port (0, 1) {
        my $ws = $t->ws('/open/websocket', port => $t->port($port));
        is(($ws->recv_json // {})->{type}, 'welcome', 'a WebSocket begins with the welcome');
    }
};

# a filter that never lets the handshake out: no frames without it

subtest 'a filter that never lets the handshake out' => sub {
    for my $p (qw(websocket echo)) {
        my $r = $t->request(GET => "/last/$p", headers => { %upgrade, Origin => 'http://localhost' });
        isnt($r->{status}, 101, "$p: a handshake that is held back opens nothing");
        unlike($r->{body}, qr/welcome|"type"/, "$p: and nothing is sent after it");
    }

    is($t->get('/last/rest')->{status}, 401, 'a refusal held back to its end');
    ok($t->wait_log(qr/another module's filter holds the handshake back/, 20), 'the log says why');
    ok(wait_for(sub { $t->get_json('/open/health')->{workers}[0]{connections} == 0 }, 60), 'and counts no connection');
};

$t->stop;

done_testing();
