"""The commands of ``amc-gym``: compression of networks without writing Python."""
