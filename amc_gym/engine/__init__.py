"""What ranks, re-fits and evaluates the plans of one task, made once and shared by environments."""
