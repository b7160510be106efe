#!/usr/bin/perl

# An ordinary day in short: people come, watch, and leave in all their ways,
# the node stumbles, the configuration is read again now and then. If this
# fails, something grows by a little all the time, and the server has to be
# restarted one night.
#
# BLOCKCAST_LONG=1 (t/run --long) goes on for 20 minutes, SOAK_SECONDS=N for
# so long.

use strict;
use warnings;

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Model;
use Blockcast::Swarm;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $seconds = $ENV{SOAK_SECONDS} || ($ENV{BLOCKCAST_LONG} ? 1200 : 12);
my $size = 200;

my $node = Blockcast::Ledger->new(rate => 40, big => 6_000);
my $t = Blockcast::Test->new(workers => 2, error_level => 'notice',
    http => crowd_http($node, interval => '250ms', drain => '1s', more => <<'MORE'),
    blockcast_stream big {
        blockcast_interval 250ms;
        blockcast_call big big;
    }
    blockcast_stream broken {
        blockcast_interval 250ms;
        blockcast_always on;
        blockcast_call nothing nothing;
    }
    blockcast_stream shaped {
        blockcast_interval 250ms;
        blockcast_always on;
        blockcast_call ledger ledger;
        blockcast_jq '{n: (.results.ledger | length), last: .results.ledger[-1],
                       texts: [.results.ledger[].text | ascii_upcase] | sort},
                      ((.state // 0) + 1)';
    }
MORE
    server => crowd_server(<<'SERVER'));
    location /metrics { blockcast_metrics; }
    location /status { stub_status; }
SERVER

my $model = Blockcast::Model->new(numbers => 1, slack => 2 * $slow,
    streams => { c => { stale => 2 }, big => {}, l => { log => 1 } });
my $swarm = Blockcast::Swarm->new(port => $t->port, size => $size, model => $model,
    snapshots => ['c', 'big'], log => 'l');

ok($swarm->run(15 * $slow, until => sub { $swarm->all_open }), "$size clients are there");

my @ways = sort keys %Blockcast::Swarm::CUT;
my ($begun, $cut, $asked, $reloads) = (time, 0, 0, 0);
my @samples;

sub live {
    my ($span) = @_;
    my $end = time + $span;

    while (time < $end) {
        $cut += $swarm->cut($ways[rand @ways], 1 + int rand 8);
        $swarm->sleepers(1 + int rand 3, rand 3) if rand() < 0.2;
        $t->get(('/api/streams', '/api/health', '/api/l?limit=50', '/metrics')[$asked++ % 4]);
        $swarm->run(0.25);
    }
}

sub settled { $swarm->run(8 * $slow, until => sub { $swarm->all_open && connections($t) == $size }) }

# what is made once is made first
live($seconds / 6);
settled();
push @samples, held($t);

for (1 .. 5) {
    live($seconds / 6);
    settled();
    push @samples, held($t);
}

# new workers begin anew: so the memory is looked at before
for (1 .. max(1, $seconds / 200)) {
    $t->signal('HUP');
    $reloads++;
    live(2);
}
ok(settled(), 'all are back after reloads and the connections are counted truly');

my $after = held($t);

note(sprintf '%d s, %d messages, %d connections, %d of them cut by the client, %d reloads',
    time - $begun, $swarm->{messages}, $swarm->{opened}, $cut, $reloads);
note(sprintf 'memory %d kB, files %d, connections of nginx %d, free in the zone %d',
    @$_{qw(memory fds nginx zone)}) for @samples, $after;

subtest 'nothing grows' => sub {
    # the second half against the first: what is still growing grows there, too
    my $first = max(map { $_->{memory} } @samples[0 .. 2]);
    my $second = max(map { $_->{memory} } @samples[3 .. 5]);
    cmp_ok($second - $first, '<', $ENV{BLOCKCAST_SANITIZE} ? 200_000 : 1_000, 'memory is flat');
    # some are kept to the node for a while
    cmp_ok(min(map { $_->{fds} } @samples[3 .. 5]) - max(map { $_->{fds} } @samples[0 .. 2]), '<=', 2,
        'files, too');
    is($samples[-1]{zone}, $samples[0]{zone}, 'and the room in the zone');
    is($after->{zone}, $samples[0]{zone}, 'also after reloads');
};

my @wrong = $model->offences;
ok(!@wrong, 'nobody was told anything wrong') or diag(join "\n", '', @wrong);

# a stream that never works is said now and then, not with each poll
my $lines = () = $t->error_log =~ /stream "broken" failed/g;
cmp_ok($lines, '<', 10 + $seconds / 10, "a stream that always fails is said $lines times");

$swarm->close_all;
$t->stop;
$node->stop;

done_testing();
