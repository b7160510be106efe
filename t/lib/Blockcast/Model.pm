package Blockcast::Model;

# What a client may be told, checked message by message while everything
# around it breaks:
#
#   - the epoch stays, and within it a stream's seq grows with every message
#     (after a new connection the newest snapshot may come again);
#   - the entries of a log are those of the node's own ledger, in its order,
#     none twice and none left out, whatever connection they came on;
#   - data older than its limit is not called live for longer than it takes to
#     say so.
#
#   my $model = Blockcast::Model->new(
#       streams => { c => { stale => 2 }, l => { log => 1 } });
#       # moves => qr/.../: only such data changes with every poll
#   $model->opened($c, $time); $model->message($c, $text, $time);
#   $model->closed($c, $time); $model->tick($swarm, $time);
#   $model->ledger([@ids], [@ids of the next chain], ...);
#   $model->offences                # sentences, none when all was well
#
# $c is a hash of the client's own; the model keeps what it knows in it. With
# numbers => 1 entries have ids that grow by one, and no ledger is needed; with
# no_memory => 1 a client may be told so, and tries again.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);


sub new {
    my ($class, %arg) = @_;

    return bless { begun => time, slack => 1.5, streams => {}, wrong => [], count => {},
        stopped => {}, judged => 0, held => 0, %arg }, $class;
}


sub offend {
    my ($self, $c, $now, $what, $text) = @_;

    $self->{count}{$what}++;
    return if @{ $self->{wrong} } >= 20;

    push @{ $self->{wrong} }, sprintf '%7.2f s  %s%s: %s%s', $now - $self->{begun}, $c->{name},
        $c->{worker} ? " (worker $c->{worker})" : '', $what,
        defined $text ? "\n             " . substr $text, 0, 300 : '';
}


sub offences {
    my ($self) = @_;

    return @{ $self->{wrong} },
        map { $self->{count}{$_} > 1 ? "$_: $self->{count}{$_} times" : () }
        sort keys %{ $self->{count} };
}


sub opened {
    my ($self, $c, $now) = @_;

    $c->{open} = $now;
    delete @$_{qw(doubt state)}, $_->{fresh} = 1 for values %{ $c->{st} };
}


sub closed { my ($self, $c) = @_; delete $c->{open} }
sub since { my ($self, $c, $log) = @_; return $c->{st}{$log}{seq} }


sub message {
    my ($self, $c, $text, $now) = @_;

    $self->{judged}++;

    if ($text =~ /^\{"type":"(\w+)","data":/ && $self->{streams}{$1}) {
        my $type = $1;
        my ($time, $seq, $gap) = $text
            =~ /,"timestamp":(\d+),"seq":(\d+)(?:,"gap":(\{[^}]*\}))?\}$/
            or return $self->offend($c, $now, 'a message of another form', $text);

        return $self->{streams}{$type}{log}
            ? $self->_entries($c, $type, $seq, $gap, $text, $now)
            : $self->_snapshot($c, $type, $seq, $time, $text, $now);
    }

    my $m = eval { JSON::PP::decode_json($text) };

    return $self->offend($c, $now, 'not JSON', $text) if ref $m ne 'HASH';

    my $type = $m->{type} // '';

    if ($type eq 'welcome') {
        $self->offend($c, $now, 'the epoch changed', $text)
            if defined $self->{epoch} && $self->{epoch} ne $m->{epoch};
        $self->{epoch} = $m->{epoch};
    } elsif ($type eq 'status') {
        $self->_status($c, $m, $now);
    } elsif ($type eq 'error') {
        $c->{try_again} = 1 if $self->{no_memory} && ($m->{code} // '') eq 'no_memory';
        $self->offend($c, $now, 'an error', $text) if !$c->{try_again};
    } elsif ($type ne 'subscribed' && $type ne 'pong') {
        $self->offend($c, $now, 'a message that was not asked for', $text);
    }
}


sub _snapshot {
    my ($self, $c, $type, $seq, $time, $text, $now) = @_;

    my $st = $c->{st}{$type} //= { fresh => 1 };
    my $conf = $self->{streams}{$type};

    $self->offend($c, $now, "$type: seq went back or came twice ($st->{seq}, then $seq)", $text)
        if defined $st->{seq} && ($st->{fresh} ? $seq < $st->{seq} : $seq <= $st->{seq});
    $self->offend($c, $now, "$type: seq $seq is not what it was for others", $text)
        if !$self->_same($type, $seq, $text);

    # the timestamp is of whole seconds, the poll may have been at their end;
    # that of data which stays the same is its first one
    my $age = $now - $time - 1;
    $age = 0 if $age < 0 || ($conf->{moves} && $text !~ $conf->{moves});

    $st->{doubt} = $now if $conf->{stale} && $now - $self->{held} > 0.5 && $age > $conf->{stale} + $self->{slack}
        && ($st->{state} // '') ne 'stale';

    # until a status says something else
    $st->{state} //= 'live';

    @$st{qw(seq fresh text at live_at)} = ($seq, 0, $text, $now, $now - ($st->{doubt} ? 0 : $age));
}


# Everybody gets the same message under a number. Deltas and entries since a
# number are other bytes, whole snapshots are not.

sub _same {
    my ($self, $type, $seq, $text) = @_;

    my $sum = length($text) . unpack '%32C*', substr $text, -2000;
    my $known = $self->{sums}{$type}{$seq} //= $sum;
    return $known eq $sum;
}


sub _entries {
    my ($self, $c, $type, $seq, $gap, $text, $now) = @_;

    my $st = $c->{st}{$type} //= {};

    $self->offend($c, $now, "$type: seq went back or came twice ($st->{seq}, then $seq)", $text)
        if defined $st->{seq} && $seq <= $st->{seq};
    $self->offend($c, $now, "$type: a gap was announced", $gap) if $gap;

    if ($self->{numbers}) {
        for my $id ($text =~ /"id":(\d+)/g) {
            if (defined $st->{id} && $id != $st->{id} + 1) {
                $self->offend($c, $now, $id <= $st->{id} ? "$type: an entry came twice"
                    : "$type: an entry is missing", "$id after $st->{id}, seq $seq");
            }
            $st->{id} = $id;
        }
    } else {
        $self->{first}{$type} //= $1 if $text =~ /"id":"([^"]+)"/;
        push @{ $st->{ids} }, map { [$_, $seq, $now] } $text =~ /"id":"([^"]+)"/g;
    }

    @$st{qw(seq at)} = ($seq, $now);
}


sub _status {
    my ($self, $c, $m, $now) = @_;

    my $st = $c->{st}{ $m->{stream} // '' } //= { fresh => 1 };

    $st->{state} = $m->{state};
    delete $st->{doubt};
    $st->{live_at} = $now - ($m->{age} // 0) if $m->{state} eq 'live';

    my $conf = $self->{streams}{ $m->{stream} // '' };
    $self->offend($c, $now, "$m->{stream}: called live at an age of $m->{age} s")
        if $conf && $conf->{stale} && $m->{state} eq 'live'
            && ($m->{age} // 0) > $conf->{stale} + 0.5;
}


# Finds data that is stale although no client was told so. Ignores workers that
# are stopped, and times when this process itself was held up.

sub tick {
    my ($self, $swarm, $now) = @_;

    return if $self->{quiet} || $now - $self->{held} < 0.5;

    for my $c ($swarm->clients, @{ $self->{others} // [] }) {
        next if !$c->{open} || $c->{asleep} || $c->{leaving};
        next if $c->{woke} && $now - $c->{woke} < 3;
        next if $c->{worker} && ($self->{stopped}{ $c->{worker} } // 0) > $now;

        for my $type (keys %{ $c->{st} }) {
            my $stale = $self->{streams}{$type}{stale} or next;
            my $st = $c->{st}{$type};

            if ($st->{doubt} && $now - $st->{doubt} > 0.5) {
                $self->offend($c, $now, "$type: old data came and was not called stale",
                    $st->{text});
                delete $st->{doubt};
            }

            next if ($st->{state} // '') ne 'live' || !$st->{live_at} || $st->{fresh};

            # data that stays the same is not sent again
            my $moves = $self->{streams}{$type}{moves};
            next if $moves && $st->{text} !~ $moves;

            if ($now - $st->{live_at} > $stale + $self->{slack}) {
                $self->offend($c, $now, sprintf('%s: called live %.1f s after the last poll',
                    $type, $now - $st->{live_at}), $st->{text});
                $st->{live_at} = $now + 5;
            }
        }
    }
}


# The entries of all clients against the node's own ledger: a list of ids for
# each chain, in their order. A chain may end before all of it was delivered
# (nobody could have asked for it any more), and then at the same id for all.
# What is older than the first message of all is not asked for: a node that
# comes back with a shorter chain brings it up.

sub ledger {
    my ($self, $log, $clients, @chains) = @_;

    my $first = $self->{first}{$log} // '';
    my (%next, %chain, %at, %ends);

    for my $n (0 .. $#chains) {
        my $ids = $chains[$n];
        $chain{$_} = $n for @$ids;
        $at{ $ids->[$_] } = $_ for 0 .. $#$ids;
        $next{ $ids->[$_] } = $ids->[$_ + 1] for 0 .. $#$ids - 1;
    }

    for my $c (@$clients) {
        my $ids = $c->{st}{$log}{ids} or next;
        my ($last, %had);

        for (@$ids) {
            my ($id, $seq, $now) = @$_;

            if (!defined $chain{$id}) {
                $self->offend($c, $now, "$log: an entry that the node never had", "$id, seq $seq");
                next;
            }

            if ($had{$id}++) {
                $self->offend($c, $now, "$log: an entry came twice", "$id, seq $seq");
                next;
            }

            next if defined $chain{$first} && $chain{$id} == $chain{$first}
                && $at{$id} < $at{$first};

            if (defined $last && ($next{$last} // '') ne $id) {
                if ($chain{$last} == $chain{$id}) {
                    $self->offend($c, $now, "$log: an entry is missing or out of order",
                        "number $at{$id} ($id) after $at{$last} ($last) of chain $chain{$id}, "
                        . "seq $seq");
                } elsif ($id ne $chains[$chain{$id}][0]) {
                    $self->offend($c, $now, "$log: the first entries of a chain are missing",
                        "$id after $last of the chain before, seq $seq");
                } elsif (($ends{$last} //= $id) ne $id || ($ends{"to $id"} //= $last) ne $last) {
                    $self->offend($c, $now, "$log: a chain ended elsewhere for others",
                        "$id after $last, seq $seq");
                }
            }

            $last = $id;
        }
    }
}


1;
