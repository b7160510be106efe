#!/usr/bin/perl

# Who may give a number: a worker that lost its machine's lease for a while and
# has it again, a gateway that has a log's epoch and nothing else, and one whose
# log turns out to be another's. If this fails, one number has two contents, and
# a page shows old data under a number that is another thing elsewhere.

# needs: engine,moments
# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Preload;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $node = Blockcast::Ledger->new(rate => 20, page => 5000);
my @new = (behind => 1, gaps_told => 1, new_epoch => 1);


sub unique {
    my ($name, @crowd) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([grep { /two contents|went back/ } map { $_->wrong } @crowd], [], $name);
    $_->{wrong} = {} for @crowd;
}


# The worker that leads is held up with the log's answer in its hands, another
# one of its machine takes over and dies, and the first one has the lease again:
# what it could not write meanwhile it must read, or it gives the number anew.

{
    my $engine = Blockcast::Engine->new;
    my $way = $engine->way;
    my $hook = Blockcast::Preload->new(moments => 1);

    # the first one leads, for the second one comes when it does
    my $t = gateway($node, "redis://127.0.0.1:$way->{port}", test => $hook->test_options);
    $t->allow(qr/exited on signal 9/);
    wait_for { role($t) eq 'leader' } 60;
    my $other = gateway($node, "redis://127.0.0.1:$engine->{port}");
    ok(settled(60, $t, $other), 'two gateways');

    my $there = roaming(ports => [$other->port], size => 4, @new);
    ok(during($there, 60, sub { seq_of($t) > 1 && seq_of($other) > 1 }), 'both have data');
    my $here = roaming(ports => [$t->port], size => 4, @new);
    $_->run(0.5) for $here, $there;

    my $first = health($t)->{poller}{pid};
    my ($second) = grep { $_ != $first } $t->worker_pids;

    $hook->stop_at('cluster: taken', 1, $first);
    ok(during($there, 30, sub { $hook->killed }), 'a worker is held up');
    $way->freeze;
    ok(scalar(wait_for { my $p = health($t)->{poller}{pid} // 0; $p != $first && $p != 0 } 20), 'another one takes over');
    kill 'KILL', $second;
    $way->thaw;
    kill 'CONT', $first;

    for (1 .. 5) { $_->run(0.4) for $there, $here }
    unique('it goes on: no number has two contents, none goes back', $there, $here);

    $there->complete($t, $node, 'after that');
    $here->complete($t, $node, 'after that, there');
    $_->close_all for $there, $here;
    $_->stop for $t, $other;
}


# A gateway that has read a log has its epoch, and no data when there was none.
# Others have given numbers since: it begins beyond them.

{
    my $engine = Blockcast::Engine->new;
    my $way = $engine->way;
    my $t = gateway($node, "redis://127.0.0.1:$engine->{port}");
    wait_for { role($t) eq 'leader' } 60;
    my $epoch = health($t)->{epoch};
    my $blank = gateway($node, "redis://127.0.0.1:$way->{port}");
    ok(scalar(wait_for { health($blank)->{epoch} == $epoch } 60), 'a gateway with the epoch of a log, and no data');
    $way->cut;

    my $crowd = roaming(ports => [$t->port], size => 4, @new);
    ok(during($crowd, 60, sub { seq_of($t) > 4 }), 'the other one publishes');
    is(seq_of($blank), 0, '... and this one does not know');

    $crowd->{ports} = [$blank->port];
    kill_gateway($t);
    $engine->do('FLUSHALL');
    $way->mend;
    ok(during($crowd, 60, sub { role($blank) eq 'leader' && seq_of($blank) > 4 }), 'it leads, with a log that was emptied');
    is(health($blank)->{epoch}, $epoch, '... in the same epoch');
    cmp_ok(seq_of($blank), '>', 1e15, '... and numbers jump');
    unique('no number has two contents', $crowd);

    $crowd->close_all;
    $blank->stop;
}


# Clients that come while a gateway takes the epoch of another log are told the
# one that goes with what they are sent.

{
    my @engine = map { Blockcast::Engine->new } 1 .. 2;
    my @t = map { gateway($node, "redis://127.0.0.1:$_->{port}") } @engine;
    for my $t (@t) { wait_for { role($t) eq 'leader' } 60 }
    my @epoch = map { health($_)->{epoch} } @t;

    my @crowd = map { roaming(ports => [$_->port], size => 12, @new) } @t;
    my $enough = 0;
    for (1 .. 30) {
        $_->run(0.5) for @crowd;
        last if 3 < seq_of($t[0]) && seq_of($t[0]) < seq_of($t[1]);
        $crowd[0]->close_all, $crowd[0]{ports} = [$t[1]->port] if seq_of($t[0]) > 3;
    }
    $crowd[0]{ports} = [$t[0]->port];
    leave_all($crowd[0]);
    $crowd[0]->run(0.3);
    $crowd[1]->close_all;
    $t[1]->stop;

    my $log = '{blockcast:t}:log';
    my $dump = $engine[1]->do('DUMP', $log);
    $engine[0]->do('MULTI');
    $engine[0]->do('RESTORE', $log, 0, $dump, 'REPLACE');
    $engine[0]->do('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $engine[0]->do('EXEC');

    my $n = 0;
    my $taken;
    ok($crowd[0]->run(60, until => sub {
        $crowd[0]->leave($n++ % 12);
        $taken //= time if (health($t[0])->{epoch} // 0) == $epoch[1];
        return $taken && time > $taken + 1;
    }), 'it takes the epoch');
    unique('no number has two contents', $crowd[0]);
    $crowd[0]->complete($t[0], $node, 'in the new epoch');
    $crowd[0]->close_all;
    $t[0]->stop;
}


# A worker of a gateway that follows is held up while it has the zone locked.
# Another one reads the log on, and cannot write: it waits until it can, or all
# that came meanwhile is a gap to its clients, although the log has it.

{
    my $engine = Blockcast::Engine->new;
    my $hook = Blockcast::Preload->new(moments => 1);
    my $lead = gateway($node, "redis://127.0.0.1:$engine->{port}");
    wait_for { role($lead) eq 'leader' } 60;
    my $t = gateway($node, "redis://127.0.0.1:$engine->{port}", test => $hook->test_options);
    ok(settled(60, $lead, $t), 'two gateways');

    my $crowd = roaming(ports => [$lead->port], size => 4, behind => 1);
    ok(during($crowd, 60, sub { seq_of($lead) > 2 && seq_of($t) > 2 }), 'both have data');

    # clients of the other worker, which goes on
    my $first = health($t)->{poller}{pid};
    my $there = roaming(ports => [$t->port], size => 8, behind => 1);
    $there->complete($t, $node, 'before');

    $hook->stop_at('commit: copied', 1, $first);
    ok(during($crowd, 30, sub { $hook->killed }), 'the worker that reads the log is held up, and the zone is locked');
    ok(during($crowd, 60, sub { my $p = health($t)->{poller}{pid} // 0; $p != $first && $p != 0 }), 'another one reads it');
    my $at = seq_of($lead);
    ok(during($crowd, 60, sub { seq_of($lead) > $at + 4 }), 'the leader goes on');
    kill 'CONT', $first;
    $there->complete($lead, $node, 'when the zone can be written again');

    $_->close_all for $crowd, $there;
    $_->stop for $t, $lead;
}

$node->stop;
done_testing();
