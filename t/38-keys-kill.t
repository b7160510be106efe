#!/usr/bin/perl

# needs: moments
#
# Keys go on when a worker dies, and when the polls of some take longer than
# those of others. If this fails, a visitor who watches an address sees an old
# balance for a minute or more after a worker was killed or a node was slow with
# one answer, sees one change twice, or waits as long for the first data.
#
# The interval of the streams with blockcast_after is 10 minutes: what is not
# polled for a reason of its own is not polled within this test.
#
# BLOCKCAST_LONG=1 (t/run --long) goes through the deaths ten times.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::KeyNode;
use Blockcast::Preload;
use Blockcast::Test qw(wait_for);
use Blockcast::WebSocket;

my $keys = 60;
my $node = Blockcast::KeyNode->new;
my $hook = Blockcast::Preload->new(moments => 1);

my $many = q{blockcast_call b k.many 'params_jq=[.keys]' timeout=30s;
        blockcast_jq '[.keys, .results.b] | transpose | map({(.[0]): .[1]}) | add // {}';};
my $one = q{blockcast_call b k.raw 'params_jq=[.key]' timeout=30s;};

my $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, reuseport => 1, http => <<"EOS", server => <<"EOS2");
    blockcast_zone main 8m;
    blockcast_stream head { blockcast_interval 100ms; blockcast_call c k.head timeout=30s; }
    blockcast_stream a { blockcast_after head; blockcast_interval 600s; blockcast_key k pattern=[a-z0-9]+ max=200; $one }
    blockcast_stream b { blockcast_after head; blockcast_interval 600s; blockcast_key k pattern=[a-z0-9]+ max=200 keys=7; $many }
    blockcast_stream c { blockcast_interval 400ms; blockcast_key k pattern=[a-z0-9]+ max=200; $one }
    blockcast_stream d { blockcast_interval 400ms; blockcast_key k pattern=[a-z0-9]+ max=200 keys=7; $many }
    blockcast_stream rare { blockcast_interval 600s; blockcast_key k pattern=[a-z0-9]+ max=200; $one }
    blockcast_stream tight { blockcast_interval 600s; blockcast_key k pattern=[a-z0-9]+ max=2; $one }
EOS
        location /ws { blockcast_websocket; blockcast_max_keys 1000; blockcast_message_rate 10000; }
        location /api/ { blockcast_api; }
        location = /health { blockcast_health; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS2

$t->allow(qr/worker process \d+ exited on signal 9/, qr/shared memory zone "main" was locked by/, qr/is gone/);


# Clients: each watches some keys of some streams, and comes back when it is
# sent away. What they receive is looked at as it comes.

my (@clients, @wrong, %value);
my $head = 1;

sub client {
    my (%keys) = @_;
    my $c = { keys => \%keys, seq => {}, data => {} };
    push @clients, $c;
    come($c);
    return $c;
}

sub come {
    my ($c) = @_;

    $c->{ws} = eval { $t->ws } or return;
    $c->{new} = {};

    for my $stream (sort keys %{ $c->{keys} }) {
        $c->{new}{"$stream $_"} = 1 for @{ $c->{keys}{$stream} };
        $c->{ws}->send_json({ type => 'subscribe', stream => $stream, keys => $c->{keys}{$stream} });
    }
}

sub look {
    for my $c (@clients) {
        while (my $m = $c->{ws} && $c->{ws}->recv_json(0.002)) {

            if ($m->{type} eq 'error') {
                push @wrong, $m->{message};

                # the zone may be locked by who was just killed: try again
                $c->{ws}->drop if $m->{message} =~ /busy|again/ && pop @wrong;
                next;
            }

            next if !$c->{keys}{ $m->{type} };

            my $k = "$m->{type} $m->{key}";
            my ($seq, $data) = ($c->{seq}{$k} // 0, $c->{data}{$k});
            my $new = delete $c->{new}{$k};

            # of two changes at once only the last one may come
            push @wrong, "$k: seq $m->{seq} after $seq" if $new ? $m->{seq} < $seq : $m->{seq} <= $seq;
            push @wrong, "$k: the same twice, $data" if !$new && defined $data && $data == $m->{data};
            $c->{seq}{$k} = $m->{seq};
            $c->{data}{$k} = $m->{data};
        }

        come($c) if !$c->{ws} || $c->{ws}->eof;
    }
}

# what is not as it should be

sub missing {
    return map { my $c = $_; map { my $s = $_; grep { $_ } map {
        my $is = $c->{data}{"$s $_"} // 'nothing';
        $is eq ($value{$_} // 0) ? '' : "$s $_ is $is, not " . ($value{$_} // 0);
    } @{ $c->{keys}{$s} } } sort keys %{ $c->{keys} } } @clients;
}

sub right {
    my ($what, $seconds) = @_;
    my $began = time;

    my $well = wait_for { look(); !missing() } $seconds // 20;
    my @missing = missing();
    ok($well && !@wrong, sprintf '%s: all keys have what is new (after %.1f s)', $what, time - $began)
        or diag(join "\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)], scalar(@missing) . ' keys',
            @missing[0 .. ($#missing > 9 ? 9 : $#missing)]);
    @wrong = ();
    return $well;
}

my $n = 100;

# some keys of each stream change, and the head does with them

sub change {
    my ($every, %more) = @_;

    for my $s ('a' .. 'd') {
        $value{"$s$_"} = ++$n for grep { $_ % $every == 0 } 1 .. $keys;
    }

    $node->set(%value, head => ++$head, %more);
}

# whether the node has been asked for these since it was so many times

sub were_asked {
    my ($since, @keys) = @_;
    my @asked = $node->asked('k.raw');
    my %asked = map { $_->[1] => 1 } splice @asked, $since;
    return !grep { !$asked{$_} } @keys;
}

sub poller { ($t->get_json('/health', timeout => 2) // {})->{poller}{pid} // 0 }

# no worker is new, no poller changes any more, and there are clients of both

sub settle {
    return wait_for {
        look();
        my $p = poller();
        my @pids = $t->worker_pids;
        @pids == 2 && grep { $_ == $p } @pids;
    } 20;
}

sub dies {
    my ($name, %arg) = @_;

    settle() or return fail "$name: nobody polls";
    my $poller = poller();
    my ($other) = grep { $_ != $poller } $t->worker_pids;

    my $pid = $arg{arm}->($poller, $other);
    my $dead = wait_for { look(); $pid ? !kill 0, $pid : $hook->killed } 20;
    $hook->disarm;
    $arg{then}->() if $arg{then};

    ok $dead, "$name: it died" or return;
    right($name);
}


my %all = map { my $s = $_; $s => [map { "$s$_" } 1 .. $keys] } 'a' .. 'd';

client(%all) for 1 .. 6;
right('the first data', 60);
change(1);
right('a change');


subtest 'what is in the air when a worker dies is asked for again' => sub {
    my $rare = client(rare => ['r1', 'r2', 'r3']);
    right('keys with a long interval');

    for my $which ('the poller', 'the other one') {
        dies("$which, while the node is slow", arm => sub {
            my ($poller, $other) = @_;
            my $pid = $which eq 'the poller' ? $poller : $other;
            my $asked = () = $node->asked('k.raw');
            my @slow = (qw(a1 a3 a5), $which eq 'the poller' ? 'r9' : 'r8');

            # the node says what was there when it was asked, to nobody when that one is dead
            my $first = $slow[-1];
            $value{$first} = ++$n;
            change(2, hold => '^(?:a[135]|b12|c7|d8|r[89])\b');
            push @{ $rare->{keys}{rare} }, $first;
            $rare->{ws}->send_json({ type => 'subscribe', stream => 'rare', key => $first });
            wait_for { look(); were_asked($asked, @slow) } 20;
            ok were_asked($asked, @slow), 'the node was asked';
            kill 'KILL', $pid;
            return $pid;
        }, then => sub { $node->set(%value, hold => undef) });
    }

    @clients = grep { $_ != $rare } @clients;
    $rare->{ws}->drop;
};


subtest 'a poll that takes longer than those after it holds nobody up' => sub {
    for my $round (1 .. 3) {
        settle();

        my $asked = () = $node->asked('k.raw');
        change(3, hold => '^(?:a[2468]|b1?4)\b');
        wait_for { look(); were_asked($asked, qw(a2 a4 a6 a8)) } 20;
        ok were_asked($asked, qw(a2 a4 a6 a8)), 'the node was asked';

        # another head: the others are asked for it, and answered
        change(1, hold => '^(?:a[2468]|b1?4)\b');
        my @quick = map { "a$_" } 20 .. 50;
        wait_for { look(); !grep { ($clients[0]{data}{"a $_"} // 0) != $value{$_} } @quick } 20;
        is 0 + (grep { ($clients[0]{data}{"a $_"} // 0) != $value{$_} } @quick), 0, 'the others have what is new';
        $node->set(%value, hold => undef);
        right("slow answers, $round");
    }
};


subtest 'a key in the place of another one is polled at once' => sub {
    my $ws = $t->ws;
    my $place = sub {
        my ($key) = @_;
        my $m;
        $node->set(%value, $key => ++$n);
        wait_for {
            $ws->send_json({ type => 'subscribe', stream => 'tight', key => $key });
            $m = $ws->recv_json(20) // {} while ($m->{key} // '') ne $key;
            $m->{type} eq 'subscribed' or (undef $m, sleep(0.1), return 0);
        } 20;
        undef $m;
        wait_for { $m = $ws->recv_json(1) // {}; $m->{type} && $m->{type} eq 'tight' && $m->{key} eq $key } 20;
        is $m->{data}, $n, "$key has its data";
    };

    $place->($_) for 't1', 't2';

    for my $i (3 .. 6) {
        $ws->send_json({ type => 'unsubscribe', stream => 'tight', key => 't' . ($i - 1) });
        $ws->recv_type('unsubscribed');
        $place->("t$i");
    }
};


subtest 'the first data of a key comes at once, whoever has other keys' => sub {
    my @took;

    for my $i (1 .. 15) {
        my $ws = $t->ws;
        my $began = time;
        $ws->send_json({ type => 'subscribe', stream => 'a', key => "first$i" });
        wait_for { ($ws->recv_type('a', 1) // {})->{key} } 20;
        push @took, time - $began;
        $ws->drop;
    }

    my $median = (sort { $a <=> $b } @took)[7];
    cmp_ok $median, '<', 0.7 * Blockcast::Test::slow(), sprintf 'it takes %.3f s', $median;
};


subtest 'a worker dies at each moment' => sub {
    for my $moment ('key: asked', 'key: copied', 'key: published', 'key: numbered', 'key: answered', 'key: ended') {
        for (1 .. ($ENV{BLOCKCAST_LONG} ? 10 : 2)) {
            my $nth = 1 + int rand 20;
            dies("$moment, number $nth", arm => sub {
                my ($poller) = @_;
                $hook->kill_at($moment, $nth, $poller);
                change(2);
                return $poller;
            });
        }
    }

    for my $moment ('key: made') {
        dies("$moment", arm => sub {
            $hook->kill_at($moment, 3);
            client(a => [map { "new$_" } 1 .. 20]);
            return;
        });
        pop(@clients)->{ws}->drop;
    }
};


subtest 'a worker dies at random, between two heads' => sub {
    for my $i (1 .. ($ENV{BLOCKCAST_LONG} ? 30 : 8)) {
        my $which = $i % 2 ? 'the poller' : 'the other one';
        dies("$which, $i", arm => sub {
            my ($poller, $other) = @_;
            my $pid = $which eq 'the poller' ? $poller : $other;
            change(3);
            sleep rand 0.15;
            change(2) if $i % 4 < 2;
            sleep rand 0.15;
            kill 'KILL', $pid;
            return $pid;
        }, then => sub { sleep rand 0.1; change(5) if $i % 3 == 0 });
    }
};

$_->{ws}->drop for @clients;
$t->stop;
done_testing;
