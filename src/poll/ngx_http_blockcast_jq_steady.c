
/*
 * Searches a jq program and the files that it includes for unsteady words.  If
 * libjq might find an included file in several places, all of them are
 * searched, because it is not known which one it has used.
 */


#include "ngx_http_blockcast_jq_steady.h"
#include "bc_jq_words.h"


/* the most included files in all, and the deepest nesting of includes */
#define NGX_HTTP_BLOCKCAST_JQ_STEADY_FILES  64
#define NGX_HTTP_BLOCKCAST_JQ_STEADY_DEPTH  8

/* the largest included file (bytes) */
#define NGX_HTTP_BLOCKCAST_JQ_STEADY_SIZE  1048576


typedef struct {
    ngx_pool_t  *pool;
    ngx_str_t    dirs[2];
    ngx_str_t    own;               /* the folder of the including file */
    ngx_uint_t   files;
    ngx_uint_t   depth;
} ngx_http_blockcast_jq_steady_ctx_t;


static int ngx_http_blockcast_jq_steady_include(void *data,
    const uint8_t *path, size_t len);


/*
 * Reads a file.  Returns NGX_DECLINED when there is none, NGX_ERROR when it
 * cannot be read.
 */

static ngx_int_t
ngx_http_blockcast_jq_steady_read(ngx_pool_t *pool, u_char *name,
    ngx_str_t *text)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    fd = ngx_open_file(name, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR)
               ? NGX_DECLINED : NGX_ERROR;
    }

    n = -1;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR && ngx_is_file(&fi)
        && ngx_file_size(&fi) <= NGX_HTTP_BLOCKCAST_JQ_STEADY_SIZE)
    {
        text->len = (size_t) ngx_file_size(&fi);
        text->data = ngx_pnalloc(pool, text->len + 1);

        if (text->data != NULL) {
            n = ngx_read_fd(fd, text->data, text->len);
        }
    }

    (void) ngx_close_file(fd);

    return (n >= 0 && (size_t) n == text->len) ? NGX_OK : NGX_ERROR;
}


/*
 * Searches dir/up/path.jq or, if base is not empty, dir/up/path/base.jq.
 * Returns NGX_OK when it is steady, NGX_DECLINED when there is no such file,
 * NGX_ERROR when it is unsteady or cannot be read.
 */

static ngx_int_t
ngx_http_blockcast_jq_steady_file(ngx_http_blockcast_jq_steady_ctx_t *ctx,
    ngx_str_t *dir, const char *up, ngx_str_t *path, ngx_str_t *base)
{
    u_char     *name, *p;
    ngx_int_t   rc;
    ngx_str_t   text, own;

    name = ngx_pnalloc(ctx->pool, dir->len + ngx_strlen(up) + path->len
                                  + base->len + sizeof("//.jq"));
    if (name == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(name, "%V%s%V", dir, up, path);

    if (base->len != 0) {
        p = ngx_sprintf(p, "/%V", base);
    }

    ngx_memcpy(p, ".jq", sizeof(".jq"));

    rc = ngx_http_blockcast_jq_steady_read(ctx->pool, name, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    if (++ctx->files > NGX_HTTP_BLOCKCAST_JQ_STEADY_FILES
        || ctx->depth == NGX_HTTP_BLOCKCAST_JQ_STEADY_DEPTH)
    {
        return NGX_ERROR;
    }

    own = ctx->own;

    while (p > name && p[-1] != '/') {
        p--;
    }

    ctx->own.data = name;
    ctx->own.len = p - name;
    ctx->depth++;

    rc = bc_jq_words_steady(text.data, text.len,
                            ngx_http_blockcast_jq_steady_include, ctx)
         ? NGX_OK : NGX_ERROR;

    ctx->own = own;
    ctx->depth--;

    return rc;
}


static int
ngx_http_blockcast_jq_steady_include(void *data, const uint8_t *path,
    size_t len)
{
    ngx_http_blockcast_jq_steady_ctx_t *ctx = data;

    size_t             i;
    ngx_int_t          rc;
    ngx_str_t          name, base, none, *dir;
    ngx_uint_t         n, found;
    static const char *const  up[] = { "", "../" };

    name.data = (u_char *) path;
    name.len = len;

    base = name;

    for (i = len; i != 0; i--) {
        if (path[i - 1] == '/') {
            base.data += i;
            base.len -= i;
            break;
        }
    }

    ngx_str_null(&none);
    found = 0;

    for (n = 0; n < 6; n++) {
        dir = (n / 2 < 2) ? &ctx->dirs[n / 2] : &ctx->own;

        if (dir->len == 0) {
            continue;
        }

        for (i = 0; i < 2; i++) {
            rc = ngx_http_blockcast_jq_steady_file(ctx, dir, up[n & 1], &name,
                                                   i ? &base : &none);

            if (rc == NGX_ERROR) {
                return 0;
            }

            found |= (rc == NGX_OK);
        }
    }

    /* if not found, it is a data file or in a place not known here */

    return found;
}


ngx_uint_t
ngx_http_blockcast_jq_steady(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *beside, ngx_str_t *dir)
{
    ngx_pool_t                          *temp;
    ngx_uint_t                           steady;
    ngx_http_blockcast_jq_steady_ctx_t   ctx;

    temp = ngx_create_pool(4096, pool->log);
    if (temp == NULL) {
        return 0;
    }

    ngx_memzero(&ctx, sizeof(ngx_http_blockcast_jq_steady_ctx_t));

    ctx.pool = temp;
    ctx.dirs[0] = *beside;
    ctx.dirs[1] = *dir;

    steady = bc_jq_words_steady(program->data, program->len,
                                ngx_http_blockcast_jq_steady_include, &ctx);

    ngx_destroy_pool(temp);

    return steady;
}
