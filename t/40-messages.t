#!/usr/bin/perl

# The messages of a WebSocket client and their answers. If this fails, pages
# that were written against the documented protocol show nothing, show it
# twice, or show old numbers as if they were new.

# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(node => { rate_limit => 100000 },
    http => <<'EOF', server => <<'EOS');
    blockcast_zone main 16m;
    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_stale 3s;
        blockcast_call c x.num;
    }
    blockcast_stream slow {
        blockcast_interval 30s;
        blockcast_call c x.slow;
    }
    blockcast_stream later {
        blockcast_interval 100ms;
        blockcast_stale 300ms;
        blockcast_call c x.later timeout=5s;
    }
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=100;
    }
    blockcast_stream tiny {
        blockcast_interval 100ms;
        blockcast_linger 0;
        blockcast_call c x.tiny;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=n keep=5;
    }
    blockcast_stream ring {
        blockcast_interval 50ms;
        blockcast_max_size 1k;
        blockcast_call c x.ring;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=id size=4k;
    }
    blockcast_stream many {
        blockcast_interval 100ms;
        blockcast_call c x.many;
        blockcast_jq '{rows: [range(.results.c) | {id: ., pad: ("p" * 300)}]}';
        blockcast_log rows key=id keep=5000 size=4m;
    }
    blockcast_stream hidden {
        blockcast_call c x.num;
    }
EOF
    location = /ws { blockcast_websocket num slow later list tiny; }
    location = /logs { blockcast_websocket ring many; }
    location = /few { blockcast_websocket num; }
    location = /all { blockcast_websocket; }
    location /api/ { blockcast_api; }
EOS

# what a request for the data is answered

sub snapshot { my ($name) = @_; $t->get_json("/api/streams/$name") }


# A client that has had its welcome.

sub client {
    my $ws = $t->ws($_[0] // '/ws');
    $ws->{welcome} = $ws->recv_json;
    return $ws;
}


# The connection still works, and nothing else was waiting in it.

sub alive {
    my ($ws, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $ws->send_text('{"type":"ping","id":"alive"}');
    my $text = $ws->recv_message // 'nothing';
    like($text, qr/\A\{"type":"pong".*"id":"alive"\}\z/, $name // 'the connection stays open');
}


# All that has come so far is read: what comes next is new.

sub settle {
    my ($ws) = @_;

    $ws->send_text('{"type":"ping","id":"settled"}');
    $ws->recv_type('pong');
}


# Three polls of a method later nothing has come.

sub silent {
    my ($ws, $method, $name) = @_;
    my $n = $t->asked($method);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { $t->asked($method) >= $n + 3 }, 20);
    alive($ws, $name);
}


# Types of the messages that come until one matches, as a string.

sub types_until {
    my ($ws, $type, $timeout) = @_;

    my @types;
    my $end = time + ($timeout // 20);

    while (my $m = $ws->recv_json($end - time)) {
        push @types, $m->{type} . ($m->{state} ? "($m->{state})" : '');
        last if $types[-1] eq $type;
    }

    return join ' ', @types;
}


$t->set(num => '{"a":1}');
$t->set(slow => '{"height":7}');
$t->set(list => '[]');
$t->set(tiny => '[]');
$t->set(later => '"late"');


# The welcome. If this fails, a page does not learn what it may subscribe to,
# nor that the server has forgotten what the page remembers.

my $ws;

subtest 'the welcome' => sub {
    $ws = client();
my $welcome = $ws->{welcome};

is($welcome->{type}, 'welcome', 'the first message is the welcome');
like($welcome->{message}, qr/blockcast/, 'with a message');
ok(abs($welcome->{timestamp} - time) < 30, 'a timestamp in Unix seconds');
is_deeply($welcome->{available_streams}, [qw(num slow later list tiny)],
    'the streams of this endpoint');
like($welcome->{epoch}, qr/^[1-9]\d*$/, 'and an epoch');
is(client()->{welcome}{epoch}, $welcome->{epoch}, 'which is the same for the next client');
is_deeply(client('/few')->{welcome}{available_streams}, ['num'], 'another endpoint, other streams');
is(scalar @{ client('/all')->{welcome}{available_streams} }, 8,
    'an endpoint that names none offers all');
};


# Subscribe. If this fails, the page stays empty until the data changes.

my ($text, $start);

subtest 'subscribe' => sub {
$ws = client();
$t->node(POST => '/control/fault', { method => 'x.later', fault => 'slow', ms => 400, count => 1 });
$ws->send_text('{"type":"subscribe","stream":"later"}');

    $text = $ws->recv_message;
like($text, qr/\A\{"type":"subscribed","stream":"later","timestamp":\d+\}\z/,
    'subscribe is answered');
$text = $ws->recv_message;
like($text, qr/\A\{"type":"status","stream":"later","state":"waiting","age":null,"error":null,"timestamp":\d+\}\z/,
    'before there is data: a status of waiting');
$text = $ws->recv_message;
like($text, qr/\A\{"type":"later","data":"late","timestamp":\d+,"seq":1\}\z/,
    'and the data as soon as it lands');
is(($ws->recv_json)->{state}, 'live', 'then it is live');
$ws->drop;

$ws = client();
$ws->subscribe('slow');
my $first = $ws->recv_type('slow');
is_deeply($first->{data}, { height => 7 }, 'a stream with a long interval: polled at once');

my $second = client();
    $start = time;
    my $asked = $t->asked('slow');
$second->send_text('{"type":"subscribe","stream":"slow"}');
is(types_until($second, 'slow'), 'subscribed slow', 'a second client gets the snapshot');
    ok(time - $start < 5 * slow(), 'at once');
    is($t->asked('slow'), $asked, 'for which the node is not asked again');
$second->drop;
$ws->drop;
};


# seq. If this fails, a page takes repeated data for news, or misses some.

my ($m, $seq, $before);

subtest 'seq' => sub {
$ws = client();
$ws->subscribe('num');
    $m = $ws->recv_type('num');
    $seq = $m->{seq};

like($seq, qr/^\d+$/, 'data has a seq');
ok(abs($m->{timestamp} - time) < 30, 'and a timestamp');
    my $came = time;
    settle($ws);

    $before = $t->asked('num');
    ok(wait_for(sub { $t->asked('num') >= $before + 5 }, 20), 'the node is polled');
    alive($ws, 'the same data makes no message');
    my $row = $t->row('num');
is($row->{seq}, $seq, 'and no seq');
ok($row->{age} < time - $came, 'but its age is refreshed') or diag($row->{age});
is($row->{state}, 'live', 'so that it is live');

for my $n (1 .. 5) {
        $t->set(num => qq({"a":2,"n":$n}));
    my $m = $ws->recv_type('num');
    is($m->{seq}, $seq + $n, "change $n has the next seq");
    is($m->{data}{n}, $n, 'and its data');
}

    $t->set(num => '{"a":2, "n":5}');
$m = $ws->recv_type('num');
is($m->{seq}, $seq + 6, 'other bytes are a change');
};


# Unsubscribe. If this fails, a page that turned to something else is sent
# data for nothing, and the node is polled for nobody.

subtest 'unsubscribe' => sub {
$ws->send_text('{"type":"unsubscribe","stream":"num"}');
like($ws->recv_message, qr/\A\{"type":"unsubscribed","stream":"num","timestamp":\d+\}\z/,
    'unsubscribe is answered');
    $t->set(num => '{"a":3}');
    ok(wait_for(sub { $before = $t->asked('num'); sleep 0.4; $t->asked('num') == $before }, 20),
        'the node is no longer asked for it');
alive($ws, 'nor is anything sent');
    is($t->row('num')->{subscribers}, 0, 'nobody is counted');
    ok(wait_for { $t->row('num')->{state} eq 'idle' }, 'the stream is idle');

$ws->send_text('{"type":"unsubscribe","stream":"num"}');
is($ws->recv_json->{type}, 'unsubscribed', 'unsubscribe from what is not subscribed: the same');

# data from before: first, then that it is old, then what is new

    wait_for { $t->row('num')->{age} > 3.1 };
$ws->send_text('{"type":"subscribe","stream":"num"}');
is(types_until($ws, 'status(live)'), 'subscribed num status(stale) num status(live)',
    'subscribe again: the snapshot, that it is stale, the news, that it is live');
    is(snapshot('num')->{data}{a}, 3, 'the data that changed meanwhile');
};


# Duplicate subscribe. If this fails, everything comes twice after a client
# subscribed again to be sure.

subtest 'duplicate subscribe' => sub {
$ws->send_text('{"type":"subscribe","stream":"num"}') for 1 .. 3;
is(join(' ', map { $ws->recv_json->{type} } 1 .. 3), 'subscribed subscribed subscribed',
    'each of three subscribes is answered');
    is($t->row('num')->{subscribers}, 1, 'the subscriber is counted once');
    $t->set(num => '{"a":4}');
is($ws->recv_json->{type}, 'num', 'a change comes');
silent($ws, 'num', 'once');
$ws->send_text('{"type":"unsubscribe","stream":"num"}');
$ws->recv_type('unsubscribed');
    is($t->row('num')->{subscribers}, 0, 'and one unsubscribe ends it');
$ws->drop;
};


# Several streams. If this fails, a page with more than one panel stays empty
# in part.

subtest 'several streams' => sub {
$ws = client();
$ws->send_text('{"type":"subscribe","streams":["num","slow"],"id":9}');
my %got;
until ($got{'subscribed:num:9'} && $got{'subscribed:slow:9'} && $got{num} && $got{slow}) {
    my $m = $ws->recv_json or last;
    $got{$m->{type} . ($m->{type} eq 'subscribed' ? ":$m->{stream}:$m->{id}" : '')}++;
}
ok($got{'subscribed:num:9'} && $got{'subscribed:slow:9'} && $got{num} && $got{slow},
    'streams: each is answered and delivered') or diag(join ' ', %got);

$ws->send_text('{"type":"unsubscribe","streams":["num","slow"]}');
is(join(' ', sort map { ($ws->recv_type('unsubscribed') // {})->{stream} // '-' } 1 .. 2),
    'num slow', 'unsubscribe from several');

$ws->send_text('{"type":"subscribe","stream":"slow","streams":["nope","num",7,"hidden"]}');
my @answers;
while (@answers < 5) {
    my $m = $ws->recv_json or last;
    push @answers, $m->{code} // $m->{stream} if $m->{type} =~ /^(?:error|subscribed)$/;
}
is("@answers", 'slow unknown_stream num unknown_stream unknown_stream',
    'stream and streams: what is wrong with one does not harm the others');
$ws->send_text('{"type":"unsubscribe","streams":["num","slow"]}');
$ws->recv_type('unsubscribed') for 1, 2;

$ws->send_text('{"type":"subscribe","streams":[' . join(',', ('"num"') x 65) . ']}');
is(($ws->recv_type('error') // {})->{code}, 'bad_request', 'more names than there can be streams');
$ws->drop;
};


# Errors. If this fails, a page cannot tell the user what is wrong, or loses
# its connection with all other streams for a typing error.

subtest 'errors' => sub {
$ws = client();

for my $c (['{"type":"subscribe","stream":"nope"}', 'unknown_stream', 'nope'],
    ['{"type":"unsubscribe","stream":"nope"}', 'unknown_stream', 'nope'],
    ['{"type":"subscribe","stream":"a\"b\u0000\u0001<\ud83d\ude00"}', 'unknown_stream', 'a"b'],
    ['{"type":"subscribe","stream":"hidden"}', 'unknown_stream', 'hidden'],
    ['{"type":"unsubscribe","stream":"hidden"}', 'unknown_stream', 'hidden'],
    ['{"type":"subscribe"}', 'unknown_stream', 'no "stream"'],
    ['{"type":"subscribe","stream":null}', 'unknown_stream', 'no "stream"'],
    ['{"type":"subscribe","stream":["num"]}', 'unknown_stream', 'no "stream"'],
    ['{"type":"subscribe","streams":"num"}', 'unknown_stream', 'no "stream"'],
    ['{"type":"subscribe","streams":[]}', 'unknown_stream', 'no "stream"'],
    ['{"type":"subscribe","streams":[null]}', 'unknown_stream', 'string'],
    ['{"type":"subscribe","stream":"NUM"}', 'unknown_stream', 'NUM'],
    ['{"type":"subscribe","stream":""}', 'unknown_stream', 'unknown stream'],
    ['{"type":"subscribe","stream":"' . 'x' x 5000 . '"}', 'unknown_stream', 'xxx'],
    ['{"type":"publish"}', 'unknown_type', 'publish'],
    ['{"type":"ping\u0000"}', 'unknown_type', 'ping'], ['{"type":"ping","x":"\u0000"}x', 'invalid_json', 'valid JSON'],
    ['{"type":"ping","x":01}', 'invalid_json', 'valid JSON'],
    ['{"type":"ping","x":[' . join(',', (0) x 1100) . ']}', 'bad_request', 'more than 1024 values'],
    ['{"type":"SUBSCRIBE","stream":"num"}', 'unknown_type', 'SUBSCRIBE'],
    ['{"type":""}', 'unknown_type', 'unknown message type'],
    ['{"type":5}', 'unknown_type', 'no "type"'],
    ['{}', 'unknown_type', 'no "type"'],
    ['{"stream":"num"}', 'unknown_type', 'no "type"'],
    ['', 'invalid_json', 'JSON'],
    [' ', 'invalid_json', 'JSON'],
    ['ping', 'invalid_json', 'JSON'],
    ['{"type":"ping"', 'invalid_json', 'JSON'],
    ['{"type":"ping",}', 'invalid_json', 'JSON'],
    ['{"type":"ping"}{"type":"ping"}', 'invalid_json', 'JSON'],
    ['{"type":"ping"} x', 'invalid_json', 'JSON'],
    ["{'type':'ping'}", 'invalid_json', 'JSON'],
    ["{\"type\":\"ping\"}\0", 'invalid_json', 'JSON'],
    ['{"type":"ping","n":01}', 'invalid_json', 'JSON'],
    ['{"type":"ping","n":NaN}', 'invalid_json', 'JSON'],
    ['{"type":"ping","s":"\x"}', 'invalid_json', 'JSON'],
    ["{\"type\":\"ping\",\"s\":\"a\nb\"}", 'invalid_json', 'JSON'],
    ['{"type":"ping","s":' . '[' x 40 . ']' x 40 . '}', 'invalid_json', 'JSON'],
    ['[]', 'invalid_json', 'object'],
    ['[{"type":"ping"}]', 'invalid_json', 'object'],
    ['"ping"', 'invalid_json', 'object'],
    ['7', 'invalid_json', 'object'],
    ['null', 'invalid_json', 'object'])
{
    my ($text, $code, $word) = @$c;
    (my $name = substr $text, 0, 60) =~ s/[^ -~]/?/g;

    $ws->send_text($text);
    my $m = $ws->recv_json // {};
    ok(($m->{type} // '') eq 'error' && ($m->{code} // '') eq $code
        && index($m->{message} // '', $word) >= 0, "$code: $name")
        or diag(explain($m));
    alive($ws);
}

$ws->send_binary('{"type":"ping"}');
$m = $ws->recv_json;
is("$m->{type} $m->{code}", 'error invalid_json', 'JSON in a binary frame');
alive($ws);

$ws->send_text('{"type":"subscribe","stream":"nope","id":[1, "x"]}');
like($ws->recv_message, qr/"id":\[1, "x"\]\}\z/, 'an error has the id of what it answers');
};


# ping. If this fails, pages that watch their connection reconnect for ever,
# or cannot match answers to questions.

subtest 'ping' => sub {
$ws->send_text('{"type":"ping"}');
like($ws->recv_message, qr/\A\{"type":"pong","timestamp":\d+\}\z/, 'pong');

for my $id ('"text"', '"\u0041\n\"\/"', '1', '1.50', '-0', '1e400', '18446744073709551615',
    'null', 'true', '{"a": [1, {"b":2 }] , "c":"}"}', '[]', "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    '"' . 'i' x 126 . '"', '[[[[[1]]]]]')
{
    my $name = length $id > 50 ? substr($id, 0, 20) . '...' : $id;

    $ws->send_text(qq({"type":"ping","id":$id}));
    my $text = $ws->recv_message;
    like($text, qr/\A\{"type":"pong","timestamp":\d+,"id":\Q$id\E\}\z/,
        "the id comes back byte for byte: $name");
}

for my $text ('{"id" : 7 , "type":"ping"}', ' { "type" : "ping" , "id":7 } ',
    '{"x":{"id":1,"type":"no"},"type":"ping","id":7,"y":["id",{"type":1}]}',
    '{"type":"\u0070ing","id":7}', "{\r\n\t\"type\": \"ping\",\r\n\t\"id\":7\r\n}")
{
    $ws->send_text($text);
    like($ws->recv_message, qr/"type":"pong".*"id":7\}\z/, 'white space, order, unknown members: '
        . ($text =~ s/\s/ /gr));
}

$ws->send_text('{"type":"subscribe","stream":"slow","id":"a","since":null,"unknown":{"x":1}}');
like($ws->recv_message, qr/"type":"subscribed".*"id":"a"\}\z/,
    'subscribe with an id, a null since and unknown members');
$ws->recv_type('slow');
$ws->send_text('{"type":"unsubscribe","stream":"slow","id":"b"}');
like($ws->recv_message, qr/"type":"unsubscribed".*"id":"b"\}\z/, 'unsubscribe with an id');

# many in one packet
$ws->drop;
$ws = client();
$ws->send_raw(join '', map { Blockcast::WebSocket->frame(payload => qq({"type":"ping","id":$_})) }
    1 .. 100);
is(join(',', map { ($ws->recv_json // {})->{id} // '-' } 1 .. 100), join(',', 1 .. 100),
    'a hundred pings in one packet: a hundred pongs in order');
$ws->drop;
};


# Logs. If this fails, a receipt is shown twice, out of order, or never.

sub ids { join ' ', map { $_->{id} } @{ ($_[0] // { data => {} })->{data}{entries} // [] } }


sub entries { join ',', map { qq({"id":$_,"v":"v$_"}) } @_ }


subtest 'logs' => sub {
    $t->set(list => '[' . entries(1 .. 30) . ']');
$ws = client();
$ws->send_text('{"type":"subscribe","stream":"list"}');
is(types_until($ws, 'list'), 'subscribed status(waiting) list', 'a log begins like other streams');

$ws->drop;
$ws = client();
$ws->subscribe('list');
$m = $ws->recv_type('list');
is(ids($m), join(' ', 11 .. 30), 'a new client gets a page: the newest, oldest first');
is($m->{data}{count}, 20, 'with their number');
my $s0 = $m->{seq};

    $t->set(list => '[' . entries(10 .. 31) . ']');
$m = $ws->recv_type('list');
is(ids($m), '31', 'one more entry: it alone is delivered');
is($m->{data}{count}, 1, 'its number');
is($m->{seq}, $s0 + 1, 'it is the next seq');

    $t->set(list => '[' . entries(12 .. 34) . ']');
$m = $ws->recv_type('list');
is(ids($m), '32 33 34', 'three at once, in order');
is($m->{seq}, $s0 + 2, 'are one seq');

    $t->set(list => '[' . entries(33, 34, 35, 35, 31, 36) . ']');
$m = $ws->recv_type('list');
is(ids($m), '35 36', 'one that is repeated, and an old one that comes back: only the new ones, once');

    $t->set(list => '[{"id":36,"v":"other"},' . entries(37) . ']');
$m = $ws->recv_type('list');
is(ids($m), '37', 'a known key with another content is known');
is($m->{seq}, $s0 + 4, 'nothing in between had a seq');
$ws->drop;

    $t->set(list => '[' . entries(37, 38) . ']');

my @since = (
    ['exactly what was missed', $s0 + 2, qr/^35 36 37( 38)?$/],
    ['from one batch further', $s0 + 3, qr/^37( 38)?$/],
    ['since 0: all that is kept', 0, qr/^1 2 3 .* 37( 38)?$/],
    ['since 1', 1, qr/^31 32 33 34 35 36 37( 38)?$/],
);

for my $c (@since) {
    my ($name, $since, $re) = @$c;
    my $ws = client();
    $ws->subscribe('list', since => $since);
    my $m = $ws->recv_type('list');
    like(ids($m), $re, "since: $name");
    ok(!exists $m->{gap}, 'without a gap');
    is($m->{data}{count}, scalar @{ $m->{data}{entries} }, 'the count is that of the entries');
    $ws->drop;
}

    wait_for { snapshot('list')->{seq} == $s0 + 5 };

$ws = client();
$ws->subscribe('list', since => $s0 + 5);
silent($ws, 'list', 'since the newest: nothing comes');
    $t->set(list => '[' . entries(37 .. 40) . ']');
$m = $ws->recv_type('list');
is(ids($m), '39 40', 'but what is new does');
is($m->{seq}, $s0 + 6, 'with the next seq');
$ws->drop;

for my $since ($s0 + 7, 1000000, 9007199254740991) {
    $ws = client();
    $ws->subscribe('list', since => $since);
    is(ids($ws->recv_type('list')), join(' ', 21 .. 40),
        "since $since, a seq that never was: it is of another epoch, the page comes");
    $ws->drop;
}

$ws = client();
for my $since ('-1', '1.5', '"5"', '[]', '{}', 'true', '1e30') {
    $ws->send_text(qq({"type":"subscribe","stream":"list","since":$since}));
    $m = $ws->recv_json;
    is("$m->{type} $m->{code}", 'error bad_request', "since $since is none");
    like($m->{message}, qr/since/, 'and the message says so');
}
alive($ws);

    $t->set(slow => '{"height":8}');
$ws->send_text('{"type":"subscribe","stream":"slow","since":1000}');
is(types_until($ws, 'slow'), 'subscribed slow', 'since on a snapshot stream is ignored');
$ws->drop;
};


# The gap. If this fails, a page believes that it has all entries, when some
# are gone for ever.

sub rows { join ' ', map { $_->{n} } @{ ($_[0] // { data => {} })->{data}{rows} // [] } }


sub tiny { $t->set(tiny => '[' . join(',', map { qq({"n":"$_"}) } @_) . ']') }


subtest 'the gap' => sub {
tiny(1 .. 3);
$ws = client();
$ws->subscribe('tiny');
$m = $ws->recv_type('tiny');
is(rows($m), '1 2 3', 'a log that keeps 5 has 3');
my $t0 = $m->{seq};

for my $n (4 .. 9) {
    tiny($n - 2 .. $n);
    is(rows($m = $ws->recv_type('tiny')), $n, "then $n");
}

is($m->{seq}, $t0 + 6, 'six seqs later');

for my $c ([$t0 + 2, '6 7 8 9', 0], [$t0 + 1, '5 6 7 8 9', 0], [$t0, '5 6 7 8 9', 1],
    [0, '5 6 7 8 9', 1])
{
    my ($since, $rows, $gap) = @$c;
    my $ws = client();
    $ws->subscribe('tiny', since => $since);
    my $m = $ws->recv_type('tiny');
    is(rows($m), $rows, 'since ' . ($since - $t0) . ' of six');
    is_deeply($m->{gap}, $gap ? { since => $since, oldest => $t0 + 2 } : undef,
        $gap ? 'with the gap' : 'without a gap');
    is($m->{seq}, $t0 + 6, 'up to the newest');
    $ws->drop;
}

# what the node still has and we no longer keep is not news

tiny(1 .. 10);
is(rows($ws->recv_type('tiny')), '10',
    'a node that shows more than is kept: only the new one is delivered');
silent($ws, 'tiny', 'and nothing again with the next polls');
tiny(1 .. 11);
is(rows($ws->recv_type('tiny')), '11', 'nor with the next entry');

# more new ones at once than are kept: who is connected gets all of them

tiny(12 .. 24);
my @all;
while (@all < 13) {
    my $m = $ws->recv_type('tiny') or last;
    push @all, split / /, rows($m);
}
is("@all", join(' ', 12 .. 24), 'more at once than are kept: all are delivered');
silent($ws, 'tiny', 'once');
$ws->drop;

my $late = client();
$late->subscribe('tiny');
is(rows($late->recv_type('tiny')), '20 21 22 23 24', 'and a new client gets those that are kept');
$late->drop;

# an entry without its key, and what is not an object

$ws = client();
$ws->subscribe('tiny');
$ws->recv_type('tiny');
    $t->set(tiny => '[{"x":1},5,null,{"n":null},{"n":"25"},{"n":{}}]');
is(rows($ws->recv_type('tiny')), '25', 'entries without a key are left out');
ok($t->wait_log(qr/stream "tiny" failed: \d of 6 entries have no "n" to tell them apart/),
    'and the log says so');
tiny(25, 26);
is(rows($ws->recv_type('tiny')), '26', 'the others go on');
$ws->drop;
};


# A ring that is small, entries of many sizes. If this fails, entries are
# broken or lost where the memory begins anew.

sub ring {
    my ($from, $to) = @_;
    $t->set(ring => '[' . join(',', map { qq({"id":$_,"pad":") . 'r' x ($_ * 37 % 300) . '"}' }
        $from .. $to) . ']');
}


subtest 'A ring that is small, entries of many sizes' => sub {
    $t->set(ring => '[]');
$ws = client('/logs');
$ws->subscribe('ring');
my ($next, @seen, @broken) = (1);

while ($next < 150) {
    my $to = $next + $next % 4;
    ring($next > 3 ? $next - 3 : 1, $to);

    while (!@seen || $seen[-1] < $to) {
        my $m = $ws->recv_type('ring') or last;
        for (@{ $m->{data}{rows} }) {
            push @seen, $_->{id};
            push @broken, $_->{id} unless $_->{pad} eq 'r' x ($_->{id} * 37 % 300);
        }
    }

    last if !@seen || $seen[-1] < $to;
    $next = $to + 1;
}

is(join(' ', @seen), join(' ', 1 .. $next - 1), "$next entries through a ring of 4k: each once, in order");
is("@broken", '', 'and whole');
$ws->drop;

$ws = client('/logs');
$ws->subscribe('ring', since => 1);
$m = $ws->recv_type('ring');
my @kept = map { $_->{id} } @{ $m->{data}{rows} };
ok(@kept >= 5 && $kept[-1] == $next - 1 && $kept[0] == $next - @kept,
    'who comes back late gets the newest ones') or diag("@kept");
is($m->{gap}{since}, 1, 'and that there is a gap');
ok(!(grep { $_->{pad} ne 'r' x ($_->{id} * 37 % 300) } @{ $m->{data}{rows} }), 'whole, too');
$ws->drop;
};


# Much at once. If this fails, the first start on a busy chain delivers a part.

subtest 'much at once' => sub {
    $t->set(many => 5);
$ws = client('/logs');
$ws->subscribe('many');
$ws->recv_type('many');
    $t->set(many => 3000);

my ($size, $messages, $lastseq, @many) = (0, 0, 0);

while (!@many || $many[-1] != 2999) {
    my $text = $ws->recv_message // last;
    my $m = $Blockcast::Test::JSON->decode($text);
    next if $m->{type} ne 'many';
    push @many, map { $_->{id} } @{ $m->{data}{rows} };
    $size = length $text if length $text > $size;
    $messages++;
    fail('seq grows') if $m->{seq} <= $lastseq;
    $lastseq = $m->{seq};
}

is(join(' ', @many), join(' ', 5 .. 2999), 'three thousand entries at once: each once, in order');
ok($messages > 10 && $size < 66000, 'in messages of blockcast_max_size') or diag("$messages, $size");
$ws->drop;

$ws = client('/logs');
$ws->subscribe('many', since => 0);
@many = ();

while (!@many || $many[-1] != 2999) {
    my $m = $ws->recv_type('many') or last;
    push @many, map { $_->{id} } @{ $m->{data}{rows} };
    fail('no gap') if $m->{gap};
}

is(join(' ', @many), join(' ', 0 .. 2999), 'and all of them for who comes back');
is($t->get_json('/api/many?limit=10000')->{count}, 3000, 'and over HTTP');
$ws->drop;
};


# A log client that comes back to a server that has forgotten all. If this
# fails, it waits for a seq that will not come for days.

subtest 'A log client that comes back to a server that has forgotten all' => sub {
my $fresh = Blockcast::Test->new(node => 1, http => <<'EOF', server => <<'EOS');
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id;
    }
EOF
    location = /ws { blockcast_websocket; }
EOS

$fresh->node(POST => '/control/set', '{"method":"x.list","result":[{"id":1}]}');
$ws = $fresh->ws('/ws');
$ws->subscribe('list', since => 500);
is(ids($ws->recv_type('list')), '1', 'since=500 before the first poll of a new epoch: the data comes');
$fresh->node(POST => '/control/set', '{"method":"x.list","result":[{"id":1},{"id":2}]}');
is(ids($ws->recv_type('list')), '2', 'and what is new after it');
$ws->drop;
$fresh->stop;
};


# stale and live. If this fails, a page shows a dead node's last numbers as if
# they were of now, or zeros in their place.

subtest 'stale and live' => sub {
    $t->set(num => '{"a":10}');
$ws = client();
$ws->subscribe('num');
wait_for { my $m = $ws->recv_type('num', 1); $m && $m->{data}{a} == 10 };
settle($ws);
    $seq = snapshot('num')->{seq};

$t->node(POST => '/control/fault', { method => 'x.num', fault => 'drop' });
$start = time;
    $m = $ws->recv_type('status', 20);
is("$m->{stream} $m->{state}", 'num stale', 'the node stops: a status of stale');
    ok(time - $start > 2 && time - $start < 5 * slow(), 'when blockcast_stale is over')
    or diag(time - $start);
    ok($m->{age} >= 3 && $m->{age} < 5 * slow(), 'with the age in seconds') or diag($m->{age});
like($m->{error}, qr/^x\.num: .*closed/, 'and the error');
ok(!grep({ $_->{type} eq 'num' } $ws->skipped), 'no data was sent');
    is_deeply(snapshot('num')->{data}, { a => 10 }, 'the last good data is kept');
    is(snapshot('num')->{seq}, $seq, 'with its seq');

my $new = client();
$new->send_text('{"type":"subscribe","stream":"num"}');
is(types_until($new, 'status(stale)'), 'subscribed num status(stale)',
    'a new client gets the data and that it is stale');
ok(!defined $ws->recv_message(0.5), 'nothing is repeated while it lasts');

$t->node('DELETE', '/control/fault', {});
$m = $ws->recv_type('status', 30);
is($m->{state}, 'live', 'the node answers again: a status of live');
ok($m->{age} < 3, 'with a small age');
is($m->{error}, undef, 'and no error');
is($new->recv_type('status', 30)->{state}, 'live', 'the other client is told, too');
    is(snapshot('num')->{seq}, $seq, 'the same data has the same seq');

    $t->set(num => '{"a":11}');
is($ws->recv_type('num')->{seq}, $seq + 1, 'and the next change is the next one');
$ws->drop;
$new->drop;
};


# Stale before the poll has failed. If this fails, a page waits for fresh data
# and does not say that the node is gone.

subtest 'stale before the poll has failed' => sub {
    $t->set(num => '{"a":12}');
$ws = client();
$ws->subscribe('num');
wait_for { my $m = $ws->recv_type('num', 1); $m && $m->{data}{a} == 12 };
$ws->drop;
    ok(wait_for { $t->row('num')->{state} eq 'idle' }, 'nobody wants it');
    wait_for { $t->row('num')->{age} > 3.1 };

$t->node(POST => '/control/fault', { method => 'x.num', fault => 'drop' });
$ws = client();
$ws->send_text('{"type":"subscribe","stream":"num"}');
$m = $ws->recv_type('status', 30);
is($m->{state}, 'stale', 'old data of an idle stream is stale');
$m = $ws->recv_type('status', 30) unless defined $m->{error};
like($m->{error}, qr/^x\.num: .*closed/, 'and when its poll fails, the client is told why');
ok(!defined $ws->recv_message(0.5), 'once');
$t->node('DELETE', '/control/fault', {});
is($ws->recv_type('status', 30)->{state}, 'live', 'and when it is over');
$ws->drop;
};


# Long messages. If this fails, a client that subscribes to much in one go is
# closed.

subtest 'long messages' => sub {
$ws = client();
$ws->send_text('{"type":"ping","pad":"' . 'x' x (65536 - 24) . '"}');
is($ws->recv_json->{type}, 'pong', 'a message of 64k is read');
$ws->send_text('{"type":"ping","pad":"' . 'x' x 65536 . '"}');
is(($ws->recv_close)[0], 1009, 'and a longer one closes');
$ws->drop;

$t->stop;
};


# Two workers. If this fails, what a client sees depends on the worker that
# its connection came to.

subtest 'two workers' => sub {
$t = Blockcast::Test->new(workers => 2, node => { rate_limit => 100000 },
    http => <<'EOF', server => <<'EOS');
    blockcast_stream num { blockcast_interval 100ms; blockcast_call c x.num; }
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id;
    }
EOF
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
EOS

    $t->set(num => '0');
    $t->set(list => '[{"id":0}]');
my @ws = map { client() } 1 .. 20;

$_->send_text('{"type":"subscribe","streams":["num","list"]}') for @ws;

# all have the first data
for my $ws (@ws) {
    my ($num, $list);
    until ($num && $list) {
        my $m = $ws->recv_json or last;
        $num ||= $m->{type} eq 'num';
        $list ||= $m->{type} eq 'list';
    }
}

for my $n (1 .. 5) {
        $t->set(num => $n);
        $t->set(list => '[' . entries(0 .. $n) . ']');
    wait_for { ($t->value('num') // 0) == $n && ($t->value('list') // {})->{entries}[-1]{id} == $n } 20;
}

my (%num, %list);

for my $ws (@ws) {
    my (@n, @l);

    while (!@n || $n[-1] != 5 || !@l || $l[-1] != 5) {
        my $m = $ws->recv_json or last;
        push @n, $m->{data} if $m->{type} eq 'num';
        push @l, map { $_->{id} } @{ $m->{data}{entries} } if $m->{type} eq 'list';
    }

    $num{"@n"}++;
    $list{"@l"}++;
}

is(join('; ', keys %num), '1 2 3 4 5', 'each of 20 clients saw each change once, in order');
is(join('; ', keys %list), '1 2 3 4 5', 'and each entry once, in order');
    is($t->row('num')->{subscribers}, 20, 'all are counted');
$_->drop for @ws;
    ok(wait_for { $t->row('num')->{subscribers} == 0 }, 'and none when they are gone');
};

$t->stop;

done_testing();
