package Blockcast::WebSocket;

# A WebSocket client for tests: speaks correctly when asked to (handshake and
# frames by Protocol::WebSocket), sends any bytes when asked to, and shows the
# server's frames one by one, as they are on the wire.
#
#   my $ws = Blockcast::WebSocket->connect(port => P, path => '/ws');
#   $ws->send_text('...'); $ws->send_json({...}); $ws->send_binary($bytes);
#   $ws->ping('x'); $ws->close(1000, 'bye');
#   $ws->send_frame(opcode => 1, payload => '..', fin => 0, rsv => 4, mask => 0);
#   $ws->send_raw($bytes);
#   my $f = $ws->recv($timeout);        # { fin, rsv, opcode, payload, masked }
#   my $m = $ws->recv_json($timeout);   # next text message, decoded
#   my $m = $ws->recv_type('pong');     # skips other messages
#   my $m = $ws->message_like(qr/../);  # the next data that matches, inflated
#   my ($code, $reason) = $ws->recv_close;
#
# The receiving calls answer undef after the timeout (15 s) or the end of the
# connection; eof() tells which. Pings of the server are answered unless
# auto_pong => 0, and are not returned by recv_json and recv_type.

use strict;
use warnings;

use Compress::Raw::Zlib ();
use Digest::SHA ();
use IO::Socket::INET ();
use JSON::PP ();
use Protocol::WebSocket::Frame ();
use Protocol::WebSocket::Handshake::Client ();
use Protocol::WebSocket::Request ();
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{BLOCKCAST_SANITIZE} ? 30 : 15;

my $JSON = JSON::PP->new->canonical->allow_nonref->allow_bignum->utf8;


# Options: host, port, path, headers (list of [name, value] to add), version
# (13), subprotocol, origin (undef: none is sent; the server's own unless
# told), socket (an open one, TLS for instance), auto_pong, early (bytes that
# are sent with the handshake), rcvbuf (bytes: for a client that reads slowly),
# handshake => 0 (connect only). Dies when the handshake fails, unless may_fail: then status() and
# body() tell.

sub connect {
    my ($class, %opt) = @_;

    my $self = bless { auto_pong => 1, buf => '', host => '127.0.0.1', %opt },
        $class;

    $self->{socket} ||= $self->_socket;
    $self->{socket}->blocking(1);

    return $self if defined $opt{handshake} && !$opt{handshake};

    return $self->handshake;
}


sub _socket {
    my ($self) = @_;

    my @opt = $self->{rcvbuf}
        ? (Sockopts => [[Socket::SO_RCVBUF(), $self->{rcvbuf}]]) : ();

    return IO::Socket::INET->new(PeerAddr => $self->{host},
        PeerPort => $self->{port}, Proto => 'tcp', Timeout => 5, @opt)
        // die "connect to $self->{host}:$self->{port}: $!\n";
}


sub handshake {
    my ($self) = @_;

    my $url = "ws://$self->{host}:$self->{port}" . ($self->{path} // '/ws');
    my $hs = Protocol::WebSocket::Handshake::Client->new(url => $url);

    $hs->req->{headers} = [map { @$_ } @{ $self->{headers} || [] }];
    $hs->req->subprotocol($self->{subprotocol})
        if defined $self->{subprotocol};

    my $request = $hs->to_string;
    my ($key) = $request =~ /^Sec-WebSocket-Key: (\S+)/m;

    if (exists $self->{origin}) {
        my $line = defined $self->{origin} ? "Origin: $self->{origin}\r\n" : '';
        $request =~ s/^Origin: .*\r\n/$line/m;
    }

    $self->send_raw($request . ($self->{early} // ''));
    $self->read_head or die "no answer to the handshake: $self->{buf}\n";

    if ($self->{status} != 101) {
        $self->{may_fail} or die "handshake refused: $self->{head}\n";
        return $self;
    }

    my $head = "$self->{head}\r\n\r\n";
    my $accept = Digest::SHA::sha1_base64($key
        . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

    $hs->parse($head) && $hs->is_done
        or die "bad handshake: " . ($hs->error // 'incomplete') . "\n$self->{head}\n";
    ($self->header('sec-websocket-accept') // '') eq $accept
        or die "Sec-WebSocket-Accept is not $accept:\n$self->{head}\n";

    return $self;
}


# Reads the head of an HTTP answer; what follows it stays in the buffer.

sub read_head {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $TIMEOUT);

    while ($self->{buf} !~ /\r\n\r\n/) {
        $self->_fill($end) or return;
    }

    ($self->{head}, $self->{buf}) = split /\r\n\r\n/, $self->{buf}, 2;
    ($self->{status}) = $self->{head} =~ m{^HTTP/1\.1 (\d+)};
    $self->{response} = {};

    for (split /\r\n/, $self->{head}) {
        $self->{response}{lc $1} = $2 if /^([^:\s]+):\s*(.*)$/;
    }

    return $self->{head};
}


sub status { $_[0]{status} }
sub head { $_[0]{head} }
sub header { $_[0]{response}{lc $_[1]} }
sub socket { $_[0]{socket} }
sub eof { $_[0]{eof} }


# The rest of a refused handshake's answer, up to the end of the connection or
# its Content-Length.

sub body {
    my ($self) = @_;

    my $len = $self->header('content-length');
    my $end = time + $TIMEOUT;

    while (!defined $len || length $self->{buf} < $len) {
        $self->_fill($end) or last;
    }

    return $self->{buf};
}


sub _fill {
    my ($self, $end) = @_;

    return if $self->{eof};

    # TLS may hold bytes that select() does not see
    my $s = $self->{socket};

    if (!($s->can('pending') && $s->pending)) {
        my $left = $end - time;
        return if $left <= 0;
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $left) > 0 or return;
    }

    my $n = $s->sysread($self->{buf}, 65536, length $self->{buf});

    if (!$n) {
        $self->{eof} = defined $n ? 'closed' : "error: $!";
        return;
    }

    return $n;
}


sub send_raw {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;

    while ($at < length $bytes) {
        my $n = $self->{socket}->syswrite($bytes, length($bytes) - $at, $at);
        return 0 unless defined $n;
        $at += $n;
    }

    return 1;
}


# Sends any frame, valid or not: fin (1), rsv (0..7, RSV1 is 4), opcode (1),
# payload, mask (1; or the 4 bytes to mask with), length (what the header says,
# if not the payload's), wide (16 or 64: a length field longer than needed).

sub frame {
    my ($self, %f) = @_;

    my $payload = $f{payload} // '';
    my $len = $f{length} // length $payload;
    my $mask = $f{mask} // 1;
    my $bit = $mask ? 0x80 : 0;
    my $wide = $f{wide} // ($len > 65535 ? 64 : $len > 125 ? 16 : 0);
    my $head = pack 'C', ($f{fin} // 1 ? 0x80 : 0) | ($f{rsv} // 0) << 4
        | ($f{opcode} // 1);

    $head .= $wide == 64 ? pack 'CQ>', $bit | 127, $len
        : $wide == 16 ? pack 'Cn', $bit | 126, $len
        : pack 'C', $bit | $len;

    return $head . $payload unless $mask;

    my $key = length $mask == 4 ? $mask : pack 'N', int rand 2 ** 32;
    my $keys = $key x (1 + length($payload) / 4);

    return $head . $key . ($payload ^ substr $keys, 0, length $payload);
}


sub send_frame { my ($self, %f) = @_; $self->send_raw($self->frame(%f)) }


sub _send {
    my ($self, $type, $payload) = @_;

    return $self->send_raw(Protocol::WebSocket::Frame->new(buffer => $payload,
        type => $type, masked => 1,
        max_payload_size => 0)->to_bytes);
}


# $text is bytes (UTF-8), like everything that is sent and received here.

sub send_text { $_[0]->_send(text => $_[1]) }
sub send_binary { $_[0]->_send(binary => $_[1]) }
sub ping { $_[0]->_send(ping => $_[1] // '') }
sub pong { $_[0]->_send(pong => $_[1] // '') }
sub send_json { $_[0]->send_text(ref $_[1] ? $JSON->encode($_[1]) : $_[1]) }


sub close {
    my ($self, $code, $reason) = @_;

    return $self->_send(close => defined $code ? pack('n', $code)
        . ($reason // '') : '');
}


# Ends the connection with no close frame; reset => 1: with an RST.

sub drop {
    my ($self, %opt) = @_;

    setsockopt $self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack 'ii', 1, 0 if $opt{reset};
    $self->{eof} ||= 'dropped';
    CORE::close $self->{socket};
}


# Returns the next frame as it came.

sub recv {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $TIMEOUT);

    while (1) {
        my $f = $self->_parse;
        return $f if $f;
        $self->_fill($end) or return;
    }
}


sub _parse { return take_frame(\$_[0]{buf}) }


# Takes the first frame from bytes that a server has sent, when it is whole.

sub take_frame {
    my ($buf) = @_;

    my $have = length $$buf;
    return if $have < 2;

    my ($b0, $b1) = unpack 'CC', $$buf;
    my ($len, $at) = ($b1 & 0x7f, 2);

    if ($len == 126) {
        return if $have < 4;
        ($len, $at) = (unpack('n', substr $$buf, 2, 2), 4);
    } elsif ($len == 127) {
        return if $have < 10;
        ($len, $at) = (unpack('Q>', substr $$buf, 2, 8), 10);
    }

    my $masked = $b1 & 0x80 ? 1 : 0;
    $at += 4 if $masked;

    return if $have < $at + $len;

    my $payload = substr $$buf, $at, $len;
    substr($$buf, 0, $at + $len) = '';

    return { fin => $b0 >> 7, rsv => $b0 >> 4 & 7, opcode => $b0 & 15,
             masked => $masked, payload => $payload, size => $at + $len };
}


# Returns the data of a frame, decompressed if need be; nothing for control frames.

sub data_of {
    my ($f) = @_;

    return if $f->{opcode} > 2;
    return $f->{payload} if $f->{rsv} != 4;

    my ($z) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -Compress::Raw::Zlib::MAX_WBITS(),
        -LimitOutput => 0);
    my $in = $f->{payload} . "\0\0\xff\xff";
    $z->inflate($in, my $out);

    return $out;
}


# The data of all whole frames in $c->{buf}, of a client that is read elsewhere;
# $c->{packed} counts those that are compressed.

sub take_messages {
    my ($c) = @_;

    my @m;

    while (my $f = take_frame(\$c->{buf})) {
        my $data = data_of($f) // next;
        $c->{packed}++ if $f->{rsv} == 4;
        push @m, $data;
    }

    return @m;
}


# Reads clients, by their sockets, until it is true, or no more than a generous
# time: all goes to {buf}, with which take() is called when there is one; {lost}
# is who was cut off.

sub read_until {
    my ($select, $clients, $done, $take) = @_;

    my $end = time + 60 * Blockcast::Test::slow();

    until ($done->() || time > $end) {
        for my $socket ($select->can_read(0.05)) {
            my $c = $clients->{$socket};
            if (!sysread $socket, $c->{buf}, 1 << 20, length $c->{buf}) {
                $select->remove($socket);
                $c->{lost} = 1;
            }
            $take->($c) if $take;
        }
    }

    return $done->();
}


# The data of the next frame that matches, or '' after a generous time: of a
# minute, times `slow`; packed counts those that were compressed.

sub message_like {
    my ($self, $wanted, $slow) = @_;

    $slow //= Blockcast::Test::slow();
    my $end = time + 60 * $slow;

    while (time < $end) {
        my $f = $self->recv(20 * $slow) or return '';
        $self->pong($f->{payload}) if $f->{opcode} == 9;
        my $data = data_of($f) // next;
        $self->{packed}++ if $f->{rsv} == 4;
        return $data if $data =~ $wanted;
    }

    return '';
}


# Returns the next data message, with its fragments joined; answers pings and
# notes a close in between.

sub recv_message {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $TIMEOUT);
    my $message;

    while (1) {
        my $f = $self->recv($end - time) or return;

        if ($f->{opcode} == 9) {
            $self->pong($f->{payload}) if $self->{auto_pong};
            $self->{pings}++;
        } elsif ($f->{opcode} == 8) {
            $self->{close} = $f->{payload};
            return;
        } elsif ($f->{opcode} < 3) {
            $message .= $f->{payload};
            return $message if $f->{fin};
        }
    }
}


sub recv_json {
    my ($self, $timeout) = @_;

    my $text = $self->recv_message($timeout);
    return unless defined $text;

    return eval { $JSON->decode($text) } // die "not JSON: $text\n";
}


# Returns the next message of this type (and, with a stream name, of that
# stream); skips others, which skipped() returns.

sub recv_type {
    my ($self, $type, $timeout, $stream) = @_;

    my $end = time + ($timeout // $TIMEOUT);
    $self->{skipped} = [];

    while (defined(my $m = $self->recv_json($end - time))) {
        return $m if ref $m eq 'HASH' && ($m->{type} // '') eq $type
            && (!defined $stream || ($m->{stream} // '') eq $stream);
        push @{ $self->{skipped} }, $m;
    }

    return;
}


sub skipped { @{ $_[0]{skipped} // [] } }


# Subscribes, waits for the answer, and returns it. Data that came before the
# answer is in skipped().

sub subscribe {
    my ($self, $stream, %more) = @_;

    $self->send_json({ type => 'subscribe', stream => $stream, %more });
    return $self->recv_type('subscribed', undef, $stream);
}


# Returns code and reason of the server's Close (nothing: the connection ended
# without one; code 1005: an empty Close). Skips data before it.

sub recv_close {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $TIMEOUT);
    my $payload = $self->{close};

    while (!defined $payload) {
        my $f = $self->recv($end - time) or return;
        $payload = $f->{payload} if $f->{opcode} == 8;
    }

    return (1005, '') if !length $payload;
    return (unpack('n', $payload), substr $payload, 2);
}


# Returns true once the server has ended the TCP connection.

sub wait_eof {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $TIMEOUT);

    while (!$self->{eof}) {
        $self->{buf} = '';
        $self->_fill($end) or last;
    }

    return $self->{eof};
}


1;
