#!/usr/bin/perl

# Polls whose input is that of the poll before. If this fails, a quiet chain has
# its programs run on the same input again and again; or, worse, a program that
# had something to say did not run, and clients see old data.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::RawNode;
use Blockcast::Test;

# programs that depend on nothing but their input; that run with each poll for
# a word; that get at the time without one

my %steady = (
    plain => '.results.c',
    env => '{n: .results.c.n, e: env}',
    state => '.results.c.n, ([.state, .results.c.n] | max)',
    included => 'include "steady-lib"; .results.c.n | twice',
    commented => '.results.c # not now, and not another time',
);

my %words = (
    now => '{n: .results.c.n, at: (now | floor)}',
    time => '{n: .results.c.n, at: (.time | floor)}',
    quoted => '{n: .results.c.n, at: (.["time"] | floor)}',
    escaped => '{n: .results.c.n, at: (.["t\u0069me"] | floor)}',
    text => '"\(.results.c.n) # \(now | floor)"',
    debug => '.results.c.n | debug',
    lib => 'include "unsteady-lib"; .results.c.n | with_time',
    below => 'include "below-lib"; .results.c.n | below',
);

my %hidden = (
    whole => 'del(.previous)',
    values => '[.[] | numbers | floor]',
    made => '{n: .results.c.n, at: (.["ti" + "me"] | floor)}',
    entries => 'to_entries | map(select(.value | numbers)) | map(.value | floor)',
);

my %logs = (
    turns => '{entries: [{id: .results.c.n}]}, (.state // 0) + 1',
    still => '{entries: [{id: .results.c.n}], lag: 3}, .results.c.n',
);

sub stream {
    my ($name, $program, @more) = @_;

    return join "\n", "    blockcast_stream $name {", '        blockcast_interval 50ms;',
        '        blockcast_always on;', '        blockcast_call c c;', "        blockcast_jq '$program';", @more, "    }\n";
}

# params: programs that need not run beside one that has to, and the other way round

my %params = (
    asks => ['if .results.c.n == 2 then null else [.results.c.n] end', '{n: .results.c.n, f: .results.f, at: (now | floor)}'],
    asks_at => ['[.time]', '{n: .results.c.n, f: .results.f}'],
    asks_values => ['[.[] | numbers]', '{n: .results.c.n, f: .results.f, at: (now | floor)}'],
);

my %all = (%steady, %words, %hidden);

my $raw = Blockcast::RawNode->new;
$raw->set(c => '{"n":1}');
$raw->set(f => '{"n":1}');

my $t = Blockcast::Test->new(start => 0, http => join('', "    blockcast_zone main 64m;\n",
    (map { stream($_, $all{$_}) } sort keys %all),
    (map { stream($_, $logs{$_}, '        blockcast_log entries key=id;') } sort keys %logs),
    (map { stream($_, $params{$_}[1], "        blockcast_call f f 'params_jq=$params{$_}[0]';") } sort keys %params),
    stream('noted', '{n: .results.c.n}, null, {note: "a note"}'),
    stream('failing', 'if .results.c.n == 5 then error("five") else .results.c end'),
    <<'EOC'), server => <<"EOS");
    blockcast_stream faulty {
        blockcast_interval 50ms;
        blockcast_always on;
        blockcast_call f f;
        blockcast_jq '.results.f';
    }
    blockcast_stream kept {
        blockcast_interval 50ms;
        blockcast_always on;
        blockcast_call c c;
        blockcast_jq '{n: .results.c.n}';
        blockcast_history .n;
    }
EOC
    location /api/ { blockcast_api; }
    location = /metrics { blockcast_metrics; }
    location = /ws { blockcast_websocket; }
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:$raw->{port}/; }
EOS

sub lib {
    my ($name, $text) = @_;

    open my $fh, '>', $t->prefix . "/$name.jq" or die "$name: $!\n";
    print $fh $text;
    close $fh or die "$name: $!\n";
}

lib('steady-lib', "# twice the time\ndef twice: . * 2;\n");
lib('unsteady-lib', "def with_time: [., (now | floor)];\n");
lib('below-lib', "include \"unsteady-lib\";\ndef below: with_time;\n");

# runs of a stream's programs, those that were not needed, its polls

sub all {
    my ($stream) = @_;
    my $text = $t->get('/metrics')->{body};

    return map { $text =~ /^blockcast_$_\{stream="$stream"\} (\S+)$/m ? $1 : -1 }
        qw(jq_seconds_count jq_reused_total polls_total);
}

sub runs { return (all(@_))[0] }
sub reused { return (all(@_))[1] }
sub polls { return (all(@_))[2] }

# waits for some polls more

sub more {
    my ($stream, $n) = @_;
    my $polls = polls($stream);

    return wait_for(sub { polls($stream) >= $polls + $n }, 30);
}

# waits until a program does not run any more, and that stays so for some polls

sub settles {
    my ($stream) = @_;

    return wait_for(sub {
        my $runs = runs($stream);
        my $reused = reused($stream);
        more($stream, 8);
        return runs($stream) == $runs && reused($stream) >= $reused + 7;
    }, 40);
}

$t->start;


# Programs that need not run

for my $s (sort keys %steady) {
    ok(settles($s), "$s does not run on the same input") or diag(runs($s), ' runs, ', reused($s), ' not');
}

my $seq = ($t->get_json('/api/streams/plain') // {})->{seq};
my $runs = runs('plain');
ok(more('plain', 40), 'it is polled meanwhile');
cmp_ok(runs('plain') - $runs, '<', 10, 'and not run, or once a minute');
is(($t->get_json('/api/streams/plain') // {})->{seq}, $seq, 'nothing is published');
ok(!$t->row('plain')->{stale}, 'nothing is stale');

# one byte

my $ws = $t->ws;
$ws->send_json({ type => 'subscribe', streams => ['plain'] });
ok(wait_for(sub { my $m = $ws->recv_json(1); $m && ($m->{data} // {})->{n} && $m->{data}{n} == 1 }, 20), 'a client');

$raw->set(c => '{"n":2}');
ok(wait_for(sub { my $m = $ws->recv_json(1); $m && ($m->{data} // {})->{n} && $m->{data}{n} == 2 }, 20),
    'a byte that is another one comes through');
ok(runs('plain') > $runs, 'by a run');
$t->becomes(plain => '{"n":2}', 'the data');
$t->becomes(included => '4', 'with an included function');
$t->becomes(state => '2', 'with a state');
$raw->set(c => '{"n":1}');
$t->becomes(plain => '{"n":1}', 'and back');
$t->becomes(state => '1', 'the state has the older input, too');
ok(settles($_), "$_ rests again") for qw(plain state);
$t->becomes(plain => '{"n":1}', 'with the right data');


# Programs that have to run

ok(wait_for(sub { !grep { polls($_) < 12 } keys %words, keys %hidden, 'turns' }, 30), 'all are polled');

for my $s (sort(keys %words), 'turns') {
    ok(runs($s) >= 12, "$s runs");
    is(reused($s), 0, "$s runs with each poll");
}

for my $s (sort keys %hidden) {
    my $was = $t->data($s);

    is(reused($s), 0, "$s runs with each poll, though no word tells of the time");
    ok(wait_for(sub { $t->data($s) ne $was }, 20), "$s goes with the time");
    unlike($t->data($s), qr/86399|4233601237/, "$s shows the right one");
}

for my $s (qw(now time text made)) {
    my $was = $t->data($s);
    ok(wait_for(sub { $t->data($s) ne $was }, 20), "$s goes with the time");
}


# Programs for params

for my $s (qw(asks asks_at)) {
    ok(wait_for(sub { reused($s) > 0 }, 30), "$s: one of two programs rests");

    my @was = all($s);
    ok(more($s, 20), 'it is polled');
    my @is = all($s);
    my ($runs, $reused, $polls) = map { $is[$_] - $was[$_] } 0 .. 2;

    ok($runs > $polls / 2 && $runs < $polls * 1.5, 'the other one runs with each poll') or diag("$runs of $polls");
    ok($reused > $polls / 2, 'and it does not') or diag("$reused of $polls");
}

is(reused('asks_values'), 0, 'both programs run, though one has no word for the time');
like($t->data('asks'), qr/\A\{"n":1,"f":\{"n":1\},/, 'a call is made');
$raw->set(c => '{"n":2}');
ok(wait_for(sub { $t->data('asks') =~ /\A\{"n":2,"f":null,/ }, 20), 'and is not when its program says so');
$raw->set(c => '{"n":1}');
ok(wait_for(sub { $t->data('asks') =~ /\A\{"n":1,"f":\{"n":1\},/ }, 20), 'and is made again');


# All that follows a run follows what is taken instead of it

ok(settles('still'), 'a log whose state stands still');
is($t->row('still')->{lag}, 3, 'tells how far behind it is') or diag(explain($t->row('still')));
$raw->set(c => '{"n":7}');
ok(wait_for(sub { $t->data('still') =~ /\{"id":1\}/ && $t->data('still') =~ /\{"id":7\}/ }, 20), 'it has what comes')
    or diag($t->data('still'));
ok(settles('still'), 'and rests again');
$raw->set(c => '{"n":1}');

ok(settles('noted'), 'a program with a note');
is($t->row('noted')->{note}{text}, 'a note', 'it is there');
ok(settles('kept'), 'one whose data has a history');


# Failures

$t->becomes(failing => '{"n":1}', 'a program that ends well');
$raw->set(c => '{"n":5}');
$t->fails(failing => qr/\Afive\z/, '{"n":1}', 'and then fails');
$runs = runs('failing');
ok(more('failing', 10), 'polled on');
ok(runs('failing') >= $runs + 9, 'a poll that failed is tried again');
$raw->set(c => '{"n":1}');
ok(wait_for(sub { !length($t->row('failing')->{error} // '') }, 20), 'it ends well again');

ok(settles('faulty'), 'a node that answers');
$raw->set(f => '{"code":1,"message":"no"}', 'error');
$t->fails(faulty => qr/no\z/, '{"n":1}', 'and then does not');
$raw->set(f => '{"n":1}');
ok(wait_for(sub { !length($t->row('faulty')->{error} // '') }, 20), 'and does again: the stream is well');


# Another helper, and other workers

for my $s (qw(plain kept)) {
    ok(settles($s), "$s rests");
}

$runs = runs('plain');
kill 'KILL', grep { Blockcast::Test::_title($_) =~ /^nginx: blockcast jq *$/ } $t->jq_pids;
ok(wait_for(sub { runs('plain') > $runs }, 30), 'with another helper the program runs');
ok(settles('plain'), 'and rests');

$runs = runs('plain');
ok($t->reload, 'reload');
ok(wait_for(sub { runs('plain') > $runs }, 30), 'in another worker the program runs');
ok(settles('plain'), 'and rests');

$t->{http} =~ s/blockcast_jq '\.results\.c';/blockcast_jq '{m: .results.c.n}';/;
$t->write_conf;
ok($t->reload, 'reload with another program');
$t->becomes(plain => '{"m":1}', 'its output');
ok(settles('plain'), 'and rests');

$t->stop;

done_testing();
