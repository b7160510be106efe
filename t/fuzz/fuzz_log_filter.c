
/*
 * Copyright (C) the blockcast authors
 *
 * Filters of logs: two lines, a filter and an entry.  Whatever the index finds
 * an entry by, the filter decides; who matches is found by one of its values.
 */

#include "bc_json.h"
#include "bc_log_filter.h"
#include "fuzz.h"


static void
check(bc_log_filter_t *filter, bc_span_t entry)
{
    int                           found;
    size_t                        len;
    uint8_t                       key[BC_LOG_FILTER_KEY];
    unsigned                      n;
    bc_span_t                     value;
    const bc_log_filter_place_t  *place;

    place = bc_log_filter_place(filter);

    if (place == NULL) {
        return;
    }

    len = bc_log_filter_key(place, entry, key);
    must(len <= sizeof(key));

    found = 0;

    for (n = 0; (value = bc_log_filter_value(filter, n)).len != 0; n++) {
        must(n < BC_LOG_FILTER_VALUES);
        found |= (value.len == len && memcmp(value.data, key, len) == 0);
    }

    must(n != 0);
    must(found || !bc_log_filter_matches(filter, entry));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t          *p, *end;
    bc_span_t         text, entry;
    const char       *why;
    bc_log_filter_t  *filter;

    p = fuzz_copy(data, size);
    end = (size != 0) ? memchr(p, '\n', size) : NULL;

    if (end == NULL) {
        free(p);
        return 0;
    }

    text.data = p;
    text.len = (size_t) (end - p);
    entry.data = end + 1;
    entry.len = size - text.len - 1;

    if (bc_json_check(text.data, text.len, 32, NULL) == 0
        && bc_json_check(entry.data, entry.len, 32, NULL) == 0)
    {
        filter = bc_log_filter_members(text, &why);
        must(filter != NULL || why != NULL);

        if (filter != NULL) {
            check(filter, entry);
            bc_log_filter_free(filter);
        }

        filter = bc_log_filter_logs(text, &why);
        must(filter != NULL || why != NULL);

        if (filter != NULL) {
            check(filter, entry);
            bc_log_filter_free(filter);
        }
    }

    free(p);

    return 0;
}
