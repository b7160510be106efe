#!/usr/bin/perl

# needs: moments
#
# A publish of 16 MB is done in pieces: compared, built, recorded and copied to
# the zone, and from there to the other workers, between which others have their
# turn. If this fails, all clients wait while such data comes, one that reads
# meanwhile gets half of it, or a worker that dies in the middle leaves the
# stream frozen or a number with two contents.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Preload;
use Blockcast::RawNode;
use Blockcast::Test;
use Blockcast::Turns;
use Blockcast::WebSocket;

# of a sanitizer's nginx the time says nothing
my $measured = !$ENV{BLOCKCAST_SANITIZE};

my $node = Blockcast::RawNode->new;
my $turns = Blockcast::Turns->new;

# every piece of it tells which one it is of
sub big {
    my ($n, $size) = @_;
    return sprintf '[%d,"%s",%d]', $n, sprintf('%08d ', $n) x ($size / 9), $n;
}

sub numbers {
    my ($n, $count) = @_;
    return '[' . join(',', $n, map { $_ % 9 + 0.7 } 2 .. $count) . ']';
}

# The number of a message, if it is whole, and its seq.
sub whole {
    my ($text, $stream) = @_;

    my ($n) = $text =~ /\A\{"type":"$stream","data":\[(\d+),"/ or return;
    my $at = length(qq({"type":"$stream","data":[$n,"));
    my $piece = sprintf '%08d ', $n;
    my $end = index $text, '"', $at;
    my $data = substr $text, $at, $end - $at;
    my $same = $data eq $piece x (length($data) / 9);
    my ($seq) = substr($text, $end) =~ /\A",$n\],"timestamp":\d+,"seq":(\d+)\}\z/;

    return $same && $seq ? ($n, $seq) : ();
}

sub server {
    my ($http, %opt) = @_;

    return (%opt, http => <<"EOF" . $http, server => <<'EOS');
    blockcast_zone main 256m;
    blockcast_max_queue 64m;
    # on a busy machine nobody may read for long
    blockcast_ping_interval 10m;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
EOF
    location /ws { blockcast_websocket; add_header X-Worker $pid always; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node max_reply=32m;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS
}

# A client of each worker.
sub client_of_each {
    my ($t, $workers, @options) = @_;
    my %ws;

    for (1 .. 200) {
        my $ws = $t->ws('/ws', @options);
        my $pid = $ws->header('X-Worker');
        if ($ws{$pid}) { $ws->drop } else { $ws{$pid} = $ws }
        last if keys %ws == $workers;
    }
    return values %ws;
}

# Until it has got number n; all it gets has to be whole, and in order.
sub until_number {
    my ($ws, $n, $stream) = @_;
    my $end = time + 60 * slow();

    while (time < $end) {
        my $text = $ws->message_like(qr/\A\{"type":"$stream"/) or last;
        my ($number, $seq) = whole($text, $stream);
        if (!$number || $seq <= ($ws->{seq} // 0)) {
            diag(sprintf 'got %s ... %s', substr($text, 0, 60), substr $text, -60);
            return 0;
        }
        $ws->{seq} = $seq;
        return 1 if $number == $n;
    }
    return 0;
}

$node->set(big => big(1, 100));
$node->set(small => 1);
$node->set(nums => '[1]');


subtest '16 MB' => sub {
    my $t = Blockcast::Test->new(server(<<'EOF', %{ $turns->test_options }, workers => 2));
    blockcast_stream big { blockcast_interval 200ms; blockcast_max_size 20m; blockcast_call c big; }
    blockcast_stream small { blockcast_interval 50ms; blockcast_call c small; }
EOF
    my @ws = client_of_each($t, 2);
    is(scalar @ws, 2, 'a client of each worker');
    $_->send_json({ type => 'subscribe', streams => ['big'] }) for @ws;
    ok(until_number($_, 1, 'big'), 'there is one') for @ws;
    my $beside = $t->ws('/ws');
    $beside->subscribe('small');

    my $size = 16 << 20;
    my @longest;
    for my $n (2 .. 6) {
        $turns->reset;
        $node->set(big => big($n, $size));
        $node->set(small => $n);
        ok(until_number($_, $n, 'big'), "number $n, whole and in order") for @ws;
        ok($beside->message_like(qr/"type":"small","data":$n,/), 'and the other stream');
        push @longest, $turns->get->{longest} / 1e6;
    }

    # it does not change, and is looked at with each poll
    my $asked = $node->asked('big');
    $turns->reset;
    wait_for(sub { $node->asked('big') > $asked + 3 }, 60);
    my $same = $turns->get->{longest} / 1e6;
    my ($state) = grep { $_->{name} eq 'big' } @{ wait_for(sub { $t->get_json('/api/streams') })->{streams} };
    is($state->{seq}, $ws[0]{seq}, 'the same is not published again');

    # of the same length, another one at the end only
    my $last = big(6, $size) =~ s/6\]\z/7]/r;
    $node->set(big => $last);
    ok($_->message_like(qr/",7\],"timestamp":\d+,"seq":\d+\}\z/), 'a change at the end') for @ws;

    SKIP: {
        skip 'time under a sanitizer', 2 unless $measured;

        # what others do on the machine only adds to it; at once it takes 13 ms and more
        my ($least) = sort { $a <=> $b } @longest;
        diag(sprintf 'longest turns: %s ms, with the same data %.1f ms',
            join(', ', map { sprintf '%.1f', $_ } @longest), $same);
        cmp_ok($least, '<', 8, 'ms of CPU time, the longest turn of a publish');
        cmp_ok($same, '<', 20, 'ms, of a poll that brings the same');
    }
    $_->drop(reset => 1) for @ws, $beside;
    $t->stop;
};


# Of three streams at once, so that each is overtaken while it is converted.

subtest 'CBOR of what changes faster than it is converted' => sub {
    my $t = Blockcast::Test->new(server(join('', map { <<"EOF" } 1 .. 3), %{ $turns->test_options }, workers => 1));
    blockcast_stream nums$_ { blockcast_interval 50ms; blockcast_max_size 8m; blockcast_call c nums; }
EOF
    my @ws = map { $t->ws('/ws', subprotocol => 'blockcast.v1.cbor') } 1 .. 3;
    $ws[$_ - 1]->send_binary("\xa2dtypeisubscribefstreamenums$_") for 1 .. 3;
    ok($_->message_like(qr/ddata\x81\x01/), 'there is one') for @ws;

    my @texts = map { numbers($_, 1_000_000) } 2 .. 5;
    my ($n, $end, $stop) = (0, time + 60 * slow(), 0);
    my @got = (0) x @ws;
    my @seqs = (0) x @ws;
    my $wrong = 0;
    $turns->reset;

    # each has to get some while the data goes on changing
    while (time < $end && grep { $_ < 3 } @got) {
        $node->set(nums => $texts[$n++ % @texts]);
        for my $i (0 .. $#ws) {
            while (my $f = $ws[$i]->recv(0.01)) {
                $ws[$i]->pong($f->{payload}) if $f->{opcode} == 9;
                next unless $f->{opcode} == 2 && length $f->{payload} > 1_000_000;
                my ($seq) = $f->{payload} =~ /cseq(?:\x18(.)|\x19(..)|([\x00-\x17]))\z/s or next;
                $seq = defined $1 ? ord $1 : defined $2 ? unpack 'n', $2 : ord $3;
                $wrong++ if $seq <= $seqs[$i];
                $seqs[$i] = $seq;
                $got[$i]++;
            }
        }
    }
    my $longest = $turns->get->{longest} / 1e6;
    is(scalar(grep { $_ < 3 } @got), 0, 'all get some of it');
    is($wrong, 0, 'in order');

    $node->set(nums => '[9]');
    ok($_->message_like(qr/ddata\x81\x09/), 'and the newest in the end') for @ws;

    SKIP: {
        skip 'time under a sanitizer', 1 unless $measured;
        diag("the longest turn took $longest ms");
        cmp_ok($longest, '<', 35, 'ms of CPU time: not in one turn');
    }
    $_->drop(reset => 1) for @ws;
    $t->stop;
};


# In the state file, too: another worker goes on, or everything is started again.

subtest 'a worker dies in the middle' => sub {
    my $hook = Blockcast::Preload->new(moments => 1);
    my $t = Blockcast::Test->new(server(<<'EOF', %{ $hook->test_options }, workers => 2, start => 0));
    blockcast_state %%PREFIX%%/state/feeds;
    blockcast_stream big {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_max_size 4m;
        blockcast_call c big;
    }
    blockcast_stream small { blockcast_interval 50ms; blockcast_always on; blockcast_call c small; }
EOF
    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->start;
    $t->allow(qr/worker process \d+ exited on signal 9/, qr/shared memory zone "main" was locked by/);

    my ($n, $newest) = (10, 0);
    my %content;                # number of each seq that anybody has seen
    my $new = sub { $n++; $node->set(big => big($n, 2 << 20)); $node->set(small => $n) };

    # who comes now gets what is newest, whole, and later not less
    my $look = sub {
        my $ws = $t->ws('/ws');
        $ws->send_json({ type => 'subscribe', streams => ['big'] });
        my $end = time + 30 * slow();
        my $good = 1;
        while (time < $end) {
            my $text = $ws->message_like(qr/\A\{"type":"big"/) or last;
            my ($number, $seq) = whole($text, 'big');
            $good = 0 if !$number || $seq < $newest || ($content{$seq} // $number) != $number;
            $newest = $seq if $number;
            $content{$newest} = $number;
            last if !$good || $number == $n;
        }
        $ws->drop(reset => 1);
        return $good && $content{$newest} == $n;
    };

    my $poller = sub { ($t->get_json('/api/health', timeout => 5) // {})->{poller}{pid} };
    $new->();
    ok($look->(), 'it works');

    my @moments = ('stage: locked', 'stage: copied', 'record: a piece', 'publish: locked', 'publish: recorded',
        'commit: copied', 'commit: counted', 'commit: done', 'publish: unlocked');

    for my $all (0, 1) {
        for my $moment (@moments) {
            wait_for(sub { my $p = $poller->(); $p && grep { $_ == $p } $t->worker_pids }, 20);
            my $pid = $poller->();
            $hook->kill_at($moment, 1 + ($moment =~ /stage|piece/ ? int rand 20 : 0), $pid);
            $new->();
            my $dead = wait_for(sub { $hook->killed && !kill 0, $pid }, 30);
            $hook->disarm;

            if ($all) {
                kill 'KILL', $t->{master};
                wait_for { waitpid $t->{master}, 1; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 20;
                unlink $t->prefix . '/nginx.pid';
                $t->start;
            }
            my $well = $look->();
            $new->();
            ok($dead && $well && $look->(), $moment . ($all ? ', then everything' : '') . ': all goes on')
                or last;
        }
    }
    unlike($t->error_log, qr/\[(?:error|crit|warn)\].*state file/, 'the state file gives no cause for complaint');
    $t->stop;
};

$node->stop;
done_testing();
