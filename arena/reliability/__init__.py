"""How reliable judges are: trust, audit, canaries, jury selection, kin strata."""
