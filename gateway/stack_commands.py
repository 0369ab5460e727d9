"""`cohort stack`: the real servers on this machine, without Docker."""

import logging
import shlex
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from stack.errors import StackError
from stack.stack import Phase, Stack

app = typer.Typer(
    help="Start and stop the real servers on this machine, without Docker.", no_args_is_help=True
)
