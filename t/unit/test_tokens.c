
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, someone with a valid token is turned away, someone without
 * one gets in or gets streams that are not his, or a slip in the file of
 * tokens goes unnoticed.
 */

#include "bc_tokens.h"
#include "unit.h"


#define A16  "aaaaaaaaaaaaaaaa"
#define B16  "bbbbbbbbbbbbbbbb"
#define C16  "cccccccccccccccc"


/* calloc() fails from the n-th call on, 0: never */

static size_t  fail_from;
static size_t  allocations;


void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);


void *
__wrap_malloc(size_t size)
{
    return __real_malloc(size);
}


void *
__wrap_calloc(size_t n, size_t size)
{
    allocations++;

    return fail_from != 0 && allocations >= fail_from
           ? NULL : __real_calloc(n, size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return __real_realloc(p, size);
}


void
__wrap_free(void *p)
{
    __real_free(p);
}


static bc_tokens_t *
parse_n(const char *text, size_t len, size_t *line, const char **why)
{
    char         *copy;
    bc_tokens_t  *t;

    copy = (char *) unit_copy(text, len);
    t = bc_tokens_parse(copy, len, line, why);

    /* the text is not needed afterwards */

    memset(copy, 'x', len);
    free(copy);

    return t;
}


static bc_tokens_t *
parse(const char *text, size_t *line, const char **why)
{
    return parse_n(text, strlen(text), line, why);
}


static int
check_n(bc_tokens_t *t, const void *token, size_t len, bc_span_t *name,
    bc_span_t *streams)
{
    int       rc;
    uint8_t  *copy;

    copy = unit_copy(token, len);
    rc = bc_tokens_check(t, copy, len, name, streams);
    free(copy);

    return rc;
}


static int
check(bc_tokens_t *t, const char *token)
{
    bc_span_t  name, streams;

    return check_n(t, token, strlen(token), &name, &streams);
}


static void
test_words(void)
{
    size_t        line;
    bc_span_t     name, streams;
    const char   *why;
    bc_tokens_t  *t;

    t = parse("# who may connect\n"
              "\n"
              "   \t \n"
              A16 "\n"
              "  " B16 "\tdashboard\r\n"
              C16 " partner \t blocks,validators.2,a-b_c  # until June\n"
              "AZaz09-._~+/AZaz== # no name\n"
              "dddddddddddddddd na\xc3\xafve"
              "#1 x",
              &line, &why);

    ok(t != NULL, "the file is read");

    if (t == NULL) {
        printf("# line %zu: %s\n", line, why);
        return;
    }

    is(bc_tokens_count(t), 5, "it has five tokens");

    is(check_n(t, A16, 16, &name, &streams), 1, "a token alone in its line");
    ok(name.len == 0, "has no name");
    ok(streams.data == NULL && streams.len == 0, "and all streams");
    is(bc_tokens_stream(streams, (uint8_t *) "blocks", 6), 1,
       "so any stream is allowed");

    is(check_n(t, B16, 16, &name, &streams), 1, "one with a name");
    is_mem(name.data, name.len, "dashboard", "the name, without CR");
    ok(streams.data == NULL, "and all streams");

    is(check_n(t, C16, 16, &name, &streams), 1, "one with streams");
    is_mem(name.data, name.len, "partner", "its name");
    is_mem(streams.data, streams.len, "blocks,validators.2,a-b_c",
           "its streams, without the comment");

    is(check_n(t, "AZaz09-._~+/AZaz==", 18, &name, &streams), 1,
       "every character that RFC 6750 allows");
    ok(name.len == 0, "a comment is no name");

    is(check_n(t, "dddddddddddddddd", 16, &name, &streams), 1,
       "the last line, which has no line feed");
    is_mem(name.data, name.len, "na\xc3\xafve#1",
           "# within a word is a part of it");
    is_mem(streams.data, streams.len, "x", "its stream");

    bc_tokens_free(t);
}


static void
test_wrong_tokens(void)
{
    size_t        line, i;
    char          token[600];
    bc_span_t     name, streams;
    const char   *why;
    bc_tokens_t  *t;

    t = parse(A16 "\n" A16 "a x y\nabcdefghijklmnopqrstuvwxyz012345 z\n",
              &line, &why);

    ok(t != NULL, "tokens that begin alike are not the same");

    if (t == NULL) {
        return;
    }

    is(check(t, A16), 1, "the short one");
    is(check(t, A16 "a"), 1, "the long one");
    is(check(t, A16 "aa"), 0, "neither of both");
    is(check(t, "aaaaaaaaaaaaaaa"), 0, "one character less");
    is(check(t, ""), 0, "nothing");

    for (i = 0; i < 32; i++) {
        strcpy(token, "abcdefghijklmnopqrstuvwxyz012345");
        is(check(t, token), 1, "right");

        token[i]++;
        is(check(t, token), 0, "character %zu wrong", i);

        token[i] = '\0';
        is(check_n(t, token, 32, &name, &streams), 0, "%zu is a NUL", i);
        is(check_n(t, token, i, &name, &streams), 0, "the first %zu", i);
    }

    /* the padding is no part of a token */

    memset(token, 0, sizeof(token));
    memcpy(token, A16, 16);

    for (i = 17; i <= 600; i++) {
        if (check_n(t, token, i, &name, &streams) != 0
            || name.data != NULL || name.len != 0 || streams.data != NULL
            || streams.len != 0)
        {
            break;
        }
    }

    is(i, 601, "NULs after a token make another one");

    memset(token, 0, sizeof(token));
    is(check_n(t, token, 16, &name, &streams), 0, "only NULs");
    is(check_n(t, token, 512, &name, &streams), 0, "only NULs, many");

    bc_tokens_free(t);
}


static void
test_nobody(void)
{
    size_t        line;
    const char   *why;
    bc_tokens_t  *t;

    t = parse("", &line, &why);
    ok(t != NULL, "an empty file is read");
    is(bc_tokens_count(t), 0, "it has no tokens");
    is(check(t, A16), 0, "nobody gets in");
    bc_tokens_free(t);

    t = bc_tokens_parse(NULL, 0, &line, &why);
    ok(t != NULL && bc_tokens_count(t) == 0, "no text is an empty file");
    bc_tokens_free(t);

    t = parse("# nothing\n\n#", &line, &why);
    ok(t != NULL && bc_tokens_count(t) == 0, "nothing but comments");
    bc_tokens_free(t);

    bc_tokens_free(NULL);
    ok(1, "there may be nothing to free");
}


static void
test_bad_files(void)
{
    size_t        i, line;
    const char   *why;
    bc_tokens_t  *t;

    static const struct {
        const char  *text;
        size_t       len;
        size_t       line;
        const char  *why;
    } bad[] = {
        { "aaaaaaaaaaaaaaa", 15, 1, "shorter than 16" },
        { "\n# x\n\naaaa name\n", 15, 4, "shorter than 16" },
        { A16 "\n" B16 "\n" A16 " again\n", 56, 3, "same token again" },
        { A16 "\n" A16 "\nsecret", 40, 3, "shorter than 16" },
        { "caf\xc3\xa9" A16, 21, 1, "other than letters" },
        { "\xef\xbb\xbf" A16, 19, 1, "other than letters" },
        { A16 "=a", 18, 1, "other than letters" },
        { A16 ":b", 18, 1, "other than letters" },
        { A16 "\"", 17, 1, "other than letters" },
        { "aaaaaaa\0aaaaaaaa", 16, 1, "control character" },
        { "================", 16, 1, "nothing but \"=\"" },
        { A16 " na\x01me", 22, 1, "control character" },
        { A16 " na\x7fme", 22, 1, "control character" },
        { A16 " n a b c", 24, 1, "more words" },
        { A16 " n a,,b", 23, 1, "empty name" },
        { A16 " n ,a", 21, 1, "empty name" },
        { A16 " n a,", 21, 1, "empty name" },
        { A16 " n a, b", 23, 1, "more words" },
        { A16 " n a;b", 22, 1, "stream's name" },
        { A16 " n *", 20, 1, "stream's name" }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        line = 99;
        why = NULL;
        t = parse_n(bad[i].text, bad[i].len, &line, &why);

        if (ok(t == NULL, "refused: %s", bad[i].text)) {
            is(line, bad[i].line, "the line that is at fault");

            if (!ok(strstr(why, bad[i].why) != NULL, "why: %s", bad[i].why)) {
                printf("#   said: %s\n", why);
            }
        }

        bc_tokens_free(t);
    }
}


static void
test_lengths(void)
{
    char          text[700];
    size_t        n, line;
    bc_span_t     name, streams;
    const char   *why;
    bc_tokens_t  *t;

    for (n = 14; n <= 515; n++) {
        memset(text, 'q', n);
        memcpy(text + n, "\n" B16 "\n", 18);

        t = parse_n(text, n + 18, &line, &why);

        if ((t != NULL) != (n >= 16 && n <= 512)) {
            break;
        }

        if (t != NULL) {
            if (check_n(t, text, n, &name, &streams) != 1
                || check_n(t, B16, 16, &name, &streams) != 1
                || check_n(t, text, n - 1, &name, &streams) != 0)
            {
                break;
            }

            text[n] = 'q';

            if (check_n(t, text, n + 1, &name, &streams) != 0) {
                break;
            }
        }

        bc_tokens_free(t);
        t = NULL;
    }

    is(n, 516, "tokens of 16 to 512 characters are known, no others");
    bc_tokens_free(t);
}


/* each of many, and none that is nearly one of them */

static void
test_many(void)
{
    char         *text, *p, token[40], label[20];
    size_t        i, line, wrong;
    bc_span_t     name, streams;
    const char   *why;
    bc_tokens_t  *t;

    text = malloc(2000 * 64);
    p = text;

    for (i = 0; i < 2000; i++) {
        p += sprintf(p, "%08zutokentoken%0*zu n%zu\n", i * 7919 % 100003,
                     (int) (i % 20), i, i);
    }

    t = parse_n(text, (size_t) (p - text), &line, &why);

    if (!ok(t != NULL, "2000 tokens")) {
        printf("# line %zu: %s\n", line, why);
        return;
    }

    is(bc_tokens_count(t), 2000, "all of them");

    wrong = 0;

    for (i = 0; i < 2000; i++) {
        sprintf(token, "%08zutokentoken%0*zu", i * 7919 % 100003,
                (int) (i % 20), i);
        sprintf(label, "n%zu", i);

        if (check_n(t, token, strlen(token), &name, &streams) != 1
            || name.len != strlen(label)
            || memcmp(name.data, label, name.len) != 0)
        {
            wrong++;
        }

        token[8] = 'T';

        if (check_n(t, token, strlen(token), &name, &streams) != 0) {
            wrong++;
        }
    }

    is(wrong, 0, "each is known under its name, none that is nearly one");

    bc_tokens_free(t);
    free(text);
}


/* nothing is lost, and nobody told that a line is wrong */

static void
test_memory(void)
{
    size_t        i, line;
    const char   *why;
    bc_tokens_t  *t;

    t = NULL;

    for (i = 1; i < 20; i++) {
        allocations = 0;
        fail_from = i;
        t = parse(A16 " a\n" B16 " b x\n", &line, &why);
        fail_from = 0;

        if (t != NULL || line != 0 || strstr(why, "no memory") == NULL) {
            break;
        }
    }

    ok(t != NULL && i > 4, "each of %zu allocations may fail", i - 1);
    bc_tokens_free(t);
}


static int
allows(const char *list, const char *name)
{
    int        rc;
    uint8_t   *copy;
    bc_span_t  streams;

    copy = unit_copy(list, strlen(list));
    streams.data = copy;
    streams.len = strlen(list);

    rc = bc_tokens_stream(streams, (const uint8_t *) name, strlen(name));
    free(copy);

    return rc;
}


static void
test_streams(void)
{
    is(allows("blocks", "blocks"), 1, "the only stream");
    is(allows("a,blocks,b", "blocks"), 1, "one of three");
    is(allows("a,b,blocks", "blocks"), 1, "the last");
    is(allows("blocks", "block"), 0, "a part of a name is another name");
    is(allows("block", "blocks"), 0, "and so is a longer one");
    is(allows("a,b", "a,b"), 0, "a list is no name");
    is(allows("a,b", ""), 0, "no name is no stream");
    is(allows("Blocks", "blocks"), 0, "case matters");
}


int
main(void)
{
    test_words();
    test_wrong_tokens();
    test_nobody();
    test_bad_files();
    test_lengths();
    test_many();
    test_streams();
    test_memory();

    return unit_done();
}
