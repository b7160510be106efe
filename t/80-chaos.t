#!/usr/bin/perl

# needs: python
#
# Everything breaks at once, at random: workers die, hang and are replaced, all
# of nginx is killed, restarted and upgraded, the node fails in each of its
# ways, is stopped and comes back, clients are cut off in each of theirs. If
# this fails, somebody who watches through such an hour is shown a receipt
# twice, misses one, sees old figures called live, or is left behind when all
# is well again.
#
# CHAOS_SECONDS=600 (t/run --chaos=600) goes on for so long, BLOCKCAST_SEED=N
# repeats the faults of a run: the seed is printed first.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Chaos;
use Blockcast::Model;
use Blockcast::Swarm;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $seconds = $ENV{CHAOS_SECONDS} || 28;
my $seed = 0 + ($ENV{BLOCKCAST_SEED} // int rand 1e9);
my $size = $ENV{BLOCKCAST_SANITIZE} ? 80 : 200;
my $others = $ENV{BLOCKCAST_SANITIZE} ? 8 : 16;

diag("BLOCKCAST_SEED=$seed CHAOS_SECONDS=$seconds");


# The judge itself: each of these must be noticed, and a good life must not.

sub judged {
    my ($name, $want, @messages) = @_;

    my $judge = Blockcast::Model->new(slack => 1, streams => { s => { stale => 2 }, l => { log => 1 } });
    my $c = { name => 'somebody' };
    my $now = 1000;
    my $crowd = bless { clients => [$c] }, 'Blockcast::Swarm';

    $judge->opened($c, $now);
    for (@messages) {
        $now = $1, next if /^at (\d+)/;
        $judge->opened($c, $now), next if $_ eq 'again';
        $judge->message($c, $_, $now);
        $judge->tick($crowd, $now);
    }
    $judge->tick($crowd, $now);
    $judge->ledger('l', [$c], [qw(a b c d)], [qw(A B C)]);

    my ($first) = $judge->offences;
    like($first // '', $want, "the judge: $name");
}

sub s_message { qq({"type":"s","data":{"x":$_[0]},"timestamp":$_[1],"seq":$_[2]}) }

sub l_message {
    my ($seq, @ids) = @_;
    return '{"type":"l","data":{"receipts":[' . join(',', map { qq({"id":"$_"}) } @ids)
        . qq(],"count":1},"timestamp":1000,"seq":$seq});
}

judged('a good life', qr/^$/, s_message(1, 1000, 1), l_message(1, 'b'), 'at 1001',
    s_message(2, 1001, 2), l_message(2, 'c', 'd'), 'again', s_message(2, 1001, 2),
    l_message(3, 'A', 'B'), 'at 1003', s_message(3, 1003, 3), 'at 1008',
    '{"type":"status","stream":"s","state":"stale","age":5}');
judged('seq twice', qr/came twice/, s_message(1, 1000, 1), s_message(1, 1000, 1));
judged('seq goes back', qr/went back/, s_message(1, 1000, 2), 'again', s_message(1, 1000, 1));
judged('silence', qr/called live/, s_message(1, 1000, 1), 'at 1004');
judged('old data', qr/not called stale/, 'at 1005', s_message(1, 1000, 1), 'at 1006');
judged('old data, and called so', qr/^$/, s_message(1, 1000, 1), 'at 1004',
    '{"type":"status","stream":"s","state":"stale","age":4}', 'at 1006', 'again', s_message(1, 1000, 1),
    '{"type":"status","stream":"s","state":"stale","age":6}', 'at 1009');
judged('a status that is not true', qr/called live at an age/,
    '{"type":"status","stream":"s","state":"live","age":7}');
judged('an entry twice', qr/came twice/, l_message(1, 'a', 'b'), l_message(2, 'b', 'c'));
judged('an entry is missing', qr/missing/, l_message(1, 'a', 'b'), 'again', l_message(2, 'd'));
judged('out of order', qr/order/, l_message(1, 'a', 'c', 'b'));
judged('the beginning of a chain is missing', qr/first entries/, l_message(1, 'a'), l_message(2, 'B'));
judged('an invented entry', qr/never had/, l_message(1, 'a', 'z'));
judged('a gap', qr/gap/,
    '{"type":"l","data":{"receipts":[],"count":0},"timestamp":1,"seq":9,"gap":{"since":1,"oldest":5}}');
judged('another epoch', qr/epoch/, map { qq({"type":"welcome","epoch":$_}) } 1, 2);


# The play.

my %node = Blockcast::Chaos::node_options($seed);
my $interval = 0.5;
my $stale = 2 * $interval + 1;

my $t = Blockcast::Test->new(workers => 2, node => \%node, quit => 15, daemon => 1,
    http => <<'HTTP', server => <<'SERVER');
    blockcast_zone main 64m;
    blockcast_drain 1s;
    blockcast_state %%PREFIX%%/tmp/state;
    upstream node { server %%NODE%%; keepalive 8; }

    blockcast_stream stats {
        blockcast_interval 500ms;
        blockcast_call stats net.stats timeout=1s;
    }

    blockcast_stream receipts {
        blockcast_interval 500ms;
        blockcast_log receipts key=id keep=60000 size=24m;
        blockcast_max_size 512k;
        blockcast_call recent receipt.audit 'params={"limit":50}' timeout=1s;
        blockcast_call more receipt.audit timeout=1s
            params_jq_file=%%ROOT%%/conf/presets/the-block-seed-receipts-more.jq;
        blockcast_jq_file %%ROOT%%/conf/presets/the-block-seed-receipts.jq;
    }

    blockcast_stream metrics {
        blockcast_interval 1s;
        blockcast_always on;
        blockcast_call peers net.peers timeout=1s;
        blockcast_call stats net.stats timeout=1s;
        blockcast_call header light.latest_header timeout=500ms;
        blockcast_jq_file %%ROOT%%/conf/presets/the-block-seed-network-metrics.jq;
    }
HTTP
    location /ws {
        add_header X-Worker $pid always;
        blockcast_ping_interval 2s;
        blockcast_pong_timeout 4s;
        blockcast_send_timeout 4s;
        blockcast_websocket;
    }
    location /api { blockcast_api; }
    location /metrics { blockcast_metrics; }

    location = /_node {
        internal;
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
        proxy_connect_timeout 1s;
        proxy_read_timeout 1s;
    }
SERVER

# what the master says of the workers that are killed here
$t->allow(qr/worker process \d+ exited on signal 9/,
    qr/shared memory zone "main" was locked by/);

my $model = Blockcast::Model->new(slack => 1.5 * $slow, streams => {
    stats => { stale => $stale, moves => qr/"tps"/ }, receipts => { log => 1 } });

my $swarm = Blockcast::Swarm->new(port => $t->port, size => $size, model => $model,
    snapshots => ['stats'], log => 'receipts');

my $chaos = Blockcast::Chaos->new(test => $t, swarm => $swarm, model => $model, node => \%node,
    seed => $seed, seconds => $seconds);


# Clients of another make tell the same model what they have received.

my $journal = $t->prefix . '/others.log';
my $other_pid = $t->spawn($t->prefix . '/others.err', '/usr/bin/python3',
    "$Blockcast::Test::ROOT/t/lib/chaos_clients.py", $t->port, '/ws', $others, $seed, 'stats',
    'receipts', $journal);
my @others = map { { name => "other $_" } } 0 .. $others - 1;
my ($journal_fh, $rest) = (undef, '');

$model->{others} = \@others;

sub read_others {
    if (!$journal_fh) {
        open my $fh, '<', $journal or return;
        $journal_fh = $fh;
    }

    sysread $journal_fh, $rest, 1 << 20, length $rest;

    while ($rest =~ s/^([^\n]*)\n//) {
        my ($time, $n, $what, $text) = split /\t/, $1, 4;
        my $c = $others[$n];

        if ($what eq 'open') {
            $c->{worker} = $text;
            $model->opened($c, $time);
        } elsif ($what eq 'closed') {
            $model->closed($c, $time);
        } else {
            $model->message($c, $text, $time);
            $c->{messages}++;
        }
    }
}


ok($swarm->run(10 * $slow, until => sub { $swarm->all_open }), "$size clients are there");
$swarm->run($seconds * 2, each => \&read_others, until => sub { !$chaos->due });
my $mended = $chaos->mend;


# All is well again: the newest state reaches everybody within two intervals.
# The node says something that it has never said, and has receipts.

$model->{quiet} = 1;
$t->node(POST => '/control/set', { method => 'net.stats', result => { mark => $seed } });
$t->node(POST => '/control/receipts', { n => 3 });
my $told = time;
my $newest = $t->node(GET => '/control/receipts')->{chains}[-1][-1];

my %behind = map { $_->{name} => $_ } $swarm->clients;

# the time of the message that brought it
sub newest_of {
    my ($c) = @_;

    my $ids = $c->{st}{receipts}{ids} // [];
    for (my $i = $#$ids; $i >= 0 && $ids->[$i][2] > $told; $i--) {
        return ($c->{st}{stats}{text} // '') =~ /"mark":$seed/ if $ids->[$i][0] eq $newest;
    }
    return;
}

subtest 'all is well again: the newest state reaches everybody within two intervals' => sub {
    my $reached = $swarm->run(20 * $slow, each => \&read_others, until => sub {
        delete @behind{ grep { newest_of($behind{$_}) } keys %behind };
        !%behind;
    });
    my $took = time - $told;

    ok($reached, sprintf 'everybody has got the newest state and receipt, after %.2f s', $took)
        or diag(join "\n", scalar(keys %behind) . ' of them have not; the first:',
            (map { "$_->{name}: $_->{st}{stats}{text}, receipts: seq $_->{st}{receipts}{seq}, "
                . "newest $_->{st}{receipts}{ids}[-1][0]" } values %behind)[0],
            "newest of the node: $newest; REST: " . $t->get('/api/receipts?limit=3')->{body},
            $t->get('/api/health')->{body});
    cmp_ok($took, '<', (2 * $interval + 0.5) * slow(), 'that is within two intervals');

    # and is told that it is live
    my $live = $swarm->run(3 * $slow, each => \&read_others, until => sub {
        !grep { ($_->{st}{stats}{state} // '') ne 'live' } $swarm->clients;
    });
    ok($live, 'and is told that it is live') or diag(join ', ',
        map { "$_->{name}: $_->{st}{stats}{state}" }
        grep { ($_->{st}{stats}{state} // '') ne 'live' } $swarm->clients);
};


# Counted truly: our clients alone, once the others have left.

subtest 'counted truly: our clients alone, once the others have left' => sub {
    kill 'KILL', $other_pid;
    waitpid $other_pid, 0;
    read_others();

    my $health;
    my $counted = $swarm->run(10 * $slow, until => sub {
        $health = $t->get_json('/api/health');
        my $n = 0;
        $n += $_->{connections} for @{ $health->{workers} };
        $swarm->all_open && $n == $size && @{ $health->{workers} } == 2;
    });
    ok($counted, "health counts $size connections of two workers") or diag(explain($health));
    my ($metric) = $t->get('/metrics')->{body} =~ /^blockcast_connections(?:\{[^}]*\})? (\d+)/m;
    is($metric, $size, 'and so do the metrics');

    my %subscribers = map { $_->{name} => $_->{subscribers} }
        @{ $t->get_json('/api/streams')->{streams} };
    is_deeply(\%subscribers, { stats => $size, receipts => $size, metrics => 0 },
        'the subscribers are counted truly');
};

$model->ledger('receipts', [$swarm->clients, @others], $chaos->chains);

my $heard = 0;
$heard += $_->{messages} // 0 for @others;
note(sprintf '%d messages to %d connections, %d to clients of another make; closes: %s; cut off: %d',
    $swarm->{messages}, $swarm->{opened}, $heard,
    join(', ', map { "$_: $swarm->{closes}{$_}" } sort keys %{ $swarm->{closes} }), $swarm->{lost});
note(join "\n", 'what was done:', $chaos->history);

cmp_ok($heard, '>', $others * $seconds / 2, 'clients of another make were there, too')
    or diag(Blockcast::Test::slurp($t->prefix . "/others.err"));
cmp_ok($swarm->{messages}, '>', $size * $seconds, 'and messages to judge');

my @wrong = $model->offences;
ok(!@wrong, 'nobody was told anything wrong')
    or diag(join "\n", '', @wrong, '', "BLOCKCAST_SEED=$seed", 'what was done:', $chaos->history);

$swarm->close_all;

my $none = wait_for {
    my $n = 0;
    $n += $_->{connections} for @{ $t->get_json('/api/health')->{workers} };
    $n == 0;
} 10 * $slow;
ok($none, 'all gone: none is counted');

# the log says what was wrong with the node and who was killed, nothing worse
my %odd;
for (split /\n/, $t->error_log) {
    next unless /\[(?:crit|alert|emerg)\]/;
    next if /exited on signal 9|was locked by/;
    $odd{ s/.*?\] \d+#\d+: (?:\*\d+ )?//r =~ s/\d+/N/gr }++;
}
is_deeply(\%odd, {}, 'the log has no other [crit], [alert] or [emerg]');

$t->stop;

done_testing();
