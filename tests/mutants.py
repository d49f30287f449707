"""What tests/mutation.py changes: each place of a module, one at a time."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SWAPS = [(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot)]
SWAPS += [(ast.In, ast.NotIn), (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.And, ast.Or)]
SWAPS += [(ast.BitAnd, ast.BitOr), (ast.LShift, ast.RShift), (ast.Break, ast.Continue)]
OTHER: dict[Any, Any] = {**dict(SWAPS), **{other: one for one, other in SWAPS}}
OTHER |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult}
TWIN = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "any": "all",
    "all": "any",
}
SKIPPED = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)


class Mutant(NamedTuple):
    file: str
    line: int
    compiled: bool
    start: int
    end: int
    text: str


def mutants_of(tree: Path, file: str) -> Iterator[Mutant]:
    """Yield what may be changed in a file: operators, numbers, conditions, statements left out."""
    source = (tree / file).read_bytes()
    begins = [0, *(match.end() for match in re.finditer(rb"\n", source))]

    def visit(node: ast.AST, compiled: bool) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef):
            compiled |= any("jit" in ast.unparse(one) for one in node.decorator_list)
        for changed, text in variants(node):
            start = begins[changed.lineno - 1] + changed.col_offset
            end = begins[changed.end_lineno - 1] + changed.end_col_offset
            yield Mutant(file, changed.lineno, compiled, start, end, text)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list", "bases", "type_params"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST) and not isinstance(child, SKIPPED):
                        yield from visit(child, compiled)

    yield from visit(ast.parse(source), False)


def variants(node: Any) -> Iterator[tuple[Any, str]]:
    """Yield the expression or statement to change, and what is put there."""
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in OTHER:
            yield node, f"({ast.unparse(ast.Compare(left, [OTHER[type(op)]()], [right]))})"
        case ast.BinOp(left, op, right) if type(op) in OTHER:
            yield node, f"({ast.unparse(ast.BinOp(left, OTHER[type(op)](), right))})"
        case ast.BoolOp(op, values):
            yield node, f"({ast.unparse(ast.BoolOp(OTHER[type(op)](), values))})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(bool(value)):
            yield node, str(not value)
        case ast.Constant(int(value)):
            yield node, str(value + 1)
        case ast.Constant(float(value)):
            yield node, str(value + 1.0 if value in (0.0, 1.0) else 2.0 * value)
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.AugAssign() | ast.Expr(ast.Call()):
            yield node, "pass"
        case ast.Break() | ast.Continue():
            yield node, "continue" if isinstance(node, ast.Break) else "break"
        case ast.Call(ast.Name(name) | ast.Attribute(_, name)) if name in TWIN:
            yield node.func, ast.unparse(node.func).removesuffix(name) + TWIN[name]
