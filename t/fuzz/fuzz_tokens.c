
/*
 * Copyright (C) the blockcast authors
 *
 * The file of tokens: what a plain search in the lines finds is let in under
 * the same name, and nothing else is.
 */

#include "bc_tokens.h"
#include "fuzz.h"


#define is_space(c)  ((c) == ' ' || (c) == '\t' || (c) == '\r')


typedef struct {
    bc_span_t  word[3];
    size_t     words;
} ref_line_t;


/* the next line's words, comments left away; 0 at the end of the text */

static int
ref_line(const uint8_t **pos, const uint8_t *last, ref_line_t *line)
{
    const uint8_t  *p, *start;

    memset(line, 0, sizeof(ref_line_t));

    if (*pos == last) {
        return 0;
    }

    for (p = *pos; p < last && *p != '\n'; /* void */ ) {

        if (is_space(*p)) {
            p++;
            continue;
        }

        if (*p == '#') {
            while (p < last && *p != '\n') {
                p++;
            }

            break;
        }

        start = p;

        while (p < last && *p != '\n' && !is_space(*p)) {
            p++;
        }

        if (line->words < 3) {
            line->word[line->words].data = start;
            line->word[line->words].len = (size_t) (p - start);
        }

        line->words++;
    }

    *pos = (p < last) ? p + 1 : p;

    return 1;
}


static int
same(bc_span_t a, bc_span_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


static int
check(bc_tokens_t *t, bc_span_t token, bc_span_t *name, bc_span_t *streams)
{
    int       rc;
    uint8_t  *copy;

    copy = fuzz_copy(token.data, token.len);
    rc = bc_tokens_check(t, copy, token.len, name, streams);
    free(copy);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n, count, bad;
    uint8_t        *text, *wrong;
    bc_span_t       name, streams, again, probe;
    ref_line_t      line, other;
    bc_tokens_t    *t;
    const char     *why;
    const uint8_t  *p, *q, *last;

    text = fuzz_copy(data, size);
    t = bc_tokens_parse((char *) text, size, &bad, &why);
    free(text);

    last = data + size;

    if (t == NULL) {

        /* the line is there, and is not an empty one */

        must(why != NULL && bad != 0);

        p = data;

        for (n = 0; n < bad; n++) {
            must(ref_line(&p, last, &line));
        }

        must(line.words != 0);
        return 0;
    }

    must(bad == 0 && why == NULL);

    count = 0;
    p = data;

    while (ref_line(&p, last, &line)) {

        if (line.words == 0) {
            continue;
        }

        count++;
        must(line.words <= 3 && line.word[0].len >= BC_TOKEN_MIN
             && line.word[0].len <= BC_TOKEN_MAX);

        must(check(t, line.word[0], &name, &streams) == 1);
        must(same(name, line.word[1]) && same(streams, line.word[2]));
        must((streams.data == NULL) == (line.words < 3));

        if (streams.data != NULL) {
            again = streams;
            q = memchr(streams.data, ',', streams.len);
            again.len = (q != NULL) ? (size_t) (q - streams.data)
                                    : streams.len;

            must(again.len != 0);
            must(bc_tokens_stream(streams, again.data, again.len));
            must(!bc_tokens_stream(streams, again.data, 0));
        }

        /* one bit wrong: only when another line has that token */

        wrong = fuzz_copy(line.word[0].data, line.word[0].len);
        wrong[size % line.word[0].len] ^= (uint8_t) (1 << count % 8);
        probe.data = wrong;
        probe.len = line.word[0].len;
        n = 0;

        for (q = data; ref_line(&q, last, &other); /* void */ ) {
            n += (other.words != 0 && same(other.word[0], probe));
        }

        must(check(t, probe, &name, &streams) == (n != 0));
        free(wrong);
    }

    must(bc_tokens_count(t) == count);

    /* the text itself is no token unless it is one */

    probe.data = data;
    probe.len = size;

    if (check(t, probe, &name, &streams)) {
        must(count == 1 && memchr(data, '\n', size) == NULL);
    }

    bc_tokens_free(t);

    return 0;
}
