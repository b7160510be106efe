#!/usr/bin/perl

# Keys in the state file of gateways with one log. If this fails, a visitor of a
# restarted gateway has no balance, or an older one with a newer number, and a
# log that was lost begins anew with numbers that clients have seen already.

# needs: engine
# lane: waits

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);

use Blockcast::Engine;
use Blockcast::Gateways qw(health role leaders settled lead_of others kill_gateway);
use Blockcast::KeyNode;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::KeyNode->new;
my (%content, %last, @wrong);


sub gateway_of {
    my ($url, $state) = @_;

    my $t = Blockcast::Test->new(workers => 2, start => 0, http => <<"EOS", server => <<"EOS2");
    blockcast_zone main 8m;
    blockcast_cluster $url name=t;
    ${\ ($state ? 'blockcast_state %%PREFIX%%/state/feeds;' : '')}
    blockcast_stream kept {
        blockcast_interval 200ms;
        blockcast_stale 2s;
        blockcast_key account pattern=[a-z0-9]+ max=40 state=on;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream lost {
        blockcast_interval 200ms;
        blockcast_stale 2s;
        blockcast_key account pattern=[a-z0-9]+ max=40;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
EOS
        location /ws { blockcast_websocket; }
        location /api/ { blockcast_api; }
        location = /n { blockcast_node batch=20; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS2

    $t->allow(qr/\[error\]|exited on signal 9/);
    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->start;

    return $t;
}


# What a gateway has of a key; whatever it has is compared with all that was
# seen before.

sub have {
    my ($t, $path) = @_;

    my $r = eval { $t->get("/api/streams/$path") } or return {};
    return { status => $r->{status} } if $r->{status} != 200;

    my $m = JSON::PP::decode_json($r->{body});
    my $what = "$m->{epoch} $path $m->{seq}";

    $content{$what} //= $m->{data};
    push @wrong, "$what is $content{$what} and $m->{data}" if $content{$what} ne $m->{data};

    return { status => 200, %$m };
}


# Waits until all have this data, with one number, which is beyond all that were
# seen of it before it had this data.

sub all_have {
    my ($name, $value, $paths, @t) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %now;

    for my $path (@$paths) {
        my @m;
        ok(scalar(wait_for {
            @m = map { have($_, $path) } @t;
            !grep { ($_->{data} // -1) != $value || $_->{seq} != $m[0]{seq} } @m;
        } 40 * $slow), "$name: $path is $value at each gateway, with one number") or diag explain \@m;

        $now{$path} = $m[0];
        my $seq = $m[0]{seq} // 0;
        my $was = $last{$path} // { seq => 0, data => -1 };

        $was->{data} eq $value ? cmp_ok($seq, '>=', $was->{seq}, "... which has not gone back ($path)")
            : cmp_ok($seq, '>', $was->{seq}, "... which is a new one ($path)");
        $last{$path} = { seq => $seq, data => $value };
    }

    is_deeply(\@wrong, [], '... and no number has two contents');
    @wrong = ();

    return \%now;
}


sub change {
    my ($name, $value, @t) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $node->set(a => $value, b => $value);
    return all_have($name, $value, ['kept/a', 'kept/b', 'lost/a'], @t);
}


my $engine = Blockcast::Engine->new;
my $url = "redis://127.0.0.1:$engine->{port}";
my @t = map { gateway_of($url, 1) } 1 .. 2;

ok(settled(20, @t), 'of two gateways with state files one leads, one follows');
change('at first', 1, @t);
change('then', 2, @t);
my $epoch = health($t[0])->{epoch};

# its epoch is that of the log, and not the one that it began with
my ($joined) = others(lead_of(@t), @t);


# One after the other is restarted, while the engine goes on.

for my $who ('that follows', 'that leads') {
    my ($lead) = lead_of(@t);
    my ($t) = $who eq 'that leads' ? $lead : others($lead, @t);

    for my $how ('stopped', 'killed') {
        if ($how eq 'stopped') {
            $t->signal('QUIT');
            wait_for { !$t->nginx_pids } 20 * $slow;
        } else {
            kill_gateway($t);
        }

        my ($other) = others($t, @t);
        ok(scalar(wait_for { role($other) eq 'leader' } 40 * $slow), "the one $who is $how: the other leads");
        change("the one $who is $how", $last{'kept/a'}{data} + 1, $other);
        $t->start;
        ok(settled(20, @t), '... it is back');
        all_have('... and it is back', $last{'kept/a'}{data}, ['kept/a', 'kept/b', 'lost/a'], @t);
        change('... and goes on', $last{'kept/a'}{data} + 1, @t);
    }
}


# All of them die, and the engine with all it had; the node is away, too. One
# is started with nothing but its file.

my $first = $joined;
my ($second) = others($first, @t);
my $value = $last{'kept/a'}{data};
my %before = %last;

$first->signal('QUIT');
kill_gateway($second);
wait_for { !$first->nginx_pids } 20 * $slow;
$engine->kill;
$node->set(down => 1);
$first->start;

my $m;
ok(scalar(wait_for { ($m = have($first, 'kept/a'))->{status} } 20 * $slow), 'without engine and node a gateway answers');
is($m->{data}, $value, '... with what its file has of a key') or diag $first->error_log;
is($m->{seq}, $before{'kept/a'}{seq}, '... and its number');
is($m->{epoch}, $epoch, '... of the same epoch');
is(have($first, 'kept/b')->{data}, $value, '... of each key');
is(have($first, 'lost/a')->{status}, 503, 'with state=off a key is not in the file');

my $ws = $first->ws;
$ws->send_json({ type => 'subscribe', stream => 'kept', key => 'a', since => $m->{seq}, epoch => "$epoch" });
ok($ws->recv_type('subscribed'), 'a client comes back with the number it has');


# The engine is back, and empty: it has the keys of the file.

$engine->start;
ok(scalar(wait_for { role($first) eq 'leader' } 60 * $slow), 'the engine is back, and empty: the gateway leads');
is(health($first)->{epoch}, $epoch, '... in the same epoch');
$m = have($first, 'kept/a');
is($m->{data}, $value, '... and has the key still');
cmp_ok($m->{seq}, '>=', $before{'kept/a'}{seq}, '... and its number has not gone back');

# a gateway without a file and one that has died with an older one follow

my $third = gateway_of($url, 0);
$second->start;
@t = ($first, $second, $third);
ok(settled(30, @t), 'one with its own file and one without follow');
is_deeply([map { health($_)->{epoch} } @t], [($epoch) x 3], '... in this epoch');
all_have('while the node is away', $value, ['kept/a', 'kept/b'], $first, $second);
is(have($third, 'lost/a')->{status}, 503, 'what no file has nobody has');

$node->set(down => 0);
change('the node is back', $value + 1, @t);
change('... and goes on', $value + 2, @t);
cmp_ok($last{'kept/a'}{seq}, '>', $before{'kept/a'}{seq} + 1_000_000, 'numbers have jumped: the engine might have lost some');
cmp_ok($last{'lost/a'}{seq}, '>', $before{'lost/a'}{seq}, '... also of what no file had');
ok($ws->recv_type('kept'), 'the client that came back early has the change');


# A gateway is away while others go on, and comes back when the engine is away:
# it shows what its file has, and the newest when the engine is back.

$second->signal('QUIT');
wait_for { !$second->nginx_pids } 20 * $slow;
my $old = { %{ $last{'kept/a'} } };
ok(settled(30, $first, $third), 'one of three is stopped');
change('meanwhile', $value + 3, $first, $third);
change('meanwhile', $value + 4, $first, $third);
$engine->kill;
$second->start;
ok(scalar(wait_for { ($m = have($second, 'kept/a'))->{status} == 200 } 20 * $slow), 'it is started while the engine is away');
is($m->{data}, $old->{data}, '... and has what its file has');
is($m->{seq}, $old->{seq}, '... with the number it had');
$node->set(a => $value + 5, b => $value + 5);
$engine->start;
ok(settled(60, @t), 'the engine is back, and empty');
all_have('whoever has filled it', $value + 5, ['kept/a', 'kept/b', 'lost/a'], @t);
change('in the end', $value + 6, @t);

unlike($_->error_log, qr/\[(alert|emerg|crit)\]/, 'no alerts') for @t;
$_->stop for @t;
$node->stop;
done_testing();
