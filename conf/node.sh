# shellcheck shell=bash disable=SC2034,SC2154
#
# What conf/run knows about addresses: checking those it is given, and asking
# the node what it is. Sourced after conf/lib.sh; the variables node_*, cafile
# and state are conf/run's.

# Checking what came from outside. Every mistake ends the start with a sentence
# that names the variable.

check_port() {
    local what=$1=$2

    case $1 in *=*) what="$1 $2" ;; esac

    case $2 in
    *[!0-9]*|''|??????*) ;;
    *) [ "$((10#$2))" -ge 1 ] && [ "$((10#$2))" -le 65535 ] && return ;;
    esac

    die "$what is not a port: a number from 1 to 65535 is needed"
}


check_host() {
    local re='^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)$'

    [[ $2 =~ $re ]] || die "$1=$2 is not a host name or an IP address"

    case $2 in
    *:*) ;;
    *)
        getent ahosts "$2" >/dev/null ||
            die "$1=$2: this host name cannot be resolved"
        ;;
    esac
}


# As nginx and URLs write it: IPv6 addresses in brackets.

bracket() {
    case $1 in
    \[*) printf '%s' "$1" ;;
    *:*) printf '[%s]' "$1" ;;
    *)   printf '%s' "$1" ;;
    esac
}


# The address to reach something listening on $1 from this machine.

reach() {
    case $1 in
    0.0.0.0) printf '127.0.0.1' ;;
    ::|'[::]') printf '[::1]' ;;
    *) bracket "$1" ;;
    esac
}


# Takes user and password out of rpc_url, to basic: http://user:pass@host. None
# of the messages shows them.

split_credentials() {
    local re='^(https?://)([^/@]*)@(.*)$' scheme user rest
    local good="^[A-Za-z0-9._~!\$&'()*+,;=%-]+:[A-Za-z0-9._~!\$&'()*+,;=:%-]*\$"

    [[ $rpc_url =~ $re ]] || return 0

    scheme=${BASH_REMATCH[1]} user=${BASH_REMATCH[2]} rest=${BASH_REMATCH[3]}

    [[ $user =~ $good ]] ||
        die "THEBLOCK_RPC_URL has a user and a password that a URL cannot have:" \
            "user:password, other characters than letters, digits and" \
            "- . _ ~ ! \$ & ' ( ) * + , ; = as %XX"

    [ -z "${THEBLOCK_AUTH_TOKEN:-}" ] ||
        die "THEBLOCK_RPC_URL has a user and a password, and" \
            "THEBLOCK_AUTH_TOKEN is set: the node takes one of them"

    rpc_url=$scheme$rest
    basic=$(printf '%b' "${user//%/\\x}")
}


# split_url VARIABLE URL SCHEME SCHEME-TLS: sets url_tls, url_host, url_port,
# url_path (with the query). A URL with a password is not printed.

split_url() {
    local name=$1 url=$2 plain=$3 tls=$4 rest
    local host='(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)'
    local re="^$host(:([0-9]*))?(/[A-Za-z0-9._~/%+=:,!&?-]*)?$"

    case $url in
    *@*)
        die "$name has a user or password in it at a place where none is" \
            "supported: THEBLOCK_RPC_URL alone may begin with http://user:pass@"
        ;;
    "$plain"://*) url_tls=no  url_port=80  rest=${url#"$plain"://} ;;
    "$tls"://*)   url_tls=yes url_port=443 rest=${url#"$tls"://} ;;
    *)
        die "$name=$url is not a URL that can be used: it has to begin with" \
            "$plain:// or $tls://"
        ;;
    esac

    [[ $rest =~ $re ]] ||
        die "$name=$url is not a URL that can be used: after $plain:// come" \
            "a host, a port and a path, as in $plain://localhost:9933"

    url_host=${BASH_REMATCH[1]}
    url_path=${BASH_REMATCH[5]}

    if [ -n "${BASH_REMATCH[3]}" ]; then
        url_port=${BASH_REMATCH[4]}
        check_port "$name=$url: the port" "$url_port"
        url_port=$((10#$url_port))
    fi

    case $url_host in
    \[*) ;;
    *)
        getent ahosts "$url_host" >/dev/null ||
            die "$name=$url: the host $url_host cannot be resolved"
        ;;
    esac
}


# The servers of an upstream. "localhost" is 127.0.0.1 first and ::1 when
# nothing listens there: most nodes listen on one of the two.

upstream_servers() {
    case $1 in
    localhost)
        printf 'server 127.0.0.1:%s max_fails=0;\n' "$2"
        [ ! -e /proc/net/if_inet6 ] || grep -q ' lo$' /proc/net/if_inet6 &&
            printf '        server [::1]:%s max_fails=0 backup;\n' "$2"
        ;;
    *)
        printf 'server %s:%s max_fails=0;\n' "$1" "$2"
        ;;
    esac
}


# A node of The Block answers 403 unless Host is localhost or 127.0.0.1, so a
# node on this machine is asked by such a name, however it is reached. Another
# machine's node (behind a proxy of its own, say) is asked by its own name.

node_host_header() {
    case $1 in
    127.0.0.1|localhost) printf '%s:%s' "$1" "$2" ;;
    127.*|'[::1]'|host.docker.internal|host.containers.internal)
        printf 'localhost:%s' "$2"
        ;;
    *)
        case $3$2 in
        no80|yes443) printf '%s' "$1" ;;
        *) printf '%s:%s' "$1" "$2" ;;
        esac
        ;;
    esac
}


# The header of the credentials in THEBLOCK_AUTH_FILE, for curl's standard input.

ask_credentials() {
    local text

    text=$(head -n 1 "$auth_file" 2>/dev/null)

    case $text in
    ''|*[\"\\]*) return ;;
    [Bb]asic\ *|[Bb]earer\ *) ;;
    *:*) text="Basic $(printf '%s' "$text" | base64 -w 0)" ;;
    *) text="Bearer $text" ;;
    esac

    printf 'header = "Authorization: %s"\n' "$text"
}


# ask METHOD PARAMS: one JSON-RPC call. Sets answer to result, unknown (the
# node does not have the method), error (it answered something else) or, with
# ask_error, none (no answer).

ask() {
    local scheme=http body

    [ "$node_tls" = no ] || scheme=https

    # everything on standard input: arguments are seen by every user
    body=$({
        printf 'url = "%s://%s:%s%s"\n' $scheme "$node_host" "$node_port" \
            "${node_path:-/}"
        printf 'header = "Host: %s"\nheader = "Content-Type: application/json"\n' \
            "$node_header"
        printf 'data = "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":1,\\"method\\":\\"%s\\",\\"params\\":%s}"\n' \
            "$1" "${2//\"/\\\"}"
        [ "$node_tls" = no ] || printf 'cacert = "%s"\n' "$cafile"
        [ ! -f "$state/token.conf" ] || sed -n \
            's/^proxy_set_header Authorization "\(.*\)";$/header = "Authorization: \1"/p' \
            "$state/token.conf"
        [ -z "$auth_file" ] || ask_credentials
    } | curl -sS -q -K - -g --noproxy '*' --connect-timeout 3 -m 5 \
            --max-filesize 4194304 -w '\nHTTP %{http_code}' 2>"$state/logs/ask.log") || {
        answer=none
        ask_error=$(sed -n 's/^curl: ([0-9]*) //p' "$state/logs/ask.log" | head -n 1)
        return
    }

    # some nodes put their errors into other statuses than 200
    case $body in
    *'HTTP 200') ;;
    *'"error":{'*'HTTP 400'|*'"error":{'*'HTTP 404'|*'"error":{'*'HTTP 500') ;;
    *) answer=none ask_error="HTTP ${body##*HTTP }"; return ;;
    esac

    case $body in
    *'"error":{'*-32601*|*'"error": {'*-32601*) answer=unknown ;;
    *'"error":{'*|*'"error": {'*) answer=error ;;
    *'"result"'*) answer=result ;;
    *) answer=none ask_error='an answer that is not JSON-RPC' ;;
    esac
}


# Finds the preset by the methods that only one kind of node has. Sets found,
# and returns 1 when the node does not answer (yet).

detect() {
    local method params name answered=no

    found=

    while IFS='|' read -r name method params; do
        ask "$method" "$params"
        case $answer in
        result) found=$name; return 0 ;;
        unknown|error) answered=yes ;;
        none) [ $answered = yes ] || return 1 ;;
        esac
    done <<'EOF'
the-block|net.peer_stats_all|{"limit":1}
the-block-seed|net.peers|{}
ethereum|eth_chainId|[]
bitcoin|getblockchaininfo|[]
substrate|system_name|[]
solana|getEpochInfo|[]
cometbft|net_info|{}
EOF

    return 0
}


# answers_ws TLS HOST PORT PATH HOST-HEADER: does a WebSocket answer there?

answers_ws() {
    local scheme=http

    [ "$1" = no ] || scheme=https

    # a good handshake is kept open: then the time is up, and the status known
    [ "$({
        printf 'url = "%s://%s:%s%s"\n' $scheme "$2" "$3" "${4:-/}"
        printf 'header = "Host: %s"\nheader = "Connection: Upgrade"\n' "$5"
        printf 'header = "Upgrade: websocket"\nheader = "Sec-WebSocket-Version: 13"\n'
        printf 'header = "Sec-WebSocket-Key: YmxvY2tjYXN0IHByb2Jlcw=="\n'
        [ "$1" = no ] || printf 'cacert = "%s"\n' "$cafile"
        [ "$2" != "$node_host" ] || [ ! -f "$state/token" ] ||
            printf 'header = "Authorization: Bearer %s"\n' "$(<"$state/token")"
    } | curl -sS -q -K - -g --http1.1 --noproxy '*' --connect-timeout 2 -m 2 -o /dev/null \
            -w '%{http_code}' 2>/dev/null)" = 101 ]
}


# Looks for a WebSocket of the node: the one named, else where nodes of this
# kind have theirs. Sets head_url, what blockcast_head is given, and head_says.

find_head() {
    local tls host port path header

    head_url='' head_says=''

    [ "$head" = auto ] || return 0

    while read -r tls host port path; do
        [ "$port" -le 65535 ] || continue
        header=$(node_host_header "$host" "$port" "$tls")

        # a certificate is for a name
        case $tls$host in yes\[*|yes*[0-9].*[0-9].*[0-9].*[0-9]) continue ;; esac

        answers_ws "$tls" "$host" "$port" "$path" "$header" || continue

        case $tls in
        yes) head_says=wss head_url=" ca=$cafile" ;;
        *) head_says=ws ;;
        esac

        [ "$host" != "$node_host" ] || [ ! -f "$state/token" ] ||
            head_url+=" bearer=token"

        head_url="$head_says://$host:$port${path:-/} host=$header$head_url"
        head_says="$head_says://$host:$port"
        return 0
    done < <(head_places)
}


# Where it may be: TLS, host, port and path of each.

head_places() {
    if [ -n "$ws_url" ]; then
        printf '%s %s %s %s\n' "$wsnode_tls" "$wsnode_host" "$wsnode_port" "${wsnode_path:-/}"
        return
    fi

    [ -n "$rpc_url" ] || return

    case $preset in
    ethereum)
        printf '%s %s %s %s\n' "$node_tls" "$node_host" "$node_port" "${node_path:-/}"
        printf '%s %s %s /\n' "$node_tls" "$node_host" $((node_port + 1))
        ;;
    substrate)
        printf '%s %s %s %s\n' "$node_tls" "$node_host" "$node_port" "${node_path:-/}"
        ;;
    solana)
        printf '%s %s %s /\n' "$node_tls" "$node_host" $((node_port + 1))
        ;;
    cometbft)
        printf '%s %s %s %s/websocket\n' "$node_tls" "$node_host" "$node_port" "${node_path%/}"
        ;;
    esac
}
