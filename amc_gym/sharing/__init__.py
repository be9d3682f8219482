"""One copy of what is big for many processes."""
