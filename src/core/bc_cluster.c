
/*
 * Copyright (C) the blockcast authors
 *
 * The entries of a cluster's log, and their order.
 */


#include "bc_cluster.h"

#include <stdio.h>
#include <string.h>


/*
 * the part of a value that goes into its mark (bytes): a head, or the numbers
 * and times of a record
 */
#define BC_CLUSTER_MARKED  256


size_t
bc_cluster_head_put(char *p, const bc_cluster_head_t *head)
{
    char  prev[BC_ENGINE_ID_LEN];

    (void) bc_engine_id_put(prev, &head->prev);

    return (size_t) snprintf(p, BC_CLUSTER_HEAD_MAX, "1 %llu %s %s %s\n",
                             (unsigned long long) head->epoch,
                             head->identity, head->author, prev);
}


/* Takes the next word from a line.  Returns 0, or -1 when there is none. */

static int
bc_cluster_word(bc_span_t *line, bc_span_t *word)
{
    const uint8_t  *p;

    if (line->len == 0) {
        return -1;
    }

    p = memchr(line->data, ' ', line->len);

    word->data = line->data;
    word->len = (p != NULL) ? (size_t) (p - line->data) : line->len;

    line->data += word->len;
    line->len -= word->len;

    if (line->len != 0) {
        line->data++;
        line->len--;
    }

    return (word->len != 0) ? 0 : -1;
}


static int
bc_cluster_copy(bc_span_t *line, char *to, size_t size)
{
    bc_span_t  word;

    if (bc_cluster_word(line, &word) != 0 || word.len >= size) {
        return -1;
    }

    memcpy(to, word.data, word.len);
    to[word.len] = '\0';

    return (strlen(to) == word.len) ? 0 : -1;
}


int
bc_cluster_head_get(bc_span_t value, bc_cluster_head_t *head)
{
    size_t          i;
    bc_span_t       line, word;
    const uint8_t  *end;

    end = memchr(value.data, '\n', value.len);

    if (end == NULL) {
        return -1;
    }

    line.data = value.data;
    line.len = (size_t) (end - value.data);

    head->records.data = end + 1;
    head->records.len = value.len - line.len - 1;

    if (bc_cluster_word(&line, &word) != 0
        || word.len != 1 || word.data[0] != '1'
        || bc_cluster_word(&line, &word) != 0
        || word.len > 16)
    {
        return -1;
    }

    head->epoch = 0;

    for (i = 0; i < word.len; i++) {

        if (word.data[i] < '0' || word.data[i] > '9') {
            return -1;
        }

        head->epoch = head->epoch * 10 + (uint64_t) (word.data[i] - '0');
    }

    if (bc_cluster_copy(&line, head->identity, sizeof(head->identity)) != 0
        || bc_cluster_copy(&line, head->author, sizeof(head->author)) != 0
        || bc_cluster_word(&line, &word) != 0
        || line.len != 0)
    {
        return -1;
    }

    return bc_engine_id_get(word, &head->prev);
}


int
bc_cluster_follows(const bc_engine_id_t *cur, const bc_engine_id_t *id,
    const bc_engine_id_t *prev)
{
    if (prev != NULL) {
        return id->n == 0 && id->term > cur->term
               && bc_engine_id_cmp(prev, cur) == 0;
    }

    return id->term == cur->term && id->n == cur->n + 1;
}


void
bc_cluster_mark(bc_cluster_mark_t *mark, const bc_engine_id_t *id,
    bc_span_t value)
{
    size_t    i;
    uint64_t  print;

    /* FNV-1a is enough: nobody would gain from values that collide */

    print = 0xcbf29ce484222325ULL ^ value.len;

    for (i = 0; i < value.len && i < BC_CLUSTER_MARKED; i++) {
        print = (print ^ value.data[i]) * 0x100000001b3ULL;
    }

    mark->id = *id;
    mark->print = print;
}


int
bc_cluster_marked(const bc_engine_reply_t *reply,
    const bc_cluster_mark_t *mark)
{
    bc_span_t          value;
    bc_cluster_mark_t  found;
    bc_engine_entry_t  entry;

    if (bc_engine_range_first(reply, &entry) != 1) {
        return 0;
    }

    (void) bc_engine_field(&entry, "v", &value);

    bc_cluster_mark(&found, &entry.id, value);

    return bc_engine_id_cmp(&found.id, &mark->id) == 0
           && found.print == mark->print;
}
