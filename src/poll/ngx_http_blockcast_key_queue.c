
/*
 * The keys of a stream that wait to be polled.
 *
 * Polls may overtake each other, so keys do not come back in the order in
 * which they are due.  But all keys of a stream have the same interval and the
 * same grid: a key that is not due yet becomes due at one of two times.  There
 * is a list for each, which is in order and can be moved as a whole.
 */


#include "ngx_http_blockcast_key_queue.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"


void
ngx_http_blockcast_key_queue_init(ngx_http_blockcast_key_queue_t *queue,
    ngx_http_blockcast_key_entry_t *entries)
{
    ngx_memzero(queue, sizeof(ngx_http_blockcast_key_queue_t));
    queue->entries = entries;
}


void
ngx_http_blockcast_key_queue_append(ngx_http_blockcast_key_queue_t *queue,
    ngx_http_blockcast_key_list_e list, ngx_uint_t place)
{
    ngx_http_blockcast_key_list_t   *l;
    ngx_http_blockcast_key_entry_t  *entry;

    l = &queue->lists[list];
    entry = &queue->entries[place];

    entry->queued = 1;
    entry->next = 0;
    entry->prev = l->last;

    if (l->last != 0) {
        queue->entries[l->last - 1].next = place + 1;

    } else {
        l->first = place + 1;
    }

    l->last = place + 1;

    if (l->first == l->last || (ngx_msec_int_t) (entry->due - l->due) < 0) {
        l->due = entry->due;
    }
}


/* Appends a list of waiting keys to the list of keys that are due. */

static void
ngx_http_blockcast_key_queue_move(ngx_http_blockcast_key_queue_t *queue,
    ngx_http_blockcast_key_list_t *from)
{
    ngx_http_blockcast_key_list_t  *turn;

    turn = &queue->lists[ngx_http_blockcast_key_turn];

    if (turn->last != 0) {
        queue->entries[turn->last - 1].next = from->first;
        queue->entries[from->first - 1].prev = turn->last;

    } else {
        turn->first = from->first;
    }

    turn->last = from->last;

    from->first = 0;
    from->last = 0;
}


void
ngx_http_blockcast_key_queue_wait(ngx_http_blockcast_key_queue_t *queue,
    ngx_uint_t place)
{
    ngx_msec_t                      due;
    ngx_http_blockcast_key_list_e   list;
    ngx_http_blockcast_key_list_t  *later, *latest;

    /* move due keys first, so that their list is free for another time */

    ngx_http_blockcast_key_queue_ripen(queue);

    due = queue->entries[place].due;
    later = &queue->lists[ngx_http_blockcast_key_later];
    latest = &queue->lists[ngx_http_blockcast_key_latest];

    if (later->first != 0 && later->due == due) {
        list = ngx_http_blockcast_key_later;

    } else if (latest->first != 0 && latest->due == due) {
        list = ngx_http_blockcast_key_latest;

    } else {
        list = (later->first == 0) ? ngx_http_blockcast_key_later
                                   : ngx_http_blockcast_key_latest;
    }

    ngx_http_blockcast_key_queue_append(queue, list, place);
}


void
ngx_http_blockcast_key_queue_remove(ngx_http_blockcast_key_queue_t *queue,
    ngx_uint_t place)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_key_entry_t  *entry;

    entry = &queue->entries[place];

    for (i = 0; i < ngx_http_blockcast_key_lists; i++) {

        if (queue->lists[i].first == place + 1) {
            queue->lists[i].first = entry->next;
        }

        if (queue->lists[i].last == place + 1) {
            queue->lists[i].last = entry->prev;
        }
    }

    if (entry->next != 0) {
        queue->entries[entry->next - 1].prev = entry->prev;
    }

    if (entry->prev != 0) {
        queue->entries[entry->prev - 1].next = entry->next;
    }

    entry->queued = 0;
}


void
ngx_http_blockcast_key_queue_ripen(ngx_http_blockcast_key_queue_t *queue)
{
    ngx_uint_t                      i, place;
    ngx_http_blockcast_key_list_t  *list;

    for (i = ngx_http_blockcast_key_later;
         i <= ngx_http_blockcast_key_latest;
         i++)
    {
        list = &queue->lists[i];

        if (list->first != 0
            && (ngx_msec_int_t) (list->due - ngx_current_msec) <= 0)
        {
            ngx_http_blockcast_key_queue_move(queue, list);
        }
    }

    /* this list is in order, with a time for each key */

    list = &queue->lists[ngx_http_blockcast_key_again];

    while (list->first != 0) {
        place = list->first - 1;
        list->due = queue->entries[place].due;

        if ((ngx_msec_int_t) (list->due - ngx_current_msec) > 0) {
            break;
        }

        ngx_http_blockcast_key_queue_remove(queue, place);
        ngx_http_blockcast_key_queue_append(queue,
                                          ngx_http_blockcast_key_turn, place);
    }
}


void
ngx_http_blockcast_key_queue_hurry(ngx_http_blockcast_key_queue_t *queue)
{
    ngx_uint_t                      i;
    uint32_t                        next;
    ngx_http_blockcast_key_list_t  *list;

    /* keys that are due come first, and are late since then */

    ngx_http_blockcast_key_queue_ripen(queue);

    for (i = ngx_http_blockcast_key_later;
         i < ngx_http_blockcast_key_lists;
         i++)
    {
        list = &queue->lists[i];

        for (next = list->first; next != 0;
             next = queue->entries[next - 1].next)
        {
            queue->entries[next - 1].due = ngx_current_msec;
        }

        if (list->first != 0) {
            ngx_http_blockcast_key_queue_move(queue, list);
        }
    }
}


ngx_msec_int_t
ngx_http_blockcast_key_queue_left(ngx_http_blockcast_key_queue_t *queue)
{
    ngx_uint_t                      i;
    ngx_msec_int_t                  left;
    ngx_http_blockcast_key_list_t  *list;

    left = NGX_MAX_INT_T_VALUE;

    for (i = 0; i < ngx_http_blockcast_key_lists; i++) {
        list = &queue->lists[i];

        if (list->first == 0) {
            continue;
        }

        if (i <= ngx_http_blockcast_key_fresh) {
            return 0;
        }

        left = ngx_min(left, (ngx_msec_int_t) (list->due - ngx_current_msec));
    }

    return ngx_max(left, 0);
}


ngx_uint_t
ngx_http_blockcast_key_queue_first(ngx_http_blockcast_key_queue_t *queue)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_key_lists; i++) {
        if (queue->lists[i].first != 0) {
            return queue->lists[i].first - 1;
        }
    }

    return NGX_HTTP_BLOCKCAST_KEY_NONE;
}
