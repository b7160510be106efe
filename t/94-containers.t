#!/usr/bin/perl

# The Helm chart, the compose file and the files for the module builder of
# nginx's official images. If this fails, what is applied to a cluster is
# refused there, or its parts do not find one another.
#
# needs: containers

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Blockcast::Test ();

my $root = $Blockcast::Test::ROOT;
my $tmp = tempdir(CLEANUP => 1);

sub slurp { open my $fh, '<', $_[0] or die "$_[0]: $!\n"; local $/; return scalar <$fh> }
sub spew { open my $fh, '>', $_[0] or die "$_[0]: $!\n"; print $fh $_[1]; close $fh }

# The documents of a YAML text.

sub yaml {
    my ($text) = @_;

    spew("$tmp/yaml", $text);
    my $json = qx(/usr/bin/python3 -c 'import json, sys, yaml; print(json.dumps([d for d in yaml.safe_load_all(open(sys.argv[1])) if d]))' $tmp/yaml 2>&1);
    return eval { decode_json($json) } // diag($json) && undef;
}

my ($version) = slurp("$root/src/core/ngx_http_blockcast.h") =~ /BLOCKCAST_VERSION\s+"(.*?)"/;

subtest 'compose' => sub {
    my ($doc) = @{ yaml(slurp("$root/conf/compose.yaml")) // [] };
    my $s = $doc->{services}{blockcast};
    ok(-f "$root/conf/$s->{build}{context}/Dockerfile", 'builds the Dockerfile');
    my $conf_run = slurp("$root/conf/run");
    like($conf_run, qr/^#   .*\b$_\b/m, "$_ is of conf/run") for sort keys %{ $s->{environment} };
    my ($folder) = slurp("$root/Dockerfile") =~ /BLOCKCAST_STATE=(\S+)/;
    is_deeply($s->{volumes}, ["state:$folder"], 'the volume is where the state is');
    ok(exists $doc->{volumes}{state}, '... and declared');
};

subtest 'the module builder of nginx\'s images' => sub {
    my $dir = "$root/conf/nginx-image/blockcast";
    like(slurp("$dir/source"), qr{\Ahttps://\S+-\Q$version\E\.tar\.gz\n\z}, 'source: one address, of this version');
    my %needs = map { $_ => 1 } split ' ', slurp("$dir/build-deps");
    my ($list) = slurp("$root/Dockerfile") =~ /nginx-dev gcc make(.*?)&&/s;
    ok($needs{$_}, "build-deps has $_") for grep { /^(?:lib(?!c6)|zlib)/ } split /[\s\\]+/, $list;
};

subtest 'the chart' => sub {
    my $chart = "$root/conf/helm/blockcast";
    my ($about) = @{ yaml(slurp("$chart/Chart.yaml")) };
    is($about->{version}, $version, 'its version');
    is($about->{appVersion}, $version, '... that of the image');
    ok(yaml(slurp("$chart/values.yaml")), 'values.yaml');

    # that needs Go
    return note('it is rendered with --long alone') if !$ENV{BLOCKCAST_LONG};

    local @ENV{qw(GO111MODULE GOPATH GOCACHE GOFLAGS)} = ('off', '/usr/share/gocode', "$tmp/go", '');
    is(system('go', 'build', '-o', "$tmp/helm-template", "$root/t/lib/helm-template.go"), 0, 'the renderer') or return;

    my $render = sub {
        my ($values) = @_;
        spew("$tmp/values.yaml", $values);
        my $text = qx($tmp/helm-template $chart test $tmp/values.yaml 2>&1);
        return ($? >> 8, $text);
    };

    for (
        ['as it is', '{}', qw(ConfigMap Deployment PersistentVolumeClaim Service)],
        ['all of it', <<'YAML', qw(ConfigMap Deployment HTTPRoute PersistentVolumeClaim Service)],
node: {rpcUrl: "https://node.example/rpc?key=a&b='c'", wsUrl: "wss://node.example", tokenSecret: node-token}
preset: own
ownPreset: |
  blockcast_stream height {
      blockcast_call c eth_blockNumber;
      blockcast_jq   '{height: .results.c}';
  }
persistence: {storageClass: fast}
service: {type: LoadBalancer, annotations: {a/b: "c"}}
httpRoute: {enabled: true, parentRefs: [{name: gateway}], hostnames: [chain.example], path: /chain}
imagePullSecrets: [{name: registry}]
image: {tag: edge}
podAnnotations: {prometheus.io/scrape: "true"}
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{key: a, operator: Exists}]
affinity: {podAntiAffinity: {}}
YAML
        ['two that remember nothing', "replicas: 2\npersistence: {enabled: false}\nhttpRoute: {enabled: true, parentRefs: [{name: g}]}\n",
            qw(ConfigMap Deployment HTTPRoute Service)],
    ) {
        my ($name, $values, @kinds) = @$_;
        my ($code, $text) = $render->($values);
        is($code, 0, "$name: rendered") or diag($text);
        my $docs = yaml($text) or next;
        my %doc = map { $_->{kind} => $_ } @$docs;
        is_deeply([sort keys %doc], \@kinds, '... its parts');

        my ($map, $deployment, $service, $claim, $route) = @doc{qw(ConfigMap Deployment Service PersistentVolumeClaim HTTPRoute)};
        my $pod = $deployment->{spec}{template};
        my $c = $pod->{spec}{containers}[0];

        is($_->{apiVersion}, { Deployment => 'apps/v1', HTTPRoute => 'gateway.networking.k8s.io/v1' }->{ $_->{kind} } // 'v1',
            "... $_->{kind} is of its API") for @$docs;
        is($_->{metadata}{name}, 'test', "... $_->{kind} has a name") for @$docs;

        for my $selector ($deployment->{spec}{selector}{matchLabels}, $service->{spec}{selector}) {
            is_deeply({ map { $_ => $pod->{metadata}{labels}{$_} } keys %$selector }, $selector, '... the pods are found');
        }

        my %port = map { $_->{name} => $_->{containerPort} } @{ $c->{ports} };
        ok($port{ $_->{targetPort} }, "... port $_->{port} is one of the container") for @{ $service->{spec}{ports} };

        my %volume = map { $_->{name} => $_ } @{ $pod->{spec}{volumes} };
        ok($volume{ $_->{name} }, "... a volume for $_->{mountPath}") for @{ $c->{volumeMounts} };
        is(scalar keys %volume, scalar @{ $c->{volumeMounts} }, '... and no other');
        is($volume{state}{persistentVolumeClaim}{claimName}, $claim && $claim->{metadata}{name}, '... the claim') ;

        for (@{ $c->{env} }) {
            my $key = $_->{valueFrom}{configMapKeyRef} or next;
            ok(defined $map->{data}{ $key->{key} }, "... $_->{name} is in the ConfigMap");
        }

        if ($map->{data}{'own.conf'}) {
            like($map->{data}{'own.conf'}, qr/^blockcast_stream height \{\n    blockcast_call/, '... the preset');
            is($map->{data}{BLOCKCAST_PRESET}, '/etc/blockcast/own.conf', '... where it is');
            is($map->{data}{THEBLOCK_RPC_URL}, "https://node.example/rpc?key=a&b='c'", '... the node');
            is($c->{image}, 'blockcast:edge', '... the image');
        }

        is($route->{spec}{rules}[0]{backendRefs}[0]{name}, $service->{metadata}{name}, '... the route leads to the service')
            if $route;
    }

    for (["replicas: 2\n", qr/one replica/], ["preset: own\n", qr/needs ownPreset/],
         ["httpRoute: {enabled: true}\n", qr/needs parentRefs/])
    {
        my ($code, $text) = $render->($_->[0]);
        isnt($code, 0, "refused: $_->[0]");
        like($text, $_->[1], '... with a sentence');
    }
};

done_testing();
