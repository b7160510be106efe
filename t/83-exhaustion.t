#!/usr/bin/perl

# Nothing is left: no connection, no file, no memory. If this fails, a server
# that is full dies or stops for those who are already there, fills its disk
# with the same line, or never comes back to itself.

use strict;
use warnings;

use Socket qw(AF_INET SOCK_STREAM inet_aton pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Model;
use Blockcast::Preload;
use Blockcast::Swarm;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 40, page => 400);
my ($t, $model, $swarm);

sub crowd {
    my ($size, %opt) = @_;

    $model = Blockcast::Model->new(numbers => 1, slack => 2 * $slow, no_memory => 1,
        streams => { c => { stale => 3 }, l => { log => 1 } });
    return Blockcast::Swarm->new(port => $t->port, size => $size, model => $model,
        snapshots => ['c'], log => 'l', slow_share => 0, %opt);
}

sub connect_to {
    my ($to) = @_;
    socket my $s, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    return connect($s, $to) ? $s : undef;
}

# how many times the log says so, above [info]
sub said {
    my ($re) = @_;
    my $n = () = grep { /\[(?:warn|error|crit|alert|emerg)\]/ && $_ =~ $re } split /\n/, $t->error_log;
    return $n;
}

# those who are connected have got the newest
sub well {
    my ($seconds, $all) = @_;
    my ($last, $since) = ($node->last_id, time);

    return $swarm->run($seconds * $slow, until => sub {
        my @open = $all ? $swarm->clients : $swarm->open_clients;
        @open && !grep { !$_->{open} || ($_->{st}{l}{id} // 0) < $last
            || ($_->{st}{c}{at} // 0) < $since } @open;
    });
}

sub fine {
    my ($name) = @_;
    my @wrong = $model->offences;
    ok(!@wrong, "$name: nobody was told anything wrong") or diag(join "\n", '', @wrong);
}


# worker_connections: clients beyond it are refused, those who are there and
# the poller are not touched.

subtest 'worker_connections' => sub {
    for my $kind ('WebSocket clients', 'connections that say nothing') {
        $t = Blockcast::Test->new(workers => 1, worker_connections => 64, server => crowd_server(),
            http => crowd_http($node, interval => '200ms'));
        $t->allow(qr/worker_connections are not enough/);

        $swarm = crowd(20);
        ok(well(10, 1), "$kind: 20 clients are there");
        my $seq = (sort { $a <=> $b } map { $_->{st}{c}{seq} } $swarm->clients)[0];

        my $to = pack_sockaddr_in($t->port, inet_aton('127.0.0.1'));
        my @silent;
        my $flood;

        if ($kind =~ /WebSocket/) {
            $flood = Blockcast::Swarm->new(port => $t->port, size => 100, slow_share => 0,
                snapshots => ['c'], wait => 0.2);
            $flood->run(0.02), $swarm->run(0.02) for 1 .. 40 * $slow;
            cmp_ok($flood->{refused}, '>', 20, "$kind: those beyond are refused");
        } else {
            for (1 .. 40) {
                push @silent, grep { defined } map { connect_to($to) } 1 .. 5;
                $swarm->run(0.05);
            }
        }

        is($swarm->{opened}, 20, "$kind: those who are there stay");
        my ($slowest) = sort { $a <=> $b } map { $_->{st}{c}{seq} // 0 } $swarm->clients;
        cmp_ok($slowest - $seq, '>', 5, "$kind: and get what is polled meanwhile");
        ok(well(3), "$kind: to the newest");

        $flood->close_all if $flood;
        close $_ for @silent;

        my $again = wait_for { my $ws = eval { $t->ws('/ws') }; $ws && $ws->subscribe('c')
            && $ws->recv_type('c') } 10 * $slow;
        ok($again, "$kind: others can come again");

        fine($kind);
        cmp_ok(said(qr/refused|no more|limit|full/), '<=', 3, "$kind: refusing is said once, not each time")
            or diag(join "\n", grep { !/\[info\]/ } (split /\n/, $t->error_log)[0 .. 40]);

        $swarm->close_all;
        $t->stop;
    }
};


# Files: what ulimit -n allows.

subtest 'files' => sub {
    $t = Blockcast::Test->new(workers => 1, main => 'worker_rlimit_nofile 70;', server => crowd_server(),
        http => crowd_http($node, interval => '200ms'));
    $t->allow(qr/Too many open files/);

    $swarm = crowd(20);
    ok(well(10, 1), 'few files: 20 clients are there');

    my $to = pack_sockaddr_in($t->port, inet_aton('127.0.0.1'));
    my @more = grep { defined } map { connect_to($to) } 1 .. 80;

    ok($swarm->run(5 * $slow, until => sub { said(qr/Too many open files/) }), 'then there are none left');
    ok(well(5), 'those who are there get what is polled');
    is($swarm->{opened}, 20, 'on their connections');
    $swarm->run(2);
    cmp_ok(said(qr/Too many open files/), '<', 12, 'it is not said all the time');

    close $_ for @more;
    my $again = wait_for { my $ws = eval { $t->ws('/ws') }; $ws && $ws->subscribe('c')
        && $ws->recv_type('c') } 10 * $slow;
    ok($again, 'others can come again');
    fine('few files');
    $swarm->close_all;
    $t->stop;
};


# Memory: each allocation in turn fails while clients come, subscribe, receive
# and leave; then some of all; then all for a while.

my $hook;

# a client comes and goes while number n fails
sub visit {
    my ($n) = @_;

    $hook->fail_nth($n);
    my $ws = eval { $t->ws('/ws', may_fail => 1) };
    if ($ws && ($ws->status // 0) == 101) {
        local $Blockcast::WebSocket::TIMEOUT = 0.3;
        $ws->send_json({ type => 'subscribe', streams => ['c', 'l'] });
        eval { $ws->recv_type('c', 0.3) };
        $ws->send_json({ type => 'ping', id => $n });
        eval { $ws->recv_type('pong', 0.3) };
        $ws->drop(reset => $n % 2);
    }
    eval { $t->get('/api/streams/l', timeout => 1) };

    # and one whose first frames come together with its handshake
    my $s = connect_to(pack_sockaddr_in($t->port, inet_aton('127.0.0.1')));
    syswrite $s, $swarm->{head} . Blockcast::Swarm::frame(1, '{"type":"subscribe","stream":"c"}');
    vec(my $in = '', fileno $s, 1) = 1;
    select($in, undef, undef, 0.1);
    close $s;

    my $failed = $hook->failed;
    $hook->fail_none;
    $swarm->run(0.01);
    return $failed;
}


subtest 'memory' => sub {
    $hook = Blockcast::Preload->new;
    $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, server => crowd_server(<<'SERVER'),
    location /metrics { blockcast_metrics; }
    location /events { blockcast_sse; }
SERVER
        http => crowd_http($node, interval => '200ms', snapshot => 'blockcast_stale 2s;',
            more => 'client_header_timeout 5s;'));

    # nginx itself says it so
    $t->allow(qr/\[emerg\].*(?:malloc|posix_memalign)\(.*failed/, qr/\[alert\].*Cannot allocate memory/);

    $swarm = crowd(30);
    ok(well(10, 1), 'memory: 30 clients are there');
    my %pids = map { $_ => 1 } $t->worker_pids;

    my $hit = 0;
    $hit += visit(1 + $_ % 70) for 0 .. ($ENV{BLOCKCAST_LONG} ? 700 : 69);
    cmp_ok($hit, '>', 15, "one allocation after the other failed ($hit)");
    ok(well(10, 1), 'all clients have what is new');
    fine('one failure');

    for my $share (0.02, 0.2, 0.7) {
        $hook->fail_some($share);
        for (1 .. 6 * $slow) {
            $swarm->cut('rst', 2);
            $swarm->cut('close', 1);
            $swarm->run(0.25);
            eval { $t->get('/api/health', timeout => 0.5) };
        }
        my $failed = $hook->failed;
        $hook->fail_none;
        ok(well(10, 1), sprintf '%d %% of the allocations fail (%d): all is well when they no longer do',
            100 * $share, $failed);
        fine(sprintf '%d %%', 100 * $share);
    }

    $hook->fail_all;
    $swarm->run(1.5);
    $swarm->cut('rst', 5);
    $swarm->run(1);
    my $failed = $hook->failed;
    $hook->fail_none;
    ok(well(10, 1), "every allocation fails ($failed): all is well when they no longer do");
    fine('every failure');

    is(scalar(grep { !$pids{$_} } $t->worker_pids), 0, 'no worker has died of it')
        or diag(join "\n", grep { /exited/ } split /\n/, $t->error_log);
    my $counted = $swarm->run(8 * $slow, until => sub { connections($t) == 30 });
    ok($counted, 'the connections are counted truly') or diag(connections($t));
};


# libjq ends its process when it gets no memory. That is a helper's: the poller
# goes on, with another one.

subtest 'libjq ends its process when it gets no memory' => sub {
    my ($poller) = $t->get_json('/api/health')->{poller}{pid};
    my ($died, $told);

    # its line is held back for up to 15 s after those of other errors

    my $at = length $t->error_log;

    for (1 .. 15) {
        my ($helper) = grep { Blockcast::Test::slurp("/proc/$_/cmdline") !~ /spawner/ } $t->jq_pids;
        $hook->fail_nth(5, libjq => 1, pid => $helper);
        $died = $swarm->run(5 * $slow, until => sub { !kill 0, $helper });
        $hook->fail_none;
        last if !$died;
        $told = wait_for {
            substr($t->error_log, $at) =~ /poll of stream "l" failed: the jq program was stopped, it needs more than \d+ bytes, blockcast_jq_memory/
        } 2;
        last if $told;
        well(10, 1);
    }

    ok($died, 'no memory for a program: its helper dies of it');
    ok($told, 'and the poll says of what')
        or diag(join "\n", (grep { /jq program|stream "l"/ } split /\n/, $t->error_log)[-10 .. -1]);
    is($t->get_json('/api/health')->{poller}{pid}, $poller, 'the poller goes on');
    ok(well(10, 1), 'with another helper');
    fine('no memory for a program');

    $swarm->close_all;
};

$t->stop;
$node->stop;

done_testing();
