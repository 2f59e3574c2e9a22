"""Commands: what people ask of a campaign, running or at rest.

`definitions` records a command, `validation` says why one is refused (when it is given, and again
when it is about to be carried out), `outcome` records its outcome together with what it changed.
The campaign carries commands out between two generations (`population.campaign.commands`).
"""
