#!/usr/bin/perl

# A node comes back as another one: a shorter chain, an empty one, another one,
# results of another type, or the same entries once more. If this fails, clients
# get receipts twice or never again, and nobody can tell why the figures jumped.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t;

sub conf {
    my ($preset, %arg) = @_;

    $t = Blockcast::Test->new(node => { dialect => $preset =~ /seed/ ? 'seed' : 'real', rate_limit => 1000000,
            energy_limit => 1000000 }, start => 0,
        http => "    blockcast_zone main 32m;\n    include presets/$preset.conf;\n" . ($arg{http} // ''),
        server => 'location /api/ { blockcast_api; } location = /ws { blockcast_websocket; }');

    my $to = $t->prefix . '/presets';
    system("cp -r '$Blockcast::Test::ROOT/conf/presets' '$to'") == 0 or die "cannot copy the presets\n";

    # the same programs, polled faster
    for my $file (glob "$to/*.conf") {
        my $text = Blockcast::Test::slurp($file);
        $text =~ s/blockcast_interval +\d+s;/blockcast_interval 300ms;/g;
        $text =~ s/ timeout=\d+m?s/ timeout=250ms/g;
        $text =~ s/keep=2000/keep=$arg{keep}/g if $arg{keep};
        open my $fh, '>', $file or die "$file: $!\n";
        print $fh $text;
        close $fh;
    }
}

sub control { my ($what, $p) = @_; $t->node(POST => "/control/$what", $p // {}) }
sub row { my ($name) = @_; (grep { $_->{name} eq $name } @{ ($t->get_json('/api/health') // {})->{streams} // [] })[0] // {} }
sub noted { (row($_[0])->{note} // {})->{text} // '' }
sub data { ($t->get_json("/api/streams/$_[0]") // {})->{data} // {} }

# the ids of a log as a client receives them, until code is true

my (@ids, %times);

sub receive {
    my ($ws, $code, $timeout) = @_;
    my $end = time + ($timeout // 10);

    while (time < $end) {
        my $m = $ws->recv_type('receipts', 0.3);
        if ($m) {
            push @ids, map { $_->{id} } @{ $m->{data}{receipts} };
            $times{ $_->{id} }++ for @{ $m->{data}{receipts} };
        }
        return 1 if $code->();
    }

    return 0;
}

sub twice { scalar grep { $_ > 1 } values %times }


# The design document's dialect: another chain.

my ($ws, $before, $lines);

subtest 'the design document\'s dialect: another chain' => sub {
conf('the-block-seed', keep => 100);
$t->start;
    $ws = $t->ws('/ws');
$ws->subscribe('receipts');
my $figures = $t->ws('/ws');
$figures->subscribe('network_metrics');
ok(receive($ws, sub { @ids >= 5 }), 'receipts');
my $height = ($figures->recv_type('network_metrics') // {})->{data}{block_height};
ok($height > 0, 'a chain');
is(row('network_metrics')->{note}, undef, 'of which there is nothing to note');

control('receipts', { n => 400 });
my $more = @ids + 400;
ok(receive($ws, sub { @ids >= $more }, 15), 'a burst, more than are kept and more than a page holds') or diag(scalar @ids);
is(twice(), 0, 'each once');

# the same node, restarted: it shows all that it has once more

control('restart', { down_ms => 700 });
sleep 1;
ok(wait_for { row('receipts')->{state} eq 'live' && !row('receipts')->{error} }, 'the node is restarted');
    $before = @ids;
control('receipts', { n => 3 });
ok(receive($ws, sub { @ids >= $before + 3 }), 'new receipts come');
is(twice(), 0, 'old ones do not come again');

# a shorter chain

control('reset');
ok(wait_for { noted('network_metrics') =~ /\Athe chain is shorter than before: block \d+ after \d+\z/ }, 'a shorter chain is noted')
    or diag(noted('network_metrics'));
ok($t->wait_log(qr/\[warn\].*stream "network_metrics": the chain is shorter than before: block \d+ after \d+$/m), 'in the log, too');
is(row('network_metrics')->{state}, 'live', 'the stream goes on');
ok(wait_for { data('network_metrics')->{block_height} < $height }, 'with the new figures');
control('receipts', { n => 60 });
$before = @ids;
ok(receive($ws, sub { @ids >= $before + 60 }, 15), 'the receipts of the new chain come') or diag(@ids - $before);
is(twice(), 0, 'each once');
ok(wait_for { noted('receipts') =~ /\Anone of the receipts delivered last is among the newest \d+: another chain, or more than these since\z/ },
    'and that there may be some missing is noted') or diag(noted('receipts'));

# an empty one

control('empty', { empty => JSON::PP::true() });
ok($t->wait_log(qr/\[warn\].*call "header" of stream "network_metrics" failed: light\.latest_header: the node closed the connection/),
    'an empty chain: the call that fails is in the log');
ok(wait_for { exists data('network_metrics')->{finality_time} && !defined data('network_metrics')->{finality_time} },
    'its figure is null');
ok(defined data('network_metrics')->{block_height}, 'but for the height, which stays what it was');
ok(defined data('network_metrics')->{peer_count}, 'the others are there');
control('empty', { empty => JSON::PP::false() });
control('receipts', { n => 2 });
$before = @ids;
ok(receive($ws, sub { @ids >= $before + 2 }, 15), 'it has blocks again: receipts go on');
is(twice(), 0, 'each once');

# results of another type

my $size = length $t->error_log;
for my $f (['net.stats' => '"telemetry disabled"'], ['net.peers' => '[]'], ['light.latest_header' => '7'],
    ['receipt.audit' => '"telemetry disabled"'])
{
    control('set', "{\"method\":\"$f->[0]\",\"result\":$f->[1]}");
}
ok(wait_for { noted('network_metrics') =~ /the result of call "\w+" is (?:a string|an array|a number), it was an object/ },
    'results of another type are noted') or diag(noted('network_metrics'));
for my $f (['network_metrics', 'stats', 'a string'], ['network_metrics', 'peers', 'an array'], ['network_metrics', 'header', 'a number'],
    ['receipts', 'recent', 'a string'])
{
    ok($t->wait_log(qr/stream "$f->[0]": the result of call "$f->[1]" is $f->[2], it was an object/), "$f->[1]: $f->[2]");
}
ok(wait_for { row('receipts')->{state} eq 'stale' }, 'a stream without any figure is stale');
is(row('receipts')->{error}, 'no receipts: the reply has no receipts', 'and says why') or diag(explain(row('receipts')));
my $m;
do { $m = $ws->recv_type('status', 3) } until !$m || $m->{state} eq 'stale';
like($m->{note} // '', qr/the result of call "recent" is a string/, 'so does the status message');
    $lines = grep { /it was an object/ } split /\n/, substr $t->error_log, $size;
ok($lines <= 12, 'once for each') or diag($lines);

control('set', { method => $_ }) for 'net.stats', 'net.peers', 'light.latest_header', 'receipt.audit';
ok(wait_for { row('receipts')->{state} eq 'live' && row('network_metrics')->{state} eq 'live' }, 'all is well again');
control('receipts', { n => 2 });
$before = @ids;
ok(receive($ws, sub { @ids >= $before + 2 }, 15), 'receipts go on');
is(twice(), 0, 'each once');
$_->drop for $ws, $figures;
$t->stop;
};


# The real node's dialect: its ledger holds 256 records and has no page.

subtest 'the real node\'s dialect: its ledger holds 256 records and has no page' => sub {
conf('the-block');
@ids = ();
%times = ();
$t->start;
$ws = $t->ws('/ws');
$ws->subscribe('receipts');
ok(receive($ws, sub { @ids >= 5 }), 'receipts of the real node');

control('receipts', { n => 120, market => 'energy' });
my $energy = sub { scalar grep { /^energy-/ } @ids };
$before = $energy->();
ok(receive($ws, sub { $energy->() >= $before + 120 }, 15), 'a burst that needs several pages') or diag($energy->() - $before);
is(twice(), 0, 'each once');

# polled too late: more than the ledger shows

$t->node(POST => '/control/fault', { method => 'settlement.audit', fault => 'http_500' });
sleep 0.5;
control('receipts', { n => 400, market => 'compute' });
sleep 0.3;
$t->node('DELETE', '/control/fault', {});
ok(wait_for { noted('receipts') =~ /\Asettlements \d+ to \d+ are missing: the node shows the newest 256\z/ },
    'more settlements than the node shows: the gap is noted') or diag(noted('receipts'));
ok($t->wait_log(qr/\[warn\].*stream "receipts": settlements \d+ to \d+ are missing/), 'in the log, too');
receive($ws, sub { 0 }, 2);
is(twice(), 0, 'what is left came once');

control('reset');
ok(wait_for { noted('receipts') =~ /the ledger of settlements begins anew, with \d+|the energy receipts begin anew/ }, 'a new ledger is noted')
    or diag(noted('receipts'));
control('receipts', { n => 4, market => 'compute' });
$before = @ids;
ok(receive($ws, sub { @ids >= $before + 4 }, 15), 'and read');
is(twice(), 0, 'each once');
$ws->drop;
$t->stop;
};


# A program of one's own.

subtest 'A program of one\'s own' => sub {
$t = Blockcast::Test->new(node => { rate_limit => 1000000 }, http => <<'EOF', server => 'location /api/ { blockcast_api; }');
    blockcast_stream own {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c net.stats;
        blockcast_jq '1, null, ("tab\there \u20ac " + "x" * 400)';
    }
    blockcast_stream other {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c net.stats;
        blockcast_jq '1, 2, 3, 4';
    }
EOF
ok(wait_for { noted('own') }, 'a third output is a note');
like(noted('own'), qr/\Atab here \xe2\x82\xac x+\z/, 'on one line') or diag(noted('own'));
ok(length noted('own') <= 255, 'of bounded length');
ok(wait_for { noted('other') =~ /\Aan output of the program after its state is no note, and no object with/ },
    'what is neither text nor object is told of') or diag(noted('other'));
sleep 1;
$lines = () = $t->error_log =~ /stream "own": tab here/g;
is($lines, 1, 'the same one is told once');
$t->stop;
};

done_testing();
