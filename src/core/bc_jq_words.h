
/*
 * The words of a jq program: whether what it puts out can depend on anything
 * but what it is given.
 */

#ifndef _BC_JQ_WORDS_H_INCLUDED_
#define _BC_JQ_WORDS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* Called for each file that is included; returns true to go on. */
typedef int (*bc_jq_words_include_pt)(void *data, const uint8_t *path,
    size_t len);

/*
 * Returns true when a program has no word for the time, for what it could read
 * or write beside its input, or for what cannot be told by its words.  "time"
 * is such a word, too: a member of the input, which differs from run to run.
 */
int bc_jq_words_steady(const uint8_t *p, size_t len,
    bc_jq_words_include_pt include, void *data);


#endif /* _BC_JQ_WORDS_H_INCLUDED_ */
