"""Values and pure functions: no input or output, no clock, no async.

Read in this order: ``message``, ``spec``, ``provider`` (the port), ``event``, ``state`` (the one
reducer), ``order``, ``ending``, ``perspective``, ``wire`` (exact request bytes), ``transcript``,
``branch``.
"""
