"""One policy for many networks: learnt from plans of some, judged on others.

logs       plans of many networks that were evaluated
training   an ensemble that foretells what plans are worth, by regression on them
trials     agents on the contexts of test suites
table      what came of it
command    all four, from the command line
"""
