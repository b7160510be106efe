
/*
 * blockcast_key and blockcast_after of a stream.
 */


#include "ngx_http_blockcast_conf_key.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_stream.h"


#define NGX_HTTP_BLOCKCAST_CONF_KEY_MAX    1000
#define NGX_HTTP_BLOCKCAST_CONF_KEY_MOST   1000000
#define NGX_HTTP_BLOCKCAST_CONF_KEY_IDLE   600000   /* msec */
#define NGX_HTTP_BLOCKCAST_CONF_KEY_BATCH  256
#define NGX_HTTP_BLOCKCAST_CONF_KEY_SIZE   512      /* bytes of data */

/* the largest data of a key: more would take over 5 ms of a turn (bytes) */
#define NGX_HTTP_BLOCKCAST_CONF_KEY_LARGEST  (4 * 1024 * 1024)

/* with blockcast_after, polling by interval is only a fallback (msec) */
#define NGX_HTTP_BLOCKCAST_CONF_KEY_NET    60000


/* Compiles the pattern, anchored to match a whole key. */

static ngx_int_t
ngx_http_blockcast_conf_key_compile(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
#if (NGX_PCRE)

    u_char               *p, errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t   rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern.len = st->keys->pattern.len + sizeof("\\A(?:)\\z") - 1;
    rc.pattern.data = ngx_pnalloc(cf->pool, rc.pattern.len + 1);
    if (rc.pattern.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(rc.pattern.data, "\\A(?:%V)\\z", &st->keys->pattern);
    *p = '\0';

    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pattern= of blockcast_key in stream \"%V\": %V",
                           &st->name, &rc.err);
        return NGX_ERROR;
    }

    if (rc.captures > 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pattern= of blockcast_key in stream \"%V\" has "
                           "%d pairs of parentheses: one at most says what of "
                           "the key is compared, the others have to be "
                           "\"(?:...)\"", &st->name, rc.captures);
        return NGX_ERROR;
    }

    st->keys->regex = rc.regex;
    st->keys->captures = (rc.captures == 1);

    return NGX_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "blockcast_key in stream \"%V\" needs an nginx with "
                       "PCRE", &st->name);
    return NGX_ERROR;

#endif
}


static ngx_int_t
ngx_http_blockcast_conf_key_number(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *word, ngx_str_t *value,
    ngx_int_t most, ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > most) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of blockcast_key in stream \"%V\" must be a "
                           "number from 1 to %i", word, &st->name, most);
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


/*
 * Reads "on" or "off".  Returns 1 or 0, or NGX_ERROR, which has been logged.
 */

static ngx_int_t
ngx_http_blockcast_conf_key_flag(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *word, ngx_str_t *value)
{
    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        return 1;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        return 0;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" of blockcast_key in stream \"%V\" must be "
                       "\"on\" or \"off\"", word, &st->name);
    return NGX_ERROR;
}


/*
 * Compiles form=, a program that turns one string into another.  It is wrapped
 * in a program that handles all keys of a message at once; value itself is
 * compiled first, so that error messages refer to the text as written.
 */

static ngx_int_t
ngx_http_blockcast_conf_key_form(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   text, beside, error;
    jq_state   *jq;

    static const char  before[] = "[.keys[] | . as $bc_key | try (["
        "limit(2; ($bc_key | (";

    static const char  behind[] = "\n)))] | "
        "if length == 0 then {why: \"form= puts out nothing\"} "
        "elif length > 1 then {why: \"form= puts out more than one value\"} "
        "elif (.[0] | type) != \"string\" "
        "then {why: \"form= puts out \\(.[0] | type), no string\"} "
        "else .[0] end) "
        "catch {why: (tostring | .[:100])}]";

    if (value->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "form= of blockcast_key in stream \"%V\" needs a "
                           "program", &st->name);
        return NGX_ERROR;
    }

    ngx_http_blockcast_conf_read_dir(&cf->conf_file->file.name, &beside);

    text.data = ngx_pnalloc(cf->pool, sizeof(before) + value->len
                                      + sizeof(behind));
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text.data, before, sizeof(before) - 1);
    p = ngx_cpymem(p, value->data, value->len);
    p = ngx_cpymem(p, behind, sizeof(behind) - 1);
    text.len = p - text.data;

    if (ngx_http_blockcast_jq_compile(cf->pool, value, &beside,
                                      &cf->cycle->conf_prefix, &jq, &error)
        != NGX_OK
        || ngx_http_blockcast_jq_compile(cf->pool, &text, &beside,
                                         &cf->cycle->conf_prefix,
                                         &st->keys->form, &error)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "form= of blockcast_key in stream \"%V\": %V",
                           &st->name, &error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Reads the secret for signatures: the first line of a file. */

static ngx_int_t
ngx_http_blockcast_conf_key_secret(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   name, *secret;

    secret = &st->keys->secret;
    name = *value;

    if (ngx_http_blockcast_conf_read_file(cf, "stream", &st->name, &name,
                                          secret)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_strlchr(secret->data, secret->data + secret->len, LF);
    secret->len = (p != NULL) ? (size_t) (p - secret->data) : secret->len;

    if (secret->len != 0 && secret->data[secret->len - 1] == CR) {
        secret->len--;
    }

    if (secret->len < 16) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secret of blockcast_key in stream \"%V\", the "
                           "first line of \"%V\", is shorter than 16 bytes",
                           &st->name, &name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_conf_key_param(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *word)
{
    ngx_int_t                       n;
    ngx_str_t                       value;
    ngx_http_blockcast_key_conf_t  *keys;

    keys = st->keys;

    if (ngx_http_blockcast_conf_read_param(word, "pattern=", &value)) {
        keys->pattern = value;
        return (value.len != 0)
               ? ngx_http_blockcast_conf_key_compile(cf, st) : NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "max=", &value)) {
        return ngx_http_blockcast_conf_key_number(cf, st, word, &value,
                                     NGX_HTTP_BLOCKCAST_CONF_KEY_MOST,
                                     &keys->max);
    }

    if (ngx_http_blockcast_conf_read_param(word, "keys=", &value)) {
        return ngx_http_blockcast_conf_key_number(cf, st, word, &value,
                                     NGX_HTTP_BLOCKCAST_CONF_KEY_BATCH,
                                     &keys->batch);
    }

    if (ngx_http_blockcast_conf_read_param(word, "idle=", &value)) {
        n = ngx_http_blockcast_conf_read_msec(&value);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of blockcast_key in stream \"%V\" is "
                               "not a time like 10m", word, &st->name);
            return NGX_ERROR;
        }

        keys->idle = n;
        return NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "lower=", &value)) {
        n = ngx_http_blockcast_conf_key_flag(cf, st, word, &value);
        keys->lower = (n == 1);
        return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "form=", &value)) {
        return ngx_http_blockcast_conf_key_form(cf, st, &value);
    }

    if (ngx_http_blockcast_conf_read_param(word, "state=", &value)) {
        n = ngx_http_blockcast_conf_key_flag(cf, st, word, &value);
        keys->state = (n == 1);
        return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "secret_file=", &value)) {
        return ngx_http_blockcast_conf_key_secret(cf, st, &value);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of blockcast_key in stream "
                       "\"%V\"", word, &st->name);
    return NGX_ERROR;
}


char *
ngx_http_blockcast_conf_key_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t                      *word;
    ngx_uint_t                      i;
    ngx_http_blockcast_key_conf_t  *keys;

    if (st->keys != NULL) {
        return "is duplicate";
    }

    word = cf->args->elts;

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_key_conf_t));
    if (keys == NULL) {
        return NGX_CONF_ERROR;
    }

    st->keys = keys;

    keys->name = word[1];
    keys->max = NGX_HTTP_BLOCKCAST_CONF_KEY_MAX;
    keys->idle = NGX_HTTP_BLOCKCAST_CONF_KEY_IDLE;

    if (!ngx_http_blockcast_stream_name_valid(&keys->name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" of the keys of stream \"%V\" must "
                           "be 1 to %d of the characters a-z A-Z 0-9 _ - .",
                           &keys->name, &st->name,
                           NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_blockcast_conf_key_param(cf, st, &word[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (keys->pattern.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_key in stream \"%V\" needs "
                           "pattern=REGEX, which all of its keys match",
                           &st->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_key_after(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t  *word;

    if (st->after_name.len != 0) {
        return "is duplicate";
    }

    word = cf->args->elts;
    st->after_name = word[1];

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_blockcast_conf_key_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    const char  *other;

    if (st->after_name.len != 0 && st->interval == NGX_CONF_UNSET_MSEC) {
        st->interval = NGX_HTTP_BLOCKCAST_CONF_KEY_NET;
    }

    if (st->keys == NULL) {
        return NGX_OK;
    }

    ngx_conf_init_size_value(st->max_size, NGX_HTTP_BLOCKCAST_CONF_KEY_SIZE);

    st->max_size = ngx_align(st->max_size, 8);

    if (st->max_size > NGX_HTTP_BLOCKCAST_CONF_KEY_LARGEST) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"blockcast_max_size\" of stream \"%V\", which "
                           "has a blockcast_key, is more than 4m: the data of "
                           "a key is published at once", &st->name);
        return NGX_ERROR;
    }

    other = (st->field.len != 0) ? "blockcast_log"
            : (st->history != NULL) ? "blockcast_history"
            : (st->always != NGX_CONF_UNSET && (st->always || st->idle != 0))
            ? "blockcast_always"
            : NULL;

    if (other != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has a blockcast_key, which there "
                           "cannot be beside %s", &st->name, other);
        return NGX_ERROR;
    }

    if (st->keys->batch != 0 && st->jq == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" asks for several keys at once "
                           "(keys=%ui), it needs blockcast_jq or "
                           "blockcast_jq_file to answer with an object by "
                           "key", &st->name, st->keys->batch);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_conf_key_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i, n;
    ngx_http_blockcast_stream_t  **st, *other;

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {

        if (st[i]->after_name.len == 0) {
            continue;
        }

        st[i]->after = ngx_http_blockcast_stream_find(bmcf,
                                                      &st[i]->after_name);
        bmcf->followers++;

        if (st[i]->after == NULL || st[i]->after->keys != NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "stream \"%V\" in %s:%ui has \"blockcast_after "
                          "%V\", but %s", &st[i]->name, st[i]->file,
                          st[i]->line, &st[i]->after_name,
                          (st[i]->after == NULL)
                          ? "there is no such stream"
                          : "that one has a blockcast_key");
            return NGX_ERROR;
        }
    }

    for (i = 0; i < bmcf->streams.nelts; i++) {

        other = st[i]->after;

        for (n = 0; other != NULL && n < bmcf->streams.nelts; n++) {

            if (other == st[i]) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "stream \"%V\" in %s:%ui is polled after "
                              "itself (blockcast_after)", &st[i]->name,
                              st[i]->file, st[i]->line);
                return NGX_ERROR;
            }

            other = other->after;
        }
    }

    return NGX_OK;
}
