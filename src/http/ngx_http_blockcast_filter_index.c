
/*
 * An index that finds the entries of a log that match a filter, without
 * parsing each of them.
 *
 * For each log that is filtered, a worker remembers which members its entries
 * have; for members that filters name, it also keeps a hash of the value in
 * each entry.  An entry is indexed once, when the next filter comes.  The
 * hashes have a secret key and are long enough to stand for the values.
 */


#include "ngx_http_blockcast_filter_index.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_filter.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_siphash.h"
#include "bc_span.h"


/* size of the table of member names, a power of two, and the most it holds */
#define NGX_HTTP_BLOCKCAST_INDEX_NAMES    512
#define NGX_HTTP_BLOCKCAST_INDEX_FULL     384

/* members whose values are indexed: those used last */
#define NGX_HTTP_BLOCKCAST_INDEX_COLUMNS  16

/* entries indexed between looks at the clock; time limit of a turn (usec) */
#define NGX_HTTP_BLOCKCAST_INDEX_STEP     16
#define NGX_HTTP_BLOCKCAST_INDEX_TIME     1000


/* the values of a member, by the entry's place in hub->entries */

typedef struct {
    uint64_t                      name;         /* hash; 0: free */
    uint64_t                     *values;       /* hashes, 0: none */
    uint64_t                      next;         /* next entry to index */
    uint64_t                      behind;       /* newest with it, plus 1 */
    uint64_t                      used;         /* index->uses then */
} ngx_http_blockcast_column_t;


typedef struct {
    uint64_t                      hash;         /* 0: free */
    uint64_t                      last;         /* newest entry that has it */
} ngx_http_blockcast_member_t;


typedef struct {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_member_t   members[NGX_HTTP_BLOCKCAST_INDEX_NAMES];
    ngx_uint_t                    nmembers;
    uint64_t                      next;         /* next entry to index */
    ngx_http_blockcast_column_t   columns[NGX_HTTP_BLOCKCAST_INDEX_COLUMNS];
    uint64_t                      uses;
} ngx_http_blockcast_index_t;


/*
 * The hashes that a request wants (0: none), in a hash table that is at least
 * half empty.  A value that is a number has two hashes.
 */

#define NGX_HTTP_BLOCKCAST_WANTED  (4 * NGX_HTTP_BLOCKCAST_FILTER_VALUES)

typedef struct {
    uint64_t   hash[NGX_HTTP_BLOCKCAST_WANTED];
    u_char     members[NGX_HTTP_BLOCKCAST_WANTED];      /* bits */
} ngx_http_blockcast_wanted_t;


static ngx_http_blockcast_index_t *ngx_http_blockcast_filter_index_of(
    ngx_http_blockcast_hub_t *hub);
static ngx_int_t ngx_http_blockcast_filter_index_names(
    ngx_http_blockcast_index_t *index, ngx_http_blockcast_hub_t *hub,
    uint64_t began);
static void ngx_http_blockcast_filter_index_name(
    ngx_http_blockcast_index_t *index, bc_span_t key, uint64_t n);
static ngx_http_blockcast_member_t *ngx_http_blockcast_filter_index_member(
    ngx_http_blockcast_index_t *index, uint64_t hash);
static ngx_http_blockcast_column_t *ngx_http_blockcast_filter_index_column(
    ngx_http_blockcast_index_t *index, ngx_http_blockcast_hub_t *hub,
    uint64_t name);
static ngx_int_t ngx_http_blockcast_filter_index_values(
    ngx_http_blockcast_column_t *column, ngx_http_blockcast_hub_t *hub,
    const char *name, uint64_t began);
static uint64_t ngx_http_blockcast_filter_index_value(bc_span_t value);
static uint64_t ngx_http_blockcast_filter_index_decoded(bc_span_t text);
static uint64_t ngx_http_blockcast_filter_index_hash(ngx_uint_t kind,
    const u_char *data, size_t len);


/* indexed by the streams' index */
static ngx_http_blockcast_index_t  *ngx_http_blockcast_indexes[
                                                  NGX_HTTP_BLOCKCAST_STREAMS];

/* the secret key of the hashes */
static uint64_t  ngx_http_blockcast_index_seed[2];


/* number of the oldest entry; hub->added numbers them from 0 */
#define ngx_http_blockcast_filter_index_oldest(hub)                           \
    ((hub)->added - (hub)->count)


ngx_int_t
ngx_http_blockcast_filter_index_update(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter)
{
    uint64_t                      began, hash;
    ngx_int_t                     rc;
    ngx_uint_t                    i;
    ngx_http_blockcast_index_t   *index;
    ngx_http_blockcast_column_t  *column;
    ngx_http_blockcast_member_t  *member;

    filter->known = 0;

    index = ngx_http_blockcast_filter_index_of(hub);
    if (index == NULL) {
        return NGX_ERROR;
    }

    began = ngx_http_blockcast_zone_usec();
    index->uses++;

    if (ngx_http_blockcast_filter_index_names(index, hub, began) != NGX_OK) {
        return NGX_AGAIN;
    }

    for (i = 0; i < filter->nmembers; i++) {

        hash = ngx_http_blockcast_filter_index_hash(0,
                                    (u_char *) filter->members[i],
                                    ngx_strlen(filter->members[i]));

        member = ngx_http_blockcast_filter_index_member(index, hash);

        if (member->hash == 0
            ? index->nmembers < NGX_HTTP_BLOCKCAST_INDEX_FULL
            : member->last < ngx_http_blockcast_filter_index_oldest(hub))
        {
            /* no entry has it */
            continue;
        }

        column = ngx_http_blockcast_filter_index_column(index, hub, hash);
        if (column == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_blockcast_filter_index_values(column, hub,
                                                    filter->members[i], began);
        if (rc != NGX_OK) {
            return rc;
        }

        if (column->behind <= ngx_http_blockcast_filter_index_oldest(hub)) {
            continue;
        }

        filter->columns[i] = column->values;
        filter->known |= (ngx_uint_t) 1 << i;
    }

    return NGX_OK;
}


static ngx_http_blockcast_index_t *
ngx_http_blockcast_filter_index_of(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                    i;
    ngx_http_blockcast_index_t   *index;

    if (ngx_http_blockcast_index_seed[0] == 0) {
        for (i = 0; i < 4; i++) {
            ngx_http_blockcast_index_seed[i / 2] =
                                  ngx_http_blockcast_index_seed[i / 2] << 31
                                  ^ (uint64_t) ngx_random();
        }
    }

    index = ngx_http_blockcast_indexes[hub->stream->index];

    if (index != NULL && index->stream == hub->stream) {
        return index;
    }

    if (index != NULL) {

        /* the index is of an earlier configuration in the same process */

        for (i = 0; i < NGX_HTTP_BLOCKCAST_INDEX_COLUMNS; i++) {
            if (index->columns[i].values != NULL) {
                ngx_free(index->columns[i].values);
            }
        }

        ngx_free(index);
    }

    index = ngx_calloc(sizeof(ngx_http_blockcast_index_t), ngx_cycle->log);

    if (index != NULL) {
        index->stream = hub->stream;
    }

    ngx_http_blockcast_indexes[hub->stream->index] = index;

    return index;
}


/* Returns the bytes of the entry with number n, not copied. */

static bc_span_t
ngx_http_blockcast_filter_index_entry(ngx_http_blockcast_hub_t *hub,
    uint64_t n)
{
    bc_span_t                          entry;
    ngx_http_blockcast_ring_record_t  *rec;

    rec = ngx_http_blockcast_hub_entry(hub,
                           n - ngx_http_blockcast_filter_index_oldest(hub));

    entry.data = ngx_http_blockcast_ring_record_data(rec);
    entry.len = rec->len;

    return entry;
}


/* Returns true if the turn is over; checks the clock only for some n. */

static ngx_uint_t
ngx_http_blockcast_filter_index_over(uint64_t n, uint64_t began)
{
    return n % NGX_HTTP_BLOCKCAST_INDEX_STEP == 0
           && ngx_http_blockcast_zone_usec() - began
              >= NGX_HTTP_BLOCKCAST_INDEX_TIME;
}


/*
 * Indexes the members of entries that were not indexed yet.  Returns NGX_OK,
 * or NGX_AGAIN when this turn's time is over.
 */

static ngx_int_t
ngx_http_blockcast_filter_index_names(ngx_http_blockcast_index_t *index,
    ngx_http_blockcast_hub_t *hub, uint64_t began)
{
    bc_span_t       key, value;
    bc_json_iter_t  it;

    index->next = ngx_max(index->next,
                          ngx_http_blockcast_filter_index_oldest(hub));

    while (index->next < hub->added) {

        (void) bc_json_object(&it, ngx_http_blockcast_filter_index_entry(hub,
                                                               index->next));

        while (bc_json_next(&it, &key, &value)) {
            ngx_http_blockcast_filter_index_name(index, key, index->next);
        }

        index->next++;

        if (ngx_http_blockcast_filter_index_over(index->next, began)) {
            return (index->next == hub->added) ? NGX_OK : NGX_AGAIN;
        }
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_filter_index_name(ngx_http_blockcast_index_t *index,
    bc_span_t key, uint64_t n)
{
    uint64_t                      hash;
    bc_span_t                     quoted;
    ngx_http_blockcast_member_t  *member;

    if (memchr(key.data, '\\', key.len) == NULL) {
        hash = ngx_http_blockcast_filter_index_hash(0, key.data, key.len);

    } else {
        quoted.data = key.data - 1;
        quoted.len = key.len + 2;
        hash = ngx_http_blockcast_filter_index_decoded(quoted);
    }

    member = ngx_http_blockcast_filter_index_member(index, hash);

    if (member->hash == 0) {

        if (index->nmembers == NGX_HTTP_BLOCKCAST_INDEX_FULL) {

            /* too many: _update() looks for members that are not here */
            return;
        }

        member->hash = hash;
        index->nmembers++;
    }

    member->last = n;
}


/* Returns the member with a hash, or the free place for it. */

static ngx_http_blockcast_member_t *
ngx_http_blockcast_filter_index_member(ngx_http_blockcast_index_t *index,
    uint64_t hash)
{
    ngx_uint_t  i;

    for (i = hash % NGX_HTTP_BLOCKCAST_INDEX_NAMES;
         index->members[i].hash != 0 && index->members[i].hash != hash;
         i = (i + 1) % NGX_HTTP_BLOCKCAST_INDEX_NAMES)
    {
        /* void */
    }

    return &index->members[i];
}


/*
 * Returns the column of a member, replacing the least recently used one if it
 * has none.  Returns NULL without memory.
 */

static ngx_http_blockcast_column_t *
ngx_http_blockcast_filter_index_column(ngx_http_blockcast_index_t *index,
    ngx_http_blockcast_hub_t *hub, uint64_t name)
{
    ngx_uint_t                    i;
    ngx_http_blockcast_column_t  *column, *least;

    least = &index->columns[0];

    for (i = 0; i < NGX_HTTP_BLOCKCAST_INDEX_COLUMNS; i++) {
        column = &index->columns[i];

        if (column->name == name) {
            column->used = index->uses;
            return column;
        }

        if (column->used < least->used) {
            least = column;
        }
    }

    if (least->values == NULL) {
        least->values = ngx_alloc(hub->stream->keep * sizeof(uint64_t),
                                  ngx_cycle->log);
        if (least->values == NULL) {
            return NULL;
        }
    }

    least->name = name;
    least->next = 0;
    least->behind = 0;
    least->used = index->uses;

    return least;
}


/*
 * Indexes a member's values in entries that were not indexed yet.  Returns
 * NGX_OK, or NGX_AGAIN when this turn's time is over.
 */

static ngx_int_t
ngx_http_blockcast_filter_index_values(ngx_http_blockcast_column_t *column,
    ngx_http_blockcast_hub_t *hub, const char *name, uint64_t began)
{
    uint64_t   oldest;
    bc_span_t  value;

    oldest = ngx_http_blockcast_filter_index_oldest(hub);
    column->next = ngx_max(column->next, oldest);

    while (column->next < hub->added) {

        bc_json_members(ngx_http_blockcast_filter_index_entry(hub,
                                                              column->next),
                        &name, &value, 1);

        column->values[(hub->first + (column->next - oldest))
                       % hub->stream->keep] =
                              (value.data != NULL)
                              ? ngx_http_blockcast_filter_index_value(value)
                              : 0;
        column->next++;

        if (value.data != NULL) {
            column->behind = column->next;
        }

        if (ngx_http_blockcast_filter_index_over(column->next, began)) {
            return (column->next == hub->added) ? NGX_OK : NGX_AGAIN;
        }
    }

    return NGX_OK;
}


/* Returns the hash of a value, or 0 for a value that no filter can name. */

static uint64_t
ngx_http_blockcast_filter_index_value(bc_span_t value)
{
    size_t  len;
    u_char  key[BC_JSON_KEY_BOUND(NGX_HTTP_BLOCKCAST_FILTER_NUMBER)];

    switch (value.data[0]) {

    case '"':

        if (memchr(value.data, '\\', value.len) == NULL) {
            return ngx_http_blockcast_filter_index_hash(0, value.data + 1,
                                                        value.len - 2);
        }

        return ngx_http_blockcast_filter_index_decoded(value);

    case '{':
    case '[':
        return 0;

    default:

        if (value.len > NGX_HTTP_BLOCKCAST_FILTER_NUMBER) {
            return 0;
        }

        len = bc_json_key(value, key);

        return ngx_http_blockcast_filter_index_hash(1, key, len);
    }
}


/* Returns the hash of a quoted string with escapes, or 0 without memory. */

static uint64_t
ngx_http_blockcast_filter_index_decoded(bc_span_t text)
{
    size_t     len;
    u_char    *buf, small[256];
    uint64_t   hash;

    buf = small;

    if (text.len > sizeof(small)) {
        buf = ngx_alloc(text.len, ngx_cycle->log);
        if (buf == NULL) {
            return 0;
        }
    }

    hash = 0;

    if (bc_json_string(text, buf, ngx_max(text.len, sizeof(small)), &len) == 0)
    {
        hash = ngx_http_blockcast_filter_index_hash(0, buf, len);
    }

    if (buf != small) {
        ngx_free(buf);
    }

    return hash;
}


/*
 * Returns a hash that is never 0.  kind: 0 for strings and names; 1 for
 * numbers, true, false and null.
 */

static uint64_t
ngx_http_blockcast_filter_index_hash(ngx_uint_t kind, const u_char *data,
    size_t len)
{
    uint64_t  hash, seed[2];

    seed[0] = ngx_http_blockcast_index_seed[0];
    seed[1] = ngx_http_blockcast_index_seed[1] + kind;

    hash = bc_siphash(seed, data, len);

    return (hash != 0) ? hash : 1;
}


/* Adds the hash of a value that is wanted for a member. */

static void
ngx_http_blockcast_filter_index_want(ngx_http_blockcast_wanted_t *wanted,
    uint64_t hash, ngx_uint_t member)
{
    ngx_uint_t  i;

    i = (ngx_uint_t) hash & (NGX_HTTP_BLOCKCAST_WANTED - 1);

    while (wanted->hash[i] != 0 && wanted->hash[i] != hash) {
        i = (i + 1) & (NGX_HTTP_BLOCKCAST_WANTED - 1);
    }

    wanted->hash[i] = hash;
    wanted->members[i] |= (u_char) (1 << member);
}


static ngx_uint_t
ngx_http_blockcast_filter_index_wants(ngx_http_blockcast_wanted_t *wanted,
    uint64_t hash, ngx_uint_t member)
{
    ngx_uint_t  i;

    if (hash == 0) {
        return 0;
    }

    i = (ngx_uint_t) hash & (NGX_HTTP_BLOCKCAST_WANTED - 1);

    while (wanted->hash[i] != 0) {

        if (wanted->hash[i] == hash) {
            return (wanted->members[i] >> member) & 1;
        }

        i = (i + 1) & (NGX_HTTP_BLOCKCAST_WANTED - 1);
    }

    return 0;
}


ngx_uint_t
ngx_http_blockcast_filter_index_find(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter, ngx_uint_t offset, ngx_uint_t *found,
    ngx_uint_t *count)
{
    ngx_uint_t                          i, n, member, place, limit, total;
    ngx_http_blockcast_wanted_t         wanted;
    ngx_http_blockcast_filter_value_t  *value;

    limit = *count;
    *count = 0;
    total = 0;

    if (filter->known == 0) {

        /* there is nothing to compare: all entries match */

        for (i = hub->count - ngx_min(hub->count, offset);
             i > 0 && *count < limit;
             i--)
        {
            found[(*count)++] = i - 1;
        }

        return hub->count;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_blockcast_wanted_t));

    for (n = 0; n < filter->nvalues; n++) {
        value = &filter->values[n];

        ngx_http_blockcast_filter_index_want(&wanted,
                ngx_http_blockcast_filter_index_hash(0, value->text.data,
                                                     value->text.len),
                value->member);

        if (value->key.len != 0) {
            ngx_http_blockcast_filter_index_want(&wanted,
                ngx_http_blockcast_filter_index_hash(1, value->key.data,
                                                     value->key.len),
                value->member);
        }
    }

    for (i = hub->count; i > 0; i--) {
        place = (hub->first + i - 1) % hub->stream->keep;

        for (member = 0; member < filter->nmembers; member++) {

            if (!(filter->known & ((ngx_uint_t) 1 << member))) {
                continue;
            }

            if (!ngx_http_blockcast_filter_index_wants(&wanted,
                                             filter->columns[member][place],
                                             member))
            {
                break;
            }
        }

        if (member != filter->nmembers) {
            continue;
        }

        if (total >= offset && *count < limit) {
            found[(*count)++] = i - 1;
        }

        total++;
    }

    return total;
}
