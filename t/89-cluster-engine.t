#!/usr/bin/perl

# The engine of a cluster: TLS, who may log in, replicas, a Redis Cluster, and a
# failover that loses the newest entries; a binary upgrade of the leader; the
# state file beside it. If this fails, gateways give one number to two contents
# after a failover, show an engine that is not theirs, or stay away from theirs
# without saying why.

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

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 20, page => 1500);


sub spew {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh;
    return $path;
}

sub becomes {
    my ($t, $re, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(scalar(wait_for { engine_error($t) =~ $re } 60 * $slow), $name)
        or diag engine_error($t), "\n", $t->error_log;
}

sub leads {
    my ($t, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(scalar(wait_for { role($t) eq 'leader' } 60 * $slow), $name) or diag engine_error($t), "\n", $t->error_log;
}


# Who may log in.

{
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my $dir = $engine->{dir};

    $engine->do(qw(ACL SETUSER gw on >s3cret resetkeys ~{blockcast:t}:* -@all), '+xadd', '+xread', '+xrange',
        '+xtrim', '+info');
    $engine->do(qw(ACL SETUSER default resetpass >other));

    my $t = gateway($node, $url);
    becomes($t, qr/^it refuses us: "NOAUTH/, 'an engine that wants a password');
    $t->stop;

    spew("$dir/bad", "wrong\n");
    $t = gateway($node, "$url user=gw password_file=$dir/bad");
    becomes($t, qr/^it refuses us: "WRONGPASS/, 'a wrong password');
    unlike($t->error_log, qr/wrong\b.*\n/, 'the password is not logged');
    $t->stop;

    spew("$dir/good", "s3cret\n");
    $t = gateway($node, "$url user=gw password_file=$dir/good");
    leads($t, 'with its user, and no more rights than README names, it leads');
    ok(scalar(wait_for { my $s = seq_of($t); $t->get('/api/streams/c'); $s > 2 } 60 * $slow), 'and publishes');
    my $metrics = $t->get('/metrics')->{body};
    like($metrics, qr/^blockcast_cluster_engine_up 1$/m, 'metrics: the engine is there');
    like($metrics, qr/^blockcast_cluster_leader 1$/m, '... it leads');
    like($metrics, qr/^blockcast_cluster_appends_total [1-9]/m, '... and appends');
    like($metrics, qr/^blockcast_cluster_engine_memory_bytes [1-9]\d{4}/m, '... memory of the engine');
    $t->stop;
}


# TLS.

SKIP: {
    my $dir = File::Temp::tempdir(CLEANUP => 1);
    system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out cert -subj /CN=localhost "
        . "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null && cp cert other && chmod 644 key") == 0
        or skip 'no openssl', 1;

    my $tls = free_port();
    my $engine = eval { Blockcast::Engine->new('tls-port' => $tls, 'tls-cert-file' => "$dir/cert",
        'tls-key-file' => "$dir/key", 'tls-ca-cert-file' => "$dir/cert", 'tls-auth-clients' => 'no') }
        or skip 'this engine was built without TLS', 1;

    my $t = gateway($node, "rediss://127.0.0.1:$tls ca=$dir/cert");
    leads($t, 'over TLS, by an address that is in the certificate');
    $t->stop;

    $t = gateway($node, "redis://localhost:$tls tls=on ca=$dir/cert");
    leads($t, '... by its name');
    $t->stop;

    $t = gateway($node, "redis://127.0.0.2:$tls tls=on ca=$dir/cert");
    becomes($t, qr/cannot be reached|certificate is not for "127.0.0.2"/, 'an address that is not in it');
    $t->stop;

    $t = gateway($node, "rediss://127.0.0.1:$tls");
    becomes($t, qr/^its certificate is not valid: /, 'one that nobody has signed');
    $t->stop;

    $t = gateway($node, "redis://127.0.0.1:$tls");
    becomes($t, qr/closed the connection|does not answer|does not speak/, 'TLS where none is spoken');
    $t->stop;
}


# What is no engine.

{
    my $t = gateway($node, "redis://127.0.0.1:$node->{port}");
    becomes($t, qr/does not speak Redis' protocol|closed the connection|does not answer/, 'a web server is none');
    $t->stop;
}


# A Redis Cluster: one hash tag.

{
    my $engine = Blockcast::Engine->new('cluster-enabled' => 'yes');
    my $t = gateway($node, "redis://127.0.0.1:$engine->{port}");
    becomes($t, qr/CLUSTERDOWN/, 'a Redis Cluster without slots is down');

    $engine->do('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    leads($t, 'with them it has the log');
    $t->stop;
}


# A replica is passed over. A failover that loses what the replica had not got:
# numbers jump, and none has two contents.

{
    my $one = Blockcast::Engine->new;
    my $two = Blockcast::Engine->new;
    my $way = $one->way;

    $two->do('REPLICAOF', '127.0.0.1', $way->{port});
    wait_for { $two->do('INFO', 'replication') =~ /master_link_status:up/ } 60 * $slow;

    my $urls = "redis://127.0.0.1:$two->{port} redis://127.0.0.1:$one->{port}";
    my @t = map { gateway($node, $urls) } 1 .. 2;
    ok(settled(25, @t), 'a replica is passed over');

    my $crowd = roaming(ports => [map { $_->port } @t]);
    $crowd->complete($t[0], $node, 'before the failover');

    $way->cut;
    $crowd->run(3);
    my $before = seq_of($t[0]);
    $one->kill;
    $two->do('REPLICAOF', 'NO', 'ONE');

    ok(during($crowd, 30, sub { settled(0.1, @t) && seq_of($t[0]) > $before + 1_000_000 }),
        'the replica is the primary now: numbers jump')
        or diag map { role($_), ' ', engine_error($_), "\n", $_->error_log } @t;

    leave_all($crowd);
    my $last = $node->last_id;
    ok($crowd->run(20 * $slow, until => sub { !grep { ($_->{id} // 0) < $last } $crowd->clients }),
        'everybody has all entries');
    is_deeply([grep { !/came twice/ } $crowd->wrong], [], 'none is lost, no number has two contents or goes back')
        or diag $crowd->{example};
    $crowd->{wrong} = {};

    # the former primary comes back as the replica of the new one
    $one->start;
    $one->do('REPLICAOF', '127.0.0.1', $two->{port});
    $crowd->run(3);
    ok(settled(20, @t), 'the former primary comes back, and is left alone');

    $crowd->close_all;
    $_->stop for @t;
}


# A binary upgrade of the leader: the new master is one more gateway.

{
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my $t = gateway($node, $url, test => { daemon => 1 });
    leads($t, 'one gateway');

    my $crowd = roaming(ports => [$t->port], new_epoch => 0);
    $crowd->complete($t, $node, 'before the upgrade');

    my $old = $t->master_pid;
    $t->signal(USR2 => $old);
    ok(during($crowd, 20, sub { -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == 4 }), 'two masters');
    $crowd->complete($t, $node, 'both run');
    leave_all($crowd);
    $crowd->complete($t, $node, 'clients of both');
    $t->signal(QUIT => $old);
    ok(during($crowd, 20, sub { $t->worker_pids == 2 }), 'the old one quits');
    $t->{master} = $t->pid_file;
    ok(during($crowd, 20, sub { role($t) eq 'leader' }), 'the new one leads');
    $crowd->complete($t, $node, 'after the upgrade');

    $crowd->close_all;
    $t->stop;
}


# A gap that a program tells is told by all gateways, live.

{
    my $engine = Blockcast::Engine->new;
    my @t = map { gateway($node, "redis://127.0.0.1:$engine->{port}", more => <<'HTTP') } 1 .. 2;
    blockcast_stream g {
        blockcast_interval 300ms;
        blockcast_call n count timeout=2s;
        blockcast_jq '{nums: [{n: .results.n}]}, .results.n, (if .results.n % 4 == 0 then {gap: {from: 1, to: 2}} else empty end)';
        blockcast_log nums key=n keep=100 size=64k;
    }
HTTP
    ok(settled(25, @t), 'two gateways with a log that has gaps');

    for my $t (@t) {
        my $ws = $t->ws('/ws');
        $ws->send_json({ type => 'subscribe', stream => 'g' });
        my ($gap, $n);
        for (1 .. 12) {
            my $m = $ws->recv_type('g') // last;
            ($gap, $n) = ($m->{gap}, $m->{data}{nums}) and last if $m->{gap} && @{ $m->{data}{nums} } == 1;
        }
        is_deeply([@{ $gap // {} }{qw(from to)}], [1, 2], 'the ' . role($t) . '\'s clients are told');
        is_deeply($n->[0]{gap}, { from => 1, to => 2 }, '... and where');
    }

    $_->stop for @t;
}


# With a state file a gateway has data while the engine is away, and fills one
# that is empty, in the same epoch.

{
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my $t = gateway($node, $url, test => { start => 0 }, more => 'blockcast_state %%PREFIX%%/state/feeds;');

    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->start;
    leads($t, 'a gateway with a state file');

    my $crowd = roaming(ports => [$t->port]);
    $crowd->complete($t, $node, 'with a state file');
    my $epoch = health($t)->{epoch};
    $crowd->{ports} = [];
    $crowd->close_all;

    kill_gateway($t);
    $engine->kill;
    $t->start;
    is(health($t)->{epoch}, $epoch, 'the engine is away at a start: the epoch is that of the file');
    is($t->get('/api/streams/c')->{status}, 200, '... and there is data');

    $engine->start;
    leads($t, 'the engine is empty: it is filled');
    is(health($t)->{epoch}, $epoch, '... in the same epoch');
    cmp_ok(seq_of($t), '>', 1e15, '... and numbers jump');

    my $second = gateway($node, $url);
    ok(settled(25, $t, $second), 'a second one, without a file, follows');
    is(health($second)->{epoch}, $epoch, '... in that epoch');

    my $ws = $second->ws('/ws');
    $ws->send_json({ type => 'subscribe', stream => 'l' });
    cmp_ok(scalar(@{ $ws->recv_type('l')->{data}{entries} }), '>', 1, '... with the entries of the log');

    $_->stop for $t, $second;
}


# The log of another epoch: what clients know is worth nothing, and is not mixed
# with what comes.

{
    my @engine = map { Blockcast::Engine->new } 1 .. 2;
    my @t = map { gateway($node, "redis://127.0.0.1:$_->{port}") } @engine;
    leads($_, 'a gateway with an engine of its own') for @t;
    my @epoch = map { health($_)->{epoch} } @t;
    isnt($epoch[0], $epoch[1], 'each has an epoch of its own');

    my $crowd = roaming(ports => [$t[0]->port], new_epoch => 1);
    $crowd->complete($t[0], $node, 'clients of the first one');
    my $other = $t[1]->ws('/ws');
    $other->send_json({ type => 'subscribe', stream => 'c' });
    $other->recv_type('c');
    $t[1]->stop;

    my $log = '{blockcast:t}:log';
    my $dump = $engine[1]->do('DUMP', $log);
    $engine[0]->do('MULTI');
    $engine[0]->do('RESTORE', $log, 0, $dump, 'REPLACE');
    $engine[0]->do('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $engine[0]->do('EXEC');

    ok(during($crowd, 25, sub { (health($t[0])->{epoch} // 0) == $epoch[1] && role($t[0]) eq 'leader' }),
        'its log is that of the other one: it takes the epoch') or diag $t[0]->error_log;
    ok(during($crowd, 20, sub { ($crowd->{closes}{1012} // 0) >= 12 }), '... and closes its clients with 1012')
        or diag explain $crowd->{closes};
    like($t[0]->error_log, qr/the cluster "t" is in epoch $epoch[1], this nginx was in epoch $epoch[0]: its data is dropped/,
        '... and says so');

    $crowd->{wrong} = {};
    $crowd->complete($t[0], $node, 'in the new epoch');
    $crowd->close_all;
    $t[0]->stop;
}

$node->stop;
done_testing();
