#!/usr/bin/perl

# Reloads in a row under many clients and constant publishing: if this fails,
# an operator (or a controller that reloads at every change of a cluster) fills
# the machine's memory with old workers, or people who watch lose receipts.
#
# BLOCKCAST_LONG=1 (t/run --long): 50 reloads under 2,000 clients.

use strict;
use warnings;

use List::Util qw(max min sum0);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Model;
use Blockcast::Swarm;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my ($reloads, $size) = $ENV{BLOCKCAST_LONG} ? (50, 2000)
    : $ENV{BLOCKCAST_SANITIZE} ? (4, 100) : (6, 300);
my $drain = 2;

# between two reloads: sooner than the old workers can have left
my $pause = $ENV{BLOCKCAST_LONG} ? 1.5 : 1;

# what an old worker may take beyond its drain: its last goodbye waits for the
# answer
my $grace = 3;

my $node = Blockcast::Ledger->new(rate => 40);
my $t = Blockcast::Test->new(workers => 2, quit => 15, worker_connections => 4096,
    server => crowd_server("location /metrics { blockcast_metrics; }\n location /status { stub_status; }"),
    http => crowd_http($node, interval => '250ms', drain => "${drain}s", keep => 4000));

my $model = Blockcast::Model->new(numbers => 1, streams => { c => {}, l => { log => 1 } });
my $swarm = Blockcast::Swarm->new(port => $t->port, size => $size, model => $model,
    snapshots => ['c'], log => 'l', slow_share => 0);

sub all_there {
    my ($seconds) = @_;
    my $last = $node->last_id;

    return $swarm->run($seconds * $slow, until => sub {
        $swarm->all_open && !grep { ($_->{st}{l}{id} // 0) < $last } $swarm->clients;
    });
}

ok(all_there(30), "$size clients are there");

# the first workers have served the first crowd alone; so have the last ones
# that of the end
my $before = held($t);
my ($master_fds, $master_memory) = (fds_of($t->master_pid), memory_of($t->master_pid));


# When each worker was told to go, and when it was gone.

my (%told, %gone, @memory, $most, $looked);

sub look {
    my $now = time;
    my %there = map { $_ => 1 } grep { $_ != $t->master_pid } $t->nginx_pids;

    $gone{$_} //= $now for grep { !$there{$_} } keys %told;
    return scalar keys %there;
}
sub every {
    return if time - $looked < 0.25;
    $looked = time;
    $most = max($most, look());
}


subtest 'when each worker was told to go, and when it was gone' => sub {
    ($most, $looked) = (0, 0);

    for my $n (1 .. $reloads) {
        $told{$_} //= time for $t->worker_pids;
        $t->signal('HUP');
        $swarm->run($pause * $slow, each => \&every);
        push @memory, max(map { memory_of($_) } $t->worker_pids) // 0;
    }

    my $settled = $swarm->run(($drain + $grace + 10) * $slow, each => \&every, until => sub {
        !grep { !$gone{$_} } keys %told;
    });
    ok($settled, "after $reloads reloads the old workers are gone");

    my @lives = map { ($gone{$_} // time) - $told{$_} } keys %told;
    cmp_ok(max(@lives), '<', ($drain + $grace) * slow(),
        sprintf 'none of them lived longer than its drain time (%.1f s; at most %d workers at once)',
        max(@lives), $most);

    # those who came while the others were leaving are spread unevenly: what counts
    # is the same crowd on the last two workers
    ok(all_there(30), 'all clients are back and have everything');

    my @wrong = $model->offences;
    ok(!@wrong, 'no entry is lost or doubled, seq grows') or diag(join "\n", '', @wrong);
    is($swarm->{closes}{1012}, $swarm->{opened} - $size - $swarm->{lost},
        'who had to go was told: 1012');
    is($swarm->{lost}, 0, 'nobody was just cut off');
    is(connections($t), $size, 'the connections are counted truly');

    my $after = held($t);

    note(sprintf 'memory of a new worker, kB: %s', join ' ', @memory);
    note(sprintf 'workers: %d kB, then %d kB; %d files, then %d; zone free %d, then %d; master %d kB, then %d',
        @$before{qw(memory)}, @$after{qw(memory)}, $before->{fds}, $after->{fds},
        $before->{zone}, $after->{zone}, $master_memory, memory_of($t->master_pid));
    note(sprintf '%d messages, %d connections, closes: %s', $swarm->{messages}, $swarm->{opened},
        join ', ', map { "$_: $swarm->{closes}{$_}" } sort keys %{ $swarm->{closes} });

    # a sanitizer keeps what was freed
    my $room = $ENV{BLOCKCAST_SANITIZE} ? 60_000 : 3_000;

    cmp_ok($after->{memory} - $before->{memory}, '<', $room, 'the workers are not larger than the first ones');
    cmp_ok($after->{fds} - $before->{fds}, '<=', 2, 'and have no more open files');
    cmp_ok(memory_of($t->master_pid) - $master_memory, '<', $room + 40 * $reloads, 'nor is the master');
    is(fds_of($t->master_pid), $master_fds, 'nor has it more open files');
    is($after->{zone}, $before->{zone}, 'the zone has as much room as before');

    $swarm->close_all;
};

$t->stop;
$node->stop;

done_testing();
