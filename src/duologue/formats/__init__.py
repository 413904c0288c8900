"""Foreign formats, one module each: pure functions between bytes and plain values.

Every format module offers ``parse(bytes)``, ``render(Foreign)`` and ``cannot_hold(Foreign)``. None
of them knows files, the log or events.
"""
