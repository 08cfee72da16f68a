"""Decides what happens next: pure code without clock, threads, files, network or user code."""
