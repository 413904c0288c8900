"""Everything that can take a seat: one file for each kind, and the registry that finds them.

Providers answer requests. They know nothing of conversations, order, endings or the log.
"""
