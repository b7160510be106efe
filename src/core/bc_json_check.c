
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_json_check.h"
#include "bc_json_scan.h"
#include "bc_utf8.h"


static const char  bc_json_unexpected[] = "unexpected byte";
static const char  bc_json_truncated[] = "unexpected end";
static const char  bc_json_bad_utf8[] = "invalid UTF-8";
static const char  bc_json_too_deep[] = "nested too deeply";


/*
 * Functions that take *pos expect it at the first byte of what they check, and
 * move it past the end.  They return 0, or -1 with *pos at the offending byte
 * and, if it is a parameter, *why set.
 */

static int
bc_json_check_string(const uint8_t **pos, const uint8_t *last,
    const char **why)
{
    int             i;
    size_t          n, bad;
    uint32_t        state;
    const uint8_t  *p;

    p = *pos + 1;

    *why = bc_json_unexpected;

    for ( ;; ) {
        p = bc_json_skip_plain(p, last);

        if (p == last) {
            *pos = p;
            return -1;
        }

        if (*p == '"') {
            *pos = p + 1;
            return 0;
        }

        if (*p >= 0x80) {
            n = bc_utf8_sequence(p, (size_t) (last - p), &bad);

            if (n == 0) {
                state = BC_UTF8_START;

                if (bad == (size_t) (last - p)
                    && bc_utf8_feed(&state, p, bad) == 0)
                {
                    /* the text ends within a sequence */
                    p = last;

                } else {
                    *why = bc_json_bad_utf8;
                }

                *pos = p;

                return -1;
            }

            p += n;
            continue;
        }

        if (*p != '\\') {
            /* a control character */
            *pos = p;
            return -1;
        }

        p++;

        if (p == last) {
            *pos = p;
            return -1;
        }

        switch (*p) {

        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            p++;
            break;

        case 'u':
            p++;

            for (i = 0; i < 4; i++, p++) {
                if (p == last || bc_json_hex(*p) < 0) {
                    *pos = p;
                    return -1;
                }
            }

            break;

        default:
            *pos = p;
            return -1;
        }
    }
}


static int
bc_json_check_digits(const uint8_t **pos, const uint8_t *last)
{
    const uint8_t  *p;

    p = *pos;

    if (p == last || !bc_json_is_digit(*p)) {
        return -1;
    }

    do {
        p++;
    } while (p < last && bc_json_is_digit(*p));

    *pos = p;

    return 0;
}


static int
bc_json_check_number(const uint8_t **pos, const uint8_t *last)
{
    if (**pos == '-') {
        (*pos)++;
    }

    if (*pos < last && **pos == '0') {
        (*pos)++;

    } else if (bc_json_check_digits(pos, last) != 0) {
        return -1;
    }

    if (*pos < last && **pos == '.') {
        (*pos)++;

        if (bc_json_check_digits(pos, last) != 0) {
            return -1;
        }
    }

    if (*pos < last && (**pos | 0x20) == 'e') {
        (*pos)++;

        if (*pos < last && (**pos == '+' || **pos == '-')) {
            (*pos)++;
        }

        if (bc_json_check_digits(pos, last) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
bc_json_check_literal(const uint8_t **pos, const uint8_t *last,
    const char *literal)
{
    for ( /* void */ ; *literal != '\0'; literal++) {
        if (*pos == last || **pos != (uint8_t) *literal) {
            return -1;
        }

        (*pos)++;
    }

    return 0;
}


/* Checks a value that is neither an array nor an object. */

static int
bc_json_check_scalar(const uint8_t **pos, const uint8_t *last,
    const char **why)
{
    *why = bc_json_unexpected;

    switch (**pos) {

    case '"':
        return bc_json_check_string(pos, last, why);

    case 't':
        return bc_json_check_literal(pos, last, "true");

    case 'f':
        return bc_json_check_literal(pos, last, "false");

    case 'n':
        return bc_json_check_literal(pos, last, "null");

    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return bc_json_check_number(pos, last);
    }

    return -1;
}


/* Checks a member's name and the colon that follows it. */

static int
bc_json_check_name(const uint8_t **pos, const uint8_t *last, const char **why)
{
    if (bc_json_check_string(pos, last, why) != 0) {
        return -1;
    }

    *pos = bc_json_skip_space(*pos, last);

    if (*pos == last || **pos != ':') {
        *why = bc_json_unexpected;
        return -1;
    }

    (*pos)++;

    return 0;
}


int
bc_json_check(const uint8_t *p, size_t len, unsigned max_depth,
    size_t *err_off)
{
    const char  *why;

    return bc_json_check_why(p, len, max_depth, err_off, &why);
}


int
bc_json_check_why(const uint8_t *text, size_t len, unsigned max_depth,
    size_t *err_off, const char **why)
{
    uint8_t         objects[BC_JSON_MAX_DEPTH / 8], bit;
    unsigned        depth;
    const uint8_t  *p, *last;

    enum {
        st_value = 0,          /* expect a value */
        st_first_element,      /* expect a value or ] */
        st_first_key,          /* expect a key or } */
        st_key,                /* expect a key */
        st_after               /* after a value: , or the end */
    } state;

    if (len == 0) {
        /* `text` may be NULL */
        text = (const uint8_t *) "";
    }

    if (max_depth > BC_JSON_MAX_DEPTH) {
        max_depth = BC_JSON_MAX_DEPTH;
    }

    /* bit n tells whether level n is an object, not an array */

#define bc_json_in_object()                                                   \
    (objects[(depth - 1) / 8] & (1 << ((depth - 1) % 8)))

    p = text;
    last = text + len;
    depth = 0;
    state = st_value;

    for ( ;; ) {
        p = bc_json_skip_space(p, last);

        if (p == last) {
            if (state == st_after && depth == 0) {
                return 0;
            }

            *why = bc_json_truncated;
            goto failed;
        }

        *why = bc_json_unexpected;

        switch (state) {

        case st_first_element:

            if (*p == ']') {
                p++;
                depth--;
                state = st_after;
                break;
            }

            /* fall through */

        case st_value:

            if (*p == '[' || *p == '{') {

                if (depth == max_depth) {
                    *why = bc_json_too_deep;
                    goto failed;
                }

                bit = (uint8_t) (1 << (depth % 8));

                if (depth % 8 == 0) {
                    objects[depth / 8] = 0;
                }

                if (*p == '{') {
                    objects[depth / 8] |= bit;
                    state = st_first_key;

                } else {
                    objects[depth / 8] &= (uint8_t) ~bit;
                    state = st_first_element;
                }

                depth++;
                p++;
                break;
            }

            if (bc_json_check_scalar(&p, last, why) != 0) {
                goto failed_within;
            }

            state = st_after;
            break;

        case st_first_key:

            if (*p == '}') {
                p++;
                depth--;
                state = st_after;
                break;
            }

            /* fall through */

        case st_key:

            if (*p != '"') {
                goto failed;
            }

            if (bc_json_check_name(&p, last, why) != 0) {
                goto failed_within;
            }

            state = st_value;
            break;

        case st_after:

            if (depth == 0) {
                goto failed;
            }

            if (*p == ',') {
                state = bc_json_in_object() ? st_key : st_value;

            } else if (*p == (bc_json_in_object() ? '}' : ']')) {
                depth--;

            } else {
                goto failed;
            }

            p++;
            break;
        }
    }

failed_within:

    if (p == last) {
        *why = bc_json_truncated;
    }

failed:

    if (err_off != NULL) {
        *err_off = (size_t) (p - text);
    }

    return -1;
}
