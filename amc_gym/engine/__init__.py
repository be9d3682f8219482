"""The engine that ranks, re-fits and evaluates the plans of a task for all its environments."""
