"""Tables of README and docs, filled in from committed results: ``python -m benchmarks fill``.

A page says where a table goes and which one it is:

    <!-- table: agents mobilenet-digits -->
    <!-- end of table -->

markers     finding those places, and filling them in
tables      what a table's name stands for
reports     tables copied from reports in Markdown
accuracies  what agents reach, from CSV files
progress    how searches rise
paper       the paper's tables, ours beside them
studies     all studies and their results
cells       how figures are written
command     all pages of this checkout
"""
