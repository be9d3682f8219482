"""Reports for readers: from records to tables, pictures and a web page.

statistics  from records to one row per agent
sections    tables and captions for the runs of one setting
figures     learning curves and policies, as PNG
tables      Markdown, and the same for a terminal
report      the whole report, written into the study's folder
html        the report as one self-contained web page
"""
