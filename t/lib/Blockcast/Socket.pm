package Blockcast::Socket;

# Test::Nginx::Socket for this module: `use Blockcast::Socket 'no_plan';` in
# place of `use Test::Nginx::Socket 'no_plan';`. t/README.md shows how a test in
# this form is written; in short, it adds
#
#   - the module is loaded; a configuration that uses it and declares no zone
#     gets one; every block looks for [alert] and [emerg] in the log unless it
#     says otherwise;
#   - share(http_config => ..., config => ..., node => ...): what the blocks of
#     a file have in common. nginx is started again only when a block's
#     configuration is another one than that of the block before;
#   - --- each: a table; the block is run once for each of its rows;
#   - --- shows, --- hides: words that an answer has, and that it has not;
#   - --- node: a simulated node, which answers what the block says;
#   - --- websocket, with --- ws_send, --- ws_like, --- ws_close: an exchange of
#     messages;
#   - --- handshake: a WebSocket handshake, good or not, and its answer;
#   - --- events_like, --- cors: an event stream, what a browser may read;
#   - --- until, --- until_log, --- data, --- stream_error: what is waited for;
#   - --- body_json: members of a JSON answer;
#   - a block with --- must_die is refused with exactly one message, which says
#     where the mistake is.
#
# %%PORT1%% ... %%PORT9%% are free ports, the same in all blocks of a file;
# %%NODE%% is the address of the simulated node, %%ROOT%% the repository.

# one nginx serves all blocks in a row that have the same configuration
BEGIN { $ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} //= 0 }

# listen on no other address
BEGIN {
    my ($port) = ($ENV{TEST_NGINX_SERVER_PORT} // 1984) =~ /(\d+)\z/;

    $ENV{TEST_NGINX_CLIENT_PORT} = $port;
    $ENV{TEST_NGINX_STREAM_PORT} //= $port + 1;
    $ENV{TEST_NGINX_SERVER_PORT} = "127.0.0.1:$port";
}

use Test::Nginx::Socket -Base;
use Blockcast::Test ();
use Blockcast::WebSocket ();
use Cwd ();
use Digest::MD5 ();
use File::Basename ();
use JSON::PP ();
use Time::HiRes ();
use Test::Nginx::Util ();

our @EXPORT = qw(run_tests share node body_of);
our @EXPORT_OK = qw(handshake_text);

our $ROOT = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../../..');
our $MODULE = $ENV{BLOCKCAST_MODULE}
    || "$ROOT/build/module/ngx_http_blockcast_module.so";

-f $MODULE or die "the module is not built, there is no $MODULE: run t/run\n";

my $JSON = JSON::PP->new->canonical->allow_nonref->allow_bignum->utf8;
my $PATIENCE = 20;      # seconds that a test waits for what has to come

my (%share, %port, $node);


# What the blocks have in common: http_config, config, node (sections of the
# same names; a block's own comes in place of them), conf_files, and tables, of
# which `--- each: NAME` takes one. It is called before run_tests().

sub share(@) {
    my (%more) = @_;

    exists $more{$_} and $share{$_} = $more{$_} for keys %more;
}


# The tests of the file, with its tables expanded.

{
    no warnings qw(redefine prototype);

    *run_tests = sub () {
        my $text = do { local $/; <main::DATA> };

        Test::Base::spec_string(_expand($text));
        Test::Nginx::Util::run_tests();
    };
}


# Blocks with `--- each`: the first line has names, each further line values for
# them, separated by " | ", or all by " || ". The block comes once for each line,
# with %%NAME%% replaced. Several tables in a block: every combination, and a
# table may use the names of those before it. A value is taken as it is; (none)
# is an empty one. Paragraphs of comments between blocks are left out: Test::Base
# would take them for the end of a section.

sub _expand($);

sub _expand($) {
    my ($text) = @_;
    my $out = '';

    for my $block (split /^(?====)/m, $text) {
        $block =~ s/\n\s*\n(?:#[^\n]*\n)+\s*\z/\n\n/;

        if ($block !~ s/^--- each(?:: (\w+))?\n(.*?)(?=^---|^===|\z)//ms) {
            $out .= $block;
            next;
        }

        my $table = defined $1 ? $share{tables}{$1} // die "there is no table $1\n" : $2;
        my ($head, @rows) = grep { /\S/ } split /\n/, $table;
        my $by = $head =~ /\|\|/ ? '||' : '|';
        my @names = map { s/^\s+|\s+$//gr } split /\Q$by\E/, $head;

        for my $row (@rows) {
            my @values = map { s/^\s+|\s+$//gr } split / \Q$by\E /, $row, scalar @names;
            my %value;
            @value{@names} = map { $_ eq '(none)' ? '' : $_ } @values;
            $out .= _expand($block =~ s/%%(\w+)%%/$value{$1} \/\/ "%%$1%%"/ger);
        }
    }

    return $out;
}


# The simulated node, started on first use: a Blockcast::Test without nginx.

sub node() {
    $node ||= Blockcast::Test->new(start => 0, node => { rate_limit => 1000000 });
    return $node;
}


# Lines of `--- node`:
#
#   METHOD RESULT                   what it answers, byte for byte
#   METHOD error JSON               an error object
#   METHOD fault {"fault":...}      see conf/simnode.mjs

my $told = '';     # the node knows this already

sub _set_node($) {
    my ($lines) = @_;

    return if $lines eq $told && $lines !~ /^\s*\S+\s+fault\b/m;
    $told = $lines;

    node()->node('DELETE', '/control/fault', {});

    for (grep { /\S/ } split /\n/, $lines) {
        my ($method, $what) = /^\s*(\S+)\s+(.*)/ or die "--- node: $_\n";

        if ($what =~ /^fault\s+\{(.*)/) {
            node()->node(POST => '/control/fault', qq({"method":"$method",$1));
        } elsif ($what =~ /^error\s+(.*)/) {
            node()->node(POST => '/control/set', qq({"method":"$method","error":$1}));
        } else {
            node()->node(POST => '/control/set', qq({"method":"$method","result":$what}));
        }
    }
}


my $NODE_LOCATION = <<'EOC';
    location = /_node {
        internal;
        blockcast_node;
        proxy_pass http://%%NODE%%/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
    }
EOC


# Replaces the placeholders of a text.

sub _fill($) {
    my ($text) = @_;

    $text =~ s/%%ROOT%%/$ROOT/g;
    $text =~ s/%%PORT(\d)%%/$port{$1} \/\/= Blockcast::Test::free_port()/ge;
    $text =~ s/%%NODE%%/node()->{node_addr}/ge;

    return $text;
}


add_block_preprocessor(sub {
    my ($block) = @_;

    if (!defined $block->main_config || $block->main_config !~ /load_module/) {
        $block->set_value('main_config', "load_module $MODULE;\n"
            . ($block->main_config // ''));
    }

    my $own = defined $block->config || defined $block->http_config;

    for my $name (qw(http_config config node conf_files)) {
        next if !defined $share{$name} || defined $block->$name
            || ($own && $name ne 'node');
        $block->set_value($name, $share{$name});
    }

    my $http = _fill($block->http_config // '');
    my $server = _fill($block->config // '');

    $http = "blockcast_zone main 4m;\n$http"
        if "$http$server" =~ /blockcast_/ && $http !~ /blockcast_zone/;

    if (defined $block->node) {
        $server = _fill($NODE_LOCATION) . $server
            if "$http$server" !~ /blockcast_node\s*(?:\w+\s*)?;/;
        _set_node($block->node);
    }

    $block->set_value('http_config', $http);

    # Test::Nginx compares this part alone with that of the block before
    $block->set_value('config', "$server\n# "
        . Digest::MD5::md5_hex($http . $block->main_config . ($block->conf_files // '')
            . ($block->log_level // ''))
        . "\n");

    # Test::Nginx writes files into html
    if (defined $block->conf_files) {
        $block->set_value('user_files',
            _fill($block->conf_files =~ s/^>>> (?=\S)/>>> ..\/conf\//mgr));
    }

    if (defined $block->must_die) {
        $block->set_value('suppress_stderr', 1);
        # nginx -t does not free its memory, which a sanitizer takes for a leak
        $ENV{LSAN_OPTIONS} = Blockcast::Test::without_leaks($ENV{BLOCKCAST_LSAN})
            if $ENV{BLOCKCAST_SANITIZE};
    } elsif ($ENV{BLOCKCAST_SANITIZE}) {
        $ENV{LSAN_OPTIONS} = $ENV{BLOCKCAST_LSAN} // '';
    }

    if (!defined $block->no_error_log && !defined $block->must_die
        && !defined $block->error_log)
    {
        $block->set_value('no_error_log', "[alert]\n[emerg]\n");
    }

    $block->set_value('request', 'GET /')
        if !defined $block->request && defined $block->handshake;
});


# The log of this nginx since it was started.

sub _log_file() { "$Test::Nginx::Util::ServRoot/logs/error.log" }

sub _log() { Blockcast::Test::slurp(_log_file()) }


# Checks that a configuration is refused with one message, which says where and
# names no internals of the module.

add_test_cleanup_handler(sub {
    my ($block) = @_;

    return if !defined $block->must_die;

    my $name = $block->name;
    my @lines = _log() =~ /\[emerg\] \d+#\d+: (.*)/g;

    Test::More::is(scalar @lines, 1, "$name - one message")
        or Test::More::diag(join "\n", @lines);
    Test::More::like($lines[0], qr/nginx\.conf:\d+|\.inc:\d+|^blockcast_zone/,
        "$name - that says where") if !defined $block->nowhere;
    Test::More::unlike(_log(), qr/\[alert\]|bc_int|bc_to|\xee\x80/,
        "$name - and nothing of the inside");
});


# Makes an HTTP request beside those of Test::Nginx.

sub _get($) {
    my ($path) = @_;

    return node()->request(GET => $path, port => $Test::Nginx::Util::ServerPortForClient)
        if $node;

    my $client = bless {}, 'Blockcast::Test';
    return $client->request(GET => $path, port => $Test::Nginx::Util::ServerPortForClient);
}


sub body_of($) { _get($_[0])->{body} }


# Waits for lines of the error log that match each of these patterns.

sub _log_has($$) {
    my ($block, $patterns) = @_;

    for my $re (grep { length } split /\n+/, $patterns // '') {
        Test::More::ok(Blockcast::Test::wait_for(sub { _log() =~ /$re/m },
            $PATIENCE), $block->name . " - the log has $re");
    }
}


# Sections that wait: `--- until` has a pattern of the body of the block's
# (first) request, or a path and a pattern in one line; `--- until_log`
# patterns of lines of the error log (`--- after_log`: after a WebSocket's
# messages, before it is closed); `--- data` lines `STREAM TEXT`: the data it
# has at last; `--- stream_error` lines `STREAM PATTERN`: the error of its row.

sub _wait($) {
    my ($block) = @_;
    my $name = $block->name;

    if (defined $block->until) {
        my $text = $block->until =~ s/\n\z//r;
        my ($path, $re) = $text =~ m{^(/\S+)\s+(.*)}s ? ($1, $2)
            : ((ref $block->request ? $block->request->[0] : $block->request)
                =~ m{^\s*\w+\s+(\S+)}, $text);
        my $r;

        Test::More::ok(Blockcast::Test::wait_for(sub {
            $r = _get($path);
            $r->{body} =~ /$re/s;
        }, $PATIENCE), "$name - $path becomes $re")
            or Test::More::diag("$r->{head}\n$r->{body}");
    }

    # what a stream's data becomes, byte for byte
    for (grep { /\S/ } split /\n/, $block->data // '') {
        my ($stream, $text) = /^\s*(\S+)\s+(.*)/s or die "--- data: $_\n";
        my $got = '';

        Blockcast::Test::wait_for(sub {
            $got = _get("/api/streams/$stream")->{body};
            $got = $1 if $got =~ /\A\{"type":"[^"]*","data":(.*),"timestamp":\d+,"seq":\d+(?:,"epoch":\d+)?\}\z/s;
            $got eq $text;
        }, $PATIENCE);
        Test::More::is($got, $text, "$name - the data of $stream");
    }

    # the error a stream has in the list
    for (grep { /\S/ } split /\n/, $block->stream_error // '') {
        my ($stream, $re) = /^\s*(\S+)\s+(.*)/ or die "--- stream_error: $_\n";
        my $error = '';

        Blockcast::Test::wait_for(sub {
            _get("/api/streams/$stream");
            my $list = eval { $JSON->decode(_get('/api/streams')->{body}) } // {};
            my ($row) = grep { $_->{name} eq $stream } @{ $list->{streams} // [] };
            ($error = $row->{error} // '') =~ /$re/;
        }, $PATIENCE);
        Test::More::like($error, qr/$re/, "$name - the error of $stream");
    }

    _log_has($block, $block->until_log);
}


# A member of a value, by steps: a name; in an array an index, "length", "*" (of
# each element), or name=text (the element with this member). Returns the member
# and whether it is there.

sub _member(@);

sub _member(@) {
    my ($at, $step, @more) = @_;

    return ($at, 1) if !defined $step;

    if (ref $at eq 'HASH') {
        return exists $at->{$step} ? _member($at->{$step}, @more) : (undef, 0);
    }

    return (undef, 0) if ref $at ne 'ARRAY';
    return ([map { (_member($_, @more))[0] } @$at], 1) if $step eq '*';
    return (scalar @$at, 1) if $step eq 'length';
    return $step < @$at ? _member($at->[$step], @more) : (undef, 0) if $step =~ /^\d+$/;

    my ($name, $text) = split /=/, $step, 2;
    my ($found) = grep { ($_->{$name} // '') eq ($text // '') } @$at;
    return $found ? _member($found, @more) : (undef, 0);
}


# Members of a JSON body: lines `PATH VALUE`, where PATH is like streams.0.name
# and VALUE is JSON, or /PATTERN/, or "missing".

sub _json($$$) {
    my ($name, $text, $lines) = @_;

    my $all = eval { $JSON->decode($text) };
    Test::More::ok(defined $all, "$name - JSON") or Test::More::diag($text);

    for (grep { /\S/ } split /\n/, $lines) {
        my ($path, $want) = /^\s*(\S+)\s+(.*)/ or die "--- body_json: $_\n";
        my ($at, $there) = _member($all, $path eq '.' ? () : split /\./, $path);

        if ($want eq 'missing') {
            Test::More::ok(!$there, "$name - no $path");
        } elsif ($want =~ m{^/(.*)/$}) {
            Test::More::like($there && defined $at ? ref $at ? $JSON->encode($at) : $at : '',
                qr/$1/, "$name - $path");
        } else {
            Test::More::is($there ? $JSON->encode($at) : 'missing',
                $JSON->encode($JSON->decode($want)), "$name - $path");
        }
    }
}


add_response_body_check(sub {
    my ($block, $body, $req_idx) = @_;

    # a body for GET, and none for HEAD and 304
    if (defined $block->body_if_get) {
        my $some = $block->request =~ /GET/ && ($block->error_code // 200) == 200;
        Test::More::is(length $body ? 1 : 0, $some ? 1 : 0,
            $block->name . ($some ? ' - a body' : ' - no body'));
    }

    return if !defined $block->body_json;

    my $lines = ref $block->body_json ? $block->body_json->[$req_idx] : $block->body_json;
    _json($block->name, $body, $lines);
});


# `--- websocket`: opened as `--- request` says (its path, with `--- more_headers`
# and `--- origin`: none when it is empty, (empty) when it has no value), then the lines of ws_send are sent, each a text message, and ws_like has a
# pattern for each message that is awaited, in this order; messages between them
# may be others. `--- ws_close: CODE` is the code of the server's Close; with
# `--- ws_code: CODE` the client closes with that one first.

sub _origin($);

sub _websocket($) {
    my ($block) = @_;

    my $name = $block->name;
    my ($path) = $block->request =~ m{^\s*\w+\s+(\S+)};
    my @headers = map { [split /:\s*/, $_, 2] }
        grep { /\S/ } split /\n/, $block->more_headers // '';
    my $status = $block->error_code // 101;

    my %origin = defined $block->origin ? (origin => _origin($block)) : ();
    my $ws = eval { Blockcast::WebSocket->connect(path => $path, may_fail => 1,
        port => $Test::Nginx::Util::ServerPortForClient, headers => \@headers, %origin) };

    if (!$ws) {
        Test::More::fail("$name - $@");
        return;
    }

    Test::More::is($ws->status, $status, "$name - status");

    if (defined $block->response_headers) {
        my $wanted = Test::Nginx::Util::parse_headers($block->response_headers);
        Test::More::is($ws->header($_), $wanted->{$_}, "$name - header $_")
            for sort keys %$wanted;
    }

    if ($ws->status != 101) {
        my $body = $ws->body;
        _shows($block, ($ws->head // '') . $body);
        Test::More::like($body, qr/$_/s, "$name - the body")
            for defined $block->response_body_like ? $block->response_body_like =~ s/\n\z//r : ();
        return;
    }

    $ws->send_text($_) for grep { length } split /\n/, $block->ws_send // '';

    my $all = '';

    for my $re (grep { length } split /\n/, $block->ws_like // '') {
        my ($text, @seen);

        while (defined($text = $ws->recv_message($PATIENCE))) {
            $all .= $text;
            last if $text =~ /$re/;
            push @seen, $text;
        }

        Test::More::ok(defined $text, "$name - a message like $re")
            or Test::More::diag(join "\n", @seen);
    }

    _shows($block, $all);

    # those that come in any order

    my @due = grep { length } split /\n/, $block->ws_any // '';
    my @seen;

    while (@due && defined(my $text = $ws->recv_message($PATIENCE))) {
        my @left = grep { $text !~ /$_/ } @due;
        push @seen, $text if @left == @due;
        Test::More::pass("$name - a message") for @left + 1 .. @due;
        @due = @left;
    }

    Test::More::fail("$name - a message like $_") || Test::More::diag(join "\n", @seen) for @due;

    _log_has($block, $block->after_log);

    $ws->close($block->ws_code =~ /(\d+)/ ? $1 : ()) if defined $block->ws_code;

    if (defined $block->ws_close) {
        my ($code) = $ws->recv_close($PATIENCE);
        Test::More::is($code, $block->ws_close =~ s/\s//gr, "$name - the server's Close");
        Test::More::ok($ws->wait_eof($PATIENCE), "$name - and the end");
    }

    $ws->drop;
}


# `--- shows`, `--- hides`: words that a text has, and that it has not. Of a
# WebSocket the text is all messages up to those of ws_like, of an event stream
# what is read for events_like; of an answer its head and its body, see below.

sub _shows($$) {
    my ($block, $text) = @_;

    my @missing = grep { index($text, $_) < 0 } split ' ', $block->shows // '';
    my @shown = grep { index($text, $_) >= 0 } split ' ', $block->hides // '';

    Test::More::is("@missing", '', $block->name . ' - shows all of: ' . $block->shows) if defined $block->shows;
    Test::More::is("@shown", '', $block->name . ' - shows nothing of: ' . $block->hides) if defined $block->hides;
    Test::More::diag($text) if @missing || @shown;
}

add_block_preprocessor(sub {
    my ($block) = @_;

    my @shows = split ' ', $block->shows // '';
    my @hides = split ' ', $block->hides // '';

    return if !@shows && !@hides || defined $block->websocket || defined $block->events_like;

    my $no = CORE::join '|', map { quotemeta } @hides;

    $block->set_value('response_body_like',
        '\A' . CORE::join('', map { "(?=.*\Q$_\E)" } @shows) . ($no ? "(?!.*(?:$no))" : ''))
        unless defined $block->response_body_like;
    $block->set_value('raw_response_headers_unlike', $no) if $no;
});


# `--- events_like`: an event stream, read until its text matches each of these
# patterns, one after the other. `--- cors`: what a browser reads of a head (the
# body may have no end): the status, Access-Control-Allow-Origin and
# -Credentials, "vary" when Vary has Origin, "exposed" when the ETag is;
# "-" for what is not there. Both with `--- origin`, as for a WebSocket.

sub _origin($) {
    my ($block) = @_;

    my $origin = ($block->origin // return) =~ s/\n//gr;
    return $origin eq '' ? undef : $origin eq '(empty)' ? '' : $origin;
}


sub _events($) {
    my ($block) = @_;

    my $name = $block->name;
    my ($method, $path) = $block->request =~ m{^\s*(\w+)\s+(\S+)};
    my @more = grep { /\S/ } split /\n/, $block->more_headers // '';
    my $origin = _origin($block);

    push @more, "Origin: $origin" if defined $origin;
    unshift @more, 'Host: localhost' unless grep { /^Host:/ } @more;

    # a client of WebSockets reads the head of any answer
    my $c = Blockcast::WebSocket->connect(handshake => 0,
        port => $Test::Nginx::Util::ServerPortForClient);
    $c->send_raw(CORE::join "\r\n", "$method $path HTTP/1.1", @more, '', '');
    $c->read_head($PATIENCE);

    if (defined $block->cors) {
        Test::More::is(Blockcast::Test::cors($c->head // ''), $block->cors =~ s/\n//gr, "$name - CORS");
    } else {
        Test::More::is($c->status, $block->error_code // 200, "$name - status");
    }

    my $wanted = Test::Nginx::Util::parse_headers($block->response_headers // '');
    Test::More::is($c->header($_), $wanted->{$_}, "$name - header $_") for sort keys %$wanted;

    for my $section (qw(raw_response_headers_like raw_response_headers_unlike)) {
        my $re = $block->$section // next;
        $re =~ s/\n\z//;
        my $found = ($c->head // '') =~ /$re/ms;
        Test::More::ok($section =~ /unlike/ ? !$found : $found, "$name - $section $re")
            or Test::More::diag($c->head);
    }

    my ($text, $all, $end) = ('', '', Time::HiRes::time() + $PATIENCE);

    for my $re (grep { length } split /\n/, $block->events_like // '') {
        my $found;

        while (1) {
            while ($c->{buf} =~ /^([0-9a-f]+)\r\n/i
                && length $c->{buf} >= CORE::length($&) + hex($1) + 2)
            {
                $text .= substr $c->{buf}, CORE::length($&), hex $1;
                $all .= substr $c->{buf}, CORE::length($&), hex $1;
                substr($c->{buf}, 0, CORE::length($&) + hex($1) + 2) = '';
            }

            last if $found = $text =~ s/\A.*?(?:$re)//ms;
            $c->_fill($end) or last;
        }

        Test::More::ok($found, "$name - events like $re") or Test::More::diag($text);
    }

    # do not read a body that the block does not look at: it may take long
    _shows($block, $c->status == 200 ? $all : ($c->head // '') . $c->body)
        if defined $block->shows || defined $block->hides;
    $c->drop;
}


# `--- handshake`: a WebSocket handshake that differs from a good one in these
# lines: `Name: VALUE` in place of the header, `Name: (none)` without it,
# `+Name: VALUE` beside it; `GET /path HTTP/1.1` is the first line (of /echo
# unless told), `raw` leaves out all that is not there. A body follows an empty
# line. `--- port`: another one than that of the block's server.
#
# `--- error_code: 101` unless told. An accepted one has what belongs to it
# (`--- accept` is its Sec-WebSocket-Accept; `--- extensions` what is agreed to,
# "none" unless told) and echoes a message. A refused one says in one sentence
# (`--- response_body_like`) why, with the headers of its status.

my $KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

sub handshake_text($) {
    my ($lines) = @_;

    my ($head, $body) = split /\n\n/, $lines, 2;
    my @lines = split /\n/, $head;
    my $raw = grep { $_ eq 'raw' } @lines;
    my ($first) = grep { m{^[A-Z]+ /} } @lines;
    my @header = $raw ? (['Host', 'localhost']) : (['Host', 'localhost'],
        ['Upgrade', 'websocket'], ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Key', $KEY], ['Sec-WebSocket-Version', '13']);

    for (@lines) {
        my ($add, $name, $value) = /^(\+?)([\w-]+):\s?(.*)/ or next;
        my ($old) = grep { $_->[0] eq $name } @header;

        if ($value eq '(none)') { @header = grep { $_->[0] ne $name } @header }
        elsif ($old && !$add) { $old->[1] = $value }
        else { push @header, [$name, $value] }
    }

    $body //= '';
    $body =~ s/\n\z//;
    $body =~ s/\\r\\n/\r\n/g;

    return CORE::join("\r\n", $first // 'GET /echo HTTP/1.1',
        (map { "$_->[0]: $_->[1]" } @header), '', $body);
}


sub _handshake($) {
    my ($block) = @_;

    my $name = $block->name;
    my $status = $block->error_code // 101;
    my $text = handshake_text($block->handshake);
    my $ws = Blockcast::WebSocket->connect(handshake => 0, port => defined $block->port
        ? _fill($block->port) =~ s/\s//gr : $Test::Nginx::Util::ServerPortForClient);

    $ws->send_raw($text);
    $ws->read_head($PATIENCE);
    Test::More::is($ws->status, $status, "$name - status") or Test::More::diag($ws->head);

    if (defined $block->response_headers) {
        my $wanted = Test::Nginx::Util::parse_headers($block->response_headers);
        Test::More::is($ws->header($_), $wanted->{$_}, "$name - header $_")
            for sort keys %$wanted;
    }

    if (($ws->status // 0) == 101) {
        Test::More::like($ws->head, qr{^HTTP/1\.1 101 Switching Protocols\r\n}, "$name - 101");
        Test::More::is($ws->header('upgrade'), 'websocket', "$name - Upgrade");
        Test::More::is(lc $ws->header('connection'), 'upgrade', "$name - Connection");
        Test::More::is($ws->header('sec-websocket-accept'),
            ($block->accept // 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=') =~ s/\s//gr, "$name - accept");
        Test::More::is($ws->header('sec-websocket-extensions') // 'none',
            ($block->extensions // 'none') =~ s/\n//gr, "$name - extensions");
        Test::More::is($ws->header($_), undef, "$name - no $_") for qw(content-length
            transfer-encoding content-type sec-websocket-protocol);

        if ($text =~ m{^GET /echo}) {
            $ws->send_text('hello');
            Test::More::is($ws->recv_message($PATIENCE), 'hello', "$name - a message passes");
        }

        $ws->drop;
        return;
    }

    Test::More::like($ws->header('content-type'), qr{^text/plain}, "$name - text");
    Test::More::is($ws->header('cache-control'), 'no-store', "$name - kept by no cache");
    Test::More::is($ws->header('sec-websocket-accept'), undef, "$name - no accept");

    if ($text !~ /^HEAD/) {
        my $body = $ws->body;
        my $re = ($block->response_body_like // '') =~ s/\n\z//r;
        Test::More::like($body, qr/$re/s, "$name - the sentence says why");
        Test::More::like($body, qr/\A[A-Z][^\n]*\.\n\z|\A[A-Z][^\n]*\)\.\n\z/,
            "$name - it is one sentence");
    }

    if ($status == 426) {
        Test::More::is($ws->header('upgrade'), 'websocket', "$name - Upgrade");
        Test::More::like($ws->header('connection'), qr/\bupgrade\b/i, "$name - Connection");
        Test::More::is($ws->header('sec-websocket-version'), '13', "$name - version");
    }

    Test::More::is($ws->header('allow'), 'GET', "$name - Allow") if $status == 405;
    $ws->drop;
}


my $served = '';
my $http = $Test::Nginx::Util::RunTestHelper;

$Test::Nginx::Util::RunTestHelper = sub {
    my ($block, $dry_run, $repeated) = @_;

    # of an nginx that serves this block, too, only what it logs from now on
    $Test::Nginx::Util::ErrLogFilePos = -s _log_file() if $block->config eq $served;
    $served = $block->config;

    _wait($block);

    # an ETag that is known only now
    for my $section (qw(more_headers response_headers)) {
        my $text = $block->$section // next;
        next if ref $text;
        $block->set_value($section, $text) if $text =~ s{%%ETAG(PART)?\ (\S+?)%%}{
            my $etag = _get($2)->{headers}{etag} // 'none';
            $1 ? substr($etag, 0, -2) . '"' : $etag;
        }gex;
    }

    if (defined $block->handshake) {
        _handshake($block);
        $Test::Nginx::Util::CheckErrorLog->($block, undef, $dry_run, $repeated, 0);
        return;
    }

    if (defined $block->events_like || defined $block->cors) {
        _events($block);
        $Test::Nginx::Util::CheckErrorLog->($block, undef, $dry_run, $repeated, 0);
        return;
    }

    if (defined $block->websocket) {
        _websocket($block);
        $Test::Nginx::Util::CheckErrorLog->($block, undef, $dry_run, $repeated, 0);
        return;
    }

    return $http->($block, $dry_run, $repeated) if defined $block->request
        || defined $block->raw_request || defined $block->pipelined_requests;

    # nothing but what was waited for
    defined $block->data || defined $block->stream_error || defined $block->until_log
        or Test::More::fail($block->name . ' - neither a request nor anything to wait for');

    $Test::Nginx::Util::CheckErrorLog->($block, undef, $dry_run, $repeated, 0);
};

# Test::Nginx warns of every [emerg], those that a block asks for too.

my $quiet;

add_block_preprocessor(sub { $quiet = defined $_[0]->must_die });

$SIG{__WARN__} = sub {
    print STDERR $_[0] unless $quiet && $_[0] =~ /^WARNING: .*\[emerg\]/;
};

no_shuffle();
log_level('info');

1;
