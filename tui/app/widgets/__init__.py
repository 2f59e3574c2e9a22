"""The widgets that pages are made of: virtual list, charts, plots, dialogs, help, top bar."""
