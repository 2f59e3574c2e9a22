"""The pages, one file each; `tui.app.data.page_registry` lists them."""
