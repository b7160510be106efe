#!/usr/bin/perl

# Streams that have something new at the same moment, and clients of all of
# them, who get it in one write. If this fails, such a client misses a message,
# gets one twice, or half of one between two others; or a dashboard of six
# streams costs six times as many system calls as it needs.

use strict;
use warnings;

use List::Util qw(min sum0);
use Test::More;

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Model;
use Blockcast::Swarm;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
# the first one alone is more than is taken into one write
my @snapshots = qw(huge c small large larger);

my $node = Blockcast::Ledger->new(rate => 40);

# what the large ones send in a second is more than some clients read
my $t = Blockcast::Test->new(workers => 1, error_level => 'debug_http', server => crowd_server(),
    http => crowd_http($node, interval => '800ms', zone => '16m',
        snapshot => 'blockcast_stale 60s;', more => join '', map {
        my ($name, $bytes) = @$_;
        <<"STREAM";
    blockcast_stream $name {
        blockcast_interval 800ms;
        blockcast_max_size 128k;
        blockcast_stale 60s;
        blockcast_call count count;
        blockcast_jq '{count: .results.count, text: ("x" * $bytes)}';
    }
STREAM
    } ['huge', 70000], ['small', 10], ['large', 6000], ['larger', 20000]));

my $model = Blockcast::Model->new(numbers => 1,
    streams => { l => { log => 1 }, map { $_ => { stale => 3600 } } @snapshots });
my $swarm = Blockcast::Swarm->new(port => $t->port, size => 300, model => $model,
    snapshots => \@snapshots, log => 'l');

my $last;

subtest 'everybody gets what is new' => sub {
    ok($swarm->run(15 * $slow, until => sub {
        $swarm->all_open && 6 <= min map { $_->{st}{l}{seq} // 0 } $swarm->clients;
    }), '300 clients of six streams get what is new');

    $last = $node->last_id;

    ok($swarm->run(10 * $slow, until => sub {
        !grep { ($_->{st}{l}{id} // 0) < $last } $swarm->clients;
    }), 'and every entry of the log');
};

# when nothing is new any more (nor called stale, which makes up for it), nobody may be left with what was before

subtest 'when nothing is new any more' => sub {
    my @behind;

    for (1 .. 4) {
        $swarm->run(1);
        kill 'STOP', $node->{pid};
        $swarm->run(0.5);

        my %newest = map { $_->{name} => $_->{seq} } @{ $t->get_json('/api/streams')->{streams} };

        $swarm->run(20 * $slow, until => sub {
            @behind = map { my $c = $_; map { "$c->{name}: $_" }
                grep { ($c->{st}{$_}{seq} // 0) < $newest{$_} } @snapshots } $swarm->clients;
            return !@behind;
        });

        kill 'CONT', $node->{pid};
        last if @behind;
    }

    is(scalar @behind, 0, 'everybody gets to the newest of each') or diag(join "\n", @behind[0 .. 5]);

    is_deeply([$model->offences], [], 'each of them in order, once, and whole');
    is($swarm->{lost}, 0, 'no connection was lost');
};

subtest 'in one write' => sub {
    my ($log, %writes) = ($t->error_log);
    $writes{$1}++ while $log =~ /blockcast: (\d+) frames, \d+ bytes, in one write/g;
    cmp_ok(sum0(map { $writes{$_} } grep { $_ > 1 } keys %writes), '>', 200,
        'what is new in several streams goes out in one write');
    note(join ', ', map { "$_ frames: $writes{$_} times" } sort keys %writes);
};

$swarm->close_all;
$t->stop;
$node->stop;

done_testing();
