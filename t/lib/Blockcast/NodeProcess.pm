package Blockcast::NodeProcess;

# What the nodes of the tests have in common: a process that answers HTTP
# requests on a port of 127.0.0.1, and ends with the one that made it. A node is
# a class of this one with a method
#
#   answer($socket, $request)      sends the answer; $request is { verb, path,
#                                  head, body }
#
# which calls begin() once it is set up. Answers that come later are sent by
# idle(); pause() returns the seconds until that is due.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();


# Listens at `port` (a free one unless told) of `host` (127.0.0.1), or at the path `unix`, and starts
# the process. Returns the node.

sub begin {
    my ($self) = @_;

    my $listen = $self->{unix}
        ? IO::Socket::UNIX->new(Local => $self->{unix}, Listen => 128)
        : IO::Socket::INET->new(LocalAddr => $self->{host} // '127.0.0.1',
            LocalPort => $self->{port} // 0, Listen => 128, ReuseAddr => 1);
    $listen or die "listen: $!\n";

    chmod 0777, $self->{unix} if $self->{unix};
    $self->{port} = $listen->sockport unless $self->{unix};
    $self->{owner} = $$;

    my $parent = $$;
    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $parent) };
        print STDERR ref $self, ": $@" if $@;
        POSIX::_exit(1);
    }

    return $self;
}


sub idle { }
sub pause { return 0.2 }


sub _serve {
    my ($self, $listen, $parent) = @_;

    my $select = IO::Select->new($listen);
    my $buf = $self->{buf} = {};

    while (getppid == $parent) {
        $self->idle;

        for my $s ($select->can_read($self->pause)) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                $buf->{$c} = '';
                next;
            }

            if (!sysread $s, $buf->{$s}, 65536, length $buf->{$s}) {
                $select->remove($s);
                delete $buf->{$s};
                close $s;
                next;
            }

            while ($buf->{$s} =~ m{\A(\S+) (\S+) HTTP/1\.[01]\r\n(.*?\r\n)?\r\n}s) {
                my ($verb, $path, $head, $len) = ($1, $2, $3 // '', $+[0]);
                my $size = $head =~ /^Content-Length: *(\d+)/im ? $1 : 0;

                last if length $buf->{$s} < $len + $size;

                my $body = substr $buf->{$s}, $len, $size;
                substr($buf->{$s}, 0, $len + $size) = '';

                $self->answer($s, { verb => $verb, path => $path, head => $head, body => $body });
            }
        }
    }
}


# Whether a connection is still there.

sub is_open { return defined $_[0]{buf}{ $_[1] } }


# All of it, however slowly it is read.

sub send_all {
    my ($self, $s, $text) = @_;

    # who asked may be killed meanwhile
    local $SIG{PIPE} = 'IGNORE';

    $s->blocking(1);

    while (length $text) {
        my $n = syswrite($s, $text) // return;
        substr($text, 0, $n) = '';
    }
}


# A JSON body with its head.

sub response {
    my ($self, $text) = @_;

    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
}


sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $$ != $self->{owner};

    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
}


sub DESTROY {
    local $?;
    $_[0]->stop;
}


1;
