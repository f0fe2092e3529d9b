"""Text from strangers (sheets, services) made safe to show. Pure."""


def visible(text: str) -> str:
    """The text with control, formatting and other invisible characters written as escapes.

    Nothing in it can move a cursor, colour a terminal, break a log line or turn the reading direction.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(text: str, width: int) -> str:
    """The visible text in at most `width` characters, with an ellipsis where it was cut."""
    safe = visible(text)
    return safe if len(safe) <= width else safe[: width - 1] + "…"
