"""The widgets that pages are made of: the virtual list, charts, dialogs."""
