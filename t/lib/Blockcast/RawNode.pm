package Blockcast::RawNode;

# A node that answers with the very bytes it is given, for suites in which it
# matters how a value is written:
#
#   my $node = Blockcast::RawNode->new;
#   $node->set(entries => '{"entries":[{"id":1e0}]}');     # the result
#   $node->set(bad => '{"code":1,"message":"\u0085"}', 'error');
#   ... upstream node { server 127.0.0.1:$node->{port}; }
#   $node->asked('entries')     # how often, so far
#   $node->stop;
#
# It ends with the process that made it, too.

use strict;
use warnings;

use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();


sub new {
    my ($class) = @_;

    my $self = bless { owner => $$, dir => File::Temp::tempdir(CLEANUP => 1) },
        $class;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
        Listen => 64) or die "listen: $!\n";

    $self->{port} = $listen->sockport;

    my $parent = $$;
    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $parent) };
        print STDERR "raw node: $@" if $@;
        require POSIX;
        POSIX::_exit(1);
    }

    return $self;
}


sub set {
    my ($self, $method, $bytes, $member) = @_;

    my $path = "$self->{dir}/$method";
    open my $fh, '>:raw', "$path.new" or die "$path: $!\n";
    print $fh '"', $member // 'result', '":', $bytes;
    close $fh or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
}


sub asked { return -s "$_[0]{dir}/$_[1].calls" || 0 }


sub _serve {
    my ($self, $listen, $parent) = @_;

    my $select = IO::Select->new($listen);
    my %buf;

    while (getppid == $parent) {
        for my $s ($select->can_read(0.2)) {
            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                $buf{$c} = '';
                next;
            }

            if (!sysread $s, $buf{$s}, 65536, length $buf{$s}) {
                $select->remove($s);
                delete $buf{$s};
                close $s;
                next;
            }

            while ($buf{$s} =~ /^(.*?)\r\n\r\n/s) {
                my ($head, $at) = ($1, $+[0]);
                my ($len) = $head =~ /^Content-Length:\s*(\d+)/mi;
                last if length $buf{$s} < $at + ($len // 0);

                my $body = substr $buf{$s}, $at, $len // 0;
                substr($buf{$s}, 0, $at + ($len // 0)) = '';

                $self->_answer($s, $body);
            }
        }
    }
}


sub _answer {
    my ($self, $s, $body) = @_;

    my ($method) = $body =~ /"method"\s*:\s*"(\w+)"/;
    my ($id) = $body =~ /"id"\s*:\s*([^,}\s]+)/;
    my $what = '"error":{"code":-32601,"message":"method not found"}';

    if (open my $fh, '<:raw', "$self->{dir}/$method") {
        local $/;
        $what = <$fh>;
    }

    $self->_send($s, $method, qq({"jsonrpc":"2.0","id":$id,$what}));
}


sub _send {
    my ($self, $s, $method, $text) = @_;

    $s->blocking(1);
    $text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";

    while (length $text) {
        my $n = syswrite($s, $text) // return;
        substr($text, 0, $n) = '';
    }

    # after the answer: who has seen the number has what was set before
    open my $calls, '>>', "$self->{dir}/$method.calls" or return;
    print $calls '.';
    close $calls;
}


sub stop {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
}


sub DESTROY {
    local $?;
    $_[0]->stop;
}


1;
