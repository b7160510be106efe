
/*
 * Proposals: what a poll is about to publish, until the log has it.
 */


#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_staging.h"
#include "ngx_http_blockcast_zone.h"


/* Marks a moment of a snapshot's publish, or of a log's. */

#if (NGX_HTTP_BLOCKCAST_TEST_KILL)

static void
ngx_http_blockcast_proposal_moment(ngx_http_blockcast_publication_t *pub,
    const char *data, const char *batch)
{
    if (pub->type == ngx_http_blockcast_publish_data) {
        ngx_http_blockcast_test_moment(data);

    } else if (pub->type == ngx_http_blockcast_publish_batch
               && batch != NULL)
    {
        ngx_http_blockcast_test_moment(batch);
    }
}

#else
#define ngx_http_blockcast_proposal_moment(pub, data, batch)
#endif


void
ngx_http_blockcast_proposal_number(ngx_http_blockcast_publication_t *pub,
    ngx_uint_t n)
{
    ngx_http_blockcast_slot_t  *slot;

    slot = pub->stream->slot;

    if (pub->type == ngx_http_blockcast_publish_memory) {
        pub->seq = slot->snap[slot->version & 1].seq;

    } else {
        pub->seq = slot->seq + 1 + n;
    }
}


/*
 * Appends the record to the state file, whose failures stop no publish;
 * between snapshot_begin() and _end().
 */

static void
ngx_http_blockcast_proposal_record(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_publication_t *pub, ngx_str_t *record)
{
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = zone->bmcf->recorder;

    if (recorder == NULL) {
        return;
    }

    recorder->append(zone->bmcf, record);

    if (pub->type != ngx_http_blockcast_publish_memory) {
        recorder->numbered(zone->bmcf, pub->stream, pub->seq);
    }
}


ngx_int_t
ngx_http_blockcast_proposal_one(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_uint_t n, ngx_log_t *log)
{
    ngx_int_t                          rc;
    ngx_str_t                          record;
    ngx_http_blockcast_prepared_t      prepared;
    ngx_http_blockcast_publication_t  *pub;

    pub = &proposal->pubs[n];

    ngx_http_blockcast_proposal_number(pub, 0);

    /* build all frames before taking the lock */

    if (ngx_http_blockcast_snapshot_prepare(pub, &prepared, log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&record);

    if (zone->bmcf->recorder != NULL) {
        zone->bmcf->recorder->encode(pub, &record);
    }

    rc = ngx_http_blockcast_snapshot_begin(zone, log);

    if (rc == NGX_OK) {
        ngx_http_blockcast_proposal_moment(pub, "publish: locked", NULL);
        ngx_http_blockcast_proposal_record(zone, pub, &record);
        ngx_http_blockcast_proposal_moment(pub, "publish: recorded",
                                           "log: recorded");
        ngx_http_blockcast_snapshot_commit_prepared(pub, &prepared);
        ngx_http_blockcast_snapshot_end(zone);
        ngx_http_blockcast_proposal_moment(pub, "publish: unlocked",
                                           "log: unlocked");
    }

    if (record.data != NULL) {
        ngx_free(record.data);
    }

    ngx_http_blockcast_snapshot_prepared_free(&prepared);

    if (rc == NGX_OK && n + 1 < proposal->n) {
        proposal->committed(proposal);
    }

    return rc;
}


ngx_int_t
ngx_http_blockcast_propose(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log)
{
    ngx_int_t                             rc;
    ngx_uint_t                            i;
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = zone->bmcf->recorder;

    if (recorder != NULL && recorder->propose != NULL) {

        for (i = 0; i < proposal->n; i++) {
            ngx_http_blockcast_proposal_number(&proposal->pubs[i], i);
        }

        return recorder->propose(zone->bmcf, proposal);
    }

    ngx_http_blockcast_proposal_number(proposal->pubs, 0);

    if (ngx_http_blockcast_staging_begin(zone, proposal, log) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    for (i = 0; i < proposal->n; i++) {

        rc = ngx_http_blockcast_proposal_one(zone, proposal, i, log);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_proposal_in_pieces(ngx_http_blockcast_zone_t *zone,
    size_t len)
{
    return len > NGX_HTTP_BLOCKCAST_STAGED
           && (zone->bmcf->recorder == NULL
               || zone->bmcf->recorder->propose == NULL);
}


void
ngx_http_blockcast_proposal_withdraw(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal)
{
    if (proposal->staging != NULL) {
        ngx_http_blockcast_staging_cancel(proposal);
    }

    if (proposal->waits) {
        zone->bmcf->recorder->withdraw(zone->bmcf, proposal);
    }
}
