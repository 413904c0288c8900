"""The reading room: conversations as pages. It only reads; runs are other processes' business.

A page is one file in ``pages`` (a function from a request to an ``Answer``), one template, and one
line in ``pages/__init__.py``; its data is JSON at the same address by itself.
"""
