"""The catalogue of a library: what can be listed, filtered and searched, in one SQLite file.

A cache of the logs: delete it and it comes back. It only reads runs, and does not know how what it
finds is shown.
"""
