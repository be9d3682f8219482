"""The commands of ``amc-gym``: what a practitioner does without writing Python."""
