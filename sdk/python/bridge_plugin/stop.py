"""Stop texts: where they end an answer, and what can be streamed before one may come."""

from __future__ import annotations

from typing import Sequence, Tuple


def cut(text: str, stop: Sequence[str]) -> Tuple[str, bool]:
    """Returns the part of an answer before the first stop text in it, and whether there is one."""
    places = [at for at in (text.find(s) for s in stop) if at >= 0]
    return (text[: min(places)], True) if places else (text, False)


def hold_back(text: str, stop: Sequence[str]) -> str:
    """Returns the part of an unfinished answer that can be streamed: without an end that may
    turn out to be the beginning of a stop text."""
    most = max((n for s in stop for n in range(1, len(s)) if text.endswith(s[:n])), default=0)
    return text[: len(text) - most]
