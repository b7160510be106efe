#!/usr/bin/perl

# A hook of the node that calls any gateway of a cluster, through a balancer. If
# this fails, a poke has an effect only when it comes to the gateway that leads,
# and pages wait for the next interval two times out of three.

# needs: engine
# lane: waits

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $node = Blockcast::Ledger->new(rate => 20);
my $engine = Blockcast::Engine->new;
my $way = $engine->way;
my %how = (interval => '600s', stale => '1200s', server => 'location = /poke { blockcast_poke; }');

my $lead = gateway($node, "redis://127.0.0.1:$engine->{port}", %how);
wait_for { role($lead) eq 'leader' } 60;
my $other = gateway($node, "redis://127.0.0.1:$way->{port}", %how);
ok(settled(60, $lead, $other), 'two gateways, and an interval that is long');

sub poke {
    my ($t, $args) = @_;
    my $r = $t->request(POST => '/poke' . ($args // ''));
    return ($r->{status}, { map { $_->{name} => $_ } @{ JSON::PP::decode_json($r->{body})->{streams} } });
}

my $crowd = roaming(ports => [$other->port], size => 2, behind => 1);
ok(during($crowd, 60, sub { seq_of($other) > 0 }), 'the one that follows has clients, and data');
ok(during($crowd, 60, sub { !grep { !$_->{seq}{s} } $crowd->clients }), '... which they get');

for my $n (1 .. 3) {
    my $seq = seq_of($other);
    my ($status, $streams) = poke($other, '?stream=c');
    is($status, 202, "poke $n of the one that follows is taken");
    is($streams->{c}{poked} ? 1 : 0, 1, '... and passed on') or diag $streams->{c}{reason};
    ok(during($crowd, 60, sub { !grep { ($_->{seq}{s} // 0) <= $seq } $crowd->clients }), '... and its clients get something new');
}

# two streams at once
my $id = (sort { $a <=> $b } map { $_->{id} // 0 } $crowd->clients)[0];
my $seq = seq_of($other);
my (undef, $streams) = poke($other);
is(join(' ', map { "$_ " . ($streams->{$_}{poked} ? 1 : 0) } sort keys %$streams), 'c 1 l 1', 'all streams are poked');
ok(during($crowd, 60, sub { !grep { ($_->{seq}{s} // 0) <= $seq || ($_->{id} // 0) <= $id } $crowd->clients }), '... and all have news');

# the leader, as ever
$seq = seq_of($other);
(undef, $streams) = poke($lead, '?stream=c');
is($streams->{c}{poked} ? 1 : 0, 1, 'a poke of the one that leads') or diag $streams->{c}{reason};
ok(during($crowd, 60, sub { seq_of($other) > $seq }), '... works, too');
is_deeply([$crowd->wrong], [], 'nothing is lost or doubled');

# cut off, it says so
$way->cut;
my $reason;
ok(during($crowd, 60, sub { (undef, $streams) = poke($other, '?stream=c'); $reason = $streams->{c}{reason} }), 'without the engine a poke is not taken');
is($reason, 'the engine of the cluster is away', '... and the answer says why');

$crowd->close_all;
$_->stop for $lead, $other;
$node->stop;
done_testing();
