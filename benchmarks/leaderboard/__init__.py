"""Who found the best plans: submissions, replayed before they count.

A submission is a folder of plans and of how they were found.  Nothing in it is trusted: its task
is made anew from the registry, every plan is replayed, and nothing of it is imported or unpickled.

    submission   the folder: submission.json and the plans it lists
    referee      the registered environment that a submission names, and what it rules on a plan
    validation   a whole folder: a verdict on every plan
    submit       a submission made from a results folder
    ranking      the table over accepted submissions
    commands     validate, submit and leaderboard of ``python -m benchmarks``
    policy_submission  a policy for many networks: policy.json and its file
    policy_ranking     what policies come to on networks to test on, and the table over them
    policies/    policies that were handed in, and README.md, the table
    submissions/ what was handed in, and README.md, the table
"""
