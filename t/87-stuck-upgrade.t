#!/usr/bin/perl

# needs: moments
# lane: waits
#
# One worker of the old nginx is stuck (a dead disk, a debugger, SIGSTOP) while
# the binary is replaced, with a state file. If this fails, nobody asks the node
# any more, for as long as that process is there; or, when it goes on, it
# publishes other content under numbers that its successor has given out. And
# a worker that is merely slow is taken for one that is stuck: then a program
# of some seconds never publishes anything.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Preload;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;


sub nginx {
    my ($node, %arg) = @_;

    my $more = delete $arg{more} // '';
    my $t = Blockcast::Test->new(workers => 2, daemon => 1, start => 0,
        server => crowd_server(), %arg,
        http => crowd_http($node, interval => '400ms', drain => '1s', size => '256k',
            more => "    blockcast_state %%PREFIX%%/state/feeds;\n$more"));

    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->start;
    return $t;
}


sub within {
    my ($seconds, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(scalar(&wait_for($code, $seconds * $slow)), $name);
}


sub said { my ($t) = @_; join "\n", grep { !/\[info\]/ } split /\n/, $t->error_log }


sub upgrade {
    my ($t, $crowd) = @_;

    my $old = $t->master_pid;
    my $workers = 2 * $t->{workers};

    $t->signal(USR2 => $old);
    $crowd->run(20 * $slow, until => sub {
        -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == $workers
    }) or diag(said($t));

    return ($old, $t->pid_file);
}


# A new request, so one of those that take new connections answers.

sub health { $_[0]->get('/api/health') }

sub polls_again {
    my ($t, $node, $crowd, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = () = $node->calls('count');
    my $t0 = time;
    my $ok = $crowd->run(20 * $slow, until => sub { (() = $node->calls('count')) > $before + 1 });

    ok($ok, sprintf '%s: the node is asked again, after %.1f s', $name, time - $t0)
        or diag(said($t));

    return time - $t0;
}


# Stops a worker while it waits for events. In the midst of a publish it would
# have the lock of the file, and the others wait until it goes on (see below): how
# often a signal comes just then depends on how busy the machine is.

sub stop_idle {
    my ($pid) = @_;

    wait_for {
        kill 'STOP', $pid;
        wait_for { Blockcast::Test::slurp("/proc/$pid/stat") =~ /\) T / } 5;

        # epoll_wait or epoll_pwait, which it was in
        return 1 if Blockcast::Test::slurp("/proc/$pid/syscall") =~ /^(?:232|281|22) /;
        kill 'CONT', $pid;
        return 0;
    } 20 or die "process $pid never waits for events\n";
}


# $which: the worker of the old nginx that is stopped, the one that polls or
# the other one.  $when: before the new nginx is there, or when it follows.

sub stuck {
    my ($which, $when) = @_;

    my $name = "the $which is stopped $when";
    my $node = Blockcast::Ledger->new(rate => 40, page => 1600);
    my $t = nginx($node);
    my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
        size => 20);

    $crowd->complete($t, $node, "$name: at first", $slow);

    my $poller = $t->get_json('/api/health')->{poller}{pid};
    my ($pid) = grep { ($which eq 'poller') == ($_ == $poller) } $t->worker_pids;
    my ($old, $new);

    ($old, $new) = upgrade($t, $crowd) if $when ne 'before';
    stop_idle($pid);
    ($old, $new) = upgrade($t, $crowd) if $when eq 'before';

    $t->signal(WINCH => $old);
    $t->signal(QUIT => $old);

    # those of the stopped worker's clients that are not let go come back
    $crowd->run(20 * $slow, until => sub { !grep { $_ != $pid && $_ != $old && $_ != $new
        && getppid_of($_) == $old } $t->nginx_pids }) or diag(said($t));
    reconnect($crowd);

    polls_again($t, $node, $crowd, $name);
    $crowd->complete($t, $node, $name, $slow);
    is(health($t)->{status}, 200, "$name: health is 200");
    is($t->get_json('/api/health')->{poller}{role}, 'leader', "$name: the new nginx leads");
    ok((grep { $_ == $pid } $t->nginx_pids), "$name: the worker is still there");

    my $lines = () = $t->error_log =~ /hangs, this one takes over/g;
    cmp_ok($lines, '<=', 1, "$name: one line says so at most");

    # It goes on, with what it was about to do.

    my $at = length $t->error_log;
    my $before = () = $node->calls('count');
    my $t0 = time;

    kill 'CONT', $pid;
    my $gone = $crowd->run(20 * $slow, until => sub { !grep { $_ == $pid || $_ == $old }
        $t->nginx_pids });
    ok($gone, "$name: it goes on, and then goes, and its master too") or diag(said($t));
    $crowd->run(2);
    $crowd->complete($t, $node, "$name: after it went on", $slow);
    unlike(substr($t->error_log, $at), qr/this nginx owns .* and polls/,
        "$name: the lead stays where it is");
    my $polls = (() = $node->calls('count')) - $before;
    my $due = (time - $t0) / 0.4;
    cmp_ok($polls, '<=', $due + 3, "$name: one poll for each interval ($polls in " . int($due + 0.5) . ")");

    # What is in the file is what the one that leads wrote.

    my $seq = stream($t, 'c')->{seq};
    kill 'KILL', $t->nginx_pids;
    wait_for { !$t->nginx_pids } 10;
    unlink $t->prefix . '/nginx.pid';
    $t->start;
    $crowd->complete($t, $node, "$name: and everything killed, and started again", $slow);
    cmp_ok(stream($t, 'c')->{seq}, '>=', $seq, "$name: the numbers go on");

    $crowd->close_all;
    $t->{master} = $t->pid_file;
    $t->stop;
    $node->stop;
}


sub stream {
    my ($t, $name) = @_;
    my ($s) = grep { $_->{name} eq $name } @{ $t->get_json('/api/streams')->{streams} };
    return $s;
}


sub getppid_of {
    return Blockcast::Test::slurp("/proc/$_[0]/stat") =~ /\) \S (\d+)/ ? $1 : 0;
}


# A client of the worker that is stopped hears nothing: it comes back.

sub reconnect {
    my ($crowd) = @_;

    $_->{got} = {} for $crowd->clients;
    $crowd->run(1.5);
    for my $n (0 .. $#{ $crowd->{clients} }) {
        $crowd->leave($n) unless $crowd->{clients}[$n]{got}{s};
    }
}


stuck('poller', 'before');
stuck('other worker', 'before');
stuck('poller', 'after');


# No upgrade is needed for it: the worker that polls is stopped, and it is the
# only one of its nginx. The other nginx takes the lead; then the first one
# goes on, and follows.

subtest 'no upgrade is needed for it' => sub {
    {
        my $node = Blockcast::Ledger->new(rate => 40, page => 1600);
        my $t = nginx($node, workers => 1);
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l', size => 10);

        $crowd->complete($t, $node, 'one worker each: at first', $slow);
        my ($pid) = $t->worker_pids;
        my ($old, $new) = upgrade($t, $crowd);

        stop_idle($pid);
        reconnect($crowd);
        polls_again($t, $node, $crowd, 'one worker each');
        like($t->error_log, qr/the nginx that polls for .* hangs, this one takes over/,
            'the log tells why');
        kill 'CONT', $pid;
        ok($t->wait_log(qr/another nginx owns .* and polls/, 20 * $slow),
            'the one that was stopped sees that it has lost the lead');
        $crowd->run(1);
        $crowd->complete($t, $node, 'the one that was stopped follows', $slow);

        # and back: what was lost can be had again
        my ($other) = grep { $_ != $pid } $t->worker_pids;
        stop_idle($other);
        reconnect($crowd);
        polls_again($t, $node, $crowd, 'and back');
        kill 'CONT', $other;
        $crowd->run(1);
        $crowd->complete($t, $node, 'and back', $slow);

        # all of them stopped at once is none that is stuck
        my $at = length $t->error_log;
        my @both = ($pid, $other);
        kill 'STOP', @both;
        sleep 4;
        kill 'CONT', $_ for reverse @both;
        $crowd->run(2);
        $crowd->complete($t, $node, 'both were stopped', $slow);
        unlike(substr($t->error_log, $at), qr/hangs, this one takes over/,
            'both were stopped: nobody takes the lead away');

        $crowd->close_all;
        kill 'TERM', $old, $new;
        within(20, 'all is gone at the end', sub { !$t->nginx_pids });
        $t->{master} = $new;
        $t->stop;
        $node->stop;
    }
};


# It is stopped in the midst of a publish: what it has begun is a content of that
# number. Nobody publishes another one, and the log tells who is waited for; then
# it goes on, or it is killed.

subtest 'it is stopped in the midst of a publish' => sub {
    for my $then ('CONT', 'KILL') {
        my $name = "stopped in a publish, then $then";
        my $node = Blockcast::Ledger->new(rate => 40, page => 1600);
        my $hook = Blockcast::Preload->new(moments => 1);
        my $t = nginx($node, workers => 1, %{ $hook->test_options },
            main => "env LD_PRELOAD;\nenv BLOCKCAST_PRELOAD;\n");
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l', size => 10);

        $t->allow(qr/worker process \d+ exited on signal 9|shared memory zone "main" was locked by/);
        $crowd->complete($t, $node, "$name: at first", $slow);
        my ($pid) = $t->worker_pids;
        my ($old, $new) = upgrade($t, $crowd);
        $crowd->complete($t, $node, "$name: both run", $slow);

        $hook->stop_at('publish: recorded', 1, $pid);
        $crowd->run(20 * $slow, until => sub { $hook->killed });
        ok($t->wait_log(qr/state\/feeds" is locked by process $pid, which does not go on; nothing is/,
            20 * $slow), "$name: the other one tells who it waits for");
        unlike($t->error_log, qr/this nginx owns .* and polls/, "$name: and waits");

        kill $then, $pid;
        $crowd->run(2);
        reconnect($crowd);
        polls_again($t, $node, $crowd, $name);
        $crowd->complete($t, $node, $name, $slow);

        $crowd->close_all;
        kill 'TERM', $old, $new;
        within(20, "$name: all is gone at the end", sub { !$t->nginx_pids });
        $t->{master} = $new;
        $t->stop;
        $node->stop;
    }
};


# Two workers leave at the same moment. The last one closes the file, so that the
# numbers go on by one after a good end, and are not far beyond as after a crash.

subtest 'two workers leave at the same moment' => sub {
    my $node = Blockcast::Ledger->new(rate => 40, page => 400);
    my $hook = Blockcast::Preload->new(moments => 1);
    my $t = nginx($node, %{ $hook->test_options }, main => "env LD_PRELOAD;\nenv BLOCKCAST_PRELOAD;\n");
    my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l', size => 2);

    $crowd->complete($t, $node, 'at first', $slow);
    $crowd->close_all;

    my $poller = $t->get_json('/api/health')->{poller}{pid};
    my ($other) = grep { $_ != $poller } $t->worker_pids;

    # the poller is on its way out when the other one begins to leave

    stop_idle($other);
    $hook->stop_at('leave: not the last', 1, $poller);
    $t->signal('QUIT');
    within(20, 'the poller leaves, and is not the last', sub { $hook->killed });
    kill 'CONT', $other;
    ok($t->wait_log(qr/state\/feeds" is complete, this nginx polls no longer/, 20 * $slow),
        'the last one closes the file');

    kill 'CONT', $poller;
    within(20, 'all is gone', sub { !$t->nginx_pids });
    $t->stop;
    $node->stop;
};


# A program that takes three seconds: the others wait for it, those of the same
# nginx and those of another one.

subtest 'a program that takes three seconds' => sub {
    {
        my $node = Blockcast::Ledger->new(rate => 40, page => 1600);
        my $t = nginx($node, more => <<'MORE');
    blockcast_stream slow {
        blockcast_interval 500ms;
        blockcast_always on;
        blockcast_call count count timeout=2s;
        blockcast_jq '.results.count as $n | now as $t | label $out
            | range(1e12) | if now - $t > 3 then $n, break $out else empty end';
    }
MORE
        my $none = Blockcast::Crowd->new(port => $t->port, size => 0);

        my $seq = sub { (stream($t, 'slow') // {})->{seq} // 0 };

        within(40, 'a program of three seconds publishes', sub { $seq->() >= 2 })
            or diag(said($t));

        my ($old, $new) = upgrade($t, $none);
        my $before = $seq->();
        within(60, 'and while another nginx follows', sub { $seq->() >= $before + 2 })
            or diag(said($t));
        unlike($t->error_log, qr/hangs, this one takes over/,
            'nobody takes the lead away from it');
        is(scalar(() = $t->error_log =~ /another worker polls now/g), 0,
            'nor the lease from the worker');

        kill 'TERM', $old, $new;
        within(30, 'all is gone at the end', sub { !$t->nginx_pids });
        $t->{master} = $new;
        $t->stop;
        $node->stop;
    }
};


done_testing();
