
/*
 * The keys of a stream with blockcast_key: their one form, and who may have
 * them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* the longest key (bytes) */
#define NGX_HTTP_BLOCKCAST_KEY_LEN    128

/* the longest sentence about a key */
#define NGX_HTTP_BLOCKCAST_KEY_SAID   384


/* blockcast_key NAME pattern=REGEX ... of a stream */

struct ngx_http_blockcast_key_conf_s {
    ngx_str_t                     name;         /* what a key is, to people */
    ngx_str_t                     pattern;
    void                         *regex;        /* ngx_regex_t */
    ngx_uint_t                    max;          /* keys in the zone */
    ngx_uint_t                    batch;        /* of one poll; 0: one, and
                                                   the programs see .key */
    ngx_msec_t                    idle;         /* kept for so long after the
                                                   last listener */
    ngx_str_t                     secret;       /* of signatures; len 0: none
                                                   are needed */
    jq_state                     *form;         /* or NULL: makes the one form
                                                   of .keys, an array */
    unsigned                      captures:1;   /* $1 is the key */
    unsigned                      lower:1;
    unsigned                      restricted:1; /* by blockcast_key_allow */
    unsigned                      state:1;      /* in the state file */
};


/* a key as a client has sent it, and what it shows for it; len 0: it has not */

typedef struct {
    ngx_str_t                     text;
    ngx_str_t                     expires;
    ngx_str_t                     signature;
    time_t                        until;        /* of the signature, when it
                                                   was needed; 0: for ever */
} ngx_http_blockcast_key_claim_t;


/*
 * Tells whether a key is of characters that stand for themselves in messages,
 * paths and records, and is not too long.
 */
ngx_uint_t ngx_http_blockcast_key_plain(ngx_str_t *key);

/*
 * Puts the one form of a key into *key, whose data has room for
 * NGX_HTTP_BLOCKCAST_KEY_LEN bytes.  NGX_DECLINED: the stream does not take
 * it, and *said has the reason in buf, of NGX_HTTP_BLOCKCAST_KEY_SAID bytes.
 * NGX_AGAIN: so it is just now, and may be tried again; see _key_form.
 */
ngx_int_t ngx_http_blockcast_key_form(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *key, ngx_str_t *said, u_char *buf);

/*
 * Checks the signature of a key, HMAC-SHA256 over STREAM LF KEY LF EXPIRES.
 * NGX_OK; NGX_DECLINED with *why, a constant.
 */
ngx_int_t ngx_http_blockcast_key_signed(ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_http_blockcast_key_claim_t *claim, const char **why);

/*
 * Tells whether a list of STREAM/KEY, with blanks or commas between and "*"
 * for the rest of a word, has the key.
 */
ngx_uint_t ngx_http_blockcast_key_listed(ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_str_t *list);

/* Splits NAME/KEY at the first "/"; false: there is no key. */
ngx_uint_t ngx_http_blockcast_key_split(ngx_str_t *both, ngx_str_t *name,
    ngx_str_t *key);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_ */
