#!/usr/bin/perl

# What blockcast_state takes for its own, and what it believes. If this fails,
# nginx renames or overwrites somebody's files as root, hangs in its own test of
# the configuration, starts where it cannot write, or goes on from a file that
# was cut or put back: then clients miss entries and are not told.

use strict;
use warnings;

use IO::Socket::UNIX ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Ledger;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $root = $> == 0;

# It shows only the newest entries: what is lost here is not shown again.
my $node = Blockcast::Ledger->new(rate => 20, page => 12);

my $http = <<"HTTP";
    blockcast_zone main 4m;
    blockcast_drain 1s;
    blockcast_state %%PREFIX%%/state/feeds;
    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }

    blockcast_stream c {
        blockcast_interval 150ms;
        blockcast_always on;
        blockcast_call count count timeout=10s;
    }

    blockcast_stream l {
        blockcast_interval 150ms;
        blockcast_always on;
        blockcast_call ledger ledger timeout=10s;
        blockcast_jq '{entries: .results.ledger}';
        blockcast_log entries key=id keep=2000 size=256k;
    }
HTTP

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


sub slurp { Blockcast::Test::slurp($_[0]) }

# In place, so that a file keeps its inode.

sub spew {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub state_test {
    my (%arg) = @_;
    my $folder = delete $arg{folder} // 1;
    my $t = Blockcast::Test->new(workers => 2, http => $http, server => $server,
        start => 0, %arg);

    mkdir $t->prefix . '/state' if $folder;
    chmod 0777, $t->prefix . '/state' if $folder;
    return $t;
}


sub file { $_[0]->prefix . '/state/feeds' }
sub files { my $p = $_[0]->prefix; map { s{.*/}{}r } sort glob "$p/state/*" }


sub kill_all {
    my ($t) = @_;
    my $pid = delete $t->{master};
    kill 'KILL', $pid if $pid;
    wait_for { waitpid $pid, 1 if $pid; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 20;
    unlink $t->prefix . '/nginx.pid';
}


sub quit {
    my ($t) = @_;
    my $pid = $t->{master};
    $t->signal('QUIT');
    return wait_for { waitpid $pid, 1; !$t->nginx_pids } 20 * $slow;
}


# What nginx -t says and how it ends; 20 s are too long for it.

sub nginx_t {
    my ($t) = @_;

    my $out = $t->prefix . '/test.log';
    unlink $out;
    local $ENV{BLOCKCAST_ASAN} = Blockcast::Test::without_leaks($ENV{BLOCKCAST_ASAN});
    my $pid = $t->spawn($out, Blockcast::Test::nginx_binary(), '-t',
        '-p', $t->prefix, '-c', $t->prefix . '/nginx.conf', '-e', 'stderr');
    my $done = wait_for { waitpid($pid, POSIX::WNOHANG()) == $pid } 20 * $slow;
    my $code = $done ? $? >> 8 : 'none, it hangs';
    kill 'KILL', $pid unless $done;
    return (slurp($out), $code);
}


# All that can be seen of what is in a folder.

sub seen {
    my ($dir) = @_;
    my @seen;

    for my $path (sort glob "$dir/*") {
        my @s = lstat $path;
        push @seen, join ' ', $path, @s[0 .. 7, 9], -l _ ? readlink $path : -f _ ? slurp($path) : '';
    }
    return \@seen;
}


# -- nginx -t: what is not ours is refused by one sentence, and untouched.

my $socket;
my $good_head = "BCSTATE\n" . "\0" x 56;

my %kinds = (
    'a directory' => sub { mkdir $_[0]; spew("$_[0]/inner", 'x') },
    'a symbolic link' => sub { symlink '/nowhere/at/all', $_[0] },
    'a FIFO' => sub { POSIX::mkfifo($_[0], 0666) },
    'a socket' => sub { $socket = IO::Socket::UNIX->new(Local => $_[0], Listen => 1) or die "socket: $!\n" },
    $root ? ('a device' => sub { system('mknod', $_[0], 'c', 1, 3) }) : (),
);

my @refused = (
    map({ [$_, $kinds{$_}, qr/blockcast_state ".*feeds" is \Q$_\E, not a state file of blockcast, and is left alone: move it away/] } sort keys %kinds),
    ['a link to a state file', sub { spew("$_[1]/other", $good_head); symlink 'other', $_[0] }, qr/is a symbolic link/],
    ['a link to a foreign file', sub { spew("$_[1]/other", "mine\n"); symlink 'other', $_[0] }, qr/is a symbolic link/],
    ['a foreign text', sub { spew($_[0], "user www-data;\n" x 30) }, qr/feeds" is not a state file of blockcast, and is left alone/],
    ['a foreign text of one byte', sub { spew($_[0], "x") }, qr/is not a state file of blockcast/],
    ['zeros', sub { spew($_[0], "\0" x 500) }, qr/is not a state file of blockcast/],
    ['almost our header', sub { spew($_[0], "BCSTATF\n" . "\0" x 56) }, qr/is not a state file of blockcast/],

    map({ my $k = $_; ["lock: $k", sub { $kinds{$k}->("$_[0].lock") }, qr/"[^"]*feeds\.lock" beside blockcast_state is \Q$k\E \(of user .*\), and is left alone/] } sort keys %kinds),
    ['lock: a link to a foreign file', sub { spew("$_[1]/other", "0\n"); symlink 'other', "$_[0].lock" }, qr/feeds\.lock" beside blockcast_state is a symbolic link/],
    ['lock: with two names', sub { spew("$_[1]/other", "0\n"); link "$_[1]/other", "$_[0].lock" }, qr/feeds\.lock" beside blockcast_state is a file that has other names/],
    ['lock: a foreign text', sub { spew("$_[0].lock", "12345\n") }, qr/feeds\.lock" beside blockcast_state is not a lock file of blockcast/],
    ['lock: a foreign text like ours', sub { spew("$_[0].lock", "0\nand more\n") }, qr/feeds\.lock" beside blockcast_state is not a lock file of blockcast/],
    $root ? ['lock: of another user', sub { spew("$_[0].lock", "0\n"); chown 12345, 12345, "$_[0].lock" },
        qr/feeds\.lock" beside blockcast_state is a file of another user \(of user 12345\)/] : (),

    $root ? ['a folder of root alone', sub { chmod 0755, $_[1] }, qr/the folder ".*state" of blockcast_state ".*feeds" cannot be written to by the worker processes, user "www-data" \(13:/] : (),
    $root ? ['a folder of the user without w', sub { chown scalar(getpwnam 'www-data'), -1, $_[1]; chmod 0555, $_[1] }, qr/cannot be written to by the worker processes/] : (),
    $root ? ['a folder of the group without w', sub { chown -1, scalar(getgrnam 'www-data'), $_[1]; chmod 0757, $_[1] }, qr/cannot be written to by the worker processes/] : (),
    ['no folder', sub { rmdir $_[1] }, qr/the folder ".*state" of blockcast_state ".*feeds" cannot be opened: make it, for user ".*" \(2:/],
    ['a file in the place of the folder', sub { rmdir $_[1]; spew($_[1], 'x') }, qr/the folder ".*state" of blockcast_state ".*feeds" cannot be opened.*\(20:/],
);

for my $case (@refused) {
    my ($name, $make, $re) = @$case;
    my $t = state_test();
    my $dir = $t->prefix . '/state';
    $t->write_conf;
    $make->(file($t), $dir);
    my $before = seen($dir);

    my ($out, $code) = nginx_t($t);
    my @lines = grep { /\[(?:emerg|alert|error|crit|warn)\]/ } split /\n/, $out;

    subtest "refused: $name" => sub {
        is($code, 1, 'nginx -t fails');
        is(scalar @lines, 1, 'with one line') or diag($out);
        like($lines[0] // '', $re, 'which says why');
        is_deeply(seen($dir), $before, 'and nothing was changed');
        if (!eval { $t->start; 1 }) {
            is_deeply(seen($dir), $before, 'a start does not change it, either');
        } else {
            fail('nginx starts');
        }
    };

    chmod 0777, $dir;
    File::Path::remove_tree($dir);
    $t->allow(qr/blockcast_state/);
    $t->stop("refused: $name: stopped");
    undef $socket;
}

my @accepted = (
    ['nothing', sub { }],
    ['an empty file, as of touch', sub { spew($_[0], '') }, qr/\[warn\].*blockcast_state ".*feeds" is empty, there is nothing to go on with/],
    ['an empty lock file', sub { spew("$_[0].lock", '') }],
    ['a lock file of a former version', sub { spew("$_[0].lock", "0\n") }],
    ['a lock file of zeros, as of a power loss', sub { spew("$_[0].lock", "\0" x 200) }],
    $root ? ['a lock file of the workers', sub { spew("$_[0].lock", "0\n"); chown scalar(getpwnam 'www-data'), -1, "$_[0].lock" }] : (),
    ['other names beside it', sub { spew("$_[0].1.tmp.x", 'x'); mkdir "$_[0].damaged" }],
    $root ? ['a folder of the group', sub { chown -1, scalar(getgrnam 'www-data'), $_[1]; chmod 0770, $_[1] }] : (),
    $root ? ['a folder of the user', sub { chown scalar(getpwnam 'www-data'), -1, $_[1]; chmod 0700, $_[1] }] : (),
);

for my $case (@accepted) {
    my ($name, $make, $re) = @$case;
    my $t = state_test();
    my $dir = $t->prefix . '/state';
    $t->write_conf;
    $make->(file($t), $dir);
    my $before = seen($dir);
    my ($out, $code) = nginx_t($t);
    is($code, 0, "accepted: $name") or diag($out);
    like($out, $re, '... with a warning') if $re;
    is_deeply(seen($dir), $before, '... and nothing was changed');
    $t->start;
    ok(scalar(wait_for { slurp(file($t)) =~ /^BCSTATE\n/ } 20 * $slow), '... nginx writes its own');
    $t->stop;
}


# -- At run time: no file of others is taken, either.

subtest 'at run time' => sub {
    {
        my $t = state_test(workers => 1);
        my $file = file($t);

        # names that a process of ours might want
        $t->write_conf;
        spew("$file.4194304.tmp", "mine\n");
        mkdir "$file.4194303.tmp";
        spew("$file.damaged", "mine, too\n");
        symlink '/nowhere', "$file.damaged.1";
        $t->start;
        ok(scalar(wait_for { -s $file } 20), 'a state file');
        is(slurp("$file.4194304.tmp"), "mine\n", 'a foreign file named like a temporary one stays');
        ok(-d "$file.4194303.tmp", '... and a folder');

        ok(quit($t), 'QUIT');
        my $text = slurp($file);
        vec($text, 8 * 70, 1) ^= 1;
        spew($file, $text);
        $t->start;
        is(slurp("$file.damaged"), "mine, too\n", 'a file named .damaged is not overwritten');
        is(readlink "$file.damaged.1", '/nowhere', '... nor a dangling link');
        is(slurp("$file.damaged.2"), $text, 'the damaged one has the next name');
        ok(scalar(wait_for { -s $file } 20), 'a new state file');

        # somebody puts a file of his there while nginx runs
        unlink $file;
        spew("$file.x", "mine as well\n");
        rename "$file.x", $file;
        ok($t->wait_log(qr/\[error\].*rename\(\) \(onto a foreign file\) of the state file ".*feeds" failed/, 20), 'a foreign file put there: said');
        is(slurp($file), "mine as well\n", '... and left alone');
        unlink $file;
        ok($t->wait_log(qr/\[notice\].*the state file ".*feeds" is written again/, 20), '... ours again when it is away');
        like(slurp($file), qr/^BCSTATE/, '... which is there');

        # a reload where nginx -t would fail changes nothing
        my $epoch = $t->get_json('/api/health')->{epoch};
        rename $file, "$file.x";
        mkdir $file;
        $t->signal('HUP');
        ok($t->wait_log(qr/\[emerg\].*feeds" is a directory/, 20), 'a reload is refused');
        is($t->get_json('/api/health')->{epoch}, $epoch, '... the old configuration goes on');
        rmdir $file;
        $t->allow(qr/is a directory/);
        $t->stop;
    }
};


# -- The lock file is removed, or replaced, while nginx runs.

subtest 'the lock file is removed, or replaced, while nginx runs' => sub {
    {
        my $t = state_test();
        my $file = file($t);
        $t->write_conf;
        $t->start;
        ok(scalar(wait_for { length(slurp("$file.lock")) > 64 } 20), 'there is a note in the lock file');
        my $epoch = $t->get_json('/api/health')->{epoch};
        unlink "$file.lock";
        ok(scalar(wait_for { length(slurp("$file.lock")) > 64 } 20), 'removed: it is made again');
        like($t->error_log, qr/\[warn\].*the lock file ".*feeds\.lock" was removed while nginx runs/, '... and that is said');

        my $second = Blockcast::Test->new(workers => 2, http => $http =~ s/%%PREFIX%%/$t->prefix/er,
            server => $server, start => 0);
        $second->write_conf;
        $second->start;
        ok(scalar(wait_for { my $h = $second->get_json('/api/health');
            $h && $h->{poller}{role} eq 'follower' && $h->{epoch} == $epoch } 20), 'a second nginx follows');
        is($t->get_json('/api/health')->{poller}{role}, 'leader', '... the first one leads');
        ok($t->reload(gone => 20 * $slow), 'a reload');
        ok(scalar(wait_for { my @h = map { $_->get_json('/api/health')->{poller}{role} // '' } ($t, $second);
            join(' ', sort @h) eq 'follower leader' } 20), '... one leads, one follows');
        is($t->get_json('/api/health')->{epoch}, $epoch, '... in one epoch');
        $second->stop;
        ok(scalar(wait_for { $t->get_json('/api/health')->{poller}{role} eq 'leader' } 20), 'the first one leads again');

        my @said = $t->error_log =~ /(the lock file ".*?" was \w+ while)/g;
        is(scalar @said, 1, 'it was said once');
        $t->stop;
    }
};


# -- A second nginx of another user cannot read what the first one writes.

subtest 'a second nginx of another user cannot read what the first one writes' => sub {
    SKIP: {
        skip 'needs root', 5 unless $root;

        my $t = state_test();
        $t->write_conf;
        $t->start;
        ok(scalar(wait_for { -s file($t) } 20), 'the first nginx');
        my $second = Blockcast::Test->new(workers => 4, http => $http =~ s/%%PREFIX%%/$t->prefix/er,
            main => "user nobody nogroup;\n", server => $server, start => 0);
        $second->write_conf;
        $second->start;
        ok($second->wait_log(qr/state file.*cannot be read/, 20), 'a second one of another user says that it cannot follow');
        sleep 2;
        my @lines = grep { /cannot be read/ } split /\n/, $second->error_log;
        is(scalar @lines, 1, '... once') or diag(join "\n", @lines);
        like($lines[0], qr/\[error\].*the state file ".*feeds" is of user "www-data" and cannot be read by user "nobody"/, '... and names both users and the file');
        $second->stop;
        $t->stop;
    }
};


# -- A file that was cut, or an older copy that was put back.

# A client that has seen all there was, and remembers every message.

my %record;     # epoch => stream => seq => content
my %newest;     # epoch => stream => newest seq

sub note {
    my ($epoch, $m) = @_;
    my $s = $m->{type};
    my $what = $s eq 'c' ? $m->{data} : join ' ', map { $_->{id} } @{ $m->{data}{entries} };
    $record{$epoch}{$s}{$m->{seq}} //= $what;
    $newest{$epoch}{$s} = $m->{seq} if $m->{seq} > ($newest{$epoch}{$s} // 0);
    return $what;
}
sub watch {
    my ($t, $seconds) = @_;
    my $ws = $t->ws('/ws');
    my $epoch = $ws->recv_type('welcome')->{epoch};
    my ($end, %n) = (time + $seconds * $slow);
    $ws->send_json({ type => 'subscribe', stream => $_ }) for qw(c l);
    my $first = 1;
    while (time < $end || ($n{c} // 0) < 4 || ($n{l} // 0) < 4) {
        last if time > $end + 20 * $slow;
        my $m = $ws->recv_json(1) or next;
        next unless $m->{type} =~ /^[cl]$/;

        # the first message of a log is a page of older ones
        note($epoch, $m) unless $m->{type} eq 'l' && $first;
        $first = 0 if $m->{type} eq 'l';
        $newest{$epoch}{$m->{type}} = $m->{seq};
        $n{$m->{type}}++;
    }
    $ws->close;
    return $epoch;
}
# What a client that resumes there is told, against what was published: undef
# when all is well.

sub resume {
    my ($t, $epoch, $since) = @_;

    my $ws = $t->ws('/ws');
    my $now = $ws->recv_type('welcome')->{epoch};
    $ws->send_json({ type => 'subscribe', stream => 'c' });
    $ws->send_json({ type => 'subscribe', stream => 'l', since => $since });

    my ($end, $gap, %got, $c, $wrong, $done) = (time + 20 * $slow);
    my $top = $newest{$epoch}{l};
    my %wanted = map { $_ => 1 } map { split / /, $record{$epoch}{l}{$_} }
        grep { $_ > $since } keys %{ $record{$epoch}{l} };
    my $last = (sort { $b <=> $a } map { split / / } values %{ $record{$epoch}{l} })[0];

    while (time < $end && !($c && $done)) {
        my $m = $ws->recv_json(1) or next;

        if ($m->{type} eq 'c') {
            $wrong //= "c: seq $m->{seq} after $newest{$epoch}{c}"
                if $now == $epoch && $m->{seq} < $newest{$epoch}{c};
            my $was = $record{$now}{c}{$m->{seq}};
            $wrong //= "c: seq $m->{seq} was $was, and is $m->{data}"
                if defined $was && $was ne $m->{data};
            $c = 1;
        }

        if ($m->{type} eq 'l') {
            $gap ||= $m->{gap};
            $got{$_->{id}} = 1 for @{ $m->{data}{entries} };
            $wrong //= "l: seq $m->{seq} after $top" if $now == $epoch && $m->{seq} < $top;
            $done = 1 if grep { $_->{id} > $last } @{ $m->{data}{entries} };
        }
    }

    $ws->close;
    return 'nothing new comes' unless $c && $done;
    return $wrong if $wrong;
    return if $now != $epoch || $gap;

    my @missing = sort { $a <=> $b } grep { !$got{$_} } keys %wanted;
    return @missing ? "since $since: entries @missing are missing, without a gap" : undef;
}


subtest 'a file that was cut, or an older copy that was put back' => sub {
    {
        my $t = state_test();
        my $file = file($t);
        $t->write_conf;
        $t->start;
        my $epoch = watch($t, 1);
        my $open = slurp($file);
        ok(quit($t), 'QUIT');
        my ($old, $old_lock) = (slurp($file), slurp("$file.lock"));

        $t->start;
        is(watch($t, 2), $epoch, 'the same epoch after a good end');
        kill_all($t);
        my ($new, $lock) = (slurp($file), slurp("$file.lock"));

        # where records begin
        my @at = (64);
        push @at, $at[-1] + unpack('V', substr $new, $at[-1], 4) while $at[-1] < length $new;
        my ($image) = unpack 'Q<', substr $new, 32, 8;

        my @top = sort { $a <=> $b } keys %{ $record{$epoch}{l} };
        my @since = (0, $top[0], $top[@top / 2], $top[-2], $top[-1]);
        my $trouble = 0;

        my $try = sub {
            my ($name, $text, $note, %want) = @_;

            defined $text ? spew($file, $text) : unlink $file;
            $note->() if ref $note;
            defined $note ? spew("$file.lock", $note) : unlink "$file.lock" unless ref $note;
            unlink $t->prefix . '/error.log';
            $t->start;
            my $now = $t->get_json('/api/health')->{epoch};
            my @wrong = grep { defined } map { resume($t, $epoch, $_) } @since;
            kill_all($t);
            unlink grep { /damaged/ } glob "$file.*";
            is_deeply(\@wrong, [], "$name: nothing is missing in silence, no number is used twice");
            is($now == $epoch ? 'same' : 'new', $want{epoch}, "... the epoch: $want{epoch}") if $want{epoch};
            like($t->error_log, $want{log}, '... and that is said') if $want{log};
        };

        my $older = qr/\[warn\].*the end of ".*feeds" may be missing \(it is older than its lock file says\)/;
        my $unknown = qr/\[error\].*the state file ".*feeds" is not confirmed by its lock file.*it is not used and was renamed to "feeds\.damaged"/;

        $try->('as it was', $new, $lock, epoch => 'same');
        unlike($t->error_log, qr/may be missing/, '... and is not doubted');
        $try->('an older copy, closed', $old, $lock, epoch => 'same', log => $older);
        $try->('an older copy, not closed', $open, $lock, epoch => 'same', log => $older);
        # in the place where nginx appends: the end of a file that has lost its middle
        my @journal = grep { $_ >= 64 + $image } @at;
        if (@journal > 8) {
            $try->('a file that lost its middle', substr($new, 0, $journal[1]) . substr($new, $journal[-4]), $lock);
        }

        # cut anywhere: in the header, at records, and within
        my @cut = (1, 7, 8, 40, 63, 64, 64 + 30, $image + 63, $image + 64, map({ ($_ - 1, $_, $_ + 57) } $journal[1], $journal[-2]),
            map { int rand length $new } 1 .. ($ENV{BLOCKCAST_LONG} ? 200 : 10));
        for my $n (sort { $a <=> $b } @cut) {
            next if $n >= length $new;
            $try->("cut at $n of " . length $new, substr($new, 0, $n), $lock,
                epoch => $n >= 64 + $image ? 'same' : 'new');
        }

        # a machine that was started again: what was not synced may be gone
        my $boot = $new;
        substr($boot, 48, 16) = "\1" x 16;
        substr($boot, 12, 4) = pack 'V', do { require Compress::Zlib; Compress::Zlib::crc32(substr $boot, 16, 48) };
        $try->('after another boot', $boot, $lock, epoch => 'same', log => qr/may be missing \(the machine was rebooted\)/);
        $try->('after another boot, cut', substr($boot, 0, $journal[-2]), $lock, epoch => 'same');

        # and the gap is remembered over one more restart
        spew($file, $old);
        spew("$file.lock", $lock);
        $t->start;
        my $first = resume($t, $epoch, $since[0]);
        ok(quit($t), 'QUIT');
        $t->start;
        is_deeply([grep { defined } $first, map { resume($t, $epoch, $_) } @since], [], 'a client that comes two restarts later is told of it, too');
        kill_all($t);

        # without a lock file that vouches for it
        $try->('an empty lock file', $new, '', epoch => 'new', log => $unknown);
        $try->('no state file', undef, $lock, epoch => 'new');
        $try->('an empty state file', '', $lock, epoch => 'new');
        $try->('a lock file with a bit changed', $new, do { my $x = $lock; vec($x, 8 * 75, 1) ^= 1; $x }, epoch => 'new');
        $try->('a lock file with a number changed', $new, do { my $x = $lock; vec($x, 8 * 113, 1) ^= 1; $x }, epoch => 'new');
        $try->('a lock file that was cut', $new, substr($lock, 0, 100), epoch => 'new');
        $try->('the newest file in the place of another epoch', $new, do { my $x = $lock; substr($x, 72, 1) = chr(1 ^ ord substr $x, 72, 1); $x }, epoch => 'new');

        $try->('no lock file', $new, undef, epoch => 'new', log => $unknown);

        # both copied to another place are another file
        $try->('both from a copy', $new, sub {
            unlink "$file.lock"; spew("$file.lock", $lock);
        }, epoch => 'new', log => $unknown);
        $t->stop;
    }
};


$node->stop;
done_testing();
