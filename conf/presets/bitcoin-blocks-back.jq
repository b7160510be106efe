# Params of getblockhash after a reorganisation, to find where the chain is still the same.

include "presets/bitcoin-lib";
include "presets/chain-lib";

as_chain | range_back(known_block) | [.]
