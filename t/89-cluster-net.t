#!/usr/bin/perl

# Three gateways, an engine with a replica and a node, each on a machine of its
# own as far as the network is concerned (a network namespace), the gateways'
# clocks minutes apart; what happens to networks happens to them. If this fails,
# a link that is down, slow, or good for one way only lets a number have two
# contents, loses an entry in silence, or leaves all gateways without a leader
# for longer than README says.
#
# With --long or its name as well: each fault for who leads and for who follows,
# a split engine, a gateway that missed what the engine lost, clocks that are set.

# needs: engine,netns
# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Net;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $net = eval { Blockcast::Net->new };
plan skip_all => "no network namespaces are to be had here: $@" unless $net;

my $long = $ENV{BLOCKCAST_LONG};
my $poll = 0.3;
my $began = time;

my ($nodes, @g, @e);
$nodes = $net->place;
push @g, $net->place for 1 .. 3;
push @e, $net->place for 1 .. 2;

my $node = $nodes->enter(sub { Blockcast::Ledger->new(rate => 20, page => 3000, host => $nodes->{ip}) });
my @engine = map { Blockcast::Net::Engine->new($_) } @e;
replicates(1, 0);

# minutes apart: only what jumps is by the clock, and only after a loss
my @off = (-300, 0, 240);
my $urls = join ' ', map { $_->url } @engine;
my @t = map { $net->gateway($g[$_], $node, $urls, clock => $off[$_]) } 0 .. 2;

ok(settled(20, @t), 'three gateways, clocks 9 minutes apart: one leads') or diag map { $_->error_log } @t;
my $epoch = health($t[0])->{epoch};
my $crowd = $net->roaming(ports => [map { $_->port } @t], behind => 1);
$crowd->complete($t[0], $node, 'before anything');


sub replicates {
    my ($n, $of) = @_;
    $engine[$n]->do('REPLICAOF', $e[$of]{ip}, $engine[$of]{port});
    wait_for { $engine[$n]->do('INFO', 'replication') =~ /master_link_status:up/ } 60;
}

sub index_of { my ($t) = @_; (grep { $t[$_] == $t } 0 .. $#t)[0] }
sub ports { $crowd->{ports} = [map { $_->port } @_] }
sub told { join "\n", map { role($_) . ' ' . engine_error($_) } @t }

# Something comes true, in time.

sub within {
    my ($seconds, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $at = time;
    my $limit = $seconds * slow();
    my $ok = during($crowd, $seconds < 20 ? 20 : $seconds, $code);
    my $took = time - $at;
    ok($ok && $took < $limit, sprintf '%s: after %.1f s, at most %s s', $name, $took, $seconds)
        or diag told(), map { "\n" . $_->error_log } @t;
    return $took;
}

# All is well again, and everybody, wherever, has everything once.

sub well {
    my ($name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    # at most 10 s after it is back
    within(12, "$name: one leads, two follow", sub { settled(0.1, @t) });
    ports(@t);
    leave_all($crowd);

    if (!$opt{again}) {
        $crowd->complete($t[0], $node, $name);
    } else {
        my $last = $node->last_id;
        ok(during($crowd, 20, sub { !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients }),
            "$name: everybody has all entries");

        # those of the last moments may come once more
        is_deeply([grep { !/came twice/ } $crowd->wrong], [],
            "$name: no number has two contents or goes back, none is missing in silence")
            or diag $crowd->{example} // '';
        $crowd->{wrong} = {};
    }
    is(scalar(grep { (health($_)->{epoch} // 0) != $epoch } @t), 0, "$name: the epoch is the same");
}

sub stale { my ($t) = @_; ($t->get('/api/health')->{status} // 0) == 503 }
sub leading { my (@t) = @_; leaders(@t) == 1 }

# Who leads, or one that follows.

sub one { my ($who) = @_; my $l = lead_of(@t); $who eq 'leader' ? $l : (others($l, @t))[0] }


# A gateway's link is down: stale there, and elsewhere as if nothing were.

for my $who ('leader', $long ? 'follower' : ()) {
    my $t = one($who);
    my @rest = others($t, @t);
    ports(@rest);

    $g[index_of($t)]->down;
    within(4 + $poll, "the $who\'s link is down, another one leads", sub { leading(@rest) });
    within(3 + 4 + $poll, "the $who says 503", sub { stale($t) });
    like(engine_error($t), qr/does not answer|cannot be reached|not connected/, '... and why');
    is($t->get('/api/streams/c')->{status}, 200, '... and its data stays');
    $crowd->run(1);
    $g[index_of($t)]->up;
    well("the $who\'s link is up again");
}


# One way only, and no reset from anybody: its commands arrive, the replies do
# not; and the other way round.

for my $who ('leader', $long ? 'follower' : ()) {
    for my $way ('replies', $long ? 'commands' : ()) {
        my $t = one($who);
        my @rest = others($t, @t);
        my $g = $g[index_of($t)];
        my @pair = $way eq 'replies' ? ($e[0], $g) : ($g, $e[0]);
        ports(@rest);

        $net->drop(@pair);

        # of a leader: 1 s, of one who waits for entries: 1 s more
        within(2.5, "no $way for the $who: it is noticed", sub { engine_error($t) =~ /does not answer/ });
        within(4 + $poll, '... another one leads', sub { leading(@rest) });
        $crowd->run(1);
        $net->pass(@pair);
        well("the $way for the former $who come again");
    }
}


# The engine hangs: connections are accepted, nothing is said.

{
    $engine[0]->stop;
    within(1 + 1.5, 'the engine hangs: nobody leads', sub { !leaders(@t) });
    within(3 + 4 + $poll, 'all say 503', sub { !grep { !stale($_) } @t });
    is(scalar(grep { $_->get('/api/streams/c')->{status} != 200 } @t), 0, '... and have their data');
    $engine[0]->cont;
    well('the engine goes on');
}


# A long way to the engine: 0.4 s until a reply.

SKIP: {
    eval { $net->delay(0.2, $e[0], $_) for @g; 1 } or skip "packets cannot be delayed here: $@", 4;

    # what is on its way already does not count
    $crowd->run(1);
    my $lead = lead_of(@t);
    my $before = seq_of($t[1]);
    my $elections = elections();
    within(10, 'a slow way: it is published', sub { seq_of($t[1]) > $before + 3 });
    $crowd->complete($t[0], $node, 'a slow way');
    is(elections(), $elections, '... and nobody else wants to lead');

    my $t = one('leader');
    my @rest = others($t, @t);
    ports(@rest);
    kill_gateway($t);
    within(4 + 3 * 0.4 + $poll, '... who leads is killed: another one leads', sub { leading(@rest) });
    $t->start;
    well('... and all are there again');
    $net->delay(0, $e[0], $_) for @g;
    well('the way is short again');
}

sub elections {
    my $n = 0;
    for my $t (@t) { $n += $1 if $t->get('/metrics')->{body} =~ /^blockcast_cluster_elections_total (\d+)/m }
    return $n;
}


# Clocks that are set while all goes well: nothing becomes stale, nobody leads
# who did not.

if ($long) {
    my $lead = lead_of(@t);
    my $elections = elections();
    for my $set ([600, -600, 0], [-300, 0, 240]) {
        $t[$_]->clock($set->[$_]) for 0 .. 2;
        $crowd->run(4);
        is(scalar(grep { stale($_) } @t), 0, "clocks are set (@$set): nothing is stale") or diag told();
        $crowd->complete($t[0], $node, "clocks are set (@$set)");
    }
    is(elections(), $elections, '... and who led leads');
}


# A failover that loses its tail: the replica had no link to the primary for a
# while, then the primary's machine is gone. With --long one gateway has not
# seen what is lost, either.

{
    my $blind = $long ? one('follower') : undef;
    my @rest = grep { !$blind || $_ != $blind } @t;
    my $seen = $blind ? seq_of($blind) : 0;

    $crowd->{gaps_told} = 1;
    $net->drop(@e);
    $net->drop(reverse @e);
    ports(@rest);
    $g[index_of($blind)]->down if $blind;
    $crowd->run(3);
    my $before = seq_of($rest[0]);
    $e[0]->down;
    $crowd->run(0.5);
    $engine[1]->do('REPLICAOF', 'NO', 'ONE');
    within(4 + 4 + $poll, 'the primary is gone, the replica is one: numbers jump',
        sub { leading(@rest) && seq_of($rest[0]) > $before + 1_000_000 });
    $g[index_of($blind)]->up if $blind;

    # the former primary comes back as a replica
    $engine[0]->do('REPLICAOF', $e[1]{ip}, $engine[1]{port});
    $e[0]->up;
    $net->pass(@e);
    $net->pass(reverse @e);
    well('after the failover', again => 1);
}


# A split: a primary on each side, gateways on both. What is published there is
# under other numbers; when it heals all have what the majority has.

if ($long) {
    wait_for { $engine[0]->do('INFO', 'replication') =~ /master_link_status:up/ } 60;
    my $alone = one('leader');
    my $g = $g[index_of($alone)];
    my @rest = others($alone, @t);
    my $before = seq_of($alone);

    # who has numbers beyond its own clock must not make them jump
    $alone->clock(-300);
    $_->clock(600) for @rest;

    # the leader's side has the primary, e[1]; the others have the replica
    for my $p ([$e[0], $e[1]], [$g, $e[0]], map { [$g[index_of($_)], $e[1]] } @rest) {
        $net->drop(@$p);
        $net->drop(reverse @$p);
    }
    $engine[0]->do('REPLICAOF', 'NO', 'ONE');
    within(4 + 4 + $poll, 'a split: the other side has a leader, too',
        sub { leading(@rest) && seq_of($rest[0]) > $before + 1_000_000 && role($alone) eq 'leader' });

    leave_all($crowd);
    $crowd->run(3);
    my %numbers = map { seq_of($_) => 1 } @t;
    cmp_ok(abs(seq_of($alone) - seq_of($rest[0])), '>', 1_000_000, '... whose numbers are others');

    $engine[1]->do('REPLICAOF', $e[0]{ip}, $engine[0]{port});
    for my $p ([$e[0], $e[1]], [$g, $e[0]], map { [$g[index_of($_)], $e[1]] } @rest) {
        $net->pass(@$p);
        $net->pass(reverse @$p);
    }
    wait_for { $engine[1]->do('INFO', 'replication') =~ /master_link_status:up/ } 60;
    well('the split has healed', again => 1);
    well('after that');
}


# Two losses in a row, closer to each other than the clocks: who is behind the
# numbers that were given must not lead, and says so.

if ($long) {
    $t[$_]->clock((-600, 900, 1200)[$_]) for 0 .. 2;
    my $primary = $engine[0]->do('INFO', 'replication') =~ /^role:master/m ? 0 : 1;

    # the first one by the clock that is ahead: nobody else is there
    $g[$_]->down for 0, 1;
    ports($t[2]);
    within(10, 'one gateway alone leads', sub { role($t[2]) eq 'leader' });
    my $before = seq_of($t[2]);
    $engine[$primary]->do('FLUSHALL');
    within(10, '... the engine is emptied: numbers jump', sub { seq_of($t[2]) > $before + 1_000_000 && role($t[2]) eq 'leader' });
    $g[0]->up;
    within(20, '... the one whose clock is behind follows', sub { role($t[0]) eq 'follower' && seq_of($t[0]) >= $before + 1_000_000 });

    $g[2]->down;
    $engine[$primary]->do('FLUSHALL');
    within(20, 'a second loss: it must not lead', sub { engine_error($t[0]) =~ /clock of this machine is behind/ });
    $crowd->run(3);
    is(role($t[0]) eq 'leader', '', '... and does not');
    $g[$_]->up for 1, 2;
    well('one leads whose clock is ahead', again => 1);
}

my %contents = contents();
cmp_ok(scalar(keys %contents), '>', 50, 'many numbers were looked at');
is(scalar(keys %{ { map { (split ' ')[0] => 1 } keys %contents } }), 1, '... of one epoch');

$crowd->close_all;
$_->stop for @t;
$node->stop;
diag sprintf 'took %.0f s', time - $began;
done_testing();
