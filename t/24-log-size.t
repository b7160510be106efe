#!/usr/bin/perl

# The size of a log. If this fails, an operator who gives a log 16 kB finds ten
# times as much in use, or clients miss entries of a log that is small and hear
# nothing of it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my @logs = (
    # name, what is said, bytes it may use
    [small => 'size=4k', 4096], [kilo => 'size=16k', 16384], [odd => 'size=5000', 5056], [half => 'size=64k', 65536],
    [larger => 'size=256k', 262144], [plain => '', 524288],
);

sub stream {
    my ($name, $said, $more) = @_;
    return <<"EOF";
    blockcast_stream $name {
        blockcast_interval 100ms;
        blockcast_always on;
        @{[ $more // '' ]}
        blockcast_call c x.list;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=id keep=100000 $said;
    }
EOF
}

for my $workers (1, 3) {
    my $t = Blockcast::Test->new(workers => $workers, start => 0, node => { rate_limit => 100000 }, http => "    blockcast_zone main 16m;\n"
        . join('', map { stream(@$_[0, 1]) } @logs) . stream('huge', '', 'blockcast_max_size 400k;'),
        server => <<'EOF');
    location /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
    location /metrics { blockcast_metrics; }
EOF

    # all entries so far, the oldest first, each of about 100 bytes
    my $set = sub {
        my ($n) = @_;
        $t->node(POST => '/control/set', '{"method":"x.list","result":['
            . join(',', map { qq({"id":$_,"text":") . 'x' x 80 . '"}' } 1 .. $n) . ']}');
    };
    # before it is asked for: a node that lacks a method is not asked for a minute
    $set->(3);
    $t->start;

    my %client;
    for (@logs) {
        my $name = $_->[0];
        $client{$name} = $t->ws('/ws');
        $client{$name}->recv_type('welcome', 20);
        $client{$name}->send_json({ type => 'subscribe', stream => $name });
        ok($client{$name}->recv_type($name, 20), "$workers workers, $name: begins");
    }

    # 700 entries at once, 66 kB: more than the small ones hold
    $set->(703);

    for (@logs) {
        my ($name, $said, $bytes) = @$_;
        my ($last, $missing, $gaps) = (3, 0, 0);

        while ($last < 703) {
            my $m = $client{$name}->recv_type($name, 30) or last;
            my $gap = $m->{gap} ? 1 : 0;
            $gaps += $gap;
            for my $e (@{ $m->{data}{rows} }) {
                next if $e->{id} <= $last;
                $missing++ if $e->{id} != $last + 1 && !$gap;
                $last = $e->{id};
                $gap = 0;
            }
        }

        is($last, 703, "$workers workers, $name: the newest entry comes");
        is($missing, 0, 'and none is missing that is not told of');
        is($gaps, 0, 'nor is any missing') if $workers == 1 || $bytes > 100000;

        my ($used) = $t->get('/metrics')->{body} =~ /^blockcast_log_bytes\{stream="$name"\} (\d+)/m;
        cmp_ok($used, '<=', $bytes, "it uses $bytes bytes at most");
        cmp_ok($used, '>', $bytes / 2, 'and not much less') if $bytes < 65536;

        my $r = $t->get_json("/api/$name?limit=10000");
        is($r->{total}, 703, 'all are kept') if $bytes > 262000;
        is($r->{rows}[0]{id}, 703, 'over REST, too');
        $client{$name}->drop;
    }

    # an entry that is too large for the log is named
    $t->node(POST => '/control/set', '{"method":"x.list","result":[{"id":9000,"text":"' . 'y' x 1500 . '"}]}');
    ok(wait_for(sub {
        my %row = map { $_->{name} => $_ } @{ $t->get_json('/api/streams')->{streams} };
        ($row{small}{error} // '') =~ /an entry of 15\d\d bytes is left out, blockcast_max_size is 65536 and size= 4096/
            && !defined $row{kilo}{error};
    }, 30), 'an entry that the small log cannot take is named, the next one takes it');

    my %zone = $t->get('/metrics')->{body} =~ /^blockcast_stream_zone_bytes\{stream="(\w+)"\} (\d+)/mg;
    cmp_ok($zone{kilo} - $zone{small}, '==', 12288, 'in the zone: what was said');
    cmp_ok($zone{huge} - $zone{plain}, '>', 2 * 400 * 1024 - 524288, 'the default is twice blockcast_max_size when that is more');

    $t->stop;
}

done_testing();
