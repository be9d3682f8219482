"""Commands killed at random moments: nothing is lost, doubled or left over.

harness  starts a command, kills it, has the outcome checked, again and again
decoding, export, finetuning, study  what is killed: `python -m tests.kills`
"""
