#!/usr/bin/perl

# Reload and quit under clients and publishing: if this fails, changing a line
# of the configuration loses entries for people who are watching, leaves old
# processes behind, or starts everybody's numbers anew.
#
# BLOCKCAST_LONG=1 reloads 200 times in a row instead of 20.

# lane: waits

use strict;
use warnings;

use IO::Socket::INET ();
use List::Util qw(min max);
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 40);

my %conf = (zone => '16m', size => '256k', drain => '2s');

sub http { return crowd_http($node, %conf, @_) }

my $server = crowd_server();

my $t = Blockcast::Test->new(workers => 2, http => http(), server => $server);

sub epoch { $t->get_json('/api/health')->{epoch} }

sub stream {
    my $name = shift;
    my ($s) = grep { $_->{name} eq $name }
        @{ ($t->get_json('/api/streams') // {})->{streams} // [] };
    return $s;
}

sub ok_within {
    my ($seconds, $name, $code) = @_;
    my $value = wait_for { $code->() } $seconds * $slow;
    ok($value, $name) or diag(join "\n", grep { !/\[info\]/ } split /\n/, $t->error_log);
}


my $crowd;

sub complete { $crowd->complete($t, $node, $_[0], $slow) }

# Old workers wait seconds for clients that do not answer their Close.

sub answer { $crowd->run(0.05) }


# A reload under 200 clients.

my ($epoch, $t0);

subtest 'a reload under 200 clients' => sub {
    $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 200);
    $crowd->run(1.5);

    $epoch = epoch();
    my $seq = stream('c')->{seq};
    my %old = map { $_ => 1 } $t->worker_pids;
    $t0 = time;

    $t->signal('HUP');
    $crowd->run(8 * $slow, until => sub {
        !grep { $old{$_} } $t->nginx_pids;
    });
    my $took = time - $t0;

    is(scalar(grep { $old{$_} } $t->nginx_pids), 0,
        sprintf 'the old workers are gone after %.1f s', $took);
    is($crowd->{closes}{1012}, 200, 'each client was told: 1012');
    is($crowd->{lost}, 0, 'nobody was just cut off');

    my @closed = sort { $a <=> $b } @{ $crowd->{closed_at} };
    cmp_ok($closed[-1] - $closed[0], '>', 1, 'the goodbyes are spread');
    cmp_ok($closed[-1] - $t0, '<', 6 * slow(), 'over blockcast_drain');
    cmp_ok(max(map { my $i = $_; scalar grep { $_ >= $closed[$i] && $_ < $closed[$i] + 0.1 }
        @closed } 0 .. $#closed), '<', 80 * slow(), 'with no crowd in any tenth of a second');

    complete('reload');
    is(epoch(), $epoch, 'the epoch is the same');
    cmp_ok(stream('c')->{seq}, '>', $seq, 'the numbers go on');
};


# The other reloads under fewer: what they show needs no 200.

$crowd->close_all;
$crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
    size => 30);
$crowd->run(0.5);


# Reloads in a row, sooner than the old workers can leave.

sub rss {
    my $sum = 0;
    for my $pid ($t->worker_pids) {
        open my $fh, '<', "/proc/$pid/statm" or next;
        my @f = split ' ', scalar <$fh>;
        $sum = max($sum, ($f[1] - $f[2]) * 4);
    }
    return $sum;
}


subtest 'reloads in a row, sooner than the old workers can leave' => sub {
    my $reloads = $ENV{BLOCKCAST_LONG} ? 200 : 20;

    my $rss = rss();
    my $master = $t->{master};

    my $fds = fds_of($master);

    for (1 .. $reloads) {
        $t->signal('HUP');
        $crowd->run(0.1 + rand 0.5);
    }

    ok_within(12, "after $reloads reloads in a row only the last two workers are left",
        sub { $crowd->run(0.05); (() = $t->nginx_pids) == 3 && $t->worker_pids == 2 });
    complete("$reloads reloads in a row");
    is(epoch(), $epoch, 'the epoch is the same');
    cmp_ok(rss() - $rss, '<', $ENV{BLOCKCAST_SANITIZE} ? 80000 : 6000,
        'the new workers are not larger than the first');
    is(fds_of($master), $fds, 'the master has as many open files as before');
};


# What a reload changes is in force, and nothing is lost by it.

sub change {
    my ($name, %c) = @_;

    %conf = (%conf, %c);
    $t->write_conf(http => http());
    ok($t->reload, "$name: new workers");
    $crowd->run(0.7);
}


subtest 'what a reload changes is in force, and nothing is lost by it' => sub {
    $crowd->{any_value} = 1;

    change('interval', interval => '300ms', drain => '500ms');
    is(stream('c')->{interval}, 0.3, 'the new interval');
    complete('interval');

    change('larger', snapshot => 'blockcast_max_size 128k;',
        log => 'blockcast_max_size 100k;', size => '512k');
    complete('larger');

    change('back to the former sizes', snapshot => '', log => '', size => '256k');
    complete('back to the former sizes');

    change('smaller, fewer entries', size => '64k', keep => 500);
    complete('smaller, fewer entries');

    change('zone of another size', zone => '20m');
    complete('zone of another size');
    is(epoch(), $epoch, 'zone of another size: the epoch is the same');

    change('zone of another size, and other streams sizes', zone => '12m',
        size => '300k', keep => 1000);
    complete('zone and stream');
    change('all as before', zone => '16m', size => '256k', keep => 2000);
    complete('all as before');
    is(epoch(), $epoch, 'the epoch is the same');

    change('another stream', more => <<'MORE');
    blockcast_stream extra { blockcast_interval 300ms; blockcast_call count count; }
MORE
    my $ws = $t->ws('/ws');
    is_deeply([sort @{ $ws->recv_type('welcome')->{available_streams} }],
        [qw(c extra l)], 'it is offered');
    $ws->subscribe('extra');
    my $m = $ws->recv_type('extra');
    ok($m, 'and delivers');
    my $extra = $m->{seq};

    # the same name, another kind
    change('a stream of another kind', more => <<'MORE');
    blockcast_stream extra {
        blockcast_interval 300ms;
        blockcast_call ledger ledger;
        blockcast_jq '{entries: .results.ledger}';
        blockcast_log entries key=id;
    }
MORE
    $ws = $t->ws('/ws');
    $ws->subscribe('extra');
    $m = $ws->recv_type('extra');
    ok($m->{data}{entries}, 'it is a log now');
    cmp_ok($m->{seq}, '>', $extra, 'its numbers go on');

    change('a stream less', more => '');
    $ws = $t->ws('/ws');
    $ws->send_json({ type => 'subscribe', stream => 'extra' });
    is($ws->recv_type('error')->{code}, 'unknown_stream', 'it is no longer there');
    complete('a stream more, another kind, a stream less');
};


# A reload that fails changes nothing.

sub fails {
    my ($name, $re, %arg) = @_;

    my %pids = map { $_ => 1 } $t->worker_pids;
    my $at = length $t->error_log;
    my $seq = stream('c')->{seq};

    $t->write_conf(%arg);
    $t->signal('HUP');

    ok_within(10, "$name: said so", sub { substr($t->error_log, $at) =~ $re });
    $crowd->run(1);
    is(scalar(grep { !$pids{$_} } $t->worker_pids), 0, "$name: the workers stay");
    cmp_ok(stream('c')->{seq}, '>', $seq, "$name: the streams go on");
    complete($name);
}


subtest 'a reload that fails changes nothing' => sub {
    $t->allow(qr/\[emerg\].*(unknown directive|bind\(\)|still could not bind|has no room|jq)/);

    fails('mistake', qr/unknown directive "nonsense"/,
        http => http() . ' nonsense on;', server => $server);
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
        Listen => 1);
    fails('port in use, other sizes', qr/still could not bind/,
        http => http(snapshot => 'blockcast_max_size 100k;', size => '400k')
            . 'server { listen 127.0.0.1:' . $taken->sockport . '; }',
        server => $server);
    fails('port in use, other zone', qr/still could not bind/,
        http => http(zone => '22m')
            . 'server { listen 127.0.0.1:' . $taken->sockport . '; }',
        server => $server);

    # the slots of the former sizes are kept for those who may need them still
    my $largest = 256;

    while ($t->error_log !~ /has no room/ && $largest < 4000) {
        $largest += 128;
        $t->write_conf(http => http(snapshot => "blockcast_max_size ${largest}k;"));
        $t->signal('HUP');
        $crowd->run(0.5 * $slow);
    }

    $t->wait_log(qr/has no room/, 20);
    like($t->error_log, qr/has no room for \d+ bytes of stream "c".*make it larger/,
        "a zone without room for the former sizes and new ones: said so (${largest}k)");
    complete('a zone without room');

    $t->write_conf(http => http(), server => $server);
    ok($t->reload(gone => 10, meanwhile => \&answer), 'then one that does not fail');
    complete('after reloads that failed');
    is(epoch(), $epoch, 'the epoch is the same');
};


# More workers, and fewer.

subtest 'more workers, and fewer' => sub {
    $t->write_conf(workers => 4);
    ok($t->reload(gone => 12, meanwhile => \&answer), 'four workers');
    complete('four workers');
    is(scalar @{ $t->get_json('/api/health')->{workers} }, 4, 'all are counted');
    $t->write_conf(workers => 1);
    ok($t->reload(gone => 12, meanwhile => \&answer), 'one worker');
    complete('one worker');
    is(scalar @{ $t->get_json('/api/health')->{workers} }, 1, 'it is counted');
    $t->write_conf(workers => 2);
    ok($t->reload(gone => 12, meanwhile => \&answer), 'two workers');
    complete('two workers');
};


# Quit under clients, 200 of whom never say goodbye.

my $gone;

subtest 'quit under clients, 200 of whom never say goodbye' => sub {
    my $rude = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 200, rude => 1, reconnect => 0);
    $crowd->{reconnect} = 0;
    $crowd->{closes} = {};
    $rude->run(1);
    $crowd->run(0.5);

    $t0 = time;
    $t->signal('QUIT');
    $gone = wait_for {
        $crowd->run(0.05);
        $rude->run(0.05);
        waitpid $t->{master}, 1;
        !$t->nginx_pids;
    } 10 * $slow;
    ok($gone, sprintf 'quit under 230 clients takes %.1f s', time - $t0);
    is($crowd->{closes}{1012}, 30, 'each was told: 1012');
    is($rude->{closes}{1012}, 200, 'also those who do not answer');
    $crowd->close_all;
    $rude->close_all;
    $t->stop;
};


# nginx -s stop.

subtest 'nginx -s stop' => sub {
    $t = Blockcast::Test->new(workers => 2, http => http(), server => $server);
    $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 200, reconnect => 0);
    $crowd->run(1);
    $t0 = time;
    $t->signal('TERM');
    $gone = wait_for { waitpid $t->{master}, 1; !$t->nginx_pids } 5 * $slow;
    ok($gone, sprintf 'stop under 200 clients takes %.1f s', time - $t0);
    $t->stop;
};


# A call that hangs holds up neither quit nor reload.

subtest 'a call that hangs holds up neither quit nor reload' => sub {
    $t = Blockcast::Test->new(workers => 2, server => $server, http => http(more => <<'MORE'));
    blockcast_stream h {
        blockcast_interval 500ms;
        blockcast_always on;
        blockcast_call hang hang timeout=20s;
    }
MORE
    ok_within(5, 'a call hangs', sub { $node->calls('hang') });
    $t0 = time;
    ok($t->reload(gone => 3 * $slow), 'a reload does not wait for it');
    cmp_ok(time - $t0, '<', 5 * slow(), sprintf 'and took %.1f s', time - $t0);
    ok_within(5, 'another call hangs', sub { (() = $node->calls('hang')) >= 2 });
    $t0 = time;
    $t->signal('QUIT');
    $gone = wait_for { waitpid $t->{master}, 1; !$t->nginx_pids } 5 * $slow;
    ok($gone && time - $t0 < 5 * slow(),
        sprintf 'quit does not wait for it, it took %.1f s', time - $t0);
    $t->stop;
};


# A single process.

subtest 'a single process' => sub {
    $t = Blockcast::Test->new(main => 'master_process off;', http => http(drain => '500ms'),
        server => $server);
    $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 20);
    $crowd->run(2);
    complete('master_process off');
    is(scalar @{ $t->get_json('/api/health')->{workers} }, 1, 'it counts itself');
    $t->stop;

    $node->stop;
};


# A wrong configuration on a reload. If this fails, a mistake stops a server
# that was running well.

subtest 'a wrong configuration on a reload' => sub {
    my $t = Blockcast::Test->new(node => 1,
        http => 'blockcast_stream s { blockcast_call c net.stats; }',
        server => 'location /api/ { blockcast_api; }');

    my $right = $t->{http};
    my $pid = wait_for { ($t->worker_pids)[0] };

    $t->write_conf(http => 'blockcast_stream s { blockcast_call c m; blockcast_jq "|"; }');
    $t->allow(qr/jq program of stream "s": jq: error/);
    $t->signal('HUP');

    ok($t->wait_log(qr/\[emerg\].*jq program of stream "s": jq: error/, 20), 'is logged');
    is(($t->worker_pids)[0], $pid, 'and the worker stays');
    is($t->get('/api/streams')->{status}, 200, 'and serves');

    $t->write_conf(http => $right);
    ok($t->reload(gone => 20), 'and the corrected one is taken');

    $t->stop;
};


done_testing();
