"""Finds C++ functions and their lengths in text that clang-format has laid out.

No parser: braces are counted, and a brace opens a function when everything around it is a namespace or a class and the
words before it look like a signature. clang-format makes that enough: a body's brace follows a blank, an initialiser's
does not.
"""

import re

CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum)\b|\bextern\s+\"\"\s*$")
NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![\w])'(?:\\.|[^'\\\n])*'"""
    r"""|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*""",
    re.S | re.M | re.X,
)


def blank_noise(text):
    """Comments, literals and preprocessor lines emptied, so that every brace left is code; line numbers stay."""
    def blank(match):
        return ('""' if match[0][0] in "R\"'" else "") + "\n" * match[0].count("\n")
    return NOISE.sub(blank, text)


def kind_of(head, text, at):
    """What the brace at text[at] opens, seen from the words before it."""
    if at > 0 and text[at - 1] not in " \n":
        return "initialiser"
    words = head.strip()
    if words.endswith(("=", ",", "(", "return")):
        return "initialiser"
    if CONTAINER.search(re.sub(r"\([^()]*\)|<[^<>]*>", "", words)) and not re.search(r"\)\s*(const|noexcept|override|final|->.*)*\s*$", words):
        return "container"
    return "function" if "(" in words else "other"


def name_of(head):
    match = re.search(r"([~\w:]+|operator\S+)\s*\(", re.sub(r"\[\[.*?\]\]|requires\b.*?\)|template\s*<[^{]*?>\s", "", head, flags=re.S))
    if not match:
        return "?"
    if match[1].startswith("TEST"):
        return re.sub(r"\s+", "", head[match.start(1):]).strip()
    return match[1]


def lengths(text):
    """(name, line, lines) of every function with a body, from its opening to its closing brace, inclusive."""
    text = blank_noise(text)
    stack = []  # (kind, name, line)
    found = []
    head_start = 0
    for match in re.finditer(r"[{};]", text):
        at = match.start()
        kinds = {entry[0] for entry in stack}
        outside = kinds <= {"container"}
        if match[0] == "{":
            head = text[head_start:at]
            kind = kind_of(head, text, at) if outside else "inner"
            stack.append((kind, name_of(head) if kind == "function" else "", text.count("\n", 0, at) + 1))
            if kind in ("container", "function"):
                head_start = at + 1
        elif match[0] == "}" and stack:
            kind, name, line = stack.pop()
            if kind == "function":
                found.append((name, line, text.count("\n", 0, at) + 2 - line))
            if kind in ("container", "function", "other"):
                head_start = at + 1
        elif match[0] == ";" and outside:
            head_start = at + 1
    return found
