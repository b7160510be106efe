#!/usr/bin/perl

# A cluster that is large, and one that is deployed under load. If this fails,
# many gateways wear out the engine, or see a publish long after each other; or
# a rolling restart sends people away with errors, shows them an entry twice, or
# not at all.
#
# By itself with 8 gateways and 300 clients; --long: 64 gateways, 3,000 clients.

# needs: engine
# lane: waits

use strict;
use warnings;

use List::Util qw(max min sum0);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Model;
use Blockcast::Swarm;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $long = $ENV{BLOCKCAST_LONG};
my $many = $long ? 64 : 8;
my $size = $long ? 3000 : $ENV{BLOCKCAST_SANITIZE} ? 100 : 300;


# Seconds of the processor that processes have had.

sub cpu {
    return sum0 map { Blockcast::Test::slurp("/proc/$_/stat") =~ /\) \S(?: \S+){10} (\d+) (\d+)/ ? ($1 + $2) / 100 : 0 } @_;
}


# Many followers: each has a client of its own, who notes when what was here.

{
    package Spread;
    sub new { bless { held => 0, at => {}, judged => 0 }, shift }
    sub opened { }
    sub closed { }
    sub tick { }
    sub since { }
    sub offend { my ($self, $c, $now, $what) = @_; push @{ $self->{wrong} }, $what }
    sub message {
        my ($self, $c, $text, $now) = @_;
        my ($data, $seq) = $text =~ /^\{"type":"c","data":(\d+),.*"seq":(\d+)/ or return;
        $self->{at}{$seq}{ $c->{name} } //= $now;
        $self->{data}{$seq}{$data} = 1;
    }

    package Everywhere;
    our @ISA = ('Blockcast::Swarm');
    sub _connect {
        my ($self, $c) = @_;
        my ($n) = $c->{name} =~ /(\d+)$/;
        $self->{to} = Socket::pack_sockaddr_in($self->{ports}[$n % @{ $self->{ports} }], Socket::inet_aton('127.0.0.1'));
        return $self->SUPER::_connect($c);
    }
}

{
    my $node = Blockcast::Ledger->new(rate => 20, page => 1500, big => 60_000);
    my $engine = Blockcast::Engine->new(appendonly => 'yes');
    my @t = map { gateway($node, "redis://127.0.0.1:$engine->{port}", test => { workers => 1, worker_connections => 128 },
        more => 'blockcast_stream b { blockcast_interval 300ms; blockcast_call b big timeout=10s; blockcast_always on; }') }
        1 .. $many;

    ok(settled(60, @t), "$many gateways: one leads, all others follow");

    my $spread = Spread->new;
    my $swarm = Everywhere->new(port => $t[0]->port, ports => [map { $_->port } @t], size => $many, model => $spread,
        snapshots => ['c'], slow_share => 0);
    my $begun = sub { my $all = $spread->{at}; my $n = max keys %$all; defined $n && keys(%{ $all->{$n} }) == $many };
    ok($swarm->run(30, until => $begun), 'each has a client, with data');

    my @pids = map { $_->nginx_pids } @t;
    my $lead = lead_of(@t);
    my %of_lead = map { $_ => 1 } $lead->nginx_pids;
    my @followers = grep { !$of_lead{$_} } @pids;
    %{ $spread->{at} } = ();

    my ($memory, $first, @seen) = (0, '');
    my @before = (cpu(@followers), cpu($engine->{pid}), time);
    my $seconds = $long ? 20 : 8;

    my $end = time + $seconds;
    while (time < $end || ($memory < 2 && time < $end + 60)) {
        $swarm->run(0.5);
        push @seen, $engine->do('INFO', 'memory') =~ /^used_memory:(\d+)/m;
        my $id = $engine->do('XRANGE', '{blockcast:t}:log', '-', '+', 'COUNT', 1)->[0][0];
        $memory++ if $id ne $first;
        $first = $id;
    }
    my $time = time - $before[2];
    my $each = (cpu(@followers) - $before[0]) / $time / ($many - 1);
    my $of_engine = (cpu($engine->{pid}) - $before[1]) / $time;

    # what came when these began, and what is on its way now, has no end
    my $at = $spread->{at};
    my @seqs = sort { $a <=> $b } keys %$at;
    @seqs = @seqs[2 .. $#seqs - 2];
    my @late = map { max(values %{ $at->{$_} }) - min(values %{ $at->{$_} }) } @seqs;
    cmp_ok(scalar(@seqs), '>', 5, 'numbers were published: ' . @seqs);
    is_deeply([grep { keys %{ $at->{$_} } != $many } @seqs], [], 'all gateways have shown each of them');
    is_deeply([grep { keys %{ $spread->{data}{$_} } != 1 } @seqs], [], '... with one content');
    cmp_ok(max(@late), '<', 1 * slow(), sprintf '... within %.3f s of each other at most, %.3f s as a rule',
        max(@late), (sort { $a <=> $b } @late)[@late / 2]);

    cmp_ok($each, '<', 0.05 * slow(), sprintf 'a follower takes %.2f %% of a processor', 100 * $each);
    cmp_ok($of_engine, '<', (0.05 + 0.01 * $many) * slow(), sprintf 'the engine takes %.1f %%', 100 * $of_engine);

    # an image of all, what came since, a megabyte at least; and the replies
    # that are being sent to each
    my $limit = 4e6 + $many * 1e5;
    cmp_ok(max(@seen) - $seen[0], '<', $limit, sprintf 'its memory is %.1f to %.1f MB', min(@seen) / 1e6, max(@seen) / 1e6);
    cmp_ok($memory, '>', 1, 'the log was cut meanwhile');

    # all come back at once
    my $elections = sub { sum0 map { $_->get('/metrics')->{body} =~ /^blockcast_cluster_elections_total (\d+)/m } @t };
    my $led = $elections->();
    $engine->kill;
    $swarm->run(2);
    $engine->start;
    ok($swarm->run(20, until => sub { settled(0.1, @t) }), 'the engine dies and is back: one leads, all others follow')
        or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    cmp_ok($elections->() - $led, '<=', 3, '... with no more than a few elections');
    is_deeply($spread->{wrong} // [], [], 'all frames are good ones');

    $swarm->close_all;
    $_->stop for @t;
    $node->stop;
}


# A rolling restart behind a balancer: QUIT one after the other.

{
    my $node = Blockcast::Ledger->new(rate => 20, page => 4000);
    my $engine = Blockcast::Engine->new;
    my $drain = 3;
    my @t = map { Blockcast::Test->new(workers => 2, worker_connections => 4096, quit => 20,
        server => crowd_server('location /metrics { blockcast_metrics; }'),
        http => crowd_http($node, interval => '1s', drain => "${drain}s", keep => 4000,
            more => "blockcast_cluster redis://127.0.0.1:$engine->{port} name=t;")) } 1 .. 3;
    my $servers = join ' ', map { 'server 127.0.0.1:' . $_->port . ' max_fails=0;' } @t;
    my $balancer = Blockcast::Test->new(workers => 1, worker_connections => 3 * $size + 500, error_level => 'crit',
        main => 'worker_rlimit_nofile 20000;', http => "upstream gateways { $servers }", server => <<'SERVER');
    location / {
        proxy_pass http://gateways;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 1h;
    }
SERVER

    ok(settled(60, @t), 'three gateways behind a balancer');
    my $epoch = health($t[0])->{epoch};

    my $model = Blockcast::Model->new(numbers => 1, streams => { c => {}, l => { log => 1 } });
    my $swarm = Blockcast::Swarm->new(port => $balancer->port, size => $size, model => $model, snapshots => ['c'],
        log => 'l', slow_share => 0, wait => 1);

    my (%status, $last);
    my $each = sub {
        for my $c ($swarm->clients) { $status{ delete $c->{status} }++ if defined $c->{status} }
    };
    my $all = sub {
        $last = $node->last_id;
        return $swarm->run(40, each => $each, until => sub {
            $swarm->all_open && !grep { ($_->{st}{l}{id} // 0) < $last } $swarm->clients;
        });
    };

    ok($all->(), "$size clients are there");
    my $opened = $swarm->{opened};
    my $lost = $swarm->{lost};
    $swarm->{closed_at} = [];
    $swarm->{closes} = {};

    for my $n (1 .. 3) {
        my $t = $t[$n - 1];
        my $old = $t->master_pid;
        kill 'QUIT', $old;
        my $gone = $swarm->run(30, each => $each, until => sub { waitpid $old, 1; !$t->nginx_pids });
        ok($gone, "gateway $n has quit");
        $t->start;
        ok($swarm->run(30, each => $each, until => sub { settled(0.1, @t) }), '... is started again, and all is well');
        $swarm->run(1, each => $each);
    }

    ok($all->(), 'everybody is there, and has all entries');
    is_deeply([$model->offences], [], 'each once: nothing is lost, doubled or another thing under its number');
    cmp_ok($swarm->{opened} - $opened, '>=', $size, 'each of them has come back at least once: ' . ($swarm->{opened} - $opened));
    is_deeply(\%status, {}, 'nobody was sent away with an error');
    is($swarm->{lost} - $lost, 0, 'nobody lost his connection without a word');

    # who leaves has the time of the drain for it
    my @at = sort { $a <=> $b } @{ $swarm->{closed_at} };
    my ($most, $from) = (0, 0);
    for my $to (0 .. $#at) {
        $from++ while $at[$to] - $at[$from] > 0.5;
        $most = max($most, $to - $from + 1);
    }
    my $share = $size / 3 / ($drain * 2);
    cmp_ok($most, '<', max(4 * $share, $size / 3), sprintf 'no herd: at most %d came back in half a second, %d on average', $most, $share);

    $swarm->close_all;
    $balancer->stop;
    $_->stop for @t;
    $node->stop;
}

done_testing();
