"""Functions and modules stay small enough to be read at once. Ruff measures complexity (pyproject.toml), this test lines.

Tests and benchmarks are excepted: they are tables of data and stories told in order.
"""

import ast

import pytest

from tests.test_rooms import MAY_IMPORT, ROOT, files

LINES_OF_A_FUNCTION = 60
LINES_OF_A_MODULE = 400


@pytest.mark.parametrize("room", sorted({room.partition("/")[0] for room in MAY_IMPORT}))
def test_functions_and_modules_are_small(room: str) -> None:
    wrong = []
    for path in files(room):
        text, name = path.read_text(), path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > LINES_OF_A_MODULE:
            wrong.append(f"{name} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    wrong.append(f"{name}:{node.lineno} {node.name} has {lines} lines")
    assert not wrong, "\n".join(wrong)
