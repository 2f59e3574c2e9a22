"""Queries: questions about an archive that are longer than a method of `Archive`.

Each is a function that takes one read lease, fetches everything, and writes nothing.
"""
