#!/usr/bin/perl

# Two workers, one of which polls: if this fails, a part of the visitors sees
# no updates, the node is asked twice, or the death of one process freezes the
# page of everybody.
#
# BLOCKCAST_LONG=1 kills for minutes instead of seconds.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;

# the sanitizers make everything several times slower
my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;

# the node shows the entries of ten seconds: pollers that are killed one after
# the other may leave it alone for some
my $node = Blockcast::Ledger->new(rate => 40, page => 400);

my $t = Blockcast::Test->new(workers => 2, http => crowd_http($node), server => crowd_server());

# what the master says of a worker that we killed
$t->allow(qr/worker process \d+ exited on signal 9/);

my $crowd;

sub health { $t->get_json('/api/health') }
sub poller { health()->{poller}{pid} }

sub connections {
    my $n = 0;
    $n += $_->{connections} for @{ health()->{workers} };
    return $n;
}

sub counted {
    my ($n, $name) = @_;

    my $ok = wait_for { $crowd->run(0.05); connections() == $n } 20;
    ok($ok, $name) or diag(explain(health()));
}


sub other { my $p = shift; (grep { $_ != $p } $t->worker_pids)[0] }

sub healed {
    return wait_for {
        my @pids = $t->worker_pids;
        my $h = health();
        @pids == 2 && $h && grep({ $_ == ($h->{poller}{pid} // 0) } @pids)
            && @{ $h->{workers} } == 2;
    } 20;
}


# Clients on both workers get each update, and the node sees one poll.

subtest 'clients on both workers get each update, and the node sees one poll' => sub {
    $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 40, every => 1);

    is(scalar(grep { $_->{connections} > 0 } @{ health()->{workers} }), 2,
        'there are clients on both workers');

    $crowd->run(1);
    my $before = () = $node->calls('count');
    my $t0 = time;
    $crowd->run(4);
    my $polls = (() = $node->calls('count')) - $before;
    my $due = (time - $t0) / 0.5;

    cmp_ok($polls, '<=', $due + 2, "one poll for each interval ($polls, due $due)");
    cmp_ok($polls, '>=', $due / slow() / 2, 'and no fewer than a busy machine explains');

    # one that was late is followed by one in time

    my @at = $node->calls('count');
    my @gap = map { $at[$_] - $at[$_ - 1] } 1 .. $#at;
    my @close = grep { $gap[$_] < 0.2 && $gap[$_ - 1] < 0.6 } 1 .. $#gap;
    is(scalar @close, 0, 'no two polls of a stream in one interval') or diag("@gap");

    is_deeply([$crowd->wrong], [], 'each client got every snapshot and entry once');
    my %seqs;
    ok($crowd->run(10, until => sub {
        %seqs = map { ($_->{seq}{s} // 0 => 1) } $crowd->clients;
        keys %seqs <= 2;
    }), 'all of them are at the same snapshot') or diag(join ' ', sort keys %seqs);
    counted(40, 'the connections are counted');
};


# How long all clients that are connected wait for the next update.

my $poller;

sub next_update {
    my ($what, $limit) = @_;

    my $t0 = time;
    my $all = $crowd->run($limit * $slow + 3, until => sub {
        !grep { !$_->{got}{s} || $_->{got}{s} < $t0 } $crowd->clients;
    });
    my $took = time - $t0;

    ok($all && $took < ($limit + 1) * slow(), sprintf '%s: everybody got the next '
        . 'update after %.2f s', $what, $took)
        or diag(join "\n", grep { !/\[info\]/ } split /\n/, $t->error_log);
}


subtest 'how long all clients that are connected wait for the next update' => sub {
    $crowd->{every} = 0;

    $poller = poller();
    $t->signal(KILL => $poller);
    next_update('kill -9 of the polling worker', 1.5 + 0.3);
    ok(healed(), 'another worker polls, and the killed one was replaced');
    isnt(poller(), $poller, 'it is another one');
    is_deeply([$crowd->wrong], [], 'no entry is lost or doubled, seq grows');
    counted(40, 'the connections are counted truly');

    $poller = poller();
    $t->signal(KILL => other($poller));
    next_update('kill -9 of the other worker', 1.5 + 0.3);
    is(poller(), $poller, 'the same worker polls');
    ok(healed(), 'the killed one was replaced');
    is_deeply([$crowd->wrong], [], 'no entry is lost or doubled, seq grows');
    counted(40, 'the connections are counted truly');
};


# A worker that hangs: its own clients have to wait, the others must not. There
# are clients on both: those of a killed worker may all have come back to one.

sub on_both {
    my %on = map { $_ => 0 } $t->worker_pids;
    $on{ $_->{ws}->header('x-worker') }++ for grep { $_->{ws} } $crowd->clients;
    return !grep { $_ < 5 } values %on;
}


subtest 'a worker that hangs' => sub {
    my $spread = wait_for {
        return 1 if on_both();
        $crowd->leave(int rand 40) for 1 .. 10;
        $crowd->run(0.4);
        return on_both();
    } 15;
    ok($spread, 'there are clients on both workers again');

    $poller = poller();
    $t->signal(STOP => $poller);

    my $stopped = time;

    # health is asked of whom accepts: the worker that is left
    my $taken = wait_for {
        $crowd->run(0.05);
        my $h = $t->get_json('/api/health', timeout => 1);
        $h && $h->{poller}{pid} != $poller;
    } 20;
    ok($taken, 'SIGSTOP of the poller: another takes over');
    cmp_ok(time - $stopped, '<', 4 * slow(), 'within the lease and an interval');

    my ($now, $fresh) = (time);
    $crowd->run(10, until => sub {
        $fresh = grep { $_->{ws} && ($_->{got}{s} // 0) > $now
            && $_->{ws}->header('x-worker') != $poller } $crowd->clients;
    });
    cmp_ok($fresh, '>', 0, "the other worker's clients go on ($fresh)");

    my $was;
    wait_for { $was = $t->get_json('/api/streams/c', timeout => 1); $was; } 20;
    $t->signal(CONT => $poller);
    next_update('the hung worker goes on', 1.5 + 0.3);
    isnt(poller(), $poller, 'it does not poll again');
    ok($t->wait_log(qr/another worker polls now/), 'and has noticed so');
    cmp_ok($t->get_json('/api/streams/c')->{data}, '>=', $was->{data},
        'it published nothing old');
    is_deeply([$crowd->wrong], [], 'no entry is lost or doubled, seq grows');
};


# The poller's death again and again, at any moment, also while it publishes.

subtest 'the poller\'s death again and again' => sub {
    my $kills = $ENV{BLOCKCAST_LONG} ? 200 : 12;

    for (1 .. $kills) {
        $crowd->run(0.2 + rand 0.6);
        my @pids = $t->worker_pids;
        my $pid = rand() < 0.7 ? eval { poller() } : $pids[rand @pids];
        $t->signal(KILL => $pid) if $pid && grep { $_ == $pid } @pids;
    }

    ok(healed(), "after $kills kills two workers run and one of them polls");
    my $last = $node->last_id;
    ok($crowd->run(10 * $slow, until => sub {
        !grep { ($_->{id} // 0) < $last } $crowd->clients;
    }), 'everybody has got all entries') or diag(explain([map { $_->{id} } $crowd->clients]));
    is_deeply([$crowd->wrong], [], 'none of them lost or doubled, seq grows')
        or diag($crowd->{example} // '');
    counted(40, 'the connections are counted truly');

    my %subscribers = map { $_->{name} => $_->{subscribers} }
        @{ $t->get_json('/api/streams')->{streams} };
    is_deeply(\%subscribers, { c => 40, l => 40 }, 'and so are the subscribers');

    $crowd->{reconnect} = 0;
    $crowd->close_all;
    counted(0, 'all gone: none is counted');

    $t->stop;
};


# A program that takes longer than the others wait for the poller: they must
# not take turns in throwing away what it made.

subtest 'a program that takes longer than the others wait for the poller' => sub {
    $t = Blockcast::Test->new(workers => 2, server => crowd_server(),
        http => crowd_http($node, more => <<'MORE'));
    blockcast_stream slow {
        blockcast_interval 3s;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq '.results.count as $n | now as $t
                      | $n | until(now - $t > 1.5; .)';
    }
MORE

    my $published = wait_for {
        my $r = $t->get_json('/api/streams', timeout => 4);
        grep { $_->{name} eq 'slow' && $_->{seq} >= 3 } @{ $r->{streams} // [] };
    } 14 * $slow;
    ok($published, 'a program of 1.5 s: what it makes is published');
    my $changes = () = $t->error_log =~ /this worker polls now/g;
    cmp_ok($changes, '<=', 2 * slow(), 'by a worker that stays the poller');
};


$t->stop;
$node->stop;

done_testing();
