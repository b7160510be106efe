
/*
 * The cluster: several gateways, one poller, one epoch, one course of numbers.
 *
 * Why no number has two contents: a record exists only if the log took it at
 * TERM-N; after (TERM+1)-0 nobody can append with TERM; a new leader has read
 * all before its own begin; floors cover what the engine has forgotten.  A
 * lost connection always ends the lead, and what was not answered by then is
 * known when the log is read again.
 */


#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_apply.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_cluster_keys.h"
#include "ngx_http_blockcast_cluster_link.h"
#include "ngx_http_blockcast_cluster_status.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "bc_cluster.h"
#include "bc_engine.h"
#include "bc_journal.h"

#include <sys/random.h>


/* times in msec; until a reply has to be there, without what it blocks */
#define NGX_HTTP_BLOCKCAST_CLUSTER_REPLY    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_BLOCK    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_READ     5000

/*
 * Entries that a reply has at most; as text, too.  A way with a round trip of
 * half a second has to take all that is appended meanwhile in one reply, or
 * who reads is never at the end.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_COUNT    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_COUNTED  "1000"

/* of our timer; a leader that finds it this late was stopped */
#define NGX_HTTP_BLOCKCAST_CLUSTER_TICK     100
#define NGX_HTTP_BLOCKCAST_CLUSTER_PAUSED   2500

/* the longest silence of a leader, and what is added at random */
#define NGX_HTTP_BLOCKCAST_CLUSTER_SILENCE  3000
#define NGX_HTTP_BLOCKCAST_CLUSTER_SPREAD   1000

/* ... when it has said goodbye, and when there is no log, or just a part */
#define NGX_HTTP_BLOCKCAST_CLUSTER_GONE     50
#define NGX_HTTP_BLOCKCAST_CLUSTER_NO_LOG   200

/* who has no data waits longer, for those that have */
#define NGX_HTTP_BLOCKCAST_CLUSTER_BLANK    2000

/* pauses between two tries to connect */
#define NGX_HTTP_BLOCKCAST_CLUSTER_SOON     50
#define NGX_HTTP_BLOCKCAST_CLUSTER_LATE     5000

/* between two pulses, at least and at most; how long a wish holds */
#define NGX_HTTP_BLOCKCAST_CLUSTER_PULSE    200
#define NGX_HTTP_BLOCKCAST_CLUSTER_ALIVE    900
#define NGX_HTTP_BLOCKCAST_CLUSTER_WISH     1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_WISHED   3000

/* the least time between two messages about pokes */
#define NGX_HTTP_BLOCKCAST_CLUSTER_POKES    50

/*
 * Between two looks whether the log is what it was; bytes of an entry that is
 * looked for, for the reply has all of it
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LOOK     1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_LOOKED   4096

/* ... when many are: entries, as text, too, and bytes of all of them */
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGE    100
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGED   "100"
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGE_LEN  (16 * 1024)

/*
 * An entry above that size (bytes) may be on its way for longer than a leader
 * is waited for: it is announced, and has as many msec more as it has bytes
 * for each at 1 Mbit/s, but not more than that
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LARGE    (128 * 1024)
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINE     125
#define NGX_HTTP_BLOCKCAST_CLUSTER_PATIENCE 30000

/* bytes behind an image after which there is another one, at least */
#define NGX_HTTP_BLOCKCAST_CLUSTER_IMAGE    (1024 * 1024)

/* lists of keys that are told in one turn */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LISTS    8

/* bytes of errors and polls that wait for a pulse */
#define NGX_HTTP_BLOCKCAST_CLUSTER_NOTES    (1024 * 1024)


enum {
    ngx_http_blockcast_cluster_tag_none = 0,
    ngx_http_blockcast_cluster_tag_auth,
    ngx_http_blockcast_cluster_tag_info,
    ngx_http_blockcast_cluster_tag_sync,
    ngx_http_blockcast_cluster_tag_begin,
    ngx_http_blockcast_cluster_tag_add,
    ngx_http_blockcast_cluster_tag_trim,
    ngx_http_blockcast_cluster_tag_guard,
    ngx_http_blockcast_cluster_tag_newest,
    ngx_http_blockcast_cluster_tag_there,
    ngx_http_blockcast_cluster_tag_wish,
    ngx_http_blockcast_cluster_tag_read,
    ngx_http_blockcast_cluster_tag_wishes
};


/* what was appended and is not answered yet */

typedef struct {
    ngx_http_blockcast_proposal_t  *proposal;   /* or NULL: it is not waited
                                                   for */
    ngx_str_t                     records;      /* to be applied, or len 0 */
    size_t                        len;          /* of the entry */
    bc_cluster_mark_t             mark;
    uint64_t                      began;        /* usec */
    ngx_msec_t                    deadline;
    u_char                        kind;
} ngx_http_blockcast_cluster_flight_t;


typedef struct {
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_cluster_t  *conf;
    ngx_http_blockcast_cluster_hooks_t  hooks;

    ngx_http_blockcast_cluster_link_t  cmd;
    ngx_http_blockcast_cluster_link_t  tail;
    ngx_event_t                   timer;
    ngx_msec_t                    beat;         /* the timer ran */
    ngx_msec_t                    retry;        /* connect again at */
    ngx_msec_t                    backoff;
    ngx_uint_t                    address;      /* the one in use */
    ngx_uint_t                    state;
    ngx_http_blockcast_log_throttle_t  repeat;

    bc_engine_id_t                cur;          /* the newest entry read */
    bc_engine_id_t                hurried;      /* what was lost when this one
                                                   did not wait, or 0-0 */
    bc_engine_id_t                image;        /* the newest image, or 0-0 */

    /*
     * Small entries that the log had for sure, or 0-0: the first one from the
     * image on, before which nothing is kept; the newest one; that of a look
     * ago; those that were asked for
     */
    bc_cluster_mark_t             guard;
    bc_cluster_mark_t             newest;
    bc_cluster_mark_t             before;
    bc_cluster_mark_t             guarded;
    bc_cluster_mark_t             asked;
    size_t                        expected;     /* entries, from that one on */
    size_t                        between;      /* bytes since `before` */

    bc_engine_id_t                taken;        /* had been read before */
    uint64_t                      known;        /* the greatest term seen */
    uint64_t                      term;         /* ... of our begin */
    uint64_t                      least;        /* floor of our begin */
    char                          identity[BC_ENGINE_IDENTITY];  /* now */
    char                          former[BC_ENGINE_IDENTITY];    /* newest b */
    char                          author[BC_CLUSTER_AUTHOR + 1];

    ngx_msec_t                    heard;        /* an entry, or a start */
    ngx_msec_t                    silence;      /* that is waited for */
    ngx_msec_t                    elected;      /* the begin was sent */
    ngx_msec_t                    acked;        /* the log took an entry */
    ngx_msec_t                    appended;     /* a small one was sent */
    ngx_msec_t                    pulsed;
    ngx_msec_t                    wished;
    ngx_msec_t                    poked;
    ngx_msec_t                    pleaded;
    ngx_msec_t                    looked;
    uint64_t                      wish;         /* streams, as told last */
    size_t                        since_image;
    size_t                        image_size;
    size_t                        coming;       /* bytes of the next entry, if
                                                   its leader has said so */
    size_t                        unanswered;   /* bytes of our flights */

    bc_engine_id_t                wish_cur;
    ngx_msec_t                    wanted[NGX_HTTP_BLOCKCAST_STREAMS];

    uint64_t                      polled;       /* streams, for the pulse */
    u_char                       *notes;
    size_t                        notes_len;
    size_t                        notes_size;

    ngx_http_blockcast_cluster_flight_t
                          flights[NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    ngx_uint_t                    flight;
    ngx_uint_t                    nflights;

    const char                   *doomed;       /* why the lead is to end */
    unsigned                      headless:1;   /* the log has no beginning */
    unsigned                      empty:1;      /* there was no entry */
    unsigned                      torn:1;       /* some are missing in it */
    unsigned                      guarding:1;   /* the guard was asked for */
    unsigned                      asking:1;     /* for an entry */
    unsigned                      noticed:1;    /* that the log has changed */
    unsigned                      busy:1;       /* the zone is locked */
    unsigned                      mine:1;       /* our begin was read */
    unsigned                      seed:1;       /* an image is due */
    unsigned                      imaging:1;    /* one is on its way */
    unsigned                      left:1;       /* the leader said goodbye */
    unsigned                      warned:1;     /* of the engine's policy */
    unsigned                      missed:1;     /* entries, since `taken` */
} ngx_http_blockcast_cluster_node_t;


static void ngx_http_blockcast_cluster_connect(
    ngx_http_blockcast_cluster_node_t *node);
static void ngx_http_blockcast_cluster_opened(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_replied(
    ngx_http_blockcast_cluster_link_t *link, ngx_uint_t tag,
    bc_engine_reply_t *reply);
static void ngx_http_blockcast_cluster_lost(
    ngx_http_blockcast_cluster_link_t *link, ngx_str_t *reason);
static void ngx_http_blockcast_cluster_drop(
    ngx_http_blockcast_cluster_node_t *node, const char *fmt, ...);
static void ngx_http_blockcast_cluster_read(
    ngx_http_blockcast_cluster_node_t *node);
static void ngx_http_blockcast_cluster_timer(ngx_event_t *ev);
static void ngx_http_blockcast_cluster_append(
    ngx_http_blockcast_cluster_node_t *node, u_char kind, bc_span_t value,
    ngx_str_t *records, ngx_http_blockcast_proposal_t *proposal);
static void ngx_http_blockcast_cluster_lead(
    ngx_http_blockcast_cluster_node_t *node);
static void ngx_http_blockcast_cluster_send_image(
    ngx_http_blockcast_cluster_node_t *node);
static void ngx_http_blockcast_cluster_end(
    ngx_http_blockcast_cluster_node_t *node);
static void ngx_http_blockcast_cluster_answer_keys(
    ngx_http_blockcast_cluster_node_t *node);


#define ngx_http_blockcast_cluster_span(span, str)                            \
    (span).data = (str)->data;                                                \
    (span).len = (str)->len

#define ngx_http_blockcast_cluster_word(span, text)                           \
    (span).data = (const uint8_t *) (text);                                   \
    (span).len = sizeof(text) - 1


static ngx_connection_t  ngx_http_blockcast_cluster_dummy;


/* the recorder: what is not numbered goes with the next pulse */

static ngx_int_t
ngx_http_blockcast_cluster_check(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_log_t *log)
{
    const ngx_http_blockcast_recorder_t  *inner;

    inner = bmcf->cluster->recorder;

    return (inner != NULL) ? inner->check(bmcf, log) : NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_cluster_write_begin(ngx_http_blockcast_main_conf_t *bmcf)
{
    const ngx_http_blockcast_recorder_t  *inner;

    if (!ngx_http_blockcast_cluster_leads(bmcf)) {
        return NGX_DECLINED;
    }

    inner = bmcf->cluster->recorder;

    return (inner != NULL) ? inner->write_begin(bmcf) : NGX_OK;
}


static void
ngx_http_blockcast_cluster_write_end(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->write_end(bmcf);
    }
}


/* Has a record go with the next pulse. */

static void
ngx_http_blockcast_cluster_note(ngx_http_blockcast_cluster_node_t *node,
    ngx_str_t *record)
{
    u_char  *p;
    size_t   size;

    if (node == NULL || record->data == NULL
        || record->len > NGX_HTTP_BLOCKCAST_CLUSTER_NOTES - node->notes_len)
    {
        return;
    }

    if (node->notes_size - node->notes_len < record->len) {

        size = 2 * node->notes_size + record->len;

        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            return;
        }

        if (node->notes != NULL) {
            ngx_memcpy(p, node->notes, node->notes_len);
            ngx_free(node->notes);
        }

        node->notes = p;
        node->notes_size = size;
    }

    ngx_memcpy(node->notes + node->notes_len, record->data, record->len);
    node->notes_len += record->len;
}


static void
ngx_http_blockcast_cluster_record(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_str_t *record)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->append(bmcf, record);
    }

    ngx_http_blockcast_cluster_note(bmcf->cluster->node, record);
}


static void
ngx_http_blockcast_cluster_numbered(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, uint64_t seq)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->numbered(bmcf, st, seq);
    }
}


static void
ngx_http_blockcast_cluster_incomplete(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->incomplete(bmcf);
    }
}


static void
ngx_http_blockcast_cluster_polled(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_slot_t *slot)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_stream_t       **st;
    ngx_http_blockcast_cluster_node_t  *node;

    node = bmcf->cluster->node;

    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->polled(bmcf, slot);
    }

    st = bmcf->streams.elts;

    for (i = 0; node != NULL && i < bmcf->streams.nelts; i++) {
        if (st[i]->slot == slot) {
            node->polled |= (uint64_t) 1 << i;
            break;
        }
    }
}


static void
ngx_http_blockcast_cluster_beat(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_msec_t msec)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->beat(bmcf, msec);
    }
}


/* Encodes the records of a proposal, one after the other. */

static ngx_int_t
ngx_http_blockcast_cluster_encode(ngx_http_blockcast_proposal_t *proposal,
    ngx_str_t *records)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   record;
    ngx_uint_t  i;

    ngx_str_null(records);

    for (i = 0; i < proposal->n; i++) {

        ngx_http_blockcast_journal_codec_publication(&proposal->pubs[i],
                                                     &record);

        if (record.data == NULL) {
            goto failed;
        }

        if (records->data == NULL) {
            *records = record;
            continue;
        }

        len = records->len + record.len;

        p = ngx_alloc(len, ngx_cycle->log);

        if (p == NULL) {
            ngx_free(record.data);
            goto failed;
        }

        ngx_memcpy(p, records->data, records->len);
        ngx_memcpy(p + records->len, record.data, record.len);

        ngx_free(records->data);
        ngx_free(record.data);

        records->data = p;
        records->len = len;
    }

    return NGX_OK;

failed:

    if (records->data != NULL) {
        ngx_free(records->data);
    }

    return NGX_ERROR;
}


/*
 * Appends the publications of a poll, all in one entry.  NGX_AGAIN: decided()
 * is called when the log has answered.
 */

static ngx_int_t
ngx_http_blockcast_cluster_propose(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_proposal_t *proposal)
{
    bc_span_t                           value;
    ngx_str_t                           records;
    ngx_http_blockcast_cluster_node_t  *node;

    node = bmcf->cluster->node;

    if (!ngx_http_blockcast_cluster_leads(bmcf) || node->doomed != NULL
        || !ngx_http_blockcast_lease_held(bmcf->zone))
    {
        return NGX_DECLINED;
    }

    if (ngx_current_msec - node->beat > NGX_HTTP_BLOCKCAST_CLUSTER_PAUSED) {
        node->doomed = "this process was stopped for a while";
        return NGX_DECLINED;
    }

    if (node->nflights + 8 > NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING) {
        return NGX_DECLINED;
    }

    if (ngx_http_blockcast_cluster_encode(proposal, &records) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_cluster_span(value, &records);

    proposal->waits = 1;
    ngx_http_blockcast_cluster_append(node, 'r', value, &records, proposal);

    return NGX_AGAIN;
}


/* Forgets who has proposed; what the log takes is applied all the same. */

static void
ngx_http_blockcast_cluster_withdraw(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_proposal_t *proposal)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_cluster_node_t  *node;

    node = bmcf->cluster->node;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING; i++) {
        if (node->flights[i].proposal == proposal) {
            node->flights[i].proposal = NULL;
        }
    }

    proposal->waits = 0;
}


static const ngx_http_blockcast_recorder_t
    ngx_http_blockcast_cluster_recorder =
{
    ngx_http_blockcast_cluster_check,
    ngx_http_blockcast_cluster_write_begin,
    ngx_http_blockcast_cluster_write_end,
    ngx_http_blockcast_journal_codec_publication,
    ngx_http_blockcast_journal_codec_error,
    ngx_http_blockcast_journal_codec_history,
    ngx_http_blockcast_cluster_record,
    ngx_http_blockcast_cluster_numbered,
    ngx_http_blockcast_cluster_incomplete,
    ngx_http_blockcast_cluster_polled,
    ngx_http_blockcast_cluster_beat,
    ngx_http_blockcast_cluster_propose,
    ngx_http_blockcast_cluster_withdraw,
    NULL,
    NULL,
    NULL
};


void
ngx_http_blockcast_cluster_conf_link(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->cluster != NULL) {
        bmcf->cluster->recorder = bmcf->recorder;
        bmcf->recorder = &ngx_http_blockcast_cluster_recorder;
    }
}


ngx_int_t
ngx_http_blockcast_cluster_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf,
    const ngx_http_blockcast_cluster_hooks_t *hooks)
{
    ngx_uint_t                          i;
    u_char                              bytes[BC_CLUSTER_AUTHOR / 2];
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL) {
        return NGX_OK;
    }

    node = ngx_pcalloc(cycle->pool, sizeof(ngx_http_blockcast_cluster_node_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes)) {
        for (i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (u_char) ((ngx_uint_t) ngx_random() >> 7) ^ ngx_pid;
        }
    }

    *ngx_hex_dump((u_char *) node->author, bytes, sizeof(bytes)) = '\0';

    node->bmcf = bmcf;
    node->conf = bmcf->cluster;
    node->hooks = *hooks;
    node->address = (ngx_uint_t) -1;

    node->cmd.conf = bmcf->cluster;
    node->cmd.data = node;
    node->cmd.open = ngx_http_blockcast_cluster_opened;
    node->cmd.reply = ngx_http_blockcast_cluster_replied;
    node->cmd.lost = ngx_http_blockcast_cluster_lost;

    node->tail = node->cmd;

    ngx_http_blockcast_cluster_link_init(&node->cmd);
    ngx_http_blockcast_cluster_link_init(&node->tail);

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_cluster_dummy.fd = (ngx_socket_t) -1;
    ngx_http_blockcast_cluster_dummy.data = node;

    node->timer.handler = ngx_http_blockcast_cluster_timer;
    node->timer.data = &ngx_http_blockcast_cluster_dummy;
    node->timer.log = cycle->log;
    node->timer.cancelable = 1;

    bmcf->cluster->node = node;

    return ngx_http_blockcast_cluster_keys_init(cycle, bmcf);
}


ngx_uint_t
ngx_http_blockcast_cluster_leads(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL) {
        return 1;
    }

    node = bmcf->cluster->node;

    return node != NULL && node->state == ngx_http_blockcast_is_leading;
}


ngx_uint_t
ngx_http_blockcast_cluster_wanted(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_msec_t                          until;
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL || bmcf->cluster->node == NULL) {
        return 0;
    }

    node = bmcf->cluster->node;
    until = node->wanted[st->index];

    return until != 0 && (ngx_msec_int_t) (until - ngx_current_msec) > 0;
}


/* Sets the state, and shows it; text: an error, or NULL. */

static void
ngx_http_blockcast_cluster_state(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t state, ngx_str_t *text)
{
    ngx_str_t                           peer, none;
    ngx_http_blockcast_cluster_addr_t  *addrs;

    ngx_str_set(&none, "");
    peer = none;

    if (node->address != (ngx_uint_t) -1) {
        addrs = node->conf->addrs.elts;
        peer = addrs[node->address % node->conf->addrs.nelts].peer;
    }

    node->state = state;
    node->bmcf->zone->sh->cluster.leads =
                                (state == ngx_http_blockcast_is_leading);

    /* an error is shown until the engine is there again */

    if (text == NULL && (state == ngx_http_blockcast_is_off
                         || state >= ngx_http_blockcast_is_following))
    {
        text = &none;
    }

    ngx_http_blockcast_cluster_status_write(node->bmcf->zone, state, &peer,
                                            text);
}


void
ngx_http_blockcast_cluster_tick(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL) {
        return;
    }

    node = bmcf->cluster->node;

    if (node->state != ngx_http_blockcast_is_off) {
        return;
    }

    node->backoff = NGX_HTTP_BLOCKCAST_CLUSTER_SOON;
    node->beat = ngx_current_msec;

    ngx_http_blockcast_cluster_connect(node);
    ngx_add_timer(&node->timer, NGX_HTTP_BLOCKCAST_CLUSTER_TICK);
}


void
ngx_http_blockcast_cluster_stop(ngx_http_blockcast_main_conf_t *bmcf)
{
    bc_span_t                           value;
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL || bmcf->cluster->node == NULL) {
        return;
    }

    node = bmcf->cluster->node;

    if (node->state == ngx_http_blockcast_is_off) {
        return;
    }

    if (node->state == ngx_http_blockcast_is_leading
        && node->doomed == NULL)
    {
        /* the others need not wait; nobody waits for the answer */

        ngx_http_blockcast_cluster_word(value, "-");
        ngx_http_blockcast_cluster_append(node, 'e', value, NULL, NULL);
    }

    ngx_http_blockcast_cluster_end(node);

    if (node->timer.timer_set) {
        ngx_del_timer(&node->timer);
    }

    if (ngx_http_blockcast_lease_held(bmcf->zone)) {
        ngx_http_blockcast_cluster_state(node, ngx_http_blockcast_is_off,
                                         NULL);

    } else {

        /* another worker writes the status by now */

        node->state = ngx_http_blockcast_is_off;
    }
}


/* Closes both connections and forgets what was on its way. */

static void
ngx_http_blockcast_cluster_end(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_http_blockcast_cluster_flight_t  *flight;

    ngx_http_blockcast_cluster_link_close(&node->cmd);
    ngx_http_blockcast_cluster_link_close(&node->tail);

    while (node->nflights != 0) {
        flight = &node->flights[node->flight];

        if (flight->records.data != NULL) {
            ngx_free(flight->records.data);
        }

        if (flight->proposal != NULL) {
            flight->proposal->waits = 0;
        }

        ngx_memzero(flight, sizeof(ngx_http_blockcast_cluster_flight_t));

        node->flight = (node->flight + 1)
                       % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING;
        node->nflights--;
    }

    if (node->notes != NULL) {
        ngx_free(node->notes);
        node->notes = NULL;
    }

    node->notes_len = 0;
    node->notes_size = 0;
    node->polled = 0;
    node->unanswered = 0;
    node->doomed = NULL;
    node->imaging = 0;
    node->mine = 0;
    node->busy = 0;

    ngx_memzero(node->wanted, sizeof(node->wanted));
    ngx_http_blockcast_cluster_keys_reset(node->bmcf);
}


static void
ngx_http_blockcast_cluster_connect(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_http_blockcast_cluster_addr_t  *addrs;

    addrs = node->conf->addrs.elts;

    node->address = (node->address == (ngx_uint_t) -1)
                    ? 0 : (node->address + 1) % node->conf->addrs.nelts;
    node->retry = 0;

    ngx_http_blockcast_cluster_state(node, ngx_http_blockcast_is_connecting,
                                     NULL);
    ngx_http_blockcast_cluster_link_open(&node->cmd, &addrs[node->address]);
}


/* Logs in, if that is configured. */

static void
ngx_http_blockcast_cluster_login(ngx_http_blockcast_cluster_node_t *node,
    ngx_http_blockcast_cluster_link_t *link)
{
    bc_span_t   argv[3];
    ngx_uint_t  n;

    if (node->conf->password.len == 0) {
        return;
    }

    n = 0;
    ngx_http_blockcast_cluster_word(argv[n], "AUTH");
    n++;

    if (node->conf->user.len != 0) {
        ngx_http_blockcast_cluster_span(argv[n], &node->conf->user);
        n++;
    }

    ngx_http_blockcast_cluster_span(argv[n], &node->conf->password);
    n++;

    ngx_http_blockcast_cluster_link_send(link,
                                         ngx_http_blockcast_cluster_tag_auth,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, n,
                                         argv);
}


static void
ngx_http_blockcast_cluster_ask_info(ngx_http_blockcast_cluster_node_t *node)
{
    bc_span_t  argv[1];

    ngx_http_blockcast_cluster_word(argv[0], "INFO");

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_info,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, 1,
                                         argv);
}


/* Asks for entries of the log; last, NULL: for the first one from there on. */

static void
ngx_http_blockcast_cluster_look(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t tag, bc_engine_id_t *id, bc_engine_id_t *last)
{
    char       text[BC_ENGINE_ID_LEN], until[BC_ENGINE_ID_LEN];
    bc_span_t  argv[6];

    ngx_http_blockcast_cluster_word(argv[0], "XRANGE");
    ngx_http_blockcast_cluster_span(argv[1], &node->conf->log);
    argv[2].data = (u_char *) text;
    argv[2].len = bc_engine_id_put(text, id);
    ngx_http_blockcast_cluster_word(argv[4], "COUNT");

    if (last != NULL) {
        argv[3].data = (u_char *) until;
        argv[3].len = bc_engine_id_put(until, last);
        ngx_http_blockcast_cluster_word(argv[5],
                                        NGX_HTTP_BLOCKCAST_CLUSTER_RANGED);

    } else {
        ngx_http_blockcast_cluster_word(argv[3], "+");
        ngx_http_blockcast_cluster_word(argv[5], "1");
    }

    ngx_http_blockcast_cluster_link_send(&node->cmd, tag,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, 6,
                                         argv);
}


/*
 * Asks for an entry that was in the log for sure, if there was one, and for all
 * up to the newest one when they are few and ours: who puts a former state of
 * the log in its place need not close connections.
 */

static void
ngx_http_blockcast_cluster_look_for(ngx_http_blockcast_cluster_node_t *node,
    bc_cluster_mark_t *mark)
{
    bc_engine_id_t  *last;

    if (mark->id.term != 0 && !node->asking
        && bc_engine_id_cmp(&mark->id, &node->image) >= 0)
    {
        /* what is before the image is not kept */

        node->asking = 1;
        node->asked = *mark;
        node->expected = 1;
        last = &node->asked.id;

        if (node->state == ngx_http_blockcast_is_leading
            && node->newest.id.term == last->term
            && node->newest.id.n - last->n < NGX_HTTP_BLOCKCAST_CLUSTER_RANGE
            && node->between <= NGX_HTTP_BLOCKCAST_CLUSTER_RANGE_LEN)
        {
            node->expected += node->newest.id.n - last->n;
            last = &node->newest.id;
        }

        ngx_http_blockcast_cluster_look(
                               node, ngx_http_blockcast_cluster_tag_newest,
                               &node->asked.id, last);
    }
}


/*
 * Notes an entry that is in the log.  Of a large one it is known, too, but it
 * is not looked for: each look would have all of it on a line that may be slow.
 */

static void
ngx_http_blockcast_cluster_mark_entry(ngx_http_blockcast_cluster_node_t *node,
    bc_cluster_mark_t *mark, u_char kind, size_t len)
{
    if (kind == 'i') {
        node->image = mark->id;
        ngx_memzero(&node->guard, sizeof(bc_cluster_mark_t));
    }

    if (len > NGX_HTTP_BLOCKCAST_CLUSTER_LOOKED) {
        return;
    }

    node->newest = *mark;

    if (node->guard.id.term == 0) {
        node->guard = *mark;
    }
}


static void
ngx_http_blockcast_cluster_opened(ngx_http_blockcast_cluster_link_t *link)
{
    ngx_http_blockcast_cluster_node_t  *node;

    node = link->data;

    ngx_http_blockcast_cluster_login(node, link);

    if (link == &node->cmd) {
        ngx_http_blockcast_cluster_ask_info(node);
        return;
    }

    /* both are there: read the log */

    ngx_memzero(&node->cur, sizeof(bc_engine_id_t));
    ngx_memzero(&node->image, sizeof(bc_engine_id_t));
    ngx_memzero(&node->guard, sizeof(bc_cluster_mark_t));
    ngx_memzero(&node->newest, sizeof(bc_cluster_mark_t));
    ngx_memzero(&node->wish_cur, sizeof(bc_engine_id_t));

    node->former[0] = '\0';
    node->since_image = 0;
    node->image_size = 0;
    node->headless = 0;
    node->empty = 1;
    node->torn = 0;
    node->guarding = 0;
    node->asking = 0;
    node->left = 0;
    node->coming = 0;
    node->seed = 0;
    node->wish = 0;
    node->missed = 0;
    node->taken.term = node->bmcf->zone->sh->cluster.taken_term;
    node->taken.n = node->bmcf->zone->sh->cluster.taken_n;

    ngx_http_blockcast_cluster_state(node, ngx_http_blockcast_is_syncing,
                                     NULL);
    ngx_http_blockcast_cluster_read(node);
}


/* Reads on: the log's beginning, what comes, or what others want. */

static void
ngx_http_blockcast_cluster_read(ngx_http_blockcast_cluster_node_t *node)
{
    char        id[BC_ENGINE_ID_LEN];
    bc_span_t   argv[8];
    ngx_uint_t  n, leads, sync;

    leads = (node->state == ngx_http_blockcast_is_leading);
    sync = (node->state == ngx_http_blockcast_is_syncing);

    n = 0;
    ngx_http_blockcast_cluster_word(argv[n], "XREAD");
    n++;
    ngx_http_blockcast_cluster_word(argv[n], "COUNT");
    n++;
    ngx_http_blockcast_cluster_word(argv[n],
                                    NGX_HTTP_BLOCKCAST_CLUSTER_COUNTED);
    n++;

    if (!sync) {
        ngx_http_blockcast_cluster_word(argv[n], "BLOCK");
        n++;
        ngx_http_blockcast_cluster_word(argv[n], "1000");
        n++;
    }

    ngx_http_blockcast_cluster_word(argv[n], "STREAMS");
    n++;
    ngx_http_blockcast_cluster_span(argv[n], leads ? &node->conf->want
                                                   : &node->conf->log);
    n++;

    argv[n].len = bc_engine_id_put(id, leads ? &node->wish_cur : &node->cur);
    argv[n].data = (u_char *) id;
    n++;

    ngx_http_blockcast_cluster_link_send(
                        sync ? &node->cmd : &node->tail,
                        sync ? ngx_http_blockcast_cluster_tag_sync
                        : leads ? ngx_http_blockcast_cluster_tag_wishes
                        : ngx_http_blockcast_cluster_tag_read,
                        sync ? NGX_HTTP_BLOCKCAST_CLUSTER_READ
                             : NGX_HTTP_BLOCKCAST_CLUSTER_BLOCK
                               + NGX_HTTP_BLOCKCAST_CLUSTER_REPLY,
                        n, argv);
}


/*
 * Notes that an entry is in the zone.  The zone knows of it when this worker
 * dies, too.
 */

static void
ngx_http_blockcast_cluster_seen(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_id_t *id)
{
    bc_engine_id_t                        seen;
    ngx_http_blockcast_cluster_record_t  *record;

    record = &node->bmcf->zone->sh->cluster;

    seen.term = record->seen_term;
    seen.n = record->seen_n;

    if (ngx_http_blockcast_lease_held(node->bmcf->zone)
        && bc_engine_id_cmp(id, &seen) > 0)
    {
        record->seen_term = id->term;
        record->seen_n = id->n;
    }
}


/*
 * Tells whether the log ends before an entry that is in the zone, which is in
 * *seen then: whoever its identity says it is, it has lost what clients have.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_lacks(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_id_t *seen)
{
    seen->term = node->bmcf->zone->sh->cluster.seen_term;
    seen->n = node->bmcf->zone->sh->cluster.seen_n;

    return bc_engine_id_cmp(&node->cur, seen) < 0;
}


/* Returns how long so many bytes may take on a slow line (msec). */

static ngx_msec_t
ngx_http_blockcast_cluster_patience(size_t len)
{
    if (len <= NGX_HTTP_BLOCKCAST_CLUSTER_LARGE) {
        return 0;
    }

    return ngx_min(len / NGX_HTTP_BLOCKCAST_CLUSTER_LINE,
                   NGX_HTTP_BLOCKCAST_CLUSTER_PATIENCE);
}


/* The next time of silence; how long this gateway leaves it to others. */

static void
ngx_http_blockcast_cluster_wait(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_uint_t      blank, hurry;
    bc_engine_id_t  seen;

    blank = ngx_http_blockcast_cluster_apply_is_blank(node->bmcf);
    node->heard = ngx_current_msec;

    /*
     * What the log has lost it gets back from those that have it: one that does
     * not would publish it again.  Once, for it may be in vain.
     */

    hurry = !blank
            && (node->noticed
                || (ngx_http_blockcast_cluster_lacks(node, &seen)
                    && bc_engine_id_cmp(&seen, &node->hurried) != 0));

    if (hurry || node->left) {
        node->silence = (ngx_uint_t) ngx_random()
                        % NGX_HTTP_BLOCKCAST_CLUSTER_GONE;

    } else if (node->empty || node->headless) {
        node->silence = NGX_HTTP_BLOCKCAST_CLUSTER_NO_LOG
                        + (ngx_uint_t) ngx_random()
                          % NGX_HTTP_BLOCKCAST_CLUSTER_NO_LOG;

        if (blank && node->headless) {
            node->silence += NGX_HTTP_BLOCKCAST_CLUSTER_BLANK;
        }

    } else {
        node->silence = NGX_HTTP_BLOCKCAST_CLUSTER_SILENCE
                        + (ngx_uint_t) ngx_random()
                          % NGX_HTTP_BLOCKCAST_CLUSTER_SPREAD;
    }

    if (blank) {
        node->silence += NGX_HTTP_BLOCKCAST_CLUSTER_BLANK;
    }

    /* nobody appends what was announced when that was this one */

    if (!hurry && !(node->mine && node->cur.term == node->term)) {
        node->silence += ngx_http_blockcast_cluster_patience(node->coming);
    }
}


/* INFO: who the engine is, and whether it can have a log. */

static void
ngx_http_blockcast_cluster_informed(ngx_http_blockcast_cluster_node_t *node,
    bc_span_t info)
{
    u_char     *dot, text[64];
    char        before[BC_ENGINE_IDENTITY];
    bc_span_t   value;
    ngx_int_t   major, minor;
    ngx_str_t   s;

    if (!bc_engine_info(info, "role", &value)
        || value.len != 6 || ngx_memcmp(value.data, "master", 6) != 0)
    {
        ngx_http_blockcast_cluster_drop(node, "it is no primary");
        return;
    }

    if (bc_engine_info(info, "loading", &value)
        && value.len == 1 && value.data[0] == '1')
    {
        ngx_http_blockcast_cluster_drop(node, "it is loading its data");
        return;
    }

    if (bc_engine_info(info, "redis_version", &value)
        && value.len < sizeof(text))
    {
        ngx_memcpy(text, value.data, value.len);
        text[value.len] = '\0';

        dot = ngx_strlchr(text, text + value.len, '.');
        major = dot ? ngx_atoi(text, dot - text) : NGX_ERROR;
        minor = dot ? atoi((char *) dot + 1) : 0;

        if (major != NGX_ERROR && (major < 6 || (major == 6 && minor < 2))) {
            ngx_http_blockcast_cluster_drop(node, "it is Redis %s, at least "
                                            "6.2 is needed", text);
            return;
        }
    }

    ngx_memcpy(before, node->identity, sizeof(before));

    if (bc_engine_identity(info, node->identity) != 0) {
        ngx_http_blockcast_cluster_drop(node, "its INFO has no run_id and "
                                        "master_replid");
        return;
    }

    if (node->state == ngx_http_blockcast_is_leading
        && ngx_strcmp(before, node->identity) != 0)
    {
        ngx_http_blockcast_cluster_drop(node, "its data has another history "
                                        "by now");
        return;
    }

    if (bc_engine_info(info, "used_memory", &value)) {
        major = ngx_atoi((u_char *) value.data, value.len);
        node->bmcf->zone->sh->cluster.memory = ngx_max(major, 0);
    }

    if (!node->warned
        && bc_engine_info(info, "maxmemory_policy", &value)
        && value.len > 8 && ngx_memcmp(value.data, "allkeys-", 8) == 0)
    {
        node->warned = 1;
        s.data = (u_char *) value.data;
        s.len = value.len;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the engine of the cluster \"%V\" has "
                      "maxmemory-policy %V: it may throw the log away when "
                      "its memory is full; noeviction is needed",
                      &node->conf->name, &s);
    }

    if (node->state == ngx_http_blockcast_is_connecting) {
        ngx_http_blockcast_cluster_link_open(&node->tail, node->cmd.addr);
    }
}


/* Makes the head of a begin or an image. */

static size_t
ngx_http_blockcast_cluster_head(ngx_http_blockcast_cluster_node_t *node,
    char *p)
{
    bc_cluster_head_t  head;

    ngx_memzero(&head, sizeof(bc_cluster_head_t));

    head.epoch = node->bmcf->zone->sh->epoch;
    head.prev = node->cur;

    ngx_memcpy(head.identity, node->identity, sizeof(head.identity));
    ngx_memcpy(head.author, node->author, sizeof(head.author));

    return bc_cluster_head_put(p, &head);
}


/* Joins a head, records, and more of them, in memory of ngx_alloc(). */

static ngx_int_t
ngx_http_blockcast_cluster_value(ngx_http_blockcast_cluster_node_t *node,
    ngx_str_t *records, u_char *more, size_t len, ngx_str_t *value)
{
    u_char  *p;

    value->data = ngx_alloc(BC_CLUSTER_HEAD_MAX + records->len + len,
                            ngx_cycle->log);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    p = value->data;
    p += ngx_http_blockcast_cluster_head(node, (char *) p);
    p = ngx_cpymem(p, records->data, records->len);

    if (len != 0) {
        p = ngx_cpymem(p, more, len);
    }

    value->len = p - value->data;

    return NGX_OK;
}


/*
 * Appends a begin.  The engine's identity is of just now: when it is another
 * one than the newest begin's, entries may be lost that clients have, and all
 * numbers go on beyond the clock in microseconds.  Steps of one never catch up
 * with that, and a clock that is behind is noticed by the numbers that are
 * beyond it.
 */

static void
ngx_http_blockcast_cluster_begin(ngx_http_blockcast_cluster_node_t *node)
{
    char                          id[BC_ENGINE_ID_LEN];
    uint64_t                      now, given;
    ngx_str_t                     floors, value;
    bc_span_t                     argv[8];
    ngx_uint_t                    i, n, blank, lacks;
    bc_engine_id_t                begin, seen;
    struct timeval                tv;
    ngx_http_blockcast_stream_t **st;

    ngx_gettimeofday(&tv);
    now = (uint64_t) tv.tv_sec * 1000000 + tv.tv_usec;

    blank = ngx_http_blockcast_cluster_apply_is_blank(node->bmcf);
    lacks = ngx_http_blockcast_cluster_lacks(node, &seen);
    st = node->bmcf->streams.elts;

    if (lacks) {
        node->hurried = seen;
    }

    node->seed = 0;
    node->least = 0;

    if (node->empty || node->headless) {
        /*
         * Who has read a log has its epoch, and may have nothing else: others
         * have given numbers in it.
         */

        node->seed = !blank;
        node->least = (blank && node->bmcf->zone->sh->cluster.term == 0)
                      ? 0 : now;

        /* a log without its beginning is of somebody's who may have data */

        if (node->headless) {
            node->seed = 1;
            node->least = now;
        }

    } else if (lacks || node->torn || node->noticed
               || ngx_strcmp(node->identity, node->former) != 0)
    {
        node->seed = 1;
        node->least = now;
    }

    /*
     * A jump has to be beyond all that was given, also by who came here with a
     * former one, of which the log may show no more than the numbers.
     */

    given = ngx_http_blockcast_slot_seq_unconfigured(node->bmcf->zone,
                                                     node->bmcf);

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        given = ngx_max(given, (uint64_t) st[i]->slot->seq);
    }

    if (node->least != 0 && given >= node->least) {
        ngx_http_blockcast_cluster_drop(node, "the clock of this machine is "
                             "behind that of a former leader: it must not "
                             "lead");
        return;
    }

    node->noticed = 0;

    begin.term = ngx_max(node->known, seen.term) + 1;
    begin.n = 0;

    if (node->cur.term >= begin.term) {
        begin.term = node->cur.term + 1;
    }

    node->term = begin.term;
    node->mine = 0;

    if (ngx_http_blockcast_cluster_apply_make_floors(node->bmcf, node->least,
                                                     &floors)
        != NGX_OK)
    {
        ngx_http_blockcast_cluster_drop(node, "no memory");
        return;
    }

    if (ngx_http_blockcast_cluster_value(node, &floors, NULL, 0, &value)
        != NGX_OK)
    {
        ngx_free(floors.data);
        ngx_http_blockcast_cluster_drop(node, "no memory");
        return;
    }

    ngx_free(floors.data);

    n = 0;
    ngx_http_blockcast_cluster_word(argv[n], "XADD");
    n++;
    ngx_http_blockcast_cluster_span(argv[n], &node->conf->log);
    n++;

    if (!node->empty) {

        /* one that was emptied meanwhile is another one: numbers must jump */

        ngx_http_blockcast_cluster_word(argv[n], "NOMKSTREAM");
        n++;
    }

    argv[n].len = bc_engine_id_put(id, &begin);
    argv[n].data = (u_char *) id;
    n++;
    ngx_http_blockcast_cluster_word(argv[n], "k");
    n++;
    ngx_http_blockcast_cluster_word(argv[n], "b");
    n++;
    ngx_http_blockcast_cluster_word(argv[n], "v");
    n++;
    ngx_http_blockcast_cluster_span(argv[n], &value);
    n++;

    node->elected = ngx_current_msec;

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_begin,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, n,
                                         argv);
    ngx_free(value.data);
}


/* Tells when a begin is of a gateway with other streams. */

static void
ngx_http_blockcast_cluster_compare(ngx_http_blockcast_cluster_node_t *node,
    bc_span_t records)
{
    ngx_str_t             name, other;
    ngx_uint_t            n;
    const u_char         *p, *last;
    bc_journal_record_t   r;

    p = records.data;
    last = p + records.len;
    n = 0;
    ngx_str_null(&other);

    while (bc_journal_next(&p, last, &r) == 1) {

        name.data = (u_char *) r.name.data;
        name.len = r.name.len;

        if (name.len == 0) {
            continue;
        }

        n++;

        if (ngx_http_blockcast_stream_find(node->bmcf, &name) == NULL) {
            other = name;
        }
    }

    if (other.len == 0 && n == node->bmcf->streams.nelts) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: a gateway of the cluster \"%V\" that leads now "
                  "has other streams than this one%s%V%s: two clusters need "
                  "two names (name=)", &node->conf->name,
                  other.len ? " (\"" : "", &other, other.len ? "\")" : "");
}


/* Takes the head of a begin or an image.  NGX_ERROR: the links are closed. */

static ngx_int_t
ngx_http_blockcast_cluster_take_head(ngx_http_blockcast_cluster_node_t *node,
    bc_span_t value, bc_cluster_head_t *head)
{
    uint64_t  epoch;

    if (bc_cluster_head_get(value, head) != 0) {
        ngx_http_blockcast_cluster_drop(node, "its log has an entry that this "
                                        "version does not know");
        return NGX_ERROR;
    }

    epoch = node->bmcf->zone->sh->epoch;

    if (ngx_http_blockcast_cluster_apply_epoch(node->bmcf, head->epoch)
        != NGX_OK)
    {
        ngx_http_blockcast_cluster_drop(node, "the zone is locked");
        return NGX_ERROR;
    }

    if (epoch != head->epoch) {

        /* what was seen was in another log */

        node->bmcf->zone->sh->cluster.seen_term = 0;
        node->bmcf->zone->sh->cluster.seen_n = 0;
    }

    ngx_memcpy(node->former, head->identity, sizeof(node->former));

    return NGX_OK;
}


/*
 * What is taken without the zone's lease is not written: another worker has it
 * by now.  This one may have the lease once more before it notices, when that
 * one dies, and must not go on as if it had all up to here: the log is read
 * again.  Nobody but this process gives it the lease back, so after the writing
 * is early enough.  NGX_ERROR: the links are closed.
 */

static ngx_int_t
ngx_http_blockcast_cluster_owns(ngx_http_blockcast_cluster_node_t *node)
{
    if (ngx_http_blockcast_lease_held(node->bmcf->zone)) {
        return NGX_OK;
    }

    ngx_http_blockcast_cluster_drop(node, "another worker of this nginx reads "
                                    "its log by now");

    return NGX_ERROR;
}


/* Notes how far the zone has the log: never farther than it has. */

static void
ngx_http_blockcast_cluster_note_taken(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_id_t *id)
{
    ngx_http_blockcast_cluster_record_t  *record;

    record = &node->bmcf->zone->sh->cluster;

    if (id->term < record->taken_term
        || (id->term == record->taken_term && id->n <= record->taken_n))
    {
        /* it is read once more */
        return;
    }

    if (id->term != record->taken_term) {
        record->taken_n = 0;
        ngx_memory_barrier();
        record->taken_term = id->term;
        ngx_memory_barrier();
    }

    record->taken_n = id->n;
}


/*
 * Tells whether the zone is locked just now, which it is for long when the
 * process that has locked it was stopped.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_locked(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_shmtx_t  *mutex;

    mutex = &node->bmcf->zone->shpool->mutex;

    if (!ngx_shmtx_trylock(mutex)) {
        return 1;
    }

    ngx_shmtx_unlock(mutex);

    return 0;
}


/*
 * Takes an entry of the log.  NGX_BUSY: the zone is locked, and the entry is
 * read again when it is not; NGX_ERROR: the links are closed.
 */

static ngx_int_t
ngx_http_blockcast_cluster_entry(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_entry_t *entry)
{
    u_char              kind;
    size_t              coming;
    bc_span_t           k, n, value;
    const u_char       *p, *last;
    ngx_uint_t          sync, begins, whole, follows, refused, headless, torn;
    bc_engine_id_t      before;
    bc_cluster_head_t   head;
    bc_cluster_mark_t   mark;

    if (ngx_http_blockcast_cluster_locked(node)) {
        node->busy = 1;
        return NGX_BUSY;
    }

    before = node->cur;
    refused = node->bmcf->zone->refused;

    sync = (node->state == ngx_http_blockcast_is_syncing);
    headless = node->headless;
    torn = node->torn;

    (void) bc_engine_field(entry, "k", &k);
    (void) bc_engine_field(entry, "v", &value);
    (void) bc_engine_field(entry, "n", &n);

    kind = (k.len == 1) ? k.data[0] : 0;
    begins = (kind == 'b' || kind == 'i');

    if (begins
        && ngx_http_blockcast_cluster_take_head(node, value, &head) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nothing that was before such an entry is needed */

    whole = (kind == 'i' || (kind == 'b' && head.prev.term == 0));

    if (sync && kind == 'b') {

        /*
         * A leader reads what came before its begin, even if it was appended
         * after prev; but what is before prev was in the log, and is missing.
         */

        follows = (bc_engine_id_cmp(&head.prev, &node->cur) <= 0);

    } else {
        follows = bc_cluster_follows(&node->cur, &entry->id,
                                     kind == 'b' ? &head.prev : NULL);
    }

    if (node->empty) {

        /* somebody else has removed the beginning of the log */

        node->headless = !whole;
        node->missed = (node->headless
                        || bc_engine_id_cmp(&entry->id, &node->taken) > 0);

    } else if (!follows) {
        (void) ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.breaks, 1);
        node->missed = 1;

        if (!sync) {

            /* what was lost may be in an image, or with another one */

            ngx_http_blockcast_cluster_drop(node, "entries of its log are "
                                            "missing");
            return NGX_ERROR;
        }

        /*
         * Skip what comes after the hole until there is an image: it has what
         * is missing, which would be too old if newer entries were taken.
         */

        node->torn = 1;
        node->headless = (kind != 'i');

    } else if (whole) {
        node->headless = 0;
    }

    node->empty = 0;
    node->left = (kind == 'e');
    node->cur = entry->id;
    node->known = ngx_max(node->known, entry->id.term);
    node->since_image += value.len;

    node->bmcf->zone->sh->cluster.term =
                  ngx_max(node->bmcf->zone->sh->cluster.term, entry->id.term);
    node->bmcf->zone->sh->cluster.heard = ngx_current_msec;
    (void) ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.entries, 1);

    if (begins) {
        node->mine = (entry->id.term == node->term
                      && ngx_strcmp(head.author, node->author) == 0);
    }

    p = value.data;
    last = p + value.len;

    switch (kind) {

    case 'b':
        if (!node->mine && !sync) {
            ngx_http_blockcast_cluster_compare(node, head.records);
        }

        ngx_http_blockcast_cluster_apply_floors(node->bmcf, head.records);
        break;

    case 'i':
        ngx_http_blockcast_cluster_apply_image(node->bmcf, head.records);
        node->image_size = value.len;
        node->since_image = 0;
        node->torn = 0;
        break;

    case 'r':
    case 'p':

        if (node->headless) {

            /* what comes before it is missing, maybe the epoch, too */
            break;
        }

        while (ngx_http_blockcast_cluster_apply_record(node->bmcf, &p, last,
                                                       !sync))
        {
            if (!sync && kind == 'r' && p < last) {

                /* one message after the other, as they were published */

                node->hooks.applied();
            }
        }

        break;

    default:    /* 'e', or of a later version: nothing to show */
        break;
    }

    if (refused != node->bmcf->zone->refused) {

        /* what of it is in the zone is left out then */

        node->busy = 1;
        node->cur = before;
        node->headless = headless;
        node->torn = torn;
        node->empty = (before.term == 0);
        node->since_image -= ngx_min(node->since_image, value.len);

        return NGX_BUSY;
    }

    if (headless && !node->headless) {

        /* what was left out until here had numbers, too */

        ngx_http_blockcast_cluster_keys_synced(node->bmcf, 1, 0);
    }

    ngx_http_blockcast_cluster_seen(node, &entry->id);

    bc_cluster_mark(&mark, &entry->id, value);
    ngx_http_blockcast_cluster_mark_entry(node, &mark, kind, value.len);

    coming = (n.len != 0) ? ngx_atosz((u_char *) n.data, n.len) : 0;
    node->coming = (coming != (size_t) NGX_ERROR) ? coming : 0;

    node->bmcf->zone->sh->cluster.since_image = node->since_image;

    if (ngx_http_blockcast_cluster_owns(node) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!node->headless) {
        ngx_http_blockcast_cluster_note_taken(node, &entry->id);
    }

    return NGX_OK;
}


/*
 * Takes the entries of a reply, and tells how many there were.  NGX_BUSY: the
 * rest of them is read again, by the timer; NGX_ERROR: the links are closed.
 */

static ngx_int_t
ngx_http_blockcast_cluster_entries(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_reply_t *reply, ngx_uint_t *n)
{
    int                 rc;
    ngx_int_t           taken;
    bc_engine_iter_t    it;
    bc_engine_entry_t   entry;

    bc_engine_first(&it, reply);
    *n = 0;

    while ((rc = bc_engine_entry(&it, &entry)) == 1) {
        (*n)++;
        taken = ngx_http_blockcast_cluster_entry(node, &entry);

        if (taken == NGX_BUSY) {
            node->hooks.applied();
        }

        if (taken != NGX_OK) {
            return taken;
        }
    }

    if (rc == -1) {
        ngx_http_blockcast_cluster_drop(node, "it answers XREAD with "
                                        "something else");
        return NGX_ERROR;
    }

    node->hooks.applied();

    return NGX_OK;
}


/* Takes the next of some names, joined by commas; NULL: it is not known. */

static ngx_http_blockcast_stream_t *
ngx_http_blockcast_cluster_named(ngx_http_blockcast_cluster_node_t *node,
    bc_span_t *names)
{
    u_char     *p, *last, *comma;
    ngx_str_t   name;

    p = (u_char *) names->data;
    last = p + names->len;

    comma = ngx_strlchr(p, last, ',');
    comma = (comma != NULL) ? comma : last;

    name.data = p;
    name.len = comma - p;

    names->data = (comma < last) ? comma + 1 : last;
    names->len = last - names->data;

    return (name.len != 0) ? ngx_http_blockcast_stream_find(node->bmcf, &name)
                           : NULL;
}


/* Takes what other gateways want. */

static void
ngx_http_blockcast_cluster_wishes(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_reply_t *reply)
{
    bc_span_t                     author, streams, poked, image, term, keys;
    ngx_uint_t                    any;
    bc_engine_iter_t              it;
    bc_engine_entry_t             entry;
    ngx_http_blockcast_stream_t  *st;

    bc_engine_first(&it, reply);
    any = 0;

    while (bc_engine_entry(&it, &entry) == 1) {

        node->wish_cur = entry.id;

        (void) bc_engine_field(&entry, "g", &author);
        (void) bc_engine_field(&entry, "s", &streams);
        (void) bc_engine_field(&entry, "p", &poked);
        (void) bc_engine_field(&entry, "t", &term);
        (void) bc_engine_field(&entry, "k", &keys);
        (void) bc_engine_field(&entry, "i", &image);

        if (author.len == BC_CLUSTER_AUTHOR
            && ngx_memcmp(author.data, node->author, author.len) == 0)
        {
            continue;
        }

        if (term.len != 0
            && ngx_atosz((u_char *) term.data, term.len)
               == (ssize_t) node->term)
        {
            any |= ngx_http_blockcast_cluster_keys_hear(node->bmcf, author,
                                                        keys);
        }

        while (streams.len != 0) {
            st = ngx_http_blockcast_cluster_named(node, &streams);

            if (st != NULL) {
                any |= !ngx_http_blockcast_cluster_wanted(node->bmcf, st);
                node->wanted[st->index] = ngx_current_msec
                                          + NGX_HTTP_BLOCKCAST_CLUSTER_WISHED;
                node->wanted[st->index] += (node->wanted[st->index] == 0);
            }
        }

        if (image.len != 0) {
            node->seed = 1;
        }

        while (poked.len != 0) {
            st = ngx_http_blockcast_cluster_named(node, &poked);

            if (st != NULL) {
                node->hooks.poked(node->bmcf, st);
                any = 1;
            }
        }
    }

    if (any) {
        node->hooks.changed();
    }
}


/* The log has taken an entry of ours: it is shown. */

static void
ngx_http_blockcast_cluster_taken(ngx_http_blockcast_cluster_node_t *node)
{
    const u_char                          *p, *last;
    ngx_uint_t                             n, refused;
    ngx_http_blockcast_cluster_flight_t    flight;
    ngx_http_blockcast_cluster_record_t   *record;

    record = &node->bmcf->zone->sh->cluster;

    flight = node->flights[node->flight];

    /* a callback may propose, but takes no place before this one is free */

    ngx_memzero(&node->flights[node->flight],
                sizeof(ngx_http_blockcast_cluster_flight_t));

    node->flight = (node->flight + 1) % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING;
    node->nflights--;

    node->acked = ngx_current_msec;
    node->since_image += flight.len;
    node->unanswered -= flight.len;
    node->between += flight.len;

    record->heard = ngx_current_msec;
    record->since_image = node->since_image;
    (void) ngx_atomic_fetch_add(&record->entries, 1);
    (void) ngx_atomic_fetch_add(&record->appended, 1);
    record->append_usec += ngx_http_blockcast_zone_usec() - flight.began;

    if (flight.kind == 'i') {
        node->imaging = 0;
        node->image_size = flight.len;
        node->since_image = 0;
        node->between = 0;
    }

    ngx_http_blockcast_cluster_mark_entry(node, &flight.mark, flight.kind,
                                          flight.len);

    if (flight.records.data == NULL) {
        ngx_http_blockcast_cluster_seen(node, &flight.mark.id);
        ngx_http_blockcast_cluster_note_taken(node, &flight.mark.id);
        return;
    }

    refused = node->bmcf->zone->refused;

    p = flight.records.data;
    last = p + flight.records.len;

    for (n = 0; ngx_http_blockcast_cluster_apply_record(node->bmcf, &p, last,
                                                        1);
         n++)
    {
        if (p < last) {
            if (flight.proposal != NULL) {
                flight.proposal->committed(flight.proposal);

            } else {
                node->hooks.applied();
            }
        }
    }

    ngx_free(flight.records.data);

    if (refused != node->bmcf->zone->refused) {

        /*
         * The log has what the zone has not: it is read when the zone is not
         * locked any more, and until then another gateway may lead.
         */

        node->doomed = "the zone is locked by a process that does not go on";

    } else {
        ngx_http_blockcast_cluster_seen(node, &flight.mark.id);

        if (ngx_http_blockcast_lease_held(node->bmcf->zone)) {
            ngx_http_blockcast_cluster_note_taken(node, &flight.mark.id);
        }
    }

    if (flight.proposal != NULL) {
        flight.proposal->waits = 0;
        flight.proposal->decided(flight.proposal,
                                 (ngx_http_blockcast_lease_held(
                                                         node->bmcf->zone)
                                  && node->doomed == NULL)
                                 ? NGX_OK : NGX_DECLINED);

    } else {
        node->hooks.applied();
    }
}


/* Has the log begin with the newest image. */

static void
ngx_http_blockcast_cluster_trim(ngx_http_blockcast_cluster_node_t *node)
{
    char       id[BC_ENGINE_ID_LEN];
    bc_span_t  argv[4];

    ngx_http_blockcast_cluster_word(argv[0], "XTRIM");
    ngx_http_blockcast_cluster_span(argv[1], &node->conf->log);
    ngx_http_blockcast_cluster_word(argv[2], "MINID");
    argv[3].len = bc_engine_id_put(id, &node->image);
    argv[3].data = (u_char *) id;

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_trim,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, 4,
                                         argv);
}


/* Says what an error of the engine means; NULL: nothing more than it says. */

static const char *
ngx_http_blockcast_cluster_advice(bc_span_t text)
{
    static const struct {
        const char  *begins;
        const char  *means;
    } advice[] = {
        { "OOM ", "its memory is full: maxmemory" },
        { "NOREPLICAS", "its replicas are away: min-replicas-to-write" },
        { "MISCONF", "it cannot write its data to its disk" },
        { "READONLY", "it is a replica by now" },
        { "LOADING", "it is loading its data" },
        { "CLUSTERDOWN", "its cluster is down" },
        { NULL, NULL }
    };

    ngx_uint_t  i;

    for (i = 0; advice[i].begins != NULL; i++) {
        if (text.len >= ngx_strlen(advice[i].begins)
            && ngx_memcmp(text.data, advice[i].begins,
                          ngx_strlen(advice[i].begins))
               == 0)
        {
            return advice[i].means;
        }
    }

    return NULL;
}


/* An error of the engine: whatever it is, nothing was written. */

static void
ngx_http_blockcast_cluster_refused(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t tag, bc_span_t text)
{
    bc_span_t           where;
    ngx_str_t           s;
    const char         *means;
    bc_engine_error_e   kind;

    kind = bc_engine_error_kind(text, &where);

    s.data = (u_char *) text.data;
    s.len = ngx_min(text.len, 160);

    if (kind == bc_engine_fenced) {
        (void) ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.fenced, 1);

        if (tag == ngx_http_blockcast_cluster_tag_begin) {

            /* another gateway was faster */

            ngx_http_blockcast_cluster_state(
                             node, ngx_http_blockcast_is_following, NULL);
            ngx_http_blockcast_cluster_wait(node);
            return;
        }

        ngx_http_blockcast_cluster_drop(node, "another gateway leads");
        return;
    }

    if (kind == bc_engine_moved) {
        s.data = (u_char *) where.data;
        s.len = ngx_min(where.len, 64);

        ngx_http_blockcast_cluster_drop(node, "it is a part of a cluster, and "
                                        "%V has the log: name that one in "
                                        "blockcast_cluster, too", &s);
        return;
    }

    if (kind == bc_engine_denied) {
        ngx_http_blockcast_cluster_drop(node, "it refuses us: \"%V\" (user= "
                                        "and password_file=, or the ACL: "
                                        "~{blockcast:%V}:* +xadd +xread "
                                        "+xrange +xtrim +info)", &s,
                                        &node->conf->name);
        return;
    }

    means = ngx_http_blockcast_cluster_advice(text);

    if (means != NULL) {
        ngx_http_blockcast_cluster_drop(node, "%s (\"%V\")", means, &s);
        return;
    }

    ngx_http_blockcast_cluster_drop(node, "it says \"%V\"", &s);
}


static void
ngx_http_blockcast_cluster_emptied(ngx_http_blockcast_cluster_node_t *node)
{
    node->noticed = 1;
    ngx_http_blockcast_cluster_drop(node, "its log was emptied or replaced, "
                                    "by a command or for want of memory "
                                    "(maxmemory-policy)");
}


/*
 * The log was read to its end, as it was when the reply left the engine: what
 * has come since is read by who follows.
 */

static void
ngx_http_blockcast_cluster_synced(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_uint_t  count;
    ngx_msec_t  lasted;

    node->backoff = NGX_HTTP_BLOCKCAST_CLUSTER_SOON;

    if (ngx_http_blockcast_log_throttle_end(&node->repeat, &count, &lasted)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: the engine of the cluster \"%V\" is "
                      "back, after %M.%03M s", &node->conf->name,
                      lasted / 1000, lasted % 1000);
    }

    /* what a state file has is better than nothing, at a start */

    ngx_http_blockcast_cluster_keys_synced(node->bmcf, node->missed,
                                           node->taken.term != 0);

    ngx_http_blockcast_cluster_state(node, ngx_http_blockcast_is_following,
                                     NULL);
    ngx_http_blockcast_cluster_wait(node);
    ngx_http_blockcast_cluster_read(node);
}


static void
ngx_http_blockcast_cluster_replied(ngx_http_blockcast_cluster_link_t *link,
    ngx_uint_t tag, bc_engine_reply_t *reply)
{
    ngx_uint_t                          kind, n;
    bc_engine_entry_t                   entry;
    ngx_http_blockcast_cluster_node_t  *node;

    node = link->data;

    if (reply->type == bc_engine_error) {

        /* the zone's lease may be another worker's by now: it sees to that */

        ngx_http_blockcast_cluster_refused(node, tag, reply->text);
        return;
    }

    if (reply->type == bc_engine_nil
        && (tag == ngx_http_blockcast_cluster_tag_begin
            || tag == ngx_http_blockcast_cluster_tag_add))
    {
        ngx_http_blockcast_cluster_emptied(node);
        return;
    }

    switch (tag) {

    case ngx_http_blockcast_cluster_tag_info:

        if (reply->type != bc_engine_string) {
            ngx_http_blockcast_cluster_drop(node, "it does not answer INFO");
            return;
        }

        ngx_http_blockcast_cluster_informed(node, reply->text);

        if (node->state == ngx_http_blockcast_is_electing) {
            ngx_http_blockcast_cluster_begin(node);
        }

        return;

    case ngx_http_blockcast_cluster_tag_sync:

        if (reply->type == bc_engine_array) {

            if (ngx_http_blockcast_cluster_entries(node, reply, &n)
                != NGX_OK)
            {
                return;
            }

            if (n >= NGX_HTTP_BLOCKCAST_CLUSTER_COUNT) {
                ngx_http_blockcast_cluster_read(node);
                return;
            }

            /*
             * There were no more.  To wait for a reply without any is to wait
             * for ever, where a round trip is longer than the time between two
             * entries.
             */
        }

        ngx_http_blockcast_cluster_synced(node);

        return;

    case ngx_http_blockcast_cluster_tag_read:

        if (reply->type == bc_engine_array) {

            if (ngx_http_blockcast_cluster_entries(node, reply, &n)
                != NGX_OK)
            {
                return;
            }

            if (node->state == ngx_http_blockcast_is_electing) {

                if (node->mine && node->cur.n == 0
                    && node->cur.term == node->term)
                {
                    ngx_http_blockcast_cluster_lead(node);

                } else if (node->cur.term >= node->term) {

                    /* another one was faster */

                    ngx_http_blockcast_cluster_state(
                               node, ngx_http_blockcast_is_following, NULL);
                }
            }

            if (node->state == ngx_http_blockcast_is_following) {
                ngx_http_blockcast_cluster_wait(node);
            }
        }

        ngx_http_blockcast_cluster_read(node);

        return;

    case ngx_http_blockcast_cluster_tag_wishes:

        if (reply->type == bc_engine_array) {
            ngx_http_blockcast_cluster_wishes(node, reply);
            ngx_http_blockcast_cluster_answer_keys(node);
        }

        ngx_http_blockcast_cluster_read(node);

        return;

    case ngx_http_blockcast_cluster_tag_add:

        if (node->nflights == 0) {
            return;
        }

        kind = node->flights[node->flight].kind;

        if (kind == 'r') {
            ngx_http_blockcast_test_moment("cluster: taken");
        }

        ngx_http_blockcast_cluster_taken(node);

        if (ngx_http_blockcast_cluster_owns(node) != NGX_OK) {
            return;
        }

        if (kind == 'i') {
            ngx_http_blockcast_cluster_trim(node);
        }

        return;

    case ngx_http_blockcast_cluster_tag_guard:

        node->guarding = 0;

        if (!bc_cluster_marked(reply, &node->guarded)) {
            ngx_http_blockcast_cluster_emptied(node);
        }

        return;

    case ngx_http_blockcast_cluster_tag_there:

        if (bc_engine_range_first(reply, &entry) == 0) {
            ngx_http_blockcast_cluster_emptied(node);
        }

        return;

    case ngx_http_blockcast_cluster_tag_newest:

        node->asking = 0;

        if (!bc_cluster_marked(reply, &node->asked)
            || bc_engine_range_count(reply) != node->expected)
        {
            node->noticed = 1;
            ngx_http_blockcast_cluster_drop(node, "its log has lost entries, "
                             "and nobody has closed the connections");
        }

        return;

    default:    /* AUTH, XTRIM, a wish: done */
        return;
    }
}


/* A connection is over: so is the other one, and the lead. */

static void
ngx_http_blockcast_cluster_lost(ngx_http_blockcast_cluster_link_t *link,
    ngx_str_t *reason)
{
    ngx_http_blockcast_cluster_drop(link->data, "%V", reason);
}


/*
 * Ends whatever is going on: what was not answered is found in the log, or is
 * not.  It is never called from within a proposal.
 */

static void
ngx_http_blockcast_cluster_drop(ngx_http_blockcast_cluster_node_t *node,
    const char *fmt, ...)
{
    va_list                              args;
    ngx_str_t                            text;
    ngx_msec_t                           pause;
    ngx_uint_t                           led, state, suppressed;
    ngx_http_blockcast_cluster_addr_t   *addr;
    u_char                               buf[NGX_HTTP_BLOCKCAST_ERROR_LEN];

    va_start(args, fmt);
    text.data = buf;
    text.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    state = node->state;
    led = (state == ngx_http_blockcast_is_leading);
    addr = node->conf->addrs.elts;
    addr += node->address % node->conf->addrs.nelts;

    ngx_http_blockcast_cluster_end(node);

    if (state == ngx_http_blockcast_is_off) {
        return;
    }

    /* the same address again, when it was well until now */

    if (state > ngx_http_blockcast_is_connecting && node->address != 0) {
        node->address--;

    } else if (state > ngx_http_blockcast_is_connecting) {
        node->address = (ngx_uint_t) -1;
    }

    if (state <= ngx_http_blockcast_is_connecting
        && node->address + 1 < node->conf->addrs.nelts)
    {
        /* the pause comes when all addresses have been tried */

        pause = NGX_HTTP_BLOCKCAST_CLUSTER_SOON;

    } else {
        pause = node->backoff;
        node->backoff = ngx_min(2 * node->backoff,
                                NGX_HTTP_BLOCKCAST_CLUSTER_LATE);
    }

    node->retry = ngx_current_msec + pause
                  + (ngx_uint_t) ngx_random() % (pause / 2 + 1);
    node->retry += (node->retry == 0);

    if (!ngx_http_blockcast_lease_held(node->bmcf->zone)) {

        /* another worker sees to it by now, and shows its own state */

        node->state = ngx_http_blockcast_is_connecting;

    } else {
        (void) ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.losses, 1);
        ngx_http_blockcast_cluster_state(
                            node, ngx_http_blockcast_is_connecting, &text);
    }

    if (ngx_http_blockcast_log_throttle(&node->repeat, &text, &suppressed)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: the engine %V of the cluster \"%V\": %V%s",
                      &addr->peer, &node->conf->name, &text,
                      led ? "; this nginx leads no longer" : "");
    }

    if (led) {
        node->hooks.changed();
    }
}


static void
ngx_http_blockcast_cluster_lead(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_http_blockcast_cluster_record_t  *record;

    record = &node->bmcf->zone->sh->cluster;

    if (node->headless) {

        /* the image that it appends first ends this for all */

        node->headless = 0;
        ngx_http_blockcast_cluster_keys_synced(node->bmcf, 1, 0);
    }

    node->acked = ngx_current_msec;
    node->appended = ngx_current_msec;
    node->pulsed = ngx_current_msec;
    node->looked = ngx_current_msec;
    node->beat = ngx_current_msec;
    node->doomed = NULL;
    node->notes_len = 0;
    node->polled = 0;
    node->before = node->newest;
    node->between = 0;
    ngx_memzero(&node->hurried, sizeof(bc_engine_id_t));

    ngx_http_blockcast_cluster_keys_reset(node->bmcf);

    (void) ngx_atomic_fetch_add(&record->elections, 1);

    if (node->least != 0) {
        (void) ngx_atomic_fetch_add(&record->jumps, 1);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the engine of the cluster \"%V\" is another "
                      "one, or it has lost entries: all seq go on from %uL",
                      &node->conf->name, node->least);
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "blockcast: this nginx leads the cluster \"%V\", term %uL",
                  &node->conf->name, node->term);

    ngx_http_blockcast_cluster_state(node, ngx_http_blockcast_is_leading,
                                     NULL);

    if (node->seed) {

        /*
         * Before all that is published from here on: who lacks some of it is
         * given it while it can be told from what comes behind the jump.
         */

        ngx_http_blockcast_cluster_send_image(node);
    }

    node->hooks.changed();
}


/* Appends one entry; coming: the size of the one behind it, when large. */

static void
ngx_http_blockcast_cluster_append_entry(
    ngx_http_blockcast_cluster_node_t *node, u_char kind, bc_span_t value,
    size_t coming, ngx_str_t *records,
    ngx_http_blockcast_proposal_t *proposal)
{
    u_char                                number[NGX_SIZE_T_LEN];
    char                                  id[BC_ENGINE_ID_LEN];
    bc_span_t                             argv[10];
    ngx_msec_t                            msec;
    ngx_uint_t                            argc;
    ngx_http_blockcast_cluster_flight_t  *flight;

    node->cur.n++;

    flight = &node->flights[(node->flight + node->nflights)
                            % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    node->nflights++;

    ngx_memzero(flight, sizeof(ngx_http_blockcast_cluster_flight_t));

    flight->proposal = proposal;
    flight->kind = kind;
    bc_cluster_mark(&flight->mark, &node->cur, value);
    flight->len = value.len;
    flight->began = ngx_http_blockcast_zone_usec();

    node->unanswered += value.len;

    msec = NGX_HTTP_BLOCKCAST_CLUSTER_REPLY
           + ngx_http_blockcast_cluster_patience(node->unanswered);

    flight->deadline = ngx_current_msec + msec;

    if (records != NULL) {
        flight->records = *records;
    }

    /* a log that is gone is not begun by anything but a begin */

    ngx_http_blockcast_cluster_word(argv[0], "XADD");
    ngx_http_blockcast_cluster_span(argv[1], &node->conf->log);
    ngx_http_blockcast_cluster_word(argv[2], "NOMKSTREAM");
    argv[3].len = bc_engine_id_put(id, &node->cur);
    argv[3].data = (u_char *) id;
    ngx_http_blockcast_cluster_word(argv[4], "k");
    argv[5].data = &kind;
    argv[5].len = 1;
    ngx_http_blockcast_cluster_word(argv[6], "v");
    argv[7] = value;
    argc = 8;

    if (coming != 0) {
        ngx_http_blockcast_cluster_word(argv[8], "n");
        argv[9].data = number;
        argv[9].len = ngx_sprintf(number, "%uz", coming) - number;
        argc = 10;
    }

    if (value.len <= NGX_HTTP_BLOCKCAST_CLUSTER_LOOKED) {

        /* there is one that can be looked for each second */

        node->appended = ngx_current_msec;
    }

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_add,
                                         msec, argc, argv);
}


/*
 * Appends an entry, as the next one of our term.
 *
 * A failure is over soon because followers wait 3 s for a leader, and a leader
 * 1 s for an answer.  On a slow line a large entry takes longer, and so does
 * what waits behind it: if that ended the lead, the next leader would have the
 * same entry to append, and so on without end.  So the leader announces the
 * size of such an entry in a pulse, and all gateways wait as long as it takes
 * at 1 Mbit/s, 30 s at most.  The price: an engine that hangs, or a leader
 * that dies, in the middle of it is noticed that much later.
 */

static void
ngx_http_blockcast_cluster_append(ngx_http_blockcast_cluster_node_t *node,
    u_char kind, bc_span_t value, ngx_str_t *records,
    ngx_http_blockcast_proposal_t *proposal)
{
    bc_span_t  none;

    if (value.len > NGX_HTTP_BLOCKCAST_CLUSTER_LARGE) {
        none.data = (const uint8_t *) "";
        none.len = 0;

        ngx_http_blockcast_cluster_append_entry(node, 'p', none, value.len,
                                                NULL, NULL);
    }

    ngx_http_blockcast_cluster_append_entry(node, kind, value, 0, records,
                                            proposal);
}


/* Appends an image of all there is. */

static void
ngx_http_blockcast_cluster_send_image(ngx_http_blockcast_cluster_node_t *node)
{
    bc_span_t  span;
    ngx_int_t  rc;
    ngx_str_t  image, jumps, value;

    ngx_http_blockcast_journal_codec_image(node->bmcf->zone, 0, &image);

    if (image.data == NULL) {
        return;
    }

    rc = ngx_http_blockcast_cluster_apply_make_jumps(node->bmcf, &jumps);

    if (rc == NGX_OK) {
        rc = ngx_http_blockcast_cluster_value(node, &jumps,
                                              image.data + BC_JOURNAL_HEADER,
                                              image.len - BC_JOURNAL_HEADER,
                                              &value);
        ngx_free(jumps.data);
    }

    if (rc == NGX_OK) {
        node->seed = 0;
        node->imaging = 1;

        ngx_http_blockcast_cluster_span(span, &value);
        ngx_http_blockcast_cluster_append(node, 'i', span, NULL, NULL);

        ngx_free(value.data);
    }

    ngx_free(image.data);
}


/* Appends polls and errors; nothing at all is a sign of life. */

static void
ngx_http_blockcast_cluster_pulse(ngx_http_blockcast_cluster_node_t *node)
{
    bc_span_t                      span;
    ngx_str_t                      record;
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    static ngx_str_t  none = ngx_string("");

    st = node->bmcf->streams.elts;

    for (i = 0; i < node->bmcf->streams.nelts; i++) {

        if (!(node->polled & ((uint64_t) 1 << i))) {
            continue;
        }

        ngx_http_blockcast_journal_codec_polled(st[i]->slot, &record);

        if (record.data != NULL) {
            ngx_http_blockcast_cluster_note(node, &record);
            ngx_free(record.data);
        }
    }

    node->polled = 0;

    if (node->notes_len == 0
        && ngx_current_msec - node->appended < NGX_HTTP_BLOCKCAST_CLUSTER_ALIVE)
    {
        return;
    }

    span.data = node->notes_len ? node->notes : none.data;
    span.len = node->notes_len;

    ngx_http_blockcast_cluster_append(node, 'p', span, NULL, NULL);

    node->notes_len = 0;
}


/* Appends what the others are to know of keys. */

static void
ngx_http_blockcast_cluster_answer_keys(
    ngx_http_blockcast_cluster_node_t *node)
{
    bc_span_t  span;
    ngx_str_t  records;

    if (node->doomed != NULL
        || node->nflights + 8 > NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING)
    {
        return;
    }

    ngx_http_blockcast_cluster_keys_answer(node->bmcf, &records);

    if (records.len == 0) {
        return;
    }

    ngx_http_blockcast_cluster_span(span, &records);
    ngx_http_blockcast_cluster_append(node, 'p', span, NULL, NULL);

    ngx_free(records.data);
}


/* A leader's turn. */

static void
ngx_http_blockcast_cluster_leading(ngx_http_blockcast_cluster_node_t *node)
{
    size_t  room;

    if (node->doomed != NULL) {
        ngx_http_blockcast_cluster_drop(node, "%s", node->doomed);
        return;
    }

    if (node->nflights != 0 && !node->cmd.base.peer.connection->read->ready
        && (ngx_msec_int_t) (node->flights[node->flight].deadline
                             - ngx_current_msec) < 0)
    {
        ngx_http_blockcast_cluster_drop(node, "it does not answer in time");
        return;
    }

    if (node->nflights + 8 > NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING) {
        return;
    }

    room = ngx_max(node->image_size, NGX_HTTP_BLOCKCAST_CLUSTER_IMAGE);

    /* an image is of what all entries before it have led to */

    if (!node->imaging && node->nflights == 0
        && (node->seed || node->since_image > room))
    {
        ngx_http_blockcast_cluster_send_image(node);
    }

    if (ngx_current_msec - node->pulsed >= NGX_HTTP_BLOCKCAST_CLUSTER_PULSE) {
        node->pulsed = ngx_current_msec;
        ngx_http_blockcast_cluster_pulse(node);
    }

    ngx_http_blockcast_cluster_answer_keys(node);

    if (ngx_current_msec - node->looked >= NGX_HTTP_BLOCKCAST_CLUSTER_LOOK) {
        node->looked = ngx_current_msec;

        /*
         * Is the log what we think it is?  What was appended since may be in
         * another one already, so the entry is that of a second ago; what
         * has come since then is counted.
         */

        if (node->guard.id.term != 0 && !node->guarding) {
            node->guarding = 1;
            node->guarded = node->guard;
            ngx_http_blockcast_cluster_look(
                                node, ngx_http_blockcast_cluster_tag_guard,
                                &node->guarded.id, &node->guarded.id);
        }

        ngx_http_blockcast_cluster_look_for(
                    node,
                    bc_engine_id_cmp(&node->before.id, &node->image) < 0
                    ? &node->guard : &node->before);

        ngx_http_blockcast_cluster_ask_info(node);

        node->before = node->newest;
        node->between = 0;
    }
}


/*
 * Asks for the first entry from the newest small one on that was read.  There
 * is none when the log was emptied: what another gateway puts there, which has
 * never seen our term, is before that, and is not told to who waits behind it.
 */

static void
ngx_http_blockcast_cluster_ask_there(ngx_http_blockcast_cluster_node_t *node)
{
    node->looked = ngx_current_msec;

    /* before the image there may be nothing any more, and it may be large */

    if (node->newest.id.term != 0
        && bc_engine_id_cmp(&node->newest.id, &node->image) >= 0)
    {
        ngx_http_blockcast_cluster_look(node,
                                        ngx_http_blockcast_cluster_tag_there,
                                        &node->newest.id, NULL);
    }
}


/*
 * Tells the leader something about streams: "s", they are wanted; "p", they are
 * poked; "i", an image of all is needed here.
 */

static ngx_int_t
ngx_http_blockcast_cluster_want(ngx_http_blockcast_cluster_node_t *node,
    const char *field, uint64_t streams)
{
    u_char                        *p, *names;
    size_t                         len;
    bc_span_t                      argv[10];
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    st = node->bmcf->streams.elts;
    len = 0;

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        if (streams & ((uint64_t) 1 << i)) {
            len += st[i]->name.len + 1;
        }
    }

    names = ngx_alloc(len, ngx_cycle->log);
    if (names == NULL) {
        return NGX_ERROR;
    }

    p = names;

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        if (streams & ((uint64_t) 1 << i)) {
            p = ngx_cpymem(p, st[i]->name.data, st[i]->name.len);
            *p++ = ',';
        }
    }

    ngx_http_blockcast_cluster_word(argv[0], "XADD");
    ngx_http_blockcast_cluster_span(argv[1], &node->conf->want);
    ngx_http_blockcast_cluster_word(argv[2], "MAXLEN");
    ngx_http_blockcast_cluster_word(argv[3], "~");
    ngx_http_blockcast_cluster_word(argv[4], "1000");
    ngx_http_blockcast_cluster_word(argv[5], "*");
    ngx_http_blockcast_cluster_word(argv[6], "g");
    argv[7].data = (u_char *) node->author;
    argv[7].len = BC_CLUSTER_AUTHOR;
    argv[8].data = (u_char *) field;
    argv[8].len = 1;
    argv[9].data = names;
    argv[9].len = p - names - 1;

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_wish,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, 10,
                                         argv);
    ngx_free(names);

    return NGX_OK;
}


/* Tells the leader what clients of this nginx want; again: once a second. */

static void
ngx_http_blockcast_cluster_wish(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t again)
{
    uint64_t                       wish;
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    st = node->bmcf->streams.elts;
    wish = 0;

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        if (node->hooks.wanted(node->bmcf, st[i])) {
            wish |= (uint64_t) 1 << i;
        }
    }

    if (wish == 0 || (!again && (wish & ~node->wish) == 0)) {
        node->wish = wish;
        return;
    }

    if (ngx_http_blockcast_cluster_want(node, "s", wish) == NGX_OK) {
        node->wish = wish;
        node->wished = ngx_current_msec;
    }
}


/*
 * Passes the pokes of this nginx on to the leader: those that come in a short
 * time as one, for it folds them, too.
 */

static void
ngx_http_blockcast_cluster_pass_pokes(ngx_http_blockcast_cluster_node_t *node)
{
    uint64_t                       poked;
    ngx_uint_t                     i, pokes[NGX_HTTP_BLOCKCAST_STREAMS];
    ngx_http_blockcast_stream_t  **st;

    if (ngx_current_msec - node->poked < NGX_HTTP_BLOCKCAST_CLUSTER_POKES) {
        return;
    }

    st = node->bmcf->streams.elts;
    poked = 0;

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        pokes[i] = st[i]->slot->pokes;

        if (pokes[i] != st[i]->slot->pokes_taken) {
            poked |= (uint64_t) 1 << i;
        }
    }

    if (poked == 0
        || ngx_http_blockcast_cluster_want(node, "p", poked) != NGX_OK)
    {
        return;
    }

    for (i = 0; i < node->bmcf->streams.nelts; i++) {
        st[i]->slot->pokes_taken = pokes[i];
    }

    node->poked = ngx_current_msec;
}


/*
 * Tells the leader which keys clients of this nginx want.  urgent: what has
 * just come, only.
 */

static void
ngx_http_blockcast_cluster_wish_keys(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t urgent)
{
    u_char      term[NGX_INT64_LEN];
    bc_span_t   argv[12];
    ngx_str_t   list;
    ngx_uint_t  i;

    if (node->cur.term == 0 || node->left || node->headless) {
        return;
    }

    ngx_http_blockcast_cluster_word(argv[0], "XADD");
    ngx_http_blockcast_cluster_span(argv[1], &node->conf->want);
    ngx_http_blockcast_cluster_word(argv[2], "MAXLEN");
    ngx_http_blockcast_cluster_word(argv[3], "~");
    ngx_http_blockcast_cluster_word(argv[4], "1000");
    ngx_http_blockcast_cluster_word(argv[5], "*");
    ngx_http_blockcast_cluster_word(argv[6], "g");
    argv[7].data = (u_char *) node->author;
    argv[7].len = BC_CLUSTER_AUTHOR;
    ngx_http_blockcast_cluster_word(argv[8], "t");
    argv[9].data = term;
    argv[9].len = ngx_sprintf(term, "%uL", node->cur.term) - term;
    ngx_http_blockcast_cluster_word(argv[10], "k");

    for (i = 0;
         i < (urgent ? 1 : NGX_HTTP_BLOCKCAST_CLUSTER_LISTS)
         && node->cmd.nwaiting < NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING / 2
         && ngx_http_blockcast_cluster_keys_tell(node->bmcf, node->cur.term,
                                                 urgent, &list)
            == NGX_OK;
         i++)
    {
        ngx_http_blockcast_cluster_span(argv[11], &list);

        ngx_http_blockcast_cluster_link_send(
                                        &node->cmd,
                                        ngx_http_blockcast_cluster_tag_wish,
                                        NGX_HTTP_BLOCKCAST_CLUSTER_REPLY, 12,
                                        argv);
    }
}


void
ngx_http_blockcast_cluster_demand(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_cluster_node_t  *node;

    if (bmcf->cluster == NULL || bmcf->cluster->node == NULL) {
        return;
    }

    node = bmcf->cluster->node;

    if (node->state == ngx_http_blockcast_is_following) {
        ngx_http_blockcast_cluster_wish(node, 0);
        ngx_http_blockcast_cluster_pass_pokes(node);
        ngx_http_blockcast_cluster_wish_keys(node, 1);
    }
}


const char *
ngx_http_blockcast_cluster_no_poke(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_cluster_status_t  status;

    if (bmcf->cluster == NULL || bmcf->zone->sh->cluster.leads) {
        return NULL;
    }

    ngx_http_blockcast_cluster_status_read(bmcf->zone, &status);

    return (status.state < ngx_http_blockcast_is_following)
           ? "the engine of the cluster is away" : NULL;
}


ngx_uint_t
ngx_http_blockcast_cluster_unread(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_cluster_record_t  *record;
    ngx_http_blockcast_cluster_status_t   status;

    if (bmcf->cluster == NULL || bmcf->zone == NULL) {
        return 0;
    }

    record = &bmcf->zone->sh->cluster;

    if (record->losses != 0
        || !ngx_http_blockcast_cluster_apply_is_blank(bmcf))
    {
        return 0;
    }

    ngx_http_blockcast_cluster_status_read(bmcf->zone, &status);

    return status.state < ngx_http_blockcast_is_following;
}


static void
ngx_http_blockcast_cluster_timer(ngx_event_t *ev)
{
    ngx_msec_t                          next, silent;
    ngx_connection_t                   *c;
    ngx_http_blockcast_cluster_node_t  *node;

    c = ev->data;
    node = c->data;
    next = NGX_HTTP_BLOCKCAST_CLUSTER_TICK;

    if (node->state == ngx_http_blockcast_is_leading
        && ngx_current_msec - node->beat > NGX_HTTP_BLOCKCAST_CLUSTER_PAUSED)
    {
        node->doomed = "this process was stopped for a while";
    }

    node->beat = ngx_current_msec;

    if (node->busy) {

        /* the others are not silent: this one does not listen */

        node->heard = ngx_current_msec;

        if (!ngx_http_blockcast_cluster_locked(node)) {
            node->busy = 0;
            ngx_http_blockcast_cluster_read(node);
        }
    }

    switch (node->state) {

    case ngx_http_blockcast_is_connecting:

        if (node->retry != 0
            && (ngx_msec_int_t) (node->retry - ngx_current_msec) <= 0)
        {
            ngx_http_blockcast_cluster_connect(node);
        }

        break;

    case ngx_http_blockcast_is_following:

        if (ngx_current_msec - node->wished
            >= NGX_HTTP_BLOCKCAST_CLUSTER_WISH)
        {
            ngx_http_blockcast_cluster_wish(node, 1);
        }

        ngx_http_blockcast_cluster_pass_pokes(node);
        ngx_http_blockcast_cluster_wish_keys(node, 0);

        if (node->headless && ngx_current_msec - node->pleaded
                              >= NGX_HTTP_BLOCKCAST_CLUSTER_WISH)
        {
            /* an image, or nothing is shown before there is one anyway */

            node->pleaded = ngx_current_msec;
            (void) ngx_http_blockcast_cluster_want(node, "i", 1);
        }

        if (ngx_current_msec - node->looked >= NGX_HTTP_BLOCKCAST_CLUSTER_LOOK)
        {
            ngx_http_blockcast_cluster_ask_there(node);
        }

        /* an entry of which a part is here is one */

        silent = ngx_current_msec - node->heard;
        silent = ngx_min(silent, ngx_current_msec - node->tail.moved);

        if (silent < node->silence) {
            next = ngx_min(next, node->silence - silent);
            break;
        }

        node->elected = ngx_current_msec;

        ngx_http_blockcast_cluster_state(node,
                                         ngx_http_blockcast_is_electing,
                                         NULL);
        ngx_http_blockcast_cluster_look_for(node, &node->newest);
        ngx_http_blockcast_cluster_ask_info(node);

        break;

    case ngx_http_blockcast_is_electing:

        silent = ngx_current_msec - node->elected;
        silent = ngx_min(silent, ngx_current_msec - node->tail.moved);

        if (silent > 2 * NGX_HTTP_BLOCKCAST_CLUSTER_REPLY) {
            ngx_http_blockcast_cluster_drop(node, "it does not answer");
        }

        break;

    case ngx_http_blockcast_is_leading:
        ngx_http_blockcast_cluster_leading(node);
        break;

    default:
        break;
    }

    if (node->state != ngx_http_blockcast_is_off) {
        ngx_add_timer(ev, ngx_max(next, 1));
    }
}
