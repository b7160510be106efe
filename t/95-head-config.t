#!/usr/bin/perl

# What blockcast_head and blockcast_poke may be given. If this fails, a mistake
# is taken without a word, a message names the wrong culprit, or shows a secret.

use strict;
use warnings;

use Test::More;

use Blockcast::Test;

my $M = q('message={"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}');

sub conf {
    my ($head, $stream, $server) = @_;

    return (http => "blockcast_stream s { blockcast_node n; blockcast_call c x.y; " . ($stream // '') . " }\n"
            . 'blockcast_stream two { blockcast_node n; blockcast_call c x.y; blockcast_call d x.z each=2 params_jq=[]; blockcast_jq .; }',
        server => "location = /_n { blockcast_node n; proxy_pass http://127.0.0.1:1/; $head }\n" . ($server // ''));
}

my $U = 'blockcast_head ws://127.0.0.1:8546';

for my $case (
    # what, location, stream, server, message (undef: it is fine)
    ['a plain one', "$U;"],
    ['all there is', "$U/path?key=x $M host=node.test ping=1s timeout=1s;", "blockcast_head $M result=c apart=100ms;"],
    ['an address of IPv6', 'blockcast_head ws://[::1]:8546/;'],
    ['no path', 'blockcast_head ws://127.0.0.1?x=y;'],
    ['a name', 'blockcast_head WS://localhost/;'],
    ['in a stream, without one at the node', '', "blockcast_head $M;"],
    ['off', "$U;", 'blockcast_head off;'],
    ['a message that is no JSON', "$U message=hello;"],
    ['blockcast_poke', '', '', 'location = /poke { blockcast_poke s two; } location ~ ^/p/ { if ($arg_x) { blockcast_poke; } }'],

    ['another scheme', 'blockcast_head http://127.0.0.1/;', '', '', qr{must begin with ws:// or wss://}],
    ['no host', 'blockcast_head ws:///path;', '', '', qr/no host in the host ""/],
    ['no such host', 'blockcast_head ws://nowhere.invalid/;', '', '', qr/host not found in the host "nowhere\.invalid"/],
    ['a bad port', 'blockcast_head ws://127.0.0.1:99999/;', '', '', qr/invalid port in the host "127\.0\.0\.1:99999"/],
    ['a user in it', 'blockcast_head ws://user:sekret@127.0.0.1/;', '', '', qr/has a user or a password in it: basic=FILE/],
    ['a fragment', 'blockcast_head ws://127.0.0.1/sekret#x;', '', '', qr/has a fragment/],
    ['a space', 'blockcast_head "ws://127.0.0.1/sekret x";', '', '', qr/must be percent-encoded/],
    ['a line end', "blockcast_head \"ws://127.0.0.1/sekret\r\nX: y\";", '', '', qr/must be percent-encoded/],
    ['twice', "$U; $U;", '', '', qr/"blockcast_head" directive is duplicate/],
    ['without a node', '', '', "location = /x { $U; }", qr/blockcast_head in .*:\d+ needs a blockcast_node in the same location/],
    ['an unknown parameter', "$U token=sekret;", '', '', qr/invalid parameter "token" of blockcast_head/],
    ['a bad host', "$U host=a/b;", '', '', qr/invalid parameter "host"/],
    ['a ping that is too short', "$U ping=99ms;", '', '', qr/"ping=99ms" of blockcast_head must be a time from 100ms to 10m/],
    ['a timeout that is none', "$U timeout=soon;", '', '', qr/"timeout=soon" of blockcast_head must be a time/],
    ['no such file', "$U bearer=nothing-here;", '', '', qr/open\(\) ".*nothing-here" of the head at "127\.0\.0\.1:8546" failed/],
    ['two credentials', "$U bearer=%%PREFIX%%/token basic=%%PREFIX%%/user;", '', '', qr/has a second credential/],
    ['a token of two lines', "$U bearer=%%PREFIX%%/two;", '', '', qr{"\S+/two" of blockcast_head must be one line, a token}],
    ['a user without a password', "$U basic=%%PREFIX%%/token;", '', '', qr{"\S+/token" of blockcast_head must be one line, USER:PASSWORD}],
    ['an empty file', "$U bearer=%%PREFIX%%/empty;", '', '', qr{"\S+/empty" of blockcast_head must be one line}],
    ['ca without TLS', "$U ca=%%PREFIX%%/token;", '', '', qr{"ca=\S+" of blockcast_head is for wss:// alone}],
    ['TLS by address', 'blockcast_head wss://127.0.0.1/;', '', '', qr/needs host=NAME, the name in the certificate of 127\.0\.0\.1:443/],
    ['a ca that is none', 'blockcast_head wss://localhost/ ca=%%PREFIX%%/token;', '', '', qr/SSL_CTX_load_verify_locations\(.*token.*\) failed/],
    ['an empty message', "$U message=;", '', '', qr/must be 1 to 4096 bytes of valid UTF-8/],
    ['a message that is not UTF-8', "$U \"message=\xff\";", '', '', qr/must be 1 to 4096 bytes of valid UTF-8/],
    ['half a message', "$U 'message={\"id\":1';", '', '', qr/begins like JSON, and is not valid JSON/],
    ['two messages with the same id', "$U $M 'message={\"id\":1,\"method\":\"x\"}';", '', '', qr/two messages of the blockcast_head in .* have the same id 1/],
    ['... one of a stream', "$U $M;", q(blockcast_head 'message={"id":1,"method":"x"}';), '', qr/two messages of the blockcast_head in .* have the same id 1/],
    ['a URL in a stream', "$U;", 'blockcast_head ws://127.0.0.1/;', '', qr/in stream "s"; a URL is for the location of its node/],
    ['a result of no call', "$U;", 'blockcast_head result=nope;', '', qr/"result=nope" of blockcast_head in stream "s" must name one of its calls/],
    ['apart', "$U;", 'blockcast_head apart=49ms;', '', qr/"apart=49ms" of blockcast_head in stream "s" must be a time from 50ms to 10m/],
    ['twice in a stream', "$U;", 'blockcast_head off; blockcast_head;', '', qr/"blockcast_head" directive is duplicate in stream "s"/],
    ['blockcast_poke of an unknown stream', '', '', 'location /poke { blockcast_poke nope; }', qr/"blockcast_poke" in .* names stream "nope", which is not declared/],
    ['blockcast_poke beside another', '', '', 'location /poke { blockcast_poke; blockcast_api; }', qr/"blockcast_api" in location "\/poke", which has another blockcast endpoint/],
    ['blockcast_head at http level', '', '', '} blockcast_head ws://127.0.0.1/; server {', qr/"blockcast_head" directive is not allowed here/],
) {
    my ($what, $location, $stream, $server, $re) = @$case;
    my $t = Blockcast::Test->new(conf($location, $stream, $server), start => 0);

    my %file = (token => "sekret-token\n", user => "u:sekret\n", two => "sekret\nb\n", empty => '');
    for (keys %file) { open my $fh, '>', $t->prefix . "/$_" or die; print $fh $file{$_}; close $fh }

    my ($out, $code) = $t->test_conf;

    if (!defined $re) {
        is($code, 0, "$what: fine") or diag($out);
        next;
    }

    is($code, 1, "$what: refused");
    like($out, $re, 'the message');
    is(scalar(() = $out =~ /\[emerg\]/g), 1, 'one message');
    unlike($out, qr/sekret/, 'which shows no secret');
}

done_testing();
