
/*
 * blockcast_head: the WebSocket to a node, and the streams that use it.
 *
 * Error messages never quote the whole URL: that of a hosted node has an API
 * key in its path.
 */


#include "ngx_http_blockcast_conf_head.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_link.h"
#include "bc_head_msg.h"
#include "bc_utf8.h"


/* the longest message (bytes), and the most messages of a head */
#define NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGE  4096
#define NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGES 16


static const ngx_http_blockcast_link_tls_t  ngx_http_blockcast_head_tls = {
    "blockcast_head", "wss://", "node"
};


static ngx_int_t ngx_http_blockcast_conf_head_url(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *url, ngx_uint_t *tls);
static ngx_int_t ngx_http_blockcast_conf_head_param(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *word, ngx_str_t *ca);
static ngx_int_t ngx_http_blockcast_conf_head_time(ngx_conf_t *cf,
    ngx_str_t *word, ngx_str_t *value, ngx_msec_t *msec);
static ngx_int_t ngx_http_blockcast_conf_head_credential(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *file, ngx_uint_t basic);
static ngx_int_t ngx_http_blockcast_conf_head_tls(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *ca);
static ngx_int_t ngx_http_blockcast_conf_head_text(ngx_conf_t *cf,
    ngx_str_t *text);
static ngx_int_t ngx_http_blockcast_conf_head_message(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *text);


char *
ngx_http_blockcast_conf_head_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_str_t                       *word, ca;
    ngx_uint_t                       i, tls;
    ngx_http_blockcast_head_t       *head, **slot;
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (blcf->head != NULL) {
        return "is duplicate";
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);

    head = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_head_t));
    slot = ngx_array_push(&bmcf->heads);

    if (head == NULL || slot == NULL
        || ngx_array_init(&head->messages, cf->pool, 2,
                          sizeof(ngx_http_blockcast_head_message_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    *slot = head;
    blcf->head = head;

    head->place = blcf;
    head->file = cf->conf_file->file.name.data;
    head->line = cf->conf_file->line;
    head->ping = NGX_CONF_UNSET_MSEC;
    head->timeout = NGX_CONF_UNSET_MSEC;

    word = cf->args->elts;
    ngx_str_null(&ca);

    if (ngx_http_blockcast_conf_head_url(cf, head, &word[1], &tls) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_blockcast_conf_head_param(cf, head, &word[i], &ca)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_init_msec_value(head->ping, 15000);
    ngx_conf_init_msec_value(head->timeout, 10000);

    if (tls) {
        if (ngx_http_blockcast_conf_head_tls(cf, head, &ca) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (ca.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ca=%V\" of blockcast_head is for wss:// alone",
                           &ca);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Parses the URL and resolves its host.  Logs why it returns NGX_ERROR. */

static ngx_int_t
ngx_http_blockcast_conf_head_url(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *url, ngx_uint_t *tls)
{
    u_char      *p, *last, *path;
    ngx_url_t    u;
    ngx_str_t    rest;
    const char  *wrong;

    rest = *url;
    wrong = NULL;

    if (rest.len > 5 && ngx_strncasecmp(rest.data, (u_char *) "ws://", 5) == 0)
    {
        *tls = 0;
        rest.data += 5;
        rest.len -= 5;

    } else if (rest.len > 6
               && ngx_strncasecmp(rest.data, (u_char *) "wss://", 6) == 0)
    {
        *tls = 1;
        rest.data += 6;
        rest.len -= 6;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the URL of blockcast_head must begin with ws:// "
                           "or wss://");
        return NGX_ERROR;
    }

    last = rest.data + rest.len;

    for (p = rest.data; p < last && wrong == NULL; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '"') {
            wrong = "has a character that must be percent-encoded";

        } else if (*p == '#') {
            wrong = "has a fragment (#), which no server is told";
        }
    }

    for (path = rest.data; path < last && *path != '/' && *path != '?'; path++)
    {
        if (*path == '@') {
            wrong = "has a user or a password in it: basic=FILE is for that";
        }
    }

    if (wrong != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the URL of blockcast_head %s", wrong);
        return NGX_ERROR;
    }

    head->host.data = rest.data;
    head->host.len = path - rest.data;

    head->uri.len = last - path;
    head->uri.data = ngx_pnalloc(cf->pool, head->uri.len + 1);

    if (head->uri.data == NULL) {
        return NGX_ERROR;
    }

    p = head->uri.data;

    if (path == last || *path == '?') {
        *p++ = '/';
        head->uri.len++;
    }

    ngx_memcpy(p, path, last - path);

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = head->host;
    u.default_port = *tls ? 443 : 80;

    if (ngx_strncasecmp(u.url.data, (u_char *) "unix:", 5) == 0
        || ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in the host \"%V\" of blockcast_head",
                           u.err ? u.err : "no address", &head->host);
        return NGX_ERROR;
    }

    head->addrs = u.addrs;
    head->naddrs = u.naddrs;

    /* OpenSSL needs a NUL-terminated string */

    head->name.len = u.host.len;
    head->name.data = ngx_pnalloc(cf->pool, u.host.len + 1);
    head->peer.data = ngx_pnalloc(cf->pool, u.host.len + 1 + NGX_INT_T_LEN);

    if (head->name.data == NULL || head->peer.data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(head->name.data, u.host.data, u.host.len) = '\0';

    head->peer.len = ngx_sprintf(head->peer.data, "%V:%ui", &u.host,
                                 (ngx_uint_t) u.port)
                     - head->peer.data;

    return NGX_OK;
}


/* Sets a parameter that follows the URL.  Logs why it returns NGX_ERROR. */

static ngx_int_t
ngx_http_blockcast_conf_head_param(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *word, ngx_str_t *ca)
{
    u_char     *p;
    ngx_str_t   value;

    if (ngx_http_blockcast_conf_read_param(word, "message=", &value)) {
        if (ngx_http_blockcast_conf_head_text(cf, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        return (ngx_http_blockcast_conf_head_message(cf, head, &value)
                == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "ca=", &value)) {
        *ca = value;
        return NGX_OK;
    }

    if (ngx_http_blockcast_conf_read_param(word, "bearer=", &value)) {
        return ngx_http_blockcast_conf_head_credential(cf, head, &value, 0);
    }

    if (ngx_http_blockcast_conf_read_param(word, "basic=", &value)) {
        return ngx_http_blockcast_conf_head_credential(cf, head, &value, 1);
    }

    if (ngx_http_blockcast_conf_read_param(word, "ping=", &value)) {
        return ngx_http_blockcast_conf_head_time(cf, word, &value,
                                                 &head->ping);
    }

    if (ngx_http_blockcast_conf_read_param(word, "timeout=", &value)) {
        return ngx_http_blockcast_conf_head_time(cf, word, &value,
                                                 &head->timeout);
    }

    if (ngx_http_blockcast_conf_read_param(word, "host=", &value)
        && value.len != 0)
    {
        for (p = value.data; p < value.data + value.len; p++) {
            if (*p <= ' ' || *p >= 0x7f || *p == '/' || *p == '@') {
                break;
            }
        }

        if (p == value.data + value.len) {
            head->host = value;

            /* the certificate must be for that name, too */

            p = (value.data[0] == '[')
                ? ngx_strlchr(value.data, p, ']') : value.data;
            p = (p != NULL) ? ngx_strlchr(p, value.data + value.len, ':')
                            : NULL;

            head->name.len = (p != NULL) ? (size_t) (p - value.data)
                                         : value.len;
            head->name.data = ngx_pnalloc(cf->pool, head->name.len + 1);

            if (head->name.data == NULL) {
                return NGX_ERROR;
            }

            *ngx_cpymem(head->name.data, value.data, head->name.len) = '\0';

            return NGX_OK;
        }
    }

    /* do not log the value: it may be a secret */

    p = ngx_strlchr(word->data, word->data + word->len, '=');

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%*s\" of blockcast_head",
                       (p != NULL) ? (size_t) (p - word->data) : word->len,
                       word->data);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_blockcast_conf_head_time(ngx_conf_t *cf, ngx_str_t *word,
    ngx_str_t *value, ngx_msec_t *msec)
{
    ngx_int_t  n;

    n = ngx_http_blockcast_conf_read_within(value,
                                 ngx_http_blockcast_conf_time, 100, 600000);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of blockcast_head must be a time from "
                           "100ms to 10m", word);
        return NGX_ERROR;
    }

    *msec = n;

    return NGX_OK;
}


/*
 * Reads a credential from a file: a token, or USER:PASSWORD.  It never appears
 * in a message.  Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_head_credential(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *file, ngx_uint_t basic)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   text, encoded;

    if (head->authorization.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_head has a second credential");
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_conf_read_file(cf, "the head at", &head->peer, file,
                                          &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    while (text.len != 0
           && (text.data[text.len - 1] == '\n'
               || text.data[text.len - 1] == '\r'))
    {
        text.len--;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7f
            || (!basic && (text.data[i] == ' ' || text.data[i] > 0x7f)))
        {
            break;
        }
    }

    if (text.len == 0 || text.len > 4096 || i != text.len
        || (basic && ngx_strlchr(text.data, text.data + text.len, ':')
                     == NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of blockcast_head must be one line, %s",
                           file, basic ? "USER:PASSWORD" : "a token");
        return NGX_ERROR;
    }

    head->authorization.data = ngx_pnalloc(cf->pool, sizeof("Bearer ")
                                           + ngx_base64_encoded_length(
                                                               text.len));
    if (head->authorization.data == NULL) {
        return NGX_ERROR;
    }

    if (basic) {
        p = ngx_cpymem(head->authorization.data, "Basic ", 6);

        encoded.data = p;
        ngx_encode_base64(&encoded, &text);
        head->authorization.len = p + encoded.len - head->authorization.data;

    } else {
        p = ngx_cpymem(head->authorization.data, "Bearer ", 7);
        p = ngx_cpymem(p, text.data, text.len);
        head->authorization.len = p - head->authorization.data;
    }

    ngx_explicit_memzero(text.data, text.len);

    return NGX_OK;
}


/*
 * Prepares TLS; certificates are always checked.  Logs why it returns
 * NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_head_tls(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *ca)
{
    if (head->name.data[0] == '['
        || ngx_inet_addr(head->name.data, head->name.len) != INADDR_NONE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_head needs host=NAME, the name in the "
                           "certificate of %V: that is an address",
                           &head->peer);
        return NGX_ERROR;
    }

    head->ssl = ngx_http_blockcast_link_tls(cf, &ngx_http_blockcast_head_tls,
                                            ca);

    return (head->ssl != NULL) ? NGX_OK : NGX_ERROR;
}


/* Checks a message to be sent to a node.  Logs why it returns NGX_ERROR. */

static ngx_int_t
ngx_http_blockcast_conf_head_text(ngx_conf_t *cf, ngx_str_t *text)
{
    uint32_t       utf8;
    bc_head_msg_t  msg;

    utf8 = BC_UTF8_START;

    if (text->len == 0 || text->len > NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGE
        || bc_utf8_feed(&utf8, text->data, text->len) != 0
        || !bc_utf8_done(utf8))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the message of blockcast_head must be 1 to %d "
                           "bytes of valid UTF-8",
                           NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGE);
        return NGX_ERROR;
    }

    if ((text->data[0] == '{' || text->data[0] == '[')
        && bc_head_msg_read(text->data, text->len, &msg) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the message of blockcast_head begins like JSON, "
                           "and is not valid JSON");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Returns the index of a message in the head's list; adds it if it is new.
 * Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_head_message(ngx_conf_t *cf,
    ngx_http_blockcast_head_t *head, ngx_str_t *text)
{
    ngx_uint_t                          i;
    bc_head_msg_t                       msg;
    ngx_http_blockcast_head_message_t  *message;

    (void) bc_head_msg_read(text->data, text->len, &msg);

    message = head->messages.elts;

    for (i = 0; i < head->messages.nelts; i++) {

        if (message[i].text.len == text->len
            && ngx_memcmp(message[i].text.data, text->data, text->len) == 0)
        {
            return i;
        }

        if (msg.id.data != NULL && message[i].id.len == msg.id.len
            && ngx_memcmp(message[i].id.data, msg.id.data, msg.id.len) == 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "two messages of the blockcast_head in %s:%ui have "
                          "the same id %V: their answers could not be told "
                          "apart", head->file, head->line, &message[i].id);
            return NGX_ERROR;
        }
    }

    if (i == NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGES) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the blockcast_head in %s:%ui has more than %d messages",
                      head->file, head->line,
                      NGX_HTTP_BLOCKCAST_CONF_HEAD_MESSAGES);
        return NGX_ERROR;
    }

    message = ngx_array_push(&head->messages);
    if (message == NULL) {
        return NGX_ERROR;
    }

    message->text = *text;
    ngx_str_null(&message->id);

    if (msg.kind == BC_HEAD_MSG_CALL && msg.id.data != NULL) {
        message->id.data = (u_char *) msg.id.data;
        message->id.len = msg.id.len;
    }

    return i;
}


char *
ngx_http_blockcast_conf_head_stream(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_int_t    msec;
    ngx_str_t   *word, value;
    ngx_uint_t   i;

    if (st->head != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    word = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(word[1].data, "off") == 0) {
        st->head = 0;
        return NGX_CONF_OK;
    }

    st->head = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_blockcast_conf_read_param(&word[i], "message=", &value)) {

            if (ngx_http_blockcast_conf_head_text(cf, &value) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            st->head_text = value;

        } else if (ngx_http_blockcast_conf_read_param(&word[i], "result=",
                                                      &value)
                   && value.len != 0)
        {
            st->head_result = value;

        } else if (ngx_http_blockcast_conf_read_param(&word[i], "apart=",
                                                      &value))
        {
            msec = ngx_http_blockcast_conf_read_within(&value,
                                  ngx_http_blockcast_conf_time, 50, 600000);

            if (msec == NGX_ERROR) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" of blockcast_head in stream "
                                   "\"%V\" must be a time from 50ms to 10m",
                                   &word[i], &st->name);
                return NGX_CONF_ERROR;
            }

            st->apart = msec;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of blockcast_head "
                               "in stream \"%V\"; a URL is for the location "
                               "of its node", &word[i], &st->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_blockcast_conf_head_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *call;

    st->head_call = -1;
    st->head_message = -1;

    if (st->head_result.len == 0) {
        return NGX_OK;
    }

    call = st->calls.elts;

    for (i = 0; i < st->calls.nelts; i++) {
        if (call[i].name.len == st->head_result.len
            && ngx_memcmp(call[i].name.data, st->head_result.data,
                          call[i].name.len)
               == 0)
        {
            break;
        }
    }

    if (i == st->calls.nelts || call[i].each != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"result=%V\" of blockcast_head in stream \"%V\" "
                           "must name one of its calls, without each=",
                           &st->head_result, &st->name);
        return NGX_ERROR;
    }

    st->head_call = i;

    return NGX_OK;
}


/*
 * Selects the streams of a head: those that ask for it, or, if no stream
 * mentions it, all of its node.
 */

static ngx_int_t
ngx_http_blockcast_conf_head_streams(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_head_t *head)
{
    ngx_uint_t                     i, any;
    ngx_http_blockcast_stream_t  **st;

    any = 0;
    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {

        if (st[i]->node != head->node || st[i]->head == NGX_CONF_UNSET) {
            continue;
        }

        any = 1;

        if (st[i]->head && st[i]->head_text.len != 0) {
            st[i]->head_message = ngx_http_blockcast_conf_head_message(
                                                 cf, head, &st[i]->head_text);

            if (st[i]->head_message == NGX_ERROR) {
                return NGX_ERROR;
            }
        }
    }

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (st[i]->node == head->node && st[i]->head == NGX_CONF_UNSET) {
            st[i]->head = !any;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_conf_head_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_head_t     *head, **heads;
    ngx_http_blockcast_stream_t  **st;

    heads = bmcf->heads.elts;

    for (i = 0; i < bmcf->heads.nelts; i++) {
        head = heads[i];

        if (head->place->node == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "blockcast_head in %s:%ui needs a blockcast_node in "
                          "the same location: it is a head of that node",
                          head->file, head->line);
            return NGX_ERROR;
        }

        head->node = head->place->node;
        head->node->head = head;

        if (ngx_http_blockcast_conf_head_streams(cf, bmcf, head) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (st[i]->node->head == NULL) {
            st[i]->head = 0;
        }
    }

    return NGX_OK;
}
