# pending of an Ethereum node: the hash of each transaction that waits to be mined, as far as the node's
# pending block tells.

if .errors.block? != null then error(.errors.block.message) else . end
| { pending: [ .results.block | objects | .transactions | arrays | .[] | strings | { hash: . } ] }
