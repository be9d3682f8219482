"""The leaderboard: submissions of plans and policies, replayed before they count.

A submission is a folder of plans with a description of how they were found.  Nothing in it is
trusted: its task is made from the registry, every plan is replayed, and nothing of it is imported
or unpickled.

    submission   the folder: submission.json and the plans it lists
    referee      the registered environment that a submission names, and its rulings on plans
    validation   a whole folder: a verdict on every plan
    submit       a submission made from a results folder
    ranking      the table of accepted submissions
    commands     validate, submit and leaderboard of ``python -m benchmarks``
    policy_submission  a policy for many networks: policy.json and its file
    policy_ranking     evaluation of policies on test networks, and their table
    policies/    submitted policies, and README.md, their table
    submissions/ submitted plans, and README.md, their table
"""
