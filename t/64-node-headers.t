#!/usr/bin/perl

# Headers of a node's replies. If this fails, a node, or whoever answers in its
# place, makes nginx ask for pages that are not open to it, keeps old replies in
# a cache, or has a reply taken for a page with commands in it.

use strict;
use warnings;

use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $ssi = '<!--#include virtual="/admin?ssi=1" --><!--#echo var="document_uri" -->';

# each is a stream: [name, status line and headers, what comes of it, options]

my @case = (
    [redirect => ['X-Accel-Redirect: /admin?delete=1']],
    [redirect_named => ['X-Accel-Redirect: @admin']],
    [redirect_node => ['X-Accel-Redirect: /n-plain']],
    [redirect_ws => ['X-Accel-Redirect: /ws']],
    [redirect_bad => ['X-Accel-Redirect: ../../etc']],
    [redirect_more => ['X-Accel-Redirect: /admin', 'X-Accel-Limit-Rate: 1', 'X-Accel-Buffering: no', 'Set-Cookie: a=b']],
    [limit_rate => ['X-Accel-Limit-Rate: 1']],
    [buffering => ['X-Accel-Buffering: no']],
    [buffering_yes => ['X-Accel-Buffering: yes']],
    [charset => ['X-Accel-Charset: koi8-r']],
    [accel_expires => ['X-Accel-Expires: 3600']],
    [cache_control => ['Cache-Control: public, max-age=3600, s-maxage=3600, stale-while-revalidate=60', 'Expires: Thu, 01 Jan 2099 00:00:00 GMT']],
    [vary => ['Vary: *']],
    [cookie => ['Set-Cookie: admin=1; Path=/', 'Set-Cookie: b=2; Domain=localhost']],
    [location => ['Location: /admin']],
    [refresh => ['Refresh: 0; url=/admin']],
    [auth => ['WWW-Authenticate: Basic realm="x"']],
    [dates => ['Date: Thu, 01 Jan 1970 00:00:00 GMT', 'ETag: "x"', 'Last-Modified: Thu, 01 Jan 2099 00:00:00 GMT', 'Age: 7']],
    [ranges => ['Accept-Ranges: bytes', 'Content-Range: bytes 0-1/2']],
    [names => ['Server: node', 'Link: </admin>; rel=preload', 'Content-Disposition: attachment', 'Alt-Svc: h3=":443"', 'Status: 500']],
    [upgrade => ['Upgrade: websocket', 'Connection: Upgrade']],
    [keepalive => ['Keep-Alive: timeout=100000', 'Connection: keep-alive']],
    [encoding => ['Content-Encoding: identity']],
    [html => ['Content-Type: text/html'], undef, text => $ssi],
    [xml => ['Content-Type: text/xml; charset=koi8-r'], undef, text => $ssi],
    [type_none => ['Content-Type: '], undef, text => $ssi],
    [trailers => ['Transfer-Encoding: chunked', 'Trailer: X-Accel-Redirect, Set-Cookie'], undef, chunked => 1],
    [many => [map { "X-Header-$_: /admin" } 1 .. 40]],

    [moved => ['302 Found', 'Location: /admin'], qr/HTTP 302/],
    [moved_accel => ['302 Found', 'Location: /admin', 'X-Accel-Redirect: /admin'], qr/HTTP 302/],
    [unknown => ['401 Unauthorized', 'WWW-Authenticate: Basic realm="x"'], qr/HTTP 401/],
    [switch => ['101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'], qr/HTTP 101|closed|cut|time|reach/],
    # nginx itself reads on behind it since 1.29
    [hints => ['103 Early Hints', 'Link: </admin>; rel=preload', '', 'HTTP/1.1 200 OK', 'Content-Type: application/json']],
    [continue => ['100 Continue', '', 'HTTP/1.1 200 OK', 'Content-Type: application/json']],
    [interim => ['100 Continue', '', 'HTTP/1.1 102 Processing', 'X-Accel-Redirect: /admin', '', 'HTTP/1.1 200 OK', 'Content-Type: application/json']],
    [partial => ['206 Partial Content', 'Content-Range: bytes 0-1/2'], qr/HTTP 206/],
    [failed_accel => ['500 Error', 'X-Accel-Redirect: /admin'], qr/HTTP 500/],
    [missing_accel => ['404 Not Found', 'X-Accel-Redirect: /admin'], qr/HTTP 404/],

    # other locations
    [if_accel => ['X-Accel-Redirect: /admin'], undef, node => 'if'],
    [except_accel => ['X-Accel-Redirect: /admin'], undef, node => 'except'],
    [backup => ['X-Any: 1'], undef, node => 'backup'],
    [backup_accel => ['X-Accel-Redirect: /admin'], qr/HTTP 502/, node => 'backup'],
    [backup_accel_named => ['X-Accel-Redirect: @admin'], qr/HTTP 502/, node => 'backup'],
    [caught => ['404 Not Found', 'X-Accel-Redirect: /admin'], qr/HTTP (404|502)/, node => 'caught'],
    [caught_auth => ['401 Unauthorized', 'WWW-Authenticate: Basic realm="x"'], qr/HTTP 401/, node => 'caught'],
    [cached => ['Cache-Control: max-age=3600'], undef, node => 'cached'],
    [cached_accel => ['X-Accel-Redirect: /admin', 'X-Accel-Expires: 3600'], undef, node => 'cached'],
    [unbuffered => ['X-Accel-Redirect: /admin', 'X-Accel-Buffering: yes', 'X-Accel-Limit-Rate: 1'], undef, node => 'unbuffered'],
    [scgi => ['X-Accel-Redirect: /admin', 'X-Accel-Limit-Rate: 1'], undef, node => 'scgi'],
    [scgi_html => ['Content-Type: text/html'], undef, node => 'scgi', text => $ssi],
);

my ($minor) = `@{[ Blockcast::Test::nginx_binary() ]} -v 2>&1` =~ m{nginx/1\.(\d+)};
my $hints = $minor >= 29 ? 'early_hints 1;' : '';

my %case = map { $_->[0] => $_ } @case;
my ($port, $scgi) = (free_port(), free_port());


# The node: one connection after the other, HTTP or SCGI.

sub node {
    my @doors = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_, Listen => 128, ReuseAddr => 1)
            or POSIX::_exit(1);
    } $port, $scgi;

    my $n = 0;

    while (1) {
        my $rin = '';
        vec($rin, fileno $_, 1) = 1 for @doors;
        select(my $ready = $rin, undef, undef, undef) > 0 or next;

        for my $i (0, 1) {
            vec($ready, fileno $doors[$i], 1) or next;
            my $c = $doors[$i]->accept or next;
            my ($buf, $end) = ('', time + 5);

            while (time < $end) {
                my ($head, $len) = $i ? $buf =~ /^((\d+):.*?,)\{/s : $buf =~ /^(.*?\r\n\r\n)/s;
                if (defined $head) {
                    my ($size) = $i ? $head =~ /CONTENT_LENGTH\0(\d+)/ : $head =~ /Content-Length: *(\d+)/i;
                    last if length($buf) >= length($head) + ($size // 0);
                }
                vec(my $in = '', fileno $c, 1) = 1;
                select($in, undef, undef, 5) > 0 or last;
                sysread $c, $buf, 65536, length $buf or last;
            }

            my ($id) = $buf =~ /"id":\s*(\d+)/ or next;
            my ($name) = $buf =~ /"method":\s*"h\.(\w+)"/ or next;
            my (undef, $headers, undef, %o) = @{ $case{$name} };
            my @headers = @$headers;
            my $status = $headers[0] =~ /^\d/ ? shift @headers : '200 OK';

            unshift @headers, 'Content-Type: application/json' unless grep { /^Content-Type/ } @headers;
            push @headers, 'Connection: close' unless grep { /^Connection/ } @headers;

            my $body = JSON::PP->new->canonical->encode({ jsonrpc => '2.0', id => $id + 0,
                result => { case => $name, n => ++$n, text => $o{text} // '' } });

            my $reply = ($i ? 'Status: ' : 'HTTP/1.1 ') . "$status\r\n" . join('', map { "$_\r\n" } @headers);
            $reply .= $o{chunked} ? sprintf("\r\n%x\r\n%s\r\n0\r\nX-Accel-Redirect: /admin\r\nSet-Cookie: a=b\r\n\r\n", length $body, $body)
                : 'Content-Length: ' . length($body) . "\r\n\r\n$body";
            syswrite $c, $reply;
            close $c;
        }
    }
}

my $streams = '';

for my $c (@case) {
    my ($name, undef, undef, %o) = @$c;
    my $node = $o{node} // 'plain';
    $streams .= "    blockcast_stream $name { blockcast_node $node; blockcast_interval 300ms; blockcast_always on; blockcast_call c h.$name timeout=5s; }\n";
}

my $pass = 'proxy_pass http://fake; proxy_set_header Host localhost; proxy_http_version 1.1;';

my %conf = (workers => 1, http => <<"HTTP", server => <<"SERVER");
    blockcast_zone main 32m;
    proxy_cache_path %%PREFIX%%/tmp/cache keys_zone=cache:1m;
    upstream fake { server 127.0.0.1:$port max_fails=0; }
    server { listen 127.0.0.1:%%PORT1%%; access_log %%PREFIX%%/admin.log; location / { return 200 '{"admin":1}'; } }
$streams
HTTP
        $hints
        ssi on;
        ssi_types text/xml;
        location = /ws { blockcast_websocket; }
        location /api/ { blockcast_api; }
        location = /admin { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
        location \@admin { proxy_pass http://127.0.0.1:%%PORT1%%; }
        location = /n-plain { blockcast_node plain; $pass }
        location = /n-unbuffered { blockcast_node unbuffered; proxy_buffering off; $pass }
        location = /n-if { blockcast_node if; if (\$request_method = POST) { proxy_pass http://fake; } }
        location = /n-except { blockcast_node except; $pass limit_except GET { allow all; } }
        location = /n-backup { blockcast_node backup; error_page 502 = \@backup; proxy_pass http://127.0.0.1:1; }
        location \@backup { $pass }
        location = /n-caught { blockcast_node caught; proxy_intercept_errors on; error_page 401 404 /caught; $pass }
        location = /caught { internal; return 200 "caught"; }
        location = /n-cached { blockcast_node cached; proxy_cache cache; proxy_cache_methods POST; proxy_cache_key \$uri; proxy_cache_valid any 1h; $pass }
        location = /n-scgi { blockcast_node scgi; scgi_pass 127.0.0.1:$scgi; scgi_param CONTENT_LENGTH \$content_length; scgi_param SCGI 1; }
SERVER

my $parent = $$;
my $node = fork // die "fork: $!\n";

if ($node == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{ALRM} = 'DEFAULT';
    alarm 300;
    node();
    POSIX::_exit(0);
}

END { if ($node && $$ == $parent) { my $status = $?; kill 'KILL', $node; waitpid $node, 0; $? = $status } }

my $t = Blockcast::Test->new(%conf);

subtest 'replies with headers that mean something to nginx' => sub {
    ok(wait_for(sub { $t->can_connect($port) }, 20), 'the node listens');

    for my $c (@case) {
        my ($name, undef, $error, %o) = @$c;
        my $what = "$name: " . join ', ', map { substr $_, 0, 40 } @{ $c->[1] }[0 .. ($#{ $c->[1] } > 1 ? 1 : $#{ $c->[1] })];

        if ($error) {
            ok(wait_for(sub { ($t->row($name)->{error} // '') =~ $error }, 30), "$what: a failed call") or diag($t->row($name)->{error} // 'no error');
            next;
        }

        my ($first, $d);

        # a reply that is new each time was not kept

        my $ok = wait_for(sub {
            $d = ($t->get_json("/api/streams/$name") // {})->{data} or return;
            $first //= $d->{n};
            $d->{n} != $first;
        }, 30);

        ok($ok, "$what: data") or diag($t->row($name)->{error} // 'no error');
        is($d->{case}, $name, "$what: its own") if $ok;
        is($d->{text}, $o{text} // '', "$what: the text is what the node sent") if $o{text};
    }
};

subtest 'nginx follows none of them' => sub {
    ok(wait_for(sub { $t->error_log =~ /X-Accel-Redirect, which is not followed/ }, 20), 'a reply that would lead elsewhere is in the log');
    is(Blockcast::Test::slurp($t->prefix . '/admin.log'), '', 'nobody came to /admin');
    unlike($t->error_log, qr/exited on signal/, 'no worker was killed');
    $t->stop;
};

subtest 'nginx -t' => sub {
    my ($out, $code) = Blockcast::Test->check_conf(%conf);
    is($code, 0, 'the configuration is good') or diag($out);
    like($out, qr/\[warn\].*replies of a node are not cached or stored, in location "\/n-cached" it has no effect/, 'nginx -t says that calls are not cached');
    unlike($out, qr/"\/n-plain" it has/, 'where it was asked for');
};

done_testing();
