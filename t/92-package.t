#!/usr/bin/perl

# The Debian packages. If this fails, an operator who installs blockcast has a
# module that nginx does not load, presets that are not found, an nginx that
# does not start after an upgrade, or remains after a purge.
#
# The short form builds for this machine and uses what is in the packages from
# where they are unpacked; with --long they are built for Debian 12 and 13 and
# installed in bare systems.
#
# needs: package,web

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Blockcast::Test;

my $ROOT = $Blockcast::Test::ROOT;
my $out = ($ENV{BLOCKCAST_BUILD} || "$ROOT/build") . '/package';

my $node = Blockcast::Test->new(start => 0, node => { rate_limit => 1000000, dialect => 'both' });

sub slurp { open my $fh, '<', $_[0] or return ''; local $/; return scalar(<$fh>) // '' }
sub spew { open my $fh, '>', $_[0] or die "$_[0]: $!\n"; print $fh $_[1]; close $fh }

# A command that has to succeed; returns what it printed.

sub works {
    my ($name, @command) = @_;

    my $pid = open my $fh, '-|';
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec @command or print "$command[0]: $!\n";
        POSIX::_exit(127);
    }
    my $text = do { local $/; <$fh> } // '';
    close $fh;

    is($? >> 8, 0, $name) or diag(join(' ', @command), "\n", $text);
    return $text;
}


# The example of a site on a free port of 127.0.0.1, with the node of the test.

sub site {
    my ($text, %more) = @_;
    my $port = Blockcast::Test::free_port();

    $text =~ s/listen  8000 reuseport/listen 127.0.0.1:$port reuseport/ or die "the example does not listen\n";
    $text =~ s/127\.0\.0\.1:9933/$node->{node_addr}/ or die "the example has no node\n";
    $text =~ s/\Q$_\E/$more{$_}/g for keys %more;
    return ($text, $port);
}


# What the example serves: pages, REST, and a WebSocket with data.

sub serves {
    my ($port, $name) = @_;
    my $get = sub { $node->request(GET => $_[0], port => $port) };

    ok(wait_for(sub { my $r = eval { $get->('/api/health') }; $r && $r->{status} }, 30), "$name: it answers");

    my $page = $get->('/')->{body};
    like($page, qr/<script/, '... the dashboard');
    my ($asset) = $page =~ m{"[./]*(assets/[^"]+\.js)"};
    like($get->("/$asset")->{head}, qr/immutable/, '... an asset, to be kept') if ok($asset, '... names an asset');
    like($get->('/ws')->{head}, qr{^HTTP/1.1 426}, '... a WebSocket address');

    my $ws = Blockcast::WebSocket->connect(port => $port, path => '/ws');
    is($ws->recv_type('welcome')->{protocol}, 1, '... a welcome');
    ok($ws->subscribe('network_metrics'), '... subscribed');
    my $m = $ws->recv_type('network_metrics', 30);
    ok($m && defined $m->{data}{block_height}, '... and data of the node');
    $ws->close(1000);
    $ws->drop;
}


subtest 'built here' => sub {
    my $tmp = $node->prefix . '/unpacked';

    works('conf/package --here', "$ROOT/conf/package", '--here');

    my ($module) = glob "$out/here/libnginx-mod-http-blockcast_*.deb";
    my ($dashboard) = glob "$out/here/blockcast-dashboard_*.deb";
    ok($module && $dashboard, 'two packages') or return;

    like(works('its fields', 'dpkg-deb', '-f', $module, 'Depends'),
        qr/nginx-abi-[\d.-]+.*libjq1/, 'the module depends on the version of nginx that it fits');

    is(works('lintian', 'lintian', '--allow-root', '-I', '--fail-on', 'error,warning,info', $module, $dashboard),
        '', '... has nothing to say');

    works("unpack $_", 'dpkg-deb', '-x', $_, $tmp) for $module, $dashboard;

    ok(-f "$tmp/etc/nginx/presets/$_", "presets/$_") for map { s{.*/}{}r } glob "$ROOT/conf/presets/*";
    is(slurp("$tmp/usr/share/nginx/modules-available/mod-http-blockcast.conf"),
        "load_module modules/ngx_http_blockcast_module.so;\n", 'the module is loaded');

    my ($text, $port) = site(slurp("$tmp/usr/share/doc/libnginx-mod-http-blockcast/examples/blockcast.conf"),
        '/var/lib/blockcast/state' => "$tmp/state/feeds", '/var/log/nginx' => $tmp,
        '/usr/share/blockcast' => "$tmp/usr/share/blockcast");

    mkdir "$tmp/state";
    chown((getpwnam 'www-data')[2, 3], "$tmp/state") if $> == 0;

    spew("$tmp/etc/nginx/nginx.conf", join "\n",
        "load_module $tmp/usr/lib/nginx/modules/ngx_http_blockcast_module.so;",
        $> == 0 ? 'user www-data;' : '', 'daemon off;', "pid $tmp/pid;", "error_log $tmp/error.log;", 'events { }',
        'http {', 'include /etc/nginx/mime.types;',
        (map { "${_}_temp_path $tmp/$_;" } qw(client_body proxy fastcgi uwsgi scgi)), $text, '}', '');

    my @nginx = ($ENV{BLOCKCAST_NGINX} || '/usr/sbin/nginx', '-p', $tmp, '-c', "$tmp/etc/nginx/nginx.conf",
        '-e', "$tmp/error.log");
    works('nginx -t', @nginx, '-t');

    my $pid = $node->spawn("$tmp/out", @nginx);
    serves($port, 'the example, unpacked');
    kill 'QUIT', $pid;
    waitpid $pid, 0;
    is($?, 0, 'it ends') or diag(slurp("$tmp/error.log"));
};


# Installed, in a bare system.

for my $debian ($ENV{BLOCKCAST_LONG} && $> == 0 ? (12, 13) : ()) {
    subtest "Debian $debian" => sub {
        my $root = (split /\n/, works('a bare system', "$ROOT/conf/package", '--root', $debian))[-1];

        works("conf/package $debian", "$ROOT/conf/package", $debian);
        my ($module) = glob "$out/$debian/libnginx-mod-http-blockcast_*.deb";
        my ($dashboard) = glob "$out/$debian/blockcast-dashboard_*.deb";
        ok($module && $dashboard, 'two packages') or return;

        # a copy, for the system that packages are built in is kept
        my $sys = $node->prefix . "/debian$debian";
        works('a copy of it', 'cp', '-a', '--reflink=auto', $root, $sys);

        my @in = ('unshare', '--mount', '--pid', '--fork', '--kill-child', "--mount-proc=$sys/proc", 'chroot', $sys,
            '/usr/bin/env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive');
        my $in = sub { my $name = shift; works("$debian: $name", @in, @_) };
        my $has = sub { -e "$sys$_[0]" || -l "$sys$_[0]" };
        my @apt = ('apt-get', '-y', '--no-install-recommends');

        mkdir "$sys/debs";
        works('copy', 'cp', $module, $dashboard, "$sys/debs/");

        $in->('apt-get update', 'apt-get', 'update');
        $in->('apt-get install', @apt, 'install', 'nginx', map { '/debs/' . s{.*/}{}r } $module, $dashboard);
        $in->('nginx -t, as installed', 'nginx', '-t');
        is(readlink "$sys/etc/nginx/modules-enabled/50-mod-http-blockcast.conf",
            '/usr/share/nginx/modules-available/mod-http-blockcast.conf', 'the module is enabled');
        is($in->('the folder of the state', 'stat', '-c', '%U:%G %a', '/var/lib/blockcast'), "www-data:www-data 700\n", '... is of www-data');
        like($in->('what it depends on', 'dpkg-query', '-W', '-f=${Depends}', 'libnginx-mod-http-blockcast'),
            qr/nginx-abi-/, '... is the version of nginx that it fits');

        # the example, as its head says
        my ($text, $port) = site(slurp("$sys/usr/share/doc/libnginx-mod-http-blockcast/examples/blockcast.conf"));
        spew("$sys/etc/nginx/sites-available/blockcast", $text);
        symlink '../sites-available/blockcast', "$sys/etc/nginx/sites-enabled/blockcast";
        unlink "$sys/etc/nginx/sites-enabled/default";
        $in->('nginx -t with the example', 'nginx', '-t');

        my $start = sub {
            my $pid = $node->spawn("$sys/nginx.out", @in, 'nginx', '-g', 'daemon off;');
            serves($port, "Debian $debian, $_[0]");
            return $pid;
        };

        # unshare's child is nginx: the first process in there
        my $stop = sub {
            my ($master) = split /\s+/, slurp("/proc/$_[0]/task/$_[0]/children");
            ok($master, 'nginx runs') && kill 'QUIT', $master;
            waitpid $_[0], 0;
        };

        my $pid = $start->('installed');
        my $epoch = decode_json($node->request(GET => '/api/streams', port => $port)->{body})->{epoch};

        ok(wait_for(sub { -s "$sys/var/log/nginx/blockcast.log" }, 20), 'the log of the site');
        $in->('apt-get install logrotate', @apt, 'install', 'logrotate');
        like($in->('logrotate', 'logrotate', '-d', '/etc/logrotate.d/nginx'),
            qr{considering log /var/log/nginx/blockcast\.log}, '... is rotated with those of nginx');
        $stop->($pid);

        # an upgrade, with a preset that was changed
        spew("$sys/etc/nginx/presets/solana.conf", "# mine\n");
        my $next = "$sys/debs/next";
        works('unpack', 'dpkg-deb', '-R', $module, $next);
        spew("$next/DEBIAN/control", slurp("$next/DEBIAN/control") =~ s/^(Version: .*)$/$1.1/mr);
        works('pack', 'dpkg-deb', '-b', $next, "$sys/debs/next.deb");
        $in->('upgrade', @apt, 'install', '/debs/next.deb');
        like($in->('the version', 'dpkg-query', '-W', 'libnginx-mod-http-blockcast'), qr/\.1$/, '... is the next one');
        is(slurp("$sys/etc/nginx/presets/solana.conf"), "# mine\n", 'what was changed is kept');
        $in->('nginx -t after the upgrade', 'nginx', '-t');
        $pid = $start->('upgraded');
        is(decode_json($node->request(GET => '/api/streams', port => $port)->{body})->{epoch}, $epoch,
            '... goes on in its epoch');
        $stop->($pid);

        unlink "$sys/etc/nginx/sites-enabled/blockcast";
        $in->('remove', @apt, 'remove', 'libnginx-mod-http-blockcast');
        $in->('nginx -t after the removal', 'nginx', '-t');
        ok(!$has->('/etc/nginx/modules-enabled/50-mod-http-blockcast.conf'), 'it is not loaded any more');
        ok($has->('/var/lib/blockcast/state'), 'the state is kept');

        $in->('install again', @apt, 'install', '/debs/next.deb');
        ok($has->('/etc/nginx/modules-enabled/50-mod-http-blockcast.conf'), 'it is loaded again');

        $in->('purge', @apt, 'purge', 'libnginx-mod-http-blockcast', 'blockcast-dashboard');
        $in->('nginx -t after the purge', 'nginx', '-t');
        ok(!$has->($_), "$_ is gone") for '/var/lib/blockcast', '/etc/nginx/presets', '/usr/share/blockcast',
            '/etc/nginx/modules-enabled/50-mod-http-blockcast.conf',
            '/etc/nginx/modules-enabled/50-mod-http-blockcast.conf.removed',
            '/usr/lib/nginx/modules/ngx_http_blockcast_module.so';

        works('remove the copy', 'rm', '-rf', $sys);
    };
}

$node->stop;
done_testing();
