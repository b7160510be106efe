#!/usr/bin/perl

# The module builds, without a warning, for what the README names: other
# versions of nginx, one without TLS, other processors, musl. If this fails, an
# operator of one of these cannot build it.
#
# The short form builds for an nginx without TLS, PCRE and cache; with --long
# for the nginx of each Debian suite, for arm64, and against musl.
#
# needs: builds

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Blockcast::Test ();

my $root = $Blockcast::Test::ROOT;
my $tmp = tempdir(CLEANUP => 1);
my $jobs = `nproc` + 0 || 1;

sub slurp { open my $fh, '<', $_[0] or return ''; local $/; return scalar(<$fh>) // '' }

# Runs a shell command; returns its output, or undef when it failed.

sub sh {
    my ($name, $command) = @_;

    my $rc = system("( $command ) >$tmp/out 2>&1 </dev/null");
    my $text = slurp("$tmp/out");
    is($rc, 0, $name) or diag(join "\n", grep { /error:|warning:|undefined ref|^E:/ } split(/\n/, $text), substr $text, -800);
    return $rc == 0 ? $text : undef;
}

# Unpacks nginx's sources of a Debian suite; returns the folder.

sub nginx {
    my ($suite) = @_;
    my $dir = "$tmp/$suite";

    mkdir $dir;
    sh("the sources of nginx of $suite", "cd $root && bash -c '. conf/lib.sh; . t/build-nginx.sh; cd $dir"
        . " && bct_apt $suite-src apt-get source --tar-only --download-only nginx' && cd $dir && tar xf *.orig.tar.gz")
        // return;
    my ($nginx) = glob "$dir/nginx-*/";
    return $nginx;
}

# Configures with these options and builds; nginx's own flags make an error of
# each warning.

sub builds {
    my ($name, $nginx, $options, $target) = @_;

    my $configure = "./configure $options";
    $configure = qq(bash -c '. ./conf_flags; ./configure "\${NGX_CONF_FLAGS[\@]}" $options')
        if -f "$nginx/conf_flags";

    sh("$name: configure", "cd $nginx && rm -rf objs && $configure") // return;
    my $text = sh("$name: make", "cd $nginx && make -j$jobs $target") // return;
    like(slurp("$nginx/objs/Makefile"), qr/-Werror/, '... with each warning an error');
    is(() = $text =~ /warning:/g, 0, '... and none');
    return 1;
}

my $own = nginx('bookworm') or do { done_testing(); exit };

subtest 'without TLS, PCRE, cache, compiled in' => sub {
    builds('an nginx with less', $own, "--add-module=$root --without-pcre --without-http_rewrite_module"
        . ' --without-http-cache --without-http_gzip_module --without-http_limit_req_module'
        . ' --without-http_limit_conn_module --without-select_module --with-cc-opt=-O0', '') or return;

    mkdir "$tmp/logs";
    open my $fh, '>', "$tmp/nginx.conf" or die;
    print $fh "error_log $tmp/error.log; pid $tmp/pid; events { } http { blockcast_zone main 4m;"
        . " blockcast_stream s { blockcast_call c x; }"
        . " server { listen 127.0.0.1:1; location /ws { blockcast_websocket; }"
        . " location = /_n { blockcast_node; proxy_pass http://127.0.0.1:2/; } } }\n";
    close $fh;
    my $out = sh('it reads a configuration', "$own/objs/nginx -p $tmp -e $tmp/error.log -c $tmp/nginx.conf -t");
    like($out // '', qr/syntax is ok/, '... that is ok');
};

if ($ENV{BLOCKCAST_LONG}) {
    subtest 'as a dynamic module, without --with-compat' => sub {
        builds('Debian 12', $own, "--add-dynamic-module=$root --with-http_ssl_module --with-http_v2_module", 'modules');
    };

    for my $suite (qw(trixie sid)) {
        subtest "nginx of $suite" => sub {
            my $dir = "$tmp/$suite";
            mkdir $dir;
            sh("nginx-dev of $suite", "cd $root && bash -c '. conf/lib.sh; . t/build-nginx.sh; cd $dir"
                . " && bct_apt $suite apt-get download nginx-dev' && cd $dir && dpkg -x nginx-dev*.deb .") // return;
            builds($suite, "$dir/usr/share/nginx/src", "--add-dynamic-module=$root", '-f objs/Makefile modules');
        };
    }

    # The headers of the libraries are the same everywhere: what is compiled is
    # not linked.
    my @c = (glob("$root/src/*.c"), glob("$root/src/*/*.c"));
    my @include = map { "-I $_" } glob("$root/src/*/"), "$root/src";

    # The headers of the libraries alone, beside those of each compiler's own
    # libc. For musl those of Linux, too; its crypt.h, which nginx asks for, is
    # not in Debian's package.
    my $multiarch = `gcc -print-multiarch` =~ s/\n//r;
    my %headers = (arm64 => [], clang => [], musl => [qw(linux asm-generic), "$multiarch/asm"]);

    for (['arm64', 'aarch64-linux-gnu-gcc'], ['musl', 'musl-gcc'], ['clang', 'clang']) {
        my ($name, $cc) = @$_;
        subtest $name => sub {
            my $flags = '-O2 -W -Wall -Wpointer-arith -Wno-unused-parameter -Werror -g -fPIC';
            my $headers = "$tmp/include-$name";

            mkdir $headers;
            symlink $_, "$headers/" . s{.*/}{}r for map { glob "/usr/include/$_" } @{ $headers{$name} },
                qw(jq.h jv.h cbor.h cbor cjson zlib.h zconf.h openssl), "$multiarch/zconf.h";
            do { open my $fh, '>', "$headers/crypt.h" } if $name eq 'musl';

            sh('configure', "cd $own && rm -rf objs && ./configure --with-compat --without-pcre"
                . " --without-http_rewrite_module --add-dynamic-module=$root") // return;

            my @failed = grep {
                system("cd $own && $cc -c $flags @include -I src/core -I src/event -I src/event/modules -I src/os/unix"
                    . " -I objs -I src/http -I src/http/modules -idirafter $headers -o /dev/null $_ >$tmp/cc.out 2>&1") != 0
                    && (diag(substr slurp("$tmp/cc.out"), 0, 2000), 1)
            } @c;
            is_deeply(\@failed, [], "all compile with $cc");
        };
    }
}

done_testing();
