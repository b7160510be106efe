package Blockcast::Gateways;

# What suites of blockcast_cluster share: gateways with one log, clients that
# come back to any of them, and the content of every number that any of them has
# seen.
#
#   my @t = map { gateway($node, "redis://127.0.0.1:$engine->{port}") } 1 .. 3;
#   settled(20, @t);                    # one leads, the others follow
#   my $crowd = roaming(ports => [map { $_->port } @t]);
#   during($crowd, 15, sub { ... });    # they run while something comes true
#   leave_all($crowd);                  # all go to another gateway, or the same

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Time::HiRes qw(time);

use Blockcast::Crowd ();
use Blockcast::Test;

our @EXPORT = qw(gateway health role leaders seq_of settled roaming during lead_of others
    kill_gateway leave_all contents engine_error);

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $json = JSON::PP->new->canonical->allow_nonref;


sub gateway {
    my ($node, $urls, %arg) = @_;
    my $stale = $arg{stale} // '3s';

    return ($arg{class} // 'Blockcast::Test')->new(workers => 2,
        server => Blockcast::Crowd::crowd_server('location = /metrics { blockcast_metrics; } '
            . ($arg{server} // '')),
        http => Blockcast::Crowd::crowd_http($node, interval => $arg{interval} // '300ms', drain => '500ms',
            snapshot => "blockcast_stale $stale;", log => "blockcast_stale $stale;",
            ($arg{zone} ? (zone => $arg{zone}) : ()),
            more => "blockcast_cluster $urls name=t;\n    " . ($arg{more} // '')),
        %{ $arg{test} // {} });
}


sub health {
    my $r = eval { $_[0]->get('/api/health') } or return {};
    return eval { $json->decode($r->{body}) } // {};
}


sub role { health($_[0])->{cluster}{role} // '' }
sub engine_error { health($_[0])->{cluster}{engine}{error} // '' }
sub leaders { grep { role($_) eq 'leader' } @_ }
sub lead_of { my ($l) = leaders(@_); $l }
sub others { my ($l, @t) = @_; grep { $_ != $l } @t }


sub seq_of {
    my ($t) = @_;
    $_->{name} eq 'c' and return $_->{seq} for @{ health($t)->{streams} // [] };
    return 0;
}


sub settled {
    my ($seconds, @t) = @_;

    # one that follows a log which is not begun yet has its own epoch still; and
    # a moment is one, but what has to come at last is waited for
    return wait_for {
        my (%n, %epoch);
        for my $h (map { health($_) } @t) {
            $n{$h->{cluster}{role} // ''}++;
            $epoch{$h->{epoch} // 0}++;
        }
        ($n{leader} // 0) == 1 && ($n{follower} // 0) == @t - 1 && keys %epoch == 1;
    } $seconds < 1 ? $seconds : ($seconds > 60 ? $seconds : 60) * $slow;
}


# Until all are complete for the first time a worker may have the epoch that its
# gateway began with, and send off who comes.

sub roaming {
    my %arg = (snapshot => 'c', log => 'l', size => 12, new_epoch => 0, @_);
    my $crowd = Blockcast::Gateways::Crowd->new(%arg, new_epoch => 1);
    $crowd->{new_epoch_then} = $arg{new_epoch};
    return $crowd;
}

sub contents { %Blockcast::Gateways::Crowd::content }
sub leave_all { my ($crowd) = @_; $crowd->leave($_) for 0 .. $crowd->clients - 1 }


sub during {
    my ($crowd, $seconds, $code) = @_;
    my $next = 0;

    return $crowd->run($seconds * $slow, until => sub {
        return if time < $next;
        $next = time + 0.2;
        return $code->();
    });
}


sub kill_gateway {
    my ($t) = @_;
    kill 'KILL', $t->{master};
    wait_for { waitpid $t->{master}, 1; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 10;
    unlink $t->prefix . '/nginx.pid';
}


package Blockcast::Gateways::Crowd;

use strict;
use warnings;

our @ISA = ('Blockcast::Crowd');
our %content;


sub _connect {
    my ($self, $c) = @_;
    my @ports = @{ $self->{ports} };
    $self->{port} = $ports[rand @ports];
    return $self->SUPER::_connect($c);
}


sub complete {
    my ($self, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->SUPER::complete(@args);
    $self->{new_epoch} = $self->{new_epoch_then};
}


sub _message {
    my ($self, $c, $m) = @_;

    # a gateway that is cut off from the log shows the snapshot it has
    if ($m->{type} eq 'c' && $c->{fresh_s} && $self->{behind}) {
        delete $c->{seq}{s};
        delete $c->{value};
    }

    if ($m->{type} eq 'c') {
        my $key = "$c->{epoch} $m->{seq}";
        my $data = $json->encode($m->{data});
        my $port = $c->{ws} ? $c->{ws}->socket->peerport : '?';
        $content{$key} //= [$data, $port];
        $self->_note("number $m->{seq} has two contents: $content{$key}[0] at port $content{$key}[1], "
            . "$data at port $port") if $content{$key}[0] ne $data;
    }

    # of the log, whatever a message begins with, the newest entry
    if ($m->{type} eq 'l') {
        my $last = $m->{ids} ? $m->{ids}[-1] : ($m->{data}{entries} // [])->[-1]{id};
        my $key = "$c->{epoch} l $m->{seq}";
        $content{$key} //= [$last, $c->{ws} ? $c->{ws}->socket->peerport : '?'] if defined $last;
        $self->_note("l: number $m->{seq} has two contents: $content{$key}[0] and $last at the end")
            if defined $last && $content{$key}[0] ne $last;
    }

    if ($m->{type} eq 'l' && $m->{gap} && $self->{gaps_told}) {

        # told: what is missing is not missing in silence
        $self->{gaps}++;
        delete $c->{id};
        delete $m->{gap};
    }

    return $self->SUPER::_message($c, $m);
}


1;
