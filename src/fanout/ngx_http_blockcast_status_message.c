
/*
 * The message that tells a subscriber the status of a stream.
 */


#include "ngx_http_blockcast_status_message.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_key_hub.h"


/* how long a note stays in the message (seconds) */
#define NGX_HTTP_BLOCKCAST_NOTED  60


/* by ngx_http_blockcast_freshness_e: a subscriber's stream is not idle */

static const char  *ngx_http_blockcast_status_message_states[] = {
    "waiting", "live", "stale", "stale"
};


ngx_http_blockcast_frame_t *
ngx_http_blockcast_status_message(ngx_http_blockcast_hub_t *hub)
{
    cJSON                               *root;
    ngx_msec_t                           late;
    ngx_http_blockcast_error_t           error, note;
    ngx_http_blockcast_json_out_t        out;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters;

    ngx_http_blockcast_hub_read_error(hub, &error);
    ngx_http_blockcast_stream_status_read_note(hub->stream->slot, &note);

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "status");
    ngx_http_blockcast_json_out_text(&out, root, "stream",
                                     hub->stream->name.data,
                                     hub->stream->name.len);

    if (hub->key != NULL) {
        ngx_http_blockcast_json_out_text(&out, root, "key",
                                         hub->key->text.data,
                                         hub->key->text.len);
    }

    ngx_http_blockcast_json_out_string(&out, root, "state",
                  ngx_http_blockcast_status_message_states[hub->freshness]);
    ngx_http_blockcast_json_out_seconds(&out, root, "age",
                                        ngx_http_blockcast_hub_age(hub));

    if (hub->stream->slot->lag != 0) {
        ngx_http_blockcast_json_out_value(&out, root, "lag", "%uA",
                                          hub->stream->slot->lag);
    }

    if (error.len != 0) {
        ngx_http_blockcast_json_out_text(&out, root, "error", error.text,
                                         error.len);

    } else {
        ngx_http_blockcast_json_out_value(&out, root, "error", "null");
    }

    if (ngx_http_blockcast_node_status_read(ngx_http_blockcast_hub_conf->zone,
                                            &hub->stream->node->name, &status,
                                            &counters)
        == NGX_OK
        && status.health != ngx_http_blockcast_node_ok)
    {
        ngx_http_blockcast_json_out_string(&out, root, "node",
                     ngx_http_blockcast_node_health_names[status.health]);
        ngx_http_blockcast_json_out_seconds(&out, root, "retry_in",
                     ngx_http_blockcast_node_status_retry_in(&status));
    }

    late = (hub->key != NULL) ? ngx_http_blockcast_key_hub_late(hub->stream)
                              : 0;

    if (late != 0) {

        /*
         * The node's rate= is too low for the keys, so the interval is longer.
         */

        ngx_http_blockcast_json_out_seconds(&out, root, "interval",
                                            hub->stream->interval + late);
        ngx_http_blockcast_json_out_string(&out, root, "note",
                                           "the node's budget of calls (rate=) "
                                           "stretches the interval");

    } else if (note.len != 0
        && ngx_time() - (time_t) note.since < NGX_HTTP_BLOCKCAST_NOTED)
    {
        ngx_http_blockcast_json_out_text(&out, root, "note", note.text,
                                         note.len);
    }

    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    return ngx_http_blockcast_frame_json(&out);
}
