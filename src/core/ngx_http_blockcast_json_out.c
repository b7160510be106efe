
/*
 * JSON other than the data of streams: answers, errors, status, health.
 */


#include "ngx_http_blockcast_json_out.h"
#include "bc_json.h"


/* longer strings are escaped in allocated memory (bytes when escaped) */
#define NGX_HTTP_BLOCKCAST_JSON_OUT_SHORT  512

/* bytes of a value in addition to its text: quotes, colon, comma */
#define NGX_HTTP_BLOCKCAST_JSON_OUT_PUNCT  8

/* cJSON needs a buffer somewhat larger than the text it prints (bytes) */
#define NGX_HTTP_BLOCKCAST_JSON_OUT_SPARE  16


static cJSON *ngx_http_blockcast_json_out_add(
    ngx_http_blockcast_json_out_t *out, cJSON *parent, const char *name,
    cJSON *item, size_t len);


cJSON *
ngx_http_blockcast_json_out_begin(ngx_http_blockcast_json_out_t *out)
{
    out->root = cJSON_CreateObject();
    out->bound = NGX_HTTP_BLOCKCAST_JSON_OUT_PUNCT
                 + NGX_HTTP_BLOCKCAST_JSON_OUT_SPARE;
    out->failed = (out->root == NULL);

    return out->root;
}


/*
 * Appends an item, whose text has at most len bytes, to its parent, which then
 * owns it.  Returns the item; or NULL when item or parent is NULL or on
 * failure, after freeing the item.
 */

static cJSON *
ngx_http_blockcast_json_out_add(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, cJSON *item, size_t len)
{
    cJSON_bool  added;

    if (item == NULL || parent == NULL) {
        goto failed;
    }

    added = (name != NULL) ? cJSON_AddItemToObjectCS(parent, name, item)
                           : cJSON_AddItemToArray(parent, item);
    if (!added) {
        goto failed;
    }

    out->bound += len + NGX_HTTP_BLOCKCAST_JSON_OUT_PUNCT
                  + (name != NULL ? ngx_strlen(name) : 0);

    return item;

failed:

    cJSON_Delete(item);
    out->failed = 1;

    return NULL;
}


cJSON *
ngx_http_blockcast_json_out_object(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name)
{
    return ngx_http_blockcast_json_out_add(out, parent, name,
                                           cJSON_CreateObject(), 2);
}


cJSON *
ngx_http_blockcast_json_out_array(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name)
{
    return ngx_http_blockcast_json_out_add(out, parent, name,
                                           cJSON_CreateArray(), 2);
}


void
ngx_http_blockcast_json_out_raw(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len)
{
    char  *copy, buf[NGX_HTTP_BLOCKCAST_JSON_OUT_SHORT];

    copy = buf;

    if (len >= sizeof(buf)) {
        copy = ngx_alloc(len + 1, ngx_cycle->log);

        if (copy == NULL) {
            out->failed = 1;
            return;
        }
    }

    ngx_memcpy(copy, text, len);
    copy[len] = '\0';

    (void) ngx_http_blockcast_json_out_add(out, parent, name,
                                           cJSON_CreateRaw(copy), len);

    if (copy != buf) {
        ngx_free(copy);
    }
}


void
ngx_http_blockcast_json_out_value(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *fmt, ...)
{
    u_char   buf[64], *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ngx_http_blockcast_json_out_raw(out, parent, name, buf, p - buf);
}


void
ngx_http_blockcast_json_out_seconds(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, ngx_msec_int_t msec)
{
    if (msec < 0) {
        ngx_http_blockcast_json_out_value(out, parent, name, "null");
        return;
    }

    ngx_http_blockcast_json_out_value(out, parent, name, "%M.%03M",
                                      (ngx_msec_t) msec / 1000,
                                      (ngx_msec_t) msec % 1000);
}


void
ngx_http_blockcast_json_out_text(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len)
{
    size_t   size;
    u_char  *p, *copy, buf[NGX_HTTP_BLOCKCAST_JSON_OUT_SHORT];

    size = bc_json_escape_len(text, len);
    copy = buf;

    if (size + 2 > sizeof(buf)) {
        copy = ngx_alloc(size + 2, ngx_cycle->log);

        if (copy == NULL) {
            out->failed = 1;
            return;
        }
    }

    p = copy;
    *p++ = '"';
    p = bc_json_escape(p, text, len);
    *p++ = '"';

    ngx_http_blockcast_json_out_raw(out, parent, name, copy, p - copy);

    if (copy != buf) {
        ngx_free(copy);
    }
}


void
ngx_http_blockcast_json_out_string(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *text)
{
    (void) ngx_http_blockcast_json_out_add(out, parent, name,
                                           cJSON_CreateStringReference(text),
                                           2 * ngx_strlen(text) + 2);
}


size_t
ngx_http_blockcast_json_out_bound(ngx_http_blockcast_json_out_t *out)
{
    if (out->failed) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: no memory for an answer in JSON");

        ngx_http_blockcast_json_out_drop(out);
        return 0;
    }

    return out->bound;
}


u_char *
ngx_http_blockcast_json_out_print(ngx_http_blockcast_json_out_t *out,
    u_char *p)
{
    p[0] = '\0';

    (void) cJSON_PrintPreallocated(out->root, (char *) p, (int) out->bound, 0);

    ngx_http_blockcast_json_out_drop(out);

    return p + ngx_strlen(p);
}


void
ngx_http_blockcast_json_out_drop(ngx_http_blockcast_json_out_t *out)
{
    cJSON_Delete(out->root);
    out->root = NULL;
}


ngx_int_t
ngx_http_blockcast_json_out_pool(ngx_http_blockcast_json_out_t *out,
    ngx_pool_t *pool, ngx_str_t *text)
{
    size_t  size;

    size = ngx_http_blockcast_json_out_bound(out);

    if (size == 0) {
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(pool, size);

    if (text->data == NULL) {
        ngx_http_blockcast_json_out_drop(out);
        return NGX_ERROR;
    }

    text->len = ngx_http_blockcast_json_out_print(out, text->data)
                - text->data;

    return NGX_OK;
}
