#!/usr/bin/perl

# Clients that leave in every ugly way: if this fails, phones that lose their
# network and people who mean harm fill the server's memory and its files, or
# the number of connections it shows goes wrong, until it has to be restarted.
#
# BLOCKCAST_LONG=1 does all of it twenty times as often.

use strict;
use warnings;

use IO::Socket::INET ();
use List::Util qw(max);
use Socket qw(SO_LINGER SOL_SOCKET);
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 100, big => 100_000);

my $t = Blockcast::Test->new(workers => 2,
    http => crowd_http($node, zone => '8m', interval => '100ms', keep => 1000, size => '128k',
        more => <<'MORE'), server => crowd_server(<<'SERVER'));
    client_header_timeout 2s;

    blockcast_stream big {
        blockcast_interval 100ms;
        blockcast_max_size 200k;
        blockcast_call big big timeout=10s;
    }
MORE
    location /strict {
        blockcast_ping_interval 500ms;
        blockcast_pong_timeout 500ms;
        blockcast_send_timeout 1s;
        blockcast_websocket;
    }
    location /echo { blockcast_echo; }
    location /status { stub_status; }
SERVER

sub rst { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0; close $_[0] }

my $head = join "\r\n", 'GET /ws HTTP/1.1', 'Host: localhost', 'Upgrade: websocket',
    'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==', '', '';

sub raw { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, @_) // die "connect: $!" }

sub subscribed {
    my $ws = $t->ws($_[0] // '/ws');
    $ws->send_json({ type => 'subscribe', streams => [qw(c big l)] });
    return $ws;
}

my %ugly = (
    'RST at once' => sub { rst(raw()) },
    'closed at once' => sub { close raw() },
    'RST in the handshake' => sub { my $s = raw(); syswrite $s, substr $head, 0, 60; rst($s) },
    'closed in the handshake' => sub { my $s = raw(); syswrite $s, substr $head, 0, 60; close $s },
    'RST right after the handshake' => sub { my $s = raw(); syswrite $s, $head; rst($s) },
    'closed right after the handshake' => sub { my $s = raw(); syswrite $s, $head; close $s },
    'half closed after the handshake' => sub { my $s = raw(); syswrite $s, $head; shutdown $s, 1; $s },
    'RST while subscribed' => sub { my $ws = subscribed(); $ws->recv_type('c'); $ws->drop(reset => 1) },
    'closed while subscribed' => sub { my $ws = subscribed(); $ws->recv_type('c'); $ws->drop },
    'half closed while subscribed' => sub { my $ws = subscribed(); shutdown $ws->socket, 1; $ws },
    'closed before the answer' => sub { my $ws = subscribed(); $ws->drop },
    'RST before the answer' => sub { my $ws = subscribed(); $ws->drop(reset => 1) },
    'RST in a frame' => sub { my $ws = subscribed(); $ws->send_raw(substr $ws->frame(payload => 'x' x 1000), 0, 300); $ws->drop(reset => 1) },
    'closed in a frame\'s header' => sub { my $ws = subscribed(); $ws->send_raw("\x81"); $ws->drop },
    'closed in a message' => sub { my $ws = $t->ws('/echo'); $ws->send_frame(fin => 0, payload => 'x' x 5000); $ws->drop },
    'Close and no more' => sub { my $ws = subscribed(); $ws->close(1000); $ws },
    'Close, then RST' => sub { my $ws = subscribed(); $ws->close(1000); $ws->drop(reset => 1) },
    'garbage' => sub { my $ws = subscribed(); $ws->send_raw(join '', map { chr rand 256 } 1 .. 500); $ws },
    'reads nothing' => sub { my $ws = $t->ws('/strict', rcvbuf => 4096); $ws->send_json({ type => 'subscribe', streams => [qw(c big l)] }); $ws },
    'answers no ping' => sub { my $ws = $t->ws('/strict'); $ws->send_json({ type => 'subscribe', stream => 'c' }); $ws },
    'asks and does not read' => sub { my $ws = $t->ws('/strict', rcvbuf => 4096); $ws->socket->blocking(0); $ws->send_raw($ws->frame(payload => '{"type":"ping"}') x 2000); $ws },
    'pipelined with the handshake' => sub { my $s = raw(); syswrite $s, $head . Blockcast::WebSocket->frame(payload => '{"type":"subscribe","streams":["c","big","l"]}') x 3; rst($s) },
);

# one who stays, so that there is always something to send
my $here = subscribed();
my $seen = 0;

sub listen_on {
    my $end = time + shift;
    while (time < $end) {
        my $m = $here->recv_json(0.02) or last;
        $seen++ if $m->{type} eq 'c';
    }
}

sub round {
    my ($times) = @_;
    my @kept;

    for my $n (1 .. $times) {
        for my $name (sort keys %ugly) {
            my $s = $ugly{$name}->();
            push @kept, $s if ref $s;
        }
        listen_on(0.05);
    }

    # those who were kept open are closed by the server, each in its time
    my $ok = wait_for { listen_on(0.05); connections($t) == 1 } 15 * $slow;
    ok($ok, "$times times " . keys(%ugly) . ' ugly ends: none is left')
        or diag(explain($t->get_json('/api/health')->{workers}));
}

# everything that is made once is made now
round(2);

my ($fds, $memory) = (fds($t), memory($t));

round($ENV{BLOCKCAST_LONG} ? 400 : 8);
my $middle = memory($t);
round($ENV{BLOCKCAST_LONG} ? 400 : 8);

my $nginx = wait_for { nginx_connections($t) == 2 } 20;
ok($nginx, "nginx's own count is right") or diag($t->get('/status')->{body});
cmp_ok(fds($t), '<=', $fds + 4, 'no file is left open');
cmp_ok(memory($t) - max($memory, $middle), '<', 1500 * ($ENV{BLOCKCAST_SANITIZE} ? 400 : 1),
    sprintf 'memory is flat (%d, %d, %d kB)', $memory, $middle, memory($t));

my %subscribers = map { $_->{name} => $_->{subscribers} }
    @{ $t->get_json('/api/streams')->{streams} };
is_deeply(\%subscribers, { c => 1, big => 1, l => 1 }, 'the subscribers are counted right');

my $before = $seen;
wait_for { listen_on(0.1); $seen > $before + 5 } 20;
cmp_ok($seen, '>', $before + 5, 'who stayed still gets every update');
is($here->eof, undef, 'on its first connection');

# none of this is worth a line above [info]; "listen" without reuseport is
my @lines = grep { /\[(warn|error|crit|alert|emerg)\]/ && !/reuseport" spreads them/ } split /\n/, $t->error_log;
is_deeply(\@lines, [], 'and the log is quiet');


# No descriptor is free: refused connections, a living server.

subtest 'no descriptor is free' => sub {
    $here->drop;
    $t->stop;

    $t = Blockcast::Test->new(workers => 1, main => 'worker_rlimit_nofile 60;',
        http => crowd_http($node, interval => '200ms'), server => crowd_server());
    $t->allow(qr/Too many open files/);

    my $first = $t->ws('/ws');
    $first->subscribe('c');
    ok($first->recv_type('c'), 'few files: a stream runs');

    my @many = grep { $_ } map { eval { raw() } } 1 .. 100;
    ok($t->wait_log(qr/Too many open files/), 'then there are too many');
    $before = $first->recv_type('c')->{seq};
    sleep 1;
    close $_ for @many;

    my $m;
    for (1 .. 6) { $m = $first->recv_type('c'); }
    cmp_ok($m->{seq}, '>', $before, 'the stream goes on for those who are there');

    my $again = wait_for { my $ws = eval { $t->ws('/ws') }; $ws && $ws->subscribe('c') && $ws->recv_type('c') } 10;
    ok($again, 'and others can come again');
    $first->drop;
};

$t->stop;
$node->stop;

done_testing();
