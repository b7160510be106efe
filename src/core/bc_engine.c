
/*
 * Copyright (C) the blockcast authors
 *
 * The protocol of Redis and Valkey, as far as a log requires it.
 */


#include "bc_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>


#if (HIREDIS_MAJOR >= 1)
typedef size_t  bc_engine_count_t;
#else
typedef int     bc_engine_count_t;
#endif


/* hiredis' own functions, with createArray replaced */
static redisReplyObjectFunctions        bc_engine_functions;
static const redisReplyObjectFunctions *bc_engine_default;


/* Creates an array, unless it is larger than any reply of a log can have. */

static void *
bc_engine_create_array(const redisReadTask *task, bc_engine_count_t n)
{
    if ((uint64_t) n > BC_ENGINE_ELEMENTS) {
        return NULL;
    }

    return bc_engine_default->createArray(task, n);
}


int
bc_engine_init(bc_engine_t *e)
{
    redisReader  *reader;

    memset(e, 0, sizeof(bc_engine_t));

    reader = redisReaderCreate();
    if (reader == NULL) {
        return -1;
    }

    if (bc_engine_default == NULL) {
        bc_engine_default = reader->fn;
        bc_engine_functions = *reader->fn;
        bc_engine_functions.createArray = bc_engine_create_array;
    }

    reader->fn = &bc_engine_functions;
    e->reader = reader;

    return 0;
}


void
bc_engine_free(bc_engine_t *e)
{
    if (e->reader != NULL) {
        redisReaderFree(e->reader);
        e->reader = NULL;
    }
}


int
bc_engine_feed(bc_engine_t *e, const uint8_t *p, size_t len)
{
    if (e->reader == NULL || len > BC_ENGINE_MAX - e->waiting) {
        return -1;
    }

    e->waiting += len;

    return (redisReaderFeed(e->reader, (const char *) p, len) == REDIS_OK)
           ? 0 : -1;
}


int
bc_engine_next(bc_engine_t *e, bc_engine_reply_t *reply, const char **why)
{
    void        *raw;
    redisReply  *r;

    memset(reply, 0, sizeof(bc_engine_reply_t));
    raw = NULL;

    if (e->reader == NULL) {
        *why = "no memory";
        return -1;
    }

    if (redisReaderGetReply(e->reader, &raw) != REDIS_OK) {
        *why = ((redisReader *) e->reader)->errstr;
        return -1;
    }

    if (raw == NULL) {
        return 0;
    }

    e->waiting = 0;
    r = raw;

    reply->raw = raw;

    switch (r->type) {

    case REDIS_REPLY_STATUS:
        reply->type = bc_engine_status;
        break;

    case REDIS_REPLY_ERROR:
        reply->type = bc_engine_error;
        break;

    case REDIS_REPLY_STRING:
        reply->type = bc_engine_string;
        break;

    case REDIS_REPLY_INTEGER:
        reply->type = bc_engine_integer;
        reply->integer = r->integer;
        return 1;

    case REDIS_REPLY_NIL:
        reply->type = bc_engine_nil;
        return 1;

    case REDIS_REPLY_ARRAY:
        reply->type = bc_engine_array;
        return 1;

    default:

        /* types of RESP3, which was not negotiated */

        freeReplyObject(raw);
        reply->raw = NULL;
        *why = "a reply of RESP3";
        return -1;
    }

    reply->text.data = (const uint8_t *) r->str;
    reply->text.len = r->len;

    return 1;
}


void
bc_engine_reply_free(bc_engine_reply_t *reply)
{
    if (reply->raw != NULL) {
        freeReplyObject(reply->raw);
        reply->raw = NULL;
    }
}


char *
bc_engine_command(size_t *len, int argc, const bc_span_t *argv)
{
    int          i, n;
    char        *command;
    size_t       lens[16];
    const char  *args[16];

    if (argc < 1 || argc > 16) {
        return NULL;
    }

    for (i = 0; i < argc; i++) {
        args[i] = (const char *) argv[i].data;
        lens[i] = argv[i].len;
    }

    command = NULL;
    n = (int) redisFormatCommandArgv(&command, argc, args, lens);

    if (n < 0) {
        return NULL;
    }

    *len = (size_t) n;

    return command;
}


void
bc_engine_command_free(char *command)
{
    redisFreeCommand(command);
}


void
bc_engine_first(bc_engine_iter_t *it, const bc_engine_reply_t *reply)
{
    it->reply = (reply->type == bc_engine_array) ? reply->raw : NULL;
    it->stream = 0;
    it->entry = 0;
}


static int
bc_engine_is_array(const redisReply *r, size_t n)
{
    return r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements >= n;
}


static int
bc_engine_text(const redisReply *r, bc_span_t *span)
{
    if (r == NULL || r->type != REDIS_REPLY_STRING) {
        return -1;
    }

    span->data = (const uint8_t *) r->str;
    span->len = r->len;

    return 0;
}


/*
 * Reads one entry: its id, then its fields.  Returns 0, or -1 when malformed.
 */

static int
bc_engine_entry_read(const redisReply *r, bc_engine_entry_t *entry)
{
    bc_span_t  id;

    if (!bc_engine_is_array(r, 2)
        || bc_engine_text(r->element[0], &id) != 0
        || bc_engine_id_get(id, &entry->id) != 0
        || !bc_engine_is_array(r->element[1], 0))
    {
        return -1;
    }

    entry->fields = r->element[1];

    return 0;
}


int
bc_engine_entry(bc_engine_iter_t *it, bc_engine_entry_t *entry)
{
    const redisReply  *r, *stream;

    r = it->reply;

    while (r != NULL && it->stream < r->elements) {

        stream = r->element[it->stream];

        if (!bc_engine_is_array(stream, 2)
            || bc_engine_text(stream->element[0], &entry->key) != 0
            || !bc_engine_is_array(stream->element[1], 0))
        {
            return -1;
        }

        if (it->entry < stream->element[1]->elements) {
            return (bc_engine_entry_read(stream->element[1]
                                               ->element[it->entry++], entry)
                    == 0)
                   ? 1 : -1;
        }

        it->stream++;
        it->entry = 0;
    }

    return 0;
}


int
bc_engine_range_first(const bc_engine_reply_t *reply,
    bc_engine_entry_t *entry)
{
    const redisReply  *r;

    if (reply->type != bc_engine_array) {
        return -1;
    }

    r = reply->raw;

    if (r->elements == 0) {
        return 0;
    }

    if (bc_engine_entry_read(r->element[0], entry) != 0) {
        return -1;
    }

    entry->key.data = NULL;
    entry->key.len = 0;

    return 1;
}


size_t
bc_engine_range_count(const bc_engine_reply_t *reply)
{
    return (reply->type == bc_engine_array)
           ? ((const redisReply *) reply->raw)->elements : 0;
}


int
bc_engine_field(const bc_engine_entry_t *entry, const char *name,
    bc_span_t *value)
{
    size_t             i, len;
    bc_span_t          key;
    const redisReply  *r;

    r = entry->fields;
    len = strlen(name);

    for (i = 0; i + 1 < r->elements; i += 2) {

        if (bc_engine_text(r->element[i], &key) == 0
            && key.len == len
            && memcmp(key.data, name, len) == 0
            && bc_engine_text(r->element[i + 1], value) == 0)
        {
            return 1;
        }
    }

    value->data = (const uint8_t *) "";
    value->len = 0;

    return 0;
}


/*
 * Reads digits up to the first other byte.  Returns how many; 0 when there are
 * none, or the number is too large.
 */

static size_t
bc_engine_number(bc_span_t text, uint64_t *n)
{
    size_t    i;
    uint64_t  digit;

    *n = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            break;
        }

        digit = (uint64_t) (text.data[i] - '0');

        if (*n > (UINT64_MAX - digit) / 10) {
            return 0;
        }

        *n = *n * 10 + digit;
    }

    return i;
}


int
bc_engine_id_get(bc_span_t text, bc_engine_id_t *id)
{
    size_t  n;

    n = bc_engine_number(text, &id->term);

    if (n == 0 || n == text.len || text.data[n] != '-') {
        return -1;
    }

    text.data += n + 1;
    text.len -= n + 1;

    n = bc_engine_number(text, &id->n);

    return (n != 0 && n == text.len) ? 0 : -1;
}


size_t
bc_engine_id_put(char *p, const bc_engine_id_t *id)
{
    return (size_t) snprintf(p, BC_ENGINE_ID_LEN, "%llu-%llu",
                             (unsigned long long) id->term,
                             (unsigned long long) id->n);
}


int
bc_engine_id_cmp(const bc_engine_id_t *a, const bc_engine_id_t *b)
{
    if (a->term != b->term) {
        return (a->term < b->term) ? -1 : 1;
    }

    return (a->n < b->n) ? -1 : (a->n > b->n);
}


int
bc_engine_info(bc_span_t text, const char *name, bc_span_t *value)
{
    size_t          len;
    const uint8_t  *p, *end, *last;

    len = strlen(name);
    p = text.data;
    last = p + text.len;

    while (p < last) {
        end = memchr(p, '\n', (size_t) (last - p));
        end = (end != NULL) ? end : last;

        if ((size_t) (end - p) > len && memcmp(p, name, len) == 0
            && p[len] == ':')
        {
            value->data = p + len + 1;
            value->len = (size_t) (end - value->data);

            if (value->len != 0 && value->data[value->len - 1] == '\r') {
                value->len--;
            }

            return 1;
        }

        p = (end < last) ? end + 1 : last;
    }

    return 0;
}


int
bc_engine_identity(bc_span_t info, char identity[BC_ENGINE_IDENTITY])
{
    size_t     i;
    bc_span_t  run, data;

    if (!bc_engine_info(info, "run_id", &run)
        || !bc_engine_info(info, "master_replid", &data)
        || run.len == 0 || run.len + data.len + 2 > BC_ENGINE_IDENTITY)
    {
        return -1;
    }

    memcpy(identity, run.data, run.len);
    identity[run.len] = '.';
    memcpy(identity + run.len + 1, data.data, data.len);
    identity[run.len + 1 + data.len] = '\0';

    /* it must be usable as one word in a line of text */

    for (i = 0; identity[i] != '\0'; i++) {
        if (identity[i] <= ' ' || identity[i] > '~') {
            return -1;
        }
    }

    return (i == run.len + 1 + data.len) ? 0 : -1;
}


static int
bc_engine_begins(bc_span_t text, const char *with)
{
    size_t  len;

    len = strlen(with);

    return text.len >= len && memcmp(text.data, with, len) == 0;
}


bc_engine_error_e
bc_engine_error_kind(bc_span_t text, bc_span_t *where)
{
    const uint8_t  *p;

    where->data = (const uint8_t *) "";
    where->len = 0;

    if (bc_engine_begins(text, "ERR The ID specified in XADD is equal")) {
        return bc_engine_fenced;
    }

    if (bc_engine_begins(text, "MOVED ") || bc_engine_begins(text, "ASK ")) {

        /* MOVED SLOT HOST:PORT */

        p = memchr(text.data, ' ', text.len);
        text.len -= (size_t) (p + 1 - text.data);
        text.data = p + 1;

        p = memchr(text.data, ' ', text.len);

        if (p != NULL) {
            where->data = p + 1;
            where->len = (size_t) (text.data + text.len - where->data);
        }

        return bc_engine_moved;
    }

    if (bc_engine_begins(text, "NOAUTH") || bc_engine_begins(text, "WRONGPASS")
        || bc_engine_begins(text, "NOPERM")
        || bc_engine_begins(text, "ERR invalid password")
        || bc_engine_begins(text, "ERR AUTH"))
    {
        return bc_engine_denied;
    }

    return bc_engine_other;
}
