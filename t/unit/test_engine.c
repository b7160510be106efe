
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a gateway of a cluster misreads what the engine says: it
 * shows entries of another log, takes a refusal for a success, or waits for a
 * reply that has come.
 */

#include "bc_cluster.h"
#include "bc_engine.h"
#include "unit.h"


static bc_span_t
span(const char *text)
{
    bc_span_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


/* feeds a text in pieces of n bytes, and takes the first reply */

static int
reply_of(const char *text, size_t n, bc_engine_t *e, bc_engine_reply_t *reply)
{
    int          rc;
    size_t       i, len;
    const char  *why;

    len = strlen(text);

    if (bc_engine_init(e) != 0) {
        return -1;
    }

    for (i = 0; i < len; i += n) {

        if (bc_engine_feed(e, (const uint8_t *) text + i,
                           len - i < n ? len - i : n)
            != 0)
        {
            return -1;
        }

        rc = bc_engine_next(e, reply, &why);

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static void
test_commands(void)
{
    char       *p;
    size_t      len;
    bc_span_t   argv[3];

    argv[0] = span("XADD");
    argv[1] = span("{blockcast:x}:log");
    argv[2].data = (const uint8_t *) "a\0b\r\n";
    argv[2].len = 5;

    p = bc_engine_command(&len, 3, argv);

    ok(p != NULL && len == 49
       && memcmp(p, "*3\r\n$4\r\nXADD\r\n$17\r\n{blockcast:x}:log\r\n"
                    "$5\r\na\0b\r\n\r\n", len) == 0,
       "a command has its arguments byte for byte");

    if (p != NULL) {
        bc_engine_command_free(p);
    }

    ok(bc_engine_command(&len, 0, argv) == NULL, "none without a name");
}


static void
test_replies(void)
{
    size_t             n;
    bc_span_t          k;
    bc_engine_t        e;
    bc_engine_iter_t   it;
    bc_engine_entry_t  entry;
    bc_engine_reply_t  reply;

    static const char  xread[] =
        "*1\r\n*2\r\n$3\r\nlog\r\n*2\r\n"
        "*2\r\n$3\r\n7-0\r\n*4\r\n$1\r\nk\r\n$1\r\nb\r\n$1\r\nv\r\n$2\r\nhi\r\n"
        "*2\r\n$3\r\n7-1\r\n*4\r\n$1\r\nk\r\n$1\r\np\r\n$1\r\nv\r\n$0\r\n\r\n";

    for (n = 1; n <= sizeof(xread); n += 13) {

        is(reply_of(xread, n, &e, &reply), 1, "XREAD in pieces of %u",
           (unsigned) n);
        bc_engine_first(&it, &reply);

        is(bc_engine_entry(&it, &entry), 1, "its first entry");
        ok(entry.id.term == 7 && entry.id.n == 0, "... has its id");
        ok(bc_engine_field(&entry, "k", &k) == 1 && k.len == 1
           && k.data[0] == 'b', "... its kind");
        ok(bc_engine_field(&entry, "v", &k) == 1 && k.len == 2, "... a value");
        is(bc_engine_field(&entry, "x", &k), 0, "... and no other field");

        is(bc_engine_entry(&it, &entry), 1, "its second");
        ok(bc_engine_field(&entry, "v", &k) == 1 && k.len == 0,
           "... has an empty value");
        is(bc_engine_entry(&it, &entry), 0, "there is no third");

        bc_engine_reply_free(&reply);
        bc_engine_free(&e);
    }

    is(reply_of("*-1\r\n", 9, &e, &reply), 1, "nothing new");
    is(reply.type, bc_engine_nil, "... is nil");
    bc_engine_first(&it, &reply);
    is(bc_engine_entry(&it, &entry), 0, "... and has no entry");
    bc_engine_reply_free(&reply);
    bc_engine_free(&e);

    is(reply_of("*1\r\n*2\r\n$3\r\nlog\r\n:5\r\n", 99, &e, &reply), 1,
       "something else");
    bc_engine_first(&it, &reply);
    is(bc_engine_entry(&it, &entry), -1, "... is known as such");
    bc_engine_reply_free(&reply);
    bc_engine_free(&e);

    is(reply_of("*1\r\n*2\r\n$3\r\n9-4\r\n*0\r\n", 99, &e, &reply), 1,
       "XRANGE");
    ok(bc_engine_range_first(&reply, &entry) == 1 && entry.id.term == 9
       && entry.id.n == 4, "... tells the first entry");
    is(bc_engine_range_count(&reply), 1, "... and how many there are");
    bc_engine_reply_free(&reply);
    bc_engine_free(&e);

    is(reply_of("*0\r\n", 99, &e, &reply), 1, "XRANGE of nothing");
    is(bc_engine_range_first(&reply, &entry), 0, "... has no entry");
    is(bc_engine_range_count(&reply), 0, "... which is none");
    bc_engine_reply_free(&reply);
    bc_engine_free(&e);

    is(reply_of("HTTP/1.1 400\r\n", 99, &e, &reply), -1,
       "a web server is no engine");
    bc_engine_free(&e);

    is(reply_of("*999999999\r\n", 99, &e, &reply), -1,
       "an array larger than any of a log is refused");
    bc_engine_free(&e);
}


static void
test_ids(void)
{
    size_t          i;
    char            text[BC_ENGINE_ID_LEN];
    bc_engine_id_t  id, prev;

    static const char *const  bad[] = { "", "-", "1-", "-1", "1", "1-2-3",
        "a-1", "1-a", " 1-1", "18446744073709551616-0", "1-18446744073709551616"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is(bc_engine_id_get(span(bad[i]), &id), -1, "\"%s\" is no id", bad[i]);
    }

    is(bc_engine_id_get(span("18446744073709551615-18446744073709551615"),
                        &id), 0, "the greatest id");
    is(bc_engine_id_put(text, &id), 41, "... is written");
    ok(strcmp(text, "18446744073709551615-18446744073709551615") == 0,
       "... as it was");

    id.term = 5;
    id.n = 9;
    prev = id;

    ok(bc_cluster_follows(&id, &(bc_engine_id_t) { 5, 10 }, NULL), "5-10 "
       "follows 5-9");
    ok(!bc_cluster_follows(&id, &(bc_engine_id_t) { 5, 11 }, NULL), "5-11 "
       "does not: one is missing");
    ok(!bc_cluster_follows(&id, &(bc_engine_id_t) { 6, 0 }, NULL), "nor does "
       "an entry of another term that is no begin");
    ok(bc_cluster_follows(&id, &(bc_engine_id_t) { 8, 0 }, &prev), "a begin "
       "does whose author has seen 5-9");
    prev.n = 8;
    ok(!bc_cluster_follows(&id, &(bc_engine_id_t) { 8, 0 }, &prev), "but not "
       "one who has seen less");
    prev.n = 9;
    ok(!bc_cluster_follows(&id, &(bc_engine_id_t) { 5, 0 }, &prev), "nor one "
       "of the same term");
}


static void
test_info(void)
{
    char       identity[BC_ENGINE_IDENTITY];
    bc_span_t  value, where;

    bc_span_t  info = span("# Server\r\nrun_id:abc\r\n# Replication\r\n"
                           "role:master\r\nmaster_replid:def\r\n"
                           "master_replid2:000\r\n");

    ok(bc_engine_info(info, "role", &value) == 1 && value.len == 6,
       "INFO has the role");
    is(bc_engine_info(info, "rol", &value), 0, "... and nothing of half a "
       "name");
    is(bc_engine_identity(info, identity), 0, "it has an identity");
    ok(strcmp(identity, "abc.def") == 0, "... of run and data");
    is(bc_engine_identity(span("run_id:a b\r\nmaster_replid:c\r\n"), identity),
       -1, "one with a space is none");
    is(bc_engine_identity(span("run_id:a\r\n"), identity), -1, "nor is half of "
       "one");

    is(bc_engine_error_kind(span("ERR The ID specified in XADD is equal or "
                                 "smaller than the target stream top item"),
                            &where), bc_engine_fenced, "an id that is late");
    is(bc_engine_error_kind(span("MOVED 3999 127.0.0.1:6381"), &where),
       bc_engine_moved, "a key that is elsewhere");
    ok(where.len == 14 && memcmp(where.data, "127.0.0.1:6381", 14) == 0,
       "... and where");
    is(bc_engine_error_kind(span("MOVED "), &where), bc_engine_moved,
       "half of that");
    is(where.len, 0, "... says nothing");
    is(bc_engine_error_kind(span("NOPERM no"), &where), bc_engine_denied,
       "who may not");
    is(bc_engine_error_kind(span("OOM command not allowed"), &where),
       bc_engine_other, "a full engine");
}


static void
test_heads(void)
{
    size_t             len, i;
    char               text[BC_CLUSTER_HEAD_MAX + 8];
    bc_span_t          value;
    bc_cluster_head_t  head, got;

    memset(&head, 0, sizeof(head));
    head.epoch = 9007199254740991ULL;
    strcpy(head.identity, "abc.def");
    strcpy(head.author, "0123456789abcdef");
    head.prev.term = 4;
    head.prev.n = 2;

    len = bc_cluster_head_put(text, &head);
    memcpy(text + len, "rest", 4);

    value.data = (uint8_t *) text;
    value.len = len + 4;

    is(bc_cluster_head_get(value, &got), 0, "a head is read");
    ok(got.epoch == head.epoch && got.prev.term == 4 && got.prev.n == 2
       && strcmp(got.identity, "abc.def") == 0
       && strcmp(got.author, head.author) == 0, "... as it was written");
    ok(got.records.len == 4 && memcmp(got.records.data, "rest", 4) == 0,
       "... and what is behind it");

    for (i = 0; i < len; i++) {
        value.len = i;

        if (bc_cluster_head_get(value, &got) == 0) {
            break;
        }
    }

    is(i, len, "the beginning of a head is none");

    is(bc_cluster_head_get(span("2 1 a b 1-0\n"), &got), -1,
       "nor is that of another version");
    is(bc_cluster_head_get(span("1 1 a b 1-0 x\n"), &got), -1,
       "nor one with more in it");
    is(bc_cluster_head_get(span("1 1 a 0123456789abcdef0 1-0\n"), &got), -1,
       "nor one with a longer author");
}


/* Tells whether an entry with this id and value is what was marked as 7-2 hi. */

static int
is_marked(const char *id, const char *value)
{
    int                rc;
    char               text[640];
    bc_span_t          v;
    bc_engine_t        e;
    bc_cluster_mark_t  mark;
    bc_engine_reply_t  reply;

    v = span("hi");
    bc_cluster_mark(&mark, &(bc_engine_id_t) { 7, 2 }, v);

    (void) snprintf(text, sizeof(text),
                    "*1\r\n*2\r\n$%zu\r\n%s\r\n*4\r\n$1\r\nk\r\n$1\r\nb"
                    "\r\n$1\r\nv\r\n$%zu\r\n%s\r\n",
                    strlen(id), id, strlen(value), value);

    is(reply_of(text, sizeof(text), &e, &reply), 1, "XRANGE of %s", id);
    rc = bc_cluster_marked(&reply, &mark);

    bc_engine_reply_free(&reply);
    bc_engine_free(&e);

    return rc;
}


static void
test_marks(void)
{
    bc_engine_t        e;
    bc_cluster_mark_t  mark;
    bc_engine_reply_t  reply;

    ok(is_marked("7-2", "hi"), "an entry is the one that was marked");
    ok(!is_marked("7-3", "hi"), "the next one is not");
    ok(!is_marked("7-2", "ho"), "nor is one with another value");
    ok(!is_marked("7-2", "hi "), "nor one with a longer value");
    ok(!is_marked("7-2", ""), "nor one with none");

    is(reply_of("*0\r\n", 99, &e, &reply), 1, "XRANGE of nothing");
    bc_cluster_mark(&mark, &(bc_engine_id_t) { 0, 0 }, span(""));
    ok(!bc_cluster_marked(&reply, &mark), "... has no entry at all");
    bc_engine_reply_free(&reply);
    bc_engine_free(&e);
}


int
main(void)
{
    test_commands();
    test_replies();
    test_ids();
    test_info();
    test_heads();
    test_marks();

    return unit_done();
}
