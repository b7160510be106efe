# shellcheck shell=bash disable=SC2154
#
# Other nginxes than the system's own, for t/run: the binaries of newer Debian
# suites, and one built from source with sanitizers. Sourced by t/run after
# conf/lib.sh.
#
# Packages of other suites come through an apt of their own: its lists, cache
# and status are below build/apt, and the system's sources and package lists
# are neither read for it nor changed by it.


# The address of the Debian archive, as the system's own sources name it.

bct_mirror() {
    local codename uri release

    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")

    # shellcheck disable=SC2016
    while IFS='|' read -r uri release; do
        case $release in
        "$codename"|stable|oldstable)
            case $uri in
            *security*) ;;
            *)
                printf '%s\n' "$uri"
                return
                ;;
            esac
        esac
    done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' \
                 'Identifier: Packages' 2>/dev/null)

    return 1
}


# bct_apt SUITE COMMAND...: runs an apt command (apt-get, apt-cache) on a suite
# alone, on SUITE-src for its source packages. The lists are fetched when they
# are not there or older than a day.

bct_apt() {
    local suite=$1 dir=$bc_build/apt/$1 mirror sign='' key kind=deb

    shift

    if [ ! -f "$dir/apt.conf" ]; then
        mirror=$(bct_mirror) || {
            warn "no Debian archive is named in the system's apt sources"
            return 1
        }

        key=/usr/share/keyrings/debian-archive-keyring.gpg
        [ -f $key ] && sign="[signed-by=$key]"

        mkdir -p "$dir"/{lists/partial,cache/archives/partial,log}
        : > "$dir/status"
        case $suite in *-src) kind="deb-src" ;; esac
        printf '%s %s %s %s main\n' $kind "$sign" "$mirror" "${suite%-src}" \
            > "$dir/sources.list"

        # a mirror that stands still is good enough here: what comes from it is
        # signed all the same
        cat > "$dir/apt.conf" <<EOF
Acquire::Check-Valid-Until "false";
Dir::State "$dir";
Dir::State::Lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::State::extended_states "$dir/extended_states";
Dir::Cache "$dir/cache";
Dir::Log "$dir/log";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Sandbox::User "$(id -un)";
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
EOF
    fi

    if [ -z "$(find "$dir/.updated" -mmin -1440 2>/dev/null)" ]; then
        APT_CONFIG=$dir/apt.conf apt-get update >>"$dir/log/update.log" 2>&1 \
            </dev/null || {
            tail -n 5 "$dir/log/update.log" >&2
            warn "cannot fetch the package lists of Debian's ${suite%-src}"
            return 1
        }
        touch "$dir/.updated"
    fi

    APT_CONFIG=$dir/apt.conf "$@" </dev/null
}


# Test::Nginx is in Debian's newer suites only. It is pure Perl: unpacked to a
# folder of ours for PERL5LIB. Sets bct_perl5lib.

bct_test_nginx() {
    local dir=$bc_build/test-nginx log=$bc_build/test-nginx.log

    bct_perl5lib=$dir/usr/share/perl5

    if bc_installed libtest-nginx-perl; then
        bct_perl5lib=
        return 0
    fi

    [ -f "$bct_perl5lib/Test/Nginx/Socket.pm" ] && return 0

    say "fetching Test::Nginx (Debian's libtest-nginx-perl, from unstable)"

    rm -rf "$dir" "$dir.new"
    mkdir -p "$dir.new"

    (
        cd "$dir.new" &&
        bct_apt sid apt-get download libtest-nginx-perl &&
        dpkg -x libtest-nginx-perl_*.deb .
    ) >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        die "cannot fetch libtest-nginx-perl (all of it: $log)"
    }

    mv "$dir.new" "$dir"
}


# promtool, which judges metrics and alert rules: the one file of Debian's
# prometheus that is needed. Sets BLOCKCAST_PROMTOOL.

bct_promtool() {
    local dir=$bc_build/promtool log=$bc_build/promtool.log

    export BLOCKCAST_PROMTOOL=$dir/usr/bin/promtool

    if command -v promtool >/dev/null; then
        BLOCKCAST_PROMTOOL=$(command -v promtool)
        return 0
    fi

    [ -x "$BLOCKCAST_PROMTOOL" ] && return 0

    say "fetching promtool (Debian's prometheus)"

    rm -rf "$dir" "$dir.new"
    mkdir -p "$dir.new"

    (
        cd "$dir.new" &&
        bct_apt bookworm apt-get download prometheus &&
        dpkg --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool &&
        rm -f prometheus_*.deb
    ) >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        die "cannot fetch promtool (all of it: $log)"
    }

    mv "$dir.new" "$dir"
}


# bct_engines: servers for clusters that are newer than the system's: Redis 8 and
# Valkey 8 of Debian 13, with its libraries, unpacked to build/engines. Sets
# BLOCKCAST_ENGINES, lines of a name and a program. Without them the suites skip
# these servers, and say so.

bct_engines() {
    local dir=$bc_build/engines log=$bc_build/engines.log
    local root=$dir/root lib name deb loader

    export BLOCKCAST_ENGINES=
    lib=$root/usr/lib/$(gcc -print-multiarch)

    if [ ! -f "$dir/.fetched" ]; then
        say "fetching Redis 8 and Valkey 8 (Debian 13)"

        rm -rf "$dir"
        mkdir -p "$root"

        (
            bct_apt trixie apt-get install --download-only \
                redis-server valkey-server &&
            for deb in "$bc_build/apt/trixie"/cache/archives/*.deb; do
                dpkg -x "$deb" "$root" || exit 1
            done
        ) >"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            warn "cannot fetch Redis 8 and Valkey 8: they are not tested" \
                "(all of it: $log)"
            return 0
        }

        for name in redis valkey; do
            loader=$(patchelf --print-interpreter \
                         "$root/usr/bin/$name-server")
            loader=$(find "$root" -name "${loader##*/}" | head -n 1)

            if ! patchelf --set-interpreter "$loader" --force-rpath \
                --set-rpath "$lib" --output "$dir/$name-server" \
                "$root/usr/bin/$name-server"
            then
                warn "$name-server of Debian 13 cannot be made to run here"
                rm -f "$dir/$name-server"
            fi
        done

        touch "$dir/.fetched"
    fi

    for name in redis valkey; do
        [ ! -x "$dir/$name-server" ] ||
            BLOCKCAST_ENGINES+="$name 8 $dir/$name-server"$'\n'
    done
}


# bct_suite_of VERSION: the suite whose nginx is of that version (1.26, 1.30.6).

bct_suite_of() {
    local suite have

    for suite in trixie sid forky; do
        have=$(bct_apt "$suite" apt-cache show nginx-dev 2>/dev/null |
                   sed -n 's/^Version: *//p' | head -n 1)
        case $have in
        "$1".*|"$1"-*)
            printf '%s\n' "$suite"
            return
            ;;
        esac
    done

    return 1
}


# bct_debian_nginx VERSION: Debian's own nginx of another suite, with the
# libraries of that suite (its libc, its libjq, its OpenSSL), unpacked to
# build/nginx-VERSION, and the module built with that suite's nginx-dev.
# Sets bct_nginx and bc_module.
#
# The binary is told where its loader and its libraries are (patchelf), so that
# it can start itself again, for the binary upgrade. DT_RPATH, not DT_RUNPATH:
# it must hold for the libraries of the module too.

bct_debian_nginx() {
    local version=$1 suite dir root lib deb loader needed

    suite=$(bct_suite_of "$version") ||
        die "--nginx=$version: no Debian suite has an nginx of that version" \
            "(1.26 is Debian 13's, 1.30 unstable's; or the network is missing)"

    bc_need_packages patchelf

    dir=$bc_build/nginx-$version
    root=$dir/root
    lib=$root/usr/lib/$(gcc -print-multiarch)
    bct_nginx=$dir/nginx

    if [ ! -x "$bct_nginx" ] || [ ! -f "$dir/.fetched" ]; then
        say "fetching nginx of Debian's $suite and its libraries"

        rm -rf "$dir"
        mkdir -p "$root"

        (
            bct_apt "$suite" apt-get install --download-only \
                nginx libjq1 zlib1g &&
            cd "$dir" &&
            bct_apt "$suite" apt-get download nginx-dev
        ) >"$bc_build/nginx-$version.log" 2>&1 ||
            die "cannot fetch nginx of $suite" \
                "(all of it: $bc_build/nginx-$version.log)"

        for deb in "$bc_build/apt/$suite"/cache/archives/*.deb "$dir"/*.deb; do
            dpkg -x "$deb" "$root" || die "cannot unpack $deb"
        done

        cp "$root/usr/sbin/nginx" "$bct_nginx"

        loader=$(patchelf --print-interpreter "$bct_nginx")
        loader=$(find "$root" -name "${loader##*/}" | head -n 1)

        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$lib" \
            "$bct_nginx" || die "patchelf failed on $bct_nginx"

        touch "$dir/.fetched"
    fi

    bc_module_src=$root/usr/share/nginx/src
    bc_build_in "$dir" bc_build_module

    # a library that has another soname there: the one it was linked with
    while read -r needed; do
        [ -e "$lib/$needed" ] ||
            cp "$(gcc -print-file-name="$needed")" "$lib/" ||
            die "the library $needed is not there"
    done < <(patchelf --print-needed "$bc_module")
}


bct_conf_flags() {
    # shellcheck disable=SC1091
    . ./conf_flags
}


# bct_sanitized VERSION: nginx of that version built from Debian's source
# package with AddressSanitizer and UndefinedBehaviorSanitizer, and the module
# with the same. No version: the one that is installed.

bct_sanitized() {
    local version=$1 suite dir flags core_flags full

    if [ -n "$version" ]; then
        suite=$(bct_suite_of "$version") ||
            die "--nginx=$version: no Debian suite has an nginx of that version"
    else
        # shellcheck disable=SC1091
        suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
        version=$(nginx -v 2>&1 | sed 's,.*/,,')
    fi

    dir=$bc_build/nginx-$version-sanitize
    bct_nginx=$dir/core/nginx

    # The core's own habits: unaligned loads where the processor allows them,
    # memcpy of nothing from nowhere. The module is held to all but the first,
    # which comes with the core's macros. NGX_DEBUG_PALLOC gives each piece of a
    # pool an allocation of its own, so that the sanitizer sees its bounds.
    flags="-fsanitize=address,undefined -fno-sanitize=alignment"
    flags="$flags -fno-omit-frame-pointer -O1 -g -U_FORTIFY_SOURCE"
    core_flags="$flags -fno-sanitize=nonnull-attribute,pointer-overflow"
    core_flags="$core_flags -fno-sanitize=shift -DNGX_DEBUG_PALLOC=1"

    if [ ! -x "$bct_nginx" ] || [ ! -f "$dir/.built-2" ]; then
        say "fetching the source of nginx $version (Debian's $suite)"

        rm -rf "$dir"
        mkdir -p "$dir/core"

        (
            cd "$dir" &&
            bct_apt "$suite-src" apt-get source --download-only nginx &&
            dpkg-source --no-check -x nginx_*.dsc src
        ) >"$dir.log" 2>&1 || {
            tail -n 5 "$dir.log" >&2
            die "cannot get the source of nginx $version" \
                "(all of it: $dir.log)"
        }

        full=$(sed -n 's/.*define NGINX_VERSION *"\(.*\)"/\1/p' \
                   "$dir/src/src/core/nginx.h")
        say "building nginx $full with sanitizers"

        (
            cd "$dir/src" &&
            if [ "$suite" = bookworm ]; then
                cp /usr/share/nginx/src/conf_flags .
            else
                bct_apt "$suite" apt-get download nginx-dev &&
                    dpkg -x nginx-dev_*.deb dev &&
                    cp dev/usr/share/nginx/src/conf_flags .
            fi &&
            bct_conf_flags &&
            ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$dir/core" \
                --with-http_addition_module --with-http_gunzip_module \
                --with-http_gzip_static_module --with-http_sub_module \
                --with-http_secure_link_module \
                --with-cc-opt="$core_flags -fPIC -Wno-error" \
                --with-ld-opt="-fsanitize=address,undefined -Wl,-E" &&
            make -f "$dir/core/Makefile" -j"$(nproc)" binary
        ) >>"$dir.log" 2>&1 </dev/null || {
            grep -n error "$dir.log" | head -n 10 >&2
            die "nginx $version with sanitizers does not build" \
                "(all of it: $dir.log)"
        }

        touch "$dir/.built-2"
    fi

    # nodelete: a report at the end of a worker still finds the module's names
    # shellcheck disable=SC2034
    bc_module_src=$dir/src
    export BLOCKCAST_CFLAGS="$flags"
    export BLOCKCAST_LDFLAGS="-fsanitize=address,undefined -Wl,-z,nodelete"
    bc_build_in "$dir" bc_build_module
}


# bct_moments: the module once more, for the same nginx, with the moments at
# which t/lib/preload.c can end a worker, and records for 15 workers at once.
# Sets BLOCKCAST_MODULE_MOMENTS.

bct_moments() {
    local dir=${bc_module%/module/*} bc_module

    BLOCKCAST_CFLAGS="${BLOCKCAST_CFLAGS:-} -DNGX_HTTP_BLOCKCAST_TEST_KILL=1 -DNGX_HTTP_BLOCKCAST_WORKERS=16" \
        bc_build_in "$dir/moments" bc_build_module
    export BLOCKCAST_MODULE_MOMENTS=$bc_module
}


# bct_counting: the module compiled so that it counts what runs. Its counts lie
# beside its objects: the workers, who run as another user, add to them.

bct_counting() {
    rm -rf "$bc_build/coverage"

    BLOCKCAST_CFLAGS="-O0 -U_FORTIFY_SOURCE --coverage -fprofile-update=atomic" \
    BLOCKCAST_LDFLAGS=--coverage \
        bc_build_in "$bc_build/coverage" bc_build_module

    find "$bc_build/coverage" -name '*.gcno' | while IFS= read -r note; do
        : > "${note%.gcno}.gcda"
    done

    chmod -R a+rwX "$bc_build/coverage"
    bc_module=$bc_build/coverage/module/ngx_http_blockcast_module.so
}


# bc_build_in DIR COMMAND...: with another build folder.

bc_build_in() {
    local bc_build=$1

    shift
    "$@"
}
