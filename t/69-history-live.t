#!/usr/bin/perl

# The history of a stream's numbers while nginx lives and dies. If this fails,
# a chart is empty for the first visitor of the day, an outage is drawn over, a
# reload, a crash or an upgrade loses the last hour, or a node that is down is
# asked for charts that nobody looks at. Requests and their answers one by one
# are in t/69-history.t.

# lane: waits

use strict;
use warnings;

use Compress::Zlib ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $json = $Blockcast::Test::JSON;


sub history {
    my ($t, $stream, $query) = @_;
    my $r = $t->get("/api/streams/$stream/history" . ($query // ''));
    return $r->{status} == 200 ? $json->decode($r->{body}) : undef;
}

# The last values of a series, slot by slot; those that are there; as a text.

sub course {
    my ($t, $stream, $name, $query) = @_;
    my $h = history($t, $stream, $query) // return;
    return @{ $h->{series}{$name}{last} // [] };
}

sub known { grep { defined } course(@_) }
sub text { join '', map { $_ // '-' } course(@_) }

# Whether all these values are in it. What there was once stays there.

sub has {
    my ($t, $stream, $name, @values) = @_;
    my %there = map { $_ => 1 } known($t, $stream, $name);
    return !grep { !$there{$_} } @values;
}


# A WebSocket message of each kind: as JSON, deflated, as CBOR.

sub cbor {
    my ($p) = @_;

    my $b = ord substr $$p, 0, 1, '';
    my ($major, $n) = ($b >> 5, $b & 31);

    return unpack 'd>', substr $$p, 0, 8, '' if $b == 0xfb;
    return unpack 'f>', substr $$p, 0, 4, '' if $b == 0xfa;
    if ($b == 0xf9) {
        my $h = unpack 'n', substr $$p, 0, 2, '';
        my ($e, $m) = ($h >> 10 & 31, $h & 1023);
        return ($h & 0x8000 ? -1 : 1) * ($e ? (1 + $m / 1024) * 2 ** ($e - 15) : $m * 2 ** -24);
    }
    return { 20 => 0, 21 => 1, 22 => undef }->{$n} if $major == 7;

    $n = unpack { 24 => 'C', 25 => 'n', 26 => 'N', 27 => 'Q>' }->{$n},
        substr $$p, 0, 1 << ($n - 24), '' if $n >= 24;

    return $n if $major == 0;
    return -1 - $n if $major == 1;
    return substr $$p, 0, $n, '' if $major == 3;
    return [map { cbor($p) } 1 .. $n] if $major == 4;
    return { map { cbor($p) } 1 .. 2 * $n } if $major == 5;
    die "CBOR of $b";
}

sub message {
    my ($ws) = @_;

    my $f = $ws->recv or return;
    return message($ws) if $f->{opcode} > 2;
    my $p = $f->{payload};
    if ($f->{rsv} == 4) {
        my $z = Compress::Zlib::inflateInit(-WindowBits => -15);
        ($p) = $z->inflate($p . "\0\0\xff\xff");
    }

    return $f->{opcode} == 2 ? cbor(\$p) : $json->decode($p);
}

sub message_of {
    my ($ws, $type) = @_;
    while (my $m = message($ws)) { return $m if $m->{type} eq $type }
    return {};
}


my %http = (zone => '4m', max_size => '64k', numbers => 'n=.n deep=.a[0].b', rings => '2m/1s 10m/1m');

sub http {
    %http = (%http, @_);
    return <<"HTTP";
    blockcast_zone main $http{zone};
    blockcast_drain 1s;
    blockcast_state %%PREFIX%%/state/feeds;

    blockcast_stream num {
        blockcast_interval 200ms;
        blockcast_stale 1s;
        blockcast_max_size $http{max_size};
        blockcast_call c x.num;
        blockcast_history $http{numbers} $http{rings} idle=1s;
    }
    blockcast_stream quiet {
        blockcast_interval 200ms;
        blockcast_call c x.quiet;
        blockcast_history n=. 2m/1s idle=off;
    }
    blockcast_stream none {
        blockcast_interval 200ms;
        blockcast_call c x.quiet;
    }
HTTP
}

my $t = Blockcast::Test->new(workers => 2, daemon => 1, node => { rate_limit => 100000 },
    start => 0, http => http(), server => <<'SERVER');
    location /api/ { blockcast_api; }
    location = /health { blockcast_health; }
    location = /ws { blockcast_websocket; }
SERVER

mkdir $t->prefix . '/state';
chmod 0777, $t->prefix . '/state';

# A node that is started anew must know the method as soon as it answers: one
# that it has not is asked for again in a minute.

sub node_value { my ($n) = @_; return qq(x.num={"n":$n,"a":[]}) }

sub value {
    my ($n, $deep) = @_;
    $t->set(num => qq({"n":$n,"a":[) . (defined $deep ? qq({"b":"$deep"}) : '') . ']}');
    my $there = wait_for { has($t, "num", n => $n) } 60;
    sleep 1.2;          # or it may be gone with the slot's next value
    return $there;
}

$t->set(quiet => '5');
$t->set(num => '{"n":1,"a":[{"b":"0x10"}]}');
$t->start;


subtest 'nobody listens' => sub {
    ok((wait_for { $t->asked('num') > 3 } 30), 'the node is asked now and then')
        or diag($t->error_log);
    my ($asked, $start) = ($t->asked('num'), time);
    sleep 4;
    my $more = $t->asked('num') - $asked;
    ok($more <= time - $start + 2, "no more than once a second: $more in 4 s");
    is($t->asked('quiet'), 0, 'idle=off: not for the other');
    my $r = $t->row('num');
    is($r->{error}, undef, 'its data is good');
};


subtest 'the first visitor' => sub {
    my $h = history($t, 'num');
    my @n = grep { defined } @{ $h->{series}{n}{mean} };
    ok(@n >= 3, 'finds the course: ' . @n . ' slots');
    is_deeply([grep { $_ != 1 } @n], [], 'of the right value');
    is(scalar(grep { defined && $_ == 16 } @{ $h->{series}{deep}{max} }), scalar @n,
        'deep in the data, a quantity');
    is(scalar @{ $h->{series}{n}{min} }, 120, 'a slot for each second');
    is($h->{step}, 1, 'step');
    my $end = $h->{from} + 120 - $h->{now};
    ok($end == 1 || $end == 2, "from, up to now: $end");
    is(history($t, 'num', '?range=10m')->{step}, 60, 'another range');
    my $p = history($t, 'num', '?points=10');
    is(scalar @{ $p->{series}{n}{min} }, 10, 'ten points');
    is($p->{step}, 12, 'of 12 s');
    is($p->{from} % 12, 0, 'that begin where others do');
};


subtest 'between slow polls a value holds, over a failure it does not' => sub {
    my ($text) = text($t, 'num', 'n') =~ /^-*(.*?)-*$/;
    unlike($text, qr/-/, 'there is no gap so far');

    ok(value(2), 'another value');
    $t->set_error(num => '{"code":-32000,"message":"no"}');
    ok((wait_for { defined $t->row('num')->{error} } 30), 'the node fails');
    sleep 3;
    ok(value(3), 'and is well again');
    like(text($t, 'num', 'n'), qr/2-{2,}3/, 'the gap is one');
    like(text($t, 'num', 'deep'), qr/16-{3,}$/, 'of a member that is missing, too');
};


subtest 'over WebSocket' => sub {
    my @kinds = (
        ['JSON'],
        ['deflate', headers => [['Sec-WebSocket-Extensions', 'permessage-deflate']]],
        ['CBOR', subprotocol => 'blockcast.v1.cbor'],
        ['CBOR deflated', subprotocol => 'blockcast.v1.cbor',
            headers => [['Sec-WebSocket-Extensions', 'permessage-deflate']]],
    );
    my $epoch = $t->get_json('/api/streams')->{epoch};

    for (@kinds) {
        my ($name, %opt) = @$_;
        my $ws = $t->ws('/ws', %opt);
        $ws->send_text('{"type":"subscribe","streams":["num","none"],"history":true}');
        my $s = message_of($ws, 'subscribed');
        is($s->{history}, '2m', "$name: which one follows");
        $s = message_of($ws, 'subscribed');
        ok(exists $s->{history} && !defined $s->{history}, "$name: of a stream without, none");
        my $h = message_of($ws, 'history');
        is($h->{stream}, 'num', "$name: of the stream");
        is($h->{range}, '2m', "$name: the first range");
        is_deeply($h->{ranges}, ['2m', '10m'], "$name: of these");
        is($h->{epoch}, $epoch, "$name: epoch");
        is(scalar @{ $h->{series}{n}{min} }, 120, "$name: all slots");
        ok((grep { defined && $_ == 3 } @{ $h->{series}{n}{last} }), "$name: with its values");
        is(message_of($ws, 'num')->{data}{n}, 3, "$name: then the data");

        $ws->send_text('{"type":"subscribe","stream":"num","history":"10m"}');
        is(message_of($ws, 'history')->{range}, '10m', "$name: another range for who is in");
        $ws->drop;
    }

    my $ws = $t->ws('/ws');
    for my $bad ('"1h"', '7', '""', '"' . ('x' x 40) . '"', '[]') {
        $ws->send_text(qq({"type":"subscribe","stream":"num","history":$bad,"id":"b"}));
        my $e = $ws->recv_type('error');
        is($e->{code}, 'bad_request', "$bad is refused");
        like($e->{message}, qr/^"history" must be true or a range of the stream, 2m, 10m$/,
            'with what there is');
        is($e->{id}, 'b', 'and its id');
    }
    $ws->send_text('{"type":"subscribe","stream":"num","history":false}');
    ok(!exists $ws->recv_type('subscribed')->{history}, 'false asks for none');
    is($ws->recv_json->{type}, 'num', 'nor comes one');
};


# The answers may wait for longer than blockcast_max_queue takes them.

subtest 'a client that reads nothing' => sub {
    my $ws = $t->ws('/ws', rcvbuf => 4096);
    $ws->send_text('{"type":"subscribe","stream":"num","history":"2m"}') for 1 .. 40;
    sleep 1;
    my %seen;
    my $last = 0;
    while (!$last) {
        my $m = $ws->recv_json or last;
        $seen{$m->{type}}++;
        $last = $seen{subscribed} && $seen{subscribed} == 40;
    }
    is($seen{subscribed}, 40, 'is answered each time');
    ok($seen{history} && $seen{history} <= 40, "and has it: $seen{history} times");
};


subtest 'it does not ask a node that is down, and goes on when it is back' => sub {
    $t->stop_node;
    ok((wait_for { $t->get_json('/health')->{nodes}[0]{state} eq 'down' } 60), 'the node is down')
        or diag($t->get('/health')->{body});
    sleep 1;
    my $calls = $t->get_json('/health')->{nodes}[0]{calls};
    sleep 3;
    my $more = $t->get_json('/health')->{nodes}[0]{calls} - $calls;
    ok($more <= 4, "it is tried, no more: $more calls in 3 s");
    $t->start_node(set => node_value(4));
    ok(value(4), 'and asked again when it is back');
};


subtest 'a reload keeps it' => sub {
    $t->reload;
    ok(has($t, 'num', n => 1 .. 4), 'all is there') or diag(text($t, 'num', 'n'));
    ok(value(5), 'and it goes on');

    $t->write_conf(http => http(max_size => '1k', numbers => 'more=.more n=.n',
        rings => '10m/1s 20m/1m'));
    $t->reload;
    ok((wait_for { (history($t, 'num') // { range => '' })->{range} eq '10m' } 30), 'another range');
    ok((wait_for { has($t, 'num', n => 1 .. 5) } 10), 'has what the other had')
        or diag(text($t, 'num', 'n'));
    is_deeply([sort keys %{ history($t, 'num')->{series} }], ['more', 'n'], 'of these numbers');
    is(scalar(known($t, 'num', 'more')), 0, 'of the new one nothing');

    $t->write_conf(http => http(zone => '9m'));
    $t->reload;
    ok((wait_for { has($t, 'num', n => 1 .. 5) } 20), 'and so has a zone of another size')
        or diag(text($t, 'num', 'n'));
    unlike(text($t, 'num', 'n'), qr/[45]-+[45]/, 'without a gap') or diag(text($t, 'num', 'n'));
};


subtest 'a binary upgrade takes it along' => sub {
    my $old = $t->master_pid;
    my @old = $t->worker_pids;
    $t->signal(USR2 => $old);
    ok((wait_for { -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == @old + 2 } 30),
        'a second master');
    ok(value(6), 'both run');
    $t->signal(QUIT => $old);
    ok((wait_for { $t->nginx_pids == 3 } 60), 'the old one leaves');
    $t->{master} = $t->pid_file;
    ok((wait_for { has($t, 'num', n => 1 .. 6) } 20), 'the new one has all')
        or diag(text($t, 'num', 'n'));
    ok(value(7), 'and goes on');
    unlike(text($t, 'num', 'n'), qr/[67]-+[67]/, 'without a gap') or diag(text($t, 'num', 'n'));
};


subtest 'all processes are killed' => sub {
    ok(value(8), 'a last value');
    sleep 2.5;
    my @before = known($t, 'num', 'n');
    kill KILL => $t->nginx_pids;
    ok((wait_for { !$t->nginx_pids } 20), 'they are gone');
    $t->stop_node;
    unlink $t->prefix . '/nginx.pid';
    $t->start;
    my @after = known($t, 'num', 'n');
    ok(has($t, 'num', n => 1 .. 8), 'the state file has it') or diag(text($t, 'num', 'n'));
    ok(@after >= @before - 3, 'nearly all: ' . @after . ' of ' . @before);
};


subtest 'a good end keeps all' => sub {
    $t->start_node(set => node_value(9));
    ok(value(9), 'a last value');
    $t->signal(QUIT => $t->master_pid);
    ok((wait_for { !$t->nginx_pids } 30), 'nginx ends');
    $t->stop_node;
    $t->start;
    ok(has($t, 'num', n => 1 .. 9), 'the state file has it all') or diag(text($t, 'num', 'n'));
};


subtest 'the figures' => sub {
    $t->start_node(set => node_value(10));
    $t->set(quiet => '5');
    ok(value(10), 'data');
    my @ws = map { $t->ws('/ws') } 1 .. 5;
    $_->subscribe('num') for @ws;
    $_->recv_type('num') for @ws;

    for my $path ('/health', '/api/streams') {
        my ($h, $row);
        ok((wait_for {
            $h = $t->get_json($path);
            ($row) = grep { $_->{name} eq 'num' } @{ $h->{streams} };
            $row->{deliveries} >= 5 && $h->{totals}{deliveries} >= $row->{deliveries}
        } 20), "$path: deliveries");
        ok($h->{totals}{requests} > 0, "$path: requests to the node");
        ok($h->{totals}{connections} >= 5, "$path: connections");
        my $saved = $h->{totals}{deliveries} - $h->{totals}{requests};
        is($h->{totals}{saved}, $saved > 0 ? $saved : 0, "$path: saved");
        ok($row->{latency} > 0 && $row->{latency} < 20, "$path: latency $row->{latency}");
        is_deeply($row->{history}, { ranges => ["10m", "20m"], series => ['more', 'n'] },
            "$path: what is kept");
        my ($none) = grep { $_->{name} eq 'none' } @{ $h->{streams} };
        is($none->{history}, undef, "$path: of a stream without, nothing");
    }

    # each message that is fanned out, and each answer, is one
    my $before = $t->row('num')->{deliveries};
    $t->get('/api/streams/num') for 1 .. 3;
    $t->set(num => '{"n":11}');
    ok((wait_for { grep { ($_->recv_type('num') // { data => { n => 0 } })->{data}{n} == 11 } @ws } 30),
        'all have another');
    ok((wait_for { $t->row('num')->{deliveries} >= $before + 3 + 5 } 20), 'and that is counted');
    $_->drop for @ws;
};

$t->allow(qr/connect\(\) failed|Connection refused|no live upstreams|prematurely closed/);
$t->stop;

done_testing();
