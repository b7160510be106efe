package Blockcast::Ledger;

# A node whose every answer is known beforehand, for suites that count what
# reaches the clients: it keeps a ledger that grows by `rate` entries a second,
# and answers
#
#   count      the number of this call since the start: every poll changes it
#   ledger     the newest `page` entries, oldest first: [{"id":1,"text":"..."}];
#              by itself those of 20 seconds (100 to 600), so that nothing is lost
#              when the machine is busy and nobody asks for a while
#   big        a string of `big` bytes that begins with the number of the call
#   hang       nothing, ever
#   slow       the number of the call, after `slow` seconds
#
# and "method not found" to everything else. It is a process of its own:
#
#   my $node = Blockcast::Ledger->new(rate => 20);
#   ... upstream node { server 127.0.0.1:$node->{port}; }
#   $node->calls('count')       # times of the calls, seconds
#   $node->last_id              # of the newest entry at this moment
#   $node->stop;
#
# It ends with the process that made it, too.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use List::Util qw(max min);
use Time::HiRes qw(time);


sub new {
    my ($class, %arg) = @_;

    my $self = bless { rate => 10, big => 100_000, slow => 1,
        width => 40, begun => time, owner => $$, %arg }, $class;

    $self->{page} //= max(100, min(600, 20 * $self->{rate}));

    my $listen = $self->{unix}
        ? IO::Socket::UNIX->new(Local => $self->{unix}, Listen => 64)
        : IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $self->{port} // 0, Listen => 64, ReuseAddr => 1);
    $listen or die "listen: $!\n";

    chmod 0777, $self->{unix} if $self->{unix};
    $self->{port} = $listen->sockport unless $self->{unix};

    open $self->{journal}, '+>', undef or die "journal: $!\n";
    $self->{journal}->autoflush(1);

    my $parent = $$;
    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $parent) };
        print STDERR "ledger: $@" if $@;
        require POSIX;
        POSIX::_exit(1);
    }

    return $self;
}


sub last_id {
    my ($self) = @_;
    return int((time - $self->{begun}) * $self->{rate});
}


sub entry {
    my ($self, $id) = @_;
    return sprintf '{"id":%d,"text":"%s"}', $id,
        substr("entry $id " x $self->{width}, 0, $self->{width});
}


sub _serve {
    my ($self, $listen, $parent) = @_;

    my $select = IO::Select->new($listen);
    my (%buf, %count, @later);

    while (getppid == $parent) {

        while (@later && $later[0][0] <= time) {
            my (undef, $s, $text) = @{ shift @later };
            syswrite $s, $text if $buf{$s};
        }

        for my $s ($select->can_read(@later ? 0.02 : 0.2)) {
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

                my ($method) = $body =~ /"method"\s*:\s*"([^"]*)"/;
                my ($id) = $body =~ /"id"\s*:\s*([^,}\s]+)/;
                $method //= '?';

                syswrite $self->{journal}, sprintf "%.6f %s\n", time, $method;

                next if $method eq 'hang';

                my $n = ++$count{$method};
                my $result = $self->_result($method, $n);
                my $text = defined $result
                    ? qq({"jsonrpc":"2.0","id":$id,"result":$result})
                    : qq({"jsonrpc":"2.0","id":$id,"error":{"code":-32601,)
                      . q("message":"method not found"}});

                $text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    . 'Content-Length: ' . length($text) . "\r\n\r\n$text";

                if ($method eq 'slow') {
                    push @later, [time + $self->{slow}, $s, $text];
                } else {
                    $s->blocking(1);
                    syswrite $s, $text;
                }
            }
        }
    }
}


sub _result {
    my ($self, $method, $n) = @_;

    return $n if $method eq 'count' || $method eq 'slow';
    return '"' . substr("$n " . 'x' x $self->{big}, 0, $self->{big}) . '"'
        if $method eq 'big';
    return unless $method eq 'ledger';

    my $last = $self->last_id;
    my $first = $last - $self->{page} + 1;
    $first = 1 if $first < 1;

    return '[' . join(',', map { $self->entry($_) } $first .. $last) . ']';
}


sub calls {
    my ($self, $method) = @_;

    my $fh = $self->{journal};
    my $text = '';
    my $at = 0;

    # the position is shared with the process that writes
    require POSIX;
    open my $copy, '<', "/proc/$$/fd/" . fileno $fh or die "journal: $!\n";
    my @calls = map { /^(\S+) (\S+)$/ ? [$1, $2] : () } <$copy>;
    close $copy;

    return map { $_->[0] } grep { $_->[1] eq $method } @calls;
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
