#!/usr/bin/perl

# Bounds of streams with a key. If this fails, one client with made-up keys
# takes memory, the node's patience, or other people's data.

# lane: waits

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP ();
use Test::More;
use Time::HiRes ();
use Blockcast::KeyNode;
use Blockcast::Test qw(wait_for);

my $node = Blockcast::KeyNode->new;
my $secret = 'a secret of 26 characters';

my $more = '';
my $http = sub {
    my ($size, $max) = @_;

    return <<"EOS";
    blockcast_zone main $size;
    map \$arg_who \$mine { default ""; alice "locked/aaa, locked/ab*"; all "*"; }
    blockcast_stream few {
        blockcast_interval 100ms;
        blockcast_key account pattern=[a-z0-9]+ max=$max;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream locked {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z]+;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream signed {
        blockcast_interval 200ms;
        blockcast_key account pattern=0x[0-9a-f]+ lower=on secret_file=%%PREFIX%%/secret;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream slow {
        blockcast_node slow; blockcast_interval 500ms;
        blockcast_key account pattern=[a-z0-9]+ max=200;
        blockcast_call b k.get 'params_jq=[.key]' timeout=5s;
        blockcast_jq .results.b.n;
    }
    blockcast_stream starved {
        blockcast_node full; blockcast_interval 500ms;
        blockcast_key account pattern=[a-z0-9]+ max=200;
        blockcast_call b k.raw 'params_jq=[.key]' timeout=5s;
    }
    blockcast_stream greedy1 { blockcast_node full; blockcast_interval 100ms; blockcast_always on; blockcast_call b k.raw params=["g1"]; }
    blockcast_stream greedy2 { blockcast_node full; blockcast_interval 100ms; blockcast_always on; blockcast_call b k.raw params=["g2"]; }
    blockcast_stream fixed {
        blockcast_node slow; blockcast_interval 100ms; blockcast_always on;
        blockcast_call b k.head;
    }
EOS
};

my $t = Blockcast::Test->new(workers => 2, start => 0, http => $http->('8m', 5), server => <<"EOS");
        location /ws { blockcast_websocket few signed slow fixed; blockcast_max_keys 4; blockcast_message_rate 10000; }
        location /many { blockcast_websocket; blockcast_max_keys 300; blockcast_message_rate 10000; }
        location /mine { blockcast_websocket locked; blockcast_allow_keys \$mine; }
        location /api/ { blockcast_api; blockcast_allow_keys \$mine; }
        location /open/ { blockcast_api; }
        location /events { blockcast_sse; blockcast_allow_keys \$mine; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
        location = /s { blockcast_node slow rate=40 batch=20; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
        location = /f { blockcast_node full rate=10; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS

open my $fh, '>', $t->prefix . '/secret' or die "$!\n";
print $fh "$secret\nmore\n";
close $fh;
$t->start;


sub next_of {
    my ($ws, $key, @types) = @_;

    while (my $m = $ws->recv_json(20)) {
        return $m if ($m->{key} // '') eq $key && grep { $_ eq $m->{type} } @types;
    }

    return {};
}


# The next data of a key is its first one, if that comes late.

sub value_of {
    my ($ws, $key, $type, $value) = @_;

    my $m = {};
    do { $m = next_of($ws, $key, $type) } while defined $m->{data} && $m->{data} ne $value;
    return $m->{data};
}


sub ask {
    my ($ws, $stream, $key, %more) = @_;

    $ws->send_json({ type => 'subscribe', stream => $stream, key => $key, %more });
    return next_of($ws, $key, 'subscribed', 'error');
}


# A client has so many keys, ...

my $ws = $t->ws;
is ask($ws, 'few', $_)->{type}, 'subscribed', "key $_" for 'k1' .. 'k4';
my $m = ask($ws, 'few', 'k5');
is $m->{code}, 'too_many_keys', 'one more than blockcast_max_keys';
like $m->{message}, qr/has 4 keys, as many as it may/, '... is refused with a sentence';
is ask($ws, 'few', 'k1')->{type}, 'subscribed', '... one that it has is not';
is $ws->subscribe('fixed')->{type}, 'subscribed', '... nor a stream without keys';
$ws->send_json({ type => 'unsubscribe', stream => 'few', key => 'k4' });
next_of($ws, 'k4', 'unsubscribed');
is ask($ws, 'few', 'k5')->{type}, 'subscribed', '... and has room when it has left another';

# ... and a stream has: those that are listened to stay.

my $other = $t->ws('/many');
wait_for { ask($other, 'few', 'k6')->{type} eq 'subscribed' };
$m = ask($other, 'few', 'k7');
is $m->{code}, 'stream_full', 'one more than max=';
like $m->{message}, qr/as many keys as it takes, all are listened to/, '... is refused with a sentence';
is $t->get('/open/streams/few/k8')->{status}, 503, '... over REST, too';

$node->set(k1 => 11);
is value_of($ws, 'k1', 'few', 11), 11, 'those that are there go on';

# A hostile client: random keys one after the other.

$other->send_json({ type => 'unsubscribe', stream => 'few' });
$other->recv_type('unsubscribed');

my $made = 0;
my $began = Time::HiRes::time();

while ($made < 3000 && Time::HiRes::time() - $began < 30) {
    $other->send_text(join '', map { qq({"type":"subscribe","stream":"few","key":"x$_"}) } $made + 1);
    $other->send_text(qq({"type":"unsubscribe","stream":"few","key":"x) . ($made + 1) . '"}');
    $made++;

    if ($made % 100 == 0) {
        $other->send_json({ type => 'ping' });
        $other->recv_type('pong', 60) or last;
    }
}

cmp_ok $made, '>=', 300, "$made keys, one after the other";
$other->send_json({ type => 'ping' });
ok $other->recv_type('pong', 60), '... and an answer to a ping';

my ($row) = grep { $_->{name} eq 'few' } @{ $t->get_json('/open/streams')->{streams} };
cmp_ok $row->{keys}{kept}, '<=', 5, 'there are no more than max= of them';
$node->set(k1 => 12);
is value_of($ws, 'k1', 'few', 12), 12, 'those that were listened to are still there';
is ask($t->ws, 'few', 'k1')->{type}, 'subscribed', '... for others, too';

# The least recently left one makes room, and its seq goes on.

$other->drop;
$ws->drop;
my $last = $t->ws('/many');
wait_for { ask($last, 'few', 'old')->{type} eq 'subscribed' };
$node->set(old => 1);
wait_for { ($m = next_of($last, 'old', 'few'))->{data} == 1 };
my $seq = $m->{seq};

$last->send_json({ type => 'unsubscribe', stream => 'few', key => 'old' });
next_of($last, 'old', 'unsubscribed');

# wait until its worker has let go of it
wait_for {
    ($row) = grep { $_->{name} eq 'few' } @{ $t->get_json('/open/streams')->{streams} };
    $row->{keys}{listened} == 0;
};

my $evicted = $row->{keys}{evicted};

for my $k ('f1' .. 'f5') {
    wait_for { ask($last, 'few', $k)->{type} eq 'subscribed' };
}

($row) = grep { $_->{name} eq 'few' } @{ $t->get_json('/open/streams')->{streams} };
cmp_ok $row->{keys}{evicted}, '>', $evicted, 'keys without listeners make room';
$last->send_json({ type => 'unsubscribe', stream => 'few' });
wait_for { ask($last, 'few', 'old')->{type} eq 'subscribed' };
$m = next_of($last, 'old', 'few');
cmp_ok $m->{seq}, '>', $seq, 'a key that was dropped and comes back goes on after its last seq';
$seq = $m->{seq};


# Who may: by a list in a variable, ...

my $mine = $t->ws('/mine?who=alice');
is ask($mine, 'locked', 'aaa')->{type}, 'subscribed', 'a key of the list';
is ask($mine, 'locked', 'abx')->{type}, 'subscribed', '... of a pattern in it';
$m = ask($mine, 'locked', 'bbb');
is $m->{code}, 'forbidden_key', 'another one';
like $m->{message}, qr/may not have bbb of stream locked/, '... is refused with a sentence';
is ask($t->ws('/mine'), 'locked', 'aaa')->{code}, 'forbidden_key', 'an empty list';
is ask($t->ws('/mine?who=all'), 'locked', 'zzz')->{type}, 'subscribed', 'a list of all';
is $t->get('/api/streams/locked/bbb?who=alice')->{status}, 403, 'REST: another one';
ok((wait_for { 200 == $t->get('/api/streams/locked/aaa?who=alice')->{status} }), 'REST: one of the list');
is $t->get('/events?streams=locked/bbb&who=alice')->{status}, 403, 'SSE: another one';

# ... and by a signature.

my $sign = sub { hmac_sha256_hex("signed\n$_[0]\n$_[1]", $secret) };
my $soon = time + 1000;
$ws = $t->ws;

for (
    [{}, qr/needs "expires" and "signature"/, 'no signature'],
    [{ expires => $soon, signature => 'zz' }, qr/is wrong/, 'one that is none'],
    [{ expires => $soon, signature => $sign->('0xcd', $soon) }, qr/is wrong/, 'that of another key'],
    [{ expires => $soon + 1, signature => $sign->('0xab', $soon) }, qr/is wrong/, 'that of another time'],
    [{ expires => time - 5, signature => $sign->('0xab', time - 5) }, qr/has expired/, 'one of the past'],
    [{ expires => 'soon', signature => $sign->('0xab', 'soon') }, qr/must be a time/, 'no time'],
) {
    my ($claim, $why, $what) = @$_;
    $m = ask($ws, 'signed', '0xab', %$claim);
    like $m->{message} // '', $why, "signature: $what";
    is $m->{code}, 'forbidden_key', '... is refused';
}

is ask($ws, 'signed', '0xab', expires => $soon, signature => $sign->('0xab', $soon))->{type}, 'subscribed', 'the right signature';
is ask($ws, 'signed', '0xac', expires => "$soon", signature => uc $sign->('0xac', $soon))->{type}, 'subscribed', '... in capitals, the time as a string';
$ws->send_json({ type => 'subscribe', stream => 'signed', keys => [
    { key => '0xad', expires => $soon, signature => $sign->('0xad', $soon) }, '0xae'] });
is next_of($ws, '0xad', 'subscribed', 'error')->{type}, 'subscribed', '... in a list of keys';
is next_of($ws, '0xae', 'subscribed', 'error')->{type}, 'error', '... beside one without';
is $t->get('/open/streams/signed/0xab')->{status}, 403, 'REST: no signature';
my $args = "expires=$soon&signature=" . $sign->('0xab', $soon);
ok((wait_for { 200 == $t->get("/open/streams/signed/0xAB?$args")->{status} }), 'REST: the right one, of the key in its one form');
$ws->drop;


# A budget: 40 calls a second, of which the fixed stream takes 10. 60 keys are
# due every 500 ms, so that each has its turn every 2 s.

$ws = $t->ws('/many');
$ws->send_json({ type => 'subscribe', stream => 'slow', keys => [map { "s$_" } 1 .. 60] });
my %first;
wait_for {
    my $x = $ws->recv_json(10) // {};
    $first{ $x->{key} } = 1 if ($x->{type} // '') eq 'slow';
    return keys %first == 60;
} 40;
is 0 + keys %first, 60, 'a budget: each key has its first data';

my $stretched;
wait_for {
    my $x = $ws->recv_json(10) // {};
    $stretched = $x if ($x->{type} // '') eq 'status' && $x->{interval};
    return $stretched;
} 30;
like $stretched->{note}, qr/budget of calls \(rate=\) stretches the interval/, '... status says that the interval is longer';
is $stretched->{state}, 'live', '... which does not make them stale';
cmp_ok $stretched->{interval}, '>', 0.7, '... and how long it is';

my $from = Time::HiRes::time();
select undef, undef, undef, 6;
my $until = Time::HiRes::time();
my @calls = grep { $_->[0] >= $from && $_->[0] < $until } $node->asked('k.get');
my @fixed = grep { $_->[0] >= $from && $_->[0] < $until } $node->asked('k.head');
my $rate = (@calls + @fixed) / ($until - $from);
cmp_ok $rate, '<', 48, sprintf 'all in all there are no more than rate= calls (%.1f a second)', $rate;
cmp_ok $rate, '>', 15, '... and it is used';
cmp_ok @fixed / ($until - $from), '>', 3, 'the fixed stream comes first';
my %turns;
$turns{ $_->[1] }++ for @calls;
my @sorted = sort { $a <=> $b } map { $turns{"s$_"} // 0 } 1 .. 60;
cmp_ok $sorted[-1] - $sorted[0], '<=', 2, "the keys have their turns fairly ($sorted[0] to $sorted[-1])";
$ws->drop;


# Streams without keys that need twice the budget: the keys have one call a second.

$ws = $t->ws('/many');
$ws->send_json({ type => 'subscribe', stream => 'starved', keys => [map { "v$_" } 1 .. 4] });
(my %has, $stretched) = ();
my $take = sub {
    my $x = $ws->recv_json(10) // {};
    $has{ $x->{key} } = $x->{data} if ($x->{type} // '') eq 'starved';
    $stretched = $x if ($x->{type} // '') eq 'status' && $x->{interval};
};
wait_for { $take->(); keys %has == 4 } 40;
is 0 + keys %has, 4, 'no budget is left: each key has its first data';
$node->set(v1 => 51, v4 => 54);
wait_for { $take->(); $has{v1} == 51 && $has{v4} == 54 } 40;
is "$has{v1} $has{v4}", '51 54', '... and what changes';
wait_for { $take->(); $stretched } 40;
cmp_ok $stretched->{interval}, '>', 1, '... and status says how long its interval is';
$from = Time::HiRes::time();
select undef, undef, undef, 6;
$until = Time::HiRes::time();
@calls = grep { $_->[0] >= $from && $_->[0] < $until && $_->[1] =~ /^v/ } $node->asked('k.raw');
cmp_ok @calls, '<', 12, '... for which the node has few calls (' . @calls . ' in 6 s)';
$ws->drop;


# The zone survives: a killed worker, a reload, another size.

$last->drop;
my $watch = sub {
    my ($what) = @_;
    my ($ws, $n, $m);
    $n = int(rand 1e6) + 1;
    $node->set(old => $n);

    wait_for {
        $ws = eval { $t->ws } or return 0;
        return 0 if (ask($ws, 'few', 'old')->{type} // '') ne 'subscribed';
        while ($m = next_of($ws, 'old', 'few')) { last if !$m->{type} || $m->{data} == $n }
        $m->{type};
    } 40;
    is $m->{data}, $n, "$what: the key is polled";
    cmp_ok $m->{seq}, '>', $seq, '... and its seq goes on';
    cmp_ok $m->{seq}, '<', $seq + 200, '... by little';
    $seq = $m->{seq};
    return $ws;
};

my $held = $watch->('before');
my ($pid) = $t->error_log =~ /.*\[notice\] (\d+)#\d+: blockcast: this worker polls now/s;
kill 'KILL', $pid;
$t->allow(qr/exited on signal 9/, qr/is gone/);
$watch->('kill -9 of the poller')->drop;
kill 'KILL', $_ for $t->worker_pids;
$watch->('kill -9 of all workers')->drop;
$t->reload;
$watch->('a reload')->drop;
$t->write_conf(http => $http->('8m', 50));
$t->reload;
$watch->('a reload with another max=')->drop;
$t->write_conf(http => $http->('12m', 50));
$t->reload;
$watch->('a zone of another size')->drop;


# The state file: keys are in it, or not.

my $state = Blockcast::Test->new(workers => 2, http => <<'EOS', server => <<"EOS2");
    blockcast_zone main 8m;
    blockcast_state %%PREFIX%%/tmp/feeds.state;
    blockcast_stream kept {
        blockcast_interval 100ms;
        blockcast_key account pattern=[a-z0-9]+ max=20 state=on;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream lost {
        blockcast_interval 100ms;
        blockcast_key account pattern=[a-z0-9]+ max=20;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
EOS
        location /api/ { blockcast_api; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port}; }
EOS2

my %was;
for my $n (1 .. 3) {
    $node->set(kept => $n);
    for my $stream ('kept', 'lost') {
        wait_for { ($was{$stream} = $state->get_json("/api/streams/$stream/kept"))->{data} // 0 == $n };
    }
}
wait_for { $was{kept} = $state->get_json('/api/streams/kept/kept'); ($was{kept}{data} // 0) == 3 };

$state->signal('QUIT');
wait_for { !$state->nginx_pids };
$node->set(down => 1);
$state->start;

my $now = $state->get_json('/api/streams/kept/kept');
is $now->{data}, 3, 'state=on: the data is there after a restart, although the node is down';
is $now->{seq}, $was{kept}{seq}, '... with its seq';
is $now->{epoch}, $was{kept}{epoch}, '... of the same epoch';
is $state->get('/api/streams/lost/kept')->{status}, 503, 'state=off: it is not';
$node->set(down => 0);
ok((wait_for { 200 == $state->get('/api/streams/lost/kept')->{status} } 40), '... until the node answers');
cmp_ok $state->get_json('/api/streams/lost/kept')->{seq}, '>', $was{lost}{seq}, '... and its seq is beyond that of before';
$node->set(kept => 4);
wait_for { $now = $state->get_json('/api/streams/kept/kept'); $now->{data} == 4 };
is $now->{seq}, $was{kept}{seq} + 1, 'state=on: the next seq follows';
$state->allow(qr/\[error\]/);
$state->stop;


# What cannot be configured.

sub refused {
    my ($stream, $why, $server) = @_;

    my $c = Blockcast::Test->new(start => 0, http => "    blockcast_zone main 4m;\n$stream",
        server => $server // '        location = /n { blockcast_node; proxy_pass http://127.0.0.1:1; }');
    my ($text, $code) = $c->test_conf;
    is $code, 1, 'refused: ' . ($stream =~ /(blockcast_(?:key|after)[^;]*)/)[0];
    like $text, $why, '... with a sentence';
}

my $call = "blockcast_call b k.raw 'params_jq=[.key]';";
refused("blockcast_stream s { blockcast_key a; $call }", qr/invalid number of arguments in "blockcast_key"/);
refused("blockcast_stream s { blockcast_key a max=4; $call }", qr/needs pattern=REGEX/);
refused("blockcast_stream s { blockcast_key a pattern=[; $call }", qr/pattern= of blockcast_key in stream "s"/);
refused("blockcast_stream s { blockcast_key a pattern=(a)(b); $call }", qr/2 pairs of parentheses/);
refused("blockcast_stream s { blockcast_key a pattern=a max=0; $call }", qr/"max=0" .* must be a number from 1/);
refused("blockcast_stream s { blockcast_key a pattern=a keys=9; $call }", qr/several keys at once .* needs blockcast_jq/);
refused("blockcast_stream s { blockcast_key a pattern=a lower=yes; $call }", qr/"lower=yes" .* must be "on" or "off"/);
refused("blockcast_stream s { blockcast_key a pattern=a idle=x; $call }", qr/not a time/);
refused("blockcast_stream s { blockcast_key a pattern=a what=1; $call }", qr/invalid parameter "what=1" of blockcast_key/);
refused("blockcast_stream s { blockcast_key a pattern=a; blockcast_log e key=id; $call }", qr/cannot be beside blockcast_log/);
refused("blockcast_stream s { blockcast_key a pattern=a; blockcast_max_size 5m; $call }",
    qr/"blockcast_max_size" of stream "s", which has a blockcast_key, is more than 4m/);
refused("blockcast_stream s { blockcast_after s; $call }", qr/polled after itself/);
refused("blockcast_stream s { blockcast_after other; $call }", qr/there is no such stream/);
refused("blockcast_stream s { blockcast_key a pattern=a max=100000; $call }", qr/blockcast_zone "main" is .* bytes/);

$t->stop;
done_testing;
