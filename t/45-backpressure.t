#!/usr/bin/perl

# Clients that do not read, and those that only disturb. If this fails, one
# browser tab that the system has put to sleep costs the server its memory and
# all others their time, or wakes up to minutes of old news.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::SSL ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Ledger;
use Blockcast::Test;

my $node = Blockcast::Ledger->new(rate => 100, page => 300, big => 60_000);

my $t = Blockcast::Test->new(workers => 1, start => 0, http => <<"EOF" . <<'EOF', server => <<'EOS');
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
EOF
    blockcast_zone main 16m;
    client_header_timeout 2s;

    blockcast_stream big {
        blockcast_interval 50ms;
        blockcast_max_size 128k;
        blockcast_call c big;
    }
    blockcast_stream all {
        blockcast_interval 100ms;
        blockcast_call c ledger;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=10000 size=2m page=10;
    }
    blockcast_stream few {
        blockcast_interval 100ms;
        blockcast_max_size 256k;
        blockcast_call c ledger;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=50 page=10;
    }

    server {
        listen 127.0.0.1:%%PORT1%% ssl sndbuf=32k;
        ssl_certificate %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { blockcast_websocket; }
        location /impatient { blockcast_websocket; blockcast_send_timeout 1s; }
    }
    server {
        listen 127.0.0.1:%%PORT2%% sndbuf=32k;
        location /ws { blockcast_websocket; }
        location /impatient { blockcast_websocket; blockcast_send_timeout 1s; }
        location /events { blockcast_sse; blockcast_send_timeout 1s; }
        location /echo { blockcast_echo; }
    }
EOF
    location /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=localhost', '-batch', '-out', $t->prefix . '/cert.pem',
    '-keyout', $t->prefix . '/key.pem');
$t->start;

my ($worker) = @{ wait_for(sub { my @w = $t->worker_pids; @w && \@w }) };


sub tcp {
    my ($port, $size) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port($port),
        Proto => 'tcp', Sockopts => [[Socket::SO_RCVBUF(), $size // 8192]]) // die "connect: $!\n";
}


sub slow_client {
    my ($tls, $path, @streams) = @_;

    my $port = $tls ? 1 : 2;
    my $s = tcp($port);

    if ($tls) {
        IO::Socket::SSL->start_SSL($s, SSL_verify_mode => 0)
            or die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
    }

    my $ws = Blockcast::WebSocket->connect(socket => $s, port => $t->port($port), path => $path);
    $ws->{tls} = $tls;
    $ws->send_json({ type => 'subscribe', stream => $_ }) for @streams;
    return $ws;
}


# A sanitizer keeps up to 256 MB of what was freed.

sub memory { (Blockcast::Test::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m)[0] }


# A client that does read: returns the latencies of big, in seconds, from the
# node's call to the whole message, of so many messages and seconds at least.

my $good = $t->ws('/ws');
$good->subscribe('big');

sub watch {
    my ($seconds, $messages) = @_;

    my (@seen, @late);

    # what came while nobody looked
    while (defined $good->recv_message(0.02)) { }

    my $end = time + $seconds;
    my $last = $end + 30;

    while (time < $end || @seen < ($messages // 1) && time < $last) {
        my $text = $good->recv_message(0.2) // next;
        push @seen, [$1, time] if $text =~ /^\{"type":"big","data":"(\d+) /;
    }

    my @calls = $node->calls('big');
    push @late, $_->[1] - $calls[$_->[0] - 1] for @seen;

    return sort { $a <=> $b } @late;
}

my @quiet = watch(1.5);


# Ten that read nothing.

my (@slow, $before, $after);

subtest 'ten that read nothing' => sub {
    @slow = map { slow_client($_ % 2, '/ws', 'big', 'all', 'few') } 1 .. 10;
    my @filling = watch(2);
    $before = memory();
    my @late = watch(4, 30);
    $after = memory();

    cmp_ok(scalar @late, '>=', 30, 'those who read get ' . @late . ' messages');
    cmp_ok($late[$#late * 0.9], '<', slow() * ($quiet[$#quiet * 0.9] + 0.1), sprintf
        'as soon as before: %.1f ms, %.1f ms', map { 1000 * $_->[$#$_ * 0.9] } \@late, \@quiet);
    cmp_ok($after - $before, '<', $ENV{BLOCKCAST_SANITIZE} ? 400_000 : 2000,
        "while the worker's memory stays: $before kB, $after kB");
};


# They read again.

subtest 'they read again' => sub {
    my $wrong = '';
    my (%frames, %gaps);
    my $newest = $t->get_json('/api/streams/big')->{seq};
    my $reached = 0;

    for my $i (0 .. $#slow) {
        my $ws = $slow[$i];
        my $name = ($ws->{tls} ? 'TLS' : 'plain') . " $i";
        my (%seq, %id);
        my $end = time + 60;

        # up to what is new when it begins, of each stream
        my $want = $t->get_json('/api/streams/big')->{seq};
        my $last = $node->last_id - 40;

        while (time < $end && (($seq{big} // 0) < $want || ($id{all} // 0) < $last || ($id{few} // 0) < $last)) {
            my $f = $ws->recv(20) or last;
            next if $f->{opcode} != 1;

            my $m;

            if ($f->{payload} =~ /^\{"type":"big","data":"(\d+) x+","timestamp":\d+,"seq":(\d+)\}$/) {
                $wrong .= "$name: big of " . length($f->{payload}) . " bytes\n" if length $f->{payload} < 60_000;
                $frames{big}++;
                $m = { type => 'big', seq => $2 };
            } else {
                $m = eval { JSON::PP::decode_json($f->{payload}) };
                $wrong .= "$name: no JSON: " . substr($f->{payload}, 0, 80) . "\n", last if !$m;
            }

            my $type = $m->{type};
            next unless $m->{seq};

            $wrong .= "$name: $type seq $m->{seq} after $seq{$type}\n" if $m->{seq} <= ($seq{$type} // 0);

            if ($type ne 'big') {
                my @ids = map { $_->{id} } @{ $m->{data}{entries} };
                if ($m->{gap}) {
                    $gaps{$type}++;
                    $wrong .= "$name: $type: gap since $m->{gap}{since}, it has $seq{$type}\n"
                        if $m->{gap}{since} != $seq{$type};
                    $wrong .= "$name: $type: a gap and no entry is missing\n" if $ids[0] == $id{$type} + 1;
                    $id{$type} = $ids[0] - 1;
                }
                for my $id (@ids) {
                    $wrong .= "$name: $type: $id after $id{$type}\n"
                        if defined $id{$type} && $id != $id{$type} + 1;
                    $id{$type} = $id;
                }
            }

            $seq{$type} = $m->{seq};
        }

        $reached++ if ($seq{big} // 0) >= $want && ($id{all} // 0) >= $last && ($id{few} // 0) >= $last;
        $ws->drop;
    }

    is($wrong, '', 'what they get then are whole messages, in order, each entry once');
    is($reached, 10, 'up to the newest');
    cmp_ok($frames{big}, '<', 10 * 25, "not the backlog: $frames{big} frames for ten of $newest updates each");
    ok(!$gaps{all}, 'a log that keeps enough has no gap for them');
    cmp_ok($gaps{few}, '>=', 5, 'one that does not says where it is');
};


# Who only asks, and reads no answer, is not listened to any more: a pong of
# two bytes costs more than two bytes to keep.

subtest 'who only asks, and reads no answer, is not listened to any more' => sub {
    $before = memory();

    my @asking = map {
        my $s = tcp(2);
        my $ws = Blockcast::WebSocket->connect(socket => $s, port => $t->port(2), path => '/echo');
        my $pings = pack('CCN', 0x89, 0x80, 0) x 10_000;
        $s->blocking(0);
        for (1 .. 60) { syswrite $s, $pings; sleep 0.005 }
        $ws;
    } 1 .. 20;

    $after = memory();
    cmp_ok($after - $before, '<', $ENV{BLOCKCAST_SANITIZE} ? 400_000 : 40_000,
        "twenty that ask and do not read: $before kB, $after kB");
    $_->drop for @asking;
};


# Those who never do are closed. A client that reads a little now and then
# stays.

subtest 'those who never do are closed' => sub {
    my @never = map { slow_client($_, '/impatient', 'big') } 0, 1;
    my $some = Blockcast::WebSocket->connect(socket => tcp(2, 131072), port => $t->port(2),
        path => '/impatient');
    $some->send_json({ type => 'subscribe', stream => 'big' });
    my $events = tcp(2);
    $events->syswrite("GET /events?streams=big HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $begun = time;
    my $taken = 0;

    my $closed = sub { scalar(() = $t->error_log =~ /WebSocket client took nothing for 1000 ms/g) };

    while (time - $begun < 4 || $closed->() < 2 && time - $begun < 8 * slow()) {
        $taken += sysread $some->socket, my $x, 65536;
        sleep 0.1;
        $good->recv_message(0.01);
    }

    is($closed->(), 2,
        'who takes nothing for blockcast_send_timeout is closed, over TLS, too');
    cmp_ok(time - $begun, '<', 8 * slow(), 'in time');
    cmp_ok($taken, '>', 100_000, "one that takes a little goes on ($taken bytes)");
    ok(sysread($some->socket, my $rest, 1), 'and has its connection');

    my $all = '';
    while (IO::Select->new($events)->can_read(1)) { sysread $events, $all, 65536, length $all or last }
    unlike($all, qr/\r\n0\r\n\r\n$/, 'an event stream that nobody reads is cut');
    ok(!IO::Select->new($events)->can_read(0) || !sysread($events, my $y, 1), 'and closed');

    $some->drop;
    ok(wait_for { my $w = $t->get_json('/api/health')->{workers}; $w->[0]{connections} == 1 },
        'none of their connections is left');
};


# Floods: half handshakes, garbage instead of HTTP, garbage instead of frames,
# answers that are never read. 200 clients go on as before.

subtest 'floods' => sub {
    my @crowd = map { my $ws = $t->ws('/ws'); $ws->send_json({ type => 'subscribe', stream => 'few' }); $ws } 1 .. 200;
    my @calm = watch(1.5);

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my $port = $t->port(2);
        my $stop = time + 5;
        my @open;

        $SIG{PIPE} = 'IGNORE';
        srand 7;

        for my $n (1 .. 600) {
            last if time > $stop;
            my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or next;
            $s->blocking(0);
            my $kind = $n % 6;
            my $hello = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

            if ($kind == 0) { syswrite $s, substr $hello, 0, 20 + rand 100 }
            elsif ($kind == 1) { syswrite $s, join '', map { chr rand 256 } 1 .. 500 }
            elsif ($kind == 2) { syswrite $s, "$hello\r\n" . join '', map { chr rand 256 } 1 .. 1000 }
            elsif ($kind == 3) { syswrite $s, "$hello\r\n" . pack('CCN', 0x89, 0x80, 0) x 150 }
            elsif ($kind == 4) { syswrite $s, "$hello\r\n" . pack('CCQ>N', 0x01, 0xff, 60_000, 0) . ' ' x 20_000 }
            else { syswrite $s, "$hello\r\n" . pack('CCN', 0x01, 0x80, 0) . pack('CCN', 0x00, 0x80, 0) x 2000 }

            push @open, $s;
            close shift @open if @open > 150;
            sleep 0.005;
        }

        require POSIX;
        POSIX::_exit(0);
    }

    my @flooded = watch(4, 30);
    kill 'KILL', $pid;
    waitpid $pid, 0;

    cmp_ok(scalar @flooded, '>=', 30, 'under a flood ' . @flooded . ' messages come');
    cmp_ok($flooded[$#flooded * 0.9], '<', slow() * ($calm[$#calm * 0.9] + 0.1), sprintf
        'as soon as before: %.1f ms, %.1f ms', map { 1000 * $_->[$#$_ * 0.9] } \@flooded, \@calm);

    my ($alive, $pages) = (0, 0);
    for my $ws (@crowd) {
        $ws->send_json({ type => 'ping', id => 'here' });
        my @seqs;
        while (defined(my $text = $ws->recv_message(30))) {
            push @seqs, $1 if $text =~ /"seq":(\d+)\}$/;
            next if $text !~ /^\{"type":"pong"/;
            $alive++;
            $pages++ if @seqs > 10 && !grep { $seqs[$_] != $seqs[$_ - 1] + 1 } 1 .. $#seqs;
            last;
        }
    }
    is($alive, 200, 'all clients have their connection');
    is($pages, 200, 'and every message, in order');

    $_->drop for @crowd, $good;
};

$node->stop;
$t->stop;
done_testing();
