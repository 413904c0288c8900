"""Many conversations over many processes that share nothing but the run's folder.

A parent (``crew``) holds the run and decides what is held where; its workers (``worker``) hold
conversations, each writing to a segment of its own; ``messages`` is all that they tell each other.
No module here knows what was said.
"""
