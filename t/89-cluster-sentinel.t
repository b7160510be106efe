#!/usr/bin/perl

# Redis Sentinel looks after the engine of a cluster: three of them make the
# replica the primary when that dies, and when they are told to. If this fails,
# gateways write to an engine that is not the primary any more, or stay away
# from the one that is.

# needs: engine
# lane: waits

use strict;
use warnings;

use File::Temp ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 20, page => 1500);
my ($one, $two) = map { Blockcast::Engine->new } 1, 2;

$two->do('REPLICAOF', '127.0.0.1', $one->{port});
ok(scalar(wait_for { $two->do('INFO', 'replication') =~ /master_link_status:up/ } 60 * $slow), 'a replica');


# A sentinel is the same program with another job and a file of its own.

my $dir = File::Temp::tempdir('sentinel-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my @sentinels;

END { kill 'KILL', map { $_->{pid} } @sentinels if @sentinels }

sub sentinel {
    my ($n) = @_;
    my $port = Blockcast::Test::free_port();
    my $conf = "$dir/$n.conf";

    open my $fh, '>', $conf or die "$conf: $!\n";
    print $fh <<"EOF";
port $port
bind 127.0.0.1
dir $dir
sentinel monitor t 127.0.0.1 $one->{port} 2
sentinel down-after-milliseconds t 1500
sentinel failover-timeout t 10000
EOF
    close $fh;

    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDOUT, '>>', "$dir/$n.log" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        { no warnings 'exec'; exec { Blockcast::Engine::binary() } 'redis-server', $conf, '--sentinel' }
        POSIX::_exit(1);
    }
    return { port => $port, pid => $pid, log => "$dir/$n.log" };
}

sub primary {
    my ($s) = @_;
    my $e = bless { host => '127.0.0.1', port => $s->{port}, owner => 0 }, 'Blockcast::Engine';
    my $reply = eval { $e->do('SENTINEL', 'get-master-addr-by-name', 't') } // [];
    return $reply->[1] // 0;
}

sub ready {
    my ($s) = @_;
    my $e = bless { host => '127.0.0.1', port => $s->{port}, owner => 0 }, 'Blockcast::Engine';
    my $told = eval { $e->do('SENTINEL', 'MASTER', 't') } // [];
    my %t = @$told;
    return ($t{'num-slaves'} // 0) >= 1 && ($t{'num-other-sentinels'} // 0) == 2;
}

@sentinels = map { sentinel($_) } 1 .. 3;
ok(scalar(wait_for { 3 == grep { ready($_) } @sentinels } 90 * $slow), 'three sentinels know each other');

my $urls = "redis://127.0.0.1:$one->{port} redis://127.0.0.1:$two->{port}";
my @t = map { gateway($node, $urls) } 1 .. 3;
ok(settled(25, @t), 'three gateways, one leads');

my $crowd = roaming(ports => [map { $_->port } @t]);
$crowd->complete($t[0], $node, 'before anything happens');

sub right {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    leave_all($crowd);
    my $last = $node->last_id;
    ok($crowd->run(40 * $slow, until => sub { !grep { ($_->{id} // 0) < $last } $crowd->clients }),
        "$name: everybody has all entries") or diag map { role($_), ' ', engine_error($_), "\n" } @t;
    is_deeply([grep { !/came twice/ } $crowd->wrong], [], "$name: none is lost, no number has two contents or goes back")
        or diag $crowd->{example};
    $crowd->{wrong} = {};
}

my $seq = seq_of($t[0]);
$one->kill;
ok(during($crowd, 90, sub { primary($sentinels[0]) == $two->{port} }), 'the primary dies: they make the replica one')
    or diag map { Blockcast::Test::slurp($_->{log}) } @sentinels;
ok(during($crowd, 60, sub { settled(0.1, @t) && seq_of($t[0]) > $seq }), 'the gateways go on with it')
    or diag map { role($_), ' ', engine_error($_), "\n", $_->error_log } @t;
right('after that');

$one->start;
ok(during($crowd, 90, sub { (eval { $one->do('INFO', 'replication') } // '') =~ /role:slave[\s\S]*master_link_status:up/ }),
    'the former one comes back: they make it a replica');
ok(settled(20, @t), 'and the gateways leave it alone');

# one that is asked too soon after the last change refuses; one that is asked
# again when it is done would change them back
$seq = seq_of($t[0]);
ok(during($crowd, 120, sub {
    return 1 if primary($sentinels[1]) == $one->{port};
    my $e = bless { host => '127.0.0.1', port => $sentinels[1]{port}, owner => 0 }, 'Blockcast::Engine';
    eval { $e->do('SENTINEL', 'FAILOVER', 't') };
    return 0;
}), 'told to, they change the two, both of which run')
    or diag map { Blockcast::Test::slurp($_->{log}) } @sentinels;
ok(during($crowd, 60, sub { settled(0.1, @t) && seq_of($t[0]) > $seq }), 'the gateways follow')
    or diag map { role($_), ' ', engine_error($_), "\n", $_->error_log } @t;
ok(during($crowd, 60, sub { (eval { $two->do('INFO', 'replication') } // '') =~ /role:slave/ }), 'the other one is a replica');
right('after that, too');

$crowd->close_all;
$_->stop for @t;
$node->stop;
done_testing();
