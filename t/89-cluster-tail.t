#!/usr/bin/perl

# A cluster whose log loses what clients have already, or whose log is not the
# one it was. If this fails, entries that a gateway has are told as a gap to the
# clients of another one, come in the wrong order, or one number has two contents.

# needs: engine
# lane: waits

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
my $node = Blockcast::Ledger->new(rate => 20, page => 5000);


# A former state of the log, as a promoted replica has it, and another engine.

sub put_back {
    my ($engine, $dump) = @_;
    $engine->do('RESTORE', $log, 0, $dump, 'REPLACE');
    $engine->kill;
    $engine->start;
}


sub well {
    my ($name, @crowd) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([map { $_->wrong } @crowd], [], "$name: no entry is missing, none comes twice, no gap is told")
        or diag map { $_->{example} // '' } @crowd;
    $_->{wrong} = {} for @crowd;
}


# The engine fails over to a replica that lacks the newest entries. A gateway that
# lacks them, too, follows when one that has them leads: that one has to give them
# to the log before anything else, or they are behind the jump for good.

{
    my $engine = Blockcast::Engine->new(appendonly => 'yes', appendfsync => 'always');
    my $way = $engine->way;

    my $one = gateway($node, "redis://127.0.0.1:$engine->{port}");
    wait_for { role($one) eq 'leader' } 60;
    my $other = gateway($node, "redis://127.0.0.1:$way->{port}", test => { workers => 1 });
    ok(settled(60, $one, $other), 'two gateways');

    my $here = roaming(ports => [$one->port], size => 4, behind => 1);
    my $there = roaming(ports => [$other->port], size => 4, behind => 1);
    ok(during($here, 60, sub { $there->run(0.1); seq_of($one) > 3 && seq_of($other) > 3 }), 'both have data');
    $here->complete($one, $node, 'here');
    $there->complete($other, $node, 'there');

    # what is on its way to it is lost, and it tries again at once when it goes on
    my @others = $other->worker_pids;
    $way->cut;
    kill 'STOP', @others;
    my $dump = $engine->do('DUMP', $log);
    my $before = seq_of($one);
    ok(during($here, 60, sub { seq_of($one) > $before + 4 }), 'one of them is held up, the leader goes on');

    my @pids = $one->worker_pids;
    kill 'STOP', @pids;
    put_back($engine, $dump);
    $way->mend;
    kill 'CONT', @others;
    ok(during($there, 60, sub { role($other) eq 'follower' }), 'the log has lost that, and the other one reads it');

    kill 'CONT', @pids;
    ok(during($here, 60, sub { role($one) eq 'leader' && seq_of($one) > 1e15 }), 'who has it leads, and numbers jump');

    ok(during($there, 60, sub { seq_of($other) > 1e15 }), 'the other one follows');
    $_->run(1) for $here, $there;
    well('after the jump', $here, $there);
    $here->complete($one, $node, 'here');
    $there->complete($other, $node, 'there');

    # what it has it goes on from
    $_->{ports} = [$other->port] for $here, $there;
    kill_gateway($one);
    ok(during($here, 60, sub { $there->run(0.1); role($other) eq 'leader' }), 'the first one dies, the other one leads');
    $here->complete($other, $node, 'those from there');
    $there->complete($other, $node, 'those that were here');

    $_->close_all for $here, $there;
    $other->stop;
}

# A former state of the log is put in its place, by hand or by a tool, while all
# connections stay: the engine is the same one, and so is the log's beginning. The
# leader looks for what it has appended, and a follower does before it leads.

{
    my $engine = Blockcast::Engine->new;
    my @t = map { gateway($node, "redis://127.0.0.1:$engine->{port}") } 1 .. 2;
    ok(settled(60, @t), 'two gateways');
    my $epoch = health($t[0])->{epoch};

    my $crowd = roaming(ports => [map { $_->port } @t], size => 8, behind => 1);
    $crowd->complete($t[0], $node, 'before');

    my $lead = lead_of(@t);
    my ($other) = others($lead, @t);
    my $dump = $engine->do('DUMP', $log);
    my $before = seq_of($lead);
    ok(during($crowd, 60, sub { seq_of($lead) > $before + 8 && seq_of($other) > $before + 8 }), 'both go on');
    $engine->do('RESTORE', $log, 0, $dump, 'REPLACE');
    ok(during($crowd, 60, sub { seq_of($lead) > 1e15 && seq_of($other) > 1e15 }), 'a former state of the log is noticed: numbers jump');

    # what was on its way when that was noticed may come once more
    $crowd->run(2);
    delete $crowd->{wrong}{'l: an entry came twice'};
    $crowd->complete($t[0], $node, 'after that');

    my $third = gateway($node, "redis://127.0.0.1:$engine->{port}");
    ok(settled(60, @t, $third), 'a third one comes');
    $crowd->{ports} = [$third->port];
    leave_all($crowd);
    $crowd->complete($third, $node, 'and has all of it');
    $third->stop;
    $crowd->{ports} = [$other->port];
    leave_all($crowd);
    ok(during($crowd, 60, sub { settled(0.1, @t) }), 'one leads');

    $lead = lead_of(@t);
    ($other) = others($lead, @t);
    $crowd->{ports} = [$other->port];
    leave_all($crowd);
    $dump = $engine->do('DUMP', $log);
    $before = seq_of($other);
    ok(during($crowd, 60, sub { seq_of($other) > $before + 4 }), 'both go on');
    my $at = seq_of($other);
    kill_gateway($lead);
    $engine->do('RESTORE', $log, 0, $dump, 'REPLACE');
    ok(during($crowd, 60, sub { role($other) eq 'leader' && seq_of($other) > $at }), 'the other one leads');
    cmp_ok(seq_of($other), '>', $at + 1_000_000, '... and numbers jump');
    $crowd->complete($other, $node, 'after the leader\'s death');
    is(health($other)->{epoch}, $epoch, 'the epoch is the same');

    $crowd->close_all;
    $other->stop;
}


# The same, but the state is that of a moment ago: what is lost has come and gone
# between two looks for the newest entry, and the leader has appended since.

{
    my $engine = Blockcast::Engine->new;
    my $t = gateway($node, "redis://127.0.0.1:$engine->{port}");
    my $crowd = roaming(ports => [$t->port], size => 4, behind => 1);
    ok(during($crowd, 60, sub { role($t) eq 'leader' && seq_of($t) > 3 }), 'a gateway that leads');

    my $last = sub { $engine->do('XRANGE', $log, '-', '+')->[-1][0] };

    for my $round (1 .. 3) {
        my $before = seq_of($t);
        my $dump = $engine->do('DUMP', $log);
        my $id = $last->();
        wait_for { $last->() ne $id } 60;
        $engine->do('RESTORE', $log, 0, $dump, 'REPLACE');
        ok(during($crowd, 20, sub { seq_of($t) > $before + 100_000 && role($t) eq 'leader' }),
            "entries of less than a second are lost, round $round: numbers jump");
    }

    $crowd->close_all;
    $t->stop;
}


# Entries are gone from the middle of the log when a gateway reads it. What comes
# behind them it must not take before it has an image, which would be too old then:
# it asks the leader for one.

{
    my $engine = Blockcast::Engine->new;
    my $way = $engine->way;
    my $lead = gateway($node, "redis://127.0.0.1:$engine->{port}");
    wait_for { role($lead) eq 'leader' } 60;
    my $other = gateway($node, "redis://127.0.0.1:$way->{port}");
    ok(settled(60, $lead, $other), 'two gateways');

    my $here = roaming(ports => [$lead->port], size => 4, behind => 1);
    my $there = roaming(ports => [$other->port], size => 4, behind => 1);
    ok(during($here, 60, sub { $there->run(0.1); seq_of($lead) > 3 && seq_of($other) > 3 }), 'both have data');
    $there->complete($other, $node, 'before');

    $way->cut;
    my $last = $engine->do('XRANGE', $log, '-', '+')->[-1][0];
    my $before = seq_of($lead);
    ok(during($here, 60, sub { seq_of($lead) > $before + 8 }), 'one of them is cut off, the leader goes on');
    my @ids = map { $_->[0] } @{ $engine->do('XRANGE', $log, "($last", '+') };
    $engine->do('XDEL', $log, @ids[0 .. $#ids / 2]);
    $way->mend;
    $there->complete($lead, $node, 'it has all of it');

    $_->close_all for $here, $there;
    $_->stop for $lead, $other;
}


# Somebody has emptied the log, and another gateway has begun it anew: its first
# entry has the id that the first one had before.

{
    my @engine = map { Blockcast::Engine->new } 1 .. 2;
    my @t = map { gateway($node, "redis://127.0.0.1:$_->{port}") } @engine;
    wait_for { role($t[1]) eq 'leader' } 60;
    my $dump = $engine[1]->do('DUMP', $log);
    my $epoch = health($t[1])->{epoch};
    $t[1]->stop;

    my $crowd = roaming(ports => [$t[0]->port], size => 4, behind => 1, gaps_told => 1, new_epoch => 1);
    ok(during($crowd, 60, sub { role($t[0]) eq 'leader' && seq_of($t[0]) > 8 }), 'a gateway that leads');
    like($engine[0]->do('XRANGE', $log, '-', '+')->[-1][0], qr/^1-/, '... in term 1');
    $engine[0]->do('RESTORE', $log, 0, $dump, 'REPLACE');

    ok(during($crowd, 60, sub { (health($t[0])->{epoch} // 0) == $epoch && role($t[0]) eq 'leader' && seq_of($t[0]) > 4 }),
        'it notices that the log is another one, and takes its epoch');
    is_deeply([grep { /two contents|went back/ } $crowd->wrong], [], 'no number has two contents');

    $crowd->close_all;
    $t[0]->stop;
}

$node->stop;
done_testing();
