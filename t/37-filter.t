#!/usr/bin/perl

# Subscribers of a log that want only some of its entries. If this fails, they
# get what they did not ask for, miss what they did, or cost what all of them
# together would.

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
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=id keep=100 page=3;
    }
    blockcast_stream num { blockcast_interval 100ms; blockcast_call c x.num; }
EOF
    location = /ws { blockcast_websocket; }
    location = /rpc { blockcast_rpc; }
    location /events/ { blockcast_sse; }
    location /api/ { blockcast_api; }
EOS

my $JSON = JSON::PP->new->canonical;
my $id = 0;

# entries that the stream has next; returns when it has them
sub add {
    my @rows = map { { id => ++$id, %$_ } } @_;
    $t->set(list => $JSON->encode(\@rows));
    my $want = $id;
    wait_for { ($t->get_json('/api/streams/list')->{data}{rows}[-1]{id} // 0) == $want } 20
        or die "entry $want did not come";
}

sub open_with {
    my ($filter, %more) = @_;
    my $ws = $t->ws('/ws');
    $ws->send_json({ type => 'subscribe', stream => 'list', %more,
        defined $filter ? (filter => $filter) : () });
    $ws->recv_type('subscribed') or die "not subscribed";
    return $ws;
}

sub ids { my $m = shift; join ' ', map { $_->{id} } @{ $m->{data}{rows} } }

$t->set(num => 1);
add({ m => 'a' }, { m => 'b' }, { m => 'a', v => 1 }, { m => 'c', v => 2 }, { m => 'a', v => '2' });

subtest 'the first page has what is wanted' => sub {
    is(ids(open_with({ m => 'a' })->recv_type('list')), '1 3 5', 'one value');
    is(ids(open_with({ m => ['a', 'c'] })->recv_type('list')), '3 4 5', 'two, and no more than a page');
    is(ids(open_with({ m => ['a', 'c'], v => [1, 2] })->recv_type('list')), '3 4', 'two members');
    is(ids(open_with({ v => '2' })->recv_type('list')), '5', 'a string is no number');
    is(ids(open_with({ nothing => 1 })->recv_type('list')), '', 'no entry has it');
    is(ids(open_with({})->recv_type('list')), '3 4 5', 'a filter of nothing');
    is(ids(open_with({ m => ['a'] }, since => 0)->recv_type('list')), '1 3 5', 'since');

    my $m = open_with({ m => ['a'] }, since => 0, epoch => 1)->recv_type('list');
    is(ids($m), '1 3 5', 'since of another epoch: the page');
    is($m->{gap}{since}, 0, '... with a gap');
};

subtest 'REST and server-sent events read a query alike' => sub {
    my $query = sub {
        my ($path, $until) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
        print $socket "GET $path HTTP/1.0\r\nHost: x\r\n\r\n";
        my $text = '';
        wait_for {
            IO::Select->new($socket)->can_read(0.1) and sysread($socket, $text, 65536, length $text);
            $text =~ $until;
        } 20;
        $text =~ /"rows":\[(.*?)\]/ or return 'no rows';
        return join ' ', sort { $a <=> $b } $1 =~ /"id":(\d+)/g;
    };
    for my $case (['m=a', '1 3 5'], ['m[]=a', '1 3 5'], ['m%5B%5D=a', '1 3 5'], ['m[0]=a', '1 3 5'],
        ['m[]=b&m[]=c', '2 4'], ['m[0]=b&m[7]=c', '2 4'], ['m=b&m[]=c', '2 4'], ['v[]=2', '4 5'],
        ['m[]=a&v[]=1', '3'], ['m[]=a&nobody[]=x', '1 3 5'], ['m[]=c&limit[]=1', '4'], ['v[]=1&m[x]=a', '3']) {
        my ($args, $ids) = @$case;
        is($query->("/api/list?$args&limit=3", qr/"total":\d+/), $ids, "REST: $args");
        is($query->("/events/list?$args", qr/"count":\d+/), $ids, "an event stream: $args");
    }
};

subtest 'then what is wanted, and nothing else' => sub {
    my %ws = map { $_ => open_with({ m => $_ }) } qw(a b d);
    my $all = open_with(undef);
    $_->recv_type('list') for values %ws, $all;

    add({ m => 'b' });
    is(ids($ws{b}->recv_type('list')), 6, 'to the one who wants it');
    add({ m => 'x' });
    add({ m => 'a' }, { m => 'b' }, { m => 'd' });
    is(ids($ws{a}->recv_type('list')), 8, 'a');
    is(ids($ws{b}->recv_type('list')), 9, 'b');
    is(ids($ws{d}->recv_type('list')), 10, 'd');
    is(ids($all->recv_type('list')), 6, 'all of them');
    is(ids($all->recv_type('list')), 7, '...');
    is(ids($all->recv_type('list')), '8 9 10', '...');

    $ws{a}->send_json({ type => 'subscribe', stream => 'list', filter => { m => 'd' } });
    is(ids($ws{a}->recv_type('list')), 10, 'another filter takes the place of the first');
    $ws{b}->send_json({ type => 'unsubscribe', stream => 'list' });
    $ws{b}->recv_type('unsubscribed');
    add({ m => 'a' }, { m => 'd' });
    is(ids($ws{a}->recv_type('list')), 12, 'by the new one');
    is(ids($ws{d}->recv_type('list')), 12, 'and the others as before');
    $ws{b}->send_json({ type => 'ping' });
    is($ws{b}->recv_json->{type}, 'pong', 'who has left gets nothing');
};

subtest 'what was missed' => sub {
    my $ws = open_with({ m => 'q' });
    my $seq = $ws->recv_type('list')->{seq};
    $ws->close;
    add({ m => 'q' });
    add({ m => 'r' });
    add({ m => 'q' });
    is(ids(open_with({ m => 'q' }, since => $seq)->recv_type('list')), '13 15', 'is of the filter, too');
};

subtest 'server-sent events, by the query' => sub {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
    print $socket "GET /events/list?m=s&m=7&nobody=x&token=t HTTP/1.1\r\nHost: x\r\n\r\n";
    my $text = '';
    my $reads = sub {
        my ($pattern) = @_;
        wait_for {
            IO::Select->new($socket)->can_read(0.1) and sysread($socket, $text, 4096, length $text);
            $text =~ $pattern;
        } 20;
    };
    ok($reads->(qr/"rows":\[\],"count":0/), 'an empty page');
    add({ m => 's' }, { m => 't' });
    add({ m => 7 }, { m => 'u' });
    ok($reads->(qr/"m":7/), 'a number, too');
    unlike($text, qr/"m":"[tu]"/, 'and nothing else');
};

subtest 'wrong filters' => sub {
    my $ws = $t->ws('/ws');
    for my $case ([list => [], qr/must be an object/], [list => { m => { } }, qr/values of a filter are/],
        [list => { map { $_ => 1 } 1 .. 9 }, qr/up to 8 members/], [num => { m => 1 }, qr/only a log/]) {
        $ws->send_json({ type => 'subscribe', stream => $case->[0], filter => $case->[1] });
        my $error = $ws->recv_type('error');
        is($error->{code}, 'bad_request', 'refused');
        like($error->{message}, $case->[2], 'in a sentence');
    }
};

subtest 'the state of the stream' => sub {
    my $ws = open_with({ m => 'nobody' });
    $ws->recv_type('list');
    $t->fault(list => 'drop');
    is($ws->recv_type('status')->{state}, 'stale', 'is told');
    $t->heal;
    is($ws->recv_type('status')->{state}, 'live', 'and again');
};

subtest 'JSON-RPC at an address of the own protocol' => sub {
    my $ws = $t->ws('/ws');
    $ws->send_json({ jsonrpc => '2.0', id => 'x', method => 'eth_blockNumber', params => [] });
    my $m;
    do { $m = $ws->recv_json } while $m && !$m->{jsonrpc};
    is($m->{id}, 'x', 'the id');
    like($m->{error}{message}, qr{JSON-RPC is spoken at /rpc}, 'where to go');
};

$t->stop;
done_testing();
