
/*
 * Makes data, log entries or an error from a poll's results.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_


#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_poll.h"


/* Gathers the input of a stream's programs. */
void ngx_http_blockcast_poll_result_input(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input);

/* Runs the program on the results and publishes its output. */
void ngx_http_blockcast_poll_result_finish(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_ */
