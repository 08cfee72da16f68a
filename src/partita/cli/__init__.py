"""Words for terminals: one file per command, the rest is what they share.

Rule: data on stdout, all else on stderr; no command decides anything that the engine, the store or `core` could decide.
"""
