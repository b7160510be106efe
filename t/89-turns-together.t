#!/usr/bin/perl

# Subscribers with a filter, and those of chain libraries, among the thousands
# that come back at once. If this fails, they wait for ever for what is being
# compressed, get somebody else's entries, stop everybody while theirs are
# looked for, or hear nothing in a worker that has no other clients.
#
# Work is counted, not timed: how much is compressed in one turn.

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

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;
my $json = JSON::PP->new->canonical;

my $BATCH = 50;                 # entries of a poll
my $LOG = 2000;                 # of the log
my $select = IO::Select->new;
my %client;

# of two addresses in turn, and compresses as logs do
sub address { '0x' . ($_[0] % 2 ? 'a' : 'b') x 40 }

sub entry {
    my ($id, $more) = @_;
    return sprintf '{"id":%d,"address":"%s","topics":["0x%064x"],"data":"0x%s%s","blockHash":"0x%064x","removed":false}',
        $id, address($id), $id % 8, join('', map { sprintf '%064x', $id * 2654435761 * $_ % 4294967296 } 1 .. 4),
        $more // '', $id;
}

sub entries { $node->set(log => '[' . join(',', map { entry($_) } $_[0] .. $_[1]) . ']') }

entries(1, $BATCH);
$node->set(big => '"x"');

my %conf = (%{ $turns->test_options }, http => <<"EOF", server => <<'EOS');
    blockcast_zone main 64m;
    blockcast_message_rate off;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream log {
        blockcast_interval 50ms;
        blockcast_always on;
        blockcast_max_size 2m;
        blockcast_call c log;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=10000 size=4m page=20;
    }
    blockcast_stream big { blockcast_interval 50ms; blockcast_always on; blockcast_max_size 2m; blockcast_call c big; }
    blockcast_rpc_subscription eth_subscribe newHeads stream=big notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex;
    blockcast_rpc_subscription eth_subscribe logs stream=log filter=logs notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex;
    blockcast_rpc_subscription eth_subscribe entries stream=log notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex;
EOF
    location /ws { blockcast_websocket; }
    location /rpc { blockcast_rpc; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node max_reply=8m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

my $t = Blockcast::Test->new(workers => 1, %conf);


# Clients that say something; with `packed` they take permessage-deflate.

sub clients {
    my ($n, $path, $say, %opt) = @_;

    return map {
        my $ws = Blockcast::WebSocket->connect(port => $t->port, path => $path, auto_pong => 0,
            headers => $opt{deflate} ? [['Sec-WebSocket-Extensions', 'permessage-deflate']] : []);
        $ws->send_json($say);
        $ws->socket->blocking(0);
        my $c = { ws => $ws, buf => $ws->{buf} // '', ids => [], text => [] };
        $client{ $ws->socket } = $c;
        $select->add($ws->socket);
        $c;
    } 1 .. $n;
}

sub rpc { { jsonrpc => '2.0', id => 1, method => 'eth_subscribe', params => [@_] } }

sub events {
    my ($n, $query) = @_;

    return map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die;
        syswrite $s, "GET /events/$query HTTP/1.1\r\nHost: a\r\n\r\n";
        $s->blocking(0);
        my $c = { socket => $s, sse => 1, buf => '', ids => [], text => [] };
        $client{$s} = $c;
        $select->add($s);
        $c;
    } 1 .. $n;
}

sub take {
    my ($c) = @_;

    if ($c->{sse}) {
        while ($c->{buf} =~ s/^data: (.*)\n\n//m) { said($c, $1) }
        return;
    }

    said($c, $_) for Blockcast::WebSocket::take_messages($c);
}

sub said {
    my ($c, $payload) = @_;

    # what is large is not decoded
    if ($payload =~ /^\{"jsonrpc":"2.0","method":"eth_subscription"/) {
        push @{ $c->{text} }, $1 if $payload =~ /"result":"([^"]*)"\}\}\z/;
        push @{ $c->{ids} }, $1 if $payload =~ /"result":\{"id":(\d+),/;
        return;
    }

    my $m = $json->decode($payload);
    $c->{gap} = $m->{gap} if $m->{gap};
    if (($m->{type} // '') eq 'log') {
        push @{ $c->{ids} }, map { $_->{id} } @{ $m->{data}{entries} };
        $c->{pages}++;
    } elsif (exists $m->{result}) {
        $c->{subscribed} = 1;
    }
}

sub read_until { Blockcast::WebSocket::read_until($select, \%client, $_[0], \&take) }

sub leave {
    for (values %client) {
        $select->remove($_->{socket} // $_->{ws}->socket);
        $_->{socket} ? CORE::close($_->{socket}) : $_->{ws}->drop(reset => 1);
    }
    %client = ();
}

sub all_have { my ($what, @c) = @_; return !grep { !$what->($_) } @c }
sub newest { my ($id) = @_; return sub { ($_[0]{ids}[-1] // 0) == $id } }
sub others { my ($want, @c) = @_; return scalar grep { "@{ $_->{ids} }" ne $want } @c }


for (my $to = $BATCH; $to <= $LOG; $to += $BATCH) {
    entries($to - $BATCH + 1, $to);
    wait_for(sub { $t->get_json('/api/log?limit=1')->{entries}[0]{id} == $to }, 30);
}

my $state = $t->get_json('/api/log?limit=1');
is($state->{total}, $LOG, 'the log is there');
my $first = $state->{seq} - $LOG / $BATCH;
my $bytes = 0;
$bytes += length(entry($_)) + 1 for grep { $_ % 2 } 1 .. $LOG;
my $odd = join ' ', grep { $_ % 2 } 1 .. $LOG;


for my $deflate (1, 0) {
    subtest 'those with a filter come back, ' . ($deflate ? 'deflate' : 'plain') => sub {
        $turns->reset;
        my @clients = clients(60, '/ws', { type => 'subscribe', stream => 'log', since => $first,
            filter => { address => address(1) } }, deflate => $deflate);
        ok(read_until(sub { all_have(newest($LOG - 1), @clients) }), 'all came');
        is(others($odd, @clients), 0, 'each entry once, in order, and no other');
        is(scalar(grep { $_->{gap} } @clients), 0, 'without a gap');
        my $all = $turns->get;
        if ($deflate) {
            is(scalar(grep { $_->{packed} < 5 } @clients), 0, 'compressed');
            cmp_ok($all->{deflated}, '<', 10 * $bytes,
                "for all of them, not for each: $all->{deflated} of $bytes bytes");
            cmp_ok($all->{most_deflated}, '<', $bytes, 'and little in one turn');
        } else {
            is($all->{deflated}, 0, 'nothing is compressed');
        }
        leave();
    };
}


subtest 'newcomers with a filter' => sub {
    $turns->reset;
    my @clients = clients(50, '/ws', { type => 'subscribe', stream => 'log',
        filter => { address => address(1) } }, deflate => 1);
    ok(read_until(sub { all_have(newest($LOG - 1), @clients) }), 'all have their page');
    is(others(join(' ', grep { $_ % 2 } $LOG - 39 .. $LOG), @clients), 0, 'of 20 entries');
    cmp_ok($turns->get->{deflated}, '<', 10 * 20 * length entry(1), 'compressed once');

    my @none = clients(10, '/ws', { type => 'subscribe', stream => 'log', filter => { address => 'nobody' } });
    ok(read_until(sub { all_have(sub { $_[0]{pages} }, @none) }), 'who finds nothing has an empty page');
    leave();
};


subtest 'of another epoch' => sub {
    $turns->reset;
    my @clients = map { clients(30, '/ws', { type => 'subscribe', stream => 'log', since => $first, epoch => 1,
        $_ ? (filter => { address => address(1) }) : () }, deflate => 1) } 0, 1;
    ok(read_until(sub { all_have(sub { $_[0]{pages} }, @clients) }), 'all have a page');
    is(scalar(grep { ($_->{gap}{since} // -1) != $first } @clients), 0, 'with the gap');
    cmp_ok($turns->get->{deflated}, '<', 20 * 20 * length entry(1), 'compressed once');
    leave();
};


# What is compressed in pieces: those who wait for it get it. A turn of a millisecond compresses 100 KB of it at most.

my $long = join '', map { sprintf '%08x', $_ * 2654435761 % 4294967296 } 1 .. 60_000;

subtest 'a large entry goes to those with a filter' => sub {
    my @clients = (clients(20, '/ws', { type => 'subscribe', stream => 'log', filter => { address => address(1) } },
        deflate => 1), clients(5, '/ws', { type => 'subscribe', stream => 'log', filter => { address => address(2) } },
        deflate => 1));
    my @odd = @clients[0 .. 19];
    ok(read_until(sub { all_have(sub { $_[0]{pages} }, @clients) }), 'they are there');

    $turns->reset;
    $node->set(log => '[' . entry(++$LOG, $long) . ']');
    ok(read_until(sub { all_have(newest($LOG), @odd) }), 'all got 480 KB');
    my $all = $turns->get;
    cmp_ok($all->{deflated}, '<', 3 * length $long, 'compressed once');
    cmp_ok($all->{most_deflated}, '<', length $long, 'in several turns');

    $node->set(log => '[' . entry(++$LOG) . ',' . entry(++$LOG) . ']');
    ok(read_until(sub { all_have(newest($LOG), @odd) }), 'and go on');
    is(scalar(grep { grep { $_ % 2 } @{ $_->{ids} } } @clients[20 .. 24]), 0, 'the others have theirs');
    leave();
};


subtest 'chain libraries with deflate' => sub {
    my @heads = clients(20, '/rpc', rpc('newHeads'), deflate => 1);
    my @log = clients(10, '/rpc', rpc('entries'), deflate => 1);
    my @some = clients(10, '/rpc', rpc(logs => { address => address(1) }), deflate => 1);
    my @plain = clients(3, '/rpc', rpc('newHeads'));
    ok(read_until(sub { all_have(sub { $_[0]{subscribed} }, @heads, @log, @some, @plain) }), 'they are there');

    # digits: what compresses well would be done in a turn of a millisecond
    my $text = $long x 2;
    $turns->reset;
    $node->set(big => qq("$text end"));
    ok(read_until(sub { all_have(sub { ($_[0]{text}[-1] // '') =~ / end\z/ }, @heads, @plain) }), 'a large head');
    is(scalar(grep { $_->{text}[-1] ne "$text end" } @heads, @plain), 0, 'with the right text');
    is(scalar(grep { !$_->{packed} } @heads), 0, 'compressed');
    my $all = $turns->get;
    cmp_ok($all->{deflated}, '<', 1.5 * length $text, 'once');
    cmp_ok($all->{most_deflated}, '<', length($text) / 2, 'in several turns');

    # one that comes while the one before is being compressed
    for my $n (1 .. 8) {
        $node->set(big => qq("$text $n"));
        read_until(sub { all_have(sub { $_[0]{text}[-1] =~ / $n\z/ }, @plain) });
    }
    ok(read_until(sub { all_have(sub { $_[0]{text}[-1] =~ / 8\z/ }, @heads) }), 'the newest comes in the end');

    $node->set(log => '[' . join(',', entry(++$LOG, $long), entry(++$LOG), entry(++$LOG)) . ']');
    ok(read_until(sub { all_have(newest($LOG), @log) }), 'several large entries');
    my $odd = $LOG % 2 ? $LOG : $LOG - 1;
    ok(read_until(sub { all_have(newest($odd), @some) }), 'and those of a filter');
    is(others(join(' ', $LOG - 2 .. $LOG), @log), 0, 'each once');
    is(others(join(' ', grep { $_ % 2 } $LOG - 2 .. $LOG), @some), 0, 'each once, of a filter');
    leave();
};

$t->stop;


# A worker may have no clients but these.

for my $case (['a filter', sub { clients(8, '/ws', { type => 'subscribe', stream => 'log',
        filter => { address => address(1) } }) }],
    ['server-sent events and a filter', sub { events(8, 'log?address=' . address(1)) }],
    ['logs of a chain library', sub { clients(8, '/rpc', rpc(logs => { address => address(1) })) }],
    ['all entries for a chain library', sub { clients(8, '/rpc', rpc('entries')) }],
    ['heads', sub { clients(8, '/rpc', rpc('newHeads')) }],
    ['no filter', sub { clients(8, '/ws', { type => 'subscribe', stream => 'log' }) }],
    ['server-sent events', sub { events(8, 'log') }])
{
    my ($name, $make) = @$case;

    subtest "four workers, $name" => sub {
        $node->set(log => '[' . entry($LOG) . ']');
        $t = Blockcast::Test->new(workers => 4, reuseport => 1, %conf);
        wait_for(sub { ($t->get_json('/api/log?limit=1')->{total} // 0) > 0 }, 20);

        # each begins after what is there: the newest of them is what all have
        my @clients = $make->();

        # the worker that polls needs no wake-up: there are others with clients
        my %workers;
        my $spread = wait_for(sub {
            %workers = map { $t->worker_of($_->{socket} // $_->{ws}->socket) => 1 } @clients;
            delete $workers{0};
            return 1 if keys(%workers) > 1;
            push @clients, $make->();
            return 0;
        }, 30);
        ok($spread, 'they are clients of several workers') or return;

        my $heads = $name eq 'heads';
        $LOG += 2 - $LOG % 2 - 1;
        my $set = sub { $heads ? $node->set(big => qq("head $LOG")) : $node->set(log => '[' . entry($LOG) . ']') };
        my $has = $heads ? sub { ($_[0]{text}[-1] // '') eq "head $LOG" } : newest($LOG);
        if ($clients[0]{ws}) {
            read_until(sub { all_have(sub { $_[0]{subscribed} || $_[0]{pages} }, @clients) });
        } else {
            read_until(sub { all_have(sub { $_[0]{pages} }, @clients) });
        }
        $turns->reset;
        my $came = 0;
        for (1 .. 10) {
            $LOG += 2;
            $has = newest($LOG) unless $heads;
            $set->();
            $came += read_until(sub { all_have($has, @clients) });
        }
        is($came, 10, 'each publication comes to all of them');
        cmp_ok($turns->get->{wakes}, '>=', 10, 'by a wake-up of their workers');
        leave();
        $t->stop;
    };
}

$node->stop;
done_testing();
