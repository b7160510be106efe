#!/usr/bin/perl

# How much a filter may ask for. If this fails, a wallet that follows 100
# accounts over one endpoint is refused at another, or a filter past the limit
# is cut in silence.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Blockcast::Test;

my $t = Blockcast::Test->new(workers => 2, node => { rate_limit => 1000000 },
    http => <<'EOF', server => <<'EOS');
    blockcast_zone main 16m;
    blockcast_stream list {
        blockcast_interval 200ms;
        blockcast_call c x.list;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=id keep=500 page=400;
    }
EOF
    location = /ws { blockcast_websocket; }
    location = /rpc {
        blockcast_rpc;
        blockcast_rpc_subscription eth_subscribe logs stream=list filter=logs notify=eth_subscription
                                   unsubscribe=eth_unsubscribe;
    }
    location /events/ { blockcast_sse; }
    location /api/ { blockcast_api; }
EOS

my $JSON = JSON::PP->new->canonical;
my $said = qr/a filter has up to 8 members and 256 values/;

# entry N has the values that a filter has at its N-th place, and the last one
# has what no filter asks for

$t->set(list => $JSON->encode([map {
    { id => $_, n => $_, m => "v$_", address => "v$_", map { ("m$_" => 1) } 1 .. 9 }
} 1 .. 300]));
wait_for { ($t->get_json('/api/list?limit=1')->{count} // 0) == 1 } 20 or die 'no entries';


# What an endpoint answers: the ids of what it has first, or its refusal.

sub ids { my ($rows) = @_; return join ' ', sort { $a <=> $b } map { $_->{id} } @$rows }

sub query {
    my ($filter, $brackets) = @_;
    return join '&', map { my $m = $_; map { "$m$brackets=$_" } ref $filter->{$m} ? @{ $filter->{$m} } : $filter->{$m} }
        sort keys %$filter;
}

sub websocket {
    my (%how) = @_;

    return sub {
        my ($filter) = @_;
        my $ws = $t->ws('/ws', %how);
        $ws->recv or return 'no welcome';
        $ws->send_json({ type => 'subscribe', stream => 'list', filter => $filter });

        my $text = '';
        wait_for {
            my $f = $ws->recv(1) or return 0;
            $text = $f->{payload};
            return $text =~ /rows|bad_request/;
        } 20;
        $ws->close;

        return $1 if $text =~ /($said)/;
        return ids($JSON->decode($text)->{data}{rows} // []) if $text =~ /\A\{/;

        # CBOR: each entry has its "id", an integer
        my @ids;
        while ($text =~ /bid(?:\x19(..)|\x18(.)|([\x00-\x17]))/gs) {
            push @ids, defined $1 ? unpack('n', $1) : ord($2 // $3);
        }
        return join ' ', sort { $a <=> $b } @ids;
    };
}

sub jsonrpc {
    my ($path, $call, $rows, %how) = @_;

    return sub {
        my ($filter) = @_;
        my $ws = $t->ws($path, %how);
        $ws->send_json({ jsonrpc => '2.0', id => 1, %{ $call->($filter) } });

        my @got;
        my $text;
        wait_for {
            my $m = $ws->recv_json(1) or return 0;
            return $text = $1 if ($m->{error}{message} // '') =~ /($said)/;
            push @got, $rows->($m);
            return @got != 0;
        } 20;
        $ws->close;

        return $text // ids(\@got);
    };
}

sub http {
    my ($path, $brackets) = @_;

    return sub {
        my ($filter) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
        print $socket 'GET ', $path, query($filter, $brackets), " HTTP/1.0\r\nHost: x\r\n\r\n";
        my $text = '';
        wait_for {
            IO::Select->new($socket)->can_read(0.2) and sysread($socket, $text, 65536, length $text);
            return $text =~ /"(?:total|count)":\d+|$said/;
        } 20;

        return ($text =~ m{\AHTTP/1.1 400 .*($said)}s ? '' : 'not 400: ') . $1 if $text =~ /($said)/;
        return ids($JSON->decode("[$1]")) if $text =~ /"rows":\[(.*?)\]/;
        return $text;
    };
}

my $rows = sub { @{ ($_[0]{params}{result}{data} // {})->{rows} // [] } };

my @endpoints = (
    ['WebSocket'            => websocket()],
    ['WebSocket, CBOR'      => websocket(subprotocol => 'blockcast.v1.cbor')],
    ['WebSocket, JSON-RPC'  => jsonrpc('/ws', sub { { method => 'subscribe', params => ['list', { filter => $_[0] }] } },
        $rows, subprotocol => 'jsonrpc')],
    ['REST'                 => http('/api/list?limit=300&', '')],
    ['REST, []'             => http('/api/list?limit=300&', '[]')],
    ['long poll'            => http('/api/list?limit=300&wait=20s&after=0&', '')],
    ['events'               => http('/events/list?', '')],
    ['events, []'           => http('/events/list?', '[]')],
    ['events of some'       => http('/events/?streams=list&', '')],
);

my @up_to_256 = ((map { "x$_" } 1 .. 253), 'v7', 'v8', 'v299');
my @numbers = ((map { 1000 + $_ } 1 .. 253), 7, 8, 299);

for my $case (
    [{ m => \@up_to_256 }, '7 8 299', '256 values'],
    [{ n => \@numbers }, '7 8 299', '256 numbers'],
    [{ m => [@up_to_256, 'y'] }, $said, '257 values'],
    [{ n => [@numbers, 9999] }, $said, '257 numbers'],
    [{ m => [@up_to_256[1 .. 255]], n => [7] }, '7', '256 values of two members'],
    [{ m => \@up_to_256, n => [7] }, $said, '257 values of two members'],
    [{ m => ['v7'], map { ("m$_" => 1) } 1 .. 7 }, '7', '8 members'],
    [{ map { ("m$_" => 1) } 1 .. 9 }, $said, '9 members'],
    )
{
    my ($filter, $want, $name) = @$case;

    for my $endpoint (@endpoints) {
        my ($where, $code) = @$endpoint;
        my $got = $code->($filter);
        ref $want ? like($got, qr/\A$want\z/, "$where: $name are refused, with a sentence")
            : is($got, $want, "$where: $name");
    }
}

# Ethereum's own filter of logs

for my $case ([\@up_to_256, qr/\A\{.*"result":"/, 'are taken'], [[@up_to_256, 'y'], $said, 'are refused, with a sentence']) {
    my ($values, $want, $what) = @$case;
    my $ws = $t->ws('/rpc');
    $ws->send_json({ jsonrpc => '2.0', id => 1, method => 'eth_subscribe', params => ['logs', { address => $values }] });
    my $text = '';
    wait_for { my $f = $ws->recv(1) or return 0; ($text = $f->{payload}) =~ /"id":1\b/ } 20;
    like($text, $want, 'JSON-RPC logs: ' . @$values . " values $what");
}

# as many that no entry has count as well

for my $path ('/api/list?', '/events/list?') {
    my $got = http($path, '')->({ nobody => [1 .. 257], m => 'v7' });
    like($got, qr/\A$said\z/, "$path: values of members that no entry has count, too");
}

$t->stop;
done_testing();
