#!/usr/bin/perl

# The state file. If this fails, a restarted, killed or upgraded nginx forgets
# what its clients know: they get entries twice or never, numbers go back, or
# both binaries ask the node during an upgrade; or a bad disk, a damaged file or
# a missing right takes the live streams down with it.

# lane: waits

use strict;
use warnings;

use Compress::Zlib qw(crc32);
use Fcntl qw(:mode);
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;


sub http {
    my ($port, %arg) = @_;

    my $state = $arg{state} // 'blockcast_state %%PREFIX%%/state/feeds;';
    my $more = $arg{more} // '';

    return <<"HTTP";
    blockcast_zone main 4m;
    blockcast_drain 1s;
    $state
    upstream node { server 127.0.0.1:$port; keepalive 8; }

    blockcast_stream c {
        blockcast_interval 400ms;
        blockcast_call count count timeout=10s;
    }

    blockcast_stream l {
        blockcast_interval 400ms;
        blockcast_call ledger ledger timeout=10s;
        blockcast_jq '{entries: .results.ledger}, {n: ((.state.n // 0) + 1)}';
        blockcast_log entries key=id keep=2000 size=256k;
    }
    $more
HTTP
}


sub server { return <<'SERVER' }
    location /ws { blockcast_websocket; }
    location /api { blockcast_api; }
    location = /metrics { blockcast_metrics; }

    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
SERVER


# An nginx with a folder for the state that its workers may write to.

sub nginx {
    my (%arg) = @_;

    my $start = delete $arg{start} // 1;
    my $t = Blockcast::Test->new(workers => 2, server => server(), %arg,
        start => 0);

    mkdir $t->prefix . '/state';
    chmod 0777, $t->prefix . '/state';
    $t->start if $start;
    return $t;
}


sub file { $_[0]->prefix . '/state/feeds' }
sub files { my $p = $_[0]->prefix; map { s{.*/}{}r } sort glob "$p/state/*" }
sub lacks { substr Blockcast::Test::slurp("$_[0].lock"), 0, 2 }     # behind it: who leads
# What is complained of. That a write took long is a matter of the disk's other
# users.

sub errors {
    join "\n", grep { !/\[(?:info|notice)\]|writing the state file ".*" took \d+ ms|reuseport" spreads them/ }
        split /\n/, $_[0]->error_log;
}


sub within {
    my ($seconds, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(scalar(&wait_for($code, $seconds * $slow)), $name);
}


sub spew {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub quit {
    my ($t) = @_;
    $t->signal('QUIT', $t->pid_file);
    my $ok = wait_for { waitpid $t->{master}, 1; !$t->nginx_pids } 10 * $slow;
    return $ok;
}


sub kill_all {
    my ($t) = @_;
    kill 'KILL', $t->{master};
    wait_for { waitpid $t->{master}, 1; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 20;
    unlink $t->prefix . '/nginx.pid';
}


# What a client that comes now is told: epoch, and by stream seq and data.

sub look {
    my ($t, %since) = @_;

    my $ws = $t->ws('/ws');
    my $welcome = $ws->recv_type('welcome');
    my %got = (epoch => $welcome->{epoch});

    for my $s (qw(c l)) {
        $ws->send_json({ type => 'subscribe', stream => $s,
            defined $since{$s} ? (since => $since{$s}) : () });
        my $m = $ws->recv_type($s, 20 * slow());
        @got{"$s.seq", $s} = ($m->{seq}, $m->{data});
        $got{"$s.gap"} = 1 if $m->{gap};
    }

    $ws->close;
    return \%got;
}


# The number of an inode may be that of a file that is gone.

sub header { return substr Blockcast::Test::slurp($_[0]), 0, 64 }


# The file: [header, records behind it].

sub records {
    my ($text) = @_;
    my @r;
    my $at = 64;

    while ($at < length $text) {
        my ($size, $crc, $type, $log, $name, $n, $nth, $data, $state, $entries,
            $seq) = unpack 'VVCCvVVVVVQ<', substr $text, $at, 40;
        push @r, { type => $type, seq => $seq, at => $at, n => $n,
            name => substr($text, $at + 56, $name),
            data => substr($text, $at + 56 + $name, $data) };
        last unless $size;
        $at += $size;
    }

    return @r;
}


sub with_crc {
    my ($header) = @_;
    substr($header, 12, 4) = pack 'V', crc32(substr $header, 16, 48);
    return $header;
}


sub record {
    my (%r) = @_;
    my $entries = join '', map { pack('VV', length $_->[0], length $_->[1])
        . "$_->[0]$_->[1]" } @{ $r{entries} // [] };
    my $rest = pack('CCvVVVVV', $r{type}, $r{log}, length $r{name},
        scalar @{ $r{entries} // [] }, 0, length($r{data} // ''), 0,
        length $entries) . pack('Q<Q<Q<', $r{seq}, time, 1000 * time)
        . $r{name} . ($r{data} // '') . $entries;
    return pack('VV', 8 + length $rest, crc32 $rest) . $rest;
}


# -- A restart by QUIT: everything goes on.

my $node;

subtest 'a restart by QUIT' => sub {
    $node = Blockcast::Ledger->new(rate => 20);

    {
        my $t = nginx(http => http($node->{port}));
        my $a = look($t);

        within(10, 'streams move', sub { my $b = look($t);
            $b->{'c.seq'} > $a->{'c.seq'} && $b->{'l.seq'} > $a->{'l.seq'} });

        my $file = file($t);
        is((stat $file)[2] & 07777, 0600, 'only the owner reads the file');
        is_deeply([files($t)], ['feeds', 'feeds.lock'], 'and nothing else is there');

        $a = look($t);
        ok(quit($t), 'QUIT');

        my @r = records(Blockcast::Test::slurp($file));
        is($r[-1]{type}, 8, 'the file was closed');

        $t->start;
        my $b = look($t);

        is($b->{epoch}, $a->{epoch}, 'the epoch after the restart is the same');
        cmp_ok($b->{'c.seq'}, '>=', $a->{'c.seq'}, 'the seq of a snapshot goes on');
        cmp_ok($b->{'c.seq'}, '<=', $a->{'c.seq'} + 8 * slow(), '... by one with each poll');
        cmp_ok($b->{c}, '>=', $a->{c}, 'no older data is shown');

        my $since = $a->{'l.seq'};
        my $c = look($t, l => $since);
        my $last = $a->{l}{entries}[-1]{id};
        my @ids = map { $_->{id} } @{ $c->{l}{entries} };

        ok(!$c->{'l.gap'}, 'no gap');
        ok(@ids && !(grep { $ids[$_] != $last + 1 + $_ } 0 .. $#ids),
            "exactly the entries after $last come: @ids");

        my $health = $t->get_json('/api/health');
        is($health->{poller}{role}, 'leader', 'it is the leader');
        like($t->get('/metrics')->{body}, qr/^blockcast_leader 1$/m, 'metrics say so');

        is(errors($t), '', 'nothing is complained of');

        # -- Reloads keep it, too; a stream that went away is not forgotten.

        my $e = $b->{epoch};
        ok($t->reload(gone => 8 * $slow), 'a reload');
        $b = look($t);
        is($b->{epoch}, $e, 'the same epoch');

        ok(quit($t), 'QUIT');
        my $before = Blockcast::Test::slurp($file);
        my ($c_seq) = map { $_->{seq} } grep { $_->{name} eq 'c'
            && $_->{type} == 1 } reverse records($before);

        my $http = $t->{http};
        (my $less = $http) =~ s/blockcast_stream c \{.*?\n    \}/blockcast_stream d { blockcast_call count count; }/s;
        $t->write_conf(http => $less);
        $t->start;
        ok($t->wait_log(qr/\[notice\].*stream "c" of the state file ".*feeds" is not configured/),
            'a stream that is not configured any more is named');
        my $ws = $t->ws('/ws');
        is($ws->recv_type('welcome')->{epoch}, $e, 'the others go on');
        $ws->close;
        ok(quit($t), 'QUIT');

        # as a log now, and with less room than its data had
        $http =~ s/blockcast_call count count timeout=10s;/blockcast_call ledger ledger; blockcast_jq '{entries: .results.ledger}'; blockcast_log entries key=id keep=50 size=16k;/;
        $http =~ s/keep=2000 size=256k/keep=20 size=16k/;
        $t->write_conf(http => $http);
        $t->start;
        $b = look($t);
        cmp_ok($b->{'c.seq'}, '>', $c_seq, 'its numbers go on when it comes back as a log');
        is(ref $b->{c}, 'HASH', '... and it is a log');
        is($b->{epoch}, $e, 'still the same epoch');
        $t->stop;
    }
};


# -- kill -9 of everything, again and again, with clients that come back.

sub look_file {
    my ($file) = @_;
    my $text = Blockcast::Test::slurp($file);
    my %seq = (epoch => unpack 'Q<', substr $text, 16, 8);
    $_->{type} <= 3 and $seq{$_->{name}} = $_->{seq} for records($text);
    return \%seq;
}


subtest 'kill -9 of everything, again and again, with clients that come back' => sub {
    {
        my $ledger = Blockcast::Ledger->new(rate => 60);
        my $t = nginx(http => http($ledger->{port}));
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c',
            log => 'l', size => 30);

        $crowd->run(2);

        for my $n (1 .. 5) {
            $crowd->run(0.3 + rand 1.2);
            kill_all($t);
            $t->start;
            $crowd->run(1);
        }

        my $last = $ledger->last_id;
        ok($crowd->run(15 * $slow, until => sub {
            !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients;
        }), 'five times killed: everybody has got the newest entries')
            or diag(errors($t));
        is_deeply([$crowd->wrong], [], 'the epoch stays, seq grows, nothing is lost or doubled')
            or diag($crowd->{example} // '');
        $crowd->close_all;
        is_deeply([files($t)], ['feeds', 'feeds.lock'], 'no temporary file is left');
        is(errors($t), '', 'nothing is complained of');

        # What is in the journal and was not shown yet is shown: a poller that was
        # killed in the middle. Half a record behind it changes nothing.

        kill_all($t);
        my $file = file($t);
        my $text = Blockcast::Test::slurp($file);
        my ($c) = grep { $_->{name} eq 'c' && $_->{type} == 1 } reverse records($text);
        my ($l) = grep { $_->{name} eq 'l' && $_->{seq} && $_->{type} <= 2 } reverse records($text);
        my $next = record(type => 1, log => 0, name => 'c', seq => $c->{seq} + 1, data => '123456789');
        my $batch = record(type => 2, log => 1, name => 'l', seq => $l->{seq} + 1,
            entries => [['"x"', '{"id":"x"}'], ['"y"', '{"id":"y"}']]);
        spew($file, $text . $next . $batch . substr $next, 0, 60);
        spew("$file.$$.tmp", "BCSTATE\nof a living process");
        spew("$file.4194304.tmp", "BCSTATE\nof a dead one");
        $t->start;
        my $ws = $t->ws('/ws');
        $ws->recv_type('welcome');
        $ws->send_json({ type => 'subscribe', stream => 'c' });
        my $m = $ws->recv_type('c');
        is_deeply([@$m{qw(seq data)}], [$c->{seq} + 1, 123456789], 'the last record counts');
        $ws->send_json({ type => 'subscribe', stream => 'l', since => $l->{seq} });
        $m = $ws->recv_type('l');
        is($m->{seq}, $l->{seq} + 1, 'of a log, too');
        is_deeply([map { $_->{id} } @{ $m->{data}{entries} }], ['x', 'y'], '... with its entries');
        $ws->close;
        ok(-e "$file.$$.tmp" && !-e "$file.4194304.tmp", 'temporary files of dead processes are removed');
        unlink "$file.$$.tmp";

        # Another boot: what was not synced may be gone.

        kill_all($t);
        my $a = look_file($file);
        $text = Blockcast::Test::slurp($file);
        substr($text, 48, 16) = "\1" x 16;
        substr($text, 0, 64) = with_crc(substr $text, 0, 64);
        spew($file, $text);
        $t->start;
        my $b = look($t);
        cmp_ok($b->{"$_.seq"}, '>=', $a->{$_} + 10000, "after another boot seq of $_ is far beyond") for qw(c l);
        is($b->{epoch}, $a->{epoch}, '... in the same epoch');
        like($t->error_log, qr/\[warn\].*the end of ".*feeds" may be missing \(the machine was rebooted\)/, '... and that is said');

        # ... but not when it was closed.

        ok(quit($t), 'QUIT');
        $a = look_file($file);
        $text = Blockcast::Test::slurp($file);
        substr($text, 48, 16) = "\2" x 16;
        substr($text, 0, 64) = with_crc(substr $text, 0, 64);
        spew($file, $text);
        $t->start;
        $b = look($t);
        cmp_ok($b->{"$_.seq"}, '<=', $a->{$_} + 10 * slow(), "after a good end seq of $_ goes on by one") for qw(c l);
        $t->stop;
        $ledger->stop;
    }
};


# -- Files that are not used.

subtest 'files that are not used' => sub {
    {
        my $t = nginx(http => http($node->{port}));
        my $file = file($t);
        look($t);
        ok(quit($t), 'QUIT');
        my $good = Blockcast::Test::slurp($file);
        my $note = Blockcast::Test::slurp("$file.lock");
        my $epoch = look_file($file)->{epoch};
        my ($image) = unpack 'Q<', substr $good, 32, 8;

        my $flip = sub { my ($at) = @_; my $x = $good; vec($x, 8 * $at + 3, 1) ^= 1; $x };
        my $newer = $good;
        substr($newer, 8, 4) = pack 'V', 2;

        my @bad = (
            ['one of a newer version', $newer, qr/is of a newer version of blockcast/],
            ['one cut in its header', substr($good, 0, 40), qr/is cut off in its header/],
            ['one cut in its image', substr($good, 0, 63 + $image), qr/is cut off/],
            ['a bit in the header', $flip->(20), qr/is damaged in its header/],
            ['a bit in the image', $flip->(64 + $image - 10), qr/is damaged/],
        );

        my $n = 0;

        for my $bad (@bad) {
            my ($name, $text, $re) = @$bad;
            spew($file, $text);
            $t->start;
            my $b = look($t);
            isnt($b->{epoch}, $epoch, "$name: a new epoch");
            like(errors($t), qr/\[error\].*the state file ".*feeds" $re, it is not used and was renamed to "feeds\.damaged(?:\.\d+)?"/,
                '... it is said why');
            my $aside = "$file.damaged" . ($n ? ".$n" : '');
            $n++;
            is(Blockcast::Test::slurp($aside), $text, '... it is kept aside');
            ok(quit($t), '... a new one is there') && is(look_file($file)->{epoch}, $b->{epoch}, '... of this epoch');
            unlink $t->prefix . '/error.log';
        }

        # A bit in the journal: what is before it is believed, no seq is used again.

        spew($file, $good);
        spew("$file.lock", $note);
        $t->start;
        my $a = look($t);
        is($a->{epoch}, $epoch, 'the good file is believed');
        sleep 1;
        kill_all($t);
        my $text = Blockcast::Test::slurp($file);
        ($image) = unpack 'Q<', substr $text, 32, 8;
        my @r = grep { $_->{at} >= 64 + $image } records($text);
        my $x = $r[0]{at} + 30;
        vec($text, 8 * $x, 1) ^= 1;
        spew($file, $text);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $epoch, 'a bit in the journal: the same epoch');
        cmp_ok($b->{'c.seq'}, '>=', $a->{'c.seq'} + 5000, '... numbers that were used are not used again');
        like(errors($t), qr/may be missing \(it is damaged\)/, '... and it is said');

        # nginx -t changes nothing, whatever is there.

        ok(quit($t), 'QUIT');
        $t->allow(qr/is not a state file of blockcast, and is left alone/);
        for my $content ($good, 'garbage') {
            spew($file, $content);
            unlink "$file.lock";
            my @before = files($t);
            my $conf = $t->prefix . '/nginx.conf';
            local $ENV{BLOCKCAST_ASAN} = join ':', grep { length }
                $ENV{BLOCKCAST_ASAN}, 'detect_leaks=0';
            my $pid = $t->spawn($t->prefix . '/test.log', Blockcast::Test::nginx_binary(), '-t',
                '-p', $t->prefix, '-c', $conf, '-e', 'stderr');
            waitpid $pid, 0;
            is_deeply([files($t)], \@before, 'nginx -t makes no file');
            is(Blockcast::Test::slurp($file), $content, '... and changes none');
        }

        $t->stop;
    }
};


# -- A disk that is full, a folder that is not there or not ours.

sub goes_on {
    my ($t, $name, $re) = @_;

    my $a = look($t);
    within(10, "$name: streams go on", sub {
        look($t)->{'c.seq'} > $a->{'c.seq'} + 2 });
    sleep 1.5;
    my @lines = grep { /state file|feeds/ } split /\n/, errors($t);
    @lines = grep { !/feeds\.lock/ } @lines;
    is(scalar @lines, 1, '... one line') or diag(errors($t));
    like($lines[0] // '', $re, '... says what failed');
}


subtest 'a disk that is full, a folder that is not there or not ours' => sub {
    # Beyond a limit, of 512 bytes each, write() fails as it does on a full disk.
    # With 100 an image does not fit; with 800 it does, but not the journal.

    for my $limit (100, 800) {
        my $t = nginx(start => 0, workers => 1, error_level => 'notice', http => http($node->{port}, more => <<'MORE'));
    blockcast_stream big {
        blockcast_always on;
        blockcast_interval 200ms;
        blockcast_call big big;
        blockcast_max_size 200k;
    }
MORE
        local $SIG{XFSZ} = 'IGNORE';
        my $spawn = \&Blockcast::Test::spawn;
        {
            no warnings 'redefine';
            local *Blockcast::Test::spawn = sub {
                my ($self, $out, @command) = @_;
                $spawn->($self, $out, 'sh', '-c', qq{ulimit -f $limit; exec "\$@"}, 'sh', @command);
            };
            $t->start;
        }
        my $file = file($t);
        goes_on($t, "full at $limit", qr/write\(\) of the state file ".*feeds" failed, what is published now would be lost in a crash \(27: File too large\)/);
        cmp_ok(-s $file, '<=', $limit * 512, 'the file is not larger than the disk');

        my $a = look($t);
        kill_all($t);
        my $lacks = lacks($file);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, 'killed meanwhile: the same epoch');

        if ($limit == 100) {
            is(substr($lacks, 0, 2), "1\n", 'that something is missing is noted');
            cmp_ok($b->{"$_.seq"}, '>', $a->{"$_.seq"} + 9000, "... and no seq of $_ is used again") for qw(c l);
            like(errors($t), qr/may be missing \(it could not be written\)/, '... which is said');
        } else {
            cmp_ok($b->{"$_.seq"}, '>=', $a->{"$_.seq"}, "... and seq of $_ does not go back") for qw(c l);
        }

        is(lacks($file), "0\n", 'all is there again');
        $t->stop;
    }

    {
        my $t = nginx(http => http($node->{port}));
        my $dir = $t->prefix . '/state';
        $> == 0 ? chown(0, 0, $dir) : 1;
        look($t);
        chmod 0555, $dir;
        unlink file($t), $t->prefix . '/error.log';
        $t->signal('USR1');
        goes_on($t, 'no permission', qr/open\(\) of the state file ".*feeds" failed.*\(13: Permission denied\)/);
        chmod 0777, $dir;
        ok($t->wait_log(qr/\[notice\].*the state file ".*feeds" is written again/), 'allowed again: that is said');
        my $a = look($t);
        kill_all($t);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, '... and it is');
        cmp_ok($b->{'c.seq'}, '<=', $a->{'c.seq'} + 10 * slow(), '... with all that was published');

        # the folder goes away under it, and comes back
        rename $dir, "$dir.old";
        unlink $t->prefix . '/error.log';
        $t->signal('USR1');
        goes_on($t, 'the folder is away', qr/open\(\) of the state file ".*feeds" failed.*\(2: No such file or directory\)/);
        mkdir $dir;
        chmod 0777, $dir;
        within(5, 'it comes back: the file is written there', sub { -s file($t) });
        $t->stop;
    }
};


# -- A folder that only the master gets to, as below /root.

subtest 'a folder that only the master gets to, as below /root' => sub {
    {
        my $t = nginx(start => 0, http => http($node->{port}, state => 'blockcast_state %%PREFIX%%/closed/state/feeds;'));
        my $dir = $t->prefix . '/closed';
        mkdir $dir, 0700;
        mkdir "$dir/state";
        chmod 0777, "$dir/state";
        $t->start;
        my $a = look($t);
        kill_all($t);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, 'a folder that only the master gets to: the same epoch after a kill');
        sleep 1.5;
        is(errors($t), '', 'nothing is complained of');
        $t->stop;
    }
};


# -- What grows, and what is small: the journal is not without end, and what
# does not change is not written.

subtest 'what grows, and what is small' => sub {
    {
        my $http = http($node->{port}, more => <<'MORE');
    blockcast_stream big {
        blockcast_always on;
        blockcast_interval 100ms;
        blockcast_call big big;
        blockcast_max_size 200k;
    }
MORE
        my $t = nginx(http => $http =~ s/main 4m/main 8m/r);
        my $file = file($t);
        my ($most, $files, $header) = (0, 0, '');

        my $end = time + 6;
        while (time < $end) {
            my $size = -s $file // 0;
            $most = $size if $size > $most;
            $files++ if $header ne header($file);
            $header = header($file);
            sleep 0.05;
        }

        cmp_ok($most, '<', 3_000_000, "the journal ends after a while ($most bytes at most)");
        cmp_ok($files, '>=', 2, '... and a new image takes its place');
        cmp_ok($files, '<=', 10, '... not at each interval');

        # a reload with another file, with none, and with the first one again: that
        # one is old then, and its numbers were used
        my $a = look($t);
        (my $other = $t->{http}) =~ s{state/feeds}{state/other};
        $t->write_conf(http => $other);
        ok($t->reload(gone => 8 * $slow), 'a reload with another file');
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, 'the same epoch');
        ok(-s $t->prefix . '/state/other', 'that file is written');
        (my $none = $t->{http}) =~ s/blockcast_state [^;]*;//;
        $t->write_conf(http => $none);
        ok($t->reload(gone => 8 * $slow), 'a reload without');
        within(5, 'streams go on', sub { look($t)->{'c.seq'} > $b->{'c.seq'} + 3 });
        $b = look($t);
        kill_all($t);
        $t->write_conf(http => $other);
        $t->start;
        my $c = look($t);
        is($c->{epoch}, $b->{epoch}, 'a start with a file that was left');
        cmp_ok($c->{"$_.seq"}, '>', $b->{"$_.seq"}, "... uses no seq of $_ twice") for qw(c l);

        # another size of the zone
        $t->write_conf(http => $t->{http} =~ s/main 8m/main 9m/r);
        ok($t->reload(gone => 8 * $slow), 'a reload with another size of the zone');
        $b = look($t);
        is($b->{epoch}, $c->{epoch}, 'the same epoch');
        cmp_ok($b->{'c.seq'}, '>=', $c->{'c.seq'}, 'seq goes on');
        kill_all($t);
        $t->start;
        $c = look($t);
        is($c->{epoch}, $b->{epoch}, 'and after a kill');
        cmp_ok($c->{'c.seq'}, '>=', $b->{'c.seq'}, 'seq goes on');
        $t->stop;
    }
};


# -- A disk whose every sync takes three seconds: nobody waits for it.

subtest 'a disk whose every sync takes three seconds' => sub {
    {
        my $dir = File::Temp::tempdir('slowdisk-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        chmod 0755, $dir;
        system($ENV{CC} || 'gcc', qw(-O1 -fPIC -shared -Wall -Wextra -Werror -o), "$dir/slowdisk.so",
            "$Blockcast::Test::ROOT/t/lib/slowdisk.c") == 0 or die "slowdisk.c cannot be built\n";

        # workers get the variables that the configuration names, and these
        my $t = nginx(workers => 1, main => 'env BLOCKCAST_SYNC; env LD_PRELOAD;',
            env => { LD_PRELOAD => "$dir/slowdisk.so", BLOCKCAST_SYNC => 3000,
                BLOCKCAST_ASAN => join ':', grep { length } $ENV{BLOCKCAST_ASAN},
                    'verify_asan_link_order=0', 'detect_leaks=0' },
            http => http($node->{port}, more => <<'MORE') =~ s/main 4m/main 8m/r);
    blockcast_stream big {
        blockcast_always on;
        blockcast_interval 100ms;
        blockcast_call big big;
        blockcast_max_size 200k;
    }
MORE
        is($t->get('/api/streams', timeout => 20)->{status}, 200, 'a start on a slow disk');
        look($t);
        my $header = header(file($t));
        my $ws = $t->ws('/ws');
        $ws->send_json({ type => 'subscribe', stream => 'c' });
        $ws->recv_type('c');

        my ($longest, $last, $end) = (0, time, time + 10);
        my $seen = 0;
        while (time < $end) {
            my $m = $ws->recv_type('c', 5) or last;
            $longest = time - $last if time - $last > $longest;
            $last = time;
            $seen++;
        }
        cmp_ok($longest, '<', 2.5 * slow(), sprintf 'on a slow disk data comes all the time (%.2f s at most)', $longest);
        isnt(header(file($t)), $header, 'while new images are written');
        like($t->error_log, qr/\[warn\].*writing the state file ".*feeds" took \d{4} ms/, 'that it is slow is said');
        my $a = look($t);
        kill_all($t);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, 'killed in the middle of it: the same epoch');
        cmp_ok($b->{"$_.seq"}, '>=', $a->{"$_.seq"}, "... and seq of $_ goes on") for qw(c l);
        cmp_ok($b->{"$_.seq"}, '<=', $a->{"$_.seq"} + 30 * slow(), '... by one') for qw(c l);
        $ws->close;
        $t->stop;
    }
};


# -- The poller is stopped, and goes on when another has its place.

subtest 'the poller is stopped, and goes on when another has its place' => sub {
    {
        my $ledger = Blockcast::Ledger->new(rate => 40);
        my $t = nginx(workers => 3, http => http($ledger->{port}));
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c',
            log => 'l', size => 20);
        $crowd->run(1);

        for my $n (1 .. 3) {
            my $poller = ($t->get_json('/api/health') // {})->{poller}{pid} or next;
            kill 'STOP', $poller;
            $crowd->run(2);
            kill 'CONT', $poller;
            $crowd->run(1);
        }

        kill_all($t);
        $t->start;
        my $last = $ledger->last_id;
        ok($crowd->run(15 * $slow, until => sub {
            !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients;
        }), 'pollers that were stopped: everybody has got the newest entries') or diag(errors($t));
        is_deeply([$crowd->wrong], [], 'nothing is lost or doubled') or diag($crowd->{example} // '');
        $crowd->close_all;
        $t->stop;
        $ledger->stop;
    }
};


# -- Without a master, as a container or a debugger runs it.

subtest 'without a master, as a container or a debugger runs it' => sub {
    {
        my $t = nginx(workers => 1, main => 'master_process off;', http => http($node->{port}));
        my $a = look($t);
        within(10, 'a single process: streams move', sub { look($t)->{'c.seq'} > $a->{'c.seq'} });
        $a = look($t);
        kill_all($t);
        $t->start;
        my $b = look($t);
        is($b->{epoch}, $a->{epoch}, '... the same epoch after kill -9');
        cmp_ok($b->{'c.seq'}, '>=', $a->{'c.seq'}, '... seq goes on');
        $t->stop;
    }
};


# -- The binary upgrade, forth and back, with clients on both.

subtest 'the binary upgrade, forth and back, with clients on both' => sub {
    {
        my $ledger = Blockcast::Ledger->new(rate => 40);
        my $t = nginx(daemon => 1, http => http($ledger->{port}, more => <<'MORE'));
    blockcast_stream rare { blockcast_call big big; blockcast_max_size 200k; }
MORE
        my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c',
            log => 'l', size => 40);

        my $complete = sub {
            my ($name) = @_;
            my $last = $ledger->last_id;
            my $ok = $crowd->run(15 * $slow, until => sub {
                !grep { !$_->{ws} || ($_->{id} // 0) < $last } $crowd->clients;
            });
            ok($ok, "$name: everybody has got the newest entries") or diag(errors($t));
            is_deeply([$crowd->wrong], [], "$name: one epoch, no entry is lost or doubled, seq grows")
                or diag($crowd->{example} // '');
            $crowd->{wrong} = {};
        };
        my $later = sub {
            my ($name, $code) = @_;
            ok($crowd->run(10 * $slow, until => $code), $name) or diag(errors($t));
        };
        my $roles = sub {
            my %seen;
            for (1 .. 30) {
                my $h = $t->get_json('/api/health') or next;
                $seen{$h->{poller}{role}}++;
            }
            return join ' ', sort keys %seen;
        };

        $complete->('at first');
        my $old = $t->master_pid;
        my $begin = time;

        my $upgrade = sub {
            $t->signal(USR2 => $old);
            $later->('USR2: a second master with its workers', sub {
                -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == 4 });
            return $t->pid_file;
        };
        my $leave = sub {
            my ($name) = @_;
            $t->signal(WINCH => $old);
            $later->("$name: the old workers leave", sub { $t->worker_pids == 2
                && $t->nginx_pids == 4 });
        };

        my $new = $upgrade->();
        is($roles->(), 'follower leader', 'one leads, one follows');
        $complete->('both run');

        # what only a client of the follower wants is polled, and reaches it
        my $ws;
        for (1 .. 200) {
            my $role = $t->get_json('/api/health')->{poller}{role};
            last if $role eq 'follower' && ($ws = 1);
        }
        ok($ws, 'the follower answers');
        my $seen = 0;
        for (1 .. 40) {
            my $r = $t->get('/api/streams/rare');
            $seen = 1, last if $r->{status} == 200;
            sleep 0.1;
        }
        ok($seen, 'a stream nobody wanted before is there for clients of both');

        $leave->('WINCH');
        $complete->('the old master without workers');
        is($roles->(), 'leader', 'the new one leads');

        $t->signal(HUP => $old);
        $later->('HUP: the old master starts workers again', sub { $t->worker_pids == 4 });
        $complete->('the old one follows');
        is($roles->(), 'follower leader', 'one leads, one follows');
        $t->signal(QUIT => $new);
        $later->('QUIT: the new one leaves', sub { $t->nginx_pids == 3 });
        $complete->('back at the old one');
        is($roles->(), 'leader', 'the old one leads again');

        $new = $upgrade->();
        $complete->('both run again');

        # the leader's processes die: the other goes on
        kill 'KILL', grep { my $ppid = (split ' ', Blockcast::Test::slurp("/proc/$_/stat") =~ s/.*\) //sr)[1];
            $_ == $old || $ppid == $old } grep { $_ != $new } $t->nginx_pids;
        $later->('the old one is killed', sub { $t->nginx_pids == 3 });
        $complete->('the new one alone');
        is($roles->(), 'leader', 'and leads');

        my @calls = grep { $_ > $begin } $ledger->calls('count');
        my $most = (time - $begin) / 0.4 + 6;
        cmp_ok(scalar @calls, '<=', $most, 'the node was never asked by two: '
            . @calls . ' calls, at most ' . int $most);
        my ($longest) = sort { $b <=> $a } map { $calls[$_] - $calls[$_ - 1] } 1 .. $#calls;
        cmp_ok($longest, '<', 2.5 * $slow, 'and never by nobody for long');

        $crowd->close_all;
        $t->{master} = $new;
        $t->signal(QUIT => $new);
        within(10, 'all is gone at the end', sub { !$t->nginx_pids });
        $t->stop;
        $ledger->stop;
    }
};


$node->stop;
done_testing();
