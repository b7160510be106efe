
/*
 * The gate: checks that data to be published, or read from the state file, is
 * valid JSON and not nested deeper than replies of nodes may be.
 */


#include "ngx_http_blockcast_gate.h"
#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_text.h"


/* printed by libjq instead of values that are nested too deeply for it */
static const char  ngx_http_blockcast_stripped[] = "<stripped";


ngx_int_t
ngx_http_blockcast_gate_check(ngx_str_t *text, const char *what, u_char *buf,
    size_t size, ngx_str_t *error)
{
    size_t       at;
    const char  *why;

    if (bc_json_check_why(text->data, text->len, BC_JSONRPC_MAX_DEPTH, &at,
                          &why)
        == 0)
    {
        return NGX_OK;
    }

    if (error == NULL) {
        return NGX_ERROR;
    }

    error->data = buf;

    if (text->len - at >= sizeof(ngx_http_blockcast_stripped) - 1
        && ngx_memcmp(text->data + at, ngx_http_blockcast_stripped,
                      sizeof(ngx_http_blockcast_stripped) - 1)
           == 0)
    {
        error->len = ngx_snprintf(buf, size, "%s is nested deeper than libjq "
                                  "prints (256 levels)", what)
                     - buf;

    } else {
        error->len = ngx_snprintf(buf, size, "%s is not valid JSON: %s at "
                                  "offset %uz", what, why, at)
                     - buf;
    }

    return NGX_ERROR;
}


void
ngx_http_blockcast_gate_printable(ngx_str_t *text, u_char *buf, size_t size)
{
    text->len = bc_text_print(buf, size, text->data, text->len);
    text->data = buf;
}
