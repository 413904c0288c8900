"""The record on disk: append-only segments, run folders, the library of runs, and an index.

The segments are the truth. The index is a cache: delete it and it comes back. This package
appends and reads facts; it does not know how they come about or how they are shown.
"""
