#!/usr/bin/perl

# Reloads, restarts and upgrades in random order, with streams that come, go and
# change. If this fails, a number that clients have seen is given to other data,
# or a stream's numbers go back: a page takes old data for new, or drops what is
# new, and never learns of it.
#
# BLOCKCAST_SEED=N repeats a run, BLOCKCAST_LONG=1 makes more of them.

# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Ledger;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $seed = $ENV{BLOCKCAST_SEED} // (time ^ $$) % 100_000;
srand $seed;
diag("BLOCKCAST_SEED=$seed");

my $node = Blockcast::Ledger->new(rate => 20);

my $server = <<'SERVER';
    location /ws { blockcast_websocket; }
    location /api { blockcast_api; }

    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
SERVER


# A configuration: size and name of the zone, and of each stream its kind, or
# nothing when it is not there.

sub http {
    my ($c) = @_;

    my $state = $c->{state} ? "blockcast_state %%PREFIX%%/state/$c->{state};" : '';
    my $text = <<"HTTP";
    blockcast_zone $c->{name} $c->{zone}m;
    blockcast_drain 200ms;
    $state
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }
HTTP

    for my $s (sort keys %{ $c->{streams} }) {
        my $kind = $c->{streams}{$s} or next;
        my ($what, $size) = split /:/, $kind;
        $text .= "    blockcast_stream $s {\n        blockcast_interval 100ms;\n"
            . "        blockcast_always on;\n        blockcast_max_size $size;\n";
        $text .= $what eq 'snap' ? "        blockcast_call count count;\n    }\n"
            : "        blockcast_call ledger ledger;\n"
            . "        blockcast_jq '{entries: .results.ledger}';\n"
            . "        blockcast_log entries key=id keep=500 size=$size;\n    }\n";
    }

    return $text . "    $c->{bad}\n";
}


# What clients have seen of each (epoch, stream, seq), and the newest.

my (%seen, %newest, @wrong);

sub look {
    my ($t, $c, $step) = @_;

    my @streams = grep { $c->{streams}{$_} } sort keys %{ $c->{streams} };
    my $ws = $t->ws('/ws');
    my $epoch = $ws->recv_type('welcome', 20)->{epoch};
    $ws->send_json({ type => 'subscribe', stream => $_ }) for @streams;

    my (%n, $end);
    $end = time + 20 * $slow;

    while (time < $end && grep { ($n{$_} // 0) < 3 } @streams) {
        my $m = $ws->recv_json(1) or next;
        my $s = $m->{type};
        next unless exists $c->{streams}{$s};

        # the first one of a log is a page of what there was
        my $log = ref $m->{data};
        my $what = $log ? join ' ', map { $_->{id} } @{ $m->{data}{entries} } : $m->{data};
        my $first = !$n{$s}++;
        my $last = $newest{"$epoch $s"} // 0;

        push @wrong, "$step: $s: seq $m->{seq} after $last" if $first ? $m->{seq} < $last : $m->{seq} <= $last;
        $newest{"$epoch $s"} = $m->{seq} if $m->{seq} > $last;
        next if $log && $first;

        my $was = $seen{"$epoch $s $m->{seq}"} //= $what;
        push @wrong, "$step: $s: seq $m->{seq} was ($was), and is ($what)" if $was ne $what;
    }

    push @wrong, "$step: nothing comes of $_" for grep { ($n{$_} // 0) < 3 } @streams;
    $ws->close;
    return $epoch;
}


sub start_over {
    my ($t, $signal) = @_;

    my $pid = $t->{master};
    kill $signal, $pid;
    my $gone = wait_for {
        waitpid $pid, 1;
        my @p = $t->nginx_pids;
        kill 'KILL', @p if $signal eq 'KILL';
        !@p;
    } 20 * $slow;
    push @wrong, "processes are left" unless $gone;
    unlink $t->prefix . '/nginx.pid';
    $t->start;
}


sub apply {
    my ($t, $c) = @_;
    $t->write_conf(http => http($c));
    return $t->reload(gone => 20 * $slow);
}


# An upgrade of the binary, to the end or taken back.

sub upgrade {
    my ($t, $back) = @_;

    my $old = $t->{master};
    my $pid_file = $t->prefix . '/nginx.pid';
    $t->signal(USR2 => $old);
    wait_for { -s "$pid_file.oldbin" && -s $pid_file && $t->worker_pids == 4 } 20 * $slow or return 0;
    my $new = $t->pid_file;
    $t->signal(WINCH => $old);
    wait_for { $t->worker_pids == 2 && $t->nginx_pids == 4 } 20 * $slow or return 0;

    if ($back) {
        $t->signal(HUP => $old);
        wait_for { $t->worker_pids == 4 } 20 * $slow or return 0;
        $t->signal(QUIT => $new);
        return wait_for { $t->nginx_pids == 3 && $t->pid_file == $old } 20 * $slow;
    }

    $t->signal(QUIT => $old);
    $t->{master} = $new;
    return wait_for { $t->nginx_pids == 3 } 20 * $slow;
}


sub run {
    my ($name, $c, @steps) = @_;

    my $t = Blockcast::Test->new(workers => 2, daemon => 1, http => http($c), server => $server, start => 0);
    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->write_conf;
    $t->start;

    @wrong = ();
    my $epoch = look($t, $c, 'start');
    my @done;

    for my $step (@steps) {
        my ($what, $code, $new) = $step->($t, $c);
        push @done, $what;
        push @wrong, "$what: did not happen" unless $code->();
        my $now = look($t, $c, scalar(@done) . ' ' . $what);
        push @wrong, "$what: a new epoch" if $now != $epoch && !$new;
        $epoch = $now;
        last if @wrong;
    }

    is_deeply(\@wrong, [], "$name: one content for each number, and none goes back")
        or diag(join "\n", "the steps (BLOCKCAST_SEED=$seed):", @done, grep { !/\[info\]/ } split /\n/, $t->error_log);
    $t->allow(qr/no_such_directive/);
    $t->stop("$name: stopped");
}


# Steps: each changes the configuration and returns its name and what does it.

my $reload = sub { my ($t, $c, $what) = @_; return ($what, sub { apply($t, $c) }) };

sub stream { my ($s, $kind) = @_; return sub {
    my ($t, $c) = @_;
    $c->{streams}{$s} = $kind;
    $reload->($t, $c, $kind ? "$s is a $kind" : "no $s");
} }

sub zone { my ($size, $name) = @_; return sub {
    my ($t, $c) = @_;
    $c->{zone} = $size;
    $c->{name} = $name if $name;
    $reload->($t, $c, "zone of ${size}m" . ($name ? " $name" : ''));
} }

# a stream is away, and the zone has another size, in one reload
sub both { my ($s, $kind, $size) = @_; return sub {
    my ($t, $c) = @_;
    @$c{qw(zone)} = $size;
    $c->{streams}{$s} = $kind;
    $reload->($t, $c, ($kind ? "$s is a $kind" : "no $s") . " and a zone of ${size}m");
} }

sub state_file { my ($file) = @_; return sub {
    my ($t, $c) = @_;
    $c->{state} = $file;
    $reload->($t, $c, $file ? "state file $file" : 'no state file');
} }

# refused by nginx: what it made of it before is of no effect
sub failed { my ($s, $kind, $size) = @_; return sub {
    my ($t, $c) = @_;
    my %was = (%$c, streams => { %{ $c->{streams} } });
    $c->{zone} = $size if $size;
    $c->{streams}{$s} = $kind;

    # another process has the port: this is found after the zones were made
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!\n";
    $c->{bad} = 'server { listen 127.0.0.1:' . $taken->sockport . '; }';

    return ("a reload that fails, $s " . ($kind || 'gone') . ($size ? " ${size}m" : ''), sub {
        my $before = () = $t->error_log =~ /still could not bind/g;
        $t->allow(qr/bind\(\) to .* failed|still could not bind/);
        $t->write_conf(http => http($c));
        $t->signal('HUP');
        my $ok = wait_for { my $n = () = $t->error_log =~ /still could not bind/g; $n > $before } 20 * $slow;
        close $taken;
        %$c = %was;
        $t->write_conf(http => http($c));
        return $ok;
    });
} }

sub restart { my ($signal) = @_; return sub {
    my ($t, $c) = @_;
    return ("restart by $signal", sub { start_over($t, $signal); 1 }, !$c->{state});
} }

sub upgraded { my ($back) = @_; return sub {
    my ($t, $c) = @_;
    return ($back ? 'an upgrade that is taken back' : 'an upgrade', sub { upgrade($t, $back) }, !$c->{state});
} }

sub conf { return { name => 'main', zone => 4, bad => '', state => '',
    streams => { a => 'snap:16k', b => 'log:64k', c => 'snap:32k' }, @_ } }


# What was found: a stream that is away while the zone gets another size.

run('away while the zone is resized', conf(), both('c', '', 5), stream('c', 'snap:32k'));
run('away before the zone is resized', conf(), stream('b', ''), zone(5), stream('b', 'log:64k'));
run('away over two sizes', conf(), both('a', '', 5), zone(6), both('a', 'snap:16k', 4));
run('another kind and back', conf(), stream('a', 'log:64k'), stream('a', 'snap:16k'), stream('a', 'log:64k'));
run('another kind and back in another zone', conf(), stream('b', 'snap:16k'), both('b', 'log:64k', 5), both('b', 'snap:16k', 6));
run('a zone of another name', conf(), zone(4, 'other'), stream('a', ''), zone(5, 'main'), stream('a', 'snap:16k'));
run('reloads that fail', conf(), failed('a', 'log:64k'), stream('a', 'log:64k'), failed('b', '', 5), failed('c', 'snap:64k', 6), stream('c', 'snap:64k'));
run('with a state file', conf(state => 'feeds'), both('c', '', 5), restart('KILL'), stream('c', 'snap:32k'),
    stream('c', 'log:64k'), restart('QUIT'), stream('c', 'snap:32k'), restart('KILL'));
run('a state file that comes and goes', conf(), state_file('feeds'), stream('a', ''), state_file(''), zone(5), state_file('feeds'),
    restart('KILL'), stream('a', 'snap:16k'), state_file('other'), restart('QUIT'));
run('an upgrade', conf(state => 'feeds'), stream('a', ''), upgraded(0), both('a', 'snap:16k', 5), upgraded(1), stream('b', ''), stream('b', 'log:64k'));


# Any order.

sub pick { return $_[rand @_] }

sub any {
    my $s = pick('a', 'b', 'c');
    my $kind = pick('', '', 'snap:16k', 'snap:32k', 'log:64k', 'log:128k');
    my $size = pick(4, 5, 6);
    return pick(
        stream($s, $kind), stream($s, $kind), both($s, $kind, $size), both($s, $kind, $size), zone($size),
        zone($size, pick('main', 'other')), failed($s, $kind, pick(undef, $size)),
        state_file(pick('', 'feeds', 'other')), restart(pick('KILL', 'QUIT')), upgraded(pick(0, 1)));
}

for my $n (1 .. ($ENV{BLOCKCAST_LONG} ? 40 : 4)) {
    run("random $n", conf(state => pick('', 'feeds')), map { any() } 1 .. ($ENV{BLOCKCAST_LONG} ? 20 : 10));
}

$node->stop;
done_testing();
