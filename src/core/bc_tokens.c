
/*
 * Copyright (C) the blockcast authors
 *
 * What an attacker could measure: a comparison that ends at the first wrong
 * byte reveals how many were right, so that a token can be guessed byte by
 * byte; a search that ends at the entry found reveals which one it was.  Here
 * neither happens: all tokens are kept in fields of equal width (that of the
 * longest, padded with zeros), the given token is padded likewise, and every
 * word of every field is compared, without a branch, whatever was found
 * before.  The lengths are compared, too, because padding alone would not
 * distinguish a token from one that ends in zero bytes.  What remains visible
 * is the length of the given token, which its sender knows, and the size of
 * the file.
 *
 * Comparing digests would hide no more than that, and need a crypto library.
 */

#include <stdlib.h>
#include <string.h>

#include "bc_tokens.h"


typedef struct {
    size_t      len;           /* of the token */
    size_t      line;
    bc_span_t   name;
    bc_span_t   streams;
} bc_tokens_entry_t;


struct bc_tokens_s {
    size_t              count;
    size_t              width;      /* of a field, a multiple of 8 */
    uint8_t            *fields;     /* count of them */
    size_t              text_len;
    uint8_t            *text;       /* the memory of names and streams */
    bc_tokens_entry_t  *entries;
};


typedef struct {
    const uint8_t  *pos;
    const uint8_t  *last;
    size_t          line;
    bc_span_t       word[3];
    const char     *why;
} bc_tokens_reader_t;


/*
 * Hides a value from the compiler, which otherwise might notice that the rest
 * of a comparison no longer matters, and skip it.
 */

#if defined(__GNUC__)
#define bc_tokens_opaque(v)  __asm__ volatile ("" : "+r" (v))
#else
#define bc_tokens_opaque(v)  (v) = *(volatile uint64_t *) &(v)
#endif


static void
bc_tokens_wipe(void *p, size_t len)
{
    volatile uint8_t  *v;

    for (v = p; len != 0; len--) {
        *v++ = 0;
    }
}


static int
bc_tokens_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}


/* b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */

static const char *
bc_tokens_bad_token(bc_span_t word)
{
    size_t   i, n;
    uint8_t  c;

    for (n = word.len; n != 0 && word.data[n - 1] == '='; n--) { /* void */ }

    if (n == 0) {
        return "the token is nothing but \"=\"";
    }

    for (i = 0; i < n; i++) {
        c = word.data[i];

        if (!bc_tokens_alnum(c)
            && (c == '\0' || strchr("-._~+/", c) == NULL))
        {
            return "the token has a character other than letters, digits and"
                   " -._~+/ (and = at its end)";
        }
    }

    if (word.len < BC_TOKEN_MIN) {
        return "the token is shorter than 16 characters";
    }

    if (word.len > BC_TOKEN_MAX) {
        return "the token is longer than 512 characters";
    }

    return NULL;
}


static const char *
bc_tokens_bad_streams(bc_span_t word)
{
    size_t   i;
    uint8_t  c, before;

    before = ',';

    for (i = 0; i < word.len; i++) {
        c = word.data[i];

        if (c == ',') {
            if (before == ',') {
                return "there is an empty name in the list of streams";
            }

        } else if (!bc_tokens_alnum(c) && c != '_' && c != '-' && c != '.') {
            return "a stream's name has a character other than letters, digits"
                   " and -._";
        }

        before = c;
    }

    return before == ',' ? "there is an empty name in the list of streams"
                         : NULL;
}


/*
 * Reads the next line that is not blank.  Returns 1 with its words (data is
 * NULL for missing ones), 0 at the end, -1 when the line is invalid.
 */

static int
bc_tokens_line(bc_tokens_reader_t *r)
{
    size_t          n;
    const uint8_t  *p, *end, *start;

    while (r->pos < r->last) {

        p = r->pos;
        end = memchr(p, '\n', (size_t) (r->last - p));
        r->pos = (end != NULL) ? end + 1 : r->last;
        r->line++;

        if (end == NULL) {
            end = r->last;
        }

        memset(r->word, 0, sizeof(r->word));
        n = 0;

        for ( ;; ) {

            while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) {
                p++;
            }

            if (p == end || *p == '#') {
                break;
            }

            start = p;

            while (p < end && *p != ' ' && *p != '\t' && *p != '\r') {

                if (*p < ' ' || *p == 0x7f) {
                    r->why = "there is a control character";
                    return -1;
                }

                p++;
            }

            if (n == 3) {
                r->why = "there are more words than a token, a name and the"
                         " streams";
                return -1;
            }

            r->word[n].data = start;
            r->word[n].len = (size_t) (p - start);
            n++;
        }

        if (n == 0) {
            continue;
        }

        r->why = bc_tokens_bad_token(r->word[0]);

        if (r->why == NULL && n == 3) {
            r->why = bc_tokens_bad_streams(r->word[2]);
        }

        return r->why == NULL ? 1 : -1;
    }

    return 0;
}


static void
bc_tokens_start(bc_tokens_reader_t *r, const char *text, size_t len)
{
    r->pos = (const uint8_t *) text;
    r->last = (len != 0) ? r->pos + len : r->pos;
    r->line = 0;
    r->why = NULL;
}


/* Copies a word to t->text; returns the copy. */

static bc_span_t
bc_tokens_keep(bc_tokens_t *t, bc_span_t word)
{
    bc_span_t  copy;

    copy.data = NULL;
    copy.len = word.len;

    if (word.data != NULL) {
        copy.data = memcpy(t->text + t->text_len, word.data, word.len);
        t->text_len += word.len;
    }

    return copy;
}


typedef struct {
    const uint8_t  *field;
    size_t          width;
    size_t          line;
} bc_tokens_sort_t;


static int
bc_tokens_cmp(const void *one, const void *two)
{
    const bc_tokens_sort_t  *a = one, *b = two;

    int  rc;

    rc = memcmp(a->field, b->field, a->width);

    return rc != 0 ? rc : (a->line > b->line) - (a->line < b->line);
}


/*
 * Finds the first line whose token already occurs on an earlier line; *line is
 * its number, or 0 when there is none.  Returns 0, or -1 without memory.
 * Fields are compared including their padding, because no token contains a
 * zero byte.
 */

static int
bc_tokens_twice(const bc_tokens_t *t, size_t *line)
{
    size_t             i;
    bc_tokens_sort_t  *sort;

    *line = 0;

    if (t->count < 2) {
        return 0;
    }

    sort = calloc(t->count, sizeof(bc_tokens_sort_t));

    if (sort == NULL) {
        return -1;
    }

    for (i = 0; i < t->count; i++) {
        sort[i].field = t->fields + i * t->width;
        sort[i].width = t->width;
        sort[i].line = t->entries[i].line;
    }

    qsort(sort, t->count, sizeof(bc_tokens_sort_t), bc_tokens_cmp);

    for (i = 1; i < t->count; i++) {
        if (memcmp(sort[i - 1].field, sort[i].field, t->width) == 0
            && (*line == 0 || sort[i].line < *line))
        {
            *line = sort[i].line;
        }
    }

    free(sort);

    return 0;
}


bc_tokens_t *
bc_tokens_parse(const char *text, size_t len, size_t *bad_line,
    const char **why)
{
    int                  rc;
    size_t               count, longest, words;
    bc_tokens_t         *t;
    bc_tokens_entry_t   *e;
    bc_tokens_reader_t   r;

    *bad_line = 0;
    *why = NULL;

    count = 0;
    longest = 0;
    words = 0;

    bc_tokens_start(&r, text, len);

    while ((rc = bc_tokens_line(&r)) == 1) {
        count++;
        words += r.word[1].len + r.word[2].len;

        if (r.word[0].len > longest) {
            longest = r.word[0].len;
        }
    }

    if (rc != 0) {
        *bad_line = r.line;
        *why = r.why;
        return NULL;
    }

    t = calloc(1, sizeof(bc_tokens_t));

    if (t == NULL) {
        goto no_memory;
    }

    t->width = (longest + 7) / 8 * 8;

    if (count != 0) {
        t->fields = calloc(count, t->width);
        t->entries = calloc(count, sizeof(bc_tokens_entry_t));
        t->text = calloc(1, words + 1);

        if (t->fields == NULL || t->entries == NULL || t->text == NULL) {
            goto no_memory;
        }
    }

    bc_tokens_start(&r, text, len);

    while (t->count < count && bc_tokens_line(&r) == 1) {
        e = &t->entries[t->count];

        memcpy(t->fields + t->count * t->width, r.word[0].data,
               r.word[0].len);

        e->len = r.word[0].len;
        e->line = r.line;
        e->name = bc_tokens_keep(t, r.word[1]);
        e->streams = bc_tokens_keep(t, r.word[2]);

        t->count++;
    }

    if (bc_tokens_twice(t, bad_line) != 0) {
        goto no_memory;
    }

    if (*bad_line != 0) {
        *why = "there is the same token again";
        bc_tokens_free(t);
        return NULL;
    }

    return t;

no_memory:

    *why = "there is no memory for the tokens";
    bc_tokens_free(t);

    return NULL;
}


size_t
bc_tokens_count(const bc_tokens_t *t)
{
    return t->count;
}


int
bc_tokens_check(const bc_tokens_t *t, const uint8_t *token, size_t len,
    bc_span_t *name, bc_span_t *streams)
{
    size_t          i, n, found;
    uint64_t        diff, none, a, b;
    const uint8_t  *field;

    union {
        uint64_t  align;
        uint8_t   bytes[BC_TOKEN_MAX];
    } given;

    name->data = NULL;
    name->len = 0;
    *streams = *name;

    if (len < BC_TOKEN_MIN || len > BC_TOKEN_MAX) {
        return 0;
    }

    memset(given.bytes, 0, BC_TOKEN_MAX);
    memcpy(given.bytes, token, len);

    found = 0;
    field = t->fields;

    for (i = 0; i < t->count; i++) {

        diff = (uint64_t) (len ^ t->entries[i].len);

        for (n = 0; n < t->width; n += 8) {
            memcpy(&a, field + n, 8);
            memcpy(&b, given.bytes + n, 8);
            diff |= a ^ b;
        }

        bc_tokens_opaque(diff);

        /* all ones when diff is 0; at most one token matches */

        none = ((diff | (0 - diff)) >> 63) - 1;
        found |= (size_t) none & (i + 1);

        field += t->width;
    }

    bc_tokens_wipe(given.bytes, BC_TOKEN_MAX);

    if (found == 0) {
        return 0;
    }

    *name = t->entries[found - 1].name;
    *streams = t->entries[found - 1].streams;

    return 1;
}


int
bc_tokens_stream(bc_span_t streams, const uint8_t *name, size_t len)
{
    const uint8_t  *p, *last, *end;

    if (streams.data == NULL) {
        return 1;
    }

    p = streams.data;
    last = p + streams.len;

    while (p < last) {
        end = memchr(p, ',', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        if (len == (size_t) (end - p) && memcmp(p, name, len) == 0) {
            return 1;
        }

        p = end + 1;
    }

    return 0;
}


void
bc_tokens_free(bc_tokens_t *t)
{
    if (t == NULL) {
        return;
    }

    if (t->fields != NULL) {
        bc_tokens_wipe(t->fields, t->count * t->width);
    }

    free(t->fields);
    free(t->entries);
    free(t->text);
    free(t);
}
