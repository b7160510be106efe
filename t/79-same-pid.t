#!/usr/bin/perl

# A worker is killed, and its successor gets the same process number, as it
# happens where there are few of them: in a container. If this fails, the
# clients of the dead one are counted for ever, and the node is polled for them.
#
# The numbers are those of a pid namespace of our own.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;

if (($ENV{BLOCKCAST_TEST_NAMESPACE} // '') ne $$) {
    system('unshare --pid --fork --mount-proc true 2>/dev/null') == 0
        or plan(skip_all => 'no pid namespace of our own: it takes root');

    # our number in there is 1, and who is number 1 adopts the orphans
    $ENV{BLOCKCAST_TEST_NAMESPACE} = 1;
    exec 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc', $^X, $0;
}

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;

my $node = Blockcast::Ledger->new(rate => 40);
my $t = Blockcast::Test->new(workers => 2, http => crowd_http($node, interval => '300ms'),
    server => crowd_server('location = /metrics { blockcast_metrics; }'));

$t->allow(qr/worker process \d+ exited on signal 9/);

sub within {
    my ($seconds, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = &wait_for($code, $seconds * $slow);
    ok($ok, $name);
    return $ok;
}

sub metric { return ($t->get('/metrics')->{body} =~ /^blockcast_$_[0] (\d+)/m)[0] // -1 }

sub subscribers {
    my $n = 0;
    $n += $_->{subscribers} for @{ $t->get_json('/api/streams')->{streams} };
    return $n;
}

sub next_pid {
    my ($pid) = @_;
    open my $fh, '>', '/proc/sys/kernel/ns_last_pid' or return 0;
    syswrite $fh, $pid - 1;
    return close $fh;
}


# The worker that polls and the other one, killed in turn.

subtest 'the worker that polls and the other one, killed in turn' => sub {
    for my $which ('poller', 'other worker') {
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
            size => 20, reconnect => 0);
        $crowd->run(20 * $slow, until => sub { metric('connections') == 20 && subscribers() == 40 });
        is(subscribers(), 40, "$which: 40 subscribers");

        my $poller = $t->get_json('/api/health')->{poller}{pid};
        my ($pid) = grep { ($which eq 'poller') == ($_ == $poller) } $t->worker_pids;
        my $started = (split ' ', Blockcast::Test::slurp("/proc/$pid/stat"))[21];

        ok(next_pid($pid), "$which: the next process is to have the number $pid") or last;
        kill 'KILL', $pid;

        within(10, "$which: its successor has its number", sub {
            my $now = (split ' ', Blockcast::Test::slurp("/proc/$pid/stat"))[21];
            grep({ $_ == $pid } $t->worker_pids) && $now && $now != $started;
        }) or last;

        my $left = grep { !$_->{ws}->eof } $crowd->clients;
        $crowd->run(1);
        $left = grep { $_->{ws} } $crowd->clients;

        within(20, "$which: $left connections are left", sub { metric('connections') == $left })
            or diag(metric('connections'));
        is(metric('workers'), 2, "$which: two workers");
        is(subscribers(), 2 * $left, "$which: as many subscribers");

        $crowd->close_all;
        within(20, "$which: they leave, nobody is counted", sub {
            metric('connections') == 0 && subscribers() == 0 }) or diag(metric('connections'));

        my $again = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l', size => 10);
        $again->complete($t, $node, "$which: all goes on", $slow);
        $again->close_all;
        within(20, "$which: and those are gone, too", sub { metric('connections') == 0 });
    }
};


$t->stop;
$node->stop;

done_testing();
