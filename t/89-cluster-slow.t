#!/usr/bin/perl

# A cluster whose engine is far away, or at the end of a narrow line: all answer,
# and nothing is lost, but everything takes its time. If this fails, a gateway
# there never has the data, says 503 for ever, or the lead goes from one to the
# next without end, though nobody is away.

# needs: engine

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $log = '{blockcast:t}:log';
my $node = Blockcast::Ledger->new(rate => 20, page => 3000);

sub through { my ($way, %arg) = @_; gateway($node, "redis://127.0.0.1:$way->{port}", %arg) }
sub direct { my ($engine, %arg) = @_; gateway($node, "redis://127.0.0.1:$engine->{port}", %arg) }


# A round trip of 0.6 s, and an entry every 50 ms: whenever a reply is there, the
# log has something new already.

{
    my $engine = Blockcast::Engine->new;
    my $lead = direct($engine, interval => '50ms');
    my $crowd = roaming(ports => [$lead->port], size => 8, behind => 1);
    ok(during($crowd, 60, sub { role($lead) eq 'leader' && seq_of($lead) > 8 }), 'one leads, and publishes');

    my $way = $engine->way(delay => 0.3);
    my $far = through($way);
    ok(during($crowd, 60, sub { role($far) eq 'follower' }),
        'the way is longer than the time between two entries: it follows') or diag role($far), engine_error($far);
    is($far->get('/api/health')->{status}, 200, '... and is well');

    $crowd->{ports} = [$lead->port, $far->port];
    leave_all($crowd);
    $crowd->complete($lead, $node, 'all clients of both');

    # who leads dies: the other one has all of it, and leads over the long way
    my $before = seq_of($lead);
    $crowd->{ports} = [$far->port];
    kill_gateway($lead);
    ok(during($crowd, 60, sub { role($far) eq 'leader' && seq_of($far) > $before + 4 }),
        'it leads when the other one has died') or diag engine_error($far);
    $crowd->complete($far, $node, 'all there');

    $crowd->close_all;
    $far->stop;
}


$node->stop;
done_testing();
