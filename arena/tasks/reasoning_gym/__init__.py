"""Tasks of reasoning-gym (https://github.com/open-thought/reasoning-gym), an extra.

Some of its verifiers evaluate what a model says as Python, so the library runs in a process of its
own that is confined (`worker`), and is never imported here.
"""
