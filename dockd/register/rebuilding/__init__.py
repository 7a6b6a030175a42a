"""A lost register made again from the ledger's mirror: every line replayed into the rows that it told of."""
