
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a subscriber of a log with a filter gets what it did not ask
 * for, or misses what it did.
 */

#include "bc_log_filter.h"
#include "unit.h"


static bc_span_t
span(const char *text)
{
    bc_span_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


/* 1, 0, or -1: no filter */

static int
run(const char *filter, const char *entry, int logs)
{
    int               rc;
    const char       *why;
    bc_log_filter_t  *f;

    f = logs ? bc_log_filter_logs(span(filter), &why)
             : bc_log_filter_members(span(filter), &why);

    if (f == NULL) {
        return (why != NULL) ? -1 : -2;
    }

    rc = bc_log_filter_matches(f, span(entry));
    bc_log_filter_free(f);

    return rc;
}


int
main(void)
{
    int               i;
    char              many[8192], *p;
    const char       *why;
    bc_log_filter_t  *query;

    const char *const  entry = "{\"market\":\"compute\",\"n\":1.0,\"ok\":true,"
                               "\"list\":[1],\"e\":\"\\u0041\"}";
    const char *const  log = "{\"address\":\"0xabcd\",\"topics\":[\"0x1a\","
                             "\"0x2\",\"0x3\"]}";

    is(run("{}", entry, 0), 1, "no member");
    is(run("{\"market\":\"compute\"}", entry, 0), 1, "one value");
    is(run("{\"market\":[\"ads\",\"compute\"]}", entry, 0), 1, "one of two");
    is(run("{\"market\":[\"ads\"]}", entry, 0), 0, "another value");
    is(run("{\"market\":\"Compute\"}", entry, 0), 0, "another case");
    is(run("{\"n\":1}", entry, 0), 1, "a number is its value");
    is(run("{\"n\":\"1\"}", entry, 0), 0, "and no string");
    is(run("{\"e\":\"A\"}", entry, 0), 1, "an escape is a letter");
    is(run("{\"ok\":true,\"market\":\"compute\"}", entry, 0), 1, "two members");
    is(run("{\"ok\":false,\"market\":\"compute\"}", entry, 0), 0,
       "one of the two is another");
    is(run("{\"nothing\":1}", entry, 0), 0, "a member that is missing");
    is(run("{\"list\":1}", entry, 0), 0, "a member that is an array");
    is(run("{\"market\":[]}", entry, 0), 1, "no values: not asked for");
    is(run("{\"market\":{}}", entry, 0), -1, "an object is no value");
    is(run("[]", entry, 0), -1, "an array is no filter");

    is(run("{}", log, 1), 1, "logs: all");
    is(run("{\"address\":\"0xABcd\"}", log, 1), 1, "logs: an address");
    is(run("{\"address\":[\"0x1\",\"0xabcd\"]}", log, 1), 1, "logs: one of two");
    is(run("{\"address\":\"0xabce\"}", log, 1), 0, "logs: another address");
    is(run("{\"topics\":[\"0x1A\"]}", log, 1), 1, "logs: the first topic");
    is(run("{\"topics\":[null,\"0x2\"]}", log, 1), 1, "logs: the second one");
    is(run("{\"topics\":[\"0x2\"]}", log, 1), 0, "logs: not by the place");
    is(run("{\"topics\":[[\"0x9\",\"0x1a\"],null,\"0x3\"]}", log, 1), 1,
       "logs: one of several, and the third");
    is(run("{\"topics\":[null,null,null]}", log, 1), 1, "logs: three topics");
    is(run("{\"topics\":[null,null,null,null]}", log, 1), 0,
       "logs: a topic that is not there");
    is(run("{\"topics\":[[null,\"0x9\"]]}", log, 1), 1, "logs: null among them");
    is(run("{\"topics\":[1,2,3,4,5]}", log, 1), -1, "logs: five topics");
    is(run("{\"topics\":\"0x1\"}", log, 1), -1, "logs: no array");
    is(run("5", log, 1), -1, "logs: no object");

    p = many + sprintf(many, "{\"m\":[0");
    for (i = 1; i < 256; i++) {
        p += sprintf(p, ",%d", i);
    }
    sprintf(p, "]}");
    is(run(many, "{\"m\":255}", 0), 1, "256 values");
    sprintf(p, ",256]}");
    is(run(many, "{\"m\":255}", 0), -1, "257 values");

    /* of a query, where a number is a string, too */
    p = many + sprintf(many, "{\"m\":[\"0\",0");
    for (i = 1; i < 256; i++) {
        p += sprintf(p, ",\"%d\",%d", i, i);
    }
    strcpy(p, "]}");
    query = bc_log_filter_query(span(many), &why);
    ok(query != NULL, "256 values of a query");
    is(bc_log_filter_matches(query, span("{\"m\":\"255\"}")), 1,
       "the last one");
    bc_log_filter_free(query);

    return unit_done();
}
