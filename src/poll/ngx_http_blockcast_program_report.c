
/*
 * What a program reports in its outputs after the data and the state: notes,
 * gaps of a log, and that the stream makes no progress.
 *
 * A program that could not deliver entries of a log reports which ones, as
 * {"gap":{"from":7,"to":9}}.  That becomes a member of the next entry, so that
 * every client sees it where the entries are missing.
 */


#include "ngx_http_blockcast_program_report.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "bc_json.h"
#include "bc_span.h"


static void ngx_http_blockcast_program_report_item(ngx_pool_t *pool,
    bc_span_t item, ngx_http_blockcast_program_report_t *report);
static void ngx_http_blockcast_program_report_note(ngx_pool_t *pool,
    bc_span_t value, ngx_http_blockcast_program_report_t *report);
static void ngx_http_blockcast_program_report_gap(ngx_pool_t *pool,
    bc_span_t value, ngx_http_blockcast_program_report_t *report);
static ngx_uint_t ngx_http_blockcast_program_report_bound(bc_span_t *value);
static void ngx_http_blockcast_program_report_add(ngx_pool_t *pool,
    ngx_http_blockcast_program_report_t *report, const char *fmt, ...);
static ngx_int_t ngx_http_blockcast_program_report_text(ngx_pool_t *pool,
    bc_span_t value, ngx_str_t *text);


void
ngx_http_blockcast_program_report_read(ngx_pool_t *pool, ngx_str_t *json,
    ngx_uint_t n, ngx_http_blockcast_program_report_t *report)
{
    bc_span_t       span, key, item;
    ngx_uint_t      i;
    bc_json_iter_t  it;

    ngx_memzero(report, sizeof(ngx_http_blockcast_program_report_t));

    for (i = 0; i < n; i++) {
        span.data = json[i].data;
        span.len = json[i].len;

        if (span.len == 0) {
            continue;
        }

        if (bc_json_array(&it, span) != 0) {
            ngx_http_blockcast_program_report_item(pool, span, report);
            continue;
        }

        while (bc_json_next(&it, &key, &item)) {
            ngx_http_blockcast_program_report_item(pool, item, report);
        }
    }

    if (report->ngaps != 0 && report->nnotes == 0) {
        ngx_http_blockcast_program_report_add(
                                        pool, report, "entries are not "
                                        "delivered, the gap is %V",
                                        &report->gap);
    }
}


static void
ngx_http_blockcast_program_report_item(ngx_pool_t *pool, bc_span_t item,
    ngx_http_blockcast_program_report_t *report)
{
    bc_span_t       key, value, each;
    ngx_uint_t      known;
    bc_json_iter_t  it;

    if (item.data[0] == '"' || item.data[0] == 'n') {
        ngx_http_blockcast_program_report_note(pool, item, report);
        return;
    }

    if (item.data[0] != '{') {
        ngx_http_blockcast_program_report_add(
                                pool, report, "an output of the program "
                                "after its state is no note, and no object "
                                "with \"note\", \"gap\" or \"stale\"");
        return;
    }

    known = 0;

    if (bc_json_member(item, "note", &value)) {
        known = 1;

        if (bc_json_array(&it, value) != 0) {
            ngx_http_blockcast_program_report_note(pool, value, report);

        } else {
            while (bc_json_next(&it, &key, &each)) {
                ngx_http_blockcast_program_report_note(pool, each, report);
            }
        }
    }

    if (bc_json_member(item, "gap", &value)) {
        known = 1;
        ngx_http_blockcast_program_report_gap(pool, value, report);
    }

    if (bc_json_member(item, "stale", &value)) {
        known = 1;

        if (value.data[0] == '"') {
            (void) ngx_http_blockcast_program_report_text(pool, value,
                                                          &report->stale);
        }
    }

    if (!known) {
        ngx_http_blockcast_program_report_add(
                                pool, report, "an output of the program "
                                "after its state has none of \"note\", "
                                "\"gap\" and \"stale\"");
    }
}


static void
ngx_http_blockcast_program_report_note(ngx_pool_t *pool, bc_span_t value,
    ngx_http_blockcast_program_report_t *report)
{
    ngx_str_t  text;

    if (value.data[0] == 'n') {
        return;
    }

    if (value.data[0] != '"') {
        ngx_http_blockcast_program_report_add(
                                pool, report, "the program's note is no text");
        return;
    }

    if (ngx_http_blockcast_program_report_text(pool, value, &text) != NGX_OK
        || text.len == 0
        || report->nnotes == NGX_HTTP_BLOCKCAST_PROGRAM_NOTES)
    {
        return;
    }

    report->notes[report->nnotes++] = text;
}


static void
ngx_http_blockcast_program_report_gap(ngx_pool_t *pool, bc_span_t value,
    ngx_http_blockcast_program_report_t *report)
{
    u_char     *p;
    bc_span_t   from, to;

    if (value.data[0] == 'n') {
        return;
    }

    report->ngaps++;

    if (!bc_json_member(value, "from", &from)
        || !bc_json_member(value, "to", &to)
        || !ngx_http_blockcast_program_report_bound(&from)
        || !ngx_http_blockcast_program_report_bound(&to))
    {
        ngx_http_blockcast_program_report_add(
                                pool, report, "the program's gap is no object "
                                "with \"from\" and \"to\", numbers or texts "
                                "of up to 80 bytes");
        return;
    }

    if (report->gap.len != 0) {
        return;
    }

    p = ngx_pnalloc(pool, NGX_HTTP_BLOCKCAST_RING_GAP);

    if (p != NULL) {
        report->gap.data = p;

        p = ngx_cpymem(p, "{\"from\":", sizeof("{\"from\":") - 1);
        p = ngx_cpymem(p, from.data, from.len);
        p = ngx_cpymem(p, ",\"to\":", sizeof(",\"to\":") - 1);
        p = ngx_cpymem(p, to.data, to.len);
        *p++ = '}';

        report->gap.len = p - report->gap.data;
    }
}


static ngx_uint_t
ngx_http_blockcast_program_report_bound(bc_span_t *value)
{
    size_t  i;

    if (value->len > 80) {
        return 0;
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] == '{' || value->data[i] == '}'
            || value->data[i] == '[')
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_blockcast_program_report_add(ngx_pool_t *pool,
    ngx_http_blockcast_program_report_t *report, const char *fmt, ...)
{
    u_char     *p;
    va_list     args;
    ngx_str_t  *note;

    if (report->nnotes == NGX_HTTP_BLOCKCAST_PROGRAM_NOTES) {
        return;
    }

    p = ngx_pnalloc(pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);
    if (p == NULL) {
        return;
    }

    note = &report->notes[report->nnotes++];
    note->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
    va_end(args);

    note->len = p - note->data;
}


static ngx_int_t
ngx_http_blockcast_program_report_text(ngx_pool_t *pool, bc_span_t value,
    ngx_str_t *text)
{
    size_t  len;

    ngx_str_null(text);

    text->data = ngx_pnalloc(pool, value.len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (bc_json_string(value, text->data, value.len, &len) != 0) {
        return NGX_ERROR;
    }

    text->len = len;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_program_report_mark(ngx_pool_t *pool, ngx_str_t *gap,
    size_t room, ngx_str_t *entry)
{
    u_char     *p;
    size_t      len;
    bc_span_t   span, value;

    span.data = entry->data;
    span.len = entry->len;

    len = entry->len + sizeof(",\"gap\":") - 1 + gap->len;

    if (bc_json_member(span, "gap", &value) || len > room) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    /* an entry is an object with at least one member, its key */

    span.data = p;
    p = ngx_cpymem(p, entry->data, entry->len - 1);
    p = ngx_cpymem(p, ",\"gap\":", sizeof(",\"gap\":") - 1);
    p = ngx_cpymem(p, gap->data, gap->len);
    *p = '}';

    entry->data = (u_char *) span.data;
    entry->len = len;

    return NGX_OK;
}
