package Blockcast::HeadNode;

# A node's WebSocket that does what a test says, right or wrong: a process of
# its own that serves any number of connections.
#
#   my $node = Blockcast::HeadNode->new;
#   $node->answer("HTTP/1.1 200 OK\r\n\r\n");   # to the next handshakes; %ACCEPT% is filled in
#   $node->after("\x81\x02hi");                 # bytes right behind a good answer
#   $node->answer($text, '/a');                 # the same at a path alone; undef: a good one
#   $node->send($bytes);                        # to every connection that is open
#   $node->notify('{"method":...}');            # the same as a text frame
#   $node->option(ack => 0);                    # what it does by itself: ack (answers
#                                               # messages with an id), pong, read, close
#   my @heads = $node->events('head');          # what has come: head, text, ping, pong,
#                                               # close, open, gone, masked
#   $node->most;                                # so many connections at once, at most
#
# An event is { what, n (number of the connection), text }.

use strict;
use warnings;

use Digest::SHA ();
use IO::Select ();
use IO::Socket::INET ();
use POSIX ();
use Socket ();
use Time::HiRes qw(sleep time);

use Blockcast::Test ();

our $GOOD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    . "Connection: Upgrade\r\nSec-WebSocket-Accept: %ACCEPT%\r\n\r\n";


sub new {
    my ($class, %arg) = @_;

    my $self = bless { %arg, owner => $$ }, $class;

    $self->{log} //= File::Temp::tmpnam();
    $self->{port} //= Blockcast::Test::free_port();
    $self->start;
    return $self;
}


sub port { $_[0]{port} }
sub pid { $_[0]{pid} }


sub start {
    my ($self) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port},
        Listen => 64, ReuseAddr => 1, Proto => 'tcp') or die "listen on $self->{port}: $!\n";

    socketpair(my $ours, my $theirs, Socket::AF_UNIX(), Socket::SOCK_STREAM(), 0) or die "socketpair: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        $SIG{PIPE} = 'IGNORE';
        alarm 900;
        close $ours;
        eval { $self->_serve($listen, $theirs) };
        print STDERR "# HeadNode: $@" if $@;
        POSIX::_exit(0);
    }

    close $theirs;
    close $listen;
    @$self{qw(pid command)} = ($pid, $ours);
    return $self;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;
    kill 'CONT', $pid;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    close delete $self->{command};
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;
    local ($?, $@);
    $self->stop;
    unlink $self->{log};
}


# Commands are answered, so that what is said holds when the call returns.

sub _command {
    my ($self, $what, @hex) = @_;

    my $line = join(' ', $what, map { 'x' . unpack 'H*', $_ } @hex) . "\n";
    syswrite $self->{command}, $line;
    sysread $self->{command}, my $ok, 3;
}


sub answer { $_[0]->_command(answer => $_[1] // $GOOD, $_[2] // '*') }
sub after { $_[0]->_command(after => $_[1] // '', $_[2] // '*') }
sub send { $_[0]->_command(send => $_[1]) }
sub option { my ($self, $name, $value) = @_; $self->_command(option => $name, $value) }
sub hang_up { $_[0]->_command('hang_up') }


# A frame of a server; with mask => 1 one that only a client may send.

sub frame {
    my ($op, $payload, %o) = @_;

    my $len = length $payload;
    my $mask = $o{mask} ? 0x80 : 0;

    return pack('C', (($o{fin} // 1) << 7) | ($o{rsv} // 0) << 4 | $op)
        . ($len < 126 ? pack('C', $mask | $len) : $len < 65536 ? pack('Cn', $mask | 126, $len)
            : pack('CQ>', $mask | 127, $len))
        . ($mask ? "\0\0\0\0" : '') . $payload;
}


sub notify { $_[0]->send(frame(1, $_[1])) }


sub events {
    my ($self, $what) = @_;

    my @events = map { my ($w, $n, $hex) = split / /; { what => $w, n => $n, text => pack('H*', $hex // '') } }
        split /\n/, Blockcast::Test::slurp($self->{log}) // '';
    return defined $what ? grep { $_->{what} eq $what } @events : @events;
}


# The connections that are open, and the most that were at any moment.

sub open_now { my ($self) = @_; return $self->events('open') - $self->events('gone') }


sub most {
    my ($self) = @_;

    my ($now, $most) = (0, 0);
    for ($self->events) {
        $now++ if $_->{what} eq 'open';
        $now-- if $_->{what} eq 'gone';
        $most = $now if $now > $most;
    }
    return $most;
}


sub _serve {
    my ($self, $listen, $command) = @_;

    open my $log, '>>', $self->{log} or die "$self->{log}: $!\n";
    $log->autoflush;
    my $say = sub { my ($what, $n, $text) = @_; syswrite $log, "$what $n " . unpack('H*', $text // '') . "\n" };

    my (%answer, %after);
    my ($n, $line) = (0, '');
    my %option = (ack => 1, pong => 1, read => 1, close => 1);
    my %conn;
    my $select = IO::Select->new($listen, $command);

    my $gone = sub {
        my ($c) = @_;
        $say->(gone => $c->{n});
        $select->remove($c->{s});
        delete $conn{ fileno $c->{s} };
        close $c->{s};
    };

    while (1) {
        my @ready = $select->can_read;

        # a connection that was closed before the next one was made is gone before that
        @ready = grep { $_ != $listen } @ready if @ready > 1;

        for my $fh (@ready) {

            if ($fh == $listen) {
                my $s = $listen->accept or next;
                $conn{ fileno $s } = { s => $s, n => ++$n, buf => '' };
                $select->add($s);
                $say->(open => $n);
                next;
            }

            if ($fh == $command) {
                sysread($command, $line, 1 << 20, length $line) or return;
                while ($line =~ s/^(\w+) ?(.*)\n//) {
                    my ($what, @hex) = ($1, map { pack 'H*', substr $_, 1 } split / /, $2);
                    $answer{ $hex[1] } = $hex[0] if $what eq 'answer';
                    $after{ $hex[1] } = $hex[0] if $what eq 'after';
                    $option{ $hex[0] } = $hex[1] if $what eq 'option';
                    $_->{up} && syswrite $_->{s}, $hex[0] for $what eq 'send' ? values %conn : ();
                    $gone->($_) for $what eq 'hang_up' ? values %conn : ();
                    syswrite $command, "ok\n";
                }
                next;
            }

            my $c = $conn{ fileno $fh } or next;
            my $got = sysread $c->{s}, $c->{buf}, 65536, length $c->{buf};

            if (!$got) {
                $gone->($c);
                next;
            }

            if (!$c->{up}) {
                $c->{buf} =~ s/^(.*?\r\n\r\n)//s or next;
                my $head = $1;
                my ($path) = $head =~ /^GET (\S+)/;
                my ($key) = $head =~ /^Sec-WebSocket-Key: (\S+)/mi;
                my $answer = $answer{$path} // $answer{'*'} // $GOOD;
                my $after = $after{$path} // $after{'*'} // '';
                my $accept = Digest::SHA::sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

                $say->(head => $c->{n}, $head);
                (my $text = $answer) =~ s/%ACCEPT%/$accept/g;
                syswrite $c->{s}, $text . $after;
                $c->{up} = $answer eq $GOOD;
            }

            while ($c->{up} && length $c->{buf} >= 2) {
                my ($b0, $b1) = unpack 'CC', $c->{buf};
                my ($len, $at) = ($b1 & 0x7f, 2);
                ($len, $at) = (unpack('x2n', $c->{buf}), 4) if $len == 126;
                ($len, $at) = (unpack('x2Q>', $c->{buf}), 10) if $len == 127;
                last if length $c->{buf} < $at + 4 + $len;
                $say->(unmasked => $c->{n}) unless $b1 & 0x80;

                my $mask = substr $c->{buf}, $at, 4;
                my $payload = substr $c->{buf}, $at + 4, $len;
                substr($c->{buf}, 0, $at + 4 + $len) = '';
                $payload ^= substr $mask x ($len / 4 + 1), 0, $len;
                my $op = $b0 & 15;

                $say->({ 1 => 'text', 2 => 'binary', 8 => 'close', 9 => 'ping', 10 => 'pong' }->{$op} // 'other', $c->{n}, $payload);

                my ($id) = $payload =~ /"id":\s*("[^"]*"|\d+)/;
                syswrite $c->{s}, frame(1, qq({"jsonrpc":"2.0","id":$id,"result":"0xsub$id"}))
                    if $op == 1 && defined $id && $option{ack};
                syswrite $c->{s}, frame(10, $payload) if $op == 9 && $option{pong};
                syswrite $c->{s}, frame(8, $payload) if $op == 8 && $option{close};
            }
        }
    }
}


1;
