#!/usr/bin/perl

# A log that is polled slowly while nobody listens (blockcast_always TIME). If
# this fails, the first visitor of the day finds one block where there were
# many, or a node is asked for more than its operator allowed.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(workers => 2, start => 0, node => { rate_limit => 100000 },
    http => <<'HTTP', server => <<'SERVER');
    blockcast_zone main 4m;

    blockcast_stream slow {
        blockcast_interval 100ms;
        blockcast_always 1s;
        blockcast_log list key=id keep=100;
        blockcast_call c x.slow;
    }
    blockcast_stream both {
        blockcast_interval 100ms;
        blockcast_always 1s;
        blockcast_history n=. 2m/1s idle=12h;
        blockcast_call c x.both;
    }
    blockcast_stream off {
        blockcast_interval 100ms;
        blockcast_always off;
        blockcast_call c x.off;
    }
HTTP
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
SERVER

$t->set(slow => '{"list":[{"id":1}]}');
$t->set(both => '5');
$t->set(off => '5');
$t->start;

subtest 'nobody listens' => sub {
    ok((wait_for { $t->asked('slow') > 2 } 30), 'the node is asked now and then')
        or diag($t->error_log);
    my ($asked, $start) = ($t->asked('slow'), time);
    sleep 3;
    my $more = $t->asked('slow') - $asked;
    ok($more <= time - $start + 2, "no more than once a second: $more in 3 s");
    ok((wait_for { $t->asked('both') > 2 } 30), 'the shorter of two times counts');
    is($t->asked('off'), 0, 'without one it is not asked');
};

subtest 'the first visitor' => sub {
    for my $id (2 .. 4) {
        my $asked = $t->asked('slow');
        $t->set(slow => qq({"list":[{"id":$id}]}));
        ok((wait_for { $t->asked('slow') > $asked + 1 } 30), "entry $id is there to be seen");
    }
    my $data = $t->get_json('/api/streams/slow')->{data};
    is(join(' ', map { $_->{id} } @{ $data->{list} }), '1 2 3 4', 'finds what came while nobody listened');
};

subtest 'while someone listens' => sub {
    my $ws = $t->ws;
    $ws->send_text('{"type":"subscribe","stream":"slow"}');
    my $asked = $t->asked('slow');
    ok((wait_for { $t->asked('slow') > $asked + 15 } 30), 'it goes by its interval');
};

done_testing();
