
/*
 * Tells, by the words of a jq program, whether its output can depend on
 * anything but its input.
 */

#ifndef _BC_JQ_WORDS_H_INCLUDED_
#define _BC_JQ_WORDS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* Called for each included file; returns true to continue. */
typedef int (*bc_jq_words_include_pt)(void *data, const uint8_t *path,
    size_t len);

/*
 * Returns true when a program contains no word for the time, for input or
 * output other than its own, or whose effect cannot be known.  "time" is such
 * a word, too: a member of the input that differs from run to run.
 */
int bc_jq_words_steady(const uint8_t *p, size_t len,
    bc_jq_words_include_pt include, void *data);


#endif /* _BC_JQ_WORDS_H_INCLUDED_ */
