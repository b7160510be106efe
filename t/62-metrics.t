#!/usr/bin/perl

# What an operator sees: metrics, a dashboard of them, alerts, the error log. If
# this fails, Prometheus refuses the page, a panel stays empty, an alert never
# comes, or the log is either silent or full.

# needs: promtool

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use Blockcast::Clock;
use Blockcast::Test;

my $promtool = $ENV{BLOCKCAST_PROMTOOL} // '';
-x $promtool or die "BLOCKCAST_PROMTOOL names no promtool: start this with t/run\n";

my $clock = Blockcast::Clock->new;
my $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0, workers => 2, env => $clock->env,
    http => <<'EOF', server => <<'EOS');
    blockcast_zone main 8m;
    blockcast_stream good {
        blockcast_interval 100ms;
        blockcast_call c x.good;
    }
    blockcast_stream half {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call good x.good;
        blockcast_call bad x.bad;
        blockcast_jq '.results.good';
    }
    blockcast_stream bad {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_node "second";
        blockcast_call c x.bad;
    }
    blockcast_stream log {
        blockcast_interval 100ms;
        blockcast_log entries key=id keep=3 size=64k;
        blockcast_call c x.log;
        blockcast_jq '{entries: .results.c}';
    }
EOF
    location = /metrics { blockcast_metrics; }
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_second { blockcast_node second; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
EOS

my ($types, $page);

# name{labels} => value, of a page that is as strict as it must be

sub metrics {
    my $r = $t->get('/metrics');
    my %m;

    $page = $r->{body};
    $types = {};

    for (split /\n/, $page) {
        $types->{$1} = $2, next if /^# TYPE (\w+) (\w+)$/;
        $m{$1} = $2 if /^(\w+(?:\{[^}]*\})?) (\S+)$/;
    }

    return \%m;
}

sub run_promtool {
    my ($stdin, @arg) = @_;
    my ($in, $out) = map { $t->prefix . "/promtool.$_" } 'in', 'out';

    open my $fh, '>', $in or die "$in: $!";
    print $fh $stdin;
    close $fh;

    my $rc = system("'$promtool' @arg <'$in' >'$out' 2>&1");
    return ($rc, Blockcast::Test::slurp($out));
}

$t->set(good => 1);
$t->set(log => '[{"id":1}]');
$t->fault(bad => 'http_500');
$t->start;
my $began = time;

my ($rc, $out);
my $m = metrics();
($rc, $out) = run_promtool($page, 'check metrics');
is("$rc $out", '0 ', 'before the first poll: promtool has nothing to say');


subtest 'each number is that of what happened' => sub {
    my $ws = $t->ws('/ws');
    my $deflate = $t->ws('/ws', headers => [['Sec-WebSocket-Extensions', 'permessage-deflate']]);
    for ($ws, $deflate) {
        $_->subscribe('good');
        is($_->recv_type('good')->{data}, 1, 'a client');
    }
    $ws->subscribe('log');
    $ws->recv_type('log');
    $t->set(good => 2);
    is($_->recv_type('good')->{data}, 2, 'an update') for $ws, $deflate;
    is($t->get('/ws')->{status}, 426, 'no handshake');

    for my $i (2 .. 9) {
        $t->set(log => '[' . join(',', map { qq({"id":$_}) } 1 .. $i) . ']');
        $ws->recv_type('log');
    }

    my $late = $t->ws('/ws');
    $late->send_json({ type => 'subscribe', stream => 'log', since => 1 });
    is_deeply($late->recv_type('log')->{gap}{since}, 1, 'a client that comes back too late');
    $late->drop;

    ok(wait_for { $m = metrics(); $m->{blockcast_connections} == 2 && $m->{'blockcast_node_state{node="second",state="down"}'} },
        'connections, and a node that is down');
    is($m->{'blockcast_subscribers{stream="good"}'}, 2, 'subscribers');
    is($m->{'blockcast_subscribers{stream="bad"}'}, 0, 'of each stream');
    is($m->{blockcast_accepted_total}, 3, 'accepted');
    ok($m->{blockcast_refused_total} >= 1, 'refused');
    is($m->{blockcast_workers}, 2, 'workers');
    is($m->{blockcast_gaps_total}, 1, 'gaps');
    is($m->{blockcast_poller_active}, 1, 'somebody polls');
    is($m->{blockcast_poller_pid}, $t->get_json('/api/health')->{poller}{pid}, 'who');
    is($m->{blockcast_configurations_total}, 1, 'configurations');
    is($m->{'blockcast_seq{stream="good"}'}, 2, 'seq');
    is($m->{'blockcast_updates_total{stream="good"}'}, 2, 'updates');
    is($m->{'blockcast_data_bytes{stream="good"}'}, 1, 'size of the data');
    is($m->{'blockcast_data_max_bytes{stream="good"}'}, 65536, 'of what it may be');
    is($m->{'blockcast_interval_seconds{stream="good"}'}, '0.100', 'interval');
    ok($m->{'blockcast_age_seconds{stream="good"}'} < 2, 'age');
    ok(!exists $m->{'blockcast_age_seconds{stream="bad"}'}, 'which nothing has that never was');
    is($m->{'blockcast_stream_up{stream="good"}'}, 1, 'fresh');
    is($m->{'blockcast_stream_up{stream="bad"}'}, 0, 'not fresh');
    ok($m->{'blockcast_log_bytes{stream="log"}'} > 100, 'the log\'s bytes');
    ok(!exists $m->{'blockcast_log_bytes{stream="good"}'}, 'which only logs have');
    ok($m->{'blockcast_polls_failed_total{stream="bad"}'} >= 3, 'failed polls');
    is($m->{'blockcast_polls_failed_total{stream="half"}'}, 0, 'a failed call is no failed poll');
    ok($m->{'blockcast_call_errors_total{stream="half",call="bad"}'} >= 3, 'it is a failed call');
    is($m->{'blockcast_call_errors_total{stream="half",call="good"}'}, 0, 'the other one is not');
    ok($m->{'blockcast_node_failures_total{node="second",fault="http"}'} >= 3, 'failures of the node by kind');
    is($m->{'blockcast_node_failures_total{node="second",fault="timeout"}'}, 0, 'and none of the other kinds');
    is($m->{'blockcast_node_outages_total{node="second"}'}, 1, 'an outage');
    is($m->{'blockcast_node_outages_total{node="default"}'}, 0, 'of one of them');
    is($m->{'blockcast_node_state{node="default",state="ok"}'}, 1, 'the other is well');
    ok($m->{'blockcast_node_tries_total{node="second"}'} >= 1, 'tries');
    ok($m->{'blockcast_node_retry_seconds{node="second"}'} <= 0.1, 'time of the next');
    ok($m->{blockcast_zone_free_bytes} < $m->{blockcast_zone_size_bytes} && $m->{blockcast_zone_size_bytes} == 8 << 20, 'zone');
    ok($m->{'blockcast_frames_out_total{encoding="text"}'} >= 10, 'frames out')
        or diag(join "\n", map { "$_ $m->{$_}" } grep { /frames_out/ } sort keys %$m);

    for my $h ('fanout_seconds', 'publish_seconds', 'call_seconds', 'poll_seconds{stream="half"}') {
        my ($name, $label) = $h =~ /^(\w+)(?:\{(.*)\})?$/;
        my @of = map { $label ? "$label,$_" : $_ } 'le="0.100000"', 'le="+Inf"';
        my ($some, $all) = map { $m->{"blockcast_${name}_bucket{$_}"} } @of;
        my $count = $m->{"blockcast_${name}_count" . ($label ? "{$label}" : '')};
        my $sum = $m->{"blockcast_${name}_sum" . ($label ? "{$label}" : '')};
        ok($all && $some <= $all && $count == $all, "$h: a histogram") or diag(explain([$some, $all, $count]));
        ok($sum > 0 && $sum < 30, 'in seconds') or diag($sum);
    }

    is($m->{'blockcast_poll_seconds_count{stream="half"}'}, $m->{'blockcast_polls_total{stream="half"}'},
        'a time for each poll');

    ($rc, $out) = run_promtool($page, 'check metrics');
    is("$rc $out", '0 ', 'promtool has nothing to say');

    my $r = $t->get('/metrics');
    is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4', 'the format is named');
    is($t->request(HEAD => '/metrics', method => 'HEAD')->{status}, 200, 'HEAD');

    # a reload

    ok($t->reload, 'reload');
    my $after;
    wait_for { $after = metrics(); $after->{blockcast_configurations_total} == 2 && $after->{blockcast_poller_active} };
    is($after->{blockcast_configurations_total}, 2, 'is counted');
    is_deeply([grep { /_(?:total|count|bucket)(?:\{|$)/ && ($after->{$_} // -1) < $m->{$_} } keys %$m], [],
        'and no counter goes back');
    $_->drop for $ws, $deflate;
};


# What is documented, shown and watched is there, and what is there is
# documented.

subtest 'what is documented' => sub {

    # those of a cluster, whose engine is not there

    my $cluster = Blockcast::Test->new(http => 'blockcast_cluster redis://127.0.0.1:1;',
        server => 'location = /metrics { blockcast_metrics; }');
    my $page = $cluster->get('/metrics')->{body};
    $types->{$1} = $2 while $page =~ /^# TYPE (blockcast_cluster_\w+) (\w+)$/mg;
    $cluster->stop;

    my %known = map { $_ => 1 } keys %$types;
    my %suffix = map { my $n = $_; map { ("$n$_" => 1) } $types->{$_} eq 'histogram' ? qw(_bucket _sum _count) : '' } keys %$types;
    my $readme = Blockcast::Test::slurp("$Blockcast::Test::ROOT/README.md");
    my ($table) = $readme =~ /^### Metrics\n(.*?)^##/ms;
    my %documented = map { ("blockcast_$_" => 1) } map { /`(\w+)`/g } map { (split /\|/)[1] } grep { /^\| `/ } split /\n/, $table;
    is_deeply([sort keys %documented], [sort keys %known], 'the README lists every metric');

    my $grafana = $Blockcast::Test::JSON->decode(Blockcast::Test::slurp("$Blockcast::Test::ROOT/conf/grafana/blockcast.json"));
    my @panels = grep { $_->{type} ne 'row' } @{ $grafana->{panels} };
    ok(@panels > 10, 'a dashboard');
    is(scalar(keys %{{ map { $_->{id} => 1 } @{ $grafana->{panels} } }}), scalar @{ $grafana->{panels} }, 'panels have ids of their own');

    my ($rules, $i) = ("groups:\n- name: panels\n  rules:\n", 0);
    my %shown;

    for my $p (@panels) {
        for (@{ $p->{targets} }) {
            my $expr = $_->{expr};
            my @unknown = grep { !$suffix{$_} } $expr =~ /\b(blockcast_\w+)/g;
            is_deeply(\@unknown, [], "panel \"$p->{title}\" shows metrics that there are");
            $shown{$_ =~ s/_(?:bucket|sum|count)$//r} = 1 for $expr =~ /\b(blockcast_\w+)/g;
            $expr =~ s/\$__rate_interval/1m/g;
            $expr =~ s/\$instance/.*/g;
            $expr =~ s/'/''/g;
            $rules .= "  - record: p" . ++$i . "\n    expr: '$expr'\n";
        }
    }

    open my $fh, '>', $t->prefix . '/panels.yml' or die $!;
    print $fh $rules;
    close $fh;
    ($rc, $out) = run_promtool('', 'check rules ' . $t->prefix . '/panels.yml');
    is($rc, 0, 'every expression of the dashboard is PromQL') or diag($out);
    is_deeply([grep { !$shown{$_} } map { "blockcast_$_" } qw(connections subscribers bytes_out_total conflated_total
        slow_closed_total closes_total polls_failed_total poll_seconds publish_seconds node_failures_total call_errors_total
        updates_total age_seconds zone_free_bytes poller_active configurations_total)], [], 'it has what matters');

    my $file = "$Blockcast::Test::ROOT/conf/prometheus/blockcast.rules.yml";
    my $alerts = Blockcast::Test::slurp($file);
    is_deeply([grep { !$suffix{$_} } $alerts =~ /expr:.*?\b(blockcast_\w+)/g], [], 'the alerts watch metrics that there are');
    ($rc, $out) = run_promtool('', "check rules $file");
    is($rc, 0, 'promtool takes the alerts') or diag($out);

    my $tests = Blockcast::Test::slurp("$Blockcast::Test::ROOT/t/lib/blockcast.rules.test.yml");
    $tests =~ s/RULES/$file/;
    open $fh, '>', $t->prefix . '/rules.test.yml' or die $!;
    print $fh $tests;
    close $fh;
    ($rc, $out) = run_promtool('', 'test rules ' . $t->prefix . '/rules.test.yml');
    is($rc, 0, 'they come when they should, and only then') or diag($out);
};


# The log. If this fails, nobody can follow what happens, or the disk is full
# of one line.

subtest 'the log' => sub {
    my $debug = Blockcast::Test->new(node => { rate_limit => 1000000 }, start => 0, error_level => 'debug',
        http => <<'EOF', server => 'location = /ws { blockcast_websocket; }');
    blockcast_stream good {
        blockcast_interval 200ms;
        blockcast_call c net.stats;
    }
    blockcast_stream bad {
        blockcast_interval 200ms;
        blockcast_call c x.bad;
    }
EOF
    $debug->fault(bad => 'http_500');
    $debug->start;
    my $d = $debug->ws('/ws');
    $d->subscribe('good');
    $d->recv_type('good') for 1 .. 3;
    $d->drop;
    $d = $debug->ws('/ws');
    $d->subscribe('bad');
    $debug->wait_log(qr/try 2/);
    $d->drop;

    my $steps = $debug->error_log;

    for ([poll => qr/\[debug\].*blockcast: poll of stream "good", 1 calls/],
        [call => qr/\[debug\].*blockcast: call \d+ "net\.stats"/],
        [answer => qr/\[debug\].*blockcast: call \d+ "net\.stats" done after \d+ ms: a result/],
        [failure => qr/\[debug\].*blockcast: call \d+ "x\.bad" done after \d+ ms: HTTP 500/],
        [publish => qr/\[debug\].*blockcast: stream "good" is at seq 2, polled in \d+ ms, published in \d+ us/],
        [copy => qr/\[debug\].*blockcast: seq 2 of stream "good" is copied, \d+ bytes/],
        ['fan-out' => qr/\[debug\].*blockcast: seq 2 of stream "good" went to 1 clients within \d+ us/],
        [handshake => qr/\[debug\].*blockcast: handshake done, protocol 0, deflate 0, streams allowed 0x3/],
        ['try' => qr/\[debug\].*blockcast: node "default" is tried with "x\.bad", try \d+/])
    {
        ok(scalar($steps =~ $_->[1]), "debug: $_->[0]");
    }

    $debug->stop;

    # a minute and a bit of a call that fails with every poll

    ok(wait_for(sub { time - $began > 3 && $t->row('half')->{polls} > 30 }, 60), 'many failures');
    $clock->set(61);
    ok($t->wait_log(qr/node "second" is down since/, 20), 'after a minute the log says again that a node is down');
    ok($t->wait_log(qr/call "bad" of stream "half" failed.*times since it was last logged/, 20), 'and that a call fails');

    # the result first: between the two the node would not know the method
    $t->set(bad => 1);
    $t->heal;
    ok($t->wait_log(qr/node "second" answers again, after [1-9]\d*\.\d+ s and \d+ tries/), 'a recovery is told, with how long it took');
    ok($t->wait_log(qr/stream "bad" is polled well again, after [1-9]\d*\.\d+ s/), 'that of a stream, too');
    ok($t->wait_log(qr/call "bad" of stream "half" is answered again, after [1-9]\d*\.\d+ s/), 'and that of a call');

    my $log = $t->error_log;
    my @down = $log =~ /^.*node "second" is down.*$/mg;
    ok(@down >= 2 && @down <= 4, 'a node that is down is told of once a minute') or diag(join "\n", @down);
    like($down[-1], qr/node "second" is down since \d+ s, \d+ tries: HTTP 500/, 'with since when, how many tries, and why');
    my @call = $log =~ /^.*call "bad" of stream "half" failed.*$/mg;
    ok(@call >= 2 && @call <= 4, 'so is a call') or diag(join "\n", @call);
    like($call[-1], qr/failed: x\.bad: HTTP 500 \(and \d{2,} times since it was last logged\)/, 'with how many failures there were');
    my $all = grep { /\[(?:warn|error)\]/ } split /\n/, $log;
    ok($all <= 30, 'more is not said in a minute') or diag($all);
};

$t->stop;

# As many streams as there can be, with the longest names and many calls. If
# this fails, the page of a large configuration ends in the middle, or is none.

subtest 'a page of 64 streams' => sub {
    my $long = 'x' x 60;
    my @calls = map { sprintf 'c%02d%s', $_, $long } 1 .. 16;
    my @names = map { sprintf 's%02d%s', $_, $long } 1 .. 64;
    my $big = Blockcast::Test->new(node => 1, http => join("\n", 'blockcast_zone main 16m;', map {
        "blockcast_stream $_ { blockcast_max_size 1k; blockcast_jq .results; @{[map { qq(blockcast_call $_ m;) } @calls]} }"
    } @names), server => <<'EOS');
    location = /metrics { blockcast_metrics; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
EOS
    my $r = $big->get('/metrics');

    is($r->{status}, 200, 'a page of 64 streams');
    ok(length($r->{body}) > 300_000, 'is long') or diag(length $r->{body});
    is(scalar(() = $r->{body} =~ /^blockcast_call_errors_total\{stream="s\d\dx{60}",call="c\d\dx{60}"\} 0$/mg), 64 * 16,
        'has every line of it, whole');
    is(scalar(grep { !/^(?:# (?:HELP|TYPE) blockcast_\w+ .+|blockcast_\w+(?:\{[^{}]+\})? [\d.]+)$/ } split /\n/, $r->{body}),
        0, 'and no other');
    $big->stop;
};

done_testing();
