"""The zoo of small networks: training it, its table, and the letters that half of it reads.

atlas     the letters of matplotlib's fonts, as a picture that the data set "glyphs" reads
training  one network: trained, judged, and its budget chosen
command   all of them, one after the other
table     what ``docs/zoo.md`` says of them
"""
