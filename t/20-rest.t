#!/usr/bin/perl

# The streams over plain HTTP. If this fails, monitoring, caches and scripts
# that read them get wrong statuses, stale copies, or text where they expect
# JSON.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(node => { rate_limit => 100000 },
    http => <<'EOF', server => <<'EOS');
    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_stale 500ms;
        blockcast_call c x.num;
    }
    blockcast_stream other {
        blockcast_interval 1500ms;
        blockcast_call c x.other;
    }
    blockcast_stream list {
        blockcast_interval 100ms;
        blockcast_call c x.list;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=200;
    }
EOF
    location /api/ { blockcast_api; }
    location /few/ { blockcast_api other; }
    location = /health { blockcast_health; }
    location = /rest/num { blockcast_rest num; }
    location = /rest/list { blockcast_rest list; }
    location ~ ^/v[0-9]+/feeds/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
    location /zip/ {
        gzip on;
        gzip_types application/json;
        gzip_min_length 1;
        blockcast_api;
    }
EOS

my $json = $Blockcast::Test::JSON;

sub set { $t->node(POST => '/control/set', qq({"method":"x.$_[0]","result":$_[1]})) }
sub asked { $t->node(GET => '/control/stats')->{by_method}{"x.$_[0]"} // 0 }
sub row { my ($n) = @_; (grep { $_->{name} eq $n } @{ $t->get_json('/api/streams')->{streams} })[0] }


# A JSON error: status, "error" and a message that matches.

sub json_error {
    my ($r, $status, $code, $re, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $body = eval { $json->decode($r->{body}) } // {};

    ok($r->{status} == $status && $r->{headers}{'content-type'} eq 'application/json'
        && ($body->{error} // '') eq $code && ($body->{message} // '') =~ $re
        && $r->{headers}{'cache-control'} eq 'no-store', $name)
        or diag($r->{head}, "\n", $r->{body});
}

set(num => '{"big": 18446744073709551615, "d":1.10}');
set(other => '"o"');
set(list => '[]');


# Nobody listens. If this fails, a dashboard that nobody has open costs the
# node its requests.

my $r = $t->get('/api/streams');
is($r->{status}, 200, '/api/streams');
is($r->{headers}{'content-type'}, 'application/json', 'is JSON');
is($r->{headers}{'cache-control'}, 'no-cache', 'that is asked for again');

my $list = $json->decode($r->{body});
is(join(' ', map { $_->{name} } @{ $list->{streams} }), 'num other list',
    'every stream, as they are declared');

my $row = $list->{streams}[0];
is_deeply([@$row{qw(kind interval seq age state subscribers error)}],
    ['snapshot', 0.1, 0, undef, 'idle', 0, undef], 'a stream before its first poll')
    or diag(explain($row));
is($list->{streams}[2]{kind}, 'log', 'the log says that it is one');
like($list->{epoch}, qr/^\d+$/, 'the epoch');
is($t->get('/api/')->{body} =~ /"streams":\[/, 1, '/api/ is the same');
is($t->get('/api/streams/')->{status}, 200, 'and /api/streams/');
is($t->get_json('/few/streams')->{streams}[0]{name}, 'other', 'an address for some of the streams');
is(scalar @{ $t->get_json('/few/streams')->{streams} }, 1, 'lists only these');

$t->get('/health');
sleep 0.5;
is($t->node(GET => '/control/stats')->{requests}, 0,
    'nobody asked for data: nothing was asked of the node');


# Before the first snapshot. If this fails, a script takes "no data yet" for
# data, or hammers.

$t->node(POST => '/control/fault', { method => 'x.other', fault => 'hang', ms => 1200, count => 1 });
my $start = time;
$r = $t->get('/api/streams/other');
json_error($r, 503, 'waiting', qr/stream other has no data yet$/,
    'the node does not answer the first poll: 503');
is($r->{headers}{'retry-after'}, '1', 'with Retry-After');
ok(time - $start < 2, 'in a bounded time');

for my $path ('/api/list', '/rest/num', '/api/streams/list') {
    is($t->get($path)->{status}, 200, "$path: who asks first makes it be polled");
}

ok(asked('num') > 0, 'the node was asked now');
ok(wait_for { $t->get('/api/streams/other')->{status} == 200 }, 'and goes on with the other');


# A snapshot. If this fails, caches and browsers fetch all of it each time, or
# never see the next one.

$r = $t->get('/api/streams/num');
is($r->{status}, 200, '/api/streams/num');
like($r->{body}, qr/\A\{"type":"num","data":\{"big": 18446744073709551615, "d":1\.10\},"timestamp":\d{10},"seq":1\}\z/,
    'is the WebSocket message, with the node\'s own bytes');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
is($r->{headers}{'content-length'}, length $r->{body}, 'with its length');
is($r->{headers}{'cache-control'}, 'no-cache', 'that is asked for again');
like($r->{headers}{etag}, qr/\A"[^"]+"\z/, 'and has an ETag');

my $etag = $r->{headers}{etag};
my $body = $r->{body};

for my $c (['the same', $etag, 304], ['a weak one', "W/$etag", 304], ['any', '*', 304],
    ['a list', qq("x", $etag, "y"), 304], ['another', '"x"', 200],
    ['a part of it', substr($etag, 0, -2) . '"', 200])
{
    for my $method ('GET', 'HEAD') {
        my $r = $t->request($method, '/api/streams/num',
            headers => { 'If-None-Match' => $c->[1] });
        is($r->{status}, $c->[2], "$method, If-None-Match: $c->[0]");
        is($r->{headers}{etag}, $etag, 'with the ETag');
        is($r->{body}, $c->[2] == 200 && $method eq 'GET' ? $body : '',
            $c->[2] == 200 ? 'and the data' : 'and no body');
    }
}

$r = $t->get('/api/streams/num',
    headers => { 'If-Modified-Since' => 'Fri, 01 Jan 2100 00:00:00 GMT' });
is($r->{status}, 200, 'If-Modified-Since is not used');

$r = $t->request(HEAD => '/api/streams/num');
is($r->{status}, 200, 'HEAD');
is($r->{body}, '', 'without a body');
is_deeply([@{ $r->{headers} }{'content-length', 'etag', 'content-type', 'cache-control'}],
    [length $body, $etag, 'application/json', 'no-cache'], 'with the headers of GET');

set(num => '{"big":1}');
ok(wait_for { ($r = $t->get('/api/streams/num', headers => { 'If-None-Match' => $etag }))
    ->{status} == 200 }, 'the data changed: 200 again');
isnt($r->{headers}{etag}, $etag, 'with another ETag');
is($json->decode($r->{body})->{seq}, 2, 'and the next seq');

is($t->get('/api/streams/num?x=1&y')->{status}, 200, 'a query changes nothing');
is($t->get('/api//streams/num')->{status}, 200, 'nor do two slashes');
is($t->get('/api/streams/num', version => '1.0')->{status}, 200, 'HTTP/1.0');


# Demand. If this fails, a REST client sees old data, or one request keeps the
# node busy for ever.

$t->node(POST => '/control/stats');
$t->get('/rest/num');
my $before = 0;
ok(wait_for(sub { asked('num') >= 5 }, 2), 'it goes on being polled for a while');
ok(wait_for(sub { my $n = asked('num'); sleep 0.4; asked('num') == $n }, 5), 'and then no more');
ok(wait_for { row('num')->{state} eq 'idle' }, 'the stream is idle');
is($t->get('/health')->{status}, 200, 'which is healthy');

$r = $t->get('/api/streams/num');
is($r->{status}, 200, 'an idle stream answers with what it has');
is($r->{headers}{'blockcast-state'}, 'idle', 'and a header says so');
ok(wait_for(sub { $t->get('/api/streams/num')->{headers}{'blockcast-state'} eq 'live' }, 2),
    'and is polled again');


# What is not there. If this fails, a typing error looks like an empty stream.

for my $c (['/api/streams/nope', 'unknown_stream', qr/unknown stream: nope$/],
    ['/api/streams/NUM', 'unknown_stream', qr/unknown stream: NUM$/],
    ['/api/streams/num/', 'unknown_stream', qr/unknown stream: num\/$/],
    ['/api/streams/num/x', 'unknown_stream', qr/unknown stream: num\/x$/],
    ['/api/streams/%22%5C%0a%00', 'unknown_stream', qr/unknown stream: "/],
    ['/api/streams/%F0%9F%98%80', 'unknown_stream', qr/unknown stream: /],
    ['/api/streams/%ff%fe', 'unknown_stream', qr/unknown stream: /],
    ['/api/streams/' . 'x' x 2000, 'unknown_stream', qr/unknown stream: xxx/],
    ['/few/streams/num', 'unknown_stream', qr/unknown stream: num$/],
    ['/few/list', 'not_found', qr/no such resource: list/],
    ['/api/nope', 'not_found', qr/no such resource: nope.*streams/],
    ['/api/num', 'not_found', qr/no such resource: num/],
    ['/api/streamsx', 'not_found', qr/no such resource: streamsx/],
    ['/api/health/x', 'not_found', qr/no such resource/])
{
    my $name = substr $c->[0], 0, 40;
    next if $c->[0] =~ /%00/ && $t->get($c->[0])->{status} == 400;     # nginx refuses it itself
    json_error($t->get($c->[0]), 404, $c->[1], $c->[2], "$name: 404");
}

is($t->request(HEAD => '/api/streams/nope')->{status}, 404, 'HEAD of what is not there');
is($t->get('/v2/feeds/streams/num')->{status}, 200, 'an API in a regex location');
is($t->get('/v2/feeds/streams')->{status}, 200, 'its list');
is($t->get('/v2/feeds/list?limit=1')->{status} =~ /200|503/, 1, 'and its logs');
json_error($t->get('/v2/feeds/nope'), 404, 'not_found', qr/nope/, 'and what is not there');


# Other methods. If this fails, who tries to write learns nothing, or the rest
# of the request is taken for the next one.

for my $path ('/api/streams', '/api/streams/num', '/api/list', '/api/health', '/health', '/rest/num',
    '/api/nope')
{
    for my $method (qw(POST PUT DELETE PATCH OPTIONS)) {
        $r = $t->request($method, $path, body => '{"a":1}');
        json_error($r, 405, 'method_not_allowed', qr/\Q$method\E is not allowed here, GET and HEAD are/,
            "$method $path: 405");
        is($r->{headers}{allow}, 'GET, HEAD', 'with Allow');
    }
}

my $two = "POST /api/streams HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    . "GET /rest/num HTTP/1.1\r\nHost: x\r\n\r\n"
    . "GET /api/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port);
$s->syswrite($two);
my $answers = do { local $/; <$s> };
is(join(' ', $answers =~ m{HTTP/1\.1 (\d+)}g), '405 200 404',
    'three requests on one connection, the first with a body');
unlike($t->error_log, qr/header already sent/, 'each answered once');


# The list of a log. If this fails, a table of receipts has wrong pages.

my @markets = qw(energy storage);
sub entry { my ($n) = @_; qq({"id":$n,"market":"$markets[$n % 2]","amount":18446744073709551615}) }
set(list => '[' . join(',', map { entry($_) } 1 .. 120) . ']');
wait_for { my $r = $t->get_json('/api/list'); $r && ($r->{total} // 0) == 120 };

sub ids { join ' ', map { $_->{id} } @{ $_[0]{entries} } }

$r = $t->get('/api/list?limit=3');
like($r->{body}, qr/\A\{"entries":\[\Q@{[join ',', map { entry($_) } 120, 119, 118]}\E\],"count":3,"total":120,"limit":3,"offset":0,"seq":\d+,"timestamp":\d+\}\z/,
    'the newest first, byte for byte');
like($r->{headers}{etag}, qr/^"/, 'with an ETag');
is($t->get('/api/list?limit=3', headers => { 'If-None-Match' => $r->{headers}{etag} })->{status},
    304, 'and 304');
is($r->{headers}{'cache-control'}, 'no-cache', 'that is asked for again');

my $page = $t->get_json('/api/list');
is($page->{count}, 50, '50 unless told');
is($page->{entries}[0]{id}, 120, 'from the newest');

for my $c (['limit=2&offset=1', '119 118', 2, 120], ['offset=118', '2 1', 2, 120],
    ['offset=120', '', 0, 120], ['offset=1000000000', '', 0, 120], ['limit=0', '', 0, 120],
    ['market=energy&limit=3', '120 118 116', 3, 60],
    ['market=storage&limit=2&offset=58', '3 1', 2, 60],
    ['market=%65nergy&limit=1', '120', 1, 60],
    ['market=nope', '', 0, 0], ['market=Energy', '', 0, 0], ['market=&limit=1', '120', 1, 120],
    ['market=nope&market=storage&limit=2', '119 117', 2, 60], ['market=energy&market=storage&limit=2', '120 119', 2, 120],
    ['market=energy&id=119', '', 0, 0], ['market=storage&id=119', '119', 1, 1], ['id=1.19e2', '119', 1, 1],
    ['id=120&id=7&id="8"', '120 7', 2, 2], ['%69d=7', '7', 1, 1], ['id=07', '', 0, 0], ['id=%37', '7', 1, 1],
    ['amount=18446744073709551615&limit=1', '120', 1, 120], ['amount=18446744073709551616', '', 0, 0],
    ['amount=18446744073709552000', '', 0, 0], ['market=energy%00', '', 0, 0], ['id&limit=1', '120', 1, 120],
    ['_=7&limit=1', '120', 1, 120], ['unknown=x&market=storage&limit=1', '119', 1, 60], ['=7&limit=1', '120', 1, 120],
    ['market=' . 'x' x 5000, '', 0, 0], ['limit=1&unknown=x&', '120', 1, 120], ['limit=007', '120 119 118 117 116 115 114', 7, 120])
{
    my ($query, $ids, $count, $total) = @$c;
    my $page = $t->get_json("/api/list?$query");
    is(ids($page) . "/$page->{count}/$page->{total}", "$ids/$count/$total", "?$query");
}

is($t->get_json('/api/list?limit=10000')->{count}, 120, 'limit=10000 is the largest');

json_error($t->get('/api/list?' . join '&', map { "m$_=1" } 1 .. 9), 400, 'bad_parameter', qr/up to 8 members/, 'nine members');
json_error($t->get('/api/list?' . join '&', ('id=1') x 33), 400, 'bad_parameter', qr/32 values/, '33 values');
is($t->get_json('/api/list?' . join '&', map { "id=$_" } 1 .. 32)->{total}, 32, '32 values');

for my $bad ('x', '-1', '+1', '1.5', '1e3', '0x10', '', '%201', '1%20', '10001', '4294967297',
    '99999999999999999999', '18446744073709551616', '%22%3E%0d%0aX:')
{
    json_error($t->get("/api/list?limit=$bad"), 400, 'bad_parameter',
        qr/the parameter limit must be a number from 0 to 10000, it is "/, "limit=$bad: 400");
}

for my $bad ('x', '-1', '', '1000000001') {
    json_error($t->get("/api/list?limit=1&offset=$bad"), 400, 'bad_parameter',
        qr/the parameter offset must be a number from 0 to/, "offset=$bad: 400");
}

$r = $t->request(HEAD => '/api/list?limit=3');
is($r->{status}, 200, 'HEAD of a list');
ok($r->{headers}{'content-length'} > 100 && $r->{body} eq '', 'has a length and no body');

is($json->decode($t->get('/api/streams/list')->{body})->{data}{count}, 20,
    'the log as a message is the page of a new client');


# blockcast_rest. If this fails, the design document's addresses break.

is($t->get('/rest/num')->{body}, '{"big":1}', 'just the data, byte for byte');
like($t->get('/rest/num')->{headers}{etag}, qr/^"/, 'with an ETag');
is($t->get('/rest/num', headers => { 'If-None-Match' => '*' })->{status}, 304, 'and 304');
is(ids($t->get_json('/rest/list?limit=2')), '120 119', 'a log: its list');
json_error($t->get('/rest/list?limit=a'), 400, 'bad_parameter', qr/limit/, 'with its errors');


# Health. If this fails, an orchestrator restarts what is well, or leaves what
# is not.

my $ws = $t->ws('/ws');
$ws->subscribe('num');
wait_for { row('num')->{state} eq 'live' };

for my $path ('/health', '/api/health') {
    my $r = $t->get($path);
    my $h = $json->decode($r->{body});
    is($r->{status}, 200, "$path: 200");
    is($r->{headers}{'cache-control'}, 'no-store', 'kept by no cache');
    is($h->{status}, 'ok', 'status ok');
    is($h->{node}{error}, undef, 'no error of the node');
    is($h->{poller}{pid}, ($t->worker_pids)[0], 'the poller is a worker');
    ok($h->{poller}{active}, 'and active');
    is(scalar @{ $h->{workers} }, 1, 'the workers');
    is($h->{workers}[0]{connections}, 1, 'and their connections');
    is(join(' ', map { "$_->{name}:$_->{state}" } grep { $_->{name} eq 'num' } @{ $h->{streams} }),
        'num:live', 'the state of the streams');
    ok($h->{streams}[0]{polls} > 5, 'and how often they were polled');
    like($h->{version}, qr/^\d+\.\d+/, 'the version');
}

is($t->request(HEAD => '/health')->{status}, 200, 'HEAD');

$t->node(POST => '/control/fault', { method => 'x.num', fault => 'error',
    message => 'out of "luck"' });
ok(wait_for(sub { $t->get('/health')->{status} == 503 }, 3), 'the node stops: 503');

my $h = $t->get_json('/health');
is($h->{status}, 'failing', 'status failing');
is($h->{node}{error}, 'x.num: out of "luck"', 'with the node\'s own words');
ok(abs($h->{node}{since} - time) < 5, 'and since when');
($row) = grep { $_->{name} eq 'num' } @{ $h->{streams} };
is($row->{state}, 'stale', 'the stream is stale');
ok($row->{age} > 0.4, 'with its age');
is($row->{error}, 'x.num: out of "luck"', 'and its error');
ok($row->{polls_failed} > 0, 'and the number of failed polls');
is($t->request(HEAD => '/health')->{status}, 503, 'HEAD: 503');

$r = $t->get('/api/streams/num');
is($r->{status}, 200, 'the last good data is served');
is($r->{headers}{'blockcast-state'}, 'stale', 'marked as stale');
is($t->get('/rest/num')->{body}, '{"big":1}', 'and not replaced');

$t->node('DELETE', '/control/fault', {});
ok(wait_for(sub { $t->get('/health')->{status} == 200 }, 3), 'the node is back: 200');
is($t->get_json('/health')->{node}{error}, undef, 'without an error');
$ws->drop;
ok(wait_for { $t->get_json('/health')->{workers}[0]{connections} == 0 }, 'no connection is left');


# nginx's own filters. If this fails, `gzip on` for the site breaks the API.

$r = $t->get('/zip/list?limit=50', headers => { 'Accept-Encoding' => 'gzip' });
is($r->{headers}{'content-encoding'}, 'gzip', 'gzip works in front of it');
require Compress::Zlib;
is(scalar @{ $json->decode(Compress::Zlib::memGunzip($r->{body}))->{entries} }, 50,
    'and holds the data');

$t->stop;


# Waiting, with an error. If this fails, nobody sees why there is no data.

$t = Blockcast::Test->new(node => { rate_limit => 100000 }, start => 0,
    http => <<'EOF', server => 'location /api/ { blockcast_api; }');
    blockcast_stream always {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.always;
    }
    blockcast_stream slow {
        blockcast_interval 2s;
        blockcast_call c x.slow;
    }
EOF

$t->node(POST => '/control/fault', { method => 'x.always', fault => 'error', message => 'no' });
$t->start;
ok(wait_for(sub { asked('always') > 3 }, 3), 'blockcast_always: polled while nobody listens');
json_error($t->get('/api/streams/always'), 503, 'waiting',
    qr/stream always has no data yet: x\.always: /,
    '503 tells why there is no data');
is($t->get('/api/health')->{status}, 503, 'a stream that never had data is not healthy');

$t->get('/api/streams/slow');
ok(wait_for { row('slow')->{error} }, 'a poll fails');
is($t->get('/api/streams/slow')->{headers}{'retry-after'}, 2, 'Retry-After is the interval then');

$t->node(POST => '/control/restart', { down_ms => 1 });
$t->stop;

$t = Blockcast::Test->new(node => { rate_limit => 100000 }, workers => 2,
    http => <<'EOF', server => 'location /api/ { blockcast_api; }');
    blockcast_stream always {
        blockcast_interval 100ms;
        blockcast_stale 400ms;
        blockcast_always on;
        blockcast_call c net.stats;
    }
EOF

ok(wait_for(sub { $t->get('/api/health')->{status} == 200 }, 3), 'healthy with nobody there');
is(row('always')->{state}, 'live', 'it is live');
$t->stop_node;
ok(wait_for(sub { $t->get('/api/health')->{status} == 503 }, 4), 'and not when the node is down');
is(row('always')->{state}, 'stale', 'it is stale');
like(row('always')->{error}, qr/net\.stats: the node cannot be reached/, 'with the reason');


# Every worker answers alike. If this fails, the same address says something
# else each time it is asked.

my %seen;
for (1 .. 30) {
    my $r = $t->get('/api/streams/always');
    $seen{"$r->{status} $r->{body} $r->{headers}{etag}"}++;
}
is(scalar keys %seen, 1, 'thirty connections to two workers, one answer')
    or diag(join "\n", keys %seen);
is(scalar @{ $t->get_json('/api/health')->{workers} }, 2, 'health knows both workers');

$t->stop;

done_testing();
