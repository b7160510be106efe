
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_http.h"

#include <string.h>


/* the base64 of 16 bytes */
#define BC_HTTP_WS_KEY_LEN  24


static uint8_t
bc_http_lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t) (c | 0x20) : c;
}


static int
bc_http_is_alnum(uint8_t c)
{
    uint8_t  l;

    l = bc_http_lower(c);

    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}


static int
bc_http_is_tchar(uint8_t c)
{
    return bc_http_is_alnum(c)
           || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


int
bc_http_ws_key_valid(const uint8_t *p, size_t len)
{
    size_t  i;

    if (len != BC_HTTP_WS_KEY_LEN || p[len - 1] != '=' || p[len - 2] != '=') {
        return 0;
    }

    for (i = 0; i < BC_HTTP_WS_KEY_LEN - 2; i++) {
        if (!bc_http_is_alnum(p[i]) && p[i] != '+' && p[i] != '/') {
            return 0;
        }
    }

    return 1;
}


int
bc_http_list_next(const uint8_t **pos, const uint8_t *last, bc_span_t *item)
{
    int             quoted;
    const uint8_t  *p, *end;

    p = *pos;

    while (p < last && (*p == ',' || *p == ' ' || *p == '\t')) {
        p++;
    }

    item->data = p;
    item->len = 0;

    if (p == last) {
        *pos = p;
        return 0;
    }

    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted && *p == '\\' && last - p > 1) {
            p++;

        } else if (!quoted && *p == ',') {
            break;
        }
    }

    *pos = p;

    for (end = p; end[-1] == ' ' || end[-1] == '\t'; end--) {
        /* stops at the latest at the element's first byte, not a space */
    }

    item->len = (size_t) (end - item->data);

    return 1;
}


int
bc_http_has_token(const uint8_t *value, size_t len, const char *token)
{
    size_t          i, n;
    bc_span_t       item;
    const uint8_t  *last;

    n = strlen(token);
    last = value + len;

    while (bc_http_list_next(&value, last, &item)) {

        if (item.len != n) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (bc_http_lower(item.data[i])
                != bc_http_lower((uint8_t) token[i]))
            {
                break;
            }
        }

        if (i == n) {
            return 1;
        }
    }

    return 0;
}


int
bc_http_token(const uint8_t **pos, const uint8_t *last, bc_span_t *token)
{
    const uint8_t  *p;

    p = *pos;

    while (p < last && bc_http_is_tchar(*p)) {
        p++;
    }

    token->data = *pos;
    token->len = (size_t) (p - *pos);
    *pos = p;

    return token->len != 0;
}
