"""The register's schema, step by step: each revision brings any older register to its own, never back.

A revision is written out by hand (``op.create_table`` …), says nothing of the classes in ``tables.py``,
which go on changing, and raises in ``downgrade``: the way back is the backup that was made before.
The constant ``HEAD`` in ``session.py`` names the last one.
"""
