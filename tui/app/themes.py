"""The app's own themes, beside those of Textual. The palette changes and previews them."""

from textual.theme import Theme

DARK = Theme(
    name="colony-dark",
    dark=True,
    primary="#7aa2f7",
    secondary="#7dcfff",
    accent="#bb9af7",
    warning="#e5c07b",
    error="#f7768e",
    success="#8fce6b",
    foreground="#c8d0e8",
    background="#11151c",
    surface="#151a23",
    panel="#1c2330",
)

LIGHT = Theme(
    name="colony-light",
    dark=False,
    primary="#2e5cb8",
    secondary="#0f6f8c",
    accent="#7c4dbd",
    warning="#9a6700",
    error="#b3261e",
    success="#2f7d32",
    foreground="#1f2430",
    background="#fafaf7",
    surface="#f3f3ee",
    panel="#e7e7df",
)

THEMES = (DARK, LIGHT)
