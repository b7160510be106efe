/*
 * HMAC-SHA-256. If this fails, keys that were signed are refused, or others are
 * not.
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bc_hmac.h"
#include "unit.h"


static void
check(const char *key, size_t key_len, const char *text, size_t len,
    const char *hex, const char *what)
{
    uint8_t  mac[BC_HMAC_LEN];

    bc_hmac_sha256((const uint8_t *) key, key_len, (const uint8_t *) text, len,
                   mac);

    ok(bc_hmac_is(mac, (const uint8_t *) hex, strlen(hex)) == 1, "%s", what);
}


int
main(void)
{
    size_t   i;
    char     key[131], text[300], hex[2 * BC_HMAC_LEN + 1];
    uint8_t  mac[BC_HMAC_LEN];

    /* RFC 4231 */

    memset(key, 0x0b, 20);
    check(key, 20, "Hi There", 8,
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
          "RFC 4231, case 1");

    check("Jefe", 4, "what do ya want for nothing?", 28,
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
          "case 2");

    memset(key, 0xaa, 131);
    memset(text, 0xdd, 50);
    check(key, 20, text, 50,
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
          "case 3");

    check(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
          54,
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
          "case 6: a key longer than a block");

    /* texts of all lengths around a block's end, padded one way or the other */

    memset(text, 'x', sizeof(text));

    for (i = 0; i < 200; i++) {
        uint8_t  two[BC_HMAC_LEN];

        bc_hmac_sha256((const uint8_t *) "k", 1, (uint8_t *) text, i, mac);
        text[i] = 'y';
        bc_hmac_sha256((const uint8_t *) "k", 1, (uint8_t *) text, i + 1, two);
        text[i] = 'x';

        if (memcmp(mac, two, BC_HMAC_LEN) == 0) {
            break;
        }
    }

    ok(i == 200, "each byte counts");

    /* comparing */

    bc_hmac_sha256((const uint8_t *) "k", 1, (const uint8_t *) "t", 1, mac);

    for (i = 0; i < BC_HMAC_LEN; i++) {
        snprintf(hex + 2 * i, 3, "%02X", mac[i]);
    }

    ok(bc_hmac_is(mac, (uint8_t *) hex, 64) == 1, "capitals are as good");
    ok(bc_hmac_is(mac, (uint8_t *) hex, 63) == 0, "one digit less");
    ok(bc_hmac_is(mac, (uint8_t *) hex, 0) == 0, "none");

    for (i = 0; i < 64; i++) {
        char  was = hex[i];

        hex[i] = (was == '0') ? '1' : '0';

        if (bc_hmac_is(mac, (uint8_t *) hex, 64)) {
            break;
        }

        hex[i] = 'g';

        if (bc_hmac_is(mac, (uint8_t *) hex, 64)) {
            break;
        }

        hex[i] = was;
    }

    ok(i == 64, "each digit counts, and has to be one");

    return unit_done();
}
