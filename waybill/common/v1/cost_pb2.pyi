from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class CostKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COST_KIND_UNSPECIFIED: _ClassVar[CostKind]
    COST_KIND_REAL: _ClassVar[CostKind]
    COST_KIND_SIMULATED: _ClassVar[CostKind]
    COST_KIND_LOCAL: _ClassVar[CostKind]
COST_KIND_UNSPECIFIED: CostKind
COST_KIND_REAL: CostKind
COST_KIND_SIMULATED: CostKind
COST_KIND_LOCAL: CostKind
