"""Asking the processor for what a loop will read some rounds later."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64
"""Bytes that the processor fetches at a time."""
MOST_LINES = 4
"""Most of them that are asked for: the rest of a long record is read here and there."""


@intrinsic
def prefetch(typingctx: Any, records: Any, number: Any) -> Any:
    """Have the beginning of ``records[number]`` fetched into the cache; nothing is read.

    ``records`` is an array (n,) or the rows of one (n, size). A number beyond its end does no harm.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        byte = ir.IntType(8)
        start = builder.gep(
            builder.bitcast(array.data, byte.as_pointer()), [builder.mul(stride, arguments[1])]
        )
        whole = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte.as_pointer(), whole, whole, whole]),
            "llvm.prefetch.p0i8",
        )
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        for line in range(min(-(-size // LINE), MOST_LINES)):
            place = builder.gep(start, [ir.Constant(ir.IntType(64), line * LINE)])
            builder.call(function, [place, whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(records, types.int64), generate
