#!/usr/bin/perl

# needs: moments
#
# The polling worker is killed at each moment of a publish: between any two of
# its writes to the shared memory, and in the middle of copying. If this fails,
# a worker that the kernel kills for its memory leaves the streams frozen for
# ever, a message that is half of one state and half of another, or receipts
# that nobody is told of.
#
# BLOCKCAST_LONG=1 (t/run --long) goes through them twenty times.

use strict;
use warnings;

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
my $size = 30;

my $node = Blockcast::Ledger->new(rate => 40);
my $hook = Blockcast::Preload->new(moments => 1);

# besides the streams of the crowd: one whose program has a state and whose
# data stays, one that always fails, one whose ring is always full
my $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, server => crowd_server(),
    http => crowd_http($node, interval => '200ms', more => <<'MORE'));
    blockcast_stream kept {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq '"the same", ((.state // 0) + 1)';
    }
    blockcast_stream broken {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq 'error("\(.results.count) is no good number")';
    }
    blockcast_stream few {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call ledger ledger;
        blockcast_jq '{entries: .results.ledger}';
        blockcast_log entries key=id keep=30 size=4k;
        blockcast_max_size 8k;
    }
MORE

$t->allow(qr/worker process \d+ exited on signal 9/,
    qr/shared memory zone "main" was locked by/);

my $model = Blockcast::Model->new(numbers => 1,
    streams => { c => { stale => 3600 }, l => { log => 1 } });
my $swarm = Blockcast::Swarm->new(port => $t->port, size => $size, model => $model,
    snapshots => ['c'], log => 'l');

sub poller { ($t->get_json('/api/health', timeout => 2) // {})->{poller}{pid} // 0 }

# everybody is there and has what the node had a moment ago
sub well {
    my ($seconds) = @_;
    my ($last, $since) = ($node->last_id, time);

    return $swarm->run($seconds * $slow, until => sub {
        $swarm->all_open && !grep { ($_->{st}{l}{id} // 0) < $last
            || ($_->{st}{c}{at} // 0) < $since } $swarm->clients;
    });
}

ok(well(10), "$size clients are there");

my ($slowest, $unannounced) = (0, 0);

sub dies {
    my ($name, $arm) = @_;

    # no worker is new and no poller changes any more
    my $ready = $swarm->run(10 * $slow, until => sub {
        my $p = poller();
        grep({ $_ == $p } $t->worker_pids) && $t->worker_pids == 2;
    });
    my $poller = poller();

    $arm->($poller);

    my $dead = $swarm->run(8 * $slow, until => sub { $hook->killed && !kill 0, $poller });
    my $at = time;
    my $well = $dead && well(10);
    my $took = time - $at;

    $hook->disarm;
    $slowest = $took if $took > $slowest;

    my @wrong = $model->offences;

    ok($ready && $dead && $well && !@wrong, "$name: "
        . (!$ready ? 'nobody polls' : !$dead ? 'the poller did not die there'
           : !$well ? 'not everybody gets what is new'
           : @wrong ? 'what clients received is wrong' : sprintf('all goes on after %.1f s', $took)))
        or diag(join "\n", @wrong, map { s/\[\w+\]\K.*?: / /r }
            grep { !/\[info\]/ } (split /\n/, $t->error_log)[-30 .. -1]);

    @$model{qw(wrong count)} = ([], {});
}

my @moments = ('publish: locked', 'commit: copied', 'commit: counted', 'commit: done',
    'publish: unlocked', 'state: copied', 'state: done', 'ring: room made', 'ring: written',
    'ring: an entry more', 'log: unlocked', 'error: written', 'refresh: half');

for (1 .. ($ENV{BLOCKCAST_LONG} ? 20 : 1)) {
    for my $moment (@moments) {
        my $n = 1 + int rand 3;
        dies("$moment, number $n", sub { $hook->kill_at($moment, $n, $_[0]) });
    }

    for my $n (1 .. 8) {
        dies("half of copy $n", sub { $hook->kill_in_copy($n, $_[0]) });
    }
}

note(sprintf 'the slowest recovery took %.1f s', $slowest);

my $counted = $swarm->run(8 * $slow, until => sub { $swarm->all_open && connections($t) == $size });
ok($counted, 'the connections are counted truly');

my %subscribers = map { $_->{name} => $_->{subscribers} }
    @{ $t->get_json('/api/streams')->{streams} };
is_deeply(\%subscribers, { c => $size, l => $size, kept => 0, broken => 0, few => 0 },
    'and so are the subscribers');

# what nobody was subscribed to is whole, too
like($t->get('/api/streams/kept')->{body}, qr/"data":"the same"/, 'data that stays is there');
my @few = map { $_->{id} } @{ $t->get_json('/api/few?limit=30')->{entries} // [] };
cmp_ok(scalar @few, '>', 5, 'a ring that is always full has entries');
is(scalar(grep { $few[$_ - 1] != $few[$_] + 1 } 1 .. $#few), 0, 'one after the other');
like($t->get('/api/health')->{body}, qr/"name":"broken"[^{}]*"error":"[^"]*\d+ is no good number"/,
    'the error of a stream that always fails is a whole sentence');

$swarm->close_all;
$t->stop;
$node->stop;

done_testing();
