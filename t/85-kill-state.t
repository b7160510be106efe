#!/usr/bin/perl

# needs: moments
#
# With a state file the polling worker is killed at each moment of a publish;
# then another worker goes on, or everything is killed and started again. If
# this fails, a message is sent under a number that another one had, or entries
# are sent twice or never, in a crash that comes a microsecond too early.

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

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $size = 20;

my $node = Blockcast::Ledger->new(rate => 40);
my $hook = Blockcast::Preload->new(moments => 1);

my $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, server => crowd_server(),
    start => 0, http => crowd_http($node, interval => '200ms', more => <<'MORE'));
    blockcast_state %%PREFIX%%/state/feeds;
    blockcast_stream kept {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq '"the same", ((.state // 0) + 1)';
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

mkdir $t->prefix . '/state';
chmod 0777, $t->prefix . '/state';
$t->start;

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

sub start_again {
    # the master may be starting a worker meanwhile
    kill 'KILL', $t->{master};
    wait_for { waitpid $t->{master}, 1; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 5;
    unlink $t->prefix . '/nginx.pid';
    $t->start;
}

sub dies {
    my ($name, $all) = @_;

    # no worker is new and no poller changes any more
    my $ready = $swarm->run(10 * $slow, until => sub {
        my $p = poller();
        grep({ $_ == $p } $t->worker_pids) && $t->worker_pids == 2;
    });
    my $poller = poller();

    $hook->kill_at($name, 1 + int rand 3, $poller);

    my $dead = $swarm->run(8 * $slow, until => sub { $hook->killed && !kill 0, $poller });
    $hook->disarm;

    start_again() if $all;

    my $well = $dead && well(10);
    my @wrong = $model->offences;

    ok($ready && $dead && $well && !@wrong, $name . ($all ? ', then everything' : '') . ': '
        . (!$ready ? 'nobody polls' : !$dead ? 'the poller did not die there'
           : !$well ? 'not everybody gets what is new'
           : @wrong ? 'what clients received is wrong' : 'all goes on'))
        or diag(join "\n", @wrong, map { s/\[\w+\]\K.*?: / /r }
            grep { !/\[info\]/ } (split /\n/, $t->error_log)[-30 .. -1]);

    @$model{qw(wrong count)} = ([], {});
}

my @moments = ('publish: locked', 'publish: recorded', 'commit: copied', 'commit: counted',
    'commit: done', 'publish: unlocked', 'state: copied', 'log: recorded', 'ring: room made',
    'ring: written', 'ring: an entry more', 'log: unlocked');

for my $all (0, 1) {
    dies($_, $all) for @moments;
}

# a ring that is always full has entries, one after the other
my @few = map { $_->{id} } @{ $t->get_json('/api/few?limit=30')->{entries} // [] };
cmp_ok(scalar @few, '>', 5, 'a full ring has entries');
is(scalar(grep { $few[$_ - 1] != $few[$_] + 1 } 1 .. $#few), 0, 'one after the other');

unlike($t->error_log, qr/\[(?:error|crit|warn)\].*state file/, 'the state file gives no cause for complaint');

$swarm->close_all;
$t->stop;
$node->stop;

done_testing();
