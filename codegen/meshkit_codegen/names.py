"""Names of one generated module: each given out once."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Names"]


class Names:
    """Hands out module-level names which differ from one another and from ``taken``.

    ``taken`` holds the attributes of the generated classes too: at run time they cannot shadow a module's name inside
    a function, but type checkers look for annotations in the class first.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def claim(self, *wishes: str) -> str:
        """The first of ``wishes`` that is free; where none is, the last one with as many underscores as it takes."""
        for name in wishes:
            if name not in self._taken:
                break
        else:
            name = wishes[-1]
            while name in self._taken:
                name += "_"
        self._taken.add(name)
        return name
