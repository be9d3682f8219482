"""The report as one self-contained HTML page: report.html needs no network and no other file.

    page         the document, from sections of runs to the file
    curves       learning curves, against evaluations and seconds
    wall_clock   what the latter show
    pareto       size against accuracy
    policies     what the best plans keep of each layer
    style        colours of agents, and what else these plots share
    tables       agents and runs, sortable, with links to runs and plans
    extra        what to say where plotly is missing
    page.css     what it looks like, light and dark
    page.js      sorting, choosing what a plot shows, colours of the plots

Importing ``page`` needs plotly; nothing else here or elsewhere does.
"""
