#!/usr/bin/perl

# Pages of other origins. If this fails, a page that the operator has named
# cannot read what it may, or only as long as all is well (and sees "failed to
# fetch" where a token is missing); one that nobody has named can; or nobody
# finds out why a page is refused behind a proxy.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0, http => <<'EOF', server => <<'EOS');
    limit_req_zone $binary_remote_addr zone=req:1m rate=1r/m;

    blockcast_stream well { blockcast_interval 100ms; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream none { blockcast_interval 100ms; blockcast_always on; blockcast_call c no.such; }

    upstream front { server 127.0.0.1:%%PORT%%; }

    # proxies in front: as nginx.org shows it, with the Host, with its own name
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / {
            proxy_pass http://front;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }
        location /host/ {
            proxy_pass http://front/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
        }
        location /forwarded/ {
            proxy_pass http://front/forwarded/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-Host $http_host;
        }
    }
EOF
    location = /ws { blockcast_websocket; }
    location /same/api/ { blockcast_api; }
    location /same/events { blockcast_sse; }

    location /named {
        blockcast_origin https://app.test https://*.many.test http://a.test:8080;
        location = /named/ws { blockcast_websocket; }
        location /named/api/ { blockcast_api; }
        location /named/events { blockcast_sse; }
        location = /named/rest { blockcast_rest well; }
        location = /named/health { blockcast_health; }
        location = /named/metrics { blockcast_metrics; }

        location /named/tokens {
            blockcast_tokens tokens;
            location /named/tokens/api/ { blockcast_api; }
            location /named/tokens/events { blockcast_sse; }
            location = /named/tokens/rest { blockcast_rest well; }
        }

        location = /named/basic { auth_basic "x"; auth_basic_user_file htpasswd; blockcast_rest well; }
        location = /named/denied { deny all; blockcast_rest well; }
        location = /named/any-of { satisfy any; allow all; deny all; auth_basic "x"; auth_basic_user_file htpasswd; blockcast_rest well; }
        location = /named/limited { limit_req zone=req; blockcast_rest well; }
        location = /named/returned { if ($arg_no) { return 410; } blockcast_rest well; }
        location = /named/idiom {
            add_header Access-Control-Allow-Origin https://idiom.test;
            blockcast_rest well;
        }
        location = /named/idiom-404 {
            add_header Access-Control-Allow-Origin https://idiom.test;
            blockcast_rest none;
        }
        location = /named/gzip { gzip on; gzip_vary on; gzip_min_length 1; gzip_types application/json; blockcast_rest well; }
    }

    location /any { blockcast_origin any; location /any/api/ { blockcast_api; } location = /any/events { blockcast_sse; } }
    location /null { blockcast_origin null; location /null/api/ { blockcast_api; } location = /null/ws { blockcast_websocket; } }
    location /forwarded {
        blockcast_origin forwarded;
        location = /forwarded/ws { blockcast_websocket; }
        location /forwarded/api/ { blockcast_api; }
    }
    location = /plain { return 200 plain; }

    location /guarded/ {
        blockcast_guard on;
        proxy_pass http://front/plain;
        location = /guarded/any-of { satisfy any; allow all; auth_basic "x"; auth_basic_user_file htpasswd; proxy_pass http://front/plain; }
        location = /guarded/if { if ($arg_x) { set $y 1; } proxy_pass http://front/plain; }
        location = /guarded/named { blockcast_origin https://app.test; proxy_pass http://front/plain; }
        location = /guarded/off { blockcast_guard off; proxy_pass http://front/plain; }
        location = /guarded/error { error_page 404 = /guarded/page; proxy_intercept_errors on; proxy_pass http://front/nope; }
        location = /guarded/page { proxy_pass http://front/plain; }
        location = /guarded/rest { blockcast_rest well; }
        location = /guarded/echo { blockcast_echo; }
    }
    location = /unguarded { error_page 404 = /guarded/page; proxy_intercept_errors on; proxy_pass http://front/nope; }
EOS

for (['tokens', "0123456789abcdef0123 x well\n"], ['htpasswd', "a:{PLAIN}b\n"]) {
    open my $fh, '>', $t->prefix . "/$_->[0]" or die;
    print $fh $_->[1];
    close $fh;
}

$t->start;

my $self = '127.0.0.1';

sub ask {
    my ($method, $path, $origin, %h) = @_;
    return $t->request($method, $path, timeout => 20, headers => { Host => "$self:" . $t->port,
        defined $origin ? (Origin => $origin) : (), %h });
}

# an event stream does not end: the head is enough
sub head_of {
    my ($path, $origin, %h) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) // die "connect: $!\n";
    $s->syswrite("GET $path HTTP/1.1\r\nHost: $self\r\n" . (defined $origin ? "Origin: $origin\r\n" : '') . "\r\n");
    my ($text, $end) = ('', time + 20);
    while ($text !~ /\r\n\r\n/ && time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread($s, $text, 65536, length $text) or last;
    }
    return $text =~ s/\r\n\r\n.*//sr;
}

# what a browser reads of it: status, who may read it, with cookies
sub cors {
    my ($head) = @_;
    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
    my @allow = $head =~ /^Access-Control-Allow-Origin: (.*?)\r?$/mgi;
    my @credentials = $head =~ /^Access-Control-Allow-Credentials: (.*?)\r?$/mgi;
    my @expose = $head =~ /^Access-Control-Expose-Headers: (.*?)\r?$/mgi;
    my @vary = map { split /,\s*/ } $head =~ /^Vary: (.*?)\r?$/mgi;
    return join ' ', $status, "@allow" || '-', "@credentials" || '-', (grep { /^Origin$/i } @vary) ? 'vary' : '-',
        "@expose" =~ /ETag/ ? 'exposed' : '-';
}

wait_for { ask(GET => '/named/rest')->{status} == 200 } 30;


# Every endpoint and status.

my $app = 'https://app.test';

for my $case (
    # path, status, headers
    ['/named/api/streams', 200], ['/named/api/streams/well', 200], ['/named/rest', 200], ['/named/api/nope', 404],
    ['/named/api/streams/nope', 404], ['/named/api/streams/none', 503], ['/named/api/streams/well?wait=x', 400],
    ['/named/api/health', 503], ['/named/health', 503], ['/named/tokens/api/streams', 401],
    ['/named/tokens/rest', 401], ['/named/tokens/events', 401], ['/named/events/nope', 404], ['/named/events/well', 200],
    ['/named/basic', 401], ['/named/denied', 403], ['/named/returned?no=1', 410], ['/named/ws', 426],
    ['/named/gzip', 200],
) {
    my ($path, $status) = @$case;
    is(cors(head_of($path, $app)), "$status $app true vary exposed", "$path: an allowed page reads the $status");
    is(cors(head_of($path)), "$status - - vary -", 'who is no page is told nothing of that');

    # WebSocket and event streams refuse it
    my $want = $path =~ /events/ ? 403 : $status;
    is(cors(head_of($path, 'https://evil.test')), "$want - - vary -", 'another page does not read it');
}

is(ask(GET => '/named/limited', $app)->{status}, 200, 'limit_req: one');
is(cors(head_of('/named/limited', $app)), "503 $app true vary exposed", 'and the 503 of the next is read');

my $etag = ask(GET => '/named/rest', $app)->{headers}{etag};
ok(wait_for(sub {
    my $r = ask(GET => '/named/rest', $app, 'If-None-Match' => $etag);
    $etag = $r->{headers}{etag};
    return cors($r->{head}) eq "304 $app true vary exposed";
}, 20), '304, too');
is(cors(ask(HEAD => '/named/rest', $app)->{head}), "200 $app true vary exposed", 'HEAD');
like(cors(ask(POST => '/named/rest', $app)->{head}), qr/^405 \Q$app\E/, 'the 405 of a POST');

unlike(head_of('/named/metrics', $app), qr/Access-Control|Vary/i, 'metrics are for no page');
unlike(head_of('/plain', $app), qr/Access-Control|Vary/i, 'nor is nginx\'s own our matter');


# Who is allowed.

for my $case (['/named', 'https://x.many.test', 1], ['/named', 'http://a.test:8080', 1], ['/named', 'HTTPS://APP.TEST', 1],
    ['/named', 'http://app.test', 0], ['/named', 'https://app.test:444', 0], ['/named', 'https://app.test.evil.test', 0],
    ['/named', 'https://many.test', 0], ['/named', 'null', 0], ['/named', '', 0], ['/named', "http://$self", 0],
    ['/same', "http://$self", 1], ['/same', "http://$self:3000", 1], ['/same', "https://$self", 1],
    ['/same', 'http://evil.test', 0], ['/same', 'null', 0], ['/same', "http://$self.evil.test", 0],
    ['/same', "http://evil.test\@$self", 0], ['/same', "http://$self:80\@evil.test", 0], ['/same', "http://$self/", 0],
    ['/null', 'null', 1], ['/null', 'NULL', 1], ['/null', "http://$self", 0], ['/null', 'nullx', 0])
{
    my ($at, $origin, $allowed) = @$case;
    is(cors(head_of("$at/api/streams", $origin)), $allowed ? "200 $origin true vary exposed" : '200 - - vary -',
        "$at, Origin \"$origin\": " . ($allowed ? 'allowed' : 'not'));
}

is(cors(head_of('/any/api/streams', 'https://evil.test')), '200 * - vary exposed', 'any: everybody, without cookies');
is(cors(head_of('/any/events', 'null')), '200 * - vary exposed', 'a page without an Origin of its own, too');

is(cors(ask(GET => '/named/rest', "$app\r\nOrigin: https://evil.test")->{head}), '200 - - vary -',
    'two Origins: the second is not hidden behind the first');
is(cors(head_of('/same/events', "http://$self\r\nOrigin: http://evil.test")), '403 - - vary -', 'nor here');


# Preflight: without token or password, before whatever asks for one.

my %pre = ('Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => 'authorization,x-forwarded-host');

for my $path (qw(/named/api/streams /named/api/nope /named/rest /named/health /named/events /named/tokens/api/streams
    /named/tokens/events /named/tokens/rest /named/basic /named/any-of))
{
    my $r = ask(OPTIONS => $path, $app, %pre);
    is(cors($r->{head}), "204 $app true vary -", "preflight of $path");
    is($r->{headers}{'access-control-allow-methods'}, 'GET, HEAD', 'methods');
    like($r->{headers}{'access-control-allow-headers'}, qr/\bAuthorization\b/, 'with a token');
    unlike($r->{head}, qr/forwarded/i, 'not as a proxy');
    is($r->{body}, '', 'empty');

    $r = ask(OPTIONS => $path, 'https://evil.test', %pre);
    like($r->{status}, qr/^(?:405|401)$/, 'of another page: refused');
    unlike($r->{head}, qr/Access-Control/i, 'without a word of it');
}

is(ask(OPTIONS => '/named/rest', $app)->{status}, 405, 'OPTIONS that is no preflight');
is(ask(OPTIONS => '/named/rest', undef, %pre)->{status}, 405, 'nor is one without an Origin');


# The operator's own add_header comes first: two of them are read by nobody.

is(cors(ask(GET => '/named/idiom', $app)->{head}), '200 https://idiom.test - - -', 'add_header is left alone');
is(cors(ask(GET => '/named/idiom-404', $app)->{head}), "503 $app true vary exposed", 'where it says nothing, we do');


# WebSocket: who may connect. [::1] and names by their Host.

sub connects {
    my ($path, $origin, $host, %h) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h{port} // $t->port) // die "connect: $!\n";
    delete $h{port};
    $s->syswrite("GET $path HTTP/1.1\r\n" . (defined $host ? "Host: $host\r\n" : '') . "Upgrade: websocket\r\n"
        . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        . (defined $origin ? "Origin: $origin\r\n" : '') . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n");
    my ($text, $end) = ('', time + 20);
    while ($text !~ /\r\n\r\n/ && time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread($s, $text, 65536, length $text) or last;
    }
    return $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

for my $case (
    # Origin, Host, status
    ['http://chain.test', 'chain.test', 101], ['https://chain.test:8443', 'chain.test:8000', 101],
    ['http://CHAIN.test', 'chain.TEST', 101], ['http://chain.test.', 'chain.test.', 101],
    ['http://chain.test', 'chain.test.', 101], ['http://[::1]:3000', '[::1]:8000', 101],
    ['http://[::1]', '[::1]', 101], ['http://[FE80::1]', '[fe80::1]:80', 101], [undef, 'chain.test', 101],
    ['http://www.chain.test', 'chain.test', 403], ['http://chain.test', 'www.chain.test', 403],
    ['http://xchain.test', 'chain.test', 403], ['http://[::2]', '[::1]', 403], ['http://[::1', '[::1]', 403],
    ['http://[::1]x', '[::1]', 403], ['null', 'null', 403], ['', 'chain.test', 403], ['http://', 'chain.test', 403],
    ['chain.test', 'chain.test', 403], ['http://chain.test:80:80', 'chain.test', 403],
    ['http://chain.test:x', 'chain.test', 403], ['http://chain.test@evil.test', 'chain.test', 403],
    ['http://evil.test#@chain.test', 'chain.test', 403], ["http://chain.test\tx", 'chain.test', 403],
) {
    my ($origin, $host, $want) = @$case;
    is(connects('/ws', $origin, $host), $want, 'Origin ' . ($origin // 'none') . ", Host $host: $want");
}

is(connects('/null/ws', 'null', 'x'), 101, 'null is named: connects');
is(connects('/null/ws', 'http://x', 'x'), 403, 'and nothing else');


# Behind another proxy.

my $page = 'https://chain.test';
is(connects('/ws', $page, 'chain.test', port => $t->port(1)), 403, 'a proxy that does not pass the Host on');
ok($t->wait_log(qr/\[warn\].*a page of the Origin "https:\/\/chain\.test" is not allowed here, the Host it was compared with is "front"|\[info\].*Origin "https:\/\/chain\.test".*"front"/),
    'the log names both') or diag($t->error_log);
is(connects('/host/ws', $page, 'chain.test', port => $t->port(1)), 101, 'one that does');
is(connects('/forwarded/ws', $page, 'chain.test:443', port => $t->port(1)), 101, 'X-Forwarded-Host, when told');
is(connects('/forwarded/ws', 'https://evil.test', 'chain.test', port => $t->port(1)), 403, 'of the page of the Host only');

for my $case (
    # Origin, Host, X-Forwarded-Host, status
    [$page, 'inner', 'chain.test', 101], [$page, 'inner', 'chain.test:8443', 101], [$page, 'inner', ' Chain.Test ', 101],
    [$page, 'inner', 'chain.test, inner', 101], [$page, 'inner', 'other.test, chain.test', 403],
    ['http://inner', 'inner', 'chain.test', 403], ['http://inner', 'inner', undef, 101], ['http://[::1]', 'inner', '[::1]:80', 101],
    [$page, 'chain.test', 'chain.test@x', 403], ['null', 'inner', 'null', 403],
) {
    my ($origin, $host, $forwarded, $want) = @$case;
    is(connects('/forwarded/ws', $origin, $host, defined $forwarded ? ('X-Forwarded-Host' => $forwarded) : ()), $want,
        "forwarded: Origin $origin, Host $host, X-Forwarded-Host " . ($forwarded // 'none') . ": $want");
}
is(connects('/ws', $page, 'inner', 'X-Forwarded-Host' => 'chain.test'), 403, 'not when it was not told');
is(cors(ask(GET => '/forwarded/api/streams', $page, 'X-Forwarded-Host' => 'chain.test')->{head}),
    "200 $page true vary exposed", 'the same over plain HTTP');


# blockcast_guard, in front of anything.

for my $case (['/guarded/', 403], ['/guarded/any-of', 403], ['/guarded/if?x=1', 403], ['/guarded/off', 200],
    ['/guarded/error', 403], ['/guarded/page', 403], ['/guarded/rest', 403], ['/guarded/echo', 403], ['/unguarded', 403])
{
    my ($path, $want) = @$case;
    my $r = ask(GET => $path, 'http://evil.test');
    is($r->{status}, $want, "$path: another page is " . ($want == 403 ? 'refused' : 'not'));
    like($r->{body}, qr/^Pages of this Origin may not connect here/, 'with a sentence') if $want == 403;
    my $ok = $path =~ /echo/ ? 426 : 200;
    is(ask(POST => $path, 'http://evil.test', 'Content-Length' => 0)->{status}, 403, 'POST') if $want == 403;
    is(ask(GET => $path, "http://$self:1")->{status}, $ok, 'a page of the same host is not');
    is(ask(GET => $path)->{status}, $ok, 'nor who is no page');
}
is(ask(GET => '/guarded/named', $app)->{status}, 200, 'the pages are those of blockcast_origin');
is(ask(GET => '/guarded/named', "http://$self")->{status}, 403, 'and no other');


# At warn once a minute, and nothing of the client's own making in a line.

ok($t->reload, 'a new worker');
my $before = length $t->error_log;
is(connects('/ws', "http://evil.test/\x01\x1b[31m\"\xc2\x9b" . 'x' x 5000, 'chain.test'), 403, 'an ugly Origin');
is(connects('/ws', "http://evil$_.test", 'chain.test'), 403, 'and others') for 1 .. 5;

my @told = grep { /a page of the Origin/ } split /\n/, substr $t->error_log, $before;
my @warn = grep { /\[warn\]/ && /evil/ } @told;
is(scalar @warn, 1, 'at warn once') or diag(join "\n", @warn);
like($warn[0], qr{the Origin "http://evil\.test/  ?\[31m"[^\x00-\x1f\x7f]{1,3}x{20}x*" is}, 'in plain letters');
cmp_ok(length(($warn[0] =~ /Origin "([^"]*)"/)[0]), '<=', 128, 'and few of them');
is(scalar(grep { /\[info\]/ && /"http:\/\/evil\d\.test".*"chain\.test"/ } @told), 5, 'the others at info');

$t->stop;
done_testing();
