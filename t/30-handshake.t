#!/usr/bin/perl

# The opening handshake (RFC 6455, 4.2; RFC 7692). If this fails, some browser,
# library or proxy cannot connect, or what is no WebSocket client gets an
# answer that nobody understands.

use strict;
use warnings;

use Compress::Raw::Zlib;
use Test::More;
use Time::HiRes qw(time);
use Blockcast::Test;

my $t = Blockcast::Test->new(node => 1,
    http => <<'EOF', server => <<'EOS');
    access_log %%PREFIX%%/ws.log combined;
    blockcast_stream s { blockcast_call c net.stats; blockcast_interval 200ms; }
EOF
    location / { blockcast_websocket; }
    location = /echo { blockcast_echo; }
    location = /plain { blockcast_echo; blockcast_deflate off; }
    location = /page { return 200 "page"; }
EOS

my $key = 'dGhlIHNhbXBsZSBub25jZQ==';
my @head = (['Host', 'localhost'], ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'], ['Sec-WebSocket-Key', $key],
    ['Sec-WebSocket-Version', '13']);


# The text of a handshake; `set` replaces headers by name (undef: left out),
# `add` adds lines behind them.

sub request_text {
    my (%arg) = @_;

    my %set = %{ $arg{set} // {} };
    my @lines = map { my ($n, $v) = @$_;
        exists $set{$n} ? (defined $set{$n} ? "$n: $set{$n}" : ()) : "$n: $v" } @head;

    return join "\r\n", ($arg{method} // 'GET') . ' ' . ($arg{path} // '/echo')
        . ' HTTP/' . ($arg{version} // '1.1'), @lines, @{ $arg{add} // [] }, '',
        $arg{body} // '';
}


# Accepted: 101 and all that belongs to it, and a message passes. Returns the
# client.

sub accepted {
    my ($name, %arg) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw($arg{raw} // request_text(%arg));
    $ws->read_head;

    my $head = $ws->head // '';
    my $good = $head =~ m{^HTTP/1\.1 101 Switching Protocols\r\n}
        && $ws->header('upgrade') eq 'websocket'
        && lc $ws->header('connection') eq 'upgrade'
        && ($ws->header('sec-websocket-accept') // '') eq
            ($arg{accept} // 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
        && !defined $ws->header('content-length')
        && !defined $ws->header('transfer-encoding')
        && !defined $ws->header('content-type')
        && !defined $ws->header('sec-websocket-protocol');

    if ($good && !$arg{quiet}) {
        $ws->send_text("hello $name");
        $good = ($ws->recv_message // '') eq "hello $name";
    }

    ok($good, "accepted: $name") or diag("$head\n$ws->{buf}");

    return $ws;
}


# Refused: this status, one sentence that matches, the headers that belong to
# the status; the connection can be used for another request.

sub refused {
    my ($name, $status, $re, %arg) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $t->raw_request($arg{raw} // request_text(%arg),
        method => $arg{method} // 'GET');

    subtest "refused: $name" => sub {
        is($r->{status}, $status, "status $status");
        like($r->{headers}{'content-type'}, qr{^text/plain}, 'text');
        is($r->{headers}{'cache-control'}, 'no-store', 'kept by no cache');

        if (($arg{method} // '') ne 'HEAD') {
            like($r->{body}, $re, 'the sentence says why');
            like($r->{body}, qr/\A[A-Z][^\n]*\.\n\z|\A[A-Z][^\n]*\)\.\n\z/,
                'it is one sentence');
        }

        ok(!defined $r->{headers}{'sec-websocket-accept'}, 'no accept');

        if ($status == 426) {
            is($r->{headers}{upgrade}, 'websocket', 'Upgrade: websocket');
            like($r->{headers}{connection}, qr/\bupgrade\b/i, 'Connection has upgrade');
            is($r->{headers}{'sec-websocket-version'}, '13', 'Sec-WebSocket-Version: 13');
        }

        is($r->{headers}{allow}, 'GET', 'Allow: GET') if $status == 405;
    } or diag($r->{head}, "\n", $r->{body});

    return $r;
}


# Good handshakes. If this fails, a client that keeps to the RFC is refused.

accepted('the example of the RFC')->close;
accepted('another key', set => { 'Sec-WebSocket-Key' => 'x3JJHMbDL1EzLkh9GBhXDw==' },
    accept => 'HSmrc0sMlYUkAGmm5OPpG2HaGWk=');
accepted('the key of the RFC whose last bits are not zero',
    set => { 'Sec-WebSocket-Key' => 'AQIDBAUGBwgJCgsMDQ4PEC==' },
    accept => 'OfS0wDaT5NoxF2gqm7Zj2YtetzM=');
accepted('names and tokens in any case', raw => join "\r\n",
    'GET /echo HTTP/1.1', 'HOST: localhost', 'uPGRADE: WebSocket', 'connection: uPgRaDe',
    "sec-websocket-key: $key", 'SEC-WEBSOCKET-VERSION: 13', '', '');
accepted('Firefox: keep-alive beside Upgrade',
    set => { Connection => 'keep-alive, Upgrade' });
accepted('Upgrade and no space', set => { Connection => 'close,upgrade' });
accepted('Connection in two lines', set => { Connection => 'keep-alive' },
    add => ['Connection: Upgrade']);
accepted('a list in Upgrade', set => { Upgrade => 'h2c, websocket' });
accepted('Upgrade in two lines', set => { Upgrade => 'h2c' }, add => ['Upgrade: websocket']);
accepted('empty list elements', set => { Upgrade => ',, websocket ,' });
accepted('spaces around values', set => { 'Sec-WebSocket-Key' => "  $key ",
    'Sec-WebSocket-Version' => ' 13 ' });
accepted('a query, an Origin, a subprotocol nobody asked us for', path => '/echo?a=1&b',
    add => ['Origin: https://example.org', 'Sec-WebSocket-Protocol: chat, superchat',
        'Sec-WebSocket-Extensions: x-unknown; a=b', 'Cookie: a=b']);
accepted('Content-Length: 0', add => ['Content-Length: 0']);
accepted('a head of more than nginx\'s first buffer',
    add => [map { "X-Long-$_: " . 'y' x 500 } 1 .. 8]);


# Frames behind the handshake in the same packet. If this fails, a fast
# client's first message waits for its second one, or is lost.

my $frames = Blockcast::WebSocket->frame(payload => 'early')
    . Blockcast::WebSocket->frame(opcode => 9, payload => 'p')
    . Blockcast::WebSocket->frame(payload => 'late');

for my $cut (length $frames, 3, 12) {
    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text() . substr $frames, 0, $cut);
    $ws->read_head;
    select undef, undef, undef, 0.02;
    $ws->send_raw(substr $frames, $cut) if $cut < length $frames;
    is(join(',', map { my $f = $ws->recv; $f ? $f->{payload} : 'none' } 1 .. 3),
        'early,p,late', "$cut bytes of frames came with the handshake");
    $ws->close(1000);
    is(($ws->recv_close)[0], 1000, 'and the close after them');
}

{
    my $ws = $t->ws('', handshake => 0);
    my $long = 'L' x 6000;
    $ws->send_raw(request_text() . Blockcast::WebSocket->frame(payload => $long)
        . Blockcast::WebSocket->frame(opcode => 8, payload => pack 'n', 1000));
    $ws->read_head;
    is($ws->recv_message, $long, 'a message longer than nginx\'s buffer came with it');
    is(($ws->recv_close)[0], 1000, 'and a close');

    $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text(path => '/')
        . Blockcast::WebSocket->frame(payload => '{"type":"subscribe","stream":"s"}'));
    $ws->read_head;
    is(($ws->recv_json // {})->{type}, 'welcome', 'the welcome comes first');
    is(($ws->recv_json // {})->{type}, 'subscribed', 'then the answer to a message that '
        . 'came with the handshake');
    $ws->drop;

    $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text() . "\x81\x05hello");
    $ws->read_head;
    is(($ws->recv_close)[0], 1002, 'a violation that came with the handshake is one');
    ok($ws->wait_eof, 'and ends the connection');

    my $text = request_text();
    $ws = $t->ws('', handshake => 0);

    for my $at (0 .. length($text) - 1) {
        $ws->send_raw(substr $text, $at, 1);
        select undef, undef, undef, 0.0005;
    }

    $ws->read_head;
    is($ws->status, 101, 'a handshake that comes byte by byte');
    $ws->drop;
}


# Plain HTTP on a WebSocket address. If this fails, who opens it in a browser,
# or a health check that was pointed at it, does not learn what it is.

for my $path ('/', '/ws', '/echo') {
    my $r = refused("plain GET $path", 426, qr/WebSocket/,
        raw => "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

is($t->get('/page')->{body}, 'page', 'other locations are not touched');

refused('HEAD', 426, undef, method => 'HEAD',
    raw => "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
refused('another Upgrade', 426, qr/WebSocket/, set => { Upgrade => 'h2c' });
refused('a token that only contains the word', 426, qr/WebSocket/,
    set => { Upgrade => 'websocket2' });
refused('an Upgrade with nothing', 426, qr/WebSocket/, set => { Upgrade => '' });
refused('HTTP/1.0 without Upgrade', 426, qr/WebSocket/,
    raw => "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");


# Wrong handshakes. If this fails, who writes a client, or runs a proxy that
# removes headers, has to guess what is missing.

for my $v ('8', '0', '14', '013', '13x', '', '13, 8') {
    refused("version \"$v\"", 426, qr/version 13.*Sec-WebSocket-Version/,
        set => { 'Sec-WebSocket-Version' => $v });
}

refused('no version', 426, qr/version 13/, set => { 'Sec-WebSocket-Version' => undef });
refused('two versions', 426, qr/version 13/, add => ['Sec-WebSocket-Version: 8']);

refused('no Connection', 400, qr/"Connection: Upgrade" is missing.*proxy/,
    set => { Connection => undef });
refused('Connection: keep-alive', 400, qr/"Connection: Upgrade" is missing/,
    set => { Connection => 'keep-alive' });
refused('Connection: upgraded', 400, qr/"Connection: Upgrade" is missing/,
    set => { Connection => 'upgraded' });

refused('no key', 400, qr/Sec-WebSocket-Key is missing/,
    set => { 'Sec-WebSocket-Key' => undef });
refused('two keys', 400, qr/more than one Sec-WebSocket-Key/,
    add => ["Sec-WebSocket-Key: $key"]);

for my $k ('', 'short==', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZQ===',
    'dGhlIHNhbXBsZSBub25jZXM=', 'dGhlIHNhbXBsZSBub25jZQAA', 'dGhlIHNhbXBsZSBub25j!Q==',
    "dGhlIHNhbXBs\xc3\xa9Bub25jZQ==", 'dGhlIHNhbXBsZSBub25jZ===', 'x' x 4000)
{
    refused('key "' . (length $k > 40 ? 'x...' : $k) . '"', 400,
        qr/Sec-WebSocket-Key is not the base64 of 16 bytes/,
        set => { 'Sec-WebSocket-Key' => $k });
}

refused('HTTP/1.0', 400, qr/HTTP\/1\.1/, version => '1.0');
refused('HEAD with everything else right', 400, undef, method => 'HEAD');
refused('a body', 400, qr/has no body/, add => ['Content-Length: 5'], body => 'hello');
refused('a body in chunks', 400, qr/has no body/, add => ['Transfer-Encoding: chunked'],
    body => "5\r\nhello\r\n0\r\n\r\n");

for my $m (qw(POST PUT DELETE OPTIONS PATCH PROPFIND)) {
    refused($m, 405, qr/takes only GET/, method => $m);
    refused("$m with a body", 405, qr/takes only GET/, method => $m,
        set => { Upgrade => undef, Connection => undef },
        add => ['Content-Length: 5'], body => 'hello');
}

ok($t->error_log =~ /\[info\].*WebSocket handshake refused with 400: .*Connection: Upgrade.*client: 127/,
    'a refusal has a line in the log, with the client') or diag($t->error_log);


# After a refusal. If this fails, clients behind a proxy that keeps connections
# get the answers of others.

{
    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $ws->read_head;
    is($ws->status, 426, 'a refusal');
    $ws->body;
    $ws->{buf} = '';
    $ws->send_raw("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    $ws->read_head;
    is($ws->status, 405, 'another one on the same connection, with a body');
    $ws->body;
    $ws->{buf} = '';
    $ws->send_raw(request_text());
    $ws->read_head;
    is($ws->status, 101, 'then a good handshake on it');
    $ws->send_text('works');
    is($ws->recv_message, 'works', 'that works');
    $ws->close(1000);
    is(($ws->recv_close)[0], 1000, 'and closes');
    ok($ws->wait_eof, 'with the connection');
}


# The access log. If this fails, an operator cannot see who was connected.

ok(wait_for { my $log = do { local (@ARGV, $/) = $t->prefix . '/ws.log'; <> };
    $log =~ m{"GET /echo HTTP/1\.1" 101 \d+} && $log =~ m{"GET / HTTP/1\.1" 426} },
    'connections and refusals are in the access log');


# permessage-deflate (RFC 7692). If this fails, a client that offers it is
# refused, or takes an answer for an agreement that it did not offer.

sub extension {
    my (@offers) = @_;

    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text(add => [map { "Sec-WebSocket-Extensions: $_" } @offers]));
    $ws->read_head;

    return ($ws->status == 101 ? $ws->header('sec-websocket-extensions') // 'none'
        : 'refused', $ws);
}

my $pmd = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

for my $c (
    ['permessage-deflate', $pmd],
    ['permessage-deflate; client_max_window_bits', $pmd],               # Chrome
    ['permessage-deflate; server_no_context_takeover', $pmd],
    ['permessage-deflate; client_no_context_takeover; server_no_context_takeover', $pmd],
    ['permessage-deflate; server_max_window_bits=10', "$pmd; server_max_window_bits=10"],
    ['permessage-deflate;server_max_window_bits="12"', "$pmd; server_max_window_bits=12"],
    ['permessage-deflate; server_max_window_bits=8', "$pmd; server_max_window_bits=8"],
    ['permessage-deflate; client_max_window_bits=9', "$pmd; client_max_window_bits=9"],
    ['permessage-deflate; server_max_window_bits=15; client_max_window_bits=15',
        "$pmd; server_max_window_bits=15; client_max_window_bits=15"],
    ['permessage-deflate; server_max_window_bits=7, permessage-deflate', $pmd],
    ['x-unknown; a="permessage-deflate, b", permessage-deflate', $pmd],
    ['permessage-deflate; mux, permessage-deflate; server_max_window_bits=11',
        "$pmd; server_max_window_bits=11"],
    map({ [$_, 'none'] } 'x-webkit-deflate-frame', 'permessage-deflatex', 'x-unknown; a=b',
        'permessage-deflate; unknown', 'permessage-deflate; unknown=1',
        'permessage-deflate; server_max_window_bits', 'permessage-deflate; server_max_window_bits=',
        'permessage-deflate; server_max_window_bits=7',
        'permessage-deflate; server_max_window_bits=16',
        'permessage-deflate; server_max_window_bits=08',
        'permessage-deflate; server_max_window_bits=1e1',
        'permessage-deflate; client_max_window_bits=0',
        'permessage-deflate; client_max_window_bits=100',
        'permessage-deflate; server_no_context_takeover=1',
        'permessage-deflate; server_no_context_takeover; server_no_context_takeover',
        'permessage-deflate; server_max_window_bits=10; server_max_window_bits=10',
        'permessage-deflate;', 'permessage-deflate; ;', '; permessage-deflate',
        'permessage-deflate "', ',,,', ''))
{
    my ($got, $ws) = extension($c->[0]);
    is($got, $c->[1], "offer: $c->[0]");

    $ws->send_text('x');
    is($ws->recv_message, 'x', 'and messages pass');
    $ws->drop;
}

is((extension('x-unknown', 'permessage-deflate; server_max_window_bits=9'))[0],
    "$pmd; server_max_window_bits=9", 'offers in two header lines');
is((extension(join ', ', ('permessage-deflate; bad=1') x 100, 'permessage-deflate'))[0], $pmd,
    'a hundred bad offers before a good one');


# Messages that are compressed. If this fails, they arrive broken, or a small
# frame makes a worker unpack gigabytes.

sub deflate {
    my ($text, %opt) = @_;

    my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
    my $out = '';
    $d->deflate($text, $out);
    $d->flush($out, Z_SYNC_FLUSH);
    $out =~ s/\x00\x00\xff\xff\z// or die 'no tail';

    return $out;
}

sub inflate {
    my ($bytes, $bits) = @_;

    my $i = Compress::Raw::Zlib::Inflate->new(-WindowBits => -($bits // 15),
        -AppendOutput => 1);
    my ($in, $out) = ("$bytes\x00\x00\xff\xff", '');
    my $rc = $i->inflate($in, $out);

    return $rc == Z_OK || $rc == Z_BUF_ERROR ? $out : "bad: $rc";
}

my $text = join ' ', map { "entry $_ of the list" } 1 .. 300;
my (undef, $ws) = extension('permessage-deflate');

for my $n (1, 2) {
    $ws->send_frame(rsv => 4, payload => deflate($text));
    my $f = $ws->recv;
    is($f->{rsv}, 4, "message $n comes back compressed");
    is(inflate($f->{payload}), $text, 'and is the same, without those before it');
}

$ws->send_frame(payload => $text);
my $f = $ws->recv;
ok($f->{rsv} == 0 && $f->{payload} eq $text, 'one that is not compressed is not changed');

$ws->send_frame(rsv => 4, payload => deflate('short'));
$f = $ws->recv;
is($f->{rsv} ? inflate($f->{payload}) : $f->{payload}, 'short', 'a short one');

$ws->send_frame(rsv => 4, payload => "\x00");
$f = $ws->recv;
is($f->{rsv} ? inflate($f->{payload}) : $f->{payload}, '', 'an empty one');

$ws->send_frame(rsv => 4, payload => '');
$f = $ws->recv;
ok($f && ($f->{opcode} == 1 || $f->{opcode} == 8), 'one without data is answered or refused');
$ws->drop;

(undef, $ws) = extension('permessage-deflate');
my $packed = deflate($text);

$ws->send_frame(rsv => 4, fin => 0, payload => substr $packed, 0, 5);
$ws->send_frame(opcode => 9, payload => 'p');
$ws->send_frame(opcode => 0, fin => 0, payload => substr $packed, 5, 9);
$ws->send_frame(opcode => 0, fin => 1, payload => substr $packed, 14);
is($ws->recv->{payload}, 'p', 'a ping between compressed fragments');
$f = $ws->recv;
is(inflate($f->{payload}), $text, 'and the message from three of them');

# the final block of a stream that was ended (RFC 7692, 7.2.3.4)
my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
my $final = '';
$d->deflate('ended', $final);
$d->flush($final, Z_FINISH);
$ws->send_frame(rsv => 4, payload => "$final\x00");
$f = $ws->recv;
is($f->{rsv} ? inflate($f->{payload}) : $f->{payload}, 'ended', 'a final block');
$ws->drop;

for my $bits (8, 9, 12) {
    my (undef, $ws) = extension("permessage-deflate; server_max_window_bits=$bits");
    my $far = join '', map { chr(65 + $_ * 7 % 26) } 1 .. 400;
    my $long = join '', map { $far . ('-' x 700) . $_ } 1 .. 20;
    $ws->send_frame(rsv => 4, payload => deflate($long));
    my $f = $ws->recv;
    is($f->{rsv} ? inflate($f->{payload}, $bits == 8 ? 9 : $bits) : $f->{payload}, $long,
        "a window of $bits bits is kept to");
    $ws->drop;
}

for my $c (['data that is not deflate', 1007, rsv => 4, payload => "\xff\xff\xff"],
    ['a stored block that is cut off', 1007, rsv => 4, payload => "\x00\x05\x00\xfa\xffab"],
    ['text that is not UTF-8 when it is unpacked', 1007, rsv => 4,
        payload => deflate("abc\xff")],
    ['a message too big when it is unpacked', 1009, rsv => 4,
        payload => deflate('0' x (64 << 20))],
    ['RSV1 on a ping', 1002, rsv => 4, opcode => 9],
    ['RSV1 on a close', 1002, rsv => 4, opcode => 8],
    ['RSV2 beside it', 1002, rsv => 6, payload => deflate('x')],
    ['RSV1 on a continuation', 1002, rsv => 4, opcode => 0, payload => 'x'])
{
    my ($name, $code, %f) = @$c;
    my (undef, $ws) = extension('permessage-deflate');

    if (($f{opcode} // 1) == 0) {
        $ws->send_frame(fin => 0, rsv => 4, payload => substr deflate('text'), 0, 2);
    }

    my $start = time;
    $ws->send_frame(%f);
    is(($ws->recv_close)[0], $code, "$name: $code");
    ok($ws->wait_eof && time - $start < 2 * slow(), 'and the end');
    $ws->drop;
}

# exactly at the bound

(undef, $ws) = extension('permessage-deflate');
$ws->send_frame(rsv => 4, opcode => 2, payload => deflate('0' x 65536));
$f = $ws->recv;
is(length inflate($f->{payload}), 65536, 'max_message bytes when unpacked pass');
$ws->send_frame(rsv => 4, opcode => 2, payload => deflate('0' x 65537));
is(($ws->recv_close)[0], 1009, 'and one more does not');
$ws->drop;

# turned off

$ws = $t->ws('', handshake => 0);
$ws->send_raw(request_text(path => '/plain',
    add => ['Sec-WebSocket-Extensions: permessage-deflate']));
$ws->read_head;
ok($ws->status == 101 && !defined $ws->header('sec-websocket-extensions'),
    'blockcast_deflate off: accepted without it');
$ws->send_frame(rsv => 4, payload => deflate('x'));
is(($ws->recv_close)[0], 1002, 'and RSV1 is a violation then');
$ws->drop;

# Safari 15.0 to 15.3 offers compression and then loses the connection: the
# dashboard would stay empty there

my $webkit = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15'
    . ' (KHTML, like Gecko) Version/%s Safari/605.1.15';

for my $case (['15.0', undef], ['15.3', undef], ['15.3.1', undef], ['15.4', $pmd],
    ['15.30', $pmd], ['14.1.2', $pmd], ['16.1', $pmd])
{
    my ($version, $expected) = @$case;
    my $safari = $t->ws('', handshake => 0);
    $safari->send_raw(request_text(path => '/', add => [
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
        'User-Agent: ' . sprintf $webkit, $version]));
    $safari->read_head;
    is($safari->header('sec-websocket-extensions'), $expected, "Safari $version");
    $safari->drop;
}

# the streams' endpoint agrees to it too, and its messages can be read

$ws = $t->ws('', handshake => 0);
$ws->send_raw(request_text(path => '/',
    add => ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']));
$ws->read_head;
is($ws->header('sec-websocket-extensions'), $pmd, 'the endpoint of the streams agrees');
$ws->send_frame(rsv => 4, payload => deflate('{"type":"ping","id":"packed"}'));

for (1 .. 2) {
    $f = $ws->recv;
    $f = $f->{rsv} ? inflate($f->{payload}) : $f->{payload};
}

like($f, qr/"type":"pong".*"id":"packed"/, 'and reads what is compressed');
$ws->drop;

$t->stop;

done_testing();
