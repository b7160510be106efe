
/*
 * Searches the words of a jq program, without parsing it.  A word counts
 * wherever it occurs, except in comments; in strings, too, because they may be
 * names of members.  Whatever is unclear counts as unsteady.
 */


#include "bc_jq_words.h"

#include <string.h>


/* the deepest nesting of strings inside \(...) of strings */
#define BC_JQ_WORDS_LEVELS  32


typedef struct {
    const uint8_t  *p;
    const uint8_t  *last;
} bc_jq_words_text_t;


/* "debug" and "stderr" are here because each run writes a line to the log */

static const char *const  bc_jq_words_unsteady[] = {
    "time", "now", "input", "inputs", "input_filename", "input_line_number",
    "debug", "stderr", "halt", "halt_error", "localtime", "mktime",
    "strflocaltime", "strptime", "modulemeta", "get_search_list",
    "__prog_args", "module"
};


static int
bc_jq_words_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_';
}


static int
bc_jq_words_is(const uint8_t *word, size_t len, const char *s)
{
    return strlen(s) == len && memcmp(word, s, len) == 0;
}


/*
 * Skips a comment.  Returns 0 if it has a backslash or CR: since jq 1.7.1 a
 * comment that ends with "\" continues.
 */

static int
bc_jq_words_comment(bc_jq_words_text_t *t)
{
    while (t->p < t->last && *t->p != '\n') {
        if (*t->p == '\\' || *t->p == '\r') {
            return 0;
        }

        t->p++;
    }

    return 1;
}


/* Reads the path that follows "include" or "import", up to the semicolon. */

static int
bc_jq_words_include(bc_jq_words_text_t *t, bc_jq_words_include_pt include,
    void *data)
{
    const uint8_t  *path, *end;

    while (t->p < t->last && (*t->p == ' ' || *t->p == '\t'
                              || *t->p == '\n'))
    {
        t->p++;
    }

    if (t->p == t->last || *t->p != '"') {
        return 0;
    }

    path = ++t->p;

    while (t->p < t->last && *t->p != '"') {
        if (*t->p == '\\') {
            return 0;
        }

        t->p++;
    }

    end = t->p;

    /* metadata with a search path may follow: unclear */

    while (t->p < t->last && *t->p != ';') {
        if (*t->p == '{' || *t->p == '#') {
            return 0;
        }

        t->p++;
    }

    return t->p < t->last && include(data, path, end - path);
}


static int
bc_jq_words_word(bc_jq_words_text_t *t, int string,
    bc_jq_words_include_pt include, void *data)
{
    size_t          i, len;
    const uint8_t  *word;

    word = t->p;

    while (t->p < t->last && bc_jq_words_char(*t->p)) {
        t->p++;
    }

    len = t->p - word;

    for (i = 0;
         i < sizeof(bc_jq_words_unsteady) / sizeof(bc_jq_words_unsteady[0]);
         i++)
    {
        if (bc_jq_words_is(word, len, bc_jq_words_unsteady[i])) {
            return 0;
        }
    }

    if (!string && (bc_jq_words_is(word, len, "include")
                    || bc_jq_words_is(word, len, "import")))
    {
        return bc_jq_words_include(t, include, data);
    }

    return 1;
}


int
bc_jq_words_steady(const uint8_t *p, size_t len,
    bc_jq_words_include_pt include, void *data)
{
    int                 string;
    size_t              level, parens[BC_JQ_WORDS_LEVELS];
    bc_jq_words_text_t  t;

    t.p = p;
    t.last = p + len;

    string = 0;
    level = 0;
    parens[0] = 0;

    while (t.p < t.last) {

        if (bc_jq_words_char(*t.p)) {
            if (!bc_jq_words_word(&t, string, include, data)) {
                return 0;
            }

            continue;
        }

        if (string && *t.p == '\\') {

            if (t.last - t.p < 2) {
                return 0;
            }

            if (t.p[1] == 'u') {

                /* the escape may be a letter of a word */

                return 0;
            }

            if (t.p[1] == '(') {
                if (++level == BC_JQ_WORDS_LEVELS) {
                    return 0;
                }

                parens[level] = 0;
                string = 0;
            }

            t.p += 2;
            continue;
        }

        if (*t.p == '"') {
            string = !string;

        } else if (string) {

            /* any other character is just text */

        } else if (*t.p == '#') {
            if (!bc_jq_words_comment(&t)) {
                return 0;
            }

            continue;

        } else if (*t.p == '(') {
            parens[level]++;

        } else if (*t.p == ')') {

            if (parens[level] != 0) {
                parens[level]--;

            } else if (level == 0) {
                return 0;

            } else {
                level--;
                string = 1;
            }
        }

        t.p++;
    }

    return !string && level == 0;
}
