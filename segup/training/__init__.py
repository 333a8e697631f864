"""Training: a run from its configuration to its finished folder."""
