
/*
 * Streams with keys in a cluster: which gateways want which keys, and how
 * their data gets there.
 *
 * Everything known about other gateways' wishes is in the memory of the
 * leading worker.  When that worker ends, so does its term, and the others
 * tell the next leader again.
 */


#include "ngx_http_blockcast_cluster_keys.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "bc_cluster.h"
#include "bc_journal.h"
#include "bc_span.h"


/*
 * Maximum bytes of a list of wishes, of an answer, and of the refusals in it.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_LIST     16384
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ANSWER   (256 * 1024)
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_REFUSED  (32 * 1024)

/* maximum number of other gateways: each has a bit */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS   64

/*
 * Times are in msec.  The longest silence of a gateway that wants keys, and
 * the time after which an otherwise empty list is sent.
 */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_SILENCE  3000
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ALIVE    900

/* when a wish is repeated: once it was answered; before */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_AGAIN    10000
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ASK      2000

/* a wish that is not repeated ends after one to two times this */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ROUND    25000

/* between two checks for silent gateways, and two reports of poll times */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_LOOK     1000

/* the number of turns in which all places are checked */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_TURNS    15

/* the shortest time between two urgent lists */
#define NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_URGENT   20


/* what is known about one place of a key table */

typedef struct {
    uint64_t                      uses;         /* the place's `uses` at that
                                                   time */

    /*
     * Leader: gateways that want it, and those that said so since the last
     * round (bit masks).
     */
    uint64_t                      wanted;
    uint64_t                      renewed;
    ngx_msec_t                    since;        /* time of the first wish */

    /* follower: when the leader was last told of it, or 0 */
    ngx_msec_t                    told;

    unsigned                      answered:1;   /* the leader has answered */
    unsigned                      tell:1;       /* its data or error is due */
    unsigned                      changed:1;    /* its error is due: new, or
                                                   over */
} ngx_http_blockcast_cluster_keys_entry_t;


typedef struct {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_key_table_t  *table;
    ngx_http_blockcast_cluster_keys_entry_t  *entries;

    ngx_uint_t                    nwanted;
    ngx_uint_t                    nanswers;     /* upper limit of the places
                                                   with tell or changed */
    ngx_uint_t                    answer;       /* the next place to answer */

    ngx_uint_t                    ntold;
    uint64_t                      pos;          /* position in the ring of
                                                   wanted keys */
    ngx_uint_t                    next;         /* the next place to check */
    ngx_uint_t                    left;         /* places to check in this
                                                   turn */
} ngx_http_blockcast_cluster_keys_family_t;


typedef struct {
    char                          author[BC_CLUSTER_AUTHOR];
    ngx_msec_t                    heard;
    unsigned                      used:1;
} ngx_http_blockcast_cluster_keys_other_t;


typedef struct {
    ngx_http_blockcast_cluster_keys_family_t  *families;
    ngx_uint_t                    n;

    ngx_http_blockcast_cluster_keys_other_t
                                others[NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS];
    ngx_msec_t                    looked;
    ngx_msec_t                    round;

    uint64_t                      term;         /* of the leader that was
                                                   told */
    ngx_msec_t                    turned;       /* when the last turn was */
    ngx_msec_t                    said;

    size_t                        len;
    u_char                        list[NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_LIST];
    size_t                        nrefused;     /* bytes */
    u_char                        refused[
                                      NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_REFUSED];
    unsigned                      crowded:1;    /* too many gateways */
} ngx_http_blockcast_cluster_keys_t;


ngx_int_t
ngx_http_blockcast_cluster_keys_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                                 i, n;
    ngx_http_blockcast_stream_t              **st;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    st = bmcf->streams.elts;
    n = 0;

    bmcf->cluster->keys = NULL;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        n += (st[i]->keys != NULL);
    }

    if (n == 0) {
        return NGX_OK;
    }

    keys = ngx_pcalloc(cycle->pool, sizeof(ngx_http_blockcast_cluster_keys_t));
    if (keys == NULL) {
        return NGX_ERROR;
    }

    family = ngx_pcalloc(cycle->pool,
                         n * sizeof(ngx_http_blockcast_cluster_keys_family_t));
    if (family == NULL) {
        return NGX_ERROR;
    }

    keys->families = family;
    keys->n = n;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (st[i]->keys != NULL) {
            family->stream = st[i];
            family->table = ngx_http_blockcast_key_table_of(st[i]);
            family++;
        }
    }

    bmcf->cluster->keys = keys;

    return NGX_OK;
}


static ngx_http_blockcast_cluster_keys_family_t *
ngx_http_blockcast_cluster_keys_family(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_cluster_keys_t  *keys;

    keys = bmcf->cluster->keys;

    for (i = 0; keys != NULL && i < keys->n; i++) {
        if (keys->families[i].stream == st) {
            return &keys->families[i];
        }
    }

    return NULL;
}


/* Allocates a family's entries when this worker first needs them. */

static ngx_int_t
ngx_http_blockcast_cluster_keys_ready(
    ngx_http_blockcast_cluster_keys_family_t *family)
{
    if (family->entries == NULL) {
        family->entries = ngx_calloc(family->table->max
                           * sizeof(ngx_http_blockcast_cluster_keys_entry_t),
                           ngx_cycle->log);
    }

    return (family->entries != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_http_blockcast_key_t *
ngx_http_blockcast_cluster_keys_at(
    ngx_http_blockcast_cluster_keys_family_t *family, ngx_uint_t place)
{
    return ngx_http_blockcast_key_table_at(family->table, place);
}


void
ngx_http_blockcast_cluster_keys_reset(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                                 i;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    keys = bmcf->cluster->keys;

    if (keys == NULL) {
        return;
    }

    ngx_memzero(keys->others, sizeof(keys->others));
    keys->term = 0;
    keys->nrefused = 0;
    keys->crowded = 0;
    keys->looked = ngx_current_msec;
    keys->round = ngx_current_msec;

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        family->nwanted = 0;
        family->nanswers = 0;
        family->ntold = 0;

        if (family->entries != NULL) {
            ngx_free(family->entries);
            family->entries = NULL;
        }

        /* another worker may have the lease by now, with wishes of its own */

        if (ngx_http_blockcast_lease_held(bmcf->zone)) {
            ngx_http_blockcast_key_table_clean(family->table, 0);
        }
    }
}


/* Makes the numbers of all keys of a stream continue after seq. */

static void
ngx_http_blockcast_cluster_keys_raise(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, uint64_t seq)
{
    ngx_int_t  rc;

    /*
     * If the lock cannot be had, its holder is stopped and adds no keys
     * either.
     */

    rc = ngx_http_blockcast_zone_lock(bmcf->zone, ngx_cycle->log);

    ngx_http_blockcast_key_table_raise(ngx_http_blockcast_key_table_of(st),
                                       seq);

    if (rc == NGX_OK) {
        ngx_shmtx_unlock(&bmcf->zone->shpool->mutex);
    }
}


void
ngx_http_blockcast_cluster_keys_synced(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t missed, ngx_uint_t drop)
{
    ngx_uint_t                                 i;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    keys = bmcf->cluster->keys;

    if (keys == NULL || !ngx_http_blockcast_lease_held(bmcf->zone)) {
        return;
    }

    ngx_http_blockcast_cluster_keys_reset(bmcf);

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        /* new keys start after all numbers; existing ones may not */

        if (missed) {
            ngx_http_blockcast_cluster_keys_raise(bmcf, family->stream,
                                                  family->stream->slot->seq);

            /* do not show clients data that others know to be old */

            if (drop) {
                ngx_http_blockcast_key_table_sweep(bmcf->zone, family->table,
                                                   0, family->table->max, 0);
            }

        } else {
            family->table->high = ngx_max(family->table->high,
                                          family->stream->slot->seq);
        }
    }
}


void
ngx_http_blockcast_cluster_keys_floor(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, uint64_t seq)
{
    if (st->keys != NULL) {
        ngx_http_blockcast_cluster_keys_raise(bmcf, st, seq);
    }
}


/*
 * Appends a line about a key to the list; returns false when it has no room.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_line(ngx_http_blockcast_cluster_keys_t *keys,
    u_char what, ngx_http_blockcast_cluster_keys_family_t *family,
    ngx_uint_t place)
{
    u_char                       *p;
    size_t                        len;
    ngx_str_t                    *name;
    ngx_http_blockcast_key_t     *k;

    k = ngx_http_blockcast_cluster_keys_at(family, place);
    name = &family->stream->name;
    len = ngx_min(k->len, NGX_HTTP_BLOCKCAST_KEY_LEN);

    if (sizeof(keys->list) - keys->len < name->len + len + 3) {
        return 0;
    }

    p = keys->list + keys->len;
    *p++ = what;
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '/';
    p = ngx_cpymem(p, k->key, len);
    *p++ = LF;

    keys->len = p - keys->list;

    return 1;
}


/*
 * Appends a line for a place if the leader needs one; returns false when the
 * list has no room.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_look(ngx_http_blockcast_cluster_keys_t *keys,
    ngx_http_blockcast_cluster_keys_family_t *family, ngx_uint_t place)
{
    u_char                                    what;
    ngx_msec_t                                ago;
    ngx_http_blockcast_key_t                 *k;
    ngx_http_blockcast_cluster_keys_entry_t  *entry;

    k = ngx_http_blockcast_cluster_keys_at(family, place);
    entry = &family->entries[place];

    if (entry->told != 0 && entry->uses != k->uses) {

        /*
         * Another key has the place: the old key's wish expires at the leader.
         */

        entry->told = 0;
        family->ntold--;
    }

    ago = ngx_current_msec - entry->told;

    if (!ngx_http_blockcast_key_table_wanted(family->stream, k)) {

        if (entry->told == 0) {
            return 1;
        }

        if (!ngx_http_blockcast_cluster_keys_line(keys, '-', family, place)) {
            return 0;
        }

        entry->told = 0;
        family->ntold--;

        return 1;
    }

    if (entry->told == 0
        || (!entry->answered && ago >= NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ASK))
    {
        what = '+';

    } else if (ago >= NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_AGAIN) {
        what = '=';

    } else {
        return 1;
    }

    if (!ngx_http_blockcast_cluster_keys_line(keys, what, family, place)) {
        return 0;
    }

    if (entry->told == 0) {
        entry->answered = 0;
        family->ntold++;
    }

    entry->uses = k->uses;
    entry->told = ngx_current_msec + (ngx_current_msec == 0);

    return 1;
}


/*
 * Checks the keys that clients have newly asked for; returns false when the
 * list has no room.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_follow(ngx_http_blockcast_cluster_keys_t *keys,
    ngx_http_blockcast_cluster_keys_family_t *family)
{
    uint64_t    pos;
    ngx_int_t   rc;
    ngx_uint_t  place;

    for ( ;; ) {
        pos = family->pos;
        rc = ngx_http_blockcast_key_table_next_wanted(family->table,
                                                      &family->pos, &place);

        if (rc == NGX_DECLINED) {
            return 1;
        }

        if (rc == NGX_AGAIN) {

            /* some were overwritten: check all places */

            family->left = family->table->max;
            continue;
        }

        if (!ngx_http_blockcast_cluster_keys_look(keys, family, place)) {
            family->pos = pos;
            return 0;
        }
    }
}


ngx_int_t
ngx_http_blockcast_cluster_keys_tell(ngx_http_blockcast_main_conf_t *bmcf,
    uint64_t term, ngx_uint_t urgent, ngx_str_t *list)
{
    ngx_uint_t                                 i, place, told, turn;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    keys = bmcf->cluster->keys;

    if (keys == NULL
        || (urgent && (keys->term != term
                       || ngx_current_msec - keys->said
                          < NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_URGENT)))
    {
        return NGX_DECLINED;
    }

    if (keys->term != term
        || ngx_current_msec - keys->turned
           > NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_SILENCE - 500)
    {
        /*
         * There is another leader, or ours may think that we are gone: tell
         * all.
         */

        for (i = 0; i < keys->n; i++) {
            family = &keys->families[i];

            if (ngx_http_blockcast_cluster_keys_ready(family) != NGX_OK) {
                return NGX_DECLINED;
            }

            ngx_memzero(family->entries, family->table->max
                           * sizeof(ngx_http_blockcast_cluster_keys_entry_t));

            family->ntold = 0;
            family->pos = family->table->wanted;
            family->left = family->table->max;
        }

        keys->term = term;
        keys->turned = ngx_current_msec;
    }

    keys->len = 0;
    told = 0;
    turn = (!urgent && ngx_current_msec != keys->turned);

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        if (!ngx_http_blockcast_cluster_keys_follow(keys, family)) {
            break;
        }

        if (turn) {
            family->left = ngx_max(family->left,
                                   family->table->max
                                   / NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_TURNS
                                   + 1);
        }

        while (!urgent && family->left != 0) {

            place = family->next % family->table->max;

            if (!ngx_http_blockcast_cluster_keys_look(keys, family, place)) {
                break;
            }

            family->next = place + 1;
            family->left--;
        }
    }

    if (!urgent) {
        keys->turned = ngx_current_msec;
    }

    for (i = 0; i < keys->n; i++) {
        told += keys->families[i].ntold;
    }

    list->data = keys->list;
    list->len = keys->len;

    if (list->len == 0
        && (urgent || told == 0
            || ngx_current_msec - keys->said
               < NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ALIVE))
    {
        return NGX_DECLINED;
    }

    keys->said = ngx_current_msec;

    return NGX_OK;
}


/*
 * Returns the index of a gateway, which is added if new, or _OTHERS when there
 * are too many.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_other(ngx_http_blockcast_cluster_keys_t *keys,
    bc_span_t author)
{
    ngx_uint_t                                i, free;
    ngx_http_blockcast_cluster_keys_other_t  *other;

    free = NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS; i++) {
        other = &keys->others[i];

        if (!other->used) {
            free = ngx_min(free, i);
            continue;
        }

        if (ngx_memcmp(other->author, author.data, BC_CLUSTER_AUTHOR) == 0) {
            return i;
        }
    }

    if (free == NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS) {

        if (!keys->crowded) {
            keys->crowded = 1;
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: more than %d other gateways want keys, "
                          "those of some are not polled",
                          NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS);
        }

        return free;
    }

    other = &keys->others[free];
    other->used = 1;
    ngx_memcpy(other->author, author.data, BC_CLUSTER_AUTHOR);

    return free;
}


/*
 * Fills in a record's type and name: STREAM/KEY, or just STREAM when key is
 * NULL.  name is a buffer that the record keeps using.
 */

static void
ngx_http_blockcast_cluster_keys_record(bc_journal_record_t *r, u_char type,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, u_char *name)
{
    u_char  *p;

    p = ngx_cpymem(name, st->name.data, st->name.len);

    if (key != NULL) {
        *p++ = '/';
        p = ngx_cpymem(p, key->data, ngx_min(key->len,
                                             NGX_HTTP_BLOCKCAST_KEY_LEN));
    }

    ngx_memzero(r, sizeof(bc_journal_record_t));

    r->type = type;
    r->name.data = name;
    r->name.len = p - name;
}


/* Adds a record to the next answer: there is no place for this key. */

static void
ngx_http_blockcast_cluster_keys_refuse(ngx_http_blockcast_cluster_keys_t *keys,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key)
{
    u_char               *p, text[NGX_HTTP_BLOCKCAST_KEY_ERROR];
    u_char                name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1
                               + NGX_HTTP_BLOCKCAST_KEY_LEN];
    bc_journal_record_t   r;

    ngx_http_blockcast_cluster_keys_record(&r, bc_journal_error, st, key,
                                           name);
    r.time = ngx_time();
    r.data.data = text;
    r.data.len = ngx_snprintf(text, sizeof(text), "all gateways together have "
                              "the %ui keys of max= already", st->keys->max)
                 - text;

    if (sizeof(keys->refused) - keys->nrefused < bc_journal_size(&r)) {

        /* no room now: the gateway asks again */
        return;
    }

    p = keys->refused + keys->nrefused;
    keys->nrefused += bc_journal_end(p, bc_journal_begin(p, &r), 0);
}


/* Gives up a place whose key no other gateway wants any more. */

static void
ngx_http_blockcast_cluster_keys_leave(
    ngx_http_blockcast_cluster_keys_family_t *family, ngx_uint_t place)
{
    ngx_http_blockcast_cluster_keys_entry_t  *entry;

    entry = &family->entries[place];

    entry->wanted = 0;
    entry->renewed = 0;
    family->nwanted--;

    /* no other key could have the place while it was wanted */

    ngx_http_blockcast_key_table_unwant(family->table, place);
}


/*
 * Applies one line of a list: `what` is its first character, `both` the rest,
 * STREAM/KEY.  Returns true when no other gateway wanted the key before.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_wish(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t other, u_char what, ngx_str_t *both)
{
    uint64_t                                   bit;
    ngx_str_t                                  name, key;
    ngx_uint_t                                 place, busy, i, first;
    ngx_http_blockcast_key_t                  *k;
    ngx_http_blockcast_stream_t               *st;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_entry_t   *entry;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    keys = bmcf->cluster->keys;
    bit = (uint64_t) 1 << other;

    if (!ngx_http_blockcast_key_split(both, &name, &key)
        || name.len == 0
        || key.len == 0 || key.len > NGX_HTTP_BLOCKCAST_KEY_LEN)
    {
        return 0;
    }

    /* characters that no key has: see ngx_http_blockcast_key_form() */

    for (i = 0; i < key.len; i++) {
        if (key.data[i] <= ' ' || key.data[i] >= 0x7f || key.data[i] == '"'
            || key.data[i] == '\\')
        {
            return 0;
        }
    }

    st = ngx_http_blockcast_stream_find(bmcf, &name);
    family = (st != NULL) ? ngx_http_blockcast_cluster_keys_family(bmcf, st)
                          : NULL;

    if (family == NULL
        || ngx_http_blockcast_cluster_keys_ready(family) != NGX_OK)
    {
        return 0;
    }

    if (what == '-') {
        place = ngx_http_blockcast_key_table_find(family->table, &key);

        if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
            return 0;
        }

        entry = &family->entries[place];

        if (entry->wanted & bit) {
            entry->wanted &= ~bit;
            entry->renewed &= ~bit;

            if (entry->wanted == 0) {
                ngx_http_blockcast_cluster_keys_leave(family, place);
            }
        }

        return 0;
    }

    place = ngx_http_blockcast_key_table_want(bmcf->zone, st, &key, &busy);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {

        if (!busy && what == '+') {
            ngx_http_blockcast_cluster_keys_refuse(keys, st, &key);
        }

        return 0;
    }

    k = ngx_http_blockcast_cluster_keys_at(family, place);
    entry = &family->entries[place];

    if (entry->uses != k->uses) {

        /* the old entry is unused: a wanted key would have kept the place */

        ngx_memzero(entry, sizeof(ngx_http_blockcast_cluster_keys_entry_t));
        entry->uses = k->uses;
    }

    first = (entry->wanted == 0);

    if (first) {
        entry->since = ngx_current_msec;
        family->nwanted++;
        ngx_http_blockcast_key_table_say_wanted(family->table, place);
    }

    if (what == '+' || !(entry->wanted & bit)) {
        entry->tell = 1;
        family->nanswers++;
    }

    entry->wanted |= bit;
    entry->renewed |= bit;

    return first;
}


ngx_uint_t
ngx_http_blockcast_cluster_keys_hear(ngx_http_blockcast_main_conf_t *bmcf,
    bc_span_t author, bc_span_t list)
{
    u_char                             *p, *last, *end;
    ngx_str_t                           both;
    ngx_uint_t                          any, other;
    ngx_http_blockcast_cluster_keys_t  *keys;

    keys = bmcf->cluster->keys;

    if (keys == NULL || author.len != BC_CLUSTER_AUTHOR) {
        return 0;
    }

    other = ngx_http_blockcast_cluster_keys_other(keys, author);

    if (other == NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS) {
        return 0;
    }

    keys->others[other].heard = ngx_current_msec;

    p = (u_char *) list.data;
    last = p + list.len;
    any = 0;

    while (p < last) {
        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            break;
        }

        both.data = p + 1;
        both.len = (end > p) ? (size_t) (end - p - 1) : 0;

        if (*p == '+' || *p == '=' || *p == '-') {
            any |= ngx_http_blockcast_cluster_keys_wish(bmcf, other, *p,
                                                        &both);
        }

        p = end + 1;
    }

    return any;
}


/* Drops the wishes of silent gateways, and wishes that were not repeated. */

static void
ngx_http_blockcast_cluster_keys_expire(
    ngx_http_blockcast_cluster_keys_t *keys)
{
    uint64_t                                   gone;
    ngx_uint_t                                 i, place, round;
    ngx_http_blockcast_cluster_keys_entry_t   *entry;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    gone = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_OTHERS; i++) {
        if (keys->others[i].used
            && ngx_current_msec - keys->others[i].heard
               > NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_SILENCE)
        {
            keys->others[i].used = 0;
            gone |= (uint64_t) 1 << i;
        }
    }

    round = (ngx_current_msec - keys->round
             > NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ROUND);

    if (round) {
        keys->round = ngx_current_msec;
    }

    if (gone == 0 && !round) {
        return;
    }

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        for (place = 0;
             family->nwanted != 0 && place < family->table->max;
             place++)
        {
            entry = &family->entries[place];

            if (entry->wanted == 0) {
                continue;
            }

            entry->wanted &= ~gone;
            entry->renewed &= ~gone;

            if (round) {
                entry->wanted = entry->renewed;
                entry->renewed = 0;
            }

            if (entry->wanted == 0) {
                ngx_http_blockcast_cluster_keys_leave(family, place);
            }
        }
    }
}


/*
 * Appends a record at p about when the keys were polled, and returns its end.
 * Its seq is the age of the oldest poll among the keys that others want, plus
 * 1, or 0 without any; "nth" is the age of the stream's newest poll, and the
 * time is how late keys are polled; all in msec.
 */

static u_char *
ngx_http_blockcast_cluster_keys_pulse(
    ngx_http_blockcast_cluster_keys_family_t *family, u_char *p)
{
    u_char                                    name[
                                                 NGX_HTTP_BLOCKCAST_NAME_LEN];
    ngx_uint_t                                place, any;
    ngx_msec_t                                age, oldest;
    ngx_http_blockcast_key_t                 *k;
    bc_journal_record_t                       r;
    ngx_http_blockcast_slot_t                *slot;
    ngx_http_blockcast_cluster_keys_entry_t  *entry;

    any = 0;
    oldest = 0;
    slot = family->stream->slot;

    for (place = 0; place < family->table->max; place++) {
        entry = &family->entries[place];

        if (entry->wanted == 0) {
            continue;
        }

        k = ngx_http_blockcast_cluster_keys_at(family, place);

        if (k->version == 0 || k->polled == 0
            || k->error[k->error_version & 1].len != 0
            || (ngx_msec_int_t) (k->polled - entry->since) < 0)
        {
            /* others know of its error, or still wait for its first poll */
            continue;
        }

        age = ngx_current_msec - k->polled;
        oldest = ngx_max(oldest, age);
        any = 1;
    }

    ngx_http_blockcast_cluster_keys_record(&r, bc_journal_polled,
                                           family->stream, NULL, name);

    r.seq = any ? (uint64_t) oldest + 1 : 0;
    r.time = family->table->late;
    r.nth = (slot->polled != 0)
            ? (uint32_t) ngx_min(ngx_current_msec - slot->polled, 0xfffffffe)
            : 0xffffffff;

    return p + bc_journal_end(p, bc_journal_begin(p, &r), 0);
}


/*
 * Appends the records due for a key at p.  Returns their end, or NULL when
 * there is no room.
 */

static u_char *
ngx_http_blockcast_cluster_keys_put(
    ngx_http_blockcast_cluster_keys_family_t *family, ngx_uint_t place,
    u_char *p, u_char *last)
{
    u_char                                    name[NGX_HTTP_BLOCKCAST_NAME_LEN
                                              + 1
                                              + NGX_HTTP_BLOCKCAST_KEY_LEN];
    ngx_str_t                                 key;
    ngx_msec_t                                age;
    bc_journal_record_t                       r;
    ngx_http_blockcast_key_t                 *k;
    ngx_http_blockcast_error_t                error;
    ngx_http_blockcast_key_data_t             data;
    ngx_http_blockcast_cluster_keys_entry_t  *entry;

    k = ngx_http_blockcast_cluster_keys_at(family, place);
    entry = &family->entries[place];

    if (entry->wanted == 0 || entry->uses != k->uses) {
        return p;
    }

    if ((size_t) (last - p)
        < 2 * (BC_JOURNAL_RECORD + sizeof(name)) + family->table->max_size
          + NGX_HTTP_BLOCKCAST_KEY_ERROR)
    {
        return NULL;
    }

    key.data = k->key;
    key.len = k->len;

    ngx_http_blockcast_key_table_read_error(k, &error);

    if ((entry->tell || error.len == 0)
        && k->base <= k->snap[k->version & 1].seq
        && ngx_http_blockcast_key_table_read(family->table, k, &data)
           == NGX_OK)
    {
        age = (k->polled != 0) ? ngx_current_msec - k->polled : 0xffffffff;

        ngx_http_blockcast_cluster_keys_record(&r, bc_journal_snap,
                                               family->stream, &key, name);
        r.seq = data.snap.seq;
        r.time = data.snap.timestamp;
        r.nth = (uint32_t) ngx_min(age, 0xffffffff);
        r.data.data = data.data.data;
        r.data.len = data.data.len;

        p += bc_journal_end(p, bc_journal_begin(p, &r), 0);

        ngx_free(data.data.data);
    }

    if (error.len != 0) {
        ngx_http_blockcast_cluster_keys_record(&r, bc_journal_error,
                                               family->stream, &key, name);
        r.seq = (uint64_t) error.code;
        r.time = ngx_time();
        r.data.data = error.text;
        r.data.len = error.len;

        p += bc_journal_end(p, bc_journal_begin(p, &r), 0);
    }

    return p;
}


void
ngx_http_blockcast_cluster_keys_answer(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_str_t *records)
{
    u_char                                    *p, *last, *next;
    size_t                                     size, most;
    ngx_uint_t                                 i, n, place, due, look;
    ngx_http_blockcast_cluster_keys_t         *keys;
    ngx_http_blockcast_cluster_keys_entry_t   *entry;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    ngx_str_null(records);

    keys = bmcf->cluster->keys;

    if (keys == NULL) {
        return;
    }

    look = (ngx_current_msec - keys->looked
            >= NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_LOOK);

    if (look) {
        keys->looked = ngx_current_msec;
        ngx_http_blockcast_cluster_keys_expire(keys);
    }

    due = (keys->nrefused != 0);
    most = 0;

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        due |= (family->nanswers != 0 || (look && family->nwanted != 0));
        most = ngx_max(most, family->table->max_size);
    }

    if (!due) {
        return;
    }

    size = keys->nrefused
           + keys->n * (BC_JOURNAL_RECORD + NGX_HTTP_BLOCKCAST_NAME_LEN)
           + most + NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_ANSWER;

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return;
    }

    records->data = p;
    last = p + size;

    p = ngx_cpymem(p, keys->refused, keys->nrefused);
    keys->nrefused = 0;

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        if (look && family->nwanted != 0) {
            p = ngx_http_blockcast_cluster_keys_pulse(family, p);
        }
    }

    for (i = 0; i < keys->n; i++) {
        family = &keys->families[i];

        for (n = 0; family->nanswers != 0 && n < family->table->max; n++) {

            place = family->answer % family->table->max;
            entry = &family->entries[place];

            if (entry->tell || entry->changed) {

                next = ngx_http_blockcast_cluster_keys_put(family, place, p,
                                                           last);
                if (next == NULL) {
                    goto done;
                }

                p = next;
                entry->tell = 0;
                entry->changed = 0;
            }

            family->answer = place + 1;
        }

        family->nanswers = 0;
    }

done:

    records->len = p - records->data;

    if (records->len == 0) {
        ngx_free(records->data);
        records->data = NULL;
    }
}


void
ngx_http_blockcast_cluster_keys_changed(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, ngx_uint_t place)
{
    ngx_http_blockcast_cluster_keys_family_t  *family;

    if (bmcf->cluster == NULL) {
        return;
    }

    family = ngx_http_blockcast_cluster_keys_family(bmcf, st);

    if (family != NULL && family->nwanted != 0
        && family->entries[place].wanted != 0)
    {
        family->entries[place].changed = 1;
        family->nanswers++;
    }
}


ngx_http_blockcast_stream_t *
ngx_http_blockcast_cluster_keys_stream(ngx_http_blockcast_main_conf_t *bmcf,
    bc_journal_record_t *r, ngx_str_t *key)
{
    ngx_str_t                     both, name;
    ngx_http_blockcast_stream_t  *st;

    both.data = (u_char *) r->name.data;
    both.len = r->name.len;

    if (!ngx_http_blockcast_key_split(&both, &name, key)
        || name.len == 0
        || key->len == 0 || key->len > NGX_HTTP_BLOCKCAST_KEY_LEN)
    {
        return NULL;
    }

    st = ngx_http_blockcast_stream_find(bmcf, &name);

    return (st != NULL && st->keys != NULL) ? st : NULL;
}


/* Applies a record about when the keys of a stream were polled. */

static void
ngx_http_blockcast_cluster_keys_polled(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_cluster_keys_family_t *family, bc_journal_record_t *r)
{
    ngx_uint_t                                place;
    ngx_msec_t                                polled;
    ngx_http_blockcast_key_t                 *k;
    ngx_http_blockcast_slot_t                *slot;
    ngx_http_blockcast_cluster_keys_entry_t  *entry;

    slot = family->stream->slot;

    if (r->nth != 0xffffffff) {
        polled = ngx_current_msec - r->nth;
        slot->polled = polled + (polled == 0);
        slot->polled_sec = ngx_time() - r->nth / 1000;
    }

    family->table->late = r->time;

    if (r->seq == 0 || family->entries == NULL) {
        return;
    }

    polled = ngx_current_msec - (ngx_msec_t) (r->seq - 1);
    polled += (polled == 0);

    for (place = 0; place < family->table->max; place++) {
        entry = &family->entries[place];

        if (entry->told == 0 || !entry->answered) {
            continue;
        }

        k = ngx_http_blockcast_cluster_keys_at(family, place);

        if (entry->uses == k->uses && k->version != 0
            && k->error[k->error_version & 1].len == 0
            && (k->polled == 0 || (ngx_msec_int_t) (polled - k->polled) > 0))
        {
            k->polled = polled;
        }
    }
}


/* Applies a record to a key in the table.  The zone's mutex is locked. */

static void
ngx_http_blockcast_cluster_keys_take(
    ngx_http_blockcast_cluster_keys_family_t *family, ngx_uint_t place,
    bc_journal_record_t *r, ngx_uint_t live, ngx_uint_t leads)
{
    uint64_t                                  seq;
    ngx_str_t                                 text;
    ngx_msec_t                                polled;
    ngx_http_blockcast_key_t                 *k;
    ngx_http_blockcast_cluster_keys_entry_t  *entry;
    static ngx_str_t                          none = ngx_null_string;

    k = ngx_http_blockcast_cluster_keys_at(family, place);
    text.data = (u_char *) r->data.data;
    text.len = r->data.len;

    entry = (family->entries != NULL
             && family->entries[place].told != 0
             && family->entries[place].uses == k->uses)
            ? &family->entries[place] : NULL;

    if (r->type == bc_journal_error) {

        if (live) {
            ngx_http_blockcast_key_table_fail(family->table, place,
                                              (int64_t) r->seq, &text);

            if (entry != NULL) {
                entry->answered = 1;
            }
        }

        return;
    }

    seq = (k->version != 0) ? k->snap[k->version & 1].seq : 0;

    if (r->seq < seq) {

        /* the log has lost our number: a higher one will follow */
        return;
    }

    if (r->seq > seq) {
        ngx_http_blockcast_key_table_put(family->table, place, &text, r->seq,
                                         r->time);
    }

    if (!live) {
        return;
    }

    /*
     * The leader writes the newest number of a key, so no higher one has been
     * given, and a follower can lower its floor to it.  The leader itself must
     * not: it also knows numbers that are still in flight.  Nor may entries
     * that are read again (not live): they may be older than a floor.
     */

    if (!leads) {
        k->base = r->seq;
    }

    ngx_http_blockcast_key_table_fail(family->table, place, 0, &none);

    if (r->nth == 0xffffffff) {
        return;
    }

    polled = ngx_current_msec - r->nth;
    polled += (polled == 0);

    if (k->polled == 0 || (ngx_msec_int_t) (polled - k->polled) > 0) {
        k->polled = polled;
    }

    if (entry != NULL && r->nth <= family->stream->stale) {
        entry->answered = 1;
    }
}


/*
 * Returns a key's place, even if another worker is just adding it, or
 * _KEY_NONE.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_keys_find(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_key_table_t *table, ngx_str_t *key)
{
    ngx_uint_t  place;

    place = ngx_http_blockcast_key_table_find(table, key);

    if (place != NGX_HTTP_BLOCKCAST_KEY_NONE) {
        return place;
    }

    if (ngx_http_blockcast_zone_lock(bmcf->zone, ngx_cycle->log) != NGX_OK) {
        ngx_http_blockcast_key_table_raise(table, table->high);
        return place;
    }

    place = ngx_http_blockcast_key_table_find(table, key);

    ngx_shmtx_unlock(&bmcf->zone->shpool->mutex);

    return place;
}


ngx_uint_t
ngx_http_blockcast_cluster_keys_apply(ngx_http_blockcast_main_conf_t *bmcf,
    bc_journal_record_t *r, ngx_uint_t live)
{
    u_char                                     buf[
                                                NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t                                  name, key, text, error;
    ngx_uint_t                                 place, misfit;
    ngx_http_blockcast_key_t                  *k;
    ngx_http_blockcast_stream_t               *st;
    ngx_http_blockcast_key_table_t            *table;
    ngx_http_blockcast_cluster_keys_family_t  *family;

    if (r->type == bc_journal_polled) {
        name.data = (u_char *) r->name.data;
        name.len = r->name.len;

        st = name.len ? ngx_http_blockcast_stream_find(bmcf, &name) : NULL;

        if (st == NULL || st->keys == NULL) {
            return 0;
        }

        family = ngx_http_blockcast_cluster_keys_family(bmcf, st);

        if (live && family != NULL
            && ngx_http_blockcast_lease_held(bmcf->zone))
        {
            ngx_http_blockcast_cluster_keys_polled(bmcf, family, r);
        }

        return 1;
    }

    st = ngx_http_blockcast_cluster_keys_stream(bmcf, r, &key);
    family = (st != NULL) ? ngx_http_blockcast_cluster_keys_family(bmcf, st)
                          : NULL;

    if (family == NULL) {
        return 0;
    }

    if ((r->type != bc_journal_snap && r->type != bc_journal_error)
        || !ngx_http_blockcast_lease_held(bmcf->zone))
    {
        return 1;
    }

    table = family->table;

    /*
     * The number is used up even if the key is not wanted here.  Note it
     * before the search, as another worker may add the key at any time; the
     * search is repeated under the lock, which shows such a key.
     */

    if (r->type == bc_journal_snap) {
        table->high = ngx_max(table->high, r->seq);
        st->slot->seq = ngx_max(st->slot->seq, r->seq);
    }

    place = ngx_http_blockcast_cluster_keys_find(bmcf, table, &key);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        return 1;
    }

    misfit = 0;
    text.data = (u_char *) r->data.data;
    text.len = r->data.len;

    if (r->type == bc_journal_snap
        && (r->data.len == 0 || r->data.len > table->max_size
            || ngx_http_blockcast_gate_check(&text, "the data", buf,
                                             sizeof(buf), &error)
               != NGX_OK))
    {
        /* show that it does not fit here, and never give its number again */

        misfit = 1;
        ngx_memzero(&r->data, sizeof(bc_span_t));
        r->type = bc_journal_error;
        r->seq = 0;
        r->data.data = (const uint8_t *) "the leader's data does not fit: "
                                         "blockcast_max_size here";
        r->data.len = sizeof("the leader's data does not fit: "
                             "blockcast_max_size here") - 1;
    }

    if (ngx_http_blockcast_zone_lock(bmcf->zone, ngx_cycle->log) != NGX_OK) {

        /* ask for it again, and give no number up to this one */

        ngx_http_blockcast_key_table_raise(table, table->high);

        if (family->entries != NULL) {
            family->entries[place].answered = 0;
        }

        return 1;
    }

    place = ngx_http_blockcast_key_table_find(table, &key);

    if (place != NGX_HTTP_BLOCKCAST_KEY_NONE
        && ngx_http_blockcast_lease_held(bmcf->zone))
    {
        ngx_http_blockcast_cluster_keys_take(family, place, r, live,
                                          bmcf->zone->sh->cluster.leads != 0);

        if (misfit) {
            k = ngx_http_blockcast_cluster_keys_at(family, place);
            k->base = ngx_max(k->base, table->high);
        }
    }

    ngx_shmtx_unlock(&bmcf->zone->shpool->mutex);

    if (place != NGX_HTTP_BLOCKCAST_KEY_NONE) {
        ngx_http_blockcast_key_table_say_changed(table, place);
    }

    return 1;
}
