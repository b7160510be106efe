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

use List::Util qw(max min);
use Time::HiRes qw(time);

use parent 'Blockcast::NodeProcess';


sub new {
    my ($class, %arg) = @_;

    my $self = bless { rate => 10, big => 100_000, slow => 1,
        width => 40, begun => time, later => [], %arg }, $class;

    $self->{page} //= max(100, min(600, 20 * $self->{rate}));

    open $self->{journal}, '+>', undef or die "journal: $!\n";
    $self->{journal}->autoflush(1);

    return $self->begin;
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


# Answers that are due.

sub idle {
    my ($self) = @_;
    my $later = $self->{later};

    while (@$later && $later->[0][0] <= time) {
        my (undef, $s, $text) = @{ shift @$later };
        syswrite $s, $text if $self->is_open($s);
    }
}


sub pause { return @{ $_[0]{later} } ? 0.02 : 0.2 }


sub answer {
    my ($self, $s, $request) = @_;
    my ($method) = $request->{body} =~ /"method"\s*:\s*"([^"]*)"/;
    my ($id) = $request->{body} =~ /"id"\s*:\s*([^,}\s]+)/;
    $method //= '?';

    syswrite $self->{journal}, sprintf "%.6f %s\n", time, $method;

    return if $method eq 'hang';

    my $result = $self->_result($method, ++$self->{count}{$method});
    my $text = $self->response(defined $result
        ? qq({"jsonrpc":"2.0","id":$id,"result":$result})
        : qq({"jsonrpc":"2.0","id":$id,"error":{"code":-32601,)
          . q("message":"method not found"}}));

    if ($method eq 'slow') {
        push @{ $self->{later} }, [time + $self->{slow}, $s, $text];
    } else {
        $self->send_all($s, $text);
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


1;
