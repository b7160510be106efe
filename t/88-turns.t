#!/usr/bin/perl

# What is done for many clients in one turn of the event loop, and what for all
# of them only once. If this fails, everybody waits while thousands come back
# after a reload, a large message goes out, or one client asks for a log.
#
# Work is counted, not timed: how much is sent and compressed in one turn.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;
use Blockcast::Turns;
use Blockcast::WebSocket;

# of a sanitizer's nginx neither the memory nor the time says much
my $measured = !$ENV{BLOCKCAST_SANITIZE};

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;
my $json = JSON::PP->new->canonical;

my $BATCH = 50;                 # entries of a poll
my $LOG = 2000;                 # of the log
my $WIDTH = 200;                # bytes of an entry, about

my %entry;

sub entry {
    my ($id) = @_;

    # compresses as such data does, to a fourth or so
    return $entry{$id} //= sprintf '{"id":%d,"market":"%s","hash":"%s","text":"%s"}', $id,
        qw(compute storage energy ads)[$id % 4],
        join('', map { sprintf '%08x', $id * 2654435761 * $_ % 4294967296 } 1 .. 4),
        substr('block, provider and consumer of the entry ' x 10, 0, $WIDTH - 85);
}

sub entries { $node->set(log => '[' . join(',', map { entry($_) } $_[0] .. $_[1]) . ']') }

sub hex_text { join '', map { sprintf '%04x', rand 65536 } 1 .. $_[0] / 4 }

entries(1, $BATCH);
$node->set(num => 1);
$node->set(big => '"x"');
$node->set(hex => '"x"');
$node->set(alone => 1);

my @eight = map { "n$_" } 1 .. 8;

my $t = Blockcast::Test->new(%{ $turns->test_options }, workers => 1, http => <<"EOF"
    blockcast_zone main 64m;
    blockcast_message_rate off;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream log {
        blockcast_interval 50ms;
        blockcast_always on;
        blockcast_call c log;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=10000 size=2m page=20;
    }
    blockcast_stream big { blockcast_interval 50ms; blockcast_max_size 2m; blockcast_call c big; }
    blockcast_stream hex { blockcast_interval 50ms; blockcast_max_size 44k; blockcast_call c hex; }
EOF
    . join('', map { "blockcast_stream $_ { blockcast_interval 100ms; blockcast_call c num; }\n" }
        @eight), server => <<'EOS');
    location /ws { blockcast_websocket; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node max_reply=8m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

my ($worker) = @{ wait_for(sub { my @w = $t->worker_pids; @w && \@w }) };
my $select = IO::Select->new;
my %client;


# Clients that say something at once, or only a moment later by tell().

sub clients {
    my ($n, %opt) = @_;

    return map {
        my $ws = Blockcast::WebSocket->connect(port => $t->port, path => '/ws', auto_pong => 0,
            subprotocol => $opt{subprotocol}, headers => $opt{deflate}
            ? [['Sec-WebSocket-Extensions', 'permessage-deflate']] : []);
        $ws->send_json($opt{say}->($_)) if $opt{say};
        $ws->socket->blocking(0);
        my $c = { ws => $ws, buf => $ws->{buf} // '', n => $_ };
        $ws->{buf} = '';
        $client{ $ws->socket } = $c;
        $select->add($ws->socket);
        $c;
    } 1 .. $n;
}


# reads all clients until it is true, or no more than a generous time
sub read_until { Blockcast::WebSocket::read_until($select, \%client, $_[0]) }


# the messages that a client has got since: decoded, their text
sub messages { Blockcast::WebSocket::take_messages($_[0]) }


# What a client of the log has, of which there must be all after its `since`.

sub ids {
    my ($c) = @_;

    for (messages($c)) {
        next unless /^\{"type":"log"/;
        my $m = $json->decode($_);
        push @{ $c->{ids} }, map { $_->{id} } @{ $m->{data}{entries} };
        $c->{gap} = $m->{gap} if $m->{gap};
    }

    return $c->{ids} // [];
}

sub leave {
    for (values %client) {
        $select->remove($_->{ws}->socket);
        $_->{ws}->drop(reset => 1);
    }
    %client = ();
}

sub in_order {
    my ($from, @clients) = @_;

    return grep {
        my $want = ref $from ? $from->($_) : $from;
        join(',', @{ $_->{ids} // [] }) ne join(',', $want .. $LOG);
    } @clients;
}


# The log, in batches: seq N has the entries up to N * $BATCH.

for (my $to = $BATCH; $to <= $LOG; $to += $BATCH) {
    entries($to - $BATCH + 1, $to);
    wait_for(sub { $t->get_json('/api/log?limit=1')->{entries}[0]{id} == $to }, 30);
}

my $state = $t->get_json('/api/log?limit=1');
is($state->{total}, $LOG, 'the log is there');
my $seqs = $LOG / $BATCH;
my $first = $state->{seq} - $seqs;          # before its first batch
my $bytes = 0;
$bytes += length(entry($_)) + 1 for 1 .. $LOG;


# Returning clients: each message is put together and compressed for all of them.

for my $case (['deflate', undef, 0], ['deflate, from anywhere', undef, 1],
    ['CBOR and deflate', 'blockcast.v1.cbor', 0])
{
    my ($name, $protocol, $anywhere) = @$case;
    my $n = 60;
    my $since = sub { $anywhere ? $_[0]{n} % $seqs : 0 };

    subtest "$n clients come back, $name" => sub {
        my @clients = clients($n, deflate => 1, subprotocol => $protocol);
        $turns->reset;
        $_->{ws}->send_raw($_->{ws}->frame($protocol
            ? (opcode => 2, payload => "\xa3dtypeisubscribefstreamclogesince" . pack 'CC', 0x18, $first)
            : (payload => $json->encode({ type => 'subscribe', stream => 'log',
                since => $first + $since->($_) })))) for @clients;

        if ($protocol) {
            # the last entry's text is in it
            ok(read_until(sub { !grep { length $_->{buf} < $bytes / 50 } @clients }), 'all came');
            read_until(sub { !$select->can_read(0.5) });
        } else {
            ok(read_until(sub { !grep { (ids($_)->[-1] // 0) != $LOG } @clients }), 'all came');
            is(scalar(in_order(sub { $since->($_[0]) * $BATCH + 1 }, @clients)), 0,
                'each entry once, in order');
            is(scalar(grep { $_->{gap} } @clients), 0, 'without a gap');
            is(scalar(grep { !$_->{packed} } @clients), 0, 'compressed');
        }

        my $all = $turns->get;
        cmp_ok($all->{deflated}, '<', ($anywhere ? 10 : 2) * $bytes,
            "compressed for all of them, not for each: $all->{deflated} of $bytes bytes");
        cmp_ok($all->{most_deflated}, '<', $bytes, 'and little in one turn');
        leave();
    };
}


subtest 'newcomers get a page that was compressed once' => sub {
    $turns->reset;
    my @clients = clients(50, deflate => 1, say => sub { { type => 'subscribe', stream => 'log' } });
    ok(read_until(sub { !grep { (ids($_)->[-1] // 0) != $LOG } @clients }), 'all have it');
    is(scalar(grep { "@{ $_->{ids} }" ne join ' ', $LOG - 19 .. $LOG } @clients), 0, '20 entries');
    cmp_ok($turns->get->{deflated}, '<', 10 * 20 * $WIDTH, 'compressed once');
    leave();
};


subtest 'eight streams that are new at the same moment' => sub {
    my @clients = clients(800, say => sub { { type => 'subscribe', stream => $eight[$_[0] % 8] } });
    my $new = 2;
    my $got = sub { my ($v) = @_; sub { !grep { $_->{buf} !~ /"data":$v,/ } @clients } };

    ok(read_until($got->(1)), 'all are there');

    for my $round (1 .. 3) {
        sleep 0.3;
        $_->{buf} = '' for @clients;
        $turns->reset;
        $node->set(num => $new);
        ok(read_until($got->($new)), 'all got the next');
        cmp_ok($turns->get->{most_sends}, '<', 600, 'but not in one turn');
        $new++;
    }
    leave();
};


subtest 'large messages' => sub {
    my @clients = clients(100, say => sub { { type => 'subscribe', stream => 'big' } });
    read_until(sub { !grep { $_->{buf} !~ /"type":"big"/ } @clients });
    $_->{buf} = '' for @clients;
    $turns->reset;
    $node->set(big => '"' . 'large ' x 100_000 . 'end"');
    ok(read_until(sub { !grep { $_->{buf} !~ /large end"/ } @clients }), 'all got 600 KB');
    cmp_ok($turns->get->{most_bytes}, '<', 35_000_000, 'but not in one turn');
    leave();
};


subtest 'large messages are compressed in pieces, once' => sub {
    my @clients = clients(20, deflate => 1, say => sub { { type => 'subscribe', stream => 'big' } });
    my $has = sub { my ($end) = @_; sub { !grep {
        for my $m (messages($_)) { $_->{last} = $m if $m =~ /^\{"type":"big"/ }
        ($_->{last} // '') !~ /\Q$end\E"/ } @clients } };
    ok(read_until($has->('end')), 'they have one');

    my $text = join '', map { entry($_) =~ s/"/'/gr } (1 .. $LOG) x 3;
    $turns->reset;
    $node->set(big => qq("$text pieces"));
    ok(read_until($has->('pieces')), 'and the next');
    my $all = $turns->get;
    is(scalar(grep { index($_->{last}, $text) < 0 } @clients), 0, 'with the right text');
    is(scalar(grep { !$_->{packed} } @clients), 0, 'compressed');
    cmp_ok($all->{deflated}, '<', 1.5 * length $text, 'once');
    cmp_ok($all->{most_deflated}, '<', length($text) / 2, 'in several turns');
    leave();
};


subtest 'what the poller has no room for is compressed once' => sub {
    my @clients = clients(3, deflate => 1, say => sub { { type => 'subscribe', stream => 'hex' } });
    my ($n, $sum) = (0, 0);

    for my $round (1 .. 12) {
        my $text = hex_text(40000);
        $node->set(hex => qq("$text"));
        my $found = read_until(sub { !grep {
            for my $m (messages($_)) { $_->{last} = $m }
            index($_->{last} // '', $text) < 0 } @clients });
        $n += $found;
        $turns->reset if $round == 2;
        $sum = $turns->get->{deflated} if $round > 2;
    }
    is($n, 12, 'each came');
    cmp_ok($sum, '<', 1.5 * 10 * 40000, 'the poller does not try each time in vain');
    leave();
};


subtest 'server-sent events of a large message' => sub {
    my $rss = sub { (Blockcast::Test::slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m)[0] };
    my $start = sub {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die;
        syswrite $s, "GET /events/big HTTP/1.1\r\nHost: a\r\n\r\n";
        $s->blocking(0);
        $client{$s} = { ws => Blockcast::WebSocket->connect(socket => $s, handshake => 0), buf => '' };
        $select->add($s);
        return $client{$s};
    };
    $node->set(big => '"small"');
    my @clients = map { $start->() } 1 .. 40;
    ok(read_until(sub { !grep { $_->{buf} !~ /"data":"small"/ } @clients }), 'they are there');
    my $before = $rss->();
    my $text = '"' . 'event ' x 300_000 . '"';

    # they do not read for a moment, and the kernel does not take all of four
    for my $n (1 .. 4) {
        my $seq = $t->get_json('/api/streams/big')->{seq};
        $node->set(big => qq([$n,$text,\n"end $n"]));
        wait_for(sub { $t->get_json('/api/streams/big')->{seq} > $seq }, 20);
        sleep 0.5;
    }
    my $most = $rss->() - $before;

    ok(read_until(sub { !grep { $_->{buf} !~ /"end 4"\][^\n]*\n\n/ } @clients }), 'all got 1.8 MB');
    is(scalar(grep { index($_->{buf}, qq([4,$text, "end 4"],)) < 0 } @clients), 0, 'in one line');
    SKIP: {
        skip 'memory under a sanitizer', 1 unless $measured;
        cmp_ok($most, '<', 25_000, 'kB for all of them together');
    }
    leave();
};


# What the kernel has for who does not read is old when they do.

subtest 'clients that do not read' => sub {
    my $connect = sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port,
        Proto => 'tcp', Sockopts => [[Socket::SO_RCVBUF(), 4096]]) or die };
    my $ws = $t->ws('/ws', socket => $connect->(), auto_pong => 0);
    $ws->send_json({ type => 'subscribe', stream => 'big' });
    my $sse = $connect->();
    syswrite $sse, "GET /events/big HTTP/1.1\r\nHost: a\r\n\r\n";

    # what was not acknowledged of the connection's bytes
    my $queued = sub {
        my ($socket) = @_;
        my @ends = map { sprintf ':%04X', $_ } $socket->peerport, $socket->sockport;
        for (split /\n/, Blockcast::Test::slurp('/proc/net/tcp')) {
            my (undef, $local, $remote, undef, $queues) = split;
            return hex substr $queues, 0, 8
                if substr($local, -5) eq $ends[0] && substr($remote, -5) eq $ends[1];
        }
        return 0;
    };
    my %most = (ws => 0, sse => 0);

    for my $round (1 .. 30) {
        my $seq = $t->get_json('/api/streams/big')->{seq};
        $node->set(big => sprintf '"%s round %d"', 'old ' x 30_000, $round);
        wait_for(sub { $t->get_json('/api/streams/big')->{seq} > $seq }, 20);
        for (['ws', $ws->socket], ['sse', $sse]) {
            my $n = $queued->($_->[1]);
            $most{ $_->[0] } = $n if $n > $most{ $_->[0] };
        }
    }
    cmp_ok($most{$_}, '>', 10_000, "$_: something waits") for qw(ws sse);
    cmp_ok($most{$_}, '<', 400_000, "$_: the kernel keeps little") for qw(ws sse);

    my ($m, $n, $end) = ('', 0, time + 20 * slow());
    while ($m !~ /round 30/ && time < $end) { $m = $ws->recv_type('big')->{data}; $n++ }
    like($m, qr/round 30/, 'the newest comes');
    cmp_ok($n, '<', 10, 'soon');
    $ws->drop(reset => 1);
    close $sse;
};


SKIP: {
    skip 'time under a sanitizer', 1 unless $measured;

    subtest 'a filter does not look at all entries each time' => sub {
        my $cost = sub {
            my ($query) = @_;
            my @runs;
            for (1 .. 3) {
                $t->get("/api/log?limit=20$query") for 1 .. 3;
                $turns->reset;
                $t->get("/api/log?limit=20$query") for 1 .. 40;
                push @runs, $turns->get->{cpu};
            }
            return (sort { $a <=> $b } @runs)[0] / 40000;
        };
        my $r = $t->get_json('/api/log?limit=3&market=ads&market=energy&unknown=1&id=' . $LOG);
        is($r->{total}, 0, 'no entry matches');
        $r = $t->get_json('/api/log?limit=3&market=ads&market=energy');
        is($r->{total}, $LOG / 2, 'half of them match');
        my $plain = $cost->('');
        for my $query ('&market=ads&market=energy', '&id=7', '&nobody=1') {
            my $us = $cost->($query);
            cmp_ok($us, '<', 3 * $plain, sprintf '%s takes %.0f us, all of them %.0f', $query, $us, $plain);
        }
        my $x = 0;
        $turns->reset;
        $t->get('/api/log?limit=20&x' . $x++ . '=1') for 1 .. 40;
        cmp_ok($turns->get->{cpu} / 40000, '<', 3 * $plain, 'nor one of other names each time');
    };
}

$t->stop;


# Who has no clients is not woken.

subtest 'four workers' => sub {
    my $t = Blockcast::Test->new(%{ $turns->test_options }, workers => 4, http => <<"EOF", server => <<'EOS');
    blockcast_zone main 4m;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream alone { blockcast_interval 50ms; blockcast_always on; blockcast_call c alone; }
EOF
    location /ws { blockcast_websocket; add_header X-Worker $pid always; }
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://node/; }
EOS
    my $n = 2;
    my $publish = sub {
        my ($times) = @_;
        for (1 .. $times) {
            $node->set(alone => $n);
            my $asked = $node->asked('alone');
            wait_for(sub { $node->asked('alone') > $asked + 2 }, 20);
            $n++;
        }
    };
    $publish->(3);
    $turns->reset;
    sleep 0.3;
    $turns->reset;
    $publish->(10);
    cmp_ok($turns->get->{wakes}, '<', 5, 'without a client nobody is woken by ten publishes');

    my $ws = $t->ws('/ws');
    $ws->subscribe('alone');
    $ws->recv_type('alone');
    sleep 0.3;
    my $asked = $node->asked('alone');
    $turns->reset;
    $publish->(10);
    my $polls = $node->asked('alone') - $asked + 1;
    cmp_ok($turns->get->{wakes}, '<=', 1.2 * $polls, "with one client one worker is, by each of $polls polls");

    my $last = $n - 1;
    my $seen = 0;
    while ($seen != $last && (my $m = $ws->recv_type('alone'))) { $seen = $m->{data} }
    is($seen, $last, 'and it has the newest');
    $ws->drop;
    $t->stop;
};

$node->stop;
done_testing();
