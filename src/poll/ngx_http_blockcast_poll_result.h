
/*
 * What the results of a round become: data, log entries, or an error.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_


#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_poll.h"


/* what the programs of a stream are given (_publish) */
void ngx_http_blockcast_poll_result_input(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input);

/* makes data of the results and publishes it (_publish) */
void ngx_http_blockcast_poll_result_finish(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_POLL_RESULT_H_INCLUDED_ */
