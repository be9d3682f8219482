"""The zoo of small networks: its training, its table, and the letters that half of it classifies.

atlas     the letters of matplotlib's fonts, as a picture for the data set "glyphs"
training  one network: trained, evaluated, and its budget chosen
command   all of them, one after the other
table     the tables of ``docs/zoo.md``
"""
