"""Engines: where models are made and put to work; on this machine, or on many."""
