"""Ours and other queues, each as a producer and a worker that do the same jobs on the same Redis.

What imports a peer is run by the interpreter of ``.venv-peers`` (``make peers``), which has none of the
product's libraries: ``jobs`` and ``producer`` need the standard library alone.
"""
