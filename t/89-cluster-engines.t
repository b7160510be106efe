#!/usr/bin/perl

# Each server that a cluster's log can be on: the system's Redis 7 (or Valkey),
# Redis 8, Valkey 8. If this fails, one of them refuses what a gateway says to
# it, and who updates his engine has no feeds; or an engine that throws its log
# away, by FLUSHALL or for want of memory, again and again and under load, makes
# one number two things, or loses entries in silence.

# needs: engine,engines
# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

my @engines = Blockcast::Engine::binaries()
    or plan skip_all => 'there is no redis-server or valkey-server';

diag 'Redis 8 and Valkey 8 could not be fetched: they are not tested' if @engines < 3;

my $rounds = $ENV{BLOCKCAST_LONG} ? 10 : 3;
my $node = Blockcast::Ledger->new(rate => 20, page => 5000);
my $log = '{blockcast:t}:log';


sub rights {
    my ($engine) = @_;
    $engine->do(qw(ACL SETUSER gw on >s3cret resetkeys ~{blockcast:t}:* -@all), '+xadd', '+xread', '+xrange',
        '+xtrim', '+info');
    open my $fh, '>', "$engine->{dir}/password" or die "password: $!\n";
    print $fh "s3cret\n";
    close $fh;
    return "user=gw password_file=$engine->{dir}/password";
}

sub info {
    my ($engine, $name) = @_;
    my ($value) = $engine->do('INFO') =~ /^$name:(\S+)/m;
    return $value;
}

# Everybody has everything; what the engine lost may come once more.

sub well {
    my ($crowd, $name, @t) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    leave_all($crowd);
    my $last = $node->last_id;
    ok(during($crowd, 30, sub { !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients }),
        "$name: everybody has all entries");
    is_deeply([grep { !/came twice/ } $crowd->wrong], [],
        "$name: no number has two contents or goes back, none is missing in silence")
        or diag $crowd->{example} // '', map { "\n" . join '', grep { /blockcast:/ } map { "$_\n" } split /\n/, $_->error_log } @t;
    delete $crowd->{example};
    $crowd->{wrong} = {};
}


for my $e (@engines) {
    my ($name, $program) = @$e;

    my $engine = Blockcast::Engine->new(program => $program);
    my $replica = Blockcast::Engine->new(program => $program);
    my $login = rights($engine);
    rights($replica);
    my $way = $engine->way;
    $replica->do('REPLICAOF', '127.0.0.1', $way->{port});
    wait_for { $replica->do('INFO', 'replication') =~ /master_link_status:up/ } 60;

    my $urls = "redis://127.0.0.1:$engine->{port} redis://127.0.0.1:$replica->{port}";
    my @t = map { gateway($node, "$urls $login") } 1 .. 3;

    ok(settled(30, @t), "$name: one leads, two follow, with no more rights than README names")
        or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    my $epoch = health($t[0])->{epoch};

    my $crowd = roaming(ports => [map { $_->port } @t], behind => 1);
    $crowd->complete($t[0], $node, "$name: at first");
    my $metrics = lead_of(@t)->get('/metrics')->{body};
    like($metrics, qr/^blockcast_cluster_engine_memory_bytes [1-9]\d{4}/m, "$name: its memory is known");

    # the log is cut behind an image: at a megabyte, or when there is a new one
    $crowd->{gaps_told} = 1;
    my $before = seq_of($t[0]);

    # emptied, again and again: also what has just begun, and has no image yet
    for my $n (1 .. $rounds) {
        $before = seq_of($t[0]);
        $engine->do('FLUSHALL');
        ok(during($crowd, 25, sub { seq_of($t[0]) > $before + 1000 && settled(0.1, @t) }),
            "$name: FLUSHALL under load, $n") or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    }
    well($crowd, "$name: after FLUSHALL", @t);

    # ... while who leads is another one each time
    for my $n (1 .. $rounds) {
        my $lead = lead_of(@t) or next;
        $engine->do('FLUSHALL');
        $lead->signal('HUP');
        ok(during($crowd, 25, sub { settled(0.1, @t) }), "$name: FLUSHALL and a reload, $n");
    }
    well($crowd, "$name: after that", @t);

    # memory for less than there is: keys are thrown away, the log among them
    $engine->do(qw(CONFIG SET maxmemory-policy allkeys-lru));
    $engine->do(qw(CLIENT KILL TYPE normal SKIPME yes));
    ok(during($crowd, 25, sub { settled(0.1, @t) }), "$name: allkeys-lru");
    ok((grep { $_->error_log =~ /has maxmemory-policy allkeys-lru: it may throw the log away/ } @t),
        "$name: it is warned of");

    for my $n (1 .. $rounds) {
        $before = seq_of($t[0]);
        my $evicted = info($engine, 'evicted_keys');
        my $gone = $crowd->run(30, until => sub {
            $engine->do('CONFIG', 'SET', 'maxmemory', int(0.98 * info($engine, 'used_memory')));
            $crowd->run(0.2);
            return $engine->do('EXISTS', $log) eq '0' || seq_of($t[0]) > $before + 1000;
        });
        $engine->do(qw(CONFIG SET maxmemory 0));
        ok($gone && info($engine, 'evicted_keys') > $evicted, "$name: the log is evicted, $n");
        ok(during($crowd, 25, sub { seq_of($t[0]) > $before + 1000 && settled(0.1, @t) }),
            "$name: numbers jump, and all goes on, $n") or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    }
    well($crowd, "$name: after evictions", @t);
    ok((grep { $_->error_log =~ /its log was emptied/ } @t),
        "$name: it is said why");

    # full
    $engine->do(qw(CONFIG SET maxmemory-policy noeviction));
    $engine->do(qw(CONFIG SET maxmemory 1));
    ok(during($crowd, 25, sub { grep { engine_error($_) =~ /memory is full/ } @t }), "$name: a full one is named as such");
    $engine->do(qw(CONFIG SET maxmemory 0));
    ok(during($crowd, 25, sub { settled(0.1, @t) }), "$name: with room it goes on");
    well($crowd, "$name: after that", @t);

    # the replica takes over, without the newest entries
    $way->cut;
    $crowd->run(1.5);
    $before = seq_of($t[0]);
    $engine->kill;
    $replica->do(qw(REPLICAOF NO ONE));
    ok(during($crowd, 30, sub { seq_of($t[0]) > $before + 1000 && settled(0.1, @t) }), "$name: a failover")
        or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    well($crowd, "$name: after the failover", @t);

    is(scalar(grep { (health($_)->{epoch} // 0) != $epoch } @t), 0, "$name: the epoch is the same, through all that");

    $crowd->close_all;
    $_->stop for @t;
}

my %contents = contents();
cmp_ok(scalar(keys %contents), '>', 20, 'many numbers were looked at');

$node->stop;
done_testing();
