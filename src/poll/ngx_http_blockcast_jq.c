
/*
 * Shapes the results of the calls with libjq.
 *
 * libjq before 1.7 keeps every number as a double, which loses the last
 * digits of the amounts of chains (unsigned 64-bit integers).  There, an
 * integer that a double cannot hold enters the program as a marked string
 * (bc_exact.h) and becomes a number again when it is printed, so that passing
 * a value through never changes it.  A prelude lets a program treat it as the
 * number it is: two of them are compared by their digits, "tostring", "tojson"
 * and "\(...)" give the digits, other operators see the nearest double.
 * libjq since 1.7 keeps the text of numbers itself.
 *
 * The mark is made for each run, of random bits.  The prelude has it from
 * get_search_list, a function that reads an attribute of libjq's state when
 * it is called; it is the one way into a program that is compiled once and
 * run many times.  The program itself cannot: there, get_search_list is the
 * prelude's own, and the names of the prelude are random, too.  Without large
 * integers there is no mark, and the program runs without the prelude.
 *
 * All that leaves libjq passes ngx_http_blockcast_jq_output(): marks are taken
 * off, and what is not valid JSON of a sane depth is refused.
 */


#include "ngx_http_blockcast_jq.h"
#include "bc_exact.h"
#include "bc_json.h"
#include "bc_jv.h"

#include <sys/random.h>


/* levels that libjq 1.6 prints, and reads of arrays; of objects, half */
#define NGX_HTTP_BLOCKCAST_JQ_DEPTH    256

/* a mark whose characters are not in the data is found at once, mostly */
#define NGX_HTTP_BLOCKCAST_MARK_TRIES  8

#define NGX_HTTP_BLOCKCAST_TAG_LEN     16

/* together with the text before it, less than NGX_HTTP_BLOCKCAST_ERROR_LEN */
#define NGX_HTTP_BLOCKCAST_JQ_ERROR    240

/* bytes of memory that are kept for printing */
#define NGX_HTTP_BLOCKCAST_JQ_TEXT     65536

/* a line of the log is at most 2048 bytes */
#define NGX_HTTP_BLOCKCAST_JQ_DEBUG    1900

/* log what cannot be read, but not with each poll */
#define NGX_HTTP_BLOCKCAST_UNREAD_LOG  60


/* in the prelude, "~" stands for a prefix that a program cannot know */

/* functions of a number, and of strings: those refuse a number as ever */

#define NGX_HTTP_BLOCKCAST_FUNC0(name)                                        \
    "def ~" name ": " name "; "                                               \
    "def " name ": ~num | ~" name "; "

#define NGX_HTTP_BLOCKCAST_FUNC1(name)                                        \
    "def ~" name "(f): " name "(f); "                                         \
    "def " name "(f): ~num | ~" name "(f); "

#define NGX_HTTP_BLOCKCAST_FUNC2(name)                                        \
    "def ~" name "(f; g): " name "(f; g); "                                   \
    "def " name "(f; g): ~num | ~" name "(f; g); "

#define NGX_HTTP_BLOCKCAST_OPERATOR(name, op)                                 \
    "def ~" name "(a; b): a " op " b; "                                       \
    "def " name "(a; b): b as $b | a as $a "                                  \
        "| ~" name "($a | ~num; $b | ~num); "

/*
 * Between a large integer of the node and another number of it, the nearest
 * double decides right: it is beyond 2^53 for the one, and not for the other.
 */

#define NGX_HTTP_BLOCKCAST_ORDER(name, op)                                    \
    "def ~" name "(a; b): a " op " b; "                                       \
    "def " name "(a; b): b as $b | a as $a "                                  \
        "| if ($a | ~type) == \"number\" and ($b | ~type) == \"number\" "     \
            "then ~" name "($a; $b) "                                         \
        "elif $a | ~int then "                                                \
            "if $b | ~int then ~" name "($a; $b) "                            \
            "else ~" name "($a | ~num; $b) end "                              \
        "elif $b | ~int then ~" name "($a; $b | ~num) "                       \
        "elif ($a | ~deep) or ($b | ~deep) "                                  \
            "then ~" name "($a | ~key; $b | ~key) "                           \
        "else ~" name "($a; $b) end; "

/* two of them are equal when their digits are */

#define NGX_HTTP_BLOCKCAST_EQUALITY(name, op)                                 \
    "def ~" name "(a; b): a " op " b; "                                       \
    "def " name "(a; b): b as $b | a as $a "                                  \
        "| if ~same($a | ~int; $b | ~int) then ~" name "($a; $b) "            \
        "else ~" name "($a | ~num; $b | ~num) end; "


static char  ngx_http_blockcast_start[] =
    "get_search_list as [$~d, $~s, $~e] | if $~s == null then (";

static char  ngx_http_blockcast_jq_prelude[] =
    "def get_search_list: [$~d]; "
    "def ~same(a; b): a == b; "
    "def ~type: type; "
    "def ~int: type == \"string\" and startswith($~s) and endswith($~e); "
    "def ~digits: if .[4:5] == \"1\" then .[13:-1] "
        "else .[13 + 99999999 - (.[5:13] | tonumber):-1] end; "
    "def ~num: if ~int then ~digits | tonumber else . end; "
    "def ~deep: type as $t | ($t == \"array\" or $t == \"object\") "
        "and (tojson | contains($~s)); "

    /* sorts, by jq's own order of values, as the numbers would */

    "def ~key: type as $t "
        "| if $t == \"string\" then if ~int then [3, ~num, .] else [4, .] end "
        "elif $t == \"number\" then [3, .] "
        "elif $t == \"array\" then [5, map(~key)] "
        "elif $t == \"object\" then [6, map_values(~key)] "
        "elif . == null then [0] elif . then [2] else [1] end; "
    "def ~ranks: if ~deep then map(~key) else . end; "

    /* JSON text of marked values to that of numbers */

    "def ~text: if contains($~s) then split($~s) as $p "
        "| ($p[1:] | map(split($~e))) as $q "
        "| [$p[0], ($q[] | .[1] // \"\")] as $t "
        "| [$q[] | $~s + .[0] + $~e | ~digits] as $d | ($d | length) as $n "
        "| [range(0; $n) as $i | ($t[$i] | endswith(\"\\\"\")) "
            "and ($t[$i + 1] | startswith(\"\\\"\") "
                "and (startswith(\"\\\":\") | not))] as $v "
        "| reduce range(0; $n + 1) as $i (\"\"; . + ($t[$i] "
            "| if $i > 0 and $v[$i - 1] then .[1:] else . end "
            "| if $i < $n and $v[$i] then .[:-1] else . end) "
            "+ ($d[$i] // \"\")) "
        "else . end; "

    "def ~tojson: tojson; def ~format(f): format(f); "
    "def ~sort: sort; def ~min: min; def ~max: max; "

    "def type: if ~int then \"number\" else ~type end; "
    "def numbers: select(type == \"number\"); "
    "def strings: select(type == \"string\"); "
    "def tojson: ~tojson | ~text; "
    "def tostring: if ~type != \"string\" then tojson "
        "elif ~int then ~digits else . end; "
    "def ~tonumber: tonumber; "
    "def tonumber: if ~int then . else ~tonumber end; "
    "def format(f): f as $f "
        "| if $f == \"json\" then tojson elif $f == \"text\" then tostring "
        "elif $f == \"sh\" then ~format($f) "
            "| split(\"'\" + $~s) | join($~s) "
            "| split($~e + \"'\") | join($~e) "
            "| ~text "
        "elif $f == \"csv\" or $f == \"tsv\" "
            "then ~num | ~format($f) | ~text "
        "else tostring | ~format($f) end; "

    NGX_HTTP_BLOCKCAST_FUNC0("length")
    NGX_HTTP_BLOCKCAST_FUNC0("floor")
    NGX_HTTP_BLOCKCAST_FUNC0("ceil")
    NGX_HTTP_BLOCKCAST_FUNC0("round")
    NGX_HTTP_BLOCKCAST_FUNC0("sqrt")
    NGX_HTTP_BLOCKCAST_FUNC0("fabs")
    NGX_HTTP_BLOCKCAST_FUNC0("trunc")
    NGX_HTTP_BLOCKCAST_FUNC0("rint")
    NGX_HTTP_BLOCKCAST_FUNC0("nearbyint")
    NGX_HTTP_BLOCKCAST_FUNC0("exp")
    NGX_HTTP_BLOCKCAST_FUNC0("exp2")
    NGX_HTTP_BLOCKCAST_FUNC0("log")
    NGX_HTTP_BLOCKCAST_FUNC0("log2")
    NGX_HTTP_BLOCKCAST_FUNC0("log10")
    NGX_HTTP_BLOCKCAST_FUNC0("exp10")
    NGX_HTTP_BLOCKCAST_FUNC0("expm1")
    NGX_HTTP_BLOCKCAST_FUNC0("log1p")
    NGX_HTTP_BLOCKCAST_FUNC0("logb")
    NGX_HTTP_BLOCKCAST_FUNC0("significand")
    NGX_HTTP_BLOCKCAST_FUNC0("cbrt")
    NGX_HTTP_BLOCKCAST_FUNC0("sin")
    NGX_HTTP_BLOCKCAST_FUNC0("cos")
    NGX_HTTP_BLOCKCAST_FUNC0("isinfinite")
    NGX_HTTP_BLOCKCAST_FUNC0("isnan")
    NGX_HTTP_BLOCKCAST_FUNC0("isnormal")
    NGX_HTTP_BLOCKCAST_FUNC0("gmtime")
    NGX_HTTP_BLOCKCAST_FUNC0("todate")
    NGX_HTTP_BLOCKCAST_FUNC0("keys")
    NGX_HTTP_BLOCKCAST_FUNC0("keys_unsorted")
    NGX_HTTP_BLOCKCAST_FUNC0("explode")
    NGX_HTTP_BLOCKCAST_FUNC0("utf8bytelength")
    NGX_HTTP_BLOCKCAST_FUNC0("fromjson")
    NGX_HTTP_BLOCKCAST_FUNC0("ascii_downcase")
    NGX_HTTP_BLOCKCAST_FUNC0("ascii_upcase")
    NGX_HTTP_BLOCKCAST_FUNC1("startswith")
    NGX_HTTP_BLOCKCAST_FUNC1("endswith")
    NGX_HTTP_BLOCKCAST_FUNC1("ltrimstr")
    NGX_HTTP_BLOCKCAST_FUNC1("rtrimstr")
    NGX_HTTP_BLOCKCAST_FUNC1("split")
    NGX_HTTP_BLOCKCAST_FUNC1("splits")
    NGX_HTTP_BLOCKCAST_FUNC1("test")
    NGX_HTTP_BLOCKCAST_FUNC1("match")
    NGX_HTTP_BLOCKCAST_FUNC1("capture")
    NGX_HTTP_BLOCKCAST_FUNC1("scan")
    NGX_HTTP_BLOCKCAST_FUNC1("strptime")
    NGX_HTTP_BLOCKCAST_FUNC1("strftime")
    NGX_HTTP_BLOCKCAST_FUNC2("test")
    NGX_HTTP_BLOCKCAST_FUNC2("match")
    NGX_HTTP_BLOCKCAST_FUNC2("capture")
    NGX_HTTP_BLOCKCAST_FUNC2("split")
    NGX_HTTP_BLOCKCAST_FUNC2("splits")
    NGX_HTTP_BLOCKCAST_FUNC2("sub")
    NGX_HTTP_BLOCKCAST_FUNC2("gsub")

    "def isfinite: type == \"number\" and (isinfinite | not); "
    "def finites: select(isfinite); def normals: select(isnormal); "
    "def ~pow(a; b): pow(a; b); "
    "def pow(a; b): b as $b | a as $a | ~pow($a | ~num; $b | ~num); "
    "def ~negate: -.; def _negate: ~num | ~negate; "
    "def ~plus(a; b): a + b; "
    "def _plus(a; b): b as $b | a as $a "
        "| if $a == null then $b elif $b == null then $a "
        "else ~plus($a | ~num; $b | ~num) end; "
    NGX_HTTP_BLOCKCAST_OPERATOR("_minus", "-")
    NGX_HTTP_BLOCKCAST_OPERATOR("_multiply", "*")
    NGX_HTTP_BLOCKCAST_OPERATOR("_divide", "/")
    NGX_HTTP_BLOCKCAST_OPERATOR("_mod", "%")
    NGX_HTTP_BLOCKCAST_ORDER("_less", "<")
    NGX_HTTP_BLOCKCAST_ORDER("_lesseq", "<=")
    NGX_HTTP_BLOCKCAST_ORDER("_greater", ">")
    NGX_HTTP_BLOCKCAST_ORDER("_greatereq", ">=")
    NGX_HTTP_BLOCKCAST_EQUALITY("_equal", "==")
    NGX_HTTP_BLOCKCAST_EQUALITY("_notequal", "!=")
    "def add: reduce .[] as $x (null; . + $x); "

    "def sort_by(f): _sort_by_impl(map([f]) | ~ranks); "
    "def group_by(f): _group_by_impl(map([f]) | ~ranks); "
    "def min_by(f): _min_by_impl(map([f]) | ~ranks); "
    "def max_by(f): _max_by_impl(map([f]) | ~ranks); "
    "def sort: if ~deep then sort_by(.) else ~sort end; "
    "def min: if ~deep then min_by(.) else ~min end; "
    "def max: if ~deep then max_by(.) else ~max end; "
    "def unique_by(f): group_by(f) | map(.[0]); "
    "def unique: unique_by(.); "
    "def join($x): reduce .[] as $i (null; "
        "(if . == null then \"\" else . + $x end) "
        "+ ($i | if type == \"boolean\" or type == \"number\" then tostring "
        "else . // \"\" end)) // \"\"; "
    "def INDEX(stream; f): reduce stream as $row ({}; "
        ".[$row | f | tostring] |= $row); "
    "def INDEX(f): INDEX(.[]; f); "
    "def stderr: debug; ";


typedef struct {
    ngx_pool_t  *pool;
    ngx_str_t    text;
} ngx_http_blockcast_jq_messages_t;


/* the program that runs, for its log lines, too; start[0] is 0 if none does */
static bc_exact_mark_t  ngx_http_blockcast_jq_mark;

/* set in a helper process */
static ngx_http_blockcast_jq_say_pt    ngx_http_blockcast_jq_say;
static ngx_http_blockcast_jq_nomem_pt  ngx_http_blockcast_jq_ended;


static ngx_str_t  ngx_http_blockcast_cut[] = {
    ngx_string("<stripped: exceeds max depth>"),
    ngx_string("<skipped: too deep>")
};


static ngx_uint_t
ngx_http_blockcast_jq_exact(void)
{
    jv                 v;
    static ngx_uint_t  exact, known;

    if (!known) {
        v = jv_dump_string(jv_parse("18446744073709551615"), 0);
        exact = ngx_strcmp(jv_string_value(v), "18446744073709551615") == 0;
        jv_free(v);
        known = 1;
    }

    return exact;
}


/* Parses deeply nested text; libjq's own reader decides whether it can. */

static jv
ngx_http_blockcast_jq_read(u_char *p, size_t len, bc_exact_scan_t *all)
{
    jv  v;

    if (all->depth < NGX_HTTP_BLOCKCAST_JQ_DEPTH) {
        v = bc_jv_parse(p, len);

        if (jv_is_valid(v)) {
            return v;
        }

        jv_free(v);
    }

    return jv_parse_sized((char *) p, len);
}


/*
 * Parses a text; all: the scan of all texts of the run, which mostly have no
 * integer to mark.
 */

static jv
ngx_http_blockcast_jq_parse(ngx_str_t *text, bc_exact_scan_t *all,
    bc_exact_mark_t *mark, ngx_pool_t *pool)
{
    u_char           *buf, *last;
    bc_exact_scan_t   scan;

    if (text->len == 0) {
        return jv_null();
    }

    ngx_memzero(&scan, sizeof(bc_exact_scan_t));

    if (mark != NULL || all->lone != 0) {
        bc_exact_scan(&scan, text->data, text->len);
    }

    if ((mark == NULL || scan.integers == 0) && scan.lone == 0) {
        return ngx_http_blockcast_jq_read(text->data, text->len, all);
    }

    buf = ngx_pnalloc(pool, text->len + (mark ? scan.grow : 0));
    if (buf == NULL) {
        return jv_invalid_with_msg(jv_string("no memory"));
    }

    last = bc_exact_write(mark, buf, text->data, text->len);

    return ngx_http_blockcast_jq_read(buf, last - buf, all);
}


ngx_uint_t
ngx_http_blockcast_jq_reads(ngx_str_t *text, ngx_uint_t levels)
{
    jv               v;
    size_t           len;
    u_char          *buf, *p;
    ngx_uint_t       i, good;
    bc_exact_scan_t  scan;

    /* a level takes two bytes at least */

    if (text->len / 2 + levels < NGX_HTTP_BLOCKCAST_JQ_DEPTH) {
        return 1;
    }

    ngx_memzero(&scan, sizeof(bc_exact_scan_t));
    bc_exact_scan(&scan, text->data, text->len);

    /* valid JSON that is not nested deeply is always read */

    if (scan.depth + levels < NGX_HTTP_BLOCKCAST_JQ_DEPTH) {
        return 1;
    }

    len = text->len + 2 * levels;

    buf = ngx_alloc(len, ngx_cycle->log);
    if (buf == NULL) {
        return 0;
    }

    p = buf;

    for (i = 0; i < levels; i++) {
        *p++ = '[';
    }

    p = bc_exact_write(NULL, p, text->data, text->len);

    for (i = 0; i < levels; i++) {
        *p++ = ']';
    }

    v = jv_parse_sized((char *) buf, p - buf);
    good = jv_is_valid(v);

    jv_free(v);
    ngx_free(buf);

    return good;
}


/* Makes a text one line, without control characters (C0 and C1). */

static size_t
ngx_http_blockcast_jq_line(u_char *s, size_t len)
{
    u_char  *p, *last, *dst;

    dst = s;

    for (p = s, last = s + len; p < last; p++) {

        if (*p < ' ' || *p == 0x7f) {
            *dst++ = ' ';

        } else if (*p == 0xc2 && last - p > 1 && p[1] >= 0x80 && p[1] < 0xa0) {
            *dst++ = ' ';
            p++;

        } else {
            *dst++ = *p;
        }
    }

    return dst - s;
}


/* Collects libjq's messages in one line. */

static void
ngx_http_blockcast_jq_message(void *data, jv msg)
{
    ngx_http_blockcast_jq_messages_t *m = data;

    u_char      *p, *dst, *s, *last;
    size_t       len;

    msg = jq_format_error(msg);

    if (jv_get_kind(msg) != JV_KIND_STRING) {
        jv_free(msg);
        return;
    }

    s = (u_char *) jv_string_value(msg);
    len = ngx_strlen(s);

    p = ngx_pnalloc(m->pool, m->text.len + len + 2);
    if (p == NULL) {
        jv_free(msg);
        return;
    }

    dst = p;

    if (m->text.len != 0) {
        dst = ngx_cpymem(dst, m->text.data, m->text.len);
        *dst++ = ';';
        *dst++ = ' ';
    }

    for (last = s + len; s < last; s++) {

        if (*s < ' ') {
            if (dst > p && dst[-1] != ' ') {
                *dst++ = ' ';
            }

            continue;
        }

        *dst++ = *s;
    }

    while (dst > p && dst[-1] == ' ') {
        dst--;
    }

    m->text.data = p;
    m->text.len = dst - p;

    jv_free(msg);
}


/* Cuts a text between two characters. */

static size_t
ngx_http_blockcast_jq_end(u_char *s, size_t len, size_t max)
{
    if (len <= max) {
        return len;
    }

    for (len = max; len > 0 && (s[len] & 0xc0) == 0x80; len--) {
        /* void */
    }

    return len;
}


static void
ngx_http_blockcast_jq_debug(void *data, jv v)
{
    jv       msg;
    size_t   len;
    u_char  *text;

    msg = jv_dump_string(v, 0);
    len = jv_string_length_bytes(jv_copy(msg));

    text = ngx_alloc(len + 1, ngx_cycle->log);
    if (text == NULL) {
        jv_free(msg);
        return;
    }

    ngx_memcpy(text, jv_string_value(msg), len);
    jv_free(msg);

    if (ngx_http_blockcast_jq_mark.start[0] != 0) {
        len = bc_exact_unmark(&ngx_http_blockcast_jq_mark, text, len);
    }

    len = ngx_http_blockcast_jq_end(text, len, NGX_HTTP_BLOCKCAST_JQ_DEBUG);
    len = ngx_http_blockcast_jq_line(text, len);

    if (ngx_http_blockcast_jq_say != NULL) {
        ngx_http_blockcast_jq_say(text, len);
    }

    ngx_free(text);
}


/*
 * Handles libjq's lack of memory, after which libjq ends the process: a
 * helper, or the nginx that reads its configuration.
 */

static void
ngx_http_blockcast_jq_nomem(void *data)
{
    if (ngx_http_blockcast_jq_ended != NULL) {
        ngx_http_blockcast_jq_ended();
    }

    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                  "blockcast: libjq gets no memory, it ends this process");
}


/* Makes "input" find nothing; without a callback libjq 1.6 crashes. */

static jv
ngx_http_blockcast_jq_no_input(jq_state *jq, void *data)
{
    return jv_invalid();
}


void
ngx_http_blockcast_jq_in_helper(ngx_http_blockcast_jq_say_pt say,
    ngx_http_blockcast_jq_nomem_pt nomem)
{
    ngx_http_blockcast_jq_say = say;
    ngx_http_blockcast_jq_ended = nomem;
}


/*
 * Compiles without the environment: libjq 1.6 puts it into the program where
 * that has $ENV, and it may hold secrets.
 */

static int
ngx_http_blockcast_jq_compile_text(jq_state *jq, u_char *text)
{
    int           ok;
    char        **saved;
    static char  *none[] = { NULL };

    saved = environ;
    environ = none;

    ok = jq_compile(jq, (char *) text);

    environ = saved;

    return ok;
}


static void
ngx_http_blockcast_jq_free(void *data)
{
    jq_state  *jq = data;

    jq_teardown(&jq);
}


/*
 * Returns the length of what must stay at the beginning of a program: comments
 * and "module", "import" and "include" up to their semicolons.
 */

static size_t
ngx_http_blockcast_jq_imports(ngx_str_t *program)
{
    u_char      *p, *last, *end;
    ngx_uint_t   n, quoted;

    static ngx_str_t  words[] = {
        ngx_string("module"), ngx_string("import"), ngx_string("include")
    };

    p = program->data;
    last = p + program->len;
    end = p;

    for ( ;; ) {

        while (p < last
               && (*p == ' ' || *p == '\t' || *p == CR || *p == LF
                   || *p == '#'))
        {
            if (*p == '#') {
                while (p < last && *p != LF) {
                    p++;
                }

                continue;
            }

            p++;
        }

        for (n = 0; n < 3; n++) {
            if ((size_t) (last - p) > words[n].len
                && ngx_memcmp(p, words[n].data, words[n].len) == 0
                && ngx_strchr(" \t\r\n\"{#", p[words[n].len]) != NULL)
            {
                break;
            }
        }

        if (n == 3) {
            return end - program->data;
        }

        for (quoted = 0; p < last && (quoted || *p != ';'); p++) {
            if (*p == '"') {
                quoted = !quoted;

            } else if (*p == '\\' && quoted && p + 1 < last) {
                p++;
            }
        }

        if (p == last) {

            /* never ended: jq says so */

            return program->len;
        }

        end = ++p;
    }
}


static void
ngx_http_blockcast_jq_dir(jq_state *jq, jv dir, bc_exact_mark_t *mark)
{
    jv  path;

    path = jv_array_append(jv_array(), dir);

    if (mark != NULL) {
        path = jv_array_append(path, jv_string_sized((char *) mark->start,
                                                     BC_EXACT_START));
        path = jv_array_append(path, jv_string_sized((char *) mark->end,
                                                     BC_EXACT_END));
    }

    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), path);
}


/* Expands "~" to the tag; without dst, returns just the length. */

static size_t
ngx_http_blockcast_jq_tagged(u_char *dst, char *s, u_char *tag)
{
    size_t  n;

    for (n = 0; *s != '\0'; s++) {

        if (*s != '~') {
            if (dst != NULL) {
                dst[n] = (u_char) *s;
            }

            n++;
            continue;
        }

        if (dst != NULL) {
            ngx_memcpy(dst + n, tag, NGX_HTTP_BLOCKCAST_TAG_LEN);
        }

        n += NGX_HTTP_BLOCKCAST_TAG_LEN;
    }

    return n;
}


/*
 * Builds the text of a program that is run as it is when there is no mark, and
 * with the prelude when there is one.  end: what the program lacks at its end.
 */

static u_char *
ngx_http_blockcast_jq_text(ngx_pool_t *pool, ngx_str_t *program, u_char *tag,
    char *end)
{
    size_t   n, imports;
    u_char  *text, *p;

    n = ngx_http_blockcast_jq_tagged(NULL, ngx_http_blockcast_start, tag)
        + ngx_http_blockcast_jq_tagged(NULL, ngx_http_blockcast_jq_prelude,
                                       tag);

    text = ngx_pnalloc(pool, n + 2 * (program->len + ngx_strlen(end))
                             + sizeof("\n) else (\n) end"));
    if (text == NULL) {
        return NULL;
    }

    imports = ngx_http_blockcast_jq_imports(program);

    p = ngx_cpymem(text, program->data, imports);
    p += ngx_http_blockcast_jq_tagged(p, ngx_http_blockcast_start, tag);
    p = ngx_cpymem(p, program->data + imports, program->len - imports);
    p = ngx_sprintf(p, "%s\n) else (", end);
    p += ngx_http_blockcast_jq_tagged(p, ngx_http_blockcast_jq_prelude, tag);
    p = ngx_cpymem(p, program->data + imports, program->len - imports);
    p = ngx_sprintf(p, "%s\n) end", end);
    *p = '\0';

    return text;
}


ngx_int_t
ngx_http_blockcast_jq_compile(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *beside, ngx_str_t *dir, jq_state **out, ngx_str_t *error)
{
    int                                ok;
    jv                                 path;
    u_char                            *text, *p;
    u_char                             tag[NGX_HTTP_BLOCKCAST_TAG_LEN];
    uint64_t                           random;
    jq_state                          *jq;
    ngx_uint_t                         i, n;
    ngx_pool_cleanup_t                *cln;
    ngx_http_blockcast_jq_messages_t   messages;

    ngx_str_set(error, "no memory");

    text = ngx_pnalloc(pool, program->len + 1);
    cln = ngx_pool_cleanup_add(pool, 0);

    if (text == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(text, program->data, program->len) = '\0';

    jq = jq_init();
    if (jq == NULL) {
        return NGX_ERROR;
    }

    /* libjq 1.6 leaves it unset and calls it all the same */

    jq_set_nomem_handler(jq, ngx_http_blockcast_jq_nomem, NULL);

    cln->handler = ngx_http_blockcast_jq_free;
    cln->data = jq;

    messages.pool = pool;
    ngx_str_null(&messages.text);

    /* "include" and "import" look beside the program, and nginx.conf */

    path = jv_string_sized((char *) dir->data, dir->len);

    jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_copy(path));
    jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_copy(path));

    if (beside->len != 0) {
        jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"),
                    JV_ARRAY(jv_string_sized((char *) beside->data,
                                             beside->len),
                             jv_string_fmt("%.*s..", (int) beside->len,
                                           (char *) beside->data),
                             path));

    } else {
        ngx_http_blockcast_jq_dir(jq, path, NULL);
    }

    jq_set_error_cb(jq, ngx_http_blockcast_jq_message, &messages);

    ok = 0;

    if (!ngx_http_blockcast_jq_exact()) {

        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            ngx_str_set(error, "no random bytes from the system");
            jq_set_error_cb(jq, NULL, NULL);
            return NGX_ERROR;
        }

        ngx_memcpy(tag, "bc_", 3);

        for (i = 3; i < NGX_HTTP_BLOCKCAST_TAG_LEN; i++) {
            tag[i] = (u_char) ('a' + random % 16);
            random /= 16;
        }

        tag[NGX_HTTP_BLOCKCAST_TAG_LEN - 1] = '_';

        for (n = 0; n < 2 && !ok; n++) {

            if (n == 1) {

                /* quote the message without the prelude */

                ngx_str_null(&messages.text);

                if (!ngx_http_blockcast_jq_compile_text(jq, text)) {
                    break;
                }
            }

            /* a program of functions alone puts out its input */

            p = ngx_http_blockcast_jq_text(pool, program, tag,
                                           n == 0 ? "" : "\n.");
            if (p == NULL) {
                jq_set_error_cb(jq, NULL, NULL);
                return NGX_ERROR;
            }

            ok = ngx_http_blockcast_jq_compile_text(jq, p);
        }

    } else {
        ok = ngx_http_blockcast_jq_compile_text(jq, text);
    }

    jq_set_error_cb(jq, NULL, NULL);

    if (!ok) {
        if (messages.text.len != 0) {
            *error = messages.text;

        } else {
            ngx_str_set(error, "it does not compile");
        }

        return NGX_ERROR;
    }

    /* the prelude knows this one */

    ngx_http_blockcast_jq_dir(jq, jq_get_attr(jq, jv_string("JQ_ORIGIN")),
                              NULL);

    jq_set_debug_cb(jq, ngx_http_blockcast_jq_debug, NULL);
    jq_set_input_cb(jq, ngx_http_blockcast_jq_no_input, NULL);

    *out = jq;

    return NGX_OK;
}


static void
ngx_http_blockcast_jq_unread(ngx_str_t *text, const char *what)
{
    static time_t  logged;

    if (ngx_time() - logged < NGX_HTTP_BLOCKCAST_UNREAD_LOG) {
        return;
    }

    logged = ngx_time();

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "blockcast: libjq cannot read the %s of %uz bytes, the "
                  "program is given null", what, text->len);
}


static ngx_uint_t
ngx_http_blockcast_jq_is_kept(ngx_str_t *text,
    ngx_http_blockcast_jq_kept_t *kept)
{
    return kept != NULL && kept->text != NULL && kept->len == text->len
           && ngx_memcmp(kept->text, text->data, text->len) == 0;
}


static jv
ngx_http_blockcast_jq_text_or_null(ngx_str_t *text, const char *what,
    ngx_http_blockcast_jq_kept_t *kept, bc_exact_scan_t *scan,
    bc_exact_mark_t *mark, ngx_pool_t *pool)
{
    jv  v;

    if (ngx_http_blockcast_jq_is_kept(text, kept)) {
        return jv_copy(kept->value);
    }

    v = ngx_http_blockcast_jq_parse(text, scan, mark, pool);

    if (jv_is_valid(v)) {
        return v;
    }

    /* a poll that failed for it would never succeed again */

    jv_free(v);
    ngx_http_blockcast_jq_unread(text, what);

    return jv_null();
}


/* all that somebody else has written: results, messages, what was kept */

#define ngx_http_blockcast_jq_texts(input)  (2 * (input)->nresults + 3)

static ngx_str_t *
ngx_http_blockcast_jq_nth_text(ngx_http_blockcast_jq_input_t *input,
    ngx_uint_t n)
{
    switch (n) {

    case 0:
        return &input->previous;

    case 1:
        return &input->memory;

    case 2:
        return &input->last;
    }

    n -= 3;

    return (n & 1) ? &input->results[n / 2].message
                   : &input->results[n / 2].result;
}


/* Chooses a mark that is in none of the texts. */

static ngx_int_t
ngx_http_blockcast_jq_choose(bc_exact_mark_t *mark,
    ngx_http_blockcast_jq_input_t *input)
{
    int          found, occurs;
    u_char       random[BC_EXACT_RANDOM];
    ngx_str_t   *text;
    ngx_uint_t   i, tries;

    for (tries = 0; tries < NGX_HTTP_BLOCKCAST_MARK_TRIES; tries++) {

        if (getrandom(random, BC_EXACT_RANDOM, 0) != BC_EXACT_RANDOM) {
            return NGX_ERROR;
        }

        bc_exact_mark(mark, random);

        found = 0;

        for (i = 0; i < ngx_http_blockcast_jq_texts(input) && found != 2; i++)
        {
            text = ngx_http_blockcast_jq_nth_text(input, i);
            occurs = bc_exact_occurs(mark, text->data, text->len);
            found = ngx_max(found, occurs);
        }

        /* the last one may have a character in common with the texts */

        if (found == 0
            || (found == 1 && tries + 1 == NGX_HTTP_BLOCKCAST_MARK_TRIES))
        {
            mark->alone = (found == 0);
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static void
ngx_http_blockcast_jq_unreadable(ngx_str_t *error, ngx_str_t *name,
    ngx_pool_t *pool)
{
    u_char  *p;
    size_t   len;

    len = sizeof("libjq cannot read the result of call \"\"") + name->len;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        ngx_str_set(error, "no memory");
        return;
    }

    error->data = p;
    error->len = ngx_snprintf(p, len, "libjq cannot read the result of call "
                              "\"%V\"", name)
                 - p;
}


/* Scans a text, unless it was kept: then no integer in it needs a mark. */

static void
ngx_http_blockcast_jq_scan_kept(bc_exact_scan_t *scan, ngx_str_t *text,
    ngx_http_blockcast_jq_kept_t *kept)
{
    if (ngx_http_blockcast_jq_is_kept(text, kept)) {
        scan->depth = ngx_max(scan->depth, kept->depth);
        return;
    }

    bc_exact_scan(scan, text->data, text->len);
}


/* Makes the input; marked->start[0] is 0 when no integer needs a mark. */

static ngx_int_t
ngx_http_blockcast_jq_input(ngx_http_blockcast_jq_input_t *input, jv *out,
    bc_exact_mark_t *marked, ngx_str_t *error_text, ngx_pool_t *pool)
{
    jv                                 results, errors, methods, name, error, v;
    jv                                 keys;
    ngx_uint_t                         i;
    bc_exact_mark_t                   *mark;
    bc_exact_scan_t                    scan;
    ngx_http_blockcast_call_result_t  *r;

    ngx_memzero(&scan, sizeof(bc_exact_scan_t));

    for (i = 0; i < input->nresults; i++) {
        bc_exact_scan(&scan, input->results[i].result.data,
                      input->results[i].result.len);
    }

    ngx_http_blockcast_jq_scan_kept(&scan, &input->previous,
                                    input->previous_kept);
    ngx_http_blockcast_jq_scan_kept(&scan, &input->memory,
                                    input->memory_kept);
    bc_exact_scan(&scan, input->last.data, input->last.len);

    mark = NULL;
    marked->start[0] = 0;

    if (scan.integers != 0 && !ngx_http_blockcast_jq_exact()) {

        if (ngx_http_blockcast_jq_choose(marked, input) != NGX_OK) {
            ngx_str_set(error_text, "no random bytes from the system");
            marked->start[0] = 0;
            return NGX_ERROR;
        }

        mark = marked;
    }

    results = jv_object();
    errors = jv_object();
    methods = jv_object();

    for (i = 0; i < input->nresults; i++) {
        r = &input->results[i];

        if (r->skipped) {
            continue;
        }

        name = jv_string_sized((char *) r->name.data, r->name.len);

        if (r->message.len != 0) {
            error = jv_object();
            error = jv_object_set(error, jv_string("code"),
                                  r->has_code ? jv_number(r->code)
                                              : jv_null());
            error = jv_object_set(error, jv_string("message"),
                                  jv_string_sized((char *) r->message.data,
                                                  r->message.len));
            errors = jv_object_set(errors, jv_copy(name), error);

            if (r->result.len == 0) {
                jv_free(name);
                continue;
            }

            /* of several requests the first ones were answered */
        }

        v = ngx_http_blockcast_jq_parse(&r->result, &scan, mark, pool);

        if (!jv_is_valid(v)) {

            /* nothing is put in place of what could not be read */

            jv_free(v);
            jv_free(name);
            jv_free(results);
            jv_free(errors);
            jv_free(methods);

            ngx_http_blockcast_jq_unreadable(error_text, &r->name, pool);
            marked->start[0] = 0;

            return NGX_ERROR;
        }

        results = jv_object_set(results, jv_copy(name), v);
        methods = jv_object_set(methods, name,
                                jv_string_sized((char *) r->method.data,
                                                r->method.len));
    }

    v = jv_object();
    v = jv_object_set(v, jv_string("results"), results);
    v = jv_object_set(v, jv_string("errors"), errors);
    v = jv_object_set(v, jv_string("methods"), methods);
    v = jv_object_set(v, jv_string("previous"),
                      ngx_http_blockcast_jq_text_or_null(&input->previous,
                                            "previous data",
                                            input->previous_kept, &scan, mark,
                                            pool));
    v = jv_object_set(v, jv_string("state"),
                      ngx_http_blockcast_jq_text_or_null(&input->memory,
                                            "program's state",
                                            input->memory_kept, &scan, mark,
                                            pool));
    v = jv_object_set(v, jv_string("last"),
                      ngx_http_blockcast_jq_text_or_null(&input->last,
                                            "newest entry", NULL, &scan, mark,
                                            pool));
    v = jv_object_set(v, jv_string("time"), jv_number(input->time));

    if (input->keys.len != 0) {

        /* strings of plain characters: there is nothing to be marked */

        keys = jv_parse_sized((char *) input->keys.data, input->keys.len);

        if (input->single) {
            v = jv_object_set(v, jv_string("key"),
                              jv_array_get(jv_copy(keys), 0));
        }

        v = jv_object_set(v, jv_string("keys"), keys);
    }

    *out = v;

    return NGX_OK;
}


/*
 * libjq writes "<stripped: exceeds max depth>" (1.8: "<skipped: too deep>") in
 * place of what is nested more deeply than it prints.  In a string, made by
 * "tojson", it is that text, unless the texts that came in have it, too.
 */

static ngx_uint_t
ngx_http_blockcast_jq_cut(ngx_str_t *out, ngx_http_blockcast_jq_input_t *input)
{
    ngx_uint_t   i, n;
    ngx_str_t   *text;

    if (memchr(out->data, '<', out->len) == NULL) {
        return 0;
    }

    for (n = 0; n < 2; n++) {
        if (memmem(out->data, out->len, ngx_http_blockcast_cut[n].data,
                   ngx_http_blockcast_cut[n].len)
            != NULL)
        {
            break;
        }
    }

    if (n == 2) {
        return 0;
    }

    /* without the brackets, which may be escaped there */

    for (i = 0; i < ngx_http_blockcast_jq_texts(input); i++) {
        text = ngx_http_blockcast_jq_nth_text(input, i);

        if (text->len != 0
            && memmem(text->data, text->len,
                      ngx_http_blockcast_cut[n].data + 1,
                      ngx_http_blockcast_cut[n].len - 2)
               != NULL)
        {
            return 0;
        }
    }

    return 1;
}


/* Keeps a value and its text, or nothing. */

static void
ngx_http_blockcast_jq_keep(ngx_http_blockcast_jq_kept_t *kept, jv v,
    ngx_str_t *text, size_t depth)
{
    u_char  *p;

    if (kept->text != NULL) {
        ngx_free(kept->text);
        jv_free(kept->value);
        kept->text = NULL;
        kept->len = 0;
    }

    if (text->len > kept->max) {
        return;
    }

    p = ngx_alloc(text->len, ngx_cycle->log);
    if (p == NULL) {
        return;
    }

    ngx_memcpy(p, text->data, text->len);

    kept->text = p;
    kept->len = text->len;
    kept->value = jv_copy(v);
    kept->depth = depth;
}


/*
 * Prints an output that needs no check: there is no mark in it, and it is
 * printed here as valid JSON.  NGX_DECLINED: libjq has to print it.
 */

static ngx_int_t
ngx_http_blockcast_jq_print(jv v, ngx_http_blockcast_jq_input_t *input,
    ngx_uint_t nth, ngx_str_t *out, ngx_pool_t *pool)
{
    ngx_http_blockcast_jq_kept_t  *kept;
    static bc_jv_text_t            text;

    text.len = 0;
    text.depth = 0;
    text.altered = 0;

    if (bc_jv_print(&text, jv_copy(v)) != 0
        || text.depth >= NGX_HTTP_BLOCKCAST_JQ_DEPTH)
    {
        return NGX_DECLINED;
    }

    out->len = text.len;
    out->data = ngx_pnalloc(pool, text.len + 1);

    if (out->data == NULL) {
        return NGX_DECLINED;
    }

    ngx_memcpy(out->data, text.data, text.len);

    if (text.size > NGX_HTTP_BLOCKCAST_JQ_TEXT) {
        free(text.data);
        ngx_memzero(&text, sizeof(bc_jv_text_t));
    }

    if (ngx_http_blockcast_jq_cut(out, input)) {
        return NGX_DECLINED;
    }

    kept = (nth == 1) ? input->previous_kept
                      : (nth == 2) ? input->memory_kept : NULL;

    if (kept != NULL && input->keep && !text.altered) {
        ngx_http_blockcast_jq_keep(kept, v, out, text.depth);
    }

    return NGX_OK;
}


/* Checks JSON text that comes from libjq before it goes on.  Consumes v. */

static ngx_int_t
ngx_http_blockcast_jq_output(jv v, ngx_http_blockcast_jq_input_t *input,
    ngx_uint_t nth, ngx_str_t *out, ngx_str_t *error, ngx_pool_t *pool)
{
    jv           text;
    size_t       off;
    u_char      *p;
    const char  *why;

    if (ngx_http_blockcast_jq_mark.start[0] == 0
        && ngx_http_blockcast_jq_print(v, input, nth, out, pool) == NGX_OK)
    {
        jv_free(v);
        return NGX_OK;
    }

    text = jv_dump_string(v, 0);

    out->len = jv_string_length_bytes(jv_copy(text));
    out->data = ngx_pnalloc(pool, out->len + 1);

    if (out->data == NULL) {
        jv_free(text);
        ngx_str_set(error, "no memory");
        return NGX_ERROR;
    }

    ngx_memcpy(out->data, jv_string_value(text), out->len);
    jv_free(text);

    if (ngx_http_blockcast_jq_mark.start[0] != 0) {
        out->len = bc_exact_unmark(&ngx_http_blockcast_jq_mark, out->data,
                                   out->len);
    }

    if (bc_json_check_why(out->data, out->len, NGX_HTTP_BLOCKCAST_JQ_DEPTH,
                          &off, &why)
        == 0)
    {
        if (ngx_http_blockcast_jq_reads(out, 0)
            && !ngx_http_blockcast_jq_cut(out, input))
        {
            return NGX_OK;
        }

        why = "nested too deeply";

    } else if (off < out->len && out->data[off] == '<') {

        /* outside of strings, this is all that libjq writes of the kind */

        why = "nested too deeply";
    }

    p = ngx_pnalloc(pool, 128);
    if (p == NULL) {
        ngx_str_set(error, "no memory");
        return NGX_ERROR;
    }

    error->data = p;

    if (ngx_strcmp(why, "nested too deeply") == 0) {
        p = ngx_snprintf(p, 128, "output %ui of the jq program is nested too "
                         "deeply, at most %d levels can be kept", nth,
                         NGX_HTTP_BLOCKCAST_JQ_DEPTH);

    } else {
        p = ngx_snprintf(p, 128, "output %ui of the jq program is no JSON: "
                         "%s at offset %uz", nth, why, off);
    }

    error->len = p - error->data;

    return NGX_ERROR;
}


static void
ngx_http_blockcast_jq_error(jv msg, ngx_str_t *error, ngx_pool_t *pool)
{
    size_t  len;

    if (jv_get_kind(msg) != JV_KIND_STRING) {
        msg = jv_dump_string(msg, 0);
    }

    len = jv_string_length_bytes(jv_copy(msg));

    error->len = 0;
    error->data = ngx_pnalloc(pool, len + 1);

    if (error->data == NULL) {
        ngx_str_set(error, "no memory");
        jv_free(msg);
        return;
    }

    ngx_memcpy(error->data, jv_string_value(msg), len);
    jv_free(msg);

    if (ngx_http_blockcast_jq_mark.start[0] != 0) {
        len = bc_exact_unmark(&ngx_http_blockcast_jq_mark, error->data, len);
    }

    len = ngx_http_blockcast_jq_line(error->data, len);

    error->len = ngx_http_blockcast_jq_end(error->data, len,
                                           NGX_HTTP_BLOCKCAST_JQ_ERROR);

    if (error->len == 0) {
        ngx_str_set(error, "the program failed without a message");
    }

    /* libjq 1.6 says no more of it */

    if (error->len == sizeof("break") - 1
        && ngx_strncmp(error->data, "break", error->len) == 0)
    {
        ngx_str_set(error, "break, there is nothing for \"input\" to read");
    }
}


/*
 * "halt" ends the outputs, "halt_error" is an error.  Its message is left
 * alone: libjq 1.6 may have freed it by now.
 */

static ngx_int_t
ngx_http_blockcast_jq_halted(jq_state *jq, ngx_str_t *error)
{
    if (!jv_is_valid(jq_get_exit_code(jq))) {
        return NGX_OK;
    }

    ngx_str_set(error, "the program ended with halt_error");

    return NGX_ERROR;
}


ngx_int_t
ngx_http_blockcast_jq_run(jq_state *jq, ngx_http_blockcast_jq_input_t *input,
    ngx_str_t *out, ngx_uint_t max, ngx_uint_t *n, ngx_str_t *error,
    ngx_pool_t *pool)
{
    jv                v, dir;
    ngx_int_t         rc;
    bc_exact_mark_t  *mark;

    *n = 0;
    rc = NGX_OK;
    mark = &ngx_http_blockcast_jq_mark;

    if (ngx_http_blockcast_jq_input(input, &v, mark, error, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mark->start[0] != 0) {
        dir = jq_get_attr(jq, jv_string("JQ_ORIGIN"));
        ngx_http_blockcast_jq_dir(jq, dir, mark);
    }

    jq_start(jq, v, 0);

    while (*n < max) {
        v = jq_next(jq);

        if (!jv_is_valid(v)) {

            if (jv_invalid_has_msg(jv_copy(v))) {
                ngx_http_blockcast_jq_error(jv_invalid_get_msg(v), error,
                                            pool);
                rc = NGX_ERROR;

            } else {
                jv_free(v);
            }

            break;
        }

        if (ngx_http_blockcast_jq_output(v, input, *n + 1, &out[*n], error,
                                         pool)
            != NGX_OK)
        {
            rc = NGX_ERROR;
            break;
        }

        (*n)++;
    }

    if (rc == NGX_OK && jq_halted(jq)) {
        rc = ngx_http_blockcast_jq_halted(jq, error);
    }

    if (mark->start[0] != 0) {
        dir = jq_get_attr(jq, jv_string("JQ_ORIGIN"));
        ngx_http_blockcast_jq_dir(jq, dir, NULL);
        ngx_memzero(mark, sizeof(bc_exact_mark_t));
    }

    return rc;
}


void
ngx_http_blockcast_jq_forget(jq_state *jq)
{
    jq_start(jq, jv_null(), 0);
}
