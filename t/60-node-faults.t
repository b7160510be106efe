#!/usr/bin/perl

# Every way in which a node fails. If this fails, one bad reply stops streams
# that have nothing to do with it, a node is hammered while it is ill, or
# nobody can tell from the log what is wrong. t/60-node-answers.t has answers
# that are unusual and no outage.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $conf = <<'EOF';
    blockcast_zone main 8m;
    blockcast_stream bad {
        blockcast_interval 100ms;
        blockcast_stale 400ms;
        blockcast_always on;
        blockcast_call c x.bad timeout=300ms;
    }
    blockcast_stream mix {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call bad x.bad 'params={"of":"mix"}' timeout=300ms;
        blockcast_call ok x.ok 'params={"of":"mix"}';
        blockcast_jq '{ok: .results.ok, bad: .results.bad, error: .errors.bad.message}';
    }
    blockcast_stream ok {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.ok;
    }
    blockcast_stream real {
        blockcast_interval 100ms;
        blockcast_stale 400ms;
        blockcast_call c net.stats;
    }
EOF

my $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0,
    http => $conf, server => <<'EOF');
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
    location = /_node {
        blockcast_node max_reply=64k;
        proxy_pass http://%%NODE%%/;
        proxy_set_header Host localhost;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 2s;
    }
EOF

my ($n, $host) = (0, $t);

# new data of the stream that is well arrives, over WebSocket

sub others_go_on {
    my ($ws, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $host->set(ok => ++$n);
    my $start = time;
    my $m;
    do { $m = $ws->recv_type('ok', 20) } until !$m || $m->{data} == $n;
    my $took = time - $start;
    ok($m && $took < slow(), "$name: another stream goes on") or diag("$took s");
}

$host->set(bad => '"good"');
$host->set(ok => 0);
$t->start;

ok(wait_for { my $d = $host->value('mix'); $d && ($d->{bad} // '') eq 'good' }, 'all is well');
my $ws = $t->ws('/ws');
$ws->subscribe('ok');

# what the error says, for each fault that is one

my @faults = (
    [drop => qr/\Ax\.bad: the node closed the connection without a reply\z/],
    [truncate => qr/\Ax\.bad: the reply was cut short after \d+ bytes\z/],
    [truncate_chunked => qr/\Ax\.bad: the reply was cut short after \d+ bytes\z/],
    [host_403 => qr/\Ax\.bad: HTTP 403\z/],
    [http_500 => qr/\Ax\.bad: HTTP 500\z/],
    [not_json => qr/\Ax\.bad: bad reply: not JSON: .*HTML/],
    [empty_body => qr/\Ax\.bad: bad reply: not JSON: the body is empty\z/],
    [wrong_id => qr/\Ax\.bad: bad reply: the id is 987654321, expected \d+\z/],
    [no_id => qr/\Ax\.bad: bad reply: .*"id" is missing\z/],
    [both => qr/\Ax\.bad: bad reply: both result and error\z/],
    [neither => qr/\Ax\.bad: bad reply: neither result nor error\z/],
    [array => qr/\Ax\.bad: bad reply: an array \(a batch\), expected an object\z/],
    [huge => qr/\Ax\.bad: the reply is larger than max_reply=65536\z/],
    [error => qr/\Ax\.bad: simulated failure\z/],
    [energy_limited => qr/\Ax\.bad: rate limited\z/],
    [hang => qr/\Ax\.bad: no reply (?:within 300 ms|for \d+ s)\z/, ms => 1500],
);

for my $f (@faults) {
    my ($kind, $re, %opt) = @$f;

    subtest $kind => sub {
        my $log = length $t->error_log;
        my $polls = $host->row('ok')->{polls};

        $host->fault('x.bad', $kind, %opt);

        my $error = '';
        wait_for { ($error = $host->row('bad')->{error} // '') =~ $re } 3;
        like($error, $re, "$kind: the error names the method and what is wrong");

        others_go_on($ws, $kind);

        my $mix;
        # a call may also be late by itself where the machine is busy: wait for the
        # poll that was told of the fault

        wait_for {
            $mix = $host->value('mix');
            $mix && $mix->{ok} == $n && "x.bad: " . ($mix->{error} // '') =~ $re
        } 3;
        ok($mix && $mix->{ok} == $n && !defined $mix->{bad}, "$kind: another call of the same stream goes on");
        like("x.bad: $mix->{error}", $re, "$kind: its program is told of the error");
        is($host->row('mix')->{state}, 'live', "$kind: that stream is live");

        wait_for { $host->row('bad')->{state} eq 'stale' } 2;
        is($host->row('bad')->{state}, 'stale', "$kind: the stream that fails becomes stale");
        is($host->value('bad'), 'good', "$kind: with its last good data");

        $host->heal();

        my $row;
        wait_for { $row = $host->row('bad'); $row->{state} eq 'live' && !defined $row->{error} } 4;
        is($row->{state}, 'live', "$kind: the recovery is noticed");
        is($row->{error}, undef, "$kind: and the error is gone");
        ok(wait_for(sub { ($mix = $host->value('mix')) && ($mix->{bad} // '') eq 'good' }, 4), "$kind: everywhere");

        my $lines = grep { /\[(?:warn|error)\]/ } split /\n/, substr $t->error_log, $log;
        ok($lines <= 8, "$kind: the log is not flooded")
            or diag("$lines lines for " . ($host->row('ok')->{polls} - $polls) . " polls\n",
                substr $t->error_log, $log);
    };
}

my $log = $t->error_log;
like($log, qr/\[error\].*the reply of node "default" to "x\.bad" is larger than max_reply=65536/,
    'a reply that is too large: a line of its own');
like($log, qr/\[error\].*poll of stream "bad" failed: x\.bad: \w/, 'the log has the failed polls');
like($log, qr/\[notice\].*stream "bad" is polled well again/, 'and the recovery');
like($log, qr/\[warn\].*call "bad" of stream "mix" failed: x\.bad: /,
    'and a call that failed in a stream that is well');
like($log, qr/\[notice\].*call "bad" of stream "mix" is answered again/, 'and its recovery');
like($log, qr/upstream prematurely closed connection .*blockcast call "x\.bad" to node "default"/,
    'nginx\'s own lines name the call');


# A call that hangs. If this fails, calls pile up in a node that is busy, and
# their connections are never given back.

my $before;

subtest 'A call that hangs' => sub {
    $host->fault('x.bad', 'hang');
    sleep 0.5;
    $t->node(POST => '/control/stats', {});
    sleep 1;
    others_go_on($ws, 'a call hangs for ever');
    my $stats = $t->node(GET => '/control/stats');
    ok(($stats->{by_method}{'x.bad'} // 0) <= 6, 'it is not asked with each poll while it hangs')
        or diag($stats->{by_method}{'x.bad'});
    ok($stats->{max_in_flight}{'x.bad'} <= 2, 'it is in flight once for each params')
        or diag($stats->{max_in_flight}{'x.bad'});
    ok(wait_for(sub { ($host->row('bad')->{error} // '') =~ /\Ax\.bad: no reply for [1-9]/ }, 3),
        'the error says for how long');
    $t->node(POST => '/control/stats', {});
    sleep 2.2;
    $stats = $t->node(GET => '/control/stats');
    ok(($stats->{by_method}{'x.bad'} // 0) >= 2, 'it is tried again')
        or diag($stats->{by_method}{'x.bad'});
    ok($stats->{by_method}{'x.bad'} <= 8, 'the longer it lasts, the rarer')
        or diag($stats->{by_method}{'x.bad'});
    ok($stats->{max_in_flight}{'x.bad'} <= 2, 'and the old connections are closed');
    $host->heal();
    ok(wait_for(sub { $host->row('bad')->{state} eq 'live' }, 4), 'and it recovers');

    # slower than the interval, within the timeout: fewer polls, good data

    $host->fault('x.bad', 'slow', ms => 250);
    $host->set(bad => '"slow"');
    ok(wait_for {; ($host->value('bad') // '') eq 'slow' }, 'a call slower than the interval');
    $before = $host->row('bad');
    sleep 1.2;
    my $after = $host->row('bad');
    is($after->{state}, 'live', 'is live');
    ok($after->{polls_overrun} > $before->{polls_overrun}, 'the ticks that it missed are counted');
    ok($after->{polls} - $before->{polls} <= 8, 'there are fewer polls')
        or diag($after->{polls} - $before->{polls});
    $host->heal();

    # slower than the timeout: its answer is taken with the next poll

    $host->fault('x.bad', 'slow', ms => 450);
    $host->set(bad => '"late"');
    ok(wait_for {; ($host->value('bad') // '') eq 'late' }, 'a reply that came too late is not lost');
    $host->heal();
    $ws->drop;

    $host->set(bad => '"good"');
    ok(wait_for(sub { ($host->value('bad') // '') eq 'good' && $host->row('bad')->{state} eq 'live' }, 4),
        'well again');
};


# The node goes and comes. If this fails, somebody has to reload nginx.

my $lines;

subtest 'the node goes and comes' => sub {
    my $ws2 = $t->ws('/ws');
    $ws2->subscribe('real');
    is($ws2->recv_type('status')->{state}, 'waiting', 'a stream of the running node');
    is($ws2->recv_type('status')->{state}, 'live', 'is live');
    $t->stop_node;
    my $m = $ws2->recv_type('status', 3);
    is($m->{state}, 'stale', 'the node is down: stale');
    like($m->{error}, qr/\Anet\.stats: the node cannot be reached/, 'for a reason');
    my $size = length $t->error_log;
    sleep 1;
    $lines = () = substr($t->error_log, $size) =~ /\[error\]/g;
    ok($lines <= 6, 'the log is not flooded') or diag(substr $t->error_log, $size);
    $t->start_node(rate_limit => 1000000);
    $m = $ws2->recv_type('status', 5);
    is($m->{state}, 'live', 'the node is up: live');
    $ws2->drop;

    $t->stop('stopped after the faults: no alert, no process left');
};


# Too many requests. If this fails, we go on asking a node that has banned us,
# for which it bans us longer.

subtest 'too many requests' => sub {
    $host = $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0,
        http => $conf . <<'EOF', server => <<'EOS');
    blockcast_stream elsewhere {
        blockcast_node other;
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.ok;
    }
    blockcast_stream limited {
        blockcast_node limiting;
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.ok;
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%PREFIX%%/limited.log;
        location / { add_header Retry-After 1 always; return 429 "slow down"; }
    }
EOF
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_other { blockcast_node other; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_limited { blockcast_node limiting; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS

    $host->set(bad => '"good"');
    $host->set(ok => 1);
    $t->start;
    ok(wait_for {; ($host->value('bad') // '') eq 'good' }, 'all is well');

    # once, and the whole node is left alone

    #
    # The pause is half a second at least: what is seen after that says nothing, and
    # is looked for again.

    my ($row, $looked, $before_pause, %seen);

    for (1 .. 20) {
        $host->set(ok => 1);
        wait_for(sub { $host->row('bad')->{state} eq 'live' && $host->value('ok') == 1 }, 20);
        $before_pause = length $t->error_log;
        $host->fault('x.bad', 'rate_limited', count => 1);
        wait_for(sub { substr($t->error_log, $before_pause) =~ /it is not asked for/ }, 20);
        $looked = time;
        $row = $host->row('bad');
        $before = $host->asked('x.bad');
        my $others = $host->row('elsewhere')->{polls};
        $host->set(ok => 2);
        sleep 0.35;
        %seen = (asked => $host->asked('x.bad') - $before, row => $host->row('ok'),
            value => $host->value('ok'), polls => $host->row('elsewhere')->{polls} - $others,
            other => $host->value('elsewhere'));
        last if time - $looked < 0.48;
    }

    like($row->{error}, qr/\Ax\.bad: HTTP 429: rate limited/, 'HTTP 429: the node\'s words are the error');
    like($t->error_log, qr/\[warn\].*node "default" answers "HTTP 429: rate limited", it is not asked for \d+ ms/,
        'the log says that the node is left alone');
    like($t->error_log, qr/node "default" answers [^\n]* it is not asked for (?:[5-9]\d\d|1\d\d\d) ms/,
        'for half a second to one at first');
    is($seen{asked}, 0, 'it is not asked meanwhile');
    like($seen{row}{error}, qr/\Ax\.ok: HTTP 429: rate limited \(asked again in \d+ s\)\z/,
        'nor for the other streams, whose error says why');
    is($seen{value}, 1, 'which keep their data');
    ok($seen{polls} >= 3, 'other nodes are asked') or diag($seen{polls});
    is($seen{other}, 2, 'and answer');
    ok(wait_for(sub { $host->row('bad')->{state} eq 'live' }, 6), 'then it is asked again');
    ok($t->wait_log(qr/\[notice\].*node "default" takes requests again/), 'and the log says so');
    is($host->value('ok'), 2, 'all streams go on');

    $host->fault('x.bad', 'banned');
    ok(wait_for(sub { ($host->row('bad')->{error} // '') =~ /\Ax\.bad: HTTP 429: banned/ }, 3), 'a ban');
    $host->heal();

    # Retry-After

    ok(wait_for(sub { ($host->row('limited')->{error} // '') =~ /\Ax\.ok: HTTP 429/ }, 3), 'Retry-After: 1');
    open my $fh, '<', $t->prefix . '/limited.log';
    my $first = () = <$fh>;
    sleep 2.5;
    seek $fh, 0, 0;
    my $second = () = <$fh>;
    ok($second - $first >= 1 && $second - $first <= 4, 'is kept to') or diag("$first, then $second");
    unlike($t->error_log =~ s/it is not asked for [^\n]*//gr, qr/(?:node "limiting".*\n){6}/,
        'and not told of each time');

    $t->stop;
};


# Methods that a node does not have. If this fails, it is asked for them with
# each poll, or the fallback is never found.

subtest 'methods that a node does not have' => sub {
    $host = $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0,
        http => <<'EOF', server => 'location /api/ { blockcast_api; }');
    blockcast_stream fallback {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.new fallback=x.old fallback=x.oldest;
        blockcast_jq '{data: .results.c, method: .methods.c}';
    }
    blockcast_stream missing {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c y.one fallback=y.two;
    }
EOF

    $host->set(old => '"old"');
    $host->set(oldest => '"oldest"');
    $t->start;
    ok(wait_for {; ($host->value('fallback') // {})->{data} }, 'a fallback answers');
    is_deeply($host->value('fallback'), { data => 'old', method => 'x.old' }, 'the first that there is, and the program knows which');
    ok(wait_for(sub { $host->asked('x.old') >= 5 }, 3), 'it is polled');
    is($host->asked('x.new'), 1, 'the method that is missing was asked once');
    is($host->asked('x.oldest'), 0, 'the one behind it never');
    is($host->asked('y.one'), 1, 'of a stream without any it was asked once');
    is($host->asked('y.two'), 1, 'and so was its fallback');
    like($host->row('missing')->{error}, qr/\Ay\.two: method not found\z/, 'the error names the last of them');
    is($host->row('missing')->{state}, 'waiting', 'it waits');
    $lines = () = $t->error_log =~ /stream "missing" failed/g;
    is($lines, 1, 'with one line in the log');

    $host->fault('x.old', 'unknown');
    ok(wait_for {; ($host->value('fallback')->{data} // '') eq 'oldest' }, 'a method that goes missing: the next');
    $host->heal();

    # a new node, for which nginx is reloaded

    $host->set(new => '"new"');
    $t->node(POST => '/control/set', '{"method":"y.one","result":"y"}');
    ok($t->reload(gone => 10), 'reload');
    ok(wait_for {; ($host->value('fallback')->{data} // '') eq 'new' }, 'the first method is tried again');
    ok(wait_for {; ($host->value('missing') // '') eq 'y' }, 'and that of the stream that had none');
};

$t->stop;

done_testing();
