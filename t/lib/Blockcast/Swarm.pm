package Blockcast::Swarm;

# Hundreds or thousands of lean WebSocket clients in one process. None of them
# ever waits for the server: a worker that is stopped holds up its own clients
# only. What they receive goes to a model (Blockcast::Model) that judges it.
# They come back as a page would, with `since`, and leave in ugly ways when
# told to.
#
#   my $swarm = Blockcast::Swarm->new(port => P, path => '/ws', size => 200,
#       snapshots => ['c'], log => 'l', model => $model);
#   $swarm->run(5);                         # for 5 s
#   $swarm->run(5, until => sub { ... });   # true when it came true in 5 s * slow()
#   $swarm->cut('rst', 20);                 # 20 of them, see %CUT
#   $swarm->sleepers(10, 2);                # 10 of them read nothing for 2 s
#   $swarm->{closes}{1012}                  # how often each code came
#
# A client is a hash; the model keeps what it knows in it. worker is the pid of
# its worker when the server sends one as X-Worker.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR);
use Fcntl qw(F_SETFL O_NONBLOCK);
use Socket qw(AF_INET IPPROTO_TCP SO_ERROR SO_LINGER SO_RCVBUF SOCK_STREAM
              SOL_SOCKET TCP_NODELAY inet_aton pack_sockaddr_in);
use Time::HiRes qw(sleep time);

use Blockcast::Test qw(slow);

our $KEY = 'YmxvY2tjYXN0LXRlc3QtMQ==';
our $ACCEPT = do {
    require Digest::SHA;
    Digest::SHA::sha1_base64("${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11") . '=';
};

# how long a handshake may take before the client tries again
our $PATIENCE = 5;

our %CUT = map { $_ => 1 }
    qw(rst close half bye in_frame_rst in_frame_close in_message close_then_rst);


sub new {
    my ($class, %arg) = @_;

    my $self = bless { path => '/ws', size => 10, clients => [], closes => {},
        lost => 0, opened => 0, refused => 0, messages => 0, reconnect => 1,
        snapshots => [], by_fd => {}, prefix => 'client', wait => 0.4,
        slow_share => 0.1, burst => 200, %arg }, $class;

    $self->{to} = pack_sockaddr_in($self->{port}, inet_aton('127.0.0.1'));
    $self->{head} = join "\r\n", "GET $self->{path} HTTP/1.1", 'Host: localhost',
        'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
        "Sec-WebSocket-Key: $KEY", '', '';

    $self->grow($self->{size});

    return $self;
}


sub grow {
    my ($self, $n) = @_;

    for (1 .. $n) {
        my $i = @{ $self->{clients} };
        push @{ $self->{clients} }, { name => "$self->{prefix} $i", retry => 0,
            small => $i < $n * $self->{slow_share} };
    }

    return $self;
}


sub clients { @{ $_[0]{clients} } }
sub open_clients { grep { ($_->{phase} // '') eq 'open' } @{ $_[0]{clients} } }
sub all_open { my ($self) = @_; return $self->open_clients == $self->clients }


# Masked with zeros, which is a mask as good as any other.

sub frame {
    my ($opcode, $payload) = @_;

    my $len = length $payload;

    return pack('CC', 0x80 | $opcode, 0x80 | $len) . "\0\0\0\0$payload" if $len < 126;
    return pack('CCn', 0x80 | $opcode, 0x80 | 126, $len) . "\0\0\0\0$payload";
}


sub _connect {
    my ($self, $c) = @_;

    socket my $s, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    fcntl $s, F_SETFL, O_NONBLOCK or die "fcntl: $!\n";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4096 if $c->{small};
    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;

    if (!connect($s, $self->{to}) && $! != EINPROGRESS) {
        $self->{refused}++;
        $c->{retry} = time + 0.1 + rand 0.2;
        return;
    }

    @$c{qw(socket fd buf out phase since)} = ($s, fileno $s, '', $self->{head}, 'head', time);
    delete @$c{qw(worker asleep leaving)};
    $self->{by_fd}{ $c->{fd} } = $c;
}


sub _gone {
    my ($self, $c, $wait) = @_;

    my $was_open = $c->{phase} eq 'open';

    delete $self->{by_fd}{ $c->{fd} };
    CORE::close $c->{socket} if $c->{socket};
    delete @$c{qw(socket fd buf out asleep)};
    $c->{phase} = 'closed';
    $c->{retry} = time + ($wait // rand $self->{wait});

    $self->{model}->closed($c, time) if $self->{model} && $was_open;
}


sub _send {
    my ($self, $c, $bytes) = @_;

    $c->{out} .= $bytes;
    $self->_flush($c);
}


sub _flush {
    my ($self, $c) = @_;

    return if !length $c->{out};

    local $SIG{PIPE} = 'IGNORE';
    my $n = syswrite $c->{socket}, $c->{out};
    substr($c->{out}, 0, $n) = '' if $n;
}


sub _read {
    my ($self, $c) = @_;

    my $n = sysread $c->{socket}, $c->{buf}, 65536, length $c->{buf};

    # there is more than we came to read
    $self->_behind if ($n // 0) == 65536;

    if (!defined $n && ($! == EAGAIN || $! == EINTR)) {
        return;
    }

    if (!$n) {
        if ($c->{phase} eq 'head') {
            $self->{refused}++;
        } elsif (!$c->{leaving}) {
            $self->{lost}++;
        }
        $self->_gone($c);
        return;
    }

    $self->_head($c) or return if $c->{phase} eq 'head';
    $self->_frames($c);
}


# This process itself was late: the model must not blame the messages that it
# reads now.

sub _behind { my ($self) = @_; $self->{model}{held} = time if $self->{model} }


sub _head {
    my ($self, $c) = @_;

    my $end = index $c->{buf}, "\r\n\r\n";
    return if $end < 0;

    my $head = substr $c->{buf}, 0, $end;
    substr($c->{buf}, 0, $end + 4) = '';

    if ($head !~ m{^HTTP/1\.1 101 } || index($head, "Sec-WebSocket-Accept: $ACCEPT") < 0) {
        $self->{refused}++;
        ($c->{status}) = $head =~ m{^HTTP/1\.1 (\d+)};
        $self->_gone($c);
        return;
    }

    ($c->{worker}) = $head =~ /^X-Worker: (\d+)/m;
    $c->{phase} = 'open';
    $self->{opened}++;
    $self->{model}->opened($c, time) if $self->{model};

    my $ask = join ',', map { qq("$_") } @{ $self->{snapshots} };
    my $out = length $ask ? frame(1, qq({"type":"subscribe","streams":[$ask]})) : '';

    if (defined $self->{log}) {
        my $since = $self->{model} ? $self->{model}->since($c, $self->{log}) : undef;
        $out .= frame(1, qq({"type":"subscribe","stream":"$self->{log}")
            . (defined $since ? qq(,"since":$since) : '') . '}');
    }

    $self->_send($c, $out);
    return 1;
}


sub _frames {
    my ($self, $c) = @_;

    my $buf = \$c->{buf};
    my ($at, $have, $now) = (0, length $c->{buf}, time);

    while ($have - $at >= 2) {
        my ($b0, $len) = unpack 'CC', substr $$buf, $at, 2;
        my $head = 2;

        if ($len == 126) {
            last if $have - $at < 4;
            ($len, $head) = (unpack('n', substr $$buf, $at + 2, 2), 4);
        } elsif ($len == 127) {
            last if $have - $at < 10;
            ($len, $head) = (unpack('Q>', substr $$buf, $at + 2, 8), 10);
        }

        last if $have - $at < $head + $len;

        my $payload = substr $$buf, $at + $head, $len;
        $at += $head + $len;

        if ($b0 == 0x81) {
            $self->{messages}++;
            $self->{model}->message($c, $payload, $now) if $self->{model};

            if (delete $c->{try_again}) {
                $self->_gone($c);
                return;
            }
        } elsif ($b0 == 0x89) {
            $self->_send($c, frame(10, $payload));
        } elsif ($b0 == 0x88) {
            my $code = $len ? unpack 'n', $payload : 1005;
            $self->{closes}{$code}++;
            push @{ $self->{closed_at} }, $now;
            $self->_send($c, frame(8, substr $payload, 0, 2)) if !$c->{leaving};
            $self->_gone($c);
            return;
        } elsif ($b0 != 0x8a) {
            $self->{model}->offend($c, $now, sprintf 'a frame that begins with %#x', $b0)
                if $self->{model};
            $self->_gone($c);
            return;
        }
    }

    substr($$buf, 0, $at) = '' if $at;
}


# Serves all of them once, waiting up to so many seconds for something to read.

sub step {
    my ($self, $timeout) = @_;

    my $now = time;
    my ($in, $out, $new) = ('', '', 0);

    $self->_behind if $self->{stepped} && $now - $self->{stepped} > 0.25;

    for my $c (@{ $self->{clients} }) {
        my $phase = $c->{phase} // 'closed';

        if ($phase eq 'closed') {
            next if !$self->{reconnect} || $c->{retry} > $now || $new >= $self->{burst};
            $new++;
            $self->_connect($c);
            next if ($c->{phase} // '') ne 'head';
        } elsif ($phase eq 'head' && $now - $c->{since} > $PATIENCE) {
            $self->{late}++;
            $self->_gone($c);
            next;
        }

        if ($c->{asleep}) {
            next if $c->{asleep} > $now;
            delete $c->{asleep};
            $c->{woke} = $now;
        }

        vec($in, $c->{fd}, 1) = 1;
        vec($out, $c->{fd}, 1) = 1 if length $c->{out};
    }

    $self->{stepped} = time;

    if (!length $in) {
        sleep $timeout;
        return;
    }

    return if select($in, $out, undef, $timeout) <= 0;

    for my $set ([$out, '_flush'], [$in, '_read']) {
        my ($bits, $do) = (unpack('b*', $set->[0]), $set->[1]);
        for (my $fd = index $bits, '1'; $fd >= 0; $fd = index $bits, '1', $fd + 1) {
            my $c = $self->{by_fd}{$fd} or next;
            $self->$do($c);
        }
    }
}


sub run {
    my ($self, $seconds, %opt) = @_;

    my $end = time + $seconds * ($opt{until} ? slow() : 1);

    do {
        $self->step(0.02);
        $self->{model}->tick($self, time) if $self->{model};
        $opt{each}->() if $opt{each};
        return 1 if $opt{until} && $opt{until}->($self);
    } while (time < $end);

    return !$opt{until};
}


# Makes so many of the open ones, chosen at random, leave in this way.

sub _some {
    my ($self, $n) = @_;

    my @open = grep { !$_->{asleep} && !$_->{leaving} } $self->open_clients;
    my @some;
    push @some, splice @open, rand @open, 1 while @open && @some < $n;
    return @some;
}


sub reset_socket { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0; CORE::close $_[0] }


sub cut {
    my ($self, $how, $n) = @_;

    $CUT{$how} or die "no such way: $how\n";
    my @some = $self->_some($n);

    for my $c (@some) {
        $c->{leaving} = $how;

        if ($how eq 'half') {
            shutdown $c->{socket}, 1;
            next;
        }

        if ($how eq 'bye') {
            $self->_send($c, frame(8, pack 'n', 1000));
            next;
        }

        $self->_send($c, substr frame(1, 'x' x 100), 0, 1 + int rand 80) if $how =~ /^in_frame/;
        $self->_send($c, "\x01\x85\0\0\0\0hello") if $how eq 'in_message';
        $self->_send($c, frame(8, pack 'n', 1001)) if $how eq 'close_then_rst';
        reset_socket(delete $c->{socket}) if $how =~ /rst$/;
        $self->_gone($c);
    }

    return scalar @some;
}


sub sleepers {
    my ($self, $n, $seconds) = @_;

    my @some = $self->_some($n);
    $_->{asleep} = time + $seconds for @some;
    return scalar @some;
}


# Drops all connections at once.

sub close_all {
    my ($self) = @_;

    $self->{reconnect} = 0;
    for my $c ($self->clients) {
        $self->_gone($c) if ($c->{phase} // 'closed') ne 'closed';
    }
}


1;
