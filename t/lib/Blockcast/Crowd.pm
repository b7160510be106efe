package Blockcast::Crowd;

# Many WebSocket clients at once, each of which checks what it receives: the
# numbers of a stream grow, a snapshot never goes back, no log entry comes
# twice and none is missing. They come back as a page would, with `since`.
#
#   my $crowd = Blockcast::Crowd->new(port => P, path => '/ws',
#       snapshot => 'c', log => 'l', size => 200);
#   $crowd->run(5);                 # reads for 5 s, reconnects who is closed
#   $crowd->run(5, until => sub { ... });   # 5 s * slow() at most
#   $crowd->{closes}{1012}          # how often each code came
#   is_deeply([$crowd->wrong], []); # sentences, none when all was well
#
# The log's entries are those of Blockcast::Ledger: ids that grow by one. Its
# streams, for Blockcast::Test: "c", a snapshot that every poll changes, and
# "l", the log.
#
#   my $node = Blockcast::Ledger->new(rate => 40);
#   my $t = Blockcast::Test->new(workers => 2, server => crowd_server(),
#       http => crowd_http($node, interval => '500ms', drain => '1s'));
#   $crowd->complete($t, $node, 'after the reload');    # two tests
#
# What crowd_http takes: zone, interval, drain (nothing: the default), keep and
# size of the log, snapshot and log (more lines of these streams), more (after
# them).

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time sleep);

use Blockcast::Test qw(slow);
use Blockcast::WebSocket ();

our @EXPORT = qw(crowd_http crowd_server);


sub crowd_http {
    my ($node, %arg) = @_;

    my %c = (zone => '4m', interval => '500ms', keep => 2000, size => '512k', snapshot => '',
        log => '', more => '', %arg);
    my $drain = $c{drain} ? "blockcast_drain $c{drain};" : '';
    my $host = $node->{host} // '127.0.0.1';

    return <<"HTTP";
    blockcast_zone main $c{zone};
    $drain
    upstream node { server $host:$node->{port}; keepalive 8; }

    blockcast_stream c {
        blockcast_interval $c{interval};
        blockcast_call count count timeout=10s;
        $c{snapshot}
    }

    blockcast_stream l {
        blockcast_interval $c{interval};
        blockcast_call ledger ledger timeout=10s;
        blockcast_jq '{entries: .results.ledger}';
        blockcast_log entries key=id keep=$c{keep} size=$c{size};
        $c{log}
    }
    $c{more}
HTTP
}


# The locations: WebSocket, REST, the node, and those that are given.

sub crowd_server {
    my ($more) = @_;

    $more //= '';

    return <<"SERVER";
    location /ws {
        add_header X-Worker \$pid always;
        blockcast_websocket;
    }
    location /api { blockcast_api; }
    $more

    location = /_node {
        internal;
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
SERVER
}


sub new {
    my ($class, %arg) = @_;

    my $self = bless { path => '/ws', size => 10, clients => [], wrong => {},
        closes => {}, lost => 0, messages => 0, reconnect => 1, %arg }, $class;

    push @{ $self->{clients} }, { seq => {}, id => undef, name => "client $_" }
        for 1 .. $self->{size};

    $self->_connect($_) for @{ $self->{clients} };

    return $self;
}


sub clients { @{ $_[0]{clients} } }
sub _note { my ($self, $what) = @_; $self->{wrong}{$what}++; }


# Returns sentences about what went wrong, each with how often it did.

sub wrong {
    my ($self) = @_;
    my $w = $self->{wrong};
    return map { "$_ ($w->{$_} times)" } (sort keys %$w)[0 .. (keys %$w > 9 ? 9 : keys(%$w) - 1)];
}


sub _connect {
    my ($self, $c) = @_;

    delete $c->{ws};

    my $ws = eval {
        Blockcast::WebSocket->connect(port => $self->{port},
            path => $self->{path}, may_fail => 1);
    };

    if (!$ws || ($ws->status // 0) != 101) {
        $self->{refused}++;
        $c->{retry} = time + 0.2;
        return;
    }

    $c->{ws} = $ws;
    $c->{at} = time;
    $c->{fresh} = 1;

    $ws->send_json({ type => 'subscribe', stream => $self->{snapshot} })
        if $self->{snapshot};
    $ws->send_json({ type => 'subscribe', stream => $self->{log},
        defined $c->{seq}{l} ? (since => $c->{seq}{l}) : () })
        if $self->{log};

    return 1;
}


# Reads messages for so many seconds, or until the code returns true.

sub run {
    my ($self, $seconds, %opt) = @_;

    my $end = time + $seconds * ($opt{until} ? slow() : 1);

    while (time < $end) {
        my %by;
        my $bits = '';

        for my $c ($self->clients) {
            if (!$c->{ws}) {
                $self->_connect($c) if $self->{reconnect} && ($c->{retry} // 0) < time;
                next unless $c->{ws};
            }
            my $fd = fileno $c->{ws}->socket;
            $by{$fd} = $c;
            vec($bits, $fd, 1) = 1;
            $self->_read($c) if length $c->{ws}{buf};
        }

        if (%by) {
            my $ready = $bits;
            if (select($ready, undef, undef, 0.05) > 0) {
                for my $fd (keys %by) {
                    my $c = $by{$fd};
                    next unless vec($ready, $fd, 1) && $c->{ws};
                    $c->{ws}->_fill(time + 0.001);
                    $self->_read($c);
                }
            }
        } else {
            sleep 0.05;
        }

        return 1 if $opt{until} && $opt{until}->($self);
    }

    return !$opt{until};
}


sub _read {
    my ($self, $c) = @_;

    my $ws = $c->{ws};

    while (my $f = $ws->_parse) {
        if ($f->{opcode} == 9) {
            $ws->pong($f->{payload});
        } elsif ($f->{opcode} == 8) {
            my $code = length $f->{payload} ? unpack 'n', $f->{payload} : 1005;
            $self->{closes}{$code}++;
            push @{ $self->{closed_at} }, time;
            $ws->close($code) unless $self->{rude};
            $c->{retry} = time + rand 0.5;
            if ($self->{rude}) { push @{ $self->{kept} }, $ws; } else { CORE::close $ws->socket; }
            delete $c->{ws};
            return;
        } else {
            $self->_message($c, _decode($f->{payload}));
        }
    }

    if ($ws->eof) {
        $self->{lost}++;
        $c->{retry} = time + rand 0.3;
        delete $c->{ws};
    }
}


# Data of a ledger's streams is read without a JSON parser: with hundreds of
# clients the test itself would take all the time there is.

sub _decode {
    my ($text) = @_;

    if ($text =~ /^\{"type":"(\w+)","data":(\d+|\{"entries":\[.*\],"count":\d+\}),"timestamp":\d+,"seq":(\d+)(,"gap":.*)?\}$/) {
        my ($type, $data, $seq, $gap) = ($1, $2, $3, $4);
        return { type => $type, seq => $seq + 0, data => $data } if $data =~ /^\d/;
        return { type => $type, seq => $seq + 0, gap => $gap,
            ids => [$data =~ /"id":(\d+)/g] };
    }

    return JSON::PP::decode_json($text);
}


sub _message {
    my ($self, $c, $m) = @_;

    my $type = $m->{type};

    $self->{messages}++;

    if ($type eq 'welcome') {
        $self->_note("the epoch changed")
            if defined $c->{epoch} && $c->{epoch} != $m->{epoch} && !$self->{new_epoch};

        # what it asked for was of the other one: the answer may say so

        $c->{seq} = {}, $c->{other} = 1, delete $c->{id}, delete $c->{value}
            if defined $c->{epoch} && $c->{epoch} != $m->{epoch};
        $c->{epoch} = $m->{epoch};
        return;
    }

    if ($self->{snapshot} && $type eq $self->{snapshot}) {
        my $seq = $m->{seq};
        my $last = $c->{seq}{s};

        # after a new connection the newest one comes again

        $self->_note("$type: seq went back or came twice")
            if defined $last && ($c->{fresh_s} ? $seq < $last : $seq <= $last);
        $self->_note("$type: an older value under a newer seq")
            if defined $c->{value} && !ref $m->{data} && !$self->{any_value}
                && $m->{data} =~ /^\d+$/ && $m->{data} < $c->{value};
        $self->_note("$type: a seq is missing")
            if $self->{every} && defined $last && !$c->{fresh_s} && $seq != $last + 1;

        $c->{seq}{s} = $seq;
        $c->{value} = $m->{data};
        $c->{fresh_s} = 0;
        $c->{got}{s} = time;
        push @{ $c->{times} }, time if $self->{times};
    } elsif ($self->{log} && $type eq $self->{log}) {
        my $seq = $m->{seq};
        my ($field) = $m->{ids} ? () : grep { ref $m->{data}{$_} } keys %{ $m->{data} };
        my @ids = $m->{ids} ? @{ $m->{ids} } : map { $_->{id} } @{ $m->{data}{$field} };

        $self->_note("$type: seq went back or came twice")
            if defined $c->{seq}{l} && $seq <= $c->{seq}{l};
        $self->_note("$type: a gap was announced") if $m->{gap} && !$c->{other};
        $c->{other} = 0;

        for my $id (@ids) {
            if (defined $c->{id} && $id != $c->{id} + 1) {
                $self->_note($id <= $c->{id} ? "$type: an entry came twice"
                    : "$type: an entry is missing");
                $self->{example} //= "$c->{name}: $id after $c->{id}, seq $seq";
            }
            $c->{id} = $id;
        }

        $c->{seq}{l} = $seq;
        $c->{got}{l} = time;
    } elsif ($type eq 'error') {
        $self->_note("error: $m->{message}");
    } elsif ($type eq 'subscribed' && $self->{snapshot}
             && $m->{stream} eq $self->{snapshot}) {
        $c->{fresh_s} = 1;
    }
}


# Client number n drops its connection and comes back.

sub leave {
    my ($self, $n) = @_;

    my $c = $self->{clients}[$n];
    CORE::close((delete $c->{ws})->socket) if $c->{ws};
    $c->{retry} = 0;
}


# Tests that all clients have what the node had a moment ago, and nothing twice.

sub complete {
    my ($self, $t, $node, $name, $slow) = @_;

    my $last = $node->last_id;
    my $ok = $self->run(15 * ($slow // 1), until => sub {
        !grep { !$_->{ws} || ($_->{id} // 0) < $last } $self->clients;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok($ok, "$name: everybody has got all entries")
        or Test::More::diag(join "\n", grep { !/\[info\]/ } split /\n/, $t->error_log);
    Test::More::is_deeply([$self->wrong], [], "$name: none is lost or doubled, seq grows")
        or Test::More::diag($self->{example} // '');

    $self->{wrong} = {};
}


sub close_all {
    my ($self) = @_;

    for my $c ($self->clients) {
        CORE::close((delete $c->{ws})->socket) if $c->{ws};
    }

    CORE::close($_->socket) for @{ delete $self->{kept} // [] };
}


1;
