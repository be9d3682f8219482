"""Tables of README and docs, filled in from committed results: ``python -m benchmarks fill``.

A page says which table goes where:

    <!-- table: agents mobilenet-digits -->
    <!-- end of table -->

markers     finds those places and fills them in
tables      tables by name
reports     tables copied from reports in Markdown
accuracies  what agents reach, from CSV files
progress    progress of searches
paper       the paper's tables beside our results
weights     networks with bundled weights
studies     all studies and their results
cells       formatting of figures
command     all pages of this checkout
"""
