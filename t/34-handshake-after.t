#!/usr/bin/perl

# What comes with a handshake and after it: frames in the same packet, another
# request on the same connection, compressed messages (RFC 7692). If this fails,
# a fast client's first message is lost, a client behind a proxy that keeps
# connections gets the answers of others, or compressed messages arrive broken.
# Handshakes and their answers one by one are in t/30-handshake.t.

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


sub extension {
    my (@offers) = @_;

    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text(add => [map { "Sec-WebSocket-Extensions: $_" } @offers]));
    $ws->read_head;

    return ($ws->status == 101 ? $ws->header('sec-websocket-extensions') // 'none'
        : 'refused', $ws);
}


my $pmd = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';



# Frames behind the handshake in the same packet. If this fails, a fast
# client's first message waits for its second one, or is lost.

subtest 'frames that come with the handshake' => sub {
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
};


# After a refusal. If this fails, clients behind a proxy that keeps connections
# get the answers of others.

subtest 'other requests on the connection' => sub {
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
};


# The access log. If this fails, an operator cannot see who was connected.

subtest 'the access log' => sub {
    $t->get('/');
    ok(wait_for { my $log = do { local (@ARGV, $/) = $t->prefix . '/ws.log'; <> };
        $log =~ m{"GET /echo HTTP/1\.1" 101 \d+} && $log =~ m{"GET / HTTP/1\.1" 426} },
        'connections and refusals are in the access log');
};


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

subtest 'compressed messages' => sub {
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
};


subtest 'a smaller window' => sub {
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
};


subtest 'violations' => sub {
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
};


subtest 'exactly at the bound' => sub {
    my (undef, $ws) = extension('permessage-deflate');
    $ws->send_frame(rsv => 4, opcode => 2, payload => deflate('0' x 65536));
    my $f = $ws->recv;
    is(length inflate($f->{payload}), 65536, 'max_message bytes when unpacked pass');
    $ws->send_frame(rsv => 4, opcode => 2, payload => deflate('0' x 65537));
    is(($ws->recv_close)[0], 1009, 'and one more does not');
    $ws->drop;
};


subtest 'turned off' => sub {
    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text(path => '/plain',
        add => ['Sec-WebSocket-Extensions: permessage-deflate']));
    $ws->read_head;
    ok($ws->status == 101 && !defined $ws->header('sec-websocket-extensions'),
        'blockcast_deflate off: accepted without it');
    $ws->send_frame(rsv => 4, payload => deflate('x'));
    is(($ws->recv_close)[0], 1002, 'and RSV1 is a violation then');
    $ws->drop;
};


subtest 'the streams\' endpoint agrees to it too, and its messages can be read' => sub {
    my $ws = $t->ws('', handshake => 0);
    $ws->send_raw(request_text(path => '/',
        add => ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']));
    $ws->read_head;
    is($ws->header('sec-websocket-extensions'), $pmd, 'the endpoint of the streams agrees');
    $ws->send_frame(rsv => 4, payload => deflate('{"type":"ping","id":"packed"}'));

    my $f;
    for (1 .. 2) {
        $f = $ws->recv;
        $f = $f->{rsv} ? inflate($f->{payload}) : $f->{payload};
    }

    like($f, qr/"type":"pong".*"id":"packed"/, 'and reads what is compressed');
    $ws->drop;
};


$t->stop;

done_testing();
