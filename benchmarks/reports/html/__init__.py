"""The report as one self-contained HTML page: report.html needs no network and no other file.

    page         the document, from sections of runs to the file
    curves       learning curves, against evaluations and seconds
    wall_clock   data of the curves against seconds
    pareto       size against accuracy
    policies     channels that the best plans keep of each unit
    style        colours of agents, and other properties that these plots share
    tables       agents and runs, sortable, with links to runs and plans
    extra        the message where plotly is missing
    page.css     layout, light and dark
    page.js      sorting, choosing what a plot shows, colours of the plots

Importing ``page`` needs plotly; nothing else here or elsewhere does.
"""
