#!/usr/bin/perl

# Who may connect, and to what. If this fails, a foreign page reads a visitor's
# streams, a token opens more than it should or is written where everybody
# reads, or nginx's own guards do not guard a WebSocket.

use strict;
use warnings;

use Digest::MD5 ();
use IO::Socket::SSL ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my %token = (all => 'all-0123456789abcdef', one => 'one-0123456789abcdef',
    two => 'two-0123456789abcdef', odd => 'odd/0123456789+abcde==');

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0,
    http => <<'EOF', server => <<'EOS');
    log_format ws '$uri|$status|$blockcast_streams|$blockcast_protocol|'
                  '$blockcast_frames_in|$blockcast_frames_out|'
                  '$blockcast_close_code|$blockcast_token_name';
    access_log %%PREFIX%%/ws.log ws;

    blockcast_stream alpha { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream gamma {
        blockcast_interval 100ms;
        blockcast_call c receipt.audit;
        blockcast_jq '{receipts: .results.c}';
        blockcast_log receipts key=id;
    }

    map $arg_who $granted {
        ann      "alpha,beta";
        bob      " beta ,, gamma ";
        everyone "*";
        typo     "alpah";
        default  "";
    }

    limit_conn_zone $binary_remote_addr zone=conn:1m;
    limit_req_zone $binary_remote_addr zone=req:1m rate=1r/m;

    server {
        listen 127.0.0.1:%%PORT1%% ssl http2;
        ssl_certificate %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { blockcast_websocket; }
        location /tokens { blockcast_websocket; blockcast_tokens tokens; }
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        location = /auth {
            if ($http_x_user = "") { return 401; }
            add_header X-Streams $arg_streams;
            return 204;
        }
        location = /auth-ann { add_header X-Streams "alpha gamma"; return 204; }
        location = /auth-none { return 204; }
        location = /auth-no { return 403; }
    }
EOF
    location = /ws { blockcast_websocket; }
    location = /some { blockcast_websocket alpha gamma; }
    location = /echo { blockcast_echo; }
    location = /any { blockcast_websocket; blockcast_origin any; }
    location = /list {
        blockcast_websocket;
        blockcast_origin https://www.example.com http://*.example.net https://a.test:8443;
    }
    location = /both { blockcast_websocket; blockcast_origin same https://www.example.com; }
    location = /echo-same { blockcast_echo; blockcast_origin same; }
    location /list-events { blockcast_sse; blockcast_origin https://www.example.com; }

    location /tokens {
        blockcast_tokens tokens;
        location = /tokens/ws { blockcast_websocket; }
        location /tokens/api/ { blockcast_api; }
        location = /tokens/alpha { blockcast_rest alpha; }
        location /tokens/events { blockcast_sse; }
        location = /tokens/health { blockcast_health; }
        location = /tokens/map { blockcast_websocket; blockcast_allow_streams "$granted"; }
    }

    location = /granted { blockcast_websocket; blockcast_allow_streams $granted; }
    location /granted-events { blockcast_sse; blockcast_allow_streams $granted; }
    location /granted-api/ { blockcast_api; blockcast_allow_streams $granted; }
    location = /granted-some { blockcast_websocket alpha gamma; blockcast_allow_streams $granted; }

    location = /_ann { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-ann; }
    location = /_none { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-none; }
    location = /_no { internal; proxy_pass http://127.0.0.1:%%PORT2%%/auth-no; }
    location = /auth-ann {
        auth_request /_ann;
        auth_request_set $streams $upstream_http_x_streams;
        blockcast_websocket;
        blockcast_allow_streams $streams;
    }
    location = /auth-none {
        auth_request /_none;
        auth_request_set $streams $upstream_http_x_streams;
        blockcast_websocket;
        blockcast_allow_streams $streams;
    }
    location = /auth-no { auth_request /_no; blockcast_websocket; }

    location = /basic {
        auth_basic "streams";
        auth_basic_user_file htpasswd;
        blockcast_websocket;
    }
    location = /allowed { allow 127.0.0.1; deny all; blockcast_websocket; }
    location = /denied { deny 127.0.0.1; allow all; blockcast_websocket; }
    location = /conn { limit_conn conn 2; blockcast_websocket; }
    location = /req { limit_req zone=req burst=1 nodelay; blockcast_websocket; }
    location = /link {
        secure_link $arg_md5,$arg_expires;
        secure_link_md5 "$secure_link_expires$uri secret";
        if ($secure_link = "") { return 403; }
        if ($secure_link = "0") { return 410; }
        blockcast_websocket;
    }
    location = /rewritten { rewrite ^ /ws last; }
EOS


sub file {
    my ($name, $text) = @_;
    open my $fh, '>', $t->prefix . "/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
}

file('tokens', <<"EOF");
# what the operator keeps
$token{all}  operator
$token{one}  partner   alpha
$token{two}  dashboard alpha,gamma
$token{odd}
EOF
file('htpasswd', "ann:{PLAIN}open sesame\n");

system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-out', $t->prefix . '/cert.pem', '-keyout', $t->prefix . '/key.pem', '-batch') == 0
    or die "openssl failed\n" if !-f $t->prefix . '/cert.pem';

$t->start;


# Tries to connect; the status, and the client when it was accepted.

sub try {
    my ($path, %opt) = @_;

    my $ws = $t->ws($path, may_fail => 1, %opt);
    return wantarray ? ($ws->status, $ws) : $ws->status;
}


sub origin { scalar try($_[0], origin => $_[1]) }


# The streams a client is told of.

sub streams {
    my ($path, %opt) = @_;

    my ($status, $ws) = try($path, %opt);
    return "status $status" if $status != 101;
    my $m = $ws->recv_type('welcome');
    $ws->drop;
    return join ' ', @{ $m->{available_streams} };
}


# Origin.

my @origins = (
    # path, Origin, status
    ['/ws', undef, 101], ['/ws', 'http://localhost:3000', 101], ['/ws', 'https://LOCALHOST', 101],
    ['/ws', 'http://evil.example', 403], ['/ws', 'http://localhost.evil.example', 403],
    ['/ws', 'http://evil.example/localhost', 403], ['/ws', 'null', 403], ['/ws', '', 403],
    ['/ws', 'http://evillocalhost', 403], ['/ws', 'localhost', 403], ['/ws', 'http://127.0.0.2', 403],
    ['/any', 'http://evil.example', 101], ['/any', 'null', 101], ['/any', undef, 101],
    ['/list', undef, 101], ['/list', 'https://www.example.com', 101],
    ['/list', 'HTTPS://WWW.EXAMPLE.COM', 101], ['/list', 'http://www.example.com', 403],
    ['/list', 'https://www.example.com:444', 403], ['/list', 'https://www.example.com.evil.test', 403],
    ['/list', 'http://a.example.net', 101], ['/list', 'http://a.b.example.net', 101],
    ['/list', 'http://example.net', 403], ['/list', 'http://.example.net', 403],
    ['/list', 'https://a.example.net', 403], ['/list', 'http://evilexample.net', 403],
    ['/list', 'http://evil.test/.example.net', 403], ['/list', 'http://a.example.net.evil.test', 403],
    ['/list', 'https://a.test:8443', 101], ['/list', 'https://a.test', 403],
    ['/list', 'http://localhost', 403], ['/list', 'null', 403],
    ['/both', 'http://localhost', 101], ['/both', 'https://www.example.com', 101],
    ['/both', 'https://example.com', 403],
    ['/echo', 'http://evil.example', 101], ['/echo-same', 'http://evil.example', 403],
    ['/echo-same', 'http://localhost', 101],
);

# the Host of the handshake is 127.0.0.1, which the list calls localhost
for (@origins) {
    my ($path, $origin, $want) = @$_;
    my $sent = defined $origin ? $origin =~ s/localhost(?=$|:)/127.0.0.1/ir : undef;
    is(origin($path, $sent), $want, "$path, Origin " . ($sent // 'not sent'));
}

my (undef, $ws) = try('/ws', origin => 'http://evil.example');
like($ws->body, qr/^Pages of this Origin may not connect here \(blockcast_origin\)\.$/,
    'the refusal says why');

is($t->get('/list-events?streams=alpha', headers => { Origin => 'http://evil.example' })->{status},
    403, 'event streams check it, too');


# Tokens, in each of the three places.

sub token_ws { streams('/tokens/ws' . ($_[0] // ''), @_[1 .. $#_]) }
sub bearer { (headers => [['Authorization', "Bearer $_[0]"]]) }

my $every = 'alpha beta gamma';

($_, $ws) = try('/tokens/ws');
is($_, 401, 'no token');
is($ws->header('www-authenticate'), 'Bearer', 'with WWW-Authenticate');
like($ws->body, qr/^A bearer token is needed here\.$/, 'and a sentence');
($_, $ws) = try('/tokens/ws', bearer('all-0123456789abcdeF'));
is($_, 401, 'a wrong token');
is($ws->header('www-authenticate'), 'Bearer', 'with WWW-Authenticate, too');
is(scalar try('/tokens/ws', bearer('all-0123456789abcde')), 401, 'a beginning of one');
is(scalar try('/tokens/ws', bearer("$token{all}x")), 401, 'one that goes on');
is(scalar try('/tokens/ws', bearer('')), 401, 'an empty one');
is(scalar try('/tokens/ws', headers => [['Authorization', "Basic $token{all}"]]), 401, 'another scheme');
is(token_ws('', bearer($token{all})), $every, 'in Authorization');
is(token_ws('', headers => [['Authorization', "bearer   $token{all}"]]), $every, 'whatever the case');
is(token_ws("?token=$token{all}"), $every, 'as an argument');
is(token_ws("?a=1&token=$token{one}"), 'alpha', 'with its streams');
is(token_ws('?token=' . $token{odd} =~ s/([^\w.-])/sprintf '%%%02X', ord $1/gre), $every,
    'percent-encoded, as a browser does');
is(token_ws('', bearer($token{odd})), $every, 'and as it is in the header');
is(token_ws('', subprotocol => "blockcast.v1.json, bearer.$token{two}"), 'alpha gamma',
    'among the subprotocols');
is(token_ws('', subprotocol => "bearer.$token{two}, blockcast.v1.json"), 'alpha gamma', 'in any order');
($_, $ws) = try('/tokens/ws', subprotocol => "bearer.$token{two}, blockcast.v1.json");
is($ws->header('sec-websocket-protocol'), 'blockcast.v1.json', 'where the answer names the other one');
($_, $ws) = try('/tokens/ws', subprotocol => "bearer.$token{two}");
is($ws->header('sec-websocket-protocol'), undef, 'and never the token');
is(scalar try('/tokens/ws', bearer('wrong-0123456789abc'), subprotocol => "bearer.$token{two}"), 401,
    'the header comes first');

$ws = $t->ws('/tokens/ws', bearer($token{one}));
$ws->recv_type('welcome');
ok($ws->subscribe('alpha'), 'a stream that the token opens');
$ws->send_json({ type => 'subscribe', stream => 'beta' });
is($ws->recv_type('error')->{code}, 'unknown_stream', 'one that it does not');
$ws->send_text('{"type":"subscribe","stream":"alpha\\u0000beta"}');
is($ws->recv_type('error')->{code}, 'unknown_stream', 'a name does not end at a NUL');
$ws->drop;

$ws = $t->ws('/tokens/ws', bearer($token{one}), subprotocol => 'jsonrpc');
$ws->send_json({ jsonrpc => '2.0', id => 1, method => 'subscribe', params => ['beta'] });
is($ws->recv_json->{error}{code}, -32602, 'the same over JSON-RPC');
$ws->send_json({ jsonrpc => '2.0', id => 2, method => 'streams' });
is_deeply($ws->recv_json->{result}, ['alpha'], 'which lists only its own');
$ws->drop;

is(streams('/tokens/map?who=ann', bearer($token{two})), 'alpha', 'token and variable: what both open');


# The same data over plain HTTP is behind the same tokens.

sub status { my ($path, $token) = @_;
    $t->get($path, timeout => 3, headers => $token ? { Authorization => "Bearer $token" } : {})->{status} }

for my $path ('/tokens/api/streams', '/tokens/api/streams/alpha', '/tokens/api/gamma', '/tokens/api/health',
    '/tokens/alpha', '/tokens/events?streams=alpha')
{
    my $r = $t->get($path, timeout => 3);
    is($r->{status}, 401, "$path without a token");
    is($r->{headers}{'www-authenticate'}, 'Bearer', 'asks for one');
}

wait_for { status('/tokens/api/streams/alpha', $token{one}) == 200 };
is(status('/tokens/api/streams/alpha', $token{one}), 200, 'with one there is data');
is(status("/tokens/api/streams/alpha?token=$token{one}"), 200, 'as an argument, too');
is(status('/tokens/alpha', $token{one}), 200, 'at its own address');
is(status('/tokens/api/streams/beta', $token{one}), 404, 'not of other streams');
is(status('/tokens/api/gamma', $token{one}), 404, 'nor entries of other logs');
is(status('/tokens/events?streams=beta', $token{one}), 404, 'nor events');
is_deeply([map { $_->{name} } @{ $t->get_json('/tokens/api/streams',
    headers => { Authorization => "Bearer $token{two}" })->{streams} }], ['alpha', 'gamma'],
    'the list has those of the token');
like(status('/tokens/health'), qr/^(?:200|503)$/, 'health has an answer for a balancer');


# Streams granted by a variable.

is(streams('/granted?who=ann'), 'alpha beta', 'blockcast_allow_streams: a map');
is(streams('/granted?who=bob'), 'beta gamma', 'spaces and commas');
is(streams('/granted?who=everyone'), $every, '*');
is(streams('/granted?who=typo'), '', 'a name that is none opens nothing');
is(streams('/granted'), '', 'an empty value opens nothing');
is(streams('/granted-some?who=bob'), 'gamma', 'not more than the location offers');
is(streams('/auth-ann'), 'alpha gamma', 'auth_request_set from the answer of the authorization server');
is(streams('/auth-none'), '', 'which says nothing: none');
is(scalar try('/auth-no'), 403, 'auth_request refuses');
is($t->get('/granted-api/streams/alpha')->{status}, 404, 'REST: none without a grant');
like($t->get('/granted-api/streams/alpha?who=ann')->{status}, qr/^(?:200|503)$/, 'and with one');
is($t->get('/granted-events?streams=gamma&who=ann')->{status}, 404, 'event streams, too');

$ws = $t->ws('/granted');
$ws->recv_type('welcome');
$ws->send_json({ type => 'subscribe', stream => 'alpha' });
is($ws->recv_type('error')->{code}, 'unknown_stream', 'no stream without a grant');
$ws->drop;


# nginx's own guards.

is(scalar try('/basic'), 401, 'auth_basic: refused');
is(scalar try('/basic', headers => [['Authorization', 'Basic ' . encode_base64('ann:open sesame', '')]]), 101,
    'auth_basic: accepted');
is(scalar try('/allowed'), 101, 'allow');
is(scalar try('/denied'), 403, 'deny');

my @two = map { $t->ws('/conn') } 1 .. 2;
is(scalar try('/conn'), 503, 'limit_conn: the third is refused');
$two[0]->drop;
ok(wait_for { (try('/conn'))[0] == 101 }, 'limit_conn: a place that was left is free');
$two[1]->drop;

is(join(' ', map { scalar try('/req') } 1 .. 3), '101 101 503', 'limit_req: rate and burst');

my $expires = time + 100;
my $md5 = sub { encode_base64(Digest::MD5::md5(int($_[0]) . "/link secret"), '') =~ tr{+/=}{-_}dr };
is(scalar try('/link?md5=' . $md5->($expires) . '&expires=' . int $expires), 101, 'secure_link: good');
is(scalar try('/link?md5=' . $md5->($expires + 1) . '&expires=' . int $expires), 403, 'secure_link: forged');
is(scalar try('/link?md5=' . $md5->(1000) . '&expires=1000'), 410, 'secure_link: over');
is(scalar try('/rewritten'), 101, 'behind a rewrite');


# TLS.

sub tls {
    my (%opt) = @_;
    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(1),
        SSL_ca_file => $t->prefix . '/cert.pem', SSL_verifycn_name => 'localhost', %opt)
        // die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
}

$ws = Blockcast::WebSocket->connect(socket => tls(), port => $t->port(1), path => '/ws');
is($ws->recv_type('welcome')->{type}, 'welcome', 'wss: welcome');
ok($ws->subscribe('alpha'), 'wss: subscribed');
ok($ws->recv_type('alpha'), 'wss: data');
$ws->send_json({ type => 'ping', id => 7, pad => 'x' x 40000 });
is($ws->recv_type('pong')->{id}, 7, 'wss: a message larger than a record');
$ws->close(1000);
is(($ws->recv_close)[0], 1000, 'wss: closed');
ok($ws->wait_eof, 'wss: and its end');
is(Blockcast::WebSocket->connect(socket => tls(), port => $t->port(1), path => '/tokens', may_fail => 1)->status,
    401, 'wss: no token');


# What the access log tells of a connection, at its end.

sub ws_log { Blockcast::Test::slurp($t->prefix . '/ws.log') }

sub logged {
    my ($re) = @_;
    wait_for { ws_log() =~ /^$re$/m } 5;
    return ws_log() =~ /^($re)$/m ? $1 : 'not there';
}

$ws = $t->ws('/tokens/ws', bearer($token{two}));
$ws->recv_type('welcome');
$ws->subscribe('gamma');
$ws->subscribe('alpha');
$ws->send_json({ type => 'unsubscribe', stream => 'gamma' });
$ws->recv_type('unsubscribed');
unlike(ws_log(), qr{\|alpha,gamma\|}, 'not before');
$ws->close(1000);
$ws->recv_close;
$ws->drop;
like(logged(qr{/tokens/ws\|101\|alpha,gamma\|.*}), qr{\|json\|4\|\d+\|1000\|dashboard$},
    'streams, protocol, frames, close code, whose token');
unlike($t->access_log . $t->error_log, qr/\Q$token{two}\E/,
    'no log has a token of a header') or diag map { "$_\n" }
    grep { /\Q$token{two}\E/ } split /\n/, $t->access_log . $t->error_log;

$ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
$ws->drop(reset => 1);
like(logged(qr{/ws\|101\|-\|cbor\|.*}), qr{\|0\|\d+\|1006\|-$}, 'who went without a word: 1006');

$ws = $t->ws('/ws', subprotocol => 'jsonrpc');
$ws->close;
$ws->recv_close;
$ws->drop;
like(logged(qr{/ws\|101\|-\|jsonrpc\|.*}), qr{\|1\|\d+\|1005\|-$}, 'an empty Close: 1005');

$ws = $t->ws('/ws');
$ws->send_frame(mask => 0);
$ws->recv_close;
$ws->drop;
like(logged(qr{/ws\|101\|-\|json\|\d+\|\d+\|1002\|-}), qr/1002/, 'what the server closed with');

like(logged(qr{/ws\|403\|.*}), qr{\|403\|-\|-\|-\|-\|-\|-$}, 'a refused one has none of these');

$t->stop;
done_testing();
