#!/usr/bin/perl

# Nodes of many makers, and their ways to speak JSON-RPC. If this fails, a node
# that answers is taken for one that is down, its data does not come, or an
# operator reads another reason than the node's.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Blockcast::Dialects;
use Blockcast::Test;

my $node = Blockcast::Dialects->new;
my @names = sort keys %Blockcast::Dialects::DIALECT;
my ($streams, $places) = ('', '');

# each dialect twice: call by call, and in batches

my @nodes = grep { $_->[1] ne 'b-http405' } map { my $name = $_; map { [$name, $_] } $name, "b-$name" } @names;

for (@nodes) {
    my ($name, $n) = @$_;

    my $params = $n =~ /^b-/ ? ' batch=8' : '';

    $places .= "        location = /n-$n { blockcast_node $n$params; proxy_pass http://127.0.0.1:$node->{port}/$name/; "
        . "proxy_http_version 1.1; proxy_set_header Connection ''; }\n";

    $streams .= <<"EOS";
    blockcast_stream $n {
        blockcast_node      $n;
        blockcast_interval  500ms;
        blockcast_always    on;
        blockcast_call      ok    d.ok   'params=[18446744073709551615,"$n"]' timeout=10s;
        blockcast_call      err   d.err  params=[1] timeout=10s;
        blockcast_call      fb    d.none params=[2] fallback=d.ok timeout=10s;
        blockcast_call      each  d.ok   'params_jq=range(3) | [., "each"]' each=3 timeout=10s;
        blockcast_call      none  d.none params=[3] timeout=10s;
        blockcast_jq        '{ok: .results.ok, err: .errors.err, fb: .results.fb, each: .results.each, none: .errors.none.message}';
    }
EOS

    next if $n ne $name;

    $streams .= <<"EOS";
    blockcast_stream e-$n {
        blockcast_node      $n;
        blockcast_interval  500ms;
        blockcast_always    on;
        blockcast_call      err   d.err  params=[4] timeout=10s;
    }
EOS
}

# as strict as the specification, and a reply that a helper reads

$places .= "        location = /n-strict { blockcast_node strict strict=on; proxy_pass http://127.0.0.1:$node->{port}/bitcoin/; }\n";
$streams .= <<'EOS';
    blockcast_stream strict {
        blockcast_node      strict;
        blockcast_interval  200ms;
        blockcast_always    on;
        blockcast_call      c  d.ok params=[5] timeout=10s;
    }
    blockcast_stream limit {
        blockcast_node      two;
        blockcast_interval  200ms;
        blockcast_always    on;
        blockcast_call      c  d.limit timeout=10s;
    }
EOS

for my $name (qw(bitcoin b-bitcoin strings b-strings doubles)) {
    $streams .= <<"EOS";
    blockcast_stream l-$name {
        blockcast_node      $name;
        blockcast_interval  2s;
        blockcast_always    on;
        blockcast_call      c  d.ok 'params_jq=["x" * 100000, 5]' timeout=20s;
        blockcast_jq        '[(.results.c[0] | length), .results.c[1], .errors.c.message]';
    }
EOS
}

my $t = Blockcast::Test->new(workers => 1, http => "blockcast_zone main 64m;\n$streams", server => <<"EOS");
        location /api/ { blockcast_api; }
        location = /health { blockcast_health; }
$places
EOS

sub node_row {
    my ($name) = @_;

    my $health = $t->get_json('/health');
    my ($row) = grep { $_->{name} eq $name } @{ $health->{nodes} };

    return $row;
}

for (@nodes) {
    my ($name, $n) = @$_;

    my $d = $Blockcast::Dialects::DIALECT{$name};
    my $error = $d->{error} ? $d->{error}->(1, -28, 'Loading block index...')->[1] : '"code":-28';
    my ($code) = $error =~ /"code":"?(-28)/;

    subtest $n => sub {
        my ($row, $data);

        if ($n eq 'b-warming') {
            ok(wait_for(sub { ($row = $t->row($n))->{error} }, 20), 'an error for all of a batch');
            like($row->{error}, qr/Loading block index\.\.\./, 'is what each call of it gets');

        } else {
            ok(wait_for(sub { $data = $t->value($n) }, 20), 'data') or return;
            is_deeply($data->{ok}, ['18446744073709551615', $n], 'a result, byte for byte');
            is($data->{err}{message}, ($name eq 'words' ? 'E_NODE: ' : '') . 'Loading block index...', 'an error');
            is($data->{err}{code}, $code, 'its code');
            is_deeply($data->{fb}, [2], 'the method that a call falls back to');
            is_deeply($data->{each}, [map { [$_, 'each'] } 0 .. 2], 'each');
            my $missing = $name =~ /^http(\d+)/ ? ($n =~ /^b-/ ? '.' : "HTTP $1")
                : quotemeta($d->{missing} // 'Method not found');
            like($data->{none}, qr/$missing|method not found/i, 'a method that it does not have');
        }

        # what fails for ever is no reason to take the node for one that is down

        if ($n eq $name) {
            ok(wait_for(sub { ($row = $t->row("e-$n"))->{polls} >= 5 }, 30), 'an error five times');
            like($row->{error}, qr/^d\.err: .*Loading block index\.\.\.$/, 'is the stream\'s');

        } else {
            ok(wait_for(sub { $t->row($n)->{polls} >= 5 }, 30), 'five batches');
        }

        is(node_row($n)->{state}, 'ok', 'and the node lives') or diag explain node_row($n);
    };
}

subtest 'strict' => sub {
    my $row;
    ok(wait_for(sub { ($row = $t->row('strict'))->{error} =~ /bad reply/ }, 20), 'JSON-RPC 1.0 is refused');
    like($row->{error}, qr/^d\.ok: bad reply: the member "jsonrpc" is missing/, 'with the reason');
    ok(wait_for(sub { node_row('strict')->{state} eq 'down' }, 20), 'and its node is no such node');
};

subtest 'limited' => sub {
    my $row;
    ok(wait_for(sub { ($row = $t->row('limit'))->{error} =~ /asked again/ }, 20), 'the call is made less often');
    like($row->{error}, qr/^d\.limit: daily request count exceeded, request rate limited \(asked again in \d+ s\)$/, 'with the reason');
};

for my $name (qw(bitcoin b-bitcoin strings b-strings doubles)) {
    my $data;
    ok(wait_for(sub { $data = $t->value("l-$name") }, 20), "$name: a large reply");
    is_deeply($data, [100000, 5, undef], "$name: is read as others are");
}

subtest 'batches' => sub {
    my @posts = grep { $_->[0] eq 'POST' } $node->asked('two');
    my @batches = grep { $_->[3] =~ /^\[/ } @posts;

    ok(@batches > 5, 'the calls of a poll come in one POST') or diag scalar @batches;
    ok(!(grep { @{ JSON::PP::decode_json($_->[3]) } > 8 } @batches), 'of 8 calls at most');

    for my $name ('single', 'single400') {
        my @refused = grep { $_->[3] =~ /^\[/ } $node->asked($name);
        is(scalar @refused, 1, "$name: a node that takes none is asked once");
    }

    like($t->error_log, qr/node "b-single" does not take a batch of calls, it gets them one by one: parse error/,
        'which is in the log');
};

$t->stop;
done_testing();
