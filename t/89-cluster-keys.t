#!/usr/bin/perl

# Streams with a key on several gateways with one log. If this fails, the node is
# asked for an address once for each gateway, a visitor who changes from one to
# another sees an old balance or one number with two contents, or an address is
# not watched any more after some machine's death.

# needs: engine
# lane: waits

use strict;
use warnings;

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::ClusterFaults;
use Blockcast::Engine;
use Blockcast::Gateways qw(health role leaders settled lead_of others kill_gateway engine_error);
use Blockcast::KeyNode;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $interval = 0.4;
my $log = '{blockcast:t}:log';
my (%content, @wrong, $faults);


sub gateway_of {
    my ($node, $url, %arg) = @_;

    my $max = $arg{max} // 60;
    my $more = $arg{more} // '';

    return Blockcast::Test->new(workers => $arg{workers} // 2, http => <<"EOS", server => <<"EOS2");
    blockcast_zone main 8m;
    blockcast_cluster $url name=t;
    $more
    blockcast_stream head { blockcast_interval 200ms; blockcast_call c k.head; }
    blockcast_stream one {
        blockcast_interval ${\ int(1000 * $interval)}ms;
        blockcast_stale 3s;
        blockcast_key account pattern=[0-9a-z]+ max=$max;
        blockcast_call b k.get 'params_jq=[.key]';
        blockcast_jq '.results.b';
    }
    blockcast_stream many {
        blockcast_after head;
        blockcast_key account pattern=[0-9a-z]+ max=$max keys=20;
        blockcast_call b k.many 'params_jq=[.keys]';
        blockcast_jq '[.keys, .results.b] | transpose | map(select(.[1] != null) | {(.[0]): {n: .[1]}}) | add // {}';
    }
EOS
        location /ws { blockcast_websocket; blockcast_max_keys 2000; }
        location /api/ { blockcast_api; }
        location = /metrics { blockcast_metrics; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS2
}


# Clients that want keys, and come back to any gateway with what they have.

sub client {
    my ($at, @keys) = @_;
    return { at => $at, want => [@keys], last => {} };
}


sub join_one {
    my ($c) = @_;

    my @at = @{ $c->{at} };
    my $t = $at[rand @at];

    $c->{status} = {};
    $c->{fresh} = { map { $_ => $c->{behind} } @{ $c->{want} } };
    $c->{ws} = eval { $t->ws } or return;
    $c->{port} = $t->port;
    my $welcome = $c->{ws}->recv_type('welcome', 5 * $slow);

    if (!$welcome) {
        delete $c->{ws};
        return;
    }

    if (($c->{epoch} // 0) ne $welcome->{epoch}) {
        $c->{epochs}++;
        $c->{epoch} = $welcome->{epoch};
        $c->{last} = {};
    }

    for my $k (@{ $c->{want} }) {
        my ($stream, $key) = split m{/}, $k;
        my $last = $c->{last}{$k};
        $c->{ws}->send_json({ type => 'subscribe', stream => $stream, key => $key,
            $last ? (since => $last->{seq}, epoch => "$c->{epoch}") : () });
    }
}


sub leave { delete $_[0]{ws} }


sub message {
    my ($c, $m) = @_;

    my $k = "$m->{stream}/" . ($m->{key} // '') if $m->{stream};

    if ($m->{type} eq 'status' && $k) {
        $c->{status}{$k} = $m;
    } elsif ($m->{type} eq 'error') {
        push @{ $c->{errors} }, $m;
    } elsif ($m->{type} =~ /^(one|many)$/) {
        $k = "$m->{type}/$m->{key}";
        my $what = "$c->{epoch} $k $m->{seq}";

        # a gateway that is cut off from the log shows what it has to who comes
        delete $c->{last}{$k} if delete $c->{fresh}{$k};

        my $last = $c->{last}{$k};
        my $n = $m->{data}{n};

        $content{$what} //= [$n, $c->{port}];
        push @wrong, "$what is $content{$what}[0] at port $content{$what}[1], $n at $c->{port}"
            if $content{$what}[0] ne $n;
        push @wrong, "$what at port $c->{port} after $last->{seq}" if $last && $m->{seq} < $last->{seq};
        push @wrong, "$what is $n after $last->{n}" if $last && $n < $last->{n};

        $c->{again}++ if $last && $m->{seq} != $last->{seq} && $n == $last->{n};
        $c->{last}{$k} = { seq => $m->{seq}, n => $n, at => time };
    }
}


# Runs the clients until something comes true.

sub until_true {
    my ($clients, $seconds, $code) = @_;

    my $end = time + $seconds * max(1, slow()) * $slow;
    my $next = 0;

    while (1) {
        for my $c (@$clients) {
            $faults->due if $faults;

            if (!$c->{ws}) {
                next if time < ($c->{retry} // 0);
                $c->{retry} = time + 0.2;
                join_one($c) or next;
            }

            while (my $m = eval { $c->{ws}->recv_json(0.001) }) {
                message($c, $m);
            }

            delete $c->{ws} if $c->{ws}->eof;
        }

        if (time >= $next) {
            my $value = $code->();
            return $value if $value || time > $end;
            $next = time + 0.05;
        }

        sleep 0.005;
    }
}


my (%value, $node);

sub change {
    my (@keys) = @_;
    $value{$_}++ for @keys;
    $node->set(%value);
}


# All have the newest value, with one number.

sub all_have {
    my ($clients) = @_;

    my %seq;

    for my $c (@$clients) {
        for my $k (@{ $c->{want} }) {
            my ($key) = $k =~ m{/(.*)};
            my $last = $c->{last}{$k} or return 0;
            return 0 if $last->{n} != ($value{$key} // 0);
            $seq{$k}{ $last->{seq} }++;
        }
    }

    return !grep { keys %$_ != 1 } values %seq;
}


sub complete {
    my ($clients, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(until_true($clients, 20, sub { all_have($clients) }), "$name: all have what the node has, with the same seq")
        or diag explain [map { { port => $_->{port}, last => $_->{last}, status => $_->{status} } } @$clients], \%value;
    is_deeply(\@wrong, [], '... no number has two contents, nothing goes back');
    @wrong = ();
}


# Calls for each key, since a time, in units of what one poller makes.

sub rates {
    my ($since, $until) = @_;

    my %n;

    for my $call ($node->asked('k.get')) {
        $n{ $call->[1] }++ if $call->[0] >= $since && $call->[0] < $until;
    }

    return { map { $_ => $n{$_} * $interval / ($until - $since) } keys %n };
}


# Three gateways: each key is asked for once, and all have the same.

{
    $node = Blockcast::KeyNode->new;
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my @t = map { gateway_of($node, $url) } 1 .. 3;

    ok(settled(20, @t), 'of three gateways one leads, two follow') or diag map { $_->error_log } @t;

    my ($lead) = lead_of(@t);
    my ($f1, $f2) = others($lead, @t);

    my @clients = map {
        my $t = $_;
        client([$t], 'one/a', 'one/b', 'many/a', 'many/c', 'one/of' . $t->port)
    } @t;
    push @clients, client([$f1], 'one/d');
    change(qw(a b c d));

    complete(\@clients, 'three gateways');

    # how soon a key is asked for that is wanted at a follower
    my $at = time;
    my $c = client([$f1], 'one/soon');
    ok(until_true([$c], 20, sub { $c->{last}{'one/soon'} }), 'a key of a follower\'s client is polled');
    my ($call) = grep { $_->[1] eq 'soon' } $node->asked('k.get');
    ok($call && $call->[0] - $at < 1 * slow(), sprintf '... for the first time after %.2f s', $call->[0] - $at);
    leave($c);

    # one that the leader has already: its state comes at once
    $at = time;
    $c = client([$f2], 'one/d');
    ok(until_true([$c], 20, sub { $c->{last}{'one/d'} }), 'a key that another gateway has is there');
    is($c->{last}{'one/d'}{seq}, $clients[3]{last}{'one/d'}{seq}, '... with the seq it has there');
    push @clients, $c;

    # the node's calls
    $at = time;
    until_true(\@clients, 60, sub { time > $at + 6 });
    my $rates = rates($at, time);
    is_deeply([grep { $rates->{$_} > 1.5 } sort keys %$rates], [], 'no key is asked for twice in an interval')
        or diag explain $rates;
    ok(!(grep { !$rates->{$_} } qw(a b d)), '... and each is asked for') or diag explain $rates;
    ok(!$rates->{soon} || $rates->{soon} < 0.8, 'one that nobody wants any more is not');

    my $heads = () = $node->asked('k.head');
    my $many = () = $node->asked('k.many');
    $at = time;
    until_true(\@clients, 30, sub { time > $at + 2 });
    is(scalar(() = $node->asked('k.many')), $many, 'a stream that follows another one asks for nothing between two heads');
    cmp_ok(scalar(() = $node->asked('k.head')), '>', $heads, '... which is polled, though nobody listens to it');

    $node->set(%value, head => 2);
    $value{head} = 2;
    ok(until_true(\@clients, 20, sub { (() = $node->asked('k.many')) > $many }), 'with a new head it asks');

    # changes, each of which all have to see
    for my $round (1 .. 8) {
        change(qw(a b d));
        $value{c} += ($round & 1);
        change('head');
        ok(until_true(\@clients, 20, sub { all_have(\@clients) }), "change $round is everywhere");
    }

    complete(\@clients, 'after some changes');
    is(max(map { $_->{again} // 0 } @clients), 0, 'nothing came twice');

    # freshness: a key that does not change stays live
    $at = time;
    until_true(\@clients, 60, sub { time > $at + 5 });
    is_deeply([map { $_->{port} . ' ' . $_->{status}{'one/a'}{state} } grep { ($_->{status}{'one/a'}{state} // 'live') ne 'live' } @clients],
        [], 'keys that do not change stay live at the followers');
    my $r = $f1->get('/api/streams/one/a');
    is($r->{status}, 200, 'REST at a follower');
    like($r->{body}, qr/"n":$value{a}\b/, '... has the data');
    is($f1->get('/api/streams/one/rest')->{status} =~ /^(200|503)$/ ? 1 : 0, 1, 'a key that is asked for over HTTP alone');
    ok(scalar(wait_for { $f1->get('/api/streams/one/rest')->{status} == 200 } 20 * $slow), '... is there soon');

    # an error of one key is that key's own, everywhere
    my @dead = map { client([$_], 'one/xdead') } @t;
    push @clients, @dead;
    for my $d (@dead) {
        $d->{want} = ['one/xdead'];
    }
    ok(until_true(\@clients, 20, sub { !grep { ($_->{status}{'one/xdead'}{error} // '') !~ /no such account/ } @dead }),
        'a key that fails says why at each gateway') or diag explain [map { $_->{status} } @dead];
    @clients = grep { my $x = $_; !grep { $_ == $x } @dead } @clients;
    leave($_) for @dead;

    # a node that is away, and back
    $node->set(%value, down => 1);
    ok(until_true(\@clients, 30, sub { !grep { ($_->{status}{ $_->{want}[0] }{state} // '') ne 'stale' } @clients }),
        'the node is away: keys are stale at each gateway');
    $node->set(%value, down => 0);
    ok(until_true(\@clients, 30, sub { !grep { ($_->{status}{ $_->{want}[0] }{state} // '') ne 'live' } @clients }),
        '... and live again') or diag explain [map { $_->{status} } @clients];
    change(qw(a b c d head));
    complete(\@clients, 'after that');

    # kill -9 of a follower: its wishes end
    my $only = 'of' . $f2->port;
    my @of2 = grep { $_->{at}[0] == $f2 } @clients;
    my @rest = grep { $_->{at}[0] != $f2 } @clients;
    kill_gateway($f2);
    ok(until_true(\@rest, 30, sub {
        my $now = time;
        !grep { $_->[1] eq $only && $_->[0] > $now - 3 * $interval } $node->asked('k.get');
    }), 'a follower is killed: what only its clients wanted is not asked for any more');
    change(qw(a b c d head));
    complete(\@rest, 'after its death');

    # its clients come back elsewhere, with what they have
    $_->{at} = [$lead, $f1] for @of2;
    complete(\@clients, 'its clients come back at other gateways');
    $f2->start;
    ok(settled(20, @t), 'it is started again');
    $_->{at} = [$f2] for @of2;
    leave($_) for @of2;
    complete(\@clients, 'and its clients come back to it');

    # kill -9 of the leader
    my @of1 = grep { $_->{at}[0] == $lead } @clients;
    $_->{at} = [$f1, $f2] for @of1;
    my @before = map { { %{ $_->{last} } } } @clients;
    kill_gateway($lead);
    change(qw(a b c d head));
    ok(until_true(\@clients, 30, sub { leaders($f1, $f2) == 1 }), 'the leader is killed: another one leads');
    complete(\@clients, 'after the leader\'s death');
    cmp_ok($clients[0]{last}{'one/a'}{seq}, '>', $before[0]{'one/a'}{seq}, '... the numbers go on');

    # a key that nobody has wanted for long comes back
    my $old = $clients[3]{last}{'one/d'}{seq};
    for my $c (@clients) {
        next if !grep { $_ eq 'one/d' } @{ $c->{want} };
        $c->{want} = ['one/a'];
        leave($c);
    }

    $lead->start;
    ok(settled(20, @t), 'the dead one is back');
    until_true(\@clients, 20, sub { all_have(\@clients) });
    my @fill = map { client([$_], map { "one/fill$_" } 1 .. 45) } @t;
    ok(until_true([@clients, @fill], 40, sub { !grep { keys %{ $_->{last} } < 45 } @fill }), 'other keys need its place');
    leave($_) for @fill;
    change('d');
    my @d = map { client([$_], 'one/d') } @t;
    push @clients, @d;
    complete(\@clients, 'a key that was dropped comes back');
    cmp_ok($d[0]{last}{'one/d'}{seq}, '>', $old, '... its numbers go on');

    # a worker of the leader
    ($lead) = lead_of(@t);
    my $term = health($lead)->{cluster}{term};
    $lead->allow(qr{exited on signal 9});
    kill 'KILL', $lead->worker_pids;
    change(qw(a b c d head));
    ok(until_true(\@clients, 40, sub { settled(0.1, @t) }), 'the leader\'s workers are killed');
    change(qw(a b c d head));
    complete(\@clients, 'after that');

    # the log has a bound
    my $bytes = sub { $engine->do('MEMORY', 'USAGE', $_[0]) // 0 };
    cmp_ok($bytes->($log), '<', 6_000_000, 'the log is bounded');
    cmp_ok($bytes->('{blockcast:t}:want'), '<', 20_000_000, '... and so are the wishes');

    # the engine: killed, and empty when it is back
    my ($seq) = map { $_->{last}{'one/a'}{seq} } @clients;
    my $epoch = $clients[0]{epoch};
    $engine->kill;
    ok(until_true(\@clients, 30, sub { !leaders(@t) }), 'the engine is killed');
    change(qw(a b));
    $engine->start;
    ok(until_true(\@clients, 60, sub { settled(0.1, @t) }), 'it is back, and empty');
    complete(\@clients, 'after the engine\'s death');
    is($clients[0]{epoch}, $epoch, 'the epoch is the same');
    cmp_ok($clients[0]{last}{'one/a'}{seq}, '>', $seq + 1_000_000, 'numbers have jumped: it might have lost some');
    change(qw(a b c d head));
    complete(\@clients, 'and goes on');

    $_->stop for @t;
    $node->stop;
}


# Too many keys: those of all gateways together are bounded, and who comes too
# late is told so.

{
    $node = Blockcast::KeyNode->new;
    %value = ();
    my $engine = Blockcast::Engine->new;
    my $url = "redis://127.0.0.1:$engine->{port}";
    my @t = map { gateway_of($node, $url, max => 30) } 1 .. 3;

    ok(settled(20, @t), 'three gateways with up to 30 keys');

    my ($lead) = lead_of(@t);
    my ($f1, $f2) = others($lead, @t);

    my @calm = (client([$f1], 'one/calm'), client([$lead], 'one/calm'));
    change('calm');
    complete(\@calm, 'before');

    my $n = 0;
    my $first = client([$f1], map { 'one/x' . $n++ } 1 .. 25);
    ok(until_true([@calm, $first], 30, sub { keys %{ $first->{last} } == 25 }), 'one client has 25 keys');

    my $second = client([$f2], map { 'one/y' . $n++ } 1 .. 25);
    ok(until_true([@calm, $first, $second], 40, sub {
        (grep { ($_->{error} // '') =~ /all gateways together have the 30 keys of max= already/ }
            values %{ $second->{status} }) >= 19;
    }), 'of 25 more at another gateway some have no room, and say so')
        or diag explain $second->{status};
    cmp_ok(scalar(keys %{ $second->{last} }), '<=', 5, '... the others have');

    leave($first);
    ok(until_true([@calm, $second], 40, sub { keys %{ $second->{last} } == 25 }), 'they have, as soon as there is room');
    change('calm');
    complete(\@calm, 'meanwhile');

    # a client that wants another key all the time
    my $evil = eval { $f2->ws };
    my $at = time;
    my $k = 0;
    while (time < $at + 6) {
        $evil->send_json({ type => 'subscribe', stream => 'one', key => 'e' . $k });
        $evil->send_json({ type => 'unsubscribe', stream => 'one', key => 'e' . $k++ });
        while (eval { $evil->recv_json(0.001) }) { }
        until_true(\@calm, 0, sub { 1 });
        change('calm') if $k % 200 == 0;
        sleep 0.002;
    }
    cmp_ok($k, '>', 300, "a hostile client has asked for $k keys");
    complete(\@calm, 'others do not suffer');
    is(scalar(leaders(@t)), 1, 'one leads');
    cmp_ok($engine->do('MEMORY', 'USAGE', '{blockcast:t}:want') // 0, '<', 20_000_000, 'the wishes are bounded');
    ok(scalar(wait_for { my ($one) = grep { $_->{name} eq 'one' } @{ health($lead)->{streams} };
        ($one->{keys}{listened} // 99) <= 30 } 30 * $slow), 'the leader has no more keys than max=');
    $evil->drop;

    unlike($_->error_log, qr/\[(alert|emerg|crit)\]/, 'no alerts') for @t;
    $_->stop for @t;
}


# Whatever can happen to gateways and engine, at random (--long).

if ($ENV{BLOCKCAST_LONG}) {
    my $seconds = $ENV{CHAOS_SECONDS} // 60;
    my $seed = $ENV{BLOCKCAST_SEED} // int rand 1e6;
    srand $seed;

    $node = Blockcast::KeyNode->new;
    %value = ();
    my $engine = Blockcast::Engine->new(appendonly => 'yes', appendfsync => 'always');
    my @way = map { $engine->way } 1 .. 3;
    my @t = map { gateway_of($node, "redis://127.0.0.1:$_->{port}", max => 30) } @way;
    $_->allow(qr/exited on signal 9/) for @t;

    ok(settled(25, @t), "three gateways (BLOCKCAST_SEED=$seed)");

    my @keys = map { "k$_" } 1 .. 12;
    my @clients = map { client(\@t, map { (qw(one many))[rand 2] . "/$_" } grep { rand() < 0.5 } @keys) } 1 .. 12;
    change(@keys, 'head');
    complete(\@clients, 'before');
    $_->{behind} = 1 for @clients;

    my @said;
    my $any = sub { $_[rand @_] };

    $faults = Blockcast::ClusterFaults->new(engine => $engine, ways => \@way, gateways => \@t, log => $log, more => {
        leave => sub { leave($any->(@clients)) for 1 .. 6 },
        other => sub { my $c = client([$any->(@t)], map { 'one/o' . int rand 60 } 1 .. 20); join_one($c) },
    });

    my $end = time + $seconds;

    while (time < $end) {
        my $name = $any->($faults->names);
        push @said, sprintf '%.1f s: %s', $seconds - ($end - time), $name;
        $faults->happen($name);

        my $until = time + 0.3 + rand 2;
        until_true(\@clients, 10, sub { change($any->(@keys), 'head') if rand() < 0.3; time > $until });
    }

    $faults->end;

    ok(until_true(\@clients, 60, sub { settled(0.1, @t) }), 'in the end one leads, and two follow')
        or diag map { (role($_), ' ', engine_error($_), "\n") } @t;
    change(@keys, 'head');
    complete(\@clients, 'after the chaos');
    leave($_) for @clients;
    complete(\@clients, 'and when all come anew');
    is_deeply([map { $_->{epochs} } grep { $_->{epochs} != 1 } @clients], [], 'there was one epoch');

    diag join "\n", @said, map { $_->port . ' ' . join '', grep { /blockcast:/ && !/\[info/ } split /^/, $_->error_log } @t
        unless Test::More->builder->is_passing;

    $_->stop for @t;
}


cmp_ok(scalar(keys %content), '>', 100, 'many numbers were looked at');

done_testing();
