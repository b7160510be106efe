#!/usr/bin/perl

# The streams over plain HTTP, while they live: who asks makes a stream be
# polled, a node that fails shows, all workers say the same. If this fails,
# monitoring restarts what is well, or leaves what is not; a dashboard that
# nobody has open costs the node its requests, or one request keeps it busy for
# ever. Requests and their answers one by one are in t/20-rest.t.

# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $json = $Blockcast::Test::JSON;

my $t = Blockcast::Test->new(node => { rate_limit => 100000 },
    http => <<'EOF', server => <<'EOS');
    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_stale 3s;
        blockcast_call c x.num;
    }
    blockcast_stream other {
        blockcast_interval 1500ms;
        blockcast_call c x.other;
    }
EOF
    location /api/ { blockcast_api; }
    location = /health { blockcast_health; }
    location = /rest/num { blockcast_rest num; }
    location = /ws { blockcast_websocket; }
EOS

$t->set(num => '{"big":1}');
$t->set(other => '"o"');


subtest 'nobody listens' => sub {
    $t->get('/api/streams');
    $t->get('/health');
    sleep 0.5;
    is($t->node(GET => '/control/stats')->{requests}, 0,
        'nobody asked for data: nothing was asked of the node');
};


# If this fails, a script takes "no data yet" for data, or hammers.

subtest 'before the first snapshot' => sub {
    $t->fault(other => 'hang', ms => 5000, count => 1);
    my $start = time;
    my $r = $t->get('/api/streams/other');
    $t->is_error($r, 503, 'waiting', qr/stream other has no data yet$/,
        'the node does not answer the first poll: 503');
    is($r->{headers}{'retry-after'}, '1', 'with Retry-After');
    ok(time - $start < 4 * slow(), 'in a bounded time');
    $t->first_asker('/rest/num', 'who asks first makes it be polled');
    ok($t->asked('num') > 0, 'the node was asked now');
    ok(wait_for(sub { $t->get('/api/streams/other')->{status} == 200 }, 20),
        'and goes on with the other');
};


# If this fails, caches and browsers never see the next one.

subtest 'the data changes' => sub {
    my $etag = $t->get('/api/streams/num')->{headers}{etag};
    my $r;

    $t->set(num => '{"big":2}');
    ok(wait_for(sub { ($r = $t->get('/api/streams/num', headers => { 'If-None-Match' => $etag }))
        ->{status} == 200 }, 20), '200 again');
    isnt($r->{headers}{etag}, $etag, 'with another ETag');
    is($json->decode($r->{body})->{seq}, 2, 'and the next seq');
    $t->set(num => '{"big":1}');
    $t->becomes('num', '{"big":1}', 'and back');
};


# If this fails, a REST client sees old data, or one request keeps the node busy
# for ever.

subtest 'demand' => sub {
    $t->node(POST => '/control/stats');
    $t->get('/rest/num');
    ok(wait_for(sub { $t->asked('num') >= 3 }, 20), 'it goes on being polled for a while');
    ok(wait_for(sub { my $n = $t->asked('num'); sleep 0.4; $t->asked('num') == $n }, 20),
        'and then no more');
    ok(wait_for(sub { $t->row('num')->{state} eq 'idle' }, 20), 'the stream is idle');
    is($t->get('/health')->{status}, 200, 'which is healthy');

    my $r = $t->get('/api/streams/num');
    is($r->{status}, 200, 'an idle stream answers with what it has');
    is($r->{headers}{'blockcast-state'}, 'idle', 'and a header says so');
    ok(wait_for(sub { $t->get('/api/streams/num')->{headers}{'blockcast-state'} eq 'live' }, 20),
        'and is polled again');
};


# If this fails, an orchestrator restarts what is well, or leaves what is not.

my $ws = $t->ws('/ws');
$ws->subscribe('num');
wait_for(sub { $t->row('num')->{state} eq 'live' && $t->row('num')->{polls} > 5 }, 20);

for my $path ('/health', '/api/health') {
    subtest "$path, all is well" => sub {
        my $r = $t->get($path);
        my $h = $json->decode($r->{body});
        is($r->{status}, 200, '200');
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
    };
}

is($t->request(HEAD => '/health')->{status}, 200, 'HEAD');

subtest 'the node fails' => sub {
    $t->fault(num => 'error', message => 'out of "luck"');
    ok(wait_for(sub { $t->get('/health')->{status} == 503 }, 20), 'health: 503');

    my $h = $t->get_json('/health');
    is($h->{status}, 'failing', 'status failing');
    is($h->{node}{error}, 'x.num: out of "luck"', 'with the node\'s own words');
    ok(abs($h->{node}{since} - time) < 5 * slow(), 'and since when');
    my ($row) = grep { $_->{name} eq 'num' } @{ $h->{streams} };
    is($row->{state}, 'stale', 'the stream is stale');
    ok($row->{age} > 2.9, 'with its age');
    is($row->{error}, 'x.num: out of "luck"', 'and its error');
    ok($row->{polls_failed} > 0, 'and the number of failed polls');
    is($t->request(HEAD => '/health')->{status}, 503, 'HEAD: 503');

    my $r = $t->get('/api/streams/num');
    is($r->{status}, 200, 'the last good data is served');
    is($r->{headers}{'blockcast-state'}, 'stale', 'marked as stale');
    is($t->get('/rest/num')->{body}, '{"big":1}', 'and not replaced');

    $t->heal;
    ok(wait_for(sub { $t->get('/health')->{status} == 200 }, 20), 'the node is back: 200');
    is($t->get_json('/health')->{node}{error}, undef, 'without an error');
    $ws->drop;
    ok(wait_for(sub { $t->get_json('/health')->{workers}[0]{connections} == 0 }, 20),
        'no connection is left');
};

$t->stop;


# Waiting, with an error. If this fails, nobody sees why there is no data.

subtest 'no data because of an error' => sub {
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

    $t->fault(always => 'error', message => 'no');
    $t->start;
    ok(wait_for(sub { $t->asked('always') > 3 }, 20),
        'blockcast_always: polled while nobody listens');
    $t->is_error($t->get('/api/streams/always'), 503, 'waiting',
        qr/stream always has no data yet: x\.always: /, '503 tells why there is no data');
    is($t->get('/api/health')->{status}, 503, 'a stream that never had data is not healthy');

    $t->get('/api/streams/slow');
    ok(wait_for(sub { $t->row('slow')->{error} }, 20), 'a poll fails');
    is($t->get('/api/streams/slow')->{headers}{'retry-after'}, 2, 'Retry-After is the interval then');

    $t->stop;
};


# If this fails, the same address says something else each time it is asked.

subtest 'every worker answers alike' => sub {
    $t = Blockcast::Test->new(node => { rate_limit => 100000 }, workers => 2,
        http => <<'EOF', server => 'location /api/ { blockcast_api; }');
    blockcast_stream always {
        blockcast_interval 100ms;
        blockcast_stale 3s;
        blockcast_always on;
        blockcast_call c net.stats;
    }
EOF

    ok(wait_for(sub { $t->get('/api/health')->{status} == 200 }, 20), 'healthy with nobody there');
    is($t->row('always')->{state}, 'live', 'it is live');
    $t->stop_node;
    ok(wait_for(sub { $t->get('/api/health')->{status} == 503 }, 20), 'and not when the node is down');
    is($t->row('always')->{state}, 'stale', 'it is stale');
    like($t->row('always')->{error}, qr/net\.stats: the node cannot be reached/, 'with the reason');

    my %seen;
    for (1 .. 30) {
        my $r = $t->get('/api/streams/always');
        $seen{"$r->{status} $r->{body} $r->{headers}{etag}"}++;
    }
    is(scalar keys %seen, 1, 'thirty connections to two workers, one answer')
        or diag(join "\n", keys %seen);
    is(scalar @{ $t->get_json('/api/health')->{workers} }, 2, 'health knows both workers');

    $t->stop;
};

done_testing();
