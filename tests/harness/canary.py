"""Secrets that are recognised wherever they turn up, however they are written there."""

import base64
import html
import json
import re
import secrets
import urllib.parse

# What of a copy is left is found as long as it has so many of the secret's characters, from either end.
_WINDOW = 12


def each(form):
    """Every character in one way: each("%%%02x")."""
    return lambda text: "".join(form % byte for byte in text.encode())


def _base64(text, before=0, altchars=None):
    return base64.b64encode(b"?" * before + text.encode(), altchars).decode()


# How pages, headers, JSON and logs write text.
SPELLINGS = {
    "plain": str,
    "upper case": str.upper,
    "form": lambda text: urllib.parse.quote(text, safe=""),
    "form, lower case": lambda text: urllib.parse.quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "form twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "percent": each("%%%02x"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, PHP's": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "JSON, escaped": each("\\u%04x"),
    "JavaScript": each("\\x%02X"),
    "HTML": html.escape,
    "HTML, decimal": each("&#%d;"),
    "HTML, hexadecimal": each("&#x%X;"),
    "hexadecimal": each("%02x"),
    "base64": _base64,
    "base64, 1 later": lambda text: _base64(text, 1),
    "base64, 2 later": lambda text: _base64(text, 2),
    "base64, for URLs": lambda text: _base64(text, 1, b"-_"),
}


def _decided(text, before):
    """Of the base64 of `text`, with so many bytes before it, what `text` alone decides."""
    from_, until = (0, 2, 3)[before], (before + len(text)) * 8 // 6
    return _base64(text, before)[from_:until]


class Canary:
    """A secret. token=True: it looks like Twilio's; text: it is that; else it has in it what people escape."""

    def __init__(self, name, token=False, text=None):
        self.name = name
        if text:
            self.text = text
        elif token:
            self.text = secrets.token_hex(16)
        else:
            self.text = secrets.token_hex(7) + '/+"&<\\>=' + secrets.token_hex(7)
        self._patterns = self._make_patterns()

    def __repr__(self):
        return self.name

    def _make_patterns(self):
        # A header has it in base64 already.
        whole = [self.text, *[_decided(self.text, before) for before in range(3)]]
        ends = [end for text in whole for end in (text[:_WINDOW], text[-_WINDOW:])]
        forms = [str, each("%%%02x"), each("\\u%04x"), each("\\x%02x"), each("&#%d;"), each("&#x%x;"), each("%02x")]
        forms += [lambda text, n=n: _decided(text, n) for n in range(3)]
        return {form(end).lower().encode() for end in ends for form in forms}

    def is_in(self, text):
        """Whether a copy, or most of one, is in what legible() made."""
        return self.excerpt(text) is not None

    def excerpt(self, text):
        """The first copy that is found, with what stands around it; None: there is none."""
        for pattern in self._patterns:
            place = text.find(pattern)
            if place >= 0:
                return text[max(place - 150, 0) : place + 150]
        return None


def legible(text):
    """Bytes, so that a search finds what is in them: lower case, and backslashes that a dump has doubled are one."""
    return re.sub(rb"\\\\+", rb"\\", text.lower())
