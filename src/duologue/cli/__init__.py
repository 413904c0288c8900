"""The command line: one file for each verb, and ``main``.

A thin layer: it reads options, calls ``duologue.api``, and shows what comes. Everything heavy is
imported where it is used, so that ``duologue --help`` is quick.
"""

from duologue.cli.app import main

__all__ = ["main"]
