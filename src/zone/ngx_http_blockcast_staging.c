
/*
 * Stagings: large publications, which are compared, built and copied to the
 * zone in pieces, with turns of other events in between; and several messages
 * of a log, each of which is a piece, or goes in pieces if it is a large entry.
 *
 * Readers see no change before the version word changes in the last step, as
 * when a snapshot is published in one go.  Until then, or if this worker dies,
 * the zone has the previous snapshot; the data belongs to the poll that waits.
 */


#include "ngx_http_blockcast_staging.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"


/* bytes to copy at a time, and the time to spend per turn (usec) */
#define NGX_HTTP_BLOCKCAST_STAGING_PIECE  65536
#define NGX_HTTP_BLOCKCAST_STAGING_TIME   500


typedef enum {
    ngx_http_blockcast_staging_compare = 0,
    ngx_http_blockcast_staging_build,
    ngx_http_blockcast_staging_record,
    ngx_http_blockcast_staging_enter,
    ngx_http_blockcast_staging_copy,
    ngx_http_blockcast_staging_commit,
    ngx_http_blockcast_staging_message
} ngx_http_blockcast_staging_e;


struct ngx_http_blockcast_staging_s {
    ngx_queue_t                    queue;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_proposal_t *proposal;
    ngx_http_blockcast_prepared_t  prepared;
    ngx_http_blockcast_staging_e   step;
    size_t                         compared;
    ngx_uint_t                     done;        /* messages of a log */
    ngx_uint_t                     waits;       /* for the last one of them */
    void                          *record;      /* of the recorder */
};


static ngx_uint_t ngx_http_blockcast_staging_large(
    ngx_http_blockcast_publication_t *pub);
static void ngx_http_blockcast_staging_first(ngx_http_blockcast_staging_t *s);
static ngx_int_t ngx_http_blockcast_staging_next(
    ngx_http_blockcast_staging_t *s);
static ngx_int_t ngx_http_blockcast_staging_step(
    ngx_http_blockcast_staging_t *s);
static ngx_int_t ngx_http_blockcast_staging_put(
    ngx_http_blockcast_staging_t *s);
static ngx_int_t ngx_http_blockcast_staging_finish(
    ngx_http_blockcast_staging_t *s);
static void ngx_http_blockcast_staging_end(ngx_http_blockcast_staging_t *s);
static void ngx_http_blockcast_staging_free(ngx_http_blockcast_staging_t *s);
static void ngx_http_blockcast_staging_event_handler(ngx_event_t *ev);


static ngx_queue_t       ngx_http_blockcast_stagings;
static ngx_event_t       ngx_http_blockcast_staging_event;
static ngx_connection_t  ngx_http_blockcast_staging_dummy;


ngx_int_t
ngx_http_blockcast_staging_begin(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log)
{
    ngx_event_t                   *ev;
    ngx_http_blockcast_staging_t  *s;

    if (proposal->decided == NULL
        || (proposal->n == 1
            && !ngx_http_blockcast_staging_large(proposal->pubs)))
    {
        return NGX_DECLINED;
    }

    s = ngx_calloc(sizeof(ngx_http_blockcast_staging_t), log);
    if (s == NULL) {
        return NGX_DECLINED;
    }

    s->zone = zone;
    s->proposal = proposal;

    ngx_http_blockcast_staging_first(s);

    ev = &ngx_http_blockcast_staging_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_blockcast_stagings);

        /* debug logging reads the descriptor of an event's connection */

        ngx_http_blockcast_staging_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_blockcast_staging_event_handler;
        ev->data = &ngx_http_blockcast_staging_dummy;
    }

    ev->log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_http_blockcast_stagings, &s->queue);
    proposal->staging = s;

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    return NGX_AGAIN;
}


/* Tells whether a publication is done in pieces. */

static ngx_uint_t
ngx_http_blockcast_staging_large(ngx_http_blockcast_publication_t *pub)
{
    switch (pub->type) {

    case ngx_http_blockcast_publish_data:
        return pub->data.len > NGX_HTTP_BLOCKCAST_STAGED;

    case ngx_http_blockcast_publish_batch:

        /* the poll has put it into a message of its own */

        return pub->count == 1
               && pub->entries[0].data.len > NGX_HTTP_BLOCKCAST_STAGED;

    default: /* ngx_http_blockcast_publish_memory */
        return 0;
    }
}


/* Sets the first step of the publication that is the next one. */

static void
ngx_http_blockcast_staging_first(ngx_http_blockcast_staging_t *s)
{
    ngx_http_blockcast_proposal_number(&s->proposal->pubs[s->done], 0);

    s->step = ngx_http_blockcast_staging_large(&s->proposal->pubs[s->done])
              ? ngx_http_blockcast_staging_compare
              : ngx_http_blockcast_staging_message;
    s->waits = (s->done != 0);
}


/* Goes on after a large one that is in the slot. */

static ngx_int_t
ngx_http_blockcast_staging_next(ngx_http_blockcast_staging_t *s)
{
    ngx_http_blockcast_staging_end(s);

    if (++s->done == s->proposal->n) {
        return NGX_OK;
    }

    s->proposal->committed(s->proposal);

    ngx_http_blockcast_staging_first(s);

    return NGX_AGAIN;
}


void
ngx_http_blockcast_staging_cancel(ngx_http_blockcast_proposal_t *proposal)
{
    ngx_http_blockcast_staging_free(proposal->staging);
}


/* Frees what belongs to one publication. */

static void
ngx_http_blockcast_staging_end(ngx_http_blockcast_staging_t *s)
{
    if (s->record != NULL) {
        s->zone->bmcf->recorder->unstage(s->zone->bmcf, s->record);
        s->record = NULL;
    }

    ngx_http_blockcast_snapshot_prepared_free(&s->prepared);
    s->prepared.buf = NULL;
}


static void
ngx_http_blockcast_staging_free(ngx_http_blockcast_staging_t *s)
{
    ngx_queue_remove(&s->queue);
    s->proposal->staging = NULL;

    ngx_http_blockcast_staging_end(s);
    ngx_free(s);
}


/*
 * Does one piece of work.  NGX_AGAIN: there is more; NGX_BUSY: there is more,
 * in another turn; other codes go to decided().
 */

static ngx_int_t
ngx_http_blockcast_staging_step(ngx_http_blockcast_staging_t *s)
{
    size_t                             len;
    ngx_int_t                          rc;
    const ngx_http_blockcast_recorder_t  *recorder;
    ngx_http_blockcast_publication_t  *pub;

    pub = &s->proposal->pubs[s->done];
    recorder = s->zone->bmcf->recorder;

    if (s->waits) {

        if (s->proposal->settled != NULL
            && !s->proposal->settled(s->proposal))
        {
            return NGX_BUSY;
        }

        s->waits = 0;
    }

    switch (s->step) {

    case ngx_http_blockcast_staging_compare:

        if (s->proposal->same != NULL) {
            len = ngx_min(pub->data.len - s->compared,
                          NGX_HTTP_BLOCKCAST_STAGING_PIECE);

            if (ngx_memcmp(s->proposal->same + s->compared,
                           pub->data.data + s->compared, len)
                == 0)
            {
                s->compared += len;
                return (s->compared == pub->data.len) ? NGX_DONE : NGX_AGAIN;
            }
        }

        if (ngx_http_blockcast_snapshot_prepare_begin(pub, &s->prepared,
                                                      ngx_cycle->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        break;

    case ngx_http_blockcast_staging_build:

        rc = ngx_http_blockcast_snapshot_prepare_piece(
                      pub, &s->prepared, NGX_HTTP_BLOCKCAST_STAGING_PIECE);

        if (rc != NGX_OK) {
            return rc;
        }

        break;

    case ngx_http_blockcast_staging_record:

        if (recorder != NULL) {
            rc = recorder->stage(s->zone->bmcf, pub, &s->record,
                                 NGX_HTTP_BLOCKCAST_STAGING_PIECE);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        break;

    case ngx_http_blockcast_staging_enter:

        if (pub->type != ngx_http_blockcast_publish_batch) {
            break;
        }

        /* fall through */

    case ngx_http_blockcast_staging_copy:

        rc = ngx_http_blockcast_staging_put(s);

        if (rc != NGX_OK) {
            return rc;
        }

        break;

    case ngx_http_blockcast_staging_commit:

        rc = ngx_http_blockcast_staging_finish(s);

        return (rc == NGX_OK) ? ngx_http_blockcast_staging_next(s) : rc;

    default: /* ngx_http_blockcast_staging_message */

        rc = ngx_http_blockcast_proposal_one(s->zone, s->proposal, s->done,
                                             ngx_cycle->log);

        if (rc != NGX_OK || ++s->done == s->proposal->n) {
            return rc;
        }

        ngx_http_blockcast_staging_first(s);

        return NGX_AGAIN;
    }

    s->step++;

    return NGX_AGAIN;
}


/* Copies a piece to the zone. */

static ngx_int_t
ngx_http_blockcast_staging_put(ngx_http_blockcast_staging_t *s)
{
    ngx_int_t                          rc;
    ngx_http_blockcast_publication_t  *pub;

    pub = &s->proposal->pubs[s->done];

    /* no recorder: nothing is recorded yet */

    if (ngx_http_blockcast_snapshot_begin_by(s->zone, NULL, ngx_cycle->log)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_blockcast_test_moment("stage: locked");

    if (s->step == ngx_http_blockcast_staging_enter) {
        rc = ngx_http_blockcast_snapshot_stage_entry(
                      pub, &s->prepared, NGX_HTTP_BLOCKCAST_STAGING_PIECE);

    } else {
        rc = ngx_http_blockcast_snapshot_stage_piece(
                      pub, &s->prepared, NGX_HTTP_BLOCKCAST_STAGING_PIECE);
    }

    ngx_http_blockcast_test_moment("stage: copied");
    ngx_http_blockcast_snapshot_end_by(s->zone, NULL);

    return rc;
}


static ngx_int_t
ngx_http_blockcast_staging_finish(ngx_http_blockcast_staging_t *s)
{
    ngx_int_t                             rc;
    const ngx_http_blockcast_recorder_t  *recorder;
    ngx_http_blockcast_publication_t     *pub;

    pub = &s->proposal->pubs[s->done];
    recorder = s->zone->bmcf->recorder;

    rc = ngx_http_blockcast_snapshot_begin(s->zone, ngx_cycle->log);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_blockcast_test_moment("publish: locked");

    if (ngx_http_blockcast_snapshot_is_staged(pub, &s->prepared)) {

        if (recorder != NULL) {
            recorder->staged(s->zone->bmcf, s->record);
            recorder->numbered(s->zone->bmcf, pub->stream, pub->seq);
        }

        ngx_http_blockcast_test_moment("publish: recorded");
        ngx_http_blockcast_snapshot_commit_staged(pub, &s->prepared);

    } else {
        rc = NGX_DECLINED;
    }

    ngx_http_blockcast_snapshot_end(s->zone);
    ngx_http_blockcast_test_moment("publish: unlocked");

    return rc;
}


/* Works on the first staging for one turn's time, then moves it to the end. */

static void
ngx_http_blockcast_staging_event_handler(ngx_event_t *ev)
{
    uint64_t                        began;
    ngx_int_t                       rc;
    ngx_queue_t                    *q;
    ngx_http_blockcast_staging_t   *s;
    ngx_http_blockcast_proposal_t  *proposal;

    if (ngx_queue_empty(&ngx_http_blockcast_stagings)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_stagings);
    s = ngx_queue_data(q, ngx_http_blockcast_staging_t, queue);

    began = ngx_http_blockcast_zone_usec();

    do {
        rc = ngx_http_blockcast_staging_step(s);

    } while (rc == NGX_AGAIN
             && ngx_http_blockcast_zone_usec() - began
                < NGX_HTTP_BLOCKCAST_STAGING_TIME);

    if (rc == NGX_AGAIN || rc == NGX_BUSY) {
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_blockcast_stagings, q);

    } else {
        proposal = s->proposal;

        /* the committed snapshot is kept for the hub, which takes it now */

        ngx_http_blockcast_staging_free(s);

        proposal->decided(proposal, rc);
    }

    if (!ngx_queue_empty(&ngx_http_blockcast_stagings) && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}
