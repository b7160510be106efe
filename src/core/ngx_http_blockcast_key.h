
/*
 * The keys of a stream with blockcast_key: their canonical form, and access to
 * them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* the longest key (bytes) */
#define NGX_HTTP_BLOCKCAST_KEY_LEN    128

/* the longest message about a key (bytes) */
#define NGX_HTTP_BLOCKCAST_KEY_SAID   384


/* blockcast_key NAME pattern=REGEX ... of a stream */

struct ngx_http_blockcast_key_conf_s {
    ngx_str_t                     name;         /* what a key is called in
                                                   messages */
    ngx_str_t                     pattern;
    void                         *regex;        /* ngx_regex_t */
    ngx_uint_t                    max;          /* the most keys in the zone */
    ngx_uint_t                    batch;        /* the most keys per poll; 0:
                                                   one, in .key */
    ngx_msec_t                    idle;         /* how long a key is kept after
                                                   its last listener */
    ngx_str_t                     secret;       /* for signatures; len 0: not
                                                   required */
    jq_state                     *form;         /* the form= program for .keys,
                                                   an array; or NULL */
    unsigned                      captures:1;   /* the group in the pattern is
                                                   the key */
    unsigned                      lower:1;
    unsigned                      restricted:1; /* blockcast_key_allow
                                                   applies */
    unsigned                      state:1;      /* saved in the state file */
};


/* a key and its credentials, as sent by a client; len 0: not sent */

typedef struct {
    ngx_str_t                     text;
    ngx_str_t                     expires;
    ngx_str_t                     signature;
    time_t                        until;        /* end of the signature, if one
                                                   was required; 0: no end */
} ngx_http_blockcast_key_claim_t;


/*
 * Tells whether a key is not too long, and consists of characters that need no
 * escaping in messages, paths and records.
 */
ngx_uint_t ngx_http_blockcast_key_plain(ngx_str_t *key);

/*
 * Puts the canonical form of a key into *key, whose data has room for
 * NGX_HTTP_BLOCKCAST_KEY_LEN bytes.  Returns NGX_DECLINED when the stream does
 * not accept the key: *said is the reason, written to buf, of
 * NGX_HTTP_BLOCKCAST_KEY_SAID bytes.  NGX_AGAIN: the same, but only for now,
 * and the client may try again; see _key_form.
 */
ngx_int_t ngx_http_blockcast_key_form(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *key, ngx_str_t *said, u_char *buf);

/*
 * Checks the signature of a key, HMAC-SHA256 over STREAM LF KEY LF EXPIRES.
 * Returns NGX_OK and sets claim->until, or NGX_DECLINED with the reason, a
 * constant, in *why.
 */
ngx_int_t ngx_http_blockcast_key_signed(ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_http_blockcast_key_claim_t *claim, const char **why);

/*
 * Tells whether a key is in a list of STREAM/KEY, separated by blanks or
 * commas; a "*" at the end of a word matches any rest.
 */
ngx_uint_t ngx_http_blockcast_key_listed(ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_str_t *list);

/* Splits NAME/KEY at the first "/".  Returns false when there is no key. */
ngx_uint_t ngx_http_blockcast_key_split(ngx_str_t *both, ngx_str_t *name,
    ngx_str_t *key);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_H_INCLUDED_ */
