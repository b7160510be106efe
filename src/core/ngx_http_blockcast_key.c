
/*
 * The keys of a stream with blockcast_key: their canonical form, and access to
 * them.
 */


#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_key_form.h"
#include "bc_hmac.h"


ngx_uint_t
ngx_http_blockcast_key_plain(ngx_str_t *key)
{
    size_t  i;

    for (i = 0; i < key->len; i++) {
        if (key->data[i] <= ' ' || key->data[i] >= 0x7f
            || key->data[i] == '"' || key->data[i] == '\\')
        {
            return 0;
        }
    }

    return key->len != 0 && key->len <= NGX_HTTP_BLOCKCAST_KEY_LEN;
}


/*
 * Puts the output of the form= program for a key into *key.  When there is
 * none, *why is the program's reason, if it gave one.
 */

static ngx_int_t
ngx_http_blockcast_key_program(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *key, ngx_str_t *why)
{
    ngx_int_t  rc;

    if (!ngx_http_blockcast_key_plain(text)) {
        ngx_str_null(why);
        return NGX_DECLINED;
    }

    rc = ngx_http_blockcast_key_form_find(st, text, why);

    if (rc == NGX_OK) {
        ngx_memcpy(key->data, why->data, why->len);
        key->len = why->len;
    }

    return rc;
}


ngx_int_t
ngx_http_blockcast_key_form(ngx_http_blockcast_stream_t *st, ngx_str_t *text,
    ngx_str_t *key, ngx_str_t *said, u_char *buf)
{
    u_char                           *last, shown[80];
    ngx_int_t                         rc;
    ngx_str_t                         cut, why;
    ngx_http_blockcast_key_conf_t    *conf;
#if (NGX_PCRE)
    int                               captures[6];
    ngx_int_t                         n;
    ngx_str_t                         form;
#endif
    static ngx_str_t                  none = ngx_null_string;

    conf = st->keys;
    last = buf + NGX_HTTP_BLOCKCAST_KEY_SAID;
    said->data = buf;

    if (text->len > NGX_HTTP_BLOCKCAST_KEY_LEN) {
        said->len = ngx_slprintf(buf, last, "a key of stream %V has at most "
                                 "%d bytes, this one has %uz", &st->name,
                                 NGX_HTTP_BLOCKCAST_KEY_LEN, text->len)
                    - buf;
        return NGX_DECLINED;
    }

    ngx_str_null(&why);
    rc = NGX_OK;

    if (conf->form != NULL) {
        rc = ngx_http_blockcast_key_program(st, text, key, &why);

    } else {
        key->len = text->len;

        if (text->len != 0) {
            ngx_memcpy(key->data, text->data, text->len);
        }
    }

    if (rc == NGX_OK && conf->lower) {
        ngx_strlow(key->data, key->data, key->len);
    }

    if (rc == NGX_AGAIN) {
        cut = *text;
        ngx_http_blockcast_gate_printable(&cut, shown, sizeof(shown));

        if (why.len == 0) {
            ngx_str_set(&why, "many keys are asked for");
        }

        said->len = ngx_slprintf(buf, last, "\"%V\" of stream %V cannot be "
                                 "compared just now, try again: %V", &cut,
                                 &st->name, &why)
                    - buf;
        return NGX_AGAIN;
    }

#if (NGX_PCRE)

    if (rc == NGX_OK && ngx_http_blockcast_key_plain(key)) {
        n = ngx_regex_exec((ngx_regex_t *) conf->regex, key, captures, 6);

        if (n >= 0) {

            if (conf->captures && n > 1 && captures[3] > captures[2]) {
                form.data = key->data + captures[2];
                form.len = captures[3] - captures[2];
                ngx_memmove(key->data, form.data, form.len);
                key->len = form.len;
            }

            return NGX_OK;
        }
    }

#endif

    cut = *text;
    ngx_http_blockcast_gate_printable(&cut, shown, sizeof(shown));

    said->len = ngx_slprintf(buf, last, "\"%V\" is no %V of stream %V%s%V",
                             &cut, &conf->name, &st->name,
                             (rc != NGX_OK && why.len != 0) ? ": " : "",
                             (rc != NGX_OK) ? &why : &none)
                - buf;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_blockcast_key_signed(ngx_http_blockcast_stream_t *st, ngx_str_t *key,
    ngx_http_blockcast_key_claim_t *claim, const char **why)
{
    u_char  *p, text[NGX_HTTP_BLOCKCAST_NAME_LEN + NGX_HTTP_BLOCKCAST_KEY_LEN
                     + NGX_INT64_LEN + 3];
    u_char   mac[BC_HMAC_LEN];
    time_t   expires;

    if (claim->signature.len == 0) {
        *why = "this key needs \"expires\" and \"signature\"";
        return NGX_DECLINED;
    }

    expires = ngx_atotm(claim->expires.data, claim->expires.len);

    if (claim->expires.len == 0 || claim->expires.len > NGX_INT64_LEN
        || expires == (time_t) NGX_ERROR)
    {
        *why = "\"expires\" of the key must be a time in Unix seconds";
        return NGX_DECLINED;
    }

    p = ngx_cpymem(text, st->name.data, st->name.len);
    *p++ = LF;
    p = ngx_cpymem(p, key->data, key->len);
    *p++ = LF;
    p = ngx_cpymem(p, claim->expires.data, claim->expires.len);

    bc_hmac_sha256(st->keys->secret.data, st->keys->secret.len, text, p - text,
                   mac);

    if (!bc_hmac_is(mac, claim->signature.data, claim->signature.len)) {
        *why = "the signature of the key is wrong";
        return NGX_DECLINED;
    }

    if (expires <= ngx_time()) {
        *why = "the signature of the key has expired";
        return NGX_DECLINED;
    }

    claim->until = expires;

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_key_listed(ngx_http_blockcast_stream_t *st, ngx_str_t *key,
    ngx_str_t *list)
{
    u_char  *p, *last, *word;
    size_t   len, i, n, all;

    p = list->data;
    last = p + list->len;
    all = st->name.len + 1 + key->len;

    while (p < last) {

        if (*p == ' ' || *p == ',' || *p == '\t') {
            p++;
            continue;
        }

        word = p;

        while (p < last && *p != ' ' && *p != ',' && *p != '\t') {
            p++;
        }

        len = p - word;
        n = (word[len - 1] == '*') ? len - 1 : len;

        if (n > all || (n == len && n != all)) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (word[i] != ((i < st->name.len) ? st->name.data[i]
                            : (i == st->name.len) ? '/'
                            : key->data[i - st->name.len - 1]))
            {
                /*
                 * with lower=, the list may be in mixed case, as people write
                 * addresses
                 */

                if (!st->keys->lower || i <= st->name.len
                    || ngx_tolower(word[i])
                       != key->data[i - st->name.len - 1])
                {
                    break;
                }
            }
        }

        if (i == n) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_blockcast_key_split(ngx_str_t *both, ngx_str_t *name, ngx_str_t *key)
{
    u_char  *p;

    *name = *both;
    ngx_str_null(key);

    p = ngx_strlchr(both->data, both->data + both->len, '/');
    if (p == NULL) {
        return 0;
    }

    name->len = p - both->data;
    key->data = p + 1;
    key->len = both->data + both->len - key->data;

    return 1;
}
