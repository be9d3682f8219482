"""A study: a folder of runs, executed until none is missing.

runs             what is compared: settings and runs, and their keys
execution        execution of one run
records          a finished run as a file, and a folder of them
archive          the runs of a published study, in one file
columnar         Parquet files, limited in size and checked by a schema
study            runs whatever a folder lacks
executor         jobs on this machine's cores, each in a fresh process
ray_executor     jobs on a Ray cluster
progress         execution of jobs with a progress display
tensorboard_logs a log of each run, on request
"""
