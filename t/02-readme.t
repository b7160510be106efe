#!/usr/bin/perl

# What the README shows. If this fails, whoever pastes a configuration or a
# command out of it gets an error, reads of a directive that is none or of a
# default that does not hold, or follows a link to nowhere.
#
# Each fenced block of the README is taken out and tried. A block "sh" is run by
# sh and by bash, with the repository as its folder. A block "nginx" is started;
# it is a whole nginx.conf, or the comment before it says of what it is a part:
#
#   <!-- test: in http -->, <!-- test: in server -->
#       the rest is that of frame() below, without what the block brings itself
#   <!-- test: in server, GET PATH is STATUS with TEXT -->
#       and that request is answered so (TEXT is a regular expression)
#   <!-- test: NAME -->
#       see %special: what has to be done to see that it works
#   <!-- test: not run (WHY) -->
#
# Folders of the system (/etc/nginx, /var/www, ...) are folders of the test, and
# the ports 8000 and 9933 free ones: see local_text().
#
# needs: web

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

our $TODO;

my $root = $Blockcast::Test::ROOT;
my $readme = Blockcast::Test::slurp("$root/README.md");

my $t = Blockcast::Test->new(node => { dialect => 'real' }, start => 0);
my $prefix = $t->prefix;
my $nginx = Blockcast::Test::nginx_binary();

# Debian's nginx is what README builds for
my $debian = $nginx eq '/usr/sbin/nginx' && !$ENV{BLOCKCAST_SANITIZE}
    && -f '/usr/share/nginx/src/conf_flags';

mkdir "$prefix/$_" or die "$_: $!\n"
    for qw(modules bin etc etc/modules-enabled www log);
symlink Blockcast::Test::module_path(), "$prefix/modules/ngx_http_blockcast_module.so";


# The blocks: { lang, how, text, line }.

sub blocks {
    my ($text) = @_;

    my (@blocks, $in, $how, $line);

    for (split /^/, $text) {
        $line++;

        if ($in) {
            if (/^```$/) { push @blocks, $in; undef $in; undef $how; next }
            $in->{text} .= $_;
            next;
        }

        if (/^```(\w*)$/) { $in = { lang => $1, how => $how // '', text => '', line => $line } }
        elsif (/^<!-- test: (.*) -->$/) { $how = $1 }
        elsif (defined $how) { fail("README.md:$line: a block is under its comment"); undef $how }
    }

    return @blocks;
}


# Folders and ports of the README, as they are here.

sub local_text {
    my ($text) = @_;

    for ($text) {
        s{/usr/lib/nginx/modules}{$prefix/modules}g;
        s{/var/log/nginx}{$prefix/log}g;
        s{/etc/nginx}{$prefix/etc}g;
        s{/var/www}{$prefix/www}g;
        s{\bbuild/nginx\b}{$prefix/nginx-src}g;
        s{127\.0\.0\.1:8000}{127.0.0.1:%%PORT1%%}g;
        s{(listen +)8000}{${1}127.0.0.1:%%PORT%%};
        s{localhost:8000}{127.0.0.1:%%PORT%%}g;
        s{(127\.0\.0\.1|localhost|10\.0\.0\.1):9933}{$t->{node_addr}}g;
        s{redis://10\.0\.0\.\d}{redis://127.0.0.1:1}g;
    }

    return $text;
}


# A whole configuration around a part of one.

sub frame {
    my (%part) = (http => '', server => '', @_);

    my $all = "$part{http}$part{server}";
    my $http = $part{http};

    $http = "blockcast_zone main 8m;\n$http" if $all !~ /blockcast_zone/;
    $http .= <<'END' if $all !~ /blockcast_stream|presets\//;
blockcast_stream network_metrics {
    blockcast_interval 1s;
    blockcast_call     header  light.latest_header;
    blockcast_jq       '{block_height: .results.header.height}';
}
END
    $http .= "upstream node { server 127.0.0.1:9933; }\n" if $all !~ /upstream node/;

    my $server = $part{server};

    $server .= "location /api/ { blockcast_api; }\n" if $all !~ m{location\s+/api/} && !$part{proxy};
    $server .= "location = /_node { blockcast_node; proxy_pass http://node/; proxy_set_header Host localhost; }\n"
        if $all !~ /blockcast_node/;

    return "load_module modules/ngx_http_blockcast_module.so;\nevents { }\nhttp {\n$http\n"
        . "server {\nlisten 8000;\n$server\n}\n}\n";
}


# A whole configuration, started; what every one needs to run here is put before
# it, and at the beginning of http. Beside it lies what is in etc.

sub start_conf {
    my ($conf) = @_;

    my $user = $> == 0 ? "user www-data;\n" : '';

    $conf = local_text($conf);
    my $temp = join '', map { "    ${_}_temp_path %%PREFIX%%/tmp/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);
    $conf =~ s/^http \{\n\K/    access_log %%PREFIX%%\/access.log;\n$temp/m or die "no http in $conf";

    my $c = Blockcast::Test->new(start => 0, conf => "${user}daemon off;\n"
        . "pid %%PREFIX%%/nginx.pid;\nerror_log %%PREFIX%%/error.log info;\n$conf");

    symlink "$prefix/modules", $c->prefix . '/modules';
    symlink $_, $c->prefix . s{.*/}{/}r for glob "$prefix/etc/*";

    return $c->start;
}


# A command, by one shell. Returns what it printed, and the exit code.

sub shell {
    my ($shell, $text, %env) = @_;

    local @ENV{keys %env} = values %env;
    local $ENV{PATH} = "$prefix/bin:$ENV{PATH}";
    local $ENV{MAKEFLAGS} = '-j2';

    open my $fh, '>', "$prefix/command" or die "command: $!\n";
    print $fh "cd '$root' || exit 1\nset -e\n", $text;
    close $fh;

    my $out = `$shell $prefix/command 2>&1 </dev/null`;

    return ($out, $? >> 8);
}


sub program {
    my ($name, $text) = @_;

    open my $fh, '>', "$prefix/bin/$name" or die "$name: $!\n";
    print $fh "#!/bin/sh\n$text\n";
    close $fh;
    chmod 0755, "$prefix/bin/$name";
}

my @blocks = blocks($readme);
my %tried;

cmp_ok(scalar(grep { $_->{lang} eq 'nginx' } @blocks), '>=', 9, 'blocks of configuration are found');
cmp_ok(scalar(grep { $_->{lang} eq 'sh' } @blocks), '>=', 9, 'and commands');
is(join(' ', grep { !/^(?:nginx|sh)$/ } map { $_->{lang} } grep { length $_->{lang} } @blocks), '',
    'and no other kinds');
unlike($_->{text}, qr/^\s*(?:blockcast_|conf\/run|t\/run|location |server \{)/m, "README.md:$_->{line}: no code without its kind")
    for grep { $_->{lang} eq '' } @blocks;


# Configurations. The one that is whole is asked by the command below it.

my ($whole, $whole_conf);


sub answers {
    my ($c, $what, $path, $status, $re) = @_;

    my $r;
    wait_for { $r = $c->get($path); $r->{status} == $status && $r->{body} =~ /$re/ } 30;
    ok($r->{status} == $status && $r->{body} =~ /$re/, "$what: GET $path is $status with $re")
        or diag("$r->{status} $r->{body}\n", $c->error_log);
}


sub subscribed {
    my ($c, $what, %opt) = @_;

    my $ws = eval { $c->ws('/ws', %opt) };
    ok($ws && $ws->status == 101, "$what: a WebSocket opens") or diag($@, $c->error_log);
    return unless $ws;
    $ws->send_json({ type => 'subscribe', stream => 'network_metrics' });
    ok($ws->recv_type('network_metrics', 30), "$what: and has data");
    $ws->close(1000);
}


sub try_conf {
    my ($b) = @_;

    my $what = "README.md:$b->{line}";
    my $how = $b->{how};
    my $text = $b->{text};

    if ($how eq '') {
        $whole_conf = $text;
        $whole = start_conf($text);
        subscribed($whole, $what);
        return;
    }

    if ($how =~ /^in server, as a proxy/) {
        # without our own port, for it is the one of the configuration above
        my $port = $whole->port;
        my $c = start_conf(frame(server => $text, proxy => 1) =~ s/127\.0\.0\.1:8000/127.0.0.1:$port/r);

        subscribed($c, $what, host => 'localhost');
        $c->stop;
        return;
    }

    my ($where, $path, $status, $re) = $how =~ /^in (http|server)(?:, GET (\S+) is (\d+) with (.*))?$/
        or return fail("$what: what is \"$how\"?");

    my $c = eval { start_conf(frame($where => $text)) };
    ok($c, "$what: in $where: starts") or return diag($@);

    answers($c, $what, $path, $status, $re) if $path;

    if ($text =~ /blockcast_tokens/) {
        my ($token) = Blockcast::Test::slurp("$prefix/etc/tokens") =~ /^(\S+)/;
        my @page = (origin => 'https://www.example.com');
        my @token = (headers => [[Authorization => "Bearer $token"]]);
        is($c->ws('/ws', @page, may_fail => 1)->status, 401, "$what: nobody without a token");
        is($c->ws('/ws', @token, origin => 'https://evil.example', may_fail => 1)->status, 403,
            "$what: no other page");
        subscribed($c, $what, @page, @token);
    }

    if ($text =~ m{access_log (\S+)}) {
        my $log = local_text($1);
        $c->get('/api/streams');
        ok(wait_for(sub { Blockcast::Test::slurp($log) =~ /^127\.0\.0\.1 200 .* in:/m }, 20), "$what: and is written to");
    }

    $c->stop;
}


# Commands.

sub both {
    my ($b, $code) = @_;

    for my $shell ('sh', 'bash') {
        $code->("README.md:$b->{line}: by $shell", $shell);
    }
}


sub succeeds {
    my ($what, $shell, $text, %env) = @_;

    my ($out, $code) = shell($shell, $text, %env);
    is($code, 0, $what) or diag($text, $out);
    return $out;
}


my %special = (

    # conf/run, with free ports and the module that is tested
    'starts' => sub {
        my ($b, $what, $shell) = @_;

        my ($http, $ws) = (free_port(), free_port());
        my %env = (BLOCKCAST_STATE => "$prefix/state-$http", BLOCKCAST_MODULE => Blockcast::Test::module_path(),
            BLOCKCAST_NGINX => $nginx, HTTP_HOST => '127.0.0.1', HTTP_PORT => $http, WS_HOST => '127.0.0.1',
            WS_PORT => $ws, BLOCKCAST_ASAN => Blockcast::Test::without_leaks($ENV{BLOCKCAST_ASAN}));
        local @ENV{keys %env} = values %env;

        my $log = "$prefix/run-$http.log";
        my $pid = $t->spawn($log, $shell, '-c', "cd '$root' && " . local_text($b->{text}));

        ok(wait_for(sub { Blockcast::Test::slurp($log) =~ /^  logs /m }, 40), "$what: starts")
            or diag(Blockcast::Test::slurp($log));
        is($t->get('/', port => $http)->{status}, 200, "$what: the dashboard is there");
        is($t->get('/events?streams=nope', port => $http)->{status}, 404, "$what: events, too");
        is($t->get('/ws', port => $http)->{status}, 426, "$what: and the WebSocket");
        kill 'INT', -$pid;
        ok(wait_for(sub { waitpid($pid, 1) == $pid }, 30), "$what: Ctrl-C ends it");
    },

    'asks the configuration above' => sub {
        my ($b, $what, $shell) = @_;

        my ($out, $port) = ('', $whole->port);
        my $text = local_text($b->{text}) =~ s/%%PORT%%/$port/gr;
        wait_for { ($out) = shell($shell, $text); $out =~ /"block_height"/ } 30;
        like($out, qr/^\{"type":"network_metrics","data":\{.*"block_height":/, $what);
    },

    'builds' => sub {
        my ($b, $what, $shell) = @_;

        return pass("$what: built for Debian's nginx alone") unless $debian;

        # what the other shell has compiled is not compiled again
        program('make', $shell eq 'sh' ? 'exec /usr/bin/make "$@"' : 'exec /usr/bin/make -n "$@"');
        program('install', $shell eq 'sh' ? 'exec /usr/bin/install "$@"' : 'exit 0');
        # Debian makes the folder with the first package of a module
        system 'rm', '-rf', "$prefix/modules" if $shell eq 'sh';
        system 'rm', '-rf', "$prefix/nginx-src";
        my $out = succeeds($what, $shell, local_text($b->{text}));
        like($out, qr/adding module in \Q$root\E/, "$what: nginx is configured with the module");
        unlink "$prefix/bin/make", "$prefix/bin/install";
    },

    'loads' => sub {
        my ($b, $what, $shell) = @_;

        open my $fh, '>', "$prefix/load.conf" or die $!;
        print $fh "include $prefix/etc/modules-enabled/*.conf;\nerror_log stderr;\npid $prefix/load.pid;\nevents { }\n"
            . "http { blockcast_zone main 1m; access_log off; client_body_temp_path $prefix/tmp/body;"
            . " proxy_temp_path $prefix/tmp/proxy; fastcgi_temp_path $prefix/tmp/fastcgi;"
            . " uwsgi_temp_path $prefix/tmp/uwsgi; scgi_temp_path $prefix/tmp/scgi; }\n";
        close $fh;
        program('nginx', "exec env ASAN_OPTIONS=detect_leaks=0 $nginx -p $prefix -c $prefix/load.conf -e stderr \"\$@\"");
        unlink glob "$prefix/etc/modules-enabled/*";
        like(succeeds($what, $shell, local_text($b->{text})), qr/test is successful/, "$what: it loads");
        unlink "$prefix/bin/nginx", glob "$prefix/etc/modules-enabled/*";
    },

    'builds the dashboard' => sub {
        my ($b, $what, $shell) = @_;

        # t/run has built it: that npm's packages come and build is its matter
        program('npm', 'echo npm "$@"');
        system 'rm', '-rf', "$prefix/www/blockcast";
        my $out = succeeds($what, $shell, local_text($b->{text}));
        ok(-f "$prefix/www/blockcast/index.html", "$what: it is in its place");
        my $package = $Blockcast::Test::JSON->decode(Blockcast::Test::slurp("$root/web/package.json"));
        ok($package->{scripts}{$_}, "$what: npm run $_ is there") for $out =~ /run (\S+)/g;
        unlink "$prefix/bin/npm";
    },

    'runs' => sub {
        my ($b, $what, $shell) = @_;

        succeeds($what, $shell, local_text($b->{text}));
    },

    # it would run itself
    'lists' => sub {
        my ($b, $what, $shell) = @_;

        my $text = $b->{text} =~ s/^(t\/run.*)$/$1 --list/mgr;
        like(succeeds($what, $shell, $text, BLOCKCAST_NGINX => ''), qr/02-readme\.t/, "$what: finds suites");
    },
);


for my $b (@blocks) {
    next if $b->{lang} eq '';

    if ($b->{lang} eq 'nginx') { try_conf($b); $tried{conf}++; next }

    next if $b->{how} =~ /^not run \(.+\)$/;

    my $code = $special{$b->{how}};
    ok($code, "README.md:$b->{line}: what is done with the command is known") or next;
    both($b, sub { $code->($b, @_) });
    $tried{$b->{how}}++;
}

is(join(' ', grep { !$tried{$_} } sort keys %special), '', 'every kind of command was met');
$whole->stop if $whole;


# The reference and the tables of directives in the sources: the same names, in
# the same contexts, with the same defaults.

my $source = join '', map { Blockcast::Test::slurp($_) } split /\n/, `find $root/src -name '*.[ch]'`;
my ($reference) = $readme =~ /^## Directives\n(.*?)^## /ms;

my %documented;

for (split /^(?=### )/m, $reference) {
    my ($name) = /^### (blockcast_\w+)\n/ or next;
    my $section = $_;

    fail("$name has one section") if $documented{$name};

    # Syntax, of one or several lines, Default, Context
    while ($section =~ /((?:^Syntax: .*\\\n)+)^Default: (.*)\\\n^Context: (.*)\n\n\S/mg) {
        my ($syntax, $default, $context) = ($1, $2, $3);
        push @{ $documented{$name} }, { default => $default, context => $context };
        like($_, qr/^Syntax: `\Q$name\E(?: [^`]+)?(?:;|\{ … \})`\\$/, "the syntax of $name") for split /\n/, $syntax;
        like($default, qr/^(?:—|`\Q$name\E \S[^`]*;`)$/, "the default of $name");
    }

    ok($documented{$name}, "$name has Syntax, Default and Context");
}

my %flag = (MAIN => 'http', SRV => 'server', LOC => 'location', LIF => 'if in location');
my %table;

while ($source =~ /\{ ngx_string\("(blockcast_\w+)"\),\s*([A-Z_|0-9\s]*NGX_CONF_[A-Z_|0-9\s]*),([^{}]*)\}/g) {
    my ($name, $flags, $rest) = ($1, $2, $3);
    $flags =~ s/NGX_HTTP_BLOCKCAST_ENDPOINT/NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF/;
    $table{$name} = { context => [map { $flags =~ /NGX_HTTP_${_}_CONF/ ? $flag{$_} : () } qw(MAIN SRV LOC LIF)],
        field => $rest =~ /offsetof\(\w+,\s*(\w+)\)/ ? $1 : undef };
}

push @{ $table{$1}{context} }, 'blockcast_stream' while $source =~ /^    \{ "(blockcast_\w+)", \d+, \d+\b/mg;

cmp_ok(scalar(keys %table), '>=', 38, 'the tables are found in the sources');
is(join(' ', sort keys %documented), join(' ', sort keys %table), 'the README has the directives that there are');

is(join(', ', sort map { split /, / } map { $_->{context} } @{ $documented{$_} }), join(', ', sort @{ $table{$_}{context} }),
    "the contexts of $_") for grep { $documented{$_} } sort keys %table;

sub value {
    my ($v) = @_;

    return 0 + $1 if $v =~ /^(\d+)(?:ms)?$/;
    return $1 * { k => 1024, m => 1048576 }->{$2} if $v =~ /^(\d+)([km])$/;
    return $1 * 1000 if $v =~ /^(\d+)s$/;
    return $1 * $2 if $v =~ /^(\d+) \* (\d+)$/;
    return { on => 1, off => 0 }->{$v} // $v;
}

my $defaults = 0;

for my $name (sort keys %table) {
    my $field = $table{$name}{field} // ($name =~ /^blockcast_(interval|always|max_size)$/ ? $1 : next);
    my ($set) = $source =~ /ngx_conf_(?:merge|init)_\w*value\((?:conf|st|\w+)->$field,\s*(?:prev->$field,\s*)?([^;]+?)\);/;
    my ($told) = $documented{$name}[0]{default} =~ /^`$name (\S+);`$/;

    next unless defined $set && defined $told;

    $set =~ s/^ngx_http_blockcast_(?:protocol_)?json$/json/i;
    $set = $field eq 'log_at_start' ? ('end', 'start')[$set] : value($set);
    $set = 64 if $set eq 'NGX_HTTP_BLOCKCAST_STREAMS';
    is(value($told), $set, "the default of $name holds");
    $defaults++;
}

cmp_ok($defaults, '>=', 12, 'defaults are found in the sources');


# The variables of conf/run.

{
    my $run = Blockcast::Test::slurp("$root/conf/run");
    my ($start) = $readme =~ /^## Start\n(.*?)^## /ms;
    my %default = (BLOCKCAST_STATE => 'run', BLOCKCAST_LOGS => 'files');

    while ($start =~ /^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| ([^|]*?) *\|/mg) {
        my ($variables, $defaults) = ($1, $2);
        my @names = $variables =~ /\w+/g;
        my @values = $defaults =~ /`([^`]*)`/g;

        for my $name (@names) {
            my $value = shift @values;
            my ($set) = $run =~ /\$\{$name:-(?:\$bc_root\/)?([^}]*)\}/;
            ok(defined $set, "conf/run knows $name");
            is($value // '', $set, "and its default") unless $name eq 'SSL_CERT_FILE';
            delete $default{$name};
        }
    }

    is_deeply(\%default, {}, 'and all are told of');
}


# The bounds that it tells: the outermost values are taken, the next are not.

my @bounds = (
    # what it says, where, a line with %s, taken, refused
    ['from 50ms', 'stream', 'blockcast_interval %s; blockcast_stale 1m;', [qw(50ms)], [qw(49ms)]],
    ['256 to 64m', 'stream', 'blockcast_max_size %s;', [qw(256 64m)], [qw(255 65m)]],
    ['1 to 256\. Up to', 'stream', 'blockcast_call d m each=%s params_jq=.; blockcast_jq .;', [qw(1 256)], [qw(0 257)]],
    ['1 to 1000000\)', 'stream', 'blockcast_log f key=k keep=%s;', [qw(1 1000000)], [qw(0 1000001)]],
    ['4k to 1g;', 'stream', 'blockcast_log f key=k size=%s;', [qw(4k)], [qw(4095 1025m)]],
    ['1 to 10000\)', 'stream', 'blockcast_log f key=k page=%s;', [qw(1 10000)], [qw(0 10001)]],
    ['1k to 1g\)', 'server', 'location /n { blockcast_node n max_reply=%s; proxy_pass http://127.0.0.1:1; }', [qw(1k 1024m)], [qw(1023 1025m)]],
    ['100ms to 10m', 'server', 'location /n { blockcast_node n backoff=%s; proxy_pass http://127.0.0.1:1; }', [qw(100ms 10m)], [qw(99ms 601s)]],
    ['1 to 1024m', 'server', 'blockcast_max_message %s;', [qw(1 1024m)], [qw(0 1025m)]],
    ['128k to 1024m', 'server', 'blockcast_max_queue %s;', [qw(128k 1024m)], [qw(127k 1025m)]],
    ['to at a time, from 1', 'server', 'blockcast_max_subscriptions %s;', [qw(1)], [qw(0)]],
    ['16 to 512 letters', 'server', 'blockcast_tokens %s;', [qw(t16 t512)], [qw(t15 t513)]],
    ['at most', 'nodes', '%s', [32], [33]],
    ['64 streams at most', 'streams', '%s', [64], [65]],
    ['1 to 63 of the', 'name', '%s', ['n' x 63], ['n' x 64]],
    ['about 160k and', 'zone', 'blockcast_zone z %s;', [qw(176k)], [qw(150k)]],
);

for (@bounds) {
    my ($says, $where, $line, $taken, $refused) = @$_;

    like($reference, qr/$says/, "the README says: $says");

    for my $value (@$taken, @$refused) {
        my $text = sprintf $line, $value;
        my $http = $where eq 'zone' ? $text : "blockcast_zone z 400m;\n";
        my $server = $where eq 'server' ? $text : '';

        $http .= "blockcast_stream s { blockcast_call c m; $text }\n" if $where eq 'stream';
        $http .= join '', map { "blockcast_stream s$_ { blockcast_max_size 1k; blockcast_call c m; }\n" } 1 .. $value if $where eq 'streams';
        $http .= "blockcast_stream $value { blockcast_call c m; }\n" if $where eq 'name';
        $server .= join '', map { "location /n$_ { blockcast_node n$_; proxy_pass http://127.0.0.1:1; }\n" } 2 .. $value if $where eq 'nodes';
        $server .= "location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }\n";

        my $c = Blockcast::Test->new(start => 0, http => $http, server => $server);

        for my $len (15, 16, 512, 513) {
            open my $fh, '>', $c->prefix . "/t$len" or die $!;
            print $fh 'a' x $len, "\n";
        }

        my ($out, $code) = $c->test_conf;
        my $good = grep { $_ eq $value } @$taken;
        is($code, $good ? 0 : 1, sprintf '%.60s is %s', $text eq $value ? "$where $value" : $text, $good ? 'taken' : 'refused') or diag($out);
    }
}


# Links between the documents, and what the top of the repository holds.

sub anchors {
    my ($text) = @_;

    return map { my $h = lc; $h =~ s/[^\w\- ]//g; $h =~ tr/ /-/; $h => 1 } $text =~ /^#+ (.*)$/mg;
}

my $links = 0;

for my $from ('README.md', 'conf/README.md', 'src/PROTOCOL.md', 't/bench/README.md') {
    my $text = Blockcast::Test::slurp("$root/$from");
    my ($folder) = $from =~ m{^(.*/)} ? $1 : '';

    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my ($file, $anchor) = split /#/, $1, 2;
        next if $file =~ /^https?:/;

        my $path = length $file ? "$root/$folder$file" : "$root/$from";
        $links++;

        local $TODO = $file =~ m{^(?:src|t)/README\.md$} && !-e $path ? 'is still to be written' : undef;
        ok(-e $path, "$from: $file is there");
        next unless defined $anchor;

        my %there = anchors(Blockcast::Test::slurp($path));
        ok($there{$anchor}, "$from: so is #$anchor");
    }
}

cmp_ok($links, '>=', 20, 'links are found');

my %top = map { $_ => 1 } qw(config README.md LICENSE CHANGELOG.md src t web conf Dockerfile);
is(join(' ', grep { !$top{$_} && !/^\./ } split /\n/, `cd $root && git ls-files 2>/dev/null | sed 's,/.*,,' | sort -u`), '',
    'nothing else is at the top of the repository');

$t->stop;

done_testing();
