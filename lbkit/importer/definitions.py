"""Definitions in JSON and YAML; the fields of a document tell which kind it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lbkit.importer.aws import read_aws
from lbkit.importer.cloudformation import read_cloudformation
from lbkit.importer.documents import read_documents
from lbkit.importer.envoy import read_envoy
from lbkit.importer.found import ImportFault, Unread, Upstream, printable
from lbkit.importer.kubernetes import read_kubernetes
from lbkit.importer.terraform import read_terraform


class Kind(NamedTuple):
    """A kind of definition."""

    name: str
    fields: frozenset[str]  # a document with any of these is of this kind
    read: Callable[[str, list[Any], list[Unread]], list[Upstream]]


_ELB = "LoadBalancers Listeners Rules TargetGroups TargetHealthDescriptions Attributes"
KINDS = (
    Kind("Envoy's static bootstrap", frozenset({"static_resources"}), read_envoy),
    Kind("a Terraform plan (terraform show -json)", frozenset({"planned_values"}), read_terraform),
    Kind("a CloudFormation template", frozenset({"Resources"}), read_cloudformation),
    Kind("Kubernetes objects", frozenset({"apiVersion"}), read_kubernetes),
    Kind("AWS load balancers (aws elbv2 describe-*)", frozenset(_ELB.split()), read_aws),
)


def read_definition(file: str, text: str, unread: list[Unread]) -> list[Upstream]:
    """Return the upstreams that a text in JSON or YAML defines. Raises ImportFault."""
    documents: list[Any] = []
    for one in read_documents(file, text):
        documents += one if isinstance(one, list) else [one]
    for kind in KINDS:
        own = [one for one in documents if isinstance(one, dict) and kind.fields & one.keys()]
        if own:
            try:
                upstreams = kind.read(file, own, unread)
            except ImportFault:
                raise
            except ValueError as error:  # a value that no experiment takes, such as a weight below 0
                raise ImportFault(f"{file}: {error}") from None
            for upstream in upstreams:
                upstream.name = printable(upstream.name)
            return upstreams
    names = "; ".join(kind.name for kind in KINDS)
    raise ImportFault(f"{file}: JSON or YAML of an unknown kind; these can be imported: {names}")
