
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, thousands of idle or hostile connections eat the server's
 * memory, or a worker crashes when there is none left.  Allocations of the
 * receiver are counted, and made to fail one by one (the linker's --wrap).
 */

#include "bc_jsonrpc.h"
#include "ws_test.h"

#include <malloc.h>
#include <zlib.h>


void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);


static int     counting;
static long    fail_after;         /* 0: never */
static size_t  live;
static size_t  peak;
static size_t  blocks;


static int
allocate(void)
{
    return !(counting && fail_after != 0 && --fail_after == 0);
}


static void *
count(void *p)
{
    if (counting && p != NULL) {
        live += malloc_usable_size(p);
        blocks++;
        peak = (live > peak) ? live : peak;
    }

    return p;
}


static void
uncount(void *p)
{
    if (counting && p != NULL) {
        live -= malloc_usable_size(p);
        blocks--;
    }
}


void *
__wrap_malloc(size_t size)
{
    return allocate() ? count(__real_malloc(size)) : NULL;
}


void *
__wrap_calloc(size_t n, size_t size)
{
    return allocate() ? count(__real_calloc(n, size)) : NULL;
}


void *
__wrap_realloc(void *p, size_t size)
{
    if (!allocate()) {
        return NULL;
    }

    uncount(p);

    return count(__real_realloc(p, size));
}


void
__wrap_free(void *p)
{
    uncount(p);
    __real_free(p);
}


static const bc_ws_deflate_params_t  pmd = { 1, 1, 15, 15 };


/* feeds without copies or transcript: only the receiver allocates */

static int
feed(bc_ws_parser_t *in, uint8_t *p, size_t len, size_t chop, bc_ws_event_t *ev,
    int *events)
{
    int       rc;
    size_t    n;
    uint8_t  *pos;

    rc = BC_WS_AGAIN;

    for ( /* void */ ; len != 0; p += n, len -= n) {
        n = (len < chop) ? len : chop;
        pos = p;

        do {
            rc = bc_ws_parser_feed(in, &pos, p + n, ev);

            if (rc == BC_WS_EVENT) {
                (*events)++;
            }

            if (rc == BC_WS_FAIL) {
                return rc;
            }

        } while (rc != BC_WS_AGAIN);
    }

    return rc;
}


static void
start(void)
{
    live = peak = blocks = 0;
    counting = 1;
}


static void
usage(void)
{
    int             i, events;
    wire_t          w;
    size_t          n;
    uint8_t        *big;
    z_stream        stream;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;
    static uint8_t  z[200000];

    memset(&w, 0, sizeof(w));
    ws_limits.max_message = 16 * 1024 * 1024;
    big = calloc(1, 1024 * 1024);
    events = 0;

    /* what a header announces is not allocated before it comes */

    bc_ws_parser_init(&in, &ws_limits, NULL, 0);
    wire_head(&w, 0x82, 16 * 1024 * 1024, 1);
    wire_add(&w, "mask", 4);

    start();
    is(feed(&in, w.p, w.len, 1, &ev, &events), BC_WS_AGAIN,
       "the header of a message of 16 MiB");
    is(peak, 0, "allocates nothing");

    feed(&in, big, 100, 7, &ev, &events);
    ok(live < 1000, "with 100 bytes of it: %zu", live);

    for (i = 0; i < 100; i++) {
        feed(&in, big, 1000, 1000, &ev, &events);
    }

    ok(live < 2 * 100100 + 200, "with 100100 bytes of it: %zu", live);

    bc_ws_parser_free(&in);
    is(blocks, 0, "all is freed with the connection");
    counting = 0;
    wire_reset(&w);

    /* small messages in one packet cost nothing at all */

    bc_ws_parser_init(&in, &ws_limits, &pmd, 0);

    for (i = 0; i < 100; i++) {
        wire_text(&w, 0x81, "a message");
        wire_text(&w, 0x89, "a ping");
    }

    start();
    feed(&in, w.p, w.len, w.len, &ev, &events);
    is(events, 200, "200 messages and pings");
    is(peak, 0, "allocate nothing");
    counting = 0;
    wire_reset(&w);

    /* and leave nothing behind when they came in pieces */

    wire_frame(&w, 0x02, big, 50000);
    wire_text(&w, 0x89, "a ping");
    wire_frame(&w, 0x80, big, 50000);

    start();
    events = 0;
    feed(&in, w.p, w.len, 100, &ev, &events);
    is(events, 2, "a message and a ping in pieces");
    ok(peak > 100000 && peak < 200000, "took %zu bytes", peak);
    is(blocks, 0, "and freed them");
    counting = 0;
    wire_reset(&w);
    bc_ws_parser_free(&in);

    /* 10000 connections that stopped inside a ping */

    wire_head(&w, 0x89, 125, 1);
    wire_add(&w, "maskx", 5);

    bc_ws_parser_init(&in, &ws_limits, NULL, 0);
    start();
    feed(&in, w.p, w.len, 1, &ev, &events);
    ok(live <= 256, "one that stopped inside a ping: %zu", live);
    bc_ws_parser_free(&in);
    is(blocks, 0, "freed");
    counting = 0;
    wire_reset(&w);

    /* a bomb of 100 MiB never holds more than is allowed */

    ws_limits.max_message = 100000;

    memset(&stream, 0, sizeof(stream));
    deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, 0);
    stream.next_out = z;
    stream.avail_out = sizeof(z);

    for (i = 0; i < 100; i++) {
        stream.next_in = big;
        stream.avail_in = 1024 * 1024;
        deflate(&stream, i == 99 ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    }

    n = sizeof(z) - stream.avail_out - 4;
    deflateEnd(&stream);

    wire_frame(&w, 0xc2, z, n);

    bc_ws_parser_init(&in, &ws_limits, &pmd, 0);
    start();
    is(feed(&in, w.p, w.len, 1000, &ev, &events), BC_WS_FAIL,
       "a bomb of 100 MiB in %zu bytes", w.len);
    is(ev.code, 1009, "is refused");
    ok(peak < 100000 + 10000, "with %zu bytes at most", peak);

    /* the decompressor stays for the next message, in the process */

    is(blocks, 1, "only the spare decompressor is left");
    bc_ws_parser_free(&in);
    bc_ws_deflate_cleanup();
    is(blocks, 0, "which can be freed, too");
    counting = 0;
    wire_reset(&w);

    ws_limits.max_message = 1 << 20;
    free(big);
}


/* each allocation fails once: 1011 or nothing, no crash and no leak */

static void
failures(void)
{
    int             rc, good, events;
    char           *text;
    long            i, failed;
    size_t          n, chop;
    wire_t          w;
    uint8_t        *copy;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;
    static uint8_t  p[5000];

    memset(&w, 0, sizeof(w));
    memset(p, 'x', sizeof(p));

    wire_text(&w, 0x81, "hello");
    wire_frame(&w, 0x01, p, 2000);
    wire_text(&w, 0x89, "ping");
    wire_frame(&w, 0x80, p, 3000);
    wire_frame(&w, 0x41, "\xf2\x48\xcd", 3);
    wire_frame(&w, 0x80, "\xc9\xc9\x07\x00", 4);
    wire_text(&w, 0x88, "\x03\xe8");

    copy = malloc(w.len);

    for (chop = 1; chop < 100; chop += 13) {

        good = 1;
        failed = 0;

        for (i = 1; i < 1000; i++) {
            memcpy(copy, w.p, w.len);
            bc_ws_deflate_cleanup();
            bc_ws_parser_init(&in, &ws_limits, &pmd, 0);
            events = 0;

            start();
            fail_after = i;

            rc = feed(&in, copy, w.len, chop, &ev, &events);

            good = good && (rc == BC_WS_FAIL ? ev.code == 1011
                                             : events == 5);
            failed += (rc == BC_WS_FAIL);

            n = (fail_after == 0);
            fail_after = 0;

            bc_ws_parser_free(&in);
            bc_ws_deflate_cleanup();
            good = good && blocks == 0;
            counting = 0;

            if (!n) {
                /* there are fewer allocations than that */
                break;
            }
        }

        ok(good && failed > 3, "pieces of %zu: %ld failed allocations", chop,
           failed);
    }

    free(copy);
    wire_reset(&w);

    start();
    fail_after = 1;
    is(bc_jsonrpc_build(&text, &n, 1, "m", NULL), -1, "a request without memory");
    is(blocks, 0, "leaks nothing");
    counting = 0;
}


int
main(void)
{
    usage();
    failures();

    return unit_done();
}
