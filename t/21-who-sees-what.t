#!/usr/bin/perl

# Who sees what. If this fails, a visitor learns which streams there are that
# are not for him, how they do and who listens to them, by an address that was
# forgotten; or a load balancer without a token takes the gateway for dead.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my %token = (a => 'a-0123456789abcdef', b => 'b-0123456789abcdef', all => 'all-0123456789abcdef',
    gone => 'gone-0123456789abcdef', wrong => 'wrong-0123456789abcdef');

# one-alpha is well; two-beta asks a node that is not there; three-gamma is a
# log. Their names, those of their nodes and calls occur nowhere else.

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0, http => <<'EOF', server => <<'EOS');
    map $arg_who $granted {
        a       one-alpha;
        b       "two-beta three-gamma";
        all     "*";
        default "";
    }

    upstream node { server %%NODE%%; keepalive 8; }

    blockcast_stream one-alpha {
        blockcast_interval 200ms;
        blockcast_stale 60s;
        blockcast_always on;
        blockcast_node node_one;
        blockcast_call call-alpha net.stats;
    }
    blockcast_stream two-beta {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_node node_two;
        blockcast_call call-beta secret.method;
    }
    blockcast_stream three-gamma {
        blockcast_interval 200ms;
        blockcast_stale 60s;
        blockcast_always on;
        blockcast_node node_one;
        blockcast_call call-gamma receipt.audit;
        blockcast_jq '{receipts: [{id: 1}, {id: 2}]}';
        blockcast_log receipts key=id;
    }
EOF
    location = /_one {
        blockcast_node node_one;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host localhost;
    }
    location = /_two { blockcast_node node_two; proxy_pass http://127.0.0.1:1/; }
    location = /_idle { blockcast_node node_idle; proxy_pass http://127.0.0.1:1/; }

    # all
    location = /open/ws { blockcast_websocket; }
    location /open/api/ { blockcast_api; }
    location /open/events { blockcast_sse; }
    location = /open/health { blockcast_health; }
    location = /open/metrics { blockcast_metrics; }

    # what the location offers
    location = /some/ws { blockcast_websocket one-alpha; }
    location /some/api/ { blockcast_api one-alpha; }
    location /some/events { blockcast_sse one-alpha; }

    # what the token opens
    location /token {
        blockcast_tokens tokens;
        location = /token/ws { blockcast_websocket; }
        location /token/api/ { blockcast_api; }
        location /token/events { blockcast_sse; }
        location = /token/health { blockcast_health; }
        location = /token/metrics { blockcast_metrics; }
        location = /token/rest { blockcast_rest three-gamma; }
    }

    # what a variable grants
    location /var {
        blockcast_allow_streams $granted;
        location = /var/ws { blockcast_websocket; }
        location /var/api/ { blockcast_api; }
        location /var/events { blockcast_sse; }
        location = /var/health { blockcast_health; }
        location = /var/metrics { blockcast_metrics; }
        location = /var/rest { blockcast_rest three-gamma; }
    }

    # both
    location /both {
        blockcast_tokens tokens;
        blockcast_allow_streams $granted;
        location = /both/ws { blockcast_websocket; }
        location /both/api/ { blockcast_api; }
        location /both/events { blockcast_sse; }
        location = /both/health { blockcast_health; }
        location = /both/metrics { blockcast_metrics; }
        location = /both/rest { blockcast_rest three-gamma; }
    }
EOS

open my $fh, '>', $t->prefix . '/tokens' or die;
print $fh "$token{all} all\n$token{a} a one-alpha\n$token{b} b two-beta,three-gamma\n$token{gone} g one-alpah\n";
close $fh;

$t->start;

my @streams = qw(one-alpha two-beta three-gamma);
my @secrets = (@streams, qw(node_one node_two node_idle call-alpha call-beta call-gamma net.stats
    secret.method receipt.audit));

# what belongs to what one may see
my %a = map { $_ => 1 } qw(one-alpha node_one call-alpha net.stats);
my %b = map { $_ => 1 } qw(two-beta three-gamma node_one node_two call-beta call-gamma secret.method receipt.audit);
my %all = map { $_ => 1 } @secrets;

ok(wait_for(sub {
    my $h = $t->get_json('/open/health') // {};
    my %row = map { $_->{name} => $_ } @{ $h->{streams} // [] };
    my %node = map { $_->{name} => $_ } @{ $h->{nodes} // [] };
    return keys %row == 3 && keys %node == 3 && $row{'one-alpha'}{state} eq 'live'
        && $row{'three-gamma'}{state} eq 'live' && $row{'two-beta'}{error} && $node{'node_two'}{state} eq 'down';
}, 30), 'two streams are live, one has an error, its node is down; health without limits shows all')
    or diag($t->get('/open/health')->{body});


# Asks for an address as that asker: the status, and all of the text.

sub headers_of { my ($who) = @_; $who ? { Authorization => "Bearer $token{$who}" } : {} }


sub at { my ($path, $var) = @_; $path . ($var ? ($path =~ /\?/ ? '&' : '?') . "who=$var" : '') }


sub fetched {
    my ($path, $who, $var) = @_;
    my $r = $t->get(at($path, $var), headers => headers_of($who), timeout => 30);
    return ($r->{status}, $r->{head} . $r->{body});
}


# An event stream, until it has told of so many streams.

sub events {
    my ($path, $who, $var, $n) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) // die "connect: $!\n";
    my %h = %{ headers_of($who) };
    $s->syswrite('GET ' . at($path, $var) . " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . join('', map { "$_: $h{$_}\r\n" } keys %h) . "\r\n");

    my ($text, $end, %seen) = ('', time + 30);
    while (time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread($s, $text, 65536, length $text) or last;
        $seen{$_}++ for $text =~ /"(?:type|stream)":"((?:one|two|three)-\w+)"/g;
        last if $n && keys %seen >= $n || !$n && $text =~ /retry: /;
    }
    my ($status) = $text =~ m{^HTTP/1\.1 (\d+)};
    return ($status, $text);
}


# A WebSocket: its welcome, or what JSON-RPC lists.

sub websocket {
    my ($path, $who, $var, $protocol) = @_;

    return Blockcast::WebSocket->connect(port => $t->port, path => at($path, $var), may_fail => 1,
        $who ? (headers => [[Authorization => "Bearer $token{$who}"]]) : (),
        $protocol ? (subprotocol => $protocol) : ());
}


sub welcomed {
    my $ws = websocket(@_);
    return ($ws->status, $ws->body // '') if $ws->status != 101;
    my $f = $ws->recv(20);
    $ws->drop;
    return (101, $f->{payload});
}


sub listed {
    my $ws = websocket(@_, 'jsonrpc');
    return ($ws->status, $ws->body // '') if $ws->status != 101;
    $ws->send_json({ jsonrpc => '2.0', id => 1, method => 'streams' });
    my $f = $ws->recv(20);
    $ws->drop;
    return (101, $f->{payload});
}


# Each endpoint, each asker: token, variable, and what he may see or a status.

subtest 'each endpoint' => sub {
    my %ways = (
        open => [['', '', \%all]],
        some => [['', '', \%a]],
        token => [['', '', 401], ['wrong', '', 401], ['a', '', \%a], ['b', '', \%b], ['all', '', \%all], ['gone', '', {}]],
        var => [['', '', {}], ['', 'a', \%a], ['', 'b', \%b], ['', 'all', \%all], ['', 'typo', {}], ['a', 'b', \%b]],
        both => [['', 'all', 401], ['wrong', 'all', 401], ['a', 'all', \%a], ['all', 'b', \%b], ['a', 'b', {}],
            ['b', '', {}]],
    );

    # what an endpoint tells of what may be seen
    my @nodes = qw(node_one node_two);
    my %tells = ('api/streams' => [@streams], 'api/' => [@streams], 'api/health' => [@streams, @nodes],
        health => [@streams, @nodes], metrics => [@streams, @nodes, qw(call-alpha call-beta call-gamma)],
        ws => [@streams], 'ws of cbor' => [@streams], 'ws of jsonrpc' => [@streams], events => [@streams]);

    for my $way (sort keys %ways) {
        for my $case (@{ $ways{$way} }) {
            my ($who, $var, $may) = @$case;
            my $sees = ref $may ? $may : {};
            my $n = grep { $sees->{$_} } @streams;

            for my $endpoint (sort keys %tells) {

                next if $way eq 'some' && $endpoint =~ /^(?:health|metrics)$/;

                my $name = "$way $endpoint, token " . ($who || 'none') . ', variable ' . ($var || 'none');
                my ($path, $protocol) = split / of /, "/$way/$endpoint";
                my ($status, $text) =
                    $endpoint eq 'events' ? events($path, $who, $var, $n)
                    : ($protocol // '') eq 'jsonrpc' ? listed($path, $who, $var)
                    : $endpoint =~ /^ws/ ? welcomed($path, $who, $var, $protocol && "blockcast.v1.$protocol")
                    : fetched($path, $who, $var);

                my $want = ref $may ? $endpoint =~ /^ws/ ? 101 : 200 : $may;

                # a balancer has no token, and wants the status
                $want = 200 if $endpoint eq 'health' && !$who;

                # two-beta has no data, and who sees no stream hears of all
                $want = 503 if $want == 200 && $endpoint =~ /health/ && (!$n || $sees->{'two-beta'});

                is($status, $want, "$name: $want");

                my @shown = grep { $text =~ /(?<![\w-])\Q$_\E(?![\w-])/ || $protocol && $text =~ /\Q$_\E/ } @secrets;
                is_deeply([grep { !$sees->{$_} } @shown], [], 'nothing that is hidden') or diag($text);

                my %shown = map { $_ => 1 } @shown;
                is_deeply([grep { $sees->{$_} && !$shown{$_} } @{ $tells{$endpoint} }], [], 'and all that is not')
                    or diag($text);
            }
        }
    }
};


subtest 'A health that tells the status alone' => sub {
    my $h = $t->get_json('/token/health');
    is_deeply([sort keys %$h], ['status', 'timestamp'], 'health without a token: the status alone');
    is($h->{status}, 'failing', 'of all streams of the location');
    $h = $t->get_json('/token/health', headers => headers_of('a'));
    is($h->{status}, 'ok', 'with one: that of its streams');
    is_deeply([map { $_->{name} } @{ $h->{nodes} }], ['node_one'], 'and of their nodes');
    is($h->{node}{error}, undef, 'and the newest error among theirs');
    is(ref $h->{workers}, 'ARRAY', 'beside the workers');
    is($t->request(POST => '/token/health', body => 'x')->{status}, 405, 'POST');
    is($t->request(POST => '/token/metrics', body => 'x', headers => headers_of('a'))->{status}, 405, 'POST of metrics');
};


# What is hidden is as what is not there: the name is all that differs, and
# both are of the same length.

sub alike {
    my ($text, $name) = @_;
    $text =~ s/\Q$name\E/NAME/g;
    $text =~ s/^Date: .*\r\n//mgi;
    $text =~ s/"timestamp":\d+/"timestamp":0/g;
    $text =~ s/timestamp\x1a..../timestamp/gs;
    return $text;
}


subtest 'what is hidden is as what is not there' => sub {
    for my $way (['some', '', ''], ['token', 'a', ''], ['token', 'gone', ''], ['var', '', 'a'], ['var', '', ''],
        ['both', 'a', 'all'])
    {
        my ($at, $who, $var) = @$way;
        my $for = "$at, token " . ($who || 'none') . ', variable ' . ($var || 'none');

        for my $pair (['three-gamma', 'where-gamma'], ['two-beta', 'too-beta']) {
            my ($hidden, $none) = @$pair;

            for my $path ('api/streams/NAME', 'api/streams/NAME?wait=1s', 'api/streams/NAME?wait=x', 'api/NAME',
                'api/NAME?limit=x', 'api/NAME/', 'events/NAME', 'events?streams=NAME', 'events?streams=one-alpha,NAME')
            {
                my @two = map { [fetched("/$at/" . $path =~ s/NAME/$_/r, $who, $var)] } $hidden, $none;
                is($two[0][0], 404, "$for: $path of $hidden is 404");
                is(alike($two[0][1], $hidden), alike($two[1][1], $none), 'in the same words as what there is not');
            }

            for my $protocol ('blockcast.v1.json', 'blockcast.v1.cbor', 'jsonrpc') {
                my @two;

                for my $name ($hidden, $none) {
                    my $ws = websocket("/$at/ws", $who, $var, $protocol);
                    $ws->recv(20) if $protocol ne 'jsonrpc';

                    my @say = $protocol eq 'jsonrpc'
                        ? map { qq({"jsonrpc":"2.0","id":1,$_}) } qq("method":"subscribe","params":["$name"]),
                            qq("method":"subscribe","params":{"stream":"$name","since":1}),
                            qq("method":"subscribe","params":["$name",{"since":-1}])
                        : map { qq({"id":7,$_}) } qq("type":"subscribe","stream":"$name"),
                            qq("type":"subscribe","streams":["$name"],"since":1),
                            qq("type":"subscribe","stream":"$name","since":-1), qq("type":"unsubscribe","stream":"$name");

                    my $answers = '';
                    for my $text (@say) {
                        $ws->send_text($text);
                        my $f = $ws->recv(20);
                        $answers .= alike($f->{payload}, $name) . "\n";
                    }
                    $ws->drop;
                    push @two, $answers;
                }

                is($two[0], $two[1], "$for: $protocol says the same of $hidden and of what there is not");
                like($two[0], qr/unknown stream/, 'that it is unknown');
            }
        }
    }
};


subtest 'A location of one stream is there for all to see, but not its name' => sub {
    for my $case (['/token/rest', 'a', ''], ['/var/rest', '', 'a'], ['/both/rest', 'a', 'all']) {
        my ($status, $text) = fetched(@$case);
        is($status, 403, "$case->[0]: 403");
        unlike($text, qr/three-gamma/, 'without the name');
    }
    is((fetched('/token/rest', 'b', ''))[0], 200, 'and with the right token 200');
};

$t->stop;
done_testing();
