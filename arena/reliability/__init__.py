"""Reliability of judges: trust, audit, canaries, jury selection, kin strata."""
