
/*
 * Runs a jq program with the libjq that the module is built with; the second
 * argument is the folder that "include" looks in.  Each line
 * of the input is a JSON text; for each, the outputs are printed one a line,
 * then a line that begins with U+001E and holds the program's message when it
 * failed.  Exit code 3: the program does not compile.
 */


#include <jq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static void
run(jq_state *jq, const char *line, size_t len)
{
    jv  input, out, msg;

    input = jv_parse_sized(line, len);

    if (!jv_is_valid(input)) {
        jv_free(input);
        puts("\036the input is not JSON");
        return;
    }

    jq_start(jq, input, 0);

    while (jv_is_valid(out = jq_next(jq))) {
        jv_dump(out, 0);
        putchar('\n');
    }

    putchar('\036');

    if (jv_invalid_has_msg(jv_copy(out))) {
        msg = jv_invalid_get_msg(out);

        if (jv_get_kind(msg) != JV_KIND_STRING) {
            msg = jv_dump_string(msg, 0);
        }

        fputs(jv_string_value(msg), stdout);
        jv_free(msg);

    } else {
        jv_free(out);
    }

    putchar('\n');
}


int
main(int argc, char **argv)
{
    char      *line;
    size_t     size;
    ssize_t    len;
    jq_state  *jq;

    jq = jq_init();

    if (argc != 3 || jq == NULL) {
        return 3;
    }

    jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string(argv[2]));
    jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string(argv[2]));
    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"),
                jv_array_append(jv_array(), jv_string(argv[2])));

    if (!jq_compile(jq, argv[1])) {
        return 3;
    }

    line = NULL;
    size = 0;

    while ((len = getline(&line, &size, stdin)) > 0) {
        run(jq, line, len);
        fflush(stdout);
    }

    free(line);
    jq_teardown(&jq);

    return 0;
}
