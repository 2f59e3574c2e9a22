"""Commands: what people ask of a campaign, running or at rest.

`definitions` records a command, `validation` refuses what makes no sense (when it is given, and
again when its turn comes), `outcome` records what came of it together with what it changed. The
campaign carries commands out between two generations (`population.campaign.commands`).
"""
