#!/usr/bin/perl

# Data of 16 MB for those who come to a worker that does not have it yet, and in
# the forms that chain libraries and CBOR clients take. If this fails, all
# clients of a worker wait while one of them is served, or one that comes gets
# older data than it has seen elsewhere, a mixture, the same twice, or nothing.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;
use Blockcast::Turns;
use Blockcast::WebSocket;

# of a sanitizer's nginx the time says nothing
my $measured = !$ENV{BLOCKCAST_SANITIZE};
my $SIZE = $measured ? 16 << 20 : 4 << 20;

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;
my $n = 1;                      # the newest

# every piece of it tells which one it is of
sub big { sprintf '[%d,"%s",%d]', $_[0], sprintf('%08d ', $_[0]) x ($_[1] / 9), $_[0] }

# The number of a message, if all of it is of one.
sub number {
    my ($message) = @_;

    my ($number) = $message =~ /\[(\d+),"/ or return 0;
    my $at = $+[0];
    my $end = index $message, '"', $at;
    my $text = substr $message, $at, $end - $at;

    return $text eq sprintf('%08d ', $number) x (length($text) / 9)
        && substr($message, $end, 3 + length $number) eq qq(",$number]) ? $number : 0;
}

my $t = Blockcast::Test->new(%{ $turns->test_options }, workers => 2, http => <<"EOF", server => <<'EOS');
    blockcast_zone main 256m;
    blockcast_max_queue 64m;
    blockcast_message_rate off;
    # on a busy machine nobody may read for long
    blockcast_ping_interval 10m;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream big {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_max_size 20m;
        blockcast_call c big;
    }
    blockcast_stream late {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_max_size 20m;
        blockcast_call c late;
    }
    blockcast_rpc_subscription eth_subscribe big stream=big notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex first=on;
    blockcast_rpc_subscription eth_subscribe newer stream=big notify=eth_subscription
                               unsubscribe=eth_unsubscribe id=hex;
EOF
    location /ws { blockcast_websocket; add_header X-Worker $pid always; }
    location /rpc { blockcast_rpc; add_header X-Worker $pid always; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location = /data { blockcast_rest big; }
    location = /_node {
        blockcast_node max_reply=32m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

sub row {
    my ($name) = @_;
    my $list = $t->get_json('/api/streams', timeout => 20) or return {};
    return (grep { $_->{name} eq $name } @{ $list->{streams} })[0] // {};
}

# Published, but not in every worker: the poll after the next one begins when all
# that was set before is.
sub publish {
    $node->set(big => big(++$n, $SIZE));
    my $asked = $node->asked('big');
    return wait_for(sub { $node->asked('big') > $asked + 2 }, 60);
}

# A connection to each worker.
sub of_each {
    my ($path, @options) = @_;
    my %ws;

    for (1 .. 200) {
        my $ws = $t->ws($path, @options);
        my $pid = $ws->header('X-Worker');
        if ($ws{$pid}) { $ws->drop } else { $ws{$pid} = $ws }
        last if keys %ws == 2;
    }
    return values %ws;
}

# What others do on the machine only adds to it: one of several tries is enough.
sub least {
    my ($what, $bound, $try) = @_;
    my ($least, @longest) = (99);

    for (1 .. 6) {
        publish() or last;
        $turns->reset;
        $try->() or last;
        push @longest, $turns->get->{longest} / 1e6;
        $least = $longest[-1] if $longest[-1] < $least;
        last if $least < $bound || !$measured;
    }
    ok($least < $bound || @longest == 6 || !$measured && @longest, "$what: it came");

    SKIP: {
        skip 'time under a sanitizer', 1 unless $measured;
        diag(sprintf '%s: longest turns %s ms', $what, join ', ', map { sprintf '%.1f', $_ } @longest);
        cmp_ok($least, '<', $bound, "$what: ms of CPU time, the longest turn");
    }
}

# The whole response. (Blockcast::Test looks at all it has with each read.)
sub fetch {
    my ($path) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Timeout => 20) or return '';
    syswrite $s, "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    my ($got, $end) = ('', time + 60 * slow());
    while (time < $end && ($path !~ /events/ || length $got < $SIZE || substr($got, -8) !~ /\n\n/)) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread $s, $got, 1 << 20, length $got or last;
    }
    return $got;
}

my $notified = qr/"method":"eth_subscription"/;
my $packed = [['Sec-WebSocket-Extensions', 'permessage-deflate']];

sub eth { qq({"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["$_[0]"]}) }

$node->set(big => big(1, 100));
wait_for(sub { (row('big')->{seq} // 0) > 0 }, 30);


# Each is the first in one of the workers.

subtest 'who comes' => sub {
    for my $kind (['JSON', '/ws', '{"type":"subscribe","streams":["big"]}', qr/\A\{"type":"big"/],
        ['a notification', '/rpc', eth('big'), $notified],
        ['a notification, compressed', '/rpc', eth('big'), $notified, headers => $packed],
        ['JSON-RPC', '/ws', eth('big'), qr/"result":\{"type":"big"/, subprotocol => 'jsonrpc'])
    {
        my ($what, $path, $message, $wanted, @options) = @$kind;

        least($what, 4, sub {
            my @ws = of_each($path, @options);
            my $good = 0;

            $_->send_text($message) for @ws;
            for my $ws (@ws) {
                my $number = number($ws->message_like($wanted));
                $good++ if $number == $n;
                diag("got number $number, not $n") if $number != $n;
            }
            $_->drop(reset => 1) for @ws;
            return $good == 2;
        });
    }
};


subtest 'plain HTTP' => sub {
    for my $path ('/api/streams/big', '/data', '/api/streams/big?wait=5s&after=1', '/events?streams=big') {
        least($path, 6, sub {
            for (1 .. 4) {
                my $got = fetch($path);
                next if number($got) == $n;
                diag("not number $n: " . substr $got, 0, 200);
                return 0;
            }
            return 1;
        });
    }

    least('HEAD, and a tag', 6, sub {
        my ($length, $tag);
        for (1 .. 4) {
            my $r = $t->request(HEAD => '/data', timeout => 60);
            $length //= $r->{headers}{'content-length'};
            $tag //= $r->{headers}{etag};
            return 0 if $r->{status} != 200 || $length < $SIZE - 9 || $r->{headers}{etag} ne $tag
                || $length != $r->{headers}{'content-length'};
        }
        for (1 .. 4) {
            return 0 if $t->get('/data', headers => { 'If-None-Match' => $tag })->{status} != 304;
        }
        return 1;
    });
};


# The first there is, to a worker that has nothing; what comes meanwhile; and
# what comes faster than it is copied: each is whole, and newer than the last.

subtest 'the first, and newer ones' => sub {
    my @ws = of_each('/ws');
    $node->set(late => big(1, $SIZE));
    wait_for(sub { row('late')->{seq} }, 60);
    $turns->reset;
    $_->send_text('{"type":"subscribe","streams":["late"]}') for @ws;
    is(number($_->message_like(qr/\A\{"type":"late"/)), 1, 'the first') for @ws;
    my $longest = $turns->get->{longest} / 1e6;
    diag(sprintf 'longest turn %.1f ms', $longest);
    $_->drop(reset => 1) for @ws;

    my %newest;                 # seq of all that anybody has seen
    my $wrong = 0;
    my $look = sub {
        my ($ws, $wanted, $what) = @_;
        my $message = $ws->message_like($wanted);
        my $number = number($message);
        if (!$number || $number < ($newest{$what} // 0) || $number <= ($ws->{last} // 0)) {
            diag("$what: number $number, not newer than " . ($newest{$what} // 0) . ' or ' . ($ws->{last} // 0));
            $wrong++;
        }
        $ws->{last} = $number;
        return $number;
    };

    # of each protocol one that stays, and others that come
    my @kinds = (['/ws', '{"type":"subscribe","streams":["big"]}', qr/\A\{"type":"big"/],
        ['/rpc', eth('big'), $notified], ['/rpc', eth('newer'), $notified],
        ['/ws', eth('big'), qr/"result":\{"type":"big"/, subprotocol => 'jsonrpc']);
    my @stay = map { [of_each(@$_[0, 3 .. $#$_])] } @kinds;
    for my $i (0 .. $#kinds) {
        for my $ws (@{ $stay[$i] }) {
            $ws->send_text($kinds[$i][1]);
            $look->($ws, $kinds[$i][2], "stays $i") if $i != 2;
        }
    }

    for (1 .. 4) {
        publish() for 1 .. 2;

        # who comes after it was published gets it or what is newer
        my $least = $n;
        $node->set(big => big(++$n, $SIZE));
        for my $i (0, 1, 3) {
            my $ws = $t->ws(@{ $kinds[$i] }[0, 3 .. $#{ $kinds[$i] }]);
            $ws->send_text($kinds[$i][1]);
            my $number = $look->($ws, $kinds[$i][2], "comes $i");
            $wrong++, diag("number $number, but $least was there before") if $number < $least;
            $ws->drop(reset => 1);
        }
    }
    for my $i (0 .. $#kinds) {
        for my $ws (@{ $stay[$i] }) {
            my ($number, $end) = (0, time + 60 * slow());
            $number = $look->($ws, $kinds[$i][2], "stays $i") while $number != $n && !$wrong && time < $end;
            is($number, $n, "the newest in the end, $kinds[$i][1]");
        }
    }
    is($wrong, 0, 'whole, in order, and nothing older');

    # nobody gets anything twice
    publish();
    for my $i (0 .. $#kinds) {
        $look->($_, $kinds[$i][2], "stays $i") for @{ $stay[$i] };
    }
    sleep 0.3;
    my $twice = 0;
    for my $ws (map { @$_ } @stay) {
        while (my $f = $ws->recv(0.01)) { $twice++ if number($f->{payload}) }
    }
    is($twice, 0, 'and nothing twice');
    is($wrong, 0, 'in order');
    $_->drop(reset => 1) for map { @$_ } @stay;
};


# A client that reads fast would take all of it with one call.

subtest 'many at once' => sub {
    least('30 clients', 10, sub {
        my @ws = map { $t->ws('/ws') } 1 .. 30;
        $_->send_text('{"type":"subscribe","streams":["big"]}') for @ws;

        my %open = map { fileno($_->socket) => $_ } @ws;
        my %got = map { $_ => length $open{$_}{buf} // '' } keys %open;
        my ($whole, $end) = (0, time + 60 * slow());
        while (%open && time < $end) {
            my $rin = '';
            vec($rin, $_, 1) = 1 for keys %open;
            select($rin, undef, undef, 1) > 0 or next;
            for my $fd (grep { vec $rin, $_, 1 } keys %open) {
                my $read = sysread $open{$fd}->socket, my $data, 1 << 20;
                $got{$fd} += $read // 0;
                if (!$read || $got{$fd} > $SIZE) {
                    $whole++ if $got{$fd} > $SIZE && $data =~ /,$n\],"timestamp":\d+,"seq":\d+\}/;
                    delete $open{$fd} if !$read || $data =~ /"seq":\d+\}/;
                }
            }
        }
        $_->drop(reset => 1) for @ws;
        diag("only $whole of 30") if $whole != 30;
        return $whole == 30;
    });
};


# A string of CBOR, with an escape at its beginning.

subtest 'a long string of CBOR' => sub {
    my @ws = map { $t->ws('/ws', subprotocol => 'blockcast.v1.cbor') } 1, 2;
    my @longest;
    for (1 .. 3) {
        $n++;
        my $text = sprintf('%08d ', $n) x ($SIZE / 9);
        $node->set(late => qq(["\\n$text"]));
        $turns->reset;
        if ($_ == 1) { $ws[$_]->send_binary("\xa2dtypeisubscribefstreamdlate") for 0, 1 }
        my $want = "ddata\x81\x7a" . pack('N', 1 + length $text) . "\n$text";
        my $good = 0;
        for my $ws (@ws) {
            my $end = time + 60 * slow();
            my $message = '';
            $message = $ws->message_like(qr/ddata/) while time < $end && index($message, $want) < 0;
            $good++ if index($message, $want) >= 0;
        }
        is($good, 2, 'all of it');
        push @longest, $turns->get->{longest} / 1e6;
    }
    $_->drop(reset => 1) for @ws;

    SKIP: {
        skip 'time under a sanitizer', 1 unless $measured;
        my ($least) = sort { $a <=> $b } @longest;
        diag(sprintf 'longest turns %s ms', join ', ', map { sprintf '%.1f', $_ } @longest);
        # at once it takes 76 ms
        cmp_ok($least, '<', 25, 'ms of CPU time, the longest turn');
    }
};

$t->stop;
$node->stop;
done_testing();
