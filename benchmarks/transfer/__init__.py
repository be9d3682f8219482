"""One policy for many networks: learnt from plans of some, judged on others.

logs       plans of many networks that were evaluated
evaluations  that in several processes
training   an ensemble that foretells what plans are worth, by regression on them
learners   trainings of policies, by that or by Stable-Baselines3
trials     agents on the contexts of test suites
rows       what an agent came to on a context
policies   what the name of a policy's file tells
intervals  means over contexts, with intervals over networks and trainings
summary    what the rows come to
table      that as tables
figures    that as pictures
plots      that as plots of a page
report     all of these, in a folder
command    all of that, from the command line
"""
