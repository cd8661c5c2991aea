"""The filter language: one line of words compiled to a predicate over records. No I/O, no UI.

    web                 the word is somewhere in the row's text (case does not matter); web* is a glob on the name
    !web                not
    ~^web-[0-9]+        a regular expression on the row's text
    status:run,error    a field contains one of these; status:=Running is exact, status:~^Run a regular expression
    @lyon               short for host:lyon
    cpu>80 mem>=4G      numbers compare with > >= < <= = != ; sizes take K M G T, times s m h d w
    age<2h              younger than two hours
    user.tag:web        any config key with a dot in it (instances and profiles)

All of it is joined by AND. Quotes make one literal word of anything: "a b", "x:y".
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Literal, NamedTuple

FieldKind = Literal["text", "number", "size", "age"]
Predicate = Callable[[Any], bool]


class QueryError(ValueError):
    """The text is no filter. `text` says what is wrong with it in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Field(NamedTuple):
    """What a name in the language means on a record.

    get gives, for "text", a string or a tuple of strings; for "number" and "size" a number (bytes), negative or None
    when unknown; for "age" the time it began, seconds since the epoch, 0 when unknown.
    """

    kind: FieldKind
    get: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of one kind of record. name and text serve plain words; config serves dotted names.

    small: the text in small letters, where a record keeps it: ten times as fast for a hundred thousand of them.
    """

    fields: Mapping[str, Field]
    name: Callable[[Any], str]
    text: Callable[[Any], str]
    config: Callable[[Any], Mapping[str, str]] | None = None
    small: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One word of the query. `plain` is set for simple words, which narrow when they get longer.

    live: it looks at figures that change without the record being read again.  small: `plain` in what this gives is all
    that it tests.
    """

    source: str
    test: Predicate
    plain: str = ""
    timed: bool = False
    live: bool = False
    small: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled filter; an empty one lets everything pass."""

    source: str
    terms: tuple[Term, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether its result changes with the clock alone."""
        return any(term.timed for term in self.terms)

    @property
    def live(self) -> bool:
        """Whether its result changes with live figures."""
        return any(term.live for term in self.terms)

    @property
    def words(self) -> tuple[str, ...]:
        """The plain words that a record's text in small letters (`small`) must have in it."""
        return tuple(term.plain for term in self.terms if term.small is not None)

    @property
    def small(self) -> Callable[[Any], str] | None:
        """Gives the text that `words` are looked for in; None when there is no such word."""
        return next((term.small for term in self.terms if term.small is not None), None)

    @property
    def tests(self) -> tuple[Predicate, ...]:
        """What a record must pass besides `words`."""
        return tuple(term.test for term in self.terms if term.small is None)

    def __call__(self, record: Any) -> bool:
        for term in self.terms:  # noqa: SIM110  (several times faster than all(), and asked for each row)
            if not term.test(record):
                return False
        return True

    def narrows(self, other: Query) -> bool:
        """Whether it can only let pass what other lets pass (a word was added or typed on)."""
        if len(other.terms) > len(self.terms) or self.timed or other.timed:
            return False
        for mine, theirs in zip(self.terms, other.terms, strict=False):
            longer_word = bool(theirs.plain) and theirs.plain in mine.plain
            if mine.source != theirs.source and not longer_word:
                return False
        return True


EVERYTHING = Query("")

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TOKEN = re.compile(r'(!?)(?:"([^"]*)"?|(\S+))')
_COMPARISON = re.compile(r"([A-Za-z][A-Za-z_-]*)(>=|<=|!=|>|<|=)(.*)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z][A-Za-z_.-]*):(.*)", re.DOTALL)
_DOTTED = re.compile(r"([a-z][\w-]*(?:\.[\w-]+)+)(?:[:=])(.*)", re.DOTALL)
KNOWN = 4096  # values of a field whose result is kept
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_TIMES = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse(source: str, schema: Schema, *, clock: Callable[[], float] = time.time) -> Query:
    """Compile a filter for records of one kind. Raises QueryError."""
    terms = []
    for match in _TOKEN.finditer(source):
        negate, quoted, bare = match.groups()
        if quoted is not None:
            term = _word(quoted, schema, literal=True)
        elif bare:
            term = _term(bare, schema, clock)
        else:
            continue
        if term is None:
            continue
        terms.append(_negated(term) if negate else term)
    return Query(source, tuple(terms)) if terms else Query(source)


def _negated(term: Term) -> Term:
    test = term.test
    return Term("!" + term.source, lambda record: not test(record), timed=term.timed, live=term.live)


def _term(word: str, schema: Schema, clock: Callable[[], float]) -> Term | None:
    if word.startswith("~"):
        return _regex(word, word[1:], schema.text) if len(word) > 1 else None
    if word.startswith("@"):
        return _field(word, "host", word[1:], schema)
    if schema.config is not None and (dotted := _DOTTED.fullmatch(word)):
        return _config(word, dotted[1], dotted[2], schema.config)
    if found := _COMPARISON.fullmatch(word):
        name, sign, value = found.groups()
        return _comparison(word, name.lower(), sign, value, schema, clock)
    if found := _FIELD.fullmatch(word):
        return _field(word, found[1].lower(), found[2], schema)
    return _word(word, schema)


def _word(word: str, schema: Schema, *, literal: bool = False) -> Term | None:
    low = word.lower()
    if not low or low == "!":
        return None
    if not literal and ("*" in low or "?" in low):
        full = re.compile(translate(low), re.IGNORECASE).match
        name = schema.name
        return Term(word, lambda record: full(name(record)) is not None)
    if (small := schema.small) is not None:
        return Term(f'"{low}"', lambda record: low in small(record), plain=low, small=small)
    text = schema.text
    return Term(f'"{low}"', lambda record: low in text(record).lower(), plain=low)


def _regex(source: str, pattern: str, get: Callable[[Any], Any]) -> Term:
    try:
        search = re.compile(pattern, re.IGNORECASE).search
    except re.error as error:
        raise QueryError(f"{pattern!r} is no regular expression: {error}") from error
    return Term(source, lambda record: any(search(text) is not None for text in _texts(get(record))))


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _known(name: str, schema: Schema) -> Field:
    field = schema.fields.get(name)
    if field is None:
        raise QueryError(f'there is no field {name}; there are {", ".join(schema.fields)} ("quotes" for plain text)')
    return field


def _field(source: str, name: str, value: str, schema: Schema) -> Term | None:
    field = _known(name, schema)
    if field.kind != "text":
        raise QueryError(f"{name} is a number: {name}>10, {name}<=4")
    if not value:
        return None
    if value.startswith("~"):
        return _regex(source, value[1:], field.get)
    tests = [_one_of(part) for part in value.lower().split(",") if part]
    get = field.get
    known: dict[Any, bool] = {}  # values repeat: there are few states, hosts, images

    def contains(record: Any) -> bool:
        given = get(record)
        found = known.get(given)
        if found is None:
            found = any(test(text.lower()) for text in _texts(given) for test in tests)
            if len(known) < KNOWN:
                known[given] = found
        return found

    return Term(source, contains)


def _one_of(part: str) -> Callable[[str], bool]:
    if part.startswith("="):
        exact = part[1:]
        return lambda text: text == exact
    if "*" in part or "?" in part:
        full = re.compile(translate(part)).match
        return lambda text: full(text) is not None
    return lambda text: part in text


def _config(source: str, name: str, value: str, config: Callable[[Any], Mapping[str, str]]) -> Term:
    low = value.lower()
    return Term(source, lambda record: (given := config(record).get(name)) is not None and low in given.lower())


def _comparison(
    source: str, name: str, sign: str, value: str, schema: Schema, clock: Callable[[], float]
) -> Term | None:
    field = _known(name, schema)
    if field.kind == "text":
        if sign not in ("=", "!="):
            raise QueryError(f"{name} is text: {name}:{value or 'word'}")
        term = _field(source, name, "=" + value, schema) if value else None
        return _negated(term) if term is not None and sign == "!=" else term
    if not value:
        return None
    limit = _number(value, field.kind, name)
    compare, get = _OPERATORS[sign], field.get
    if field.kind == "age":

        def age(record: Any) -> bool:
            began = get(record)
            return bool(began) and compare(clock() - began, limit)

        return Term(source, age, timed=True)

    def number(record: Any) -> bool:
        given = get(record)
        return given is not None and given >= 0 and compare(given, limit)

    return Term(source, number, live=True)


def _number(value: str, kind: FieldKind, name: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z%]*)", value)
    units = _TIMES if kind == "age" else _SIZES
    if match:
        unit = match[2].lower()
        if kind == "size" and unit.endswith(("ib", "b")):
            unit = unit.removesuffix("b").removesuffix("i")
        if kind == "number" and unit == "%":
            unit = ""
        if unit in units and (kind != "number" or unit in ("", "k", "m")):
            return float(match[1]) * (units[unit] if kind != "number" else {"": 1, "k": 1e3, "m": 1e6}[unit])
    example = {"age": "30s, 2h, 7d", "size": "512M, 4G", "number": "80"}[kind]
    raise QueryError(f"{value!r} is no value for {name}: {example}")
