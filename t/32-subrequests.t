#!/usr/bin/perl

# Endpoints that are only a part of another response, or are asked in an odd
# way. If this fails, an include or a mirror of a WebSocket address kills the
# worker with all its clients, or a page that includes a feed never ends.

# lane: waits

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use Blockcast::Test;

# what each answers to a plain GET

my %endpoint = (
    websocket => { directive => 'blockcast_websocket;', status => 426, like => qr/This is a WebSocket address/ },
    echo      => { directive => 'blockcast_echo;', status => 426, like => qr/This is a WebSocket address/ },
    sse       => { directive => 'blockcast_sse alpha beta;', status => 200, like => qr/data: \{"type":"alpha".*data: \{"type":"beta"/s },
    api       => { directive => 'blockcast_api;', status => 200, like => qr/"name":"alpha"/ },
    rest      => { directive => 'blockcast_rest alpha;', status => 200, like => qr/"tps"/ },
    idle      => { directive => 'blockcast_rest idle;', status => 200, like => qr/"tps"/ },
    health    => { directive => 'blockcast_health;', status => 200, like => qr/"status":"ok"/ },
    metrics   => { directive => 'blockcast_metrics;', status => 200, like => qr/^blockcast_info\{/m },
    secret    => { directive => 'blockcast_sse alpha; blockcast_tokens tokens;', status => 401, like => qr/bearer token/ },
    wait      => { directive => 'rewrite ^ /api/streams/alpha?wait=50s&after=100000000 last;', status => 200, like => qr/"tps"/ },
    node      => { directive => 'blockcast_node; proxy_pass http://node/; proxy_read_timeout 2s; proxy_set_header Host localhost; proxy_http_version 1.1; proxy_set_header Connection "";',
                   status => 405, like => qr/(?s:.*)/ },
);

my @endpoints = sort keys %endpoint;

# the ways to it, and what the whole response is then: the page, the endpoint's
# text or its status

my $page = 'proxy_pass http://127.0.0.1:%%PORT1%%';

my %way = (
    mirror     => { conf => "mirror TO; $page/page;", body => sub { $_[1] eq "PAGE" } },
    mirror_two => { conf => "mirror TO; mirror TO; $page/page;", body => sub { $_[1] eq "PAGE" } },
    auth       => { conf => "auth_request TO; $page/page;", status => sub { $_[0]{status} == 200 ? 200 : $_[0]{status} == 401 ? 401 : 500 } },
    before     => { conf => "add_before_body TO; addition_types text/plain; $page/page;", body => sub { $_[1] =~ /PAGE$/ && $_[1] =~ $_[0]{like} } },
    after      => { conf => "add_after_body TO; addition_types text/plain; $page/page;", body => sub { $_[1] =~ /^PAGE/ && $_[1] =~ $_[0]{like} } },
    both       => { conf => "add_before_body TO; add_after_body TO; addition_types text/plain; $page/page;", body => sub { my @p = $_[1] =~ /^(.+)PAGE(.+)$/s; @p == 2 && !grep { $_ !~ $_[0]{like} } @p } },
    ssi        => { conf => "ssi on; ssi_types text/plain; $page/include?NAME;", body => sub { $_[1] =~ /^<(.*)>$/s && $1 =~ $_[0]{like} } },
    ssi_wait   => { conf => "ssi on; ssi_types text/plain; $page/wait?NAME;", body => sub { $_[1] =~ /^<(.*)>$/s && $1 =~ $_[0]{like} } },
    ssi_set    => { conf => "ssi on; ssi_types text/plain; ssi_value_length 100; $page/set?NAME;", body => sub { $_[1] =~ /^<(.*)>$/s } },
    ssi_two    => { conf => "ssi on; ssi_types text/plain; $page/two?NAME;", body => sub { my @p = $_[1] =~ /^<(.*)\|(.*)>$/s; @p == 2 && !grep { $_ !~ $_[0]{like} } @p } },
    ssi_nested => { conf => "ssi on; ssi_types text/plain; $page/nested?NAME;", body => sub { $_[1] =~ /^<<(.*)>>$/s && $1 =~ $_[0]{like} } },
);

my @ways = sort keys %way;
my $server = '';

for my $name (@endpoints) {
    my $e = $endpoint{$name};
    my $to = "/to/$name";

    $server .= "        location = $to { $e->{directive} }\n";

    for my $way (@ways) {
        (my $conf = $way{$way}{conf}) =~ s/TO/$to/g;
        $conf =~ s/NAME/$to/g;
        $server .= "        location = /$way/$name { $conf }\n";
    }
}

my $t = Blockcast::Test->new(workers => 1, node => { rate_limit => 1000000 }, start => 0, http => <<'HTTP', server => $server . <<'SERVER');
    blockcast_zone main 8m;
    blockcast_drain 200ms;
    subrequest_output_buffer_size 256k;
    upstream node { server %%NODE%%; keepalive 8; }
    blockcast_stream alpha { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream idle { blockcast_interval 200ms; blockcast_call c net.stats; }
    server {
        listen 127.0.0.1:%%PORT1%%;
        default_type text/plain;
        location = /page { return 200 "PAGE"; }
        location = /include { return 200 '<<!--#include virtual="$args" -->>'; }
        location = /wait { return 200 '<<!--#include virtual="$args" wait="yes" -->>'; }
        location = /set { return 200 '<<!--#include virtual="$args" set="x" --><!--#echo var="x" encoding="none" -->>'; }
        location = /two { return 200 '<<!--#include virtual="$args" -->|<!--#include virtual="$args" -->>'; }
        location = /nested { return 200 '<<!--#include virtual="/inner?$args" -->>'; }
        location = /slow { root %%PREFIX%%; limit_rate 8k; }
    }
    server { listen 127.0.0.1:%%PORT2%% http2; location = /to/websocket { blockcast_websocket; } location = /to/sse { blockcast_sse alpha; } location = /to/api { blockcast_api; } }
HTTP
        location /api/ { blockcast_api; }
        location = /inner { ssi on; ssi_types text/plain; proxy_pass http://127.0.0.1:%%PORT1%%/include; }
        location = /plain { return 200 "plain"; }
        location = /slow { auth_request /to/sse; proxy_pass http://127.0.0.1:%%PORT1%%; proxy_buffering off; }
SERVER

open my $fh, '>', $t->prefix . '/tokens' or die "tokens: $!\n";
print $fh "all-0123456789abcdef\n";
close $fh;

open $fh, '>', $t->prefix . '/slow' or die "slow: $!\n";
print $fh 'x' x 40000;
close $fh;

$t->start;

my %upgrade = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', Origin => 'http://localhost');

ok(wait_for(sub { $t->get('/to/rest')->{status} == 200 }, 20), 'the streams have data');

my ($pid) = $t->worker_pids;

for my $way (@ways) {
    my @wrong;

    for my $name (@endpoints) {
        for my $how ('GET', 'upgrade', 'POST', 'HTTP/1.0', 'HEAD') {
            my $e = $endpoint{$name};
            my $r = $how eq 'GET' ? $t->get("/$way/$name")
                : $how eq 'upgrade' ? $t->get("/$way/$name", headers => \%upgrade)
                : $how eq 'HTTP/1.0' ? $t->get("/$way/$name", version => '1.0', headers => \%upgrade)
                : $how eq 'HEAD' ? $t->request(HEAD => "/$way/$name")
                : $t->request(POST => "/$way/$name", headers => \%upgrade, body => 'x' x 20000);

            # what the page itself is for another method is not looked at
            my $status = $way{$way}{status} ? $way{$way}{status}->($e) : 200;
            $status = $r->{status} if $way eq 'auth' && $name eq 'node';
            my $body = $way{$way}{body};

            push @wrong, "$how /$way/$name: $r->{status}" if $r->{status} != $status;
            push @wrong, "$how /$way/$name: $r->{body}" if $how ne 'HEAD' && $name ne 'node' && $body && !$body->($e, $r->{body});
        }
    }

    ok(!@wrong, "$way: every endpoint is a part of a response that ends") or diag(map { "$_\n" } @wrong);
}

is_deeply([$t->worker_pids], [$pid], 'the worker is the one of the start');

# Other ways to ask: without a subrequest.

my $head;

sub raw {
    my ($text, $until, $seconds) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Timeout => 5) or return '';
    $s->syswrite($text);

    my ($buf, $end) = ('', time + ($seconds // 20));

    while (time < $end && !($until && $buf =~ $until)) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread $s, $buf, 65536, length $buf or last;
    }

    return wantarray ? ($buf, $s) : $buf;
}


subtest 'other ways to ask' => sub {
    my $hello = join '', map { "$_: $upgrade{$_}\r\n" } sort keys %upgrade;
    $head = "Host: localhost\r\n";

    for my $name (qw(websocket echo)) {
        my $got = raw("GET /plain HTTP/1.1\r\n${head}\r\nGET /to/$name HTTP/1.1\r\n$head$hello\r\n", qr/HTTP\/1\.1 101/);
        like($got, qr/^HTTP\/1\.1 200.*plainHTTP\/1\.1 101/s, "$name: an upgrade behind another request");

        $got = raw("GET /to/$name HTTP/1.1\r\n$head$hello\r\nGET /plain HTTP/1.1\r\n${head}\r\n");
        like($got, qr/^HTTP\/1\.1 101.*\x88.\x03\xea/s, "$name: a request behind an upgrade is a frame, and a bad one");
        unlike($got, qr/plain$/, "$name: and not answered");

        $got = raw("GET /to/$name HTTP/1.1\r\n$head$hello" . "Content-Length: 5\r\n\r\nhelloGET /plain HTTP/1.1\r\n${head}Connection: close\r\n\r\n");
        like($got, qr/^HTTP\/1\.1 400.*no body.*HTTP\/1\.1 200.*plain$/s, "$name: an upgrade with a body is refused, the next is answered");

        $got = raw("GET /to/$name HTTP/1.1\r\n$head$hello" . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /plain HTTP/1.1\r\n${head}Connection: close\r\n\r\n");
        like($got, qr/^HTTP\/1\.1 400.*no body.*HTTP\/1\.1 200.*plain$/s, "$name: chunked, too");

        $got = raw("GET /to/$name HTTP/1.0\r\n$head$hello\r\n");
        like($got, qr/^HTTP\/1\.1 400.*HTTP\/1\.1 request/s, "$name: not over HTTP/1.0");

        like(raw("GET /to/$name\r\n"), qr/WebSocket address/, "$name: HTTP/0.9");
    }

    for my $name (qw(sse api rest health metrics)) {
        my $e = $endpoint{$name};

        for my $request ("GET /to/$name HTTP/1.0\r\n\r\n", "GET /to/$name\r\n",
            "GET /to/$name HTTP/1.1\r\n${head}Content-Length: 3\r\n\r\nabc",
            "GET /to/$name HTTP/1.1\r\n${head}Content-Length: 30\r\n\r\nabc",
            "GET /to/$name HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "GET /to/$name HTTP/1.1\r\n${head}\r\nGET /plain HTTP/1.1\r\n${head}\r\n")
        {
            like(scalar raw($request, $e->{like}), $e->{like}, "$name: " . substr $request, 0, 60);
        }
    }
};


# HTTP/2: literal fields, as no client sends them

sub http2 {
    my (@fields) = @_;

    my $block = join '', map { my ($n, $v) = @$_; "\0" . chr(length $n) . $n . chr(length $v) . $v } @fields;
    my $frame = sub { my ($type, $flags, $stream, $data) = @_; pack('NCN', length($data) << 8 | $type, $flags, $stream) . $data };
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(2), Timeout => 5) or return '';

    $s->syswrite("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . $frame->(4, 0, 0, '') . $frame->(1, 5, 1, $block));

    my ($buf, $end) = ('', time + 20);

    while (time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread $s, $buf, 65536, length $buf or last;
        my ($at, $over) = (0, 0);
        while ($at + 9 <= length $buf) {
            my ($h, $flags, $stream) = unpack 'NCN', substr $buf, $at, 9;
            my ($len, $type) = ($h >> 8, $h & 255);
            last if $at + 9 + $len > length $buf;
            $over = 1 if $stream == 1 && (($type < 2 && $flags & 1) || $type == 3) || $type == 7;
            $over = 1 if $type == 0 && substr($buf, $at + 9, $len) =~ /data:/;
            $at += 9 + $len;
        }
        return $buf if $over;
    }

    return '';
}


subtest 'HTTP/2' => sub {
    my @h2 = ([':scheme', 'http'], [':authority', 'localhost']);

    like(http2([':method', 'GET'], [':path', '/to/websocket'], @h2), qr/WebSocket address/, 'HTTP/2: a WebSocket address says what it is');
    like(http2([':method', 'GET'], [':path', '/to/sse'], @h2), qr/data: /, 'HTTP/2: an event stream');
    like(http2([':method', 'GET'], [':path', '/to/api'], @h2), qr/"alpha"/, 'HTTP/2: the API');
    ok(length http2([':method', 'CONNECT'], [':protocol', 'websocket'], [':path', '/to/websocket'], @h2, ['sec-websocket-version', '13']),
        'HTTP/2: an extended CONNECT has an answer');
    ok(length http2([':method', 'GET'], [':path', '/to/websocket'], @h2, ['upgrade', 'websocket'], ['connection', 'upgrade'],
        ['sec-websocket-version', '13'], ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==']), 'HTTP/2: an upgrade, too');

    is_deeply([$t->worker_pids], [$pid], 'the worker is the one of the start');
    ok(wait_for(sub { ($t->get_json('/to/health')->{workers}[0]{connections} // 1) == 0 }, 60), 'no connection is counted for ever');

    # the end of the worker while a response is sent whose part was an event stream

    my ($got, $s) = raw("GET /slow HTTP/1.1\r\n${head}Connection: close\r\n\r\n", qr/xxx/);
    like($got, qr/^HTTP\/1\.1 200/, 'a slow response, allowed by an event stream');

    $t->stop;
    unlike($t->error_log, qr/exited on signal|count is zero/, 'no worker was killed');
};


done_testing();
