
/*
 * The state file's records of large publications, which are written in pieces.
 *
 * All pieces but the last are written ahead, after the last whole record; the
 * last one, under the mutex of the commit, completes the record.  Until then
 * the file ends as after a write() that was cut short, which readers ignore.
 * When another publication's record comes first, it overwrites the pieces and
 * they are written again after it, STAGE_TRIES times at most; after that the
 * record is written in one go.
 */


#include "ngx_http_blockcast_journal_stage.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast_journal_file.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_journal.h"


/* how often a record is started in pieces */
#define NGX_HTTP_BLOCKCAST_JOURNAL_STAGE_TRIES  5


typedef struct {
    ngx_str_t                     parts[5];     /* the head, data, state; an
                                                   entry's head, and entry */
    size_t                        size;         /* of all of them */
    size_t                        summed;
    uint32_t                      sum;
    size_t                        written;
    ngx_uint_t                    tries;
    u_char                        head[BC_JOURNAL_RECORD
                                       + NGX_HTTP_BLOCKCAST_NAME_LEN];
    u_char                        entry[];      /* its head, with the key */
} ngx_http_blockcast_journal_stage_t;


static ngx_int_t ngx_http_blockcast_journal_stage_write(
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_stage_t *stage, size_t len);


/* Returns the text at a position of the record, len bytes at most. */

static ngx_str_t
ngx_http_blockcast_journal_stage_at(ngx_http_blockcast_journal_stage_t *stage,
    size_t pos, size_t len)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    for (i = 0; i < 4 && pos >= stage->parts[i].len; i++) {
        pos -= stage->parts[i].len;
    }

    text.data = stage->parts[i].data + pos;
    text.len = ngx_min(stage->parts[i].len - pos, len);

    return text;
}


ngx_int_t
ngx_http_blockcast_journal_stage(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_publication_t *pub, void **data, size_t len)
{
    u_char                              *p;
    size_t                               size;
    ngx_str_t                            text;
    ngx_uint_t                           i;
    ngx_http_blockcast_log_entry_t      *entry;
    ngx_http_blockcast_journal_stage_t  *stage;

    stage = *data;

    if (stage == NULL) {

        /* a batch has one entry here */

        entry = (pub->type == ngx_http_blockcast_publish_batch)
                ? pub->entries : NULL;
        size = (entry != NULL) ? BC_JOURNAL_ENTRY + entry->key.len : 0;

        stage = ngx_calloc(sizeof(ngx_http_blockcast_journal_stage_t) + size,
                           ngx_cycle->log);
        if (stage == NULL) {
            return NGX_ERROR;
        }

        *data = stage;

        stage->parts[0].data = stage->head;
        stage->parts[0].len = ngx_http_blockcast_journal_codec_head(
                                                            pub, stage->head);
        stage->parts[1] = pub->data;
        stage->parts[2] = pub->memory;

        if (entry != NULL) {
            p = bc_journal_entry_head(
                       stage->entry,
                       ngx_http_blockcast_journal_codec_span(&entry->key),
                       entry->data.len);

            stage->parts[3].data = stage->entry;
            stage->parts[3].len = p - stage->entry;
            stage->parts[4] = entry->data;
        }

        for (i = 0; i < 5; i++) {
            stage->size += stage->parts[i].len;
        }

        /* the checksum does not cover the size and itself */
        stage->summed = 8;
    }

    if (stage->summed < stage->size) {
        text = ngx_http_blockcast_journal_stage_at(stage, stage->summed, len);

        stage->sum = bc_journal_sum(stage->sum, text.data, text.len);
        stage->summed += text.len;

        if (stage->summed == stage->size) {
            bc_journal_head_end(stage->head, stage->sum);
        }

        return NGX_AGAIN;
    }

    return ngx_http_blockcast_journal_stage_write(bmcf, stage, len);
}


/* Writes a piece ahead. */

static ngx_int_t
ngx_http_blockcast_journal_stage_write(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_stage_t *stage, size_t len)
{
    size_t                         n;
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s->ahead_of != NULL && s->ahead_of != stage) {

        /* another large record is being written */

        return NGX_BUSY;
    }

    if (ngx_http_blockcast_snapshot_begin_by(bmcf->zone, s->recorder,
                                             ngx_cycle->log)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = NGX_OK;

    if (!s->ready || s->incomplete || s->fd == -1) {

        /* nothing to write ahead, as in append() */

        goto done;
    }

    if (s->ahead_of == NULL) {

        if (stage->tries++ == NGX_HTTP_BLOCKCAST_JOURNAL_STAGE_TRIES
            || ngx_http_blockcast_journal_file_drop(s) != NGX_OK)
        {
            goto done;
        }

        stage->written = 0;
        s->ahead_of = stage;
    }

    text = ngx_http_blockcast_journal_stage_at(stage, stage->written, len);

    if (stage->written + text.len + len > stage->size) {

        /* leave the last piece to the commit */

        goto done;
    }

    n = ngx_http_blockcast_journal_file_put(s->fd, text.data, text.len);

    ngx_http_blockcast_test_moment("record: a piece");

    stage->written += n;
    s->ahead += n;

    if (n == text.len) {
        rc = NGX_AGAIN;

    } else {

        /* the disk is full: the commit tries again and logs the failure */

        s->ahead_of = NULL;
    }

done:

    ngx_http_blockcast_snapshot_end_by(bmcf->zone, s->recorder);

    return rc;
}


void
ngx_http_blockcast_journal_stage_commit(ngx_http_blockcast_main_conf_t *bmcf,
    void *data)
{
    ngx_http_blockcast_journal_stage_t *stage = data;

    int                            err;
    size_t                         n;
    ngx_str_t                      text;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (!s->ready || s->incomplete || s->fd == -1) {
        return;
    }

    err = 0;

    if (s->ahead_of != stage) {
        stage->written = 0;

        if (ngx_http_blockcast_journal_file_drop(s) != NGX_OK) {
            ngx_http_blockcast_journal_file_appended(s, stage->size, 0,
                                                     ngx_errno);
            return;
        }
    }

    while (stage->written < stage->size) {
        text = ngx_http_blockcast_journal_stage_at(stage, stage->written,
                                                   stage->size);
        n = ngx_http_blockcast_journal_file_put(s->fd, text.data, text.len);
        stage->written += n;

        if (n != text.len) {
            err = ngx_errno;
            break;
        }
    }

    s->ahead = 0;
    s->ahead_of = NULL;

    ngx_http_blockcast_journal_file_appended(s, stage->size, stage->written,
                                             err);
}


void
ngx_http_blockcast_journal_stage_free(ngx_http_blockcast_main_conf_t *bmcf,
    void *data)
{
    /* the next append, in whatever process, truncates what is ahead */

    if (bmcf->journal->ahead_of == data) {
        bmcf->journal->ahead_of = NULL;
    }

    ngx_free(data);
}
