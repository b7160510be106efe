
/*
 * The recorder: the functions that the zone calls for each change, so that a
 * state file or a cluster's log can record it.  journal/ and cluster/ provide
 * them; the zone knows nothing of files.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RECORDER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RECORDER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"


/*
 * bmcf->recorder points to that of blockcast_state, or to that of a cluster,
 * which calls the former; it is NULL without either.  The data of a record is
 * of ngx_alloc() and freed by the zone; it is NULL when there was no memory.
 */

struct ngx_http_blockcast_recorder_s {

    /*
     * Checks, for nginx -t and before a configuration takes effect, that the
     * file can be used.  Changes nothing; logs why it returns NGX_ERROR.
     */
    ngx_int_t  (*check)(ngx_http_blockcast_main_conf_t *bmcf, ngx_log_t *log);

    /*
     * Returns NGX_OK when this nginx may publish; no other nginx with the same
     * file does so before write_end().  NGX_DECLINED: it may not.
     */
    ngx_int_t  (*write_begin)(ngx_http_blockcast_main_conf_t *bmcf);
    void       (*write_end)(ngx_http_blockcast_main_conf_t *bmcf);

    /* Make a record: of a publication; of a stream's error (len 0: none). */
    void       (*encode)(ngx_http_blockcast_publication_t *pub,
                         ngx_str_t *record);
    void       (*encode_error)(ngx_http_blockcast_slot_t *slot, int64_t code,
                               ngx_str_t *text, ngx_str_t *record);

    /* Makes a record of what is new in a stream's history. */
    void       (*encode_history)(ngx_http_blockcast_slot_t *slot,
                                 ngx_str_t *record);

    /*
     * Writes a record between write_begin() and write_end(), before what it
     * describes becomes visible.  Logs failures, which stop no publish.
     */
    void       (*append)(ngx_http_blockcast_main_conf_t *bmcf,
                         ngx_str_t *record);

    /* Notes that the stream's number seq is about to become visible. */
    void       (*numbered)(ngx_http_blockcast_main_conf_t *bmcf,
                           ngx_http_blockcast_stream_t *st, uint64_t seq);

    /* Called when something became visible without a record of it. */
    void       (*incomplete)(ngx_http_blockcast_main_conf_t *bmcf);

    /* Called after a successful poll without changes; slot->polled is set. */
    void       (*polled)(ngx_http_blockcast_main_conf_t *bmcf,
                         ngx_http_blockcast_slot_t *slot);

    /*
     * Tells other nginxes that this one may be silent for msec; 0: the usual.
     */
    void       (*beat)(ngx_http_blockcast_main_conf_t *bmcf, ngx_msec_t msec);

    /*
     * Gives a proposal to a log that answers later, and commits it when it
     * does: see propose().  NULL: the log is append(), which answers at once.
     */
    ngx_int_t  (*propose)(ngx_http_blockcast_main_conf_t *bmcf,
                          ngx_http_blockcast_proposal_t *proposal);
    void       (*withdraw)(ngx_http_blockcast_main_conf_t *bmcf,
                           ngx_http_blockcast_proposal_t *proposal);

    /*
     * Write the record of a large publication in pieces of len bytes; for
     * recorders without propose().  stage() writes one piece; *stage is NULL
     * at first.  NGX_AGAIN: there is more; NGX_BUSY: try again in another turn
     * of the event loop; NGX_DECLINED: this nginx may not publish; NGX_OK:
     * call staged() in place of append(), which completes the record.
     * unstage() frees *stage and abandons a record that is not complete.
     */
    ngx_int_t  (*stage)(ngx_http_blockcast_main_conf_t *bmcf,
                        ngx_http_blockcast_publication_t *pub, void **stage,
                        size_t len);
    void       (*staged)(ngx_http_blockcast_main_conf_t *bmcf, void *stage);
    void       (*unstage)(ngx_http_blockcast_main_conf_t *bmcf, void *stage);
};


#endif /* _NGX_HTTP_BLOCKCAST_RECORDER_H_INCLUDED_ */
