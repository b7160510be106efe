#!/usr/bin/perl

# A log that could not deliver something. If this fails, a client believes to
# have all entries when some are missing, or that a stream gets on which does
# not.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Blockcast::Test;

# a log of the numbers up to the first of x.head, of which the second is the oldest that the node has

my $t = Blockcast::Test->new(workers => 2, start => 0, node => { rate_limit => 1000000 }, http => <<'EOS', server => <<'EOS2');
    blockcast_zone main 16m;
    blockcast_state %%PREFIX%%/tmp/feeds;
    blockcast_stream nums {
        blockcast_interval  100ms;
        blockcast_always    on;
        blockcast_stale     400ms;
        blockcast_log       nums key=n keep=50 page=5;
        blockcast_call      head  x.head timeout=10s;
        blockcast_jq        '(.state // 0) as $last | .results.head[0] as $head | .results.head[1] as $from
                             | if $head == "stuck" then {nums: []}, $last, {stale: "the node tells nothing after \($last)"}
                               elif $head == "odd" then {nums: []}, $last, 5
                               elif $head == "bad" then {nums: []}, $last, {gap: {from: 1}}
                               elif $head == "quiet" then {nums: []}, $last, {gap: {from: "0x1", to: "0x2"}}
                               else
                                 ([$last + 1, $from] | max) as $first
                                 | {nums: [range($first; $head + 1) | {n: ., text: "}\\",\\"gap\\":{\\"from\\":"}]}, $head,
                                   (if $first > $last + 1 and $last > 0
                                    then [{note: ["first note", "second note"], gap: {from: ($last + 1), to: ($first - 1), more: [1]}}, "third"]
                                    else null end),
                                   (if $first > $last + 1 and $last > 0 then "fourth note" else empty end)
                               end';
    }
    blockcast_stream snap {
        blockcast_interval  100ms;
        blockcast_always    on;
        blockcast_call      head  x.note timeout=10s;
        blockcast_jq        '1, null, .results.head';
    }
EOS
        location = /ws { blockcast_websocket; }
        location = /sse { blockcast_sse nums; }
        location /api/ { blockcast_api; }
        location = /metrics { blockcast_metrics; }
EOS2

# both in one result, so that they change together

my $from = 1;
sub head { $t->set(head => "[$_[0],$from]") }

head(3);
$t->set(note => 'null');
$t->start;

ok(wait_for(sub { ($t->row('nums')->{seq} // 0) >= 1 }, 20), 'the log begins');
is($t->row('nums')->{gaps}, 0, 'without a gap');

my ($ws, $cbor) = ($t->ws('/ws'), undef);
$ws->subscribe('nums');
my $m = $ws->recv_type('nums', 20);
is_deeply([map { $_->{n} } @{ $m->{data}{nums} }], [1, 2, 3], 'three numbers');
ok(!exists $m->{gap}, 'no gap');
my $before = $m->{seq};

# the node has thrown away what comes next

$from = 10;
head(11);
$m = $ws->recv_type('nums', 20);

my $gap = { from => 4, to => 9 };

is_deeply([map { $_->{n} } @{ $m->{data}{nums} }], [10, 11], 'those that the node still has');
is_deeply($m->{gap}, { since => $m->{seq} - 1, oldest => $m->{seq}, %$gap }, 'a gap, with its bounds');
is_deeply($m->{data}{nums}[0]{gap}, $gap, 'the first entry behind it has it');
ok(!exists $m->{data}{nums}[1]{gap}, 'and no other');
is($m->{data}{nums}[0]{text}, '}","gap":{"from":', 'whatever its texts look like');

my $row = $t->row('nums');
is($row->{gaps}, 1, 'it is counted');
like($row->{note}{text}, qr/^first note; second note; third; fourth note$/, 'all notes are the stream\'s');
like($t->error_log, qr/stream "nums": $_ note/, "the $_ is in the log") for qw(first second fourth);
like($t->get('/metrics')->{body}, qr/^blockcast_stream_gaps_total\{stream="nums"\} 1$/m, 'and the metrics');

head(12);
$m = $ws->recv_type('nums', 20);
ok(!exists $m->{gap}, 'what follows has none');

# who was away learns of it, too: after a reload and a restart as well

for my $how ('at once', 'after a reload', 'after a restart') {
    $t->reload if $how eq 'after a reload';

    if ($how eq 'after a restart') {
        $t->signal('QUIT', $t->pid_file);
        wait_for(sub { waitpid $t->master_pid, POSIX::WNOHANG(); !$t->nginx_pids && !$t->jq_pids }, 20) or die "it does not end\n";
        $t->start;
    }

    my $late = $t->ws('/ws');
    $late->send_text(qq({"type":"subscribe","stream":"nums","since":$before}));
    $m = $late->recv_type('nums', 20);
    is_deeply([map { $_->{n} } @{ $m->{data}{nums} }], [10, 11, 12], "$how: a client that resumes");
    is_deeply([@{ $m->{gap} }{qw(from to)}], [4, 9], "$how: is told of the gap");
    is_deeply($m->{data}{nums}[0]{gap}, $gap, "$how: and where it is");

    my $page = $t->get_json('/api/nums?limit=5');
    is_deeply((grep { $_->{n} == 10 } @{ $page->{nums} // $page->{data}{nums} })[0]{gap}, $gap, "$how: REST has it") or diag explain $page;
}

subtest 'a gap with nothing behind it yet' => sub {
    my $ws = $t->ws('/ws');
    $ws->subscribe('nums');
    $ws->recv_type('nums', 20);
    my $seq = $t->row('nums')->{seq};

    head('"quiet"');
    ok(wait_for(sub { $t->row('nums')->{note}{text} =~ /entries are not delivered, the gap is \{"from":"0x1","to":"0x2"\}/ }, 20), 'is noted at once');
    is($t->row('nums')->{seq}, $seq, 'no message comes of it');
    head(13);
    my $m = $ws->recv_type('nums', 20);
    is_deeply([@{ $m->{gap} }{qw(from to)}], ['0x1', '0x2'], 'and told with the next entry');
};

subtest 'no progress' => sub {
    my $ws = $t->ws('/ws');
    $ws->subscribe('nums');
    head('"stuck"');
    my $m;
    do { $m = $ws->recv_type('status', 20) } until !$m || $m->{state} eq 'stale';
    is($m->{error}, 'the node tells nothing after 13', 'the stream is stale, with the reason');
    my ($row) = $t->row('nums');
    is($row->{state}, 'stale', 'everywhere');
    is($row->{error}, 'the node tells nothing after 13', 'with the reason');
    head(14);
    do { $m = $ws->recv_type('status', 20) } until !$m || $m->{state} eq 'live';
    is($m->{state}, 'live', 'and live again');
    is($t->row('nums')->{error}, undef, 'without it');
};

subtest 'what is no report' => sub {
    head('"odd"');
    ok(wait_for(sub { $t->row('nums')->{note}{text} =~ /after its state is no note, and no object with "note", "gap" or "stale"/ }, 20), 'is noted');
    head('"bad"');
    ok(wait_for(sub { $t->row('nums')->{note}{text} =~ /the program's gap is no object with "from" and "to"/ }, 20), 'a gap without bounds');
    head(15);
    $t->set(note => '"plain"');
    ok(wait_for(sub { ($t->row('snap')->{note}{text} // '') eq 'plain' }, 20), 'a text is a note, as ever');
    $t->set(note => '["one","two"]');
    ok(wait_for(sub { ($t->row('snap')->{note}{text} // '') eq 'one; two' }, 20), 'and each of an array');
    $t->set(note => '{"stale":"it says so"}');
    ok(wait_for(sub { ($t->row('snap')->{error} // '') eq 'it says so' }, 20), 'a snapshot may be stale, too');
};

$t->stop;
done_testing();
