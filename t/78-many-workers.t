#!/usr/bin/perl

# needs: moments
#
# More workers at once than there are records for: many of them, and reloads in
# a row while the old ones are drained. If this fails, clients get 503 for ever
# afterwards, workers are missing in health and metrics, and the node is polled
# for people who have left long ago.
#
# The module is one with 16 records. BLOCKCAST_LONG=1 (t/run --long) also does it
# with the real number, and 64 workers.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Preload;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;


sub within {
    my ($seconds, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = &wait_for($code, $seconds * $slow);
    ok($ok, $name);
    return $ok;
}


sub metrics {
    my ($t) = @_;
    my $text = $t->get('/metrics')->{body};
    return { $text =~ /^(blockcast_\w+(?:\{[^}\n]*\})?) (\d+)$/mg };
}


sub sum {
    my $n = 0;
    $n += $_ for @_;
    return $n;
}


sub subscribers { sum(map { $_->{subscribers} } @{ $_[0]->get_json('/api/streams')->{streams} }) }
sub counted { scalar @{ $_[0]->get_json('/api/health')->{workers} } }


sub storm {
    my ($name, %arg) = @_;

    my ($workers, $reloads, $records, $size) = @arg{qw(workers reloads records size)};
    my $node = Blockcast::Ledger->new(rate => 40, page => 2400);
    my $t = Blockcast::Test->new(workers => $workers, error_level => 'notice', quit => 30,
        worker_connections => 256, %{ $arg{test} // {} },
        server => crowd_server('location = /metrics { blockcast_metrics; }'),
        http => crowd_http($node, interval => '400ms', drain => '6s', zone => '8m',
            size => '256k', more => "    blockcast_max_connections " . ($size + 4) . ";\n"));

    my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => $size);
    $crowd->complete($t, $node, "$name: at first", $slow);

    for (1 .. $reloads) {
        my %before = map { $_ => 1 } $t->worker_pids;
        $t->signal('HUP');
        $crowd->run(20 * $slow, until => sub {
            $t->worker_pids == $workers && !grep { $before{$_} } $t->worker_pids });
    }

    like($t->error_log, qr/\[warn\].*more than @{[$records - 1]} workers at once, this one is not counted/,
        "$name: more workers than records, which is said");

    # Who comes now may be with one that has no record: it gets what it wants.

    my %last = map { $_ => 1 } $t->worker_pids;
    $crowd->complete($t, $node, "$name: in the middle of it", $slow);

    ok($crowd->run(60 * $slow, until => sub { !grep { !$last{$_} && $_ != $t->master_pid }
        $t->nginx_pids }), "$name: the old ones go");
    $crowd->complete($t, $node, "$name: afterwards", $slow);

    ok($crowd->run(20 * $slow, until => sub { !grep { !$_->{ws} } $crowd->clients
        and counted($t) == $workers }), "$name: all $workers workers are counted")
        or diag(counted($t) . ' are');
    ok($crowd->run(20 * $slow, until => sub { metrics($t)->{blockcast_connections} == $size }),
        "$name: $size connections") or diag(metrics($t)->{blockcast_connections});
    is(metrics($t)->{blockcast_workers}, $workers, "$name: and in the metrics");
    is(subscribers($t), 2 * $size, "$name: " . 2 * $size . ' subscribers');

    # As many more as the limit says, and not one more than that.

    my @more = grep { ($_->status // 0) == 101 } map { $t->ws('/ws', may_fail => 1) } 1 .. 6;
    is(scalar(@more), 4, "$name: the limit counts each of them, once");
    $_->close for @more;

    # What was counted is not lost with those who counted it.

    $crowd->{reconnect} = 0;
    $crowd->close_all;

    within(20, "$name: they leave, no connections", sub {
        metrics($t)->{blockcast_connections} == 0 }) or diag(metrics($t)->{blockcast_connections});
    within(20, "$name: no subscribers", sub { subscribers($t) == 0 }) or diag(subscribers($t));

    my $m = metrics($t);
    is(sum(map { $m->{$_} } grep { /closes_total/ } keys %$m), $m->{blockcast_accepted_total},
        "$name: each connection that was accepted has ended, once");

    my $calls = -1;
    within(30, "$name: and the node is left alone", sub {
        my $before = $calls;
        $calls = () = $node->calls('count');
        return 1 if $before == $calls;
        sleep 2;
        return 0;
    });

    my @later = grep { ($_->status // 0) == 101 } map { $t->ws('/ws', may_fail => 1) } 1 .. $size;
    is(scalar(@later), $size, "$name: nobody gets 503");
    $_->close for @later;

    $t->stop;
    $node->stop;
}


# The module of 84-kill has 16 records.

storm('16 records', workers => 8, reloads => 4, records => 16, size => 60,
    test => Blockcast::Preload->new(moments => 1)->test_options);

storm('256 records', workers => 64, reloads => 7, records => 256, size => 600)
    if $ENV{BLOCKCAST_LONG};


# A worker that is stopped while its nginx is reloaded again and again keeps its
# record and its connections, and nothing else.

subtest 'a worker that is stopped while its nginx is reloaded again and again keeps' => sub {
    {
        my $node = Blockcast::Ledger->new(rate => 40, page => 2400);
        my $t = Blockcast::Test->new(workers => 2, quit => 30,
            server => crowd_server('location = /metrics { blockcast_metrics; }'),
            http => crowd_http($node, interval => '400ms', drain => '1s', size => '256k'));
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l', size => 0);

        wait_for { $t->worker_pids == 2 } 20 * $slow;
        my ($pid) = $t->worker_pids;
        kill 'STOP', $pid;
        ok($t->wait_log(qr/\[warn\].*worker $pid does not respond/, 20 * $slow),
            'a worker that is stopped: said so');
        $t->signal('HUP') for 1 .. 3;
        ok(scalar(wait_for { $t->worker_pids == 3 } 20 * $slow), 'a reload goes on without it');
        kill 'CONT', $pid;
        within(20, 'it leaves when it goes on', sub { $t->nginx_pids == 3 && counted($t) == 2 });
        is(scalar(() = $t->error_log =~ /worker $pid does not respond/g), 1, 'said once');

        $t->stop;
        $node->stop;
    }
};


done_testing();
