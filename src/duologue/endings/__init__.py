"""How conversations end: labels for turns, arcs for conversations, with published error rates.

Annotations describe; only a declared policy stops a conversation. This package knows messages and
nothing of where they come from, how they are stored or how they are shown.
"""
