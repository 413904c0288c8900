"""Models on this machine: the catalogue, fetching their weights, and an engine for each."""
