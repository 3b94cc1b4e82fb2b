"""RE2 patterns, checked as RE2 would check them and translated to `re` (https://github.com/google/re2/wiki/Syntax).

Envoy and gRPC match a ``safe_regex`` whole (gRFC A28), so a compiled pattern is to be used with ``fullmatch``; greed
(``*?``, ``(?U)``) then makes no difference. What RE2 has and `re` does not, or spells otherwise, is rewritten: ``\\z``,
``\\Q..\\E``, ``\\x{..}``, POSIX classes, flags in mid-pattern. What `re` has and RE2 refuses (look-around,
back-references, possessive and doubled repetition) is refused. Unicode classes (``\\pL``) and ``\\C`` are refused
too: `re` has no such thing.
"""

from __future__ import annotations

import re

__all__ = ["RegexError", "compile_regex", "translate_regex"]

_MAX_REPEAT = 1000  # RE2's limit on {n,m}
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")
_HEX = re.compile(r"\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")
_OCTAL = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})")

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\x0b\f\r ",
    "upper": "A-Z",
    "word": r"0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_NEGATED = {
    "alnum": r"\x00-/:-@\[-`{-\U0010ffff",
    "alpha": r"\x00-@\[-`{-\U0010ffff",
    "ascii": r"\x80-\U0010ffff",
    "blank": r"\x00-\x08\n-\x1f!-\U0010ffff",
    "cntrl": r" -~\x80-\U0010ffff",
    "digit": r"\x00-/:-\U0010ffff",
    "graph": r"\x00- \x7f-\U0010ffff",
    "lower": r"\x00-`{-\U0010ffff",
    "print": r"\x00-\x1f\x7f-\U0010ffff",
    "punct": r"\x00- 0-9A-Za-z\x7f-\U0010ffff",
    "space": r"\x00-\x08\x0e-\x1f!-\U0010ffff",
    "upper": r"\x00-@\[-\U0010ffff",
    "word": r"\x00-/:-@\[-^`{-\U0010ffff",
    "xdigit": r"\x00-/:-@G-`g-\U0010ffff",
}
# RE2's Perl classes are ASCII, and its \s has no vertical tab.
_PERL = {
    "d": "0-9",
    "D": _NEGATED["digit"],
    "w": "0-9A-Za-z_",
    "W": _NEGATED["word"],
    "s": r"\t\n\f\r ",
    "S": r"\x00-\x08\x0b\x0e-\x1f!-\U0010ffff",
}
_CONTROLS = {"a": r"\x07", "f": r"\f", "t": r"\t", "n": r"\n", "r": r"\r", "v": r"\x0b"}
_ANCHORS = {"A": r"\A", "z": r"\Z", "b": r"\b", "B": r"\B"}


class RegexError(ValueError):
    """A pattern that RE2 refuses, or that we cannot run."""


def compile_regex(pattern: str) -> re.Pattern[str]:
    """``pattern`` in RE2's syntax as a compiled `re` pattern, for ``fullmatch``. Raises `RegexError`."""
    try:
        return re.compile(translate_regex(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise RegexError(f"regex {pattern!r}: {error}") from None


def translate_regex(pattern: str) -> str:
    """``pattern`` in RE2's syntax as the same pattern in `re`'s. Raises `RegexError`."""
    return _Translator(pattern).run()


class _Translator:
    """One pass over a pattern. ``_groups`` holds, per open group, the flag openers that its end must close again."""

    __slots__ = ("_at", "_groups", "_multiline", "_out", "_repeatable", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        self._groups: list[list[str]] = [[]]
        self._multiline: list[bool] = [False]
        self._repeatable = False

    def run(self) -> str:
        while self._at < len(self._text):
            step = _STEPS.get(self._text[self._at], _Translator.literal)
            step(self)
        if len(self._groups) > 1:
            raise self._error("missing )")
        return "".join(self._out) + ")" * len(self._groups[0])

    def _error(self, reason: str) -> RegexError:
        return RegexError(f"regex {self._text!r}: {reason} at {self._at}")

    def _emit(self, text: str, size: int, *, repeatable: bool = True) -> None:
        self._out.append(text)
        self._at += size
        self._repeatable = repeatable

    def literal(self) -> None:
        self._emit(re.escape(self._text[self._at]), 1)

    def same(self) -> None:
        """What both syntaxes have, meaning the same."""
        self._emit(self._text[self._at], 1)

    def dollar(self) -> None:
        self._emit("$" if self._multiline[-1] else r"\Z", 1)  # re's own $ would also match before a last newline

    def bar(self) -> None:
        openers = self._groups[-1]
        self._emit(")" * len(openers) + "|" + "".join(openers), 1, repeatable=False)

    def open(self) -> None:
        if not self._text.startswith("(?", self._at):
            self._push("(", 1)
        elif (named := _NAMED.match(self._text, self._at)) is not None:
            self._push(f"(?P<{named[1]}>", len(named[0]))
        elif (flags := _FLAGS.match(self._text, self._at)) is not None:
            self._flags(flags)
        else:
            raise self._error(f"{self._text[self._at : self._at + 4]!r} is not RE2 syntax")

    def _flags(self, match: re.Match[str]) -> None:
        on, off, end = match[1].replace("U", ""), (match[2] or "").replace("U", ""), match[3]
        if match[2] is not None and not match[1] and not off and end == ")":
            raise self._error("missing flags")
        multiline = ("m" in on or self._multiline[-1]) and "m" not in off
        opener = f"(?{on}{'-' + off if off else ''}:"
        if end == ":":
            self._push(opener, len(match[0]))
        else:  # (?i) holds to the end of the group that it stands in
            self._groups[-1].append(opener)
            self._emit(opener, len(match[0]), repeatable=False)
        self._multiline[-1] = multiline

    def _push(self, text: str, size: int) -> None:
        self._groups.append([])
        self._multiline.append(self._multiline[-1])
        self._emit(text, size, repeatable=False)

    def close(self) -> None:
        if len(self._groups) == 1:
            raise self._error("unexpected )")
        self._multiline.pop()
        self._emit(")" * (len(self._groups.pop()) + 1), 1)

    def repeat(self) -> None:
        match = _REPEAT.match(self._text, self._at)
        if self._text[self._at] == "{":
            if match is None:
                return self.literal()  # RE2 takes a brace that opens no repetition as itself
            if max(int(match[1]), int(match[2] or 0)) > _MAX_REPEAT:
                raise self._error(f"repetition above {_MAX_REPEAT}")
        if not self._repeatable:
            raise self._error("nothing to repeat")
        size = len(match[0]) if match else 1
        text = self._text[self._at : self._at + size]
        lazy = self._text.startswith("?", self._at + size)
        return self._emit(text + "?" * lazy, size + lazy, repeatable=False)

    def escape(self) -> None:
        name = self._text[self._at + 1 : self._at + 2]
        if name == "Q":
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at + 2 : end if end >= 0 else None]
            self._emit("".join(map(re.escape, quoted)), len(quoted) + (4 if end >= 0 else 2), repeatable=bool(quoted))
        elif name in _PERL:
            self._emit(f"[{_PERL[name]}]", 2)
        elif name in _ANCHORS:
            self._emit(_ANCHORS[name], 2)
        else:
            text, size = self._character()
            self._emit(text, size)

    def _character(self) -> tuple[str, int]:
        """The escape at this place as one escaped character, and its length."""
        name = self._text[self._at + 1 : self._at + 2]
        if name in _CONTROLS:
            return _CONTROLS[name], 2
        if (match := _HEX.match(self._text, self._at)) is not None:
            return self._code(int(match[1] or match[2], 16), len(match[0]))
        if (match := _OCTAL.match(self._text, self._at)) is not None:
            return self._code(int(match[1], 8), len(match[0]))
        if name and name.isascii() and (name == "_" or not name.isalnum()):
            return re.escape(name), 2
        raise self._error(f"escape {self._text[self._at : self._at + 2]!r} is not supported")

    def _code(self, code: int, size: int) -> tuple[str, int]:
        if code > 0x10FFFF:
            raise self._error("character above U+10FFFF")
        return f"\\U{code:08x}", size

    def char_class(self) -> None:
        start = self._at
        self._at += 1
        self._out.append("[")
        if self._text.startswith("^", self._at):
            self._out.append("^")
            self._at += 1
        first = True
        while first or not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                self._at = start
                raise self._error("missing ]")
            self._member()
            first = False
        self._emit("]", 1)

    def _member(self) -> None:
        posix = _POSIX.match(self._text, self._at)
        if posix is not None:
            table = _NEGATED if posix[1] else _CLASSES
            if posix[2] not in table:
                raise self._error(f"class {posix[0]!r} is not known")
            self._emit(table[posix[2]], len(posix[0]))
        elif self._text[self._at] == "\\" and self._text[self._at + 1 : self._at + 2] in _PERL:
            self._emit(_PERL[self._text[self._at + 1]], 2)
        else:
            self._range()

    def _range(self) -> None:
        low = self._single()
        if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
            self._at += 1
            if self._at >= len(self._text):
                raise self._error("missing ]")
            self._out.append(f"{low}-{self._single()}")
        else:
            self._out.append(low)

    def _single(self) -> str:
        text, size = self._character() if self._text[self._at] == "\\" else (re.escape(self._text[self._at]), 1)
        self._at += size
        return text if text.startswith("\\") else f"\\{text}" if text in "^[]&~|-" else text


_STEPS = {
    ".": _Translator.same,
    "^": _Translator.same,
    "$": _Translator.dollar,
    "|": _Translator.bar,
    "(": _Translator.open,
    ")": _Translator.close,
    "[": _Translator.char_class,
    "\\": _Translator.escape,
    "*": _Translator.repeat,
    "+": _Translator.repeat,
    "?": _Translator.repeat,
    "{": _Translator.repeat,
}
