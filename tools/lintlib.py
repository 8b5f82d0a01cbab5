"""What the check-* tools share: options, files, errors, a little C.

The C reader is not a parser.  It relies on the project's style: one
declaration at a time, the brace of a function at the start of a line.

SPDX-License-Identifier: BSD-3-Clause
"""
import argparse
import os
import re
import sys

LAYERS = ("base", "coro", "conf", "blockcore", "drivers", "export", "server")
SKIPPED_FOLDERS = {"build", "__pycache__", "corpus"}

# Attributes that look like calls, and keywords that are followed by "(".
NOT_FUNCTIONS = {
    "__attribute__", "_Alignas", "_Static_assert", "ASH_PRINTF", "if", "for",
    "while", "switch", "return", "sizeof", "defined", "__asm__", "_Alignof",
}


class Lint:
    """One run of one tool: where to look, and what was found."""

    def __init__(self, description):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--root", default=os.path.dirname(
            os.path.dirname(os.path.abspath(__file__))))
        parser.add_argument("--build", help="a build folder, such as "
                            "build/dev, for what only a build can tell")
        args = parser.parse_args()
        self.root = os.path.abspath(args.root)
        self.build = os.path.abspath(args.build) if args.build else None
        self.errors = set()
        self.notes = []

    def path(self, name):
        return os.path.join(self.root, name)

    def exists(self, name):
        return os.path.exists(self.path(name))

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def files(self, *suffixes):
        """Names below the root with one of these endings, sorted."""
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [d for d in folders if d not in SKIPPED_FOLDERS
                          and (not d.startswith(".") or d == ".ci")]
            for name in names:
                if name.endswith(suffixes):
                    full = os.path.join(folder, name)
                    found.append(os.path.relpath(full, self.root))
        return sorted(found)

    def error(self, name, line, text):
        self.errors.add((name, line, text))

    def note(self, text):
        self.notes.append(text)

    def finish(self):
        for name, line, text in sorted(self.errors):
            print(f"{name}:{line}: error: {text}")
        for text in self.notes:
            print(f"note: {text}")
        sys.exit(1 if self.errors else 0)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


_TOKENS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments(text):
    """The text with comments blanked; lines and columns stay."""
    return _TOKENS.sub(
        lambda m: _blank(m[0]) if m[0][0] == "/" else m[0], text)


def code_only(text):
    """Comments and the insides of strings blanked."""
    def blank(m):
        if m[0][0] == "/":
            return _blank(m[0])
        return m[0][0] + _blank(m[0][1:-1]) + m[0][-1]
    return _TOKENS.sub(blank, text)


def comments(text):
    """(position, comment) of each comment."""
    return [(m.start(), m[0]) for m in _TOKENS.finditer(text)
            if m[0][0] == "/"]


def without_preprocessor(code):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda m: _blank(m[0]), code, flags=re.M)


def close_of(code, start):
    """The position of the bracket that closes the one at start."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opening, closing = code[start], pairs[code[start]]
    depth = 0
    for m in re.compile(f"[{re.escape(opening + closing)}]").finditer(
            code, start):
        depth += 1 if m[0] == opening else -1
        if depth == 0:
            return m.start()
    return len(code) - 1


class Function:
    """A declaration or a definition outside of any function."""

    def __init__(self, name, head, params, line, body, body_line, at):
        self.name = name            # "blk_co_read"
        self.head = head            # what stands before the name
        self.params = params        # the text between the parentheses
        self.line = line            # of the name
        self.body = body            # with its braces; None: a declaration
        self.body_line = body_line  # of the opening brace
        self.at = at                # position where the head begins

    def has(self, marker):
        return re.search(rf"\b{marker}\b", self.head) is not None

    def param_names(self):
        """None for what can't be told (an unnamed one)."""
        if self.params.strip() in ("", "void"):
            return []
        return [_param_name(p) for p in split_commas(self.params)]


def split_commas(text):
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return parts + [text[start:]]


def _param_name(param):
    param = param.strip()
    if param == "...":
        return "..."
    m = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", param)
    if m:
        return m[1]
    m = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", param)
    return m[1] if m else None


_MACRO_LINE = re.compile(r"^G_(?:DEFINE|GNUC|BEGIN|END|STATIC)_\w*"
                         r"(?:\([^)]*\))?;?", re.M)


def functions(text):
    """The functions that a C file declares or defines."""
    code = without_preprocessor(code_only(text))
    code = _MACRO_LINE.sub(lambda m: _blank(m[0]), code)
    found = []
    start = i = 0
    while i < len(code):
        c = code[i]
        if c == ";":
            found += _function(code, start, i, None)
            start = i + 1
        elif c in "([":
            i = close_of(code, i)
        elif c == "{":
            end = close_of(code, i)
            function = _function(code, start, i, end)
            found += function
            i = end
            if function:
                start = i + 1
        i += 1
    return found


def _function(code, start, stop, end):
    chunk = code[start:stop]
    if re.match(r"\s*typedef\b", chunk) or re.search(r"[={]", chunk):
        return []
    for m in re.finditer(r"\b([A-Za-z_]\w*)\s*\(", chunk):
        if m[1] in NOT_FUNCTIONS or not chunk[:m.start()].strip():
            continue
        if re.search(r"\b(?:__attribute__|ASH_PRINTF)\s*\($",
                     chunk[:m.start()]):
            continue
        if m[1].isupper() or m[1] == "void" or "(" in re.sub(
                r"\w+\s*\([^()]*(?:\([^()]*\)[^()]*)*\)", "",
                chunk[:m.start()]):
            continue
        opening = start + m.end() - 1
        closing = close_of(code, opening)
        head = code[start:start + m.start()]
        if closing + 1 < stop and code[closing + 1:stop].lstrip()[:1] == "(":
            return []  # "int coroutine_fn (*name)(...)": a variable
        at = start + len(head) - len(head.lstrip())
        body = code[stop:end + 1] if end is not None else None
        return [Function(m[1], head, code[opening + 1:closing],
                         line_of(code, start + m.start()), body,
                         line_of(code, stop), at)]
    return []
