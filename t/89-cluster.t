#!/usr/bin/perl

# Several gateways with one log (blockcast_cluster). If this fails, a page that
# changes from one machine to another loses entries or gets them twice, two
# gateways ask the node, one number has two contents, or one machine's death
# stops the feeds of all.

# needs: engine
# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();


# One caller, one epoch, one course of numbers; a leader that dies, quits,
# reloads, or is stopped.

{
    my $node = Blockcast::Ledger->new(rate => 20, page => 1500);
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my @t = map { gateway($node, $url) } 1 .. 3;

    ok(settled(20, @t), 'of three gateways one leads, two follow')
        or diag map { $_->error_log } @t;
    is(scalar(keys %{ { map { health($_)->{epoch} => 1 } @t } }), 1, 'all have one epoch');

    my $crowd = roaming(ports => [map { $_->port } @t]);
    $crowd->complete($t[0], $node, 'three gateways');

    my $calls = () = $node->calls('count');
    my $began = time;
    $crowd->run(4);
    my $rate = (scalar(() = $node->calls('count')) - $calls) / (time - $began) * 0.3;
    ok($rate < 1.5, sprintf 'the node sees one caller (%.2f times what one asks)', $rate);

    leave_all($crowd);
    $crowd->complete($t[0], $node, 'everybody goes to any other one');

    # killed
    my $lead = lead_of(@t);
    my @rest = others($lead, @t);
    $crowd->{ports} = [map { $_->port } @rest];
    my $at = time;
    kill_gateway($lead);
    ok(during($crowd, 15, sub { leaders(@rest) == 1 }), 'the leader is killed: another one leads');
    ok(time - $at < 8 * slow(), sprintf '... after %.1f s', time - $at);
    $crowd->complete($t[0], $node, 'after the leader\'s death');

    $lead->start;
    ok(settled(20, @t), 'the dead one is started again, and follows');
    $crowd->{ports} = [map { $_->port } @t];
    leave_all($crowd);
    $crowd->complete($t[0], $node, 'and serves those that come');

    # reload
    $lead = lead_of(@t);
    $at = time;
    $lead->reload;
    ok(during($crowd, 15, sub { leaders(@t) == 1 && $crowd->{closes}{1012} }), 'the leader is reloaded')
        or diag map { role($_), ' ', engine_error($_) } @t;
    $crowd->complete($t[0], $node, 'after the reload');
    ok(settled(15, @t), 'one leads');

    # stopped, and woken when another one leads
    $lead = lead_of(@t);
    my @pids = $lead->worker_pids;
    @rest = others($lead, @t);
    $crowd->{ports} = [map { $_->port } @rest];
    kill 'STOP', @pids;
    ok(during($crowd, 20, sub { leaders(@rest) == 1 }), 'the leader is stopped: another one leads');
    kill 'CONT', @pids;
    ok(during($crowd, 20, sub { settled(0.1, @t) }), 'it goes on as a follower');
    $crowd->{ports} = [map { $_->port } @t];
    leave_all($crowd);
    $crowd->complete($t[0], $node, 'after that');

    # quits
    $lead = lead_of(@t);
    @rest = others($lead, @t);
    $crowd->{ports} = [map { $_->port } @rest];
    $at = time;
    $lead->signal('QUIT', $lead->pid_file);
    ok(during($crowd, 15, sub { leaders(@rest) == 1 }), 'the leader quits: another one leads');
    ok(time - $at < 3 * slow(), sprintf '... after %.1f s', time - $at);
    $crowd->complete($t[0], $node, 'after it quit');
    wait_for { waitpid $lead->{master}, 1; !$lead->nginx_pids } 20;
    $lead->start;

    $crowd->close_all;
    $_->stop for @t;
}


# The engine: away, cut off, hanging, emptied, full.

{
    my $node = Blockcast::Ledger->new(rate => 20, page => 1500);
    my $engine = Blockcast::Engine->new(appendonly => 'yes', appendfsync => 'always');
    my $way = $engine->way;
    my @t = (gateway($node, "redis://127.0.0.1:$engine->{port}"),
        gateway($node, "redis://127.0.0.1:$way->{port}"));

    ok(settled(20, @t), 'two gateways, one with a way of its own to the engine');
    my $epoch = health($t[0])->{epoch};

    my $crowd = roaming(ports => [map { $_->port } @t]);
    $crowd->complete($t[0], $node, 'before');

    # cut off
    $crowd->{ports} = [$t[0]->port];
    $way->cut;
    ok(during($crowd, 20, sub { role($t[0]) eq 'leader' }), 'cut off: the other one leads');
    ok(during($crowd, 20, sub { ($t[1]->get('/api/health')->{status} // 0) == 503 }),
        '... and the one that is cut off says 503');
    like(engine_error($t[1]), qr/cannot be reached|closed the connection/,
        '... and why');
    $way->mend;
    ok(during($crowd, 20, sub { settled(0.1, @t) }), 'it is back');
    $crowd->{ports} = [$t[1]->port];
    leave_all($crowd);
    $crowd->complete($t[0], $node, 'and has all that was published meanwhile');

    # frozen: a connection that takes bytes and says nothing
    $crowd->{ports} = [$t[0]->port];
    leave_all($crowd);
    $way->freeze;
    ok(during($crowd, 20, sub { (engine_error($t[1])) =~ /does not answer|not connected/ }),
        'an engine that hangs is noticed');
    $way->thaw;
    ok(during($crowd, 25, sub { settled(0.1, @t) }), 'and used again');
    $crowd->complete($t[0], $node, 'after that');

    # stopped for both
    $engine->stop;
    ok(during($crowd, 20, sub { !leaders(@t) }), 'the engine is stopped: nobody leads');
    ok(during($crowd, 20, sub { !grep { $_->get('/api/health')->{status} != 503 } @t }), '... all say 503');
    $engine->cont;
    ok(during($crowd, 25, sub { settled(0.1, @t) }), 'it goes on');
    $crowd->complete($t[0], $node, 'after the engine was stopped');

    # killed, and started with its log
    my $before = seq_of($t[0]);
    $engine->kill;
    ok(during($crowd, 20, sub { !leaders(@t) }), 'the engine is killed: nobody leads');
    $engine->start;
    ok(during($crowd, 25, sub { settled(0.1, @t) }), 'it is back with its log');
    $crowd->complete($t[0], $node, 'after the engine\'s death');
    cmp_ok(seq_of($t[0]), '>', $before + 1_000_000, 'numbers have jumped: it might have lost some');
    is(health($t[0])->{epoch}, $epoch, 'the epoch is the same');

    # emptied
    during($crowd, 20, sub { @{ $engine->do('XRANGE', '{blockcast:t}:log', '-', '+', 'COUNT', 2) } == 2
        && $engine->do('XRANGE', '{blockcast:t}:log', '-', '+', 'COUNT', 1)->[0][1][1] eq 'i' });
    $crowd->run(1);
    $before = seq_of($t[0]);
    $engine->do('FLUSHALL');
    ok(during($crowd, 25, sub { seq_of($t[0]) > $before + 1_000_000 && settled(0.1, @t) }), 'FLUSHALL: numbers jump')
        or diag map { role($_), ' ', engine_error($_) } @t;
    $crowd->complete($t[0], $node, 'after FLUSHALL');
    is(health($_)->{epoch}, $epoch, 'the epoch is the same') for @t;

    my $third = gateway($node, "redis://127.0.0.1:$engine->{port}");
    ok(settled(20, @t, $third), 'a third one comes');
    $crowd->{ports} = [$third->port];
    leave_all($crowd);
    $crowd->complete($t[0], $node, 'and has all from the image');

    # full
    $engine->do('CONFIG', 'SET', 'maxmemory', 1);
    ok(during($crowd, 20, sub { grep { engine_error($_) =~ /memory is full/ } @t, $third }),
        'a full engine is named as such');
    ok(during($crowd, 20, sub { $third->get('/api/health')->{status} == 503 }), '... and all is stale');
    $engine->do('CONFIG', 'SET', 'maxmemory', 0);
    ok(during($crowd, 25, sub { settled(0.1, @t, $third) }), 'with room again it goes on');
    $crowd->complete($t[0], $node, 'after that');

    $crowd->close_all;
    $_->stop for @t, $third;
}

my %contents = contents();
cmp_ok(scalar(keys %contents), '>', 50, 'many numbers were looked at');

done_testing();
