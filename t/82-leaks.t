#!/usr/bin/perl

# Connections that end in every ugly way, by the thousand: if this fails, each
# phone that loses its network leaves a little behind, and after some days the
# server is out of memory, of files, or of room in the zone.
#
# BLOCKCAST_LONG=1 (t/run --long) ends 10,000 of them.

use strict;
use warnings;

use IO::Socket::SSL ();
use List::Util qw(shuffle);
use Socket qw(AF_INET SO_RCVBUF SOCK_STREAM SOL_SOCKET inet_aton pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Swarm;
use Blockcast::Test;
use Blockcast::Watch;

my $sanitize = $ENV{BLOCKCAST_SANITIZE};
my $slow = $sanitize ? 3 : 1;
my $times = $ENV{BLOCKCAST_LONG} ? 10_000 : $sanitize ? 900 : 1_600;

my $node = Blockcast::Ledger->new(rate => 100, big => 60_000);

my $t = Blockcast::Test->new(workers => 2, start => 0, http => '', server => '');
my ($key, $cert) = map { $t->prefix . "/$_.pem" } qw(key cert);

system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
    . "-subj /CN=localhost -keyout $key -out $cert >/dev/null 2>&1") == 0
    or die "openssl cannot make a certificate\n";

# the listening socket of the crowd's server takes plain ones, the other TLS
$t->write_conf(http => crowd_http($node, zone => '8m', interval => '100ms', keep => 1000,
    size => '128k', more => <<"MORE"), server => crowd_server(<<"SERVER"));
    client_header_timeout 2s;

    blockcast_stream big {
        blockcast_interval 100ms;
        blockcast_max_size 200k;
        blockcast_call big big timeout=10s;
    }
MORE
    listen 127.0.0.1:%%PORT1%% ssl;
    ssl_certificate $cert;
    ssl_certificate_key $key;
    ssl_session_cache off;

    location /strict {
        blockcast_ping_interval 500ms;
        blockcast_pong_timeout 500ms;
        blockcast_send_timeout 1s;
        blockcast_websocket;
    }
    location /stay {
        blockcast_ping_interval 1h;
        blockcast_websocket;
    }
    location /echo { blockcast_echo; }
    location /metrics { blockcast_metrics; }
    location /status { stub_status; }
SERVER
$t->start;

my %to = map { $_ => pack_sockaddr_in($t->port($_), inet_aton('127.0.0.1')) } 0, 1;

sub head {
    my ($path) = @_;
    return join "\r\n", "GET $path HTTP/1.1", 'Host: localhost', 'Upgrade: websocket',
        'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
        "Sec-WebSocket-Key: $Blockcast::Swarm::KEY",
        'Sec-WebSocket-Extensions: permessage-deflate', '', '';
}

my $all = Blockcast::Swarm::frame(1, '{"type":"subscribe","streams":["c","big","l"]}');


my $ctx = IO::Socket::SSL::SSL_Context->new(SSL_verify_mode => 0);


# One that is connected, has sent this much, and reads little at a time.

sub connected {
    my ($bytes, %opt) = @_;

    socket my $s, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4096 if $opt{small};
    connect $s, $to{ $opt{tls} ? 1 : 0 } or die "connect: $!\n";

    if ($opt{tls}) {
        my $tls = IO::Socket::SSL->start_SSL($s, SSL_reuse_ctx => $ctx) or return $s;
        print $tls $bytes if length $bytes;
        return $tls;
    }

    syswrite $s, $bytes if length $bytes;
    return $s;
}

sub reads {
    my ($s, $re) = @_;

    my ($buf, $end) = ('', time + 3 * $slow);
    while ($buf !~ $re && time < $end) {
        vec(my $in = '', fileno $s, 1) = 1;
        $s->isa('IO::Socket::SSL') && $s->pending || select($in, undef, undef, 0.5) > 0 or next;
        sysread $s, $buf, 65536, length $buf or last;
    }
    return $s;
}

sub subscribed { reads(connected(head($_[0] // '/ws') . $all, @_[1 .. $#_]), qr/subscribed/) }

# what is returned is ended with the whole batch: closed, or with an RST
my %ugly = (
    'at once' => sub { connected('') },
    'in the handshake' => sub { connected(substr head('/ws'), 0, 20 + rand 120) },
    'right after the handshake' => sub { connected(head('/ws')) },
    'before the answer' => sub { connected(head('/ws') . $all) },
    'while subscribed' => sub { subscribed() },
    'while subscribed, unread' => sub { subscribed('/ws', small => 1) },
    'half closed' => sub { my $s = subscribed(); shutdown $s, 1; $s },
    'half closed, unread' => sub { my $s = subscribed('/strict', small => 1); shutdown $s, 1; $s },
    'in a frame' => sub { my $s = subscribed(); syswrite $s, substr Blockcast::Swarm::frame(1, 'x' x 2000), 0, 1 + rand 2000; $s },
    'in a message' => sub { my $s = connected(head('/echo')); syswrite $s, "\x01\xfe\x03\xe8\0\0\0\0" . 'x' x 1000; $s },
    'in a compressed message' => sub { my $s = connected(head('/echo')); syswrite $s, "\x41\x85\0\0\0\0\xaa\x56\x2a\x4e\x2d"; $s },
    'with a Close' => sub { my $s = subscribed(); syswrite $s, Blockcast::Swarm::frame(8, pack 'n', 1000); $s },
    'after garbage' => sub { my $s = subscribed(); syswrite $s, join '', map { chr rand 256 } 1 .. 200; $s },
    'asks and does not read' => sub { my $s = subscribed('/strict', small => 1); $s->blocking(0) if ref $s ne 'GLOB'; syswrite $s, Blockcast::Swarm::frame(1, '{"type":"ping"}') x 300; $s },
    'big echo, unread' => sub { my $s = connected(head('/echo'), small => 1); syswrite $s, Blockcast::Swarm::frame(2, 'y' x 60_000); $s },
    'subscribes and leaves' => sub { my $s = subscribed(); syswrite $s, Blockcast::Swarm::frame(1, '{"type":"unsubscribe","stream":"big"}') . $all; $s },
    'TLS, at once' => sub { connected('', tls => 1) },
    'TLS, while subscribed' => sub { subscribed('/ws', tls => 1) },
    'TLS, unread' => sub { connected(head('/ws') . $all, tls => 1, small => 1) },
    'TLS, in the handshake of TLS' => sub { my $s = connected(''); $s },
);

my @ways = sort keys %ugly;
my $here;               # one who stays, so that there is always something to send
my $done = 0;

$here = subscribed('/stay');

sub drink { while (1) { vec(my $in = '', fileno $here, 1) = 1; last if select($in, undef, undef, 0) <= 0; sysread $here, my $b, 1 << 20 or last } }

sub batch {
    my @some;

    for my $way (shuffle @ways) {
        local $SIG{PIPE} = 'IGNORE';
        push @some, [$ugly{$way}->(), rand];
        $done++;
    }

    drink();
    sleep 0.02 + rand 0.15;     # a broadcast, or two, or none

    for (shuffle @some) {
        my ($s, $dice) = @$_;
        if ($s->isa('IO::Socket::SSL')) {
            $dice < 0.5 ? $s->close(SSL_no_shutdown => 1) : $s->close;
        } elsif ($dice < 0.5) {
            Blockcast::Swarm::reset_socket($s);
        } else {
            close $s;
        }
    }
}

sub gone {
    my $n;
    my $ok = wait_for { drink(); ($n = connections($t)) == 1 } 15 * $slow;
    ok($ok, "after $done ugly ends: one connection is left") or diag("there are $n");
    return $ok;
}

sub ends { my $until = $done + $_[0]; batch() while $done < $until; gone() }

# what is made once is made now
ends($times / 8);
my $before = held($t);
ends(3 * $times / 8);
my $middle = held($t);
ends($times / 2);
my $after = held($t);

note(sprintf '%s: memory %d kB, files %d, connections of nginx %d, free in the zone %d', $_->[0],
    @{ $_->[1] }{qw(memory fds nginx zone)})
    for ['at first', $before], ['half way', $middle], ['at the end', $after];

subtest 'nothing is left of them' => sub {
    # a sanitizer keeps what was freed for a while
    my $room = $sanitize ? 300_000 : 1_200;

    cmp_ok($after->{memory} - ($middle->{memory} > $before->{memory} ? $middle : $before)->{memory},
        '<', $room, 'memory is flat');
    cmp_ok($after->{fds}, '<=', $before->{fds} + 2, 'no file is left open');
    cmp_ok($after->{nginx}, '<=', $before->{nginx} + 1, "nginx's own count is right");
    is($after->{zone}, $before->{zone}, 'the zone has as much room as before');

    my %subscribers = map { $_->{name} => $_->{subscribers} }
        @{ $t->get_json('/api/streams')->{streams} };
    is_deeply(\%subscribers, { c => 1, big => 1, l => 1 }, 'the subscribers are counted truly');
};

reads($here, qr/"type":"c"/);
my $still = wait_for { vec(my $in = '', fileno $here, 1) = 1;
    select($in, undef, undef, 0.2) > 0 && sysread $here, my $b, 1 << 20 } 5;
ok($still, 'who stayed still gets what is new');

# none of this is worth a line above [info], but for what TLS says and a
# "listen" without reuseport
my %odd;
for (split /\n/, $t->error_log) {
    next unless /\[(?:warn|error|crit|alert|emerg)\]/;
    $odd{ s/.*?\] \d+#\d+: (?:\*\d+ )?//r =~ s/\d+/N/gr }++ unless /SSL|ssl|reuseport" spreads them/;
}
is_deeply(\%odd, {}, 'and the log is quiet');

close $here;
$t->stop;
$node->stop;

done_testing();
