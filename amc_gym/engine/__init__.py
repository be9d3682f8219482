"""Engine: ranks, re-fits and evaluates the plans of one task, for all its environments."""
