
/*
 * libjq shapes the results of the calls.
 *
 * libjq before 1.7 keeps every number as a double, which loses the last
 * digits of the amounts of chains (unsigned 64-bit integers).  There, an
 * integer that a double cannot hold enters the program as a marked string and
 * becomes a number again when it is printed, so that passing a value through
 * never changes it.  A prelude lets a program treat it as the number it is:
 * operators and "tonumber" see the nearest double, "tostring" and "\(...)" the
 * digits.  libjq since 1.7 keeps the text of numbers itself.
 */


#include "ngx_http_blockcast_shape.h"


/*
 * U+E000, of the private use area; then come three digits, the length of the
 * number, so that larger ones sort behind smaller ones, and the number itself
 */
#define NGX_HTTP_BLOCKCAST_MARK        "\xee\x80\x80" "int:"
#define NGX_HTTP_BLOCKCAST_MARK_LEN                                           \
    (sizeof(NGX_HTTP_BLOCKCAST_MARK) - 1 + 3)

/* 2^53 has 16 digits */
#define NGX_HTTP_BLOCKCAST_EXACT       "9007199254740992"

#define NGX_HTTP_BLOCKCAST_OPERATOR(name, op)                                 \
    "def bc" name "(a; b): a " op " b; "                                      \
    "def " name "(a; b): b as $b | a as $a "                                  \
        "| bc" name "($a | bc_num; $b | bc_num); "

/* two of them are equal when their digits are */
#define NGX_HTTP_BLOCKCAST_EQUALITY(name, op)                                 \
    "def bc" name "(a; b): a " op " b; "                                      \
    "def " name "(a; b): b as $b | a as $a "                                  \
        "| if bc_equal($a | bc_int; $b | bc_int) then bc" name "($a; $b) "    \
        "else bc" name "($a | bc_num; $b | bc_num) end; "


static char  ngx_http_blockcast_prelude[] =
    "def bc_int: type == \"string\" "
        "and startswith(\"" NGX_HTTP_BLOCKCAST_MARK "\"); "
    "def bc_digits: .[8:]; "
    "def bc_num: if bc_int then bc_digits | tonumber else . end; "
    "def bc_type: type; def bc_length: length; "
    "def bc_tonumber: tonumber; def bc_tostring: tostring; "
    "def bc_format(f): format(f); "
    "def bc_floor: floor; def bc_ceil: ceil; def bc_round: round; "
    "def bc_negate: -.; "
    "def type: if bc_int then \"number\" else bc_type end; "
    "def numbers: select(type == \"number\"); "
    "def strings: select(type == \"string\"); "
    "def length: bc_num | bc_length; "
    "def tonumber: if bc_int then bc_num else bc_tonumber end; "
    "def tostring: if bc_int then bc_digits else bc_tostring end; "
    "def format(f): f as $f | if bc_int and $f != \"json\" "
        "then bc_digits | bc_format($f) else bc_format($f) end; "
    "def floor: bc_num | bc_floor; def ceil: bc_num | bc_ceil; "
    "def round: bc_num | bc_round; "
    "def _negate: bc_num | bc_negate; "
    "def bc_plus(a; b): a + b; "
    "def _plus(a; b): b as $b | a as $a "
        "| if $a == null then $b elif $b == null then $a "
        "else bc_plus($a | bc_num; $b | bc_num) end; "
    NGX_HTTP_BLOCKCAST_OPERATOR("_minus", "-")
    NGX_HTTP_BLOCKCAST_OPERATOR("_multiply", "*")
    NGX_HTTP_BLOCKCAST_OPERATOR("_divide", "/")
    NGX_HTTP_BLOCKCAST_OPERATOR("_mod", "%")
    NGX_HTTP_BLOCKCAST_OPERATOR("_less", "<")
    NGX_HTTP_BLOCKCAST_OPERATOR("_lesseq", "<=")
    NGX_HTTP_BLOCKCAST_OPERATOR("_greater", ">")
    NGX_HTTP_BLOCKCAST_OPERATOR("_greatereq", ">=")
    NGX_HTTP_BLOCKCAST_EQUALITY("_equal", "==")
    NGX_HTTP_BLOCKCAST_EQUALITY("_notequal", "!=")
    "def add: reduce .[] as $x (null; . + $x); ";


typedef struct {
    ngx_pool_t  *pool;
    ngx_str_t    text;
    ngx_uint_t   exact;
} ngx_http_blockcast_jq_messages_t;


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


static ngx_uint_t
ngx_http_blockcast_inexact(u_char *p, size_t len)
{
    size_t  digits;

    if (len > 0 && *p == '-') {
        p++;
        len--;
    }

    for (digits = 0; digits < len; digits++) {
        if (p[digits] < '0' || p[digits] > '9') {
            return 0;
        }
    }

    if (len != sizeof(NGX_HTTP_BLOCKCAST_EXACT) - 1) {
        return len > sizeof(NGX_HTTP_BLOCKCAST_EXACT) - 1;
    }

    return ngx_memcmp(p, NGX_HTTP_BLOCKCAST_EXACT, len) > 0;
}


/* valid JSON text to a jv, with the large integers marked */

static jv
ngx_http_blockcast_jv(ngx_str_t *text, ngx_pool_t *pool)
{
    u_char      *p, *last, *token, *dst, *buf;
    ngx_uint_t   n;

    if (text->len == 0) {
        return jv_null();
    }

    if (ngx_http_blockcast_jq_exact()) {
        return jv_parse_sized((char *) text->data, text->len);
    }

    buf = NULL;
    dst = NULL;
    last = text->data + text->len;

    /* twice: to count what must be marked, then to write it */

    for (n = 0; /* void */ ; n = 0) {

        for (p = text->data; p < last; /* void */ ) {

            if (*p == '"') {
                token = p++;

                while (p < last && *p != '"') {
                    p += (*p == '\\') ? 2 : 1;
                }

                p++;

            } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
                token = p++;

                while (p < last
                       && ((*p >= '0' && *p <= '9') || *p == '.' || *p == '+'
                           || *p == '-' || *p == 'e' || *p == 'E'))
                {
                    p++;
                }

                if (ngx_http_blockcast_inexact(token, p - token)) {
                    n++;

                    if (dst != NULL) {
                        *dst++ = '"';
                        dst = ngx_sprintf(dst, NGX_HTTP_BLOCKCAST_MARK "%03uz",
                                          ngx_min(p - token, 999));
                        dst = ngx_cpymem(dst, token, p - token);
                        *dst++ = '"';
                        continue;
                    }
                }

            } else {
                token = p++;
            }

            if (dst != NULL) {
                dst = ngx_cpymem(dst, token, p - token);
            }
        }

        if (dst != NULL) {
            return jv_parse_sized((char *) buf, dst - buf);
        }

        if (n == 0) {
            return jv_parse_sized((char *) text->data, text->len);
        }

        buf = ngx_pnalloc(pool,
                          text->len + n * (NGX_HTTP_BLOCKCAST_MARK_LEN + 2));
        if (buf == NULL) {
            return jv_invalid_with_msg(jv_string("no memory"));
        }

        dst = buf;
    }
}


static ngx_uint_t
ngx_http_blockcast_mark(u_char *p, u_char *last)
{
    return (size_t) (last - p) > NGX_HTTP_BLOCKCAST_MARK_LEN
           && ngx_memcmp(p, NGX_HTTP_BLOCKCAST_MARK,
                         NGX_HTTP_BLOCKCAST_MARK_LEN - 3)
              == 0;
}


/* p .. last is a mark and an integer, and nothing else */

static ngx_uint_t
ngx_http_blockcast_marked(u_char *p, u_char *last)
{
    if (!ngx_http_blockcast_mark(p, last)) {
        return 0;
    }

    p += NGX_HTTP_BLOCKCAST_MARK_LEN;

    return ngx_http_blockcast_inexact(p, last - p);
}


/* a jv to JSON text, marked integers as the numbers they were */

static ngx_int_t
ngx_http_blockcast_print(jv v, ngx_str_t *out, ngx_pool_t *pool)
{
    jv           text;
    size_t       len;
    u_char      *p, *last, *dst, *end, *q;
    ngx_uint_t   plain;

    text = jv_dump_string(v, 0);
    len = jv_string_length_bytes(jv_copy(text));

    out->data = ngx_pnalloc(pool, len + 1);
    if (out->data == NULL) {
        jv_free(text);
        return NGX_ERROR;
    }

    p = (u_char *) jv_string_value(text);
    last = p + len;
    dst = out->data;

    while (p < last) {

        if (*p != '"') {
            *dst++ = *p++;
            continue;
        }

        for (end = p + 1; end < last && *end != '"'; end++) {
            if (*end == '\\') {
                end++;
            }
        }

        /* exactly one marked integer, and not an object's key: a number */

        plain = ngx_http_blockcast_marked(p + 1, end)
                && (end + 1 >= last || end[1] != ':');

        if (!plain) {
            *dst++ = '"';
        }

        for (p++; p < end; /* void */ ) {

            if (*p == '\\') {

                /* JSON text in a string, of tojson: a number there, too */

                for (q = p + 2; q < end && *q != '\\'; q++) { /* void */ }

                if (p[1] == '"' && end - q >= 2 && q[1] == '"'
                    && ngx_http_blockcast_marked(p + 2, q))
                {
                    p += 2 + NGX_HTTP_BLOCKCAST_MARK_LEN;
                    dst = ngx_cpymem(dst, p, q - p);
                    p = q + 2;
                    continue;
                }

                *dst++ = *p++;

            } else if (ngx_http_blockcast_mark(p, end)) {
                p += NGX_HTTP_BLOCKCAST_MARK_LEN;
                continue;
            }

            *dst++ = *p++;
        }

        if (!plain) {
            *dst++ = '"';
        }

        p = end + 1;
    }

    out->len = dst - out->data;
    jv_free(text);

    return NGX_OK;
}


/* libjq's messages become one line, without the prelude it may quote */

static void
ngx_http_blockcast_jq_message(void *data, jv msg)
{
    ngx_http_blockcast_jq_messages_t *m = data;

    u_char      *p, *dst, *s, *last;
    size_t       len, prelude;

    msg = jq_format_error(msg);

    if (jv_get_kind(msg) != JV_KIND_STRING) {
        jv_free(msg);
        return;
    }

    s = (u_char *) jv_string_value(msg);
    len = ngx_strlen(s);
    prelude = sizeof(ngx_http_blockcast_prelude) - 1;

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

        if ((size_t) (last - s) >= prelude
            && ngx_memcmp(s, ngx_http_blockcast_prelude, prelude) == 0)
        {
            s += prelude - 1;
            continue;
        }

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


static void
ngx_http_blockcast_jq_debug(void *data, jv v)
{
    jv  text;

    text = jv_dump_string(v, 0);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "blockcast: jq debug: %s",
                  jv_string_value(text));

    jv_free(text);
}


/* libjq ends the process after this, another one takes its place */

static void
ngx_http_blockcast_jq_nomem(void *data)
{
    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                  "blockcast: libjq gets no memory, it ends this process");
}


static void
ngx_http_blockcast_jq_free(void *data)
{
    jq_state  *jq = data;

    jq_teardown(&jq);
}


/*
 * The length of what must stay at the beginning of a program: comments and
 * "module", "import" and "include" up to their semicolons.
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


ngx_int_t
ngx_http_blockcast_jq_compile(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *dir, jq_state **out, ngx_str_t *error)
{
    int                                ok;
    jv                                 path;
    u_char                            *text, *p;
    size_t                             prelude, imports;
    jq_state                          *jq;
    ngx_pool_cleanup_t                *cln;
    ngx_http_blockcast_jq_messages_t   messages;

    prelude = ngx_http_blockcast_jq_exact()
              ? 0 : sizeof(ngx_http_blockcast_prelude) - 1;

    ngx_str_set(error, "no memory");

    text = ngx_pnalloc(pool, prelude + program->len + 1);
    cln = ngx_pool_cleanup_add(pool, 0);

    if (text == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    imports = prelude ? ngx_http_blockcast_jq_imports(program) : 0;

    p = ngx_cpymem(text, program->data, imports);
    p = ngx_cpymem(p, ngx_http_blockcast_prelude, prelude);
    *ngx_cpymem(p, program->data + imports, program->len - imports) = '\0';

    jq = jq_init();
    if (jq == NULL) {
        return NGX_ERROR;
    }

    /* libjq 1.6 leaves it unset, and calls whatever is there */

    jq_set_nomem_handler(jq, ngx_http_blockcast_jq_nomem, NULL);

    cln->handler = ngx_http_blockcast_jq_free;
    cln->data = jq;

    messages.pool = pool;
    ngx_str_null(&messages.text);

    /* "include" and "import" look beside nginx.conf */

    path = jv_string_sized((char *) dir->data, dir->len);

    jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_copy(path));
    jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_copy(path));
    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"),
                jv_array_append(jv_array(), path));

    jq_set_error_cb(jq, ngx_http_blockcast_jq_message, &messages);

    ok = jq_compile(jq, (char *) text);

    jq_set_error_cb(jq, NULL, NULL);

    if (!ok) {
        if (messages.text.len != 0) {
            *error = messages.text;

        } else {
            ngx_str_set(error, "it does not compile");
        }

        return NGX_ERROR;
    }

    jq_set_debug_cb(jq, ngx_http_blockcast_jq_debug, NULL);

    *out = jq;

    return NGX_OK;
}


static jv
ngx_http_blockcast_jq_input(ngx_http_blockcast_input_t *input,
    ngx_pool_t *pool)
{
    jv                            results, errors, methods, name, error, v;
    ngx_uint_t                    i;
    ngx_http_blockcast_result_t  *r;

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

        v = ngx_http_blockcast_jv(&r->result, pool);

        if (!jv_is_valid(v)) {

            /* valid JSON that libjq refuses is nested too deep for it */

            v = jv_invalid_get_msg(v);

            if (jv_get_kind(v) != JV_KIND_STRING) {
                jv_free(v);
                v = jv_string("libjq cannot read the result");
            }

            error = jv_object_set(jv_object(), jv_string("code"), jv_null());
            error = jv_object_set(error, jv_string("message"), v);
            errors = jv_object_set(errors, name, error);
            continue;
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
                      ngx_http_blockcast_jv(&input->previous, pool));
    v = jv_object_set(v, jv_string("state"),
                      ngx_http_blockcast_jv(&input->state, pool));
    v = jv_object_set(v, jv_string("last"),
                      ngx_http_blockcast_jv(&input->last, pool));
    v = jv_object_set(v, jv_string("time"), jv_number(input->time));

    return v;
}


ngx_int_t
ngx_http_blockcast_jq_run(jq_state *jq, ngx_http_blockcast_input_t *input,
    ngx_str_t *out, ngx_uint_t max, ngx_uint_t *n, ngx_str_t *error,
    ngx_pool_t *pool)
{
    jv          v, msg;
    size_t      len;
    u_char     *p, *last, *dst;
    ngx_int_t   rc;

    *n = 0;
    rc = NGX_OK;

    jq_start(jq, ngx_http_blockcast_jq_input(input, pool), 0);

    while (*n < max) {
        v = jq_next(jq);

        if (jv_is_valid(v)) {
            if (ngx_http_blockcast_print(v, &out[*n], pool) != NGX_OK) {
                ngx_str_set(error, "no memory");
                return NGX_ERROR;
            }

            (*n)++;
            continue;
        }

        if (!jv_invalid_has_msg(jv_copy(v))) {
            jv_free(v);
            break;
        }

        msg = jv_invalid_get_msg(v);

        if (jv_get_kind(msg) != JV_KIND_STRING) {
            msg = jv_dump_string(msg, 0);
        }

        len = jv_string_length_bytes(jv_copy(msg));

        error->data = ngx_pnalloc(pool, len + 1);
        if (error->data == NULL) {
            ngx_str_set(error, "no memory");

        } else {
            p = (u_char *) jv_string_value(msg);
            last = p + len;
            dst = error->data;

            while (p < last) {
                if (ngx_http_blockcast_mark(p, last)) {
                    p += NGX_HTTP_BLOCKCAST_MARK_LEN;

                } else if (last - p > 2
                           && ngx_memcmp(p, NGX_HTTP_BLOCKCAST_MARK, 3) == 0)
                {
                    /* libjq cuts the values that it quotes short */

                    p += 3;
                    continue;
                }

                /* one line of the log, whatever the node has sent */

                *dst++ = (*p < ' ' || *p == 0x7f) ? ' ' : *p;
                p++;
            }

            error->len = dst - error->data;
        }

        if (error->len == 0) {
            ngx_str_set(error, "the program failed without a message");
        }

        jv_free(msg);
        rc = NGX_ERROR;
        break;
    }

    return rc;
}
