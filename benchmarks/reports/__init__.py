"""Reports for people: from records to tables, pictures and a page.

statistics  from records to one row per agent
sections    what is said of the runs of one setting
figures     learning curves and policies, as PNG
tables      Markdown, and the same for a terminal
report      all of it, written into the study's folder
html        the report as one self-contained page
"""
