#!/usr/bin/perl

# A chain that is faster than the interval of its streams. If this fails, a log
# falls behind its node for ever and calls itself live, or nobody is told how
# far behind it is.

use strict;
use warnings;

use Cwd qw(realpath);
use File::Basename qw(dirname);
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::ChainNode;
use Blockcast::Test;

my $root = realpath(dirname(__FILE__) . '/..');
my $TX = 250;

my $chain = Blockcast::ChainNode->new(transactions => $TX);
my $raw = Blockcast::RawNode->new;

my $t = Blockcast::Test->new(start => 0, http => <<'EOF', server => <<"EOS");
    blockcast_zone main 128m;
    include presets/ethereum.conf;
    blockcast_stream counted {
        blockcast_node raw;
        blockcast_interval 3s;
        blockcast_always on;
        blockcast_log entries key=id;
        blockcast_call c rows;
        blockcast_jq '((.last.id? // 0) + 1) as $n | {entries: [{id: $n}], lag: (if .results.c > $n then .results.c - $n else 0 end)}';
    }
    blockcast_stream stuck {
        blockcast_node raw;
        blockcast_interval 3s;
        blockcast_always on;
        blockcast_log entries key=id;
        blockcast_call c rows;
        blockcast_jq '{entries: [{id: 1}], lag: 5}';
    }
    blockcast_stream wrong {
        blockcast_node raw;
        blockcast_interval 200ms;
        blockcast_log entries key=id;
        blockcast_call c rows;
        blockcast_jq '{entries: [{id: 1}], lag: "5 blocks"}';
    }
EOF
    location /api/ { blockcast_api; }
    location = /health { blockcast_health; }
    location = /metrics { blockcast_metrics; }
    location = /ws { blockcast_websocket; }
    location = /_node { blockcast_node default max_reply=8m; proxy_pass http://127.0.0.1:$chain->{port}/;
        proxy_http_version 1.1; proxy_set_header Connection ""; }
    location = /_raw { blockcast_node raw; proxy_pass http://127.0.0.1:$raw->{port}/; }
EOS

system('cp', '-r', "$root/conf/presets", $t->prefix . '/presets') == 0 or die "presets: $!\n";

$chain->head(100);
$raw->set(rows => '4');
$t->start;

sub metric {
    my ($m) = @_;
    return $t->get('/metrics')->{body} =~ /^blockcast_\Q$m\E (\S+)$/m ? $1 : -1;
}


# Any log tells its lag.

ok(wait_for(sub { $t->row('counted')->{seq} >= 4 }, 8), 'a log that lags is polled at once, not with its interval')
    or diag(explain($t->row('counted')));
is($t->row('counted')->{lag}, 0, 'in the end it does not lag');
$raw->set(rows => '1000');
ok(wait_for(sub { $t->row('counted')->{lag} > 500 }), 'then it does');
ok(wait_for(sub { $t->row('counted')->{lag} < 300 }), 'by less and less');
is($t->row('stuck')->{lag}, 5, 'one that lags without anything new');
cmp_ok($t->row('stuck')->{polls}, '<', 30, 'is polled as ever');
ok(wait_for(sub { $t->get('/api/streams/wrong'); ($t->row('wrong')->{error} // '')
            eq '"lag" in the data of a log stream has to be a whole number, or null' }), 'a lag that is no number');
my ($row) = grep { $_->{name} eq 'stuck' } @{ $t->get_json('/health')->{streams} };
is($row->{lag}, 5, 'health has it');
is(metric('lag{stream="stuck"}'), 5, 'metrics, too');


# The preset for Ethereum.

my $ws = $t->ws;
my (@hashes, @blocks);

# Looks for what it needs alone: JSON::PP takes seconds for a message of a thousand
# entries, and a client so slow is told of a gap.

sub take {
    my ($timeout) = @_;

    my $text = $ws->recv_message($timeout) // return;
    my ($type) = $text =~ /\A\{"type":"(\w+)"/ or return 1;

    if ($type eq 'transactions') {
        push @hashes, $text =~ /[{,]"hash":"(0x[0-9a-f]+)"/g;
        diag('the client was told of a gap') if $text =~ /"gap":/;

    } elsif ($type eq 'blocks') {
        push @blocks, map { 0 + $_ } $text =~ /[{,]"number":(\d+)/g;
    }

    return 1;
}

sub expected {
    my ($from, $to) = @_;
    return map { my $n = $_; map { Blockcast::ChainNode::hash($n, $_) } 0 .. $TX - 1 } $from .. $to;
}

# the first that is another one; a list of 12,500 is no use to anybody

sub same {
    my ($got, $expected, $name) = @_;

    my ($n) = grep { ($got->[$_] // '') ne ($expected->[$_] // '') } 0 .. ($#$got > $#$expected ? $#$got : $#$expected);
    ok(!defined $n, $name)
        or diag("entry $n: " . ($got->[$n] // 'none') . ', not ' . ($expected->[$n] // 'any more'));
}

$ws->send_json({ type => 'subscribe', streams => ['blocks', 'transactions'] });
my $end = time + 20 * Blockcast::Test::slow();
take(1) while (!@hashes || !@blocks) && time < $end;
is($hashes[-1], Blockcast::ChainNode::hash(100, $TX - 1), 'it begins with the newest block');
(@hashes, @blocks) = ();

my $begun = time;
my $lag = 0;
$chain->head(150);
$end = time + 45 * Blockcast::Test::slow();

while (@hashes < 50 * $TX && time < $end) {
    take(1);
    my $r = $t->row('transactions');
    $lag = $r->{lag} if $lag < $r->{lag};
}

diag(sprintf 'a burst of 50 blocks: %.1f s', time - $begun);
same(\@hashes, [expected(101, 150)], 'a burst of 50 blocks: each transaction once, in order');
cmp_ok($lag, '>=', 10, 'meanwhile it told its lag');
ok(wait_for(sub { $t->row('transactions')->{lag} == 0 }), 'and then that it has none');

$begun = time;
my $most = 0;

for my $n (1 .. 24) {
    sleep 0.25 * Blockcast::Test::slow();
    $chain->head(150 + $n);
    my $r = $t->row('transactions');
    $most = $r->{lag} if $most < $r->{lag};
    1 while IO::Select->new($ws->socket)->can_read(0) && take(1);
}

$end = time + 20 * Blockcast::Test::slow();
take(1) while @hashes < 74 * $TX && time < $end;
same(\@hashes, [expected(101, 174)], 'four blocks a second for 6 s: each transaction once, in order');
diag(sprintf 'all after %.1f s, it lagged by %d blocks at most', time - $begun, $most);
cmp_ok($most, '<=', 12, 'it kept pace');
$end = time + 20 * Blockcast::Test::slow();
take(1) while @blocks < 74 && time < $end;
same(\@blocks, [101 .. 174], 'and each block');
unlike($t->error_log, qr/poll of stream "(?:transactions|blocks)" failed/, 'no poll failed');

$t->stop;
$chain->stop;
$raw->stop;
done_testing();
