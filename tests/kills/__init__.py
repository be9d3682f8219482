"""Commands that are killed at random moments: nothing is lost, done twice or left over.

harness  starts a command, kills it and checks the outcome, again and again
decoding, export, finetuning, study  the commands that are killed: `python -m tests.kills`
"""
