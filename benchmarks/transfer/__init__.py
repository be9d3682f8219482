"""One policy for many networks: trained on plans of some, evaluated on others.

logs       evaluated plans of many networks
evaluations  evaluates them, in several processes
training   an ensemble that predicts the reward of plans, by regression on them
learners   trainings of policies, by that regression or by Stable-Baselines3
trials     agents on the contexts of test suites
rows       the outcome of an agent on a context
policies   what the name of a policy's file says
intervals  means over contexts, with intervals over networks and trainings
summary    summaries of the rows
table      the summaries as tables
figures    the summaries as pictures
plots      the summaries as plots of a page
report     all of these, in a folder
command    all of this, from the command line
"""
