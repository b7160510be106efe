
/*
 * Finds the entries of a log that were published before, by key.
 */


#include "ngx_http_blockcast_log_dedup.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_poll.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_span.h"


void
ngx_http_blockcast_log_dedup_past_init(
    ngx_http_blockcast_log_dedup_past_t *past, ngx_http_blockcast_slot_t *slot)
{
    past->keys = ngx_http_blockcast_slot_keys(slot);
    past->nkeys = slot->nkeys;
    past->last = slot->keys;
    past->first = past->last - ngx_min(past->last, past->nkeys);
    past->table = NULL;
    past->mask = 0;
}


/*
 * Makes the table on first use: it is not needed as long as the node returns
 * only entries that are kept.
 */

ngx_int_t
ngx_http_blockcast_log_dedup_past(ngx_http_blockcast_log_dedup_past_t *past,
    uint64_t hash, ngx_pool_t *pool, uint64_t *number)
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
            ngx_http_blockcast_log_dedup_add(past->table, past->mask,
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


ngx_int_t
ngx_http_blockcast_log_dedup_key(ngx_http_blockcast_poll_t *poll,
    bc_span_t *value, ngx_str_t *key)
{
    key->data = (u_char *) value->data;
    key->len = value->len;

    if (bc_json_key_plain(*value)) {
        return NGX_OK;
    }

    key->data = ngx_pnalloc(poll->pool, BC_JSON_KEY_BOUND(value->len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    key->len = bc_json_key(*value, key->data);

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_log_dedup_find(ngx_http_blockcast_hub_t *hub,
    uint32_t *table, ngx_uint_t mask,
    ngx_http_blockcast_log_dedup_entry_t *new, ngx_str_t *key, uint32_t hash)
{
    uint32_t                           n;
    ngx_str_t                          other;
    ngx_uint_t                         i;
    ngx_http_blockcast_ring_record_t  *rec;

    for (i = hash & mask; table[i] != 0; i = (i + 1) & mask) {
        n = table[i] - 1;

        if (n < hub->count) {
            rec = ngx_http_blockcast_hub_entry(hub, n);

            if (rec->hash != hash) {
                continue;
            }

            other.data = ngx_http_blockcast_ring_record_key(rec);
            other.len = rec->key_len;

        } else {
            if (new[n - hub->count].hash != hash) {
                continue;
            }

            other = new[n - hub->count].entry.key;
        }

        if (other.len == key->len
            && ngx_memcmp(other.data, key->data, key->len) == 0)
        {
            return n + 1;
        }
    }

    return 0;
}


void
ngx_http_blockcast_log_dedup_add(uint32_t *table, ngx_uint_t mask,
    uint32_t hash, uint32_t n)
{
    ngx_uint_t  i;

    for (i = hash & mask; table[i] != 0; i = (i + 1) & mask) {
        /* void */
    }

    table[i] = n + 1;
}
