#!/usr/bin/perl

# What a client can make us keep, with little sent and nothing read. If this
# fails, one anonymous client takes the memory of a worker, and with it the
# service of everybody else. BLOCKCAST_GROWTH=1 in the environment shows what
# each attack came to.

use strict;
use warnings;

use Compress::Raw::Zlib qw(Z_OK Z_SYNC_FLUSH MAX_WBITS);
use IO::Socket::INET ();
use IO::Socket::SSL ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Ledger;
use Blockcast::Test;

# Kilobytes for each client: the default of blockcast_max_queue, what of the
# streams may wait beside it (a resume of 256k and 64k of others), and what
# nginx and we need for a client and a message that is not complete.

my $BOUND = 256 + 256 + 64 + 224;
my $CLIENTS = 8;

# a sanitizer keeps what was freed
my $measured = !$ENV{BLOCKCAST_SANITIZE};

my $node = Blockcast::Ledger->new(rate => 500, page => 300, big => 3000, width => 700);

my @snaps = map { "s$_" } 1 .. 60;
my @logs = map { "l$_" } 1 .. 4;

my $t = Blockcast::Test->new(workers => 1, start => 0, http => <<"EOF"
    blockcast_zone main 48m;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
EOF
    . join('', map { "blockcast_stream $_ { blockcast_interval 500ms; blockcast_max_size 8k; "
        . "blockcast_call c big; }\n" } @snaps)
    . join('', map { "blockcast_stream $_ { blockcast_interval 500ms; blockcast_always on; "
        . "blockcast_max_size 256k; blockcast_call c ledger; blockcast_jq '{entries: .results.c}'; "
        . "blockcast_log entries key=id keep=10000 size=512k page=20; }\n" } @logs)
    . <<'EOF', server => <<'EOS');
    server {
        listen 127.0.0.1:%%PORT2%% ssl sndbuf=16k;
        ssl_certificate %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { blockcast_websocket; blockcast_message_rate off; }
    }
    server {
        listen 127.0.0.1:%%PORT1%% sndbuf=16k;
        blockcast_message_rate off;
        location /ws { blockcast_websocket; }
        location /large { blockcast_websocket; blockcast_max_queue 1m; }
        location /rated { blockcast_websocket; blockcast_message_rate 50 burst=200; }
        location /echo { blockcast_echo; }
        location /events { blockcast_sse; }
        location /api/ { blockcast_api; }
    }
EOF
    location /api/ { blockcast_api; }
    location /metrics { blockcast_metrics; }
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


# without the zone, which all workers share

sub memory { (Blockcast::Test::slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m)[0] }


sub metric {
    my ($name) = @_;
    return ($t->get('/metrics', timeout => 60)->{body} =~ /^blockcast_\Q$name\E (\d+)/m)[0] // 0;
}


# A connection with small buffers, without a handshake, or with one; deflate =>
# 1 offers permessage-deflate, tls => 1 is wss.

sub plain {
    my (%opt) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port($opt{tls} ? 2 : 1),
        Proto => 'tcp', Sockopts => [[Socket::SO_RCVBUF(), 4096]]) // die "connect: $!\n";

    IO::Socket::SSL->start_SSL($s, SSL_verify_mode => 0) or die "TLS: $IO::Socket::SSL::SSL_ERROR\n"
        if $opt{tls};

    return Blockcast::WebSocket->connect(socket => $s, handshake => 0);
}


sub client {
    my ($path, %opt) = @_;

    return Blockcast::WebSocket->connect(socket => plain(%opt)->{socket}, port => $t->port(1),
        path => $path, auto_pong => 0, subprotocol => $opt{subprotocol}, headers => $opt{deflate}
        ? [['Sec-WebSocket-Extensions', 'permessage-deflate']] : []);
}


sub deflated {
    my ($ws, $payload, %opt) = @_;

    my ($z) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -MAX_WBITS, -AppendOutput => 1);
    my $out = '';
    $z->deflate($payload, $out) == Z_OK && $z->flush($out, Z_SYNC_FLUSH) == Z_OK or die;
    substr($out, -4) = '';

    return $ws->frame(rsv => 4, payload => $out, %opt);
}


# Maps, lists and text are all that is needed.

sub cbor {
    my ($v) = @_;

    my $head = sub {
        my ($major, $n) = @_;
        return $n < 24 ? pack 'C', $major << 5 | $n : pack 'Cn', $major << 5 | 25, $n;
    };

    return $head->(5, scalar keys %$v) . join '', map { cbor($_) . cbor($v->{$_}) } sort keys %$v
        if ref $v eq 'HASH';
    return $head->(4, scalar @$v) . join '', map { cbor($_) } @$v if ref $v eq 'ARRAY';
    return $head->(3, length $v) . $v;
}


# Sends each client's bytes as far as they are taken, reads nothing, and returns
# how many kilobytes more than before the worker had for each at the worst
# moment.

sub growth {
    my ($before, @clients) = @_;

    my $most = memory();
    my @at = (0) x @clients;
    my $idle = time;
    my $end = time + 60;

    local $SIG{PIPE} = 'IGNORE';
    $_->[0]{socket}->blocking(0) for @clients;

    # no byte was taken for a while: the server has stopped to read, or closed

    while (time < $end && time - $idle < 1.5) {

        for my $i (0 .. $#clients) {
            my ($ws, $data) = @{ $clients[$i] };
            next if !defined $at[$i] || $at[$i] >= length $data;

            my $n = syswrite $ws->{socket}, $data, 65536, $at[$i];

            if ($n) {
                $at[$i] += $n;
                $idle = time;
            } elsif (!$!{EAGAIN}) {
                $at[$i] = undef;
            }
        }

        my $now = memory();
        $most = $now if $now > $most;
        sleep 0.005;
    }

    return ($most - $before) / @clients;
}


# What the heap keeps between two attacks, because it is in pieces or holds what
# was compressed for everybody, is not one client's doing: it is looked at in the
# end, for all of them.

my $base;
my $worst = 0;

sub attack {
    my ($name, $open, $make) = @_;

    my $before = memory();
    my @clients = map { my $ws = $open->(); [$ws, $make->($ws)] } 1 .. $CLIENTS;
    my $k = growth($before, @clients);
    $worst = $k if $k > $worst;

    diag(sprintf '%-44s %7.1f kB to send, %7.0f kB grown', $name,
        length($clients[0][1]) / 1024, $k) if $ENV{BLOCKCAST_GROWTH};

    SKIP: {
        skip 'memory under a sanitizer', 1 unless $measured;
        cmp_ok($k, '<', $BOUND, "$name: kB of memory for a client");
    }

    # the next one begins when these are gone

    $_->[0]->drop(reset => 1) for @clients;
    ok(wait_for(sub { metric('connections') == 0 }, 60), "$name: they are gone");
}


# all streams have data, and the heap what it needs for that

my @all = (@snaps, @logs);
my $list = JSON::PP->new->utf8->encode(\@all);

my $ws = $t->ws('/ws', port => $t->port(1));
$ws->send_json({ type => 'subscribe', streams => \@all });
my %seen;
my $end = time + 30;

while (time < $end && keys %seen < @all) {
    my $m = $ws->recv_json(10) or last;
    $seen{ $m->{type} }++ if $m->{seq};
}

is(keys %seen, 64, 'all streams have data');

# what a program was given and has put out is kept, for all clients

my $polls = sub { ($t->get('/metrics')->{body} =~ /^blockcast_polls_total\{stream="l4"[^}]*\} (\d+)/m)[0] // 0 };
my $from = $polls->();
ok(wait_for(sub { $ws->recv_json(0.05) for 1 .. 50; $polls->() > $from + 6 }, 60), '... and were polled some times');

$ws->drop;
wait_for(sub { metric('connections') == 0 }, 20);
$base = memory();


attack('subscribe to all, again and again', sub { client('/ws') }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => qq({"type":"subscribe","streams":$list,"id":")
        . 'x' x 126 . '"}') x 400;
});

attack('the same over TLS', sub { client('/ws', tls => 1) }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => qq({"type":"subscribe","streams":$list,"id":")
        . 'x' x 126 . '"}') x 400;
});

attack('a long id with 64 streams', sub { client('/ws') }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => qq({"type":"subscribe","streams":$list,"id":")
        . 'x' x 60000 . '"}') x 20;
});

attack('a long id, deflated', sub { client('/ws', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, qq({"type":"subscribe","streams":$list,"id":") . 'x' x 64000 . '"}') x 100;
});

attack('a long id, deflated, at the default rate', sub { client('/rated', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, qq({"type":"subscribe","streams":$list,"id":") . 'x' x 64000 . '"}') x 100;
});

attack('64 names of control characters', sub { client('/ws', deflate => 1) }, sub {
    my ($ws) = @_;
    my $names = join ',', ('"' . '\u0001' x 64 . '"') x 64;
    return deflated($ws, qq({"type":"subscribe","streams":[$names]})) x 2000;
});

attack('the same in CBOR', sub { client('/ws', subprotocol => 'blockcast.v1.cbor', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, cbor({ type => 'subscribe', streams => [("\1" x 64) x 64],
        id => 'x' x 100 }), opcode => 2) x 2000;
});

attack('a long id in CBOR', sub { client('/ws', subprotocol => 'blockcast.v1.cbor', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, cbor({ type => 'subscribe', streams => \@all, id => 'x' x 60000 }),
        opcode => 2) x 100;
});

attack('JSON-RPC', sub { client('/ws', subprotocol => 'jsonrpc') }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => '{"jsonrpc":"2.0","id":1,"method":"blockcast_streams"}') x 8000;
});

attack('JSON-RPC, a long id', sub { client('/ws', subprotocol => 'jsonrpc', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, '{"jsonrpc":"2.0","method":"eth_ping","id":"' . 'x' x 65000 . '"}') x 2000;
});

attack('JSON-RPC, batches', sub { client('/ws', subprotocol => 'jsonrpc', deflate => 1) }, sub {
    my ($ws) = @_;
    my $one = '{"jsonrpc":"2.0","id":1,"method":"eth_ping"}';
    return deflated($ws, '[' . join(',', ($one) x 1400) . ']') x 2000;
});

attack('pings', sub { client('/ws') }, sub {
    my ($ws) = @_;
    return $ws->frame(opcode => 9, payload => 'x' x 125) x 8000;
});

attack('empty pings', sub { client('/ws') }, sub {
    my ($ws) = @_;
    return $ws->frame(opcode => 9) x 100000;
});

my $again = sub {
    my ($ws) = @_;
    return join('', map {
        my $l = $_;
        map { $ws->frame(payload => $_) } qq({"type":"subscribe","stream":"$l","since":0}),
            qq({"type":"unsubscribe","stream":"$l"})
    } @logs) x 500;
};

attack('logs from their beginning, again and again', sub { client('/ws') }, $again);

attack('the same, deflated CBOR',
    sub { client('/ws', subprotocol => 'blockcast.v1.cbor', deflate => 1) }, $again);

attack('all streams with deltas', sub { client('/ws', deflate => 1) }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => qq({"type":"subscribe","streams":$list,"delta":true,"since":0}));
});

attack('echo of nothing', sub { client('/echo') }, sub {
    my ($ws) = @_;
    return $ws->frame(payload => '') x 100000;
});

attack('echo of much, deflated', sub { client('/echo', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, 'x' x 65536) x 1000;
});

attack('a bomb', sub { client('/ws', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, 'x' x 10_000_000);
});

attack('a message without an end', sub { client('/ws') }, sub {
    my ($ws) = @_;
    return $ws->frame(fin => 0, payload => '')
        . $ws->frame(opcode => 0, fin => 0, payload => 'x') x 65000;
});

attack('a deflated one without an end', sub { client('/ws', deflate => 1) }, sub {
    my ($ws) = @_;
    return deflated($ws, 'x' x 65000, fin => 0)
        . $ws->frame(opcode => 0, fin => 0, payload => '') x 60000;
});

my $epoch = $t->get_json('/api/streams')->{epoch};

attack('events from the beginning of all logs', \&plain, sub {
    return "GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: $epoch;"
        . join(';', map { "$_=0" } @logs) . "\r\n\r\n";
});

attack('long polls', \&plain, sub {
    return "GET /api/streams/l1?wait=30s HTTP/1.1\r\nHost: a\r\n\r\n" x 200;
});

SKIP: {
    skip 'memory under a sanitizer', 1 unless $measured;
    my $kept = (memory() - $base) / $CLIENTS;
    diag(sprintf '%-44s %34.0f kB', 'kept, after all of them', $kept) if $ENV{BLOCKCAST_GROWTH};
    cmp_ok($kept, '<', 2 * $BOUND, 'kB for a client that the heap keeps after all of them');
}


# An honest client: it asks for all there is at once, and all of it comes.

my $closed = metric('overflow_closed_total');
cmp_ok($closed, '>=', $CLIENTS, 'those who were closed for that are counted');

$ws = $t->ws('/ws', port => $t->port(1));
$ws->recv_type('welcome');
$ws->send_raw($ws->frame(payload => qq({"type":"subscribe","streams":$list,"id":7})) x 3);
%seen = ();
my $answers = 0;
$end = time + 30;

while (time < $end && ($answers < 3 * 64 || keys %seen < 64)) {
    my $m = $ws->recv_json(10) or last;
    if ($m->{type} eq 'subscribed') { $answers += $m->{id} == 7 } else { $seen{ $m->{type} }++ }
}

is($answers, 3 * 64, 'who reads has all of 192 answers');
is(scalar(grep { $seen{$_} } @all), 64, 'and 64 streams');
$ws->drop;


# One that does not read is told why, when it does: the end of the connection must
# not overtake that.

for my $tls (0, 1) {
    my $name = $tls ? 'wss' : 'ws';
    my ($counted, $code, $reason);

    for (1 .. ($tls ? 8 : 1)) {
        $ws = client('/ws', tls => $tls);
        $ws->send_raw($ws->frame(payload => qq({"type":"subscribe","streams":$list,"id":1})) x 60);
        $counted = wait_for { metric('overflow_closed_total') > $closed } 20;
        ($code, $reason) = $ws->recv_close(60);
        $closed = metric('overflow_closed_total');
        last unless $counted && defined $code;
    }

    ok($counted, "$name: the next one is counted");
    is($code, 1008, "$name: closed with 1008");
    is($reason, 'the answers are not read', "$name: and told why");
}

like($t->error_log, qr/\[info\].* does not read: \d+ bytes of answers wait, blockcast_max_queue is 262144/,
    'the log has it');


# It is the directive's: the same 30 messages are too many for 256k, not for 1m.

$closed = metric('overflow_closed_total');
my $thirty = sub { $_[0]->frame(payload => qq({"type":"subscribe","streams":$list,"id":1})) x 30 };

$ws = client('/ws');
$ws->send_raw($thirty->($ws));
ok(wait_for(sub { metric('overflow_closed_total') == $closed + 1 }, 20), '30 messages, 256k: closed');
$ws->drop;

$ws = client('/large');
$ws->send_raw($thirty->($ws));
$answers = 0;
while ($answers < 30 * 64 && (my $m = $ws->recv_json(20))) { $answers++ if $m->{type} eq 'subscribed' }
is($answers, 30 * 64, '1m: all is answered, even to one that began to read late');
is(metric('overflow_closed_total'), $closed + 1, 'and not closed');
$ws->drop;


# The bound has bounds.

for my $size (qw(127k 1025m)) {
    my ($out, $rc) = Blockcast::Test->check_conf(http => "blockcast_max_queue $size;",
        server => 'location /echo { blockcast_echo; }');
    like($out, qr/blockcast_max_queue must be from 128k to 1024m/, "blockcast_max_queue $size is refused");
    isnt($rc, 0, 'by nginx -t');
}

diag(sprintf 'the worst is %.0f kB for a client', $worst) if $ENV{BLOCKCAST_GROWTH};

$node->stop;
$t->stop;
done_testing();
