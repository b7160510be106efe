package Blockcast::Dialects;

# A node that speaks many dialects of JSON-RPC, each at a path of its own, as
# nodes of many makers do:
#
#   my $node = Blockcast::Dialects->new;
#   ... proxy_pass http://127.0.0.1:$node->{port}/bitcoin/;
#   $node->asked('bitcoin')     # the requests so far: [verb, path, headers, body]
#
# Methods: d.ok (its params come back), d.err (an error), d.none (there is no
# such method), d.limit (it asks for fewer calls). GET /NAME/doc/... are
# documents, see _document().

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();

use parent 'Blockcast::NodeProcess';

my $JSON = JSON::PP->new->canonical->allow_nonref;

# how each node differs; a value that is code gets (id as sent, code, message)
# and returns [status, body]

sub _two { return [200, qq({"jsonrpc":"2.0","id":$_[0],"error":{"code":$_[1],"message":"$_[2]"}})] }

our %DIALECT = (

    # the specification
    two => {},

    # Bitcoin Core up to 27, and its forks
    bitcoin => {
        result => sub { qq({"result":$_[1],"error":null,"id":$_[0]}) },
        error => sub { [$_[1] == -32601 ? 404 : 500, qq({"result":null,"error":{"code":$_[1],"message":"$_[2]"},"id":$_[0]})] },
    },

    # JSON-RPC 1.0
    one => {
        result => sub { qq({"result":$_[1],"error":null,"id":$_[0]}) },
        error => sub { [200, qq({"result":null,"error":"$_[2]","id":$_[0]})] },
        missing => 'Method not found',
    },

    # an id that became a string on its way, of errors none
    strings => {
        result => sub { qq({"jsonrpc":"2.0","id":"$_[0]","result":$_[1]}) },
        error => sub { [200, qq({"jsonrpc":"2.0","id":null,"error":{"code":"$_[1]","message":"$_[2]"}})] },
    },

    # where all numbers are doubles
    doubles => {
        result => sub { qq({"jsonrpc":"2.0","id":$_[0].0,"result":$_[1]}) },
        error => sub { [200, qq({"jsonrpc":"2.0","id":$_[0].0,"error":{"code":$_[1].0,"message":"$_[2]"}})] },
    },

    # errors without an id, in HTTP 400, as proxies of nodes have them
    noid => { error => sub { [400, qq({"error":{"code":$_[1],"message":"$_[2]"}})] } },

    # a word for a code
    words => {
        error => sub { [500, qq({"jsonrpc":"2.0","id":$_[0],"error":{"code":"E_NODE","message":"$_[2]"}})] },
        missing => 'Method not found',
    },

    # errors with the status of a refusal
    refusing => { error => sub { [401, _two(@_)->[1]] } },

    # "no such method" in other words
    ganache => { code => -32700, missing => 'The method d.none does not exist/is not available' },
    hardhat => { code => -32004, missing => 'Method d.none is not supported' },
    gateway => { code => -32600, missing => 'Unsupported method: d.none on ETH_MAINNET' },

    # ... and as HTTP has it
    http404 => { none => [404, 'no such page'] },
    http405 => { none => [405, ''] },

    # no batches; the latter closes the connection
    single => { batch => [200, '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'] },
    single400 => { batch => [400, 'bad request'] },

    # one error for all
    warming => { batch => [500, '{"result":null,"error":{"code":-28,"message":"Loading block index..."},"id":null}'] },
);


sub new {
    my ($class) = @_;

    return (bless { dir => File::Temp::tempdir(CLEANUP => 1) }, $class)->begin;
}


sub asked {
    my ($self, $name) = @_;

    open my $fh, '<', "$self->{dir}/$name" or return;
    local $/;
    return @{ $JSON->decode('[' . join(',', split /\n/, <$fh>) . ']') };
}


# What is served as a document, and with which tag; the text undef: HTTP 404.

sub document {
    my ($self, $name, $text, $etag) = @_;

    open my $fh, '>', "$self->{dir}/doc-$name.new" or die "$!\n";
    print $fh $JSON->encode([$text, $etag]);
    close $fh;
    rename "$self->{dir}/doc-$name.new", "$self->{dir}/doc-$name" or die "$!\n";
}


sub answer {
    my ($self, $s, $request) = @_;
    my ($name, $rest) = $request->{path} =~ m{^/(\w+)(/.*)$} or return;
    my ($verb, $head, $body) = @$request{qw(verb head body)};

    open my $fh, '>>', "$self->{dir}/$name" or die "$!\n";
    syswrite $fh, $JSON->encode([$verb, $rest, $head, $body]) . "\n";
    close $fh;

    my ($status, $text, $more) = $verb eq 'GET' ? $self->_document($rest, $head)
        : _answer($DIALECT{$name}, $body);

    syswrite $s, "HTTP/1.1 $status X\r\nContent-Type: application/json\r\n" . ($more // '')
        . ($status == 304 ? '' : 'Content-Length: ' . length($text) . "\r\n") . "\r\n$text";
}


sub _answer {
    my ($d, $body) = @_;

    if ($body !~ /\A\[/) {
        my ($status, $text) = @{ _one($d, $body) };
        return ($status, $text);
    }

    return @{ $d->{batch} } if $d->{batch};

    # the last first

    my @calls = map { $JSON->encode($_) } @{ $JSON->decode($body) };

    $d = { %$d, none => undef } if $d->{none};      # it has one status for all

    return (200, '[' . join(', ', map { _one($d, $_)->[1] } reverse @calls) . ']');
}


sub _one {
    my ($d, $text) = @_;

    my $call = $JSON->decode($text);
    my ($id, $method) = @$call{qw(id method)};
    my $error = $d->{error} // \&_two;

    $method eq 'd.err' and return $error->($id, -28, 'Loading block index...');
    $method eq 'd.limit' and return $error->($id, -32005, 'daily request count exceeded, request rate limited');

    if ($method eq 'd.none') {
        return $d->{none} // $error->($id, $d->{code} // -32601, $d->{missing} // 'Method not found');
    }

    my $params = $JSON->encode($call->{params} // 'none');

    return [200, $d->{result} ? $d->{result}->($id, $params)
        : qq({"jsonrpc":"2.0","id":$id,"result":$params})];
}


# /doc/NAME is what document() has set; /echo/... says what was asked for.

sub _document {
    my ($self, $path, $head) = @_;

    if ($path =~ m{/echo/}) {
        my ($accept) = $head =~ /^Accept: *(.*?)\r$/im;
        return (200, $JSON->encode({ path => $path, accept => $accept }));
    }

    my ($name) = $path =~ m{^/doc/(\w+)$};

    if (!$name || !open my $fh, '<', "$self->{dir}/doc-$name") {
        return (404, '{"code":404,"message":"NOT_FOUND: no such document"}');

    } else {
        local $/;
        my ($text, $etag) = @{ $JSON->decode(scalar <$fh>) };
        my $more = defined $etag ? "ETag: $etag\r\n" : '';

        return (404, 'page not found', $more) unless defined $text;

        return (304, '', $more) if defined $etag && $head =~ /^If-None-Match: *(.*?)\r$/im && $1 eq $etag;

        return (200, $text, $more);
    }
}


1;
