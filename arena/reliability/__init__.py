"""How far judges can be believed: trust, audits, canaries, kin."""
