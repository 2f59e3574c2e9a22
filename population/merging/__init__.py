"""The merge engine: recipes in, checkpoints out. It needs no torch on a CPU.

`recipe` is the one form in which a merge is written down, `mergekit` reads and writes mergekit's
YAML, `preflight` checks everything before a byte is written, `engine` runs it tensor by tensor,
`writer` writes the checkpoint. The methods are in `methods`.
"""
