
/*
 * Clients that ask for keys whose form is not known yet: their message or
 * request waits for the form, and is handled then.
 */


#include "ngx_http_blockcast_key_wait.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_held_request.h"


typedef struct {
    ngx_http_blockcast_held_request_t    held;      /* must be first: cast */
    ngx_http_blockcast_key_form_wait_t  *wait;      /* NULL: done */
    uint64_t                             tried;
} ngx_http_blockcast_key_request_t;


static void ngx_http_blockcast_key_wait_event(ngx_event_t *ev);


/* messages that wait, by connection: few at a time, and for moments */
static ngx_rbtree_t       ngx_http_blockcast_key_messages;
static ngx_rbtree_node_t  ngx_http_blockcast_key_message_sentinel;

/* streams that the current request has already waited for, as bits */
static uint64_t           ngx_http_blockcast_key_wait_tried;


static void
ngx_http_blockcast_key_wait_formed(void *data)
{
    ngx_http_blockcast_key_message_t  *m = data;

    m->wait = NULL;

    ngx_post_event(m->conn->connection->read, &ngx_posted_events);
}


ngx_int_t
ngx_http_blockcast_key_wait_message(ngx_http_blockcast_conn_t *conn,
    unsigned type, const u_char *data, size_t len, uint64_t tried)
{
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_key_message_t  *m;

    m = ngx_alloc(offsetof(ngx_http_blockcast_key_message_t, data) + len,
                  ngx_cycle->log);
    if (m == NULL) {
        return NGX_DECLINED;
    }

    m->conn = conn;
    m->type = type;
    m->len = len;
    ngx_memcpy(m->data, data, len);

    m->wait = ngx_http_blockcast_key_form_run(
                                ngx_http_blockcast_key_wait_formed, m, &st);
    if (m->wait == NULL) {
        ngx_free(m);
        return NGX_DECLINED;
    }

    m->tried = tried | ((uint64_t) 1 << st->index);

    if (ngx_http_blockcast_key_messages.root == NULL) {
        ngx_rbtree_init(&ngx_http_blockcast_key_messages,
                        &ngx_http_blockcast_key_message_sentinel,
                        ngx_rbtree_insert_value);
    }

    m->node.key = (ngx_rbtree_key_t) (uintptr_t) conn;
    ngx_rbtree_insert(&ngx_http_blockcast_key_messages, &m->node);

    conn->forming = 1;

    return NGX_OK;
}


static ngx_http_blockcast_key_message_t *
ngx_http_blockcast_key_wait_find(ngx_http_blockcast_conn_t *conn)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) (uintptr_t) conn;
    node = ngx_http_blockcast_key_messages.root;

    while (node->key != key) {
        node = (key < node->key) ? node->left : node->right;
    }

    return (ngx_http_blockcast_key_message_t *) node;
}


ngx_http_blockcast_key_message_t *
ngx_http_blockcast_key_wait_take(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_key_message_t  *m;

    m = ngx_http_blockcast_key_wait_find(conn);

    if (m->wait != NULL) {
        return NULL;
    }

    ngx_rbtree_delete(&ngx_http_blockcast_key_messages, &m->node);
    conn->forming = 0;

    return m;
}


void
ngx_http_blockcast_key_wait_drop(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_key_message_t  *m;

    if (!conn->forming) {
        return;
    }

    m = ngx_http_blockcast_key_wait_find(conn);

    if (m->wait != NULL) {
        ngx_http_blockcast_key_form_leave(m->wait);
    }

    ngx_rbtree_delete(&ngx_http_blockcast_key_messages, &m->node);
    conn->forming = 0;

    ngx_free(m);
}


void
ngx_http_blockcast_key_wait_begin(void)
{
    ngx_http_blockcast_key_form_gather(ngx_http_blockcast_key_wait_tried);
}


static void
ngx_http_blockcast_key_wait_over(void *data)
{
    ngx_http_blockcast_key_request_t  *kr = data;

    kr->wait = NULL;

    ngx_http_blockcast_held_request_post(&kr->held);
}


static void
ngx_http_blockcast_key_wait_cleanup(void *data)
{
    ngx_http_blockcast_key_request_t  *kr = data;

    if (kr->wait != NULL) {
        ngx_http_blockcast_key_form_leave(kr->wait);
        kr->wait = NULL;
    }
}


ngx_int_t
ngx_http_blockcast_key_wait_request(ngx_http_request_t *r)
{
    ngx_http_cleanup_t                *cln;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_refusal_t       refusal;
    ngx_http_blockcast_key_request_t  *kr;

    if (ngx_http_blockcast_key_form_wanted() == 0) {
        return NGX_OK;
    }

    if (r != r->main || r->post_action
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL
        || ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK)
    {
        /* this request cannot wait, but later ones will find the forms */

        (void) ngx_http_blockcast_key_form_run(NULL, NULL, &st);
        return NGX_OK;
    }

    kr = ngx_http_blockcast_held_request_create(r,
                                     sizeof(ngx_http_blockcast_key_request_t),
                                     NGX_HTTP_BLOCKCAST_LONGPOLL,
                                     ngx_http_blockcast_key_wait_event);
    cln = ngx_http_cleanup_add(r, 0);

    if (kr == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    kr->wait = ngx_http_blockcast_key_form_run(
                                 ngx_http_blockcast_key_wait_over, kr, &st);

    if (kr->wait == NULL) {

        /* they cannot be formed now: the keys are refused */

        ngx_http_set_ctx(r, NULL, ngx_http_blockcast_module);
        return NGX_OK;
    }

    kr->tried = ngx_http_blockcast_key_wait_tried
                | ((uint64_t) 1 << st->index);

    cln->handler = ngx_http_blockcast_key_wait_cleanup;
    cln->data = kr;

    ngx_http_blockcast_held_request_hold(&kr->held,
                                         ngx_http_request_empty_handler);

    return NGX_DONE;
}


static void
ngx_http_blockcast_key_wait_event(ngx_event_t *ev)
{
    ngx_int_t                          rc;
    ngx_connection_t                  *c;
    ngx_http_request_t                *r;
    ngx_http_blockcast_key_request_t  *kr;

    kr = ev->data;
    r = kr->held.conn.request;
    c = r->connection;

    if (kr->wait != NULL && !ev->timedout) {

        /* the epoch has changed, which does not matter to keys */
        return;
    }

    /* clear the context: the request may have to wait for something else */

    ngx_http_set_ctx(r, NULL, ngx_http_blockcast_module);

    ngx_http_blockcast_key_wait_tried = kr->tried;
    rc = ngx_http_blockcast_held_request_again(&kr->held);
    ngx_http_blockcast_key_wait_tried = 0;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
