"""A pipeline's function becomes a graph: steps, arguments, names, order."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass

import pytest

import partita as pt
from partita.core.graph import Const, DictOf, ListOf, Output, Param
from partita.core.plain import pack, unpack
from partita.define.compile import Problems, compile_pipeline
from partita.errors import DefinitionError
from tests_define_shim import *  # noqa: F403
