#!/usr/bin/perl

# A stream that is hidden is like one that does not exist. If this fails, a
# visitor finds out by its name that there is one, and by what is said of it
# how it does.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my %token = (a => 'a-0123456789abcdef', gone => 'gone-0123456789abcdef');

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0, http => <<'EOF', server => <<'EOS');
    map $arg_who $granted {
        a       one-alpha;
        all     "*";
        default "";
    }

    blockcast_stream one-alpha {
        blockcast_interval 200ms;
        blockcast_stale 60s;
        blockcast_always on;
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
        blockcast_call call-gamma receipt.audit;
        blockcast_jq '{receipts: [{id: 1}, {id: 2}]}';
        blockcast_log receipts key=id;
    }
EOF
    location = /_node {
        blockcast_node;
        proxy_pass http://%%NODE%%/;
        proxy_set_header Host localhost;
    }
    location = /_two { blockcast_node node_two; proxy_pass http://127.0.0.1:1/; }

    location = /some/ws { blockcast_websocket one-alpha; }
    location /some/api/ { blockcast_api one-alpha; }
    location /some/events { blockcast_sse one-alpha; }

    location /token {
        blockcast_tokens tokens;
        location = /token/ws { blockcast_websocket; }
        location /token/api/ { blockcast_api; }
        location /token/events { blockcast_sse; }
    }
    location /var {
        blockcast_allow_streams $granted;
        location = /var/ws { blockcast_websocket; }
        location /var/api/ { blockcast_api; }
        location /var/events { blockcast_sse; }
    }
    location /both {
        blockcast_tokens tokens;
        blockcast_allow_streams $granted;
        location = /both/ws { blockcast_websocket; }
        location /both/api/ { blockcast_api; }
        location /both/events { blockcast_sse; }
    }
    location = /all/health { blockcast_health; }
EOS

open my $fh, '>', $t->prefix . '/tokens' or die;
print $fh "$token{a} a one-alpha\n$token{gone} g one-alpah\n";
close $fh;

$t->start;

ok(wait_for(sub {
    my %row = map { $_->{name} => $_ } @{ ($t->get_json('/all/health') // {})->{streams} // [] };
    return keys %row == 3 && $row{'one-alpha'}{state} eq 'live' && $row{'three-gamma'}{state} eq 'live'
        && $row{'two-beta'}{error};
}, 30), 'two streams are live, one has an error') or diag($t->get('/all/health')->{body});


sub headers_of { my ($who) = @_; $who ? { Authorization => "Bearer $token{$who}" } : {} }


sub at { my ($path, $var) = @_; $path . ($var ? ($path =~ /\?/ ? '&' : '?') . "who=$var" : '') }


sub fetched {
    my ($path, $who, $var) = @_;
    my $r = $t->get(at($path, $var), headers => headers_of($who), timeout => 30);
    return ($r->{status}, $r->{head} . $r->{body});
}


# A WebSocket of that asker.

sub websocket {
    my ($path, $who, $var, $protocol) = @_;

    return Blockcast::WebSocket->connect(port => $t->port, path => at($path, $var), may_fail => 1,
        $who ? (headers => [[Authorization => "Bearer $token{$who}"]]) : (), subprotocol => $protocol);
}


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

$t->stop;
done_testing();
