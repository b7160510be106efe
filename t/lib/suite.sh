# shellcheck shell=bash disable=SC2154
#
# Running one suite for t/run: with a time limit, in a folder of its own for
# temporary files (TMPDIR), and with a look at what it left behind. Uses the
# variables logs, tmp, sanitize, verbose and bc_root of t/run.

# Pids whose current folder is below $1, or whose command line names it.

left_behind() {
    local p cwd

    for p in /proc/[0-9]*; do
        cwd=$(readlink "$p/cwd" 2>/dev/null) || continue
        case $cwd in
        "$1"/*) printf '%s\n' "${p#/proc/}"; continue ;;
        esac
        { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -qF "$1/" &&
            printf '%s\n' "${p#/proc/}"
    done
}


# The log of a suite.

log_of() {
    printf '%s/%s.log' "$logs" "$(tr '/' '-' <<<"${1#t/}")"
}


# run_suite NAME LIMIT COMMAND: runs it, prints its line and, when it failed,
# what its log says of that. The numbers (passed failed skipped milliseconds
# reason) go to a file beside the log. Sets child while it runs.

run_suite() {
    local name=$1 limit=$2 command=$3 log dir rc t0 ms p f k why pids pid

    log=$(log_of "$name")
    dir=$tmp/$(basename "$log" .log)
    mkdir -p "$dir"
    mkdir -m 1777 "$dir/reports"

    export TMPDIR=$dir TEST_NGINX_SERVROOT=$dir/servroot

    if [ "$sanitize" = yes ]; then
        # everything takes several times as long
        limit=$((limit * 3))

        # reports of nginx are gathered, whoever started it
        export ASAN_OPTIONS=$BLOCKCAST_ASAN:log_path=$dir/reports/report
        export UBSAN_OPTIONS=$BLOCKCAST_UBSAN:log_path=$dir/reports/report
        export LSAN_OPTIONS=$BLOCKCAST_LSAN
    fi

    t0=$(date +%s%N)

    if [ "$verbose" = yes ]; then
        # shellcheck disable=SC2086
        timeout -k 15 "$limit" $command </dev/null > >(tee "$log") 2>&1 &
    else
        # shellcheck disable=SC2086
        timeout -k 15 "$limit" $command </dev/null >"$log" 2>&1 &
    fi

    child=$!
    wait "$child"
    rc=$?
    child=

    ms=$((($(date +%s%N) - t0) / 1000000))

    read -r p f k why < <(perl "$bc_root/t/lib/tally.pl" "$log" $rc)

    mapfile -t pids < <(left_behind "$dir")
    if [ ${#pids[@]} -gt 0 ]; then
        f=$((f + 1))
        why="${why:+$why; }left processes behind:"
        for pid in "${pids[@]}"; do
            why="$why $pid ($({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null))"
        done
        kill -KILL "${pids[@]}" 2>/dev/null
    fi

    if compgen -G "$dir/reports/report.*" >/dev/null; then
        f=$((f + 1))
        why="${why:+$why; }a sanitizer reported"
        cat "$dir"/reports/report.* >> "$log"
    fi

    [ "${BLOCKCAST_KEEP:-}" ] || rm -rf "$dir"

    printf '%s %s %s %s %s\n' "$p" "$f" "$k" "$ms" "$why" > "$log.result"

    if [ "$f" = 0 ]; then
        printf 'ok     %s\n' "$(suite_line "$name")"
        return
    fi

    printf 'FAILED %s\n' "$(suite_line "$name")"
    [ "$verbose" = no ] || return

    grep -nE -A 12 '^ *not ok|^(FAIL|ERROR)\b|Bail out|^# +Failed|^ +FAIL |^# ended|at the end:|after the tests:|Sanitizer|runtime error' \
        "$log" | head -n 60 | sed 's/^/       | /'
    printf '       | (the end of %s)\n' "$log"
    tail -n 12 "$log" | sed 's/^/       | /'
}


# The line of a suite that has run.

suite_line() {
    local p f k ms why

    read -r p f k ms why < "$(log_of "$1").result"
    printf '%-30s %5d passed %4d failed %4d.%d s%s' "$1" "$p" "$f" \
        $((ms / 1000)) $((ms % 1000 / 100)) "${why:+  $why}"
}
