"""A textbook as large as one wants: chapters of units of leaves, with as much metadata as the platform's have."""

from rules.hierarchy import COLLECTION_MIME_TYPE, Json

UNITS_OF_A_CHAPTER = 8
_OF_ALL = {
    "channel": "0123221758376673287017",
    "language": ["English"],
    "medium": ["English", "Hindi"],
    "gradeLevel": ["Class 7", "Class 8"],
    "subject": ["Mathematics"],
    "board": "State (Sample)",
    "framework": "sample_k-12",
    "license": "CC BY 4.0",
    "author": "Somebody of the board",
    "os": ["All"],
    "audience": ["Student"],
    "idealScreenSize": "normal",
    "contentEncoding": "gzip",
    "createdOn": "2026-01-31T12:00:00.000+0000",
    "lastUpdatedOn": "2026-02-01T12:00:00.000+0000",
    "compatibilityLevel": 4,
}


def textbook(identifier: str, units: int, leaves: int) -> Json:
    """``units`` inner nodes in all, and ``leaves`` distinct leaves, spread evenly."""
    chapters: list[Json] = []
    first = 0
    for number in range(units):
        last = leaves * (number + 1) // units
        inner = _unit(
            f"{identifier}-unit-{number}", number, [_leaf(identifier, n) for n in range(first, last)]
        )
        first = last
        if number % UNITS_OF_A_CHAPTER:
            chapters[-1]["children"].append(inner)
        else:
            chapters.append(inner)
    return {
        "identifier": identifier,
        "name": f"A textbook of {units} units",
        "mimeType": COLLECTION_MIME_TYPE,
        "contentType": "TextBook",
        "primaryCategory": "Digital Textbook",
        "visibility": "Default",
        **_OF_ALL,
        "children": chapters,
    }


def _unit(identifier: str, number: int, children: list[Json]) -> Json:
    return {
        "identifier": identifier,
        "name": f"Unit {number}",
        "description": f"What is to be learned in unit {number}, in a sentence or two. " * 2,
        "mimeType": COLLECTION_MIME_TYPE,
        "contentType": "TextBookUnit",
        "primaryCategory": "Textbook Unit",
        "visibility": "Parent",
        "keywords": [f"keyword {number}", "geometry"],
        **_OF_ALL,
        "children": children,
    }


def _leaf(book: str, number: int) -> Json:
    identifier = f"{book}-leaf-{number}"
    return {
        "identifier": identifier,
        "name": f"Explanation {number}",
        "description": f"Explanation {number} of the textbook, with pictures and exercises. " * 3,
        "mimeType": "application/pdf" if number % 3 else "video/mp4",
        "contentType": "Resource",
        "primaryCategory": "Explanation Content",
        "visibility": "Default",
        "size": 100_000 + number,
        "artifactUrl": f"https://content.example/{identifier}/artifact/{identifier}_1770000000000.pdf",
        "previewUrl": f"https://content.example/{identifier}/artifact/{identifier}_1770000000000.pdf",
        **_OF_ALL,
    }
