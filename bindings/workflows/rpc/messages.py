"""The messages of `workflows.proto`, made from its descriptor.

`workflows.binpb` is the descriptor as protoc writes it:

    python -m grpc_tools.protoc -I. --descriptor_set_out=workflows.binpb workflows.proto

Code that protoc generates would tie us to one version of protobuf; a descriptor is read by all. protobuf has no types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet  # type: ignore[import-untyped]
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

PACKAGE = "edge.workflows.v1"
SERVICE = f"{PACKAGE}.Workflows"


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(Path(__file__).with_name("workflows.binpb").read_bytes()).file:
        pool.Add(file)
    return pool


_POOL = _pool()


def message(name: str) -> Any:
    """The class of a message: `message("Instance")`."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def read(kind: Any, content: bytes) -> Any:
    """The message of a class that these bytes are.

    Raises:
        ValueError: they are none.
    """
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise ValueError(str(error)) from error


CreateRequest = message("CreateRequest")
Error = message("Error")
Event = message("Event")
Instance = message("Instance")
InstanceName = message("InstanceName")
ListReply = message("ListReply")
ListRequest = message("ListRequest")
SendEventReply = message("SendEventReply")
SendEventRequest = message("SendEventRequest")
SetStatusRequest = message("SetStatusRequest")
SubscribeRequest = message("SubscribeRequest")
