# balance of an Ethereum node, an object by address. Calls, in the order of .keys: balance, nonce; null is what the
# node did not answer.

include "presets/chain-lib";

[.keys, (.results.balance? // []), (.results.nonce? // [])]
| transpose
| map(. as [$key, $balance, $nonce]
    | select($key != null and ($balance | quantity) != null)
    | { key: $key, value: { balance: ($balance | quantity), nonce: ($nonce | quantity) } })
| from_entries
