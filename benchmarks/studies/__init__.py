"""A study: a folder of runs, carried out until none is missing.

runs             what is compared: settings and runs, and their keys
execution        carrying out one run
records          a finished run as a file, and a folder of them
archive          the runs of a published study, in one file
columnar         Parquet files, bounded and of a schema
study            run whatever a folder still lacks
executor         jobs on this machine's cores, each in a fresh process
ray_executor     jobs on a Ray cluster
progress         carrying out jobs while people watch
tensorboard_logs a log of each run, on request
"""
