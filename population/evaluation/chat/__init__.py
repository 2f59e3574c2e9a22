"""Chats as models read them: a founder's chat template, rendered where it can do no harm."""
