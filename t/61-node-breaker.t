#!/usr/bin/perl

# A node that is down, bans us, or hangs as a whole. If this fails, all streams
# go on knocking at a node that is ill, or nobody notices that it is well again.

# lane: waits

use strict;
use warnings;

use IO::Socket::INET ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $streams = '';
$streams .= <<"EOF" for 1 .. 6;
    blockcast_stream s$_ {
        blockcast_interval 300ms;
        blockcast_stale 700ms;
        blockcast_always on;
        blockcast_call c x.ok 'params={"of":$_}' timeout=250ms;
    }
EOF

my $t;

sub clear { $t->node(POST => '/control/stats', {}) }
sub stats { $t->node(GET => '/control/stats') }
sub health { $t->get_json('/api/health') // {} }
sub node { my ($name) = @_; (grep { $_->{name} eq ($name // 'default') } @{ health()->{nodes} // [] })[0] // {} }
sub row { my ($name) = @_; (grep { $_->{name} eq $name } @{ health()->{streams} // [] })[0] // {} }
sub all_have { my ($v) = @_; !grep { ($t->value("s$_") // '') ne $v } 1 .. 6 }
sub all_live { !grep { $_->{state} ne 'live' } @{ health()->{streams} // [{ state => '' }] } }
sub lines { my ($from) = @_; scalar grep { /\[(?:warn|error)\]/ } split /\n/, substr $t->error_log, $from }


# The node is away. If this fails, each of the streams knocks at its door with
# each poll, or they come back one by one, seconds after the node.

my ($ws, $start, $took);

subtest 'the node is away' => sub {
    $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0,
        http => "    blockcast_zone main 8m;\n$streams",
        server => 'location /api/ { blockcast_api; } location = /ws { blockcast_websocket; }');
    $t->set(ok => '"first"');
    $t->start;
    ok(wait_for { all_have('first') }, 'six streams of one node');

    my $n = node();
    is_deeply([@$n{qw(state failures since retry_in error)}], ['ok', 0, undef, undef, undef],
        'health: the node is well');
    ok($n->{calls} >= 6, 'its calls are counted');
    is($n->{outages}, 0, 'there was no outage');

    $ws = $t->ws('/ws');
    $ws->subscribe('s1');
    is($ws->recv_type('s1')->{data}, 'first', 'a client');

    my $from = length $t->error_log;
    $t->stop_node;

    # somebody who counts who knocks, in the node's place

    my $door = IO::Socket::INET->new(Listen => 64, ReuseAddr => 1, Proto => 'tcp',
        LocalAddr => '127.0.0.1', LocalPort => $t->{node_port}) or die "port $t->{node_port}: $!";
    my @knocks;
    my $until = time + 3;

    while (time < $until) {
        vec(my $r = '', fileno $door, 1) = 1;
        next unless select $r, undef, undef, 0.05;
        my $c = $door->accept or next;
        push @knocks, time;
        close $c;
    }

    close $door;

    my @later = grep { $_ > $until - 2 } @knocks;
    ok(@later >= 3, 'a node that is down is tried') or diag(scalar @later);
    ok(@later <= 30, 'with single calls: six streams would knock 40 times') or diag(scalar @later);

    ok(wait_for { node()->{state} eq 'down' }, 'health: it is down');
    $n = node();
    ok($n->{failures} >= 3, 'after how many failures') or diag($n->{failures});
    ok(defined $n->{retry_in} && $n->{retry_in} <= 0.3, 'when it is tried next: within the interval')
        or diag($n->{retry_in});
    ok($n->{since} >= time - 6 && $n->{since} <= time, 'since when');
    like($n->{error}, qr/\Athe node (?:closed|cannot be reached)/, 'and why');
    is(health()->{status}, 'failing', 'health says so as a whole');

    my $m = $ws->recv_type('status', 3);
    is($m->{state}, 'stale', 'the client is told');
    is($m->{node}, 'down', 'that the node is down');
    ok(defined $m->{retry_in} && $m->{retry_in} <= 0.3, 'and when it is tried next');

    $t->wait_log(qr/cannot be reached/, 3);
    sleep 1;
    like(node()->{error}, qr/\Athe node cannot be reached\z/, 'with nobody at the door');
    like($t->error_log, qr/\[warn\].* node "default" is down, \d+ calls have failed: the node [^;\n]*; it is tried with one call at a time/,
        'the log says so');
    my $lines = lines($from);
    ok($lines <= 25, 'without being flooded') or diag("$lines lines\n", substr $t->error_log, $from);

    # it knows the method at once: one that is missing is tried again in a minute
    $t->start_node(rate_limit => 1000000, port => $t->{node_port}, set => 'x.ok="second"');
    $start = time;
    ok(wait_for(sub { all_have('second') }, 3), 'it is up: all streams have its data');
    $took = time - $start;
    ok($took < 0.9 * slow(), 'within an interval or two') or diag("$took s");
    ok($t->wait_log(qr/\[notice\].*node "default" answers again, after \d+\.\d+ s and \d+ tries/), 'the log says after how long');
    is(node()->{state}, 'ok', 'health: it is well');
    is(node()->{outages}, 1, 'there was one outage');
    do { $m = $ws->recv_type('status', 3) } until !$m || $m->{state} eq 'live';
    ok($m && !exists $m->{node}, 'the client is told of neither any more');
};


# Too many requests. If this fails, a ban lasts for ever, for we never stop.

subtest 'too many requests' => sub {
    clear();
    $t->fault('*', 'banned');
    ok(wait_for { node()->{state} eq 'limited' }, 'a node that bans us: limited');
    clear();
    sleep 2.5;
    my $asked = stats()->{requests};
    ok($asked >= 1 && $asked <= 6, 'it is asked with single calls') or diag($asked);
    my $row = row('s1');
    is($row->{state}, 'stale', 'the streams are stale');
    like($row->{error}, qr/\Ax\.ok: HTTP 429: banned \(asked again in \d+ s\)\z/, 'and say why');
    ok(defined node()->{retry_in}, 'health says when it is asked next');
    $t->heal();
    $t->set(ok => '"third"');
    $start = time;
    ok(wait_for(sub { all_have('third') }, 5), 'the ban is over: all streams go on');
    $took = time - $start;
    ok($took < 2.5 * slow(), 'soon: after half of what it lasted at most') or diag("$took s");

    # one that forbids everything, which may be a wrong Host as well

    $t->fault('*', 'host_403');
    ok(wait_for { node()->{state} eq 'limited' && node()->{error} eq 'HTTP 403' }, 'HTTP 403 to everything: limited, too');
    $t->heal();
    ok(wait_for(sub { node()->{state} eq 'ok' }, 4), 'and over');

    for my $fault ('http_500', 'not_json', 'truncate') {
        $t->fault('*', $fault);
        ok(wait_for { node()->{state} eq 'down' }, "$fault to everything: down");
        clear();
        sleep 0.9;
        $asked = stats()->{requests};
        ok($asked >= 1 && $asked <= 14, "$fault: it is asked with single calls") or diag($asked);
        $t->heal();
        ok(wait_for(sub { all_live() }, 3), "$fault: and all is well again");
    }

    # errors of the node's own are answers

    $t->fault('*', 'error');
    sleep 0.8;
    is(node()->{state}, 'ok', 'a node that answers with errors is up');
    $t->heal();
};


# The node does not go on: every call hangs. If this fails, its calls pile up,
# or each stream waits for a timeout of its own when it goes on.

subtest 'the node does not go on: every call hangs' => sub {
    clear();
    kill 'STOP', $t->{node_pid};
    ok(wait_for { node()->{state} eq 'down' }, 'a node that was stopped: down');
    sleep 1.5;
    kill 'CONT', $t->{node_pid};
    $t->set(ok => '"fourth"');
    ok(wait_for(sub { all_have('fourth') && all_live() }, 3), 'it goes on, and so do all streams');

    $t->fault('*', 'hang');
    ok(wait_for { node()->{state} eq 'down' }, 'a node that takes calls and never answers: down');
    clear();
    sleep 2;
    my $s = stats();
    ok($s->{max_in_flight}{'x.ok'} <= 6, 'one call of each is in flight at most')
        or diag($s->{max_in_flight}{'x.ok'});
    ok($s->{requests} <= 12, 'they are tried in turn') or diag($s->{requests});
    like(row('s1')->{error}, qr/\Ax\.ok: no reply (?:for|within) \d|asked again/, 'and say for how long');
    $t->heal();
    $t->set(ok => '"fifth"');
    $start = time;
    ok(wait_for(sub { all_have('fifth') }, 5), 'and well: nobody waits for the calls that hang');
    $took = time - $start;
    ok($took < 1.3 * slow(), 'within two intervals and what the calls may take') or diag("$took s");

    $ws->drop;
    $t->stop;
};


# The limit outlives the worker. If this fails, a crash or a reload makes the
# ban longer.

sub requests { my $log = Blockcast::Test::slurp($t->prefix . '/limited.log'); scalar(() = $log =~ /\n/g) }


subtest 'the limit outlives the worker' => sub {
    $t = Blockcast::Test->new(workers => 2, http => "    blockcast_zone main 8m;\n$streams" . <<'EOF',
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%PREFIX%%/limited.log;
        location / { add_header Retry-After 8 always; return 429 "slow down"; }
    }
EOF
        server => <<'EOS');
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS

    ok(wait_for { (node()->{retry_in} // 0) > 5 }, 'Retry-After: 8');
    sleep 0.5;
    my $before = requests();
    ok($before >= 1 && $before <= 6, 'only the calls that were on their way came through') or diag($before);
    my $poller = health()->{poller}{pid};
    kill 'KILL', $poller;
    ok(wait_for { my $p = (health()->{poller}) // {}; $p->{active} && $p->{pid} != $poller }, 'the poller dies, another polls');
    $t->allow(qr/exited on signal 9/);
    sleep 1;
    is(requests(), $before, 'and leaves the node alone');
    is(node()->{state}, 'limited', 'health says so still');
    ok($t->reload, 'reload');
    sleep 1;
    is(requests(), $before, 'so does the new configuration');
    like($t->error_log, qr/\[notice\].*node "default" answered "HTTP 429" to the worker that polled before, it is not asked for \d+ ms/,
        'and the log says why');
    $t->stop;
};


# Retry-After as a date. If this fails, it is ignored.

subtest 'retry-After as a date' => sub {
    my $date = POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 30));
    $t = Blockcast::Test->new(http => "    blockcast_zone main 8m;\n$streams" . <<"EOF", server => <<'EOS');
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / { add_header Retry-After "$date" always; return 503; }
    }
EOF
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS
    ok(wait_for { (node()->{retry_in} // 0) > 20 }, 'Retry-After with a date') or diag(explain(node()));
    ok(node()->{retry_in} < 32, 'is kept to');
    is(node()->{error}, 'HTTP 503', 'of a 503 as well');
    $t->stop;
};


# A backoff of one's own.

subtest 'A backoff of one\'s own' => sub {
    $t = Blockcast::Test->new(http => "    blockcast_zone main 8m;\n$streams", server => <<'EOS');
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node backoff=10s; proxy_pass http://127.0.0.1:%%PORT9%%/; }
EOS
    ok(wait_for(sub { (node()->{retry_in} // 0) > 0.6 }, 15), 'backoff=10s: the longer it is down, the rarer it is tried');
    $t->stop;

    my ($out) = Blockcast::Test->check_conf(http => "    blockcast_zone main 8m;\n$streams",
        server => 'location = /_node { blockcast_node backoff=1ms; proxy_pass http://127.0.0.1:1/; }');
    like($out, qr/"backoff=1ms" must be a time from 100ms to 10m/, 'a backoff that is none');
};


# Two nodes, as in the README. If this fails, one of them is a single point of
# failure after all.

sub say_all { my ($v, @which) = @_; $_->node(POST => '/control/set', qq({"method":"x.ok","result":$v})) for @which }


subtest 'two nodes' => sub {
    my @nodes = map { Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0) } 1, 2;
    my ($one, $two) = map { $_->{node_addr} } @nodes;

    say_all('"both"', @nodes);

    $t = Blockcast::Test->new(http => "    blockcast_zone main 8m;\n$streams" . <<"EOF", server => <<'EOS');
    upstream both {
        server $one max_fails=0;
        server $two max_fails=0 backup;
        keepalive 8;
    }
EOF
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node;
        proxy_pass http://both/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
        proxy_connect_timeout 1s;
        proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    }
EOS

    ok(wait_for { all_have('both') }, 'two nodes');
    say_all('"two"', $nodes[1]);
    $nodes[0]->stop_node;
    $start = time;
    ok(wait_for(sub { all_have('two') }, 3), 'the first dies: the second answers');
    $took = time - $start;
    ok($took < slow(), 'at once') or diag("$took s");
    is(node()->{outages}, 0, 'that is no outage');
    is(health()->{status}, 'ok', 'and health is well');
    $nodes[1]->stop_node;
    ok(wait_for(sub { node()->{state} eq 'down' }, 3), 'both are dead');
    is($t->value('s1'), 'two', 'the last data is kept');
    $nodes[0]->start_node(rate_limit => 1000000, port => $nodes[0]{node_port}, set => 'x.ok="again"');
    $start = time;
    ok(wait_for(sub { all_have('again') }, 3), 'one is back');
    $took = time - $start;
    ok($took < 0.9 * slow(), 'and noticed within two intervals') or diag("$took s");
    $t->stop;
    $_->shutdown for @nodes;
};

done_testing();
