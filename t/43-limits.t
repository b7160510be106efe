#!/usr/bin/perl

# Every limit at its bound and one past it. If this fails, an honest client is
# cut off for nothing, or one client takes the memory, the time or the places
# of all others. Limits of whole messages are in t/43-limits-messages.t.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my @streams = map { "s$_" } 1 .. 6;

my $t = Blockcast::Test->new(workers => 2, node => 1, http => <<'EOF'
    blockcast_max_connections 6;
    client_header_timeout 1s;
EOF
    . join('', map { "blockcast_stream $_ { blockcast_interval 200ms; "
        . "blockcast_call c net.stats; }\n" } @streams), server => <<'EOS');
    location /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
    location /events { blockcast_sse; }
    location /rate { blockcast_websocket; blockcast_message_rate 1 burst=9; }
    location /fast { blockcast_websocket; blockcast_message_rate 100 burst=1; }
    location /free { blockcast_websocket; blockcast_message_rate off; }
    location /message { blockcast_websocket; blockcast_max_message 200; }
    location /frame { blockcast_websocket; blockcast_max_message 1k; blockcast_max_frame 100; }
    location /parts { blockcast_websocket; blockcast_max_fragments 4; }
    location /timid { blockcast_websocket; blockcast_ping_interval 300ms; blockcast_pong_timeout 300ms; }
    location /pinged { blockcast_websocket; blockcast_ping_interval 300ms; blockcast_pong_timeout 2s; }
EOS


sub client {
    my ($path, %opt) = @_;

    my $ws = $t->ws($path, %opt);
    $ws->recv_type('welcome') unless $opt{subprotocol} || ($ws->status // 0) != 101;
    return $ws;
}


sub closed {
    my ($ws, $code, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(($ws->recv_close)[0], $code, $name);
    $ws->drop;
}


sub connections {
    my $n = 0;
    $n += $_->{connections} for @{ $t->get_json('/api/health')->{workers} };
    return $n;
}


my $ws;

my $begun;

subtest 'messages per second' => sub {
    $ws = client('/rate');
    # in one packet: no second goes by between them
    $ws->send_raw(join '', map { $ws->frame(payload => qq({"type":"ping","id":$_})) } 1 .. 11);
    is($ws->recv_type('pong')->{id}, $_, "message $_ of rate 1, burst 9") for 1 .. 10;
    closed($ws, 1008, 'the eleventh is too many');

    $ws = client('/rate');
    $ws->send_raw(join '', map { $ws->frame(opcode => 9, payload => 'p') } 1 .. 11);
    is(scalar(grep { my $f = $ws->recv; $f && $f->{opcode} == 10 } 1 .. 10), 10,
        'pings count: ten are answered');
    closed($ws, 1008, 'and the eleventh is too many');

    $ws = client('/rate');
    $ws->send_raw(join '', map { $ws->frame(opcode => $_ > 1 ? 0 : 1, fin => 0, payload => ' ') } 1 .. 10);
    $ws->send_frame(opcode => 0, payload => '{"type":"ping"}');
    ok($ws->recv_type('pong'), 'fragments of one message are one message');
    $ws->drop;

    $ws = client('/fast');
    $begun = time;
    my $pongs = 0;
    for (1 .. 30) {
        $ws->send_json({ type => 'ping' });
        $ws->recv_type('pong') && $pongs++;
        sleep 0.012;
    }
    is($pongs, 30, 'who keeps to the rate goes on for ever');
    $ws->drop;

    $ws = client('/ws');
    $ws->send_raw(join '', map { $ws->frame(payload => qq({"type":"ping","id":$_})) } 1 .. 201);
    my $last = 0;
    while (my $p = $ws->recv_type('pong')) { $last = $p->{id}; last if $last == 201 }
    is($last, 201, 'by default 201 messages at once are fine');
    # more than become free again while these were read
    $ws->send_raw(join '', map { $ws->frame(payload => '{"type":"ping"}') } 1 .. 600);
    closed($ws, 1008, 'and 600 more at once are not');
};


# Who sends very much at once and reads then is no client that does not read.

subtest 'very many commands at once' => sub {
    my $tiny = 2000;

    for my $case (
        ['JSON', {}, '{"type":"ping","id":%d}', qr/"type":"pong".*"id":1000\b/],
        ['JSON-RPC', { subprotocol => 'jsonrpc' }, '{"jsonrpc":"2.0","id":%d,"method":"unsubscribe","params":["x"]}',
            qr/"id":1000\b/],
        ['CBOR', { subprotocol => 'blockcast.v1.cbor' }, undef, qr/bid\x19\x03\xe8/],
    ) {
        my ($name, $opt, $form, $last) = @$case;

        for my $early (0, 1) {
            my $commands = join '', map {
                $ws = 'Blockcast::WebSocket';
                $form ? $ws->frame(payload => sprintf $form, $_)
                      : $ws->frame(opcode => 2, payload => "\xa2dtypedpingbid\x19" . pack 'n', $_)
            } 1 .. 1000;
            $commands .= Blockcast::WebSocket->frame(opcode => 9) x $tiny;

            $ws = $early ? $t->ws('/free', %$opt, early => $commands) : $t->ws('/free', %$opt);
            $ws->send_raw($commands) unless $early;

            my ($found, $pongs) = (0, 0);
            while (my $f = $ws->recv) {
                $found++ if $f->{opcode} < 8 && $f->{payload} =~ $last;
                last if $f->{opcode} == 8;
                last if $f->{opcode} == 10 && ++$pongs == $tiny;
            }
            is("$found $pongs", "1 $tiny", "$name: each is answered"
                . ($early ? ', when they come with the handshake' : ''));
            $ws->drop(reset => 1);
        }
    }
};


# Sizes. The close says what was wrong.

sub message { my $m = q({"type":"ping","pad":"); $m . q(x) x ($_[0] - 2 - length $m) . q("}) }


subtest 'sizes' => sub {
    $ws = client('/message');
    $ws->send_frame(fin => 0, payload => substr message(200), 0, 100);
    $ws->send_frame(opcode => 0, payload => substr message(200), 100);
    ok($ws->recv_type('pong'), 'a message of blockcast_max_message bytes in two frames');
    $ws->send_frame(fin => 0, payload => substr message(201), 0, 100);
    $ws->send_frame(opcode => 0, fin => 0, payload => substr message(201), 100, 101);
    closed($ws, 1009, 'one byte more, before the message is over');

    $ws = client('/message');
    $ws->send_raw(pack 'CCQ>', 0x81, 0x80 | 127, 1 << 40);
    closed($ws, 1009, 'an announced terabyte is refused by its header');

    $ws = client('/frame');
    $ws->send_frame(fin => 0, payload => substr message(190), 0, 95);
    $ws->send_frame(opcode => 0, payload => substr message(190), 95);
    ok($ws->recv_type('pong'), 'two frames below blockcast_max_frame are a message above it');
    $ws->drop;

    $ws = client('/parts');
    my @parts = ('{"ty', 'pe":', '"pin', 'g"}');
    $ws->send_frame(opcode => $_ ? 0 : 1, fin => $_ == 3, payload => $parts[$_]) for 0 .. 3;
    ok($ws->recv_type('pong'), 'blockcast_max_fragments fragments');
    $ws->send_frame(opcode => $_ ? 0 : 1, fin => 0, payload => ' ') for 0 .. 4;
    closed($ws, 1008, 'one more is too many');
};


subtest 'silence' => sub {
    $ws = client('/timid', auto_pong => 0);
    my $ping = $ws->recv;
    is($ping->{opcode}, 9, 'a silent client is asked');
    closed($ws, 1001, 'and closed when it does not answer');

    # for longer than one that is silent has
    $ws = client('/pinged');
    my ($alive, $end) = (1, time + 3);
    while ($alive && time < $end) {
        my $f = $ws->recv;
        $alive = 0 unless $f && $f->{opcode} == 9;
        $ws->pong($f->{payload}) if $alive;
    }
    ok($alive, 'one that answers stays');
    $ws->drop;
};


subtest 'an opening handshake that does not end' => sub {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port);
    $begun = time;
    $s->syswrite("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n");
    vec(my $rin = '', fileno $s, 1) = 1;
    select $rin, undef, undef, 50;
    cmp_ok(time - $begun, '<', 8 * slow(), 'half a handshake is given up after client_header_timeout');
    close $s;
};


my @ws;

subtest 'connections in all, in both workers' => sub {
    wait_for { connections() == 0 } or diag connections();

    # the first request has the stream polled

    wait_for { $t->get('/api/streams/s1')->{status} == 200 };

    @ws = map { client('/ws') } 1 .. 5;
    my $sse = $t->ws('', handshake => 0);
    $sse->send_raw("GET /events?streams=s1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $sse->read_head;
    is($sse->{status}, 200, 'six connections, one of them an event stream');

    my $no = $t->ws('/ws', may_fail => 1);
    is($no->status, 503, 'the seventh is refused');
    like($no->header('retry-after'), qr/^(?:[1-9]|10)$/, 'with Retry-After');
    like($no->body, qr/^This gateway has as many WebSocket connections as it takes/,
        'and a sentence');
    is($t->get('/events?streams=s1')->{status}, 503, 'event streams, too');
    is($t->get('/api/streams/s1')->{status}, 200, 'REST goes on');

    (shift @ws)->drop(reset => 1);
    ok(wait_for { connections() == 5 }, 'one goes');
    push @ws, client('/ws');
    is($ws[-1]->status, 101, 'and its place is free');

    $sse->drop;
    ok(wait_for { connections() == 5 }, 'the event stream goes');
    push @ws, client('/ws');
    is($t->ws('/ws', may_fail => 1)->status, 503, 'its place was taken');

    # the connections of a worker that was killed are gone with it

    $t->allow(qr/exited on signal 9/, qr/open socket/);
    kill 'KILL', $_ for $t->worker_pids;
    ok(wait_for { my $w = eval { $t->ws('/ws', may_fail => 1) }; $w && ($w->status // 0) == 101 },
        'killed workers leave no places taken');
    $_->drop for @ws;
    $t->stop;
};


subtest 'connections of a worker' => sub {
    $t = Blockcast::Test->new(workers => 2, node => 1, http => <<'EOF', server => <<'EOS');
    blockcast_max_connections 1000 worker=2;
    blockcast_stream s1 { blockcast_interval 200ms; blockcast_call c net.stats; }
EOF
    location /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
EOS

    @ws = ();
    my $refused = 0;

    for (1 .. 40) {
        my $ws = $t->ws('/ws', may_fail => 1);
        if ($ws->status == 101) { push @ws, $ws; next }
        $refused++;
        like($ws->body, qr/^This server has as many/, 'a full worker says so') if $refused == 1;
        last if @ws == 4 && $refused;
    }

    cmp_ok(scalar @ws, '<=', 4, 'no more than 2 in each worker');
    cmp_ok(scalar @ws, '>=', 2, 'and as many in one');
    cmp_ok($refused, '>=', 1, 'others are refused');
    $_->drop for @ws;
    $t->stop;
};

done_testing();
