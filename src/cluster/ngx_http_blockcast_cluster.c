
/*
 * The cluster: several gateways, of which one polls, with one epoch and one
 * sequence of numbers.
 *
 * Why no number can stand for two different contents: a record exists only if
 * the log accepted it as TERM-N; once (TERM+1)-0 is in the log, nothing can be
 * appended with TERM; a new leader has read everything before its own begin;
 * floors cover what the engine has forgotten.  Losing a connection always ends
 * the lead, and whether an unanswered entry was accepted is found out by
 * reading the log again.
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
#include "ngx_http_blockcast_worker_notify.h"
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


/*
 * Times are in msec.  Deadlines for a reply, not counting the time that the
 * command itself blocks.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_REPLY    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_BLOCK    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_READ     5000

/*
 * The maximum number of entries in a reply, also as text.  With a round trip
 * of half a second, one reply has to hold everything appended in that time, or
 * the reader never reaches the end.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_COUNT    1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_COUNTED  "1000"

/* the timer's interval; a leader whose timer runs this late was stopped */
#define NGX_HTTP_BLOCKCAST_CLUSTER_TICK     100
#define NGX_HTTP_BLOCKCAST_CLUSTER_PAUSED   2500

/*
 * The longest silence allowed to a leader, and the range of a random addition.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_SILENCE  3000
#define NGX_HTTP_BLOCKCAST_CLUSTER_SPREAD   1000

/* ... when it has said goodbye, and when the log is empty or incomplete */
#define NGX_HTTP_BLOCKCAST_CLUSTER_GONE     50
#define NGX_HTTP_BLOCKCAST_CLUSTER_NO_LOG   200

/* extra wait for a gateway without data, to let those with data go first */
#define NGX_HTTP_BLOCKCAST_CLUSTER_BLANK    2000

/* shortest and longest pause between two attempts to connect */
#define NGX_HTTP_BLOCKCAST_CLUSTER_SOON     50
#define NGX_HTTP_BLOCKCAST_CLUSTER_LATE     5000

/*
 * Shortest and longest time between two pulses; between two wishes; how long a
 * wish is valid.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_PULSE    200
#define NGX_HTTP_BLOCKCAST_CLUSTER_ALIVE    900
#define NGX_HTTP_BLOCKCAST_CLUSTER_WISH     1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_WISHED   3000

/* the shortest time between two messages about pokes */
#define NGX_HTTP_BLOCKCAST_CLUSTER_POKES    50

/*
 * The time between two checks that the log is still the same one; the maximum
 * size of an entry used for that, as the reply contains all of it (bytes).
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LOOK     1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_LOOKED   4096

/* ... for several at once: entries, also as text, and their total bytes */
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGE    100
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGED   "100"
#define NGX_HTTP_BLOCKCAST_CLUSTER_RANGE_LEN  (16 * 1024)

/*
 * An entry larger than this (bytes) may take longer to transfer than followers
 * wait for a leader.  It is announced, and gets one extra msec for each LINE
 * bytes (1 Mbit/s), up to PATIENCE.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LARGE    (128 * 1024)
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINE     125
#define NGX_HTTP_BLOCKCAST_CLUSTER_PATIENCE 30000

/* the fewest bytes of entries after an image before the next image */
#define NGX_HTTP_BLOCKCAST_CLUSTER_IMAGE    (1024 * 1024)

/* lists of keys sent in one turn of the timer */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LISTS    8

/* the maximum bytes of errors and polls kept for the next pulse */
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


/* an entry that was sent and is not answered yet */

typedef struct {
    ngx_http_blockcast_proposal_t  *proposal;   /* or NULL: nothing waits for
                                                   the answer */
    ngx_str_t                     records;      /* applied when accepted, or
                                                   len 0 */
    size_t                        len;          /* of the entry's value */
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
    ngx_msec_t                    beat;         /* when the timer last ran */
    ngx_msec_t                    retry;        /* when to reconnect, or 0 */
    ngx_msec_t                    backoff;
    ngx_uint_t                    address;      /* index of the one in use */
    ngx_uint_t                    state;
    ngx_http_blockcast_log_throttle_t  repeat;

    bc_engine_id_t                cur;          /* the newest entry read */
    bc_engine_id_t                hurried;      /* the missing entry for which
                                                   this gateway skipped its
                                                   wait, or 0-0 */
    bc_engine_id_t                image;        /* the newest image, or 0-0 */

    /*
     * Small entries known to have been in the log, or 0-0: the first one from
     * the image on (older entries are trimmed); the newest one; the newest one
     * at the last check; those being asked for now.
     */
    bc_cluster_mark_t             guard;
    bc_cluster_mark_t             newest;
    bc_cluster_mark_t             before;
    bc_cluster_mark_t             guarded;
    bc_cluster_mark_t             asked;
    size_t                        expected;     /* entries, starting with
                                                   `asked` */
    size_t                        between;      /* bytes since `before` */

    bc_engine_id_t                taken;        /* had been read before this
                                                   connection */
    uint64_t                      known;        /* the highest term seen */
    uint64_t                      term;         /* of our newest begin */
    uint64_t                      least;        /* lowest floor in our begin,
                                                   or 0 */
    char                          identity[BC_ENGINE_IDENTITY];  /* now */
    char                          former[BC_ENGINE_IDENTITY];    /* in log */
    char                          author[BC_CLUSTER_AUTHOR + 1];

    ngx_msec_t                    heard;        /* when an entry last came, or
                                                   the wait began */
    ngx_msec_t                    silence;      /* allowed before an
                                                   election */
    ngx_msec_t                    elected;      /* when the election started */
    ngx_msec_t                    acked;        /* when the log last accepted
                                                   an entry */
    ngx_msec_t                    appended;     /* a small entry was last
                                                   sent */
    ngx_msec_t                    pulsed;
    ngx_msec_t                    wished;
    ngx_msec_t                    poked;
    ngx_msec_t                    pleaded;
    ngx_msec_t                    looked;
    uint64_t                      wish;         /* bit mask of streams last
                                                   sent */
    size_t                        since_image;
    size_t                        image_size;
    size_t                        coming;       /* bytes of the next entry, if
                                                   the leader announced it */
    size_t                        unanswered;   /* bytes in our flights */

    bc_engine_id_t                wish_cur;
    ngx_msec_t                    wanted[NGX_HTTP_BLOCKCAST_STREAMS];

    uint64_t                      polled;       /* bit mask of streams polled
                                                   since the last pulse */
    u_char                       *notes;
    size_t                        notes_len;
    size_t                        notes_size;

    ngx_http_blockcast_cluster_flight_t
                          flights[NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    ngx_uint_t                    flight;
    ngx_uint_t                    nflights;

    const char                   *doomed;       /* why the lead must end, or
                                                   NULL */
    unsigned                      headless:1;   /* the log's beginning is
                                                   missing */
    unsigned                      empty:1;      /* no entry has been read */
    unsigned                      torn:1;       /* entries in the middle are
                                                   missing */
    unsigned                      guarding:1;   /* the guard has been asked
                                                   for */
    unsigned                      asking:1;     /* waiting for `asked` */
    unsigned                      noticed:1;    /* the log was found changed */
    unsigned                      busy:1;       /* reading pauses: the zone is
                                                   locked */
    unsigned                      mine:1;       /* the newest begin or image
                                                   read is ours */
    unsigned                      seed:1;       /* an image is due */
    unsigned                      imaging:1;    /* an image is not answered
                                                   yet */
    unsigned                      left:1;       /* the leader said goodbye */
    unsigned                      warned:1;     /* about the engine's policy */
    unsigned                      missed:1;     /* entries after `taken` may be
                                                   missing */
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

static void (*ngx_http_blockcast_cluster_read_handler)(
    ngx_http_blockcast_main_conf_t *bmcf);


/* The recorder: records without a number are sent with the next pulse. */

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


/*
 * Appends a copy of a record to the next pulse.  The record is silently left
 * out when there is no memory or no room.
 */

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


/*
 * Encodes the publications of a proposal one after the other into *records,
 * which the caller frees with ngx_free().
 */

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
 * Appends all publications of a poll as one entry.  Returns NGX_AGAIN when it
 * was sent: committed() and decided() are called once the log has answered.
 * Returns NGX_DECLINED when this worker must not or cannot append now, and
 * NGX_ERROR without memory.
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


/*
 * Detaches a proposal from its flights; what the log accepts is still applied.
 */

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


/*
 * Tells all workers that the log has been read, or that it is not waited for
 * any longer.
 */

static void
ngx_http_blockcast_cluster_tell_read(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_http_blockcast_worker_notify_others(node->bmcf);

    if (ngx_http_blockcast_cluster_read_handler != NULL) {
        ngx_http_blockcast_cluster_read_handler(node->bmcf);
    }
}


/* Sets the state and publishes it in the zone; text: an error, or NULL. */

static void
ngx_http_blockcast_cluster_state(ngx_http_blockcast_cluster_node_t *node,
    ngx_uint_t state, ngx_str_t *text)
{
    ngx_str_t                           peer, none;
    ngx_uint_t                          former;
    ngx_http_blockcast_cluster_addr_t  *addrs;

    ngx_str_set(&none, "");
    peer = none;

    if (node->address != (ngx_uint_t) -1) {
        addrs = node->conf->addrs.elts;
        peer = addrs[node->address % node->conf->addrs.nelts].peer;
    }

    former = node->state;
    node->state = state;
    node->bmcf->zone->sh->cluster.leads =
                                (state == ngx_http_blockcast_is_leading);

    /* an error stays visible until the log has been read again */

    if (text == NULL && (state == ngx_http_blockcast_is_off
                         || state >= ngx_http_blockcast_is_following))
    {
        text = &none;
    }

    ngx_http_blockcast_cluster_status_write(node->bmcf->zone, state, &peer,
                                            text);

    if (former < ngx_http_blockcast_is_following
        && state >= ngx_http_blockcast_is_following)
    {
        ngx_http_blockcast_cluster_tell_read(node);
    }
}


void
ngx_http_blockcast_cluster_on_read(
    void (*handler)(ngx_http_blockcast_main_conf_t *bmcf))
{
    ngx_http_blockcast_cluster_read_handler = handler;
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
        /* spares the others the wait; the answer is not needed */

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

        /* another worker already writes the status */

        node->state = ngx_http_blockcast_is_off;
    }
}


/* Closes both connections and discards everything in flight. */

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


/* Sends AUTH on a link, if a password is configured. */

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


/*
 * Asks for the log's entries from id to last, or, when last is NULL, for the
 * first one at or after id.
 */

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
 * Asks for an entry that is known to have been in the log, if there was one.
 * A leader also asks for those after it up to the newest one, if they are few
 * and of the same term: somebody can replace the log with an older copy
 * without closing the connections.
 */

static void
ngx_http_blockcast_cluster_look_for(ngx_http_blockcast_cluster_node_t *node,
    bc_cluster_mark_t *mark)
{
    bc_engine_id_t  *last;

    if (mark->id.term != 0 && !node->asking
        && bc_engine_id_cmp(&mark->id, &node->image) >= 0)
    {
        /* entries before the image are trimmed */

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
 * Notes an entry that is in the log.  A large one is never used for checks:
 * each check would transfer all of it over a line that may be slow.
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

    /* both connections are open: read the log */

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


/*
 * Sends the next XREAD: for the existing log while syncing, for wishes as the
 * leader, or else for new entries of the log.
 */

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
 * Notes in the zone that it contains an entry, so that this is known even
 * after this worker has died.
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
 * Returns true when the log ends before the newest entry in the zone, and sets
 * *seen to that entry.  The log has then lost data that clients have, even if
 * the engine's identity is unchanged.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_lacks(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_id_t *seen)
{
    seen->term = node->bmcf->zone->sh->cluster.seen_term;
    seen->n = node->bmcf->zone->sh->cluster.seen_n;

    return bc_engine_id_cmp(&node->cur, seen) < 0;
}


/* Returns the extra time for len bytes on a slow line (msec). */

static ngx_msec_t
ngx_http_blockcast_cluster_patience(size_t len)
{
    if (len <= NGX_HTTP_BLOCKCAST_CLUSTER_LARGE) {
        return 0;
    }

    return ngx_min(len / NGX_HTTP_BLOCKCAST_CLUSTER_LINE,
                   NGX_HTTP_BLOCKCAST_CLUSTER_PATIENCE);
}


/*
 * Starts a new wait: sets how long this gateway lets the leader be silent
 * before it tries to lead.
 */

static void
ngx_http_blockcast_cluster_wait(ngx_http_blockcast_cluster_node_t *node)
{
    ngx_uint_t      blank, hurry;
    bc_engine_id_t  seen;

    blank = ngx_http_blockcast_cluster_apply_is_blank(node->bmcf);
    node->heard = ngx_current_msec;

    /*
     * Lost entries can be restored only by a gateway that has them; any other
     * would publish the same data again.  So this one does not wait, but only
     * once for the same loss, as its attempt may fail.
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

    /* nobody else appends what this gateway announced while it led */

    if (!hurry && !(node->mine && node->cur.term == node->term)) {
        node->silence += ngx_http_blockcast_cluster_patience(node->coming);
    }
}


/*
 * Handles the reply to INFO: checks the engine's role, version and identity,
 * and opens the second link.  On a failure the links are closed.
 */

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


/* Writes the head of a begin or an image to p; returns its length. */

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


/*
 * Joins a head, records and more bytes into *value, which the caller frees
 * with ngx_free().
 */

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
 * Appends a begin.  The engine's identity has just been read: if it differs
 * from that in the newest begin or image, entries that clients have may be
 * lost, and all numbers continue above the clock in microseconds.  Numbers
 * that grow in steps of one never catch up with that clock, and a clock that
 * is behind is noticed because numbers are above it.
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
         * A gateway that has read a log has its epoch, perhaps without any
         * data: others have given numbers in that epoch.
         */

        node->seed = !blank;
        node->least = (blank && node->bmcf->zone->sh->cluster.term == 0)
                      ? 0 : now;

        /* a log without its beginning is from a gateway that may have data */

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
     * A jump must go above all numbers given so far, including those of a
     * former leader after an earlier jump; the log may show only the numbers
     * of those.
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

        /* a log emptied since it was read is a new one: numbers must jump */

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


/* Logs a warning when a begin comes from a gateway with other streams. */

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


/*
 * Parses the head of a begin or an image, and takes over its epoch and
 * identity.  Returns NGX_ERROR after closing the links.
 */

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

        /* the entries seen so far were in another log */

        node->bmcf->zone->sh->cluster.seen_term = 0;
        node->bmcf->zone->sh->cluster.seen_n = 0;
    }

    ngx_memcpy(node->former, head->identity, sizeof(node->former));

    return NGX_OK;
}


/*
 * Checks that this worker still has the zone's lease.  Without it nothing is
 * written to the zone, and another worker has taken over.  If that one dies,
 * this one may get the lease again before it notices, and must not continue as
 * if it had everything up to here: the log is read again.  Only this process
 * can give itself the lease back, so a check after writing is early enough.
 * Returns NGX_ERROR after closing the links.
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


/*
 * Notes how much of the log the zone has.  The two words are written in an
 * order that never shows more than it has.
 */

static void
ngx_http_blockcast_cluster_note_taken(ngx_http_blockcast_cluster_node_t *node,
    bc_engine_id_t *id)
{
    ngx_http_blockcast_cluster_record_t  *record;

    record = &node->bmcf->zone->sh->cluster;

    if (id->term < record->taken_term
        || (id->term == record->taken_term && id->n <= record->taken_n))
    {
        /* this entry is being read again */
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
 * Returns true when the zone is locked now.  It stays locked for long when the
 * process that holds the lock was stopped.
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
 * Applies an entry of the log to the zone.  Returns NGX_BUSY when the zone is
 * locked: the entry is read again later; NGX_ERROR after closing the links.
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

    /* such an entry needs nothing that came before it */

    whole = (kind == 'i' || (kind == 'b' && head.prev.term == 0));

    if (sync && kind == 'b') {

        /*
         * A leader has read everything before its begin, even entries appended
         * after prev.  But everything up to prev was in the log: if we do not
         * have it, it is missing.
         */

        follows = (bc_engine_id_cmp(&head.prev, &node->cur) <= 0);

    } else {
        follows = bc_cluster_follows(&node->cur, &entry->id,
                                     kind == 'b' ? &head.prev : NULL);
    }

    if (node->empty) {

        /* unless it is whole, somebody removed the beginning of the log */

        node->headless = !whole;
        node->missed = (node->headless
                        || bc_engine_id_cmp(&entry->id, &node->taken) > 0);

    } else if (!follows) {
        (void) ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.breaks, 1);
        node->missed = 1;

        if (!sync) {

            /* an image or another gateway may have what was lost */

            ngx_http_blockcast_cluster_drop(node, "entries of its log are "
                                            "missing");
            return NGX_ERROR;
        }

        /*
         * Skip the entries after the hole until there is an image: it contains
         * what is missing, which would count as too old once newer entries
         * were applied.
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

            /* earlier entries are missing, perhaps also the epoch */
            break;
        }

        while (ngx_http_blockcast_cluster_apply_record(node->bmcf, &p, last,
                                                       !sync))
        {
            if (!sync && kind == 'r' && p < last) {

                /* deliver the messages one by one, as they were published */

                node->hooks.applied();
            }
        }

        break;

    default:    /* 'e', or a kind of a later version: nothing to apply */
        break;
    }

    if (refused != node->bmcf->zone->refused) {

        /* the part already in the zone is skipped when it is read again */

        node->busy = 1;
        node->cur = before;
        node->headless = headless;
        node->torn = torn;
        node->empty = (before.term == 0);
        node->since_image -= ngx_min(node->since_image, value.len);

        return NGX_BUSY;
    }

    if (headless && !node->headless) {

        /* the skipped entries had numbers, too */

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
 * Applies the entries of a reply, and sets *n to how many were read.  Returns
 * NGX_BUSY when the timer is to read the rest again; NGX_ERROR after closing
 * the links.
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


/*
 * Removes the next name from a list separated by commas, and returns its
 * stream, or NULL if it is unknown.
 */

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


/* Handles a reply with the wishes of other gateways. */

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


/* Applies our oldest entry in flight, which the log has accepted. */

static void
ngx_http_blockcast_cluster_taken(ngx_http_blockcast_cluster_node_t *node)
{
    const u_char                          *p, *last;
    ngx_uint_t                             n, refused;
    ngx_http_blockcast_cluster_flight_t    flight;
    ngx_http_blockcast_cluster_record_t   *record;

    record = &node->bmcf->zone->sh->cluster;

    flight = node->flights[node->flight];

    /* a callback may propose, so free this place first */

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
         * The log has an entry that the zone lacks: it is read again when the
         * zone is no longer locked.  Until then another gateway may lead.
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


/* Removes all entries before the newest image from the log. */

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


/*
 * Returns what an error of the engine means, or NULL if its text says it all.
 */

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


/*
 * Handles an error of the engine.  Any error means that nothing was written.
 */

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
 * Starts to follow: the log was read up to the end it had when the engine sent
 * the reply.  Entries appended since then are read while following.
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

    /* at a start, data from a state file is better than none */

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

        /* another worker may have the lease by now: _drop() handles that */

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
             * This was the last reply.  Waiting for an empty one could take
             * for ever when a round trip is longer than the time between two
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

                    /* another gateway was faster */

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


/*
 * Handles the end of one connection: closes the other one and ends the lead.
 */

static void
ngx_http_blockcast_cluster_lost(ngx_http_blockcast_cluster_link_t *link,
    ngx_str_t *reason)
{
    ngx_http_blockcast_cluster_drop(link->data, "%V", reason);
}


/*
 * Closes both connections, ends the lead, logs the reason and schedules the
 * next attempt.  Whether unanswered entries were accepted is found out by
 * reading the log.  Must not be called from within a proposal.
 */

static void
ngx_http_blockcast_cluster_drop(ngx_http_blockcast_cluster_node_t *node,
    const char *fmt, ...)
{
    va_list                              args;
    ngx_str_t                            text;
    ngx_msec_t                           pause;
    ngx_uint_t                           first, led, state, suppressed;
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

    /* try the same address again if it has worked until now */

    if (state > ngx_http_blockcast_is_connecting && node->address != 0) {
        node->address--;

    } else if (state > ngx_http_blockcast_is_connecting) {
        node->address = (ngx_uint_t) -1;
    }

    if (state <= ngx_http_blockcast_is_connecting
        && node->address + 1 < node->conf->addrs.nelts)
    {
        /* the long pause comes after all addresses have been tried */

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

        /* another worker is responsible now, and shows its own state */

        node->state = ngx_http_blockcast_is_connecting;

    } else {
        first = (ngx_atomic_fetch_add(&node->bmcf->zone->sh->cluster.losses,
                                      1) == 0);
        ngx_http_blockcast_cluster_state(
                            node, ngx_http_blockcast_is_connecting, &text);

        if (first) {
            ngx_http_blockcast_cluster_tell_read(node);
        }
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

        /* the image appended first completes the log for all */

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
         * The image comes before new publications: a follower that lacks
         * entries gets them while they can still be told apart from numbers
         * after the jump.
         */

        ngx_http_blockcast_cluster_send_image(node);
    }

    node->hooks.changed();
}


/*
 * Appends one entry.  coming: the size of the next one if it is large, or 0.
 * Takes over the memory of records (may be NULL); value is copied.
 */

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

    /* only a begin may create a log */

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

        /* this keeps a recent small entry available for checks */

        node->appended = ngx_current_msec;
    }

    ngx_http_blockcast_cluster_link_send(&node->cmd,
                                         ngx_http_blockcast_cluster_tag_add,
                                         msec, argc, argv);
}


/*
 * Appends an entry with the next id of our term.
 *
 * Failures are short because followers wait 3 s for a leader, and a leader
 * waits 1 s for an answer.  On a slow line a large entry takes longer, and so
 * does everything queued after it.  If that ended the lead, the next leader
 * would have to append the same entry, and so on without end.  So the leader
 * announces the size of such an entry in a pulse, and all gateways wait as
 * long as it takes at 1 Mbit/s, 30 s at most.  The price: an engine that hangs
 * or a leader that dies during the transfer is noticed that much later.
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


/* Appends an image of everything in the zone. */

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


/* Appends a pulse with polls and errors; an empty one is a sign of life. */

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


/* Appends the records about keys that the other gateways need. */

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


/* Runs a leader's part of the timer. */

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

    /* an image must contain the effect of all entries before it */

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
         * Check that the log is still ours.  Entries appended since the last
         * check may already be in another log, so ask for the newest one at
         * that time; those after it are counted.
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
 * Asks for the first entry at or after the newest small one that was read.
 * There is none if the log was emptied: another gateway that has never seen
 * our term writes lower ids, and an XREAD that waits for ids after ours does
 * not return them.
 */

static void
ngx_http_blockcast_cluster_ask_there(ngx_http_blockcast_cluster_node_t *node)
{
    node->looked = ngx_current_msec;

    /* entries before the image may be gone, and the image may be large */

    if (node->newest.id.term != 0
        && bc_engine_id_cmp(&node->newest.id, &node->image) >= 0)
    {
        ngx_http_blockcast_cluster_look(node,
                                        ngx_http_blockcast_cluster_tag_there,
                                        &node->newest.id, NULL);
    }
}


/*
 * Sends the leader a wish about streams.  field: "s", they are wanted; "p",
 * they are poked; "i", an image of everything is needed here.
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


/*
 * Tells the leader which streams clients of this nginx want.  again: even if
 * the set has not grown, which is done once a second.
 */

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
 * Passes the pokes of this nginx on to the leader.  Those that arrive within a
 * short time become one message: the leader merges them anyway.
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
 * Tells the leader which keys clients of this nginx want.  urgent: only newly
 * wanted ones.
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

        /* this gateway is not reading, so silence means nothing */

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
            /* without an image, nothing is shown here */

            node->pleaded = ngx_current_msec;
            (void) ngx_http_blockcast_cluster_want(node, "i", 1);
        }

        if (ngx_current_msec - node->looked >= NGX_HTTP_BLOCKCAST_CLUSTER_LOOK)
        {
            ngx_http_blockcast_cluster_ask_there(node);
        }

        /* a partly received entry also ends the silence */

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
