
/*
 * What the results of a round become: data, log entries, or an error.
 */


#include "ngx_http_blockcast_round.h"
#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_note.h"
#include "ngx_http_blockcast_poller.h"
#include "bc_json.h"
#include "bc_siphash.h"



typedef struct {
    ngx_http_blockcast_entry_t    entry;
    uint32_t                      hash;
} ngx_http_blockcast_new_t;


/* the keys that were published last, by their hash; made when it is needed */

typedef struct {
    uint64_t                     *keys;         /* of the slot */
    uint64_t                      nkeys;
    uint64_t                      first;        /* numbers of those known */
    uint64_t                      last;
    uint32_t                     *table;
    uint64_t                      mask;
} ngx_http_blockcast_past_t;


static void ngx_http_blockcast_round_failed(ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_result_t *r, ngx_str_t *text);
static void ngx_http_blockcast_round_recovered(ngx_http_blockcast_run_t *run);
static void ngx_http_blockcast_round_timed(ngx_http_blockcast_run_t *run);
static void ngx_http_blockcast_publish_timed(ngx_http_blockcast_run_t *run,
    uint64_t begun);
static ngx_int_t ngx_http_blockcast_publish_data(ngx_http_blockcast_run_t *run,
    ngx_str_t *data, ngx_str_t *state, ngx_str_t *error);
static ngx_int_t ngx_http_blockcast_publish_entries(
    ngx_http_blockcast_run_t *run, ngx_str_t *data, ngx_str_t *state,
    ngx_str_t *error);
static ngx_int_t ngx_http_blockcast_publish_unchanged(
    ngx_http_blockcast_run_t *run, ngx_str_t *state, ngx_str_t *error);
static void ngx_http_blockcast_published(ngx_http_blockcast_run_t *run);
static void ngx_http_blockcast_mark_key(uint32_t *table, ngx_uint_t mask,
    uint32_t hash, uint32_t n);


static ngx_str_t *
ngx_http_blockcast_errorf(ngx_pool_t *pool, ngx_str_t *error, const char *fmt,
    ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);
    if (p == NULL) {
        ngx_str_set(error, "no memory");
        return error;
    }

    error->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
    va_end(args);

    error->len = p - error->data;

    return error;
}


/*
 * What a program made has to pass the gate.  What comes from the node's reply
 * has been checked there (bc_rpc_parse()), each= made one array more of it.
 */

static ngx_int_t
ngx_http_blockcast_round_gate(ngx_http_blockcast_run_t *run, ngx_str_t *text,
    const char *what, ngx_str_t *error)
{
    u_char  *buf;

    if (run->stream->jq == NULL || text->len == 0) {
        return NGX_OK;
    }

    buf = ngx_pnalloc(run->pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_blockcast_gate(text, what, buf,
                                   NGX_HTTP_BLOCKCAST_ERROR_LEN, error);
}


/* the results of a call with each=: an array of those before the first error */

static void
ngx_http_blockcast_round_array(ngx_http_blockcast_turn_t *turn,
    ngx_http_blockcast_result_t *result, ngx_pool_t *pool)
{
    u_char                     *p;
    size_t                      len;
    ngx_uint_t                  i, n;
    ngx_http_blockcast_item_t  *item;

    len = 2;

    for (n = 0; n < turn->nitems; n++) {
        item = &turn->items[n];

        if (item->result.message.len != 0) {
            result->message = item->result.message;
            result->code = item->result.code;
            result->has_code = item->result.has_code;
            break;
        }

        len += item->result.result.len + 1;
        result->method = item->result.method;
    }

    if (n == 0 && turn->nitems != 0) {
        return;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        ngx_str_set(&result->message, "no memory for the replies");
        return;
    }

    result->result.data = p;
    *p++ = '[';

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, turn->items[i].result.result.data,
                       turn->items[i].result.result.len);
    }

    *p++ = ']';
    result->result.len = p - result->result.data;
}


void
ngx_http_blockcast_round_input(ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_input_t *input)
{
    ngx_uint_t                    i;
    ngx_time_t                   *tp;
    ngx_http_blockcast_feed_t    *feed;
    ngx_http_blockcast_turn_t    *turn;
    ngx_http_blockcast_record_t  *rec;
    ngx_http_blockcast_result_t  *results;

    ngx_memzero(input, sizeof(ngx_http_blockcast_input_t));

    results = ngx_pcalloc(run->pool,
                          run->nturns * sizeof(ngx_http_blockcast_result_t));
    if (results == NULL) {
        return;
    }

    input->results = results;

    for (i = 0; i < run->nturns; i++) {
        turn = &run->turns[i];

        if (!turn->done) {
            continue;
        }

        results->name = turn->conf->name;

        if (turn->nitems == 0) {
            results->skipped = 1;

        } else if (turn->conf->each != 0) {
            ngx_http_blockcast_round_array(turn, results, run->pool);

        } else {
            *results = turn->items[0].result;
        }

        results++;
        input->nresults++;
    }

    tp = ngx_timeofday();
    input->time = (double) tp->sec + (double) tp->msec / 1000;

    /* the zone's newest: whoever polled before, it goes on from there */

    feed = ngx_http_blockcast_feed(run->stream);
    (void) ngx_http_blockcast_feed_sync(feed);

    if (feed->newest != NULL) {
        input->previous.data = feed->buf + feed->snap.data;
        input->previous.len = feed->snap.data_len;

        input->state.data = feed->buf + feed->snap.state;
        input->state.len = feed->snap.state_len;

        if (run->stream->field.len != 0 && feed->count != 0) {
            rec = ngx_http_blockcast_feed_entry(feed, feed->count - 1);

            input->last.data = ngx_http_blockcast_record_data(rec);
            input->last.len = rec->len;
        }
    }
}


void
ngx_http_blockcast_round_finish(ngx_http_blockcast_run_t *run)
{
    uint64_t                      begun;
    ngx_int_t                     rc;
    ngx_str_t                     out[3], error;
    ngx_uint_t                    i, n, asked, good;
    ngx_http_blockcast_slot_t    *slot;
    ngx_http_blockcast_input_t    input;
    ngx_http_blockcast_result_t  *r, *failed;

    slot = run->stream->slot;
    begun = ngx_http_blockcast_usec();

    (void) ngx_atomic_fetch_add(&slot->polls, 1);

    ngx_http_blockcast_round_timed(run);
    ngx_http_blockcast_round_input(run, &input);

    asked = 0;
    good = 0;
    failed = NULL;

    for (i = 0; i < input.nresults; i++) {
        r = &input.results[i];

        if (r->skipped) {
            continue;
        }

        asked++;

        if (r->message.len != 0 && i < NGX_HTTP_BLOCKCAST_CALLS) {
            (void) ngx_atomic_fetch_add(&slot->call_errors[i], 1);
        }

        if (r->result.len != 0) {
            good++;

        } else if (failed == NULL) {
            failed = r;
        }
    }

    /* the last good data is never replaced by nothing */

    if (asked != 0 && good == 0) {
        ngx_http_blockcast_round_failed(run, failed, &failed->message);
        return;
    }

    ngx_str_null(&out[0]);
    ngx_str_null(&out[1]);
    ngx_str_null(&out[2]);
    ngx_str_null(&error);

    if (run->stream->jq == NULL) {

        if (input.nresults == 0 || input.results[0].result.len == 0) {
            return;
        }

        out[0] = input.results[0].result;

    } else {
        /* a program may take longer than the others wait for this worker */

        ngx_http_blockcast_lease_extend(run->bmcf->zone,
                                        ngx_max(run->stream->interval,
                                                NGX_HTTP_BLOCKCAST_PATIENCE));

        rc = ngx_http_blockcast_jq_run(run->stream->jq, &input, out, 3, &n,
                                       &error, run->pool);

        ngx_http_blockcast_lease_extend(run->bmcf->zone, 0);

        if (rc == NGX_OK && n == 0) {
            ngx_str_set(&error, "the jq program has no output");
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {

            /* the program may complain of what a failed call left out */

            ngx_http_blockcast_round_failed(run, NULL, &error);
            return;
        }
    }

    if (out[1].len > NGX_HTTP_BLOCKCAST_STATE_MAX) {
        ngx_http_blockcast_errorf(run->pool, &error,
                                  "the program's state is %uz bytes, at most "
                                  "%d are kept", out[1].len,
                                  NGX_HTTP_BLOCKCAST_STATE_MAX);
        ngx_http_blockcast_round_failed(run, NULL, &error);
        return;
    }

    if (run->stream->field.len != 0) {
        rc = ngx_http_blockcast_publish_entries(run, &out[0], &out[1], &error);

    } else {
        rc = ngx_http_blockcast_publish_data(run, &out[0], &out[1], &error);
    }

    if (rc == NGX_ERROR) {
        if (error.len == 0) {
            ngx_str_set(&error, "no memory");
        }

        ngx_http_blockcast_round_failed(run, NULL, &error);
        return;
    }

    if (rc == NGX_DECLINED) {

        /* another worker polls now, what we have is old */
        return;
    }

    ngx_http_blockcast_publish_timed(run, begun);
    ngx_http_blockcast_note_output(run, &out[2]);

    ngx_http_blockcast_round_recovered(run);
    ngx_http_blockcast_refresh(run->bmcf->zone, slot);
    ngx_http_blockcast_published(run);
}


/* from the first call to the last answer */

static void
ngx_http_blockcast_round_timed(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t         i;
    ngx_msec_t         msec;
    static ngx_msec_t  limits[] = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500,
                                    5000, 10000 };

    msec = ngx_current_msec - run->started;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (msec <= limits[i]) {
            break;
        }
    }

    run->stream->slot->poll_times[i]++;
    run->stream->slot->poll_msec += msec;
}


/* from the last answer to the data in the zone */

static void
ngx_http_blockcast_publish_timed(ngx_http_blockcast_run_t *run, uint64_t begun)
{
    uint64_t                     usec;
    ngx_uint_t                   i;
    ngx_http_blockcast_shctx_t  *sh;
    static ngx_uint_t            limits[] = { 50, 100, 250, 500, 1000, 2500,
                                              5000, 10000, 25000, 50000,
                                              100000 };

    sh = run->bmcf->zone->sh;
    usec = ngx_http_blockcast_usec() - begun;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (usec <= limits[i]) {
            break;
        }
    }

    sh->publish_times[i]++;
    sh->publish_usec += usec;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: stream \"%V\" is at seq %uA, polled in %M ms, "
                   "published in %uL us", &run->stream->name,
                   run->stream->slot->seq, ngx_current_msec - run->started,
                   usec);
}


static void
ngx_http_blockcast_published(ngx_http_blockcast_run_t *run)
{
    /* the clients of the other workers first: they have a longer way */

    ngx_http_blockcast_wake_others(run->bmcf);
    ngx_http_blockcast_feed_update(ngx_http_blockcast_feed(run->stream));
}


static void
ngx_http_blockcast_round_failed(ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_result_t *r, ngx_str_t *text)
{
    u_char                       printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t                    message;
    ngx_uint_t                   unsaid;
    ngx_http_blockcast_error_t   before;
    ngx_http_blockcast_stream_t *st;

    st = run->stream;

    if (r != NULL) {
        ngx_http_blockcast_errorf(run->pool, &message, "%V: %V",
                                  r->method.len ? &r->method : &r->name,
                                  text);

    } else {
        message = *text;
    }

    /* it may quote the node, or be jq's: one line of the log, and no more */

    ngx_http_blockcast_printable(&message, printable, sizeof(printable));

    (void) ngx_atomic_fetch_add(&st->slot->polls_failed, 1);

    ngx_http_blockcast_read_error(st->slot, &before);

    if (before.len != ngx_min(message.len, NGX_HTTP_BLOCKCAST_ERROR_LEN)
        || ngx_memcmp(before.text, message.data, before.len) != 0)
    {
        ngx_http_blockcast_fail(run->bmcf->zone, st->slot,
                                (r != NULL && r->has_code) ? r->code : 0,
                                &message);
    }

    /* while the node is not asked, the node's own lines say so */

    if ((st->node->state == ngx_http_blockcast_node_ok || !run->failing)
        && ngx_http_blockcast_repeated(&run->repeat, &message, &unsaid))
    {
        if (unsaid == 0) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: poll of stream \"%V\" failed: %V",
                          &st->name, &message);

        } else {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: poll of stream \"%V\" failed: %V "
                          "(and %ui times since it was last logged)",
                          &st->name, &message, unsaid);
        }
    }

    run->failing = 1;
}


static void
ngx_http_blockcast_round_recovered(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t  count;
    ngx_msec_t  lasted;

    if (!run->failing) {
        return;
    }

    run->failing = 0;

    if (ngx_http_blockcast_repeat_over(&run->repeat, &count, &lasted)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\" is polled well again, after "
                      "%M.%03M s", &run->stream->name, lasted / 1000,
                      lasted % 1000);
    }
}


static ngx_int_t
ngx_http_blockcast_publish_unchanged(ngx_http_blockcast_run_t *run,
    ngx_str_t *state, ngx_str_t *error)
{
    ngx_http_blockcast_feed_t  *feed;

    feed = ngx_http_blockcast_feed(run->stream);

    if (state->len == feed->snap.state_len
        && (state->len == 0
            || ngx_memcmp(state->data,
                          feed->buf + feed->snap.state, state->len)
               == 0))
    {
        return ngx_http_blockcast_lease_held(run->bmcf->zone) ? NGX_OK
                                                              : NGX_DECLINED;
    }

    if (ngx_http_blockcast_round_gate(run, state, "the program's state", error)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_blockcast_publish_state(run->bmcf->zone, run->stream,
                                            state, ngx_cycle->log);
}


static ngx_int_t
ngx_http_blockcast_publish_data(ngx_http_blockcast_run_t *run,
    ngx_str_t *data, ngx_str_t *state, ngx_str_t *error)
{
    ngx_str_t                     previous;
    ngx_http_blockcast_feed_t    *feed;
    ngx_http_blockcast_stream_t  *st;

    st = run->stream;
    feed = ngx_http_blockcast_feed(st);

    if (data->len > st->max_size) {
        ngx_http_blockcast_errorf(run->pool, error,
                                  "the data is %uz bytes, "
                                  "blockcast_max_size is %uz",
                                  data->len, st->max_size);
        return NGX_ERROR;
    }

    if (feed->newest != NULL
        && feed->snap.data_len == data->len
        && ngx_memcmp(feed->buf + feed->snap.data, data->data,
                      data->len)
           == 0)
    {
        return ngx_http_blockcast_publish_unchanged(run, state, error);
    }

    if (ngx_http_blockcast_round_gate(run, data, "the data", error) != NGX_OK
        || ngx_http_blockcast_round_gate(run, state, "the program's state",
                                         error)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    previous.data = NULL;

    if (feed->newest != NULL && feed->snap.seq == st->slot->seq) {
        previous.data = feed->buf + feed->snap.data;
        previous.len = feed->snap.data_len;
    }

    return ngx_http_blockcast_publish(run->bmcf->zone, st, data,
                                      previous.data ? &previous : NULL,
                                      state, ngx_time(), ngx_cycle->log);
}


/*
 * The number of the entry with this key among the kept ones and the new ones
 * behind them, counted from 1, or 0.
 */

static ngx_uint_t
ngx_http_blockcast_seen(ngx_http_blockcast_feed_t *feed, uint32_t *table,
    ngx_uint_t mask, ngx_http_blockcast_new_t *new, ngx_str_t *key,
    uint32_t hash)
{
    uint32_t                      n;
    ngx_str_t                     other;
    ngx_uint_t                    i;
    ngx_http_blockcast_record_t  *rec;

    for (i = hash & mask; table[i] != 0; i = (i + 1) & mask) {
        n = table[i] - 1;

        if (n < feed->count) {
            rec = ngx_http_blockcast_feed_entry(feed, n);

            if (rec->hash != hash) {
                continue;
            }

            other.data = ngx_http_blockcast_record_key(rec);
            other.len = rec->key_len;

        } else {
            if (new[n - feed->count].hash != hash) {
                continue;
            }

            other = new[n - feed->count].entry.key;
        }

        if (other.len == key->len
            && ngx_memcmp(other.data, key->data, key->len) == 0)
        {
            return n + 1;
        }
    }

    return 0;
}


static void
ngx_http_blockcast_past_init(ngx_http_blockcast_past_t *past,
    ngx_http_blockcast_slot_t *slot)
{
    past->keys = ngx_http_blockcast_slot_keys(slot);
    past->nkeys = slot->nkeys;
    past->last = slot->keys;
    past->first = past->last - ngx_min(past->last, past->nkeys);
    past->table = NULL;
    past->mask = 0;
}


/*
 * The number of the entry whose key has this hash among those that are not
 * kept any more, counted from 1, or 0.  As long as the node shows nothing but
 * what is kept there is no table of them.
 */

static ngx_int_t
ngx_http_blockcast_past(ngx_http_blockcast_past_t *past, uint64_t hash,
    ngx_pool_t *pool, uint64_t *number)
{
    uint64_t  i, n, places;

    if (past->table == NULL) {

        for (places = 64; places < 2 * (past->last - past->first);
             places *= 2)
        {
            /* void */
        }

        past->table = ngx_pcalloc(pool, places * sizeof(uint32_t));
        if (past->table == NULL) {
            return NGX_ERROR;
        }

        past->mask = places - 1;

        for (n = past->first; n < past->last; n++) {
            ngx_http_blockcast_mark_key(past->table, past->mask,
                                 (uint32_t) past->keys[n % past->nkeys],
                                 (uint32_t) (n - past->first));
        }
    }

    for (i = (uint32_t) hash & past->mask; past->table[i] != 0;
         i = (i + 1) & past->mask)
    {
        n = past->first + past->table[i] - 1;

        if (past->keys[n % past->nkeys] == hash) {
            *number = n + 1;
            return NGX_OK;
        }
    }

    *number = 0;

    return NGX_OK;
}


/* the text that tells entries apart: the same for all ways to write a value */

static ngx_int_t
ngx_http_blockcast_key(ngx_http_blockcast_run_t *run, bc_span_t *value,
    ngx_str_t *key)
{
    key->data = (u_char *) value->data;
    key->len = value->len;

    if (bc_json_key_plain(*value)) {
        return NGX_OK;
    }

    key->data = ngx_pnalloc(run->pool, BC_JSON_KEY_BOUND(value->len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    key->len = bc_json_key(*value, key->data);

    return NGX_OK;
}


static void
ngx_http_blockcast_mark_key(uint32_t *table, ngx_uint_t mask, uint32_t hash,
    uint32_t n)
{
    ngx_uint_t  i;

    for (i = hash & mask; table[i] != 0; i = (i + 1) & mask) {
        /* void */
    }

    table[i] = n + 1;
}


static ngx_int_t
ngx_http_blockcast_publish_entries(ngx_http_blockcast_run_t *run,
    ngx_str_t *data, ngx_str_t *state, ngx_str_t *error)
{
    size_t                         size, room, around;
    uint32_t                      *table, hash;
    uint64_t                       number, first, last, hash64;
    bc_span_t                      span, list, item, key;
    ngx_int_t                      rc;
    ngx_str_t                      k, *st_state, kept_state;
    ngx_uint_t                     i, n, total, mask, from, bad, seen;
    ngx_uint_t                     before, after;
    bc_json_iter_t                 it;
    ngx_http_blockcast_new_t      *new;
    ngx_http_blockcast_past_t      past;
    ngx_http_blockcast_feed_t     *feed;
    ngx_http_blockcast_entry_t    *entries;
    ngx_http_blockcast_stream_t   *st;

    st = run->stream;
    feed = ngx_http_blockcast_feed(st);

    /* entries are taken out of it one by one: before that */

    if (ngx_http_blockcast_round_gate(run, data, "the data", error) != NGX_OK)
    {
        return NGX_ERROR;
    }

    span.data = data->data;
    span.len = data->len;

    k.data = ngx_pnalloc(run->pool, st->field.len + st->key.len + 2);
    if (k.data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(k.data, st->field.data, st->field.len) = '\0';
    k.len = st->field.len + 1;
    *ngx_cpymem(k.data + k.len, st->key.data, st->key.len) = '\0';

    if (!bc_json_member(span, (char *) k.data, &list)
        || bc_json_array(&it, list) != 0)
    {
        ngx_http_blockcast_errorf(run->pool, error,
                                  "the data of a log stream has to be an "
                                  "object with the array \"%V\"", &st->field);
        return NGX_ERROR;
    }

    total = 0;

    while (bc_json_next(&it, &key, &item)) {
        total++;
    }

    /* what is known, by key */

    for (mask = 64; mask < 2 * (feed->count + total + 1); mask *= 2) {
        /* void */
    }

    table = ngx_pcalloc(run->pool, mask * sizeof(uint32_t));
    new = ngx_palloc(run->pool,
                     (total + 1) * sizeof(ngx_http_blockcast_new_t));
    entries = ngx_palloc(run->pool,
                         (total + 1) * sizeof(ngx_http_blockcast_entry_t));

    if (table == NULL || new == NULL || entries == NULL) {
        return NGX_ERROR;
    }

    mask--;

    for (i = 0; i < feed->count; i++) {
        ngx_http_blockcast_mark_key(table, mask,
                                  ngx_http_blockcast_feed_entry(feed, i)->hash,
                                  i);
    }

    ngx_http_blockcast_past_init(&past, st->slot);

    around = st->field.len + sizeof("{\"\":[],\"count\":}") + NGX_INT_T_LEN;
    n = 0;
    bad = 0;
    first = 0;
    last = 0;
    before = 0;
    after = 0;

    (void) bc_json_array(&it, list);

    while (bc_json_next(&it, &key, &item)) {

        span = item;

        if (item.len == 0 || item.data[0] != '{'
            || !bc_json_member(span, (char *) k.data + k.len, &key)
            || key.data[0] == '{' || key.data[0] == '['
            || key.data[0] == 'n')
        {
            bad++;
            ngx_http_blockcast_errorf(run->pool, error,
                                      "%ui of %ui entries have no \"%V\" to "
                                      "tell them apart, they are left out",
                                      bad, total, &st->key);
            continue;
        }

        if (item.len + around > st->max_size
            || 4 * (item.len + BC_JSON_KEY_BOUND(key.len)
                    + sizeof(ngx_http_blockcast_record_t)) > st->ring_size)
        {
            bad++;
            ngx_http_blockcast_errorf(run->pool, error,
                                      "an entry of %uz bytes is left out, "
                                      "blockcast_max_size is %uz and size= "
                                      "%uz", item.len, st->max_size,
                                      st->ring_size);
            continue;
        }

        if (ngx_http_blockcast_key(run, &key, &new[n].entry.key) != NGX_OK) {
            return NGX_ERROR;
        }

        new[n].entry.data.data = (u_char *) item.data;
        new[n].entry.data.len = item.len;

        hash64 = bc_siphash(st->slot->seed, new[n].entry.key.data,
                            new[n].entry.key.len);
        hash = (uint32_t) hash64;
        new[n].hash = hash;

        seen = ngx_http_blockcast_seen(feed, table, mask, new,
                                       &new[n].entry.key, hash);

        if (seen > feed->count) {

            /* it is in the list twice */

            continue;
        }

        /* the numbers of those that were published, counted from 1 */

        if (seen != 0) {
            number = past.last - ngx_min(past.last, feed->count) + seen;

        } else if (ngx_http_blockcast_past(&past, hash64, run->pool, &number)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (number != 0) {

            if (first == 0) {
                first = number;
                before = n;
            }

            last = number;
            after = n;

            continue;
        }

        ngx_http_blockcast_mark_key(table, mask, hash, feed->count + n);

        entries[n] = new[n].entry;
        n++;
    }

    if (first != 0 && (past.first != 0 || st->slot->forgot)
        && ngx_min(first, last) <= past.first + past.nkeys / 2)
    {
        /*
         * There were entries before those that are remembered, and the node
         * may still show them, since it shows such old ones: what is older
         * than all that is known was delivered before.  A program whose output
         * is in the wrong order has it at the end.
         */

        if (first <= last) {
            n -= before;
            ngx_memmove(entries, entries + before,
                        n * sizeof(ngx_http_blockcast_entry_t));

        } else {
            n = after;
        }
    }

    if (n == 0 && feed->newest != NULL) {
        rc = ngx_http_blockcast_publish_unchanged(run, state, error);
        return (rc == NGX_OK && bad) ? NGX_ERROR : rc;
    }

    if (ngx_http_blockcast_round_gate(run, state, "the program's state", error)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * As many messages as needed.  The program's state goes with the last:
     * a poller that dies in between asks again and drops what it knows.
     */

    kept_state.len = 0;
    kept_state.data = NULL;

    if (feed->newest != NULL && feed->snap.state_len != 0) {
        kept_state.len = feed->snap.state_len;
        kept_state.data = ngx_pnalloc(run->pool, kept_state.len);

        if (kept_state.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(kept_state.data, feed->buf + feed->snap.state,
                   kept_state.len);
    }

    from = 0;

    do {
        size = around;
        room = 0;

        for (i = from; i < n; i++) {
            size += entries[i].data.len + 1;
            room += ngx_align(sizeof(ngx_http_blockcast_record_t)
                              + entries[i].key.len + entries[i].data.len, 8);

            /* nor does a message push its own entries out */

            if (size > st->max_size || room > st->ring_size / 2) {
                break;
            }
        }

        st_state = (i == n) ? state : &kept_state;

        rc = ngx_http_blockcast_publish_log(run->bmcf->zone, st,
                                            &entries[from], i - from, st_state,
                                            ngx_time(), ngx_cycle->log);
        if (rc != NGX_OK) {
            return rc;
        }

        from = i;

        if (from < n) {
            ngx_http_blockcast_published(run);
        }

    } while (from < n);

    if (bad) {
        ngx_http_blockcast_published(run);
        return NGX_ERROR;
    }

    return NGX_OK;
}
