# Params of eth_getBlockByNumber after a reorganisation, to find where the chain is still the same.

include "presets/chain-lib";

range_back(known(.last.block_number?; .last.block_hash?)) | [tag, true]
