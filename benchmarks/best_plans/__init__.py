"""Best plans of a study, image by image: ``python -m benchmarks.best_plans FOLDER``.

Records state how many images a plan classifies correctly by the metric of the search.  This command
builds each plan again and stores which images those are, so that intervals and differences to the
uniform plan can be computed from a file.  Plans that are evaluated already are skipped.

A search needs a recovery that is fast; the network that is handed over deserves the best one, which
may rank plans otherwise.  ``--candidates`` lets it choose among several plans of each run.

candidates  the best plans of a run
judged      which images the network of a plan classifies correctly, in memory and as a file
table       best-plans.md and best-plans.csv, with intervals over images
"""
