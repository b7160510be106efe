
/*
 * Copyright (C) the blockcast authors
 *
 * The shaping as a whole, through libjq: any JSON goes in, as results, as
 * previous data and as state, and what passes a program comes out with each
 * string and each integer as it was.  Any bytes at all do no harm.
 * Libraries: -ljq
 */

#define _GNU_SOURCE

#include <jv.h>
#include <jq.h>
#include <stdarg.h>
#include <time.h>
#include <sys/types.h>
#include <unistd.h>

#include "fuzz.h"


/* as much of nginx as the file needs */

#define _NGX_HTTP_BLOCKCAST_H_INCLUDED_

typedef intptr_t        ngx_int_t;
typedef uintptr_t       ngx_uint_t;
typedef unsigned char   u_char;
typedef struct { size_t len; u_char *data; }  ngx_str_t;
typedef struct ngx_pool_s  ngx_pool_t;

typedef struct {
    void  (*handler)(void *data);
    void   *data;
} ngx_pool_cleanup_t;

struct ngx_pool_s {
    void                *parts[4096];
    unsigned             nparts;
    ngx_pool_cleanup_t   cleanup[16];
    unsigned             ncleanup;
};

typedef struct { void *log; }  ngx_cycle_t;

static ngx_cycle_t  ngx_the_cycle;
static ngx_cycle_t  *ngx_cycle = &ngx_the_cycle;
static char          ngx_logged[8192];

#define NGX_OK             0
#define NGX_ERROR          (-1)
#define NGX_DECLINED       (-5)
#define NGX_MAX_ERROR_STR  2048
#define CR                 '\r'
#define LF                 '\n'
#define NGX_LOG_EMERG      1
#define NGX_LOG_ERR        4
#define NGX_LOG_NOTICE     6

#define ngx_string(s)            { sizeof(s) - 1, (u_char *) s }
#define ngx_str_null(s)          (s)->len = 0; (s)->data = NULL
#define ngx_str_set(s, text)     (s)->len = sizeof(text) - 1;                 \
                                 (s)->data = (u_char *) text
#define ngx_strcmp(a, b)         strcmp((const char *) (a), (const char *) (b))
#define ngx_strncmp(a, b, n)                                                   \
    strncmp((const char *) (a), (const char *) (b), n)
#define ngx_strlen(s)            strlen((const char *) (s))
#define ngx_strchr(s, c)         strchr((const char *) (s), c)
#define ngx_memcmp               memcmp
#define ngx_memcpy               memcpy
#define ngx_memzero(p, n)        memset(p, 0, n)
#define ngx_min(a, b)            ((a) < (b) ? (a) : (b))
#define ngx_max(a, b)            ((a) < (b) ? (b) : (a))
#define ngx_alloc(n, log)        malloc((n) ? (n) : 1)
#define ngx_free                 free
#define ngx_time()               time(NULL)


static u_char *
ngx_cpymem(void *dst, const void *src, size_t n)
{
    if (n != 0) {
        memcpy(dst, src, n);
    }

    return (u_char *) dst + n;
}


/* memory of exactly that size, and of no other use than here */

static void *
ngx_pnalloc(ngx_pool_t *pool, size_t n)
{
    must(pool->nparts < 4096);

    return pool->parts[pool->nparts++] = malloc(n ? n : 1);
}


static ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t n)
{
    must(n == 0 && pool->ncleanup < 16);

    return &pool->cleanup[pool->ncleanup++];
}


static void
pool_free(ngx_pool_t *pool)
{
    while (pool->nparts != 0) {
        free(pool->parts[--pool->nparts]);
    }
}


/* %V, %ui, %uz, %d, %s and %*s are all that is used */

static u_char *
ngx_vformat(u_char *p, u_char *last, const char *fmt, va_list args)
{
    char         number[24];
    size_t       n;
    ngx_str_t   *v;
    const char  *s;

    for ( /* void */ ; *fmt != '\0'; fmt++) {

        s = fmt;
        n = 1;

        if (*fmt == '%') {
            fmt++;
            s = number;

            switch (*fmt) {

            case 'V':
                v = va_arg(args, ngx_str_t *);
                s = (char *) v->data;
                n = v->len;
                break;

            case 's':
                s = va_arg(args, char *);
                n = strlen(s);
                break;

            case '*':
                n = va_arg(args, size_t);
                s = va_arg(args, char *);
                fmt++;
                break;

            case 'd':
                n = (size_t) snprintf(number, sizeof(number), "%d",
                                      va_arg(args, int));
                break;

            case 'u':
                fmt++;
                n = (size_t) snprintf(number, sizeof(number), "%zu",
                                      va_arg(args, size_t));
                break;

            default:
                abort();
            }
        }

        n = ngx_min(n, (size_t) (last - p));
        p = ngx_cpymem(p, s, n);
    }

    return p;
}


static u_char *
ngx_snprintf(u_char *p, size_t max, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    p = ngx_vformat(p, p + max, fmt, args);
    va_end(args);

    return p;
}


static u_char *
ngx_sprintf(u_char *p, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    p = ngx_vformat(p, p + 1024, fmt, args);
    va_end(args);

    return p;
}


static void
ngx_log_error(int level, void *log, int err, const char *fmt, ...)
{
    va_list  args;

    (void) level;
    (void) log;
    (void) err;

    va_start(args, fmt);
    *ngx_vformat((u_char *) ngx_logged,
                 (u_char *) ngx_logged + sizeof(ngx_logged) - 1, fmt, args)
        = '\0';
    va_end(args);
}


/* nginx is compiled so */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#include "../../src/poll/ngx_http_blockcast_jq.c"


/*
 * libjq keeps its stack by a pointer behind its end only, a leak to the
 * sanitizer.  That nothing else leaks is seen in the memory in use, see below.
 */

const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
    return "leak:libjq.so\n";
}


/* of the allocator of the sanitizer */

size_t __sanitizer_get_current_allocated_bytes(void);


static ngx_pool_t  programs, pool;
static jq_state   *same, *texts, *order, *member, *fails, *slices;


static jq_state *
compile(const char *program)
{
    jq_state   *jq;
    ngx_str_t   text, none, dir, error;

    ngx_str_null(&none);

    text.data = (u_char *) program;
    text.len = strlen(program);
    ngx_str_set(&dir, "/nonexistent");

    if (ngx_http_blockcast_jq_compile(&programs, &text, &none, &dir, &jq,
                                      &error)
        != NGX_OK)
    {
        fprintf(stderr, "%s: %.*s\n", program, (int) error.len, error.data);
        abort();
    }

    return jq;
}


/* JSON that is made of the input: pieces at which a mistake would show */

typedef struct {
    uint8_t   text[65536];
    size_t    len;
    size_t    integers;
    fuzz_t   *f;
} made_t;


static const char  *pieces[] = {
    "a", "\\\"", "\\\\", "\\n", "\\u0000", "\\ud800", "\\udc00", "\\udbff",
    "\\ud83d\\ude00", "\xee\x80\x80int:", "\xee\x80\x80int:020",
    "18446744073709551615", "9007199254740993", "-", ",", ":", "}", "]", "{",
    "[", "\\ue000int:", "\xf3\xb0\x80\x80", "\xf4\x8f\xbf\xbd", "\xc3\xa9",
    "\xef\xbf\xbd", "100000020", "0", "9", "string (", "...)", "\\u001f",
    "\x7f", "\\udb80\\udc00", "<stripped: exceeds max depth>", "/", "\\/",
    "\\\"18446744073709551615\\\"", "\\t", "u", "\\\\u"
};

static const char  *integers[] = {
    "18446744073709551615", "18446744073709551614", "-18446744073709551615",
    "9007199254740992", "9007199254740993", "-9007199254740993",
    "-9007199254740992", "123456789012345678901234567890",
    "123456789012345678901234567891", "-123456789012345678901234567890",
    "9999999999999999", "10000000000000000",
};

static const char  *literals[] = { "null", "true", "false" };

static const char  *numbers[] = {
    "0", "1", "-1", "9007199254740991", "-9007199254740991", "5", "10", "1.5"
};


static void
put(made_t *m, const char *s)
{
    size_t  n;

    n = strlen(s);
    must(m->len + n < sizeof(m->text));
    memcpy(m->text + m->len, s, n);
    m->len += n;
}


static void
make_string(made_t *m)
{
    unsigned  n;

    put(m, "\"");

    for (n = fuzz_byte(m->f) % 6; n != 0; n--) {
        put(m, pieces[fuzz_byte(m->f)
                      % (sizeof(pieces) / sizeof(pieces[0]))]);
    }

    put(m, "\"");
}


static void
make(made_t *m, unsigned depth)
{
    char      key[16];
    unsigned  what, n, i;

    if (m->len > 32768) {
        put(m, "null");
        return;
    }

    what = fuzz_byte(m->f) % (depth ? 10 : 6);

    switch (what) {

    case 0:
    case 1:
        make_string(m);
        break;

    case 2:
    case 3:
        put(m, integers[fuzz_byte(m->f)
                        % (sizeof(integers) / sizeof(integers[0]))]);
        m->integers++;
        break;

    case 4:
        put(m, numbers[fuzz_byte(m->f)
                       % (sizeof(numbers) / sizeof(numbers[0]))]);
        break;

    case 5:
        put(m, literals[fuzz_byte(m->f) % 3]);
        break;

    case 6:
    case 7:
        put(m, "{");

        for (n = fuzz_byte(m->f) % 4, i = 0; i < n; i++) {
            /* in the order of libjq, and no two of a name */
            sprintf(key, "%s\"%u", i ? "," : "", i);
            put(m, key);

            if (fuzz_byte(m->f) & 1) {
                put(m, pieces[fuzz_byte(m->f)
                              % (sizeof(pieces) / sizeof(pieces[0]))]);
            }

            put(m, "\":");
            make(m, depth - 1);
        }

        put(m, "}");
        break;

    default:
        put(m, "[");

        for (n = fuzz_byte(m->f) % 4, i = 0; i < n; i++) {
            put(m, i ? "," : "");
            make(m, depth - 1);
        }

        put(m, "]");
    }
}


/*
 * The text as it has to come out: all as it is, but strings are decoded and
 * written as libjq writes them.
 */

static void
put_string(uint8_t **dst, const uint8_t *p, const uint8_t *last)
{
    size_t     n;
    uint8_t   *s, *e;
    bc_span_t  span;

    span.data = p;
    span.len = (size_t) (last - p);

    s = malloc(3 * span.len);
    must(s != NULL && bc_json_string(span, s, 3 * span.len, &n) == 0);

    *(*dst)++ = '"';

    for (e = s; e < s + n; e++) {
        switch (*e) {

        case '"':
        case '\\':
            *(*dst)++ = '\\';
            *(*dst)++ = *e;
            break;

        case '\n':
            *(*dst)++ = '\\';
            *(*dst)++ = 'n';
            break;

        case '\t':
            *(*dst)++ = '\\';
            *(*dst)++ = 't';
            break;

        default:
            if (*e < 0x20 || *e == 0x7f) {
                *dst += sprintf((char *) *dst, "\\u%04x", *e);

            } else {
                *(*dst)++ = *e;
            }
        }
    }

    *(*dst)++ = '"';
    free(s);
}


static size_t
expected(uint8_t *dst, const uint8_t *p, size_t len)
{
    uint8_t        *base;
    const uint8_t  *last, *from;

    base = dst;
    last = p + len;

    while (p < last) {

        if (*p != '"') {
            *dst++ = *p++;
            continue;
        }

        for (from = p++; *p != '"'; p++) {
            if (*p == '\\') {
                p++;
            }
        }

        put_string(&dst, from, ++p);
    }

    return (size_t) (dst - base);
}


static ngx_int_t
run(jq_state *jq, const uint8_t *p, size_t len, const uint8_t *old,
    size_t old_len, ngx_str_t *out, ngx_uint_t *n, ngx_str_t *error)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_blockcast_jq_input_t   input;
    ngx_http_blockcast_call_result_t  r;

    memset(&input, 0, sizeof(input));
    memset(&r, 0, sizeof(r));

    ngx_str_set(&r.name, "v");
    ngx_str_set(&r.method, "x.v");
    r.result.data = (u_char *) p;
    r.result.len = len;

    input.results = &r;
    input.nresults = 1;
    input.previous.data = (u_char *) old;
    input.previous.len = old_len;
    input.memory = input.previous;
    input.last = input.previous;

    ngx_str_null(error);

    rc = ngx_http_blockcast_jq_run(jq, &input, out, 3, n, error, &pool);

    must((rc == NGX_OK) == (error->len == 0));

    for (i = 0; i < *n; i++) {
        must(bc_json_check(out[i].data, out[i].len, 256, NULL) == 0);
    }

    if (rc != NGX_OK) {
        for (i = 0; i < error->len; i++) {
            must(error->data[i] >= ' ' && error->data[i] != 0x7f);
        }
    }

    must(ngx_http_blockcast_jq_mark.start[0] == 0);

    return rc;
}


static int
same_text(ngx_str_t *s, const uint8_t *p, size_t len)
{
    if (s->len == len && memcmp(s->data, p, len) == 0) {
        return 1;
    }

    fprintf(stderr, "got      %.*s\nexpected %.*s\n", (int) s->len, s->data,
            (int) len, p);

    return 0;
}


/* what a program takes apart wrongly must not show the mark, either */

static void
no_mark(ngx_str_t *s, const uint8_t *p, size_t len)
{
    size_t  i;

    for (i = 0; i + 4 <= s->len; i++) {
        must(s->data[i] < 0xf3 || memmem(p, len, s->data + i, 4) != NULL);
    }
}


/* integers by sign, length and digits, the oracle of sort */

static int
compare(const char *a, const char *b)
{
    int  sign;

    if ((*a == '-') != (*b == '-')) {
        return *a == '-' ? -1 : 1;
    }

    sign = (*a == '-') ? -1 : 1;

    if (strlen(a) != strlen(b)) {
        return strlen(a) < strlen(b) ? -sign : sign;
    }

    return sign * strcmp(a, b);
}


static void
sorted(fuzz_t *f)
{
    int          i, k, n, u;
    char         text[4096], want[16384];
    ngx_str_t    out[3], error;
    ngx_uint_t   count;
    const char  *t, *v[16] = { NULL };

    n = (int) (fuzz_byte(f) % 15) + 1;
    text[0] = '\0';
    strcat(text, "[");

    for (i = 0; i < n; i++) {
        k = (int) (fuzz_byte(f) % 19);
        v[i] = k < 12 ? integers[k] : numbers[k - 12];
        sprintf(text + strlen(text), "%s%s", i ? "," : "", v[i]);
    }

    strcat(text, "]");

    for (i = 0; i < n; i++) {
        for (k = i; k > 0 && compare(v[k - 1], v[k]) > 0; k--) {
            t = v[k];
            v[k] = v[k - 1];
            v[k - 1] = t;
        }
    }

    strcpy(want, "[[");

    for (i = 0; i < n; i++) {
        sprintf(want + strlen(want), "%s%s", i ? "," : "", v[i]);
    }

    strcat(want, "],[");

    for (i = 0, u = 0; i < n; i++) {
        if (i == 0 || strcmp(v[i - 1], v[i]) != 0) {
            sprintf(want + strlen(want), "%s%s", u++ ? "," : "", v[i]);
        }
    }

    /* the pairs of sorted neighbours, in order; and the ends */

    sprintf(want + strlen(want), "],%s,%s,true,%s]", v[0], v[n - 1],
            u == n ? "true" : "false");

    must(run(order, (uint8_t *) text, strlen(text), NULL, 0, out, &count,
             &error) == NGX_OK && count == 1);
    must(same_text(&out[0], (uint8_t *) want, strlen(want)));

    pool_free(&pool);
}


static void
init(void)
{
    /* libjq 1.6 takes a program of functions alone */

    if (!ngx_http_blockcast_jq_exact()) {
        (void) compile("def f: 1; # and a comment");
    }

    same = compile(".results.v, .state, (.previous | debug)");
    texts = compile(".results.v | tojson, ([.] | tostring), \"\\(.)\"");
    member = compile("{a: .results.v, b: [.previous, .last]}");
    fails = compile("error(.results.v)");
    slices = compile(".results.v | [.. | [.[1:9]?, (try explode catch .), "
                     "(try .[] catch .), (try .a catch .), "
                     "(try (-{a: .}) catch .), (try test(\"a\") catch .), "
                     "(try @csv catch .), (try @sh catch .), "
                     "@uri, @base64, @html]]");
    order = compile(".results.v | [sort, unique, min, max, "
                    "(sort | [.[:-1], .[1:]] | transpose "
                        "| map(.[0] <= .[1] and .[1] >= .[0]) | all), "
                    "(sort | [.[:-1], .[1:]] | transpose "
                        "| map(.[0] < .[1] and .[0] != .[1]) | all)]");
}


static void
one_input(const uint8_t *data, size_t size)
{
    fuzz_t          f;
    size_t          len;
    uint8_t        *p, *q, *json;
    ngx_int_t       rc;
    ngx_str_t       out[3], error;
    ngx_uint_t      n;
    static made_t   v, old;
    static uint8_t  want[8 * 65536], again[16 * 65536];

    f.p = data;
    f.len = size;

    switch (fuzz_byte(&f) % 4) {

    case 0:

        /* any bytes, in memory of exactly their size */

        p = fuzz_copy(f.p, f.len);
        rc = run(same, p, f.len, p, f.len, out, &n, &error);

        /* all JSON is read */

        must(rc == NGX_OK || bc_json_check(p, f.len, 100, NULL) != 0);

        (void) run(slices, p, f.len, p, f.len, out, &n, &error);
        pool_free(&pool);
        free(p);

        return;

    case 1:

        sorted(&f);
        return;
    }

    v.f = &f;
    v.len = 0;
    v.integers = 0;
    make(&v, 5);

    old.f = &f;
    old.len = 0;
    make(&old, 3);

    must(bc_json_check(v.text, v.len, 16, NULL) == 0);

    p = fuzz_copy(v.text, v.len);
    q = fuzz_copy(old.text, old.len);

    /* each value as it was */

    must(run(same, p, v.len, q, old.len, out, &n, &error) == NGX_OK && n == 3);

    len = expected(want, p, v.len);
    must(same_text(&out[0], want, len));

    len = expected(want, q, old.len);
    must(same_text(&out[1], want, len) && same_text(&out[2], want, len));

    must(run(member, p, v.len, q, old.len, out, &n, &error) == NGX_OK);

    /* and its text, of exactly these bytes */

    if (p[0] != '"') {

        must(run(texts, p, v.len, q, old.len, out, &n, &error) == NGX_OK
             && n == 3);

        len = expected(want, p, v.len);

        json = again;
        *json++ = '"';

        for (n = 0; n < len; n++) {
            if (want[n] == '"' || want[n] == '\\') {
                *json++ = '\\';
            }

            if (want[n] == 0x7f) {
                json += sprintf((char *) json, "\\u007f");
                continue;
            }

            *json++ = want[n];
        }

        *json++ = '"';

        must(same_text(&out[0], again, (size_t) (json - again)));
        must(same_text(&out[2], again, (size_t) (json - again)));

        must(out[1].len == out[0].len + 2
             && memcmp(out[1].data + 2, out[0].data + 1, out[0].len - 2)
                == 0);
    }

    /* what goes wrong shows no mark */

    len = expected(want, p, v.len);

    (void) run(fails, p, v.len, q, old.len, out, &n, &error);
    no_mark(&error, want, len);

    if (run(slices, p, v.len, q, old.len, out, &n, &error) == NGX_OK) {
        no_mark(&out[0], want, len);

    } else {
        no_mark(&error, want, len);
    }

    pool_free(&pool);
    free(p);
    free(q);
}


/* what is not freed grows with each run of the same input */

static void
no_leak(const uint8_t *data, size_t size)
{
    int     i, grown;
    size_t  before, now;

    /*
     * libjq 1.6 itself loses memory with some texts that are no JSON; the
     * module gives it none of these: replies are checked before
     */

    if (size != 0 && data[0] % 4 == 0
        && bc_json_check(data + 1, size - 1, 100, NULL) != 0)
    {
        one_input(data, size);
        return;
    }

    grown = 0;
    before = __sanitizer_get_current_allocated_bytes();

    for (i = 0; i < 8; i++) {
        one_input(data, size);

        now = __sanitizer_get_current_allocated_bytes();
        grown += (now > before);
        before = now;
    }

    must(grown < 8);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned  count;

    if (same == NULL) {
        init();
    }

    if (count++ % 256 == 0) {
        no_leak(data, size);

    } else {
        one_input(data, size);
    }

    return 0;
}
