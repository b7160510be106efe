#!/usr/bin/perl

# Hundreds of requests at the same moment: for metrics, health, the list of
# streams, pages of a log, JSON-RPC and pokes. If this fails, all of them are
# answered in one turn of the event loop, and everybody else waits, or some are
# never answered.
#
# Work is counted, not timed: the responses of one turn.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;
use Blockcast::Turns;

my $CLIENTS = 300;
my $STREAMS = 40;

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;

$node->set(num => 1);
$node->set(log => '[' . join(',', map { sprintf '{"id":%d,"text":"%s"}', $_, 'x' x 200 } 1 .. 2000) . ']');

my $t = Blockcast::Test->new(%{ $turns->test_options }, workers => 1, http => <<"EOF"
    blockcast_zone main 64m;
    blockcast_message_rate off;
    blockcast_rpc_allow num;
    blockcast_rpc_cache num forever;
    keepalive_requests 100000;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
    blockcast_stream log {
        blockcast_interval 1h;
        blockcast_always on;
        blockcast_max_size 1m;
        blockcast_call c log;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=2000 size=2m;
    }
EOF
    . join('', map { "blockcast_stream s$_ { blockcast_interval 1h; blockcast_always on; blockcast_call c num; }\n" }
        2 .. $STREAMS), server => <<'EOS');
    location /api/ { blockcast_api; }
    location = /health { blockcast_health; }
    location = /metrics { blockcast_metrics; }
    location = /poke { blockcast_poke; }
    location = /rpc { blockcast_rpc; }
    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

my ($worker) = @{ wait_for(sub { my @w = $t->worker_pids; @w && \@w }) };

ok(wait_for(sub { ($t->get('/api/log?limit=1000', timeout => 20) // {})->{body} =~ /"count":1000,/ }, 60),
    'the log is there');
ok(wait_for(sub {
    my $health = $t->get_json('/health', timeout => 20) or return;
    return 0 == grep { !$_->{seq} } @{ $health->{streams} };
}, 60), 'and all streams');

sub connections {
    my ($n) = @_;

    return map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die "connect: $!\n";
        { socket => $s, buf => '' };
    } 1 .. $n;
}

sub http {
    my ($method, $path, $body, $last) = @_;
    my $length = defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '';
    my $close = $last ? "Connection: close\r\n" : '';
    return "$method $path HTTP/1.1\r\nHost: x\r\n$length$close\r\n" . ($body // '');
}

# All ask while the worker stands still, so that it finds all of them at once.
sub ask {
    my ($request, @all) = @_;

    $turns->reset;
    kill STOP => $worker;
    syswrite $_->{socket}, $request for @all;
    sleep 0.1;
}

# Reads a whole response of each; returns how many have it.
sub answered {
    my ($head, @all) = @_;
    @$_{qw(status body)} = (0, '') for @all;
    my $select = IO::Select->new(map { $_->{socket} } @all);
    my %of = map { $_->{socket} => $_ } @all;
    my $end = time + 60 * slow();
    my $whole = 0;

    while ($select->count && time < $end) {
        for my $s ($select->can_read(1)) {
            my $c = $of{$s};
            my $got = sysread $s, $c->{buf}, 1 << 20, length $c->{buf};
            $select->remove($s) if !$got;

            my ($top, $rest) = split /\r\n\r\n/, $c->{buf}, 2;
            next unless defined $rest;
            my ($length) = $top =~ /^Content-Length: (\d+)/mi;
            next unless $head || length($rest) >= ($length // 1 << 30);
            $c->{status} = $top =~ m{\AHTTP/1.1 (\d+)} ? $1 : '?';
            $c->{body} = $rest;
            $c->{buf} = '';
            $whole++;
            $select->remove($s);
        }
    }
    return $whole;
}

my $calls = '[' . join(',', map { qq({"jsonrpc":"2.0","id":$_,"method":"num","params":[]}) } 1 .. 50) . ']';
my $refused = '[' . join(',', map { qq({"jsonrpc":"2.0","id":$_,"method":"other"}) } 1 .. 50) . ']';

# what is asked, its status, what is in the body
my @cases = (
    ['GET', '/metrics', undef, 200, qr/^blockcast_seq\{stream="s2"\} 1$/m],
    ['HEAD', '/metrics', undef, 200, qr/\A\z/],
    ['GET', '/health', undef, 200, qr/"name":"s40"/],
    ['GET', '/api/health', undef, 200, qr/"name":"s40"/],
    ['GET', '/api/streams', undef, 200, qr/"name":"s40"/],
    ['GET', '/api/log?limit=1000', undef, 200, qr/"count":1000,/],
    ['GET', '/api/log?limit=1000&id=7', undef, 200, qr/"total":1,/],
    ['POST', '/rpc', $calls, 200, qr/"id":50,.*"result":1/s],
    ['POST', '/rpc', $refused, 200, qr/"id":50,.*-32601/s],
    ['POST', '/poke', '', 202, qr/"name":"s40"/],
    ['POST', '/metrics', '', 405, qr/method_not_allowed/],
);

my @all = connections($CLIENTS);

for my $case (@cases) {
    my ($method, $path, $body, $status, $like) = @$case;

    subtest "$method $path" => sub {
        ask(http($method, $path, $body), @all);
        kill CONT => $worker;
        is(answered($method eq 'HEAD', @all), $CLIENTS, 'all are answered');
        is(scalar(grep { $_->{status} == $status } @all), $CLIENTS, "with $status");
        is(scalar(grep { $_->{body} =~ $like } @all), $CLIENTS, 'and the whole body');

        # what does not take longer than a bare response may be in one turn
        if ($status != 405 && $path !~ /id=7/) {
            my $most = $turns->get->{most_sends};
            cmp_ok($most, '<', $CLIENTS * 0.8, "not in one turn: $most at most");
        }
    };
}


subtest 'half of them go away while they wait' => sub {
    ask(http('GET', '/metrics'), @all);
    my @gone = splice @all, 0, $CLIENTS / 2;
    close $_->{socket} for @gone;
    kill CONT => $worker;
    is(answered(0, @all), $CLIENTS / 2, 'the others are answered');
    push @all, connections($CLIENTS / 2);
};


subtest 'the worker is told to quit meanwhile' => sub {
    ask(http('GET', '/metrics', undef, 1), @all);
    kill CONT => $worker;

    # in the turn of the first response the worker has read all requests
    IO::Select->new(map { $_->{socket} } @all)->can_read(20 * slow());
    kill QUIT => $worker;

    is(answered(0, @all), $CLIENTS, 'all are answered before');
    is(scalar(grep { $_->{status} == 200 } @all), $CLIENTS, 'with 200');
    ok(wait_for(sub { !kill 0, $worker }, 30), 'and it ends');
};


done_testing();
