#!/usr/bin/perl

# Which entries of a log are new. If this fails, a client of a fresh chain is
# told that it missed something, an entry that the node shows late never comes,
# one that came long ago comes again, the same one comes twice because it is
# written in another way, or keys made to collide stop the gateway.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;

# a worker may end while the thread that syncs the state file is at work
local $ENV{BLOCKCAST_ASAN} = Blockcast::Test::without_leaks($ENV{BLOCKCAST_ASAN} // '');

my $node = Blockcast::RawNode->new;

sub http {
    my ($state) = @_;

    my $http = "    blockcast_zone main 64m;\n    blockcast_drain 1s;\n    $state\n"
        . "    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }\n";

    my %of = (fresh => 'keep=100', one => 'keep=1', back => 'keep=1',
        small => 'keep=1 size=16k', keys => 'keep=100');

    for (sort keys %of) {
        my $jq = $_ eq 'back'
            ? q(blockcast_jq '{entries: (.results.c.entries | reverse)}';) : '';
        my $max = $_ eq 'small' ? 'blockcast_max_size 8k;' : '';
        $http .= "    blockcast_stream $_ { blockcast_interval 50ms; blockcast_always on;"
            . " blockcast_call c $_ timeout=5s; $jq $max"
            . " blockcast_log entries key=id $of{$_}; }\n";
    }

    return $http . '    blockcast_stream many { blockcast_interval 50ms; blockcast_always on;'
        . ' blockcast_call c many timeout=5s; blockcast_max_size 2m;'
        . " blockcast_log entries key=id keep=50000 size=4m; }\n";
}

my $server = <<'EOS';
    location = /ws { blockcast_websocket; }
    location /api { blockcast_api; }
    location = /_node {
        blockcast_node max_reply=8m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

sub entries { '{"entries":[' . join(',', map { qq({"id":$_}) } @_) . ']}' }

# Sets what the node shows, and waits until it has been polled and published.

sub show {
    my ($name, @ids) = @_;
    $node->set($name, entries(@ids));
    settle($name);
}

sub settle {
    my ($name) = @_;
    my $n = $node->asked($name);
    wait_for { $node->asked($name) >= $n + 3 } 30 * $slow
        or die "stream $name is not polled\n";
}

# All ids that a client gets, until there is nothing more: a page that comes
# with the subscription, then what the messages bring.

sub ids { map { $_->{id} } map { @{ $_->{data}{entries} } } @_ }

sub messages {
    my ($t, $ws, $name) = @_;

    # what was published before the answer to a ping came before it
    $ws->send_json({ type => 'ping', id => 'x' });
    $ws->recv_type('pong', 20 * $slow) or die "no pong\n";
    return grep { ($_->{type} // '') eq $name } $ws->skipped;
}

sub start {
    my ($dir) = @_;

    my $t = Blockcast::Test->new(workers => 2, start => 0, server => $server,
        http => http($dir ? "blockcast_state $dir/feeds;" : ''));
    $t->start;
    return $t;
}

$node->set($_, entries()) for qw(fresh keys);
$node->set(one => entries(1 .. 3));
$node->set(back => entries(1 .. 3));
$node->set(small => entries(1 .. 3));
$node->set(many => entries());

my $dir = File::Temp::tempdir(CLEANUP => 1);
chmod 0777, $dir;
my $t = start($dir);

sub seq { ($t->get_json("/api/streams/$_[0]") // {})->{seq} // 0 }

ok(wait_for(sub { seq('fresh') == 1 && seq('one') == 1 && seq('back') == 1 && seq('small') == 1 },
    20 * $slow), 'the first polls');


my ($ws, @m, $since);

subtest 'A fresh chain: nothing was there before' => sub {
    $ws = $t->ws('/ws');
    ok($ws->subscribe('fresh', since => 0), 'since=0 of an empty log');

    show(fresh => 1, 2);
    @m = messages($t, $ws, 'fresh');
    is_deeply([ids(@m)], [1, 2], 'the first entries of a log that was empty');
    is_deeply([grep { $_->{gap} } @m], [], 'without a gap');

    show(fresh => '"late"', 1, 2, 3);
    @m = messages($t, $ws, 'fresh');
    is_deeply([ids(@m)], ['late', 3], 'a late entry before those that are known');

    $since = $t->ws('/ws');
    $since->subscribe('fresh', since => 0);
    @m = messages($t, $since, 'fresh');
    is_deeply([ids(@m)], [1, 2, 'late', 3], 'all of them for who comes now');
    is_deeply([grep { $_->{gap} } @m], [], 'without a gap, too');
};


subtest 'keep=1: the node shows more than is kept' => sub {
    my $was = seq('one');
    settle('one');
    is(seq('one'), $was, 'entries that are evicted do not come again');

    $ws->subscribe('one', since => $was);
    $ws->subscribe('back', since => seq('back'));
    show(one => 1 .. 4);
    show(back => 1 .. 4);
    settle('one');
    is_deeply([ids(messages($t, $ws, 'one'))], [4], 'a new one comes alone');
    is(seq('one'), $was + 1, 'one message more');

    show(one => 2, '"x"', 3, 4);
    is_deeply([ids(messages($t, $ws, 'one'))], ['x'], 'one that comes late between evicted ones');

    my $back = seq('back');
    settle('back');
    is($back, seq('back'), 'in the wrong order: no more messages');
    is($back, 2, 'one for each change');
};


subtest 'more than the ring holds, and more than is remembered' => sub {
    my $small = $t->ws('/ws');
    $small->subscribe('small', since => seq('small'));
    my @want = (4 .. 1600);

    for (my $n = 4; $n <= 1600; $n += 100) {
        my $last = $n + 99 > 1600 ? 1600 : $n + 99;
        show(small => ($last > 400 ? $last - 400 : 1) .. $last);
    }

    settle('small');
    is_deeply([ids(messages($t, $small, 'small'))], \@want, 'each of 1600 entries once, in order');
    show(small => 1201 .. 1450, '"y"', 1451 .. 1600);
    is_deeply([ids(messages($t, $small, 'small'))], ['y'], 'and one that comes late');
    show(small => 1 .. 1601);
    is_deeply([ids(messages($t, $small, 'small'))], [1601],
        'nor what is forgotten, when the node shows all that there was');
};


subtest 'the same value written in another way' => sub {
    my $keys = $t->ws('/ws');
    $keys->subscribe('keys', since => 0);
    show(keys => '1', '"A"', '18446744073709551615', '0.5', '"\ud83d\ude00"');
    messages($t, $keys, 'keys');
    my $before = seq('keys');
    show(keys => '1.0', '1e0', '10e-1', '"\u0041"', '18446744073709551615.0', '5e-1',
        "\"\xf0\x9f\x98\x80\"");
    is(seq('keys'), $before, 'the same keys in other words are the same entries');
    show(keys => '"1"', '"a"', '18446744073709551614', '0.50000000000000000001');
    is(scalar(ids(messages($t, $keys, 'keys'))), 4, 'other values are others');
    show(keys => '7e0');
    like($t->get('/api/streams/keys')->{content} // $t->get('/api/streams/keys')->{body} // '',
        qr/\{"id":7e0\}/, 'the entry stays as it was written');
};


# Keys that nginx's own hash (MurmurHash2) has one value for

sub cpu {
    my $ticks = 0;
    for ($t->worker_pids) {
        my @stat = split ' ', Blockcast::Test::slurp("/proc/$_/stat") =~ s/^.*\) //sr;
        $ticks += $stat[11] + $stat[12];
    }
    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


sub used {
    my (@ids) = @_;
    my $seq = seq('many');
    my $from = cpu();
    $node->set(many => entries(@ids));
    wait_for { seq('many') > $seq } 60 * $slow or die "nothing new of many\n";
    settle('many');
    return cpu() - $from;
}


sub murmur_mix {
    my ($k) = @_;
    $k = $k * 0x5bd1e995 & 0xffffffff;
    $k ^= $k >> 24;
    return $k * 0x5bd1e995 & 0xffffffff;
}


sub colliding {
    my ($count) = @_;

    my $inverse = 1;
    $inverse = $inverse * (2 - 0x5bd1e995 * $inverse & 0xffffffff) & 0xffffffff for 1 .. 6;

    # 13 bytes: a quote and 7 characters, 4 that make up for them, a quote

    my ($n, @keys) = 0;

    while (@keys < $count) {
        my $begin = sprintf '"%07d', $n++;
        my $h = 13;
        $h = ($h * 0x5bd1e995 & 0xffffffff) ^ murmur_mix($_) for unpack 'VV', $begin;

        my $k = ($h * 0x5bd1e995 & 0xffffffff) * $inverse & 0xffffffff;
        $k ^= $k >> 24;
        $k = pack 'V', $k * $inverse & 0xffffffff;
        push @keys, qq($begin$k") if $k =~ /\A[#-\[\]-~]{4}\z/;
    }

    return @keys;
}


subtest 'keys that nginx\'s own hash (MurmurHash2) has one value for' => sub {
    my @bad = colliding(20_000);
    my $usual = used(map { qq("$_") } 1 .. @bad);
    my $chosen = used(@bad);
    cmp_ok($chosen, '<', 4 * $usual + 0.3, '20,000 keys that collide in another hash cost no more')
        or diag "$chosen s instead of $usual s";
    note "$chosen s, usually $usual s";
};


subtest 'after a reload with other sizes' => sub {
    my %sized = map { $_ => seq($_) } qw(fresh one back small keys);
    $t->{http} =~ s/keep=1 size=16k/keep=1 size=64k/;
    $t->{http} =~ s/(log entries key=id keep=1)(;)/$1 size=700k$2/g;
    $t->{http} =~ s/(log entries key=id keep=100)(;)/$1 size=300k$2/g;
    $t->write_conf;
    ok($t->reload(gone => 20 * $slow), 'a reload with other sizes');
    show(small => 1 .. 1601);
    settle($_) for qw(fresh one back keys);
    is(seq($_), $sized{$_}, "after it no entry of $_ comes again") for sort keys %sized;
};


subtest 'after a restart with the state file: the same node, the same answers' => sub {
    my %at = map { $_ => seq($_) } qw(fresh one back small keys);
    my $epoch = $t->ws('/ws')->recv_type('welcome')->{epoch};

    $t->signal('QUIT', $t->pid_file);
    wait_for { waitpid $t->{master}, 1; !$t->nginx_pids } 20 * $slow;
    $t->start;

    is($t->ws('/ws')->recv_type('welcome')->{epoch}, $epoch, 'it is the same epoch');

    show(one => 1 .. 4);
    show(small => 1 .. 1601);
    settle($_) for qw(fresh back keys);

    is(seq($_), $at{$_}, "after a restart: no entry of $_ comes again") for sort keys %at;

    $since = $t->ws('/ws');
    $since->subscribe('fresh', since => 0);
    @m = messages($t, $since, 'fresh');
    is_deeply([ids(@m)], [1, 2, 'late', 3], 'all of a log that has lost nothing');
    is_deeply([grep { $_->{gap} } @m], [], 'without a gap');

    show(fresh => '"later"', '"late"', 1, 2, 3);
    is_deeply([ids(messages($t, $since, 'fresh'))], ['later'], 'a late one after the restart');

    $since = $t->ws('/ws');
    $since->subscribe('small', since => 1);
    @m = messages($t, $since, 'small');
    ok($m[0] && $m[0]{gap}, 'what is gone is a gap');
};

$t->stop;
$node->stop;

done_testing();
