#!/usr/bin/perl

# Frames, as bytes on the wire, against blockcast_echo, which is the product's
# own framing code. If this fails, some browser or client library breaks off
# its connection or never sees a message, or a hostile one keeps ours open.

use strict;
use warnings;

use POSIX ();
use Socket ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(server => <<'EOF');
    location = /echo { blockcast_echo; }
    location = /small { blockcast_echo; blockcast_max_message 1000; }
    location = /large { blockcast_echo; blockcast_max_message 16m; }
    location = /ping {
        blockcast_echo;
        blockcast_ping_interval 300ms;
        blockcast_pong_timeout 300ms;
    }
    location = /pinged {
        blockcast_echo;
        blockcast_ping_interval 300ms;
        blockcast_pong_timeout 2s;
    }
    location = /send {
        blockcast_echo;
        blockcast_max_message 1m;
        blockcast_send_timeout 400ms;
    }
    location = /deaf { blockcast_echo; blockcast_max_message 1m; }
EOF

my $utf8 = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \xf0\x9f\x98\x80";

sub frame { Blockcast::WebSocket->frame(@_) }


# The frame that comes must be this one.

sub is_frame {
    my ($ws, $opcode, $payload, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $f = $ws->recv;

    ok($f && $f->{fin} && !$f->{rsv} && !$f->{masked}
        && $f->{opcode} == $opcode && $f->{payload} eq $payload, $name)
        or diag($f ? "fin $f->{fin} rsv $f->{rsv} opcode $f->{opcode} "
            . length($f->{payload}) . ' bytes: '
            . substr $f->{payload}, 0, 80 : 'no frame, ' . ($ws->eof // 'open'));
}


# From here on the server sends exactly one Close frame, with this code (1005:
# an empty one), and ends the connection within a bounded time.

sub closes {
    my ($ws, $code, $name, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $start = time;
    my @frames;

    while (my $f = $ws->recv(8 * slow())) {
        push @frames, $f;
    }

    my $took = time - $start;
    my @close = grep { $_->{opcode} == 8 } @frames;
    my $payload = @close ? $close[0]{payload} : '';
    my $got = !@close ? 'none' : length $payload ? unpack 'n', $payload : 1005;

    ok(@close == 1 && @frames == 1 && $got eq $code && length $payload <= 125
        && ($ws->eof // '') eq 'closed' && $took < ($opt{within} // 4) * slow(), $name)
        or diag(sprintf 'opcodes %s, code %s, reason "%s", %s after %.1f s',
            join(',', map { $_->{opcode} } @frames), $got,
            length $payload > 2 ? substr($payload, 2) : '',
            $ws->eof // 'still open', $took);

    $ws->drop;
}


# Messages of all sizes where the length field changes. If this fails, a
# message of one certain size is lost.

my $ws = $t->ws('/echo');

for my $n (0, 1, 125, 126, 127, 1000, 65535, 65536) {
    my $text = 'x' x $n;
    $ws->send_text($text);
    is_frame($ws, 1, $text, "text of $n bytes");
}

my $bytes = join '', map { chr } 0 .. 255;
$ws->send_binary($bytes);
is_frame($ws, 2, $bytes, 'binary with every byte');

$ws->send_text($utf8);
is_frame($ws, 1, $utf8, 'UTF-8 beyond ASCII');


# The server's length fields are the shortest ones (RFC 6455, 5.2). If this
# fails, strict clients refuse the frames.

subtest 'the server\'s length fields are the shortest ones (RFC 6455, 5.2)' => sub {
    for ([125, 127], [126, 130], [65535, 65539], [65536, 65546]) {
        $ws->send_binary('y' x $_->[0]);
        my $f = $ws->recv;
        is($f->{size}, $_->[1], "$_->[0] bytes come in a frame of $_->[1]");
    }
};


# The masking key is any. If this fails, one message of a few billion is
# broken, or those of a client whose random numbers are bad.

for my $mask ("\0\0\0\0", "\xff\xff\xff\xff", "\x00\xff\x80\x7f") {
    $ws->send_frame(payload => "mask$utf8", mask => $mask);
    is_frame($ws, 1, "mask$utf8", 'mask ' . unpack 'H*', $mask);
}


# Fragments. If this fails, what a client sends in pieces (streams do) arrives
# in pieces or not at all.

$ws->send_frame(opcode => 1, fin => 0, payload => 'one ');
$ws->send_frame(opcode => 0, fin => 0, payload => '');
$ws->send_frame(opcode => 0, fin => 0, payload => 'two ');
$ws->send_frame(opcode => 0, fin => 1, payload => 'three');
is_frame($ws, 1, 'one two three', 'four fragments, one of them empty, are a message');

$ws->send_frame(opcode => 2, fin => 0, payload => '');
$ws->send_frame(opcode => 0, fin => 1, payload => '');
is_frame($ws, 2, '', 'two empty fragments are an empty message');

$ws->send_raw(join '', frame(opcode => 1, fin => 0, payload => ''),
    (map { frame(opcode => 0, fin => 0, payload => $_) } split //, $utf8),
    frame(opcode => 0, payload => ''));
is_frame($ws, 1, $utf8, 'characters may be split between fragments');


# Control frames between fragments. If this fails, a ping that comes in the
# middle of a long message ends the connection or spoils the message.

$ws->send_frame(opcode => 1, fin => 0, payload => 'a');
$ws->send_frame(opcode => 9, payload => 'between');
is_frame($ws, 10, 'between', 'a ping between fragments is answered at once');
$ws->send_frame(opcode => 0, fin => 0, payload => 'b');
$ws->send_frame(opcode => 10, payload => 'unasked');
$ws->send_frame(opcode => 9, payload => '');
is_frame($ws, 10, '', 'and another one, without payload');
$ws->send_frame(opcode => 0, fin => 1, payload => 'c');
is_frame($ws, 1, 'abc', 'and the message is whole');


# Pings. If this fails, clients that watch over the connection give it up.

subtest 'pings' => sub {
    for my $p ('', 'p', $bytes =~ /(.{125})/s) {
        $ws->send_frame(opcode => 9, payload => $p);
        is_frame($ws, 10, $p, 'ping of ' . length($p) . ' bytes comes back');
    }

    $ws->send_raw(join '', map { frame(opcode => 9, payload => "n$_") } 1 .. 50);
    is(join(',', map { my $f = $ws->recv; $f ? "$f->{opcode}$f->{payload}" : 'none' } 1 .. 50),
        join(',', map { "10n$_" } 1 .. 50), '50 pings of one packet, 50 pongs in order');
};


# Several frames in a packet, and the end of one in the next. If this fails,
# frames wait for the next packet (nginx reports new data only once).

subtest 'several frames in a packet, and the end of one in the next' => sub {
    $ws->send_raw(join '', map { frame(payload => "m$_") } 1 .. 100);
    is(join(',', map { my $f = $ws->recv; $f ? $f->{payload} : 'none' } 1 .. 100),
        join(',', map { "m$_" } 1 .. 100), '100 messages of one packet, in order');

    my $wire = frame(payload => 'first') . frame(opcode => 9, payload => 'second')
        . frame(payload => 'third');

    $ws->send_raw(substr $wire, 0, 20);
    is_frame($ws, 1, 'first', 'a packet that ends within a frame: the whole one');
    $ws->send_raw(substr $wire, 20);
    is_frame($ws, 10, 'second', 'the one that was split');
    is_frame($ws, 1, 'third', 'and the one behind it');

    $ws->close(1000);
    closes($ws, 1000, 'and a good close');
};


# Split at every byte. If this fails, a slow or fragmented network breaks
# messages: every place of every header must be able to wait.

sub nodelay {
    my ($ws) = @_;

    setsockopt $ws->socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;
    return $ws;
}


sub split_at {
    my ($name, $bytes, @expect) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ws = nodelay($t->ws('/echo'));
    my $bad;

    AT: for my $at (1 .. length($bytes) - 1) {
        $ws->send_raw(substr $bytes, 0, $at);
        sleep 0.002;
        $ws->send_raw(substr $bytes, $at);

        for my $e (@expect) {
            my $f = $ws->recv;
            next if $f && $f->{opcode} == $e->[0] && $f->{payload} eq $e->[1];
            $bad = "at byte $at";
            last AT;
        }
    }

    ok(!$bad, $name) or diag($bad);
    $ws->drop;
}


split_at('two fragments and a ping between them, split at every byte',
    frame(fin => 0, payload => substr $utf8, 0, 3) . frame(opcode => 9, payload => 'p')
    . frame(opcode => 0, payload => substr $utf8, 3), [10, 'p'], [1, $utf8]);

split_at('a 16 bit length, split at every byte',
    frame(opcode => 2, payload => 'z' x 126), [2, 'z' x 126]);

{
    my $ws = nodelay($t->ws('/echo'));
    my $long = 'q' x 65536;
    my $f = frame(opcode => 2, payload => $long);

    for my $at (1 .. 15) {
        $ws->send_raw(substr $f, 0, $at);
        sleep 0.002;
        $ws->send_raw(substr $f, $at);
        is_frame($ws, 2, $long, "a 64 bit length, split at byte $at");
    }

    for (split //, frame(payload => 'one by one') . frame(opcode => 9, payload => 'p')) {
        $ws->send_raw($_);
        sleep 0.001;
    }

    is_frame($ws, 1, 'one by one', 'a message, one byte at a time');
    is_frame($ws, 10, 'p', 'and a ping');

    for (split //, frame(opcode => 8, payload => pack('n', 4000) . 'bye')) {
        $ws->send_raw($_);
        sleep 0.001;
    }

    closes($ws, 4000, 'and a close');
}


# The closing handshake (RFC 6455, 5.5.1, 7.4). If this fails, pages see 1006,
# "abnormal", where all was well.

for my $code (1000, 1001, 1003, 1007 .. 1014, 3000, 3999, 4000, 4999) {
    my $ws = $t->ws('/echo');
    $ws->close($code, 'reason');
    closes($ws, $code, "close $code comes back");
}

for my $c (['an empty close comes back empty', '', 1005],
    ['a code and no reason', pack('n', 1000), 1000],
    ['a reason of 123 bytes', pack('n', 1000) . 'r' x 123, 1000],
    ['a reason beyond ASCII', pack('n', 1000) . $utf8, 1000])
{
    my $ws = $t->ws('/echo');
    $ws->send_frame(opcode => 8, payload => $c->[1]);
    closes($ws, $c->[2], $c->[0]);
}

{
    my $ws = $t->ws('/echo');
    $ws->send_raw(frame(payload => 'before') . frame(opcode => 8, payload => pack 'n', 1000)
        . frame(payload => 'behind') . frame(opcode => 9, payload => 'x')
        . frame(opcode => 8, payload => pack 'n', 1001));
    is_frame($ws, 1, 'before', 'what came before the close is answered');
    closes($ws, 1000, 'what comes behind it is not, nor a second close');

    $ws = $t->ws('/echo');
    $ws->send_frame(fin => 0, payload => 'never ended');
    $ws->close(1000);
    closes($ws, 1000, 'a close in the middle of a message');

    $ws = $t->ws('/echo');
    $ws->send_frame(payload => 'x');
    $ws->drop;
    $ws = $t->ws('/echo');
    $ws->send_raw(substr frame(payload => 'half'), 0, 7);
    $ws->drop(reset => 1);
    $ws = $t->ws('/echo');
    $ws->send_text('others go on');
    is_frame($ws, 1, 'others go on', 'clients that vanish without a close harm nobody');
    $ws->drop;
}


# Violations. If this fails, a broken or hostile client is not told why it was
# closed, or is not closed, or its next bytes are taken for frames.

subtest 'violations' => sub {
    my @violations = (
        ['a frame without a mask', 1002, frame(payload => 'x', mask => 0)],
        ['an unmasked ping', 1002, frame(opcode => 9, mask => 0)],
        ['an unmasked close', 1002, frame(opcode => 8, mask => 0)],
        (map { ["RSV bits $_", 1002, frame(rsv => $_, payload => 'x')] } 1 .. 7),
        (map { ["RSV bits $_ on a ping", 1002, frame(rsv => $_, opcode => 9)] } 1, 2, 4),
        (map { ["opcode $_", 1002, frame(opcode => $_, payload => 'x')] } 3 .. 7, 11 .. 15),
        ['a continuation of nothing', 1002, frame(opcode => 0, payload => 'x')],
        ['an unfinished continuation of nothing', 1002, frame(opcode => 0, fin => 0)],
        ['a continuation behind a whole message', 1002,
            frame(payload => 'm') . frame(opcode => 0, payload => 'x'), [1, 'm']],
        ['a new message inside of one', 1002,
            frame(fin => 0, payload => 'a') . frame(payload => 'b')],
        ['a new binary message inside of a text', 1002,
            frame(fin => 0, payload => 'a') . frame(opcode => 2, fin => 0, payload => 'b')],
        (map { ["a fragmented control frame, opcode $_", 1002, frame(opcode => $_, fin => 0)] }
            8, 9, 10),
        (map { ["a control frame of 126 bytes, opcode $_", 1002,
            frame(opcode => $_, payload => "\x03\xe8" . 'x' x 124)] } 8, 9, 10),
        ['a control frame with a 64 bit length', 1002,
            frame(opcode => 9, payload => 'short', wide => 64)],
        ['a 16 bit length for 125 bytes', 1002, frame(payload => 'x' x 125, wide => 16)],
        ['a 64 bit length for 65535 bytes', 1002, frame(payload => 'x' x 65535, wide => 64)],
        ['a length with its highest bit set', 1002, "\x82\xff\x80" . "\0" x 7 . 'abcd'],
        ['a close with half a code', 1002, frame(opcode => 8, payload => "\x03")],
        (map { ["a close with the code $_", 1002, frame(opcode => 8, payload => pack 'n', $_)] }
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535),
        ['a close whose reason is not UTF-8', 1007,
            frame(opcode => 8, payload => pack('n', 1000) . "\xff")],
        ['a close whose reason ends within a character', 1007,
            frame(opcode => 8, payload => pack('n', 1000) . "\xe2\x82")],
        ['text that is not UTF-8', 1007, frame(payload => "ab\xffcd")],
        ['text that ends within a character', 1007, frame(payload => "ab\xe2\x82")],
        ['an overlong character', 1007, frame(payload => "\xc0\xaf")],
        ['a surrogate', 1007, frame(payload => "\xed\xa0\x80")],
        ['a character beyond U+10FFFF', 1007, frame(payload => "\xf4\x90\x80\x80")],
        ['a bad character in the second fragment', 1007,
            frame(fin => 0, payload => "\xe2\x82") . frame(opcode => 0, payload => "\x28")],
    );

    for my $v (@violations) {
        my ($name, $code, $bytes, @expect) = @$v;
        my $ws = $t->ws('/echo');

        # what follows must not be taken for frames
        $ws->send_raw($bytes . frame(payload => 'never') . 'GET / HTTP/1.1');
        is_frame($ws, @$_, "$name: what was before it is answered") for @expect;
        closes($ws, $code, "$name: $code");
    }

    # as soon as it is seen: the rest of such a message may never come

    for my $v (['text that is not UTF-8', 1007, frame(length => 50000, payload => "ab\xff")],
        ['a message that will be too big', 1009, frame(length => 65537)],
        ['a reserved opcode', 1002, "\x83"],
        ['a length without a mask', 1002, "\x81\x05"],
        ['a long ping', 1002, "\x89\xfe"])
    {
        my $ws = $t->ws('/echo');
        $ws->send_raw($v->[2]);
        closes($ws, $v->[1], "$v->[0] is refused when it is seen: $v->[1]");
    }

    {
        my $ws = $t->ws('/echo');
        $ws->send_frame(payload => "\xff");
        my @close = $ws->recv_close;
        like($close[1], qr/UTF-8/, 'the reason says what was wrong');
        $ws->drop;
        ok($t->wait_log(qr/\[info\].*closed with 1007: .*UTF-8.*client: 127/),
            'and so does the log, with the address of the client');
    }

    # who ignores our Close is cut off

    {
        my $ws = $t->ws('/echo');
        my $start = time;
        $ws->send_frame(payload => "\xff");
        is(($ws->recv_close)[0], 1007, 'a client that ignores our close gets it');

        my $sent = 1;
        while ($sent && time - $start < 8 * slow()) {
            $sent = $ws->send_raw(frame(payload => 'still here'));
            sleep 0.1;
        }

        ok(!$sent && time - $start < 6 * slow(), 'and is cut off while it still sends');
    }
};


# The bound of a message. If this fails, a client can fill the memory, or one
# that keeps to the documented bound is thrown out.

subtest 'the bound of a message' => sub {
    {
        my $ws = $t->ws('/small');
        $ws->send_text('x' x 1000);
        is_frame($ws, 1, 'x' x 1000, 'max_message bytes pass');
        $ws->send_frame(fin => 0, payload => 'x' x 999);
        $ws->send_frame(opcode => 9, payload => 'p');
        $ws->send_frame(opcode => 0, payload => 'y');
        is_frame($ws, 10, 'p', 'control frames do not count');
        is_frame($ws, 1, 'x' x 999 . 'y', 'max_message bytes in two fragments pass');
        $ws->send_text('x' x 1001);
        closes($ws, 1009, 'one byte more: 1009');

        $ws = $t->ws('/small');
        $ws->send_frame(fin => 0, payload => 'x' x 1000);
        $ws->send_frame(opcode => 0, fin => 0, payload => '');
        $ws->send_frame(opcode => 0, payload => 'y');
        closes($ws, 1009, 'one byte more in a third fragment: 1009');

        $ws = $t->ws('/small');
        $ws->send_frame(length => 2 ** 62, payload => 'x');
        closes($ws, 1009, 'a length of 2^62: 1009');

        $ws = $t->ws('/echo');
        $ws->send_binary('x' x 65536);
        is_frame($ws, 2, 'x' x 65536, 'the default bound is 64k');
        $ws->send_binary('x' x 65537);
        closes($ws, 1009, 'and no byte more');

        $ws = $t->ws('/large');
        my $mb = join '', map { chr(32 + $_ % 90) } 1 .. 1 << 20;
        $ws->send_text($mb);
        is_frame($ws, 1, $mb, 'a message of 1 MiB comes back whole');

        $ws->send_frame(opcode => $_ ? 0 : 2, fin => $_ == 255 ? 1 : 0,
            payload => substr $mb, $_ << 12, 4096) for 0 .. 255;
        is_frame($ws, 2, $mb, 'and in 256 fragments');

        # both sides at once: neither waits for the other for ever

        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            $ws->send_binary($mb) for 1 .. 8;
            POSIX::_exit(0);
        }

        my $n = grep { my $f = $ws->recv; $f && $f->{payload} eq $mb } 1 .. 8;
        waitpid $pid, 0;

        is($n, 8, '8 messages of 1 MiB while they come back');
        $ws->drop;
    }
};


# Pings of the server. If this fails, clients that are gone (a laptop that was
# closed) stay for ever, or living ones are thrown out.

subtest 'pings of the server' => sub {
    {
        my $ws = $t->ws('/ping', auto_pong => 0);
        my $start = time;
        my $f = $ws->recv;
        ok($f && $f->{opcode} == 9 && time - $start < 5 * slow(), 'the server pings');
        closes($ws, 1001, 'and closes a client that does not answer', within => 5);
        ok($t->wait_log(qr/WebSocket client sent no pong within 300 ms.*client:/),
            'with a line in the log');

        # for longer than a client that says nothing has
        $ws = $t->ws('/pinged', auto_pong => 0);
        my $pings = 0;
        my $end = time + 3;

        while (time < $end) {
            $f = $ws->recv($end - time) or last;
            $pings++ if $f->{opcode} == 9;
            $ws->pong($f->{payload});
        }

        ok($pings >= 3 && !$ws->eof, 'one that answers the pings stays');

        $ws = $t->ws('/pinged', auto_pong => 0);
        $end = time + 3;

        while (time < $end && !$ws->eof) {
            $ws->send_text('busy');
            $ws->recv(0.1);
        }

        ok(!$ws->eof, 'and one that sends something else in place of pongs');
        $ws->drop;
    }
};


# A client that does not read. If this fails, it costs memory without end, or
# delays others.

subtest 'A client that does not read' => sub {
    {
        local $SIG{PIPE} = 'IGNORE';
        my $mb = 'm' x (1 << 20);
        my $data = frame(opcode => 2, payload => $mb);

        # writes until the server takes no more for a while; true when it closed
        my $pour = sub {
            my ($ws, $quiet, $max) = @_;
            my ($sent, $start) = (0, time);

            $ws->socket->blocking(0);

            while (time - $start < 8 * slow() && $sent < $max) {
                vec(my $w = '', fileno $ws->socket, 1) = 1;
                select(undef, $w, undef, $quiet) > 0 or last;
                my $n = syswrite $ws->socket, $data, 65536, $sent % length $data;
                return ($sent, 1) unless defined $n || $!{EAGAIN};
                $sent += $n // 0;
            }

            return ($sent, 0);
        };

        my $ws = $t->ws('/send', rcvbuf => 4096);
        my $start = time;
        my ($sent, $gone) = $pour->($ws, 5, 1 << 40);

        ok($gone && time - $start < 8 * slow(), 'a client that sends and never reads is cut off')
            or diag("$sent bytes sent");
        ok($t->wait_log(qr/WebSocket client took nothing for 400 ms, \d+ bytes wait.*client:/),
            'with a line in the log');

        my $deaf = $t->ws('/deaf', rcvbuf => 4096);
        ($sent, $gone) = $pour->($deaf, 1, 64 << 20);

        ok(!$gone && $sent < 32 << 20, 'what a deaf client sends is not read without end')
            or diag("$sent bytes sent");

        my $other = $t->ws('/echo');
        $start = time;
        $other->send_text('quick');
        is_frame($other, 1, 'quick', 'others are served meanwhile');
        ok(time - $start < 5 * slow(), 'at once');

        $deaf->socket->blocking(1);
        my $f = $deaf->recv;
        ok($f && $f->{payload} eq $mb, 'and what it reads at last is whole');
        $deaf->drop;
        $other->drop;
    }

    unlike($t->error_log, qr/exited on signal|\[error\]/, 'no worker died, no error');
};

$t->stop;

done_testing();
