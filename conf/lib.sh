# shellcheck shell=bash
#
# What conf/run, t/run and the Dockerfile share: installing Debian packages
# that are missing, and building the module and the dashboard when their
# sources changed. Sourced by bash; sets bc_root and bc_build.

bc_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bc_build=${BLOCKCAST_BUILD:-$bc_root/build}
bc_module_src=${BLOCKCAST_NGINX_SRC:-/usr/share/nginx/src}
bc_name=${bc_name:-blockcast}

# What a build needs; nodejs and npm are asked for apart, by bc_need_node.
# shellcheck disable=SC2034
bc_packages_build=(nginx nginx-dev gcc make libc6-dev libjq-dev
                   libcbor-dev libcjson-dev libhiredis-dev zlib1g-dev
                   curl ca-certificates)


say() {
    printf '%s: %s\n' "$bc_name" "$*"
}


warn() {
    printf '%s: %s\n' "$bc_name" "$*" >&2
}


die() {
    warn "$*"
    exit 1
}


# Runs a command as root: as it is when we are root, else with sudo.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
        return
    fi

    command -v sudo >/dev/null ||
        die "this needs root (there is no sudo here), as root run: $*"

    sudo "$@"
}


bc_installed() {
    [ -z "$(bc_missing "$1")" ]
}


# Prints those of the named packages that are not installed. One that waits for
# a trigger of another one (man pages, ldconfig) is.

bc_missing() {
    local p installed

    # shellcheck disable=SC2016
    installed=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' "$@" \
                      2>/dev/null) "

    for p in "$@"; do
        case $installed in
        *" $p=installed "*|*" $p=triggers-"*) ;;
        *) printf '%s\n' "$p" ;;
        esac
    done
}


# Installs those of the named Debian packages that are missing, and says which.

bc_need_packages() {
    local had_nginx=no policy missing=()

    command -v apt-get >/dev/null ||
        die "apt-get is not there: this script installs what it needs on" \
            "Debian 12; elsewhere provide: $*"

    mapfile -t missing < <(bc_missing "$@" | awk '!seen[$0]++')

    [ ${#missing[@]} -gt 0 ] || return 0

    say "installing Debian packages: ${missing[*]} (log: $bc_build/apt.log)"

    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "root is needed for that and there is no sudo here; as root run:" \
            "apt-get update && apt-get install --no-install-recommends" \
            "${missing[*]}"
    fi

    mkdir -p "$bc_build" 2>/dev/null || die "cannot create the folder $bc_build"

    bc_installed nginx && had_nginx=yes

    # Debian's nginx package starts a server of its own, on port 80, as soon as
    # it is installed. Nobody asked for that one: keep it from starting.

    policy=/usr/sbin/policy-rc.d

    if [ $had_nginx = no ] && [ ! -e $policy ]; then
        # shellcheck disable=SC2016
        printf '#!/bin/sh\n# made by blockcast, removed after the install\n%s\n' \
            'case "$1" in nginx*) exit 101;; esac; exit 0' \
            | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    else
        policy=
    fi

    bc_apt_install "${missing[@]}"
    local rc=$?

    [ -z "$policy" ] || as_root rm -f "$policy"

    [ $rc = 0 ] || die "apt-get could not install: ${missing[*]}" \
        "(its messages are in $bc_build/apt.log; is the network there?)"

    if [ $had_nginx = no ] && bc_installed nginx && [ -d /run/systemd/system ]
    then
        as_root systemctl disable --now nginx >/dev/null 2>&1 &&
            say "Debian's own nginx service is left switched off" \
                "(systemctl enable --now nginx turns it on)"
    fi
}


# The lists are fetched when there are none, and again when what they name is
# no longer on the mirror. Both streams go to a log: 300 lines of unpacking
# tell a newcomer nothing.

bc_apt_install() {
    local log=$bc_build/apt.log
    local opts=(-y --no-install-recommends -o Dpkg::Use-Pty=0
                -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)

    : > "$log" || die "cannot write $log"

    if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
        as_root apt-get "${opts[@]}" update >>"$log" 2>&1 </dev/null
    fi

    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get "${opts[@]}" install "$@" >>"$log" 2>&1 </dev/null && return 0

    as_root apt-get "${opts[@]}" update >>"$log" 2>&1 </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get "${opts[@]}" install "$@" >>"$log" 2>&1 </dev/null && return 0

    grep -E '^(E|W|Err):?' "$log" | tail -n 5 >&2
    return 1
}


# Prints the package names that bring Node.js 18 or newer and npm, none when
# they are there already (from wherever).

bc_node_packages() {
    local major=0

    if command -v node >/dev/null; then
        major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) ||
            major=0
    fi

    [ "${major:-0}" -ge 18 ] || printf 'nodejs\n'
    [ "${1:-}" = runtime ] || command -v npm >/dev/null || printf 'npm\n'
}


# One hash over the contents and names of files.

bc_hash() {
    sha256sum "$@" 2>/dev/null | sha256sum | cut -d' ' -f1
}


# Keeps two runs from building in the same folder at once: conf/run beside
# t/run, say. The lock is held until the calling shell ends or bc_unlock.

bc_lock() {
    mkdir -p "$bc_build" 2>/dev/null || die "cannot create the folder $bc_build"
    [ -w "$bc_build" ] || die "the folder $bc_build is not writable for" \
        "$(id -un): run as its owner, or set BLOCKCAST_BUILD to another folder"

    exec 9>"$bc_build/.lock"

    if ! flock -n 9; then
        say "another build is running here, waiting for it"
        flock -w 1800 9 || die "another build still holds $bc_build/.lock"
    fi
}


bc_unlock() {
    exec 9>&-
}


# The bytes of the nginx that modules are built for: its sources' version.

bc_nginx_dev_version() {
    dpkg-query -W -f='${Version}' nginx-dev 2>/dev/null
    sed -n 's/.*define NGINX_VERSION *//p' \
        "$bc_module_src/src/core/nginx.h" 2>/dev/null
}


# Builds ngx_http_blockcast_module.so, when its sources changed, in
# $bc_build/module, the way Debian's own module packages do: nginx-dev's
# configure with the flags of Debian's binary, everything written to the build
# folder. The path of the module is in bc_module.

bc_build_module() {
    local dir=$bc_build/module log=$bc_build/module.log
    local conf_stamp src_stamp cc='' ld='' files=()

    bc_module=$dir/ngx_http_blockcast_module.so

    case $bc_root in *[[:space:]]*)
        die "nginx's build does not work below a path with spaces: $bc_root";;
    esac

    [ -f "$bc_root/config" ] ||
        die "there is no $bc_root/config: nothing to build the module from"

    files=("$bc_root"/src/*.[ch] "$bc_root"/src/*/*.[ch])
    [ -f "${files[0]}" ] || die "there are no sources in $bc_root/src"

    bc_lock

    conf_stamp=$(printf '%s\n' "${files[@]}" "$bc_root" "$(bc_nginx_dev_version)" \
                     "${BLOCKCAST_CFLAGS:-} ${BLOCKCAST_LDFLAGS:-}" "$(bc_hash "$bc_root/config")" \
                     | sha256sum | cut -d' ' -f1)
    src_stamp=$conf_stamp-$(bc_hash "${files[@]}")

    if [ -f "$bc_module" ] && [ "$(cat "$dir/.built" 2>/dev/null)" = "$src_stamp" ]
    then
        bc_unlock
        return 0
    fi

    [ -x "$bc_module_src/configure" ] ||
        die "there is no $bc_module_src/configure (Debian package nginx-dev)"

    say "building the module (log: $log)"

    cc="-g -O2 -fstack-protector-strong -Wformat -Werror=format-security -fPIC"
    cc="$cc -Wdate-time -D_FORTIFY_SOURCE=2 ${BLOCKCAST_CFLAGS:-}"
    ld="-Wl,-z,relro -Wl,-z,now -fPIC ${BLOCKCAST_LDFLAGS:-}"

    mkdir -p "$dir"
    : > "$log"

    if [ "$(cat "$dir/.configured" 2>/dev/null)" != "$conf_stamp" ]; then
        rm -rf "$dir"
        mkdir -p "$dir"

        # conf_flags sets NGX_CONF_FLAGS
        (
            cd "$bc_module_src" || exit 1
            # shellcheck disable=SC1091
            . ./conf_flags
            ./configure "${NGX_CONF_FLAGS[@]}" \
                --with-cc-opt="$cc" --with-ld-opt="$ld" \
                --builddir="$dir" --add-dynamic-module="$bc_root"
        ) >>"$log" 2>&1 </dev/null || {
            tail -n 15 "$log" >&2
            die "nginx's configure failed for the module (all of it: $log)"
        }

        printf '%s\n' "$conf_stamp" > "$dir/.configured"
    fi

    # a make that was broken off must not leave a module that looks fresh
    rm -f "$dir/.built"

    make -f "$dir/Makefile" -C "$bc_module_src" -j"$(nproc)" modules \
        >>"$log" 2>&1 </dev/null 9>&- || {
        grep -nE 'error|undefined' "$log" | head -n 25 >&2
        die "the module does not compile (all of it: $log)"
    }

    printf '%s\n' "$src_stamp" > "$dir/.built"

    bc_unlock
}


# Installs what a package-lock.json names, when it changed since the last time.
# npm trusts whom the system trusts: a company's own certificate, too.

bc_npm_ci() {
    local dir=$1 log=$2 stamp
    local ca=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}

    stamp=$(bc_hash "$dir/package.json" "$dir/package-lock.json")

    [ "$(cat "$dir/node_modules/.blockcast" 2>/dev/null)" = "$stamp" ] &&
        return 0

    say "installing npm packages for ${dir#"$bc_root"/} (log: $log)"

    (
        [ ! -r "$ca" ] || export NODE_EXTRA_CA_CERTS="$ca"
        cd "$dir" &&
        npm ci --no-audit --no-fund --no-progress --fetch-retries=3
    ) >"$log" 2>&1 </dev/null 9>&- || {
        grep -iE '^npm err' "$log" | head -n 15 >&2
        die "npm ci failed in $dir (all of it: $log; is the network there?)"
    }

    printf '%s\n' "$stamp" > "$dir/node_modules/.blockcast"
}


# Builds the dashboard to web/dist, when its sources changed.

bc_build_web() {
    local web=$bc_root/web log=$bc_build/web.log stamp files=()

    [ -f "$web/package-lock.json" ] ||
        die "there is no dashboard to build: $web/package-lock.json is missing"

    bc_lock

    mapfile -d '' files < <(find "$web" \( -name node_modules -o -name dist \
        -o -name coverage -o -name e2e -o -name test -o -name tests \
        -o -name __tests__ -o -path "$web/lib" -o -path "$web/client" \
        -o -path "$web/elements" -o -path "$web/testing" \
        -o -path "$web/LICENSE" \) -prune -o -type f ! -name '*.tsbuildinfo' \
        ! -name '*.test.*' -print0 | LC_ALL=C sort -z)

    stamp=$(bc_hash "${files[@]}")

    if [ -f "$web/dist/index.html" ] &&
       [ "$(cat "$bc_build/web.built" 2>/dev/null)" = "$stamp" ]
    then
        bc_unlock
        return 0
    fi

    bc_npm_ci "$web" "$bc_build/npm-web.log"

    say "building the dashboard (log: $log)"

    ( cd "$web" && npm run build ) >"$log" 2>&1 </dev/null 9>&- || {
        tail -n 25 "$log" >&2
        die "the dashboard does not build (all of it: $log)"
    }

    [ -f "$web/dist/index.html" ] ||
        die "npm run build ended well and left no web/dist/index.html"

    printf '%s\n' "$stamp" > "$bc_build/web.built"

    bc_unlock
}
