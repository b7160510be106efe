
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_json.h"
#include "bc_json_scan.h"
#include "bc_utf8.h"


/* Skips a string in checked text; p is at its opening quote. */

static const uint8_t *
bc_json_skip_string(const uint8_t *p, const uint8_t *last)
{
    p++;

    while (p < last) {
        p = bc_json_skip_checked(p, last);

        if (p == last) {
            break;
        }

        if (*p == '"') {
            return p + 1;
        }

        p += (last - p > 1) ? 2 : 1;
    }

    return last;
}


/* Skips a value in checked text. */

static const uint8_t *
bc_json_skip_value(const uint8_t *p, const uint8_t *last)
{
    size_t  depth;

    depth = 0;

    while (p < last) {

        switch (*p) {

        case '"':
            p = bc_json_skip_string(p, last);
            break;

        case '{':
        case '[':
            depth++;
            p++;
            continue;

        case '}':
        case ']':
            if (depth == 0) {
                return p;
            }

            depth--;
            p++;
            break;

        case ',':
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            if (depth == 0) {
                return p;
            }

            p++;
            continue;

        default:
            /* a number or a literal: skip to the delimiter */

            do {
                p++;
            } while (p < last && *p != ',' && *p != '}' && *p != ']'
                     && !bc_json_is_space(*p));
        }

        if (depth == 0) {
            return p;
        }
    }

    return last;
}


static int
bc_json_open(bc_json_iter_t *it, bc_span_t value, uint8_t open)
{
    const uint8_t  *p;

    it->pos = value.data;
    it->last = value.data;
    it->object = (open == '{');

    if (value.data == NULL) {
        return -1;
    }

    p = bc_json_skip_space(value.data, value.data + value.len);

    if (p == value.data + value.len || *p != open) {
        return -1;
    }

    it->pos = p + 1;
    it->last = value.data + value.len;

    return 0;
}


int
bc_json_object(bc_json_iter_t *it, bc_span_t value)
{
    return bc_json_open(it, value, '{');
}


int
bc_json_array(bc_json_iter_t *it, bc_span_t value)
{
    return bc_json_open(it, value, '[');
}


/*
 * Reads up to the next value.  Returns its beginning, or NULL when there is
 * none: the iterator is then at the end.
 */

static inline const uint8_t *
bc_json_next_begin(bc_json_iter_t *it, bc_span_t *key)
{
    const uint8_t  *p, *end, *last;

    last = it->last;
    p = bc_json_skip_space(it->pos, last);

    if (p < last && *p == ',') {
        p = bc_json_skip_space(p + 1, last);
    }

    if (p == last || *p == '}' || *p == ']') {
        it->pos = last;
        return NULL;
    }

    key->data = NULL;
    key->len = 0;

    if (it->object) {

        if (*p != '"') {
            it->pos = last;
            return NULL;
        }

        end = bc_json_skip_string(p, last);

        key->data = p + 1;
        key->len = (size_t) (end - p) - 1;

        p = bc_json_skip_space(end, last);

        /* a colon proves that the key is complete, with both quotes */

        if (p == last || *p != ':') {
            it->pos = last;
            return NULL;
        }

        key->len--;

        p = bc_json_skip_space(p + 1, last);
    }

    return p;
}


/* Takes the value between two positions. */

static inline int
bc_json_next_end(bc_json_iter_t *it, const uint8_t *p, const uint8_t *end,
    bc_span_t *value)
{
    if (end == p) {

        /*
         * No value, which cannot happen in checked text.  Callers rely on at
         * least one byte in a value, and the iterator must advance.
         */

        it->pos = it->last;
        return 0;
    }

    value->data = p;
    value->len = (size_t) (end - p);

    it->pos = end;

    return 1;
}


int
bc_json_next(bc_json_iter_t *it, bc_span_t *key, bc_span_t *value)
{
    const uint8_t  *p;

    p = bc_json_next_begin(it, key);

    return p != NULL
           && bc_json_next_end(it, p, bc_json_skip_value(p, it->last), value);
}


int
bc_json_pieces_open(bc_json_pieces_t *w, bc_span_t value, uint8_t open)
{
    w->value = NULL;

    return bc_json_open(&w->it, value, open);
}


/*
 * Goes on as bc_json_skip_value() does, up to `stop` or a little further.
 * Returns 1 when w->pos is the end of the value.
 */

static int
bc_json_pieces_skip(bc_json_pieces_t *w, const uint8_t *stop)
{
    const uint8_t  *p, *last;

    p = w->pos;
    last = w->it.last;

    while (p < stop) {

        if (w->string) {
            p = bc_json_skip_checked(p, stop);

            if (p == stop) {
                break;
            }

            if (*p != '"') {
                p += (last - p > 1) ? 2 : 1;
                continue;
            }

            w->string = 0;
            p++;

        } else if (*p == '"') {
            w->string = 1;
            p++;
            continue;

        } else if (*p == '{' || *p == '[') {
            w->depth++;
            p++;
            continue;

        } else if (*p == '}' || *p == ']') {

            if (w->depth == 0) {
                w->pos = p;
                return 1;
            }

            w->depth--;
            p++;

        } else if (*p == ',' || *p == ':' || bc_json_is_space(*p)) {

            if (w->depth == 0) {
                w->pos = p;
                return 1;
            }

            p++;
            continue;

        } else {

            do {
                p++;
            } while (p < last && *p != ',' && *p != '}' && *p != ']'
                     && !bc_json_is_space(*p));
        }

        if (w->depth == 0) {
            w->pos = p;
            return 1;
        }
    }

    w->pos = p;

    return p == last;
}


int
bc_json_next_piece(bc_json_pieces_t *w, bc_span_t *key, bc_span_t *value,
    size_t *len)
{
    int             done;
    size_t          n;
    const uint8_t  *from;

    from = w->pos;

    if (w->value == NULL) {
        from = w->it.pos;
        w->pos = bc_json_next_begin(&w->it, &w->key);

        if (w->pos == NULL) {
            return 0;
        }

        w->value = w->pos;
        w->depth = 0;
        w->string = 0;
    }

    n = (size_t) (w->it.last - w->pos);

    done = bc_json_pieces_skip(w, w->pos + (*len < n ? *len : n));

    n = (size_t) (w->pos - from);
    *len -= (n < *len) ? n : *len;

    if (!done) {
        *len = 0;
        return BC_JSON_AGAIN;
    }

    *key = w->key;
    from = w->value;
    w->value = NULL;

    return bc_json_next_end(&w->it, from, w->pos, value);
}


size_t
bc_json_char(const uint8_t **pos, const uint8_t *last, uint8_t out[4])
{
    int             i;
    size_t          n, bad;
    uint32_t        c, low;
    const uint8_t  *p;

    p = *pos;

    if (*p != '\\') {

        if (*p < 0x80) {
            *pos = p + 1;
            out[0] = *p;
            return 1;
        }

        n = bc_utf8_sequence(p, (size_t) (last - p), &bad);

        if (n == 0) {
            /* cannot happen in checked text */
            *pos = p + bad;
            c = 0xfffd;
            goto encode;
        }

        memcpy(out, p, n);
        *pos = p + n;

        return n;
    }

    p++;

    if (p == last) {
        *pos = p;
        out[0] = '\\';
        return 1;
    }

    c = *p++;

    switch (c) {

    case 'b':
        c = '\b';
        break;

    case 'f':
        c = '\f';
        break;

    case 'n':
        c = '\n';
        break;

    case 'r':
        c = '\r';
        break;

    case 't':
        c = '\t';
        break;

    case 'u':
        c = 0;

        for (i = 0; i < 4 && p < last; i++) {
            c = c << 4 | (uint32_t) (bc_json_hex(*p++) & 0xf);
        }

        if (c >= 0xd800 && c < 0xdc00
            && last - p >= 6 && p[0] == '\\' && p[1] == 'u')
        {
            low = 0;

            for (i = 2; i < 6; i++) {
                low = low << 4 | (uint32_t) (bc_json_hex(p[i]) & 0xf);
            }

            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
            }
        }

        if (c >= 0xd800 && c < 0xe000) {
            c = 0xfffd;
        }

        break;
    }

    *pos = p;

encode:

    if (c < 0x80) {
        out[0] = (uint8_t) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (uint8_t) (0xc0 | c >> 6);
        out[1] = (uint8_t) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (uint8_t) (0xe0 | c >> 12);
        out[1] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t) (0x80 | (c & 0x3f));
        return 3;
    }

    out[0] = (uint8_t) (0xf0 | c >> 18);
    out[1] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t) (0x80 | (c & 0x3f));

    return 4;
}


static int
bc_json_key_is(bc_span_t key, const char *name, size_t len)
{
    size_t          n;
    uint8_t         c[4];
    const uint8_t  *p, *last;

    if (memchr(key.data, '\\', key.len) == NULL) {
        return key.len == len && memcmp(key.data, name, len) == 0;
    }

    p = key.data;
    last = p + key.len;

    while (p < last) {
        n = bc_json_char(&p, last, c);

        if (n > len || memcmp(c, name, n) != 0) {
            return 0;
        }

        name += n;
        len -= n;
    }

    return len == 0;
}


int
bc_json_member(bc_span_t object, const char *name, bc_span_t *value)
{
    size_t          len;
    bc_span_t       key;
    bc_json_iter_t  it;

    if (bc_json_object(&it, object) != 0) {
        return 0;
    }

    len = strlen(name);

    while (bc_json_next(&it, &key, value)) {
        if (bc_json_key_is(key, name, len)) {
            return 1;
        }
    }

    return 0;
}


void
bc_json_members(bc_span_t object, const char *const *names, bc_span_t *values,
    size_t n)
{
    size_t          i, len, left;
    uint64_t        lengths;
    bc_span_t       key, value;
    bc_json_iter_t  it;

    memset(values, 0, n * sizeof(bc_span_t));

    if (bc_json_object(&it, object) != 0) {
        return;
    }

    /* most keys can be excluded by their length alone */

    lengths = 0;

    for (i = 0; i < n; i++) {
        len = strlen(names[i]);
        lengths |= (uint64_t) 1 << (len < 63 ? len : 63);
    }

    left = n;

    while (left != 0 && bc_json_next(&it, &key, &value)) {

        if (!(lengths >> (key.len < 63 ? key.len : 63) & 1)
            && memchr(key.data, '\\', key.len) == NULL)
        {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (values[i].data == NULL
                && bc_json_key_is(key, names[i], strlen(names[i])))
            {
                values[i] = value;
                left--;
                break;
            }
        }
    }
}


int
bc_json_members_piece(bc_json_pieces_t *w, const char *const *names,
    bc_span_t *values, size_t n, size_t *len)
{
    int        rc;
    size_t     i, left;
    bc_span_t  key, value;

    left = 0;

    for (i = 0; i < n; i++) {
        left += (values[i].data == NULL);
    }

    while (left != 0) {

        if (*len == 0) {
            return BC_JSON_AGAIN;
        }

        rc = bc_json_next_piece(w, &key, &value, len);

        if (rc != 1) {
            return rc;
        }

        for (i = 0; i < n; i++) {
            if (values[i].data == NULL
                && bc_json_key_is(key, names[i], strlen(names[i])))
            {
                values[i] = value;
                left--;
                break;
            }
        }
    }

    return 0;
}


int
bc_json_string(bc_span_t value, uint8_t *dst, size_t size, size_t *len)
{
    size_t          n, room;
    uint8_t         c[4];
    const uint8_t  *p, *last;

    *len = 0;

    if (value.len < 2 || value.data[0] != '"'
        || value.data[value.len - 1] != '"')
    {
        return -1;
    }

    p = value.data + 1;
    last = value.data + value.len - 1;
    room = size;

    while (p < last) {
        n = bc_json_char(&p, last, c);

        if (n > room) {
            *len = size - room;
            return -2;
        }

        memcpy(dst, c, n);
        dst += n;
        room -= n;
    }

    *len = size - room;

    return 0;
}


/*
 * Returns the letter of a short escape, 'u' for \u00XX, or 0 when c needs no
 * escape.
 */

static uint8_t
bc_json_escape_letter(uint8_t c)
{
    switch (c) {

    case '"':
    case '\\':
        return c;

    case '\b':
        return 'b';

    case '\f':
        return 'f';

    case '\n':
        return 'n';

    case '\r':
        return 'r';

    case '\t':
        return 't';
    }

    return (c < 0x20 || c == 0x7f) ? 'u' : 0;
}


/* Tells whether a non-ASCII character is escaped: C1, U+2028, U+2029. */

static int
bc_json_escape_wide(const uint8_t *s, size_t n)
{
    return (n == 2) ? s[0] == 0xc2 && s[1] < 0xa0
                    : n == 3 && s[0] == 0xe2 && s[1] == 0x80
                      && (s[2] & 0xfe) == 0xa8;
}


size_t
bc_json_escape_len(const uint8_t *s, size_t len)
{
    size_t          n, bad, size;
    uint8_t         letter;
    const uint8_t  *last;

    size = 0;
    last = s + len;

    while (s < last) {

        if (*s >= 0x80) {
            n = bc_utf8_sequence(s, (size_t) (last - s), &bad);
            size += (n == 0) ? 3 : bc_json_escape_wide(s, n) ? 6 : n;
            s += (n != 0) ? n : bad;
            continue;
        }

        letter = bc_json_escape_letter(*s++);
        size += (letter == 0) ? 1 : (letter == 'u') ? 6 : 2;
    }

    return size;
}


uint8_t *
bc_json_escape(uint8_t *dst, const uint8_t *s, size_t len)
{
    size_t          n, bad;
    uint8_t         letter;
    const uint8_t  *last;

    static const char  hex[] = "0123456789abcdef";

    last = s + len;

    while (s < last) {

        if (*s >= 0x80) {
            n = bc_utf8_sequence(s, (size_t) (last - s), &bad);

            if (n != 0 && bc_json_escape_wide(s, n)) {
                memcpy(dst, (n == 2) ? "\\u00" : "\\u202", (n == 2) ? 4 : 5);
                dst += (n == 2) ? 4 : 5;

                if (n == 2) {
                    *dst++ = (uint8_t) hex[s[1] >> 4];
                }

                *dst++ = (uint8_t) hex[s[n - 1] & 0xf];
                s += n;

            } else if (n != 0) {
                memcpy(dst, s, n);
                dst += n;
                s += n;

            } else {
                memcpy(dst, "\xef\xbf\xbd", 3);
                dst += 3;
                s += bad;
            }

            continue;
        }

        letter = bc_json_escape_letter(*s);

        if (letter == 0) {
            *dst++ = *s++;
            continue;
        }

        *dst++ = '\\';
        *dst++ = letter;

        if (letter == 'u') {
            *dst++ = '0';
            *dst++ = '0';
            *dst++ = (uint8_t) hex[*s >> 4];
            *dst++ = (uint8_t) hex[*s & 0xf];
        }

        s++;
    }

    return dst;
}
