/* keys.c - whether a client shows a key. */
#include <string.h>

#include "serve/server.h"

/* Looks at every byte of the text, however many are right: the time tells nothing of the key but
 * perhaps its length. */
static bool is_same(const char *key, const char *text)
{
    const size_t key_length = strlen(key);
    const size_t length = strlen(text);
    unsigned char differs = key_length != length;
    for (size_t at = 0; at < length; at++)
        differs |= (unsigned char)(text[at] ^ key[key_length == 0 ? 0 : at % key_length]);
    return differs == 0;
}

bool weir_keys_match(char *const *keys, size_t count, const char *text, size_t *which)
{
    size_t found = 0; /* one more than its index */
    for (size_t index = 0; index < count; index++) {
        const size_t mask = 0 - (size_t)is_same(keys[index], text);
        found = (found & ~mask) | ((index + 1) & mask);
    }
    *which = found == 0 ? 0 : found - 1;
    return found > 0;
}
