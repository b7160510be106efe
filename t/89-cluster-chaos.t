#!/usr/bin/perl

# Three gateways with one log, and whatever can happen to them and to the
# engine, at random. If this fails, there is an order of deaths in which a
# number has two contents, a number goes back, or an entry is lost in silence.
#
# BLOCKCAST_SEED=N repeats a run; CHAOS_SECONDS is how long things break,
# CHAOS_FAULTS names those that may happen ("lose_tail kill_lead"). Without --long
# or its name t/run leaves it out: 89-cluster.t breaks one thing after the
# other.

# needs: engine
# lane: waits
# only: long

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::ClusterFaults;
use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $seconds = $ENV{CHAOS_SECONDS} // 28;

my $seed = $ENV{BLOCKCAST_SEED} // int rand 1e6;
srand $seed;

my $node = Blockcast::Ledger->new(rate => 20, page => 5000);
my $engine = Blockcast::Engine->new(appendonly => 'yes', appendfsync => 'always');
my @way = map { $engine->way } 1 .. 3;
my @t = map { gateway($node, "redis://127.0.0.1:$_->{port}") } @way;

# who is killed in the midst of something, and an engine that comes and goes,
# is told of in the log
$_->allow(qr/exited on signal 9/) for @t;

ok(settled(25, @t), "three gateways (BLOCKCAST_SEED=$seed)");

my $crowd = roaming(ports => [map { $_->port } @t], size => 20, gaps_told => 1, behind => 1);
$crowd->complete($t[0], $node, 'before');

my @said;

my $faults = Blockcast::ClusterFaults->new(engine => $engine, ways => \@way, gateways => \@t, more => {
    kill_lead => sub {
        my $pid = health(lead_of(@t) // return)->{poller}{pid} or return;
        kill 'KILL', $pid;
    },
    leave => sub { $crowd->leave(int rand 20) for 1 .. 8 },
});

my @faults = $faults->names;

if (my $only = $ENV{CHAOS_FAULTS}) {
    @faults = split /[\s,]+/, $only;
    my %known = map { $_ => 1 } $faults->names;
    for (@faults) { die "CHAOS_FAULTS: there is no \"$_\"\n" unless $known{$_} }
}

my $end = time + $seconds;

while (time < $end) {
    my $name = $faults[rand @faults];
    push @said, sprintf '%.1f s: %s', $seconds - ($end - time), $name;
    $faults->happen($name);
    $crowd->run(0.3 + rand 2);
    $faults->due;
}

$faults->end;

ok(during($crowd, 40, sub { settled(0.1, @t) }), 'in the end one leads, and two follow')
    or diag map { (role($_), ' ', engine_error($_), "\n") } @t;

leave_all($crowd);
my $last = $node->last_id;
ok($crowd->run(30 * $slow, until => sub { !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients }),
    'everybody has all entries');

# an engine that loses entries makes them come once more, under new numbers
is_deeply([grep { !/came twice/ } $crowd->wrong], [],
    'no number has two contents, none goes back, no entry is lost in silence') or diag $crowd->{example} // '';
diag join "\n", @said, explain($crowd->{wrong}), (map { $_->port . ' ' . join '', grep { /blockcast:/ && !/\[info/ } split /^/, $_->error_log } @t) unless Test::More->builder->is_passing;

my %contents = contents();
cmp_ok(scalar(keys %contents), '>', 3, 'numbers were looked at');
is(scalar(keys %{ { map { (split ' ')[0] => 1 } keys %contents } }), 1, 'there was one epoch');

$crowd->close_all;
$_->stop for @t;
$node->stop;
done_testing();
