
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a program that depends on the time, or writes to the log, is
 * not run with each poll, and clients see old data.
 */

#include "bc_jq_words.h"
#include "unit.h"


static char  paths[256];


static int
include(void *data, const uint8_t *path, size_t len)
{
    size_t  used;

    used = strlen(paths);

    snprintf(paths + used, sizeof(paths) - used, "%.*s;", (int) len,
             (const char *) path);

    return *(int *) data;
}


static int
steady(const char *program)
{
    int  good, found;
    char *copy;
    size_t  len;

    /* no byte behind the end is to be read */

    len = strlen(program);
    copy = malloc(len + 1);
    memcpy(copy, program, len);

    found = 1;
    paths[0] = '\0';

    good = bc_jq_words_steady((uint8_t *) copy, len, include, &found);
    free(copy);

    return good;
}


int
main(void)
{
    size_t  i;
    int     found;

    static const char *const  good[] = {
        "", ".", ".results.c", "{n: .results.c, block_time: .x.timestamp}",
        "def now2: 1; now2", ".nows", "# now\n.results", ".a # time",
        "\"a # b\" | . # now", "\"\\(.a | \"x\\(.b)\")\" # now",
        "\"\\\\\" # now", "\"\\\"\" # now", "env.X, $ENV.Y, $__loc__",
        "\"\\(1 + (2 * 3))\" # input",
    };

    static const char *const  bad[] = {
        "now", ".time", "{time}", ". as {$time} | 1", ".[\"time\"]",
        ".\"time\"", "\"\\(now)\"", "\"# \\(now)\"", "\"a\\\"# \" + (now|@text)",
        "\"\\(\"#\") \\(now)\"", "input", "[inputs]", "debug", "debug(1)",
        "stderr", "input_line_number", "halt", "1 | halt_error", "localtime",
        "strptime(\"%Y\")", "$__prog_args", "get_search_list",
        ".[\"t\\u0069me\"]", "1 # \\\n| 2", "a::now", ".a|now|.b",
        "\"", "\"\\", "\"\\(", "\"\\()", ")", "\"\\(1", "1 #\r now",
        "include \"a\" {search: \"x\"}; 1", "include \"a\"", "include",
        "import \"a", "import \"a\\u0062\" as b; 1", ".include", "modulemeta",
        "\"x\ny\ntime\"", "\"\\ntime\"",
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(steady(good[i]), "steady: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(!steady(bad[i]), "not steady: %s", bad[i]);
    }

    ok(steady("include \"a/b\";\nimport \"c\" as c;\nimport \"d\" as $d; 1")
       && strcmp(paths, "a/b;c;d;") == 0, "what is included: %s", paths);

    ok(steady("\"include \\\"a\\\";\"") && paths[0] == '\0',
       "nothing is included in a string");

    found = 0;
    ok(!bc_jq_words_steady((uint8_t *) "include \"a\"; 1", 14, include,
                           &found),
       "not steady when what is included is not");

    return unit_done();
}
