
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_log_filter.h"

#include <stdlib.h>
#include <string.h>


typedef struct {
    bc_log_filter_place_t  place;
    unsigned               from;        /* index in values */
    unsigned               n;
} bc_log_filter_member_t;


typedef struct {
    uint8_t   text[BC_LOG_FILTER_KEY];
    uint32_t  len;
} bc_log_filter_value_t;


struct bc_log_filter_s {
    bc_log_filter_member_t  members[BC_LOG_FILTER_MEMBERS];
    unsigned                nmembers;
    unsigned                nvalues;
    unsigned                max;        /* of values */
    unsigned                best;       /* index of the member with the fewest
                                           values */
    unsigned                topics;     /* the least number of topics of an
                                           entry */
    bc_log_filter_value_t   values[];
};


static size_t  bc_log_filter_text(bc_span_t value, int fold, uint8_t *dst);


/* Allocates a filter with room for as many values as its text can contain. */

static bc_log_filter_t *
bc_log_filter_alloc(bc_span_t object, unsigned max)
{
    size_t            i, n;
    bc_log_filter_t  *filter;

    n = 1;

    for (i = 0; i < object.len && n < max; i++) {
        n += (object.data[i] == ',' || object.data[i] == '[');
    }

    filter = malloc(sizeof(bc_log_filter_t)
                    + n * sizeof(bc_log_filter_value_t));
    if (filter != NULL) {
        memset(filter, 0, sizeof(bc_log_filter_t));
        filter->max = max;
    }

    return filter;
}


static int
bc_log_filter_add_value(bc_log_filter_t *filter, bc_span_t value,
    const char **why)
{
    bc_log_filter_value_t   *v;
    bc_log_filter_member_t  *m;

    m = &filter->members[filter->nmembers - 1];

    if (filter->nvalues == filter->max) {
        *why = BC_LOG_FILTER_MANY;
        return -1;
    }

    v = &filter->values[filter->nvalues];
    v->len = (uint32_t) bc_log_filter_text(value, m->place.fold, v->text);

    if (v->len == 0) {
        *why = "the values of a filter are strings, numbers, true, false or "
               "null, of up to 128 bytes";
        return -1;
    }

    filter->nvalues++;
    m->n++;

    return 0;
}


/* Adds a member with its values: a scalar, or the elements of an array. */

static int
bc_log_filter_add(bc_log_filter_t *filter, const char *name, size_t len,
    int nth, int fold, bc_span_t value, const char **why)
{
    int                      any;
    bc_span_t                key, element;
    bc_json_iter_t           it;
    bc_log_filter_member_t  *m;

    if (filter->nmembers == BC_LOG_FILTER_MEMBERS) {
        *why = BC_LOG_FILTER_MANY;
        return -1;
    }

    m = &filter->members[filter->nmembers++];

    memcpy(m->place.name, name, len);
    m->place.name[len] = '\0';
    m->place.nth = nth;
    m->place.fold = fold;
    m->from = filter->nvalues;
    m->n = 0;

    if (bc_json_array(&it, value) != 0) {

        if (bc_log_filter_add_value(filter, value, why) != 0) {
            return -1;
        }

    } else {
        any = 0;

        while (bc_json_next(&it, &key, &element)) {

            if (fold && element.data[0] == 'n') {
                any = 1;
                continue;
            }

            if (bc_log_filter_add_value(filter, element, why) != 0) {
                return -1;
            }
        }

        if (m->n == 0 || any) {

            /* no values, or null among them: the member does not restrict */

            filter->nmembers--;
            filter->nvalues = m->from;

            if (filter->best == filter->nmembers) {
                filter->best = 0;
            }

            return 0;
        }
    }

    if (m->n < filter->members[filter->best].n) {
        filter->best = filter->nmembers - 1;
    }

    return 0;
}


static bc_log_filter_t *
bc_log_filter_object(bc_span_t object, unsigned max, const char **why)
{
    size_t            len;
    uint8_t           name[BC_LOG_FILTER_NAME];
    bc_span_t         key, value;
    bc_json_iter_t    it;
    bc_log_filter_t  *filter;

    *why = NULL;

    if (bc_json_object(&it, object) != 0) {
        *why = "\"filter\" must be an object, as {\"member\":[values]}";
        return NULL;
    }

    filter = bc_log_filter_alloc(object, max);
    if (filter == NULL) {
        return NULL;
    }

    while (bc_json_next(&it, &key, &value)) {

        key.data--;
        key.len += 2;

        if (bc_json_string(key, name, sizeof(name), &len) != 0
            || memchr(name, '\0', len) != NULL)
        {
            *why = "a member of a filter has a name of up to 64 bytes";

        } else if (bc_log_filter_add(filter, (char *) name, len, -1, 0, value,
                                     why)
                   == 0)
        {
            continue;
        }

        free(filter);
        return NULL;
    }

    return filter;
}


bc_log_filter_t *
bc_log_filter_members(bc_span_t object, const char **why)
{
    return bc_log_filter_object(object, BC_LOG_FILTER_VALUES, why);
}


bc_log_filter_t *
bc_log_filter_query(bc_span_t object, const char **why)
{
    return bc_log_filter_object(object, 2 * BC_LOG_FILTER_VALUES, why);
}


bc_log_filter_t *
bc_log_filter_logs(bc_span_t object, const char **why)
{
    int               nth;
    bc_span_t         key, value, v[2];
    bc_json_iter_t    it;
    bc_log_filter_t  *filter;

    static const char *const  names[] = { "address", "topics" };

    *why = NULL;

    if (bc_json_object(&it, object) != 0) {
        *why = "the filter of logs is an object, as "
               "{\"address\":…,\"topics\":…}";
        return NULL;
    }

    filter = bc_log_filter_alloc(object, BC_LOG_FILTER_VALUES);
    if (filter == NULL) {
        return NULL;
    }

    bc_json_members(object, names, v, 2);

    if (v[0].data != NULL && v[0].data[0] != 'n'
        && bc_log_filter_add(filter, names[0], 7, -1, 1, v[0], why) != 0)
    {
        goto failed;
    }

    if (v[1].data != NULL && v[1].data[0] != 'n') {

        if (bc_json_array(&it, v[1]) != 0) {
            *why = "\"topics\" must be an array";
            goto failed;
        }

        for (nth = 0; bc_json_next(&it, &key, &value); nth++) {

            if (nth == 4) {
                *why = "a log has up to four topics";
                goto failed;
            }

            if (value.data[0] != 'n'
                && bc_log_filter_add(filter, names[1], 6, nth, 1, value, why)
                   != 0)
            {
                goto failed;
            }
        }

        filter->topics = (unsigned) nth;
    }

    return filter;

failed:

    free(filter);
    return NULL;
}


void
bc_log_filter_free(bc_log_filter_t *filter)
{
    free(filter);
}


/*
 * Writes a scalar in the form used for comparisons.  Returns its length, or 0
 * when it is not a scalar, or is too long.
 */

static size_t
bc_log_filter_text(bc_span_t value, int fold, uint8_t *dst)
{
    size_t  i, len;

    if (value.len == 0 || value.len > BC_LOG_FILTER_VALUE
        || value.data[0] == '{' || value.data[0] == '[')
    {
        return 0;
    }

    if (bc_json_key_plain(value)) {
        len = value.len;
        memcpy(dst, value.data, len);

    } else {
        len = bc_json_key(value, dst);
    }

    if (fold) {
        for (i = 0; i < len; i++) {
            if (dst[i] >= 'A' && dst[i] <= 'Z') {
                dst[i] |= 0x20;
            }
        }
    }

    return len;
}


size_t
bc_log_filter_key(const bc_log_filter_place_t *place, bc_span_t entry,
    uint8_t *dst)
{
    int             nth;
    bc_span_t       key, value;
    bc_json_iter_t  it;

    if (!bc_json_member(entry, place->name, &value)) {
        return 0;
    }

    if (place->nth >= 0) {

        if (bc_json_array(&it, value) != 0) {
            return 0;
        }

        for (nth = 0; bc_json_next(&it, &key, &value); nth++) {
            if (nth == place->nth) {
                return bc_log_filter_text(value, place->fold, dst);
            }
        }

        return 0;
    }

    return bc_log_filter_text(value, place->fold, dst);
}


int
bc_log_filter_matches(const bc_log_filter_t *filter, bc_span_t entry)
{
    size_t                         len;
    uint8_t                        key[BC_LOG_FILTER_KEY];
    unsigned                       i, n, topics;
    bc_span_t                      list, name, value;
    bc_json_iter_t                 it;
    const bc_log_filter_value_t   *v;
    const bc_log_filter_member_t  *m;

    for (i = 0; i < filter->nmembers; i++) {
        m = &filter->members[i];
        len = bc_log_filter_key(&m->place, entry, key);

        if (len == 0) {
            return 0;
        }

        v = &filter->values[m->from];

        for (n = 0; n < m->n; n++) {
            if (v[n].len == len && memcmp(v[n].text, key, len) == 0) {
                break;
            }
        }

        if (n == m->n) {
            return 0;
        }
    }

    if (filter->topics == 0) {
        return 1;
    }

    topics = 0;

    if (bc_json_member(entry, "topics", &list)
        && bc_json_array(&it, list) == 0)
    {
        while (bc_json_next(&it, &name, &value)) {
            topics++;
        }
    }

    return topics >= filter->topics;
}


const bc_log_filter_place_t *
bc_log_filter_place(const bc_log_filter_t *filter)
{
    return filter->nmembers ? &filter->members[filter->best].place : NULL;
}


bc_span_t
bc_log_filter_value(const bc_log_filter_t *filter, unsigned n)
{
    bc_span_t                      value;
    const bc_log_filter_member_t  *m;

    m = &filter->members[filter->best];

    value.data = NULL;
    value.len = 0;

    if (filter->nmembers != 0 && n < m->n) {
        value.data = filter->values[m->from + n].text;
        value.len = filter->values[m->from + n].len;
    }

    return value;
}


int
bc_log_filter_same_place(const bc_log_filter_place_t *a,
    const bc_log_filter_place_t *b)
{
    return a->nth == b->nth && a->fold == b->fold
           && strcmp(a->name, b->name) == 0;
}
