"""The use cases, one file each, in the walk's order; the only place where adapters meet."""
