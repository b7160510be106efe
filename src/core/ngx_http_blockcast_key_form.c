
/*
 * Keys as sent, and their canonical forms as returned by the form= program:
 * what a worker remembers of these, and what it has to find out.
 */


#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast.h"
#include "bc_siphash.h"


/* keys that a worker remembers; a single message has fewer */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_KEPT   4096

/* msec before a failed key is tried again */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_PAUSE  1000

#define NGX_HTTP_BLOCKCAST_KEY_FORM_ROOM                                      \
    (NGX_HTTP_BLOCKCAST_KEY_FORM_KEYS * (NGX_HTTP_BLOCKCAST_KEY_LEN + 3) + 2)


typedef struct {
    ngx_rbtree_node_t   node;           /* node.key is a hash */
    ngx_queue_t         queue;          /* most recently used first */
    ngx_uint_t          stream;         /* index */
    ngx_int_t           rc;             /* to be returned by _find() */
    ngx_msec_t          made;
    size_t              len;
    size_t              form_len;
    u_char              text[NGX_HTTP_BLOCKCAST_KEY_LEN];
    u_char              form[NGX_HTTP_BLOCKCAST_KEY_FORM_WHY];
} ngx_http_blockcast_key_form_t;


/* the table, which is created for the first key */
static ngx_http_blockcast_key_form_t  *ngx_http_blockcast_key_forms;
static ngx_uint_t         ngx_http_blockcast_key_nforms;
static ngx_rbtree_t       ngx_http_blockcast_key_form_tree;
static ngx_rbtree_node_t  ngx_http_blockcast_key_form_sentinel;
static ngx_queue_t        ngx_http_blockcast_key_form_used;
static uint64_t           ngx_http_blockcast_key_form_seed[2];

/* the keys noted for the current message */
static struct {
    uint64_t                       tried;
    ngx_http_blockcast_stream_t   *stream;
    ngx_uint_t                     n;
    size_t                         len;
    u_char                        *keys;        /* a JSON array without its
                                                   end, or NULL */
} ngx_http_blockcast_key_gather;


void
ngx_http_blockcast_key_form_reset(void)
{
    if (ngx_http_blockcast_key_forms != NULL) {
        ngx_free(ngx_http_blockcast_key_forms);
        ngx_http_blockcast_key_forms = NULL;
    }

    ngx_http_blockcast_key_form_gather(0);
}


static uint64_t
ngx_http_blockcast_key_form_hash(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text)
{
    uint64_t  seed[2];

    seed[0] = ngx_http_blockcast_key_form_seed[0];
    seed[1] = ngx_http_blockcast_key_form_seed[1] + st->index;

    return bc_siphash(seed, text->data, text->len);
}


static ngx_http_blockcast_key_form_t *
ngx_http_blockcast_key_form_lookup(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text)
{
    ngx_rbtree_key_t                hash;
    ngx_rbtree_node_t              *node;
    ngx_http_blockcast_key_form_t  *f;

    if (ngx_http_blockcast_key_forms == NULL) {
        return NULL;
    }

    hash = (ngx_rbtree_key_t) ngx_http_blockcast_key_form_hash(st, text);
    node = ngx_http_blockcast_key_form_tree.root;

    while (node != ngx_http_blockcast_key_form_tree.sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        f = (ngx_http_blockcast_key_form_t *) node;

        /* of two keys with the same hash (very rare) only one is found */

        return (f->stream == st->index && f->len == text->len
                && ngx_memcmp(f->text, text->data, text->len) == 0)
               ? f : NULL;
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_key_form_find(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *form)
{
    ngx_http_blockcast_key_form_t  *f;

    f = ngx_http_blockcast_key_form_lookup(st, text);

    if (f == NULL) {
        ngx_str_null(form);
        return NGX_AGAIN;
    }

    ngx_queue_remove(&f->queue);
    ngx_queue_insert_head(&ngx_http_blockcast_key_form_used, &f->queue);

    form->data = f->form;
    form->len = f->form_len;

    return f->rc;
}


/* Creates the table.  Returns NGX_ERROR without memory. */

static ngx_int_t
ngx_http_blockcast_key_form_table(void)
{
    ngx_uint_t  i;

    if (ngx_http_blockcast_key_forms != NULL) {
        return NGX_OK;
    }

    ngx_http_blockcast_key_forms = ngx_alloc(NGX_HTTP_BLOCKCAST_KEY_FORM_KEPT
                                 * sizeof(ngx_http_blockcast_key_form_t),
                                 ngx_cycle->log);

    if (ngx_http_blockcast_key_forms == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 4; i++) {
        ngx_http_blockcast_key_form_seed[i / 2] =
                                  ngx_http_blockcast_key_form_seed[i / 2] << 31
                                  ^ (uint64_t) ngx_random();
    }

    ngx_http_blockcast_key_nforms = 0;

    ngx_rbtree_init(&ngx_http_blockcast_key_form_tree,
                    &ngx_http_blockcast_key_form_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&ngx_http_blockcast_key_form_used);

    return NGX_OK;
}


void
ngx_http_blockcast_key_form_keep(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_int_t rc, ngx_str_t *form)
{
    ngx_http_blockcast_key_form_t  *f;

    if (text->len > NGX_HTTP_BLOCKCAST_KEY_LEN
        || ngx_http_blockcast_key_form_table() != NGX_OK)
    {
        return;
    }

    f = ngx_http_blockcast_key_form_lookup(st, text);

    if (f != NULL) {
        ngx_queue_remove(&f->queue);
        ngx_rbtree_delete(&ngx_http_blockcast_key_form_tree, &f->node);

    } else if (ngx_http_blockcast_key_nforms
               < NGX_HTTP_BLOCKCAST_KEY_FORM_KEPT)
    {
        f = &ngx_http_blockcast_key_forms[ngx_http_blockcast_key_nforms++];

    } else {
        f = ngx_queue_data(ngx_queue_last(&ngx_http_blockcast_key_form_used),
                           ngx_http_blockcast_key_form_t, queue);

        ngx_queue_remove(&f->queue);
        ngx_rbtree_delete(&ngx_http_blockcast_key_form_tree, &f->node);
    }

    f->stream = st->index;
    f->rc = rc;
    f->made = ngx_current_msec;
    f->len = text->len;
    f->form_len = ngx_min(form->len, NGX_HTTP_BLOCKCAST_KEY_FORM_WHY);

    ngx_memcpy(f->text, text->data, text->len);
    ngx_memcpy(f->form, form->data, f->form_len);

    f->node.key = (ngx_rbtree_key_t) ngx_http_blockcast_key_form_hash(st,
                                                                     text);

    ngx_rbtree_insert(&ngx_http_blockcast_key_form_tree, &f->node);
    ngx_queue_insert_head(&ngx_http_blockcast_key_form_used, &f->queue);
}


void
ngx_http_blockcast_key_form_gather(uint64_t tried)
{
    if (ngx_http_blockcast_key_gather.keys != NULL) {
        ngx_free(ngx_http_blockcast_key_gather.keys);
    }

    ngx_memzero(&ngx_http_blockcast_key_gather,
                sizeof(ngx_http_blockcast_key_gather));

    ngx_http_blockcast_key_gather.tried = tried;
}


void
ngx_http_blockcast_key_form_want(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text)
{
    u_char                         *p;
    ngx_http_blockcast_key_form_t  *f;

    if (st->keys->form == NULL
        || (ngx_http_blockcast_key_gather.tried
            & ((uint64_t) 1 << st->index))
        || ngx_http_blockcast_key_gather.n == NGX_HTTP_BLOCKCAST_KEY_FORM_KEYS
        || !ngx_http_blockcast_key_plain(text))
    {
        return;
    }

    /* keys of another stream have to wait for the next run */

    if (ngx_http_blockcast_key_gather.n != 0
        && ngx_http_blockcast_key_gather.stream != st)
    {
        return;
    }

    f = ngx_http_blockcast_key_form_lookup(st, text);

    if (f != NULL
        && (f->rc != NGX_AGAIN
            || ngx_current_msec - f->made < NGX_HTTP_BLOCKCAST_KEY_FORM_PAUSE))
    {
        return;
    }

    if (ngx_http_blockcast_key_gather.keys == NULL) {
        ngx_http_blockcast_key_gather.keys =
                ngx_alloc(NGX_HTTP_BLOCKCAST_KEY_FORM_ROOM, ngx_cycle->log);

        if (ngx_http_blockcast_key_gather.keys == NULL) {
            return;
        }
    }

    p = ngx_http_blockcast_key_gather.keys + ngx_http_blockcast_key_gather.len;

    *p++ = (ngx_http_blockcast_key_gather.n == 0) ? '[' : ',';
    *p++ = '"';
    p = ngx_cpymem(p, text->data, text->len);
    *p++ = '"';

    ngx_http_blockcast_key_gather.len = p - ngx_http_blockcast_key_gather.keys;
    ngx_http_blockcast_key_gather.stream = st;
    ngx_http_blockcast_key_gather.n++;
}


ngx_uint_t
ngx_http_blockcast_key_form_wanted(void)
{
    return ngx_http_blockcast_key_gather.n;
}


ngx_int_t
ngx_http_blockcast_key_form_take(ngx_http_blockcast_stream_t **st,
    ngx_str_t *keys)
{
    size_t  len;

    *st = ngx_http_blockcast_key_gather.stream;

    /* the copy is short: few messages have many keys */

    len = ngx_http_blockcast_key_gather.len;

    keys->data = ngx_alloc(len + 1, ngx_cycle->log);
    if (keys->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(keys->data, ngx_http_blockcast_key_gather.keys, len) = ']';
    keys->len = len + 1;

    ngx_http_blockcast_key_form_gather(ngx_http_blockcast_key_gather.tried);

    return NGX_OK;
}
