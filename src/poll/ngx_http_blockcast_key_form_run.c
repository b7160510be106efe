
/*
 * Runs the form= programs, which convert keys to their canonical form, and
 * keeps the queue of messages and requests that wait for a run.
 *
 * Each sender of keys waits for one run at a time, in one queue per worker,
 * and only one run is in progress at a time.  So clients cannot occupy all
 * helper processes: one is left for the polls.
 */


#include "ngx_http_blockcast_key_form_run.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "bc_json.h"


/* the most messages and requests of a worker that wait at the same time */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_WAITS     256

/* after waiting this long (msec), the sender is told to try again */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_PATIENCE  10000


struct ngx_http_blockcast_key_form_wait_s {
    ngx_queue_t                      queue;
    ngx_http_blockcast_key_form_pt   handler;   /* NULL: the sender has left */
    void                            *data;
    ngx_http_blockcast_stream_t     *stream;
    ngx_str_t                        keys;      /* a JSON array */
    ngx_msec_t                       since;
};


static void ngx_http_blockcast_key_form_next(void);
static void ngx_http_blockcast_key_form_ran(ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_key_form_event(ngx_event_t *ev);


static ngx_queue_t        ngx_http_blockcast_key_form_queue;
static ngx_uint_t         ngx_http_blockcast_key_form_nqueued;
static ngx_event_t        ngx_http_blockcast_key_form_posted;
static ngx_connection_t   ngx_http_blockcast_key_form_dummy;

/* the current run */
static ngx_http_blockcast_key_form_wait_t  *ngx_http_blockcast_key_form_now;
static ngx_http_blockcast_jq_job_t          ngx_http_blockcast_key_form_job;


static void
ngx_http_blockcast_key_form_free(ngx_http_blockcast_key_form_wait_t *wait)
{
    ngx_free(wait->keys.data);
    ngx_free(wait);
}


ngx_http_blockcast_key_form_wait_t *
ngx_http_blockcast_key_form_run(ngx_http_blockcast_key_form_pt handler,
    void *data, ngx_http_blockcast_stream_t **stream)
{
    ngx_http_blockcast_key_form_wait_t  *wait;

    *stream = NULL;

    if (ngx_http_blockcast_key_form_nqueued
        == NGX_HTTP_BLOCKCAST_KEY_FORM_WAITS)
    {
        return NULL;
    }

    wait = ngx_alloc(sizeof(ngx_http_blockcast_key_form_wait_t),
                     ngx_cycle->log);
    if (wait == NULL) {
        return NULL;
    }

    if (ngx_http_blockcast_key_form_take(&wait->stream, &wait->keys)
        != NGX_OK)
    {
        ngx_free(wait);
        return NULL;
    }

    wait->handler = handler;
    wait->data = data;
    wait->since = ngx_current_msec;

    *stream = wait->stream;

    if (ngx_http_blockcast_key_form_queue.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_key_form_queue);

        ngx_http_blockcast_key_form_dummy.fd = (ngx_socket_t) -1;
        ngx_http_blockcast_key_form_posted.handler =
                                            ngx_http_blockcast_key_form_event;
        ngx_http_blockcast_key_form_posted.data =
                                           &ngx_http_blockcast_key_form_dummy;
    }

    ngx_http_blockcast_key_form_posted.log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_http_blockcast_key_form_queue, &wait->queue);
    ngx_http_blockcast_key_form_nqueued++;

    ngx_http_blockcast_key_form_next();

    return wait;
}


void
ngx_http_blockcast_key_form_leave(ngx_http_blockcast_key_form_wait_t *wait)
{
    /* a run in progress continues: its results may serve others */

    wait->handler = NULL;

    if (wait != ngx_http_blockcast_key_form_now) {
        ngx_queue_remove(&wait->queue);
        ngx_http_blockcast_key_form_nqueued--;
        ngx_http_blockcast_key_form_free(wait);
    }
}


void
ngx_http_blockcast_key_form_done(void)
{
    ngx_queue_t                         *q;
    ngx_http_blockcast_key_form_wait_t  *wait;

    if (ngx_http_blockcast_key_form_now != NULL) {
        ngx_http_blockcast_jq_queue_cancel(&ngx_http_blockcast_key_form_job);
        ngx_destroy_pool(ngx_http_blockcast_key_form_job.pool);

        ngx_http_blockcast_key_form_free(ngx_http_blockcast_key_form_now);
        ngx_http_blockcast_key_form_now = NULL;
    }

    if (ngx_http_blockcast_key_form_posted.posted) {
        ngx_delete_posted_event(&ngx_http_blockcast_key_form_posted);
    }

    while (ngx_http_blockcast_key_form_nqueued != 0) {
        q = ngx_queue_head(&ngx_http_blockcast_key_form_queue);
        wait = ngx_queue_data(q, ngx_http_blockcast_key_form_wait_t, queue);

        ngx_queue_remove(q);
        ngx_http_blockcast_key_form_nqueued--;
        ngx_http_blockcast_key_form_free(wait);
    }

    ngx_http_blockcast_key_form_reset();
}


/* Records the error of a failed run for each of its keys. */

static void
ngx_http_blockcast_key_form_fail(ngx_http_blockcast_key_form_wait_t *wait,
    ngx_str_t *error)
{
    u_char          shown[NGX_HTTP_BLOCKCAST_KEY_FORM_WHY];
    ngx_str_t       text, why;
    bc_span_t       name, key;
    bc_json_iter_t  it;

    why = *error;
    ngx_http_blockcast_gate_printable(&why, shown, sizeof(shown));

    if (bc_json_array(&it, (bc_span_t) { wait->keys.data, wait->keys.len })
        != 0)
    {
        return;
    }

    while (bc_json_next(&it, &name, &key)) {
        text.data = (u_char *) key.data + 1;
        text.len = key.len - 2;

        ngx_http_blockcast_key_form_keep(wait->stream, &text, NGX_AGAIN,
                                         &why);
    }
}


/*
 * Processes the output of a run: an array with, for each key, a string or an
 * object that says why there is none.
 */

static void
ngx_http_blockcast_key_form_read(ngx_http_blockcast_key_form_wait_t *wait,
    ngx_str_t *out)
{
    size_t          len;
    u_char          buf[NGX_HTTP_BLOCKCAST_KEY_LEN * 4];
    u_char          shown[NGX_HTTP_BLOCKCAST_KEY_FORM_WHY];
    ngx_int_t       rc;
    ngx_str_t       text, form;
    bc_span_t       name, key, value, why;
    bc_json_iter_t  keys, forms;

    if (bc_json_array(&keys, (bc_span_t) { wait->keys.data, wait->keys.len })
        != 0
        || bc_json_array(&forms, (bc_span_t) { out->data, out->len }) != 0)
    {
        return;
    }

    while (bc_json_next(&keys, &name, &key)
           && bc_json_next(&forms, &name, &value))
    {
        text.data = (u_char *) key.data + 1;
        text.len = key.len - 2;

        form.data = buf;
        rc = NGX_DECLINED;

        if (value.data[0] != '"') {

            if (!bc_json_member(value, "why", &why)
                || bc_json_string(why, buf, sizeof(buf), &len) != 0)
            {
                len = 0;
            }

            form.len = len;
            ngx_http_blockcast_gate_printable(&form, shown, sizeof(shown));

        } else if (bc_json_string(value, buf, sizeof(buf), &len) != 0
                   || len > NGX_HTTP_BLOCKCAST_KEY_LEN)
        {
            ngx_str_set(&form, "its form is too long");

        } else if (len == 0) {
            ngx_str_set(&form, "its form is empty");

        } else {
            form.len = len;
            rc = NGX_OK;
        }

        ngx_http_blockcast_key_form_keep(wait->stream, &text, rc, &form);
    }
}


/* Starts the next run, unless one is in progress. */

static void
ngx_http_blockcast_key_form_next(void)
{
    ngx_pool_t                          *pool;
    ngx_queue_t                         *q;
    ngx_http_blockcast_jq_job_t         *job;
    ngx_http_blockcast_jq_input_t        input;
    ngx_http_blockcast_key_form_wait_t  *wait;

    if (ngx_http_blockcast_key_form_now != NULL
        || ngx_http_blockcast_key_form_nqueued == 0)
    {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_key_form_queue);
    wait = ngx_queue_data(q, ngx_http_blockcast_key_form_wait_t, queue);

    ngx_queue_remove(q);
    ngx_http_blockcast_key_form_nqueued--;
    ngx_http_blockcast_key_form_now = wait;

    job = &ngx_http_blockcast_key_form_job;
    job->helper = 0;
    job->queued = 0;
    job->stays = 1;
    job->handler = ngx_http_blockcast_key_form_ran;
    job->data = wait;

    ngx_memzero(&input, sizeof(ngx_http_blockcast_jq_input_t));
    input.keys = wait->keys;
    input.time = (double) ngx_time();

    pool = ngx_create_pool(4096, ngx_cycle->log);
    job->pool = pool;

    if (pool == NULL
        || ngx_current_msec - wait->since
           > NGX_HTTP_BLOCKCAST_KEY_FORM_PATIENCE
        || ngx_http_blockcast_jq_queue_run(job, wait->stream,
                                           NGX_HTTP_BLOCKCAST_JQ_FORM, &input,
                                           1, pool)
           != NGX_OK)
    {
        job->rc = NGX_ERROR;
        ngx_str_set(&job->error, "many keys are asked for");

        ngx_post_event(&ngx_http_blockcast_key_form_posted,
                       &ngx_posted_events);
    }
}


/* Handles a run that could not be started, as failed. */

static void
ngx_http_blockcast_key_form_event(ngx_event_t *ev)
{
    ngx_http_blockcast_key_form_ran(&ngx_http_blockcast_key_form_job);
}


static void
ngx_http_blockcast_key_form_ran(ngx_http_blockcast_jq_job_t *job)
{
    ngx_http_blockcast_key_form_wait_t  *wait;

    wait = ngx_http_blockcast_key_form_now;
    ngx_http_blockcast_key_form_now = NULL;

    if (job->rc == NGX_OK && job->n == 1) {
        ngx_http_blockcast_key_form_read(wait, &job->out[0]);

    } else {
        ngx_http_blockcast_key_form_fail(wait, &job->error);
    }

    if (job->pool != NULL) {
        ngx_destroy_pool(job->pool);
    }

    if (wait->handler != NULL) {
        wait->handler(wait->data);
    }

    ngx_http_blockcast_key_form_free(wait);

    ngx_http_blockcast_key_form_next();
}
