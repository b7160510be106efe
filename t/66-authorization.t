#!/usr/bin/perl

# The credentials of a node. If this fails, a node that asks for a password is
# not answered to, is no more after its restart, or the password is where others
# read it.

use strict;
use warnings;

use MIME::Base64 ();
use Test::More;
use Blockcast::Dialects;
use Blockcast::Test;

my $node = Blockcast::Dialects->new;

sub header {
    my ($name) = @_;

    my ($last) = reverse $node->asked($name);
    my ($value) = ($last // [undef, undef, ''])->[2] =~ /^Authorization: *(.*?)\r$/im;

    return $value // '';
}

sub basic { 'Basic ' . MIME::Base64::encode_base64($_[0], '') }

my @streams = map { "blockcast_stream $_ { blockcast_node $_; blockcast_interval 100ms; blockcast_always on; blockcast_call c d.ok params=[1] timeout=10s; }" }
    qw(two bitcoin one);

my $t = Blockcast::Test->new(workers => 1, start => 0, http => "blockcast_zone main 8m;\n" . join("\n", @streams), server => <<"EOS");
        location /api/ { blockcast_api; }
        location = /health { blockcast_health; }
        location = /n-two { blockcast_node two authorization_file=cookie; proxy_pass http://127.0.0.1:$node->{port}/two/; }
        location = /n-bitcoin { blockcast_node bitcoin authorization_file=%%PREFIX%%/tmp/late batch=5; proxy_pass http://127.0.0.1:$node->{port}/bitcoin/; }
        location = /n-one { blockcast_node one authorization_file=token; proxy_pass http://127.0.0.1:$node->{port}/one/; }
EOS

sub spew {
    my ($file, $text) = @_;

    $file = $t->prefix . "/$file";
    open my $fh, '>', "$file.new" or die "$file: $!\n";
    print $fh $text;
    close $fh;
    chmod 0644, "$file.new";
    rename "$file.new", $file or die "$file: $!\n";
}

spew('cookie', "__cookie__:first%41/+secret\n");
spew('token', "topsecret");
$t->start;

ok(wait_for(sub { $t->row('two')->{seq} }, 20), 'an answer');
is(header('two'), basic('__cookie__:first%41/+secret'), 'user and password, as they are');
ok(wait_for(sub { header('one') eq 'Bearer topsecret' }, 20), 'a text without a colon is a token');

spew('cookie', "__cookie__:second-secret\r\nmore\n");
ok(wait_for(sub { header('two') eq basic('__cookie__:second-secret') }, 20), 'a file that changes is read again');

spew('token', 'basic c2VjcmV0OnNlY3JldA==');
ok(wait_for(sub { header('one') eq 'basic c2VjcmV0OnNlY3JldA==' }, 20), 'a whole value stays as it is');

subtest 'a file that comes later' => sub {
    ok(wait_for(sub { $t->row('bitcoin')->{polls} > 2 }, 20), 'the node is asked');
    is(header('bitcoin'), '', 'without credentials');
    ok(wait_for(sub { $t->error_log =~ /authorization_file ".*late" of node "bitcoin" cannot be found: the node is asked without credentials/ }, 20), 'which is in the log');
    spew('tmp/late', 'user:secret');
    ok(wait_for(sub { header('bitcoin') eq basic('user:secret') }, 20), 'and with them when it is there');
};

subtest 'a file that is no such file' => sub {
    spew('token', "a\0b:secret");
    ok(wait_for(sub { header('one') eq '' }, 20), 'is not sent');
    ok(wait_for(sub { $t->error_log =~ /"one" has characters that are not text/ }, 20), 'which is in the log');
    spew('token', 'x' x 5000);
    ok(wait_for(sub { $t->error_log =~ /"one" has a line that is too long/ }, 20), 'a long one');
    spew('token', "\n");
    ok(wait_for(sub { $t->error_log =~ /"one" is empty/ }, 20), 'an empty one');
    spew('token', 'again:secret');
    ok(wait_for(sub { header('one') eq basic('again:secret') }, 20), 'until it is good again');
};

$t->reload;
ok(wait_for(sub { header('two') eq basic('__cookie__:second-secret') }, 20), 'and after a reload');

unlike($t->error_log, qr/secret|@{[ MIME::Base64::encode_base64('__cookie__:second-secret', '') ]}/, 'none of them is in the log');
unlike($t->get('/health')->{body} . $t->get('/api/streams')->{body}, qr/secret/, 'nor in a page');

$t->stop;
done_testing();
