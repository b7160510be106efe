
/*
 * Copyright (C) the blockcast authors
 *
 * What an engine sends, in pieces: replies, the entries in them, heads of
 * begins and images.
 */

#include "bc_cluster.h"
#include "bc_engine.h"
#include "fuzz.h"


static void
look(bc_engine_reply_t *reply)
{
    int                rc;
    size_t             len, n;
    char               text[BC_CLUSTER_HEAD_MAX], id[BC_ENGINE_ID_LEN];
    bc_span_t          value, where;
    bc_engine_id_t     again;
    bc_engine_iter_t   it;
    bc_engine_entry_t  entry;
    bc_cluster_head_t  head, copy;
    char               identity[BC_ENGINE_IDENTITY];

    if (reply->type == bc_engine_error) {
        (void) bc_engine_error_kind(reply->text, &where);
    }

    if (reply->text.len != 0) {
        (void) bc_engine_info(reply->text, "role", &value);
        (void) bc_engine_identity(reply->text, identity);
    }

    (void) bc_engine_range_first(reply, &entry);

    bc_engine_first(&it, reply);

    for (n = 0; (rc = bc_engine_entry(&it, &entry)) == 1; n++) {

        len = bc_engine_id_put(id, &entry.id);
        must(len < sizeof(id));

        value.data = (uint8_t *) id;
        value.len = len;
        must(bc_engine_id_get(value, &again) == 0);
        must(bc_engine_id_cmp(&again, &entry.id) == 0);

        if (bc_engine_field(&entry, "v", &value)
            && bc_cluster_head_get(value, &head) == 0)
        {
            len = bc_cluster_head_put(text, &head);
            must(len < sizeof(text));

            value.data = (uint8_t *) text;
            value.len = len;
            must(bc_cluster_head_get(value, &copy) == 0);
            must(copy.epoch == head.epoch);
            must(strcmp(copy.identity, head.identity) == 0);
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                rc;
    fuzz_t             f;
    size_t             n;
    const char        *why;
    bc_engine_t        e;
    bc_engine_reply_t  reply;

    f.p = data;
    f.len = size;

    if (bc_engine_init(&e) != 0) {
        return 0;
    }

    n = fuzz_byte(&f) + 1;

    while (f.len != 0) {

        if (n > f.len) {
            n = f.len;
        }

        if (bc_engine_feed(&e, f.p, n) != 0) {
            break;
        }

        f.p += n;
        f.len -= n;

        while ((rc = bc_engine_next(&e, &reply, &why)) == 1) {
            look(&reply);
            bc_engine_reply_free(&reply);
        }

        if (rc == -1) {
            must(why != NULL);
            break;
        }
    }

    bc_engine_free(&e);

    return 0;
}
