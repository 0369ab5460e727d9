"""An answer tells the first errors and how many others there are."""

from typing import Any

import pytest

from graph.limits import Limits
from graph.schema import build_schema
from graph.upstream import located_error
from tests.conftest import Instance
from tests.graph.conftest import ask
